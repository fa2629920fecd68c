"""Every verdict, by tables at its boundaries and by properties that no input may break."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pytest_pe_perf.judge.compare import (
    BASELINE_PROCESSES,
    DECIDING_PROCESSES,
    EXACT_MARGINS,
    FAILING_PROCESSES,
    cannot_fail,
    compare_exact,
    compare_noisy,
    head_value,
    judge,
    suspected,
)
from pytest_pe_perf.judge.estimate import MINIMUM_DEVIATION, ONE_READING_SPREAD, SLOW, Z95, minimum, normalised, spread
from pytest_pe_perf.model import BaselineRow, Budget, Key, Row, Sample, Verdict

REGRESSED, IMPROVED, UNCHANGED = Verdict.REGRESSED, Verdict.IMPROVED, Verdict.UNCHANGED
INCONCLUSIVE, NOT_COMPARABLE = Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE
OVER_BUDGET, NEW = Verdict.OVER_BUDGET, Verdict.NEW
UNDECIDED = {INCONCLUSIVE, NOT_COMPARABLE, NEW}
EXACT = tuple(EXACT_MARGINS)
UNIT = 1e-3


def key(metric="latency"):
    return Key("tests/perf/test_a.py::test_a", "", metric)


def timed(*values, references=None, threshold=0.10, margin=0.05, source="s", budget=None, readings=50):
    """A latency row, a process for each value."""
    references = references or [1.0] * len(values)
    samples = tuple(Sample(v * UNIT, readings, 10, (), r) for v, r in zip(values, references, strict=True))
    return Row(key(), samples, source, threshold, margin, budget, 7)


def accepted(value=1.0, reference=1.0, scatter=0.0, source="s"):
    """A latency row of the baseline."""
    return BaselineRow(key(), value * UNIT, source, reference, scatter)


def counted(metric, *values, source="s", made_with="m", budget=None):
    """A row of an exact metric, a process for each value."""
    samples = tuple(Sample(v, 1, 1, made_with=made_with) for v in values)
    return Row(key(metric), samples, source, 0.10, 0.05, budget)


def recorded(metric, value, scatter=0.0, source="s", made_with="m"):
    """A baseline row of an exact metric."""
    return BaselineRow(key(metric), value, source, None, scatter, made_with)


TIMES = st.floats(0.05, 20.0)
SCALES = st.floats(1e-4, 1e4)


@st.composite
def processes(draw, least=1, most=6):
    n = draw(st.integers(least, most))
    return [(draw(TIMES), draw(TIMES)) for _ in range(n)]


@st.composite
def rows(draw, least=1, most=6):
    pairs = draw(processes(least, most))
    threshold = draw(st.sampled_from([0.05, 0.10, 0.20, 1.0]))
    return timed(
        *(v for v, _ in pairs),
        references=[r for _, r in pairs],
        threshold=threshold,
        margin=draw(st.sampled_from([0.01, 0.05])),
    )


@st.composite
def bases(draw):
    return accepted(draw(TIMES), draw(TIMES), draw(st.sampled_from([0.0, 0.01, 0.03, 0.1])))


# --- times: tables -------------------------------------------------------------------------------------------------


def proven(n):
    """What n processes that agree can just prove against a baseline that scatters as the layout does."""
    return 1.05 * math.exp(Z95 * 0.025 * math.hypot(MINIMUM_DEVIATION[n - 1], MINIMUM_DEVIATION[2]))


WORSE, BETTER = proven(5), 1 / proven(3)
JUST = 1e-9


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (1.0, UNCHANGED),
        (1.05 - JUST, UNCHANGED),
        (1.05 + JUST, INCONCLUSIVE),
        (1.10 + JUST, INCONCLUSIVE),
        (WORSE - JUST, INCONCLUSIVE),
        (WORSE + JUST, REGRESSED),
        (1.5, REGRESSED),
        (100.0, REGRESSED),
        (1 / 1.05 + JUST, UNCHANGED),
        (1 / 1.05 - JUST, UNCHANGED),
        (1 / WORSE + JUST, UNCHANGED),
        (1 / WORSE - JUST, IMPROVED),
        (0.01, IMPROVED),
    ],
)
def test_five_processes_against_the_default_threshold(ratio, verdict):
    """With 10 % and 5 % it is the interval that decides: a change has to be beyond 10.3 %."""
    assert judge(timed(*[ratio] * 5), accepted()).verdict is verdict


@pytest.mark.parametrize(
    ("ratio", "verdict", "again"),
    [
        (1.05 - JUST, UNCHANGED, False),
        (1.05 + JUST, INCONCLUSIVE, False),
        (proven(3) - JUST, INCONCLUSIVE, False),
        (proven(3) + JUST, INCONCLUSIVE, True),
        (100.0, INCONCLUSIVE, True),
        (BETTER + JUST, UNCHANGED, False),
        (BETTER - JUST, IMPROVED, False),
        (0.01, IMPROVED, False),
    ],
)
def test_three_processes_may_not_fail_a_time(ratio, verdict, again):
    """What three processes prove to be slower is measured again; faster is faster, and what they cannot prove is final."""
    row = timed(ratio, ratio, ratio)
    judgement = judge(row, accepted())
    assert judgement.verdict is verdict
    assert suspected(row, judgement) is again
    assert judgement.reason.endswith("in 3 processes; 5 are needed") is again


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (1.2 - JUST, INCONCLUSIVE),
        (1.2 + JUST, REGRESSED),
        (1 / 1.2 + JUST, UNCHANGED),
        (1 / 1.2 - JUST, IMPROVED),
    ],
)
def test_five_processes_against_a_wide_threshold(ratio, verdict):
    """With 20 % it is the threshold that decides."""
    assert judge(timed(*[ratio] * 5, threshold=0.2), accepted()).verdict is verdict


@pytest.mark.parametrize(
    ("values", "references", "verdict", "again"),
    [
        # One process.
        ([1.0], [1.0], UNCHANGED, False),
        ([1.04], [1.0], UNCHANGED, False),
        ([1.06], [1.0], INCONCLUSIVE, True),
        ([1.5], [1.0], INCONCLUSIVE, True),
        ([0.92], [1.0], UNCHANGED, False),
        ([0.5], [1.0], INCONCLUSIVE, True),
        # The reference was slow: it may hide a regression of the same size, so the row is looked at again.
        ([1.5], [1.5], INCONCLUSIVE, True),
        ([1.0], [SLOW + JUST], INCONCLUSIVE, True),
        ([1.0], [1.5], INCONCLUSIVE, True),
        ([SLOW - JUST], [SLOW - JUST], UNCHANGED, False),
        # A faster machine hides nothing.
        ([0.5], [0.5], UNCHANGED, False),
        # Two processes decide nothing either.
        ([1.5, 1.5], [1.0, 1.0], INCONCLUSIVE, True),
        ([0.5, 0.5], [1.0, 1.0], INCONCLUSIVE, True),
        # Three: a lone slow process is no evidence, in the value or in the reference.
        ([1.5, 1.0, 1.0], [1.0, 1.0, 1.0], UNCHANGED, False),
        ([1.0, 1.0, 1.0], [1.5, 1.0, 1.0], UNCHANGED, False),
        ([1.5, 1.0, 1.5], [1.0, 1.0, 1.5], UNCHANGED, False),
        ([1.5, 1.5, 1.5], [1.5, 1.5, 1.0], INCONCLUSIVE, True),
        # ... and takes nothing from the others.
        ([1.3, 1.3, 1.9], [1.0, 1.0, 1.0], INCONCLUSIVE, True),
        ([1.3, 1.3, 1.3], [1.5, 1.0, 1.0], INCONCLUSIVE, True),
        ([0.7, 0.7, 1.1], [1.0, 1.0, 1.0], IMPROVED, False),
        # A machine that is slower as a whole.
        ([1.5, 1.5, 1.5], [1.5, 1.5, 1.5], UNCHANGED, False),
        ([3.0, 3.0, 3.0], [1.5, 1.5, 1.5], INCONCLUSIVE, True),
        # Four are as three, five decide.
        ([1.5] * 4, [1.0] * 4, INCONCLUSIVE, True),
        ([1.5] * 5, [1.0] * 5, REGRESSED, False),
        ([1.5, 1.5, 1.5, 1.5, 1.0], [1.0] * 5, UNCHANGED, False),
        ([1.5, 1.5, 1.5, 1.5, 1.08], [1.0] * 5, INCONCLUSIVE, False),
        ([1.3, 1.3, 1.9, 1.3, 1.9], [1.5, 1.5, 1.0, 1.5, 1.5], REGRESSED, False),
        ([1.5] * 5, [1.5] * 5, UNCHANGED, False),
    ],
)
def test_the_three_stages(values, references, verdict, again):
    """One process only suspects, three clear or confirm, five fail: by the fastest value and the fastest reference."""
    row = timed(*values, references=references)
    judgement = judge(row, accepted())
    assert judgement.verdict is verdict
    assert suspected(row, judgement) is again


def test_a_regression_behind_a_slow_reference_is_found():
    """+50 % in a process whose reference took 50 % longer looks like nothing, and is a regression after five."""
    first = timed(1.5, references=[1.5])
    assert suspected(first, judge(first, accepted()))
    second = timed(1.5, 1.5, 1.5, references=[1.5, 1.0, 1.0])
    assert suspected(second, judge(second, accepted()))
    pooled = timed(*[1.5] * 5, references=[1.5, 1.0, 1.0, 1.0, 1.0])
    assert judge(pooled, accepted()).verdict is REGRESSED


@pytest.mark.parametrize(
    ("machine", "again"), [(None, True), (1.0, True), (1.24, True), (1.26, False), (1.5, False), (3.0, False)]
)
def test_a_slow_reference_is_believed_where_the_machine_is_slow(machine, again):
    """Processes that only ran the reference workload say whether it was slow in this one process, or is everywhere."""
    first = timed(1.5, references=[1.5])
    row = replace(first, samples=(replace(first.samples[0], machine=machine),))
    judgement = judge(row, accepted())
    assert suspected(row, judgement) is again
    assert judgement.verdict is (INCONCLUSIVE if again else UNCHANGED)


@given(slow=st.floats(1.0, 4.0), change=st.floats(0.3, 3.0))
def test_a_slow_machine_hides_nothing(slow, change):
    """A test that got worse by more than the threshold is suspected however slow the machine is known to be."""
    first = timed(slow * (1.11 + change), references=[slow])
    row = replace(first, samples=(replace(first.samples[0], machine=slow),))
    assert suspected(row, judge(row, accepted()))


@pytest.mark.parametrize("machine", [math.nan, math.inf, 0.0, -1.0])
def test_what_no_machine_can_take_is_not_judged(machine):
    first = timed(1.5, references=[1.5])
    row = replace(first, samples=(replace(first.samples[0], machine=machine),))
    judgement = judge(row, accepted())
    assert (judgement.verdict, suspected(row, judgement)) == (INCONCLUSIVE, False)
    assert "cannot be measured values" in judgement.reason


def test_a_suspicion_that_does_not_come_back_passes():
    """A process in which the value was slow is forgotten when two fresh ones are not."""
    first = timed(1.5)
    assert suspected(first, judge(first, accepted()))
    assert judge(timed(1.5, 1.01, 1.0), accepted()).verdict is UNCHANGED


def test_a_baseline_that_scatters_asks_for_more():
    """The spread on record widens the interval: the same change is a regression of a quiet row only."""
    row = timed(*[1.15] * 5)
    assert judge(row, accepted(scatter=0.02)).verdict is REGRESSED
    assert judge(row, accepted(scatter=0.08)).verdict is INCONCLUSIVE


def test_processes_that_scatter_ask_for_more():
    """The spread seen now widens the interval too."""
    assert judge(timed(*[1.12] * 5), accepted()).verdict is REGRESSED
    row = timed(1.12, 1.28, 1.20, 1.12, 1.28)
    assert judge(row, accepted()).verdict is INCONCLUSIVE
    assert not suspected(row, judge(row, accepted()))


@pytest.mark.parametrize(
    ("readings", "ratio", "verdict"),
    [
        (36, 1.15, REGRESSED),
        (10, 1.15, INCONCLUSIVE),
        (10, 1.25, REGRESSED),
        (1, 1.25, INCONCLUSIVE),
        (1, 3.0, REGRESSED),
        (1, 0.8, UNCHANGED),
        (1, 1 / 3, IMPROVED),
    ],
)
def test_few_readings_ask_for_more(readings, ratio, verdict):
    """A minimum of one reading proves a threefold change and no small one, although five processes agree."""
    base = accepted(scatter=ONE_READING_SPREAD / math.sqrt(readings))
    assert judge(timed(*[ratio] * 5, readings=readings), base).verdict is verdict


def test_the_fewest_readings_count():
    """A single process with one reading among others with many makes its row one of few."""
    row = timed(*[1.25] * 5)
    few = replace(row, samples=(*row.samples[:4], replace(row.samples[4], count=1)))
    assert judge(row, accepted()).verdict is REGRESSED
    assert judge(few, accepted()).verdict is INCONCLUSIVE


def test_a_slow_process_of_few_readings_is_scatter():
    """Where single readings scatter, a slow one is not left out, and the row proves less."""
    values = (1.6, 1.6, 3.0, 3.0, 1.6)
    assert judge(timed(*values), accepted()).verdict is REGRESSED
    assert judge(timed(*values, readings=1), accepted(scatter=ONE_READING_SPREAD)).verdict is INCONCLUSIVE


@pytest.mark.parametrize(
    ("row", "base"),
    [
        (timed(2.0, 2.0, 2.0), replace(accepted(), reference=None)),
        (timed(2.0, 2.0, 2.0, references=[None] * 3), accepted()),
        (timed(2.0, 2.0, 2.0, references=[1.0, None, 1.0]), accepted()),
    ],
)
def test_seconds_are_not_compared_with_runs_of_the_reference(row, base):
    """Where only one side knows the machine's speed, a slower machine would be a regression."""
    judgement = judge(row, base)
    assert judgement.verdict is NOT_COMPARABLE
    assert "reference workload" in judgement.reason


