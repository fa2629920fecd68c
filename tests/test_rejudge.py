"""A run judged again: as the session judged it, from what its file holds, on however many machines it was measured."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pe_perf.errors import RunFileError
from pytest_pe_perf.judge.accept import Entries
from pytest_pe_perf.judge.packed import pack, unpack
from pytest_pe_perf.judge.pairs_gate import IDENTICAL, gate_pairs
from pytest_pe_perf.judge.pairs_verdict import judge_pairs
from pytest_pe_perf.model import (
    RUN_FORMAT,
    Acceptance,
    BaselineRow,
    Block,
    Budget,
    Environment,
    Key,
    PairedRow,
    Pairs,
    Restart,
    Row,
    Run,
    Sample,
    Skipped,
    Turn,
    Unread,
    Verdict,
)
from pytest_pe_perf.rejudge import gate_of, rejudge
from pytest_pe_perf.report.terminal import summary
from pytest_pe_perf.runcheck import Impossible, check_run
from pytest_pe_perf.runfile import encode, read_run

HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
TODAY = date(2026, 1, 1)
NOBODY = Entries((), TODAY, ())
TEST = "test_a.py::test_a"
BESIDE = {"against": "main", "base": "b" * 40}


def restarts(*ratios: float, blocks: int = 3) -> tuple[Restart, ...]:
    def side(level: float) -> tuple[Turn, ...]:
        return (Turn(level, 0.9 * level), Turn(1.01 * level, 0.9 * level))

    return tuple(Restart((Block(side(1e-3), side(1e-3 * ratio)),) * blocks) for ratio in ratios)


def paired(test: str, screen: tuple[float, ...], confirm: tuple[float, ...] = (), name: str = "") -> PairedRow:
    return PairedRow(Key(test, name, "latency"), "s", 0.05, 0.01, restarts(*screen), restarts(*confirm))


def canaries(planted: float = 1.05, same: float = 1.0) -> tuple[PairedRow, ...]:
    still = paired("(canary)", (same,) * 4, (same,) * 6, "same")
    return still, paired("(canary)", (planted,) * 4, (planted,) * 6, "planted")


def part(*rows: PairedRow, singing: tuple[PairedRow, ...] = canaries(), **more: object) -> Pairs:
    return Pairs(tuple(map(pack, rows)), tuple(map(pack, singing)), **more)  # type: ignore[arg-type]


def run_of(*parts: Pairs, rows: tuple[Row, ...] = (), **more: object) -> Run:
    return Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", HERE, BESIDE, rows, pairs=parts, **more)  # type: ignore[arg-type]


def counted(test: str, base: list[float], head: list[float], metric: str = "allocations") -> Row:
    sides = [tuple(Sample(value, 1, 1, made_with="memray") for value in values) for values in (head, base)]
    return Row(Key(test, "", metric), sides[0], "s", 0.05, 0.01, base=sides[1])


def verdicts(run: Run, entries: Entries = NOBODY) -> dict[str, Verdict]:
    return {judgement.key.test: judgement.verdict for judgement in rejudge(run, {}, entries).report.judgements}


RATIOS = st.lists(st.floats(0.8, 1.3), min_size=2, max_size=4).map(tuple)


@given(st.lists(st.tuples(RATIOS, st.one_of(st.just(()), RATIOS)), max_size=4), st.sampled_from(["", "it leans"]))
@settings(max_examples=25)
def test_a_file_is_judged_as_the_session_judged(tmp_path_factory, drawn, biased):
    """What the gate says of the rows in hand and what it says of the file that holds them is the same to the last word."""
    rows = [unpack(pack(paired(f"t.py::{n}", screen, confirm))) for n, (screen, confirm) in enumerate(drawn)]
    pairs = part(*rows, biased=biased, unread=(Unread(Key("t.py::new", "", "latency"), Verdict.NEW, "base lacks it"),))
    run = run_of(pairs, rows=(counted("t.py::c", [5], [6, 6, 6]),))
    session = gate_pairs((pairs,), run.rows)
    path = tmp_path_factory.mktemp("run") / "run.json"
    path.write_bytes(encode(run, gate_of(run, {})))
    again = read_run(path)
    check_run(again)
    assert again == run
    report = rejudge(again, {}, NOBODY).report
    assert (report.judgements, report.notes) == (session.judgements, session.notes)
    assert set(judge_pairs(rows, biased=biased)) <= set(report.judgements)


def test_one_suite_on_several_machines():
    """The rate of false alarms is that of all rows together: what is significant among few need not be among many."""
    rows = [paired(f"t.py::{n}", (1.1,) * 4, (1.015,) * 6) for n in range(8)]
    alone = [verdicts(run_of(part(row)))[row.key.test] for row in rows]
    together = verdicts(run_of(*map(part, rows)))
    assert (set(alone), set(together.values())) == ({Verdict.REGRESSED}, {Verdict.INCONCLUSIVE})


def test_a_machine_that_could_not_tell_silences_its_own_rows_alone():
    """A canary that went unseen and a side that was favoured say something of the rows that were measured there."""
    slower, flat = (1.2,) * 4, (1.0,) * 4
    run = run_of(
        part(paired("a.py::slow", slower, slower * 2), paired("a.py::flat", flat)),
        part(
            paired("b.py::slow", slower, slower * 2), paired("b.py::flat", flat), singing=canaries(1.0), biased="leans"
        ),
    )
    assert verdicts(run) == {
        "a.py::slow": Verdict.REGRESSED,
        "a.py::flat": Verdict.UNCHANGED,
        "b.py::slow": Verdict.INCONCLUSIVE,
        "b.py::flat": Verdict.INCONCLUSIVE,
    }


def test_canaries_without_a_number_say_nothing():
    """A run whose canaries cannot be judged has seen nothing: it calls no row unchanged and none slower."""
    mute = tuple(replace(row, screen=(Restart(()),)) for row in canaries())
    slow, flat = paired("a.py::slow", (1.2,) * 4, (1.2,) * 6), paired("a.py::flat", (1.0,) * 4)
    for singing in (mute, ()):
        judged = rejudge(run_of(part(slow, flat, singing=singing)), {}, NOBODY).report
        assert {j.verdict for j in judged.judgements} == {Verdict.INCONCLUSIVE}
        assert all("canaries" in j.reason for j in judged.judgements)


def test_what_every_machine_misses_is_missing_once():
    """A test that head does not have is seen to be gone by every shard."""
    gone = Unread(Key(TEST, "", "latency"), Verdict.MISSING, "base has it and head does not")
    run = run_of(part(paired("a.py::a", (1.0, 1.0)), unread=(gone,)), part(unread=(gone,)))
    check_run(run)
    assert [j.key.test for j in rejudge(run, {}, NOBODY).report.judgements] == ["a.py::a", TEST]


def test_counts_are_judged_against_those_of_the_other_side():
    """One allocation more is found; what base did not count, or could not, is no change."""
    rows = (
        counted("t.py::more", [5], [6, 6, 6]),
        counted("t.py::equal", [5], [5]),
        counted("t.py::new", [], [5]),
        replace(counted("t.py::busy", [5], [5]), base=(Sample(5, 1, 1, problem="memray is in use"),)),
    )
    assert verdicts(run_of(part(), rows=rows)) == {
        "t.py::more": Verdict.REGRESSED,
        "t.py::equal": Verdict.UNCHANGED,
        "t.py::new": Verdict.NEW,
        "t.py::busy": Verdict.INCONCLUSIVE,
    }


def test_accept_entries_and_what_is_to_be_said_of_them():
    """A regression that an entry covers is accepted; an entry that has expired is stale."""
    run = run_of(part(paired(TEST, (1.2,) * 4, (1.2,) * 6)), skipped=(Skipped("test_b.py::test_b", "no"),))
    entry = Acceptance(TEST, "latency", 1.5, "exact", date(2026, 2, 1))
    assert verdicts(run, Entries((entry,), TODAY, (entry,))) == {TEST: Verdict.ACCEPTED}
    late = rejudge(run, {}, Entries((entry,), date(2026, 3, 1), (entry,)))
    assert [j.verdict for j in late.report.judgements] == [Verdict.REGRESSED]
    assert len(late.stale) == 1
    assert late.stale[0] in late.report.notes
    assert late.report.skipped == run.skipped


def test_a_run_that_compared_code_with_itself_says_so():
    """Base and head that differ in nothing but the tests are a note of the run."""
    assert IDENTICAL in gate_of(run_of(part(identical=True)), {}).notes


def test_a_run_against_a_baseline():
    """A run that was measured by itself is judged by the rows of its baseline."""
    key = Key(TEST, "", "latency")
    row = Row(key, (Sample(2.0, 99, 1, reference=0.1),) * 5, "s", 0.10, 0.05)
    run = Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", HERE, {}, (row,))
    base = BaselineRow(key, 1.0, "s", 0.1, 0.01)
    assert verdicts(run) == {TEST: Verdict.NEW}
    (judgement,) = rejudge(run, {key: base}, NOBODY).report.judgements
    assert judgement.verdict is Verdict.REGRESSED


def test_a_file_without_the_readings_of_its_pairs_cannot_be_judged_again():
    """Older versions kept none: such a run stays readable, and nobody guesses what it would have said."""
    with pytest.raises(RunFileError, match=r"cannot be judged again; measure again with: pytest --pe-perf"):
        rejudge(run_of(), {}, NOBODY)


EXTREME = st.sampled_from([1e-12, 1e-9, 1.0, 1.05, 1e12])
TURNS = st.lists(st.builds(Turn, EXTREME | st.just(0.0), EXTREME, st.sampled_from([0.0, 1.0])), max_size=2).map(tuple)
WILD = st.lists(st.lists(st.builds(Block, TURNS, TURNS), max_size=2).map(tuple).map(Restart), max_size=4).map(tuple)
LIMITS = st.sampled_from([(0.0, 0.0), (0.01, 0.05), (0.0, 1e6), (1e6, 1e6)])
COUNTS = st.lists(st.sampled_from([0.0, 1.0, 3.0, 1e18]), min_size=1, max_size=3)


@given(st.data())
@settings(max_examples=30)
def test_what_can_have_been_measured_can_be_judged(data):
    """However wild the numbers are that the check lets through, there is a verdict on each row and no exception."""
    metrics = ["latency", "first", "tail", "collector", "import"]
    rows = []
    for metric in metrics:
        margin, threshold = data.draw(LIMITS)
        budget = data.draw(st.sampled_from([None, Budget(0.0, "0"), Budget(1e18, "a lot")]))
        key = Key(TEST, "", metric)
        rows.append(PairedRow(key, "s", threshold, margin, data.draw(WILD), data.draw(WILD), budget))
    sung = [replace(row, screen=data.draw(WILD), confirm=data.draw(WILD)) for row in canaries()]
    run = run_of(part(*rows, singing=tuple(sung)), rows=(counted("c.py::c", data.draw(COUNTS), data.draw(COUNTS)),))
    check_run(run)
    report = rejudge(run, {}, NOBODY).report
    assert len(report.judgements) == len(rows) + 1
    assert all(len(line.text) <= 80 for line in summary(report, run, verbosity=1))


@given(st.lists(EXTREME, min_size=1, max_size=6), st.none() | EXTREME, LIMITS)
@settings(max_examples=60)
def test_the_same_against_a_baseline(values, reference, limits):
    """A wild time against a sane baseline has a verdict too."""
    key = Key(TEST, "", "latency")
    row = Row(key, tuple(Sample(value, 9, 1, reference=reference) for value in values), "s", limits[1], limits[0])
    run = Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", HERE, {}, (row,))
    check_run(run)
    report = rejudge(run, {key: BaselineRow(key, 1e-3, "s", 0.1, 0.01)}, NOBODY).report
    assert len(report.judgements) == 1
    assert summary(report, run)


GOOD = run_of(part(paired(TEST, (1.0, 1.0))), rows=(counted("t.py::c", [5], [5]),))
ROW = GOOD.pairs[0].rows[0]


def with_row(**changes: object) -> Run:
    return run_of(replace(GOOD.pairs[0], rows=(replace(ROW, **changes),)))  # type: ignore[arg-type]


def with_restart(**changes: object) -> Run:
    return with_row(screen=(replace(ROW.screen[0], **changes),))  # type: ignore[arg-type]


def with_sample(**changes: object) -> Run:
    count = GOOD.rows[0]
    return replace(GOOD, rows=(replace(count, samples=(replace(count.samples[0], **changes),)),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (with_row(margin=0.2), "threshold of 0.05 and a margin of 0.2"),
        (with_row(margin=-0.1), "margin of -0.1"),
        (with_row(threshold=float("inf")), "threshold of inf"),
        (with_row(line=-1), "line of .* is -1"),
        (with_row(key=replace(ROW.key, metric="speed")), "unknown metric 'speed'"),
        (with_restart(calls=0), "number of calls .* is 0"),
        (with_restart(base=()), "0 blocks of base and 3 of head"),
        (with_restart(base=((1.0,),), head=((1.0,),)), "1 numbers, which make no whole turns"),
        (with_restart(base=((-1.0, 1.0, 0.0),), head=((1.0, 1.0, 0.0),)), "anybody can have measured"),
        (with_restart(base=((1.0, float("nan"), 0.0),), head=((1.0, 1.0, 0.0),)), "anybody can have measured"),
        (with_restart(base=((1.0, 1.0, 2.0),), head=((1.0, 1.0, 0.0),)), "away from its core"),
        (with_sample(value=-1.0), "anybody can have measured"),
        (with_sample(count=0), "number of readings .* is 0"),
        (with_sample(calls=10**400), "number of calls .* is 1000"),
        (with_sample(quantiles=(float("inf"),)), "anybody can have measured"),
        (replace(GOOD, rows=GOOD.rows * 2), "stands there twice"),
        (run_of(*GOOD.pairs, *GOOD.pairs), "stands there twice"),
        (run_of(part(unread=(Unread(ROW.key, Verdict.UNCHANGED, ""),))), "is unchanged without a reading"),
        (replace(GOOD, environment=replace(HERE, cores=0)), "number of cores is 0"),
    ],
)
def test_what_nobody_can_have_measured(run, message):
    """A file that holds it is refused, whatever else it holds."""
    check_run(GOOD)
    check_run(with_sample(value=0.0, count=0, calls=0, problem="memray is in use"))
    with pytest.raises(Impossible, match=message):
        check_run(run)
