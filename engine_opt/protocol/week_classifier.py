"""What kind of week it is, by the table of `week_rules`, and how probably it stays that at expiry.

A movement is counted from the position's own price where that is known, the strike or the cost basis, else from the
week's start. A boundary belongs to the cell above it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import date
from math import erfc, inf, log, sqrt
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt._table import Table
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
from engine_opt.protocol.week_rules import CATEGORY_BOUNDS, TOTAL_LOSS, Ladder, WeekPrior, WeekRules

__all__ = [
    "DAYS_PER_YEAR",
    "MOVEMENT_TOLERANCE",
    "Evaluation",
    "Ladder",
    "WeekClassifier",
    "WeekPrior",
    "WeekRules",
    "annual_return",
    "evaluate",
    "movement_between",
    "movement_category",
    "probability_unchanged",
]

DAYS_PER_YEAR = 365.0
MOVEMENT_TOLERANCE = 0.01  # percent points between a given and a derived movement

_CATEGORIES = tuple(MovementCategory)
_ROOT_HALF = sqrt(0.5)
_ALMOST_TOTAL_LOSS = TOTAL_LOSS + 1e-10  # what a fall to a positive price is rounded to at most

# Looked up in every decision: a member found in its class costs several times what a global costs.
_STRIKE, _COST_BASIS, _WEEK_START = Reference.STRIKE, Reference.COST_BASIS, Reference.WEEK_START
_CASH, _P_EW, _P_RO, _P_AOL = Position.CASH, WeekType.P_EW, WeekType.P_RO, WeekType.P_AOL
_LOW, _MEDIUM = RiskLevel.LOW, RiskLevel.MEDIUM
_OWN = Table(
    {
        Position.CASH: _WEEK_START,
        Position.SHORT_PUT: _STRIKE,
        Position.LONG_STOCK: _COST_BASIS,
        Position.SHORT_CALL: _COST_BASIS,
    }
)
"""The price that a position is counted from, where it is known."""


class WeekClassifier:
    """Classify weeks by one rule set. Immutable and without memory: safe to share between threads."""

    __slots__ = ("_ladders", "_rules")

    def __init__(self, rules: WeekRules | None = None) -> None:
        self._rules = WeekRules.standard() if rules is None else rules
        ladders = self._rules.ladders
        # Of each position: its own reference, the ladder from there if the rules have one, that from the week's start.
        self._ladders = {
            held: (own, None if own is _WEEK_START else ladders.get((held, own)), ladders[held, _WEEK_START])
            for held, own in _OWN.items()
        }

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
        price, start = condition.current_price, condition.week_start_price
        if condition.movement_percentage is not None:
            _agree(condition.movement_percentage, movement_between(start, price))
        return self.classify_checked(
            condition.symbol, price, start, condition.volatility, held, known, known.favourable, condition.timestamp
        )

    def classify_checked(
        self,
        symbol: str,
        price: float,
        week_start: float,
        volatility: float,
        held: Position,
        known: WeekContext,
        favourable: bool | None,
        timestamp: date | None = None,
    ) -> WeekClassification:
        """Classify as `classify_week` does, from a name and prices that have been checked already.

        `favourable` stands in the place of the context's own. Raises InputError for a volatility that cannot be: it was worked out, and nobody has looked at it yet.
        """
        if not 0.0 <= volatility <= check.LARGEST_VOLATILITY:
            check.volatility("volatility", volatility)
        week_movement = movement = movement_between(week_start, price)
        own, by_own, ladder = self._ladders[held]
        reference, reference_price = _WEEK_START, week_start
        if by_own is not None:
            own_price = known.strike if own is _STRIKE else known.cost_basis
            if own_price is not None:
                reference, reference_price, ladder = own, own_price, by_own
                movement = movement_between(own_price, price)

        cell = bisect_right(ladder.bounds, movement)
        edges, week_type = ladder.edges, ladder.types[cell]
        lower, upper = edges[cell], edges[cell + 1]
        projected = False
        if ladder.confidences is not None:
            confidence: float | None = ladder.confidences[cell]
        else:
            days, confidence = known.days_to_expiration, None
            if days is not None:
                confidence = _stays(movement, lower, upper, volatility * sqrt(days / DAYS_PER_YEAR))
            if week_type is _P_RO and not known.can_roll:
                week_type = _P_AOL
            elif held is _CASH and favourable:
                week_type, projected = _P_EW, True

        rules = self._rules
        prior = rules.priors[week_type]
        risk = prior.risk_level
        if risk is None:
            risk = _MEDIUM if volatility > rules.medium_risk_volatility else _LOW
        return WeekClassification(
            symbol,
            week_type,
            confidence,
            held,
            movement,
            week_movement,
            _CATEGORIES[bisect_right(CATEGORY_BOUNDS, week_movement)],
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
            timestamp,
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
        return movement if movement > TOTAL_LOSS else _ALMOST_TOTAL_LOSS
    raise InputError("current_price", price, f"it cannot be compared with {reference!r}: the movement overflows")


def movement_category(movement: float) -> MovementCategory:
    """Return the category of a movement in percent points."""
    return _CATEGORIES[bisect_right(CATEGORY_BOUNDS, check.finite("movement", movement))]


def probability_unchanged(movement: float, lower: float, upper: float, volatility: float, years: float) -> float:
    """Return the probability that a movement is in [lower, upper) percent points after `years` more.

    The price follows a driftless lognormal: P = Phi((ln((1+u)/(1+r)) + s*s/2)/s) - Phi(the same with the lower bound),
    s = volatility * sqrt(years); with s = 0 nothing moves any more. Bounds may be infinite.
    Raises InputError for a movement of -100 % or less, a negative volatility or time.
    """
    r = check.finite("movement", movement)
    if r <= TOTAL_LOSS:
        raise InputError("movement", movement, "a price cannot fall by 100 % or more")
    return _stays(
        r, lower, upper, check.volatility("volatility", volatility) * sqrt(check.non_negative("years", years))
    )


def _stays(movement: float, lower: float, upper: float, spread: float) -> float:
    """Return the probability that a movement is in [lower, upper) after the log price has spread."""
    if lower == -inf and upper == inf:
        return 1.0  # there is nowhere else to go
    if spread == 0.0:
        return 1.0 if lower <= movement < upper else 0.0
    now = 1.0 + movement / 100.0
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


def _agree(given: float, derived: float) -> None:
    if abs(given - derived) > MOVEMENT_TOLERANCE:
        raise InputError(
            "movement_percentage", given, f"the prices say {derived:+.4f} %: leave it out, or correct the prices"
        )


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
