"""Rank, median and median absolute deviation among the last n values, for every position of the window at once.

Values are replaced by their ranks in the whole series. That keeps order and equality exactly, and ranks are small whole
numbers, which a processor compares and sorts several at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine_opt.batch.columns import Floats

Counts = NDArray[np.intp]

_BLOCK = 16  # windows that are sorted together
_ROWS = 1024  # windows at a time, so that what is compared or sorted stays in the cache


def counts_before(values: Floats, n: int, first: int) -> tuple[Counts, Counts]:
    """Return how many of the up to n values before each are below it, and how many are equal to it, from `first` on."""
    below = np.zeros(max(len(values) - first, 0), np.intp)
    equal = np.zeros_like(below)
    longest = min(n, len(values) - 1)
    if not below.size or not longest:
        return below, equal
    distinct, ranks = _dense(values)
    kind = np.uint16 if len(distinct) < np.iinfo(np.uint16).max else np.uint32
    never = np.iinfo(kind).max  # neither below nor equal to any rank
    padded = np.concatenate((np.full(longest, never, kind), ranks.astype(kind)))
    count_kind = np.uint8 if longest <= np.iinfo(np.uint8).max else np.uint32
    tied = len(distinct) < len(values)
    for start in range(first, len(values), _ROWS):
        stop = min(start + _ROWS, len(values))
        now = padded[start + longest : stop + longest]
        before = _windows(padded[start : stop + longest - 1], stop - start)  # a row for each lag
        rows = slice(start - first, stop - first)
        below[rows] = _column_sums(before < now, count_kind)
        if tied:
            equal[rows] = _column_sums(before == now, count_kind)
    return below, equal


def centres_and_spreads(values: Floats, n: int, first: int) -> tuple[Floats, Floats]:
    """Return median and median absolute deviation of the up to n values before each, from index `first` >= 1 on."""
    distinct, ranks = _dense(values)
    growing = min(max(n, first), len(values))
    blocks = max(len(values) - growing, 0) // _BLOCK
    cut = growing + blocks * _BLOCK
    parts = [_of_each(distinct, ranks, n, start, min(start + _ROWS, growing)) for start in range(first, growing, _ROWS)]
    for start in range(growing, cut, _ROWS):
        stop = min(start + _ROWS, cut)
        parts.append(_of_blocks(distinct, ranks[start - n : stop - 1], n))
    if cut < len(values):
        parts.append(_of_each(distinct, ranks, n, cut, len(values)))
    centre, spread = (np.concatenate(each) for each in zip(*parts, strict=True))
    return centre, spread


class Centres:
    """Medians and median absolute deviations of windows, worked out anew each time."""

    def of(self, values: Floats, n: int, first: int) -> tuple[Floats, Floats]:
        """Return `centres_and_spreads` of the same, not to be changed."""
        return centres_and_spreads(values, n, first)


class SharedCentres(Centres):
    """The same, remembered: a series that is equal to one that was asked about, or to a part of it, costs next to nothing."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._known: list[tuple[int, int, Floats, tuple[Floats, Floats]]] = []

    def of(self, values: Floats, n: int, first: int) -> tuple[Floats, Floats]:
        """Return `centres_and_spreads` of the same, not to be changed."""
        for window, begin, series, (centre, spread) in self._known:
            start = _found_in(series, values) if (window, begin) == (n, first) else None
            if start == 0:
                rows = slice(len(values) - first)
                return centre[rows], spread[rows]
            if start:  # full windows are those of the longer series; the first ones know less than it did
                growing = max(n, first)
                rows = slice(start + growing - first, start + len(values) - first)
                if growing == first:
                    return centre[rows], spread[rows]
                early = centres_and_spreads(values[:growing], n, first)
                return np.concatenate((early[0], centre[rows])), np.concatenate((early[1], spread[rows]))
        found = centres_and_spreads(values, n, first)
        self._known.append((n, first, values, found))
        return found


def _found_in(series: Floats, values: Floats) -> int | None:
    """Return where in a series the values are, all in a row; None where they are not."""
    m, n = len(series), len(values)
    if not 0 < n <= m:
        return None
    ends = (series[: m - n + 1] == values[0]) & (series[n - 1 :] == values[-1])
    return next((i for i in np.flatnonzero(ends).tolist() if np.array_equal(series[i : i + n], values)), None)


def _of_each(distinct: Floats, ranks: Counts, n: int, start: int, stop: int) -> tuple[Floats, Floats]:
    """Return both for rows `start` to before `stop`, of the up to n ranks before each: every window is sorted."""
    longest = min(n, stop - 1)
    lead = max(longest - start, 0)  # the first windows are filled up with what is larger than all
    recent = ranks[max(start - longest, 0) : stop - 1]
    padded = np.concatenate((np.full(lead, len(distinct), np.int32), recent.astype(np.int32)))
    ordered = np.sort(_windows(padded, longest), axis=1)
    sizes = np.minimum(np.arange(start, stop), longest)
    table = np.append(distinct, np.inf)
    flat, base = ordered.ravel(), np.arange(len(sizes)) * longest

    def at(column: Counts) -> Floats:
        found: Floats = table.take(flat.take(base + np.minimum(column, longest - 1)))
        return found

    return _median_and_deviation(at, sizes)


