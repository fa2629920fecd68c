"""One session of the gate: what it measured, what it says of it, and what it leaves behind.

Knows nothing of pytest: the doors tell it which test runs, and what to say to the user comes back as values. How base
and head are compared is the business of its two kinds, ``stored`` and ``against``.
"""

from __future__ import annotations

import contextlib
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_pe_perf.config import Settings
from pytest_pe_perf.environment import identify
from pytest_pe_perf.errors import PePerfError
from pytest_pe_perf.judge.accept import Entries, accept_covered, remark
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.judge.patterns import has_wildcard
from pytest_pe_perf.measure.command import Place
from pytest_pe_perf.model import Acceptance, Environment, GateReport, Judgement, Past, Run, Verdict
from pytest_pe_perf.recorder import Bench, Recorder, Subject
from pytest_pe_perf.report.wording import Commits

# Verdicts that say that the gate could not tell; they fail a test only where the user asked for that.
UNDECIDED = (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE, Verdict.NEW, Verdict.MISSING)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run and what the gate says of it. ``stale`` are those of its notes that fail where the user asked for that."""

    run: Run
    report: GateReport
    stale: tuple[str, ...] = ()


@dataclass
class Session(ABC):
    """The state of a session under ``--pe-perf``.

    ``place`` is the project with the command that starts this very session again. ``say`` shows a line of progress.
    """

    settings: Settings
    place: Place
    say: Callable[[str], None]
    environment: Environment = field(default_factory=identify)
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="microseconds"))
    recorder: Recorder = field(default_factory=Recorder)
    durations: dict[str, float] = field(default_factory=dict)

    @property
    def rootdir(self) -> Path:
        """Pytest's root directory."""
        return self.place.rootdir

    @property
    @abstractmethod
    def mode(self) -> str:
        """What is compared with what, for the header."""

    @property
    def commits(self) -> Commits | None:
        """What is measured side by side, if that is what this session does."""
        return None

    def notes(self) -> tuple[str, ...]:
        """Return what the user should know before anything is measured."""
        return ()

    def prepare(self, tests: Sequence[str]) -> None:  # noqa: B027 - most have nothing to prepare
        """Do what must be done before the first of ``tests`` runs."""

    def unfit(self, test: str) -> str:  # noqa: ARG002 - most run everything
        """Return why ``test`` must not be run in this process, if there is a reason."""
        return ""

    def begin(self, test: str) -> None:
        """Forget what an earlier attempt at ``test`` measured in this process."""
        self.recorder.begin(test)

    def skip(self, test: str, why: str) -> None:
        """Note that a performance test gave no number."""
        self.recorder.skip(test, why)

    def bench(self, subject: Subject) -> Bench:
        """Return what measures the calls of one test in this process."""
        return self.recorder.bench(subject)

    @property
    def on_base(self) -> tuple[Acceptance, ...] | None:
        """The accept entries of the commit that is compared with, None where none is."""
        return None

    @property
    def entries(self) -> Entries:
        """The accept entries that count today, by the clock of UTC."""
        return Entries(self.settings.accept, datetime.fromisoformat(self.started).date(), self.on_base)

    def judgements(self, test: str) -> tuple[Judgement, ...]:
        """Judge the rows of ``test``, which has just run, and accept what the entries cover."""
        return accept_covered(self.settle(test), self.entries)

    @abstractmethod
    def settle(self, test: str) -> tuple[Judgement, ...]:
        """Judge the rows of ``test``, which has just run, by what was measured alone."""

    @abstractmethod
    def measured(self, test: str) -> bool:
        """Whether there is a row of ``test``."""

    @abstractmethod
    def conclude(self, complete: Iterable[str]) -> Outcome:
        """Judge the whole run. ``complete`` are the modules whose tests were all collected and have all run."""

    def accept(self, outcome: Outcome) -> tuple[Outcome, list[str]]:
        """Write what this run may accept, if it was asked to; return the outcome with that accepted, and lines."""
        return outcome, []

    def with_entries(self, outcome: Outcome, not_run: Iterable[str]) -> Outcome:
        """Return the outcome with what the entries cover accepted, and with a note on each of the others.

        ``not_run`` are the tests that were collected and left out.
        """
        report, entries = outcome.report, self.entries
        judgements = accept_covered(report.judgements, entries)
        unseen = {*not_run, *(item.test for item in outcome.run.skipped)}
        named = {module_of(entry.test).removeprefix("./") for entry in entries.of_head if not has_wildcard(entry.test)}
        gone = {module for module in named if not (self.rootdir / module).exists()}
        said = remark(judgements, entries, not_judged=unseen, complete={*outcome.run.complete, *gone})
        report = replace(report, judgements=judgements, notes=(*report.notes, *said.notes))
        return replace(outcome, report=report, stale=said.stale)

    def fails(self, judgement: Judgement) -> bool:
        """Whether the test of this judgement must fail."""
        return judgement.fails or (self.settings.strict and judgement.verdict in UNDECIDED)

    def publish(self, outcome: Outcome) -> list[PePerfError]:
        """Write the run file, the history and the report; return what could not be written.

        One that fails does not keep the others from being written.
        """
        failures: list[PePerfError] = []
        past = Past()
        with _collected(failures):
            self._write_run(outcome)
        with _collected(failures):
            past = self._remember(outcome)
        with _collected(failures):
            self._write_report(outcome, past)
        return failures

    def _write_run(self, outcome: Outcome) -> None:
        from pytest_pe_perf.runfile import write_run

        write_run(self.rootdir / self.settings.json, outcome.run, outcome.report)

    def _remember(self, outcome: Outcome) -> Past:
        """Append the run to the history and return what that holds of its rows."""
        from pytest_pe_perf.history.store import remember

        return remember(self.rootdir, self.settings.history, outcome.run, outcome.report)

    def _write_report(self, outcome: Outcome, past: Past) -> None:
        from pytest_pe_perf.files import write_atomically
        from pytest_pe_perf.report.html import render
        from pytest_pe_perf.report.links import commits_of_repository

        command = shlex.join(["pytest", *self.place.command.arguments])
        page = render(outcome.run, outcome.report, past, command=command, commits=commits_of_repository(self.rootdir))
        write_atomically(self.rootdir / self.settings.report, page.encode())


@contextlib.contextmanager
def _collected(failures: list[PePerfError]) -> Iterator[None]:
    try:
        yield
    except PePerfError as error:
        failures.append(error)
