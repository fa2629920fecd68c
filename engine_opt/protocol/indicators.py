"""Technical indicators, each as a function of a whole series and as a stream that takes one value at a time.

Series functions return one float per input, NaN while the indicator is not defined yet (TA-Lib's convention), and are
written as the textbook writes them: they are what the streams are checked against. Streams do constant work per value:
`update(...)`, then `ready`, then `value`, which raises InsufficientData while `ready` is False. Those that remember more
than a window have `state()`, plain values that JSON can hold, and `from_state`, which makes the same stream of them or
raises StateError or InputError.

Indicators of a window (Bollinger, volatility, slope, ...) share one kernel between both forms and sum their 20 or so
values anew each time. Running sums would save well under a microsecond and lose digits whenever a large value leaves
the window: after one outlier a running variance is wrong in its sixth digit for good.

Volatilities are annualised with 252 sessions, fractions of one. All functions raise InputError for a value that is
not a finite number (prices: a positive one).

Sources: Wilder 1978, New Concepts in Technical Trading Systems (true range, ATR, RSI); Appel 1979 (MACD);
Bollinger 2001, Bollinger on Bollinger Bands; Parkinson 1980, Journal of Business 53 (range volatility).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice, pairwise
from math import dist, fsum, isnan, log, nan, sqrt
from operator import mul
from typing import Protocol, Self

from engine_opt import _validate as check
from engine_opt.errors import ConfigError, InputError, InsufficientData
from engine_opt.protocol.saved import Saved, State

SESSIONS_PER_YEAR = 252
_YEAR = sqrt(SESSIONS_PER_YEAR)

# Prices are quoted to fewer digits than this: a smaller spread is rounding, not a market.
_ROUNDING = 1e-12
_PARKINSON = 1.0 / (4.0 * log(2.0))


class AverageTrueRange(Protocol):
    """What the three smoothings of the true range have in common."""

    @property
    def ready(self) -> bool:
        """Whether `value` is defined."""

    @property
    def value(self) -> float:
        """The average, in units of the price."""

    def update(self, true_range: float) -> None:
        """Take the true range of the next bar; the first bar's, which knows no gap, is left out."""


# --- kernels: one finished window in, one number out -----------------------------------------------------------------


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
        self._n = _period("n", n, 3)
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


# --- whole series ------------------------------------------------------------------------------------------------------


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
    _period("n", n, 1)
    ranges = true_range(high, low, close)
    return [nan if i < n else fsum(ranges[i - n + 1 : i + 1]) / n for i in range(len(ranges))]


def wilder_rsi(closes: Iterable[float], n: int = 14) -> list[float]:
    """Return Wilder's relative strength index, 0-100, from index n on; where nothing ever moved it is 50."""
    _period("n", n, 1)
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
            result.append(_strength(gain, loss))
    return result


def macd(
    closes: Iterable[float], fast: int = 12, slow: int = 26, signal: int = 9
) -> tuple[list[float], list[float], list[float]]:
    """Return MACD, its signal line and their difference, all from index slow + signal - 2 on.

    Both averages start at index slow - 1, the fast one from the mean of the last `fast` closes there, as in TA-Lib.
    """
    _spans(fast, slow, signal)
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
    return _windowed(check.positive_series("close", closes), _period("n", n, 2), partial(band_position, width=width))


def historic_volatility(closes: Iterable[float], n: int = 20) -> list[float]:
    """Return the annualised sample standard deviation of the last n log returns, from index n on."""
    prices = check.positive_series("close", closes)
    returns = [log(after / before) for before, after in pairwise(prices)]
    return [nan] * min(1, len(prices)) + _windowed(returns, _period("n", n, 2), annual_volatility)


def parkinson_volatility(high: Iterable[float], low: Iterable[float], n: int = 20) -> list[float]:
    """Return Parkinson's annualised volatility of the last n bars, from index n - 1 on."""
    highs, lows, _ = _bars(high, low, None)
    squares = [log(top / bottom) ** 2 for top, bottom in zip(highs, lows, strict=True)]
    return _windowed(squares, _period("n", n, 1), range_volatility)


def rate_of_change(closes: Iterable[float], n: int = 5) -> list[float]:
    """Return the return over n sessions as a fraction, from index n on."""
    _period("n", n, 1)
    prices = check.positive_series("close", closes)
    return [nan if i < n else prices[i] / prices[i - n] - 1.0 for i in range(len(prices))]


