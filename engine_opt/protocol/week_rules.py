"""What kind of week it is: a total table over the position and the movement of the price, and what each kind promises.

    short_put, from the strike       -15      -5       0
                              P-DD  |  P-RO  | P-AWL | P-EW        P-AOL instead of P-RO where it cannot be rolled
    short_put, from the week's start: the same with -1 instead of 0
    long_stock, short_call    -15     -10     -5      1      5
                        P-DD | C-REC | C-RO | C-PNO | C-WAP | C-WAP+
    cash: W-IDL, or P-EW *projected* where conditions are favourable

A boundary belongs to the cell above it. The rule set named `original` reproduces the engine that this one replaces,
with its fixed confidences and its idle weeks at strong movements; it exists to be compared with.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from engine_opt import _validate as check
from engine_opt._table import Table
from engine_opt.errors import ConfigError
from engine_opt.model import Position, Reference, RiskLevel, WeekType

CATEGORY_BOUNDS = (-15.0, -10.0, -5.0, -1.0, 1.0, 5.0, 10.0)  # of a MovementCategory, percent points
TOTAL_LOSS = -100.0


@dataclass(frozen=True, slots=True)
class Ladder:
    """Cells over the movement in percent points, worst first: `types[i]` from `bounds[i-1]` to below `bounds[i]`.

    `confidences`, if given, are fixed ones, a cell each; else they are worked out from the volatility.
    """

    bounds: tuple[float, ...]
    types: tuple[WeekType, ...]
    confidences: tuple[float, ...] | None = None
    edges: tuple[float, ...] = field(init=False, repr=False)  # bounds with the infinities at both ends

    def __post_init__(self) -> None:
        for bound in self.bounds:
            check.finite("bounds", bound)
        if any(low >= high for low, high in zip(self.bounds, self.bounds[1:], strict=False)):
            raise ConfigError(f"bounds {self.bounds} do not rise: give them from the worst movement to the best")
        if self.bounds and self.bounds[0] <= TOTAL_LOSS:
            raise ConfigError(f"bound {self.bounds[0]} cannot be reached: a price falls by less than 100 %")
        if len(self.types) != len(self.bounds) + 1:
            raise ConfigError(f"{len(self.bounds)} bounds make {len(self.bounds) + 1} cells, not {len(self.types)}")
        if self.confidences is not None and len(self.confidences) != len(self.types):
            raise ConfigError(f"{len(self.types)} cells need as many confidences, not {len(self.confidences)}")
        object.__setattr__(self, "edges", (-inf, *map(float, self.bounds), inf))

    def cell(self, movement: float) -> int:
        """Return the index of the cell that a movement falls into; a boundary belongs to the cell above it."""
        return bisect_right(self.bounds, movement)


@dataclass(frozen=True, slots=True)
class WeekPrior:
    """What is assumed of a week type before anything is measured: targets of the protocol, not evidence.

    `expected_return` is a range in percent points a week. `risk_level` None: MEDIUM above the volatility limit of the
    rules, else LOW.
    """

    name: str
    weeks_per_year: float
    expected_return: tuple[float, float]
    actions: tuple[str, ...]
    risk_level: RiskLevel | None = None

    def __post_init__(self) -> None:
        check.between("weeks_per_year", self.weeks_per_year, 0.0, 53.0, "weeks")
        low, high = self.expected_return
        if check.finite("expected_return", low) > check.finite("expected_return", high):
            raise ConfigError(f"expected_return {self.expected_return} of {self.name!r} is upside down")


def _default_priors() -> Mapping[WeekType, WeekPrior]:
    low, medium, high = RiskLevel.LOW, RiskLevel.MEDIUM, RiskLevel.HIGH
    table = {
        WeekType.P_EW: WeekPrior("puts expired worthless", 16, (1.8, 2.2), ("keep_premium", "sell_put")),
        WeekType.P_AWL: WeekPrior("puts assigned within limit", 0, (1.8, 2.2), ("take_assignment", "sell_call")),
        WeekType.P_RO: WeekPrior("puts rolled over", 7, (1.0, 1.5), ("roll_position",), medium),
        WeekType.P_AOL: WeekPrior("puts assigned over limit", 0, (1.8, 2.2), ("take_assignment",)),
        WeekType.P_DD: WeekPrior("deep drawdown", 2, (-0.5, 0.0), ("gbr_4",), high),
        WeekType.C_WAP: WeekPrior("calls, appreciation profit", 14, (3.0, 4.0), ("let_shares_be_called",)),
        WeekType.C_WAP_PLUS: WeekPrior("calls, strong appreciation", 6, (5.0, 6.0), ("let_shares_be_called",)),
        WeekType.C_PNO: WeekPrior("calls, premium only", 8, (1.8, 2.2), ("keep_premium", "sell_call")),
        WeekType.C_RO: WeekPrior("calls rolled over", 4, (0.8, 1.2), ("roll_position",)),
        WeekType.C_REC: WeekPrior("calls, recovery", 2, (0.5, 0.8), ("sell_call",), medium),
        WeekType.W_IDL: WeekPrior("idle week", 1, (0.0, 0.0), ("wait_signal",), low),
    }
    return Table(table)


def _standard_stock(bounds: tuple[float, ...]) -> Ladder:
    return Ladder(
        bounds,
        (WeekType.P_DD, WeekType.C_REC, WeekType.C_RO, WeekType.C_PNO, WeekType.C_WAP, WeekType.C_WAP_PLUS),
    )


def _standard_put(bounds: tuple[float, ...]) -> Ladder:
    return Ladder(bounds, (WeekType.P_DD, WeekType.P_RO, WeekType.P_AWL, WeekType.P_EW))


@dataclass(frozen=True, slots=True)
class WeekRules:
    """A named, immutable rule set: one ladder per kind of position, and the priors of the types.

    Build one with `standard` or `original`; `ladders` is keyed by position and reference. Raises ConfigError where a
    position has no ladder from the week's start, which is what every position falls back to.
    """

    name: str
    ladders: Mapping[tuple[Position, Reference], Ladder]
    priors: Mapping[WeekType, WeekPrior] = field(default_factory=_default_priors)
    beyond: float = 10.0  # at or above it the protocol's table says nothing of its own; the result is flagged
    medium_risk_volatility: float = 0.30

    def __post_init__(self) -> None:
        for position in Position:
            if (position, Reference.WEEK_START) not in self.ladders:
                raise ConfigError(f"rules {self.name!r} have no ladder for {position.value} from the week's start")
        missing = [each.value for each in WeekType if each not in self.priors]
        if missing:
            raise ConfigError(f"rules {self.name!r} have no prior for {', '.join(missing)}")
        object.__setattr__(self, "ladders", Table(self.ladders))
        object.__setattr__(self, "priors", Table(self.priors))

    @classmethod
    def standard(
        cls,
        *,
        put_from_strike: tuple[float, float, float] = (-15.0, -5.0, 0.0),
        put_from_week_start: tuple[float, float, float] = (-15.0, -5.0, -1.0),
        stock: tuple[float, float, float, float, float] = (-15.0, -10.0, -5.0, 1.0, 5.0),
        beyond: float = 10.0,
        priors: Mapping[WeekType, WeekPrior] | None = None,
    ) -> WeekRules:
        """Return the total table; all boundaries are in percent points, each belongs to the cell above it."""
        shares = _standard_stock(stock)
        ladders = {
            (Position.CASH, Reference.WEEK_START): Ladder((), (WeekType.W_IDL,)),
            (Position.SHORT_PUT, Reference.STRIKE): _standard_put(put_from_strike),
            (Position.SHORT_PUT, Reference.WEEK_START): _standard_put(put_from_week_start),
            (Position.LONG_STOCK, Reference.COST_BASIS): shares,
            (Position.LONG_STOCK, Reference.WEEK_START): shares,
            (Position.SHORT_CALL, Reference.COST_BASIS): shares,
            (Position.SHORT_CALL, Reference.WEEK_START): shares,
        }
        return cls("standard", ladders, priors or _default_priors(), beyond)

    @classmethod
    def original(cls) -> WeekRules:
        """Return the matrix of the engine that this one replaces, as it answered, idle weeks at +10 % included.

        Its confidences are constants: 0.9 where one type is a candidate, 0.5 where none is, 0.6405 for the one cell
        with two (0.3 x 13.5 % frequency + 0.4 movement + 0.2 position), which P-AOL could never win.
        """
        w = WeekType
        idle, sure, none, scored = w.W_IDL, 0.9, 0.5, 0.6405
        cash = ((idle,) * 8, (none, none, none, none, sure, none, none, none))
        put = (
            (w.P_DD, idle, w.P_RO, w.P_AWL, w.P_EW, w.P_EW, idle, idle),
            (sure, none, scored, sure, sure, sure, none, none),
        )
        stock = (
            (w.P_DD, w.C_REC, w.C_RO, w.C_PNO, w.C_PNO, w.C_WAP, w.C_WAP_PLUS, idle),
            (sure, sure, sure, sure, sure, sure, sure, none),
        )
        call = (
            (idle, idle, w.C_RO, w.C_PNO, w.C_PNO, w.C_WAP, w.C_WAP_PLUS, idle),
            (none, none, sure, sure, sure, sure, sure, none),
        )
        cells = zip(Position, (cash, put, stock, call), strict=True)
        start = Reference.WEEK_START
        return cls("original", {(position, start): Ladder(CATEGORY_BOUNDS, *cell) for position, cell in cells})
