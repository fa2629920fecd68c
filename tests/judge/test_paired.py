"""Pairs: every number against its plain definition, properties that no input may break, every verdict at its edges."""

import importlib.util
import itertools
import math
import random
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_pe_perf.judge.paired import (
    CONFIRM_FEWEST,
    CONFIRM_MOST,
    FLOOR,
    MEDIAN_ERROR,
    PAIRED_MARGINS,
    SPREAD,
    SPREAD_DEGREES,
    apart,
    clean,
    confirm_restarts,
    detectable,
    estimate,
    holm,
    leaning,
    leans,
    leans_as_a_whole,
    prior_spread,
    problem,
    t_quantile,
    t_sf,
)
from pytest_pe_perf.judge.pairs_verdict import judge_pairs, suspects
from pytest_pe_perf.model import Block, Budget, Key, PairedRow, Restart, Turn, Verdict

REGRESSED, IMPROVED, UNCHANGED = Verdict.REGRESSED, Verdict.IMPROVED, Verdict.UNCHANGED
INCONCLUSIVE, OVER_BUDGET = Verdict.INCONCLUSIVE, Verdict.OVER_BUDGET
MS = 1e-3


def key(name="", metric="latency"):
    return Key("tests/perf/test_a.py::test_a", name, metric)


def block(base, head, away=0.0, least=None):
    """An ABBA block without noise; ``least`` is head's floor where it isn't 9/10 of its quartile."""
    least = 0.9 * head if least is None else least
    return Block(
        (Turn(base * MS, 0.9 * base * MS), Turn(base * MS, 0.9 * base * MS)),
        (Turn(head * MS, least * MS), Turn(head * MS, least * MS, away)),
    )


def steady(*ratios, blocks=3, least=None):
    """A pass: a restart for each ratio, all its blocks alike."""
    return tuple(Restart((block(1.0, ratio, least=least),) * blocks) for ratio in ratios)


def row(screen, confirm=(), name="", metric="latency", threshold=0.05, margin=0.01, budget=None, why=""):
    return PairedRow(key(name, metric), "s", threshold, margin, screen, confirm, budget, 7, why)


def verdict(*rows, biased=""):
    judgements = judge_pairs(rows, biased=biased)
    assert [judgement.key for judgement in judgements] == [row.key for row in rows]
    return judgements[0].verdict


def mirrored(restarts):
    return tuple(
        replace(restart, blocks=tuple(Block(block.head, block.base) for block in restart.blocks))
        for restart in restarts
    )


def scaled(turns, factor):
    return tuple(replace(turn, low=turn.low * factor, least=turn.least * factor) for turn in turns)


TIMES = st.floats(0.5, 2.0)


@st.composite
def turns(draw):
    least = draw(TIMES)
    return Turn(least * draw(st.floats(1.0, 1.5)), least, draw(st.sampled_from([0.0, 0.02, 0.05, 0.5])))


@st.composite
def passes(draw, least=1, most=5):
    sides = st.lists(turns(), min_size=1, max_size=2).map(tuple)
    blocks = st.lists(st.builds(Block, sides, sides), min_size=1, max_size=4).map(tuple)
    drawn = draw(st.lists(st.builds(Restart, blocks), min_size=least, max_size=most).map(tuple))
    return drawn if any(clean(drawn)[0]) else steady(1.0)


@st.composite
def rows(draw, name=""):
    return row(draw(passes()), draw(st.one_of(st.just(()), passes())), name=name)


# --- Student's t ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("df", [0.5, 1, 2, 3.7, 4, 7, 11, 19.25, 30, 100, 1234.5])
def test_tail_equals_scipy(df):
    """The upper tail has nine digits, relatively, also where it is tiny."""
    for t in (0.0, 1e-12, 1e-5, 0.1, 0.5, 1.0, 1.7, 2.5, 4.0, 10.0, 37.0, 1e3):
        assert t_sf(t, df) == pytest.approx(stats.t.sf(t, df), rel=1e-9, abs=1e-200)
        assert t_sf(-t, df) == pytest.approx(stats.t.sf(-t, df), rel=1e-9)
    assert t_sf(math.inf, df) == 0.0
    assert t_sf(-math.inf, df) == 1.0


