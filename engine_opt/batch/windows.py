"""Sums, deviations and slopes over the last n values, for every position of the window at once.

All functions take m values and return m - n + 1 results, the first of them for the window values[0:n]; none for less.
Nothing is ever subtracted from a running sum: a window is put together from halves (2, 4, 8, ... values), so that each
result depends on the values in its window only and keeps its digits whatever came before.
"""

from __future__ import annotations

from functools import lru_cache
from math import fsum

import numpy as np

from engine_opt.batch.columns import Floats
from engine_opt.protocol.indicators import mean_and_deviation

_CONDITION = 4e6  # (mean over deviation) squared from which the fast form loses more than three digits


def sums(values: Floats, n: int) -> Floats:
    """Return the sum of each window of n values."""
    count = len(values) - n + 1
    if count <= 0:
        return np.empty(0)
    total: Floats | None = None
    taken, size, part = 0, 1, values
    while True:
        if n & size:
            total = part[:count].copy() if total is None else np.add(total, part[taken : taken + count], out=total)
            taken += size
        size *= 2
        if size > n:
            return np.empty(0) if total is None else total
        part = part[: len(part) - size // 2] + part[size // 2 :]


def sums_and_squares(values: Floats, n: int) -> tuple[Floats, Floats]:
    """Return the sum and the sum of squared deviations from the mean, for each window of n values.

    Chan, Golub & LeVeque 1983, American Statistician 37: two windows are merged by the difference of their means, in which
    nothing cancels but that difference. Windows whose deviation is a tiny share of their mean, where even that costs
    more than three digits, are done again by the scalar kernel.
    """
    count = len(values) - n + 1
    if count <= 0:
        return np.empty(0), np.empty(0)
    total, squares = values[:count], np.zeros(count)
    taken, size = 0, 1
    part, part_squares = values, np.zeros(len(values))
    while True:
        if n & size:
            if taken:
                other, other_squares = part[taken : taken + count], part_squares[taken : taken + count]
                apart = other * (taken / size) - total
                apart *= apart
                apart *= size / (taken * (taken + size))
                apart += squares
                apart += other_squares
                total, squares = total + other, apart
            else:
                total, squares = part[:count], part_squares[:count]
            taken += size
        size *= 2
        if size > n:
            break
        half = size // 2
        early, late = part[: len(part) - half], part[half:]
        apart = late - early
        apart *= apart
        apart *= 1.0 / size
        if half > 1:
            apart += part_squares[: len(part) - half]
            apart += part_squares[half:]
        part, part_squares = early + late, apart
    ill = np.flatnonzero(squares * (n * _CONDITION) < total * total)
    if ill.size:
        squares = squares.copy()
        for i in ill.tolist():
            squares[i] = mean_and_deviation(values[i : i + n].tolist(), degrees_lost=n - 1)[1] ** 2
    return total, squares


@lru_cache(maxsize=64)
def offsets(n: int) -> tuple[tuple[float, ...], float]:
    """Return the abscissas of a line through n values, centred, and the sum of their squares."""
    xs = tuple(i - (n - 1) / 2 for i in range(n))
    return xs, fsum(x * x for x in xs)


def slopes(values: Floats, n: int) -> Floats:
    """Return the least squares slope per step of each window, in the steps of `Line.slope`."""
    count = len(values) - n + 1
    if count <= 0:
        return np.empty(0)
    xs, spread = offsets(n)
    slope, term = values[:count] * xs[0], np.empty(count)
    for i in range(1, n):
        np.multiply(values[i : i + count], xs[i], out=term)
        slope += term
    slope /= spread
    return slope


def lines(values: Floats, n: int) -> tuple[Floats, Floats, Floats]:
    """Return mean, slope per step and the slope's t-statistic of each window, in the steps of `Line.fit`."""
    count = len(values) - n + 1
    if count <= 0:
        return np.empty(0), np.empty(0), np.empty(0)
    xs, spread = offsets(n)
    slope = slopes(values, n)
    mean = values[:count].copy()
    for i in range(1, n):
        mean += values[i : i + count]
    mean /= n
    squares, term = np.zeros(count), np.empty(count)
    for i in range(n):
        np.multiply(slope, xs[i], out=term)
        term += mean
        np.subtract(values[i : i + count], term, out=term)
        term *= term
        squares += term
    error = np.sqrt(squares)
    error /= np.sqrt(n - 2)
    np.maximum(error, np.abs(mean) * 1e-9, out=error)  # the resolution of a quoted price, as in the scalar form
    np.maximum(error, 1e-300, out=error)
    error /= np.sqrt(spread)
    return mean, slope, slope / error
