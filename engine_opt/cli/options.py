"""The options that several verbs share, and what they are turned into."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from datetime import date

    from engine_opt.config import EngineConfig
    from engine_opt.errors import FileError
    from engine_opt.files.csv_bars import DateFormat, Item, OnError
    from engine_opt.model import Bar

_C = TypeVar("_C", bound=Callable[..., Any])

FILE: Any = click.Path(path_type=Path)
POSITIONS = ("cash", "short_put", "long_stock", "short_call")  # of model.Position, which is not imported for a --help
ACCOUNTS = ("GEN", "REV", "COM")
_MOST_SUSPICIONS = 20


def _stacked(*options: Callable[[_C], _C]) -> Callable[[_C], _C]:
    def decorate(command: _C) -> _C:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")

config_options = _stacked(
    click.option("--config", "config_file", type=FILE, metavar="FILE.toml", help="Configuration of the engine."),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set one value of it, in TOML: --set market.temperature=0.5; may be repeated.",
    ),
)

reading_options = _stacked(
    click.option("--symbol", metavar="NAME", help="The one to read; names the series where no column does."),
    click.option(
        "--on-error",
        type=click.Choice(["stop", "skip"]),
        default="stop",
        show_default=True,
        help="At a wrong row: stop, or skip it, list it at the end and exit with 2.",
    ),
    click.option(
        "--date-format",
        type=click.Choice(["YYYY-MM-DD", "MM/DD/YYYY", "DD/MM/YYYY"]),
        default="YYYY-MM-DD",
        show_default=True,
        help="How days are written.",
    ),
)

bars_options = _stacked(click.argument("file", type=FILE), reading_options)

# Named as the fields of `requests.Held`.
held_options = _stacked(
    click.option("--account", type=click.Choice(ACCOUNTS), required=True, help="Whose limits count."),
    click.option("--position", type=click.Choice(POSITIONS), required=True, help="What is held of each symbol."),
    click.option("--account-value", type=float, required=True, metavar="MONEY", help="Of that account."),
    click.option("--portfolio-value", type=float, required=True, metavar="MONEY", help="Of all accounts together."),
    click.option(
        "--portfolio-risk", type=float, default=0.0, show_default=True, metavar="SHARE", help="At risk already."
    ),
    click.option("--drawdown", type=float, default=0.0, show_default=True, metavar="SHARE", help="Of the account."),
    click.option(
        "--shares", "shares_held", type=int, default=0, show_default=True, metavar="N", help="Held of each symbol."
    ),
    click.option("--strike", type=float, metavar="PRICE", help="Of the short put."),
    click.option("--cost-basis", type=float, metavar="PRICE", help="Of the stock, per share."),
    click.option("--days", "days_to_expiration", type=float, metavar="DAYS", help="To the position's expiration."),
    click.option("--week-colour", type=click.Choice(["green", "red", "chop"]), help="Colour of the weeks."),
    click.option("--vix-mean", type=float, metavar="POINTS", help="Mean that VIX is judged against."),
)

every_option = click.option(
    "--every",
    type=click.Choice(["week", "session"]),
    default="week",
    show_default=True,
    help="Decide at the last session of each week, or at each session.",
)


def configuration(config_file: Path | None, overrides: tuple[str, ...]) -> EngineConfig:
    """Return the configuration that the options ask for. Raises ConfigError, UsageError for a `--set` without `=`."""
    from engine_opt.config import EngineConfig

    values = {}
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise click.UsageError(f"--set {override!r}: give a name and a TOML value, such as market.temperature=0.5")
        values[name.strip()] = value.strip()
    return EngineConfig.parse("", values) if config_file is None else EngineConfig.load(config_file, values)


def apart(*paths: Path | None) -> None:
    """Refuse to write one file over another. Raises UsageError."""
    seen = set()
    for path in paths:
        if path is not None and os.path.realpath(path) in seen:
            raise click.UsageError(f"{path} is given twice: each file needs a name of its own")
        if path is not None:
            seen.add(os.path.realpath(path))


def writable(table: Path | None, *others: Path | None) -> None:
    """Refuse what cannot be written before anything is read, not after. Raises UsageError."""
    if table is not None:
        from engine_opt.files.tables import SUFFIXES

        if not table.name.lower().endswith(SUFFIXES):
            raise click.UsageError(f"{table}: the name of a table must end in {', '.join(SUFFIXES)}")
    for path in (table, *others):
        if path is not None and not path.absolute().parent.is_dir():
            raise click.UsageError(f"{path}: there is no such folder to write to")


class BarFile:
    """The bars of a file as they are read; afterwards, what was skipped of it and what looks suspicious.

    Attributes:
        skipped: the rows that could not be used, where these are skipped.
        suspicions: what a person should look at, such as a split that the prices were not adjusted for.

    """

    def __init__(self, path: Path, symbol: str | None, on_error: OnError, date_format: DateFormat) -> None:
        self.path = path
        self.skipped: list[FileError] = []
        self.suspicions: list[str] = []
        self._arguments = symbol, on_error
        self._date_format: DateFormat = date_format

    def __iter__(self) -> Iterator[Item]:
        from engine_opt.files.csv_bars import read_bars

        last: dict[str, Bar] = {}
        more = 0
        for symbol, bar, vix in read_bars(self.path, *self._arguments, self.skipped, date_format=self._date_format):
            if symbol in last and (split := _split(symbol, last[symbol], bar)):
                if len(self.suspicions) < _MOST_SUSPICIONS:
                    self.suspicions.append(split)
                else:
                    more += 1
            last[symbol] = bar
            yield symbol, bar, vix
        if more:
            self.suspicions.append(f"and {more} more of the kind")


def _split(symbol: str, before: Bar, bar: Bar) -> str | None:
    """Return what looks like a split between two bars; gaps are left to those who know the exchange."""
    from engine_opt.files.csv_bars import FindingKind, check_series

    for finding in check_series((before, bar)):
        if finding.kind is FindingKind.SUSPECTED_SPLIT:
            return f"{symbol}, {finding.time}: {finding.why}"
    return None


def week_of(time: date) -> int:
    """Return the number of the ISO week that a day is in, counted from the calendar's first."""
    return (time.toordinal() - 1) // 7  # day 1 of the calendar was a Monday
