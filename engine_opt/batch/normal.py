"""The complementary error function over columns, which NumPy does not have.

Source: W. J. Cody 1969, Rational Chebyshev approximations for the error function, Mathematics of Computation 23,
pages 631-637: three ranges, each with its own ratio of polynomials. Off from the true value by a few units of the last
place, in the far tail too: exp(-x*x) is taken in two factors, the first of an x*x that has no rounding error.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from engine_opt.batch.columns import Floats

# Numerator and denominator of each range, highest power first.
_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_MIDDLE = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
FAR = (
    (
        1.63153871373020978e-2,
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ),
    (
        1.0,
        2.56852019228982242,
        1.87295284992346725,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)
_SMALL_UNTIL, _MIDDLE_UNTIL = 0.46875, 4.0
_NOTHING_FROM = 27.5  # erfc is below the least float
_ONE_OVER_ROOT_PI = 1.0 / sqrt(pi)


def erfc(x: Floats) -> Floats:
    """Return the complementary error function of each value; infinities give 0 and 2."""
    size = np.abs(x)
    result = np.zeros_like(size)
    small = np.flatnonzero(size <= _SMALL_UNTIL)
    middle = np.flatnonzero((size > _SMALL_UNTIL) & (size <= _MIDDLE_UNTIL))
    far = np.flatnonzero((size > _MIDDLE_UNTIL) & (size < _NOTHING_FROM))
    if small.size:
        value = x[small]
        result[small] = 1.0 - value * _ratio(_SMALL, value * value)
    if middle.size:
        value = size[middle]
        result[middle] = _exp_of_minus_square(value) * _ratio(_MIDDLE, value)
    if far.size:
        value = size[far]
        inverse = 1.0 / (value * value)
        tail = (_ONE_OVER_ROOT_PI - inverse * _ratio(FAR, inverse)) / value
        result[far] = _exp_of_minus_square(value) * tail
    return np.where(x < -_SMALL_UNTIL, 2.0 - result, result)


def _ratio(polynomials: tuple[tuple[float, ...], tuple[float, ...]], x: Floats) -> Floats:
    above, below = (_horner(coefficients, x) for coefficients in polynomials)
    above /= below
    return above


def _horner(coefficients: tuple[float, ...], x: Floats) -> Floats:
    value = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        value += coefficient
        value *= x
    value += coefficients[-1]
    return value


def _exp_of_minus_square(x: Floats) -> Floats:
    near = np.floor(x * 16.0) / 16.0
    return np.exp(-near * near) * np.exp(-(x - near) * (x + near))
