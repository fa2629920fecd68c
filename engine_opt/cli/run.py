"""`run`: bars through the whole engine, and what it decides."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    FILE,
    BarFile,
    apart,
    bars_options,
    config_options,
    configuration,
    every_option,
    held_options,
    json_option,
    writable,
)
from .requests import Held

if TYPE_CHECKING:
    from engine_opt.files.csv_bars import DateFormat, OnError

    from .deciding import Every

_EXAMPLE = r"""
Example:
  python -m engine_opt run prices.csv --account REV --position cash \
    --account-value 300000 --portfolio-value 1000000 --audit decisions.jsonl
"""


@click.command(short_help="Bars through the whole engine, and its decisions.", epilog="\b" + _EXAMPLE)
@bars_options
@held_options
@every_option
@click.option("--audit", type=FILE, metavar="LOG", help="Record everything: .jsonl, .sqlite or .db; appended to.")
@click.option("--out", type=FILE, metavar="TABLE", help="Write the decisions: .csv, .csv.gz, .jsonl or .parquet.")
@click.option(
    "--state",
    type=FILE,
    metavar="FILE",
    help="Go on from what is saved there, if it is; save there at the end.",
)
@config_options
@json_option
def run(
    file: Path,
    symbol: str | None,
    on_error: OnError,
    date_format: DateFormat,
    every: Every,
    audit: Path | None,
    out: Path | None,
    state: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
    **held: Any,
) -> None:
    """Stream the bars in FILE, CSV or Parquet, through the engine and decide at the end of each week.

    What is held and what it is worth is the same for all decisions: it is what the engine would say if you came to it
    like this. Nobody is asked, so that what needs a human stays pending. What comes before the 51st bar is counted.

    With --state a series may come in several files, cut where you like: the decisions are those of one file. A week
    whose Friday has not closed at the end of FILE is decided by the run that sees the next week begin.
    """
    from engine_opt.engine import ProtocolEngine

    from .deciding import Deciding, print_decisions
    from .show import doubts, finish, print_json, print_text
    from .state import restored, save

    apart(file, config_file, audit, out, state)
    writable(out, state, audit)
    config = configuration(config_file, overrides)
    request = Held(**held).requests()
    source = BarFile(file, symbol, on_error, date_format)
    with ExitStack() as stack:
        sink = None
        if audit is not None:
            from .logs import recording_to

            sink = stack.enter_context(recording_to(audit)).append
        before = None if state is None else restored(state, config, sink)
        engine, standings = before or (ProtocolEngine(config, sink=sink), {})
        deciding = Deciding(engine, request, every, standings, goes_on=state is not None)
        decisions = list(deciding.over(source))
    if out is not None:
        from engine_opt.files import DECISION_COLUMNS, decision_row, write_table

        write_table(out, map(decision_row, decisions), DECISION_COLUMNS)
    if state is not None:
        save(state, engine, deciding.standings)
    if as_json:
        from engine_opt.plain import dump

        document = {"decisions": [dump(each) for each in decisions], "too_early": deciding.too_early}
        print_json(document | {"open": dump(deciding.open_weeks), "restored": before is not None} | doubts(source))
    else:
        print_decisions(decisions)
        early = sum(deciding.too_early.values())
        print_text(f"{len(decisions)} decisions; {early} {every}s at the beginning had too few bars, 51 are needed")
        if state is not None:
            print_text(f"{len(deciding.open_weeks)} weeks not over: left to the run that sees what comes after them")
            print_text(f"began anew, saved in {state}" if before is None else f"went on from {state}")
    finish(source)
