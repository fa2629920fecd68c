"""Base and head measured side by side and judged: what a session against a commit does, and a settled suspicion."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_pe_perf.config import Settings
from pytest_pe_perf.judge.compare import suspected
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.judge.packed import pack, unpack
from pytest_pe_perf.judge.paired import leans_as_a_whole
from pytest_pe_perf.judge.pairs_gate import gate_pairs, judge_counts
from pytest_pe_perf.judge.pairs_verdict import suspects
from pytest_pe_perf.measure import fresh
from pytest_pe_perf.measure.command import Place
from pytest_pe_perf.measure.janitor import Workspace
from pytest_pe_perf.measure.paired.canary import CANARY
from pytest_pe_perf.measure.paired.controller import START_UP, Controller, Pass, Progress
from pytest_pe_perf.measure.paired.process import Side, moved
from pytest_pe_perf.measure.paired.trees import Against, Sides, Suite, Trees, check_files
from pytest_pe_perf.model import Judgement, Key, PairedRow, Pairs, Profile, Row, Skipped, Unread, Verdict
from pytest_pe_perf.profile import ask

# Pairs of fresh processes of the first pass; how many measure a suspect again follows from how they scatter.
RESTARTS = 4
# The second pass takes so many times the time of the first, and the check of the whole suite this share of it.
CONFIRM_TIME = 2.0
CHECK_TIME, CHECK_RESTARTS = 0.5, 2
# Fresh processes on each side that weigh a suspect again.
WEIGH_AGAIN = 2


@dataclass
class Comparison:
    """Everything that a comparison of two sides found, for the rows of one set of tests.

    ``judgements`` and ``notes`` are what ``gate_pairs`` says of ``pairs`` and ``rows``. ``failed`` are the tests that
    have no row, and why; ``alike`` are those of them for which both sides say the same, and ``new`` those that base
    alone cannot run. ``broken`` are the tests that broke a process of head.
    """

    judgements: tuple[Judgement, ...] = ()
    pairs: Pairs = field(default_factory=Pairs)
    rows: tuple[Row, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    alike: frozenset[str] = frozenset()
    new: frozenset[str] = frozenset()
    broken: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass
class Comparer:
    """Measures and judges tests on two sides.

    ``say`` shows a line that stays; ``show`` is told what is done, and of every test of every restart of every pass.
    """

    controller: Controller
    sides: Sides
    workspace: Workspace
    patience: float
    say: Callable[[str], None]
    show: Callable[[str, Progress | None], None] = lambda _title, _progress: None

    def compare(self, tests: Sequence[str], *, times: bool = True, memory: bool = True) -> Comparison:
        """Return what is to be said of the ``times`` and the ``memory`` of ``tests``.

        Raises:
            SidesError: a side imported the other's code after all.
            SideError: a side cannot even begin.

        """
        if times:
            first = self._controller("screening").measure(tests, RESTARTS)
        else:  # once, untimed, to see what each side imports
            first = self._controller("checking").measure(tests, 1, only=frozenset())
        self._check(first)
        rows, canaries = _apart(_paired_rows(first))
        doubtful = suspects(rows)
        biased = ""
        second = Pass()
        if doubtful:
            again = list(dict.fromkeys(key.test for key in doubtful))
            restarts = max(doubtful.values())
            self.say(f"pe-perf: {_tests(len(again))} suspected: measuring again in {restarts} pairs of fresh processes")
            second = self._controller("confirming").measure(again, restarts, CONFIRM_TIME, frozenset(doubtful))
            self._check(second)
            rows, canaries = _with_confirm(rows, second), _with_confirm(canaries, second)
            if leans_as_a_whole(rows):
                biased = self._check_suite(tests)
        whole = [test for test in tests if test not in first.failed and test not in second.failed]
        weighed = self._weigh(whole) if memory and whole else _Weighed()
        reasons = _reasons(first)
        pairs = Pairs(tuple(map(pack, rows)), tuple(map(pack, canaries)), biased, weighed.lost)
        everything = (*_rows(first, second), *weighed.rows)
        judged = gate_pairs((pairs,), everything)
        return Comparison(
            judged.judgements,
            pairs,
            everything,
            reasons,
            frozenset(test for test in reasons if _alike(first, test)),
            frozenset(test for test in reasons if first.failed[test].keys() == {"base"} and test not in first.crashed),
            {**weighed.broken, **second.broken, **first.broken},
            judged.notes,
        )

    def profile(self, keys: Sequence[Key]) -> tuple[Profile, ...]:
        """Look where the time or the memory of rows goes, on one side after the other."""
        self.say(f"pe-perf: looking where {'1 row goes' if len(keys) == 1 else f'{len(keys)} rows go'} on both sides")
        environ = self.controller.layout_environ()

        def look(side: Side) -> fresh.Answer:
            patience = fresh.Patience(START_UP, self.patience)
            return ask.look(
                side.command,
                keys,
                folder=side.folder,
                room=self.workspace,
                patience=patience,
                environ=side.environ(environ),
            )

        return ask.of_both(keys, look(self.sides.base), look(self.sides.head))

    def _controller(self, title: str) -> Controller:
        return replace(self.controller, progress=lambda progress: self.show(title, progress))

    def _check(self, found: Pass) -> None:
        if self.sides.project is not None and found.files:
            check_files(found.files["base"], found.files["head"], self.sides.project)

    def _check_suite(self, tests: Sequence[str]) -> str:
        """Measure base against a copy of itself, where the suite leans as a whole; return why no row is to be believed."""
        self.say("pe-perf: the suite leans as a whole: measuring base against a copy of itself")
        base = self.sides.base
        copy = self.workspace.path / "copy"
        shutil.copytree(base.tree, copy, symlinks=True)
        twin = replace(
            base,
            name="head",
            command=tuple(moved(word, base.tree, copy) for word in base.command),
            folder=copy / base.folder.relative_to(base.tree),
            tree=copy,
        )
        found = replace(self._controller("checking the suite"), head=twin).measure(tests, CHECK_RESTARTS, CHECK_TIME)
        rows, _ = _apart(_paired_rows(found))
        if not leans_as_a_whole(rows):
            return ""
        return "the suite leans as a whole, and so does base against a copy of itself: something favours one side"

    def _weigh(self, tests: Sequence[str]) -> _Weighed:
        """Compare the exact metrics, in fresh processes of both sides."""
        self.show(f"weighing {_tests(len(tests))} on both sides", None)
        answers = self._weigh_sides(tests)
        lost = _not_weighed(*answers)
        base = {row.key: row.samples for row in answers[0].rows}
        rows = {row.key: replace(row, base=base.get(row.key, ())) for row in answers[1].rows if row.key not in lost}
        doubtful = [key for key, row in rows.items() if suspected(row, judge_counts(row))]
        if doubtful:
            again = list(dict.fromkeys(key.test for key in doubtful))
            self.say(f"pe-perf: weighing {_tests(len(again))} again in {WEIGH_AGAIN} fresh processes of each side")
            for _ in range(WEIGH_AGAIN):
                on_base, on_head = ({row.key: row.samples for row in found.rows} for found in self._weigh_sides(again))
                for key in doubtful:
                    row = rows[key]
                    more = on_base.get(key, ()) if row.base else ()
                    rows[key] = replace(row, samples=row.samples + on_head.get(key, ()), base=row.base + more)
        broken = {item.test: f"on head, {item.why}" for item in answers[1].skipped if item.test in answers[1].broken}
        return _Weighed(tuple(rows.values()), tuple(lost.values()), broken)

    def _weigh_sides(self, tests: Sequence[str]) -> tuple[fresh.Answer, fresh.Answer]:
        # Nothing is timed here, so that both sides may run at once.
        environ = self.controller.layout_environ()
        started: set[int] = set()

        def weigh(side: Side) -> fresh.Answer:
            patience = fresh.Patience(START_UP, self.patience)
            try:
                return fresh.weigh(
                    side.command,
                    tests,
                    folder=side.folder,
                    room=self.workspace.path,
                    patience=patience,
                    environ=side.environ(environ),
                    watch=watch,
                )
            except fresh.FreshProcessError as error:
                return fresh.Answer((), tuple(Skipped(test, str(error)) for test in tests))

        @contextlib.contextmanager
        def watch(pgid: int) -> Iterator[None]:
            if over:
                raise fresh.FreshProcessError("interrupted")
            started.add(pgid)
            self.workspace.watch(pgid)
            try:
                yield
            finally:
                self.workspace.unwatch(pgid)
                started.discard(pgid)

        over = False
        with ThreadPoolExecutor(2) as pool:
            base, head = pool.submit(weigh, self.sides.base), pool.submit(weigh, self.sides.head)
            try:
                return base.result(), head.result()
            except BaseException:
                # On Ctrl-C nobody waits for those who weigh.
                over = True
                for pgid in tuple(started):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(pgid, signal.SIGKILL)
                raise


def open_comparer(
    room: Workspace,
    against: Against,
    place: Place,
    settings: Settings,
    tests: Sequence[str],
    say: Callable[[str], None],
    show: Callable[[str, Progress | None], None] = lambda _title, _progress: None,
    *,
    whole: bool = True,
) -> Comparer:
    """Make the trees of both sides in ``room`` and return what compares them; ``whole``: look at the whole suite.

    Raises:
        BaseError: a tree cannot be made.
        SidesError: the sides cannot be compared at all.

    """
    logs = room.path / "logs"
    logs.mkdir()
    nobody = Side("", (), room.path, room.path, room.path)
    controller = Controller(nobody, nobody, logs, room, settings.timeout, 1 + settings.threshold)
    trees = Trees(
        against,
        room,
        place.command,
        _suite(against, place.rootdir, place.config_file, settings.suite, tests),
        place.rootdir,
        controller.survey,
        place.folders,
        settings.base_install,
        place.base_python,
        () if whole else tuple(dict.fromkeys(module_of(test) for test in tests)),
    )
    show("preparing base and head", None)
    sides = trees.prepare(tests)
    return Comparer(replace(controller, base=sides.base, head=sides.head), sides, room, settings.timeout, say, show)


def _suite(against: Against, rootdir: Path, config_file: str, own: Sequence[str], tests: Sequence[str]) -> Suite:
    def path(name: Path) -> str:
        return name.relative_to(against.top).as_posix() if name.is_relative_to(against.top) else ""

    modules = frozenset(path((rootdir / module_of(test)).resolve()) for test in tests)
    paths = tuple(path((rootdir / name).resolve()) for name in own)
    return Suite(modules, path(Path(config_file)) if config_file else "", paths)


@dataclass(frozen=True, slots=True)
class _Weighed:
    rows: tuple[Row, ...] = ()
    lost: tuple[Unread, ...] = ()
    broken: dict[str, str] = field(default_factory=dict)


def _not_weighed(base: fresh.Answer, head: fresh.Answer) -> dict[Key, Unread]:
    """Return what a side could not weigh."""
    found = {}
    for side, answer, other in (("base", base, head), ("head", head, base)):
        known = {row.key for row in answer.rows}
        for item in answer.skipped:
            lost = [row.key for row in other.rows if row.key.test == item.test and row.key not in known]
            for key in lost or [Key(item.test, "", "allocations")]:
                if item.why and key not in found:
                    found[key] = Unread(key, Verdict.INCONCLUSIVE, f"on {side}: {item.why}")
    return found


def _tests(count: int) -> str:
    return "1 test" if count == 1 else f"{count} tests"


def _paired_rows(found: Pass) -> list[PairedRow]:
    return [
        _as_kept(
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
        )
        for key, arrived in found.arrived.items()
    ]


def _as_kept(row: PairedRow) -> PairedRow:
    """Return the row as the run file will hold it: nothing is decided by digits that it does not keep."""
    return unpack(pack(row))


def _apart(rows: Iterable[PairedRow]) -> tuple[list[PairedRow], list[PairedRow]]:
    """Return the rows of the tests, and those of the canaries."""
    found = list(rows)
    return [row for row in found if row.key.test != CANARY], [row for row in found if row.key.test == CANARY]


def _problem(found: Pass, test: str) -> str:
    if test in found.failed and _alike(found, test):
        return f"on both sides: {next(iter(found.failed[test].values()))}"
    return "; ".join(f"on {side}: {why}" for side, why in found.failed.get(test, {}).items())


def _with_confirm(rows: Sequence[PairedRow], second: Pass) -> list[PairedRow]:
    return [
        _as_kept(
            replace(
                row,
                confirm=tuple(measured.restart for measured in second.measured.get(row.key, ())),
                problem=row.problem or _problem(second, row.key.test),
            )
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


def _alike(found: Pass, test: str) -> bool:
    why = found.failed[test]
    return len(why) == 2 and len(set(why.values())) == 1
