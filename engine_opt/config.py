"""The engine's configuration: one immutable record, read from TOML, with defaults for all that is not given.

    [week]                          boundaries, priors                     WeekRules
    [market]                        weights, cut points, windows           MarketConfig
    [atr]                           periods, regimes, factors              ATRConfig
    [accounts.GEN]                  delta band, days, size, symbols ...    both the adjustment and the rules keep to it
    [rules]  [rules.symbols.TSLA]   limits of all accounts, of one symbol  RulesConfig
    [trust]                         levels, time limits                    TrustConfig
    [plan]                          how proposals are made                 PlanConfig

`preset = "original"` in [week], [market], [atr], [rules] or [trust] starts from the engine that this one replaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from engine_opt._table import Table
from engine_opt.errors import ConfigError
from engine_opt.model import AccountType
from engine_opt.plain import Problem, dump, load
from engine_opt.protocol.atr_adjustment import Account, ATRConfig
from engine_opt.protocol.hitl_trust import TrustConfig
from engine_opt.protocol.market_scoring import MarketConfig
from engine_opt.protocol.planning import PlanConfig
from engine_opt.protocol.rules_config import RulesConfig
from engine_opt.protocol.week_classifier import WeekRules

if TYPE_CHECKING:
    from pathlib import Path

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything that a decision depends on besides its input.

    Raises ConfigError where the adjustment would propose deltas that the rules reject.
    """

    week: WeekRules = field(default_factory=WeekRules.standard)
    market: MarketConfig = field(default_factory=MarketConfig)
    atr: ATRConfig = field(default_factory=ATRConfig)
    rules: RulesConfig = field(default_factory=RulesConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)

    @classmethod
    def load(cls, path: str | Path, overrides: Mapping[str, str] | None = None) -> EngineConfig:
        """Read a TOML file; `overrides` are dotted names with TOML values, `{"market.temperature": "0.5"}`.

        Raises ConfigError that lists every mistake with the place where it stands.
        """
        from pathlib import Path

        try:
            text = Path(path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the configuration {path} cannot be read: {error}") from error
        return cls.parse(text, overrides, str(path))

    @classmethod
    def parse(
        cls, text: str = "", overrides: Mapping[str, str] | None = None, name: str = "the configuration"
    ) -> EngineConfig:
        """Read TOML text, as `load` does; `name` stands in the error."""
        tree = _toml(text, name)
        for dotted, value in (overrides or {}).items():
            _set(tree, dotted, value)
        return cls._from_sections(tree, name)

    @classmethod
    def from_plain(cls, plain: object, name: str = "the configuration") -> EngineConfig:
        """Read back what `plain` returned, whole. Raises ConfigError where it is not."""
        config, problems = load(cls, plain)
        if config is None:
            raise ConfigError(_report(name, problems))
        return config

    @classmethod
    def _from_sections(cls, tree: Mapping[str, Any], name: str) -> EngineConfig:
        """Build a configuration from what is given of it."""
        sections: dict[str, Any] = {}
        problems: list[Problem] = []
        known = [each.name for each in fields(cls)]
        rest = dict(tree)
        accounts = rest.pop("accounts", {})
        choices = ", ".join([*known, "accounts"])
        unknown = sorted(rest.keys() - set(known))
        problems += [Problem(each, f"this is not known: choose from {choices}") for each in unknown]
        for section in known:
            given = rest.get(section, {})
            kind = _KINDS[section]
            base, mistakes = _preset(kind, section, given)
            problems += mistakes
            values = (
                {key: each for key, each in given.items() if key != "preset"} if isinstance(given, Mapping) else given
            )
            value, mistakes = load(kind, values, base=base)
            problems += [Problem(_join(section, each.where), each.why) for each in mistakes]
            sections[section] = base if value is None else value
        sections["atr"], sections["rules"] = _share(accounts, sections["atr"], sections["rules"], problems)
        if problems:
            raise ConfigError(_report(name, problems))
        return cls(**sections)

    def plain(self) -> dict[str, Any]:
        """Return the configuration as plain values; `from_plain` reads them back."""
        return {each.name: dump(getattr(self, each.name)) for each in fields(self)}

    def fingerprint(self) -> str:
        """Return a digest of the whole configuration, the same on every machine: what a stored result was made with."""
        import hashlib
        import json

        plain = json.loads(json.dumps(self.plain()), parse_int=float)  # 16 and 16.0 are the same weeks
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __post_init__(self) -> None:
        for account in AccountType:
            adjusted, allowed = self.atr.accounts[account], self.rules.accounts[account]
            if adjusted.delta_low < allowed.delta_low or adjusted.delta_high > allowed.delta_high:
                raise ConfigError(
                    f"account {account.value}: the adjustment keeps delta between {adjusted.delta_low:g} and "
                    f"{adjusted.delta_high:g}, the rules between {allowed.delta_low:g} and {allowed.delta_high:g}: "
                    f"set both by [accounts.{account.value}]"
                )


_KINDS: Mapping[str, Any] = Table(
    {
        "week": WeekRules,
        "market": MarketConfig,
        "atr": ATRConfig,
        "rules": RulesConfig,
        "trust": TrustConfig,
        "plan": PlanConfig,
    }
)


def _preset(kind: Any, section: str, given: object) -> tuple[Any, list[Problem]]:
    """Return what a section starts from."""
    standard = kind.standard() if hasattr(kind, "standard") else kind()
    preset = given.get("preset", "standard") if isinstance(given, Mapping) else "standard"
    if preset == "standard":
        return standard, []
    if preset == "original" and hasattr(kind, "original"):
        return kind.original(), []
    choices = "'standard' or 'original'" if hasattr(kind, "original") else "'standard'"
    return standard, [Problem(f"{section}.preset", f"{choices} is expected, not {preset!r}")]


def _share(
    accounts: object, atr: ATRConfig, rules: RulesConfig, problems: list[Problem]
) -> tuple[ATRConfig, RulesConfig]:
    """Give what [accounts] says to both who keep to it: `size` is the adjustment's, the delta band is everyone's."""
    if not isinstance(accounts, Mapping):
        problems.append(Problem("accounts", f"a table is expected, not {accounts!r}"))
        return atr, rules
    adjusted, allowed = dict(atr.accounts), dict(rules.accounts)
    for name, table in accounts.items():
        where = f"accounts.{name}"
        account = next((each for each in AccountType if each.value == name), None)
        if account is None:
            shown = ", ".join(each.value for each in AccountType)
            problems.append(Problem(where, f"this account is not known: choose from {shown}"))
        elif not isinstance(table, Mapping):
            problems.append(Problem(where, f"a table is expected, not {table!r}"))
        else:
            band = {key: table[key] for key in ("delta_low", "delta_high", "size") if key in table}
            limits = {key: each for key, each in table.items() if key != "size"}
            adjusted[account] = _updated(Account, band, adjusted[account], where, problems)
            allowed[account] = _updated(type(allowed[account]), limits, allowed[account], where, problems)
    if problems:
        return atr, rules
    return replace(atr, accounts=adjusted), replace(rules, accounts=allowed)


def _updated(kind: type[_T], table: Mapping[str, Any], base: _T, where: str, problems: list[Problem]) -> _T:
    value, mistakes = load(kind, table, base=base)
    new = [Problem(_join(where, each.where), each.why) for each in mistakes]
    problems += [each for each in new if each not in problems]  # a delta band is read twice
    return base if value is None else value


def _toml(text: str, name: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is not TOML: {error}") from error


def _set(tree: dict[str, Any], dotted: str, value: str) -> None:
    """Put a TOML value where a dotted name says; the name may be quoted as in TOML."""
    table = _toml(f"{dotted} = {value}", f"the override {dotted}={value}")
    while True:
        (key, inner), *_ = table.items()
        if not isinstance(inner, dict) or not inner or not isinstance(tree.get(key, {}), dict):
            tree[key] = inner
            return
        tree, table = tree.setdefault(key, {}), inner


def _join(section: str, where: str) -> str:
    return f"{section}.{where}" if where else section


def _report(name: str, problems: list[Problem]) -> str:
    if len(problems) == 1:
        return f"{name}: {problems[0]}"
    return f"{name} has {len(problems)} mistakes:\n" + "\n".join(f"  {each}" for each in problems)
