"""Which optimisations are on, which of two ways is quicker for so many rows, and what each optimisation really brings.

    with PerformanceOptimizer({"reuse_buffers": False}, config.switches) as optimizer:
        if optimizer.on("reuse_buffers"):
            pool = optimizer.own("pool", ObjectPool(make, size=4))
        optimizer.warm_up(work, 100)
        optimizer.calibrate(one_by_one, over_columns)
        found = over_columns(rows) if optimizer.choose(rows) is Path.BATCH else one_by_one(rows)

An optimisation is off unless somebody measured that it pays: `ablate` asks for each, on against off, and an `Effect` says
whether the interval leaves a doubt. How to measure is the caller's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from types import MappingProxyType, TracebackType
from typing import NamedTuple, Protocol, Self, TypeVar

from engine_opt import _validate as check
from engine_opt._validate import INF
from engine_opt.errors import InputError, StateError
from engine_opt.optimization.resource_manager import ResourceManager

ALL = "all"
"""The name of the effect of all optimisations together."""


class Component(Protocol):
    """What an optimizer can own: a pool, a cache, a memory manager."""

    def stats(self) -> Mapping[str, float]:
        """Return counts by name, after closing as well."""

    def close(self) -> None:
        """Close it; a second time does nothing."""


_C = TypeVar("_C", bound=Component)


class Path(Enum):
    """A way to do many rows; both give the same answers."""

    SCALAR = "scalar"
    BATCH = "batch"


class WarmUp(NamedTuple):
    """What calls took before anything counts, in seconds: the first, and the quickest."""

    first: float
    quickest: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What the two ways cost, in seconds.

    Attributes:
        scalar_row: a row, one by one.
        batch_fixed: a batch, however small.
        batch_row: a row more in a batch.

    """

    scalar_row: float
    batch_fixed: float
    batch_row: float

    @property
    def break_even(self) -> float:
        """From how many rows on the batch is the quicker way; infinite where it never is."""
        saved = self.scalar_row - self.batch_row
        return self.batch_fixed / saved if saved > 0.0 else INF

    def quicker(self, rows: int) -> Path:
        """Return the quicker way for so many rows; the scalar one where they cost the same."""
        scalar, batch = rows * self.scalar_row, self.batch_fixed + rows * self.batch_row
        return Path.BATCH if batch < scalar else Path.SCALAR


