"""What is proposed about each request: the action of its week, and the contracts that it needs, limits and prices known."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine_opt.batch.columns import UNKNOWN, Codes, Floats, at_row
from engine_opt.batch.plan import ACTIONS, TRADES, WHY_NOT, Limits, PlanColumns, Terms, limits_of, plan, week_actions
from engine_opt.batch.rows import Rows, at, numbers_of, run, spread, taken
from engine_opt.config import EngineConfig
from engine_opt.errors import InputError
from engine_opt.model import LARGEST_PRICE, LEAST_PRICE, Action, Position
from engine_opt.model.trade import LARGEST_QUANTITY
from engine_opt.protocol.planning import plan as plan_one

if TYPE_CHECKING:
    from engine_opt.batch.stages import Pass

_SELL_PUT, _ROLL, _WAIT, _PROTECT = (
    ACTIONS.index(each) for each in (Action.SELL_PUT, Action.ROLL_POSITION, Action.WAIT_SIGNAL, Action.ENTER_PROTECTIVE)
)
_PUT = tuple(Position).index(Position.SHORT_PUT)
_EPOCH = date(1970, 1, 1)
_NO_DAY = -(2**63)  # NaT, as a number
_TRADED = np.array([*TRADES.tolist(), *[False] * (UNKNOWN + 1 - len(TRADES))])


class Proposals(NamedTuple):
    """What the weeks ask for, a row per request; the fields of DecisionColumns."""

    wanted: Codes
    proposed: Codes
    quantity: NDArray[np.int64]
    delta: Floats
    strike: Floats
    expiration: NDArray[np.int64]
    max_risk: Floats
    why_not: Codes


def propose(every: Pass, config: EngineConfig) -> Proposals:
    """Return what each week asks for, and the contracts that it needs. Raises InputError where the scalar form does."""
    n, week = len(every.requests), every.week(config)
    table = np.full(UNKNOWN + 1, _WAIT, np.uint8)
    *actions, projected = week_actions(config.week).tolist()
    table[: len(actions)] = actions
    wanted = table[week.week_type]
    wanted[week.projected] = projected
    for gap in every.unanswered(config):
        wanted[gap] = UNKNOWN
    rows = run(np.flatnonzero(_TRADED[wanted]))
    found = _planned(every, config, wanted, rows)
    fits = found.quantity >= 1.0
    possible = (found.quantity <= LARGEST_QUANTITY) & (found.max_risk > 0.0)
    possible &= (found.strike >= LEAST_PRICE) & (found.strike <= LARGEST_PRICE)
    every.refuse(config, rows, fits & ~possible)
    proposed = np.where(wanted == _PROTECT, np.uint8(_PROTECT), np.uint8(UNKNOWN))
    proposed[rows] = np.where(fits, wanted[rows], np.uint8(UNKNOWN))
    wanted[rows] = np.where(fits, wanted[rows], np.uint8(_WAIT))
    columns: dict[str, Any] = {}
    for name, column, fill in (
        ("quantity", found.quantity.astype(np.int64), 0),
        ("delta", found.delta, np.nan),
        ("strike", found.strike, np.nan),
        ("expiration", found.expiration, _NO_DAY),
        ("max_risk", found.max_risk, np.nan),
    ):
        column[~fits] = fill
        columns[name] = spread(column, rows, n, fill)
    return Proposals(wanted, proposed, why_not=spread(found.why_not, rows, n, UNKNOWN), **columns)


def _planned(every: Pass, config: EngineConfig, wanted: Codes, rows: Rows) -> PlanColumns:
    """Return the plans of the weeks that ask for a trade."""
    seen, requests, adjustment = every.seen(config), every.requests, every.adjustment(config)
    action = wanted[rows]
    puts = (action == _SELL_PUT) | ((action == _ROLL) & (taken(requests.position, rows) == _PUT))
    terms = Terms(
        action,
        puts,
        every.today[rows],
        seen.close[rows],
        seen.volatility[rows],
        adjustment.readings.atr[rows, 0],
        adjustment.position_size[rows],
        adjustment.delta[rows],
        adjustment.days_to_expiration[rows],
        adjustment.stop_loss[rows],
        taken(requests.portfolio_value, rows),
        taken(requests.shares_held, rows),
    )
    still = ~(terms.atr > 0.0)
    if still.any():
        row = int(numbers_of(rows, len(requests))[int(np.argmax(still))])
        raise InputError(
            f"atr[{row}]", 0.0, "the prices never moved: what a contract risks cannot be counted in ranges"
        )
    limits = limits_of(requests, every.accounts, rows, seen.vix[rows], config.rules, every.symbols)
    found = plan(terms, limits, config.plan)
    numbers = numbers_of(rows, len(requests))
    for index in found.close_calls.tolist():
        _call(every, found, limits, config, index, int(numbers[index]))
    return found


def _call(every: Pass, found: PlanColumns, limits: Limits, config: EngineConfig, index: int, row: int) -> None:
    """Replace one plan by the scalar form's, from the very numbers that the streams have."""
    stock, own = every.place(row)
    adjustment = every.adjustment(config).row(row)
    atr = (stock.exact_atr(own, config.atr), *adjustment.reading.atr[1:])
    today = _EPOCH + timedelta(int(every.today[row]))
    with at_row(row):
        answer = plan_one(
            every.week(config).row(row, stock.symbol),
            adjustment._replace(reading=adjustment.reading._replace(atr=atr)),
            every.market(config, stock)
            .metrics.row(int(stock.requests.bar[own]))
            ._replace(volatility_20=stock.exact_volatility(own, config.market)),
            today,
            float(at(every.requests.portfolio_value, row)),
            int(at(every.requests.shares_held, row)),
            limits.row(index),
            config.plan,
        )
    found.why_not[index] = UNKNOWN if answer.why_not is None else WHY_NOT.index(answer.why_not)
    found.quantity[index] = answer.quantity or 0
    if answer.expiration is not None:
        found.delta[index], found.strike[index] = answer.delta, answer.strike
        found.expiration[index], found.max_risk[index] = (answer.expiration - _EPOCH).days, answer.max_risk
