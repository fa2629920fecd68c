"""What every history can do, wherever it is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.model import GateReport, Key, Point, Run

from .record import About, Record, record_of


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
    def remove(self, runs: Iterable[About]) -> None:
        """Take runs out, all or none."""

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
