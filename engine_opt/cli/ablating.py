"""One fresh process of an ablation: every comparison in turn, on beside off, by the gate's own rounds.

Started by the verb as `python -m engine_opt.cli.ablating SECONDS SEED PARENT`; writes what it measured to standard
output, and ends where the process that started it is gone.
"""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from functools import cache, partial
from importlib.util import find_spec
from itertools import chain, cycle, islice, product
from random import Random
from statistics import median_low
from typing import NamedTuple

import click
import msgspec

from engine_opt import data
from engine_opt.engine import ProtocolEngine
from engine_opt.errors import EngineError
from engine_opt.model import (
    AccountType,
    Bar,
    Book,
    DecisionStatus,
    EngineDecision,
    Position,
    WeekContext,
    WeekRequest,
)
from engine_opt.optimization.performance_optimizer import ALL, Effect, Measured, Path, PerformanceOptimizer, ablate
from engine_opt.optimizations import EngineOptimizations
from pytest_pe_perf.judge.paired import estimate
from pytest_pe_perf.measure.call import Call, timed_loop
from pytest_pe_perf.measure.paired.rounds import SideName, measure
from pytest_pe_perf.measure.paired.wire import Round, Taken
from pytest_pe_perf.measure.quiet import quiet
from pytest_pe_perf.model import Restart

PATHS = {"path_few": 2, "path_many": 200}
"""Comparisons of the path that is chosen with the scalar one, and about how many weeks is decided."""
SCRATCH, REFERENCE, STILL = "scratch_pool", "reference", "still_collector"

_SYMBOL, _VIX = "AAPL", 20.0
# Bars: before a day's work, of them in the week that comes again, of a year's work, before its first decision.
_SEEN, _SETTLED, _YEAR, _FIRST = 1_200, 400, 310, 55
_MONEY = (1e6, 3e6, 0.05, 0.01)
_KNOWN, _CONFIDENCE = WeekContext(days_to_expiration=3, favourable=True), 0.96
_CLOSE = time_of_day(16)
_EVERY = tuple(product(AccountType, Position))
_ONE = ((AccountType.REV, Position.CASH),)
_ROWS = 16_384  # of a scratch array: as many as the batch form does together
_WARM = 0.05  # seconds that each side is called before anything counts
_WEIGHED = 5  # calls of which the memory is looked at

Work = Callable[[], object]


class Side(NamedTuple):
    """One of the two: what is called, and the scope that its rounds are made in."""

    work: Work
    around: Callable[[], AbstractContextManager[object]] = nullcontext


class Compared(msgspec.Struct, frozen=True):
    """What one process says of a comparison: the gate's blocks, and the most bytes that a call allocates, on and off."""

    restart: Restart
    bytes_on: int
    bytes_off: int


_DECODER = msgspec.json.Decoder(dict[str, Compared])


def main() -> None:
    """Measure everything, and write it as JSON."""
    seconds, seed, parent = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    random = Random(seed)  # noqa: S311 - which side goes first is no secret

    def go_on() -> None:
        if os.getppid() != parent:
            sys.exit("nobody waits for the answer any more")

    sys.stdout.write(msgspec.json.encode(compare_all(seconds, random, go_on)).decode())


def compare_all(seconds: float, random: Random, go_on: Callable[[], None]) -> dict[str, Compared]:
    """Return what each comparison says, by name; those that need NumPy only where it is installed.

    `go_on` is called between two rounds, and raises where it is not to.
    """
    compared = partial(_compared, seconds=seconds, random=random, go_on=go_on)
    found: dict[str, Compared] = {}

    def compare_engines(name: str, on: Mapping[str, bool], off: Mapping[str, bool]) -> Measured:
        collected = name in {ALL, STILL}
        make = _year if name == STILL else _day
        sides = make(EngineOptimizations(**on)), make(EngineOptimizations(**off))
        found[name] = compared(*sides, collected=collected)
        ratio = estimate([found[name].restart])
        return Measured(ratio.ratio, ratio.low, ratio.high)

    ablate(EngineOptimizations().plain(), compare_engines)
    found[REFERENCE] = compared(_day(EngineOptimizations.all(), _ONE), _reference())
    if find_spec("numpy") is not None:
        for name, weeks in PATHS.items():
            found[name] = compared(*_paths(weeks))
        found[SCRATCH] = compared(*_scratches())
    return found


