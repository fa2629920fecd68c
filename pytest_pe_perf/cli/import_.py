"""``pe-perf import``: what other programs measured, into the history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pytest_pe_perf.history.record import Record


@click.command("import", epilog="Example: pe-perf import .benchmarks")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def import_runs(paths: Sequence[Path]) -> None:
    """Add runs of other programs to the history, all or none.

    A PATH is a file of pytest-benchmark (3.0 or later) or a folder of them, the results folder of asv, a history file
    of another machine, or a run of a branch (.jsonl). What is in the history already is not added again.

    Exit status: 0 done, 2 a file cannot be read; then nothing was added.
    """
    from pytest_pe_perf.history.convert.files import read_all, renames_of

    from .history import opened

    seen = rows = 0

    def counted() -> Iterator[Record]:
        nonlocal seen, rows
        for record in read_all(paths):
            seen += 1
            rows += len(record.values)
            yield record

    with opened() as store:
        added = store.add(counted())
        if names := renames_of(paths):
            store.rename(lambda ours: {**names, **ours})
    there = f"; there already: {seen - added:,}" if added < seen else ""
    click.echo(f"{added:,} of {seen:,} runs added, with {rows:,} values read{there}")
