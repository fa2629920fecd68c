"""Tables of results: what is written reads back exactly, and half a table is never seen."""

import contextlib
import csv
import gzip
import json
import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, date, datetime, time
from enum import IntEnum
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import engine_opt
from engine_opt import Book, EngineError, InputError, ProtocolEngine, WeekRequest, WeekType, data
from engine_opt.files import DECISION_COLUMNS, decision_row, read_bars, write_table

HOME = Path(engine_opt.__file__).parents[1]
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither SIGKILL nor modes nor file size limits")
SUFFIXES = [".csv", ".csv.gz", ".jsonl", ".parquet"]
ROWS = [
    {"symbol": "AAPL", "type": WeekType.C_WAP_PLUS, "day": date(2024, 3, 8), "return": 0.1 + 0.2, "n": 1, "ok": True},
    {"symbol": 'Ü,\n"x"', "type": None, "day": None, "return": -0.0, "n": 2**53, "ok": False},
    {"symbol": "", "type": WeekType.W_IDL, "day": date(1999, 1, 4), "return": 5e-324, "n": -3},
]


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    if request.param == ".parquet":
        pytest.importorskip("pyarrow")
    return tmp_path / f"results{request.param}"


def parquet_rows(path):
    return pytest.importorskip("pyarrow.parquet").ParquetFile(path).read().to_pylist()


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def read_csv(path):
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.reader(text.decode().splitlines(keepends=True)))


# What is written -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_csv(tmp_path, suffix):
    """Enums as values, None as nothing, days as ISO text, bools as JSON has them, floats by repr, text quoted."""
    path = tmp_path / f"results{suffix}"
    assert write_table(path, ROWS) == 3
    assert read_csv(path) == [
        ["symbol", "type", "day", "return", "n", "ok"],
        ["AAPL", "C-WAP+", "2024-03-08", "0.30000000000000004", "1", "true"],
        ['Ü,\n"x"', "", "", "-0.0", "9007199254740992", "false"],
        ["", "W-IDL", "1999-01-04", "5e-324", "-3", ""],
    ]


def test_json_lines(tmp_path):
    """One object a line, with null where there is nothing, and text as it is."""
    path = tmp_path / "results.jsonl"
    assert write_table(path, ROWS) == 3
    text = path.read_text("utf-8")
    assert "Ü" in text
    assert text.endswith("}\n")
    assert [json.loads(line) for line in text.splitlines()] == [
        {"symbol": "AAPL", "type": "C-WAP+", "day": "2024-03-08", "return": 0.1 + 0.2, "n": 1, "ok": True},
        {"symbol": 'Ü,\n"x"', "type": None, "day": None, "return": -0.0, "n": 2**53, "ok": False},
        {"symbol": "", "type": "W-IDL", "day": "1999-01-04", "return": 5e-324, "n": -3, "ok": None},
    ]


def test_parquet(tmp_path):
    """Columns have Parquet's own types, days among them."""
    path = tmp_path / "results.parquet"
    pytest.importorskip("pyarrow")
    assert write_table(path, ROWS) == 3
    assert parquet_rows(path) == [
        {"symbol": "AAPL", "type": "C-WAP+", "day": date(2024, 3, 8), "return": 0.1 + 0.2, "n": 1, "ok": True},
        {"symbol": 'Ü,\n"x"', "type": None, "day": None, "return": -0.0, "n": 2**53, "ok": False},
        {"symbol": "", "type": "W-IDL", "day": date(1999, 1, 4), "return": 5e-324, "n": -3, "ok": None},
    ]


def test_parquet_types_follow_from_all_rows(tmp_path):
    """A column that begins with nothing, or with whole numbers, is of the type of what comes thousands of rows later."""
    path = tmp_path / "results.parquet"
    pytest.importorskip("pyarrow")
    rows = [{"late": None, "number": i} for i in range(10_000)] + [{"late": "x", "number": 0.5}]
    assert write_table(path, iter(rows)) == 10_001
    found = parquet_rows(path)
    assert found == rows
    assert {type(row["number"]) for row in found} == {float}


class Level(IntEnum):
    HIGH = 3


