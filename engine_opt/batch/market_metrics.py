"""The indicators of every session of one symbol: the fields of MarketMetrics as columns.

A series may come in parts. What is carried from one part to the next is the last 64 bars, the averages of RSI and MACD, and
the last values of VIX; one part alone is simply the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine_opt.batch.columns import Bars, Floats, joined_bars, known, padded, require_after
from engine_opt.batch.indicators import (
    Averages,
    Strength,
    annual_volatilities,
    band_positions,
    changes,
    log_returns,
    macd_after,
    macd_from_start,
    range_volatilities,
    ratios_to_mean,
    rsi_after,
    rsi_from_start,
)
from engine_opt.batch.ranks import Centres
from engine_opt.batch.rows import joined
from engine_opt.batch.windows import lines
from engine_opt.model import MarketMetrics
from engine_opt.protocol.indicators import SESSIONS_PER_YEAR
from engine_opt.protocol.market_condition_analyzer import CLOSES_NEEDED, MarketStream
from engine_opt.protocol.market_scoring import MarketConfig

_KEPT = 64  # bars: more than any window here, and than RSI and MACD need to start
_MAD_TO_DEVIATION = 1.4826
_WEEK_IN_YEARS = float(np.sqrt(5.0 / SESSIONS_PER_YEAR))
_WHOLE = 2.0**53  # all whole numbers below it are floats
_NO_FLOATS = np.empty(0)


@dataclass(frozen=True, slots=True, eq=False)
class MetricsColumns:
    """The fields of MarketMetrics, a row per session; NaN where not known, and, but for `vix`, before the 35th."""

    close: Floats
    change_1: Floats
    change_5: Floats
    change_20: Floats
    volatility_5: Floats
    volatility_20: Floats
    parkinson_20: Floats
    rsi: Floats
    macd: Floats
    macd_signal: Floats
    bollinger: Floats
    trend_slope: Floats
    trend_t: Floats
    momentum: Floats
    volume_ratio: Floats
    vix: Floats
    vix_deviation: Floats

    def __len__(self) -> int:
        return len(self.close)

    def row(self, index: int) -> MarketMetrics:
        """Return the scalar record of one session."""
        values = [float(getattr(self, field)[index]) for field in MarketMetrics._fields]
        return MarketMetrics(*values[:-3], *map(known, values[-3:]))


class Part:
    """The indicators of one part of a series; each is worked out once, however many configurations ask for it.

    The series of several symbols after one another, `spans`, can be one part if they are whole. No window is longer
    than the rows without an answer at the beginning of each, so that what reaches back into the symbol before is not
    seen; what remembers more than its window, RSI, MACD and VIX, is worked out for each.
    """

    windowed = (  # what the scalar stream works out from its windows
        "change_1",
        "change_5",
        "change_20",
        "volatility_5",
        "volatility_20",
        "parkinson_20",
        "bollinger",
        "trend_slope",
        "trend_t",
        "momentum",
        "volume_ratio",
    )

    __slots__ = (
        "_all",
        "_base",
        "_centres",
        "_earlier_fears",
        "_fears",
        "_trends",
        "bars",
        "gaps",
        "seen",
        "spans",
        "vix",
        "whole_volumes",
    )

    def __init__(self, bars: Bars, vix: Floats, memory: Memory, spans: Sequence[slice]) -> None:
        self.bars = bars
        self.vix = vix
        self.seen = memory.seen
        self.spans = spans
        lacking = max(CLOSES_NEEDED - 1 - memory.seen, 0)
        gaps = (slice(each.start, min(each.start + lacking, each.stop)) for each in spans)
        self.gaps = [gap for gap in gaps if gap.stop > gap.start]  # the rows without an answer
        self._all = bars if memory.tail is None else joined_bars([memory.tail, bars])
        self._earlier_fears, self._centres = memory.fears, memory.centres
        self._base = self._indicators(memory)
        self._trends: dict[int, tuple[Floats, Floats]] = {}
        self._fears: dict[tuple[int, int], Floats] = {}

    def metrics(self, config: MarketConfig) -> MetricsColumns:
        """Return the columns as `config` wants them."""
        base = self._base
        slope, t = self._trend(config.trend_window)
        daily = np.maximum(base["volatility_20"], config.volatility_floor) * _WEEK_IN_YEARS
        columns = {
            **base,
            "trend_slope": slope,
            "trend_t": t,
            "momentum": base["change_5"] / daily,
            "vix": self.vix,
            "vix_deviation": self._deviation(config.vix_window, config.vix_history),
        }
        return MetricsColumns(**columns)

    def exact(self, index: int, config: MarketConfig, columns: MetricsColumns) -> MarketMetrics:
        """Return one row from the scalar stream, for where the last bit decides.

        The windows are the stream's own; RSI and MACD, which remember everything, and VIX are those of the columns.
        """
        stop = len(self._all) - len(self.bars) + index + 1
        stream = MarketStream(config)
        for i in range(stop - CLOSES_NEEDED, stop):
            stream.update(self._all.row(i))
        row = columns.row(index)
        kept = {name: getattr(row, name) for name in ("rsi", "macd", "macd_signal", "vix", "vix_deviation")}
        return stream.metrics()._replace(**kept)

    def _indicators(self, memory: Memory) -> dict[str, Floats]:
        bars, m = self._all, len(self.bars)
        closes = bars.close
        recent = closes[max(len(closes) - m - 20, 0) :]
        returns = log_returns(recent)
        if len(self.spans) > 1:
            rsi = np.concatenate([rsi_from_start(closes[span])[0] for span in self.spans])
            both = [macd_from_start(closes[span])[:2] for span in self.spans]
            line, signal = map(np.concatenate, zip(*both, strict=True))
        elif memory.averages is None or memory.strength is None:
            rsi, memory.strength = rsi_from_start(closes)
            line, signal, memory.averages = macd_from_start(closes)
        else:
            rsi, memory.strength = rsi_after(closes[len(closes) - m - 1 :], memory.strength)
            line, signal, memory.averages = macd_after(closes[len(closes) - m :], memory.averages)
        start = max(len(closes) - m - 20, 0)
        volumes = bars.volume[start:]
        self.whole_volumes = _sums_exactly(volumes)
        parts = {
            "close": self.bars.close.copy() if self.gaps else self.bars.close,
            "change_1": changes(recent, 1),
            "change_5": changes(recent, 5),
            "change_20": changes(recent, 20),
            "volatility_5": annual_volatilities(returns, 5),
            "volatility_20": annual_volatilities(returns, 20),
            "parkinson_20": range_volatilities(bars.high[start:], bars.low[start:], 20),
            "rsi": rsi,
            "macd": line,
            "macd_signal": signal,
            "bollinger": band_positions(recent, 20),
            "volume_ratio": ratios_to_mean(volumes, 20),
        }
        return {name: self._defined(values) for name, values in parts.items()}

    def _defined(self, values: Floats) -> Floats:
        """Return a column as long as the part, NaN in the rows that have no answer."""
        column = padded(values, len(self.bars), np.nan)
        for gap in self.gaps:
            column[gap] = np.nan
        return column

    def _trend(self, window: int) -> tuple[Floats, Floats]:
        if window not in self._trends:
            closes = self._all.close[max(len(self._all) - len(self.bars) - window + 1, 0) :]
            mean, slope, t = lines(closes, window)
            slope /= mean
            self._trends[window] = self._defined(slope), self._defined(t)
        return self._trends[window]

    def _deviation(self, window: int, history: int) -> Floats:
        """Return how far VIX is from the median of the values before it, in robust standard deviations."""
        if (window, history) not in self._fears:
            result = joined([self._deviation_of(self.vix[span], window, history) for span in self.spans])
            for gap in self.gaps:
                result[gap] = np.nan
            self._fears[window, history] = result
        return self._fears[window, history]

    def _deviation_of(self, vix: Floats, window: int, history: int) -> Floats:
        result = np.full(len(vix), np.nan)
        days = np.flatnonzero(~np.isnan(vix))
        values = np.concatenate((self._earlier_fears, vix[days]))
        earlier = len(self._earlier_fears)
        first = max(earlier, history)
        if first >= len(values):
            return result
        centre, spread = self._centres.of(values, window, first)
        spread = spread * _MAD_TO_DEVIATION
        spread[spread == 0.0] = np.nan
        result[days[first - earlier :]] = (values[first:] - centre) / spread
        return result


def _sums_exactly(volumes: Floats) -> bool:
    """Return whether sums of these have no rounding error, in whatever order: they are whole numbers, and not too many."""
    traded = volumes[~np.isnan(volumes)]
    return bool((traded == np.rint(traded)).all() and traded.sum() < _WHOLE)


class Memory:
    """What one part of a series leaves for the next."""

    __slots__ = ("averages", "centres", "fears", "seen", "strength", "tail", "widest")

    def __init__(self, configs: tuple[MarketConfig, ...], centres: Centres) -> None:
        self.centres = centres
        self.seen = 0
        self.tail: Bars | None = None
        self.strength: Strength | None = None
        self.averages: Averages | None = None
        self.fears = _NO_FLOATS
        self.widest = max(config.vix_window for config in configs)

    def require_next(self, bars: Bars) -> None:
        """Raise InputError for bars that do not go on after the last ones."""
        if self.tail is not None:
            require_after(bars, self.tail)

    def take(self, bars: Bars, vix: Floats) -> Part:
        """Return the indicators of the next part, a checked one, and remember what the one after it needs."""
        part = Part(bars, vix, self, [slice(0, len(bars))])
        self.seen += len(bars)
        every = bars if self.tail is None else joined_bars([self.tail.part(-_KEPT), bars])
        self.tail = every.part(-_KEPT) if len(every) > _KEPT else every
        self.fears = np.concatenate((self.fears, vix[~np.isnan(vix)]))[-self.widest :]
        if self.seen < _KEPT:  # all bars are still there: start anew rather than go on
            self.averages = self.strength = None
        return part
