"""What kind of week it is: a total table over the position and the movement of the price.

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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import erfc, inf, log, sqrt
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt._table import Table
from engine_opt.errors import ConfigError, InputError
from engine_opt.model import (
    MarketCondition,
    MovementCategory,
    Position,
    Reference,
    RiskLevel,
    WeekClassification,
    WeekContext,
    WeekType,
)

DAYS_PER_YEAR = 365.0
MOVEMENT_TOLERANCE = 0.01  # percent points between a given and a derived movement

_CATEGORY_BOUNDS = (-15.0, -10.0, -5.0, -1.0, 1.0, 5.0, 10.0)
_CATEGORIES = tuple(MovementCategory)
_ROOT_HALF = sqrt(0.5)
_TOTAL_LOSS = -100.0
_ALMOST_TOTAL_LOSS = -100.0 + 1e-10  # what a fall to a positive price is rounded to at most


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
        if self.bounds and self.bounds[0] <= _TOTAL_LOSS:
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
        return cls("original", {(position, start): Ladder(_CATEGORY_BOUNDS, *cell) for position, cell in cells})


class WeekClassifier:
    """Classify weeks by one rule set. Immutable and without memory: safe to share between threads."""

    __slots__ = ("_rules",)

    def __init__(self, rules: WeekRules | None = None) -> None:
        self._rules = WeekRules.standard() if rules is None else rules

    @property
    def rules(self) -> WeekRules:
        """The rule set in use."""
        return self._rules

    def classify_week(
        self, condition: MarketCondition, position: Position | str, context: WeekContext | None = None
    ) -> WeekClassification:
        """Classify the week of `condition` for what is held.

        The movement is counted from the strike (short put) or the cost basis (stock, covered call) where the context
        and the rules know them, else from the week's start; the result records which. Raises InputError for an
        unknown position, or where a given movement differs from the prices by more than 0.01 point.
        """
        if type(condition) is not MarketCondition:
            raise InputError("condition", condition, "it must be an engine_opt.MarketCondition")
        known = _NOTHING_KNOWN if context is None else context
        if type(known) is not WeekContext:
            raise InputError("context", context, "it must be an engine_opt.WeekContext or None")
        held = position if type(position) is Position else check.member(Position, "position", position)
        rules = self._rules

        week_movement = movement_between(condition.week_start_price, condition.current_price)
        _agree(condition.movement_percentage, week_movement)
        reference, reference_price = _reference(rules, condition, held, known)
        movement = week_movement
        if reference is not Reference.WEEK_START:
            movement = movement_between(reference_price, condition.current_price)

        ladder = rules.ladders[held, reference]
        cell = ladder.cell(movement)
        lower, upper = ladder.edges[cell], ladder.edges[cell + 1]
        week_type = ladder.types[cell]
        projected = False
        if ladder.confidences is not None:
            confidence: float | None = ladder.confidences[cell]
        else:
            confidence = None
            if known.days_to_expiration is not None:
                years = known.days_to_expiration / DAYS_PER_YEAR
                confidence = probability_unchanged(movement, lower, upper, condition.volatility, years)
            if week_type is WeekType.P_RO and not known.can_roll:
                week_type = WeekType.P_AOL
            elif held is Position.CASH and known.favourable:
                week_type, projected = WeekType.P_EW, True

        prior = rules.priors[week_type]
        risk = prior.risk_level
        if risk is None:
            risk = RiskLevel.MEDIUM if condition.volatility > rules.medium_risk_volatility else RiskLevel.LOW
        return WeekClassification(
            condition.symbol,
            week_type,
            confidence,
            held,
            movement,
            week_movement,
            _CATEGORIES[bisect_right(_CATEGORY_BOUNDS, week_movement)],
            reference,
            reference_price,
            lower,
            upper,
            movement >= rules.beyond,
            projected,
            prior.expected_return,
            risk,
            _PROJECTED_ACTIONS if projected else prior.actions,
            prior.weeks_per_year,
            rules.name,
            condition.timestamp,
        )


_NOTHING_KNOWN = WeekContext()
_PROJECTED_ACTIONS = ("sell_put",)


def movement_between(reference: float, price: float) -> float:
    """Return the movement in percent points, to ten decimals.

    Prices are decimals and floats are not: without rounding, 31.445 would stand at -5.0000000000000036 % from 33.10
    and fall out of the cell whose boundary it is on. Raises InputError where the two prices are so far apart that
    they cannot be of the same thing.
    """
    movement = round((price - reference) * 100.0 / reference, 10)
    if movement < inf:
        return movement if movement > _TOTAL_LOSS else _ALMOST_TOTAL_LOSS
    raise InputError("current_price", price, f"it cannot be compared with {reference!r}: the movement overflows")


def movement_category(movement: float) -> MovementCategory:
    """Return the category of a movement in percent points."""
    return _CATEGORIES[bisect_right(_CATEGORY_BOUNDS, check.finite("movement", movement))]


def probability_unchanged(movement: float, lower: float, upper: float, volatility: float, years: float) -> float:
    """Return the probability that a movement is in [lower, upper) percent points after `years` more.

    The price follows a driftless lognormal: P = Phi((ln((1+u)/(1+r)) + s*s/2)/s) - Phi(the same with the lower bound),
    s = volatility * sqrt(years); with s = 0 nothing moves any more. Bounds may be infinite.
    Raises InputError for a movement of -100 % or less, a negative volatility or time.
    """
    r = check.finite("movement", movement)
    if r <= _TOTAL_LOSS:
        raise InputError("movement", movement, "a price cannot fall by 100 % or more")
    spread = check.volatility("volatility", volatility) * sqrt(check.non_negative("years", years))
    if spread == 0.0:
        return 1.0 if lower <= r < upper else 0.0
    now = 1.0 + r / 100.0
    # Both in the upper or both in the lower tail: subtract the small tails, not numbers close to 1.
    low, high = _deviations(lower, now, spread), _deviations(upper, now, spread)
    return _tail(low) - _tail(high) if low > 0.0 else _tail(-high) - _tail(-low)


def _deviations(bound: float, now: float, spread: float) -> float:
    """Return how many standard deviations of the log price a bound is away."""
    ratio = (1.0 + bound / 100.0) / now
    if ratio <= 0.0:
        return -inf
    return (log(ratio) + spread * spread / 2.0) / spread if ratio < inf else inf


def _tail(x: float) -> float:
    """Return P(Z > x) of a standard normal Z."""
    return 0.5 * erfc(x * _ROOT_HALF)


def _agree(given: float | None, derived: float) -> None:
    if given is not None and abs(given - derived) > MOVEMENT_TOLERANCE:
        raise InputError(
            "movement_percentage", given, f"the prices say {derived:+.4f} %: leave it out, or correct the prices"
        )


def _reference(
    rules: WeekRules, condition: MarketCondition, held: Position, known: WeekContext
) -> tuple[Reference, float]:
    """Return what the movement is counted from: the position's own price if the rules can use it."""
    if held is Position.SHORT_PUT:
        reference, price = Reference.STRIKE, known.strike
    elif held is Position.CASH:
        reference, price = Reference.WEEK_START, None
    else:
        reference, price = Reference.COST_BASIS, known.cost_basis
    if price is None or (held, reference) not in rules.ladders:
        return Reference.WEEK_START, condition.week_start_price
    return reference, price