def test_values_of_other_libraries_and_parts(tmp_path):
    """NumPy's floats, whole-number enums, times, lists and mappings have one form in all kinds of file."""
    row = {
        "float": np.float64(0.1),
        "level": Level.HIGH,
        "time": datetime(2024, 3, 8, 21, tzinfo=UTC),
        "range": (1.5, inf),
        "table": {"a": [WeekType.P_EW, date(2024, 3, 8)]},
    }
    write_table(tmp_path / "a.csv", [row])
    nested = {"a": ["P-EW", "2024-03-08"]}
    assert read_csv(tmp_path / "a.csv")[1] == [
        "0.1",
        "3",
        "2024-03-08T21:00:00+00:00",
        '[1.5,"inf"]',
        '{"a":["P-EW","2024-03-08"]}',
    ]
    write_table(tmp_path / "a.jsonl", [row])
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {
        "float": 0.1,
        "level": 3,
        "time": "2024-03-08T21:00:00+00:00",
        "range": [1.5, "inf"],
        "table": nested,
    }
    pytest.importorskip("pyarrow")
    write_table(tmp_path / "a.parquet", [row])
    (found,) = parquet_rows(tmp_path / "a.parquet")
    assert (found["float"], found["level"], found["time"]) == (0.1, 3, row["time"])
    assert json.loads(found["table"]) == nested


def test_what_is_not_finite_is_text_in_json_and_itself_elsewhere(tmp_path):
    """JSON has no word for it; CSV writes what Python reads back."""
    rows = [{"x": value} for value in (inf, -inf, nan)]
    write_table(tmp_path / "a.jsonl", rows)
    write_table(tmp_path / "a.csv", rows)
    assert (tmp_path / "a.jsonl").read_text() == '{"x":"inf"}\n{"x":"-inf"}\n{"x":"nan"}\n'
    assert (tmp_path / "a.csv").read_text() == "x\ninf\n-inf\nnan\n"


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1), st.text()),
        min_size=1,
        max_size=5,
    )
)
@example(values=[(5e-324, -1, "\r"), (-0.0, 0, '\r\x85\u2028\n,"\0')])
def test_numbers_and_text_read_back_exactly(tmp_path, values):
    """To the last bit and the strangest character, from all kinds of file."""
    rows = [{"float": number, "int": whole, "text": text} for number, whole, text in values]
    for suffix in (".csv", ".jsonl"):
        write_table(tmp_path / f"a{suffix}", rows)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        from_csv = [(float(a), int(b), c) for a, b, c in list(csv.reader(file))[1:]]
    lines = (tmp_path / "a.jsonl").read_text("utf-8").split("\n")[:-1]
    from_lines = [tuple(json.loads(line).values()) for line in lines]
    assert repr(from_csv) == repr(from_lines) == repr(values)


def test_bars_written_are_bars_read(path):
    """A series that was written as a table comes back as the same bars."""
    if path.suffix == ".jsonl":
        pytest.skip("bars are not read from JSON lines")
    bars = data.load("MSFT")[:300]
    fields = ("time", "open", "high", "low", "close", "volume")
    write_table(path, ({field: getattr(bar, field) for field in fields} for bar in bars))
    assert tuple(bar for _, bar, _ in read_bars(path, "MSFT")) == bars


def test_the_same_rows_give_the_same_bytes(path):
    """Nothing in a file depends on when, where or under which name it was written."""
    other = path.with_name("other" + path.name.removeprefix("results"))
    write_table(path, ROWS)
    write_table(other, iter(ROWS))
    assert path.read_bytes() == other.read_bytes()


