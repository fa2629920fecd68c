"""The things that travel between the rooms. Frozen; no behaviour to speak of.

Values stand in base units: seconds, bytes, counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

RUN_FORMAT = 1


class Verdict(StrEnum):
    """What the gate says of a row. There are no other words."""

    REGRESSED = "regressed"
    OVER_BUDGET = "over budget"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    INCONCLUSIVE = "inconclusive"
    NOT_COMPARABLE = "not comparable"
    NEW = "new"
    MISSING = "missing"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Metric:
    """A kind of number, which says itself how it is judged.

    ``assume``: ``exact`` repeats to the last digit and is compared as it is; ``noisy`` is compared by an interval;
    ``nothing`` is shown and never judged.
    """

    name: str
    unit: Literal["s", "B", "1"]
    better: Literal["lower", "higher"]
    assume: Literal["exact", "noisy", "nothing"]
    title: str


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("latency", "s", "lower", "noisy", "time per call"),
        Metric("cpu", "s", "lower", "nothing", "CPU time per call"),
        Metric("peak", "B", "lower", "exact", "peak memory of a call"),
        Metric("allocations", "1", "lower", "exact", "allocations of a call"),
        Metric("retained", "B", "lower", "exact", "memory kept by a call"),
        Metric("first", "s", "lower", "noisy", "time of the first call in a process"),
        Metric("tail", "1", "lower", "noisy", "slowest twentieth of the calls, over a typical one"),
        Metric("collector", "1", "lower", "noisy", "time with the garbage collector on, over without"),
        Metric("import", "s", "lower", "noisy", "time to import in a fresh process"),
    )
}


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Names a row: a metric of one measurement of one test.

    ``test`` is pytest's node id; ``name`` the measurement's name within the test, empty where there is one only.
    """

    test: str
    name: str
    metric: str

    @property
    def label(self) -> str:
        """The test, and the measurement's name where it has one."""
        return f"{self.test} [{self.name}]" if self.name else self.test


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process measured of one row.

    ``value`` is what gets compared: the minimum of the readings for a latency, the number itself for a count.
    ``count`` is the number of readings and ``calls`` the number of calls each of them spans.
    ``reference`` is the minimum of the reference workload in the same process and seconds; None where the metric
    does not depend on the machine's speed. ``quantiles`` are the 0, 5, 25, 50, 75, 95 and 100 % quantiles.
    ``made_with`` names what the number depends on besides the code ("memray 1.20.0, cpython 3.11.7").
    ``problem`` says why the number may not be judged; empty where it may. ``machine`` is what the reference workload took
    at the same time in fresh processes of its own; None where nobody had to ask.
    """

    value: float
    count: int
    calls: int
    quantiles: tuple[float, ...] = ()
    reference: float | None = None
    made_with: str = ""
    problem: str = ""
    machine: float | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """An absolute limit, in the metric's base unit, with the words in which the user gave it."""

    limit: float
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """Everything a run knows of one row: a sample for each process that measured it.

    ``source`` is the hash of the benchmark's own source, ``body`` the same without its name. ``threshold`` and
    ``margin`` are fractions. ``base`` holds the samples of the other side where two commits were measured side by side.
    """

    key: Key
    samples: tuple[Sample, ...]
    source: str
    threshold: float
    margin: float
    budget: Budget | None = None
    line: int = 0
    base: tuple[Sample, ...] = ()
    body: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One round of one side of a pair: readings in a row for a few milliseconds, in the metric's base unit.

    ``low`` is the lower quartile of the readings and ``least`` their minimum; ``away`` the share of the round in which
    the process was not on its core.
    """

    low: float
    least: float
    away: float = 0.0


@dataclass(frozen=True, slots=True)
class Block:
    """Rounds of both sides that follow each other closely: ABBA or BAAB, or AB where there is no time for more."""

    base: tuple[Turn, ...]
    head: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Restart:
    """What one pair of processes measured of one row: the unit of the statistics."""

    blocks: tuple[Block, ...]
    calls: int = 1


@dataclass(frozen=True, slots=True)
class PairedRow:
    """Everything that the pairs of processes measured of one row, pass by pass.

    ``screen`` holds the restarts of the first pass. ``confirm`` holds those of the second, in fresh processes; it is
    empty where the first gave no reason for one. ``problem`` says why the row may not be judged.
    """

    key: Key
    source: str
    threshold: float
    margin: float
    screen: tuple[Restart, ...]
    confirm: tuple[Restart, ...] = ()
    budget: Budget | None = None
    line: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PackedRestart:
    """A restart in few bytes, for a file: of each block its turns, one after the other.

    A turn is three numbers: ``low``, ``least`` and ``away``.
    """

    calls: int
    base: tuple[tuple[float, ...], ...]
    head: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class PackedRow:
    """A ``PairedRow`` whose restarts are packed."""

    key: Key
    source: str
    threshold: float
    margin: float
    screen: tuple[PackedRestart, ...]
    confirm: tuple[PackedRestart, ...] = ()
    budget: Budget | None = None
    line: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """A row that has a verdict and no readings, and why: a side could not measure it, or does not have it."""

    key: Key
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """What pairs of processes measured of a suite on one machine: enough to judge it again.

    ``canaries`` are the rows of the measurements with known answers. ``biased`` says why the check of the whole suite,
    base against a copy of itself, found that something favours one side; it is empty where it found nothing, or nothing
    called for a check. ``unread`` are the rows without readings. ``identical``: no file differs but the tests'.
    """

    rows: tuple[PackedRow, ...] = ()
    canaries: tuple[PackedRow, ...] = ()
    biased: str = ""
    unread: tuple[Unread, ...] = ()
    identical: bool = False


@dataclass(frozen=True, slots=True)
class Environment:
    """Who measured: the facts that make two runs comparable, and nothing that moves by itself."""

    implementation: str
    python: str
    os: str
    cpu: str
    cores: int

    @property
    def slug(self) -> str:
        """The name of the environment's folder among the baselines."""
        return f"{self.implementation}-{self.python}-{self.os}-{self.cpu}-{self.cores}cpu"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A performance test that gave no number, and why."""

    test: str
    why: str


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """The accepted value of a row.

    ``spread`` is the standard deviation of the logarithm between the processes that recorded it, without slow ones and
    never less than their number of readings allows to claim (for exact metrics their relative range); ``reason`` is
    what a person said when they accepted a worse value.

    ``anchor`` is the value from which a creep is measured, of a time at the speed of ``reference``: small steps leave it
    where it is. None where it is ``value`` itself. ``renamed_from`` is the test from which the row was taken over;
    ``body`` the hash of the source without the name, empty in rows of before there was one.
    """

    key: Key
    value: float
    source: str
    reference: float | None = None
    spread: float = 0.0
    made_with: str = ""
    reason: str = ""
    body: str = ""
    anchor: float | None = None
    renamed_from: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Base against head. ``ratio``, ``low`` and ``high`` are head over base; ``low`` to ``high`` is the 95 % interval.

    ``n`` is the number of processes on head's side. ``detectable`` is the smallest change that this row would have
    shown in 95 of 100 runs, as a fraction. A ratio against a base of zero is infinite, or 1 where head is zero too.
    """

    base: float
    head: float
    ratio: float
    low: float
    high: float
    n: int
    threshold: float
    detectable: float
    tier: Literal["counts", "paired", "stored"]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A regression that people accept for a while: an entry of ``[[tool.pe_perf.accept]]``.

    ``test`` is a pattern of node ids, see ``judge.patterns``. ``ceiling`` is the ratio of head to base that it may reach,
    ``expires`` the last day (of UTC) on which it counts. ``issue`` may be empty.
    """

    test: str
    metric: str
    ceiling: float
    reason: str
    expires: date
    issue: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one row and what it rests on. ``accepted`` is the entry by which a regression does not fail.

    ``renamed_from`` is the test whose baseline it was held against because the row looks like it; ``stale`` says why its
    baseline should be recorded anew. Both are mostly empty.
    """

    key: Key
    verdict: Verdict
    reason: str
    value: float | None = None
    comparison: Comparison | None = None
    budget: Budget | None = None
    line: int = 0
    accepted: Acceptance | None = None
    renamed_from: str = ""
    stale: str = ""

    @property
    def fails(self) -> bool:
        """Whether the test of this row must fail."""
        return self.verdict in (Verdict.REGRESSED, Verdict.OVER_BUDGET)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a comparison of two commits says of a suspicion against ``baseline``: it holds as long as that row stands."""

    judgement: Judgement
    baseline: BaselineRow


@dataclass(frozen=True, slots=True)
class Frame:
    """A function, by its qualified name and file: a line number would not find it again in another commit.

    ``file`` is relative to the project or to where a library is imported from, and empty where there is none. ``own``:
    the function is the project's. ``line`` is where head was seen in it.
    """

    function: str
    file: str
    own: bool = False
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack of calls, the outermost first, by their places in a profile's frames, and what each side spent at its end.

    The weights are numbers of samples, of bytes or of allocations.
    """

    frames: tuple[int, ...]
    base: float
    head: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time or the memory of a row goes: on both sides if it is ``paired``, else on head's alone.

    ``note`` says why there is nothing, or no other side.
    """

    key: Key
    frames: tuple[Frame, ...] = ()
    stacks: tuple[Stack, ...] = ()
    paired: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Shard:
    """Which part of a suite a run is: ``index`` of ``count``, counted from 1.

    ``suite`` names the performance tests that were selected before any were left to other shards, and ``tests`` is their
    number. ``settings`` are those that a verdict rests on, as text. ``complete`` lists the modules of which this shard
    was to run its whole share: a module is complete where every shard lists it.
    """

    index: int
    count: int
    suite: str
    tests: int
    settings: dict[str, str]
    complete: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One session. ``context`` may differ between comparable runs and is only shown.

    ``complete`` lists the modules whose tests were all collected and selected: only there can a baseline row be called
    missing. ``unmeasured`` are the tests that were to run there and have no row, whatever became of them, with the hash
    of their source without the name. ``pairs`` is what was measured beside another commit, machine by machine: one session fills one, a run that was
    merged from several has several. A run against a baseline has none. ``shard`` says of a part of a suite which it is.
    ``profiles`` are of rows that failed, and of those about which somebody asked. ``markers`` are the names of the
    markers that tests have, but for pytest's own and ours; a test that has none is not there.
    """

    format: int
    started: str
    environment: Environment
    context: dict[str, str]
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...] = ()
    complete: tuple[str, ...] = ()
    settled: tuple[Settled, ...] = ()
    pairs: tuple[Pairs, ...] = ()
    shard: Shard | None = None
    unmeasured: dict[str, str] = field(default_factory=dict)
    profiles: tuple[Profile, ...] = ()
    markers: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate says of a run: a judgement per row, worst first is the reporter's business.

    ``doubts`` are why nobody can tell that all is well, whatever the rows say: what whoever judges a run again found.
    """

    environment: Environment
    judgements: tuple[Judgement, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = field(default=())
    doubts: tuple[str, ...] = ()

    def count(self, verdict: Verdict) -> int:
        """Return how many rows have this verdict."""
        return sum(1 for judgement in self.judgements if judgement.verdict is verdict)


@dataclass(frozen=True, slots=True)
class Point:
    """One run of one row, as the history remembers it."""

    started: str
    commit: str
    value: float
    reference: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run, as the history remembers it. ``started`` is in UTC, ``environment`` the slug."""

    started: str
    environment: str
    context: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Course:
    """All points of a row as columns, in the order of time: a page holds a million of them.

    ``places`` says which run each is of, by its number among those of the ``Past``. ``lows`` to ``highs`` are the 95 %
    intervals of head over base, None where nothing was compared. ``references`` are what the reference workload took in
    the same processes, None where that is not known; the column is empty where it is known of no point.
    """

    places: Sequence[int] = ()
    values: Sequence[float] = ()
    lows: Sequence[float | None] = ()
    highs: Sequence[float | None] = ()
    verdicts: Sequence[str] = ()
    references: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True)
