"""``pe-perf doctor``: what this machine can prove, and what a suite can prove on it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from .project import RUN_FILE, find_root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_pe_perf.judge.machine import Finding, Fitness, Machine, PairSpread

STATUS: dict[Fitness, int] = {"fit": 0, "not fit": 1, "unknown": 3}
FALSE_ALARM, COULD_NOT_TELL = 1, 3
# Of each benchmark that is measured beside itself: the default of a comparison.
PAIR_SECONDS = 2.0
_TIME = "--pe-perf-time"


@click.command(
    epilog="Example: pe-perf doctor && pe-perf doctor --suite tests/perf",
    context_settings={"ignore_unknown_options": True},
)
@click.option("--suite", is_flag=True, help="Compare your own tests with themselves instead; PYTEST_ARGS name them.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON and nothing else.")
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED)
def doctor(suite: bool, as_json: bool, pytest_args: tuple[str, ...]) -> None:
    """Tell what this machine can prove, and what would make it prove more.

    It looks at the clock, the cores and their speeds, the neighbours and the tools, and runs the gate on four
    benchmarks whose base and head do the same: about half a minute. It changes nothing. A fact that cannot be seen here
    is shown as unknown.

    With --suite it runs the gate on your tests, HEAD against itself, and tells of each how large a change it would
    show, which margin and time suit it, and whether it raised a false alarm.

    Exit status: 0 fit to gate, 1 not fit, 3 could not tell. With --suite: 0 no false alarm, 1 one or more, 3 could not
    tell.
    """
    if suite:
        sys.exit(_suite(pytest_args, as_json))
    if pytest_args:
        raise click.UsageError(f"{pytest_args[0]} is for pytest: give it together with --suite")
    sys.exit(_machine(as_json))


# --- the machine --------------------------------------------------------------------------------------------------


def _machine(as_json: bool) -> int:
    from pytest_pe_perf.judge.machine import findings, fitness
    from pytest_pe_perf.measure.machine import examine

    from .trial import TrialError

    machine = examine()
    spread, failed = None, ""
    try:
        spread = _pairs()
    except TrialError as error:
        failed = str(error)
    found = findings(machine, spread)
    fit = fitness(machine, found, spread)
    if failed:
        # A gate that does not run proves nothing, whatever the machine could.
        fit = "unknown"
    if as_json:
        _print_json(machine, found, fit, spread)
    else:
        _show(machine, found, fit, spread)
    if failed:
        click.echo(f"pe-perf: {failed}", err=True)
    return STATUS[fit]


def _pairs() -> PairSpread | None:
    """Return how benchmarks spread whose base and head do the same; None where sides cannot be measured in pairs.

    Raises:
        TrialError: the gate could not be run.

    """
    if os.name != "posix":
        return None
    from random import SystemRandom

    from pytest_pe_perf.judge.trial import pair_spread

    from .trial import TrialError, clean_benchmarks, try_gate

    benchmarks = clean_benchmarks()
    _wait("running the gate on a throw-away project: about half a minute")
    ran = try_gate(benchmarks, SystemRandom(), (_TIME, f"{PAIR_SECONDS} s"))
    spread = pair_spread(ran.judgements, PAIR_SECONDS)
    if spread.benchmarks != len(benchmarks):
        raise TrialError(f"the gate measured {spread.benchmarks} of {len(benchmarks)} benchmarks")
    return spread


def _wait(what: str) -> None:
    """Tell a person what takes so long."""
    if sys.stderr.isatty():
        click.echo(what, err=True)


def _show(machine: Machine, found: Sequence[Finding], fit: Fitness, spread: PairSpread | None) -> None:
    from rich.console import Console

    from pytest_pe_perf.report.diagnosis import renderable

    Console(highlight=False).print(renderable(machine, found, fit, spread))


def _print_json(machine: Machine, found: Sequence[Finding], fit: Fitness, spread: PairSpread | None) -> None:
    from pytest_pe_perf.report.diagnosis import promise

    _echo_json(
        {"fitness": fit, "promise": promise(spread), "findings": found, "machine": machine, "spread": spread},
    )


def _echo_json(content: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=1))


# --- a suite ------------------------------------------------------------------------------------------------------


def _suite(pytest_args: tuple[str, ...], as_json: bool) -> int:
    from pathlib import Path

    from pytest_pe_perf.judge.trial import advise, alarms
    from pytest_pe_perf.report.trial import suite_conclusion, suite_lines

    from .trial import TrialError, try_suite

    seconds = _time_of(pytest_args)
    _wait("running the gate on your tests, HEAD against itself")
    try:
        ran = try_suite(Path.cwd(), pytest_args)
    except TrialError as error:
        click.echo(f"pe-perf: {error}", err=True)
        return COULD_NOT_TELL
    found = advise(ran, seconds)
    false_alarms = alarms(ran)
    if as_json:
        content = {
            "conclusion": suite_conclusion(ran),
            "rows": len(ran.judgements),
            "false_alarms": false_alarms,
            "benchmarks": found,
            "notes": ran.notes,
        }
        _echo_json(content)
    else:
        for line in suite_lines(ran, found):
            click.echo(line)
    if false_alarms:
        return FALSE_ALARM
    return 0 if any(row.comparison for row in ran.judgements) else COULD_NOT_TELL


def _time_of(pytest_args: Sequence[str]) -> float:
    """Return how long a latency is measured, unless a marker says otherwise."""
    from pathlib import Path

    from pytest_pe_perf.config import load_settings

    given = None
    words = iter(pytest_args)
    for word in words:
        if word == _TIME:
            given = next(words, "")
        elif word.startswith(f"{_TIME}="):
            given = word.partition("=")[2]
    return load_settings(find_root(Path.cwd(), RUN_FILE), {"time": given}, paired=True).time
