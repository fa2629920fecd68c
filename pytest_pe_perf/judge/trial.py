"""What runs of the gate with known answers say of the gate: changes that were planted, and the same code on both sides.

A run is given by what its run file says of each row. Verdicts are not made here, they are compared with the truth.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_pe_perf.model import Key, Verdict

from .bounds import share_bounds
from .machine import PairSpread
from .paired import MEDIAN_ERROR, RESIDUAL, SPREAD_DEGREES, t_quantile

Call = Literal["caught", "missed", "false alarm", "quiet", "not measured"]

CHANGED = (Verdict.REGRESSED, Verdict.IMPROVED)
# An advised margin is never narrower than what the gate's default is, and comes in steps that people write.
_LEAST_MARGIN, _MARGIN_STEP = 0.01, 0.005
# Advised times: below the first, starting the processes takes longer than measuring; nobody waits for the last.
_SHORTEST, _LONGEST, _TIME_STEP = 0.5, 30.0, 0.5
# So little must be left between margin and threshold, or no time is long enough.
_NARROW = 0.005


@dataclass(frozen=True, slots=True)
class Change:
    """Head over base as a run file has it, see model.Comparison; what is infinite there is None here."""

    ratio: float | None
    low: float | None
    high: float | None
    n: int
    threshold: float | None
    detectable: float | None
    tier: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run file says of a row, see model.Judgement."""

    key: Key
    verdict: Verdict
    reason: str
    comparison: Change | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run file holds of a row's measurement, see model.Row."""

    key: Key
    margin: float


@dataclass(frozen=True, slots=True)
class Ran:
    """A run of the gate: its rows, and what it said of them."""

    judgements: tuple[Judged, ...]
    rows: tuple[Measured, ...] = ()
    notes: tuple[str, ...] = ()


# --- planted changes ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plant:
    """A change that is made on purpose: to which metric, and whether a gate that misses it does not work.

    ``more`` is by how much it is larger, where that is a matter of degree. No metric: nothing is changed, and no row
    may be called so.
    """

    title: str
    metric: str = ""
    more: float = 0.0
    must: bool = True


NOTHING = Plant("nothing")
# Of +5 %, the default threshold, one in twenty may be missed; three trials cannot tell whether that is so.
SLOWER = (
    Plant("+5 % time", "latency", 0.05, must=False),
    Plant("+10 % time", "latency", 0.10),
    Plant("+50 % time", "latency", 0.50),
)
LEAK = Plant("a leak", "retained")
ALLOCATION = Plant("1 allocation more", "allocations")
PLANTS = (*SLOWER, LEAK, ALLOCATION)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate said of one row, and what is true. Without a verdict the row was not measured."""

    benchmark: str
    plant: Plant
    metric: str
    verdict: Verdict | None
    reason: str = ""
    change: Change | None = None

    @property
    def call(self) -> Call:
        """What that makes of the decision."""
        if self.verdict is None:
            return "not measured"
        if self.plant.metric:
            return "caught" if self.verdict is Verdict.REGRESSED else "missed"
        return "false alarm" if self.verdict in CHANGED else "quiet"


def decisions(plants: Mapping[str, Plant], judged: Sequence[Judged]) -> tuple[Decision, ...]:
    """Return the gate's decisions on the benchmarks of ``plants``, which are named by their tests.

    Where something was planted, the row of the metric in question counts. Where nothing was, every row does.
    """
    return tuple(decision for test, plant in plants.items() for decision in _of(test, plant, judged))


def _of(test: str, plant: Plant, judged: Sequence[Judged]) -> Iterator[Decision]:
    rows = [row for row in judged if row.key.test == test and plant.metric in ("", row.key.metric)]
    for row in rows:
        known = None if row.comparison is None else row.verdict
        yield Decision(test, plant, row.key.metric, known, row.reason, row.comparison)
    if not rows:
        yield Decision(test, plant, plant.metric, None, "the run says nothing of it")


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of the decisions on one kind of plant were caught (false alarms, where nothing was planted).

    ``low`` to ``high`` are exact 95 % bounds of the true share. ``unknown`` rows were not measured.
    """

    plant: Plant
    hits: int
    trials: int
    low: float
    high: float
    unknown: int = 0

    @property
    def good(self) -> bool:
        """Whether this is what a gate that works gives."""
        if self.unknown or not self.trials:
            return False
        if not self.plant.metric:
            return self.hits == 0
        return self.hits == self.trials or not self.plant.must


def tallies(found: Sequence[Decision]) -> tuple[Tally, ...]:
    """Return a tally for each kind of plant, and one for nothing at the end."""
    return tuple(_tally(plant, [one for one in found if one.plant == plant]) for plant in (*PLANTS, NOTHING))


