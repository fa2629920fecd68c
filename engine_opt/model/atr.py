"""The words of the adjustment to the average true range."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import NamedTuple

from engine_opt.model.account import AccountType
from engine_opt.model.market import Direction, MarketConditionKind


class ATRRegime(StrEnum):
    """Level of the average true range, as a share of the price."""

    VERY_LOW = "very_low"
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    VERY_HIGH = "very_high"


class AdverseMoveLevel(StrEnum):
    """What an adverse move, counted in average true ranges, asks for."""

    NONE = "none"
    MONITOR = "monitor"
    CONSIDER_ADJUSTING = "consider_adjusting"
    ACT = "act"


class ATRReading(NamedTuple):
    """Average true range of one symbol at one close, and how it compares with its own past.

    `atr` holds one value per configured period, shortest first, in currency; `atr_share` is the first over the close.
    `percentile` (0-100) and `z_score` are None while the symbol's history is too short to compare with.
    """

    symbol: str
    time: date
    close: float
    atr: tuple[float, ...]
    atr_share: float
    percentile: float | None
    z_score: float | None
    history: int
    regime: ATRRegime
    price_trend: Direction
    volatility_trend: Direction


class ATRAdjustment(NamedTuple):
    """Position parameters adjusted to the volatility.

    `position_size`, `risk_multiplier`, `stop_loss` and `profit_target` multiply what the account would use anyway;
    `delta` is in points and inside the account's band, `delta_wanted` is what the factors alone would have given.
    """

    account: AccountType
    condition: MarketConditionKind | None
    position_size: float
    delta: float
    delta_wanted: float
    days_to_expiration: int
    risk_multiplier: float
    stop_loss: float
    profit_target: float
    confidence: float
    reading: ATRReading


class AdverseMove(NamedTuple):
    """How far a price went against a position, in average true ranges, and what that asks for."""

    level: AdverseMoveLevel
    move_in_atr: float
    actions: tuple[str, ...]
