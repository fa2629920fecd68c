"""The stores: both keep what the plain definition keeps, thin it out without losing a count, and fail closed."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from math import inf, nan
from operator import add

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine_opt import InputError, StateError
from engine_opt.errors import EngineError, StoreError
from engine_opt.monitoring.histogram import Histogram, HistogramRecorder
from engine_opt.monitoring.metric_store import Ages, open_store
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey, SeriesPoint
from engine_opt.monitoring.store import sqlite_store
from engine_opt.monitoring.store.downsampling import WIDTHS, Extent, plan
from engine_opt.monitoring.store.histogram_bytes import from_bytes, to_bytes

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="limits and signals as POSIX has them")
START = 1_700_000_000.0
HOUR = 1_699_999_200.0
HITS = MetricInfo("hits", SampleKind.COUNTER, "Found.")
LEVEL = MetricInfo("level", SampleKind.GAUGE, "How full.")
TOOK = MetricInfo("took_seconds", SampleKind.HISTOGRAM, "Time taken.")
METRICS = (HITS, LEVEL, TOOK)
KEYS = (
    SeriesKey("hits", (("account", "GEN"), ("cache", "prices"))),
    SeriesKey("hits", (("account", 'a "quoted" \u00e4'), ("cache", "prices"))),
    SeriesKey("level"),
    SeriesKey("took_seconds", (("outcome", "ok"),)),
)
SHORT = Ages(120.0, 1200.0, 7200.0, 1e9)
FOR_EVER = Ages(1e9, 1e9, 1e9, 1e9)


def histogram(*values):
    recorder = HistogramRecorder(lowest=1e-6, highest=1e3)
    for value in values:
        recorder.record(value)
    return recorder.value()


def collection(end=START, seconds=10.0, hits=1.0, level=5.0, took=(0.5,)):
    samples = (Sample(KEYS[0], hits), Sample(KEYS[2], level), Sample(KEYS[3], histogram(*took)))
    return Collection(end, seconds, METRICS, samples)


def in_a_row(number, start=START, seconds=10.0):
    return [collection(start + seconds * index, seconds, 1.0, float(index)) for index in range(1, number + 1)]


# The plain definition


class PlainStore:
    """What a store is, as the protocol says it: a list of collections."""

    def __init__(self):
        self.kept = []

    def points(self, key, start, end):
        kinds = {metric.name: metric.kind for metric in METRICS}
        found = []
        for each in self.kept:
            value = dict(each.samples).get(key)
            if value is None or not start < each.end <= end:
                continue
            if kinds[key.name] is SampleKind.HISTOGRAM:
                least, most = (nan if bound is None else bound for bound in (value.minimum, value.maximum))
                found.append(SeriesPoint(each.end, each.seconds, float(value.count), least, most, value))
            else:
                found.append(SeriesPoint(each.end, each.seconds, value, value, value))
        return found


def total(key, points):
    """Return what points say together."""
    if not points:
        return None
    seconds, value = (sum(column) for column in list(zip(*points, strict=True))[1:3])
    if key.name == "level":
        return points[-1].end, seconds, points[-1].value, min(p.lowest for p in points), max(p.highest for p in points)
    if key.name == "hits":
        assert all(point.lowest == point.value == point.highest for point in points)
        return points[-1].end, seconds, value
    for point in points:
        held = point.histogram
        bounds = [nan if bound is None else bound for bound in (held.minimum, held.maximum)]
        assert same((point.value, point.lowest, point.highest), (float(held.count), *bounds))
    return points[-1].end, seconds, reduce(add, [point.histogram for point in points])


def same(left, right):
    """Return whether two lists of points are equal, NaN being equal to itself."""
    return repr(list(left)) == repr(list(right))


histograms = st.lists(st.sampled_from([0.0, 2**-30, 2**-10, 0.25, 7.0, 2.0**14]), max_size=4).map(
    lambda v: histogram(*v)
)
values = {
    SampleKind.COUNTER: st.integers(0, 1000).map(float),
    SampleKind.GAUGE: st.integers(-50, 50).map(float),
    SampleKind.HISTOGRAM: histograms,
}
samples = st.tuples(*(values[m.kind] for m in (HITS, HITS, LEVEL, TOOK))).flatmap(
    lambda row: st.sets(st.sampled_from(range(4))).map(
        lambda chosen: tuple(Sample(KEYS[index], row[index]) for index in sorted(chosen))
    )
)
gaps = st.sampled_from([1, 10, 10, 10, 59, 61, 600, 3601, 9000])
histories = st.lists(st.tuples(gaps, samples), min_size=1, max_size=25)


def collections(history):
    end, made = START, []
    for gap, chosen in history:
        end += gap
        made.append(Collection(end, float(min(gap, 10)), METRICS, chosen))
    return made


few = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
pieces = st.integers(1, 9)


def in_pieces(made, size):
    return [made[first : first + size] for first in range(0, len(made), size)]


@few
@given(histories, pieces, st.data())
def test_a_store_reads_what_the_plain_definition_does(new_place, history, size, data):
    made, plain, where = collections(history), PlainStore(), new_place()
    with open_store(where, ages=FOR_EVER) as store, open_store(where, read_only=True) as reader:
        for piece in in_pieces(made, size):
            store.write(piece)
            plain.kept += piece
        assert reader.last() == made[-1]._replace(
            metrics=tuple(each for each in METRICS if each.name in {sample.key.name for sample in made[-1].samples})
        )
        assert reader.metrics() == METRICS
        assert reader.series() == tuple(sorted({sample.key for each in made for sample in each.samples}))
        times = st.sampled_from([START, *(each.end for each in made)])
        for key in KEYS:
            assert same(reader.read(key, -inf, inf, most=100_000), plain.points(key, -inf, inf))
            start, end, most = data.draw(times) - 5.0, data.draw(times), data.draw(st.integers(1, 20))
            found, expected = reader.read(key, start, end, most=most), plain.points(key, start, end)
            assert len(found) <= most
            assert total(key, found) == total(key, expected)
            ends = [point.end for point in found]
            assert ends == sorted(set(ends) & {point.end for point in expected})


@few
@given(histories, pieces, st.data())
def test_what_gets_coarser_with_age_loses_no_count(new_place, history, size, data):
    """Ranges are cut where an hour ends: that is all that is left of what is oldest."""
    made, plain, where = collections(history), PlainStore(), new_place()
    hours = sorted({each.end // 3600 * 3600 for each in made} | {made[-1].end + 3600})
    for piece in in_pieces(made, size):
        with open_store(where, ages=SHORT) as store:
            store.write(piece)
            plain.kept += piece
            start, end = sorted((data.draw(st.sampled_from(hours)), data.draw(st.sampled_from(hours))))
            for key in KEYS:
                found = store.read(key, start, end, most=data.draw(st.integers(1, 1_000)))
                assert total(key, found) == total(key, plain.points(key, start, end))


def test_rows_are_as_old_as_they_may_be(tmp_path):
    """And as many: what four hours of ten seconds leave is told by the ages."""
    path = tmp_path / "metrics.db"
    with open_store(path, ages=SHORT) as store:
        for piece in in_pieces(in_a_row(1440, HOUR), 300):
            store.write(piece)
        assert sum(point.value for point in store.read(KEYS[0], 0.0, inf)) == 1440
    with contextlib.closing(sqlite3.connect(path)) as raw:
        (rows,) = zip(*raw.execute("SELECT count(*) FROM metric_sample GROUP BY level ORDER BY level"), strict=True)
    kept = [(age + coarser) / width for age, coarser, width in zip(SHORT, WIDTHS[1:], (10, *WIDTHS[1:]), strict=False)]
    assert all(count <= 3 * most for count, most in zip(rows, kept, strict=False))
    assert rows[-1] == 3 * 4


def test_hours_go_too(new_place):
    ages = Ages(60.0, 600.0, 3600.0, 7200.0)
    with open_store(new_place(), ages=ages) as store:
        store.write(in_a_row(12, seconds=1800.0))
        left = store.read(KEYS[0], 0.0, inf)
        assert [point.end - START for point in left] == [16_200.0, 18_000.0, 19_800.0, 21_600.0]
        assert [point.value for point in left] == [2.0, 1.0, 1.0, 1.0]  # two of them ended in one hour


# What is refused


def test_an_empty_store_has_nothing(new_place):
    with open_store(new_place()) as store:
        store.write(())
        assert store.last() is None
        assert (store.metrics(), store.series()) == ((), ())
        assert store.read(KEYS[0], 0.0, inf) == ()
        assert store.stats()["writes"] == 0.0


@pytest.mark.parametrize("end", [START, START - 100.0])
def test_a_collection_that_is_not_after_the_newest_is_refused(new_place, end):
    with open_store(new_place()) as store:
        store.write([collection()])
        with pytest.raises(StoreError, match="must be after"):
            store.write([collection(START + 10.0), collection(end)])
        assert store.last() == collection()
        assert store.series() == (KEYS[0], KEYS[2], KEYS[3])
        assert store.stats() == store.stats() | {"writes": 1.0, "collections": 1.0, "samples": 3.0, "failed": 1.0}


def test_a_metric_stays_of_its_kind_and_may_be_explained_anew(new_place):
    where = new_place()
    with open_store(where) as store:
        store.write([collection()])
        other = HITS._replace(help_text="Found at once.")
        store.write([Collection(START + 10.0, 10.0, (other,), (Sample(KEYS[0], 1.0),))])
        changed = Collection(START + 20.0, 10.0, (HITS._replace(kind=SampleKind.GAUGE),), ())
        with pytest.raises(StoreError, match="kept as a counter and is now a gauge: give it another name"):
            store.write([changed])
    with open_store(where, read_only=True) as reader:
        assert reader.metrics()[0] == other


@pytest.mark.parametrize(
    "bad",
    [
        collection(end=nan),
        collection(end=-5.0),
        collection(seconds=0.0),
        collection(hits=-1.0),
        collection(hits=nan),
        collection(hits=1),
        collection(level=inf),
        collection(level=histogram(1.0)),
        collection()._replace(metrics=METRICS[:2]),
        collection()._replace(samples=(Sample(KEYS[0], 1.0), Sample(KEYS[0], 1.0))),
        collection()._replace(samples=(Sample(KEYS[3], 1.0),)),
    ],
)
def test_what_is_no_collection_is_refused_and_nothing_of_it_is_kept(tmp_path, bad):
    with open_store(tmp_path / "metrics.db") as store:
        with pytest.raises(InputError, match=r"collections\[1\]"):
            store.write([collection(START - 50.0), bad])
        assert store.last() is None


@pytest.mark.parametrize(
    ("start", "end", "most"), [(nan, 1.0, 1), (0.0, None, 1), (0.0, 1.0, 0), (0.0, 1.0, True), (0.0, 1.0, 1.5)]
)
def test_what_is_no_question_is_refused(tmp_path, start, end, most):
    with open_store(tmp_path / "metrics.db") as store, pytest.raises(InputError):
        store.read(KEYS[0], start, end, most=most)


@pytest.mark.parametrize("ages", [Ages(0.0), Ages(nan), Ages(hours=1.0), Ages(collections=True)])
def test_ages_that_contradict_each_other_are_refused(tmp_path, ages):
    with pytest.raises(InputError, match="ages"):
        open_store(tmp_path / "metrics.db", ages=ages)
    with open_store(tmp_path / "metrics.db"):
        pass  # the refusal let go of the file


# Who may do what


def test_one_writes_and_any_number_reads(new_place):
    where = new_place()
    with open_store(where) as store:
        with pytest.raises(StoreError, match="another process writes to it already"):
            open_store(where)
        with open_store(where, read_only=True) as one, open_store(where, read_only=True) as other:
            store.write([collection()])
            assert one.last() == other.last() == collection()
            with pytest.raises(StateError, match="to read only"):
                one.write([collection(START + 10.0)])
            later = Sample(KEYS[1], 3.0)
            store.write([Collection(START + 10.0, 10.0, (HITS,), (later,))])
            assert one.read(KEYS[1], START, inf) == (SeriesPoint(START + 10.0, 10.0, 3.0, 3.0, 3.0),)
    with open_store(where) as store:
        store.write([collection(START + 20.0)])


def test_a_closed_store_does_nothing_but_count(new_place):
    store = open_store(new_place())
    store.write([collection()])
    store.close()
    store.close()
    for use in (lambda: store.write([collection()]), store.last, store.metrics, lambda: store.read(KEYS[0], 0.0, 1.0)):
        with pytest.raises(StateError, match="is closed"):
            use()
    assert store.stats()["samples"] == 3.0


def test_there_is_nothing_to_read_before_somebody_writes(new_place):
    with pytest.raises(StoreError, match="there is no store yet"):
        open_store(new_place(), read_only=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_opens_its_own(tmp_path):
    with open_store(tmp_path / "metrics.db") as store:
        child = os.fork()
        if not child:
            try:
                store.write([collection()])
            except StateError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        store.write([collection()])


# A file that is not as it should be


def test_a_newer_store_is_left_alone(new_place):
    where = new_place()
    with open_store(where) as store, store._database.transaction() as run:
        run.run("UPDATE metric_store SET schema = 2")
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"schema 2 is newer than the 1 .* upgrade"):
            open_store(where, read_only=read_only)


def test_half_a_store_is_no_store(new_place):
    where = new_place()
    with open_store(where) as store, store._database.transaction() as run:
        run.run("DROP TABLE metric_level")
    with pytest.raises(StoreError, match="its tables are not those of a store"):
        open_store(where)


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE people (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"belongs to something else, with tables \['people'\]"):
        open_store(path)
    path.with_suffix(".txt").write_text("no database" * 100)
    with pytest.raises(StoreError, match="it is no store: give another path"):
        open_store(path.with_suffix(".txt"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("where", ["missing/metrics.db", "."])
def test_a_place_where_no_file_can_be_is_told(tmp_path, where):
    with pytest.raises(StoreError, match="see whether"):
        open_store(tmp_path / where)


@pytest.mark.parametrize("where", [None, "", 3, b"metrics.db", "mysql://host/database", "postgresql+asyncpg://host/x"])
def test_what_is_no_place_is_refused(where):
    with pytest.raises(InputError, match="where"):
        open_store(where)


def test_the_password_of_a_url_is_told_to_nobody():
    where = "postgresql+psycopg://me:secret@127.0.0.1:1/x?connect_timeout=1"
    with pytest.raises(StoreError, match="PostgreSQL says") as told:
        open_store(where)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("library", ["sqlalchemy", "psycopg"])
def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EngineError, match=r"not installed: pip install 'pytest-pe-perf\[sql\]'"):
        open_store("postgresql+psycopg://127.0.0.1:1/x")


def test_a_damaged_file_is_told_and_not_guessed_at(tmp_path):
    path = tmp_path / "metrics.db"
    with open_store(path) as store:
        store.write(in_a_row(300))
    content = bytearray(path.read_bytes())
    content[4096 * 8 : -4096 * 2] = b"\x55" * (len(content) - 4096 * 10)
    path.write_bytes(content)
    with open_store(path, read_only=True) as reader, pytest.raises(StoreError, match="restore it from a copy"):
        [reader.read(key, 0.0, inf) for key in KEYS]


def test_a_damaged_histogram_is_told(new_place):
    with open_store(new_place()) as store:
        store.write([collection()])
        with store._database.transaction() as run:
            run.run("UPDATE metric_sample SET histogram = :cut WHERE histogram IS NOT NULL", cut=b"\x02\x02")
        with pytest.raises(StoreError, match="cut short or damaged; restore the store"):
            store.read(KEYS[3], 0.0, inf)


# A system that refuses


@POSIX
def test_a_full_disk_loses_nothing_that_was_stored(tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_store(tmp_path / "metrics.db") as store:
        store.write([collection()])
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
        try:
            with pytest.raises(StoreError, match="make room on the disk"):
                store.write(in_a_row(3_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert store.last() == collection()
        store.write(in_a_row(3_000))
        assert len(store.read(KEYS[0], 0.0, inf, most=5_000)) == 3_001


def test_a_locked_file_is_told_and_written_to_later(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_store, "PATIENCE", 0.01)
    path = tmp_path / "metrics.db"
    with open_store(path) as store, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program has locked it"):
            store.write([collection()])
        other.execute("ROLLBACK")
        store.write([collection()])
        assert store.last() == collection()


_WRITER = """
import sys
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey
hits = MetricInfo("hits", SampleKind.COUNTER, "Found.")
with open_store(sys.argv[1]) as store:
    for number in range(1, 1_000_000):
        store.write([Collection(1e9 + number, 1.0, (hits,), (Sample(SeriesKey("hits"), 1.0),))])
        print(number, flush=True)
