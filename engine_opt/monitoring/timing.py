"""Timers: how long blocks and functions took, and whether they ended with an error."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import isasyncgenfunction, isclass, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from engine_opt.errors import InputError, StateError
from engine_opt.monitoring.metrics import HistogramSeries

P = ParamSpec("P")
R = TypeVar("R")

SHORTEST, LONGEST = 1e-7, 1e4
"""The range of timers in seconds: all have the same, so that they add up."""


class Timer:
    """Records durations in seconds, with one histogram of what went well and one of what ended with an error.

    Attributes:
        ok, error: for durations that were measured elsewhere: `timer.ok.record(seconds)`.

    """

    __slots__ = ("_clock", "_went_back", "error", "name", "ok")

    def __init__(
        self,
        name: str,
        ok: HistogramSeries,
        error: HistogramSeries,
        clock: Callable[[], float],
        went_back: Callable[[], object],
    ) -> None:
        self.name = name
        self.ok, self.error = ok, error
        self._clock, self._went_back = clock, went_back

    def timed(self) -> Timing:
        """Return what times a block or decorates a function: `with timer.timed(): ...`, `@timer.timed()`."""
        return Timing(self, self._clock)

    def stop(self, outcome: HistogramSeries, start: float) -> None:
        """Record the seconds since `start` as an `outcome` of this timer.

        Where the clock gives no duration, because it went back, none is recorded; the monitor counts how often.
        """
        try:
            outcome.record(self._clock() - start)
        except InputError:  # what is timed must not fail for it
            self._went_back()


class Timing:
    """Times a block, or decorates a function whose calls are timed; made by `Timer.timed`.

    As a block it is for one at a time: ask for another one in each thread, task and nested block. As a decorator it
    takes functions and coroutine functions, of which the time until the result is there is measured, waiting included.
    They may be called recursively and at once. Whatever comes out as an exception is an error, cancellation too, and
    goes on its way.
    """

    __slots__ = ("_clock", "_start", "_timer")

    def __init__(self, timer: Timer, clock: Callable[[], float]) -> None:
        self._timer, self._clock = timer, clock
        self._start: float | None = None

    def __enter__(self) -> Self:
        if self._start is not None:
            raise StateError(f"timer {self._timer.name!r} is running in this block: ask for another one for the next")
        self._start = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        start, self._start = self._start, None
        if start is None:
            raise StateError(f"timer {self._timer.name!r} is not running: enter the block first")
        timer = self._timer
        timer.stop(timer.ok if kind is None else timer.error, start)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return a function that does the same, and is timed; name, signature and docstring are those of the original.

        Raises InputError for what is not called to do its work: a class, a generator function.
        """
        check_timeable(function)
        clock, stop, ok, error = self._clock, self._timer.stop, self._timer.ok, self._timer.error
        if _is_async(function):
            asynchronous = cast("Callable[..., Any]", function)

            @wraps(function)
            async def timed_async(*args: Any, **kwargs: Any) -> Any:
                start = clock()
                try:
                    result = await asynchronous(*args, **kwargs)
                except BaseException:
                    stop(error, start)
                    raise
                stop(ok, start)
                return result

            return cast("Callable[P, R]", timed_async)

        @wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            start = clock()
            try:
                result = function(*args, **kwargs)
            except BaseException:
                stop(error, start)
                raise
            stop(ok, start)
            return result

        return timed


class SilentTimer(Timer):
    """A timer of a monitor that is off."""

    __slots__ = ("_silent",)

    def __init__(
        self,
        name: str,
        ok: HistogramSeries,
        error: HistogramSeries,
        clock: Callable[[], float],
        went_back: Callable[[], object],
    ) -> None:
        super().__init__(name, ok, error, clock, went_back)
        self._silent = SilentTiming(self, clock)

    def timed(self) -> Timing:
        """Return what does nothing around a block, and leaves a function as it is."""
        return self._silent


class SilentTiming(Timing):
    """A timing of a monitor that is off: any block may share it."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function itself, if it is one that could be timed."""
        check_timeable(function)
        return function


def check_timeable(function: object) -> None:
    """Raise InputError for what cannot be timed by its call."""
    if isclass(function) or isinstance(function, staticmethod | classmethod) or not callable(function):
        raise InputError(
            "function", function, "it must be a function; put the timer next to it, below other decorators"
        )
    if any(isgeneratorfunction(each) or isasyncgenfunction(each) for each in _called(function)):
        raise InputError("function", function, "calling a generator does none of its work: time the loop, in a block")


def _is_async(function: object) -> bool:
    return any(iscoroutinefunction(each) for each in _called(function))


def _called(function: object) -> tuple[object, object]:
    """Return what may tell what a call does: of an object that can be called, its method does."""
    return function, getattr(function, "__call__", None)  # noqa: B004 - not whether it is there, but what it is
