"""The compiled trading rules against the plain ones, and against what any rules must satisfy: more risk is no better."""

from dataclasses import replace
from datetime import date, timedelta
from math import inf, nextafter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt.errors import InputError
from engine_opt.model import (
    AccountType,
    Action,
    MarketConditionKind,
    Override,
    RuleOutcome,
    RulePriority,
    RuleResult,
    TradeContext,
    TradeDecision,
    Verdict,
    WeekColour,
    WeekType,
)
from engine_opt.protocol.rules_config import RULES
from engine_opt.protocol.trading_protocol_rules import (
    ColourLimits,
    RulesConfig,
    SymbolLimits,
    TradingProtocolRulesEngine,
)
from engine_opt.reference import rules as plain_rules

PASS, WARN, FAIL, SKIP, ERROR = (RuleOutcome[name] for name in ("PASS", "WARN", "FAIL", "SKIP", "ERROR"))
RANK = {Verdict.APPROVED: 0, Verdict.WARNING: 1, Verdict.REJECTED: 2}
MONDAY = date(2024, 1, 8)
STANDARD = TradingProtocolRulesEngine()


class Warns:
    """A rule of the user's own that has something against large trades, and fails without a quantity."""

    name, priority = "mine", RulePriority.LOW

    def check(self, decision, context):
        return RuleResult("mine", WARN if decision.quantity > 5 else PASS, RulePriority.LOW, 1.0)


def around(*limits):
    """Each limit and its two neighbours among the floats."""
    return [x for limit in limits for x in (nextafter(limit, -inf), limit, nextafter(limit, inf))]


def maybe(strategy):
    return st.none() | strategy


shares = st.sampled_from([0.01, *around(0.05, 0.07, 0.10, 0.15)]) | st.floats(0.0, 1.0)
decisions = st.builds(
    TradeDecision,
    st.sampled_from(Action),
    st.sampled_from(["TSLA", "AAPL", "XOM"]),
    st.sampled_from(AccountType),
    maybe(st.integers(1, 12)),
    maybe(st.sampled_from(around(20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0)) | st.floats(0.0, 100.0)),
    maybe(st.sampled_from([*around(95.0, 190.0), 240.0]) | st.floats(1.0, 2000.0)),
    maybe(st.integers(0, 62).map(lambda days: MONDAY + timedelta(6 + days))),
    maybe(st.sampled_from(around(0.05)) | st.floats(1e-6, 1.0)),
    maybe(st.sampled_from(around(0.5, 1.0, 1.5))),
)
contexts = st.builds(
    TradeContext,
    st.integers(0, 6).map(lambda day: MONDAY + timedelta(day)),
    st.sampled_from([500_000.0, 1e6, 700_000.1]),
    maybe(st.sampled_from(around(100_000.0, 200_000.0)) | st.floats(1000.0, 500_000.0)),
    maybe(shares),
    maybe(shares),
    maybe(st.sampled_from([0, 99, 100, 199, 200, 500, 1200])),
    maybe(st.sampled_from(MarketConditionKind)),
    maybe(st.sampled_from(WeekType)),
    maybe(st.sampled_from(WeekColour)),
    maybe(st.sampled_from([*around(27.0), 15.0, 40.0])),
    maybe(st.sampled_from([18.0, 20.0])),
)
CONFIGS = [
    RulesConfig(),
    RulesConfig(
        "strict",
        rules=tuple(RULES),
        optional=(),
        warn_only=("symbol", "market_condition"),
        symbols={"TSLA": SymbolLimits(25.0, 45.0, 0, 30, 0.5), "XOM": SymbolLimits(days_low=5, size_share=0.2)},
        colours={**RulesConfig().colours, WeekColour.CHOP: ColourLimits(-10.0, 0.6, entries=False)},
        priorities={"week_colour": "critical", "position_size": "low", "vix": "high"},
        size_cap=120_000.0,
    ).with_rule(Warns()),
    RulesConfig.original(),
    replace(
        RulesConfig.original(), rules=tuple(RULES), symbols={"TSLA": SymbolLimits(days_low=5)}, size_basis="account"
    ),
]
ENGINES = [TradingProtocolRulesEngine(config) for config in CONFIGS]


def seen(report):
    return (
        report.verdict,
        report.can_proceed,
        report.overrides,
        [each.rule for each in report.blocking],
        [(e.rule, e.outcome, e.priority, e.measured, e.low, e.high, e.margin, e.override) for e in report.results],
    )


@settings(deadline=None, max_examples=500)
@given(decisions, contexts, st.sampled_from(ENGINES))
def test_the_compiled_rules_answer_as_the_plain_ones_do(decision, context, engine):
    """Every outcome, number and verdict, on limits and one float beside them, whatever is not known."""
    try:
        expected = plain_rules.validate(decision, context, (), engine.config)
    except InputError:
        with pytest.raises(InputError, match="expired"):
            engine.validate(decision, context)
        return
    assert seen(engine.validate(decision, context)) == seen(expected)


