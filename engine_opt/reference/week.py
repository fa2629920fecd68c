"""What kind of week it is: the table of the specification, row by row.

    r in percent points from the reference price; a boundary belongs to the row above it
    short_put              from the strike  r >= 0 | -5 <= r < 0  | -15 <= r < -5 | r < -15
                    from the week's start  r >= -1 | -5 <= r < -1 | -15 <= r < -5 | r < -15
                                             P-EW  |     P-AWL    |  P-RO (P-AOL) |   P-DD
    long_stock, short_call   r >= 5 | 1 <= r < 5 | -5 <= r < 1 | -10 <= r < -5 | -15 <= r < -10 | r < -15
                             C-WAP+ |    C-WAP   |    C-PNO    |      C-RO     |      C-REC     |  P-DD
    cash: any r: W-IDL, or P-EW projected where conditions are favourable

The boundaries are the rule set's, so that configured ones are judged too; which type follows which is written here.
"""

from __future__ import annotations

from math import inf, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

from engine_opt.errors import ConfigError, InputError
from engine_opt.model import (
    MarketCondition,
    MovementCategory,
    Position,
    Reference,
    RiskLevel,
    WeekClassification,
    WeekContext,
    WeekType,
)
from engine_opt.protocol.week_classifier import WeekRules

C, W = MovementCategory, WeekType
POSITIONS = (Position.CASH, Position.SHORT_PUT, Position.LONG_STOCK, Position.SHORT_CALL)

# The answers of the engine that this one replaces, with its confidences: 0.9 for one candidate, 0.5 for none.
ORIGINAL = {
    #                  cash              short_put           long_stock             short_call
    C.STRONG_UP: ((W.W_IDL, 0.5), (W.W_IDL, 0.5), (W.W_IDL, 0.5), (W.W_IDL, 0.5)),
    C.MODERATE_UP: ((W.W_IDL, 0.5), (W.W_IDL, 0.5), (W.C_WAP_PLUS, 0.9), (W.C_WAP_PLUS, 0.9)),
    C.SLIGHT_UP: ((W.W_IDL, 0.5), (W.P_EW, 0.9), (W.C_WAP, 0.9), (W.C_WAP, 0.9)),
    C.FLAT: ((W.W_IDL, 0.9), (W.P_EW, 0.9), (W.C_PNO, 0.9), (W.C_PNO, 0.9)),
    C.SLIGHT_DOWN: ((W.W_IDL, 0.5), (W.P_AWL, 0.9), (W.C_PNO, 0.9), (W.C_PNO, 0.9)),
    C.MODERATE_DOWN: ((W.W_IDL, 0.5), (W.P_RO, 0.6405), (W.C_RO, 0.9), (W.C_RO, 0.9)),
    C.STRONG_DOWN: ((W.W_IDL, 0.5), (W.W_IDL, 0.5), (W.C_REC, 0.9), (W.W_IDL, 0.5)),
    C.EXTREME_DOWN: ((W.W_IDL, 0.5), (W.P_DD, 0.9), (W.P_DD, 0.9), (W.W_IDL, 0.5)),
}


class Cell(NamedTuple):
    """A cell of the table: its type, and the movements from `lower` up to but without `upper`."""

    week_type: WeekType
    lower: float
    upper: float


def classify_week(
    condition: MarketCondition,
    position: Position | str,
    context: WeekContext | None = None,
    rules: WeekRules | None = None,
) -> WeekClassification:
    """Return what kind of week it is, by the rule set `standard` or `original`.

    Raises InputError where a given movement is more than 0.01 point from that of the prices, ConfigError for a rule
    set that is neither of the two.
    """
    rules = rules or WeekRules.standard()
    context = context or WeekContext()
    held = Position(position)
    week = movement(condition.week_start_price, condition.current_price)
    given = condition.movement_percentage
    if given is not None and abs(given - week) > 0.01:
        raise InputError("movement_percentage", given, f"the prices say {week}")

    projected, confidence = False, None
    category, lower, upper = category_of(week)
    if rules.name == "original":
        reference, price, r = Reference.WEEK_START, condition.week_start_price, week
        week_type, confidence = ORIGINAL[category][POSITIONS.index(held)]
        cell = Cell(week_type, lower, upper)
    elif rules.name == "standard":
        reference, price = reference_of(held, condition, context)
        r = movement(price, condition.current_price)
        cell = cell_of(held, r, rules.ladders[held, reference].bounds)
        if context.days_to_expiration is not None:
            confidence = unchanged(r, cell, condition.volatility, context.days_to_expiration / 365.0)
        if cell.week_type is W.P_RO and not context.can_roll:
            cell = cell._replace(week_type=W.P_AOL)
        if held is Position.CASH and context.favourable is True:
            cell, projected = cell._replace(week_type=W.P_EW), True
    else:
        raise ConfigError(f"the reference knows the rule sets 'standard' and 'original', not {rules.name!r}")

    prior = rules.priors[cell.week_type]
    return WeekClassification(
        symbol=condition.symbol,
        week_type=cell.week_type,
        confidence=confidence,
        position=held,
        movement=r,
        week_movement=week,
        movement_category=category,
        reference=reference,
        reference_price=price,
        lower=cell.lower,
        upper=cell.upper,
        beyond_table=r >= rules.beyond,
        projected=projected,
        expected_return=prior.expected_return,
        risk_level=prior.risk_level or risk_of(condition.volatility, rules.medium_risk_volatility),
        recommended_actions=("sell_put",) if projected else prior.actions,
        weeks_per_year=prior.weeks_per_year,
        rules=rules.name,
        timestamp=condition.timestamp,
    )


