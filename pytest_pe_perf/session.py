"""One session of the gate: collects what is measured, judges test by test, records the whole at the end.

Knows nothing of pytest: the doors tell it which test runs, and what to say to the user comes back as values.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_pe_perf.config import Settings
from pytest_pe_perf.environment import context, identify
from pytest_pe_perf.errors import PePerfError, UsageError
from pytest_pe_perf.judge.compare import BASELINE_PROCESSES, judge, suspected
from pytest_pe_perf.judge.gate import gate, module_of
from pytest_pe_perf.measure import fresh
from pytest_pe_perf.measure.call import Call
from pytest_pe_perf.measure.latency import Clocks, read, read_async, samples
from pytest_pe_perf.measure.loop import MIN_READINGS, Readings
from pytest_pe_perf.measure.memory import TRACKER_BUSY, MemoryProbe
from pytest_pe_perf.model import (
    METRICS,
    RUN_FORMAT,
    BaselineRow,
    Budget,
    Environment,
    GateReport,
    Judgement,
    Key,
    Point,
    Row,
    Run,
    Sample,
    Skipped,
    Verdict,
)

__tracebackhide__ = True  # see measure.call
# Verdicts that say that the gate could not tell; they fail a test only where the user asked for that.
UNDECIDED = (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE, Verdict.NEW, Verdict.MISSING)
# A fresh process may take this many seconds to start and to collect, and this many times as long as the first one.
START_UP = 120.0
PATIENCE = 10.0
# Two turns of two fresh processes make five with the first one; one more, where a busy tracker cost a sample.
TURNS = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """A test that measures: its node id, the hash of its source, its line, its settings and its budgets."""

    test: str
    source: str
    line: int
    settings: Settings
    budgets: Mapping[str, Budget]


@dataclass(slots=True)
class Bench:
    """Measures the calls of one test and hands the samples to the session."""

    subject: Subject
    record: Callable[[Subject, str, Mapping[str, Sample]], None]
    memory: MemoryProbe
    used: bool = False

    def measure(self, call: Call, name: str = "", *, time: bool, memory: bool) -> None:
        """Measure what is asked for of a plain callable."""
        if time:
            self.time(call, name)
        if memory:
            self.weigh(call, name)

    async def measure_async(self, call: Call, name: str = "", *, time: bool, memory: bool) -> None:
        """Measure what is asked for of a coroutine function."""
        if time:
            await self.time_async(call, name)
        if memory:
            await self.weigh_async(call, name)

    def time(
        self, call: Call, name: str = "", clock: Callable[[], int] | None = None, least: int = MIN_READINGS
    ) -> Readings:
        """Measure the time of a plain callable; ``clock`` reads it in nanoseconds where not the wall clock does."""
        settings = self.subject.settings
        readings = read(call, settings.time, collector=settings.gc, clocks=_clocks(clock), least=least)
        self.keep_readings(readings, name)
        return readings

    async def time_async(self, call: Call, name: str = "") -> Readings:
        """Measure the time of a coroutine function."""
        settings = self.subject.settings
        readings = await read_async(call, settings.time, collector=settings.gc)
        self.keep_readings(readings, name)
        return readings

    def weigh(self, call: Call, name: str = "") -> None:
        """Measure the memory of a plain callable."""
        self._keep(name, self.memory.measure(call))

    async def weigh_async(self, call: Call, name: str = "") -> None:
        """Measure the memory of a coroutine function."""
        self._keep(name, await self.memory.measure_async(call))

    def keep_readings(self, readings: Readings, name: str = "") -> None:
        """Record readings that somebody else took."""
        self._keep(name, samples(readings))

    def _keep(self, name: str, found: Mapping[str, Sample]) -> None:
        self.used = True
        self.record(self.subject, name, found)


def _clocks(clock: Callable[[], int] | None) -> Clocks:
    return Clocks() if clock is None else Clocks(reading=clock)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run and what the gate says of it."""

    run: Run
    report: GateReport


