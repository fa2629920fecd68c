"""What the trading rules say of many decisions at once: `TradingProtocolRulesEngine.validate` over columns.

Each rule gives a column of outcomes; limits are looked up by account, and rules that do not apply to an action are not
worked out for it. What was measured, margins and reasons are in the scalar reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine_opt.batch.columns import UNKNOWN, Codes, Flags, Floats
from engine_opt.model import (
    AccountType,
    Action,
    MarketConditionKind,
    RuleOutcome,
    RulePriority,
    Verdict,
    WeekColour,
    WeekType,
)
from engine_opt.protocol.rule_checks import CALL_WEEKS, EITHER, PUT_WEEKS
from engine_opt.protocol.rules_config import RULES, AccountLimits, RulesConfig

OUTCOMES, VERDICTS = tuple(RuleOutcome), tuple(Verdict)
_PASS, _WARN, _FAIL, _SKIP, _ERROR = (
    np.uint8(OUTCOMES.index(each))
    for each in (RuleOutcome.PASS, RuleOutcome.WARN, RuleOutcome.FAIL, RuleOutcome.SKIP, RuleOutcome.ERROR)
)
_APPROVED, _WARNED, _REJECTED = (
    np.uint8(VERDICTS.index(each)) for each in (Verdict.APPROVED, Verdict.WARNING, Verdict.REJECTED)
)
_ACTIONS, _ACCOUNTS, _CONDITIONS = tuple(Action), tuple(AccountType), tuple(MarketConditionKind)
_PUT, _CALL, _NEITHER = range(3)


def _option_by_week() -> NDArray[np.uint8]:
    table = np.full(UNKNOWN + 1, _NEITHER, np.uint8)
    for code, week in enumerate(WeekType):
        table[code] = _PUT if week in PUT_WEEKS else _CALL if week in CALL_WEEKS else _NEITHER
    return table


_OPTION_OF_WEEK = _option_by_week()


class Trades(NamedTuple):
    """What is judged, a row per decision: the fields of TradeDecision and TradeContext.

    `action` is a column; anything else may be a single value, without a dimension, for all rows. `account` is a code of
    AccountType, counted on for each further symbol. A number that is not known is NaN, a member that is not known
    UNKNOWN. `days` is from today to the expiration, `weekday` is today's, counted from Monday = 0. Nothing is validated
    here: the values must be those that the scalar records take.
    """

    action: Codes
    account: Codes
    quantity: Floats
    delta: Floats
    strike: Floats
    days: Floats
    max_risk: Floats
    expected_return: Floats
    weekday: NDArray[np.int64]
    portfolio_value: Floats
    account_value: Floats
    portfolio_risk: Floats
    drawdown: Floats
    shares_held: Floats
    market_condition: Codes
    week_type: Codes
    week_colour: Codes
    vix: Floats
    vix_mean: Floats


@dataclass(frozen=True, slots=True, eq=False)
class RuleColumns:
    """What the rules say: `outcome` a row per decision and a column for each of `rules`, codes of RuleOutcome."""

    outcome: Codes
    verdict: Codes
    rules: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.verdict)


class _Terms(NamedTuple):
    """What a check is worked out from; `kind` says of each row whether it is a put or a call that is traded."""

    rule: str
    breach: np.uint8
    unknown: np.uint8
    limits: tuple[AccountLimits, ...]
    config: RulesConfig
    symbols: tuple[str, ...]
    trades: Trades

    def of_account(self, name: str) -> Any:
        """Return a limit of each row's account."""
        return np.array([getattr(each, name) for each in self.limits])[self.trades.account]

    def held(self, ok: Any, *needed: Any) -> Any:
        """Return PASS where `ok`, else the breach; what cannot be told where something that is needed is not known."""
        if ok.all():  # what is not known is never within a limit
            return _PASS
        outcome = np.where(ok, _PASS, self.breach)
        for column in needed:
            missing = np.isnan(column)
            if missing.any():
                outcome = np.where(missing, self.unknown, outcome)
        return outcome


def limits_by_account(config: RulesConfig, symbols: Sequence[str]) -> tuple[AccountLimits, ...]:
    """Return the limits of each account, for each symbol after one another."""
    return tuple(config.limits(account, symbol) for symbol in symbols for account in _ACCOUNTS)


