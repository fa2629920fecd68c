"""The performance monitor: nothing that was counted is lost, nothing grows, and what is timed does not notice."""

import gc
import inspect
import os
import signal
import sys
import threading
import time
import tracemalloc
from enum import StrEnum
from functools import partial
from itertools import pairwise
from math import inf, nan
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import InputError, StateError
from engine_opt.monitoring.histogram import LARGEST, HistogramRecorder
from engine_opt.monitoring.performance_monitor import OVERFLOW, Kind, MetricRecord, PerformanceMonitor, SeriesRecord

few = settings(max_examples=50, deadline=None)
THREADS = 8


# Counters, gauges, histograms


def test_a_counter_adds_up(monitor):
    decisions = monitor.counter("decisions", "Decisions taken.")
    for amount in (1, 2, 0.5, 0, 10**20):
        decisions.inc(amount)
    decisions.inc()
    assert decisions.value() == 10**20 + 4.5
    assert type(decisions.value()) is float


@pytest.mark.parametrize("amount", [-1, -0.1, nan, inf, None, "1", True, 10**151, 10**400])
def test_a_counter_takes_nothing_that_is_no_amount(monitor, amount):
    decisions = monitor.counter("decisions", "Decisions taken.")
    with pytest.raises(InputError, match="amount"):
        decisions.inc(amount)
    assert decisions.value() == 0.0


def test_a_gauge_shows_the_last_value_and_what_was_added_since(monitor):
    gauge = monitor.gauge("open_positions", "Positions that are open.")
    gauge.set(5.5)
    assert gauge.value() == 5.5
    gauge.add(3)
    gauge.add(-4.0)
    assert gauge.value() == 4.5
    gauge.set(-1)
    assert gauge.value() == -1.0
    gauge.add(1)
    assert gauge.value() == 0.0


def test_a_gauge_that_was_never_set_shows_nothing(monitor, shown):
    gauge, added = monitor.gauge("unset", "Not set."), monitor.gauge("added", "Only added to.")
    added.add(2)
    assert gauge.value() is None
    assert shown(monitor, "unset") == {}
    assert shown(monitor, "added") == {(): 2.0}


@pytest.mark.parametrize("value", [nan, inf, -inf, None, "1", True, 1.1e150, -(10**151), 10**400])
def test_a_gauge_takes_nothing_that_is_no_value(monitor, value):
    gauge = monitor.gauge("open_positions", "Positions that are open.")
    for change in (gauge.set, gauge.add):
        with pytest.raises(InputError):
            change(value)
    assert gauge.value() is None


@few
@given(st.lists(st.floats(0.0, LARGEST) | st.floats(1e-6, 1e3) | st.integers(0, 2_000)))
def test_recording_quickly_does_the_same_as_the_recorder(values):
    """The series writes out what the recorder does in plain steps."""
    series = PerformanceMonitor().histogram("sizes", "Sizes.", lowest=1e-6, highest=1e3)
    recorder = HistogramRecorder(lowest=1e-6, highest=1e3)
    for value in values:
        series.record(value)
        recorder.record(value)
    assert series.value() == recorder.value()


def test_a_bucket_of_a_series_counts_beyond_four_bytes(monitor):
    series = monitor.histogram("sizes", "Sizes.", lowest=1, highest=2)
    series.record(1.0)
    monitor._threads.mine.cells[series._number]._counts[0] = 2**32 - 1
    series.record(1.0)
    series.record(1.0)
    assert series.value().buckets == ((0, 2**32 + 1),)


@pytest.mark.parametrize("value", [nan, inf, -1.0, -1e-300, 1.1e150, None, "1", True])
def test_a_histogram_takes_nothing_that_is_no_value(monitor, value):
    series = monitor.histogram("sizes", "Sizes.", lowest=1, highest=10)
    with pytest.raises(InputError, match="value"):
        series.record(value)
    assert series.value().count == 0


# Threads


@pytest.mark.parametrize("stumbling", [False, True])
def test_eight_threads_lose_nothing(monitor, stumbling, shown, in_threads):
    number = 60 if stumbling else 20_000
    counted = monitor.counter("done", "Done.", labels=("kind",))
    gauge = monitor.gauge("level", "Level.")
    histogram = monitor.histogram("sizes", "Sizes.", lowest=1, highest=100)

    def work():
        for each in range(number):
            counted.labels(kind="odd" if each % 2 else "even").inc()
            gauge.add(1)
            histogram.record(float(each % 50 + 1))

    in_threads(*[work] * THREADS, stumbling=stumbling)
    assert shown(monitor, "done") == {("even",): THREADS * number / 2, ("odd",): THREADS * number / 2}
    assert gauge.value() == THREADS * number
    found = histogram.value()
    assert (found.count, found.total) == (THREADS * number, THREADS * sum(each % 50 + 1.0 for each in range(number)))