@pytest.mark.parametrize("df", [0.5, 1, 2, 3.7, 4, 7, 11, 19.25, 100])
@pytest.mark.parametrize("p", [1e-6, 0.01, 0.025, 0.3, 0.5, 0.6, 0.9, 0.975, 0.9998])
def test_quantile_equals_scipy(p, df):
    """The quantile has nine digits, in both tails."""
    assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, math.nan])
def test_no_quantile_of_an_impossible_chance(p):
    """A quantile at 0 or 1 would be infinite."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        t_quantile(p, 3)


# --- clean ---------------------------------------------------------------------------------------------------------


def test_a_disturbed_turn_drops_its_block_on_both_sides():
    """A turn off its core for more than 10 points above the median turn takes its whole block with it."""
    quiet, edge, loud = block(1, 1), block(1, 1, away=0.10), block(1, 1, away=0.11)
    kept, dropped = clean((Restart((quiet, loud, quiet)), Restart((edge, quiet))))
    assert kept == ((quiet, quiet), (edge, quiet))
    assert dropped == 1


def test_a_restart_disturbed_throughout_keeps_its_blocks():
    """A gate that drops everything on a busy machine could not bark; the restarts' scatter says what it is worth."""
    quiet, loud = block(1, 1), block(1, 1, away=0.5)
    assert clean((Restart((quiet, quiet)), Restart((loud, loud)))) == (((quiet, quiet), (loud, loud)), 0)


def test_what_all_turns_share_is_no_disturbance():
    """On a machine where every turn loses a third of its time, nothing is dropped."""
    busy = Block((Turn(1, 1, 0.33),), (Turn(1, 1, 0.35),))
    assert clean((Restart((busy, busy)),)) == (((busy, busy),), 0)


def test_a_block_with_one_side_is_dropped():
    """A side without a turn cannot be compared."""
    half = Block((Turn(1, 1),), ())
    assert clean((Restart((half,)),)) == (((),), 1)
    assert clean((Restart(()),)) == (((),), 0)
    assert clean(()) == ((), 0)


@given(passes(), st.floats(0.1, 10))
def test_cleaning_never_looks_at_times(restarts, factor):
    """Whatever head's times are, the same blocks are dropped."""
    slower = tuple(
        Restart(tuple(Block(block.base, scaled(block.head, factor)) for block in restart.blocks))
        for restart in restarts
    )
    assert [len(blocks) for blocks in clean(slower)[0]] == [len(blocks) for blocks in clean(restarts)[0]]


# --- estimate ------------------------------------------------------------------------------------------------------


def plain(restarts, prior, degrees, bias):
    """The estimate by its definition, with numpy and scipy."""
    kept = [blocks for blocks in clean(restarts)[0] if blocks]

    def logs(blocks):
        return [np.mean(np.log([t.low for t in b.head])) - np.mean(np.log([t.low for t in b.base])) for b in blocks]

    medians = np.array([np.median(logs(blocks)) for blocks in kept])
    everything = [b for blocks in kept for b in blocks]
    base = [t.least for b in everything for t in b.base]
    head = [t.least for b in everything for t in b.head]
    df = degrees + len(medians) - 1
    s = np.sqrt((degrees * prior**2 + np.sum((medians - medians.mean()) ** 2)) / df)
    error = MEDIAN_ERROR * s / np.sqrt(len(medians))
    location = np.median(logs(everything))
    low, high = stats.t.interval(0.95, df, location, error)
    return {
        "ratio": np.exp(location),
        "floor": np.quantile(head, FLOOR) / np.quantile(base, FLOOR),
        "low": np.exp(low),
        "high": np.exp(high),
        "p_slower": stats.t.sf((location - bias) / error, df),
        "p_faster": stats.t.cdf((location + bias) / error, df),
        "spread": s,
        "df": df,
        "error": error,
        "blocks": len(everything),
        "restarts": len(kept),
        "base": min(base),
        "head": min(head),
    }


