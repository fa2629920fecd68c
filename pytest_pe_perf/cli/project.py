"""Where the project is, and the run it left behind."""

from __future__ import annotations

from pathlib import Path

from pytest_pe_perf.errors import RunFileError
from pytest_pe_perf.model import METRICS, Run

RUN_FILE = Path(".pe-perf", "run.json")
# What pytest takes its root directory from, and our own folder.
_MARKS = (".pe-perf", "pyproject.toml", "pytest.toml", "pytest.ini", "tox.ini", "setup.cfg", ".git")


def find_root(start: Path, run: Path | None = None) -> Path:
    """Return the project's root: the nearest folder from ``start`` upwards that has a run file.

    Where ``run`` names one, any sign of a project will do.

    Raises:
        RunFileError: there is none.

    """
    marks = (RUN_FILE,) if run is None else _MARKS
    for folder in (start, *start.parents):
        if any((folder / mark).exists() for mark in marks):
            return folder
    if run is None:
        raise RunFileError(f"no {RUN_FILE} in {start} or above it; make one with: pytest --pe-perf")
    return start


def read_run(path: Path) -> Run:
    """Return the run that the file holds, fit to be judged.

    Raises:
        RunFileError: the file cannot be read, or holds a row that nobody can have measured.

    """
    from pytest_pe_perf import runfile

    run = runfile.read_run(path)
    for row in run.rows:
        metric = METRICS.get(row.key.metric)
        if metric is None:
            raise RunFileError(f"{path}: unknown metric {row.key.metric!r}; upgrade pytest-pe-perf")
        numbers = [sample.value for sample in row.samples]
        numbers += [sample.reference for sample in row.samples if sample.reference is not None]
        least = min(numbers, default=-1.0)
        if least < 0 or (least == 0 and metric.assume == "noisy"):
            raise RunFileError(
                f"{path}: the {metric.name} of {row.key.label} has no value that anybody can have measured; "
                "make a new file with: pytest --pe-perf"
            )
    return run
