"""Quantiles of the normal distribution; the module `statistics`, which has them too, is slow to import."""

from __future__ import annotations

from math import log, sqrt

from engine_opt.errors import InputError

# Coefficients of Wichura 1988, Algorithm AS 241 (PPND16), Applied Statistics 37, pp. 477-484: numerator and denominator,
# lowest power first, in the centre (|p - 1/2| <= 0.425), the near and the far tail.
CENTRE = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
NEAR = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
FAR = (
    (
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)
CENTRE_HALF_WIDTH, NEAR_TAIL = 0.425, 5.0


def normal_quantile(p: float) -> float:
    """Return z with P(Z <= z) = p for a standard normal Z, to 1e-15 relative (AS 241). Raises InputError outside 0-1."""
    if not 0.0 < p < 1.0:
        raise InputError("p", p, "a probability strictly between 0 and 1 has a quantile")
    centred = p - 0.5
    if abs(centred) <= CENTRE_HALF_WIDTH:
        return centred * _ratio(CENTRE, CENTRE_HALF_WIDTH * CENTRE_HALF_WIDTH - centred * centred)
    depth = sqrt(-log(p if centred < 0.0 else 1.0 - p))
    tail = _ratio(NEAR, depth - 1.6) if depth <= NEAR_TAIL else _ratio(FAR, depth - NEAR_TAIL)
    return -tail if centred < 0.0 else tail


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: float) -> float:
    """Return a ratio of two polynomials of degree 7 in `x`, by Horner's rule."""
    (a, b, c, d, e, f, g, h), (i, j, k, m, n, o, p, q) = coefficients
    top = ((((((h * x + g) * x + f) * x + e) * x + d) * x + c) * x + b) * x + a
    return top / (((((((q * x + p) * x + o) * x + n) * x + m) * x + k) * x + j) * x + i)