def test_rows_without_any_reference_are_compared_in_seconds():
    """Where neither side has a reference, seconds are what there is."""
    base = replace(accepted(), reference=None)
    assert judge(timed(*[2.0] * 5, references=[None] * 5), base).verdict is REGRESSED
    assert judge(timed(1.0, references=[None]), base).verdict is UNCHANGED


def test_the_comparison_shows_what_was_measured():
    """Base and head are the seconds of both sides, the ratio is the one at equal machine speed."""
    comparison = compare_noisy(timed(1.5, 1.6, 1.7, references=[1.5, 1.5, 1.5]), accepted())
    assert comparison.base == 1.0 * UNIT
    assert comparison.head == 1.5 * UNIT
    assert comparison.ratio == pytest.approx(1.0)
    assert (comparison.n, comparison.threshold, comparison.tier) == (3, 0.10, "stored")


@pytest.mark.parametrize(("deviation", "scatter"), [(0.01, 0.0), (0.02, 0.02), (0.04, 0.05)])
def test_what_a_row_says_it_could_have_seen_it_sees(deviation, scatter):
    """A change of the size that the row names as detectable is found in at least 93 of 100 draws."""
    random = np.random.default_rng(11)
    found = 0
    draws = np.exp(random.normal(0, deviation, (800, 8))).tolist()
    for draw in draws:
        base = accepted(min(draw[:3]), scatter=max(scatter, spread(draw[:3], 50)))
        size = 1 + compare_noisy(timed(*draw[3:]), base).detectable
        found += judge(timed(*(value * size for value in draw[3:])), base).verdict is REGRESSED
    assert found / len(draws) > 0.93


