"""Resources in scopes: whatever was entered is closed, last in first out, whatever goes wrong on the way.

    with ResourceManager(limits={"file": 8}) as manager, manager.scope("import") as scope:
        bars = scope.enter("file", open("bars.csv"))
        rows = scope.enter("cursor", connection.cursor(), close=Cursor.close)

A scope may hold scopes. One that should stay open for a while after its use is told so (`close_after`), and closed by
`sweep`, which somebody calls between two pieces of work; there is no thread that would do it.
"""

# ruff: noqa: SLF001 - a manager and its scopes are one thing, in two classes
from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from threading import RLock
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from engine_opt import _validate as check
from engine_opt.errors import InputError, StateError

T = TypeVar("T")

_SHOWN = 5  # open resources that an error names; the rest is counted
_SUMMED = ("open", "entered", "closed", "failed", "refused")
_ROOM = 16  # entries of the schedule before it is looked through for what is no longer needed


class OpenResource(NamedTuple):
    """A resource that is open.

    Attributes:
        kind: its type, as it was entered.
        scope: the scopes it is in, outermost first, each with its number.
        age: seconds since it was entered.
        where: file and line that entered it; None where the manager does not trace.
        due: seconds until a sweep may close it, negative where none came in time; None where none will.

    """

    kind: str
    scope: str
    age: float
    where: str | None
    due: float | None

    def __str__(self) -> str:
        where = f", entered at {self.where}" if self.where else ""
        due = "" if self.due is None else f", due in {self.due:g} s" if self.due > 0 else ", due"
        return f"{self.kind} in {self.scope}, open for {self.age:g} s{where}{due}"


class _Entry(NamedTuple):
    """A resource in its scope."""

    kind: str
    thing: Any
    close: Callable[[Any], object] | None
    since: float
    where: str | None


class _Count:
    """Resources of one type."""

    __slots__ = ("entered", "failed", "most", "open", "refused")

    def __init__(self) -> None:
        self.open = self.most = self.entered = self.failed = self.refused = 0

    def stats(self) -> dict[str, float]:
        return {
            "open": float(self.open),
            "most": float(self.most),
            "entered": float(self.entered),
            "closed": float(self.entered - self.open),
            "failed": float(self.failed),
            "refused": float(self.refused),
        }


class Scope:
    """Resources, and scopes, that are closed together; ends with its `with` block, or with `close`.

    Made by `ResourceManager.scope` and by `scope`. Names are for people: scopes have a number each, and two of one name
    are two scopes.
    """

    def __init__(self, manager: ResourceManager, name: str, number: int, parent: Scope | None) -> None:
        self._manager, self._name, self._number, self._parent = manager, name, number, parent
        self._inside: dict[int, _Entry | Scope] = {}  # in the order in which they came
        self._due: float | None = None
        self._closed = False

    def __str__(self) -> str:
        around = "" if self._parent is None or self._parent._parent is None else f"{self._parent} / "
        return f"{around}{self._name!r} #{self._number}"

    def enter(self, kind: str, thing: T, close: Callable[[T], object] | None = None) -> T:
        """Take over an open resource, and return it; `close(thing)`, or else `thing.close()`, will close it.

        From this call on closing it is the scope's business: where it cannot be taken, it is closed before the error is
        raised. Raises InputError for a `kind` that is no text, and where it is not said how to close (nothing is done
        then); StateError where the scope is closed, or as many of its type are open as may be.
        """
        _check_name("kind", kind)
        if not callable(getattr(thing, "close", None) if close is None else close):
            raise InputError("close", close, f"say how {type(thing).__name__} is closed: a function that is given it")
        manager = self._manager
        try:
            where = _caller() if manager._trace else None
            manager._take(self, _Entry(kind, thing, close, manager._now(), where))
        except Exception as refused:
            try:
                _close(thing, close)
            except Exception as error:
                raise refused from error
            raise
        return thing

    def scope(self, name: str) -> Scope:
        """Open a scope inside this one, which is closed with it at the latest."""
        return self._manager._open_scope(name, self)

    def close_after(self, seconds: float) -> None:
        """Stay open until the first sweep `seconds` from now or later, beyond the `with` block unless that raises.

        Called again, the last call counts. Closing the manager, or the scope around this one, does not wait.
        """
        self._manager._schedule(self, check.non_negative("seconds", seconds))

    def close(self) -> None:
        """Close everything inside, last in first out, each once; a second call does nothing and waits for nobody.

        All are closed whatever they raise. Then one ExceptionGroup has all errors; but a KeyboardInterrupt, or another
        exception that is no error, goes on as itself, and the group is its cause.
        """
        _raise(self._shut(), f"closing scope {self}")

    def __enter__(self) -> Self:
        self._manager._check_process()
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._due is None or error is not None:
            _raise(self._shut(), f"closing scope {self}", error)

    def _check_open(self) -> None:
        if self._closed:
            manager = self._manager
            manager._check_open()
            raise StateError(f"resource manager {manager.name!r} is open, but scope {self} is closed: open another one")

    def _shut(self) -> list[BaseException]:
        """Close everything inside and return what went wrong. What is not ours runs without the lock."""
        manager = self._manager
        if manager._is_inherited():
            self._closed = True
            return []
        with manager._lock:
            if self._closed:
                return []
            self._closed = True  # nothing comes in any more
            inside = list(self._inside.values())
        errors: list[BaseException] = []
        while inside:
            try:
                errors += self._shut_one(inside.pop())
            except BaseException as error:  # noqa: BLE001 - raised once all are closed
                errors.append(error)
        manager._forget(self)
        return errors

    def _is_due(self, due: float) -> bool:
        """Return whether an entry of the schedule still holds."""
        return self._due == due and not self._closed

    def _shut_one(self, each: _Entry | Scope) -> list[BaseException]:
        if isinstance(each, Scope):
            return each._shut()
        failed = True
        try:
            _close(each.thing, each.close)
            failed = False
        finally:
            self._manager._count_closed(each.kind, failed=failed)
        return []


