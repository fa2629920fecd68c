"""Where to look for the cause of a regression: what its profile, the run and its history know of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_pe_perf.judge.changepoint import LevelChange
from pytest_pe_perf.model import METRICS, Course, Frame, Judgement, Key, PastRun, Profile, Verdict
from pytest_pe_perf.profile.difference import cause, changes
from pytest_pe_perf.units import format_change, format_quantity

from .screen import printable, shorten
from .wording import old_to_new, shell_quote

_WELL = (Verdict.UNCHANGED, Verdict.IMPROVED)
# A change of level explains a regression of which it is so much.
_SHARE = 0.5
# So many digits of a commit tell it apart.
_DIGITS = 10
# So much of a function's name and of its file's is told.
_LONGEST_NAME, _LONGEST_FILE = 40, 60
# What a function does in a call, and what it did.
_DOES = {
    "latency": "takes {} of each call",
    "peak": "holds {} at the peak",
    "allocations": "makes {} allocations in each call",
    "retained": "keeps {} of each call",
}


@dataclass(frozen=True, slots=True)
class Hint:
    """What is known, with the commit that it speaks of and the command that goes on from there, where there are such."""

    text: str
    commit: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a row besides its verdict: those of its test's others, its history, and in which runs that changed.

    ``cause`` is what its profile says.
    """

    others: Sequence[Judgement]
    runs: Sequence[PastRun]
    course: Course
    changes: Sequence[LevelChange]
    cause: str = ""


def causes_of(judgements: Iterable[Judgement], profiles: Iterable[Profile]) -> dict[Key, str]:
    """Return of each judgement that has a profile which function made it worse, in a line."""
    known = {profile.key: profile for profile in profiles}
    return {one.key: _in_a_line(one, known[one.key]) for one in judgements if one.key in known}


def _in_a_line(judgement: Judgement, profile: Profile) -> str:
    if not profile.stacks:
        return printable(profile.note)
    base, head = compared_values(judgement)
    found = changes(profile, base, head)
    if not profile.paired:
        first = found[0]
        return f"most of it: {function(first.frame)} {_does(judgement, first.now)}"
    grown = cause(found, head - base)
    if grown is None:
        return "cause: no function stands out; the report shows the profile of both sides"
    before = per_call(grown.before, METRICS[judgement.key.metric].unit)
    return f"cause: {function(grown.frame)} {_does(judgement, grown.now)}, {before} before"


def compared_values(judgement: Judgement) -> tuple[float, float]:
    """Return what the row was on base and on head, in its base unit; 0 where there is no number."""
    if judgement.comparison is None:
        return 0.0, judgement.value or 0.0
    return judgement.comparison.base, judgement.comparison.head


def function(frame: Frame) -> str:
    """Return a function for people: ``"parse_line (src/text.py:41)"``."""
    name, place = shorten(printable(frame.function), _LONGEST_NAME), place_of(frame)
    return f"{name} ({place})" if place else name


def place_of(frame: Frame) -> str:
    """Return where a function stands: ``"src/text.py:41"``; nothing where it has no file."""
    line = f":{frame.line}" if frame.line else ""
    return f"{shorten(printable(frame.file), _LONGEST_FILE)}{line}" if frame.file else ""


def _does(judgement: Judgement, value: float) -> str:
    metric = judgement.key.metric
    return _DOES[metric].format(per_call(value, METRICS[metric].unit))


def per_call(value: float, unit: str) -> str:
    """Return what a function takes of a call; what it keeps is seen over several of them, and is no whole number."""
    return format_quantity(round(value) if unit == "1" else value, unit)


def hints(judgement: Judgement, known: Known, commit: str) -> tuple[Hint, ...]:
    """Return where to look, the nearest first. ``commit`` is the one that was measured; empty where that is not known."""
    seen = (Hint(known.cause),) if known.cause else ()
    return (*seen, *_counts(judgement, known.others), *_history(judgement, known, commit))


def _counts(judgement: Judgement, others: Sequence[Judgement]) -> Iterator[Hint]:
    """Yield what else got worse in the same measurement and is counted: that is no noise."""
    for other in others:
        same = other.key.name == judgement.key.name and other.key != judgement.key
        exact = METRICS[other.key.metric].assume == "exact"
        if same and exact and other.fails and other.comparison is not None:
            words = old_to_new(other, other.comparison).replace("->", "→")
            yield Hint(f"{METRICS[other.key.metric].title} grew as well: {words}")


def _explains(change: LevelChange, judgement: Judgement) -> bool:
    """Whether a change of level brought half of what the gate has seen, or more."""
    comparison = judgement.comparison
    return comparison is None or change.after - change.before > _SHARE * max(comparison.head - comparison.base, 0.0)


def _history(judgement: Judgement, known: Known, commit: str) -> Iterator[Hint]:
    change = known.changes[-1] if known.changes else None
    if change is not None and change.after > change.before and _explains(change, judgement):
        run = known.runs[change.index]
        size = f" by {format_change(change.ratio)}" if change.ratio is not None else ""
        doubt = "" if change.settled else "; so far that may be outliers"
        yield Hint(f"its level rose{size} on {run.started[:10]}{doubt}", printable(run.context.get("commit", "")))
        return
    for place, verdict in zip(reversed(known.course.places), reversed(known.course.verdicts), strict=True):
        run = known.runs[place]
        good = run.context.get("commit", "")
        if verdict in _WELL:
            if good and commit and good != commit:
                span = f"{good[:_DIGITS]}..{commit[:_DIGITS]}"
                command = f"pe-perf bisect {shell_quote(span)} {shell_quote(judgement.key.test)}"
                yield Hint(f"it was well last on {run.started[:10]}", printable(good), command)
            return
