"""What it costs to classify weeks of a real stock."""

from __future__ import annotations

from itertools import pairwise

import pytest

from engine_opt import MarketCondition, WeekClassifier, WeekContext, WeekRules

POSITIONS = ("cash", "short_put", "long_stock", "short_call")


@pytest.fixture(scope="module")
def weeks(bars):
    """Return 208 weeks as (condition, position, context), all positions in turn."""
    fridays = bars[4::5][:209]
    found = []
    for number, (start, end) in enumerate(pairwise(fridays)):
        condition = MarketCondition("AAPL", end.close, start.close, volatility=0.35, previous_close=start.close)
        context = WeekContext(strike=start.close * 0.97, cost_basis=start.close * 1.02, days_to_expiration=3)
        found.append((condition, POSITIONS[number % 4], context))
    return found


def classify_all(classifier, weeks):
    """Classify every week, and return how many different answers there were."""
    classify = classifier.classify_week
    return len({classify(condition, position, context).week_type for condition, position, context in weeks})


def test_classify_one_week(pe_latency, pe_memory, weeks):
    """One decision of the total table, with its confidence."""
    classifier = WeekClassifier()
    week = weeks[1]
    assert pe_latency(classifier.classify_week, *week).week_type
    pe_memory(classifier.classify_week, *week)


def test_classify_four_years(pe_latency, pe_memory, weeks):
    """208 weeks in all four positions."""
    classifier = WeekClassifier()
    assert pe_latency(classify_all, classifier, weeks) >= 8
    pe_memory(classify_all, classifier, weeks)


def test_classify_four_years_by_the_original_rules(pe_latency, pe_memory, weeks):
    """The same weeks by the rule set that is kept for parity."""
    classifier = WeekClassifier(WeekRules.original())
    assert pe_latency(classify_all, classifier, weeks) >= 6
    pe_memory(classify_all, classifier, weeks)
