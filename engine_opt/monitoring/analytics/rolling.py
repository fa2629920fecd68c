"""Quantiles and rates over a window that moves along a series."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring.analytics._series import Point, checked
from pytest_pe_perf.judge.estimate import quantile


class WindowQuantiles(NamedTuple):
    """Quantiles of the values in a window.

    Attributes:
        time: the window's end, in seconds; it is closed there and open at its start.
        quantiles: in the order in which they were asked for.
        held: how many values the window holds.

    """

    time: float
    quantiles: tuple[float, ...]
    held: int


class WindowRate(NamedTuple):
    """By how much a counter grew in a window: `rate` a second, over `seconds` of it that points cover.

    Attributes:
        time: the window's end, in seconds.
        rate: growth a second.
        seconds: from the window's first point to its last.

    """

    time: float
    rate: float
    seconds: float


def rolling_quantiles(
    points: Iterable[Point], window: float, shares: Iterable[float] = (0.5, 0.99)
) -> tuple[WindowQuantiles, ...]:
    """Return, for each point, the quantiles of the values of the `window` seconds that end with it.

    A quantile lies between two values by linear interpolation (Hyndman & Fan 1996, type 7). `shares` are in [0, 1].
    Raises InputError for what is no series of ascending times, a window that is not positive, and a bad share;
    InsufficientData without any point.
    """
    times, values = checked(points, 1)
    width = check.positive("window", window)
    wanted = [check.between(f"shares[{index}]", each, 0.0, 1.0) for index, each in enumerate(shares)]
    if not wanted:
        raise InputError("shares", shares, "at least one quantile must be asked for")
    ordered: list[float] = []
    first = 0
    found = []
    for time, value in zip(times, values, strict=True):
        insort(ordered, value)
        while time - times[first] >= width:
            del ordered[bisect_left(ordered, values[first])]
            first += 1
        found.append(WindowQuantiles(time, tuple(quantile(ordered, each) for each in wanted), len(ordered)))
    return tuple(found)


def rates(points: Iterable[Point], window: float) -> tuple[WindowRate, ...]:
    """Return, for each point that has an earlier one at most `window` seconds before it, how fast the counter grew.

    A counter that goes down has started again from zero, and what it shows then is what it has grown since. What it
    counted between its last reading and its end is not known. Growth is divided by the seconds between the first and
    the last point of the window, never stretched to its ends.

    Raises InputError for what is no series of ascending times, a counter below 0 and a window that is not positive;
    InsufficientData for fewer than two points.
    """
    times, values = checked(points, 2)
    width = check.positive("window", window)
    total = _without_resets(values)
    first = 0
    found = []
    for last in range(1, len(times)):
        while times[last] - times[first] > width:
            first += 1
        if first < last:
            seconds = times[last] - times[first]
            found.append(WindowRate(times[last], (total[last] - total[first]) / seconds, seconds))
    return tuple(found)


def _without_resets(values: list[float]) -> list[float]:
    """Return the counter as it would stand had it never started again."""
    total = []
    lost = before = 0.0
    for index, value in enumerate(values):
        if check.non_negative(f"points[{index}].value", value) < before:
            lost += before
        before = value
        total.append(lost + value)
    return total
