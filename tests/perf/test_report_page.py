"""What the page of a run costs: its history is read and packed after every measurement."""

from __future__ import annotations

import math

import pytest

from pytest_pe_perf.history.past import recall
from pytest_pe_perf.history.record import Value, make_record
from pytest_pe_perf.history.sqlite import open_sqlite
from pytest_pe_perf.model import (
    RUN_FORMAT,
    Comparison,
    Environment,
    GateReport,
    Judgement,
    Key,
    Row,
    Run,
    Sample,
    Verdict,
)
from pytest_pe_perf.report.html import render

RUNS, TESTS = 100, 10
HERE = Environment("cpython", "3.12", "linux", "x86_64-amd-25-1", 2)
KEYS = [
    Key(f"tests/perf/test_module.py::test_something_{number:02}", "", metric)
    for number in range(TESTS)
    for metric in ("latency", "peak")
]


def value(number, run):
    """Return a time that wanders by up to 2 %, or a peak that goes up once."""
    if number % 2:
        return 4096.0 * (number + 1) + 64 * (run > RUNS // 2)
    return 1e-5 * (number + 1) * (1 + 0.01 * math.sin(run * number) + 0.01 * math.sin(run))


def record(run):
    started = f"2026-{run // 28 + 1:02}-{run % 28 + 1:02}T09:00:00+00:00"
    values = [Value(key, value(n, run), 2.5e-5, 0.99, 1.01, "unchanged") for n, key in enumerate(KEYS)]
    return make_record(started, HERE.slug, {"commit": f"{run:040x}", "branch": "main"}, values)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """An open history of the suite."""
    with open_sqlite(tmp_path_factory.mktemp("history") / "history.sqlite") as history:
        history.add(map(record, range(RUNS)))
        yield history


@pytest.fixture(scope="module")
def outcome():
    """A run after all of them, and what the gate says of it."""
    judgements, rows = [], []
    for number, key in enumerate(KEYS):
        now = value(number, RUNS)
        worse = 1.3 if number == 4 else 1.0
        verdict = Verdict.REGRESSED if number == 4 else Verdict.UNCHANGED
        comparison = Comparison(now, now * worse, worse, worse * 0.99, worse * 1.01, 5, 0.1, 0.12, "stored")
        judgements.append(Judgement(key, verdict, "in 5 processes", now * worse, comparison))
        quantiles = tuple(now * share for share in (1.0, 1.01, 1.03, 1.06, 1.1, 1.4, 2.2))
        rows.append(Row(key, (Sample(now * worse, 400, 10, quantiles),) * 5, "source", 0.1, 0.05))
    run = Run(RUN_FORMAT, "2026-12-01T09:00:00+00:00", HERE, {"commit": "c0ffee"}, tuple(rows))
    return run, GateReport(HERE, tuple(judgements))


def test_read_the_history_of_a_page(pe_latency, pe_memory, history):
    """100 runs of 20 rows: 2,000 points."""
    past = pe_latency(recall, history, HERE.slug, KEYS)
    assert sum(len(course.values) for course in past.courses.values()) == RUNS * len(KEYS)
    pe_memory(recall, history, HERE.slug, KEYS)


def test_build_a_page(pe_latency, pe_memory, history, outcome):
    """Of the same rows, where one got worse; with the search for changes of level."""
    past = recall(history, HERE.slug, KEYS)
    page = pe_latency(render, *outcome, past)
    assert "1 test got worse" in page
    pe_memory(render, *outcome, past)