def judge(trades: Trades, config: RulesConfig, symbols: tuple[str, ...]) -> RuleColumns:
    """Return the outcome of every built-in rule, and the verdict, for decisions about these symbols.

    Rules of the user's own judge records, not columns: `judge` leaves their outcomes at SKIP, and `with_own` puts them in.
    """
    names = config.names
    outcome = np.full((len(names), len(trades.action)), _SKIP, np.uint8)
    limits = limits_by_account(config, symbols)
    present = np.flatnonzero(np.bincount(trades.action, minlength=len(_ACTIONS))).tolist()
    of_action: dict[frozenset[Action], Flags] = {}  # several rules apply to the same actions
    for row, rule in zip(outcome, config.rules, strict=False):
        actions = RULES[rule].actions if config.by_action else frozenset(Action)
        if not any(_ACTIONS[each] in actions for each in present):
            continue
        breach = _WARN if rule in config.warn_only else _FAIL
        unknown = _SKIP if rule in config.optional else _ERROR
        found = _CHECKS[rule](_Terms(rule, breach, unknown, limits, config, symbols, trades))
        if all(_ACTIONS[each] in actions for each in present):
            row[:] = found
            continue
        if actions not in of_action:
            of_action[actions] = np.array([each in actions for each in _ACTIONS]).take(trades.action)
        np.putmask(row, of_action[actions], found)
    return RuleColumns(outcome.T, verdicts(outcome.T, config), names)


def verdicts(outcome: Codes, config: RulesConfig) -> Codes:
    """Return the verdict on each row of outcomes: the worst of what its rules say."""
    rejected = np.zeros(len(outcome), np.bool_)
    for column, rule in zip(outcome.T, config.names, strict=True):
        rejected |= blocking(column, rule, config)
    warned = ((outcome != _PASS) & (outcome != _SKIP)).any(axis=1)
    return np.where(rejected, _REJECTED, np.where(warned, _WARNED, _APPROVED))


def blocking(outcome: Codes, rule: str, config: RulesConfig) -> Flags:
    """Return which outcomes of a rule block the decision; UNKNOWN, where it was not asked, does not."""
    priority = config.priority(rule)
    blocks: Flags = outcome == _ERROR
    if priority is RulePriority.CRITICAL or (priority is RulePriority.HIGH and config.high_blocks):
        blocks |= outcome == _FAIL
    return blocks


def with_own(columns: RuleColumns, own: Codes, config: RulesConfig) -> RuleColumns:
    """Return the columns with what the user's own rules say, rows x those rules, and the verdicts that follow."""
    outcome = columns.outcome.copy()
    outcome[:, len(config.rules) :] = own
    return RuleColumns(outcome, verdicts(outcome, config), columns.rules)


def _delta_range(terms: _Terms) -> Any:
    delta = terms.trades.delta
    return terms.held((delta >= terms.of_account("delta_low")) & (delta <= terms.of_account("delta_high")), delta)


def _basis(terms: _Terms) -> Floats:
    by_account = terms.config.size_basis == "account"
    return terms.trades.account_value if by_account else terms.trades.portfolio_value


def _cash(terms: _Terms) -> tuple[Floats, Floats]:
    """Return the cash that puts have to be secured with, and how much of the account (or portfolio) may be."""
    trades, config = terms.trades, terms.config
    allowed = terms.of_account("size_share") * _basis(terms)
    if config.size_cap is not None:
        allowed = np.where(config.size_cap < allowed, config.size_cap, allowed)  # NaN stays
    return trades.quantity * config.multiplier * trades.strike, allowed


def _position_size(terms: _Terms) -> Any:
    size, allowed = _cash(terms)
    found = terms.held(size <= allowed, size, allowed)
    return _by_week(terms, found, _SKIP, _ERROR) if terms.config.by_action else found


def _covered(terms: _Terms) -> Any:
    needed, held = terms.trades.quantity * terms.config.multiplier, terms.trades.shares_held
    found = terms.held(needed <= held, needed, held)
    return _by_week(terms, _SKIP, found, _ERROR) if terms.config.by_action else found


def _by_week(terms: _Terms, put: Any, call: Any, neither: Any) -> Any:
    """Return what holds for a put, a call, or neither, where an action can be of both; else the own rule's answer."""
    trades = terms.trades
    either = _IS_EITHER[trades.action]
    usual = call if terms.rule == "covered" else put
    if not either.any():
        return usual
    option = _OPTION_OF_WEEK[trades.week_type]
    return np.where(either, np.where(option == _PUT, put, np.where(option == _CALL, call, neither)), usual)


_IS_EITHER = np.array([each in EITHER for each in _ACTIONS])


def _days_to_expiration(terms: _Terms) -> Any:
    days = terms.trades.days
    found = terms.held((days >= terms.of_account("days_low")) & (days <= terms.of_account("days_high")), days)
    warnings = [np.inf if each.days_warn is None else each.days_warn for each in terms.limits]
    lenient = days >= np.array(warnings)[terms.trades.account]
    return np.where(lenient & (found == terms.breach), _WARN, found) if lenient.any() else found


