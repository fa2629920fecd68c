"""Caches by name under one roof: made, invalidated, counted, shed and closed together; and a decorator for functions.

caches = CacheManager()

@caches.cached(max_items=500, tag=lambda key: key[0])
def average_range(symbol: str, day: date) -> float: ...

caches.use_version(config.fingerprint())  # forgets everything when the configuration is another one
caches.invalidate_tag("AAPL")             # a new bar
average_range.uncached("AAPL", day)       # the function as it was
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Hashable, Mapping
from functools import partial, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isfunction, isgeneratorfunction
from itertools import chain
from threading import Thread
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar, cast

from engine_opt.errors import InputError, StateError
from engine_opt.optimization._cache_store import Flight
from engine_opt.optimization.cache import Cache

__all__ = ["Cache", "CacheManager", "CachedFunction", "cached"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_KEYWORDS = object()
"""Stands between the positional and the named arguments of a call."""


class CachedFunction(Protocol[_P, _R]):
    """What `cached` makes of a function: called like it, with its name, signature and docstring."""

    cache: Cache
    """Where its values are."""
    uncached: Callable[..., _R]
    """The function as it was."""
    key: Callable[..., Hashable]
    """The key of a call: `f.cache.invalidate(f.key("AAPL", day))`."""
    on: Callable[[Cache], CachedFunction[_P, _R]]
    """Return the same function with another cache."""

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Return the value for these arguments."""

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., _R]:
        """Return a method, as functions do."""


