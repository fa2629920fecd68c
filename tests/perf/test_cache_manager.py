"""What it costs to ask the cache, next to bare cachetools: a hit, a miss, an eviction; and what a hit keeps: nothing."""

from __future__ import annotations

from itertools import count
from threading import Lock

import cachetools
import pytest
from cachetools.keys import typedkey

from engine_opt.optimization.cache_manager import Cache, cached

SIZE = 1_000
KEYS = {"text": "AAPL", "tuple": ("AAPL", 4_711)}
STORES = {
    "lru": (lambda size=SIZE: Cache(max_items=size), lambda: cachetools.LRUCache(SIZE)),
    "ttl": (lambda size=SIZE: Cache(max_items=size, ttl=3_600), lambda: cachetools.TTLCache(SIZE, 3_600)),
}


def pair(symbol, day):
    """Return what the decorated functions return: as little work as there is."""
    return symbol, day


def bare(cache):
    """Return how one asks a bare cachetools cache, with the lock that threads need."""
    lock = Lock()

    def ask(key):
        with lock:
            return cache[key]

    return ask


def hundred(ask, *args):
    """Ask a hundred times: one hit is too short to be gated."""
    for _ in range(100):
        found = ask(*args)
    return found


def hundred_and_settled(cache, ask, *args):
    """Ask as often, and have the hits counted: they are noted in a list, whose length would not repeat."""
    found = hundred(ask, *args)
    cache.stats()
    return found


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("store", STORES)
def test_hit(pe_latency, pe_memory, store, key):
    """A hundred times a value that is there: ours, cachetools' with a lock, and cachetools' without."""
    ours, theirs = (make() for make in STORES[store])
    for each in range(SIZE // 2):
        ours.get(each, str, each)
        theirs[each] = each
    theirs[key] = ours.get(key, str, key)
    assert pe_latency["ours"](hundred, ours.get, key, str) == str(key)
    pe_latency["cachetools-lock"](hundred, bare(theirs), key)
    pe_latency["cachetools"](hundred, theirs.__getitem__, key)
    pe_memory["ours"](hundred_and_settled, ours, ours.get, key, str)


def test_hits_on_many_keys(pe_latency):
    """Five hundred keys in turn: each of them is a use that cachetools is told of."""
    ours, theirs = (make() for make in STORES["lru"])
    keys = [f"S{i}" for i in range(500)]
    for key in keys:
        theirs[key] = ours.get(key, str, key)
    ask = bare(theirs)

    def all_ours():
        for key in keys:
            ours.get(key, str)

    def all_theirs():
        for key in keys:
            ask(key)

    pe_latency["ours"](all_ours)
    pe_latency["cachetools-lock"](all_theirs)


def test_hit_of_a_decorated_function(pe_latency, pe_memory):
    """A hundred times by the arguments of a call; cachetools counts hits as well, and tells 1 from 1.0 by `typedkey`."""
    ours = cached(Cache(max_items=SIZE))(pair)
    theirs = cachetools.cached(cachetools.LRUCache(SIZE), key=typedkey, lock=Lock(), info=True)(pair)
    assert ours("AAPL", 7) == theirs("AAPL", 7)
    pe_latency["ours"](hundred, ours, "AAPL", 7)
    pe_latency["cachetools-lock"](hundred, theirs, "AAPL", 7)
    pe_memory["ours"](hundred_and_settled, ours.cache, ours, "AAPL", 7)


@pytest.mark.parametrize("store", STORES)
def test_miss_and_eviction(pe_latency, pe_memory, store):
    """A key that nobody asked for before, in a full cache: a load of next to no work, and another value goes."""
    make, make_theirs = STORES[store]
    ours, small, days = make(), make(10), count()
    theirs = cachetools.cached(make_theirs(), lock=Lock(), info=True)(str)

    def miss(cache=ours):
        return cache.get(day := next(days), str, day)

    for _ in range(2 * SIZE):
        miss()
        theirs(next(days))
    pe_latency["ours"](miss)
    pe_latency["cachetools-lock"](lambda: theirs(next(days)))
    pe_memory["ours"](miss, small)  # one that has turned over before anything is counted
    assert ours.stats()["items"] == SIZE


def test_miss_that_is_not_kept(pe_latency):
    """A value too large for the cache: what looking, counting and the one load per key cost."""
    cache = Cache(max_items=SIZE, max_bytes=1)
    pe_latency(cache.get, "AAPL", str, "AAPL")
    assert cache.stats()["items"] == 0


def test_invalidate_a_group(pe_latency):
    """A hundred keys of one bar among a thousand, loaded again and forgotten."""
    cache = Cache(max_items=2 * SIZE, tag=lambda key: key[0])
    for i in range(SIZE):
        cache.get(("MSFT", i), str)
    keys = [("AAPL", i) for i in range(100)]

    def fill_and_forget():
        for key in keys:
            cache.get(key, str)
        return cache.invalidate_tag("AAPL")

    assert pe_latency(fill_and_forget) == len(keys)
