"""What can go wrong between two commits: each gives a stated verdict, a clear message and exit status, and leaves nothing."""

from __future__ import annotations

import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs processes that Windows does not have")

FINE = """
def work():
    return bytes(600)
"""
TEST = """
import code_of_it

def test_it(pe_memory):
    pe_memory(code_of_it.work)
"""


def start(project, code=FINE, test=TEST):
    project.write("code_of_it.py", code)
    project.write("test_it.py", test)
    return project.commit()


# What stops before anything is measured.


@pytest.fixture(scope="module")
def plain(shared_repository):
    start(shared_repository)
    return shared_repository


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--pe-perf-against=mian"], ["'mian' is no commit that this clone knows", "looks close: main", "no-base"]),
        (["--pe-perf-against=main", "--pe-perf-head=nowhere"], ["'nowhere' is no commit", "no-base"]),
        (["--pe-perf-against=main", "--pe-perf-update"], ["--pe-perf-update accepts a baseline"]),
        (["--pe-perf-head=main"], ["--pe-perf-head", "together with --pe-perf-against"]),
        (["--pe-perf-base-python=python"], ["--pe-perf-base-python", "together with --pe-perf-against"]),
        (["--pe-perf-against=main", "--pe-perf-base-python=nowhere"], ["base's process could not be started"]),
    ],
    ids=["base", "head", "update", "no base for the head", "no base for its python", "python"],
)
def test_what_makes_no_sense_is_a_usage_error(plain, options, words):
    """Exit status 4 and one message that says what to do; nothing is recorded."""
    done = plain.gate(*options)
    assert done.status == 4, done.out
    (message,) = [line for line in done.out.splitlines() if line.startswith("ERROR: ")]
    assert all(word in message for word in words), message
    assert "Traceback" not in done.out
    assert not (plain.folder / ".pe-perf").exists()
    assert plain.left() == []


def test_without_a_selection_or_with_collect_only_nothing_is_started(plain):
    """An empty selection is pytest's exit status 5; --collect-only lists the tests; no process looks at the base."""
    plain.write(
        "conftest.py", "import os\nwith open(os.environ['NOTES'], 'a') as file:\n    file.write('started\\n')\n"
    )
    notes = plain.room / "notes.txt"
    for option, status in (("-knothing", 5), ("--collect-only", 0)):
        assert plain.against("main", option, NOTES=str(notes)).status == status
    assert notes.read_text() == "started\n" * 2
    assert not (plain.folder / ".pe-perf").exists()
    (plain.folder / "conftest.py").unlink()


def test_a_base_of_another_python_is_refused(plain):
    """Exit status 4 where the base's interpreter has another version, and the message names both."""
    plain.write("../fake/sitecustomize.py", "import platform\nplatform.python_version = lambda: '3.99.0'\n")
    fake = plain.write("../fake/python", f'#!/bin/sh\nexport PYTHONPATH="${{0%/*}}"\nexec {sys.executable} "$@"\n')
    fake.chmod(0o755)
    done = plain.against("main", f"--pe-perf-base-python={fake.resolve()}")
    assert done.status == 4, done.out
    assert "base runs Python 3.99.0 and head 3." in done.out
    assert "bad-sides" in done.out


def test_outside_of_a_repository_there_is_no_base(project):
    """Exit status 4, and the message says that a git checkout is needed."""
    project.write("test_it.py", "def test_it(pe_latency):\n    pe_latency(sorted, [1])\n")
    done = project.gate("--pe-perf-against=main")
    assert done.status == 4, done.out
    assert "is not in the work tree of a git repository" in done.out


def test_a_shallow_clone_without_the_merge_base_says_how_to_get_it(repository):
    """Exit status 4, and the command that fetches the rest."""
    start(repository)
    repository.git("branch", "topic")
    repository.commit("main moves on")
    repository.git("switch", "--quiet", "topic")
    repository.commit("so does the topic")
    source = f"file://{repository.folder}"
    clone = repository.folder.parent / "clone"
    repository.git("clone", "--quiet", "--depth=1", "--branch=topic", "--no-single-branch", source, str(clone))
    repository.folder = clone
    done = repository.against("origin/main")
    assert done.status == 4, done.out
    assert "have no commit in common in this clone, because it is shallow" in done.out
    assert "git fetch --unshallow" in done.out


# What goes wrong while the sides are measured.