# --- times: properties ---------------------------------------------------------------------------------------------


def rescaled(row, factor):
    """The same row on a machine that takes ``factor`` times as long for everything."""
    samples = tuple(replace(s, value=s.value * factor, reference=s.reference * factor) for s in row.samples)
    return replace(row, samples=samples)


def close_calls(row, base):
    """Whether the verdict hangs on the last digits."""
    comparison = compare_noisy(row, base)
    margin, threshold = 1 + row.margin, 1 + row.threshold
    cuts = [(comparison.ratio, x) for x in (margin, 1 / margin, threshold, 1 / threshold, 1.0)]
    cuts += [(comparison.low, margin), (comparison.high, 1 / margin)]
    cuts.append((min(s.reference for s in row.samples), SLOW * base.reference))
    return any(math.isclose(x, y, rel_tol=1e-9) for x, y in cuts)


@given(rows(least=DECIDING_PROCESSES), bases(), SCALES)
def test_the_machines_speed_changes_no_decision(row, base, factor):
    """Three processes on a machine that is slower or faster as a whole give the same verdict."""
    assume(not close_calls(row, base))
    assert judge(rescaled(row, factor), base).verdict is judge(row, base).verdict


@given(rows(), bases(), SCALES)
def test_a_slower_machine_makes_one_process_more_careful_only(row, base, factor):
    """Before three processes the speed changes a verdict to inconclusive, or back from it, and to nothing else."""
    assume(not close_calls(row, base))
    assume(not close_calls(rescaled(row, factor), base))
    verdicts = {judge(row, base).verdict, judge(rescaled(row, factor), base).verdict}
    assert len(verdicts - {INCONCLUSIVE}) <= 1


