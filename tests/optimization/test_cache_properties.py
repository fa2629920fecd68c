"""The cache against a plain model of it: items, bytes, time, equal keys, groups; and cached against uncached."""

from collections import OrderedDict
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine_opt.optimization.cache_manager import Cache, cached

KEYS = ["a", "b", ("a", 1), ("a", 1.0), ("a", True), ("b", 1), 0.0, -0.0, 0, 1, True, ("c", (2, 0.0)), ("c", (2, -0.0))]
KEYS += [None, (), frozenset([1]), frozenset([1.0]), "c", ("d", "e", "f")]
NUMBERS = st.sampled_from([0, -0.0, 0.0, 1, 1.0, True, False, 2, 2.5])
ARGUMENTS = st.recursive(
    NUMBERS | st.sampled_from(["", "a", None]), lambda inner: st.tuples(inner, inner), max_leaves=3
)


def exactly(key):
    """The key in other words: no two that are to be told apart have the same."""
    return repr(sorted(map(repr, key))) if isinstance(key, frozenset) else repr(key)


def group(key):
    return str(key)[:4]


class Item(NamedTuple):
    exact: str
    group: str
    value: int  # and its weight
    since: float
    until: float


class Model:
    """What a cache is to do: items by key, from the least to the most recently used."""

    def __init__(self, max_items, max_bytes, ttl):
        self.max_items, self.max_bytes, self.ttl = max_items, max_bytes, ttl
        self.items = OrderedDict()
        self.now = 0.0
        self.counts = dict.fromkeys(["hits", "misses", "evictions", "expirations", "invalidations", "errors"], 0)
        self.counts |= {"waits": 0, "oversize": 0}

    def pass_time(self, now):
        """Drop what is not fresh, and everything where the clock went back."""
        if self.ttl is not None:
            back = now < self.now
            gone = [key for key, item in self.items.items() if back or now >= item.until]
            self.drop(gone, "expirations")
            self.now = now

    def drop(self, keys, why):
        for key in keys:
            del self.items[key]
            self.counts[why] += 1
        return len(keys)

    def get(self, key, value, now):
        """Return the value of a key, which would be loaded as `value`; None stands for a load that raises."""
        item = self.items.get(key)
        fresh = item is not None and (self.ttl is None or item.since <= now < item.until)
        if fresh and item.exact == exactly(key):
            self.counts["hits"] += 1
            self.items.move_to_end(key)
            return item.value
        self.pass_time(now)
        self.counts["misses"] += 1
        if value is None:
            self.counts["errors"] += 1
        elif value > self.max_bytes:
            self.counts["oversize"] += 1
        else:
            self.drop([key] if key in self.items else [], "evictions")
            while len(self.items) >= self.max_items or self.bytes() + value > self.max_bytes:
                self.drop([next(iter(self.items))], "evictions")
            self.items[key] = Item(exactly(key), group(key), value, now, now + (self.ttl or 0.0))
        return value

    def bytes(self):
        return sum(item.value for item in self.items.values())


class CacheMachine(RuleBasedStateMachine):
    @initialize(
        max_items=st.integers(1, 6),
        max_bytes=st.none() | st.integers(1, 20),
        ttl=st.none() | st.sampled_from([1.0, 2.5, 100.0]),
    )
    def make(self, max_items, max_bytes, ttl):
        self.now = 10.0
        self.version = None
        self.model = Model(max_items, float("inf") if max_bytes is None else max_bytes, ttl)
        self.cache = Cache(
            max_items=max_items,
            max_bytes=max_bytes,
            weigh=lambda value: value,
            ttl=ttl,
            tag=group,
            clock=lambda: self.now,
        )

    def load(self, value):
        if value is None:
            raise LookupError
        return value

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=8), value=st.integers(0, 8) | st.just(21))
    def get(self, keys, value):
        for key in keys:
            assert self.cache.get(key, self.load, value) == self.model.get(key, value, self.now)

    @rule(key=st.sampled_from(KEYS))
    def get_what_cannot_be_loaded(self, key):
        try:
            found = self.cache.get(key, self.load, None)
        except LookupError:
            found = None
        assert found == self.model.get(key, None, self.now)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 1e6, -0.5, -3.0]))
    def let_time_pass(self, seconds):
        self.now += seconds

    @rule(key=st.sampled_from(KEYS))
    def invalidate(self, key):
        self.model.pass_time(self.now)
        gone = self.model.drop([key] if key in self.model.items else [], "invalidations")
        assert self.cache.invalidate(key) == gone

    @rule(key=st.sampled_from(KEYS))
    def invalidate_tag(self, key):
        self.model.pass_time(self.now)
        members = [each for each, item in self.model.items.items() if item.group == group(key)]
        assert self.cache.invalidate_tag(group(key)) == self.model.drop(members, "invalidations")

    @rule(version=st.sampled_from(["one", "two", 1, 1.0]))
    def use_version(self, version):
        self.model.pass_time(self.now)
        changed = repr(version) != self.version
        gone = self.model.drop(list(self.model.items) if changed else [], "invalidations")
        self.version = repr(version)
        assert self.cache.use_version(version) == gone

    @rule(fraction=st.sampled_from([0.0, 0.3, 0.5, 1.0]))
    def shed(self, fraction):
        self.model.pass_time(self.now)
        before = self.model.bytes()
        while self.model.items and self.model.bytes() > before * (1.0 - fraction):
            self.model.drop([next(iter(self.model.items))], "evictions")
        assert self.cache.shed(fraction) == before - self.model.bytes()

    @rule()
    def clear(self):
        self.model.pass_time(self.now)
        gone = self.model.drop(list(self.model.items), "invalidations")
        assert self.cache.clear() == gone

    @invariant()
    def the_cache_is_what_the_model_is(self):
        self.model.pass_time(self.now)
        sizes = {"items": len(self.model.items), "bytes": self.model.bytes()}
        assert dict(self.cache.stats()) == self.model.counts | sizes
        assert set(self.cache._store) == set(self.cache._entries) == set(self.model.items)
        assert self.cache._flights == self.cache._waiting == {}


CacheMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestCache = CacheMachine.TestCase


@given(st.lists(st.tuples(ARGUMENTS, ARGUMENTS), min_size=1, max_size=12), st.integers(1, 4), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_cached_function_says_what_the_uncached_one_says(calls, size, lives):
    @cached(Cache(max_items=size, ttl=1.0 if lives else None, clock=iter(range(10**6)).__next__))
    def tell(*args):
        return repr(args)

    for args in calls * 2:
        assert tell(*args) == tell.uncached(*args)


@given(st.lists(st.floats(allow_nan=False) | st.integers() | st.booleans(), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_numbers_are_exact_to_the_last_bit_and_the_sign_of_zero(numbers):
    sign = cached(Cache(max_items=8))(lambda number: (number.hex() if type(number) is float else number, type(number)))
    for number in numbers + [-number for number in numbers]:
        assert sign(number) == sign.uncached(number)
