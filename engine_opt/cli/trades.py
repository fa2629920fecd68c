"""Proposed trades from a CSV file: the columns of a TradeDecision and of a TradeContext, every doubt told by its place."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from engine_opt.errors import FileError, InputError
from engine_opt.model import TradeContext, TradeDecision

_LONGEST_LINE = 2**20
_REQUIRED = ("action", "symbol", "account", "today", "portfolio_value")


class ProposedTrade(NamedTuple):
    """A row of the file: where it stands, what is to be done, and what is known."""

    line: int
    decision: TradeDecision
    context: TradeContext


def read_trades(path: Path, refuse: Callable[[FileError], None]) -> Iterator[ProposedTrade]:
    """Yield the trades of a CSV file in UTF-8; an empty cell is not known.

    What is wrong with a row is given to `refuse`, which raises it or goes on without the row. Raises FileError for the
    file as a whole and for its header: an unknown column would be a limit that is not looked at.
    """
    try:
        with path.open("rb") as file:
            lines = _lines(path, file, refuse)
            first = next(lines, None)
            if first is None:
                raise FileError(str(path), None, None, None, "the file is empty")
            names = _header(path, *first)
            count = 0
            for line, cells in lines:
                count += 1
                try:
                    yield _trade(path, line, names, cells)
                except FileError as error:
                    refuse(error)
            if not count:
                raise FileError(str(path), first[0], None, None, "there is a header and no trade")
    except OSError as error:
        from engine_opt.files.csv_bars import unreadable

        raise unreadable(str(path), error) from error


def misplaced(path: Path, line: int, error: InputError) -> FileError:
    """Return the error of a record's field as that of the cell it came from."""
    return FileError(str(path), line, error.field, _shown(error.value), error.why)


def _lines(path: Path, file: Any, refuse: Callable[[FileError], None]) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each line that is not blank, numbered from 1. A quoted cell ends on its line."""
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        try:
            cells = _cells(path, number, line)
        except FileError as error:
            if len(line) > _LONGEST_LINE or number == 1:
                raise  # where the next line begins is not known, or what its cells mean
            refuse(error)
            continue
        if any(cells):
            yield number, cells


def _cells(path: Path, number: int, line: bytes) -> list[str]:
    if len(line) > _LONGEST_LINE:
        raise FileError(str(path), number, None, None, "the line has more than 1 MB: this is no table of trades")
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        why = f"byte {error.start + 1} of the line is not UTF-8"
        raise FileError(str(path), number, None, line[error.start : error.start + 8], why) from None
    if "\0" in text:
        raise FileError(str(path), number, None, None, "the line has a NUL byte: the file is damaged or no text")
    try:
        return [cell.strip() for cell in next(csv.reader([text], strict=True), [])]
    except csv.Error as error:
        why = f"the quotes do not match ({error}); a quoted cell must end on its line"
        raise FileError(str(path), number, None, text[:80], why) from None


def _header(path: Path, line: int, cells: list[str]) -> list[str]:
    names = [name.lower().replace(" ", "_") for name in cells]
    for name, cell in zip(names, cells, strict=True):
        if name not in _READERS:
            raise FileError(str(path), line, cell, None, f"this column is not known: choose from {', '.join(_READERS)}")
        if names.count(name) > 1:
            raise FileError(str(path), line, cell, None, "this column stands twice: take one of them out")
    for name in _REQUIRED:
        if name not in names:
            raise FileError(
                str(path), line, name, None, f"there is no such column; there must be {', '.join(_REQUIRED)}"
            )
    return names


def _trade(path: Path, line: int, names: list[str], cells: list[str]) -> ProposedTrade:
    if len(cells) != len(names):
        column = names[len(cells)] if len(cells) < len(names) else None
        why = f"there are {len(cells)} cells where the header has {len(names)}"
        raise FileError(str(path), line, column, ",".join(cells)[:80], why)
    given: dict[str, object] = {}
    for name, cell in zip(names, cells, strict=True):
        if cell:
            given[name] = _value(path, line, name, cell)
        elif name in _REQUIRED:
            raise FileError(str(path), line, name, cell, "it is empty, and no rule can do without")
    try:
        decision = TradeDecision(**_part(given, _DECISION))
        return ProposedTrade(line, decision, TradeContext(**_part(given, _CONTEXT)))
    except InputError as error:
        raise misplaced(path, line, error) from None


def _value(path: Path, line: int, name: str, cell: str) -> object:
    try:
        return _READERS[name](cell)
    except ValueError as error:
        raise FileError(str(path), line, name, _shown(cell), str(error)) from None


def _part(given: Mapping[str, object], names: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in names}


def _shown(value: object) -> object:
    if isinstance(value, str):
        return value[:80]
    return value.isoformat() if isinstance(value, date) else value


def _number(cell: str) -> float:
    try:
        # Python also reads 1_000 and digits of other scripts: neither is meant.
        return float(cell if cell.isascii() and "_" not in cell else "")
    except ValueError:
        raise ValueError("it is not a number") from None


def _whole(cell: str) -> int:
    if not (cell.isascii() and cell.removeprefix("-").isdecimal()) or len(cell) > 20:
        raise ValueError("it is not a whole number")
    return int(cell)


def _day(cell: str) -> date:
    try:
        if len(cell) == len("2000-01-01"):
            return date.fromisoformat(cell)
    except ValueError:
        pass
    raise ValueError("it is not a day as YYYY-MM-DD")


# What is to become of a cell; names of enum members are left to the records.
_DECISION: Mapping[str, Callable[[str], object]] = {
    "action": str,
    "symbol": str,
    "account": str,
    "quantity": _whole,
    "delta": _number,
    "strike": _number,
    "expiration": _day,
    "max_risk": _number,
    "expected_return": _number,
    "confidence": _number,
}
_CONTEXT: Mapping[str, Callable[[str], object]] = {
    "today": _day,
    "portfolio_value": _number,
    "account_value": _number,
    "portfolio_risk": _number,
    "drawdown": _number,
    "shares_held": _whole,
    "market_condition": str,
    "week_type": str,
    "week_colour": str,
    "vix": _number,
    "vix_mean": _number,
}
_READERS = {**_DECISION, **_CONTEXT}
