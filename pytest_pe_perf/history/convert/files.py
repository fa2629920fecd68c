"""Which program wrote a file: ours, pytest-benchmark or asv."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.history.interface import Later, Names
from pytest_pe_perf.history.record import Record, decode

from . import asv, pytest_benchmark

_SQLITE = b"SQLite format 3\0"


def read_all(paths: Iterable[Path]) -> Iterator[Record]:
    """Yield the runs of files and folders.

    Raises:
        HistoryError: a file cannot be read or is none of those that we know, or a folder holds none.

    """
    for path in paths:
        yield from _folder(path) if path.is_dir() else _file(path)


def renames_of(paths: Iterable[Path]) -> Names:
    """Return what the histories among the files know of renamed tests.

    Raises:
        HistoryError: one of them cannot be read.

    """
    from pytest_pe_perf.history.store import open_history

    names: dict[str, Later] = {}
    for path in paths:
        if path.is_file() and _data(path).startswith(_SQLITE):
            with open_history(path) as history:
                names |= history.renames()
    return names


def _folder(folder: Path) -> Iterator[Record]:
    if (folder / asv.INDEX).is_file():
        yield from asv.read(folder)
        return
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in (".json", ".jsonl") and path.is_file()]
    if not found:
        raise HistoryError(f"{folder} has neither files of pytest-benchmark nor {asv.INDEX} of asv in it")
    for path in found:
        yield from _file(path)


def _file(path: Path) -> Iterator[Record]:
    data = _data(path)
    if data.startswith(_SQLITE):
        from pytest_pe_perf.history.store import open_history

        with open_history(path) as history:
            for run in history.runs():
                yield history.record(run)
    elif path.suffix == ".jsonl":
        try:
            yield decode(data)
        except HistoryError as error:
            raise HistoryError(f"{path}: {error.args[0]}") from error
    else:
        yield pytest_benchmark.read(path, data)


def _data(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HistoryError(f"cannot read {path}: {error.strerror or error}") from error
