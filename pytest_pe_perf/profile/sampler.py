"""Where the time of a call goes: the main thread is interrupted now and then, and its stack is looked at.

A timer's signal costs nothing between two looks and needs no other thread, which would have to wait for the
interpreter's lock; a function that traces every call would make small functions look expensive.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import CodeType, FrameType

from pytest_pe_perf.measure.call import LOOP, Probe
from pytest_pe_perf.model import Frame
from pytest_pe_perf.profile.places import Places
from pytest_pe_perf.profile.stacks import Folded

# Seconds between two looks on average. Each takes a few microseconds.
INTERVAL = 0.0005
# Calls are made in blocks of about so many nanoseconds, between which garbage can be swept.
_BLOCK_NS = 10_000_000
# Where a coroutine waits, none of its frames is on the stack.
WAITING = Frame("(event loop)", "")


class NoSamplerError(Exception):
    """Time cannot be looked at in this process; the message says why."""


class Sampler:
    """Looks at the main thread, as long as it is at work. ``within`` are the files whose frames a call begins below."""

    def __init__(self, random: Random, within: frozenset[str] = frozenset({LOOP})) -> None:
        self._random = random
        self._within = within
        self._codes: dict[int, CodeType] = {}
        self._inside: Counter[tuple[int, ...]] = Counter()
        self._outside = 0
        self._on = False

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Look, as long as the context lasts.

        Raises:
            NoSamplerError: the system has no such timer, or this is not the main thread.

        """
        if os.name != "posix":
            raise NoSamplerError("a profile of times needs Linux or macOS")
        if threading.current_thread() is not threading.main_thread():
            raise NoSamplerError("a profile of times needs the main thread, and the test runs in another one")
        # Somebody else may use the timer: a plugin that ends tests that take too long.
        handler = signal.signal(signal.SIGALRM, self._look)
        self._on = True
        left, again = signal.setitimer(signal.ITIMER_REAL, self._pause())
        started = time.monotonic()
        try:
            yield
        finally:
            self._on = False  # a look that is due already must not set the timer again
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
            if left:
                signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - started), INTERVAL), again)

    def _pause(self) -> float:
        # Never the same twice: a call that takes as long would be seen at the same place every time.
        return INTERVAL * (0.5 + self._random.random())

    def _look(self, _signal: int, frame: FrameType | None) -> None:
        codes = self._codes
        line, stack = frame.f_lineno if frame else 0, list[int]()
        while frame is not None:
            code = frame.f_code
            if code.co_filename in self._within:
                self._inside[line, *stack] += 1
                break
            codes[id(code)] = code
            stack.append(id(code))
            frame = frame.f_back
        else:
            self._outside += 1
        if self._on:
            signal.setitimer(signal.ITIMER_REAL, self._pause())

    def folded(self, places: Places, called: Frame, *, waits: bool) -> Folded:
        """Return what was seen; ``called`` is what is measured, and ``waits`` whether it may be away from the stack."""
        found: Counter[tuple[Frame, ...]] = Counter()
        # That with the most samples first: of frames that differ in their line alone it is the first that counts.
        for (line, *innermost_first), count in self._inside.most_common():
            codes = [self._codes[number] for number in reversed(innermost_first)]
            lines = [*(code.co_firstlineno for code in codes[:-1]), line]
            trace = zip(codes, lines, strict=False)  # a built-in function has no frame, and leaves the line alone
            frames = places.frames((code.co_qualname, code.co_filename, at) for code, at in trace)
            found[frames or (called,)] += count
        if waits and self._outside:
            found[WAITING,] += self._outside
        return dict(found)


def calls_for(seconds: float, clock: Callable[[], int], sampler: Sampler, between: Callable[[], None]) -> Probe[None]:
    """Call again and again for about ``seconds`` while the sampler looks; the first call does not count.

    ``between`` is called after each block of calls.
    """
    yield 1
    calls = 1
    deadline = clock() + round(seconds * 1e9)
    while True:
        with sampler.at_work():
            elapsed = yield calls
        between()
        if clock() >= deadline:
            return
        if elapsed < _BLOCK_NS // 2:
            calls *= 2