def test_what_a_thread_counted_stays_when_it_ends_and_the_next_goes_on_with_it(monitor):
    """A thousand threads, one after the other, take no more memory than one."""
    done = monitor.counter("done", "Done.")
    for _ in range(1_000):
        thread = threading.Thread(target=done.inc)
        thread.start()
        thread.join()
    assert done.value() == 1_000
    assert len(monitor._threads._shares) == 1
    assert monitor.stats()["threads"] == 0


def test_threads_that_live_are_counted(monitor):
    done, over = monitor.counter("done", "Done."), threading.Event()
    begun = threading.Barrier(4)

    def work():
        done.inc()
        begun.wait()
        over.wait()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    begun.wait()
    assert monitor.stats()["threads"] == 3
    over.set()
    for thread in threads:
        thread.join()
    assert monitor.stats()["threads"] == 0


def test_reading_meanwhile_never_goes_back_and_never_counts_what_is_beyond_the_extremes(monitor, in_threads):
    done = monitor.counter("done", "Done.")
    histogram = monitor.histogram("sizes", "Sizes.", lowest=1, highest=1e6)
    over, seen = threading.Event(), []

    def work():
        for each in range(1, 150):
            done.inc()
            histogram.record(float(each))
            histogram.record(1.0 / each)
        over.set()

    def read():
        while not over.is_set():
            seen.append((done.value(), histogram.value()))

    in_threads(work, read, stumbling=True)
    seen.append((done.value(), histogram.value()))
    assert [count for count, _ in seen] == sorted(count for count, _ in seen)
    for before, after in pairwise(seen):
        found = after[1].since(before[1])
        assert 0.0 <= found.total <= after[1].total
    for _, found in seen:
        if found.below:  # 1, 1, 2, 3 and so on up to the greatest, and 1/2, 1/3 and so on down to the least
            assert found.maximum >= sum(count for _, count in found.buckets) - 1
            assert found.minimum <= 1.0 / (found.below + 1)
    assert seen[-1][1].count == 298


def test_threads_that_come_and_go_do_not_share_cells(monitor, in_threads):
    """Of those that begin at once, each goes on with the cells of another one that has ended."""
    done = monitor.counter("done", "Done.")

    def work():
        for _ in range(10):
            done.inc()

    for _ in range(40):
        in_threads(*[work] * 4, stumbling=True)
    assert done.value() == 40 * 4 * 10
    assert len(monitor._threads._shares) <= 4


def test_threads_that_make_series_at_once_do_not_make_too_many(in_threads):
    for _ in range(20):
        monitor = PerformanceMonitor(max_series=2)
        seen = monitor.counter("seen", "Seen.", labels=("path",))

        def work(name, seen=seen):
            for each in range(3):
                seen.labels(path=f"{name}{each}").inc()

        in_threads(*(partial(work, name) for name in "abcd"), stumbling=True)
        assert len(seen.series()) == 3
        assert seen.refused == 10


def test_two_that_make_the_same_metric_or_series_get_the_same(monitor, in_threads):
    found = []

    def work():
        for each in range(30):
            found.append(monitor.counter(f"done_{each}", "Done.", labels=("kind",)).labels(kind="a"))
            found[-1].inc()

    in_threads(*[work] * 4, stumbling=True)
    assert len(set(map(id, found))) == 30
    assert {series.value() for series in found} == {4.0}


def test_a_finaliser_that_counts_while_a_thread_is_being_taken_in_loses_nothing(monitor, in_threads):
    """The collector may come at any time, in the middle of the first record of a thread as well."""
    done = monitor.counter("done", "Done.")

    class Thing:
        def __init__(self):
            self.me = self

        def __del__(self):
            done.inc()

    def work():
        threshold = gc.get_threshold()
        gc.set_threshold(1)
        try:
            for _ in range(20):
                Thing()
                done.inc()
        finally:
            gc.set_threshold(*threshold)

    in_threads(*[work] * 4)
    gc.collect()
    assert done.value() == 160


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of threads, which are the point
def test_a_forked_process_goes_on_with_a_copy_and_is_not_stopped_by_a_lock_of_its_parent(monitor, shown, in_threads):
    done = monitor.counter("done", "Done.", labels=("kind",))
    held, over = threading.Event(), threading.Event()

    def work():
        done.labels(kind="thread").inc(5)
        with monitor._threads.turn():
            held.set()
            over.wait()

    thread = threading.Thread(target=work)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(10)  # of a lock that nobody releases
            done.labels(kind="child").inc(3)
            in_threads(lambda: done.labels(kind="thread").inc(2))
            monitor.counter("more", "More.").inc()
            status = 0 if shown(monitor, "done") == {("thread",): 7.0, ("child",): 3.0} else 2
        finally:
            os._exit(status)
    end = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    over.set()
    thread.join()
    assert end == 0
    assert shown(monitor, "done") == {("thread",): 5.0}


