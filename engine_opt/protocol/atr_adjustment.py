"""Position parameters adjusted to the average true range.

Two forms that agree: `measure` over a whole series, and `update`/`reading` a bar at a time, with a bounded history per
symbol. `adjust` turns a reading into parameters and is a pure function of it. The memory of all symbols can be saved as
plain values and restored.

Source: Wilder 1978, New Concepts in Technical Trading Systems. The periods 14, 21 and 50, the factor tables and the
regime limits are the protocol's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from math import fsum

from engine_opt import _validate as check
from engine_opt._table import Table
from engine_opt.errors import InputError, InsufficientData, StateError
from engine_opt.model import (
    LARGEST_PRICE,
    LEAST_PRICE,
    AccountType,
    AdverseMove,
    AdverseMoveLevel,
    ATRAdjustment,
    ATRReading,
    ATRRegime,
    Bar,
    Direction,
    MarketConditionKind,
    Position,
    check_bar,
    check_symbol,
)
from engine_opt.protocol import indicators
from engine_opt.protocol.atr_config import REGIMES, TREND_RANGES, Account, ATRConfig, Factors, Smoothing
from engine_opt.protocol.indicators import ExponentialATR, Line, SimpleATR, WilderATR
from engine_opt.protocol.ranking import Moments, RankedWindow, z_score
from engine_opt.protocol.saved import SCHEMA, Saved, State, opened

__all__ = [
    "PRICE_TREND",
    "TREND_CLOSES",
    "TREND_RANGES",
    "VOLATILITY_TREND",
    "ATRAdjustmentSystem",
    "ATRConfig",
    "Account",
    "Factors",
    "Smoothing",
    "adjust",
    "adverse_move",
    "measure",
    "price_trend",
    "volatility_trend",
]

STREAMS: Mapping[str, type[WilderATR | SimpleATR]] = Table(
    {"wilder": WilderATR, "sma": SimpleATR, "ema": ExponentialATR}
)
_SERIES = Table({"wilder": indicators.wilder_atr, "sma": indicators.sma_atr, "ema": indicators.ema_atr})
TREND_CLOSES = 10
PRICE_TREND = 0.001  # share of the price, per session
VOLATILITY_TREND = 0.10
_LARGEST_SHARE = LARGEST_PRICE / LEAST_PRICE
_TREND_LINE = Line(TREND_CLOSES)

_FALLING, _STABLE, _RISING = Direction.FALLING, Direction.STABLE, Direction.RISING

LADDER = (0.5, 1.0, 1.5)
_LADDER_LEVELS = tuple(AdverseMoveLevel)
PUT_ACTIONS = {
    AdverseMoveLevel.NONE: (),
    AdverseMoveLevel.MONITOR: ("monitor_closely",),
    AdverseMoveLevel.CONSIDER_ADJUSTING: ("consider_adjusting",),
    AdverseMoveLevel.ACT: ("roll_out", "roll_down", "close_position"),
}
STOCK_ACTIONS = {**PUT_ACTIONS, AdverseMoveLevel.ACT: ("roll_out", "roll_down", "lower_delta")}


class ATRAdjustmentSystem:
    """Measure the volatility of symbols and adjust position parameters to it.

    The configuration is immutable. The memory, per symbol: three averages, 10 closes, 20 true ranges, 252 readings.
    Not to be shared between threads without a lock.
    """

    __slots__ = ("_config", "_tracks")

    def __init__(self, config: ATRConfig | None = None) -> None:
        self._config = ATRConfig() if config is None else config
        self._tracks: dict[str, _Track] = {}

    @property
    def config(self) -> ATRConfig:
        """The configuration in use."""
        return self._config

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that are tracked."""
        return tuple(self._tracks)

    def update(self, symbol: str, bar: Bar) -> None:
        """Take the next bar of a symbol.

        Raises InputError for a bar that is not later than the symbol's last, StateError where too many symbols are
        tracked; nothing is changed then.
        """
        track = self._tracks.get(symbol)
        if track is None:
            check_symbol(symbol)
            check_bar(bar)
            if len(self._tracks) >= self._config.max_symbols:
                raise StateError(f"{len(self._tracks)} symbols are tracked: forget one, or raise max_symbols")
            track = self._tracks[symbol] = _Track(self._config)
        track.update(bar)

    def forget(self, symbol: str) -> None:
        """Drop the memory of a symbol; it need not be tracked."""
        self._tracks.pop(symbol, None)

    def reading(self, symbol: str) -> ATRReading:
        """Return the reading at the symbol's last close.

        Raises StateError for a symbol that was never updated, InsufficientData before the 51st bar, and, where regimes
        go by percentile, before there is history enough.
        """
        track = self._tracks.get(symbol)
        if track is None:
            raise StateError(f"nothing is known of symbol {symbol!r}: update it with bars first")
        return track.reading(symbol)

    def save(self) -> State:
        """Return what is remembered of all symbols as plain values that JSON can hold; `restore` takes them back.

        It grows with the windows and the symbols, not with the bars seen. A time with a zone keeps its offset, not the
        zone's name.
        """
        symbols = {symbol: track.state() for symbol, track in self._tracks.items()}
        return {"schema": SCHEMA, "memory": _memory(self._config), "symbols": symbols}

    @classmethod
    def restore(cls, config: ATRConfig | None, state: object) -> ATRAdjustmentSystem:
        """Return a system that answers, bit by bit, what the saved one would have answered.

        The configuration must remember as much as the saved one did, smoothed in the same way; how it judges and
        adjusts may differ. Raises StateError for a state of another schema or configuration, one that contradicts
        itself, or one with more symbols than are allowed, InputError for a value that cannot be. Both name the field.
        """
        system = cls(config)
        saved = opened(state, "atr_adjustment", _memory(system._config), "symbols")
        symbols = saved.raw("symbols")
        if not isinstance(symbols, Mapping):
            raise InputError(saved.at("symbols"), symbols, "it must be a table by symbol")
        if len(symbols) > system._config.max_symbols:
            raise StateError(
                f"{saved.at('symbols')} holds {len(symbols)}: more than max_symbols={system._config.max_symbols}"
            )
        for symbol, track in symbols.items():
            where = f"{saved.at('symbols')}.{check_symbol(symbol)}"
            system._tracks[symbol] = _Track.from_state(track, system._config, where)
        return system

    def measure(self, symbol: str, bars: Iterable[Bar]) -> ATRReading:
        """Return the reading at the end of a whole series; a pure function, the tracked symbols are not touched."""
        return measure(check_symbol(symbol), bars, self._config)

    def adjust(
        self,
        reading: ATRReading,
        account: AccountType | str,
        condition: MarketConditionKind | str | None = None,
    ) -> ATRAdjustment:
        """Return the account's parameters for a reading; a condition that is not known leaves delta alone."""
        return adjust(reading, account, condition, self._config)


