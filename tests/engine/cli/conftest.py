"""A folder as a user has it: real prices as CSV, proposed trades, a recorded run; and the command line to be called."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import engine_opt
from engine_opt import data
from engine_opt.cli import main

SYMBOLS = ("MSFT", "IBM")
COUNT = 220
HEADER = "Date,Open,High,Low,Close,Volume,Symbol,VIX\n"
BOOK = ("--account", "REV", "--position", "cash", "--account-value", "300000", "--portfolio-value", "1000000")

TRADES = """\
action,symbol,account,quantity,delta,strike,expiration,max_risk,today,portfolio_value,account_value,portfolio_risk,\
drawdown,shares_held,market_condition
sell_put,TSLA,GEN,2,45,200,2024-03-15,0.02,2024-03-07,1000000,400000,0.05,0.01,0,bullish
sell_put,TSLA,GEN,200,45,200,2024-03-15,0.2,2024-03-07,1000000,400000,0.05,0.01,0,bullish
sell_put,NVDA,GEN,2,45,200,2024-03-15,0.02,2024-03-08,1000000,400000,0.05,,,
hold_position,AAPL,REV,,,,,,2024-03-07,1000000,,,,,
"""


def csv_line(symbol, bar, vix):
    return f"{bar.time},{bar.open!r},{bar.high!r},{bar.low!r},{bar.close!r},{bar.volume!r},{symbol},{vix}\n"


def vix_at(number):
    return 18.0 + number % 7


def write_prices(path, symbols=SYMBOLS, count=COUNT):
    """Write the first bars of real series, the symbols' rows in turn as days go by."""
    rows = [
        (bar.time, csv_line(symbol, bar, vix_at(number)))
        for symbol in symbols
        for number, bar in enumerate(data.load(symbol)[:count])
    ]
    path.write_text(HEADER + "".join(line for _, line in sorted(rows, key=lambda row: row[0])))


class Done(NamedTuple):
    status: int
    out: str
    err: str


def environment(**given):
    """A bare environment: what the tests themselves run in changes nothing."""
    home = Path(engine_opt.__file__).parents[1]
    return {"PATH": os.defpath, "PYTHONPATH": str(home), "COLUMNS": "80", "PYTHONUTF8": "1"} | given


def process(*arguments, cwd, **given):
    """Run the real command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "engine_opt", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(**given),
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """The folder; its files are read, never changed."""
    folder = tmp_path_factory.mktemp("cli")
    write_prices(folder / "prices.csv")
    (folder / "trades.csv").write_text(TRADES)
    done = process("run", "prices.csv", *BOOK, "--audit", "decisions.jsonl", cwd=folder)
    assert (done.status, done.err) == (0, "")
    (folder / "run.txt").write_text(done.out)
    return folder


@pytest.fixture
def call(capsys, monkeypatch) -> Callable[..., Done]:
    """Call the command line in this process, through the same door."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            main([str(each) for each in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Done(left.value.code, captured.out, captured.err)

    return run
