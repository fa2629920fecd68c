from __future__ import annotations

import csv
import io
import json
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_pe_perf.history.interface import Later
from pytest_pe_perf.history.past import recall
from pytest_pe_perf.history.record import IMPORTED, Value, make_record
from pytest_pe_perf.history.store import WAITING, open_history
from pytest_pe_perf.model import Key
from pytest_pe_perf.report.course import changes_of
from pytest_pe_perf.report.screen import width_of

STEP, CALM, CREEP = (Key(f"tests/perf/test_x.py::test_{name}", "", "latency") for name in ("step", "calm", "creep"))
PEAK = Key(CALM.test, "", "peak")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
Command = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "ours"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(project: Path, count: int = 60) -> None:
    """Write a history: a step of 20 % at run 40, one that creeps, one whose machine changed at run 20, counts."""
    rng = random.Random(0)
    with open_history(project / ".pe-perf/history.sqlite", project="ours") as history:
        records = []
        for number in range(count):
            noise = [rng.gauss(1, 0.005) for _ in range(3)]
            values = [
                Value(STEP, 1e-3 * noise[0] * (1.2 if number >= 40 else 1.0), verdict="unchanged"),
                Value(CREEP, 1e-3 * noise[1] * (1 + 0.002 * number), verdict="unchanged"),
                Value(CALM, 1e-3 * noise[2] * (2.0 if number >= 20 else 1.0), verdict="regressed"),
                Value(PEAK, 1024.0, verdict="new"),
            ]
            where = "slow" if number >= 20 else "fast"
            context = {"commit": f"{number:040x}", "branch": "main"}
            started = (FIRST + timedelta(days=number)).isoformat()
            records.append(make_record(started, where, context, values))
        history.add(records)


def test_runs(project: Path, pe_perf: Command) -> None:
    """Runs are listed by environment, the newest last, with commit, branch and what the gate said, in 80 columns."""
    fill(project)
    lines = pe_perf("history", "--last", "2").splitlines()
    assert lines[0::3] == ["fast", "slow"]
    assert lines[-1] == "  2026-03-01 00:00  0000000000  main            2 unchanged, 1 regressed, 1 new"
    assert max(map(width_of, lines)) <= 80
    found = json.loads(pe_perf("history", "--json", "--last", "1"))
    assert (found["all"], found["unsent"]) == (60, 0)
    assert [run["started"][:10] for run in found["runs"]] == ["2026-01-20", "2026-03-01"]
    assert found["runs"][1]["verdicts"] == {"unchanged": 2, "regressed": 1, "new": 1}


def test_nothing_to_show(pe_perf: Command) -> None:
    """An empty history has an exit status of its own, and says how to begin."""
    assert "make one with pytest --pe-perf" in pe_perf("history", status=3)
    assert "holds no run yet" in pe_perf("history", "--changes", status=3)
    assert "holds no run yet" in pe_perf("history", "show", status=3)
    assert json.loads(pe_perf("history", "show", "--json", status=3)) == []


def test_runs_that_wait(project: Path, pe_perf: Command) -> None:
    """Runs that the history did not take are counted."""
    fill(project, 1)
    (project / WAITING).mkdir(parents=True)
    (project / WAITING / "0123.jsonl").touch()
    assert pe_perf("history").endswith("not sent yet: 1 run; the next pytest --pe-perf sends all that wait\n")


def test_a_trend(project: Path, pe_perf: Command) -> None:
    """A trend is a line of bars with its ends, for each environment and metric that was asked for."""
    fill(project)
    text = pe_perf("history", "show", STEP.test)
    assert text.splitlines()[:2] == [STEP.test, "  fast"]
    assert "▁" in text
    assert "40 runs, 2026-01-21 to 2026-03-01" in text
    assert "(+" in text
    assert max(map(width_of, text.splitlines())) <= 80
    assert "B" in pe_perf("history", "show", "tests/perf", "--metric", "peak", "--last", "1")
    (first, _) = json.loads(pe_perf("history", "show", STEP.test, "--json"))
    assert (first["environment"], first["key"]["test"], len(first["points"])) == ("fast", STEP.test, 20)


def test_a_pattern_that_names_nothing(project: Path, pe_perf: Command) -> None:
    """A pattern that names no test of the history is an error."""
    fill(project, 1)
    assert "'tests/nowhere' names no test of the history" in pe_perf("history", "show", "tests/nowhere", status=2)


