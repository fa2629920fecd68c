"""The whole suite: every row once, and nothing is forgotten in silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.judge.compare import judge
from pytest_pe_perf.judge.gate import gate, module_of, settles
from pytest_pe_perf.model import (
    METRICS,
    BaselineRow,
    Comparison,
    Environment,
    Judgement,
    Key,
    Row,
    Run,
    Sample,
    Skipped,
    Verdict,
)

HERE = Environment("cpython", "3.11", "linux", "x86_64", 2)


def row(key, value=100.0):
    reference = 50.0 if METRICS[key.metric].assume == "noisy" else None
    return Row(key, (Sample(value, 1, 1, reference=reference),), "s", 0.1, 0.05)


def base(key, value=100.0):
    return BaselineRow(key, value, "s", 50.0 if METRICS[key.metric].assume == "noisy" else None)


def run(*keys, skipped=(), complete=()):
    rows = tuple(row(key) for key in keys)
    return Run(1, "2024-01-01T00:00:00Z", HERE, {}, rows, tuple(Skipped(test, "why") for test in skipped), complete)


def baseline(*keys):
    return {key: base(key) for key in keys}


A = Key("tests/test_a.py::test_one", "", "latency")
A_PEAK = Key("tests/test_a.py::test_one", "", "peak")
A_NAMED = Key("tests/test_a.py::test_one", "parse", "latency")
A_CPU = Key("tests/test_a.py::test_one", "", "cpu")
A_TWO = Key("tests/test_a.py::test_two", "", "latency")
B = Key("tests/test_b.py::test_one", "", "latency")


def verdicts(report):
    return {judgement.key: judgement.verdict for judgement in report.judgements}


@pytest.mark.parametrize(
    ("test", "module"),
    [
        ("tests/test_a.py::test_one", "tests/test_a.py"),
        ("tests/test_a.py::TestX::test_one[a::b]", "tests/test_a.py"),
        ("tests/test_a.py", "tests/test_a.py"),
    ],
)
def test_the_module_is_what_stands_before_the_first_colons(test, module):
    """A node id begins with its module, whatever its parameters hold."""
    assert module_of(test) == module


def test_nothing_against_nothing_says_nothing():
    """An empty run against an empty baseline has no rows, no notes and no failure."""
    report = gate(run(), {})
    assert (report.judgements, report.skipped, report.notes) == ((), (), ())
    assert report.environment == HERE


def test_an_empty_run_says_what_it_left_out():
    """A run that measured nothing of a full baseline does not look like a pass: it counts what it left out."""
    report = gate(run(), baseline(A, B))
    assert report.judgements == ()
    assert report.notes == ("2 baseline rows belong to tests that were not part of this run",)


def test_one_row_that_was_not_run_is_one_row():
    """The note counts in English."""
    assert gate(run(), baseline(A)).notes == ("1 baseline row belongs to tests that were not part of this run",)


def test_without_a_baseline_every_row_is_new():
    """A first run has new rows and nothing else."""
    assert verdicts(gate(run(A, A_PEAK, B), {})) == dict.fromkeys((A, A_PEAK, B), Verdict.NEW)


def test_time_on_the_processor_is_never_judged():
    """A metric that is only shown has no judgement, in the run or in the baseline."""
    assert verdicts(gate(run(A, A_CPU), baseline(A, A_CPU))) == {A: Verdict.UNCHANGED}
    assert verdicts(gate(run(A), baseline(A, A_CPU))) == {A: Verdict.UNCHANGED}
    assert gate(run(), baseline(A_CPU)).notes == ()


@pytest.mark.parametrize(
    ("measured", "skipped", "complete", "missing", "not_run"),
    [
        # All of the module was collected and the test is not there: it is gone.
        ([A], [], ["tests/test_a.py"], [A_TWO], 1),
        ([], [], ["tests/test_a.py"], [A, A_TWO], 1),
        ([], [], ["tests/test_a.py", "tests/test_b.py"], [A, A_TWO, B], 0),
        # Only some of it was collected (-k, a node id): it was not run.
        ([A], [], [], [], 2),
        ([B], [], ["tests/test_b.py"], [], 2),
        # A test that ran and did not measure a row any more.
        ([A_PEAK], [], [], [A], 2),
        ([A_NAMED], [], [], [A], 2),
        # A test that was skipped is neither gone nor forgotten: the report names it.
        ([A], [A_TWO.test], ["tests/test_a.py"], [], 1),
        ([], [A.test, A_TWO.test, B.test], ["tests/test_a.py", "tests/test_b.py"], [], 0),
        # One that measured a part before it gave up, too.
        ([A_PEAK], [A.test], ["tests/test_a.py"], [A_TWO], 1),
    ],
)
def test_missing_is_what_should_have_been_measured(measured, skipped, complete, missing, not_run):
    """A baseline row is missing only where its test or its whole module was there to measure it."""
    report = gate(run(*measured, skipped=skipped, complete=tuple(complete)), baseline(A, A_TWO, B))
    assert [j.key for j in report.judgements if j.verdict is Verdict.MISSING] == missing
    assert bool(report.notes) == bool(not_run)
    if not_run:
        assert report.notes[0].startswith(f"{not_run} baseline row")
    assert [item.test for item in report.skipped] == skipped


def test_a_missing_row_has_no_value_and_fails_nothing():
    """What nobody measured has no number, and no test that could fail."""
    (judgement,) = gate(run(complete=("tests/test_a.py",)), baseline(A)).judgements
    assert (judgement.verdict, judgement.value, judgement.comparison) == (Verdict.MISSING, None, None)
    assert not judgement.fails


KEYS = st.builds(
    Key,
    st.builds("tests/test_{}.py::test_{}".format, st.sampled_from("ab"), st.sampled_from("12")),
    st.sampled_from(["", "parse"]),
    st.sampled_from(sorted(METRICS)),
)
SETS = st.lists(KEYS, unique=True, max_size=12)


@given(
    SETS, SETS, st.sets(st.sampled_from(["tests/test_a.py", "tests/test_b.py"])), st.sets(KEYS.map(lambda k: k.test))
)
def test_every_row_of_run_and_baseline_is_accounted_for_once(measured, known, complete, skipped):
    """A row is judged once, or missing, or skipped by name, or counted as not run: never twice and never lost."""
    current = run(*measured, skipped=sorted(skipped), complete=tuple(sorted(complete)))
    reference = baseline(*known)
    report = gate(current, reference)
    keys = [judgement.key for judgement in report.judgements]
    judged = {key for key in measured if key.metric != "cpu"}
    missing = {judgement.key for judgement in report.judgements if judgement.verdict is Verdict.MISSING}
    assert len(keys) == len(set(keys))
    assert set(keys) == judged | missing
    assert not judged & missing
    rest = {key for key in known if key.metric != "cpu"} - set(keys)
    not_run = {key for key in rest if key.test not in skipped}
    assert bool(report.notes) == bool(not_run)
    if not_run:
        assert int(report.notes[0].split()[0]) == len(not_run)
    for judgement in report.judgements:
        if judgement.key in judged:
            assert judgement == judge(row(judgement.key), reference.get(judgement.key))
    assert sum(map(report.count, Verdict)) == len(keys)


@given(SETS, SETS)
def test_the_order_of_rows_changes_no_verdict(measured, known):
    """Rows are judged each for itself."""
    assert verdicts(gate(run(*measured), baseline(*known))) == verdicts(
        gate(run(*reversed(measured)), baseline(*reversed(known)))
    )


@pytest.mark.parametrize(
    ("metric", "verdict", "ratio", "n", "answer"),
    [
        ("latency", Verdict.REGRESSED, 1.2, 8, True),
        ("latency", Verdict.UNCHANGED, 1.0, 8, True),
        ("latency", Verdict.INCONCLUSIVE, 1.02, 8, True),
        ("latency", Verdict.INCONCLUSIVE, 1.12, 8, False),
        ("latency", Verdict.INCONCLUSIVE, 1.02, 2, False),
        ("latency", Verdict.NEW, None, 0, False),
        ("latency", Verdict.INCONCLUSIVE, None, 0, False),
        ("allocations", Verdict.INCONCLUSIVE, 1.12, 3, True),
        ("allocations", Verdict.INCONCLUSIVE, None, 0, False),
    ],
)
def test_a_pair_answers_a_suspicion_unless_it_leans_the_same_way(metric, verdict, ratio, n, answer):
    """A pair that cannot tell settles what it does not bear out; one that was not made, or leans too, settles nothing."""
    comparison = ratio and Comparison(1.0, ratio, ratio, ratio - 0.1, ratio + 0.1, n, 0.05, 0.1, "paired")
    judgement = Judgement(Key("a.py::a", "", metric), verdict, "", 1.0, comparison or None)
    assert settles(judgement, 0.05) is answer
