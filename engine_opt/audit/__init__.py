"""An append-only record of what the engine was told and what it answered, so that a run can be replayed and checked.

>>> with open_audit("decisions.jsonl") as log:                        # doctest: +SKIP
...     log.append("config", {"rules": "default"})
...     log.append("answer", {"week_type": "P-EW"}, time="2024-03-08")
>>> [record.kind for record in read_audit("decisions.jsonl")]         # doctest: +SKIP
['config', 'answer']

A file has one writer and any number of readers. What was damaged is reported with its place, never skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from os import PathLike, fspath
from typing import TYPE_CHECKING

from engine_opt.audit.records import AuditLog, AuditRecord
from engine_opt.errors import InputError

if TYPE_CHECKING:
    from engine_opt.audit.jsonl import JsonLinesAudit
    from engine_opt.audit.sqlite import SqliteAudit

__all__ = ["AuditLog", "AuditRecord", "JsonLinesAudit", "SqliteAudit", "open_audit", "read_audit"]

_ELSEWHERE = {"JsonLinesAudit": "engine_opt.audit.jsonl", "SqliteAudit": "engine_opt.audit.sqlite"}
_DATABASES = (".sqlite", ".db")


def open_audit(path: str | PathLike[str]) -> AuditLog:
    """Open or create the log at `path` for appending: `.jsonl` is JSON lines, `.sqlite` and `.db` are SQLite.

    Each record is on the disk when its `append` returns. Raises InputError for another suffix, StateError for a file
    that is damaged, of a newer format, no audit log, or open for appending elsewhere, OSError from the system.
    """
    if _is_database(path):
        from engine_opt.audit.sqlite import SqliteAudit

        return SqliteAudit(path)
    from engine_opt.audit.jsonl import JsonLinesAudit

    return JsonLinesAudit(path)


def read_audit(path: str | PathLike[str]) -> Iterator[AuditRecord]:
    """Yield the records of the log at `path`, one at a time, without locking it: it may be written to meanwhile.

    A last line that has no end and is no whole record is what an append leaves that is under way, or that a crash cut
    off: it ends the reading. Raises as `open_audit` does, and StateError at the first record that is damaged.
    """
    if _is_database(path):
        from engine_opt.audit.sqlite import read_database

        return read_database(path)
    from engine_opt.audit.jsonl import read_lines

    return read_lines(path)


def _is_database(path: str | PathLike[str]) -> bool:
    name = fspath(path).lower()
    if name.endswith(_DATABASES):
        return True
    if name.endswith(".jsonl"):
        return False
    raise InputError("path", fspath(path), "the name of an audit log must end in .jsonl, .sqlite or .db")


def __getattr__(name: str) -> object:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
