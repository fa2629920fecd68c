"""Leaks: what is one and what is not, where it is, and the statistics behind the answer."""

import gc
import random
import threading
import tracemalloc
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine_opt import InputError, StateError
from engine_opt.optimization.leak_detector import find_leak, growth, line, t_quantile
from engine_opt.optimization.memory_manager import frozen_collector

ITERATIONS = 120
BLOCKS = 20


def look(work, **changes):
    """Look for leaks where full collections see what the work makes, not all that the test session has imported."""
    with frozen_collector():
        return find_leak(work, **{"blocks": BLOCKS, "iterations": ITERATIONS, "warm_up": ITERATIONS} | changes)


def here(report, marked):
    """Return whether the first site is the line of this file that has this mark."""
    name, _, number = report.sites[0].frames[0].rpartition(":")
    return name == __file__ and Path(__file__).read_text("utf-8").splitlines()[int(number) - 1].endswith(f"# {marked}")


# What is a leak


@pytest.mark.parametrize(("size", "make"), [(16, object), (64, partial(bytes, 31)), (1024, partial(bytes, 991))])
def test_what_stays_of_each_iteration_is_found_to_the_byte(size, make):
    """16, 64 and 1,024 bytes, one object each, put into a list that is long enough."""
    kept = [None] * 2 * BLOCKS * ITERATIONS
    places = iter(range(len(kept)))

    def work():
        kept[next(places)] = make()  # planted

    report = look(work)
    assert report.leaking
    assert report.size.per_iteration == pytest.approx(size, abs=0.01)
    assert report.size.low == pytest.approx(size, abs=0.1)
    assert report.objects.per_iteration == pytest.approx(1.0, abs=0.01)
    assert here(report, "planted")
    assert report.sites[0].bytes_per_iteration == pytest.approx(size, rel=0.01)
    assert report.sites[0].objects_per_iteration == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("make", [object, lambda: None])
def test_a_list_that_grows_is_found(make):
    """Even where it grows by references alone: its memory comes in steps, ever further apart."""
    kept = []

    def work():
        kept.append(make())  # appended

    report = look(work)
    assert report.leaking
    assert any(frame.startswith(__file__) for site in report.sites for frame in site.frames)


def test_growth_in_another_thread_is_found_and_named():
    """What a thread keeps for itself."""
    local = threading.local()

    def keep():
        local.__dict__.setdefault("kept", []).append(bytes(31))  # thread-local

    with ThreadPoolExecutor(1) as pool:
        report = look(lambda: pool.submit(keep).result())
    assert report.leaking
    assert here(report, "thread-local")
    assert report.tail.per_iteration == pytest.approx(72, rel=0.2)  # and eight bytes of the list


def test_a_leak_beside_a_cache_is_named_and_the_cache_is_not():
    """Sites are looked for when the cache has filled up."""
    kept, places, cache = [None] * 2 * BLOCKS * ITERATIONS, count(), {}

    def work():
        place = next(places)
        kept[place] = bytes(31)  # leak
        cache[place % 300] = bytes(1000 + place % 2)  # cache

    report = look(work)
    assert report.leaking
    assert here(report, "leak")
    assert len(report.sites) == 1


def test_callers_are_named_where_frames_are_asked_for():
    """The innermost comes first; ours are not among them."""
    kept = []

    def keep():
        kept.append(bytearray(100))  # keeps

    def work():
        keep()  # calls

    report = look(work, frames=2)
    inner, outer = report.sites[0].frames
    assert here(report, "keeps")
    assert Path(__file__).read_text("utf-8").splitlines()[int(outer.rpartition(":")[2]) - 1].endswith("# calls")
    assert len(look(work, frames=8).sites[0].frames) == 2
    assert inner in str(report)


def test_c_code_called_directly_leaks_without_a_site():
    """It has no line of its own."""
    report = look(partial([].append, None))
    assert report.leaking
    assert report.sites == ()


def test_a_leak_below_the_threshold_is_allowed():
    """16 bytes an iteration are; 15 are not."""
    kept = [None] * 4 * BLOCKS * ITERATIONS
    places = iter(range(len(kept)))

    def work():
        kept[next(places)] = object()

    assert look(work, threshold=15.0).leaking
    assert not look(work, threshold=17.0).leaking


# What is none


def test_nothing_is_no_leak():
    """Not one byte of the detector's own is counted."""
    report = look(lambda: None)
    assert not report.leaking
    assert set(report.retained[1:]) == {report.retained[1]}
    assert report.sites == ()
    assert str(report).startswith("no leak: ")


def test_cyclic_garbage_is_no_leak():
    """The collector would have come."""

    class Node:
        pass

    def work():
        node, other = Node(), Node()
        node.other, other.other = other, node
        node.ballast = bytearray(1000)

    report = look(work)
    assert not report.leaking
    assert abs(report.size.per_iteration) < 1.0
    assert abs(report.objects.per_iteration) < 1.0


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.6, 0.7, 0.8])
def test_a_cache_that_fills_up_on_the_way_is_no_leak(share):
    """Whenever it is full: the line through all blocks rises, and yet it has stopped."""
    cache, keys = OrderedDict(), count()
    bound = ITERATIONS + int(share * BLOCKS * ITERATIONS)

    def work():
        cache[next(keys)] = bytes(200)
        if len(cache) > bound:
            cache.popitem(last=False)

    report = look(work)
    assert len(cache) == bound
    assert report.size.per_iteration > 1.0
    assert not report.leaking


def test_something_large_made_once_is_no_leak():
    """An import in the middle, say."""
    numbers, kept = count(), []

    def work():
        if next(numbers) == 15 * ITERATIONS:
            kept.append(bytearray(100_000))

    assert not look(work).leaking


