"""What can go wrong around the gate: each gives a stated verdict and exit status, and leaves the old files whole."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

TEST = """
def work():
    return sum(range(200))

def test_work(pe_latency):
    pe_latency(work)
"""


@pytest.fixture(scope="module")
def accepted(shared):
    shared.settings("benchmark_memory = false\n")
    shared.write("test_it.py", TEST)
    done = shared.accept("--pe-perf-time=5 ms")
    assert done.status == 0, done.out
    return shared


@pytest.fixture
def suite(accepted):
    """The accepted suite, put back as it was afterwards."""
    (path,) = (accepted.folder / "baselines").rglob("*.json")
    good = path.read_bytes()
    yield accepted
    path.write_bytes(good)
    for extra in accepted.folder.glob("conftest.py"):
        extra.unlink()
    accepted.write("test_it.py", TEST)


def records(project):
    """Return the contents of everything that a run records."""
    kept = [*(project.folder / "baselines").rglob("*.json"), *(project.folder / ".pe-perf").glob("*.[jh]*")]
    return {path.name: path.read_bytes() for path in kept}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-20],
        lambda text: text.replace('"format": 1', '"format": 99'),
        lambda text: re.sub(r'"value": [^,}]+', '"value": NaN', text),
        lambda text: re.sub(r'"value": [^,}]+', '"value": -1', text),
        lambda text: re.sub(r'"value": [^,}]+', '"value": "fast"', text),
        lambda text: text.replace('"metric": "latency"', '"metric": "smell"'),
    ],
    ids=["empty", "cut", "newer", "nan", "negative", "text", "metric"],
)
def test_a_baseline_that_cannot_be_trusted_stops_the_run(suite, damage):
    """Exit status 4 and one message that names the file, before anything is measured; no file changes."""
    (path,) = (suite.folder / "baselines").rglob("*.json")
    path.write_text(damage(path.read_text()))
    before = records(suite)
    done = suite.gate("--pe-perf-update", "--pe-perf-reason=x")
    assert done.status == 4
    (message,) = [line for line in done.out.splitlines() if line.startswith("ERROR: ")]
    assert path.name in message
    assert "bad-baseline" in message
    assert "Traceback" not in done.out
    assert "collected" not in done.out
    assert records(suite) == before


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root and Windows read everything")
def test_a_baseline_that_cannot_be_read_stops_the_run(suite):
    """A file without read permission is exit status 4 as well."""
    (path,) = (suite.folder / "baselines").rglob("*.json")
    path.chmod(0)
    try:
        done = suite.gate()
    finally:
        path.chmod(0o644)
    assert done.status == 4
    assert "cannot read" in done.out


SLEEPS = """
import os
import time

def work():
    return sum(range(200))