def test_every_value_of_a_decision_has_a_column_and_every_column_a_value(tmp_path):
    """Of those that were judged, of those that were not, and of those that were refused."""
    engine, seen = ProtocolEngine(), {}
    for number, bar in enumerate(data.load("IBM")[:200]):
        engine.update("IBM", bar)
        for risk in (0.0, 0.5) if number > 100 else ():
            book = Book(3e5, 1e6, portfolio_risk=risk, drawdown=0.0)
            decision = engine.decide(WeekRequest("IBM", "REV", "cash", datetime.combine(bar.time, time(16)), book))
            seen[decision.status.value] = decision
    assert set(seen) == {"pending", "idle", "rejected"}
    rows = [decision_row(each) for each in seen.values()]
    assert {name for row in rows for name in row} == set(DECISION_COLUMNS)
    write_table(tmp_path / "decisions.jsonl", rows, DECISION_COLUMNS)
    for line, each in zip((tmp_path / "decisions.jsonl").read_text().splitlines(), seen.values(), strict=True):
        found = json.loads(line)
        assert (found["decision_id"], found["status"]) == (each.decision_id, each.status.value)
        assert found["quantity"] == (each.proposal and each.proposal.quantity)
        assert found["verdict"] == (each.report and each.report.verdict.value)


def test_columns_choose_and_order(tmp_path):
    """Named columns are written in their order; others are left out, and what a row lacks is empty."""
    write_table(tmp_path / "a.csv", [{"a": 1, "b": 2, "c": 3}, {"b": 4}], ["c", "b", "z"])
    assert (tmp_path / "a.csv").read_text() == "c,b,z\n3,2,\n,4,\n"


def test_a_row_of_nothing_is_a_row(tmp_path):
    """A single empty cell is written in quotes: a blank line would be no row at all."""
    write_table(tmp_path / "a.csv", [{"a": None}, {"a": 1}])
    assert (tmp_path / "a.csv").read_text() == 'a\n""\n1\n'
    assert read_csv(tmp_path / "a.csv") == [["a"], [""], ["1"]]


def test_a_table_without_rows_has_its_columns(path):
    """No result is a result too."""
    assert write_table(path, [], ["a", "b"]) == 0
    if path.suffix == ".parquet":
        assert pytest.importorskip("pyarrow.parquet").read_schema(path).names == ["a", "b"]
    elif path.suffix == ".jsonl":
        assert path.read_bytes() == b""
    else:
        assert read_csv(path) == [["a", "b"]]


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "columns", "field"),
    [
        ([], None, "columns"),
        ([{}], None, "columns"),
        ([{"a": 1}], [], "columns"),
        ([{"a": 1}], ["a", "a"], "columns"),
        ([{"a": 1}], ["a", ""], "columns"),
        ([{1: 1}], None, "columns"),
        ([{"a": 1}, {"a": 1, "b": 2}], None, "rows[1]"),
        ([{"a": 1}, [1]], None, "rows[1]"),
        ([{"a": 1}, {"a": object}], None, "rows[1].a"),
        ([{"a": 1}, {"a": [{"b": {1, 2}}]}], None, "rows[1].a"),
    ],
)
def test_a_table_that_cannot_be_written_is_refused_by_its_place(path, rows, columns, field):
    """The error names the row and column, and there is no file."""
    with pytest.raises(InputError) as caught:
        write_table(path, rows, columns)
    assert caught.value.field == field
    assert names(path.parent) == []


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl"])
def test_half_a_character_is_refused(tmp_path, suffix):
    """What is no text cannot be read back."""
    for rows, field in (([{"a": "x"}, {"a": "\ud800"}], r"rows\[1\]"), ([{"\ud800": 1}], "columns|rows")):
        with pytest.raises(InputError, match=rf"({field}).*half a character"):
            write_table(tmp_path / f"a{suffix}", rows)
    assert names(tmp_path) == []


@pytest.mark.parametrize("values", [[1, "x"], [None, *["x"] * 9000, 1], [2**64], ["\ud800"]])
def test_a_parquet_column_of_two_types_is_refused(tmp_path, values):
    """A column has one type, in one batch of rows and across them."""
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match="no common type"):
        write_table(tmp_path / "a.parquet", [{"a": value} for value in values])
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["results", "results.xlsx", "results.json", "results.gz"])
def test_another_suffix_is_refused(tmp_path, name):
    """No format is guessed."""
    with pytest.raises(InputError, match=r"\.csv, \.csv\.gz, \.jsonl, \.parquet"):
        write_table(tmp_path / name, ROWS)


