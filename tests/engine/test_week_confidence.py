"""Confidence is the probability that the type is unchanged at expiry: by formula, by simulation, on real weeks."""

from itertools import pairwise
from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import InputError, MarketCondition, WeekClassifier, WeekContext
from engine_opt.protocol.indicators import historic_volatility
from engine_opt.protocol.week_classifier import evaluate, probability_unchanged

BOUNDS = (-15.0, -10.0, -5.0, 1.0, 5.0)
CELLS = list(pairwise((-inf, *BOUNDS, inf)))

movements = st.floats(min_value=-99.0, max_value=300.0)
volatilities = st.floats(min_value=0.0, max_value=3.0)
years = st.floats(min_value=0.0, max_value=2.0)


@pytest.mark.parametrize("movement", [-18.0, -12.0, -5.0, 0.0, 4.9, 12.0])
@pytest.mark.parametrize(("volatility", "days"), [(0.15, 1), (0.4, 5), (0.8, 30)])
def test_confidence_is_what_a_simulation_finds(movement, volatility, days):
    """A million seeded driftless lognormal prices fall into the cell as often as the formula says (5 standard errors)."""
    spread = volatility * sqrt(days / 365)
    noise = np.random.default_rng(20_240_601).standard_normal(1_000_000)
    ends = ((1 + movement / 100) * np.exp(spread * noise - spread**2 / 2) - 1) * 100
    for lower, upper in CELLS:
        p = probability_unchanged(movement, lower, upper, volatility, days / 365)
        found = np.mean((ends >= lower) & (ends < upper))
        assert found == pytest.approx(p, abs=5 * sqrt(max(p * (1 - p), 1e-6) / 1e6))


@settings(deadline=None)
@given(movement=movements, volatility=volatilities, tau=years)
def test_the_cells_share_out_all_probability(movement, volatility, tau):
    """Over all cells the probabilities sum to one, and each lies between none and one."""
    shares = [probability_unchanged(movement, low, high, volatility, tau) for low, high in CELLS]
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert sum(shares) == pytest.approx(1.0, abs=1e-12)


@settings(deadline=None)
@given(movement=movements)
def test_at_expiry_nothing_is_uncertain(movement):
    """With no time or no volatility left the present cell has probability one and the others none."""
    for volatility, tau in ((0.5, 0.0), (0.0, 0.5)):
        shares = [probability_unchanged(movement, low, high, volatility, tau) for low, high in CELLS]
        assert sorted(shares) == [0.0] * 5 + [1.0]


@settings(deadline=None)
@given(
    cell=st.sampled_from([cell for cell in CELLS if -inf not in cell and inf not in cell]),
    share=st.floats(0.1, 0.9),
    vol=st.floats(0.05, 1.0),
    days=st.floats(0.5, 20),
)
def test_more_time_is_less_sure_inside_a_bounded_cell(cell, share, vol, days):
    """Inside a bounded cell the probability to stay falls as time goes on."""
    movement = cell[0] + share * (cell[1] - cell[0])
    soon, late = (probability_unchanged(movement, *cell, vol, d / 365) for d in (days, 2 * days))
    assert late <= soon + 1e-12


@settings(deadline=None)
@given(volatility=st.floats(0.05, 1.0), tau=st.floats(0.001, 1.0))
def test_prices_have_no_drift(volatility, tau):
    """The median of a driftless lognormal lies below the mean by half the variance, in logarithms."""
    spread = volatility * sqrt(tau)
    half = (np.exp(-(spread**2) / 2) - 1) * 100
    assert probability_unchanged(0.0, -inf, half, volatility, tau) == pytest.approx(0.5, abs=1e-9)


def test_far_tails_keep_their_digits():
    """A probability of 1e-50 is 1e-50 on either side, not the difference of two numbers close to one."""
    spread = 0.1
    for side in (1, -1):
        bound = (np.exp(side * 1.5 - spread**2 / 2) - 1) * 100
        cell = (bound, inf) if side > 0 else (-inf, bound)
        assert probability_unchanged(0.0, *cell, spread, 1.0) == pytest.approx(3.6709661993126984e-51, rel=1e-6)


@pytest.mark.parametrize(
    "values",
    [(-100.0, 0.2, 0.1), (nan, 0.2, 0.1), (0.0, -0.2, 0.1), (0.0, 18.0, 0.1), (0.0, 0.2, -0.1), (0.0, nan, 0.1)],
)
def test_impossible_values_are_refused(values):
    """A total loss, a negative time or volatility and what is not a number have no probability."""
    movement, volatility, tau = values
    with pytest.raises(InputError):
        probability_unchanged(movement, -5.0, 1.0, volatility, tau)


def test_without_days_to_expiration_there_is_no_confidence():
    """Confidence is None, not a guess, where the time left is not known."""
    week = MarketCondition("X", 100.0, 100.0, 0.2)
    assert WeekClassifier().classify_week(week, "short_put").confidence is None
    assert WeekClassifier().classify_week(week, "short_put", WeekContext(days_to_expiration=0)).confidence == 1.0


def test_cash_does_not_depend_on_the_price():
    """Cash is one cell: no price changes its type, so the confidence is one."""
    week = MarketCondition("X", 70.0, 100.0, 0.9)
    assert WeekClassifier().classify_week(week, "cash", WeekContext(days_to_expiration=30)).confidence == 1.0


def test_confidence_is_calibrated_on_real_weeks(series):
    """Over 2,368 real stock weeks, judged on the third session for the fifth, confidence and hit rate agree.

    Types are those of stock bought at the week's start. 20-session volatility knows nothing of earnings and gaps, so the
    agreement is asked to 4 points, and the Brier score to beat a coin's 0.25.
    """
    classifier, outcomes = WeekClassifier(), []
    for symbol in ("AAPL", "GOOG", "IBM", "MSFT"):
        closes = [bar.close for bar in series[symbol]]
        volatility = historic_volatility(closes)
        for start in range(25, len(closes) - 5, 5):
            basis, now, end = closes[start], closes[start + 3], closes[start + 5]
            # two sessions, as calendar days of a year of 252
            known = WeekContext(cost_basis=basis, days_to_expiration=2 / 252 * 365)
            call = classifier.classify_week(
                MarketCondition(symbol, now, basis, volatility[start + 3]), "long_stock", known
            )
            final = classifier.classify_week(MarketCondition(symbol, end, basis, 0.2), "long_stock").week_type
            outcomes.append((call, final))
    result = evaluate(outcomes)
    claimed = sum(call.confidence for call, _ in outcomes) / len(outcomes)
    assert result.weeks == 2368
    assert result.hit_rate == pytest.approx(claimed, abs=0.04)
    assert result.brier_score < 0.22
