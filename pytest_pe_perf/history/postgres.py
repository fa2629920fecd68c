"""Earlier runs in a PostgreSQL database that a team shares: plain tables, which any SQL tool can read.

The schema of a URL (``?options=-csearch_path%3DNAME``) holds one project.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.model import Course, Key, Point

from .interface import HistoryStore, Names, check_limit, columns
from .record import About, Record, Value
from .renames import read_names, write_names

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

# Format 1 (0.2). The key of a point begins with its series and goes on with its time, and its index holds all that a
# trend shows: a trend is read from one stretch of the index. `moment` is `started` as a text of ours: to make one of
# each point of a trend takes longer than to find it. No foreign keys: writers take turns, and all are ours.
_CREATE = """
CREATE TABLE pe_perf_about (
  name text PRIMARY KEY,
  value text NOT NULL
);
CREATE TABLE pe_perf_runs (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  digest text NOT NULL UNIQUE,
  started timestamptz NOT NULL,
  moment text NOT NULL,
  environment text NOT NULL,
  commit_hash text NOT NULL,
  context jsonb NOT NULL
);
CREATE INDEX pe_perf_runs_by_start ON pe_perf_runs (started);
CREATE TABLE pe_perf_series (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  environment text NOT NULL,
  test text NOT NULL,
  name text NOT NULL,
  metric text NOT NULL,
  UNIQUE (environment, test, name, metric)
);
CREATE TABLE pe_perf_points (
  series integer NOT NULL,
  started timestamptz NOT NULL,
  run integer NOT NULL,
  value double precision NOT NULL,
  reference double precision,
  low double precision,
  high double precision,
  verdict text NOT NULL,
  PRIMARY KEY (series, started, run) INCLUDE (value, reference, verdict)
)
"""
_SECONDS_TO_WAIT = 10
# The script at position n makes a schema of format n one of format n + 1; the first makes an empty one ours.
UPGRADES: tuple[str, ...] = (_CREATE,)

# "pepf": writers take turns, and so do those that find no tables yet. It is given back at the end of the transaction.
_LOCK = "SELECT pg_advisory_xact_lock(1885694054)"
# Not to_regclass: a session that has once been told "no" by it remembers that longer than another one's work takes.
_FIND_ABOUT = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'pe_perf_about'"
_ADD_RUN = """
INSERT INTO pe_perf_runs (digest, started, moment, environment, commit_hash, context)
VALUES (:digest, :started, :moment, :environment, :commit, CAST(:context AS jsonb))
ON CONFLICT (digest) DO NOTHING RETURNING id
"""
_ADD_SERIES = """
INSERT INTO pe_perf_series (environment, test, name, metric) VALUES (:environment, :test, :name, :metric) RETURNING id
"""
_COPY = "COPY pe_perf_points (series, started, run, value, reference, low, high, verdict) FROM STDIN"
# Not sorted: here that takes as long as all the rest together.
_TRENDS = """
SELECT wanted.number, found.run, runs.moment, commit_hash, found.value, found.reference, found.verdict
FROM unnest(%(tests)s::text[], %(names)s::text[], %(metrics)s::text[])
  WITH ORDINALITY AS wanted (test, name, metric, number)
JOIN pe_perf_series AS series ON series.environment = %(environment)s AND series.test = wanted.test
  AND series.name = wanted.name AND series.metric = wanted.metric
CROSS JOIN LATERAL (
  SELECT started, run, value, reference, verdict FROM pe_perf_points AS points WHERE points.series = series.id
  ORDER BY started DESC, run DESC LIMIT %(limit)s
) AS found
JOIN pe_perf_runs AS runs ON runs.id = found.run
"""
_COURSES = """
WITH picked AS MATERIALIZED (
  SELECT item.place, runs.id AS run, runs.started, runs.environment
  FROM unnest(%(runs)s::text[]) WITH ORDINALITY AS item (digest, place)
  JOIN pe_perf_runs AS runs ON runs.digest = item.digest
), span AS (
  SELECT environment, min(started) AS first, max(started) AS last FROM picked GROUP BY environment
)
SELECT (wanted.number - 1)::integer, (picked.place - 1)::integer, value, low, high, verdict, reference
FROM unnest(%(tests)s::text[], %(names)s::text[], %(metrics)s::text[])
  WITH ORDINALITY AS wanted (test, name, metric, number)
CROSS JOIN span
JOIN pe_perf_series AS series ON series.environment = span.environment AND series.test = wanted.test
  AND series.name = wanted.name AND series.metric = wanted.metric