def test_the_memory_of_a_thread_that_ends_is_no_leak():
    """What is local to it goes with it."""
    local = threading.local()

    def keep():
        local.kept = bytearray(1000)

    def work():
        thread = threading.Thread(target=keep)
        thread.start()
        thread.join()

    assert not look(work, blocks=12, iterations=30, warm_up=30).leaking


# How it leaves the process


@pytest.mark.parametrize("work", [lambda: None, lambda: 1 / 0])
def test_tracing_is_off_afterwards_where_it_was_off(work):
    """After an error as well."""
    with suppress(ZeroDivisionError):
        look(work)
    assert not tracemalloc.is_tracing()


@pytest.mark.parametrize("work", [lambda: None, lambda: 1 / 0])
def test_tracing_goes_on_where_it_was_on(work):
    """With its frames, and with what was traced before."""
    tracemalloc.start(3)
    try:
        kept = bytearray(1000)
        with suppress(ZeroDivisionError):
            look(work)
        assert tracemalloc.is_tracing()
        assert tracemalloc.get_traceback_limit() == 3
        assert tracemalloc.get_object_traceback(kept) is not None
    finally:
        tracemalloc.stop()


def test_the_collector_is_left_alone():
    """Its thresholds, whether it runs, and what is frozen."""

    def state():
        return gc.get_threshold(), gc.isenabled(), gc.get_freeze_count() > 0, gc.callbacks[:]

    with frozen_collector():
        before = state()
        find_leak(lambda: None, blocks=12, iterations=3, warm_up=0)
        assert state() == before


def test_work_that_stops_tracing_is_refused():
    """Its readings would be zeros, and look like no leak."""
    with pytest.raises(StateError, match="tracemalloc was stopped"):
        look(tracemalloc.stop)


def test_work_is_done_as_often_as_is_said():
    """Uneven parts of a block included."""
    calls = count()
    look(lambda: next(calls), blocks=12, iterations=7, warm_up=3)
    assert next(calls) == 12 * 7 + 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("work", None),
        ("blocks", 11),
        ("blocks", 20.0),
        ("iterations", 2),
        ("iterations", True),
        ("warm_up", -1),
        ("threshold", -1.0),
        ("threshold", nan),
        ("threshold", inf),
        ("threshold", True),
        ("frames", 0),
        ("top", 0),
    ],
)
def test_bad_input_is_named(field, value):
    """Before any work is done."""
    with pytest.raises(InputError) as seen:
        find_leak(**{"work": lambda: None} | {field: value})
    assert seen.value.field == field


# The statistics


@pytest.mark.parametrize("freedom", [*range(1, 40), 98, 99, 500])
@pytest.mark.parametrize("probability", [0.5, 0.6, 0.9, 0.99, 0.9999])
def test_the_t_quantile_is_scipys(probability, freedom):
    """Odd and even degrees of freedom have sums of their own."""
    expected = stats.t.ppf(probability, freedom)
    assert t_quantile(probability, freedom) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@given(st.lists(st.integers(-(10**9), 10**9), min_size=3, max_size=40), st.integers(1, 1000))
def test_the_line_is_scipys(values, step):
    """Slope, and its lower bound from the slope's standard error."""
    found = stats.linregress([step * number for number in range(len(values))], values)
    error = found.stderr if len(set(values)) > 1 else 0.0  # scipy: not a number
    low = found.slope - stats.t.ppf(0.99, len(values) - 2) * error
    scale = max(map(abs, values)) + 1
    assert line(values, step).per_iteration == pytest.approx(found.slope, rel=1e-9, abs=1e-9 * scale)
    assert line(values, step).low == pytest.approx(low, rel=1e-6, abs=1e-6 * scale)


def readings(noise, leak):
    """Return block values as the detector makes them: medians of three readings of something that grows."""
    values = [leak * ITERATIONS * n / 3 + noise() for n in range(3 * BLOCKS)]
    return [sorted(values[n : n + 3])[1] for n in range(0, len(values), 3)]


def found_of(noise, leak, times=1000):
    """Return in what share of trials a leak of so many bytes an iteration is called one."""
    return sum(growth(readings(noise, leak), ITERATIONS).certain > 1.0 for _ in range(times)) / times


@pytest.mark.parametrize("blocks", [12, 20, 60, 200])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.6, 0.7, 0.75, 0.8])
def test_what_has_stopped_by_the_last_fifth_is_no_leak(blocks, share):
    """However many blocks there are: more of them make the line through the last third the surer of a rise."""
    held = [min(number, share * blocks) * 1e6 for number in range(blocks)]
    assert growth(held, ITERATIONS).certain <= 0.0


def heavy(source):
    """Return noise with tails so heavy that it has no variance: Student's t with 1.5 degrees of freedom, 500 bytes."""
    return lambda: 500.0 * source.gauss() / (source.gammavariate(0.75, 2.0) / 1.5) ** 0.5


def wandering(source):
    """Return noise that remembers: each reading goes on from the last by 500 bytes up or down."""
    at = [0.0]

    def step():
        at[0] += source.gauss(0.0, 500.0)
        return at[0]

    return step


@pytest.mark.parametrize(("kind", "most"), [(heavy, 0.01), (wandering, 0.04)])
def test_noise_alone_is_seldom_called_a_leak(kind, most):
    """Heavy tails widen the interval; what wanders looks like growth more often than one time in a hundred."""
    assert found_of(kind(random.Random(1)), 0.0) <= most


@pytest.mark.parametrize("kind", [heavy, wandering])
def test_a_leak_is_found_through_noise(kind):
    """64 bytes an iteration, 7,680 a block."""
    assert found_of(kind(random.Random(2)), 64.0) >= 0.95
