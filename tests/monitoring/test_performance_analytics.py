"""Analyses of monitored series: against SciPy, against plain definitions, and how often they are wrong."""

import contextlib
import importlib.util
import io
import math
import random
import re
import subprocess
import sys
from collections import Counter
from dataclasses import FrozenInstanceError
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine_opt import InputError, InsufficientData
from engine_opt.monitoring.analytics import _series as series
from engine_opt.monitoring.analytics.trend import MOST_POINTS, mann_kendall, pair_slopes, sen_interval
from engine_opt.monitoring.performance_analytics import (
    ForecastVerdict,
    ImpactVerdict,
    Limit,
    Scale,
    TrendVerdict,
    anomalies,
    forecast,
    impact,
    paired_impact,
    rates,
    rolling_quantiles,
    trend,
)

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "optimization" / "error_rates.py"
PAGE = ROOT / "docs" / "optimization" / "analytics.md"
DAY = 86_400.0

few = settings(max_examples=40, deadline=None)
# Whole numbers of which many are equal: ties, and sums without rounding.
counts = st.integers(-50, 50)
gaps = st.integers(1, 9)


def at(values, step=10.0, start=1000.0):
    """Return the values as a series with equal steps."""
    return [(start + i * step, value) for i, value in enumerate(values)]


def noise(n, seed=1, scale=1.0):
    rng = random.Random(seed)
    return [rng.gauss(0, scale) for _ in range(n)]


@st.composite
def series_of(draw, least=20, most=40):
    """Draw a series with whole values at whole but uneven seconds."""
    values = draw(st.lists(counts, min_size=least, max_size=most))
    steps = draw(st.lists(gaps, min_size=len(values), max_size=len(values)))
    time, found = 0, []
    for step, value in zip(steps, values, strict=True):
        time += step
        found.append((float(time), float(value)))
    return found


# Windows


@few
@given(series_of(1, 30), st.integers(1, 40), st.lists(st.floats(0, 1), min_size=1, max_size=3))
def test_rolling_quantiles_are_those_of_each_window(points, window, shares):
    found = rolling_quantiles(points, window, shares)
    assert [each.time for each in found] == [time for time, _ in points]
    for (end, _), each in zip(points, found, strict=True):
        inside = [value for time, value in points if end - window < time <= end]
        assert each.held == len(inside)
        assert each.quantiles == pytest.approx(np.quantile(inside, shares), abs=1e-12)


@few
@given(series_of(2, 30), st.integers(1, 40))
def test_rates_are_growth_over_the_seconds_seen(points, window):
    points = [(time, abs(value)) for time, value in points]
    found = {each.time: each for each in rates(points, window)}
    for end, _ in points:
        inside = [(time, value) for time, value in points if end - window <= time <= end]
        assert (end in found) == (len(inside) > 1)
        if len(inside) > 1:
            grown = sum(new - old if new >= old else new for (_, old), (_, new) in pairwise(inside))
            seconds = end - inside[0][0]
            assert (found[end].rate, found[end].seconds) == (pytest.approx(grown / seconds, abs=1e-12), seconds)


def test_a_counter_that_starts_again_keeps_its_rate():
    """100 a minute throughout; started again after the third reading, and read half a minute later."""
    points = [(0, 700), (60, 800), (120, 900), (150, 50), (180, 100), (240, 200)]
    assert [each.rate * 60 for each in rates(points, 60)] == pytest.approx([100] * 5)


def test_a_counter_below_zero_is_refused():
    with pytest.raises(InputError, match=r"points\[1\].value=-1"):
        rates([(0, 5), (1, -1)], 10)


def test_points_too_far_apart_for_the_window_have_no_rate():
    assert rates([(0, 1), (100, 2)], 50) == ()


# Trend: the statistics


@few
@given(series_of(3, 30), st.sampled_from([0.9, 0.99]))
def test_slope_and_interval_are_scipys(points, confidence):
    times, values = zip(*points, strict=True)
    slopes = sorted(pair_slopes(times, values))
    _, variance = mann_kendall(values)
    half = stats.norm.ppf((1 + confidence) / 2) * math.sqrt(variance)
    theirs = stats.theilslopes(values, times, confidence)
    assert series.median(slopes) == pytest.approx(theirs.slope, abs=1e-12)
    assert sen_interval(slopes, half) == pytest.approx((theirs.low_slope, theirs.high_slope), abs=1e-12)