def _entry_weekday(terms: _Terms) -> Any:
    table = np.full((len(terms.limits), 7), _SKIP)
    for account, limits in enumerate(terms.limits):
        if limits.entry_weekdays is not None:
            table[account] = [_PASS if day in limits.entry_weekdays else terms.breach for day in range(7)]
    return table[terms.trades.account, terms.trades.weekday]


def _symbol(terms: _Terms) -> Any:
    symbols = [symbol for symbol in terms.symbols for _ in _ACCOUNTS]
    table = [
        _SKIP if each.symbols is None else _PASS if symbol in each.symbols else terms.breach
        for each, symbol in zip(terms.limits, symbols, strict=True)
    ]
    return np.array(table)[terms.trades.account]


def _market_condition(terms: _Terms) -> Any:
    allowed = terms.config.actions
    table = np.full((UNKNOWN + 1, len(_ACTIONS)), terms.unknown)
    for code, kind in enumerate(_CONDITIONS):
        table[code] = [_PASS if action in allowed[kind] else terms.breach for action in _ACTIONS]
    return table[terms.trades.market_condition, terms.trades.action]


def _trade_risk(terms: _Terms) -> Any:
    risk = terms.trades.max_risk
    return terms.held(risk <= terms.config.max_risk, risk)


def _portfolio_risk(terms: _Terms) -> Any:
    risk = terms.trades.portfolio_risk
    return terms.held(risk <= terms.config.max_portfolio_risk, risk)


def _drawdown(terms: _Terms) -> Any:
    drawdown = terms.trades.drawdown
    return terms.held(drawdown < terms.of_account("max_drawdown"), drawdown)  # at the limit nothing new is opened


def _week_colour(terms: _Terms) -> Any:
    """Return what delta, then size, make of it, by colour; nothing at all is needed where a colour asks for nothing."""
    colour = terms.trades.week_colour
    found: Any = terms.unknown
    for code, each in enumerate(WeekColour):
        of_it = colour == code
        if of_it.any():
            found = np.where(of_it, _coloured(terms, each), found)
    return found


def _coloured(terms: _Terms, colour: WeekColour) -> Any:
    limits, trades = terms.config.colours[colour], terms.trades
    if not limits.entries:
        return terms.breach
    if limits.delta_shift == 0.0 and limits.size == 1.0:
        return _PASS
    strict = terms._replace(unknown=_ERROR)
    size, allowed = _cash(terms)
    of_put = strict.held(size <= allowed * limits.size, size, allowed)
    needed, held = trades.quantity * terms.config.multiplier, trades.shares_held
    of_call = strict.held(needed <= held * limits.size, needed, held)
    option = np.where(_IS_EITHER[trades.action], _OPTION_OF_WEEK[trades.week_type], _OPTION_OF_ACTION[trades.action])
    found = np.where(option == _PUT, of_put, np.where(option == _CALL, of_call, _ERROR))
    found = np.where(trades.delta > terms.of_account("delta_high") + limits.delta_shift, terms.breach, found)
    return np.where(np.isnan(trades.delta), _ERROR, found)


_OPTION_OF_ACTION = np.array([_CALL if each is Action.SELL_CALL else _PUT for each in _ACTIONS], np.uint8)


def _vix(terms: _Terms) -> Any:
    vix, mean, quantity = terms.trades.vix, terms.trades.vix_mean, terms.trades.quantity
    if np.isnan(mean).all():
        return terms.unknown
    calm = vix / mean <= terms.config.vix_limit
    afraid = np.where(quantity <= terms.config.vix_quantity, _WARN, terms.breach)
    afraid = np.where(np.isnan(quantity), _ERROR, afraid)
    found = np.where(np.isnan(vix), _ERROR, np.where(calm, _PASS, afraid))
    return np.where(np.isnan(mean), terms.unknown, found)


def _weekly_return(terms: _Terms) -> Any:
    expected = terms.trades.expected_return
    return terms.held(expected >= terms.of_account("least_weekly_return"), expected)


_CHECKS: Mapping[str, Callable[[_Terms], Any]] = {
    "delta_range": _delta_range,
    "position_size": _position_size,
    "covered": _covered,
    "days_to_expiration": _days_to_expiration,
    "entry_weekday": _entry_weekday,
    "symbol": _symbol,
    "market_condition": _market_condition,
    "trade_risk": _trade_risk,
    "portfolio_risk": _portfolio_risk,
    "drawdown": _drawdown,
    "week_colour": _week_colour,
    "vix": _vix,
    "weekly_return": _weekly_return,
}
