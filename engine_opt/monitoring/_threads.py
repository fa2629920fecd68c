"""What each thread counts for itself, without a lock, and what all have counted together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import RLock
from typing import Any, Protocol, TypeVar
from weakref import ReferenceType, ref


class Cell(Protocol):
    """What one thread has counted of one series: changed by that thread alone, read by any."""

    def value(self) -> Any:
        """Return it, as something that can be added to others of its kind."""


C = TypeVar("C", bound=Cell)


class Sum:
    """A cell that adds up numbers."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total: float = 0

    def value(self) -> float:
        """Return what was added up to now."""
        return self.total


class _Presence:
    """Referred to by a thread's own storage alone: when the thread has ended, it is gone."""

    __slots__ = ("__weakref__",)


class _Share:
    """The cells of a thread, by number of series, and whether there still is such a thread."""

    __slots__ = ("cells", "owner")

    def __init__(self, owner: ReferenceType[_Presence]) -> None:
        self.cells: dict[int, Any] = {}
        self.owner = owner


class ThreadCells:
    """The cells of all threads.

    A thread that ends leaves its cells as they are, and the next new one goes on with them: nothing is lost, nothing
    has to be moved, and there are never more than there were threads at one time. `mine` is the calling thread's
    storage: `mine.cells[number]` is its cell of a series, once `add` has made it.

    A forked process goes on with a copy of all cells.
    """

    def __init__(self) -> None:
        self.mine = threading.local()
        self._shares: list[_Share] = []
        self._turns: dict[int, AbstractContextManager[object]] = {}

    def add(self, number: int, make: Callable[[], C]) -> C:
        """Return the calling thread's cell of a series, new unless there is one."""
        try:
            cells: dict[int, C] = self.mine.cells
        except AttributeError:
            cells = self._enter()
        # A finaliser that counts may come in between, and have made it.
        return cells.setdefault(number, make())

    def value(self, number: int) -> Any:
        """Return what all threads have counted of a series; None where none has."""
        found = None
        for share in tuple(self._shares):
            if (cell := share.cells.get(number)) is not None:
                value = cell.value()
                found = value if found is None else found + value
        return found

    def turn(self) -> AbstractContextManager[object]:
        """Return the lock of this process: one that a thread of the parent held at a fork is not released in the child.

        It is taken to make series and a thread's storage, never to count, and is re-entrant: a finaliser may
        come in between.
        """
        process = os.getpid()
        return self._turns.get(process) or self._turns.setdefault(process, RLock())

    def threads(self) -> int:
        """Return how many threads that have counted something have not ended."""
        return sum(share.owner() is not None for share in tuple(self._shares))

    def _enter(self) -> dict[int, Any]:
        """Give the calling thread the cells of one that has ended, or new ones."""
        presence = _Presence()
        with self.turn():
            share = next((each for each in self._shares if each.owner() is None), None)
            if share is None:
                share = _Share(ref(presence))
                self._shares.append(share)
            else:
                share.owner = ref(presence)
        # In one step: a thread that had cells and no presence would share them with the next one to enter.
        self.mine.__dict__.update(cells=share.cells, presence=presence)
        return share.cells
