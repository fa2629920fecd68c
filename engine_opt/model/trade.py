"""The words of the trading rules: what is to be done, what is known when it is decided, and what the rules say of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.model.account import AccountType
from engine_opt.model.market import MarketConditionKind
from engine_opt.model.prices import LARGEST_PRICE, LARGEST_VOLUME, LEAST_PRICE, check_symbol
from engine_opt.model.week import WeekType

LARGEST_QUANTITY = 10**9  # contracts: more than any exchange has, and no notional overflows a float
LARGEST_MONEY = 1e18  # account currency

# VIX was never below 8; what is below 1 is a fraction that was given for index points.
LEAST_VIX, LARGEST_VIX = 1.0, 1000.0

_SHARE = "a share: 0.05 means 5 %"
ACCOUNT_ROUNDING = 1e-9  # the accounts of a portfolio are added up in floats


class Action(StrEnum):
    """What a decision does."""

    SELL_PUT = "sell_put"
    SELL_CALL = "sell_call"
    ROLL_POSITION = "roll_position"
    CLOSE_POSITION = "close_position"
    ENTER_PROTECTIVE = "enter_protective"
    EXIT_PROTECTIVE = "exit_protective"
    ADJUST_DELTA = "adjust_delta"
    INCREASE_POSITION = "increase_position"
    DECREASE_POSITION = "decrease_position"
    HOLD_POSITION = "hold_position"
    REBALANCE_PORTFOLIO = "rebalance_portfolio"
    WAIT_SIGNAL = "wait_signal"


class WeekColour(StrEnum):
    """Colour of a week: green is standard, red and chop ask for less delta and less size."""

    GREEN = "green"
    RED = "red"
    CHOP = "chop"


class RulePriority(StrEnum):
    """How much a rule weighs; a breach of a critical one is never overridden."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class RuleOutcome(StrEnum):
    """What a rule says. SKIP: it does not apply, and is no pass. ERROR: it needs what is not known, and blocks."""

    PASS = "PASS"  # noqa: S105 - no password
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"
    ERROR = "ERROR"


class Verdict(StrEnum):
    """What the rules say of a decision."""

    APPROVED = "APPROVED"
    WARNING = "WARNING"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class TradeDecision:
    """What is to be done. None: not known, and the rules that need it answer ERROR.

    `quantity` is in contracts, `delta` in points (0-100, its size, whatever the option), `strike` in account currency,
    `max_risk` a share of the portfolio, `expected_return` percent points a week, `confidence` 0-1. Raises InputError
    for what is impossible; `expiration` is a date, and a datetime is refused, because cutting it would need a zone.
    """

    action: Action
    symbol: str
    account: AccountType
    quantity: int | None = None
    delta: float | None = None
    strike: float | None = None
    expiration: date | None = None
    max_risk: float | None = None
    expected_return: float | None = None
    confidence: float | None = None

    def __post_init__(self) -> None:
        delta, strike, risk, confidence = self.delta, self.strike, self.max_risk, self.confidence
        # A whole decision of floats, as the engine plans them, costs one chain of comparisons; NaN fails all of them.
        if (
            type(delta) is type(strike) is type(risk) is type(confidence) is type(self.expected_return) is float
            and 0.0 <= delta <= 100.0
            and LEAST_PRICE <= strike <= LARGEST_PRICE
            and 0.0 < risk <= 1.0
            and 0.0 <= confidence <= 1.0
            and -check.INF < self.expected_return < check.INF
            and type(self.quantity) is int
            and 1 <= self.quantity <= LARGEST_QUANTITY
            and type(self.expiration) is date
            and type(self.action) is Action
            and type(self.account) is AccountType
            and type(self.symbol) is str
            and self.symbol
        ):
            return
        self._check()

    def _check(self) -> None:
        """Turn numbers into floats and names into members, and say what is wrong."""
        if type(self.action) is not Action:
            check.store(self, "action", check.member(Action, "action", self.action))
        check_symbol(self.symbol)
        if type(self.account) is not AccountType:
            check.store(self, "account", check.member(AccountType, "account", self.account))
        delta, strike, risk, expected = self.delta, self.strike, self.max_risk, self.expected_return
        # A complete decision of good floats, as nearly every one is, costs one chain of comparisons; NaN fails each.
        if not (
            type(delta) is type(strike) is type(risk) is type(expected) is float
            and 0.0 <= delta <= 100.0
            and LEAST_PRICE <= strike <= LARGEST_PRICE
            and 0.0 < risk <= 1.0
            and -check.INF < expected < check.INF
        ):
            self._check_numbers()
        confidence = self.confidence
        if confidence is not None and not (type(confidence) is float and 0.0 <= confidence <= 1.0):
            check.store(self, "confidence", check.between("confidence", confidence, 0.0, 1.0, "a probability"))
        if self.quantity is not None:
            _whole("quantity", self.quantity, 1, LARGEST_QUANTITY, "contracts")
        if self.expiration is not None:
            _day("expiration", self.expiration)

    def _check_numbers(self) -> None:
        """Turn numbers into floats, and say what is wrong."""
        if self.delta is not None:
            check.store(self, "delta", check.between("delta", self.delta, 0.0, 100.0, "points"))
        if self.strike is not None:
            strike = check.between("strike", self.strike, LEAST_PRICE, LARGEST_PRICE, "account currency")
            check.store(self, "strike", strike)
        if self.max_risk is not None:
            risk = check.between("max_risk", check.positive("max_risk", self.max_risk), 0.0, 1.0, _SHARE)
            check.store(self, "max_risk", risk)
        if self.expected_return is not None:
            check.store(self, "expected_return", check.finite("expected_return", self.expected_return))


