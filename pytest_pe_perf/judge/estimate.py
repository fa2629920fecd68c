"""Location, spread and interval of what a few processes measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Standard deviation of the logarithm of a process's minimum, between fresh processes of identical code: layout of
# memory and hash seeds alone make 1 to 2.5 % (docs/method/stored-tier.md). No spread computed from three processes may claim less.
LAYOUT_SPREAD = 0.025
# In one process of twenty the fast speed of a virtual machine never comes and the minimum is 40 to 60 % high. A process
# that is off by more than this factor is such a one, whatever the layout: it says nothing of how the others scatter.
SLOW = 1.2
# The minimum of many readings finds the fast moments of a machine; a few readings, or one, find what they find. One
# reading is taken to scatter by this, and the minimum of c of them by this over the square root of c, which is less than
# LAYOUT_SPREAD from 36 readings on (docs/method/stored-tier.md).
ONE_READING_SPREAD = 0.15
# With fewer readings than this, a process that is off by SLOW is an ordinary one.
FEW_READINGS = 10
# Standard deviation of the minimum of n normal variables of standard deviation 1, from n = 1 on. For more than ten the
# last one stands: a little too large, which is the safe side.
MINIMUM_DEVIATION = (1.0, 0.8256, 0.7480, 0.7012, 0.6690, 0.6449, 0.6260, 0.6107, 0.5978, 0.5868)
Z95 = 1.959963984540054
Z95_ONE_SIDED = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio with its 95 % interval, and the standard error of its logarithm."""

    ratio: float
    low: float
    high: float
    error: float


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the quantile of an ascending sequence by linear interpolation (Hyndman & Fan 1996, type 7).

    Raises:
        ValueError: the sequence is empty.

    """
    if not ordered:
        raise ValueError("a quantile needs at least one number")
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    return low if low == high else low + (high - low) * (position - below)


def spread(values: Sequence[float], readings: int) -> float:
    """Return the standard deviation of the logarithms of positive values, each the minimum of so many readings.

    Values that are off by ``SLOW`` are left out: one slow process in three would make it 25 times larger, and the row
    blind; the minimum does not see that process either. With fewer than ``FEW_READINGS`` none is left out. It is never
    less than so few readings allow to claim, which is all there is where fewer than two values lie around the median.
    """
    least = ONE_READING_SPREAD / math.sqrt(max(readings, 1))
    logs = sorted(math.log(value) for value in values)
    if readings >= FEW_READINGS and logs:
        median = quantile(logs, 0.5)
        logs = [x for x in logs if abs(x - median) <= math.log(SLOW)]
    if len(logs) < 2:
        return least
    mean = math.fsum(logs) / len(logs)
    return max(least, math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / (len(logs) - 1)))


def error_of_minimum(deviation: float, n: int) -> float:
    """Return the standard error of the smallest of ``n`` processes that scatter by ``deviation``, or by the layout."""
    return max(LAYOUT_SPREAD, deviation) * MINIMUM_DEVIATION[min(n, len(MINIMUM_DEVIATION)) - 1]


def normalised(value: float, reference: float | None) -> float:
    """Return a time in units of the reference workload, which the same process ran between the same rounds."""
    return value if reference is None else value / reference


def minimum(values: Sequence[tuple[float, float | None]]) -> tuple[float, float | None]:
    """Return the smallest value and the smallest reference over processes.

    Timing noise has one sign, so the minimum is the robust location (Chen & Revels 2016); over several processes,
    because in one of twenty the fast speed of a virtual machine never comes.
    """
    references = [reference for _, reference in values if reference is not None]
    return min(value for value, _ in values), min(references) if len(references) == len(values) else None


def ratio_of_minima(
    base: tuple[float, float | None],
    base_spread: float,
    base_n: int,
    head: Sequence[tuple[float, float | None]],
    readings: int,
) -> Estimate:
    """Return head over base, both divided by the reference workload, with its interval.

    ``base`` and the items of ``head`` are (value, reference) of a process; behind each of head's values stand so many
    ``readings`` at least. The error assumes independent processes.
    Head's scatter counts where it is larger than the one on record, never where it is smaller: three processes know
    little of it.
    """
    value, reference = minimum(head)
    if reference is None or base[1] is None:
        ratio = value / base[0]
        shares = [v for v, _ in head]
    else:
        ratio = normalised(value, reference) / normalised(*base)
        shares = [normalised(v, r) for v, r in head]
    error = math.hypot(
        error_of_minimum(max(base_spread, spread(shares, readings)), len(shares)),
        error_of_minimum(base_spread, base_n),
    )
    return Estimate(ratio, ratio * math.exp(-Z95 * error), ratio * math.exp(Z95 * error), error)


def lower_bound(values: Sequence[float], readings: int) -> float:
    """Return the lower end of the 95 % interval of a time whose minima in fresh processes are ``values``."""
    return min(values) * math.exp(-Z95 * error_of_minimum(spread(values, readings), len(values)))