@given(rows(), bases(), SCALES)
def test_the_unit_of_time_changes_nothing(row, base, factor):
    """Rescaling every second on both sides changes no verdict."""
    assume(not close_calls(row, base))
    other = replace(base, value=base.value * factor, reference=base.reference * factor)
    assert judge(rescaled(row, factor), other).verdict is judge(row, base).verdict


@given(st.data(), rows(), bases())
def test_the_order_of_processes_changes_nothing(data, row, base):
    """The processes may be pooled in any order."""
    other = replace(row, samples=tuple(data.draw(st.permutations(row.samples))))
    assert judge(other, base) == judge(row, base)


ORDER = {IMPROVED: 0, UNCHANGED: 1, INCONCLUSIVE: 2, REGRESSED: 3}


@given(rows(least=DECIDING_PROCESSES), bases(), st.floats(1.0, 50.0))
@example(timed(0.5, 0.5, 0.5), accepted(), 3.0)
def test_slower_is_never_a_better_word(row, base, factor):
    """Making head slower as a whole moves the verdict from improved to regressed and never back."""
    slower = replace(row, samples=tuple(replace(s, value=s.value * factor) for s in row.samples))
    assert ORDER[judge(slower, base).verdict] >= ORDER[judge(row, base).verdict]


@given(rows(most=DECIDING_PROCESSES - 1), bases(), st.floats(1.0, 50.0))
def test_slower_never_clears_one_process_of_a_suspicion_of_slowness(row, base, factor):
    """In the first stage, a row that is suspected of being slower stays suspected when it is slower still."""
    judgement = judge(row, base)
    assume(suspected(row, judgement) and judgement.comparison.ratio > 1)
    slower = replace(row, samples=tuple(replace(s, value=s.value * factor) for s in row.samples))
    assert suspected(slower, judge(slower, base))


@given(rows(least=DECIDING_PROCESSES), bases(), st.floats(0.01, 0.5))
def test_a_wider_threshold_never_fails_more(row, base, more):
    """Whoever allows more gets no new failure."""
    if judge(replace(row, threshold=row.threshold + more), base).verdict is REGRESSED:
        assert judge(row, base).verdict is REGRESSED


@given(rows(), st.one_of(st.none(), bases()), st.floats(0.01, 20.0))
def test_few_processes_decide_nothing(row, base, limit):
    """Improved rests on three processes at least; regressed and over budget, which fail the test, on five."""
    row = replace(row, budget=Budget(limit * UNIT, "limit"))
    judgement = judge(row, base)
    if len(row.samples) < DECIDING_PROCESSES:
        assert judgement.verdict in {UNCHANGED, INCONCLUSIVE, NEW}
    if len(row.samples) < FAILING_PROCESSES:
        assert judgement.verdict in {UNCHANGED, INCONCLUSIVE, NEW, IMPROVED}
        assert not judgement.fails


