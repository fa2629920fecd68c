"""What a page of the report is made of, as plain values: the template and the script put them in place."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_pe_perf.judge.changepoint import LevelChange
from pytest_pe_perf.model import Judgement, Key, Past

from .cause import Hint
from .distribution import Distribution
from .flame import Flame
from .method import Paragraph, Rate
from .rounds import Pair
from .wording import Level


@dataclass(frozen=True, slots=True)
class Meta:
    """What the report says of itself: its title, the version that wrote it, the command, and where commits are shown.

    ``commits`` is the beginning of an address that ends with a commit; empty where there is none.
    """

    title: str = "Performance report"
    version: str = ""
    command: str = ""
    commits: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Command:
    """Something to be copied to a terminal, and what it is for."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class RowView:
    """A judged row: of the table, of a card where it fails, and of its test's page.

    ``limit`` is the value at which it fails, ``budget`` the one that it must not exceed, ``memory`` the judgement that
    stands beside that of a time. ``changes`` is None where nobody has searched for them, ``flame`` where the row has no
    profile.
    """

    key: Key
    anchor: str
    test: str
    short: str
    name: str
    metric: str
    title: str
    unit: str
    verdict: str
    word: str
    style: str
    sign: str
    fails: bool
    now: str
    change: str
    interval: str
    headline: str
    reason: str
    facts: tuple[Fact, ...]
    distribution: Distribution | None
    commands: tuple[Command, ...]
    pass_anyway: str
    accepted: str
    hints: tuple[Hint, ...]
    judgement: Judgement
    memory: Judgement | None
    base_word: str
    limit: float | None
    changes: tuple[LevelChange, ...] | None
    pairs: tuple[Pair, ...]
    flame: Flame | None


@dataclass(frozen=True, slots=True)
class TestView:
    """A test with all its rows, its worst first, the numbers that nobody judges, and the names of its markers."""

    anchor: str
    test: str
    rows: tuple[RowView, ...]
    unjudged: tuple[Fact, ...]
    markers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chip:
    """A verdict that some rows have, and how many: a filter of the table."""

    verdict: str
    style: str
    sign: str
    count: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Something about the machine that was another one in the run before: when, at which commit, what, and how."""

    place: int
    started: str
    commit: str
    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report.

    ``now`` is this run's number among those of ``past``; ``since`` are its differences from the one before. ``searched``
    says how many histories were searched for changes of level, where that is not all of them.
    """

    meta: Meta
    level: Level
    sign: str
    headline: str
    advice: str
    found: tuple[str, ...]
    started: str
    compared: str
    commits: tuple[Fact, ...]
    cards: tuple[RowView, ...]
    more: tuple[RowView, ...]
    chips: tuple[Chip, ...]
    rows: tuple[RowView, ...]
    tests: tuple[TestView, ...]
    skipped: tuple[Fact, ...]
    notes: tuple[str, ...]
    identity: tuple[Fact, ...]
    context: tuple[Fact, ...]
    differences: tuple[Difference, ...]
    since: tuple[Difference, ...]
    method: tuple[Paragraph, ...]
    rates: tuple[Rate, ...]
    past: Past
    now: int
    searched: str