def _of_blocks(distinct: Floats, ranks: Counts, n: int) -> tuple[Floats, Floats]:
    """Return both for whole blocks of rows with full windows.

    The windows of L rows in a row lie in L + n - 1 values and differ little: those are sorted once. A window is what is left
    when the L - 1 values that are not in it are skipped: its m-th value is that at m plus the number of skipped ones up to
    there. With skipped places p[0] < p[1] < ..., that is the number of j with p[j] - j <= m.
    """
    width = n + _BLOCK - 1
    bits = (width - 1).bit_length()
    kind: Any = np.int32 if (len(distinct) + 1) << bits < np.iinfo(np.int32).max else np.int64
    # Rank and time in one number: sorting it sorts by rank, and tells where each time has gone.
    keys: NDArray[Any] = ranks.astype(kind) * kind(1 << bits)
    keys = _windows(keys, width)[::_BLOCK] + np.arange(width, dtype=kind)
    keys.sort(axis=1)
    times = keys & kind((1 << bits) - 1)
    moved = np.flatnonzero((times < _BLOCK - 1) | (times >= n))  # the values that not all windows of a block share
    place: NDArray[Any] = np.empty(times.size, np.int16 if width < np.iinfo(np.int16).max else np.int32)
    place[moved - moved % width + times.ravel()[moved]] = moved % width
    outside = np.array([[*range(row), *range(row + n, width)] for row in range(_BLOCK)], np.intp)
    skipped: NDArray[Any] = place.reshape(times.shape).take(outside, axis=1)
    skipped.sort(axis=2)
    skipped -= np.arange(_BLOCK - 1, dtype=place.dtype)
    rows = len(keys) * _BLOCK
    skipped = np.ascontiguousarray(skipped.reshape(rows, _BLOCK - 1).T)
    ordered = distinct.take(keys >> bits).ravel()
    base = np.repeat(np.arange(len(keys)) * width, _BLOCK)
    before, number = np.empty(skipped.shape, np.bool_), np.empty(rows, np.uint8)

    def at(column: Any) -> Floats:
        np.less_equal(skipped, column, out=before)
        np.add.reduce(before.view(np.uint8), axis=0, dtype=np.uint8, out=number)
        index = base + column
        index += number
        found: Floats = ordered.take(index)
        return found

    return _median_and_deviation_of(at, n, np.zeros(rows, place.dtype))


def _dense(values: Floats) -> tuple[Floats, NDArray[Any]]:
    """Return the distinct values in order, and the rank of each value among them."""
    order = np.argsort(values)
    ordered = values[order]
    new = np.empty(len(values), np.bool_)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    ranks = np.empty(len(values), np.intp)
    ranks[order] = np.cumsum(new) - 1
    return ordered[new], ranks


def _windows(values: NDArray[Any], n: int) -> NDArray[Any]:
    """Return the windows of n neighbours of a new array as rows: `sliding_window_view`, which takes 15 us for it."""
    (step,) = values.strides
    return np.ndarray((len(values) - n + 1, n), values.dtype, values, 0, (step, step))


def _column_sums(flags: NDArray[np.bool_], kind: Any) -> NDArray[Any]:
    sums: NDArray[Any] = np.add.reduce(flags.view(np.uint8), axis=0, dtype=kind)
    return sums


def _median_and_deviation(at: Callable[[Counts], Floats], sizes: Counts) -> tuple[Floats, Floats]:
    """Return both for each row; `at(m)` gives the m-th smallest of the `sizes` values of each row.

    `RankedWindow.median_deviation` in the same steps, all rows at once.
    """
    centre = (at((sizes - 1) // 2) + at(sizes // 2)) / 2.0
    k = sizes // 2 + 1
    low, high = np.zeros_like(sizes), sizes - k
    while (go_on := low < high).any():
        middle = (low + high) >> 1
        right = go_on & (centre - at(middle) > at(np.minimum(middle + k, sizes - 1)) - centre)
        low = np.where(right, middle + 1, low)
        high = np.where(right, high, middle)
    left, right_end = centre - at(low), at(low + k - 1) - centre
    farthest = np.maximum(left, right_end)
    low = low + (left > right_end)
    next_farthest = np.maximum(centre - at(np.minimum(low, sizes - 1)), at(np.maximum(low + k - 2, 0)) - centre)
    return centre, np.where(sizes % 2, farthest, (farthest + next_farthest) / 2.0)


def _median_and_deviation_of(at: Callable[[Any], Floats], n: int, low: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return both for rows that all have n values; `low` is a column of zeros.

    As `_median_and_deviation`. That all rows are searched in the same number of steps makes each of them shorter.
    """
    kind: Any = low.dtype.type
    centre = (at(kind((n - 1) // 2)) + at(kind(n // 2))) / 2.0
    k = n // 2 + 1
    places = n - k  # `low` is found among 0 ... places
    half = 1 << places.bit_length() >> 1
    step = places - half + 1 if places else 0
    while step:
        left = centre - at(low + kind(step - 1))
        right = at(low + kind(step - 1 + k))
        right -= centre
        low += (left > right) * kind(step)
        half >>= 1
        step = half
    left, right = centre - at(low), at(low + kind(k - 1)) - centre
    farthest = np.maximum(left, right)
    if n % 2:
        return centre, farthest
    low += left > right
    farthest += np.maximum(centre - at(low), at(low + kind(k - 2)) - centre)
    farthest /= 2.0
    return centre, farthest