@few
@given(st.lists(counts, min_size=5, max_size=40).filter(lambda values: len(set(values)) > 1))
def test_mann_kendall_is_scipys_with_ties(values):
    s, variance = mann_kendall(values)
    theirs = stats.kendalltau(range(len(values)), values, method="asymptotic")
    assert 2 * stats.norm.sf(abs(s) / math.sqrt(variance)) == pytest.approx(theirs.pvalue, abs=1e-12)
    assert s == sum(np.sign(b - a) for i, a in enumerate(values) for b in values[i + 1 :])


def by_definition(values, confidence):
    """Return p and the interval by the formulas of the module, in NumPy and SciPy; values without ties, 1 s apart."""
    n = len(values)
    i, j = np.triu_indices(n, 1)
    slopes = np.sort((np.array(values)[j] - np.array(values)[i]) / (j - i))
    ranked = stats.rankdata(values - np.median(slopes) * np.arange(n)) - (n + 1) / 2
    r = np.correlate(ranked, ranked, "full")[n - 1 :] / (ranked @ ranked)
    first = min(max((n * r[1] + 2) / (n - 4), 0), 0.99)
    lags = np.arange(1, np.argmax(r <= 0))
    weights = (n - lags) * (n - lags - 1) * (n - lags - 2) / (n * (n - 1) * (n - 2))
    plain = 1 + 2 * np.sum(weights * r[lags])
    unbiased = r[lags] + 2 * plain / n * (1 - r[lags])
    inflated = max((1 + first) / (1 - first), 1 + 2 * np.sum(weights * unbiased))
    deviation, df = math.sqrt(n * (n - 1) * (2 * n + 5) / 18 * inflated), max(n / inflated - 2, 1)
    p = 2 * stats.t.sf((abs(np.sum(np.sign(slopes))) - 1) / deviation, df)
    return p, sen_interval(slopes, stats.t.ppf((1 + confidence) / 2, df) * deviation), n / inflated


@pytest.mark.parametrize(("n", "keeps", "rise"), [(20, 0.0, 1.0), (60, 0.7, 0.0), (130, 0.3, 1.0), (200, 0.95, 5.0)])
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_p_and_interval_are_those_of_the_definition(n, keeps, rise, confidence):
    values = noise(1, n)
    for i, e in enumerate(noise(n - 1, n + 1)):
        values.append(keeps * values[-1] + e + rise * i / n)
    found = trend(at(values, step=1.0), confidence=confidence)
    p, interval, effective = by_definition(values, confidence)
    assert found.p == pytest.approx(p, rel=1e-9)
    assert found.effective_points == pytest.approx(effective)
    assert (found.low.slope, found.high.slope) == pytest.approx(interval)


@few
@given(series_of())
def test_the_trend_is_the_theil_sen_line(points):
    times, values = zip(*points, strict=True)
    theirs = stats.theilslopes(values, times, method="joint")
    found = trend(points)
    assert found.slope == pytest.approx(theirs.slope, abs=1e-12)
    assert found.line.level == pytest.approx(theirs.intercept + theirs.slope * times[-1], abs=1e-9)
    assert found.low.slope <= found.slope <= found.high.slope


@few
@given(st.lists(counts, min_size=6, max_size=40))
def test_ranks_are_scipys_around_zero(values):
    assert series.ranks(values) == pytest.approx(stats.rankdata(values) - (len(values) + 1) / 2)


@pytest.mark.parametrize("r", [0.0, 0.3, 0.9])
def test_the_inflation_of_a_run_is_the_plain_sum(r):
    plain = 1 + 2 * sum((1 - k / 12) * r**k for k in range(1, 12))
    assert series.inflation(r, 12) == pytest.approx(plain)
    assert series.endless_inflation(r) == pytest.approx(series.inflation(r, 1e9))


def test_first_order_autocorrelation_is_put_right_for_its_bias():
    """The mean over many short series of AR(1) with 0.5 is 0.5, where the plain one is far below."""
    rng = random.Random(5)
    plain, corrected = [], []
    for _ in range(2000):
        values = [rng.gauss(0, 1)]
        while len(values) < 30:
            values.append(0.5 * values[-1] + math.sqrt(0.75) * rng.gauss(0, 1))
        centred = np.array(values) - np.mean(values)
        plain.append(series.correlation(centred, 1))
        corrected.append(series.first_order(centred, 1))
    assert np.mean(plain) < 0.42
    assert np.mean(corrected) == pytest.approx(0.5, abs=0.03)


# Trend: what it says


