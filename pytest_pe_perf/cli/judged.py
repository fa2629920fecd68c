"""A run with the verdicts that it was given: for those who show them, and judge nothing again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from pytest_pe_perf.errors import RunFileError
from pytest_pe_perf.model import METRICS, Budget, Comparison, GateReport, Judgement, Run
from pytest_pe_perf.runfile import judgement_from

from .project import read_run

# No source file is so long, and nobody starts so many processes.
_MOST = 10**9


class _Said(msgspec.Struct):
    judgements: list[dict[str, Any]] | None = None
    notes: tuple[str, ...] = ()


def read_judged(path: Path) -> tuple[Run, GateReport]:
    """Return the run that a file holds, and what the gate said of it.

    Raises:
        RunFileError: the file cannot be read, is from a newer version, holds no verdicts, or what cannot be one.

    """
    run = read_run(path)
    try:
        said = msgspec.json.decode(path.read_bytes(), type=_Said)
        if said.judgements is None:
            raise RunFileError(f"{path} holds a run without verdicts; make one that has them with: pytest --pe-perf")
        judgements = tuple(map(judgement_from, said.judgements))
    except (OSError, ValueError, RecursionError) as error:
        raise RunFileError(f"{path} is not a run file: {error}; make one with: pytest --pe-perf") from error
    for wrong in _wrong(judgements):
        raise RunFileError(f"{path}: {wrong}; make a new file with: pytest --pe-perf")
    return run, GateReport(run.environment, judgements, run.skipped, said.notes)


_RATIOS = ("ratio", "low", "high", "threshold", "detectable")


def _wrong(judgements: Iterable[Judgement]) -> Iterable[str]:
    """Yield what no gate can have said."""
    seen = set()
    for judgement in judgements:
        key = judgement.key
        if key.metric not in METRICS:
            yield f"unknown metric {key.metric!r}"
        if key in seen:
            yield f"two verdicts on the {key.metric} of {key.label}"
        seen.add(key)
        if not all(_possible(judgement.value, judgement.line, judgement.comparison, judgement.budget)):
            yield f"the verdict on the {key.metric} of {key.label} has a number that cannot be"


def _possible(value: float | None, line: int, comparison: Comparison | None, budget: Budget | None) -> Iterable[bool]:
    yield 0 <= line <= _MOST
    yield value is None or 0 <= value < math.inf
    yield budget is None or 0 <= budget.limit < math.inf
    if comparison is not None:
        yield 0 <= comparison.n <= _MOST
        yield 0 <= comparison.base < math.inf
        yield 0 <= comparison.head < math.inf
        yield all(getattr(comparison, name) >= 0 for name in _RATIOS)
