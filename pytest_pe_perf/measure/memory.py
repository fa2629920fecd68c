"""The memory of a call, in requested bytes: peak, number of allocations, and what stays behind.

Peak and count come from memray with Python's own allocators traced; they repeat to the last byte. What stays behind
comes from tracemalloc over blocks of calls that double.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import platform
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_pe_perf.measure.call import Call, Clock, Probe, run, run_async
from pytest_pe_perf.measure.quiet import quiet
from pytest_pe_perf.model import Sample

__tracebackhide__ = True  # see measure.call
TRACKER_BUSY = "another memray tracker is active (--memray or a limit_memory marker)"
# Tracked runs of one call, of which the least counts. Their number must not depend on how fast the machine is just now:
# the first one often allocates a little more.
REPEATS = 3
FIRST_BLOCK = 32
BLOCKS = 3
# A block that keeps memory is followed by others up to this many calls, to tell a leak from a cache that fills up.
MOST_CALLS = 1 << 15
# Below this a block has kept nothing: an element of a list takes eight bytes.
KEPT_NOTHING = 1.0
# A call that takes longer is not looped to see what it keeps.
TOO_SLOW_NS = 1e9


@dataclass(frozen=True, slots=True)
class Tracked:
    """One tracked run: peak in requested bytes, number of allocations; None where the tool cannot count them."""

    peak: int
    allocations: int | None


def tool() -> str:
    """Return the tool that counts, with its version: numbers of different tools are not comparable."""
    from importlib.metadata import PackageNotFoundError, version

    python = f"{platform.python_implementation().lower()} {platform.python_version()}"
    try:
        return f"memray {version('memray')}, {python}"
    except PackageNotFoundError:  # memray has no Windows version
        return f"tracemalloc, {python}"


class TrackerBusyError(Exception):
    """Another memray tracker is active in this process: there can only be one."""


class _Memray:
    """Counts between ``start`` and ``stop``; the last thing that starts and the first that stops is the tracker."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "tracked.bin"

    def start(self) -> None:
        import memray

        self._path.unlink(missing_ok=True)
        self._tracker = memray.Tracker(self._path, trace_python_allocators=True)
        try:
            self._tracker.__enter__()
        except RuntimeError as error:
            raise TrackerBusyError from error

    def stop(self) -> Tracked:
        self._tracker.__exit__(None, None, None)
        from memray._memray import compute_statistics

        statistics = compute_statistics(str(self._path))
        return Tracked(statistics.peak_memory_allocated, statistics.total_num_allocations)


class _Tracemalloc:
    """The same where there is no memray (Windows): no count, and only what Python itself allocates."""

    def start(self) -> None:
        tracemalloc.start()
        self._before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()

    def stop(self) -> Tracked:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return Tracked(peak - self._before, None)


def read_tracked(folder: Path) -> Probe[list[Tracked]]:
    """Track single calls, after a warm one.

    Raises:
        TrackerBusyError: another memray tracker is active.

    """
    yield 1
    counter = _Memray(folder) if importlib.util.find_spec("memray") else _Tracemalloc()
    results = []
    for _ in range(REPEATS):
        gc.collect()
        counter.start()
        try:
            yield 1
        finally:
            result = counter.stop()
        results.append(result)
    return results


def read_retained(budget_ns: float) -> Probe[tuple[float, int] | None]:
    """Return the bytes that a call keeps, and over how many calls that was seen; None where calls are too slow.

    Blocks of calls double. What the first call and caches keep is kept before the first block or fades with the
    blocks: the smaller rate of the last two blocks is the result, so a cache that has filled up keeps nothing.
    """
    # One reading may be slow by chance, and must not decide whether there is a row at all.
    warm = min((yield 1), (yield 1))
    if warm > TOO_SLOW_NS:
        return None
    block = FIRST_BLOCK if warm * FIRST_BLOCK < budget_ns / 8 else 1
    tracemalloc.start()
    try:
        yield block
        rates: list[float] = []
        spent = 0
        while True:
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            spent += yield block
            gc.collect()
            rates.append((tracemalloc.get_traced_memory()[0] - before) / block)
            settled = len(rates) >= BLOCKS and rates[-1] < KEPT_NOTHING
            if settled or (len(rates) >= BLOCKS and (block >= MOST_CALLS or spent > budget_ns)):
                return max(0.0, min(rates[-2:])), block
            block *= 2
    finally:
        tracemalloc.stop()


def read_memory(folder: Path, budget_ns: float) -> Probe[tuple[list[Tracked], tuple[float, int] | None]]:
    """Track single calls, then blocks of them."""
    tracked = yield from read_tracked(folder)
    retained = yield from read_retained(budget_ns)
    return tracked, retained


def _nothing() -> None:
    pass


@dataclass(slots=True)
class MemoryProbe:
    """Measures the memory of calls; knows what the loop around an empty call allocates, and takes that off.

    ``room`` is where the tracker's files go; nothing for the system's temporary folder.
    """

    seconds: float
    clock: Clock = time.perf_counter_ns
    room: str | None = None
    _empty: Tracked | None = None

    def measure(self, call: Call) -> dict[str, Sample]:
        """Return the samples of ``peak``, ``allocations`` and ``retained`` of a plain callable."""
        try:
            with self._region() as (folder, empty):
                tracked, retained = run(read_memory(folder, self.seconds * 1e9), call, self.clock)
        except TrackerBusyError:
            return busy()
        return samples(tracked, empty, retained)

    async def measure_async(self, call: Call) -> dict[str, Sample]:
        """Return the same of a coroutine function; its coroutine object is part of the call."""
        try:
            with self._region() as (folder, empty):
                tracked, retained = await run_async(read_memory(folder, self.seconds * 1e9), call, self.clock)
        except TrackerBusyError:
            return busy()
        return samples(tracked, empty, retained)

    @contextlib.contextmanager
    def _region(self) -> Iterator[tuple[Path, Tracked]]:
        """Yield a folder for the tracker's files, and what an empty call costs."""
        with tempfile.TemporaryDirectory(prefix="pe-perf-", dir=self.room) as name, quiet():
            folder = Path(name)
            if self._empty is None:
                self._empty = self._cost_of_nothing(folder)
            yield folder, self._empty

    def _cost_of_nothing(self, folder: Path) -> Tracked:
        # The first use of the tracker in a process allocates once more than all others: it does not count.
        run(read_tracked(folder), Call(_nothing), self.clock)
        return min_of(run(read_tracked(folder), Call(_nothing), self.clock))


def busy() -> dict[str, Sample]:
    """Return samples that say that memory could not be measured in this process."""
    return {name: Sample(0.0, 0, 0, problem=TRACKER_BUSY) for name in ("peak", "allocations", "retained")}


def min_of(results: list[Tracked]) -> Tracked:
    """Return the least of several tracked runs: what runs differ in is caches that fill."""
    counts = [result.allocations for result in results if result.allocations is not None]
    return Tracked(min(result.peak for result in results), min(counts) if counts else None)


def samples(tracked: list[Tracked], empty: Tracked, retained: tuple[float, int] | None) -> dict[str, Sample]:
    """Return samples in bytes and counts, less what an empty call takes."""
    made_with = tool()
    least = min_of(tracked)
    found = {"peak": Sample(float(max(0, least.peak - empty.peak)), len(tracked), 1, made_with=made_with)}
    if least.allocations is not None:
        count = max(0, least.allocations - (empty.allocations or 0))
        found["allocations"] = Sample(float(count), len(tracked), 1, made_with=made_with)
    if retained is not None:
        found["retained"] = Sample(retained[0], 1, retained[1], made_with=made_with)
    return found