def test_changes(project: Path, pe_perf: Command) -> None:
    """A step is found with date, commit, size and interval; a creep too; another machine is no change."""
    fill(project)
    lines = pe_perf("history", "--changes").splitlines()
    step, creep = (next(i for i, line in enumerate(lines) if line.strip() == key.test) for key in (STEP, CREEP))
    assert lines[step - 1].startswith("2026-02-10  0000000000  latency +")
    assert " to +" in lines[step - 1]
    assert "crept since 2026-01-21" in lines[creep - 1] or "latency +" in lines[creep - 1]
    assert not any(CALM.test in line for line in lines)
    assert max(map(width_of, lines)) <= 80
    found = {one["key"]["test"]: one for one in json.loads(pe_perf("history", "--changes", "--json"))}
    (change,) = found[STEP.test]["changes"]
    assert change["commit"] == f"{40:040x}"
    assert 1.18 < change["low"] < change["ratio"] < change["high"] < 1.22


def test_no_change(project: Path, pe_perf: Command) -> None:
    """Where nothing changed, that is said."""
    fill(project, 30)
    with open_history(project / ".pe-perf/history.sqlite") as history:
        history.remove(run for run in history.runs() if run.environment == "slow")
    assert pe_perf("history", "--changes") == "No test changed its level.\n"


def test_what_another_program_measured_is_no_change(project: Path, pe_perf: Command) -> None:
    """Where imported numbers end and ours begin, the level may differ."""
    with open_history(project / ".pe-perf/history.sqlite") as history:
        history.add(
            make_record(f"2026-01-{day:02}", "here", {}, [Value(CALM, value + day / 1e6, verdict=verdict)])
            for day, value, verdict in [
                *((d, 2.0, IMPORTED) for d in range(1, 13)),
                *((d, 1.0, "new") for d in range(13, 29)),
            ]
        )
    assert pe_perf("history", "--changes") == "No test changed its level.\n"


def test_the_page_and_the_command_agree(project: Path, pe_perf: Command) -> None:
    """Both find the same, of machines that took turns and of one that gets slower, known of all runs or not of one."""
    rng, records = random.Random(2), []
    for number in range(90):
        where = "here" if number >= 30 else "one" if number % 2 else "other"
        speed = math.exp(rng.gauss(0, 0.05)) * (1.5 if number >= 60 else 1.0)
        levels = {STEP: 1.06 if number >= 45 else 1.0, CALM: 1.0, CREEP: 1.0}
        values = [Value(PEAK, 1024.0 if number < 14 else 2048.0, verdict="unchanged")]
        for key, level in levels.items():
            reference = None if key == CREEP and number == 40 else 2e-5 * speed
            time = 1e-3 * level * speed * math.exp(rng.gauss(0, 0.01))
            values.append(Value(key, time, reference, verdict="unchanged"))
        started = (FIRST + timedelta(hours=number)).isoformat()
        records.append(make_record(started, where, {"commit": str(number)}, values))
    with open_history(project / ".pe-perf/history.sqlite") as history:
        history.add(records)
        past = recall(history, "here", [STEP, CALM, CREEP, PEAK])
    page = [
        (key.test, key.metric, past.runs[change.index].context["commit"], change.ratio, change.low, change.high)
        for key, changes in changes_of(past, past.courses).items()
        for change in changes
    ]
    said = [
        (one["key"]["test"], one["key"]["metric"], change["commit"], change["ratio"], change["low"], change["high"])
        for one in json.loads(pe_perf("history", "--changes", "--json"))
        for change in one["changes"]
    ]
    assert sorted(page) == sorted(said)
    # At one speed of the machine only the step is left; where it is not known of one run, the machine looks like a step.
    found = {(test, metric, commit): ratio for test, metric, commit, ratio, *_ in said}
    assert found.keys() == {
        (STEP.test, "latency", "45"),
        (CREEP.test, "latency", "60"),
        (PEAK.test, "peak", "14"),
        (PEAK.test, "peak", "15"),
    }
    assert found[STEP.test, "latency", "45"] == pytest.approx(1.06, rel=0.01)


def test_export(project: Path, pe_perf: Command) -> None:
    """Every value of every run is written, to the screen or to a file, as CSV or as JSON."""
    fill(project, 3)
    rows = list(csv.DictReader(io.StringIO(pe_perf("history", "export"))))
    assert len(rows) == 12
    assert pe_perf("history", "export", "--format", "json", "--output", "all.json") == "wrote all.json\n"
    entries = json.loads((project / "all.json").read_text())
    assert [float(row["value"]) for row in rows] == [entry["value"] for entry in entries]


