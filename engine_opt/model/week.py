"""The words of the week classifier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.model.prices import check_symbol


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
        price, start, volatility = self.current_price, self.week_start_price, self.volatility
        # What the engine itself asks with, which nearly every record is, costs one chain of comparisons.
        if (
            type(price) is type(start) is type(volatility) is float
            and 0.0 < price < check.INF
            and 0.0 < start < check.INF
            and 0.0 <= volatility <= check.LARGEST_VOLATILITY
            and type(self.symbol) is str
            and self.symbol
            and self.previous_close is self.volume_ratio is self.movement_percentage is None
            and self.timestamp is None
        ):
            return
        self._check()

    def _check(self) -> None:
        """Turn numbers into floats, and say what is wrong."""
        check_symbol(self.symbol)
        for field in ("current_price", "week_start_price"):
            check.store(self, field, check.positive(field, getattr(self, field)))
        check.store(self, "volatility", check.volatility("volatility", self.volatility))
        if self.previous_close is not None:
            check.store(self, "previous_close", check.positive("previous_close", self.previous_close))
        if self.volume_ratio is not None:
            check.store(self, "volume_ratio", check.non_negative("volume_ratio", self.volume_ratio))
        if self.movement_percentage is not None:
            check.store(self, "movement_percentage", check.finite("movement_percentage", self.movement_percentage))
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
            check.store(self, "strike", check.positive("strike", self.strike))
        if self.cost_basis is not None:
            check.store(self, "cost_basis", check.positive("cost_basis", self.cost_basis))
        if self.days_to_expiration is not None:
            days = check.between("days_to_expiration", self.days_to_expiration, 0.0, 3660.0, "calendar days")
            check.store(self, "days_to_expiration", days)
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
