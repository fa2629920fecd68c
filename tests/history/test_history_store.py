from __future__ import annotations

import json
import math
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.history import schema
from pytest_pe_perf.history.sqlite import _TRENDS
from pytest_pe_perf.history.store import open_history
from pytest_pe_perf.judge.gate import gate
from pytest_pe_perf.model import RUN_FORMAT, BaselineRow, Environment, Key, Point, Row, Run, Sample

HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
LATENCY = Key("tests/test_x.py::test_a", "", "latency")
PEAK = Key("tests/test_x.py::test_a", "cold ['\"\n日本]", "peak")

WRITER = """
import sys
from pathlib import Path
from pytest_pe_perf.history.store import open_history
from pytest_pe_perf.model import *
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
here = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
keys = [Key(f"tests/test_x.py::test_{n}", "", "latency") for n in range(20)]
sys.stdin.readline()
for number in range(count):
    run = Run(RUN_FORMAT, f"2026-01-01T00:00:{number:02}+00:00", here, {"commit": name}, ())
    report = GateReport(here, tuple(Judgement(key, Verdict.UNCHANGED, "", float(number)) for key in keys))
    with open_history(path) as history:
        history.append(run, report)
"""
FULL_DISK = """
import resource, sys
from pathlib import Path
from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.history.store import open_history
from pytest_pe_perf.model import *
here = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
keys = [Key(f"tests/test_x.py::test_{n}" + "x" * 1000, "", "latency") for n in range(1000)]
run = Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", here, {}, ())
report = GateReport(here, tuple(Judgement(key, Verdict.UNCHANGED, "", 1.0) for key in keys))
limit = Path(sys.argv[1]).stat().st_size + 100_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with open_history(Path(sys.argv[1])) as history:
        history.append(run, report)
except HistoryError as error:
    print(error)
"""


def run(started: str = "2026-01-01T00:00:00+00:00", value: float = 1.0, commit: str = "", **fields: object) -> Run:
    rows = (
        Row(LATENCY, (Sample(value + 1, 1, 1, (), 0.2), Sample(value, 1, 1, (), 0.1)), "abc", 0.1, 0.05),
        Row(PEAK, (Sample(100.0, 1, 1),), "abc", 0.1, 0.05),
        Row(replace(LATENCY, metric="cpu"), (Sample(value, 1, 1),), "abc", 0.1, 0.05),
    )
    whole = Run(RUN_FORMAT, started, HERE, {"commit": commit, "python": "3.11.7"}, rows, complete=("tests/test_x.py",))
    return replace(whole, **fields)  # type: ignore[arg-type]


def append(path: Path, *runs: Run, baseline: tuple[BaselineRow, ...] = ()) -> None:
    with open_history(path) as history:
        for one in runs:
            history.append(one, gate(one, {row.key: row for row in baseline}))


