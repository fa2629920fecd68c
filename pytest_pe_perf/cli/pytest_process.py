"""The pytest that a verb runs: to its end, out of the terminal's reach, and gone with this process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pe_perf.measure import child

if TYPE_CHECKING:
    from pytest_pe_perf.measure.janitor import Workspace

# What pytest gets after a Ctrl-C to put its own things away.
_SECONDS_TO_END = 15.0


def run(
    command: Sequence[str], folder: Path, log: Path, room: Workspace, environ: Mapping[str, str] | None = None
) -> int:
    """Run pytest to its end and return its exit status; on Ctrl-C it gets the time to put its own things away.

    If this process is killed, the room's janitor ends pytest.
    """
    with log.open("wb") as stream:
        process = child.start(command, folder, os.environ if environ is None else environ, stream.fileno())
    try:
        room.watch(process.pid)
        return process.wait()
    finally:
        if process.poll() is None:
            _end(process)
        room.unwatch(process.pid)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        process.send_signal(signal.SIGINT)
        process.wait(_SECONDS_TO_END)
    if process.poll() is None:
        child.end(process)


def last_words(log: Path) -> str:
    """Return the last lines that pytest printed, as one."""
    from pytest_pe_perf.report.screen import printable

    last = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return printable(" / ".join(last[-3:])) or "it said nothing"
