"""What this process takes of the machine, and how long the collector of garbage stops it.

    with ProcessMetrics() as process:
        process.records()

Pauses are seen by a callback of the interpreter, which is there from `start` to `stop` only.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from engine_opt.errors import InputError, StateError
from engine_opt.monitoring.metrics import Kind
from engine_opt.monitoring.performance_monitor import MetricRecord, PerformanceMonitor, SeriesRecord
from engine_opt.optimization.process_memory import resident

_GENERATIONS = 3


class ProcessMetrics:
    """Figures of this process, read by one who asks at intervals; `clock` and `cpu` give seconds.

    `process_cpu_share` is the processor time of all threads since the last reading over the time since then: 1 is one
    core. `process_cpu_seconds` counts the same time. A clock that did not go on since the last reading makes no share,
    and one that goes back no pause.

    A forked process has to make its own.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.perf_counter, cpu: Callable[[], float] = time.process_time
    ) -> None:
        """Make one that does not watch pauses yet. Raises InputError for a clock that is none."""
        for field, function in (("clock", clock), ("cpu", cpu)):
            if not callable(function):
                raise InputError(field, function, "it must be a function")
        self._clock, self._cpu = clock, cpu
        self._before = clock(), cpu()
        self._monitor = PerformanceMonitor(clock=clock, name="process")
        pauses = self._monitor.timer(
            "process_gc_pause_seconds", "Time for which collecting garbage stopped every thread.", ["generation"]
        )
        self._pauses = [pauses.labels(generation=str(each)) for each in range(_GENERATIONS)]
        self._began: float | None = None
        self._watching = False

    def start(self) -> None:
        """Watch pauses. Raises StateError where it does already."""
        if self._watching:
            raise StateError("process metrics are watching pauses already: stop them first")
        self._watching = True
        gc.callbacks.append(self._collected)

    def stop(self) -> None:
        """Watch pauses no longer; may be called again."""
        if self._watching:
            gc.callbacks.remove(self._collected)
        self._watching, self._began = False, None

    def records(self) -> tuple[MetricRecord, ...]:
        """Return all figures. Raises OSError where the system does not tell."""
        now, cpu = self._clock(), self._cpu()
        shares = []
        if now > self._before[0]:
            shares = [max(cpu - self._before[1], 0.0) / (now - self._before[0])]
            self._before = now, cpu
        return (
            _record("process_cpu_seconds", Kind.COUNTER, "Processor time of all threads.", cpu),
            _record("process_cpu_share", Kind.GAUGE, "Processor time over time since the last; 1 is a core.", *shares),
            _record("process_resident_memory_bytes", Kind.GAUGE, "Memory that is in use now.", resident()),
            _record("process_threads", Kind.GAUGE, "Threads of Python.", threading.active_count()),
            _record("process_open_files", Kind.GAUGE, "Files, sockets and pipes that are open.", open_files()),
            *(self._pause_record(each) for each in self._monitor.snapshot()),
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _collected(self, phase: str, info: Mapping[str, Any]) -> None:
        """Record a pause; called by the interpreter, which collects in one thread at a time."""
        if phase == "start":
            self._began = self._clock()
        elif self._began is not None:
            took, self._began = self._clock() - self._began, None
            if took >= 0.0:
                self._pauses[min(info["generation"], _GENERATIONS - 1)].ok.record(took)

    @staticmethod
    def _pause_record(record: MetricRecord) -> MetricRecord:
        """Return the record without the outcome that every timer has: a pause does not fail."""
        series = (SeriesRecord(each.labels[:-1], each.value) for each in record.series if each.labels[-1][1] == "ok")
        return record._replace(series=tuple(series))


def open_files() -> int:
    """Return how many files, sockets and pipes this process has open."""
    if sys.platform == "linux":
        return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - without the one that it is read through
    import psutil

    process = psutil.Process()
    return int(process.num_handles() if sys.platform == "win32" else process.num_fds())


def _record(name: str, kind: Kind, help_text: str, *values: float) -> MetricRecord:
    return MetricRecord(name, kind, help_text, tuple(SeriesRecord((), float(value)) for value in values), 0)