@few
@given(st.integers(0, 10**6), st.sampled_from([-4.0, 0.5, 1e6]), st.floats(-100, 100))
def test_scale_and_shift_of_values_carry_over_to_the_slope(seed, scale, shift):
    points = at(0.1 * (seed % 3 - 1) * i + e for i, e in enumerate(noise(40, seed)))
    one, other = trend(points), trend([(time, scale * value + shift) for time, value in points])
    assert other.slope == pytest.approx(scale * one.slope, rel=1e-6, abs=1e-12)
    assert other.p == pytest.approx(one.p, rel=1e-6)
    flipped = {TrendVerdict.RISING: TrendVerdict.FALLING, TrendVerdict.FALLING: TrendVerdict.RISING}
    assert other.verdict is (flipped.get(one.verdict, one.verdict) if scale < 0 else one.verdict)


@few
@given(series_of(), st.sampled_from([0.125, 1024.0]), st.integers(-1000, 1000))
def test_the_unit_and_the_origin_of_time_do_not_matter(points, unit, origin):
    one, other = trend(points), trend([(unit * time + origin, value) for time, value in points])
    assert (other.verdict, other.p, other.effective_points) == (one.verdict, one.p, one.effective_points)
    assert other.slope * unit == pytest.approx(one.slope, rel=1e-12)
    assert other.line.level == pytest.approx(one.line.level, abs=1e-9)


def test_a_planted_line_is_found_with_its_slope():
    found = trend(at(0.002 * 10 * i + e for i, e in enumerate(noise(150, scale=0.5))))
    assert found.verdict is TrendVerdict.RISING
    assert found.low.slope < 0.002 < found.high.slope
    assert found.p < 1e-6
    assert found.points == 150


def test_noise_has_no_trend():
    found = trend(at(noise(150)))
    assert found.verdict is TrendVerdict.NONE
    assert found.low.slope < 0 < found.high.slope
    assert found.p > 0.01


@pytest.mark.parametrize(
    "curve", [lambda x: math.exp(3 * x), lambda x: 1 - math.exp(-5 * x), lambda x: x**3, lambda x: x]
)
def test_a_curve_that_never_steps_back_rises(curve):
    """However little its residues around a straight line look like noise."""
    rising, falling = (trend(at(sign * curve(i / 100) for i in range(100))) for sign in (1, -1))
    assert (rising.verdict, falling.verdict) == (TrendVerdict.RISING, TrendVerdict.FALLING)
    assert 0 < rising.low.slope <= rising.slope <= rising.high.slope
    assert rising.p <= 2.0**-18


def test_a_sawtooth_has_no_trend():
    """Memory that grows between collections."""
    assert trend(at(i % 40 for i in range(160))).verdict is TrendVerdict.NONE


def test_all_values_equal_is_no_trend():
    found = trend(at([5.0] * 30))
    assert (found.verdict, found.p, found.slope, found.line.level) == (TrendVerdict.NONE, 1.0, 0.0, 5.0)
    assert found.low.slope == found.high.slope == 0.0


def test_autocorrelated_points_count_for_less():
    rng = random.Random(3)
    values = [0.0]
    while len(values) < 200:
        values.append(0.8 * values[-1] + rng.gauss(0, 1))
    assert trend(at(values)).effective_points < 60
    assert trend(at(noise(200))).effective_points > 150