@given(passes(), st.floats(0.005, 0.03), st.sampled_from([4.0, 7.0]), st.sampled_from([0.0, 0.003]))
def test_estimate_equals_its_definition(restarts, prior, degrees, bias):
    """Every number of an estimate is what its definition says."""
    got = estimate(restarts, prior, degrees, bias)
    for name, expected in plain(restarts, prior, degrees, bias).items():
        assert getattr(got, name) == pytest.approx(expected, rel=1e-7, abs=1e-12), name


@given(passes())
def test_base_and_head_may_change_places(restarts):
    """Swapped sides give the inverse ratio, the same error and the other chance."""
    there, back = estimate(restarts), estimate(mirrored(restarts))
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert back.floor == pytest.approx(1 / there.floor)
    assert (back.low, back.high) == pytest.approx((1 / there.high, 1 / there.low))
    assert (back.error, back.df) == pytest.approx((there.error, there.df))
    assert (back.p_slower, back.p_faster) == pytest.approx((there.p_faster, there.p_slower))
    assert (back.base, back.head) == (there.head, there.base)


@given(passes(), st.sampled_from([2.0**-20, 0.25, 8.0, 2.0**10]))
def test_the_unit_of_time_does_not_matter(restarts, factor):
    """Both sides twice as slow is no change."""
    slow = tuple(
        Restart(tuple(Block(scaled(block.base, factor), scaled(block.head, factor)) for block in restart.blocks))
        for restart in restarts
    )
    was, now = estimate(restarts), estimate(slow)
    assert now.ratio == pytest.approx(was.ratio)
    assert (now.floor, now.error) == pytest.approx((was.floor, was.error))
    assert now.p_slower == pytest.approx(was.p_slower, rel=1e-6)
    assert (now.base, now.head) == pytest.approx((was.base * factor, was.head * factor))


@given(passes(2), st.randoms())
def test_the_order_of_restarts_does_not_matter(restarts, rng):
    """Restarts are exchangeable, and so are the blocks of one."""
    shuffled = [Restart(tuple(rng.sample(restart.blocks, len(restart.blocks)))) for restart in restarts]
    rng.shuffle(shuffled)
    assert estimate(shuffled) == estimate(restarts)


@given(passes(), st.data())
def test_a_slow_period_of_both_sides_changes_nothing(restarts, data):
    """A machine that is slow for a whole block moves neither the ratio nor its error."""
    slow = tuple(
        Restart(
            tuple(
                Block(scaled(block.base, factor), scaled(block.head, factor))
                for block in restart.blocks
                for factor in [data.draw(st.floats(1.0, 3.0))]
            )
        )
        for restart in restarts
    )
    was, now = estimate(restarts), estimate(slow)
    assert (now.ratio, now.error) == pytest.approx((was.ratio, was.error))
    assert now.p_slower == pytest.approx(was.p_slower, rel=1e-6)


def test_one_restart_knows_the_assumed_scatter_only():
    """With one pair of processes nothing was seen of the scatter between pairs."""
    single = estimate(steady(1.1))
    assert (single.spread, single.df, single.restarts) == (pytest.approx(SPREAD), SPREAD_DEGREES, 1)
    assert single.error == pytest.approx(MEDIAN_ERROR * SPREAD)
    assert (single.ratio, single.floor) == pytest.approx((1.1, 1.1))


def test_a_restart_that_went_astray_does_not_carry_the_ratio_along():
    """One pair of eight that is twice as slow leaves the location where it is."""
    assert estimate(steady(*[1.0] * 7, 2.0)).ratio == 1.0


@pytest.mark.parametrize("restarts", [(), (Restart(()),), (Restart((Block((), ()),)),)])
def test_no_estimate_of_nothing(restarts):
    """No block, no estimate."""
    with pytest.raises(ValueError, match="at least one block"):
        estimate(restarts)
    assert problem(restarts, 1) == f"0 of {len(restarts)} pairs of processes gave numbers; 1 are needed"


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_what_no_clock_says_is_no_time(bad):
    """Zero, negative, infinite: the row says so and is not judged."""
    assert "cannot be measured values" in problem((*steady(1, 1), Restart((block(1, bad, least=1),))), 2)
    assert "cannot be measured values" in problem((*steady(1, 1), Restart((block(1, 1, least=bad),))), 2)


