"""Pulls the numbers of everything that counts something, and has a store keep them.

    with MetricsCollector(open_store("metrics.db"), interval=10.0) as collector:
        collector.register_monitor(monitor)
        collector.register("prices", cache, CACHE)
        collector.start()

Whoever counts is not held up: numbers are read, and written by the thread that collects. A store that fails is asked
again next time, with everything that it has missed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from math import isfinite
from types import TracebackType
from typing import Protocol, Self

from engine_opt import _validate as check
from engine_opt.errors import InputError, StateError
from engine_opt.monitoring._pending import Pending
from engine_opt.monitoring.histogram import Histogram
from engine_opt.monitoring.metrics import Kind
from engine_opt.monitoring.performance_monitor import MetricRecord, PerformanceMonitor, SeriesRecord
from engine_opt.monitoring.process_metrics import ProcessMetrics
from engine_opt.monitoring.samples import Collection, MetricInfo, MetricStore, Sample, SampleKind, SeriesKey
from engine_opt.monitoring.stat_records import StatTable

__all__ = ["HasStats", "MetricsCollector", "Source"]

INTERVAL = 10.0

MOST_PENDING = 90
"""Collections kept while the store fails: a quarter of an hour; 200 series of which half are histograms take 40 MB."""

Source = Callable[[], Iterable[MetricRecord]]
"""Where metrics come from; counters and histograms as they are since the beginning, not since the last time."""

_KINDS = {
    Kind.COUNTER: SampleKind.COUNTER,
    Kind.GAUGE: SampleKind.GAUGE,
    Kind.HISTOGRAM: SampleKind.HISTOGRAM,
    Kind.TIMER: SampleKind.HISTOGRAM,
}


class HasStats(Protocol):
    """A component that tells what it has counted."""

    def stats(self) -> Mapping[str, float]:
        """Return counts by name."""


class MetricsCollector:
    """Collects from all that is registered, in a thread of its own once started, or when `collect` is called.

    `clock` gives seconds since the epoch, `monotonic` the lengths of intervals; `interval` is the time from one
    collection to the next, in seconds. The store stays the caller's to close.

    A collection ends when the clock says. Where that is not after the end of the one before, the clock has gone back:
    time then goes on from that end by the monotonic clock, so that what is stored never goes back, and `backwards`
    counts the collections of which that is true. It does so until the clock has caught up. A clock that jumps ahead
    leaves a gap, and lengths as they were.

    While the store fails, the newest `most_pending` collections are kept and the rest is dropped; counts in what was
    dropped are missing in the store.

    Raises InputError for an interval that is not positive, a number of collections below 1, and what is no function.
    """

    def __init__(
        self,
        store: MetricStore,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        interval: float = INTERVAL,
        most_pending: int = MOST_PENDING,
        process: ProcessMetrics | None = None,
        name: str = "collector",
    ) -> None:
        for field, function in (("clock", clock), ("monotonic", monotonic)):
            if not callable(function):
                raise InputError(field, function, "it must be a function")
        if type(most_pending) is not int or most_pending < 1:
            raise InputError("most_pending", most_pending, "it must be a whole number of collections, at least 1")
        if type(name) is not str or not name:
            raise InputError("name", name, "it must be text that is not empty")
        self._interval = check.positive("interval", interval)
        self._clock, self._monotonic, self._name, self._process = clock, monotonic, name, process
        self._pending = Pending(store, most_pending)
        self._before = monotonic()
        self._sources: dict[str, Source] = {}
        self._seen: dict[SeriesKey, float | Histogram] = {}
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._closed = False
        self._counts = {"collections": 0, "samples": 0, "refused": 0, "failed_sources": 0, "failed_collections": 0}
        self._problem: Exception | None = None
        if process is not None:
            self._sources["process"] = process.records

    @property
    def problem(self) -> Exception | None:
        """What went wrong last: a source, a number, a collection or the store; None where nothing has."""
        return self._problem

    def register_monitor(self, monitor: PerformanceMonitor) -> None:
        """Collect all metrics of a monitor. Raises InputError where its name is taken, StateError once closed."""
        self.register_source(monitor.name, monitor.snapshot)

    def register(self, name: str, component: HasStats, table: StatTable) -> None:
        """Collect a component's `stats`, whose meaning is in `table`, with the label `component`, which is `name`."""
        self.register_source(name, lambda: table.records(component.stats(), component=name))

    def register_source(self, name: str, source: Source) -> None:
        """Collect what a function returns. Raises as `register_monitor` does."""
        if type(name) is not str or not name:
            raise InputError("name", name, "it must be text that is not empty")
        if not callable(source):
            raise InputError("source", source, "it must be a function")
        with self._turn:
            self._check_open()
            if name in self._sources:
                raise InputError("name", name, "there is a source of this name: give each its own")
            self._sources[name] = source

    def collect(self) -> Collection:
        """Return what was counted since the last collection, and keep it for the store.

        What began anew since then, or was never collected, gives all that it has counted. A source that raises is left
        out, and what it has counted comes with the next collection; a number that is not finite, a counter below 0
        and a series that another source has already are refused, each counted. Raises StateError once closed, or where
        no time has passed since the last collection.
        """
        with self._turn:
            self._check_open()
            return self._pending.add(self._made())

    def flush(self) -> None:
        """Write what the store has not; raises as the store does, and then keeps it for the next time."""
        try:
            self._pending.write()
        except Exception as error:
            self._problem = error
            raise

    def start(self) -> None:
        """Collect and write every interval, in a thread. Raises StateError where it does already, or once closed."""
        with self._turn:
            self._check_open()
            if self._thread is not None:
                raise StateError(f"metrics collector {self._name!r} is running: stop it first")
            if self._process is not None:
                self._process.start()
            self._ended.clear()
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread, after it has collected and written once more; may be called again. Waits for a write under way."""
        thread = self._thread
        if thread is None:
            return
        self._ended.set()
        thread.join()
        with self._turn:
            if self._thread is thread:
                self._thread = None
                if self._process is not None:
                    self._process.stop()

    def close(self) -> None:
        """Stop, and forget all sources; may be called again. What could not be written is lost."""
        self.stop()
        with self._turn:
            self._closed = True
            self._sources.clear()

    def stats(self) -> Mapping[str, float]:
        """Return counts of `collections`, of their `samples`, and of what went wrong.

        `refused`: numbers that no store could keep; `failed_sources`: sources that raised; `failed_collections`: those
        of the thread that came to nothing; `backwards`: collections for which the clock had gone back. Of the store:
        `written`, `pending` and `dropped` collections, `failed_writes`. `sources`: what is registered; `running`: 1 or 0.
        """
        return {
            **{name: float(count) for name, count in self._counts.items()},
            **self._pending.stats(),
            "sources": float(len(self._sources)),
            "running": float(self._thread is not None),
        }

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StateError(f"metrics collector {self._name!r} is closed: make another one")

    def _run(self) -> None:
        due = self._monotonic()
        last = False
        while not last:
            due = max(due + self._interval, self._monotonic())  # what was missed is not made up for
            last = self._ended.wait(max(due - self._monotonic(), 0.0))
            self._step()

    def _step(self) -> None:
        """Collect and write; whatever goes wrong is counted, and does not end the thread."""
        try:
            self.collect()
        except Exception as error:  # noqa: BLE001 - of a clock
            self._counts["failed_collections"] += 1
            self._problem = error
        with suppress(Exception):  # of the store: `flush` has counted it, and `problem` tells it
            self.flush()

    def _made(self) -> Collection:
        now, monotonic = check.positive("clock", self._clock()), self._monotonic()
        seconds = monotonic - self._before
        if not seconds > 0.0:
            raise StateError(f"metrics collector {self._name!r} has collected at this moment already: wait")
        made = _Making(self._seen)
        for name, source in tuple(self._sources.items()):
            try:
                made.add(name, tuple(source()))
            except Exception as error:  # noqa: BLE001 - a source may raise anything
                self._counts["failed_sources"] += 1
                self._problem = error
        self._before, self._seen = monotonic, made.seen
        self._counts["refused"] += len(made.refused)
        self._problem = made.refused[-1] if made.refused else self._problem
        self._counts["collections"] += 1
        self._counts["samples"] += len(made.samples)
        return Collection(now, seconds, tuple(made.metrics.values()), tuple(made.samples))


class _Making:
    """A collection as it is made, source by source."""

    def __init__(self, seen: Mapping[SeriesKey, float | Histogram]) -> None:
        self.seen = dict(seen)
        self.metrics: dict[str, MetricInfo] = {}
        self.samples: list[Sample] = []
        self.refused: list[InputError] = []
        self._owners: dict[SeriesKey, str] = {}

    def add(self, source: str, records: Iterable[MetricRecord]) -> None:
        """Take what a source tells."""
        for record in records:
            info = MetricInfo(record.name, _KINDS[record.kind], record.help_text)
            first = self.metrics.setdefault(record.name, info)
            for series in record.series:
                try:
                    self._add(source, first.kind, info.kind, record.name, series)
                except InputError as error:
                    self.refused.append(error)

    def _add(self, source: str, first: SampleKind, kind: SampleKind, name: str, series: SeriesRecord) -> None:
        key = SeriesKey(name, tuple(sorted(series.labels)))
        if first is not kind:
            raise InputError(source, key, f"another source has a {first} of this name: give this {kind} another one")
        if key in self._owners:
            raise InputError(source, key, f"source {self._owners[key]!r} has this series: give this one other labels")
        value = _checked(source, key, kind, series.value)
        self._owners[key] = source
        if kind is not SampleKind.GAUGE:
            before, self.seen[key] = self.seen.get(key), value
            value = _since(value, before)
        self.samples.append(Sample(key, value))


def _checked(source: str, key: SeriesKey, kind: SampleKind, value: float | Histogram) -> float | Histogram:
    """Return a value of this kind; raises InputError where it is none."""
    if kind is SampleKind.HISTOGRAM:
        fits = isinstance(value, Histogram)
    else:
        fits = type(value) is float and isfinite(value) and (value >= 0.0 or kind is SampleKind.GAUGE)
    if not fits:
        raise InputError(source, (key, value), f"it is no value of a {kind}")
    return value


def _since(value: float | Histogram, before: float | Histogram | None) -> float | Histogram:
    """Return what was counted after `before`: all, where it began anew."""
    if isinstance(value, Histogram):
        try:
            return value.since(before) if isinstance(before, Histogram) else value
        except InputError:
            return value
    return value - before if isinstance(before, float) and value >= before else value
