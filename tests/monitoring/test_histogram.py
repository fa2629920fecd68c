"""Histograms: quantiles against sorted lists and HdrHistogram, sums that add up, and a plain form that comes back."""

import json
import random
import sys
from dataclasses import FrozenInstanceError
from math import ceil, fsum, inf, nan, nextafter

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import InputError, InsufficientData
from engine_opt.monitoring.histogram import LARGEST, Histogram, HistogramRecorder, bounds

LOWEST, HIGHEST = 1e-6, 1e6
ERROR = 0.01

few = settings(max_examples=60, deadline=None)
inside = st.floats(LOWEST, HIGHEST)
anything = st.floats(0.0, LARGEST)
whole = st.lists(st.integers(0, 10**7).map(float), max_size=40)  # whose sums need no rounding
shares = st.floats(0.0, 1.0)


def histogram(values, lowest=LOWEST, highest=HIGHEST):
    recorder = HistogramRecorder(lowest=lowest, highest=highest)
    for value in values:
        recorder.record(value)
    return recorder.value()


def nearest_rank(values, share):
    """The definition: the least value that at least a share of all do not exceed."""
    return sorted(values)[max(ceil(share * len(values)), 1) - 1]


# Quantiles


@few
@given(st.lists(inside, min_size=1, max_size=60), st.integers(0, 60))
def test_a_quantile_is_within_one_percent_of_the_value_of_that_rank(values, rank):
    rank = min(rank, len(values))
    expected = sorted(values)[max(rank, 1) - 1]
    assert histogram(values).quantile(rank / len(values)) == pytest.approx(expected, rel=ERROR)


@few
@given(st.lists(inside, min_size=1, max_size=60), shares)
def test_a_share_between_two_ranks_is_rounded_up(values, share):
    assert histogram(values).quantile(share) == pytest.approx(nearest_rank(values, share), rel=ERROR)


@few
@given(st.lists(inside | st.just(0.0) | st.just(LARGEST), min_size=1, max_size=30), st.lists(shares, max_size=5))
def test_several_quantiles_at_once_are_those_of_each_share(values, several):
    held = histogram(values)
    assert held.quantiles(several) == tuple(held.quantile(share) for share in several)
    with pytest.raises(InputError, match="share"):
        held.quantiles([0.5, 1.5])


def test_a_share_of_a_count_that_floats_make_a_hair_too_large_is_still_that_rank():
    assert 0.07 * 100 > 7
    assert histogram(range(1, 101)).quantile(0.07) == pytest.approx(7, rel=ERROR)


@pytest.mark.parametrize("shape", ["lognormal", "uniform", "pareto", "two-peaks"])
def test_quantiles_are_those_of_hdrhistogram(shape):
    rng = random.Random(7)
    draw = {
        "lognormal": lambda: rng.lognormvariate(6, 1.5),
        "uniform": lambda: rng.uniform(1, 100_000),
        "pareto": lambda: 10 * rng.paretovariate(1.2),
        "two-peaks": lambda: rng.gauss(100, 5) if rng.random() < 0.98 else rng.gauss(50_000, 500),
    }[shape]
    values = [min(max(int(draw()), 1), 1_000_000) for _ in range(10_000)]
    oracle = HdrHistogram(1, 1_000_000, 3)
    for value in values:
        oracle.record_value(value)
    ours = histogram(values)
    for rank in (1, 10, 100, 2_500, 5_000, 7_500, 9_000, 9_900, 9_990, 9_999, 10_000):
        theirs = oracle.get_value_at_percentile(rank / 100)
        assert ours.quantile(rank / 10_000) == pytest.approx(theirs, rel=ERROR + 1e-3)  # theirs has three digits
    assert (ours.count, ours.maximum, ours.minimum) == (oracle.get_total_count(), max(values), min(values))


@few
@given(st.lists(anything, min_size=1, max_size=40), shares, shares)
def test_quantiles_ascend_from_the_minimum_to_the_maximum(values, one, two):
    found = histogram(values)
    assert found.quantile(0.0) == found.minimum == min(values)
    assert found.quantile(1.0) == found.maximum == max(values)
    assert found.minimum <= found.quantile(min(one, two)) <= found.quantile(max(one, two)) <= found.maximum


def test_outside_of_the_range_the_extremes_are_the_answer():
    found = histogram([0.0, 1e-9, 1.0, 1e8, 1e9])
    assert (found.below, found.above, found.count) == (2, 2, 5)
    assert [found.quantile(share) for share in (0.2, 0.4, 0.8, 1.0)] == [0.0, 0.0, 1e9, 1e9]
    assert found.quantile(0.6) == pytest.approx(1.0, rel=ERROR)


@few
@given(inside)
def test_every_value_lies_in_its_bucket(value):
    ((index, count),) = histogram([value]).buckets
    start, end = bounds(index)
    assert count == 1
    assert start * (1 - 1e-13) <= value <= end * (1 + 1e-13)


