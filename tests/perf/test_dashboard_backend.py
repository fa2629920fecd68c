"""What the dashboard's server does for a page: the numbers at its head, and a chart of 10,000 points, anew and again."""

from __future__ import annotations

import asyncio
from contextlib import closing
from itertools import count

import pytest

from engine_opt.monitoring.dashboard_backend import Panel, create_app
from engine_opt.monitoring.histogram import HistogramRecorder
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey

# Megabytes at once: where others use the memory too, these times move by some per cent from hour to hour.
pytestmark = pytest.mark.pe_latency(margin="10 %", threshold="15 %")

POINTS, TIMED = 10_000, 500
COMPONENTS = [SeriesKey("component_seconds", (("component", name),)) for name in ("rules", "week")]
START, SECONDS = 1_790_000_000.0, 10.0
END = START + SECONDS * POINTS
METRICS = (
    MetricInfo("component_seconds", SampleKind.HISTOGRAM, "Time of a component."),
    MetricInfo("rss_bytes", SampleKind.GAUGE, "Memory."),
)
PANELS = [
    Panel("latency", "Time", "component_seconds", ("p50", "p99", "p99.9"), "s", by=("component",)),
    Panel("memory", "Memory", "rss_bytes", ("value",), "B"),
]
TOKEN = "never-asked-for-here"


def collections():
    """Return what a day and more has brought; the histograms are of the end of it."""
    recorder = HistogramRecorder(lowest=1e-7, highest=1e4)
    for step in range(200):
        recorder.record(1e-5 * 1.02**step)
    histogram = recorder.value()
    for number in range(1, POINTS + 1):
        gauge = Sample(SeriesKey("rss_bytes"), 5e7 + number)
        timed = [Sample(key, histogram) for key in COMPONENTS] if number > POINTS - TIMED else []
        yield Collection(START + SECONDS * number, SECONDS, METRICS, (*timed, gauge))


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Return a function that asks a dashboard, without a network, and returns how long the answer is."""
    path = tmp_path_factory.mktemp("store") / "metrics.db"
    with closing(open_store(path)) as writer:
        writer.write(list(collections()))
    with closing(open_store(path, read_only=True)) as store, asyncio.Runner() as runner:
        # Between two calls the loop stands still, for as long as something else is measured: no limit may end by then.
        dashboard = create_app(store, token=TOKEN, panels=PANELS, clock=lambda: END, limit=3600.0)
        told, heard = asyncio.Queue(), asyncio.Queue()

        async def start():
            living = asyncio.create_task(dashboard({"type": "lifespan"}, told.get, heard.put))
            await told.put({"type": "lifespan.startup"})
            assert await heard.get() == {"type": "lifespan.startup.complete"}
            return living

        async def stop(living):
            await told.put({"type": "lifespan.shutdown"})
            await living

        async def answered(path, query):
            length = 0

            async def send(message):
                nonlocal length
                assert message.get("status", 200) == 200
                length += len(message.get("body", b""))

            await dashboard(request(path, query), told.get, send)
            return length

        living = runner.run(start())
        # Not by `run`, which sets up a handler of Ctrl-C each time, where Ctrl-C is not ignored: half of such a call.
        complete = runner.get_loop().run_until_complete
        yield lambda path, query="": complete(answered(path, query))
        runner.run(stop(living))


def request(path, query):
    """Return what a server makes of a request."""
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }


def test_the_overview(pe_latency, ask):
    """What is shown was worked out when the data came."""
    assert pe_latency(ask, "/api/v1/overview") > 500


def test_a_chart_of_ten_thousand_points(pe_latency, ask):
    """Read from the store by each, since no two ask for the same time; and given again to who asks as somebody did."""
    ends = count(1)
    wanted = f"metric=rss_bytes&points={POINTS}&start={START}&limit=1"
    assert pe_latency["anew"](lambda: ask("/api/v1/query", f"{wanted}&end={END + next(ends)}")) > 20 * POINTS
    assert pe_latency["again"](ask, "/api/v1/query", f"{wanted}&end={END}") > 20 * POINTS


def test_a_chart_of_quantiles(pe_latency, ask):
    """Three of each of five hundred histograms, of two series."""
    ends = count(1)
    wanted = f"metric=component_seconds&by=component&stat=p50&stat=p99&stat=p99.9&start={END - SECONDS * TIMED}"
    assert pe_latency(lambda: ask("/api/v1/query", f"{wanted}&end={END + next(ends)}")) > 10_000
