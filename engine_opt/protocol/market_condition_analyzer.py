"""What the market is doing: seven conditions, seven regimes, a risk. One symbol at a time, from its daily bars.

`analyze` answers for the end of a whole series and is written plainly. `stream` gives an object that takes a bar at a
time, does constant work for each, and answers the same to the last digit but one. A stream can be saved as plain values
and restored, and goes on as if it had never stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import islice
from math import fsum, isnan, log, sqrt

from engine_opt import _validate as check
from engine_opt.errors import InputError, InsufficientData, StateError
from engine_opt.model import (
    LARGEST_PRICE,
    LARGEST_VOLUME,
    LEAST_PRICE,
    Bar,
    MarketAnalysis,
    MarketMetrics,
    check_bar,
)
from engine_opt.protocol import indicators
from engine_opt.protocol.indicators import (
    MACD,
    SESSIONS_PER_YEAR,
    Line,
    WilderRSI,
    annual_volatility,
    band_position,
    last_over_mean_before,
    range_volatility,
)
from engine_opt.protocol.market_scoring import MarketConfig, assess, class_centres
from engine_opt.protocol.ranking import RankedWindow, median
from engine_opt.protocol.saved import SCHEMA, Saved, State, opened

CLOSES_NEEDED = 35  # the MACD signal is defined from the 34th close on; one more, and two of them can be compared
_CLOSES_KEPT = 26
_RETURNS_KEPT = 20  # and as many ranges, and one volume more
_LARGEST_MOVE = log(LARGEST_PRICE / LEAST_PRICE)  # of a log return, or a log range
_MAD_TO_DEVIATION = 1.4826  # of a normal distribution
_WEEK_IN_YEARS = sqrt(5.0 / SESSIONS_PER_YEAR)


class MarketConditionAnalyzer:
    """Analyze a market by one configuration. Immutable; the memory of a series lives in its stream."""

    __slots__ = ("_centres", "_config")

    def __init__(self, config: MarketConfig | None = None) -> None:
        self._config = MarketConfig() if config is None else config
        self._centres = class_centres(self._config.cuts)

    @property
    def config(self) -> MarketConfig:
        """The configuration in use."""
        return self._config

    def analyze(self, bars: Iterable[Bar], vix: Sequence[float | None] | None = None) -> MarketAnalysis:
        """Return the analysis at the close of the last bar.

        `vix` holds the index at the close of each bar, None where it is not known; without it, or while fewer than
        `vix_history` earlier values are known, VIX is left out of the score and the other weights are scaled up.
        Raises InsufficientData for fewer than 35 bars, InputError for bars out of order or values that cannot be.
        """
        series = _checked(bars)
        fears = [None] * len(series) if vix is None else [_vix(f"vix[{i}]", value) for i, value in enumerate(vix)]
        if len(fears) != len(series):
            raise InputError("vix", len(fears), f"there are {len(series)} bars: give one value, or None, for each")
        metrics = measure(series, fears, self._config)
        return assess(series[-1].time, metrics, self._config, self._centres)

    def stream(self) -> MarketStream:
        """Return a new stream for one symbol."""
        return MarketStream(self._config)


class MarketStream:
    """The analysis of one symbol, a bar at a time: `update`, then `analysis` whenever it is wanted.

    Keeps 26 closes, 21 volumes, 20 log returns and ranges, and the last 252 values of VIX; never more. Not to be shared
    between threads without a lock.
    """

    __slots__ = (
        "_centres",
        "_closes",
        "_config",
        "_count",
        "_fear",
        "_fears",
        "_line",
        "_macd",
        "_returns",
        "_rsi",
        "_squares",
        "_time",
        "_volumes",
    )

    def __init__(self, config: MarketConfig | None = None) -> None:
        self._config = MarketConfig() if config is None else config
        self._centres = class_centres(self._config.cuts)
        self._count = 0
        self._time: date | None = None
        self._closes: deque[float] = deque(maxlen=_CLOSES_KEPT)
        self._returns: deque[float] = deque(maxlen=_RETURNS_KEPT)
        self._squares: deque[float] = deque(maxlen=_RETURNS_KEPT)
        self._volumes: deque[float | None] = deque(maxlen=_RETURNS_KEPT + 1)
        self._rsi = WilderRSI()
        self._macd = MACD()
        self._line = Line(self._config.trend_window)
        self._fears = RankedWindow(self._config.vix_window)  # up to the session before the last
        self._fear: float | None = None

    def update(self, bar: Bar, vix: float | None = None) -> None:
        """Take the next bar, and VIX at its close if known. Raises InputError; the stream is then as it was before."""
        check_bar(bar, self._time)
        fear = None if vix is None else check.positive("vix", vix)
        close = bar.close
        self._rsi.update(close)
        self._macd.update(close)
        if self._count:
            self._returns.append(log(close / self._closes[-1]))
        self._closes.append(close)
        spread = log(bar.high / bar.low)
        self._squares.append(spread * spread)
        self._volumes.append(bar.volume)
        if self._fear is not None:
            self._fears.push(self._fear)
        self._fear = fear
        self._time = bar.time
        self._count += 1

    def save(self) -> State:
        """Return what is remembered as plain values that JSON can hold; `restore` takes them back.

        It grows with the windows, not with the bars seen. A time with a zone keeps its offset, not the zone's name.
        """
        return {
            "schema": SCHEMA,
            "memory": _memory(self._config),
            "count": self._count,
            "time": None if self._time is None else self._time.isoformat(),
            "closes": list(self._closes),
            "returns": list(self._returns),
            "squares": list(self._squares),
            "volumes": list(self._volumes),
            "rsi": self._rsi.state(),
            "macd": self._macd.state(),
            "fears": self._fears.state(),
            "fear": self._fear,
        }

    @classmethod
    def restore(cls, config: MarketConfig | None, state: object) -> MarketStream:
        """Return a stream that answers, bit by bit, what the saved one would have answered.

        The configuration must remember as much as the saved one did; how it scores may differ. Raises StateError for a
        state of another schema or configuration, or one that contradicts itself, InputError for a value that cannot
        be. Both name the field.
        """
        stream = cls(config)
        saved = opened(state, "market_stream", _memory(stream._config), *_SAVED)
        count = stream._count = saved.count("count")
        changes = max(count - 1, 0)
        if count:
            stream._time = saved.time("time")
        else:
            saved.require("time", saved.raw("time"), None)
        stream._closes.extend(saved.numbers("closes", min(count, _CLOSES_KEPT), LEAST_PRICE, LARGEST_PRICE))
        stream._returns.extend(saved.numbers("returns", min(changes, _RETURNS_KEPT), -_LARGEST_MOVE, _LARGEST_MOVE))
        stream._squares.extend(saved.numbers("squares", min(count, _RETURNS_KEPT), 0.0, _LARGEST_MOVE * _LARGEST_MOVE))
        stream._volumes.extend(_volumes(saved, min(count, _RETURNS_KEPT + 1)))
        stream._rsi = WilderRSI.from_state(saved.raw("rsi"), where=saved.at("rsi"))
        stream._macd = MACD.from_state(saved.raw("macd"), where=saved.at("macd"))
        stream._fears = _fears(saved, stream._config.vix_window, changes)
        stream._fear = None if saved.raw("fear") is None else check.positive(saved.at("fear"), saved.raw("fear"))
        last = stream._closes[-1] if count else 0.0
        rsi, macd = stream._rsi.state(), stream._macd.state()
        saved.require("rsi.count", rsi["count"], count - 1)
        saved.require("rsi.close", rsi["close"], last)
        saved.require("macd.count", macd["count"], count)
        if not count:
            saved.require("fear", stream._fear, None)
        return stream

    @property
    def ready(self) -> bool:
        """Whether enough bars were seen for an analysis."""
        return self._count >= CLOSES_NEEDED

    def metrics(self) -> MarketMetrics:
        """Return the indicators at the last close. Raises InsufficientData before the 35th."""
        if self._count < CLOSES_NEEDED:
            raise InsufficientData(CLOSES_NEEDED, self._count, "bars")
        closes = self._closes
        close = closes[-1]
        week = close / closes[-6] - 1.0
        volatility = annual_volatility(self._returns)
        mean, slope, trend_t = self._line.fit(_last(closes, self._config.trend_window))
        line, signal, _ = self._macd.value
        return MarketMetrics(
            close,
            close / closes[-2] - 1.0,
            week,
            close / closes[-21] - 1.0,
            annual_volatility(_last(self._returns, 5)),
            volatility,
            range_volatility(self._squares),
            self._rsi.value,
            line,
            signal,
            band_position(_last(closes, 20)),
            slope / mean,
            trend_t,
            week / (max(volatility, self._config.volatility_floor) * _WEEK_IN_YEARS),
            self._volume_ratio(),
            self._fear,
            self._vix_deviation(),
        )

    def analysis(self) -> MarketAnalysis:
        """Return the analysis at the last close. Raises InsufficientData before the 35th."""
        metrics = self.metrics()
        if self._time is None:  # pragma: no cover - metrics() has raised
            raise StateError("there is no bar yet: call update first")
        return assess(self._time, metrics, self._config, self._centres)

    def _volume_ratio(self) -> float | None:
        if None in self._volumes:
            return None
        ratio = last_over_mean_before(self._volumes)  # type: ignore[arg-type]  # no None in it, as just seen
        return None if isnan(ratio) else ratio

    def _vix_deviation(self) -> float | None:
        fear, fears = self._fear, self._fears
        if fear is None or len(fears) < self._config.vix_history:
            return None
        spread = fears.median_deviation() * _MAD_TO_DEVIATION
        return (fear - fears.median()) / spread if spread > 0.0 else None


_SAVED = ("count", "time", "closes", "returns", "squares", "volumes", "rsi", "macd", "fears", "fear")


def _memory(config: MarketConfig) -> State:
    """Return what of a configuration shapes a stream's memory; all else only judges what is remembered."""
    return {"vix_window": config.vix_window}