class _Track:
    """The bounded memory of one symbol."""

    __slots__ = ("_averages", "_closes", "_config", "_count", "_history", "_moments", "_ranges", "_share", "_time")

    def __init__(self, config: ATRConfig) -> None:
        self._config = config
        make = STREAMS[config.smoothing]
        self._averages: list[WilderATR | SimpleATR] = [make(n) for n in config.periods]
        self._closes: deque[float] = deque(maxlen=TREND_CLOSES)
        self._ranges: deque[float] = deque(maxlen=TREND_RANGES)
        self._history = RankedWindow(config.history)  # shares up to the bar before the last
        self._moments = Moments()  # of the same
        self._share: float | None = None
        self._time: date | None = None
        self._count = 0

    def update(self, bar: Bar) -> None:
        check_bar(bar, self._time)
        high, low, close = bar.high, bar.low, bar.close
        if self._count:
            before = self._closes[-1]
            spread = max(high, before) - min(low, before)
        else:
            spread = high - low
        self._ranges.append(spread)
        self._closes.append(close)
        for average in self._averages:
            average.update(spread)
        if self._share is not None:
            self._moments.change(self._share, self._history.push(self._share))
        judged = self._averages[0]
        if judged.ready:
            self._share = judged.value / close
        self._time = bar.time
        self._count += 1

    def state(self) -> State:
        return {
            "count": self._count,
            "time": None if self._time is None else self._time.isoformat(),
            "closes": list(self._closes),
            "ranges": list(self._ranges),
            "averages": [average.state() for average in self._averages],
            "shares": self._history.state(),
        }

    @classmethod
    def from_state(cls, state: object, config: ATRConfig, where: str) -> _Track:
        """Return the memory that had this state; the last share is worked out again, as `update` did."""
        track = cls(config)
        saved = Saved(state, where, "count", "time", "closes", "ranges", "averages", "shares")
        count = track._count = saved.count("count", least=1)
        track._time = saved.time("time")
        track._closes.extend(saved.numbers("closes", min(count, TREND_CLOSES), LEAST_PRICE, LARGEST_PRICE))
        track._ranges.extend(saved.numbers("ranges", min(count, TREND_RANGES), 0.0, LARGEST_PRICE))
        averages = saved.items("averages", len(config.periods))
        make = STREAMS[config.smoothing]
        for i, (average, n) in enumerate(zip(averages, config.periods, strict=True)):
            place = f"{saved.at('averages')}[{i}]"
            track._averages[i] = make.from_state(average, n, place)
            if (seen := track._averages[i].state()["count"]) != count - 1:
                raise StateError(f"{place}.count={seen} contradicts the rest, which says {count - 1}: it is damaged")
        earlier = max(count - config.periods[0] - 1, 0)  # readings before the last
        shares = saved.numbers("shares", min(earlier, config.history), 0.0, _LARGEST_SHARE)
        track._history = RankedWindow.from_state(shares, config.history)
        track._moments = Moments(shares)
        judged = track._averages[0]
        if judged.ready:
            share = judged.value / track._closes[-1]
            track._share = check.between(f"{saved.at('averages')}[0].value/close", share, 0.0, _LARGEST_SHARE)
        return track

    def reading(self, symbol: str) -> ATRReading:
        config = self._config
        if self._count < config.bars_needed:
            raise InsufficientData(config.bars_needed, self._count, "bars")
        if self._share is None or self._time is None:  # pragma: no cover - both are set by then
            raise StateError(f"symbol {symbol!r} has no reading yet: update it with bars first")
        history, share = self._history, self._share
        percentile = deviations = None
        if len(history) >= config.history_needed:
            percentile, deviations = history.percentile(share), self._moments.z_score(share)
        return ATRReading(
            symbol,
            self._time,
            self._closes[-1],
            tuple([average.value for average in self._averages]),
            share,
            percentile,
            deviations,
            len(history),
            _regime(share, percentile, len(history), config),
            price_trend(self._closes),
            volatility_trend(list(self._ranges)),
        )