def movement(reference: float, price: float) -> float:
    """Return (price - reference) x 100 / reference, to ten decimals.

    Ten, because prices are decimals and floats are not: 31.445 stands exactly 5 % below 33.10, its float does not.
    A price above 0 never lost all of its value, however the tenth decimal rounds.
    """
    r = round((price - reference) * 100.0 / reference, 10)
    if r == inf:
        raise InputError("current_price", price, f"the movement from {reference} overflows")
    return max(r, -100.0 + 1e-10)


def category_of(m: float) -> tuple[MovementCategory, float, float]:
    """Return the category of a week's movement, and the bounds of the category."""
    if m >= 10.0:
        return C.STRONG_UP, 10.0, inf
    if m >= 5.0:
        return C.MODERATE_UP, 5.0, 10.0
    if m >= 1.0:
        return C.SLIGHT_UP, 1.0, 5.0
    if m >= -1.0:
        return C.FLAT, -1.0, 1.0
    if m >= -5.0:
        return C.SLIGHT_DOWN, -5.0, -1.0
    if m >= -10.0:
        return C.MODERATE_DOWN, -10.0, -5.0
    if m >= -15.0:
        return C.STRONG_DOWN, -15.0, -10.0
    return C.EXTREME_DOWN, -inf, -15.0


def reference_of(held: Position, condition: MarketCondition, context: WeekContext) -> tuple[Reference, float]:
    """Return what r is counted from: a put's strike, a stock's cost basis; the week's start where that is not known."""
    if held is Position.SHORT_PUT and context.strike is not None:
        return Reference.STRIKE, context.strike
    if held in (Position.LONG_STOCK, Position.SHORT_CALL) and context.cost_basis is not None:
        return Reference.COST_BASIS, context.cost_basis
    return Reference.WEEK_START, condition.week_start_price


def cell_of(held: Position, r: float, bounds: tuple[float, ...]) -> Cell:
    """Return the cell of the table that r falls into."""
    if held is Position.CASH:
        return Cell(W.W_IDL, -inf, inf)
    return put_cell(r, bounds) if held is Position.SHORT_PUT else stock_cell(r, bounds)


def put_cell(r: float, bounds: tuple[float, ...]) -> Cell:
    """Return the cell of a short put."""
    drawdown, limit, worthless = bounds
    if r >= worthless:
        return Cell(W.P_EW, worthless, inf)
    if r >= limit:
        return Cell(W.P_AWL, limit, worthless)
    if r >= drawdown:
        return Cell(W.P_RO, drawdown, limit)
    return Cell(W.P_DD, -inf, drawdown)


def stock_cell(r: float, bounds: tuple[float, ...]) -> Cell:
    """Return the cell of stock, with or without a covered call."""
    drawdown, recovery, roll, appreciation, strong = bounds
    if r >= strong:
        return Cell(W.C_WAP_PLUS, strong, inf)
    if r >= appreciation:
        return Cell(W.C_WAP, appreciation, strong)
    if r >= roll:
        return Cell(W.C_PNO, roll, appreciation)
    if r >= recovery:
        return Cell(W.C_RO, recovery, roll)
    if r >= drawdown:
        return Cell(W.C_REC, drawdown, recovery)
    return Cell(W.P_DD, -inf, drawdown)


def unchanged(r: float, cell: Cell, volatility: float, years: float) -> float:
    """Return the probability that a driftless lognormal price ends in the cell it is in.

    P(lower <= r_T < upper) = Phi((ln((1 + u/100)/(1 + r/100)) + s^2/2)/s) - Phi(the same with l), s = vol sqrt(years).
    Where s is 0 nothing moves any more.
    """
    s = volatility * sqrt(years)
    if s == 0.0:
        return 1.0

    def below(bound: float) -> float:
        if bound in (-inf, inf):
            return 0.0 if bound < 0.0 else 1.0
        return NormalDist().cdf((log((1.0 + bound / 100.0) / (1.0 + r / 100.0)) + s * s / 2.0) / s)

    return below(cell.upper) - below(cell.lower)


def risk_of(volatility: float, limit: float) -> RiskLevel:
    """Return the risk of a type that has none of its own."""
    return RiskLevel.MEDIUM if volatility > limit else RiskLevel.LOW
