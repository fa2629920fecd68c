"""Exponential averages, y[t] = a*y[t-1] + b*x[t], without a step of Python for each value.

The series is cut into blocks of L = 32. Within a block, y is x times a triangular matrix of powers of a, plus the value
before the block times another power: one matrix product does all blocks at once. What is left is a recursion over the
last values of the blocks, 32 times shorter, and one product of the same kind solves it, for 192 blocks at a time. For the
averages used here the terms have one sign or nearly so, and the result is within a few units of the last place of the
value by value form.

L was measured on 5,000 values: 8: 74 us, 16: 40 us, 32: 32 us, 64: 36 us, 128: 43 us, 256: 147 us (the product is then
large enough for the library to spread it over threads); value by value 450 us.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from engine_opt.batch.columns import Floats

_BLOCK = 32
_BLOCKS = 192  # at a time: with more, the library would spread the product over threads
_PIECE = _BLOCKS * _BLOCK


def smoothed(values: Floats, keep: float, take: float, before: float) -> Floats:
    """Return y[t] = keep * y[t-1] + take * values[t] with `before` for y[-1]; empty for no values."""
    n = len(values)
    result = np.empty(n)
    whole = n - n % _BLOCK
    for start in range(0, whole, _PIECE):
        stop = min(start + _PIECE, whole)
        before = _blocks(values[start:stop], keep, take, before, result[start:stop])
    for i, value in enumerate(values[whole:].tolist(), whole):
        before = keep * before + take * value
        result[i] = before
    return result


def _blocks(values: Floats, keep: float, take: float, before: float, out: Floats) -> float:
    """Fill `out` for a whole number of blocks, and return its last value."""
    tables = _tables(keep, take)
    inside = out.reshape(-1, _BLOCK)
    np.matmul(values.reshape(-1, _BLOCK), tables.inside, out=inside)
    n = len(inside)
    carried = np.empty(n)  # what each block starts from
    carried[0] = before
    np.matmul(inside[:-1, -1], tables.between[: n - 1, : n - 1], out=carried[1:])
    carried[1:] += before * tables.block_powers[: n - 1]
    inside += carried[:, None] * tables.powers
    return float(out[-1])


class _Tables(NamedTuple):
    powers: Floats  # keep**1 ... keep**L
    inside: Floats  # smooths a block that starts from 0
    block_powers: Floats  # the last power, to the power of 1, 2, ...
    between: Floats  # smooths the last values of blocks


@lru_cache(maxsize=64)
def _tables(keep: float, take: float) -> _Tables:
    powers = np.array([keep**i for i in range(_BLOCK + 1)])
    last = powers[-1] ** np.arange(_BLOCKS + 1)
    tables = _Tables(powers[1:], take * _triangle(powers, _BLOCK), last[1:], _triangle(last, _BLOCKS))
    for table in tables:
        table.flags.writeable = False  # they are shared
    return tables


def _triangle(powers: Floats, n: int) -> Floats:
    """Return the matrix that has powers[j - i] in row i and column j, 0 below the diagonal."""
    age = np.arange(n) - np.arange(n)[:, None]
    return np.where(age >= 0, powers[np.maximum(age, 0)], 0.0)
