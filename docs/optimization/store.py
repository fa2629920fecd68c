"""How quick the store of metrics is: writing, a week for a page, and its size. See store.md.

    python docs/optimization/store.py [--days 7.5] [--interval 10] [--where metrics.db or a URL of PostgreSQL]

Two hundred series every `interval` seconds: 70 counters, 70 gauges and the 60 histograms of 30 timers, of which half, those of
errors, are empty. Times are the processor time of this process, and the time on the clock. At least 3,000 collections are written.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median

from engine_opt.monitoring.dashboard.queries import Group, columns
from engine_opt.monitoring.histogram import Histogram, HistogramRecorder
from engine_opt.monitoring.metric_store import SeriesStore, open_store
from engine_opt.monitoring.metrics_collector import MetricsCollector
from engine_opt.monitoring.performance_monitor import PerformanceMonitor
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey

START = 1_700_000_000.0 // 3600.0 * 3600.0
METRICS = (
    MetricInfo("counts", SampleKind.COUNTER, "Counts."),
    MetricInfo("levels", SampleKind.GAUGE, "Levels."),
    MetricInfo("took_seconds", SampleKind.HISTOGRAM, "Times."),
)
PLAIN, TIMERS = 70, 30
SERIES = 2 * PLAIN + 2 * TIMERS
TIMES = 100  # of each timer in an interval


def keys() -> list[SeriesKey]:
    """Return all series."""
    return [
        *(SeriesKey("counts", (("of", str(each)),)) for each in range(PLAIN)),
        *(SeriesKey("levels", (("of", str(each)),)) for each in range(PLAIN)),
        *(SeriesKey("took_seconds", (("of", str(each)), ("outcome", "error"))) for each in range(TIMERS)),
        *(SeriesKey("took_seconds", (("of", str(each)), ("outcome", "ok"))) for each in range(TIMERS)),
    ]


def histograms(number: int, dice: Random) -> list[Histogram]:
    """Return some of a hundred times each, log-normal: they spread over a factor of 1.8 (two standard deviations)."""
    made = []
    for _ in range(number):
        recorder = HistogramRecorder(lowest=1e-7, highest=1e4)
        for _ in range(TIMES):
            recorder.record(0.0003 * dice.lognormvariate(0.0, 0.3))
        made.append(recorder.value())
    return made


def collections(number: int, interval: float) -> Iterator[Collection]:
    """Yield so many."""
    dice, empty = Random(1), HistogramRecorder(lowest=1e-7, highest=1e4).value()
    ready, named = histograms(97, dice), keys()
    for index in range(1, number + 1):
        values = [
            *(float((index + each) % 101) for each in range(PLAIN)),
            *(1e6 + (index * each) % 977 / 8.0 for each in range(PLAIN)),
            *[empty] * TIMERS,
            *(ready[(index + each) % 97] for each in range(TIMERS)),
        ]
        yield Collection(
            START + index * interval, interval, METRICS, tuple(map(Sample._make, zip(named, values, strict=True)))
        )


def timed(function: Callable[[], object]) -> tuple[float, float]:
    """Return seconds of processor, and seconds on the clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    function()
    return time.process_time() - cpu, time.perf_counter() - wall


def written(store: SeriesStore, made: Sequence[Collection], size: int) -> tuple[float, float, float]:
    """Write in pieces of `size`; return samples a second of processor and clock, and the longest write."""
    pieces = [made[first : first + size] for first in range(0, len(made), size)]
    spent = [timed(partial(store.write, piece)) for piece in pieces]
    cpu, wall = (sum(column) for column in zip(*spent, strict=True))
    return len(made) * SERIES / cpu, len(made) * SERIES / wall, max(wall for _, wall in spent)


def collected(store: SeriesStore) -> list[float]:
    """Return the seconds of collecting two hundred series of a monitor."""
    monitor = PerformanceMonitor(max_series=SERIES)
    counters = monitor.counter("counts", "Counts.", ["of"])
    timers = monitor.timer("took_seconds", "Times.", ["of"])
    for each in range(2 * PLAIN):
        counters.labels(of=str(each)).inc()
    collector = MetricsCollector(store)
    collector.register_monitor(monitor)
    spent = []
    for turn in range(30):
        for each in range(TIMERS):
            for step in range(TIMES):
                timers.labels(of=str(each)).ok.record(0.0003 * 1.005 ** (step + turn))
        spent.append(timed(collector.collect))
    return [median(column) for column in zip(*spent, strict=True)]


SHOWN = {"counts": ("rate",), "levels": ("value",), "took_seconds": ("p50", "p99", "p99.9")}


def shown(store: SeriesStore, start: float, end: float) -> None:
    """Make the numbers of all charts of a page."""
    kinds = {metric.name: metric.kind for metric in METRICS}
    for key in keys():
        columns(store, kinds[key.name], Group(key.labels, (key,)), SHOWN[key.name], start, end, 500)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=float, default=7.5)
    parser.add_argument("--interval", type=float, default=10.0)
    parser.add_argument("--where", default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = given.where or str(Path(folder) / "metrics.db")
        with open_store(where) as store:
            cpu, wall = collected(store)
            print(f"collecting 200 series: {cpu * 1e3:.2f} ms of processor, {wall * 1e3:.2f} ms, median of 30")
            number = int(given.days * 86_400 / given.interval)
            source = collections(number, given.interval)
            for size, pieces in ((1, 600), (6, 200), (60, 20)):
                made = list(islice(source, size * pieces))
                by_cpu, by_wall, longest = written(store, made, size)
                print(
                    f"{len(made)} collections, {size} at once: {by_cpu:,.0f} samples/s of processor, {by_wall:,.0f} "
                    f"samples/s, longest write {longest * 1e3:.0f} ms"
                )
            while rest := list(islice(source, 60)):
                store.write(rest)
        if not given.where:
            print(
                f"{given.days:g} days, a collection every {given.interval:g} s: {Path(where).stat().st_size / 1e6:.0f} MB"
            )
        with open_store(where, read_only=True) as reader:
            named, end = keys(), START + number * given.interval
            for name, wanted in (("200 series", named), ("the 140 plain ones", named[: 2 * PLAIN]), ("one", named[:1])):
                for span, what in ((3600.0, "hour"), (86_400.0, "day"), (7 * 86_400.0, "week")):
                    spent = [timed(partial(reader.read_many, wanted, end - span, end, most=500)) for _ in range(7)]
                    (least, _), (cpu, wall) = min(spent), map(median, zip(*spent, strict=True))
                    points = len(reader.read(wanted[0], end - span, end, most=500))
                    print(
                        f"a {what} of {name}: {cpu * 1e3:.1f} ms of processor, {wall * 1e3:.1f} ms, medians of 7; at "
                        f"least {least * 1e3:.1f} ms of processor; {points} points each"
                    )
            spent = [timed(partial(shown, reader, end - 7 * 86_400.0, end)) for _ in range(7)]
            (least, _), (cpu, wall) = min(spent), map(median, zip(*spent, strict=True))
            print(
                f"a week as a page shows it, with three quantiles of each histogram: {cpu * 1e3:.1f} ms of processor, "
                f"{wall * 1e3:.1f} ms, medians of 7; at least {least * 1e3:.1f} ms of processor"
            )


if __name__ == "__main__":
    main()
