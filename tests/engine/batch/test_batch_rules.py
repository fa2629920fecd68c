"""The trading rules over columns: outcomes and verdicts of the rules engine, decision by decision."""

from dataclasses import replace
from datetime import date, timedelta
from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import RulesConfig, TradingProtocolRulesEngine
from engine_opt.batch import UNKNOWN, members
from engine_opt.batch.rules import Trades, judge, with_own
from engine_opt.model import (
    AccountType,
    Action,
    MarketConditionKind,
    RuleOutcome,
    RulePriority,
    TradeContext,
    TradeDecision,
    Verdict,
    WeekColour,
    WeekType,
)
from engine_opt.protocol.rules_config import RULES, ColourLimits, SymbolLimits

MONDAY = date(2024, 3, 4)
MEMBERS = {
    "account": tuple(AccountType),
    "market_condition": tuple(MarketConditionKind),
    "week_type": tuple(WeekType),
    "week_colour": tuple(WeekColour),
}


def _custom():
    """Every rule, medium ones that block and high ones that do not, limits of the symbol's own, a closed colour."""
    config = RulesConfig(
        rules=tuple(RULES),
        symbols={"MSFT": SymbolLimits(delta_low=25.0, delta_high=45.0, days_low=3, days_high=6, size_share=0.5)},
        priorities={"vix": RulePriority.HIGH, "covered": RulePriority.MEDIUM, "symbol": RulePriority.LOW},
        warn_only=("covered", "symbol"),
        optional=("market_condition", "weekly_return", "week_colour"),
        colours={
            WeekColour.GREEN: ColourLimits(0.0, 0.9),
            WeekColour.RED: ColourLimits(-5.0, 1.0),
            WeekColour.CHOP: ColourLimits(entries=False),
        },
        size_basis="portfolio",
        size_cap=60_000.0,
        vix_quantity=0,
    )
    accounts = {name: replace(each, days_low=3, days_warn=2) for name, each in config.accounts.items()}
    return replace(config, accounts=accounts)


CONFIGS = {
    "standard": RulesConfig(),
    "monthly": RulesConfig.standard((20, 60)),
    "original": RulesConfig.original(),
    "custom": _custom(),
}


def random_trades(rng, n):
    """Return decisions of every action; limits themselves, and what is not known, are frequent."""

    def some(values, share=0.15):
        return np.where(rng.random(n) < share, nan, rng.choice(values, n))

    def code(kind, share=0.2):
        return np.where(rng.random(n) < share, UNKNOWN, rng.integers(0, len(MEMBERS[kind]), n)).astype(np.uint8)

    return Trades(
        rng.integers(0, len(Action), n).astype(np.uint8),
        code("account", 0.0),
        some([1.0, 2.0, 5.0, 50.0]),
        some([19.9, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 50.1]),
        some([10.0, 100.0, 475.0, 950.0]),
        some([0.0, 1.0, 2.0, 3.0, 6.0, 10.0, 11.0, 20.0, 60.0, 61.0]),
        some([0.01, 0.05, 0.0501, 1.0]),
        some([0.5, 1.0, 1.5, 2.0]),
        rng.integers(0, 7, n),
        rng.choice([5e5, 1e6], n),
        some([1e5, 5e5]),
        some([0.0, 0.15, 0.1501]),
        some([0.0, 0.07, 0.0999, 0.1, 0.15]),
        some([0.0, 99.0, 100.0, 200.0, 500.0]),
        code("market_condition"),
        code("week_type"),
        code("week_colour"),
        some([10.0, 15.0, 20.0, 30.0, 30.1]),
        some([10.0, 20.0]),
    )


