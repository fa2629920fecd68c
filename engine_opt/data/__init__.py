"""Five real daily stock series, shipped with the package: see PROVENANCE.md beside this file.

>>> from engine_opt import data
>>> data.symbols()
('AAPL', 'FB', 'GOOG', 'IBM', 'MSFT')
>>> data.load("AAPL")[0].time
datetime.date(2000, 3, 1)
"""

from __future__ import annotations

import csv
import gzip
from datetime import date
from importlib.resources import files

from engine_opt.errors import InputError
from engine_opt.model import Bar

_SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")


def symbols() -> tuple[str, ...]:
    """Return the symbols that can be loaded."""
    return _SYMBOLS


def load(symbol: str, *, adjusted: bool = True) -> tuple[Bar, ...]:
    """Return the daily bars of a symbol, oldest first.

    Prices are multiplied by adjusted close over close, so that splits and dividends are not read as movements: MSFT's
    2:1 split in February 2003 would otherwise be a fall by 48 %. Volumes are as traded, splits included.
    Raises InputError for a symbol that is not shipped.
    """
    if symbol not in _SYMBOLS:
        raise InputError("symbol", symbol, f"it is not shipped: choose one of {', '.join(_SYMBOLS)}")
    packed = files(__name__).joinpath(f"{symbol.lower()}.csv.gz").read_bytes()
    rows = csv.reader(gzip.decompress(packed).decode("ascii").splitlines())
    next(rows)  # the header
    return tuple(_bar(row, adjusted=adjusted) for row in rows)


def _bar(row: list[str], *, adjusted: bool) -> Bar:
    day, opened, high, low, close, volume, adjusted_close = row
    factor = float(adjusted_close) / float(close) if adjusted else 1.0
    return Bar(
        date.fromisoformat(day),
        float(opened) * factor,
        float(high) * factor,
        float(low) * factor,
        float(close) * factor,
        float(volume),
    )
