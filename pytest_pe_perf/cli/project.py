"""Where the project is, and the run it left behind."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pytest_pe_perf.errors import RunFileError
from pytest_pe_perf.model import Run

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
    from pytest_pe_perf.report.screen import printable
    from pytest_pe_perf.runcheck import Impossible, check_run

    try:
        run = runfile.read_run(path)
        check_run(run)
        datetime.fromisoformat(run.started)
    except RunFileError as error:
        raise RunFileError(printable(error.args[0])) from error
    except ValueError as error:
        raise RunFileError(printable(f"{path} is not a run file: {error}; make one with: pytest --pe-perf")) from error
    except Impossible as error:
        raise RunFileError(printable(f"{path}: {error}")) from error
    return run
