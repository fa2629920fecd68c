"""Technical indicators, each as a function of a whole series and as a stream that takes one value at a time.

Series functions stand here. They return one float per input, NaN while the indicator is not defined yet (TA-Lib's
convention), and are written as the textbook writes them: they are what the streams are checked against. Streams are in
`indicator_streams`; the indicators of a window (Bollinger, volatility, slope, ...) share one kernel between both forms,
which is in `indicator_kernels`. All of them can be had from here.

Volatilities are annualised with 252 sessions, fractions of one. All functions raise InputError for a value that is
not a finite number (prices: a positive one).

Sources: Wilder 1978, New Concepts in Technical Trading Systems (true range, ATR, RSI); Appel 1979 (MACD);
Bollinger 2001, Bollinger on Bollinger Bands; Parkinson 1980, Journal of Business 53 (range volatility).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from math import fsum, log, nan

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.protocol.indicator_kernels import (
    SESSIONS_PER_YEAR,
    Line,
    annual_volatility,
    band_position,
    last_over_mean_before,
    mean_and_deviation,
    period,
    range_volatility,
    spans,
    strength,
)
from engine_opt.protocol.indicator_streams import (
    MACD,
    AverageTrueRange,
    BollingerPosition,
    ExponentialATR,
    HistoricVolatility,
    ParkinsonVolatility,
    RateOfChange,
    SimpleATR,
    SlopeT,
    TrueRange,
    VolumeRatio,
    WilderATR,
    WilderRSI,
)

__all__ = [
    "MACD",
    "SESSIONS_PER_YEAR",
    "AverageTrueRange",
    "BollingerPosition",
    "ExponentialATR",
    "HistoricVolatility",
    "Line",
    "ParkinsonVolatility",
    "RateOfChange",
    "SimpleATR",
    "SlopeT",
    "TrueRange",
    "VolumeRatio",
    "WilderATR",
    "WilderRSI",
    "annual_volatility",
    "band_position",
    "bollinger_position",
    "ema_atr",
    "historic_volatility",
    "last_over_mean_before",
    "macd",
    "mean_and_deviation",
    "parkinson_volatility",
    "range_volatility",
    "rate_of_change",
    "slope_t",
    "sma_atr",
    "true_range",
    "volume_ratio",
    "wilder_atr",
    "wilder_rsi",
]


def true_range(high: Iterable[float], low: Iterable[float], close: Iterable[float]) -> list[float]:
    """Return max(high - low, |high - previous close|, |low - previous close|); the first bar's is high - low."""
    highs, lows, closes = _bars(high, low, close)
    ranges = [highs[0] - lows[0]] if highs else []
    for i in range(1, len(highs)):
        before = closes[i - 1]
        ranges.append(max(highs[i] - lows[i], abs(highs[i] - before), abs(lows[i] - before)))
    return ranges


def wilder_atr(high: Iterable[float], low: Iterable[float], close: Iterable[float], n: int = 14) -> list[float]:
    """Return Wilder's average true range: the mean of true ranges 1..n at index n, then ((n-1)*before + new)/n."""
    return _smoothed_ranges(true_range(high, low, close), n, lambda before, new: ((n - 1) * before + new) / n)


def ema_atr(high: Iterable[float], low: Iterable[float], close: Iterable[float], n: int = 14) -> list[float]:
    """Return the exponential average of the true range, factor 2/(n+1), seeded like Wilder's."""
    factor = 2.0 / (n + 1)
    return _smoothed_ranges(true_range(high, low, close), n, lambda before, new: before + factor * (new - before))


def sma_atr(high: Iterable[float], low: Iterable[float], close: Iterable[float], n: int = 14) -> list[float]:
    """Return the plain mean of the last n true ranges; the first bar's, which knows no gap, is left out."""
    period("n", n, 1)
    ranges = true_range(high, low, close)
    return [nan if i < n else fsum(ranges[i - n + 1 : i + 1]) / n for i in range(len(ranges))]


def wilder_rsi(closes: Iterable[float], n: int = 14) -> list[float]:
    """Return Wilder's relative strength index, 0-100, from index n on; where nothing ever moved it is 50."""
    period("n", n, 1)
    prices = check.positive_series("close", closes)
    gain = loss = 0.0
    result = [nan] * min(n, len(prices))
    for i in range(1, len(prices)):
        change = prices[i] - prices[i - 1]
        up, down = max(change, 0.0), max(-change, 0.0)
        if i <= n:
            gain, loss = gain + up / n, loss + down / n
        else:
            gain, loss = (gain * (n - 1) + up) / n, (loss * (n - 1) + down) / n
        if i >= n:
            result.append(strength(gain, loss))
    return result


