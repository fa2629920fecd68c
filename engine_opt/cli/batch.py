"""`batch`: the bars of many symbols through many configurations at once, and a table of what they decide."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine_opt.errors import EngineError, InputError

from .options import (
    FILE,
    BarFile,
    apart,
    configuration,
    every_option,
    held_options,
    json_option,
    reading_options,
    writable,
)
from .requests import Held

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Executor

    from engine_opt.batch.decisions import DecisionColumns
    from engine_opt.batch.parallel import Series
    from engine_opt.config import EngineConfig
    from engine_opt.files.csv_bars import DateFormat, OnError

    from .deciding import Every

_EXAMPLE = r"""
Example:
  python -m engine_opt batch prices.csv --account REV --position cash \
    --account-value 300000 --portfolio-value 1000000 --out decisions.csv
"""
_DEFAULTS = "defaults"
_SHOWN = ("configuration", "fingerprint", "decisions", "idle", "rejected", "pending", "approved")


@click.command(
    short_help="Many symbols and configurations at once, to a table.",
    epilog="\b" + _EXAMPLE,
)
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@reading_options
@held_options
@every_option
@click.option(
    "--config", "config_files", type=FILE, multiple=True, metavar="FILE.toml", help="A configuration; may be repeated."
)
@click.option(
    "--set", "overrides", multiple=True, metavar="NAME=VALUE", help="Set one value in all of them; may be repeated."
)
@click.option("--out", type=FILE, required=True, metavar="TABLE", help="To write: .csv, .csv.gz, .jsonl or .parquet.")
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="Processes that decide."
)
@json_option
def batch(
    files: tuple[Path, ...],
    symbol: str | None,
    on_error: OnError,
    date_format: DateFormat,
    every: Every,
    config_files: tuple[Path, ...],
    overrides: tuple[str, ...],
    out: Path,
    workers: int,
    as_json: bool,
    **held: Any,
) -> None:
    """Decide about every symbol in each FILE, CSV or Parquet, at the end of each week and by each configuration.

    The answers are those of `run`, but all bars are held in memory and decided about column by column; this needs
    NumPy. TABLE has a row per symbol, configuration and week, with the configuration's file and fingerprint.
    """
    from .show import print_json, print_table, print_text

    apart(*files, *config_files, out)
    writable(out)
    if symbol is not None and len(files) > 1:
        raise click.UsageError("--symbol says whose bars are in one FILE: give one, or files with a symbol column")
    configs = [configuration(path, overrides) for path in config_files or (None,)]
    names = [(str(path), each.fingerprint()) for path, each in zip(config_files or (_DEFAULTS,), configs, strict=True)]
    sources = [BarFile(path, symbol, on_error, date_format) for path in files]
    found = _decided(_series(sources, every, Held(**held).columns()), configs, workers)
    written = _written(out, found, names)
    counts = [(*name, *_counts(each[number] for each in found.values())) for number, name in enumerate(names)]
    early = {name: each[0].first for name, each in found.items()}
    if as_json:
        document = {"rows": written, "configurations": [dict(zip(_SHOWN, row, strict=True)) for row in counts]}
        print_json(document | {"too_early": early} | _doubts(sources))
    else:
        print_table(_SHOWN, counts, right=_SHOWN[2:])
        print_text()
        print_text(f"{written} decisions about {len(found)} symbols, written to {out}")
        print_text(f"{sum(early.values())} {every}s at the beginning had too few bars by the first configuration")
    _finish(sources)


def _series(sources: Iterable[BarFile], every: Every, asked: Mapping[str, Any]) -> dict[str, Series]:
    """Return the bars of each symbol, and what is asked about them. Raises EngineError where NumPy is missing."""
    try:
        from engine_opt.batch.requests import Requests
    except ImportError:
        raise EngineError("batch needs NumPy: install it, or use run, which needs nothing") from None
    from engine_opt.batch.tables import columns_of_items

    make = Requests.weekly if every == "week" else Requests.daily
    found: dict[str, Series] = {}
    for source in sources:
        for symbol, (bars, vix) in columns_of_items(source).items():
            if symbol in found:
                raise InputError("symbol", symbol, f"it has bars in {source.path} and in a file before: give it once")
            # As `run`: at four in the afternoon of a day, or at the bar's own time.
            minute = 16 * 60 if bars.time.dtype.name == "datetime64[D]" else None
            found[symbol] = bars, vix, make(bars, **asked, minute=minute)
    return found


def _decided(
    series: Mapping[str, Series], configs: list[EngineConfig], workers: int
) -> dict[str, tuple[DecisionColumns, ...]]:
    """Return the decisions. Raises EngineError naming the symbol."""
    from engine_opt.batch.parallel import decide_all

    with ExitStack() as stack:
        executor: Executor | None = None
        if workers > 1:
            from concurrent.futures import ProcessPoolExecutor
            from multiprocessing import get_context

            executor = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
        try:
            return decide_all(series, configs, executor)
        except EngineError as error:
            notes = getattr(error, "__notes__", [])
            raise EngineError(", ".join([str(error), *notes[-1:]])) from error


def _written(out: Path, found: Mapping[str, tuple[DecisionColumns, ...]], names: list[tuple[str, str]]) -> int:
    """Write the table, and return how many rows it has."""
    from engine_opt.batch.tables import DECISION_COLUMNS, decision_rows
    from engine_opt.files.tables import write_table

    rows = (
        {"configuration": name, "fingerprint": fingerprint, **row}
        for columns in found.values()
        for (name, fingerprint), each in zip(names, columns, strict=True)
        for row in decision_rows(each)
    )
    return write_table(out, rows, ["configuration", "fingerprint", *DECISION_COLUMNS])


def _counts(columns: Iterable[DecisionColumns]) -> tuple[int, ...]:
    """Return how many decisions there are, and how many of them are idle, rejected, pending and approved."""
    from engine_opt.batch.columns import members
    from engine_opt.model import DecisionStatus

    statuses = [status for each in columns for status in members(DecisionStatus, each.status[each.first :])]
    return len(statuses), *(statuses.count(DecisionStatus(name)) for name in _SHOWN[3:])


def _doubts(sources: Iterable[BarFile]) -> dict[str, Any]:
    """Return what is to be said of all files in JSON."""
    from .show import doubts

    every = [doubts(source) for source in sources]
    return {name: [each for part in every for each in part[name]] for name in ("skipped", "suspicions")}


def _finish(sources: Iterable[BarFile]) -> None:
    """Say what is doubtful about each file, and then exit with 2 where rows were skipped in any."""
    from .show import finish

    left: click.exceptions.Exit | None = None
    for source in sources:
        try:
            finish(source)
        except click.exceptions.Exit as done:
            left = done
    if left is not None:
        raise left
