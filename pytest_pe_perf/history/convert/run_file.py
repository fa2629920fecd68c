"""The run file with its verdicts, as it was written: an export judges nothing again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from pytest_pe_perf.errors import RunFileError
from pytest_pe_perf.model import GateReport, Run
from pytest_pe_perf.runfile import judgement_from, read_run


class _Verdicts(msgspec.Struct):
    judgements: list[dict[str, Any]]


def read(path: Path) -> tuple[Run, GateReport]:
    """Return the run that a file holds, and what the gate said of it.

    Raises:
        RunFileError: the file cannot be read, is not one of ours, or from a newer version.

    """
    run = read_run(path)
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Verdicts).judgements
        judgements = tuple(map(judgement_from, found))
    except (OSError, msgspec.DecodeError) as error:
        raise RunFileError(f"{path} is not a run file: {error}; make one with: pytest --pe-perf") from error
    return run, GateReport(run.environment, judgements)
