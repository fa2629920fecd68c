"""One measurement of both sides, in rounds of a few milliseconds that alternate: ABBA or BAAB."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from pytest_pe_perf.judge.estimate import quantile
from pytest_pe_perf.measure.latency import SHARES
from pytest_pe_perf.measure.loop import SAMPLE_NS
from pytest_pe_perf.measure.paired.wire import Round, Taken
from pytest_pe_perf.model import Block, Restart, Sample, Turn

SideName = Literal["base", "head"]
Ask = Callable[[SideName, Round], Taken]

# Longer rounds lose the pairing: a virtual machine changes its speed every 20 to 60 ms.
ROUND_NS = 3_000_000
# Garbage collections are rare; to see them, rounds with the collector on are longer.
COLLECTOR_ROUND_NS = 8_000_000
# Share of a restart's time that goes to rounds with the collector on, and calls that they need room for.
COLLECTOR_SHARE = 0.15
COLLECTOR_BLOCKS = 2
# A quantile of the slowest twentieth needs this many readings a side, and so many in a block to know a typical one.
TAIL_SHARE = 0.95
TAIL_READINGS = 100
TAIL_BLOCK = 5
LOW = 0.25
# A reading in which the process lost its core is a slow one. From this share of them on, the quartile may be one.
MOST_LOST = 0.25


@dataclass(frozen=True, slots=True)
class Measured:
    """What one restart tells of one metric: the blocks, and how the readings of each side were distributed."""

    restart: Restart
    base: Sample
    head: Sample


@dataclass(frozen=True, slots=True)
class _Pair:
    """The rounds of one block, in the order in which they were taken."""

    base: tuple[Taken, ...]
    head: tuple[Taken, ...]


def measure(
    ask: Ask, seconds: float, *, random: Random, base_first: bool, collector: bool, clock: Callable[[], int]
) -> dict[str, Measured]:
    """Measure both sides for about ``seconds`` in all; a slow call is made at least four times a side.

    ``collector``: the test keeps the garbage collector on, so that its cost is in every round already.
    Returns latency, first call, tail and the collector's cost, as far as they could be measured.
    """
    budget = round(seconds * 1e9)
    order: tuple[SideName, ...] = ("base", "head") if base_first else ("head", "base")
    first = {side: ask(side, Round(1, 0)) for side in order}
    calls, fastest = _calibrate(ask, order)
    length = _length(budget, calls, fastest)
    deadline = clock() + budget
    for side in order:  # warms up the loop with its final number of calls
        ask(side, Round(calls, length))
    pairs: list[_Pair] = []
    with_collector = []
    if not collector and (4 * COLLECTOR_BLOCKS * max(COLLECTOR_ROUND_NS, fastest)) < COLLECTOR_SHARE * 2 * budget:
        with_collector = [
            _block(ask, Round(calls, COLLECTOR_ROUND_NS, collector=True), random) for _ in range(COLLECTOR_BLOCKS)
        ]
    while clock() < deadline or not pairs:
        pairs.append(_block(ask, Round(calls, length), random))
    found = {"latency": _latency(pairs, calls), "first": _first(first["base"], first["head"])}
    if tail := _tail(pairs):
        found["tail"] = tail
    if with_collector:
        found["collector"] = _collector(with_collector)
    return found


def measure_rounds(ask: Ask, rounds: int, warm_up: int, *, random: Random) -> dict[str, Measured]:
    """Let both sides make the rounds that the test asks for, in turns; the first ``warm_up`` of them do not count."""
    taken: dict[SideName, list[Taken]] = {"base": [], "head": []}
    for number in range(0, rounds, 2):
        order: tuple[SideName, ...] = ("base", "head") if random.random() < 0.5 else ("head", "base")
        for side in (*order, *reversed(order)) if number + 1 < rounds else order:
            taken[side].append(ask(side, Round(1, 0)))
    base, head = taken["base"][warm_up:], taken["head"][warm_up:]
    if not base:
        return {}
    pairs = [_Pair(tuple(base[i : i + 2]), tuple(head[i : i + 2])) for i in range(0, len(base), 2)]
    return {"latency": _latency(pairs, base[0].calls)}


def measure_single(ask: Ask, seconds: float, *, random: Random, clock: Callable[[], int]) -> Measured:
    """Measure what each side answers with one reading, such as an import in a fresh process."""
    deadline = clock() + round(seconds * 1e9)
    pairs: list[_Pair] = []
    for side in ("base", "head"):  # reads what it needs from the disk, and writes byte code
        ask(side, Round(1, 0))
    while clock() < deadline or not pairs:
        pairs.append(_block(ask, Round(1, 0), random))
    return _latency(pairs, 1)


def _calibrate(ask: Ask, order: Sequence[SideName]) -> tuple[int, float]:
    """Return the number of calls that make one reading on both sides, and the time of the slower side's call in ns."""
    calls = 1
    fastest: dict[SideName, float] = {"base": math.inf, "head": math.inf}
    while True:
        for side in order:
            taken = ask(side, Round(calls, 0))
            fastest[side] = min(fastest[side], max(taken.readings[0], 1) / calls)
        # Where one side is slower by far, a reading of it is a round at most: so large a change needs no finer one.
        room = max(int(ROUND_NS / max(fastest.values())), 1)
        enough = min(math.ceil(SAMPLE_NS / min(fastest.values())), SAMPLE_NS, room)
        if calls >= enough:
            return calls, max(fastest.values())
        calls = min(enough, calls * 10)