def cached(
    cache: Cache, *, key: Callable[..., Hashable] | None = None
) -> Callable[[Callable[_P, _R]], CachedFunction[_P, _R]]:
    """Return a decorator that looks a function's values up in `cache`, which serves this function alone.

    The key of a call is the tuple of its arguments as they were passed (`f(1, 2)` and `f(1, b=2)` are two), or what
    `key` returns for the same arguments. A function in the body of a class must have a `key`, which gets `self` too:
    without one, each instance would have values of its own and be kept alive by them. `key=lambda self, day:
    (self.symbol, day)` shares the values of equal instances.

    Raises InputError for what is no function, for a generator and an async function, whose results can be used only
    once, and for a method without `key`; StateError for a cache that serves another function.
    """
    if not isinstance(cache, Cache):
        raise InputError("cache", cache, "it must be a Cache")
    if key is not None and not callable(key):
        raise InputError("key", key, "it must be a function of the same arguments")

    def decorate(function: Callable[_P, _R]) -> CachedFunction[_P, _R]:
        _check_function(function, key)
        cache.claim(function)
        get = cast("Callable[..., _R]", cache.get)
        key_of = _arguments if key is None else key

        @wraps(function)
        def by_arguments(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            if kwargs:
                return get(_arguments(*args, **kwargs), _call, function, args, kwargs)
            return get(args, function, *args)

        @wraps(function)
        def by_key(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            return get(key_of(*args, **kwargs), _call, function, args, kwargs)

        wrapper = by_arguments if key is None else by_key
        vars(wrapper).update(
            cache=cache, uncached=function, key=key_of, on=lambda other: cached(other, key=key)(function)
        )
        return cast("CachedFunction[_P, _R]", wrapper)

    return decorate


class CacheManager:
    """Caches by name, which share a clock and a version, and may load from each other.

    May be shared between threads; what is said of `Cache` about forks and clocks holds for each.
    """

    def __init__(self, *, name: str = "caches", clock: Callable[[], float] = time.monotonic) -> None:
        if type(name) is not str or not name:
            raise InputError("name", name, "it must be text that is not empty")
        if not callable(clock):
            raise InputError("clock", clock, "it must be a function")
        self._name, self._clock = name, clock
        self._caches: dict[str, Cache] = {}
        self._waiting: dict[Thread, Flight] = {}  # shared: loads of two caches may wait for each other
        self._version: Hashable = None
        self._closed = False

    @property
    def name(self) -> str:
        """What errors call the manager."""
        return self._name

    @property
    def caches(self) -> Mapping[str, Cache]:
        """The caches by name, as they are now."""
        return self._caches.copy()

    def cache(
        self,
        name: str,
        *,
        max_items: int,
        max_bytes: int | None = None,
        weigh: Callable[[Any], int] = sys.getsizeof,
        ttl: float | None = None,
        tag: Callable[[Any], Hashable] | None = None,
    ) -> Cache:
        """Make a cache; see `Cache`. Raises InputError where there is one of that name."""
        self._check_open()
        made = Cache(
            max_items=max_items,
            max_bytes=max_bytes,
            weigh=weigh,
            ttl=ttl,
            tag=tag,
            name=name,
            clock=self._clock,
            waiting=self._waiting,
        )
        if self._caches.setdefault(name, made) is not made:
            raise InputError("name", name, f"cache manager {self._name!r} has a cache of that name")
        made.use_version(self._version)
        return made

    def cached(
        self,
        *,
        max_items: int,
        max_bytes: int | None = None,
        weigh: Callable[[Any], int] = sys.getsizeof,
        ttl: float | None = None,
        tag: Callable[[Any], Hashable] | None = None,
        key: Callable[..., Hashable] | None = None,
        name: str | None = None,
    ) -> Callable[[Callable[_P, _R]], CachedFunction[_P, _R]]:
        """Return a decorator that gives a function a cache of its own, named after it; see `cached` and `Cache`."""
        make = partial(self.cache, max_items=max_items, max_bytes=max_bytes, weigh=weigh, ttl=ttl, tag=tag)

        def decorate(function: Callable[_P, _R]) -> CachedFunction[_P, _R]:
            _check_function(function, key)
            own = getattr(function, "__qualname__", type(function).__qualname__) if name is None else name
            return cached(make(own), key=key)(function)

        return decorate

    def use_version(self, version: Hashable) -> int:
        """Forget everything that was kept under another version; return how many values that were."""
        self._check_open()
        self._version = version  # first: a cache that is made meanwhile starts with it
        return sum(cache.use_version(version) for cache in self.caches.values())

    def invalidate_tag(self, tag: Hashable) -> int:
        """Forget the keys of a group in all caches that have groups; return how many values that were."""
        self._check_open()
        return sum(cache.invalidate_tag(tag) for cache in self.caches.values() if cache.has_tags)

    def clear(self) -> int:
        """Forget everything; return how many values that were."""
        self._check_open()
        return sum(cache.clear() for cache in self.caches.values())

    def shed(self, fraction: float) -> int:
        """Evict a fraction of the bytes of each cache, and return the bytes, as `weigh` counts them."""
        self._check_open()
        return sum(cache.shed(fraction) for cache in self.caches.values())

    def stats(self) -> Mapping[str, float]:
        """Return the counts of `Cache.stats` over all caches, and of each as `<cache>.<count>`; `caches` counts them."""
        parts = {name: cache.stats() for name, cache in self.caches.items()}
        totals = {"caches": float(len(parts))} | dict.fromkeys(Cache.COUNTS, 0.0)
        for counts in parts.values():
            for name, count in counts.items():
                totals[name] += count
        return totals | {f"{part}.{name}": count for part, counts in parts.items() for name, count in counts.items()}

    def close(self) -> None:
        """Close all caches."""
        self._closed = True
        for cache in self.caches.values():
            cache.close()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StateError(f"cache manager {self._name!r} is closed: make a new one")


def _arguments(*args: object, **kwargs: object) -> Hashable:
    return (*args, _KEYWORDS, *chain.from_iterable(kwargs.items())) if kwargs else args


def _call(function: Callable[..., _R], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _R:
    return function(*args, **kwargs)


def _check_function(function: object, key: object) -> None:
    if not callable(function):
        raise InputError("function", function, "it must be a function; write the decorator with its parentheses")
    if iscoroutinefunction(function) or isasyncgenfunction(function):
        raise InputError("function", function, "it is async: what it returns can be awaited only once; cache that")
    if isgeneratorfunction(function):
        raise InputError("function", function, "it is a generator, which can be used only once: return a tuple")
    where = function.__qualname__.rpartition(".")[0] if isfunction(function) else ""
    if key is None and where and not where.endswith("<locals>"):
        raise InputError("key", key, f"{function!r} is in a class: say by a key function what of `self` matters")
