"""Why a decision is what it is: a tree of what was seen, what it was held against, and where the limit comes from."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite
from typing import Any, NamedTuple

from engine_opt.model import (
    AdverseMove,
    ATRAdjustment,
    EngineDecision,
    MarketAnalysis,
    RuleResult,
    RulesReport,
    TradeDecision,
    TrustAssessment,
    WeekClassification,
)
from engine_opt.protocol.market_scoring import MarketConfig


class Explanation(NamedTuple):
    """A step of a decision. `value` was held against `low` and `high` (None: no limit), which `source` sets.

    `margin` is the distance to the nearest limit, negative beyond it, in the unit of `value`.
    """

    name: str
    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    source: str | None = None
    children: tuple[Explanation, ...] = ()

    def lines(self, depth: int = 0) -> Iterator[str]:
        """Yield the tree as text, a line a step, two spaces deeper for each level."""
        yield f"{'  ' * depth}{self.name}: {self.text}"
        for child in self.children:
            yield from child.lines(depth + 1)

    def plain(self) -> dict[str, Any]:
        """Return the tree as plain values for JSON; what is None or empty is left away."""
        fields: dict[str, Any] = {
            name: value for name, value in zip(self._fields[:-1], self[:-1], strict=True) if value is not None
        }
        if self.children:
            fields["children"] = [child.plain() for child in self.children]
        return fields


def explain(decision: EngineDecision, market: MarketConfig | None = None) -> Explanation:
    """Return why `decision` is what it is; `market` is the configuration that its market was scored with."""
    steps = [
        _market(decision.market, MarketConfig() if market is None else market),
        _week(decision.week),
        _ranges(decision.adjustment, decision.adverse),
    ]
    steps.append(_proposal(decision.proposal, decision.why_not))
    if decision.report is not None:
        steps.append(_rules(decision.report))
    if decision.assessment is not None:
        steps.append(_trust(decision.assessment, decision))
    return Explanation(
        decision.decision_id,
        f"{decision.action.value}, {decision.status.value}",
        children=tuple(steps),
    )


def _market(market: MarketAnalysis, config: MarketConfig) -> Explanation:
    metrics = market.metrics
    cuts = config.cuts
    edges = (-inf, *(-cut for cut in reversed(cuts)), *cuts, inf)
    children = []
    if market.scoring == "standard":
        at = max(i for i, edge in enumerate(edges) if edge < market.score or i == 0)
        children.append(
            _held("score", market.score, edges[at], edges[at + 1], f"cut points of scoring {market.scoring!r}")
        )
    change, momentum, vix = market.weights
    children += [
        _seen(
            "change",
            f"{metrics.change_1:+.2%} a day, {metrics.change_5:+.2%} a week, {metrics.change_20:+.2%} a month",
            change,
        ),
        _seen("momentum", f"{metrics.momentum:+.2f} standard deviations in 5 sessions", momentum),
        _seen("VIX", "not known, left out" if metrics.vix is None else f"{metrics.vix:g}", vix),
        Explanation(
            "regime",
            f"{market.regime.value}; volatility {metrics.volatility_20:.1%} a year, trend t {metrics.trend_t:+.1f}",
        ),
        Explanation("risk", f"{market.risk_level.value}, {market.risk_points} points"),
    ]
    probability = max(market.distribution)
    return Explanation(
        "market", f"{market.condition.value} with probability {probability:.2f}", children=tuple(children)
    )


def _week(week: WeekClassification) -> Explanation:
    source = f"rules {week.rules!r}, {week.position.value} from its {week.reference.value}"
    children = [_held("movement", week.movement, week.lower, week.upper, source, unit=" %")]
    if week.confidence is not None:
        children.append(
            Explanation("confidence", f"{week.confidence:.3f} that the type is the same at expiry", week.confidence)
        )
    if week.beyond_table:
        children.append(Explanation("beyond the table", "the protocol says nothing of its own about so strong a rise"))
    projected = " (projected)" if week.projected else ""
    low, high = week.expected_return
    text = f"{week.week_type.value}{projected}, risk {week.risk_level.value}, return {low:g} to {high:g} % hoped for"
    return Explanation("week", text, children=tuple(children))


def _ranges(adjustment: ATRAdjustment, adverse: AdverseMove | None) -> Explanation:
    reading = adjustment.reading
    history = (
        "not known yet" if reading.percentile is None else f"{reading.percentile:.0f} of {reading.history} readings"
    )
    children = [
        Explanation(
            "average true range", f"{reading.atr[0]:.4g}, {reading.atr_share:.2%} of the close", reading.atr_share
        ),
        Explanation("percentile", history, reading.percentile),
        Explanation(
            "delta",
            f"{adjustment.delta:.1f} points, {adjustment.delta_wanted:.1f} before the account's band",
            adjustment.delta,
        ),
        Explanation("days", f"{adjustment.days_to_expiration} to expiration", float(adjustment.days_to_expiration)),
        Explanation("size", f"{adjustment.position_size:.2f} of the usual", adjustment.position_size),
    ]
    if adverse is not None:
        text = f"{adverse.move_in_atr:+.2f} average true ranges against the position: {adverse.level.value}"
        children.append(Explanation("adverse move", text, adverse.move_in_atr))
    return Explanation(
        "volatility", f"{reading.regime.value}, {reading.volatility_trend.value}", children=tuple(children)
    )


def _proposal(proposal: TradeDecision | None, why_not: str | None) -> Explanation:
    if proposal is None:
        return Explanation("proposal", "none: " + (why_not or "the week asks for no trade"))
    parts = [proposal.action.value]
    if proposal.quantity is not None:
        parts.append(f"{proposal.quantity} contracts")
    if proposal.strike is not None:
        parts.append(f"at {proposal.strike:g}")
    if proposal.expiration is not None:
        parts.append(f"until {proposal.expiration}")
    if proposal.delta is not None:
        parts.append(f"delta {proposal.delta:.1f}")
    if proposal.max_risk is not None:
        parts.append(f"{proposal.max_risk:.2%} of the portfolio at risk")
    return Explanation("proposal", ", ".join(parts))


def _rules(report: RulesReport) -> Explanation:
    return Explanation("rules", report.verdict.value, children=tuple(_rule(each) for each in report.results))


def _rule(result: RuleResult) -> Explanation:
    value = result.measured if isinstance(result.measured, int | float) else None
    return Explanation(
        result.rule,
        f"{result.outcome.value}, {result.explain()}",
        value,
        result.low,
        result.high,
        result.margin,
        result.source,
    )


def _trust(assessment: TrustAssessment, decision: EngineDecision) -> Explanation:
    bounds = [
        Explanation(component.value, f"right at least {bound:.1%} of the time", bound)
        for component, bound in zip(assessment.components, assessment.lower_bounds, strict=True)
    ]
    reasons = [Explanation("because", reason) for reason in assessment.reasons]
    text = f"{assessment.level.value} trust, {assessment.mode.value}"
    if decision.resolution is not None:
        by = f" by {decision.resolution.by}" if decision.resolution.by else ""
        text += f"; {decision.resolution.resolution.value}{by}, time limit {assessment.time_limit}"
    return Explanation("trust", text, decision.confidence, children=(*bounds, *reasons))


def _held(name: str, value: float, low: float, high: float, source: str, unit: str = "") -> Explanation:
    """Return a value and the two limits it lies between."""
    margin = min(value - low, high - value)
    if isfinite(low) and isfinite(high):
        where = f"between {low:+g} and {high:+g}"
    elif isfinite(low):
        where = f"at or above {low:+g}"
    else:
        where = f"below {high:+g}" if isfinite(high) else "in the only cell"
    near = f", {margin:.4g} from the next limit" if isfinite(margin) else ""
    return Explanation(
        name,
        f"{value:+.4f}{unit} is {where}{near} ({source})",
        value,
        low if isfinite(low) else None,
        high if isfinite(high) else None,
        margin if isfinite(margin) else None,
        source,
    )


def _seen(name: str, text: str, weight: float) -> Explanation:
    return Explanation(name, f"{text} (weight {weight:.2f})", weight)
