"""Histograms of values that are not negative: any quantile to 1 %, in memory that does not grow, and they add up.

    recorder = HistogramRecorder(lowest=1e-6, highest=1e3)
    recorder.record(0.00056)
    recorder.value().quantile(0.99)

A value goes into one of 35 buckets for each doubling, all of them equally wide on a logarithmic scale (as Masson, Rim &
Lee 2019, DDSketch, PVLDB 12). What is known of it then is off by at most (g - 1)/(g + 1) = 0.99 % of itself, where
g = 2**(1/35). Buckets that are of equal width within a doubling, as HdrHistogram has them, would need 50 of them for
the same promise, and finding one takes 117 ns instead of 48 (frexp and floor against log2 and floor, CPython 3.11).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, compress
from math import ceil, floor, log2
from typing import Any, Self

from engine_opt import _validate as check
from engine_opt._validate import INF
from engine_opt.errors import InputError, InsufficientData

PER_DOUBLING = 35.0
"""How many buckets there are between a value and its double."""

LARGEST = 1e150
"""No value may be larger, so that sums stay finite; nor may a range start below its inverse."""

MOST_DOUBLINGS = 64
"""The widest range; its buckets take 9 kB."""

SCHEMA = 1
"""The number of the plain form, which is told from others by it."""

_FIELDS = {"schema", "lowest", "highest", "buckets", "below", "above", "total", "minimum", "maximum"}

_TO_MIDDLE: float = 2.0 / (1.0 + 2.0 ** (-1.0 / PER_DOUBLING))  # from the start of a bucket

# A share such as 0.07 times a count such as 100 comes out a hair above 7, and would be rounded up to rank 8.
_A_HAIR_LESS = 1.0 - 2.0**-50


def bounds(index: int) -> tuple[float, float]:
    """Return where a bucket starts, and where the next one does."""
    return 2.0 ** (index / PER_DOUBLING), 2.0 ** ((index + 1) / PER_DOUBLING)


@dataclass(frozen=True, slots=True)
class Histogram:
    """What was recorded up to some moment: made by `HistogramRecorder.value`, by `+`, `since` and `from_plain`.

    `a + b` is the histogram of all values of both. It does not matter in which order several are added, except to the
    last digits of `total`, which is a sum of floats.

    Attributes:
        lowest, highest: the range in which values are counted by bucket; both belong to it.
        places: the index of each bucket that is not empty, ascending; `bounds` tells what an index means.
        counts: how many values each of them holds.
        below, above: how many values lay outside of the range.
        total: the sum of all values, those outside included.
        minimum, maximum: the least and the greatest value, exactly; None as long as there is none.

    """

    lowest: float
    highest: float
    places: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()
    below: int = 0
    above: int = 0
    total: float = 0.0
    minimum: float | None = None
    maximum: float | None = None

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return self.below + sum(self.counts) + self.above

    @property
    def buckets(self) -> tuple[tuple[int, int], ...]:
        """Index and count of each bucket that is not empty, ascending."""
        return tuple(zip(self.places, self.counts, strict=True))

    def quantile(self, share: float) -> float:
        """Return the least recorded value that at least a `share` of all values do not exceed, within 1 % of itself.

        It is nearest rank, the inverse of the distribution (Hyndman & Fan 1996, type 1). Of values below the
        range all but the last of all are said to be `minimum`, and of those above it all to be `maximum`. Raises
        InputError for a share outside [0, 1], InsufficientData where nothing was recorded.
        """
        return self.quantiles((share,))[0]

    def quantiles(self, shares: Iterable[float]) -> tuple[float, ...]:
        """Return what `quantile` returns of each share, and raise what it raises; the counts are added up once."""
        wanted = [check.between("share", share, 0.0, 1.0, "0.99 means 99 %") for share in shares]
        least, most = self.minimum, self.maximum
        if least is None or most is None:
            raise InsufficientData(1, 0, "values")
        reached = list(accumulate(self.counts, initial=self.below))
        count = reached[-1] + self.above
        first, last = max(self.below, 1), min(reached[-1], count - 1)
        found = []
        for share in wanted:
            rank = ceil(share * count * _A_HAIR_LESS)
            if rank > last:
                found.append(most)
            elif rank <= first:
                found.append(least)
            else:
                middle = _middle(self.places[bisect_left(reached, rank) - 1])
                found.append(min(max(middle, least), most))
        return tuple(found)

    def __add__(self, other: Histogram) -> Histogram:
        """Return the histogram of the values of both. Raises InputError where their ranges differ."""
        self._check_same_range("other", other)
        return Histogram(
            self.lowest,
            self.highest,
            *added((self, other)),
            self.below + other.below,
            self.above + other.above,
            self.total + other.total,
            min((each.minimum for each in (self, other) if each.minimum is not None), default=None),
            max((each.maximum for each in (self, other) if each.maximum is not None), default=None),
        )

    def since(self, earlier: Histogram) -> Histogram:
        """Return the histogram of what was recorded after `earlier`, which is an earlier state of the same.

        Its minimum and maximum are exact where they are new; elsewhere within 1 %, as a quantile is.
        Raises InputError where `earlier` has what this one has not: then it is none, or the source has started anew.
        """
        self._check_same_range("earlier", earlier)
        left = dict(zip(self.places, self.counts, strict=True))
        for place, count in zip(earlier.places, earlier.counts, strict=True):
            left[place] = left.get(place, 0) - count
        below, above = self.below - earlier.below, self.above - earlier.above
        if min(below, above, *left.values(), 0) < 0:
            raise InputError(
                "earlier", earlier, "it has values that are missing here: it is no earlier state of this one"
            )
        places, counts = tuple(compress(left, left.values())), tuple(filter(None, left.values()))
        if self.minimum is None or self.maximum is None or not (places or below or above):
            return Histogram(self.lowest, self.highest)
        minimum, maximum = least, most = self.minimum, self.maximum
        if minimum == earlier.minimum and not below:
            minimum = min(max(_middle(places[0]) if places else self.highest, least), most)
        if maximum == earlier.maximum and not above:
            maximum = min(max(_middle(places[-1]) if places else self.lowest, least), most)
        total = max(self.total - earlier.total, 0.0)
        return Histogram(self.lowest, self.highest, places, counts, below, above, total, minimum, maximum)

    def to_plain(self) -> dict[str, Any]:
        """Return it as numbers, lists and None by field name, for JSON; only buckets that hold something are listed."""
        return {
            "schema": SCHEMA,
            "lowest": self.lowest,
            "highest": self.highest,
            "buckets": [list(bucket) for bucket in self.buckets],
            "below": self.below,
            "above": self.above,
            "total": self.total,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }

    @classmethod
    def from_plain(cls, plain: object) -> Self:
        """Return the histogram whose plain form this is. Raises InputError where it is none, naming what does not fit."""
        if not isinstance(plain, Mapping) or set(plain) != _FIELDS:
            raise InputError("histogram", plain, f"it must be a table of {', '.join(sorted(_FIELDS))}")
        if type(plain["schema"]) is not int or plain["schema"] != SCHEMA:
            raise InputError("histogram.schema", plain["schema"], f"only schema {SCHEMA} can be read")
        lowest, highest = _range("histogram.", plain["lowest"], plain["highest"])
        buckets = _buckets(plain["buckets"], lowest, highest)
        below, above = (_whole(f"histogram.{field}", plain[field]) for field in ("below", "above"))
        total = check.non_negative("histogram.total", plain["total"])
        if not (buckets or below or above):
            if not total == 0.0 or not plain["minimum"] is plain["maximum"] is None:
                raise InputError("histogram", plain, "it holds no value, and cannot have a total, minimum or maximum")
            return cls(lowest, highest)
        minimum = check.between("histogram.minimum", plain["minimum"], 0.0, LARGEST)
        maximum = check.between("histogram.maximum", plain["maximum"], minimum, LARGEST)
        if (below and not minimum < lowest) or (above and not maximum > highest):
            raise InputError("histogram", plain, "values outside of its range are counted, and it has none")
        places, counts = (tuple(column) for column in zip(*buckets, strict=True)) if buckets else ((), ())
        return cls(lowest, highest, places, counts, below, above, total, minimum, maximum)

    def _check_same_range(self, field: str, other: object) -> None:
        if not isinstance(other, Histogram):
            raise InputError(field, other, "it must be a Histogram")
        if (other.lowest, other.highest) != (self.lowest, self.highest):
            raise InputError(
                field, other, f"its range must be {self.lowest:g} to {self.highest:g}, as that of this one"
            )


def added(histograms: Iterable[Histogram]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return `places` and `counts` of all together, of whichever ranges: buckets are the same for all."""
    sums: dict[int, int] = {}
    for each in histograms:
        for place, count in zip(each.places, each.counts, strict=True):
            sums[place] = sums.get(place, 0) + count
    places = tuple(sorted(sums))
    return places, tuple(map(sums.__getitem__, places))


