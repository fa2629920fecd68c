"""What the protocol would do about a week, as one would work it out by hand."""

from __future__ import annotations

from datetime import date, timedelta
from math import exp, floor, sqrt
from statistics import NormalDist

from engine_opt.model import (
    Action,
    ATRAdjustment,
    MarketAnalysis,
    Position,
    TradeDecision,
    WeekClassification,
    WeekRequest,
    WeekType,
)
from engine_opt.protocol.planning import PlanConfig
from engine_opt.protocol.rules_config import RulesConfig

_ACTIONS = {
    WeekType.P_EW: Action.SELL_PUT,
    WeekType.P_AWL: Action.SELL_CALL,
    WeekType.P_RO: Action.ROLL_POSITION,
    WeekType.P_AOL: Action.HOLD_POSITION,
    WeekType.P_DD: Action.ENTER_PROTECTIVE,
    WeekType.C_WAP: Action.HOLD_POSITION,
    WeekType.C_WAP_PLUS: Action.HOLD_POSITION,
    WeekType.C_PNO: Action.SELL_CALL,
    WeekType.C_RO: Action.ROLL_POSITION,
    WeekType.C_REC: Action.SELL_CALL,
    WeekType.W_IDL: Action.WAIT_SIGNAL,
}


def plan(
    request: WeekRequest,
    week: WeekClassification,
    adjustment: ATRAdjustment,
    market: MarketAnalysis,
    confidence: float,
    rules: RulesConfig,
    config: PlanConfig,
) -> tuple[Action, TradeDecision | None]:
    """Return the action, and the trade where it needs one; an action that cannot be traded becomes waiting."""
    action, today, book = _ACTIONS[week.week_type], request.now.date(), request.book
    if action in (Action.HOLD_POSITION, Action.WAIT_SIGNAL):
        return action, None
    hoped = week.expected_return[0]
    if action is Action.ENTER_PROTECTIVE:
        return action, TradeDecision(
            action, request.symbol, request.account, expected_return=hoped, confidence=confidence
        )
    limits = rules.limits(request.account, request.symbol)
    colour = None if book.week_colour is None else rules.colours[book.week_colour]
    if colour is not None and not colour.entries and action is not Action.ROLL_POSITION:
        return Action.WAIT_SIGNAL, None

    delta_high = limits.delta_high if colour is None else max(limits.delta_low, limits.delta_high + colour.delta_shift)
    delta = max(adjustment.delta, limits.delta_low, 1.0)
    delta = min(delta, delta_high, 99.0)
    expiration = _expiration(today, adjustment.days_to_expiration, limits.days_low, limits.days_high)
    is_put = action is Action.SELL_PUT or (action is Action.ROLL_POSITION and request.position is Position.SHORT_PUT)
    spread = max(market.metrics.volatility_20, config.volatility_floor) * sqrt((expiration - today).days / 365)
    z = NormalDist().inv_cdf(delta / 100)
    strike = round(adjustment.reading.close * exp(spread * (spread / 2 + (z if is_put else -z))), 4)

    size = 1.0 if colour is None else colour.size
    if is_put:
        money = limits.size_share * (book.account_value if rules.size_basis == "account" else book.portfolio_value)
        money = money if rules.size_cap is None else min(money, rules.size_cap)
        fitting = floor(min(1.0, adjustment.position_size) * size * money / (rules.multiplier * strike))
    else:
        fitting = floor(size * book.shares_held / rules.multiplier)
    loss = rules.multiplier * config.risk_in_atr * adjustment.stop_loss * adjustment.reading.atr[0]
    quantity = min(fitting, floor(rules.max_risk * book.portfolio_value / loss))
    if book.vix_mean is not None and (market.metrics.vix or 0.0) > rules.vix_limit * book.vix_mean:
        quantity = min(quantity, rules.vix_quantity)
    if quantity < 1:
        return Action.WAIT_SIGNAL, None
    risk = min(quantity * loss / book.portfolio_value, rules.max_risk)
    return action, TradeDecision(
        action, request.symbol, request.account, quantity, delta, strike, expiration, risk, hoped, confidence
    )


def _expiration(today: date, days: int, low: int, high: int) -> date:
    """Return the Friday nearest to `days` from today among the allowed days; the day itself where there is none."""
    wanted = min(max(days, low), high)
    fridays = [n for n in range(low, high + 1) if (today + timedelta(n)).isoweekday() == 5]
    return today + timedelta(min(fridays, key=lambda n: abs(n - wanted)) if fridays else wanted)
