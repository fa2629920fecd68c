"""How far the share that was seen in a few trials may be from the true one."""

from __future__ import annotations

import math
from collections.abc import Callable


def binomial_cdf(hits: int, trials: int, share: float) -> float:
    """Return the chance of at most ``hits`` in so many independent trials that each hit with the chance ``share``."""
    if hits >= trials or share <= 0:
        return 1.0
    if hits < 0 or share >= 1:
        return 0.0
    hit, miss = math.log(share), math.log1p(-share)

    def term(k: int) -> float:
        ways = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        return math.exp(ways + k * hit + (trials - k) * miss)

    return min(1.0, math.fsum(map(term, range(hits + 1))))


def share_bounds(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided bounds of a share (Clopper & Pearson 1934).

    A true share below the lower bound would have given so many hits or more in less than half of the cases that the
    confidence leaves out, one above the upper bound so few or fewer. Without any trial nothing is known.

    Raises:
        ValueError: the hits are not a part of the trials, or the confidence is not between 0 and 1.

    """
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials} is not a part of them")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, which {confidence} does not")
    rest = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _where(lambda share: binomial_cdf(hits - 1, trials, share) < 1 - rest)
    high = 1.0 if hits == trials else _where(lambda share: binomial_cdf(hits, trials, share) < rest)
    return low, high


def _where(passed: Callable[[float], bool]) -> float:
    """Return the share from which on a condition holds that does not hold below it, by bisection."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if passed(middle) else (middle, high)
    return high
