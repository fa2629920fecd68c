"""The collector: what was counted is stored once, whatever fails, and nobody who counts ever waits."""

import contextlib
import gc
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from math import inf, nan

import pytest

from engine_opt import InputError, StateError
from engine_opt.errors import StoreError
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.metrics import Kind
from engine_opt.monitoring.metrics_collector import MetricsCollector
from engine_opt.monitoring.performance_monitor import MetricRecord, PerformanceMonitor, SeriesRecord
from engine_opt.monitoring.process_metrics import ProcessMetrics
from engine_opt.monitoring.samples import Collection, SampleKind, SeriesKey
from engine_opt.monitoring.stat_records import Stat, StatTable
from engine_opt.monitoring.store import sqlite_store
from engine_opt.optimization.cache import Cache

START = 1_700_000_000.0
PATIENCE = 30.0
TABLE = StatTable(
    "cache",
    (
        Stat("hits", Kind.COUNTER, "Found."),
        Stat("items", Kind.GAUGE, "Kept."),
        Stat("<other>", None),
    ),
)
CACHE_HITS = SeriesKey("cache_hits", (("component", "prices"),))
CACHE_ITEMS = SeriesKey("cache_items", (("component", "prices"),))


class Component:
    """Tells what it is told to."""

    def __init__(self, **counts):
        self.counts = counts

    def stats(self):
        return self.counts


@pytest.fixture
def wall(clock):
    """Return a clock of the day, moved by hand."""
    day = type(clock)()
    day.now = START
    return day


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.db"


@pytest.fixture
def store(path):
    with open_store(path) as store:
        yield store


@pytest.fixture
def make(wall, clock):
    """Return a function that makes a collector with clocks moved by hand."""
    return lambda store, **settings: MetricsCollector(store, clock=wall, monotonic=clock, **settings)


@pytest.fixture
def ten_seconds(wall, clock):
    """Return a function that lets time pass for both clocks."""

    def tick(seconds=10.0):
        wall.tick(seconds)
        clock.tick(seconds)

    return tick


def told(collection):
    return dict(collection.samples)


# What is collected


def test_counts_are_collected_as_what_was_added(monitor, store, make, ten_seconds):
    decided = monitor.counter("decisions", "Decisions.", ["verdict", "account"]).labels(account="GEN", verdict="yes")
    level, timer = monitor.gauge("level", "How full."), monitor.timer("took_seconds", "Time.")
    key = SeriesKey("decisions", (("account", "GEN"), ("verdict", "yes")))
    ok, error = (SeriesKey("took_seconds", (("outcome", each),)) for each in ("ok", "error"))
    decided.inc(3)
    timer.ok.record(0.5)
    collector = make(store)
    collector.register_monitor(monitor)
    ten_seconds()
    first = collector.collect()
    assert (first.end, first.seconds) == (START + 10.0, 10.0)
    assert {each.name: each.kind for each in first.metrics} == {
        "decisions": SampleKind.COUNTER,
        "level": SampleKind.GAUGE,
        "took_seconds": SampleKind.HISTOGRAM,
    }
    found = told(first)
    assert (found[key], found[ok].count, found[error].count) == (3.0, 1, 0)
    assert SeriesKey("level") not in found
    decided.inc()
    level.set(4.0)
    timer.ok.record(2.0)
    timer.ok.record(3.0)
    ten_seconds(20.0)
    second = collector.collect()
    found = told(second)
    assert (found[key], found[SeriesKey("level")], found[ok].count, found[ok].total) == (1.0, 4.0, 2, 5.0)
    assert second.seconds == 20.0
    collector.flush()
    assert [point.value for point in store.read(key, 0.0, inf)] == [3.0, 1.0]
    assert store.last().samples == tuple(sorted(second.samples))


