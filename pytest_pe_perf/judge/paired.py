"""Base against head, measured beside each other: location, scatter and interval of what pairs of processes measured.

A ratio is head over base. All statistics are made on its logarithm, so that base and head can change places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from pytest_pe_perf.model import Block, Key, PairedRow, Restart, Turn

from .estimate import MINIMUM_DEVIATION, quantile

Direction = Literal["slower", "faster", ""]

# A turn is disturbed when its process was off its core for this share of it longer than in the row's median turn.
DISTURBED = 0.10
# The floor is this quantile of the turns' minima: the minimum itself is the luck of one reading.
FLOOR = 0.02
# Standard deviation of the log ratio between restarts that is assumed before anything was measured: layout of memory
# and hash seeds make 1 to 2.5 %. It counts as much as this many restarts do (Smyth 2004: a few restarts know little of
# their scatter, the other rows of the suite know more).
SPREAD = 0.015
SPREAD_DEGREES = 4.0
# The suite's own value is believed within this factor of the assumed one, and from this many rows on.
SPREAD_RANGE = (1 / 3, 2.0)
SPREAD_ROWS = 5
SPREAD_RESTARTS = 3
# The median over all blocks scatters by up to this factor more than the mean of the restarts' medians, which would follow
# a single restart that went astray. Drawn from a model: 1.00 to 1.11, for 4 to 16 restarts that scatter by 1 to 4 %.
MEDIAN_ERROR = 1.1
# Two witnesses of one change may differ by this, by twice the error, and by half of the larger one.
APART = 0.03
# A margin is at least three times what fresh processes cannot average away; so much of it is no evidence of a change.
RESIDUAL = 1 / 3
# The rate of false alarms that a whole build may have, in each direction.
ALPHA = 0.01
# So many pairs of processes, at least and at most, measure a suspect again.
CONFIRM_FEWEST, CONFIRM_MOST = 6, 16
# A change has to show in both witnesses of both passes: each of the four may miss it in 1.25 of 100 runs.
Z_ONE_OF_FOUR = 2.241402727604947
# So many rows of a build are taken to be suspected in one direction, where it is asked what will be significant.
USUAL_SUSPECTS = 5
# So many rows that lean one way, with a p below this, are not the work of so many changes.
LEANING_ROWS, LEANING_P = 12, 1e-3


@dataclass(frozen=True, slots=True)
class Limits:
    """What of a row may be ignored (``margin``) and what is promised to be found (``threshold``), as fractions.

    ``absolute`` is the least difference of head and base, in the metric's base unit; ``spread`` takes the place of
    ``SPREAD``. ``agree``: the two witnesses must come near each other, as they do where a restart has many rounds.
    """

    margin: float
    threshold: float
    absolute: float = 0.0
    spread: float = SPREAD
    agree: bool = True


# A latency brings its own limits; these numbers are wilder, and a row has no option for them.
PAIRED_MARGINS: dict[str, Limits] = {
    "first": Limits(0.25, 0.50, 0.5e-3, 0.10, agree=False),
    "tail": Limits(0.20, 0.50, 0.0, 0.08, agree=False),
    "collector": Limits(0.03, 0.05, 0.0, 0.015, agree=False),
    "import": Limits(0.05, 0.10, 1e-3, 0.03),
}


def limits_of(row: PairedRow) -> Limits:
    """Return the row's limits, which for other metrics than the latency are never narrower than the metric's own."""
    own = PAIRED_MARGINS.get(row.key.metric)
    if own is None:
        return Limits(row.margin, row.threshold)
    return replace(own, margin=max(own.margin, row.margin), threshold=max(own.threshold, row.threshold))


@dataclass(frozen=True, slots=True)
class PairEstimate:
    """What one pass says of a row.

    ``ratio`` and ``floor`` are the two witnesses: the median over all blocks, and the ratio of the fastest turns.
    ``low`` to ``high`` is the 95 % interval of ``ratio``. ``p_slower`` and ``p_faster`` are the one-sided chances of
    seeing as much without a change beyond what is left of bias. ``spread`` is the standard deviation of the log ratio between restarts, known with
    ``df`` degrees of freedom; ``error`` the standard error of the log of ``ratio``. ``blocks`` were used, ``dropped``
    were disturbed. ``base`` and ``head`` are the smallest readings, in the metric's base unit.
    """

    ratio: float
    floor: float
    low: float
    high: float
    p_slower: float
    p_faster: float
    spread: float
    df: float
    error: float
    blocks: int
    dropped: int
    restarts: int
    base: float
    head: float


# --- Student's t --------------------------------------------------------------------------------------------------


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method (DLMF 8.17.22)."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / max(1.0 - (a + b) * x / (a + 1), tiny)
    value = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / ((1.0 + term * d) or tiny)
            c = (1.0 + term / c) or tiny
            value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value


def t_sf(t: float, df: float) -> float:
    """Return the chance that Student's t with ``df`` degrees of freedom, whole or not, exceeds ``t``.

    It is half the regularised incomplete beta function of df/2 and 1/2 at df/(df + t*t) (DLMF 8.17, Abramowitz & Stegun
    26.7.1), taken from the side on which its continued fraction converges fast.
    """
    if t < 0:
        return 1.0 - t_sf(-t, df)
    if math.isinf(t):
        return 0.0
    a, b, square = df / 2, 0.5, t * t / df
    x, rest = 1 / (1 + square), square / (1 + square)
    if rest == 0:
        return 0.5
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(scale - a * math.log1p(square) + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):
        return 0.5 * front * _beta_fraction(a, b, x) / a
    return 0.5 * (1.0 - front * _beta_fraction(b, a, rest) / b)


@lru_cache(maxsize=1024)
def t_quantile(p: float, df: float) -> float:
    """Return the t that Student's t with ``df`` degrees of freedom stays below with the chance ``p``, by bisection.

    Raises:
        ValueError: ``p`` is not between 0 and 1.

    """
    if not 0 < p < 1:
        raise ValueError(f"a quantile needs a chance between 0 and 1, not {p}")
    if p < 0.5:
        return -t_quantile(1 - p, df)
    low, high = 0.0, 1.0
    while t_sf(high, df) > 1 - p:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if t_sf(middle, df) > 1 - p else (low, middle)
    return high


# --- one pass of one row ------------------------------------------------------------------------------------------


def _median(values: Sequence[float]) -> float:
    return quantile(sorted(values), 0.5)


def clean(restarts: Sequence[Restart]) -> tuple[tuple[tuple[Block, ...], ...], int]:
    """Return each restart's undisturbed blocks, and how many blocks were dropped.

    A block is dropped on both sides, for the share of time that one of its turns was off its core or for a side that
    has no turn; never for its ratio. A restart that was disturbed throughout keeps its blocks: it shows in how the
    restarts scatter, and a gate that fell silent on a busy machine could not bark.
    """
    away = [turn.away for restart in restarts for block in restart.blocks for turn in block.base + block.head]
    limit = _median(away) + DISTURBED if away else 0.0

    def fit(block: Block) -> bool:
        return all(turn.away <= limit for turn in block.base + block.head)

    kept = []
    for restart in restarts:
        whole = tuple(block for block in restart.blocks if block.base and block.head)
        kept.append(tuple(block for block in whole if fit(block)) or whole)
    return tuple(kept), sum(len(restart.blocks) for restart in restarts) - sum(map(len, kept))


def problem(restarts: Sequence[Restart], fewest: int) -> str:
    """Return why a pass may not be judged, or nothing. It needs a block in ``fewest`` restarts."""
    usable = sum(1 for blocks in clean(restarts)[0] if blocks)
    if usable < fewest:
        return f"{usable} of {len(restarts)} pairs of processes gave numbers; {fewest} are needed"
    for restart in restarts:
        for block in restart.blocks:
            for turn in block.base + block.head:
                if not (0 < turn.low < math.inf and 0 < turn.least < math.inf):
                    return f"{turn.low} and {turn.least} cannot be measured values"
    return ""


def _log_ratio(block: Block) -> float:
    def level(turns: Sequence[Turn]) -> float:
        return math.fsum(math.log(turn.low) for turn in turns) / len(turns)

    return level(block.head) - level(block.base)


def _squares(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values)


def _error(spread: float, restarts: int) -> float:
    return MEDIAN_ERROR * spread / math.sqrt(restarts)


def estimate(
    restarts: Sequence[Restart],
    prior_spread: float = SPREAD,
    prior_df: float = SPREAD_DEGREES,
    residual: float = 0.0,
) -> PairEstimate:
    """Return what a pass says of a row whose times are positive.

    The location is the median over all blocks of all restarts and never a mean over restarts: one that went astray
    would carry it along. The scatter is that of the restarts' own medians, because blocks of one pair of processes
    share its layout: within it they know nothing of the scatter that counts. It is shrunk to ``prior_spread``, a
    standard deviation known with ``prior_df`` degrees of freedom (Smyth 2004). ``residual`` is the log ratio that bias
    alone may have, in either direction.

    Raises:
        ValueError: no block is clean.

    """
    kept, dropped = clean(restarts)
    logs = [[_log_ratio(block) for block in blocks] for blocks in kept if blocks]
    if not logs:
        raise ValueError("an estimate needs at least one block")
    medians = [_median(values) for values in logs]
    df = prior_df + len(medians) - 1
    spread = math.sqrt((prior_df * prior_spread**2 + _squares(medians)) / df)
    error = _error(spread, len(medians))
    location = _median([value for values in logs for value in values])
    base = sorted(turn.least for blocks in kept for block in blocks for turn in block.base)
    head = sorted(turn.least for blocks in kept for block in blocks for turn in block.head)
    half = t_quantile(0.975, df) * error
    return PairEstimate(
        ratio=math.exp(location),
        floor=quantile(head, FLOOR) / quantile(base, FLOOR),
        low=math.exp(location - half),
        high=math.exp(location + half),
        p_slower=t_sf((location - residual) / error, df),
        p_faster=t_sf((-location - residual) / error, df),
        spread=spread,
        df=df,
        error=error,
        blocks=sum(map(len, logs)),
        dropped=dropped,
        restarts=len(medians),
        base=base[0],
        head=head[0],
    )


def prior_spread(rows: Sequence[PairedRow], metric: str = "latency") -> float:
    """Return the scatter between restarts that is usual in this suite: the median over the metric's rows.

    The root of a variance of few degrees of freedom is mostly too small; its median is put right (Wilson & Hilferty
    1931: the median of chi-square with k degrees is k(1 - 2/9k)^3).
    """
    assumed = PAIRED_MARGINS[metric].spread if metric in PAIRED_MARGINS else SPREAD
    seen = []
    for row in rows:
        if row.key.metric != metric or row.problem or problem(row.screen, SPREAD_RESTARTS):
            continue
        medians = [_median([_log_ratio(block) for block in blocks]) for blocks in clean(row.screen)[0] if blocks]
        degrees = len(medians) - 1
        seen.append(math.sqrt(_squares(medians) / degrees / (1 - 2 / (9 * degrees)) ** 3))
    if len(seen) < SPREAD_ROWS:
        return assumed
    return min(max(_median(seen), assumed * SPREAD_RANGE[0]), assumed * SPREAD_RANGE[1])


# --- what an estimate means ---------------------------------------------------------------------------------------


def leans(estimate: PairEstimate, margin: float, absolute: float = 0.0) -> Direction:
    """Return where both witnesses point: beyond ``margin``, and by more than ``absolute`` where that is not zero."""
    beyond = math.log1p(margin)
    ratio, floor = math.log(estimate.ratio), math.log(estimate.floor)
    difference = estimate.head - estimate.base
    if min(ratio, floor) > beyond and (not absolute or difference > absolute):
        return "slower"
    if max(ratio, floor) < -beyond and (not absolute or -difference > absolute):
        return "faster"
    return ""


def apart(estimate: PairEstimate) -> bool:
    """Whether the witnesses tell so different sizes that at least one of them is not to be believed.

    Of a change of +50 % they may say +55 and +45 %; of +5 % they may not say +8 and +2 %.
    """
    ratio, floor = math.log(estimate.ratio), math.log(estimate.floor)
    return abs(ratio - floor) > max(math.log1p(APART), 2 * estimate.error, max(abs(ratio), abs(floor)) / 2)


def residual(margin: float) -> float:
    """Return the log ratio that is no evidence of a change where so much may be ignored."""
    return RESIDUAL * math.log1p(margin)


def _needed(margin: float, error: float, df: float) -> float:
    """Return the log ratio that a suspect among the usual number of them must exceed to be believed."""
    return max(math.log1p(margin), residual(margin) + t_quantile(1 - ALPHA / USUAL_SUSPECTS, df) * error)


def confirm_restarts(estimate: PairEstimate, margin: float) -> int:
    """Return how many pairs of processes should measure a suspect again: enough to believe a change of its size.

    Of the two witnesses the smaller is taken, because a first pass that suspects has mostly seen too much. The number
    is even: the two sides take turns at starting first.
    """
    seen = min(abs(math.log(estimate.ratio)), abs(math.log(estimate.floor)))
    for restarts in range(CONFIRM_FEWEST, CONFIRM_MOST, 2):
        error = _error(estimate.spread, restarts)
        if seen >= _needed(margin, error, estimate.df + restarts - 1) + Z_ONE_OF_FOUR * error:
            return restarts
    return CONFIRM_MOST


def detectable(screen: PairEstimate, confirm: PairEstimate | None, margin: float) -> float:
    """Return the smallest change that both passes would have shown in 95 of 100 runs, as a fraction.

    Where there was no second pass, it is the one that a change of this size would have been given. The floor is the
    fastest restart of each side: it scatters as minima do, more than the median, and decides more often.
    """
    if confirm is None:
        restarts, spread, df = CONFIRM_MOST, screen.spread, screen.df + CONFIRM_MOST - 1
    else:
        restarts, spread, df = confirm.restarts, confirm.spread, confirm.df
    scatter = max(
        screen.error,
        screen.spread * MINIMUM_DEVIATION[min(screen.restarts, len(MINIMUM_DEVIATION)) - 1],
        spread * MINIMUM_DEVIATION[min(restarts, len(MINIMUM_DEVIATION)) - 1],
    )
    error = _error(spread, restarts)
    witnessed = math.log1p(margin) + Z_ONE_OF_FOUR * scatter
    return math.expm1(max(witnessed, _needed(margin, error, df) + Z_ONE_OF_FOUR * error))


def holm(p_values: Mapping[Key, float], alpha: float = ALPHA) -> set[Key]:
    """Return what is significant when the chance of a single false one among all is to be ``alpha`` (Holm 1979)."""
    found: set[Key] = set()
    for key, p in sorted(p_values.items(), key=lambda item: (item[1], item[0])):
        if p > alpha / (len(p_values) - len(found)):
            break
        found.add(key)
    return found


# --- the suite as a whole -----------------------------------------------------------------------------------------


def _directions(rows: Sequence[PairedRow]) -> tuple[int, int]:
    """Return how many latency rows look slower and faster, by whatever little."""
    judged = [row for row in rows if row.key.metric == "latency" and not row.problem and not problem(row.screen, 2)]
    ratios = [estimate(row.screen).ratio for row in judged]
    return sum(ratio > 1 for ratio in ratios), sum(ratio < 1 for ratio in ratios)


def leaning(rows: Sequence[PairedRow]) -> float:
    """Return how likely the latency rows lean one way as much as they do if each went its own: the exact sign test."""
    slower, faster = _directions(rows)
    n, most = slower + faster, max(slower, faster)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(most, n + 1)) / (1 << n))


def leans_as_a_whole(rows: Sequence[PairedRow]) -> bool:
    """Whether so many rows lean one way that the run must be biased, or head slower everywhere."""
    return sum(_directions(rows)) >= LEANING_ROWS and leaning(rows) < LEANING_P