@given(rows(most=7), st.one_of(st.none(), bases()), st.floats(0.01, 20.0))
def test_the_reason_says_how_many_processes_are_needed(row, base, limit):
    """From three processes on, a row is suspected where its reason asks for more, and nowhere else."""
    row = replace(row, budget=Budget(limit * UNIT, "limit"))
    judgement = judge(row, base)
    if len(row.samples) >= DECIDING_PROCESSES:
        assert suspected(row, judgement) is ("needed" in judgement.reason)


@given(rows(), st.one_of(st.none(), bases()), st.floats(0.01, 20.0))
def test_five_processes_like_one_settle_it(row, base, limit):
    """Fresh processes that find what the first one found end the suspicion within two turns, with any settings."""
    row = replace(row, samples=row.samples[:1], budget=Budget(limit * UNIT, "limit"))
    for _ in range(2):
        if suspected(row, judge(row, base)):
            row = replace(row, samples=row.samples + row.samples[:1] * 2)
    assert not suspected(row, judge(row, base))


@given(rows(), bases())
def test_what_is_shown_never_contradicts_the_decision(row, base):
    """A regressed row shows a ratio beyond the threshold and an interval beyond the margin; others do not show both."""
    judgement = judge(row, base)
    comparison = judgement.comparison
    assert comparison.low <= comparison.ratio <= comparison.high
    assert comparison.n == len(row.samples)
    assert comparison.head == judgement.value == head_value(row)
    assert comparison.base == base.value
    assert comparison.detectable > comparison.threshold
    worse = comparison.low > 1 + row.margin and comparison.ratio > 1 + row.threshold
    better = comparison.high < 1 / (1 + row.margin) and comparison.ratio < 1 / (1 + row.threshold)
    assert (judgement.verdict is REGRESSED) == (worse and comparison.n >= FAILING_PROCESSES)
    assert (judgement.verdict is IMPROVED) == (better and comparison.n >= DECIDING_PROCESSES)
    if judgement.verdict is UNCHANGED:
        assert comparison.ratio <= 1 + row.margin


def plain_verdict(row, base):
    """The rule for three processes and more, written down without any of judge's parts."""
    values = [s.value for s in row.samples]
    references = [s.reference for s in row.samples]
    ratio = (min(values) / min(references)) / (base.value / base.reference)
    head = max(0.025, base.spread, spread([v / r for v, r in zip(values, references, strict=True)], 50))
    sigmas = (1.0, 0.8256, 0.7480, 0.7012, 0.6690, 0.6449)
    error = math.sqrt((head * sigmas[len(values) - 1]) ** 2 + (max(0.025, base.spread) * sigmas[2]) ** 2)
    if ratio > 1 + row.threshold and ratio * math.exp(-1.959964 * error) > 1 + row.margin:
        return REGRESSED if len(values) >= 5 else INCONCLUSIVE
    if ratio < 1 / (1 + row.threshold) and ratio * math.exp(1.959964 * error) < 1 / (1 + row.margin):
        return IMPROVED
    return UNCHANGED if ratio <= 1 + row.margin else INCONCLUSIVE


@given(rows(least=DECIDING_PROCESSES), bases())
def test_the_verdict_is_its_definition(row, base):
    """The verdict agrees with the rule written in one place."""
    assume(not close_calls(row, base))
    assert judge(row, base).verdict is plain_verdict(row, base)


@given(rows())
def test_a_row_against_its_own_record_is_unchanged(row):
    """What was recorded from these very processes is not a change of them."""
    pairs = [(s.value, s.reference) for s in row.samples]
    value, reference = minimum(pairs)
    base = BaselineRow(key(), value, "s", reference, spread([normalised(*pair) for pair in pairs], 50))
    assert judge(row, base).verdict is UNCHANGED


# --- counts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "base", "head", "verdict"),
    [
        ("allocations", 100, 100, UNCHANGED),
        ("allocations", 100, 101, REGRESSED),
        ("allocations", 100, 99, IMPROVED),
        ("allocations", 1_000_000, 1_000_001, REGRESSED),
        ("allocations", 0, 0, UNCHANGED),
        ("allocations", 0, 1, REGRESSED),
        ("allocations", 1, 0, IMPROVED),
        ("peak", 1000, 1064, UNCHANGED),
        ("peak", 1000, 1065, REGRESSED),
        ("peak", 1000, 936, UNCHANGED),
        ("peak", 1000, 935, IMPROVED),
        ("peak", 1_000_000, 1_010_000, UNCHANGED),
        ("peak", 1_000_000, 1_010_001, REGRESSED),
        ("peak", 1_000_000, 990_000, UNCHANGED),
        ("peak", 1_000_000, 989_999, IMPROVED),
        ("peak", 0, 64, UNCHANGED),
        ("peak", 0, 65, REGRESSED),
        ("retained", 0, 8, UNCHANGED),
        ("retained", 0, 8.5, REGRESSED),
        ("retained", 0, 16, REGRESSED),
        ("retained", 1000, 1050, UNCHANGED),
        ("retained", 1000, 1050.5, REGRESSED),
        ("retained", 1000, 949.5, IMPROVED),
    ],
)
def test_counts_are_compared_with_their_margin(metric, base, head, verdict):
    """A count may move by the larger of its margins and by no byte more, in either direction."""
    judgement = judge(counted(metric, head, head, head), recorded(metric, base))
    assert judgement.verdict is verdict
    once = counted(metric, head)
    first = judge(once, recorded(metric, base))
    assert first.verdict is (UNCHANGED if verdict is UNCHANGED else INCONCLUSIVE)
    assert suspected(once, first) is (verdict is not UNCHANGED)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([100, 100, 100], UNCHANGED),
        ([120, 120, 120], REGRESSED),
        ([120, 130, 110], REGRESSED),
        ([80, 90, 99], IMPROVED),
        ([120, 120, 100], INCONCLUSIVE),
        ([120, 100, 100], INCONCLUSIVE),
        ([80, 100, 100], INCONCLUSIVE),
        ([80, 120, 120], INCONCLUSIVE),
        ([100, 120], INCONCLUSIVE),
    ],
)
def test_all_processes_must_agree_on_a_count(values, verdict):
    """A count that differs in some processes only does not repeat, and is neither a pass nor a failure."""
    assert judge(counted("allocations", *values), recorded("allocations", 100)).verdict is verdict


