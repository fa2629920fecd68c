"""What it costs to be monitored: a hundred records of each kind, with the monitor on and off; and to read it all."""

from __future__ import annotations

import pytest

from engine_opt.monitoring.performance_monitor import PerformanceMonitor

SERIES = 200


def make(*, on):
    """Return a counter, a gauge, a histogram's series and a timer of a monitor."""
    monitor = PerformanceMonitor(enabled=on)
    return {
        "counter": monitor.counter("decisions", "Decisions taken.").inc,
        "gauge": monitor.gauge("open_positions", "Positions that are open.").set,
        "histogram": monitor.histogram("premium", "Premium taken.", lowest=0.01, highest=1e6).record,
        "duration": monitor.timer("analysis_seconds", "Time of an analysis.").ok.record,
        "timer": monitor.timer("decision_seconds", "Time of a decision."),
        "labelled": monitor.counter("verdicts", "Verdicts given.", labels=("account", "verdict")),
    }


@pytest.fixture(params=[True, False], ids=["on", "off"])
def made(request):
    """Return what a monitor made, which is on or off."""
    return make(on=request.param)


def hundred(record, *args):
    """Record a hundred times: once is too short to be gated."""
    for _ in range(100):
        record(*args)


def work():
    """Do nothing."""


def block(timer):
    """Do nothing, timed."""
    with timer.timed():
        pass


def look_up(labelled):
    """Return a series by its labels."""
    return labelled.labels(account="GEN", verdict="approved")


def test_count(pe_latency, pe_memory, made):
    """One more."""
    pe_latency(hundred, made["counter"])
    pe_memory(hundred, made["counter"])


def test_set_a_gauge(pe_latency, pe_memory, made):
    """A value in place of the last one."""
    pe_latency(hundred, made["gauge"], 3.0)
    pe_memory(hundred, made["gauge"], 3.0)


@pytest.mark.parametrize("kind", ["histogram", "duration"])
def test_record(pe_latency, pe_memory, made, kind):
    """A value into a histogram, or a duration that was measured elsewhere into a timer."""
    pe_latency(hundred, made[kind], 0.0123)
    pe_memory(hundred, made[kind], 0.0123)


def test_time_a_block(pe_latency, pe_memory, made):
    """The clock is read twice."""
    pe_latency(hundred, block, made["timer"])
    pe_memory(hundred, block, made["timer"])


def test_time_a_function(pe_latency, pe_memory, made):
    """The same by a decorator."""
    timed = made["timer"].timed()(work)
    pe_latency["timed"](hundred, timed)
    pe_latency["bare"](hundred, work)
    pe_memory(hundred, timed)


def test_look_up_a_series(pe_latency, pe_memory, made):
    """By two labels, which is what keeping the series saves."""
    pe_latency(hundred, look_up, made["labelled"])
    pe_memory(hundred, look_up, made["labelled"])


def test_a_label_that_explodes(pe_latency, pe_memory):
    """A hundred values of a label that do not fit: all end in one series."""
    monitor = PerformanceMonitor(max_series=10)
    seen = monitor.counter("seen", "Seen.", labels=("path",))

    def explode():
        for each in range(100):
            seen.labels(path=f"/{each}").inc()

    explode()
    pe_latency(explode)
    pe_memory(explode)
    assert len(seen.series()) == 11


@pytest.fixture
def full():
    """Return a monitor with two hundred series of histograms, each over three decades."""
    monitor = PerformanceMonitor(max_series=SERIES)
    sizes = monitor.histogram("sizes", "Sizes.", labels=("each",), lowest=1e-7, highest=1e4)
    for each in range(SERIES):
        series = sizes.labels(each=str(each))
        for step in range(350):
            series.record(1e-5 * 1.02**step)
    return monitor


def test_make_two_hundred_series(pe_latency, pe_memory):
    """What they take, which is all there is to take: 2 MB at most."""

    def fill():
        monitor = PerformanceMonitor(max_series=SERIES)
        sizes = monitor.histogram("sizes", "Sizes.", labels=("each",), lowest=1e-7, highest=1e4)
        for each in range(SERIES):
            sizes.labels(each=str(each)).record(1.0)
        return monitor.snapshot()

    assert len(pe_latency(fill)[0].series) == SERIES
    pe_memory(fill)


def test_fill_two_hundred_series(pe_memory):
    """A hundred thousand records take what one in each takes; docs/optimization/monitor.py has ten millions."""

    def fill():
        monitor = PerformanceMonitor(max_series=SERIES)
        sizes = monitor.histogram("sizes", "Sizes.", labels=("each",), lowest=1e-7, highest=1e4)
        for each in range(SERIES):
            record = sizes.labels(each=str(each)).record
            for step in range(500):
                record(1e-6 * 1.04**step)
        return monitor

    assert pe_memory(fill).stats()["series"] == SERIES


def test_read_two_hundred_series(pe_latency, pe_memory, full):
    """What is done once in a while, by somebody else."""
    assert len(pe_latency(full.snapshot)[0].series) == SERIES
    pe_memory(full.snapshot)


def test_a_quantile_and_a_sum_of_histograms(pe_latency):
    """What a store does to keep quantiles while it thins its series out."""
    monitor = PerformanceMonitor()
    sizes = monitor.histogram("sizes", "Sizes.", lowest=1e-7, highest=1e4)
    for step in range(350):
        sizes.record(1e-5 * 1.02**step)
    found = sizes.value()
    pe_latency["quantile"](found.quantile, 0.99)
    assert pe_latency["sum"](found.__add__, found).count == 700
    pe_latency["plain"](found.to_plain)
    pe_latency["again"](type(found).from_plain, found.to_plain())
