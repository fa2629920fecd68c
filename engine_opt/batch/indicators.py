"""Technical indicators of a whole series as arrays: the functions of `protocol.indicators`, with NumPy.

Same names, same arguments, same results to twelve digits, NaN while an indicator is not defined. The functions that
end in `_after` go on from a state instead of starting anew; chunks of a long series are made of them.
"""

from __future__ import annotations

from math import fsum, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine_opt.batch.columns import Floats, float_column, padded
from engine_opt.batch.recursion import Average, exponential, smoothed, smoothed_together, wilder
from engine_opt.batch.windows import lines, sums, sums_and_squares
from engine_opt.errors import ConfigError, InputError
from engine_opt.protocol.indicators import SESSIONS_PER_YEAR

_YEAR = sqrt(SESSIONS_PER_YEAR)
_ROUNDING = 1e-12  # of the mean: a smaller spread of prices is rounding
_PARKINSON = 1.0 / (4.0 * log(2.0))


def true_range(high: ArrayLike, low: ArrayLike, close: ArrayLike) -> Floats:
    """Return max(high - low, |high - previous close|, |low - previous close|); the first bar's is high - low."""
    return ranges(*_bars(high, low, close))


def wilder_atr(high: ArrayLike, low: ArrayLike, close: ArrayLike, n: int = 14) -> Floats:
    """Return Wilder's average true range: the mean of true ranges 1..n at index n, then ((n-1)*before + new)/n."""
    return wilder_average(true_range(high, low, close), _period("n", n, 1))


def ema_atr(high: ArrayLike, low: ArrayLike, close: ArrayLike, n: int = 14) -> Floats:
    """Return the exponential average of the true range, factor 2/(n+1), seeded like Wilder's."""
    return exponential_average(true_range(high, low, close), _period("n", n, 1))


def sma_atr(high: ArrayLike, low: ArrayLike, close: ArrayLike, n: int = 14) -> Floats:
    """Return the plain mean of the last n true ranges; the first bar's, which knows no gap, is left out."""
    return plain_average(true_range(high, low, close), _period("n", n, 1))


def wilder_rsi(closes: ArrayLike, n: int = 14) -> Floats:
    """Return Wilder's relative strength index, 0-100, from index n on; where nothing ever moved it is 50."""
    return rsi_from_start(positive("close", closes), _period("n", n, 1))[0]


def macd(closes: ArrayLike, fast: int = 12, slow: int = 26, signal: int = 9) -> tuple[Floats, Floats, Floats]:
    """Return MACD, its signal line and their difference, all from index slow + signal - 2 on, seeded as in TA-Lib."""
    for name, span in (("fast", fast), ("slow", slow), ("signal", signal)):
        _period(name, span, 1)
    if fast >= slow:
        raise ConfigError(f"fast={fast} must be shorter than slow={slow}")
    prices = positive("close", closes)
    line, smooth, _ = macd_from_start(prices, fast, slow, signal)
    return line, smooth, line - smooth


def bollinger_position(closes: ArrayLike, n: int = 20, width: float = 2.0) -> Floats:
    """Return where each close stands between the bands, mean -+ `width` population deviations of n closes."""
    _period("n", n, 2)
    prices = positive("close", closes)
    return padded(band_positions(prices, n, width), len(prices), np.nan)


def historic_volatility(closes: ArrayLike, n: int = 20) -> Floats:
    """Return the annualised sample standard deviation of the last n log returns, from index n on."""
    _period("n", n, 2)
    prices = positive("close", closes)
    return padded(annual_volatilities(log_returns(prices), n), len(prices), np.nan)


def parkinson_volatility(high: ArrayLike, low: ArrayLike, n: int = 20) -> Floats:
    """Return Parkinson's annualised volatility of the last n bars, from index n - 1 on."""
    _period("n", n, 1)
    highs, lows, _ = _bars(high, low, None)
    return padded(range_volatilities(highs, lows, n), len(highs), np.nan)


def rate_of_change(closes: ArrayLike, n: int = 5) -> Floats:
    """Return the return over n sessions as a fraction, from index n on."""
    _period("n", n, 1)
    prices = positive("close", closes)
    return padded(changes(prices, n), len(prices), np.nan)


def slope_t(values: ArrayLike, n: int = 20) -> Floats:
    """Return the t-statistic of the least squares slope of the last n values, from index n - 1 on."""
    _period("n", n, 3)
    column = _finite("value", values)
    return padded(lines(column, n)[2], len(column), np.nan)


