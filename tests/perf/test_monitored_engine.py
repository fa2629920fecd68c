"""What it costs to be monitored: a decision and a day with a monitor, one that is off, and none; and the page of it all."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import partial
from itertools import count

import pytest

from engine_opt import Book, ProtocolEngine, TrustOutcome, WeekContext, WeekRequest
from engine_opt.engine import TIMED_EVERY
from engine_opt.engine_metrics import component_records
from engine_opt.model import DecisionKind, DecisionStatus
from engine_opt.monitoring.openmetrics import page
from engine_opt.monitoring.performance_monitor import PerformanceMonitor

BOOK = Book(1e6, 3e6, 0.05, 0.01, shares_held=500)
MONITORS = {
    "on": PerformanceMonitor,
    "off": partial(PerformanceMonitor, enabled=False),
    "none": lambda **_given: None,
}


@pytest.fixture(params=[*MONITORS])
def monitor(request):
    """Return a monitor that is on, or off, or none."""
    return MONITORS[request.param]()


def engine_after(bars, monitor):
    """Return an engine that has seen these bars, and is trusted."""
    engine = ProtocolEngine(monitor=monitor)
    for bar in bars:
        engine.update("AAPL", bar, 20.0)
    start = datetime.combine(bars[-1].time, time(0))
    for number in range(300):
        engine.record(TrustOutcome(DecisionKind.TRADE_ENTRY, True, 0.95, start + timedelta(minutes=number), 0.01))
    return engine


def request_after(bar):
    """Return a request that goes through all five components."""
    context = WeekContext(days_to_expiration=3, favourable=True)
    return WeekRequest("AAPL", "REV", "cash", datetime.combine(bar.time, time(16)), BOOK, context, confidence=0.96)


def many_decisions(engine, request):
    """Return a call that makes as many decisions as one of which is timed."""

    def decide():
        for _ in range(TIMED_EVERY):
            decision = engine.decide(request)
        return decision

    return decide


def test_decide(pe_latency, bars, monitor):
    """Through all five components."""
    decide = many_decisions(engine_after(bars[:800], monitor), request_after(bars[799]))
    assert pe_latency(decide).status is DecisionStatus.APPROVED


@pytest.mark.parametrize("kind", [*MONITORS])
def test_what_decisions_keep(pe_memory, bars, kind):
    """With a clock that always ticks the same: what takes longer is counted in another cell, which may be a new one."""
    monitor = MONITORS[kind](clock=count(0.0, 1e-5).__next__)
    decide = many_decisions(engine_after(bars[:800], monitor), request_after(bars[799]))
    assert pe_memory["kept"](decide).status is DecisionStatus.APPROVED


def test_a_bar_and_its_decision(pe_latency, bars, days_after, monitor):
    """Streaming."""
    engine, days = engine_after(bars[:800], monitor), days_after(bars[799])

    def step():
        for _ in range(10):
            bar = next(days)
            engine.update("AAPL", bar, 20.0)
            decision = engine.decide(request_after(bar))
        return decision

    assert pe_latency(step).report is not None


def test_write_a_page(pe_latency, pe_memory, bars):
    """Everything that an engine and its monitor tell, as it is scraped once in a while."""
    monitor = PerformanceMonitor()
    engine = engine_after(bars[:800], monitor)
    for _ in range(10 * TIMED_EVERY):
        engine.decide(request_after(bars[799]))

    def write():
        return page([*monitor.snapshot(), *component_records(engine)])

    assert "engine_decisions_total" in pe_latency(write)
    pe_memory(write)
