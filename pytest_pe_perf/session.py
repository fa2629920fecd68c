"""One session of the gate: what it measured, what it says of it, and what it leaves behind.

Knows nothing of pytest: the doors tell it which test runs, and what to say to the user comes back as values. How base
and head are compared is the business of its two kinds, ``stored`` and ``against``.
"""

from __future__ import annotations

import contextlib
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_pe_perf.config import Settings
from pytest_pe_perf.environment import identify
from pytest_pe_perf.errors import PePerfError
from pytest_pe_perf.judge.accept import Entries, accept_covered, with_entries
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.judge.patterns import has_wildcard
from pytest_pe_perf.measure.command import Place
from pytest_pe_perf.model import Acceptance, Environment, GateReport, Judgement, Key, Past, Profile, Run, Verdict
from pytest_pe_perf.profile.stacks import LONGEST_NOTE, PROFILED
from pytest_pe_perf.recorder import Bench, Recorder, Subject
from pytest_pe_perf.report.wording import Commits

# Verdicts that say that the gate could not tell; they fail a test only where the user asked for that.
UNDECIDED = (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE, Verdict.NEW, Verdict.MISSING)
# A run has so many profiles at most: where everything got worse, the first ones tell.
MOST_PROFILES = 20


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
    tests: Mapping[str, str] = field(default_factory=dict)
    complete: frozenset[str] = frozenset()
    profiles: dict[Key, Profile] = field(default_factory=dict)

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

    def prepare(self, tests: Mapping[str, str], complete: Iterable[str]) -> None:
        """Do what must be done before the first of ``tests`` runs; they have the hashes of their source without the name.

        ``complete`` are the modules whose tests were all collected and selected.
        """
        self.tests, self.complete = tests, frozenset(complete)

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

    def explain(self, test: str, judgements: Sequence[Judgement]) -> None:  # noqa: B027 - not if it was done before
        """Look where the time and the memory of the rows of ``test`` go, as far as the settings ask for it."""

    def profile(self, judgements: Sequence[Judgement], look: Callable[[Sequence[Key]], Iterable[Profile]]) -> None:
        """Let ``look`` make the profiles that the settings ask for, and keep them.

        No verdict rests on them: whatever goes wrong is a note in their place.
        """
        always, never = self.settings.profile == "always", self.settings.profile == "never"
        asked = [one.key for one in judgements if not never and (always or (one.fails and self.fails(one)))]
        new = [key for key in asked if key.metric in PROFILED and key not in self.profiles]
        made = sum(bool(profile.stacks) for profile in self.profiles.values())
        keys = new[: max(MOST_PROFILES - made, 0)]
        left_out = f"no profile: a run makes {MOST_PROFILES} at most"
        self.profiles |= {key: Profile(key, note=left_out) for key in new[len(keys) :]}
        if not keys:
            return
        try:
            self.profiles |= {profile.key: profile for profile in look(keys)}
        except Exception as error:  # noqa: BLE001 - what explains a verdict must not get in its way
            note = f"no profile: {type(error).__name__}: {error}"
            self.profiles |= {key: Profile(key, note=note) for key in keys}

    @property
    def profiles_of_run(self) -> tuple[Profile, ...]:
        """The profiles in the order of their rows."""
        known = (self.profiles[key] for key in sorted(self.profiles))
        return tuple(replace(profile, note=profile.note[:LONGEST_NOTE]) for profile in known)

    @abstractmethod
    def measured(self, test: str) -> bool:
        """Whether there is a row of ``test``."""

    @abstractmethod
    def conclude(self) -> Outcome:
        """Judge the whole run."""

    def accept(self, outcome: Outcome) -> tuple[Outcome, list[str]]:
        """Write what this run may accept, if it was asked to; return the outcome with that accepted, and lines."""
        return outcome, []

    def with_entries(self, outcome: Outcome, not_run: Iterable[str]) -> Outcome:
        """Return the outcome with what the entries cover accepted, and with a note on each of the others.

        ``not_run`` are the tests that were collected and left out.
        """
        entries = self.entries
        unseen = {*not_run, *(item.test for item in outcome.run.skipped)}
        named = {module_of(entry.test).removeprefix("./") for entry in entries.of_head if not has_wildcard(entry.test)}
        gone = {module for module in named if not (self.rootdir / module).exists()}
        complete = {*outcome.run.complete, *gone}
        report, stale = with_entries(outcome.report, entries, not_judged=unseen, complete=complete)
        return replace(outcome, report=report, stale=stale)

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
        from pytest_pe_perf.baseline.accepts import with_accepts
        from pytest_pe_perf.files import write_atomically
        from pytest_pe_perf.report.html import render
        from pytest_pe_perf.report.links import commits_of_repository

        command = shlex.join(["pytest", *self.place.command.arguments])
        past = with_accepts(past, self.rootdir / self.settings.baselines, outcome.run)
        page = render(outcome.run, outcome.report, past, command=command, commits=commits_of_repository(self.rootdir))
        write_atomically(self.rootdir / self.settings.report, page.encode())


@contextlib.contextmanager
def _collected(failures: list[PePerfError]) -> Iterator[None]:
    try:
        yield
    except PePerfError as error:
        failures.append(error)
