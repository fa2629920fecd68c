"""The indicators as streams that take one value at a time and do constant work for it.

`update(...)`, then `ready`, then `value`, which raises InsufficientData while `ready` is False. Those that remember more
than a window have `state()`, plain values that JSON can hold, and `from_state`, which makes the same stream of them or
raises StateError or InputError. What each one is, and its source, is said in `indicators`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from math import fsum, isnan, log, nan
from typing import Protocol, Self

from engine_opt import _validate as check
from engine_opt.errors import InputError, InsufficientData
from engine_opt.protocol.indicator_kernels import (
    Line,
    annual_volatility,
    band_position,
    last_over_mean_before,
    period,
    range_volatility,
    spans,
    strength,
)
from engine_opt.protocol.saved import Saved, State


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
        self._n = period("n", n, 1)
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
        self._window: deque[float] = deque(maxlen=period("n", n, 1))
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
        self._n = period("n", n, 1)
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
        return _defined(self.ready, strength(self._gain, self._loss), self._n + 1, self._count + 1)


class MACD:
    """Difference of two exponential averages of the close, and the average of that; seeded as in TA-Lib."""

    __slots__ = ("_count", "_fast", "_gradual", "_line", "_quick", "_seed", "_signal", "_slow", "_smooth")

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        self._fast, self._slow, self._signal = spans(fast, slow, signal)
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
        super().__init__(period("n", n, 2), partial(band_position, width=width))

    def update(self, close: float) -> None:
        """Take the next close."""
        self._window.append(check.positive("close", close))


class HistoricVolatility(_Window):
    """Annualised sample standard deviation of the last n log returns."""

    __slots__ = ("_close",)

    def __init__(self, n: int = 20) -> None:
        super().__init__(period("n", n, 2), annual_volatility, "log returns")
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
        super().__init__(period("n", n, 1), range_volatility)

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
        super().__init__(period("n", n, 1) + 1, lambda window: window[-1] / window[0] - 1.0)

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
        super().__init__(period("n", n, 1) + 1, last_over_mean_before)

    def update(self, volume: float) -> None:
        """Take the next volume."""
        self._window.append(check.non_negative("volume", volume))


def _defined(ready: bool, value: float, needed: int, got: int) -> float:
    if not ready:
        raise InsufficientData(needed, got)
    return value
