"""The only place where a verdict is made on base against head, measured in pairs.

Against a stored baseline it is made in ``compare.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_pe_perf.model import METRICS, Comparison, Judgement, Key, PairedRow, Verdict
from pytest_pe_perf.units import format_change, format_quantity

from .estimate import Z95_ONE_SIDED
from .paired import (
    SPREAD_DEGREES,
    Direction,
    PairEstimate,
    apart,
    confirm_restarts,
    detectable,
    estimate,
    holm,
    leans,
    limits_of,
    prior_spread,
    problem,
    residual,
)

# Restarts with a clean block that a pass needs.
SCREEN_RESTARTS, CONFIRM_RESTARTS = 2, 3
_WORDS: dict[Direction, Verdict] = {"slower": Verdict.REGRESSED, "faster": Verdict.IMPROVED}


@dataclass(frozen=True, slots=True)
class _Passes:
    """A row with what its passes say; a pass that may not be judged says nothing, and ``problem`` why."""

    row: PairedRow
    screen: PairEstimate | None = None
    confirm: PairEstimate | None = None
    problem: str = ""

    def leans(self, pair: PairEstimate | None) -> Direction:
        limits = limits_of(self.row)
        return leans(pair, limits.margin, limits.absolute) if pair else ""

    def over(self, pair: PairEstimate | None) -> bool:
        """Whether head is over its budget even at the lower end of its interval."""
        budget = self.row.budget
        return bool(budget and pair and pair.head * math.exp(-Z95_ONE_SIDED * pair.error) > budget.limit)

    @property
    def suspected(self) -> Direction:
        return self.leans(self.screen)

    @property
    def agreed(self) -> Direction:
        """Where both passes point."""
        return self.suspected if self.suspected == self.leans(self.confirm) else ""


def _passes(rows: Sequence[PairedRow]) -> list[_Passes]:
    priors = {metric: prior_spread(rows, metric) for metric in {row.key.metric for row in rows}}
    found = []
    for row in rows:
        bias = residual(limits_of(row).margin)
        screen, confirm = None, None
        why = row.problem or problem(row.screen, SCREEN_RESTARTS)
        if not why:
            screen = estimate(row.screen, priors[row.key.metric], SPREAD_DEGREES, bias)
            why = problem(row.confirm, CONFIRM_RESTARTS) if row.confirm else ""
        if screen and row.confirm and not why:
            # How much the first pass's restarts scatter is fair knowledge, only their ratio is not: it was selected.
            confirm = estimate(row.confirm, screen.spread, screen.df, bias)
        found.append(_Passes(row, screen, confirm, why))
    return found


def suspects(rows: Sequence[PairedRow]) -> dict[Key, int]:
    """Return the rows that must be measured again after the first pass, and in how many pairs of fresh processes."""
    return {
        passes.row.key: confirm_restarts(passes.screen, limits_of(passes.row).margin)
        for passes in _passes(rows)
        if passes.screen and (passes.suspected or passes.over(passes.screen))
    }


def _significant(all_passes: Sequence[_Passes]) -> set[Key]:
    """Return the rows whose second pass is believed, at an error rate of the whole build for each direction."""
    slower = {p.row.key: p.confirm.p_slower for p in all_passes if p.confirm and p.suspected == "slower"}
    faster = {p.row.key: p.confirm.p_faster for p in all_passes if p.confirm and p.suspected == "faster"}
    return holm(slower) | holm(faster)


def _shown(passes: _Passes) -> PairEstimate | None:
    """Return the pass that is reported: the second, which no suspicion has selected, where there was one."""
    return passes.confirm if passes.confirm and passes.suspected else passes.screen


def _comparison(passes: _Passes, pair: PairEstimate) -> Comparison:
    limits = limits_of(passes.row)
    return Comparison(
        base=pair.base,
        head=pair.head,
        ratio=pair.ratio,
        low=pair.low,
        high=pair.high,
        n=pair.restarts,
        threshold=limits.threshold,
        detectable=detectable(passes.screen or pair, passes.confirm, limits.margin),
        tier="paired",
    )


def _disagree(pair: PairEstimate) -> str:
    return f"{format_change(pair.ratio)}, but {format_change(pair.floor)} in the fastest rounds"


def _no_change(passes: _Passes, pair: PairEstimate, comparison: Comparison) -> tuple[Verdict, str]:
    """Return the verdict where the pass that is shown doesn't lean, or not to the side that the first did."""
    limits = limits_of(passes.row)
    beyond = max(pair.ratio, 1 / pair.ratio) > 1 + limits.margin
    surely = max(pair.low, 1 / pair.high) > 1 + limits.margin
    if surely and limits.agree and apart(pair):
        return Verdict.INCONCLUSIVE, _disagree(pair)
    if passes.suspected and passes.screen:
        reason = (
            f"{format_change(pair.ratio)}; {format_change(passes.screen.ratio)} in the first pass was not confirmed"
        )
    elif not beyond:
        reason = f"{format_change(pair.ratio)}, within {format_change(1 + limits.margin)}"
    elif max(pair.floor, 1 / pair.floor) <= 1 + limits.margin or (pair.floor > 1) != (pair.ratio > 1):
        reason = _disagree(pair)
    else:
        unit = METRICS[passes.row.key.metric].unit
        reason = f"{format_change(pair.ratio)}, by no more than {format_quantity(limits.absolute, unit)}"
    if comparison.detectable > limits.threshold:
        seen = format_change(1 + comparison.detectable)
        reason = f"weak: {reason}; the smallest change it could have seen is {seen}"
    return Verdict.UNCHANGED, reason


