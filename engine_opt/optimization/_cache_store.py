"""What a cache stands on: cachetools' stores that tell evictions from expirations, exact keys, loads, and a lock."""

from __future__ import annotations

import os
from collections.abc import Hashable
from math import copysign
from threading import Lock, RLock, Thread
from types import TracebackType
from typing import Any

import cachetools

from engine_opt.errors import EngineError, StateError

NOTHING = object()
"""Stands for no value: None is one."""


class Entry:
    """A value with what it takes to trust it: for which exact key, since when, and until when (seconds)."""

    __slots__ = ("kind", "mark", "parts", "since", "tag", "until", "value", "weight")

    def __init__(self, mark: object, value: Any, weight: int, tag: Hashable) -> None:
        self.mark, self.value, self.weight, self.tag = mark, value, weight, tag
        self.since = self.until = 0.0
        self.kind, self.parts = _quick(mark)


def mark(key: object) -> object:
    """Return what tells a key from others that equal it: 1, 1.0 and True; 0.0 and -0.0; tuples of them, however deep.

    Of frozensets the members are marked, too. Inside other objects their own `==` decides.
    """
    kind = type(key)
    if kind is str or kind is int:  # most parts of most keys
        return kind
    if isinstance(key, tuple):
        return (kind, *map(mark, key))
    if isinstance(key, frozenset):
        return kind, frozenset((each, mark(each)) for each in key)
    if isinstance(key, float) and key == 0.0:
        return kind, copysign(1.0, key)
    if isinstance(key, complex):
        return kind, repr(key)
    return kind


def _quick(marked: Any) -> tuple[type | None, tuple[tuple[int, type], ...] | None]:
    """Return the type of a key, and those of its parts, if it has any, by index; None where types do not say all."""
    if isinstance(marked, type):
        return marked, None
    if issubclass(marked[0], tuple) and all(isinstance(each, type) for each in marked):
        return marked[0], tuple(enumerate(marked[1:]))
    return None, None


class LRUStore(cachetools.LRUCache[Hashable, Entry]):
    """Entries by key, bounded by bytes; notes whom it evicts."""

    def __init__(self, max_bytes: float) -> None:
        super().__init__(max_bytes, getsizeof=_weight)
        self.evicted: list[tuple[Hashable, Entry]] = []
        self.expired: list[tuple[Hashable, Entry]] = []  # never anything

    def popitem(self) -> tuple[Hashable, Entry]:
        """Evict the least recently used entry."""
        pair = super().popitem()
        self.evicted.append(pair)
        return pair

    def expire(self) -> None:
        """Nothing expires here."""


class TTLStore(cachetools.TTLCache[Hashable, Entry, float]):
    """The same where entries expire, which is noted apart. Time stands still but for `moment`."""

    def __init__(self, max_bytes: float, ttl: float, moment: Moment) -> None:
        super().__init__(max_bytes, ttl, timer=moment, getsizeof=_weight)
        self.evicted: list[tuple[Hashable, Entry]] = []
        self.expired: list[tuple[Hashable, Entry]] = []

    def popitem(self) -> tuple[Hashable, Entry]:
        """Evict the least recently used entry that has not expired."""
        pair = super().popitem()
        self.evicted.append(pair)
        return pair

    def expire(self, time: float | None = None) -> list[tuple[Hashable, Entry]]:
        """Remove what has expired; cachetools calls this before it evicts, counts or stores."""
        gone = super().expire(time)
        self.expired += gone
        return gone


class Moment:
    """The time of the operation under way, in seconds."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = float("-inf")

    def __call__(self) -> float:
        return self.now


def _weight(entry: Entry) -> int:
    return entry.weight


class Flight:
    """A load under way: who runs it, for what group of keys, whether somebody waits, and what came of it."""

    __slots__ = ("_landed", "awaited", "error", "finished", "owner", "tag", "value")

    def __init__(self, owner: Thread, tag: Hashable) -> None:
        self.owner, self.tag = owner, tag
        self.awaited = False
        self.value: Any = NOTHING
        self.error: Exception | None = None
        self.finished = False
        self._landed = Lock()
        self._landed.acquire()  # released by `finish`, and by no one else

    def finish(self) -> None:
        """Let all who wait go on."""
        self.finished = True
        self._landed.release()

    def wait(self, me: Thread, waiting: dict[Thread, Flight]) -> bool:
        """Wait until the load is over; return False at once where that would be for ever.

        `waiting` tells which thread waits for which flight. One's own entry is made before the others are looked at:
        of threads that close a circle at the same time, one at least sees it.
        """
        waiting[me] = self
        try:
            flight: Flight | None = self
            for _ in range(len(waiting) + 1):  # a circle of others is not ours to break
                if flight is None or flight.finished:
                    break
                if flight.owner is me:
                    return False
                flight = waiting.get(flight.owner)
            with self._landed:
                return True
        finally:
            del waiting[me]


class Guard:
    """A lock for short sections that call nobody; entering one says whether an earlier one was broken off half-way.

    A section is broken off by an exception, or by a fork in another thread of the parent, whose lock nobody would
    release in the child: each process has a lock of its own. A thread that comes in twice gets a StateError: that is a
    finaliser, a signal handler, or a key's `==`, and what the first visit was about to do would be lost.
    """

    __slots__ = ("_busy", "_lock", "_locks", "_who")

    def __init__(self, who: str) -> None:
        self._who = who
        self._locks: dict[int, RLock] = {}
        self._busy = 0  # the process that is inside

    def __enter__(self) -> bool:
        process = os.getpid()
        lock = self._locks.get(process) or self._locks.setdefault(process, RLock())
        lock.acquire()
        broken = self._busy
        if broken == process:
            lock.release()
            raise StateError(f"{self._who} is being changed, and was asked for something in the middle of that")
        self._busy, self._lock = process, lock
        return broken != 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._busy = 0 if kind is None or issubclass(kind, EngineError) else -1
        self._lock.release()
