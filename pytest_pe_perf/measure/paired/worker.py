"""The side's half of the conversation: it measures what the controller tells it to, when it tells it to."""

from __future__ import annotations

import contextlib
import gc
import resource
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from pytest_pe_perf.measure.call import Call, Probe, run, run_async
from pytest_pe_perf.measure.loop import MIN_READINGS, Readings
from pytest_pe_perf.measure.paired import start
from pytest_pe_perf.measure.paired.wire import Arrived, Round, Stop, Taken, Talk
from pytest_pe_perf.measure.quiet import quiet
from pytest_pe_perf.measure.startup import import_timer
from pytest_pe_perf.recorder import Bench, Recorder, Subject, twice

__tracebackhide__ = True  # see measure.call
# Readings that pytest-benchmark gets for its statistics: from all of them it would compute for a second.
KEPT = 200
Clock = Callable[[], int]
T = TypeVar("T")


class _Pauses:
    """Counts the nanoseconds that the garbage collector takes while it is on."""

    def __init__(self) -> None:
        self.total = 0
        self._started = 0

    def __call__(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._started = time.perf_counter_ns()
        else:
            self.total += time.perf_counter_ns() - self._started


@contextlib.contextmanager
def _collecting() -> Iterator[_Pauses]:
    pauses = _Pauses()
    gc.collect()  # what earlier rounds have left is not this one's to clear away
    gc.callbacks.append(pauses)
    gc.enable()
    try:
        yield pauses
    finally:
        gc.disable()
        gc.callbacks.remove(pauses)


def _lost_cores() -> int:
    """Return how often this process has lost its core to another one."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _round(order: Round) -> Probe[Taken]:
    """Read as the order says."""
    readings = []
    lost, cpu, started = _lost_cores(), time.process_time_ns(), time.perf_counter_ns()
    while True:
        readings.append((yield order.calls))
        wall = time.perf_counter_ns() - started
        if wall >= order.nanoseconds:
            used = time.process_time_ns() - cpu
            return Taken(tuple(readings), order.calls, wall, used, switches=_lost_cores() - lost)


def _collected_round(order: Round) -> Probe[Taken]:
    with _collecting() as pauses:
        taken = yield from _round(order)
    return msgspec.structs.replace(taken, collector=pauses.total)


def obey(talk: Talk, between: Callable[[], None]) -> Probe[Readings]:
    """Read rounds until the controller says stop, and return the last readings of the last number of calls.

    ``between`` is called after each round, outside of its readings.
    """
    times: deque[float] = deque(maxlen=KEPT)
    calls = 0
    while isinstance(order := talk.receive(), Round):
        taken = yield from (_collected_round(order) if order.collector else _round(order))
        # Swept before the answer: after it, it is the other side's turn.
        between()
        talk.send(taken)
        if taken.calls != calls:
            calls = taken.calls
            times.clear()
        times.extend(reading / calls for reading in taken.readings)
    return Readings(tuple(times) or (0.0,), max(calls, 1), None, 0.0)


@dataclass(slots=True)
class PairedBench(Bench):
    """Measures the calls of one test in lock step with the other side."""

    recorder: PairedRecorder = field(kw_only=True)

    def measure(self, call: Call, name: str = "", *, time: bool, memory: bool) -> None:
        """Measure the time, if that is asked for; memory is weighed in processes of its own."""
        if time:
            self.time(call, name)
        elif memory:
            self.used = True
            self.recorder.measured = True

    async def measure_async(self, call: Call, name: str = "", *, time: bool, memory: bool) -> None:
        """Measure the time of a coroutine function."""
        if time:
            await self.time_async(call, name)
        elif memory:
            self.used = True
            self.recorder.measured = True

    def time(
        self,
        call: Call,
        name: str = "",
        clock: Clock | None = None,
        least: int = MIN_READINGS,  # noqa: ARG002 - the controller decides
    ) -> Readings:
        """Measure the time of a plain callable."""
        self._arrive(name, "latency")
        with quiet(collector=self.subject.settings.gc) as between:
            return run(obey(self.recorder.talk, between), call, clock or time.perf_counter_ns)

    async def time_async(self, call: Call, name: str = "") -> Readings:
        """Measure the time of a coroutine function."""
        self._arrive(name, "latency")
        with quiet(collector=self.subject.settings.gc) as between:
            return await run_async(obey(self.recorder.talk, between), call, time.perf_counter_ns)

    def time_import(self, module: str) -> None:
        """Measure the time of an import in fresh processes."""
        self._arrive("", "import")
        timer = import_timer(module, start.prelude())
        while isinstance(self.recorder.talk.receive(), Round):
            taken, cpu = timer()
            self.recorder.talk.send(Taken((taken,), 1, taken, cpu))

    def weigh(self, call: Call, name: str = "") -> None:
        """Weigh nothing: memory is weighed in processes of its own."""

    async def weigh_async(self, call: Call, name: str = "") -> None:
        """Weigh nothing."""

    def keep_readings(self, readings: Readings, name: str = "") -> None:
        """Keep nothing: the controller has heard of every round."""

    def begin_rounds(self, rounds: int, warm_up: int) -> None:
        """Announce so many rounds, each of which waits for its turn."""
        self._arrive("", "latency", rounds + warm_up, warm_up)
        self.recorder.free = False

    def turn(self, take: Callable[[], tuple[int, T]], calls: int) -> T:
        """Make one round when it is its turn."""
        if not self.recorder.free and isinstance(self.recorder.talk.receive(), Stop):
            # The other side has no such rounds: the test itself still wants the rest of its own.
            self.recorder.free = True
        lost, cpu, started = _lost_cores(), time.process_time_ns(), time.perf_counter_ns()
        elapsed, result = take()
        wall = time.perf_counter_ns() - started
        if not self.recorder.free:
            used = time.process_time_ns() - cpu
            self.recorder.talk.send(Taken((elapsed,), calls, wall, used, switches=_lost_cores() - lost))
        return result

    def _arrive(self, name: str, metric: str, rounds: int = 0, warm_up: int = 0) -> None:
        subject = self.subject
        if name in self.recorder.names:
            raise twice(subject.test, name)
        self.used = True
        self.recorder.measured = True
        self.recorder.names.add(name)
        settings = subject.settings
        self.recorder.talk.send(
            Arrived(
                subject.test,
                name,
                metric,
                subject.source,
                subject.line,
                settings.time,
                settings.threshold,
                settings.margin,
                settings.gc,
                dict(subject.budgets),
                rounds,
                warm_up,
            )
        )


@dataclass(slots=True)
class PairedRecorder(Recorder):
    """Hands the calls of tests to the controller; keeps no row itself."""

    talk: Talk = field(kw_only=True)
    names: set[str] = field(default_factory=set)
    measured: bool = False
    free: bool = False

    def begin(self, test: str) -> None:
        """Forget what an earlier attempt at ``test`` measured."""
        Recorder.begin(self, test)
        self.names, self.measured, self.free = set(), False, False

    def bench(self, subject: Subject) -> Bench:
        """Return what measures the calls of one test."""
        return PairedBench(subject, self.record, self.memory_probe(subject.settings.time), recorder=self)