def scattered(deviation, n):
    """n rows whose restarts scatter by exactly this."""
    return [row(steady(*(math.exp(deviation * z) for z in (-1, 0, 1))), name=str(i)) for i in range(n)]


def test_the_suite_says_how_much_restarts_scatter():
    """From five rows on, their median counts, within a factor of the assumed scatter."""
    right = 1 / (1 - 2 / 18) ** 1.5
    assert prior_spread(scattered(0.02, 4)) == SPREAD
    assert prior_spread(scattered(0.02, 5)) == pytest.approx(0.02 * right)
    assert prior_spread([*scattered(0.02, 6), *scattered(0.5, 5)]) == pytest.approx(0.02 * right)
    assert prior_spread(scattered(0.5, 9)) == 0.03
    assert prior_spread(scattered(0.0, 9)) == pytest.approx(0.005)
    few = [row(steady(1, 1.1), name=str(i)) for i in range(9)]
    broken = [replace(r, problem="benchmark changed") for r in scattered(0.02, 9)]
    assert prior_spread([*few, *broken]) == SPREAD
    assert prior_spread(scattered(0.02, 9), "tail") == PAIRED_MARGINS["tail"].spread


def test_the_median_scatter_is_right_on_average():
    """Restarts of normal scatter: the suite's value is that scatter, within 3 %."""
    rng = random.Random(3)
    suite = [row(steady(*(math.exp(rng.gauss(0, 0.02)) for _ in range(4)), blocks=1)) for _ in range(4000)]
    assert prior_spread(suite) == pytest.approx(0.02, rel=0.03)


# --- what an estimate means ----------------------------------------------------------------------------------------

SURE = estimate(steady(1.0, 1.0, 1.0, 1.0))
JUST = 1e-9


@pytest.mark.parametrize(
    ("ratio", "floor", "direction"),
    [
        (1.01 + JUST, 1.01 + JUST, "slower"),
        (1.01 - JUST, 1.5, ""),
        (1.5, 1.01 - JUST, ""),
        (1.5, 0.5, ""),
        (1.0, 1.0, ""),
        (1 / 1.01 - JUST, 0.5, "faster"),
        (0.5, 1 / 1.01 + JUST, ""),
    ],
)
def test_both_witnesses_must_point_the_same_way(ratio, floor, direction):
    """Either witness alone is not enough, and neither is the margin itself."""
    assert leans(replace(SURE, ratio=ratio, floor=floor), 0.01) == direction


def test_a_small_difference_counts_for_nothing_where_one_is_asked_for():
    """A first call of 0.2 ms that takes twice as long is not worth a word."""
    twice = replace(SURE, ratio=2.0, floor=2.0, base=0.2e-3, head=0.4e-3)
    assert leans(twice, 0.25, 0.5e-3) == ""
    assert leans(replace(twice, base=1e-3, head=2e-3), 0.25, 0.5e-3) == "slower"
    half = replace(SURE, ratio=0.5, floor=0.5, base=0.4e-3, head=0.2e-3)
    assert leans(half, 0.25, 0.5e-3) == ""
    assert leans(replace(half, base=2e-3, head=1e-3), 0.25, 0.5e-3) == "faster"


@pytest.mark.parametrize(
    ("ratio", "floor", "error", "expected"),
    [(1.08, 1.02, 0.01, True), (1.08, 1.02, 0.03, False), (1.55, 1.45, 0.01, False), (1.05, 1.03, 0.001, False)],
)
def test_witnesses_of_different_sizes(ratio, floor, error, expected):
    """They are apart beyond 3 %, twice the error and half of the larger; head and base may change places."""
    pair = replace(SURE, ratio=ratio, floor=floor, error=error)
    assert apart(pair) is expected
    assert apart(replace(pair, ratio=1 / ratio, floor=1 / floor)) is expected


