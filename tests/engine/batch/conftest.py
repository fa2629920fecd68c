"""What the tests of the columns share: records that agree, and markets made up."""

from datetime import date, timedelta

import numpy as np
import pytest

from engine_opt import Bar

DAY = date(2000, 1, 1)


def _agree(ours, theirs, path=""):
    """Enumerations and whole numbers equal; floats to 1e-12 of themselves, or to `around` where they nearly cancel.

    MACD is a difference of two averages of prices, good to the last digits of the price.
    """
    for name, x, y in zip(theirs._fields, ours, theirs, strict=True):
        where = f"{path}{name}"
        if hasattr(y, "_fields"):
            _agree(x, y, f"{where}.")
        elif isinstance(y, tuple):
            assert x == pytest.approx(y, rel=1e-12, abs=1e-15), where
        elif type(y) is float:
            assert type(x) is float, where
            around = 2e-15 * theirs.close if name.startswith("macd") else 2e-13
            assert x == pytest.approx(y, rel=1e-12, abs=around), where
        else:
            assert x == y, where


@pytest.fixture(scope="session")
def agree():
    return _agree


@pytest.fixture(scope="session")
def walk():
    """Make bars of a random walk; `cents` rounds prices, so that many values are equal."""

    def make(seed, n, cents=False, deviation=0.02):
        rng = np.random.default_rng(seed)
        close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, deviation, n)))
        high, low = close * (1.0 + rng.random(n) * 0.02), close * (1.0 - rng.random(n) * 0.02)
        volume = rng.integers(0, 5, n) * 1000.0
        if cents:
            close, high, low = close.round(1), high.round(1), low.round(1)
            high, low = np.maximum(high, close), np.minimum(low, close)
        rows = zip(close.tolist(), high.tolist(), low.tolist(), volume.tolist(), strict=True)
        return tuple(Bar(DAY + timedelta(i), c, h, lo, c, v or None) for i, (c, h, lo, v) in enumerate(rows))

    return make


@pytest.fixture(scope="session")
def flat():
    """Make bars of a market that stands still."""
    return lambda n, spread=1.0: tuple(
        Bar(DAY + timedelta(i), 100.0, 100.0 + spread, 100.0 - spread, 100.0, 5.0) for i in range(n)
    )
