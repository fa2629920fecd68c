"""``pe-perf``: one module per verb. Heavy imports stand inside the verbs, so that ``--help`` is quick."""

from __future__ import annotations

import io
import os
import sys

import click

from pytest_pe_perf import __version__
from pytest_pe_perf.errors import PePerfError

from .bisect import bisect
from .compare import compare
from .doctor import doctor
from .export import export
from .gate import gate
from .history import history
from .import_ import import_runs
from .init import init
from .merge import merge
from .pull_request import pull_request
from .report import report
from .selftest import selftest
from .update import update

UNREADABLE = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pe-perf")
def cli() -> None:
    """Accept, compare and look at what `pytest --pe-perf` measured."""


cli.add_command(init)
cli.add_command(doctor)
cli.add_command(selftest)
cli.add_command(bisect)
cli.add_command(update)
cli.add_command(compare)
cli.add_command(gate)
cli.add_command(merge)
cli.add_command(report)
cli.add_command(pull_request)
cli.add_command(history)
cli.add_command(import_runs)
cli.add_command(export)


def main() -> None:
    """Run the command line and exit: with 2 and a message where something is wrong, never with a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # A test's name may hold what this terminal cannot show: that is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # Click knows whether somebody watches, and not https://no-color.org; None leaves it to click.
        cli(prog_name="pe-perf", color=False if os.environ.get("NO_COLOR") else None)
    except (PePerfError, OSError) as error:
        click.echo(f"pe-perf: {error}", err=True)
        sys.exit(UNREADABLE)
