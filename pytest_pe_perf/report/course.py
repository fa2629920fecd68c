"""What became of a row: this run at the end of its history, where it changed its level, and a small drawing of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from operator import attrgetter, itemgetter
from typing import Any

from pytest_pe_perf.history.interface import points_of
from pytest_pe_perf.history.record import IMPORTED, reference_of
from pytest_pe_perf.judge.changepoint import LevelChange, told
from pytest_pe_perf.model import Course, GateReport, Judgement, Key, Past, PastRun, Run

# A drawing has so many steps from left to right, and so many from bottom to top.
SPARK_POINTS, SPARK_LEVELS = 40, 64
# It spans at least this share of its level above and below: a trend that moves by 1 % looks calm, as it is.
LEAST_SPAN = 0.08
# Where a history changed takes 14 ms to find among 500 points: so many points are searched, of the worst rows first.
SEARCHED_POINTS = 12_000


def when(started: str) -> str:
    """Return an ISO time to the minute: ``"2026-11-20 09:41"``."""
    return started[:16].replace("T", " ")


def moment(started: str) -> datetime | None:
    """Return an ISO time, None where it is no time; one without a zone is taken as UTC."""
    try:
        time = datetime.fromisoformat(started)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def starts(runs: Sequence[PastRun]) -> list[datetime]:
    """Return when each run began, or the latest one before it: clocks are put back, and a search needs an order."""
    began = (moment(run.started) or datetime.min.replace(tzinfo=UTC) for run in runs)
    return list(accumulate(began, max))


def with_this_run(past: Past, run: Run, report: GateReport) -> tuple[Past, int]:
    """Return the history with this run in it, whether or not it was there already, and the number of this run."""
    now = moment(run.started)
    for place in range(len(past.runs) - 1, -1, -1):
        there = past.runs[place]
        if there.environment == run.environment.slug and moment(there.started) == now:
            return past, place
    place = len(past.runs)
    courses, rows = dict(past.courses), {row.key: row for row in run.rows}
    for judgement in report.judgements:
        if judgement.value is not None:
            course, reference = courses.get(judgement.key, Course()), reference_of(rows.get(judgement.key))
            courses[judgement.key] = _with(course, place, judgement, reference)
    runs = (*past.runs, PastRun(run.started, run.environment.slug, run.context))
    return replace(past, runs=runs, courses=courses), place


def _with(course: Course, place: int, judgement: Judgement, reference: float | None) -> Course:
    comparison, value = judgement.comparison, judgement.value
    assert value is not None
    before = course.references
    if reference is not None and not before:
        before = (None,) * len(course.values)
    return Course(
        (*course.places, place),
        (*course.values, value),
        (*course.lows, comparison.low if comparison else None),
        (*course.highs, comparison.high if comparison else None),
        (*course.verdicts, judgement.verdict.value),
        (*before, reference) if before or reference is not None else (),
    )


def changes_of(past: Past, keys: Iterable[Key]) -> Mapping[Key, tuple[LevelChange, ...]]:
    """Return where rows changed their level, by the number of the run; a row that was not searched is not there.

    ``keys`` come in the order of their importance. Each environment is searched by itself, and what another program
    measured as well, as ``pe-perf history --changes`` does.
    """
    environments = [run.environment for run in past.runs]
    found: dict[Key, tuple[LevelChange, ...]] = {}
    left = SEARCHED_POINTS
    for key in keys:
        course = past.courses.get(key, Course())
        left -= len(course.values)
        if left < 0:
            break
        if all(map(math.isfinite, course.values)):
            found[key] = tuple(sorted(_changes(course, environments), key=attrgetter("index")))
    return found


def _changes(course: Course, environments: Sequence[str]) -> Iterator[LevelChange]:
    """Yield the changes of a row, by the number of the run."""
    apart: dict[tuple[str, bool], list[tuple[Any, ...]]] = {}
    for point in points_of(course):
        place, verdict = point[0], point[4]
        apart.setdefault((environments[place], verdict == IMPORTED), []).append(point)
    for points in apart.values():
        places, values, _, _, _, references = zip(*points, strict=True)
        for change in told(steadied(values, references))[0]:
            yield replace(change, index=places[change.index])


def steadied(values: Sequence[float], references: Sequence[float | None]) -> Sequence[float]:
    """Return times as if the machine had always been as fast as it mostly was; the values as they are if nobody can say.

    They are divided by what the reference workload took in the same processes, as the gate does, and multiplied by its
    median. All need a reference: one that is not divided among others that are would be a change of level by itself.
    """
    usable = [reference for reference in references if reference is not None and 0 < reference < math.inf]
    if not usable or len(usable) < len(values):
        return values
    usual = statistics.median(usable)
    divided = [value / (reference / usual) for value, reference in zip(values, usable, strict=True)]
    return divided if all(map(math.isfinite, divided)) else values


def spark(values: Sequence[float]) -> tuple[int | None, ...]:
    """Return the levels of a small drawing from 0 to ``SPARK_LEVELS`` - 1, the first for the oldest values.

    Where there are too many values, each step is the median of neighbours; None is one without a number. The last step
    is the last value.
    """
    shown = [*_steps(values[:-1], SPARK_POINTS - 1), *values[-1:]]
    known = [value for value in shown if math.isfinite(value)]
    if not known:
        return ()
    low, high = min(known), max(known)
    # Halves, because the largest numbers that there are have no sum and no distance.
    middle = low / 2 + high / 2
    half = max(high / 2 - low / 2, abs(middle) * LEAST_SPAN) or 1.0
    bottom, top = middle / 2 - half / 2, SPARK_LEVELS - 1
    return tuple(round((v / 2 - bottom) / half * top) if math.isfinite(v) else None for v in shown)


def _steps(values: Sequence[float], most: int) -> Iterator[float]:
    count = min(len(values), most)
    borders = [len(values) * place // count for place in range(count + 1)] if count else []
    finite = all(map(math.isfinite, values))
    for start, end in pairwise(borders):
        known = sorted(values[start:end] if finite else filter(math.isfinite, values[start:end]))
        yield known[len(known) // 2] if known else math.nan


def thinned(course: Course) -> Course:
    """Return a course without every second point of its older half: of two neighbours the one nearer the middle goes."""
    count = len(course.values)
    known = sorted(filter(math.isfinite, course.values))
    if count < 4 or not known:
        return course
    middle = known[len(known) // 2]

    def away(index: int) -> float:
        value = course.values[index]
        return abs(value - middle) if math.isfinite(value) else -1.0

    old = count // 4 * 2
    kept = [max(index, index + 1, key=away) for index in range(0, old, 2)] + list(range(old, count))
    take = itemgetter(*kept)
    return Course(
        take(course.places),
        take(course.values),
        take(course.lows),
        take(course.highs),
        take(course.verdicts),
        take(course.references) if course.references else (),
    )


def older_thinned(past: Past) -> Past:
    """Return the history with the older half of each course thinned."""
    return replace(past, courses={key: thinned(course) for key, course in past.courses.items()})


def points(past: Past) -> int:
    """Return how many points all courses have together."""
    return sum(len(course.values) for course in past.courses.values())
