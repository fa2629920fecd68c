"""Records as plain values and back: what JSON and TOML can hold, driven by the records' own annotations.

`dump` turns an enum into its value, a date into ISO text, a timedelta into seconds, a record into a dict by field name.
A mapping keyed by a tuple gets keys joined by "/". What is infinite or not a number becomes text, for JSON has no word
for it. `load` reads the same back into the annotated type, says of every value that does not fit where it stands and
why, and takes what is not given from `base` where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from engine_opt.errors import EngineError

_T = TypeVar("_T")
_UNENDING = {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}
_NOTHING = object()


class Problem(NamedTuple):
    """One value that does not fit: where it stands, and why."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where or 'the whole'}: {self.why}"


def dump(value: object) -> Any:
    """Return `value` as dicts, lists, strings, numbers, bools and None. Raises TypeError for what is no record."""
    kind: Any = type(value)
    if value is None or kind is bool or kind is int or kind is str:
        return value
    if kind is float:
        return value if isfinite(cast("float", value)) else repr(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if is_dataclass(value):
        return {name: dump(getattr(value, name)) for name in _field_names(kind)}
    if isinstance(value, Mapping):
        return {_key(key): dump(each) for key, each in value.items()}
    if hasattr(value, "_fields"):
        record = cast("tuple[object, ...]", value)
        return {name: dump(each) for name, each in zip(kind._fields, record, strict=True)}
    if isinstance(value, list | tuple):
        return [dump(each) for each in value]
    raise TypeError(f"{kind.__name__} is no record, enum, date, number or text, and has no plain form")


def load(kind: type[_T], data: object, *, base: _T | None = None) -> tuple[_T | None, list[Problem]]:
    """Return `data` as a `kind`, and what does not fit; the record is None where anything does not.

    A field that is not given is taken from `base`, or from the record's own default.
    """
    problems: list[Problem] = []
    value = _load(kind, data, "", problems, _NOTHING if base is None else base)
    return (None, problems) if problems else (cast("_T", value), problems)


def _load(kind: Any, data: object, where: str, problems: list[Problem], base: object = _NOTHING) -> object:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _load_optional(get_args(kind), data, where, problems, base)
    if origin is Literal:
        return _chosen(get_args(kind), data, where, problems)
    if origin is tuple:
        return _load_tuple(get_args(kind), data, where, problems)
    if origin in _MAPPINGS:
        return _load_mapping(get_args(kind), data, where, problems, base)
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        return _load_record(kind, data, where, problems, base)
    if issubclass(kind, Enum):
        return _chosen(tuple(kind), data, where, problems)
    return _load_scalar(kind, data, where, problems)


_MAPPINGS = (Mapping, dict)


def _load_scalar(kind: Any, data: object, where: str, problems: list[Problem]) -> object:
    if kind is float:
        if isinstance(data, str) and data in _UNENDING:
            return _UNENDING[data]
        if isinstance(data, int | float) and not isinstance(data, bool):
            return float(data)
    elif kind is datetime or kind is date:
        return _load_time(kind, data, where, problems)
    elif kind is timedelta:
        if isinstance(data, int | float) and not isinstance(data, bool):
            return timedelta(seconds=data)
    elif kind is NoneType:
        if data is None:
            return None
    elif type(data) is kind:  # int, bool, str: a bool is not a number here
        return data
    return _wrong(problems, where, f"{_WORDS.get(kind, kind.__name__)} is expected, not {data!r}")


_WORDS = {
    float: "a number",
    int: "a whole number",
    str: "text",
    bool: "true or false",
    timedelta: "a number of seconds",
}


def _load_time(kind: Any, data: object, where: str, problems: list[Problem]) -> object:
    """Return a date or a datetime; a field annotated `date` holds either, as a bar's time does."""
    if isinstance(data, kind):
        return data
    try:
        if isinstance(data, str):
            return date.fromisoformat(data) if kind is date and len(data) == len("2000-01-01") else _moment(data)
    except ValueError:
        pass
    return _wrong(problems, where, f"an ISO {kind.__name__} is expected, not {data!r}")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _load_optional(kinds: tuple[Any, ...], data: object, where: str, problems: list[Problem], base: object) -> object:
    if data is None and NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not NoneType]
    if len(others) == 1:
        return _load(others[0], data, where, problems, _NOTHING if base is None else base)
    for kind in others:
        tried: list[Problem] = []
        value = _load(kind, data, where, tried, base)
        if not tried:
            return value
    names = " or ".join(_WORDS.get(kind, getattr(kind, "__name__", str(kind))) for kind in others)
    return _wrong(problems, where, f"{names} is expected, not {data!r}")