def test_without_pyarrow_the_error_says_what_to_install(tmp_path, monkeypatch):
    """And leaves nothing behind."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(EngineError, match=r'pip install "pytest-pe-perf\[parquet\]"'):
        write_table(tmp_path / "a.parquet", ROWS)
    assert names(tmp_path) == []


# Never half a table --------------------------------------------------------------------------------------------------


class Boom(BaseException):
    """As hard to catch as Ctrl-C."""


@pytest.mark.parametrize("after", [0, 1, 20_000])
def test_an_exception_on_the_way_leaves_the_file_as_it_was(path, after):
    """Whatever comes out of the rows passes through; what was there before is untouched, and nothing else is there."""

    def rows():
        for i in range(after):
            yield {"a": i}
        raise Boom

    path.write_bytes(b"what was there before")
    with pytest.raises(Boom):
        write_table(path, rows())
    assert path.read_bytes() == b"what was there before"
    assert names(path.parent) == [path.name]


def test_a_table_appears_only_when_it_is_whole(path):
    """While rows come in, the folder shows the old file and a hidden one."""
    seen = []

    def rows():
        yield {"a": 1}
        yield {"a": 2}
        seen.extend(names(path.parent))
        seen.append(path.read_bytes())

    path.write_bytes(b"old")
    write_table(path, rows())
    temporary, *rest = seen
    assert temporary.startswith(f".{path.name}.")
    assert rest == [path.name, b"old"]
    assert names(path.parent) == [path.name]
    assert path.read_bytes() != b"old"


def test_the_table_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Synced under its temporary name, then renamed, then the folder synced: in this order."""
    steps = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr("engine_opt.files.tables.os.fsync", lambda handle: (steps.append("sync"), sync(handle)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (steps.append("rename"), replace(self, to))[1])
    write_table(tmp_path / "a.csv", ROWS)
    assert steps[:2] == ["sync", "rename"]
    assert steps[2:] == ([] if sys.platform == "win32" else ["sync"])


@contextlib.contextmanager
def largest_file(size):
    """Files cannot grow beyond `size`, as on a disk that is nearly full."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@POSIX
def test_a_full_disk_leaves_the_file_as_it_was(path):
    """The system's error passes through, and no temporary file takes the space that is left."""
    path.write_bytes(b"old")
    rows = [{"a": os.urandom(50).hex()} for _ in range(2000)]
    with largest_file(10_000), pytest.raises(OSError, match="too large"):
        write_table(path, rows)
    assert path.read_bytes() == b"old"
    assert names(path.parent) == [path.name]


_KILLED = """
import os, signal, sys
from engine_opt.files import write_table
def rows():
    for i in range(100_000):
        yield {"a": i}
    os.kill(os.getpid(), signal.SIGKILL)
write_table(sys.argv[1], rows())
"""


@POSIX
def test_kill_9_leaves_the_file_as_it_was_and_the_next_table_is_written(tmp_path):
    """What a killed process leaves is a hidden file, which is in nobody's way."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", _KILLED, path], check=False, cwd=HOME)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    write_table(path, [{"a": 1}])
    assert path.read_text() == "a\n1\n"


def test_a_temporary_name_that_is_taken_is_left_alone(tmp_path):
    """A hidden file of an earlier process with our number is not overwritten."""
    left = tmp_path / f".a.csv.{os.getpid()}-0.tmp"
    left.write_text("left behind")
    write_table(tmp_path / "a.csv", [{"a": 1}])
    assert left.read_text() == "left behind"
    assert names(tmp_path) == [left.name, "a.csv"]


def test_a_folder_in_its_place_and_a_missing_folder_are_the_system_s_errors(path):
    """Nothing is made that was not asked for."""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_table(path.parent / "nowhere" / path.name, ROWS)
    path.mkdir()
    with pytest.raises(IsADirectoryError, match="results"):
        write_table(path, ROWS)
    assert names(path.parent) == [path.name]


@POSIX
def test_links_and_modes_are_kept(tmp_path):
    """A link still points to where it did, and a new file may be read by whom the process's mask lets read."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "a.csv"
    link.symlink_to(tmp_path / "real" / "target.csv")
    before = os.umask(0o027)
    try:
        write_table(link, ROWS)
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert stat.S_IMODE((tmp_path / "real" / "target.csv").stat().st_mode) == 0o640
    assert names(tmp_path / "real") == ["target.csv"]
