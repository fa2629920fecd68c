"""The decorator: the face of the function, keys of calls, methods, and what is refused."""

import inspect
import weakref
from functools import partial

import pytest

from engine_opt import InputError, StateError
from engine_opt.optimization.cache_manager import Cache, cached


def made(**options):
    return Cache(**{"max_items": 3, "weigh": lambda _: 1} | options)


def counts(cache, *names):
    stats = cache.stats()
    return tuple(stats[name] for name in names)


def test_a_cached_function_keeps_its_face():
    def area(a: float, b: float = 2.0, *, c: int = 1) -> float:
        """Multiply."""
        return a * b * c

    wrapped = cached(made(max_items=10))(area)
    assert (wrapped.__name__, wrapped.__qualname__, wrapped.__doc__) == ("area", area.__qualname__, "Multiply.")
    assert wrapped.__module__ == __name__
    assert inspect.signature(wrapped) == inspect.signature(area)
    assert wrapped.__annotations__ == area.__annotations__
    assert wrapped.uncached is wrapped.__wrapped__ is area
    assert wrapped(3.0) == wrapped(3.0) == 6.0
    assert wrapped(3.0, c=2) == wrapped(3.0, c=2) == 12.0
    assert wrapped(a=3.0) == 6.0
    assert counts(wrapped.cache, "hits", "misses") == (2, 3)


def test_arguments_that_only_look_alike_are_told_apart():
    wrapped = cached(made(max_items=20))(lambda *args, **kwargs: (args, list(kwargs.items())))
    calls = [((1,), {}), ((1.0,), {}), ((), {"a": 1}), (("a", 1), {}), ((), {"a": 1.0}), ((), {"a": True})]
    calls += [((), {"a": 1, "b": 2}), ((), {"b": 2, "a": 1}), ((), {}), (((),), {})]
    for args, kwargs in calls * 2:
        assert repr(wrapped(*args, **kwargs)) == repr((args, list(kwargs.items())))


def test_a_call_is_invalidated_by_its_key():
    calls = []
    wrapped = cached(made())(lambda *args, **kwargs: calls.append(args))
    wrapped(1, b=2)
    assert wrapped.cache.invalidate(wrapped.key(1, b=2)) == 1
    wrapped(1, b=2)
    assert len(calls) == 2


def test_an_argument_without_a_hash_is_refused():
    wrapped = cached(made())(len)
    with pytest.raises(InputError, match="unhashable"):
        wrapped([1])
    with pytest.raises(InputError, match="unhashable"):
        cached(made())(dict)(a=[])


def test_the_first_call_may_raise_and_the_next_not():
    wrapped = cached(made())(int)
    with pytest.raises(ValueError, match="invalid literal"):
        wrapped("x")
    assert wrapped("1") == 1


class Prices:
    def __init__(self, symbol):
        self.symbol = symbol
        self.asked = 0

    @cached(made(max_items=10), key=lambda self, day: (self.symbol, day))
    def close(self, day):
        """Return the close."""
        self.asked += 1
        return self.symbol, day


def test_methods_are_looked_up_by_what_matters_of_the_instance():
    one, twin, other = Prices("AAPL"), Prices("AAPL"), Prices("MSFT")
    assert [one.close(1), twin.close(1), other.close(1)] == [("AAPL", 1), ("AAPL", 1), ("MSFT", 1)]
    assert [one.asked, twin.asked, other.asked] == [1, 0, 1]
    assert one.close.cache is Prices.close.cache
    assert one.close.__doc__ == "Return the close."
    alive = weakref.ref(one)
    del one
    assert alive() is None


def test_a_method_without_a_key_is_refused():
    with pytest.raises(InputError, match="key function"):

        class Wrong:
            @cached(made())
            def method(self):
                pass


def test_a_bound_method_may_be_cached():
    prices = Prices("AAPL")
    wrapped = cached(made())("a{}".format)
    assert wrapped(1) == wrapped(1) == "a1"
    assert cached(made())(prices.__init__)("IBM") is None
    assert prices.symbol == "IBM"


def test_what_can_be_used_only_once_is_refused():
    async def coroutine():
        pass

    async def stream():
        yield 1

    def generator():
        yield 1

    for function, why in ((coroutine, "async"), (stream, "async"), (partial(coroutine), "async"), (generator, "gener")):
        with pytest.raises(InputError, match=why):
            cached(made())(function)


def test_what_is_no_function_or_no_cache_is_refused():
    with pytest.raises(InputError, match="function"):
        cached(made())(1)
    with pytest.raises(InputError, match="cache"):
        cached({})
    with pytest.raises(InputError, match="key"):
        cached(made(), key=1)


def test_a_cache_serves_one_function():
    cache = made()
    cached(cache)(len)
    with pytest.raises(StateError, match=r"cache 'cache' serves <built-in function len>"):
        cached(cache)(sum)


def test_a_cached_function_of_a_closed_cache_says_so():
    wrapped = cached(made())(len)
    wrapped("a")
    wrapped.cache.close()
    with pytest.raises(StateError, match="closed"):
        wrapped("a")
    assert wrapped.uncached("a") == 1
