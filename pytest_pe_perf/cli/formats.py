"""In which formats verbs show a run and its verdicts, and where they put them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import starmap, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import click

from pytest_pe_perf.model import GateReport, Past, Run

NAMES = ("terminal", "markdown", "annotations", "junit", "sarif", "badge", "gitlab", "html")
# Columns of a terminal that is a file.
_WIDTH = 80
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """A format and where it goes: into a ``file``, or else to who called."""

    name: str
    file: Path | None = None


# What a verb prints without being asked for a format.
TERMINAL = Target("terminal")


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown. ``page`` is where the HTML page goes that nobody gave a place; ``past`` what it shows of earlier runs."""

    run: Run
    report: GateReport
    root: Path
    page: Path
    past: Callable[[], Past] = Past
    verbosity: int = 0


def options(verb: F) -> F:
    """Give a verb the options ``--format`` and ``--output``, as its parameters ``names`` and ``outputs``."""
    name = click.option(
        "--format",
        "names",
        type=click.Choice(NAMES),
        multiple=True,
        help="For whom: see `pe-perf report --help`; by default terminal.",
    )
    output = click.option(
        "--output",
        "outputs",
        multiple=True,
        type=click.Path(path_type=Path, dir_okay=False),
        help="A file; by default it is printed. With several formats one for each, in their order.",
    )
    return name(output(verb))


def targets(names: Sequence[str], outputs: Sequence[Path]) -> tuple[Target, ...]:
    """Return what is to be written, and where.

    Raises:
        click.UsageError: there are too few files, or too many.

    """
    if len(outputs) > len(names) or (len(names) > 1 and len(outputs) != len(names)):
        raise click.UsageError("give an --output for each --format")
    return tuple(starmap(Target, zip_longest(names, outputs)))


def beside(names: Sequence[str], outputs: Sequence[Path], *, as_json: bool) -> tuple[Target, ...]:
    """Return what is to be written besides the answer that a verb prints anyway, unless one of them is printed instead.

    Raises:
        click.UsageError: there are too few files, or too many; or two things would be printed.

    """
    wanted = tuple(target for target in targets(names, outputs) if target != TERMINAL)
    if as_json and printed(wanted):
        raise click.UsageError("--json is printed, and so is a --format without an --output: give it one")
    return wanted


def printed(wanted: Iterable[Target]) -> bool:
    """Whether one of them is printed. A page is nothing to look at in a terminal: it has a file of its own."""
    return any(target.file is None and target.name != "html" for target in wanted)


def write(wanted: Iterable[Target], shown: Shown) -> None:
    """Print what is to be printed, and write the files.

    Raises:
        WriteError: a file cannot be written.

    """
    from pytest_pe_perf.files import write_atomically

    for target in wanted:
        data = render(target.name, shown).encode()
        file = shown.page if target.name == "html" and target.file is None else target.file
        if file is None:
            # Bytes: what another program reads must not depend on the terminal.
            click.echo(data, nl=False)
            continue
        write_atomically(file, data)
        click.echo(f"wrote {file}", err=True)


def render(name: str, shown: Shown) -> str:
    """Return what is shown in one of the formats."""
    run, report = shown.run, shown.report
    if name == "html":
        from pytest_pe_perf.report.html import render as page

        return page(run, report, shown.past())
    if name == "terminal":
        from pytest_pe_perf.report.screen import wrap
        from pytest_pe_perf.report.terminal import summary

        said = [line.text for line in summary(report, run, verbosity=shown.verbosity)]
        doubts = [text for doubt in report.doubts for text in wrap(f"pe-perf: could not tell: {doubt}", _WIDTH)]
        return "".join(f"{text}\n" for text in (*said, *doubts))
    from pytest_pe_perf.report.formats import RENDERERS

    return RENDERERS[name](run, report, _folder(shown.root))


def _folder(root: Path) -> str:
    """Return where in its repository the project is: services know files by their place in there."""
    for folder in (root, *root.parents):
        if (folder / ".git").exists():
            return root.relative_to(folder).as_posix()
    return ""
