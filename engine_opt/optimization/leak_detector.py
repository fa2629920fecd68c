"""Whether a piece of work keeps memory each time it is done, and where.

    report = find_leak(lambda: engine.decide(request))
    assert not report.leaking, report

What is looked at is what is retained: the bytes that tracemalloc knows after a full collection. They are read over
equal blocks of calls, and a straight line is laid through them. It is a leak if the line certainly rises, and still
does at the end: a cache that has filled to its bound has stopped.
"""

from __future__ import annotations

import gc
import math
import sys
import tracemalloc
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError, StateError

CONFIDENCE = 0.99
# A block's value is the median of so many readings in it: a few that caught something in passing do not matter.
READINGS = 3
# Growth has to go on in the last third, and in the last sixth. A list takes memory in steps of an eighth of its length,
# so that one of these is in a sixth; four blocks in a third are the fewest whose scatter is worth estimating.
TAIL, END = 3, 6
LEAST_BLOCKS = 12
# A site that has less than this share of all growth is not named: something is always made for the first time.
SMALL = 0.01

_OWN = (__file__, tracemalloc.__file__)


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth by iteration: the least-squares line, and its lower bound with one-sided 99 % confidence."""

    per_iteration: float
    low: float


class Growth(NamedTuple):
    """Growth over all blocks, over the last third of them, and over the last sixth, simply last less first."""

    size: Slope
    tail: Slope
    end: float

    @property
    def certain(self) -> float:
        """What is added by each iteration for certain, at the end as well; a leak adds more than is allowed."""
        return min(self.size.low, self.tail.low, self.end)


@dataclass(frozen=True, slots=True)
class GrowingSite:
    """Where memory is allocated that stays.

    Attributes:
        frames: "file:line" of what allocates it, and of its callers as far as tracemalloc keeps them.
        bytes_per_iteration: what stays of it.
        objects_per_iteration: how many allocations these are.

    """

    frames: tuple[str, ...]
    bytes_per_iteration: float
    objects_per_iteration: float


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What work keeps.

    Attributes:
        leaking: whether it keeps more than `threshold`: certainly over all blocks and over the last third of them, and
            seemingly over the last sixth.
        threshold: bytes per iteration that it may keep.
        iterations: how many were looked at, without warm-up.
        size: growth in bytes per iteration over all blocks.
        tail: the same over the last third of them.
        end: bytes per iteration over the last sixth, simply last less first.
        objects: growth in blocks that Python's allocator has handed out per iteration, about one an object; what was
            allocated before tracing counts in it as well.
        retained: bytes retained in each block, more than in the first.
        sites: where it is allocated, the most first; empty where there is no leak, or where only C code called directly
            allocates.

    """

    leaking: bool
    threshold: float
    iterations: int
    size: Slope
    tail: Slope
    end: float
    objects: Slope
    retained: tuple[int, ...]
    sites: tuple[GrowingSite, ...]

    def __str__(self) -> str:
        verdict = "keeps memory" if self.leaking else "no leak"
        size, tail = self.size, self.tail
        text = (
            f"{verdict}: {size.per_iteration:+.2f} bytes an iteration over {self.iterations:,}, {tail.per_iteration:+.2f} in "
            f"the last third, {self.end:+.2f} in the last sixth; with 99 % confidence at least {size.low:+.2f}, and "
            f"{tail.low:+.2f} in the last third; allowed is {self.threshold:g}"
        )
        for site in self.sites:
            kept = f"{site.bytes_per_iteration:+.2f} bytes, {site.objects_per_iteration:+.2f} objects"
            text += f"\n  {kept}: {' < '.join(site.frames)}"
        return text


