"""What goes wrong is said in one message on standard error, with its place, and the exit status is 2."""

import json

import pytest

from engine_opt import data

from .conftest import BOOK, HEADER, TRADES, process

POSITION = ("--position", "cash")
TRADE_LINES = TRADES.splitlines()


def refused(done):
    """Return the message; there must be nothing else."""
    assert done.status == 2
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert done.err.count("error:") == 1
    assert done.err.endswith("\n")
    return done.err[len("error: ") : -1]


# Bars ----------------------------------------------------------------------------------------------------------------

ROW = "2012-01-0{0},10,11,9,10,100,X,20\n"
BAD_BARS = {
    "not a number": ("2012-01-03,10,11,9,x,100,X,20\n", "line 3, column Close: 'x' was refused: it is not a number"),
    "high below low": ("2012-01-03,10,8,9,10,100,X,20\n", "line 3, column High: 8.0 was refused: it is below low=9.0"),
    "a time that is no day": ("3/1/2012,10,11,9,10,100,X,20\n", "line 3, column Date: '3/1/2012' was refused"),
    "too few cells": ("2012-01-03,10,11\n", "line 3, column Low: '2012-01-03,10,11' was refused: there are 3 cells"),
    "the day before": ("2012-01-01,10,11,9,10,100,X,20\n", "line 3, column Date: "),
    "VIX of nothing": ("2012-01-03,10,11,9,10,100,X,0\n", "line 3, column VIX: 0.0 was refused: it must be greater"),
}


@pytest.mark.parametrize("verb", [("classify", *POSITION), ("analyze",), ("run", *BOOK)], ids=lambda verb: verb[0])
@pytest.mark.parametrize("bad", BAD_BARS)
def test_a_wrong_row_of_bars_is_told_by_line_column_and_value(tmp_path, call, verb, bad):
    row, message = BAD_BARS[bad]
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + ROW.format(2) + row + ROW.format(4))
    assert refused(call(verb[0], path, *verb[1:])).startswith(f"{path}, {message}")
    done = call(verb[0], path, *verb[1:], "--on-error", "skip", "--json")
    assert done.status == 2
    assert json.loads(done.out)["skipped"][0]["line"] == 3
    first, last = done.err.splitlines()
    assert first.startswith(f"skipped: {path}, {message}")
    assert last == "error: 1 wrong row was skipped"


def test_more_wrong_rows_than_are_kept_are_counted(tmp_path, call):
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + ROW.format(2) + "x,1,1,1,1,1,X,1\n" * 1203)
    done = call("analyze", path, "--on-error", "skip")
    assert done.status == 2
    assert done.err.splitlines()[-1] == "error: 1203 wrong rows were skipped"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "{path}: the file is empty"),
        (HEADER, "{path}, line 1: there is a header and nothing else"),
        ("Date,Open\n", "{path}, line 1, column high: there is no column for high, low, close"),
        ("Date,Open,High,Low,Close\n2012-01-02,1,1,1,1\n", "{path}, line 1, column symbol: there is no column"),
        (None, "{path}: there is no such file"),
    ],
)
def test_a_file_of_bars_that_is_none(tmp_path, call, content, message):
    path = tmp_path / "bars.csv"
    if content is not None:
        path.write_text(content)
    assert refused(call("analyze", path)).startswith(message.format(path=path))


def test_the_hints_name_the_options_of_the_command_line(tmp_path, call):
    path = tmp_path / "bars.csv"
    path.write_text("Date,Open,High,Low,Close\n1/2/2012,1,1,1,1\n")
    assert refused(call("analyze", path)).endswith("say whose bars these are with --symbol")
    assert refused(call("analyze", path, "--symbol", "X")).endswith("see --date-format")
    assert call("analyze", path, "--symbol", "X", "--date-format", "MM/DD/YYYY").status == 0


def test_a_symbol_that_is_not_in_the_file(shared, call):
    assert "'TSLA' was refused" in refused(call("analyze", shared / "prices.csv", "--symbol", "TSLA"))


