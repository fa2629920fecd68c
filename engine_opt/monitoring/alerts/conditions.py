"""What rules say of what is stored: nothing but reading and arithmetic, at a moment that is given."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from math import isfinite
from typing import NamedTuple

from engine_opt._validate import INF
from engine_opt.errors import InputError, InsufficientData
from engine_opt.monitoring.alerts.rules import AlertRule, Condition, Labels
from engine_opt.monitoring.alerts.toml import similar
from engine_opt.monitoring.analytics.forecast import ForecastVerdict, Limit, forecast
from engine_opt.monitoring.samples import MetricInfo, MetricStore, SampleKind, SeriesKey, SeriesPoint

FORECAST_POINTS = 60
"""A forecast looks at so many points; it takes as long as there are pairs of them."""


class Verdict(StrEnum):
    """What a rule says of a series."""

    BREACHED = "breached"
    BETWEEN = "between"  # the limit and where a firing alert is resolved
    CLEAR = "clear"
    NO_DATA = "no data"


class Observation(NamedTuple):
    """A series, as a rule sees it.

    Attributes:
        verdict: what the rule says.
        value: of the gauge, the rate a second, the quantile, or the seconds in which a forecast expects the limit to be
            reached; None where there is none.
        problem: why nothing can be said, where it is not for want of data.

    """

    verdict: Verdict
    value: float | None = None
    problem: str | None = None


class Readings:
    """What a store holds at a moment: each series is read once, however many rules look at it."""

    def __init__(self, store: MetricStore, now: float) -> None:
        self._store, self._now = store, now
        self._metrics = {each.name: each for each in store.metrics()}
        self._series: dict[str, tuple[SeriesKey, ...]] = {}
        self._points: dict[tuple[SeriesKey, float, int], tuple[SeriesPoint, ...]] = {}
        self._values: dict[tuple[SeriesKey, float, float | None], float | None] = {}

    @property
    def now(self) -> float:
        """The moment, in seconds since the epoch."""
        return self._now

    @property
    def read(self) -> int:
        """How often a series was read."""
        return len(self._points)

    def metric(self, name: str) -> MetricInfo | None:
        """Return what a metric means; None where the store does not know it."""
        return self._metrics.get(name)

    def close_to(self, name: str) -> str:
        """Return a suggestion for a name that is not known."""
        return similar(name, self._metrics)

    def series(self, rule: AlertRule) -> list[SeriesKey]:
        """Return the series that belong to a rule."""
        if rule.metric not in self._series:
            self._series[rule.metric] = self._store.series(rule.metric)
        return [key for key in self._series[rule.metric] if rule.matches(key.labels)]

    def points(self, key: SeriesKey, window: float, most: int = 1) -> tuple[SeriesPoint, ...]:
        """Return the points of the last `window` seconds."""
        asked = key, window, most
        if asked not in self._points:
            self._points[asked] = self._store.read(key, self._now - window, self._now, most=most)
        return self._points[asked]

    def value(self, key: SeriesKey, kind: SampleKind, window: float, quantile: float | None) -> float | None:
        """Return what a gauge shows, a counter's rate a second, or a quantile, of the last `window` seconds.

        None where there are no data. Raises InputError for histograms whose ranges differ, which do not add up.
        """
        asked = key, window, quantile
        if asked not in self._values:
            self._values[asked] = _value_of(self.points(key, window), kind, quantile)
        return self._values[asked]


def observed(rule: AlertRule, readings: Readings, watched: float) -> dict[Labels, Observation] | str:
    """Return what a rule says of each of its series, or why nothing can be said.

    `watched` is for how many seconds somebody has looked: data can only be missing for as long as that.
    """
    metric = readings.metric(rule.metric)
    if rule.missing is not None:
        return _missing(rule, rule.missing, readings, watched)
    if metric is None:
        return f"unknown metric {rule.metric!r}: the store has none of that name yet.{readings.close_to(rule.metric)}"
    if (metric.kind is SampleKind.HISTOGRAM) != (rule.quantile is not None):
        says = "say which quantile of it" if rule.quantile is None else "only a histogram has quantiles"
        return f"{rule.metric!r} is a {metric.kind.value}: {says}"
    observe = _forecast if rule.condition is Condition.FORECAST else _value
    return {key.labels: observe(rule, metric.kind, key, readings) for key in readings.series(rule)}


def _missing(rule: AlertRule, span: float, readings: Readings, watched: float) -> dict[Labels, Observation]:
    """Judge each series, and besides, where the rule has no series at all, their absence."""
    absent = Observation(Verdict.BREACHED if watched >= span else Verdict.NO_DATA)
    found: dict[Labels, Observation] = {}
    for key in readings.series(rule):
        if readings.points(key, span):
            found[key.labels] = Observation(Verdict.CLEAR)
        elif rule.forgotten_after == INF or readings.points(key, rule.forgotten_after):
            found[key.labels] = absent
    present = Observation(Verdict.CLEAR)
    return {rule.own_labels: present if found else absent} | found


def _value(rule: AlertRule, kind: SampleKind, key: SeriesKey, readings: Readings) -> Observation:
    """Judge what a series shows in the window."""
    try:
        value = readings.value(key, kind, rule.window, rule.quantile)
    except InputError as error:
        return Observation(Verdict.NO_DATA, None, str(error))
    if value is None:
        return Observation(Verdict.NO_DATA)
    if not isfinite(value):
        return Observation(Verdict.NO_DATA, None, f"its value is {value}, which is not a finite number")
    return Observation(compared(rule, value), value)


def _value_of(points: Sequence[SeriesPoint], kind: SampleKind, quantile: float | None) -> float | None:
    if quantile is not None:
        held = [each.histogram for each in points if each.histogram is not None and each.histogram.count]
        return sum(held[1:], start=held[0]).quantile(quantile) if held else None
    if not points:
        return None
    if kind is SampleKind.GAUGE:
        return points[-1].value
    # By the seconds that were collected: what was missed counts neither above nor below the line.
    return sum(each.value for each in points) / sum(each.seconds for each in points)


def compared(rule: AlertRule, value: float) -> Verdict:
    """Return on which side of a rule's limits a value lies; at a limit it is neither above nor below."""
    if rule.above is not None:
        breached, clear = value > rule.above, rule.resolve_below is None or value < rule.resolve_below
    else:
        breached, clear = value < rule.limit, rule.resolve_above is None or value > rule.resolve_above
    if breached:
        return Verdict.BREACHED
    return Verdict.CLEAR if clear else Verdict.BETWEEN


