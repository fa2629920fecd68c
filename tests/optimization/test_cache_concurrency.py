"""The cache between threads and processes: one load per key, counts that add up, no lock that stays held."""

import subprocess
import sys
import textwrap
from functools import partial
from threading import Barrier, Event, Thread
from time import monotonic

import pytest

from engine_opt import StateError
from engine_opt.optimization.cache_manager import Cache, CacheManager


def made(**options):
    return Cache(**{"max_items": 3, "weigh": lambda _: 1} | options)


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


def together(*functions):
    """Start threads at one moment; return what each returned, or the error it raised."""
    results = [None] * len(functions)
    barrier = Barrier(len(functions))

    def run(place, function):
        barrier.wait(10)
        try:
            results[place] = function()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[place] = error

    threads = [Thread(target=run, args=each, daemon=True) for each in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a thread hangs"
    return results


def until(happened):
    """Spin until something has happened in another thread."""
    deadline = monotonic() + 20
    while not happened():
        assert monotonic() < deadline, "it did not happen"


def counts(cache, *names):
    stats = cache.stats()
    return tuple(stats[name] for name in names)


def test_concurrent_misses_of_one_key_load_once():
    cache = made()
    loads = []

    def load():
        until(lambda: cache.stats()["waits"] == 7)
        loads.append(1)
        return object()

    results = together(*[lambda: cache.get("a", load)] * 8)
    assert len(loads) == len(set(map(id, results))) == 1
    assert counts(cache, "misses", "waits", "hits") == (1, 7, 0)


def test_who_asks_after_an_invalidation_does_not_get_what_was_loading_before():
    cache = made()
    loading, go = Event(), Event()

    def stale():
        loading.set()
        go.wait(20)
        return "stale"

    def after():
        loading.wait(20)
        cache.invalidate("a")
        fresh = cache.get("a", lambda: "fresh")
        go.set()
        return fresh

    assert together(lambda: cache.get("a", stale), after) == ["stale", "fresh"]
    assert cache.get("a", pytest.fail) == "fresh"


def test_all_who_wait_get_the_error_of_the_load():
    cache = made()
    error = ValueError("no")

    def load():
        until(lambda: cache.stats()["waits"] == 3)
        raise error

    assert together(*[lambda: cache.get("a", load)] * 4) == [error] * 4
    assert counts(cache, "errors", "misses", "items") == (1, 1, 0)
    assert cache._waiting == {}


def test_when_the_loading_thread_is_stopped_another_one_loads():
    cache = made()
    stopped = []

    def load():
        if not stopped:
            until(lambda: cache.stats()["waits"] == 3)
            stopped.append(1)
            raise KeyboardInterrupt
        return "loaded"

    def ask():
        try:
            return cache.get("a", load)
        except KeyboardInterrupt:
            return "stopped"

    assert sorted(together(*[ask] * 4)) == ["loaded"] * 3 + ["stopped"]
    assert counts(cache, "errors", "items") == (1, 1)


@pytest.mark.parametrize("shared", [True, False], ids=["one cache", "two caches"])
def test_loads_of_two_threads_that_wait_for_each_other_are_told(shared):
    manager = CacheManager()
    first = manager.cache("first", max_items=9)
    second = first if shared else manager.cache("second", max_items=9)
    both = Barrier(2)

    def load(cache, key):
        both.wait(20)
        return cache.get(key, lambda: "never")

    results = together(
        lambda: first.get("a", load, second, "b"),
        lambda: second.get("b", load, first, "a"),
    )
    assert [type(each) for each in results] == [StateError, StateError]
    assert has(first, "a") == has(second, "b") == []
    assert first._waiting == {}


def test_eight_threads_get_right_values_and_counts_that_add_up():
    cache = Cache(max_items=40, max_bytes=400, weigh=lambda value: value % 17, ttl=5, tag=lambda key: key % 5)
    calls, rounds = 4_000, 8

    def hammer(seed):
        errors = 0
        for i in range(calls):
            key = (i * i * 31 + seed * i) % 60
            try:
                value = cache.get(key, load, key)
            except ZeroDivisionError:
                errors += 1
                assert key == 59
            else:
                assert value == key * key
            if i % 500 == seed:
                cache.invalidate(key)
                cache.invalidate_tag(key % 5)
                cache.shed(0.3)
        return errors

    def load(key):
        return key * key if key != 59 else 1 // 0

    def watch():
        for _ in range(300):
            stats = cache.stats()
            assert stats["items"] <= 40
            assert stats["bytes"] <= 400
            assert stats["hits"] + stats["misses"] + stats["waits"] <= rounds * calls
            gone = sum(stats[name] for name in ("evictions", "expirations", "invalidations", "errors", "oversize"))
            assert gone + stats["items"] <= stats["misses"]
        return 0

    results = together(*[partial(hammer, seed) for seed in range(rounds)], watch)
    assert all(type(each) is int for each in results), results
    stats = cache.stats()
    assert stats["hits"] + stats["misses"] + stats["waits"] == rounds * calls
    assert set(cache._entries) == set(cache._store) == set().union(*cache._tags.values())
    assert stats["bytes"] == sum(entry.weight for entry in cache._entries.values())
    assert cache._flights == cache._waiting == {}


def test_what_is_evicted_ends_outside_the_lock():
    class Nosy:
        def __del__(self):
            seen.append(cache.stats()["items"])

    seen = []
    cache = made(max_items=1)
    cache.get("a", Nosy)
    cache.get("b", int)
    cache.get("c", Nosy)
    cache.clear()
    assert seen == [1, 0]


def test_a_key_that_asks_in_the_middle_is_told_and_the_cache_goes_on():
    class Nosy:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            cache.stats()
            return self is other

    cache = made()
    cache.get(Nosy(), int)
    with pytest.raises(StateError, match=r"cache 'cache' is being changed"):
        cache.invalidate(Nosy())
    assert cache.get("a", int, 1) == cache.get("a", int, 2) == 1


def test_hits_in_the_middle_of_a_change_are_found_and_counted_later():
    cache = made()
    cache.get("a", str)
    with cache._guard:  # as a finaliser that comes in between
        for _ in range(3_000):
            cache.get("a", str)
    assert counts(cache, "hits", "misses") == (3_000, 1)


def test_a_key_that_cannot_be_compared_empties_the_cache_and_no_more():
    class Odd:
        def __hash__(self):
            return 1

        def __eq__(self, other):
            raise ZeroDivisionError

    cache = made()
    cache.get(1, str)
    cache.get("b", str, "before")
    with pytest.raises(ZeroDivisionError):
        cache.get(Odd(), str)
    with pytest.raises(ZeroDivisionError):
        cache.invalidate(Odd())
    assert cache.get("a", str, "after") == "after"
    assert set(cache._entries) == set(cache._store) == {"a"}


# Forks


def run(script):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], timeout=60, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "child ok\nparent ok\n"), done.stderr


