"""Stacks of calls with a weight each: put together, pruned, and joined to a profile of both sides. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_pe_perf.model import Frame, Key, Profile, Stack

# The metrics of which a profile can say where they come from.
PROFILED = frozenset({"latency", "peak", "allocations", "retained"})
# The outermost call first. A weight is a number of samples, of bytes, or of allocations.
Folded = Mapping[tuple[Frame, ...], float]

# What is less than this share of either side is not told apart from its neighbours.
LEAST_SHARE = 0.005
# Deeper than this a stack is cut off: it recurs.
DEEPEST = 100
# So many stacks and functions are told apart at most.
MOST_STACKS, MOST_FRAMES = 500, 2000
# Names are the project's own, and may be anything; notes may repeat what a process said.
LONGEST_NAME, LONGEST_NOTE = 300, 2000
# What was not told apart, beneath what called it.
REST = Frame("(rest)", "")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one process saw of a row. A stack is the places of its frames; ``problem`` says why there is nothing."""

    key: Key
    frames: tuple[Frame, ...] = ()
    stacks: tuple[tuple[tuple[int, ...], float], ...] = ()
    problem: str = ""


def as_seen(key: Key, folded: Folded) -> Seen:
    """Return stacks with each of their frames once."""
    places = _places(list(folded))
    stacks = tuple((tuple(places[frame] for frame in stack), weight) for stack, weight in folded.items())
    return Seen(key, tuple(places), stacks)


def merged(parts: Iterable[Seen]) -> dict[tuple[Frame, ...], float]:
    """Return the stacks of several processes put together."""
    found: dict[tuple[Frame, ...], float] = defaultdict(float)
    for part in parts:
        for places, weight in part.stacks:
            found[tuple(part.frames[place] for place in places)] += weight
    return dict(found)


def joined(key: Key, base: Folded | None, head: Folded, note: str = "") -> Profile:
    """Return the profile of a row, pruned: what is left out is counted beneath what called it.

    Without ``base`` it is of head alone, and ``note`` says why.
    """
    both: dict[tuple[Frame, ...], tuple[float, float]] = {stack: (0.0, weight) for stack, weight in head.items()}
    for stack, weight in (base or {}).items():
        both[stack] = (weight, both.get(stack, (0.0, 0.0))[1])
    kept = _pruned(both)
    places = _places(sorted(kept, key=lambda stack: -kept[stack][1]))  # lines are head's
    stacks = tuple(Stack(tuple(places[frame] for frame in stack), *weights) for stack, weights in kept.items())
    return Profile(key, tuple(places), stacks, paired=base is not None, note=note)


def _places(stacks: Sequence[tuple[Frame, ...]]) -> dict[Frame, int]:
    """Return each frame with its place. Of those that differ in their line alone the end of the first stack counts."""
    places: dict[Frame, int] = {}
    for frame in (*(stack[-1] for stack in stacks), *(frame for stack in stacks for frame in stack)):
        places.setdefault(frame, len(places))
    return places


def _pruned(both: Mapping[tuple[Frame, ...], tuple[float, float]]) -> dict[tuple[Frame, ...], tuple[float, float]]:
    """Return the stacks cut off where they fall below ``LEAST_SHARE`` of both sides, and at ``DEEPEST``."""
    totals: dict[tuple[Frame, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for stack, (base, head) in both.items():
        for beginning in _beginnings(stack):
            totals[beginning][0] += base
            totals[beginning][1] += head
    least = [LEAST_SHARE * weight for weight in totals[()]]
    kept: dict[tuple[Frame, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for stack, (base, head) in both.items():
        shown: tuple[Frame, ...] = ()
        for beginning in _beginnings(stack):
            known = totals[beginning]
            if all(weight < limit or not weight for weight, limit in zip(known, least, strict=True)):
                break
            shown = beginning
        place = stack if shown == stack else (*shown, REST)
        kept[place][0] += base
        kept[place][1] += head
    return _within_bounds(kept)


def _within_bounds(kept: Mapping[tuple[Frame, ...], Sequence[float]]) -> dict[tuple[Frame, ...], tuple[float, float]]:
    """Return the heaviest stacks that there is room for; the others are counted together."""
    shown: dict[tuple[Frame, ...], tuple[float, float]] = {}
    known: set[Frame] = set()
    for stack in sorted(kept, key=lambda stack: -max(kept[stack])):
        fits = len(shown) < MOST_STACKS and len(known.union(stack)) < MOST_FRAMES
        place = stack if fits else (REST,)
        known.update(place)
        base, head = shown.get(place, (0.0, 0.0))
        shown[place] = (base + kept[stack][0], head + kept[stack][1])
    return shown


def _beginnings(stack: tuple[Frame, ...]) -> Iterator[tuple[Frame, ...]]:
    for length in range(min(len(stack), DEEPEST) + 1):
        yield stack[:length]
