"""A process that we start: in a group of its own, and gone with everything that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def start(command: Sequence[str], folder: Path, environ: Mapping[str, str], log: int) -> subprocess.Popen[bytes]:
    """Start ``command`` in ``folder``; what it prints goes to the file descriptor ``log``.

    Raises:
        OSError: it could not be started.

    """
    return subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        # A group of its own: what it starts ends with it, and a Ctrl-C in the terminal gets to it from us alone.
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process and its group, whether it still runs or has left others behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