def slope_t(values: Iterable[float], n: int = 20) -> list[float]:
    """Return the t-statistic of the least squares slope of the last n values, from index n - 1 on."""
    line = Line(n)
    return _windowed(check.series("value", values), n, lambda window: line.fit(window)[2])


def volume_ratio(volumes: Iterable[float], n: int = 20) -> list[float]:
    """Return each volume over the mean of the n before it, from index n on; NaN where none was traded before."""
    _period("n", n, 1)
    traded = check.series("volume", volumes, low=0.0)
    result = [nan] * min(n, len(traded))
    for i in range(n, len(traded)):
        before = fsum(traded[i - n : i])
        result.append(traded[i] / (before / n) if before else nan)
    return result


# --- streams -----------------------------------------------------------------------------------------------------------


class TrueRange:
    """True range, one bar at a time; defined from the first bar on."""

    __slots__ = ("_close", "_value")

    def __init__(self) -> None:
        self._close = nan
        self._value = nan

    def update(self, high: float, low: float, close: float) -> None:
        """Take the next bar."""
        high, low, close = check.positive("high", high), check.positive("low", low), check.positive("close", close)
        if high < low:
            raise InputError("high", high, f"it is below low={low!r}")
        before = self._close
        self._value = high - low if isnan(before) else max(high, before) - min(low, before)
        self._close = close

    @property
    def ready(self) -> bool:
        """Whether `value` is defined."""
        return not isnan(self._value)

    @property
    def value(self) -> float:
        """The last true range."""
        return _defined(self.ready, self._value, 1, 0)


class WilderATR:
    """Wilder's average true range (1978): mean of the first n ranges, then ((n-1)*before + new)/n."""

    __slots__ = ("_count", "_n", "_value")

    def __init__(self, n: int = 14) -> None:
        self._n = _period("n", n, 1)
        self._count = -1  # ranges taken; the first bar's is left out
        self._value = 0.0

    def update(self, true_range: float) -> None:
        """Take the true range of the next bar."""
        new = check.non_negative("true_range", true_range)
        self._count += 1
        if self._count > self._n:
            self._value = self._next(self._value, new)
        elif self._count > 0:
            self._value += new
            if self._count == self._n:
                self._value /= self._n

    def _next(self, before: float, new: float) -> float:
        return ((self._n - 1) * before + new) / self._n

    def state(self) -> State:
        """Return what is remembered, plain."""
        return {"count": self._count, "value": self._value}

    @classmethod
    def from_state(cls, state: object, n: int = 14, where: str = "atr") -> Self:
        """Return the stream over n that had this state."""
        saved, stream = Saved(state, where, "count", "value"), cls(n)
        stream._count = saved.count("count", least=-1)
        stream._value = saved.number("value", low=0.0)
        return stream

    @property
    def ready(self) -> bool:
        """Whether n true ranges after the first bar were seen."""
        return self._count >= self._n

    @property
    def value(self) -> float:
        """The average, in units of the price."""
        return _defined(self.ready, self._value, self._n + 1, self._count + 1)


class ExponentialATR(WilderATR):
    """Exponential average of the true range, factor 2/(n+1), seeded like Wilder's."""

    __slots__ = ()

    def _next(self, before: float, new: float) -> float:
        return before + 2.0 / (self._n + 1) * (new - before)


class SimpleATR:
    """Plain mean of the last n true ranges."""

    __slots__ = ("_count", "_window")

    def __init__(self, n: int = 14) -> None:
        self._window: deque[float] = deque(maxlen=_period("n", n, 1))
        self._count = -1

    def update(self, true_range: float) -> None:
        """Take the true range of the next bar; the first bar's is left out."""
        new = check.non_negative("true_range", true_range)
        self._count += 1
        if self._count:
            self._window.append(new)

    def state(self) -> State:
        """Return what is remembered, plain."""
        return {"count": self._count, "window": list(self._window)}

    @classmethod
    def from_state(cls, state: object, n: int = 14, where: str = "atr") -> Self:
        """Return the stream over n that had this state."""
        saved, stream = Saved(state, where, "count", "window"), cls(n)
        stream._count = saved.count("count", least=-1)
        stream._window.extend(saved.numbers("window", min(max(stream._count, 0), n), low=0.0))
        return stream

    @property
    def ready(self) -> bool:
        """Whether n true ranges after the first bar were seen."""
        return len(self._window) == self._window.maxlen

    @property
    def value(self) -> float:
        """The average, in units of the price."""
        n = self._window.maxlen or 1
        return _defined(self.ready, fsum(self._window) / n, n + 1, self._count + 1)


