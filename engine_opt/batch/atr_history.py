"""Averages of the true range, and how each compares with its own past.

A series may come in parts. What is carried from one part to the next is the last bars, the averages, and the last shares of
the price; one part alone is simply the first.

Ranks ask which of two shares is larger, or whether they are equal, and in a market that stands still the last bit
decides that. So where two shares of a part, or a share and a limit, are as good as equal, the average is worked out again
value by value, as the scalar form does it, to the last bit.
"""

from __future__ import annotations

from itertools import accumulate
from math import fsum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine_opt.batch.columns import Bars, Floats, joined_bars, padded, require_after
from engine_opt.batch.indicators import exponential_average, plain_average, ranges, wilder_average
from engine_opt.batch.ranks import counts_before
from engine_opt.batch.recursion import exponential, smoothed, wilder
from engine_opt.batch.windows import sums_and_squares
from engine_opt.protocol.atr_adjustment import ATRConfig, Smoothing
from engine_opt.protocol.ranking import Moments

Key = tuple[Smoothing, int]

_KEPT = 64  # bars, or more where a period asks for it
_EQUAL = 1e-13  # share of a value: a hundred times what the two forms can differ by
_ILL = 1e-2  # of the mean: with a smaller deviation what the sums round shows in the z-score
_CLOSE = 1e-9  # of a z-score that confidence turns at
_NO_FLOATS = np.empty(0)


class Past(NamedTuple):
    """How the share of each row compares with those before it."""

    history: NDArray[np.intp]
    percentile: Floats
    z_score: Floats


class Memory:
    """What one part of a series leaves for the next."""

    __slots__ = ("averages", "kept", "limits", "longest", "seen", "shares", "tail")

    def __init__(self, configs: tuple[ATRConfig, ...]) -> None:
        self.seen = 0
        self.tail: Bars | None = None
        self.averages: dict[Key, float] = {}
        self.shares: dict[Key, Floats] = {}
        self.kept = max(_KEPT, *(config.periods[-1] + 2 for config in configs))
        self.longest = max(config.history for config in configs)
        self.limits: dict[Key, set[float]] = {}
        for config in configs:
            limits = self.limits.setdefault(judged(config), set())
            if config.regime_by == "absolute":
                limits.update(config.regime_limits)

    def require_next(self, bars: Bars) -> None:
        """Raise InputError for bars that do not go on after the last ones."""
        if self.tail is not None:
            require_after(bars, self.tail)

    def take(self, bars: Bars) -> Part:
        """Return the next part, and remember its last bars."""
        part = Part(bars, self)
        self.tail = part.every.part(max(len(part.every) - self.kept, 0))
        self.seen += len(bars)
        return part


def judged(config: ATRConfig) -> Key:
    """Return which average a configuration judges: that of its first period."""
    return config.smoothing, config.periods[0]


class Part:
    """One part of a series; each average and each comparison is worked out once."""

    __slots__ = ("_averages", "_memory", "_pasts", "_shares", "bars", "every", "ranges", "seen")

    def __init__(self, bars: Bars, memory: Memory) -> None:
        self.bars = bars
        self.seen = memory.seen
        self.every = bars if memory.tail is None else joined_bars([memory.tail, bars])
        self.ranges = ranges(self.every.high, self.every.low, self.every.close)
        self._memory = memory
        self._averages: dict[Key, Floats] = {}
        self._shares: dict[Key, tuple[Floats, Floats]] = {}
        self._pasts: dict[tuple[Key, int, int], Past] = {}

    def average(self, key: Key) -> Floats:
        """Return the average true range at every bar of the part, NaN where it is not defined yet."""
        if key not in self._averages:
            if key in self._memory.limits:
                self.shares(key)
            else:
                self._averages[key] = self._average(key, exact=False)
                self._keep(key)
        return self._averages[key]

    def shares(self, key: Key) -> tuple[Floats, Floats]:
        """Return the average over the close at every bar, and those of the parts before that are remembered."""
        if key not in self._shares:
            earlier = self._memory.shares.get(key, _NO_FLOATS)
            for exact in (False, True):
                self._averages[key] = self._average(key, exact=exact)
                shares = self._averages[key] / self.bars.close
                defined = np.concatenate((earlier, shares[self.undefined(key) :]))
                if not _close_call(defined, self._memory.limits[key]):
                    break
            self._keep(key)
            self._memory.shares[key] = defined[-self._memory.longest :]
            self._shares[key] = shares, earlier
        return self._shares[key]

    def past(self, key: Key, window: int, needed: int) -> Past:
        """Return how each share compares with the up to `window` before it; NaN where there are fewer than `needed`."""
        if (key, window, needed) not in self._pasts:
            self._pasts[key, window, needed] = self._past(key, window, needed)
        return self._pasts[key, window, needed]

    def undefined(self, key: Key) -> int:
        """Return how many bars at the beginning of the part have no average."""
        return min(max(key[1] - self.seen, 0), len(self.bars))

    def _past(self, key: Key, window: int, needed: int) -> Past:
        shares, earlier = self.shares(key)
        lead, m = self.undefined(key), len(self.bars)
        values = np.concatenate((earlier, shares[lead:]))
        sizes = np.minimum(np.arange(len(earlier), len(values)), window)
        first = max(len(earlier), needed)
        below, equal = counts_before(values, window, first)
        percentile = 50.0 * (2 * below + equal) / sizes[first - len(earlier) :]
        deviation = _z_scores(values, window, first)
        return Past(padded(sizes, m, 0), padded(percentile, m, np.nan), padded(deviation, m, np.nan))

    def _keep(self, key: Key) -> None:
        if len(self.bars):
            self._memory.averages[key] = float(self._averages[key][-1])

    def _average(self, key: Key, *, exact: bool) -> Floats:
        smoothing, n = key
        m = len(self.bars)
        if smoothing == "sma":
            return padded(_exact_means(self.ranges, n) if exact else plain_average(self.ranges, n), m, np.nan)
        if len(self.every) - m == self.seen:  # everything is there: from the start
            if exact:
                return padded(_exact_average(self.ranges, key), m, np.nan)
            average = wilder_average if smoothing == "wilder" else exponential_average
            return padded(average(self.ranges, n), m, np.nan)
        before, new = self._memory.averages[key], self.ranges[len(self.ranges) - m :]
        if exact:
            return np.array(_steps(new, key, before)[1:])
        return smoothed(new, wilder(n) if smoothing == "wilder" else exponential(n), before)


