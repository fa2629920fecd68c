"""What the same work costs in the plain engine: the "before" of every speed claim.

Each test does what the test of the fast engine does that it names, on the same bars, and says so by its answer.
"""

from __future__ import annotations

import pytest

from engine_opt import ATRAdjustmentSystem, MarketCondition, MarketConditionAnalyzer, WeekClassifier, WeekContext
from engine_opt import reference as plain


@pytest.fixture(scope="module")
def week(bars):
    """Return the second week of the stock, held with a short put: the week that the fast engine is given."""
    start, end = bars[9], bars[14]
    condition = MarketCondition("AAPL", end.close, start.close, volatility=0.35, previous_close=start.close)
    context = WeekContext(strike=start.close * 0.97, cost_basis=start.close * 1.02, days_to_expiration=3)
    return condition, "short_put", context


def test_classify_one_week(pe_latency, pe_memory, week):
    """As test_week_classifier.py::test_classify_one_week."""
    answer, fast = pe_latency(plain.classify_week, *week), WeekClassifier().classify_week(*week)
    assert answer._replace(confidence=None) == fast._replace(confidence=None)
    assert answer.confidence == pytest.approx(fast.confidence, rel=1e-12)
    pe_memory(plain.classify_week, *week)


def test_analysis_of_the_day(pe_latency, pe_memory, bars):
    """As test_market_condition.py::test_analysis_of_the_day: without a stream the two years are gone through again."""
    past, vix = bars[:500], [20.0] * 500
    answer, fast = pe_latency(plain.analyze, past, vix), MarketConditionAnalyzer().analyze(past, vix)
    assert (answer.time, answer.condition, answer.regime) == (fast.time, fast.condition, fast.regime)
    assert answer.score == pytest.approx(fast.score, rel=1e-12)
    pe_memory(plain.analyze, past, vix)


def test_reading_and_adjustment(pe_latency, pe_memory, bars):
    """As test_atr_adjustment.py::test_reading_and_adjustment: the ranges of 600 bars, averaged again."""
    past = bars[:600]

    def decide():
        return plain.adjust(plain.measure("AAPL", past), "GEN")

    system = ATRAdjustmentSystem()
    fast = system.adjust(system.measure("AAPL", past), "GEN")
    answer = pe_latency(decide)
    assert answer._replace(reading=None) == fast._replace(reading=None)
    assert answer.reading.atr == pytest.approx(fast.reading.atr, rel=1e-12)
    pe_memory(decide)
