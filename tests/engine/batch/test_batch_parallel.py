"""Many symbols on many workers: the same columns, to the last bit, whoever does the work."""

import os
import signal
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from multiprocessing import get_context

import numpy as np
import pytest

from engine_opt import EngineConfig, HITLTrustSystem, InputError, TrustOutcome
from engine_opt.batch import Bars, Requests, decide_all
from engine_opt.model import DecisionKind

CONFIGS = [
    EngineConfig.parse("", {"plan.risk_in_atr": str(1.0 + i / 2), "atr.history": str(240 + i % 2)}) for i in range(5)
]


@pytest.fixture(scope="module")
def markets(walk):
    """Return five symbols of two hundred bars, with requests in turn."""
    found = {}
    for seed, symbol in enumerate(("A", "B", "C", "D", "E")):
        bars = Bars.of(walk(seed, 200))
        turn = np.arange(len(Requests.weekly(bars, "GEN", "cash", 1e6, 3e6, 0.0, 0.0)))
        vix = 20.0 + 5.0 * np.sin(np.arange(200) / 9.0)
        requests = Requests.weekly(bars, turn % 3, turn % 4, 1e6, 3e6, 0.05, 0.01, shares_held=300, confidence=0.97)
        found[symbol] = bars, vix if seed else None, requests
    return found


@pytest.fixture(scope="module")
def trust():
    """Return a system that has seen sixty good decisions of every kind, before all of the bars."""
    system = HITLTrustSystem()
    first = datetime(1999, 10, 1)  # noqa: DTZ001 - moments of days are naive
    for day in range(60):
        for kind in DecisionKind:
            system.record(TrustOutcome(kind, True, 0.95, first + timedelta(day), 0.01))
    return system


@pytest.fixture(scope="module")
def expected(markets, trust):
    """Return what is answered without an executor."""
    return decide_all(markets, CONFIGS, trust=trust, per_task=2)


def parts(value):
    """Yield all that a result consists of: bytes of its columns, and the rest as it is."""
    if is_dataclass(value):
        for each in fields(value):
            yield from parts(getattr(value, each.name))
    elif isinstance(value, np.ndarray):
        yield value.dtype, value.shape, value.tobytes()
    else:
        yield value


def same(ours, theirs):
    """Whether two results are the same to the last bit, in the same order."""
    assert list(ours) == list(theirs)
    return all(
        list(parts(a)) == list(parts(b)) for symbol in theirs for a, b in zip(ours[symbol], theirs[symbol], strict=True)
    )


def test_the_order_is_that_of_the_symbols_and_configurations(markets, trust, expected):
    """A tuple per symbol, an entry per configuration, however they are cut into tasks."""
    assert list(expected) == list(markets)
    assert all([each.config for each in columns] == CONFIGS for columns in expected.values())
    assert all(each.symbol == symbol for symbol, columns in expected.items() for each in columns)
    for per_task in (1, 3, 99):
        assert same(decide_all(markets, CONFIGS, Backwards(), trust, per_task=per_task), expected)
    assert decide_all(markets, []) == dict.fromkeys(markets, ())
    assert decide_all({}, CONFIGS) == {}


def test_the_comparison_can_fail(markets, trust, expected):
    """Other trust and another order are seen."""
    assert not same(decide_all(markets, CONFIGS), expected)
    assert not same(decide_all(markets, CONFIGS[::-1], trust=trust), expected)


@pytest.mark.parametrize("workers", [1, 3])
def test_threads(markets, trust, expected, workers):
    """Threads share the columns that go in, and nothing else."""
    with ThreadPoolExecutor(workers) as executor:
        assert same(decide_all(markets, CONFIGS, executor, trust, per_task=2), expected)
        assert executor.submit(int).result() == 0  # it stays open


def test_processes(markets, trust, expected):
    """Everything survives the way there and back."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        found = decide_all(markets, CONFIGS, executor, trust, per_task=2)
    assert same(found, expected)
    assert found["C"][1].row(-1) == expected["C"][1].row(-1)


class Backwards(Executor):
    """Does the last task first, when the first result is asked for; counts what is cancelled."""

    def __init__(self):
        self.waiting, self.cancelled = [], 0

    def submit(self, function, /, *args, **kwargs):
        outer = self

        class Waiting(Future):
            def result(self, timeout=None):
                outer.work()
                return super().result(timeout)

            def cancel(self):
                outer.cancelled += 1
                return super().cancel()

        self.waiting.append((Waiting(), function, args, kwargs))
        return self.waiting[-1][0]

    def work(self):
        for future, function, args, kwargs in reversed(self.waiting):
            try:
                future.set_result(function(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - whatever it is, the future tells it
                future.set_exception(error)
        self.waiting.clear()


def test_whoever_is_done_first(markets, trust, expected):
    """The order of completion does not show."""
    assert same(decide_all(markets, CONFIGS, Backwards(), trust, per_task=2), expected)


def test_the_first_error_in_order_names_its_symbol_and_the_rest_is_cancelled(markets):
    """Two tasks fail; the later one is done first, and the earlier one is told."""
    bars, _, requests = markets["B"]
    broken = markets | {"B": (bars, [-1.0] * 200, requests), "D": (bars, [-2.0] * 200, requests)}
    executor = Backwards()
    for given in (None, executor):
        with pytest.raises(InputError) as caught:
            decide_all(broken, CONFIGS, given)
        assert (caught.value.field, caught.value.value) == ("vix[0]", -1.0)
        assert caught.value.__notes__ == ["while deciding about symbol 'B'"]
    assert executor.cancelled == 5
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes, pytest.raises(InputError) as caught:
        decide_all({"B": broken["B"]}, CONFIGS, processes)
    assert caught.value.__notes__[-1] == "while deciding about symbol 'B'"


def test_an_executor_that_refuses_work(markets):
    """What it had taken already is cancelled, and its error passes through."""

    class Full(Backwards):
        def submit(self, function, /, *args, **kwargs):
            if len(self.waiting) == 3:
                raise RuntimeError("full")
            return super().submit(function, *args, **kwargs)

    executor = Full()
    with pytest.raises(RuntimeError, match="full"):
        decide_all(markets, CONFIGS, executor)
    assert executor.cancelled == 3


@pytest.mark.parametrize(
    ("series", "per_task", "field"),
    [({"A": None}, 8, "series['A']"), ({"A": (1, 2)}, 8, "series['A']"), ({}, 0, "per_task")],
)
def test_what_cannot_be_cut_into_tasks_is_refused(series, per_task, field):
    with pytest.raises(InputError) as caught:
        decide_all(series, CONFIGS, per_task=per_task)
    assert caught.value.field == field


class Killing(Executor):
    """Hands on what is submitted, and kills a worker's process when the first task is done and others are not."""

    def __init__(self, executor, victim):
        self.executor, self.victim = executor, victim
        self.futures, self.done_before = [], None

    def submit(self, function, /, *args, **kwargs):
        future = self.executor.submit(function, *args, **kwargs)
        self.futures.append(future)
        future.add_done_callback(self.kill)
        return future

    def kill(self, _future):
        if self.done_before is None:
            self.done_before = sum(each.done() for each in self.futures)
            os.kill(self.victim, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a process is killed as POSIX does it")
def test_a_cluster_that_loses_a_worker(markets, trust, expected):
    """A Dask cluster does the lost tasks again; the results are the same."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs="CRITICAL"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = Killing(client.get_executor(), next(iter(client.run(os.getpid).values())))
        found = decide_all(markets, CONFIGS, executor, trust, per_task=1)
        assert same(found, expected)
        assert executor.done_before < len(executor.futures) == 25
