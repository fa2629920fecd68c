"""Paired rows in few bytes: nothing that a verdict rests on is lost, and what is not whole is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pe_perf.judge.packed import pack, unpack
from pytest_pe_perf.model import Block, Budget, Key, PackedRestart, PairedRow, Restart, Turn

TIMES = st.floats(1e-9, 1e4)
TURNS = st.lists(st.builds(Turn, TIMES, TIMES, st.floats(0, 1)), max_size=3).map(tuple)
RESTARTS = st.lists(
    st.builds(Restart, st.lists(st.builds(Block, TURNS, TURNS), max_size=3).map(tuple), st.integers(1, 10**6)),
    max_size=3,
).map(tuple)
ROWS = st.builds(
    PairedRow,
    st.just(Key("test_a.py::test_a", "b", "latency")),
    st.just("source"),
    st.just(0.05),
    st.just(0.01),
    RESTARTS,
    RESTARTS,
    st.sampled_from([None, Budget(0.1, "100 ms")]),
    st.integers(0, 99),
    st.sampled_from(["", "on head: skipped"]),
)


def turns(row):
    sides = [side for r in (*row.screen, *row.confirm) for b in r.blocks for side in (b.base, b.head)]
    return [turn for side in sides for turn in side]


@given(ROWS)
@settings(max_examples=40)
def test_times_keep_six_digits_and_everything_else_stays(row):
    """What is unpacked differs from what was packed by less than a millionth of each time."""
    again = unpack(pack(row))
    assert replace(again, screen=(), confirm=()) == replace(row, screen=(), confirm=())
    assert [len(b.base) for r in again.screen for b in r.blocks] == [len(b.base) for r in row.screen for b in r.blocks]
    assert [r.calls for r in again.confirm] == [r.calls for r in row.confirm]
    for mine, kept in zip(turns(row), turns(again), strict=True):
        assert math.isclose(mine.low, kept.low, rel_tol=1e-5)
        assert math.isclose(mine.least, kept.least, rel_tol=1e-5)
        assert abs(mine.away - kept.away) <= 0.0005
        assert (mine.least <= mine.low) <= (kept.least <= kept.low)


@given(ROWS)
@settings(max_examples=40)
def test_what_was_unpacked_is_packed_without_loss(row):
    """Packing twice is packing once: a session that judges what it unpacked judges what the file holds."""
    kept = unpack(pack(row))
    assert unpack(pack(kept)) == kept


@pytest.mark.parametrize(
    "restart",
    [PackedRestart(1, ((1.0, 1.0),), ((1.0, 1.0, 0.0),)), PackedRestart(1, ((1.0, 1.0, 0.0),), ())],
    ids=["half a turn", "a block of one side"],
)
def test_what_is_not_whole_is_no_restart(restart):
    """A block has whole turns of three numbers, and both sides."""
    packed = pack(PairedRow(Key("t", "", "latency"), "", 0.05, 0.01, ()))
    with pytest.raises(ValueError, match=r"turns of 3|zip"):
        unpack(replace(packed, screen=(restart,)))
