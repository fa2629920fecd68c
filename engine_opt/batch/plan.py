"""What the protocol would do about each week: `protocol.planning` over columns.

The steps are those of the scalar form. Rows where the last bit of an exponential or of an average could decide how a
strike is rounded, or whether one contract more fits, are named in `close_calls`; the caller asks the scalar form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine_opt.batch.columns import UNKNOWN, Codes, Flags, Floats
from engine_opt.batch.requests import Requests
from engine_opt.batch.rows import Rows, taken
from engine_opt.batch.rules import limits_by_account
from engine_opt.model import Action, WeekClassification, WeekColour, WeekType
from engine_opt.protocol.normal import (
    CENTRE,
    CENTRE_HALF_WIDTH,
    FAR,
    NEAR,
    NEAR_TAIL,
)
from engine_opt.protocol.planning import (
    DAYS_PER_YEAR,
    FRIDAY,
    LARGEST_DELTA,
    LEAST_DELTA,
    MONEY_DIGITS,
    PLANNED_TRADES,
    TOO_RISKY,
    PlanConfig,
    PlanLimits,
    action_of,
)
from engine_opt.protocol.rules_config import RulesConfig
from engine_opt.protocol.week_classifier import WeekRules

WHY_NOT = (
    "the colour of the week allows no entry",
    "the account is too small for one contract",
    "there are not shares enough to cover one contract",
    TOO_RISKY,
    "VIX is too far above its mean for any contract",
)
"""What can stand in the way of the action that a week asks for; a column of reasons holds indices of these."""

_COLOUR, _SMALL, _UNCOVERED, _RISKY, _FEAR = range(len(WHY_NOT))
ACTIONS = tuple(Action)
TRADES = np.array([each in PLANNED_TRADES for each in ACTIONS])
_WAIT, _ROLL = ACTIONS.index(Action.WAIT_SIGNAL), ACTIONS.index(Action.ROLL_POSITION)
_THURSDAY = 3  # the weekday of 1970-01-01
_CLOSE = 1e-11  # share of a number: a hundred times what the two forms can differ by, whatever the prices
_WHOLE_FROM = 2.0**52  # from here on a float has no fraction


class Limits(NamedTuple):
    """`PlanLimits` of each row; what is the same for all rows has no dimension. `most` is infinite where it is None."""

    days_low: NDArray[np.int64]
    days_high: NDArray[np.int64]
    delta_low: Floats
    delta_high: Floats
    money: Floats
    size: Floats
    entries: Flags
    most: Floats
    max_risk: float
    multiplier: int

    def row(self, index: int) -> PlanLimits:
        """Return the scalar record of one row."""
        values: list[Any] = [(column[index] if column.ndim else column).item() for column in self[:8]]
        low, high, delta_low, delta_high, money, size, entries, most = values
        contracts = None if most == np.inf else int(most)
        return PlanLimits(
            low, high, delta_low, delta_high, money, self.max_risk, self.multiplier, size, entries, contracts
        )


class Terms(NamedTuple):
    """What a plan goes by, a row per week that asks for a trade; `today` is in days since 1970."""

    action: Codes
    puts: Flags
    today: NDArray[np.int64]
    price: Floats
    volatility: Floats
    atr: Floats
    position_size: Floats
    delta: Floats
    days: NDArray[np.int64]
    stop_loss: Floats
    portfolio_value: Floats
    shares_held: NDArray[np.int64]


class PlanColumns(NamedTuple):
    """Plans, a row per week that asks for a trade.

    `quantity` is 0 where the plan is to wait, and the numbers then mean nothing; `why_not` are indices into WHY_NOT,
    UNKNOWN where nothing stood in the way; `expiration` is in days since 1970.
    """

    quantity: Floats
    delta: Floats
    strike: Floats
    expiration: NDArray[np.int64]
    max_risk: Floats
    why_not: Codes
    close_calls: NDArray[np.intp]


def week_actions(rules: WeekRules) -> Codes:
    """Return a table of the action that each type of week asks for, and in its last row a projected one."""
    blank: Any = WeekClassification._make([None] * len(WeekClassification._fields))
    labels = [rules.priors[each].actions for each in WeekType] + [("sell_put",)]
    return np.array([ACTIONS.index(action_of(blank._replace(recommended_actions=each))) for each in labels], np.uint8)


def limits_of(
    requests: Requests, account: Codes, rows: Rows, vix: Floats, rules: RulesConfig, symbols: Sequence[str]
) -> Limits:
    """Return the limits of some of the requests, at the VIX of each of these.

    `account` is that of each request, counted on for each further symbol.
    """
    allowed, account = limits_by_account(rules, symbols), taken(account, rows)
    basis = requests.account_value if rules.size_basis == "account" else requests.portfolio_value
    money = np.array([each.size_share for each in allowed])[account] * taken(basis, rows)
    if rules.size_cap is not None:
        money = np.minimum(money, rules.size_cap)
    low = np.array([each.delta_low for each in allowed])[account]
    high = np.array([each.delta_high for each in allowed])[account]
    size, entries = np.asarray(1.0), np.asarray(True)
    colour = taken(requests.week_colour, rows)
    if (colour != UNKNOWN).any():
        shift, share, enters = np.zeros(UNKNOWN + 1), np.ones(UNKNOWN + 1), np.ones(UNKNOWN + 1, np.bool_)
        for code, each in enumerate(WeekColour):
            limits = rules.colours[each]
            shift[code], share[code], enters[code] = limits.delta_shift, limits.size, limits.entries
        high = np.where(colour == UNKNOWN, high, np.maximum(low, high + shift[colour]))
        size, entries = share[colour], enters[colour]
    mean, most = taken(requests.vix_mean, rows), np.asarray(np.inf)
    if not np.isnan(mean).all():
        most = np.where(vix > rules.vix_limit * mean, float(rules.vix_quantity), np.inf)  # NaN is above nothing
    return Limits(
        np.array([each.days_low for each in allowed])[account],
        np.array([each.days_high for each in allowed])[account],
        low,
        high,
        np.asarray(money),
        np.asarray(size),
        np.asarray(entries),
        most,
        rules.max_risk,
        rules.multiplier,
    )


def plan(terms: Terms, limits: Limits, config: PlanConfig) -> PlanColumns:
    """Return what the protocol would do about each week."""
    expiration = expiries(terms.today, terms.days, limits.days_low, limits.days_high)
    years = (expiration - terms.today) / DAYS_PER_YEAR
    delta = np.maximum(terms.delta, np.maximum(limits.delta_low, LEAST_DELTA))
    delta = np.minimum(delta, np.minimum(limits.delta_high, LARGEST_DELTA))
    spread = np.maximum(terms.volatility, config.volatility_floor)
    spread *= np.sqrt(years)
    deviations = normal_quantiles(delta / 100.0)
    deviations = np.where(terms.puts, deviations, -deviations)
    deviations += spread / 2.0
    deviations *= spread
    with np.errstate(over="ignore"):  # what is not a price is refused by who judges it
        strike, close = _rounded(terms.price * np.exp(deviations))

        loss = limits.multiplier * config.risk_in_atr * terms.stop_loss
        loss *= terms.atr
        at_risk = limits.max_risk * terms.portfolio_value
        share = np.minimum(terms.position_size, 1.0) * limits.size
        share *= limits.money
        shares = limits.size * terms.shares_held
        each = np.where(terms.puts, limits.multiplier * strike, float(limits.multiplier))
        by_size, _ = _fitting(each, np.where(terms.puts, share, shares))
        by_risk, near = _fitting(loss, at_risk)
    close |= near
    quantity = np.minimum(by_size, by_risk)
    why_not = np.where(quantity < 1.0, np.uint8(_RISKY), np.uint8(UNKNOWN))
    small = by_size < 1.0
    if small.any():
        why_not = np.where(small, np.where(terms.puts, np.uint8(_SMALL), np.uint8(_UNCOVERED)), why_not)
    if limits.most.ndim or limits.most < np.inf:
        fitting = quantity >= 1.0
        quantity = np.minimum(quantity, limits.most)
        why_not[fitting & (quantity < 1.0)] = _FEAR
    risk = np.minimum(quantity * loss / terms.portfolio_value, limits.max_risk)
    if not limits.entries.all():
        why_not[~limits.entries & (terms.action != _ROLL)] = _COLOUR
    quantity[why_not != UNKNOWN] = 0.0
    return PlanColumns(quantity, delta, strike, expiration, risk, why_not, np.flatnonzero(close))


def expiries(
    today: NDArray[np.int64], days: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the Friday nearest to `days` from each day among those `low` to `high` days away; the day itself if none."""
    wanted = np.minimum(np.maximum(days, low), high)
    first = FRIDAY - _THURSDAY - today - low
    first -= 7 * (first // 7)
    first += low
    last = first + 7 * ((high - first) // 7)
    nearest = first + 7 * ((wanted - first + 3) // 7)
    found = np.minimum(np.maximum(nearest, first), last)
    found = np.where(first > high, wanted, found)
    found += today
    return found


def normal_quantiles(p: Floats) -> Floats:
    """Return `normal_quantile` of each p, strictly between 0 and 1, in the same steps."""
    centred = p - 0.5
    inner = CENTRE_HALF_WIDTH * CENTRE_HALF_WIDTH - centred * centred
    result: Floats = centred * _ratio(CENTRE, inner)
    outside = np.flatnonzero(np.abs(centred) > CENTRE_HALF_WIDTH)
    if outside.size:
        own, side = p[outside], centred[outside]
        depth = np.sqrt(-np.log(np.where(side < 0.0, own, 1.0 - own)))
        tail = np.where(depth <= NEAR_TAIL, _ratio(NEAR, depth - 1.6), _ratio(FAR, depth - NEAR_TAIL))
        result[outside] = np.where(side < 0.0, -tail, tail)
    return result


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Floats) -> Floats:
    above, below = (_horner(each, x) for each in coefficients)
    above /= below
    return above


def _horner(coefficients: tuple[float, ...], x: Floats) -> Floats:
    value = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        value += coefficient
        value *= x
    value += coefficients[0]
    return value


def _rounded(prices: Floats) -> tuple[Floats, Flags]:
    """Return round(price, 4) of each, as `week.round_to_ten` does it, and where that is too close to call.

    A price of whose half the last bits of an exponential could decide is left to the scalar form altogether.
    """
    scale = 10.0**MONEY_DIGITS
    scaled = prices * scale
    whole = np.rint(scaled)
    close = ~((np.abs(scaled - whole) < 0.5 - scaled * _CLOSE) & (scaled < _WHOLE_FROM))
    whole /= scale
    return whole, close


def _fitting(each: Floats, limit: Floats) -> tuple[Floats, Flags]:
    """Return how many of `each` fit into `limit`, and where a last bit of `each` could make it one more or less."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = limit / each
        number = np.floor(ratio)
        close = ~(np.abs(ratio - np.rint(ratio)) > ratio * _CLOSE)
        number -= number * each > limit
    return number, close
