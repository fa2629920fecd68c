"""What the engine's optimisations bring: with all on, with all off, with each one off; and what the optimizer costs."""

from __future__ import annotations

from datetime import datetime, time
from itertools import product

import pytest

from engine_opt import AccountType, Book, EngineOptimizations, Position, ProtocolEngine, WeekContext, WeekRequest
from engine_opt.optimization.performance_optimizer import Path, PerformanceOptimizer

BOOK, KNOWN = Book(1e6, 3e6, 0.05, 0.01, shares_held=500), WeekContext(days_to_expiration=3, favourable=True)
ASKED = tuple(product(AccountType, Position))
SWITCHES = {
    "all": EngineOptimizations.all(),
    "default": EngineOptimizations(),
    "none": EngineOptimizations.none(),
    "readings-anew": EngineOptimizations(share_readings=False),
    "rules-anew": EngineOptimizations(keep_rules=False),
}


def engine_after(bars, switches):
    engine = ProtocolEngine(optimizations=switches)
    for bar in bars:
        engine.update("AAPL", bar, 20.0)
    return engine


def request(bar, account="REV", position="cash"):
    return WeekRequest("AAPL", account, position, datetime.combine(bar.time, time(16)), BOOK, KNOWN, confidence=0.96)


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
def test_a_bar_and_twelve_decisions(pe_latency, pe_memory, bars, days_after, switches):
    """A day's work: a bar, and what is to be done for each account and position."""

    def engine_at_work():
        engine, days = engine_after(bars[:800], switches), days_after(bars[799])

        def day():
            bar = next(days)
            engine.update("AAPL", bar, 20.0)
            return [engine.decide(request(bar, *each)) for each in ASKED]

        for _ in range(10):
            day()
        return day

    assert len(pe_latency(engine_at_work())) == len(ASKED)
    # Days differ by a few allocations: counted are the same ones, however many have been timed.
    pe_memory(engine_at_work())


@pytest.mark.parametrize("switches", [SWITCHES["default"], SWITCHES["all"]], ids=["default", "all"])
def test_a_decision_asked_again(pe_latency, pe_memory, bars, switches):
    """The bar has been looked at before: what it said is with the symbol, or in the bounded cache."""
    engine, asked = engine_after(bars[:800], switches), request(bars[799])
    assert pe_latency(engine.decide, asked).report is not None
    pe_memory(engine.decide, asked)


def test_shedding_and_reading_again(pe_latency, pe_memory, bars):
    """What a memory manager takes, and the next decision brings back."""
    engine, asked = engine_after(bars[:800], EngineOptimizations()), request(bars[799])

    def shed_and_decide():
        given = engine.shed(1.0)
        engine.decide(asked)
        return given

    shed_and_decide()
    assert pe_latency(shed_and_decide) > 0
    pe_memory(shed_and_decide)


def test_choosing_a_path(pe_latency, pe_memory):
    """What is asked before each batch of rows, and has to be nothing next to it."""
    optimizer = PerformanceOptimizer({"paths": True})
    optimizer.calibrate(lambda rows: list(range(50 * rows)), lambda rows: list(range(rows)))
    assert pe_latency(optimizer.choose, 10_000) is Path.BATCH
    pe_memory(optimizer.choose, 10_000)


def test_asking_for_a_switch(pe_latency):
    """A hundred looks into a table: one is too short to be gated."""
    optimizer = PerformanceOptimizer(EngineOptimizations().plain())

    def hundred():
        for _ in range(100):
            found = optimizer.on("share_readings")
        return found

    assert pe_latency(hundred)
