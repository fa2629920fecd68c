"""What the monitor keeps and what it takes at full size: eight threads, ten million records. See monitoring.md.

    python docs/optimization/monitor.py [--records 1000000] [--most 10000000]

Eight threads record so many times each, into a counter, a gauge, a histogram and a timer that all of them share; what
comes out must be what went in, to the last one. Then one thread records up to `most` values into two hundred series of
histograms, 36.5 doublings each, and what Python has allocated for them is told on the way; then eight threads, each of
which has its own cells until it ends.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import threading
import time
import tracemalloc
from collections.abc import Callable
from random import Random

from engine_opt.monitoring.performance_monitor import PerformanceMonitor

THREADS, SERIES = 8, 200
LOWEST, HIGHEST = 1e-7, 1e4
MIB = 2**20


def in_threads(work: Callable[[], None]) -> float:
    """Do the work in eight threads at once, and return the seconds that it took."""
    barrier = threading.Barrier(THREADS + 1)

    def run() -> None:
        barrier.wait()
        work()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def lost(records: int) -> None:
    """Print what went in and what came out."""
    monitor = PerformanceMonitor()
    counter, gauge = monitor.counter("done", "Done."), monitor.gauge("level", "Level.")
    sizes = monitor.histogram("sizes", "Sizes.", lowest=1, highest=100)
    timer = monitor.timer("took_seconds", "Time taken.").ok

    def work() -> None:
        for each in range(records):
            counter.inc()
            gauge.add(1)
            sizes.record(float(each % 50 + 1))
            timer.record(0.5)

    seconds = in_threads(work)
    wanted = THREADS * records
    found = {
        "counter": counter.value(),
        "gauge": gauge.value(),
        "histogram": sizes.value().count,
        "timer": timer.value().count,
    }
    print(f"{THREADS} threads, {records:,} records of each kind in each, {seconds:.0f} s; records of all threads lost:")
    print("; ".join(f"{name} {wanted - value:,.0f}" for name, value in found.items()))
    whole = THREADS * sum(float(each % 50 + 1) for each in range(records))
    print(f"sum of the histogram: {sizes.value().total!r}; what went in: {whole!r}")


def memory(most: int) -> None:
    """Print what two hundred series take, after a record each and so on up to `most` records."""
    dice = Random(1)
    values = [LOWEST * 2 ** dice.uniform(0.0, 36.5) for _ in range(10_007)]
    gc.collect()
    tracemalloc.start()
    monitor = PerformanceMonitor(max_series=SERIES)
    metric = monitor.histogram("sizes", "Sizes.", labels=("each",), lowest=LOWEST, highest=HIGHEST)
    series = [metric.labels(each=str(each)) for each in range(SERIES)]

    def record(first: int, last: int) -> None:
        for each in range(first, last):
            series[each % SERIES].record(values[each % len(values)])

    done, mark = 0, SERIES
    print(f"{SERIES} histograms: records and MiB")
    while done < most:
        record(done, min(mark, most))
        done, mark = min(mark, most), mark * 10
        gc.collect()
        print(f"  {done:>12,} {tracemalloc.get_traced_memory()[0] / MIB:.3f}")

    in_threads(lambda: record(0, 20 * SERIES))
    gc.collect()
    print(f"after eight threads more: {tracemalloc.get_traced_memory()[0] / MIB:.3f} MiB")
    tracemalloc.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--most", type=int, default=10_000_000)
    given = parser.parse_args()
    lost(given.records)
    memory(given.most)
    print(
        f"CPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