def volume_ratio(volumes: ArrayLike, n: int = 20) -> Floats:
    """Return each volume over the mean of the n before it, from index n on; NaN where none was traded before."""
    _period("n", n, 1)
    traded = _finite("volume", volumes, least=0.0)
    return padded(ratios_to_mean(traded, n), len(traded), np.nan)


# --- parts: columns that are known to be good in, as many results as there are full windows out -----------------------


def ranges(high: Floats, low: Floats, close: Floats) -> Floats:
    """Return the true ranges; the first is high - low, for what was before is not known."""
    before = close[:-1]
    result = np.empty(len(close))
    result[:1] = high[:1] - low[:1]
    later = np.maximum(high[1:], before, out=result[1:])
    later -= np.minimum(low[1:], before)
    return result


def wilder_average(values: Floats, n: int) -> Floats:
    """Return Wilder's average of values 1..., NaN up to index n - 1."""
    return _average(values, n, wilder(n))


def exponential_average(values: Floats, n: int) -> Floats:
    """Return the exponential average of values 1..., NaN up to index n - 1."""
    return _average(values, n, exponential(n))


def plain_average(values: Floats, n: int) -> Floats:
    """Return the mean of the last n values, the very first left out, NaN up to index n - 1."""
    return padded(sums(values[1:], n) / n, len(values), np.nan)


def _average(values: Floats, n: int, average: Average) -> Floats:
    if len(values) <= n:
        return np.full(len(values), np.nan)
    before = sum(values[1 : n + 1].tolist()) / n
    result = smoothed(values[n + 1 :], average, before, lead=n + 1)
    result[:n], result[n] = np.nan, before
    return result


class Strength(NamedTuple):
    """State of Wilder's RSI: the averages of gains and losses."""

    gain: float
    loss: float


def rsi_from_start(prices: Floats, n: int = 14) -> tuple[Floats, Strength]:
    """Return the RSI of a series and the state at its end."""
    if len(prices) <= n:
        return np.full(len(prices), np.nan), Strength(np.nan, np.nan)
    steps = np.diff(prices[: n + 1]).tolist()
    gain = loss = 0.0
    for change in steps:
        gain += max(change, 0.0) / n
        loss += max(-change, 0.0) / n
    start = Strength(gain, loss)
    result = np.empty(len(prices))
    result[:n] = np.nan
    result[n] = 100.0 * (gain / (gain + loss)) if gain + loss > 0.0 else 50.0
    return result, _strengths(prices[n:], start, n, result[n + 1 :])


def rsi_after(prices: Floats, state: Strength, n: int = 14) -> tuple[Floats, Strength]:
    """Return the RSI of all prices but the first, whose state is given, and the state at the end."""
    result = np.empty(len(prices) - 1)
    return result, _strengths(prices, state, n, result)


def _strengths(prices: Floats, state: Strength, n: int, out: Floats) -> Strength:
    """Fill in the RSI of all prices but the first, and return the state at the end."""
    moves = np.empty((2, len(prices) - 1))
    up, down = moves
    np.subtract(prices[1:], prices[:-1], out=up)
    np.minimum(up, 0.0, out=down)
    up -= down
    np.negative(down, out=down)
    both = smoothed_together(moves, (wilder(n),) * 2, state)
    end = Strength(*both[:, -1].tolist()) if len(up) else state
    gains, moved = both
    moved += gains
    if not moved.min(initial=1.0) > 0.0:
        still = moved <= 0.0
        moved[still], gains[still] = 1.0, 0.5
    np.divide(gains, moved, out=out)
    out *= 100.0
    return end


class Averages(NamedTuple):
    """State of MACD: the fast and the slow average of the close, and the signal."""

    quick: float
    gradual: float
    signal: float


def macd_from_start(
    prices: Floats, fast: int = 12, slow: int = 26, signal: int = 9
) -> tuple[Floats, Floats, Averages | None]:
    """Return MACD and its signal from index slow + signal - 2 on, NaN before, and the state at the end."""
    first = slow + signal - 2
    if len(prices) <= first:
        return np.full(len(prices), np.nan), np.full(len(prices), np.nan), None
    quick = fsum(prices[slow - fast : slow].tolist()) / fast
    gradual = fsum(prices[:slow].tolist()) / slow
    both = smoothed_together(prices[slow:], (exponential(fast), exponential(slow)), (quick, gradual), lead=1)
    both[:, 0] = quick, gradual
    line = np.empty(len(prices))
    known = np.subtract(both[0], both[1], out=line[slow - 1 :])
    start = fsum(known[:signal].tolist()) / signal
    smooth = smoothed(known[signal:], exponential(signal), start, lead=first + 1)
    smooth[:first], smooth[first] = np.nan, start
    line[:first] = np.nan
    return line, smooth, Averages(float(both[0, -1]), float(both[1, -1]), float(smooth[-1]))


