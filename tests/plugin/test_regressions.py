"""From no baseline to a red test and back to green: the story that the plugin exists for."""

from __future__ import annotations

import shlex
import xml.etree.ElementTree as ET

import pytest

WORK = """
KEPT = []

def work():
    return sum(i * i for i in range(200))

def steady():
    return sorted(range(100))
"""
TESTS = """
import work

def test_work(pe_latency, pe_memory):
    assert pe_latency(work.work) > 0
    assert pe_memory(work.work) > 0

def test_steady(pe_latency):
    assert pe_latency(work.steady)

def test_plain():
    assert True
"""
SLOWER = WORK.replace(
    "    return sum(i", "    for _ in range(20):\n        sum(i * i for i in range(1000))\n    return sum(i"
)
LEAKS = WORK.replace("    return sum(i", "    KEPT.append(bytes(67))\n    return sum(i")
HUNGRY = WORK.replace("    return sum(i", "    [0] * 10_000\n    return sum(i")


def start(project, work=WORK):
    project.write("work.py", work)
    project.write("test_work.py", TESTS)


@pytest.fixture(scope="module")
def first(shared):
    """The first run of a project."""
    start(shared)
    return shared, shared.gate()


@pytest.fixture(scope="module")
def began(first, tmp_path_factory):
    """A project that has accepted what its first run measured."""
    project = first[0].copy(tmp_path_factory.mktemp("began"))
    done = project.update()
    assert done.status == 0, done.out
    return project


@pytest.fixture
def accepted(began, tmp_path):
    """Such a project for a test of its own."""
    return began.copy(tmp_path)


@pytest.fixture(scope="module")
def unchanged(began, tmp_path_factory):
    """Such a project after three more runs of the same code."""
    project = began.copy(tmp_path_factory.mktemp("unchanged"))
    return project, project.in_turn([], [], [])


@pytest.fixture(scope="module")
def slower(began, tmp_path_factory):
    """Such a project after a run of slower code."""
    project = began.copy(tmp_path_factory.mktemp("slower"))
    start(project, SLOWER)
    return project, project.gate("--junitxml=junit.xml")


@pytest.fixture(scope="module")
def accepted_slower(slower, tmp_path_factory):
    """The same after the command has run that the failure's message ends with."""
    project = slower[0].copy(tmp_path_factory.mktemp("accepted_slower"))
    command = message_of(slower[1])
    words = shlex.split(command[command.index("pe-perf update") :])
    assert words[:2] == ["pe-perf", "update"]
    done = project.update(*words[2:])
    assert done.status == 0, done.out
    return project


def test_the_first_run_passes_and_names_the_next_command(first):
    """Without a baseline every row is new, the run is green, and it says how to accept what it measured."""
    project, done = first
    assert done.status == 0
    assert set(project.verdicts().values()) == {"new"}
    assert "pe-perf update" in done.out
    assert "3 passed" in done.out
    assert {"report.html", "run.json", "history.sqlite"} <= {
        path.name for path in (project.folder / ".pe-perf").iterdir()
    }
    assert not (project.folder / "baselines").exists()


def test_unchanged_code_is_green_and_adds_a_point_to_the_history(unchanged):
    """Three runs of the same code exit 0 and leave three points."""
    project, runs = unchanged
    verdicts = project.verdicts()
    assert set(verdicts.values()) == {"unchanged"}
    for done in runs:
        assert done.status == 0, done.out
        assert f"pe-perf: {len(verdicts)} unchanged" in done.out
    assert project.history_points() == 1 + len(runs)


def test_slower_code_fails_exactly_the_tests_that_call_it(slower):
    """A planted slow-down makes the run exit 1 and fails the test of the function, not its neighbour's."""
    project, done = slower
    assert done.status == 1
    assert "1 failed, 2 passed" in done.out
    assert project.verdicts()["test_work", "", "latency"] == "regressed"
    assert project.verdicts()["test_steady", "", "latency"] == "unchanged"
    suite = ET.parse(project.folder / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("1", "0")


def message_of(done):
    """Return the command that the failure message ends with."""
    lines = [line.strip() for line in done.out.splitlines()]
    return next(line for line in lines if line.startswith(("pe-perf update", "accept: pe-perf update", "accept")))


def test_the_message_names_old_new_interval_and_the_accepting_command(slower, accepted_slower):
    """The failure says what changed from what to what, with its interval, and its last line makes the run green."""
    _, done = slower
    for word in ("regressed", "->", "95 %", "threshold", "processes"):
        assert word in done.out.replace("→", "->"), word
    assert "traceback" not in done.out.lower()
    again = accepted_slower.gate()
    assert again.status == 0, again.out


def test_a_slower_row_is_not_accepted_without_a_reason(slower):
    """`pe-perf update` refuses a worse row and leaves the baseline as it was."""
    project, _ = slower
    before = project.baseline_files()
    done = project.update()
    assert done.status == 2
    assert "--reason" in done.out
    assert "Traceback" not in done.out
    assert project.baseline_files() == before


def test_an_update_that_changes_nothing_is_byte_identical(began, unchanged):
    """Updating after a green run touches no file."""
    project, _ = unchanged
    assert project.pe_perf("update").status == 0
    assert project.baseline_files() == began.baseline_files()


def test_memory_kept_by_every_call_fails(accepted):
    """A hundred bytes kept by each call are found as retained memory."""
    start(accepted, LEAKS)
    done = accepted.gate()
    assert done.status == 1
    assert accepted.verdicts()["test_work", "", "retained"] == "regressed"
    assert "memory kept" in done.out or "retained" in done.out


def test_more_memory_and_one_more_allocation_fail(accepted):
    """A larger peak and a single further allocation are found, to the byte and to the one."""
    start(accepted, HUNGRY)
    assert accepted.gate().status == 1
    assert accepted.verdicts()["test_work", "", "peak"] == "regressed"
    assert accepted.verdicts()["test_work", "", "allocations"] == "regressed"


def test_a_deleted_row_is_new_again(accepted):
    """A row that was taken out of the baseline is measured as new, and said so."""
    (path,) = (accepted.folder / "baselines").rglob("*.json")
    lines = path.read_text().splitlines()
    kept = [line for line in lines if not ('"test_steady"' in line and '"latency"' in line)]
    path.write_text("\n".join(kept).replace("},\n  ]", "}\n  ]") + "\n")
    done = accepted.gate()
    assert done.status == 0, done.out
    assert accepted.verdicts()["test_steady", "", "latency"] == "new"
    assert "1 new" in done.out


@pytest.mark.slow
def test_fail_fast_and_last_failed_know_a_regression(accepted):
    """-x stops at the regressed test and --lf runs it again, because it is that test that failed."""
    start(accepted, SLOWER)
    for done in accepted.in_turn(["-x"], ["--lf"]):
        assert done.status == 1
        assert "1 failed" in done.out
        assert "passed" not in done.out.splitlines()[-1]


def test_faster_code_is_improved_and_tightens_the_baseline(accepted_slower, tmp_path):
    """A large improvement is confirmed in fresh processes, passes, and is what update writes."""
    project = accepted_slower.copy(tmp_path)
    slow = project.rows()["test_work", "latency"]["value"]
    start(project)
    assert project.gate().status == 0
    assert project.verdicts()["test_work", "", "latency"] == "improved"
    assert project.update().status == 0
    assert project.rows()["test_work", "latency"]["value"] < slow / 5