FORKED = """
    import os, threading
    from engine_opt.optimization.cache_manager import Cache, CacheManager

    def in_child(check):
        child = os.fork()
        if not child:
            status = 1
            try:
                check()
                print("child ok", flush=True)
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.skipif(not hasattr(sys.modules["os"], "fork"), reason="no fork here")
class TestForks:
    def test_a_load_that_only_the_parent_runs_is_not_waited_for(self):
        run(
            FORKED
            + """
    cache = Cache(max_items=9)
    cache.get("kept", lambda: "kept")
    loading, go = threading.Event(), threading.Event()

    def slow():
        loading.set()
        go.wait(30)
        return "parent's"

    thread = threading.Thread(target=cache.get, args=("a", slow))
    thread.start()
    loading.wait(30)

    def check():
        assert cache.get("kept", lambda: 1/0) == "kept"
        assert cache.get("a", lambda: "child's") == "child's"
        assert cache.get("a", lambda: 1/0) == "child's"
        assert cache.stats()["hits"] == 2

    in_child(check)
    go.set()
    thread.join()
    assert cache.get("a", lambda: 1/0) == "parent's"
    print("parent ok")
    """
        )

    def test_a_lock_that_a_thread_of_the_parent_holds_is_open_in_the_child(self):
        run(
            FORKED
            + """
    inside, go = threading.Event(), threading.Event()

    def clock():  # read under the lock
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            go.wait(30)
        return 1.0

    cache = Cache(max_items=9, ttl=10, clock=clock)
    cache.get("kept", lambda: "kept")
    thread = threading.Thread(target=cache.get, args=("a", lambda: "parent's"))
    thread.start()
    inside.wait(30)

    def check():
        assert cache.get("a", lambda: "child's") == "child's"
        assert cache.get("kept", lambda: "again") == "again"
        assert cache.stats()["items"] == 2
        cache.close()

    in_child(check)
    go.set()
    thread.join()
    assert cache.get("kept", lambda: 1/0) == "kept"
    assert cache.get("a", lambda: 1/0) == "parent's"
    print("parent ok")
    """
        )

    def test_a_load_that_forks_goes_on_in_both(self):
        run(
            FORKED
            + """
    cache = Cache(max_items=9)

    def load():
        in_child(lambda: None)
        return "loaded"

    assert cache.get("a", load) == "loaded"
    assert cache.get("a", lambda: 1/0) == "loaded"
    print("parent ok")
    """
        )
