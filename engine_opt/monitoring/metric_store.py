"""The door of the stores: an SQLite file by its path, or PostgreSQL by a URL, with the same answers.

with open_store("metrics.db") as store:
    store.write([collection])

with open_store("metrics.db", read_only=True) as store:
    store.read(SeriesKey("rss_bytes"), start, end, most=500)
"""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring.store.downsampling import DAY, Ages
from engine_opt.monitoring.store.series_store import SeriesStore
from engine_opt.monitoring.store.sqlite_store import SqliteDatabase
from engine_opt.monitoring.store.tables import Database

__all__ = ["DAY", "Ages", "SeriesStore", "open_store"]


def open_store(where: str | PathLike[str], *, read_only: bool = False, ages: Ages = Ages()) -> SeriesStore:  # noqa: B008 - immutable
    """Open the store at a path, or at a URL such as `postgresql+psycopg://user@host/database`.

    One process at a time may open it for writing, which makes it where there is none; any number may read.
    `ages` says how long what is written is kept, and at which resolution; a reader has no use for it.

    Raises InputError for what is neither a path nor a URL of PostgreSQL, and for ages that contradict each other;
    StoreError where it cannot be opened, is written to by another process, belongs to something else, or is of a
    newer version.
    """
    check.flag("read_only", read_only)
    text = fspath(where) if isinstance(where, str | PathLike) else where
    if type(text) is not str or not text:
        raise InputError("where", where, "it must be the path of a file, or a URL that begins with postgresql")
    database = _database(text, read_only=read_only)
    try:
        return SeriesStore(database, ages)
    except BaseException:
        database.close()
        raise


def _database(where: str, *, read_only: bool) -> Database:
    if "://" not in where:
        return SqliteDatabase(Path(where), read_only=read_only)
    from engine_opt.monitoring.store.sql_store import SqlDatabase

    return SqlDatabase(where, read_only=read_only)
