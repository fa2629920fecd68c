"""The trading rules, written plainly from the protocol's tables: every rule is an `if`, top to bottom."""

from __future__ import annotations

from collections.abc import Iterable

from engine_opt.errors import InputError
from engine_opt.model import (
    Override,
    RuleOutcome,
    RulePriority,
    RuleResult,
    RulesReport,
    TradeContext,
    TradeDecision,
    Verdict,
)
from engine_opt.protocol.rules_config import RulesConfig

PRIORITIES = {
    "delta_range": "critical",
    "position_size": "high",
    "covered": "critical",
    "days_to_expiration": "high",
    "entry_weekday": "medium",
    "symbol": "medium",
    "market_condition": "medium",
    "trade_risk": "critical",
    "portfolio_risk": "critical",
    "drawdown": "critical",
    "week_colour": "medium",
    "vix": "medium",
    "weekly_return": "low",
}
ENTRIES = ("sell_put", "sell_call", "increase_position")
TRADES = (*ENTRIES, "roll_position", "adjust_delta")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

PASS, SKIP, WARN = RuleOutcome.PASS, RuleOutcome.SKIP, RuleOutcome.WARN
FAIL, ERROR = RuleOutcome.FAIL, RuleOutcome.ERROR

_STANDARD = RulesConfig.standard()


class _Answer:
    """What a rule measured, and what came of it."""

    def __init__(self) -> None:
        self.outcome = PASS
        self.measured: float | str | None = None
        self.low: float | None = None
        self.high: float | None = None
        self.margin: float | None = None

    def held(self, measured: float, low: float | None, high: float | None) -> bool:
        """Note a measured value and its limits; return whether it is inside."""
        self.measured, self.low, self.high = measured, low, high
        distances = []
        if low is not None:
            distances.append(measured - low)
        if high is not None:
            distances.append(high - measured)
        self.margin = min(distances)
        return (low is None or low <= measured) and (high is None or measured <= high)


def validate(
    decision: TradeDecision,
    context: TradeContext,
    overrides: Iterable[Override] = (),
    config: RulesConfig = _STANDARD,
) -> RulesReport:
    """Return what every rule says of `decision`, and the verdict. Raises InputError as the engine does."""
    trades = decision.action.value in TRADES
    if trades and decision.expiration is not None and decision.expiration < context.today:
        raise InputError("expiration", decision.expiration, "the option has expired")
    asked: dict[str, Override] = {}
    names = [*config.rules, *(own.name for own in config.extra)]
    for override in overrides:
        if override.rule not in names or override.rule in asked:
            raise InputError("overrides", override.rule, "no such rule, or overridden twice")
        asked[override.rule] = override

    results, blocking, used = [], [], []
    verdict = Verdict.APPROVED
    for name in names:
        result = _result(name, decision, context, config)
        if result.outcome in (WARN, FAIL, ERROR):
            if verdict is Verdict.APPROVED:
                verdict = Verdict.WARNING
            if _blocks(result, config):
                override_ = asked.pop(name, None)
                if override_ is not None and result.priority is not RulePriority.CRITICAL:
                    used.append(override_)
                    result = result._replace(override=override_)
                else:
                    verdict = Verdict.REJECTED
                    blocking.append(result)
        results.append(result)
    if asked:
        raise InputError("overrides", list(asked), "the rule does not block")
    return RulesReport(
        verdict,
        verdict is not Verdict.REJECTED,
        tuple(results),
        tuple(used),
        tuple(blocking),
        decision.action,
        decision.symbol,
        decision.account,
        decision.quantity,
        config.name,
    )


def _blocks(result: RuleResult, config: RulesConfig) -> bool:
    """Return whether a decision cannot proceed, unless a person answers for it."""
    if result.outcome is ERROR:
        return True
    if result.outcome is FAIL and result.priority is RulePriority.CRITICAL:
        return True
    return result.outcome is FAIL and result.priority is RulePriority.HIGH and config.high_blocks


