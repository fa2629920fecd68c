"""What all analyses of a monitored series share: the check at the door, the median, and autocorrelation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from engine_opt import _validate as check
from engine_opt.errors import InputError, InsufficientData
from pytest_pe_perf.judge.estimate import quantile

# The time in seconds, and the value then.
Point = tuple[float, float]

# Differences of values, and sums of them, stay finite below this.
LARGEST_VALUE = 1e150
# Beyond this an effective number of points says no more than "hardly any", and 1 - r loses its digits.
LARGEST_CORRELATION = 0.99


def checked(points: Iterable[Point], least: int) -> tuple[list[float], list[float]]:
    """Return times and values of `points`.

    Raises InputError for a time or value that is not a finite number, for a value beyond LARGEST_VALUE, for what is no
    pair, and for a time that is not later than the one before; InsufficientData where there are fewer than `least`.
    """
    times: list[float] = []
    values: list[float] = []
    for index, point in enumerate(points):
        time, value = pair(f"points[{index}]", point)
        times.append(check.finite(f"points[{index}].time", time))
        values.append(check.between(f"points[{index}].value", value, -LARGEST_VALUE, LARGEST_VALUE))
    for index, (before, after) in enumerate(pairwise(times), 1):
        if after <= before:
            raise InputError(f"points[{index}].time", after, f"times must ascend, and the one before is {before!r}")
    enough(len(times), least, "points")
    return times, values


def pair(field: str, value: object) -> tuple[object, object]:
    """Return the two parts of what is to be a pair, unchecked; raises InputError where it is none."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) != 2:
        raise InputError(field, value, "it must be a pair of numbers")
    return value[0], value[1]


def enough(got: int, least: int, what: str) -> None:
    """Raise InsufficientData where there are fewer than `least`."""
    if got < least:
        raise InsufficientData(least, got, what)


def confident(confidence: object) -> float:
    """Return `confidence` as a float; raises InputError where it is none that an interval can have."""
    return check.between("confidence", confidence, 0.5, 0.9999, "a share: 0.99 means 99 %")


def median(values: Iterable[float]) -> float:
    """Return the median; of an even number of values the middle of the two in the middle."""
    return quantile(sorted(values), 0.5)


def groups(values: Sequence[float], number: int) -> list[Sequence[float]]:
    """Return `values` cut into so many runs of neighbours, whose lengths differ by one at most."""
    n = len(values)
    return [values[i * n // number : (i + 1) * n // number] for i in range(number)]


def ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value less the mean rank; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    middle = (len(values) - 1) / 2
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for index in order[start:end]:
            found[index] = (start + end - 1) / 2 - middle
        start = end
    return found


def correlation(centred: Sequence[float], lag: int) -> float:
    """Return the autocorrelation at a lag of what has mean 0; of what does not vary it is 0."""
    whole = sum(x * x for x in centred)
    return sum(x * y for x, y in zip(centred, centred[lag:], strict=False)) / whole if whole else 0.0


def first_order(centred: Sequence[float], fitted: int) -> float:
    """Return the autocorrelation at lag 1, put right for its bias, in [0, LARGEST_CORRELATION].

    After `fitted` parameters were taken out of n points (1: a level, 2: a straight line), it is too small by about
    (fitted + 4 r) / n (Kendall 1954, Biometrika 41, for the level; Shaman & Stine 1988, JASA 83, for the line). A
    negative one is not believed: it would make a few points as good as many.
    """
    n = len(centred)
    corrected = (n * correlation(centred, 1) + fitted) / (n - 4)
    return min(max(corrected, 0.0), LARGEST_CORRELATION)


def inflation(correlation: float, run: float) -> float:
    """Return by how much a first-order autocorrelation inflates the variance of the mean of a `run` of points.

    It is 1 + 2 * sum of (1 - k/run) * r^k over the lags k of the run (Yue & Wang 2004, Water Resources Management 18).
    """
    r = correlation
    return endless_inflation(r) - 2.0 * r * (1.0 - math.pow(r, run)) / (run * (1.0 - r) ** 2)


def endless_inflation(correlation: float) -> float:
    """Return the same of a run without end."""
    return (1.0 + correlation) / (1.0 - correlation)