def find_leak(
    work: Callable[[], object],
    *,
    blocks: int = 20,
    iterations: int = 500,
    warm_up: int = 500,
    threshold: float = 1.0,
    frames: int = 1,
    top: int = 10,
) -> LeakReport:
    """Return whether `work` keeps more than `threshold` bytes an iteration, and where.

    `work` is called `warm_up` times, then `iterations` times in each of the `blocks`; where it leaks, as often as in
    the last third again, to name the `top` growing sites with up to `frames` frames each. A cache that still fills up
    in the last fifth cannot be told from a leak: do more iterations than it has places. A leak that is small against
    how the readings scatter is not seen: more iterations find it.

    tracemalloc is on meanwhile and as it was found afterwards; where it is on already, it keeps the frames it keeps.
    Other threads that allocate meanwhile are in the readings. Raises InputError for a size that makes no sense,
    StateError where the work has stopped tracemalloc, and whatever `work` raises.
    """
    if not callable(work):
        raise InputError("work", work, "it must be a function that does one iteration")
    _whole("blocks", blocks, LEAST_BLOCKS)
    _whole("iterations", iterations, READINGS)
    _whole("warm_up", warm_up, 0)
    _whole("frames", frames, 1)
    _whole("top", top, 1)
    check.non_negative("threshold", threshold)
    parts = [(n + 1) * iterations // READINGS - n * iterations // READINGS for n in range(READINGS)]
    with _traced(frames):
        _do(work, warm_up)
        held, objects = _read(work, blocks, parts)
        grown = growth(held, iterations)
        leaking = grown.certain > threshold
        sites = _growing(work, iterations * (blocks // TAIL), top) if leaking else ()
    return LeakReport(
        leaking=leaking,
        threshold=float(threshold),
        iterations=blocks * iterations,
        size=grown.size,
        tail=grown.tail,
        end=grown.end,
        objects=line(objects, iterations),
        retained=tuple(value - held[0] for value in held),
        sites=sites,
    )


def growth(held: Sequence[float], iterations: int) -> Growth:
    """Return how bytes held after equal blocks of so many iterations grow.

    The line through all calls a cache a leak that has filled up in the first half, and the line through the last third
    one that has filled up in the middle of it; what has stopped well before the end did not grow in the last sixth.
    """
    last = len(held) // END
    end = (held[-1] - held[-1 - last]) / (last * iterations)
    return Growth(line(held, iterations), line(held[-(len(held) // TAIL) :], iterations), end)


def line(values: Sequence[float], step: int) -> Slope:
    """Return the least-squares slope of three values or more that are `step` apart, and its lower bound.

    The bound is slope - t * s / sqrt(Sxx), s² the residuals' sum of squares over n - 2 and t Student's quantile for
    n - 2 degrees of freedom: any textbook's, for independent errors (Draper & Smith, Applied Regression Analysis, 1.4).
    """
    n = len(values)
    middle, mean = (n - 1) / 2, math.fsum(values) / n
    spread = n * (n * n - 1) / 12  # of 0, 1, ... n - 1 around their middle
    slope = math.fsum((i - middle) * (value - mean) for i, value in enumerate(values)) / spread
    rest = math.fsum((value - mean - slope * (i - middle)) ** 2 for i, value in enumerate(values))
    error = math.sqrt(rest / (n - 2) / spread)
    return Slope(slope / step, (slope - t_quantile(CONFIDENCE, n - 2) * error) / step)


def t_quantile(probability: float, freedom: int) -> float:
    """Return the quantile, at a probability of 0.5 or more, of Student's t with so many whole degrees of freedom.

    The distribution is a finite sum in the angle atan(t / sqrt(freedom)) (Abramowitz & Stegun, 26.7.3 and 26.7.4);
    the angle is found by halving.
    """
    wanted = 2.0 * probability - 1.0
    low, high = 0.0, math.pi / 2
    while (angle := (low + high) / 2) not in (low, high):
        if _within(angle, freedom) < wanted:
            low = angle
        else:
            high = angle
    return math.tan(angle) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """Return the probability that |t| is at most tan(angle) * sqrt(freedom)."""
    square = math.cos(angle) ** 2
    odd = freedom % 2
    total, term = 0.0, math.cos(angle) if odd else 1.0
    for k in range(odd, freedom - 1, 2):
        total += term
        term *= square * (k + 1) / (k + 2)
    total *= math.sin(angle)
    return 2.0 / math.pi * (angle + total) if odd else total


@contextmanager
def _traced(frames: int) -> Iterator[None]:
    """Have tracemalloc on, and leave it as it was."""
    was_on = tracemalloc.is_tracing()
    if not was_on:
        tracemalloc.start(frames)
    try:
        yield
    finally:
        if not was_on:
            tracemalloc.stop()


def _do(work: Callable[[], object], times: int) -> None:
    for _ in repeat(None, times):
        work()


def _read(work: Callable[[], object], blocks: int, parts: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the bytes and the objects retained in each block: the medians of its readings."""
    n = blocks * len(parts)
    # Made whole before the first reading: what is written down must not be seen to grow.
    held, objects = array("q", bytes(8 * n)), array("q", bytes(8 * n))
    for number in range(n):
        _do(work, parts[number % len(parts)])
        gc.collect()
        if not tracemalloc.is_tracing():
            raise StateError("tracemalloc was stopped while leaks were looked for: the work must leave it alone")
        held[number] = tracemalloc.get_traced_memory()[0]
        objects[number] = sys.getallocatedblocks()
    return _medians(held, len(parts)), _medians(objects, len(parts))


def _medians(readings: Sequence[int], size: int) -> list[int]:
    return [sorted(readings[at : at + size])[size // 2] for at in range(0, len(readings), size)]


def _growing(work: Callable[[], object], iterations: int, top: int) -> tuple[GrowingSite, ...]:
    """Return where memory is allocated that so many further iterations keep."""
    gc.collect()
    before = tracemalloc.take_snapshot()
    _do(work, iterations)
    gc.collect()
    after = tracemalloc.take_snapshot()
    grown = [found for found in after.compare_to(before, "traceback") if found.size_diff > 0]
    least = SMALL * sum(found.size_diff for found in grown)
    sites = []
    for found in grown:  # the largest difference comes first
        frames = _beyond_ours(found.traceback)
        if frames and found.size_diff >= least:
            sites.append(GrowingSite(frames, found.size_diff / iterations, found.count_diff / iterations))
    return tuple(sites[:top])


def _beyond_ours(traceback: tracemalloc.Traceback) -> tuple[str, ...]:
    """Return the frames that the work has added to ours, the innermost first; none where there are none."""
    frames = []
    for frame in reversed(traceback):
        if frame.filename in _OWN:
            break
        frames.append(f"{frame.filename}:{frame.lineno}")
    return tuple(frames)


def _whole(field: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise InputError(field, value, f"it must be a whole number, at least {least}")
