"""What it costs to hold trades against the protocol, and what the plain form of the same rules costs."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from engine_opt.model import TradeContext, TradeDecision
from engine_opt.protocol.trading_protocol_rules import RulesConfig, TradingProtocolRulesEngine
from engine_opt.reference import rules as plain_rules

ACCOUNTS = (("GEN", "TSLA", 45.0), ("REV", "MSFT", 35.0), ("COM", "AAPL", 25.0))
ACTIONS = ("sell_put", "sell_call", "roll_position", "sell_put", "close_position")
CONDITIONS = ("bullish", "neutral", "neutral_bearish", "bearish")
COLOURS = ("green", "green", "red", "chop")
MONDAY = date(2024, 1, 8)


@pytest.fixture(scope="module")
def book():
    """Return 200 decisions over three accounts: three in four good, the others too large or outside of their band."""
    found = []
    for number in range(200):
        account, symbol, delta = ACCOUNTS[number % 3]
        action = ACTIONS[number % 5]
        today = MONDAY + timedelta(number % 5)
        worse = number % 4 == 3
        decision = TradeDecision(
            action,
            symbol,
            account,
            2 + 5 * worse * (number % 8 == 3),
            delta + 8.0 * worse * (number % 8 == 7),
            180.0 + number,
            today + timedelta(4 + number % 7),
            0.02,
            1.8,
            0.8,
        )
        context = TradeContext(
            today,
            500_000.0,
            150_000.0,
            0.05,
            0.02,
            300,
            CONDITIONS[number % 4],
            "C-PNO" if number % 2 else "P-RO",
            COLOURS[number // 4 % 4],
            16.0 + number % 15,
            18.0,
        )
        found.append((decision, context))
    return found


@pytest.fixture(scope="module")
def put():
    """Return a put that keeps to every rule, with its context."""
    thursday = MONDAY + timedelta(3)
    decision = TradeDecision("sell_put", "TSLA", "GEN", 2, 45.0, 240.0, thursday + timedelta(8), 0.02, 1.8, 0.8)
    context = TradeContext(
        thursday, 500_000.0, 150_000.0, 0.05, 0.02, 0, "bullish", "P-EW", "green", vix=16.0, vix_mean=18.0
    )
    return decision, context


def judge_all(judge, book):
    """Judge every decision, and return how often each verdict was given."""
    verdicts = [judge(decision, context).verdict.value for decision, context in book]
    return {verdict: verdicts.count(verdict) for verdict in ("APPROVED", "WARNING", "REJECTED")}


def plainly(decision, context, config=RulesConfig()):  # noqa: B008 - immutable
    return plain_rules.validate(decision, context, (), config)


def test_judge_one_decision(pe_latency, pe_memory, put):
    """One decision, every rule asked and none breached."""
    judge = TradingProtocolRulesEngine().validate
    assert pe_latency(judge, *put).verdict.value == "APPROVED"
    pe_memory(judge, *put)


def test_judge_a_book(pe_latency, pe_memory, book):
    """200 decisions over three accounts, with all verdicts among them."""
    judge = TradingProtocolRulesEngine().validate
    assert all(pe_latency(judge_all, judge, book).values())
    pe_memory(judge_all, judge, book)


def test_judge_one_decision_plainly(pe_latency, pe_memory, put):
    """The same decision by the plain form: the yardstick of the first."""
    assert pe_latency(plainly, *put).verdict.value == "APPROVED"
    pe_memory(plainly, *put)


def test_judge_a_book_plainly(pe_latency, pe_memory, book):
    """The same book by the plain form: the yardstick of the second, and the same verdicts."""
    found = pe_latency(judge_all, plainly, book)
    assert found == judge_all(TradingProtocolRulesEngine().validate, book)
    pe_memory(judge_all, plainly, book)
