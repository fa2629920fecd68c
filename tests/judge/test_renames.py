"""A test under another name: when it is known again, what its verdict is, and when nothing is guessed."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.judge.gate import gate
from pytest_pe_perf.judge.renames import find
from pytest_pe_perf.model import (
    BaselineRow,
    Environment,
    GateReport,
    Judgement,
    Key,
    Row,
    Run,
    Sample,
    Skipped,
    Verdict,
)
from pytest_pe_perf.source import source_hash

HERE = Environment("cpython", "3.11", "linux", "x86_64", 2)
X, Y = "tests/test_x.py", "tests/test_y.py"


def key(test: str, metric: str = "peak") -> Key:
    return Key(test, "", metric)


def row(test: str, value: float = 1000.0, body: str = "body", metric: str = "peak", processes: int = 3) -> Row:
    return Row(key(test, metric), (Sample(value, 1, 1),) * processes, f"source of {test}", 0.1, 0.05, body=body)


def base(test: str, value: float = 1000.0, body: str = "body", metric: str = "peak") -> BaselineRow:
    return BaselineRow(key(test, metric), value, f"source of {test}", body=body, reason="as it was")


def judged(rows: Iterable[Row], bases: Iterable[BaselineRow], complete: tuple[str, ...] = (X, Y)) -> GateReport:
    run = Run(1, "2026-01-01T00:00:00+00:00", HERE, {}, tuple(rows), complete=complete)
    return gate(run, {item.key: item for item in bases})


def of(report: GateReport, test: str, metric: str = "peak") -> Judgement:
    (found,) = [judgement for judgement in report.judgements if judgement.key == key(test, metric)]
    return found


def test_a_renamed_test_is_held_against_the_baseline_that_it_had():
    """Its rows are compared, nothing is missing, and a note says what an update will do."""
    report = judged([row(f"{X}::test_b")], [base(f"{X}::test_a")])
    (judgement,) = report.judgements
    assert (judgement.verdict, judgement.renamed_from) == (Verdict.UNCHANGED, f"{X}::test_a")
    assert judgement.reason == "equal; renamed from test_a"
    assert report.notes == (f"{X}::test_b looks like test_a renamed; pe-perf update keeps its baseline",)


def test_a_rename_hides_no_regression():
    """A test that got worse with its new name has regressed."""
    judgement = of(judged([row(f"{Y}::test_b", 1300.0)], [base(f"{X}::test_a")]), f"{Y}::test_b")
    assert judgement.verdict is Verdict.REGRESSED
    assert judgement.reason == f"300 B more in 3 processes; renamed from {X}::test_a"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"{X}::test_a", f"{Y}::test_a"),
        (f"{X}::TestA::test_a", f"{X}::TestB::test_a"),
        (f"{X}::TestA::test_a[1]", f"{Y}::test_b[1]"),
    ],
)
def test_modules_and_classes_may_change(old, new):
    """A test that moved is known again."""
    assert of(judged([row(new)], [base(old)]), new).renamed_from == old


@pytest.mark.parametrize(
    ("rows", "bases", "complete"),
    [
        ([row(f"{X}::test_b", body="other")], [base(f"{X}::test_a")], (X,)),
        # Of a baseline from before there were bodies, or of a benchmark without a source, nothing is known.
        ([row(f"{X}::test_b", body="")], [base(f"{X}::test_a", body="")], (X,)),
        # It was not run, or it is still there: then the new one is a copy.
        ([row(f"{X}::test_b")], [base(f"{X}::test_a")], ()),
        ([row(f"{X}::test_b"), row(f"{X}::test_a")], [base(f"{X}::test_a")], (X,)),
        # The new name is in the baseline already.
        ([row(f"{X}::test_b")], [base(f"{X}::test_a"), base(f"{X}::test_b", metric="allocations")], (X,)),
        # Another metric is another row.
        ([row(f"{X}::test_b", metric="allocations")], [base(f"{X}::test_a")], (X,)),
    ],
)
def test_what_is_no_rename(rows, bases, complete):
    """Nothing is taken for something else: no row changes its verdict and no note says so."""
    report = judged(rows, bases, complete)
    assert not any(judgement.renamed_from for judgement in report.judgements)
    assert not any("looks like" in note for note in report.notes)


def test_two_candidates_are_named_and_neither_is_taken():
    """What cannot be told is said, and the rows are new and missing as ever."""
    report = judged([row(f"{X}::test_c")], [base(f"{X}::test_a"), base(f"{X}::test_b")])
    verdicts = {judgement.key.test.partition("::")[2]: judgement.verdict for judgement in report.judgements}
    assert verdicts == {"test_a": Verdict.MISSING, "test_b": Verdict.MISSING, "test_c": Verdict.NEW}
    (note,) = report.notes
    assert note == f"{X}::test_c may be test_a or test_b renamed; which cannot be told, so it is new"
    (note,) = judged([row(f"{X}::test_c"), row(f"{X}::test_d")], [base(f"{X}::test_a")]).notes
    assert note == f"{X}::test_c and test_d may be test_a renamed; which cannot be told, so they are new"


@pytest.mark.parametrize("why", [(), ("skipped",)])
def test_a_renamed_test_that_did_not_run_is_not_missing(why):
    """Its row waits for it, whether it was skipped or the run stopped before it; one that is gone is missing."""
    skipped = tuple(Skipped(f"{X}::test_b", reason) for reason in why)
    run = Run(1, "2026-01-01T00:00:00+00:00", HERE, {}, (), skipped, (X,), unmeasured={f"{X}::test_b": "body"})
    bases = [base(f"{X}::test_a"), base(f"{X}::test_gone", body="other")]
    report = gate(run, {item.key: item for item in bases})
    assert [(judgement.key.test, judgement.verdict) for judgement in report.judgements] == [
        (f"{X}::test_gone", Verdict.MISSING)
    ]
    assert report.notes == ("1 baseline row belongs to tests that were not part of this run",)


def test_what_did_not_run_may_be_the_one():
    """Of two new tests either may be the one that is gone, though only one of them has run so far."""
    run = Run(1, "2026-01-01T00:00:00+00:00", HERE, {}, (row(f"{X}::test_b"),), complete=(X,))
    bases = {key(f"{X}::test_a"): base(f"{X}::test_a")}
    assert of(gate(run, bases), f"{X}::test_b").renamed_from == f"{X}::test_a"
    report = gate(replace(run, unmeasured={f"{X}::test_c": "body"}), bases)
    assert of(report, f"{X}::test_b").verdict is Verdict.NEW
    assert of(report, f"{X}::test_a").verdict is Verdict.MISSING


def test_parameters_tell_tests_of_one_source_apart():
    """All parameters of a test share its source; a module that moved, or a test, takes each along, and says so once."""
    moved = f"7 tests of {Y} look like tests of {X}; pe-perf update keeps their baselines"
    other = f"{X}::test_b looks like test_a renamed (7 parameters); pe-perf update keeps its baselines"
    for old, new, said in ((f"{X}::test_a", f"{Y}::test_a", moved), (f"{X}::test_a", f"{X}::test_b", other)):
        values = range(1, 8)
        report = judged(
            [row(f"{new}[{n}]", 1000.0 * n) for n in values], [base(f"{old}[{n}]", 1000.0 * n) for n in values]
        )
        assert {judgement.verdict for judgement in report.judgements} == {Verdict.UNCHANGED}
        assert all(judgement.renamed_from.endswith(judgement.key.test[-3:]) for judgement in report.judgements)
        assert report.notes == (said,)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(1000.0, Verdict.UNCHANGED), (9000.0, Verdict.NOT_COMPARABLE), (90.0, Verdict.NOT_COMPARABLE)],
)
def test_another_parameter_may_be_another_benchmark(value, verdict):
    """One parameter that is gone and one that is new are one only where nothing speaks against it; none of it is red."""
    report = judged([row(f"{X}::test_a[b]", value), row(f"{X}::test_a[c]")], [base(f"{X}::test_a[{n}]") for n in "ac"])
    judgement = of(report, f"{X}::test_a[b]")
    assert (judgement.verdict, judgement.renamed_from) == (verdict, f"{X}::test_a[a]")
    assert ("with other parameters" in judgement.reason) == (verdict is Verdict.NOT_COMPARABLE)


def test_many_notes_are_cut_short():
    """A page of renames is not a page of notes."""
    letters = "abcdefgh"
    report = judged(
        [row(f"{X}::test_{n}_new", body=n) for n in letters], [base(f"{X}::test_{n}", body=n) for n in letters]
    )
    assert len(report.notes) == 6
    assert report.notes[-1] == "and 3 more like these"


TESTS = st.builds(
    "tests/test_{}.py::test_{}{}".format, st.sampled_from("xy"), st.sampled_from("abc"), st.sampled_from(["", "[1]"])
)
MODULES = ("tests/test_x.py", "tests/test_y.py")
SUITES = st.dictionaries(TESTS, st.sampled_from(["one", "two"]), max_size=10)


@given(SUITES, SUITES, st.randoms())
def test_a_match_is_one_to_one_and_does_not_depend_on_the_order(before, after, random):
    """Each new test has one old name at most and the other way round, the same source, and order changes nothing."""
    baseline = {key(test): base(test, body=body) for test, body in before.items()}
    gone = [key(test) for test in before.keys() - after.keys()]
    found = find(after, baseline, gone)
    new, old = list(found.tests), list(found.tests.values())
    assert len(set(old)) == len(old)
    assert set(new) <= after.keys() - before.keys()
    assert set(old) <= before.keys() - after.keys()
    assert all(after[a] == before[b] for a, b in found.tests.items())
    for group in found.unclear:
        assert not {*group.new, *group.gone} & {*new, *old}
        assert len(group.new) + len(group.gone) > 2
    random.shuffle(gone)
    again = find(
        dict(random.sample(sorted(after.items()), len(after))),
        dict(random.sample(sorted(baseline.items()), len(baseline))),
        gone,
    )
    assert (again.tests, set(again.unclear)) == (found.tests, set(found.unclear))


@given(st.dictionaries(TESTS, TESTS.map(lambda test: test.replace("test_", "check_")), max_size=6))
def test_where_every_source_is_its_own_every_rename_is_found(names):
    """Whatever the tests are called: one source, one name before, one name after."""
    pairs = {new: old for old, new in names.items()}
    baseline = {key(old): base(old, body=old) for old in pairs.values()}
    assert find(pairs, baseline, list(baseline)).tests == pairs


@given(SUITES, SUITES, st.data())
def test_how_far_a_run_came_changes_no_verdict(before, after, data):
    """What is known before the first test is what is known at the end: a run that stopped says the same of what ran."""
    bases = {key(test): base(test, body=body) for test, body in before.items()}
    whole = Run(1, "2026-01-01T00:00:00+00:00", HERE, {}, (), complete=MODULES)
    rows = {test: row(test, body=body) for test, body in after.items()}
    ran = data.draw(st.sets(st.sampled_from(sorted(after)))) if after else set()
    rest = {test: body for test, body in after.items() if test not in ran}
    stopped = replace(whole, rows=tuple(rows[test] for test in sorted(ran)), unmeasured=rest)
    verdicts = {j.key: j for j in gate(replace(whole, rows=tuple(rows.values())), bases).judgements}
    for judgement in gate(stopped, bases).judgements:
        assert judgement == verdicts[judgement.key]
    names = find(after, bases, bases).tests
    assert {j.key.test: j.renamed_from for j in verdicts.values() if j.renamed_from} == names


def one(n):
    """Say what it does."""
    return n + 1


def other(n):
    return n + 1


def different(n):
    return n + 2


async def waits(n):
    return n + 1


def test_the_name_is_part_of_the_source_and_not_of_the_body():
    """Two functions that do the same have one body; nothing else is the same."""
    bodies = [source_hash(function, named=False) for function in (one, other, different, waits)]
    assert bodies[0] == bodies[1]
    assert len(set(bodies)) == 3
    assert len({source_hash(function) for function in (one, other, different, waits)}) == 4


def test_old_hashes_are_still_valid():
    """The hash of a source is what it was when baselines began: files in git hold it."""
    (node,) = ast.parse("def other(n):\n    return n + 1").body
    assert source_hash(other) == hashlib.blake2b(ast.dump(node).encode(), digest_size=6).hexdigest()


def test_a_row_without_a_baseline_stays_new():
    """What looks like nothing that is gone is new."""
    assert of(judged([row(f"{X}::test_b")], []), f"{X}::test_b").verdict is Verdict.NEW


def test_too_few_processes_decide_nothing_here_either():
    """A renamed row that one process measured is as undecided as any other."""
    few = replace(row(f"{X}::test_b", 2000.0), samples=(Sample(2000.0, 1, 1),))
    judgement = of(judged([few], [base(f"{X}::test_a")]), f"{X}::test_b")
    assert (judgement.verdict, judgement.renamed_from) == (Verdict.INCONCLUSIVE, f"{X}::test_a")
