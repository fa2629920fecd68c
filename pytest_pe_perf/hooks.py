"""The pytest hooks that are registered under ``--pe-perf``: they translate between pytest and the session."""

from __future__ import annotations

import unittest
from collections.abc import Generator
from typing import Any

import pytest

from pytest_pe_perf import config as settings_of
from pytest_pe_perf.errors import ConfigError, PePerfError
from pytest_pe_perf.fixtures import BENCH, Measure, asked_for, in_loop, readable_errors
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.measure import fresh
from pytest_pe_perf.measure.call import Call
from pytest_pe_perf.model import Judgement
from pytest_pe_perf.report import terminal
from pytest_pe_perf.session import Bench, Outcome, Session, Subject
from pytest_pe_perf.source import source_hash

NOT_CALLED = "{fixture} was requested and never called: call it with the function to measure, or drop the argument"


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
        self.tests: set[str] = set()
        self.finished: set[str] = set()
        self.outcome: Outcome | None = None
        self.plan_lines: list[str] = []
        self.failures: list[PePerfError] = []

    # Collection

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember what was collected before anybody deselects; in a fresh process, keep what was asked for."""
        self.modules = {module_of(item.nodeid) for item in items}
        self.tests = {item.nodeid for item in items if measures(item)}
        if self.session.request is not None:
            items[:] = [item for item in items if item.nodeid in self.session.request.tests]

    # One test

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Give a performance test what measures its calls."""
        if not measures(item):
            return
        self.session.begin(item.nodeid)
        with readable_errors():
            item.stash[BENCH] = self.session.bench(self._subject(item))

    def _subject(self, item: pytest.Item) -> Subject:
        settings = self.session.settings
        benchmark = item.get_closest_marker("benchmark")
        if benchmark is not None and "max_time" in benchmark.kwargs:
            settings = settings_of.with_marker(settings, {"time": f"{float(benchmark.kwargs['max_time'])} s"})
        budgets = {}
        for name in ("pe_latency", "pe_memory"):
            for marker in reversed(list(item.iter_markers(name))):
                if marker.args:
                    raise ConfigError(f"the {name} marker takes no positional arguments, it got {marker.args}")
                limits, changes = settings_of.split_marker(name, marker.kwargs)
                budgets.update(limits)
                settings = settings_of.with_marker(settings, changes)
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
                _measure(bench, call, time=time, memory=memory)
            elif "anyio_backend" in item.funcargs:
                # anyio's own runner makes the call, in the loop in which its fixtures live.
                again = Call(item.ihook.pytest_pyfunc_call, (), {"pyfuncitem": item})
                _measure(bench, again, time=time, memory=memory)
            else:
                in_loop(_measure_async(bench, call, time=time, memory=memory))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Judge the test when its call is over, and fail it if it got worse."""
        report = yield
        if not measures(item) or report.when == "teardown":
            return report
        if report.when == "call":
            self.session.durations[item.nodeid] = call.duration
            self.finished.add(item.nodeid)
        if report.passed and report.when == "call":
            self._settle(item, report)
        elif not report.passed:
            self.finished.add(item.nodeid)
            self.session.begin(item.nodeid)
            self.session.skip(item.nodeid, _why(report))
        return report

    def _settle(self, item: pytest.Item, report: pytest.TestReport) -> None:
        if forgotten := _forgotten(item):
            self.session.skip(item.nodeid, "its fixture was never called")
            _fail(report, NOT_CALLED.format(fixture=forgotten))
            return
        if not self.session.rows_of(item.nodeid):
            self.session.skip(item.nodeid, self._why_nothing(item))
            if self.session.settings.strict:
                _fail(report, "this performance test passed and measured nothing")
            return
        judgements = self.session.settle(item.nodeid)
        for judgement in judgements:
            report.user_properties += _properties(judgement)
        failing = [judgement for judgement in judgements if self.session.fails(judgement)]
        if failing:
            _fail(report, "\n\n".join(terminal.failure(judgement) for judgement in failing))

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
            skipped = list(self.session.skipped.values())
            fresh.answer(self.session.request, fresh.Answer(tuple(self.session.rows.values()), tuple(skipped)))
            return
        if session.exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR):
            self.notes.append("pe-perf: interrupted, nothing was recorded")
            return
        if session.exitstatus == pytest.ExitCode.USAGE_ERROR:
            return
        try:
            self._conclude(session)
        except KeyboardInterrupt:
            self.notes.append("pe-perf: interrupted, nothing was recorded")
            session.exitstatus = pytest.ExitCode.INTERRUPTED

    def _conclude(self, session: pytest.Session) -> None:
        if not self.session.rows and not self.session.skipped:
            return
        self.outcome = self.session.conclude(self._complete(session.config))
        if self.session.update:
            try:
                self.outcome, self.plan_lines = self.session.accept(self.outcome)
            except PePerfError as error:
                self.failures.append(error)
        self.failures += self.session.publish(self.outcome)
        if self.failures and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        undecided = [judgement for judgement in self.outcome.report.judgements if self.session.fails(judgement)]
        if undecided and session.exitstatus == pytest.ExitCode.OK:
            # A missing row has no test that could fail.
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _complete(self, config: pytest.Config) -> set[str]:
        """Return the modules that were collected whole and of which every performance test has run."""
        pending = {module_of(test) for test in self.tests - self.finished}
        named = (str(arg).split("::")[0] for arg in config.args if "::" in str(arg))
        partial = {(config.invocation_params.dir / name).resolve() for name in named}
        return {module for module in self.modules - pending if (config.rootpath / module).resolve() not in partial}

    # What the user sees

    def pytest_report_header(self) -> list[str]:
        """Say in one line what this session does."""
        session = self.session
        rows = len(session.baseline)
        return [terminal.header(session.environment, baseline_rows=rows, seconds=session.settings.time), *self.notes]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the verdicts, what was written, and what could not be."""
        if self.session.request is not None:
            return
        write = terminalreporter.write_line
        if self.outcome is not None:
            verbosity = terminalreporter.config.option.verbose
            terminalreporter.section("pe-perf", sep="=")
            for line in terminal.summary(self.outcome.report, self.outcome.run, verbosity=verbosity):
                write(line.text, **line.markup)
            for text in self.plan_lines:
                write(text)
        for error in self.failures:
            write(f"pe-perf: {error}", red=True, bold=True)
        for note in self.notes:
            if "interrupted" in note:
                write(note, yellow=True, bold=True)


def _measure(bench: Bench, call: Call, *, time: bool, memory: bool) -> None:
    if time:
        bench.time(call)
    if memory:
        bench.weigh(call)


async def _measure_async(bench: Bench, call: Call, *, time: bool, memory: bool) -> None:
    if time:
        await bench.time_async(call)
    if memory:
        await bench.weigh_async(call)


def _fail(report: pytest.TestReport, message: str) -> None:
    report.outcome = "failed"
    report.longrepr = message


def _forgotten(item: pytest.Item) -> str:
    """Return the name of a fixture of ours that the test asked for and never called."""
    values = getattr(item, "funcargs", {})
    return next((name for name, value in values.items() if isinstance(value, Measure) and not value.called), "")


def _why(report: pytest.TestReport) -> str:
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        return reason.removeprefix("Skipped: ").strip() or "skipped"
    return "it failed" if report.when == "call" else f"its {report.when} failed"


def _properties(judgement: Judgement) -> list[tuple[str, Any]]:
    name = ".".join(part for part in ("pe_perf", judgement.key.name, judgement.key.metric) if part)
    return [(name, judgement.value), (f"{name}.verdict", str(judgement.verdict))]
