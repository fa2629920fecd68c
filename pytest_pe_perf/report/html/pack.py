"""Many numbers in few bytes, as text for a page: what ``unpack.js`` reads.

A history of 1,000 rows and 500 runs is 10 MB as JSON. Times scatter by more than a thousandth from run to run, so that
they are kept in steps of the logarithm, and of each its difference from the one before; counts are kept as they are, by
how often they repeat.
"""

from __future__ import annotations

import base64
import math
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from operator import sub

import msgspec

# A step is 0.135 %: values are up to half of that from the true one. The first step stands for 2 ** -LOWEST, and there
# are so many that the difference of two fits into 16 bits.
STEPS, LOWEST = 514, 34
_HIGHEST = 0x7FFF / STEPS - LOWEST
# The width of an interval is kept in quarters of a power of two above one hundredth of a per cent.
WIDTHS, NARROWEST = 4, 1e-4
_WIDEST = 255
_BROADEST = NARROWEST * 2.0 ** ((_WIDEST - 1) / WIDTHS)


def text(data: bytes) -> str:
    """Return bytes as the text of an element: deflated, in base64, which holds nothing that a browser would read."""
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def json_text(content: object) -> str:
    """Return plain values as the text of an element."""
    # Every text in it is printable, without half characters; what is no number is null.
    return text(msgspec.json.encode(content))


def fits(values: Sequence[float]) -> bool:
    """Whether ``planes`` can keep the values."""
    return (
        bool(values) and all(map(math.isfinite, values)) and min(values) >= 2.0**-LOWEST and max(values) < 2.0**_HIGHEST
    )


def planes(values: Sequence[float]) -> tuple[bytes, bytes]:
    """Return the low and the high bytes of the values' differences in steps, zigzagged: 0, -1, 1, -2 are 0 to 3."""
    per_octave, first = float(STEPS), LOWEST * STEPS + 0.5
    steps = [int(per_octave * log + first) for log in map(math.log2, values)]
    moves = array("H", [2 * move if move >= 0 else ~(2 * move) for move in map(sub, steps, [0, *steps])])
    if sys.byteorder == "big":
        moves.byteswap()
    packed = moves.tobytes()
    return packed[::2], packed[1::2]


def widths(lows: Iterable[float | None], highs: Iterable[float | None]) -> bytes:
    """Return how wide intervals of ratios are, a byte each; 0 where there is none."""
    log, infinite = math.log2, math.inf
    per_octave, first = float(WIDTHS), 1.5 - WIDTHS * math.log2(NARROWEST)
    # In one piece: this is half a million times.
    return bytes(
        [
            0
            if low is None or high is None or not 0.0 < low <= high < infinite
            else int(per_octave * log(beyond) + first)
            if NARROWEST < (beyond := high / low - 1.0) < _BROADEST
            else 1
            if beyond <= NARROWEST
            else _WIDEST
            for low, high in zip(lows, highs, strict=True)
        ]
    )


def repeated(values: Iterable[float]) -> list[float | int | None]:
    """Return each value and how often it comes in a row; what is no finite number is None."""
    found: list[float | int | None] = []
    for value, same in groupby(values):
        found.append((int(value) if value == int(value) else value) if math.isfinite(value) else None)
        found.append(len(list(same)))
    return found


def stretches(places: Sequence[int]) -> list[int]:
    """Return ascending numbers as the first of each stretch without a gap, and its length."""
    if places and places[-1] - places[0] + 1 == len(places):
        return [places[0], len(places)]
    borders = [0, *(index for index, (one, other) in enumerate(pairwise(places), 1) if other != one + 1), len(places)]
    return [number for start, end in pairwise(borders) if end > start for number in (places[start], end - start)]
