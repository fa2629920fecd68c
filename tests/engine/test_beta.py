"""The beta distribution of the trust system, against SciPy's."""

from math import inf, nan

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import betainc
from scipy.stats import beta as scipy_beta

from engine_opt import InputError
from engine_opt.protocol.beta import beta_cdf, beta_quantile

GRID = [1.0, 1.5, 2.0, 10.0, 31.0, 100.5, 3_000.0, 1e5]
PROBABILITIES = [0.001, 0.05, 0.3, 0.5, 0.95, 0.999]

shapes = st.floats(0.0, 5.0).map(lambda power: 10.0**power)
probabilities = st.floats(0.001, 0.999)


@pytest.mark.parametrize("a", GRID)
@pytest.mark.parametrize("b", GRID)
def test_a_grid_of_shapes_equals_scipy(a, b):
    """From flat to needle-sharp, symmetric and skewed: both functions agree to twelve digits."""
    for p in PROBABILITIES:
        x = float(scipy_beta.ppf(p, a, b))
        assert beta_quantile(p, a, b) == pytest.approx(x, rel=1e-12, abs=0.0)
        assert beta_cdf(x, a, b) == pytest.approx(float(betainc(a, b, x)), rel=1e-12, abs=0.0)


@settings(max_examples=200, deadline=None)
@given(probabilities, shapes, shapes)
@example(0.0617, 33917.33779671444, 1.5043476142155807)  # differences of neighbouring terms lost four digits here
@example(0.05, 1589.8633196853484, 62080.578848708145)  # rounding once put the solution outside its own interval
@example(0.46395371943949887, 76628.66317489029, 30997.150168799613)
def test_any_shapes_equal_scipy(p, a, b):
    """Quantile and distribution agree with SciPy to twelve digits over the promised range."""
    x = float(scipy_beta.ppf(p, a, b))
    assert beta_quantile(p, a, b) == pytest.approx(x, rel=1e-12, abs=0.0)
    assert beta_cdf(x, a, b) == pytest.approx(float(betainc(a, b, x)), rel=1e-12, abs=0.0)


@settings(max_examples=100, deadline=None)
@given(probabilities, shapes, shapes, st.floats(1e-6, 1.0 - 1e-6))
@example(0.05, 1.0, 1e5, 1.0 - 1e-6)
@example(0.05, 1e5, 1.0, 1e-6)
@example(0.9375, 1.0, 10.0**1e-6, 0.5)  # a shape that is almost 1 once ended the search a round too early
def test_where_the_search_starts_does_not_matter(p, a, b, start):
    """A start, however wrong, leads to the same quantile to twelve digits."""
    assert beta_quantile(p, a, b, start) == pytest.approx(beta_quantile(p, a, b), rel=1e-12, abs=0.0)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.0, 1.0), shapes, shapes)
def test_mirrored_probabilities_sum_to_one(x, a, b):
    """I_x(a, b) + I_(1-x)(b, a) = 1 where 1 - x is exact, and both lie in [0, 1]."""
    x = round(x * 2**20) / 2**20
    below, above = beta_cdf(x, a, b), beta_cdf(1.0 - x, b, a)
    assert 0.0 <= below <= 1.0
    assert below + above == pytest.approx(1.0, rel=1e-12)


def test_closed_forms():
    """With one shape at 1 the distribution is a power."""
    assert beta_cdf(0.3, 1.0, 1.0) == pytest.approx(0.3, rel=1e-15)
    assert beta_cdf(0.9, 40.0, 1.0) == pytest.approx(0.9**40, rel=1e-14)
    assert beta_quantile(0.05, 31.0, 1.0) == pytest.approx(0.05 ** (1 / 31), rel=1e-14)
    assert beta_quantile(0.05, 1.0, 31.0) == pytest.approx(1.0 - 0.95 ** (1 / 31), rel=1e-13)


def test_the_ends_of_the_interval():
    """Nothing lies below 0, everything below 1; what underflows in between is 0 or 1 and no error."""
    assert (beta_cdf(0.0, 2.0, 3.0), beta_cdf(1.0, 2.0, 3.0)) == (0.0, 1.0)
    assert (beta_cdf(1e-9, 1e5, 1e5), beta_cdf(1.0 - 1e-9, 1e5, 1e5)) == (0.0, 1.0)


def test_the_extremes_that_are_accepted():
    """The least probability and the largest shape still agree with SciPy."""
    for p, a, b in ((1e-6, 1.0, 1e9), (1.0 - 1e-6, 1e9, 1.0), (1e-6, 1e5, 3.0), (0.05, 1e6, 1e6)):
        assert beta_quantile(p, a, b) == pytest.approx(float(scipy_beta.ppf(p, a, b)), rel=1e-10)


@pytest.mark.parametrize("bad", [None, nan, inf, True, "1", 0.5, 0.0, -1.0, 2e9])
def test_what_is_no_shape_is_refused(bad):
    """A shape is a number from 1 to 1e9, in both functions."""
    for call in (beta_cdf, beta_quantile):
        for arguments in ((0.5, bad, 2.0), (0.5, 2.0, bad)):
            with pytest.raises(InputError):
                call(*arguments)


@pytest.mark.parametrize("bad", [None, nan, inf, True, "1", -0.1, 1.1])
def test_what_is_no_probability_is_refused(bad):
    """x and p lie between 0 and 1, p not at the ends, and a start strictly inside."""
    with pytest.raises(InputError, match="x"):
        beta_cdf(bad, 2.0, 3.0)
    for p in (bad, 0.0, 1.0):
        with pytest.raises(InputError, match="p"):
            beta_quantile(p, 2.0, 3.0)
    for start in (0.0, 1.0, nan, -1.0):
        with pytest.raises(InputError, match="start"):
            beta_quantile(0.5, 2.0, 3.0, start)


def test_whole_numbers_are_taken():
    """An int is a number too."""
    assert beta_quantile(0.05, 31, 1) == beta_quantile(0.05, 31.0, 1.0)
    assert beta_cdf(1, 2, 3) == 1.0
