"""W3: what a decision costs with an audit log on the disk, and without one.

The logs are real files, but nothing waits for the disk here. A log that puts each record on the disk before `append`
returns, as `open_audit` does, adds an `fsync` to each decision, and one that does so in batches to each 64th: that is
the disk's figure and nobody's code, repeats on no two machines, and may be many times the rest. So the lines are left
to the system (fsync "never"), and the rows of the database are one transaction, committed when the log is closed.
"""

from __future__ import annotations

from datetime import datetime, time

import pytest

from engine_opt import Book, ProtocolEngine, WeekContext, WeekRequest
from engine_opt.audit import JsonLinesAudit, SqliteAudit, read_audit

NEVER_FULL = 2**62  # records in a transaction


@pytest.fixture
def path(tmp_path):
    """Return where a log may be written that is too large to be kept afterwards."""
    yield tmp_path / "log"
    for left in tmp_path.iterdir():
        left.unlink()


def decider(bars, sink=None):
    """Return a function that decides, each time anew, about the last of these bars, and tells `sink`."""
    engine = ProtocolEngine(sink=sink)
    for bar in bars:
        engine.update("AAPL", bar, 20.0)
    now = datetime.combine(bars[-1].time, time(16))
    context = WeekContext(days_to_expiration=3, favourable=True)
    book = Book(1e6, 3e6, 0.05, 0.01, shares_held=500)
    request = WeekRequest("AAPL", "REV", "cash", now, book, context, confidence=0.96)
    return lambda: engine.decide(request)


def last_of(path):
    """Return the last record of a log."""
    *_, last = read_audit(path)
    return last


def test_decide_without_a_log(pe_latency, pe_memory, bars):
    decide = decider(bars[:800])
    assert pe_latency(decide).report is not None
    pe_memory(decide)


def test_decide_into_a_file_of_lines(pe_latency, pe_memory, bars, path):
    path = path.with_suffix(".jsonl")
    with JsonLinesAudit(path, fsync="never") as log:
        decide = decider(bars[:800], log.append)
        decision = pe_latency(decide)
        pe_memory(decide)
    assert last_of(path).payload["decision"]["decision_id"] == decision.decision_id


def test_decide_into_a_database(pe_latency, pe_memory, bars, path):
    path = path.with_suffix(".sqlite")
    with SqliteAudit(path, NEVER_FULL) as log:
        decide = decider(bars[:800], log.append)
        decision = pe_latency(decide)
        pe_memory(decide)
    assert last_of(path).payload["decision"]["decision_id"] == decision.decision_id
