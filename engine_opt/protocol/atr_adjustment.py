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
from dataclasses import dataclass, field
from datetime import date
from math import fsum, inf
from typing import Literal

from engine_opt import _validate as check
from engine_opt._table import Table
from engine_opt.errors import ConfigError, InputError, InsufficientData, StateError
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
from engine_opt.protocol.indicators import ExponentialATR, Line, SimpleATR, WilderATR
from engine_opt.protocol.ranking import Moments, RankedWindow, z_score
from engine_opt.protocol.saved import SCHEMA, Saved, State, opened

Smoothing = Literal["wilder", "sma", "ema"]
Factors = tuple[float, float, float, float, float]  # one per ATRRegime, calmest first

_REGIMES = tuple(ATRRegime)
_STREAMS: Mapping[str, type[WilderATR | SimpleATR]] = Table(
    {"wilder": WilderATR, "sma": SimpleATR, "ema": ExponentialATR}
)
_SERIES = Table({"wilder": indicators.wilder_atr, "sma": indicators.sma_atr, "ema": indicators.ema_atr})
TREND_CLOSES = 10
TREND_RANGES = 20  # the last 10 true ranges against the 10 before
PRICE_TREND = 0.001  # share of the price, per session
VOLATILITY_TREND = 0.10
_LARGEST_SHARE = LARGEST_PRICE / LEAST_PRICE
_TREND_LINE = Line(TREND_CLOSES)

_LADDER = (0.5, 1.0, 1.5)
_LADDER_LEVELS = tuple(AdverseMoveLevel)
_PUT_ACTIONS = {
    AdverseMoveLevel.NONE: (),
    AdverseMoveLevel.MONITOR: ("monitor_closely",),
    AdverseMoveLevel.CONSIDER_ADJUSTING: ("consider_adjusting",),
    AdverseMoveLevel.ACT: ("roll_out", "roll_down", "close_position"),
}
_STOCK_ACTIONS = {**_PUT_ACTIONS, AdverseMoveLevel.ACT: ("roll_out", "roll_down", "lower_delta")}


@dataclass(frozen=True, slots=True)
class Account:
    """What an account allows: its delta band in points, inclusive, and the share of the usual size it takes."""

    delta_low: float
    delta_high: float
    size: float

    def __post_init__(self) -> None:
        check.between("delta_low", self.delta_low, 0.0, 100.0, "points")
        check.between("delta_high", self.delta_high, self.delta_low, 100.0, "points")
        check.positive("size", self.size)


def _accounts() -> Mapping[AccountType, Account]:
    return Table(
        {
            AccountType.GEN: Account(40.0, 50.0, 1.0),
            AccountType.REV: Account(30.0, 40.0, 0.9),
            AccountType.COM: Account(20.0, 30.0, 0.8),
        }
    )


def _original_accounts() -> Mapping[AccountType, Account]:
    sizes = {AccountType.GEN: 1.0, AccountType.REV: 0.9, AccountType.COM: 1.1}
    return Table({account: Account(10.0, 70.0, size) for account, size in sizes.items()})


def _condition_factors() -> Mapping[MarketConditionKind, float]:
    k = MarketConditionKind
    named = {k.EXTREMELY_BULLISH: 1.10, k.BULLISH: 1.05, k.BEARISH: 0.95, k.EXTREMELY_BEARISH: 0.90}
    return Table({kind: named.get(kind, 1.0) for kind in k})


