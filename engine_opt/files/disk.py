"""Files that are on the disk whole, or not there at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Give a file to write to, which becomes the one at `path` if all goes well, and otherwise is gone.

    It is written under a temporary name in the same folder, put on the disk, and given its name in one step: whoever
    looks sees what was there before, or all of the new one. A link is followed. Raises OSError from the system.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR), str(target))
    staged = _stage(target)
    try:
        with staged.file:
            yield staged.file
            staged.file.flush()
            os.fsync(staged.file.fileno())
        staged.path.replace(target)
    except BaseException:
        with suppress(OSError):
            staged.path.unlink()
        raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder's new names on the disk; Windows cannot, and does it by itself."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Staged(NamedTuple):
    """A file under its temporary name."""

    file: BinaryIO
    path: Path


def _stage(target: Path) -> _Staged:
    """Create a file beside `target` that nobody else has; not by tempfile, whose files only their owner can read."""
    number = 0
    while True:
        path = target.with_name(f".{target.name}.{os.getpid()}-{number}.tmp")
        try:
            return _Staged(path.open("xb"), path)
        except FileExistsError:
            number += 1
