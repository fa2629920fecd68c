"""The words of the engine: enumerations and plain records. No behaviour to speak of, no clock, no disk.

Units, everywhere: movements, expected returns and frequencies are percent points (2.27 means 2.27 %);
volatilities and shares of a price are fractions (0.18 means 18 %), volatilities annualised; delta is in points, 0-100;
days to expiration are calendar days; VIX is in index points.

What comes in is a validated frozen dataclass. What goes out is a NamedTuple: it is immutable as well, and building one
costs a fifth of building a frozen dataclass, which shows when one is built on every bar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError


class WeekType(StrEnum):
    """What kind of week it was; `P` weeks hold a short put, `C` weeks hold stock or a covered call."""

    P_EW = "P-EW"  # puts expired worthless
    P_AWL = "P-AWL"  # puts assigned within the limit
    P_RO = "P-RO"  # puts rolled over
    P_AOL = "P-AOL"  # puts assigned over the limit
    P_DD = "P-DD"  # deep drawdown
    C_WAP = "C-WAP"  # calls, appreciation profit
    C_WAP_PLUS = "C-WAP+"  # calls, strong appreciation
    C_PNO = "C-PNO"  # calls, premium only
    C_RO = "C-RO"  # calls rolled over
    C_REC = "C-REC"  # calls, recovery
    W_IDL = "W-IDL"  # idle week


class Position(StrEnum):
    """What is held; `short_call` is a covered call, so the stock is held too."""

    CASH = "cash"
    SHORT_PUT = "short_put"
    LONG_STOCK = "long_stock"
    SHORT_CALL = "short_call"


class MovementCategory(StrEnum):
    """Movement of a week in percent points, lower bounds inclusive: 10, 5, 1, -1, -5, -10, -15."""

    EXTREME_DOWN = "extreme_down"
    STRONG_DOWN = "strong_down"
    MODERATE_DOWN = "moderate_down"
    SLIGHT_DOWN = "slight_down"
    FLAT = "flat"
    SLIGHT_UP = "slight_up"
    MODERATE_UP = "moderate_up"
    STRONG_UP = "strong_up"


class Reference(StrEnum):
    """The price that a position's gain or loss is counted from."""

    STRIKE = "strike"
    COST_BASIS = "cost_basis"
    WEEK_START = "week_start"


class RiskLevel(StrEnum):
    """Risk of a week."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class MarketConditionKind(StrEnum):
    """Condition of the market, from worst to best."""

    EXTREMELY_BEARISH = "extremely_bearish"
    BEARISH = "bearish"
    NEUTRAL_BEARISH = "neutral_bearish"
    NEUTRAL = "neutral"
    NEUTRAL_BULLISH = "neutral_bullish"
    BULLISH = "bullish"
    EXTREMELY_BULLISH = "extremely_bullish"


class MarketRegime(StrEnum):
    """How the market moves, whichever way it moves."""

    HIGH_VOLATILITY = "high_volatility"
    LOW_VOLATILITY = "low_volatility"
    TRENDING = "trending"
    RANGE_BOUND = "range_bound"
    BULL = "bull"
    BEAR = "bear"
    SIDEWAYS = "sideways"


class VolatilityRegime(StrEnum):
    """Level of the 20-session volatility."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    EXTREME = "extreme"


class MarketRiskLevel(StrEnum):
    """Risk of the market as a whole."""

    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"
    EXTREME = "extreme"


class Direction(StrEnum):
    """Which way something goes: a price, or a volatility."""

    FALLING = "falling"
    STABLE = "stable"
    RISING = "rising"


class MomentumStrength(StrEnum):
    """Size of the momentum, whichever its sign."""

    NEGLIGIBLE = "negligible"
    WEAK = "weak"
    MODERATE = "moderate"
    STRONG = "strong"


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


class AccountType(StrEnum):
    """Generation, Revenue and Compounding account."""

    GEN = "GEN"
    REV = "REV"
    COM = "COM"


# A close may leave [low, high] by this share of the price: adjusting for splits multiplies, and multiplying rounds.
_ROUNDING = 1e-9

# Wider than any market, and narrow enough that no sum, square or ratio of bars leaves the range of a float.
LEAST_PRICE, LARGEST_PRICE = 1e-9, 1e12
LARGEST_VOLUME = 1e18


