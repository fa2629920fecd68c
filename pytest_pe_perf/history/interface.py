"""What every history can do, wherever it is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.model import Course, GateReport, Key, Point, Run

from .record import About, Record, record_of


class Later(NamedTuple):
    """What became of a test's name: the one that it has now, and the newest moment at which the old one still meant it."""

    name: str
    until: str


# What became of each renamed test, by its old name.
Names = Mapping[str, Later]


class HistoryStore(ABC):
    """An open history: earlier runs, added whole or not at all, whoever else adds to it at the same time.

    All of its methods raise HistoryError where the history cannot be read or written.
    """

    def append(self, run: Run, report: GateReport) -> None:
        """Add a point for every row that has a value, all or none.

        Raises:
            HistoryError: it cannot be written, the run's start is no time, or a value is no number.

        """
        self.add([record_of(run, report)])

    def claim(self, project: str, *, anew: bool = False) -> None:
        """Say whose history this is; the first one to say so owns it. An empty name says nothing.

        Raises:
            HistoryError: it is another project's, and ``anew`` does not say that this is to change.

        """
        owner = self.project()
        if not project or owner == project:
            return
        if owner and not anew:
            raise HistoryError(
                f"it is the history of {owner!r} and this is {project!r}: set another `history`; "
                "if the project has a new name: pe-perf history adopt"
            )
        self.give_to(project)

    @abstractmethod
    def add(self, records: Iterable[Record]) -> int:
        """Add runs, all or none; those that are there already are left out. Return how many are new."""

    @abstractmethod
    def runs(self) -> tuple[About, ...]:
        """Return what is known of each run, the oldest first."""

    @abstractmethod
    def record(self, run: About) -> Record:
        """Return a run with its values; a run that is not there has none."""

    @abstractmethod
    def series(self) -> tuple[tuple[str, Key], ...]:
        """Return the environment and the key of each row that has a point, in order."""

    @abstractmethod
    def trends(self, environment_slug: str, keys: Iterable[Key], limit: int = 500) -> dict[Key, tuple[Point, ...]]:
        """Return the last ``limit`` points of each row, the oldest first; an unknown row has none.

        Raises:
            ValueError: ``limit`` is less than 1.

        """

    @abstractmethod
    def courses(self, runs: Sequence[About], keys: Iterable[Key]) -> dict[Key, Course]:
        """Return what became of each row in ``runs``, in their order; a row that has no point in any is left out.

        It is one question, however many rows are asked for.
        """

    @abstractmethod
    def remove(self, runs: Iterable[About]) -> None:
        """Take runs out, all or none."""

    @abstractmethod
    def renames(self) -> Names:
        """Return what became of the names of renamed tests; see ``renames.Renamed``."""

    @abstractmethod
    def rename(self, change: Callable[[Names], Names]) -> None:
        """Put what ``change`` makes of those names in their place; it may be asked again if another writer was faster."""

    @abstractmethod
    def project(self) -> str:
        """Return whose history it is; empty where nobody has said."""

    @abstractmethod
    def give_to(self, project: str) -> None:
        """Make it the history of ``project``."""


def check_limit(limit: int) -> None:
    """Refuse to look for nothing.

    Raises:
        ValueError: ``limit`` is less than 1.

    """
    if limit < 1:
        raise ValueError(f"limit is {limit}; ask for one point at least")


def columns(keys: Sequence[Key], found: Iterable[tuple[Any, ...]]) -> dict[Key, Course]:
    """Return the courses of rows that a store found in any order.

    Each is the number of its key, that of its run, value, low, high, verdict and reference.
    """
    # A store finds them almost sorted, so that this costs less than to have it sort them. No two have both numbers.
    by_key = groupby(sorted(found), key=itemgetter(0))
    return {keys[number]: as_course(*list(zip(*rows, strict=True))[1:]) for number, rows in by_key}


def course_of(points: Iterable[tuple[Any, ...]]) -> Course:
    """Return points of a row as columns. Each is the number of its run, value, low, high, verdict and reference."""
    return as_course(*zip(*points, strict=True))


def as_course(*columns: Sequence[Any]) -> Course:
    """Return columns, or none at all, as a course: without the last one, of references, if these are all None."""
    unknown = columns and columns[-1].count(None) == len(columns[-1])
    return Course(*(columns[:-1] if unknown else columns))


def points_of(course: Course) -> Iterator[tuple[Any, ...]]:
    """Return the points of which ``course_of`` made these columns."""
    references = course.references or (None,) * len(course.places)
    return zip(course.places, course.values, course.lows, course.highs, course.verdicts, references, strict=True)
