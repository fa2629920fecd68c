"""Does a cache pay? Measures a hit, a miss and the work itself, and says so in words.

    print(lint(average_range, [("AAPL", day), ("MSFT", day)]))

    cache 'average_range': a hit takes 0.41 us, a miss 25.20 us, the work alone 22.31 us. At a hit rate of 80 %, as
    observed, a call saves 16.95 us (95 % interval 16.70 to 17.20): worth caching. It pays from a hit rate of 12 % on.

A figure of one process on one machine: it finds the cache that cannot pay, it does not replace a benchmark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, comb
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.optimization.cache import Cache
from engine_opt.optimization.cache_manager import CachedFunction

_LEAST_ROUNDS = 6  # with fewer there is no 95 % interval of a median
_MOST_PASSES = 10_000  # in one reading, whatever the clock says


class Interval(NamedTuple):
    """A median and its 95 % interval, in seconds."""

    middle: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LintReport:
    """What a cache costs and saves, in seconds per call."""

    name: str
    """The cache."""
    hit: float
    """A call that finds its value."""
    miss: float
    """A call that does not, with the work and the keeping."""
    work: float
    """The work without a cache."""
    hit_rate: float
    """The share of calls, 0 to 1, that is reckoned with."""
    source: str
    """Where the hit rate comes from: given, observed, or assumed, which is 1."""
    saved: Interval
    """What a call saves at that hit rate; negative where the cache costs more than it saves."""

    @property
    def worth(self) -> bool | None:
        """Whether the cache pays; None where the interval includes 0 and it cannot be told."""
        if self.saved.low > 0.0:
            return True
        return False if self.saved.high < 0.0 else None

    @property
    def break_even(self) -> float | None:
        """The hit rate, 0 to 1, from which on the cache pays; None where a hit costs as much as the work."""
        if self.hit >= self.work:
            return None
        return max(0.0, self.miss - self.work) / (max(self.miss, self.work) - self.hit)

    def __str__(self) -> str:
        rate = {"given": ", as given,", "observed": ", as observed,", "assumed": ", the best there is,"}[self.source]
        verb = "saves" if self.saved.middle >= 0.0 else "costs"
        low, high = sorted((abs(self.saved.low), abs(self.saved.high)))
        if self.worth is None:  # of either sign: shown as it is
            verb, low, high = "saves", self.saved.low, self.saved.high
        middle = self.saved.middle if self.worth is None else abs(self.saved.middle)
        judged = {True: "worth caching", False: "not worth caching: take the cache away", None: "cannot be told"}
        pays = (
            "A hit alone costs as much as the work: it pays at no hit rate."
            if self.break_even is None
            else f"It pays from a hit rate of {ceil(100 * self.break_even)} % on."
        )
        return (
            f"cache {self.name!r}: a hit takes {_us(self.hit)} us, a miss {_us(self.miss)} us, the work alone "
            f"{_us(self.work)} us. At a hit rate of {100 * self.hit_rate:.4g} %{rate} a call {verb} {_us(middle)} us "
            f"(95 % interval {_us(low)} to {_us(high)}): {judged[self.worth]}. {pays}"
        )


def lint(
    target: Cache | CachedFunction[..., Any],
    samples: Iterable[Sequence[Any]],
    *,
    hit_rate: float | None = None,
    rounds: int = 31,
    seconds: float = 0.3,
    clock: Callable[[], float] = perf_counter,
) -> LintReport:
    """Measure whether a cache pays on calls like `samples`, and report it.

    Each of `samples` is the positional arguments of a call: of the function that `cached` made, or of `Cache.get` (key,
    load, and what is passed to the load). The loads are run many times over, in about `seconds` altogether. What is
    measured is a twin of the cache; the cache itself is not touched.

    Hit, miss and work take turns in `rounds`, so that a slow moment of the machine strikes all three, and each round
    gives one figure of what is saved. Of these the median is reported with its 95 % interval from order statistics,
    which holds for any distribution. Without `hit_rate` the observed one is taken, and 1 where nothing was asked yet.

    Raises InputError for what is no cache, no samples, fewer than 6 rounds; and what the loads raise.
    """
    if type(rounds) is not int or rounds < _LEAST_ROUNDS:
        raise InputError("rounds", rounds, f"it must be a whole number, at least {_LEAST_ROUNDS}")
    check.positive("seconds", seconds)
    cache = target if isinstance(target, Cache) else getattr(target, "cache", None)
    if not isinstance(cache, Cache):
        raise InputError("target", target, "it must be a Cache, or a function that `cached` made")
    calls = [tuple(each) for each in samples]
    if not calls:
        raise InputError("samples", calls, "it is empty: give the arguments of some calls")
    rate, source = _hit_rate(cache, hit_rate)
    twin = cache.twin(max_items=len(calls))
    if isinstance(target, Cache):
        asked, work = twin.get, _load_of
    else:
        asked, work = target.on(twin), target.uncached
    passes = _Passes(calls, clock, seconds / (3 * rounds), twin.clear)
    readings = passes.interleaved(rounds, asked, work)
    saved = [each.work - rate * each.hit - (1.0 - rate) * each.miss for each in readings]
    return LintReport(
        name=cache.name,
        hit=median(each.hit for each in readings),
        miss=median(each.miss for each in readings),
        work=median(each.work for each in readings),
        hit_rate=rate,
        source=source,
        saved=median_interval(saved),
    )


def median_interval(values: Sequence[float]) -> Interval:
    """Return the median of at least 6 values with a 95 % interval between two of them, for any distribution.

    The number of values below the median is binomial with p = 1/2: David & Nagaraja, Order Statistics, 7.1.
    """
    ordered, n = sorted(values), len(values)
    tail, below = 0.0, 0
    while (tail := tail + comb(n, below) / 2**n) <= 0.025:
        below += 1
    return Interval(median(ordered), ordered[below - 1], ordered[n - below])


class _Reading(NamedTuple):
    """Seconds per call."""

    hit: float
    miss: float
    work: float


class _Passes:
    """Runs through all calls, timed."""

    def __init__(
        self, calls: list[tuple[Any, ...]], clock: Callable[[], float], budget: float, clear: Callable[[], object]
    ) -> None:
        self._calls, self._clock, self._budget, self._clear = calls, clock, budget, clear

    def interleaved(self, rounds: int, asked: Callable[..., object], work: Callable[..., object]) -> list[_Reading]:
        """Return one reading of each round; every other round goes the other way round."""
        kinds: list[Callable[[], float]] = [
            self._sized(lambda passes: self._warm(asked, passes)),
            self._sized(lambda passes: self._cold(asked, passes)),
            self._sized(lambda passes: self._run(work, passes)),
        ]
        readings = []
        for number in range(rounds):
            order = (0, 1, 2) if number % 2 else (2, 1, 0)
            seconds = {index: kinds[index]() for index in order}
            readings.append(_Reading(seconds[0], seconds[1], seconds[2]))
        return readings

    def _sized(self, measure: Callable[[int], float]) -> Callable[[], float]:
        """Return the measurement with as many passes as the budget of a reading allows."""
        measure(1)  # what is slow the first time only
        once = measure(1) * len(self._calls)
        passes = min(_MOST_PASSES, max(1, ceil(self._budget / once))) if once > 0.0 else 1
        return lambda: measure(passes)

    def _warm(self, asked: Callable[..., object], passes: int) -> float:
        self._run(asked, 1)  # what a miss in the round before threw out
        return self._run(asked, passes)

    def _cold(self, asked: Callable[..., object], passes: int) -> float:
        total = 0.0
        for _ in range(passes):
            self._clear()
            total += self._run(asked, 1)
        return total / passes

    def _run(self, call: Callable[..., object], passes: int) -> float:
        calls, clock = self._calls, self._clock
        start = clock()
        for _ in range(passes):
            for args in calls:
                call(*args)
        return (clock() - start) / (passes * len(calls))


def _hit_rate(cache: Cache, given: float | None) -> tuple[float, str]:
    if given is not None:
        return check.between("hit_rate", given, 0.0, 1.0, "a share of one"), "given"
    stats = cache.stats()
    asked = stats["hits"] + stats["misses"] + stats["waits"]
    return (stats["hits"] / asked, "observed") if asked else (1.0, "assumed")


def _load_of(_key: object, load: Callable[..., object], *args: object) -> object:
    return load(*args)


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.2f}"