def test_prune(project: Path, pe_perf: Command) -> None:
    """What is beyond the newest of each environment goes, and what is too old; a dry run only counts."""
    fill(project)
    assert pe_perf("history", "prune", "--keep", "15", "--dry-run") == "30 of 60 runs would be removed\n"
    assert pe_perf("history", "prune", "--keep", "15") == "30 of 60 runs removed\n"
    assert pe_perf("history", "prune", "--older-than", "1000 weeks") == "0 of 30 runs removed\n"
    age = (datetime.now(UTC) - FIRST).days - 10
    assert pe_perf("history", "prune", "--older-than", f"{age}d") == "6 of 30 runs removed\n"
    assert json.loads(pe_perf("history", "--json"))["all"] == 24


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (("prune",), "say what may go"),
        (("prune", "--older-than", "soon"), "'soon' is no age"),
        (("prune", "--older-than", "99999999999w"), "is no age"),
        (("prune", "--keep", "0"), "0 is not in the range"),
        (("--changes", "show"), "options of show stand after it"),
        (("nonsense",), "No such command"),
    ],
)
def test_usage(pe_perf: Command, arguments: tuple[str, ...], seen: str) -> None:
    """What has no meaning is a usage error."""
    assert seen in pe_perf("history", *arguments, status=2)


def test_a_history_of_another_project(project: Path, pe_perf: Command) -> None:
    """The history of another project is refused, and adopted where a person says that it is this one's."""
    fill(project, 1)
    (project / "pyproject.toml").write_text('[project]\nname = "New_Name"\n')
    assert "it is the history of 'ours' and this is 'new-name'" in pe_perf("history", status=2)
    assert pe_perf("history", "adopt") == "the history is that of 'new-name'; it was 'ours''s\n"
    assert pe_perf("history").startswith("fast\n")
    (project / "pyproject.toml").write_text("[tool.pe_perf]\n")
    assert "this project has no name" in pe_perf("history", "adopt", status=2)


def test_rename(project: Path, pe_perf: Command) -> None:
    """A test goes on under its new name with all its points, until that is taken back; what is no rename is an error."""
    old, new = (Key(f"tests/perf/{name}.py::test_a", "", "latency") for name in ("old", "new"))
    with open_history(project / "elsewhere.sqlite") as history:
        history.add(make_record(f"2026-01-0{day}", "fast", {}, [Value(key, day)]) for day, key in ((1, old), (2, new)))
    pe_perf("import", "elsewhere.sqlite")
    assert "'tests/perf/older.py' names no test" in pe_perf(
        "history", "rename", "tests/perf/older.py", "tests/perf/new.py", status=2
    )
    said = pe_perf("history", "rename", "tests/perf/old.py", "tests/perf/new.py")
    assert said == f"{old.test} goes on as {new.test}\n"
    for asked in (old, new):
        (found,) = json.loads(pe_perf("history", "show", asked.test, "--json"))
        assert (found["key"]["test"], found["earlier_names"]) == (new.test, [old.test])
        assert [point["value"] for point in found["points"]] == [1.0, 2.0]
    pe_perf("history", "rename", "--undo", old.test, new.test)
    assert len(json.loads(pe_perf("history", "show", "--json"))) == 2
    assert "was not renamed" in pe_perf("history", "rename", "--undo", old.test, new.test, status=2)


def test_names_are_imported(project: Path, pe_perf: Command) -> None:
    """A history that is taken over brings along which tests were renamed; where ours says something else, that holds."""
    with open_history(project / "elsewhere.sqlite") as history:
        history.add([make_record("2026-01-01", "fast", {}, [Value(STEP, 1.0), Value(CREEP, 1.0)])])
        history.rename(lambda _: {STEP.test: Later("a", "9999"), CREEP.test: Later("b", "9999")})
    with open_history(project / ".pe-perf/history.sqlite", project="ours") as history:
        history.rename(lambda _: {STEP.test: Later("c", "9999")})
    pe_perf("import", "elsewhere.sqlite")
    assert {one["key"]["test"] for one in json.loads(pe_perf("history", "show", "--json"))} == {"b", "c"}


@pytest.mark.parametrize(
    ("where", "seen"),
    [
        ("mysql://ann:secret@db/perf", "mysql://ann:***@db/perf: a history is a file, postgresql://... or git:BRANCH"),
        ("git:perf-data", "not a git repository"),
        ("pyproject.toml", "not a history or it is damaged"),
    ],
)
def test_a_history_that_cannot_be_read(project: Path, pe_perf: Command, where: str, seen: str) -> None:
    """A history that is none is an error in words."""
    (project / "pyproject.toml").write_text(f'[tool.pe_perf]\nhistory = "{where}"\n')
    assert seen in pe_perf("history", status=2)
