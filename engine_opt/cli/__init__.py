"""`python -m engine_opt`: one module per verb. Heavy imports stand inside the verbs, so that `--help` is quick.

Results go to standard output, everything else to standard error. Exit status: 0 done, 1 the answer is no (a trade was
rejected, a replay differs), 2 wrong usage or input, 130 interrupted, 141 nobody reads the output any more.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence

import click

from engine_opt.errors import EngineError, FileError

from .ablation import ablation
from .analyze import analyze
from .batch import batch
from .check import check
from .classify import classify
from .demo import demo
from .explain import explain
from .replay import replay
from .run import run
from .serve import serve

PROGRAM = "python -m engine_opt"
UNUSABLE, INTERRUPTED, UNREAD = 2, 130, 141


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.pass_context
def cli(context: click.Context) -> None:
    """Classify weeks, analyse markets, check trades and decide by the options protocol.

    Everything is read from files and answered on the spot; nothing here goes to a network. `serve` alone listens, to
    this machine.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _verb in (classify, analyze, check, run, batch, replay, explain, demo, ablation, serve):
    cli.add_command(_verb)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: with a message where something is wrong, never with a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # A symbol may hold what this terminal cannot show: that is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_run(list(sys.argv[1:] if arguments is None else arguments)))


def _run(arguments: list[str]) -> int:
    """Return the exit status. Not by click's own main, which gives a broken pipe the status of a rejected trade."""
    try:
        try:
            with cli.make_context(PROGRAM, arguments) as context:
                cli.invoke(context)
        finally:
            sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        where = f" (see {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        return _refuse(" ".join(error.format_message().split()).rstrip(".") + where)
    except FileError as error:
        from .show import said

        return _refuse(said(error))
    except EngineError as error:
        return _refuse(str(error))
    except BrokenPipeError:
        _close_output()
        return UNREAD
    except OSError as error:
        _close_output()
        name = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return _refuse(f"{name}{error.strerror or error}")
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    return 0


def _refuse(message: str) -> int:
    from .show import clean

    with contextlib.suppress(OSError):  # nobody may be there to read it
        click.echo(f"error: {clean(message)}", err=True)
    return UNUSABLE


def _close_output() -> None:
    """Send what is still buffered nowhere: the interpreter would fail once more when it flushes on leaving."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError, io.UnsupportedOperation):  # standard output is no file of the system
        pass
    finally:
        os.close(nowhere)
