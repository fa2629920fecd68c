"""Where the marks of a trend stand."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.model import Point
from pytest_pe_perf.report.chart import chart, nice_ticks, spark, thin, when

VALUES = st.lists(st.floats(0, 1e12) | st.just(math.nan), max_size=200)


def _points(values: list[float]) -> list[Point]:
    return [
        Point(f"2026-10-01T{i // 60:02d}:{i % 60:02d}:00", f"c{i}", v, None, "unchanged") for i, v in enumerate(values)
    ]


@given(VALUES, st.sampled_from(["s", "B", "1"]))
def test_everything_stands_inside_the_drawing(values: list[float], unit: str) -> None:
    """Marks, ticks and levels of any history lie between 0 and 100 %."""
    drawn = chart(_points(values), unit, "x", accepted=5.0, limit=5.5, budget=6.0)
    if drawn is None:
        assert not any(map(math.isfinite, values))
        return
    levels = (drawn.baseline, drawn.threshold, drawn.budget, *drawn.y_ticks)
    heights = [float(place.y) for place in (*drawn.marks, *levels) if place]
    assert all(0 <= y <= 100 for y in heights)
    assert all(0 <= float(place.x) <= 100 for place in (*drawn.marks, *drawn.x_ticks))
    assert "nan" not in drawn.path


@given(VALUES, st.integers(1, 100))
def test_thinning_keeps_ends_and_extremes(values: list[float], limit: int) -> None:
    """A thinned trend keeps its first, last, smallest and largest value, in order, and is about as short as asked."""
    points = _points(values)
    kept = thin(points, limit)
    assert kept == sorted(set(kept))
    assert len(kept) <= max(1.5 * limit, 5)
    finite = [v for v in values if math.isfinite(v)]
    if finite:
        assert {min(finite), max(finite)} <= {values[i] for i in kept}
        assert {0, len(values) - 1} <= set(kept)


def test_gaps_lift_the_pen() -> None:
    """A run without a number interrupts the line instead of bending it."""
    drawn = chart(_points([1.0, 1.0, math.nan, 1.0, 1.0]), "s", "x")
    assert drawn.path.count("M") == 2
    assert len(drawn.marks) == 4
    assert drawn.remarks == ("1 run gave no number",)


def test_one_run_is_a_dot() -> None:
    """A history of one run is drawn as a dot and said to be one."""
    drawn = chart(_points([1.0]), "s", "x")
    assert drawn.path.endswith("h0")
    assert [mark.x for mark in drawn.marks] == ["50"]
    assert drawn.remarks == ("one run so far: a trend needs more",)
    assert spark(_points([1.0]), "s").label == "1 run between 1.00 s and 1.00 s"


def test_nothing_is_drawn_of_nothing() -> None:
    """No history, or one without numbers, gives no drawing."""
    assert chart([], "s", "x") is None
    assert spark(_points([math.nan]), "s") is None


def test_small_noise_looks_small() -> None:
    """A trend within 1 % fills only a small part of the height."""
    heights = [float(mark.y) for mark in chart(_points([1.0, 1.01, 1.0]), "s", "x").marks]
    assert max(heights) - min(heights) < 10


def test_special_verdicts_have_a_sign() -> None:
    """A mark of a run that was not plain carries its verdict's sign; unknown words of a newer version carry none."""
    points = _points([1.0, 1.0, 1.0])
    words = ["regressed", "unchanged", "word of the future"]
    marks = chart([replace(p, verdict=w) for p, w in zip(points, words, strict=True)], "s", "x").marks
    assert [mark.sign for mark in marks] == ["▲", "", ""]
    assert marks[2].style == "v-none"
    assert marks[0].title == "2026-10-01 00:00 · c0 · 1.00 s · regressed"


def test_far_budget_does_not_flatten_the_trend() -> None:
    """A budget far above the values is named and not drawn; a near one is drawn."""
    far = chart(_points([1.0, 1.1]), "s", "x", budget=100.0)
    assert far.budget is None
    assert far.remarks == ("the budget lies far above this chart",)
    assert chart(_points([1.0, 1.1]), "s", "x", budget=1.5).budget.text == "budget 1.50 s"


@pytest.mark.parametrize(
    ("low", "high", "unit", "first", "step"),
    [
        (0.9e-3, 1.1e-3, "s", 0.9e-3, 5e-5),
        (2.0 * 2**20, 4.0 * 2**20, "B", 2.0 * 2**20, 2**19),
        (2.8, 3.2, "1", 3.0, 1.0),
    ],
)
def test_ticks_are_round(low, high, unit, first, step) -> None:
    """Ticks are round in their unit; there is no half of an allocation."""
    ticks = nice_ticks(low, high, unit)
    assert ticks[0] == pytest.approx(first)
    assert all(b - a == pytest.approx(step) for a, b in pairwise(ticks))


def test_times_are_shown_to_the_minute() -> None:
    """An ISO time loses its T and its seconds."""
    assert when("2026-11-20T09:41:07+00:00") == "2026-11-20 09:41"
