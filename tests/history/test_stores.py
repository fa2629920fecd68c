"""What every store does alike, and what is PostgreSQL's alone: both need its server."""

from __future__ import annotations

import math
import re
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.history.past import leading
from pytest_pe_perf.history.record import About, Record, Value, make_record
from pytest_pe_perf.history.store import WAITING, open_history, remember, waiting
from pytest_pe_perf.judge.gate import gate
from pytest_pe_perf.model import RUN_FORMAT, Course, Environment, Key, Point, Row, Run, Sample

A = Key("tests/test_x.py::test_a", "", "latency")
B = Key("tests/test_x.py::test_b", "cold ['\"\n日本]", "peak")
HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
WRITER = """
import sys
from pathlib import Path
from pytest_pe_perf.history.record import Value, make_record
from pytest_pe_perf.history.store import open_history
from pytest_pe_perf.model import Key
where, root, name = sys.argv[1:]
values = [Value(Key(f"tests/test_x.py::test_{n}", "", "latency"), 1.0) for n in range(20)]
sys.stdin.readline()
for number in range(6):
    record = make_record(f"2026-01-01T00:00:{number:02}Z", "here", {"commit": name}, values)
    with open_history(where, Path(root), "ours") as history:
        history.add([record])
"""


@dataclass(frozen=True)
class Place:
    """Where a history is, and the folder of its project."""

    where: str
    root: Path

    def opened(self, project: str = ""):
        return open_history(self.where, self.root, project)


@pytest.fixture(params=["sqlite", "git", "postgresql"])
def place(request: pytest.FixtureRequest, repository: Path) -> Place:
    if request.param == "postgresql":
        return Place(request.getfixturevalue("database"), repository)
    return Place("git:perf-data" if request.param == "git" else ".pe-perf/history.sqlite", repository)


def record(
    started: str = "2026-01-01T00:00:00Z", value: float = 1.0, where: str = "here", commit: str = "5f1d"
) -> Record:
    values = [Value(B, 100.0, verdict="new"), Value(A, value, 0.1, 0.9, 1.1, "unchanged")]
    return make_record(started, where, {"commit": commit, "python": "3.11.7"}, values)


def run_of(value: float, started: str = "2026-01-01T00:00:00+00:00") -> Run:
    return Run(RUN_FORMAT, started, HERE, {"commit": "5f1d"}, (Row(A, (Sample(value, 1, 1),), "abc", 0.1, 0.05),))


def values(place: Place, where: str = "here", limit: int = 500) -> list[float]:
    with place.opened() as history:
        return [point.value for point in history.trends(where, [A], limit)[A]]


def test_runs_come_back(place: Place) -> None:
    """What was added comes back to the last digit, in the order of time, whatever zone it was written in."""
    first, second = record("2026-01-01T13:00:00.25+02:00", 1 / 3), record("2026-01-01T12:00:00", 2.0)
    with place.opened() as history:
        assert history.add([second, first]) == 2
    with place.opened() as history:
        assert history.runs() == (first.about, second.about)
        assert [history.record(about) for about in history.runs()] == [first, second]
        assert history.series() == (("here", A), ("here", B))
        assert history.trends("here", [A, replace(A, name="other")]) == {
            A: (
                Point("2026-01-01T11:00:00.250000+00:00", "5f1d", 1 / 3, 0.1, "unchanged"),
                Point("2026-01-01T12:00:00.000000+00:00", "5f1d", 2.0, 0.1, "unchanged"),
            ),
            replace(A, name="other"): (),
        }


def test_nothing_is_there_yet(place: Place) -> None:
    """An empty history has no runs, no series and no trends."""
    with place.opened() as history:
        assert (history.runs(), history.series(), history.trends("here", [A])) == ((), (), {A: ()})


def test_a_course_is_what_became_of_a_row_in_some_runs(place: Place) -> None:
    """Columns in the order of the runs, whatever environment they are of; gaps stay gaps, other runs stay out.

    Where no run has a reference there is no column of them.
    """
    alone = make_record("2026-01-03", "there", {}, [Value(A, 3.0, verdict="new")])
    records = [
        record("2026-01-01"),
        make_record("2026-01-02", "here", {}, [Value(B, 7.0)]),
        alone,
        record("2026-01-04"),
    ]
    with place.opened() as history:
        history.add(records)
        found = history.courses(history.runs()[:3], [B, replace(A, name="other"), A])
        (turns,) = history.courses(history.runs(), [A]).values()
    assert found == {
        A: Course((0, 2), (1.0, 3.0), (0.9, None), (1.1, None), ("unchanged", "new"), (0.1, None)),
        B: Course((0, 1), (100.0, 7.0), (None, None), (None, None), ("new", "")),
    }
    assert (turns.places, turns.values, turns.references) == ((0, 2, 3), (1.0, 3.0, 1.0), (0.1, None, 0.1))


