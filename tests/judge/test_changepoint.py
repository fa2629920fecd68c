"""Changes of level in a history: cases that are known by heart, properties, and a plain definition of the search."""

import contextlib
import importlib.util
import io
import json
import math
import random
import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pe_perf.judge._segments import OFF, partition, settle
from pytest_pe_perf.judge.bounds import binomial_cdf
from pytest_pe_perf.judge.changepoint import PENALTY, change_points, creeps, level_changes, told

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "method" / "changepoint.py"
PAGE = ROOT / "docs" / "method" / "changepoints.md"

few = settings(max_examples=25, deadline=None)


def noise(n, seed=0, sd=0.01, level=1.0):
    rng = random.Random(seed)
    return [level * math.exp(rng.gauss(0.0, sd)) for _ in range(n)]


def stepped(n, *steps, seed=0, sd=0.01):
    """Noise around 1 that takes each ratio from its index on."""
    values = noise(n, seed, sd)
    for index, ratio in steps:
        values[index:] = [value * ratio for value in values[index:]]
    return values


# What is found, and what is not


def test_a_step_is_found_where_it_is():
    (change,) = level_changes(stepped(100, (60, 1.10)))
    assert change.index == 60
    assert (change.before, change.after) == pytest.approx((1.0, 1.1), rel=0.005)
    assert change.low < 1.10 < change.high
    assert change.ratio == pytest.approx(change.after / change.before)
    assert change.high / change.low < 1.02
    assert change.p < 1e-6
    assert change.settled


def test_two_steps_up_and_one_back_are_three():
    assert change_points(stepped(150, (40, 1.08), (70, 1.08), (110, 1 / 1.08))) == (40, 70, 110)


def test_a_level_and_the_way_back_are_two():
    assert change_points(stepped(100, (50, 1.2), (60, 1 / 1.2))) == (50, 60)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_up_to_three_outliers_are_no_level(length):
    values = noise(80)
    values[40 : 40 + length] = [50.0] * length
    assert change_points(values) == ()


@pytest.mark.parametrize("length", [1, 2])
def test_up_to_two_outliers_at_an_end_are_no_level(length):
    values = noise(80)
    assert change_points([*values, *[50.0] * length]) == ()
    assert change_points([*[50.0] * length, *values]) == ()


def test_three_values_at_the_end_are_a_level_that_has_not_settled():
    (change,) = level_changes([*noise(80), *noise(3, 1, level=1.5)])
    assert (change.index, change.settled) == (80, False)
    (change,) = level_changes([*noise(80), *noise(8, 1, level=1.5)])
    assert (change.index, change.settled) == (80, True)


def test_spikes_all_over_do_not_hide_a_step():
    values = stepped(120, (70, 1.10))
    for index in range(5, 120, 12):
        values[index] *= 3.0
    assert change_points(values) == (70,)


def test_an_outlier_between_two_levels_is_on_the_side_of_the_nearer_one():
    values = stepped(80, (40, 2.0))
    for outlier, index in ((2.2, 39), (0.9, 40)):
        assert change_points([*values[:39], outlier, *values[40:]]) == (index,)


@pytest.mark.parametrize(("n", "rate", "sd"), [(60, 0.005, 0.01), (100, 0.005, 0.002), (100, 0.002, 0.01)])
def test_a_creep_is_one_and_no_change(n, rate, sd):
    """No run is far from the one before, and the history went up all the same."""
    values = [value * math.exp(rate * i) for i, value in enumerate(noise(n, sd=sd))]
    (creep,) = creeps(values)
    assert (creep.start, creep.end) == (0, n)
    assert creep.ratio == pytest.approx(math.exp(rate * n * 2 / 3), rel=0.03)
    assert creep.ratio == pytest.approx(creep.after / creep.before)
    (downwards,) = creeps([-value for value in values])
    assert (downwards.before, downwards.after, downwards.ratio) == pytest.approx((-creep.before, -creep.after, None))


def test_a_long_creep_is_a_staircase():
    found = level_changes([value * math.exp(0.002 * i) for i, value in enumerate(noise(500, sd=0.02))])
    assert 1 <= len(found) <= 8
    assert all(change.after > change.before for change in found)
    assert found[-1].after / found[0].before > 1.8


@pytest.mark.parametrize(("n", "rate", "sd"), [(45, 0.005, 0.02), (60, 0.005, 0.01), (500, 0.002, 0.02)])
def test_a_creep_is_told_once_and_not_as_a_staircase(n, rate, sd):
    """The search cuts it into steps; a straight line says the same with less."""
    for seed in range(5):
        values = [value * math.exp(rate * i) for i, value in enumerate(noise(n, seed, sd=sd))]
        for told_of in (told(values), told(values[::-1])):
            changes, (creep,) = told_of
            assert changes == ()
            assert (creep.start, creep.end) == (0, n)


