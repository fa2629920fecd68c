"""Alerts as lines of JSON in a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import FileIO
from os import PathLike

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring.alerts.messages import DeliveryError, Message
from engine_opt.monitoring.alerts.toml import text

_LOOKED_AT = 1 << 20  # bytes at the end of the file in which a message that was interrupted is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNotifier:
    """Appends each message to a file, and has it put on the disk; a message that is there already is not added again.

    The file is opened for each message, so that it may be moved away at any time. A line that was cut off by a full
    disk or a crash stays as it is; the next one begins below it.
    """

    name: str
    path: str | PathLike[str]

    def __post_init__(self) -> None:
        text("name", self.name)
        if not isinstance(self.path, str | PathLike):
            raise InputError("path", self.path, "it must be the path of a file")
        check.store(self, "path", text("path", os.fspath(self.path)))

    @property
    def deduplicates(self) -> bool:
        """Yes: by looking."""
        return True

    def send(self, message: Message) -> None:
        """Append a message. Raises DeliveryError."""
        line = message.json().encode()
        try:
            with FileIO(self.path, "a+") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - _LOOKED_AT, 0))
                held = file.read(_LOOKED_AT) or b""  # not all there is: a device may have no end
                if line in held.split(b"\n")[:-1]:
                    return
                start = b"" if not held or held.endswith(b"\n") else b"\n"
                whole = start + line + b"\n"
                if file.write(whole) != len(whole):
                    raise DeliveryError(f"{self.path} took a part of the line only: the disk is full")
                os.fsync(file.fileno())
        except OSError as error:
            raise DeliveryError(f"{self.path}: {error.strerror}") from error
