"""The gate on trial: what is caught and missed, what may be missed, and what a suite compared with itself is told."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.judge.paired import MEDIAN_ERROR, detectable, estimate
from pytest_pe_perf.judge.trial import (
    ALLOCATION,
    LEAK,
    NOTHING,
    PLANTS,
    SLOWER,
    Change,
    Judged,
    Measured,
    Ran,
    Tally,
    advise,
    alarms,
    decisions,
    pair_spread,
    spread_of,
    tallies,
    works,
)
from pytest_pe_perf.model import Block, Key, PairedRow, Restart, Turn, Verdict

REGRESSED, UNCHANGED, INCONCLUSIVE = Verdict.REGRESSED, Verdict.UNCHANGED, Verdict.INCONCLUSIVE
SAME = Change(1.0, 0.98, 1.02, 4, 0.05, 0.035, "paired")


def judged(test, verdict, metric="latency", change=SAME):
    return Judged(Key(test, "", metric), verdict, "so", change)


def tally(found, plant):
    (one,) = [one for one in tallies(found) if one.plant == plant]
    return one


def trial(*, missed=(), alarms=(), without=()):
    """A run in which every plant was caught and nothing else, but for what is named."""
    plants = {plant.title: plant for plant in (*PLANTS, NOTHING)}
    rows = [
        judged(plant.title, UNCHANGED if plant in missed else REGRESSED, plant.metric)
        for plant in PLANTS
        if plant not in without
    ]
    rows += [
        judged(NOTHING.title, REGRESSED if metric in alarms else UNCHANGED, metric) for metric in ("latency", "peak")
    ]
    return decisions(plants, rows)


def test_a_gate_that_works():
    """All is caught and nothing else; the bounds are those of one of one and none of two."""
    found = tallies(trial())
    assert works(found)
    assert [(one.plant, one.hits, one.trials) for one in found] == [
        *((plant, 1, 1) for plant in PLANTS),
        (NOTHING, 0, 2),
    ]
    assert found[0].low == pytest.approx(0.025)
    assert found[-1].high == pytest.approx(1 - 0.025**0.5)


@pytest.mark.parametrize("plant", PLANTS)
def test_what_may_be_missed(plant):
    """A gate may miss +5 %, its threshold, now and then; whatever else it misses, it does not work."""
    found = trial(missed=[plant])
    assert tally(found, plant).hits == 0
    assert works(tallies(found)) == (plant == SLOWER[0])


@pytest.mark.parametrize("metric", ["latency", "peak"])
def test_false_alarms(metric):
    """Every row of a benchmark in which nothing was planted may raise one, and one is too many."""
    found = trial(alarms=[metric])
    assert tally(found, NOTHING).hits == 1
    assert not works(tallies(found))


@pytest.mark.parametrize("plant", PLANTS)
def test_what_was_not_measured(plant):
    """A row that is not there is neither caught nor missed, and shows that the gate does not work."""
    found = trial(without=[plant])
    assert (tally(found, plant).trials, tally(found, plant).unknown) == (0, 1)
    assert not works(tallies(found))
    assert not works(())


@pytest.mark.parametrize(
    ("plant", "verdict", "call"),
    [
        (LEAK, REGRESSED, "caught"),
        (LEAK, INCONCLUSIVE, "missed"),
        (LEAK, Verdict.IMPROVED, "missed"),
        (NOTHING, Verdict.IMPROVED, "false alarm"),
        (NOTHING, REGRESSED, "false alarm"),
        (NOTHING, INCONCLUSIVE, "quiet"),
        (NOTHING, UNCHANGED, "quiet"),
    ],
)
def test_calls(plant, verdict, call):
    """A change in the wrong direction is not caught, and is a false alarm where there is none."""
    (found,) = decisions({"a": plant}, [judged("a", verdict, plant.metric or "latency")])
    assert found.call == call


def test_only_the_planted_metric_counts():
    """What else gets worse with a leak is neither caught nor a false alarm."""
    rows = [judged("a", REGRESSED, "allocations"), judged("a", UNCHANGED, "retained"), judged("b", REGRESSED)]
    (found,) = decisions({"a": LEAK}, rows)
    assert (found.metric, found.call) == ("retained", "missed")


def test_a_test_that_failed():
    """A row without a comparison was not measured, whatever the reason."""
    (found,) = decisions({"a": ALLOCATION}, [judged("a", INCONCLUSIVE, "allocations", None)])
    assert (found.call, found.reason) == ("not measured", "so")


def paired_row(seed, restarts=4, scatter=0.02):
    rng = random.Random(seed)

    def restart():
        away = rng.gauss(0, scatter)
        heads = [math.exp(away + rng.gauss(0, scatter / 5)) for _ in range(10)]
        return Restart(tuple(Block((Turn(1.0, 0.9),) * 2, (Turn(head, 0.9 * head),) * 2) for head in heads))

    return PairedRow(Key("t", "", "latency"), "s", 0.05, 0.01, tuple(restart() for _ in range(restarts)))


@given(st.integers(0, 1000), st.sampled_from([2, 4, 6]))
def test_the_spread_is_read_out_of_the_interval(seed, restarts):
    """The interval of a first pass gives back the spread that made it."""
    row = paired_row(seed, restarts)
    pair = estimate(row.screen)
    change = Change(pair.ratio, pair.low, pair.high, pair.restarts, 0.05, 0.03, "paired")
    assert spread_of(change) == pytest.approx(pair.spread)


def test_no_interval_has_no_spread():
    """Where the base is zero nothing can be said."""
    assert spread_of(replace(SAME, low=None)) == math.inf


def test_pair_spread():
    """Pairs are counted over the benchmarks on which the gate decided; the rest is only named."""
    rows = [
        judged("a", UNCHANGED),
        judged("b", REGRESSED, change=replace(SAME, n=10, detectable=0.05)),
        judged("c", UNCHANGED, change=replace(SAME, detectable=0.04)),
        judged("d", INCONCLUSIVE, change=None),
        judged("e", REGRESSED, "tail"),
    ]
    found = pair_spread(rows, 2.0)
    assert (found.pairs, found.detectable, found.seconds) == (18, 0.04, 2.0)
    assert (found.false_alarms, found.benchmarks, found.undecided) == (1, 4, 1)
    assert found.spread == pytest.approx(spread_of(SAME))


@pytest.mark.parametrize("rows", [[], [judged("a", INCONCLUSIVE)]])
def test_pairs_without_a_decision(rows):
    """Where the gate decided on nothing, no change can be proven."""
    found = pair_spread(rows, 2.0)
    assert (found.pairs, found.detectable, found.undecided) == (0, math.inf, len(rows))


def advice(change, margin=0.01, seconds=2.0, verdict=UNCHANGED):
    row = judged("a", verdict, change=change)
    (found,) = advise(Ran((row, judged("a", UNCHANGED, "tail")), (Measured(row.key, margin),)), seconds)
    return found


@pytest.mark.parametrize(
    ("detectable", "seconds", "time"),
    [
        (0.05, 2.0, 2.0),
        (0.03, 2.0, 1.0),
        (0.02, 2.0, 0.5),
        (0.04, 2.0, 1.5),
        (0.06, 2.0, 3.5),
        (0.09, 2.0, 8.0),
        (0.20, 2.0, None),
        (0.09, 10.0, None),
        # Who measures for so long already is not told to stop.
        (0.05, 60.0, 60.0),
    ],
)
def test_advised_time(detectable, seconds, time):
    """What is detectable lies beyond the margin as the root of the time; nobody is told to wait for ever."""
    found = advice(replace(SAME, detectable=detectable), seconds=seconds)
    assert (found.time, found.margin) == (time, 0.01)
    assert found.threshold == (0.05 if time else pytest.approx(detectable))


@pytest.mark.parametrize(
    ("low", "high", "margin"),
    [(0.98, 1.02, 0.01), (1.002, 1.02, 0.01), (1.01, 1.03, 0.035), (0.97, 0.99, 0.035), (1.015, 1.02, 0.05)],
)
def test_advised_margin(low, high, margin):
    """The margin is three times the bias that the interval shows for certain, in steps of half a percent."""
    found = advice(replace(SAME, low=low, high=high))
    assert found.margin == pytest.approx(margin)
    assert (found.time is None) == (margin >= 0.05)
    assert found.threshold == pytest.approx(0.06 if margin >= 0.05 else 0.05)


def test_no_advice_on_what_is_unknown():
    """Without a number there is neither time nor promise."""
    for change in (replace(SAME, detectable=None), replace(SAME, low=None), replace(SAME, threshold=None)):
        found = advice(change)
        assert found.time is None
    assert advice(replace(SAME, detectable=None)).threshold == math.inf


@given(st.floats(0.002, 0.08), st.sampled_from([0.05, 0.1]))
def test_the_advised_time_suffices(spread, threshold):
    """Where the spread falls with the root of the time, the gate's own formula detects what was promised."""
    row = estimate(paired_row(0).screen)

    def detects(spread):
        error = MEDIAN_ERROR * spread / math.sqrt(row.restarts)
        return detectable(replace(row, spread=spread, error=error), None, 0.01)

    time = advice(replace(SAME, detectable=detects(spread), threshold=threshold)).time
    if time is None:
        assert detects(spread * math.sqrt(2.0 / 30.0)) > threshold
    else:
        assert detects(spread * math.sqrt(2.0 / time)) <= threshold * (1 + 1e-9)


def test_alarms():
    """Every row counts that was called changed, of whatever metric."""
    rows = (
        judged("a", UNCHANGED),
        judged("a", REGRESSED, "peak"),
        judged("b", Verdict.IMPROVED),
        judged("c", INCONCLUSIVE),
    )
    assert alarms(Ran(rows)) == rows[1:3]


def test_a_tally_without_trials():
    """Where nothing was tried nothing is good."""
    assert not Tally(NOTHING, 0, 0, 0.0, 1.0).good
