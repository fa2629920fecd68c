"""What an evaluation of alerts costs, over a store with an hour of collections: done every few seconds, by somebody else."""

from __future__ import annotations

from contextlib import closing

import pytest

from engine_opt.monitoring.alerting_system import AlertingSystem, AlertRule
from engine_opt.monitoring.histogram import HistogramRecorder
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey

# Megabytes at once: where others use the memory too, these times move by some per cent from hour to hour.
pytestmark = pytest.mark.pe_latency(margin="10 %", threshold="15 %")

SERIES, RULES = 200, 50
NOW = 1_700_003_600.0


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return an hour of a gauge that rises, a counter and a histogram, of two hundred series each."""
    recorder = HistogramRecorder(lowest=1e-6, highest=1e3)
    for step in range(100):
        recorder.record(1e-3 * 1.02**step)
    took = recorder.value()
    kinds = {"level": SampleKind.GAUGE, "done": SampleKind.COUNTER, "took": SampleKind.HISTOGRAM}
    infos = tuple(MetricInfo(name, kind, "For this benchmark.") for name, kind in kinds.items())
    collections, end = [], NOW - 3_600.0
    for seconds in [60.0] * 55 + [10.0] * 30:  # all of them lately, the gauge before that
        end += seconds
        values = {"level": 0.1 * (end - NOW) + len(collections) % 3, "done": 20.0, "took": took}
        samples = tuple(
            Sample(SeriesKey(name, (("each", str(each)),)), value)
            for name, value in values.items()
            if name == "level" or seconds == 10.0
            for each in range(SERIES)
        )
        collections.append(Collection(end, seconds, infos, samples))
    with closing(open_store(tmp_path_factory.mktemp("store") / "metrics.db")) as made:
        made.write(collections)
        yield made


@pytest.fixture
def system(store, tmp_path):
    """Return a function that makes a system of some rules, evaluated once: what fires has been recorded."""
    made = []

    def make(*rules):
        made.append(AlertingSystem(rules, store, tmp_path / f"{len(made)}.db", clock=lambda: NOW))
        made[-1].evaluate()
        return made[-1]

    yield make
    for each in made:
        each.close()


def rules(metric, **given):
    """Return fifty rules of which one fires, on all two hundred series."""
    return [
        AlertRule(name=f"{metric} {number}", metric=metric, above=1e6 if number else -1e6, **given)
        for number in range(RULES)
    ]


@pytest.mark.parametrize("metric", ["level", "done"])
def test_fifty_rules_on_two_hundred_series(pe_latency, system, metric):
    """Ten thousand verdicts, two hundred of which are an alert that is firing already."""
    alerts = system(*rules(metric))
    pe_latency(alerts.evaluate)
    assert (alerts.stats()["series"], alerts.stats()["firing"]) == (RULES * SERIES, SERIES)


def test_fifty_rules_about_quantiles(pe_latency, system):
    """The histograms of five minutes are added up once for all rules."""
    alerts = system(*rules("took", quantile=0.99))
    pe_latency(alerts.evaluate)
    assert alerts.stats()["series"] == RULES * SERIES


def test_a_forecast_of_two_hundred_series(pe_latency, system):
    """Each a trend over an hour."""
    alerts = system(AlertRule(name="full", metric="level", above=500.0, within=7_200.0))
    pe_latency(alerts.evaluate)
    assert alerts.stats()["firing"] == SERIES


def test_list_the_alerts(pe_latency, system):
    """What the dashboard does at each of its refreshes."""
    alerts = system(*rules("level"))
    assert len(pe_latency(alerts.alerts)) == SERIES
