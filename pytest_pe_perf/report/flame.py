"""A profile as the page draws it: a flame graph of head, coloured by what changed, and the functions that changed most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pytest_pe_perf.model import METRICS, Judgement, Profile
from pytest_pe_perf.profile.difference import Changed, Scale, changes, doubt, sampled, scale

from .cause import compared_values, function, per_call, place_of
from .screen import printable, shorten

# The table beside the flame graph has so many functions at most.
_LISTED = 12
# Colours have so many steps to either side.
LEVELS = 3
# A change of this many standard deviations is coloured: a colour claims less than a sentence.
_LIKELY = 2.0
_LONGEST_LABEL = 80

_TITLES = {
    "latency": "Where the time goes",
    "peak": "What is held at the peak",
    "allocations": "Where is allocated",
    "retained": "What is kept",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A function under its callers: ``parent`` is the place of the node above it, -1 of the first.

    ``now`` and ``before`` are per call, with all that it calls, in the metric's base unit. ``level`` is how much its own
    grew, from -3 to 3.
    """

    parent: int
    label: str
    place: str
    now: float
    before: float
    level: int


@dataclass(frozen=True, slots=True)
class Line:
    """A function of the table, with its own time or memory of each call, as text. ``level`` is as that of a node."""

    function: str
    before: str
    now: str
    change: str
    level: int


@dataclass(frozen=True, slots=True)
class Flame:
    """All that the page shows of a profile. ``note`` says why it is of head alone, or why there is nothing to draw."""

    title: str
    unit: str
    paired: bool
    note: str
    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]


def flame(profile: Profile, judgement: Judgement) -> Flame:
    """Return the drawing of a row's profile."""
    base, head = compared_values(judgement)
    unit = METRICS[profile.key.metric].unit
    factor = scale(profile, base, head)
    return Flame(
        _TITLES[profile.key.metric],
        unit,
        profile.paired,
        printable(profile.note),
        tuple(_nodes(profile, factor)) if profile.stacks else (),
        tuple(_lines(changes(profile, base, head), unit, paired=profile.paired)),
    )


# --- the flame graph ----------------------------------------------------------------------------------------------


@dataclass
class _Branch:
    """Weights of a function under its callers: with all below it, and its own."""

    base: float = 0.0
    head: float = 0.0
    own_base: float = 0.0
    own_head: float = 0.0
    below: dict[int, _Branch] = field(default_factory=lambda: defaultdict(_Branch))


def _nodes(profile: Profile, factor: Scale) -> list[Node]:
    root = _Branch()
    for stack in profile.stacks:
        for branch in _path(root, stack.frames):
            branch.base += stack.base
            branch.head += stack.head
        branch.own_base += stack.base
        branch.own_head += stack.head
    largest = _largest(root, factor)
    found: list[Node] = []
    # Not by recursion: a stack may be as deep as the interpreter allows.
    left: list[tuple[int, str, str, _Branch]] = [(-1, "all of a call", "", root)]
    while left:
        parent, label, place, branch = left.pop()
        level = _level(branch, factor, profile, largest) if profile.paired else 0
        now, before = _rounded(branch.head * factor.head), _rounded(branch.base * factor.base)
        found.append(Node(parent, label, place, now, before, level))
        here = len(found) - 1
        # The heaviest is drawn first, so it is taken last. What head does not do any more is in the table alone.
        for number, below in sorted(branch.below.items(), key=lambda item: item[1].head):
            if below.head > 0:
                frame = profile.frames[number]
                name = shorten(printable(frame.function), _LONGEST_LABEL)
                left.append((here, name, place_of(frame), below))
    return found


def _path(root: _Branch, frames: Iterable[int]) -> Iterator[_Branch]:
    branch = root
    yield branch
    for number in frames:
        branch = branch.below[number]
        yield branch


def _grown(branch: _Branch, factor: Scale) -> float:
    return branch.own_head * factor.head - branch.own_base * factor.base


def _rounded(value: float) -> float:
    """Return a value as exactly as anybody can see it."""
    return float(f"{value:.4g}")


def _largest(root: _Branch, factor: Scale) -> float:
    """Return the largest change of any function's own."""
    largest, left = 0.0, [root]
    while left:
        branch = left.pop()
        largest = max(largest, abs(_grown(branch, factor)))
        left += branch.below.values()
    return largest


def _level(branch: _Branch, factor: Scale, profile: Profile, largest: float) -> int:
    grown = _grown(branch, factor)
    least = _LIKELY * doubt(branch.own_base, branch.own_head, factor) if sampled(profile) else 0.0
    return _step(grown, largest) if abs(grown) > least else 0


def _step(grown: float, largest: float) -> int:
    """Return a change as a step of colour: 0 for less than a twentieth of the largest one."""
    share = abs(grown) / largest if largest else 0.0
    step = 0 if share < 0.05 else 1 if share < 0.25 else 2 if share < 0.6 else LEVELS
    return step if grown > 0 else -step


# --- the table ----------------------------------------------------------------------------------------------------


def _lines(found: tuple[Changed, ...], unit: str, *, paired: bool) -> list[Line]:
    largest = max((abs(one.grown) for one in found), default=0.0)
    most = sorted(found, key=lambda one: -abs(one.grown))[:_LISTED]
    return [
        Line(
            function(one.frame),
            per_call(one.before, unit) if paired else "",
            per_call(one.now, unit),
            _signed(one.grown, unit) if paired else "",
            _step(one.grown, largest) if paired and abs(one.grown) > _LIKELY * one.doubt else 0,
        )
        for one in sorted(most, key=lambda one: -one.grown)
    ]


def _signed(value: float, unit: str) -> str:
    return f"{'+' if value >= 0 else '-'}{per_call(abs(value), unit)}"