# Labels


class Account(StrEnum):
    GEN = "GEN"


def test_each_combination_of_labels_has_a_series_of_its_own(monitor, shown):
    decided = monitor.counter("decisions", "Decisions taken.", labels=("account", "verdict"))
    decided.labels(account="GEN", verdict="approved").inc()
    decided.labels(verdict="approved", account="GEN").inc()
    decided.labels(account="GEN", verdict="rejected").inc()
    assert shown(monitor, "decisions") == {("GEN", "approved"): 2.0, ("GEN", "rejected"): 1.0}


def test_a_word_of_an_enum_is_that_word(monitor):
    decided = monitor.counter("decisions", "Decisions taken.", labels=("account",))
    assert decided.labels(account=Account.GEN) is decided.labels(account="GEN")
    ((values, _),) = decided.series()
    assert type(values[0]) is str


@pytest.mark.parametrize("values", [{}, {"account": "GEN", "more": "x"}, {"more": "x"}, {"account": "a", "kind": "b"}])
def test_labels_that_are_missing_or_not_known_are_refused(monitor, values):
    decided = monitor.counter("decisions", "Decisions taken.", labels=("account",))
    decided.labels(account="GEN")
    with pytest.raises(InputError, match="decisions has the labels account"):
        decided.labels(**values)


@pytest.mark.parametrize("value", [1, None, True, 1.5, ["GEN"], b"GEN", "\ud800"])
def test_a_value_of_a_label_that_is_no_text_is_refused(monitor, value):
    decided = monitor.counter("decisions", "Decisions taken.", labels=("account",))
    with pytest.raises(InputError, match="account"):
        decided.labels(account=value)
    assert decided.series() == ()


def test_an_explosion_of_labels_ends_in_one_series_that_takes_the_rest(clock, shown):
    monitor = PerformanceMonitor(clock=clock, max_series=10)
    seen = monitor.counter("seen", "Seen.", labels=("path",))
    for each in range(1_000):
        seen.labels(path=f"/{each}").inc()
    values = shown(monitor, "seen")
    assert len(values) == 11
    assert values[(OVERFLOW,)] == 990.0
    assert sum(values.values()) == 1_000
    assert seen.refused == monitor.stats()["refused"] == 990
    assert monitor.snapshot()[0].refused == 990
    seen.labels(path="/3").inc()
    assert shown(monitor, "seen")[("/3",)] == 2.0


def test_a_value_too_long_for_a_label_goes_to_the_rest(monitor, shown):
    seen = monitor.counter("seen", "Seen.", labels=("path", "kind"))
    seen.labels(path="x" * 129, kind="a").inc()
    seen.labels(path="x" * 128, kind="a").inc()
    assert shown(monitor, "seen") == {(OVERFLOW, OVERFLOW): 1.0, ("x" * 128, "a"): 1.0}


def test_who_asks_for_the_rest_by_its_name_gets_it(monitor):
    seen = monitor.counter("seen", "Seen.", labels=("path",))
    assert seen.labels(path=OVERFLOW) is seen.labels(path="x" * 1_000)


def test_memory_does_not_grow_with_labels_and_records():
    monitor = PerformanceMonitor(max_series=20)
    seen = monitor.timer("seen_seconds", "Seen.", labels=("path",))

    def burst(start):
        for each in range(start, start + 2_000):
            seen.labels(path=f"/{each}").ok.record(each * 1e-6)

    burst(0)
    tracemalloc.start()
    try:
        burst(2_000)
        before = tracemalloc.get_traced_memory()[0]
        burst(4_000)
        assert tracemalloc.get_traced_memory()[0] - before < 2_000
    finally:
        tracemalloc.stop()