def records(trades, index, symbol):
    """Return one row as the scalar records."""

    def number(name, kind=float):
        value = getattr(trades, name)[index]
        return None if np.isnan(value) else kind(value)

    def member(name):
        code = getattr(trades, name)[index]
        return None if code == UNKNOWN else MEMBERS[name][code]

    today = MONDAY + timedelta(int(trades.weekday[index]))
    days = number("days", int)
    decision = TradeDecision(
        tuple(Action)[trades.action[index]],
        symbol,
        member("account"),
        number("quantity", int),
        number("delta"),
        number("strike"),
        None if days is None else today + timedelta(days),
        number("max_risk"),
        number("expected_return"),
    )
    context = TradeContext(
        today,
        number("portfolio_value"),
        number("account_value"),
        number("portfolio_risk"),
        number("drawdown"),
        number("shares_held", int),
        member("market_condition"),
        member("week_type"),
        member("week_colour"),
        number("vix"),
        number("vix_mean"),
    )
    return decision, context


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), name=st.sampled_from([*CONFIGS]), symbol=st.sampled_from(["MSFT", "TSLA"]))
def test_any_decisions_are_judged_as_one_by_one(seed, name, symbol):
    """Every rule, action, account and colour; missing inputs and numbers on their limits."""
    config, trades = CONFIGS[name], random_trades(np.random.default_rng(seed), 60)
    columns, engine = judge(trades, config, (symbol,)), TradingProtocolRulesEngine(config)
    assert columns.rules == config.names
    for index in range(len(columns)):
        report = engine.validate(*records(trades, index, symbol))
        assert members(RuleOutcome, columns.outcome[index]) == [each.outcome for each in report.results]
        assert members(Verdict, columns.verdict[[index]]) == [report.verdict]


def test_every_rule_has_every_outcome_that_it_can():
    """The comparison above is about failures and errors too, not about passes alone."""
    seen = {rule: set() for rule in RULES}
    for config in CONFIGS.values():
        columns = judge(random_trades(np.random.default_rng(1), 4000), config, ("MSFT",))
        for rule, column in zip(columns.rules, columns.outcome.T, strict=True):
            seen[rule] |= {*members(RuleOutcome, column)}
    passed, failed, error = RuleOutcome.PASS, RuleOutcome.FAIL, RuleOutcome.ERROR
    assert all(passed in outcomes for outcomes in seen.values())
    assert {rule for rule, outcomes in seen.items() if failed not in outcomes} == {"symbol"}  # it only warns
    assert {rule for rule, outcomes in seen.items() if error not in outcomes} == {
        "symbol",
        "entry_weekday",
        "weekly_return",
    }


def test_single_values_stand_for_columns():
    """A context that is the same for all rows need not be repeated."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        trades = random_trades(rng, 1)
        single = Trades(
            *(column[0] if name != "action" else np.repeat(column, 3) for name, column in trades._asdict().items())
        )
        single = Trades(*map(np.asarray, single))
        for config in CONFIGS.values():
            one, three = judge(trades, config, ("MSFT",)), judge(single, config, ("MSFT",))
            assert three.outcome.tolist() == one.outcome.tolist() * 3
            assert three.verdict.tolist() == one.verdict.tolist() * 3


def test_no_decisions():
    """An empty column has an outcome per rule, and no row."""
    trades = random_trades(np.random.default_rng(0), 0)
    for config in CONFIGS.values():
        columns = judge(trades, config, ("X",))
        assert (columns.outcome.shape, len(columns)) == ((0, len(config.names)), 0)


class Never:
    """A rule of the user's own."""

    name = "never"
    priority = RulePriority.CRITICAL

    def check(self, decision, context):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (RuleOutcome.PASS, Verdict.APPROVED),
        (RuleOutcome.SKIP, Verdict.APPROVED),
        (RuleOutcome.WARN, Verdict.WARNING),
        (RuleOutcome.FAIL, Verdict.REJECTED),
        (RuleOutcome.ERROR, Verdict.REJECTED),
    ],
)
def test_the_users_own_rules_weigh_in_the_verdict(outcome, verdict):
    """Their outcomes come from elsewhere, the verdict from all of them."""
    config = RulesConfig(rules=(), extra=(Never(),))
    columns = judge(random_trades(np.random.default_rng(0), 1), config, ("X",))
    assert members(RuleOutcome, columns.outcome[0]) == [RuleOutcome.SKIP]
    own = np.array([[tuple(RuleOutcome).index(outcome)]], np.uint8)
    judged = with_own(columns, own, config)
    assert members(RuleOutcome, judged.outcome[0]) == [outcome]
    assert members(Verdict, judged.verdict) == [verdict]
