"""``pe-perf compare``: two runs, or baselines, held against each other."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import answer, formats
from .project import find_root, read_run

if TYPE_CHECKING:
    from pytest_pe_perf.compared import Measured
    from pytest_pe_perf.config import Settings
    from pytest_pe_perf.model import GateReport
    from pytest_pe_perf.report.terminal import Line


@click.command(epilog="Example: pe-perf compare v1.2 .pe-perf/run.json")
@click.argument("a")
@click.argument("b")
@click.option("--strict", is_flag=True, help="A row that could not be compared keeps the answer from being 0.")
@formats.options
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON and nothing else.")
def compare(a: str, b: str, strict: bool, names: Sequence[str], outputs: Sequence[Path], as_json: bool) -> None:
    """Compare B with A, by the rules of the gate.

    Each is a run file, an environment with baselines (its folder or its name), or a commit, whose baselines of the
    other's environment are meant; of this machine's, where both are commits.

    Exit status: 0 nothing got worse, 1 regressed, 2 usage or unreadable input, 3 could not tell.
    """
    from pytest_pe_perf import compared
    from pytest_pe_perf.config import load_settings
    from pytest_pe_perf.report.terminal import summary
    from pytest_pe_perf.report.wording import result

    wanted = formats.beside(names, outputs, as_json=as_json)
    root = find_root(Path.cwd(), Path(a))
    settings = load_settings(root)
    base, head = _both(a, b, root, settings)
    report = answer.doubted(compared.compare(base, head), (), strict=strict)
    status = answer.status_of(report)
    formats.write(wanted, _shown(base, head, report, root, settings))
    if as_json:
        sides = {
            name: {"name": side.name, "kind": side.kind, "said": side.said} for name, side in (("a", base), ("b", head))
        }
        answer.say_json(
            {
                "status": status,
                **sides,
                "environments": [base.environment, head.environment],
                "result": "; ".join(result(report).found),
                "doubts": report.doubts,
                "judgements": report.judgements,
                "notes": report.notes,
            }
        )
    elif not formats.printed(wanted):
        width = answer.width()
        answer.say(_heading(base, head, width), ())
        answer.say(summary(report, head.run, width=width, verbosity=1, hints=False), report.doubts)
    sys.exit(status)


def _both(a: str, b: str, root: Path, settings: Settings) -> tuple[Measured, Measured]:
    from pytest_pe_perf import compared
    from pytest_pe_perf.environment import identify

    found = [_here(word, root, settings) for word in (a, b)]
    environment = compared.environment_of(found, identify())
    base, head = (
        side or compared.of_commit(compared.commit_named(word, root, settings), environment, settings)
        for word, side in zip((a, b), found, strict=True)
    )
    return base, head


def _here(word: str, root: Path, settings: Settings) -> Measured | None:
    """Return the run or the environment that ``word`` names, None where it must be a commit."""
    from pytest_pe_perf import compared

    if Path(word).is_file():
        return compared.of_run(word, read_run(Path(word)))
    place = compared.folder_named(word, root / settings.baselines)
    return compared.of_folder(word, place, settings) if place else None


def _heading(base: Measured, head: Measured, width: int) -> Iterator[Line]:
    from pytest_pe_perf.report.screen import wrap
    from pytest_pe_perf.report.terminal import Line

    for side in _sides(base, head):
        for text in wrap(side, width):
            yield Line(text)
    for text in wrap(_differences(base, head), width):
        yield Line(text, {"yellow": True, "bold": True})


def _sides(base: Measured, head: Measured) -> tuple[str, ...]:
    return tuple(f"{letter} {side.name}: {side.said}" for letter, side in (("A", base), ("B", head)))


def _differences(base: Measured, head: Measured) -> str:
    from pytest_pe_perf.compared import differing

    differences = differing(base.environment, head.environment)
    return f"environments differ, nothing is comparable: {'; '.join(differences)}" if differences else ""


def _shown(base: Measured, head: Measured, report: GateReport, root: Path, settings: Settings) -> formats.Shown:
    """Return the comparison for other formats: what a terminal shows above its table is among the notes."""
    # What B was itself measured beside is another comparison.
    context = {name: value for name, value in head.run.context.items() if name != "against"}
    run = replace(head.run, context=context, started=head.run.started or datetime.now(UTC).isoformat())
    notes = (*_sides(base, head), *filter(None, [_differences(base, head)]), *report.notes)
    return formats.Shown(run, replace(report, notes=notes), root, root / settings.report)
