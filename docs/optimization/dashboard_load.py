"""How quickly the dashboard's server answers under load: the figures of the monitoring guide.

    python docs/optimization/dashboard_load.py [SECONDS] [REQUESTS_A_SECOND]

A store with 10,000 points a series is served by a process of its own, as `python -m engine_opt serve` does it. A second
process, this one, writes a collection every ten seconds, has 100 clients listen to events, and sends requests at fixed
times, whether or not the one before was answered: what an answer waited for in a queue is part of its time. Everything
was asked for once before, as by a page that was open already.
"""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from engine_opt.monitoring.dashboard_backend import Panel, run
from engine_opt.monitoring.histogram import Histogram, HistogramRecorder
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey

POINTS, COMPONENTS, CLIENTS, CONNECTIONS = 10_000, 5, 100, 16
INTERVAL = 10.0
BUDGET = 0.020

METRICS = (
    MetricInfo("component_seconds", SampleKind.HISTOGRAM, "Time of a component."),
    MetricInfo("decisions", SampleKind.COUNTER, "Decisions taken."),
    MetricInfo("rss_bytes", SampleKind.GAUGE, "Memory."),
)
PANELS = [
    Panel("throughput", "Decisions", "decisions", ("rate",), "1/s"),
    Panel("latency", "Time", "component_seconds", ("p50", "p99", "p99.9"), "s", by=("component",)),
    Panel("memory", "Memory", "rss_bytes", ("value",), "B"),
]
DAY = 24 * 3600.0
WHOLE = POINTS * INTERVAL
PATHS = [
    "/api/v1/overview",
    "/api/v1/health",
    f"/api/v1/query?metric=rss_bytes&points={POINTS}&limit=1&seconds={WHOLE:g}",
    f"/api/v1/query?metric=decisions&seconds={DAY:g}",
    "/api/v1/query?metric=component_seconds&by=component&stat=p50&stat=p99&stat=p99.9",
]


def collection(end: float, number: int, histogram: Histogram) -> Collection:
    """Return what is seen in one interval."""
    timed = [Sample(SeriesKey("component_seconds", (("component", str(n)),)), histogram) for n in range(COMPONENTS)]
    rest = Sample(SeriesKey("decisions"), 18_000.0 + number % 7), Sample(SeriesKey("rss_bytes"), 5e7 + number)
    return Collection(end, INTERVAL, METRICS, (*timed, *rest))


def history(end: float, histogram: Histogram) -> Iterator[Collection]:
    """Return the collections up to now."""
    for number in range(POINTS):
        yield collection(end - INTERVAL * (POINTS - 1 - number), number, histogram)


def serve(path: str) -> None:
    """Be the server."""
    with closing(open_store(path, read_only=True)) as store:
        run(store, port=0, panels=PANELS, ready=lambda address, _: print(address.rpartition(":")[2], flush=True))


async def ask(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str) -> int:
    """Send a request and read the answer; return its status."""
    reader, writer = streams
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    return int(head.split()[1])


async def listen(port: int, heard: list[int]) -> None:
    """Count the collections that a client is told of."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    while line := await reader.readline():
        heard.append(1) if line == b"event: overview\n" else None
    writer.close()


async def load(port: int, seconds: float, rate: float) -> tuple[dict[str, list[float]], int]:
    """Return the seconds that answers took, by path without its parameters, and how many were no answer."""
    times: dict[str, list[float]] = defaultdict(list)
    bad = 0
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port, limit=2**24))

    streams = free.get_nowait()
    for path in PATHS:  # what is asked for first is worked out while it is waited for; after that, before it is
        await ask(streams, path)
    free.put_nowait(streams)

    async def one(due: float, path: str) -> None:
        nonlocal bad
        streams = await free.get()
        status = await ask(streams, path)
        times[path].append(time.perf_counter() - due)
        bad += status != 200
        free.put_nowait(streams)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(seconds * rate)):
            due = start + number / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0.0))
            tasks.create_task(one(due, PATHS[number % len(PATHS)]))
    while not free.empty():
        (await free.get())[1].close()
    return times, bad


async def measure(port: int, path: str, seconds: float, rate: float, histogram: Histogram) -> int:
    """Print a table; return 0 if the budget is kept."""
    heard: list[int] = []
    listeners = [asyncio.create_task(listen(port, heard)) for _ in range(CLIENTS)]
    with closing(open_store(path)) as store:
        newest = store.last()
        assert newest is not None

        async def write() -> None:
            for number in range(1, 10**9):
                await asyncio.sleep(INTERVAL)
                await asyncio.to_thread(store.write, [collection(newest.end + INTERVAL * number, number, histogram)])

        writing = asyncio.create_task(write())
        times, bad = await load(port, seconds, rate)
        writing.cancel()
    told = len(heard)
    for each in listeners:
        each.cancel()
    every = sorted(value for values in times.values() for value in values)
    print("| request | n | p50, ms | p99, ms | worst, ms |\n|---|---|---|---|---|")
    for name, values in [*times.items(), ("all", every)]:
        values.sort()
        figures = (values[len(values) // 2], values[int(len(values) * 0.99)], values[-1])
        print(f"| `{name}` | {len(values)} | " + " | ".join(f"{1000 * each:.1f}" for each in figures) + " |")
    print(f"\nnot 200: {bad}; events told to {CLIENTS} clients: {told}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    return 0 if every[int(len(every) * 0.99)] <= BUDGET and not bad else 1


def main() -> int:
    """Fill a store, serve it, and measure."""
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
        return 0
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    rate = float(sys.argv[2]) if len(sys.argv) > 2 else 200.0
    recorder = HistogramRecorder(lowest=1e-7, highest=1e4)
    for step in range(150):
        recorder.record(1e-5 * 1.03**step)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "metrics.db")
        with closing(open_store(path)) as store:
            store.write(list(history(time.time() - INTERVAL, recorder.value())))
        command = [sys.executable, __file__, "--serve", path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                port = int(server.stdout.readline())
                return asyncio.run(measure(port, path, seconds, rate, recorder.value()))
            finally:
                server.terminate()


if __name__ == "__main__":
    sys.exit(main())
