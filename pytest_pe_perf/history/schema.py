"""The tables of a history file, and how an older file becomes one of today."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from pytest_pe_perf.errors import HistoryError

# "pepf": says that an SQLite file is a history of ours and not somebody's data under the same name.
APPLICATION_ID = 0x70657066

# Format 1 (0.1). A point's key begins with its series and goes on with its time: the trend of a row is one stretch
# of the table. `context` is a JSON object; times are UTC in ISO 8601, which sort as text.
_CREATE = """
CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  started TEXT NOT NULL,
  environment TEXT NOT NULL,
  commit_hash TEXT NOT NULL,
  context TEXT NOT NULL
) STRICT;
CREATE TABLE series (
  id INTEGER PRIMARY KEY,
  environment TEXT NOT NULL,
  test TEXT NOT NULL,
  name TEXT NOT NULL,
  metric TEXT NOT NULL,
  UNIQUE (environment, test, name, metric)
) STRICT;
CREATE TABLE points (
  series INTEGER NOT NULL REFERENCES series,
  started TEXT NOT NULL,
  run INTEGER NOT NULL REFERENCES runs,
  value REAL NOT NULL,
  reference REAL,
  low REAL,
  high REAL,
  verdict TEXT NOT NULL,
  PRIMARY KEY (series, started, run)
) STRICT, WITHOUT ROWID;
"""

# Format 2 (0.2). A run is known by the digest of what it says, so that it is added once wherever it comes from; runs of
# format 1 have none. `about` holds the name of the project, once that is known.
_KNOW_RUNS = """
ALTER TABLE runs ADD COLUMN digest TEXT;
CREATE UNIQUE INDEX runs_by_digest ON runs (digest);
CREATE INDEX runs_by_start ON runs (started);
CREATE TABLE about (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
"""

# The script at position n makes a file of format n one of format n + 1; the first makes an empty file ours.
UPGRADES: tuple[str, ...] = (_CREATE, _KNOW_RUNS)


@contextmanager
def transaction(connection: sqlite3.Connection, kind: Literal["IMMEDIATE", "DEFERRED"]) -> Iterator[None]:
    """Commit what is done inside, or nothing of it. ``IMMEDIATE`` waits for other writers at the beginning."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After a full disk SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def prepare(connection: sqlite3.Connection, upgrades: tuple[str, ...] = UPGRADES) -> None:
    """Bring the file to today's format, all the way or not at all.

    Raises:
        HistoryError: it is newer than this version, or belongs to another program.
        sqlite3.Error: it cannot be read or written.

    """
    # Even reading is a transaction: another process may be making the tables between two questions.
    with transaction(connection, "DEFERRED"):
        found = _format(connection, upgrades)
    if found == len(upgrades):
        return
    with transaction(connection, "IMMEDIATE"):
        # Another process may have done it while this one waited.
        for script in upgrades[_format(connection, upgrades) :]:
            # Not executescript, which would commit.
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(upgrades)}")


def _format(connection: sqlite3.Connection, upgrades: tuple[str, ...]) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise HistoryError("it is a database of another program: move it away, or set another `history` file")
    if version > len(upgrades):
        raise HistoryError(
            f"format {version} is newer than the {len(upgrades)} that this version understands: upgrade pytest-pe-perf"
        )
    return int(version)
