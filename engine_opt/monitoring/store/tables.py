"""The tables of a store, what is asked of them, and what a database must be able to do.

Schema 1: `metric_store` has one row, with the newest collection; `metric_level` the extent of each level (see
`downsampling`); `metric_info` and `metric_series` say what there is; `metric_sample` has a row for each series in each
interval of each level. `lowest` and `highest` are null where they follow from the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

SCHEMA = 1

TABLES = ("metric_store", "metric_level", "metric_info", "metric_series", "metric_sample")

# Of all series, one after the other, as the key has them: to look for a time would be to look at every row.
NEWEST = """
SELECT d.series, d.ended, d.seconds, d.value, coalesce(d.lowest, d.value), coalesce(d.highest, d.value), d.histogram
FROM metric_series AS s CROSS JOIN metric_sample AS d
WHERE d.level = 0 AND d.series = s.id AND d.ended = :ended
"""
OF_ALL = """
SELECT d.series, d.ended, d.seconds, d.value, coalesce(d.lowest, d.value), coalesce(d.highest, d.value), d.histogram
FROM metric_series AS s CROSS JOIN metric_sample AS d
WHERE d.level = :level AND d.series = s.id AND d.ended > :start AND d.ended <= :end ORDER BY d.series, d.ended
"""
OF_ONE = """
SELECT ended, seconds, value, coalesce(lowest, value), coalesce(highest, value), histogram FROM metric_sample
WHERE level = :level AND series = :series AND ended > :start AND ended <= :end ORDER BY ended
"""
TOO_OLD = """
DELETE FROM metric_sample WHERE level = :level AND series IN (SELECT id FROM metric_series) AND ended <= :until
"""

Row = tuple[int, int, float, float, float, float | None, float | None, bytes | None]
"""A row of `metric_sample`: level, series, ended, seconds, value, lowest, highest, histogram."""


class Statements(Protocol):
    """A transaction."""

    def run(self, sql: str, **values: object) -> list[Any]:
        """Run a statement with named values, and return the rows that it gives, as tuples."""

    def insert(self, rows: Sequence[Row]) -> None:
        """Put rows into `metric_sample`."""


class Database(Protocol):
    """Where the tables are. Whatever goes wrong in it becomes a StoreError."""

    name: str
    read_only: bool

    def tables(self, statements: Statements) -> set[str]:
        """Return the names of the tables that are there."""

    def create(self, statements: Statements) -> None:
        """Make the tables, empty."""

    def transaction(self) -> AbstractContextManager[Statements]:
        """Return what is committed when it ends, and rolled back when it raises."""

    def close(self) -> None:
        """Let go of everything."""