class ResourceManager:
    """Open scopes, count what is in them by type, and close what is left when it is closed itself.

    `limits` says how many resources of a type may be open at a time; types are few, for each has its counts for good.
    `trace` remembers where each resource was entered. `clock` gives seconds and is monotonic: one that has jumped
    forwards makes a sweep close early, backwards late; nothing else depends on it.

    May be shared between threads, its scopes as well. A forked process must make one of its own (StateError): what is
    open belongs to the parent, and closing it in the child does nothing.
    """

    def __init__(
        self,
        *,
        limits: Mapping[str, int] | None = None,
        trace: bool = False,
        name: str = "resources",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = dict(limits or {})
        for kind, limit in self._limits.items():
            _check_name("limits", kind)
            if type(limit) is not int or limit < 1:
                raise InputError(f"limits[{kind!r}]", limit, "it must be a whole number of resources, at least 1")
        if not callable(clock):
            raise InputError("clock", clock, "it must be a function that returns seconds")
        self._trace = check.flag("trace", trace)
        self._name, self._clock = _check_name("name", name), clock
        self._process = os.getpid()
        self._lock = RLock()  # re-entrant: a finaliser may come in between, and close a scope
        self._all = Scope(self, name, 0, None)  # around all others
        self._counts: dict[str, _Count] = {}
        self._due: list[tuple[float, int, Scope]] = []  # a heap; what was closed or scheduled anew since is skipped
        self._room = _ROOM
        self._numbers = self._open_scopes = self._swept = 0
        self._leaks: tuple[OpenResource, ...] = ()

    @property
    def name(self) -> str:
        """What errors call the manager."""
        return self._name

    @property
    def leaks(self) -> tuple[OpenResource, ...]:
        """What was still open when the manager was closed, and closed by that; empty before."""
        return self._leaks

    def scope(self, name: str) -> Scope:
        """Open a scope. Whoever does so without a `with` block must close it, or say when a sweep shall."""
        return self._open_scope(name, self._all)

    def sweep(self) -> int:
        """Close the scopes that are due, earliest first, and return how many; raises errors as `Scope.close` does."""
        self._check_process()
        self._check_open()
        now, swept = self._now(), 0
        errors: list[BaseException] = []
        while (scope := self._next_due(now)) is not None:
            errors += scope._shut()
            swept += 1
        _raise(errors, f"sweeping resource manager {self._name!r}")
        return swept

    def open_resources(self) -> tuple[OpenResource, ...]:
        """Return what is open, scope by scope, in the order in which it was entered."""
        self._check_process()
        return self._listed()

    def stats(self) -> Mapping[str, float]:
        """Return counts: of scopes open and scheduled, and swept so far; of resources, over all and by type.

        `entered` = `open` + `closed`; `failed` are those closed of which closing raised; `refused` were over a limit.
        Those of a type are called `file.open` and so on; of a type there is `file.most`, too: open at one time.
        """
        self._check_process()
        with self._lock:
            scheduled = {scope._number for due, _, scope in self._due if scope._is_due(due)}
            by_kind = {kind: count.stats() for kind, count in self._counts.items()}
            return {
                "scopes": float(self._open_scopes),
                "scheduled": float(len(scheduled)),
                "swept": float(self._swept),
                **{what: sum(each[what] for each in by_kind.values()) for what in _SUMMED},
                **{f"{kind}.{what}": value for kind, each in by_kind.items() for what, value in each.items()},
            }

    def close(self) -> None:
        """Close all scopes, last opened first, and remember in `leaks` what was open; raises as `Scope.close` does."""
        self._end(None)

    def __enter__(self) -> Self:
        self._check_process()
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)

    def _end(self, body: BaseException | None) -> None:
        errors: list[BaseException] = []
        if not (self._all._closed or self._is_inherited()):
            try:
                self._leaks = self._listed()
            except Exception as error:  # noqa: BLE001 - of the clock; everything is closed all the same
                errors.append(error)
        errors += self._all._shut()
        _raise(errors, f"closing resource manager {self._name!r}", body)

    def _open_scope(self, name: str, parent: Scope) -> Scope:
        _check_name("name", name)
        self._check_process()
        with self._lock:
            parent._check_open()
            self._numbers += 1
            scope = Scope(self, name, self._numbers, parent)
            parent._inside[self._numbers] = scope
            self._open_scopes += 1
        return scope

    def _take(self, scope: Scope, entry: _Entry) -> None:
        """Put a resource into a scope, or leave everything as it was."""
        self._check_process()
        with self._lock:
            scope._check_open()
            count = self._counts.setdefault(entry.kind, _Count())
            limit = self._limits.get(entry.kind)
            if limit is not None and count.open >= limit:
                count.refused += 1
                raise self._full(entry.kind, limit)
            self._numbers += 1
            scope._inside[self._numbers] = entry
            count.entered += 1
            count.open += 1
            count.most = max(count.most, count.open)

    def _full(self, kind: str, limit: int) -> StateError:
        there = [str(each) for each in self._listed() if each.kind == kind]
        more = f"; and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
        return StateError(
            f"resource manager {self._name!r} is open, but {limit} of type {kind!r} is the limit. "
            f"Close one first of these: {'; '.join(there[:_SHOWN])}{more}"
        )

    def _count_closed(self, kind: str, *, failed: bool) -> None:
        with self._lock:
            count = self._counts[kind]
            count.open -= 1
            count.failed += failed

    def _forget(self, scope: Scope) -> None:
        """Let go of a scope that is closed."""
        with self._lock:
            scope._inside.clear()
            if scope._parent is None:
                self._due.clear()
            else:
                scope._parent._inside.pop(scope._number, None)
                self._open_scopes -= 1

    def _schedule(self, scope: Scope, seconds: float) -> None:
        self._check_process()
        due = self._now() + seconds
        with self._lock:
            scope._check_open()
            scope._due = due
            self._numbers += 1  # so that no two entries are equal, and scopes are never compared
            heappush(self._due, (due, self._numbers, scope))
            if len(self._due) > self._room:
                self._due = [each for each in self._due if each[2]._is_due(each[0])]
                heapify(self._due)
                self._room = _ROOM + 2 * len(self._due)

    def _next_due(self, now: float) -> Scope | None:
        with self._lock:
            while self._due and self._due[0][0] <= now:
                due, _, scope = heappop(self._due)
                if scope._is_due(due):
                    self._swept += 1
                    return scope
        return None

    def _listed(self) -> tuple[OpenResource, ...]:
        now = self._now()
        with self._lock:
            return tuple(_walk(self._all, None, now))

    def _now(self) -> float:
        return check.finite("clock()", self._clock())  # one NaN would put the schedule out of order

    def _is_inherited(self) -> bool:
        return self._process != os.getpid()

    def _check_process(self) -> None:
        """Refuse a forked process, before any lock: a thread of the parent may have held it at the fork."""
        if self._is_inherited():
            raise StateError(f"resource manager {self._name!r} belongs to the process that made it: make one here")

    def _check_open(self) -> None:
        if self._all._closed:
            raise StateError(f"resource manager {self._name!r} is closed: make another one")


