"""``pe-perf doctor``: what this machine can prove."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_pe_perf.judge.machine import Finding, Fitness, Machine, PairSpread

STATUS: dict[Fitness, int] = {"fit": 0, "not fit": 1, "unknown": 3}


@click.command(epilog="Example: pe-perf doctor && pytest --pe-perf tests/perf")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON and nothing else.")
def doctor(as_json: bool) -> None:
    """Tell what this machine can prove, and what would make it prove more.

    It looks at the clock, the cores and their speeds, the neighbours and the tools for some seconds and changes
    nothing. A fact that cannot be seen here is shown as unknown.

    Exit status: 0 fit to gate, 1 not fit, 3 could not tell.
    """
    from pytest_pe_perf.judge.machine import findings, fitness
    from pytest_pe_perf.measure.machine import examine

    machine = examine()
    spread = _pairs()
    found = findings(machine, spread)
    fit = fitness(machine, found, spread)
    if as_json:
        _print_json(machine, found, fit, spread)
    else:
        _show(machine, found, fit, spread)
    sys.exit(STATUS[fit])


def _pairs() -> PairSpread | None:
    """Return how much code spreads that is measured beside itself; None as long as nothing measures it."""
    return None


def _show(machine: Machine, found: Sequence[Finding], fit: Fitness, spread: PairSpread | None) -> None:
    from rich.console import Console

    from pytest_pe_perf.report.diagnosis import renderable

    Console(highlight=False).print(renderable(machine, found, fit, spread))


def _print_json(machine: Machine, found: Sequence[Finding], fit: Fitness, spread: PairSpread | None) -> None:
    import msgspec

    from pytest_pe_perf.report.diagnosis import promise

    content = {"fitness": fit, "promise": promise(spread), "findings": found, "machine": machine, "spread": spread}
    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=1))
