"""The configuration of the trading rules: what contradicts itself is refused; the rest can be stored and sent."""

import pickle
from dataclasses import replace
from math import nan

import pytest

from engine_opt.errors import ConfigError, InputError
from engine_opt.model import AccountType, Action, MarketConditionKind, RulePriority
from engine_opt.plain import dump, load
from engine_opt.protocol.trading_protocol_rules import AccountLimits, ColourLimits, RulesConfig, SymbolLimits


class Named:
    """A rule that is only a name and a priority here."""

    def __init__(self, name, priority=RulePriority.LOW):
        self.name, self.priority = name, priority

    def check(self, decision, context):
        raise NotImplementedError


GEN = RulesConfig().accounts[AccountType.GEN]


@pytest.mark.parametrize(
    "build",
    [
        lambda: replace(GEN, delta_low=51.0),
        lambda: replace(GEN, days_low=11),
        lambda: replace(GEN, days_warn=2),
        lambda: replace(GEN, entry_weekdays=()),
        lambda: replace(GEN, symbols=()),
        lambda: replace(GEN, symbols="TSLA"),
        lambda: RulesConfig(accounts={AccountType.GEN: GEN}),
        lambda: RulesConfig(accounts={**RulesConfig().accounts, "IRA": GEN}),
        lambda: RulesConfig(accounts=dict.fromkeys(AccountType, (40.0, 50.0))),
        lambda: RulesConfig(symbols={"TSLA": SymbolLimits(delta_low=45.0)}),  # above the other accounts' upper ends
        lambda: RulesConfig(symbols={"TSLA": {"delta_low": 45.0}}),
        lambda: RulesConfig(rules=("delta_range", "delta_range")),
        lambda: RulesConfig(rules=("delta",)),
        lambda: RulesConfig(rules="delta_range"),
        lambda: RulesConfig(rules=()),
        lambda: RulesConfig(extra=("delta_range",)),
        lambda: RulesConfig().with_rule(Named("symbol")),
        lambda: RulesConfig().with_rule(Named("")),
        lambda: RulesConfig().with_rule("symbol"),
        lambda: RulesConfig().with_rule(3),
        lambda: RulesConfig().without_rule("weekly_return"),
        lambda: RulesConfig(priorities={"nonsense": "low"}),
        lambda: RulesConfig(warn_only=("delta_range",)),
        lambda: RulesConfig(optional=("position_size",)),
        lambda: RulesConfig(priorities={"vix": "critical"}),  # and yet optional
        lambda: RulesConfig(colours={}),
        lambda: RulesConfig(actions={MarketConditionKind.NEUTRAL: (Action.SELL_PUT,)}),
        lambda: RulesConfig(size_basis="cash"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(build):
    """When it is built, not when it is used."""
    with pytest.raises(ConfigError):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: replace(GEN, delta_high=101.0),
        lambda: replace(GEN, days_high=10.0),
        lambda: replace(GEN, max_drawdown=15.0),
        lambda: replace(GEN, size_share=0.0),
        lambda: replace(GEN, least_weekly_return=nan),
        lambda: replace(GEN, entry_weekdays=(7,)),
        lambda: replace(GEN, symbols=("",)),
        lambda: RulesConfig(symbols={"TSLA": SymbolLimits(delta_low=-1.0)}),
        lambda: RulesConfig(multiplier=0),
        lambda: RulesConfig(multiplier=100.0),
        lambda: RulesConfig(max_risk=5.0),
        lambda: RulesConfig(max_portfolio_risk=nan),
        lambda: RulesConfig(size_cap=-1.0),
        lambda: RulesConfig(vix_limit=0.0),
        lambda: RulesConfig(vix_quantity=-1),
        lambda: RulesConfig(by_action=None),
        lambda: RulesConfig(priorities={"vix": "urgent"}),
        lambda: RulesConfig(actions={**RulesConfig().actions, MarketConditionKind.BEARISH: ("sell_to_open",)}),
        lambda: RulesConfig().with_rule(Named("mine", "urgent")),
        lambda: RulesConfig().priority("nonsense"),
        lambda: ColourLimits(delta_shift=5.0),
        lambda: ColourLimits(size=80.0),
        lambda: ColourLimits(entries=1),
    ],
)
def test_a_configuration_with_an_impossible_value_is_refused(build):
    """Units included: a share is a fraction, a delta is in points."""
    with pytest.raises(InputError):
        build()


@pytest.mark.parametrize(
    "config", [RulesConfig(), RulesConfig.original(), RulesConfig(symbols={"A": SymbolLimits(1.0)})]
)
def test_a_configuration_can_be_sent_hashed_and_written_down(config):
    """Pickled, used as a key, and turned into plain values and back."""
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(pickle.loads(pickle.dumps(config))) == hash(config)
    assert load(RulesConfig, dump(config)) == (config, [])
    with pytest.raises(TypeError, match="cannot be changed"):
        config.accounts[AccountType.GEN] = GEN


def test_account_limits_are_the_protocols():
    """Bands, drawdown and weekly return of the account table."""
    rows = {account: RulesConfig().accounts[account] for account in AccountType}
    assert all(type(row) is AccountLimits for row in rows.values())
    found = [(r.delta_low, r.delta_high, r.max_drawdown, r.least_weekly_return, r.size_share) for r in rows.values()]
    assert found == [(40, 50, 0.15, 1.5, 0.95), (30, 40, 0.10, 1.0, 0.95), (20, 30, 0.07, 0.5, 0.95)]
