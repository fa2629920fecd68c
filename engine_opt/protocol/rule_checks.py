"""The checks of the trading rules, each compiled for an action, an account and a symbol.

Compiling looks up the limits, words the reasons and builds the results that never change, so that a decision costs
one pass of comparisons and no text at all. A limit belongs to the inside, and floats are compared as they are; only
the drawdown fails where it has come to its limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import NamedTuple

from engine_opt.model import (
    AccountType,
    Action,
    MarketConditionKind,
    RuleOutcome,
    RulePriority,
    RuleResult,
    TradeContext,
    TradeDecision,
    WeekColour,
    WeekType,
)
from engine_opt.protocol.rules_config import REPLACING, RULES, AccountLimits, RulesConfig

Check = Callable[[TradeDecision, TradeContext], RuleResult]
Use = Callable[[TradeDecision, TradeContext], "tuple[float, float, str] | None"]
"""What a decision takes up, what it may take up, and who says so; None where that is not known."""

EITHER = REPLACING | {Action.INCREASE_POSITION}  # of a put or a call: the week's type tells
PUT_WEEKS = frozenset({WeekType.P_EW, WeekType.P_AWL, WeekType.P_RO, WeekType.P_AOL, WeekType.P_DD})
CALL_WEEKS = frozenset({WeekType.C_WAP, WeekType.C_WAP_PLUS, WeekType.C_PNO, WeekType.C_RO, WeekType.C_REC})
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_PASS, _WARN, _FAIL = RuleOutcome.PASS, RuleOutcome.WARN, RuleOutcome.FAIL
_SKIP, _ERROR = RuleOutcome.SKIP, RuleOutcome.ERROR

_made = tuple.__new__  # of a RuleResult: its own constructor, which fills in defaults, takes twice as long
_INF = float("inf")


class Terms(NamedTuple):
    """What a check is compiled from; `breach` and `unknown` are the outcomes of a breach and of a missing input."""

    rule: str
    priority: RulePriority
    breach: RuleOutcome
    unknown: RuleOutcome
    source: str
    action: Action
    account: AccountType
    symbol: str
    limits: AccountLimits
    config: RulesConfig

    def result(self, outcome: RuleOutcome, reason: str = "", measured: float | str | None = None) -> RuleResult:
        """Return a result that does not depend on the numbers of a decision."""
        return RuleResult(self.rule, outcome, self.priority, measured, source=self.source, reason=reason)

    def not_known(self, *fields: str) -> RuleResult:
        """Return the result where one of `fields` is missing."""
        *before, last = fields
        return self.result(self.unknown, f"{', '.join(before)}{' or ' if before else ''}{last} is not known")

    def follows(self, *fields: str) -> str:
        """Return who sets limits that a symbol may have of its own: the symbol, if it does, else the account."""
        own = self.config.symbols.get(self.symbol)
        if own is not None and any(getattr(own, name) is not None for name in fields):
            return f"symbol {self.symbol}"
        return f"account {self.account.value}"


def compile_checks(config: RulesConfig, action: Action, account: AccountType, symbol: str) -> tuple[Check, ...]:
    """Return one check per built-in rule of `config`, in its order; those that do not apply answer SKIP."""
    limits = config.limits(account, symbol)
    checks = []
    for rule in config.rules:
        kind = RULES[rule]
        source = f"account {account.value}" if kind.by_account else f"rules {config.name!r}"
        breach = _WARN if rule in config.warn_only else _FAIL
        unknown = _SKIP if rule in config.optional else _ERROR
        priority = config.priorities.get(rule, kind.priority)
        terms = Terms(rule, priority, breach, unknown, source, action, account, symbol, limits, config)
        if config.by_action and action not in kind.actions:
            checks.append(_always(terms.result(_SKIP, f"it does not apply to {action.value}")))
        else:
            checks.append(_COMPILE[rule](terms))
    return tuple(checks)


def _always(result: RuleResult) -> Check:
    def check(_decision: TradeDecision, _context: TradeContext) -> RuleResult:
        return result

    return check


def _by_week(put: Check, call: Check, neither: Check) -> Check:
    """Return a check that asks the week's type what is held: a put, a call, or it cannot be told."""

    def check(decision: TradeDecision, context: TradeContext) -> RuleResult:
        week = context.week_type
        if week in PUT_WEEKS:
            return put(decision, context)
        return call(decision, context) if week in CALL_WEEKS else neither(decision, context)

    return check


def _cannot_tell(terms: Terms) -> RuleResult:
    return terms.result(_ERROR, f"week_type does not tell whether {terms.action.value} is of a put or a call")


