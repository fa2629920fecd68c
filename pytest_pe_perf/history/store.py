"""The door to a project's history, and what becomes of a run that it does not take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from pytest_pe_perf.errors import ConfigError, HistoryError, WriteError
from pytest_pe_perf.files import write_atomically
from pytest_pe_perf.model import GateReport, Past, Run

from . import renames
from .interface import HistoryStore
from .past import recall
from .record import Record, decode, encode, record_of

# Where runs wait that a history did not take, in the project's folder.
WAITING = Path(".pe-perf", "unsent")
_GIT = "git:"
_POSTGRESQL = re.compile(r"postgres(ql)?(\+psycopg)?://")


@contextmanager
def open_history(where: str | Path, root: Path | None = None, project: str = "") -> Iterator[HistoryStore]:
    """Open a history, made where there is none. Several processes may have it open and write.

    ``where`` is a file, ``postgresql://...``, or ``git:`` and the name of a branch; files are relative to ``root``,
    whose repository it is. ``project`` says whose history is asked for, if that is known.

    Raises:
        HistoryError: it cannot be opened, read or written, is damaged, newer, another program's or another project's.

    """
    name, folder = str(where), root or Path()
    try:
        with _opened(name, folder) as history:
            history.claim(project)
            yield renames.Renamed(history)
    except HistoryError as error:
        shown = _shown(name) if _elsewhere(name) else str(folder / name)
        message = error.args[0]
        raise HistoryError(message if shown in message else f"{shown}: {message}") from error


def _elsewhere(name: str) -> bool:
    return name.startswith(_GIT) or "://" in name


def _opened(name: str, root: Path) -> AbstractContextManager[HistoryStore]:
    if name.startswith(_GIT):
        from .git_branch import open_branch

        return open_branch(root, name.removeprefix(_GIT))
    if _POSTGRESQL.match(name):
        from .postgres import open_postgres

        return open_postgres(_POSTGRESQL.sub("postgresql+psycopg://", name, count=1))
    if "://" in name:
        raise HistoryError("a history is a file, postgresql://... or git:BRANCH")
    from .sqlite import open_sqlite

    return open_sqlite(root / name)


def _shown(name: str) -> str:
    """Return an address without the password in it."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", name)


def project_of(root: Path) -> str:
    """Return the name of the project in ``root``: that of its pyproject.toml, empty where it has none.

    Raises:
        ConfigError: the file is not TOML.

    """
    import tomllib

    path = root / "pyproject.toml"
    try:
        table: Any = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    name = table.get("name", "") if isinstance(table, dict) else ""
    # Names that pip takes for the same (PEP 503) are the same.
    return re.sub(r"[-_.]+", "-", name).lower() if isinstance(name, str) else ""


# --- a run that was measured --------------------------------------------------------------------------------------


def remember(root: Path, where: str, run: Run, report: GateReport) -> Past:
    """Add a run to the project's history, after those that wait for it, and return what it holds of the run's rows.

    A run that the history does not take is kept in ``WAITING``; the next one sends it.

    Raises:
        HistoryError: the history cannot be written; the message says where the run is kept.

    """
    record = record_of(run, report)
    try:
        with open_history(where, root, project_of(root)) as history:
            send(root, history, [record])
            return recall(history, run.environment.slug, [judgement.key for judgement in report.judgements])
    except HistoryError as error:
        raise HistoryError(f"{error.args[0]}; {_keep(root, record)}") from error


def follow(root: Path, where: str, pairs: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Let tests of the project's history go on under the new names that their baselines have now.

    Returns those of ``pairs``, each an old name and the new one, that were noted, and of the others why they were not: a
    history that cannot be had is no reason to give up a baseline.
    """
    if not pairs:
        return {}, {}
    try:
        with open_history(where, root, project_of(root)) as history:
            return renames.follow(history, pairs)
    except HistoryError as error:
        return {}, dict.fromkeys(pairs, str(error.args[0]))


def send(root: Path, history: HistoryStore, records: Iterable[Record] = ()) -> int:
    """Add the runs that wait, and these; return how many are new to the history.

    Raises:
        HistoryError: a run that waits is not what was written, or the history cannot be written.

    """
    paths = waiting(root)
    added = history.add([*_read(paths), *records])
    for path in paths:
        path.unlink(missing_ok=True)
    return added


def waiting(root: Path) -> list[Path]:
    """Return the files of the runs that wait to be sent."""
    return sorted((root / WAITING).glob("*.jsonl"))


def _read(paths: Iterable[Path]) -> Iterator[Record]:
    for path in paths:
        try:
            # Another process may have sent it by now.
            with suppress(FileNotFoundError):
                yield decode(path.read_bytes(), path.stem)
        except OSError as error:
            raise HistoryError(f"{path} cannot be sent: {error.strerror or error}") from error
        except HistoryError as error:
            raise HistoryError(f"{path} cannot be sent: {error.args[0]}; delete it if it is of no use") from error


def _keep(root: Path, record: Record) -> str:
    """Keep a run; return what became of it."""
    path = root / WAITING / f"{record.about.digest}.jsonl"
    with suppress(WriteError):
        write_atomically(path, encode(record))
        return f"the run is kept in {path} and sent by the next one"
    return "nor could the run be kept there"
