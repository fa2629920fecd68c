"""Where the memory of a call is allocated: memray's records by their stacks, or tracemalloc's where there is no memray."""

from __future__ import annotations

import gc
import importlib.util
import time
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_pe_perf.measure.call import LINE_OF_CALL, LOOP, Call, timed_loop, timed_loop_async
from pytest_pe_perf.model import Frame
from pytest_pe_perf.profile.places import Places
from pytest_pe_perf.profile.stacks import DEEPEST, Folded

if TYPE_CHECKING:
    from memray import AllocationRecord, FileReader

# What stays behind is seen over so many calls.
_CALLS_THAT_KEEP = 32
# Records are read one by one: of a call that allocates more often it would take minutes.
_MOST_RECORDS = 5_000_000
# Function, file and line, the innermost first.
_Trace = tuple[tuple[str, str, int], ...]


class NoSitesError(Exception):
    """It cannot be told where memory is allocated; the message says why."""


def sites(metric: str, call: Call, folder: Path, places: Places, called: Frame) -> Folded:
    """Return what ``metric`` counts, by the stacks that allocated it; ``called`` is what is measured.

    Raises:
        NoSitesError: another tracker is active, or no tool here can tell.

    """
    watch, calls, timed = _watch(metric, folder), _calls(metric), timed_loop(call)
    # Not as a probe: memray loses count of the stack where a generator is left that was on it at the start.
    timed(calls, time.perf_counter_ns)  # what the first calls fill and import is no business of the others
    gc.collect()
    watch.start()
    try:
        timed(calls, time.perf_counter_ns)
    finally:
        watch.stop()
    return _folded(watch.traces(metric), calls, places, called)


async def sites_async(metric: str, call: Call, folder: Path, places: Places, called: Frame) -> Folded:
    """Return the same of a coroutine function."""
    watch, calls, timed = _watch(metric, folder), _calls(metric), timed_loop_async(call)
    await timed(calls, time.perf_counter_ns)
    gc.collect()
    watch.start()
    try:
        await timed(calls, time.perf_counter_ns)
    finally:
        watch.stop()
    return _folded(watch.traces(metric), calls, places, called)


def _calls(metric: str) -> int:
    return _CALLS_THAT_KEEP if metric == "retained" else 1


class _Watch(Protocol):
    """What knows who allocated, from its start to its stop."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def traces(self, metric: str) -> Iterable[tuple[_Trace, int]]:
        """Yield who allocated how much of what ``metric`` counts."""


def _watch(metric: str, folder: Path) -> _Watch:
    if importlib.util.find_spec("memray"):
        return _Memray(folder / f"{metric}.bin")
    if metric != "retained":
        raise NoSitesError(f"where {metric} come from is told by memray, which is not installed")
    return _Tracemalloc()


class _Memray:
    def __init__(self, file: Path) -> None:
        from memray import Tracker

        self._file = file
        self._tracker = Tracker(file, trace_python_allocators=True)

    def start(self) -> None:
        try:
            self._tracker.__enter__()
        except RuntimeError as error:
            raise NoSitesError("another memray tracker is active (--memray or a limit_memory marker)") from error

    def stop(self) -> None:
        gc.collect()
        self._tracker.__exit__(None, None, None)

    def traces(self, metric: str) -> Iterable[tuple[_Trace, int]]:
        from memray import FileReader

        reader = FileReader(file_name=self._file)
        try:
            if metric == "allocations":
                yield from _counted(reader)
            else:
                yield from ((tuple(record.stack_trace()), record.size) for record in _records(reader, metric))
        finally:
            reader.close()


def _records(reader: FileReader, metric: str) -> Iterable[AllocationRecord]:
    if metric == "peak":
        return reader.get_high_watermark_allocation_records(merge_threads=True)
    return reader.get_leaked_allocation_records(merge_threads=True)


def _counted(reader: FileReader) -> Iterable[tuple[_Trace, int]]:
    """Yield how often was allocated; of each stack one record is asked where it was."""
    from memray import AllocatorType

    ends = {AllocatorType.FREE, AllocatorType.PYMALLOC_FREE, AllocatorType.MUNMAP}
    counts: Counter[int] = Counter()
    first: dict[int, AllocationRecord] = {}
    for number, record in enumerate(reader.get_allocation_records()):
        if number > _MOST_RECORDS:
            raise NoSitesError(f"a call allocates and frees more than {_MOST_RECORDS:,} times: give it less to do")
        if record.allocator not in ends:
            counts[record.stack_id] += 1
            first.setdefault(record.stack_id, record)
    for stack, count in counts.items():
        yield tuple(first[stack].stack_trace()), count


class _Tracemalloc:
    """Knows what stays behind, by lines: it knows no functions."""

    def start(self) -> None:
        tracemalloc.start(DEEPEST)

    def stop(self) -> None:
        gc.collect()
        self._snapshot = tracemalloc.take_snapshot()
        tracemalloc.stop()

    def traces(self, _metric: str) -> Iterable[tuple[_Trace, int]]:
        for trace in self._snapshot.traces:
            lines = reversed(trace.traceback)
            yield tuple((f"line {frame.lineno}", frame.filename, frame.lineno) for frame in lines), trace.size


def _folded(traces: Iterable[tuple[_Trace, int]], calls: int, places: Places, called: Frame) -> Folded:
    """Return what one of ``calls`` calls allocated."""
    found: Counter[_Trace] = Counter()
    for trace, size in traces:
        at = next((at for at, (_, file, line) in enumerate(trace) if (file, line) == (LOOP, LINE_OF_CALL)), None)
        if at is not None:  # all else is the loop's, or the tracker's own
            found[trace[:at]] += size
    named: dict[tuple[Frame, ...], float] = defaultdict(float)
    # The largest first: of frames that differ in their line alone it is the first that counts.
    for trace, size in found.most_common():
        named[places.frames(reversed(trace)) or (called,)] += size / calls
    return dict(named)
