"""What a monitored engine costs beside one that is not, by the gate's own rounds and interval.

    python docs/optimization/overhead.py [--seconds 4] [--processes 16]

Pieces of work, each with a monitor and without one, in turns of milliseconds and in several fresh processes:

- decision: one decision about a bar that was looked at before, the most that monitoring can weigh; approved.
- pending: the same of an engine that is not trusted, so that a human would be asked.
- day: a bar, and twelve decisions about it (three accounts, four positions).
- off: as decision, with a monitor that is switched off.

Prints a line for each: the ratio of the times, its 95 % interval, and whether its upper end keeps the 1 % that is allowed.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from datetime import time as time_of_day
from itertools import chain, cycle, islice, product

import msgspec

from engine_opt import (
    AccountType,
    Bar,
    Book,
    DecisionKind,
    DecisionStatus,
    Position,
    ProtocolEngine,
    TrustOutcome,
    WeekContext,
    WeekRequest,
    data,
)
from engine_opt.monitoring.performance_monitor import PerformanceMonitor
from pytest_pe_perf.judge.paired import estimate
from pytest_pe_perf.measure.call import Call, timed_loop
from pytest_pe_perf.measure.paired.rounds import SideName, measure
from pytest_pe_perf.measure.paired.wire import Round, Taken
from pytest_pe_perf.measure.quiet import quiet
from pytest_pe_perf.model import Restart

SEEN, SETTLED, WEEK = 800, 400, 7
ALLOWED = 1.01
WARM = 0.3  # seconds that each side is called before anything counts
BOOK, KNOWN = Book(1e6, 3e6, 0.05, 0.01), WeekContext(days_to_expiration=3, favourable=True)

Work = Callable[[], object]


def days() -> Iterator[Bar]:
    """Yield the shipped bars of some years and then one week again and again, a day after another without end."""
    bars = data.load("AAPL")[: SEEN - SETTLED]
    day = bars[0].time
    for bar in chain(bars, cycle(bars[-WEEK:])):
        day += timedelta(days=1)
        yield replace(bar, time=day)


def request(bar: Bar, account: str = "REV", position: str = "cash") -> WeekRequest:
    now = datetime.combine(bar.time, time_of_day(16))
    return WeekRequest("AAPL", AccountType(account), Position(position), now, BOOK, KNOWN, confidence=0.96)


def engine_after(bars: Iterator[Bar], monitor: PerformanceMonitor | None) -> tuple[ProtocolEngine, Bar]:
    engine = ProtocolEngine(monitor=monitor)
    for bar in islice(bars, SEEN):
        engine.update("AAPL", bar, 20.0)
    return engine, bar


def pending(monitor: PerformanceMonitor | None) -> Work:
    engine, bar = engine_after(days(), monitor)
    asked = request(bar)
    return lambda: engine.decide(asked)


def decision(monitor: PerformanceMonitor | None) -> Work:
    engine, bar = engine_after(days(), monitor)
    asked = request(bar)
    for number in range(300):
        at = asked.now - timedelta(minutes=300 - number)
        engine.record(TrustOutcome(DecisionKind.TRADE_ENTRY, True, 0.95, at, 0.01))
    assert engine.decide(asked).status is DecisionStatus.APPROVED
    return lambda: engine.decide(asked)


def day(monitor: PerformanceMonitor | None) -> Work:
    bars = days()
    engine, _ = engine_after(bars, monitor)

    def work() -> None:
        bar = next(bars)
        engine.update("AAPL", bar, 20.0)
        for account, position in product(AccountType, Position):
            engine.decide(request(bar, account, position))

    return work


COMPARED = {
    "decision": (decision, True),
    "pending": (pending, True),
    "day": (day, True),
    "off": (decision, False),
}


def restart(make: Callable[[PerformanceMonitor | None], Work], *, on: bool, seconds: float, seed: int) -> Restart:
    """Return what this process says of the work with a monitor, which is on or off, beside that without one."""
    rng = random.Random(seed)
    first = rng.random() < 0.5
    works: dict[SideName, Work] = {}
    for side in ("base", "head") if first else ("head", "base"):  # who is made first may lie better in memory
        works[side] = make(PerformanceMonitor(enabled=on) if side == "head" else None)
    loops = {side: timed_loop(Call(work)) for side, work in works.items()}
    with quiet() as between:
        for work in works.values():
            end = time.perf_counter() + WARM
            while time.perf_counter() < end:
                work()

        def ask(side: SideName, order: Round) -> Taken:
            readings: list[int] = []
            cpu, started = time.process_time_ns(), time.perf_counter_ns()
            while True:
                readings.append(loops[side](order.calls, time.perf_counter_ns))
                wall = time.perf_counter_ns() - started
                if wall >= order.nanoseconds:
                    between()
                    return Taken(tuple(readings), order.calls, wall, time.process_time_ns() - cpu)

        clock = time.perf_counter_ns
        return measure(ask, seconds, random=rng, base_first=first, collector=False, clock=clock)["latency"].restart


def process(seconds: float, seed: int) -> dict[str, Restart]:
    """Return what a fresh process says of each comparison."""
    command = [sys.executable, __file__, "--seconds", repr(seconds), "--one", str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=dict[str, Restart])


def main() -> None:
    parser = argparse.ArgumentParser(description="What a monitored engine costs beside one that is not.")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each comparison in each process")
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        found = {
            name: restart(make, on=on, seconds=options.seconds, seed=options.one)
            for name, (make, on) in COMPARED.items()
        }
        sys.stdout.write(msgspec.json.encode(found).decode())
        return
    processes = [process(options.seconds, seed) for seed in range(options.processes)]
    print("work      on/off 95 %          1 % is")
    print("--------- ------ ------------- -----------")
    for name in COMPARED:
        ratio = estimate([each[name] for each in processes])
        kept = "kept" if ratio.high <= ALLOWED else "exceeded" if ratio.low > ALLOWED else "not settled"
        print(f"{name:9} {ratio.ratio:.4f} {ratio.low:.4f}-{ratio.high:.4f} {kept}")
    load = os.getloadavg()[0]
    print(f"\n{options.processes} processes, {options.seconds:g} s for each comparison in each; load {load:.1f}")


if __name__ == "__main__":
    main()
