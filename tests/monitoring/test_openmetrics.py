"""A page of metrics says what the snapshot said, and those who read such pages read it."""

import shutil
import subprocess
from functools import reduce
from itertools import pairwise
from math import inf, isfinite, isnan, nan
from operator import add

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from engine_opt import InputError
from engine_opt.monitoring.histogram import Histogram, HistogramRecorder
from engine_opt.monitoring.openmetrics import LEFT_OUT, REFUSED, Form, cumulative, families, page
from engine_opt.monitoring.performance_monitor import Kind, MetricRecord, PerformanceMonitor, SeriesRecord
from engine_opt.monitoring.stat_records import Stat, StatTable

READERS = {Form.OPENMETRICS: read_openmetrics, Form.PROMETHEUS: read_prometheus}
FORMS = pytest.mark.parametrize("form", list(Form))
few = settings(max_examples=40)
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")


def read(text, form):
    """Return the samples of a page, by name and labels, and what it says of its metrics."""
    metrics = list(READERS[form](text))
    samples = {(each.name, frozenset(each.labels.items())): each.value for metric in metrics for each in metric.samples}
    assert len(samples) == sum(len(metric.samples) for metric in metrics)
    about = {metric.name: (metric.type, metric.documentation) for metric in metrics}
    return samples, about


def expected(records):
    """Return the same of a snapshot, from a plain definition: what each sample means."""
    samples, about = {}, {}
    for record in records:
        kind = {Kind.COUNTER: "counter", Kind.GAUGE: "gauge"}.get(record.kind, "histogram")
        about[record.name] = kind, record.help_text
        for labels, value in record.series:
            if not isinstance(value, Histogram):
                samples[record.name + "_total" * (kind == "counter"), frozenset(labels)] = value
                continue
            for bound, count in (*cumulative(value), (inf, value.count)):
                text = "+Inf" if bound == inf else repr(bound)
                samples[f"{record.name}_bucket", frozenset({*labels, ("le", text)})] = count
            samples[f"{record.name}_count", frozenset(labels)] = value.count
            samples[f"{record.name}_sum", frozenset(labels)] = value.total
    return samples, about


def check_with_promtool(text):
    done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (0, b"", "")


def full():
    """Return a monitor with each kind of metric, and texts that are to be escaped."""
    monitor = PerformanceMonitor(max_series=3)
    seen = monitor.counter("seen", 'What was "seen" in C:\\temp,\nand more.', labels=("path", "account"))
    for path in ('C:\\new "x"\nline', "plain", "é\r\t€", "too", "many"):
        seen.labels(path=path, account="GEN").inc(2)
    monitor.counter("untouched", "Never counted.")
    monitor.gauge("unset", "Never set.")
    monitor.gauge("level", "Level, which may be below 0.").set(-2.5e-300)
    monitor.gauge("held_bytes", "Bytes held.").set(1e150)
    with monitor.timed("work_seconds", "Time of a piece of work."):
        pass
    sizes = monitor.histogram("sizes", "Sizes.", lowest=1, highest=100)
    for size in (0.5, 1, 2, 2, 4, 64, 100, 1000):
        sizes.record(size)
    return monitor


@FORMS
def test_what_is_read_back_is_what_the_snapshot_said(form):
    monitor = full()
    records = monitor.snapshot()
    samples, about = read(page(records, form), form)
    plain, meant = expected(families(records))
    assert samples == plain
    assert about == meant
    assert samples[f"{REFUSED}_total", frozenset({("metric", "seen")})] == 2


@st.composite
def snapshots(draw):
    """Draw metrics with any texts and any numbers that a monitor can have."""
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    numbers = st.floats(0.0, 1e150)
    records = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(Kind), max_size=4))):
        values = {
            Kind.COUNTER: numbers,
            Kind.GAUGE: st.floats(-1e150, 1e150),
            Kind.HISTOGRAM: st.lists(numbers | st.floats(0.5, 100.0), max_size=5).map(recorded),
        }.get(kind, st.lists(st.floats(1e-8, 1e5), max_size=5).map(lambda each: recorded(each, 1e-7, 1e4)))
        series = draw(st.lists(st.tuples(texts, values), max_size=3, unique_by=lambda each: each[0]))
        found = tuple(SeriesRecord((("a", text), ("b", "")), value) for text, value in series)
        records.append(MetricRecord(f"metric_{number}", kind, f"x{draw(texts)}x", found, 0))
    return tuple(records)