def test_two_hundred_series_take_less_than_two_megabytes():
    tracemalloc.start()
    try:
        monitor = PerformanceMonitor(max_series=200)
        sizes = monitor.histogram("sizes", "Sizes.", labels=("each",), lowest=1e-7, highest=1e4)
        dice = Random(1)
        for each in range(200):
            series = sizes.labels(each=str(each))
            for _ in range(100):
                series.record(dice.lognormvariate(-7, 3))
        assert tracemalloc.get_traced_memory()[0] < 2 * 2**20
    finally:
        tracemalloc.stop()


# Names


def test_the_same_metric_again_is_the_same(monitor):
    assert monitor.counter("a", "A.") is monitor.counter("a", "A.")
    assert monitor.gauge("b", "B.", labels=("x",)) is monitor.gauge("b", "B.", labels=["x"])
    assert monitor.histogram("c", "C.", lowest=1, highest=2) is monitor.histogram("c", "C.", lowest=1.0, highest=2.0)
    assert monitor.timer("d_seconds", "D.") is monitor.timer("d_seconds", "D.")


@pytest.mark.parametrize(
    ("make", "differing"),
    [
        (lambda monitor: monitor.gauge("sizes", "Sizes."), "kind, labels, lowest, highest"),
        (lambda monitor: monitor.histogram("sizes", "Other.", ("x",), lowest=1, highest=2), "help_text"),
        (lambda monitor: monitor.histogram("sizes", "Sizes.", lowest=1, highest=2), "labels"),
        (lambda monitor: monitor.histogram("sizes", "Sizes.", ("y",), lowest=1, highest=2), "labels"),
        (lambda monitor: monitor.histogram("sizes", "Sizes.", ("x",), lowest=1, highest=3), "highest"),
    ],
)
def test_a_metric_that_differs_from_one_of_its_name_is_refused(monitor, make, differing):
    monitor.histogram("sizes", "Sizes.", ("x",), lowest=1, highest=2)
    with pytest.raises(InputError, match=f"which differs in {differing}$"):
        make(monitor)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1a",
        "a-b",
        "a b",
        "a.b",
        "a:b",
        "ä",
        "a\n",
        None,
        3,
        [],
        "a_total",
        "a_count",
        "a_sum",
        "a_bucket",
        "a_info",
    ],
)
def test_a_name_that_cannot_be_exported_is_refused(monitor, name):
    for make in (monitor.counter, monitor.gauge, monitor.timer, partial(monitor.histogram, lowest=1, highest=2)):
        with pytest.raises(InputError, match="name"):
            make(name, "Text.")
    with pytest.raises(InputError, match="name"):
        monitor.timed(name)


def test_a_timer_names_its_unit(monitor):
    with pytest.raises(InputError, match="_seconds"):
        monitor.timer("work", "Work.")


@pytest.mark.parametrize("text", ["", "  ", None, 3, "\udfff"])
def test_a_metric_says_what_it_means(monitor, text):
    with pytest.raises(InputError, match="help_text"):
        monitor.counter("a", text)


@pytest.mark.parametrize(
    "labels",
    [
        "account",
        (),
        [],
        3,
        {"a"},
        ("1",),
        ("a-b",),
        ("__a",),
        ("le",),
        ("quantile",),
        ("outcome",),
        ("a", "a"),
        (None,),
    ],
)
def test_names_of_labels_that_cannot_be_exported_are_refused(monitor, labels):
    with pytest.raises(InputError, match="labels"):
        monitor.counter("a", "A.", labels)


@pytest.mark.parametrize("made", [True, False])
def test_off_or_on_what_is_asked_for_is_checked(made):
    monitor = PerformanceMonitor(enabled=made)
    monitor.counter("a", "A.")
    for wrong in (
        lambda: monitor.gauge("a", "A."),
        lambda: monitor.counter("a-b", "A."),
        lambda: monitor.histogram("h", "H.", lowest=2, highest=1),
        lambda: monitor.timed("a_seconds")(int),
    ):
        with pytest.raises(InputError):
            wrong()


# Off


