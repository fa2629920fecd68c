"""From no baseline to a red test and back to green: the story that the plugin exists for."""

from __future__ import annotations

import shlex
import xml.etree.ElementTree as ET

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


def accepted(project):
    start(project)
    assert project.gate().status == 0
    done = project.pe_perf("update")
    assert done.status == 0, done.out


def test_the_first_run_passes_and_names_the_next_command(project):
    """Without a baseline every row is new, the run is green, and it says how to accept what it measured."""
    start(project)
    done = project.gate()
    assert done.status == 0
    assert set(project.verdicts().values()) == {"new"}
    assert "pe-perf update" in done.out
    assert "3 passed" in done.out
    assert {"report.html", "run.json", "history.sqlite"} <= {
        path.name for path in (project.folder / ".pe-perf").iterdir()
    }
    assert not (project.folder / "baselines").exists()


def test_unchanged_code_is_green_and_adds_a_point_to_the_history(project):
    """Three runs of the same code exit 0 and leave three points."""
    accepted(project)
    for points in (2, 3, 4):
        done = project.gate()
        assert done.status == 0, done.out
        assert set(project.verdicts().values()) == {"unchanged"}
        assert project.history_points() == points


def test_slower_code_fails_exactly_the_tests_that_call_it(project):
    """A planted slow-down makes the run exit 1 and fails the test of the function, not its neighbour's."""
    accepted(project)
    start(project, SLOWER)
    done = project.gate("--junitxml=junit.xml")
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


def test_the_message_names_old_new_interval_and_the_accepting_command(project):
    """The failure says what changed from what to what, with its interval, and its last line makes the run green."""
    accepted(project)
    start(project, SLOWER)
    done = project.gate()
    for word in ("regressed", "->", "95 %", "threshold", "processes"):
        assert word in done.out.replace("→", "->"), word
    assert "traceback" not in done.out.lower()
    command = message_of(done)
    words = shlex.split(command[command.index("pe-perf update") :])
    accepting = project.pe_perf(*words[1:])
    assert accepting.status == 0, accepting.out
    assert project.gate().status == 0


def test_a_slower_row_is_not_accepted_without_a_reason(project):
    """`pe-perf update` refuses a worse row and leaves the baseline as it was."""
    accepted(project)
    before = project.baseline_files()
    start(project, SLOWER)
    project.gate()
    done = project.pe_perf("update")
    assert done.status == 2
    assert "--reason" in done.out
    assert "Traceback" not in done.out
    assert project.baseline_files() == before


def test_an_update_that_changes_nothing_is_byte_identical(project):
    """Updating after a green run touches no file."""
    accepted(project)
    before = project.baseline_files()
    assert project.gate().status == 0
    assert project.pe_perf("update").status == 0
    assert project.baseline_files() == before


def test_memory_kept_by_every_call_fails(project):
    """A hundred bytes kept by each call are found as retained memory."""
    accepted(project)
    start(project, LEAKS)
    done = project.gate()
    assert done.status == 1
    assert project.verdicts()["test_work", "", "retained"] == "regressed"
    assert "memory kept" in done.out or "retained" in done.out


def test_more_memory_and_one_more_allocation_fail(project):
    """A larger peak and a single further allocation are found, to the byte and to the one."""
    accepted(project)
    start(project, HUNGRY)
    assert project.gate().status == 1
    assert project.verdicts()["test_work", "", "peak"] == "regressed"
    assert project.verdicts()["test_work", "", "allocations"] == "regressed"


def test_a_deleted_row_is_new_again(project):
    """A row that was taken out of the baseline is measured as new, and said so."""
    accepted(project)
    (path,) = (project.folder / "baselines").rglob("*.json")
    lines = path.read_text().splitlines()
    kept = [line for line in lines if not ('"test_steady"' in line and '"latency"' in line)]
    path.write_text("\n".join(kept).replace("},\n  ]", "}\n  ]") + "\n")
    done = project.gate()
    assert done.status == 0, done.out
    assert project.verdicts()["test_steady", "", "latency"] == "new"
    assert "1 new" in done.out


def test_fail_fast_and_last_failed_know_a_regression(project):
    """-x stops at the regressed test and --lf runs it again, because it is that test that failed."""
    accepted(project)
    start(project, SLOWER)
    done = project.gate("-x")
    assert done.status == 1
    assert "1 failed" in done.out
    assert "passed" not in done.out.splitlines()[-1]
    again = project.gate("--lf")
    assert again.status == 1
    assert "1 failed" in again.out
    assert "passed" not in again.out.splitlines()[-1]


def test_faster_code_is_improved_and_tightens_the_baseline(project):
    """A large improvement is confirmed in fresh processes, passes, and is what update writes."""
    start(project, SLOWER)
    project.gate()
    assert project.pe_perf("update").status == 0
    slow = project.rows()["test_work", "latency"]["value"]
    start(project)
    assert project.gate().status == 0
    assert project.verdicts()["test_work", "", "latency"] == "improved"
    assert project.pe_perf("update").status == 0
    assert project.rows()["test_work", "latency"]["value"] < slow / 5