@pytest.mark.parametrize("value", [LOWEST, HIGHEST, 1.0, nextafter(1.0, 0.0)])
def test_the_ends_of_the_range_belong_to_it(value):
    found = histogram([value])
    assert (found.below, found.above, len(found.buckets)) == (0, 0, 1)


@pytest.mark.parametrize(("value", "below", "above"), [(nextafter(LOWEST, 0), 1, 0), (nextafter(HIGHEST, inf), 0, 1)])
def test_what_is_next_to_the_range_does_not_belong_to_it(value, below, above):
    found = histogram([value])
    assert (found.below, found.above, found.buckets) == (below, above, ())


@pytest.mark.parametrize("share", [-0.01, 1.01, nan, True, "0.5", None])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(InputError, match="share"):
        histogram([1.0]).quantile(share)


def test_of_nothing_there_is_no_quantile():
    empty = histogram([])
    assert (empty.count, empty.total, empty.minimum, empty.maximum) == (0, 0.0, None, None)
    with pytest.raises(InsufficientData, match="1 values are needed, 0 seen"):
        empty.quantile(0.5)


# What is recorded


@few
@given(st.lists(st.floats(0.0, 1e9), max_size=60))
def test_count_sum_and_extremes_are_exact(values):
    found = histogram(values)
    assert found.count == len(values)
    assert found.total == pytest.approx(fsum(values), rel=1e-12)
    assert (found.minimum, found.maximum) == ((min(values), max(values)) if values else (None, None))


@pytest.mark.parametrize("value", [nan, inf, -inf, -1e-300, 1.1e150, None, "1", True, 1j, 10**400])
def test_what_is_no_value_is_refused_and_not_counted(value):
    recorder = HistogramRecorder(lowest=1, highest=2)
    with pytest.raises(InputError, match="value"):
        recorder.record(value)
    assert recorder.value() == Histogram(1.0, 2.0)


@pytest.mark.parametrize("value", [3, np.float64(3.0), np.int64(3)])
def test_numbers_of_other_kinds_become_floats(value):
    found = histogram([value])
    assert found == histogram([3.0])
    assert {type(each) for each in (found.total, found.minimum, found.maximum)} == {float}


def test_a_negative_zero_is_a_zero():
    assert str(histogram([-0.0]).minimum) == "0.0"


@pytest.mark.parametrize(
    ("lowest", "highest"),
    [(0, 1), (-1, 1), (1, 1), (2, 1), (1, 2.0**64 * 1.01), (nan, 1), (1, inf), (True, 2), ("1", 2), (1e-151, 1)],
)
def test_what_is_no_range_is_refused(lowest, highest):
    with pytest.raises(InputError, match=r"lowest|highest"):
        HistogramRecorder(lowest=lowest, highest=highest)


def test_memory_is_fixed_and_small():
    """35 buckets of 4 bytes for each doubling, whatever is recorded."""
    recorder = HistogramRecorder(lowest=1e-7, highest=1e4)
    rng = random.Random(1)
    before = sys.getsizeof(recorder._counts)
    for _ in range(20_000):
        recorder.record(rng.lognormvariate(-7, 4))
    assert sys.getsizeof(recorder._counts) == before <= 5_300
    assert sys.getsizeof(HistogramRecorder(lowest=1, highest=2.0**64)._counts) < 9_200


def test_a_bucket_counts_beyond_four_bytes():
    recorder = HistogramRecorder(lowest=1, highest=1024)
    recorder._counts[0] = 2**32 - 1
    for value in (1.0, 1.0, 1000.0):
        recorder.record(value)
    assert [count for _, count in recorder.value().buckets] == [2**32 + 1, 1]


def test_a_histogram_is_of_its_moment_and_cannot_be_changed():
    recorder = HistogramRecorder(lowest=1, highest=10)
    recorder.record(5.0)
    before = recorder.value()
    recorder.record(6.0)
    assert before.count == 1
    with pytest.raises(FrozenInstanceError):
        before.below = 3
    assert hash(before) == hash(histogram([5.0], 1, 10))


# Sums and differences


@few
@given(whole, whole)
def test_the_sum_of_two_is_the_histogram_of_all_values(one, two):
    assert histogram(one) + histogram(two) == histogram(one + two)


@few
@given(whole, whole, whole)
def test_the_order_of_adding_does_not_matter(one, two, three):
    a, b, c = map(histogram, (one, two, three))
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + histogram([]) == a


@few
@given(st.lists(anything, max_size=40), st.lists(anything, max_size=40), shares)
def test_of_any_values_only_the_last_digits_of_the_total_depend_on_the_order(one, two, share):
    summed, joined = histogram(one) + histogram(two), histogram(one + two)
    assert {**summed.to_plain(), "total": 0} == {**joined.to_plain(), "total": 0}
    assert summed.total == pytest.approx(joined.total, rel=1e-12)
    if one or two:
        assert summed.quantile(share) == joined.quantile(share)