class HistogramRecorder:
    """Records values; any thread may read, one at a time may record.

    Takes 4 bytes for each of 35 buckets a doubling: 5 kB from 100 ns to 10,000 s; twice that once a bucket has counted
    4,294,967,295 values. Who reads while another thread records may find that one value in `total`, `minimum` and
    `maximum` and not yet in the count.
    """

    __slots__ = ("_above", "_below", "_counts", "_first", "_highest", "_least", "_lowest", "_most", "_total")

    def __init__(self, *, lowest: float, highest: float) -> None:
        """Make an empty one. Raises InputError for a range that is none, or wider than 64 doublings."""
        self._lowest, self._highest = _range("", lowest, highest)
        self._first = _index(self._lowest)
        self._counts = array("I", [0]) * (_index(self._highest) - self._first + 1)
        self._below = self._above = 0
        self._total = 0.0
        self._least, self._most = INF, -INF

    def record(self, value: float) -> None:
        """Count a value. Raises InputError for NaN, an infinity, what is negative or beyond 1e150, and no number."""
        number = check.between("value", value, 0.0, LARGEST) + 0.0  # which makes a zero of a negative zero
        # The count comes last: whoever reads it first finds the rest to be of at least as many values.
        self._least, self._most = min(self._least, number), max(self._most, number)
        self._total += number
        if number < self._lowest:
            self._below += 1
        elif number > self._highest:
            self._above += 1
        else:
            self._count(_index(number) - self._first)

    def value(self) -> Histogram:
        """Return what was recorded up to now."""
        cells, below, above = self._counts[:], self._below, self._above
        total, least, most = self._total, self._least, self._most
        start = _index(min(max(least, self._lowest), self._highest))
        end = _index(max(min(most, self._highest), self._lowest))
        held = cells[start - self._first : end - self._first + 1]
        places, counts = tuple(compress(range(start, end + 1), held)), tuple(filter(None, held))
        if not (places or below or above):
            return Histogram(self._lowest, self._highest)
        return Histogram(self._lowest, self._highest, places, counts, below, above, total, least, most)

    def _count(self, place: int) -> None:
        try:
            self._counts[place] += 1
        except OverflowError:
            wider = array("Q", self._counts)
            wider[place] += 1
            self._counts = wider


