"""Switches, components that are owned, the choice of a way by measured costs, and effects with their interval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_opt import InputError, StateError
from engine_opt.optimization.cache import Cache
from engine_opt.optimization.object_pool import ObjectPool
from engine_opt.optimization.performance_optimizer import (
    ALL,
    Costs,
    Effect,
    Measured,
    Path,
    PerformanceOptimizer,
    ablate,
)

SWITCHES = {"share": True, "pool": False}


class Part:
    """A component that writes down when it was closed."""

    def __init__(self, name, closed, error=None):
        self.name, self.closed, self.error = name, closed, error

    def stats(self):
        return {"uses": 3.0}

    def close(self):
        self.closed.append(self.name)
        if self.error is not None:
            raise self.error


@pytest.fixture
def ways(clock):
    """Two ways that take exactly what they are said to: one by one 3 s a row, the batch 100 s and 1 s a row."""
    return lambda rows: clock.tick(3.0 * rows), lambda rows: clock.tick(100.0 + rows)


def test_switches_are_as_chosen_or_else_by_default():
    optimizer = PerformanceOptimizer(SWITCHES, {"pool": True})
    assert (optimizer.on("share"), optimizer.on("pool")) == (True, True)
    assert not PerformanceOptimizer(SWITCHES).on("pool")
    assert dict(optimizer.switches) == {"share": True, "pool": True}
    assert SWITCHES == {"share": True, "pool": False}
    with pytest.raises(TypeError):
        optimizer.switches["pool"] = False


def test_all_that_is_wrong_with_switches_is_in_one_error():
    with pytest.raises(InputError) as caught:
        PerformanceOptimizer(SWITCHES, {"shares": True, "pool": 1})
    for part in ("'shares' is not known", "'pool' is 1", "share, pool"):
        assert part in str(caught.value)


@pytest.mark.parametrize("switches", [{"": True}, {1: True}, {"share": None}, {"share": 0}])
def test_what_is_no_switch_is_refused(switches):
    with pytest.raises(InputError, match="switches"):
        PerformanceOptimizer(switches)


@pytest.mark.parametrize("name", ["shares", "", None, []])
def test_asking_for_a_switch_that_is_not_there_is_an_error(name):
    with pytest.raises(InputError, match="none of share, pool"):
        PerformanceOptimizer(SWITCHES).on(name)


def test_components_are_closed_last_first_whatever_one_of_them_raises():
    closed = []
    optimizer = PerformanceOptimizer(SWITCHES)
    for name, error in (("one", None), ("two", OSError("mine")), ("three", None)):
        part = Part(name, closed, error)
        assert optimizer.own(name, part) is part
    with pytest.raises(ExceptionGroup) as caught:
        optimizer.close()
    assert closed == ["three", "two", "one"]
    assert [str(each) for each in caught.value.exceptions] == ["mine"]
    optimizer.close()
    assert len(closed) == 3


def test_real_components_are_closed_and_counted_afterwards_as_well():
    with PerformanceOptimizer(SWITCHES) as optimizer:
        cache = optimizer.own("cache", Cache(max_items=4))
        pool = optimizer.own("pool", ObjectPool(bytearray, size=2))
        cache.get("key", object)
        pool.lease().release()
    stats = optimizer.stats()
    assert (stats["cache.misses"], stats["pool.created"], stats["components"]) == (1.0, 1.0, 2.0)
    assert (stats["on"], stats["off"]) == (1.0, 1.0)
    for use in (lambda: cache.get("key", object), pool.lease):
        with pytest.raises(StateError, match="is closed"):
            use()


@pytest.mark.parametrize(("name", "component"), [("", None), ("part", None), (None, None), ("part", object())])
def test_what_cannot_be_owned_stays_the_callers(name, component):
    closed = []
    optimizer = PerformanceOptimizer(SWITCHES)
    optimizer.own("part", Part("part", closed))
    with pytest.raises(InputError):
        optimizer.own(name, component or Part("mine", closed))
    optimizer.close()
    assert closed == ["part"]
    with pytest.raises(StateError, match="performance optimizer 'optimizer' is closed"):
        optimizer.own("late", Part("late", closed))
    assert closed == ["part"]


def test_warming_up_calls_the_work_and_says_what_it_took(clock):
    seconds = iter([9.0, 2.0, 3.0])
    optimizer = PerformanceOptimizer({}, clock=clock)
    assert optimizer.warm_up(lambda: clock.tick(next(seconds)), 3) == (9.0, 2.0)
    assert optimizer.stats()["warm_up_calls"] == 3.0
    with pytest.raises(KeyError, match="mine"):
        optimizer.warm_up(lambda: {}["mine"], 1)


@pytest.mark.parametrize("calls", [0, -1, 1.0, True, None])
def test_a_number_of_calls_is_at_least_one(calls):
    with pytest.raises(InputError, match="calls"):
        PerformanceOptimizer({}).warm_up(list, calls)


def test_calibrating_finds_what_the_ways_cost(clock, ways):
    optimizer = PerformanceOptimizer({}, clock=clock)
    costs = optimizer.calibrate(*ways, small=10, large=1_000)
    assert (costs.scalar_row, costs.batch_fixed, costs.batch_row) == pytest.approx((3.0, 100.0, 1.0))
    assert costs.break_even == pytest.approx(50.0)
    chosen = [optimizer.choose(rows) for rows in (0, 49, 51, 10_000)]
    assert chosen == [Path.SCALAR, Path.SCALAR, Path.BATCH, Path.BATCH]
    stats = optimizer.stats()
    assert (stats["chose_scalar"], stats["chose_batch"], stats["calibrations"]) == (2.0, 2.0, 1.0)


def test_a_call_that_was_disturbed_does_not_count(clock, ways):
    """One round in which all is slow, and one in which the clock goes back."""
    jumps = iter([0.0] * 3 + [500.0] * 3 + [-1e6] * 3 + [0.0] * 6)

    def disturbed(way):
        return lambda rows: (way(rows), clock.tick(next(jumps)))

    costs = PerformanceOptimizer({}, clock=clock).calibrate(*map(disturbed, ways), small=10, large=1_000, rounds=4)
    assert costs == Costs(3.0, 100.0, 1.0)


def test_a_clock_that_always_goes_back_is_an_error(clock):
    optimizer = PerformanceOptimizer({}, name="the seventh", clock=clock)
    with pytest.raises(StateError, match="'the seventh' is open: its clock went backwards"):
        optimizer.calibrate(lambda _: clock.tick(-1.0), lambda _: clock.tick(-1.0))
    with pytest.raises(StateError, match="calibrate it first"):
        optimizer.choose(1)


@pytest.mark.parametrize(
    "given", [{"small": 0}, {"small": 9, "large": 9}, {"large": 1.5}, {"rounds": 0}, {"rounds": True}]
)
def test_sizes_that_cannot_be_measured_are_refused(given):
    with pytest.raises(InputError):
        PerformanceOptimizer({}).calibrate(list, list, **given)


@pytest.mark.parametrize("rows", [-1, 1.0, True, None])
def test_a_number_of_rows_is_a_whole_one(clock, ways, rows):
    optimizer = PerformanceOptimizer({}, clock=clock)
    optimizer.calibrate(*ways)
    with pytest.raises(InputError, match="rows"):
        optimizer.choose(rows)


seconds = st.floats(0.0, 1e3)


@given(scalar_row=seconds, batch_fixed=seconds, batch_row=seconds, rows=st.integers(0, 10**6))
def test_the_quicker_way_is_chosen_and_break_even_lies_between(scalar_row, batch_fixed, batch_row, rows):
    costs = Costs(scalar_row, batch_fixed, batch_row)
    by_scalar, by_batch = rows * scalar_row, batch_fixed + rows * batch_row
    assert costs.quicker(rows) is (Path.BATCH if by_batch < by_scalar else Path.SCALAR)
    if rows > 1.001 * costs.break_even and rows > 0 and by_scalar > 1e-300:
        assert by_batch <= by_scalar * (1 + 1e-9)
    if rows < 0.999 * costs.break_even:
        assert by_batch >= by_scalar * (1 - 1e-9)


def test_an_ablation_asks_for_each_with_the_others_as_by_default():
    asked = []

    def measure(name, on, off):
        asked.append((name, dict(on), dict(off)))
        return Measured(0.5, 0.4, 0.6, 10, 20)

    effects = ablate(SWITCHES, measure)
    assert asked == [
        ("share", {"share": True, "pool": False}, {"share": False, "pool": False}),
        ("pool", {"share": True, "pool": True}, {"share": True, "pool": False}),
        (ALL, {"share": True, "pool": True}, {"share": False, "pool": False}),
    ]
    assert [each.name for each in effects] == ["share", "pool", ALL]
    assert effects[0].measured.bytes_off == 20


@pytest.mark.parametrize(
    ("low", "high", "pays"),
    [(0.4, 0.6, True), (0.4, 0.999, True), (0.4, 1.0, None), (0.4, 3.0, None), (1.0, 3.0, None), (1.001, 3.0, False)],
)
def test_it_pays_where_the_interval_leaves_no_doubt(low, high, pays):
    assert Effect("share", Measured((low + high) / 2, low, high)).pays is pays


@pytest.mark.parametrize("wrong", [(0.5, 0.6, 0.7), (0.5, 0.1, 0.4), (-1.0, -2.0, 1.0), (float("nan"), 0.1, 1.0)])
def test_an_interval_that_is_none_is_refused(wrong):
    with pytest.raises(InputError, match="share"):
        ablate({"share": True}, lambda *_: Measured(*wrong))


def test_no_optimisation_may_be_called_all():
    with pytest.raises(InputError, match="all of them together"):
        ablate({ALL: True}, lambda *_: Measured(1.0, 1.0, 1.0))