def test_a_monitor_that_is_off_does_nothing_and_shows_nothing(clock):
    monitor = PerformanceMonitor(enabled=False, clock=clock)

    def work():
        clock.tick(1.0)

    labelled = monitor.counter("b", "B.", labels=("x",))
    monitor.counter("a", "A.").inc()
    labelled.labels(x="1").inc()
    assert labelled.labels(x="1") is labelled.labels(x="2")
    monitor.gauge("c", "C.").set(1.0)
    monitor.gauge("c", "C.").add(1.0)
    monitor.histogram("d", "D.", lowest=1, highest=2).record(1.0)
    timer = monitor.timer("work_seconds", "Work.")
    timer.ok.record(1.0)
    timing = timer.timed()
    with timing, timing:
        work()
    assert monitor.timed("work_seconds")(work) is work
    assert [(each.name, each.series) for each in monitor.snapshot()] == [
        (name, ()) for name in ("b", "a", "c", "d", "work_seconds")
    ]
    stats = monitor.stats()
    assert stats == {"metrics": 5.0, "series": 0, "threads": 0, "refused": 0, "backwards": 0, "enabled": 0}


def test_an_error_comes_out_of_a_block_that_is_not_timed():
    with pytest.raises(KeyError), PerformanceMonitor(enabled=False).timed("work_seconds"):
        raise KeyError


# The whole


def test_a_snapshot_has_everything_and_stays_what_it_was(monitor, clock):
    monitor.counter("done", "Done.", labels=("kind",)).labels(kind="a").inc(2)
    monitor.gauge("level", "Level.").set(1.5)
    sizes = monitor.histogram("sizes", "Sizes.", lowest=1, highest=8)
    sizes.record(3.0)
    with monitor.timed("work_seconds", "Work."):
        clock.tick(1.0)
    found = monitor.snapshot()
    timer = found[3]
    assert found[:3] == (
        MetricRecord("done", Kind.COUNTER, "Done.", (SeriesRecord((("kind", "a"),), 2.0),), 0),
        MetricRecord("level", Kind.GAUGE, "Level.", (SeriesRecord((), 1.5),), 0),
        MetricRecord("sizes", Kind.HISTOGRAM, "Sizes.", (SeriesRecord((), sizes.value()),), 0),
    )
    assert (timer.name, timer.kind, [series.labels for series in timer.series]) == (
        "work_seconds",
        Kind.TIMER,
        [(("outcome", "ok"),), (("outcome", "error"),)],
    )
    before = hash(found)
    sizes.record(4.0)
    assert hash(found) == before
    assert found[2].series[0].value.count == 1


def test_stats_are_counts(monitor):
    monitor.counter("done", "Done.", labels=("kind",)).labels(kind="a").inc()
    monitor.timer("work_seconds", "Work.")
    expected = {"metrics": 2.0, "series": 2.0, "threads": 1.0, "refused": 0.0, "backwards": 0.0, "enabled": 1.0}
    assert monitor.stats() == expected
    assert {type(value) for value in monitor.stats().values()} == {float}


def test_closed_it_makes_no_more_metrics_and_those_it_made_go_on(shown):
    monitor = PerformanceMonitor(name="the seventh")
    with monitor:
        done = monitor.counter("done", "Done.")
    monitor.close()
    done.inc()
    assert shown(monitor, "done") == {(): 1.0}
    assert monitor.stats()["metrics"] == 1
    for use in (
        lambda: monitor.counter("done", "Done."),
        lambda: monitor.timed("work_seconds"),
        monitor.__enter__,
    ):
        with pytest.raises(StateError, match="performance monitor 'the seventh' is closed"):
            use()


@pytest.mark.parametrize("size", [0, -1, 1.5, nan, True, None])
def test_what_is_no_number_of_series_is_refused(size):
    with pytest.raises(InputError, match="max_series"):
        PerformanceMonitor(max_series=size)


@pytest.mark.parametrize("given", [{"clock": 3}, {"enabled": 1}, {"enabled": None}, {"name": ""}, {"name": 3}])
def test_what_makes_no_monitor_is_refused(given):
    with pytest.raises(InputError, match=next(iter(given))):
        PerformanceMonitor(**given)


def test_making_one_reads_no_clock_and_starts_no_thread():
    def clock():
        raise AssertionError

    threads = threading.active_count()
    monitor = PerformanceMonitor(clock=clock)
    monitor.counter("done", "Done.").inc()
    monitor.timer("work_seconds", "Work.").ok.record(1.0)
    monitor.snapshot()
    assert threading.active_count() == threads
    assert inspect.signature(PerformanceMonitor).parameters["clock"].default is time.perf_counter


def test_monitors_know_nothing_of_each_other(shown):
    one, two = PerformanceMonitor(), PerformanceMonitor()
    one.counter("done", "Done.").inc()
    assert two.snapshot() == ()
    two.gauge("done", "Otherwise.").set(3.0)
    assert (shown(one, "done"), shown(two, "done")) == ({(): 1.0}, {(): 3.0})