def test_a_count_that_does_not_repeat_is_shown():
    """The reason lists what the processes saw."""
    judgement = judge(counted("allocations", 120, 100, 100), recorded("allocations", 100))
    assert judgement.reason == "does not repeat: 120, 100, 100"


def test_a_count_may_scatter_as_it_did_when_it_was_recorded():
    """The relative range on record is allowed."""
    base = recorded("allocations", 100, scatter=0.05)
    assert judge(counted("allocations", 105, 105, 105), base).verdict is UNCHANGED
    assert judge(counted("allocations", 106, 106, 106), base).verdict is REGRESSED


@pytest.mark.parametrize(("value", "verdict"), [(100, UNCHANGED), (101, NOT_COMPARABLE), (99, NOT_COMPARABLE)])
@pytest.mark.parametrize("n", [1, 3])
def test_another_interpreter_counts_otherwise(value, verdict, n):
    """Numbers made with other tools are not compared, unless they are equal."""
    row = counted("allocations", *[value] * n, made_with="cpython 3.11.8")
    judgement = judge(row, recorded("allocations", 100, made_with="cpython 3.11.7"))
    assert judgement.verdict is verdict
    assert not suspected(row, judgement)


@pytest.mark.parametrize("metric", EXACT)
def test_growth_from_nothing_is_infinite(metric):
    """A ratio against zero is infinite, and 1 where both are zero."""
    comparison = compare_exact(counted(metric, 500, 700), recorded(metric, 0))
    assert (comparison.ratio, comparison.low, comparison.high) == (math.inf,) * 3
    nothing = compare_exact(counted(metric, 0), recorded(metric, 0))
    assert (nothing.ratio, nothing.low, nothing.high) == (1.0, 1.0, 1.0)


COUNTS = st.one_of(st.integers(0, 10**9), st.floats(0, 1e6))


@given(st.sampled_from(EXACT), COUNTS, st.lists(COUNTS, min_size=1, max_size=5), st.sampled_from([0.0, 0.02]))
@example("retained", 100.0, [108.5, 108.5, 108.5], 0.0)
def test_what_is_shown_of_a_count_never_contradicts_the_decision(metric, base, values, scatter):
    """A count regressed where every process shows more than the threshold, and only there."""
    judgement = judge(counted(metric, *values), recorded(metric, base, scatter))
    comparison = judgement.comparison
    assert comparison.low == comparison.ratio <= comparison.high
    assert (comparison.head, comparison.n, comparison.tier) == (min(values), len(values), "counts")
    if base:
        assert (comparison.low, comparison.high) == (min(values) / base, max(values) / base)
    if judgement.verdict is REGRESSED:
        assert comparison.low >= 1 + comparison.threshold * (1 - 1e-9)
        assert comparison.ratio > 1
        assert len(values) >= DECIDING_PROCESSES
    elif judgement.verdict is IMPROVED:
        assert comparison.high < 1
        assert len(values) >= DECIDING_PROCESSES
    elif judgement.verdict is UNCHANGED:
        assert comparison.high <= (1 + comparison.threshold) * (1 + 1e-9)


@given(st.sampled_from(EXACT), st.integers(0, 10**9))
def test_the_detectable_count_is_the_least_that_fails(metric, base):
    """The smallest change that a row of counts names fails it, and one less does not."""
    reference = recorded(metric, base)
    least = compare_exact(counted(metric, base), reference)
    if base:
        value = round(base * (1 + least.detectable))
        assert judge(counted(metric, value, value, value), reference).verdict is REGRESSED
        assert judge(counted(metric, value - 1, value - 1, value - 1), reference).verdict is UNCHANGED
    else:
        assert least.detectable == math.inf


