"""Whether an engine that is watched with everything on, and its dashboard, grow; and what a kill -9 leaves of the history.

    python docs/optimization/soak_monitoring.py [--warm-up 270] [--seconds 600] [--interval 0.5] [--kills 5]

`python -m engine_opt serve` as it comes, but four times as often: an engine at work in a process of its own, every call
timed, its metrics collected and written to an SQLite store; and the dashboard, which evaluates the rules. This process is
a page: it listens to the events and, whenever it is told of a collection, asks for the charts of all panels, five minutes
each. Then it notes the resident set of both processes.

What is noted in the warm-up does not count: charts and the database's caches fill up in it. The slope of what follows is Theil-Sen's,
with its 99 % interval, as `performance_analytics.trend` has it. At the end the engine's process is killed a
few times, and what is missing in the history is told: what the old process had not written, and the time until the new one
began to count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from itertools import pairwise
from math import ceil, floor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import psutil

from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.performance_analytics import trend
from engine_opt.monitoring.samples import SeriesKey

CHARTED, POINTS = 300.0, 300  # seconds of a chart, and its points, as the page has them
PATIENCE = 60.0
KIB, MIB = 2**10, 2**20
BARS = SeriesKey("engine_bars")


class Page:
    """What a browser does with the dashboard, without the browser."""

    def __init__(self, address: str) -> None:
        self._address, self.late = address, 0
        self._events = urlopen(f"{address}/api/v1/events", timeout=PATIENCE)

    def overviews(self) -> Iterator[dict[str, Any]]:
        """Yield what is told of each collection."""
        kind = ""
        for line in self._events:
            name, _, text = line.decode().rstrip().partition(": ")
            kind = text if name == "event" else kind
            if name == "data" and kind == "overview":
                yield json.loads(text)

    def draw(self, overview: dict[str, Any]) -> int:
        """Ask for the charts of all panels; return how many bytes that were."""
        return sum(self._ask(panel, overview["time"]) for panel in overview["panels"] if panel["values"])

    def _ask(self, panel: dict[str, Any], now: float) -> int:
        step = CHARTED / POINTS
        asked: list[tuple[str, object]] = [("metric", panel["metric"]), ("points", POINTS + 1)]
        asked += [("start", floor((now - CHARTED) / step) * step), ("end", ceil(now / step) * step)]
        asked += [(f"label.{label}", value) for label, value in panel["labels"].items()]
        asked += [("stat", stat) for stat in panel["stats"]] + [("of", metric) for metric in panel["of"]]
        asked += [("by", label) for label in panel["by"] or [""]] if panel["by"] is not None else []
        try:
            with urlopen(f"{self._address}/api/v1/query?{urlencode(asked)}", timeout=PATIENCE) as answer:
                return len(answer.read())
        except HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            self.late += 1  # not answered in time, on a machine that is too busy: a page asks again next time
            return 0


def load_of(server: int) -> psutil.Process:
    """Return the process of the engine."""
    (child,) = psutil.Process(server).children()
    return child


def soak(server: int, page: Page, warm_up: float, seconds: float) -> None:
    """Print how large both processes are over the time, and how fast they grow."""
    processes = {"engine": load_of(server), "dashboard": psutil.Process(server)}
    noted: dict[str, list[tuple[float, float]]] = {name: [] for name in processes}
    began, drawn = time.monotonic(), 0
    for overview in page.overviews():
        drawn += page.draw(overview)
        at = time.monotonic() - began
        for name, process in processes.items():
            noted[name].append((at, float(process.memory_info().rss)))
        if at > warm_up + seconds:
            break
    print(
        f"{drawn / MIB:.0f} MiB of charts; not answered in time: {page.late}; decisions a second at last: {decided(overview):.0f}"
    )
    print(
        "| process | RSS at the start, after the warm-up, and after each fifth, MiB | n | KiB a minute | 99 % | verdict |"
    )
    print("|---|---|---|---|---|---|")
    for name, points in noted.items():
        counted = [point for point in points if point[0] > warm_up]
        found = trend(counted)
        slopes = [60 * line.slope / KIB for line in (found.line, found.low, found.high)]
        fifths = [counted[len(counted) * fifth // 5 - 1] for fifth in range(1, 6)]
        sizes = [size / MIB for _, size in (points[0], counted[0], *fifths)]
        print(
            f"| {name} | {', '.join(f'{size:.2f}' for size in sizes)} | {len(counted)} | {slopes[0]:.2f} | "
            f"{slopes[1]:.2f} to {slopes[2]:.2f} | {found.verdict} |"
        )


def decided(overview: dict[str, Any]) -> float:
    """Return decisions a second, whatever became of them."""
    (panel,) = [each for each in overview["panels"] if each["metric"] == "engine_decisions" and each["by"] == []]
    return sum(series["values"]["rate"] for series in panel["values"])


def killed(server: int, page: Page, interval: float, kills: int) -> list[float]:
    """Kill the engine's process so often, each time it has written again; return when."""
    died = [0.0]
    for overview in page.overviews():
        if (overview["end"] or 0.0) > died[-1] + 2 * interval:
            if len(died) > kills:
                break
            load_of(server).kill()
            died.append(time.time())
    return died[1:]


def missing(store: Path, interval: float, died: list[float]) -> None:
    """Print what the history lacks of the time of each kill."""
    with closing(open_store(store, read_only=True)) as reader:
        points = reader.read(BARS, 0.0, time.time(), most=100_000)
    intervals = [(point.end - point.seconds, point.end) for point in points]
    holes = [(end, begin) for (_, end), (begin, _) in pairwise(intervals) if begin - end > interval / 10]
    print(f"{len(intervals)} intervals of {interval:g} s; holes: {len(holes)}; kills: {len(died)}")
    print("| kill | not written before it, s | until the next process counted, s |\n|---|---|---|")
    for number, moment in enumerate(died, 1):
        ((end, begin),) = [hole for hole in holes if hole[0] <= moment <= hole[1]]
        print(f"| {number} | {moment - end:.2f} | {begin - moment:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--warm-up", type=float, default=270.0)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--interval", type=float, default=0.5)
    parser.add_argument("--kills", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "metrics.db"
        told = ["--port", "0", "--store", str(store), "--interval", f"{given.interval:g}s"]
        command = [sys.executable, "-m", "engine_opt", "serve", *told]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                page = Page(server.stdout.readline().partition("/#")[0])
                soak(server.pid, page, given.warm_up, given.seconds)
                died = killed(server.pid, page, given.interval, given.kills)
            finally:
                server.terminate()
        missing(store, given.interval, died)
        size = store.stat().st_size
    print(f"store: {size / MIB:.0f} MiB; {platform.machine()}, {os.cpu_count()} cores, CPython", end=" ")
    print(f"{platform.python_version()}, load {os.getloadavg()[1]:.1f}")


if __name__ == "__main__":
    main()
