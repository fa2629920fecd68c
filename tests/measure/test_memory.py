"""Memory is counted, not estimated: these facts hold to the byte."""

from __future__ import annotations

import asyncio
import functools
import itertools

import memray
import pytest

from pytest_pe_perf.measure.call import Call
from pytest_pe_perf.measure.memory import TRACKER_BUSY, MemoryProbe, read_retained, read_tracked


def nothing() -> None:
    pass


def keep_alive(n: int) -> bytes:
    return bytes(n)


def measured(fn, *args):
    return {name: sample.value for name, sample in MemoryProbe(0.5).measure(Call(fn, args)).items()}


def test_an_empty_call_takes_nothing():
    """What the loop around a call allocates is taken off."""
    assert measured(nothing) == {"peak": 0, "allocations": 0, "retained": 0}


@pytest.mark.parametrize("size", [1_000, 10_000, 1_000_000])
def test_the_peak_is_what_was_asked_for(size):
    """The peak of a call that makes one object of known size is that size and at most a hundred bytes more."""
    found = measured(keep_alive, size)
    assert size <= found["peak"] <= size + 133
    assert found["allocations"] == 1


@pytest.mark.slow
def test_counts_repeat_exactly():
    """Ten measurements of the same call are the same numbers."""
    probe = MemoryProbe(0.1)
    call = Call(lambda: {str(i): [i] for i in range(300)})
    seen = {tuple(sample.value for sample in probe.measure(call).values()) for _ in range(10)}
    assert len(seen) == 1


def test_one_more_allocation_is_seen():
    """A call that allocates once more counts one more."""
    assert (
        measured(lambda: [bytes(100), bytes(100)])["allocations"] == measured(lambda: [bytes(100)])["allocations"] + 1
    )


@pytest.mark.parametrize("size", [16, 100, 1_000])
def test_a_leak_is_measured(size):
    """Bytes kept by each call are found, within the slack with which a list grows."""
    kept: list[bytes] = []
    per_object = bytes(size).__sizeof__()
    found = measured(lambda: kept.append(bytes(size)))
    assert per_object <= found["retained"] <= per_object + 16


def test_cyclic_garbage_is_no_leak():
    """Objects that only a cycle keeps alive are gone after a collection."""

    class Node:
        def __init__(self) -> None:
            self.me = self

    assert measured(Node)["retained"] == 0


@pytest.mark.parametrize("size", [16, 128, 1_000])
def test_a_cache_that_fills_up_is_no_leak(size):
    """A bounded cache keeps more and more only until it is full."""
    numbers = itertools.count()
    cached = functools.lru_cache(maxsize=size)(lambda number: bytes(100))
    assert measured(lambda: cached(next(numbers)))["retained"] < 1


def test_coroutine_functions_are_measured():
    """The memory of a coroutine function is that of its calls."""

    async def work() -> bytes:
        return bytes(50_000)

    samples = asyncio.run(MemoryProbe(0.5).measure_async(Call(work)))
    assert 50_000 <= samples["peak"].value <= 51_000
    assert samples["retained"].value == 0


def test_a_busy_tracker_is_said(tmp_path):
    """Under another memray tracker nothing is measured and every sample says why."""
    with memray.Tracker(tmp_path / "other.bin"):
        samples = MemoryProbe(0.1).measure(Call(nothing))
    assert {sample.problem for sample in samples.values()} == {TRACKER_BUSY}


def test_a_slow_call_is_tracked_as_often_and_not_looped(tmp_path):
    """How slow a call is does not change how it is counted; only what it keeps is not looked for beyond a second."""
    tracked = read_tracked(tmp_path)
    asked = next(tracked)
    with pytest.raises(StopIteration) as stop:
        for _ in range(4):
            asked += tracked.send(10**10)
    assert asked == 4
    assert len(stop.value.value) == 3

    retained = read_retained(1_000)
    next(retained)
    retained.send(2 * 10**9)
    with pytest.raises(StopIteration) as stop:
        retained.send(2 * 10**9)
    assert stop.value.value is None


def test_one_slow_reading_does_not_decide():
    """A call that was slow once by chance is looped all the same."""
    retained = read_retained(1_000)
    next(retained)
    retained.send(2 * 10**9)
    assert retained.send(1_000) == 1
    retained.close()
