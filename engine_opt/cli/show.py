"""Tables, trees and JSON on standard output. Renders; decides nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from engine_opt.cli.options import BarFile
    from engine_opt.errors import FileError
    from engine_opt.explanation import Explanation

NOTHING = "-"
SKIPPED = 2
# What the library calls its arguments, and what they are called here.
_OPTIONS = {"symbol=": "--symbol", "date_format=": "--date-format"}
_COLOURS = {
    "REJECTED": "red",
    "rejected": "red",
    "high": "red",
    "HIGH": "red",
    "extreme": "red",
    "WARNING": "yellow",
    "MEDIUM": "yellow",
    "moderate": "yellow",
    "pending": "yellow",
    "APPROVED": "green",
    "approved": "green",
    "LOW": "green",
    "low": "green",
}


def width() -> int:
    """Return how wide the output may be: COLUMNS, the terminal's width, or 80."""
    return get_terminal_size((80, 24)).columns


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()) -> None:
    """Print a table; the columns named in `right` stand to the right. See `table`."""
    for line in table(columns, rows, right, width(), coloured=_coloured()):
        click.echo(line, color=True)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str], wide: int, *, coloured: bool = False
) -> Iterator[str]:
    """Yield the lines of a table in `wide` columns. Cells with blanks are wrapped where it is too wide.

    No cell is ever cut: a table whose words do not fit is wider than that.
    """
    cells = [[clean(text(cell)) for cell in row] for row in rows]
    widths = _widths([list(columns), *cells], wide)
    ends = [name in right for name in columns]
    head = _line(columns, widths, ends, {})
    yield click.style(head, bold=True) if coloured else head
    yield " ".join("-" * each for each in widths)
    for row in cells:
        parts = [_wrapped(cell, size) for cell, size in zip(row, widths, strict=True)]
        for level in range(max(map(len, parts))):
            shown = [part[level] if level < len(part) else "" for part in parts]
            yield _line(shown, widths, ends, _COLOURS if coloured else {})


def _widths(rows: Sequence[Sequence[str]], wide: int) -> list[int]:
    """Return the width of each column: what its longest cell needs, or less where cells have blanks to wrap at."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    least = [max(len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    for _ in range(sum(widths) + len(widths) - 1 - wide):
        slack, index = max((have - need, i) for i, (have, need) in enumerate(zip(widths, least, strict=True)))
        if slack == 0:
            break
        widths[index] -= 1
    return widths


def _wrapped(cell: str, size: int) -> list[str]:
    return wrap(cell, size, break_long_words=False, break_on_hyphens=False) or [""]


def _line(cells: Sequence[str], widths: Sequence[int], ends: Sequence[bool], colours: Mapping[str, str]) -> str:
    parts = []
    for cell, size, end in zip(cells, widths, ends, strict=True):
        padded = cell.rjust(size) if end else cell.ljust(size)
        parts.append(click.style(padded, fg=colours[cell]) if cell in colours else padded)
    return " ".join(parts).rstrip()


def print_text(line: str = "") -> None:
    """Print a line, wrapped where it is too wide, its continuation indented by four."""
    line = clean(line)
    indent = line[: len(line) - len(line.lstrip())]
    for part in wrap(line, width(), subsequent_indent=indent + "    ", break_on_hyphens=False) or [""]:
        click.echo(part)


def print_tree(tree: Explanation) -> None:
    """Print an explanation."""
    for line in tree.lines():
        print_text(line)


def print_json(document: object) -> None:
    """Print a document of plain values."""
    click.echo(json.dumps(document, allow_nan=False, indent=1))


def text(value: object) -> str:
    """Return a cell: a dash for what is not known, days and times as ISO, names in words."""
    if value is None:
        return NOTHING
    if isinstance(value, datetime):
        return value.isoformat(" ", "minutes")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def words(name: object) -> str:
    """Return the name of an action or a condition in words."""
    return NOTHING if name is None else str(name).replace("_", " ")


def price(value: float | None) -> str | None:
    """Return a price, to two decimals where it is not a fraction of one."""
    if value is None:
        return None
    return f"{value:.2f}" if value >= 1.0 else f"{value:.4g}"


def clean(line: str) -> str:
    """Return `line` with what would move the cursor or colour the screen written out; line ends stay."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in line)


def said(error: FileError) -> str:
    """Return what is wrong with a file, in the words of the command line."""
    text = str(error)
    for argument, option in _OPTIONS.items():
        if error.why.endswith(argument):
            text = text.removesuffix(argument) + option
    return text


def plain_error(error: FileError) -> dict[str, Any]:
    """Return an error of a file as plain values."""
    from engine_opt.plain import dump

    value = dump(error.value) if isinstance(error.value, str | int | float | None) else repr(error.value)
    return {"path": error.path, "line": error.line, "column": error.column, "value": value, "why": error.why}


def doubts(source: BarFile) -> dict[str, Any]:
    """Return what is to be said of a file of bars in JSON."""
    return {"skipped": [plain_error(each) for each in source.skipped], "suspicions": source.suspicions}


def finish(source: BarFile) -> None:
    """Say on standard error what is doubtful about a file of bars, and exit with 2 where rows were skipped."""
    for each in source.suspicions:
        click.echo(f"warning: {clean(each)}", err=True)
    finish_skipped(source.skipped)


def finish_skipped(skipped: Sequence[FileError]) -> None:
    """List on standard error the rows that were skipped, and exit with 2 if there were any."""
    if not skipped:
        return
    sys.stdout.flush()
    for error in skipped:
        click.echo(f"skipped: {clean(said(error))}", err=True)
    last = skipped[-1]
    count = len(skipped) - 1 + last.value if last.line is None and isinstance(last.value, int) else len(skipped)
    click.echo(f"error: {count} wrong {'row was' if count == 1 else 'rows were'} skipped", err=True)
    raise click.exceptions.Exit(SKIPPED)


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
