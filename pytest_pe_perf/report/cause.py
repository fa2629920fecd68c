"""Where to look for the cause of a regression: what the run and its history know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_pe_perf.judge.changepoint import LevelChange
from pytest_pe_perf.model import METRICS, Course, Judgement, PastRun, Verdict
from pytest_pe_perf.units import format_change

from .screen import printable
from .wording import old_to_new, shell_quote

_WELL = (Verdict.UNCHANGED, Verdict.IMPROVED)
# A change of level explains a regression of which it is so much.
_SHARE = 0.5
# So many digits of a commit tell it apart.
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Hint:
    """What is known, with the commit that it speaks of and the command that goes on from there, where there are such."""

    text: str
    commit: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a row besides its verdict: those of its test's others, its history, and in which runs that changed."""

    others: Sequence[Judgement]
    runs: Sequence[PastRun]
    course: Course
    changes: Sequence[LevelChange]


def hints(judgement: Judgement, known: Known, commit: str) -> tuple[Hint, ...]:
    """Return where to look, the nearest first. ``commit`` is the one that was measured; empty where that is not known."""
    return (*_counts(judgement, known.others), *_history(judgement, known, commit))


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
