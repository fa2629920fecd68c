"""Some rows of columns: taken, numbered, and put back among the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.intp] | slice

_T = TypeVar("_T", bound=np.generic)
_C = TypeVar("_C")


def at(column: NDArray[_T], index: int) -> _T:
    """Return one row of a column, which may be a single value for all rows."""
    value: Any = column[index] if column.ndim else column[()]
    found: _T = value
    return found


def taken(column: NDArray[_T], rows: NDArray[np.intp] | slice) -> NDArray[_T]:
    """Return some rows of a column; a single value for all rows stays one."""
    return column[rows] if column.ndim else column


def spread(column: NDArray[_T], rows: Rows, n: int, fill: float) -> NDArray[_T]:
    """Return a column of n rows that has these values in some of them, and `fill` in the others."""
    if len(column) == n:
        return column
    whole = np.full((n, *column.shape[1:]), fill, column.dtype)
    whole[rows] = column
    return whole


def run(rows: NDArray[np.intp]) -> Rows:
    """Return the rows as a slice where they are without gaps: taking a slice copies nothing."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows) and (rows[1:] > rows[:-1]).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def numbers_of(rows: Rows, n: int) -> NDArray[np.intp]:
    """Return some of n rows as numbers."""
    return np.arange(n)[rows] if isinstance(rows, slice) else rows


def joined(columns: Sequence[NDArray[_T]]) -> NDArray[_T]:
    """Return the columns after one another; a single one as it is."""
    return np.concatenate(columns) if len(columns) > 1 else columns[0]


def part_of(columns: _C, rows: slice, **instead: Any) -> _C:
    """Return some rows of a dataclass of columns, uncopied, and its other fields as they are or as given `instead`."""
    values: dict[str, Any] = {}
    kind: Any = type(columns)
    for name in _field_names(kind):
        value = instead[name] if name in instead else getattr(columns, name)
        values[name] = value[rows] if name not in instead and isinstance(value, np.ndarray) else value
    found: _C = kind(**values)
    return found


@lru_cache(maxsize=16)
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))