def _verdict(passes: _Passes, pair: PairEstimate, comparison: Comparison, believed: bool) -> tuple[Verdict, str]:
    """Return the verdict on the change between base and head."""
    change = format_change(pair.ratio)
    if passes.suspected and not passes.confirm:
        return Verdict.INCONCLUSIVE, f"suspected {change}; not confirmed"
    if not passes.agreed:
        return _no_change(passes, pair, comparison)
    if limits_of(passes.row).agree and apart(pair):
        return Verdict.INCONCLUSIVE, f"{_disagree(pair)}, in two passes"
    if not believed:
        scatter = f"{pair.spread * 100:.1f} %"
        return Verdict.INCONCLUSIVE, f"{change} in two passes, but the pairs of processes scatter by {scatter}"
    return _WORDS[passes.agreed], f"{change} in two passes, the second of {pair.restarts} pairs of processes"


def _budgeted(passes: _Passes, word: Verdict, reason: str) -> tuple[Verdict, str]:
    """Return the verdict with the row's budget considered: both passes must be over it."""
    row = passes.row
    if not row.budget or not passes.screen or not passes.over(passes.screen):
        return word, reason
    head = (passes.confirm or passes.screen).head
    over = f"{format_quantity(head, METRICS[row.key.metric].unit)}, limit {row.budget.text}"
    if passes.over(passes.confirm):
        return Verdict.OVER_BUDGET, f"{over}; against base: {word}, {reason}"
    if passes.confirm or word is Verdict.INCONCLUSIVE:
        return word, reason
    return Verdict.INCONCLUSIVE, f"{over}; not confirmed"


def _judge(passes: _Passes, significant: set[Key], biased: str, blind: str) -> Judgement:
    row, pair = passes.row, _shown(passes)
    if pair is None or passes.problem:
        return Judgement(row.key, Verdict.INCONCLUSIVE, passes.problem, None, None, row.budget, row.line)
    comparison = _comparison(passes, pair)
    word, reason = _verdict(passes, pair, comparison, row.key in significant)
    if biased and row.key.metric == "latency" and word in _WORDS.values():
        word, reason = Verdict.INCONCLUSIVE, biased
    if blind and word is Verdict.UNCHANGED:
        word, reason = Verdict.INCONCLUSIVE, blind
    word, reason = _budgeted(passes, word, reason)
    return Judgement(row.key, word, reason, pair.head, comparison, row.budget, row.line)


@dataclass(frozen=True, slots=True)
class Part:
    """The rows that one machine measured.

    ``biased`` says why they lean as a whole; no latency of them is then called slower or faster. ``blind`` says why a
    change could not have been seen; no row of them is then called unchanged.
    """

    rows: Sequence[PairedRow]
    biased: str = ""
    blind: str = ""


def judge_parts(parts: Sequence[Part]) -> tuple[Judgement, ...]:
    """Return the verdict on every row of a suite, which is judged as a whole on however many machines it was measured.

    A change is one when both passes show it in both witnesses and the second, by itself, is significant among all that
    were measured again. How much rows usually scatter is asked of each machine by itself.
    """
    judged = [(passes, part) for part in parts for passes in _passes(part.rows)]
    significant = _significant([passes for passes, _ in judged])
    return tuple(_judge(passes, significant, part.biased, part.blind) for passes, part in judged)


def judge_pairs(rows: Sequence[PairedRow], *, biased: str = "", blind: str = "") -> tuple[Judgement, ...]:
    """Return the verdict on every row of a suite that was measured on one machine, see ``judge_parts``."""
    return judge_parts([Part(rows, biased, blind)])