def _memory(config: ATRConfig) -> State:
    """Return what of a configuration shapes the memory of a symbol; all else only judges what is remembered."""
    return {"smoothing": config.smoothing, "periods": list(config.periods), "history": config.history}


def measure(symbol: str, bars: Iterable[Bar], config: ATRConfig) -> ATRReading:
    """Return the reading at the end of a whole series, from the definitions.

    Raises InsufficientData for fewer bars than the longest period needs, InputError for bars out of order.
    """
    series: list[Bar] = []
    for bar in bars:
        series.append(check_bar(bar, series[-1].time if series else None))
    if len(series) < config.bars_needed:
        raise InsufficientData(config.bars_needed, len(series), "bars")
    high, low, close = [b.high for b in series], [b.low for b in series], [b.close for b in series]
    averages = [_SERIES[config.smoothing](high, low, close, n) for n in config.periods]
    first = config.periods[0]
    shares = [average / price for average, price in zip(averages[0][first:], close[first:], strict=True)]
    share, history = shares[-1], shares[:-1][-config.history :]
    percentile = deviations = None
    if len(history) >= config.history_needed:
        below, equal = sum(x < share for x in history), sum(x == share for x in history)
        percentile = 100.0 * (below + equal / 2.0) / len(history)
        deviations = z_score(history, share)
    return ATRReading(
        symbol=symbol,
        time=series[-1].time,
        close=close[-1],
        atr=tuple(average[-1] for average in averages),
        atr_share=share,
        percentile=percentile,
        z_score=deviations,
        history=len(history),
        regime=_regime(share, percentile, len(history), config),
        price_trend=price_trend(close[-TREND_CLOSES:]),
        volatility_trend=volatility_trend(indicators.true_range(high, low, close)[-TREND_RANGES:]),
    )