@given(st.dictionaries(st.integers(0, 9), st.floats(0, 1), max_size=6), st.sampled_from([0.01, 0.05, 0.5]))
def test_holm_equals_the_closed_test(p_values, alpha):
    """A row is significant if every group of rows that it belongs to is, by Bonferroni."""
    named = {key(str(i)): p for i, p in p_values.items()}
    groups = [g for n in range(1, len(named) + 1) for g in itertools.combinations(named, n)]
    expected = {k for k in named if all(min(named[x] for x in g) <= alpha / len(g) for g in groups if k in g)}
    assert holm(named, alpha) == expected


@given(st.floats(1.0, 1.5), st.floats(0.0, 0.05), st.integers(2, 6))
def test_a_suspect_gets_as_many_restarts_as_its_size_needs(ratio, deviation, n):
    """Between 6 and 16, even, and never more for a larger change or a smaller scatter."""
    pair = replace(estimate(steady(*[ratio] * n), max(deviation, 1e-4)))
    count = confirm_restarts(pair, 0.01)
    assert CONFIRM_FEWEST <= count <= CONFIRM_MOST
    assert count % 2 == 0
    assert confirm_restarts(replace(pair, ratio=ratio * 1.1, floor=ratio * 1.1), 0.01) <= count
    assert confirm_restarts(replace(pair, spread=pair.spread / 2), 0.01) <= count
    assert confirm_restarts(replace(pair, ratio=1 / pair.ratio, floor=1 / pair.floor), 0.01) == count


def test_restarts_of_the_second_pass():
    """A large change of a quiet row needs the fewest, a small one of a wild row the most."""
    assert confirm_restarts(estimate(steady(*[1.10] * 4)), 0.01) == CONFIRM_FEWEST
    assert confirm_restarts(estimate(steady(*[1.03] * 4)), 0.01) == 8
    assert confirm_restarts(estimate(steady(*[1.011] * 4)), 0.01) == CONFIRM_MOST


@given(passes(), passes())
def test_detectable_is_more_than_the_margin(screen, confirm):
    """No row can find what it ignores; a second pass that was not made counts as the largest one."""
    one, two = estimate(screen), estimate(confirm)
    assert detectable(one, None, 0.01) > 0.01
    assert detectable(one, two, 0.01) > 0.01
    assert detectable(one, two, 0.02) >= detectable(one, two, 0.01)


# --- verdicts ------------------------------------------------------------------------------------------------------

FLAT, SLOWER, FASTER = steady(*[1.0] * 4), steady(*[1.1] * 4), steady(*[1 / 1.1] * 4)
WILD = steady(*(1.02 * x for x in (1.1, 1 / 1.1, 1.1, 1 / 1.1, 1.0, 1.0)), least=0.95)


@pytest.mark.parametrize(
    ("screen", "confirm", "expected", "reason"),
    [
        (FLAT, (), UNCHANGED, "+0.0 %, within +1.0 %"),
        (FLAT, SLOWER, UNCHANGED, "+0.0 %, within +1.0 %"),
        (SLOWER, (), INCONCLUSIVE, "suspected +10.0 %; not confirmed"),
        (FASTER, (), INCONCLUSIVE, "suspected -9.1 %; not confirmed"),
        (SLOWER, SLOWER, REGRESSED, "+10.0 % in two passes, the second of 4 pairs of processes"),
        (FASTER, FASTER, IMPROVED, "-9.1 % in two passes, the second of 4 pairs of processes"),
        (SLOWER, FLAT, UNCHANGED, "+0.0 %; +10.0 % in the first pass was not confirmed"),
        (SLOWER, FASTER, UNCHANGED, "-9.1 %; +10.0 % in the first pass was not confirmed"),
        (SLOWER, WILD, INCONCLUSIVE, "+2.0 % in two passes, but the pairs of processes scatter by 5.6 %"),
        (SLOWER, SLOWER[:2], INCONCLUSIVE, "2 of 2 pairs of processes gave numbers; 3 are needed"),
        (SLOWER[:1], SLOWER, INCONCLUSIVE, "1 of 1 pairs of processes gave numbers; 2 are needed"),
        ((), (), INCONCLUSIVE, "0 of 0 pairs of processes gave numbers; 2 are needed"),
        (steady(1.05, 1.05, least=0.9), (), INCONCLUSIVE, "+5.0 %, but +0.0 % in the fastest rounds"),
        (steady(1.02, 1.02, 1.02, least=0.9), (), UNCHANGED, "+2.0 %, but +0.0 % in the fastest rounds"),
    ],
)
def test_verdict(screen, confirm, expected, reason):
    """One row: what the two passes say, and in which words."""
    (judgement,) = judge_pairs([row(screen, confirm)])
    assert judgement.reason.removeprefix("weak: ").split("; the smallest")[0] == reason
    assert judgement.verdict is expected
    assert judgement.fails is (expected is REGRESSED)