def macd_after(
    prices: Floats, state: Averages, fast: int = 12, slow: int = 26, signal: int = 9
) -> tuple[Floats, Floats, Averages]:
    """Return MACD and its signal for prices that follow on a state, and the state at the end."""
    quick, gradual = smoothed_together(prices, (exponential(fast), exponential(slow)), state[:2])
    line = quick - gradual
    smooth = smoothed(line, exponential(signal), state.signal)
    if not len(prices):
        return line, smooth, state
    return line, smooth, Averages(float(quick[-1]), float(gradual[-1]), float(smooth[-1]))


def band_positions(prices: Floats, n: int = 20, width: float = 2.0) -> Floats:
    """Return where the last of each n prices stands between the bands; in the middle of a flat window."""
    mean, deviation = sums_and_squares(prices, n)
    mean /= n
    deviation /= n
    np.sqrt(deviation, out=deviation)
    flat = deviation <= _ROUNDING * mean
    away = np.subtract(prices[n - 1 :], mean, out=mean)
    if flat.any():
        away[flat], deviation[flat] = 0.0, 1.0
    deviation *= 2.0 * width
    away /= deviation
    away += 0.5
    return away


def log_returns(prices: Floats) -> Floats:
    """Return ln(price / price before), one less than there are prices."""
    result: Floats = np.log(prices[1:] / prices[:-1])
    return result


def annual_volatilities(returns: Floats, n: int) -> Floats:
    """Return the annualised sample standard deviation of each n log returns."""
    _, squares = sums_and_squares(returns, n)
    squares /= n - 1
    return np.sqrt(squares, out=squares) * _YEAR


def range_volatilities(high: Floats, low: Floats, n: int = 20) -> Floats:
    """Return Parkinson's annualised volatility of each n bars."""
    logs = np.log(high / low)
    logs *= logs
    result: Floats = np.sqrt(sums(logs, n) / n * _PARKINSON) * _YEAR
    return result


def changes(prices: Floats, n: int) -> Floats:
    """Return price / price n sessions before, less 1."""
    result: Floats = prices[n:] / prices[:-n]
    result -= 1.0
    return result


def ratios_to_mean(values: Floats, n: int = 20) -> Floats:
    """Return each value over the mean of the n before it, NaN where those are all 0 or one is NaN."""
    if len(values) <= n:
        return np.empty(0)
    before = sums(values[:-1], n)
    before /= n
    before[before == 0.0] = np.nan
    return values[n:] / before


# --- checks -----------------------------------------------------------------------------------------------------------


def positive(field: str, values: ArrayLike) -> Floats:
    """Return a column of finite prices greater than 0."""
    column = np.atleast_1d(float_column(field, values))
    if not len(column) or (column.min() > 0.0 and column.max() < np.inf):  # NaN, which both pass on, is neither
        return column
    _finite(field, column)
    index = int(np.argmax(column <= 0.0))
    raise InputError(f"{field}[{index}]", float(column[index]), "it must be greater than 0")


def _finite(field: str, values: ArrayLike, least: float = -np.inf) -> Floats:
    column = np.atleast_1d(float_column(field, values))
    bad = ~np.isfinite(column)
    if bad.any():
        index = int(np.argmax(bad))
        raise InputError(f"{field}[{index}]", float(column[index]), "it is not finite; give a finite number")
    bad = column < least
    if bad.any():
        index = int(np.argmax(bad))
        raise InputError(f"{field}[{index}]", float(column[index]), f"it must not be below {least:g}")
    return column


def _bars(high: ArrayLike, low: ArrayLike, close: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    highs, lows = (np.atleast_1d(float_column(*each)) for each in (("high", high), ("low", low)))
    closes = highs if close is None else positive("close", close)
    if not len(highs) == len(lows) == len(closes):
        highs, lows = positive("high", highs), positive("low", lows)
        raise InputError("high, low, close", (len(highs), len(lows), len(closes)), "the series differ in length")
    if len(lows) and lows.min() > 0.0 and highs.max() < np.inf and (lows <= highs).all():
        return highs, lows, closes  # what is between good ones is good
    highs, lows = positive("high", highs), positive("low", lows)
    bad = highs < lows
    if bad.any():
        index = int(np.argmax(bad))
        raise InputError(f"high[{index}]", float(highs[index]), f"it is below low[{index}]={float(lows[index])!r}")
    return highs, lows, closes


def _period(field: str, n: int, least: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int) or n < least:
        raise ConfigError(f"{field}={n!r} is not a period: give a whole number of at least {least}")
    return n