class WilderRSI:
    """Wilder's relative strength index, 0-100; 50 while nothing ever moved."""

    __slots__ = ("_close", "_count", "_gain", "_loss", "_n")

    def __init__(self, n: int = 14) -> None:
        self._n = _period("n", n, 1)
        self._count = -1
        self._close = self._gain = self._loss = 0.0

    def update(self, close: float) -> None:
        """Take the next close."""
        price = check.positive("close", close)
        n = self._n
        self._count += 1
        if self._count:
            change = price - self._close
            up, down = (change, 0.0) if change > 0.0 else (0.0, -change)
            if self._count <= n:
                self._gain += up / n
                self._loss += down / n
            else:
                self._gain = (self._gain * (n - 1) + up) / n
                self._loss = (self._loss * (n - 1) + down) / n
        self._close = price

    def state(self) -> State:
        """Return what is remembered, plain."""
        return {"count": self._count, "close": self._close, "gain": self._gain, "loss": self._loss}

    @classmethod
    def from_state(cls, state: object, n: int = 14, where: str = "rsi") -> Self:
        """Return the stream over n that had this state."""
        saved, stream = Saved(state, where, "count", "close", "gain", "loss"), cls(n)
        stream._count = saved.count("count", least=-1)
        stream._close = saved.number("close", low=0.0)
        stream._gain, stream._loss = saved.number("gain", low=0.0), saved.number("loss", low=0.0)
        return stream

    @property
    def ready(self) -> bool:
        """Whether n changes were seen."""
        return self._count >= self._n

    @property
    def value(self) -> float:
        """The index, 0-100."""
        return _defined(self.ready, _strength(self._gain, self._loss), self._n + 1, self._count + 1)


class MACD:
    """Difference of two exponential averages of the close, and the average of that; seeded as in TA-Lib."""

    __slots__ = ("_count", "_fast", "_gradual", "_line", "_quick", "_seed", "_signal", "_slow", "_smooth")

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        self._fast, self._slow, self._signal = _spans(fast, slow, signal)
        self._count = 0
        self._seed: list[float] = []  # closes until the averages start, then MACD values until the signal does
        self._quick = self._gradual = self._line = self._smooth = 0.0

    def update(self, close: float) -> None:
        """Take the next close."""
        price = check.positive("close", close)
        self._count += 1
        if self._count <= self._slow:
            self._seed.append(price)
            if self._count < self._slow:
                return
            self._quick = fsum(self._seed[-self._fast :]) / self._fast
            self._gradual = fsum(self._seed) / self._slow
            self._seed.clear()
        else:
            self._quick += 2.0 / (self._fast + 1) * (price - self._quick)
            self._gradual += 2.0 / (self._slow + 1) * (price - self._gradual)
        self._line = self._quick - self._gradual
        self._update_signal()

    def _update_signal(self) -> None:
        due = self._slow + self._signal - 1
        if self._count > due:
            self._smooth += 2.0 / (self._signal + 1) * (self._line - self._smooth)
            return
        self._seed.append(self._line)
        if self._count == due:
            self._smooth = fsum(self._seed) / self._signal
            self._seed.clear()

    def state(self) -> State:
        """Return what is remembered, plain."""
        return {
            "count": self._count,
            "quick": self._quick,
            "gradual": self._gradual,
            "line": self._line,
            "smooth": self._smooth,
            "seed": list(self._seed),
        }

    @classmethod
    def from_state(cls, state: object, fast: int = 12, slow: int = 26, signal: int = 9, where: str = "macd") -> Self:
        """Return the stream of these spans that had this state."""
        saved = Saved(state, where, "count", "quick", "gradual", "line", "smooth", "seed")
        stream = cls(fast, slow, signal)
        count = stream._count = saved.count("count")
        stream._quick, stream._gradual = saved.number("quick"), saved.number("gradual")
        stream._line, stream._smooth = saved.number("line"), saved.number("smooth")
        collected = count if count < slow else count - slow + 1 if count < slow + signal - 1 else 0
        stream._seed = saved.numbers("seed", collected)
        return stream

    @property
    def ready(self) -> bool:
        """Whether slow + signal - 1 closes were seen."""
        return self._count >= self._slow + self._signal - 1

    @property
    def value(self) -> tuple[float, float, float]:
        """MACD, signal line, and their difference."""
        _defined(self.ready, 0.0, self._slow + self._signal - 1, self._count)
        return self._line, self._smooth, self._line - self._smooth


