"""``pe-perf update``: accept what the last run measured."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .project import RUN_FILE, find_root, read_run

if TYPE_CHECKING:
    from pytest_pe_perf.model import Plan

COULD_NOT_TELL = 3


@click.command(epilog="Example: pe-perf update tests/perf/test_parser.py --dry-run")
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Show what would change and write nothing.")
@click.option("--reason", default="", metavar="TEXT", help="Why a row may get worse; stored with it.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON and nothing else.")
@click.option(
    "--run",
    "run_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The run to accept; by default {RUN_FILE} here or in a folder above.",
)
def update(patterns: Sequence[str], dry_run: bool, reason: str, as_json: bool, run_file: Path | None) -> None:
    """Accept what the last run measured as the new baseline.

    A PATTERN is a node id, the beginning of one (a folder, a file, a test) or a glob; without any, all tests of the
    run are meant. Rows of tests that did not run are never touched. A row that gets worse needs a --reason; without
    one, those that an accept entry covers are left alone. A test that was renamed goes on in the history, too.

    Exit status: 0 done or nothing to do, 2 unreadable input or no reason given, 3 nothing of the run can be accepted.
    """
    from pytest_pe_perf.baseline.origin import age_of
    from pytest_pe_perf.baseline.store import load
    from pytest_pe_perf.baseline.update import apply, plan, renamed_tests
    from pytest_pe_perf.config import load_settings
    from pytest_pe_perf.errors import UsageError
    from pytest_pe_perf.judge.accept import Entries, accept_covered
    from pytest_pe_perf.judge.gate import gate

    root = find_root(Path.cwd(), run_file)
    run = read_run(run_file or root / RUN_FILE)
    if run.context.get("against"):
        raise UsageError(
            f"the last run compared with {run.context['against']}, and measured nothing that a baseline could hold; "
            "make a run that can be accepted with: pytest --pe-perf"
        )
    settings = load_settings(root)
    folder = root / settings.baselines
    baseline = load(folder, run.environment)
    report = gate(run, baseline, age_of(folder, run.environment, baseline, settings.stale_after))
    if not reason.strip():
        entries = Entries(settings.accept, datetime.now(UTC).date())
        report = replace(report, judgements=accept_covered(report.judgements, entries))
    planned = plan(run, report, baseline, patterns)

    if not as_json:
        _show(planned)
    written = () if dry_run else apply(planned.changes, folder, run.environment, reason)
    if written:
        _tell_history(root, settings.history, renamed_tests(planned.changes))
    if as_json:
        _print_json(planned, written)
    else:
        _say_what_happened(planned, written, dry_run)
    if not planned.changes and not planned.unchanged:
        sys.exit(COULD_NOT_TELL)


def _show(planned: Plan) -> None:
    from rich.console import Console

    from pytest_pe_perf.report.plan import renderable

    Console(highlight=False).print(renderable(planned))


def _say_what_happened(planned: Plan, written: Sequence[Path], dry_run: bool) -> None:
    if not planned.changes:
        click.echo(_why_nothing(planned))
    elif dry_run:
        click.echo("Nothing was written: this was a dry run.")
    else:
        for path in written:
            click.echo(f"{'wrote' if path.exists() else 'deleted'} {_from_here(path)}")
        click.echo(f"next: git add {shlex.quote(_from_here(written[0].parent.parent))}")


def _tell_history(root: Path, where: str, pairs: Mapping[str, str]) -> None:
    """Let renamed tests go on in the history; whatever becomes of that, the update stands."""
    from pytest_pe_perf.history.store import follow
    from pytest_pe_perf.report.plan import history_lines

    noted, refused = follow(root, where, pairs)
    for line in history_lines(noted, refused, pairs):
        click.echo(line, err=True)


def _why_nothing(planned: Plan) -> str:
    if not planned.unchanged:
        return "Nothing of this run can be accepted."
    return "Nothing was written." if planned.left else "Nothing to do."


def _print_json(planned: Plan, written: Sequence[Path]) -> None:
    import msgspec

    content = {
        "changes": planned.changes,
        "left": [{"key": key, "why": why} for key, why in planned.left],
        "unchanged": planned.unchanged,
        "written": [str(path) for path in written],
    }
    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=1))


def _from_here(path: Path) -> str:
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
