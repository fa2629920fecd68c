"""Columns at the door: numbers, codes of enumerations, and the bars of one symbol.

A column is checked as a whole, and a row that does not pass at once is handed to the scalar record, which says what is
wrong with it: both forms refuse the same values in the same words, and the field is named with its index, `close[17]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.model import LARGEST_PRICE, LARGEST_VOLUME, LEAST_PRICE, Bar

Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.uint8]
Flags: TypeAlias = NDArray[np.bool_]
Times: TypeAlias = NDArray[np.datetime64]

UNKNOWN = 255  # the code where there is no member

_E = TypeVar("_E", bound=Enum)
_EPOCH = date(1970, 1, 1).toordinal()
_FIRST_DAY, _LAST_DAY = np.datetime64("0001-01-01"), np.datetime64("9999-12-31")  # what a datetime.date can hold


def members(kind: type[_E], column: ArrayLike) -> list[_E | None]:
    """Return the members of enum `kind` that the codes stand for, None for UNKNOWN."""
    names = [*kind, *[None] * (UNKNOWN + 1 - len(kind))]
    return [names[code] for code in np.asarray(column, np.uint8).tolist()]


def codes(kind: type[_E], values: Iterable[_E | str | None]) -> Codes:
    """Return the code of each member of enum `kind`, or of its value; UNKNOWN for None."""
    number: dict[Any, int] = {None: UNKNOWN}
    for code, each in enumerate(kind):
        number[each] = number[each.value] = code
    found = []
    for index, value in enumerate(values):
        if value not in number:
            check.member(kind, f"{kind.__name__}[{index}]", value)
        found.append(number[value])
    return np.array(found, np.uint8)


def code_column(kind: type[_E], field: str, values: object, *, optional: bool = False) -> Codes:
    """Return a column of codes: from codes, from members or their values, or from a single member for all rows."""
    if isinstance(values, (str, Enum)):
        return np.asarray(tuple(kind).index(check.member(kind, field, values)), np.uint8)
    column = values if isinstance(values, np.ndarray) else np.asarray(_named(kind, field, values))
    if column.dtype.kind not in "iu":
        column = _named(kind, field, column)
    bad = (column < 0) | (column >= len(kind))
    if optional:
        bad &= column != UNKNOWN
    if bad.any():
        index = int(np.argmax(bad))
        raise InputError(f"{field}[{index}]", int(column.flat[index]), f"it is no code of {kind.__name__}")
    return column.astype(np.uint8, copy=False)


def _named(kind: type[_E], field: str, values: Any) -> NDArray[Any]:
    given = list(values)
    if given and all(type(value) is int for value in given):
        return np.asarray(given)
    known: list[_E | None] = []
    for index, value in enumerate(given):
        known.append(None if value is None else check.member(kind, f"{field}[{index}]", value))
    return codes(kind, known)


def float_column(field: str, values: object, *, optional: bool = False) -> Floats:
    """Return `values` as a column of floats, or as a single one for all rows; None becomes NaN where `optional`.

    What is in it is not checked, only that it consists of numbers: a column of bools or of strings is refused.
    """
    if values is None and optional:
        return np.asarray(np.nan)
    if not isinstance(values, np.ndarray):
        values = _listed(field, values, optional=optional)
    if values.dtype.kind == "O":
        values = _listed(field, list(values), optional=optional)
    if values.dtype.kind not in "fiu":
        raise InputError(field, values.dtype.name, "it is not a column of numbers")
    if values.ndim > 1:
        raise InputError(field, values.shape, "a column has one dimension")
    return values.astype(np.float64, copy=False)


def _listed(field: str, values: Any, *, optional: bool) -> NDArray[Any]:
    """Return a list, or one number, as an array; everything that is not a plain float is looked at."""
    try:
        given = list(values)
    except TypeError:
        return np.asarray(values if type(values) is float else check.finite(field, values))
    numbers = [
        value
        if type(value) is float
        else np.nan
        if value is None and optional
        else float(value)
        if isinstance(value, np.floating)
        else check.finite(f"{field}[{index}]", value)
        for index, value in enumerate(given)
    ]
    return np.array(numbers, np.float64)


def broadcast(columns: dict[str, NDArray[Any]]) -> int:
    """Stretch single values to the length of the columns, in place, and return that length."""
    lengths = {name: len(column) for name, column in columns.items() if column.ndim}
    if not lengths:
        raise InputError(next(iter(columns)), None, "at least one must be a column")
    n = max(lengths.values())
    for name, column in columns.items():
        if column.ndim and len(column) != n:
            raise InputError(name, len(column), f"its length differs from that of another column, {n}")
        if not column.ndim:
            columns[name] = np.broadcast_to(column, (n,))
    return n


@contextmanager
def at_row(index: int) -> Iterator[None]:
    """Add the index of the row to the field of an InputError raised inside."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{error.field}[{index}]", error.value, error.why) from None


