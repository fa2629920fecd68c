"""A bounded cache: one load per key however many ask, exact keys, and a hit that takes no lock.

    cache = Cache(max_items=1_000, max_bytes=10_000_000, weigh=lambda table: table.nbytes, name="tables")
    table = cache.get(("AAPL", bar.time), build_table, bars)

It stands on cachetools, which decides what is evicted. A cache pays only where the work costs more than the hit:
`cache_lint.lint` measures both.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from threading import Thread, current_thread
from types import CoroutineType, TracebackType
from typing import Any, Self, TypeVar

from engine_opt import _validate as check
from engine_opt._validate import INF
from engine_opt.errors import InputError, StateError
from engine_opt.optimization._cache_store import NOTHING, Entry, Flight, Guard, LRUStore, Moment, TTLStore, mark

_V = TypeVar("_V")
_COUNTED = ("hits", "misses", "waits", "evictions", "expirations", "invalidations", "errors", "oversize")
# Hits are noted in a list, and told to cachetools this many at a time: the lock, which costs as much as the rest of a
# hit, is taken once for all of them, and of hits on the same key only the last has to be told.
_HITS_NOTED = 1024


class Cache:
    """Keep up to `max_items` values, of `max_bytes` altogether, each for `ttl` seconds; the least recently used go first.

    `weigh` gives the bytes of a value; by default its own size without what it refers to. A value larger than
    `max_bytes` is returned and not kept. `ttl` counts from when the value was loaded, on `clock`, which is read only
    where there is a `ttl`. A clock that jumps forward lets everything expire. One that goes back does so too, for
    nobody can tell how old anything is. `tag` gives the group of a key, for `invalidate_tag`.

    Keys are exact: 1, 1.0 and True are different keys, as are 0.0 and -0.0, alone or in tuples and frozensets however
    deep. Of keys that equal each other and differ so, only the last one loaded is kept. Inside other objects their own
    `==` decides. NaN equals nothing: it is found again only as the very same object. Values are shared by all who ask
    for them, and must not be changed.

    May be shared between threads. A forked process goes on with a copy; a load that another thread of the parent was
    running is not waited for, and where such a thread was changing the cache at the fork, the copy starts empty.
    """

    COUNTS = (*_COUNTED, "items", "bytes")
    """The names of `stats`."""

    def __init__(
        self,
        *,
        max_items: int,
        max_bytes: int | None = None,
        weigh: Callable[[Any], int] = sys.getsizeof,
        ttl: float | None = None,
        tag: Callable[[Any], Hashable] | None = None,
        name: str = "cache",
        clock: Callable[[], float] = time.monotonic,
        waiting: dict[Thread, Flight] | None = None,
    ) -> None:
        """Make an empty cache; `waiting` is shared by the caches of a manager, whose loads may call each other."""
        for field, function in (("weigh", weigh), ("tag", tag), ("clock", clock)):
            if not (callable(function) or (function is None and field == "tag")):
                raise InputError(field, function, "it must be a function")
        if type(name) is not str or not name:
            raise InputError("name", name, "it must be text that is not empty")
        self._max_items = _size("max_items", max_items)
        self._max_bytes = INF if max_bytes is None else _size("max_bytes", max_bytes)
        self._ttl = None if ttl is None else check.positive("ttl", ttl)
        self._weigh, self._tag, self._name = weigh, tag, name
        self._clock = None if ttl is None else clock
        self._moment = Moment()
        self._store = LRUStore(self._max_bytes) if ttl is None else TTLStore(self._max_bytes, ttl, self._moment)
        self._entries: dict[Hashable, Entry] = {}  # what the store has, to be read without moving it
        self._noted: list[Hashable] = []  # the keys of hits that the store was not told yet
        self._tags: dict[Hashable, set[Hashable]] = {}
        self._flights: dict[tuple[Hashable, object], Flight] = {}  # by key and mark
        self._waiting: dict[Thread, Flight] = {} if waiting is None else waiting
        self._version: object = None
        self._counts = dict.fromkeys(_COUNTED, 0)
        self._guard = Guard(f"cache {name!r}")
        self._served: object = None
        self._closed = False

    @property
    def name(self) -> str:
        """What errors and statistics call the cache."""
        return self._name

    @property
    def has_tags(self) -> bool:
        """Whether keys have groups."""
        return self._tag is not None

    def claim(self, function: object) -> None:
        """Serve this function alone from now on. Raises StateError where another one is served: their keys may equal."""
        if self._served is not None:
            raise StateError(f"cache {self._name!r} serves {self._served!r}: give each function its own")
        self._served = function

    def twin(self, *, max_items: int) -> Cache:
        """Return an empty cache that works like this one, in which nothing expires and nothing is too large."""
        ttl = None if self._ttl is None else sys.float_info.max
        clock = time.monotonic if self._clock is None else self._clock
        return Cache(max_items=max_items, weigh=self._weigh, ttl=ttl, tag=self._tag, name=self._name, clock=clock)

    def get(self, key: Hashable, load: Callable[..., _V], /, *args: Any) -> _V:
        """Return the value of a key; where it is not there, `load(*args)` it, once for all threads that ask meanwhile.

        Where the load raises, nothing is kept, and all who waited for it get the same error; only what is not an
        `Exception`, as ctrl-C, is the loading thread's alone, and one of the others loads instead. What was
        invalidated while it was being loaded is returned to those who asked before, and not kept.

        Raises InputError for a key that has no hash, a load that returns a coroutine, or a weight that is none;
        StateError where the cache is closed, or where the load waits for itself, in this thread or by way of others.
        """
        try:
            entry = self._entries.get(key)
        except TypeError as error:
            raise _refused("key", key, error) from error
        # The quick way, for most hits. What it does not find, it leaves to the slow one, which decides.
        if (
            entry is not None
            and type(key) is entry.kind
            and (self._clock is None or entry.since <= self._clock() < entry.until)
        ):
            if entry.parts is not None:
                for index, kind in entry.parts:
                    if type(key[index]) is not kind:  # type: ignore[index]  # it equals a tuple
                        return self._get(key, load, args)
            noted = self._noted
            noted.append(key)
            if len(noted) >= _HITS_NOTED:
                self._settle()
            return entry.value  # type: ignore[no-any-return]  # what was loaded for this key
        return self._get(key, load, args)

    def invalidate(self, key: Hashable) -> int:
        """Forget a key and those that equal it, loads under way included; return how many values that were."""
        _check_hashable("key", key)
        return self._invalidate(lambda: (key,), lambda place, _: place[0] == key)

    def invalidate_tag(self, tag: Hashable) -> int:
        """Forget the keys that `tag` puts in this group, as those of a bar; return how many values that were."""
        if self._tag is None:
            raise StateError(f"cache {self._name!r} has no groups: give it `tag`, a function of the key")
        _check_hashable("tag", tag)
        return self._invalidate(lambda: tuple(self._tags.get(tag, ())), lambda _, flight: flight.tag == tag)

    def use_version(self, version: Hashable) -> int:
        """Forget everything unless this version, as of a configuration, is in use; return how many values that were."""
        _check_hashable("version", version)
        marked = version, mark(version)
        with self._guard as broken:
            gone = self._begin(broken)
            self._check_open()
            if marked == self._version:
                return 0
            self._version = marked
            return self._forget(gone)

    def clear(self) -> int:
        """Forget everything, loads under way included; return how many values that were."""
        with self._guard as broken:
            gone = self._begin(broken)
            self._check_open()
            return self._forget(gone)

    def shed(self, fraction: float) -> int:
        """Evict values until a fraction of the bytes is given back, and return the bytes, as `weigh` counts them."""
        fraction = check.between("fraction", fraction, 0.0, 1.0, "a fraction of one")
        with self._guard as broken:
            gone = self._begin(broken)
            self._check_open()
            before = self._store.currsize
            while self._entries and self._store.currsize > before * (1.0 - fraction):
                self._store.popitem()
                gone += self._account()
            return int(before - self._store.currsize)

    def stats(self) -> Mapping[str, float]:
        """Return counts since the cache was made, and the `items` and `bytes` that it has.

        Every call of `get` is one of `hits`, `misses` (it loaded) and `waits` (another thread was loading already).
        Values went as `evictions` (for want of room, shed, or for an equal key of another type), `expirations` or
        `invalidations`. `errors`: loads that raised; `oversize`: values too large to keep.
        """
        with self._guard as broken:
            gone = self._begin(broken)
            counts = {name: float(count) for name, count in self._counts.items()}
            counts["items"] = float(len(self._entries))
            counts["bytes"] = float(self._store.currsize)
        del gone
        return counts

    def close(self) -> None:
        """Forget everything, uncounted. Who waits for a load still gets its value."""
        with self._guard as broken:
            gone = self._begin(broken)
            self._closed = True
            self._flights.clear()
            gone += self._empty()
        del gone

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, key: Hashable, load: Callable[..., _V], args: tuple[Any, ...]) -> _V:
        """Return the value of a key the slow way: under the lock, by its mark."""
        me, marked, tag = current_thread(), mark(key), self._group(key)
        place = key, marked
        while True:
            with self._guard as broken:
                gone = self._begin(broken)
                self._check_open()
                entry = self._entries.get(key)
                if entry is not None and entry.mark == marked:
                    self._counts["hits"] += 1
                    self._store[key]  # it was used
                    return entry.value  # type: ignore[no-any-return]  # what was loaded for this key
                flight = self._flights.get(place)
                # A thread that does not live was left behind in the parent of a forked process.
                leads = flight is None or flight.finished or not flight.owner.is_alive()
                if flight is None or leads:
                    flight = self._flights[place] = Flight(me, tag)
                flight.awaited = not leads
                self._counts["misses" if leads else "waits"] += 1
            del gone, entry
            if leads:
                return self._load(place, flight, load, args)
            if not flight.wait(me, self._waiting):
                raise StateError(f"cache {self._name!r}: the load of {key!r} waits for itself")
            if flight.error is not None:
                raise flight.error
            if flight.value is not NOTHING:
                return flight.value  # type: ignore[no-any-return]  # what was loaded for this key

    def _load(
        self, place: tuple[Hashable, object], flight: Flight, load: Callable[..., _V], args: tuple[Any, ...]
    ) -> _V:
        """Load a value, keep it, and let those go on who wait for it. What is slow, or not ours, is outside the lock."""
        try:
            value = load(*args)
            entry = Entry(place[1], value, self._weight(value), flight.tag)
            self._keep(place, flight, entry)
            flight.value = value
        except BaseException as error:
            with self._guard as broken:
                gone = self._begin(broken)
                self._counts["errors"] += 1
                if self._flights.get(place) is flight:
                    del self._flights[place]
                if flight.awaited and isinstance(error, Exception):  # else nobody needs it: it would hold itself
                    flight.error = error
            del gone
            raise
        finally:
            flight.finish()
        return value

    def _group(self, key: Hashable) -> Hashable:
        if self._tag is None:
            return None
        tag = self._tag(key)
        _check_hashable("tag", tag)
        return tag

    def _weight(self, value: object) -> int:
        if isinstance(value, CoroutineType):
            value.close()
            raise InputError("load", value, "it returned a coroutine, which only one can await: cache what it returns")
        weight = self._weigh(value)
        if type(weight) is not int or weight < 0:
            raise InputError("weigh", weight, "it must return a whole number of bytes that is not negative")
        return weight

    def _keep(self, place: tuple[Hashable, object], flight: Flight, entry: Entry) -> None:
        """Put a loaded value in its place, unless it was invalidated meanwhile."""
        key, store = place[0], self._store
        with self._guard as broken:
            gone = self._begin(broken)
            if self._flights.get(place) is not flight:
                return
            del self._flights[place]
            if entry.weight > self._max_bytes:
                self._counts["oversize"] += 1
                return
            if key in self._entries:
                gone += self._drop(key)
                self._counts["evictions"] += 1
            while len(self._entries) >= self._max_items:
                store.popitem()
                gone += self._account()
            if self._ttl is not None:
                entry.since, entry.until = self._moment.now, self._moment.now + self._ttl
            store[key] = entry
            gone += self._account()
            self._entries[key] = entry
            if self._tag is not None:
                self._tags.setdefault(entry.tag, set()).add(key)

    def _invalidate(
        self,
        keys: Callable[[], tuple[Hashable, ...]],
        concerned: Callable[[tuple[Hashable, object], Flight], bool],
    ) -> int:
        """Drop `keys`, as they are under the lock, and the loads under way that are `concerned`."""
        with self._guard as broken:
            gone = self._begin(broken)
            self._check_open()
            for place in [place for place, flight in self._flights.items() if concerned(place, flight)]:
                del self._flights[place]
            dropped = [entry for key in keys() for entry in self._drop(key)]
            gone += dropped
            self._counts["invalidations"] += len(dropped)
            return len(dropped)

    def _forget(self, gone: list[Entry]) -> int:
        self._flights.clear()
        dropped = self._empty()
        gone += dropped
        self._counts["invalidations"] += len(dropped)
        return len(dropped)

    # What follows happens under the lock. It returns the entries that went, for the caller to let go of when the lock
    # is released: what values do at their end is not our business.

    def _begin(self, broken: bool) -> list[Entry]:
        """Catch up with the hits and with the time; empty what an earlier section left behind half-way."""
        gone: list[Entry] = []
        if broken:
            self._flights.clear()
            gone += self._empty()
        if self._noted:
            self._catch_up()
        if self._clock is not None:
            now = self._clock()
            if now < self._moment.now:
                expired = self._empty()
                self._counts["expirations"] += len(expired)
                gone += expired
            self._moment.now = now
            self._store.expire()
            gone += self._account()
        return gone

    def _catch_up(self) -> None:
        """Count the hits, and show each key's last one to the store as a use."""
        noted, entries, store = self._noted, self._entries, self._store
        keys = noted[:]
        del noted[: len(keys)]  # other threads go on adding to the end
        self._counts["hits"] += len(keys)
        for key in reversed(dict.fromkeys(reversed(keys))):
            if key in entries:
                store[key]

    def _account(self) -> list[Entry]:
        """Follow the store in what it evicted and what expired."""
        evicted, expired = self._store.evicted, self._store.expired
        if not (evicted or expired):
            return []
        gone = evicted + expired
        self._counts["evictions"] += len(evicted)
        self._counts["expirations"] += len(expired)
        evicted.clear()
        expired.clear()
        for key, entry in gone:
            self._unlink(key, entry)
        return [entry for _, entry in gone]

    def _drop(self, key: Hashable) -> list[Entry]:
        entry = self._entries.get(key)
        if entry is None:
            return []
        del self._store[key]
        self._unlink(key, entry)
        return [entry]

    def _unlink(self, key: Hashable, entry: Entry) -> None:
        del self._entries[key]
        if self._tag is not None:
            keys = self._tags[entry.tag]
            keys.discard(key)
            if not keys:
                del self._tags[entry.tag]

    def _empty(self) -> list[Entry]:
        gone = list(self._entries.values())
        for each in (self._store, self._entries, self._tags, self._store.evicted, self._store.expired):
            each.clear()
        return gone

    def _settle(self) -> None:
        """Tell the store of the hits; where this thread is inside already, that is left to the next time."""
        with suppress(StateError):
            with self._guard as broken:
                gone = self._begin(broken)
            del gone

    def _check_open(self) -> None:
        if self._closed:
            raise StateError(f"cache {self._name!r} is closed: make a new one")


def _size(field: str, value: object) -> int:
    if type(value) is not int or value < 1:
        raise InputError(field, value, "it must be a whole number, at least 1")
    return value


def _check_hashable(field: str, value: object) -> None:
    try:
        hash(value)
    except TypeError as error:
        raise _refused(field, value, error) from error


def _refused(field: str, value: object, error: TypeError) -> InputError:
    return InputError(
        field, value, f"it cannot be looked up ({error}); give a text, a number, a date, or a tuple of such"
    )