def adjust(
    reading: ATRReading,
    account: AccountType | str,
    condition: MarketConditionKind | str | None = None,
    config: ATRConfig | None = None,
) -> ATRAdjustment:
    """Return the account's parameters for a reading.

    Delta is clamped to the account's band, so that the engine does not propose what its own rules reject; what the
    factors alone would have given is in `delta_wanted`. Raises InputError for an unknown account or condition.
    """
    if type(reading) is not ATRReading:
        raise InputError("reading", reading, "it must be an engine_opt.ATRReading")
    settings = _DEFAULT if config is None else config
    owner = account if type(account) is AccountType else check.member(AccountType, "account", account)
    step = settings.steps[owner, reading.regime]
    kind, wanted = None, step.delta
    if condition is not None:
        kind = (
            condition
            if type(condition) is MarketConditionKind
            else check.member(MarketConditionKind, "condition", condition)
        )
        wanted *= settings.condition[kind]
    delta = wanted
    if delta < step.delta_low:
        delta = step.delta_low
    elif delta > step.delta_high:
        delta = step.delta_high
    return ATRAdjustment(
        owner,
        kind,
        step.size,
        delta,
        wanted,
        step.days,
        step.risk_multiplier,
        step.stop_loss,
        step.profit_target,
        _confidence(reading),
        reading,
    )


def adverse_move(position: Position | str, reference_price: float, price: float, atr: float) -> AdverseMove:
    """Return how far a price fell below its reference, in average true ranges, and what that asks for.

    Short puts, stock and covered calls all lose when the price falls. From 0.5 on: monitor; from 1: consider
    adjusting; above 1.5: act. Cash has nothing to lose. Raises InputError where a price or `atr` is not positive.
    """
    held = check.member(Position, "position", position)
    fall = check.positive("reference_price", reference_price) - check.positive("price", price)
    moved = fall / check.positive("atr", atr)
    level = AdverseMoveLevel.NONE
    if held is not Position.CASH and moved >= LADDER[0]:
        level = AdverseMoveLevel.MONITOR
        if moved > LADDER[2]:
            level = AdverseMoveLevel.ACT
        elif moved >= LADDER[1]:
            level = AdverseMoveLevel.CONSIDER_ADJUSTING
    actions = PUT_ACTIONS if held is Position.SHORT_PUT else STOCK_ACTIONS
    return AdverseMove(level, moved, actions[level])


def _confidence(reading: ATRReading) -> float:
    """Return how sure the adjustment is, 0.5-0.95, counted in whole hundredths because sums of 0.05 are not whole."""
    hundredths = 80 + (10 if reading.volatility_trend is _STABLE else -5)
    percentile, deviations = reading.percentile, reading.z_score
    if percentile is None:
        hundredths -= 10  # not knowing the past is worth as little as being at its edge
    elif 25.0 <= percentile <= 75.0:  # the protocol's figures, here and below
        hundredths += 5
    elif not 10.0 <= percentile <= 90.0:
        hundredths -= 10
    if deviations is not None:
        if abs(deviations) < 1.0:
            hundredths += 5
        elif abs(deviations) > 2.0:
            hundredths -= 10
    if hundredths < 50:
        hundredths = 50
    elif hundredths > 95:
        hundredths = 95
    return hundredths / 100.0


def _regime(share: float, percentile: float | None, got: int, config: ATRConfig) -> ATRRegime:
    judged = share
    if config.regime_by == "percentile":
        if percentile is None:
            raise InsufficientData(config.history_needed, got, "earlier readings")
        judged = percentile
    return REGIMES[bisect_left(config.regime_limits, judged)]  # an upper end belongs to the calmer regime


def price_trend(closes: Sequence[float] | deque[float]) -> Direction:
    """Return which way the last TREND_CLOSES closes go: their slope against a tenth of a percent a session."""
    return _against(_TREND_LINE.slope(closes), PRICE_TREND * closes[-1])


def volatility_trend(ranges: Sequence[float]) -> Direction:
    """Return which way the last TREND_RANGES true ranges go: the newer half against the older."""
    half = TREND_RANGES // 2
    before, after = fsum(ranges[:half]), fsum(ranges[half:])
    return _against(after - before, VOLATILITY_TREND * before)


def _against(change: float, threshold: float) -> Direction:
    if change > threshold:
        return _RISING
    return _FALLING if change < -threshold else _STABLE


_DEFAULT = ATRConfig()
