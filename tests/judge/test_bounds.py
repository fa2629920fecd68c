"""Bounds of a share: against scipy, against their own definition, and where they are known by heart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_pe_perf.judge.bounds import binomial_cdf, share_bounds


@st.composite
def counts(draw, most=400):
    trials = draw(st.integers(1, most))
    return draw(st.integers(0, trials)), trials


@given(counts(), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_same_as_scipy(count, confidence):
    """Both bounds are those of scipy.stats.binomtest."""
    hits, trials = count
    expected = stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    assert share_bounds(hits, trials, confidence) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-12)


@given(counts(most=2000), st.floats(0, 1))
def test_the_distribution(count, share):
    """The binomial distribution is scipy's, for thousands of trials too."""
    hits, trials = count
    assert binomial_cdf(hits, trials, share) == pytest.approx(stats.binom.cdf(hits, trials, share), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("trials", [1, 3, 59, 300])
def test_none_and_all(trials):
    """Where nothing was hit the upper bound has a formula of its own, and all is none the other way round."""
    low, high = share_bounds(0, trials)
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / trials))
    assert share_bounds(trials, trials) == pytest.approx((1 - high, 1))


@given(counts())
def test_hits_and_misses_change_places(count):
    """The bounds of the misses are those of the hits, seen from the other end; the share itself lies within."""
    hits, trials = count
    low, high = share_bounds(hits, trials)
    assert low <= hits / trials <= high
    assert share_bounds(trials - hits, trials) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_no_trial_says_nothing():
    """Without a trial every share is possible."""
    assert share_bounds(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "trials", "confidence"), [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 0.0), (1, 3, 1.0)])
def test_what_cannot_be(hits, trials, confidence):
    """More hits than trials, and a confidence of nothing or all, are refused."""
    with pytest.raises(ValueError, match=r"of|between"):
        share_bounds(hits, trials, confidence)
