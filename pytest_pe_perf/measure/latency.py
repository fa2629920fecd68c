"""The time of a call: wall clock and CPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pytest_pe_perf.judge.estimate import quantile
from pytest_pe_perf.measure.call import Call, Probe, run, run_async
from pytest_pe_perf.measure.loop import MIN_READINGS, Readings, read_latency
from pytest_pe_perf.measure.quiet import monitored_by, quiet
from pytest_pe_perf.measure.reference import reference_timer
from pytest_pe_perf.model import Sample

__tracebackhide__ = True  # see measure.call
SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
# Below this, the loop around the call (some 10 ns) and the layout of the loop's own code are a large part of a reading.
TOO_FAST_NS = 100.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where time comes from, in nanoseconds. ``wall`` decides how long to go on, ``reading`` times the calls."""

    wall: Callable[[], int] = time.perf_counter_ns
    cpu: Callable[[], int] = time.process_time_ns
    reading: Callable[[], int] = time.perf_counter_ns


def _probe(seconds: float, between: Callable[[], None], clocks: Clocks, least: int = MIN_READINGS) -> Probe[Readings]:
    return read_latency(
        seconds,
        clock=clocks.wall,
        cpu_clock=clocks.cpu,
        reference=reference_timer(clocks.reading),
        between=between,
        least=least,
    )


def read(
    call: Call,
    seconds: float,
    *,
    collector: bool = False,
    clocks: Clocks | None = None,
    least: int = MIN_READINGS,
) -> Readings:
    """Read the time of a plain callable for about ``seconds``, with the garbage collector off unless ``collector``.

    A slow one is read ``least`` times, however long that takes.
    """
    clocks = clocks or Clocks()
    with quiet(collector=collector) as between:
        return run(_probe(seconds, between, clocks, least), call, clocks.reading)


async def read_async(call: Call, seconds: float, *, collector: bool = False, clocks: Clocks | None = None) -> Readings:
    """Read the time of a coroutine function in the event loop that runs."""
    clocks = clocks or Clocks()
    with quiet(collector=collector) as between:
        return await run_async(_probe(seconds, between, clocks), call, clocks.reading)


def samples(readings: Readings) -> dict[str, Sample]:
    """Return the samples of ``latency`` and ``cpu``, in seconds."""
    ordered = sorted(readings.times)
    latency = Sample(
        value=ordered[0] / 1e9,
        count=len(ordered),
        calls=readings.calls,
        quantiles=tuple(quantile(ordered, share) / 1e9 for share in SHARES),
        reference=readings.reference / 1e9,
        problem=_problem(ordered[0]),
    )
    found = {"latency": latency}
    if readings.cpu is not None:
        found["cpu"] = Sample(readings.cpu / 1e9, len(ordered), readings.calls)
    return found


def _problem(fastest: float) -> str:
    if tool := monitored_by():
        return f"{tool} instruments the code, so that its time means nothing: run without it"
    if fastest < TOO_FAST_NS:
        return f"{fastest:.0f} ns a call: below {TOO_FAST_NS:.0f} ns a time cannot gate; measure a loop of calls"
    return ""