def macd(
    closes: Iterable[float], fast: int = 12, slow: int = 26, signal: int = 9
) -> tuple[list[float], list[float], list[float]]:
    """Return MACD, its signal line and their difference, all from index slow + signal - 2 on.

    Both averages start at index slow - 1, the fast one from the mean of the last `fast` closes there, as in TA-Lib.
    """
    spans(fast, slow, signal)
    prices = check.positive_series("close", closes)
    lines: list[float] = []
    quick = gradual = 0.0
    for i in range(slow - 1, len(prices)):
        if i == slow - 1:
            quick = fsum(prices[slow - fast : slow]) / fast
            gradual = fsum(prices[:slow]) / slow
        else:
            quick += 2.0 / (fast + 1) * (prices[i] - quick)
            gradual += 2.0 / (slow + 1) * (prices[i] - gradual)
        lines.append(quick - gradual)
    smooth: list[float] = []
    for k in range(signal - 1, len(lines)):
        first = k == signal - 1
        smooth.append(
            fsum(lines[:signal]) / signal if first else smooth[-1] + 2.0 / (signal + 1) * (lines[k] - smooth[-1])
        )
    start = [nan] * (len(prices) - len(smooth))
    line = lines[signal - 1 :]
    return start + line, start + smooth, start + [a - b for a, b in zip(line, smooth, strict=True)]


def bollinger_position(closes: Iterable[float], n: int = 20, width: float = 2.0) -> list[float]:
    """Return where each close stands between the bands, mean -+ `width` population deviations of n closes."""
    return _windowed(check.positive_series("close", closes), period("n", n, 2), partial(band_position, width=width))


def historic_volatility(closes: Iterable[float], n: int = 20) -> list[float]:
    """Return the annualised sample standard deviation of the last n log returns, from index n on."""
    prices = check.positive_series("close", closes)
    returns = [log(after / before) for before, after in pairwise(prices)]
    return [nan] * min(1, len(prices)) + _windowed(returns, period("n", n, 2), annual_volatility)


def parkinson_volatility(high: Iterable[float], low: Iterable[float], n: int = 20) -> list[float]:
    """Return Parkinson's annualised volatility of the last n bars, from index n - 1 on."""
    highs, lows, _ = _bars(high, low, None)
    squares = [log(top / bottom) ** 2 for top, bottom in zip(highs, lows, strict=True)]
    return _windowed(squares, period("n", n, 1), range_volatility)


def rate_of_change(closes: Iterable[float], n: int = 5) -> list[float]:
    """Return the return over n sessions as a fraction, from index n on."""
    period("n", n, 1)
    prices = check.positive_series("close", closes)
    return [nan if i < n else prices[i] / prices[i - n] - 1.0 for i in range(len(prices))]


def slope_t(values: Iterable[float], n: int = 20) -> list[float]:
    """Return the t-statistic of the least squares slope of the last n values, from index n - 1 on."""
    line = Line(n)
    return _windowed(check.series("value", values), n, lambda window: line.fit(window)[2])


def volume_ratio(volumes: Iterable[float], n: int = 20) -> list[float]:
    """Return each volume over the mean of the n before it, from index n on; NaN where none was traded before."""
    period("n", n, 1)
    traded = check.series("volume", volumes, low=0.0)
    result = [nan] * min(n, len(traded))
    for i in range(n, len(traded)):
        before = fsum(traded[i - n : i])
        result.append(traded[i] / (before / n) if before else nan)
    return result


def _smoothed_ranges(ranges: list[float], n: int, following: Callable[[float, float], float]) -> list[float]:
    period("n", n, 1)
    result = [nan] * min(n, len(ranges))
    if len(ranges) > n:
        result.append(sum(ranges[1 : n + 1]) / n)
        for new in ranges[n + 1 :]:
            result.append(following(result[-1], new))
    return result


def _windowed(values: list[float], n: int, kernel: Callable[[list[float]], float]) -> list[float]:
    return [nan if i < n else kernel(values[i - n : i]) for i in range(1, len(values) + 1)]


def _bars(
    high: Iterable[float], low: Iterable[float], close: Iterable[float] | None
) -> tuple[list[float], list[float], list[float]]:
    highs, lows = check.positive_series("high", high), check.positive_series("low", low)
    closes = highs if close is None else check.positive_series("close", close)
    if not len(highs) == len(lows) == len(closes):
        raise InputError("high, low, close", (len(highs), len(lows), len(closes)), "the series differ in length")
    for i, (top, bottom) in enumerate(zip(highs, lows, strict=True)):
        if top < bottom:
            raise InputError(f"high[{i}]", top, f"it is below low[{i}]={bottom!r}")
    return highs, lows, closes
