"""Whether a change made a metric better: the ratio of the medians after and before it, with its interval.

Both forms cut a side into BLOCKS runs of neighbours. Neighbours resemble each other, medians of runs hardly do: how
these scatter tells how far the median of all may be off, whatever the distribution (batch means: Conway 1963,
Management Science 10; Schmeiser 1982, Operations Research 30). All is done on logarithms, so that before and after can
change places. Nothing is drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, fsum, inf, log, sqrt
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.monitoring.analytics._series import (
    confident,
    endless_inflation,
    enough,
    first_order,
    groups,
    inflation,
    median,
    pair,
    ranks,
)
from pytest_pe_perf.judge.paired import t_quantile, t_sf

BLOCKS = 8
# Three in a block.
LEAST_SAMPLES = 24
# Only the level is taken out before autocorrelation is looked at.
FITTED = 1
LARGEST_LOGARITHM = 709.0


class ImpactVerdict(StrEnum):
    """What a change did."""

    BETTER = "better"
    WORSE = "worse"
    NO_EVIDENCE = "no evidence"


@dataclass(frozen=True, slots=True)
class Impact:
    """What a change did to a metric.

    Attributes:
        verdict: better or worse where the interval leaves out 1.
        ratio: median after over median before; of pairs, the median of their ratios.
        low, high: its interval.
        p: two-sided chance of a ratio as far from 1 without any change.
        confidence: of the interval.
        before, after: the medians, in the unit of the metric.

    """

    verdict: ImpactVerdict
    ratio: float
    low: float
    high: float
    p: float
    confidence: float
    before: float
    after: float


class _Location(NamedTuple):
    """A median, and the variance that it has as an estimate."""

    median: float
    variance: float


def impact(
    before: Iterable[float], after: Iterable[float], *, smaller_is_better: bool, confidence: float = 0.99
) -> Impact:
    """Return what became of a metric, from its values before and after a change, each in the order of time.

    The sides may have different lengths; their variances are put together as Welch (1947, Biometrika 34) does. What
    else changed between the two times is taken for the change: see `paired_impact`.

    Raises InputError for a value that is not a positive number and a confidence outside [0.5, 0.9999]; InsufficientData for
    fewer than LEAST_SAMPLES on a side.
    """
    sides = [check.positive_series("before", before), check.positive_series("after", after)]
    for side, name in zip(sides, ("samples before", "samples after"), strict=True):
        enough(len(side), LEAST_SAMPLES, name)
    old, new = (_location([log(value) for value in side]) for side in sides)
    squares = old.variance**2 + new.variance**2
    variance = old.variance + new.variance
    freedom = (BLOCKS - 1) * variance**2 / squares if squares else BLOCKS - 1.0
    location = _Location(new.median - old.median, variance)
    return _judged(location, freedom, sides, smaller_is_better, confidence)


def paired_impact(pairs: Iterable[tuple[float, float]], *, smaller_is_better: bool, confidence: float = 0.99) -> Impact:
    """Return the same from pairs of (before, after), each measured at about the same time, in the order of time.

    What changes slowly, such as the load of the machine, is in both of a pair and falls out of its ratio: run the two
    variants in turns, and give each turn as a pair.

    Raises InputError for a value that is not a positive number and a confidence outside [0.5, 0.9999]; InsufficientData for
    fewer than LEAST_SAMPLES pairs.
    """
    sides: tuple[list[float], list[float]] = ([], [])
    for index, each in enumerate(pairs):
        for side, value in zip(sides, pair(f"pairs[{index}]", each), strict=True):
            side.append(check.positive(f"pairs[{index}]", value))
    enough(len(sides[0]), LEAST_SAMPLES, "pairs")
    location = _location([log(new) - log(old) for old, new in zip(*sides, strict=True)])
    return _judged(location, BLOCKS - 1.0, sides, smaller_is_better, confidence)


def _location(values: Sequence[float]) -> _Location:
    """Return the median of a series, and its variance from those of its blocks.

    Blocks that are short against the autocorrelation share some of it with their neighbours, and scatter less than they
    should: they are put right for a first-order process.
    """
    blocks = [median(group) for group in groups(values, BLOCKS)]
    # fsum: of blocks that are all equal the mean is that value to the last digit, and the scatter 0.
    mean = fsum(blocks) / BLOCKS
    scatter = fsum((block - mean) ** 2 for block in blocks) / (BLOCKS - 1)
    r = first_order(ranks(values), FITTED)
    missed = endless_inflation(r) / inflation(r, len(values) / BLOCKS)
    return _Location(median(values), scatter / BLOCKS * missed)


def _judged(
    location: _Location, freedom: float, sides: Sequence[Sequence[float]], smaller_is_better: bool, confidence: float
) -> Impact:
    check.flag("smaller_is_better", smaller_is_better)
    confident(confidence)
    error = sqrt(location.variance)
    half = t_quantile((1.0 + confidence) / 2.0, freedom) * error
    low, high = location.median - half, location.median + half
    if error:
        p = 2.0 * t_sf(abs(location.median) / error, freedom)
    else:
        p = 2.0 * t_sf(inf if location.median else 0.0, freedom)
    verdict = ImpactVerdict.NO_EVIDENCE
    if low > 0.0 or high < 0.0:
        verdict = ImpactVerdict.BETTER if (high < 0.0) is smaller_is_better else ImpactVerdict.WORSE
    before, after = map(median, sides)
    return Impact(verdict, _factor(location.median), _factor(low), _factor(high), p, confidence, before, after)


def _factor(logarithm: float) -> float:
    """Return e to this power; infinite where no float holds it."""
    return exp(logarithm) if logarithm < LARGEST_LOGARITHM else inf
