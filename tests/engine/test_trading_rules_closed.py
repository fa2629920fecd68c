"""The trading rules fail closed: nothing impossible and nothing unknown that a rule needs is ever approved."""

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from math import inf, nan

import pytest

from engine_opt.errors import InputError
from engine_opt.model import (
    AccountType,
    Action,
    MarketConditionKind,
    RuleOutcome,
    TradeContext,
    TradeDecision,
    Verdict,
    WeekColour,
    WeekType,
)
from engine_opt.protocol.trading_protocol_rules import RulesConfig, TradingProtocolRulesEngine

PASS, ERROR, REJECTED, APPROVED = RuleOutcome.PASS, RuleOutcome.ERROR, Verdict.REJECTED, Verdict.APPROVED
MONDAY, THURSDAY = date(2024, 1, 8), date(2024, 1, 11)
TRADES = {"sell_put", "sell_call", "increase_position", "roll_position", "adjust_delta"}

STANDARD = TradingProtocolRulesEngine()
DECISION = TradeDecision("sell_put", "TSLA", "GEN", 3, 45.0, 240.0, THURSDAY + timedelta(8), 0.02, 1.8, 0.8)
CONTEXT = TradeContext(
    THURSDAY, 500_000.0, 200_000.0, 0.05, 0.02, 300, "bullish", "P-EW", "green", vix=15.0, vix_mean=18.0
)


def judged(*, engine=STANDARD, **changes):
    """The report on a good decision with some fields of it or of its context changed."""
    of_decision = {field.name for field in fields(TradeDecision)}
    decision = replace(DECISION, **{name: value for name, value in changes.items() if name in of_decision})
    context = replace(CONTEXT, **{name: value for name, value in changes.items() if name not in of_decision})
    return engine.validate(decision, context)


def test_the_decision_is_good_before_anything_is_taken_from_it():
    """What the table below changes is all that is wrong."""
    assert judged().verdict is APPROVED


NOT_NUMBERS = [nan, inf, -inf, True, False, "1", 1j, [1.0], 10**400]
NOT_WORDS = ["", "sell_to_open", "Sell_Put", 1, 1.5, True, nan, b"GEN", [], ...]
NOT_DAYS = [datetime(2024, 1, 12), datetime(2024, 1, 12, tzinfo=UTC), "2024-01-12", 20240112, 8, nan, True]  # noqa: DTZ001
BAD = {
    # None is refused where it is needed to read the decision at all; else the rules that need the field answer ERROR
    "action": [None, *NOT_WORDS],
    "symbol": [None, "", 1, nan, True, b"TSLA", []],
    "account": [None, *NOT_WORDS, "General"],
    "quantity": [None, *NOT_NUMBERS, -5, 0, 1.0, 2.5, 10**9 + 1],
    "delta": [None, *NOT_NUMBERS, -45.0, 0.0, 0.45, 100.5, 4500],
    "strike": [None, *NOT_NUMBERS, -240.0, 0, 0.0, 1e13],
    "expiration": [None, *NOT_DAYS, date(2024, 1, 10), date(2034, 1, 12), date.min, date.max],
    "max_risk": [None, *NOT_NUMBERS, -0.02, 0, 0.0, 2, 5.0, 1.0],
    "today": [None, *NOT_DAYS, date.min, date.max],
    "portfolio_value": [None, *NOT_NUMBERS, -1.0, 0, 1e19, 1.0],
    "account_value": [None, *NOT_NUMBERS, -1.0, 0, 1e19, 500_001.0],
    "portfolio_risk": [None, *NOT_NUMBERS, -0.01, 5.0, 15],
    "drawdown": [None, *NOT_NUMBERS, -0.01, 2.0, 15],
    "market_condition": [None, *NOT_WORDS],
}
BAD_IF_GIVEN = {  # what no rule of a put needs to know is refused where it is nonsense
    "expected_return": NOT_NUMBERS,
    "confidence": [*NOT_NUMBERS, -0.1, 1.1, 80],
    "shares_held": [*NOT_NUMBERS, -1, 1.0, 10**19],
    "week_type": NOT_WORDS,
    "week_colour": [*NOT_WORDS, "yellow"],
    "vix": [None, *NOT_NUMBERS, 0, -1.0, 0.15, 1500.0],
    "vix_mean": [*NOT_NUMBERS, 0, -1.0, 0.15, 1500.0],
}
CONTRADICTED = {"today": "expiration", "portfolio_value": "account_value"}  # good themselves, until that changes
CASES = [(field, value) for table in (BAD, BAD_IF_GIVEN) for field, values in table.items() for value in values]


