"""What became of a row, in a small drawing and in few bytes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_pe_perf.model import Course, Key, Past, PastRun, Row, Sample, Verdict
from pytest_pe_perf.report.course import (
    LEAST_SPAN,
    SPARK_LEVELS,
    SPARK_POINTS,
    changes_of,
    spark,
    steadied,
    thinned,
    when,
    with_this_run,
)
from pytest_pe_perf.report.html.pack import LOWEST, STEPS, fits, planes, repeated, stretches, widths

VALUES = st.lists(st.floats(0, 1e12) | st.just(math.nan), max_size=200)
TIMES = st.lists(st.floats(1e-9, 1e8), min_size=1, max_size=50)
KEY = Key("t", "", "latency")


def course(values) -> Course:
    count = len(values)
    places = tuple(range(count))
    return Course(places, tuple(values), (None,) * count, (None,) * count, ("new",) * count, places)


@given(VALUES)
def test_a_drawing_stays_inside(values) -> None:
    """However long a history is, its drawing has so many steps and levels, and ends with the last value."""
    levels = spark(values)
    assert len(levels) <= SPARK_POINTS
    assert all(level is None or 0 <= level < SPARK_LEVELS for level in levels)
    if levels:
        assert (levels[-1] is None) == math.isnan(values[-1])


def test_small_noise_looks_small() -> None:
    """A trend within 1 % fills only a small part of the height; one that doubles fills all of it."""
    levels = spark([1.0, 1.01, 1.0])
    assert max(levels) - min(levels) <= SPARK_LEVELS * 0.01 / (2 * LEAST_SPAN) + 1
    assert spark([1.0, 2.0]) == (0, SPARK_LEVELS - 1)
    assert spark([]) == spark([math.nan]) == ()


@given(VALUES)
def test_thinning_keeps_the_new_half_the_ends_and_the_extremes(values) -> None:
    """The newer half is whole, of the older half one in two is left, and what is farthest from the middle stays."""
    before = course(values)
    after = thinned(before)
    known = sorted(filter(math.isfinite, values))
    if len(values) < 4 or not known:
        assert after == before
        return
    assert len(after.values) == len(values) - len(values) // 4
    assert list(after.places) == sorted(after.places)
    assert after.places[-1] == len(values) - 1
    assert after.references == after.places
    far = max(known, key=lambda value: abs(value - known[len(known) // 2]))
    assert far in after.values


@given(TIMES)
@example([1e-9, 1e8, 1e-9])
def test_times_come_back_within_half_a_step(values) -> None:
    """What the page's script makes of the bytes is off by less than a thousandth."""
    assert fits(values)
    low, high = planes(values)
    steps, found = 0, []
    for one, other in zip(low, high, strict=True):
        move = one | other << 8
        steps += (move >> 1) ^ -(move & 1)
        found.append(2.0 ** (steps / STEPS - LOWEST))
    assert found == pytest.approx(values, rel=7e-4)


def test_what_does_not_fit_is_kept_as_it_is() -> None:
    """Zeros, gaps and numbers that no clock shows are not forced into steps."""
    assert not any(map(fits, ([], [0.0, 1.0], [math.nan], [math.inf], [1e300], [-1.0])))
    assert repeated([3.0, 3.0, 0.5, math.nan, math.inf]) == [3, 2, 0.5, 1, None, 1, None, 1]


def test_widths_and_stretches() -> None:
    """An interval that there is not is zero; a wider one is more; gaps begin another stretch."""
    none = widths([None, 1.0, 0.0], [1.0, math.inf, 1.0])
    narrow, wide, wider = widths([1.0, 0.98, 0.5], [1.0, 1.02, 2.0])
    assert none == bytes(3)
    assert 1 == narrow < wide < wider
    assert stretches([0, 1, 2, 7, 9, 10]) == [0, 3, 7, 1, 9, 2]
    assert stretches([5, 6]) == [5, 2]
    assert stretches([]) == []


