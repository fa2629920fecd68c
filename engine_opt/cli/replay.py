"""`replay`: whether a recorded run gives the same decisions again."""

from __future__ import annotations

from pathlib import Path

import click

from .options import FILE, json_option

DIFFERENT = 1
_MOST_SHOWN = 10


@click.command(
    short_help="Whether a recorded run decides the same again.",
    epilog="\b\nExample:\n  python -m engine_opt replay decisions.jsonl",
)
@click.argument("log", type=FILE)
@json_option
def replay(log: Path, as_json: bool) -> None:
    """Run an audit LOG again, with the configuration it holds, and compare every decision with the recorded one.

    Exit status: 0 all are the same, 1 one or more differ, 2 the log is damaged or cannot be read.
    """
    from engine_opt.plain import dump
    from engine_opt.replay import replay as run_again

    from .logs import recorded_in
    from .show import print_json, print_text

    with recorded_in(log) as records:
        again = run_again(records)
    if as_json:
        counts = {name: getattr(again, name) for name in ("records", "bars", "decisions", "different")}
        print_json(counts | {"differences": [dump(each) for each in again.differences]})
    else:
        print_text(
            f"{again.records} records: {again.bars} bars, {again.decisions} decisions, {again.different} different"
        )
        for difference in again.differences[:_MOST_SHOWN]:
            print_text(str(difference))
        if again.different > _MOST_SHOWN:
            print_text(f"and {again.different - _MOST_SHOWN} more; --json lists the first 100")
    if again.different:
        raise click.exceptions.Exit(DIFFERENT)