def _close_call(values: Floats, limits: set[float]) -> bool:
    """Return whether two values, or a value and a limit, are as good as equal."""
    ordered = np.sort(values)
    if (ordered[1:] - ordered[:-1] <= _EQUAL * ordered[1:]).any():
        return True
    return any((np.abs(values - limit) <= _EQUAL * limit).any() for limit in limits)


def _steps(new: Floats, key: Key, before: float) -> list[float]:
    """Return `before` and the averages after it, in the steps of the scalar streams."""
    smoothing, n = key
    if smoothing == "wilder":
        return list(accumulate(new.tolist(), lambda y, x: ((n - 1) * y + x) / n, initial=before))
    factor = 2.0 / (n + 1)
    return list(accumulate(new.tolist(), lambda y, x: y + factor * (x - y), initial=before))


def _exact_average(values: Floats, key: Key) -> Floats:
    n = key[1]
    if len(values) <= n:
        return np.full(len(values), np.nan)
    seed = sum(values[1 : n + 1].tolist()) / n
    return padded(np.array(_steps(values[n + 1 :], key, seed)), len(values), np.nan)


def _exact_means(values: Floats, n: int) -> Floats:
    given = values.tolist()
    means = [fsum(given[i - n + 1 : i + 1]) / n for i in range(n, len(given))]
    return padded(np.array(means), len(given), np.nan)


def _z_scores(values: Floats, n: int, first: int) -> Floats:
    """Return how many sample deviations each value is from the mean of the up to n before it, from `first` >= 2 on."""
    total, squares = _growing(values[: min(n, len(values))], first)
    if len(values) > n:
        start = max(first - n, 0)
        full_total, full_squares = sums_and_squares(values[start:-1], n)
        total, squares = np.concatenate((total, full_total)), np.concatenate((squares, full_squares))
    sizes = np.minimum(np.arange(first, len(values)), n)
    mean = total / sizes
    deviation = np.sqrt(squares / (sizes - 1))
    flat = _flat(values, sizes, first)
    deviation[flat] = np.nan
    result: Floats = (values[first:] - mean) / deviation
    with np.errstate(invalid="ignore"):
        again = deviation < _ILL * mean
        for turn in (1.0, 2.0):
            again |= np.abs(np.abs(result) - turn) < _CLOSE
    rows = np.flatnonzero(again)
    result[rows] = _exact_scores(values, n, (rows + first).tolist())
    return result


def _exact_scores(values: Floats, n: int, indices: list[int]) -> list[float]:
    """Return the z-scores at some indices, in rising order, from the sums of the scalar form, which lose nothing."""
    given = values.tolist()
    scores: list[float] = []
    moments, taken = Moments(), 0  # of the up to n values before index `taken`
    for index in indices:
        if index - taken > n:
            moments, taken = Moments(given[max(index - n, 0) : index]), index
        for i in range(taken, index):
            moments.change(given[i], given[i - n] if i >= n else None)
        taken = index
        score = moments.z_score(given[index])
        scores.append(np.nan if score is None else score)
    return scores


def _growing(values: Floats, first: int) -> tuple[Floats, Floats]:
    """Return sum and sum of squared deviations of the values before each, from `first` on.

    Counted from the mean of all: the deviations then are of the size of the values' own.
    """
    if first >= len(values):
        return _NO_FLOATS, _NO_FLOATS
    centre = float(values.mean())
    away = values - centre
    sizes = np.arange(first, len(values))
    total = np.cumsum(away)[first - 1 : -1]
    squares = np.cumsum(away * away)[first - 1 : -1] - total * total / sizes
    return total + centre * sizes, np.maximum(squares, 0.0)


def _flat(values: Floats, sizes: NDArray[np.intp], first: int) -> NDArray[np.bool_]:
    """Return where the values before are all equal."""
    change = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=change[1:])
    if change.all():  # the values of a real market
        return sizes < 2
    index = np.arange(len(values))
    since = np.maximum.accumulate(np.where(change, index, 0))  # where the run of equal values begins
    flat: NDArray[np.bool_] = since[first - 1 : -1] <= index[first:] - sizes
    return flat
