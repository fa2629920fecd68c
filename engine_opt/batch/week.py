"""What kind of week it was, for many weeks at once: `WeekClassifier.classify_week` over columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import inf, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine_opt.batch.columns import (
    UNKNOWN,
    Codes,
    Flags,
    Floats,
    at_row,
    broadcast,
    code_column,
    float_column,
    known,
)
from engine_opt.batch.normal import erfc
from engine_opt.errors import InputError
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
from engine_opt.protocol.week_classifier import (
    DAYS_PER_YEAR,
    MOVEMENT_TOLERANCE,
    Ladder,
    WeekClassifier,
    WeekRules,
)

_POSITIONS, _TYPES, _REFERENCES = tuple(Position), tuple(WeekType), tuple(Reference)
_CATEGORIES, _RISKS = tuple(MovementCategory), tuple(RiskLevel)
_CATEGORY_BOUNDS = (-15.0, -10.0, -5.0, -1.0, 1.0, 5.0, 10.0)
_CASH, _PUT = _POSITIONS.index(Position.CASH), _POSITIONS.index(Position.SHORT_PUT)
_STRIKE, _BASIS, _START = (
    _REFERENCES.index(each) for each in (Reference.STRIKE, Reference.COST_BASIS, Reference.WEEK_START)
)
_P_EW, _P_RO, _P_AOL = (_TYPES.index(each) for each in (WeekType.P_EW, WeekType.P_RO, WeekType.P_AOL))
_PROJECTED_ACTIONS = ("sell_put",)
_MOST_DAYS = 3660.0
_MOST_VOLATILITY = 10.0
_ROOT_HALF = sqrt(0.5)
_TEN_DECIMALS = 1e10
_WHOLE_FROM = 2.0**52  # from here on a float has no fraction
_TOTAL_LOSS = -100.0
_ALMOST_TOTAL_LOSS = -100.0 + 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class WeekColumns:
    """What the week classifier answers, a row per week; the columns are named like the fields of WeekClassification.

    Enumerations are codes; `confidence` is NaN where days to expiration are not known.
    """

    week_type: Codes
    confidence: Floats
    position: Codes
    movement: Floats
    week_movement: Floats
    movement_category: Codes
    reference: Codes
    reference_price: Floats
    lower: Floats
    upper: Floats
    beyond_table: Flags
    projected: Flags
    risk_level: Codes
    rules: WeekRules

    def __len__(self) -> int:
        return len(self.week_type)

    @property
    def expected_return(self) -> Floats:
        """Least and greatest expected return in percent points a week, n x 2: the priors of the types."""
        return self._priors([self.rules.priors[each].expected_return for each in WeekType])

    @property
    def weeks_per_year(self) -> Floats:
        """How many weeks a year the priors expect of the type."""
        return self._priors([self.rules.priors[each].weeks_per_year for each in WeekType])

    def _priors(self, values: Sequence[object]) -> Floats:
        """Return the value of each row's type, NaN where the type is UNKNOWN."""
        known = np.array(values, np.float64)
        table = np.full((UNKNOWN + 1, *known.shape[1:]), np.nan)
        table[: len(known)] = known
        return table.take(self.week_type, axis=0)

    def row(self, index: int, symbol: str = "unnamed", timestamp: date | None = None) -> WeekClassification:
        """Return the scalar record of one week; the columns know neither symbols nor times."""
        week_type = _TYPES[self.week_type[index]]
        prior = self.rules.priors[week_type]
        projected = bool(self.projected[index])
        return WeekClassification(
            symbol,
            week_type,
            known(float(self.confidence[index])),
            _POSITIONS[self.position[index]],
            float(self.movement[index]),
            float(self.week_movement[index]),
            _CATEGORIES[self.movement_category[index]],
            _REFERENCES[self.reference[index]],
            float(self.reference_price[index]),
            float(self.lower[index]),
            float(self.upper[index]),
            bool(self.beyond_table[index]),
            projected,
            prior.expected_return,
            _RISKS[self.risk_level[index]],
            _PROJECTED_ACTIONS if projected else prior.actions,
            prior.weeks_per_year,
            self.rules.name,
            timestamp,
        )


