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
from engine_opt.batch.recursion import smoothed
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
    np.maximum(high[1:], before, out=result[1:])
    result[1:] -= np.minimum(low[1:], before)
    return result


def wilder_average(values: Floats, n: int) -> Floats:
    """Return Wilder's average of values 1..., NaN up to index n - 1."""
    return _average(values, n, (n - 1) / n, 1.0 / n)


def exponential_average(values: Floats, n: int) -> Floats:
    """Return the exponential average of values 1..., NaN up to index n - 1."""
    return _average(values, n, 1.0 - 2.0 / (n + 1), 2.0 / (n + 1))


def plain_average(values: Floats, n: int) -> Floats:
    """Return the mean of the last n values, the very first left out, NaN up to index n - 1."""
    return padded(sums(values[1:], n) / n, len(values), np.nan)


def _average(values: Floats, n: int, keep: float, take: float) -> Floats:
    result = np.empty(len(values))
    result[:n] = np.nan
    if len(values) > n:
        result[n] = before = sum(values[1 : n + 1].tolist()) / n
        result[n + 1 :] = smoothed(values[n + 1 :], keep, take, before)
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
    result = np.full(len(prices), np.nan)
    result[n] = 100.0 * (gain / (gain + loss)) if gain + loss > 0.0 else 50.0
    result[n + 1 :], end = rsi_after(prices[n:], start, n)
    return result, end


def rsi_after(prices: Floats, state: Strength, n: int = 14) -> tuple[Floats, Strength]:
    """Return the RSI of all prices but the first, whose state is given, and the state at the end."""
    up = np.diff(prices)
    down = np.maximum(-up, 0.0)
    np.maximum(up, 0.0, out=up)
    gains = smoothed(up, (n - 1) / n, 1.0 / n, state.gain)
    losses = smoothed(down, (n - 1) / n, 1.0 / n, state.loss)
    end = Strength(float(gains[-1]), float(losses[-1])) if len(gains) else state
    losses += gains
    still = losses <= 0.0
    if still.any():
        losses[still], gains[still] = 1.0, 0.5
    gains /= losses
    gains *= 100.0
    return gains, end


class Averages(NamedTuple):
    """State of MACD: the fast and the slow average of the close, and the signal."""

    quick: float
    gradual: float
    signal: float


def macd_from_start(
    prices: Floats, fast: int = 12, slow: int = 26, signal: int = 9
) -> tuple[Floats, Floats, Averages | None]:
    """Return MACD and its signal from index slow + signal - 2 on, NaN before, and the state at the end."""
    line, smooth = np.full(len(prices), np.nan), np.full(len(prices), np.nan)
    first = slow + signal - 2
    if len(prices) <= first:
        return line, smooth, None
    quick = fsum(prices[slow - fast : slow].tolist()) / fast
    gradual = fsum(prices[:slow].tolist()) / slow
    quicks = _ema(prices[slow:], fast, quick)
    graduals = _ema(prices[slow:], slow, gradual)
    lines_ = quicks - graduals
    start = fsum([quick - gradual, *lines_[: signal - 1].tolist()]) / signal
    rest = lines_[signal - 1 :]
    line[first] = lines_[signal - 2] if signal > 1 else quick - gradual
    line[first + 1 :] = rest
    smooth[first] = start
    smooth[first + 1 :] = _ema(rest, signal, start)
    end_quick = float(quicks[-1]) if len(quicks) else quick
    end_gradual = float(graduals[-1]) if len(graduals) else gradual
    return line, smooth, Averages(end_quick, end_gradual, float(smooth[-1]))


def macd_after(
    prices: Floats, state: Averages, fast: int = 12, slow: int = 26, signal: int = 9
) -> tuple[Floats, Floats, Averages]:
    """Return MACD and its signal for prices that follow on a state, and the state at the end."""
    quick, gradual = _ema(prices, fast, state.quick), _ema(prices, slow, state.gradual)
    line = quick - gradual
    smooth = _ema(line, signal, state.signal)
    if not len(prices):
        return line, smooth, state
    return line, smooth, Averages(float(quick[-1]), float(gradual[-1]), float(smooth[-1]))


def _ema(values: Floats, n: int, before: float) -> Floats:
    return smoothed(values, 1.0 - 2.0 / (n + 1), 2.0 / (n + 1), before)


def band_positions(prices: Floats, n: int = 20, width: float = 2.0) -> Floats:
    """Return where the last of each n prices stands between the bands; in the middle of a flat window."""
    total, squares = sums_and_squares(prices, n)
    mean = total / n
    deviation = np.sqrt(squares / n)
    flat = deviation <= _ROUNDING * mean
    away = prices[n - 1 :] - mean
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
    highs, lows = positive("high", high), positive("low", low)
    closes = highs if close is None else positive("close", close)
    if not len(highs) == len(lows) == len(closes):
        raise InputError("high, low, close", (len(highs), len(lows), len(closes)), "the series differ in length")
    bad = highs < lows
    if bad.any():
        index = int(np.argmax(bad))
        raise InputError(f"high[{index}]", float(highs[index]), f"it is below low[{index}]={float(lows[index])!r}")
    return highs, lows, closes


def _period(field: str, n: int, least: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int) or n < least:
        raise ConfigError(f"{field}={n!r} is not a period: give a whole number of at least {least}")
    return n