@settings(deadline=None, max_examples=200)
@given(decisions, contexts, st.sampled_from(ENGINES), st.sets(st.sampled_from(sorted(RULES)), max_size=2))
def test_overrides_count_as_in_the_plain_form(decision, context, engine, overridden):
    """The same are used, the same are refused."""
    overrides = [Override(name, "Anna", "because") for name in sorted(overridden)]
    try:
        expected = plain_rules.validate(decision, context, overrides, engine.config)
    except InputError:
        with pytest.raises(InputError):
            engine.validate(decision, context, overrides)
        return
    assert seen(engine.validate(decision, context, overrides)) == seen(expected)


complete = st.builds(
    TradeDecision,
    st.sampled_from(Action),
    st.sampled_from(["TSLA", "AAPL"]),
    st.sampled_from(AccountType),
    st.integers(1, 8),
    st.floats(15.0, 55.0),
    st.floats(50.0, 500.0),
    st.integers(0, 12).map(lambda days: MONDAY + timedelta(days)),
    st.floats(0.01, 0.08),
)
known = st.builds(
    TradeContext,
    st.just(MONDAY),
    st.just(500_000.0),
    st.floats(50_000.0, 400_000.0),
    st.floats(0.0, 0.3),
    st.floats(0.0, 0.2),
    st.integers(0, 900),
    st.sampled_from(MarketConditionKind),
    st.sampled_from([WeekType.P_EW, WeekType.C_PNO]),
    st.sampled_from(WeekColour),
    st.floats(10.0, 60.0),
    st.just(20.0),
)
WORSE = {  # field -> what takes it one way only, from bad to worse
    "quantity": lambda value, step: value + int(100 * step) + 1,
    "max_risk": lambda value, step: min(value + step, 1.0),
    "portfolio_risk": lambda value, step: min(value + step, 1.0),
    "drawdown": lambda value, step: min(value + step, 1.0),
    "shares_held": lambda value, step: max(value - int(1000 * step), 0),
    "account_value": lambda value, step: value * (1.0 - 0.9 * step),
    "vix": lambda value, step: value + 100.0 * step,
}


@pytest.mark.parametrize("field", WORSE)
@settings(deadline=None, max_examples=40)
@given(decision=complete, context=known, step=st.floats(0.0, 1.0))
def test_more_risk_never_improves_the_verdict(field, decision, context, step):
    """A larger trade, more risk, less cover, less money or a higher VIX: no rule and no verdict gets better."""
    worse = {field: WORSE[field](getattr(decision, field, None) or getattr(context, field, 0), step)}
    of_decision = hasattr(decision, field)
    before = STANDARD.validate(decision, context)
    after = STANDARD.validate(
        replace(decision, **worse) if of_decision else decision, context if of_decision else replace(context, **worse)
    )
    order = [SKIP, PASS, WARN, FAIL, ERROR]
    for one, other in zip(before.results, after.results, strict=True):
        assert order.index(one.outcome) <= order.index(other.outcome)
    assert RANK[before.verdict] <= RANK[after.verdict]


@settings(deadline=None, max_examples=100)
@given(decision=complete, context=known, step=st.floats(0.0, 30.0), days=st.integers(0, 30))
def test_farther_outside_of_a_band_never_improves_the_verdict(decision, context, step, days):
    """Delta and days to expiration: once outside, farther out is no better."""
    limits = RulesConfig().limits(decision.account, decision.symbol)
    low, high = limits.delta_low, limits.delta_high
    if decision.delta >= (low + high) / 2:
        away = replace(decision, delta=max(min(decision.delta + step, 100.0), high))
        farther = replace(decision, delta=min(away.delta + step, 100.0))
    else:
        away = replace(decision, delta=min(max(decision.delta - step, 0.0), nextafter(low, -inf)))
        farther = replace(decision, delta=max(away.delta - step, 0.0))
    verdicts = [STANDARD.validate(each, context).verdict for each in (away, farther)]
    assert RANK[verdicts[0]] <= RANK[verdicts[1]]
    late = replace(decision, expiration=MONDAY + timedelta(limits.days_high + days))
    later = replace(late, expiration=late.expiration + timedelta(days))
    verdicts = [STANDARD.validate(each, context).verdict for each in (late, later)]
    assert RANK[verdicts[0]] <= RANK[verdicts[1]]


@settings(deadline=None, max_examples=60)
@given(decision=decisions, context=contexts)
def test_not_knowing_is_never_better_than_knowing(decision, context):
    """Taking away what a critical or high rule needs never turns a rejection into anything else."""
    try:
        before = STANDARD.validate(decision, context).verdict
    except InputError:
        return
    for field in ("quantity", "delta", "strike", "expiration", "max_risk"):
        assert RANK[STANDARD.validate(replace(decision, **{field: None}), context).verdict] >= RANK[before]
    for field in ("account_value", "portfolio_risk", "drawdown", "shares_held", "market_condition"):
        assert RANK[STANDARD.validate(decision, replace(context, **{field: None})).verdict] >= RANK[before]


def test_the_plain_form_goes_by_the_standard_rules_unless_told():
    """As the engine does."""
    decision, context = TradeDecision("sell_put", "TSLA", "GEN"), TradeContext(MONDAY, 1000.0)
    assert plain_rules.validate(decision, context) == plain_rules.validate(decision, context, (), RulesConfig())
