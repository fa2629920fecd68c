"""A session that compares two commits: base and head measured side by side before the tests run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_pe_perf.environment import context
from pytest_pe_perf.judge.canaries import canaries_say
from pytest_pe_perf.judge.compare import judge, suspected
from pytest_pe_perf.judge.paired import leans_as_a_whole
from pytest_pe_perf.judge.pairs_verdict import judge_pairs, suspects
from pytest_pe_perf.measure import fresh
from pytest_pe_perf.measure.command import Command
from pytest_pe_perf.measure.paired.canary import CANARY
from pytest_pe_perf.measure.paired.controller import START_UP, Controller, Pass, Progress
from pytest_pe_perf.measure.paired.janitor import Workspace, workspace
from pytest_pe_perf.measure.paired.process import Side, moved
from pytest_pe_perf.measure.paired.trees import Against, Sides, Suite, Trees, check_files
from pytest_pe_perf.model import (
    METRICS,
    RUN_FORMAT,
    BaselineRow,
    GateReport,
    Judgement,
    Key,
    PairedRow,
    Row,
    Run,
    Verdict,
)
from pytest_pe_perf.recorder import Bench, Subject
from pytest_pe_perf.session import Outcome, Session

# Pairs of fresh processes of the first pass; how many measure a suspect again follows from how they scatter.
RESTARTS = 4
# The second pass takes so many times the time of the first, and the check of the whole suite this share of it.
CONFIRM_TIME = 2.0
CHECK_TIME, CHECK_RESTARTS = 0.5, 2
# Fresh processes on each side that weigh a suspect again.
WEIGH_AGAIN = 2
PATIENCE_TO_WEIGH = 60.0


@dataclass
class Comparison:
    """Everything that a comparison of two sides found, for the rows of one set of tests."""

    judgements: tuple[Judgement, ...] = ()
    rows: tuple[Row, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass
class Comparer:
    """Measures and judges tests on two sides. ``progress`` is told of every test of every restart of every pass."""

    controller: Controller
    sides: Sides
    workspace: Workspace
    patience: float
    say: Callable[[str], None]

    def compare(self, tests: Sequence[str], *, memory: bool = True) -> Comparison:
        """Return what is to be said of ``tests``.

        Raises:
            SidesError: a side imported the other's code after all.
            SideError: a side cannot even begin.

        """
        first = self.controller.measure(tests, RESTARTS)
        self._check(first)
        rows, canaries = _apart(_paired_rows(first))
        doubtful = suspects(rows)
        biased = ""
        second = Pass()
        if doubtful:
            again = list(dict.fromkeys(key.test for key in doubtful))
            restarts = max(doubtful.values())
            self.say(f"pe-perf: {_tests(len(again))} suspected: measuring again in {restarts} pairs of fresh processes")
            second = self.controller.measure(again, restarts, CONFIRM_TIME, frozenset(doubtful))
            self._check(second)
            rows, canaries = _with_confirm(rows, second), _with_confirm(canaries, second)
            if leans_as_a_whole(rows):
                biased = self._check_suite(tests)
        sung = canaries_say(canaries)
        weighed = self._weigh(tests) if memory else _Weighed()
        return Comparison(
            (*judge_pairs(rows, biased=biased or sung.biased, blind=sung.blind), *weighed.judgements),
            (*_rows(first, second), *weighed.rows),
            _reasons(first),
            sung.notes,
        )

    def _check(self, found: Pass) -> None:
        if self.sides.project is not None and found.files:
            check_files(found.files["base"], found.files["head"], self.sides.project)

    def _check_suite(self, tests: Sequence[str]) -> str:
        """Measure base against a copy of itself, where the suite leans as a whole; return why no row is to be believed."""
        self.say("pe-perf: the suite leans as a whole: measuring base against a copy of itself")
        base = self.sides.base
        copy = self.workspace.path / "copy"
        shutil.copytree(base.tree, copy, symlinks=True)
        twin = Side(
            "head",
            tuple(moved(word, base.tree, copy) for word in base.command),
            copy / base.folder.relative_to(base.tree),
            base.original,
            copy,
            base.bytecode,
        )
        found = replace(self.controller, head=twin).measure(tests, CHECK_RESTARTS, CHECK_TIME)
        rows, _ = _apart(_paired_rows(found))
        if not leans_as_a_whole(rows):
            return ""
        return "the suite leans as a whole, and so does base against a copy of itself: something favours one side"

    def _weigh(self, tests: Sequence[str]) -> _Weighed:
        """Compare the exact metrics, in fresh processes of both sides."""
        base, head = self._weigh_sides(tests)
        judgements = {key: _judge_exact(base.get(key), row) for key, row in head.items()}
        doubtful = [key for key, row in head.items() if suspected(row, judgements[key])]
        if doubtful:
            again = list(dict.fromkeys(key.test for key in doubtful))
            self.say(f"pe-perf: weighing {_tests(len(again))} again in {WEIGH_AGAIN} fresh processes of each side")
            for _ in range(WEIGH_AGAIN):
                more = self._weigh_sides(again)
                for known, found in zip((base, head), more, strict=True):
                    for key in doubtful:
                        if key in known and key in found:
                            known[key] = replace(known[key], samples=known[key].samples + found[key].samples)
            judgements |= {key: _judge_exact(base.get(key), head[key]) for key in doubtful}
        rows = tuple(replace(row, base=base[key].samples if key in base else ()) for key, row in head.items())
        return _Weighed(tuple(judgements.values()), rows)

    def _weigh_sides(self, tests: Sequence[str]) -> tuple[dict[Key, Row], dict[Key, Row]]:
        # Nothing is timed here, so that both sides may run at once.
        environ = self.controller.layout_environ()
        with ThreadPoolExecutor(2) as pool:
            base, head = pool.map(
                lambda side: fresh.measure_again(
                    side.command,
                    tests,
                    folder=side.folder,
                    timeout=START_UP + PATIENCE_TO_WEIGH * len(tests),
                    environ=side.environ(environ),
                    memory_only=True,
                ),
                (self.sides.base, self.sides.head),
            )
        return {row.key: row for row in base.rows}, {row.key: row for row in head.rows}


@dataclass(frozen=True, slots=True)
class _Weighed:
    judgements: tuple[Judgement, ...] = ()
    rows: tuple[Row, ...] = ()


def _judge_exact(base: Row | None, head: Row) -> Judgement:
    if base is None:
        return Judgement(head.key, Verdict.NEW, "base did not weigh it", head.samples[0].value, line=head.line)
    values = [sample.value for sample in base.samples]
    least = min(values)
    scatter = (max(values) - least) / least if least else 0.0
    return judge(head, BaselineRow(base.key, least, base.source, None, scatter, base.samples[0].made_with))


def _tests(count: int) -> str:
    return "1 test" if count == 1 else f"{count} tests"


def _paired_rows(found: Pass) -> list[PairedRow]:
    return [
        PairedRow(
            key,
            arrived.source,
            arrived.threshold,
            arrived.margin,
            tuple(measured.restart for measured in found.measured[key]),
            budget=arrived.budgets.get(key.metric),
            line=arrived.line,
            problem=_problem(found, key.test),
        )
        for key, arrived in found.arrived.items()
    ]


def _apart(rows: Iterable[PairedRow]) -> tuple[list[PairedRow], list[PairedRow]]:
    """Return the rows of the tests, and those of the canaries."""
    found = list(rows)
    return [row for row in found if row.key.test != CANARY], [row for row in found if row.key.test == CANARY]


def _problem(found: Pass, test: str) -> str:
    return "; ".join(f"on {side}: {why}" for side, why in found.failed.get(test, {}).items())


def _with_confirm(rows: Sequence[PairedRow], second: Pass) -> list[PairedRow]:
    return [
        replace(
            row,
            confirm=tuple(measured.restart for measured in second.measured.get(row.key, ())),
            problem=row.problem or _problem(second, row.key.test),
        )
        for row in rows
    ]


def _rows(first: Pass, second: Pass) -> list[Row]:
    """Return the rows of the run: of each side a sample for every restart."""
    found = []
    for key, arrived in first.arrived.items():
        if key.test == CANARY:
            continue
        measured = [*first.measured[key], *second.measured.get(key, ())]
        found.append(
            Row(
                key,
                tuple(one.head for one in measured),
                arrived.source,
                arrived.threshold,
                arrived.margin,
                arrived.budgets.get(key.metric),
                arrived.line,
                tuple(one.base for one in measured),
            )
        )
    return found


def _reasons(found: Pass) -> dict[str, str]:
    """Return of tests without any row why they have none."""
    known = {key.test for key in found.arrived}
    return {test: _problem(found, test) for test in found.failed if test not in known}


@dataclass
class PairedSession(Session):
    """Compares with another commit. ``against`` says with which, ``invocation`` is this session's own command."""

    against: Against = field(kw_only=True)
    invocation: Command = field(kw_only=True)
    config_file: str = ""
    folders: tuple[Path, ...] = ()
    base_python: str = ""
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
            comparer = self._comparer(room, tests)
            sides = comparer.sides
            if sides.identical:
                self._notes.append("base and head have the same code: this run compares it with itself")
            self._found = comparer.compare(sides.common) if sides.common else Comparison()
        self._take(sides)

    def _comparer(self, room: Workspace, tests: Sequence[str]) -> Comparer:
        logs = room.path / "logs"
        logs.mkdir()
        controller = Controller(
            None,  # type: ignore[arg-type]  # the sides are found with its help
            None,  # type: ignore[arg-type]
            logs,
            room.watch,
            self.settings.timeout,
            1 + self.settings.threshold,
        )
        trees = Trees(
            self.against,
            room,
            self.invocation,
            self._suite(tests),
            self.rootdir,
            controller.survey,
            self.folders,
            self.settings.base_install,
            self.base_python,
        )
        sides = trees.prepare(tests)
        controller = replace(controller, base=sides.base, head=sides.head)
        return Comparer(controller, sides, room, self.settings.timeout, self.say)

    def _suite(self, tests: Iterable[str]) -> Suite:
        def path(name: Path) -> str:
            return name.relative_to(self.against.top).as_posix() if name.is_relative_to(self.against.top) else ""

        modules = frozenset(path((self.rootdir / test.split("::", 1)[0]).resolve()) for test in tests)
        own = tuple(path((self.rootdir / name).resolve()) for name in self.settings.suite)
        return Suite(modules, path(Path(self.config_file)) if self.config_file else "", own)

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
