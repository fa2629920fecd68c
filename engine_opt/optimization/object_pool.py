"""A bounded pool for what is dear to make and large: scratch buffers. For small objects Python's own allocator is faster.

    pool = ObjectPool(partial(numpy.empty, 100_000), size=4, weigh=lambda array: array.nbytes, name="scratch")
    with pool.lease() as lease:
        numpy.multiply(prices, volumes, out=lease.value)

An object is with the pool, or with one lease, never with both: `lease.value` ends with the lease. What it returned
before is a plain reference, which nobody can take back; do not keep it. For arrays of several shapes take one pool of
flat buffers and cut a view to size, or a pool for each shape.

Measure before pooling: arrays of a megabyte gain no time, for the C library keeps what was freed last at hand. What a
pool brings is that work asks the system for nothing: its peak is lower by what is leased, which the pool holds for good.
"""

# ruff: noqa: SLF001 - a pool and its leases are one thing, in two classes
from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from math import ceil
from threading import RLock
from types import TracebackType
from typing import Generic, Self, TypeVar

from engine_opt import _validate as check
from engine_opt._validate import INF
from engine_opt.errors import InputError, StateError

T = TypeVar("T")


class _Tally:
    """What a pool counts of one object; it does not keep the object alive."""

    __slots__ = ("bytes", "uses")

    def __init__(self, weight: int) -> None:
        self.bytes = weight
        self.uses = 0  # changed only by whoever has the object


class _Slot(Generic[T]):
    """An object between its pool and its leases. Who holds the slot has the object, and there is always one holder."""

    __slots__ = ("lost", "since", "tally", "value")

    def __init__(self, value: T, tally: _Tally) -> None:
        self.lost: deque[int] | None = None  # where to tell that it is gone, as long as the pool counts on it
        self.value = value
        self.tally = tally
        self.since = 0.0

    def __del__(self) -> None:
        # The collector comes at any time, a lock in hand or not: this only leaves word, and one that takes no lock.
        if (lost := getattr(self, "lost", None)) is not None:
            lost.append(id(self.value))


class Lease(Generic[T]):
    """An object of a pool in use; ends with its `with` block, or with `release`. Made by `ObjectPool.lease`.

    A lease that is forgotten takes its object with it: the pool counts it as lost and never hands it out again.
    """

    __slots__ = ("_box", "_pool")

    def __init__(self, pool: ObjectPool[T], slot: _Slot[T]) -> None:
        self._pool = pool
        self._box = [slot]  # emptied once, in one step: of two threads that release, one is told

    @property
    def value(self) -> T:
        """The object. Raises StateError once the lease was released."""
        try:
            return self._box[0].value
        except IndexError:
            raise self._pool._released() from None

    def release(self) -> None:
        """Give the object back. Raises StateError where that was done before, and what the pool's `reset` raises."""
        self._pool.release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._box:  # not where the block released it early
            self._pool.release(self)


