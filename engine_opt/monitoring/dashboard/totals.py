"""Counters and histograms since the dashboard started, added up from a store that keeps what each interval added.

Whoever scrapes expects totals that only grow, and begin anew where they restart: so do these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine_opt.monitoring.histogram import Histogram
from engine_opt.monitoring.metrics import Kind
from engine_opt.monitoring.performance_monitor import MetricRecord, SeriesRecord
from engine_opt.monitoring.samples import Collection, MetricInfo, MetricStore, Sample, SampleKind, SeriesKey

__all__ = ["Totals"]


class Totals:
    """Adds up collections as they come; one thread at a time may do so."""

    def __init__(self) -> None:
        self._metrics: Mapping[str, MetricInfo] = {}
        self._values: dict[SeriesKey, float | Histogram] = {}
        self._end: float | None = None

    def follow(self, store: MetricStore, newest: Collection) -> None:
        """Add what the store has since the last time; the first time, `newest` alone."""
        if newest.end == self._end:
            return
        metrics: dict[str, MetricInfo] = {**self._metrics, **{each.name: each for each in newest.metrics}}
        samples: Iterable[Sample] = newest.samples
        if self._end is not None and newest.end - newest.seconds > self._end + newest.seconds / 2:
            # Some were missed.
            metrics |= {each.name: each for each in store.metrics()}
            samples = _between(store, self._end, newest.end)
        values = dict(self._values)
        for key, value in samples:
            values[key] = value if _is_gauge(key, metrics) else _sum(values.get(key), value)
        shown = {sample.key for sample in newest.samples}
        # A gauge that is not shown any more has no value; whatever was counted stays.
        self._values = {key: value for key, value in values.items() if key in shown or not _is_gauge(key, metrics)}
        self._metrics, self._end = metrics, newest.end

    def records(self) -> tuple[MetricRecord, ...]:
        """Return the totals, by metric."""
        metrics, values = self._metrics, self._values
        return tuple(
            MetricRecord(
                metric.name,
                Kind(metric.kind.value),
                metric.help_text,
                tuple(SeriesRecord(key.labels, value) for key, value in values.items() if key.name == metric.name),
                0,
            )
            for metric in metrics.values()
        )


def _between(store: MetricStore, start: float, end: float) -> Iterator[Sample]:
    """Return what all series added in some intervals."""
    for key in store.series():
        for point in store.read(key, start, end):
            yield Sample(key, point.value if point.histogram is None else point.histogram)


def _is_gauge(key: SeriesKey, metrics: Mapping[str, MetricInfo]) -> bool:
    return metrics[key.name].kind is SampleKind.GAUGE


def _sum(total: float | Histogram | None, added: float | Histogram) -> float | Histogram:
    """Return the sum; where the range of a histogram is another one now, it begins anew."""
    if isinstance(total, Histogram) and isinstance(added, Histogram):
        same = (total.lowest, total.highest) == (added.lowest, added.highest)
        return total + added if same else added
    if isinstance(total, float) and isinstance(added, float):
        return total + added
    return added
