"""What rules say of a store, as one could reckon it by hand."""

from contextlib import closing
from math import isclose, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_opt.monitoring.alerts.conditions import Observation, Readings, Verdict, compared, observed
from engine_opt.monitoring.alerts.rules import AlertRule
from engine_opt.monitoring.histogram import HistogramRecorder
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey, SeriesPoint

B, M, C, N = Verdict.BREACHED, Verdict.BETWEEN, Verdict.CLEAR, Verdict.NO_DATA
KINDS = {
    "rss": SampleKind.GAUGE,
    "leaking": SampleKind.GAUGE,
    "done": SampleKind.COUNTER,
    "took": SampleKind.HISTOGRAM,
}
GEN, CASH = (("account", "GEN"),), (("account", "CASH"),)


def histogram(*values):
    recorder = HistogramRecorder(lowest=1e-3, highest=1e3)
    for each in values:
        recorder.record(each)
    return recorder.value()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return half an hour of collections, ten seconds each, up to 2,000; of CASH there is nothing after 1,900."""
    infos = tuple(MetricInfo(name, kind, "For tests.") for name, kind in KINDS.items())
    collections = []
    for step in range(180):
        end = 210.0 + 10 * step
        samples = [
            Sample(SeriesKey("leaking"), 100.0 + step + step % 2),
            Sample(SeriesKey("rss", GEN), float(step)),
            Sample(SeriesKey("done", GEN), 20.0),
            Sample(SeriesKey("took", GEN), histogram(1.0, 2.0, 100.0 if step == 170 else 3.0)),
        ]
        if end <= 1_900.0:
            samples.append(Sample(SeriesKey("rss", CASH), 5.0))
        collections.append(Collection(end, 10.0, infos, tuple(samples)))
    with closing(open_store(tmp_path_factory.mktemp("store") / "metrics.db")) as made:
        made.write(collections)
        yield made


def say(store, now=2_000.0, watched=1e9, **given):
    return observed(AlertRule(name="r", **given), Readings(store, now), watched)


def test_a_gauge_is_the_last_it_showed_in_the_window(store):
    assert say(store, metric="rss", above=178.0) == {GEN: Observation(B, 179.0), CASH: Observation(N)}
    assert say(store, metric="rss", above=4.0, window=110.0)[CASH] == Observation(B, 5.0)
    assert say(store, metric="rss", below=6.0, now=1_900.0)[CASH] == Observation(B, 5.0)


def test_a_counter_is_its_rate_a_second(store):
    assert say(store, metric="done", above=1.9) == {GEN: Observation(B, 2.0)}
    assert say(store, metric="done", below=1.9, window=600.0) == {GEN: Observation(C, 2.0)}


def test_a_quantile_is_of_all_values_in_the_window(store):
    (seen,) = say(store, metric="took", quantile=1.0, above=50.0).values()
    assert seen == Observation(B, 100.0)
    (seen,) = say(store, metric="took", quantile=1.0, above=50.0, window=60.0).values()
    assert seen == Observation(C, 3.0)
    (seen,) = say(store, metric="took", quantile=0.5, above=5.0).values()
    assert seen.verdict is C
    assert isclose(seen.value, 2.0, rel_tol=0.01)


def test_a_rule_looks_at_the_series_whose_labels_it_names(store):
    assert list(say(store, metric="rss", above=1, labels={"account": "CASH"})) == [CASH]
    assert list(say(store, metric="rss", above=1, labels={"account": ["GEN", "CASH"]})) == [CASH, GEN]
    assert say(store, metric="rss", above=1, labels={"account": "none"}) == {}
    assert say(store, metric="leaking", above=1, labels={"account": "GEN"}) == {}


def test_data_are_missing_for_as_long_as_somebody_has_looked(store):
    rule = {"metric": "rss", "missing": 60.0}
    assert say(store, **rule) == {(): Observation(C), GEN: Observation(C), CASH: Observation(B)}
    assert say(store, watched=59.0, **rule)[CASH] == Observation(N)
    assert say(store, now=2_060.0, **rule)[GEN] == Observation(B)
    assert say(store, now=2_059.0, **rule)[GEN] == Observation(C)


def test_what_is_forgotten_is_not_missing(store):
    assert CASH not in say(store, metric="rss", missing=60.0, forget=100.0)
    assert CASH in say(store, metric="rss", missing=60.0, forget=101.0)


def test_what_was_never_there_is_missing(store):
    labels = {"account": "GEN", "zone": ["a", "b"]}
    assert say(store, metric="never", missing=60.0, labels=labels) == {GEN: Observation(B)}
    assert say(store, metric="never", missing=60.0, watched=1.0) == {(): Observation(N)}


def test_a_forecast_breaches_where_the_limit_is_likely_reached_in_time(store):
    """It grows by 0.1 a second, from 280 now."""
    rule = {"metric": "leaking", "within": 600.0}
    (seen,) = say(store, above=310.0, **rule).values()
    assert seen.verdict is B
    assert seen.value == pytest.approx(300.0, rel=0.05)
    (seen,) = say(store, above=500.0, **rule).values()
    assert seen == Observation(C, None)
    (seen,) = say(store, above=200.0, **rule).values()
    assert seen == Observation(B, 0.0)
    (seen,) = say(store, below=50.0, **rule).values()
    assert seen.verdict is C


def test_a_forecast_needs_points_and_a_trend(store):
    rule = {"metric": "leaking", "within": 600.0, "above": 310.0}
    assert say(store, window=100.0, **rule) == {(): Observation(N)}
    steady = {"metric": "done", "within": 600.0, "above": 3.0}
    assert say(store, **steady) == {GEN: Observation(C)}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"metric": "rs", "above": 1}, "unknown metric 'rs': the store has none of that name yet. did you mean 'rss'?"),
        ({"metric": "took", "above": 1}, "'took' is a histogram: say which quantile of it"),
        ({"metric": "rss", "quantile": 0.9, "above": 1}, "'rss' is a gauge: only a histogram has quantiles"),
    ],
)
def test_what_a_rule_cannot_look_at_is_said(store, rule, said):
    assert say(store, **rule) == said


def test_what_is_no_number_is_no_answer():
    """A store that somebody else made may hold it."""

    class Strange:
        def metrics(self):
            return (MetricInfo("rss", SampleKind.GAUGE, ""),)

        def series(self, name=None):
            return (SeriesKey("rss"),)

        def read(self, key, start, end, *, most=1_000):
            return (SeriesPoint(end, 1.0, nan, nan, nan),)

    (seen,) = say(Strange(), metric="rss", above=1).values()
    assert seen.verdict is N
    assert "not a finite number" in seen.problem


def test_histograms_that_do_not_add_up_are_a_problem():
    """Their range was changed a minute ago."""

    class Changed:
        def metrics(self):
            return (MetricInfo("took", SampleKind.HISTOGRAM, ""),)

        def series(self, name=None):
            return (SeriesKey("took"),)

        def read(self, key, start, end, *, most=1_000):
            other = HistogramRecorder(lowest=1e-6, highest=1.0)
            other.record(0.5)
            pieces = histogram(2.0), other.value()
            return tuple(SeriesPoint(end, 1.0, 1.0, 1.0, 1.0, each) for each in pieces)

    (seen,) = say(Changed(), metric="took", quantile=0.5, above=1).values()
    assert seen.verdict is N
    assert "range" in seen.problem


@given(st.integers(-5, 5), st.integers(-5, 5), st.integers(0, 3) | st.none(), st.booleans())
def test_a_limit_is_neither_above_nor_below_itself(value, limit, gap, ceiling):
    sign = 1 if ceiling else -1
    side, other = ("above", "resolve_below") if ceiling else ("below", "resolve_above")
    back = {} if gap is None else {other: limit - sign * gap}
    found = compared(AlertRule(name="r", metric="m", **{side: limit}, **back), float(value))
    beyond = sign * (value - limit)
    if beyond > 0:
        assert found is B
    elif gap is None or beyond < -gap:
        assert found is C
    else:
        assert found is M


def test_a_series_is_read_once_however_many_rules_look_at_it(store):
    readings = Readings(store, 2_000.0)
    for limit in range(10):
        observed(AlertRule(name=f"r{limit}", metric="rss", above=limit), readings, 1.0)
    assert readings.read == 2
