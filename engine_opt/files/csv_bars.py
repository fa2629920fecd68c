"""Bars from CSV files, row by row, with every doubt told by its place; and what a series as a whole looks suspicious for.

A file has a header, whose names are matched whatever their case and order; other columns are left alone:
Date, Time, Timestamp or Datetime; Open; High; Low; Close; and if they are there Volume or Vol, Adj Close, Symbol or
Ticker, VIX. The separator is a comma, the text UTF-8, a decimal point is a point. A quoted cell ends on its line.

However large the file is, one line of it is held at a time, and of each symbol the time of its last bar.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from os import PathLike
from typing import IO, Any, Literal, NamedTuple, TypeVar, cast, get_args

from engine_opt._validate import INF, positive
from engine_opt.errors import FileError, InputError
from engine_opt.model import Bar, check_bar, check_symbol

Item = tuple[str, Bar, float | None]
OnError = Literal["stop", "skip"]
DateFormat = Literal["YYYY-MM-DD", "MM/DD/YYYY", "DD/MM/YYYY"]
_Row = TypeVar("_Row")

LONGEST_LINE = 2**20
MOST_ERRORS = 1000

# What a column is for, by its name without case, blanks, points and underscores.
_ROLES = {
    "date": "time",
    "time": "time",
    "timestamp": "time",
    "datetime": "time",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "vol": "volume",
    "adjclose": "adjusted close",
    "adjustedclose": "adjusted close",
    "symbol": "symbol",
    "ticker": "symbol",
    "vix": "vix",
}
_REQUIRED = ("time", "open", "high", "low", "close")
_IGNORED_IN_NAMES = str.maketrans("", "", " ._")


def read_bars(
    path: str | PathLike[str],
    symbol: str | None = None,
    on_error: OnError = "stop",
    errors: list[FileError] | None = None,
    *,
    adjusted: bool = True,
    date_format: DateFormat = "YYYY-MM-DD",
) -> Iterator[Item]:
    """Yield (symbol, bar, VIX or None) row by row from a CSV file, plain or `.gz`, or from a `.parquet` file.

    `symbol` names the series of a file that has no symbol column, and chooses from one that has. `adjusted` multiplies
    the prices by adjusted close over close where there is such a column, as `engine_opt.data.load` does. Days are
    written as `date_format` says; `YYYY-MM-DD` reads ISO times as well. An empty cell of volume or VIX is None.

    `on_error` "stop" raises the first FileError; "skip" leaves out the rows that are wrong and appends their
    FileErrors to `errors`: the first 1000, and one more whose `value` is the number of all others. An error of the
    file as a whole is always raised.

    Raises FileError, InputError for an argument that is none of those, and EngineError where Parquet cannot be read
    because pyarrow is not installed.
    """
    if symbol is not None:
        check_symbol(symbol)
    _check_choice("on_error", on_error, get_args(OnError))
    _check_choice("date_format", date_format, get_args(DateFormat))
    if on_error == "skip" and errors is None:
        raise InputError("errors", errors, "give a list for what is skipped: nothing is left out unseen")
    refused = Refused(errors if on_error == "skip" else None)
    name = os.fspath(path)
    if name.lower().endswith(".parquet"):
        from engine_opt.files.parquet import read_parquet

        return read_parquet(name, symbol, refused, adjusted=adjusted, date_format=date_format)
    return _read_csv(name, symbol, refused, adjusted=adjusted, date_format=date_format)


def _check_choice(field: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(field, value, f"it must be one of {', '.join(map(repr, choices))}")


class Refused:
    """What becomes of the rows that are wrong."""

    def __init__(self, errors: list[FileError] | None) -> None:
        self._errors = errors
        self._kept = self._more = 0
        self._last = -1  # where the count stands in the list

    def take(self, error: FileError) -> None:
        """Raise `error`, keep it, or count it."""
        if self._errors is None:
            raise error
        if self._kept < MOST_ERRORS:
            self._errors.append(error)
            self._kept += 1
            return
        self._more += 1
        why = f"more than {MOST_ERRORS} rows are wrong; these are only counted"
        last = FileError(error.path, None, None, self._more, why)
        if self._more == 1:
            self._last = len(self._errors)
            self._errors.append(last)
        else:
            self._errors[self._last] = last


class BarReader:
    """Turns one row of cells after another into bars: what CSV and Parquet have in common."""

    def __init__(
        self,
        path: str,
        names: Sequence[str],
        symbol: str | None,
        *,
        adjusted: bool,
        date_format: DateFormat,
        counted: str = "line",
    ) -> None:
        self._path = path
        self._names = names
        self._counted = counted
        self._wanted = symbol
        self._iso = date_format == "YYYY-MM-DD"
        self._date_format = date_format
        self.roles = roles = self._match()
        missing = [role for role in _REQUIRED if role not in roles]
        if symbol is None and "symbol" not in roles:
            missing.append("symbol")
        if missing:
            hint = "; or say whose bars these are with symbol=" if missing == ["symbol"] else ""
            why = f"there is no column for {', '.join(missing)}; the columns are {_short(', '.join(names))}{hint}"
            raise FileError(path, self._header_line, missing[0], None, why)
        self._prices = tuple(roles[role] for role in _REQUIRED)
        self._volume, self._vix, self._symbol = roles.get("volume"), roles.get("vix"), roles.get("symbol")
        self._adjusted = roles.get("adjusted close") if adjusted else None
        self._last: dict[str, date] = {}
        self._rows = 0

    def items(
        self, rows: Iterable[tuple[int, _Row]], cells: Callable[[int, _Row], Sequence[Any]], refused: Refused
    ) -> Iterator[Item]:
        """Yield the bars of numbered rows. `cells` takes a row apart; FileErrors of single rows go to `refused`."""
        for number, row in rows:
            try:
                item = self._item(number, cells(number, row))
            except FileError as error:
                refused.take(error)
                continue
            if item is not None:
                yield item
        self._finish()

    def _item(self, line: int, cells: Sequence[Any]) -> Item | None:
        """Return a row's bar, None where it is another symbol's; raises FileError."""
        self._rows += 1
        symbol = self._symbol_of(line, cells)
        if symbol is None:
            return None
        at_time, at_open, at_high, at_low, at_close = self._prices
        time = self._time(line, cells[at_time])
        opened = self._number(line, "open", cells[at_open])
        high = self._number(line, "high", cells[at_high])
        low = self._number(line, "low", cells[at_low])
        close = self._number(line, "close", cells[at_close])
        volume = vix = None
        if self._volume is not None and cells[self._volume] not in (None, ""):
            volume = self._number(line, "volume", cells[self._volume])
        try:
            bar = Bar(time, opened, high, low, close, volume)
            if self._adjusted is not None:
                factor = positive("adjusted close", self._number(line, "adjusted close", cells[self._adjusted])) / close
                bar = Bar(time, opened * factor, high * factor, low * factor, close * factor, volume)
            if self._vix is not None and cells[self._vix] not in (None, ""):
                vix = positive("vix", self._number(line, "vix", cells[self._vix]))
            self._check_order(symbol, bar)
        except InputError as error:
            raise self._error(line, error.field, error.value, error.why) from None
        self._last[symbol] = time
        return symbol, bar, vix

    def _finish(self) -> None:
        """Raise FileError where the file had no row, or none of the symbol asked for."""
        if not self._rows:
            raise FileError(self._path, self._header_line, None, None, "there is a header and nothing else")
        if self._symbol is not None and self._wanted is not None and self._wanted not in self._last:
            why = "no row that can be used has this symbol"
            raise FileError(self._path, None, self._names[self._symbol], self._wanted, why)

    @property
    def _header_line(self) -> int | None:
        return 1 if self._counted == "line" else None

    def _match(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for index, name in enumerate(self._names):
            role = _ROLES.get(name.lower().translate(_IGNORED_IN_NAMES))
            if role in found:
                why = f"{self._names[found[role]]!r} and {name!r} both mean the {role}: take one of them out"
                raise FileError(self._path, self._header_line, name, None, why)
            if role is not None:
                found[role] = index
        return found

    def _symbol_of(self, line: int, cells: Sequence[Any]) -> str | None:
        wanted = self._wanted
        if self._symbol is None:
            return wanted
        cell = cells[self._symbol]
        symbol = cell.strip() if isinstance(cell, str) else cell
        if not isinstance(symbol, str) or not symbol:
            raise self._error(line, "symbol", cell, "it must be a name")
        return symbol if wanted is None or symbol == wanted else None

    def _number(self, line: int, role: str, cell: Any) -> float:
        if type(cell) is str:
            try:
                number = float(cell)
            except ValueError:
                raise self._error(line, role, cell, "it is not a number" if cell.strip() else "it is empty") from None
            if -INF < number < INF and "_" not in cell and cell.isascii():
                return number
            why = "it is not a number" if number - number == 0.0 else "it is not finite; give a finite number"
            raise self._error(line, role, cell, why)
        if type(cell) is not float:
            raise self._error(line, role, cell, "it is missing" if cell is None else "it is not a number")
        return cell

    def _time(self, line: int, cell: Any) -> date:
        if isinstance(cell, date):
            return cell
        if cell is None:
            raise self._error(line, "time", cell, "it is missing")
        try:
            return _iso(cell) if self._iso else _day(cell, self._date_format)
        except ValueError:
            pass
        also = " or an ISO time" if self._iso else ""
        raise self._error(line, "time", cell, f"it is not a day as {self._date_format}{also}; see date_format=")

    def _check_order(self, symbol: str, bar: Bar) -> None:
        last = self._last.get(symbol)
        if last is None:
            return
        if bar.time == last:
            raise InputError("time", str(bar.time), f"{symbol} has a bar of this time already")
        check_bar(bar, last)

    def _error(self, line: int, role: str, value: object, why: str) -> FileError:
        name = self._names[self.roles[role]]
        return FileError(self._path, line, name, _short(value), why, self._counted)


def _iso(cell: str) -> date:
    """Return an ISO day or time; of all that Python takes for ISO, only what has hyphens in the usual places."""
    cell = cell.strip()
    if cell[4:5] != "-" or cell[7:8] != "-":
        raise ValueError(cell)
    if len(cell) == len("2000-01-01"):
        return date.fromisoformat(cell)
    if cell[10:11] not in ("T", " "):
        raise ValueError(cell)
    return datetime.fromisoformat(cell)


def _day(cell: str, date_format: DateFormat) -> date:
    first, second, year = cell.strip().split("/")
    digits = first + second + year
    if not (digits.isascii() and digits.isdecimal()) or len(year) != 4:
        raise ValueError(cell)
    if date_format == "MM/DD/YYYY":
        return date(int(year), int(first), int(second))
    return date(int(year), int(second), int(first))


def _short(value: object) -> object:
    """Return `value`, or as much of a long text as an error has room for."""
    return f"{value[:77]}..." if isinstance(value, str) and len(value) > 80 else value


# CSV -----------------------------------------------------------------------------------------------------------------


def _read_csv(
    path: str, symbol: str | None, refused: Refused, *, adjusted: bool, date_format: DateFormat
) -> Iterator[Item]:
    import zlib  # gzip needs it; here for its error

    try:
        with _open(path) as file:
            lines = _lines(file)
            names = _header(path, next(lines, None))
            reader = BarReader(path, names, symbol, adjusted=adjusted, date_format=date_format)
            yield from reader.items(lines, lambda number, line: _cells(path, number, line, names), refused)
    except (EOFError, zlib.error) as error:
        raise FileError(path, None, None, None, f"the compressed file is damaged or cut short: {error}") from error
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: str, error: OSError) -> FileError:
    """Return the FileError for what the system says of a file."""
    if isinstance(error, FileNotFoundError):
        return FileError(path, None, None, None, "there is no such file")
    if os.path.isdir(path):  # noqa: PTH112 - a text; Windows only says that permission is denied
        return FileError(path, None, None, None, "this is a folder; give a file")
    return FileError(path, None, None, None, f"it cannot be read: {error.strerror or error}")


def _open(path: str) -> IO[bytes]:
    if path.lower().endswith(".gz"):
        import gzip

        return cast("IO[bytes]", gzip.open(path, "rb"))
    return open(path, "rb")  # noqa: PTH123 - a text


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, numbered from 1; of a line that is too long only its beginning."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        part = line
        while len(part) > LONGEST_LINE and not part.endswith(b"\n"):
            part = file.readline(LONGEST_LINE + 1)
        if line.strip():
            yield number, line


def _header(path: str, first: tuple[int, bytes] | None) -> list[str]:
    if first is None:
        raise FileError(path, None, None, None, "the file is empty")
    number, line = first
    return [name.strip() for name in _split(path, number, line.removeprefix(b"\xef\xbb\xbf"))]


def _cells(path: str, number: int, line: bytes, names: list[str]) -> list[str]:
    cells = _split(path, number, line)
    if len(cells) == len(names):
        return cells
    column = names[len(cells)] if len(cells) < len(names) else None
    why = f"there are {len(cells)} cells where the header has {len(names)}"
    if not line.endswith(b"\n"):
        why += "; the line has no end: was the file cut short?"
    raise FileError(path, number, column, _short(line.decode().rstrip("\r\n")), why)


def _split(path: str, number: int, line: bytes) -> list[str]:
    """Return the cells of a line, or raise FileError for what is no line of a CSV file."""
    if len(line) > LONGEST_LINE:
        raise FileError(path, number, None, _short(line[:200].decode(errors="replace")), "the line has more than 1 MB")
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        seen = line[error.start : error.start + 8]
        raise FileError(path, number, None, seen, f"byte {error.start + 1} of the line is not UTF-8") from None
    if "\0" in text:
        raise FileError(path, number, None, _short(text), "the line has a NUL byte: the file is damaged or no text")
    if "\r" in text:
        raise FileError(path, number, None, _short(text), "the line has a carriage return inside: end lines with LF")
    if '"' not in text:
        return text.split(",")
    import csv

    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        why = f"the quotes do not match ({error}); a quoted cell must end on its line"
        raise FileError(path, number, None, _short(text), why) from None


# A series as a whole -------------------------------------------------------------------------------------------------


class FindingKind(StrEnum):
    """What looks wrong about a series."""

    GAP = "gap"
    SUSPECTED_SPLIT = "suspected_split"


class SeriesFinding(NamedTuple):
    """Something in a series that a person should look at; nothing was changed.

    `size` is in calendar days for a gap. For a suspected split it is the new number of shares per old one: 2.0 where
    the price was halved, 0.5 where it doubled.
    """

    kind: FindingKind
    before: date
    time: date
    size: float
    why: str


_LONGEST_GAP = 7  # calendar days; the exchanges' longest closure since 1933, in September 2001, made one of exactly 7
_LEAST_MOVE = 0.4
_NEAR = 0.1  # the market moves on the day of a split too
_SPLITS: Mapping[str, float] = {
    f"{new}:{old}": new / old
    for new, old in ((3, 2), (2, 1), (3, 1), (4, 1), (5, 1), (7, 1), (10, 1), (20, 1), (2, 3), (1, 2), (1, 3))
} | {"1:4": 0.25, "1:5": 0.2, "1:10": 0.1, "1:20": 0.05}


def check_series(bars: Iterable[Bar]) -> list[SeriesFinding]:
    """Return the gaps of more than 7 calendar days and the suspected splits of one symbol's bars, oldest first.

    A split is suspected where a session opens more than 40 % away from the close before it, counted from the lower of
    the two, and their ratio is within 10 % of that of a usual split: 3:2, 2:1, 3:1, 4:1, 5:1, 7:1, 10:1, 20:1, or all
    but 7:1 the other way round. A market that falls by half is suspected as well: only a person can tell.
    Raises InputError for bars that are not in order.
    """
    found = []
    before: Bar | None = None
    for each in bars:
        bar = check_bar(each, None if before is None else before.time)
        if before is not None:
            days = (bar.time - before.time).total_seconds() / 86_400
            if days > _LONGEST_GAP:
                why = f"no bar for {days:g} calendar days: is the file complete?"
                found.append(SeriesFinding(FindingKind.GAP, before.time, bar.time, days, why))
            if split := _split_between(before.close, bar.open):
                why = (
                    f"it opened at {bar.open:g} after a close of {before.close:g}, nearly {split} apart: is that a "
                    "split? Then adjust the prices before it"
                )
                found.append(SeriesFinding(FindingKind.SUSPECTED_SPLIT, before.time, bar.time, _SPLITS[split], why))
        before = bar
    return found


def _split_between(close: float, opened: float) -> str | None:
    """Return the usual split nearest to what happened overnight, None where nothing like one did."""
    if max(close, opened) / min(close, opened) - 1.0 <= _LEAST_MOVE:
        return None
    ratio = close / opened
    nearest = min(_SPLITS, key=lambda name: abs(ratio / _SPLITS[name] - 1.0))
    return nearest if abs(ratio / _SPLITS[nearest] - 1.0) <= _NEAR else None