def _volumes(saved: Saved, length: int) -> list[float | None]:
    where = saved.at("volumes")
    return [
        None if value is None else check.between(f"{where}[{index}]", value, 0.0, LARGEST_VOLUME)
        for index, value in enumerate(saved.items("volumes", length))
    ]


def _fears(saved: Saved, window: int, sessions: int) -> RankedWindow:
    """Return the values of VIX before the last: one a session at most, for some had none."""
    where, values = saved.at("fears"), saved.raw("fears")
    if not isinstance(values, list | tuple):
        raise InputError(where, values, "it must be a list")
    if len(values) > sessions:
        raise StateError(f"{where} holds {len(values)} where {sessions} at most belong: it is damaged")
    return RankedWindow.from_state(check.positive_series(where, values), window, where)


def measure(series: Sequence[Bar], vix: Sequence[float | None], config: MarketConfig) -> MarketMetrics:
    """Return the indicators at the end of a checked series, each from the series' own definition."""
    if len(series) < CLOSES_NEEDED:
        raise InsufficientData(CLOSES_NEEDED, len(series), "bars")
    closes = [bar.close for bar in series]
    close = closes[-1]
    recent = closes[-21:]
    week = close / closes[-6] - 1.0
    volatility = indicators.historic_volatility(recent, 20)[-1]
    trend = closes[-config.trend_window :]
    slope = Line(config.trend_window).slope(trend)
    lines, signals, _ = indicators.macd(closes)
    volumes = [bar.volume for bar in series[-21:] if bar.volume is not None]
    volume_ratio = indicators.volume_ratio(volumes, 20)[-1] if len(volumes) == 21 else None  # 20 and 1
    return MarketMetrics(
        close=close,
        change_1=close / closes[-2] - 1.0,
        change_5=week,
        change_20=close / closes[-21] - 1.0,
        volatility_5=indicators.historic_volatility(closes[-6:], 5)[-1],
        volatility_20=volatility,
        parkinson_20=indicators.parkinson_volatility([b.high for b in series[-20:]], [b.low for b in series[-20:]], 20)[
            -1
        ],
        rsi=indicators.wilder_rsi(closes)[-1],
        macd=lines[-1],
        macd_signal=signals[-1],
        bollinger=indicators.bollinger_position(closes[-20:], 20)[-1],
        trend_slope=slope / (fsum(trend) / len(trend)),
        trend_t=indicators.slope_t(trend, config.trend_window)[-1],
        momentum=week / (max(volatility, config.volatility_floor) * _WEEK_IN_YEARS),
        volume_ratio=None if volume_ratio is None or isnan(volume_ratio) else volume_ratio,
        vix=vix[-1],
        vix_deviation=_deviation(vix, config),
    )


def _deviation(vix: Sequence[float | None], config: MarketConfig) -> float | None:
    """Return how far the last VIX is from the median of those before it, in robust standard deviations."""
    last = vix[-1]
    before = [value for value in vix[:-1] if value is not None][-config.vix_window :]
    if last is None or len(before) < config.vix_history:
        return None
    centre = median(before)
    spread = median([abs(value - centre) for value in before]) * _MAD_TO_DEVIATION
    return (last - centre) / spread if spread > 0.0 else None


def _checked(bars: Iterable[Bar]) -> list[Bar]:
    series: list[Bar] = []
    for bar in bars:
        series.append(check_bar(bar, series[-1].time if series else None))
    return series


def _vix(field: str, value: float | None) -> float | None:
    return None if value is None else check.positive(field, value)


def _last(values: deque[float], n: int) -> list[float]:
    return list(islice(values, len(values) - n, None))