def test_a_component_that_began_anew_gives_all_that_it_has(store, make, ten_seconds):
    monitors = [PerformanceMonitor(), PerformanceMonitor()]
    for monitor, times in zip(monitors, (5, 2), strict=True):
        for _ in range(times):
            monitor.counter("seen", "Seen.").inc()
            monitor.timer("took_seconds", "Time.").ok.record(0.5)
    collector = make(store)
    which = iter(monitors)
    collector.register_source("engine", lambda: next(which).snapshot())
    found = []
    for _ in monitors:
        ten_seconds()
        found.append(told(collector.collect()))
    assert [each[SeriesKey("seen")] for each in found] == [5.0, 2.0]
    assert [each[SeriesKey("took_seconds", (("outcome", "ok"),))].count for each in found] == [5, 2]


def test_a_component_is_collected_by_its_table(store, make, ten_seconds):
    cache, collector = Cache(max_items=2), make(store)
    collector.register("prices", cache, TABLE)
    for key in (1, 1, 1, 2):
        cache.get(key, str, key)
    ten_seconds()
    assert told(collector.collect()) == {CACHE_HITS: 2.0, CACHE_ITEMS: 2.0}
    cache.get(1, str, 1)
    ten_seconds()
    assert told(collector.collect()) == {CACHE_HITS: 1.0, CACHE_ITEMS: 2.0}


@pytest.mark.parametrize("bad", [nan, inf, -1.0])
def test_a_number_that_is_none_is_refused_and_the_others_are_kept(store, make, ten_seconds, bad):
    component, collector = Component(hits=bad, items=3.0), make(store)
    collector.register("prices", component, TABLE)
    ten_seconds()
    assert told(collector.collect()) == {CACHE_ITEMS: 3.0}
    assert collector.stats()["refused"] == 1.0
    assert "no value of a counter" in str(collector.problem)
    component.counts["hits"] = 7.0
    ten_seconds()
    assert told(collector.collect())[CACHE_HITS] == 7.0
    collector.flush()
    assert store.stats()["samples"] == 3.0


def test_a_source_that_raises_is_left_out_and_loses_no_count(store, make, ten_seconds):
    component, other, collector = Component(hits=3.0), Component(hits=1.0), make(store)
    collector.register("prices", component, TABLE)
    collector.register("names", other, TABLE)
    ten_seconds()
    collector.collect()
    component.counts = None
    ten_seconds()
    assert CACHE_HITS not in told(collector.collect())
    assert collector.stats()["failed_sources"] == 1.0
    assert isinstance(collector.problem, AttributeError)
    component.counts = {"hits": 10.0}
    ten_seconds()
    assert told(collector.collect())[CACHE_HITS] == 7.0


def test_two_sources_that_tell_the_same_are_told_apart_by_the_first(store, make, ten_seconds):
    def source(kind, value):
        return lambda: [MetricRecord("seen", kind, "Seen.", (SeriesRecord((), value),), 0)]

    collector = make(store)
    for name, kind, value in (("one", Kind.COUNTER, 5.0), ("two", Kind.COUNTER, 7.0), ("three", Kind.GAUGE, 9.0)):
        collector.register_source(name, source(kind, value))
    ten_seconds()
    assert told(collector.collect()) == {SeriesKey("seen"): 5.0}
    assert collector.stats()["refused"] == 2.0
    collector.flush()
    assert store.read(SeriesKey("seen"), 0.0, inf)[0].value == 5.0


# Clocks


def test_times_never_go_back(store, make, wall, clock, ten_seconds):
    """A clock that was put back an hour: time goes on from the last end until it has caught up."""
    collector = make(store)
    collector.register("prices", Component(hits=1.0), TABLE)
    ends = []
    for step in (10.0, -3600.0, 10.0, 10.0, 3620.0, 10.0):
        wall.tick(step)
        clock.tick(10.0)
        ends.append(collector.collect().end - START)
        collector.flush()
    assert ends == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    assert collector.stats()["backwards"] == 3.0
    assert [point.seconds for point in store.read(CACHE_HITS, 0.0, inf)] == [10.0] * 6