def classify_weeks(
    current_price: ArrayLike,
    week_start_price: ArrayLike,
    volatility: ArrayLike,
    position: ArrayLike | Position | Sequence[Position | str],
    *,
    strike: ArrayLike | None = None,
    cost_basis: ArrayLike | None = None,
    days_to_expiration: ArrayLike | None = None,
    can_roll: ArrayLike = True,
    favourable: ArrayLike | None = None,
    movement_percentage: ArrayLike | None = None,
    rules: WeekRules | None = None,
) -> WeekColumns:
    """Classify weeks, one per row, by one rule set; a single value stands for a whole column.

    `position` holds codes of Position, members or their values. In optional columns NaN means that the value is not
    known. `favourable` is True or False, or a column of 1, 0 and -1, which means that it is not known.
    Raises InputError for what MarketCondition, WeekContext or the classifier refuse; its field has the row's index.
    """
    given: dict[str, NDArray[Any]] = {
        "current_price": float_column("current_price", current_price),
        "week_start_price": float_column("week_start_price", week_start_price),
        "volatility": float_column("volatility", volatility),
        "position": code_column(Position, "position", position),
        "strike": float_column("strike", strike, optional=True),
        "cost_basis": float_column("cost_basis", cost_basis, optional=True),
        "days_to_expiration": float_column("days_to_expiration", days_to_expiration, optional=True),
        "can_roll": _bools(can_roll),
        "favourable": _answers(favourable),
        "movement_percentage": float_column("movement_percentage", movement_percentage, optional=True),
    }
    broadcast(given)
    weeks = _Weeks(**given)
    settings = WeekRules.standard() if rules is None else rules
    _refuse_any(weeks, _impossible(weeks), settings)
    return _classify(weeks, settings)


class _Weeks(NamedTuple):
    current_price: Floats
    week_start_price: Floats
    volatility: Floats
    position: Codes
    strike: Floats
    cost_basis: Floats
    days_to_expiration: Floats
    can_roll: Flags
    favourable: NDArray[np.int8]
    movement_percentage: Floats


def _classify(weeks: _Weeks, rules: WeekRules) -> WeekColumns:
    table = _Table.of(rules)
    price, held = weeks.current_price, weeks.position
    with np.errstate(over="ignore"):  # an overflow is refused below
        week_movement = movements(weeks.week_start_price, price)
        reference, reference_price = _references(weeks, table)
        movement = week_movement.copy()
        own = np.flatnonzero(reference != _START)
        movement[own] = movements(reference_price[own], price[own])
    wrong = ~((week_movement < inf) & (movement < inf))
    wrong |= np.abs(weeks.movement_percentage - week_movement) > MOVEMENT_TOLERANCE
    _refuse_any(weeks, wrong, rules)

    ladder = table.ladder_of[held, reference]
    cell = _cells(movement, ladder, table)
    flat = ladder * table.width + cell
    lower, upper = table.lower.take(flat), table.upper.take(flat)
    week_type = table.types.take(flat)
    confidence = table.confidences.take(flat)
    free = ~table.fixed[ladder]
    timed = np.flatnonzero(free & ~np.isnan(weeks.days_to_expiration))
    confidence[timed] = _unchanged(
        movement[timed], lower[timed], upper[timed], weeks.volatility[timed], weeks.days_to_expiration[timed]
    )
    stuck = free & (week_type == _P_RO) & ~weeks.can_roll
    week_type[stuck] = _P_AOL
    projected = free & (held == _CASH) & (weeks.favourable == 1) & ~stuck
    week_type[projected] = _P_EW

    risky = weeks.volatility > rules.medium_risk_volatility
    return WeekColumns(
        week_type,
        confidence,
        held,
        movement,
        week_movement,
        _categories(week_movement),
        reference,
        reference_price,
        lower,
        upper,
        movement >= rules.beyond,
        projected,
        table.risks[risky.view(np.uint8), week_type],
        rules,
    )


