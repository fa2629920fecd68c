"""One symbol in a pass: its bars and requests, and what the indicators say of them by each configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine_opt.batch.atr import ReadingColumns
from engine_opt.batch.columns import Bars, Codes
from engine_opt.batch.market import MarketColumns
from engine_opt.batch.requests import Requests, week_starts
from engine_opt.batch.rows import run
from engine_opt.errors import InputError
from engine_opt.model import AccountType
from engine_opt.protocol.atr_adjustment import STREAMS, ATRConfig
from engine_opt.protocol.market_condition_analyzer import CLOSES_NEEDED, MarketStream
from engine_opt.protocol.market_scoring import MarketConfig


class Stock:
    """Bars, VIX and requests of one symbol, and its rows among those of the pass."""

    __slots__ = (
        "_ranges",
        "aware",
        "bars",
        "markets",
        "now",
        "readings",
        "requests",
        "rows",
        "starts",
        "symbol",
        "taken",
        "vix",
    )

    def __init__(self, bars: Bars, vix: ArrayLike | None, requests: Requests, symbol: str) -> None:
        self.bars, self.vix, self.requests, self.symbol = bars, vix, requests, symbol
        self.now, self.aware = requests.moments(bars)
        self.taken = run(requests.bar)  # the bars that are asked about
        given = requests.week_start_price
        self.starts = np.where(np.isnan(given), week_starts(bars)[self.taken], given)
        self.rows = slice(0, len(requests))
        self.markets: tuple[MarketColumns, ...] = ()
        self.readings: tuple[ReadingColumns, ...] = ()
        self._ranges: dict[tuple[str, int], list[float]] = {}

    def first(self, market: int, readings: int) -> int:
        """Return how many requests have too little history for an answer; they come first."""
        needed = max(self.markets[market].first, self.readings[readings].first)
        lacking = int(np.searchsorted(self.requests.bar, needed))
        gaps = np.flatnonzero(np.isnan(self.starts))
        if not gaps.size or gaps[-1] < lacking:
            return lacking
        last = int(gaps[-1]) + 1
        if not np.isnan(self.starts[lacking:last]).all():
            index = int(gaps[gaps >= lacking][0])
            why = "there is no close before this week: give it here too, or for none of the rows up to the next week"
            raise InputError(f"week_start_price[{index}]", None, why)
        return last

    def first_reading(self, readings: int) -> int:
        """Return how many requests have no reading; they come first."""
        return int(np.searchsorted(self.requests.bar, self.readings[readings].first))

    def exact_volatility(self, index: int, config: MarketConfig) -> float:
        """Return the volatility over 20 sessions at a request's bar, as the stream has it."""
        bar, stream = int(self.requests.bar[index]), MarketStream(config)
        for i in range(bar - CLOSES_NEEDED + 1, bar + 1):
            stream.update(self.bars.row(i))
        return stream.metrics().volatility_20

    def exact_atr(self, index: int, config: ATRConfig) -> float:
        """Return the average true range that is judged, as the stream has it; all close calls share one stream."""
        key = config.smoothing, config.periods[0]
        if key not in self._ranges:
            self._ranges[key] = _exact_ranges(self.bars, config)
        return self._ranges[key][int(self.requests.bar[index])]


def accounts_by_symbol(account: Codes, stocks: Sequence[Stock]) -> NDArray[Any]:
    """Return the code of each row's account, counted on for each symbol after the first."""
    if len(stocks) == 1:
        return account
    every = np.array(np.broadcast_to(account, (stocks[-1].rows.stop,)), np.intp)
    for number, stock in enumerate(stocks):
        every[stock.rows] += number * len(AccountType)
    return every


def _exact_ranges(bars: Bars, config: ATRConfig) -> list[float]:
    """Return the average true range that is judged at every bar, as the scalar stream has it; NaN before it is there."""
    average = STREAMS[config.smoothing](config.periods[0])
    found, before = [], None
    for high, low, close in zip(bars.high.tolist(), bars.low.tolist(), bars.close.tolist(), strict=True):
        average.update(high - low if before is None else max(high, before) - min(low, before))
        before = close
        found.append(average.value if average.ready else np.nan)
    return found