BASE = """
import os, signal, time

def work():
    return sum(range(100))

def dies_on_base():
    os.kill(os.getpid(), signal.SIGKILL)

exits = killed = hangs = too_large = exits_where_weighed = in_fixture = work
"""
HEAD = """
import os, resource, signal, time

def work():
    return sum(range(100))

dies_on_base = work

def exits():
    os._exit(3)

def killed():
    os.kill(os.getpid(), signal.SIGKILL)

def hangs():
    time.sleep(600)

def too_large():
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 32, before[1]))
    try:
        bytearray(1 << 33)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

in_fixture = exits
calls = []

def exits_where_weighed():
    calls.append(1)
    if len(calls) > 1:  # who only times makes one call of what is to be weighed
        exits()
"""
CONFTEST = """
import os
import socket

import pytest

# A side stands in a temporary folder.
SIDE = os.getcwd().startswith(os.environ["TMPDIR"])

def pytest_sessionfinish():
    if SIDE and os.getcwd().endswith("head"):
        os._exit(7)

@pytest.fixture(scope="session")
def port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", int(os.environ["PORT"])))
        listening.listen()
        yield
"""
FAULTS = """
import faults
import pytest

@pytest.fixture
def dying():
    faults.in_fixture()

def test_in_fixture(dying, pe_latency):
    pe_latency(faults.work)

def test_fine(pe_latency, pe_memory):
    pe_latency(faults.work)
    pe_memory(faults.work)

def test_exits(pe_latency):
    pe_latency(faults.exits)

def test_killed(pe_latency):
    pe_latency(faults.killed)

def test_hangs(pe_latency):
    pe_latency(faults.hangs)

def test_too_large(pe_latency):
    pe_latency(faults.too_large)

def test_dies_on_base(pe_latency):
    pe_latency(faults.dies_on_base)

def test_weighed(pe_memory):
    pe_memory(faults.exits_where_weighed)

def test_port(pe_latency, port):
    pe_latency(faults.work)

def test_after_all(pe_memory):
    pe_memory(faults.work)
"""
BROKEN = {
    "test_in_fixture latency": "on head: head's process ended with status 3; it said: ",
    "test_exits latency": "on head: head's process ended with status 3; it said: ",
    "test_killed latency": "on head: head's process was killed by SIGKILL (out of memory?)",
    "test_hangs latency": "on head: head said nothing for 3 s while it ran",
    "test_weighed allocations": "on head: its process ended with status 3; it said: ",
}


@pytest.fixture(scope="module")
def faults(tmp_path_factory, make_repository):
    project = make_repository(tmp_path_factory.mktemp("faults"))
    project.settings('timeout = "3 s"\n')
    project.write("faults.py", BASE)
    project.write("conftest.py", CONFTEST)
    project.write("test_faults.py", FAULTS)
    project.commit()
    project.write("faults.py", HEAD)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return project, port, project.decided("main", "--junitxml=junit.xml", PORT=port)


@pytest.mark.slow
def test_a_test_that_breaks_its_process_fails_and_the_others_are_measured(faults):
    """Five tests break head's process in five ways: each is inconclusive for that, and fails without running here."""
    project, _, done = faults
    assert done.status == 1, done.out
    reasons, worst, outcomes = project.reasons(), project.worst(), project.outcomes()
    for row, why in BROKEN.items():
        test = row.partition(" ")[0]
        assert worst[test] == "inconclusive", reasons
        assert reasons[row].startswith(why), reasons[row]
        assert "not run here, because it broke a process of its own" in outcomes[test]
    for test in ("test_fine", "test_after_all"):
        assert (worst[test], outcomes[test]) == ("unchanged", "passed"), reasons
    assert "INTERNALERROR" not in done.out


def test_a_side_without_memory_is_an_error_of_the_test(faults):
    """Where head runs into its limit of memory, its row says MemoryError, and the test fails as it would anywhere."""
    project, _, _ = faults
    assert project.reasons()["test_too_large latency"] == "on head: it failed: MemoryError"
    assert "MemoryError" in project.outcomes()["test_too_large"]


def test_what_only_base_cannot_do_fails_nothing(faults):
    """A test that kills base's process, and one whose fixture only one process can have: inconclusive, and passed."""
    project, _, _ = faults
    reasons, outcomes = project.reasons(), project.outcomes()
    assert reasons["test_dies_on_base latency"].startswith("on base: base's process was killed by SIGKILL")
    assert re.match(r"on (base|head): its setup failed: OSError: .*in use", reasons["test_port latency"])
    assert outcomes["test_dies_on_base"] == outcomes["test_port"] == "passed"


def test_inconclusive_is_green_unless_strict(faults):
    """A port that only one process can have makes a comparison impossible: exit status 0, and 1 when strict.

    Both sides set up at once. Where head was quicker, base alone cannot run the test, and that is called new.
    """
    project, port, _ = faults
    for options, status in (([], 0), (["--pe-perf-strict"], 1)):
        done = project.against("main", "-k", "test_port", *options, PORT=port)
        assert done.status == status, done.out
        assert project.worst()["test_port"] in ("inconclusive", "new")


# What ends in the middle.

SLEEPS = """
import os
import time

SIDE = os.getcwd().startswith(os.environ["TMPDIR"])

def work():
    if SIDE:
        with open(os.environ["NOTES"], "a") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(600)
"""
MEASURES = TEST.replace("pe_memory", "pe_latency")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux which processes run")
@pytest.mark.parametrize(
    ("number", "test"),
    [(signal.SIGINT, MEASURES), (signal.SIGINT, TEST), (signal.SIGTERM, MEASURES), (signal.SIGKILL, TEST)],
    ids=["ctrl-c while timing", "ctrl-c while weighing", "term while timing", "kill while weighing"],
)
def test_the_end_of_the_gate_is_the_end_of_all(repository, number, test):
    """However it ends, no process and no folder is left, and nothing was recorded; Ctrl-C is exit status 2."""
    start(repository, SLEEPS, test)
    notes = repository.room / "notes.txt"
    process = repository.start("--pe-perf-against=main", NOTES=str(notes))
    wait_until(lambda: notes.exists() and notes.read_text().endswith("\n"), process)
    assert any(name.startswith("pe-perf-tmp-") for name in repository.left())
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    wait_until(lambda: repository.left() == [])
    assert process.returncode == (2 if number == signal.SIGINT else -number), out
    if number == signal.SIGINT:
        assert out.count("pe-perf: interrupted, nothing was recorded") == 1
    assert not (repository.folder / ".pe-perf").exists()
    assert repository.git("status", "--porcelain") == ""


def wait_until(condition, process=None):
    deadline = time.monotonic() + 120
    while not condition():
        assert process is None or process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
