"""Changes of level in monitored series: times instead of places, and the engine's errors."""

import math
import random
from dataclasses import FrozenInstanceError

import pytest

from engine_opt import InputError, InsufficientData
from engine_opt.monitoring.performance_analytics import changes
from pytest_pe_perf.judge.changepoint import level_changes


def points(*levels, seed=0, length=40):
    rng = random.Random(seed)
    values = [level * math.exp(rng.gauss(0, 0.01)) for level in levels for _ in range(length)]
    return [(1000.0 + 10.0 * place, value) for place, value in enumerate(values)]


def test_a_change_is_told_by_its_time():
    (change,) = changes(points(2.0, 2.2))
    assert (change.index, change.time, change.settled) == (40, 1400.0, True)
    assert (change.before, change.after) == pytest.approx((2.0, 2.2), rel=0.01)
    assert change.low < 1.10 < change.high
    assert change.p < 1e-6


def test_the_gates_histories_get_the_same_answer():
    series = points(2.0, 2.2, 1.9)
    (up, down), expected = changes(series), level_changes([value for _, value in series])
    for change, each in zip((up, down), expected, strict=True):
        assert (change.index, change.before, change.after) == (each.index, each.before, each.after)
        assert (change.ratio, change.low, change.high) == (each.ratio, each.low, each.high)
        assert (change.p, change.settled) == (each.p, each.settled)


def test_another_machine_is_no_change():
    assert changes(points(2.0, 3.0), segments=["old"] * 40 + ["new"] * 40) == ()


def test_values_that_are_not_all_positive_have_no_ratio():
    (change,) = changes([(time, value - 2.1) for time, value in points(2.0, 2.5)])
    assert (change.index, change.ratio, change.low, change.high) == (40, None, None, None)


def test_a_steady_series_has_none():
    assert changes(points(2.0)) == ()
    assert changes([(0.0, 1.0)]) == ()


def test_bad_input_is_refused_by_name():
    with pytest.raises(InputError, match=r"points\[3\]\.value"):
        changes([*points(2.0)[:3], (5000.0, math.nan)])
    with pytest.raises(InputError, match="times must ascend"):
        changes([*points(2.0), (0.0, 1.0)])
    with pytest.raises(InputError, match=r"^segments=2 was refused: each of the 40 points needs a label"):
        changes(points(2.0), segments="ab")
    with pytest.raises(InsufficientData, match="1 points are needed, 0 seen"):
        changes([])


def test_a_change_cannot_be_changed():
    (change,) = changes(points(2.0, 2.2))
    with pytest.raises(FrozenInstanceError):
        change.time = 0.0


def test_points_may_come_from_a_generator():
    assert changes(each for each in points(2.0, 2.2)) == changes(points(2.0, 2.2))