class _Window:
    """A stream over the last n of something, with a kernel that turns the full window into a number."""

    __slots__ = ("_kernel", "_what", "_window")

    def __init__(self, n: int, kernel: Callable[[deque[float]], float], what: str = "observations") -> None:
        self._window: deque[float] = deque(maxlen=n)
        self._kernel = kernel
        self._what = what

    @property
    def ready(self) -> bool:
        """Whether the window is full."""
        return len(self._window) == self._window.maxlen

    @property
    def value(self) -> float:
        """The indicator over the window."""
        if not self.ready:
            raise InsufficientData(self._window.maxlen or 0, len(self._window), self._what)
        return self._kernel(self._window)


class BollingerPosition(_Window):
    """Where the close stands between the Bollinger bands, not clamped."""

    __slots__ = ()

    def __init__(self, n: int = 20, width: float = 2.0) -> None:
        super().__init__(_period("n", n, 2), partial(band_position, width=width))

    def update(self, close: float) -> None:
        """Take the next close."""
        self._window.append(check.positive("close", close))


class HistoricVolatility(_Window):
    """Annualised sample standard deviation of the last n log returns."""

    __slots__ = ("_close",)

    def __init__(self, n: int = 20) -> None:
        super().__init__(_period("n", n, 2), annual_volatility, "log returns")
        self._close = 0.0

    def update(self, close: float) -> None:
        """Take the next close."""
        price = check.positive("close", close)
        if self._close:
            self._window.append(log(price / self._close))
        self._close = price


class ParkinsonVolatility(_Window):
    """Annualised volatility from the ranges of the last n bars."""

    __slots__ = ()

    def __init__(self, n: int = 20) -> None:
        super().__init__(_period("n", n, 1), range_volatility)

    def update(self, high: float, low: float) -> None:
        """Take the next bar's high and low."""
        high, low = check.positive("high", high), check.positive("low", low)
        if high < low:
            raise InputError("high", high, f"it is below low={low!r}")
        self._window.append(log(high / low) ** 2)


class RateOfChange(_Window):
    """Return over n sessions, a fraction."""

    __slots__ = ()

    def __init__(self, n: int = 5) -> None:
        super().__init__(_period("n", n, 1) + 1, lambda window: window[-1] / window[0] - 1.0)

    def update(self, close: float) -> None:
        """Take the next close."""
        self._window.append(check.positive("close", close))


class SlopeT(_Window):
    """t-statistic of the least squares slope of the last n values."""

    __slots__ = ()

    def __init__(self, n: int = 20) -> None:
        line = Line(n)
        super().__init__(n, lambda window: line.fit(window)[2])

    def update(self, value: float) -> None:
        """Take the next value."""
        self._window.append(check.finite("value", value))


class VolumeRatio(_Window):
    """Last volume over the mean of the n before it; NaN where none was traded before."""

    __slots__ = ()

    def __init__(self, n: int = 20) -> None:
        super().__init__(_period("n", n, 1) + 1, last_over_mean_before)

    def update(self, volume: float) -> None:
        """Take the next volume."""
        self._window.append(check.non_negative("volume", volume))


def last_over_mean_before(window: deque[float]) -> float:
    """Return the last value over the mean of the others, NaN where those are all 0."""
    n = len(window) - 1
    before = fsum(islice(window, n))
    return window[-1] / (before / n) if before > 0.0 else nan


# --- shared ------------------------------------------------------------------------------------------------------------


def _strength(gain: float, loss: float) -> float:
    total = gain + loss
    return 100.0 * (gain / total) if total > 0.0 else 50.0


def _smoothed_ranges(ranges: list[float], n: int, following: Callable[[float, float], float]) -> list[float]:
    _period("n", n, 1)
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


def _period(field: str, n: int, least: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int) or n < least:
        raise ConfigError(f"{field}={n!r} is not a period: give a whole number of at least {least}")
    return n


def _spans(fast: int, slow: int, signal: int) -> tuple[int, int, int]:
    for name, span in (("fast", fast), ("slow", slow), ("signal", signal)):
        _period(name, span, 1)
    if fast >= slow:
        raise ConfigError(f"fast={fast} must be shorter than slow={slow}")
    return fast, slow, signal


def _defined(ready: bool, value: float, needed: int, got: int) -> float:
    if not ready:
        raise InsufficientData(needed, got)
    return value