class _Table(NamedTuple):
    """The ladders of a rule set as arrays: a row per ladder, a column per cell, flattened where they are only taken."""

    ladder_of: NDArray[np.intp]  # by code of position and of reference; -1 where there is none
    bounds: Floats  # one row per bound, one column per ladder: inf beyond a ladder's last
    width: int
    lower: Floats
    upper: Floats
    types: Codes
    confidences: Floats  # NaN where they are worked out
    fixed: Flags
    risks: Codes  # by whether the volatility is above the limit, and type

    @classmethod
    def of(cls, rules: WeekRules) -> _Table:
        ladders: list[Ladder] = []
        ladder_of = np.full((len(_POSITIONS), len(_REFERENCES)), -1, np.intp)
        for (position, reference), ladder in rules.ladders.items():
            if ladder not in ladders:
                ladders.append(ladder)
            ladder_of[_POSITIONS.index(position), _REFERENCES.index(reference)] = ladders.index(ladder)
        width = max(len(each.types) for each in ladders)
        shape = len(ladders), width
        bounds = np.full((width - 1, len(ladders)), inf)
        lower, upper, confidences = np.full(shape, -inf), np.full(shape, inf), np.full(shape, np.nan)
        types = np.full(shape, UNKNOWN, np.uint8)
        for i, each in enumerate(ladders):
            cells = len(each.types)
            bounds[: cells - 1, i] = each.bounds
            lower[i, :cells], upper[i, :cells] = each.edges[:-1], each.edges[1:]
            types[i, :cells] = [_TYPES.index(week_type) for week_type in each.types]
            if each.confidences is not None:
                confidences[i, :cells] = each.confidences
        fixed = np.array([each.confidences is not None for each in ladders])
        risks = [
            [_RISKS.index(rules.priors[each].risk_level or usual) for each in _TYPES]
            for usual in (RiskLevel.LOW, RiskLevel.MEDIUM)
        ]
        return cls(
            ladder_of,
            bounds,
            width,
            lower.ravel(),
            upper.ravel(),
            types.ravel(),
            confidences.ravel(),
            fixed,
            np.array(risks, np.uint8),
        )


def _references(weeks: _Weeks, table: _Table) -> tuple[Codes, Floats]:
    """Return what each movement is counted from: the position's own price if it is known and the rules can use it."""
    usable = table.ladder_of >= 0
    held = weeks.position
    own = np.full(len(_POSITIONS), _BASIS, np.uint8)
    own[_PUT], own[_CASH] = _STRIKE, _START
    reference = own[held]
    price = np.where(reference == _STRIKE, weeks.strike, weeks.cost_basis)
    lacking = np.isnan(price) | ~usable[held, reference] | (reference == _START)
    reference[lacking] = _START
    return reference, np.where(lacking, weeks.week_start_price, price)


def _cells(movement: Floats, ladder: NDArray[np.intp], table: _Table) -> NDArray[np.intp]:
    """Return how many bounds of its ladder a movement has reached: a boundary belongs to the cell above it."""
    cell = np.zeros(len(movement), np.intp)
    for bounds in table.bounds:
        cell += movement >= bounds.take(ladder)
    return cell


def _categories(movement: Floats) -> Codes:
    """Return which category each movement belongs to; a bound belongs to the one above it."""
    category = np.zeros(len(movement), np.uint8)
    for bound in _CATEGORY_BOUNDS:
        category += movement >= bound
    return category


def movements(reference: Floats, price: Floats) -> Floats:
    """Return the movement in percent points to ten decimals, above -100: `movement_between` over columns."""
    movement = (price - reference) * 100.0
    movement /= reference
    movement = round_to_ten(movement)
    return np.where(movement > _TOTAL_LOSS, movement, np.where(movement < inf, _ALMOST_TOTAL_LOSS, movement))


