"""``pe-perf gate``: judge a run that somebody else measured, by what stands in a commit that they cannot change."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from . import answer, formats
from .project import find_root, read_run


@click.command(epilog="Example: pe-perf gate run.json --from-ref origin/main --format markdown --output comment.md")
@click.argument("run_file", metavar="RUN.json", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--from-ref",
    "ref",
    required=True,
    metavar="BASE",
    help="The commit whose settings, baselines and accept entries judge.",
)
@click.option(
    "--head",
    default="",
    metavar="COMMIT",
    help="The commit that the run must have measured; without it the file may name any.",
)
@click.option("--strict", is_flag=True, help="A row that could not be judged keeps the run from passing.")
@formats.options
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON and nothing else.")
def gate(
    run_file: Path, ref: str, head: str, strict: bool, names: Sequence[str], outputs: Sequence[Path], as_json: bool
) -> None:
    """Judge a run again from its readings, by the settings, baselines and accept entries of a commit.

    For a run that comes from elsewhere, such as from a job that ran the code of a fork. Everything is read from git and
    from RUN.json; nothing of the working tree is read or run, and no verdict that stands in the file is believed.

    Exit status: 0 passed, 1 regressed, 2 usage or unreadable input, 3 could not tell.
    """
    from pytest_pe_perf.committed import Committed
    from pytest_pe_perf.report.terminal import summary
    from pytest_pe_perf.report.wording import commits_of, result
    from pytest_pe_perf.trusted import rule

    wanted = formats.beside(names, outputs, as_json=as_json)
    run = read_run(run_file)
    root = find_root(Path.cwd(), run_file)
    base = Committed.at(root, ref)
    commits = commits_of(run.context)
    settings = base.settings(paired=commits is not None)
    ruling = rule(run, base, settings, head, datetime.now(UTC).date())
    strict = strict or settings.strict
    report = answer.doubted(ruling.report, ruling.stale, strict=strict, doubts=ruling.doubts)
    status = answer.status_of(report)
    formats.write(wanted, formats.Shown(run, report, root, root / settings.report))
    if as_json:
        answer.say_json(
            {
                "status": status,
                "result": "; ".join(result(report, commits).found),
                "base": base.commit,
                "doubts": report.doubts,
                "judgements": report.judgements,
                "skipped": report.skipped,
                "notes": report.notes,
            }
        )
    elif not formats.printed(wanted):
        answer.say(summary(report, run, width=answer.width(), hints=False), report.doubts)
    sys.exit(status)
