"""Average true range and the adjustment to it, session by session: `ATRAdjustmentSystem` over columns.

    readings = measure(Bars.of(bars))
    adjusted = adjust(readings, "GEN", analyze(Bars.of(bars)).condition)

Row i equals what the system reads after bar i. The first rows have no reading: `first` says where readings begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine_opt.batch.atr_history import Memory, Part, judged
from engine_opt.batch.columns import (
    UNKNOWN,
    Bars,
    Codes,
    Floats,
    Times,
    code_column,
    known,
    moment,
    padded,
    require_bars,
)
from engine_opt.batch.windows import slopes, sums
from engine_opt.errors import InputError, InsufficientData
from engine_opt.model import AccountType, ATRAdjustment, ATRReading, ATRRegime, Direction, MarketConditionKind
from engine_opt.protocol.atr_adjustment import (
    PRICE_TREND,
    TREND_CLOSES,
    TREND_RANGES,
    VOLATILITY_TREND,
    ATRConfig,
    price_trend,
    volatility_trend,
)

_ACCOUNTS, _CONDITIONS = tuple(AccountType), tuple(MarketConditionKind)
_REGIMES, _DIRECTIONS = tuple(ATRRegime), tuple(Direction)
_FALLING, _STABLE, _RISING = (
    _DIRECTIONS.index(each) for each in (Direction.FALLING, Direction.STABLE, Direction.RISING)
)
_PART = 8192  # sessions at a time: their columns stay in the cache
_CLOSE = 1e-9  # share of a threshold: a million times what the two forms can differ by


@dataclass(frozen=True, slots=True, eq=False)
class ReadingColumns:
    """Readings of the average true range, a row per session; the columns are named like the fields of ATRReading.

    `atr` is n x periods. Rows before `first` have no reading: codes are UNKNOWN, numbers NaN, `history` 0. `percentile` and
    `z_score` are NaN where they are not known. `seen` counts the sessions of earlier chunks.
    """

    time: Times
    close: Floats
    atr: Floats
    atr_share: Floats
    percentile: Floats
    z_score: Floats
    history: NDArray[np.intp]
    regime: Codes
    price_trend: Codes
    volatility_trend: Codes
    symbol: str
    config: ATRConfig
    first: int
    seen: int
    utc: bool

    def __len__(self) -> int:
        return len(self.close)

    def row(self, index: int) -> ATRReading:
        """Return the scalar record of one session. Raises InsufficientData where there is none yet."""
        index = range(len(self))[index]
        if index < self.first:
            raise self._lack(index)
        return ATRReading(
            self.symbol,
            moment(self.time[index], utc=self.utc),
            float(self.close[index]),
            tuple(self.atr[index].tolist()),
            float(self.atr_share[index]),
            known(float(self.percentile[index])),
            known(float(self.z_score[index])),
            int(self.history[index]),
            _REGIMES[self.regime[index]],
            _DIRECTIONS[self.price_trend[index]],
            _DIRECTIONS[self.volatility_trend[index]],
        )

    def _lack(self, index: int) -> InsufficientData:
        bars = self.seen + index + 1
        if bars < self.config.bars_needed:
            return InsufficientData(self.config.bars_needed, bars, "bars")
        return InsufficientData(self.config.history_needed, int(self.history[index]), "earlier readings")


@dataclass(frozen=True, slots=True, eq=False)
class AdjustmentColumns:
    """Position parameters, a row per reading; the columns are named like the fields of ATRAdjustment.

    Rows without a reading have UNKNOWN accounts, NaN numbers and 0 days. A condition that is not known is UNKNOWN.
    """

    account: Codes
    condition: Codes
    position_size: Floats
    delta: Floats
    delta_wanted: Floats
    days_to_expiration: NDArray[np.int64]
    risk_multiplier: Floats
    stop_loss: Floats
    profit_target: Floats
    confidence: Floats
    readings: ReadingColumns

    def __len__(self) -> int:
        return len(self.account)

    def row(self, index: int) -> ATRAdjustment:
        """Return the scalar record of one session. Raises InsufficientData where there is no reading yet."""
        reading = self.readings.row(index)
        condition = int(self.condition[index])
        return ATRAdjustment(
            _ACCOUNTS[self.account[index]],
            None if condition == UNKNOWN else _CONDITIONS[condition],
            float(self.position_size[index]),
            float(self.delta[index]),
            float(self.delta_wanted[index]),
            int(self.days_to_expiration[index]),
            float(self.risk_multiplier[index]),
            float(self.stop_loss[index]),
            float(self.profit_target[index]),
            float(self.confidence[index]),
            reading,
        )


def measure(bars: Bars, config: ATRConfig | None = None, symbol: str = "unnamed") -> ReadingColumns:
    """Return the reading at the close of every bar of one symbol."""
    return measure_many(bars, [ATRConfig() if config is None else config], symbol)[0]


def measure_many(bars: Bars, configs: Iterable[ATRConfig], symbol: str = "unnamed") -> tuple[ReadingColumns, ...]:
    """Return the readings by each of the configurations; true ranges and trends are worked out once."""
    wanted = tuple(configs)
    return _measured(Memory(wanted), bars, wanted, symbol) if wanted else ()


def measure_chunks(
    chunks: Iterable[Bars], config: ATRConfig | None = None, symbol: str = "unnamed"
) -> Iterator[ReadingColumns]:
    """Yield the readings of each chunk of one symbol's bars, in order.

    Between chunks, the last bars (as many as the longest period, at least 64), the averages and the history are kept.
    Enumerations come out as from one call, numbers to twelve digits. Raises InputError also for a chunk that does not go on
    after the one before.
    """
    settings = (ATRConfig() if config is None else config,)
    memory = Memory(settings)
    for bars in chunks:
        memory.require_next(require_bars(bars))
        yield _measured(memory, bars, settings, symbol)[0]


def adjust(
    readings: ReadingColumns,
    account: AccountType | str | ArrayLike | Sequence[AccountType | str],
    condition: MarketConditionKind | str | ArrayLike | None = None,
    config: ATRConfig | None = None,
) -> AdjustmentColumns:
    """Return the parameters of an account for each reading; a single account or condition stands for all rows.

    `condition` holds codes of MarketConditionKind, UNKNOWN where it is not known, which leaves delta alone. `config` is that
    of the readings if none is given. Raises InputError for codes that are none and columns of another length.
    """
    settings = readings.config if config is None else config
    n = len(readings)
    owner = _stretched("account", code_column(AccountType, "account", account), n)
    kind = _stretched("condition", _conditions(condition), n)
    allowed = [settings.accounts[each] for each in _ACCOUNTS]
    low, high = np.array([each.delta_low for each in allowed]), np.array([each.delta_high for each in allowed])
    base = (low + high) / 2.0 if settings.base_delta is None else np.full(len(allowed), settings.base_delta)
    kinds = np.ones(UNKNOWN + 1)
    kinds[: len(_CONDITIONS)] = [settings.condition[each] for each in _CONDITIONS]

    step = readings.regime
    size = settings.base_size * _by_regime(settings.position_size)[step]
    size *= np.array([each.size for each in allowed])[owner]
    wanted = base[owner] * _by_regime(settings.delta)[step]
    wanted *= kinds[kind]
    shortest, longest = settings.days_band
    days = [int(settings.base_days * factor + 1e-9) for factor in settings.days_to_expiration]  # as the scalar form
    table = np.zeros(UNKNOWN + 1, np.int64)
    table[: len(days)] = np.clip(days, shortest, longest)
    own = np.where(step == UNKNOWN, np.uint8(UNKNOWN), owner)
    return AdjustmentColumns(
        own,
        kind,
        size,
        np.minimum(np.maximum(wanted, low[owner]), high[owner]),
        wanted,
        table[step],
        _by_regime(settings.risk_multiplier)[step],
        _by_regime(settings.stop_loss)[step],
        _by_regime(settings.profit_target)[step],
        _confidences(readings),
        readings,
    )


def _conditions(condition: Any) -> Codes:
    if condition is None:
        return np.asarray(UNKNOWN, np.uint8)
    return code_column(MarketConditionKind, "condition", condition, optional=True)


def _stretched(field: str, column: Codes, n: int) -> Codes:
    if column.ndim and len(column) != n:
        raise InputError(field, len(column), f"there are {n} readings: give one for each, or one for all")
    return np.broadcast_to(column, (n,))


def _by_regime(factors: Sequence[float]) -> Floats:
    """Return a table by code of the regime, NaN where there is no reading."""
    table = np.full(UNKNOWN + 1, np.nan)
    table[: len(factors)] = factors
    return table


def _confidences(readings: ReadingColumns) -> Floats:
    """Return how sure each adjustment is, counted in hundredths like in the scalar form."""
    percentile, deviation = readings.percentile, np.abs(readings.z_score)
    hundredths = np.where(readings.volatility_trend == _STABLE, 90, 75)
    with np.errstate(invalid="ignore"):  # NaN is what is not known
        middling = (percentile >= 25.0) & (percentile <= 75.0)
        hundredths += 5 * middling
        hundredths -= 10 * ~((percentile >= 10.0) & (percentile <= 90.0))  # not known is worth as little
        hundredths += 5 * (deviation < 1.0)
        hundredths -= 10 * (deviation > 2.0)
    confidence = np.clip(hundredths, 50, 95) / 100.0
    confidence[readings.regime == UNKNOWN] = np.nan
    return confidence


def _measured(memory: Memory, bars: Bars, configs: tuple[ATRConfig, ...], symbol: str) -> tuple[ReadingColumns, ...]:
    pieces = []
    for start in range(0, max(len(require_bars(bars)), 1), _PART):
        part = memory.take(bars.part(start, start + _PART))
        trends = _price_trends(part), _volatility_trends(part)
        pieces.append([_read(part, config, trends, symbol) for config in configs])
    return tuple(_joined([piece[i] for piece in pieces]) for i in range(len(configs)))


def _read(part: Part, config: ATRConfig, trends: tuple[Codes, Codes], symbol: str) -> ReadingColumns:
    """Return the readings of one part."""
    bars, key, m = part.bars, judged(config), len(part.bars)
    atr = np.stack([part.average((config.smoothing, n)) for n in config.periods], axis=1)
    shares, _ = part.shares(key)
    past = part.past(key, config.history, config.history_needed)
    needed = config.bars_needed - 1
    relative = config.regime_by == "percentile"
    if relative:
        needed = max(needed, key[1] + config.history_needed)
    first = min(max(needed - part.seen, 0), m)
    regime = np.zeros(m, np.uint8)
    with np.errstate(invalid="ignore"):
        for limit in config.regime_limits:
            regime += (past.percentile if relative else shares) > limit
    columns: dict[str, Any] = {
        "atr": atr,
        "atr_share": shares,
        "percentile": past.percentile,
        "z_score": past.z_score,
        "regime": regime,
        "price_trend": trends[0],
        "volatility_trend": trends[1],
    }
    for name, column in columns.items() if first else ():
        columns[name] = own = column.copy()
        own[:first] = UNKNOWN if own.dtype == np.uint8 else np.nan
    context: dict[str, Any] = {"symbol": symbol, "config": config, "first": first, "seen": part.seen, "utc": bars.utc}
    return ReadingColumns(time=bars.time, close=bars.close, history=past.history, **columns, **context)


def _price_trends(part: Part) -> Codes:
    """Return the direction of the last 10 closes."""
    closes = _recent(part.every.close, len(part.bars), TREND_CLOSES)
    last = closes[TREND_CLOSES - 1 :]
    trend, close_calls = _against(slopes(closes, TREND_CLOSES), PRICE_TREND * last, last)
    for i in close_calls:
        trend[i] = _DIRECTIONS.index(price_trend(closes[i : i + TREND_CLOSES].tolist()))
    return padded(trend, len(part.bars), UNKNOWN)


def _volatility_trends(part: Part) -> Codes:
    """Return the direction of the last 10 true ranges, against the 10 before."""
    spreads = _recent(part.ranges, len(part.bars), TREND_RANGES)
    half = TREND_RANGES // 2
    total = sums(spreads, half)
    before, after = total[: max(len(total) - half, 0)], total[half:]
    trend, close_calls = _against(after - before, VOLATILITY_TREND * before, before)
    for i in close_calls:
        trend[i] = _DIRECTIONS.index(volatility_trend(spreads[i : i + TREND_RANGES].tolist()))
    return padded(trend, len(part.bars), UNKNOWN)


def _recent(values: Floats, rows: int, window: int) -> Floats:
    """Return the values that the windows of the last rows are made of."""
    return values[max(len(values) - rows - window + 1, 0) :]


def _against(change: Floats, threshold: Floats, scale: Floats) -> tuple[Codes, list[int]]:
    """Return directions, and the rows in which a change is as good as on its threshold."""
    trend = np.full(len(change), _STABLE, np.uint8)
    trend[change > threshold] = _RISING
    trend[change < -threshold] = _FALLING
    close = np.abs(np.abs(change) - threshold) < _CLOSE * scale
    return trend, np.flatnonzero(close).tolist()


def _joined(pieces: list[ReadingColumns]) -> ReadingColumns:
    """Return the columns of all pieces after one another."""
    head = pieces[0]
    if len(pieces) == 1:
        return head
    names = [field.name for field in fields(head) if isinstance(getattr(head, field.name), np.ndarray)]
    columns: dict[str, Any] = {name: np.concatenate([getattr(each, name) for each in pieces]) for name in names}
    # A later piece has rows without a reading only if all rows before it are.
    return replace(head, **columns, first=sum(piece.first for piece in pieces))
