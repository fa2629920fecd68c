"""Location, spread and interval of what a few processes measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Standard deviation of the logarithm of a process's minimum, between fresh processes of identical code: layout of
# memory and hash seeds alone make 1 to 2.5 % (docs/method.md). No spread computed from three processes may claim less.
LAYOUT_SPREAD = 0.025
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


def spread(values: Sequence[float]) -> float:
    """Return the sample standard deviation of the logarithms of positive values; 0 for fewer than two."""
    if len(values) < 2:
        return 0.0
    logs = [math.log(value) for value in values]
    mean = math.fsum(logs) / len(logs)
    return math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / (len(logs) - 1))


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
) -> Estimate:
    """Return head over base, both divided by the reference workload, with its interval.

    ``base`` and the items of ``head`` are (value, reference) of a process. The standard error assumes independent
    processes, each with the larger of the spread seen and ``LAYOUT_SPREAD``.
    """
    value, reference = minimum(head)
    if reference is None or base[1] is None:
        ratio = value / base[0]
        shares = [v for v, _ in head]
    else:
        ratio = normalised(value, reference) / normalised(*base)
        shares = [normalised(v, r) for v, r in head]
    # The spread of the head's processes inflates the interval only where it is larger than the one on record: a lone
    # slow process is no evidence, but it is a reason to trust the others less.
    head_variance = max(LAYOUT_SPREAD, base_spread, spread(shares)) ** 2 / len(shares)
    base_variance = max(LAYOUT_SPREAD, base_spread) ** 2 / base_n
    error = math.sqrt(head_variance + base_variance)
    return Estimate(ratio, ratio * math.exp(-Z95 * error), ratio * math.exp(Z95 * error), error)


def lower_bound(values: Sequence[float]) -> float:
    """Return the lower end of the 95 % interval of a time whose minima in fresh processes are ``values``."""
    error = max(LAYOUT_SPREAD, spread(values)) / math.sqrt(len(values))
    return min(values) * math.exp(-Z95 * error)
