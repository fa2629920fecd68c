"""The audit in an SQLite database: the same records with the same checksums, and open to queries.

Schema 1 (0.1): `audit(sequence, kind, time, payload, crc32)`; the payload is JSON, the checksum that of the record's
JSON, as in a file of JSON lines. Triggers refuse UPDATE, DELETE and a record out of sequence, whoever asks.

SQLite keeps its write-ahead log in `<path>-wal` and `<path>-shm`; `<path>.lock` is empty and keeps a second writer out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from errno import EIO
from io import FileIO
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn

from engine_opt.audit.jsonl import lock
from engine_opt.audit.records import AuditLog, AuditRecord, checksum, make, parse_payload, render
from engine_opt.errors import InputError, StateError

if TYPE_CHECKING:
    from sqlite3 import Connection

SCHEMA = 1

_CREATE = """
BEGIN IMMEDIATE;
CREATE TABLE audit_schema (version INTEGER NOT NULL);
INSERT INTO audit_schema VALUES (1);
CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, time TEXT, payload TEXT NOT NULL, crc32 INTEGER NOT NULL
);
CREATE TRIGGER audit_sequence BEFORE INSERT ON audit
    WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence) + 1, 0) FROM audit)
    BEGIN SELECT RAISE(ABORT, 'an audit has neither gaps nor repetitions'); END;