def test_a_clock_behind_what_an_earlier_process_stored_goes_on_from_there(store, make, ten_seconds):
    store.write([Collection(START + 5_000.0, 10.0, (), ())])
    collector = make(store)
    for _ in range(3):
        ten_seconds()
        collector.collect()
    collector.flush()
    assert store.last().end == START + 5_030.0
    ten_seconds()
    assert collector.collect().end == START + 5_040.0


def test_a_moment_is_collected_once(store, make, ten_seconds):
    collector = make(store)
    ten_seconds()
    collector.collect()
    with pytest.raises(StateError, match="at this moment already"):
        collector.collect()
    assert collector.stats()["collections"] == 1.0


def test_a_clock_that_jumps_ahead_leaves_a_gap(store, make, wall, ten_seconds):
    collector = make(store)
    wall.tick(86_400.0)
    ten_seconds()
    assert collector.collect()[:2] == (START + 86_410.0, 10.0)


# A store that fails


@contextlib.contextmanager
def locked(path):
    """Another program holds the file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def test_what_a_store_could_not_take_is_written_later(path, make, ten_seconds, monkeypatch):
    monkeypatch.setattr(sqlite_store, "PATIENCE", 0.01)
    component = Component(hits=0.0)
    with open_store(path) as store:
        collector = make(store)
        collector.register("prices", component, TABLE)
        with locked(path):
            for _ in range(3):
                component.counts = {"hits": component.counts["hits"] + 5.0}
                ten_seconds()
                collector.collect()
                with pytest.raises(StoreError, match="locked"):
                    collector.flush()
        assert collector.stats() == collector.stats() | {"pending": 3.0, "failed_writes": 3.0, "written": 0.0}
        assert isinstance(collector.problem, StoreError)
        collector.flush()
        assert collector.stats() == collector.stats() | {"pending": 0.0, "written": 3.0, "dropped": 0.0}
        assert [point.value for point in store.read(CACHE_HITS, 0.0, inf)] == [5.0] * 3


def test_what_is_kept_for_a_store_that_fails_is_bounded(path, make, ten_seconds, monkeypatch):
    monkeypatch.setattr(sqlite_store, "PATIENCE", 0.01)
    with open_store(path) as store:
        collector = make(store, most_pending=3)
        with locked(path):
            for _ in range(5):
                ten_seconds()
                collector.collect()
            with pytest.raises(StoreError):
                collector.flush()
            ten_seconds()
            collector.collect()
        collector.flush()
        assert collector.stats() == collector.stats() | {"dropped": 3.0, "written": 3.0, "collections": 6.0}


class Deaf:
    """A store whose answers are lost on the way."""

    def __init__(self, store):
        self.store, self.lost = store, True
        self.last = store.last

    def write(self, collections):
        self.store.write(collections)
        if self.lost:
            raise StoreError("store", "the answer was lost")


def test_what_came_through_although_the_answer_was_lost_is_not_written_again(store, make, ten_seconds):
    component, deaf = Component(hits=5.0), Deaf(store)
    collector = make(deaf)
    collector.register("prices", component, TABLE)
    ten_seconds()
    collector.collect()
    with pytest.raises(StoreError, match="lost"):
        collector.flush()
    deaf.lost = False
    component.counts = {"hits": 7.0}
    ten_seconds()
    collector.collect()
    collector.flush()
    assert [point.value for point in store.read(CACHE_HITS, 0.0, inf)] == [5.0, 2.0]
    assert collector.stats() == collector.stats() | {"written": 2.0, "pending": 0.0, "failed_writes": 1.0}


# The thread


def test_the_thread_collects_and_writes_until_it_is_stopped(store):
    seen, enough = [], threading.Event()

    def source():
        seen.append(None)
        if len(seen) >= 3:
            enough.set()
        return [MetricRecord("seen", Kind.COUNTER, "Seen.", (SeriesRecord((), float(len(seen))),), 0)]

    callbacks = gc.callbacks.copy()
    with MetricsCollector(store, interval=0.01, process=ProcessMetrics()) as collector:
        collector.register_source("engine", source)
        assert collector.stats()["running"] == 0.0
        collector.start()
        assert len(gc.callbacks) == len(callbacks) + 1
        with pytest.raises(StateError, match="is running"):
            collector.start()
        assert enough.wait(PATIENCE)
        collector.stop()
        collector.stop()
        assert gc.callbacks == callbacks
        assert sum(point.value for point in store.read(SeriesKey("seen"), 0.0, inf)) == len(seen)
        assert len(store.read(SeriesKey("process_threads"), 0.0, inf)) == len(seen)
        enough.clear()
        collector.start()
        assert enough.wait(PATIENCE)
    assert collector.stats() == collector.stats() | {"running": 0.0, "pending": 0.0, "written": float(len(seen))}
    with pytest.raises(StateError, match="is closed"):
        collector.collect()
    with pytest.raises(StateError, match="is closed"):
        collector.start()


def test_the_thread_outlives_a_clock_and_a_store_that_raise(path):
    readings, enough = [], threading.Event()

    def clock():
        readings.append(None)
        if len(readings) == 4:
            enough.set()
        if len(readings) < 3:
            raise OSError("no clock")
        return START + len(readings)

    store = open_store(path)
    store.close()
    with MetricsCollector(store, clock=clock, interval=0.01) as collector:
        collector.start()
        assert enough.wait(PATIENCE)
    assert collector.stats()["failed_collections"] == 2.0
    assert collector.stats()["failed_writes"] >= 3.0
    assert isinstance(collector.problem, StateError)


@pytest.mark.parametrize(
    "settings",
    [
        {"interval": 0.0},
        {"interval": nan},
        {"interval": True},
        {"most_pending": 0},
        {"most_pending": 1.5},
        {"name": ""},
        {"clock": 3.0},
        {"monotonic": None},
    ],
)
def test_settings_that_make_no_sense_are_refused(store, settings):
    with pytest.raises(InputError):
        MetricsCollector(store, **settings)


def test_a_source_has_a_name_of_its_own(store, monitor):
    with MetricsCollector(store, process=ProcessMetrics()) as collector:
        collector.register_monitor(monitor)
        for name, source in (("monitor", list), ("process", list), ("", list), ("other", 3)):
            with pytest.raises(InputError):
                collector.register_source(name, source)
        assert collector.stats()["sources"] == 2.0


_ENGINE = """
import sys
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.metrics_collector import MetricsCollector
from engine_opt.monitoring.performance_monitor import PerformanceMonitor
monitor = PerformanceMonitor()
decided = monitor.counter("decisions", "Decisions taken.")
collector = MetricsCollector(open_store(sys.argv[1]))
collector.register_monitor(monitor)
for number in range(1, 1_000_000):
    decided.inc()
    collector.collect()
    collector.flush()
    print(number, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_a_killed_process_loses_one_interval_at_most(path):
    with subprocess.Popen([sys.executable, "-c", _ENGINE, path], stdout=subprocess.PIPE, text=True) as engine:
        for line in engine.stdout:
            if line == "50\n":
                os.kill(engine.pid, signal.SIGKILL)
                break
        collected = [50, *map(int, engine.stdout.read().split())][-1]
    with open_store(path) as store, PerformanceMonitor() as monitor:
        key = SeriesKey("decisions")
        stored = sum(point.value for point in store.read(key, 0.0, inf))
        assert collected <= stored <= collected + 1
        before = store.last().end
        monitor.counter("decisions", "Decisions taken.").inc(2)
        collector = MetricsCollector(store)
        collector.register_monitor(monitor)
        collector.collect()
        collector.flush()
        assert store.last().end > before
        assert sum(point.value for point in store.read(key, 0.0, inf)) == stored + 2.0
