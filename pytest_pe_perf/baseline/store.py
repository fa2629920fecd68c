"""Baseline files: read strictly, written the same way every time.

Format 1 (0.1): ``format``, ``module``, ``environment``, ``rows``; one row a line, sorted. There is no time, commit or
host in a file, so that accepting the same numbers twice leaves it as it was.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_pe_perf.errors import BaselineError, WriteError
from pytest_pe_perf.files import write_all_atomically
from pytest_pe_perf.model import BaselineRow, Environment, Key

from .names import file_name, folder_of, path_of
from .parse import Malformed, read_module
from .render import FORMAT, render, rounded

Content = dict[str, Any]
Upgrade = Callable[[Content], Content]

# The upgrade that makes a file of this format one of the next; there is no older format than the first.
UPGRADES: Mapping[int, Upgrade] = {}

_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|>{7}) |^={7}$", re.MULTILINE)
_MEASURE_AGAIN = "delete it, measure with `pytest --pe-perf --pe-perf-update`"


def environments(folder: Path) -> tuple[str, ...]:
    """Return the slugs of the environments that have baselines."""
    return tuple(sorted({path.parent.name for path in folder.glob("*/*.json")}))


def load(folder: Path, environment: Environment) -> dict[Key, BaselineRow]:
    """Return all rows of an environment; none where it has no folder.

    Raises:
        BaselineError: a file of it cannot be trusted.

    """
    place = folder_of(folder, environment)
    if place.exists() and not place.is_dir():
        raise BaselineError(f"{place} is not a folder; baselines are kept in folders, so move that file away")
    rows: dict[Key, BaselineRow] = {}
    for path in sorted(place.glob("*.json")):
        rows.update(load_module(path))
    return rows


def load_module(path: Path) -> dict[Key, BaselineRow]:
    """Return the rows of one file.

    Raises:
        BaselineError: the file cannot be trusted; the message names it, what was seen and what to do.

    """
    content = _upgraded(path, _decode(path, _text(path)), FORMAT, UPGRADES)
    try:
        module, environment, rows = read_module(content)
        _check_place(path, module, environment)
    except Malformed as error:
        raise BaselineError(f"{path}: {error}; {_restore(path)}") from error
    return rows


def _check_place(path: Path, module: str, environment: Environment) -> None:
    if path.name != file_name(module):
        raise Malformed(f"it holds {module!r}, whose file is {file_name(module)}")
    if path.parent.name != environment.slug:
        raise Malformed(
            f"it was recorded in the environment {environment.slug}, which is not that of its folder: "
            "numbers of one machine say nothing of another"
        )


def _text(path: Path) -> str:
    try:
        # A byte order mark and CRLF are what some editors and git settings add; the content is the same.
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise BaselineError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BaselineError(f"{path} is not UTF-8 text (byte {error.start}); {_restore(path)}") from error
    if not text.strip():
        raise BaselineError(f"{path} is empty; {_restore(path)}")
    # No line of ours starts like this: a text in JSON has no line breaks.
    if conflict := _CONFLICT.search(text):
        line = text.count("\n", 0, conflict.start()) + 1
        raise BaselineError(
            f"{path} holds the markers of a git merge conflict (line {line}); "
            f"take one side with `git checkout --theirs -- {shlex.quote(str(path))}`, "
            "measure, and run `pe-perf update`"
        )
    return text


def _decode(path: Path, text: str) -> Content:
    try:
        content = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{path} is not JSON ({error}); {_restore(path)}") from error
    if not isinstance(content, dict):
        raise BaselineError(f"{path} is not a baseline: it holds no JSON object; {_restore(path)}")
    return content


def _object(pairs: list[tuple[str, Any]]) -> Content:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(name for name in content if [n for n, _ in pairs].count(name) > 1)
        raise ValueError(f"the field {twice!r} stands twice in one object")
    return content


def _upgraded(path: Path, content: Content, to: int, upgrades: Mapping[int, Upgrade]) -> Content:
    """Return the content in format ``to``, led there one format at a time."""
    found = content.get("format")
    if type(found) is not int or not min(upgrades, default=to) <= found:
        raise BaselineError(f"{path}: the format is {found!r}, which no version wrote; {_restore(path)}")
    if found > to:
        raise BaselineError(
            f"{path}: format {found} is newer than the {to} that this version understands: upgrade pytest-pe-perf"
        )
    for older in range(found, to):
        content = upgrades[older](content) | {"format": older + 1}
    return content


def _restore(path: Path) -> str:
    return f"restore it with `git checkout -- {shlex.quote(str(path))}`, or {_MEASURE_AGAIN}"


def save(folder: Path, environment: Environment, modules: Mapping[str, Iterable[BaselineRow]]) -> tuple[Path, ...]:
    """Write the files of ``modules``, all or none, and delete those that have no rows left; return their paths.

    Raises:
        BaselineError: a row that could not be read back.
        WriteError: a file cannot be written or deleted.

    """
    files: dict[Path, bytes] = {}
    empty: list[Path] = []
    for module, rows in modules.items():
        path, listed = path_of(folder, environment, module), list(rows)
        if not listed:
            empty.append(path)
            continue
        files[path] = render(module, environment, listed)
        _check_readable(path, files[path], listed)
    write_all_atomically(files)
    _delete(empty)
    return (*files, *empty)


def _check_readable(path: Path, data: bytes, rows: Iterable[BaselineRow]) -> None:
    """Read back what is about to replace a good file."""
    try:
        if read_module(json.loads(data))[2] != {row.key: rounded(row) for row in rows}:
            raise Malformed("it would be read as something else")  # noqa: TRY301
    except (Malformed, ValueError) as error:
        raise BaselineError(f"{path} was not written: {error}") from error


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise WriteError(f"cannot delete {path}, which has no rows left: {error.strerror or error}") from error
