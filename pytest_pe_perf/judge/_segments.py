"""A series cut into stretches of one level each, at the least cost, where a value off its level costs no more than OFF.

All values are in standard deviations of the noise. A stretch costs the sum of min((value - level)^2, OFF) at the level
that makes it least, and each stretch but the first a penalty besides. The bounded loss is what makes it robust: so and so
many values have to agree on a new level before it is cheaper than to call them outliers (Fearnhead & Rigaill 2019,
Changepoint Detection in the Presence of Outliers, JASA 114). The cheapest partition is found exactly, by functional
pruning: of every level that the last stretch may have, the cost of the best partition that ends on it is kept, as pieces
of parabolas.
"""

# The conditional expressions below stand where min() and max() would: as calls, they took a third of the time again.
# ruff: noqa: FURB136, PLR1730

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

# Three standard deviations, squared: what a value off its level costs.
OFF = 9.0
_REACH = math.sqrt(OFF)

# From, to, count, centre, least, start: for a level between the first two the cost is count * (level - centre)^2 + least,
# and the last stretch began at `start`.
_Piece = tuple[float, float, int, float, float, int]


def partition(values: Sequence[float], penalty: float) -> list[int]:
    """Return where each stretch but the first begins in the cheapest partition of ``values``."""
    if not values or (lowest := min(values)) == (highest := max(values)):
        return []
    pieces: list[_Piece] = [(lowest, highest, 0, 0.0, 0.0, 0)]
    cost, starts = 0.0, []
    for index, value in enumerate(values):
        if index:
            pieces = _pruned(pieces, cost + penalty, index, lowest, highest)
        pieces, cost, start = _continued(pieces, value)
        starts.append(start)
    found = []
    start = starts[-1]
    while start:
        found.append(start)
        start = starts[start - 1]
    return found[::-1]


def _pruned(pieces: Iterable[_Piece], limit: float, index: int, lowest: float, highest: float) -> list[_Piece]:
    """Return the pieces as far as they cost less than ``limit``, which is what a stretch that begins at ``index`` costs."""
    kept: list[_Piece] = []
    end = lowest
    for piece in pieces:
        left, right, count, centre, least, start = piece
        room = limit - least
        if room <= 0.0:
            continue
        if count:
            half = math.sqrt(room / count)
            if centre - half > left:
                left = centre - half
            if centre + half < right:
                right = centre + half
            if left >= right:
                continue
        if left > end:
            kept.append((end, left, 0, 0.0, limit, index))
        kept.append((left, right, count, centre, least, start))
        end = right
    if end < highest:
        kept.append((end, highest, 0, 0.0, limit, index))
    return kept


def _continued(pieces: Iterable[_Piece], value: float) -> tuple[list[_Piece], float, int]:
    """Return the pieces with the loss of one more value, the least that they cost, and where its stretch began."""
    low, high = value - _REACH, value + _REACH
    added: list[_Piece] = []
    best, found = math.inf, 0
    for left, right, count, centre, least, start in pieces:
        if left < low:
            added.append((left, right if right < low else low, count, centre, least + OFF, start))
        if left < high and right > low:
            more, apart = count + 1, value - centre
            inner = (
                left if left > low else low,
                right if right < high else high,
                more,
                centre + apart / more,
                least + count * apart * apart / more,
                start,
            )
            added.append(inner)
        if right > high:
            added.append((left if left > high else high, right, count, centre, least + OFF, start))
    for left, right, count, centre, least, start in added:
        if least < best:
            # The nearest to the centre that the piece reaches.
            apart = left - centre if centre < left else right - centre if centre > right else 0.0
            cost = least + count * apart * apart
            if cost < best:
                best, found = cost, start
    return added, best, found


def settle(values: Sequence[float]) -> tuple[float, float]:
    """Return what a stretch costs, and the level at which it is least: the mean of the values that are not off it.

    For any set of values taken as not off the level the sum below is no less than the cost at their mean, and for the
    right one it is equal: the least over all sets that a level can have is the answer.
    """
    ordered = sorted(values)
    n = len(ordered)
    middle = ordered[n // 2]
    ordered = [value - middle for value in ordered]
    best, level = math.inf, 0.0
    first = last = 0
    total = squares = 0.0
    while first < n:
        # As the level rises, the set changes where one more value comes within its reach, or the first leaves it.
        if last < n and (first == last or ordered[last] - ordered[first] < 2 * _REACH):
            value, sign = ordered[last], 1
            last += 1
        else:
            value, sign = ordered[first], -1
            first += 1
        total += sign * value
        squares += sign * value * value
        if count := last - first:
            cost = squares - total * total / count + OFF * (n - count)
            if cost < best:
                best, level = cost, total / count
    return max(best, 0.0), level + middle
