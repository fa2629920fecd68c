"""What the engine does for speed, each to be switched on or off; no answer depends on any of it.

    ProtocolEngine(config, optimizations=EngineOptimizations(still_collector=True))

The defaults are what `python -m engine_opt ablation` found to pay. The switches are no part of the configuration: a
decision made with some of them on is the decision made with all of them off, bit for bit, and has the same fingerprint.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from sys import getsizeof
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Self

from engine_opt import _validate as check


@dataclass(frozen=True, slots=True)
class EngineOptimizations:
    """Switches, one for each optimisation. Raises InputError for what is neither True nor False.

    Attributes:
        share_readings: work out what a symbol's last bar says once, for all accounts and positions that ask.
        keep_rules: keep the checks that the rules compile for an action, account and symbol.
        bounded_readings: keep what the last bars say in a bounded cache that counts, in place of one by each symbol;
            loads cachetools. It shares as `share_readings` does, and goes before it.
        still_collector: let `ProtocolEngine.still` spare the collector all that is alive; that holds for the process.

    """

    share_readings: bool = True
    keep_rules: bool = True
    bounded_readings: bool = False
    still_collector: bool = False

    def __post_init__(self) -> None:
        for name in self.names():
            check.flag(name, getattr(self, name))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the switches."""
        return tuple(each.name for each in fields(cls))

    @classmethod
    def none(cls) -> Self:
        """Return the switches with all off."""
        return cls(**dict.fromkeys(cls.names(), False))

    @classmethod
    def all(cls) -> Self:
        """Return the switches with all on."""
        return cls(**dict.fromkeys(cls.names(), True))

    def plain(self) -> Mapping[str, bool]:
        """Return the switches by name."""
        return {name: getattr(self, name) for name in self.names()}


# What belongs to the program and not to what is weighed; an enumeration's members belong to it as well.
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, Enum)


def bytes_of(*things: object, besides: tuple[object, ...] = ()) -> int:
    """Return the bytes of things and of all that they refer to, each counted once; without what `besides` refers to.

    As `sys.getsizeof` gives them: without what the allocator adds, and with small numbers that others use as well.
    """
    _, seen = _walked(besides, set())
    return _walked(things, seen)[0]


def _walked(things: tuple[object, ...], seen: set[int]) -> tuple[int, set[int]]:
    total, todo = 0, [*things]
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, _CODE):
            continue
        seen.add(id(each))
        total += getsizeof(each)
        todo += gc.get_referents(each)
    return total, seen
