"""Earlier runs in an SQLite file: append one, read the trends of many rows at once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.model import GateReport, Judgement, Key, Point, Row, Run

from .schema import prepare, transaction

# STRICT tables.
_NEEDED = (3, 37, 0)
# A writer holds the file for milliseconds; who waits longer than this waits for a process that hangs.
_SECONDS_TO_WAIT = 30.0

_ADD_RUN = "INSERT INTO runs (started, environment, commit_hash, context) VALUES (?, ?, ?, ?)"
_ADD_SERIES = "INSERT OR IGNORE INTO series (environment, test, name, metric) VALUES (?, ?, ?, ?)"
_ADD_POINT = """
INSERT INTO points (series, started, run, value, reference, low, high, verdict)
SELECT id, ?, ?, ?, ?, ?, ?, ? FROM series WHERE environment = ? AND test = ? AND name = ? AND metric = ?
"""
# The inner query walks `limit` entries of the primary key back from the newest; points of the same moment as the last
# of them are cut by the caller.
_TRENDS = """
WITH wanted AS (
  SELECT CAST(key AS INTEGER) AS number, series.id AS series
  FROM json_each(:keys) AS item JOIN series
    ON series.environment = :environment AND series.test = json_extract(item.value, '$[0]')
    AND series.name = json_extract(item.value, '$[1]') AND series.metric = json_extract(item.value, '$[2]')
)
SELECT number, points.started, commit_hash, points.value, reference, verdict
FROM wanted JOIN points ON points.series = wanted.series JOIN runs ON runs.id = points.run
WHERE points.started >= coalesce(
  (SELECT newer.started FROM points AS newer WHERE newer.series = wanted.series
   ORDER BY newer.started DESC, newer.run DESC LIMIT 1 OFFSET :limit - 1), '')
ORDER BY number, points.started, points.run
"""


class History:
    """An open history file; see ``open_history``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def append(self, run: Run, report: GateReport) -> None:
        """Add a point for every row that has a value, all or none.

        Raises:
            HistoryError: the file cannot be written, or the run's start is no time.

        """
        started, rows = _utc(run.started), {row.key: row for row in run.rows}
        environment = run.environment.slug
        judged = [judgement for judgement in report.judgements if judgement.value is not None]
        execute = self._connection.execute
        with transaction(self._connection, "IMMEDIATE"):
            context = json.dumps(run.context, sort_keys=True)
            number = execute(_ADD_RUN, (started, environment, run.context.get("commit", ""), context)).lastrowid
            for judgement in judged:
                series = (environment, judgement.key.test, judgement.key.name, judgement.key.metric)
                execute(_ADD_SERIES, series)
                point = _numbers(judgement, rows.get(judgement.key))
                execute(_ADD_POINT, (started, number, *point, judgement.verdict.value, *series))

    def trends(self, environment_slug: str, keys: Iterable[Key], limit: int = 500) -> dict[Key, tuple[Point, ...]]:
        """Return the last ``limit`` points of each row, the oldest first; an unknown row has none.

        Raises:
            HistoryError: the file cannot be read.
            ValueError: ``limit`` is less than 1.

        """
        if limit < 1:
            raise ValueError(f"limit is {limit}; ask for one point at least")
        asked = list(keys)
        points: dict[Key, list[Point]] = {key: [] for key in asked}
        listed = json.dumps([(key.test, key.name, key.metric) for key in asked])
        parameters = {"keys": listed, "environment": environment_slug, "limit": limit}
        for number, *fields in self._connection.execute(_TRENDS, parameters):
            points[asked[number]].append(Point(*fields))
        return {key: tuple(found[-limit:]) for key, found in points.items()}


@contextmanager
def open_history(path: Path) -> Iterator[History]:
    """Open the history file, made where there is none. Several processes may have it open and write.

    Raises:
        HistoryError: it cannot be opened, read or written, is damaged, newer, or another program's.

    """
    if sqlite3.sqlite_version_info < _NEEDED:
        raise HistoryError(f"the history needs SQLite 3.37; this Python has {sqlite3.sqlite_version}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=_SECONDS_TO_WAIT, isolation_level=None)) as connection:
            prepare(connection)
            # Readers do not stand in the way of a writer. Where the file system cannot do it, the mode stays as it is.
            connection.execute("PRAGMA journal_mode = WAL")
            yield History(connection)
    except HistoryError as error:
        raise HistoryError(f"{path}: {error.args[0]}") from error
    except (sqlite3.Error, OSError) as error:
        raise HistoryError(f"{path}: {error}; {_advice(error)}") from error


def _advice(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return "it is not a history or it is damaged: move it away and a new one is begun"
    if code == sqlite3.SQLITE_BUSY:
        return "another process holds it: try again when that has ended"
    return "nothing of this run was added: see that the folder can be written and the disk is not full"


def _utc(started: str) -> str:
    """Return the time in UTC, written so that times sort as text; one without a zone is taken as UTC."""
    try:
        time = datetime.fromisoformat(started)
    except ValueError as error:
        raise HistoryError(f"the run says that it started at {started!r}, which is no time") from error
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return time.isoformat(timespec="microseconds")


def _numbers(judgement: Judgement, row: Row | None) -> tuple[float | None, ...]:
    """Return value, reference, low and high of a judged row."""
    references = [sample.reference for sample in row.samples if sample.reference is not None] if row else []
    comparison = judgement.comparison
    return (
        judgement.value,
        min(references, default=None),
        comparison.low if comparison else None,
        comparison.high if comparison else None,
    )
