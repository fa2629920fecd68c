"""Earlier runs in an SQLite file: the history of one machine, and the index of one that is kept elsewhere."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.model import Course, Key, Point, Verdict

from .interface import HistoryStore, Names, as_course, check_limit
from .record import About, Record, Value, digest_of, encode
from .renames import read_names, write_names
from .schema import prepare, transaction

# STRICT tables.
_NEEDED = (3, 37, 0)
# A writer holds the file for milliseconds; who waits longer than this waits for a process that hangs.
_SECONDS_TO_WAIT = 30.0
# A run touches the end of each of its trends: so many KiB of them are kept in memory while runs are added.
_CACHE = 65536

_ADD_RUN = "INSERT OR IGNORE INTO runs (started, environment, commit_hash, context, digest) VALUES (?, ?, ?, ?, ?)"
_ADD_SERIES = "INSERT INTO series (environment, test, name, metric) VALUES (?, ?, ?, ?)"
_ADD_POINT = """
INSERT INTO points (series, started, run, value, reference, low, high, verdict) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
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
_PICKED = "SELECT runs.id, CAST(key AS INTEGER) FROM json_each(?) AS item JOIN runs ON digest = item.value"
# Of each key the series that it has, and the times of the first and the last of the runs in that series' environment.
_STRETCHES = """
WITH span AS (
  SELECT environment, min(started) AS first, max(started) AS last
  FROM json_each(:runs) AS item JOIN runs ON digest = item.value GROUP BY environment
)
SELECT CAST(key AS INTEGER), series.id, first, last
FROM json_each(:keys) AS item CROSS JOIN span JOIN series
  ON series.environment = span.environment AND series.test = json_extract(item.value, '$[0]')
  AND series.name = json_extract(item.value, '$[1]') AND series.metric = json_extract(item.value, '$[2]')
ORDER BY 1, first
"""
# A question for each series, for they come as they lie: one that joins and sorts them all takes twice as long. The verdict
# that most points have is left out, lest each bring a text of its own.
_STRETCH = """
SELECT run, value, low, high, nullif(verdict, ?), reference
FROM points WHERE series = ? AND started BETWEEN ? AND ? ORDER BY started, run
"""
_USUAL = Verdict.UNCHANGED.value
_RUNS = "SELECT digest, started, environment, context FROM runs ORDER BY started, id"
# A seek for each series of the environment, which is less than reading all points.
_VALUES = """
SELECT test, name, metric, value, reference, low, high, verdict
FROM runs JOIN series ON series.environment = runs.environment
JOIN points ON points.series = series.id AND points.started = runs.started AND points.run = runs.id
WHERE {} = ?
"""
_SERIES = "SELECT environment, test, name, metric FROM series ORDER BY environment, test, name, metric"
_REMOVE = (
    "DELETE FROM points WHERE run IN (SELECT runs.id FROM json_each(?) AS item JOIN runs ON digest = item.value)",
    "DELETE FROM runs WHERE digest IN (SELECT value FROM json_each(?))",
)
_REMOVE_SERIES = "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM points WHERE series = id)"


