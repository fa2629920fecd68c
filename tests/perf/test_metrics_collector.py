"""What it costs to collect and to store two hundred series, and to read a week of them for a page."""

from __future__ import annotations

from itertools import count

import pytest

from engine_opt.monitoring.histogram import HistogramRecorder
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.metrics_collector import MetricsCollector
from engine_opt.monitoring.performance_monitor import PerformanceMonitor
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey
from engine_opt.monitoring.store.downsampling import merged
from engine_opt.monitoring.store.histogram_bytes import from_bytes, to_bytes

# Megabytes at once: where others use the memory too, these times move by some per cent from hour to hour.
pytestmark = pytest.mark.pe_latency(margin="10 %", threshold="15 %")

START = 1_699_999_200.0  # an hour ends
HOURS = 168
PLAIN, TIMERS = 140, 60
METRICS = (
    MetricInfo("levels", SampleKind.GAUGE, "Levels."),
    MetricInfo("took_seconds", SampleKind.HISTOGRAM, "Times."),
)
KEYS = [
    *(SeriesKey("levels", (("of", str(each)),)) for each in range(PLAIN)),
    *(SeriesKey("took_seconds", (("of", str(each)),)) for each in range(TIMERS)),
]


def histogram(values):
    """Return a histogram of so many values, in as many buckets."""
    recorder = HistogramRecorder(lowest=1e-7, highest=1e4)
    for step in range(values):
        recorder.record(1e-4 * 1.02**step)
    return recorder.value()


SOME, NONE = histogram(30), histogram(0)


def collection(end, seconds):
    """Return two hundred series; of the histograms, every other one is empty, as those of errors are."""
    values = [float(each) for each in range(PLAIN)] + [SOME, NONE] * (TIMERS // 2)
    return Collection(end, seconds, METRICS, tuple(map(Sample, KEYS, values)))


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    """Return a reader of a store that has a week."""
    path = tmp_path_factory.mktemp("week") / "metrics.db"
    with open_store(path) as store:
        store.write([collection(START + 3600.0 * hour, 3600.0) for hour in range(1, HOURS + 1)])
        with open_store(path, read_only=True) as reader:
            yield reader


def test_collect_two_hundred_series(pe_latency, pe_memory, tmp_path):
    """In the thread of the collector, which takes turns with the engine."""
    monitor = PerformanceMonitor(max_series=PLAIN)
    levels = monitor.gauge("levels", "Levels.", ["of"])
    timers = monitor.timer("took_seconds", "Times.", ["of"])
    for each in range(PLAIN):
        levels.labels(of=str(each)).set(float(each))
    for each in range(TIMERS // 2):
        for step in range(30):
            timers.labels(of=str(each)).ok.record(1e-4 * 1.02**step)
    with open_store(tmp_path / "metrics.db") as store:
        moments = count(1)
        collector = MetricsCollector(store, monotonic=lambda: float(next(moments)), most_pending=1)
        collector.register_monitor(monitor)
        assert len(pe_latency(collector.collect).samples) == PLAIN + TIMERS
        pe_memory(collector.collect)


def test_write_a_minute(pe_latency, tmp_path):
    """Six collections of two hundred series, which are put together to a minute, and now and then to an hour."""
    with open_store(tmp_path / "metrics.db") as store:
        minutes = count()

        def write():
            start = START + 60.0 * next(minutes)
            store.write([collection(start + 10.0 * step, 10.0) for step in range(1, 7)])

        pe_latency(write)
        assert store.stats()["failed"] == 0.0


def test_read_a_week_of_two_hundred_series(pe_latency, pe_memory, week):
    """All that a page could ask for at once."""
    end = START + 3600.0 * HOURS

    def read():
        return week.read_many(KEYS, end - 3600.0 * HOURS, end, most=500)

    assert [len(points) for points in pe_latency(read)] == [HOURS] * len(KEYS)
    pe_memory(read)


def test_read_a_week_of_one_series(pe_latency, pe_memory, week):
    """A line of a page."""
    pe_latency(week.read, KEYS[0], START, START + 3600.0 * HOURS, most=500)
    pe_memory(week.read, KEYS[0], START, START + 3600.0 * HOURS, most=500)


def test_a_histogram_as_bytes(pe_latency, pe_memory):
    """There and back, and six put together."""
    data = pe_latency["to"](to_bytes, SOME)
    assert pe_latency["from"](from_bytes, data) == SOME
    assert pe_latency["six"](merged, [SOME] * 6).count == 6 * SOME.count
    pe_memory(from_bytes, data)
