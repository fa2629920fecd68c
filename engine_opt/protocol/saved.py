"""The plain form of a stream's memory, and the checks on the way back.

A saved memory is made of dicts, lists, numbers, strings and None: what JSON holds, and JSON gives every float back to
the last bit. Reading it is a door like any other: each field is looked at before anything is built from it, and the
error names the field by its place, `symbols.AAPL.averages[0].value`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from engine_opt import _validate as check
from engine_opt.errors import InputError, StateError

SCHEMA = 1

State = dict[str, Any]  # plain JSON values


class Saved:
    """The fields of one saved record, read one at a time.

    Raises StateError where `data` is no dict with exactly the fields `names`: one that is missing means that the rest
    may be cut off too, one that is not known that another program wrote it.
    """

    __slots__ = ("_data", "_where")

    def __init__(self, data: object, where: str, *names: str) -> None:
        if not isinstance(data, Mapping):
            raise StateError(f"{where} is no saved record but {type(data).__name__}: give back what `save` returned")
        missing = [name for name in names if name not in data]
        if missing:
            raise StateError(f"{where} lacks {', '.join(missing)}: it is damaged, or of another kind")
        unknown = [str(name) for name in data if name not in names]
        if unknown:
            raise StateError(f"{where} has {', '.join(unknown)}, which is not known here: it is of another kind")
        self._data = data
        self._where = where

    def at(self, name: str) -> str:
        """Return where a field stands."""
        return f"{self._where}.{name}"

    def raw(self, name: str) -> object:
        """Return a field as it is."""
        value: object = self._data[name]
        return value

    def number(self, name: str, low: float = -check.INF, high: float = check.INF) -> float:
        """Return a finite number between two limits."""
        return check.between(self.at(name), self._data[name], low, high)

    def optional(self, name: str, low: float = -check.INF) -> float | None:
        """Return a finite number that may be None."""
        return None if self._data[name] is None else self.number(name, low)

    def count(self, name: str, least: int = 0) -> int:
        """Return a whole number."""
        value = self._data[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(self.at(name), value, f"it must be a whole number of at least {least}")
        return value

    def items(self, name: str, length: int) -> list[object]:
        """Return a list that must be of this length."""
        value = self._data[name]
        if not isinstance(value, list | tuple):
            raise InputError(self.at(name), value, "it must be a list")
        if len(value) != length:
            raise StateError(f"{self.at(name)} holds {len(value)} where {length} belong: it is damaged")
        return list(value)

    def numbers(self, name: str, length: int, low: float = -check.INF, high: float = check.INF) -> list[float]:
        """Return a list of this length of finite numbers between two limits."""
        values = self.items(name, length)
        return [check.between(f"{self.at(name)}[{index}]", value, low, high) for index, value in enumerate(values)]

    def time(self, name: str) -> date:
        """Return a date, or a datetime, from its ISO text."""
        text = self._data[name]
        try:
            if isinstance(text, str):
                return date.fromisoformat(text) if len(text) == len("2000-01-01") else datetime.fromisoformat(text)
        except ValueError:
            pass
        raise InputError(self.at(name), text, "it must be a date, or a date and a time, in ISO format")

    def require(self, name: str, seen: object, due: object) -> None:
        """Raise StateError unless what was read agrees with the rest of the memory."""
        if seen != due:
            raise StateError(f"{self.at(name)}={seen!r} contradicts the rest, which says {due!r}: it is damaged")


def opened(data: object, kind: str, memory: State, *names: str) -> Saved:
    """Return the fields of a saved stream whose schema, kind and memory are those expected.

    `memory` is the part of the configuration that shapes what is remembered. Raises StateError.
    """
    if isinstance(data, Mapping) and "schema" in data:  # first, for another schema may have other fields
        schema = data["schema"]
        if type(schema) is not int or schema != SCHEMA:
            raise StateError(f"{kind}.schema={schema!r} is not known: this version reads {SCHEMA}")
    state = Saved(data, kind, "schema", "memory", *names)
    saved = Saved(state.raw("memory"), state.at("memory"), *memory)
    for name, due in memory.items():
        if (seen := saved.raw(name)) != due:
            raise StateError(f"{saved.at(name)}={seen!r} is of another configuration: this one has {due!r}")
    return state
