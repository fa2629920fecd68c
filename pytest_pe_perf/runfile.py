"""``.pe-perf/run.json``: a run and what the gate said of it, for other programs and for ``pe-perf update``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from .errors import RunFileError
from .files import write_atomically
from .model import RUN_FORMAT, GateReport, Judgement, Run


@dataclass(frozen=True, slots=True)
class RunFile:
    """The file's content. ``judgements`` is for readers; our own commands judge ``run`` again."""

    run: Run
    judgements: tuple[Judgement, ...]
    notes: tuple[str, ...]


def encode(run: Run, report: GateReport) -> bytes:
    """Return the bytes of a run file. A ratio against zero, which JSON has no word for, becomes null."""
    content = RunFile(run, report.judgements, report.notes)
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def write_run(path: Path, run: Run, report: GateReport) -> None:
    """Write the run file.

    Raises:
        WriteError: it cannot be written.

    """
    write_atomically(path, encode(run, report))


def read_run(path: Path) -> Run:
    """Return the run that the file holds.

    Raises:
        RunFileError: there is no such file, or it is not one of ours, or from a newer version.

    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunFileError(f"cannot read {path}: {error.strerror or error}; make one with: pytest --pe-perf") from error
    try:
        found = msgspec.json.decode(data, type=_Probe).run.format
        if found > RUN_FORMAT:
            raise RunFileError(f"{path} has format {found}, newer than the {RUN_FORMAT} that this version understands")
        return msgspec.json.decode(data, type=_Content).run
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RunFileError(f"{path} is not a run file: {error}; make one with: pytest --pe-perf") from error


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the run file."""
    result = msgspec.json.schema(RunFile)
    text = msgspec.json.encode(result)
    # Docstrings of private classes end up as descriptions; keep only the names that users know.
    return dict(msgspec.json.decode(re.sub(rb"\$defs/_", b"$defs/", text)))


class _ProbeRun(msgspec.Struct):
    format: int


class _Probe(msgspec.Struct):
    run: _ProbeRun


class _Content(msgspec.Struct):
    run: Run
