"""The cache: what it keeps and forgets, exact keys, one load per key, clocks, closing; and the manager of caches."""

import gc
import sys
import weakref
from datetime import date
from enum import StrEnum
from functools import partial
from math import inf, nan
from typing import NamedTuple

import pytest

from engine_opt import InputError, StateError
from engine_opt.optimization.cache_manager import Cache, CacheManager


class Loads:
    """A load that counts its calls and returns what it was given, or raises it."""

    def __init__(self):
        self.asked = []

    def __call__(self, value=None):
        self.asked.append(value)
        if isinstance(value, BaseException):
            raise value
        return value


@pytest.fixture
def loads():
    return Loads()


def made(**options):
    return Cache(**{"max_items": 3, "weigh": lambda _: 1} | options)


def full(loads, **options):
    """A cache of a, b and c, from the oldest to the youngest."""
    cache = made(**options)
    for key in "abc":
        cache.get(key, loads, key.upper())
    return cache


def has(cache, *keys):
    """Which of the keys the cache has; to find one is to use it, and what is missing is not kept."""

    def absent():
        raise LookupError

    found = []
    for key in keys:
        try:
            cache.get(key, absent)
        except LookupError:
            continue
        found.append(key)
    return found


def counts(cache, *names):
    stats = cache.stats()
    return tuple(stats[name] for name in names)


# What is kept


def test_a_value_is_loaded_once_and_then_found(loads):
    cache = made()
    assert [cache.get("a", loads, 1), cache.get("a", loads, 2)] == [1, 1]
    assert loads.asked == [1]
    assert counts(cache, "hits", "misses", "items") == (1, 1, 1)


def test_none_is_a_value(loads):
    cache = made()
    assert cache.get("a", loads) is cache.get("a", loads, 1) is None
    assert loads.asked == [None]


def test_the_least_recently_used_goes_first_and_a_hit_is_a_use(loads):
    cache = full(loads)
    cache.get("a", loads)
    cache.get("d", loads)
    assert has(cache, *"abcd") == ["a", "c", "d"]
    assert counts(cache, "evictions", "items", "expirations", "invalidations") == (1, 3, 0, 0)


def test_order_is_kept_over_more_hits_than_are_noted_at_a_time(loads):
    cache = full(loads)
    for _ in range(2_000):
        cache.get("c", loads)
        cache.get("a", loads)
    cache.get("d", loads)
    assert has(cache, *"abcd") == ["a", "c", "d"]
    assert counts(cache, "hits", "misses") == (4_003, 5)


def test_a_hit_on_a_key_that_takes_a_closer_look_is_a_use(loads):
    cache = made()
    for key in ((-0.0, 1), "b", "c"):
        cache.get(key, loads)
    cache.get((-0.0, 1), loads)
    cache.get("d", loads)
    assert has(cache, (-0.0, 1), "b", "c", "d") == [(-0.0, 1), "c", "d"]


def test_bytes_are_bounded_apart_from_items(loads):
    cache = made(max_items=10, max_bytes=10, weigh=len)
    for text in ("aaaa", "bbbb", "cc"):
        cache.get(text, loads, text)
    assert counts(cache, "bytes", "evictions") == (10, 0)
    cache.get("ddddd", loads, "ddddd")
    assert counts(cache, "bytes", "items", "evictions") == (7, 2, 2)
    assert has(cache, "aaaa", "bbbb", "cc", "ddddd") == ["cc", "ddddd"]


def test_a_value_larger_than_the_cache_is_returned_and_not_kept(loads):
    cache = made(max_bytes=3, weigh=len)
    cache.get("small", loads, "ab")
    assert cache.get("large", loads, "abcd") == "abcd"
    assert counts(cache, "oversize", "items", "evictions", "errors") == (1, 1, 0, 0)
    assert has(cache, "small", "large") == ["small"]


def test_by_default_a_value_weighs_its_own_size(loads):
    cache = Cache(max_items=3)
    cache.get("a", loads, b"x" * 1000)
    assert cache.stats()["bytes"] == sys.getsizeof(b"x" * 1000)


