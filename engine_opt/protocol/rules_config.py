"""What the trading rules go by: which rules there are, what each account, symbol and colour of a week allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from engine_opt import _validate as check
from engine_opt._table import Table
from engine_opt.errors import ConfigError, InputError
from engine_opt.model import (
    AccountType,
    Action,
    MarketConditionKind,
    RulePriority,
    RuleResult,
    TradeContext,
    TradeDecision,
    WeekColour,
    check_symbol,
)

_A, _P = Action, RulePriority
OPENING = frozenset({_A.SELL_PUT, _A.SELL_CALL, _A.INCREASE_POSITION})
REPLACING = frozenset({_A.ROLL_POSITION, _A.ADJUST_DELTA})  # buy an option back and sell another
TRADES = OPENING | REPLACING
# Taking protection off, or moving money between positions, may raise the risk of the portfolio, and nothing else.
_RISKING = TRADES | {_A.EXIT_PROTECTIVE, _A.REBALANCE_PORTFOLIO}


class Kind(NamedTuple):
    """A built-in rule: its usual priority, the actions it applies to, whether its limits are the account's."""

    priority: RulePriority
    actions: frozenset[Action]
    by_account: bool


RULES: Mapping[str, Kind] = Table(
    {
        "delta_range": Kind(_P.CRITICAL, TRADES, True),
        "position_size": Kind(_P.HIGH, TRADES - {_A.SELL_CALL}, True),
        "covered": Kind(_P.CRITICAL, TRADES - {_A.SELL_PUT}, False),
        # A failed high rule blocks: the original let an option of one day, or of a year, pass with a warning.
        "days_to_expiration": Kind(_P.HIGH, TRADES, True),
        "entry_weekday": Kind(_P.MEDIUM, OPENING, True),
        "symbol": Kind(_P.MEDIUM, OPENING, True),
        "market_condition": Kind(_P.MEDIUM, TRADES, False),
        "trade_risk": Kind(_P.CRITICAL, TRADES, False),
        "portfolio_risk": Kind(_P.CRITICAL, _RISKING, False),
        "drawdown": Kind(_P.CRITICAL, OPENING, True),
        "week_colour": Kind(_P.MEDIUM, OPENING, False),
        "vix": Kind(_P.MEDIUM, OPENING, False),
        "weekly_return": Kind(_P.LOW, OPENING, True),
    }
)
"""The built-in rules by name."""

WEEKLY = (1, 10)  # calendar days to expiration, both ends inclusive
MONTHLY = (20, 60)
LONGEST = 3660

STANDARD_RULES = tuple(name for name in RULES if name != "weekly_return")  # whose limits are targets, not evidence
_ORIGINAL_RULES = (
    "delta_range",
    "position_size",
    "days_to_expiration",
    "market_condition",
    "trade_risk",
    "portfolio_risk",
)


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """What an account allows.

    Delta in points, days to expiration in calendar days, `size_share` and `max_drawdown` as shares, weekdays counted
    from Monday = 0, `least_weekly_return` in percent points; bands are inclusive, None allows any. From `days_warn`
    days on, an expiry outside of the band only warns.
    """

    delta_low: float
    delta_high: float
    max_drawdown: float
    least_weekly_return: float
    entry_weekdays: tuple[int, ...] | None = None
    symbols: tuple[str, ...] | None = None
    days_low: int = WEEKLY[0]
    days_high: int = WEEKLY[1]
    days_warn: int | None = None
    size_share: float = 0.95

    def __post_init__(self) -> None:
        for name in ("delta_low", "delta_high"):
            check.store(self, name, check.between(name, getattr(self, name), 0.0, 100.0, "points"))
        for name in ("days_low", "days_high", "days_warn"):
            if (days := getattr(self, name)) is not None:
                _whole(name, days, 0, LONGEST)
        for name in ("size_share", "max_drawdown"):
            check.store(self, name, _share(name, getattr(self, name)))
        check.finite("least_weekly_return", self.least_weekly_return)
        self._check_bands()
        self._check_lists()

    def _check_bands(self) -> None:
        if self.delta_low > self.delta_high:
            raise ConfigError(f"the delta band {self.delta_low:g} to {self.delta_high:g} is upside down")
        if self.days_low > self.days_high:
            raise ConfigError(f"the band of days to expiration {self.days_low} to {self.days_high} is upside down")
        if self.days_warn is not None and self.days_warn > self.days_low:
            raise ConfigError(
                f"days_warn={self.days_warn} is above days_low={self.days_low}: nothing could fail between"
            )

    def _check_lists(self) -> None:
        for name in ("entry_weekdays", "symbols"):
            if (allowed := getattr(self, name)) is None:
                continue
            if not isinstance(allowed, tuple) or not allowed:
                raise ConfigError(f"{name}={allowed!r} must be a tuple and not an empty one; None allows any")
        for day in self.entry_weekdays or ():
            _whole("entry_weekdays", day, 0, 6)
        for symbol in self.symbols or ():
            check_symbol(symbol)