def round_to_ten(values: Floats) -> Floats:
    """Return round(value, 10) of each, to the last bit as Python rounds.

    Python rounds the exact value to the nearest multiple m of 1e-10 and gives the float nearest to that. Here m is the
    integer nearest to y = fl(value * 1e10), which is off by at most half a unit of its last place. So m is the right one
    unless a half lies within that distance of y; then, m being below 2**52 and 1e10 being exact floats, m / 1e10 is
    rounded once and is that same nearest float. The few values with a half nearby, and those of 450,000 and more, whose
    y is too coarse, are left to Python.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = values * _TEN_DECIMALS
        whole = np.rint(scaled)
        result = whole / _TEN_DECIMALS
        size = np.abs(scaled)
        # 2**-52 of a value is a unit of its last place, or more.
        doubtful = ~((np.abs(scaled - whole) < 0.5 - size * 2.0**-52) & (size < _WHOLE_FROM))
    for index in np.flatnonzero(doubtful).tolist():
        result[index] = round(float(values[index]), 10)
    return result


def _unchanged(movement: Floats, lower: Floats, upper: Floats, volatility: Floats, days: Floats) -> Floats:
    """Return `probability_unchanged` of each row, in the same steps.

    It is a difference of two tails. Both are good to a few units of the last place, so that the difference is good to
    1e-12 of itself, or, where the tails nearly cancel, to some 1e-16 as it stands, which is what it is in the scalar form.
    """
    spread = volatility * np.sqrt(days / DAYS_PER_YEAR)
    still = spread == 0.0
    spread[still] = 1.0
    now = 1.0 + movement / 100.0
    low, high = _deviations(lower, now, spread), _deviations(upper, now, spread)
    above = low > 0.0
    tails = erfc(np.concatenate((np.where(above, low, -high), np.where(above, high, -low))) * _ROOT_HALF)
    tails *= 0.5
    probability = tails[: len(low)] - tails[len(low) :]
    probability[still] = 1.0  # nothing moves any more, and every movement lies in its own cell
    return probability


def _deviations(bound: Floats, now: Floats, spread: Floats) -> Floats:
    """Return how many standard deviations of the log price a bound is away; infinite for an infinite bound."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = (1.0 + bound / 100.0) / now
        away = (np.log(ratio) + spread * spread / 2.0) / spread
    return np.where(ratio <= 0.0, -inf, away)


def _impossible(weeks: _Weeks) -> Flags:
    """Return which rows the scalar records would refuse."""
    good = np.ones(len(weeks.position), np.bool_)
    for prices in (weeks.current_price, weeks.week_start_price):
        good &= (prices > 0.0) & (prices < inf)
    good &= (weeks.volatility >= 0.0) & (weeks.volatility <= _MOST_VOLATILITY)
    for prices in (weeks.strike, weeks.cost_basis):
        good &= ((prices > 0.0) & (prices < inf)) | np.isnan(prices)
    days = weeks.days_to_expiration
    good &= ((days >= 0.0) & (days <= _MOST_DAYS)) | np.isnan(days)
    return ~(good & ~np.isinf(weeks.movement_percentage))


def _refuse_any(weeks: _Weeks, bad: Flags, rules: WeekRules) -> None:
    """Let the scalar form say what is wrong with the first bad row."""
    if not bad.any():
        return
    index = int(np.argmax(bad))
    price, start, volatility, held, strike, basis, days, can_roll, favourable, movement = (
        column[index].item() for column in weeks
    )
    with at_row(index):
        condition = MarketCondition("row", price, start, volatility, movement_percentage=known(movement))
        context = WeekContext(
            known(strike), known(basis), known(days), can_roll, None if favourable < 0 else favourable == 1
        )
        WeekClassifier(rules).classify_week(condition, _POSITIONS[held], context)
    raise AssertionError(f"row {index} is refused here and not by the scalar form")  # pragma: no cover - they agree


def _bools(values: ArrayLike) -> Flags:
    column = np.asarray(values)
    if column.dtype != np.bool_ or column.ndim > 1:
        raise InputError("can_roll", values, "it must be True or False, or a column of them")
    return column


def _answers(values: ArrayLike | None) -> NDArray[np.int8]:
    """Return answers that may be missing: 1, 0 and -1."""
    if values is None:
        return np.asarray(-1, np.int8)
    if isinstance(values, (list, tuple)):
        values = [-1 if value is None else value for value in values]
    column = np.asarray(values)
    if column.dtype == np.bool_:
        return column.astype(np.int8)
    why = "it must be True or False, or a column of 1, 0 and -1"
    if column.dtype.kind not in "iu" or not column.ndim:
        raise InputError("favourable", values, why)
    bad = (column < -1) | (column > 1)
    if bad.any():
        index = int(np.argmax(bad))
        raise InputError(f"favourable[{index}]", column[index].item(), why)
    return column.astype(np.int8)
