"""Parts of a suite: what did not run is said and kept, what is gone is missing, and -n measures serially."""

from __future__ import annotations

import pytest

WORK = """
def work():
    return sum(range(200))
"""
SLOWER = WORK.replace("range(200)", "range(20_000)")
ONE = """
from work import work

def test_a(pe_latency):
    pe_latency(work)

def test_b(pe_latency):
    pe_latency(sorted, range(300))

def test_plain():
    pass
"""
TWO = """
import pytest

@pytest.mark.slow
def test_c(pe_latency):
    pe_latency(sorted, range(300))
"""
NOT_RUN = "tests that were not part of this run"


@pytest.fixture(scope="module")
def accepted(shared):
    shared.settings('[tool.pytest.ini_options]\nmarkers = ["slow"]\n')
    shared.write("work.py", WORK)
    shared.write("test_one.py", ONE)
    shared.write("sub/test_two.py", TWO)
    done = shared.accept("--pe-perf-time=5 ms")
    assert done.status == 0, done.out
    assert len(shared.rows()) == 3, done.out
    return shared


@pytest.fixture
def suite(accepted):
    """The accepted suite as it was, whatever an earlier test did to it."""
    accepted.write("work.py", WORK)
    accepted.write("test_one.py", ONE)
    accepted.write("sub/test_two.py", TWO)
    return accepted


@pytest.mark.parametrize(
    ("selection", "absent"),
    [
        (["-k", "test_a"], 2),
        (["-m", "not slow"], 1),
        (["--deselect", "test_one.py::test_b"], 1),
        (["test_one.py::test_b"], 2),
        (["sub"], 2),
    ],
)
def test_rows_of_tests_that_were_left_out_are_said_and_kept(suite, selection, absent):
    """A selection judges what ran, counts the rows that did not run, and calls none of them missing."""
    before = suite.baseline_files()
    done = suite.gate(*selection, "--pe-perf-update", "--pe-perf-time=5 ms")
    assert done.status == 0, done.out
    said = f"{absent} baseline row{'s' if absent > 1 else ''} belong{'s' if absent == 1 else ''} to {NOT_RUN}"
    assert said in done.out
    assert set(suite.verdicts().values()) == {"unchanged"}
    assert len(suite.verdicts()) == 3 - absent
    assert suite.baseline_files() == before


def test_a_removed_test_and_a_deleted_module_are_missing(suite):
    """The row of a removed test, of a module without tests, and of a deleted module is missing; strict fails for it."""
    suite.write("test_one.py", ONE.replace("def test_b", "def helper"))
    (suite.folder / "sub/test_two.py").unlink()
    done = suite.gate("--pe-perf-strict", "--pe-perf-time=5 ms")
    assert done.status == 1
    assert suite.verdicts() == {
        ("test_a", "", "latency"): "unchanged",
        ("test_b", "", "latency"): "missing",
        ("test_c", "", "latency"): "missing",
    }
    assert NOT_RUN not in done.out
    suite.write("test_one.py", "X = 1\n")
    suite.write("sub/test_two.py", "import pytest\npytest.skip('not here', allow_module_level=True)\n")
    nothing = suite.gate("--pe-perf-time=5 ms")
    assert nothing.status == 5
    assert suite.verdicts() == {("test_a", "", "latency"): "missing", ("test_b", "", "latency"): "missing"}
    assert f"1 baseline row belongs to {NOT_RUN}" in nothing.out


def test_last_failed_leaves_the_others_out(suite):
    """With --lf only the failed test is collected, and its neighbours in the module are not called missing."""
    suite.write("test_one.py", ONE.replace("    pass", "    assert False"))
    assert suite.gate("--pe-perf-time=5 ms").status == 1
    suite.write("test_one.py", ONE.replace("    pass", "    assert False "))
    done = suite.gate("--lf", "--pe-perf-time=5 ms")
    assert "1 failed" in done.out
    assert f"3 baseline rows belong to {NOT_RUN}" in done.out
    assert "missing" not in done.out


def test_an_empty_run_takes_no_other_runs_place(suite):
    """--co and a selection without performance tests write nothing, and the latter says that nothing was measured."""
    suite.gate("--pe-perf-time=5 ms")
    files = {path: path.read_bytes() for path in (suite.folder / ".pe-perf").iterdir()}
    collected = suite.gate("--co", "--pe-perf-update")
    assert collected.status == 0
    plain = suite.gate("-k", "test_plain")
    assert plain.status == 0
    assert "nothing measured" in plain.out
    assert f"3 baseline rows belong to {NOT_RUN}" in plain.out
    assert {path: path.read_bytes() for path in (suite.folder / ".pe-perf").iterdir()} == files


def test_with_workers_everything_is_measured_serially(suite):
    """-n 2 is set aside, said once, and a regression is found as without; -x stops there and says what did not run."""
    suite.write("work.py", SLOWER)
    done = suite.gate("-p", "xdist", "-n", "2", "-x", "--pe-perf-time=5 ms", "sub", "test_one.py")
    assert done.status == 1, done.out
    assert done.out.count("-n 2 set aside") == 1
    assert "stopping after 1 failures" in done.out
    assert suite.verdicts()["test_a", "", "latency"] == "regressed"
    assert suite.verdicts()["test_c", "", "latency"] == "unchanged"
    assert f"1 baseline row belongs to {NOT_RUN}" in done.out
