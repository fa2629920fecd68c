"""A histogram as few bytes, for a store: some 150 for one of 30 buckets, 17 for one that is empty.

Little-endian. Form 2: lowest and highest of the range; and unless it is empty, after the width of a count, the total,
minimum and maximum, the counts below and above, the indices of all buckets (2 bytes each), and their counts.
"""

from __future__ import annotations

from struct import Struct, error, pack, unpack_from

from engine_opt.errors import InputError
from engine_opt.monitoring.histogram import Histogram

FORM = 2
_RANGE = Struct("<Bdd")
_VALUES = Struct("<BddBdddQQ")
_COUNTS = {1: "B", 2: "H", 4: "I", 8: "Q"}  # how a count is packed, by its width


def to_bytes(histogram: Histogram) -> bytes:
    """Return the bytes that `from_bytes` makes an equal histogram of. Raises InputError for a count of 2**64 and more."""
    held = histogram
    if held.minimum is None or held.maximum is None:
        return _RANGE.pack(FORM, held.lowest, held.highest)
    largest, number = max(held.counts, default=0), len(held.counts)
    width = next((each for each in _COUNTS if largest < 256**each), 8)
    try:
        head = _VALUES.pack(
            FORM, held.lowest, held.highest, width, held.total, held.minimum, held.maximum, held.below, held.above
        )
        return head + pack(f"<{number}h{number}{_COUNTS[width]}", *held.places, *held.counts)
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
        number, rest = divmod(len(data) - _VALUES.size, 2 + width)
        held = unpack_from(f"<{number}h{number}{_COUNTS[width]}", data, _VALUES.size)
    except (error, KeyError):
        raise ValueError("it is cut short or damaged") from None
    if rest:
        raise ValueError("it is cut short or damaged")
    return Histogram(lowest, highest, held[:number], held[number:], below, above, total, minimum, maximum)
