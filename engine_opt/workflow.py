"""One pass through the five components: pure but for the counters of the rules and whom it asks.

What the market and the ranges say comes in; trust is read, never changed. The streaming engine and whoever has whole
series decide by this same pass.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from engine_opt.config import EngineConfig
from engine_opt.errors import InputError, InsufficientData, StateError
from engine_opt.model import (
    Action,
    ATRAdjustment,
    ATRReading,
    DecisionKind,
    DecisionStatus,
    EngineDecision,
    HumanAnswer,
    MarketAnalysis,
    MarketCondition,
    MarketRiskLevel,
    Position,
    Resolution,
    TradeContext,
    TradeDecision,
    TrustAssessment,
    TrustRequest,
    WeekClassification,
    WeekContext,
    WeekRequest,
    WeekType,
)
from engine_opt.protocol.atr_adjustment import adjust, adverse_move
from engine_opt.protocol.hitl_trust import HITLTrustSystem
from engine_opt.protocol.planning import Plan, PlanLimits, plan
from engine_opt.protocol.trading_protocol_rules import TradingProtocolRulesEngine
from engine_opt.protocol.week_classifier import WeekClassifier

Ask = Callable[[TrustRequest, TrustAssessment], HumanAnswer | None]
"""Put a request to whoever answers; None while there is no answer."""

_KINDS = {
    Action.SELL_PUT: DecisionKind.TRADE_ENTRY,
    Action.SELL_CALL: DecisionKind.TRADE_ENTRY,
    Action.INCREASE_POSITION: DecisionKind.TRADE_ENTRY,
    Action.CLOSE_POSITION: DecisionKind.TRADE_EXIT,
    Action.DECREASE_POSITION: DecisionKind.TRADE_EXIT,
    Action.ROLL_POSITION: DecisionKind.POSITION_ADJUSTMENT,
    Action.ADJUST_DELTA: DecisionKind.POSITION_ADJUSTMENT,
    Action.REBALANCE_PORTFOLIO: DecisionKind.POSITION_ADJUSTMENT,
    Action.EXIT_PROTECTIVE: DecisionKind.RISK_MANAGEMENT,
    Action.ENTER_PROTECTIVE: DecisionKind.EMERGENCY_ACTION,
}
_IDLE = frozenset({Action.HOLD_POSITION, Action.WAIT_SIGNAL})
_STATUSES = {
    Resolution.PENDING: DecisionStatus.PENDING,
    Resolution.APPROVED: DecisionStatus.APPROVED,
    Resolution.REJECTED: DecisionStatus.DECLINED,
    Resolution.EXPIRED: DecisionStatus.EXPIRED,
    Resolution.SAFE_ACTION: DecisionStatus.SAFE_ACTION,
}


class Workflow:
    """The pass, and the components it leads through."""

    __slots__ = ("_config", "_rules", "_trust", "_weeks")

    def __init__(self, config: EngineConfig, rules: TradingProtocolRulesEngine, trust: HITLTrustSystem) -> None:
        self._config = config
        self._weeks = WeekClassifier(config.week)
        self._rules = rules
        self._trust = trust

    def decide(
        self, request: WeekRequest, market: MarketAnalysis, reading: ATRReading, week_start: float | None, ask: Ask
    ) -> EngineDecision:
        """Return the decision; `week_start` is the close before this week, used where the request has none.

        Raises InputError where the request is earlier than the last bar, InsufficientData without a week's start.
        """
        now = request.now
        today = now.date()
        _not_before(reading.time, now, today)
        week = self._weeks.classify_week(
            _condition(request, market, week_start), request.position, self._context(request, market)
        )
        adjustment = adjust(reading, request.account, market.condition, self._config.atr)
        adverse = None
        if request.position is not Position.CASH:
            adverse = adverse_move(request.position, week.reference_price, reading.close, reading.atr[0])
        confidence = request.confidence
        if confidence is None:
            own = 1.0 if week.confidence is None else week.confidence
            confidence = min(own, market.confidence, adjustment.confidence)
        proposal, action, why_not = request.proposal, Action.WAIT_SIGNAL, None
        if proposal is None:
            planned = self._plan(request, week, adjustment, market, today)
            action, why_not = planned.action, planned.why_not
            proposal = None if action in _IDLE else _proposal(request, planned, week, confidence)
        decision = EngineDecision(
            f"{request.symbol}/{request.account.value}/{now.isoformat()}",
            DecisionStatus.IDLE,
            action,
            reading.time,
            week,
            market,
            adjustment,
            adverse,
            proposal,
            why_not,
            confidence,
            None,
            None,
            None,
            None,
        )
        return decision if proposal is None else self._judge(request, decision, proposal, today, ask)

    def settle(
        self, request: WeekRequest, decision: EngineDecision, answer: HumanAnswer | None, now: datetime
    ) -> EngineDecision:
        """Return a pending decision with what became of it by `now`. Raises StateError for one that is not pending."""
        if decision.status is not DecisionStatus.PENDING or decision.proposal is None or decision.assessment is None:
            raise StateError(
                f"decision {decision.decision_id} is {decision.status.value}: only a pending one is settled"
            )
        asked = self._asked(request, decision, decision.proposal)
        return self._resolved(decision, asked, decision.assessment, answer, now)

    def _judge(
        self, request: WeekRequest, decision: EngineDecision, proposal: TradeDecision, today: date, ask: Ask
    ) -> EngineDecision:
        """Return the decision after the rules, and where they allow it after trust."""
        book, market = request.book, decision.market
        context = TradeContext(
            today,
            book.portfolio_value,
            book.account_value,
            book.portfolio_risk,
            book.drawdown,
            book.shares_held,
            market.condition,
            decision.week.week_type,
            book.week_colour,
            market.metrics.vix,
            book.vix_mean,
        )
        report = self._rules.validate(proposal, context, request.overrides)
        if not report.can_proceed:
            return decision._replace(status=DecisionStatus.REJECTED, action=Action.WAIT_SIGNAL, report=report)
        if proposal.action in _IDLE:
            return decision._replace(action=proposal.action, report=report)
        asked = self._asked(request, decision, proposal)
        assessment = self._trust.assess(asked)
        answer = ask(asked, assessment) if assessment.needs_human else None
        decision = decision._replace(report=report, assessment=assessment)
        return self._resolved(decision, asked, assessment, answer, request.now)

    def _resolved(
        self,
        decision: EngineDecision,
        asked: TrustRequest,
        assessment: TrustAssessment,
        answer: HumanAnswer | None,
        now: datetime,
    ) -> EngineDecision:
        resolution = self._trust.resolve(assessment, asked, answer, now)
        status = _STATUSES[resolution.resolution]
        action = Action.WAIT_SIGNAL
        if decision.proposal is not None and status in (DecisionStatus.APPROVED, DecisionStatus.SAFE_ACTION):
            action = decision.proposal.action
        return decision._replace(status=status, action=action, resolution=resolution, answer=answer)

    def _context(self, request: WeekRequest, market: MarketAnalysis) -> WeekContext:
        """Return what is known of the position; the market says whether a put is welcome where the caller does not."""
        known = request.context
        if known.favourable is not None or request.position is not Position.CASH:
            return known
        welcome = Action.SELL_PUT in self._config.rules.actions[market.condition]
        calm = market.risk_level is not MarketRiskLevel.EXTREME
        return WeekContext(known.strike, known.cost_basis, known.days_to_expiration, known.can_roll, welcome and calm)

    def _plan(
        self,
        request: WeekRequest,
        week: WeekClassification,
        adjustment: ATRAdjustment,
        market: MarketAnalysis,
        today: date,
    ) -> Plan:
        book = request.book
        return plan(
            week,
            adjustment,
            market.metrics,
            today,
            book.portfolio_value,
            book.shares_held,
            self._limits_of(request, market.metrics.vix),
            self._config.plan,
        )

    def _limits_of(self, request: WeekRequest, vix: float | None) -> PlanLimits:
        """Return the account's limits for the symbol, in a week of this colour and at this VIX."""
        rules, book = self._config.rules, request.book
        limits = rules.limits(request.account, request.symbol)
        basis = book.account_value if rules.size_basis == "account" else book.portfolio_value
        money = limits.size_share * basis
        if rules.size_cap is not None:
            money = min(money, rules.size_cap)
        delta_high, size, entries, most = limits.delta_high, 1.0, True, None
        if book.week_colour is not None:
            colour = rules.colours[book.week_colour]
            delta_high = max(limits.delta_low, delta_high + colour.delta_shift)
            size, entries = colour.size, colour.entries
        if vix is not None and book.vix_mean is not None and vix > rules.vix_limit * book.vix_mean:
            most = rules.vix_quantity
        return PlanLimits(
            limits.days_low,
            limits.days_high,
            limits.delta_low,
            delta_high,
            money,
            rules.max_risk,
            rules.multiplier,
            size,
            entries,
            most,
        )

    def _asked(self, request: WeekRequest, decision: EngineDecision, proposal: TradeDecision) -> TrustRequest:
        """Return the request that trust is asked with; of an adjustment it is told how much money is at risk."""
        book, rules = request.book, self._config.rules
        kind = _KINDS[proposal.action]
        limits = rules.limits(request.account, request.symbol)
        impact = None
        if kind is DecisionKind.POSITION_ADJUSTMENT and proposal.max_risk is not None:
            impact = proposal.max_risk * book.portfolio_value
        return TrustRequest(
            decision.decision_id,
            kind,
            decision.confidence,
            request.now,
            impact=impact,
            recovery=decision.week.week_type is WeekType.C_REC,
            risk_breach=book.portfolio_risk > rules.max_portfolio_risk or book.drawdown > limits.max_drawdown,
            safe_action=proposal.action.value if kind is DecisionKind.EMERGENCY_ACTION else None,
        )


def _not_before(last: date, now: datetime, today: date) -> None:
    """Raise InputError where a decision is earlier than the last bar that it goes by."""
    if isinstance(last, datetime):
        try:
            earlier = now < last
        except TypeError:
            raise InputError(
                "now", now, f"it cannot be compared with the last bar's {last!r}: both naive or aware"
            ) from None
    else:
        earlier = today < last
    if earlier:
        raise InputError("now", now, f"the last bar is of {last}: what was not known yet cannot be decided by")


def _condition(request: WeekRequest, market: MarketAnalysis, week_start: float | None) -> MarketCondition:
    start = week_start if request.week_start_price is None else request.week_start_price
    if start is None:
        raise InsufficientData(1, 0, "closes before this week")
    return MarketCondition(request.symbol, market.metrics.close, start, market.metrics.volatility_20)


def _proposal(request: WeekRequest, planned: Plan, week: WeekClassification, confidence: float) -> TradeDecision:
    """Return the plan in the words of the rules; what it hopes for is the lower end of the week's range."""
    return TradeDecision(
        planned.action,
        request.symbol,
        request.account,
        planned.quantity,
        planned.delta,
        planned.strike,
        planned.expiration,
        planned.max_risk,
        week.expected_return[0],
        confidence,
    )
