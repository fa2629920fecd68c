"""Location, spread and interval, against numpy, scipy and their definitions."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import integrate, stats

from pytest_pe_perf.judge.estimate import (
    FEW_READINGS,
    LAYOUT_SPREAD,
    MINIMUM_DEVIATION,
    ONE_READING_SPREAD,
    SLOW,
    Z95,
    Z95_ONE_SIDED,
    error_of_minimum,
    lower_bound,
    minimum,
    normalised,
    quantile,
    ratio_of_minima,
    spread,
)

# So many readings behind a minimum that their number limits nothing.
MANY = 10**12
TIMES = st.floats(1e-9, 1e4)
PROCESSES = st.lists(st.tuples(TIMES, TIMES), min_size=1, max_size=8)


def test_normal_quantiles_are_scipys():
    """The two constants are the normal distribution's."""
    assert pytest.approx(stats.norm.ppf(0.975), rel=1e-15) == Z95
    assert pytest.approx(stats.norm.ppf(0.95), rel=1e-15) == Z95_ONE_SIDED


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50), st.floats(0, 1))
def test_quantile_is_numpys(values, share):
    """The quantile is numpy's default, Hyndman and Fan's type 7."""
    expected = np.quantile(values, share)
    assert quantile(sorted(values), share) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=50), st.floats(0, 1))
@example([1.1, 1.1, 1.1], 0.3)
def test_quantile_stays_between_the_extremes(values, share):
    """No rounding carries a quantile out of the data."""
    assert min(values) <= quantile(sorted(values), share) <= max(values) * (1 + 1e-15)


@pytest.mark.parametrize(("share", "expected"), [(0, 1.0), (0.25, 2.0), (0.5, 3.0), (0.9, 4.6), (1, 5.0)])
def test_quantiles_of_five_numbers(share, expected):
    """Quantiles of 1 to 5 are what one expects."""
    assert quantile([1.0, 2.0, 3.0, 4.0, 5.0], share) == pytest.approx(expected)


def test_quantile_of_nothing_is_an_error():
    """An empty sequence has no quantile."""
    with pytest.raises(ValueError, match="at least one"):
        quantile([], 0.5)


def plain_spread(values):
    """The definition of the spread: numpy's sample deviation of the logarithms near their median."""
    logs = np.log(values)
    near = logs[np.abs(logs - np.median(logs)) <= math.log(SLOW)]
    return float(np.std(near, ddof=1)) if len(near) > 1 else 0.0


@given(st.lists(st.floats(0.9, 1.05), min_size=2, max_size=20), st.floats(1e-9, 1e4))
def test_spread_of_undisturbed_processes_is_the_standard_deviation(shares, unit):
    """Where no process is slow, the spread is the sample standard deviation of the logarithm, in any unit."""
    values = [share * unit for share in shares]
    assert spread(values, MANY) == pytest.approx(np.std(np.log(values), ddof=1), rel=1e-6, abs=1e-6)


