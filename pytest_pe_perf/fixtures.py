"""What the fixtures ``pe_latency`` and ``pe_memory`` are. Without ``--pe-perf`` they run the function once, measuring nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pytest

if TYPE_CHECKING:
    from pytest_pe_perf.measure.call import Call
    from pytest_pe_perf.recorder import Bench

P = ParamSpec("P")
T = TypeVar("T")


def hidden(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether pytest leaves our frames out of a traceback: not where we fail a test with a message alone.

    Such a failure shows no frame anyway, but a traceback without any is commented on by pytest.
    """
    return not isinstance(excinfo.value, pytest.fail.Exception)


__tracebackhide__ = hidden  # see measure.call

# What makes the bench of an item; absent without --pe-perf.
MAKE_BENCH: pytest.StashKey[Callable[[pytest.Item], Bench]] = pytest.StashKey()
# What measures the calls of the item.
BENCH: pytest.StashKey[Bench] = pytest.StashKey()


class Measure:
    """Calls a function, measures that, and returns what the function returned.

    ``measure["name"]`` measures under a name, so that one test can measure several things. A coroutine function is run
    to its end in an event loop; within a test that is itself a coroutine the call must be awaited.
    """

    def __init__(self, fixture: str, bench: Bench | None, *, time: bool = False, memory: bool = False) -> None:
        self._fixture = fixture
        self._bench = bench
        self._time = time
        self._memory = memory
        self._name = ""
        self._unnamed = self
        self._called = False

    def __repr__(self) -> str:
        return f"<fixture {self._fixture}>"

    @property
    def called(self) -> bool:
        """Whether anything was measured, under whatever name."""
        return self._unnamed._called  # noqa: SLF001 - of the same class

    def __getitem__(self, name: str) -> Measure:
        """Return the same fixture measuring under ``name``."""
        if not isinstance(name, str) or not name.strip():
            pytest.fail(
                f"{self._fixture}[{name!r}]: the name of a measurement is a text that is not empty", pytrace=False
            )
        named = Measure(self._fixture, self._bench, time=self._time, memory=self._memory)
        named._name = name
        named._unnamed = self._unnamed
        return named

    def __call__(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Measure ``fn(*args, **kwargs)`` and return its result."""
        from pytest_pe_perf.measure.call import Call

        if not callable(fn):
            import reprlib

            pytest.fail(
                f"{self._fixture} takes a function and its arguments, it got {reprlib.repr(fn)}: "
                f"write {self._fixture}(function, argument), not {self._fixture}(function(argument))",
                pytrace=False,
            )
        call = Call(fn, args, kwargs)
        if not call.is_async:
            self._run(call)
            return fn(*args, **kwargs)
        return in_loop(self._run_async(call))  # type: ignore[no-any-return]

    def _run(self, call: Call) -> None:
        self._unnamed._called = True  # noqa: SLF001
        if self._bench is None:
            return
        with readable_errors():
            self._bench.measure(call, self._name, time=self._time, memory=self._memory)

    async def _run_async(self, call: Call) -> Any:
        # Here and not where the coroutine is made: one that nobody awaits has measured nothing.
        self._unnamed._called = True  # noqa: SLF001
        if self._bench is not None:
            with readable_errors():
                await self._bench.measure_async(call, self._name, time=self._time, memory=self._memory)
        return await call()


def in_loop(coroutine: Any) -> Any:
    """Return ``coroutine`` for the caller to await if an event loop runs, its result otherwise."""
    from pytest_pe_perf.measure.call import in_event_loop

    if in_event_loop():
        return coroutine
    import asyncio  # 30 ms that only those pay who measure a coroutine function

    with asyncio.Runner() as runner:
        return runner.run(coroutine)


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Fail the test with the message of an error of ours, without a traceback through our code."""
    from pytest_pe_perf.errors import PePerfError

    try:
        yield
    except PePerfError as error:
        pytest.fail(str(error), pytrace=False)


def bench_of(item: pytest.Item) -> Bench | None:
    """Return what measures the calls of the item, None without ``--pe-perf``."""
    make = item.config.stash.get(MAKE_BENCH, None)
    if make is not None and BENCH not in item.stash:
        with readable_errors():
            item.stash[BENCH] = make(item)
    return item.stash.get(BENCH, None)


def asked_for(item: pytest.Item) -> tuple[bool, bool]:
    """Whether time and memory of this test are to be measured, by its fixtures and markers."""
    fixtures = getattr(item, "fixturenames", ())
    markers = {marker.name for marker in item.iter_markers()}
    time = "pe_latency" in fixtures or "pe_latency" in markers
    memory = "pe_memory" in fixtures or "pe_memory" in markers
    return time, memory


def latency_of(node: pytest.Item) -> Measure:
    """Return the fixture ``pe_latency`` of a test."""
    # A marker pe_memory beside this fixture asks for the memory of the same call.
    memory = asked_for(node)[1] and "pe_memory" not in getattr(node, "fixturenames", ())
    return Measure("pe_latency", bench_of(node), time=True, memory=memory)


def memory_of(node: pytest.Item) -> Measure:
    """Return the fixture ``pe_memory`` of a test."""
    time = asked_for(node)[0] and "pe_latency" not in getattr(node, "fixturenames", ())
    return Measure("pe_memory", bench_of(node), time=time, memory=True)
