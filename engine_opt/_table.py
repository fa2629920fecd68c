"""A dict that cannot be changed: hashable, picklable, and looked up as fast as any dict.

`types.MappingProxyType` cannot be pickled, so that a configuration holding one could not be sent to another process.
"""

from __future__ import annotations

from typing import NoReturn, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class Table(dict[_K, _V]):
    """An immutable dict."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("this table was checked when it was built and cannot be changed: build another")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # a dict is not hashable because it can be changed
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (dict(self),)
