"""Whatever goes wrong around an engine that is watched: it decides, the trouble is told, and nothing is lost."""

import contextlib
import sqlite3
import sys
from datetime import datetime, timedelta
from math import inf
from pathlib import Path

import pytest

from engine_opt import ProtocolEngine, data
from engine_opt.engine_metrics import component_records
from engine_opt.errors import StoreError
from engine_opt.model import Book, WeekContext, WeekRequest
from engine_opt.monitoring.alerting_system import AlertingSystem, AlertRule
from engine_opt.monitoring.dashboard.health import Status, freshness
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.metrics import OVERFLOW
from engine_opt.monitoring.metrics_collector import MetricsCollector
from engine_opt.monitoring.performance_monitor import PerformanceMonitor
from engine_opt.monitoring.samples import SeriesKey
from engine_opt.monitoring.store import sqlite_store

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="limits as POSIX has them")
BARS = data.load("AAPL")[:60]
BOOK, KNOWN = Book(1e6, 3e6, 0.05, 0.01), WeekContext(days_to_expiration=3, favourable=True)
BEGIN = 1_800_000_000.0


@contextlib.contextmanager
def full(path):
    """No file grows beyond what the log of this database has now."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{path}-wal").stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def locked(path):
    """Another program holds the file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


class Watched:
    """An engine, and a collector whose time passes when it is asked to collect."""

    def __init__(self, store):
        self.now, self.decided = BEGIN, 0
        self.monitor = PerformanceMonitor()
        self.engine = ProtocolEngine(monitor=self.monitor)
        for bar in BARS:
            self.engine.update("AAPL", bar)
        self.collector = MetricsCollector(store, clock=self.clock, monotonic=self.clock)
        self.collector.register_monitor(self.monitor)
        self.collector.register_source("engine", lambda: component_records(self.engine))

    def clock(self):
        return self.now

    def interval(self):
        """Decide three times, collect, and write what there is to write."""
        at = datetime.combine(BARS[-1].time, datetime.min.time()) + timedelta(hours=18)
        for _ in range(3):
            self.engine.decide(
                WeekRequest("AAPL", "REV", "cash", at, BOOK, KNOWN, week_start_price=BARS[-1].open, confidence=0.9)
            )
        self.decided += 3
        self.now += 10.0
        self.collector.collect()
        self.collector.flush()


@POSIX
@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (full, "make room on the disk"),
        (locked, "another program has locked it: end that one"),
    ],
)
def test_while_the_store_takes_nothing_the_engine_decides_and_all_of_it_is_stored_later(
    tmp_path, monkeypatch, trouble, said
):
    """Meanwhile who reads the store sees that nothing new has come, and why is told by the collector."""
    monkeypatch.setattr(sqlite_store, "PATIENCE", 0.01)
    path = tmp_path / "metrics.db"
    with open_store(path) as store, open_store(path, read_only=True) as reader:
        watched = Watched(store)
        watched.interval()
        with trouble(path):
            for _ in range(4):
                with pytest.raises(StoreError, match=said):
                    watched.interval()
            end = reader.last().end
            assert end == BEGIN + 10.0
            found = freshness(end, watched.now, 10.0)
            assert (found.status, found.reason) == (Status.DEGRADED, "no new data for 40 s, expected every 10 s")
        assert said in str(watched.collector.problem)
        watched.interval()
        decisions = [
            point for key in reader.series("engine_decisions") for point in reader.read(key, 0.0, inf) if point.value
        ]
    assert [(point.end, point.value) for point in decisions] == [(BEGIN + 10.0 * n, 3.0) for n in range(1, 7)]
    assert watched.engine.stats()["decisions"] == watched.decided == 18


def test_an_explosion_of_labels_is_stored_as_few_series_with_every_count(tmp_path):
    with open_store(tmp_path / "metrics.db") as store, PerformanceMonitor(max_series=10) as monitor:
        seen = monitor.counter("seen", "Seen.", labels=("path",))
        collector = MetricsCollector(store)
        collector.register_monitor(monitor)
        for burst in range(3):
            for each in range(500):
                seen.labels(path=f"/{burst}/{each}").inc()
            collector.collect()
            collector.flush()
        keys = store.series("seen")
        counts = {key: sum(point.value for point in store.read(key, 0.0, inf)) for key in keys}
    assert len(keys) == 11
    assert sum(counts.values()) == 1_500
    assert counts[SeriesKey("seen", (("path", OVERFLOW),))] == 1_490


class OnAFullDisk:
    """A notifier; while it sends, the disk of the file of alerts fills up."""

    name, deduplicates = "told", False

    def __init__(self, path):
        self.path, self.messages, self.stack = path, [], contextlib.ExitStack()

    def send(self, message):
        self.messages.append(message)
        self.stack.enter_context(full(self.path))


@POSIX
def test_what_was_sent_and_could_not_be_written_down_is_not_sent_again(tmp_path):
    """Nor does a full disk change what alerts there are: what it kept from being recorded comes when there is room."""
    path = tmp_path / "alerts.db"
    told = OnAFullDisk(path)
    with open_store(tmp_path / "metrics.db") as store, told.stack:
        watched = Watched(store)
        watched.interval()
        rules = [AlertRule(name=name, metric="engine_bars", above=-1.0) for name in ("first", "second")]
        with AlertingSystem(rules[:1], store, path, notifiers=[told], clock=watched.clock) as alerts:
            assert len(alerts.evaluate()) == 1
            for _ in range(2):
                with pytest.raises(StoreError, match="see whether the disk is full"):
                    alerts.deliver()
            assert (len(told.messages), alerts.stats()["unwritten"], alerts.stats()["sent"]) == (1, 2.0, 0.0)
            told.stack.close()
            assert alerts.deliver() == 1
            assert alerts.deliveries() == ()
        with AlertingSystem(rules, store, path, notifiers=[told], clock=watched.clock) as alerts:
            with full(path), pytest.raises(StoreError, match="see whether the disk is full"):
                alerts.evaluate()
            assert [each.rule for each in alerts.alerts()] == ["first"]
            assert [each.rule for each in alerts.evaluate()] == ["second"]
        assert [each.rule for each in told.messages] == ["first"]
