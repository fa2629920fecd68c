"""What other processes need to know of a session of pytest: where it stands and how it was started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Command:
    """The pytest command of this session: interpreter, its flags, pytest's arguments, and the folder it is run in."""

    python: str
    flags: tuple[str, ...]
    arguments: tuple[str, ...]
    folder: Path

    @property
    def again(self) -> list[str]:
        """The same command in a fresh process."""
        return [self.python, *self.flags, "-m", "pytest", *self.arguments]


@dataclass(frozen=True, slots=True)
class Place:
    """The project that is compared: pytest's root, its command, its configuration file, and folders on its path."""

    rootdir: Path
    command: Command
    config_file: str = ""
    folders: tuple[Path, ...] = ()
    base_python: str = ""