def test_what_led_to_a_run() -> None:
    """The newest runs of an environment come after what others measured before its first, not after what they still do."""
    runs = [About("", f"2026-01-0{day}", where, {}) for day, where in enumerate(["old", "old", "new", "old", "new"])]
    assert [run.started[-1] for run in leading(runs, "new")] == ["0", "1", "2", "4"]
    assert [run.started[-1] for run in leading(runs, "new", 3)] == ["1", "2", "4"]
    assert leading(runs, "nowhere") == []


def test_the_limit_keeps_the_newest(place: Place) -> None:
    """A limited trend holds the newest points of its environment, the oldest of them first."""
    with place.opened() as history:
        history.add(record(f"2026-01-01T00:00:{n:02}Z", float(n)) for n in range(1, 8))
        history.add([record("2026-01-02", 99.0, "there")])
    assert values(place, limit=3) == [5.0, 6.0, 7.0]
    assert values(place, "there") == [99.0]
    with pytest.raises(ValueError, match="limit is 0"):
        values(place, limit=0)


def test_a_run_is_added_once(place: Place) -> None:
    """A run that is there already is left out, whoever adds it again; one that differs in a digit is another."""
    with place.opened() as history:
        assert history.add([record(), record(value=1.0000001)]) == 2
    with place.opened() as history:
        assert history.add([record(), record("2026-01-02"), record("2026-01-02")]) == 1
        assert len(history.runs()) == 3


def test_runs_are_added_all_or_none(place: Place) -> None:
    """Where the second run cannot be had, the first is not added either."""

    def records():
        yield record()
        raise HistoryError("the file is damaged")

    with pytest.raises(HistoryError, match="the file is damaged"), place.opened() as history:
        history.add(records())
    assert values(place) == []


def test_removed_runs_are_gone(place: Place) -> None:
    """A run that is removed takes its points with it, and the series that had no others."""
    only = make_record("2026-01-01", "there", {}, [Value(B, 1.0)])
    with place.opened() as history:
        history.add([record(), record("2026-01-02", 2.0), only])
        history.remove([record().about, only.about])
        assert history.series() == (("here", A), ("here", B))
    assert values(place) == [2.0]


def test_a_history_of_another_project(place: Place) -> None:
    """The first project that has a name owns the history; another one is refused until it says that it is the same."""
    with place.opened() as history:
        history.add([record()])
    with place.opened("ours") as history:
        assert history.project() == "ours"
    with pytest.raises(HistoryError, match="it is the history of 'ours' and this is 'theirs'"), place.opened("theirs"):
        pass
    with place.opened() as history:
        history.claim("theirs", anew=True)
    with place.opened("theirs") as history:
        assert len(history.runs()) == 1


def test_writers_at_once(place: Place) -> None:
    """Two processes that make and fill one history at the same moment lose no run and meet no error."""
    command = [sys.executable, "-c", WRITER, place.where, str(place.root)]
    writers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for name in "ab"
    ]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [("", 0)] * 2
    key = replace(A, test="tests/test_x.py::test_19")
    with place.opened() as history:
        points = history.trends("here", [key])[key]
        assert history.project() == "ours"
    assert sorted((p.commit, p.started[17:19]) for p in points) == [(n, f"{i:02}") for n in "ab" for i in range(6)]


def test_a_run_goes_from_one_store_to_another(place: Place, tmp_path: Path) -> None:
    """A run has the same name wherever it is kept, and so is added once by way of another store."""
    with open_history(tmp_path / "other.sqlite") as other, place.opened() as history:
        other.add([record(), record("2026-01-02", 2.0)])
        history.add([record()])
        assert history.add(other.record(about) for about in other.runs()) == 1
        assert history.runs() == other.runs()


# --- what a history does not take ---------------------------------------------------------------------------------


