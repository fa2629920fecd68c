"""What is remembered, in a file between one run and the next: JSON, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine_opt.errors import FileError, StateError

from .deciding import Standing

if TYPE_CHECKING:
    from engine_opt.config import EngineConfig
    from engine_opt.engine import ProtocolEngine, Sink


def restored(path: Path, config: EngineConfig, sink: Sink | None) -> tuple[ProtocolEngine, dict[str, Standing]] | None:
    """Return the engine whose memory is in a file and where its symbols stand, None where there is no such file.

    A state that a program of yours has saved says nothing of where they stand: all it has seen counts as decided.
    Raises FileError.
    """
    from engine_opt.engine import ProtocolEngine

    try:
        state = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise FileError(str(path), None, None, None, f"it is not the state of an engine: {error}") from error
    standings = state.pop("standings", {}) if isinstance(state, dict) else {}
    try:
        engine = ProtocolEngine.restore(state, config, sink=sink)
        return engine, _standings(standings, engine)
    except (StateError, ValueError) as error:  # InputError is a ValueError
        raise FileError(str(path), None, None, None, str(error)) from error


def _standings(state: object, engine: ProtocolEngine) -> dict[str, Standing]:
    from engine_opt.plain import load

    if not isinstance(state, Mapping) or not set(engine.symbols).issuperset(state):
        raise StateError("it knows where other symbols stand than the engine does: it is damaged, feed the bars again")
    found = {}
    for symbol, plain in state.items():
        standing, problems = load(Standing, plain)
        if standing is None:
            raise StateError(f"where {symbol} stands is damaged ({problems[0]}): feed the bars again")
        found[symbol] = standing
    return found


def save(path: Path, engine: ProtocolEngine, standings: Mapping[str, Standing]) -> None:
    """Write an engine's memory and where its symbols stand to a file. Raises OSError."""
    from engine_opt.files.disk import replacing
    from engine_opt.plain import dump

    state: dict[str, Any] = engine.save() | {"standings": dump(standings)}
    with replacing(path) as file:
        file.write(json.dumps(state, allow_nan=False).encode())