@dataclass(frozen=True, slots=True)
class ATRConfig:
    """How ranges are averaged, judged and turned into factors.

    `limits` are the inclusive upper ends of the four calmer regimes: shares of the price where `regime_by` is
    "absolute", percentiles of the symbol's own history where it is "percentile". The absolute ones suit indices: a
    single stock is above them on most days.
    `base_delta` None starts from the middle of the account's band. `history` readings are kept per symbol, and fewer
    than `history_needed` of them give no percentile. At most `max_symbols` are tracked.
    """

    smoothing: Smoothing = "wilder"
    periods: tuple[int, ...] = (14, 21, 50)
    regime_by: Literal["absolute", "percentile"] = "absolute"
    limits: tuple[float, float, float, float] | None = None
    history: int = 252
    history_needed: int = 60
    max_symbols: int = 4096
    position_size: Factors = (1.2, 1.1, 1.0, 0.8, 0.6)
    delta: Factors = (1.1, 1.05, 1.0, 0.9, 0.8)
    days_to_expiration: Factors = (0.9, 0.95, 1.0, 1.1, 1.2)
    risk_multiplier: Factors = (0.8, 0.9, 1.0, 1.2, 1.5)
    stop_loss: Factors = (1.5, 1.3, 1.0, 0.8, 0.6)
    profit_target: Factors = (0.8, 0.9, 1.0, 1.2, 1.4)
    condition: Mapping[MarketConditionKind, float] = field(default_factory=_condition_factors)
    accounts: Mapping[AccountType, Account] = field(default_factory=_accounts)
    base_size: float = 1.0
    base_delta: float | None = None
    base_days: int = 35
    days_band: tuple[int, int] = (10, 90)
    regime_limits: tuple[float, float, float, float] = field(init=False, repr=False)  # `limits` or their default

    def __post_init__(self) -> None:
        if self.smoothing not in _STREAMS:
            raise ConfigError(f"smoothing={self.smoothing!r} is not known: choose one of {', '.join(_STREAMS)}")
        if self.regime_by not in ("absolute", "percentile"):
            raise ConfigError(f"regime_by={self.regime_by!r} is not known: choose 'absolute' or 'percentile'")
        if not self.periods or any(a >= b for a, b in zip(self.periods, self.periods[1:], strict=False)):
            raise ConfigError(f"periods={self.periods} must rise: the first is the one that is judged")
        if not 2 <= self.history_needed <= self.history:  # a deviation needs two values
            raise ConfigError(f"history_needed={self.history_needed} must be between 2 and history={self.history}")
        if self.max_symbols < 1:
            raise ConfigError(f"max_symbols={self.max_symbols} must be at least 1")
        default = (0.005, 0.01, 0.02, 0.035) if self.regime_by == "absolute" else (20.0, 40.0, 60.0, 80.0)
        limits = default if self.limits is None else self.limits
        if any(a >= b for a, b in zip((0.0, *limits), (*limits, inf), strict=True)):
            raise ConfigError(f"limits={limits} must rise from above 0")
        object.__setattr__(self, "regime_limits", limits)
        self._check_tables()
        object.__setattr__(self, "condition", Table(self.condition))
        object.__setattr__(self, "accounts", Table(self.accounts))

    def _check_tables(self) -> None:
        for name in ("position_size", "delta", "days_to_expiration", "risk_multiplier", "stop_loss", "profit_target"):
            if len(factors := getattr(self, name)) != len(_REGIMES):
                raise ConfigError(f"{name}={factors} must have one factor for each of {len(_REGIMES)} regimes")
            for factor in factors:
                check.positive(name, factor)
        if missing := [kind.value for kind in MarketConditionKind if kind not in self.condition]:
            raise ConfigError(f"there is no delta factor for condition {', '.join(missing)}")
        if missing := [kind.value for kind in AccountType if kind not in self.accounts]:
            raise ConfigError(f"there is no entry for account {', '.join(missing)}")

    @classmethod
    def original(cls) -> ATRConfig:
        """Return the settings of the engine that this one replaces: plain means, delta 30 clamped to 10-70 everywhere.

        Its history of 10 readings sufficed for a percentile. A missing percentile costs confidence here, there it
        earned the maximum.
        """
        return cls(smoothing="sma", history_needed=10, accounts=_original_accounts(), base_delta=30.0)

    @property
    def bars_needed(self) -> int:
        """How many bars make a reading."""
        return max(self.periods[-1] + 1, TREND_RANGES)


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
        make = _STREAMS[config.smoothing]
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
        make = _STREAMS[config.smoothing]
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
    kind = None if condition is None else check.member(MarketConditionKind, "condition", condition)
    allowed = settings.accounts[owner]
    step = _REGIMES.index(reading.regime)
    base = (allowed.delta_low + allowed.delta_high) / 2.0 if settings.base_delta is None else settings.base_delta
    wanted = base * settings.delta[step] * (1.0 if kind is None else settings.condition[kind])
    # A float product a hair below a whole number of days is that number: 45 * 1.4 is 62.99999999999999.
    days = int(settings.base_days * settings.days_to_expiration[step] + 1e-9)
    return ATRAdjustment(
        owner,
        kind,
        settings.base_size * settings.position_size[step] * allowed.size,
        min(max(wanted, allowed.delta_low), allowed.delta_high),
        wanted,
        min(max(days, settings.days_band[0]), settings.days_band[1]),
        settings.risk_multiplier[step],
        settings.stop_loss[step],
        settings.profit_target[step],
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
    if held is not Position.CASH and moved >= _LADDER[0]:
        level = AdverseMoveLevel.MONITOR
        if moved > _LADDER[2]:
            level = AdverseMoveLevel.ACT
        elif moved >= _LADDER[1]:
            level = AdverseMoveLevel.CONSIDER_ADJUSTING
    actions = _PUT_ACTIONS if held is Position.SHORT_PUT else _STOCK_ACTIONS
    return AdverseMove(level, moved, actions[level])


def _confidence(reading: ATRReading) -> float:
    """Return how sure the adjustment is, 0.5-0.95, counted in whole hundredths because sums of 0.05 are not whole."""
    hundredths = 80 + (10 if reading.volatility_trend is Direction.STABLE else -5)
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
    return min(max(hundredths, 50), 95) / 100.0


def _regime(share: float, percentile: float | None, got: int, config: ATRConfig) -> ATRRegime:
    judged = share
    if config.regime_by == "percentile":
        if percentile is None:
            raise InsufficientData(config.history_needed, got, "earlier readings")
        judged = percentile
    return _REGIMES[bisect_left(config.regime_limits, judged)]  # an upper end belongs to the calmer regime


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
        return Direction.RISING
    return Direction.FALLING if change < -threshold else Direction.STABLE


_DEFAULT = ATRConfig()