@pytest.mark.parametrize(
    "steps", [((15, 1.1),), ((15, 1.1), (30, 1.1)), ((15, 1.1), (30, 0.9)), ((10, 1.2), (40, 1.1))]
)
def test_steps_are_told_as_steps(steps):
    values = stepped(45, *steps)
    assert told(values) == (level_changes(values), ())
    assert [change.index for change in told(values)[0]] == [index for index, _ in steps]


def test_a_creep_before_a_step_back_is_a_creep_and_a_step():
    """The step goes the other way, so that it belongs to no staircase."""
    values = [value * math.exp(0.005 * min(i, 60)) * (0.7 if i >= 60 else 1.0) for i, value in enumerate(noise(100))]
    (change,), (creep,) = told(values)
    assert (change.index, creep.start, creep.end) == (60, 0, 60)


def test_steps_spikes_and_machines_are_no_creeps():
    values = stepped(160, (40, 1.10), (80, 3.0), (120, 1.10))
    assert creeps(values, segments=["old"] * 80 + ["new"] * 80) == ()
    values[20] *= 10
    assert creeps(values) == ()
    assert creeps([5.0] * 60) == ()
    assert creeps([1.0, 2.0, 3.0]) == ()


def test_a_creep_on_another_machine_is_seen_on_that_one():
    slow = [3 * value * math.exp(0.005 * i) for i, value in enumerate(noise(60))]
    (creep,) = creeps([*noise(50, 1), *slow], segments=["old"] * 50 + ["new"] * 60)
    assert (creep.start, creep.end) == (50, 110)


@pytest.mark.parametrize("value", [0.0, 3.5, -2.0, 1e-300, 1e300])
def test_what_never_changes_has_no_change(value):
    assert change_points([value] * 50) == ()


@pytest.mark.parametrize("length", range(6))
def test_a_short_history_has_none(length):
    assert change_points([1.0, 1.1, 5.0, 5.2, 5.1][:length]) == ()


def test_counts_change_at_once():
    """Most neighbours are equal; the level is all the same not that of a single count that differs."""
    assert change_points([100] * 20 + [105] * 20) == (20,)
    assert change_points([100] * 20 + [105] + [100] * 20) == ()
    assert change_points([0] * 20 + [3] * 20) == (20,)
    (change,) = level_changes([40] * 20 + [43] * 20)
    assert (change.low, change.high) == pytest.approx((43 / 40, 43 / 40))
    rng = random.Random(4)
    assert change_points([rng.choice((5, 5, 5, 6)) for _ in range(200)]) == ()


def test_rounding_is_no_change():
    assert change_points([0.1 + 0.2] * 20 + [0.3] * 20) == ()


def test_negative_values_have_differences_and_no_ratio():
    rng = random.Random(2)
    (change,) = level_changes([rng.gauss(-1.0 if i < 30 else 2.0, 0.3) for i in range(60)])
    assert (change.index, change.ratio, change.low, change.high) == (30, None, None, None)
    assert (change.before, change.after) == pytest.approx((-1.0, 2.0), abs=0.3)


def test_a_level_ten_times_as_high_is_as_steady_in_its_own_terms():
    assert change_points(stepped(200, (40, 10.0), sd=0.05)) == (40,)


# Another machine


def test_another_machine_is_no_change():
    values = stepped(100, (50, 1.3))
    assert change_points(values) == (50,)
    assert change_points(values, segments=["old"] * 50 + ["new"] * 50) == ()


def test_changes_before_and_after_another_machine_are_found_and_measured_on_one():
    values = stepped(160, (40, 1.10), (80, 3.0), (120, 1.10))
    found = level_changes(values, segments=["old"] * 80 + ["new"] * 80)
    assert [change.index for change in found] == [40, 120]
    for change in found:
        assert change.low < 1.10 < change.high
    assert found[1].before == pytest.approx(3.3, rel=0.01)


def test_labels_that_do_not_change_say_nothing():
    values = stepped(100, (60, 1.10))
    assert level_changes(values, segments=["same"] * 100) == level_changes(values)


# What was found stays


@few
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_what_is_known_stays_whatever_comes(seed, more):
    """A change that is given back is found again, with everything before the last of them; only the rest is searched."""
    rng = random.Random(seed)
    values = stepped(80, (20, 1.1), (50, 0.8), seed=seed)
    known = tuple(change.index for change in level_changes(values) if change.settled)
    after = [*values, *(math.exp(rng.gauss(0, 0.3)) for _ in range(more))]
    found = change_points(after, known=known)
    assert found[: len(known)] == known


