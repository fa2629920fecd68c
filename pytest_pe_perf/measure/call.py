"""Running the measured call: n times in a row, with nothing in between, sync or async.

A probe is written once, as a generator that yields how many calls it wants and is sent the nanoseconds they took.
It neither knows whether the call is a coroutine function, nor where the time comes from.
"""

from __future__ import annotations

import functools
import inspect
import keyword
import sys
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, TypeVar

# pytest leaves the frames of such modules out of a traceback: what a benchmark raises is shown as the user's own.
__tracebackhide__ = True

T = TypeVar("T")
Clock = Callable[[], int]
Probe = Generator[int, int, T]

# Stands for a file in the frame of the loop, and the line in it that calls: a profile begins there.
LOOP, LINE_OF_CALL = "<pe-perf loop>", 5

_SYNC = """\
def timed(n, clock):
    it = repeat(None, n)
    start = clock()
    for _ in it:
        fn({call})
    return clock() - start
"""
_ASYNC = """\
async def timed(n, clock):
    it = repeat(None, n)
    start = clock()
    for _ in it:
        await fn({call})
    return clock() - start
"""


@dataclass(frozen=True, slots=True)
class Call:
    """A callable and its arguments."""

    fn: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def is_async(self) -> bool:
        """Whether the call must be awaited."""
        fn = self.fn
        while isinstance(fn, functools.partial):
            fn = fn.func
        return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004

    def __call__(self) -> Any:
        """Make the call once."""
        return self.fn(*self.args, **self.kwargs)


def _compile(template: str, call: Call) -> Callable[[int, Clock], Any]:
    """Return a loop with the call written into it, as ``timeit`` does.

    ``fn(*args, **kwargs)`` in a loop costs 30 to 50 ns a call more than the call itself, which would be most of the
    reading of a fast function.
    """
    fn, args, kwargs = call.fn, call.args, call.kwargs
    if not all(name.isidentifier() and not keyword.iskeyword(name) for name in kwargs):
        # Legal for ** but not in source text; rare enough to pay for.
        fn, args, kwargs = functools.partial(fn, *args, **kwargs), (), {}
    names = {f"a{i}": arg for i, arg in enumerate(args)}
    keywords = {f"k{i}": value for i, value in enumerate(kwargs.values())}
    written = [*names, *(f"{name}={slot}" for name, slot in zip(kwargs, keywords, strict=True))]
    scope: dict[str, Any] = {"fn": fn, "repeat": repeat, "__tracebackhide__": True, **names, **keywords}
    source = template.format(call=", ".join(written))
    exec(compile(source, LOOP, "exec"), scope)  # noqa: S102 - the text holds identifiers only
    timed: Callable[[int, Clock], Any] = scope["timed"]
    return timed


def timed_loop(call: Call) -> Callable[[int, Clock], int]:
    """Return a function that makes ``n`` calls in a row and returns the nanoseconds of ``clock`` that they took."""
    return _compile(_SYNC, call)


def timed_loop_async(call: Call) -> Callable[[int, Clock], Awaitable[int]]:
    """Return the same for a coroutine function."""
    return _compile(_ASYNC, call)


def run(probe: Probe[T], call: Call, clock: Clock) -> T:
    """Drive ``probe`` with a plain callable."""
    timed = timed_loop(call)
    try:
        n = next(probe)
        while True:
            n = probe.send(timed(n, clock))
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        probe.close()


async def run_async(probe: Probe[T], call: Call, clock: Clock) -> T:
    """Drive ``probe`` with a coroutine function, in the event loop that runs."""
    timed = timed_loop_async(call)
    try:
        n = next(probe)
        while True:
            n = probe.send(await timed(n, clock))
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        probe.close()


def in_event_loop() -> bool:
    """Whether an asyncio or trio event loop runs in this thread, so that a coroutine can only be awaited."""
    # Where the module was never imported, none of its loops runs.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            return True
    return _in_trio()


def _in_trio() -> bool:
    # sniffio is trio's own way to say that it runs.
    sniffio = sys.modules.get("sniffio")
    if sniffio is None:
        return False
    try:
        return bool(sniffio.current_async_library())
    except sniffio.AsyncLibraryNotFoundError:
        return False