@dataclass(frozen=True, slots=True)
class SymbolLimits:
    """What a symbol has of its own, in every account; None leaves the account's limit."""

    delta_low: float | None = None
    delta_high: float | None = None
    days_low: int | None = None
    days_high: int | None = None
    size_share: float | None = None

    def within(self, limits: AccountLimits) -> AccountLimits:
        """Return the account's limits with the symbol's own in their place."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name) is not None}
        warn = limits.days_warn
        if warn is not None and self.days_low is not None:
            own["days_warn"] = min(warn, self.days_low)
        return replace(limits, **own)


@dataclass(frozen=True, slots=True)
class ColourLimits:
    """What a week of a colour asks for: points added to the delta band's upper end, and the usual size times this."""

    delta_shift: float = 0.0
    size: float = 1.0
    entries: bool = True

    def __post_init__(self) -> None:
        check.store(self, "delta_shift", check.between("delta_shift", self.delta_shift, -100.0, 0.0, "points"))
        check.store(self, "size", _share("size", self.size))
        check.flag("entries", self.entries)


@runtime_checkable
class Rule(Protocol):
    """A rule of the user's own; it is asked about every action. An exception inside of it is an ERROR, and blocks."""

    @property
    def name(self) -> str:
        """Name of the rule, unlike any other's."""
        ...

    @property
    def priority(self) -> RulePriority:
        """How much it weighs, unless the configuration says otherwise."""
        ...

    def check(self, decision: TradeDecision, context: TradeContext) -> RuleResult:
        """Return what it says; the engine puts its name and priority in."""
        ...


def _accounts(days: tuple[int, int] = WEEKLY) -> Mapping[AccountType, AccountLimits]:
    monday_to_wednesday, thursday = (0, 1, 2), (3,)
    growth, steady = ("TSLA", "NVDA"), ("AAPL", "AMZN", "MSFT")
    return Table(
        {
            AccountType.GEN: AccountLimits(40.0, 50.0, 0.15, 1.5, thursday, growth, *days),
            AccountType.REV: AccountLimits(30.0, 40.0, 0.10, 1.0, monday_to_wednesday, steady, *days),
            AccountType.COM: AccountLimits(20.0, 30.0, 0.07, 0.5, None, steady, *days),
        }
    )


def _original_actions() -> Mapping[MarketConditionKind, tuple[Action, ...]]:
    k, a = MarketConditionKind, Action
    named = {
        k.NEUTRAL_BEARISH: (a.SELL_PUT, a.ROLL_POSITION),
        k.BEARISH: (a.ROLL_POSITION, a.CLOSE_POSITION),
        k.EXTREMELY_BEARISH: (a.CLOSE_POSITION, a.ENTER_PROTECTIVE),
    }
    return Table({kind: named.get(kind, (a.SELL_PUT, a.SELL_CALL)) for kind in k})


def _actions() -> Mapping[MarketConditionKind, tuple[Action, ...]]:
    """Return the original's table, with the two actions it forgot: an increase sells, another delta is another roll."""
    table = {}
    for kind, actions in _original_actions().items():
        more: tuple[Action, ...] = ()
        if Action.SELL_CALL in actions:
            more += (Action.INCREASE_POSITION,)
        if Action.ROLL_POSITION in actions:
            more += (Action.ADJUST_DELTA,)
        table[kind] = actions + more
    return Table(table)


def _colours() -> Mapping[WeekColour, ColourLimits]:
    return Table(
        {
            WeekColour.GREEN: ColourLimits(),
            WeekColour.RED: ColourLimits(-5.0, 0.80),  # 70-80 % of the usual size: the upper end is the limit
            WeekColour.CHOP: ColourLimits(-10.0, 0.60),  # 50-60 %, or no entry
        }
    )


