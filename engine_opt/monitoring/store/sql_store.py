"""The tables of a store in PostgreSQL, through SQLAlchemy and psycopg; extra `sql`.

They are made in the first schema of the search path. The writer holds an advisory lock as long as it is connected. A
connection that failed is given up, and the next transaction makes another one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from engine_opt.errors import EngineError, InputError, StateError, StoreError
from engine_opt.monitoring.store.tables import Row, Statements

if TYPE_CHECKING:
    from sqlalchemy import Connection

DRIVER = "postgresql+psycopg"

_LOCK = 0x70657066
"""The first half of the lock's number, by which it is told from those of other programs; the schema gives the second."""

# Nobody waits for ever: for a connection (seconds), for an answer to what was sent, for the end of a statement (ms).
_PATIENCE = {"connect_timeout": 5, "tcp_user_timeout": 20_000}
_SETTINGS = "SET statement_timeout = 60000"

_TABLES = """
CREATE TABLE metric_store (
    schema INTEGER NOT NULL, first DOUBLE PRECISION NOT NULL, newest DOUBLE PRECISION NOT NULL,
    seconds DOUBLE PRECISION NOT NULL
);
CREATE TABLE metric_level (
    level SMALLINT PRIMARY KEY, kept_from DOUBLE PRECISION NOT NULL, folded_to DOUBLE PRECISION NOT NULL
);
CREATE TABLE metric_info (name TEXT PRIMARY KEY, kind TEXT NOT NULL, help_text TEXT NOT NULL);
CREATE TABLE metric_series (id INTEGER PRIMARY KEY, name TEXT NOT NULL, labels TEXT NOT NULL, UNIQUE (name, labels));
CREATE TABLE metric_sample (
    level SMALLINT NOT NULL, series INTEGER NOT NULL, ended DOUBLE PRECISION NOT NULL,
    seconds DOUBLE PRECISION NOT NULL, value DOUBLE PRECISION NOT NULL,
    lowest DOUBLE PRECISION, highest DOUBLE PRECISION, histogram BYTEA, PRIMARY KEY (level, series, ended)
);
CREATE INDEX metric_sample_ended ON metric_sample USING brin (ended)
"""

_INSERT = (
    "INSERT INTO metric_sample SELECT * FROM unnest(CAST(:c0 AS smallint[]), CAST(:c1 AS integer[]), "
    "CAST(:c2 AS float8[]), CAST(:c3 AS float8[]), CAST(:c4 AS float8[]), CAST(:c5 AS float8[]), "
    "CAST(:c6 AS float8[]), CAST(:c7 AS bytea[]))"
)
_AT_ONCE = 10_000  # rows of an INSERT


class SqlDatabase:
    """A PostgreSQL database."""

    def __init__(self, url: str, *, read_only: bool) -> None:
        """Connect to it. Raises InputError for a URL of something else; StoreError; EngineError without the library."""
        try:
            import sqlalchemy
            from sqlalchemy.pool import NullPool
        except ImportError:
            raise _missing("SQLAlchemy") from None
        try:
            where = sqlalchemy.make_url(url)
        except (sqlalchemy.exc.ArgumentError, ValueError):
            where = None
        if where is None or where.drivername not in ("postgresql", DRIVER):
            raise InputError(
                "where", url.partition("://")[0] + "://...", f"it must be a URL that begins with {DRIVER}://"
            )
        self.name = where.difference_update_query(["password"]).render_as_string(hide_password=True)
        self.read_only = read_only
        self._process = os.getpid()
        self._library = sqlalchemy
        self._connection: Connection | None = None
        try:
            self._engine = sqlalchemy.create_engine(
                where.set(drivername=DRIVER), poolclass=NullPool, connect_args=_PATIENCE
            )
        except ImportError:
            raise _missing("psycopg") from None

    def tables(self, statements: Statements) -> set[str]:
        """Return the names of the tables in the schema."""
        sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        return {str(name) for (name,) in statements.run(sql)}

    def create(self, statements: Statements) -> None:
        """Make the tables, empty."""
        for statement in _TABLES.split(";"):
            statements.run(statement)

    @contextmanager
    def transaction(self) -> Iterator[Statements]:
        """Return what is committed when it ends, and rolled back when it raises."""
        if self._process != os.getpid():
            raise StateError(f"metric store {self.name} was opened by another process: open it in this one")
        try:
            connection = self._connected()
            with connection.begin():
                yield _Statements(connection)
        except self._library.exc.SQLAlchemyError as error:
            self.close()
            why = str(getattr(error, "orig", None) or error).strip().replace("\n", " ")
            raise StoreError(
                self.name, f"PostgreSQL says: {why}; see whether the server runs, has room, and lets this user in"
            ) from error

    def close(self) -> None:
        """Let go of the connection, and with it of the lock."""
        connection, self._connection = self._connection, None
        if connection is not None and self._process == os.getpid():
            with suppress(self._library.exc.SQLAlchemyError):  # a server that is gone need not be told
                # Said in words: the server notices only after a while that a connection has ended.
                connection.rollback()
                connection.execute(self._library.text("SELECT pg_advisory_unlock_all()"))
            with suppress(self._library.exc.SQLAlchemyError):
                connection.close()

    def _connected(self) -> Connection:
        """Return the connection, a new one where there is none; raises StoreError where somebody else writes."""
        if self._connection is not None:
            return self._connection
        # A reader sees one moment in each transaction.
        level: Any = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self.read_only else {}
        connection = self._engine.connect().execution_options(**level)
        self._connection = connection
        with connection.begin():
            run = _Statements(connection).run
            run(_SETTINGS)
            lock = "SELECT pg_try_advisory_lock(:number, hashtext(current_schema()))"
            free = self.read_only or run(lock, number=_LOCK)[0][0]
        if not free:
            self.close()
            raise StoreError(self.name, "another process writes to it already: end that one, or give another schema")
        return connection


class _Statements:
    """A transaction under way."""

    def __init__(self, connection: Connection) -> None:
        import sqlalchemy

        self._connection, self._text = connection, sqlalchemy.text

    def run(self, sql: str, **values: object) -> list[Any]:
        """Run a statement with named values, and return the rows that it gives."""
        result = self._connection.execute(self._text(sql), values)
        return list(result) if result.returns_rows else []

    def insert(self, rows: Sequence[Row]) -> None:
        """Put rows into `metric_sample`: columns go as arrays, which takes a tenth of what row after row does."""
        for start in range(0, len(rows), _AT_ONCE):
            columns = zip(*rows[start : start + _AT_ONCE], strict=True)
            self.run(_INSERT, **{f"c{number}": list(column) for number, column in enumerate(columns)})


def _missing(library: str) -> EngineError:
    return EngineError(f"{library} is not installed: pip install 'pytest-pe-perf[sql]' for a store in PostgreSQL")
