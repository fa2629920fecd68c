"""What the engine does, in numbers: counters, gauges, histograms and timers that cost a fraction of a microsecond each.

    monitor = PerformanceMonitor()
    decided = monitor.counter("decisions", "Decisions taken.", labels=("account",)).labels(account="GEN")
    decided.inc()

    @monitor.timed("analysis_seconds", "Time of one market analysis.")
    def analyze(bars): ...

    monitor.snapshot()

Recording is done in cells of the thread that records and takes no lock; the cells are added up by whoever reads. There
is no thread, no queue and no registry behind it: someone else pulls `snapshot`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar, overload

from engine_opt import _validate as check
from engine_opt.errors import InputError, StateError
from engine_opt.monitoring._threads import ThreadCells
from engine_opt.monitoring.histogram import Histogram, HistogramRecorder
from engine_opt.monitoring.metrics import (
    OVERFLOW,
    Counter,
    Gauge,
    HistogramSeries,
    Kind,
    Labelled,
    MetricSpec,
    SilentCounter,
    SilentGauge,
    SilentHistogramSeries,
    SilentLabelled,
    checked,
    label_names,
)
from engine_opt.monitoring.timing import LONGEST, SHORTEST, SilentTimer, Timer, Timing

__all__ = [
    "OVERFLOW",
    "Counter",
    "Gauge",
    "Histogram",
    "HistogramSeries",
    "Kind",
    "Labelled",
    "MetricRecord",
    "PerformanceMonitor",
    "SeriesRecord",
    "Timer",
    "Timing",
]

S = TypeVar("S")


class SeriesRecord(NamedTuple):
    """One series at one moment.

    Attributes:
        labels: name and value of each of its labels, in the order of the names.
        value: what a counter has counted, a gauge shows, or a histogram has recorded.

    """

    labels: tuple[tuple[str, str], ...]
    value: float | Histogram


class MetricRecord(NamedTuple):
    """One metric at one moment.

    Attributes:
        name, kind, help_text: as it was made.
        series: oldest first. A gauge that was never set has none; a timer has two for each combination of its own
            labels, with the further label `outcome`, which is `ok` or `error`.
        refused: how often a series was asked for that did not fit, and the overflow was given instead.

    """

    name: str
    kind: Kind
    help_text: str
    series: tuple[SeriesRecord, ...]
    refused: int


class PerformanceMonitor:
    """Makes metrics, and reads them all.

    A metric is made once: asking again for the same one returns it, asking for one of its name that differs is refused.
    `max_series` is how many series a metric with labels may have; beyond, one more takes what does not fit (see
    `Labelled.labels`). `clock` gives seconds for the timers, and nothing else. `enabled` is decided here: a monitor
    that is off checks what it is asked for, makes metrics that do nothing, and shows none of their series.

    May be shared between threads. What a thread has counted stays when it ends. A record that is being made while
    another thread reads is in that reading or in the next. In a forked process the monitor goes on with a copy: what
    the parent had counted until then is counted there too.

    A clock that goes back makes no durations: `stats` counts as `backwards` how often none could be recorded. One that
    jumps forward makes durations too long, which nobody can tell.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.perf_counter,
        enabled: bool = True,
        max_series: int = 100,
        name: str = "monitor",
    ) -> None:
        if not callable(clock):
            raise InputError("clock", clock, "it must be a function")
        if type(max_series) is not int or max_series < 1:
            raise InputError("max_series", max_series, "it must be a whole number of series, at least 1")
        if type(name) is not str or not name:
            raise InputError("name", name, "it must be text that is not empty")
        self._clock, self._max_series, self._name = clock, max_series, name
        self._enabled = check.flag("enabled", enabled)
        self._threads = ThreadCells()
        self._metrics: dict[str, Labelled[Any]] = {}
        self._numbers = count()
        self._backwards = Counter(self._threads, next(self._numbers))
        self._closed = False

    @property
    def name(self) -> str:
        """What errors call the monitor."""
        return self._name

    @property
    def enabled(self) -> bool:
        """Whether anything is recorded."""
        return self._enabled

    @overload
    def counter(self, name: str, help_text: str) -> Counter: ...
    @overload
    def counter(self, name: str, help_text: str, labels: Sequence[str]) -> Labelled[Counter]: ...
    def counter(self, name: str, help_text: str, labels: Sequence[str] | None = None) -> Counter | Labelled[Counter]:
        """Return a counter, or with names of `labels` one for each combination of their values.

        Raises InputError for a name, text or label that OpenMetrics does not allow, a name that ends as samples do
        (exports add `_total`), and where there is a metric of this name that differs; StateError once closed. So do
        the others.
        """
        series = Counter if self._enabled else SilentCounter
        return self._metric(name, Kind.COUNTER, help_text, labels, lambda: series(self._threads, next(self._numbers)))

    @overload
    def gauge(self, name: str, help_text: str) -> Gauge: ...
    @overload
    def gauge(self, name: str, help_text: str, labels: Sequence[str]) -> Labelled[Gauge]: ...
    def gauge(self, name: str, help_text: str, labels: Sequence[str] | None = None) -> Gauge | Labelled[Gauge]:
        """Return a gauge, or with names of `labels` one for each combination of their values."""
        series = Gauge if self._enabled else SilentGauge
        return self._metric(name, Kind.GAUGE, help_text, labels, lambda: series(self._threads, next(self._numbers)))

    @overload
    def histogram(self, name: str, help_text: str, *, lowest: float, highest: float) -> HistogramSeries: ...
    @overload
    def histogram(
        self, name: str, help_text: str, labels: Sequence[str], *, lowest: float, highest: float
    ) -> Labelled[HistogramSeries]: ...
    def histogram(
        self, name: str, help_text: str, labels: Sequence[str] | None = None, *, lowest: float, highest: float
    ) -> HistogramSeries | Labelled[HistogramSeries]:
        """Return a histogram of values from `lowest` to `highest`, or one for each combination of values of `labels`.

        Outside of that range values are counted, and their sum, minimum and maximum kept, but not their quantiles.
        Raises InputError as well for a range that is none, or wider than 64 doublings.
        """
        empty = HistogramRecorder(lowest=lowest, highest=highest).value()
        span = empty.lowest, empty.highest
        return self._metric(name, Kind.HISTOGRAM, help_text, labels, lambda: self._histogram(*span), *span)

    @overload
    def timer(self, name: str, help_text: str) -> Timer: ...
    @overload
    def timer(self, name: str, help_text: str, labels: Sequence[str]) -> Labelled[Timer]: ...
    def timer(self, name: str, help_text: str, labels: Sequence[str] | None = None) -> Timer | Labelled[Timer]:
        """Return a timer, or with names of `labels` one for each combination of their values.

        Its name must end in `_seconds`. Durations from 100 ns to 10,000 s have quantiles.
        """
        kind = Timer if self._enabled else SilentTimer

        def make() -> Timer:
            ok, error = (self._histogram(SHORTEST, LONGEST) for _ in ("ok", "error"))
            return kind(name, ok, error, self._clock, self._backwards.inc)

        return self._metric(name, Kind.TIMER, help_text, labels, make, SHORTEST, LONGEST)

    def timed(self, name: str, help_text: str | None = None, labels: Mapping[str, str] | None = None) -> Timing:
        """Return what times a block or decorates a function, by a timer of this name and these values of labels.

        Without a text it is that of the timer if there is one. Raises InputError also for values of labels that are
        none. Where it is asked for often, keep the timer, and use `Timer.timed`.
        """
        if labels is not None and not isinstance(labels, Mapping):
            raise InputError("labels", labels, "it must be a table of values by name")
        known = self._metrics.get(name) if isinstance(name, str) else None
        if help_text is None:
            help_text = "Time taken, in seconds." if known is None else known.spec.help_text
        if not labels:
            return self.timer(name, help_text).timed()
        names = tuple(labels)
        if known is not None and set(names) == set(known.spec.labels):
            names = known.spec.labels  # in whichever order they are named
        return self.timer(name, help_text, names).labels(**labels).timed()

    def snapshot(self) -> tuple[MetricRecord, ...]:
        """Return all metrics with their series, oldest first. Works after closing, too."""
        return tuple(
            MetricRecord(
                metric.spec.name,
                metric.spec.kind,
                metric.spec.help_text,
                tuple(
                    record
                    for values, series in metric.series()
                    for record in _read(tuple(zip(metric.spec.labels, values, strict=True)), series)
                ),
                metric.refused,
            )
            for metric in tuple(self._metrics.values())
        )

    def stats(self) -> Mapping[str, float]:
        """Return counts of `metrics` and their `series`; `threads` that have recorded something and not ended.

        `refused`: how often a series was asked for that did not fit; `backwards`: durations that the clock did not
        give; `enabled`: 1 or 0.
        """
        metrics = tuple(self._metrics.values())
        return {
            "metrics": float(len(metrics)),
            "series": float(sum(len(metric.series()) for metric in metrics)),
            "threads": float(self._threads.threads()),
            "refused": float(sum(metric.refused for metric in metrics)),
            "backwards": self._backwards.value(),
            "enabled": float(self._enabled),
        }

    def close(self) -> None:
        """Make no more metrics. Those that were made go on, so that nobody who is still at work is stopped."""
        self._closed = True

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _histogram(self, lowest: float, highest: float) -> HistogramSeries:
        series = HistogramSeries if self._enabled else SilentHistogramSeries
        return series(self._threads, next(self._numbers), lowest, highest)

    def _metric(
        self,
        name: str,
        kind: Kind,
        help_text: str,
        labels: Sequence[str] | None,
        make: Callable[[], S],
        lowest: float | None = None,
        highest: float | None = None,
    ) -> S | Labelled[S]:
        """Return a metric's only series, or the metric where it has labels; a new one where there is none."""
        self._check_open()
        names = () if labels is None else label_names(labels)
        spec = checked(MetricSpec(name, kind, help_text, names, lowest, highest))
        family = Labelled[S] if self._enabled else SilentLabelled[S]
        # Of two threads that make it at once, one is first, and both get what that one made.
        metric: Labelled[S] = self._metrics.get(name) or self._metrics.setdefault(
            name, family(spec, make, self._max_series, self._threads)
        )
        if metric.spec != spec:
            differing = [field for field in spec._fields if getattr(spec, field) != getattr(metric.spec, field)]
            raise InputError("name", name, f"there is a metric of this name, which differs in {', '.join(differing)}")
        return metric if names else metric.labels()

    def _check_open(self) -> None:
        if self._closed:
            raise StateError(f"performance monitor {self._name!r} is closed: make another one")


def _read(labels: tuple[tuple[str, str], ...], series: Counter | Gauge | HistogramSeries | Timer) -> list[SeriesRecord]:
    """Return a series as it is shown."""
    if isinstance(series, Timer):
        outcomes = (("ok", series.ok), ("error", series.error))
        return [SeriesRecord((*labels, ("outcome", word)), each.value()) for word, each in outcomes]
    value = series.value()
    return [] if value is None else [SeriesRecord(labels, value)]
