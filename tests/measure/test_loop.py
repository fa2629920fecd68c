"""The loop with a clock that is moved by hand: no time passes in these tests."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.measure.call import Call, run, run_async, timed_loop
from pytest_pe_perf.measure.loop import CHUNK_NS, MIN_READINGS, SAMPLE_NS, read_latency


class Hand:
    """A clock that only moves when a function is called, and counts what it is asked for."""

    def __init__(self) -> None:
        self.now = 0
        self.cpu = 0
        self.calls = 0
        self.references = 0
        self.between = 0

    def wall(self) -> int:
        return self.now

    def cpu_clock(self) -> int:
        return self.cpu

    def work(self, cost: int, cpu: int | None = None) -> str:
        self.calls += 1
        self.now += cost
        self.cpu += cost if cpu is None else cpu
        return "done"

    def reference(self) -> int:
        self.references += 1
        self.now += 20_000
        return 20_000

    def chunk_over(self) -> None:
        self.between += 1


def read(hand: Hand, call: Call, seconds: float):
    probe = read_latency(
        seconds, clock=hand.wall, cpu_clock=hand.cpu_clock, reference=hand.reference, between=hand.chunk_over
    )
    return run(probe, call, hand.wall)


@given(cost=st.integers(200, 10**9), seconds=st.floats(0.001, 0.004))
def test_every_reading_is_the_cost_of_a_call(cost, seconds):
    """Whatever a call costs, each reading divides the time by the number of calls, exactly."""
    hand = Hand()
    readings = read(hand, Call(hand.work, (cost,)), seconds)
    assert set(readings.times) == {cost}
    assert readings.cpu == cost
    assert readings.reference == 20_000
    assert len(readings.times) >= MIN_READINGS


@given(cost=st.integers(200, 10**7))
def test_a_reading_spans_at_least_the_sample_time(cost):
    """The inner loop is calibrated so that a reading is long against a look at the clock, and not much longer."""
    hand = Hand()
    readings = read(hand, Call(hand.work, (cost,)), 0.001)
    assert readings.calls * cost >= SAMPLE_NS
    assert readings.calls == 1 or (readings.calls - 1) * cost < SAMPLE_NS


@pytest.mark.parametrize("seconds", [0.05, 0.5])
def test_the_time_is_kept(seconds):
    """Measuring takes the time it was given, the warm-up and a few chunks more at the most."""
    hand = Hand()
    read(hand, Call(hand.work, (10_000,)), seconds)
    assert seconds * 1e9 <= hand.now <= seconds * 1e9 * 1.06 + 3 * CHUNK_NS


def test_a_slow_function_is_read_three_times():
    """A call that takes longer than the whole time is made twice to warm up and read three times."""
    hand = Hand()
    readings = read(hand, Call(hand.work, (3 * 10**9,)), 1.0)
    assert len(readings.times) == 3
    assert readings.calls == 1
    assert hand.calls == 5


def test_the_reference_runs_between_the_chunks():
    """Reference and collector get their turn after every chunk, outside of the readings."""
    hand = Hand()
    readings = read(hand, Call(hand.work, (10_000,)), 0.1)
    chunks = hand.between
    assert 8 <= chunks <= 11
    assert hand.references >= 3 * chunks
    assert set(readings.times) == {10_000}


def test_cpu_time_is_apart_from_wall_time():
    """A call that waits takes wall time and no CPU time."""
    hand = Hand()
    readings = read(hand, Call(hand.work, (2_000_000, 5_000)), 0.05)
    assert readings.times[0] == 2_000_000
    assert readings.cpu == 5_000


def test_a_first_call_that_is_slow_does_not_end_the_calibration():
    """One slow first call leads to readings of one call only if calls stay slow."""
    hand = Hand()
    costs = iter([10**8])
    readings = read(hand, Call(lambda: hand.work(next(costs, 100))), 0.01)
    assert readings.calls * 100 >= SAMPLE_NS


def test_a_clock_that_stands_still_ends():
    """A user's own timer that never moves gives readings of zero, not an endless loop."""
    hand = Hand()
    probe = read_latency(
        0.001, clock=hand.wall, cpu_clock=hand.cpu_clock, reference=hand.reference, between=hand.chunk_over
    )
    readings = run(probe, Call(hand.work, (1_000,)), lambda: 7)
    assert set(readings.times) == {0}


def test_coroutine_functions_are_awaited():
    """The same probe drives a coroutine function, which is awaited once for each call."""
    hand = Hand()

    async def work(cost: int) -> None:
        await asyncio.sleep(0)
        hand.work(cost)

    probe = read_latency(
        0.005, clock=hand.wall, cpu_clock=hand.cpu_clock, reference=hand.reference, between=hand.chunk_over
    )
    readings = asyncio.run(run_async(probe, Call(work, (20_000,)), hand.wall))
    assert set(readings.times) == {20_000}
    assert readings.calls == 3


def test_an_error_of_the_function_comes_through():
    """What the user's function raises is what the caller sees."""

    def broken() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        read(Hand(), Call(broken), 0.01)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1,), {}), ((1, "x"), {"flag": True}), ((), {"class": 1, "not a name": 2})],
)
def test_arguments_arrive_as_they_were_given(args, kwargs):
    """Positional and keyword arguments reach the function, also under names that no source text could hold."""
    seen = []
    timed = timed_loop(Call(lambda *a, **k: seen.append((a, k)), args, kwargs))
    assert timed(3, iter([10, 25]).__next__) == 15
    assert seen == [(args, kwargs)] * 3
