"""What every component of the optimisation layer promises, whatever it does.

To put another one to it, add a `Component` to `COMPONENTS`.
"""

import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from math import isfinite, nan
from typing import Any

import pytest

from engine_opt import EngineError, InputError, StateError
from engine_opt.optimization.cache_manager import Cache, CacheManager
from engine_opt.optimization.memory_manager import MemoryBudget, MemoryManager
from engine_opt.optimization.object_pool import ObjectPool
from engine_opt.optimization.performance_optimizer import PerformanceOptimizer
from engine_opt.optimization.resource_manager import ResourceManager

NO_SIZES = (0, -1, 1.5, nan, True)


@dataclass(frozen=True)
class Component:
    """One component, and how to handle it.

    Attributes:
        kind: what its errors call it.
        type: its class.
        given: arguments that it cannot do without.
        use: something ordinary to do with it, which is refused once it is closed.
        sizes: arguments that are counts or bytes, all of which must be above 0: made of one number.

    """

    kind: str
    type: type
    given: Mapping[str, Any]
    use: Callable[[Any], object]
    sizes: Mapping[str, Callable[[Any], Any]]

    def make(self, **given):
        return self.type(**{**self.given, **given})


def lease(pool):
    with pool.lease() as lease:
        return lease.value


def enter(manager):
    with manager.scope("contract") as scope:
        return scope.enter("file", object(), close=id)


def load(manager):
    manager.clear()
    name = f"of thread {threading.get_ident()}"
    cache = manager.caches.get(name) or manager.cache(name, max_items=4)
    return cache.get("key", object)


COMPONENTS = (
    Component(
        "object pool",
        ObjectPool,
        {"make": bytearray, "size": 2, "idle_seconds": 60.0},
        lease,
        {"size": lambda size: size},
    ),
    Component(
        "resource manager",
        ResourceManager,
        {"limits": {"file": 100}},
        enter,
        {"limits": lambda size: {"file": size}},
    ),
    Component(
        "memory manager",
        MemoryManager,
        {"budget": MemoryBudget(2**40)},
        MemoryManager.check,
        {"budget": MemoryBudget},
    ),
    Component(
        "cache",
        Cache,
        {"max_items": 4, "ttl": 60.0},
        lambda cache: cache.get("key", object),
        {"max_items": lambda size: size, "max_bytes": lambda size: size},
    ),
    Component("cache manager", CacheManager, {}, load, {}),
    Component(
        "performance optimizer",
        PerformanceOptimizer,
        {"switches": {"pool": True}},
        lambda optimizer: optimizer.warm_up(list, 2),
        {},
    ),
)

each = pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.type.__name__)


def check_stats(component, instance):
    """Look at the counts and return them."""
    stats = instance.stats()
    assert isinstance(stats, Mapping), component.kind
    assert all(type(name) is str and name for name in stats)
    assert all(type(value) in {int, float} and isfinite(value) for value in stats.values())
    return stats


@each
def test_it_is_a_context_manager_that_closes(component):
    """The block is given the component itself, and leaves it closed, after an error as well."""
    instance = component.make()
    with instance as entered:
        assert entered is instance
        component.use(instance)
    with pytest.raises(StateError):
        component.use(instance)
    instance = component.make()
    with pytest.raises(KeyError, match="mine"), instance:
        raise KeyError("mine")
    with pytest.raises(StateError):
        component.use(instance)


@each
def test_use_after_close_names_component_name_and_state(component):
    """Whoever reads the error knows which of many it was."""
    instance = component.make(name="the seventh")
    instance.close()
    for use in (component.use, lambda instance: instance.__enter__()):
        with pytest.raises(StateError, match=f"{component.kind} 'the seventh' is closed"):
            use(instance)


@each
def test_closing_again_does_nothing(component):
    """By hand, by a block, or both."""
    with component.make() as instance:
        component.use(instance)
        instance.close()
        after = instance.stats()
        instance.close()
    assert instance.stats() == after


@each
def test_stats_are_finite_numbers_by_name_before_and_after_closing(component):
    """A monitor may come late; what it gets is its own, and the next one has the same names."""
    with component.make() as instance:
        fresh = check_stats(component, instance)
        component.use(instance)
        used = check_stats(component, instance)
        assert fresh is not used
        assert set(fresh) <= set(used)
        assert used != fresh
    closed = check_stats(component, instance)
    assert set(closed) == set(used)


@each
def test_clock_and_name_are_arguments_with_defaults(component):
    """The clock is monotonic unless another one is given."""
    arguments = inspect.signature(component.type).parameters
    assert arguments["clock"].default is time.monotonic
    assert arguments["name"].default


@each
def test_making_one_reads_no_clock_and_starts_no_thread(component):
    """A constructor does nothing to the process."""
    threads, readings = threading.active_count(), []

    def clock():
        readings.append(1)
        return 0.0

    with component.make(clock=clock):
        assert threading.active_count() == threads
        assert readings == []


@each
@pytest.mark.parametrize("jump", [1e9, -1e9])
def test_a_clock_that_jumps_stops_nothing(component, clock, jump):
    """There and back again: it goes on working, and counts stay counts."""
    with component.make(clock=clock) as instance:
        component.use(instance)
        for seconds in (jump, -jump, 1.0):
            clock.tick(seconds)
            component.use(instance)
            assert min(check_stats(component, instance).values()) >= 0


@each
@pytest.mark.parametrize("size", NO_SIZES)
def test_what_is_no_size_is_refused(component, size):
    """Nothing is rounded, and nothing means "without a limit" by accident."""
    for name, sized in component.sizes.items():
        with pytest.raises(InputError):
            component.make(**{name: sized(size)})


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of threads, which are the point
@each
def test_a_fork_in_the_middle_stops_neither_parent_nor_child(component):
    """The child uses its copy or is told that it may not; a lock that a thread of its parent held does not stop it."""
    instance, over, errors = component.make(), threading.Event(), []

    def work():
        try:
            while not over.is_set():
                component.use(instance)
                instance.stats()
        except BaseException as error:  # noqa: BLE001 - it is what the test asks for
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        ends = list(takewhile(lambda end: end == 0, (_fork(component, instance) for _ in range(10))))
    finally:
        over.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(before)
    assert ends == [0] * 10
    assert errors == []
    component.use(instance)
    instance.close()


def _fork(component, instance):
    """Use and close a component in a forked process, and return how that ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(10)  # of a lock that nobody releases
            for call in (component.use, lambda instance: instance.stats()):
                try:
                    call(instance)
                except StateError as error:
                    assert component.kind in str(error)
            instance.close()
            status = 0
        except EngineError:
            status = 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
