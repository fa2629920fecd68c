"""What the protocol would do about a week: the action of its type, and the contracts that action needs.

A plan is what the engine proposes where the caller has no proposal of his own. It keeps to the limits that the rules
will hold it to: delta from the adjustment (clamped to the account's band), an expiry on a Friday inside the account's
days, as many contracts as size, shares held and risk allow. Where not even one contract fits, the plan is to wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.model import Action, ATRAdjustment, MarketMetrics, Position, WeekClassification
from engine_opt.protocol.pricing import call_strike, put_strike

DAYS_PER_YEAR = 365.0
FRIDAY = 4
MONEY_DIGITS = 4
LEAST_DELTA, LARGEST_DELTA = 1.0, 99.0  # beyond them the strike of a delta is no longer on any exchange's list

# The labels of the week table in the words of a decision; what is not named here is a label that says why, not what.
_ACTIONS = {
    "sell_put": Action.SELL_PUT,
    "sell_call": Action.SELL_CALL,
    "roll_position": Action.ROLL_POSITION,
    "gbr_4": Action.ENTER_PROTECTIVE,  # capital preservation; the protocol says no more of it than its name
    "take_assignment": Action.HOLD_POSITION,
    "let_shares_be_called": Action.HOLD_POSITION,
    "wait_signal": Action.WAIT_SIGNAL,
}
# "keep_premium" and "take_assignment" come before the action that they lead to, and give way to it.
_LEADING = frozenset({"keep_premium", "take_assignment"})
_NEVER_MOVED = "the prices never moved: what a contract risks cannot be counted in ranges"
TOO_RISKY = "one contract would risk more than is allowed"
PLANNED_TRADES = frozenset({Action.SELL_PUT, Action.SELL_CALL, Action.ROLL_POSITION})

# Looked up in every decision: a member found in its class costs several times what a global costs.
_SELL_PUT, _ROLL, _WAIT, _SHORT_PUT = Action.SELL_PUT, Action.ROLL_POSITION, Action.WAIT_SIGNAL, Position.SHORT_PUT


@dataclass(frozen=True, slots=True)
class PlanConfig:
    """How a proposal is made.

    `risk_in_atr`: the adverse move, in average true ranges, that a proposal's risk is counted at; 1.5 is where the
    protocol says to act. `volatility_floor`: annualised; a market that hardly moved is not taken for one that cannot.
    """

    risk_in_atr: float = 1.5
    volatility_floor: float = 0.05

    def __post_init__(self) -> None:
        check.positive("risk_in_atr", self.risk_in_atr)
        check.positive("volatility_floor", check.volatility("volatility_floor", self.volatility_floor))


class PlanLimits(NamedTuple):
    """What a plan has to keep to.

    Days to expiration and delta in points, both ends inclusive; `money`, in account currency, is the most that one
    position may take, and `size` the share of it in this week; `max_risk` a share of the portfolio. `most_contracts`
    None: no limit.
    """

    days_low: int
    days_high: int
    delta_low: float
    delta_high: float
    money: float
    max_risk: float
    multiplier: int
    size: float = 1.0
    entries: bool = True
    most_contracts: int | None = None


class Plan(NamedTuple):
    """What to do. Strike in currency, delta in points, `max_risk` a share of the portfolio; None where none is needed.

    `why_not` says what stood in the way of the action that the week asked for, where something did.
    """

    action: Action
    quantity: int | None = None
    delta: float | None = None
    strike: float | None = None
    expiration: date | None = None
    max_risk: float | None = None
    why_not: str | None = None


def action_of(week: WeekClassification) -> Action:
    """Return the action that a week asks for: the first of its labels that is one, leading ones last."""
    chosen = _WAIT
    for label in week.recommended_actions:
        action = _ACTIONS.get(label)
        if label not in _LEADING:
            return _WAIT if action is None else action
        chosen = chosen if action is None else action
    return chosen


def plan(
    week: WeekClassification,
    adjustment: ATRAdjustment,
    metrics: MarketMetrics,
    today: date,
    portfolio_value: float,
    shares_held: int,
    limits: PlanLimits,
    config: PlanConfig,
) -> Plan:
    """Return what the protocol would do about `week`; money in account currency, a pure function of its arguments.

    Raises InputError for a trade in a stock that has never moved, and for an expiry after the end of the calendar.
    """
    action = action_of(week)
    if action not in PLANNED_TRADES:
        return Plan(action)
    if not limits.entries and action is not _ROLL:
        return Plan(_WAIT, why_not="the colour of the week allows no entry")
    is_put = action is _SELL_PUT or (action is _ROLL and week.position is _SHORT_PUT)
    days = days_to_expiry(today.weekday(), adjustment.days_to_expiration, limits.days_low, limits.days_high)
    reading, portfolio_risk, multiplier = adjustment.reading, limits.max_risk * portfolio_value, limits.multiplier
    volatility = max(metrics.volatility_20, config.volatility_floor)
    delta = min(max(adjustment.delta, limits.delta_low, LEAST_DELTA), limits.delta_high, LARGEST_DELTA)
    strike = (put_strike if is_put else call_strike)(reading.close, delta, volatility, days / DAYS_PER_YEAR)
    strike = round(strike, MONEY_DIGITS)

    loss = multiplier * config.risk_in_atr * adjustment.stop_loss * reading.atr[0]
    if not loss > 0.0:
        raise InputError("atr", reading.atr[0], _NEVER_MOVED)
    by_risk = _fitting(loss, portfolio_risk)
    if is_put:
        by_size = _fitting(multiplier * strike, min(adjustment.position_size, 1.0) * limits.size * limits.money)
        scarce = "the account is too small for one contract"
    else:
        by_size = _fitting(multiplier, limits.size * shares_held)
        scarce = "there are not shares enough to cover one contract"
    quantity = min(by_size, by_risk)
    if quantity < 1:
        return Plan(_WAIT, why_not=scarce if by_size < 1 else TOO_RISKY)
    most = limits.most_contracts
    if most is not None and most < quantity:
        quantity = most
        if quantity < 1:
            return Plan(_WAIT, why_not="VIX is too far above its mean for any contract")
    risk = min(quantity * loss / portfolio_value, limits.max_risk)
    return Plan(action, quantity, delta, strike, _after(today, days), risk)


def _fitting(each: float, limit: float) -> int:
    """Return how many of `each` fit into `limit`, whatever the division was rounded to."""
    number = int(limit / each)
    return number - 1 if number * each > limit else number


def expiry(today: date, days: int, low: int, high: int) -> date:
    """Return the Friday nearest to `days` from `today` among those `low` to `high` days away; the day itself if none.

    Weekly options expire on Fridays. Raises InputError for a day after the end of the calendar.
    """
    return _after(today, days_to_expiry(today.weekday(), days, low, high))


def days_to_expiry(weekday: int, days: int, low: int, high: int) -> int:
    """Return how many days the expiry of `expiry` is away, seen from a weekday; Monday is 0."""
    wanted = min(max(days, low), high)
    first = low + (FRIDAY - weekday - low) % 7
    if first > high:
        return wanted
    last = first + 7 * ((high - first) // 7)
    nearest = first + 7 * ((wanted - first + 3) // 7)
    return first if nearest < first else min(nearest, last)


def _after(today: date, days: int) -> date:
    """Return the day so many days later; a timedelta would cost three times as much."""
    try:
        return date.fromordinal(today.toordinal() + days)
    except ValueError:
        raise InputError("today", today, f"{days} days later the calendar has ended") from None