def _tally(plant: Plant, found: Sequence[Decision]) -> Tally:
    calls = [decision.call for decision in found]
    hits = calls.count("caught") + calls.count("false alarm")
    unknown = calls.count("not measured")
    trials = len(calls) - unknown
    return Tally(plant, hits, trials, *share_bounds(hits, trials), unknown)


def works(found: Sequence[Tally]) -> bool:
    """Whether the gate caught all that it must, and nothing that is not there."""
    return bool(found) and all(tally.good for tally in found)


# --- the same code on both sides ----------------------------------------------------------------------------------


def spread_of(change: Change) -> float:
    """Return the standard deviation of the log ratio between pairs of processes, which made the interval what it is."""
    if change.low is None or change.high is None or change.low <= 0:
        return math.inf
    half = (math.log(change.high) - math.log(change.low)) / 2
    return half / t_quantile(0.975, SPREAD_DEGREES + change.n - 1) / MEDIAN_ERROR * math.sqrt(change.n)


def pair_spread(judged: Sequence[Judged], seconds: float) -> PairSpread:
    """Return how the latencies of the same code spread that were measured beside each other, ``seconds`` each.

    A benchmark on which the gate did not decide says nothing of what can be detected; where it is all of them, nothing
    can.
    """
    rows = [row for row in judged if row.key.metric == "latency"]
    told = [row.comparison for row in rows if row.comparison and row.verdict is not Verdict.INCONCLUSIVE]
    detectable = [math.inf if change.detectable is None else change.detectable for change in told]
    return PairSpread(
        pairs=sum(change.n for change in told),
        spread=statistics.median(map(spread_of, told)) if told else math.inf,
        detectable=statistics.median(detectable) if told else math.inf,
        seconds=seconds,
        false_alarms=sum(row.verdict in CHANGED for row in rows),
        benchmarks=len(rows),
        undecided=len(rows) - len(told),
    )


@dataclass(frozen=True, slots=True)
class Advice:
    """What a benchmark shows when it is compared with itself, and how its time should be measured.

    ``detectable`` and ``spread`` are what was seen. With ``margin`` and in ``time`` seconds a change of ``threshold``
    would be found. Where that takes longer than anybody waits, ``time`` is None and ``threshold`` is what can be
    promised in the time that it had; without a number even that is not known.
    """

    key: Key
    verdict: Verdict
    reason: str
    detectable: float
    spread: float
    margin: float
    time: float | None
    threshold: float


def advise(ran: Ran, seconds: float) -> tuple[Advice, ...]:
    """Return what is to be said of each latency of a suite that was compared with itself, ``seconds`` each."""
    margins = {row.key: row.margin for row in ran.rows}
    return tuple(
        _advice(row, row.comparison, margins[row.key], seconds)
        for row in ran.judgements
        if row.key.metric == "latency" and row.comparison and row.key in margins
    )


def alarms(ran: Ran) -> tuple[Judged, ...]:
    """Return the rows that were called changed, where nothing is."""
    return tuple(row for row in ran.judgements if row.verdict in CHANGED)


def _advice(judged: Judged, change: Change, had: float, seconds: float) -> Advice:
    detectable = math.inf if change.detectable is None else change.detectable
    margin = _margin(change)
    threshold = math.inf if change.threshold is None else change.threshold
    time = _time(detectable, had, margin, threshold, seconds)
    if time is None:
        threshold = _up(max(detectable, margin + _NARROW), 0.01) if math.isfinite(detectable + margin) else math.inf
    return Advice(judged.key, judged.verdict, judged.reason, detectable, spread_of(change), margin, time, threshold)


def _margin(change: Change) -> float:
    """Return a margin of three times the bias that remains: what the interval of the same code leaves out."""
    if not (change.low and change.high):
        return math.inf
    bias = max(math.log(change.low), -math.log(change.high), 0.0)
    return max(_LEAST_MARGIN, _up(math.expm1(bias / RESIDUAL), _MARGIN_STEP))


def _time(detectable: float, had: float, margin: float, threshold: float, seconds: float) -> float | None:
    """Return in which time a change of ``threshold`` would be found, None where that is too long.

    What a row can detect lies beyond its margin, ``had``, in proportion to how pairs spread, and the spread falls with
    the root of the time as long as it comes from within the processes. What comes from their layout stays: for a
    longer time than was measured the answer is the least that it takes, for a shorter one the most.
    """
    if not math.isfinite(detectable + margin + threshold) or threshold - margin < _NARROW:
        return None
    beyond = math.log1p(detectable) - math.log1p(had)
    allowed = math.log1p(threshold) - math.log1p(margin)
    time = max(_SHORTEST, _up(seconds * (max(beyond, 0.0) / allowed) ** 2, _TIME_STEP))
    return time if time <= max(_LONGEST, seconds) else None


def _up(value: float, step: float) -> float:
    # A hair less, so that what is on a step stays there.
    return round(math.ceil(value / step - 1e-9) * step, 6)