def _result(name: str, decision: TradeDecision, context: TradeContext, config: RulesConfig) -> RuleResult:
    """Return what one rule says."""
    for own in config.extra:
        if own.name == name:
            priority = config.priorities.get(name, own.priority)
            try:
                found = own.check(decision, context)
            except Exception as error:  # noqa: BLE001 - whatever it is, it blocks
                return RuleResult(name, ERROR, priority, reason=str(error))
            return found._replace(rule=name, priority=priority, override=None)
    priority = config.priorities.get(name, RulePriority(PRIORITIES[name]))
    answer = _built_in(name, decision, context, config)
    return RuleResult(
        name,
        answer.outcome,
        priority,
        answer.measured,
        answer.low,
        answer.high,
        answer.margin,
    )


def _built_in(  # noqa: C901, PLR0912, PLR0915 - one rule after the other, to be read beside the protocol's tables
    name: str, decision: TradeDecision, context: TradeContext, config: RulesConfig
) -> _Answer:
    answer = _Answer()
    limits = config.accounts[decision.account]
    special = config.symbols.get(decision.symbol)
    breach = WARN if name in config.warn_only else FAIL
    unknown = SKIP if name in config.optional else ERROR
    action = decision.action.value
    is_put, is_call = _side(action, context, everything=not config.by_action)
    everything = not config.by_action
    quantity, strike = decision.quantity, decision.strike

    # What a put or a call takes up, and what it may take up.
    value = context.account_value if config.size_basis == "account" else context.portfolio_value
    share = limits.size_share
    if special is not None and special.size_share is not None:
        share = special.size_share
    notional: float | None = None
    allowed: float | None = None
    if quantity is not None and strike is not None and value is not None:
        notional = quantity * config.multiplier * strike
        allowed = share * value if config.size_cap is None else min(share * value, config.size_cap)
    needed = None if quantity is None else quantity * config.multiplier

    if name == "delta_range":
        if action not in TRADES and not everything:
            answer.outcome = SKIP
        low, high = limits.delta_low, limits.delta_high
        if special is not None and special.delta_low is not None:
            low = special.delta_low
        if special is not None and special.delta_high is not None:
            high = special.delta_high
        if answer.outcome is not SKIP:
            if decision.delta is None:
                answer.outcome = unknown
            elif not answer.held(decision.delta, low, high):
                answer.outcome = breach

    elif name == "position_size":
        if not everything and (action not in TRADES or (is_call and not is_put)):
            answer.outcome = SKIP
        elif not everything and not is_put:
            answer.outcome = ERROR
        elif notional is None or allowed is None:
            answer.outcome = unknown
        elif not answer.held(notional, None, allowed):
            answer.outcome = breach

    elif name == "covered":
        if not everything and (action not in TRADES or (is_put and not is_call)):
            answer.outcome = SKIP
        elif not everything and not is_call:
            answer.outcome = ERROR
        elif needed is None or context.shares_held is None:
            answer.outcome = unknown
        elif not answer.held(context.shares_held, needed, None):
            answer.outcome = breach

    elif name == "days_to_expiration":
        least, most = limits.days_low, limits.days_high
        if special is not None and special.days_low is not None:
            least = special.days_low
        if special is not None and special.days_high is not None:
            most = special.days_high
        if action not in TRADES and not everything:
            answer.outcome = SKIP
        elif decision.expiration is None:
            answer.outcome = unknown
        else:
            days = decision.expiration.toordinal() - context.today.toordinal()
            if not answer.held(days, least, most):
                answer.outcome = breach
                if limits.days_warn is not None and days >= min(limits.days_warn, least):
                    answer.outcome = WARN

    elif name == "entry_weekday":
        if (action not in ENTRIES and not everything) or limits.entry_weekdays is None:
            answer.outcome = SKIP
        else:
            answer.measured = WEEKDAYS[context.today.weekday()]
            if context.today.weekday() not in limits.entry_weekdays:
                answer.outcome = breach

    elif name == "symbol":
        if (action not in ENTRIES and not everything) or limits.symbols is None:
            answer.outcome = SKIP
        else:
            answer.measured = decision.symbol
            if decision.symbol not in limits.symbols:
                answer.outcome = breach

    elif name == "market_condition":
        if action not in TRADES and not everything:
            answer.outcome = SKIP
        elif context.market_condition is None:
            answer.outcome = unknown
        else:
            answer.measured = context.market_condition.value
            if decision.action not in config.actions[context.market_condition]:
                answer.outcome = breach

    elif name == "trade_risk":
        if action not in TRADES and not everything:
            answer.outcome = SKIP
        elif decision.max_risk is None:
            answer.outcome = unknown
        elif not answer.held(decision.max_risk, None, config.max_risk):
            answer.outcome = breach

    elif name == "portfolio_risk":
        if action not in (*TRADES, "exit_protective", "rebalance_portfolio") and not everything:
            answer.outcome = SKIP
        elif context.portfolio_risk is None:
            answer.outcome = unknown
        elif not answer.held(context.portfolio_risk, None, config.max_portfolio_risk):
            answer.outcome = breach

    elif name == "drawdown":
        if action not in ENTRIES and not everything:
            answer.outcome = SKIP
        elif context.drawdown is None:
            answer.outcome = unknown
        elif not answer.held(context.drawdown, None, limits.max_drawdown) or context.drawdown == limits.max_drawdown:
            answer.outcome = breach

    elif name == "week_colour":
        if action not in ENTRIES and not everything:
            answer.outcome = SKIP
        elif context.week_colour is None:
            answer.outcome = unknown
        else:
            colour = config.colours[context.week_colour]
            delta_high = limits.delta_high
            if special is not None and special.delta_high is not None:
                delta_high = special.delta_high
            size, usual = notional, allowed
            if is_call and not is_put:
                size, usual = needed, context.shares_held
            if not colour.entries:
                answer.measured, answer.outcome = context.week_colour.value, breach
            elif colour.delta_shift == 0 and colour.size == 1:
                answer.measured = context.week_colour.value
            elif decision.delta is None:
                answer.outcome = ERROR
            elif not answer.held(decision.delta, None, delta_high + colour.delta_shift):
                answer.outcome = breach
            elif not (is_put or is_call) or size is None or usual is None:
                answer.measured = answer.low = answer.high = answer.margin = None
                answer.outcome = ERROR
            elif not answer.held(size, None, usual * colour.size):
                answer.outcome = breach

    elif name == "vix":
        if action not in ENTRIES and not everything:
            answer.outcome = SKIP
        elif context.vix_mean is None:
            answer.outcome = unknown
        elif context.vix is None:
            answer.outcome = ERROR
        elif not answer.held(context.vix / context.vix_mean, None, config.vix_limit):
            answer.outcome = breach
            if quantity is None:
                answer.measured = answer.low = answer.high = answer.margin = None
                answer.outcome = ERROR
            elif quantity <= config.vix_quantity:
                answer.outcome = WARN

    elif name == "weekly_return":
        if action not in ENTRIES and not everything:
            answer.outcome = SKIP
        elif decision.expected_return is None:
            answer.outcome = unknown
        elif not answer.held(decision.expected_return, limits.least_weekly_return, None):
            answer.outcome = breach

    return answer


def _side(action: str, context: TradeContext, *, everything: bool) -> tuple[bool, bool]:
    """Return whether the decision is of a put, and whether it is of a call; neither where it cannot be told."""
    if action == "sell_put":
        return True, False
    if action == "sell_call":
        return False, True
    if action in TRADES:
        week = "" if context.week_type is None else context.week_type.value
        return week.startswith("P-"), week.startswith("C-")
    return everything, False  # not a trade; a rule set that asks every rule of it counts it as a put