@given(st.data(), st.sampled_from(EXACT), COUNTS, st.lists(COUNTS, min_size=1, max_size=5))
def test_the_order_of_processes_changes_no_count(data, metric, base, values):
    """Counts may be pooled in any order."""
    other = data.draw(st.permutations(values))
    verdicts = {judge(counted(metric, *v), recorded(metric, base)).verdict for v in (values, other)}
    assert len(verdicts) == 1


@given(
    st.sampled_from(EXACT), st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=3), st.integers(0, 10**6)
)
def test_more_is_never_a_better_word(metric, base, values, more):
    """Adding to every process's count moves no verdict away from regressed, nor to improved."""
    before = judge(counted(metric, *values), recorded(metric, base)).verdict
    after = judge(counted(metric, *(value + more for value in values)), recorded(metric, base)).verdict
    if before is REGRESSED:
        assert after is REGRESSED
    if after is IMPROVED:
        assert before is IMPROVED


# --- what stands above a comparison ----------------------------------------------------------------------------------


def test_without_a_baseline_row_the_row_is_new():
    """A row without a baseline passes as new, however often it was measured."""
    for row in (timed(1.0), timed(1.0, 1.0, 1.0), counted("peak", 5)):
        judgement = judge(row, None)
        assert (judgement.verdict, judgement.comparison) == (NEW, None)
        assert judgement.value == head_value(row)


@pytest.mark.parametrize("factor", [0.1, 1.0, 10.0])
def test_a_benchmark_whose_source_changed_is_not_compared(factor):
    """Another benchmark's number says nothing, whatever it is."""
    row = timed(factor, factor, factor, source="new")
    judgement = judge(row, accepted())
    assert (judgement.verdict, judgement.comparison) == (NOT_COMPARABLE, None)
    assert not suspected(row, judgement)


@given(rows(), st.one_of(st.none(), bases()), st.integers(0, 5), st.floats(0.01, 20))
def test_a_problem_is_neither_a_pass_nor_a_failure(row, base, index, limit):
    """A row with a problem in any process is inconclusive, says the problem, and is not measured again."""
    samples = list(row.samples)
    samples[index % len(samples)] = replace(samples[index % len(samples)], problem="the clock stood still")
    row = replace(row, samples=tuple(samples), budget=Budget(limit * UNIT, "limit"))
    judgement = judge(row, base)
    assert (judgement.verdict, judgement.reason) == (INCONCLUSIVE, "the clock stood still")
    assert not judgement.fails
    assert not suspected(row, judgement)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("where", ["value", "reference"])
def test_a_time_that_cannot_be_is_a_problem(bad, where):
    """A time of zero, a negative, endless or undefined one is inconclusive instead of a crash or a verdict."""
    row = timed(1.0, 1.0, 1.0)
    row = replace(row, samples=(*row.samples[:2], replace(row.samples[2], **{where: bad})))
    for base in (accepted(), None):
        judgement = judge(row, base)
        assert judgement.verdict is INCONCLUSIVE
        assert "cannot be measured" in judgement.reason
        assert not suspected(row, judgement)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_a_count_that_cannot_be_is_a_problem(bad):
    """A negative, endless or undefined count is inconclusive; zero is a count."""
    assert judge(counted("peak", 5, bad, 5), recorded("peak", 5)).verdict is INCONCLUSIVE
    assert judge(counted("peak", 0, 0, 0), recorded("peak", 0)).verdict is UNCHANGED


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("where", ["value", "reference"])
def test_a_baseline_that_cannot_be_is_not_compared(bad, where):
    """A baseline row with an impossible time is not comparable instead of a crash."""
    judgement = judge(timed(1.0, 1.0, 1.0), replace(accepted(), **{where: bad}))
    assert (judgement.verdict, judgement.comparison) == (NOT_COMPARABLE, None)


LOWER = math.exp(-Z95 * 0.025 * MINIMUM_DEVIATION[4])


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [(1.5, UNCHANGED), (1.0, UNCHANGED), (LOWER + JUST, UNCHANGED), (LOWER - JUST, OVER_BUDGET), (0.5, OVER_BUDGET)],
)
def test_a_time_is_over_its_budget_by_its_lower_bound(limit, verdict):
    """The budget is exceeded where the whole interval is above it."""
    row = timed(*[1.0] * 5, budget=Budget(limit * UNIT, "that much"))
    assert judge(row, accepted()).verdict is verdict


@pytest.mark.parametrize(("limit", "verdict"), [(101, UNCHANGED), (100, UNCHANGED), (99, OVER_BUDGET)])
def test_a_count_is_over_its_budget_exactly(limit, verdict):
    """A count may reach its budget and not exceed it."""
    row = counted("allocations", 100, 100, 100, budget=Budget(limit, str(limit)))
    assert judge(row, recorded("allocations", 100)).verdict is verdict


