"""Bars in, tables of results out: CSV, JSON lines and Parquet.

>>> for symbol, bar, vix in read_bars("prices.csv"):     # doctest: +SKIP
...     engine.update(symbol, bar)
>>> write_table("results.csv", map(decision_row, decisions), DECISION_COLUMNS)     # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine_opt.errors import FileError
    from engine_opt.files.csv_bars import FindingKind, SeriesFinding, check_series, read_bars
    from engine_opt.files.decisions import DECISION_COLUMNS, decision_row
    from engine_opt.files.tables import write_table

__all__ = [
    "DECISION_COLUMNS",
    "FileError",
    "FindingKind",
    "SeriesFinding",
    "check_series",
    "decision_row",
    "read_bars",
    "write_table",
]

_ELSEWHERE = {
    "DECISION_COLUMNS": "engine_opt.files.decisions",
    "FileError": "engine_opt.errors",
    "decision_row": "engine_opt.files.decisions",
    "write_table": "engine_opt.files.tables",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "engine_opt.files.csv_bars")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
