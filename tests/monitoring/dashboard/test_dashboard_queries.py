"""Series as columns: put together they show what was recorded, as if it had been one series all along."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt.errors import InputError
from engine_opt.monitoring.dashboard.queries import Panel, Selection, columns, groups, show
from engine_opt.monitoring.samples import SampleKind

ALL = ("p50", "p90", "p99", "p99.9", "mean", "min", "max", "count", "rate")
INTERVALS = range(1, 31)


def selection(metric, by=None, stats=("rate",), labels=(), of=()):
    return Selection(metric, tuple(labels), by, tuple(stats), tuple(of))


def plain(values, seconds):
    """Return the numbers of some values, by their definitions."""
    values = sorted(values)
    found = {f"p{100 * share:g}": values[math.ceil(share * len(values)) - 1] for share in (0.5, 0.9, 0.99, 0.999)}
    count = len(values)
    mean = sum(values) / count
    return {
        **found,
        "mean": mean,
        "min": values[0],
        "max": values[-1],
        "count": count,
        "rate": count / seconds,
    }


@pytest.mark.parametrize("by", [(), ("component",), ("component", "outcome")])
def test_a_group_of_histograms_shows_the_numbers_of_all_its_values(store, helpers, by):
    for group in groups(store, SampleKind.HISTOGRAM, selection("component_seconds", by, ALL)):
        named = dict(group.labels)
        read = columns(store, SampleKind.HISTOGRAM, group, ALL, helpers.start, helpers.start + 300.0, 500)
        assert read.time == [helpers.start + 10.0 * number for number in INTERVALS]
        for index, number in enumerate(INTERVALS):
            values = [
                value
                for component in ("rules", "week")
                for outcome in ("ok", "error")
                if named.get("component", component) == component and named.get("outcome", outcome) == outcome
                for value in helpers.durations(number, component, outcome)
            ]
            shown = {stat: column[index] for stat, column in read.values.items()}
            assert shown == pytest.approx(plain(values, 10.0), rel=0.01)


@settings(max_examples=15)
@given(start=st.integers(0, 29), intervals=st.integers(1, 30), points=st.integers(1, 40))
def test_no_value_is_lost_or_counted_twice_whatever_is_put_together(store, helpers, start, intervals, points):
    begin, end = helpers.start + 10.0 * start, helpers.start + 10.0 * (start + intervals)
    (group,) = groups(store, SampleKind.HISTOGRAM, selection("component_seconds", (), ("count",)))
    read = columns(store, SampleKind.HISTOGRAM, group, ("count", "rate"), begin, end, points)
    held = min(start + intervals, 30) - start
    assert sum(read.values["count"]) == 80 * held
    assert sum(read.seconds) == pytest.approx(10.0 * held)
    assert read.values["rate"] == pytest.approx([8.0] * len(read.time))
    assert len(read.time) <= points
    assert read.time == sorted(read.time)


def test_a_share_is_of_what_was_added_in_the_same_interval(store, helpers):
    asked = selection("cache_hits", ("cache",), ("share",), of=("cache_hits", "cache_misses"))
    bars, rules = groups(store, SampleKind.COUNTER, asked)
    read = columns(store, SampleKind.COUNTER, bars, ("share",), helpers.start, helpers.start + 300.0, 500)
    assert read.values["share"] == pytest.approx([(30 + n % 3) / (40 + n % 3) for n in INTERVALS])
    read = columns(store, SampleKind.COUNTER, rules, ("share",), helpers.start, helpers.start + 300.0, 3)
    assert read.values["share"] == [1.0] * 3


def test_where_collections_are_finer_than_the_points_a_share_is_of_what_lies_together(store, helpers):
    """A long range of a store that is young: 300 points of 20 s, of which the last fifteen hold two collections each."""
    asked = selection("cache_hits", ("cache",), ("share",), of=("cache_hits", "cache_misses"))
    bars, _ = groups(store, SampleKind.COUNTER, asked)
    read = columns(store, SampleKind.COUNTER, bars, ("share",), helpers.start - 5_700.0, helpers.start + 300.0, 300)
    two = [sum(30 + n % 3 for n in (first, first + 1)) for first in INTERVALS[::2]]
    assert read.values["share"] == pytest.approx([hits / (hits + 20) for hits in two for _ in range(2)])


def test_a_share_of_nothing_is_no_number(store, helpers):
    (group,) = groups(store, SampleKind.COUNTER, selection("cache_misses", (), ("share",), of=("no_such",)))
    read = columns(store, SampleKind.COUNTER, group, ("share",), helpers.start, helpers.start + 20.0, 5)
    assert [math.isnan(value) for value in read.values["share"]] == [True, True]


def test_labels_narrow(store):
    asked = selection("component_seconds", labels=(("component", "week"),), stats=("p50",))
    labels = [dict(group.labels) for group in groups(store, SampleKind.HISTOGRAM, asked)]
    assert labels == [{"component": "week", "outcome": "error"}, {"component": "week", "outcome": "ok"}]


@pytest.mark.parametrize(
    ("kind", "asked", "why"),
    [
        (SampleKind.GAUGE, selection("rss_bytes"), "a gauge has value, min, max"),
        (SampleKind.COUNTER, selection("cache_hits", stats=("p99",)), "a counter has rate, value, share"),
        (SampleKind.COUNTER, selection("cache_hits", stats=("share",)), "name counters if a share is asked for"),
        (SampleKind.GAUGE, selection("cache_hits", (), ("value",)), "gauges do not add up"),
    ],
)
def test_what_makes_no_sense_is_refused(store, kind, asked, why):
    with pytest.raises(InputError, match=why):
        groups(store, kind, asked)


def test_a_panel_shows_its_last_seconds(store, helpers):
    panel = Panel("rate", "Hits", "cache_hits", ("value", "rate"), "1/s", by=("cache",), seconds=60.0)
    values, missing = show(store, panel, helpers.start + 300.0)
    assert missing is None
    assert values[0] == ((("cache", "bars"),), {"value": 6 * 31.0, "rate": pytest.approx(3.1)})


@pytest.mark.parametrize(
    ("panel", "said"),
    [
        (Panel("a", "A", "no_such", ("rate",), "1"), "there is no metric no_such yet"),
        (Panel("a", "A", "rss_bytes", ("rate",), "1"), "a gauge has value, min, max"),
        (
            Panel("a", "A", "rss_bytes", ("value",), "B", labels={"of": "x"}),
            "there was no such series in the last 60 s",
        ),
    ],
)
def test_a_panel_without_numbers_says_why(store, helpers, panel, said):
    values, missing = show(store, panel, helpers.start + 300.0)
    assert values == []
    assert said in missing


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id": ""}, "id"),
        ({"title": 3}, "title"),
        ({"unit": "ms"}, "unit"),
        ({"stats": ()}, "stats"),
        ({"stats": ("p42",)}, "stats"),
        ({"of": ("cache_hits",)}, "of"),
        ({"stats": ("share",)}, "of"),
        ({"seconds": float("nan")}, "seconds"),
    ],
)
def test_a_panel_that_cannot_be_shown_is_refused(changed, field):
    given = {"id": "a", "title": "A", "metric": "m", "stats": ("rate",), "unit": "1/s", **changed}
    with pytest.raises(InputError) as refused:
        Panel(**given)
    assert refused.value.field == field