@dataclass(frozen=True, slots=True)
class Bar:
    """One session of one symbol: prices adjusted for splits, in account currency.

    `time` is a date, or a datetime; one series uses one of them throughout. `volume` is None where it is not known.
    Raises InputError for a price that is not between 1e-9 and 1e12, a high below the low, an open or a close outside
    of them, a volume that is not between 0 and 1e18.
    """

    time: date
    open: float
    high: float
    low: float
    close: float
    volume: float | None = None

    def __post_init__(self) -> None:
        opened, high, low, close, volume = self.open, self.high, self.low, self.close, self.volume
        # A good bar of floats, which nearly every bar is, costs one chain of comparisons; NaN fails every one of them.
        if (
            type(opened) is type(high) is type(low) is type(close) is float
            and LEAST_PRICE <= low <= opened <= high <= LARGEST_PRICE
            and low <= close <= high
            and (volume is None or (type(volume) is float and 0.0 <= volume <= LARGEST_VOLUME))
            and isinstance(self.time, date)
        ):
            return
        self._check()

    def _check(self) -> None:
        """Turn numbers into floats, and say what is wrong."""
        if not isinstance(self.time, date):
            raise InputError("time", self.time, "it must be a datetime.date or a datetime.datetime")
        for field in ("open", "high", "low", "close"):
            price = check.positive(field, getattr(self, field))
            _store(self, field, check.between(field, price, LEAST_PRICE, LARGEST_PRICE, "account currency"))
        if self.volume is not None:
            volume = check.non_negative("volume", self.volume)
            _store(self, "volume", check.between("volume", volume, 0.0, LARGEST_VOLUME, "shares"))
        if self.high < self.low:
            raise InputError("high", self.high, f"it is below low={self.low!r}")
        lowest = self.low - _ROUNDING * self.low
        highest = self.high + _ROUNDING * self.high
        for field, value in (("open", self.open), ("close", self.close)):
            if not lowest <= value <= highest:
                raise InputError(field, value, f"it is outside of low={self.low!r} and high={self.high!r}")


@dataclass(frozen=True, slots=True)
class MarketCondition:
    """What the week classifier is told of a symbol's week.

    `movement_percentage`, if given, is only checked against the prices: the movement itself is derived from them.
    `volatility` is annualised, a fraction. `volume_ratio` is today's volume over its average.
    """

    symbol: str
    current_price: float
    week_start_price: float
    volatility: float
    previous_close: float | None = None
    volume_ratio: float | None = None
    movement_percentage: float | None = None
    timestamp: date | None = None

    def __post_init__(self) -> None:
        check_symbol(self.symbol)
        for field in ("current_price", "week_start_price"):
            _store(self, field, check.positive(field, getattr(self, field)))
        _store(self, "volatility", check.volatility("volatility", self.volatility))
        if self.previous_close is not None:
            _store(self, "previous_close", check.positive("previous_close", self.previous_close))
        if self.volume_ratio is not None:
            _store(self, "volume_ratio", check.non_negative("volume_ratio", self.volume_ratio))
        if self.movement_percentage is not None:
            _store(self, "movement_percentage", check.finite("movement_percentage", self.movement_percentage))
        if self.timestamp is not None and not isinstance(self.timestamp, date):
            raise InputError("timestamp", self.timestamp, "it must be a datetime.date or a datetime.datetime")


@dataclass(frozen=True, slots=True)
class WeekContext:
    """What is known of the position itself; what is not known stays None.

    `strike` is the short put's, `cost_basis` the stock's price per share. `days_to_expiration` are calendar days,
    fractions allowed. `can_roll`: a put beyond its limit can be rolled. `favourable`: conditions allow a new put.
    """

    strike: float | None = None
    cost_basis: float | None = None
    days_to_expiration: float | None = None
    can_roll: bool = True
    favourable: bool | None = None

    def __post_init__(self) -> None:
        if self.strike is not None:
            _store(self, "strike", check.positive("strike", self.strike))
        if self.cost_basis is not None:
            _store(self, "cost_basis", check.positive("cost_basis", self.cost_basis))
        if self.days_to_expiration is not None:
            days = check.between("days_to_expiration", self.days_to_expiration, 0.0, 3660.0, "calendar days")
            _store(self, "days_to_expiration", days)
        check.flag("can_roll", self.can_roll)
        if self.favourable is not None:
            check.flag("favourable", self.favourable)