def test_values_expire_which_is_no_eviction(loads, clock):
    cache = made(ttl=10, clock=clock)
    cache.get("a", loads, 1)
    clock.now = 1_009.0
    assert cache.get("a", loads, 2) == 1
    cache.get("b", loads)
    clock.now = 1_010.0
    assert cache.get("a", loads, 3) == 3
    assert counts(cache, "expirations", "evictions", "items") == (1, 0, 2)


def test_the_time_to_live_counts_from_the_end_of_the_load(clock):
    cache = made(ttl=10, clock=clock)

    def slow():
        clock.now += 60.0

    cache.get("a", slow)
    clock.now += 9.9
    assert has(cache, "a")


def test_what_expired_makes_room_before_anything_is_evicted(loads, clock):
    cache = made(max_items=2, ttl=10, clock=clock)
    cache.get("a", loads)
    clock.now += 5
    cache.get("b", loads)
    clock.now += 5
    cache.get("c", loads)
    assert has(cache, *"abc") == ["b", "c"]
    assert counts(cache, "expirations", "evictions") == (1, 0)


def test_a_clock_that_goes_back_lets_everything_expire(loads, clock):
    cache = full(loads, ttl=10, clock=clock)
    clock.now = 50.0
    assert cache.get("a", loads, "again") == "again"
    assert counts(cache, "expirations", "evictions", "items") == (3, 0, 1)
    clock.now = 59.9
    assert has(cache, "a")
    clock.now = 60.0
    assert not has(cache, "a")


@pytest.mark.parametrize("jump", [1e6, 1e300, inf, nan])
def test_a_clock_that_jumps_forward_lets_everything_expire_and_nothing_breaks(loads, jump, clock):
    cache = full(loads, ttl=10, clock=clock)
    clock.now = jump
    assert has(cache, *"abc") == []
    clock.now = 100.0
    for key in "abcdefg":
        cache.get(key, loads, key)
    assert has(cache, *"abcdefg") == ["e", "f", "g"]


def test_a_clock_that_raises_costs_the_call_and_what_was_kept(loads, clock):
    cache = full(loads, ttl=10, clock=clock)
    clock.now = None
    for use in (partial(cache.get, "a", loads), partial(cache.get, "z", loads), cache.stats):
        with pytest.raises(TypeError):
            use()
    clock.now = 100.0
    assert cache.get("a", loads, "again") == cache.get("a", loads) == "again"
    assert set(cache._entries) == set(cache._store) == {"a"}


def test_no_clock_is_read_without_a_time_to_live(loads):
    cache = full(loads, clock=partial(pytest.fail, "it was read"))
    assert has(cache, *"abc") == ["a", "b", "c"]


# Keys


class Pair(NamedTuple):
    a: float
    b: float


class Word(StrEnum):
    A = "a"


@pytest.mark.parametrize(
    "keys",
    [
        (1, 1.0, True, 1 + 0j),
        (0, 0.0, -0.0, False),
        ((1,), (1.0,), (True,)),
        (("a", 0.0), ("a", -0.0), ("a", 0)),
        (("a", (1, 2)), ("a", (1.0, 2)), ("a", (True, 2))),
        (((((1,),),),), ((((1.0,),),),)),
        (frozenset([1]), frozenset([1.0]), frozenset([True])),
        (frozenset([(1, 2)]), frozenset([(1, 2.0)])),
        (Pair(1, 2), (1, 2), Pair(1, 2.0)),
        ("a", Word.A),
        (("a", 1), (Word.A, 1)),
        (complex(0.0, 0.0), complex(-0.0, 0.0), complex(0.0, -0.0)),
    ],
)
def test_keys_that_equal_each_other_are_not_confused(keys):
    cache = made()
    for _ in range(2):
        for key in keys:
            assert cache.get(key, repr, key) == repr(key)
            assert cache.get(key, pytest.fail, "it is there") == repr(key)
    assert cache.stats()["items"] == 1, "of equal keys one is kept"


