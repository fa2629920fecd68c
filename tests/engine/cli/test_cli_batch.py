"""`batch`: the table holds what `run` decides, for each file, symbol and configuration."""

import json
import sys

import pytest

from engine_opt import EngineConfig

from .conftest import BOOK, SYMBOLS, write_prices

CALM = "[plan]\nrisk_in_atr = 0.5\n"
BOLD = "[plan]\nrisk_in_atr = 9.0\n[rules]\nmax_risk = 0.002\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a file for each of two symbols and two configurations."""
    for symbol in SYMBOLS:
        write_prices(tmp_path / f"{symbol}.csv", (symbol,))
    (tmp_path / "calm.toml").write_text(CALM)
    (tmp_path / "bold.toml").write_text(BOLD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def same(ours, theirs):
    """Whether two rows of tables tell the same; numbers of both forms agree to twelve digits."""
    return all(
        ours[name] == (pytest.approx(value, rel=1e-12, abs=1e-12) if isinstance(value, float) else value)
        for name, value in theirs.items()
        if name != "decision_id"
    )


@pytest.mark.parametrize("every", ["week", "session"])
@pytest.mark.parametrize("position", ["cash", "short_put"])
def test_the_table_holds_what_run_decides(folder, call, every, position):
    """Both configurations, one symbol after the other, row by row."""
    book = [*BOOK, "--position", position, "--every", every, "--vix-mean", "12", "--week-colour", "red", "--days", "3"]
    done = call(
        "batch", "MSFT.csv", "IBM.csv", *book, "--config", "calm.toml", "--config", "bold.toml", "--out", "b.jsonl"
    )
    assert (done.status, done.err) == (0, "")
    found = rows_of(folder / "b.jsonl")
    for name, text in (("calm.toml", CALM), ("bold.toml", BOLD)):
        for symbol in SYMBOLS:
            call("run", f"{symbol}.csv", *book, "--config", name, "--out", "r.jsonl")
            ours = [row for row in found if (row["configuration"], row["symbol"]) == (name, symbol)]
            theirs = rows_of(folder / "r.jsonl")
            assert len(ours) == len(theirs) > 30
            assert all(same(*pair) for pair in zip(ours, theirs, strict=True))
            assert {row["fingerprint"] for row in ours} == {EngineConfig.parse(text).fingerprint()}
    assert [row["symbol"] for row in found] == sorted((row["symbol"] for row in found), key=SYMBOLS.index)


def test_the_number_of_workers_changes_nothing(folder, call):
    """The very same bytes from two processes, and from none."""
    names = ("--config", "calm.toml", "--config", "bold.toml", "--set", "market.temperature=0.7")
    for workers in ("1", "2"):
        done = call("batch", "MSFT.csv", "IBM.csv", *BOOK, *names, "--workers", workers, "--out", f"{workers}.csv")
        assert (done.status, done.err) == (0, "")
    assert (folder / "1.csv").read_bytes() == (folder / "2.csv").read_bytes()


def test_what_is_counted(folder, call):
    """JSON counts rows, statuses by configuration, and weeks with too few bars; the screen fits into 80 columns."""
    given = ("batch", "MSFT.csv", "IBM.csv", *BOOK, "--set", "plan.risk_in_atr=2.0", "--out", "b.jsonl")
    document = json.loads(call(*given, "--json").out)
    rows = rows_of(folder / "b.jsonl")
    (counts,) = document["configurations"]
    assert counts["configuration"] == "defaults"
    assert counts["fingerprint"] == EngineConfig.parse("", {"plan.risk_in_atr": "2.0"}).fingerprint()
    assert counts["decisions"] == document["rows"] == len(rows)
    for status in ("idle", "rejected", "pending", "approved"):
        assert counts[status] == sum(row["status"] == status for row in rows)
    assert document["too_early"].keys() == set(SYMBOLS)
    assert all(weeks > 5 for weeks in document["too_early"].values())
    assert (document["skipped"], document["suspicions"]) == ([], [])
    shown = call(*given).out
    assert max(map(len, shown.splitlines())) <= 80
    assert f"{len(rows)} decisions about 2 symbols" in shown


def test_a_file_without_a_symbol_column_is_named(folder, call):
    """One such file takes --symbol; two cannot both have it."""
    for name in ("one.csv", "two.csv"):
        lines = (folder / "MSFT.csv").read_text().splitlines()
        (folder / name).write_text("\n".join(line.rpartition(",")[0].rpartition(",")[0] for line in lines))
    assert call("batch", "one.csv", "--symbol", "X", *BOOK, "--out", "x.csv").status == 0
    assert ",X,2000" in (folder / "x.csv").read_text()
    done = call("batch", "one.csv", "two.csv", "--symbol", "X", *BOOK, "--out", "x.csv")
    assert done.status == 2
    assert "--symbol says whose bars" in done.err


def test_rows_that_are_wrong_are_skipped_in_each_file_and_listed(folder, call):
    """The rest is decided, all files are told of, and the status says so."""
    for symbol in SYMBOLS:
        path = folder / f"{symbol}.csv"
        lines = path.read_text().splitlines()
        lines[100] = lines[100].replace(lines[100].split(",")[1], "-1", 1)
        path.write_text("\n".join(lines))
    given = ("batch", "MSFT.csv", "IBM.csv", *BOOK, "--out", "b.csv")
    assert call(*given).status == 2
    assert not (folder / "b.csv").exists()
    done = call(*given, "--on-error", "skip")
    assert done.status == 2
    assert (folder / "b.csv").exists()
    assert all(f"skipped: {symbol}.csv, line 101" in done.err for symbol in SYMBOLS)
    document = json.loads(call(*given, "--on-error", "skip", "--json").out)
    assert [each["path"] for each in document["skipped"]] == [f"{symbol}.csv" for symbol in SYMBOLS]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["MSFT.csv", "MSFT.csv", *BOOK, "--out", "b.csv"], "MSFT.csv is given twice"),
        (["MSFT.csv", *BOOK, "--out", "MSFT.csv"], "MSFT.csv is given twice"),
        (["MSFT.csv", *BOOK, "--out", "b.txt"], "the name of a table must end in .csv"),
        (["MSFT.csv", "copy.csv", *BOOK, "--out", "b.csv"], "it has bars in copy.csv and in a file before"),
        (["MSFT.csv", *BOOK, "--drawdown", "7", "--out", "b.csv"], "drawdown=7.0 was refused"),
        (["MSFT.csv", *BOOK, "--config", "none.toml", "--out", "b.csv"], "none.toml cannot be read"),
        (["MSFT.csv", *BOOK, "--workers", "0", "--out", "b.csv"], "--workers"),
        (["MSFT.csv", *BOOK], "--out"),
        ([*BOOK, "--out", "b.csv"], "FILE"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(folder, call, arguments, said):
    (folder / "copy.csv").write_text((folder / "MSFT.csv").read_text())
    done = call("batch", *arguments)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert not (folder / "b.csv").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_error_names_the_symbol(folder, call, workers):
    """A VIX in the wrong unit is found where it is judged, in whatever process."""
    lines = (folder / "IBM.csv").read_text().splitlines()
    low = [lines[0], *(line.rpartition(",")[0] + ",0.2" for line in lines[1:])]
    (folder / "IBM.csv").write_text("\n".join(low))
    done = call(
        "batch", "MSFT.csv", "IBM.csv", *BOOK, "--position", "short_put", "--workers", workers, "--out", "b.csv"
    )
    assert done.status == 2
    assert "vix[" in done.err
    assert done.err.rstrip().endswith("while deciding about symbol 'IBM'")
    assert not (folder / "b.csv").exists()


def test_without_numpy_it_says_so(folder, call, monkeypatch):
    """The columns are an optional part."""
    monkeypatch.setitem(sys.modules, "engine_opt.batch.requests", None)
    done = call("batch", "MSFT.csv", *BOOK, "--out", "b.csv")
    assert done.status == 2
    assert "batch needs NumPy" in done.err
