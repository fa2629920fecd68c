"""What it costs to remember a run, and to look back."""

from __future__ import annotations

import pytest

from pytest_pe_perf.history.record import Value, decode, encode, make_record
from pytest_pe_perf.history.sqlite import open_sqlite
from pytest_pe_perf.model import Key

RUNS, ROWS = 1000, 20
KEYS = [Key(f"tests/perf/test_module.py::test_something_{number:03}", "", "latency") for number in range(ROWS)]


def record(number, rows=1):
    """Return the run of an hour, with so many values of each row."""
    started = f"2026-{number // 672 + 1:02}-{number // 24 % 28 + 1:02}T{number % 24:02}:00:00+00:00"
    values = [
        Value(Key(key.test, f"{part}", "latency"), 1e-4 + number / 1e9, 2.5e-5, 0.98, 1.03, "unchanged")
        for key in KEYS
        for part in range(rows)
    ]
    return make_record(started, "here", {"commit": f"{number:040x}", "branch": "main"}, values)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Return an open history of many runs."""
    path = tmp_path_factory.mktemp("history") / "history.sqlite"
    with open_sqlite(path) as history:
        history.add(map(record, range(RUNS)))
        yield history


def test_one_trend(pe_latency, pe_memory, history):
    """All runs of one row."""
    key = Key(KEYS[7].test, "0", "latency")
    assert len(pe_latency(history.trends, "here", [key], RUNS)[key]) == RUNS
    pe_memory(history.trends, "here", [key], RUNS)


def test_the_trends_of_a_report(pe_latency, history):
    """The last 50 runs of every row."""
    keys = [Key(key.test, "0", "latency") for key in KEYS]
    trends = pe_latency(history.trends, "here", keys, 50)
    assert [len(points) for points in trends.values()] == [50] * ROWS


def test_a_run_as_json_lines(pe_latency, pe_memory):
    """There and back: what a git branch holds."""
    run = record(0, rows=10)
    data = pe_latency["encode"](encode, run)
    assert pe_latency["decode"](decode, data) == run
    pe_memory(decode, data)
