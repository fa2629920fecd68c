"""Order statistics of the last n values, kept sorted between updates."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Sequence
from math import dist, sqrt

from engine_opt import _validate as check
from engine_opt.errors import InsufficientData, StateError

_SCALE = 2.0**100


def median(values: Iterable[float]) -> float:
    """Return the median of at least one value; the module `statistics` is slow to import."""
    ordered = sorted(values)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2.0


def z_score(values: Sequence[float] | deque[float], value: float) -> float | None:
    """Return how many sample standard deviations `value` is from the mean of `values`; None where those are all equal.

    A plain sum: 252 values of one sign lose no digit that matters, and fsum takes five times as long.
    """
    n = len(values)
    if n < 2 or values.count(values[0]) == n:
        return None
    mean = sum(values) / n
    deviation = dist(values, (mean,) * n) / sqrt(n - 1)
    return (value - mean) / deviation if deviation > 0.0 else None


class Moments:
    """Count, sum and sum of squares of values that come and go: a deviation without going through them again.

    Running sums of floats lose digits for good; these are whole numbers of 2**-100, which lose nothing. A value of
    1e-14 or more has all its bits above that, a smaller one is rounded to it.
    """

    __slots__ = ("_count", "_squares", "_sum")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._count = self._sum = self._squares = 0
        for value in values:
            self.change(value, None)

    def change(self, value: float, left: float | None) -> None:
        """Take a value, and let one that was taken before leave."""
        whole = int(value * _SCALE)
        if left is None:
            self._count += 1
            self._sum += whole
            self._squares += whole * whole
        else:
            gone = int(left * _SCALE)
            self._sum += whole - gone
            self._squares += whole * whole - gone * gone

    def z_score(self, value: float) -> float | None:
        """Return how many sample standard deviations `value` is from the mean; None where all values are equal."""
        n, total = self._count, self._sum
        spread = n * self._squares - total * total
        if n < 2 or spread <= 0:
            return None
        return (n * int(value * _SCALE) - total) / (n * sqrt(spread / (n * (n - 1))))


class RankedWindow:
    """The last n values, in order of arrival and in order of size.

    An update costs one binary search and one move in a list of n floats; a rank, median or median absolute deviation
    costs one binary search. Nothing is sorted again.
    """

    __slots__ = ("_arrived", "_ordered")

    def __init__(self, n: int) -> None:
        self._arrived: deque[float] = deque(maxlen=n)
        self._ordered: list[float] = []

    def __len__(self) -> int:
        return len(self._arrived)

    def push(self, value: float) -> float | None:
        """Take the next value; the oldest leaves when the window is full, and is returned."""
        left = None
        if len(self._arrived) == self._arrived.maxlen:
            left = self._arrived[0]
            del self._ordered[bisect_left(self._ordered, left)]
        self._arrived.append(value)
        insort(self._ordered, value)
        return left

    def state(self) -> list[float]:
        """Return the values as they arrived, plain; `from_state` makes the same window of them."""
        return list(self._arrived)

    @classmethod
    def from_state(cls, state: Sequence[float], n: int, where: str = "window") -> RankedWindow:
        """Return a window of n that holds these values.

        Raises InputError for one that is not a number, StateError for more than n of them.
        """
        values = check.series(where, state)
        if len(values) > n:
            raise StateError(f"{where} holds {len(values)} values, {n} at most belong there: it is damaged")
        window = cls(n)
        window._arrived.extend(values)
        window._ordered = sorted(values)
        return window

    def percentile(self, value: float) -> float:
        """Return the mid-rank of `value` among the window, 0-100: values below, and half of the equal ones."""
        self._require_some()
        below, not_above = bisect_left(self._ordered, value), bisect_right(self._ordered, value)
        return 50.0 * (below + not_above) / len(self._ordered)

    def median(self) -> float:
        """Return the median."""
        self._require_some()
        n = len(self._ordered)
        return (self._ordered[(n - 1) // 2] + self._ordered[n // 2]) / 2.0

    def median_deviation(self) -> float:
        """Return the median absolute deviation from the median (not scaled)."""
        ordered, centre = self._ordered, self.median()
        # The k values closest to the centre are neighbours in the sorted list: search for where they start.
        n = len(ordered)
        k = n // 2 + 1
        low, high = 0, n - k
        while low < high:
            middle = (low + high) // 2
            if centre - ordered[middle] > ordered[middle + k] - centre:
                low = middle + 1
            else:
                high = middle
        left, right = centre - ordered[low], ordered[low + k - 1] - centre
        farthest = max(left, right)
        if n % 2:
            return farthest
        # An even window: the mean of the k-th and the one closer by one, found by dropping the farthest.
        if left > right:
            low += 1
        next_farthest = max(centre - ordered[low], ordered[low + k - 2] - centre)
        return (farthest + next_farthest) / 2.0

    def _require_some(self) -> None:
        if not self._ordered:
            raise InsufficientData(1, 0)