def _within(terms: Terms, field: str, low: float | None, high: float | None, *, at_limit: RuleOutcome = _PASS) -> Check:
    """Return the check of one number of the decision, or of the context, against limits that never change."""
    rule, priority, breach, source = terms.rule, terms.priority, terms.breach, terms.source
    read, of_decision, unknown = attrgetter(field), hasattr(TradeDecision, field), terms.not_known(field)
    least, most = -_INF if low is None else low, _INF if high is None else high

    def check(decision: TradeDecision, context: TradeContext) -> RuleResult:
        value = read(decision if of_decision else context)
        if value is None:
            return unknown
        margin, above = value - least, most - value
        if above < margin:  # noqa: PLR1730 - calling min() costs more than comparing
            margin = above
        outcome = _PASS if margin > 0.0 else at_limit if margin == 0.0 else breach
        return _made(RuleResult, (rule, outcome, priority, value, low, high, margin, source, "", None))

    return check


def _delta_range(terms: Terms) -> Check:
    limits, source = terms.limits, terms.follows("delta_low", "delta_high")
    return _within(terms._replace(source=source), "delta", limits.delta_low, limits.delta_high)


def _trade_risk(terms: Terms) -> Check:
    return _within(terms, "max_risk", None, terms.config.max_risk)


def _portfolio_risk(terms: Terms) -> Check:
    return _within(terms, "portfolio_risk", None, terms.config.max_portfolio_risk)


def _drawdown(terms: Terms) -> Check:
    # At the limit nothing new is opened.
    return _within(terms, "drawdown", None, terms.limits.max_drawdown, at_limit=terms.breach)


def _weekly_return(terms: Terms) -> Check:
    return _within(terms, "expected_return", terms.limits.least_weekly_return, None)


def _cash(terms: Terms) -> Use:
    """Return the cash that puts have to be secured with, and how much of the account (or portfolio) may be."""
    config, share = terms.config, terms.limits.size_share
    by_account, cap, multiplier = config.size_basis == "account", config.size_cap, config.multiplier
    source, capped = terms.follows("size_share"), f"rules {config.name!r}"

    def use(decision: TradeDecision, context: TradeContext) -> tuple[float, float, str] | None:
        quantity, strike = decision.quantity, decision.strike
        value = context.account_value if by_account else context.portfolio_value
        if quantity is None or strike is None or value is None:
            return None
        allowed = share * value
        if cap is not None and cap < allowed:
            return quantity * multiplier * strike, cap, capped
        return quantity * multiplier * strike, allowed, source

    return use


def _shares(terms: Terms) -> Use:
    """Return the shares that calls have to be covered with, and how many are held."""
    multiplier, source = terms.config.multiplier, terms.source

    def use(decision: TradeDecision, context: TradeContext) -> tuple[float, float, str] | None:
        quantity, held = decision.quantity, context.shares_held
        if quantity is None or held is None:
            return None
        return quantity * multiplier, held, source

    return use


def _position_size(terms: Terms) -> Check:
    rule, priority, breach = terms.rule, terms.priority, terms.breach
    use, unknown = _cash(terms), terms.not_known("quantity", "strike", _basis(terms))

    def check(decision: TradeDecision, context: TradeContext) -> RuleResult:
        used = use(decision, context)
        if used is None:
            return unknown
        notional, allowed, source = used
        margin = allowed - notional
        outcome = _PASS if margin >= 0.0 else breach
        return _made(RuleResult, (rule, outcome, priority, notional, None, allowed, margin, source, "", None))

    if terms.config.by_action and terms.action in EITHER:
        skipped = terms.result(_SKIP, "it does not apply to calls: the shares held limit them")
        return _by_week(check, _always(skipped), _always(_cannot_tell(terms)))
    return check


def _basis(terms: Terms) -> str:
    return f"{terms.config.size_basis}_value"


def _covered(terms: Terms) -> Check:
    rule, priority, breach = terms.rule, terms.priority, terms.breach
    use, unknown = _shares(terms), terms.not_known("quantity", "shares_held")

    def check(decision: TradeDecision, context: TradeContext) -> RuleResult:
        used = use(decision, context)
        if used is None:
            return unknown
        needed, held, source = used
        margin = held - needed
        outcome = _PASS if margin >= 0 else breach
        return _made(RuleResult, (rule, outcome, priority, held, needed, None, margin, source, "", None))

    if terms.config.by_action and terms.action in EITHER:
        skipped = terms.result(_SKIP, "it does not apply to puts: they are secured with cash")
        return _by_week(_always(skipped), check, _always(_cannot_tell(terms)))
    return check


def _days_to_expiration(terms: Terms) -> Check:
    limits, source = terms.limits, terms.follows("days_low", "days_high")
    low, high, warn = limits.days_low, limits.days_high, limits.days_warn
    rule, priority, breach = terms.rule, terms.priority, terms.breach
    unknown = terms._replace(source=source).not_known("expiration")

    def check(decision: TradeDecision, context: TradeContext) -> RuleResult:
        expiration = decision.expiration
        if expiration is None:
            return unknown
        days = expiration.toordinal() - context.today.toordinal()
        margin = min(days - low, high - days)
        outcome = _PASS
        if margin < 0:
            outcome = breach if warn is None or days < warn else _WARN
        return _made(RuleResult, (rule, outcome, priority, days, low, high, margin, source, "", None))

    return check


