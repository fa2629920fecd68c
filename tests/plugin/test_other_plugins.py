"""The gate among pytest's own features and other plugins: files of the parent, flags of the child, expected failures."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

WORK = """
def work():
    return sum(range(200))
"""
SLOWER = WORK.replace("range(200)", "range(20_000)")
TESTS = """
import logging
import os

import pytest
from work import work

def test_plain(pe_latency):
    logging.getLogger().warning("process %d", os.getpid())
    pe_latency["sum"](work)

@pytest.mark.xfail(strict=True, reason="known to be slow")
@pytest.mark.expected
def test_strict(pe_latency):
    pe_latency(work)

@pytest.mark.xfail(reason="known to be slow")
def test_lenient(pe_latency):
    pe_latency(work)

def test_files(tmp_path_factory, pe_latency, where):
    pe_latency(work)
    assert where.read_text() == str(os.getpid())
    # What a test starts may be a gate of its own, and must not take itself for a fresh process of this one.
    assert not [name for name in os.environ if name.startswith("PE_PERF")]

def test_files_are_still_there(where):
    assert where.read_text() == str(os.getpid())

def test_broken():
    assert False
"""
CONFTEST = """
import json
import os
import sys

import pytest

def pytest_addoption(parser):
    parser.addoption("--room")

def pytest_configure(config):
    config.addinivalue_line("markers", "expected")

@pytest.fixture(scope="module")
def where(tmp_path_factory):
    path = tmp_path_factory.mktemp("x") / "file"
    path.write_text(str(os.getpid()))
    return path

def pytest_sessionstart(session):
    with open(f"start-{os.getpid()}.json", "w") as file:
        room = session.config.getoption("--room")
        if not os.path.exists("first.txt"):
            with open("first.txt", "w") as first:
                first.write(str(os.getpid()))
        json.dump([sys.flags.optimize, room, os.path.abspath(sys.path[0]) == os.getcwd(), sys.path[0]], file)
"""
OPTIONS = ("--room=12", "--pe-perf-time=5 ms", "--import-mode=importlib")


@pytest.fixture(scope="module")
def runs(shared):
    """An accepted suite, and the run that finds it slower."""
    shared.settings("[tool.pytest.ini_options]\npythonpath = ['.']\n")
    shared.write("conftest.py", CONFTEST)
    shared.write("work.py", WORK)
    shared.write("test_it.py", TESTS.replace("@pytest.mark.xfail(strict=True", "@pytest.mark.xfail(strict=False"))
    first = shared.accept(*OPTIONS)
    assert len(shared.rows()) == 4, first.out
    shared.write("work.py", SLOWER)
    shared.write("test_it.py", TESTS)
    for path in [*shared.folder.glob("start-*.json"), shared.folder / "first.txt"]:
        path.unlink()
    done = shared.command(
        *(sys.executable, "-O", "-m", "pytest", "-p", "pytest_pe_perf.plugin", "--pe-perf", *OPTIONS),
        *("--junitxml=junit.xml", "--log-file=log.txt", "--log-file-level=INFO", "--basetemp=temp", "-rA"),
    )
    return shared, done, [path.read_text() for path in shared.folder.glob("start-*.json")]


@pytest.mark.slow
def test_a_regression_is_a_failure_of_the_call_and_reaches_the_junit_file(runs):
    """The failed test has our message alone, and value and verdict stand among its properties under stable names."""
    project, done, _ = runs
    assert done.status == 1
    message = project.outcomes()["test_plain"]
    assert message.startswith("[sum] time per call (latency) regressed")
    assert "Traceback" not in message
    case = next(
        case for case in ET.parse(project.folder / "junit.xml").iter("testcase") if case.get("name") == "test_plain"
    )
    assert [child.tag for child in case if child.tag != "properties"] == ["failure"]
    properties = {item.get("name"): item.get("value") for item in case.iter("property")}
    assert properties["pe_perf.sum.latency.verdict"] == "regressed"
    assert float(properties["pe_perf.sum.latency"]) > 0


def test_a_regression_may_be_expected(runs):
    """A test with an xfail marker, strict or not, that regressed is an expected failure; its row says regressed."""
    project, done, _ = runs
    outcomes, verdicts = project.outcomes(), project.verdicts()
    for test in ("test_strict", "test_lenient"):
        assert verdicts[test, "", "latency"] == "regressed", done.out
        assert outcomes[test] == "skipped"
    assert "2 xfailed" in done.out


def test_fresh_processes_leave_the_files_of_the_first_alone(runs):
    """--basetemp, --junitxml, --log-file and what --lf remembers are the first process's although others ran since."""
    project, done, _ = runs
    assert project.verdicts()["test_files", "", "latency"] == "regressed", done.out
    outcomes = project.outcomes()
    assert "read_text" not in outcomes["test_files"]
    assert outcomes["test_files_are_still_there"] == "passed"
    assert len(outcomes) == TESTS.count("def test_")
    log = (project.folder / "log.txt").read_text()
    assert [line.split()[-1] for line in log.splitlines()] == [(project.folder / "first.txt").read_text()]
    again = project.gate(*OPTIONS, "--lf", "--co", "-q")
    assert [line for line in again.out.splitlines() if "::" in line] == [
        f"test_it.py::{test}" for test in ("test_plain", "test_files", "test_broken")
    ]


