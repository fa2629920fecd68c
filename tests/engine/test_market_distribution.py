"""How the analyzer judges twenty years of the S&P 500: a published table, recomputed."""

from collections import Counter

import pytest

from engine_opt import MarketConditionAnalyzer, MarketConditionKind, MarketConfig, MarketRegime, MarketRiskLevel

TABLE = "sp500_market_conditions.json"


def tally(bars, config, vix):
    """Sessions per condition, regime and risk level, in the order of the enums."""
    stream = MarketConditionAnalyzer(config).stream()
    answers = []
    for bar in bars:
        stream.update(bar, vix.get(bar.time))
        if stream.ready:
            answers.append(stream.analysis())
    count = {"sessions": len(answers)}
    for field, kind in (("condition", MarketConditionKind), ("regime", MarketRegime), ("risk_level", MarketRiskLevel)):
        found = Counter(getattr(answer, field) for answer in answers)
        count[field] = {each.value: found[each] for each in kind}
    return count


@pytest.fixture(scope="module")
def tallies(series, vix):
    index = series["S&P 500"]
    recent = [bar for bar in index if bar.time in vix]
    return {
        "standard, 1999-2018, without VIX": tally(index, MarketConfig(), {}),
        "standard, 2014-2018, with VIX": tally(recent, MarketConfig(), vix),
        "original, 2014-2018, with VIX": tally(recent, MarketConfig.original(), vix),
    }


def test_the_published_distribution_is_what_the_analyzer_says(tallies, golden):
    """The checked-in table of conditions, regimes and risks is recomputed to the last session."""
    assert tallies == golden(TABLE)["tallies"]


def test_every_condition_and_regime_occurs(tallies):
    """Twenty years of the index reach all seven conditions and all seven regimes, and all four levels of risk."""
    found = tallies["standard, 1999-2018, without VIX"]
    assert all(found[field][name] > 0 for field in ("condition", "regime", "risk_level") for name in found[field])


def test_no_condition_swallows_the_others(tallies):
    """The standard scoring gives no condition more than a third of the sessions; the original gives one over 80 %."""
    shares = {name: max(found["condition"].values()) / found["sessions"] for name, found in tallies.items()}
    assert shares["standard, 1999-2018, without VIX"] < 1 / 3
    assert shares["standard, 2014-2018, with VIX"] < 1 / 3
    assert shares["original, 2014-2018, with VIX"] > 0.8
