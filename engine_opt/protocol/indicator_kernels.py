"""What indicators are worked out from: one finished window in, one number out. Series and streams share these.

Windows are summed anew each time. Running sums would save well under a microsecond and lose digits whenever a large
value leaves the window: after one outlier a running variance is wrong in its sixth digit for good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from math import dist, fsum, log, nan, sqrt
from operator import mul

from engine_opt.errors import ConfigError

SESSIONS_PER_YEAR = 252
_YEAR = sqrt(SESSIONS_PER_YEAR)

# Prices are quoted to fewer digits than this: a smaller spread is rounding, not a market.
_ROUNDING = 1e-12
_PARKINSON = 1.0 / (4.0 * log(2.0))


def mean_and_deviation(window: Sequence[float] | deque[float], degrees_lost: int = 1) -> tuple[float, float]:
    """Return the mean and the standard deviation; `degrees_lost` is 1 for a sample, 0 for a population."""
    n = len(window)
    mean = fsum(window) / n
    return mean, dist(window, (mean,) * n) / sqrt(n - degrees_lost)


def annual_volatility(log_returns: Sequence[float] | deque[float]) -> float:
    """Return the annualised sample standard deviation of daily log returns."""
    return mean_and_deviation(log_returns)[1] * _YEAR


def band_position(closes: Sequence[float] | deque[float], width: float = 2.0) -> float:
    """Return where the last close stands between the Bollinger bands: 0 lower, 1 upper, not clamped; flat is 0.5."""
    mean, deviation = mean_and_deviation(closes, degrees_lost=0)
    if deviation <= _ROUNDING * mean:
        return 0.5
    return 0.5 + (closes[-1] - mean) / (2.0 * width * deviation)


def range_volatility(squared_ranges: Sequence[float] | deque[float]) -> float:
    """Return Parkinson's annualised volatility from ln(high/low) squared."""
    return sqrt(fsum(squared_ranges) / len(squared_ranges) * _PARKINSON) * _YEAR


class Line:
    """Least squares line through a window of n equally spaced values; the constants of n are worked out once."""

    __slots__ = ("_n", "_offsets", "_spread")

    def __init__(self, n: int) -> None:
        self._n = period("n", n, 3)
        self._offsets = tuple(i - (n - 1) / 2 for i in range(n))
        self._spread = fsum(x * x for x in self._offsets)

    def slope(self, window: Sequence[float] | deque[float]) -> float:
        """Return the slope per step."""
        total: float = sum(map(mul, self._offsets, window))
        return total / self._spread

    def fit(self, window: Sequence[float] | deque[float]) -> tuple[float, float, float]:
        """Return mean, slope per step, and the slope's t-statistic (n - 2 degrees of freedom).

        The residual deviation is not taken below 1e-9 of the mean, the resolution of a quoted price, so that a
        perfect line has a large t and not an infinite one.
        """
        mean = sum(window) / self._n
        slope = self.slope(window)
        fitted = [mean + slope * x for x in self._offsets]
        residual = dist(window, fitted) / sqrt(self._n - 2)
        error = max(residual, 1e-9 * abs(mean), 1e-300) / sqrt(self._spread)
        return mean, slope, slope / error


def last_over_mean_before(window: deque[float]) -> float:
    """Return the last value over the mean of the others, NaN where those are all 0."""
    n = len(window) - 1
    before = fsum(islice(window, n))
    return window[-1] / (before / n) if before > 0.0 else nan


def strength(gain: float, loss: float) -> float:
    """Return the relative strength index of an average gain and loss, 0-100; 50 where nothing moved."""
    total = gain + loss
    return 100.0 * (gain / total) if total > 0.0 else 50.0


def period(field: str, n: int, least: int) -> int:
    """Return a period. Raises ConfigError for what is no whole number of at least `least`."""
    if isinstance(n, bool) or not isinstance(n, int) or n < least:
        raise ConfigError(f"{field}={n!r} is not a period: give a whole number of at least {least}")
    return n


def spans(fast: int, slow: int, signal: int) -> tuple[int, int, int]:
    """Return the three spans of MACD. Raises ConfigError unless the fast one is the shorter."""
    for name, span in (("fast", fast), ("slow", slow), ("signal", signal)):
        period(name, span, 1)
    if fast >= slow:
        raise ConfigError(f"fast={fast} must be shorter than slow={slow}")
    return fast, slow, signal
