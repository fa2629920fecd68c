"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .errors import WriteError


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``; on failure what stood there before is untouched.

    Raises:
        WriteError: the folder or the file cannot be written.

    """
    write_all_atomically({path: data})


def write_all_atomically(files: Mapping[Path, bytes]) -> None:
    """Write several files: all are on disk under temporary names before the first is put in place.

    A disk that is full or a folder that is read-only is met before anything is replaced.

    Raises:
        WriteError: one of them cannot be written.

    """
    staged: dict[Path, str] = {}
    path = Path()
    try:
        for path, data in files.items():
            if path.is_dir():
                # Met here, before the first file is put in place.
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
            staged[path] = name
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes files that only their owner can read; these are for everyone who may read the project.
            os.chmod(name, 0o666 & ~_umask())  # noqa: PTH101
        for path in list(staged):
            os.replace(staged[path], path)  # noqa: PTH105
            del staged[path]
    except OSError as error:
        raise WriteError(
            f"cannot write {path}: {error.strerror or error}; what stood there before is untouched"
        ) from error
    finally:
        for name in staged.values():
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108


def _umask() -> int:
    # There is no call that reads the mask without setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
