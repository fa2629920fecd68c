"""What changed between the two sides of a profile, function by function. Pure.

Weights are scaled to what the row measured, so that the changes of all functions sum up to that of the row.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.model import METRICS, Frame, Profile

# A function is named where its change is this many standard deviations of what sampling alone makes, and this share of
# what the row grew by: of many functions that grew a little none is the cause.
SURE = 3.0
LARGE = 0.25


@dataclass(frozen=True, slots=True)
class Scale:
    """What a unit of weight of each side stands for, in the metric's base unit per call."""

    base: float
    head: float


@dataclass(frozen=True, slots=True)
class Changed:
    """A function, per call of what is measured, in the metric's base unit.

    ``before`` and ``now`` are its own, with that of the libraries it calls; ``total_before`` and ``total_now`` with all
    that it calls. ``doubt`` is the standard deviation of ``grown`` where the profile was sampled, and 0 where counted.
    """

    frame: Frame
    before: float
    now: float
    total_before: float
    total_now: float
    doubt: float

    @property
    def grown(self) -> float:
        """By how much its own grew."""
        return self.now - self.before

    @property
    def sure(self) -> bool:
        """Whether sampling alone would not make such a change."""
        return abs(self.grown) > SURE * self.doubt


def scale(profile: Profile, base: float, head: float) -> Scale:
    """Return what a unit of weight stands for where the row's value is ``base`` on one side and ``head`` on the other."""
    totals = [sum(stack.base for stack in profile.stacks), sum(stack.head for stack in profile.stacks)]
    per_weight = [value / total if total else 0.0 for value, total in zip((base, head), totals, strict=True)]
    return Scale(*per_weight)


def sampled(profile: Profile) -> bool:
    """Whether the weights of a profile are numbers of samples."""
    return METRICS[profile.key.metric].assume == "noisy"


def changes(profile: Profile, base: float, head: float) -> tuple[Changed, ...]:
    """Return every function that has anything of its own, the one that grew most first.

    ``base`` and ``head`` are the row's values. Of a profile of head alone all grew from nothing.
    """
    factor = scale(profile, base, head)
    own: dict[Frame, list[float]] = defaultdict(lambda: [0.0, 0.0])
    total: dict[Frame, list[float]] = defaultdict(lambda: [0.0, 0.0])
    module = module_of(profile.key.test)
    for stack in profile.stacks:
        frames = [profile.frames[place] for place in stack.frames]
        # A function that calls itself is counted once.
        for found in [own[owner(frames, module)], *(total[frame] for frame in dict.fromkeys(frames))]:
            found[0] += stack.base
            found[1] += stack.head
    listed = [
        Changed(
            frame,
            before * factor.base,
            now * factor.head,
            total[frame][0] * factor.base,
            total[frame][1] * factor.head,
            doubt(before, now, factor) if sampled(profile) else 0.0,
        )
        for frame, (before, now) in own.items()
    ]
    return tuple(sorted(listed, key=lambda one: (-one.grown, one.frame.file, one.frame.function)))


def owner(frames: list[Frame], module: str) -> Frame:
    """Return the function that answers for a stack: the project's innermost one that is not in the test's ``module``.

    What a library does is somebody's doing who called it. Where nobody did but the test, it is the innermost function.
    """
    return next((frame for frame in reversed(frames) if frame.own and frame.file != module), frames[-1])


def cause(found: tuple[Changed, ...], growth: float) -> Changed | None:
    """Return the function that made the row grow by ``growth``, if one stands out."""
    first = next((one for one in found if one.frame.file), None)  # not what was not told apart
    return first if first and first.sure and first.grown >= LARGE * growth > 0 else None


def doubt(before: float, now: float, factor: Scale) -> float:
    """Return the standard deviation of the difference of two numbers of samples, each of which scatters by its root.

    One more, because none seen is not none.
    """
    return math.hypot(factor.base * math.sqrt(before + 1), factor.head * math.sqrt(now + 1))
