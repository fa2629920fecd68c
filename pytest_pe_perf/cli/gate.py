"""``pe-perf gate``: judge a run that somebody else measured, by what stands in a commit that they cannot change."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from . import answer
from .project import find_root, read_run


@click.command(epilog="Example: pe-perf gate run.json --from-ref origin/main --strict")
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
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON and nothing else.")
def gate(run_file: Path, ref: str, head: str, strict: bool, as_json: bool) -> None:
    """Judge a run again from its readings, by the settings, baselines and accept entries of a commit.

    For a run that comes from elsewhere, such as from a job that ran the code of a fork. Everything is read from git and
    from RUN.json; nothing of the working tree is read or run, and no verdict that stands in the file is believed.

    Exit status: 0 passed, 1 regressed, 2 usage or unreadable input, 3 could not tell.
    """
    from pytest_pe_perf.committed import Committed
    from pytest_pe_perf.report.terminal import summary
    from pytest_pe_perf.report.wording import commits_of, result
    from pytest_pe_perf.trusted import rule

    run = read_run(run_file)
    base = Committed.at(find_root(Path.cwd(), run_file), ref)
    commits = commits_of(run.context)
    settings = base.settings(paired=commits is not None)
    ruling = rule(run, base, settings, head, datetime.now(UTC).date())
    doubts = [*ruling.doubts, *answer.doubts_of(ruling.report, ruling.stale, strict=strict or settings.strict)]
    status = answer.status_of(ruling.report, doubts)
    if as_json:
        answer.say_json(
            {
                "status": status,
                "result": "; ".join(result(ruling.report, commits).found),
                "base": base.commit,
                "doubts": doubts,
                "judgements": ruling.report.judgements,
                "skipped": ruling.report.skipped,
                "notes": ruling.report.notes,
            }
        )
    else:
        answer.say(summary(ruling.report, run, width=answer.width(), hints=False), doubts)
    sys.exit(status)
