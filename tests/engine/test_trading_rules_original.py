"""The rule set `original`: the verdicts of the engine that this one replaces, from its published tables."""

import itertools
from datetime import date, timedelta

import pytest

from engine_opt.model import AccountType, Action, MarketConditionKind, TradeContext, TradeDecision
from engine_opt.protocol.trading_protocol_rules import RulesConfig, TradingProtocolRulesEngine

TODAY = date(2024, 1, 8)
ORIGINAL = TradingProtocolRulesEngine(RulesConfig.original())

# The tables as they were published: delta bands, the actions a condition speaks for, and the limits below.
BANDS = {"GEN": (40, 50), "REV": (30, 40), "COM": (20, 30)}
SELLING = {"sell_put", "sell_call"}
ACTIONS = {
    "extremely_bullish": SELLING,
    "bullish": SELLING,
    "neutral_bullish": SELLING,
    "neutral": SELLING,
    "neutral_bearish": {"sell_put", "roll_position"},
    "bearish": {"roll_position", "close_position"},
    "extremely_bearish": {"close_position", "enter_protective"},
}


def published(account, action, quantity, delta, strike, days, max_risk, portfolio, portfolio_risk, condition):
    """The verdict, and the rules that were violated, as the original's code decides: first critical, then the rest."""
    low, high = BANDS[account]
    critical, other = set(), set()
    if not low <= abs(delta) <= high:
        critical.add("delta_range")
    if max_risk > 0.05:
        critical.add("trade_risk")
    if portfolio_risk > 0.15:
        critical.add("portfolio_risk")
    if quantity * strike > min(0.10 * portfolio, 50_000):
        other.add("position_size")
    if not 20 <= days <= 60:
        other.add("days_to_expiration")
    if action not in ACTIONS[condition]:
        other.add("market_condition")
    verdict = "REJECTED" if critical else "WARNING" if other else "APPROVED"
    return verdict, critical | other


def answered(account, action, quantity, delta, strike, days, max_risk, portfolio, portfolio_risk, condition):
    decision = TradeDecision(action, "SPY", account, quantity, delta, strike, TODAY + timedelta(days), max_risk)
    context = TradeContext(TODAY, portfolio, portfolio_risk=portfolio_risk, market_condition=condition)
    report = ORIGINAL.validate(decision, context)
    return report.verdict.value, {each.rule for each in report.results if each.outcome.value in ("FAIL", "WARN")}


def matrix(**axes):
    """Return every combination of the axes, all others as in a decision that keeps to everything."""
    usual = {
        "account": ["GEN"],
        "action": ["sell_put"],
        "quantity": [10],
        "delta": [45.0],
        "strike": [450.0],
        "days": [35],
        "max_risk": [0.05],
        "portfolio": [100_000.0],
        "portfolio_risk": [0.0],
        "condition": ["neutral"],
    }
    return [dict(zip(usual, values, strict=True)) for values in itertools.product(*{**usual, **axes}.values())]


CASES = [
    *matrix(account=list(BANDS), delta=[0.0, 0.45, 19.9, 20.0, 30.0, 35.0, 40.0, 45.0, 50.0, 50.1, 100.0]),
    *matrix(action=[each.value for each in Action], condition=list(ACTIONS)),
    *matrix(days=[0, 1, 9, 10, 19, 20, 60, 61, 365], condition=["neutral", "bearish"]),
    *matrix(quantity=[1, 10, 22, 23, 100, 1000], portfolio=[10_000.0, 100_000.0, 1e6], strike=[450.0, 500.0]),
    *matrix(max_risk=[0.01, 0.05, 0.051, 1.0], portfolio_risk=[0.0, 0.15, 0.151, 1.0]),
    *matrix(
        quantity=[10, 440], delta=[45.0, 60.0], days=[1, 35], max_risk=[0.05, 0.2], condition=["neutral", "bearish"]
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(value) for value in case.values()))
def test_complete_decisions_get_the_originals_verdict(case):
    """Every cell of its tables, on both sides of every limit: the verdict, and which rules were violated."""
    assert answered(**case) == published(**case)


def test_the_matrix_reaches_every_rule_and_verdict():
    """A matrix that never left the good side would prove nothing."""
    verdicts, violated = zip(*(published(**case) for case in CASES), strict=True)
    assert set(verdicts) == {"APPROVED", "WARNING", "REJECTED"}
    assert set.union(*violated) == set(RulesConfig.original().rules)
    assert {case["condition"] for case in CASES} == {kind.value for kind in MarketConditionKind}


@pytest.mark.parametrize("days", [(9, "FAIL"), (10, "WARN"), (19, "WARN"), (20, "PASS"), (60, "PASS"), (61, "WARN")])
def test_days_fail_below_ten_and_warn_outside_of_their_band(days):
    """From ten days on, an expiry outside of 20-60 was let through with a warning, which counts the same."""
    decision = TradeDecision("sell_put", "SPY", "GEN", 10, 45.0, 450.0, TODAY + timedelta(days[0]), 0.05)
    context = TradeContext(TODAY, 1e5, portfolio_risk=0.0, market_condition="neutral")
    results = ORIGINAL.validate(decision, context).results
    found = next(each for each in results if each.rule == "days_to_expiration")
    assert (found.outcome.value, found.priority.value) == (days[1], "medium")


@pytest.mark.parametrize("field", ["delta", "strike", "quantity", "expiration", "max_risk"])
def test_that_it_failed_open_is_not_reproduced(field):
    """The original approved a decision whose delta, strike or expiry was missing; here it blocks."""
    known = {
        "quantity": 10,
        "delta": 45.0,
        "strike": 450.0,
        "expiration": TODAY + timedelta(35),
        "max_risk": 0.05,
    }
    decision = TradeDecision("sell_put", "SPY", AccountType.GEN, **{**known, field: None})
    context = TradeContext(TODAY, 1e5, portfolio_risk=0.0, market_condition="neutral")
    assert not ORIGINAL.validate(decision, context).can_proceed


@pytest.mark.parametrize("field", ["portfolio_risk", "market_condition"])
def test_an_unknown_context_is_no_neutral_one(field):
    """The original took an unknown market for neutral and an unknown risk for none."""
    known = {"portfolio_risk": 0.0, "market_condition": "neutral"}
    decision = TradeDecision("sell_put", "SPY", "GEN", 10, 45.0, 450.0, TODAY + timedelta(35), 0.05)
    assert not ORIGINAL.validate(decision, TradeContext(TODAY, 1e5, **{**known, field: None})).can_proceed
