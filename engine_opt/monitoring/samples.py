"""What is collected and stored of metrics: one moment of all series, and one series over time.

The collector makes `Collection`s, a `MetricStore` keeps them, and alerts and dashboard read `SeriesPoint`s from it. Times
are seconds since the epoch, UTC. Counters and histograms are kept as what was added in an interval, so that a process
that starts anew leaves no step in them, and intervals are put together by adding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from engine_opt.monitoring.histogram import Histogram

__all__ = ["Collection", "MetricInfo", "MetricStore", "Sample", "SampleKind", "SeriesKey", "SeriesPoint"]


class SampleKind(StrEnum):
    """What the numbers of a series mean."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class SeriesKey(NamedTuple):
    """Which series it is.

    Attributes:
        name: of the metric.
        labels: name and value of each label, sorted by name.

    """

    name: str
    labels: tuple[tuple[str, str], ...] = ()


class MetricInfo(NamedTuple):
    """What a metric means.

    Attributes:
        name: valid in OpenMetrics.
        kind: of all its series.
        help_text: for the people who read it.

    """

    name: str
    kind: SampleKind
    help_text: str


class Sample(NamedTuple):
    """One series in one interval.

    Attributes:
        key: which series.
        value: of a counter what was added in the interval, at least 0; of a gauge what it showed at its end; of a
            histogram the values of the interval.

    """

    key: SeriesKey
    value: float | Histogram


class Collection(NamedTuple):
    """All series in one interval.

    Attributes:
        end: when the interval ended.
        seconds: how long it was, more than 0.
        metrics: what the samples' names mean.
        samples: each series at most once; every name is one of `metrics`.

    """

    end: float
    seconds: float
    metrics: tuple[MetricInfo, ...]
    samples: tuple[Sample, ...]


class SeriesPoint(NamedTuple):
    """One series in one interval, which may be several collections put together.

    Attributes:
        end: when the interval ended.
        seconds: how long the collections in it were together; where some were missed, less than to the point before.
        value: of a counter what was added, of a gauge the last it showed, of a histogram the number of values.
        lowest, highest: the least and the greatest that a gauge showed; of a counter both are its value, of a
            histogram the least and the greatest value recorded, NaN where there is none.
        histogram: of a histogram, all values of the interval; otherwise None.

    """

    end: float
    seconds: float
    value: float
    lowest: float
    highest: float
    histogram: Histogram | None = None


class MetricStore(Protocol):
    """Keeps series over time. One process writes, any number may read while it does."""

    def write(self, collections: Sequence[Collection]) -> None:
        """Keep `collections`, all or none; raises StoreError where that fails."""

    def metrics(self) -> tuple[MetricInfo, ...]:
        """Return what is kept, by name."""

    def series(self, name: str | None = None) -> tuple[SeriesKey, ...]:
        """Return the series of a metric, or all, sorted."""

    def read(self, key: SeriesKey, start: float, end: float, *, most: int = 1_000) -> tuple[SeriesPoint, ...]:
        """Return a series from `start` (excluded) to `end` (included), oldest first.

        Where there are more than `most` points, neighbours are put together. An unknown series has no points.
        """

    def last(self) -> Collection | None:
        """Return the newest collection; None where there is none."""

    def stats(self) -> Mapping[str, float]:
        """Return counts of what is kept and of what went wrong."""

    def close(self) -> None:
        """Let go of what is open; may be called again."""
