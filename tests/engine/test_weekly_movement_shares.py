"""How often real weeks fall into each category, and what the original made of them."""

import itertools

import pytest

from engine_opt import MarketCondition, MovementCategory, WeekClassifier, WeekRules, WeekType
from engine_opt.protocol.week_classifier import movement_between, movement_category


def weekly_closes(bars):
    """The last close of each ISO week."""
    return list({bar.time.isocalendar()[:2]: bar.close for bar in bars}.values())


@pytest.mark.parametrize("name", ["S&P 500", "NASDAQ", "AAPL", "GOOG", "IBM", "MSFT"])
def test_weekly_movement_shares(name, series, golden):
    """The published table of weeks per category is reproduced, week count and first decimal."""
    table = golden("weekly_movement_shares.json")
    expected = table["rows"][name]
    closes = weekly_closes(series[name])
    movements = [movement_between(a, b) for a, b in itertools.pairwise(closes)]
    found = [movement_category(movement) for movement in movements]
    shares = [round(100 * found.count(MovementCategory(each)) / len(found), 1) for each in table["order"]]
    assert (len(movements), shares) == (expected["weeks"], expected["shares"])


@pytest.mark.parametrize("name", ["S&P 500", "NASDAQ", "AAPL", "GOOG", "IBM", "MSFT"])
def test_weeks_that_the_original_mistakes_for_idle(name, series, golden):
    """The original calls up to 23 % of weeks with a short put idle; the standard rules call none so."""
    closes = weekly_closes(series[name])
    weeks = [MarketCondition(name, b, a, 0.2) for a, b in itertools.pairwise(closes)]
    idle = {
        rules.name: sum(
            WeekClassifier(rules).classify_week(week, "short_put").week_type is WeekType.W_IDL for week in weeks
        )
        for rules in (WeekRules.original(), WeekRules.standard())
    }
    expected = golden("weekly_movement_shares.json")["rows"][name]["short_put_idle"]
    assert 100 * idle["original"] / len(weeks) == pytest.approx(expected, abs=0.05000001)
    assert idle["standard"] == 0