def recorded(values, lowest=1.0, highest=64.0):
    recorder = HistogramRecorder(lowest=lowest, highest=highest)
    for value in values:
        recorder.record(value)
    return recorder.value()


@few
@given(snapshots())
def test_whatever_the_texts_and_numbers_are_they_are_read_back(records):
    samples, about = read(page(records), Form.OPENMETRICS)
    plain, meant = expected(records)
    assert samples == plain
    assert about == meant


@few
@given(
    st.lists(st.floats(0.0, 200.0) | st.integers(0, 130).map(float)),
    st.sampled_from([(1.0, 100.0), (1e-7, 1e4), (0.75, 0.8), (1.01, 64.0)]),
)
def test_the_count_at_each_bound_is_that_of_the_values_not_above_it(values, span):
    """Whole numbers that are powers of two, with which bounds are tried, are counted where they belong."""
    buckets = cumulative(recorded(values, *span))
    assert buckets == tuple((bound, sum(value <= bound for value in values)) for bound, _ in buckets)
    assert all(span[0] < bound <= span[1] for bound, _ in buckets)


def test_bounds_are_one_for_each_doubling_and_do_not_depend_on_the_values():
    empty, some = cumulative(recorded([], 1e-7, 1e4)), cumulative(recorded([0.01, 1e9], 1e-7, 1e4))
    assert [bound for bound, _ in empty] == [bound for bound, _ in some]
    assert len(empty) == 37
    assert all(later == pytest.approx(2 * bound) for (bound, _), (later, _) in pairwise(empty))
    assert [bound for bound, _ in cumulative(recorded([]))] == pytest.approx(
        [1.02, 2.04, 4.08, 8.16, 16.32, 32.64], rel=1e-3
    )


def test_counts_at_the_bounds_add_up_as_histograms_do():
    parts = [recorded([1, 3, 70]), recorded([2, 2.5]), recorded([0.1])]
    summed = [sum(counts) for counts in zip(*([count for _, count in cumulative(each)] for each in parts), strict=True)]
    assert [count for _, count in cumulative(reduce(add, parts))] == summed


def test_units_are_told_where_the_name_has_one():
    units = {each.name: each.unit for each in read_openmetrics(page(full().snapshot())) if each.unit}
    assert units == {"held_bytes": "bytes", "work_seconds": "seconds"}


def test_openmetrics_ends_the_page_and_prometheus_does_not():
    assert page(()) == "# EOF\n"
    assert page((), Form.PROMETHEUS) == ""
    assert page(full().snapshot()).endswith("\n# EOF\n")
    assert "EOF" not in page(full().snapshot(), Form.PROMETHEUS)


@promtool
def test_promtool_finds_nothing_to_say_of_the_older_form():
    """It reads that one alone: in OpenMetrics it misses the text of counters, whose TYPE line has no `_total`."""
    check_with_promtool(page(full().snapshot(), Form.PROMETHEUS))


@promtool
def test_prometheus_takes_the_newer_form_in(tmp_path):
    """By its own parser of OpenMetrics, which is met where it fills a database; that wants a time for each sample."""
    lines = page((NUMBERS, BROKEN, *full().snapshot())).removesuffix("\n").split("\n")
    timed = "".join(f"{line}{'' if line[0] == '#' else ' 1700000000'}\n" for line in lines)
    (tmp_path / "page").write_bytes(timed.encode())
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "page", "blocks"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(sum(line[0] != "#" for line in lines)) in done.stdout.split()


NUMBERS = MetricRecord(
    "numbers", Kind.GAUGE, "Any.", tuple(SeriesRecord((("n", repr(each)),), each) for each in (nan, inf, -inf, 1.0)), 0
)
BROKEN = NUMBERS._replace(
    name="broken", kind=Kind.COUNTER, series=(*NUMBERS.series, SeriesRecord((("n", "-1"),), -1.0))
)


