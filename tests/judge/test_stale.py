"""Baselines that have grown old: first a note, then no basis for a verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.config import merge
from pytest_pe_perf.errors import ConfigError
from pytest_pe_perf.judge.compare import judge
from pytest_pe_perf.judge.gate import gate
from pytest_pe_perf.judge.stale import YOUNG, Age, interpreter_of
from pytest_pe_perf.model import BaselineRow, Environment, GateReport, Key, Row, Run, Sample, Verdict

HERE = Environment("cpython", "3.11", "linux", "x86_64", 2)
LATENCY, PEAK = Key("test_x.py::test_a", "", "latency"), Key("test_x.py::test_a", "", "peak")
OLD, EXPIRED = Age(500, frozenset([LATENCY, PEAK])), Age(500, frozenset([LATENCY]), frozenset([LATENCY]))
BEFORE, NOW = "cpython 3.11.7", "cpython 3.11.9"


def measured(value: float, key: Key = LATENCY, made_with: str = "", processes: int = 5) -> Row:
    sample = Sample(value, 100, 1, (), 1.0 if key is LATENCY else None, made_with)
    return Row(key, (sample,) * processes, "s", 0.10, 0.05)


def accepted(value: float, key: Key = LATENCY, made_with: str = "") -> BaselineRow:
    return BaselineRow(key, value, "s", 1.0 if key is LATENCY else None, 0.0, made_with)


def judged(row: Row, base: BaselineRow, age: Age = YOUNG, python: str = "3.11.9") -> GateReport:
    run = Run(1, "2026-01-01T00:00:00+00:00", HERE, {"python": python}, (row,))
    return gate(run, {base.key: base}, age)


@pytest.mark.parametrize(("value", "verdict"), [(1.0, "unchanged"), (2.0, "regressed"), (0.5, "improved")])
def test_at_first_an_old_row_decides_and_a_note_says_how_old_it_is(value, verdict):
    """The verdict stands; the note names the age, the end and the command."""
    report = judged(measured(value), accepted(1.0), OLD)
    assert report.judgements[0].verdict == verdict
    (note,) = report.notes
    assert note == (
        "1 baseline row was accepted 500 commits ago or earlier (no basis for a verdict from 1000 on); "
        "accept them anew with: pytest --pe-perf --pe-perf-update"
    )


@pytest.mark.parametrize(("value", "verdict"), [(1.0, "unchanged"), (2.0, "regressed"), (0.5, "improved")])
def test_then_it_decides_nothing(value, verdict):
    """The row is inconclusive and says what it would have been, why it is not, and what to do."""
    report = judged(measured(value), accepted(1.0), EXPIRED)
    (judgement,) = report.judgements
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.reason.startswith(verdict)
    assert judgement.reason.endswith(
        "but its baseline was accepted 1000 commits ago or earlier; "
        "accept it anew with: pytest --pe-perf --pe-perf-update"
    )
    assert report.notes == ()


@pytest.mark.parametrize("value", [1000.0, 2000.0])
@pytest.mark.parametrize("tool", ["memray 1.20.0, cpython 3.11.7", "memray 1.20.0, cpython 3.11.9"])
def test_counts_do_not_get_stale(value, tool):
    """A count that is equal has just been confirmed; of one that is not the judge knows what it can be compared with."""
    row, base = measured(value, PEAK, "memray 1.20.0, cpython 3.11.9"), accepted(1000.0, PEAK, tool)
    report = judged(row, base, Age(500, frozenset([PEAK]), frozenset([PEAK])))
    assert (report.judgements, report.notes) == ((judge(row, base),), ())


@pytest.mark.parametrize(("value", "verdict"), [(1.0, "unchanged"), (2.0, "inconclusive"), (0.5, "inconclusive")])
def test_a_time_of_another_interpreter(value, verdict):
    """That nothing changed can be told; of a change it cannot be told whose it is."""
    report = judged(measured(value), accepted(1.0, made_with=BEFORE))
    (judgement,) = report.judgements
    assert judgement.verdict == verdict
    said = judgement.reason if verdict == "inconclusive" else report.notes[0]
    assert f"was recorded with {BEFORE}, and this run has {NOW}" in said
    assert "pytest --pe-perf --pe-perf-update" in said


@pytest.mark.parametrize(("recorded", "python"), [("", "3.11.9"), (BEFORE, ""), (BEFORE, "3.11.7")])
def test_nothing_is_said_of_what_nobody_knows(recorded, python):
    """Rows from before interpreters were recorded, and runs that name none, are as they were."""
    row, base = measured(2.0), accepted(1.0, made_with=recorded)
    report = judged(row, base, python=python)
    assert (report.judgements, report.notes) == ((judge(row, base),), ())


@pytest.mark.parametrize("value", [-1, 1.5, True, "500", 1_000_001])
def test_what_is_no_number_of_commits(value):
    """The setting is a whole number, and 0 switches ages off."""
    with pytest.raises(ConfigError, match="is not a number of commits from 0 to 1000000"):
        merge({"stale_after": value})
    assert (merge({"stale_after": 0}).stale_after, merge().stale_after) == (0, 500)


def test_the_interpreter_in_words():
    """It is the implementation and its whole version."""
    assert (interpreter_of(HERE, "3.11.7"), interpreter_of(HERE, "")) == (BEFORE, "")


@given(
    st.floats(0.2, 5.0), st.integers(1, 6), st.sampled_from([YOUNG, OLD, EXPIRED]), st.sampled_from(["", BEFORE, NOW])
)
def test_age_makes_no_verdict_worse(value, processes, age, recorded):
    """A stale row is judged as ever or it is undecided; it never fails what would have passed."""
    row, base = measured(value, processes=processes), accepted(1.0, made_with=recorded)
    (judgement,) = judged(row, base, age).judgements
    plain = judge(row, base)
    assert judgement.verdict in (plain.verdict, Verdict.INCONCLUSIVE)
    assert judgement.comparison == plain.comparison
    assert bool(judgement.stale) == (age is not YOUNG or recorded == BEFORE)
