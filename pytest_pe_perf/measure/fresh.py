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
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from pytest_pe_perf.files import write_atomically
from pytest_pe_perf.measure import child
from pytest_pe_perf.measure.janitor import Workspace, workspace
from pytest_pe_perf.model import Key, Row, Skipped
from pytest_pe_perf.profile.stacks import Seen

# Says of a process group that it is at work, as long as the context lasts.
Watch = Callable[[int], AbstractContextManager[None]]
VARIABLE = "PE_PERF_FRESH"
# How often a process that weighs is looked at.
_LOOK_EVERY = 0.25
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
    """What a fresh process is asked for: the node ids to measure, where to write the rows, and whether only memory or none.

    Where there are rows to ``profile``, it looks at these and measures nothing.
    """

    tests: tuple[str, ...]
    out: str
    memory_only: bool = False
    times_only: bool = False
    profile: tuple[Key, ...] = ()

    @property
    def step_by_step(self) -> bool:
        """Whether it hands over what it has after each test: one of them may break the process."""
        return self.memory_only or bool(self.profile)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a fresh process measured, and what it could not.

    ``running`` is a test that has not come to its end, ``broken`` are those that broke a process that weighed. ``seen``
    is what was asked for as a profile.
    """

    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    running: str = ""
    broken: tuple[str, ...] = ()
    seen: tuple[Seen, ...] = ()


class FreshProcessError(Exception):
    """A fresh process gave no numbers; the message says why."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a process may take to start and to collect, and then for each test."""

    start_up: float
    test: float


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
    times_only: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Answer:
    """Run ``command`` in a fresh process for ``tests`` and return what it measured, of their ``times_only`` or of all.

    The process gets ``environ``, or this one's environment.

    Raises:
        FreshProcessError: it could not be started, took longer than ``timeout`` seconds, or wrote nothing.

    """
    with workspace() as room:
        out, log = room.path / "rows.json", room.path / "log.txt"
        request = Request(tuple(tests), str(out), times_only=times_only)
        environ = inherited(os.environ if environ is None else environ)
        environ[VARIABLE] = msgspec.json.encode(request).decode()
        with log.open("wb") as stream:
            status = _run(command, environ, folder, stream.fileno(), timeout, room)
        try:
            return msgspec.json.decode(out.read_bytes(), type=Answer)
        except (OSError, msgspec.DecodeError) as error:
            raise FreshProcessError(
                f"a fresh process gave no numbers (exit status {status}); it said: {last_words(log)}"
            ) from error


def weigh(
    command: Sequence[str],
    tests: Sequence[str],
    *,
    folder: Path,
    room: Path,
    patience: Patience,
    environ: Mapping[str, str],
    watch: Watch,
    profile: tuple[Key, ...] = (),
) -> Answer:
    """Weigh ``tests`` in a fresh process. A test that ends it or lets it hang is skipped, another one does the others.

    ``room`` is a folder for files, and ``watch`` is told of every process. With ``profile`` it looks where the time or
    the memory of these rows goes, and weighs nothing.

    Raises:
        FreshProcessError: a process could not be started, or did not come to its first test.

    """
    rows: list[Row] = []
    skipped: list[Skipped] = []
    broken: list[str] = []
    seen: list[Seen] = []
    left = list(tests)
    while left:
        asked = Request(tuple(left), "", memory_only=not profile, profile=profile)
        answer, how = _ask(command, asked, folder, room, patience, environ, watch)
        seen += [item for item in answer.seen if item.key.test != answer.running]
        rows += [row for row in answer.rows if row.key.test != answer.running]
        skipped += [item for item in answer.skipped if item.test != answer.running]
        if not answer.running:
            break
        skipped.append(Skipped(answer.running, f"its process {how}"))
        broken.append(answer.running)
        known = (*(row.key.test for row in answer.rows), *(item.key.test for item in answer.seen))
        over = {answer.running, *known, *(item.test for item in answer.skipped)}
        left = [test for test in left if test not in over]
    return Answer(tuple(rows), tuple(skipped), broken=tuple(broken), seen=tuple(seen))


def _ask(
    command: Sequence[str],
    asked: Request,
    folder: Path,
    room: Path,
    patience: Patience,
    environ: Mapping[str, str],
    watch: Watch,
) -> tuple[Answer, str]:
    """Return what a process answered, and how it ended."""
    with tempfile.TemporaryDirectory(dir=room) as name:
        out, log = Path(name) / "rows.json", Path(name) / "log.txt"
        request = msgspec.json.encode(replace(asked, out=str(out))).decode()
        with log.open("wb") as stream:
            process = _start(command, {**inherited(environ), VARIABLE: request}, folder, stream.fileno())
        try:
            with watch(process.pid):
                how = _wait_for_progress(process, out, patience)
        finally:
            # Whatever its tests have left behind goes too.
            child.end(process)
        how = f"{how}; it said: {last_words(log)}"
        try:
            return msgspec.json.decode(out.read_bytes(), type=Answer), how
        except (OSError, msgspec.DecodeError) as error:
            what = "profile" if asked.profile else "weigh"
            raise FreshProcessError(f"a process that was to {what} {how}") from error


def _wait_for_progress(process: subprocess.Popen[bytes], out: Path, patience: Patience) -> str:
    """Wait until the process ends, or writes nothing to ``out`` for too long; return how it ended."""
    written, limit = 0, patience.start_up
    since = time.monotonic()
    while time.monotonic() <= since + limit:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return ending(process.wait(_LOOK_EVERY))
        with contextlib.suppress(FileNotFoundError):
            now = out.stat().st_mtime_ns
            if now != written:
                written, limit, since = now, patience.test, time.monotonic()
    return f"said nothing for {limit:.0f} s"


def ending(status: int) -> str:
    """Return in words how a process ended."""
    if status >= 0:
        return f"ended with status {status}"
    # A system out of memory kills in this way, and says nothing.
    why = " (out of memory?)" if status == -signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-status).name}{why}"


def last_words(log: Path) -> str:
    """Return the last lines that a process printed, as one."""
    with contextlib.suppress(OSError):
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return " / ".join(lines[-3:])[-300:] or "nothing"
    return "nothing"


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a process that measures may know of ``environ``."""
    return {key: value for key, value in environ.items() if key not in _NOT_INHERITED}


def _start(command: Sequence[str], environ: Mapping[str, str], folder: Path, log: int) -> subprocess.Popen[bytes]:
    try:
        return child.start(command, folder, environ, log)
    except OSError as error:
        raise FreshProcessError(f"a fresh process could not be started: {error}") from error


def _run(
    command: Sequence[str], environ: Mapping[str, str], folder: Path, log: int, timeout: float, room: Workspace
) -> int:
    process = _start(command, environ, folder, log)
    try:
        room.watch(process.pid)
        return process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise FreshProcessError(f"a fresh process did not finish within {timeout:.0f} s") from error
    finally:
        # Also on Ctrl-C: nothing of ours goes on running.
        if process.poll() is None:
            child.end(process)
        room.unwatch(process.pid)
