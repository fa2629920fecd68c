"""What becomes of a baseline: tests get other names, times grow old, and sizes creep; nothing of it hides a regression."""

from __future__ import annotations

import json
import subprocess

import pytest

TESTS = """
import pytest

def test_list(pe_memory):
    pe_memory(lambda: [0] * 1000)

def test_one_way(pe_memory):
    pe_memory(lambda: bytearray(7000))

def test_another_way(pe_memory):
    pe_memory(lambda: bytearray(7000))

def test_sum(pe_latency):
    pe_latency(lambda: sum(range(1000)))

@pytest.mark.pe_memory(threshold="10 %", margin="5 %")
def test_creeps(pe_memory):
    pe_memory(lambda: bytes(80000))
"""
AFTER = TESTS.replace("test_list", "test_a_list").replace("test_one", "test_third").replace("test_another", "test_4th")
MOVED = """
from size import SIZE

def test_moved(pe_memory):
    pe_memory(lambda: bytes(SIZE))
"""
SIZE = "SIZE = 3000\n"


def commit(project, times: int) -> None:
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    for _ in range(times):
        subprocess.run([*git, "add", "-A"], cwd=project.folder, check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], cwd=project.folder, check=True)


def files(project) -> set[str]:
    return {name.rpartition("/")[2].removesuffix(".json") for name in project.baseline_files()}


def accept_less(project) -> None:
    """Let the creeping row have been accepted within its margin of today, long after it was much smaller."""
    row = project.rows()["test_creeps", "peak"]
    edited = row | {"value": int(row["value"] * 0.995), "anchor": int(row["value"] * 0.9)}
    for path in (project.folder / "baselines").rglob("*.json"):
        path.write_text(path.read_text().replace(json.dumps(row), json.dumps(edited)))
    assert project.rows()["test_creeps", "peak"] == edited


@pytest.fixture(scope="module")
def later(shared):
    """A project five commits after its baseline: tests have other names, one uses more memory, one has crept there."""
    shared.settings('stale_after = 2\n[tool.pytest.ini_options]\npythonpath = ["."]\n')
    shared.write(".gitignore", ".pe-perf/\n__pycache__/\n")
    shared.write("size.py", SIZE)
    shared.write("test_it.py", TESTS)
    shared.write("test_moved.py", MOVED)
    subprocess.run(["git", "init", "-q"], cwd=shared.folder, check=True)
    done = shared.accept()
    assert done.status == 0, done.out
    accept_less(shared)
    commit(shared, 5)
    shared.accepted = shared.rows()
    shared.write("test_it.py", AFTER)
    (shared.folder / "test_moved.py").unlink()
    shared.write("test_there.py", MOVED)
    shared.write("size.py", SIZE.replace("3", "9"))
    stopped, shared.done = shared.in_turn(
        ["-x", "--junitxml=stopped.xml", "test_there.py", "test_it.py", "--pe-perf-json=stopped.json"],
        ["--pe-perf-strict", "--junitxml=junit.xml"],
    )
    shared.stopped = stopped
    return shared


@pytest.mark.slow
def test_a_renamed_test_is_held_against_the_baseline_that_it_had(later):
    """One that did not change passes, even under strict; one that got worse has regressed, though it moved."""
    assert later.done.status == 1
    assert later.outcomes()["test_a_list"] == "passed"
    verdicts = later.verdicts()
    assert verdicts["test_a_list", "", "peak"] == "unchanged"
    assert verdicts["test_moved", "", "peak"] == "regressed"
    assert "peak memory of a call (peak) regressed" in later.message("test_moved")
    assert later.reasons()["test_moved peak"].endswith("renamed from test_moved.py::test_moved")
    notes = later.run_file()["notes"]
    assert "test_it.py::test_a_list looks like test_list renamed; pe-perf update keeps its baseline" in notes
    assert "note: test_it.py::test_a_list looks like test_list renamed" in later.done.out


