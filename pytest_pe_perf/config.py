"""Settings: defaults < ``[tool.pe_perf]`` in pyproject.toml < command line < marker, merged in one function."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pytest_pe_perf.errors import ConfigError
from pytest_pe_perf.model import METRICS, Acceptance, Budget
from pytest_pe_perf.units import parse_bytes, parse_seconds, parse_share


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Durations in seconds, shares as fractions, paths relative to the root directory.

    ``accept`` are the regressions that do not fail a test for a while.

    ``time`` is spent on each latency measurement: in each process, or on both sides of a comparison together. ``fresh`` is the number of fresh processes that
    measure a new or suspected row again. ``confirm``: whether a suspicion against a baseline is settled by measuring
    beside the commit that accepted it. ``profile``: whether it is looked at where the time and the memory of rows go: of those that fail, always or
    never. ``timeout`` is how long a process that measures may say nothing. ``suite``
    are the folders and files that are head's on both sides of a comparison, ``base_install`` the command that installs
    the base into an environment of its own. ``benchmark_memory``: whether ``benchmark`` tests get memory rows too.
    ``stale_after`` is the number of commits after which a time of the baseline is stale, 0 for never; after twice as
    many it decides nothing any more.
    """

    time: float = 1.0
    threshold: float = 0.10
    margin: float = 0.05
    fresh: int = 2
    benchmark_memory: bool = True
    gc: bool = False
    strict: bool = False
    confirm: str = "auto"
    profile: str = "failing"
    stale_after: int = 500
    timeout: float = 120.0
    suite: tuple[str, ...] = ()
    base_install: str = ""
    baselines: str = "baselines"
    report: str = ".pe-perf/report.html"
    json: str = ".pe-perf/run.json"
    history: str = ".pe-perf/history.sqlite"
    accept: tuple[Acceptance, ...] = ()


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{value!r} is not true or false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{value!r} is not a path")
    return value


