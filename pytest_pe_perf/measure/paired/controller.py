"""Two pytest processes in lock step, pair after pair: test by test, never running at once, on one core."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from pytest_pe_perf.judge.paired import estimate, problem
from pytest_pe_perf.measure.janitor import Watcher
from pytest_pe_perf.measure.paired import rounds
from pytest_pe_perf.measure.paired.canary import CANARY
from pytest_pe_perf.measure.paired.process import Layout, Side, SideError, SideProcess, cores, pair
from pytest_pe_perf.measure.paired.rounds import Measured, SideName
from pytest_pe_perf.measure.paired.wire import Arrived, Collected, Ended, Finished, FromSide, Go, Round, Stop, Taken
from pytest_pe_perf.model import Key

# A process may take this long to start and to collect, whatever the patience for a test.
START_UP = 120.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a pass is: the restart (from 1) of so many, the test (from 1) of so many.

    ``seconds`` is the time that the test gets in this restart; ``ratio`` is what the restarts before say of its latency,
    with the ends of the 95 % interval.
    """

    restart: int
    restarts: int
    test: int
    tests: int
    name: str
    seconds: float = 0.0
    ratio: tuple[float, float, float] | None = None


@dataclass(slots=True)
class Pass:
    """What the restarts of one pass measured, and of which tests they could not measure what.

    ``crashed`` are the tests that ended a process, or let it hang; ``broken`` says how, of head's. ``files`` is what each side had imported in the
    end.
    """

    measured: dict[Key, list[Measured]] = field(default_factory=dict)
    arrived: dict[Key, Arrived] = field(default_factory=dict)
    failed: dict[str, dict[SideName, str]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    crashed: set[str] = field(default_factory=set)
    files: dict[SideName, dict[str, str]] = field(default_factory=dict)

    def fail(self, test: str, side: SideName, why: str) -> None:
        """Note that a side gave no number for a test."""
        self.failed.setdefault(test, {}).setdefault(side, why)


class _OverError(Exception):
    """A side ended its test in the middle of a measurement."""


class _Voice:
    """One side, as the controller hears it: what is heard too early can be heard again."""

    def __init__(self, process: SideProcess, patience: float) -> None:
        self._process = process
        self._patience = patience
        self._kept: list[FromSide] = []
        self._asked = 0

    def hear(self) -> FromSide:
        return self._kept.pop() if self._kept else self._process.receive(self._patience)

    def hear_collected(self) -> Collected:
        message = self._process.receive(max(self._patience, START_UP))
        if not isinstance(message, Collected):
            raise _nonsense(self._process.side, message)
        return message

    def tell(self, message: Go | Round | Stop) -> None:
        self._process.send(message)

    def ask(self, order: Round) -> Taken:
        """Return a round.

        Raises:
            _OverError: the test ended instead.

        """
        self.tell(order)
        self._asked += 1
        message = self._process.receive(self._patience + order.nanoseconds / 1e9)
        if isinstance(message, Taken):
            return message
        self._kept.append(message)
        raise _OverError

    def release(self, rounds: int) -> None:
        """End a measurement, unless the side has ended it: the test, or the last of its own ``rounds``."""
        if not self._kept and (rounds == 0 or self._asked < rounds):
            self.tell(Stop())
        self._asked = 0

    def pin(self, core: int) -> None:
        self._process.pin(core)


def _nonsense(side: Side, message: object) -> SideError:
    return SideError(side.name, f"{side.name} said {type(message).__name__}, which makes no sense here")


@dataclass(slots=True)
class Controller:
    """Measures tests on both sides.

    ``logs`` is a folder for what the processes print, ``watcher`` is told of every process, ``patience`` is how many
    seconds a side may say nothing, ``planted`` by how much head's second canary is slowed down.
    """

    base: Side
    head: Side
    logs: Path
    watcher: Watcher
    patience: float
    planted: float
    random: Random = field(default_factory=Random)
    progress: Callable[[Progress], None] = lambda _progress: None
    clock: Callable[[], int] = time.perf_counter_ns

    def layout_environ(self) -> dict[str, str]:
        """Return this process's environment with a layout drawn by chance, for both sides of something untimed."""
        return Layout.draw(self.random).environ(os.environ)

    def survey(self, sides: Sequence[Side]) -> list[Collected | SideError]:
        """Return what each side collects, having run nothing, or why it did not come so far."""
        layout = Layout.draw(self.random)
        started: list[SideProcess | SideError] = []
        try:
            for side in sides:
                try:
                    started.append(SideProcess(side, layout, self.logs / f"{side.name}.txt", self.watcher))
                except SideError as error:
                    started.append(error)
            return [self._collected(process) for process in started]
        finally:
            for process in started:
                if isinstance(process, SideProcess):
                    process.close(patient=False)

    def _collected(self, process: SideProcess | SideError) -> Collected | SideError:
        if isinstance(process, SideError):
            return process
        try:
            return _Voice(process, self.patience).hear_collected()
        except SideError as error:
            return error

    def measure(
        self, tests: Sequence[str], restarts: int, factor: float = 1.0, only: frozenset[Key] | None = None
    ) -> Pass:
        """Measure ``tests`` in so many pairs of fresh processes, in ``factor`` times their time.

        The first shows whether any of them times anything; if none does, there is no other. A pair that breaks is
        replaced by another one, which goes on behind the test that broke it.

        Raises:
            SideError: a side cannot even begin.

        """
        found = Pass()
        for restart in range(restarts):
            left = [test for test in tests if test not in found.failed]
            total = len(left)
            while left:
                left = self._go_on(found, left, _Turn(restart, restarts, total, factor / restarts, only))
            if all(key.test == CANARY for key in found.arrived):
                break  # nothing is timed, and what repeats exactly is weighed without pairs
        return found

    def _go_on(self, found: Pass, tests: Sequence[str], turn: _Turn) -> list[str]:
        """Run ``tests`` in a pair and return those behind one that broke it."""
        base_first = turn.restart % 2 == 0
        left = list(tests)
        with pair(
            self.base,
            self.head,
            layout=Layout.draw(self.random),
            logs=self.logs,
            watcher=self.watcher,
            base_first=base_first,
        ) as (base, head):
            talk = _LockStep(
                self, found, turn, {"base": _Voice(base, self.patience), "head": _Voice(head, self.patience)}
            )
            talk.begin(tests)
            try:
                for test in talk.run():
                    left.remove(test)
            except SideError as error:
                if not left:
                    return []  # everything was measured; a fixture of the session broke its end
                # One that broke before it measured anything, such as in a fixture, is the next in the order.
                broken = talk.running if talk.running in left else left[0]
                why = f"{error} while it ran {broken}"
                found.fail(broken, "base" if error.side == "base" else "head", why)
                found.crashed.add(broken)
                if error.side == "head":
                    found.broken.setdefault(broken, why)
                return left[left.index(broken) + 1 :]
        return []


@dataclass(frozen=True, slots=True)
class _Turn:
    """Which restart of how many this is, of so many tests, and the share of a test's time that it gets."""

    restart: int
    restarts: int
    tests: int
    share: float
    only: frozenset[Key] | None


class _LockStep:
    """One pair at work."""

    def __init__(self, controller: Controller, found: Pass, turn: _Turn, voices: dict[SideName, _Voice]) -> None:
        self._controller = controller
        self._found = found
        self._turn = turn
        self._voices = voices
        self._over: dict[SideName, Finished | None] = {"base": None, "head": None}
        self.running = ""

    def begin(self, tests: Sequence[str]) -> None:
        """Let both sides collect, and tell them what to run."""
        wanted = set(tests)
        for voice in self._voices.values():
            wanted &= {test.id for test in voice.hear_collected().tests}
        chosen = tuple(test for test in tests if test in wanted)
        for test in tests:
            if test not in wanted:
                self._found.fail(test, "head", "it was not collected again")
        for side, voice in self._voices.items():
            voice.tell(Go(chosen, self._controller.planted if side == "head" else 1.0))
        self._pin()

    def run(self) -> Iterator[str]:
        """Follow both sides to their ends, and yield each test that is over."""
        number = 0
        while True:
            said: dict[SideName, FromSide] = {side: self._hear(side) for side in self._voices}
            base, head = said["base"], said["head"]
            if isinstance(base, Ended) and isinstance(head, Ended):
                self._found.files = {"base": base.files, "head": head.files}
                return
            if isinstance(base, Finished) and isinstance(head, Finished):
                yield from self._finish(base, head)
                self._over = {"base": None, "head": None}
                number += 1
            elif isinstance(base, Arrived) and isinstance(head, Arrived) and _same(base, head):
                self._show(head, number)
                self._measure(base, head)
            else:
                self._let_go(said)

    def _hear(self, side: SideName) -> FromSide:
        # A side that is through with its test waits for the other one.
        over = self._over[side]
        if over is not None:
            return over
        message = self._voices[side].hear()
        if isinstance(message, Finished):
            self._over[side] = message
        elif isinstance(message, Arrived):
            self.running = message.test
        elif not isinstance(message, Ended):
            raise SideError(side, f"{side} said {type(message).__name__}, which makes no sense here")
        return message

    def _let_go(self, said: dict[SideName, FromSide]) -> None:
        """Send on those who want to measure what the other side does not have."""
        if any(isinstance(message, Ended) for message in said.values()):
            raise SideError("base" if isinstance(said["base"], Ended) else "head", "one side ended before the other")
        for side, message in said.items():
            if isinstance(message, Arrived):
                other: SideName = "head" if side == "base" else "base"
                over = self._over[other]
                why = f"it did not measure {message.name or 'what the other side did'}"
                self._found.fail(message.test, other, (over and over.why) or why)
                self._voices[side].tell(Stop())

    def _finish(self, base: Finished, head: Finished) -> Iterator[str]:
        if base.why:
            self._found.fail(base.test, "base", base.why)
        if head.why:
            self._found.fail(head.test, "head", head.why)
        self.running = ""
        yield head.test

    def _show(self, arrived: Arrived, number: int) -> None:
        if arrived.test != CANARY:
            turn, key = self._turn, Key(arrived.test, arrived.name, arrived.metric)
            self._controller.progress(
                Progress(
                    turn.restart + 1,
                    turn.restarts,
                    number + 1,
                    turn.tests,
                    key.label,
                    arrived.seconds * turn.share,
                    _ratio_so_far(self._found.measured.get(key, ())),
                )
            )

    def _pin(self) -> None:
        known = cores()
        if known:
            core = known[(self._turn.restart // 2 + self._turn.restart) % len(known)]
            for voice in self._voices.values():
                voice.pin(core)

    def _ask(self, side: SideName, order: Round) -> Taken:
        return self._voices[side].ask(order)

    def _measure(self, base: Arrived, head: Arrived) -> None:
        found: dict[str, Measured] = {}
        if self._wanted(head):
            with contextlib.suppress(_OverError):
                found = self._take(base, head)
        for side, arrived in _by_side(base, head):
            self._voices[side].release(arrived.rounds)
        for metric, measured in found.items():
            key = Key(head.test, head.name, metric)
            if self._turn.only is None or key in self._turn.only or head.test == CANARY:
                self._found.arrived.setdefault(key, head)
                self._found.measured.setdefault(key, []).append(measured)

    def _wanted(self, arrived: Arrived) -> bool:
        only = self._turn.only
        return (
            only is None
            or arrived.test == CANARY
            or any((key.test, key.name) == (arrived.test, arrived.name) for key in only)
        )

    def _take(self, base: Arrived, head: Arrived) -> dict[str, Measured]:
        random, clock = self._controller.random, self._controller.clock
        seconds = head.seconds * self._turn.share
        if head.rounds:
            least, warm_up = min(base.rounds, head.rounds), max(base.warm_up, head.warm_up)
            found = rounds.measure_rounds(self._ask, least, warm_up, random=random)
            if not found:
                self._found.fail(
                    head.test, "base" if least == base.rounds else "head", f"it has no round after {warm_up}"
                )
            return found
        if head.metric == "import":
            return {"import": rounds.measure_single(self._ask, seconds, random=random, clock=clock)}
        return rounds.measure(
            self._ask,
            seconds,
            random=random,
            base_first=self._turn.restart % 2 == 0,
            collector=head.collector,
            clock=clock,
        )


def _ratio_so_far(measured: Sequence[Measured]) -> tuple[float, float, float] | None:
    restarts = [one.restart for one in measured]
    if not restarts or problem(restarts, 1):
        return None
    estimated = estimate(restarts)
    return estimated.ratio, estimated.low, estimated.high


def _by_side(base: Arrived, head: Arrived) -> tuple[tuple[SideName, Arrived], tuple[SideName, Arrived]]:
    return ("base", base), ("head", head)


def _same(base: Arrived, head: Arrived) -> bool:
    return (base.test, base.name, base.metric, bool(base.rounds)) == (
        head.test,
        head.name,
        head.metric,
        bool(head.rounds),
    )