def test_a_renamed_test_that_got_worse_fails_where_it_stands(later):
    """So -x stops there; what did not run is neither missing nor guessed at, whatever it is called now."""
    assert later.stopped.status == 1
    assert "stopping after 1 failures" in later.stopped.out
    assert list(later.outcomes("stopped.xml")) == ["test_moved"]
    assert "renamed from test_moved.py::test_moved" in later.message("test_moved", "stopped.xml")
    content = json.loads((later.folder / "stopped.json").read_text())
    said = {j["key"]["test"]: j["verdict"] for j in content["judgements"] if j["key"]["metric"] == "peak"}
    assert said == {
        "test_there.py::test_moved": "regressed",
        "test_it.py::test_one_way": "missing",
        "test_it.py::test_another_way": "missing",
    }
    assert any(
        note.endswith("baseline rows belong to tests that were not part of this run") for note in content["notes"]
    )


def test_what_cannot_be_told_apart_is_new(later):
    """Two tests of one source that both have other names are named, and not guessed."""
    verdicts = later.verdicts()
    assert verdicts["test_third_way", "", "peak"] == verdicts["test_4th_way", "", "peak"] == "new"
    assert verdicts["test_one_way", "", "peak"] == verdicts["test_another_way", "", "peak"] == "missing"
    said = "may be test_another_way and test_one_way renamed; which is which cannot be told, so they are new"
    assert any(note.endswith(said) for note in later.run_file()["notes"])


def test_a_time_that_is_too_old_decides_nothing(later):
    """It is inconclusive, and says since when and what to do."""
    assert later.verdicts()["test_sum", "", "latency"] == "inconclusive"
    reason = later.reasons()["test_sum latency"]
    assert "but its baseline was accepted 4 commits ago or earlier; accept it anew with: pytest --pe-perf" in reason


def test_a_creep_fails_its_test(later):
    """A step that nobody would notice fails with the words that say from where."""
    message = later.message("test_creeps")
    assert "peak memory of a call (peak) regressed: +11.1 % since its anchor (70.3 KiB), beyond +10.0 %" in message
    assert "against its baseline unchanged" in message
    assert later.verdicts()["test_creeps", "", "allocations"] == "unchanged"


def test_an_update_needs_a_reason_and_moves_the_rows(later):
    """What kept its value keeps it under the new name; what got worse has the reason, and a new anchor."""
    refused = later.pe_perf("update")
    assert refused.status == 2
    assert later.rows() == later.accepted
    done = later.update("--reason", "it is larger")
    assert done.status == 0, done.out
    assert "rename  test_a_list" in done.out
    assert "the history of test_it.py::test_list goes on as test_it.py::test_a_list" in done.out
    trend = later.pe_perf("history", "show", "test_moved.py", "--metric=peak")
    assert "earlier: test_moved.py::test_moved" in trend.out
    assert files(later) == {"test_it", "test_there"}
    before, rows = later.accepted, later.rows()
    kept, moved, crept = (rows[test, "peak"] for test in ("test_a_list", "test_moved", "test_creeps"))
    assert (kept["value"], kept["renamed_from"]) == (before["test_list", "peak"]["value"], "test_it.py::test_list")
    assert (moved["reason"], moved["renamed_from"]) == ("it is larger", "test_moved.py::test_moved")
    assert (crept["reason"], "anchor" in crept, "renamed_from" in crept) == ("it is larger", False, False)
    assert rows["test_sum", "latency"] != before["test_sum", "latency"]
    assert not {test for test, _ in rows} & {"test_list", "test_one_way", "test_another_way"}


def test_then_there_is_nothing_left_to_say(later):
    """Under strict all is unchanged; and a time of another interpreter is recorded anew by a run that updates."""
    later.edit_row("test_sum", "latency", made_with="cpython 3.11.0")
    done = later.accept("--pe-perf-strict")
    assert done.status == 0, done.out
    verdicts = later.verdicts()
    assert verdicts.pop(("test_sum", "", "latency")) == "accepted"
    assert set(verdicts.values()) == {"unchanged"}
    assert later.run_file()["notes"] == []
    assert later.rows()["test_sum", "latency"]["made_with"] != "cpython 3.11.0"
