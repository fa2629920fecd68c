"""Tables of results: written whole or not at all.

Whoever looks sees what was there before or all of the new one; whatever happens on the way, nothing else stays behind.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import Enum
from itertools import chain
from math import isfinite
from os import PathLike
from typing import IO

from engine_opt.errors import InputError
from engine_opt.files.disk import replacing

_Writer = Callable[[IO[bytes], Sequence[str], Iterable[Sequence[object]]], None]


def write_table(
    path: str | PathLike[str], rows: Iterable[Mapping[str, object]], columns: Sequence[str] | None = None
) -> int:
    """Write `rows` as `.csv`, `.csv.gz`, `.jsonl` or `.parquet`, as the name says, and return how many there were.

    `columns` chooses and orders them; without it they are the first row's, and a row with another one is refused. What
    a row does not have is None: empty in CSV, null elsewhere. Enums are written as their values, floats so that they
    read back exactly, lists and mappings as JSON. Days and times are ISO text, and Parquet's own types there. What is
    infinite or not a number is text in JSON, which has no word for it. The same rows give the same bytes.

    Raises InputError for another suffix, a value that is none of these, a table without columns; EngineError where
    Parquet cannot be written because pyarrow is not installed; OSError from the system; whatever `rows` raises. Then
    the file is as it was before.
    """
    name = os.fspath(path)
    write = next((each for suffix, each in _WRITERS.items() if name.lower().endswith(suffix)), None)
    if write is None:
        raise InputError("path", name, f"the name of a table must end in {', '.join(SUFFIXES)}")
    waiting = iter(rows)
    first = next(waiting, None)
    source = waiting if first is None else chain([first], waiting)
    table = _Table(source, _columns_of(first, columns), only_these=columns is None)
    with replacing(name) as file:
        try:
            write(file, table.columns, table)
        except UnicodeEncodeError as error:
            seen = error.object[error.start : error.end]
            where = f"rows[{table.count - 1}]" if table.count else "columns"
            raise InputError(where, seen, "half a character is not text") from None
    return table.count


def _columns_of(first: Mapping[str, object] | None, columns: Sequence[str] | None) -> list[str]:
    chosen = list(columns if columns is not None else first or ())
    if not chosen:
        raise InputError("columns", columns, "a table needs columns: name them where there may be no rows")
    for column in chosen:
        if not isinstance(column, str) or not column:
            raise InputError("columns", column, "a column's name must be a non-empty string")
    if len(set(chosen)) < len(chosen):
        raise InputError("columns", chosen, "a column stands twice")
    return chosen


class _Table:
    """The rows as lists of values in the order of the columns, checked as they pass, and counted."""

    def __init__(self, rows: Iterable[Mapping[str, object]], columns: list[str], *, only_these: bool) -> None:
        self.columns = columns
        self.count = 0
        self._rows = rows
        self._only = frozenset(columns) if only_these else None

    def __iter__(self) -> Iterator[list[object]]:
        for row in self._rows:
            where = f"rows[{self.count}]"
            if not isinstance(row, Mapping):
                raise InputError(where, row, "a row must be a mapping of column to value")
            if self._only is not None and not self._only.issuperset(row):
                other = next(each for each in row if each not in self._only)
                raise InputError(where, other, "the first row has no such column: name the columns that you want")
            self.count += 1
            yield [_value(where, column, row.get(column)) for column in self.columns]


def _value(where: str, column: str, value: object) -> object:
    """Return `value` as None, a bool, int, float, text, date, list or dict, and nothing derived from them."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str) or kind is date:
        return value
    if isinstance(value, Enum):
        return _value(where, column, value.value)
    if isinstance(value, date):
        return value
    for plain in (float, int, str):  # those of NumPy, for one
        if isinstance(value, plain):
            return plain(value)
    if isinstance(value, Mapping):
        return {str(key): _value(where, column, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_value(where, column, each) for each in value]
    why = "give None, a bool, a number, text, a date, an enum, a list or a mapping"
    raise InputError(f"{where}.{column}", value, f"{kind.__name__} has no place in a table: {why}")


def _jsonable(value: object) -> object:
    """Return what JSON can hold: days and what is infinite or not a number as text."""
    if isinstance(value, float):
        return value if isfinite(value) else repr(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _jsonable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_jsonable(each) for each in value]
    return value


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _cell(value: object) -> str:
    """Return what a cell of a CSV file shows, in quotes where it must be."""
    if value is None:
        return ""
    if type(value) is float:
        return repr(value)
    if isinstance(value, bool | dict | list):
        value = _encode(_jsonable(value))
    text = value.isoformat() if isinstance(value, date) else str(value)
    # Not by the csv module, which before Python 3.13 leaves a carriage return without quotes, and the row in two.
    if "," in text or '"' in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def _write_csv(file: IO[bytes], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    for row in chain([columns], rows):
        line = ",".join(map(_cell, row))
        file.write((line or '""').encode() + b"\n")  # a blank line would be no row


def _write_packed_csv(file: IO[bytes], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from gzip import GzipFile
    from io import BufferedWriter

    # Neither name nor time: the same rows give the same bytes.
    with GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed, BufferedWriter(packed) as buffered:
        _write_csv(buffered, columns, rows)


def _write_lines(file: IO[bytes], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    for row in rows:
        line = {column: _jsonable(value) for column, value in zip(columns, row, strict=True)}
        file.write(_encode(line).encode() + b"\n")


def _write_parquet(file: IO[bytes], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from engine_opt.files.parquet import write_parquet

    write_parquet(file, columns, ([_field(value) for value in row] for row in rows))


def _field(value: object) -> object:
    """Return what a field of a Parquet file holds: what has parts is text there, as in CSV."""
    return _encode(_jsonable(value)) if isinstance(value, dict | list) else value


_WRITERS: Mapping[str, _Writer] = {
    ".csv": _write_csv,
    ".csv.gz": _write_packed_csv,
    ".jsonl": _write_lines,
    ".parquet": _write_parquet,
}
SUFFIXES = tuple(_WRITERS)
"""What the name of a table may end in."""