def wild(path, factor):
    """Write prices that rise and fall by a factor from day to day."""
    days = [bar.time for bar in data.load("IBM")[:100]]
    prices = [factor if number % 2 else 1.0 for number in range(len(days))]
    lines = [f"{day},{price},{price},{price},{price}" for day, price in zip(days, prices, strict=True)]
    path.write_text("\n".join(["Date,Open,High,Low,Close", *lines]))
    return path


@pytest.mark.parametrize("verb", [("classify", *POSITION), ("run", *BOOK)], ids=lambda verb: verb[0])
def test_what_cannot_be_decided_is_told_by_symbol_and_day(tmp_path, call, verb):
    path = wild(tmp_path / "wild.csv", 1000.0)
    said = refused(call(verb[0], path, *verb[1:], "--symbol", "WILD"))
    assert said.startswith("WILD, 2000-0")
    assert "volatility=" in said


def test_many_suspected_splits_are_counted(tmp_path, call):
    path = wild(tmp_path / "wild.csv", 2.0)
    done = call("analyze", path, "--symbol", "WILD", "--last", 1)
    lines = done.err.splitlines()
    assert done.status == 0
    assert len(lines) == 21
    assert lines[-1] == "warning: and 79 more of the kind"


# Trades --------------------------------------------------------------------------------------------------------------

GOOD = dict(zip(TRADE_LINES[0].split(","), TRADE_LINES[1].split(","), strict=True))
BAD_CELLS = {
    "action": ("sell_everything", "'sell_everything' was refused: it is not one of 'sell_put', "),
    "symbol": ("", "'' was refused: it is empty, and no rule can do without"),
    "account": ("gen", "'gen' was refused: it is not one of 'GEN', 'REV', 'COM'"),
    "quantity": ("2.5", "'2.5' was refused: it is not a whole number"),
    "delta": ("145", "145.0 was refused: it must lie between 0 and 100 (points)"),
    "strike": ("1_0", "'1_0' was refused: it is not a number"),
    "expiration": ("2024-03-01", "'2024-03-01' was refused: it is before today"),
    "max_risk": ("nan", "nan was refused: it is not finite"),
    "today": ("7.3.2024", "'7.3.2024' was refused: it is not a day as YYYY-MM-DD"),
    "portfolio_value": ("-1", "-1.0 was refused: it must be greater than 0"),
    "account_value": ("2000000", "2000000.0 was refused: it is more than portfolio_value=1000000.0"),
    "drawdown": ("1.5", "1.5 was refused: it must lie between 0 and 1"),
    "shares_held": ("-5", "-5 was refused: it must lie between 0 and"),
    "market_condition": ("sunny", "'sunny' was refused: it is not one of 'extremely_bearish', "),
}


def write_trades(path, *rows):
    path.write_text("\n".join([",".join(GOOD), *(",".join((GOOD | row).values()) for row in rows), ""]))


@pytest.mark.parametrize("column", BAD_CELLS)
def test_a_wrong_cell_of_a_trade_is_told_by_line_column_and_value(tmp_path, call, column):
    cell, message = BAD_CELLS[column]
    path = tmp_path / "trades.csv"
    write_trades(path, {}, {column: cell}, {"quantity": "1"})
    assert refused(call("check", path)).startswith(f"{path}, line 3, column {column}: {message}")
    done = call("check", path, "--on-error", "skip", "--json")
    assert done.status == 2
    found = json.loads(done.out)
    assert [each["line"] for each in found["trades"]] == [2, 4]
    assert [(each["line"], each["column"]) for each in found["skipped"]] == [(3, column)]
    assert done.err.splitlines()[-1] == "error: 1 wrong row was skipped"


