"""One measurement of both sides, with sides and a clock of the test's own: every answer is exact, and no time passes."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pe_perf.measure.loop import SAMPLE_NS
from pytest_pe_perf.measure.paired.rounds import (
    COLLECTOR_ROUND_NS,
    ROUND_NS,
    TAIL_READINGS,
    measure,
    measure_rounds,
    measure_single,
)
from pytest_pe_perf.measure.paired.wire import Round, Taken

MS = 1_000_000


class Pair:
    """Two sides that answer at once, and a clock that moves by what they say.

    ``costs`` are the nanoseconds of a call; every ``nth`` reading takes ``slow`` times as long, a collection ``pause``.
    """

    def __init__(self, base, head, *, first=(0, 0), nth=(0, 0), slow=2, pauses=(0, 0), away=0.0, switches=0):
        self.now = 0
        self.asked = []
        self.made = Counter()
        self.read = Counter()
        self.costs = {"base": base, "head": head}
        self.first = dict(zip(("base", "head"), first, strict=True))
        self.nth = dict(zip(("base", "head"), nth, strict=True))
        self.pauses = dict(zip(("base", "head"), pauses, strict=True))
        self.slow = slow
        self.away = away
        self.switches = switches

    def clock(self):
        return self.now

    def ask(self, side, order):
        self.asked.append((side, order))
        readings, wall, collector = [], 0, 0
        while not readings or wall < order.nanoseconds:
            reading = order.calls * self.costs[side]
            if not self.made[side]:
                reading += self.first[side]
            self.made[side] += order.calls
            self.read[side] += 1
            if self.nth[side] and self.read[side] % self.nth[side] == 0:
                reading *= self.slow
            if order.collector:
                reading += self.pauses[side]
                collector += self.pauses[side]
            readings.append(reading)
            wall += reading
        self.now += wall
        return Taken(tuple(readings), order.calls, wall, round(wall * (1 - self.away)), collector, self.switches)

    def measure(self, seconds=0.25, *, collector=False, base_first=True, seed=1):
        return measure(
            self.ask, seconds, random=Random(seed), base_first=base_first, collector=collector, clock=self.clock
        )

    def orders(self):
        """Return the sides of the blocks, four letters each; each side is asked in the same words there."""
        last = self.asked[-1][1]
        letters = "".join("A" if side == "base" else "B" for side, order in self.asked if order == last)
        # The first two of them were to warm up.
        return [letters[i : i + 4] for i in range(2, len(letters), 4)]


def ratio(measured):
    (block, *_) = measured.restart.blocks
    return block.head[0].low / block.base[0].low


@given(
    base=st.integers(20, 10**8), head=st.integers(20, 10**8), seed=st.integers(0, 1000), seconds=st.floats(0.001, 0.05)
)
@settings(max_examples=30)
def test_every_turn_is_the_cost_of_a_call(base, head, seed, seconds):
    """Whatever the calls cost, the turns of both sides are exactly that, and each block has two turns of each."""
    found = Pair(base, head).measure(seconds, seed=seed)["latency"]
    for block in found.restart.blocks:
        assert [turn.least for turn in block.base] == pytest.approx([base / 1e9] * 2)
        assert [turn.low for turn in block.head] == pytest.approx([head / 1e9] * 2)
    assert (found.base.value, found.head.value) == (pytest.approx(base / 1e9), pytest.approx(head / 1e9))


def test_the_blocks_are_abba_or_baab_by_chance():
    """No side is always first: of many blocks both orders are there, and nothing else."""
    pair = Pair(1000, 1000)
    pair.measure(1.0)
    orders = Counter(pair.orders())
    assert set(orders) == {"ABBA", "BAAB"}
    assert min(orders.values()) > sum(orders.values()) / 4
    assert Pair(1000, 1000).measure(seed=2) == Pair(1000, 1000).measure(seed=2)


@pytest.mark.parametrize("base_first", [True, False])
def test_the_side_that_begins_is_chosen_by_the_caller(base_first):
    """The first calls of all, in a cold process, are made in the order that alternates from pair to pair."""
    pair = Pair(1000, 1000)
    pair.measure(base_first=base_first)
    sides = [side for side, _ in pair.asked[:2]]
    assert sides == (["base", "head"] if base_first else ["head", "base"])


@given(base=st.integers(1, 10**6), head=st.integers(1, 10**6))
@settings(max_examples=30)
def test_both_sides_make_the_same_number_of_calls_in_a_reading(base, head):
    """It is enough for the faster side, unless the slower one would then need longer than a round for it."""
    pair = Pair(base, head)
    found = pair.measure(0.01)
    calls = found["latency"].restart.calls
    assert {order.calls for _, order in pair.asked[-4:]} == {calls}
    assert calls * min(base, head) >= SAMPLE_NS or calls == SAMPLE_NS or (calls + 1) * max(base, head) > ROUND_NS
    assert calls * max(base, head) <= ROUND_NS
    assert calls == 1 or (calls - 1) * min(base, head) < SAMPLE_NS


def test_the_calibration_takes_few_steps():
    """A call of 20 ns is made thousands of times in a reading, which is found in a handful of short rounds."""
    pair = Pair(20, 25)
    calls = pair.measure()["latency"].restart.calls
    assert calls == SAMPLE_NS // 20
    steps = [order.calls for side, order in pair.asked if order.nanoseconds == 0 and side == "base"]
    assert steps == [1, 1, 10, 100, 1000, calls]


@given(base=st.integers(100, 10**7), head=st.integers(100, 10**7), seconds=st.floats(0.01, 0.1))
@settings(max_examples=30)
def test_a_round_is_short_and_the_whole_keeps_to_its_time(base, head, seconds):
    """Rounds are of a few milliseconds, and no more is measured than was allowed, but for the block that was begun."""
    pair = Pair(base, head)
    pair.measure(seconds)
    reading = max(ROUND_NS, base, head)
    assert max(order.nanoseconds for _, order in pair.asked) <= COLLECTOR_ROUND_NS
    assert pair.asked[-1][1].nanoseconds <= ROUND_NS
    calibration = 12 * reading
    block = 4 * (ROUND_NS + reading)
    assert pair.now <= seconds * 1e9 + calibration + block + 2 * (ROUND_NS + reading)


def test_a_call_that_is_slower_than_its_time_is_made_a_few_times():
    """A call of a second, of which a tenth was allowed: one block, five calls a side, and single calls all of them."""
    pair = Pair(10**9, 2 * 10**9)
    found = pair.measure(0.1)
    assert pair.made == {"base": 5, "head": 5}
    assert len(found["latency"].restart.blocks) == 1
    assert ratio(found["latency"]) == pytest.approx(2)
    assert set(found) == {"latency", "first"}


def test_the_first_call_of_a_process_is_a_row_of_its_own():
    """What the first call costs more is its own number, and in no other."""
    found = Pair(1000, 1000, first=(5 * MS, 50 * MS)).measure()
    assert ratio(found["first"]) == pytest.approx(50 / 5, rel=0.01)
    assert ratio(found["latency"]) == pytest.approx(1)


def test_a_tenth_of_the_calls_twice_as_slow_is_seen_in_the_tail_alone():
    """On head every tenth reading takes twice as long: its tail is twice as slow, its typical call is not."""
    found = Pair(100_000, 100_000, nth=(0, 10)).measure(1.0)
    assert ratio(found["tail"]) == pytest.approx(2, rel=0.01)
    assert ratio(found["latency"]) == pytest.approx(1)
    assert min(found["tail"].base.count, found["tail"].head.count) >= TAIL_READINGS


def test_few_readings_have_no_tail():
    """Of a call of which a round makes one or two nothing is said of the slowest twentieth."""
    assert "tail" not in Pair(2 * MS, 2 * MS).measure(1.0)


def test_what_the_collector_costs_is_a_row_of_its_own():
    """Rounds with the collector on are compared with what they would take without its pauses."""
    pair = Pair(100_000, 100_000, pauses=(0, 25_000))
    found = pair.measure(1.0)
    assert found["collector"].base.value == pytest.approx(1)
    assert found["collector"].head.value == pytest.approx(1.25)
    assert ratio(found["latency"]) == pytest.approx(1)
    assert any(order.collector for _, order in pair.asked)


def test_the_collector_s_share_is_not_asked_for_twice_or_without_time():
    """A test that keeps the collector on has its cost in every round; one of little time has none for it."""
    for pair, seconds, collector in ((Pair(1000, 1000), 1.0, True), (Pair(1000, 1000), 0.01, False)):
        assert "collector" not in pair.measure(seconds, collector=collector)
        assert not any(order.collector for _, order in pair.asked)


def test_time_off_the_core_is_noted_with_the_turn():
    """A turn says which share of it its process did not run, if that happened often enough to be seen in its readings."""
    for switches, away in ((10**6, 0.25), (0, 0.0)):
        found = Pair(1000, 1000, away=0.25, switches=switches).measure()
        (block, *_) = found["latency"].restart.blocks
        assert [turn.away for turn in (*block.base, *block.head)] == pytest.approx([away] * 4, abs=1e-6)


@pytest.mark.parametrize(
    ("rounds", "warm_up"), [(1, 0), (2, 0), (3, 0), (6, 0), (7, 0), (5, 1), (6, 1), (4, 3), (9, 4)]
)
def test_the_test_s_own_rounds_are_made_once_each(rounds, warm_up):
    """Both sides make exactly so many, in turns; those that warm up do not count, an odd one makes a block of two."""
    pair = Pair(1 * MS, 3 * MS, first=(900 * MS, 0) if warm_up else (0, 0))
    found = measure_rounds(pair.ask, rounds, warm_up, random=Random(3))["latency"]
    assert pair.made == {"base": rounds, "head": rounds}
    turns = [(len(block.base), len(block.head)) for block in found.restart.blocks]
    counted = rounds - warm_up
    assert turns == [(2, 2)] * (counted // 2) + [(1, 1)] * (counted % 2)
    assert found.base.count == found.head.count == counted
    assert found.base.value == pytest.approx(1e-3)
    assert all(turn.low == pytest.approx(3e-3) for block in found.restart.blocks for turn in block.head)


def test_nothing_is_left_where_all_rounds_warm_up():
    """Where one side makes no more rounds than the other one warms up with, there is no number."""
    assert measure_rounds(Pair(MS, MS).ask, 2, 2, random=Random(3)) == {}
    assert measure_rounds(Pair(MS, MS).ask, 2, 5, random=Random(3)) == {}


def test_single_readings_are_taken_in_blocks_after_one_that_does_not_count():
    """An import: one reading a turn, the first of each side is thrown away, and there is one block at least."""
    pair = Pair(100 * MS, 120 * MS, first=(900 * MS, 900 * MS))
    found = measure_single(pair.ask, 0.001, random=Random(1), clock=pair.clock)
    assert pair.made == {"base": 3, "head": 3}
    assert len(found.restart.blocks) == 1
    assert ratio(found) == pytest.approx(1.2)
    assert found.base.value == pytest.approx(0.1)
    longer = Pair(100 * MS, 120 * MS)
    assert len(measure_single(longer.ask, 2.0, random=Random(1), clock=longer.clock).restart.blocks) == 5
    assert {order for _, order in longer.asked} == {Round(1, 0)}
