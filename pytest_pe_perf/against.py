"""A session that compares two commits: base and head measured side by side before the tests run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_pe_perf.config import PROJECT_FILE, read_entries
from pytest_pe_perf.environment import context
from pytest_pe_perf.errors import SidesError
from pytest_pe_perf.judge.accept import accept_covered
from pytest_pe_perf.judge.pairs_gate import Judged, gate_pairs
from pytest_pe_perf.measure.janitor import workspace
from pytest_pe_perf.measure.paired.process import SideError
from pytest_pe_perf.measure.paired.repository import content_at
from pytest_pe_perf.measure.paired.trees import Against, Sides
from pytest_pe_perf.model import RUN_FORMAT, Acceptance, Judgement, Key, Pairs, Past, Run, Unread, Verdict
from pytest_pe_perf.pairs import Comparison, open_comparer
from pytest_pe_perf.recorder import Bench, Subject
from pytest_pe_perf.rejudge import gate_of
from pytest_pe_perf.report.progress import Meter, Silent
from pytest_pe_perf.report.wording import Commits
from pytest_pe_perf.session import Outcome, Session


@dataclass
class PairedSession(Session):
    """Compares with another commit: ``against`` says with which, and ``meter`` makes what shows how far it is.

    ``accepted_on_base`` are the accept entries of its project file, see ``entries_of_base``.
    """

    against: Against = field(kw_only=True)
    meter: Callable[[], Meter] = Silent
    accepted_on_base: tuple[Acceptance, ...] = ()
    _found: Comparison = field(default_factory=Comparison)
    _pairs: Pairs = field(default_factory=Pairs)
    _by_test: dict[str, list[Judgement]] = field(default_factory=dict)

    @property
    def mode(self) -> str:
        """What is compared with what, for the header."""
        return f"{self.commits.sentence}, side by side"

    @property
    def commits(self) -> Commits:
        """What is measured side by side."""
        return Commits(self.against.ref, self.against.base, self.against.head or "")

    @property
    def on_base(self) -> tuple[Acceptance, ...]:
        """The accept entries of the commit that is compared with."""
        return self.accepted_on_base

    def bench(self, subject: Subject) -> Bench:
        """Return what makes the calls: they were measured before, elsewhere."""
        return self.recorder.rehearsal(subject)

    def prepare(self, tests: Mapping[str, str], complete: Iterable[str]) -> None:
        """Measure base and head side by side.

        Raises:
            BaseError: a tree cannot be made.
            SidesError: the sides cannot be compared at all.

        """
        super().prepare(tests, complete)
        if not tests:
            return
        with workspace() as room, contextlib.ExitStack() as at_the_end:
            meter = self.meter()
            at_the_end.callback(meter.end)
            comparer = open_comparer(room, self.against, self.place, self.settings, list(tests), meter.say, meter.show)
            sides = comparer.sides
            try:
                self._found = comparer.compare(sides.common) if sides.common else Comparison()
                self.profile(accept_covered(self._found.judgements, self.entries), comparer.profile)
            except SideError as error:
                raise SidesError(f"{error}; nothing can be compared") from error
        self._take(sides)

    def _take(self, sides: Sides) -> None:
        unread = (
            *self._found.pairs.unread,
            *(_unread(test, Verdict.NEW, why) for test, why in sides.new.items()),
            *(_unread(test, Verdict.NOT_COMPARABLE, why) for test, why in sides.changed.items()),
            *(_unread(test, self._word(test), why) for test, why in self._found.failed.items()),
            *(_unread(test, Verdict.MISSING, "base has it and head does not") for test in sides.missing),
        )
        self._pairs = replace(self._found.pairs, unread=unread, identical=sides.identical)
        for judgement in self._judged().judgements:
            self._by_test.setdefault(judgement.key.test, []).append(judgement)

    def _judged(self) -> Judged:
        return gate_pairs((self._pairs,), self._found.rows)

    def _word(self, test: str) -> Verdict:
        return Verdict.NEW if test in self._found.new else Verdict.INCONCLUSIVE

    def measured(self, test: str) -> bool:
        """Whether there is a verdict on ``test``."""
        return test in self._by_test

    def unfit(self, test: str) -> str:
        """Return how ``test`` broke a process of head, if it did."""
        return self._found.broken.get(test, "")

    def skip(self, test: str, why: str) -> None:
        """Note that a test gave no number, unless it has a verdict already."""
        if test in self._found.alike:
            # Neither here nor on any side, as with a test that is marked to be skipped: there is nothing to compare.
            self._by_test.pop(test, None)
            unread = tuple(item for item in self._pairs.unread if item.key.test != test)
            self._pairs = replace(self._pairs, unread=unread)
        if not self.measured(test):
            super().skip(test, why)

    def settle(self, test: str) -> tuple[Judgement, ...]:
        """Return the verdicts on ``test``."""
        return tuple(self._by_test.get(test, ()))

    def conclude(self) -> Outcome:
        """Return the run and all verdicts."""
        facts = context(self.rootdir)
        facts |= self.commits.context
        if self.against.head:
            facts |= {"commit": self.against.head, "dirty": "no"}
        skipped = tuple(self.recorder.skipped.values())
        rows = tuple(sorted(self._found.rows, key=lambda row: row.key))
        run = Run(
            RUN_FORMAT,
            self.started,
            self.environment,
            facts,
            rows,
            skipped,
            tuple(sorted(self.complete)),
            pairs=(self._pairs,),
            profiles=self.profiles_of_run,
        )
        return Outcome(run, gate_of(run, {}))

    def _remember(self, outcome: Outcome) -> Past:
        """Append the run to the history, unless it is of a commit that was named: the history goes with the work."""
        return Past() if self.against.head else super()._remember(outcome)


def entries_of_base(against: Against, rootdir: Path) -> tuple[Acceptance, ...]:
    """Return the accept entries of the project that stands in ``rootdir``, as the base has them.

    A change cannot accept itself: what its own project file says counts only as far as the base says the same.

    Raises:
        BaseError: git cannot read the base's file.
        ConfigError: it is not TOML, or an entry in it cannot be read.

    """
    path = (rootdir.resolve() / PROJECT_FILE).relative_to(against.top).as_posix()
    data = content_at(against.top, against.base, path)
    return () if data is None else read_entries(data, f"{path} of the base ({against.base[:10]})")


def _unread(test: str, verdict: Verdict, why: str) -> Unread:
    return Unread(Key(test, "", "latency"), verdict, why)
