"""``pe-perf report``: the last run and its verdicts, for people and for other programs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .project import RUN_FILE, find_root

if TYPE_CHECKING:
    from pytest_pe_perf.config import Settings
    from pytest_pe_perf.model import GateReport, Past, Run

FORMATS = ("terminal", "markdown", "annotations", "junit", "sarif", "badge", "gitlab", "html")


@click.command(epilog="Example: pe-perf report --format markdown --output summary.md")
@click.argument("run_file", metavar="[RUN.json]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--format", "names", type=click.Choice(FORMATS), multiple=True, help="For whom: see below; by default terminal."
)
@click.option(
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file; by default it is printed. With several formats one for each, in their order.",
)
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
    formats = tuple(names) or ("terminal",)
    if len(outputs) > len(formats) or (len(formats) > 1 and len(outputs) != len(formats)):
        raise click.UsageError("give an --output for each --format")
    root = find_root(Path.cwd(), run_file)
    run, judged = read_judged(run_file or root / RUN_FILE)
    if formats == ("terminal",) and not outputs:
        answer.say(summary(judged, run, width=answer.width(), verbosity=int(verbose)), ())
        return
    settings = load_settings(root)
    if formats == ("html",) and not outputs:
        # A page is nothing to look at in a terminal: it has a file of its own.
        outputs = (root / settings.report,)
    for name, output in zip_longest(formats, outputs):
        _put(_render(name, run, judged, root, settings, verbose=verbose), output)


def _put(text: str, output: Path | None) -> None:
    """Print a report, or write it to a file."""
    from pytest_pe_perf.files import write_atomically

    if output is None:
        # Bytes: what another program reads must not depend on the terminal.
        click.echo(text.encode(), nl=False)
        return
    write_atomically(output, text.encode())
    click.echo(f"wrote {output}", err=True)


def _watch(run_file: Path | None, port: int) -> None:
    from pytest_pe_perf.config import load_settings

    from .judged import read_judged
    from .watch import PageServer

    # The first run may still be on its way: then the project is where we are.
    root = find_root(Path.cwd(), run_file or RUN_FILE)
    watched = run_file or root / RUN_FILE

    def build() -> str:
        return _render("html", *read_judged(watched), root, load_settings(root))

    with PageServer(watched, build, port) as server:
        click.echo(f"{server.address} shows {watched}; stop it with Ctrl-C")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _render(name: str, run: Run, judged: GateReport, root: Path, settings: Settings, *, verbose: bool = False) -> str:
    if name == "html":
        from pytest_pe_perf.report.html import render

        return render(run, judged, _past(run, judged, root, settings))
    if name == "terminal":
        from pytest_pe_perf.report.terminal import summary

        return "".join(f"{line.text}\n" for line in summary(judged, run, verbosity=int(verbose)))
    from pytest_pe_perf.report.formats import RENDERERS

    return RENDERERS[name](run, judged, _folder(root))


def _past(run: Run, judged: GateReport, root: Path, settings: Settings) -> Past:
    """Return what the project's history holds of the run's rows."""
    from pytest_pe_perf.history.past import recall
    from pytest_pe_perf.history.store import open_history, project_of

    with open_history(settings.history, root, project_of(root)) as history:
        return recall(history, run.environment.slug, [judgement.key for judgement in judged.judgements])


def _folder(root: Path) -> str:
    """Return where in its repository the project is: services know files by their place in there."""
    for folder in (root, *root.parents):
        if (folder / ".git").exists():
            return root.relative_to(folder).as_posix()
    return ""