def known(value: float) -> float | None:
    """Return a number of a column as the scalar records have it: None for NaN."""
    return None if value != value else value  # noqa: PLR0124 - that is what NaN is


def padded(values: NDArray[Any], n: int, fill: float) -> NDArray[Any]:
    """Return the last n of `values`, with `fill` before them where there are fewer."""
    lead = n - len(values)
    if lead <= 0:
        return values[-lead:] if lead else values
    column = np.empty((n, *values.shape[1:]), values.dtype)
    column[:lead] = fill
    column[lead:] = values
    return column


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """The bars of one symbol as columns, checked and copied: prices in account currency, volume NaN where not known.

    `time` holds days (`datetime64[D]`) or microseconds (`datetime64[us]`), UTC where `utc` says that the times given
    were aware. Raises InputError for what a `Bar` refuses, for a bar not later than the one before it, and for columns
    that differ in length.
    """

    time: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    utc: bool = False

    def __post_init__(self) -> None:
        time, utc = _times(self.time)
        check.store(self, "time", time)
        check.store(self, "utc", self.utc or utc)
        columns: dict[str, NDArray[Any]] = {"time": time}
        for field in ("open", "high", "low", "close", "volume"):
            columns[field] = float_column(field, getattr(self, field), optional=field == "volume")
            if not columns[field].ndim and field != "volume":
                raise InputError(field, getattr(self, field), "it must be a column")
        broadcast(columns)
        for field, column in columns.items():
            own = column.copy()
            own.flags.writeable = False
            check.store(self, field, own)
        self._check()

    @classmethod
    def of(cls, bars: Iterable[Bar]) -> Bars:
        """Return the columns of bars; raises InputError for what is not a Bar, and for bars out of order."""
        given = list(bars)
        for index, bar in enumerate(given):
            if type(bar) is not Bar and not isinstance(bar, Bar):
                raise InputError(f"bar[{index}]", bar, "it must be an engine_opt.Bar")
        n = len(given)
        return cls(
            _dates([bar.time for bar in given]),
            np.fromiter((bar.open for bar in given), np.float64, n),
            np.fromiter((bar.high for bar in given), np.float64, n),
            np.fromiter((bar.low for bar in given), np.float64, n),
            np.fromiter((bar.close for bar in given), np.float64, n),
            np.fromiter((np.nan if bar.volume is None else bar.volume for bar in given), np.float64, n),
            utc=n > 0 and _kind(given[0].time) == "aware",
        )

    @classmethod
    def from_arrays(
        cls,
        time: ArrayLike | Sequence[date],
        open: ArrayLike,  # noqa: A002 - the word of the trade
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        volume: ArrayLike | None = None,
    ) -> Bars:
        """Return bars from anything that makes arrays; `volume` may be left out, or hold NaN or None."""
        return cls(time, open, high, low, close, np.nan if volume is None else volume)  # type: ignore[arg-type]  # made columns in __post_init__

    def __len__(self) -> int:
        return len(self.close)

    def when(self, index: int) -> date:
        """Return the time of a bar: a date, a naive datetime, or one in UTC."""
        return moment(self.time[index], utc=self.utc)

    def row(self, index: int) -> Bar:
        """Return one bar."""
        volume = known(float(self.volume[index]))
        opened, high, low, close = (float(c[index]) for c in (self.open, self.high, self.low, self.close))
        return Bar(self.when(index), opened, high, low, close, volume)

    def part(self, start: int, stop: int | None = None) -> Bars:
        """Return the bars from `start` to before `stop`, without copying or checking them again."""
        columns = (self.time, self.open, self.high, self.low, self.close, self.volume)
        return _trusted(*(column[start:stop] for column in columns), utc=self.utc)

    def _check(self) -> None:
        low, high, close, opened, volume = self.low, self.high, self.close, self.open, self.volume
        good = (low >= LEAST_PRICE) & (high <= LARGEST_PRICE)
        good &= (low <= opened) & (opened <= high) & (low <= close) & (close <= high)
        good &= ((volume >= 0.0) & (volume <= LARGEST_VOLUME)) | np.isnan(volume)
        if not good.all():
            for index in np.flatnonzero(~good).tolist():
                with at_row(index):
                    self.row(index)  # raises, unless the close is outside by no more than a rounding
        if len(self) > 1:
            late = self.time[1:] > self.time[:-1]
            if not late.all():
                index = int(np.argmin(late)) + 1
                raise InputError(
                    f"time[{index}]",
                    self.when(index),
                    f"it is not after {self.when(index - 1)!r}, the bar before it: sort the series",
                )


