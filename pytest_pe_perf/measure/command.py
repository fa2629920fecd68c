"""The command of a session of pytest, which other processes repeat."""

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