def _command(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{value!r} is not a command")
    return value


def _confirm(value: object) -> str:
    if value not in ("auto", "failing", "never"):
        raise ConfigError(f'{value!r} is neither "auto" nor "failing" nor "never"')
    return str(value)


def _profile(value: object) -> str:
    if value not in ("failing", "always", "never"):
        raise ConfigError(f'{value!r} is neither "failing" nor "always" nor "never"')
    return str(value)


def _paths(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{value!r} is not a list of paths")
    return tuple(_text(item) for item in value)


def _fresh(value: object) -> int:
    # One process that measured a row and two fresh ones are the least that may decide: see judge.compare.
    if not isinstance(value, int) or isinstance(value, bool) or not 2 <= value <= 50:
        raise ConfigError(f"{value!r} is not a whole number from 2 to 50")
    return value


def _commits(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_COMMITS:
        raise ConfigError(f"{value!r} is not a number of commits from 0 to {_MOST_COMMITS}")
    return value


def _entries(value: object) -> tuple[Acceptance, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, dict) for item in value):
        raise ConfigError("it is not a list of tables: write each entry beneath [[tool.pe_perf.accept]]")
    found: dict[tuple[str, str], int] = {}
    entries = []
    for number, item in enumerate(value, 1):
        where = f"entry {number} ({item['test']!r})" if isinstance(item.get("test"), str) else f"entry {number}"
        entry = _entry(item, where)
        first = found.setdefault((entry.test, entry.metric), number)
        if first != number:
            raise ConfigError(f"{where}: entry {first} has the same test and metric; keep one of them")
        entries.append(entry)
    return tuple(entries)


def _entry(table: Mapping[str, object], where: str) -> Acceptance:
    """Return one entry; of a key that is absent, unknown or cannot be read, ``where`` says in which entry it stands."""
    for key in table:
        if key not in _ENTRY:
            raise _unknown("key", key, list(_ENTRY), where)
    values: dict[str, Any] = {}
    for key, read in _ENTRY.items():
        if key not in table:
            if key == "issue":
                continue
            raise ConfigError(f"{where}: {key} is missing; an entry has {', '.join(_ENTRY)} (issue may be left out)")
        try:
            values[key] = read(table[key])
        except ConfigError as error:
            raise type(error)(f"{where}: {key}: {error.args[0]}") from error
    return Acceptance(**values)


def _words(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{value!r} is not a text")
    return value.strip()


def _metric(value: object) -> str:
    judged = [metric.name for metric in METRICS.values() if metric.assume != "nothing"]
    if value not in judged:
        near = difflib.get_close_matches(str(value), judged, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(judged)}"
        raise ConfigError(f"{value!r} is no metric that is judged: {hint}")
    return str(value)


def _ceiling(value: object) -> float:
    """Return the ratio that ``1.2`` and ``"20 %"`` both name."""
    ratio = value if isinstance(value, int | float) and not isinstance(value, bool) else 1 + parse_share(value)
    if not 1 < ratio <= _HIGHEST:
        raise ConfigError(f'{value!r} is not a ratio above 1 (and at most {_HIGHEST}): write for example 1.2 or "20 %"')
    return float(ratio)


def _day(value: object) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ConfigError(f"{value!r} is not a date: write one without quotes, for example 2027-01-31")
    return value


# More than any history has.
_MOST_COMMITS = 1_000_000
# A ceiling beyond this is a slip of the pen.
_HIGHEST = 1000
# The keys of an entry of [[tool.pe_perf.accept]], and how each is read.
_ENTRY: dict[str, Callable[[object], Any]] = {
    "test": _words,
    "metric": _metric,
    "ceiling": _ceiling,
    "reason": _words,
    "issue": _words,
    "expires": _day,
}

# What a comparison of two commits can do in two seconds is more than what a stored baseline can.
PAIRED: dict[str, Any] = {"time": 2.0, "threshold": 0.05, "margin": 0.01}
# Where the settings of a project stand.
PROJECT_FILE = "pyproject.toml"
# Seconds of a measurement.
SHORTEST, LONGEST = 0.001, 3600.0


def _time(value: object) -> float:
    seconds = parse_seconds(value)
    if not SHORTEST <= seconds <= LONGEST:
        raise ConfigError(f"{value!r} is not between 1 ms and 1 h")
    return seconds


_READERS: dict[str, Callable[[object], Any]] = {
    "time": _time,
    "threshold": parse_share,
    "margin": parse_share,
    "fresh": _fresh,
    "benchmark_memory": _flag,
    "gc": _flag,
    "strict": _flag,
    "confirm": _confirm,
    "profile": _profile,
    "stale_after": _commits,
    "timeout": parse_seconds,
    "suite": _paths,
    "base_install": _command,
    "baselines": _text,
    "report": _text,
    "json": _text,
    "history": _text,
    "accept": _entries,
}
_MARKER_SETTINGS = ("time", "threshold", "margin", "gc")


def _count(value: object) -> float:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{value!r} is not a whole number")
    return float(value)


# Marker, option -> metric it limits and how it is written.
_BUDGETS: dict[str, dict[str, tuple[str, Callable[[object], float]]]] = {
    "pe_latency": {"max_latency": ("latency", parse_seconds)},
    "pe_memory": {
        "limit": ("peak", parse_bytes),
        "max_allocations": ("allocations", _count),
        "leak": ("retained", parse_bytes),
    },
}


def _unknown(kind: str, name: str, known: list[str], where: str) -> ConfigError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
    return ConfigError(f"unknown {kind} {name!r} in {where}: {hint}")


def _read(values: Mapping[str, object], where: str, allowed: tuple[str, ...]) -> dict[str, Any]:
    """Return the values as settings have them. ``where`` says in a message how this source spells a setting."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name not in allowed:
            raise _unknown("setting", name, list(allowed), where.format("").rstrip(" :"))
        try:
            found[name] = _READERS[name](value)
        except ConfigError as error:
            raise type(error)(f"{where.format(name)}: {error.args[0]}") from error
    return found


def with_changes(settings: Settings, changes: Mapping[str, Any], where: str) -> Settings:
    """Return ``settings`` with values that were read already.

    Raises:
        ConfigError: the margin is larger than the threshold.

    """
    merged = replace(settings, **changes)
    if merged.margin > merged.threshold:
        raise ConfigError(
            f"{where}: the margin ({merged.margin:.1%}), which may be ignored, "
            f"is larger than the threshold ({merged.threshold:.1%}), which must be found",
        )
    return merged


def merge(
    file: Mapping[str, object] | None = None,
    options: Mapping[str, object] | None = None,
    *,
    paired: bool = False,
) -> Settings:
    """Return the settings of the file and of the command line, which wins. Options of None were not given.

    ``paired``: the defaults are those of a comparison of two commits, where a default gives way to what was given: a
    margin that suits a baseline may be wider than the threshold of a comparison.

    Raises:
        ConfigError: an unknown name, or a value that cannot be read; the message names the source.

    """
    everything = tuple(field.name for field in fields(Settings))
    table = "[tool.pe_perf] of pyproject.toml"
    known = _read(file or {}, f"{table}: {{}}", everything)
    settings = with_changes(giving_way(Settings(**PAIRED), known) if paired else Settings(), known, table)
    given = {name: value for name, value in (options or {}).items() if value is not None}
    return with_changes(settings, _read(given, "--pe-perf-{}", everything), "the command line")


def giving_way(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return ``settings`` with a threshold and a margin that do not contradict what only one of them is changed to."""
    threshold = max(settings.threshold, changes.get("margin", 0.0))
    margin = min(settings.margin, changes.get("threshold", settings.margin))
    return replace(settings, threshold=threshold, margin=margin)


def split_marker(name: str, options: Mapping[str, object]) -> tuple[dict[str, Budget], dict[str, Any]]:
    """Return the budgets by metric of a marker's keyword arguments, and the settings for ``with_changes``.

    A marker may only speak of how its own test is measured and judged.

    Raises:
        ConfigError: an argument that the marker does not have, or one that cannot be read.

    """
    budgets: dict[str, Budget] = {}
    table = _BUDGETS[name]
    marker = f"the {name} marker"
    for option, value in options.items():
        if option in table:
            metric, read = table[option]
            try:
                budgets[metric] = Budget(read(value), f"{option}={value!r}")
            except ConfigError as error:
                raise type(error)(f"{marker}: {option}: {error.args[0]}") from error
        elif option not in _MARKER_SETTINGS:
            raise _unknown("option", option, [*table, *_MARKER_SETTINGS], marker)
    changes = {option: value for option, value in options.items() if option not in table}
    return budgets, _read(changes, f"{marker}: {{}}", _MARKER_SETTINGS)


def read_table(rootdir: Path) -> dict[str, object]:
    """Return ``[tool.pe_perf]`` of the project's pyproject.toml, empty where there is none.

    Raises:
        ConfigError: the file is not TOML, or the table is not a table.

    """
    path = rootdir / PROJECT_FILE
    try:
        return parse_table(path.read_bytes(), str(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def parse_table(data: bytes, file: str) -> dict[str, object]:
    """Return ``[tool.pe_perf]`` of a project file's content; ``file`` names it in messages.

    Raises:
        ConfigError: it is not TOML, or the table is not a table.

    """
    try:
        content = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error
    tool = content.get("tool", {})
    table = tool.get("pe_perf", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: tool.pe_perf is not a table")
    return table


def read_entries(data: bytes, file: str) -> tuple[Acceptance, ...]:
    """Return the accept entries of a project file, whatever its other settings are; ``file`` names it in messages.

    Raises:
        ConfigError: the file is not TOML, or an entry cannot be read.

    """
    found = _read({"accept": parse_table(data, file).get("accept", [])}, f"{file}: {{}}", ("accept",))
    return tuple(found["accept"])


def load_settings(rootdir: Path, options: Mapping[str, object] | None = None, *, paired: bool = False) -> Settings:
    """Return the settings of the project in ``rootdir``, with those of a command line; see ``merge``.

    Raises:
        ConfigError: see ``merge`` and ``read_table``.

    """
    return merge(read_table(rootdir), options, paired=paired)