@pytest.mark.parametrize(
    "key", ["a", 1, 1.5, -0.0, None, ("a", 1), ("a", (1, -0.0)), (), frozenset([1]), date(2020, 1, 1), b"a", 1j, Word.A]
)
def test_an_equal_key_of_the_same_types_is_found(loads, key):
    twin = eval(repr(key), {"datetime": sys.modules["datetime"]}) if type(key) is not Word else Word("a")
    cache = made()
    assert cache.get(key, loads, 1) == cache.get(twin, loads, 2) == 1
    assert counts(cache, "hits", "misses") == (1, 1)


def test_keys_are_not_rounded(loads):
    cache = made()
    assert cache.get(("AAPL", 4.9996), loads, "a") == "a"
    assert cache.get(("AAPL", 5.0), loads, "b") == "b"


def test_not_a_number_is_found_as_the_same_object_only(loads):
    cache = made()
    mine, other = float("nan"), float("nan")
    assert [cache.get(key, loads, i) for i, key in enumerate([mine, other, mine])] == [0, 1, 0]


@pytest.mark.parametrize("key", [[], {}, {1}, ("a", []), ((), ({},))])
def test_a_key_without_a_hash_is_refused(loads, key):
    cache = made()
    with pytest.raises(InputError, match=r"key=.*unhashable type"):
        cache.get(key, loads)
    with pytest.raises(InputError, match="unhashable type"):
        cache.invalidate(key)
    assert loads.asked == []


def test_a_type_error_of_a_load_stays_one():
    with pytest.raises(TypeError, match="bad operand"):
        made().get("a", lambda: -"a")


# Invalidation


def test_a_key_is_forgotten(loads):
    cache = full(loads)
    assert [cache.invalidate("b"), cache.invalidate("b"), cache.invalidate("z")] == [1, 0, 0]
    assert has(cache, *"abc") == ["a", "c"]
    assert counts(cache, "invalidations", "evictions", "bytes") == (1, 0, 2)


def test_a_group_is_forgotten(loads):
    cache = made(max_items=10, tag=lambda key: key[0])
    keys = [("AAPL", 1), ("AAPL", 2), ("MSFT", 1)]
    for key in keys:
        cache.get(key, loads)
    assert [cache.invalidate_tag("AAPL"), cache.invalidate_tag("AAPL"), cache.invalidate_tag("IBM")] == [2, 0, 0]
    assert has(cache, *keys) == [("MSFT", 1)]
    assert cache.stats()["invalidations"] == 2


def test_groups_remember_nothing_that_is_gone(loads, clock):
    cache = made(tag=lambda key: key, ttl=10, clock=clock)
    for key in range(100):
        cache.get(key, loads)
    cache.invalidate(99)
    assert len(cache._tags) == 2
    clock.now += 10
    assert cache.stats()["items"] == len(cache._tags) == 0


def test_groups_must_have_been_given(loads):
    with pytest.raises(StateError, match=r"cache 'cache' has no groups"):
        full(loads).invalidate_tag("a")


def test_a_group_without_a_hash_is_refused_and_nothing_stays_behind(loads):
    cache = made(tag=lambda _: [])
    for _ in range(2):
        with pytest.raises(InputError, match="tag"):
            cache.get("a", loads)
    with pytest.raises(InputError, match="tag"):
        cache.invalidate_tag([])
    assert cache._flights == {}


def test_another_version_forgets_everything_and_the_same_nothing(loads):
    cache = made()
    cache.use_version("one")
    cache.get("a", loads)
    assert cache.use_version("one") == 0
    assert has(cache, "a")
    assert cache.use_version("two") == 1
    assert has(cache, "a") == []
    cache.use_version(1)
    cache.get("a", loads)
    assert cache.use_version(1.0) == 1
    with pytest.raises(InputError, match="version"):
        cache.use_version([])


def test_everything_is_forgotten(loads):
    cache = full(loads)
    assert cache.clear() == 3
    assert counts(cache, "items", "bytes", "invalidations") == (0, 0, 3)


