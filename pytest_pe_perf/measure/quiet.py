"""Keeping the interpreter's own business out of the readings: the collector, tracers, profilers."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator

# With the collector off, cyclic garbage piles up; this many container objects (some MB) between two chunks are swept.
_GARBAGE = 50_000


@contextlib.contextmanager
def quiet(*, collector: bool = False) -> Iterator[Callable[[], None]]:
    """Turn tracers, profilers and, unless ``collector``, the garbage collector off; put everything back afterwards.

    Yields a function to call between readings, which sweeps garbage that has piled up.
    """
    enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.collect()
    if not collector:
        gc.disable()
        if not frozen:
            # What exists already is not scanned by the sweeps in between.
            gc.freeze()
    try:
        with _untraced():
            yield _nothing if collector else _sweep
    finally:
        if not collector and not frozen:
            gc.unfreeze()
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _untraced() -> Iterator[None]:
    tracer, profiler = sys.gettrace(), sys.getprofile()
    sys.settrace(None)
    sys.setprofile(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
        if profiler is None or callable(profiler):
            sys.setprofile(profiler)
        else:
            # cProfile's own object, which sys.getprofile names and sys.setprofile does not take.
            profiler.enable()


def _nothing() -> None:
    pass


def _sweep() -> None:
    if gc.get_count()[0] > _GARBAGE:
        gc.collect()


def monitored_by() -> str:
    """Return the name of a tool that instruments the code by ``sys.monitoring`` (Python 3.12), or nothing.

    Such code stays slower even while the tool does not listen, so that it cannot be timed.
    """
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        return ""
    tools = (monitoring.get_tool(number) for number in range(6))
    return next((str(tool) for tool in tools if tool), "")
