"""``.pe-perf/run.json``: a run and what the gate said of it, for other programs and for ``pe-perf update``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from .errors import RunFileError
from .files import write_atomically
from .model import RUN_FORMAT, GateReport, Judgement, Pairs, Profile, Run

# A file comes from anywhere. The readings of 100 pairs of tests are 2 to 3 MB; this is room for thousands of them.
LARGEST = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RunFile:
    """The file's content. ``judgements`` is for readers; our own commands judge ``run`` again."""

    run: Run
    judgements: tuple[Judgement, ...]
    notes: tuple[str, ...]


def encode(run: Run, report: GateReport) -> bytes:
    """Return the bytes of a run file. A ratio against zero, which JSON has no word for, becomes null."""
    content = RunFile(replace(run, pairs=(), profiles=()), report.judgements, report.notes)
    text = msgspec.json.format(msgspec.json.encode(content), indent=1)
    # Within a text of JSON the quotes would be escaped, so that this stands there once.
    text = text.replace(b'"pairs": []', b'"pairs": ' + _lines(run.pairs), 1)
    return text.replace(b'"profiles": []', b'"profiles": ' + _lines(run.profiles), 1) + b"\n"


def _lines(content: tuple[Pairs, ...] | tuple[Profile, ...]) -> bytes:
    """Return thousands of numbers with a line for each row, not for each of them."""
    return msgspec.json.encode(content).replace(b'{"key":', b'\n{"key":')


def write_run(path: Path, run: Run, report: GateReport) -> None:
    """Write the run file.

    Raises:
        WriteError: it cannot be written.

    """
    write_atomically(path, encode(run, report))


def read_run(path: Path) -> Run:
    """Return the run that the file holds.

    Raises:
        RunFileError: there is no such file, or it is not one of ours, from a newer version, or larger than any of ours.

    """
    data = _bytes(path)
    try:
        found = msgspec.json.decode(data, type=_Probe).run.format
        if found > RUN_FORMAT:
            raise RunFileError(f"{path} has format {found}, newer than the {RUN_FORMAT} that this version understands")
        return msgspec.json.decode(data, type=_Content).run
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunFileError(f"{path} is not a run file: {error}; make one with: pytest --pe-perf") from error


def judgement_from(entry: dict[str, Any]) -> Judgement:
    """Return a judgement as ``encode`` wrote it: its ratios against zero are null there.

    Raises:
        msgspec.ValidationError: it is none.

    """
    comparison = entry.get("comparison")
    if isinstance(comparison, dict):
        finite = {name: math.inf if value is None else value for name, value in comparison.items()}
        entry = {**entry, "comparison": finite}
    return msgspec.convert(entry, Judgement)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise RunFileError(f"cannot read {path}: {error.strerror or error}; make one with: pytest --pe-perf") from error
    if len(data) > LARGEST:
        raise RunFileError(
            f"{path} is larger than {LARGEST // 1024**2} MiB: no run is; make one with: pytest --pe-perf"
        )
    return data


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
