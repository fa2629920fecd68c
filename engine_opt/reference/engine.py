"""The whole engine, plainly: everything is worked out anew from all bars and all outcomes, each time it is asked."""

from __future__ import annotations

from collections.abc import Sequence

from engine_opt.config import EngineConfig
from engine_opt.errors import InsufficientData
from engine_opt.model import (
    Action,
    AdverseMove,
    AdverseMoveLevel,
    Bar,
    DecisionKind,
    DecisionStatus,
    EngineDecision,
    MarketAnalysis,
    MarketCondition,
    MarketRiskLevel,
    Position,
    Resolution,
    TradeContext,
    TradeDecision,
    TrustOutcome,
    TrustRequest,
    TrustResolution,
    WeekContext,
    WeekRequest,
    WeekType,
)
from engine_opt.reference.atr import adjust, measure
from engine_opt.reference.market import analyze
from engine_opt.reference.plan import plan
from engine_opt.reference.rules import validate
from engine_opt.reference.trust import PlainTrust
from engine_opt.reference.week import classify_week


def decide(
    request: WeekRequest,
    bars: Sequence[Bar],
    vix: Sequence[float | None] | None = None,
    outcomes: Sequence[TrustOutcome] = (),
    config: EngineConfig | None = None,
) -> EngineDecision:
    """Return the decision at the end of `bars`, after `outcomes`; nobody is asked, so that what needs leave is pending."""
    settings = EngineConfig() if config is None else config
    book = request.book
    market = analyze(bars, vix, settings.market)
    reading = measure(request.symbol, bars, settings.atr)
    start = week_start(bars) if request.week_start_price is None else request.week_start_price
    if start is None:
        raise InsufficientData(1, 0, "closes before this week")
    condition = MarketCondition(request.symbol, bars[-1].close, start, market.metrics.volatility_20)
    week = classify_week(condition, request.position, known(request, market, settings), settings.week)
    adjustment = adjust(reading, request.account, market.condition, settings.atr)

    adverse = None
    if request.position is not Position.CASH:
        adverse = fall(request.position, week.reference_price, bars[-1].close, reading.atr[0])
    confidence = request.confidence
    if confidence is None:
        confidence = min(market.confidence, adjustment.confidence)
        confidence = confidence if week.confidence is None else min(confidence, week.confidence)

    action, proposal = Action.WAIT_SIGNAL, request.proposal
    if proposal is None:
        action, proposal = plan(request, week, adjustment, market, confidence, settings.rules, settings.plan)
    decision = EngineDecision(
        decision_id=f"{request.symbol}/{request.account.value}/{request.now.isoformat()}",
        status=DecisionStatus.IDLE,
        action=action,
        time=bars[-1].time,
        week=week,
        market=market,
        adjustment=adjustment,
        adverse=adverse,
        proposal=proposal,
        why_not=None,
        confidence=confidence,
        report=None,
        assessment=None,
        resolution=None,
        answer=None,
    )
    if proposal is None:
        return decision

    context = TradeContext(
        today=request.now.date(),
        portfolio_value=book.portfolio_value,
        account_value=book.account_value,
        portfolio_risk=book.portfolio_risk,
        drawdown=book.drawdown,
        shares_held=book.shares_held,
        market_condition=market.condition,
        week_type=week.week_type,
        week_colour=book.week_colour,
        vix=market.metrics.vix,
        vix_mean=book.vix_mean,
    )
    report = validate(proposal, context, request.overrides, settings.rules)
    if not report.can_proceed:
        return decision._replace(status=DecisionStatus.REJECTED, action=Action.WAIT_SIGNAL, report=report)
    if proposal.action in (Action.HOLD_POSITION, Action.WAIT_SIGNAL):
        return decision._replace(action=proposal.action, report=report)
    asked = question(request, decision, proposal, settings)
    trust = PlainTrust(settings.trust)
    for outcome in outcomes:
        trust.record(outcome)
    assessment = trust.assess(asked)
    approved = not assessment.needs_human
    resolution = TrustResolution(
        request_id=asked.request_id,
        resolution=Resolution.APPROVED if approved else Resolution.PENDING,
        mode=assessment.mode,
        by=None,
        at=request.now,
        action=None,
    )
    return decision._replace(
        status=DecisionStatus.APPROVED if approved else DecisionStatus.PENDING,
        action=proposal.action if approved else Action.WAIT_SIGNAL,
        report=report,
        assessment=assessment,
        resolution=resolution,
    )


def week_start(bars: Sequence[Bar]) -> float | None:
    """Return the last close before the Monday of the last bar's week."""
    last = bars[-1].time
    monday = last.toordinal() - last.weekday()
    before = [bar.close for bar in bars if bar.time.toordinal() < monday]
    return before[-1] if before else None


def known(request: WeekRequest, market: MarketAnalysis, config: EngineConfig) -> WeekContext:
    """Return the context; where the caller does not say whether a put is welcome, the market does."""
    given = request.context
    if request.position is not Position.CASH or given.favourable is not None:
        return given
    welcome = Action.SELL_PUT in config.rules.actions[market.condition]
    if market.risk_level is MarketRiskLevel.EXTREME:
        welcome = False
    return WeekContext(
        strike=given.strike,
        cost_basis=given.cost_basis,
        days_to_expiration=given.days_to_expiration,
        can_roll=given.can_roll,
        favourable=welcome,
    )


def fall(position: Position, reference: float, price: float, atr: float) -> AdverseMove:
    """Return how many average true ranges the price is below the reference."""
    ranges = (reference - price) / atr
    if ranges > 1.5:
        last = "close_position" if position is Position.SHORT_PUT else "lower_delta"
        return AdverseMove(AdverseMoveLevel.ACT, ranges, ("roll_out", "roll_down", last))
    if ranges >= 1.0:
        return AdverseMove(AdverseMoveLevel.CONSIDER_ADJUSTING, ranges, ("consider_adjusting",))
    if ranges >= 0.5:
        return AdverseMove(AdverseMoveLevel.MONITOR, ranges, ("monitor_closely",))
    return AdverseMove(AdverseMoveLevel.NONE, ranges, ())


def question(
    request: WeekRequest, decision: EngineDecision, proposal: TradeDecision, config: EngineConfig
) -> TrustRequest:
    """Return what trust is asked: what kind of decision it is, and what is at stake."""
    action, book = proposal.action, request.book
    if action in (Action.SELL_PUT, Action.SELL_CALL, Action.INCREASE_POSITION):
        kind = DecisionKind.TRADE_ENTRY
    elif action in (Action.CLOSE_POSITION, Action.DECREASE_POSITION):
        kind = DecisionKind.TRADE_EXIT
    elif action is Action.ENTER_PROTECTIVE:
        kind = DecisionKind.EMERGENCY_ACTION
    elif action is Action.EXIT_PROTECTIVE:
        kind = DecisionKind.RISK_MANAGEMENT
    else:
        kind = DecisionKind.POSITION_ADJUSTMENT
    impact = None
    if kind is DecisionKind.POSITION_ADJUSTMENT and proposal.max_risk is not None:
        impact = proposal.max_risk * book.portfolio_value
    most = config.rules.limits(request.account, request.symbol).max_drawdown
    return TrustRequest(
        request_id=decision.decision_id,
        kind=kind,
        confidence=decision.confidence,
        now=request.now,
        impact=impact,
        recovery=decision.week.week_type is WeekType.C_REC,
        risk_breach=book.portfolio_risk > config.rules.max_portfolio_risk or book.drawdown > most,
        safe_action=action.value if kind is DecisionKind.EMERGENCY_ACTION else None,
    )
