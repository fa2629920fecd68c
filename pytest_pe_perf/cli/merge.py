"""``pe-perf merge``: the shards of a suite, judged as one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import answer
from .project import find_root, read_run

if TYPE_CHECKING:
    from pytest_pe_perf.config import Settings
    from pytest_pe_perf.judge.accept import Entries
    from pytest_pe_perf.model import Acceptance, GateReport, Run
    from pytest_pe_perf.report.wording import Commits
    from pytest_pe_perf.shard import Whole


@click.command(epilog="Example: pe-perf merge shards/*.json --strict")
@click.argument(
    "run_files",
    metavar="RUN.json...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The run file to write; by default .pe-perf/run.json.",
)
@click.option("--strict", is_flag=True, help="A row that could not be judged keeps the suite from passing.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON and nothing else.")
def merge(run_files: Sequence[Path], output: Path | None, strict: bool, as_json: bool) -> None:
    """Judge the shards of a suite as one: those that sessions with --pe-perf-shard I/N left.

    Every shard must be there once, and all must be of one suite on one commit. They are judged from their readings, as
    one session would have judged them: by the settings, the baselines and the accept entries that stand here.

    A baseline holds for one environment. Where shards were measured in several, each is held against its own, and there
    is a run file for each, whose name ends with the environment's. `pe-perf report` shows such a file in other formats.

    Exit status: 0 passed, 1 regressed, 2 usage, unreadable input or not all shards of one suite, 3 could not tell.
    """
    from pytest_pe_perf.config import load_settings
    from pytest_pe_perf.files import write_all_atomically
    from pytest_pe_perf.report.terminal import summary
    from pytest_pe_perf.report.wording import commits_of, result
    from pytest_pe_perf.runfile import encode
    from pytest_pe_perf.shard import put_together

    root = find_root(Path.cwd(), run_files[0])
    wholes, notes = put_together([(str(path), read_run(path)) for path in run_files])
    commits = commits_of(wholes[0].run.context)
    settings = load_settings(root, paired=commits is not None)
    entries = _entries(wholes, root, settings, commits)
    reports = [_judged(whole, root, settings, entries) for whole in wholes]
    report, stale = _together(wholes, reports, entries, notes)
    files = _files(wholes, output or root / settings.json, run_files)
    own = [report] if len(wholes) == 1 else [replace(one, notes=(*one.notes, *notes)) for one in reports]
    write_all_atomically({path: encode(run, one) for (path, run), one in zip(files, own, strict=True)})
    report = answer.doubted(report, stale, strict=strict or settings.strict)
    status = answer.status_of(report)
    if as_json:
        answer.say_json(
            {
                "status": status,
                "result": "; ".join(result(report, commits).found),
                "environments": [whole.run.environment for whole in wholes],
                "doubts": report.doubts,
                "judgements": report.judgements,
                "skipped": report.skipped,
                "notes": report.notes,
                "written": [str(path) for path, _ in files],
            }
        )
    else:
        answer.say(summary(report, files[0][1], width=answer.width(), hints=len(wholes) == 1), report.doubts)
        for path, _ in files:
            click.echo(f"wrote {path}")
    sys.exit(status)


def _entries(wholes: Sequence[Whole], root: Path, settings: Settings, commits: Commits | None) -> Entries:
    """Return the accept entries that count on the day of the first shard."""
    from pytest_pe_perf.errors import RunFileError
    from pytest_pe_perf.judge.accept import Entries

    try:
        today = min(datetime.fromisoformat(whole.run.started) for whole in wholes).date()
    except (TypeError, ValueError) as error:
        raise RunFileError(f"a shard has no time at which it started: {error}") from error
    on_base: tuple[Acceptance, ...] | None = None
    if commits is not None:
        on_base = ()
        if settings.accept:
            from pytest_pe_perf.against import entries_of_base
            from pytest_pe_perf.measure.paired.refs import resolve, toplevel
            from pytest_pe_perf.measure.paired.trees import Against

            top = toplevel(root)
            on_base = entries_of_base(Against(top, commits.ref, resolve(top, commits.base)), root)
    return Entries(settings.accept, today, on_base)


def _judged(whole: Whole, root: Path, settings: Settings, entries: Entries) -> GateReport:
    """Judge a run beside its commit, or against the baseline of its environment: what of that is in its shards."""
    from pytest_pe_perf.baseline.origin import age_of
    from pytest_pe_perf.baseline.store import load
    from pytest_pe_perf.judge.accept import accept_covered
    from pytest_pe_perf.rejudge import gate_of
    from pytest_pe_perf.report.wording import commits_of

    folder, environment = root / settings.baselines, whole.run.environment
    baseline = {} if commits_of(whole.run.context) else load(folder, environment)
    age = age_of(folder, environment, baseline, settings.stale_after)
    report = gate_of(whole.run, {key: row for key, row in baseline.items() if whole.owns(key.test)}, age)
    return replace(report, judgements=accept_covered(report.judgements, entries))


def _together(
    wholes: Sequence[Whole], reports: Sequence[GateReport], entries: Entries, notes: Sequence[str]
) -> tuple[GateReport, tuple[str, ...]]:
    """Return one report on all of them, and the remarks on accept entries that ask for mending."""
    from pytest_pe_perf.judge.accept import remark
    from pytest_pe_perf.model import GateReport

    judgements = tuple(judgement for report in reports for judgement in report.judgements)
    skipped = tuple(item for report in reports for item in report.skipped)
    said = remark(judgements, entries, not_judged={item.test for item in skipped}, complete=wholes[0].run.complete)
    everything = (*notes, *(note for report in reports for note in report.notes), *said.notes)
    return GateReport(wholes[0].run.environment, judgements, skipped, everything), said.stale


def _files(wholes: Sequence[Whole], output: Path, shards: Sequence[Path]) -> list[tuple[Path, Run]]:
    """Return which run is written where.

    Raises:
        ShardError: a shard stands there, which nobody has any more once it is written over.

    """
    from pytest_pe_perf.errors import ShardError

    if len(wholes) == 1:
        files = [(output, wholes[0].run)]
    else:
        # Of a run in one of several environments no module is complete: the others have the rest.
        files = [
            (
                output.with_name(f"{output.stem}-{whole.run.environment.slug}{output.suffix}"),
                replace(whole.run, complete=()),
            )
            for whole in wholes
        ]
    taken = {path.resolve() for path in shards}
    for path, _ in files:
        if path.resolve() in taken:
            raise ShardError(f"{path} is one of the shards, and would be written over: name another file with --output")
    return files