def values(path: Path, key: Key = LATENCY, limit: int = 500) -> list[float]:
    with open_history(path) as history:
        return [point.value for point in history.trends(HERE.slug, [key], limit)[key]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".pe-perf" / "history.sqlite"


def refused(path: Path) -> str:
    with pytest.raises(HistoryError) as caught:
        append(path, run())
    message = str(caught.value)
    assert str(path) in message
    assert "[pe-perf: bad-history]" in message
    assert message.count("bad-history") == 1
    return message


def test_a_run_comes_back(path: Path) -> None:
    """A judged row is a point with value, smallest reference, commit and verdict; an unknown row has none."""
    append(path, run(commit="5f1d"))
    unknown = replace(LATENCY, name="other")
    with open_history(path) as history:
        trends = history.trends(HERE.slug, [LATENCY, PEAK, unknown])
    assert trends == {
        LATENCY: (Point("2026-01-01T00:00:00.000000+00:00", "5f1d", 1.0, 0.1, "new"),),
        PEAK: (Point("2026-01-01T00:00:00.000000+00:00", "5f1d", 100.0, None, "new"),),
        unknown: (),
    }


def test_only_judged_rows_with_a_value(path: Path) -> None:
    """What is only shown, and what is missing from the run, is no point."""
    missing = replace(LATENCY, name="gone")
    append(path, run(), baseline=(BaselineRow(missing, 1.0, "abc"),))
    keys = [missing, replace(LATENCY, metric="cpu")]
    with open_history(path) as history:
        assert history.trends(HERE.slug, keys) == dict.fromkeys(keys, ())


def test_the_ratio_is_kept(path: Path) -> None:
    """The interval of the ratio stands with the point, even where it is infinite."""
    append(path, run(), baseline=(BaselineRow(LATENCY, 1.0, "abc", 0.1), BaselineRow(PEAK, 0.0, "abc")))
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT low, high FROM points ORDER BY value").fetchall()
    connection.close()
    assert rows[0][0] < 1 < rows[0][1]
    assert rows[1] == (math.inf, math.inf)


def test_oldest_first_and_in_utc(path: Path) -> None:
    """Points are ordered by the moment of their run, whatever zone it was written in and when it was added."""
    append(
        path,
        run("2026-01-01T12:00:00Z", 2.0),
        run("2026-01-01T13:30:00+02:00", 1.0),
        run("2026-01-01T12:00:00.5", 3.0),
    )
    assert values(path) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("same_moment", [False, True])
def test_the_limit_keeps_the_newest(path: Path, same_moment: bool) -> None:
    """A limited trend holds the newest points, also where many runs began at one moment."""
    append(path, *(run(f"2026-01-01T00:00:{0 if same_moment else n:02}Z", float(n)) for n in range(1, 11)))
    assert values(path, limit=3) == [8.0, 9.0, 10.0]
    assert values(path, limit=10) == values(path, limit=11) == [float(n) for n in range(1, 11)]


def test_a_limit_of_nothing(path: Path) -> None:
    """Asking for less than one point is a mistake of the caller."""
    with pytest.raises(ValueError, match="limit is 0"):
        values(path, limit=0)


def test_environments_do_not_mix(path: Path) -> None:
    """The trend of one environment holds no point of another."""
    append(path, run(), run(value=7.0, environment=replace(HERE, cores=64)))
    assert values(path) == [1.0]


def test_no_keys(path: Path) -> None:
    """Asking for no rows gives none."""
    with open_history(path) as history:
        assert history.trends(HERE.slug, []) == {}


def test_all_keys_in_one_query(path: Path) -> None:
    """The trends of 300 rows over 100 runs come from the primary key alone: no table is read from end to end."""
    keys = [replace(LATENCY, name=str(n)) for n in range(300)]
    rows = tuple(Row(key, (Sample(1.0, 1, 1),), "abc", 0.1, 0.05) for key in keys)
    append(path, *(run(f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z", rows=rows) for n in range(100)))
    with open_history(path) as history:
        trends = history.trends(HERE.slug, keys, 50)
    assert {len(points) for points in trends.values()} == {50}
    connection = sqlite3.connect(path)
    parameters = {"keys": json.dumps([["a", "", "latency"]]), "environment": HERE.slug, "limit": 50}
    steps = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {_TRENDS}", parameters)]
    connection.close()
    assert [step for step in steps if step.startswith("SCAN") and "item" not in step] == []


def test_writers_at_once(path: Path) -> None:
    """Four processes that make and fill one history at the same moment lose no run and meet no error."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name, "15"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [("", 0)] * 4
    key = replace(LATENCY, test="tests/test_x.py::test_19")
    with open_history(path) as history:
        points = history.trends(HERE.slug, [key])[key]
    assert sorted((p.commit, p.value) for p in points) == [(name, float(n)) for name in "abcd" for n in range(15)]


def test_a_run_is_added_whole_or_not_at_all(path: Path) -> None:
    """A run with a value that no table takes leaves no trace, and the history goes on."""
    append(path, run())
    report = gate(run(), {})
    broken = replace(report, judgements=(*report.judgements, replace(report.judgements[0], value=math.nan)))
    with pytest.raises(HistoryError, match="is nan, which is no number"), open_history(path) as history:
        history.append(run(), broken)
    append(path, run(value=2.0))
    connection = sqlite3.connect(path)
    counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("runs", "points")]
    connection.close()
    assert counts == [2, 4]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_full_disk(path: Path) -> None:
    """On a full disk the error says so in words, and what was there before is whole."""
    append(path, run())
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    assert f"{path}: " in done.stdout
    assert "nothing of this run was added" in done.stdout
    assert values(path) == [1.0]


@pytest.mark.parametrize("data", [b"value,when\n1,2\n" * 100, b"SQLite format 3\x00" + b"\x10\x00" + b"\xff" * 5000])
def test_no_database(path: Path, data: bytes) -> None:
    """A file that is no database is refused and keeps its bytes."""
    path.parent.mkdir()
    path.write_bytes(data)
    assert "move it away" in refused(path)
    assert path.read_bytes() == data


def test_damaged(path: Path) -> None:
    """A history with a damaged page says so instead of answering."""
    append(path, *(run(value=float(n)) for n in range(1, 200)))
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    path.write_bytes(data)
    assert "move it away and a new one is begun" in refused(path)


def test_database_of_another_program(path: Path) -> None:
    """A database that is not ours is refused and not written to."""
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (a)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    assert "a database of another program" in refused(path)
    assert path.read_bytes() == before


def test_newer_format(path: Path) -> None:
    """A history of a newer version asks for an upgrade."""
    append(path, run())
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    assert "format 7 is newer than the 2 that this version understands: upgrade pytest-pe-perf" in refused(path)


def test_upgrades_are_a_chain(path: Path) -> None:
    """A history of today's format is led to a later one with all its points, once."""
    append(path, run())
    later = (*schema.UPGRADES, "ALTER TABLE runs ADD COLUMN branch TEXT NOT NULL DEFAULT '';")
    connection = sqlite3.connect(path, isolation_level=None)
    schema.prepare(connection, later)
    schema.prepare(connection, later)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    found = connection.execute("SELECT branch, value FROM points JOIN runs ON id = run ORDER BY value").fetchall()
    connection.close()
    assert version == 3
    assert found == [("", 1.0), ("", 100.0)]


def test_a_history_of_version_0_1(path: Path) -> None:
    """A file of format 1 is read, its runs get the names that they would get today, and one of two that agree goes."""
    append(path, run(commit="5f1d"), run("2026-01-02T00:00:00Z", 2.0))
    with open_history(path) as history:
        today = [history.record(about) for about in history.runs()]
    old = path.with_name("old.sqlite")
    connection = sqlite3.connect(old, isolation_level=None)
    schema.prepare(connection, schema.UPGRADES[:1])
    for number, record in enumerate((*today, today[0]), 1):
        about = record.about
        context = json.dumps(about.context)
        row = (number, about.started, about.environment, about.commit, context)
        connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", row)
        for value in record.values:
            series = (about.environment, value.key.test, value.key.name, value.key.metric)
            connection.execute(
                "INSERT OR IGNORE INTO series (environment, test, name, metric) VALUES (?, ?, ?, ?)", series
            )
            (place,) = connection.execute(
                "SELECT id FROM series WHERE (environment, test, name, metric) = (?, ?, ?, ?)", series
            ).fetchone()
            numbers = (value.value, value.reference, value.low, value.high, value.verdict)
            connection.execute(
                "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (place, about.started, number, *numbers)
            )
    connection.close()
    with open_history(old) as history:
        assert [history.record(about) for about in history.runs()] == today
    assert values(old) == [1.0, 2.0]


def test_an_upgrade_that_fails(path: Path) -> None:
    """An upgrade that fails leaves the history in the format it had."""
    append(path, run())
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        schema.prepare(connection, (*schema.UPGRADES, "DROP TABLE points; DROP TABLE nothing;"))
    connection.close()
    assert values(path) == [1.0]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    """A folder that cannot be made is an error in words."""
    (tmp_path / ".pe-perf").touch()
    refused(tmp_path / ".pe-perf" / "history.sqlite")


def test_a_folder_where_the_file_should_be(path: Path) -> None:
    """A folder in place of the file is an error in words."""
    path.mkdir(parents=True)
    assert "unable to open" in refused(path)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder in which even root cannot write")
def test_read_only_folder() -> None:
    """A history in a folder that cannot be written is an error in words."""
    assert "see that the folder can be written" in refused(Path("/proc/self/history.sqlite"))


def test_a_start_that_is_no_time(path: Path) -> None:
    """A run that does not say when it began is not added."""
    with pytest.raises(HistoryError, match="'yesterday', which is no time"):
        append(path, run("yesterday"))
