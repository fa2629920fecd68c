"""What every process under ``--pe-perf`` does with pytest: gives the tests what measures their calls, sees what became of them."""

from __future__ import annotations

import time
import unittest
from collections.abc import Callable, Generator
from typing import Any, Protocol

import pytest

from pytest_pe_perf import config as settings_of
from pytest_pe_perf.config import Settings
from pytest_pe_perf.errors import ConfigError, UsageError
from pytest_pe_perf.fixtures import BENCH, Measure, asked_for, bench_of, hidden, in_loop, readable_errors
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.measure.call import Call
from pytest_pe_perf.recorder import Bench, Subject
from pytest_pe_perf.shard import Share
from pytest_pe_perf.source import source_hash

__tracebackhide__ = hidden  # see measure.call

NOT_CALLED = (
    "{fixture} was requested and never called: call it with the function to measure (and await that in an async test), "
    "or drop the argument"
)
LONGEST_CAUSE = 200
_PYTESTS_OWN = {"filterwarnings", "parametrize", "skip", "skipif", "tryfirst", "trylast", "usefixtures", "xfail"}


def measures(item: pytest.Item) -> bool:
    """Whether the item is a performance test."""
    fixtures = getattr(item, "fixturenames", ())
    marked = any(item.get_closest_marker(name) is not None for name in ("benchmark", "pe_import"))
    return any(asked_for(item)) or "benchmark" in fixtures or marked


def markers_of(item: pytest.Item) -> tuple[str, ...]:
    """Return by which markers people tell a test from others: not what tells pytest, or us, how to run it."""
    names = {marker.name for marker in item.iter_markers()}
    return tuple(sorted(name for name in names - _PYTESTS_OWN if not name.startswith("pe_")))


def body_of(item: pytest.Item) -> str:
    """Return the hash of a test's source without its name."""
    return source_hash(_function(item), named=False)


class Keeper(Protocol):
    """Where the measurements of a process go."""

    def begin(self, test: str) -> None:
        """Forget what an earlier attempt at ``test`` measured."""

    def skip(self, test: str, why: str) -> None:
        """Note that a performance test gave no number."""

    def bench(self, subject: Subject) -> Bench:
        """Return what measures the calls of one test."""


class Measuring:
    """The hooks of a process that measures; what follows from the numbers is the business of its subclasses.

    With ``gives_way`` a marker's margin may be wider than the threshold: it was written for baselines.
    """

    gives_way = False

    def __init__(self, settings: Settings, keeper: Keeper) -> None:
        self.settings = settings
        self.keeper = keeper
        self.broken: dict[str, str] = {}
        self.done: set[str] = set()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember which modules could not be collected, and why."""
        if not report.passed:
            self.broken[module_of(report.nodeid)] = why(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Give a performance test what measures its calls."""
        if BENCH in item.stash:  # somebody runs it again: the last attempt counts
            del item.stash[BENCH]
        self.done.discard(item.nodeid)
        self.keeper.begin(item.nodeid)
        if measures(item):
            bench_of(item)

    def make_bench(self, item: pytest.Item) -> Bench:
        """Return what measures the calls of one test.

        Raises:
            ConfigError: a marker of the test cannot be read.

        """
        return self.keeper.bench(self._subject(item))

    def _subject(self, item: pytest.Item) -> Subject:
        changes: dict[str, Any] = {}
        benchmark = item.get_closest_marker("benchmark")
        if benchmark is not None and "max_time" in benchmark.kwargs:
            seconds = float(benchmark.kwargs["max_time"])
            changes["time"] = min(max(seconds, settings_of.SHORTEST), settings_of.LONGEST)
        budgets = {}
        for name in ("pe_latency", "pe_memory"):
            for marker in reversed(list(item.iter_markers(name))):
                if marker.args:
                    raise ConfigError(f"the {name} marker takes no positional arguments, it got {marker.args}")
                limits, found = settings_of.split_marker(name, marker.kwargs)
                budgets.update(limits)
                changes.update(found)
        known = settings_of.giving_way(self.settings, changes) if self.gives_way else self.settings
        settings = settings_of.with_changes(known, changes, f"the markers of {item.nodeid}")
        line = (item.location[1] or 0) + 1
        return Subject(item.nodeid, source_hash(_function(item)), line, settings, budgets, body_of(item))

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> object | None:
        """Measure the whole body of a test that has a marker and none of the fixtures."""
        bench = pyfuncitem.stash.get(BENCH, None)
        fixtures = {"pe_latency", "pe_memory", "benchmark"}
        if bench is None or bench.used:
            return None
        with readable_errors():
            if module := _imported(pyfuncitem):
                bench.time_import(module)
        if fixtures & set(pyfuncitem.fixturenames) or not _whole_body(pyfuncitem):
            return None
        bench.used = True  # the call below may come through here again
        self._measure_body(pyfuncitem, bench)
        return True

    def _measure_body(self, item: pytest.Function, bench: Bench) -> None:
        time, memory = asked_for(item)
        if item.get_closest_marker("benchmark") is not None:
            time, memory = True, memory or bench.subject.settings.benchmark_memory
        arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}  # noqa: SLF001 - no public name
        call = Call(item.obj, (), arguments)
        with readable_errors():
            if not call.is_async:
                bench.measure(call, time=time, memory=memory)
            elif "anyio_backend" in item.funcargs:
                # anyio's own runner makes the call, in the loop in which its fixtures live.
                again = Call(item.ihook.pytest_pyfunc_call, (), {"pyfuncitem": item})
                bench.measure(again, time=time, memory=memory)
            else:
                in_loop(bench.measure_async(call, time=time, memory=memory))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Look at what was measured when the call of a performance test is over.

        Within the call, so that to everybody else (xfail, reruns, debuggers, reports) it is a test that failed.
        """
        started = time.perf_counter()
        result = yield
        seconds = time.perf_counter() - started
        if BENCH in item.stash:
            if forgotten := _forgotten(item):
                pytest.fail(NOT_CALLED.format(fixture=forgotten), pytrace=False)
            self.after_call(item, seconds)
        return result

    def after_call(self, item: pytest.Item, seconds: float) -> None:
        """Do what is to be done with what ``item`` measured in a call that took so many seconds."""
        raise NotImplementedError

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note of a performance test that it was not measured, and why."""
        report = yield
        if report.when == "teardown" or not (BENCH in item.stash or measures(item)):
            return report
        if report.when == "call" or not report.passed:
            self.after_report(item.nodeid, report)
        return report

    def after_report(self, test: str, report: pytest.TestReport) -> None:
        """Note of a test that did not come to its end why it gave no number."""
        if not report.passed and test not in self.done:
            self.keeper.begin(test)
            self.keeper.skip(test, why(report))