def test_the_second_pass_is_reported_and_not_the_first():
    """The first pass was selected for being large: its numbers would promise too much."""
    screen, confirm = steady(*[1.2] * 4), steady(*[1.1] * 8)
    (judgement,) = judge_pairs([row(screen, confirm)])
    comparison = judgement.comparison
    assert comparison.ratio == pytest.approx(1.1)
    assert comparison.low < 1.1 < comparison.high
    assert (comparison.tier, comparison.n, comparison.threshold) == ("paired", 8, 0.05)
    assert (comparison.base, comparison.head) == pytest.approx((0.9 * MS, 0.99 * MS))
    assert judgement.value == comparison.head
    assert judgement.line == 7


def test_a_row_that_can_see_little_says_so():
    """Silence that proves nothing is called weak, with the change that it could have seen."""
    (judgement,) = judge_pairs([row(steady(0.92, 1.0, 1.0, 1.08))])
    assert judgement.verdict is UNCHANGED
    seen = judgement.comparison.detectable
    assert seen > 0.05
    assert (
        judgement.reason
        == f"weak: +0.0 %, within +1.0 %; the smallest change it could have seen is +{seen:.1%}".replace(
            "%", " %"
        ).replace("  ", " ")
    )
    (judgement,) = judge_pairs([row(FLAT)])
    assert judgement.comparison.detectable < 0.05
    assert not judgement.reason.startswith("weak")


def test_a_problem_is_the_whole_verdict():
    """What may not be judged is inconclusive, with the reason that came along."""
    (judgement,) = judge_pairs([row(SLOWER, SLOWER, why="the benchmark itself changed")])
    assert (judgement.verdict, judgement.reason) == (INCONCLUSIVE, "the benchmark itself changed")
    assert judgement.comparison is None
    assert not suspects([row(SLOWER, why="the benchmark itself changed")])


def test_all_dirty_or_without_a_time_is_inconclusive():
    """Nothing measured is never a pass."""
    half = Restart((Block((Turn(1, 1),), ()),))
    assert verdict(row((half,) * 4)) is INCONCLUSIVE
    assert verdict(row(steady(1, 1, 0))) is INCONCLUSIVE
    assert verdict(row(SLOWER, (half,) * 4)) is INCONCLUSIVE
    assert not suspects([row((half,) * 4), row(steady(1, 1, 0), name="b")])


def test_witnesses_that_tell_different_sizes_fail_nothing():
    """+10 % typically and +2 % at the floor: something is wrong with one of them, not surely with the code."""
    odd = steady(*[1.10] * 8, least=0.9 * 1.02)
    (judgement,) = judge_pairs([row(odd, odd)])
    assert judgement.verdict is INCONCLUSIVE
    assert judgement.reason == "+10.0 %, but +2.0 % in the fastest rounds, in two passes"


def test_the_build_has_one_error_rate():
    """What is significant alone may not be among many that were measured again."""
    edge = steady(*(1.0217 * math.exp(0.01 * z) for z in (-1, 0, 0, 1)))
    alone = row(edge, edge, threshold=0.2)
    others = [row(SLOWER, steady(1.0, 1.0, 1.0), name=str(i)) for i in range(40)]
    faster = [row(FASTER, steady(1.0, 1.0, 1.0), name=f"f{i}") for i in range(40)]
    assert verdict(alone) is REGRESSED
    assert verdict(alone, *others) is INCONCLUSIVE
    assert verdict(alone, *faster) is REGRESSED


