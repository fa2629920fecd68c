"""A session that compares two commits: base and head measured side by side before the tests run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pytest_pe_perf.environment import context
from pytest_pe_perf.measure.paired.controller import Progress
from pytest_pe_perf.measure.paired.janitor import workspace
from pytest_pe_perf.measure.paired.trees import Against, Sides
from pytest_pe_perf.model import METRICS, RUN_FORMAT, GateReport, Judgement, Key, Run, Verdict
from pytest_pe_perf.pairs import Comparison, open_comparer
from pytest_pe_perf.recorder import Bench, Subject
from pytest_pe_perf.session import Outcome, Session


@dataclass
class PairedSession(Session):
    """Compares with another commit: ``against`` says with which."""

    against: Against = field(kw_only=True)
    progress: Callable[[str, Progress], None] = lambda _title, _progress: None
    _found: Comparison = field(default_factory=Comparison)
    _by_test: dict[str, list[Judgement]] = field(default_factory=dict)
    _notes: list[str] = field(default_factory=list)

    @property
    def mode(self) -> str:
        """What is compared with what, for the header."""
        head = self.against.head[:10] if self.against.head else "the working tree"
        return f"{head} against {self.against.base[:10]} ({self.against.ref}), side by side"

    def bench(self, subject: Subject) -> Bench:
        """Return what makes the calls: they were measured before, elsewhere."""
        return self.recorder.rehearsal(subject)

    def prepare(self, tests: Sequence[str]) -> None:
        """Measure base and head side by side.

        Raises:
            BaseError: a tree cannot be made.
            SidesError: the sides cannot be compared at all.

        """
        if not tests:
            return
        with workspace() as room:
            comparer = open_comparer(room, self.against, self.place, self.settings, tests, self.say)
            sides = comparer.sides
            if sides.identical:
                self._notes.append("base and head have the same code: this run compares it with itself")
            self._found = comparer.compare(sides.common) if sides.common else Comparison()
        self._take(sides)

    def _take(self, sides: Sides) -> None:
        extra = [
            *(Judgement(Key(test, "", "latency"), Verdict.NEW, why) for test, why in sides.new.items()),
            *(Judgement(Key(test, "", "latency"), Verdict.NOT_COMPARABLE, why) for test, why in sides.changed.items()),
            *(
                Judgement(Key(test, "", "latency"), Verdict.INCONCLUSIVE, why)
                for test, why in self._found.failed.items()
            ),
        ]
        for judgement in (*self._found.judgements, *extra):
            self._by_test.setdefault(judgement.key.test, []).append(judgement)
        for test in sides.missing:
            why = "base has it and head does not"
            self._by_test.setdefault(test, []).append(Judgement(Key(test, "", "latency"), Verdict.MISSING, why))

    def measured(self, test: str) -> bool:
        """Whether there is a verdict on ``test``."""
        return test in self._by_test

    def skip(self, test: str, why: str) -> None:
        """Note that a test gave no number, unless it has a verdict already."""
        if not self.measured(test):
            super().skip(test, why)

    def settle(self, test: str) -> tuple[Judgement, ...]:
        """Return the verdicts on ``test``."""
        return tuple(self._by_test.get(test, ()))

    def conclude(self, complete: Iterable[str]) -> Outcome:
        """Return the run and all verdicts."""
        facts = context(self.rootdir)
        facts |= {"base": self.against.base, "against": self.against.ref}
        if self.against.head:
            facts |= {"commit": self.against.head, "dirty": "no"}
        skipped = tuple(self.recorder.skipped.values())
        rows = tuple(sorted(self._found.rows, key=lambda row: row.key))
        run = Run(RUN_FORMAT, self.started, self.environment, facts, rows, skipped, tuple(sorted(complete)))
        judgements = tuple(judgement for found in self._by_test.values() for judgement in found)
        judged = tuple(j for j in judgements if METRICS[j.key.metric].assume != "nothing")
        return Outcome(run, GateReport(self.environment, judged, skipped, (*self._notes, *self._found.notes)))
