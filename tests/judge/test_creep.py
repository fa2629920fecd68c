"""Small steps in one direction: each is allowed, and all of them together are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.baseline.update import row_from
from pytest_pe_perf.judge.compare import anchor_of, anchored, judge, suspected
from pytest_pe_perf.model import BaselineRow, Key, Row, Sample, Verdict

PEAK, LATENCY = Key("test_x.py::test_a", "", "peak"), Key("test_x.py::test_a", "", "latency")


def counted(*values: float) -> Row:
    return Row(PEAK, tuple(Sample(value, 1, 1) for value in values), "s", 0.10, 0.05)


def timed(*values: float, reference: float = 1.0) -> Row:
    return Row(LATENCY, tuple(Sample(value, 100, 1, (), reference) for value in values), "s", 0.10, 0.05)


def accepted(value: float, anchor: float | None = None) -> BaselineRow:
    return BaselineRow(PEAK, value, "s", anchor=anchor)


def accepted_time(value: float, anchor: float | None = None, reference: float = 1.0) -> BaselineRow:
    return BaselineRow(LATENCY, value, "s", reference, anchor=anchor)


@pytest.mark.parametrize(
    ("values", "base", "verdict"),
    [
        # Within the margin of its baseline, and not beyond the threshold of its anchor.
        ((10_940,) * 3, accepted(10_900, 10_000), Verdict.UNCHANGED),
        # Within the margin of its baseline, and beyond the threshold of its anchor.
        ((11_008,) * 3, accepted(10_900, 10_000), Verdict.REGRESSED),
        ((11_008,), accepted(10_900, 10_000), Verdict.INCONCLUSIVE),
        # Without an anchor of its own the baseline is the anchor.
        ((11_008,) * 3, accepted(10_900), Verdict.UNCHANGED),
        # Better than the baseline is no creep, whatever the anchor was.
        ((11_008,) * 3, accepted(12_000, 10_000), Verdict.IMPROVED),
    ],
)
def test_a_count_is_held_against_its_anchor_too(values, base, verdict):
    """The margin holds against the baseline, and the threshold against the anchor."""
    assert judge(counted(*values), base).verdict is verdict


def test_a_creep_says_from_where():
    """The reason names the anchor and the verdict against the baseline, and the numbers are those against the anchor."""
    judgement = judge(counted(11_008, 11_008, 11_008), accepted(10_900, 10_000))
    assert judgement.reason == (
        "+10.1 % since its anchor (9.77 KiB), beyond +10.0 % in 3 processes: a creep; "
        "against its baseline unchanged, within 109 B"
    )
    assert judgement.comparison is not None
    assert (judgement.comparison.base, judgement.comparison.ratio) == (10_000, 1.1008)


@pytest.mark.parametrize(
    ("values", "verdict"), [((1.04,), "unchanged"), ((1.30,), "inconclusive"), ((1.30,) * 5, "regressed")]
)
def test_a_time_that_may_have_crept_is_measured_again(values, verdict):
    """A creep of a time fails once five processes have seen it; until then it is a suspicion like any other."""
    row = timed(*values)
    judgement = judge(row, accepted_time(1.28 if values[0] > 1.1 else 1.0, 1.0))
    assert judgement.verdict == verdict
    assert suspected(row, judgement) == (verdict == "inconclusive")


def test_the_anchor_of_a_time_moves_with_the_machine():
    """It is what the anchor would take on the machine that recorded the row."""
    row = timed(2.1, 2.1, 2.1, reference=2.0)
    new, left_behind = anchored(row_from(row), accepted_time(1.0), row)
    assert (new.value, new.anchor, left_behind) == (2.1, 2.0, False)


@pytest.mark.parametrize(
    ("value", "base", "anchor", "left_behind"),
    [
        (10_300, accepted(10_000), 10_000, False),
        (10_600, accepted(10_300, 10_000), 10_000, False),
        # Openly accepted: here the way begins anew.
        (11_200, accepted(10_900, 10_000), None, True),
        (20_000, accepted(10_000), None, True),
        # An improvement takes the anchor along only where it is better than the anchor.
        (10_200, accepted(10_900, 10_000), 10_000, False),
        (9_000, accepted(10_900, 10_000), None, False),
        (10_000, accepted(10_900, 10_000), None, False),
        # What may be ignored is no improvement, and no step.
        (9_950, accepted(10_900, 10_000), 10_000, False),
    ],
)
def test_where_the_anchor_goes(value, base, anchor, left_behind):
    """It stays for small steps, and moves to what is beyond the threshold, or better."""
    row = counted(value, value, value)
    new, moved = anchored(row_from(row), base, row)
    assert (new.anchor, moved) == (anchor, left_behind)


@given(st.lists(st.floats(0.97, 1.09), min_size=1, max_size=30), st.sampled_from([counted, timed]))
def test_no_way_of_small_steps_leads_far(steps, make):
    """However often a row is accepted anew, it is never beyond the threshold from its anchor unless that was said."""
    value = 1e6
    base = replace(row_from(make(value, value, value)), spread=0.0)
    for step in steps:
        value = base.value * step
        row = make(value, value, value, value, value)
        new, left_behind = anchored(row_from(row), base, row)
        said = judge(row, base)
        if left_behind:
            assert value > anchor_of(base).value * 1.1
            assert new.anchor is None
            # What an update would have asked a reason for had failed before.
            assert make is timed or said.verdict is Verdict.REGRESSED
        else:
            assert new.value <= anchor_of(new).value * 1.1
        base = replace(new, spread=0.0)