@FORMS
def test_numbers_that_are_none_never_break_the_page(form):
    """A gauge shows them; a counter cannot, and the page says how many it left out."""
    samples, _ = read(page((NUMBERS, BROKEN, *full().snapshot()), form), form)
    shown = {dict(labels)["n"]: value for (name, labels), value in samples.items() if name == "numbers"}
    assert isnan(shown.pop("nan"))
    assert shown == {"inf": inf, "-inf": -inf, "1.0": 1.0}
    assert {dict(labels)["n"] for name, labels in samples if name == "broken_total"} == {"1.0"}
    assert samples[LEFT_OUT, frozenset({("metric", "broken")})] == 4


@promtool
def test_promtool_reads_a_page_with_numbers_that_are_none():
    check_with_promtool(page((NUMBERS, BROKEN), Form.PROMETHEUS))


def test_records_of_one_name_become_one_metric():
    """So that the numbers of several components of one kind can stand on a page."""
    parts = [PerformanceMonitor() for _ in range(2)]
    for number, part in enumerate(parts):
        part.counter("done", "Done.", labels=("by",)).labels(by=str(number)).inc(number)
    samples, about = read(page([*parts[0].snapshot(), *full().snapshot(), *parts[1].snapshot()]), Form.OPENMETRICS)
    assert list(about).count("done") == 1
    assert samples["done_total", frozenset({("by", "1")})] == 1


def test_what_contradicts_itself_is_refused():
    first = MetricRecord("done", Kind.COUNTER, "Done.", (SeriesRecord((), 1.0),), 0)
    for other in (first._replace(kind=Kind.GAUGE), first._replace(help_text="Other."), first):
        with pytest.raises(InputError, match="done"):
            page((first, other))
    with pytest.raises(InputError, match=REFUSED):
        page((first._replace(refused=1), first._replace(name=REFUSED)))
    with pytest.raises(InputError, match="form"):
        page((first,), "xml")


# Numbers that components keep themselves

TABLE = StatTable(
    "pool",
    (
        Stat("created", Kind.COUNTER, "Objects made.", name="made"),
        Stat("bytes", Kind.GAUGE, "Bytes held."),
        Stat("total", None),
        Stat("<kind>.open", Kind.GAUGE, "Open, of a kind."),
        Stat("level.<level>", Kind.GAUGE, "At a level.", name="standing"),
    ),
)


def test_stats_become_metrics_by_what_the_table_says():
    stats = {"created": 2, "total": 9, "bytes": 7.5, "file.open": 1.0, "a.b\n.open": 3.0, "level.low": 0.0}
    found = {record.name: (record.kind, record.series) for record in TABLE.records(stats, name="one")}
    named = ("name", "one")
    assert found == {
        "pool_made": (Kind.COUNTER, (((named,), 2.0),)),
        "pool_bytes": (Kind.GAUGE, (((named,), 7.5),)),
        "pool_open": (Kind.GAUGE, (((named, ("kind", "file")), 1.0), ((named, ("kind", "a.b\n")), 3.0))),
        "pool_standing": (Kind.GAUGE, (((named, ("level", "low")), 0.0),)),
    }
    samples, _ = read(page(TABLE.records(stats, name="one")), Form.OPENMETRICS)
    assert all(map(isfinite, samples.values()))


def test_what_no_table_knows_is_refused():
    with pytest.raises(InputError, match="hidden"):
        TABLE.records({"hidden": 1.0})


def test_a_name_that_is_no_text_is_spelt_out():
    """Whatever a component is called: the page can be written."""
    assert rb'name="\\udc80"' in page(TABLE.records({"created": 1}, name="\udc80")).encode()


@pytest.mark.parametrize(
    "stat",
    [
        Stat("size_total", Kind.COUNTER, "Ends as samples do."),
        Stat("size", Kind.COUNTER, " "),
        Stat("size", Kind.HISTOGRAM, "No number."),
        Stat("<le>.size", Kind.GAUGE, "A label with a meaning of its own."),
    ],
)
def test_a_table_that_cannot_be_exported_is_refused(stat):
    with pytest.raises(InputError):
        StatTable("pool", [stat])