def test_a_rejected_trade_does_not_hide_a_skipped_one(tmp_path, call):
    write_trades(tmp_path / "trades.csv", {"quantity": "200"}, {"delta": "x"})
    done = call("check", tmp_path / "trades.csv", "--on-error", "skip")
    assert done.status == 2
    assert "REJECTED" in done.out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": the file is empty"),
        (b"action,symbol\n", ", line 1, column account: there is no such column"),
        (b"action,symbol,note\n", ", line 1, column note: this column is not known: choose from action, symbol, "),
        (b"action,Action\n", ", line 1, column action: this column stands twice"),
        (",".join(GOOD).encode(), ", line 1: there is a header and no trade"),
        (",".join(GOOD).encode() + b"\na,b\n", ", line 2, column account: 'a,b' was refused: there are 2 cells"),
        (",".join(GOOD).encode() + b'\n"a,b\n', ", line 2: '\"a,b' was refused: the quotes do not match"),
        (",".join(GOOD).encode() + b"\n\xff,b\n", ", line 2: b'\\xff,b\\n' was refused: byte 1 of the line is not"),
        (",".join(GOOD).encode() + b"\n\0,b\n", ", line 2: the line has a NUL byte"),
        (None, ": there is no such file"),
    ],
)
def test_a_file_of_trades_that_is_none(tmp_path, call, content, message):
    path = tmp_path / "trades.csv"
    if content is not None:
        path.write_bytes(content)
    assert refused(call("check", path)).startswith(f"{path}{message}")


def test_blank_lines_and_quotes_are_no_trouble(tmp_path, call):
    path = tmp_path / "trades.csv"
    write_trades(path, {"symbol": '"TSLA"'})
    path.write_text(path.read_text().replace("\n", "\n\n \n") + '"a,b\n' + "\r\n")
    done = call("check", path, "--on-error", "skip", "--json")
    found = json.loads(done.out)
    assert [each["decision"]["symbol"] for each in found["trades"]] == ["TSLA"]
    assert [each["why"].partition(" (")[0] for each in found["skipped"]] == ["the quotes do not match"]


def test_a_line_without_an_end_in_sight_is_refused(tmp_path, call):
    path = tmp_path / "trades.csv"
    write_trades(path, {})
    path.write_text(path.read_text() + "x" * (2**20 + 2))
    said = refused(call("check", path, "--on-error", "skip"))
    assert said == f"{path}, line 3: the line has more than 1 MB: this is no table of trades"


def test_a_header_may_begin_with_a_mark_and_have_capitals(tmp_path, call):
    path = tmp_path / "trades.csv"
    write_trades(path, {})
    head, _, rest = path.read_text().partition("\n")
    path.write_text("\ufeff" + head.replace("_", " ").title() + "\r\n" + rest)
    done = call("check", path)
    assert (done.status, done.err) == (0, "")


