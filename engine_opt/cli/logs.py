"""Audit logs as the verbs read them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine_opt.audit import AuditLog, AuditRecord, open_audit, read_audit
from engine_opt.errors import EngineError, FileError

_BATCH = 64


def recording_to(log: Path) -> AuditLog:
    """Open a log for appending, put on the disk a batch at a time: what a power cut takes can be made again.

    Raises as `open_audit` does.
    """
    name = log.name.lower()
    if name.endswith(".jsonl"):
        from engine_opt.audit.jsonl import JsonLinesAudit

        return JsonLinesAudit(log, "batch")
    if name.endswith((".sqlite", ".db")):
        from engine_opt.audit.sqlite import SqliteAudit

        return SqliteAudit(log, _BATCH)
    return open_audit(log)  # which says what is wrong with the name


@contextmanager
def recorded_in(log: Path) -> Iterator[Iterator[AuditRecord]]:
    """Give the records of a log; what is wrong with them is raised as FileError of the log."""
    try:
        yield read_audit(log)
    except EngineError as error:
        text = str(error)
        if str(log) in text:
            raise
        raise FileError(str(log), None, None, None, text) from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        # A record whose checksum is right and whose content no engine wrote.
        why = f"a record is not what an engine records ({type(error).__name__}: {error}): the log was tampered with"
        raise FileError(str(log), None, None, None, why) from error