@dataclass(slots=True)
class Session:
    """The state of a session under ``--pe-perf``.

    ``command`` starts this very session again in a fresh process. ``request`` is what this process was asked for if it
    is such a process: then it measures, judges nothing and records nothing. ``say`` shows a line of progress.
    """

    settings: Settings
    rootdir: Path
    command: Sequence[str]
    folder: Path
    say: Callable[[str], None]
    update: bool = False
    reason: str = ""
    request: fresh.Request | None = None
    environment: Environment = field(default_factory=identify)
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="microseconds"))
    baseline: dict[Key, BaselineRow] = field(default_factory=dict)
    rows: dict[Key, Row] = field(default_factory=dict)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)
    _memory: dict[float, MemoryProbe] = field(default_factory=dict)

    @property
    def baselines(self) -> Path:
        """The folder of the baselines."""
        return self.rootdir / self.settings.baselines

    def load_baseline(self) -> None:
        """Read the baseline of this environment.

        Raises:
            BaselineError: a file of it cannot be trusted.

        """
        from pytest_pe_perf.baseline.store import load

        self.baseline = dict(load(self.baselines, self.environment))

    def other_environments(self) -> tuple[str, ...]:
        """Return the environments that have a baseline here, where this one has none."""
        from pytest_pe_perf.baseline.store import environments

        return () if self.baseline else environments(self.baselines)

    def begin(self, test: str) -> None:
        """Forget what an earlier attempt at ``test`` measured: the last one counts."""
        for key in [key for key in self.rows if key.test == test]:
            del self.rows[key]
        self.skipped.pop(test, None)

    def bench(self, subject: Subject) -> Bench:
        """Return what measures the calls of one test."""
        memory = self._memory.setdefault(subject.settings.time, MemoryProbe(subject.settings.time))
        return Bench(subject, self.record, memory)

    def record(self, subject: Subject, name: str, found: Mapping[str, Sample]) -> None:
        """Take the samples of one measurement.

        Raises:
            UsageError: the test has measured under this name before.

        """
        for metric, sample in found.items():
            key = Key(subject.test, name, metric)
            if key in self.rows:
                given = f"the name {name!r}" if name else "no name"
                raise UsageError(
                    f"{subject.test} measured twice under {given}: give each measurement a name of its own, "
                    'for example pe_latency["parse"](parse, text)',
                )
            self.rows[key] = Row(
                key,
                (sample,),
                subject.source,
                subject.settings.threshold,
                subject.settings.margin,
                subject.budgets.get(metric),
                subject.line,
            )

    def skip(self, test: str, why: str) -> None:
        """Note that a performance test gave no number."""
        self.skipped[test] = Skipped(test, why)

    def rows_of(self, test: str) -> list[Row]:
        """Return the rows that ``test`` measured."""
        return [row for row in self.rows.values() if row.key.test == test]

    def settle(self, test: str) -> tuple[Judgement, ...]:
        """Judge the rows of ``test``, with fresh processes as long as these could turn a suspicion into a verdict."""
        if self.request is not None:
            return ()
        judgements = self._judge(test)
        for _ in range(TURNS):
            doubtful = {j.key: len(self.rows[j.key].samples) for j in judgements if self._needs_fresh(j)}
            if not doubtful:
                break
            self.say(f"pe-perf: measuring {test} again in {self.settings.fresh} fresh processes")
            self._measure_again([test], doubtful)
            judgements = self._judge(test)
            if all(len(self.rows[key].samples) <= before for key, before in doubtful.items()):
                break
        return judgements

    def fails(self, judgement: Judgement) -> bool:
        """Whether the test of this judgement must fail."""
        if self.update and self._would_accept(judgement):
            return False
        return judgement.fails or (self.settings.strict and judgement.verdict in UNDECIDED)

    def _would_accept(self, judgement: Judgement) -> bool:
        if judgement.verdict is Verdict.REGRESSED:
            return bool(self.reason)
        return judgement.verdict in (Verdict.NEW, Verdict.NOT_COMPARABLE, Verdict.MISSING)

    def _judge(self, test: str) -> tuple[Judgement, ...]:
        return tuple(
            judge(row, self.baseline.get(row.key))
            for row in self.rows_of(test)
            if METRICS[row.key.metric].assume != "nothing"
        )

    def _needs_fresh(self, judgement: Judgement) -> bool:
        row = self.rows[judgement.key]
        return suspected(row, judgement) or any(sample.problem == TRACKER_BUSY for sample in row.samples)

    def _measure_again(self, tests: Sequence[str], keys: Iterable[Key]) -> None:
        """Add the samples of fresh processes to the rows of ``tests``; what cannot be had is the problem of ``keys``."""
        limit = START_UP + PATIENCE * sum(self.durations.get(test, 0.0) for test in tests)
        for _ in range(self.settings.fresh):
            try:
                answer = fresh.measure_again(self.command, tests, folder=self.folder, timeout=limit)
            except fresh.FreshProcessError as error:
                self._give_up(keys, str(error))
                return
            for row in answer.rows:
                self._add(row)
            reasons = {item.test: item.why for item in answer.skipped}
            absent = set(keys) - {row.key for row in answer.rows}
            for key in absent:
                self._give_up([key], f"a fresh process did not measure it: {reasons.get(key.test, 'it was not found')}")

    def _give_up(self, keys: Iterable[Key], problem: str) -> None:
        for key in keys:
            row = self.rows[key]
            self.rows[key] = replace(row, samples=tuple(replace(sample, problem=problem) for sample in row.samples))

    def _add(self, row: Row) -> None:
        known = self.rows.get(row.key)
        if known is not None:
            kept = tuple(sample for sample in known.samples if sample.problem != TRACKER_BUSY)
            self.rows[row.key] = replace(known, samples=kept + row.samples)

    def conclude(self, complete: Iterable[str]) -> Outcome:
        """Measure new rows in fresh processes, judge the whole run, and plan the update if one was asked for.

        ``complete`` are the modules whose tests were all collected and have all run.
        """
        new = [key for key, row in self.rows.items() if self._is_unrecorded(row)]
        if new:
            tests = list(dict.fromkeys(key.test for key in new))
            self.say(f"pe-perf: measuring {len(tests)} new tests again in {self.settings.fresh} fresh processes")
            self._measure_again(tests, new)
        gone = {module_of(key.test) for key in self.baseline if not (self.rootdir / module_of(key.test)).exists()}
        run = Run(
            RUN_FORMAT,
            self.started,
            self.environment,
            context(self.rootdir),
            tuple(self.rows[key] for key in sorted(self.rows)),
            tuple(self.skipped.values()),
            tuple(sorted({*complete, *gone})),
        )
        return Outcome(run, gate(run, self.baseline))

    def _is_unrecorded(self, row: Row) -> bool:
        if METRICS[row.key.metric].assume == "nothing":
            return False
        base = self.baseline.get(row.key)
        ready = len(row.samples) >= BASELINE_PROCESSES or any(sample.problem for sample in row.samples)
        return not ready and (base is None or base.source != row.source)

    def accept(self, outcome: Outcome) -> tuple[Outcome, list[str]]:
        """Write the baseline rows that this run may change, and return the outcome with them accepted.

        Rows that would get worse are left alone without a reason.

        Raises:
            WriteError: the baseline cannot be written; what stood there before is whole.

        """
        from pytest_pe_perf.baseline.update import apply, plan
        from pytest_pe_perf.report.plan import lines

        everything = plan(outcome.run, outcome.report, self.baseline)
        allowed = tuple(change for change in everything.changes if self.reason or not change.worse)
        refused = tuple(
            (change.key, "it would get worse; say why with --pe-perf-reason")
            for change in everything.changes
            if change not in allowed
        )
        apply(allowed, self.baselines, self.environment, self.reason)
        done = {change.key: change.kind for change in allowed}
        judgements = tuple(
            replace(j, verdict=Verdict.ACCEPTED, reason=f"{done[j.key]}: {j.reason}") if j.key in done else j
            for j in outcome.report.judgements
        )
        accepted = replace(outcome, report=replace(outcome.report, judgements=judgements))
        return accepted, lines(replace(everything, changes=allowed, left=everything.left + refused))

    def publish(self, outcome: Outcome) -> list[PePerfError]:
        """Write the run file, the history and the report; return what could not be written.

        One that fails does not keep the others from being written.
        """
        failures: list[PePerfError] = []
        trends: Mapping[Key, Sequence[Point]] = {}
        with _collected(failures):
            self._write_run(outcome)
        with _collected(failures):
            trends = self._remember(outcome)
        with _collected(failures):
            self._write_report(outcome, trends)
        return failures

    def _write_run(self, outcome: Outcome) -> None:
        from pytest_pe_perf.runfile import write_run

        write_run(self.rootdir / self.settings.json, outcome.run, outcome.report)

    def _remember(self, outcome: Outcome) -> Mapping[Key, Sequence[Point]]:
        """Append the run to the history and return the trends of its rows."""
        from pytest_pe_perf.history.store import open_history

        with open_history(self.rootdir / self.settings.history) as history:
            history.append(outcome.run, outcome.report)
            return history.trends(self.environment.slug, [row.key for row in outcome.run.rows])

    def _write_report(self, outcome: Outcome, trends: Mapping[Key, Sequence[Point]]) -> None:
        from pytest_pe_perf.files import write_atomically
        from pytest_pe_perf.report.html import render

        write_atomically(self.rootdir / self.settings.report, render(outcome.run, outcome.report, trends).encode())


@contextlib.contextmanager
def _collected(failures: list[PePerfError]) -> Iterator[None]:
    try:
        yield
    except PePerfError as error:
        failures.append(error)
