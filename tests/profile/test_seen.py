"""What a process sees of its own calls: which function takes the time, and which one the memory."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from random import Random

import pytest

from pytest_pe_perf.config import Settings
from pytest_pe_perf.measure.call import Call, run, run_async, timed_loop
from pytest_pe_perf.measure.loop import Readings
from pytest_pe_perf.model import Frame, Key
from pytest_pe_perf.profile.bench import ProfilingRecorder
from pytest_pe_perf.profile.places import Places
from pytest_pe_perf.profile.sampler import WAITING, NoSamplerError, Sampler, calls_for
from pytest_pe_perf.profile.sites import NoSitesError, sites, sites_async
from pytest_pe_perf.recorder import Subject

posix = pytest.mark.skipif(os.name != "posix", reason="there is no such timer")
HERE = Places(Path(__file__).parents[2])
CALLED = Frame("called", "")
KEPT = []


def heavy():
    return sum(number * number for number in range(3000))


def light():
    return sum(range(30))


def both():
    light()
    return heavy()


def nothing():
    pass


def look(fn, seconds=0.15):
    sampler = Sampler(Random(1))
    run(calls_for(seconds, time.perf_counter_ns, sampler, nothing), Call(fn), time.perf_counter_ns)
    return sampler.folded(HERE, CALLED, waits=False)


def shares(folded):
    """Return the share of each function, with all that it calls."""
    total = sum(folded.values())
    names = {frame.function for stack in folded for frame in stack}
    return {
        name: sum(count for stack, count in folded.items() if name in [frame.function for frame in stack]) / total
        for name in names
    }


@posix
def test_the_function_that_takes_the_time_is_seen_to_take_it():
    """Stacks begin at what is called, and of two functions the one that does a hundred times as much is seen.

    The few looks that fall between two calls are counted for what is called, by the name that was given for it.
    """
    folded = look(both)
    between = folded.pop((CALLED,), 0)
    assert between < 0.1 * sum(folded.values())
    assert shares(folded)["heavy"] > 0.5 > shares(folded).get("light", 0.0)
    assert {stack[0] for stack in folded} == {Frame("both", "tests/profile/test_seen.py", own=True)}


@posix
def test_a_built_in_function_has_a_name_too():
    """It has no frame of its own: what is called stands for it."""
    sampler, numbers = Sampler(Random(1)), list(range(1000))
    run(calls_for(0.05, time.perf_counter_ns, sampler, nothing), Call(sorted, (numbers,)), time.perf_counter_ns)
    assert set(sampler.folded(HERE, CALLED, waits=False)) == {(CALLED,)}


@posix
def test_rounds_of_a_test_of_its_own_are_looked_at():
    """`benchmark.pedantic` makes exactly so many: what is seen in them is kept, and too little is no profile."""
    key = Key("test_a.py::test_a", "", "latency")
    recorder = ProfilingRecorder(wanted=frozenset({key}), places=HERE)
    timed = timed_loop(Call(heavy))
    for calls, told in ((1000, ""), (1, "give it more time")):
        bench = recorder.bench(Subject(key.test, "", 1, Settings(), {}))
        bench.begin_rounds(1, 0)
        bench.turn(lambda calls=calls: (timed(calls, time.perf_counter_ns), None), calls)
        bench.keep_readings(Readings((1.0,), 1, None, 0.0))
        (seen,) = recorder.seen_so_far
        assert told in seen.problem
        assert bool(seen.stacks) is not bool(told)


@posix
def test_a_coroutine_that_waits_is_seen_waiting():
    """Its frames are not on the stack meanwhile."""

    async def wait():
        await asyncio.sleep(0.004)

    sampler = Sampler(Random(1))
    probe = calls_for(0.1, time.perf_counter_ns, sampler, nothing)
    asyncio.run(run_async(probe, Call(wait), time.perf_counter_ns))
    folded = sampler.folded(HERE, CALLED, waits=True)
    assert max(folded, key=folded.get) == (WAITING,)


@posix
def test_the_timer_is_given_back():
    """Who ends tests that take too long has set it: it goes on, with the handler that it had."""
    rang = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        look(light, 0.02)
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 90 < left <= 100
        signal.raise_signal(signal.SIGALRM)
        assert rang == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


@posix
def test_another_thread_cannot_be_looked_at():
    """The message says so."""
    said = []

    def try_it():
        try:
            look(light, 0.01)
        except NoSamplerError as error:
            said.append(str(error))

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    assert said == ["a profile of times needs the main thread, and the test runs in another one"]


def larger():
    return [bytes(1000) for _ in range(50)]


def calls_larger():
    return len(larger()) + len(json.dumps(list(range(10))))


def keeps():
    KEPT.append(bytes(967))


pytest.importorskip("memray", reason="there is no memray for Windows")


@pytest.fixture(autouse=True)
def forget():
    yield
    KEPT.clear()
    gc.collect()


def biggest(folded):
    stack = max(folded, key=folded.get)
    return [frame.function.rpartition(".")[2] for frame in stack], folded[stack]


def test_memory_is_found_where_it_is_allocated(tmp_path):
    """Peak and count to the byte, what is kept for each call, by the stacks below what is called."""
    names, size = biggest(sites("peak", Call(calls_larger), tmp_path, HERE, CALLED))
    assert names == ["calls_larger", "larger"]
    assert size >= 50 * 1033
    counted = sites("allocations", Call(calls_larger), tmp_path, HERE, CALLED)
    assert sum(count for stack, count in counted.items() if any(f.function == "larger" for f in stack)) >= 50
    names, size = biggest(sites("retained", Call(keeps), tmp_path, HERE, CALLED))
    assert names == ["keeps"]
    assert 1000 <= size < 1100


def test_a_coroutine_function_has_sites_too(tmp_path):
    """The stack begins at the coroutine, also after it has waited."""

    async def later():
        await asyncio.sleep(0)
        return larger()

    names, size = biggest(asyncio.run(sites_async("peak", Call(later), tmp_path, HERE, CALLED)))
    assert names == ["later", "larger"]
    assert size >= 50 * 1033


def test_one_tracker_at_a_time(tmp_path):
    """Where somebody tracks already, it is said."""
    import memray

    with memray.Tracker(tmp_path / "theirs.bin"), pytest.raises(NoSitesError, match="another memray tracker"):
        sites("peak", Call(larger), tmp_path, HERE, CALLED)


def test_without_memray_what_is_kept_is_found_by_lines(tmp_path, monkeypatch):
    """As on Windows: tracemalloc knows no peak of a function, and no count."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    names, size = biggest(sites("retained", Call(keeps), tmp_path, HERE, CALLED))
    assert names == [f"line {keeps.__code__.co_firstlineno + 1}"]
    assert 1000 <= size < 1100
    with pytest.raises(NoSitesError, match="is told by memray"):
        sites("peak", Call(larger), tmp_path, HERE, CALLED)


@pytest.mark.parametrize(
    ("file", "name", "own"),
    [
        ("/project/src/text.py", "src/text.py", True),
        ("/project/.venv/lib/python3.11/site-packages/six.py", "six.py", False),
        (json.__file__, "json/__init__.py", False),
        ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>", False),
        ("/elsewhere/secret/place/more/tool.py", "more/tool.py", True),
        ("/shared/lib/tool.py", "lib/tool.py", True),
    ],
)
@posix
def test_a_file_is_named_without_the_folders_that_differ(file, name, own):
    """Relative to the project, or to the path of imports; what is installed is not the project's."""
    path = ["/project/.venv/lib/python3.11/site-packages", "/shared", *sys.path]
    assert Places(Path("/project"), path).frame("f", file, 3) == Frame("f", name, own)