@few
@given(whole, whole)
def test_what_came_since_is_what_was_recorded_since(first, later):
    before, after, expected = histogram(first), histogram(first + later), histogram(later)
    found = after.since(before)
    assert (found.buckets, found.below, found.above, found.total) == (
        expected.buckets,
        expected.below,
        expected.above,
        expected.total,
    )
    if later:
        assert after.minimum <= found.minimum <= found.maximum <= after.maximum
    else:
        assert found == histogram([])


@few
@given(st.lists(inside, min_size=1, max_size=30), st.lists(inside, min_size=1, max_size=30), shares)
def test_quantiles_of_what_came_since_are_as_exact_as_any(first, later, share):
    found = histogram(first + later).since(histogram(first))
    assert found.quantile(share) == pytest.approx(nearest_rank(later, share), rel=ERROR)
    assert found.minimum == pytest.approx(min(later), rel=ERROR)
    assert found.maximum == pytest.approx(max(later), rel=ERROR)


def test_new_extremes_since_are_exact():
    found = histogram([5.0, 3.3, 9.9]).since(histogram([5.0]))
    assert (found.minimum, found.maximum) == (3.3, 9.9)


def test_since_outside_of_the_range_the_extremes_are_its_ends_unless_they_are_new():
    above = histogram([1e-9, 1e9, 1e8]).since(histogram([1e-9, 1e9]))
    assert (above.count, above.minimum, above.maximum) == (1, HIGHEST, 1e9)
    below = histogram([1e-9, 1e9, 1e-8]).since(histogram([1e-9, 1e9]))
    assert (below.count, below.minimum, below.maximum) == (1, 1e-9, LOWEST)


@pytest.mark.parametrize("earlier", [[1.0, 1.0], [2.0], [1e-9], [1e9], [1.0, 2.0]])
def test_what_is_no_earlier_state_is_refused(earlier):
    with pytest.raises(InputError, match="no earlier state"):
        histogram([1.0]).since(histogram(earlier))


@pytest.mark.parametrize("other", [histogram([1.0], 1e-6, 1e5), histogram([1.0], 1e-5, 1e6), 1.0, None])
def test_only_histograms_of_one_range_add_up(other):
    with pytest.raises(InputError, match="other"):
        histogram([1.0]) + other
    with pytest.raises(InputError, match="earlier"):
        histogram([1.0]).since(other)


# The plain form


@few
@given(st.lists(anything, max_size=40))
def test_the_plain_form_comes_back_from_json(values):
    found = histogram(values)
    assert Histogram.from_plain(json.loads(json.dumps(found.to_plain(), allow_nan=False))) == found


def test_the_plain_form_lists_what_is_there():
    plain = histogram([1.0, 1.0, 4.0, 0.0]).to_plain()
    assert plain == {
        "schema": 1,
        "lowest": LOWEST,
        "highest": HIGHEST,
        "buckets": [[0, 2], [70, 1]],
        "below": 1,
        "above": 0,
        "total": 6.0,
        "minimum": 0.0,
        "maximum": 4.0,
    }


def test_ranges_of_whole_numbers_come_back_as_floats():
    plain = {**histogram([2.0], 1.0, 4.0).to_plain(), "lowest": 1, "highest": 4, "total": 2}
    assert Histogram.from_plain(plain) == histogram([2.0], 1.0, 4.0)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"schema": 2}, "schema"),
        ({"schema": True}, "schema"),
        ({"lowest": 0}, "lowest"),
        ({"highest": 1e-7}, "highest"),
        ({"buckets": None}, "buckets"),
        ({"buckets": [3]}, r"buckets\[0\]"),
        ({"buckets": [[0, 1, 2]]}, r"buckets\[0\]"),
        ({"buckets": [[0, 0]]}, r"buckets\[0\]"),
        ({"buckets": [[0.0, 1]]}, r"buckets\[0\]"),
        ({"buckets": [[0, True]]}, r"buckets\[0\]"),
        ({"buckets": [[0, 1], [0, 1]]}, r"buckets\[1\]"),
        ({"buckets": [[9_999, 1]]}, r"buckets\[0\]"),
        ({"below": -1}, "below"),
        ({"above": 1.0}, "above"),
        ({"below": 1}, "histogram"),
        ({"above": 1}, "histogram"),
        ({"total": -1.0}, "total"),
        ({"total": nan}, "total"),
        ({"minimum": None}, "minimum"),
        ({"minimum": 5.0}, "maximum"),
        ({"maximum": inf}, "maximum"),
        ({"buckets": []}, "holds no value"),
        ({"more": 1}, "table"),
    ],
)
def test_what_is_no_plain_form_is_refused(changed, named):
    plain = histogram([1.0, 2.0]).to_plain()
    with pytest.raises(InputError, match=named):
        Histogram.from_plain({**plain, **changed})


@pytest.mark.parametrize("plain", [None, [], "{}", {}, 1])
def test_what_is_no_table_is_refused(plain):
    with pytest.raises(InputError, match="table"):
        Histogram.from_plain(plain)
