"""Strike and delta against scipy's normal distribution, and against each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from engine_opt import InputError
from engine_opt.protocol.normal import normal_quantile
from engine_opt.protocol.pricing import call_delta, call_strike, put_delta, put_strike

prices = st.floats(0.5, 5000.0)
volatilities = st.floats(0.05, 2.0)
days = st.integers(1, 365)


@given(st.floats(1e-300, 1.0 - 1e-12))
def test_the_quantile_is_that_of_the_normal_distribution(p):
    assert normal_quantile(p) == pytest.approx(norm.ppf(p), rel=2e-14, abs=1e-15)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, 1.1, float("nan")])
def test_what_is_no_probability_has_no_quantile(p):
    with pytest.raises(InputError, match="strictly between 0 and 1"):
        normal_quantile(p)


@given(prices, st.floats(1.0, 99.0), volatilities, days)
def test_the_strike_of_a_delta_has_that_delta(price, delta, volatility, held):
    years = held / 365
    assert put_delta(price, put_strike(price, delta, volatility, years), volatility, years) == pytest.approx(delta)
    assert call_delta(price, call_strike(price, delta, volatility, years), volatility, years) == pytest.approx(delta)


@given(prices, prices, volatilities, days)
def test_deltas_are_those_of_black_and_scholes(price, strike, volatility, held):
    from math import log, sqrt

    spread = volatility * sqrt(held / 365)
    d = (log(price / strike) + spread**2 / 2) / spread
    assert call_delta(price, strike, volatility, held / 365) == pytest.approx(100 * norm.cdf(d), rel=1e-12, abs=1e-12)
    assert put_delta(price, strike, volatility, held / 365) == pytest.approx(100 * norm.cdf(-d), rel=1e-12, abs=1e-12)


@given(prices, st.floats(1.0, 49.0), volatilities, days)
def test_a_smaller_delta_is_farther_away(price, delta, volatility, held):
    years = held / 365
    assert put_strike(price, delta, volatility, years) < put_strike(price, delta + 1, volatility, years)
    assert call_strike(price, delta, volatility, years) > call_strike(price, delta + 1, volatility, years)


def test_a_case_from_a_table():
    """Spot 100, volatility 20 %, a year: d = 0.1, and the table of the normal distribution has 0.5398 there."""
    assert call_delta(100.0, 100.0, 0.2, 1.0) == pytest.approx(53.98, abs=0.005)


def test_at_expiry_an_option_is_in_the_money_or_not():
    assert put_delta(99.0, 100.0, 0.3, 0.0) == 100.0
    assert put_delta(101.0, 100.0, 0.3, 0.0) == 0.0
    assert call_delta(101.0, 100.0, 0.3, 0.0) == 100.0


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), None, True])
def test_a_price_that_cannot_be_is_refused(bad):
    with pytest.raises(InputError):
        put_delta(bad, 100.0, 0.3, 0.1)