def measured(seconds: float, processes: int) -> Iterator[Mapping[str, Compared]]:
    """Yield what fresh processes say, one after the other. Raises EngineError where one fails.

    None outlives this one: it is killed where this one is interrupted, and looks itself whether this one is there.
    """
    for number in range(1, processes + 1):
        if sys.stderr.isatty():
            click.echo(f"process {number} of {processes}", err=True)
        command = [sys.executable, "-m", __spec__.name, repr(seconds), str(number), str(os.getpid())]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                out, err = process.communicate()
            finally:
                process.kill()  # which does nothing where it has ended
                process.wait()
        if process.returncode:
            last = err.decode(errors="replace").strip().rpartition("\n")[2]
            raise EngineError(f"process {number} of {processes} ended with {process.returncode}: {last}")
        yield _DECODER.decode(out)


def judged(processes: Sequence[Mapping[str, Compared]]) -> tuple[Effect, ...]:
    """Return the effects, with the gate's interval over the processes."""

    def look(name: str, _on: Mapping[str, bool], _off: Mapping[str, bool]) -> Measured:
        each = [found[name] for found in processes]
        ratio = estimate([one.restart for one in each])
        most = median_low(one.bytes_on for one in each), median_low(one.bytes_off for one in each)
        return Measured(ratio.ratio, ratio.low, ratio.high, *most)

    switches = ablate(EngineOptimizations().plain(), look)
    known = {effect.name for effect in switches}
    return *switches, *(Effect(name, look(name, {}, {})) for name in processes[0] if name not in known)


def _compared(
    on: Side, off: Side, *, seconds: float, random: Random, go_on: Callable[[], None], collected: bool = False
) -> Compared:
    """Compare two sides for so many seconds; `collected`: with the collector at work."""
    sides: dict[SideName, Side] = {"base": off, "head": on}
    loops = {name: timed_loop(Call(side.work)) for name, side in sides.items()}
    with quiet(collector=collected) as between:
        for side in sides.values():
            _warm_up(side.work)

        def ask(name: SideName, order: Round) -> Taken:
            if collected:
                gc.collect()  # entering `still` does it, and what is left from before is nobody's
            with sides[name].around() if collected else nullcontext():
                taken = _taken(loops[name], order)
            between()
            go_on()
            return taken

        first, clock = random.random() < 0.5, time.perf_counter_ns
        measured = measure(ask, seconds, random=random, base_first=first, collector=collected, clock=clock)
    return Compared(measured["latency"].restart, _most_bytes(on.work), _most_bytes(off.work))


def _warm_up(work: Work) -> None:
    """Let the interpreter specialise what is called, and the caches fill."""
    end = time.perf_counter() + _WARM
    while time.perf_counter() < end:
        work()


def _taken(timed: Callable[[int, Callable[[], int]], int], order: Round) -> Taken:
    """Read as the order says, as a side of a pair does."""
    readings: list[int] = []
    lost, cpu, started = _lost_cores(), time.process_time_ns(), time.perf_counter_ns()
    while True:
        readings.append(timed(order.calls, time.perf_counter_ns))
        wall = time.perf_counter_ns() - started
        if wall >= order.nanoseconds:
            used = time.process_time_ns() - cpu
            return Taken(tuple(readings), order.calls, wall, used, switches=_lost_cores() - lost)


def _lost_cores() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _most_bytes(work: Work) -> int:
    """Return how many bytes a call has allocated at one time, at most; the median of some calls."""
    with quiet():
        return median_low(_peak(work) for _ in range(_WEIGHED))


def _peak(work: Work) -> int:
    """Look at one call alone."""
    gc.collect()  # lets go of what the interpreter puts aside to be used again, which would not be counted
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _day(switches: EngineOptimizations, asked: tuple[tuple[AccountType, Position], ...] = _EVERY) -> Side:
    """Return the work of a day: a bar, and a decision for each account and position."""
    engine, bars = ProtocolEngine(optimizations=switches), _days()
    for bar in islice(bars, _SEEN):
        engine.update(_SYMBOL, bar, _VIX)

    def day() -> EngineDecision:
        bar = next(bars)
        engine.update(_SYMBOL, bar, _VIX)
        for account, position in asked:
            decision = engine.decide(_request(bar.time, account, position))
        return decision

    return Side(day, engine.still)