def test_a_run_that_is_not_taken_is_sent_by_the_next(place: Place) -> None:
    """While the history is another project's, runs are kept in the project; the first that is taken takes them along."""
    (place.root / "pyproject.toml").write_text('[project]\nname = "Ours"\n')
    with place.opened("theirs") as history:
        history.add([record("2025-01-01")])
    for number in (1, 2):
        run = run_of(float(number), f"2026-01-0{number}T00:00:00+00:00")
        with pytest.raises(HistoryError, match=r"the run is kept in .*unsent.* and sent by the next one"):
            remember(place.root, place.where, run, gate(run, {}))
    assert len(waiting(place.root)) == 2
    with place.opened() as history:
        history.claim("ours", anew=True)
    run = run_of(3.0, "2026-01-03T00:00:00+00:00")
    past = remember(place.root, place.where, run, gate(run, {}))
    assert past.courses[A].values[-3:] == (1.0, 2.0, 3.0)
    assert waiting(place.root) == []


def test_a_half_written_run_that_waits(tmp_path: Path) -> None:
    """A kept run of which half is missing is named, nothing is added, and the run at hand is kept too."""
    kept = tmp_path / WAITING / f"{record().about.digest}.jsonl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b'{"format":1,"started":"2026-01-01","environment":"x","context":{}}\n')
    run = run_of(1.0)
    with pytest.raises(HistoryError, match="cannot be sent: it is not what was written") as caught:
        remember(tmp_path, "history.sqlite", run, gate(run, {}))
    assert str(kept) in str(caught.value)
    assert len(waiting(tmp_path)) == 2


# --- PostgreSQL alone ---------------------------------------------------------------------------------------------


def execute(database: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def refused(where: str, root: Path) -> str:
    with pytest.raises(HistoryError) as caught, open_history(where, root):
        pass
    assert str(caught.value).count("[pe-perf: bad-history]") == 1
    return str(caught.value)


def test_the_database_goes_away_in_the_middle_of_a_run(database: str, tmp_path: Path) -> None:
    """The server ends the connection while a run is being added: nothing of it is there, and the next attempt works."""
    kick = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL"
    )

    def records():
        yield record()
        execute(database, kick)
        yield record("2026-01-02", 2.0)

    with (
        pytest.raises(HistoryError, match=r"terminating connection.*nothing was added"),
        open_history(database) as history,
    ):
        history.add(records())
    with open_history(database) as history:
        assert history.runs() == ()
        # Between two questions it is noticed, and another connection takes over.
        execute(database, kick)
        assert history.add([record()]) == 1


def test_no_server(tmp_path: Path) -> None:
    """A run whose server cannot be reached is kept, and the password is in no message."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        where = f"postgresql://ann:secret@127.0.0.1:{closed.getsockname()[1]}/perf"
        run = run_of(1.0)
        with pytest.raises(HistoryError) as caught:
            remember(tmp_path, where, run, gate(run, {}))
    message = str(caught.value)
    assert "ann:***@127.0.0.1" in message
    assert re.search("refused.*the run is kept in", message)
    assert "secret" not in message
    assert len(waiting(tmp_path)) == 1


@pytest.mark.parametrize("where", ["mysql://db/perf", "postgresql://[::1/perf", "postgresql://h:no/perf"])
def test_an_address_that_is_none(where: str, tmp_path: Path) -> None:
    """An address of another kind of database, or of none, is an error in words."""
    assert where in refused(where, tmp_path)


def test_a_newer_format(database: str, tmp_path: Path) -> None:
    """Tables of a newer version ask for an upgrade."""
    with open_history(database) as history:
        history.add([record()])
    execute(database, "UPDATE pe_perf_about SET value = '7' WHERE name = 'format'")
    assert "format 7 is newer than the 1 that this version understands" in refused(database, tmp_path)


def test_tables_of_another_program(database: str, tmp_path: Path) -> None:
    """Tables of our names that are not ours are not written to."""
    execute(database, "CREATE TABLE pe_perf_about (name text, value text)")
    assert "made by another program" in refused(database, tmp_path)


def test_a_ratio_without_end(database: str) -> None:
    """The interval of a ratio against zero is kept as it is."""
    endless = make_record("2026-01-01", "here", {}, [Value(B, 1.0, None, math.inf, math.inf, "regressed")])
    with open_history(database) as history:
        history.add([endless])
        assert history.record(endless.about) == endless


def test_without_the_extra(tmp_path: Path) -> None:
    """Where the extra is not installed, the message names it."""
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from pytest_pe_perf.history.store import open_history\n"
        "try:\n    with open_history('postgres://db/perf'): pass\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "pip install 'pytest-pe-perf[sql]'" in done.stdout
