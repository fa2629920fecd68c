"""What a monitored engine counts of its own work, and which of its calls it times.

Plain numbers, an addition each; `ProtocolEngine.stats` tells them, `engine_metrics` makes metrics of them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, ParamSpec, Protocol, TypeVar

from engine_opt.errors import InputError, InsufficientData, StateError
from engine_opt.model import AutonomyMode, DecisionStatus

_P = ParamSpec("_P")
_R = TypeVar("_R")

_GOLDEN = 0.6180339887498949  # the golden ratio's fraction: its multiples leave no part of [0, 1) out for long


class Call(StrEnum):
    """What an engine is asked to do, and may refuse."""

    UPDATE = "update"
    DECIDE = "decide"
    SETTLE = "settle"
    RECORD = "record"


class Refusal(StrEnum):
    """Why a call raised: the engine's own errors, and what came from elsewhere, such as a provider or a sink."""

    INPUT = "input"
    TOO_EARLY = "too_early"
    STATE = "state"
    OTHER = "other"


_REFUSALS = {InputError: Refusal.INPUT, InsufficientData: Refusal.TOO_EARLY, StateError: Refusal.STATE}


class Part(StrEnum):
    """What a decision's time goes to."""

    MARKET = "market"  # what the last bar says; the first to ask after it pays
    RANGES = "ranges"  # likewise
    WEEK = "week"
    ADJUSTMENT = "adjustment"
    PLAN = "plan"
    RULES = "rules"
    TRUST = "trust"


class Around(Protocol):
    """Puts something around a part, such as a timer; the function that it returns must answer the same."""

    def __call__(self, part: Part, function: Callable[_P, _R], /) -> Callable[_P, _R]:
        """Return `function`, or what stands for it."""


def bare(_part: Part, function: Callable[_P, _R], /) -> Callable[_P, _R]:
    """Put nothing around a part."""
    return function


class Tally:
    """How many decisions were made, by what became of them and who had the last word; how many calls were refused.

    Looking a count up costs more than adding to it. So each decision is counted on the way that it takes, of which there
    are five, and the rest follows from that.

    Attributes:
        unjudged: proposed nothing that the rules could be asked about.
        rejected: by the rules.
        idle: proposed to hold or to wait, which needs nobody's leave.
        automatic: approved without anybody.
        asked: put to a human, by who had the last word.
        answered: those of them that are not pending, by what became of them at once.
        settled: pending decisions that were settled, by what became of them then.

    """

    __slots__ = ("_refused", "answered", "asked", "automatic", "idle", "rejected", "settled", "unjudged")

    def __init__(self) -> None:
        self.unjudged = self.rejected = self.idle = self.automatic = 0
        self.asked = dict.fromkeys(AutonomyMode, 0)
        self.answered, self.settled = dict.fromkeys(DecisionStatus, 0), dict.fromkeys(DecisionStatus, 0)
        self._refused = {(call, why): 0 for call in Call for why in Refusal}

    def refuse(self, call: Call, error: Exception) -> None:
        """Count a call that raised."""
        why = next((why for kind, why in _REFUSALS.items() if isinstance(error, kind)), Refusal.OTHER)
        self._refused[call, why] += 1

    def stats(self) -> dict[str, float]:
        """Return the counts, such as `decisions.pending` and `refused.decide.input`."""
        modes, statuses = dict(self.asked), dict(self.answered)
        asked = sum(modes.values())
        modes[AutonomyMode.AUTOMATIC] += self.automatic
        statuses[DecisionStatus.PENDING] += asked - sum(statuses.values())
        statuses[DecisionStatus.IDLE] += self.unjudged + self.idle
        statuses[DecisionStatus.REJECTED] += self.rejected
        statuses[DecisionStatus.APPROVED] += self.automatic
        counts: dict[str, dict[Any, int]] = {
            "decisions": statuses,
            "modes": modes,
            "settled": self.settled,
            "refused": {f"{call}.{why}": count for (call, why), count in self._refused.items()},
        }
        return {f"{what}.{each}": float(count) for what, found in counts.items() for each, count in found.items()}


class Turns:
    """Which of many calls are taken: one of each `every`, at a place that differs from one time to the next.

    Every n-th call would always be the same one of a cycle, such as the twelve decisions of a day. The place goes
    by multiples of the golden ratio (Weyl 1916: they are spread evenly), so that over time each place of any cycle is
    taken as often as any other; without chance, so that two runs take the same. Raises InputError for no such number.
    """

    __slots__ = ("_block", "_every", "_place")

    def __init__(self, every: int) -> None:
        if type(every) is not int or every < 1:
            raise InputError("timed_every", every, "it must be a whole number of calls, at least 1")
        self._every, self._block, self._place = every, -1, 0.0

    def next(self) -> int:
        """Return the number of the next call to take, counted from 0."""
        self._block += 1
        self._place = (self._place + _GOLDEN) % 1.0
        return self._block * self._every + int(self._every * self._place)
