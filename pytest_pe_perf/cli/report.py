"""``pe-perf report``: the last run and its verdicts, for people and for other programs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import formats
from .project import RUN_FILE, find_root

if TYPE_CHECKING:
    from pytest_pe_perf.config import Settings
    from pytest_pe_perf.model import GateReport, Past, Run


@click.command(epilog="Example: pe-perf report --format markdown --output summary.md")
@click.argument("run_file", metavar="[RUN.json]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@formats.options
@click.option("-v", "--verbose", is_flag=True, help="In the terminal, list what did not change too.")
@click.option("--watch", is_flag=True, help="Serve the page on this machine, anew whenever the file changes.")
@click.option("--port", type=click.IntRange(0, 65535), help="For --watch; by default one that is free.")
def report(
    run_file: Path | None, names: Sequence[str], outputs: Sequence[Path], verbose: bool, watch: bool, port: int | None
) -> None:
    """Show what the gate said of a run: the last one, or that of RUN.json.

    \b
    terminal     the table and the sentence that end a session
    markdown     a comment for a pull request, or a step summary
    annotations  commands for a job on GitHub: the lines of failed tests
    junit        JUnit XML, a case for each row
    sarif        SARIF 2.1.0 for code scanning
    badge        JSON for a badge of shields.io
    gitlab       a Code Quality report
    html         the page with trends, anew

    Nothing is judged again, and a report is not a gate: the exit status is that of the writing, and not the verdict.

    Exit status: 0 written, whatever the verdicts; 2 usage, or a file that cannot be read or written.
    """  # noqa: D301 - the mark by which click leaves lines as they are
    from pytest_pe_perf.config import load_settings
    from pytest_pe_perf.report.terminal import summary

    from . import answer
    from .judged import read_judged

    if port is not None and not watch:
        raise click.UsageError("--port is for --watch")
    if watch:
        if outputs or set(names) - {"html"}:
            raise click.UsageError("--watch shows the page, and writes nothing")
        _watch(run_file, port or 0)
        return
    wanted = formats.targets(names or (formats.TERMINAL.name,), outputs)
    root = find_root(Path.cwd(), run_file)
    run, judged = read_judged(run_file or root / RUN_FILE)
    if wanted == (formats.TERMINAL,):
        answer.say(summary(judged, run, width=answer.width(), verbosity=int(verbose)), ())
    else:
        formats.write(wanted, _shown(run, judged, root, load_settings(root), verbosity=int(verbose)))


def _watch(run_file: Path | None, port: int) -> None:
    from pytest_pe_perf.config import load_settings

    from .judged import read_judged
    from .watch import PageServer

    # The first run may still be on its way: then the project is where we are.
    root = find_root(Path.cwd(), run_file or RUN_FILE)
    watched = run_file or root / RUN_FILE

    def build() -> str:
        return formats.render("html", _shown(*read_judged(watched), root, load_settings(root)))

    with PageServer(watched, build, port) as server:
        click.echo(f"{server.address} shows {watched}; stop it with Ctrl-C")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _shown(run: Run, judged: GateReport, root: Path, settings: Settings, *, verbosity: int = 0) -> formats.Shown:
    def past() -> Past:
        """Return what the project's history holds of the run's rows, and its git of their baselines."""
        from pytest_pe_perf.baseline.accepts import with_accepts
        from pytest_pe_perf.history.past import recall
        from pytest_pe_perf.history.store import open_history, project_of

        with open_history(settings.history, root, project_of(root)) as history:
            found = recall(history, run.environment.slug, [judgement.key for judgement in judged.judgements])
        return with_accepts(found, root / settings.baselines, run)

    return formats.Shown(run, judged, root, root / settings.report, past, verbosity)
