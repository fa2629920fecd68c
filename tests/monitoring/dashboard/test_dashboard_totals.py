"""Totals for whoever scrapes, from a store that keeps what each interval added."""

from contextlib import closing

import pytest

from engine_opt.monitoring.dashboard.totals import Totals
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey

METRICS = (MetricInfo("a", SampleKind.COUNTER, "A."), MetricInfo("b", SampleKind.GAUGE, "B."))
COUNTED, SHOWN = SeriesKey("a"), SeriesKey("b")


@pytest.fixture
def store(tmp_path):
    with closing(open_store(tmp_path / "metrics.db")) as store:
        yield store


def values(totals):
    """Return the values by metric of a few totals."""
    return {record.name: [series.value for series in record.series] for record in totals.records()}


@pytest.mark.parametrize("looks", [[1, 2, 3, 4, 5], [1, 5], [1, 3, 3, 5], [2, 5]])
def test_totals_are_the_same_however_often_somebody_looked(store, helpers, looks):
    """What was before the first look is not counted."""
    totals, written = Totals(), 0
    for look in looks:
        store.write([helpers.collection(number) for number in range(written + 1, look + 1)])
        written = look
        totals.follow(store, store.last())
    numbers = range(looks[0], 6)
    shown = values(totals)
    assert shown["cache_hits"] == [sum(30.0 + n % 3 for n in numbers), 5.0 * len(numbers)]
    assert shown["rss_bytes"] == [5e7 + 5]
    every = [value for n in numbers for value in helpers.durations(n, "rules", "error")]
    first = shown["component_seconds"][0]
    assert (first.count, first.buckets) == (len(every), helpers.histogram(every).buckets)


def test_a_gauge_that_is_not_shown_any_more_has_no_value_and_a_counter_keeps_its(store):
    totals = Totals()
    for end, samples in ((10.0, (Sample(COUNTED, 3.0), Sample(SHOWN, 7.0))), (20.0, ())):
        store.write([Collection(end, 10.0, METRICS, samples)])
        totals.follow(store, store.last())
    assert values(totals) == {"a": [3.0], "b": []}


def test_a_series_that_ended_while_nobody_looked_is_counted(store):
    totals = Totals()
    for end, samples in ((10.0, (Sample(SHOWN, 7.0),)), (20.0, (Sample(COUNTED, 3.0),)), (30.0, (Sample(SHOWN, 8.0),))):
        store.write([Collection(end, 10.0, METRICS, samples)])
        if end != 20.0:
            totals.follow(store, store.last())
    assert values(totals) == {"a": [3.0], "b": [8.0]}