@given(st.lists(st.floats(0.5, 2), min_size=1, max_size=12))
def test_spread_is_its_definition(values):
    """The spread agrees with its definition written in numpy."""
    logs = np.log(values)
    distances = np.abs(np.abs(logs - np.median(logs)) - math.log(SLOW))
    if distances.min() > 1e-9:
        assert spread(values, MANY) == pytest.approx(plain_spread(values), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("slow", [1.4, 1.6, 1 / 1.4, 1 / 1.6, 5.0])
def test_a_lone_slow_process_does_not_widen_the_spread(slow):
    """In one of twenty processes the value or the reference is slow: it leaves the spread of the others alone."""
    for readings in (FEW_READINGS, MANY):
        assert spread([1.0, 1.02, slow], readings) == pytest.approx(spread([1.0, 1.02], readings))


@pytest.mark.parametrize("slow", [1.4, 1 / 1.6, 5.0])
def test_with_few_readings_a_slow_process_is_an_ordinary_one(slow):
    """Where a process reads a few times only, none is left out of the spread."""
    values = [1.0, 1.02, slow]
    plain = statistics.stdev(map(math.log, values))
    assert spread(values, FEW_READINGS - 1) == pytest.approx(max(plain, ONE_READING_SPREAD / 3))
    assert spread(values, 1) == pytest.approx(max(plain, ONE_READING_SPREAD))


@given(st.lists(st.floats(0.9, 1.05), max_size=6), st.integers(1, 100))
def test_few_readings_never_claim_to_know_more_than_many(values, readings):
    """The spread is at least one reading's over the square root of their number, and falls with it."""
    assert spread(values, readings) >= ONE_READING_SPREAD / math.sqrt(readings)
    assert spread(values, readings + 1) <= spread(values, readings)


def test_no_reading_is_taken_for_one():
    """A sample that says it has no readings divides nothing by zero."""
    assert spread([1.0, 1.0], 0) == ONE_READING_SPREAD


def test_from_36_readings_on_the_layout_counts():
    """The layout's spread takes over where the readings' own has become smaller."""
    assert pytest.approx(LAYOUT_SPREAD) == ONE_READING_SPREAD / math.sqrt(36)


@pytest.mark.parametrize("values", [[], [1.0], [3.0, 3.0], [1.0, 1.5, 0.6], [1e-9, 1.0]])
def test_spread_of_too_little_is_the_least(values):
    """Nothing, one process, equal ones, or none near another tell no spread: what the readings allow to claim is left."""
    assert spread(values, 100) == ONE_READING_SPREAD / 10


@pytest.mark.parametrize("n", range(1, len(MINIMUM_DEVIATION) + 1))
def test_deviation_of_the_minimum_is_the_order_statistics(n):
    """The table holds the standard deviation of the smallest of n standard normal numbers."""

    def moment(power):
        return integrate.quad(
            lambda x: x**power * n * stats.norm.pdf(x) * stats.norm.sf(x) ** (n - 1), -12, 12, epsabs=1e-12
        )[0]

    assert MINIMUM_DEVIATION[n - 1] == pytest.approx(math.sqrt(moment(2) - moment(1) ** 2), abs=6e-5)


@given(st.floats(0, 1), st.integers(1, 60))
def test_more_processes_never_widen_the_error(deviation, n):
    """The error falls with the processes, grows with their spread, and never claims less than the layout's."""
    error = error_of_minimum(deviation, n)
    assert error_of_minimum(deviation, n + 1) <= error
    assert error_of_minimum(deviation + 0.01, n) >= error
    assert error >= LAYOUT_SPREAD * MINIMUM_DEVIATION[-1]


def test_normalised_divides_by_the_reference_where_there_is_one():
    """A time is counted in runs of the reference workload."""
    assert normalised(6.0, 2.0) == 3.0
    assert normalised(6.0, None) == 6.0


def test_minimum_takes_value_and_reference_apart():
    """The fastest value and the fastest reference may come from different processes."""
    assert minimum([(3.0, 1.0), (2.0, 1.5)]) == (2.0, 1.0)


@pytest.mark.parametrize("processes", [[(3.0, None)], [(3.0, 1.0), (4.0, None)], [(3.0, None), (4.0, 1.0)]])
def test_minimum_has_no_reference_unless_every_process_has(processes):
    """A reference that only some processes measured is none."""
    assert minimum(processes) == (3.0, None)


@given(st.tuples(TIMES, TIMES), st.floats(0, 1), st.integers(3, 10), PROCESSES, st.integers(1, 1000))
def test_ratio_is_its_definition(base, base_spread, base_n, head, readings):
    """The ratio is head's minima over the base's, each divided by the reference's."""
    estimate = ratio_of_minima(base, base_spread, base_n, head, readings)
    value, reference = min(v for v, _ in head), min(r for _, r in head)
    assert estimate.ratio == pytest.approx(value / reference / (base[0] / base[1]), rel=1e-12)
    assert estimate.low <= estimate.ratio <= estimate.high
    assert math.log(estimate.high / estimate.low) == pytest.approx(2 * Z95 * estimate.error, rel=1e-9)
    shares = [v / r for v, r in head]
    deviation = max(LAYOUT_SPREAD, base_spread, spread(shares, readings))
    assert estimate.error == pytest.approx(
        math.hypot(
            deviation * MINIMUM_DEVIATION[len(head) - 1],
            max(LAYOUT_SPREAD, base_spread) * MINIMUM_DEVIATION[base_n - 1],
        )
    )


@given(st.tuples(TIMES, TIMES), PROCESSES)
def test_without_a_reference_seconds_are_compared(base, head):
    """Where a side has no reference, the ratio is one of seconds."""
    seconds = min(v for v, _ in head) / base[0]
    assert ratio_of_minima((base[0], None), 0.0, 3, head, MANY).ratio == pytest.approx(seconds)
    assert ratio_of_minima(base, 0.0, 3, [(v, None) for v, _ in head], MANY).ratio == pytest.approx(seconds)


@pytest.mark.parametrize("deviation", [0.01, 0.02, 0.025, 0.05])
def test_interval_holds_the_truth_as_often_as_it_says(deviation):
    """The 95 % interval of three processes against three holds the true ratio in at least 93 of 100 draws."""
    random = np.random.default_rng(7)
    draws = np.exp(random.normal(0, deviation, (2000, 6)))
    inside = 0
    for draw in draws.tolist():
        estimate = ratio_of_minima(
            (min(draw[:3]), 1.0), spread(draw[:3], MANY), 3, [(value * 1.3, 1.0) for value in draw[3:]], MANY
        )
        inside += estimate.low <= 1.3 <= estimate.high
    assert inside / len(draws) > 0.93


def test_lower_bound_is_the_one_of_the_minimum():
    """A time's lower bound lies below its smallest value by 1.96 standard errors of a minimum."""
    assert lower_bound([2.0], MANY) == pytest.approx(2.0 * math.exp(-Z95 * LAYOUT_SPREAD))
    assert lower_bound([2.0, 2.2, 2.1], MANY) == pytest.approx(
        2.0 * math.exp(-Z95 * statistics.stdev(map(math.log, [2.0, 2.2, 2.1])) * MINIMUM_DEVIATION[2])
    )


@given(st.lists(TIMES, min_size=1, max_size=8), st.integers(1, 100))
def test_lower_bound_is_below_everything_seen(values, readings):
    """The bound is positive, below every value, and lower with fewer readings."""
    assert 0 < lower_bound(values, readings) <= lower_bound(values, readings + 1) < min(values)
