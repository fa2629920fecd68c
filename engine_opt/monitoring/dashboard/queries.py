"""What a dashboard shows of a store: series over time as columns, and panels, which show the last of them as numbers.

    panel = Panel("latency", "Time of a component", "component_seconds", ("p50", "p99"), unit="s", by=("component",))
    overview = [show(store, panel, newest_end) for panel in panels]

A `Selection` says which series, how they are put together, and which numbers are made of their points. Counters and
histograms add up, so a quantile of several series is that of all their values; gauges do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import ceil, nan
from operator import add
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring.samples import MetricInfo, MetricStore, SampleKind, SeriesKey, SeriesPoint

__all__ = ["Columns", "Group", "Panel", "Selection", "Shown", "Target", "columns", "groups", "info", "show"]

UNITS = ("s", "B", "1/s", "1", "share")
"""Seconds, bytes, a rate, a count, and a share of one."""

SHARE = "share"

Labels = tuple[tuple[str, str], ...]


def _rate(point: SeriesPoint) -> float:
    return point.value / point.seconds


def _mean(point: SeriesPoint) -> float:
    held = point.histogram
    return held.total / point.value if held is not None and point.value else nan


def _value(point: SeriesPoint) -> float:
    return point.value


def _lowest(point: SeriesPoint) -> float:
    return point.lowest


def _highest(point: SeriesPoint) -> float:
    return point.highest


_STATS: dict[SampleKind, dict[str, Callable[[SeriesPoint], float]]] = {
    SampleKind.COUNTER: {"rate": _rate, "value": _value, SHARE: _value},
    SampleKind.GAUGE: {"value": _value, "min": _lowest, "max": _highest},
    SampleKind.HISTOGRAM: {
        "mean": _mean,
        "min": _lowest,
        "max": _highest,
        "count": _value,
        "rate": _rate,
    },
}
_QUANTILES = {f"p{share * 100:g}": share for share in (0.5, 0.9, 0.99, 0.999)}


def _known(kind: SampleKind) -> tuple[str, ...]:
    return (*_QUANTILES, *_STATS[kind]) if kind is SampleKind.HISTOGRAM else tuple(_STATS[kind])


STATS = tuple(dict.fromkeys(stat for kind in _STATS for stat in _known(kind)))
"""What can be asked for; the first of each kind is what is shown when nothing is."""


class Target(NamedTuple):
    """A line to hold against.

    Attributes:
        value: where it is, in the panel's unit.
        label: what it is called.

    """

    value: float
    label: str


class Selection(NamedTuple):
    """Which series, put together how, and what of them.

    Attributes:
        metric: its name.
        labels: that a series must have; it may have more.
        by: series that agree in these are put together; None leaves each alone.
        stats: the numbers wanted, of `STATS`.
        of: counters whose sum is the whole for the stat `share`.

    """

    metric: str
    labels: Labels
    by: tuple[str, ...] | None
    stats: tuple[str, ...]
    of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """A few numbers that are shown together. Raises InputError for what cannot be shown.

    Attributes:
        id: short and unique, for a page to know it by.
        title: what people read.
        metric, stats, labels, by, of: as `Selection` has them; whether a stat fits is known once there is data.
        unit: of the numbers, one of `UNITS`.
        seconds: of how long before the newest data the numbers are.
        group: panels of one group stand together.
        target: a line to hold against.

    """

    id: str
    title: str
    metric: str
    stats: tuple[str, ...]
    unit: str
    labels: Mapping[str, str] = field(default_factory=dict)
    by: tuple[str, ...] | None = None
    of: tuple[str, ...] = ()
    seconds: float = 60.0
    group: str = ""
    target: Target | None = None

    def __post_init__(self) -> None:
        for name in ("id", "title", "metric"):
            if type(getattr(self, name)) is not str or not getattr(self, name):
                raise InputError(name, getattr(self, name), "it must be text that is not empty")
        if self.unit not in UNITS:
            raise InputError("unit", self.unit, f"it must be one of {', '.join(UNITS)}")
        if not self.stats or not set(self.stats) <= set(STATS):
            raise InputError("stats", self.stats, f"it must name at least one of {', '.join(STATS)}")
        if (SHARE in self.stats) != bool(self.of):
            raise InputError("of", self.of, "it must name counters if a share is asked for, and only then")
        check.store(self, "seconds", check.positive("seconds", self.seconds))

    @property
    def selection(self) -> Selection:
        """What the panel shows."""
        return Selection(self.metric, tuple(sorted(self.labels.items())), self.by, self.stats, self.of)


class Group(NamedTuple):
    """Series that are put together.

    Attributes:
        labels: what they agree in.
        keys: the series; at least one.
        whole: the series that they are a share of.

    """

    labels: Labels
    keys: tuple[SeriesKey, ...]
    whole: tuple[SeriesKey, ...] = ()


class Columns(NamedTuple):
    """A group over time, oldest first.

    Attributes:
        time: when each interval ended.
        seconds: how much of it was collected.
        values: by stat; NaN, which JSON writes as null, where there is none.

    """

    time: list[float]
    seconds: list[float]
    values: dict[str, list[float | None]]


class Shown(NamedTuple):
    """A panel's numbers.

    Attributes:
        values: labels and numbers by stat of each group.
        missing: why there are none.

    """

    values: list[tuple[Labels, dict[str, float | None]]]
    missing: str | None


def info(store: MetricStore, metric: str) -> MetricInfo | None:
    """Return what is kept under this name; None where there is nothing."""
    return next((each for each in store.metrics() if each.name == metric), None)


def default_stat(kind: SampleKind) -> str:
    """Return what is shown of such a metric when nothing is asked for."""
    return _known(kind)[0]


def groups(store: MetricStore, kind: SampleKind, selection: Selection) -> list[Group]:
    """Return the groups of what is selected, sorted by their labels.

    Raises InputError where a stat does not fit the kind of the metric, or gauges were to be put together.
    """
    known = _known(kind)
    for stat in selection.stats:
        if stat not in known:
            raise InputError("stat", stat, f"a {kind} has {', '.join(known)}")
    if (SHARE in selection.stats) != bool(selection.of):
        raise InputError("of", list(selection.of), "name counters if a share is asked for, and only then")
    wanted = set(selection.labels)
    found: dict[Labels, list[SeriesKey]] = {}
    for key in store.series(selection.metric):
        if wanted <= set(key.labels):
            common = key.labels if selection.by is None else _only(key.labels, selection.by)
            found.setdefault(common, []).append(key)
    if kind is SampleKind.GAUGE and any(len(keys) > 1 for keys in found.values()):
        raise InputError("by", list(selection.by or ()), "gauges do not add up: name enough labels to tell them apart")
    others = [key for name in selection.of for key in store.series(name) if wanted <= set(key.labels)]
    return [
        Group(labels, tuple(keys), tuple(key for key in others if set(labels) <= set(key.labels)))
        for labels, keys in sorted(found.items())
    ]


def columns(
    store: MetricStore, kind: SampleKind, group: Group, stats: Sequence[str], start: float, end: float, points: int
) -> Columns:
    """Return the points of a group from `start` (excluded) to `end` (included), at most so many, as columns."""
    held = _read(store, group.keys, start, end, points)
    values = _numbers(kind, stats, held)
    if SHARE in values:
        values[SHARE] = _shares(held, _read(store, group.whole, start, end, points), start, (end - start) / points)
    return Columns([point.end for point in held], [point.seconds for point in held], values)


def show(store: MetricStore, panel: Panel, end: float) -> Shown:
    """Return the numbers of a panel for its seconds before `end`."""
    metric = info(store, panel.metric)
    if metric is None:
        return Shown([], f"there is no metric {panel.metric} yet")
    try:
        found = groups(store, metric.kind, panel.selection)
    except InputError as error:
        return Shown([], str(error))  # the panel was described wrongly: it says so where people see it
    shown = []
    for group in found:
        last = columns(store, metric.kind, group, panel.stats, end - panel.seconds, end, 1)
        if last.time:
            shown.append((group.labels, {stat: values[-1] for stat, values in last.values.items()}))
    return Shown(shown, None if shown else f"there was no such series in the last {panel.seconds:g} s")


def _numbers(kind: SampleKind, stats: Sequence[str], points: Sequence[SeriesPoint]) -> dict[str, list[float | None]]:
    """Return numbers of points as columns; all quantiles of a point at once."""
    shares = [_QUANTILES[stat] for stat in stats if stat in _QUANTILES]
    quantiles = [_quantiles(shares, point) for point in points] if shares else []
    return {
        stat: [each[shares.index(_QUANTILES[stat])] for each in quantiles]
        if stat in _QUANTILES
        else [_STATS[kind][stat](point) for point in points]
        for stat in stats
    }


def _quantiles(shares: Sequence[float], point: SeriesPoint) -> Sequence[float]:
    held = point.histogram
    return held.quantiles(shares) if held is not None and point.value else [nan] * len(shares)


def _only(labels: Labels, names: Iterable[str]) -> Labels:
    wanted = set(names)
    return tuple(label for label in labels if label[0] in wanted)


def _read(store: MetricStore, keys: Sequence[SeriesKey], start: float, end: float, points: int) -> list[SeriesPoint]:
    """Return one series, or several put together."""
    read = [store.read(key, start, end, most=points) for key in keys]
    return list(read[0]) if len(read) == 1 else _together(read, start, (end - start) / points)


def _together(several: Sequence[Sequence[SeriesPoint]], start: float, width: float) -> list[SeriesPoint]:
    """Return counters, or histograms, added up in intervals of `width`.

    Of series that began at different times the store may put different neighbours together: their points meet in
    the interval in which they end.
    """
    cells: dict[int, list[list[SeriesPoint]]] = {}
    for series in several:
        mine: dict[int, list[SeriesPoint]] = {}
        for point in series:
            mine.setdefault(_cell(point, start, width), []).append(point)
        for cell, points in mine.items():
            cells.setdefault(cell, []).append(points)
    return [_sum(cells[cell]) for cell in sorted(cells)]


def _cell(point: SeriesPoint, start: float, width: float) -> int:
    return ceil((point.end - start) / width)


def _sum(several: list[list[SeriesPoint]]) -> SeriesPoint:
    """Return the sum of the points of some series in one interval."""
    points = [point for series in several for point in series]
    histograms = [point.histogram for point in points if point.histogram is not None]
    value = sum(point.value for point in points)
    filled = [point for point in points if point.value] if histograms else []
    return SeriesPoint(
        max(point.end for point in points),
        max(sum(point.seconds for point in series) for series in several),
        value,
        min((point.lowest for point in filled), default=nan) if histograms else value,
        max((point.highest for point in filled), default=nan) if histograms else value,
        reduce(add, histograms) if histograms else None,
    )


def _shares(parts: list[SeriesPoint], whole: list[SeriesPoint], start: float, width: float) -> list[float | None]:
    """Return what share of the whole each part is, in the interval of `width` it lies in; NaN where there was nothing."""
    mine, totals = _added(parts, start, width), _added(whole, start, width)
    cells = [_cell(point, start, width) for point in parts]
    return [mine[cell] / totals[cell] if totals.get(cell) else nan for cell in cells]


def _added(points: list[SeriesPoint], start: float, width: float) -> dict[int, float]:
    """Return the sum of the points in each interval of `width`: there may be several, and in the parts others."""
    sums: dict[int, float] = {}
    for point in points:
        cell = _cell(point, start, width)
        sums[cell] = sums.get(cell, 0.0) + point.value
    return sums