@dataclass(frozen=True, slots=True)
class TradeContext:
    """What is known when a decision is judged; None: not known.

    Money in account currency: `account_value` is that of the decision's account, `portfolio_value` that of all of them.
    `portfolio_risk` and `drawdown` are shares, of the portfolio and of the account's highest value. `week_type` tells
    whether it is a put or a call that is rolled, adjusted or increased. VIX and its mean are in index points.
    Raises InputError for what is impossible, an account worth more than its portfolio included.
    """

    today: date
    portfolio_value: float
    account_value: float | None = None
    portfolio_risk: float | None = None
    drawdown: float | None = None
    shares_held: int | None = None
    market_condition: MarketConditionKind | None = None
    week_type: WeekType | None = None
    week_colour: WeekColour | None = None
    vix: float | None = None
    vix_mean: float | None = None

    def __post_init__(self) -> None:
        account, portfolio, risk, drawdown = (
            self.account_value,
            self.portfolio_value,
            self.portfolio_risk,
            self.drawdown,
        )
        vix, mean = self.vix, self.vix_mean
        # What the engine knows of a book of floats costs one chain of comparisons; NaN fails all of them.
        if (
            type(account) is type(portfolio) is type(risk) is type(drawdown) is float
            and 0.0 < account <= portfolio <= LARGEST_MONEY
            and 0.0 <= risk <= 1.0
            and 0.0 <= drawdown <= 1.0
            and type(self.today) is date
            and type(self.shares_held) is int
            and 0 <= self.shares_held <= LARGEST_VOLUME
            and type(self.market_condition) is MarketConditionKind
            and type(self.week_type) is WeekType
            and (self.week_colour is None or type(self.week_colour) is WeekColour)
            and (vix is None or (type(vix) is float and LEAST_VIX <= vix <= LARGEST_VIX))
            and (mean is None or (type(mean) is float and LEAST_VIX <= mean <= LARGEST_VIX))
        ):
            return
        self._check()

    def _check(self) -> None:
        """Turn numbers into floats and names into members, and say what is wrong."""
        _day("today", self.today)
        portfolio, account, risk, drawdown = (
            self.portfolio_value,
            self.account_value,
            self.portfolio_risk,
            self.drawdown,
        )
        if not (
            type(portfolio) is type(account) is type(risk) is type(drawdown) is float
            and 0.0 < account <= portfolio <= LARGEST_MONEY
            and 0.0 <= risk <= 1.0
            and 0.0 <= drawdown <= 1.0
        ):
            self._check_numbers()
        if self.shares_held is not None:
            _whole("shares_held", self.shares_held, 0, int(LARGEST_VOLUME), "shares")
        vix, mean = self.vix, self.vix_mean
        if vix is not None and not (type(vix) is float and LEAST_VIX <= vix <= LARGEST_VIX):
            check.store(self, "vix", check.between("vix", vix, LEAST_VIX, LARGEST_VIX, "index points"))
        if mean is not None and not (type(mean) is float and LEAST_VIX <= mean <= LARGEST_VIX):
            check.store(self, "vix_mean", check.between("vix_mean", mean, LEAST_VIX, LARGEST_VIX, "index points"))
        self._check_words()

    def _check_numbers(self) -> None:
        """Turn numbers into floats, and say what is wrong."""
        portfolio = _money("portfolio_value", self.portfolio_value)
        check.store(self, "portfolio_value", portfolio)
        if self.account_value is not None:
            account = _money("account_value", self.account_value)
            if account > portfolio * (1.0 + ACCOUNT_ROUNDING):
                raise InputError("account_value", account, f"it is more than portfolio_value={portfolio!r}")
            check.store(self, "account_value", account)
        if self.portfolio_risk is not None:
            check.store(self, "portfolio_risk", check.between("portfolio_risk", self.portfolio_risk, 0.0, 1.0, _SHARE))
        if self.drawdown is not None:
            check.store(self, "drawdown", check.between("drawdown", self.drawdown, 0.0, 1.0, _SHARE))

    def _check_words(self) -> None:
        """Turn the names of enum members into members."""
        condition, kind, colour = self.market_condition, self.week_type, self.week_colour
        if condition is not None and type(condition) is not MarketConditionKind:
            known = check.member(MarketConditionKind, "market_condition", condition)
            check.store(self, "market_condition", known)
        if kind is not None and type(kind) is not WeekType:
            check.store(self, "week_type", check.member(WeekType, "week_type", kind))
        if colour is not None and type(colour) is not WeekColour:
            check.store(self, "week_colour", check.member(WeekColour, "week_colour", colour))


