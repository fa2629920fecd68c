"""The tables of a store in an SQLite file, beside which are `-wal` and `-shm`, and `.lock`, which keeps a second writer out.

What was written survives the end of the process, however it ends; of a machine that loses power the last seconds may be
missing (`synchronous = NORMAL`), never more.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from engine_opt.errors import StateError, StoreError
from engine_opt.monitoring.store.tables import Row, Statements

MOST_LOGGED = 8_000
"""Pages of the log that are moved to the file at once. Each write touches a page of every series; those of many are one."""

CACHED = 4_000
"""KiB of pages that a writer keeps. Two hundred series have a page each in four levels; with SQLite's 2,000 it reads, in each
write, what it has written in the last one."""

PATIENCE = 5.0
"""Seconds to wait for another program that has locked the file, as one that copies it may."""

_TABLES = """
CREATE TABLE metric_store (schema INTEGER NOT NULL, first REAL NOT NULL, newest REAL NOT NULL, seconds REAL NOT NULL);
CREATE TABLE metric_level (level INTEGER PRIMARY KEY, kept_from REAL NOT NULL, folded_to REAL NOT NULL);
CREATE TABLE metric_info (name TEXT PRIMARY KEY, kind TEXT NOT NULL, help_text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE metric_series (id INTEGER PRIMARY KEY, name TEXT NOT NULL, labels TEXT NOT NULL, UNIQUE (name, labels));
CREATE TABLE metric_sample (
    level INTEGER NOT NULL, series INTEGER NOT NULL, ended REAL NOT NULL, seconds REAL NOT NULL, value REAL NOT NULL,
    lowest REAL, highest REAL, histogram BLOB, PRIMARY KEY (level, series, ended)
) WITHOUT ROWID
"""

# By SQLite's own code, without what it adds in the upper bits.
_ADVICE = {
    sqlite3.SQLITE_BUSY: "another program has locked it: end that one",
    sqlite3.SQLITE_LOCKED: "another program has locked it: end that one",
    sqlite3.SQLITE_FULL: "make room on the disk",
    sqlite3.SQLITE_IOERR: "make room on the disk, and see whether it is sound",
    sqlite3.SQLITE_READONLY: "give the right to write to the file and its folder",
    sqlite3.SQLITE_PERM: "give the right to read the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "see whether the folder is there, and give the right to write to it",
    sqlite3.SQLITE_CORRUPT: "restore it from a copy, or move it away to begin a new one",
    sqlite3.SQLITE_NOTADB: "it is no store: give another path, or restore it from a copy",
}


class SqliteDatabase:
    """An SQLite file; opening it for writing makes it where there is none."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        """Open it. Raises StoreError where that fails, or somebody else writes to it."""
        self.name = str(path)
        self.read_only = read_only
        self._process = os.getpid()
        self._lock: FileIO | None = None
        self._connection: sqlite3.Connection | None = None
        if read_only and not path.exists():
            raise StoreError(self.name, "there is no store yet: start what writes to it first")
        try:
            if not read_only:
                self._lock = _locked(path)
            self._connect(path)
        except BaseException:
            self.close()
            raise

    def tables(self, statements: Statements) -> set[str]:
        """Return the names of the tables that are there; raises StoreError where it is somebody else's file."""
        names = {str(name) for (name,) in statements.run("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if names and "metric_store" not in names:
            raise StoreError(self.name, f"it belongs to something else, with tables {sorted(names)}: give another path")
        return names

    def create(self, statements: Statements) -> None:
        """Make the tables, empty."""
        for statement in _TABLES.split(";"):
            statements.run(statement)

    @contextmanager
    def transaction(self) -> Iterator[Statements]:
        """Return what is committed when it ends, and rolled back when it raises."""
        if self._process != os.getpid() or self._connection is None:
            raise StateError(f"metric store {self.name} was opened by another process: open it in this one")
        connection = self._connection
        with self._told():
            connection.execute("BEGIN" if self.read_only else "BEGIN IMMEDIATE")
            try:
                yield _Statements(connection)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # the first error is the one to tell
                    if connection.in_transaction:  # after some errors SQLite has undone it already
                        connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None and self._process == os.getpid():
            with self._told():
                self._connection.close()
        self._connection = None
        if self._lock is not None:
            self._lock.close()

    def _connect(self, path: Path) -> None:
        with self._told():
            uri = f"{path.resolve().as_uri()}?mode={'ro' if self.read_only else 'rwc'}"
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            if not self.read_only:
                # What is not ours is not even switched to another journal.
                with self.transaction() as statements:
                    self.tables(statements)
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.execute(f"PRAGMA wal_autocheckpoint = {MOST_LOGGED}")
                self._connection.execute(f"PRAGMA cache_size = -{CACHED}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            advice = _ADVICE.get(code, "see whether the file is sound")
            raise StoreError(self.name, f"SQLite says: {error}; {advice}") from error


class _Statements:
    """A transaction under way."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, sql: str, **values: object) -> list[tuple[object, ...]]:
        """Run a statement with named values, and return the rows that it gives."""
        return self._connection.execute(sql, values).fetchall()

    def insert(self, rows: Sequence[Row]) -> None:
        """Put rows into `metric_sample`."""
        self._connection.executemany("INSERT INTO metric_sample VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _locked(path: Path) -> FileIO:
    """Become the only writer of `path` until the file returned is closed or the process ends, however it ends."""
    try:
        file = FileIO(path.with_name(path.name + ".lock"), "a+")
    except OSError as error:
        raise StoreError(
            str(path), f"{error.strerror}: see whether its folder is there and may be written to"
        ) from error
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StoreError(
            str(path), "another process writes to it already: end that one, or give a file of your own"
        ) from error
    return file
