"""The pytest hooks that are registered under ``--pe-perf``: they translate between pytest and the session."""

from __future__ import annotations

import time
import unittest
from collections.abc import Generator
from typing import Any

import pytest

from pytest_pe_perf import config as settings_of
from pytest_pe_perf.errors import ConfigError, PePerfError
from pytest_pe_perf.fixtures import BENCH, Measure, asked_for, bench_of, hidden, in_loop, readable_errors
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.measure import fresh
from pytest_pe_perf.measure.call import Call
from pytest_pe_perf.model import Judgement, Key
from pytest_pe_perf.report import terminal
from pytest_pe_perf.session import Bench, Outcome, Session, Subject
from pytest_pe_perf.source import source_hash

__tracebackhide__ = hidden  # see measure.call

NOT_CALLED = (
    "{fixture} was requested and never called: call it with the function to measure (and await that in an async test), "
    "or drop the argument"
)
LONGEST_CAUSE = 200
INTERRUPTED = "pe-perf: interrupted, nothing was recorded"
# By these options of pytest-benchmark a user asks for what it shows at the end.
BENCHMARK_SHOWS = ("benchmark_verbose", "benchmark_histogram", "benchmark_cprofile", "benchmark_compare")


def measures(item: pytest.Item) -> bool:
    """Whether the item is a performance test."""
    fixtures = getattr(item, "fixturenames", ())
    return any(asked_for(item)) or "benchmark" in fixtures or item.get_closest_marker("benchmark") is not None