def test_a_biased_run_calls_no_latency_slower_or_faster():
    """The run's own doubt replaces both words, for times per call only."""
    rows = [
        row(SLOWER, SLOWER, "a"),
        row(FASTER, FASTER, "b"),
        row(FLAT, name="c"),
        row(SLOWER, SLOWER, metric="collector"),
    ]
    judgements = judge_pairs(rows, biased="this run leans as a whole")
    assert [j.verdict for j in judgements] == [INCONCLUSIVE, INCONCLUSIVE, UNCHANGED, REGRESSED]
    assert judgements[0].reason == "this run leans as a whole"


def test_a_budget_needs_both_passes():
    """Over the limit even at the lower end, twice; otherwise the change is judged as if there were no budget."""
    tight, loose = Budget(0.5 * MS, "500 µs"), Budget(0.9 * MS, "900 µs")
    (judgement,) = judge_pairs([row(FLAT, budget=tight)])
    assert (judgement.verdict, judgement.reason) == (INCONCLUSIVE, "900 µs, limit 500 µs; not confirmed")
    assert list(suspects([row(FLAT, budget=tight)])) == [key()]
    (judgement,) = judge_pairs([row(FLAT, FLAT, budget=tight)])
    assert judgement.verdict is OVER_BUDGET
    assert judgement.reason == "900 µs, limit 500 µs; against base: unchanged, +0.0 %, within +1.0 %"
    assert judgement.fails
    assert verdict(row(FLAT, budget=loose)) is UNCHANGED
    assert not suspects([row(FLAT, budget=loose)])
    assert verdict(row(FLAT, steady(*[0.5] * 4), budget=tight)) is UNCHANGED
    assert verdict(row(SLOWER, SLOWER, budget=tight), biased="leans") is OVER_BUDGET
    assert verdict(row(SLOWER, budget=tight)) is INCONCLUSIVE


def test_suspects_are_what_leans_or_breaks_its_budget():
    """With the number of pairs that settle them; the others are left alone."""
    asked = suspects([row(SLOWER, name="a"), row(FLAT, name="b"), row(FASTER, name="c")])
    assert set(asked) == {key("a"), key("c")}
    assert all(CONFIRM_FEWEST <= count <= CONFIRM_MOST for count in asked.values())


@pytest.mark.parametrize("metric", PAIRED_MARGINS)
def test_other_metrics_have_limits_of_their_own(metric):
    """What is wilder than a latency has a margin that the row's options can widen and not narrow."""
    limits = PAIRED_MARGINS[metric]

    def changed(ratio, margin=0.01):
        restarts = tuple(Restart((Block((Turn(1.0, 0.9),), (Turn(ratio, 0.9 * ratio),)),)) for _ in range(8))
        return judge_pairs([row(restarts, restarts, metric=metric, threshold=margin, margin=margin)])[0]

    assert changed(1 + limits.margin - JUST).verdict is UNCHANGED
    assert changed(1.5 * (1 + limits.margin)).verdict is REGRESSED
    assert changed(1 / (1.5 * (1 + limits.margin))).verdict is IMPROVED
    assert changed(1.0).comparison.threshold == limits.threshold
    assert changed(2.9, margin=2.0).verdict is UNCHANGED
    assert changed(3.1, margin=2.0).verdict is REGRESSED


def test_a_small_absolute_difference_is_named():
    """A first call that takes 0.2 ms longer is unchanged, whatever the ratio."""
    (judgement,) = judge_pairs([row(steady(*[1.4] * 4), metric="first")])
    assert judgement.verdict is UNCHANGED
    assert judgement.reason.startswith("+40.0 %, by no more than 500 µs")


@given(rows())
def test_base_and_head_may_change_places_in_a_verdict(one):
    """Slower becomes faster, and everything else stays."""
    other = replace(one, screen=mirrored(one.screen), confirm=mirrored(one.confirm))
    swap = {REGRESSED: IMPROVED, IMPROVED: REGRESSED}
    there, back = verdict(one), verdict(other)
    assert back is swap.get(there, there)


