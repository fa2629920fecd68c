"""The adapters, in the real libraries: what these export is what the monitor says."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from engine_opt import InputError
from engine_opt.monitoring.exporters import OpenTelemetryInstruments, PrometheusCollector
from engine_opt.monitoring.openmetrics import cumulative, page
from engine_opt.monitoring.performance_monitor import PerformanceMonitor


@pytest.fixture
def filled(monitor, clock):
    """A monitor with each kind of metric."""
    done = monitor.counter("done", "What was done.", labels=("account",))
    done.labels(account="GEN").inc(3)
    done.labels(account="REV").inc()
    monitor.gauge("held_bytes", "Bytes held.").set(-1.5)
    monitor.gauge("unset", "Never set.")
    for seconds in (0.5, 0.001, 3.0):
        with monitor.timed("work_seconds", "Time of a piece of work."):
            clock.tick(seconds)
    return monitor


# prometheus_client


def samples(text):
    return {
        (each.name, frozenset(each.labels.items()), each.value)
        for metric in text_string_to_metric_families(text)
        for each in metric.samples
    }


def test_a_registry_of_prometheus_client_shows_what_our_page_shows(filled):
    registry = CollectorRegistry()
    registry.register(PrometheusCollector(filled.snapshot))
    assert samples(generate_openmetrics(registry).decode()) == samples(page(filled.snapshot()))
    assert registry.get_sample_value("done_total", {"account": "GEN"}) == 3
    filled.counter("done", "What was done.", labels=("account",)).labels(account="GEN").inc()
    assert b'done_total{account="GEN"} 4.0' in generate_latest(registry)


def test_metrics_that_come_later_are_shown_as_well():
    monitor, registry = PerformanceMonitor(), CollectorRegistry(auto_describe=True)
    collector = PrometheusCollector(monitor.snapshot)
    registry.register(collector)
    monitor.counter("late", "Made late.").inc()
    assert registry.get_sample_value("late_total") == 1
    registry.unregister(collector)
    assert registry.get_sample_value("late_total") is None


# OpenTelemetry


@pytest.fixture
def otel():
    """Return a meter, and a function that reads what a reader sees: unit and value by name and attributes."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)

    def read():
        data = reader.get_metrics_data()
        metrics = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return {
            metric.name: (
                metric.unit,
                {frozenset(point.attributes.items()): point.value for point in metric.data.data_points},
            )
            for metric in metrics
        }

    yield provider.get_meter("engine"), read
    provider.shutdown()


def of(**labels):
    return frozenset(labels.items())


def test_instruments_of_opentelemetry_show_what_the_monitor_says(filled, otel):
    meter, read = otel
    instruments = OpenTelemetryInstruments(meter, filled.snapshot)
    found = read()
    assert found["done"] == ("", {of(account="GEN"): 3, of(account="REV"): 1})
    assert found["held_bytes"] == ("By", {of(): -1.5})
    assert "unset" not in found
    histogram = filled.timer("work_seconds", "Time of a piece of work.").ok.value()
    ok, error = of(outcome="ok"), of(outcome="error")
    assert found["work_seconds.count"] == ("", {ok: 3, error: 0})
    assert found["work_seconds.sum"] == ("s", {ok: histogram.total, error: 0})
    buckets = {of(outcome="ok", le=repr(bound)): count for bound, count in cumulative(histogram)}
    seen = {labels: count for labels, count in found["work_seconds.bucket"][1].items() if ok < labels}
    assert seen == {**buckets, of(outcome="ok", le="+Inf"): 3}
    assert instruments.update() == 0


def test_what_came_later_is_shown_after_an_update(filled, otel):
    meter, read = otel
    instruments = OpenTelemetryInstruments(meter, filled.snapshot)
    filled.counter("late", "Made late.").inc(2)
    assert "late" not in read()
    assert instruments.update() == 1
    assert read()["late"] == ("", {of(): 2})


def test_one_reading_is_one_moment_and_the_next_one_another(filled, otel):
    """The source is asked once for all instruments, however many there are."""
    meter, read = otel
    asked = []

    def source():
        asked.append(1)
        return filled.snapshot()

    OpenTelemetryInstruments(meter, source)
    for readings in (1, 2, 3):
        filled.gauge("held_bytes", "Bytes held.").set(float(readings))
        assert read()["held_bytes"][1] == {of(): readings}
        assert len(asked) == 1 + readings


# Both


@pytest.mark.parametrize("adapter", [PrometheusCollector, lambda source: OpenTelemetryInstruments(None, source)])
def test_a_source_that_cannot_be_asked_is_refused(adapter):
    with pytest.raises(InputError, match="source"):
        adapter(PerformanceMonitor().snapshot())


@pytest.mark.parametrize(
    ("module", "make", "distribution"),
    [
        ("prometheus_client", "PrometheusCollector(tuple)", "prometheus_client"),
        ("opentelemetry", "OpenTelemetryInstruments(None, tuple)", "opentelemetry-api"),
    ],
)
def test_without_the_library_the_message_names_the_extra(module, make, distribution):
    """And importing the adapters, or writing a page, needs neither."""
    code = f"""
import sys
sys.modules[{module!r}] = None
from engine_opt.monitoring import exporters, openmetrics
assert not {{"prometheus_client", "opentelemetry"}} & {{name for name, each in sys.modules.items() if each}}
try:
    exporters.{make}
except exporters.EngineError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == f"this needs {distribution}: pip install 'pytest-pe-perf[metrics]'\n", done.stderr