# Options -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dance"], "No such command 'dance' (see python -m engine_opt --help)"),
        (
            ["classify", "p.csv"],
            "Missing option '--position'. Choose from: cash, short_put, long_stock, short_call (see",
        ),
        (["classify", "p.csv", "--position", "debt"], "Invalid value for '--position': 'debt' is not one of"),
        (["classify", "p.csv", *POSITION, "--weeks", "0"], "Invalid value for '--weeks': 0 is not in the range"),
        (["classify", "p.csv", *POSITION, "--strike", "-1"], "strike=-1.0 was refused: it must be greater than 0"),
        (["classify", "p.csv", *POSITION, "--strike", "nan"], "strike=nan was refused: it is not finite"),
        (["analyze", "p.csv", "--date-format", "today"], "Invalid value for '--date-format': 'today' is not one of"),
        (["analyze"], "Missing argument 'FILE' (see python -m engine_opt analyze --help)"),
        (["run", "p.csv", *BOOK, "--drawdown", "7"], "drawdown=7.0 was refused: it must lie between 0 and 1 (a share)"),
        (["run", "p.csv", *BOOK, "--shares", "-1"], "shares_held=-1 was refused"),
        (["run", "p.csv", *BOOK, "--out", "x.txt"], "x.txt: the name of a table must end in .csv, .csv.gz,"),
        (["run", "p.csv", *BOOK, "--out", "no/x.csv"], "no/x.csv: there is no such folder to write to"),
        (["run", "p.csv", *BOOK, "--state", "no/state"], "no/state: there is no such folder to write to"),
        (["run", "p.csv", *BOOK, "--audit", "no/x.db"], "no/x.db: there is no such folder to write to"),
        (["run", "p.csv", *BOOK, "--out", "p.csv"], "p.csv is given twice: each file needs a name of its own"),
        (["run", "p.csv", *BOOK, "--audit", "x.log"], "path='x.log' was refused: the name of an audit log must end"),
        (["check", "t.csv", "--set", "market"], "--set 'market': give a name and a TOML value"),
        (["check", "t.csv", "--set", "market.moon=1"], "the configuration: market.moon: this is not known"),
        (["check", "t.csv", "--set", "market.temperature=hot"], "the override market.temperature=hot is not TOML"),
        (["check", "t.csv", "--config", "no.toml"], "the configuration no.toml cannot be read"),
        (["replay", "no.jsonl"], "no.jsonl: No such file or directory"),
        (["replay", "no.sqlite"], "no.sqlite: No such file or directory"),
        (["replay", "p.csv"], "path='p.csv' was refused: the name of an audit log must end in"),
        (["explain", "no.jsonl", "--list"], "no.jsonl: No such file or directory"),
        (["explain", "no.jsonl", "an-id", "--list"], "--list is for all decisions: leave the DECISION_ID out"),
        (["demo", "--symbol", "TSLA"], "Invalid value for '--symbol': 'TSLA' is not one of"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_wrong_option_is_told(tmp_path, call, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    said = refused(call(*arguments))
    assert message in said
    assert message[:20] in said[:60]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--audit", "--out", "--state"])
def test_a_folder_is_no_file_to_write_to(shared, tmp_path, call, option):
    path = tmp_path / "x.jsonl"
    path.mkdir()
    assert refused(call("run", shared / "prices.csv", *BOOK, option, path)).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is not the state of an engine"),
        ("[1]", "the state has schema 'list', this engine reads 1"),
        ('{"schema": 1, "config": "x"}', "the state was saved with another configuration"),
    ],
)
def test_a_state_that_is_none_is_told_and_kept(shared, tmp_path, call, content, message):
    path = tmp_path / "state.json"
    path.write_text(content)
    said = refused(call("run", shared / "prices.csv", *BOOK, "--state", path))
    assert said.startswith(f"{path}: {message}")
    assert path.read_text() == content


@pytest.mark.parametrize(
    ("standings", "message"),
    [
        ([1], "it knows where other symbols stand than the engine does"),
        ({"TSLA": {"last": "2000-01-03", "decided": None}}, "it knows where other symbols stand"),
        ({"IBM": {"last": "yesterday", "decided": None}}, "where IBM stands is damaged (last: an ISO date is expected"),
        ({"IBM": {"last": "2000-01-03", "decided": "month"}}, "where IBM stands is damaged (decided: "),
        ({"IBM": None}, "where IBM stands is damaged ("),
    ],
)
def test_a_state_with_damaged_standings_is_told_and_kept(shared, tmp_path, call, standings, message):
    path = tmp_path / "state.json"
    arguments = ("run", shared / "prices.csv", *BOOK, "--state", path)
    assert call(*arguments).status == 0
    content = json.dumps(json.loads(path.read_text()) | {"standings": standings})
    path.write_text(content)
    assert refused(call(*arguments)).startswith(f"{path}: {message}")
    assert path.read_text() == content


def test_bars_that_the_saved_engine_has_seen_are_refused(shared, tmp_path, call):
    arguments = ("run", shared / "prices.csv", *BOOK, "--state", tmp_path / "state.json")
    assert call(*arguments).status == 0
    before = (tmp_path / "state.json").read_bytes()
    assert "it is not after" in refused(call(*arguments))
    assert (tmp_path / "state.json").read_bytes() == before


def test_every_mistake_of_a_configuration_is_listed(shared, tmp_path, call):
    (tmp_path / "engine.toml").write_text("[market]\nmoon = 1\n[plan]\nsun = 2\n")
    said = refused(call("check", shared / "trades.csv", "--config", tmp_path / "engine.toml"))
    assert "has 2 mistakes:\n" in said
    assert "market.moon" in said
    assert "plan.sun" in said


def test_an_error_of_a_real_process(tmp_path):
    assert refused(process("classify", "no.csv", *POSITION, cwd=tmp_path)) == "no.csv: there is no such file"
    assert "Missing option '--position'" in refused(process("classify", "no.csv", cwd=tmp_path))