@given(rows())
def test_nothing_fails_that_was_not_measured_twice(one):
    """A single pass never fails a test, and a failing one has an interval above no change."""
    assert not judge_pairs([replace(one, confirm=())])[0].fails
    (judgement,) = judge_pairs([one])
    if judgement.fails:
        assert judgement.comparison.low > 1
        assert judgement.key in suspects([one])


@given(st.lists(rows(), max_size=4), st.randoms())
def test_the_order_of_rows_does_not_matter(drawn, rng):
    """A suite is a set."""
    named = [replace(one, key=key(str(i))) for i, one in enumerate(drawn)]
    shuffled = rng.sample(named, len(named))
    assert {j.key: j for j in judge_pairs(named)} == {j.key: j for j in judge_pairs(shuffled)}


# --- the suite as a whole ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slower", range(15))
def test_leaning_is_the_sign_test(slower):
    """Two-sided and exact; rows without a direction do not vote."""
    voters = [row(SLOWER if i < slower else FASTER, name=str(i)) for i in range(14)]
    silent = [
        row(FLAT),
        row((), name="none"),
        row(SLOWER, why="benchmark changed", name="x"),
        row(SLOWER, metric="tail"),
    ]
    p = stats.binomtest(slower, 14).pvalue
    assert leaning(voters + silent) == pytest.approx(p)
    assert leans_as_a_whole(voters + silent) is bool(p < 1e-3)


def test_few_rows_do_not_make_a_lean():
    """Eleven rows all slower are eleven slower rows."""
    assert leaning([]) == 1.0
    assert not leans_as_a_whole([row(SLOWER, name=str(i)) for i in range(11)])
    assert leans_as_a_whole([row(SLOWER, name=str(i)) for i in range(12)])


# --- the simulation ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulation():
    script = Path(__file__).parents[2] / "docs" / "method" / "simulate_paired.py"
    spec = importlib.util.spec_from_file_location("simulate_paired", script)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_a_suite_without_a_change_stays_green(simulation):
    """Pairs that scatter by 2 %: of 150 unchanged rows at most one fails."""
    rng = random.Random(11)
    judged = [j for _ in range(3) for j in judge_pairs(simulation.build(rng, simulation.Noise(0.02), 50, 0, 0.0, 0))]
    assert len(judged) == 150
    assert sum(judgement.fails for judgement in judged) <= 1


def test_five_per_cent_are_found(simulation):
    """Pairs that scatter by 2 %: of 40 rows that are 5 % slower, most fail."""
    rng = random.Random(12)
    judged = [j for _ in range(8) for j in judge_pairs(simulation.build(rng, simulation.Noise(0.02), 20, 5, 0.05, 0))]
    assert sum(j.fails for j in judged if j.key.name.endswith("+")) >= 35
    assert sum(j.fails for j in judged if not j.key.name.endswith("+")) <= 1


def test_the_error_is_what_the_estimate_scatters_by(simulation):
    """Over many passes, the estimate is off by its stated error: the median's factor is on the safe side by at most a quarter."""
    rng = random.Random(13)
    drawn = [estimate([simulation.restart(rng, 0.02, 0.0) for _ in range(8)], 0.02) for _ in range(100)]
    off = math.sqrt(statistics.fmean(math.log(one.ratio) ** 2 for one in drawn))
    assert 0.75 < off / math.sqrt(statistics.fmean(one.error**2 for one in drawn)) < 1.1


def test_the_table_is_printed(simulation, capsys, monkeypatch):
    """The script runs and prints a line for each noise, with its interval."""
    monkeypatch.setattr(simulation, "ProcessPoolExecutor", Inline)
    monkeypatch.setattr(simulation, "CASES", (simulation.Noise(0.01), simulation.Noise(0.01, 0.003, 0.04)))
    simulation.main(["--builds", "1", "--power-builds", "1", "--confirm", "6"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| restart")]
    assert lines[0].startswith("| restart 1 %, bias 0.0 % | 0.00 (0.00-7.13) |")
    assert lines[1].startswith("| restart mixed 1 and 4 %, bias 0.3 % |")


class Inline:
    """A pool of no processes: the simulation is loaded from a file that a child could not import."""

    def __init__(self, _):
        self.map = map

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
