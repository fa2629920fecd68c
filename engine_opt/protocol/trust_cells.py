"""What is remembered of one component in one kind of decision: a Beta posterior that forgets, and the level earned.

An outcome weighs 2**-(age / half-life). All weights shrink alike, so that forgetting is one multiplication whenever
the next outcome comes, and however often it is looked at in between.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import timedelta
from math import isfinite
from typing import Any

from engine_opt.errors import StateError
from engine_opt.model import TrustLevel, TrustOutcome
from engine_opt.protocol.beta import beta_quantile, guessed_odds
from engine_opt.protocol.normal import normal_quantile
from engine_opt.protocol.trust_config import TrustConfig

FIELDS = ("successes", "failures", "brier", "last", "level", "since", "outcomes", "right")

_LEVELS = tuple(TrustLevel)
_FULL = TrustLevel.FULL.rank
_WEEK = timedelta(weeks=1).total_seconds()
_BRIER_ROUNDING = 1e-9  # a mean on the limit is not beyond it because of the order in which it was added up


class Judgement:
    """What the configuration says of posteriors, worked out once."""

    __slots__ = (
        "bounds",
        "caps",
        "half_life",
        "normal",
        "prior",
        "promoted_from",
        "promotion_outcomes",
        "quantile",
        "unknown",
    )

    def __init__(self, config: TrustConfig) -> None:
        self.bounds = config.level_bounds
        self.promoted_from = tuple(bound + config.hysteresis for bound in config.level_bounds)
        self.promotion_outcomes = config.promotion_outcomes
        self.half_life = config.half_life_weeks * _WEEK
        self.prior, self.quantile = config.prior, config.quantile
        self.normal = -normal_quantile(config.quantile)  # the upper one
        self.unknown = self.bound(0.0, 0.0)  # the bound of who did nothing yet
        worst_first = sorted(((limit, level.rank) for level, limit in config.brier_caps.items()), reverse=True)
        self.caps = tuple((limit + _BRIER_ROUNDING, rank) for limit, rank in worst_first)

    def bound(self, successes: float, failures: float, correction: float | None = None) -> float:
        """Return the lower bound of the success rate after so much evidence; `correction` speeds the search."""
        a, b = self.prior[0] + successes, self.prior[1] + failures
        if correction is None:
            return beta_quantile(self.quantile, a, b)
        odds = correction * guessed_odds(self.normal, a, b)
        return beta_quantile(self.quantile, a, b, odds / (1.0 + odds))

    def correction(self, successes: float, failures: float, bound: float) -> float:
        """Return by what factor the guessed odds of a bound are wrong."""
        a, b = self.prior
        return bound / ((1.0 - bound) * guessed_odds(self.normal, a + successes, b + failures))

    def rank(self, bound: float) -> int:
        """Return the level, 0 to 4, that a lower bound is enough for."""
        return bisect_right(self.bounds, bound)

    def cap(self, brier: float) -> int:
        """Return the highest level that a mean Brier score allows."""
        for limit, rank in self.caps:
            if brier > limit:
                return rank
        return _FULL


class Cell:
    """One component in one kind of decision.

    `successes`, `failures` and `brier` (the sum of squared differences between confidence and outcome) are weights
    as of `last`, in seconds since 1970; `level` is 0 to 4, `since` counts the outcomes since it changed, `outcomes` and
    `right` count all and the successful ones. All else follows from these: `bound` at `last`, and `correction`, by
    which a guess of its odds was wrong, which is where the search for a later bound starts. So a later bound is a
    function of the state and the time, to the last bit, whatever was asked before.
    """

    __slots__ = ("_judgement", "bound", "correction", "seen", *FIELDS)

    def __init__(self, judgement: Judgement) -> None:
        self._judgement = judgement
        self.successes = self.failures = self.brier = self.last = 0.0
        self.level = self.since = self.outcomes = self.right = 0
        self.bound = judgement.unknown
        self.correction = 1.0
        self.seen = self.last, self.bound

    def bound_at(self, seconds: float, twin: Cell | None = None) -> float:
        """Return the lower bound at a time that is not before `last`.

        `twin` is another cell, already asked about that time: both may have been judged by the same outcomes, as the
        components of one kind mostly are.
        """
        if not self.outcomes:
            return self.bound
        at, bound = self.seen
        if at == seconds:
            return bound
        if twin is not None and twin.seen[0] == seconds and self._equals(twin):
            bound = twin.seen[1]
        else:
            left = 2.0 ** -((seconds - self.last) / self._judgement.half_life)
            bound = self._judgement.bound(left * self.successes, left * self.failures, self.correction)
        self.seen = seconds, bound
        return bound

    def learn(self, at: float, outcome: TrustOutcome, *, loss: bool, twin: Cell | None) -> None:
        """Take an outcome, not before `last`: what idleness took away first, then what the outcome gives or takes."""
        judgement, level = self._judgement, self.level
        if self.outcomes:
            level = min(level, judgement.rank(self.bound_at(at)))
            left = 2.0 ** -((at - self.last) / judgement.half_life)
            self.successes *= left
            self.failures *= left
            self.brier *= left
        since = self.since + 1 if level == self.level else 1
        if outcome.success:
            self.successes += 1.0
            self.right += 1
        else:
            self.failures += 1.0
        self.brier += (outcome.confidence - outcome.success) ** 2
        self.outcomes += 1
        self.last = at
        self._settle(twin)
        allowed = self._allowed()
        if loss:
            level, since = 0, 0
        elif allowed < level:
            level, since = allowed, 0
        elif (
            allowed > level
            and since >= judgement.promotion_outcomes
            and self.bound >= judgement.promoted_from[level]  # which is that of the next level
        ):
            level, since = level + 1, 0
        self.level, self.since = level, since

    def save(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {name: getattr(self, name) for name in FIELDS} | {"level": _LEVELS[self.level].value}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take a saved state. Raises StateError where it cannot be one."""
        for name in ("successes", "failures", "brier", "last"):
            number = saved[name]
            if type(number) is not float or not isfinite(number) or (number < 0.0 and name != "last"):
                raise damaged(f"{name}={number!r} must be a finite number, and a weight not negative")
            setattr(self, name, number)
        for name in ("since", "outcomes", "right"):
            setattr(self, name, count(saved, name))
        if saved["level"] not in _LEVELS:
            raise damaged(f"level={saved['level']!r} is none of {', '.join(_LEVELS)}")
        self.level = TrustLevel(saved["level"]).rank
        weight, wrong = self.successes + self.failures, self.outcomes - self.right
        if weight < 1.0 or self.successes > self.right or self.failures > wrong or self.brier > weight:
            raise damaged(
                f"weights {self.successes:g} + {self.failures:g} cannot be of {self.right} + {wrong} outcomes"
            )
        if self.since > self.outcomes:
            raise damaged(f"since={self.since} counts more than outcomes={self.outcomes}")
        self._settle(None)
        self.level = min(self.level, self._allowed())

    def _allowed(self) -> int:
        """Return the highest level that the bound and the calibration allow at the last outcome."""
        judgement = self._judgement
        return min(judgement.rank(self.bound), judgement.cap(self.brier / (self.successes + self.failures)))

    def _settle(self, twin: Cell | None) -> None:
        """Work out the bound at the last outcome, from the state alone and not from older bounds."""
        if twin is not None and self._equals(twin):
            self.bound, self.correction = twin.bound, twin.correction
        else:
            self.bound = self._judgement.bound(self.successes, self.failures)
            self.correction = self._judgement.correction(self.successes, self.failures, self.bound)
        self.seen = self.last, self.bound

    def _equals(self, other: Cell) -> bool:
        """Whether both hold the same evidence."""
        return self.successes == other.successes and self.failures == other.failures and self.last == other.last


def count(saved: Mapping[str, Any], name: str) -> int:
    """Return a saved count. Raises StateError where it is none."""
    value = saved[name]
    if type(value) is not int or value < 0:
        raise damaged(f"{name}={value!r} must be a whole number, not negative")
    return value


def damaged(what: str) -> StateError:
    """Return the error for a state that no system can have saved."""
    return StateError(f"the trust state is damaged, {what}: replay the outcomes")
