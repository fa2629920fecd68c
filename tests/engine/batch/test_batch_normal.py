"""The complementary error function against the C library's."""

from math import erfc as reference
from math import inf, nextafter

import numpy as np

from engine_opt.batch.normal import erfc


def test_erfc_equals_the_c_library():
    """All three ranges and the far tail agree to 1e-14 of the value."""
    rng = np.random.default_rng(1)
    edges = [sign * nextafter(edge, way) for edge in (0.46875, 4.0) for sign in (1, -1) for way in (0.0, inf)]
    x = np.concatenate((np.linspace(-7.0, 26.5, 20_001), rng.normal(0.0, 2.0, 5_000), edges, [0.0, -0.0, 0.46875, 4.0]))
    expected = np.array([reference(value) for value in x.tolist()])
    np.testing.assert_allclose(erfc(x), expected, rtol=1e-14, atol=0.0)


def test_erfc_ends_where_floats_end():
    """Beyond the least float the tail is 0; infinities are allowed."""
    assert erfc(np.array([inf, 30.0, -inf, -30.0])).tolist() == [0.0, 0.0, 2.0, 2.0]
    x = np.linspace(26.5, 27.3, 200)
    expected = np.array([reference(value) for value in x.tolist()])
    np.testing.assert_allclose(erfc(x), expected, rtol=1e-14, atol=2e-322)