def _length(budget: int, calls: int, per_call: float) -> int:
    """Return the nanoseconds of a round: short enough for two blocks in the budget."""
    return max(min(ROUND_NS, budget // 10), math.ceil(calls * per_call) if calls > 1 else 1)


def _block(ask: Ask, order: Round, random: Random) -> _Pair:
    names: tuple[SideName, ...] = ("base", "head") if random.random() < 0.5 else ("head", "base")
    taken: dict[SideName, list[Taken]] = {"base": [], "head": []}
    for side in (*names, *reversed(names)):
        taken[side].append(ask(side, order))
    return _Pair(tuple(taken["base"]), tuple(taken["head"]))


def _turn(taken: Taken) -> Turn:
    per_call = sorted(reading / taken.calls / 1e9 for reading in taken.readings)
    return Turn(quantile(per_call, LOW), per_call[0], _away(taken))


def _away(taken: Taken) -> float:
    if taken.switches < len(taken.readings) * MOST_LOST:
        return 0.0  # the lower quartile does not see so few
    return max(0.0, 1 - taken.cpu / taken.wall) if taken.wall > 0 else 0.0


def _sample(rounds: Sequence[Taken]) -> Sample:
    ordered = sorted(reading / taken.calls / 1e9 for taken in rounds for reading in taken.readings)
    shares = tuple(quantile(ordered, share) for share in SHARES)
    return Sample(ordered[0], len(ordered), rounds[0].calls, shares)


def _latency(pairs: Sequence[_Pair], calls: int) -> Measured:
    blocks = tuple(Block(tuple(map(_turn, pair.base)), tuple(map(_turn, pair.head))) for pair in pairs)
    base = [taken for pair in pairs for taken in pair.base]
    head = [taken for pair in pairs for taken in pair.head]
    return Measured(Restart(blocks, calls), _sample(base), _sample(head))


def _first(base: Taken, head: Taken) -> Measured:
    """Return the first calls. What kept one from its core may well be its own doing: it may read files."""
    return _of_numbers(base.readings[0] / 1e9, head.readings[0] / 1e9, 1)


def _of_numbers(base: float, head: float, count: int) -> Measured:
    block = Block((Turn(base, base),), (Turn(head, head),))
    return Measured(Restart((block,)), Sample(base, count, 1), Sample(head, count, 1))


def _tail(pairs: Sequence[_Pair]) -> Measured | None:
    """Return the slowest twentieth of the readings over a typical one of the same block.

    Within its block, because a machine that changes its speed makes slow readings too.
    """
    base, head = _over_typical([pair.base for pair in pairs]), _over_typical([pair.head for pair in pairs])
    if min(len(base), len(head)) < TAIL_READINGS:
        return None
    return _of_numbers(quantile(base, TAIL_SHARE), quantile(head, TAIL_SHARE), min(len(base), len(head)))


def _over_typical(blocks: Iterable[Sequence[Taken]]) -> list[float]:
    found = []
    for block in blocks:
        readings = [reading for taken in block for reading in taken.readings]
        if len(readings) >= TAIL_BLOCK:
            typical = quantile(sorted(readings), LOW)
            found += [reading / typical for reading in readings]
    return sorted(found)


def _collector(pairs: Sequence[_Pair]) -> Measured:
    """Return the time with the collector on over the time without its pauses."""
    base, head = (_share([t for pair in pairs for t in getattr(pair, side)]) for side in ("base", "head"))
    return _of_numbers(base, head, len(pairs))


def _share(rounds: Sequence[Taken]) -> float:
    pauses, readings = sum(t.collector for t in rounds), sum(sum(t.readings) for t in rounds)
    return readings / max(readings - pauses, 1)
