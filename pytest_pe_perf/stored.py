"""A session that compares with the baseline in git: a suspicion is settled by fresh processes, or beside its commit."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pe_perf.config import Settings
from pytest_pe_perf.environment import context
from pytest_pe_perf.errors import PePerfError
from pytest_pe_perf.judge.accept import accept_covered
from pytest_pe_perf.judge.compare import BASELINE_PROCESSES, DECIDING_PROCESSES, cannot_fail, slow_reference, suspected
from pytest_pe_perf.judge.gate import gate, judged, module_of, settles
from pytest_pe_perf.judge.renames import Renames, find, same_benchmark
from pytest_pe_perf.judge.stale import YOUNG, Age, interpreter_of
from pytest_pe_perf.measure import fresh
from pytest_pe_perf.measure.memory import TRACKER_BUSY
from pytest_pe_perf.measure.speed import MachineSpeed
from pytest_pe_perf.model import METRICS, RUN_FORMAT, BaselineRow, Judgement, Key, Profile, Row, Run, Settled, Verdict
from pytest_pe_perf.report.progress import START_UP, rough_time
from pytest_pe_perf.session import Outcome, Session

if TYPE_CHECKING:
    from pytest_pe_perf.pairs import Comparer

# A fresh process may take this many times as long as the first one, besides the patience that the user has.
PATIENCE = 10.0
# Two turns of two fresh processes make five with the first one; one more, where a busy tracker cost a sample.
TURNS = 3


@dataclass
class StoredSession(Session):
    """Compares with the baseline of this environment; ``update`` accepts what it measured, for ``reason``.

    ``beside`` are the settings of a comparison of two commits, by which a suspicion is settled. ``age`` are the rows of
    the baseline that are old. ``renames`` are the tests of this suite that have other names in the baseline.
    """

    beside: Settings = field(kw_only=True)

    update: bool = False
    reason: str = ""
    baseline: dict[Key, BaselineRow] = field(default_factory=dict)
    settled: dict[Key, Settled] = field(default_factory=dict)
    age: Age = YOUNG
    renames: Renames = field(default_factory=Renames)
    machine: MachineSpeed = field(default_factory=MachineSpeed)
    _unsettled: dict[Key, str] = field(default_factory=dict)

    @property
    def mode(self) -> str:
        """What is compared with what, for the header."""
        rows = f"{len(self.baseline)} rows" if len(self.baseline) != 1 else "1 row"
        return f"stored baselines of {self.environment.slug}: {rows if self.baseline else 'no rows yet'}"

    @property
    def baselines(self) -> Path:
        """The folder of the baselines."""
        return self.rootdir / self.settings.baselines

    def load_baseline(self) -> None:
        """Read the baseline of this environment, and ask git which of its rows are old.

        Raises:
            BaselineError: a file of it cannot be trusted.

        """
        from pytest_pe_perf.baseline.origin import age_of
        from pytest_pe_perf.baseline.store import load

        self.baseline = dict(load(self.baselines, self.environment))
        self.age = age_of(self.baselines, self.environment, self.baseline, self.settings.stale_after)

    def notes(self) -> tuple[str, ...]:
        """Name the environments that have a baseline here, where this one has none."""
        from pytest_pe_perf.baseline.store import environments

        others = () if self.baseline else environments(self.baselines)
        return (f"there are baselines of other environments: {', '.join(others)}",) if others else ()

    def prepare(self, tests: Mapping[str, str], complete: Iterable[str]) -> None:
        """Find out which of ``tests`` have other names in the baseline; a module that was deleted is complete, too."""
        modules = {module_of(key.test) for key in self.baseline}
        deleted = {module for module in modules if not (self.rootdir / module).exists()}
        super().prepare(tests, deleted.union(complete))
        gone = [key for key in self.baseline if module_of(key.test) in self.complete]
        self.renames = find(tests, self.baseline, gone)

    def measured(self, test: str) -> bool:
        """Whether there is a row of ``test``."""
        return bool(self.recorder.rows_of(test))

    def settle(self, test: str) -> tuple[Judgement, ...]:
        """Judge the rows of ``test``, with fresh processes as long as these could turn a suspicion into a verdict."""
        self._ask_machine(test)
        judgements = self._judge(test)
        for _ in range(TURNS):
            suspected = [judgement.key for judgement in judgements if self._is_to_settle(judgement)]
            fresh_ones = [key for key in suspected if key not in self._unsettled]
            if fresh_ones and not self.update:  # who accepts wants no proof
                self._settle_beside(test, fresh_ones)
                judgements = self._judge(test)
            doubtful = {j.key: len(self.recorder.rows[j.key].samples) for j in judgements if self._needs_fresh(j)}
            if not doubtful:
                break
            self.say(f"pe-perf: measuring {test} again in fresh processes")
            self._measure_again([test], doubtful, lambda: self._is_dispelled(test))
            judgements = self._judge(test)
            if all(len(self.recorder.rows[key].samples) <= before for key, before in doubtful.items()):
                break
        return judgements

    def _ask_machine(self, test: str) -> None:
        """Find out whether the machine is slow, where the reference workload was while ``test`` was measured."""
        for row in self.recorder.rows_of(test):
            base = self._base(row)
            if base is not None and METRICS[row.key.metric].assume == "noisy" and slow_reference(row, base):
                now = self.machine.now()
                self.recorder.rows[row.key] = replace(
                    row, samples=tuple(replace(sample, machine=now) for sample in row.samples)
                )

    def fails(self, judgement: Judgement) -> bool:
        """Whether the test of this judgement must fail."""
        if self.update and self._would_accept(judgement):
            return False
        return super().fails(judgement)

    def _would_accept(self, judgement: Judgement) -> bool:
        if judgement.verdict is Verdict.REGRESSED:
            return bool(self.reason)
        return judgement.verdict in (Verdict.NEW, Verdict.NOT_COMPARABLE, Verdict.MISSING)

    def _base(self, row: Row) -> BaselineRow | None:
        return self.renames.base(row, self.baseline)

    def _judge(self, test: str) -> tuple[Judgement, ...]:
        return tuple(
            self._judgement(row) for row in self.recorder.rows_of(test) if METRICS[row.key.metric].assume != "nothing"
        )

    def _judgement(self, row: Row) -> Judgement:
        interpreter = interpreter_of(self.environment, platform.python_version())
        settled = self.settled.get(row.key)
        return self._explained(judged(row, self._base(row), settled, interpreter, self.age))

    def _explained(self, judgement: Judgement) -> Judgement:
        """Say of a suspicion that no pair has settled why not, and how it could be."""
        if judgement.verdict is not Verdict.INCONCLUSIVE:
            return judgement
        if self._is_let_be(judgement):
            return replace(judgement, reason="looks slower by less than fails a test, which was not followed up")
        why = self._unsettled.get(judgement.key)
        if why is None and self.settings.confirm == "failing" and self._suspects(judgement):
            why = f"settle it with: {_against('COMMIT', judgement.key.test)}"
        if why is None:
            return judgement
        return replace(judgement, reason=f"{judgement.reason}; {why}")

    def begin(self, test: str) -> None:
        """Forget what an earlier attempt at ``test`` measured in this process, and what was settled of it."""
        super().begin(test)
        for known in (self.settled, self._unsettled, self.profiles):
            for key in [key for key in known if key.test == test]:
                del known[key]

    def _suspects(self, judgement: Judgement) -> bool:
        """Whether fresh processes have left this row looking worse, a time whatever a baseline can prove."""
        comparison, base = judgement.comparison, self.baseline.get(judgement.key)
        # Beside the commit that accepted the last step of a creep nothing would be seen of the others.
        if comparison is None or base is None or comparison.base != base.value or comparison.n < DECIDING_PROCESSES:
            return False
        if comparison.tier == "counts":
            # A count may depend on a clock, or on how many calls came before it: processes of one hour agree on that.
            return judgement.verdict is Verdict.REGRESSED
        slower = comparison.ratio > 1 + self.recorder.rows[judgement.key].margin
        return slower and judgement.verdict in (Verdict.INCONCLUSIVE, Verdict.REGRESSED)

    def _is_to_settle(self, judgement: Judgement) -> bool:
        """Whether a pair is asked about it: of all that look worse, or of what would fail its test."""
        fails = judgement.verdict is Verdict.REGRESSED
        return self._suspects(judgement) and (fails or self.settings.confirm != "failing")

    def _settle_beside(self, test: str, keys: Sequence[Key]) -> None:
        """Measure ``test`` beside the commits that accepted its doubtful rows, and keep what that says of them."""
        from pytest_pe_perf.baseline.origin import accepted_at

        origins = accepted_at(self.rootdir, self.baselines, self.environment, keys)
        commits = dict.fromkeys(origin.commit for origin in origins.values() if origin.commit)
        found = {commit: self._beside(commit, test, keys) for commit in commits if self.settings.confirm != "never"}
        for key in keys:
            commit = origins[key].commit
            judgements, why = found.get(commit, ({}, origins[key].why_not or "confirm is set to never"))
            judgement = judgements.get(key)
            if judgement is None or not settles(judgement, self.recorder.rows[key].margin):
                why = judgement.reason if judgement else why
                self._unsettled[key] = f"{why}; settle it with: {_against(commit or 'COMMIT', test)}"
                continue
            # What the baseline suspects is worse: that it is better beside its commit dispels the suspicion, no more.
            word = Verdict.UNCHANGED if judgement.verdict is Verdict.IMPROVED else judgement.verdict
            settled = replace(judgement, verdict=word, reason=f"beside {commit[:10]}: {judgement.reason}")
            self.settled[key] = Settled(settled, self.baseline[key])

    def _beside(self, commit: str, test: str, keys: Sequence[Key]) -> tuple[Mapping[Key, Judgement], str]:
        """Return what this working tree beside ``commit`` says of ``test``, and why there is nothing of ``keys``."""
        from pytest_pe_perf.measure.paired.process import SideError

        self.say(f"pe-perf: measuring {test} beside {commit[:10]}, which accepted its baseline")
        kinds = {METRICS[key.metric].assume for key in keys}
        try:
            with self._comparer(commit, test) as comparer:
                found = comparer.compare(comparer.sides.common, times="noisy" in kinds, memory="exact" in kinds)
                self.profile(accept_covered(found.judgements, self.entries), comparer.profile)
        except (PePerfError, SideError) as error:
            return {}, str(error)
        return {judgement.key: judgement for judgement in found.judgements}, found.failed.get(test, "it gave no number")

    @contextlib.contextmanager
    def _comparer(self, commit: str, test: str) -> Iterator[Comparer]:
        """Yield what compares this working tree with ``commit``, for ``test`` alone.

        Raises:
            PePerfError: the commit cannot be had, or not be compared with.
            SideError: it does not have the test, or this system compares no commits.

        """
        from pytest_pe_perf.measure.janitor import workspace
        from pytest_pe_perf.measure.paired.process import SideError
        from pytest_pe_perf.measure.paired.refs import toplevel
        from pytest_pe_perf.measure.paired.trees import Against
        from pytest_pe_perf.pairs import open_comparer

        if os.name != "posix":
            raise SideError("base", "two commits are compared on Linux and macOS alone")
        against = Against(toplevel(self.rootdir), commit[:10], commit)
        with workspace() as room:
            comparer = open_comparer(room, against, self.place, self.beside, [test], self.say, whole=False)
            sides = comparer.sides
            if not sides.common:
                raise SideError("base", "; ".join((*sides.new.values(), *sides.changed.values())))
            yield comparer

    def explain(self, test: str, judgements: Sequence[Judgement]) -> None:
        """Look where the rows of ``test`` go: beside the commits that accepted them, or here alone."""
        self.profile(judgements, lambda keys: self._look(test, keys))

    def _look(self, test: str, keys: Sequence[Key]) -> Iterator[Profile]:
        from pytest_pe_perf.baseline.origin import accepted_at
        from pytest_pe_perf.measure.paired.process import SideError

        origins = accepted_at(self.rootdir, self.baselines, self.environment, keys)
        for origin in dict.fromkeys(origins.values()):
            own, why = [key for key in keys if origins[key] == origin], origin.why_not
            if origin.commit and self.settings.confirm == "never":
                why = "confirm is set to never"
            elif origin.commit:
                try:
                    with self._comparer(origin.commit, test) as comparer:
                        yield from comparer.profile(own)
                    continue
                except (PePerfError, SideError) as error:
                    why = str(error)
            yield from self._look_here(own, why)

    def _look_here(self, keys: Sequence[Key], why: str) -> tuple[Profile, ...]:
        from pytest_pe_perf.measure.janitor import workspace
        from pytest_pe_perf.profile import ask

        self.say(f"pe-perf: looking where {keys[0].test} goes")
        command = self.place.command
        limit = self.settings.timeout + PATIENCE * self.durations.get(keys[0].test, 0.0)
        patience = fresh.Patience(limit, limit)
        with workspace() as room:
            seen = ask.look(
                command.again, keys, folder=command.folder, room=room, patience=patience, environ=os.environ
            )
        return ask.of_head(keys, seen, why)

    def _needs_fresh(self, judgement: Judgement) -> bool:
        row = self.recorder.rows[judgement.key]
        if any(sample.problem == TRACKER_BUSY for sample in row.samples):
            return True
        return suspected(row, judgement, self._base(row)) and not self._is_let_be(judgement)

    def _is_let_be(self, judgement: Judgement) -> bool:
        """Whether a first doubt is not worth fresh processes: whatever they say, nothing fails."""
        row = self.recorder.rows[judgement.key]
        base = self._base(row)
        return self._only_failing and suspected(row, judgement, base) and cannot_fail(row, base, judgement)

    @property
    def _only_failing(self) -> bool:
        """Whether this run is after nothing but what fails a test."""
        return self.settings.confirm == "failing" and not self.settings.strict and not self.update

    def _is_dispelled(self, test: str) -> bool:
        """Whether a fresh process has left no doubt about ``test``, and another one is not wanted for its own sake."""
        return self._only_failing and not any(map(self._needs_fresh, self._judge(test)))

    def _measure_again(
        self, tests: Sequence[str], keys: Collection[Key], is_enough: Callable[[], bool] = lambda: False
    ) -> None:
        """Add the samples of fresh processes to the rows of ``tests``; what cannot be had is the problem of ``keys``.

        Memory is left out where only times are in doubt.
        """
        command = self.place.command
        limit = self.settings.timeout + PATIENCE * sum(self.durations.get(test, 0.0) for test in tests)
        times_only = all(METRICS[key.metric].assume == "noisy" for key in keys)
        for _ in range(self.settings.fresh):
            try:
                answer = fresh.measure_again(
                    command.again, tests, folder=command.folder, timeout=limit, times_only=times_only
                )
            except fresh.FreshProcessError as error:
                self._give_up(keys, str(error))
                return
            for row in answer.rows:
                self._add(row)
            reasons = {item.test: item.why for item in answer.skipped}
            absent = set(keys) - {row.key for row in answer.rows}
            for key in absent:
                self._give_up([key], f"a fresh process did not measure it: {reasons.get(key.test, 'it was not found')}")
            if is_enough():
                return

    def _give_up(self, keys: Iterable[Key], problem: str) -> None:
        for key in keys:
            row = self.recorder.rows[key]
            self.recorder.rows[key] = replace(
                row, samples=tuple(replace(sample, problem=problem) for sample in row.samples)
            )

    def _add(self, row: Row) -> None:
        known = self.recorder.rows.get(row.key)
        if known is not None:
            kept = tuple(sample for sample in known.samples if sample.problem != TRACKER_BUSY)
            self.recorder.rows[row.key] = replace(known, samples=kept + row.samples)

    def conclude(self) -> Outcome:
        """Measure new rows in fresh processes, judge the whole run, and plan the update if one was asked for."""
        new = [key for key, row in self.recorder.rows.items() if self._is_unrecorded(row)]
        if new:
            tests = list(dict.fromkeys(key.test for key in new))
            kind = "new and stale" if self.update and self.baseline else "new"
            what = f"1 {kind} test" if len(tests) == 1 else f"{len(tests)} {kind} tests"
            seconds = self.settings.fresh * (START_UP + sum(self.durations.get(test, 0.0) for test in tests))
            processes = f"{self.settings.fresh} fresh processes, about {rough_time(seconds)}"
            self.say(f"pe-perf: measuring {what} again in {processes}")
            self._measure_again(tests, new)
        measured = {key.test for key in self.recorder.rows}
        run = Run(
            RUN_FORMAT,
            self.started,
            self.environment,
            context(self.rootdir),
            tuple(self.recorder.rows[key] for key in sorted(self.recorder.rows)),
            tuple(self.recorder.skipped.values()),
            tuple(sorted(self.complete)),
            tuple(self.settled.values()),
            profiles=self.profiles_of_run,
            unmeasured={test: body for test, body in self.tests.items() if test not in measured},
        )
        report = gate(run, self.baseline, self.age)
        return Outcome(run, replace(report, judgements=tuple(map(self._explained, report.judgements))))

    def _is_unrecorded(self, row: Row) -> bool:
        """Whether the baseline has no such row, or one that is to be recorded anew, and too few processes measured it."""
        if METRICS[row.key.metric].assume == "nothing":
            return False
        base = self._base(row)
        ready = len(row.samples) >= BASELINE_PROCESSES or any(sample.problem for sample in row.samples)
        return not ready and (base is None or not same_benchmark(row, base) or self._to_refresh(row))

    def _to_refresh(self, row: Row) -> bool:
        return self.update and bool(self._judgement(row).stale)

    def accept(self, outcome: Outcome) -> tuple[Outcome, list[str]]:
        """Write the baseline rows that this run may change, and return the outcome with them accepted.

        Rows that would get worse are left alone without a reason.

        Raises:
            WriteError: the baseline cannot be written; what stood there before is whole.

        """
        if not self.update:
            return outcome, []
        from pytest_pe_perf.baseline.store import load
        from pytest_pe_perf.baseline.update import apply, plan, renamed_tests
        from pytest_pe_perf.history.store import follow
        from pytest_pe_perf.report.plan import history_lines, lines

        report = outcome.report
        if not self.reason:  # what an entry covers waits for one
            report = replace(report, judgements=accept_covered(report.judgements, self.entries))
        everything = plan(outcome.run, report, self.baseline)
        allowed = tuple(change for change in everything.changes if self.reason or not change.worse)
        refused = tuple(
            (change.key, "it would get worse; say why with --pe-perf-reason")
            for change in everything.changes
            if change not in allowed
        )
        apply(allowed, self.baselines, self.environment, self.reason)
        pairs = renamed_tests(allowed)
        history = history_lines(*follow(self.rootdir, self.settings.history, pairs), pairs)
        done = {change.key: change.kind for change in allowed if change.kind != "complete"}
        judgements = tuple(
            replace(j, verdict=Verdict.ACCEPTED, reason=f"{done[j.key]}: {j.reason}") if j.key in done else j
            for j in outcome.report.judgements
        )
        # What was to be done about names and ages is done.
        notes = gate(outcome.run, load(self.baselines, self.environment), self.age.without(done)).notes
        accepted = replace(outcome, report=replace(outcome.report, judgements=judgements, notes=notes))
        return accepted, [*lines(replace(everything, changes=allowed, left=everything.left + refused)), *history]


def _against(commit: str, test: str) -> str:
    return f"pytest --pe-perf --pe-perf-against {commit[:10]} {shlex.quote(test)}"
