"""What became of a row, in a small drawing and in few bytes."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_pe_perf.model import Course, Key, Past, PastRun
from pytest_pe_perf.report.course import LEAST_SPAN, SPARK_LEVELS, SPARK_POINTS, changes_of, spark, thinned, when
from pytest_pe_perf.report.html.pack import LOWEST, STEPS, fits, planes, repeated, stretches, widths

VALUES = st.lists(st.floats(0, 1e12) | st.just(math.nan), max_size=200)
TIMES = st.lists(st.floats(1e-9, 1e8), min_size=1, max_size=50)


def course(values) -> Course:
    count = len(values)
    return Course(tuple(range(count)), tuple(values), (None,) * count, (None,) * count, ("new",) * count)


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
    key = Key("t", "", "latency")
    (change,) = changes_of(Past(runs, {key: row}), [key])[key]
    assert (change.index, change.settled) == (22, True)


def test_times_are_shown_to_the_minute() -> None:
    """An ISO time loses its T and its seconds."""
    assert when("2026-11-20T09:41:07+00:00") == "2026-11-20 09:41"