JOIN pe_perf_points AS points ON points.series = series.id AND points.started BETWEEN span.first AND span.last
JOIN picked ON picked.run = points.run
"""
_RUNS = "SELECT digest, moment, environment, context FROM pe_perf_runs ORDER BY started, id"
_VALUES = """
SELECT test, name, metric, value, reference, low, high, verdict
FROM pe_perf_runs AS runs JOIN pe_perf_series AS series ON series.environment = runs.environment
JOIN pe_perf_points AS points
  ON points.series = series.id AND points.started = runs.started AND points.run = runs.id
WHERE digest = :digest
"""
_SERIES = "SELECT environment, test, name, metric FROM pe_perf_series"
_REMOVE = (
    "DELETE FROM pe_perf_points WHERE run IN (SELECT id FROM pe_perf_runs WHERE digest = ANY(:digests))",
    "DELETE FROM pe_perf_runs WHERE digest = ANY(:digests)",
    "DELETE FROM pe_perf_series WHERE NOT EXISTS (SELECT 1 FROM pe_perf_points WHERE series = id)",
)


class PostgresHistory(HistoryStore):
    """A history in a database; see ``open_postgres``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, records: Iterable[Record]) -> int:
        """Add runs, all or none; those that are there already are left out. Return how many are new."""
        numbers: dict[str, dict[Key, int]] = {}
        with self._writing() as connection:
            return sum(_add(connection, record, numbers) for record in records)

    def runs(self) -> tuple[About, ...]:
        """Return what is known of each run, the oldest first."""
        return tuple(About(*fields) for fields in self._ask(_RUNS))

    def record(self, run: About) -> Record:
        """Return a run with its values; a run that is not there has none."""
        found = self._ask(_VALUES, digest=run.digest)
        values = (Value(Key(test, name, metric), *rest) for test, name, metric, *rest in found)
        return Record(run, tuple(sorted(values, key=lambda value: value.key)))

    def series(self) -> tuple[tuple[str, Key], ...]:
        """Return the environment and the key of each row that has a point, in order."""
        # Sorted here: a database sorts texts in its own way.
        return tuple(sorted((environment, Key(*key)) for environment, *key in self._ask(_SERIES)))

    def courses(self, runs: Sequence[About], keys: Iterable[Key]) -> dict[Key, Course]:
        """Return what became of each row in ``runs``, in their order; a row that has no point in any is left out."""
        asked = list(keys)
        parameters: dict[str, object] = {"runs": [run.digest for run in runs]}
        parameters |= {f"{name}s": [getattr(key, name) for key in asked] for name in ("test", "name", "metric")}
        with self._engine.connect() as connection:
            cursor = connection.connection.cursor(binary=True)
            return columns(asked, cursor.execute(_COURSES, parameters).fetchall())

    def trends(self, environment_slug: str, keys: Iterable[Key], limit: int = 500) -> dict[Key, tuple[Point, ...]]:
        """Return the last ``limit`` points of each row, the oldest first; an unknown row has none."""
        check_limit(limit)
        asked = list(keys)
        parameters: dict[str, object] = {"environment": environment_slug, "limit": limit}
        parameters |= {f"{name}s": [getattr(key, name) for key in asked] for name in ("test", "name", "metric")}
        with self._engine.connect() as connection:
            # The driver's own, in binary: of a long trend most time goes into taking over its rows.
            cursor = connection.connection.cursor(binary=True)
            found = cursor.execute(_TRENDS, parameters).fetchall()
        points: dict[Key, list[Point]] = {key: [] for key in asked}
        for number, _, started, commit, value, reference, verdict in sorted(found, key=itemgetter(0, 2, 1)):
            points[asked[number - 1]].append(Point(started, commit, value, reference, verdict))
        return {key: tuple(trend) for key, trend in points.items()}

    def remove(self, runs: Iterable[About]) -> None:
        """Take runs out, all or none."""
        from sqlalchemy import text

        digests = [run.digest for run in runs]
        with self._writing() as connection:
            for statement in _REMOVE:
                connection.execute(text(statement), {"digests": digests} if "digests" in statement else {})

    def renames(self) -> Names:
        """Return what became of the names of renamed tests."""
        with self._engine.connect() as connection:
            return read_names(_noted(connection, "renames"))

    def rename(self, change: Callable[[Names], Names]) -> None:
        """Put what ``change`` makes of those names in their place."""
        with self._writing() as connection:
            _note(connection, "renames", write_names(change(read_names(_noted(connection, "renames")))))

    def project(self) -> str:
        """Return whose history it is; empty where nobody has said."""
        with self._engine.connect() as connection:
            return _noted(connection, "project")

    def give_to(self, project: str) -> None:
        """Make it the history of ``project``."""
        with self._writing() as connection:
            _note(connection, "project", project)

    def prepare(self, upgrades: tuple[str, ...] = UPGRADES) -> None:
        """Bring the tables to today's format, all the way or not at all.

        Raises:
            HistoryError: they are newer than this version.

        """
        from sqlalchemy import text

        with self._engine.connect() as connection:
            found = _format(connection, len(upgrades))
        if found == len(upgrades):
            return
        with self._writing() as connection:
            # Another process may have done it while this one waited.
            for script in upgrades[_format(connection, len(upgrades)) :]:
                connection.execute(text(script))
            _note(connection, "format", str(len(upgrades)))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Give a transaction that no other writer interrupts."""
        from sqlalchemy import text

        with self._engine.begin() as connection:
            connection.execute(text(_LOCK))
            yield connection

    def _ask(self, question: str, **parameters: object) -> list[Any]:
        from sqlalchemy import text

        with self._engine.connect() as connection:
            return list(connection.execute(text(question), parameters).all())


def _add(connection: Connection, record: Record, numbers: dict[str, dict[Key, int]]) -> bool:
    """Add a run unless it is there. ``numbers`` remembers those of the series by environment and key."""
    from sqlalchemy import text

    about = record.about
    started = datetime.fromisoformat(about.started)
    fields = {"digest": about.digest, "started": started, "moment": about.started, "environment": about.environment}
    fields |= {"commit": about.commit, "context": json.dumps(dict(about.context), sort_keys=True)}
    run = connection.execute(text(_ADD_RUN), fields).scalar()
    if run is None:
        return False
    known = numbers.get(about.environment)
    if known is None:
        parameters = {"environment": about.environment}
        question = "SELECT test, name, metric, id FROM pe_perf_series WHERE environment = :environment"
        found = connection.execute(text(question), parameters)
        known = numbers[about.environment] = {Key(*key): number for *key, number in found}
    for key in (value.key for value in record.values if value.key not in known):
        names = {"environment": about.environment, "test": key.test, "name": key.name, "metric": key.metric}
        known[key] = connection.execute(text(_ADD_SERIES), names).scalar_one()
    cursor = connection.connection.cursor()
    # psycopg's own: many times faster than INSERT, and in the same transaction.
    with cursor.copy(_COPY) as copy:
        for v in record.values:
            copy.write_row((known[v.key], started, run, v.value, v.reference, v.low, v.high, v.verdict))
    return True


def _format(connection: Connection, newest: int) -> int:
    from sqlalchemy import text

    if not connection.execute(text(_FIND_ABOUT)).scalar():
        return 0
    found = _noted(connection, "format")
    if not found.isdecimal():
        raise HistoryError("its tables were made by another program: name another schema")
    if int(found) > newest:
        raise HistoryError(
            f"format {found} is newer than the {newest} that this version understands: upgrade pytest-pe-perf"
        )
    return int(found)


def _noted(connection: Connection, name: str) -> str:
    from sqlalchemy import text

    found = connection.execute(text("SELECT value FROM pe_perf_about WHERE name = :name"), {"name": name}).scalar()
    return str(found or "")


def _note(connection: Connection, name: str, value: str) -> None:
    from sqlalchemy import text

    statement = """
    INSERT INTO pe_perf_about (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = :value
    """
    connection.execute(text(statement), {"name": name, "value": value})


@contextmanager
def open_postgres(url: str) -> Iterator[PostgresHistory]:
    """Open the history in a database, made where there is none. Any number of processes may have it open and write.

    Raises:
        HistoryError: the extra is not installed, the database cannot be reached, or it is newer.

    """
    try:
        import psycopg
        from sqlalchemy import create_engine
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise HistoryError(f"{error}; install it with: pip install 'pytest-pe-perf[sql]'") from error
    try:
        # A connection that was lost while nobody used it is noticed and made anew.
        engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": _SECONDS_TO_WAIT})
    except (SQLAlchemyError, ValueError) as error:
        raise HistoryError(f"it is no address of a database: {error}") from error
    try:
        try:
            history = PostgresHistory(engine)
            history.prepare()
            yield history
        finally:
            engine.dispose()
    except (SQLAlchemyError, psycopg.Error) as error:
        raise HistoryError(f"{_said(error)}; nothing was added") from error


def _said(error: Exception) -> str:
    """Return the first line of what the server or the library said, without the statement."""
    cause = getattr(error, "orig", None) or error
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__)