@pytest.mark.parametrize(
    "forget",
    [
        lambda cache: cache.invalidate("a"),
        lambda cache: cache.invalidate_tag("a"),
        lambda cache: cache.use_version("new"),
        Cache.clear,
        Cache.close,
    ],
)
def test_what_is_forgotten_while_it_is_loaded_is_returned_and_not_kept(forget):
    cache = made(tag=lambda key: key)

    def stale():
        forget(cache)
        return "stale"

    assert cache.get("a", stale) == "stale"
    assert cache.stats()["items"] == 0
    assert cache._flights == {}


# Loads


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyError("a"), TypeError("x"), StateError("y"), KeyboardInterrupt()]
)
def test_a_load_that_raises_leaves_nothing_behind(loads, error):
    cache = made()
    with pytest.raises(type(error)):
        cache.get("a", loads, error)
    assert counts(cache, "errors", "items", "misses") == (1, 0, 1)
    assert cache._flights == {}
    assert cache.get("a", loads, 1) == 1


def test_an_error_of_a_load_is_not_kept_alive():
    class LoadError(Exception):
        pass

    def fails():
        raise LoadError

    cache = made()
    gc.disable()
    try:
        try:
            cache.get("a", fails)
        except LoadError as error:
            seen = weakref.ref(error)
        assert seen() is None
    finally:
        gc.enable()


def test_a_load_that_asks_for_its_own_key_is_told_at_once():
    cache = made()

    def circular():
        return cache.get("a", circular)

    with pytest.raises(StateError, match=r"cache 'cache': the load of 'a' waits for itself"):
        cache.get("a", circular)
    assert cache.get("a", lambda: 1) == 1


def test_a_circle_over_other_keys_is_told_as_well():
    cache = made()

    def load(key):
        return cache.get((key + 1) % 3, load, (key + 1) % 3)

    with pytest.raises(StateError, match="waits for itself"):
        cache.get(0, load, 0)
    assert cache._flights == cache._waiting == {}


def test_a_load_may_ask_for_other_keys():
    cache = made(max_items=100)

    def fibonacci(n):
        return n if n < 2 else cache.get(n - 1, fibonacci, n - 1) + cache.get(n - 2, fibonacci, n - 2)

    assert cache.get(50, fibonacci, 50) == 12_586_269_025
    assert cache.stats()["misses"] == 51


@pytest.mark.parametrize("weight", [-1, 1.0, True, None, "1", nan])
def test_a_weight_must_be_a_number_of_bytes(loads, weight):
    cache = made(weigh=lambda _: weight)
    with pytest.raises(InputError, match="weigh"):
        cache.get("a", loads)
    assert counts(cache, "errors", "items") == (1, 0)


def test_a_coroutine_is_not_kept():
    async def load():
        return 1

    with pytest.raises(InputError, match="coroutine"):
        made().get("a", load)


# Giving back, closing, and bad sizes


def test_shedding_gives_bytes_back_oldest_first(loads):
    cache = made(max_items=10, weigh=len)
    for key in "abcd":
        cache.get(key, loads, key * 10)
    cache.get("a", loads)
    assert cache.shed(0.5) == 20
    assert has(cache, *"abcd") == ["a", "d"]
    assert counts(cache, "evictions", "bytes") == (2, 20)
    assert [cache.shed(0.0), cache.shed(0.01), cache.shed(1.0), cache.shed(1.0)] == [0, 10, 10, 0]


@pytest.mark.parametrize("fraction", [-0.1, 1.1, nan, None, True, "1"])
def test_a_fraction_must_be_one(loads, fraction):
    with pytest.raises(InputError, match="fraction"):
        full(loads).shed(fraction)


def test_a_closed_cache_is_empty_says_so_and_still_counts(loads):
    with full(loads, tag=str, name="bars") as cache:
        cache.get("a", loads)
    cache.close()
    assert counts(cache, "hits", "misses", "items", "bytes", "invalidations") == (1, 3, 0, 0, 0)
    for use in (
        lambda: cache.get("a", loads),
        lambda: cache.invalidate("a"),
        lambda: cache.invalidate_tag("a"),
        lambda: cache.use_version(1),
        cache.clear,
        lambda: cache.shed(1.0),
        cache.__enter__,
    ):
        with pytest.raises(StateError, match=r"cache 'bars' is closed"):
            use()