"""


@POSIX
def test_what_was_written_survives_a_killed_process(tmp_path):
    path = tmp_path / "metrics.db"
    with subprocess.Popen([sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
        for line in writer.stdout:
            if line == "150\n":
                writer.send_signal(signal.SIGKILL)
                break
        said = [150, *map(int, writer.stdout.read().split())]
    with open_store(path) as store:
        points = store.read(SeriesKey("hits"), 0.0, inf, most=100_000)
        assert [point.end for point in points] == [1e9 + number for number in range(1, len(points) + 1)]
        assert said[-1] <= len(points) <= said[-1] + 1
        store.write([Collection(2e9, 1.0, (HITS,), ())])


def test_a_server_that_goes_away_is_told_and_found_again(postgres, new_schema):
    where = new_schema()
    with open_store(where) as store:
        store.write([collection()])
        postgres.stop()
        try:
            for use in (lambda: store.write([collection(START + 10.0)]), store.last):
                with pytest.raises(StoreError, match="see whether the server runs"):
                    use()
        finally:
            postgres.start()
        store.write([collection(START + 20.0)])
        assert [point.end for point in store.read(KEYS[0], 0.0, inf)] == [START, START + 20.0]
        with pytest.raises(StoreError, match="another process writes"):
            open_store(where)


# Parts


@given(
    st.lists(st.floats(0.0, 1e150) | st.floats(1e-6, 1e3) | st.integers(0, 20).map(float), max_size=300), st.booleans()
)
@settings(max_examples=50)
def test_a_histogram_survives_as_bytes(values, many):
    held = histogram(*values)
    if many:
        held = replace(held, counts=tuple(count * 2**40 for count in held.counts))
    data = to_bytes(held)
    assert from_bytes(data) == held
    if many and held.buckets:
        for damaged in (data[:-1], data + b"\0", data[:20], b"", b"\1" + data[1:], data[:17] + b"\3" + data[18:]):
            with pytest.raises(ValueError, match=r"its form|damaged"):
                from_bytes(damaged)


def test_a_count_that_no_bytes_hold_is_refused():
    with pytest.raises(InputError, match="cannot be stored"):
        to_bytes(Histogram(1e-6, 1e3, (0,), (2**64,), 0, 0, 1.0, 1.0, 1.0))


marks = st.integers(0, 50)


@given(marks, marks, st.lists(marks, min_size=3, max_size=3), marks, st.integers(1, 2_000), st.integers(0, 3_000))
@settings(max_examples=100)
def test_a_plan_covers_the_time_without_gap_or_overlap(newest, began, ages, length, most, odd):
    """Whatever is kept where: levels as a store leaves them."""
    newest = newest * 1800.0 + odd
    folded = [inf, *(newest - newest % width for width in WIDTHS[1:])]
    kept = [
        min((newest - age * 700.0) // above * above, folded[level + 1])
        for level, (age, above) in enumerate(zip(sorted(ages), WIDTHS[1:], strict=True))
    ] + [0.0]
    extents = [Extent(max(low, 0.0), high) for low, high in zip(kept, folded, strict=True)]
    start, end = float(began * 900), min(float(began * 900 + length * 450 + odd), newest)
    found = plan(extents, max(end - start, 0.0), 10.0, start, end, most)
    if start >= end:
        assert found == []
        return
    assert (found[0].start, found[-1].end) == (start, end)
    assert all(left.end == right.start for left, right in pairwise(found))
    for level, first, last in found:
        assert first < last
        assert first >= extents[level].kept_from
        assert last <= extents[level].folded_to
        # A row that begins before the segment is taken only where nothing finer is left.
        assert level == 0 or first % WIDTHS[level] == 0 or first < extents[level - 1].kept_from