class WeekClassification(NamedTuple):
    """What the week classifier answers.

    `week_movement` is counted from the week's start, `movement` from `reference_price`; both in percent points.
    `lower` and `upper` bound the cell of the table that `movement` fell into. `confidence` is the probability that
    the week still has this type at expiry, None where days to expiration are not known.
    """

    symbol: str
    week_type: WeekType
    confidence: float | None
    position: Position
    movement: float
    week_movement: float
    movement_category: MovementCategory
    reference: Reference
    reference_price: float
    lower: float
    upper: float
    beyond_table: bool
    projected: bool
    expected_return: tuple[float, float]
    risk_level: RiskLevel
    recommended_actions: tuple[str, ...]
    weeks_per_year: float
    rules: str
    timestamp: date | None

    def explain(self) -> str:
        """Say in one sentence why the week has this type."""
        low = "below" if self.lower == -check.INF else f"from {self.lower:+g} to below"
        cell = f"{low} {self.upper:+g} %" if self.upper != check.INF else f"at or above {self.lower:+g} %"
        if self.lower == -check.INF and self.upper == check.INF:
            cell = "any movement"
        ending = "" if self.confidence is None else f"; unchanged at expiry with probability {self.confidence:.3f}"
        return (
            f"{self.symbol}: {self.week_type.value}, because a {self.position.value} position stands "
            f"{self.movement:+.4f} % from its {self.reference.value} of {self.reference_price:g} "
            f"({cell}, rules {self.rules!r}){ending}"
        )


class MarketMetrics(NamedTuple):
    """The indicators of one session, at its close. Fractions unless said otherwise; None where data is missing."""

    close: float
    change_1: float  # return over 1, 5, 20 sessions
    change_5: float
    change_20: float
    volatility_5: float  # annualised, from log returns
    volatility_20: float
    parkinson_20: float  # annualised, from highs and lows
    rsi: float  # 0-100
    macd: float  # currency
    macd_signal: float
    bollinger: float  # 0 at the lower band, 1 at the upper, outside of them beyond
    trend_slope: float  # share of the mean price, per session
    trend_t: float  # slope over its standard error
    momentum: float  # 5-session return in its own standard deviations
    volume_ratio: float | None
    vix: float | None  # index points
    vix_deviation: float | None  # from its trailing median, in robust standard deviations

    @property
    def macd_histogram(self) -> float:
        """MACD less its signal line."""
        return self.macd - self.macd_signal


class MarketAnalysis(NamedTuple):
    """What the market analyzer answers.

    `distribution` holds a probability per MarketConditionKind, worst first. `weights` are those of price change,
    momentum and VIX as used: where VIX was not usable its weight is 0 and the others are scaled up.
    """

    time: date
    condition: MarketConditionKind
    regime: MarketRegime
    confidence: float
    score: float
    weights: tuple[float, float, float]
    distribution: tuple[float, ...]
    risk_level: MarketRiskLevel
    risk_points: int
    volatility_regime: VolatilityRegime
    trend: Direction
    momentum_strength: MomentumStrength
    metrics: MarketMetrics
    scoring: str

    @property
    def probabilities(self) -> Mapping[MarketConditionKind, float]:
        """The distribution by name."""
        return dict(zip(MarketConditionKind, self.distribution, strict=True))

    def explain(self) -> str:
        """Say in one sentence why the market has this condition."""
        change, momentum, vix = self.weights
        used = f"weights {change:.2f} change, {momentum:.2f} momentum, {vix:.2f} VIX"
        return (
            f"{self.time}: {self.condition.value} at score {self.score:+.3f} ({used}; scoring {self.scoring!r}), "
            f"regime {self.regime.value}, volatility {self.metrics.volatility_20:.1%}, "
            f"risk {self.risk_level.value} with {self.risk_points} points"
        )


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


def check_symbol(symbol: object) -> str:
    """Return `symbol` if it is a non-empty string."""
    if isinstance(symbol, str) and symbol:
        return symbol
    raise InputError("symbol", symbol, "it must be a non-empty string")


def check_bar(bar: object, after: date | None = None) -> Bar:
    """Return `bar` if it is a Bar and later than `after`; one series does not mix dates, naive and aware times."""
    if not isinstance(bar, Bar):
        raise InputError("bar", bar, "it must be an engine_opt.Bar")
    if after is not None:
        try:
            later = bar.time > after
        except TypeError:
            raise InputError(
                "time", bar.time, f"it cannot be compared with {after!r} before it: use dates, or naive or aware times"
            ) from None
        if not later:
            raise InputError("time", bar.time, f"it is not after {after!r}, the bar before it: sort the series")
    return bar


def _store(record: object, field: str, value: float) -> None:
    """Set a field of a frozen record while it is being built."""
    object.__setattr__(record, field, value)
