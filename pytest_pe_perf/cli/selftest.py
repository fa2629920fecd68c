"""``pe-perf selftest``: see the gate catch what is planted."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_pe_perf.judge.trial import Decision, Tally

DOES_NOT_WORK, COULD_NOT_RUN = 1, 3
# Of a run, on the machine that the method was tried on.
_SECONDS = 90


@click.command(epilog="Example: pe-perf selftest --trials 5")
@click.option("--trials", type=click.IntRange(1, 1000), default=2, show_default=True, help="Runs of the gate.")
@click.option("--time", "duration", metavar="DURATION", help='Time of a latency measurement, for example "1 s".')
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else.")
def selftest(trials: int, duration: str | None, as_json: bool) -> None:
    """Plant slower code, a leak and an allocation in a throw-away project, and see whether the gate catches them.

    In each run some benchmarks are +5, +10 or +50 % slower, two need more memory, and in the others nothing changed but
    dead code elsewhere. The gate is the real one, in its own process; nothing of your project is read or written.

    Exit status: 0 all from +10 % up and both memory changes caught and no false alarm, 1 not so, 3 could not run.
    """
    from pytest_pe_perf.judge.trial import tallies, works

    if duration is not None:
        from pytest_pe_perf.units import parse_seconds

        parse_seconds(duration)
    started = time.monotonic()
    found = _runs(trials, duration, quiet=as_json)
    tally = tallies(found)
    seconds = time.monotonic() - started
    if as_json:
        _print_json(trials, seconds, found, tally)
    else:
        _show(seconds, tally)
    sys.exit(0 if works(tally) else DOES_NOT_WORK)


def _runs(trials: int, duration: str | None, *, quiet: bool) -> list[Decision]:
    from random import SystemRandom

    from pytest_pe_perf.judge.trial import decisions
    from pytest_pe_perf.report.trial import decision_lines

    from .trial import TrialError, planted_benchmarks, try_gate

    random = SystemRandom()
    options = () if duration is None else ("--pe-perf-time", duration)
    found: list[Decision] = []
    for number in range(1, trials + 1):
        benchmarks = planted_benchmarks(random)
        planted = sum(1 for benchmark in benchmarks if benchmark.plant.metric)
        if not quiet:
            about = "" if duration else f", about {_SECONDS} s"
            click.echo(f"run {number} of {trials}: {len(benchmarks)} benchmarks, {planted} made worse{about}")
        try:
            ran = try_gate(benchmarks, random, options)
        except TrialError as error:
            click.echo(f"pe-perf: {error}", err=True)
            sys.exit(COULD_NOT_RUN)
        new = decisions({benchmark.test: benchmark.plant for benchmark in benchmarks}, ran.judgements)
        if not quiet:
            for line in (*decision_lines(new), *(f"  {note}" for note in ran.notes)):
                click.echo(line)
        found += new
    return found


def _show(seconds: float, tally: Sequence[Tally]) -> None:
    from pytest_pe_perf.report.trial import conclusion, tally_lines

    click.echo()
    for line in tally_lines(tally):
        click.echo(line)
    click.echo(f"\n{conclusion(tally)} ({seconds:.0f} s)")


def _print_json(trials: int, seconds: float, found: Sequence[Decision], tally: Sequence[Tally]) -> None:
    import msgspec

    from pytest_pe_perf.judge.trial import works
    from pytest_pe_perf.report.trial import conclusion

    content = {
        "works": works(tally),
        "conclusion": conclusion(tally),
        "trials": trials,
        "seconds": seconds,
        "tallies": tally,
        "decisions": [{"call": one.call, **msgspec.to_builtins(one)} for one in found],
    }
    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=1))
