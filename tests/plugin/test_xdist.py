"""Tests in other processes that cannot be set aside: a loud error. Where they can, see test_never_vacuous."""

from __future__ import annotations

import sys

import pytest

TESTS = """
def test_fixture(pe_memory):
    pe_memory(bytes, 600)

def test_benchmark(benchmark):
    benchmark(sorted, range(300))
"""


def test_without_the_plugin_workers_are_a_usage_error(project):
    """-p no:xdist with -n is exit status 4: nothing runs that could be taken for a green gate."""
    project.write("test_it.py", TESTS)
    done = project.gate("-p", "no:xdist", "-n", "2")
    assert done.status == 4
    assert "unrecognized arguments: -n" in done.out


SETS_UP_WORKERS = """
def pytest_configure(config):
    config.option.dist, config.option.tx = "load", ["popen", "popen"]
"""


def test_workers_that_somebody_sets_up_behind_our_back_are_an_error(project):
    """A conftest that turns xdist on when -n has been set aside: exit status 4, and what to do about it."""
    project.write("conftest.py", SETS_UP_WORKERS)
    project.write("test_it.py", TESTS)
    done = project.gate("-p", "xdist")
    assert done.status == 4, done.out
    assert "has set up workers of pytest-xdist" in done.out
    assert "-p no:xdist" in done.out
    assert "Traceback" not in done.out


# What plugins do that run each test in a process of its own: of the child only the reports come back.
FORKS = """
import os
import pickle

import pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    ours, theirs = os.pipe()
    if not os.fork():
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        data = pickle.dumps([item.config.hook.pytest_report_to_serializable(config=item.config, report=r) for r in reports])
        os.write(theirs, data)
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        reports = pickle.loads(pipe.read())
    os.wait()
    for data in reports:
        report = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
        item.ihook.pytest_runtest_logreport(report=report)
    return True
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_test_that_runs_in_another_process_is_an_error(project):
    """It passed and nothing of it was measured: exit status 4, and the report says which tests these are."""
    project.write("conftest.py", FORKS)
    project.write("test_it.py", TESTS + "\ndef test_plain():\n    pass\n")
    done = project.gate("--pe-perf-time=5 ms")
    assert "3 passed" in done.out
    assert done.status == 4, done.out
    assert "2 performance tests ran in other processes and could not be measured" in done.out
    assert project.reasons() == dict.fromkeys(
        ("test_fixture", "test_benchmark"), "it ran in another process, where nothing could be measured"
    )
