"""What measures the calls of tests, and keeps what was measured. Judges nothing and knows nothing of pytest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pytest_pe_perf.config import SHORTEST, Settings
from pytest_pe_perf.errors import UsageError
from pytest_pe_perf.measure.call import Call
from pytest_pe_perf.measure.latency import Clocks, read, read_async, samples
from pytest_pe_perf.measure.loop import MIN_READINGS, Readings
from pytest_pe_perf.measure.memory import MemoryProbe
from pytest_pe_perf.measure.startup import import_time
from pytest_pe_perf.model import Budget, Key, Row, Sample, Skipped
from pytest_pe_perf.profile.stacks import Seen

__tracebackhide__ = True  # see measure.call
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject:
    """A test that measures: its node id, the hash of its source, its line, its settings and its budgets.

    ``body`` is the hash of its source without its name.
    """

    test: str
    source: str
    line: int
    settings: Settings
    budgets: Mapping[str, Budget]
    body: str = ""


@dataclass(slots=True)
class Bench:
    """Measures the calls of one test and hands the samples to the session."""

    subject: Subject
    record: Callable[[Subject, str, Mapping[str, Sample]], None]
    memory: MemoryProbe
    used: bool = False

    def measure(self, call: Call, name: str = "", *, time: bool, memory: bool) -> None:
        """Measure what is asked for of a plain callable."""
        if time:
            self.time(call, name)
        if memory:
            self.weigh(call, name)

    async def measure_async(self, call: Call, name: str = "", *, time: bool, memory: bool) -> None:
        """Measure what is asked for of a coroutine function."""
        if time:
            await self.time_async(call, name)
        if memory:
            await self.weigh_async(call, name)

    def time(
        self, call: Call, name: str = "", clock: Callable[[], int] | None = None, least: int = MIN_READINGS
    ) -> Readings:
        """Measure the time of a plain callable; ``clock`` reads it in nanoseconds where not the wall clock does."""
        settings = self.subject.settings
        readings = read(call, settings.time, collector=settings.gc, clocks=_clocks(clock), least=least)
        self.keep_readings(readings, name)
        return readings

    async def time_async(self, call: Call, name: str = "") -> Readings:
        """Measure the time of a coroutine function."""
        settings = self.subject.settings
        readings = await read_async(call, settings.time, collector=settings.gc)
        self.keep_readings(readings, name)
        return readings

    def time_import(self, module: str) -> None:
        """Measure the time to import a module in fresh processes."""
        self._keep("", {"import": import_time(module, self.subject.settings.time)})

    def weigh(self, call: Call, name: str = "") -> None:
        """Measure the memory of a plain callable."""
        self._keep(name, self.memory.measure(call))

    async def weigh_async(self, call: Call, name: str = "") -> None:
        """Measure the memory of a coroutine function."""
        self._keep(name, await self.memory.measure_async(call))

    def keep_readings(self, readings: Readings, name: str = "") -> None:
        """Record readings that somebody else took."""
        self._keep(name, samples(readings))

    def begin_rounds(self, rounds: int, warm_up: int) -> None:
        """Get ready for so many rounds that the test makes by itself, the first ``warm_up`` of which do not count."""

    def turn(self, take: Callable[[], tuple[int, T]], calls: int) -> T:  # noqa: ARG002 - who measures in pairs needs it
        """Make one of those rounds: ``take`` makes ``calls`` calls and returns their nanoseconds, and what it has to say."""
        return take()[1]

    def _keep(self, name: str, found: Mapping[str, Sample]) -> None:
        self.used = True
        self.record(self.subject, name, found)


@dataclass(slots=True)
class Stopwatch(Bench):
    """Measures the times of the calls of one test, and weighs nothing."""

    def weigh(self, call: Call, name: str = "") -> None:  # noqa: ARG002
        """Weigh nothing."""
        self.used = True

    async def weigh_async(self, call: Call, name: str = "") -> None:  # noqa: ARG002
        """Weigh nothing."""
        self.used = True


@dataclass(slots=True)
class Rehearsal(Bench):
    """Makes the calls and measures no time: that is measured in other processes. Weighs them where it is to."""

    weighs: bool = False

    def measure(self, call: Call, name: str = "", *, time: bool, memory: bool) -> None:  # noqa: ARG002
        """Make the call, or weigh it."""
        self.used = True
        if memory and self.weighs:
            self.weigh(call, name)
        else:
            call()

    async def measure_async(self, call: Call, name: str = "", *, time: bool, memory: bool) -> None:  # noqa: ARG002
        """Make the call of a coroutine function, or weigh it."""
        self.used = True
        if memory and self.weighs:
            await self.weigh_async(call, name)
        else:
            await call()

    def time(
        self,
        call: Call,
        name: str = "",  # noqa: ARG002
        clock: Callable[[], int] | None = None,
        least: int = 1,  # noqa: ARG002
    ) -> Readings:
        """Return what pytest-benchmark needs for its statistics, read in no time."""
        self.used = True
        return read(call, SHORTEST, collector=self.subject.settings.gc, clocks=_clocks(clock), least=1)

    async def time_async(self, call: Call, name: str = "") -> Readings:  # noqa: ARG002
        """Return the same for a coroutine function."""
        self.used = True
        return await read_async(call, SHORTEST, collector=self.subject.settings.gc)

    def time_import(self, module: str) -> None:  # noqa: ARG002
        """Import nothing: that is timed elsewhere."""
        self.used = True

    def weigh(self, call: Call, name: str = "") -> None:
        """Measure the memory of a plain callable, if that is wanted."""
        if self.weighs:
            Bench.weigh(self, call, name)

    async def weigh_async(self, call: Call, name: str = "") -> None:
        """Measure the memory of a coroutine function, if that is wanted."""
        if self.weighs:
            await Bench.weigh_async(self, call, name)

    def keep_readings(self, readings: Readings, name: str = "") -> None:  # noqa: ARG002
        """Keep nothing."""
        self.used = True


def _clocks(clock: Callable[[], int] | None) -> Clocks:
    return Clocks() if clock is None else Clocks(reading=clock)


@dataclass(slots=True)
class Recorder:
    """The rows of this process, and the tests that gave none. ``room`` is a folder for the files of what weighs."""

    rows: dict[Key, Row] = field(default_factory=dict)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    memory_only: bool = False
    times_only: bool = False
    room: str | None = None
    _memory: dict[float, MemoryProbe] = field(default_factory=dict)

    def begin(self, test: str) -> None:
        """Forget what an earlier attempt at ``test`` measured: the last one counts."""
        for key in [key for key in self.rows if key.test == test]:
            del self.rows[key]
        self.skipped.pop(test, None)

    def bench(self, subject: Subject) -> Bench:
        """Return what measures the calls of one test."""
        probe = self.memory_probe(subject.settings.time)
        if self.memory_only:
            return Rehearsal(subject, self.record, probe, weighs=True)
        return (Stopwatch if self.times_only else Bench)(subject, self.record, probe)

    def rehearsal(self, subject: Subject) -> Bench:
        """Return what makes the calls of one test and measures nothing."""
        return Rehearsal(subject, self.record, self.memory_probe(subject.settings.time))

    def memory_probe(self, seconds: float) -> MemoryProbe:
        """Return what measures memory for about so many seconds; it knows what an empty call costs."""
        return self._memory.setdefault(seconds, MemoryProbe(seconds, room=self.room))

    def record(self, subject: Subject, name: str, found: Mapping[str, Sample]) -> None:
        """Take the samples of one measurement.

        Raises:
            UsageError: the test has measured under this name before.

        """
        for metric, sample in found.items():
            key = Key(subject.test, name, metric)
            if key in self.rows:
                raise twice(subject.test, name)
            self.rows[key] = Row(
                key,
                (sample,),
                subject.source,
                subject.settings.threshold,
                subject.settings.margin,
                subject.budgets.get(metric),
                subject.line,
                body=subject.body,
            )

    def skip(self, test: str, why: str) -> None:
        """Note that a performance test gave no number."""
        self.skipped[test] = Skipped(test, why)

    @property
    def seen_so_far(self) -> tuple[Seen, ...]:
        """What was asked for as a profile."""
        return ()

    def rows_of(self, test: str) -> list[Row]:
        """Return the rows that ``test`` measured."""
        return [row for row in self.rows.values() if row.key.test == test]


def twice(test: str, name: str) -> UsageError:
    """Return the error of a test that measures twice under one name."""
    given = f"the name {name!r}" if name else "no name"
    return UsageError(
        f"{test} measured twice under {given}: give each measurement a name of its own, "
        'for example pe_latency["parse"](parse, text)',
    )