def test_changes_are_found_within_an_environment_only() -> None:
    """A step at the border of two environments says nothing of the code; one within them is told by its run."""
    runs = tuple(PastRun(f"2026-01-{day:02}", "old" if day <= 10 else "new", {}) for day in range(1, 31))
    places = [place for place in range(30) if place != 15]
    values = [1.0 if place < 10 else 2.0 if place < 22 else 3.0 for place in places]
    count = len(places)
    row = Course(tuple(places), tuple(values), (None,) * count, (None,) * count, ("unchanged",) * count)
    (change,) = changes_of(Past(runs, {KEY: row}), [KEY])[KEY]
    assert (change.index, change.settled) == (22, True)


def searched(values, references, environments=("here",)) -> list[tuple[int, float]]:
    """Return where a row changed, and by how much; the environments take turns."""
    count = len(values)
    runs = tuple(PastRun(f"2026-01-{place}", environments[place % len(environments)], {}) for place in range(count))
    row = replace(course(values), references=references)
    return [(change.index, round(change.ratio, 6)) for change in changes_of(Past(runs, {KEY: row}), [KEY])[KEY]]


def test_a_machine_that_gets_slower_is_no_change() -> None:
    """Times are compared at one speed of the machine if it is known of every run, and else as they are."""
    speed = tuple(1.0 if place < 20 else 1.3 for place in range(60))
    references = tuple(2.5e-5 * each for each in speed)
    slower = [1e-3 * each for each in speed]
    assert searched(slower, references) == []
    assert searched([1e-3 * each * (1.1 if place >= 40 else 1.0) for place, each in enumerate(speed)], references) == [
        (40, 1.1)
    ]
    # What the machine hides: it gets as much faster as the code gets slower.
    assert searched([1e-3] * 60, tuple(2.5e-5 / each for each in speed)) == [(20, 1.3)]
    for unknown in (None, 0.0, math.nan, math.inf, 1e-320):
        assert searched(slower, (*references[:-1], unknown)) == [(20, 1.3)]
    assert searched(slower, ()) == [(20, 1.3)]


def test_another_environment_has_a_speed_of_its_own() -> None:
    """Machines that take turns are searched one by one; where one has no references, the other has them all the same."""
    values = [1e-3 * (1.3 if place >= 40 else 1.0) for place in range(80)]
    references = [2.5e-5 * (1.3 if place >= 40 else 1.0) if place % 2 else None for place in range(80)]
    assert searched(values, references, ("one", "other")) == [(40, 1.3)]
    assert searched(values, [], ("one", "other")) == [(40, 1.3), (41, 1.3)]


@given(TIMES, st.floats(1e-7, 1e-3))
def test_a_steady_machine_is_left_out_of_it(values, reference) -> None:
    """Where the reference workload always takes the same, what is searched is what was measured."""
    assert list(steadied(values, [reference] * len(values))) == values


@pytest.mark.parametrize("known", [True, False])
def test_this_run_brings_its_reference(judgement, report_of, run_of, known) -> None:
    """It is the least of the run's processes, as in the history; earlier runs without one stay without."""
    report = report_of(judgement(KEY.test, Verdict.UNCHANGED, base=1e-3))
    samples = tuple(Sample(1e-3, 10, 1, reference=each if known else None) for each in (3e-5, 2e-5))
    run = replace(run_of(report), rows=(Row(KEY, samples, "source", 0.1, 0.05),))
    before = replace(course([1e-3, 1e-3]), references=())
    past = Past((PastRun("2026-01-01", "here", {}),) * 2, {KEY: before})
    after, place = with_this_run(past, run, report)
    assert (place, len(after.courses[KEY].values)) == (2, 3)
    assert after.courses[KEY].references == ((None, None, 2e-5) if known else ())


def test_times_are_shown_to_the_minute() -> None:
    """An ISO time loses its T and its seconds."""
    assert when("2026-11-20T09:41:07+00:00") == "2026-11-20 09:41"