def _middle(index: int) -> float:
    """Return what differs from no value of a bucket by more than 1 % of it: the harmonic mean of its bounds."""
    return bounds(index)[0] * _TO_MIDDLE


def _index(value: float) -> int:
    """Return the bucket of a value. Two machines may differ where it is a bound to the last digit."""
    return floor(log2(value) * PER_DOUBLING)


def _range(prefix: str, lowest: object, highest: object) -> tuple[float, float]:
    low = check.between(f"{prefix}lowest", lowest, 1.0 / LARGEST, LARGEST)
    high = check.between(f"{prefix}highest", highest, 1.0 / LARGEST, LARGEST)
    if not low < high <= low * 2.0**MOST_DOUBLINGS:
        raise InputError(
            f"{prefix}highest", highest, f"it must be above {low:g}, by {MOST_DOUBLINGS} doublings at most"
        )
    return low, high


def _whole(field: str, value: object) -> int:
    if type(value) is not int or value < 0:
        raise InputError(field, value, "it must be a whole number that is not negative")
    return value


def _buckets(plain: object, lowest: float, highest: float) -> list[tuple[int, int]]:
    """Return index and count of each bucket of a plain form."""
    if not isinstance(plain, list | tuple):
        raise InputError("histogram.buckets", plain, "it must be a list of pairs of index and count")
    found: list[tuple[int, int]] = []
    first, last = _index(lowest), _index(highest)
    for number, bucket in enumerate(plain):
        field = f"histogram.buckets[{number}]"
        if not isinstance(bucket, list | tuple) or len(bucket) != 2 or not all(type(each) is int for each in bucket):
            raise InputError(field, bucket, "it must be a pair of index and count, both whole numbers")
        index, count = bucket
        if count < 1 or not first <= index <= last:
            raise InputError(field, bucket, f"an index lies between {first} and {last}, and a count is above 0")
        if found and index <= found[-1][0]:
            raise InputError(field, bucket, f"indices ascend, and the one before is {found[-1][0]}")
        found.append((index, count))
    return found
