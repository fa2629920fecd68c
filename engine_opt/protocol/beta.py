"""The beta distribution, as far as trust needs it: its distribution function and its quantiles, on `math` alone.

Both are good to a relative 1e-12 for shapes from 1 to 100 000 and probabilities from 0.001 to 0.999. Nothing is
remembered between calls: the same arguments give the same bits.
"""

from __future__ import annotations

from math import exp, inf, lgamma, log, log1p, pi, sqrt

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.protocol.normal import normal_quantile

_LARGEST_SHAPE = 1e9
_TINY = 1e-300  # what Lentz's method puts in the place of a zero
_SETTLED = 1e-14  # the factors of the continued fraction approach 1 by a fifth or more a step: the rest is below this
_CLOSE = 1e-15  # what is left out of a quantile, as a share of it
# A longer step, as a share of the way to 0 or to 1, carries too much of the rounding of the distribution into x, and of
# the series too where a shape is almost 1.
_NEAR = 0.02
_LEAST_P = 1e-6
_ENOUGH_STEPS = 10_000  # ten where shapes are in the tens, some hundred where they are in the millions
_ENOUGH_ROUNDS = 200
_HALF_LOG_2_PI = 0.5 * log(2.0 * pi)
_INVERSE_2_PI = 1.0 / (2.0 * pi)
_SERIES_FROM = 16.0  # above it five terms of Stirling's series are exact to the last bit


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return P(X <= x) of a Beta(a, b): the regularised incomplete beta function I_x(a, b).

    By the continued fraction of DLMF 8.17.22 (https://dlmf.nist.gov/8.17.E22), evaluated by the modified method of
    Lentz; on the far side of the mean by the symmetry I_x(a, b) = 1 - I_{1-x}(b, a).
    Raises InputError for x outside [0, 1] or a shape outside [1, 1e9].
    """
    x = check.between("x", x, 0.0, 1.0)
    a, b = _shape("a", a), _shape("b", b)
    if x in (0.0, 1.0):
        return x
    return _cdf_and_front(x, a, b, _stirling(a, b))[0]


def beta_quantile(p: float, a: float, b: float, start: float | None = None) -> float:
    """Return the x with P(X <= x) = p of a Beta(a, b).

    Each round evaluates the distribution once and follows the series of its inverse to the fourth order; a step that
    leaves the interval where the solution is known to be halves it instead. `start` is a guess, the closer the fewer
    rounds; without one Abramowitz and Stegun 26.5.22 makes it.
    Raises InputError for p outside [1e-6, 1 - 1e-6], a shape outside [1, 1e9] or a start outside (0, 1).
    """
    if type(p) is not float or not _LEAST_P <= p <= 1.0 - _LEAST_P:
        p = check.between("p", p, _LEAST_P, 1.0 - _LEAST_P)
    a, b = _shape("a", a), _shape("b", b)
    if start is None:
        x = _guess(p, a, b)
    elif 0.0 < start < 1.0:
        x = start
    else:
        raise InputError("start", start, "it must lie between 0 and 1, both excluded")
    constant = _stirling(a, b)
    low, high = 0.0, 1.0
    for _ in range(_ENOUGH_ROUNDS):
        y = 1.0 - x
        cdf, front = _cdf_and_front(x, a, b, constant)
        # Newton's step, for the density is front / (x * y); far out in a tail it underflows.
        step = (cdf - p) * x * y / front if front else inf if cdf > p else -inf
        if step == 0.0:
            return x
        if step > 0.0:
            high = x
        else:
            low = x
        # Derivatives of the log density turn Newton's step into the series of the inverse function.
        over_x, over_y = (a - 1.0) / x, (b - 1.0) / y
        slope = over_x - over_y
        over_x, over_y = over_x / x, over_y / y
        bend = over_x + over_y
        third = 2.0 * slope * slope + bend
        fourth = slope * (6.0 * slope * slope + 7.0 * bend) + 2.0 * (over_x / x - over_y / y)
        found = x - step * (1.0 + step * (slope / 2.0 + step * (third / 6.0 + step * fourth / 24.0)))
        # The term left out is about step * size**2; where it is below the last bits of x, this was the last round.
        size = step * step * third
        if size < 1.0 and abs(step) < min(_NEAR * found, _NEAR * (1.0 - found), _CLOSE * found / (size * size + _TINY)):
            return found
        if not low < found < high:
            found = 0.5 * (low + high)
        x = found
    raise ArithmeticError(f"no quantile p={p!r} of Beta({a!r}, {b!r}) was found")  # pragma: no cover - halving ends


def guessed_odds(normal: float, a: float, b: float) -> float:
    """Return x / (1 - x) for a quantile x of a Beta(a, b), to two or three digits; the arguments are not checked.

    `normal` is the upper quantile of a standard normal of the same probability; the formula is Abramowitz and Stegun 26.5.22. What it
    errs by changes slowly with the shapes: corrected by the error of a neighbour it is good to five or six digits.
    """
    over_a, over_b = 1.0 / (2.0 * a - 1.0), 1.0 / (2.0 * b - 1.0)
    h = 2.0 / (over_a + over_b)
    spread = (normal * normal - 3.0) / 6.0
    w = normal * sqrt(h + spread) / h - (over_b - over_a) * (spread + 5.0 / 6.0 - 2.0 / (3.0 * h))
    return a / b * exp(min(max(-2.0 * w, -600.0), 600.0))


def _shape(field: str, value: object) -> float:
    if type(value) is float and 1.0 <= value <= _LARGEST_SHAPE:
        return value
    return check.between(field, value, 1.0, _LARGEST_SHAPE, "a shape of the beta distribution")


def _cdf_and_front(x: float, a: float, b: float, constant: float) -> tuple[float, float]:
    """Return I_x(a, b) and x**a * (1-x)**b / B(a, b), for 0 < x < 1; `constant` is `_stirling(a, b)`.

    The second is worked out from the distance to the mean (after Loader 2000, Fast and accurate computation of
    binomial probabilities), because differences of log gammas of large shapes would lose half of the digits.
    """
    y = 1.0 - x
    below = y * a - x * b  # how far x is below the mean a/(a+b), times a+b
    over_a, over_b = -below / a, below / b
    # Far from the mean the logarithm of the ratio itself is the exact one.
    logs_a = log1p(over_a) if over_a > -0.5 else log(x * (a + b) / a)
    logs_b = log1p(over_b) if over_b > -0.5 else log(y * (a + b) / b)
    front = exp(logs_a * a + logs_b * b + constant)
    if below >= 0.0:
        return front / _fraction(x, a, b, below), front
    return 1.0 - front / _fraction(y, b, a, -below), front


def _stirling(a: float, b: float) -> float:
    """Return log(sqrt(a*b / (2*pi*(a+b)))) and what Stirling's formula leaves out of the three log gammas of B(a, b)."""
    n = a + b
    return 0.5 * log(a * b * _INVERSE_2_PI / n) + _remainder(n) - _remainder(a) - _remainder(b)


def _remainder(z: float) -> float:
    """Return log(gamma(z)) - ((z - 1/2) * log(z) - z + log(2*pi)/2), by DLMF 5.11.1 where z is large."""
    if z < _SERIES_FROM:
        return lgamma(z) - (z - 0.5) * log(z) + z - _HALF_LOG_2_PI
    r = 1.0 / (z * z)
    return (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r / 1188)))) / z