def test_a_known_change_is_described_like_any_other():
    values = stepped(100, (60, 1.10))
    assert level_changes(values, known=(60,)) == level_changes(values)
    (change,) = level_changes(noise(60), known=(30,))
    assert change.index == 30
    assert change.low < 1.0 < change.high
    assert change.p == 1.0


def test_a_later_change_is_found_beside_a_known_one():
    assert change_points(stepped(150, (60, 1.10), (110, 1.05)), known=(60,)) == (60, 110)


def test_a_known_change_may_stand_where_the_machine_changes():
    values = stepped(100, (50, 1.3))
    assert change_points(values, segments=["old"] * 50 + ["new"] * 50, known=(50,)) == ()


# Properties

SEEDS = st.integers(0, 10_000)


@few
@given(SEEDS, st.integers(-20, 20))
def test_the_unit_does_not_matter(seed, power):
    values = stepped(90, (30, 1.06), (60, 0.95), seed=seed)
    scaled = [value * 2.0**power for value in values]
    assert change_points(scaled) == change_points(values)
    signed = [value - 1.0 for value in values]
    assert change_points([value * 2.0**power for value in signed]) == change_points(signed)


@few
@given(SEEDS)
def test_differences_do_not_mind_where_zero_is(seed):
    """As long as not all values are positive, which makes them ratios."""
    rng = random.Random(seed)
    values = [rng.gauss(0.0 if i < 40 else 4.0, 1.0) - 50.0 for i in range(80)]
    assert change_points([value - 64.0 for value in values]) == change_points(values)


@few
@given(SEEDS)
def test_backwards_the_same_changes_are_found(seed):
    values = stepped(90, (30, 1.06), (60, 0.95), seed=seed)
    assert change_points(values[::-1]) == tuple(90 - index for index in change_points(values)[::-1])


@few
@given(SEEDS)
def test_up_and_down_are_alike(seed):
    values = stepped(90, (30, 1.06), (60, 0.95), seed=seed)
    assert change_points([1 / value for value in values]) == change_points(values)


@few
@given(SEEDS)
def test_a_bigger_step_is_found_where_a_smaller_one_is(seed):
    found = [40 in change_points(stepped(80, (40, 1 + size / 100), seed=seed)) for size in (1, 3, 6, 12, 50)]
    assert found == sorted(found)
    assert found[-1]


def test_the_same_values_get_the_same_answer():
    values = stepped(100, (60, 1.03), sd=0.02)
    assert level_changes(values) == level_changes(tuple(values))


# The search, against what it is said to be


def plain_cost(values):
    """A stretch's cost: the least over the mean of every run of the ordered values."""
    ordered = sorted(values)
    means = [
        sum(ordered[start:end]) / (end - start)
        for start in range(len(ordered))
        for end in range(start + 1, len(ordered) + 1)
    ]
    return min(sum(min((value - mean) ** 2, OFF) for value in values) for mean in means)


def plain_partition_cost(values, penalty):
    """The least cost of any partition, by trying every last stretch."""
    best = [-penalty]
    for end in range(1, len(values) + 1):
        best.append(min(best[start] + penalty + plain_cost(values[start:end]) for start in range(end)))
    return best[-1]


RUNS = st.lists(st.tuples(st.floats(-10, 10), st.integers(1, 5), st.integers(0, 10_000)), min_size=1, max_size=4)


def drawn(runs):
    values = []
    for level, length, seed in runs:
        rng = random.Random(seed)
        values += [level + rng.gauss(0, 1) * rng.choice((1, 1, 1, 6)) for _ in range(length)]
    return values[:14]


@few
@given(RUNS)
def test_a_stretch_costs_what_it_is_said_to(runs):
    values = drawn(runs)
    cost, level = settle(values)
    assert cost == pytest.approx(plain_cost(values), abs=1e-9)
    assert cost == pytest.approx(sum(min((value - level) ** 2, OFF) for value in values), abs=1e-9)


@few
@given(RUNS, st.sampled_from([2.0, 6.0, 20.0]))
def test_no_partition_is_cheaper(runs, penalty):
    values = drawn(runs)
    cuts = partition(values, penalty)
    borders = [0, *cuts, len(values)]
    parts = [values[start:end] for start, end in pairwise(borders)]
    cost = sum(settle(part)[0] for part in parts) + penalty * len(cuts)
    assert cost == pytest.approx(plain_partition_cost(values, penalty), abs=1e-9)


def test_two_values_at_the_end_do_not_pay_for_a_level_and_three_do():
    assert 2 * OFF < PENALTY < 3 * OFF


def test_an_empty_series_has_one_stretch_of_nothing():
    assert partition([], 20.0) == []


