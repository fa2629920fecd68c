"""What it costs to decide for whole columns: ten thousand weeks, thirteen years of one stock."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from engine_opt.batch import Bars, adjust, analyze, classify_weeks, measure

# Megabytes at once: where others use the memory too, these times move by some per cent from hour to hour.
pytestmark = pytest.mark.pe_latency(margin="10 %", threshold="15 %")

# Made to be called when leaks are looked for; the former is its name from Python 3.13 on.
clear_type_cache = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache


def forgetting(function, *args, **kwargs):
    """Return what the function returns, and clear what CPython remembers of attributes, which is no leak of it.

    NumPy looks some names up by strings made anew each time; each is kept until another takes its place in that cache
    of 4,096, so that some thousand calls seem to keep a little, and never the same.
    """
    result = function(*args, **kwargs)
    clear_type_cache()
    return result


@pytest.fixture(scope="module")
def columns(bars):
    """Return thirteen years of one stock as columns."""
    return Bars.of(bars)


@pytest.fixture(scope="module")
def fear(columns):
    """Return a made-up VIX for every session: a slow wave, and a fast one on top."""
    day = np.arange(len(columns))
    return 20.0 + 8.0 * np.sin(day / 150.0) + 3.0 * np.sin(day * 1.7)


@pytest.fixture(scope="module")
def weeks(columns):
    """Return the columns of 10,000 weeks: real ones of five sessions, over and over, in all positions."""
    start = np.resize(columns.close[:-5], 10_000)
    price = np.resize(columns.close[5:], 10_000)
    position = np.arange(10_000) % 4
    known = {"strike": 0.97 * start, "cost_basis": 1.02 * start, "days_to_expiration": 3.0, "favourable": True}
    return (price, start, 0.35, position), known


def measure_and_adjust(columns):
    """Return the parameters of an account after every session."""
    return adjust(measure(columns), "GEN")


def test_classify_ten_thousand_weeks(pe_latency, pe_memory, weeks):
    """Cells, references and confidences of the total table."""
    given, known = weeks
    assert len(pe_latency(classify_weeks, *given, **known)) == 10_000
    pe_memory(forgetting, classify_weeks, *given, **known)


def test_analyse_thirteen_years(pe_latency, pe_memory, columns, fear):
    """All metrics, condition, regime, risk and distribution of every session, VIX against its own last year."""
    assert pe_latency(analyze, columns, fear).first == 34
    pe_memory(forgetting, analyze, columns, fear)


def test_analyse_thirteen_years_without_vix(pe_latency, pe_memory, columns):
    """The same where VIX is not known."""
    assert pe_latency(analyze, columns).first == 34
    pe_memory(forgetting, analyze, columns)


def test_measure_and_adjust_thirteen_years(pe_latency, pe_memory, columns):
    """Three averages, percentile and z-score over a year, and the parameters that follow."""
    assert len(pe_latency(measure_and_adjust, columns)) == len(columns)
    pe_memory(forgetting, measure_and_adjust, columns)


def test_columns_of_bars(pe_latency, pe_memory, bars):
    """Thirteen years of bars into columns."""
    assert len(pe_latency(Bars.of, bars)) == len(bars)
    pe_memory(forgetting, Bars.of, bars)
