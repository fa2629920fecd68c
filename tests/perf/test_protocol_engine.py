"""What a decision of the whole engine costs, and what it cost before."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import pytest

from engine_opt import Bar, Book, ProtocolEngine, TrustOutcome, WeekContext, WeekRequest
from engine_opt.model import DecisionKind, MarketCondition, Position, TradeContext, TradeDecision, WeekType
from engine_opt.protocol.market_condition_analyzer import MarketStream
from engine_opt.protocol.trading_protocol_rules import TradingProtocolRulesEngine
from engine_opt.protocol.week_classifier import WeekClassifier
from engine_opt.reference.engine import decide as plain_decide

BOOK = Book(1e6, 3e6, 0.05, 0.01, shares_held=500)
POSITIONS = tuple(Position)


def afternoon(bar):
    """Return the end of a bar's session."""
    return datetime.combine(bar.time, time(16))


def outcomes(now):
    """Return a record of good decisions, so that trust has something to say."""
    return [
        TrustOutcome(kind, number % 20 > 0, 0.95, now - timedelta(days=60 - number), 0.01)
        for kind in DecisionKind
        for number in range(60)
    ]


def engine_after(bars):
    """Return an engine that has seen these bars, and is trusted."""
    engine = ProtocolEngine()
    for bar in bars:
        engine.update("AAPL", bar, 20.0 + bar.close % 3)
    for outcome in outcomes(afternoon(bars[-1])):
        engine.record(outcome)
    return engine


def request_after(bar, position="cash"):
    """Return a request that goes through all five components: a put is welcome, and trust is asked."""
    context = WeekContext(days_to_expiration=3, favourable=True)
    return WeekRequest("AAPL", "REV", position, afternoon(bar), BOOK, context, confidence=0.96)


def decide_year(bars):
    """Stream a year and more, and decide at every fifth bar from the 60th on, all positions in turn."""
    engine = ProtocolEngine()
    seen = set()
    for number, bar in enumerate(bars):
        engine.update("AAPL", bar, 20.0)
        if number >= 60 and number % 5 == 0:
            seen.add(engine.decide(request_after(bar, POSITIONS[number // 5 % 4])).week.week_type)
    return seen


def test_decide(pe_latency, pe_memory, bars):
    """W1: one call through all five components; the bar has been looked at before, by another account."""
    engine, request = engine_after(bars[:800]), request_after(bars[799])
    decision = pe_latency(engine.decide, request)
    assert decision.assessment is not None
    assert decision.report is not None
    pe_memory(engine.decide, request)


def test_decide_plainly(pe_latency, pe_memory, bars):
    """The same decision by the reference engine: everything worked out anew from 800 bars and all outcomes."""
    past, request = bars[:800], request_after(bars[799])
    vix = [20.0 + bar.close % 3 for bar in past]
    history = outcomes(afternoon(past[-1]))

    def decide():
        return plain_decide(request, past, vix, history)

    fast = engine_after(past).decide(request)
    assert pe_latency(decide).proposal.quantity == fast.proposal.quantity
    pe_memory(decide)


def test_a_bar_and_its_decision(pe_latency, pe_memory, bars, days_after):
    """W1, streaming: a bar comes in, is analysed, and is decided about."""
    engine = engine_after(bars[:800])
    days = days_after(bars[799])

    def step():
        bar = next(days)
        engine.update("AAPL", bar, 20.0)
        return engine.decide(request_after(bar))

    assert pe_latency(step).report is not None
    pe_memory["kept"](step)


def test_decide_a_year(pe_latency, pe_memory, bars):
    """310 bars and 50 decisions, from an empty engine."""
    year = bars[500:810]
    assert len(pe_latency(decide_year, year)) >= 4
    pe_memory(decide_year, year)


def test_decide_with_a_record_of_it(pe_latency, pe_memory, bars):
    """W3: the same decision turned into plain values for an audit log; writing them is the disk's business."""
    engine = ProtocolEngine.restore(engine_after(bars[:800]).save(), sink=lambda *_: None)
    request = request_after(bars[799])
    assert pe_latency(engine.decide, request).report is not None
    pe_memory(engine.decide, request)


@pytest.fixture
def published():
    """Return W0, the workflow that the original published: four steps on a market that never moves."""
    classifier, rules, market = WeekClassifier(), TradingProtocolRulesEngine(), MarketStream()
    first = datetime(2024, 1, 1).date()  # noqa: DTZ001 - a date has no zone
    for number in range(60):
        market.update(Bar(first + timedelta(number), 100.0, 100.0, 100.0, 100.0, 1000.0), 18.0)
    today = first + timedelta(60)

    def workflow():
        condition = MarketCondition("SPY", 450.0, 440.0, 0.15)
        week = classifier.classify_week(condition, Position.CASH)
        analysis = market.analysis()
        decision = TradeDecision("sell_put", "SPY", "GEN", 10, 45.0, 427.5, today + timedelta(5), 0.05, 2.5)
        context = TradeContext(today, 1e6, 5e5, 0.0, 0.0, 0, analysis.condition, week.week_type)
        return week, analysis, rules.validate(decision, context)

    return workflow


def test_the_published_workflow(pe_latency, pe_memory, published):
    """W0: comparable with the 560 us of the original's report, and with nothing else."""
    week, _, report = pe_latency(published)
    assert week.week_type is WeekType.W_IDL
    assert report.can_proceed
    pe_memory(published)
