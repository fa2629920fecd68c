"""A temporary folder that disappears with everything in it, however the process that made it ends.

A process that is killed cleans nothing up. So another one, the janitor, holds the other end of a pipe: when the pipe
closes, it ends the process groups that it was told about and removes the folder. This file is also its program: it is
run by path without site-packages, therefore it imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

PREFIX = "pe-perf-tmp-"
_END = b"end"
# The pipe closes at once where its owner dies. Only a forked child of the owner's could hold it open, and for that
# the janitor looks now and then whose child it is.
_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_TO_REMOVE = 30.0


class Watcher(Protocol):
    """Who ends process groups when this process is gone."""

    def watch(self, pgid: int) -> None:
        """Take the process group on."""

    def unwatch(self, pgid: int) -> None:
        """Forget the process group."""


class Workspace:
    """A temporary folder and the process groups that work in it."""

    def __init__(self, path: Path, janitor: subprocess.Popen[bytes]) -> None:
        self.path = path
        self._janitor = janitor
        self._groups: set[int] = set()
        self._owner = os.getpid()

    def watch(self, pgid: int) -> None:
        """End the process group ``pgid`` with SIGKILL when the workspace ends.

        Raises:
            ValueError: it is the caller's own group, or no group.

        """
        if pgid <= 1 or pgid == os.getpgrp():
            raise ValueError(f"process group {pgid} is not one of ours to end; start it in a session of its own")
        self._groups.add(pgid)
        self._tell(b"+%d" % pgid)

    def unwatch(self, pgid: int) -> None:
        """Forget the process group ``pgid``: it has ended, and its number may be given to others."""
        self._groups.discard(pgid)
        self._tell(b"-%d" % pgid)

    def close(self) -> None:
        """End what is watched and remove the folder; return when it is gone."""
        if os.getpid() != self._owner:
            return  # a forked child leaves the block: the folder is its parent's
        self._tell(_END)
        assert self._janitor.stdin is not None
        self._janitor.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._janitor.wait(2 * _SECONDS_TO_REMOVE)
        # Nothing is left to do, unless the janitor itself was killed.
        if os.path.lexists(self.path):
            sweep(self._groups, self.path)

    def _tell(self, line: bytes) -> None:
        # A janitor that was killed must not be felt here: close() does its work then.
        with contextlib.suppress(OSError):
            assert self._janitor.stdin is not None
            # Unbuffered, and shorter than PIPE_BUF: one line is written whole or not at all.
            self._janitor.stdin.write(line + b"\n")


@contextlib.contextmanager
def workspace() -> Iterator[Workspace]:
    """Yield a temporary folder that is gone afterwards: at the end, on exceptions, and where this process is killed.

    Raises:
        OSError: the folder cannot be made, or the janitor not be started.

    """
    # Resolved, as git resolves paths too: on macOS the system's temporary folder is behind a symbolic link.
    path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    try:
        place = Workspace(path, _start_janitor(path))
    except BaseException:
        path.rmdir()
        raise
    try:
        yield place
    finally:
        place.close()


def sweep(groups: Iterable[int], folder: Path) -> bool:
    """End the process groups and remove the folder; say whether it is gone."""
    for pgid in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pgid, signal.SIGKILL)
    # Who was ended just now may still be writing, so the removal is repeated.
    deadline = time.monotonic() + _SECONDS_TO_REMOVE
    while _left(folder) and time.monotonic() < deadline:
        _open_folders(folder)
        time.sleep(0.02)
    return not os.path.lexists(folder)


def _left(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return os.path.lexists(folder)


def _open_folders(folder: Path) -> None:
    """Give back the right to remove what is in the folders; links are not followed, they lead out of here."""
    _open_folder(folder)
    for root, names, _ in os.walk(folder):
        for name in names:
            _open_folder(Path(root, name))


def _open_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(folder.lstat().st_mode):
            folder.chmod(0o700)


def _start_janitor(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(path), str(os.getpid())],
        bufsize=0,
        cwd="/",
        stdin=subprocess.PIPE,
        # Who reads the output of this process to its end must not wait for the janitor.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Neither Ctrl-C nor the end of the terminal reaches it.
        start_new_session=True,
    )


def _listen(owner: int) -> set[int]:
    """Read what the owner says until it ends, and return the process groups that it leaves behind."""
    groups: set[int] = set()
    rest = b""
    while True:
        ready, _, _ = select.select([0], [], [], _SECONDS_BETWEEN_LOOKS)
        if not ready:
            if os.getppid() != owner:
                return groups
            continue
        read = os.read(0, 65536)
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            if line == _END:
                return groups
            (groups.add if line.startswith(b"+") else groups.discard)(int(line[1:]))
        if not read:
            return groups


def _main() -> int:
    # Whoever ends everything around here ends the owner too; then there is work to do.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder, owner = sys.argv[1:]
    return 0 if sweep(_listen(int(owner)), Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(_main())
