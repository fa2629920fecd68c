"""Whether a series rises or falls, and how fast: Theil-Sen slope and Mann-Kendall test, for autocorrelated points.

Sources: Theil 1950 and Sen 1968, JASA 63 (slope and interval); Mann 1945, Econometrica 13, and Kendall 1975, Rank
Correlation Methods (test, ties); Hirsch, Slack & Smith 1982, Water Resources Research 18 (cycles); Hamed & Rao 1998, Journal of Hydrology 204, and Yue & Wang 2004, Water Resources
Management 18 (autocorrelation).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import ceil, floor, isfinite, sqrt
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring.analytics._series import (
    Point,
    checked,
    confident,
    correlation,
    endless_inflation,
    enough,
    first_order,
    groups,
    median,
    ranks,
)
from pytest_pe_perf.judge.paired import t_quantile, t_sf

# With fewer points autocorrelation cannot be told from a trend.
LEAST_POINTS = 20
# A longer series is cut into so many runs of neighbours, each of which becomes its medians: the 19,900 pairs of 200
# points are sorted in some ten milliseconds.
MOST_POINTS = 200
# Of fewer points at the same time of a period, two or one, no order can be seen.
LEAST_PERIODS = 3
# A level and a slope are taken out before autocorrelation is looked at.
FITTED = 2


class TrendVerdict(StrEnum):
    """Which way a series goes."""

    RISING = "rising"
    FALLING = "falling"
    NONE = "none"


class Line(NamedTuple):
    """A straight line: its slope, in units of the value a second, and its level at the last point."""

    slope: float
    level: float


@dataclass(frozen=True, slots=True)
class Trend:
    """What the points say of the direction.

    Attributes:
        verdict: rising or falling where p is below 1 - confidence and the interval of the slope leaves out 0.
        p: two-sided chance to see as much order in a series without a trend and as autocorrelated as this one.
        line: the Theil-Sen line.
        low, high: the lines of the least and the greatest slope of the interval.
        confidence: of the interval.
        time: of the last point, in seconds; where the lines' levels are.
        points: how many there were.
        effective_points: how many independent points know as much, after thinning.

    """

    verdict: TrendVerdict
    p: float
    line: Line
    low: Line
    high: Line
    confidence: float
    time: float
    points: int
    effective_points: float

    @property
    def slope(self) -> float:
        """Units of the value a second."""
        return self.line.slope


class _Cells(NamedTuple):
    """The points that are looked at; those of one season, given by their places, are compared with each other."""

    times: Sequence[float]
    values: Sequence[float]
    seasons: Sequence[Sequence[int]]


def trend(points: Iterable[Point], *, period: float | None = None, confidence: float = 0.99) -> Trend:
    """Return whether the values rise or fall, and how fast.

    The slope is the median of those of all pairs; test and interval come from Kendall's S, whose variance is that of
    independent points with ties, times an inflation for autocorrelation, with Student's t for the few effective points
    that are left. A series that does not step back once is rising all the same (see `_unbroken`). More than
    MOST_POINTS are thinned first, to medians of equally many neighbours.

    With a `period` in seconds, such as that of a day, only points at the same time of it are compared (Hirsch, Slack &
    Smith 1982). Without it a cycle counts as noise, and hides what is smaller than itself.

    Raises InputError for what is no series of ascending times, values too steep for a float, a period that is not
    positive or fits in more than MOST_POINTS times, and a confidence outside [0.5, 0.9999]; InsufficientData for fewer
    than LEAST_POINTS or LEAST_PERIODS.
    """
    confident(confidence)
    times, values = checked(points, LEAST_POINTS)
    cells = _thinned(times, values) if period is None else _phased(times, values, check.positive("period", period))
    slopes, s, variance = _compared(cells)
    slope = median(slopes)
    inflated = _inflation(cells, slope)
    freedom = max((len(cells.times) - len(cells.seasons) + 1) / inflated - FITTED, 1.0)
    deviation = sqrt(variance * inflated)
    p = min(1.0, 2.0 * t_sf(max(abs(s) - 1, 0) / deviation, freedom)) if deviation else 1.0
    low, high = sen_interval(slopes, t_quantile((1.0 + confidence) / 2.0, freedom) * deviation)
    steps = _unbroken(cells.times, cells.values) if len(cells.seasons) == 1 else []
    if steps and steps[0] * slope > 0.0:
        p = min(p, 2.0 ** (1 - len(steps)))
        # The line is then no flatter than the flattest of the steps.
        low, high = (max(low, min(*steps, slope)), high) if slope > 0.0 else (low, min(high, max(*steps, slope)))
    verdict = TrendVerdict.NONE
    if p < 1.0 - confidence:
        verdict = TrendVerdict.RISING if low > 0 else TrendVerdict.FALLING if high < 0 else TrendVerdict.NONE
    line, flat, steep = (_through(cells, each, times[-1]) for each in (slope, low, high))
    return Trend(verdict, p, line, flat, steep, confidence, times[-1], len(times), len(cells.times) / inflated)


def _compared(cells: _Cells) -> tuple[list[float], int, float]:
    """Return the ascending slopes of all pairs of a season, Kendall's S and its variance, over all seasons."""
    slopes: list[float] = []
    s, variance = 0, 0.0
    for season in cells.seasons:
        values = [cells.values[at] for at in season]
        slopes += pair_slopes([cells.times[at] for at in season], values)
        of_season, its_variance = mann_kendall(values)
        s, variance = s + of_season, variance + its_variance
    enough(len(slopes), LEAST_POINTS, "pairs of points at the same time of the period")
    return sorted(slopes), s, variance