def _fraction(x: float, a: float, b: float, below: float) -> float:
    """Return the even part of the continued fraction of DLMF 8.17.22, for an x at or below the mean.

    Didonato and Morris 1992, Algorithm 708, equation 9. Two of DLMF's steps make one here, and their differences of
    nearly equal numbers are all in `below` = a*(1-x) - b*x.
    """
    below += 1.0
    rest, rise = b - 1.0, 2.0 - x
    value = c = a * below / (a + 1.0)
    d = m = 0.0
    for _ in range(_ENOUGH_STEPS):
        before = a + m
        m += 1.0
        after = a + m
        k = before + m
        below += rise
        part = x / k
        shared = m * (b - m) * part
        top = before * (rest + after) * shared * part
        bottom = m + shared + after * below / (k + 2.0)
        d = 1.0 / (bottom + top * d or _TINY)
        c = bottom + top / c or _TINY
        factor = c * d
        value *= factor
        if -_SETTLED < factor - 1.0 < _SETTLED:
            return value
    raise ArithmeticError(f"the fraction of I_{x!r}({a!r}, {b!r}) does not converge")  # pragma: no cover


def _guess(p: float, a: float, b: float) -> float:
    odds = guessed_odds(-normal_quantile(p), a, b)
    return min(max(odds / (1.0 + odds), _TINY), 1.0 - 1e-12)
