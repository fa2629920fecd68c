"""What a process uses and by what cause, a budget that asks those who can to give back, and a collector at rest.

    with MemoryManager(MemoryBudget(64 * 2**20)) as memory:
        memory.register("results", size=cache.bytes, shed=cache.shed)
        memory.check()               # between two pieces of work; there is no thread that would do it
        print(memory.breakdown())

Nothing in the process is changed by making a manager; what changes the collector is a scope, `frozen_collector`.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self

from engine_opt import _validate as check_value
from engine_opt.errors import ConfigError, InputError, StateError
from engine_opt.optimization import process_memory

NOT_ATTRIBUTED = "not attributed"


class MemoryLevel(Enum):
    """How much of the budget is used."""

    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """How many resident bytes a process may have, and what is done as it comes near.

    Attributes:
        total: the budget in bytes.
        high: share of the budget from which on the level is high.
        critical: share of it from which on the level is critical.
        slack: a level is left when this share of the budget less is used than it took to enter it.
        shed_high: fraction of what they hold that consumers are asked for while the level is high.
        shed_critical: the same while it is critical.

    Raises InputError for a figure that is no number or out of its range, ConfigError where they contradict each other.

    """

    total: int
    high: float = 0.8
    critical: float = 0.95
    slack: float = 0.05
    shed_high: float = 0.25
    shed_critical: float = 1.0

    def __post_init__(self) -> None:
        if _whole("total", self.total) == 0:
            raise InputError("total", self.total, "it must be greater than 0 (bytes)")
        for name in ("high", "critical", "slack", "shed_high", "shed_critical"):
            value = check_value.between(name, getattr(self, name), 0.0, 1.0, "a fraction of one")
            if value == 0.0:
                raise InputError(name, value, "it must be greater than 0")
            check_value.store(self, name, value)
        if not self.slack < self.high < self.critical:
            raise ConfigError(f"slack {self.slack:g} < high {self.high:g} < critical {self.critical:g} does not hold")
        if self.shed_high > self.shed_critical:
            raise ConfigError(f"shed_high {self.shed_high:g} is more than shed_critical {self.shed_critical:g}")

    def level(self, resident: int, before: MemoryLevel = MemoryLevel.NORMAL) -> MemoryLevel:
        """Return the level of so many resident bytes, coming from the level `before`."""
        if resident >= self._limit(self.critical, left=before is MemoryLevel.CRITICAL):
            return MemoryLevel.CRITICAL
        if resident >= self._limit(self.high, left=before is not MemoryLevel.NORMAL):
            return MemoryLevel.HIGH
        return MemoryLevel.NORMAL

    def fraction(self, level: MemoryLevel) -> float:
        """Return what fraction of what they hold consumers are asked for."""
        return {MemoryLevel.HIGH: self.shed_high, MemoryLevel.CRITICAL: self.shed_critical}.get(level, 0.0)

    def _limit(self, share: float, *, left: bool) -> float:
        return self.total * (share - self.slack if left else share)


_RANKS = {level: rank for rank, level in enumerate(MemoryLevel)}


class _Consumer(NamedTuple):
    """Something that holds memory: its name, how many bytes it holds, how it gives back, and whose turn it is first."""

    name: str
    size: Callable[[], int]
    shed: Callable[[float], int] | None
    priority: int


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """What a check saw and did.

    Attributes:
        at: when, in seconds of the manager's clock.
        level: the level at which it was decided whom to ask.
        before: resident bytes before anybody was asked.
        after: resident bytes afterwards. Python and the C library return memory to the system in large pieces and
            late: what was given does not show here at once, or at all.
        fraction: what fraction of what they hold consumers are asked for at this level; 0 at the normal one.
        given: bytes that each consumer says it gave back, in the order in which they were asked.
        errors: what went wrong, by consumer.

    """

    at: float
    level: MemoryLevel
    before: int
    after: int
    fraction: float
    given: Mapping[str, int]
    errors: Mapping[str, Exception]


class ConsumerError(StateError):
    """Consumers failed when they were asked; all others were asked all the same.

    Attributes:
        errors: what went wrong, by consumer.
        report: what the check saw and did; None where only sizes were asked.

    """

    def __init__(self, message: str, errors: Mapping[str, Exception], report: MemoryReport | None = None) -> None:
        super().__init__(message, errors, report)
        self.errors = errors
        self.report = report

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class MemoryBreakdown:
    """What the process holds, in bytes.

    Attributes:
        rss: resident bytes.
        uss: resident bytes that no other process shares.
        high_water: the most that were ever resident.
        traced: bytes that tracemalloc has seen allocated since it was started; None where it is off.
        traced_peak: the most of them at one time; None where it is off.
        causes: resident bytes by cause; they add up to `rss`. What cannot be known from inside is `NOT_ATTRIBUTED`; it
            is negative where consumers count what is not resident, or twice.

    """

    rss: int
    uss: int
    high_water: int
    traced: int | None
    traced_peak: int | None
    causes: Mapping[str, int]


class _Counts(NamedTuple):
    """Replaced as a whole, so that whoever reads it, in a forked process as well, sees one moment."""

    level: MemoryLevel = MemoryLevel.NORMAL
    checks: int = 0
    asked: int = 0
    given: int = 0
    failed: int = 0
    resident: int = 0
    most: int = 0
    report: MemoryReport | None = None


class _Guard:
    """The locks of one process: of what is registered, and of checks; and whether a check is asking consumers now."""

    __slots__ = ("asking", "checks", "consumers")

    def __init__(self) -> None:
        self.consumers = threading.Lock()  # held for an instant, never while anybody is called
        self.checks = threading.RLock()
        self.asking = False


class MemoryManager:
    """Keep a process within a budget by asking registered consumers to shed, whenever `check` is called.

    `clock` gives seconds and is monotonic. `interval` is the least time in seconds between two readings: a check that
    comes earlier returns the last report. A clock that has jumped backwards makes the next check read; one that has
    jumped forwards makes it read early. `resident` gives the resident bytes.

    May be shared between threads. Checks follow one another: do not call `check` with a lock in hand that a consumer
    needs in order to shed. A consumer that is being asked may register and unregister, but not check (StateError). A
    forked process goes on with its copies of the consumers, and waits for no thread that only its parent has.
    """

    def __init__(
        self,
        budget: MemoryBudget,
        *,
        interval: float = 0.0,
        resident: Callable[[], int] = process_memory.resident,
        name: str = "memory",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not isinstance(budget, MemoryBudget):
            raise InputError("budget", budget, "it must be a MemoryBudget")
        self._budget = budget
        self._interval = check_value.non_negative("interval", interval)
        self._resident, self._name, self._clock = resident, name, clock
        self._consumers: tuple[_Consumer, ...] = ()
        self._counts = _Counts()
        self._closed = False
        self._guards: dict[int, _Guard] = {}

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all consumers, which are neither closed nor asked to shed."""
        with self._guard().consumers:
            self._consumers, self._closed = (), True

    @property
    def level(self) -> MemoryLevel:
        """The level at the last check."""
        return self._counts.level

    @property
    def consumers(self) -> tuple[str, ...]:
        """The names of the consumers, in the order in which they are asked."""
        return tuple(each.name for each in self._consumers)

    def register(
        self, name: str, size: Callable[[], int], shed: Callable[[float], int] | None = None, *, priority: int = 0
    ) -> None:
        """Count a consumer in, until it is unregistered or the manager closed.

        `size` gives the bytes it holds now; `shed` is given a fraction of one, gives back about that share of what it
        holds and returns about how many bytes. The lowest `priority` is asked first; among equals who came first.
        """
        if type(name) is not str or not name or name == NOT_ATTRIBUTED:
            raise InputError("name", name, f"it must be text that is not empty, nor {NOT_ATTRIBUTED!r}")
        if not callable(size) or not (shed is None or callable(shed)):
            field, value = ("shed", shed) if callable(size) else ("size", size)
            raise InputError(field, value, "it must be a function that returns bytes")
        if type(priority) is not int:
            raise InputError("priority", priority, "it must be a whole number")
        with self._guard().consumers:
            self._open()
            if any(each.name == name for each in self._consumers):
                raise InputError("name", name, f"memory manager {self._name!r} has a consumer of that name")
            consumer = _Consumer(name, size, shed, priority)
            self._consumers = tuple(sorted((*self._consumers, consumer), key=lambda each: each.priority))

    def unregister(self, name: str) -> None:
        """Count a consumer out. Raises InputError where there is none of that name."""
        with self._guard().consumers:
            self._open()
            left = tuple(each for each in self._consumers if each.name != name)
            if len(left) == len(self._consumers):
                raise InputError("name", name, f"memory manager {self._name!r} has no consumer of that name")
            self._consumers = left

    def check(self, now: float | None = None) -> MemoryReport:
        """Read how much is resident and, above normal, ask all who can to shed; `now` is a time of the clock.

        Raises ConsumerError, which has the report, where a consumer raised or did not return a number of bytes; the
        others were asked all the same.
        """
        guard = self._guard()
        with guard.checks:
            self._open()
            if guard.asking:
                raise StateError(
                    f"memory manager {self._name!r} is asking its consumers: none may call check meanwhile"
                )
            now = self._clock() if now is None else check_value.finite("now", now)
            last = self._counts.report
            if last is not None and 0.0 <= now - last.at < self._interval:
                return last
            guard.asking = True
            try:
                report = self._checked(now)
            finally:
                guard.asking = False
        if report.errors:
            raise self._failed("to shed", report.errors, report)
        return report

    def breakdown(self, measured: Mapping[str, int] | None = None) -> MemoryBreakdown:
        """Return what the process holds by cause, in bytes.

        `measured` is what has been measured elsewhere of things that are in this process, too: what the interpreter and
        imports add in fresh processes (`import_memory`), for they cannot be told apart here any more. Raises
        ConsumerError where consumers do not say their sizes.
        """
        self._open()
        rss, unique, high_water = process_memory.exact()
        causes = {name: _whole(f"measured[{name!r}]", size) for name, size in (measured or {}).items()}
        errors: dict[str, Exception] = {}
        consumers = self._consumers
        for taken in causes.keys() & {NOT_ATTRIBUTED, *(each.name for each in consumers)}:
            raise InputError("measured", taken, "something else has this name")
        for consumer in consumers:
            _ask(consumer.name, consumer.size, causes, errors)
        if errors:
            raise self._failed("for their sizes", errors)
        causes[NOT_ATTRIBUTED] = rss - sum(causes.values())
        import tracemalloc  # not above: it would be counted

        traced, peak = tracemalloc.get_traced_memory() if tracemalloc.is_tracing() else (None, None)
        return MemoryBreakdown(rss, unique, high_water, traced, peak, causes)

    def stats(self) -> Mapping[str, float]:
        """Return what was seen and done so far: counts, and bytes.

        `level` is 0, 1 or 2; `resident` is that of the last check, `most` the largest one seen; `asked` counts requests
        to shed, `failed` those of them that failed, `given` the bytes that consumers said they gave back.
        """
        counts, consumers = self._counts, self._consumers
        return {
            "budget": float(self._budget.total),
            "level": float(_RANKS[counts.level]),
            "consumers": float(len(consumers)),
            "checks": float(counts.checks),
            "asked": float(counts.asked),
            "given": float(counts.given),
            "failed": float(counts.failed),
            "resident": float(counts.resident),
            "most": float(counts.most),
        }

    def _checked(self, now: float) -> MemoryReport:
        counts, before = self._counts, _whole("resident", self._resident())
        level = self._budget.level(before, counts.level)
        fraction = self._budget.fraction(level)
        given: dict[str, int] = {}
        errors: dict[str, Exception] = {}
        if level is not MemoryLevel.NORMAL:
            for consumer in self._consumers:
                if consumer.shed is not None:
                    _ask(consumer.name, partial(consumer.shed, fraction), given, errors)
        asked = len(given) + len(errors)
        after = _whole("resident", self._resident()) if asked else before
        report = MemoryReport(now, level, before, after, fraction, given, errors)
        self._counts = _Counts(
            level=level,
            checks=counts.checks + 1,
            asked=counts.asked + asked,
            given=counts.given + sum(given.values()),
            failed=counts.failed + len(errors),
            resident=after,
            most=max(counts.most, before, after),
            report=report,
        )
        return report

    def _failed(self, asked: str, errors: Mapping[str, Exception], report: MemoryReport | None = None) -> ConsumerError:
        each = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in errors.items())
        message = f"memory manager {self._name!r} asked its consumers {asked}, and {len(errors)} failed: {each}"
        failed = ConsumerError(message, errors, report)
        failed.__cause__ = ExceptionGroup(message, list(errors.values()))
        return failed

    def _open(self) -> None:
        if self._closed:
            raise StateError(f"memory manager {self._name!r} is closed: make another one")

    def _guard(self) -> _Guard:
        """Return this process's locks: what a thread of the parent held at a fork is never released in the child."""
        process = os.getpid()
        return self._guards.get(process) or self._guards.setdefault(process, _Guard())