class SqliteHistory(HistoryStore):
    """An open history file; see ``open_sqlite``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, records: Iterable[Record]) -> int:
        """Add runs, all or none; those that are there already are left out. Return how many are new."""
        numbers: dict[str, dict[Key, int]] = {}
        with transaction(self._connection, "IMMEDIATE"):
            return sum(self._add(record, numbers) for record in records)

    def _add(self, record: Record, numbers: dict[str, dict[Key, int]]) -> bool:
        """Add a run unless it is there. ``numbers`` remembers those of the series by environment and key."""
        about, execute = record.about, self._connection.execute
        context = json.dumps(dict(about.context), sort_keys=True)
        added = execute(_ADD_RUN, (about.started, about.environment, about.commit, context, about.digest))
        if added.rowcount == 0:
            return False
        run, known = added.lastrowid, numbers.get(about.environment)
        if known is None:
            found = execute("SELECT test, name, metric, id FROM series WHERE environment = ?", (about.environment,))
            known = numbers[about.environment] = {Key(*key): number for *key, number in found}
        for key in (value.key for value in record.values if value.key not in known):
            number = execute(_ADD_SERIES, (about.environment, key.test, key.name, key.metric)).lastrowid
            assert number is not None
            known[key] = number
        points = (
            (known[v.key], about.started, run, v.value, v.reference, v.low, v.high, v.verdict) for v in record.values
        )
        self._connection.executemany(_ADD_POINT, points)
        return True

    def runs(self) -> tuple[About, ...]:
        """Return what is known of each run, the oldest first."""
        found = self._connection.execute(_RUNS).fetchall()
        # All contexts as one text: one by one takes half as long again, and has their names in memory many times.
        contexts = json.loads(f"[{','.join(context for *_, context in found)}]")
        about = zip(found, contexts, strict=True)
        return tuple(About(digest, started, where, context) for (digest, started, where, _), context in about)

    def record(self, run: About) -> Record:
        """Return a run with its values; a run that is not there has none."""
        return Record(run, self._values("runs.digest", run.digest))

    def _values(self, column: str, value: str | int) -> tuple[Value, ...]:
        found = self._connection.execute(_VALUES.format(column), (value,))
        values = (Value(Key(test, name, metric), *rest) for test, name, metric, *rest in found)
        return tuple(sorted(values, key=lambda value: value.key))

    def series(self) -> tuple[tuple[str, Key], ...]:
        """Return the environment and the key of each row that has a point, in order."""
        return tuple((environment, Key(*key)) for environment, *key in self._connection.execute(_SERIES))

    def trends(self, environment_slug: str, keys: Iterable[Key], limit: int = 500) -> dict[Key, tuple[Point, ...]]:
        """Return the last ``limit`` points of each row, the oldest first; an unknown row has none."""
        check_limit(limit)
        asked = list(keys)
        points: dict[Key, list[Point]] = {key: [] for key in asked}
        listed = json.dumps([(key.test, key.name, key.metric) for key in asked])
        parameters = {"keys": listed, "environment": environment_slug, "limit": limit}
        found = self._connection.execute(_TRENDS, parameters)
        for number, started, commit, value, reference, verdict in found:
            points[asked[number]].append(Point(started, commit, value, reference, verdict))
        return {key: tuple(trend[-limit:]) for key, trend in points.items()}

    def courses(self, runs: Sequence[About], keys: Iterable[Key]) -> dict[Key, Course]:
        """Return what became of each row in ``runs``, in their order; a row that has no point in any is left out."""
        asked, digests, execute = list(keys), json.dumps([run.digest for run in runs]), self._connection.execute
        listed = json.dumps([(key.test, key.name, key.metric) for key in asked])
        courses = {}
        with transaction(self._connection, "DEFERRED"):
            # Most rows have points of the same runs: where these belong is found out once.
            order = cache(partial(_order, places=dict(execute(_PICKED, (digests,)))))
            stretches = execute(_STRETCHES, {"keys": listed, "runs": digests}).fetchall()
            for number, own in groupby(stretches, key=itemgetter(0)):
                points = [execute(_STRETCH, (_USUAL, *stretch)).fetchall() for _, *stretch in own]
                if found := list(chain(*points)):
                    courses[asked[number]] = _course(found, order)
        return {key: course for key, course in courses.items() if course.places}

    def remove(self, runs: Iterable[About]) -> None:
        """Take runs out, all or none."""
        digests = json.dumps([run.digest for run in runs])
        with transaction(self._connection, "IMMEDIATE"):
            for statement in _REMOVE:
                self._connection.execute(statement, (digests,))
            self._connection.execute(_REMOVE_SERIES)

    def renames(self) -> Names:
        """Return what became of the names of renamed tests."""
        return read_names(self._noted("renames"))

    def rename(self, change: Callable[[Names], Names]) -> None:
        """Put what ``change`` makes of those names in their place."""
        with transaction(self._connection, "IMMEDIATE"):
            self._note("renames", write_names(change(self.renames())))

    def project(self) -> str:
        """Return whose history it is; empty where nobody has said."""
        return self._noted("project")

    def give_to(self, project: str) -> None:
        """Make it the history of ``project``."""
        self._note("project", project)

    def _noted(self, name: str) -> str:
        found = self._connection.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def _note(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO about (name, value) VALUES (?, ?)", (name, value))

    def name_old_runs(self) -> None:
        """Give runs of format 1 the digest by which they are known."""
        nameless = "SELECT id, started, environment, context FROM runs WHERE digest IS NULL"
        if not self._connection.execute(nameless).fetchone():
            return
        with transaction(self._connection, "IMMEDIATE"):
            for number, started, environment, context in self._connection.execute(nameless).fetchall():
                about = About("", started, environment, json.loads(context))
                digest = digest_of(encode(Record(about, self._values("runs.id", number))))
                named = self._connection.execute("UPDATE OR IGNORE runs SET digest = ? WHERE id = ?", (digest, number))
                if not named.rowcount:  # the same run, to the last digit: it was added twice
                    self._connection.execute("DELETE FROM points WHERE run = ?", (number,))
                    self._connection.execute("DELETE FROM runs WHERE id = ?", (number,))


@dataclass(frozen=True, slots=True)
class _Order:
    """The places of those runs of a row that were asked for, and which of its points these are, in their order.

    ``points`` is None where they are all, as they come.
    """

    places: tuple[int, ...]
    points: Sequence[int] | None


def _order(runs: Sequence[int], places: Mapping[int, int]) -> _Order:
    found = sorted((places[run], at) for at, run in enumerate(runs) if run in places)
    points = [at for _, at in found]
    return _Order(tuple(place for place, _ in found), None if points == list(range(len(runs))) else points)


def _course(points: Sequence[tuple[Any, ...]], order: Callable[[tuple[int, ...]], _Order]) -> Course:
    """Return points as columns in the order of their runs, without those of other runs."""
    # Column by column: with a million points, what is done for each by itself takes longer than all the rest.
    columns = list(zip(*points, strict=True))
    wanted = order(columns[0])
    if wanted.points is not None:
        columns = [tuple(map(column.__getitem__, wanted.points)) for column in columns]
    _, values, lows, highs, unusual, references = columns
    verdicts = (_USUAL,) * len(values)
    if unusual.count(None) < len(unusual):
        verdicts = tuple([_USUAL if verdict is None else verdict for verdict in unusual])
    return as_course(wanted.places, values, lows, highs, verdicts, references)


@contextmanager
def open_sqlite(path: Path) -> Iterator[SqliteHistory]:
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
            connection.execute(f"PRAGMA cache_size = -{_CACHE}")
            history = SqliteHistory(connection)
            history.name_old_runs()
            yield history
    except (sqlite3.Error, OSError) as error:
        raise HistoryError(f"{path}: {error}; {_advice(error)}") from error


def _advice(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return "it is not a history or it is damaged: move it away and a new one is begun"
    if code == sqlite3.SQLITE_BUSY:
        return "another process holds it: try again when that has ended"
    return "nothing of this run was added: see that the folder can be written and the disk is not full"
