"""How base and head compared round after round: what lies beneath the interval of a row that was measured in pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_pe_perf.judge.estimate import quantile
from pytest_pe_perf.judge.packed import unpack
from pytest_pe_perf.judge.paired import clean
from pytest_pe_perf.model import Block, Key, Restart, Run

# So many blocks of a row are drawn at most: every second one is left out until there are no more.
MOST = 400


@dataclass(frozen=True, slots=True)
class Pair:
    """What one pair of processes saw, in the order of time.

    ``ratios`` are head over base, block after block; ``used`` says which were not disturbed. ``middle`` is the median of
    those that were used. ``again``: it is of the second pass.
    """

    ratios: tuple[float, ...]
    used: tuple[bool, ...]
    middle: float
    again: bool


def pairs_of(run: Run) -> dict[Key, tuple[Pair, ...]]:
    """Return what the pairs of each row saw, pass by pass; a row without a ratio is not there."""
    rows = (unpack(row) for pairs in run.pairs for row in pairs.rows)
    found = {row.key: (*_pairs(row.screen, again=False), *_pairs(row.confirm, again=True)) for row in rows}
    return {key: _thinned(pairs) for key, pairs in found.items() if pairs}


def _pairs(restarts: Sequence[Restart], *, again: bool) -> Iterator[Pair]:
    kept, _ = clean(restarts)
    for restart, blocks in zip(restarts, kept, strict=True):
        clean_ones = set(map(id, blocks))
        seen = [(ratio, id(block) in clean_ones) for block in restart.blocks if (ratio := _ratio(block)) is not None]
        used = sorted(ratio for ratio, is_clean in seen if is_clean)
        if used:
            ratios, marks = zip(*seen, strict=True)
            yield Pair(ratios, marks, quantile(used, 0.5), again)


def _ratio(block: Block) -> float | None:
    """Return head over base, None where a reading cannot be one."""
    base, head = ([turn.low for turn in turns] for turns in (block.base, block.head))
    if not (base and head) or not all(0 < low < math.inf for low in base + head):
        return None
    return math.exp(math.fsum(map(math.log, head)) / len(head) - math.fsum(map(math.log, base)) / len(base))


def _thinned(pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    step = 1
    while sum(len(pair.ratios[::step]) for pair in pairs) > MOST and step < MOST:
        step *= 2
    return tuple(Pair(pair.ratios[::step], pair.used[::step], pair.middle, pair.again) for pair in pairs)
