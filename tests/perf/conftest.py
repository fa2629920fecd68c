"""Real market data, prepared once: what is measured is the engine, not the reading of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from engine_opt import data
from engine_opt.model import Bar


@pytest.fixture(scope="session")
def bars() -> tuple[Bar, ...]:
    """Return thirteen years of daily bars of one stock, adjusted for splits."""
    return data.load("AAPL")


@pytest.fixture(scope="session")
def days_after() -> Callable[[Bar], Iterator[Bar]]:
    """Return a function that makes the bars of the days after a bar, without end."""

    def days(bar: Bar) -> Iterator[Bar]:
        while True:
            bar = replace(bar, time=bar.time + timedelta(days=1))
            yield bar

    return days
