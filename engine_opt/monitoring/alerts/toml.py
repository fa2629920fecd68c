"""What the tables of an alert file have in common: durations, secrets, and mistakes that say where they stand."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from engine_opt._validate import INF
from engine_opt.errors import ConfigError, InputError

T = TypeVar("T")

_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]+)\s*")
NEVER = "never"


class Secret:
    """Text that nobody sees by accident: neither printed nor in an error. `reveal` gives it to who needs it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return "'***'"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def secret(field: str, value: object) -> Secret:
    """Return `value` as a Secret: text that is not empty, or `{ env = "NAME" }` for a variable of the environment.

    Raises InputError, which never shows the text.
    """
    if isinstance(value, Secret):
        return value
    if isinstance(value, Mapping):
        name = value.get("env")
        if set(value) != {"env"} or type(name) is not str:
            raise InputError(field, Secret(""), 'a table here is { env = "NAME" }, and nothing else')
        found = os.environ.get(name)
        if not found:
            raise InputError(field, value, f"the environment has no variable {name}, or it is empty: set it")
        return Secret(found)
    if type(value) is not str or not value:
        raise InputError(field, Secret(""), 'it must be text that is not empty, or { env = "NAME" }')
    return Secret(value)


def text(field: str, value: object) -> str:
    """Return `value` if it is text of printable characters, not empty; raises InputError."""
    if type(value) is not str or not value.strip() or not value.isprintable():
        raise InputError(field, value, "it must be text in one line that is not empty")
    return value


def seconds(field: str, value: object) -> float:
    """Return the seconds that text such as "30 s", "5 min" or "4 h" names; raises InputError."""
    match = _DURATION.fullmatch(value) if type(value) is str else None
    scale = _SECONDS.get(match[2]) if match else None
    if match is None or scale is None or not (number := float(match[1]) * scale) < INF:
        units = ", ".join(_SECONDS)
        raise InputError(field, value, f'it is not a duration: write a number and a unit ({units}), such as "30 s"')
    return number


def seconds_or_never(field: str, value: object) -> float:
    """Return the same, and infinity for the text "never"."""
    return INF if value == NEVER else seconds(field, value)


def shown(duration: float) -> str:
    """Return a duration in the largest unit that leaves a whole number of it: 5400 is "90 min"."""
    if duration == INF:
        return NEVER
    unit = next((unit for unit in ("d", "h", "min", "s") if duration and duration % _SECONDS[unit] == 0), None)
    return f"{duration:g} s" if unit is None else f"{duration / _SECONDS[unit]:g} {unit}"


def similar(word: str, known: Iterable[str]) -> str:
    """Return a suggestion for a word that is not known, with a space before it; nothing where none is close."""
    close = get_close_matches(word, list(known), n=1)
    return f" did you mean {close[0]!r}?" if close else ""


def tables(path: Path, kinds: Iterable[str]) -> dict[str, list[Mapping[str, Any]]]:
    """Read a TOML file of lists of tables, of these kinds and no other. Raises ConfigError, which names the file."""
    import tomllib

    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    known = list(kinds)
    for name, given in tree.items():
        if name not in known:
            choices = " and ".join(f"[[{kind}]]" for kind in known)
            raise ConfigError(
                f"{path}: {name!r} is not known, the file has {choices}:{similar(name, known)}".rstrip(":")
            )
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise ConfigError(f"{path}: {name!r} must be a list of tables: write [[{name}]] above each")
    return {kind: tree.get(kind, []) for kind in known}


def built(
    path: Path,
    kind: str,
    given: Iterable[Mapping[str, Any]],
    build: Callable[[Mapping[str, Any]], T],
) -> tuple[T, ...]:
    """Return what `build` makes of each table of a kind. Raises ConfigError that lists the first mistake of each."""
    found: list[T] = []
    mistakes: list[str] = []
    for number, table in enumerate(given, 1):
        named = table.get("name")
        where = f"{kind} {named!r}" if type(named) is str else f"{kind} number {number}"
        try:
            found.append(build(table))
        except InputError as error:
            mistakes.append(f"{where}: {error}")
    if len(mistakes) > 1:
        raise ConfigError(f"{path} has {len(mistakes)} mistakes:\n" + "\n".join(f"  {each}" for each in mistakes))
    if mistakes:
        raise ConfigError(f"{path}, {mistakes[0]}")
    return tuple(found)


def check_keys(table: Mapping[str, Any], needed: Iterable[str], known: Iterable[str]) -> None:
    """Raise InputError for a key that is not known or missing."""
    choices = list(known)
    for key, value in table.items():
        if key not in choices:
            # What stands there may be a secret under a misspelt key.
            unseen = value if isinstance(value, bool | int | float) else Secret("")
            raise InputError(key, unseen, f"this key is not known:{similar(key, choices) or ' see the reference'}")
    for key in needed:
        if key not in table:
            raise InputError(key, None, "it is missing")
