"""Strike and delta of a European option, in closed form: what a proposal starts from, not a quote.

Black and Scholes 1973, Journal of Political Economy 81, with no interest and no dividends: over the days that the
protocol holds an option both are smaller than the error of the volatility. With s = volatility * sqrt(years) and
d = (ln(price / strike) + s*s/2) / s the delta of a call is 100 Phi(d) points, that of a put 100 Phi(-d), its sign left
away as everywhere in the protocol.
"""

from __future__ import annotations

from math import erfc, exp, inf, log, sqrt

from engine_opt import _validate as check
from engine_opt.protocol.normal import normal_quantile

_ROOT_HALF = sqrt(0.5)


def put_delta(price: float, strike: float, volatility: float, years: float) -> float:
    """Return the delta of a put in points, 0-100, without its sign; at expiry 100 below the strike and 0 above it."""
    return 50.0 * erfc(_d(price, strike, volatility, years) * _ROOT_HALF)


def call_delta(price: float, strike: float, volatility: float, years: float) -> float:
    """Return the delta of a call in points, 0-100."""
    return 50.0 * erfc(-_d(price, strike, volatility, years) * _ROOT_HALF)


def put_strike(price: float, delta: float, volatility: float, years: float) -> float:
    """Return the strike at which a put has `delta` points, strictly between 0 and 100."""
    spread = volatility * sqrt(years)
    return price * exp(spread * (spread / 2.0 + normal_quantile(delta / 100.0)))


def call_strike(price: float, delta: float, volatility: float, years: float) -> float:
    """Return the strike at which a call has `delta` points, strictly between 0 and 100."""
    spread = volatility * sqrt(years)
    return price * exp(spread * (spread / 2.0 - normal_quantile(delta / 100.0)))


def _d(price: float, strike: float, volatility: float, years: float) -> float:
    """Return d of the formula; `volatility` is an annualised fraction."""
    distance = log(check.positive("price", price) / check.positive("strike", strike))
    spread = check.volatility("volatility", volatility) * sqrt(check.non_negative("years", years))
    if spread == 0.0:
        return inf if distance > 0.0 else -inf if distance < 0.0 else 0.0
    return (distance + spread * spread / 2.0) / spread
