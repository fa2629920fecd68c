"""Parquet, through pyarrow, which is imported when the first such file is read or written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from typing import IO, Any, cast

from engine_opt.errors import EngineError, FileError, InputError
from engine_opt.files.csv_bars import BarReader, DateFormat, Item, Refused, unreadable

_ROWS = 2**13  # held at a time while reading
_NUMBERS = ("open", "high", "low", "close", "volume", "adjusted close", "vix")


def _arrow(name: str = "pyarrow") -> Any:
    """Import pyarrow, which has no annotations."""
    try:
        return import_module(name)
    except ImportError as error:
        raise EngineError(
            'Parquet files need pyarrow, which is not installed: pip install "pytest-pe-perf[parquet]"'
        ) from error


def read_parquet(
    path: str, symbol: str | None, refused: Refused, *, adjusted: bool, date_format: DateFormat
) -> Iterator[Item]:
    """Yield what `read_bars` does; rows are counted from 1."""
    arrow, parquet = _arrow(), _arrow("pyarrow.parquet")

    def reader_of(names: Sequence[str]) -> BarReader:
        return BarReader(path, names, symbol, adjusted=adjusted, date_format=date_format, counted="row")

    try:
        with open(path, "rb") as raw, parquet.ParquetFile(raw) as file:  # noqa: PTH123 - a text
            every = file.schema_arrow.names
            roles = sorted((at, role) for role, at in reader_of(every).roles.items())
            columns = [(every[at], role) for at, role in roles]  # the others are not even read
            rows = enumerate(_rows(arrow, path, file, columns), 1)
            yield from reader_of([name for name, _ in columns]).items(rows, lambda _, row: row, refused)
    except arrow.ArrowException as error:  # some of them are OSErrors too
        raise FileError(path, None, None, None, f"it cannot be read as Parquet: {_first_line(error)}") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _rows(arrow: Any, path: str, file: Any, columns: Sequence[tuple[str, str]]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of columns given by name and role; some thousands are held at a time."""
    for batch in file.iter_batches(_ROWS, columns=[name for name, _ in columns]):
        values = [
            _values(arrow, path, name, role, column)
            for (name, role), column in zip(columns, batch.columns, strict=True)
        ]
        yield from zip(*values, strict=True)


def _values(arrow: Any, path: str, name: str, role: str, column: Any) -> list[Any]:
    """Return a column as floats, dates, or text; None where there is nothing."""
    types = arrow.types
    if types.is_dictionary(column.type):  # what pandas calls categories
        column = column.dictionary_decode()
    kind = column.type
    text = types.is_string(kind) or types.is_large_string(kind)
    if role in _NUMBERS:
        good = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_null(kind)
        wanted = "numbers"
        column = column.cast(arrow.float64(), safe=False) if good else column
    elif role == "time":
        good = text or types.is_date(kind) or types.is_timestamp(kind)
        wanted = "days, times, or text"
        # A datetime has microseconds: what is finer is refused, not rounded.
        column = column.cast(arrow.timestamp("us", tz=kind.tz)) if types.is_timestamp(kind) else column
    else:
        good, wanted = text, "text"
    if not good:
        raise FileError(path, None, name, str(kind), f"the {role} must be a column of {wanted}")
    return cast("list[Any]", column.to_pylist())


def write_parquet(file: IO[bytes], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows as one table, a column's type following from its values; raises InputError where they have none."""
    arrow, parquet = _arrow(), _arrow("pyarrow.parquet")
    pieces = [arrow.table({name: _array(arrow, name, []) for name in columns})]
    waiting = iter(rows)
    while piece := list(islice(waiting, _ROWS)):
        pieces.append(
            arrow.table({name: _array(arrow, name, [row[at] for row in piece]) for at, name in enumerate(columns)})
        )
    try:
        table = arrow.concat_tables(pieces, promote_options="permissive")
    except arrow.ArrowException as error:
        raise InputError("rows", columns, f"the values of a column have no common type: {_first_line(error)}") from None
    parquet.write_table(table, file)


def _array(arrow: Any, name: str, values: list[object]) -> Any:
    try:
        return arrow.array(values)
    except (arrow.ArrowException, OverflowError, UnicodeEncodeError) as error:
        why = f"the values of the column have no common type: {_first_line(error)}"
        raise InputError("column", name, why) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