def require_bars(bars: object) -> Bars:
    """Return `bars` if it is a Bars."""
    if isinstance(bars, Bars):
        return bars
    raise InputError("bars", bars, "it must be an engine_opt.batch.Bars: make one with Bars.of or Bars.from_arrays")


def joined_bars(bars: Sequence[Bars]) -> Bars:
    """Return all of them after one another, unchecked."""
    fields = ("time", "open", "high", "low", "close", "volume")
    return _trusted(*(np.concatenate([getattr(each, field) for each in bars]) for field in fields), utc=bars[-1].utc)


def require_after(bars: Bars, before: Bars) -> None:
    """Raise InputError where a chunk does not go on after the last bar of the one before it."""
    if not len(bars) or not len(before):
        return
    if before.utc != bars.utc or before.time.dtype != bars.time.dtype:
        raise InputError(
            "time[0]", bars.when(0), f"it cannot be compared with {before.when(-1)!r} before it: use one kind of time"
        )
    if not bars.time[0] > before.time[-1]:
        raise InputError("time[0]", bars.when(0), f"it is not after {before.when(-1)!r}, the bar before it")


def moment(time: np.datetime64, *, utc: bool) -> date:
    """Return one time of a column as a date, a naive datetime, or a datetime in UTC."""
    value: Any = time.item()
    when: date = value.replace(tzinfo=UTC) if utc else value
    return when


def _trusted(*columns: NDArray[Any], utc: bool) -> Bars:
    bars = object.__new__(Bars)
    for field, column in zip(("time", "open", "high", "low", "close", "volume"), columns, strict=True):
        check.store(bars, field, column)
    check.store(bars, "utc", utc)
    return bars


def _times(values: Any) -> tuple[Times, bool]:
    """Return times as days or microseconds, and whether they were aware."""
    aware = False
    if not (isinstance(values, np.ndarray) and values.dtype.kind == "M"):
        given = list(values)
        aware = bool(given) and isinstance(given[0], datetime) and given[0].tzinfo is not None
        values = _dates(given)
    unit = np.datetime_data(values.dtype)[0]
    times = values.astype("datetime64[D]" if unit in {"Y", "M", "W", "D"} else "datetime64[us]")
    if times.ndim != 1:
        raise InputError("time", times.shape, "a column has one dimension")
    out = ~((times >= _FIRST_DAY) & (times < _LAST_DAY + 1))  # NaT too
    if out.any():
        index = int(np.argmax(out))
        raise InputError(f"time[{index}]", str(times[index]), "it must be a time between the years 1 and 9999")
    return times, aware


def _dates(given: list[Any]) -> Times:
    """Return dates, or datetimes all naive or all aware, as a column."""
    if {*map(type, given)} <= {date}:
        days = np.fromiter(map(date.toordinal, given), np.int64, len(given))
        return (days - _EPOCH).view("datetime64[D]")
    kind = _kind(given[0])
    for index, time in enumerate(given):
        if _kind(time) == "none":
            raise InputError(f"time[{index}]", time, "it must be a datetime.date or a datetime.datetime")
        if _kind(time) != kind:
            raise InputError(
                f"time[{index}]",
                time,
                f"it cannot be compared with {given[0]!r} before it: use dates, or naive or aware times",
            )
    if kind == "aware":
        given = [time.astimezone(UTC).replace(tzinfo=None) for time in given]
    return np.array(given, "datetime64[D]" if kind == "date" else "datetime64[us]")


def _kind(time: object) -> str:
    """Return which kind of time this is: they cannot be compared with each other."""
    if not isinstance(time, datetime):
        return "date" if isinstance(time, date) else "none"
    return "naive" if time.tzinfo is None else "aware"