@pytest.mark.parametrize("n", [201, 399, 1234])
def test_a_long_series_is_thinned_to_medians_of_neighbours(n):
    points = at(0.001 * i + e for i, e in enumerate(noise(n)))
    cuts = [i * n // MOST_POINTS for i in range(MOST_POINTS + 1)]
    thin = [tuple(np.median(points[a:b], axis=0)) for a, b in pairwise(cuts)]
    long, short = trend(points), trend(thin)
    assert (long.p, long.slope, long.effective_points) == (short.p, short.slope, short.effective_points)
    assert (long.points, short.points) == (n, MOST_POINTS)
    assert long.effective_points <= MOST_POINTS


def test_thinning_keeps_the_slope():
    found = trend(at(0.001 * i + e for i, e in enumerate(noise(20_000))))
    assert found.low.slope < 0.0001 < found.high.slope
    assert found.high.slope - found.low.slope < 1e-6


# Trend: cycles


def cycle(days, per_day, slope=0.0, height=5.0, seed=1):
    """Return a daily wave with noise of 1, on a line that rises by `slope` a day."""
    wave = (height * math.sin(2 * math.pi * i / per_day) + slope * i / per_day for i in range(days * per_day))
    values = [value + e for value, e in zip(wave, noise(days * per_day, seed), strict=True)]
    return at(values, step=DAY / per_day)


def test_a_rise_inside_a_daily_cycle_is_found_when_the_period_is_given():
    points = cycle(4, 48, slope=1.0)
    assert trend(points).verdict is TrendVerdict.NONE
    found = trend(points, period=DAY)
    assert found.verdict is TrendVerdict.RISING
    assert found.low.slope < 1 / DAY < found.high.slope


@pytest.mark.parametrize("period", [None, DAY])
def test_a_daily_cycle_alone_is_no_trend(period):
    for seed in range(20):
        assert trend(cycle(4, 48, seed=seed), period=period).verdict is TrendVerdict.NONE


@pytest.mark.parametrize(("start", "period"), [(0.0, DAY), (1e9, 0.7)])
def test_with_a_period_only_points_at_the_same_time_of_it_are_compared(start, period):
    """Without noise the slope is that of the line, whatever the wave, and however times are rounded."""
    points = [(start + i * period / 8, 100 * math.sin(math.pi * i / 4) + 3.0 * i / 8) for i in range(40)]
    found = trend(points, period=period)
    assert found.slope * period == pytest.approx(3.0, rel=1e-5)
    assert found.verdict is TrendVerdict.RISING


def test_gaps_and_uneven_points_do_not_hide_a_trend_in_a_cycle():
    rng = random.Random(8)
    points = [(time + rng.uniform(0, 500), value) for time, value in cycle(6, 48, slope=1.0) if rng.random() < 0.7]
    found = trend(points, period=DAY)
    assert found.verdict is TrendVerdict.RISING
    assert found.low.slope < 1 / DAY < found.high.slope


def test_a_point_a_period_is_enough():
    found = trend([(i * DAY, float(i)) for i in range(30)], period=DAY)
    assert found.verdict is TrendVerdict.RISING
    assert found.slope * DAY == pytest.approx(1.0)


def test_too_few_and_too_many_periods_are_told():
    points = cycle(2, 48)
    with pytest.raises(InsufficientData, match="3 periods are needed, 2 seen"):
        trend(points, period=DAY)
    with pytest.raises(InputError, match=r"period=60\.0 was refused: the series goes over more than 200"):
        trend(points, period=60.0)


def test_points_that_are_never_at_the_same_time_of_a_period_are_too_few():
    """Twenty points in one part of the first day, and one each on two others."""
    points = [(float(i), 1.0) for i in range(20)] + [(1.4 * DAY, 1.0), (2.7 * DAY, 1.0)]
    with pytest.raises(InsufficientData, match="parts of periods with a point"):
        trend(points, period=DAY)


# Anomalies


@few
@given(series_of(), st.sampled_from([-2.0, 0.25]), st.integers(-100, 100))
def test_anomalies_do_not_depend_on_scale_and_shift(points, scale, shift):
    one, other = anomalies(points), anomalies([(time, scale * value + shift) for time, value in points])
    assert [each.time for each in one.found] == [each.time for each in other.found]
    assert [each.z for each in other.found] == pytest.approx([math.copysign(1, scale) * each.z for each in one.found])


@few
@given(series_of())
def test_the_scale_is_scipys_median_deviation_or_the_mean_deviation(points):
    values = np.array([value for _, value in points])
    deviation = stats.median_abs_deviation(values, scale="normal")
    mean = np.mean(np.abs(values - np.median(values)))
    found = anomalies(points)
    assert found.centre == np.median(values)
    if deviation > 0:
        assert (found.scale, found.deviation) == (Scale.MEDIAN_DEVIATION, pytest.approx(deviation))
    else:
        assert found.deviation == pytest.approx(math.sqrt(math.pi / 2) * mean)
    z = (values - found.centre) / (found.deviation or 1.0)
    assert [each.z for each in found.found] == pytest.approx(z[np.abs(z) > 3.5])


def test_a_spike_is_found_where_it_is():
    values = noise(100)
    values[60] = 9.0
    found = anomalies(at(values))
    assert [(each.time, each.value) for each in found.found] == [(1600.0, 9.0)]
    assert found.found[0].z > 6


def test_what_is_rare_in_a_constant_series_is_an_anomaly_unless_the_margin_allows_it():
    points = at([5.0] * 30 + [5.1] + [5.0] * 9 + [9.0])
    found = anomalies(points, threshold=0.1)
    assert found.scale is Scale.MEAN_DEVIATION
    assert [each.value for each in found.found] == [5.1, 9.0]
    assert [each.value for each in anomalies(points, threshold=0.1, margin=0.5).found] == [9.0]


def test_all_values_equal_has_no_anomaly():
    found = anomalies(at([5.0] * 30))
    assert (found.found, found.deviation, found.scale) == ((), 0.0, Scale.NONE)


# Impact


def definition(before, after, confidence):
    """Return ratio, interval and p by the formula of the module, in NumPy and SciPy."""

    def location(values):
        logs = np.log(values)
        cuts = [i * len(logs) // 8 for i in range(9)]
        blocks = [np.median(logs[a:b]) for a, b in pairwise(cuts)]
        ranked = stats.rankdata(logs)
        ranked -= ranked.mean()
        n, run = len(logs), len(logs) / 8
        r = min(max((n * (ranked[1:] @ ranked[:-1]) / (ranked @ ranked) + 1) / (n - 4), 0), 0.99)
        endless = (1 + r) / (1 - r)
        of_run = endless - 2 * r * (1 - r**run) / (run * (1 - r) ** 2)
        return np.median(logs), np.var(blocks, ddof=1) / 8 * endless / of_run

    (old, old_variance), (new, new_variance) = location(before), location(after)
    variance = old_variance + new_variance
    df = variance**2 / (old_variance**2 / 7 + new_variance**2 / 7)
    half = stats.t.ppf((1 + confidence) / 2, df) * np.sqrt(variance)
    p = 2 * stats.t.sf(abs(new - old) / np.sqrt(variance), df)
    return np.exp([new - old, new - old - half, new - old + half]), p


@pytest.mark.parametrize(("n", "m", "confidence"), [(24, 24, 0.99), (50, 31, 0.9), (200, 1000, 0.95)])
def test_ratio_and_interval_are_those_of_the_definition(n, m, confidence):
    before = [math.exp(0.1 * x) for x in noise(n, 1)]
    after = [0.95 * math.exp(0.2 * x) for x in noise(m, 2)]
    found = impact(before, after, smaller_is_better=True, confidence=confidence)
    ratios, p = definition(before, after, confidence)
    assert (found.ratio, found.low, found.high) == pytest.approx(tuple(ratios), rel=1e-9)
    assert found.p == pytest.approx(p, rel=1e-6)
    assert (found.before, found.after) == (pytest.approx(np.median(before)), pytest.approx(np.median(after)))


@pytest.mark.parametrize(("factor", "verdict"), [(0.8, ImpactVerdict.BETTER), (1.25, ImpactVerdict.WORSE)])
def test_the_direction_is_an_argument(factor, verdict):
    before = [math.exp(0.1 * x) for x in noise(100, 1)]
    after = [factor * math.exp(0.1 * x) for x in noise(100, 2)]
    other = ImpactVerdict.WORSE if verdict is ImpactVerdict.BETTER else ImpactVerdict.BETTER
    assert impact(before, after, smaller_is_better=True).verdict is verdict
    assert impact(before, after, smaller_is_better=False).verdict is other
    pairs = list(zip(before, after, strict=True))
    assert paired_impact(pairs, smaller_is_better=True).verdict is verdict
    assert paired_impact(pairs, smaller_is_better=False).verdict is other


@few
@given(st.integers(0, 10**6), st.integers(24, 60), st.integers(24, 60), st.floats(1e-9, 1e9))
def test_before_and_after_can_change_places_and_the_unit_does_not_matter(seed, n, m, unit):
    before, after = ([math.exp(x) for x in noise(size, each)] for size, each in ((n, seed), (m, seed + 1)))
    there = impact(before, after, smaller_is_better=True)
    back = impact([unit * x for x in after], [unit * x for x in before], smaller_is_better=True)
    assert (back.ratio, back.low, back.high) == pytest.approx(
        (1 / there.ratio, 1 / there.high, 1 / there.low), rel=1e-6
    )
    assert back.p == pytest.approx(there.p, rel=1e-4, abs=1e-12)


def test_what_both_of_a_pair_share_falls_out():
    """A load that doubles and halves hides 2 % between two times, and nothing between the two of a pair."""
    load = [math.exp(0.7 * math.sin(i / 7)) for i in range(96)]
    before = [10 * x * math.exp(0.01 * e) for x, e in zip(load, noise(96, 1), strict=True)]
    after = [9.8 * x * math.exp(0.01 * e) for x, e in zip(load, noise(96, 2), strict=True)]
    assert impact(before, after, smaller_is_better=True).verdict is ImpactVerdict.NO_EVIDENCE
    found = paired_impact(zip(before, after, strict=True), smaller_is_better=True)
    assert found.verdict is ImpactVerdict.BETTER
    assert found.low < 0.98 < found.high < 1
    assert found.ratio == pytest.approx(np.median(np.divide(after, before)))


def test_values_that_do_not_scatter_are_told_apart_exactly():
    same = impact([7] * 30, [7] * 30, smaller_is_better=True)
    assert (same.verdict, same.ratio, same.p) == (ImpactVerdict.NO_EVIDENCE, 1.0, 1.0)
    fewer = impact([8] * 30, [6] * 30, smaller_is_better=True)
    assert (fewer.verdict, fewer.p) == (ImpactVerdict.BETTER, 0.0)
    assert fewer.low == fewer.high == fewer.ratio == pytest.approx(0.75)


def test_an_interval_that_no_float_holds_is_open():
    wild = [10.0 ** (149 * (-1) ** (i // 3)) for i in range(24)]
    found = impact(wild, wild, smaller_is_better=True, confidence=0.9999)
    assert (found.verdict, found.low, found.high) == (ImpactVerdict.NO_EVIDENCE, 0.0, math.inf)


# Forecast


LINE = at((100 + 2 * i for i in range(50)), step=1.0, start=0.0)  # 198 at the last point, 2 a second


def test_a_straight_line_reaches_the_limit_on_time():
    found = forecast(LINE, 300, horizon=100)
    assert found.verdict is ForecastVerdict.EXPECTED
    assert (found.earliest, found.likely, found.latest) == pytest.approx((51, 51, 51))
    assert forecast(LINE, 300, horizon=100, now=60).likely == pytest.approx(40)


def test_what_is_beyond_the_horizon_is_said_to_be():
    found = forecast(LINE, 300, horizon=50)
    assert (found.verdict, found.likely) == (ForecastVerdict.NOT_WITHIN_HORIZON, None)


def test_what_is_reached_already_is_said_to_be():
    assert forecast(LINE, 150, horizon=50).verdict is ForecastVerdict.REACHED
    assert forecast(LINE, 300, horizon=50, now=200).verdict is ForecastVerdict.REACHED
    assert forecast(at([5.0] * 30), 5, horizon=50).verdict is ForecastVerdict.REACHED


def test_moving_away_from_the_limit_never_reaches_it():
    found = forecast(LINE, 50, horizon=1e9, kind=Limit.FLOOR)
    assert (found.verdict, found.earliest) == (ForecastVerdict.NOT_WITHIN_HORIZON, None)


def test_without_a_trend_there_is_no_forecast():
    found = forecast(at(noise(100)), 1000, horizon=1e9)
    assert (found.verdict, found.earliest, found.likely, found.latest) == (ForecastVerdict.NO_TREND, None, None, None)
    assert found.trend.verdict is TrendVerdict.NONE


@few
@given(st.integers(0, 1000), st.floats(2.0, 8.0))
def test_a_floor_is_a_ceiling_upside_down(seed, limit):
    points = at(0.02 * i + e for i, e in enumerate(noise(60, seed, 0.3)))
    up = forecast(points, limit, horizon=1000)
    down = forecast([(time, -value) for time, value in points], -limit, horizon=1000, kind="floor")
    assert (up.verdict, up.earliest, up.likely, up.latest) == (down.verdict, down.earliest, down.likely, down.latest)
    if up.verdict is ForecastVerdict.EXPECTED:
        assert up.earliest <= up.likely <= (math.inf if up.latest is None else up.latest)


def test_the_unit_of_time_carries_over_to_the_forecast():
    points = at(0.02 * i + e for i, e in enumerate(noise(60, 4, 0.1)))
    seconds = forecast(points, 3, horizon=10_000)
    hours = forecast([(time / 3600, value) for time, value in points], 3, horizon=10_000 / 3600)
    assert seconds.verdict is ForecastVerdict.EXPECTED
    for one, other in zip(
        (seconds.earliest, seconds.likely, seconds.latest), (hours.earliest, hours.likely, hours.latest), strict=True
    ):
        assert other * 3600 == pytest.approx(one)


def test_a_forecast_may_allow_for_a_cycle():
    points = cycle(4, 48, slope=1.0)
    assert forecast(points, 10, horizon=30 * DAY).verdict is ForecastVerdict.NO_TREND
    found = forecast(points, 10, horizon=30 * DAY, period=DAY)
    assert found.earliest < 6 * DAY < found.latest


# Bad input

OF_POINTS = {
    "trend": trend,
    "anomalies": anomalies,
    "forecast": lambda points: forecast(points, 1.0, 1.0),
    "rates": lambda points: rates(points, 10),
    "rolling_quantiles": lambda points: rolling_quantiles(points, 10),
}


@pytest.mark.parametrize("name", OF_POINTS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, None, True, "5", 10**400])
def test_what_is_no_finite_number_is_refused_by_name(name, bad):
    points = at([1.0] * 30)
    points[7] = (points[7][0], bad)
    with pytest.raises(InputError, match=r"points\[7\]\.value"):
        OF_POINTS[name](points)
    points[7] = (bad, 1.0)
    with pytest.raises(InputError, match=r"points\[7\]\.time"):
        OF_POINTS[name](points)


@pytest.mark.parametrize("name", OF_POINTS)
def test_times_that_do_not_ascend_and_what_is_no_pair_are_refused(name):
    points = at([1.0] * 30)
    for bad in ([*points, points[-1]], [*points, (0.0, 1.0)]):
        with pytest.raises(InputError, match="times must ascend"):
            OF_POINTS[name](bad)
    for bad in (5.0, (1.0,), (1.0, 2.0, 3.0), "ab"):
        with pytest.raises(InputError, match=r"points\[30\].*pair"):
            OF_POINTS[name]([*points, bad])


@pytest.mark.parametrize(
    ("name", "least"), [("trend", 20), ("anomalies", 20), ("forecast", 20), ("rates", 2), ("rolling_quantiles", 1)]
)
def test_too_few_points_are_said_to_be_too_few(name, least):
    OF_POINTS[name](at([1.0] * least))
    with pytest.raises(InsufficientData, match=f"{least} points are needed, {least - 1} seen"):
        OF_POINTS[name](at([1.0] * (least - 1)))


@pytest.mark.parametrize("bad", [math.nan, 0.0, -1.0, None, True])
def test_samples_must_be_positive_numbers(bad):
    good = [1.0] * 24
    with pytest.raises(InputError, match=r"before\[24\]"):
        impact([*good, bad], good, smaller_is_better=True)
    with pytest.raises(InputError, match=r"after\[24\]"):
        impact(good, [*good, bad], smaller_is_better=True)
    with pytest.raises(InputError, match=r"pairs\[24\]"):
        paired_impact([*zip(good, good, strict=True), (1.0, bad)], smaller_is_better=True)


def test_too_few_samples_are_said_to_be_too_few():
    good = [1.0] * 24
    for call, what in (
        (lambda: impact(good[1:], good, smaller_is_better=True), "samples before"),
        (lambda: impact(good, good[1:], smaller_is_better=True), "samples after"),
        (lambda: paired_impact(zip(good[1:], good[1:], strict=True), smaller_is_better=True), "pairs"),
    ):
        with pytest.raises(InsufficientData, match=f"24 {what} are needed, 23 seen"):
            call()


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("confidence", lambda: trend(LINE, confidence=1.0)),
        ("confidence", lambda: impact([1.0] * 24, [1.0] * 24, smaller_is_better=True, confidence=0.1)),
        ("period", lambda: trend(LINE, period=0)),
        ("smaller_is_better", lambda: impact([1.0] * 24, [1.0] * 24, smaller_is_better=1)),
        ("threshold", lambda: anomalies(LINE, threshold=0)),
        ("margin", lambda: anomalies(LINE, margin=-1)),
        ("horizon", lambda: forecast(LINE, 1, horizon=0)),
        ("limit", lambda: forecast(LINE, math.inf, horizon=1)),
        ("kind", lambda: forecast(LINE, 1, horizon=1, kind="wall")),
        ("now", lambda: forecast(LINE, 1, horizon=1, now=48)),
        ("window", lambda: rates(LINE, 0)),
        ("window", lambda: rolling_quantiles(LINE, -1)),
        ("shares", lambda: rolling_quantiles(LINE, 1, [])),
        (r"shares\[1\]", lambda: rolling_quantiles(LINE, 1, [0.5, 99])),
        ("points", lambda: trend([(i * 1e-300, i * 1e148) for i in range(30)])),
        (r"points\[0\].value", lambda: trend([(i, 1e200) for i in range(30)])),
    ],
)
def test_a_bad_argument_is_refused_by_name(field, call):
    with pytest.raises(InputError, match=f"^{field}="):
        call()


def test_results_cannot_be_changed():
    for result, field in (
        (trend(LINE), "p"),
        (anomalies(LINE), "found"),
        (forecast(LINE, 1, 1), "likely"),
        (impact([1.0] * 24, [1.0] * 24, smaller_is_better=True), "ratio"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(result, field, 0)


def test_points_may_come_from_a_generator():
    assert trend(each for each in LINE) == trend(LINE)


# Error rates


@pytest.fixture(scope="module")
def simulation():
    spec = importlib.util.spec_from_file_location("error_rates", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


NOISES = ["white", "autocorrelated", "heavy tails", "daily cycle"]
# What happens in 1 of 100 clean series happens in more than 5 of these with a chance of 2 in 1,000.
TRIALS, ALARMS = 120, 5


def hits(name, call, trials=TRIALS):
    rng = random.Random(name)
    return sum(call(rng) for _ in range(trials))


@pytest.mark.parametrize("n", [24, 100])
@pytest.mark.parametrize("name", NOISES)
def test_one_clean_series_of_a_hundred_has_a_trend(simulation, name, n):
    noise = simulation.NOISES[name]
    for period in (None, n * simulation.STEP / simulation.CYCLES):
        assert hits(name, partial(simulation.false_trend, noise=noise, n=n, period=period)) <= ALARMS


@pytest.mark.parametrize("n", [24, 200])
@pytest.mark.parametrize("name", NOISES)
def test_one_change_of_a_hundred_that_is_none_is_called_one(simulation, name, n):
    noise = simulation.NOISES[name]
    for verdict in (simulation.unpaired_verdict, simulation.paired_verdict):
        rng = random.Random(name)
        told = Counter(verdict(rng, noise, n, 0.0) for _ in range(TRIALS))
        assert told[ImpactVerdict.BETTER] + told[ImpactVerdict.WORSE] <= ALARMS


@pytest.mark.parametrize(
    ("name", "least"), [("white", 38), ("autocorrelated", 30), ("heavy tails", 38), ("daily cycle", 38)]
)
def test_planted_trends_are_found_and_their_forecasts_hold(simulation, name, least):
    """Out of 40; the line rises by two standard deviations over 200 points."""
    n, rng = 200, random.Random(name)
    period = n * simulation.STEP / simulation.CYCLES if name == "daily cycle" else None
    planted = [simulation.found_trend(rng, simulation.NOISES[name], n, period) for _ in range(40)]
    found, held = (sum(column) for column in zip(*planted, strict=True))
    assert found >= least
    assert held >= found - 3


@pytest.mark.parametrize(("name", "least"), [("white", 60), ("autocorrelated", 25), ("heavy tails", 90)])
def test_planted_changes_are_found(simulation, name, least):
    """Out of 100; of 200 values before and after, 5 % where noise is 10 %."""
    noise = simulation.NOISES[name]
    for verdict, fall in (
        (simulation.unpaired_verdict, simulation.FALL),
        (simulation.paired_verdict, simulation.PAIRED_FALL),
    ):
        rng = random.Random(name)
        assert sum(verdict(rng, noise, 200, fall) is ImpactVerdict.BETTER for _ in range(100)) >= least


def test_few_clean_points_are_anomalies_and_spikes_are(simulation):
    """Of normal points 0.05 % in the long run; of points with heavy tails some 3 %, which are what they are."""
    for name, share in (("white", 0.002), ("autocorrelated", 0.002), ("heavy tails", 0.04), ("daily cycle", 0.0)):
        noise = simulation.NOISES[name]
        assert hits(name, partial(simulation.false_anomalies, noise=noise, n=200)) <= share * TRIALS * 200
        assert hits(name, partial(simulation.found_spike, noise=noise, n=200), 50) >= 40


def test_the_page_has_every_line_of_the_script(simulation, capsys):
    simulation.main(["--trials", "2", "--processes", "1"])
    printed = capsys.readouterr().out
    page = PAGE.read_text("utf-8")
    for text in (printed, page):
        lines = Counter(re.findall(r"^\| ([a-z ]+) \| (\d+) \|", text, re.MULTILINE))
        assert lines == Counter({(name, str(n)): 3 for name in simulation.NOISES for n in simulation.LENGTHS})
    for heads in re.findall(r"^\| noise .*$", printed, re.MULTILINE):
        assert heads in page
    assert "n = 1,000 series" in page


# The page, and the house


def test_the_pages_python_prints_what_stands_below():
    found = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    for code, below in found:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, "page", "exec"), {})
        assert said.getvalue() == below


def test_it_needs_the_standard_library_and_the_judge():
    code = "import sys, engine_opt.monitoring.performance_analytics; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"numpy", "scipy", "pytest", "_pytest", "msgspec", "psutil", "sqlite3"}


def test_of_the_gate_only_the_judge_is_used():
    folder = ROOT / "engine_opt" / "monitoring"
    used = set()
    for path in (folder / "performance_analytics.py", *(folder / "analytics").glob("*.py")):
        used |= set(re.findall(r"(?:from|import) (pytest_pe_perf[\w.]*)", path.read_text("utf-8")))
    assert used
    assert all(each.startswith("pytest_pe_perf.judge.") for each in used), used
