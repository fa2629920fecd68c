"""A histogram as few bytes, for a store: some 150 for one of 30 buckets, 17 for one that is empty.

Little-endian. Form 1: lowest and highest of the range; and unless it is empty, after the width of a count, the total,
minimum and maximum, the counts below and above, and of each bucket its index (2 bytes) and its count.
"""

from __future__ import annotations

from itertools import starmap
from operator import itemgetter
from struct import Struct, error

from engine_opt.errors import InputError
from engine_opt.monitoring.histogram import Histogram

FORM = 1
_RANGE = Struct("<Bdd")
_VALUES = Struct("<BddBdddQQ")
# By the width of a count.
_BUCKETS = {1: Struct("<hB"), 2: Struct("<hH"), 4: Struct("<hI"), 8: Struct("<hQ")}


def to_bytes(histogram: Histogram) -> bytes:
    """Return the bytes that `from_bytes` makes an equal histogram of. Raises InputError for a count of 2**64 and more."""
    held = histogram
    if held.minimum is None or held.maximum is None:
        return _RANGE.pack(FORM, held.lowest, held.highest)
    largest = max(map(itemgetter(1), held.buckets), default=0)
    width = next((each for each in _BUCKETS if largest < 256**each), 8)
    try:
        head = _VALUES.pack(
            FORM, held.lowest, held.highest, width, held.total, held.minimum, held.maximum, held.below, held.above
        )
        return head + b"".join(starmap(_BUCKETS[width].pack, held.buckets))
    except error as problem:
        raise InputError("histogram", histogram, f"it cannot be stored: {problem}") from None


def from_bytes(data: bytes) -> Histogram:
    """Return the histogram; raises ValueError where the bytes are none."""
    if not data or data[0] != FORM:
        raise ValueError(f"its form is {data[:1]!r}, and only {FORM} can be read")
    if len(data) == _RANGE.size:
        _, lowest, highest = _RANGE.unpack(data)
        return Histogram(lowest, highest)
    try:
        _, lowest, highest, width, total, minimum, maximum, below, above = _VALUES.unpack_from(data)
        buckets = tuple(_BUCKETS[width].iter_unpack(data[_VALUES.size :]))
    except (error, KeyError):
        raise ValueError("it is cut short or damaged") from None
    return Histogram(lowest, highest, buckets, below, above, total, minimum, maximum)
