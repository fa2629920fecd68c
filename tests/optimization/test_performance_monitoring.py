"""Monitoring from end to end: an engine at work, what is stored of it, the alert, the analysis, the exported page.

The monitor's clock is ours, and so is the time of the day: a slowdown is planted by letting each look at the clock cost
more. Nothing waits, and every number has one right value.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from engine_opt import ProtocolEngine, data
from engine_opt.engine_metrics import component_records
from engine_opt.model import Book, WeekContext, WeekRequest
from engine_opt.monitoring.alerting_system import AlertingSystem, Phase, load_alerts
from engine_opt.monitoring.histogram import Histogram
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.metrics_collector import MetricsCollector
from engine_opt.monitoring.openmetrics import Form, page
from engine_opt.monitoring.performance_analytics import ImpactVerdict, changes, impact
from engine_opt.monitoring.performance_monitor import PerformanceMonitor
from engine_opt.monitoring.samples import SeriesKey

BARS = data.load("AAPL")
BOOK, KNOWN = Book(1e6, 3e6, 0.05, 0.01, shares_held=500), WeekContext(days_to_expiration=3, favourable=True)
DECISIONS = SeriesKey("engine_decision_seconds", (("outcome", "ok"),))
BEGIN, INTERVAL, EACH = 1_800_000_000.0, 10.0, 12  # seconds, seconds, decisions in an interval
QUICK, SLOW = 50e-6, 20e-3  # seconds that a decision takes by the monitor's clock
THIRD = 24  # intervals
TOTAL = 3 * THIRD
RULES = """
[[alert]]
name = "slow decisions"
metric = "engine_decision_seconds"
labels = { outcome = "ok" }
quantile = 0.99
window = "20 s"
above = 0.005
for = "20 s"

[[notifier]]
name = "log of alerts"
kind = "file"
path = {path}
"""


class Watched:
    """An engine, a collector and alerts, whose clocks are attributes."""

    def __init__(self, folder):
        self.now, self.tick, self.seen = BEGIN, QUICK, 0.0
        self.monitor = PerformanceMonitor(clock=self._steady)
        self.engine = ProtocolEngine(monitor=self.monitor, timed_every=1)
        self.path = folder / "metrics.db"
        self.store = open_store(self.path)
        self.collector = MetricsCollector(self.store, clock=lambda: self.now, monotonic=lambda: self.now)
        self.collector.register_monitor(self.monitor)
        self.collector.register_source("engine", lambda: component_records(self.engine))
        rules = folder / "rules.toml"
        self.told = folder / "alerts.jsonl"
        rules.write_text(RULES.replace("{path}", json.dumps(str(self.told))))
        watched, notifiers = load_alerts(rules)
        self.alerts = AlertingSystem(
            watched, self.store, folder / "alerts.db", notifiers=notifiers, clock=lambda: self.now
        )
        self.states, self.bars = [], iter(BARS)
        for _ in range(60):
            self.engine.update("AAPL", next(self.bars))

    def _steady(self):
        self.seen += self.tick
        return self.seen

    def interval(self):
        """Decide for ten seconds, collect, store, and look at the alerts."""
        for _, bar in zip(range(EACH), self.bars, strict=False):
            self.engine.update("AAPL", bar)
            now = datetime.combine(bar.time, datetime.min.time()) + timedelta(hours=18)
            self.engine.decide(WeekRequest("AAPL", "REV", "cash", now, BOOK, KNOWN, week_start_price=bar.open))
        self.now += INTERVAL
        self.collector.collect()
        self.collector.flush()
        self.alerts.evaluate()
        self.alerts.deliver()
        self.states.append({each.state for each in self.alerts.alerts()})

    def close(self):
        for each in (self.alerts, self.collector, self.store, self.engine):
            each.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Twelve minutes of work, slow in the middle third."""
    found = Watched(tmp_path_factory.mktemp("watched"))
    for tick in (QUICK, SLOW, QUICK):
        found.tick = tick
        for _ in range(THIRD):
            found.interval()
    yield found
    found.close()


def points(watched):
    return watched.store.read(DECISIONS, BEGIN, watched.now)


def test_the_history_has_every_interval_and_every_decision(watched):
    """Each interval is there once; stored counts are those of the engine; half of the decisions were timed whole."""
    found = points(watched)
    assert [point.end for point in found] == [BEGIN + INTERVAL * number for number in range(1, TOTAL + 1)]
    decided = sum(
        point.value
        for key in watched.store.series("engine_decisions")
        for point in watched.store.read(key, BEGIN, watched.now)
    )
    assert decided == watched.engine.stats()["decisions"] == TOTAL * EACH
    assert sum(point.value for point in found) == TOTAL * EACH / 2


def test_quantiles_of_any_window_are_within_one_per_cent(watched):
    """Merged from what is stored: the time of a decision before, while and after it was slow."""
    for number, tick in enumerate((QUICK, SLOW, QUICK)):
        held = [point.histogram for point in points(watched)[number * THIRD : (number + 1) * THIRD]]
        merged = sum(held[1:], start=held[0])
        assert isinstance(merged, Histogram)
        assert merged.quantile(0.5) == pytest.approx(tick, rel=0.01)
        assert merged.quantile(0.99) == pytest.approx(tick, rel=0.01)


def test_the_alert_waits_fires_once_and_resolves(watched):
    """Quiet at first; pending for 20 s of the slowdown, then firing; resolved when it is over, each told once."""
    assert all(states == set() for states in watched.states[:THIRD])
    assert watched.states[THIRD : THIRD + 2] == [{Phase.PENDING}] * 2
    assert all(states == {Phase.FIRING} for states in watched.states[THIRD + 2 : 2 * THIRD])
    assert watched.states[-1] == {Phase.RESOLVED}
    assert [json.loads(line)["event"] for line in watched.told.read_text().splitlines()] == ["firing", "resolved"]
    (alert,) = watched.alerts.alerts()
    assert alert.rule == "slow decisions"
    assert dict(alert.labels)["outcome"] == "ok"


def test_the_analysis_says_when_it_changed_and_by_how_much(watched):
    medians = [(point.end, point.histogram.quantile(0.5)) for point in points(watched)]
    assert [change.index for change in changes(medians)] == [THIRD, 2 * THIRD]
    before, after = ([value for _, value in medians[start : start + THIRD]] for start in (0, THIRD))
    found = impact(before, after, smaller_is_better=True)
    assert found.verdict is ImpactVerdict.WORSE
    assert found.ratio == pytest.approx(SLOW / QUICK, rel=0.02)


def test_the_exported_page_has_the_same_totals(watched):
    text = page([*watched.monitor.snapshot(), *component_records(watched.engine)], Form.OPENMETRICS)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert sum(sample.value for sample in families["engine_decisions"].samples) == TOTAL * EACH
    counts = [sample.value for sample in families["engine_decision_seconds"].samples if sample.name.endswith("_count")]
    assert sum(counts) == TOTAL * EACH / 2


def test_a_reader_of_the_file_sees_the_same(watched):
    """As the dashboard does, in another process: read only, while it is written."""
    with open_store(watched.path, read_only=True) as reader:
        assert reader.read(DECISIONS, BEGIN, watched.now) == points(watched)
        assert reader.last() == watched.store.last()
