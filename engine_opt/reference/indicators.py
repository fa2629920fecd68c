"""Indicators as their inventors defined them, each from the whole history, each answering for its end only.

Sources: Wilder 1978, New Concepts in Technical Trading Systems (true range, its average, RSI); Appel 1979 (MACD);
Bollinger 2001, Bollinger on Bollinger Bands; Parkinson 1980, Journal of Business 53 (volatility from ranges);
least squares and mid-ranks from any textbook of statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log, sqrt
from statistics import fmean, pstdev, stdev

from engine_opt.model import Bar

SESSIONS = 252  # in a year


def change(closes: Sequence[float], sessions: int) -> float:
    """Return the return over so many sessions, a fraction."""
    return closes[-1] / closes[-1 - sessions] - 1.0


def volatility(closes: Sequence[float], sessions: int) -> float:
    """Return the sample standard deviation of the last log returns, annualised."""
    returns = [log(closes[i] / closes[i - 1]) for i in range(len(closes) - sessions, len(closes))]
    return stdev(returns, fmean(returns)) * sqrt(SESSIONS)


def parkinson(bars: Sequence[Bar], sessions: int) -> float:
    """Return the annualised volatility from ranges: the mean of ln(high/low)^2 is 4 ln 2 times the variance of a day."""
    squares = [log(bar.high / bar.low) ** 2 for bar in bars[-sessions:]]
    return sqrt(fmean(squares) / (4.0 * log(2.0))) * sqrt(SESSIONS)


def rsi(closes: Sequence[float], n: int) -> float:
    """Return the relative strength index, 0-100: 100 - 100/(1 + mean gain over mean loss).

    The first means are plain ones over n changes, each later one is ((n-1) x the mean before + the new one)/n.
    Nothing lost is 100, and nothing moved at all is 50: neither strong nor weak.
    """
    changes = [closes[i] - closes[i - 1] for i in range(1, len(closes))]
    gains, losses = [max(c, 0.0) for c in changes], [max(-c, 0.0) for c in changes]
    gain, loss = fmean(gains[:n]), fmean(losses[:n])
    for new_gain, new_loss in zip(gains[n:], losses[n:], strict=True):
        gain = ((n - 1) * gain + new_gain) / n
        loss = ((n - 1) * loss + new_loss) / n
    if loss == 0.0:
        return 50.0 if gain == 0.0 else 100.0
    return 100.0 - 100.0 / (1.0 + gain / loss)


def macd(closes: Sequence[float], fast: int, slow: int, signal: int) -> tuple[float, float]:
    """Return the difference of a fast and a slow exponential mean of the closes, and the exponential mean of that.

    Both means start together, at the first close the slow one has: from plain means of the closes up to there.
    """
    together = closes[slow - fast :]  # the fast mean must not start before the slow one
    lines = [a - b for a, b in zip(exponential(together, fast), exponential(closes, slow), strict=True)]
    return lines[-1], exponential(lines, signal)[-1]


def exponential(values: Sequence[float], n: int) -> list[float]:
    """Return the exponential means: the plain mean of the first n, then 2/(n+1) of the new and the rest of the old."""
    share = 2.0 / (n + 1)
    means = [fmean(values[:n])]
    for new in values[n:]:
        means.append(share * new + (1.0 - share) * means[-1])
    return means


def bollinger(closes: Sequence[float], n: int) -> float:
    """Return where the last close stands between the bands, two population deviations about the mean: 0 low, 1 high.

    It is not clamped: a breakout shows. A deviation below a trillionth of the price is rounding: then it is 0.5.
    """
    window = closes[-n:]
    mean = fmean(window)
    deviation = pstdev(window, mean)
    if deviation <= 1e-12 * mean:
        return 0.5
    lower, upper = mean - 2.0 * deviation, mean + 2.0 * deviation
    return (closes[-1] - lower) / (upper - lower)


def slope(values: Sequence[float]) -> float:
    """Return the least squares slope per step: sum of (x - mean x) y over sum of (x - mean x)^2."""
    steps = _steps(len(values))
    return sum(x * y for x, y in zip(steps, values, strict=True)) / sum(x * x for x in steps)


def slope_t(values: Sequence[float]) -> float:
    """Return the slope over its standard error, sqrt(sum of squared residuals / (n-2) / sum of (x - mean x)^2).

    Prices are quoted to nine digits or so: the residual deviation is taken as a billionth of the mean at least.
    """
    n, steps, mean, rise = len(values), _steps(len(values)), fmean(values), slope(values)
    residuals = [y - (mean + rise * x) for x, y in zip(steps, values, strict=True)]
    deviation = sqrt(sum(e * e for e in residuals) / (n - 2))
    return rise / (max(deviation, 1e-9 * mean) / sqrt(sum(x * x for x in steps)))


def volume_ratio(bars: Sequence[Bar], sessions: int) -> float | None:
    """Return the last volume over the mean of the sessions before it; None if one is unknown or none was traded."""
    volumes = [bar.volume for bar in bars[-sessions - 1 :]]
    known = [volume for volume in volumes if volume is not None]
    if len(known) < len(volumes) or sum(known[:-1]) == 0.0:
        return None
    return known[-1] / fmean(known[:-1])


def true_ranges(bars: Sequence[Bar]) -> list[float]:
    """Return max(high - low, |high - close before|, |low - close before|); the first bar has no close before it."""
    ranges = [bars[0].high - bars[0].low]
    for before, bar in pairwise(bars):
        ranges.append(max(bar.high - bar.low, abs(bar.high - before.close), abs(bar.low - before.close)))
    return ranges


def average_true_ranges(bars: Sequence[Bar], n: int, smoothing: str) -> list[float]:
    """Return the average true range at the close of bar n+1 and each after it; the first bar's range is left out.

    The first is a plain mean of n ranges. Then, with the new range TR,
    wilder: ((n-1) ATR + TR)/n;  ema: ATR + 2/(n+1) (TR - ATR);  sma: the plain mean of the last n, every time.
    """
    ranges = true_ranges(bars)[1:]
    if smoothing == "sma":
        return [fmean(ranges[end - n : end]) for end in range(n, len(ranges) + 1)]
    averages = [sum(ranges[:n]) / n]
    for new in ranges[n:]:
        before = averages[-1]
        averages.append(
            ((n - 1) * before + new) / n if smoothing == "wilder" else before + 2 / (n + 1) * (new - before)
        )
    return averages


def mid_rank(value: float, others: Sequence[float]) -> float:
    """Return the percentile of a value among others, 0-100: those below it, and half of those equal to it."""
    below, equal = sum(x < value for x in others), sum(x == value for x in others)
    return 100.0 * (below + equal / 2) / len(others)


def z_score(value: float, others: Sequence[float]) -> float | None:
    """Return how many sample standard deviations a value is from the mean of others; None where those are all equal."""
    deviation = stdev(others)
    return (value - fmean(others)) / deviation if deviation > 0.0 else None


def _steps(n: int) -> list[float]:
    """Return 0, 1, 2, ... n-1, less their mean."""
    return [i - (n - 1) / 2 for i in range(n)]