@dataclass(frozen=True, slots=True)
class RulesConfig:
    """A named, immutable set of rules and their limits. Raises ConfigError where it contradicts itself.

    `rules` are the built-in ones in use, `extra` the user's own; `priorities` change what they weigh. A breach of a
    rule in `warn_only` is a warning, never a failure. A rule in `optional` is skipped where what it goes by was not
    given: week colour and VIX's mean are the caller's to declare. `max_risk` and `max_portfolio_risk` are shares.
    Cash-secured puts may take `size_share` of the value of the account or of the portfolio, as `size_basis` says, and
    never more than `size_cap` in account currency. `actions` are those that a market condition speaks for.
    Above `vix_limit` times its mean, VIX allows `vix_quantity` contracts and warns even of those.
    `by_action` False holds every action to every rule, and `high_blocks` False lets a failed high rule only warn, both
    as the original did.
    """

    name: str = "standard"
    accounts: Mapping[AccountType, AccountLimits] = field(default_factory=_accounts)
    symbols: Mapping[str, SymbolLimits] = field(default_factory=Table)
    rules: tuple[str, ...] = STANDARD_RULES
    extra: tuple[Rule, ...] = ()
    priorities: Mapping[str, RulePriority] = field(default_factory=Table)
    warn_only: tuple[str, ...] = ("symbol",)
    optional: tuple[str, ...] = ("week_colour", "vix")
    multiplier: int = 100
    size_basis: Literal["account", "portfolio"] = "account"
    size_cap: float | None = None
    max_risk: float = 0.05
    max_portfolio_risk: float = 0.15
    actions: Mapping[MarketConditionKind, tuple[Action, ...]] = field(default_factory=_actions)
    colours: Mapping[WeekColour, ColourLimits] = field(default_factory=_colours)
    vix_limit: float = 1.5
    vix_quantity: int = 1
    by_action: bool = True
    high_blocks: bool = True
    merged: Mapping[tuple[AccountType, str], AccountLimits] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("accounts", "symbols", "priorities", "actions", "colours"):
            check.store(self, name, Table(getattr(self, name)))
        for name in ("rules", "extra", "warn_only", "optional"):
            check.store(self, name, tuple(getattr(self, name)))
        self._check_rules()
        self._check_tables()
        _whole("multiplier", self.multiplier, 1, 10**6)
        _whole("vix_quantity", self.vix_quantity, 0, 10**9)
        if self.size_basis not in ("account", "portfolio"):
            raise ConfigError(f"size_basis={self.size_basis!r} is not known: choose 'account' or 'portfolio'")
        if self.size_cap is not None:
            check.store(self, "size_cap", check.positive("size_cap", self.size_cap))
        for name in ("max_risk", "max_portfolio_risk"):
            check.store(self, name, _share(name, getattr(self, name)))
        check.store(self, "vix_limit", check.positive("vix_limit", self.vix_limit))
        check.flag("by_action", self.by_action)
        check.flag("high_blocks", self.high_blocks)
        merged = {
            (account, symbol): _merge(account, limits, symbol, own)
            for account, limits in self.accounts.items()
            for symbol, own in self.symbols.items()
        }
        check.store(self, "merged", Table(merged))

    def _check_rules(self) -> None:
        """Check the names of rules wherever they stand, and that what they are told to be does not contradict."""
        for own in self.extra:
            _own_rule(own)
            check.member(RulePriority, f"priority of rule {own.name!r}", own.priority)
        if unknown := [rule for rule in self.rules if rule not in RULES]:
            raise ConfigError(f"rules {unknown} are not known: choose from {', '.join(RULES)}")
        names = self.names
        if not names:
            raise ConfigError("without any rule everything would be approved: keep at least one")
        if len(set(names)) < len(names) or not all(names):
            raise ConfigError(f"each of the rules {', '.join(names)} needs a name of its own")
        for where in ("priorities", "warn_only", "optional"):
            if unknown := [rule for rule in getattr(self, where) if rule not in (*RULES, *names)]:
                raise ConfigError(f"{where} speaks of rules that are not known: {', '.join(unknown)}")
        priorities = {rule: check.member(RulePriority, "priorities", each) for rule, each in self.priorities.items()}
        check.store(self, "priorities", Table(priorities))
        for rule in (*self.warn_only, *self.optional):
            weight = self.priority(rule)
            if rule not in RULES or weight in (RulePriority.CRITICAL, RulePriority.HIGH):
                raise ConfigError(
                    f"rule {rule!r} ({weight.value}) cannot be in warn_only or optional: built-in, medium or low"
                )

    def _check_tables(self) -> None:
        """Check that nothing is missing, and that names of members became members."""
        for name, kind in (("accounts", AccountType), ("actions", MarketConditionKind), ("colours", WeekColour)):
            table = getattr(self, name)
            if missing := [each.value for each in kind if each not in table]:
                raise ConfigError(f"{name} has no entry for {', '.join(missing)}")
            if unknown := [key for key in table if key not in set(kind)]:
                raise ConfigError(f"{name} has entries for {unknown}, which are not known")
        for name, record in (("accounts", AccountLimits), ("symbols", SymbolLimits), ("colours", ColourLimits)):
            if wrong := [key for key, each in getattr(self, name).items() if type(each) is not record]:
                raise ConfigError(f"{name} needs a {record.__name__} for each of {wrong}")
        actions = {
            MarketConditionKind(kind): tuple(check.member(Action, "actions", each) for each in allowed)
            for kind, allowed in self.actions.items()
        }
        check.store(self, "actions", Table(actions))

    @classmethod
    def standard(cls, days: tuple[int, int] = WEEKLY) -> RulesConfig:
        """Return the protocol's rules; `days` is the band of days to expiration, WEEKLY or MONTHLY."""
        return cls(accounts=_accounts(days))

    @classmethod
    def original(cls) -> RulesConfig:
        """Return the rules of the engine that this one replaces: for complete decisions its verdicts are the same.

        At most 10 % of the portfolio and 50,000, without the contract's multiplier; 20-60 days, a warning from 10 on;
        every action is held to every rule, and a failed high rule only warns.
        Not reproduced: a missing delta, strike or expiry was approved there, an unknown market counted as neutral, a
        rule that raised was no violation. Here each of them blocks, and an expired option is refused.
        """
        accounts = {
            account: replace(limits, days_warn=10, size_share=0.10, entry_weekdays=None, symbols=None)
            for account, limits in _accounts(MONTHLY).items()
        }
        return cls(
            name="original",
            accounts=accounts,
            rules=_ORIGINAL_RULES,
            priorities={"days_to_expiration": RulePriority.MEDIUM},
            warn_only=("market_condition",),
            optional=(),
            multiplier=1,
            size_basis="portfolio",
            size_cap=50_000.0,
            actions=_original_actions(),
            by_action=False,
            high_blocks=False,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The rules in the order they are asked: the built-in ones, then the user's own."""
        return self.rules + tuple(rule.name for rule in self.extra)

    def priority(self, rule: str) -> RulePriority:
        """Return what a rule weighs. Raises InputError for a name that is not a rule's."""
        if rule in self.priorities:
            return self.priorities[rule]
        if rule in RULES:
            return RULES[rule].priority
        for own in self.extra:
            if own.name == rule:
                return RulePriority(own.priority)
        raise InputError("rule", rule, f"it is none of {', '.join(self.names)}")

    def limits(self, account: AccountType, symbol: str) -> AccountLimits:
        """Return the limits of an account for a symbol."""
        return self.merged.get((account, symbol)) or self.accounts[account]

    def with_rule(self, rule: Rule | str, priority: RulePriority | None = None) -> RulesConfig:
        """Return a configuration that also has `rule`: the user's own, or a built-in one by name."""
        name = rule if isinstance(rule, str) else _own_rule(rule).name
        priorities = dict(self.priorities) if priority is None else {**self.priorities, name: priority}
        if isinstance(rule, str):
            return replace(self, rules=(*self.rules, rule), priorities=priorities)
        return replace(self, extra=(*self.extra, rule), priorities=priorities)

    def without_rule(self, name: str) -> RulesConfig:
        """Return a configuration without the rule of that name. Raises ConfigError where there is none."""
        if name not in self.names:
            raise ConfigError(f"there is no rule {name!r} to remove: choose from {', '.join(self.names)}")
        return replace(
            self,
            rules=tuple(rule for rule in self.rules if rule != name),
            extra=tuple(rule for rule in self.extra if rule.name != name),
            priorities={rule: each for rule, each in self.priorities.items() if rule != name},
        )


def _merge(account: AccountType, limits: AccountLimits, symbol: str, own: SymbolLimits) -> AccountLimits:
    try:
        return own.within(limits)
    except InputError as error:
        raise InputError(f"symbols.{symbol}.{error.field}", error.value, error.why) from None
    except ConfigError as error:
        raise ConfigError(f"symbol {symbol} in account {account.value}: {error}; give both ends") from None


def _own_rule(rule: object) -> Rule:
    if not isinstance(rule, Rule):
        raise ConfigError(f"{rule!r} is not a rule: it needs a name, a priority and a check")
    return rule


def _share(name: str, value: object) -> float:
    return check.between(name, check.positive(name, value), 0.0, 1.0, "a share: 0.05 means 5 %")


def _whole(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise InputError(name, value, f"it must be a whole number between {least} and {most}")
