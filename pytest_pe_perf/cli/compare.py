"""``pe-perf compare``: two runs, or baselines, held against each other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import answer
from .project import find_root, read_run

if TYPE_CHECKING:
    from pytest_pe_perf.compared import Measured
    from pytest_pe_perf.config import Settings
    from pytest_pe_perf.report.terminal import Line


@click.command(epilog="Example: pe-perf compare v1.2 .pe-perf/run.json")
@click.argument("a")
@click.argument("b")
@click.option("--strict", is_flag=True, help="A row that could not be compared keeps the answer from being 0.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON and nothing else.")
def compare(a: str, b: str, strict: bool, as_json: bool) -> None:
    """Compare B with A, by the rules of the gate.

    Each is a run file, an environment with baselines (its folder or its name), or a commit, whose baselines of the
    other's environment are meant; of this machine's, where both are commits.

    Exit status: 0 nothing got worse, 1 regressed, 2 usage or unreadable input, 3 could not tell.
    """
    from pytest_pe_perf import compared
    from pytest_pe_perf.config import load_settings
    from pytest_pe_perf.report.terminal import summary
    from pytest_pe_perf.report.wording import result

    root = find_root(Path.cwd(), Path(a))
    settings = load_settings(root)
    base, head = _both(a, b, root, settings)
    report = compared.compare(base, head)
    doubts = answer.doubts_of(report, (), strict=strict)
    status = answer.status_of(report, doubts)
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
                "doubts": doubts,
                "judgements": report.judgements,
                "notes": report.notes,
            }
        )
    else:
        width = answer.width()
        answer.say(_heading(base, head, width), ())
        answer.say(summary(report, head.run, width=width, verbosity=1, hints=False), doubts)
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
    from pytest_pe_perf.compared import differing
    from pytest_pe_perf.report.screen import wrap
    from pytest_pe_perf.report.terminal import Line

    for letter, side in (("A", base), ("B", head)):
        for text in wrap(f"{letter} {side.name}: {side.said}", width):
            yield Line(text)
    if differences := differing(base.environment, head.environment):
        for text in wrap(f"environments differ, nothing is comparable: {'; '.join(differences)}", width):
            yield Line(text, {"yellow": True, "bold": True})