@dataclass(frozen=True, slots=True)
class Override:
    """A person takes the responsibility for a rule that blocks; recorded with the result."""

    rule: str
    person: str
    reason: str

    def __post_init__(self) -> None:
        for field, value in (("rule", self.rule), ("person", self.person), ("reason", self.reason)):
            if not isinstance(value, str) or not value.strip():
                raise InputError(field, value, "an override names the rule, the person and the reason")


class RuleResult(NamedTuple):
    """What one rule says of a decision.

    `measured` was held against `low` and `high` (None: no limit on that side), which `source` sets; a limit belongs to
    the inside, but for the drawdown's, which is out. `margin` is the signed distance to the nearest limit in the unit
    of `measured`, negative outside. `reason` says what the numbers do not: why a rule was skipped, what is not known.
    """

    rule: str
    outcome: RuleOutcome
    priority: RulePriority
    measured: float | str | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    source: str = ""
    reason: str = ""
    override: Override | None = None

    @property
    def message(self) -> str:
        """The result in words, built when it is asked for."""
        return self.explain()

    def explain(self) -> str:
        """Say in one sentence what was measured, what it was held against and who answers for it."""
        parts = []
        if self.measured is not None:
            shown = self.measured if isinstance(self.measured, str) else f"{self.measured:.10g}"
            parts.append(f"{shown}{_limits(self.low, self.high)}")
        if self.reason:
            parts.append(self.reason)
        if self.margin is not None:
            parts.append(f"margin {self.margin:+.4g}")
        text = ", ".join(parts) or self.outcome.value
        if self.source:
            text += f" ({self.source})"
        if self.override is not None:
            text += f"; overridden by {self.override.person}: {self.override.reason}"
        return text


class RulesReport(NamedTuple):
    """What the rules say of a decision. `overrides` are those that were used, `rules` is the name of the rule set."""

    verdict: Verdict
    can_proceed: bool
    results: tuple[RuleResult, ...]
    overrides: tuple[Override, ...]
    blocking: tuple[RuleResult, ...]
    action: Action
    symbol: str
    account: AccountType
    quantity: int | None
    rules: str

    def explain(self) -> str:
        """Say a line for the verdict and a line for every rule, those that block marked."""
        size = "" if self.quantity is None else f" x {self.quantity}"
        head = (
            f"{self.verdict.value}: {self.account.value} {self.action.value} {self.symbol}{size}, rules {self.rules!r}"
        )
        lines = [head]
        for result in self.results:
            mark = "!" if result in self.blocking else " "
            lines.append(f"{mark} {result.outcome.value:5} {result.rule} ({result.priority.value}): {result.explain()}")
        return "\n".join(lines)


def _limits(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f" against at most {high:.10g}"
    return f" against at least {low:.10g}" if high is None else f" against {low:.10g} to {high:.10g}"


def _day(field: str, value: object) -> None:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise InputError(field, value, "it must be a datetime.date, without a time: days are counted in the exchange's")


def _whole(field: str, value: object, least: int, most: int, unit: str) -> None:
    if type(value) is not int:
        raise InputError(field, value, f"it must be a whole number of {unit}, an int")
    if not least <= value <= most:
        raise InputError(field, value, f"it must lie between {least} and {most} ({unit})")


def _money(field: str, value: object) -> float:
    return check.between(field, check.positive(field, value), 0.0, LARGEST_MONEY, "account currency")
