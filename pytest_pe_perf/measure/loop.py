"""Calibrate, warm up, repeat. Time is an argument."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pytest_pe_perf.measure.call import Clock, Probe

# One reading spans at least this long, so that two looks at the clock (about 0.1 µs) are nothing against it.
SAMPLE_NS = 50_000
# After this long the reference workload gets its turn: a virtual machine changes its speed every 20 to 60 ms, and both
# must meet the same weather.
CHUNK_NS = 10_000_000
# The reference workload gets at least this share of the time of a chunk.
REFERENCE_SHARE = 0.04
# A slow function is read this often at least, whatever it takes.
MIN_READINGS = 3
# Share of the time that is spent on warming up before anything counts.
WARM_UP_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Readings:
    """Nanoseconds per call of every reading in the order of time, and what the reference workload took meanwhile.

    ``cpu`` is the smallest CPU time per call over the chunks, None where nobody looked; ``reference`` the smallest time of
    the reference workload.
    """

    times: tuple[float, ...]
    calls: int
    cpu: float | None
    reference: float


def read_latency(
    seconds: float,
    *,
    clock: Clock,
    cpu_clock: Clock,
    reference: Callable[[], int],
    between: Callable[[], None],
    least: int = MIN_READINGS,
) -> Probe[Readings]:
    """Read the time of a call for about ``seconds``, ``least`` times at least.

    ``reference`` runs the reference workload once and returns its nanoseconds. ``between`` is called outside of the
    readings, after each chunk.
    """
    budget = round(seconds * 1e9)
    calls = yield from _calibrate(round(budget * WARM_UP_SHARE), clock)
    times: list[float] = []
    cpu = references = math.inf
    deadline = clock() + budget
    while clock() < deadline or len(times) < least:
        started, cpu_started, first = clock(), cpu_clock(), len(times)
        while True:
            times.append((yield calls) / calls)
            spent = clock() - started
            if spent >= CHUNK_NS:
                break
        cpu = min(cpu, (cpu_clock() - cpu_started) / (calls * (len(times) - first)))
        # At least three: the first run of the workload after other code finds the processor's caches cold.
        share = max(3 * SAMPLE_NS, min(round(spent * REFERENCE_SHARE), CHUNK_NS))
        end = clock() + share
        turns = 0
        while turns < 3 or clock() < end:
            references = min(references, reference())
            turns += 1
        between()
    return Readings(tuple(times), calls, cpu, references)


def _calibrate(warm_up: int, clock: Clock) -> Probe[int]:
    """Return the number of calls that make one reading, having warmed up for ``warm_up`` ns.

    The first call says nothing: it imports, fills caches, and can be a thousand times slower than the next.
    """
    end = clock() + warm_up
    yield 1
    calls = 1
    fastest = math.inf
    while True:
        elapsed = yield calls
        fastest = min(fastest, max(elapsed, 1) / calls)
        # No call takes less than a nanosecond; only a timer that stands still says so.
        enough = min(math.ceil(SAMPLE_NS / fastest), SAMPLE_NS)
        if calls < enough:
            calls = min(enough, calls * 10)
        elif clock() >= end:
            return calls