def test_fresh_processes_are_started_as_the_first_was(runs, project):
    """-O, options of the user's conftest, and whether the current folder is on the path are the same in all processes."""
    *_, started = runs
    assert len(started) > 2
    assert set(started) == {started[0]}
    assert started[0].startswith('[1, "12", true')

    project.write("conftest.py", CONFTEST)
    project.write("tests/test_it.py", "def test_it(pe_latency):\n    pe_latency(sorted, range(200))\n")
    script = str(Path(sys.executable).parent / "pytest")
    done = project.command(script, "-p", "pytest_pe_perf.plugin", "--pe-perf", "--import-mode=importlib", *OPTIONS[:2])
    assert done.status == 0, done.out
    started = [path.read_text() for path in project.folder.glob("start-*.json")]
    assert len(started) == 3
    assert all('[0, "12", false' in text for text in started), started
    assert project.verdicts()["test_it", "", "latency"] == "new"


RERUN = """
import os

ATTEMPTS = []

def work():
    return sum(range(200))

def test_flaky(pe_latency):
    ATTEMPTS.append(1)
    pe_latency["first" if len(ATTEMPTS) == 1 else "last"](work)
    assert len(ATTEMPTS) > 1 or not os.path.exists("flaky.txt")
"""


def test_of_several_attempts_the_last_one_counts(project):
    """Under pytest-rerunfailures a test that passes at last has the rows of that attempt only."""
    pytest.importorskip("pytest_rerunfailures")
    project.write("test_it.py", RERUN)
    project.write("flaky.txt", "")
    done = project.gate("-p", "pytest_rerunfailures", "--reruns=1", "--pe-perf-time=5 ms", "-p", "no:cacheprovider")
    assert done.status == 0, done.out
    assert "1 rerun" in done.out
    assert set(project.verdicts()) == {("test_flaky", "last", "latency")}
    assert "not measured" not in done.out


def test_without_a_terminal_the_exit_status_says_it(runs):
    """-p no:terminal and -q leave the verdict to the exit status and to the failed test's lines."""
    project, *_ = runs
    silent = project.gate(*OPTIONS, "-p", "no:terminal", "-k", "test_plain")
    assert (silent.status, silent.out.strip()) == (1, "")
    quiet = project.gate(*OPTIONS, "-q", "-k", "test_plain")
    assert quiet.status == 1
    assert "REGRESSED" in quiet.out
    assert "measuring" not in quiet.out


def test_coverage_sees_the_tests_and_not_the_fresh_processes(project):
    """Under pytest-cov the gate measures, and the report is that of the first process."""
    pytest.importorskip("pytest_cov")
    project.write("work.py", WORK)
    project.write("test_it.py", "from work import work\n\ndef test_it(pe_latency):\n    pe_latency(work)\n")
    done = project.gate("-p", "pytest_cov", "--cov=work", "--cov-fail-under=90", "--pe-perf-time=5 ms")
    assert done.status == 0, done.out
    assert "100%" in done.out
    assert set(project.verdicts().values()) == {"new"}