@pytest.mark.parametrize(("field", "value"), CASES, ids=lambda each: repr(each)[:24])
def test_nothing_impossible_or_unknown_gets_through(field, value):
    """Every bad value of every field is refused at the door or rejected by the rules that need it."""
    changes = {field: value}
    if field == "today":  # with an expiry of its own, so that only the day is wrong
        changes["expiration"] = THURSDAY + timedelta(8)
    try:
        report = judged(**changes)
    except InputError as error:
        assert error.field in (field, CONTRADICTED.get(field))
        return
    assert (report.verdict, report.can_proceed) == (REJECTED, False)
    assert report.blocking


def test_the_table_of_bad_values_names_every_field():
    """A field added to a record must be added to the table."""
    named = {field.name for record in (TradeDecision, TradeContext) for field in fields(record)}
    assert set(BAD) | set(BAD_IF_GIVEN) == named


@pytest.mark.parametrize("action", sorted(TRADES))
def test_a_trade_of_which_nothing_is_known_is_rejected(action):
    """Without a number every rule that needs one is an error, and no override of the high ones helps."""
    decision, context = TradeDecision(action, "TSLA", "GEN"), TradeContext(THURSDAY, 1000.0, week_type="P-EW")
    report = STANDARD.validate(decision, context)
    assert report.verdict is REJECTED
    assert {"delta_range", "days_to_expiration", "trade_risk", "portfolio_risk"} <= {e.rule for e in report.blocking}
    assert all(each.outcome is ERROR for each in report.blocking)


@pytest.mark.parametrize("field", ["quantity", "shares_held"])
def test_a_call_of_which_the_cover_is_not_known_is_rejected(field):
    """Calls need to know the shares."""
    assert judged(action="sell_call", **{field: None}).verdict is REJECTED


def test_colour_and_vix_are_the_callers_to_declare():
    """Without them their rules are skipped, with the reason; a mean without VIX is an error, and strict rules block."""
    report = judged(week_colour=None, vix_mean=None)
    assert report.verdict is APPROVED
    assert {each.rule: each.reason for each in report.results if each.rule in ("week_colour", "vix")} == {
        "week_colour": "week_colour is not known",
        "vix": "vix_mean is not known",
    }
    assert judged(vix=None).verdict is REJECTED
    strict = TradingProtocolRulesEngine(RulesConfig(optional=()))
    assert judged(engine=strict).verdict is APPROVED
    assert judged(engine=strict, week_colour=None).verdict is REJECTED
    assert judged(engine=strict, vix_mean=None).verdict is REJECTED


@pytest.mark.parametrize("bad", [None, {}, "sell_put", DECISION.action])
def test_only_records_are_judged(bad):
    """What is no decision or no context is refused."""
    with pytest.raises(InputError, match="TradeDecision"):
        STANDARD.validate(bad, CONTEXT)
    with pytest.raises(InputError, match="TradeContext"):
        STANDARD.validate(DECISION, bad)


def test_records_take_names_and_whole_numbers_for_what_they_mean():
    """Names become members and ints floats, so that equal decisions are equal."""
    named = TradeDecision("sell_put", "TSLA", "GEN", 3, 45, 240, THURSDAY, 1)
    assert (named.action, named.account) == (Action.SELL_PUT, AccountType.GEN)
    assert [type(x) for x in (named.delta, named.strike, named.max_risk)] == [float, float, float]
    context = TradeContext(MONDAY, 1000, 1000, 0, 0, 0, "neutral", "P-EW", "chop", 15, 18)
    assert context.market_condition is MarketConditionKind.NEUTRAL
    assert (context.week_type, context.week_colour) == (WeekType.P_EW, WeekColour.CHOP)
    assert [type(x) for x in (context.portfolio_value, context.drawdown, context.vix)] == [float, float, float]
