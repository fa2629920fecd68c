"""Measuring a few tests again in a fresh process: another layout of memory, other hash seeds, other neighbours.

The process is the same pytest command with a request in its environment. The plugin in there measures the tests of
the request, judges nothing, and writes what it measured to a file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pytest_pe_perf.files import write_atomically
from pytest_pe_perf.model import Row, Skipped

VARIABLE = "PE_PERF_FRESH"
# Coverage and its helpers would time themselves in a child process.
_NOT_INHERITED = (
    "COV_CORE_SOURCE",
    "COV_CORE_CONFIG",
    "COV_CORE_DATAFILE",
    "COVERAGE_PROCESS_START",
    "PYTEST_XDIST_WORKER",
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a fresh process is asked for: the node ids to measure, where to write the rows, and whether only memory."""

    tests: tuple[str, ...]
    out: str
    memory_only: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a fresh process measured, and what it could not."""

    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]


class FreshProcessError(Exception):
    """A fresh process gave no numbers; the message says why."""


def requested(environ: MutableMapping[str, str]) -> Request | None:
    """Take the request that this process was started for out of its environment, if it was.

    What the tests start themselves may be a gate too, and must not answer in this process's place.
    """
    text = environ.pop(VARIABLE, None)
    return msgspec.json.decode(text, type=Request) if text else None


def end_with_parent() -> None:
    """Let the system end this process when the one that asked for it is gone, killed included (Linux only)."""
    if sys.platform != "linux":
        return
    import ctypes

    # prctl(PR_SET_PDEATHSIG, SIGKILL), see prctl(2); the group is ours alone, but the parent cannot end it any more.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def answer(request: Request, content: Answer) -> None:
    """Write what this process measured.

    Raises:
        WriteError: the file cannot be written.

    """
    write_atomically(Path(request.out), msgspec.json.encode(content))


def measure_again(
    command: Sequence[str],
    tests: Sequence[str],
    *,
    folder: Path,
    timeout: float,
    environ: Mapping[str, str] | None = None,
    memory_only: bool = False,
) -> Answer:
    """Run ``command`` in a fresh process for ``tests`` and return what it measured.

    The process gets ``environ``, or this one's environment.

    Raises:
        FreshProcessError: it could not be started, took longer than ``timeout`` seconds, or wrote nothing.

    """
    with tempfile.TemporaryDirectory(prefix="pe-perf-") as name:
        out, log = Path(name) / "rows.json", Path(name) / "log.txt"
        request = Request(tuple(tests), str(out), memory_only)
        environ = inherited(os.environ if environ is None else environ)
        environ[VARIABLE] = msgspec.json.encode(request).decode()
        with log.open("wb") as stream:
            status = _run(command, environ, folder, stream.fileno(), timeout)
        try:
            return msgspec.json.decode(out.read_bytes(), type=Answer)
        except (OSError, msgspec.DecodeError) as error:
            last = log.read_text(errors="replace").strip().splitlines()[-3:]
            said = " / ".join(line.strip() for line in last) or "nothing"
            raise FreshProcessError(
                f"a fresh process gave no numbers (exit status {status}); it said: {said}"
            ) from error


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a process that measures may know of ``environ``."""
    return {key: value for key, value in environ.items() if key not in _NOT_INHERITED}


def _run(command: Sequence[str], environ: Mapping[str, str], folder: Path, log: int, timeout: float) -> int:
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A group of its own, so that what the tests start ends with it.
            start_new_session=True,
        )
    except OSError as error:
        raise FreshProcessError(f"a fresh process could not be started: {error}") from error
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise FreshProcessError(f"a fresh process did not finish within {timeout:.0f} s") from error
    finally:
        # Also on Ctrl-C: nothing of ours goes on running.
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