def _entry_weekday(terms: Terms) -> Check:
    allowed = terms.limits.entry_weekdays
    if allowed is None:
        return _always(terms.result(_SKIP, "no weekday is prescribed"))
    reason = f"entries on {', '.join(_WEEKDAYS[day] for day in allowed)}"
    results = [
        terms.result(_PASS if day in allowed else terms.breach, reason, name) for day, name in enumerate(_WEEKDAYS)
    ]

    def check(_decision: TradeDecision, context: TradeContext) -> RuleResult:
        return results[context.today.weekday()]

    return check


def _symbol(terms: Terms) -> Check:
    allowed = terms.limits.symbols
    if allowed is None:
        return _always(terms.result(_SKIP, "any symbol is allowed"))
    outcome = _PASS if terms.symbol in allowed else terms.breach
    return _always(terms.result(outcome, f"symbols {', '.join(allowed)}", terms.symbol))


def _market_condition(terms: Terms) -> Check:
    table = terms.config.actions
    results: dict[MarketConditionKind | None, RuleResult] = {None: terms.not_known("market_condition")}
    for kind in MarketConditionKind:
        outcome = _PASS if terms.action in table[kind] else terms.breach
        results[kind] = terms.result(outcome, f"actions {', '.join(each.value for each in table[kind])}", kind.value)

    def check(_decision: TradeDecision, context: TradeContext) -> RuleResult:
        return results[context.market_condition]

    return check


def _week_colour(terms: Terms) -> Check:
    put, call = _coloured(terms, _cash(terms), _basis(terms)), _coloured(terms, _shares(terms), "shares_held")
    if terms.action in EITHER:
        return _by_week(put, call, _coloured(terms, None, ""))
    return call if terms.action is Action.SELL_CALL else put


def _coloured(terms: Terms, use: Use | None, basis: str) -> Check:
    """Return the check of delta, then of size; size is the cash or the shares in use, as share of what may be."""
    colours: dict[WeekColour | None, Check] = {None: _always(terms.not_known("week_colour"))}
    for colour in WeekColour:
        limits = terms.config.colours[colour]
        if not limits.entries:
            colours[colour] = _always(terms.result(terms.breach, "no entries in such a week", colour.value))
        elif limits.delta_shift == 0.0 and limits.size == 1.0:
            colours[colour] = _always(terms.result(_PASS, "delta and size as in any week", colour.value))
        else:
            colours[colour] = _tightened(terms, colour, use, basis)

    def check(decision: TradeDecision, context: TradeContext) -> RuleResult:
        return colours[context.week_colour](decision, context)

    return check


def _tightened(terms: Terms, colour: WeekColour, use: Use | None, basis: str) -> Check:
    limits = terms.config.colours[colour]
    rule, priority, breach, source = terms.rule, terms.priority, terms.breach, terms.source
    high, factor = terms.limits.delta_high + limits.delta_shift, limits.size
    about_delta, about_size = f"delta in a {colour.value} week", f"size in a {colour.value} week"
    fields = ("delta", "quantity", "strike", basis) if basis != "shares_held" else ("delta", "quantity", basis)
    unknown = _cannot_tell(terms) if use is None else terms._replace(unknown=_ERROR).not_known(*fields)

    def check(decision: TradeDecision, context: TradeContext) -> RuleResult:
        delta = decision.delta
        if delta is None:
            return unknown
        margin = high - delta
        if margin < 0.0:
            return _made(RuleResult, (rule, breach, priority, delta, None, high, margin, source, about_delta, None))
        used = None if use is None else use(decision, context)
        if used is None:
            return unknown
        size, allowed, _ = used
        allowed *= factor
        margin = allowed - size
        outcome = _PASS if margin >= 0.0 else breach
        return _made(RuleResult, (rule, outcome, priority, size, None, allowed, margin, source, about_size, None))

    return check


def _vix(terms: Terms) -> Check:
    rule, priority, breach, source = terms.rule, terms.priority, terms.breach, terms.source
    high, least = terms.config.vix_limit, terms.config.vix_quantity
    no_mean, no_vix = terms.not_known("vix_mean"), terms._replace(unknown=_ERROR).not_known("vix")
    no_quantity = terms._replace(unknown=_ERROR).not_known("quantity")
    reason = f"the smallest size, {least}, or none"

    def check(decision: TradeDecision, context: TradeContext) -> RuleResult:
        vix, mean = context.vix, context.vix_mean
        if mean is None:
            return no_mean
        if vix is None:  # who gives a mean wants VIX to be held against it
            return no_vix
        ratio = vix / mean
        margin = high - ratio
        if margin >= 0.0:
            return _made(RuleResult, (rule, _PASS, priority, ratio, None, high, margin, source, "", None))
        quantity = decision.quantity
        if quantity is None:
            return no_quantity
        outcome = _WARN if quantity <= least else breach
        return _made(RuleResult, (rule, outcome, priority, ratio, None, high, margin, source, reason, None))

    return check


_COMPILE: Mapping[str, Callable[[Terms], Check]] = {
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
