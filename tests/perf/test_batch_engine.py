"""What it costs to decide for whole columns by the whole engine: thirteen years of one stock, and of five."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from engine_opt import EngineConfig, data
from engine_opt.batch import Bars, Requests, decide, decide_all, decide_many

# Megabytes at once: where others use the memory too, these times move by some per cent from hour to hour.
pytestmark = pytest.mark.pe_latency(margin="10 %", threshold="15 %")

# Made to be called when leaks are looked for; the former is its name from Python 3.13 on.
clear_type_cache = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache
BOOK = (1e6, 3e6, 0.05, 0.01)
CONFIGS = tuple(
    EngineConfig.parse("", {"plan.risk_in_atr": str(1.0 + number / 4), "rules.max_risk": str(0.02 + number / 100)})
    for number in range(4)
)


def forgetting(function, *args, **kwargs):
    """Return what the function returns, and clear what CPython remembers of attributes, which is no leak of it.

    NumPy looks some names up by strings made anew each time; each is kept until another takes its place in that cache
    of 4,096, so that some thousand calls seem to keep a little, and never the same.
    """
    result = function(*args, **kwargs)
    clear_type_cache()
    return result


@pytest.fixture(scope="module")
def stocks():
    """Return the bars of the shipped stocks as columns, with a made-up VIX: a slow wave, and a fast one on top."""
    found = {}
    for symbol in data.symbols():
        bars = Bars.of(data.load(symbol))
        day = np.arange(len(bars))
        found[symbol] = bars, 20.0 + 8.0 * np.sin(day / 150.0) + 3.0 * np.sin(day * 1.7)
    return found


def in_turn(make, bars):
    """Return requests of all positions and accounts in turn."""
    turn = np.arange(len(make(bars, "REV", "cash", *BOOK)))
    return make(bars, turn // 4 % 3, turn % 4, *BOOK, shares_held=500, days_to_expiration=4.0)


def test_decide_all_weeks_of_thirteen_years(pe_latency, pe_memory, stocks):
    """One stock, one decision a week: 679 of them."""
    bars, vix = stocks["AAPL"]
    requests = in_turn(Requests.weekly, bars)
    assert len(pe_latency(decide, bars, vix, requests)) == 679
    pe_memory(forgetting, decide, bars, vix, requests)


def test_decide_all_days_of_thirteen_years(pe_latency, pe_memory, stocks):
    """One stock, one decision a session: 3,270 of them."""
    bars, vix = stocks["AAPL"]
    requests = in_turn(Requests.daily, bars)
    assert len(pe_latency(decide, bars, vix, requests)) == 3270
    pe_memory(forgetting, decide, bars, vix, requests)


def test_decide_all_days_by_twenty_configurations(pe_latency, pe_memory, stocks):
    """W2, one of its stocks: 65,400 decisions, the indicators worked out once."""
    bars, vix = stocks["AAPL"]
    requests = in_turn(Requests.daily, bars)
    configs = [EngineConfig.parse("", {"plan.risk_in_atr": str(1.0 + number / 20)}) for number in range(20)]
    assert len(pe_latency(decide_many, bars, vix, requests, configs)) == 20
    pe_memory(forgetting, decide_many, bars, vix, requests, configs)


def test_decide_about_five_stocks_by_four_configurations(pe_latency, pe_memory, stocks):
    """W2, smaller: 48,616 decisions, five tasks, done one after the other."""
    series = {symbol: (bars, vix, in_turn(Requests.daily, bars)) for symbol, (bars, vix) in stocks.items()}
    found = pe_latency(decide_all, series, CONFIGS)
    assert sum(len(each) for columns in found.values() for each in columns) == 48_616
    pe_memory(forgetting, decide_all, series, CONFIGS)