class ObjectPool(Generic[T]):
    """Keep up to `size` objects that `make` made, and lease them.

    A lease never waits: where all are out, it gets a new object beyond `size` (an overflow), and as many fewer are kept
    when they come back. The last object to come back is the first to go out again.

    `reset` is called with each object that comes back; where it raises, the object is thrown away and the error goes
    on. `weigh` gives the bytes of a new object. `idle_seconds` is how long an object may lie unused: one that has lain
    longer is dropped when the pool next leases or trims. `clock` gives seconds, and is read only where there is such
    a limit; an object that seems to come from the future counts as too old, so that a clock which jumps costs no more
    than making again what was idle.

    May be shared between threads: leasing and releasing are single steps of a deque and take no lock. A forked process
    goes on with its copies of the idle objects, which must be private memory; what was leased in the parent stays
    leased in the child, except to the thread that forked.
    """

    def __init__(
        self,
        make: Callable[[], T],
        *,
        size: int,
        reset: Callable[[T], object] | None = None,
        idle_seconds: float | None = None,
        weigh: Callable[[T], int] | None = None,
        name: str = "objects",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for field, function in (("make", make), ("reset", reset), ("weigh", weigh), ("clock", clock)):
            if not (callable(function) or (function is None and field in {"reset", "weigh"})):
                raise InputError(field, function, "it must be a function")
        if type(size) is not int or size < 1:
            raise InputError("size", size, "it must be a whole number of objects, at least 1")
        if type(name) is not str or not name:
            raise InputError("name", name, "it must be text that is not empty")
        self._make, self._reset, self._weigh, self._clock = make, reset, weigh, clock
        self._size, self._name = size, name
        self._idle_limit = INF if idle_seconds is None else check.positive("idle_seconds", idle_seconds)
        self._limited = idle_seconds is not None
        self._prepares = self._limited or reset is not None
        self._idle: deque[_Slot[T]] = deque()  # oldest first
        self._tallies: dict[int, _Tally] = {}  # of idle and leased objects, by id
        self._lost: deque[int] = deque()  # ids of objects that went with their leases, not yet counted
        self._created = self._reused = self._overflow = self._dropped = self._lost_count = 0
        self._bytes = self._most = self._most_bytes = 0
        self._closed = False
        self._turns: dict[int, AbstractContextManager[object]] = {}

    @property
    def name(self) -> str:
        """What errors call the pool."""
        return self._name

    def lease(self) -> Lease[T]:
        """Return a lease of an idle object, or of a new one.

        Raises StateError where the pool is closed, or where `make` returns what the pool has already; InputError where
        `make` returns None or `weigh` no number of bytes; and what they raise. Nothing is counted then.
        """
        if self._limited:
            self._drop_old(self._clock())
        try:
            slot = self._idle.pop()
        except IndexError:
            slot = self._new_slot()
        else:
            slot.tally.uses += 1
        return Lease(self, slot)

    def release(self, lease: Lease[T]) -> None:
        """Take an object back. Raises StateError for a lease of another pool, and for one that was released.

        What comes back after the pool was closed is dropped, and no error.
        """
        if type(lease) is not Lease:
            raise InputError("lease", lease, "it must be a lease of this pool")
        if lease._pool is not self:
            raise self._error(f"this lease comes from object pool {lease._pool.name!r}, give it back there")
        try:
            slot = lease._box.pop()
        except IndexError:
            raise self._released() from None
        if self._prepares:
            self._prepare(slot)
        self._idle.append(slot)
        if self._closed or len(self._tallies) > self._size:
            self._drop_surplus()

    def trim(self) -> int:
        """Drop what has been idle for too long, and return how many objects that were."""
        self._check_open()
        return self._drop_old(self._clock()) if self._limited else 0

    def shed(self, fraction: float) -> int:
        """Drop a fraction of the idle objects, rounded up, longest idle first; return their bytes as `weigh` gave them."""
        fraction = check.between("fraction", fraction, 0.0, 1.0, "a fraction of one")
        self._check_open()
        with self._turn():
            before = self._bytes
            gone = self._drop_idle(ceil(fraction * len(self._idle)))
            given = before - self._bytes
        gone.clear()  # outside: what objects do at their end is not our business
        return given

    def bytes(self) -> int:
        """Return the bytes of all objects, idle and leased, as `weigh` gave them when they were made."""
        with self._turn():
            self._count_lost()
            return self._bytes

    def stats(self) -> Mapping[str, float]:
        """Return counts of objects, and bytes as `weigh` gave them.

        `created` = `idle` + `leased` + `dropped` + `lost`. `reused`: leases of an object that was there; `overflow`:
        objects made beyond `size`; `dropped`: idle for too long, shed, in excess of `size`, failed to reset, or still
        there on closing; `lost`: went with a lease that nobody released; `most`, `most_bytes`: idle and leased at one
        time.
        """
        with self._turn():
            self._count_lost()
            idle = self._idle.copy()
            return {
                "created": float(self._created),
                "reused": float(self._reused + sum(tally.uses for tally in self._tallies.values())),
                "leased": float(len(self._tallies) - len(idle)),
                "idle": float(len(idle)),
                "overflow": float(self._overflow),
                "dropped": float(self._dropped),
                "lost": float(self._lost_count),
                "most": float(self._most),
                "bytes": float(self._bytes),
                "idle_bytes": float(sum(slot.tally.bytes for slot in idle)),
                "most_bytes": float(self._most_bytes),
            }

    def close(self) -> None:
        """Drop all idle objects. Leases that are out stay usable, and their objects are dropped when they end."""
        with self._turn():
            self._closed = True
            gone = self._drop_idle(len(self._idle))
        gone.clear()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _new_slot(self) -> _Slot[T]:
        """Make an object. What is slow, or not ours, happens outside the lock."""
        self._check_open()
        value = self._make()
        if value is None:
            raise InputError("make", self._make, "it returned None, and must return an object")
        slot = _Slot(value, _Tally(self._weight(value)))
        key = id(value)
        with self._turn():
            self._check_open()
            self._count_lost()
            if key in self._tallies:
                raise self._error("make returned an object that the pool has already, which two leases would share")
            # From here the slot leaves word when it is lost. No call before it is counted, so that Ctrl-C cannot part them.
            self._tallies[key], slot.lost = slot.tally, self._lost
            self._created += 1
            self._bytes += slot.tally.bytes
            count = len(self._tallies)
            self._overflow += count > self._size
            self._most = max(self._most, count)
            self._most_bytes = max(self._most_bytes, self._bytes)
        return slot

    def _weight(self, value: T) -> int:
        if self._weigh is None:
            return 0
        weight = self._weigh(value)
        if type(weight) is not int or weight < 0:
            raise InputError("weigh", weight, "it must return a whole number of bytes that is not negative")
        return weight

    def _prepare(self, slot: _Slot[T]) -> None:
        """Make an object ready to lie idle, or drop it."""
        try:
            if self._reset is not None:
                self._reset(slot.value)
            if self._limited:
                slot.since = self._clock()
        except BaseException:
            with self._turn():
                self._drop(slot)
            raise

    def _drop_old(self, now: float) -> int:
        """Drop what has been idle for too long at `now`, and return how many objects that were."""
        dropped = 0
        try:
            while not 0.0 <= now - self._idle[0].since <= self._idle_limit:
                with self._turn():  # where another thread leased that one meanwhile, the next goes in its place
                    gone = self._drop_idle(1)
                dropped += len(gone)
        except IndexError:  # nothing is idle
            pass
        return dropped

    def _drop_surplus(self) -> None:
        """Drop one idle object where there are more than `size`, or all where the pool is closed."""
        with self._turn():
            self._count_lost()
            surplus = len(self._idle) if self._closed else len(self._tallies) - self._size
            gone = self._drop_idle(surplus)
        gone.clear()

    def _drop_idle(self, count: int) -> list[_Slot[T]]:
        """Drop up to `count` idle objects, longest idle first, and return them; called with the lock in hand."""
        gone = []
        try:
            for _ in range(count):
                slot = self._idle.popleft()
                self._drop(slot)
                gone.append(slot)
        except IndexError:  # others leased the rest meanwhile
            pass
        return gone

    def _drop(self, slot: _Slot[T]) -> None:
        self._forget(id(slot.value))
        slot.lost = None
        self._dropped += 1

    def _count_lost(self) -> None:
        while self._lost:
            key = self._lost.popleft()
            if key in self._tallies:  # always, unless Ctrl-C came while the pool was dropping it
                self._forget(key)
                self._lost_count += 1

    def _forget(self, key: int) -> None:
        tally = self._tallies.pop(key)
        self._bytes -= tally.bytes
        self._reused += tally.uses

    def _turn(self) -> AbstractContextManager[object]:
        """Return the lock of this process: one that a thread of the parent held at a fork is not released in the child.

        It is taken by whoever makes or drops objects, and re-entrant: a finaliser may come in between, and lease.
        """
        process = os.getpid()
        return self._turns.get(process) or self._turns.setdefault(process, RLock())

    def _check_open(self) -> None:
        if self._closed:
            raise self._error("make another one")

    def _released(self) -> StateError:
        return self._error("this lease was released, and its object may be in other hands: ask for another lease")

    def _error(self, what: str) -> StateError:
        return StateError(f"object pool {self._name!r} is {'closed' if self._closed else 'open'}: {what}")