def _year(switches: EngineOptimizations) -> Side:
    """Return the work of a run: a year of bars into a new engine, and a decision each week, all of them kept."""
    bars = _series()[:_YEAR]
    engine = ProtocolEngine(optimizations=switches)

    def year() -> list[EngineDecision]:
        engine.forget(_SYMBOL)
        kept = []
        for number, bar in enumerate(bars):
            engine.update(_SYMBOL, bar, _VIX)
            if number >= _FIRST and number % 5 == 0:
                kept.append(engine.decide(_request(bar.time, *_ONE[0])))
        return kept

    return Side(year, engine.still)


def _reference() -> Side:
    """Return the work of the plain engine: a bar more, and everything worked out anew from as many bars."""
    from engine_opt.reference.engine import decide

    bars, vix = _days(), [_VIX] * _SEEN
    seen = list(islice(bars, _SEEN))

    def day() -> EngineDecision:
        del seen[0]
        seen.append(next(bars))
        return decide(_request(seen[-1].time, *_ONE[0]), seen, vix, [])

    return Side(day)


def _days() -> Iterator[Bar]:
    """Yield the shipped bars of some years and then the same week again and again, a day after another without end.

    Again and again, so that each day costs what the same day of the week before did: the sides are not as quick as each
    other, and soon far apart in the calendar.
    """
    bars = _series()[: _SEEN - _SETTLED]
    day = bars[0].time
    for bar in chain(bars, cycle(bars[-7:])):
        day += timedelta(days=1)
        yield replace(bar, time=day)


def _request(day: date, account: AccountType, position: Position) -> WeekRequest:
    return WeekRequest(
        _SYMBOL, account, position, datetime.combine(day, _CLOSE), Book(*_MONEY), _KNOWN, confidence=_CONFIDENCE
    )


def _paths(weeks: int) -> tuple[Side, Side]:
    """Return the work of so many weeks by the path that was chosen, and one by one."""
    scalar, batch = statuses_one_by_one, statuses_over_columns
    optimizer = PerformanceOptimizer({"path": True})
    optimizer.calibrate(scalar, batch, small=min(PATHS.values()), large=max(PATHS.values()))

    def chosen() -> list[DecisionStatus | None]:
        return batch(weeks) if optimizer.choose(weeks) is Path.BATCH else scalar(weeks)

    return Side(chosen), Side(partial(scalar, weeks))


def statuses_one_by_one(weeks: int) -> list[DecisionStatus | None]:
    """Return what becomes of the decisions at the end of so many weeks, by the streaming engine."""
    engine = ProtocolEngine()
    statuses: list[DecisionStatus | None] = []
    for number, bar in enumerate(_bars_of(weeks)):
        engine.update(_SYMBOL, bar)
        if number >= _FIRST and number % 5 == 0:
            statuses.append(engine.decide(_request(bar.time, *_ONE[0])).status)
    return statuses


def statuses_over_columns(weeks: int) -> list[DecisionStatus | None]:
    """Return the same by the batch form, from the same records."""
    from engine_opt.batch import Bars, Requests, decide, members

    bars = _bars_of(weeks)
    ((account, position),) = _ONE
    requests = Requests.of(
        list(range(_FIRST, len(bars), 5)),
        account,
        position,
        *_MONEY,
        days_to_expiration=_KNOWN.days_to_expiration,
        favourable=_KNOWN.favourable,
        confidence=_CONFIDENCE,
    )
    return members(DecisionStatus, decide(Bars.of(bars), None, requests, symbol=_SYMBOL).status)


@cache
def _series() -> tuple[Bar, ...]:
    return data.load(_SYMBOL)


def _bars_of(weeks: int) -> Sequence[Bar]:
    return _series()[: _FIRST + 5 * weeks - 4]


def _scratches() -> tuple[Side, Side]:
    """Return five steps over scratch arrays that a pool leases, and over new ones."""
    import numpy as np

    from engine_opt.optimization.object_pool import ObjectPool

    x, y = np.linspace(1.0, 2.0, _ROWS), np.linspace(2.0, 3.0, _ROWS)
    pool = ObjectPool(partial(np.empty, _ROWS), size=2, weigh=lambda array: array.nbytes, name="scratch")

    def leased() -> object:
        with pool.lease() as one, pool.lease() as other:
            a, b = one.value, other.value
            np.multiply(x, y, out=a)
            np.add(a, x, out=b)
            np.multiply(b, y, out=a)
            np.add(a, x, out=b)
            np.multiply(b, y, out=a)
            return a + x

    def fresh() -> object:
        return ((x * y + x) * y + x) * y + x

    return Side(leased), Side(fresh)


if __name__ == "__main__":
    main()