class Hooks:
    """One instance a session."""

    def __init__(self, session: Session, notes: list[str]) -> None:
        self.session = session
        self.notes = notes
        self.modules: set[str] = set()
        self.broken: dict[str, str] = {}
        self.tests: set[str] = set()
        self.finished: set[str] = set()
        self.judged: set[str] = set()
        self.told: set[Key] = set()
        self.outcome: Outcome | None = None
        self.plan_lines: list[str] = []
        self.failures: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Keep pytest-benchmark's table, which is wider than most screens, for those who ask for it."""
        config = session.config
        asked = any(config.getoption(name, default=None) for name in BENCHMARK_SHOWS)
        # Without the terminal plugin there is no option "verbose".
        if not asked and config.getoption("verbose", default=0) < 2:
            original = getattr(config, "_benchmarksession", None)
            if original is not None:
                original.quiet = True

    # Collection

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember which modules could be collected, whatever is selected of them later."""
        if not report.passed:
            self.broken[module_of(report.nodeid)] = _why(report)
        elif "::" not in report.nodeid:
            self.modules.add(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember what was collected before anybody deselects; in a fresh process, keep what was asked for."""
        self.tests = {item.nodeid for item in items if measures(item)}
        if self.session.request is not None:
            items[:] = [item for item in items if item.nodeid in self.session.request.tests]

    # One test

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Give a performance test what measures its calls."""
        if BENCH in item.stash:  # somebody runs it again: the last attempt counts
            del item.stash[BENCH]
        self.judged.discard(item.nodeid)
        self.session.begin(item.nodeid)
        if measures(item):
            bench_of(item)

    def make_bench(self, item: pytest.Item) -> Bench:
        """Return what measures the calls of one test.

        Raises:
            ConfigError: a marker of the test cannot be read.

        """
        return self.session.bench(self._subject(item))

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
        settings = settings_of.with_changes(self.session.settings, changes, f"the markers of {item.nodeid}")
        function: Any = getattr(item, "function", item.runtest)
        line = (item.location[1] or 0) + 1
        return Subject(item.nodeid, source_hash(function), line, settings, budgets)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> object | None:
        """Measure the whole body of a test that has a marker and none of the fixtures."""
        bench = pyfuncitem.stash.get(BENCH, None)
        fixtures = {"pe_latency", "pe_memory", "benchmark"}
        if bench is None or bench.used or fixtures & set(pyfuncitem.fixturenames):
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
        """Judge the test when its call is over, and fail it if it got worse.

        Within the call, so that to everybody else (xfail, reruns, debuggers, reports) it is a test that failed.
        """
        started = time.perf_counter()
        result = yield
        if BENCH in item.stash:
            self.session.durations[item.nodeid] = time.perf_counter() - started
            self._settle(item)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note of a performance test that it was not measured, and why."""
        report = yield
        if report.when == "teardown" or not (BENCH in item.stash or measures(item)):
            return report
        if report.when == "call" or not report.passed:
            self.finished.add(item.nodeid)
            if not report.passed and item.nodeid not in self.judged:
                self.session.begin(item.nodeid)
                self.session.skip(item.nodeid, _why(report))
        return report

    def _settle(self, item: pytest.Item) -> None:
        if forgotten := _forgotten(item):
            pytest.fail(NOT_CALLED.format(fixture=forgotten), pytrace=False)
        if not self.session.rows_of(item.nodeid):
            self.session.skip(item.nodeid, self._why_nothing(item))
            self.judged.add(item.nodeid)
            if self.session.settings.strict:
                pytest.fail("this performance test passed and measured nothing", pytrace=False)
            return
        judgements = self.session.settle(item.nodeid)
        self.judged.add(item.nodeid)
        for judgement in judgements:
            item.user_properties += _properties(judgement)
        failing = [judgement for judgement in judgements if self.session.fails(judgement)]
        if failing:
            self.told.update(judgement.key for judgement in failing)
            pytest.fail("\n\n".join(terminal.failure(judgement) for judgement in failing), pytrace=False)

    def _why_nothing(self, item: pytest.Item) -> str:
        if item.config.getoption("benchmark_disable", default=False):
            return "pytest-benchmark is disabled (--benchmark-disable)"
        if not isinstance(item, pytest.Function) or (item.cls is not None and issubclass(item.cls, unittest.TestCase)):
            return "tests of unittest.TestCase cannot be measured: write a plain function"
        return "it passed and measured nothing"

    # The end

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge the whole run and write it down; in a fresh process, hand over what was measured."""
        if session.config.option.collectonly:
            return
        if self.session.request is not None:
            self._answer(self.session.request)
            return
        if session.exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR):
            self.failures.append(INTERRUPTED)
            return
        if session.exitstatus == pytest.ExitCode.USAGE_ERROR:
            return
        try:
            self._conclude(session)
        except KeyboardInterrupt:
            self.failures.append(INTERRUPTED if self.outcome is None else "pe-perf: interrupted while it was recording")
            session.exitstatus = pytest.ExitCode.INTERRUPTED

    def _answer(self, request: fresh.Request) -> None:
        for test in request.tests:
            if not self.session.rows_of(test) and module_of(test) in self.broken:
                self.session.skip(test, self.broken[module_of(test)])
        rows, skipped = tuple(self.session.rows.values()), tuple(self.session.skipped.values())
        fresh.answer(request, fresh.Answer(rows, skipped))

    def _conclude(self, session: pytest.Session) -> None:
        outcome = self.session.conclude(self._complete(session.config))
        self.outcome = outcome
        if not (outcome.report.judgements or outcome.run.rows or outcome.run.skipped):
            return  # an empty run takes no other run's place
        if self.session.update:
            try:
                self.outcome, self.plan_lines = self.session.accept(outcome)
            except PePerfError as error:
                self.failures.append(f"pe-perf: {error}")
        self.failures += [f"pe-perf: {error}" for error in self.session.publish(self.outcome)]
        if self.failures and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        failing = [judgement for judgement in self.outcome.report.judgements if self.session.fails(judgement)]
        if session.exitstatus == pytest.ExitCode.OK and any(judgement.key not in self.told for judgement in failing):
            # A missing row has no test that could fail.
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _complete(self, config: pytest.Config) -> set[str]:
        """Return the modules that were collected whole and of which every performance test has run."""
        if config.getoption("lf", default=False) or any("::" in str(arg) for arg in config.args):
            return set()  # tests were left out before anybody saw them
        pending = {module_of(test) for test in self.tests - self.finished}
        found = {module for module in self.modules if (config.rootpath / module).is_file()}
        return found - pending - self.broken.keys()

    # What the user sees

    def pytest_report_header(self, config: pytest.Config) -> list[str]:
        """Say in one line what this session does."""
        if config.option.collectonly:
            return []
        session = self.session
        rows = len(session.baseline)
        header = terminal.header(session.environment, baseline_rows=rows, seconds=session.settings.time)
        others = session.other_environments()
        elsewhere = [f"pe-perf: there are baselines of other environments: {', '.join(others)}"] if others else []
        return [header, *elsewhere, *self.notes]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Show the verdicts, what was written, and what could not be."""
        if self.session.request is not None:
            return
        write = terminalreporter.write_line
        if self.outcome is not None:
            terminalreporter.section("pe-perf", sep="=")
            width = config.get_terminal_writer().fullwidth
            verbosity = config.option.verbose
            for line in terminal.summary(self.outcome.report, self.outcome.run, width=width, verbosity=verbosity):
                write(line.text, **line.markup)
            for text in self.plan_lines:
                write(text)
        for failure in self.failures:
            write(failure, red=True, bold=True)


def _forgotten(item: pytest.Item) -> str:
    """Return the name of a fixture of ours that the test asked for and never called."""
    values = getattr(item, "funcargs", {})
    return next((name for name, value in values.items() if isinstance(value, Measure) and not value.called), "")


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
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


def _properties(judgement: Judgement) -> list[tuple[str, Any]]:
    name = ".".join(part for part in ("pe_perf", judgement.key.name, judgement.key.metric) if part)
    return [(name, judgement.value), (f"{name}.verdict", str(judgement.verdict))]
