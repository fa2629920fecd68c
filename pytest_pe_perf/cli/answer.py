"""How verbs that judge answer: lines for a terminal, or JSON; and the exit status."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pytest_pe_perf.model import GateReport
    from pytest_pe_perf.report.terminal import Line

PASSED, REGRESSED, COULD_NOT_TELL = 0, 1, 3
# How pytest's terminal names what click calls otherwise.
_STYLES = {"bold": "bold", "light": "dim"}


def doubted(report: GateReport, stale: Sequence[str], *, strict: bool, doubts: Sequence[str] = ()) -> GateReport:
    """Return ``report`` with ``doubts``, and those that it gives itself; ``strict``: also where a row is left open."""
    return replace(report, doubts=(*doubts, *_doubts(report, stale, strict=strict)))


def _doubts(report: GateReport, stale: Sequence[str], *, strict: bool) -> list[str]:
    from pytest_pe_perf.report.wording import compared, left_open

    found = [] if any(map(compared, report.judgements)) else ["nothing was compared"]
    if strict:
        undecided = sum(map(left_open, report.judgements))
        for count, what in (
            (undecided, "undecided under strict"),
            (len(report.skipped), "not measured under strict"),
            (len(stale), "of the accept entries to be mended under strict: see the notes"),
        ):
            if count:
                found.append(f"{count} {what}")
    return found


def status_of(report: GateReport) -> int:
    """Return the exit status: a row that fails decides, and a doubt keeps the others from passing."""
    if any(judgement.fails for judgement in report.judgements):
        return REGRESSED
    return COULD_NOT_TELL if report.doubts else PASSED


def say(lines: Iterable[Line], doubts: Iterable[str]) -> None:
    """Print the lines of a report, and after them why nobody can tell."""
    from pytest_pe_perf.report.screen import wrap

    for line in lines:
        click.secho(line.text, **_style(line.markup))
    for doubt in doubts:
        for text in wrap(f"pe-perf: could not tell: {doubt}", width()):
            click.secho(text, fg="yellow", bold=True)


def say_json(content: dict[str, Any]) -> None:
    """Print ``content`` as JSON and nothing else; a ratio against zero is null."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=1))


def width() -> int:
    """Return how many columns the terminal has; 80 where there is none."""
    return shutil.get_terminal_size().columns


def _style(markup: dict[str, bool]) -> dict[str, Any]:
    style: dict[str, Any] = {_STYLES[name]: True for name in markup if name in _STYLES}
    colours = [name for name in markup if name not in _STYLES]
    return style | ({"fg": colours[0]} if colours else {})