def _chosen(choices: Sequence[Any], data: object, where: str, problems: list[Problem]) -> object:
    for choice in choices:
        plain = choice.value if isinstance(choice, Enum) else choice
        if type(data) is type(plain) and data == plain:
            return choice
    shown = ", ".join(repr(each.value if isinstance(each, Enum) else each) for each in choices)
    return _wrong(problems, where, f"one of {shown} is expected, not {data!r}")


def _load_tuple(kinds: tuple[Any, ...], data: object, where: str, problems: list[Problem]) -> object:
    if not isinstance(data, list | tuple):
        return _wrong(problems, where, f"a list is expected, not {data!r}")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(data)
    if len(kinds) != len(data):
        return _wrong(problems, where, f"a list of {len(kinds)} is expected, not one of {len(data)}")
    return tuple(
        _load(kind, each, f"{where}[{i}]", problems) for i, (kind, each) in enumerate(zip(kinds, data, strict=True))
    )


def _load_mapping(kinds: tuple[Any, ...], data: object, where: str, problems: list[Problem], base: object) -> object:
    if not isinstance(data, Mapping):
        return _wrong(problems, where, f"a table is expected, not {data!r}")
    key_kind, value_kind = kinds
    found = dict(base) if isinstance(base, Mapping) else {}
    for plain, each in data.items():
        parts = plain.split("/") if get_origin(key_kind) is tuple else plain
        mistakes: list[Problem] = []
        key = _load(key_kind, parts, where, mistakes)
        if mistakes:
            problems.append(Problem(_inside(where, plain), f"this key is not known: {mistakes[0].why}"))
            continue
        before = found.get(key, _NOTHING)
        found[key] = _load(value_kind, each, _inside(where, plain), problems, before)
    return found


def _load_record(kind: Any, data: object, where: str, problems: list[Problem], base: object) -> object:
    if not isinstance(data, Mapping):
        return _wrong(problems, where, f"a table is expected, not {data!r}")
    hints, required = _hints(kind)
    before = len(problems)
    problems += [
        Problem(_inside(where, name), f"this is not known: choose from {', '.join(hints)}")
        for name in data
        if name not in hints
    ]
    values: dict[str, object] = {}
    for name, hint in hints.items():
        given = getattr(base, name, _NOTHING) if base is not _NOTHING else _NOTHING
        if name in data:
            values[name] = _load(hint, data[name], _inside(where, name), problems, given)
        elif given is not _NOTHING:
            values[name] = given
        elif name in required:
            _wrong(problems, _inside(where, name), "it is missing")
    if len(problems) > before:
        return None
    make = cast("Callable[..., object]", kind)
    try:
        return make(**values)
    except EngineError as error:
        return _wrong(problems, where, str(error))


def _wrong(problems: list[Problem], where: str, why: str) -> object:
    """Note what does not fit; what is returned stands in its place and is never seen."""
    problems.append(Problem(where, why))
    return _NOTHING


def _inside(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)


def _key(key: object) -> str:
    if isinstance(key, tuple):
        return "/".join(_key(each) for each in key)
    return str(key.value if isinstance(key, Enum) else key)


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind) if each.init)


@cache
def _hints(kind: type) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the annotations of a record's fields in order, and which of them must be given."""
    hints = get_type_hints(kind)
    if is_dataclass(kind):
        names = _field_names(kind)
        required = [f.name for f in fields(kind) if f.init and f.default is MISSING and f.default_factory is MISSING]
    else:
        names = kind._fields  # type: ignore[attr-defined]
        required = [name for name in names if name not in kind._field_defaults]  # type: ignore[attr-defined]
    return {name: hints[name] for name in names}, frozenset(required)