# Bad input


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_refused_by_its_index(bad):
    with pytest.raises(ValueError, match="value 7 of the history"):
        change_points([*noise(7), bad, *noise(7)])


@pytest.mark.parametrize("known", [(0,), (10,), (-1,), (5, 5), (6, 3)])
def test_known_changes_that_cannot_be_are_refused(known):
    with pytest.raises(ValueError, match="must ascend between 0 and 10"):
        change_points(noise(10), known=known)


def test_every_value_needs_a_label():
    with pytest.raises(ValueError, match="9 labels do not go with 10 values"):
        change_points(noise(10), segments="a" * 9)


def test_the_largest_and_the_smallest_numbers_are_no_trouble():
    assert change_points([1e308, 9e307] * 10 + [1e-308, 2e-308] * 10) == (20,)
    assert change_points([-1e308, 1e308] * 20) == ()


# Error rates


@pytest.fixture(scope="module")
def simulation():
    spec = importlib.util.spec_from_file_location("changepoint_rates", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


TRIALS = 150


def rejected(hits, promised):
    """Whether so many of TRIALS would be a chance of less than 1 in 1,000, were the promise kept."""
    return hits > 0 and 1.0 - binomial_cdf(hits - 1, TRIALS, promised) < 1e-3


@pytest.mark.parametrize("name", ["normal", "heavy tails", "wandering", "two speeds"])
def test_a_history_without_a_change_has_one_in_a_hundred_at_most(simulation, name):
    rng = random.Random(name)
    histories = [simulation.NOISES[name](rng, 60) for _ in range(TRIALS)]
    assert not rejected(sum(bool(change_points(history)) for history in histories), 0.01)


@pytest.mark.parametrize("name", ["normal", "heavy tails", "wandering", "two speeds"])
def test_a_history_without_a_creep_has_one_in_a_hundred_at_most(simulation, name):
    rng = random.Random(name)
    assert not rejected(sum(bool(creeps(simulation.NOISES[name](rng, 60))) for _ in range(TRIALS)), 0.01)


def test_p_is_no_smaller_than_the_share_of_histories_that_reach_it(simulation):
    """Judged by the gain that a search with a low penalty finds; see the page for larger numbers."""
    gains = [simulation.largest_gain(random.Random(seed), "normal", 60) for seed in range(60)]
    for gain in (10.0, 12.0, 14.0):
        share = sum(each >= gain for each in gains) / len(gains)
        assert share <= simulation.promised(gain) + 0.05


def test_intervals_hold_the_true_ratio(simulation):
    rng = random.Random(1)
    held = [simulation.held(rng, "normal", 100, 0.05) for _ in range(60)]
    found = [each for each in held if each is not None]
    assert len(found) >= 57
    assert sum(found) >= 0.85 * len(found)


def test_the_page_has_every_line_of_the_script(simulation, capsys):
    simulation.main(["--histories", "1"])
    printed = capsys.readouterr().out
    page = PAGE.read_text("utf-8")
    heads = re.compile(r"^\| [a-z* ]+ \| (?:\d+|any) \|(?= \d+\.\d)|^\| noise .*|^### .*", re.MULTILINE)
    found = heads.findall(printed)
    assert len(found) == len(simulation.NOISES) * len(simulation.LENGTHS) + 5
    assert set(found) <= set(heads.findall(page))


def test_the_pages_python_prints_what_stands_below():
    ((code, below),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "page", "exec"), {})
    assert said.getvalue() == below


def labelled(folder, name, annotators, values):
    (folder / "datasets" / name).mkdir(parents=True)
    (folder / "annotations.json").write_text(json.dumps({name: annotators}), "utf-8")
    data = {"name": name, "n_dim": 1, "series": [{"raw": values}]}
    (folder / "datasets" / name / f"{name}.json").write_text(json.dumps(data), "utf-8")


def test_labelled_series_are_scored_as_their_benchmark_does(simulation, capsys, tmp_path):
    """One annotator of two sees the step; recall is 1 and 1, precision 1, and a level covers itself or half of the whole."""
    labelled(tmp_path, "step", {"6": [30], "7": []}, stepped(60, (30, 1.5)))
    simulation.main(["--tcpd", str(tmp_path)])
    assert "| this one | 1.000 | 0.750 |" in capsys.readouterr().out
    assert simulation.f1([[30], []], []) == pytest.approx(2 * 0.75 / 1.75)
    assert simulation.covering([[30], []], [], 60) == 0.75


def test_quieted_histories_have_lost_their_steps(simulation):
    values = stepped(450, (200, 1.5))
    assert change_points(values) == (200,)
    assert change_points(simulation.quieted(values, random.Random(0))) == ()