def test_a_count_is_over_its_budget_in_every_process_or_not_at_all():
    """One process within the budget clears the row of it."""
    row = counted("allocations", 120, 120, 100, budget=Budget(100, "100"))
    assert judge(row, None).verdict is NEW


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        (None, "1.00 ms, limit 0.5 ms"),
        (accepted(), "1.00 ms, limit 0.5 ms; against its baseline: unchanged, +0.0 %, within +5.0 %"),
        (accepted(0.5), "1.00 ms, limit 0.5 ms; against its baseline: regressed, 2x, beyond +10.0 % in 5 processes"),
        (
            accepted(source="old"),
            "1.00 ms, limit 0.5 ms; against its baseline: not comparable, the benchmark itself changed since its baseline was accepted",
        ),
    ],
)
def test_a_budget_holds_with_and_without_a_baseline(base, reason):
    """Over budget outranks what the baseline says, and the reason tells both."""
    row = timed(*[1.0] * 5, budget=Budget(0.5 * UNIT, "0.5 ms"))
    judgement = judge(row, base)
    assert (judgement.verdict, judgement.reason) == (OVER_BUDGET, reason)
    assert judgement.fails


@pytest.mark.parametrize("base", [None, accepted(), accepted(source="old"), accepted(0.2)])
@pytest.mark.parametrize("n", [1, 3, 4])
def test_a_budget_of_time_is_not_exceeded_by_fewer_than_five_processes(base, n):
    """A time over its budget is measured again until five processes say so."""
    row = timed(*[1.0] * n, budget=Budget(0.5 * UNIT, "0.5 ms"))
    judgement = judge(row, base)
    assert judgement.verdict is INCONCLUSIVE
    assert judgement.reason == "1.00 ms, limit 0.5 ms; 5 processes are needed to fail"
    assert suspected(row, judgement)


@pytest.mark.parametrize(("n", "verdict"), [(1, INCONCLUSIVE), (2, INCONCLUSIVE), (3, OVER_BUDGET)])
def test_a_budget_of_bytes_is_exceeded_by_three_processes(n, verdict):
    """A count needs three processes to be over its budget."""
    row = counted("peak", *[100] * n, budget=Budget(50, "50 B"))
    judgement = judge(row, None)
    assert judgement.verdict is verdict
    assert suspected(row, judgement) is (verdict is INCONCLUSIVE)


@given(rows(least=DECIDING_PROCESSES), st.one_of(st.none(), bases()), st.floats(0.01, 20.0), st.floats(0.01, 20.0))
def test_a_higher_budget_never_fails_more(row, base, one, other):
    """Whoever allows more seconds gets no new failure."""
    low, high = sorted((one, other))
    strict, lax = (judge(replace(row, budget=Budget(x * UNIT, "x")), base).verdict for x in (low, high))
    if lax is OVER_BUDGET:
        assert strict is OVER_BUDGET


@given(rows(), st.one_of(st.none(), bases()))
def test_a_judgement_names_its_row(row, base):
    """Key, line, budget and value are the row's."""
    row = replace(row, budget=Budget(1.0, "1 s"), line=12)
    judgement = judge(row, base)
    assert (judgement.key, judgement.line, judgement.budget) == (row.key, 12, row.budget)
    assert judgement.value == min(s.value for s in row.samples)
    assert judgement.reason
    assert judgement.fails == (judgement.verdict in {REGRESSED, OVER_BUDGET})


@given(rows(least=FAILING_PROCESSES, most=9), st.one_of(st.none(), bases()), st.floats(0.01, 20.0))
def test_a_row_that_was_measured_often_enough_is_never_suspected(row, base, limit):
    """The third stage is the last."""
    row = replace(row, budget=Budget(limit * UNIT, "limit"))
    assert not suspected(row, judge(row, base))


def test_the_stages():
    """As many processes decide as recorded the baseline; two more are asked before a time fails."""
    assert BASELINE_PROCESSES == DECIDING_PROCESSES == 3
    assert FAILING_PROCESSES == 5


@given(value=st.floats(0.9, 1.3), more=st.lists(st.floats(0.9, 2.0), min_size=4, max_size=4))
def test_what_cannot_fail_does_not_fail_with_more_processes(value, more):
    """A doubt that is not worth fresh processes is one that these would not turn red, whatever they measure."""
    base = accepted()
    first = timed(value)
    if cannot_fail(first, base, judge(first, base)):
        for n in (2, 4):
            assert judge(timed(value, *more[:n]), base).verdict in (UNCHANGED, INCONCLUSIVE, IMPROVED)


@pytest.mark.parametrize(
    ("values", "speed", "verdict"),
    [(1.2, 1.0, OVER_BUDGET), (1.2, 1.15, OVER_BUDGET), (1.2, 1.3, UNCHANGED), (2.0, 1.3, OVER_BUDGET)],
)
def test_a_slow_hour_fails_no_budget(values, speed, verdict):
    """Over its limit is what would be so on a machine as fast as the baseline's; without a baseline nobody knows that."""
    row = timed(*[values] * 5, references=[speed] * 5, budget=Budget(1.0 * UNIT, "1 ms"))
    base = accepted(0.9)
    judgement = judge(row, base)
    assert (judgement.verdict is OVER_BUDGET) == (verdict is OVER_BUDGET)
    if verdict is UNCHANGED:
        assert judgement.reason.endswith("limit 1 ms, but everything took 1.30 times as long as for the baseline")
    assert not suspected(row, judgement, base)
    assert judge(row, None).verdict is OVER_BUDGET
    assert judge(row, accepted(0.9, reference=math.nan)).verdict is OVER_BUDGET