def _walk(scope: Scope, due: float | None, now: float) -> Iterator[OpenResource]:
    """Yield what is open in a scope and further in; `due` is the time when what is around it will be closed."""
    due = min((time for time in (due, scope._due) if time is not None), default=None)
    for each in scope._inside.values():
        if isinstance(each, Scope):
            yield from _walk(each, due, now)
        else:
            left = None if due is None else due - now
            yield OpenResource(each.kind, str(scope), max(0.0, now - each.since), each.where, left)


def _close(thing: Any, close: Callable[[Any], object] | None) -> None:
    if close is None:
        thing.close()
    else:
        close(thing)


def _raise(errors: list[BaseException], what: str, body: BaseException | None = None) -> None:
    """Raise what went wrong in closing, after `body` went wrong inside the block.

    An exception that is no error, such as KeyboardInterrupt, is not wrapped: whoever waits for it would miss it.
    """
    problems = [error for error in errors if isinstance(error, Exception)]
    group = ExceptionGroup(f"{what}: {len(problems)} failed", problems) if problems else None
    for end in (body, *errors):
        if end is not None and not isinstance(end, Exception):
            if group is not None:
                raise end from group
            if end is not body:  # that one is on its way already
                raise end
            return
    if group is not None:
        raise group


def _caller() -> str:
    """Return file and line of whoever called the caller of this."""
    frame = sys._getframe(2)  # inspect has a public name for it, and costs a megabyte
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _check_name(field: str, name: str) -> str:
    if type(name) is not str or not name:
        raise InputError(field, name, "it must be text that is not empty")
    return name