def _forecast(rule: AlertRule, kind: SampleKind, key: SeriesKey, readings: Readings) -> Observation:
    """Judge whether the limit will be reached; breached if it is likely, clear not before it is out of the question."""
    points = _line(rule, kind, readings.points(key, rule.window, FORECAST_POINTS))
    side = Limit.FLOOR if rule.above is None else Limit.CEILING
    try:
        found = forecast(points, rule.limit, rule.within or 0.0, kind=side, now=readings.now)
    except InsufficientData:
        return Observation(Verdict.NO_DATA)
    except InputError as error:
        return Observation(Verdict.NO_DATA, None, str(error))
    if found.verdict in (ForecastVerdict.REACHED, ForecastVerdict.EXPECTED):
        return Observation(Verdict.BREACHED, found.likely)
    return Observation(Verdict.CLEAR if found.earliest is None else Verdict.BETWEEN, found.likely)


def _line(rule: AlertRule, kind: SampleKind, points: Sequence[SeriesPoint]) -> list[tuple[float, float]]:
    if rule.quantile is not None:
        held = [(each.end, each.histogram) for each in points if each.histogram is not None and each.histogram.count]
        return [(end, histogram.quantile(rule.quantile)) for end, histogram in held]
    if kind is SampleKind.GAUGE:
        return [(each.end, each.value) for each in points]
    return [(each.end, each.value / each.seconds) for each in points]