def annual_return(priors: Mapping[WeekType, WeekPrior], weeks: float | None = None) -> tuple[float, float]:
    """Return the range of a year's return in percent points, not compounded, if the priors came true.

    The priors' own frequencies need not sum to a year (the protocol's sum to 60 weeks); give `weeks` to scale them.
    """
    total = sum(prior.weeks_per_year for prior in priors.values())
    if total <= 0.0:
        raise InputError("priors", total, "their weeks_per_year sum to nothing")
    scale = 1.0 if weeks is None else check.positive("weeks", weeks) / total
    low = sum(prior.weeks_per_year * prior.expected_return[0] for prior in priors.values())
    high = sum(prior.weeks_per_year * prior.expected_return[1] for prior in priors.values())
    return low * scale, high * scale


class Evaluation(NamedTuple):
    """How classifications fared.

    `confusion` counts (classified, what happened). `brier_score` is the mean squared difference between confidence
    and hit (0 best, 0.25 what a coin knows) over the `scored` weeks that had a confidence, None if none had.
    """

    weeks: int
    hit_rate: float
    confusion: Mapping[tuple[WeekType, WeekType], int]
    scored: int
    brier_score: float | None


def evaluate(outcomes: Iterable[tuple[WeekClassification, WeekType | str]]) -> Evaluation:
    """Compare classifications with the types that came about. Raises InputError if there are none."""
    confusion: dict[tuple[WeekType, WeekType], int] = {}
    weeks = hits = scored = 0
    squares = 0.0
    for classified, happened in outcomes:
        actual = check.member(WeekType, "outcome", happened)
        hit = classified.week_type is actual
        pair = classified.week_type, actual
        confusion[pair] = confusion.get(pair, 0) + 1
        weeks += 1
        hits += hit
        if classified.confidence is not None:
            scored += 1
            squares += (classified.confidence - hit) ** 2
    if not weeks:
        raise InputError("outcomes", [], "there is nothing to evaluate")
    return Evaluation(weeks, hits / weeks, Table(confusion), scored, squares / scored if scored else None)
