"""Checks at the door. Each returns the value it was given, as a float or an enum member, or raises InputError.

A bool is not a number here, although Python counts it as one: `volume=True` is a mistake in the caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from numbers import Real
from typing import TypeVar

from engine_opt.errors import InputError

INF = float("inf")
LARGEST_VOLATILITY = 10.0

_E = TypeVar("_E", bound=Enum)


def finite(field: str, value: object) -> float:
    """Return `value` as a float; refuse None, NaN, infinities, bools and what is not a real number."""
    if type(value) is float and -INF < value < INF:  # the common case: one comparison and out
        return value
    if value is None:
        raise InputError(field, value, "it is missing; give a finite number")
    if isinstance(value, bool):
        raise InputError(field, value, "a bool is not a number; give a finite number")
    if not isinstance(value, Real):
        raise InputError(field, value, f"{type(value).__name__} is not a real number; give a finite number")
    try:
        number = float(value)
    except OverflowError:
        raise InputError(field, value, "it is too large for a float; give a finite number") from None
    if not -INF < number < INF:
        raise InputError(field, value, "it is not finite; give a finite number")
    return number


def positive(field: str, value: object) -> float:
    """Return `value` as a float > 0."""
    number = finite(field, value)
    if number <= 0.0:
        raise InputError(field, value, "it must be greater than 0")
    return number


def between(field: str, value: object, low: float, high: float, unit: str = "") -> float:
    """Return `value` as a float in [low, high]; `unit` tells the reader of the error what is counted."""
    number = finite(field, value)
    if not low <= number <= high:
        raise InputError(field, value, f"it must lie between {low:g} and {high:g}{unit and f' ({unit})'}")
    return number


def non_negative(field: str, value: object) -> float:
    """Return `value` as a float >= 0."""
    number = finite(field, value)
    if number < 0.0:
        raise InputError(field, value, "it must not be negative")
    return number


def volatility(field: str, value: object) -> float:
    """Return an annualised volatility, a fraction of one; the upper limit catches percent points given by mistake."""
    return between(field, value, 0.0, LARGEST_VOLATILITY, "a fraction of one, annualised: 0.18 means 18 %")


def flag(field: str, value: object) -> bool:
    """Return `value` if it is a bool; truthiness is not asked for, because a missing answer would count as no."""
    if value is True or value is False:
        return value
    raise InputError(field, value, "it must be True or False")


def member(kind: type[_E], field: str, value: object) -> _E:
    """Return the member of enum `kind` that `value` is or names."""
    if isinstance(value, kind):
        return value
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(repr(each.value) for each in kind)
        raise InputError(field, value, f"it is not one of {choices}") from None


def series(field: str, values: Iterable[object], low: float = -INF) -> list[float]:
    """Return `values` as finite floats, none of them below `low`; the error names the offending index."""
    checked = [finite(f"{field}[{index}]", value) for index, value in enumerate(values)]
    for index, value in enumerate(checked):
        if value < low:
            raise InputError(f"{field}[{index}]", value, f"it must not be below {low:g}")
    return checked


def positive_series(field: str, values: Iterable[object]) -> list[float]:
    """Return `values` as finite floats, all greater than 0."""
    return [positive(f"{field}[{index}]", value) for index, value in enumerate(values)]


def store(record: object, field: str, value: object) -> None:
    """Set a field of a frozen record while it is being built."""
    object.__setattr__(record, field, value)