CREATE TRIGGER audit_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'an audit is append-only'); END;
CREATE TRIGGER audit_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'an audit is append-only'); END;
CREATE TRIGGER schema_insert BEFORE INSERT ON audit_schema BEGIN SELECT RAISE(ABORT, 'an audit has one schema'); END;
CREATE TRIGGER schema_update BEFORE UPDATE ON audit_schema BEGIN SELECT RAISE(ABORT, 'an audit is append-only'); END;
CREATE TRIGGER schema_delete BEFORE DELETE ON audit_schema BEGIN SELECT RAISE(ABORT, 'an audit is append-only'); END;
COMMIT;
"""


class SqliteAudit(AuditLog):
    """An audit log in an SQLite database, open for appending.

    `batch` appends make one transaction, which is on the disk when the last of them returns; a crash or a full disk
    loses what is not complete of a batch, and `flush` completes it. Several threads may use one log; a forked process
    may not.

    Attributes:
        repaired: 0; SQLite repairs itself.

    Raises InputError for a batch that is not a whole number above 0, StateError for a file that is open for appending
    elsewhere, is no audit database or of a newer schema; OSError from the system.

    """

    def __init__(self, path: str | PathLike[str], batch: int = 1) -> None:
        if type(batch) is not int or batch < 1:
            raise InputError("batch", batch, "it must be a whole number above 0")
        import sqlite3

        self.repaired = 0
        self._path = Path(path)
        self._batch = batch
        self._pending = self._appended = 0
        self._process = os.getpid()
        self._turn = Lock()
        self._errors = sqlite3.Error
        self._connection: Connection | None = None
        self._lock = FileIO(self._path.with_name(self._path.name + ".lock"), "a+")
        try:
            lock(self._lock, self._path)
            self._connection = _connect(self._path, "rwc")
            self._next = self._committed = _open_schema(self._connection, self._path)
        except BaseException:
            self._release()
            raise

    def append(self, kind: str, payload: Mapping[str, Any], time: str | None = None) -> AuditRecord:
        """Write a record and return it; raises as `JsonLinesAudit.append` does."""
        with self._turn:
            connection = self._usable()
            record, text, body = make(self._next, kind, payload, time)
            self._put(connection, (record.sequence, kind, time, text, checksum(body)))
            self._appended += 1
            return record

    def flush(self) -> None:
        """Put an incomplete batch on the disk."""
        with self._turn:
            self._flush(self._usable())

    def read(self) -> Iterator[AuditRecord]:
        """Yield what was appended before this call, oldest first; raises StateError at the first damaged record."""
        with self._turn:
            self._flush(self._usable())  # a reader sees what is on the disk
            return read_database(self._path, end=self._committed)

    def close(self) -> None:
        """Put an incomplete batch on the disk and release the file."""
        with self._turn:
            if self._connection is None:
                return
            try:
                if self._process == os.getpid():
                    self._flush(self._connection)
            finally:
                self._release()

    def stats(self) -> Mapping[str, float]:
        """Return records in the file, records appended here and not yet on the disk, bytes cut away on opening."""
        return {
            "records": self._next,
            "appended": self._appended,
            "unsynced": self._pending,
            "repaired": self.repaired,
        }

    def _usable(self) -> Connection:
        if self._connection is None:
            raise StateError(f"{self._path}: this audit log was closed; open it again")
        if self._process != os.getpid():
            raise StateError(
                f"{self._path}: this audit log belongs to the process that opened it; open one of your own"
            )
        return self._connection

    def _flush(self, connection: Connection) -> None:
        if self._pending:
            self._put(connection, None)

    def _put(self, connection: Connection, row: tuple[object, ...] | None) -> None:
        """Add a row to the batch and commit the batch if it is full; without a row, commit what there is."""
        try:
            if row is not None:
                if not self._pending:
                    connection.execute("BEGIN IMMEDIATE")
                connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?)", row)
                self._pending += 1
                self._next += 1
            if row is None or self._pending >= self._batch:
                connection.execute("COMMIT")
                self._committed = self._next
                self._pending = 0
        except self._errors as error:
            self._undo(connection)
            raise OSError(EIO, f"SQLite could not write: {error}", str(self._path)) from error
        except BaseException:
            self._undo(connection)
            raise

    def _undo(self, connection: Connection) -> None:
        """Take back the transaction under way, and ask the database where that leaves us: Ctrl-C may come late."""
        self._next = self._committed
        self._pending = 0
        with suppress(self._errors):  # the first error is the one to tell
            if connection.in_transaction:  # after some errors SQLite has undone it already
                connection.execute("ROLLBACK")
            self._next = self._committed = _count(connection)

    def _release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._lock.close()


def read_database(path: str | PathLike[str], *, end: int | None = None) -> Iterator[AuditRecord]:
    """Yield the first `end` records of a database, or all of them, verifying each; see `read_audit`."""
    import sqlite3

    connection = _connect(Path(path), "ro")
    try:
        if _version(connection, Path(path)) is None:
            return  # being created, or a crash came first
        rows = connection.execute("SELECT sequence, kind, time, payload, crc32 FROM audit ORDER BY sequence")
        for expected, (sequence, *content) in enumerate(rows):
            if expected == end:
                return
            if sequence != expected:
                _refuse(path, expected, f"it is missing: the next one is record {sequence}")
            yield _record(path, sequence, *content)
    except sqlite3.DatabaseError as error:
        raise StateError(f"{os.fspath(path)}: {error}; restore the file from a copy") from error
    finally:
        connection.close()


def _record(
    path: str | PathLike[str], sequence: int, kind: object, time: object, payload: object, crc: object
) -> AuditRecord:
    if not isinstance(kind, str) or not isinstance(payload, str) or not isinstance(time, str | None):
        _refuse(path, sequence, "a column is not text")
    if checksum(render(sequence, kind, payload, time)) != crc:
        _refuse(path, sequence, "its checksum is not that of its content")
    try:
        return AuditRecord(sequence, kind, time, parse_payload(payload))
    except ValueError as error:
        _refuse(path, sequence, str(error))


def _connect(path: Path, mode: str) -> Connection:
    """Open a database; SQLite says of a file that cannot be opened nothing but that, so the system is asked first."""
    import sqlite3

    if mode == "ro" or path.exists():
        path.open("rb").close()
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    try:
        # One thread at a time, which the log's own lock sees to.
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise OSError(EIO, f"SQLite could not open it: {error}", str(path)) from error


def _open_schema(connection: Connection, path: Path) -> int:
    """Create the tables of a new database, and return the sequence number of the next record."""
    import sqlite3

    try:
        version = _version(connection, path)  # first: what is not ours is not even switched to another journal
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if version is None:
            connection.executescript(_CREATE)
        return _count(connection)
    except sqlite3.OperationalError as error:
        raise OSError(EIO, f"SQLite could not open it: {error}", str(path)) from error
    except sqlite3.DatabaseError as error:
        raise StateError(f"{path}: {error}; restore it from a copy, or give another path") from error


def _count(connection: Connection) -> int:
    """Return the sequence number of the next record."""
    (count,) = connection.execute("SELECT coalesce(max(sequence) + 1, 0) FROM audit").fetchone()
    return int(count)


def _version(connection: Connection, path: Path) -> int | None:
    """Return the schema of a database, None where it holds nothing at all; refuse what is not ours."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    if not {"audit", "audit_schema"} <= tables:
        raise StateError(f"{path}: this database belongs to something else, with tables {sorted(tables)}")
    found = [version for (version,) in connection.execute("SELECT version FROM audit_schema")]
    if found == [SCHEMA]:
        return SCHEMA
    if len(found) == 1 and type(found[0]) is int and found[0] > SCHEMA:
        raise StateError(
            f"{path}: schema {found[0]} is newer than the {SCHEMA} that this version understands: "
            "upgrade pytest-pe-perf"
        )
    raise StateError(f"{path}: its schema is {found}, which no version wrote; restore the file from a copy")


def _refuse(path: str | PathLike[str], sequence: int, why: str) -> NoReturn:
    raise StateError(
        f"{os.fspath(path)}, record {sequence}: {why}. The record is damaged and nothing is skipped: restore the file "
        "from a copy, or move it away and begin a new one"
    )