@contextmanager
def frozen_collector(thresholds: tuple[int, int, int] | None = None) -> Iterator[int]:
    """Spare the collector all that is alive now, until the scope is left; yields how many objects that are.

    For after warm-up: a full collection then looks at what was made since and at nothing else. `thresholds` are those
    of `gc.set_threshold` for the same time. Both are as before afterwards, after an exception as well. It holds for
    the whole process: raises StateError where something is frozen already, by this scope or by `gc.freeze`, since
    what was frozen before cannot be told from what was frozen here when it is undone.
    """
    if thresholds is not None:
        if not isinstance(thresholds, tuple) or len(thresholds) != 3:
            raise InputError("thresholds", thresholds, "it must be three whole numbers")
        for number, value in enumerate(thresholds):
            _whole(f"thresholds[{number}]", value)
    gc.collect()
    if gc.get_freeze_count():
        raise StateError(f"the collector is frozen already ({gc.get_freeze_count()} objects): leave that scope first")
    before = gc.get_threshold()
    gc.freeze()
    try:
        if thresholds is not None:
            gc.set_threshold(*thresholds)
        yield gc.get_freeze_count()
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _ask(name: str, question: Callable[[], int], answers: dict[str, int], errors: dict[str, Exception]) -> None:
    """Note a consumer's answer in bytes, or what went wrong; the others are asked in either case."""
    try:
        answers[name] = _whole(f"{name}, bytes", question())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised once all have been asked
        errors[name] = error


def _whole(field: str, value: object) -> int:
    if type(value) is not int or value < 0:
        raise InputError(field, value, "it must be a whole number that is not negative")
    return value
