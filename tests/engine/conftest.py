"""Real prices for the engine's tests, read from installed files without importing their packages."""

import csv
import gzip
import json
from collections.abc import Callable
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engine_opt import Bar, data

GOLDEN = Path(__file__).parents[1] / "golden"


def _installed(package: str, path: str) -> list[dict[str, str]]:
    """Rows of a gzipped CSV inside an installed package; importing arch would load pandas, scipy and statsmodels."""
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None, f"install the dev dependencies: {package} is missing"
    packed = Path(spec.origin).parent.joinpath(path).read_bytes()
    return list(csv.DictReader(gzip.decompress(packed).decode().splitlines()))


def _day(text: str) -> date:
    return datetime.strptime(text, "%m/%d/%Y").date()  # noqa: DTZ007 - a date has no zone


def _index(name: str) -> tuple[Bar, ...]:
    return tuple(
        Bar(
            _day(row["Date"]),
            float(row["Open"]),
            float(row["High"]),
            float(row["Low"]),
            float(row["Close"]),
            float(row["Volume"]),
        )
        for row in _installed("arch", f"data/{name}/{name}.csv.gz")
    )


@pytest.fixture(scope="session")
def installed_rows() -> Callable[[str, str], list[dict[str, str]]]:
    return _installed


@pytest.fixture(scope="session")
def series() -> dict[str, tuple[Bar, ...]]:
    """The seven real series: five stocks adjusted for splits, two indices."""
    stocks = {symbol: data.load(symbol) for symbol in data.symbols()}
    return {**stocks, "S&P 500": _index("sp500"), "NASDAQ": _index("nasdaq")}


@pytest.fixture(scope="session")
def vix() -> dict[date, float]:
    """VIX at the close, by day; holidays are a dot in the file."""
    rows = _installed("arch", "data/vix/vix.csv.gz")
    return {_day(row["Date"]): float(row["vix"]) for row in rows if row["vix"] != "."}


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    """Read a checked-in table."""
    return lambda name: json.loads(GOLDEN.joinpath(name).read_text("utf-8"))


@pytest.fixture
def bars() -> tuple[Bar, ...]:
    """The first 120 sessions of AAPL: enough for every component."""
    return data.load("AAPL")[:120]