class Accept:
    """A value that was accepted as a row's baseline: in which commit, when (ISO), by whom and why.

    ``anchor`` is the value from which a creep is measured, None where it is ``value`` itself.
    """

    commit: str
    when: str
    who: str
    value: float
    anchor: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Past:
    """What a report shows of earlier runs, the oldest first, what became of each row, and what was accepted of it."""

    runs: tuple[PastRun, ...] = ()
    courses: Mapping[Key, Course] = field(default_factory=dict)
    accepts: Mapping[Key, Sequence[Accept]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What an update would do to a baseline row.

    ``create`` adds a row, ``fix`` replaces one that the run contradicts, ``update`` tightens one that improved or
    refreshes one that is stale or could not be compared, ``rename`` gives one to the test that has another name now,
    ``trim`` removes one whose test is gone. ``complete`` adds what a row of before there was a ``body`` does not have, and
    leaves the rest as it is. Of a renamed test ``old`` has the key that it had.
    """

    kind: Literal["create", "fix", "update", "rename", "trim", "complete"]
    key: Key
    old: BaselineRow | None
    new: BaselineRow | None
    worse: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What an update would do. ``left`` names the rows that it must leave alone, and why.

    ``unchanged`` is the number of rows that are as the baseline says: nothing is done about them.
    """

    changes: tuple[Change, ...] = ()
    left: tuple[tuple[Key, str], ...] = ()
    unchanged: int = 0