@pytest.mark.parametrize("size", [0, -1, 1.0, True, None, nan, "1"])
def test_bad_sizes_are_refused(size):
    with pytest.raises(InputError, match="max_items"):
        Cache(max_items=size)
    if size is not None:
        with pytest.raises(InputError, match="max_bytes"):
            Cache(max_items=1, max_bytes=size)


@pytest.mark.parametrize("ttl", [0, -1.0, nan, inf, True, "1"])
def test_bad_times_to_live_are_refused(ttl):
    with pytest.raises(InputError, match="ttl"):
        Cache(max_items=1, ttl=ttl)


@pytest.mark.parametrize("field", ["weigh", "clock", "tag", "name"])
def test_what_is_no_function_or_no_name_is_refused(field):
    with pytest.raises(InputError, match=field):
        Cache(**{"max_items": 1, field: 0})
    if field != "name":
        return
    with pytest.raises(InputError, match=field):
        CacheManager(name="")


# The manager


def test_a_manager_counts_invalidates_sheds_and_closes_all(loads, clock):
    with CacheManager(name="engine", clock=clock) as manager:
        bars = manager.cache("bars", max_items=10, ttl=5, tag=lambda key: key[0])
        rules = manager.cache("rules", max_items=10, max_bytes=1_000, weigh=len)
        bars.get(("AAPL", 1), loads, "x")
        bars.get(("MSFT", 1), loads, "x")
        rules.get("AAPL", loads, "x" * 10)
        rules.get("AAPL", loads)
        stats = manager.stats()
        assert {name: stats[name] for name in ("caches", "hits", "misses", "items")} == {
            "caches": 2,
            "hits": 1,
            "misses": 3,
            "items": 3,
        }
        assert (stats["bars.misses"], stats["rules.hits"], stats["rules.bytes"]) == (2, 1, 10)
        assert stats["bytes"] == stats["bars.bytes"] + 10
        assert manager.invalidate_tag("AAPL") == 1
        assert manager.shed(1.0) == stats["bars.bytes"] / 2 + 10
        rules.get("a", loads, "x")
        assert manager.use_version("v1") == 1
        rules.get("a", loads, "x")
        assert manager.use_version("v1") == 0
        assert manager.clear() == 1
    manager.close()
    assert manager.stats()["misses"] == 5
    for use in (
        lambda: manager.cache("more", max_items=1),
        lambda: manager.use_version(1),
        lambda: manager.invalidate_tag(1),
        lambda: manager.shed(1),
        manager.clear,
        manager.__enter__,
    ):
        with pytest.raises(StateError, match=r"cache manager 'engine' is closed"):
            use()
    with pytest.raises(StateError, match=r"cache 'bars' is closed"):
        bars.get(("AAPL", 1), loads)


def test_a_cache_made_later_has_the_version_in_use(loads):
    manager = CacheManager()
    manager.use_version("v1")
    cache = manager.cache("late", max_items=1)
    cache.get("a", loads)
    assert cache.use_version("v1") == 0


def test_a_manager_has_one_cache_of_a_name():
    manager = CacheManager()
    first = manager.cache("bars", max_items=1)
    with pytest.raises(InputError, match=r"cache manager 'caches' has a cache of that name"):
        manager.cache("bars", max_items=1)
    assert manager.caches == {"bars": first}


def test_a_manager_decorates_functions_with_caches_of_their_own():
    manager = CacheManager()

    @manager.cached(max_items=5)
    def double(x):
        return 2 * x

    @manager.cached(max_items=5, name="triple")
    def other(x):
        return 3 * x

    assert [double(2), other(2), double(2)] == [4, 6, 4]
    assert manager.stats()["triple.misses"] == manager.stats()["hits"] == 1
    assert list(manager.caches) == [double.__qualname__, "triple"]


def test_a_manager_makes_no_cache_for_what_it_refuses():
    manager = CacheManager()

    async def coroutine():
        pass

    with pytest.raises(InputError, match="async"):
        manager.cached(max_items=5)(coroutine)
    assert manager.caches == {}
