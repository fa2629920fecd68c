"""What the engine remembers, in a file between one run and the next: JSON, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine_opt.errors import FileError, StateError

if TYPE_CHECKING:
    from engine_opt.config import EngineConfig
    from engine_opt.engine import ProtocolEngine, Sink


def restored(path: Path, config: EngineConfig, sink: Sink | None) -> ProtocolEngine | None:
    """Return the engine whose memory is in a file, None where there is no such file. Raises FileError."""
    from engine_opt.engine import ProtocolEngine

    try:
        state = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise FileError(str(path), None, None, None, f"it is not the state of an engine: {error}") from error
    try:
        return ProtocolEngine.restore(state, config, sink=sink)
    except (StateError, ValueError) as error:  # InputError is a ValueError
        raise FileError(str(path), None, None, None, str(error)) from error


def save(engine: ProtocolEngine, path: Path) -> None:
    """Write an engine's memory to a file: beside it first, then in its place. Raises OSError."""
    content = json.dumps(engine.save(), allow_nan=False).encode()
    target = Path(os.path.realpath(path))
    staged = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            staged.unlink()
        raise
