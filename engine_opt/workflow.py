"""One pass through the five components: pure but for what is counted and whom it asks.

What the market and the ranges say comes in; trust is read, never changed. The streaming engine and whoever has whole
series decide by this same pass.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from engine_opt.config import EngineConfig
from engine_opt.counting import Around, Part, Tally, bare
from engine_opt.errors import InputError, InsufficientData, StateError
from engine_opt.model import (
    Action,
    ATRReading,
    Book,
    DecisionKind,
    DecisionStatus,
    EngineDecision,
    HumanAnswer,
    MarketAnalysis,
    MarketRiskLevel,
    Position,
    Resolution,
    RulesReport,
    TradeContext,
    TradeDecision,
    TrustAssessment,
    TrustRequest,
    TrustResolution,
    WeekClassification,
    WeekRequest,
    WeekType,
)
from engine_opt.model.quick import quick
from engine_opt.protocol.atr_adjustment import ATRAdjustmentSystem, adjust, adverse_move
from engine_opt.protocol.hitl_trust import HITLTrustSystem
from engine_opt.protocol.market_condition_analyzer import MarketStream
from engine_opt.protocol.planning import Plan, PlanLimits, plan
from engine_opt.protocol.rules_config import AccountLimits
from engine_opt.protocol.trading_protocol_rules import TradingProtocolRulesEngine
from engine_opt.protocol.week_classifier import WeekClassifier

Ask = Callable[[TrustRequest, TrustAssessment], HumanAnswer | None]
"""Put a request to whoever answers; None while there is no answer."""

DECISION_KINDS = {
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


# Looked up in every decision: a member found in its class costs several times what a global costs.
_WAIT, _SELL_PUT, _CASH, _C_REC = Action.WAIT_SIGNAL, Action.SELL_PUT, Position.CASH, WeekType.C_REC
_NOTHING_TO_DO, _REJECTED, _PENDING = DecisionStatus.IDLE, DecisionStatus.REJECTED, DecisionStatus.PENDING
_APPROVED, _SAFE_ACTION = DecisionStatus.APPROVED, DecisionStatus.SAFE_ACTION
_ADJUSTMENT, _EMERGENCY = DecisionKind.POSITION_ADJUSTMENT, DecisionKind.EMERGENCY_ACTION
_EXTREME = MarketRiskLevel.EXTREME

# Each checks all that the class itself checks.
_trade_context, _trade_decision, _trust_request = quick(TradeContext), quick(TradeDecision), quick(TrustRequest)

_Judged = tuple[DecisionStatus, Action, RulesReport, TrustAssessment | None, TrustResolution | None, HumanAnswer | None]


class Workflow:
    """The pass, and the components it leads through.

    Where there is a `tally` decisions are counted in it; `around` is put around each part.
    """

    __slots__ = (
        "_adjust",
        "_analyse",
        "_assess",
        "_classify",
        "_config",
        "_plan",
        "_read",
        "_tally",
        "_trust",
        "_validate",
    )

    def __init__(
        self,
        config: EngineConfig,
        rules: TradingProtocolRulesEngine,
        trust: HITLTrustSystem,
        tally: Tally | None = None,
        around: Around = bare,
    ) -> None:
        self._config, self._trust, self._tally = config, trust, tally
        self._analyse = around(Part.MARKET, MarketStream.analysis)
        self._read = around(Part.RANGES, ATRAdjustmentSystem.reading)
        self._classify = around(Part.WEEK, WeekClassifier(config.week).classify_checked)
        self._adjust = around(Part.ADJUSTMENT, adjust)
        self._plan = around(Part.PLAN, plan)
        self._validate = around(Part.RULES, rules.validate)
        self._assess = around(Part.TRUST, trust.assess)

    def readings(
        self, market: MarketStream, ranges: ATRAdjustmentSystem, symbol: str
    ) -> tuple[MarketAnalysis, ATRReading]:
        """Return what the last bar of a symbol says."""
        return self._analyse(market), self._read(ranges, symbol)

    def decide(
        self, request: WeekRequest, market: MarketAnalysis, reading: ATRReading, week_start: float | None, ask: Ask
    ) -> EngineDecision:
        """Return the decision; `week_start` is the close before this week, used where the request has none.

        Raises InputError where the request is earlier than the last bar, InsufficientData without a week's start.
        """
        config, account, position, now = self._config, request.account, request.position, request.now
        today = now.date()
        _not_before(reading.time, now, today)
        week = self._week(request, market, week_start)
        # Here and below a part is a local before it is called: called as a method's name it would cost several times that.
        adjusted, planner, tally = self._adjust, self._plan, self._tally
        adjustment = adjusted(reading, account, market.condition, config.atr)
        adverse = None
        if position is not _CASH:
            adverse = adverse_move(position, week.reference_price, reading.close, reading.atr[0])
        confidence = request.confidence
        if confidence is None:
            own = 1.0 if week.confidence is None else week.confidence
            confidence = min(own, market.confidence, adjustment.confidence)
        # A StrEnum is written as its value, and to ask for `.value` is slow.
        decision_id = f"{request.symbol}/{account}/{now.isoformat()}"

        limits = config.rules.limits(account, request.symbol)
        proposal, action, why_not = request.proposal, _WAIT, None
        if proposal is None:
            book, metrics = request.book, market.metrics
            allowed = self._limits_of(book, limits, metrics.vix)
            planned = planner(
                week, adjustment, metrics, today, book.portfolio_value, book.shares_held, allowed, config.plan
            )
            action, why_not = planned.action, planned.why_not
            proposal = None if action in _IDLE else _proposal(request, planned, week, confidence)
        status, report, assessment, resolution, answer = _NOTHING_TO_DO, None, None, None, None
        if proposal is not None:
            status, action, report, assessment, resolution, answer = self._judge(
                request, limits, decision_id, week.week_type, confidence, market, proposal, today, ask
            )
        elif tally is not None:
            tally.unjudged += 1
        return EngineDecision(
            decision_id,
            status,
            action,
            reading.time,
            week,
            market,
            adjustment,
            adverse,
            proposal,
            why_not,
            confidence,
            report,
            assessment,
            resolution,
            answer,
        )

    def settle(
        self, request: WeekRequest, decision: EngineDecision, answer: HumanAnswer | None, now: datetime
    ) -> EngineDecision:
        """Return a pending decision with what became of it by `now`. Raises StateError for one that is not pending."""
        proposal, assessment = decision.proposal, decision.assessment
        if decision.status is not _PENDING or proposal is None or assessment is None:
            raise StateError(
                f"decision {decision.decision_id} is {decision.status.value}: only a pending one is settled"
            )
        limits = self._config.rules.limits(request.account, request.symbol)
        asked = self._asked(
            request, limits, decision.decision_id, decision.week.week_type, decision.confidence, proposal
        )
        resolution = self._trust.resolve(assessment, asked, answer, now)
        status, action = _consequence(resolution, proposal)
        return decision._replace(status=status, action=action, resolution=resolution, answer=answer)

    def _week(self, request: WeekRequest, market: MarketAnalysis, week_start: float | None) -> WeekClassification:
        """Return the kind of week; the market says whether a put is welcome where the caller does not."""
        start = week_start if request.week_start_price is None else request.week_start_price
        if start is None:
            raise InsufficientData(1, 0, "closes before this week")
        metrics, position, known = market.metrics, request.position, request.context
        favourable = known.favourable
        if favourable is None and position is _CASH:
            welcome = _SELL_PUT in self._config.rules.actions[market.condition]
            favourable = welcome and market.risk_level is not _EXTREME
        classify = self._classify
        return classify(request.symbol, metrics.close, start, metrics.volatility_20, position, known, favourable)

    def _judge(
        self,
        request: WeekRequest,
        limits: AccountLimits,
        decision_id: str,
        week_type: WeekType,
        confidence: float,
        market: MarketAnalysis,
        proposal: TradeDecision,
        today: date,
        ask: Ask,
    ) -> _Judged:
        """Return what the rules say of a proposal, and where they allow it trust, and whoever is asked."""
        book, now = request.book, request.now
        context = _trade_context(
            today,
            book.portfolio_value,
            book.account_value,
            book.portfolio_risk,
            book.drawdown,
            book.shares_held,
            market.condition,
            week_type,
            book.week_colour,
            market.metrics.vix,
            book.vix_mean,
        )
        validate, assess, tally = self._validate, self._assess, self._tally
        report = validate(proposal, context, request.overrides)
        if not report.can_proceed:
            if tally is not None:
                tally.rejected += 1
            return _REJECTED, _WAIT, report, None, None, None
        if proposal.action in _IDLE:
            if tally is not None:
                tally.idle += 1
            return _NOTHING_TO_DO, proposal.action, report, None, None, None
        asked = self._asked(request, limits, decision_id, week_type, confidence, proposal)
        assessment = assess(asked)
        if not assessment.needs_human:
            if tally is not None:
                tally.automatic += 1
            return _APPROVED, proposal.action, report, assessment, self._trust.pass_on(assessment, now), None
        answer = ask(asked, assessment)
        resolution = self._trust.resolve(assessment, asked, answer, now)
        status, action = _consequence(resolution, proposal)
        if tally is not None:
            tally.asked[assessment.mode] += 1
            if status is not _PENDING:
                tally.answered[status] += 1
        return status, action, report, assessment, resolution, answer

    def _limits_of(self, book: Book, limits: AccountLimits, vix: float | None) -> PlanLimits:
        """Return the account's limits for the symbol, in a week of this colour and at this VIX."""
        rules = self._config.rules
        money = limits.size_share * (book.account_value if rules.size_basis == "account" else book.portfolio_value)
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

    def _asked(
        self,
        request: WeekRequest,
        limits: AccountLimits,
        decision_id: str,
        week_type: WeekType,
        confidence: float,
        proposal: TradeDecision,
    ) -> TrustRequest:
        """Return the request that trust is asked with; of an adjustment it is told how much money is at risk."""
        book, kind = request.book, DECISION_KINDS[proposal.action]
        impact = None
        if kind is _ADJUSTMENT and proposal.max_risk is not None:
            impact = proposal.max_risk * book.portfolio_value
        return _trust_request(
            decision_id,
            kind,
            confidence,
            request.now,
            impact,
            week_type is _C_REC,
            book.portfolio_risk > self._config.rules.max_portfolio_risk or book.drawdown > limits.max_drawdown,
            proposal.action.value if kind is _EMERGENCY else None,
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


def _consequence(resolution: TrustResolution, proposal: TradeDecision) -> tuple[DecisionStatus, Action]:
    """Return what becomes of a decision, and what may be done at once."""
    status = _STATUSES[resolution.resolution]
    return status, proposal.action if status in (_APPROVED, _SAFE_ACTION) else _WAIT


def _proposal(request: WeekRequest, planned: Plan, week: WeekClassification, confidence: float) -> TradeDecision:
    """Return the plan in the words of the rules; what it hopes for is the lower end of the week's range."""
    return _trade_decision(
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