def sleep():
    with open("pids.txt", "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(600)

def test_new(pe_latency):
    pe_latency(work if os.getpid() == FIRST else sleep)
"""
# The first process is the one that the shell started; the gate's fresh ones are its children.
FIRST = {"a benchmark": "-1", "a fresh process": "int(open('first.txt').read())"}
NOTE_FIRST = """
import os

if not os.path.exists("first.txt"):
    with open("first.txt", "w") as file:
        file.write(str(os.getpid()))
"""


def wait_for_pid(project, process):
    path, deadline = project.folder / "pids.txt", time.monotonic() + 120
    while not (path.exists() and path.read_text().endswith("\n")):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(path.read_text())


def runs(pid):
    try:
        # A zombie has ended, whoever has not asked for its exit status yet.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux which processes run")
@pytest.mark.parametrize("when", FIRST)
def test_ctrl_c_records_nothing_and_leaves_no_process(suite, when):
    """Interrupted in a benchmark, or while a fresh process measures, the gate exits 2, says so, and keeps all files."""
    for name in ("first.txt", "pids.txt"):
        (suite.folder / name).unlink(missing_ok=True)
    suite.write("conftest.py", NOTE_FIRST)
    suite.write("test_it.py", SLEEPS.replace("FIRST", FIRST[when]))
    before = records(suite)
    process = suite.start("--pe-perf-time=5 ms", "--pe-perf-update", "--pe-perf-reason=x")
    sleeper = wait_for_pid(suite, process)
    assert (sleeper == process.pid) == (when == "a benchmark")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2, out
    assert out.count("pe-perf: interrupted, nothing was recorded") == 1
    assert records(suite) == before
    assert not runs(sleeper)


@pytest.mark.parametrize("option", ["report", "json", "history"])
def test_a_path_that_cannot_be_written_is_said(suite, option):
    """A file where a folder is expected: exit status 4, a message with the path, and the other results are written."""
    suite.write("in-the-way", "mine")
    before = records(suite)
    suite.settings(f'{option} = "in-the-way/file"\n')
    done = suite.gate("--pe-perf-time=5 ms")
    suite.settings("")
    assert done.status == 4, done.out
    assert "in-the-way" in done.out.split("pe-perf ====")[1]
    assert "1 unchanged" in done.out
    assert "Traceback" not in done.out
    assert (suite.folder / "in-the-way").read_text() == "mine"
    if option != "json":
        assert records(suite)["run.json"] != before["run.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_full_disk_leaves_the_old_files_whole(suite):
    """Where a file cannot grow, report and history stay as they were, the message says so, and the exit status is 4."""
    before = records(suite)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, 16_000)); "
    done = suite.command(
        sys.executable,
        "-c",
        limited + "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))",
        *("-p", "pytest_pe_perf.plugin", "--pe-perf", "--pe-perf-time=5 ms", "-p", "no:cacheprovider"),
    )
    assert done.status == 4, done.out
    assert "cannot-write" in done.out or "bad-history" in done.out
    assert "1 unchanged" in done.out
    assert "Traceback" not in done.out
    after = records(suite)
    assert after["report.html"] == before["report.html"]
    assert suite.history_points() >= 1
    assert suite.gate("--pe-perf-time=5 ms").status == 0


FRESH = """
import os
import sys
import time

import pytest

FIRST = os.getpid() == int(open("first.txt").read())

def work():
    return sum(range(200))

@pytest.fixture(scope="module")
def port():
    import socket
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", int(open("port.txt").read()) if os.path.exists("port.txt") else 0))
        listening.listen()
        with open("port.txt", "w") as file:
            file.write(str(listening.getsockname()[1]))
        yield

def test_fails(pe_latency):
    pe_latency(work)
    assert FIRST, "only once"

def test_skips(pe_latency):
    if not FIRST:
        pytest.skip("once is enough")
    pe_latency(work)

def test_unused(pe_latency):
    if FIRST:
        pe_latency(work)

@pytest.mark.pe_latency(max_latency="1 ns")
def test_port(pe_latency, port):
    pe_latency(work)

def test_fine(pe_latency):
    pe_latency(work)

@pytest.mark.skipif(not FIRST, reason="marked")
def test_marked(pe_latency):
    pe_latency(work)

if FIRST:
    def test_vanishes(pe_latency):
        pe_latency(work)
"""


ONE_MORE = """
def test_import(pe_latency):
    pe_latency(work)
"""


def test_what_a_fresh_process_did_not_measure_is_inconclusive_with_the_reason(suite):
    """Failed, skipped, gone, or unable to bind a port that the first process holds: the row says which, exit status 0."""
    (suite.folder / "first.txt").unlink(missing_ok=True)
    suite.write("conftest.py", NOTE_FIRST)
    suite.write("test_fresh.py", FRESH)
    suite.write("test_import.py", "from test_fresh import *\nif not FIRST:\n    raise OSError('taken')\n" + ONE_MORE)
    done = suite.gate("--pe-perf-time=5 ms", "test_fresh.py", "test_import.py::test_import")
    for name in ("test_fresh.py", "test_import.py"):
        (suite.folder / name).unlink()
    assert done.status == 0, done.out
    verdicts, reasons = suite.verdicts(), suite.reasons()
    for test, reason in {
        "test_fails": "it failed: AssertionError: only once",
        "test_skips": "once is enough",
        "test_unused": "pe_latency was requested and never called",
        "test_port": "its setup failed: OSError: ",
        "test_marked": "marked",
        "test_import": "collecting its module failed: OSError: taken",
        "test_vanishes": "it was not found",
    }.items():
        assert verdicts[test, "", "latency"] == "inconclusive"
        assert reasons[f"{test} latency"].startswith("a fresh process did not measure it: ")
        assert reason in reasons[f"{test} latency"]
    assert verdicts["test_fine", "", "latency"] == "new"
    # What failed in there only has not failed for the session.
    assert not (suite.folder / ".pytest_cache/v/cache/lastfailed").exists()
    assert "Traceback" not in done.out


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("os._exit(7)", "gave no numbers (exit status 7)"),
        ("raise RuntimeError('no way')", "RuntimeError: no way"),
        ("time.sleep(600)", "did not finish within"),
    ],
)
def test_a_fresh_process_that_dies_or_hangs_is_inconclusive_with_the_reason(suite, does, reason):
    """A process that ends early, cannot import its conftest, or never ends: the row says so, and nothing is a traceback."""
    (suite.folder / "first.txt").unlink(missing_ok=True)
    if "sleep" in does:
        suite.settings('timeout = "2 s"\n')
    again = f"elif int(open('first.txt').read()) != os.getpid():\n    import time\n    {does}\n"
    suite.write("conftest.py", NOTE_FIRST + again)
    suite.write("test_it.py", TEST + "\ndef test_new(pe_latency):\n    pe_latency(work)\n")
    done = suite.gate("--pe-perf-time=5 ms", "--pe-perf-update")
    assert done.status == 0, done.out
    assert suite.verdicts()["test_new", "", "latency"] == "inconclusive"
    assert reason in suite.reasons()["test_new latency"]
    assert "Traceback (most" not in done.out
    assert ("test_new", "latency") not in suite.rows()


TRACED = """
import cProfile
import sys

import pytest

@pytest.fixture
def traced():
    def tracer(frame, event, argument):
        return tracer
    before = sys.gettrace()
    sys.settrace(tracer)
    yield tracer
    sys.settrace(before)

def work():
    return sum(range(200))

def test_tracer(pe_latency, pe_memory, traced):
    pe_latency(work)
    pe_memory(work)
    assert sys.gettrace() is traced

def test_profiler(pe_latency, pe_memory):
    profiler = cProfile.Profile()
    profiler.enable()
    pe_latency(work)
    pe_memory(work)
    assert sys.getprofile() is profiler
    profiler.disable()
    assert profiler.getstats()
"""


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tracers are seen and refused from Python 3.12 on")
def test_tracers_and_profilers_are_paused_and_put_back(suite):
    """With a tracer or cProfile active the rows are measured, and the tool is active again for the rest of the test."""
    suite.write("test_traced.py", TRACED)
    done = suite.gate("--pe-perf-time=5 ms", "test_traced.py")
    (suite.folder / "test_traced.py").unlink()
    assert done.status == 0, done.out
    assert set(suite.verdicts().values()) == {"new"}
