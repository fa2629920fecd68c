"""The pytest hooks of the session that judges: they translate between pytest and the session."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import replace
from typing import Any

import pytest

from pytest_pe_perf.errors import PePerfError
from pytest_pe_perf.fixtures import hidden
from pytest_pe_perf.judge.accept import terms
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.measuring import Measuring, Shares, body_of, markers_of, measures, why_nothing
from pytest_pe_perf.model import Judgement, Key
from pytest_pe_perf.report import terminal
from pytest_pe_perf.report.cause import causes_of
from pytest_pe_perf.report.progress import LongRun
from pytest_pe_perf.report.screen import hang
from pytest_pe_perf.session import Outcome, Session
from pytest_pe_perf.shard import shard_of

__tracebackhide__ = hidden  # see measure.call

INTERRUPTED = "pe-perf: interrupted, nothing was recorded"
DISTRIBUTED = (
    "--pe-perf measures in one process, and something other than the command line has set up workers of pytest-xdist: "
    "switch them off with -n 0, or pytest-xdist with -p no:xdist"
)
ELSEWHERE = "it ran in another process, where nothing could be measured"
# By these options of pytest-benchmark a user asks for what it shows at the end.
BENCHMARK_SHOWS = ("benchmark_verbose", "benchmark_histogram", "benchmark_cprofile", "benchmark_compare")


class Gate(Measuring):
    """One instance a session."""

    def __init__(self, session: Session, notes: list[str], shares: Shares | None = None) -> None:
        super().__init__(session.settings, session)
        self.session = session
        self.long_run = LongRun(session.say)
        self.notes = notes
        self.shares = shares
        self.modules: set[str] = set()
        self.tests: set[str] = set()
        self.finished: set[str] = set()
        self.elsewhere: set[str] = set()
        self.markers: dict[str, tuple[str, ...]] = {}
        self.complete: set[str] = set()
        self.told: set[Key] = set()
        self.outcome: Outcome | None = None
        self.plan_lines: list[str] = []
        self.failures: list[str] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> Generator[None, object, object]:
        """Refuse workers that somebody has set up after all, and keep pytest-benchmark's table for who asks for it.

        That table is wider than most screens.
        """
        config = session.config
        if config.pluginmanager.hasplugin("dsession"):
            raise pytest.UsageError(DISTRIBUTED)
        result = yield
        asked = any(config.getoption(name, default=None) for name in BENCHMARK_SHOWS)
        # Without the terminal plugin there is no option "verbose".
        if not asked and config.getoption("verbose", default=0) < 2:
            original = getattr(config, "_benchmarksession", None)
            if original is not None:
                original.quiet = True
        return result

    # Collection

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember which modules could be collected, whatever is selected of them later."""
        super().pytest_collectreport(report)
        if report.passed and "::" not in report.nodeid:
            self.modules.add(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember what was collected before anybody deselects."""
        self.tests = {item.nodeid for item in items if measures(item)}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Let the session do what must be done before the first test runs."""
        stopped = session.testsfailed and not session.config.option.continue_on_collection_errors
        if not (session.config.option.collectonly or stopped):
            tests = {item.nodeid: body_of(item) for item in session.items if measures(item)}
            self.markers = {
                item.nodeid: names for item in session.items if measures(item) and (names := markers_of(item))
            }
            self.complete = self._complete(session.config, tests.keys())
            try:
                # A shard has not seen what is in the others: of no module it says that anything is missing.
                self.session.prepare(tests, () if self.shares else self.complete)
            except PePerfError as error:
                raise pytest.UsageError(str(error)) from error
            self.long_run.begin(len(tests))
        return (yield)

    # One test

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Fail a test that would end or hold up this process too, instead of running it."""
        if why := self.session.unfit(item.nodeid):
            pytest.fail(f"not run here, because it broke a process of its own: {why}", pytrace=False)
        super().pytest_runtest_setup(item)

    def after_call(self, item: pytest.Item, seconds: float) -> None:
        """Judge the test, and fail it if it got worse."""
        self.session.durations[item.nodeid] = seconds
        judgements = self.session.judgements(item.nodeid)
        self.done.add(item.nodeid)
        if not self.session.measured(item.nodeid):
            self.session.skip(item.nodeid, why_nothing(item))
            if self.session.settings.strict:
                pytest.fail("this performance test passed and measured nothing", pytrace=False)
            return
        self.session.explain(item.nodeid, judgements)
        for judgement in judgements:
            item.user_properties += _properties(judgement)
        failing = [judgement for judgement in judgements if self.session.fails(judgement)]
        if failing:
            self.told.update(judgement.key for judgement in failing)
            causes = causes_of(failing, self.session.profiles_of_run)
            pytest.fail(terminal.message(failing, self.session.commits, causes), pytrace=False)

    def after_report(self, test: str, report: pytest.TestReport) -> None:
        """Remember that the test has run."""
        super().after_report(test, report)
        self.finished.add(test)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notice a test that somebody runs in a process of its own: its report comes here, and nothing else of it."""
        if report.when == "call" and report.nodeid in self.tests - self.finished:
            self.elsewhere.add(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Say how far a long run is, once pytest has shown what became of the test."""
        if nodeid in self.finished:
            self.long_run.end_one()

    # The end

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge the whole run and write it down."""
        if session.config.option.collectonly:
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

    def _conclude(self, session: pytest.Session) -> None:
        self._note_unmeasured()
        outcome = self.session.conclude()
        outcome = replace(outcome, run=replace(outcome.run, markers=self.markers))
        self.outcome = outcome
        shared = bool(self.shares and self.shares.suite)
        if not (outcome.report.judgements or outcome.run.rows or outcome.run.skipped or shared):
            return  # an empty run takes no other run's place
        if self.shares and self.shares.left and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK  # there are tests, and all of them are in other shards
        try:
            self.outcome, self.plan_lines = self.session.accept(outcome)
        except PePerfError as error:
            self.failures.append(f"pe-perf: {error}")
        self.outcome = self.session.with_entries(self.outcome, self.tests - self.finished)
        self.outcome = self._as_shard(self.outcome)
        self.failures += [f"pe-perf: {error}" for error in self.session.publish(self.outcome)]
        if self.failures and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        failing = [judgement for judgement in self.outcome.report.judgements if self.session.fails(judgement)]
        if session.exitstatus == pytest.ExitCode.OK and any(judgement.key not in self.told for judgement in failing):
            # A missing row has no test that could fail.
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self.outcome.stale and self.session.settings.strict:
            self.failures.append(terminal.stale(len(self.outcome.stale)))
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _note_unmeasured(self) -> None:
        """Note of every test that should have been measured here, and was not, why."""
        for test in self.elsewhere - self.finished:
            self.session.skip(test, ELSEWHERE)
        if count := len(self.elsewhere - self.finished):
            what = "1 performance test" if count == 1 else f"{count} performance tests"
            self.failures.append(
                f"pe-perf: {what} ran in other processes and could not be measured: run them in this one"
            )
        if self.shares:
            # Who puts the shards together must know of each test what became of it.
            for test in sorted(filter(self.shares.share.has, self.shares.suite - self.finished - self.elsewhere)):
                self.session.skip(test, "it was not run: the session ended before")

    def _as_shard(self, outcome: Outcome) -> Outcome:
        """Return the outcome saying which part of the suite it is, if it is one."""
        if not (self.shares and self.shares.suite):
            return outcome
        shard = shard_of(self.shares.share, self.shares.suite, self.session.settings, self.complete)
        own = sum(map(self.shares.share.has, self.shares.suite))
        note = (
            f"shard {shard.index} of {shard.count}: {own} of {shard.tests} performance tests; "
            "the verdict on all of them: pe-perf merge"
        )
        report = replace(outcome.report, notes=(*outcome.report.notes, note))
        return replace(outcome, run=replace(outcome.run, shard=shard), report=report)

    def _complete(self, config: pytest.Config, selected: Collection[str]) -> set[str]:
        """Return the modules that were collected whole and of which every performance test was selected."""
        if config.getoption("lf", default=False) or any("::" in str(arg) for arg in config.args):
            return set()  # tests were left out before anybody saw them
        own = filter(self.shares.share.has, self.tests) if self.shares else self.tests
        left_out = {module_of(test) for test in set(own) - set(selected)}
        found = {module for module in self.modules if (config.rootpath / module).is_file()}
        return found - left_out - self.broken.keys()

    # What the user sees

    def pytest_report_header(self, config: pytest.Config) -> list[str]:
        """Say in a line or two what this session does."""
        if config.option.collectonly:
            return []
        header = terminal.header(self.session.mode, self.session.settings.time)
        share = self.shares.share if self.shares else None
        part = [f"pe-perf: shard {share.index} of {share.count}: the tests of the others are left out"] if share else []
        lines = [header, *part, *(f"pe-perf: {note}" for note in self.session.notes()), *self.notes]
        return [text for line in lines for text in hang(line, config.get_terminal_writer().fullwidth)]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Show the verdicts, what was written, and what could not be."""
        write = terminalreporter.write_line
        if self.outcome is not None:
            terminalreporter.write_sep("=", "pe-perf")
            width = config.get_terminal_writer().fullwidth
            verbosity = config.option.verbose
            page = "" if self.failures else self.session.settings.report
            report, run = self.outcome.report, self.outcome.run
            for line in terminal.summary(report, run, width=width, verbosity=verbosity, page=page):
                write(line.text, **line.markup)
            for text in self.plan_lines:
                write(text)
        for failure in self.failures:
            write(failure, red=True, bold=True)


def _properties(judgement: Judgement) -> list[tuple[str, Any]]:
    name = ".".join(part for part in ("pe_perf", judgement.key.name, judgement.key.metric) if part)
    found = [(name, judgement.value), (f"{name}.verdict", str(judgement.verdict))]
    return [*found, (f"{name}.accepted", terms(judgement.accepted))] if judgement.accepted else found