class Shares:
    """Leaves the tests of other shards out, in every process under ``--pe-perf-shard``, when all others have selected.

    ``suite`` are the performance tests that were selected by then, ``left`` is whether any test was left to others.
    """

    def __init__(self, share: Share) -> None:
        self.share = share
        self.suite: frozenset[str] = frozenset()
        self.left = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep this shard's share."""
        self.suite = frozenset(item.nodeid for item in items if measures(item))
        others = [item for item in items if not self.share.has(item.nodeid)]
        if others:
            self.left = True
            config.hook.pytest_deselected(items=others)
            items[:] = [item for item in items if self.share.has(item.nodeid)]


def why_nothing(item: pytest.Item) -> str:
    """Return why a performance test that passed measured nothing."""
    if item.config.getoption("benchmark_disable", default=False):
        return "pytest-benchmark is disabled (--benchmark-disable)"
    if not isinstance(item, pytest.Function) or (item.cls is not None and issubclass(item.cls, unittest.TestCase)):
        return "tests of unittest.TestCase cannot be measured: write a plain function"
    return "it passed and measured nothing"


def _function(item: pytest.Item) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(item, "function", item.runtest)
    return function


def _whole_body(item: pytest.Item) -> bool:
    return any(asked_for(item)) or item.get_closest_marker("benchmark") is not None


def _imported(item: pytest.Item) -> str:
    """Return the module whose import is to be timed, if any."""
    marker = item.get_closest_marker("pe_import")
    if marker is None:
        return ""
    if len(marker.args) != 1 or marker.kwargs or not isinstance(marker.args[0], str):
        raise UsageError('the pe_import marker takes the name of a module: @pytest.mark.pe_import("package.module")')
    return marker.args[0]


def _forgotten(item: pytest.Item) -> str:
    """Return the name of a fixture of ours that the test asked for and never called."""
    values = getattr(item, "funcargs", {})
    return next((name for name, value in values.items() if isinstance(value, Measure) and not value.called), "")


def why(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why a test that did not pass gave no number."""
    if hasattr(report, "wasxfail"):
        return "it is expected to fail (xfail)"
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        return reason.removeprefix("Skipped: ").strip() or "skipped"
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash else str(report.longrepr)).strip().splitlines() or [""]
    # Of a module that cannot be imported there is a whole traceback as text, in which the cause is marked.
    cause = next((line[1:].strip() for line in lines if line.startswith("E ")), lines[0])
    what = {"call": "it", "collect": "collecting its module"}.get(report.when or "", f"its {report.when}")
    return f"{what} failed: {cause[:LONGEST_CAUSE]}"
