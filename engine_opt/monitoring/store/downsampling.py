"""How stored series get coarser with age, and which rows of which level answer a question. Pure: no clock, no disk.

Level 0 has the collections as they were written, the others a row for each minute, ten minutes, and hour. A row of a
level puts together what ended in one of its intervals. All levels are kept side by side, the finer the shorter; a level
has the rows of complete intervals up to `folded_to`, and none that ended at or before `kept_from`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import ceil, nan
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring.histogram import Histogram, added
from engine_opt.monitoring.samples import SampleKind, SeriesPoint

WIDTHS = (0.0, 60.0, 600.0, 3600.0)
"""Seconds of a row of each level, multiples of each other; of the first, whatever the collector makes."""

DAY = 86_400.0

MOST_READ = 2.0
"""Rows read for each point wanted; where there would be more, a coarser level is read."""


class Ages(NamedTuple):
    """How long rows are kept, in seconds before the newest; each no shorter than the one before.

    Attributes:
        collections: as they were written.
        minutes, ten_minutes, hours: put together.

    """

    collections: float = DAY
    minutes: float = 4 * DAY
    ten_minutes: float = 30 * DAY
    hours: float = 400 * DAY


class Extent(NamedTuple):
    """What a level has: everything that ended after `kept_from`, and not after `folded_to`."""

    kept_from: float
    folded_to: float


class Segment(NamedTuple):
    """Rows of a level that ended after `start`, and not after `end`."""

    level: int
    start: float
    end: float


def checked(ages: Ages) -> Ages:
    """Return `ages` as floats. Raises InputError where one is not positive, or shorter than that of a finer level."""
    whole = Ages(*(check.positive(f"ages.{name}", age) for name, age in zip(Ages._fields, ages, strict=True)))
    if list(whole) != sorted(whole):
        raise InputError("ages", tuple(whole), "what is coarser must be kept at least as long as what is finer")
    return whole


def interval_end(end: float, width: float) -> float:
    """Return when the interval ends to which something belongs that ended at `end`."""
    within = end % width  # exact, unlike a quotient
    return end - within + width if within else end


def complete(end: float, width: float) -> float:
    """Return the end of the last interval that is complete at `end`."""
    return end - end % width


def kept_from(newest: float, age: float, level: int, folded_to: float) -> float:
    """Return up to where rows of a level may go: never what the next level does not have, nor a part of its row."""
    return newest - age if level + 1 == len(WIDTHS) else min(complete(newest - age, WIDTHS[level + 1]), folded_to)


def plan(extents: Sequence[Extent], span: float, seconds: float, start: float, end: float, most: int) -> list[Segment]:
    """Return which rows tell of the time from `start` to `end`, oldest first, without gap or overlap.

    As fine as is kept and as `most` points allow, and finer at both ends where a coarse row would reach beyond them.
    `span` is how much of that time there can be rows for, `seconds` the length of a collection.
    """
    widths = (seconds, *WIDTHS[1:])
    fitting = (level for level, width in enumerate(widths) if span / width <= most * MOST_READ)
    wanted = next(fitting, len(widths) - 1)
    found = []
    for level in range(len(WIDTHS) - 1, wanted, -1):
        gone = min(extents[level - 1].kept_from, end)
        if start < gone:
            found.append(Segment(level, start, gone))
            start = gone
    return found + list(_cover(extents, wanted, start, end))


def _cover(extents: Sequence[Extent], level: int, start: float, end: float) -> Iterator[Segment]:
    """Yield the segments of a level and, at both ends, of finer ones."""
    if start >= end:
        return
    if level == 0:
        yield Segment(0, start, end)
        return
    finer, width = extents[level - 1], WIDTHS[level]
    first = start if start < finer.kept_from else interval_end(start, width)
    last = end if end < finer.kept_from else min(complete(end, width), extents[level].folded_to)
    if first >= last:
        yield from _cover(extents, level - 1, start, end)
        return
    yield from _cover(extents, level - 1, start, first)
    yield Segment(level, first, last)
    yield from _cover(extents, level - 1, last, end)


def fold(kind: SampleKind, points: Sequence[SeriesPoint]) -> SeriesPoint:
    """Return points of a series, oldest first, put together."""
    if len(points) == 1:
        return points[0]
    end, seconds = points[-1].end, sum(point.seconds for point in points)
    value = sum(point.value for point in points)
    if kind is SampleKind.HISTOGRAM:
        return histogram_point(end, seconds, value, merged([point.histogram for point in points if point.histogram]))
    if kind is SampleKind.COUNTER:
        return SeriesPoint(end, seconds, value, value, value)
    lowest, highest = min(point.lowest for point in points), max(point.highest for point in points)
    return SeriesPoint(end, seconds, points[-1].value, lowest, highest)


def fold_into(kind: SampleKind, points: Iterable[SeriesPoint], width: float) -> list[SeriesPoint]:
    """Return the points, oldest first, put together in intervals of `width`."""
    return [fold(kind, list(each)) for _, each in groupby(points, lambda point: interval_end(point.end, width))]


def thinned(
    kind: SampleKind, points: Sequence[SeriesPoint], start: float, end: float, most: int
) -> tuple[SeriesPoint, ...]:
    """Return at most `most` points: where there are more, those that end in the same part of the time are one."""
    if len(points) <= most:
        return tuple(points)
    # Where the time is open at an end, it begins and ends with the points.
    start, end = max(start, points[0].end - points[0].seconds), min(end, points[-1].end)
    width = (end - start) / most
    cells = groupby(points, lambda point: min(max(ceil((point.end - start) / width), 1), most))
    return tuple(fold(kind, list(each)) for _, each in cells)


def histogram_point(end: float, seconds: float, count: float, held: Histogram) -> SeriesPoint:
    """Return the point of a histogram that has so many values."""
    if held.minimum is None or held.maximum is None:
        return SeriesPoint(end, seconds, count, nan, nan, held)
    return SeriesPoint(end, seconds, count, held.minimum, held.maximum, held)


def merged(histograms: Sequence[Histogram]) -> Histogram:
    """Return the histogram of the values of all, at least one.

    Buckets are the same whatever the range. Where ranges differ, as after a new version of what is monitored, the
    result has the widest; what lay outside of a narrower one is still known as that only.
    """
    return Histogram(
        min(each.lowest for each in histograms),
        max(each.highest for each in histograms),
        *added(histograms),
        sum(each.below for each in histograms),
        sum(each.above for each in histograms),
        sum(each.total for each in histograms),
        min((each.minimum for each in histograms if each.minimum is not None), default=None),
        max((each.maximum for each in histograms if each.maximum is not None), default=None),
    )