def pair_slopes(times: Sequence[float], values: Sequence[float]) -> list[float]:
    """Return the slopes between all pairs of points. Raises InputError where one is not finite."""
    slopes = [
        (later - value) / (then - time)
        for i, (time, value) in enumerate(zip(times, values, strict=True), 1)
        for then, later in zip(times[i:], values[i:], strict=True)
    ]
    if not all(map(isfinite, slopes)):
        raise InputError("points", times, "two of them are so near in time that no float holds the slope between them")
    return slopes


def mann_kendall(values: Sequence[float]) -> tuple[int, float]:
    """Return Kendall's S, the rising pairs less the falling ones, and its variance for independent points.

    The variance is (n(n-1)(2n+5) - sum of t(t-1)(2t+5) over the groups of t equal values) / 18 (Kendall 1975).
    """
    s = 0
    for i, value in enumerate(values, 1):
        for later in values[i:]:
            s += (later > value) - (later < value)
    sizes = (len(values), *Counter(values).values())
    whole, *ties = (size * (size - 1) * (2 * size + 5) for size in sizes)
    return s, (whole - sum(ties)) / 18.0


def sen_interval(slopes: Sequence[float], half: float) -> tuple[float, float]:
    """Return the interval of the median of ascending slopes for which Kendall's S is within +-`half` (Sen 1968, 2.6)."""
    n = len(slopes)
    low = max(round((n - half) / 2.0) - 1, 0)
    high = min(round((n + half) / 2.0), n - 1)
    return slopes[low], slopes[high]


def _thinned(times: Sequence[float], values: Sequence[float]) -> _Cells:
    """Return MOST_POINTS at most, all of one season."""
    if len(times) > MOST_POINTS:
        times, values = ([median(group) for group in groups(column, MOST_POINTS)] for column in (times, values))
    return _Cells(times, values, [range(len(times))])


def _phased(times: Sequence[float], values: Sequence[float], period: float) -> _Cells:
    """Return the medians of equal parts of each period, as many as there are points for, MOST_POINTS at most."""
    span = times[-1] - times[0]
    if span > period * MOST_POINTS:
        raise InputError("period", period, f"the series goes over more than {MOST_POINTS} of them: give a part of it")
    enough(round(span / period), LEAST_PERIODS, "periods")
    parts = max(min(MOST_POINTS, len(times)) // ceil(span / period), 1)
    inside: dict[int, list[int]] = {}
    for index, time in enumerate(times):
        # Half a part is added so that points which are a part apart lie in the middle of theirs.
        inside.setdefault(floor((time - times[0]) / period * parts + 0.5), []).append(index)
    enough(len(inside), LEAST_POINTS, "parts of periods with a point")
    seasons: dict[int, list[int]] = {}
    for at, part in enumerate(inside):
        seasons.setdefault(part % parts, []).append(at)
    of_time, of_value = (
        [median(column[index] for index in each) for each in inside.values()] for column in (times, values)
    )
    return _Cells(of_time, of_value, list(seasons.values()))


def _inflation(cells: _Cells, slope: float) -> float:
    """Return by how much autocorrelation of what line and season leave over inflates the variance of S.

    It is the larger of two estimates, both from ranks, as S is. One takes a first-order process, which a few points are
    enough to know (Yue & Wang 2004). The other is Hamed & Rao's (1998) sum over lags, ended at the first lag that is
    not positive (Geyer 1992, Statistical Science 7): the sum over all lags tells nothing, it is about -1/2 whatever the
    series; this one sees long memory and cycles, which the first misses.
    """
    n = len(cells.times)
    start = cells.times[0]
    flat = [value - slope * (time - start) for time, value in zip(cells.times, cells.values, strict=True)]
    for season in cells.seasons:
        usual = median(flat[at] for at in season)
        for at in season:
            flat[at] -= usual
    rest = ranks(flat)
    first = endless_inflation(first_order(rest, FITTED))
    weights, weighted, total = 0.0, 0.0, n * (n - 1) * (n - 2)
    for lag in range(1, n - 2):
        seen = correlation(rest, lag)
        if seen <= 0.0:
            break
        weight = (n - lag) * (n - lag - 1) * (n - lag - 2) / total
        weights += weight
        weighted += weight * seen
    # Each autocorrelation is too small by about inflation * (1 - r) / n for each parameter fitted (Anderson 1971).
    bias = FITTED * (1.0 + 2.0 * weighted) / n
    return max(first, 1.0 + 2.0 * (weighted + bias * (weights - weighted)))


def _unbroken(times: Sequence[float], values: Sequence[float]) -> list[float]:
    """Return the slopes between LEAST_POINTS points spread evenly over the series if all go one way, or nothing.

    A curve, such as memory that fills up, leaves the straight line smooth residues that look like the strongest
    autocorrelation; a test that allows for it never calls the curve rising. But even a random walk goes 19 steps in one
    direction only once in 2^18 times.
    """
    n = len(values)
    at = [i * (n - 1) // (LEAST_POINTS - 1) for i in range(LEAST_POINTS)]
    slopes = [(values[j] - values[i]) / (times[j] - times[i]) for i, j in pairwise(at)]
    return slopes if min(slopes) > 0.0 or max(slopes) < 0.0 else []


def _through(cells: _Cells, slope: float, time: float) -> Line:
    """Return the line of this slope that has half of the points above it."""
    at = zip(cells.times, cells.values, strict=True)
    return Line(slope, median(value + slope * (time - then) for then, value in at))