class PerformanceOptimizer:
    """Switches, the components that they need, and the choice between two ways.

    `switches` has every optimisation by name and whether it is on by default, `chosen` what is to be otherwise. `clock`
    gives seconds and is read where calls are timed; a call during which it jumped backwards is left out.

    Not to be shared between threads without a lock, or counts may be lost. A forked process goes on with a copy, and
    closes no component: they are the parent's.
    """

    def __init__(
        self,
        switches: Mapping[str, bool],
        chosen: Mapping[str, bool] | None = None,
        *,
        name: str = "optimizer",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if type(name) is not str or not name:
            raise InputError("name", name, "it must be text that is not empty")
        if not callable(clock):
            raise InputError("clock", clock, "it must be a function that returns seconds")
        self._switches = _switched(switches, chosen or {})
        self._name, self._clock = name, clock
        self._scope = ResourceManager(name=name, clock=clock).scope("components")
        self._components: dict[str, Component] = {}
        self._costs: Costs | None = None
        self._warm_ups = self._calibrations = 0
        self._chosen = dict.fromkeys(Path, 0)
        self._closed = False

    @property
    def name(self) -> str:
        """What errors call the optimizer."""
        return self._name

    @property
    def switches(self) -> Mapping[str, bool]:
        """Every optimisation by name, and whether it is on."""
        return self._switches

    def on(self, name: str) -> bool:
        """Return whether an optimisation is on. Raises InputError where there is none of that name."""
        try:
            return self._switches[name]
        except (KeyError, TypeError):
            raise InputError("name", name, f"it is none of {', '.join(self._switches)}") from None

    def own(self, name: str, component: _C) -> _C:
        """Take over a component, which is closed with the optimizer, and return it; the last one is closed first.

        Raises InputError where there is one of that name or where it cannot be closed, StateError where the optimizer is
        closed; the component is the caller's then, as before.
        """
        self._check_open()
        if type(name) is not str or not name or name in self._components:
            why = "it must be text that is not empty, and no other component's name"
            raise InputError("name", name, why)
        if not (callable(getattr(component, "close", None)) and callable(getattr(component, "stats", None))):
            raise InputError("component", component, "it must have `close` and `stats`")
        self._scope.enter("component", component)
        self._components[name] = component
        return component

    def warm_up(self, work: Callable[[], object], calls: int) -> WarmUp:
        """Call `work` so many times, and return what that took; what it raises goes on."""
        self._check_open()
        _count("calls", calls)
        seconds = [self._timed(work) for _ in range(calls)]
        self._warm_ups += calls
        return WarmUp(max(seconds[0], 0.0), min(_good(seconds), default=0.0))

    def calibrate(
        self,
        scalar: Callable[[int], object],
        batch: Callable[[int], object],
        *,
        small: int = 16,
        large: int = 1_024,
        rounds: int = 5,
    ) -> Costs:
        """Measure what the two ways cost, for `choose`; each is called with a number of rows and does so many.

        The scalar way is measured at `small` rows, the batch at `small` and `large`. They take turns in `rounds`, each of which
        goes the other way round, and the quickest counts: what disturbs a call makes it slower. Raises StateError where
        the clock went backwards during all of them.
        """
        self._check_open()
        if _count("small", small) >= _count("large", large):
            raise InputError("large", large, f"it must be more than small, {small}")
        _count("rounds", rounds)
        ways: tuple[Callable[[], object], ...] = (
            partial(scalar, small),
            partial(batch, small),
            partial(batch, large),
        )
        for way in ways:  # what is slow the first time only
            way()
        seconds: list[list[float]] = [[] for _ in ways]
        for number in range(rounds):
            order = range(len(ways)) if number % 2 else reversed(range(len(ways)))
            for index in order:
                seconds[index].append(self._timed(ways[index]))
        one_by_one, few, many = (min(_good(each), default=None) for each in seconds)
        if one_by_one is None or few is None or many is None:
            raise self._error("its clock went backwards each time: it cannot measure")
        row = max(0.0, (many - few) / (large - small))
        self._costs = Costs(one_by_one / small, max(0.0, few - small * row), row)
        self._calibrations += 1
        return self._costs

    def choose(self, rows: int) -> Path:
        """Return the quicker way for so many rows, as measured. Raises StateError before `calibrate`."""
        self._check_open()
        if type(rows) is not int or rows < 0:
            raise InputError("rows", rows, "it must be a whole number that is not negative")
        if self._costs is None:
            raise self._error("it has not measured the two ways: calibrate it first")
        path = self._costs.quicker(rows)
        self._chosen[path] += 1
        return path

    def stats(self) -> Mapping[str, float]:
        """Return counts of optimisations on and off, calls to warm up, calibrations and choices of each way.

        Those of a component follow as `<component>.<count>`.
        """
        on = sum(self._switches.values())
        own = {
            "on": float(on),
            "off": float(len(self._switches) - on),
            "components": float(len(self._components)),
            "warm_up_calls": float(self._warm_ups),
            "calibrations": float(self._calibrations),
        }
        own |= {f"chose_{path.value}": float(times) for path, times in self._chosen.items()}
        parts = {name: each.stats() for name, each in self._components.items()}
        return own | {f"{part}.{name}": count for part, counts in parts.items() for name, count in counts.items()}

    def close(self) -> None:
        """Close all components, last taken over first; raises an ExceptionGroup of what they raise, all being closed."""
        self._closed = True
        self._scope.close()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _timed(self, work: Callable[[], object]) -> float:
        start = self._clock()
        work()
        return self._clock() - start

    def _check_open(self) -> None:
        if self._closed:
            raise self._error("make another one")

    def _error(self, what: str) -> StateError:
        return StateError(f"performance optimizer {self._name!r} is {'closed' if self._closed else 'open'}: {what}")


class Measured(NamedTuple):
    """What a measurement says of on against off.

    Attributes:
        ratio: the time with it on, over the time with it off.
        low: the lower end of the ratio's 95 % interval.
        high: its upper end.
        bytes_on: the most bytes that were allocated at one time with it on; None where nobody looked.
        bytes_off: the same with it off.

    """

    ratio: float
    low: float
    high: float
    bytes_on: int | None = None
    bytes_off: int | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What an optimisation brings."""

    name: str
    measured: Measured

    @property
    def pays(self) -> bool | None:
        """Whether it makes things quicker; None where the interval of the ratio includes 1, and it cannot be told."""
        if self.measured.high < 1.0:
            return True
        return False if self.measured.low > 1.0 else None


Measure = Callable[[str, Mapping[str, bool], Mapping[str, bool]], Measured]
"""Measure an optimisation: its name, all switches with it on, and all with it off."""


def ablate(defaults: Mapping[str, bool], measure: Measure) -> tuple[Effect, ...]:
    """Return the effect of each optimisation, the others being as they are by default; and of `ALL` on against all off.

    Raises InputError where `measure` returns an interval that is none.
    """
    switches = _switched(defaults, {})
    if ALL in switches:
        raise InputError("defaults", ALL, "this name is that of all of them together")
    effects = [_effect(name, {**switches, name: True}, {**switches, name: False}, measure) for name in switches]
    effects.append(_effect(ALL, dict.fromkeys(switches, True), dict.fromkeys(switches, False), measure))
    return tuple(effects)


def _effect(name: str, on: Mapping[str, bool], off: Mapping[str, bool], measure: Measure) -> Effect:
    measured = measure(name, on, off)
    for field in ("ratio", "low", "high"):
        check.positive(f"{name}.{field}", getattr(measured, field))
    if not measured.low <= measured.ratio <= measured.high:
        raise InputError(name, measured, "the ratio must lie in its interval")
    return Effect(name, measured)


def _switched(switches: Mapping[str, bool], chosen: Mapping[str, bool]) -> Mapping[str, bool]:
    """Return all switches; one error tells all that is wrong with them."""
    wrong = [f"{name!r} is not the name of one" for name in switches if type(name) is not str or not name]
    wrong += [f"{name!r} is not known" for name in chosen if name not in switches]
    wrong += [
        f"{name!r} is {value!r}, and must be True or False"
        for name, value in (*switches.items(), *chosen.items())
        if type(value) is not bool
    ]
    if wrong:
        known = ", ".join(map(str, switches)) or "none"
        raise InputError("switches", {**switches, **chosen}, f"{'; '.join(wrong)}. The optimisations are: {known}")
    return MappingProxyType({**switches, **chosen})


def _good(seconds: list[float]) -> list[float]:
    """Return what a clock that jumps cannot have made up."""
    return [each for each in seconds if each >= 0.0]


def _count(field: str, value: object) -> int:
    if type(value) is not int or value < 1:
        raise InputError(field, value, "it must be a whole number, at least 1")
    return value
