"""Which commit accepted a baseline row, and how long ago that was: git knows, so that the files need not say."""

from __future__ import annotations

import ast
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pytest_pe_perf import git
from pytest_pe_perf.judge.stale import EXPIRES_AFTER, YOUNG, Age
from pytest_pe_perf.model import METRICS, Environment, Key

from .names import file_name, folder_of

# File names are always quoted the same way, and no daemon is started for a question of milliseconds.
_PLAIN = ("-c", "core.quotePath=true", "-c", "core.fsmonitor=false")
_SECONDS_TO_WAIT = 30.0

_Row: TypeAlias = dict[str, Any]
# A row within its file: test, name, metric.
_Name: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Origin:
    """The full hash of the commit that accepted a row, or why there is none; the other is empty."""

    commit: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    """What blame says of a row's line. ``previous`` is the file before the commit, as git names it; empty if none."""

    row: _Row
    commit: str
    previous: str


class _Unknown(Exception):  # noqa: N818
    """Git does not tell; the message says why. Becomes an origin's ``why_not``."""


def accepted_at(rootdir: Path, folder: Path, environment: Environment, keys: Iterable[Key]) -> dict[Key, Origin]:
    """Return for each key the commit in which its baseline row got the numbers that it has in the working tree.

    A row keeps its commit when its neighbours change, when only its reason is edited, when it gets the hash of its body,
    and when its file is renamed.
    The repository is the one that the baselines stand in. Where git cannot tell, the origin says why.

    Raises:
        BaselineError: the environment's slug is no name of a folder.

    """
    place = folder_of(rootdir / folder, environment)
    modules: dict[str, list[Key]] = defaultdict(list)
    for key in keys:
        modules[key.test.partition("::")[0]].append(key)
    try:
        repository = _Repository.at(place)
    except _Unknown as why:
        return {key: Origin(why_not=str(why)) for of in modules.values() for key in of}
    origins: dict[Key, Origin] = {}
    for module, of in modules.items():
        origins |= _of_module(repository, place / file_name(module), of)
    return origins


def age_of(folder: Path, environment: Environment, keys: Iterable[Key], commits: int) -> Age:
    """Return which of these rows of the baselines in ``folder`` have stood for ``commits`` commits as they stand now.

    A commit is one step back from HEAD along the first parents: what was merged is one. Git is asked once for all files.
    Where it cannot tell (there is no git, no such commit, or not in this clone) no row is old. Counts have no age.

    Raises:
        BaselineError: the environment's slug is no name of a folder.

    """
    place = folder_of(folder, environment)
    files: dict[Path, list[Key]] = defaultdict(list)
    for key in keys:
        if METRICS[key.metric].assume == "noisy":
            files[place / file_name(key.test.partition("::")[0])].append(key)
    if not (files and commits):
        return YOUNG
    before = {n: {path: f"HEAD~{n}:./{path.name}" for path in files} for n in (commits, EXPIRES_AFTER * commits)}
    try:
        then = _files(place, [name for names in before.values() for name in names.values()])
    except _Unknown:
        return YOUNG
    now = {path: _rows_in(path.read_text(encoding="utf-8", errors="replace")) for path in files}

    def standing(n: int) -> frozenset[Key]:
        found = (
            (key, then.get(before[n][path], {}).get(_name_of(key)), now[path].get(_name_of(key)))
            for path, of in files.items()
            for key in of
        )
        return frozenset(key for key, old, new in found if new is not None and _same(old, new))

    return Age(commits, standing(commits), standing(EXPIRES_AFTER * commits))


def _of_module(repository: _Repository, path: Path, keys: Iterable[Key]) -> dict[Key, Origin]:
    if not path.is_file():
        return dict.fromkeys(keys, Origin(why_not=f"there is no baseline file {path.name}"))
    names = {key: _name_of(key) for key in keys}
    try:
        found = _trace(repository, path.parent, path.name, "", set(names.values()))
    except _Unknown as why:
        return dict.fromkeys(names, Origin(why_not=str(why)))
    return {key: found[name] for key, name in names.items()}


def _trace(repository: _Repository, folder: Path, path: str, revision: str, names: set[_Name]) -> dict[_Name, Origin]:
    """Return the origins of a file's rows, seen from ``revision``; an empty one is the working tree.

    A line is not a row: it gets a comma when a row is added below, and may get other line ends or another reason. So
    where blame names a commit before which the row stood there already, the search goes on from before that commit.
    """
    lines = repository.blame(folder, path, revision)
    before = repository.files({lines[name].previous for name in names if name in lines} - {""})
    origins: dict[_Name, Origin] = {}
    older: dict[str, set[_Name]] = defaultdict(set)
    for name in names:
        line = lines.get(name)
        if line is None:
            origins[name] = Origin(why_not=f"{path} has no line with this row")
        elif _same(before.get(line.previous, {}).get(name), line.row):
            older[line.previous].add(name)
        else:
            origins[name] = repository.origin(line.commit)
    for previous, rest in older.items():
        commit, _, file = previous.partition(":")
        origins |= _trace(repository, repository.top, file, commit, rest)
    return origins


@dataclass(frozen=True, slots=True)
class _Repository:
    """A work tree as git sees it. ``shallow`` are the commits whose parents this clone does not have."""

    top: Path
    shallow: frozenset[str]

    @classmethod
    def at(cls, folder: Path) -> _Repository:
        if not folder.is_dir():
            raise _Unknown(f"there are no baselines of {folder.name}")
        said = os.fsdecode(_git(folder, "rev-parse", "--show-toplevel", "--git-path", "shallow"))
        top, shallow = said.removesuffix("\n").split("\n")
        ends = folder / shallow
        return cls(Path(top), frozenset(ends.read_text(encoding="ascii").split() if ends.is_file() else ()))

    def blame(self, folder: Path, path: str, revision: str) -> dict[_Name, _Line]:
        # An empty name takes back the files of the user's settings: to us no commit is one to be ignored.
        where = [revision, "--", path] if revision else ["--", path]
        said = _git(folder, "blame", "--line-porcelain", "--ignore-revs-file=", *where)
        return _parse_blame(said.decode("utf-8", "replace"))

    def files(self, names: Iterable[str]) -> dict[str, dict[_Name, _Row]]:
        """Return the rows of files named ``<commit>:<path>``; git is asked once for all."""
        return _files(self.top, names)

    def origin(self, commit: str) -> Origin:
        if not commit.strip("0"):
            return Origin(why_not="the row is not committed as it stands in the working tree")
        if commit in self.shallow:
            return Origin(why_not="not known in this shallow clone; get the rest with: git fetch --unshallow")
        return Origin(commit)


def _files(folder: Path, names: Iterable[str]) -> dict[str, dict[_Name, _Row]]:
    """Return the rows of files as git names them, seen from ``folder``; those that it does not have are left out."""
    asked = sorted(names)
    if not asked:
        return {}
    data = _git(folder, "cat-file", "--batch", stdin="".join(f"{name}\n" for name in asked))
    found: dict[str, dict[_Name, _Row]] = {}
    for name in asked:
        head, _, data = data.partition(b"\n")
        if head.endswith(b" missing"):
            continue
        size = int(head.rpartition(b" ")[2])
        found[name] = _rows_in(data[:size].decode("utf-8", "replace"))
        data = data[size + 1 :]
    return found


def _rows_in(text: str) -> dict[_Name, _Row]:
    return {_name(row): row for row in map(_row, text.split("\n")) if row}


def _parse_blame(text: str) -> dict[_Name, _Line]:
    """Return the rows of ``git blame --line-porcelain``: for each line a commit, its facts, a tab and the text."""
    lines: dict[_Name, _Line] = {}
    commit = previous = ""
    for line in text.split("\n"):
        if line.startswith("\t"):
            if row := _row(line):
                lines[_name(row)] = _Line(row, commit, previous)
            commit = previous = ""
        elif not commit:
            commit = line.partition(" ")[0]
        elif line.startswith("previous "):
            _, revision, path = line.split(" ", 2)
            previous = f"{revision}:{_unquoted(path)}"
    return lines


def _unquoted(path: str) -> str:
    # Git quotes unusual names as C does, which is how Python writes bytes.
    if not path.startswith('"'):
        return path
    data: bytes = ast.literal_eval(f"b{path}")
    return data.decode("utf-8", "surrogateescape")


def _row(line: str) -> _Row | None:
    """Return the row that stands on the line, if one does."""
    try:
        row = json.loads(line.strip().removesuffix(","))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and row.keys() >= {"test", "metric"} else None


def _name(row: _Row) -> _Name:
    return str(row["test"]), str(row.get("name", "")), str(row["metric"])


def _name_of(key: Key) -> _Name:
    return key.test.partition("::")[2], key.name, key.metric


def _same(old: _Row | None, new: _Row) -> bool:
    """Whether both are one acceptance: a reason that is written better later accepts nothing, nor does a hash."""
    return old is not None and {**old, "reason": "", "body": ""} == {**new, "reason": "", "body": ""}


def _git(folder: Path, *arguments: str, stdin: str = "") -> bytes:
    """Return what git printed.

    Raises:
        _Unknown: it is absent, hangs or fails.

    """
    try:
        return _output(folder, arguments, stdin, {})
    except _NoIgnoreRevsFileError:
        # The user's settings name such a file for all repositories, and this one has none. Whether git trusts the
        # repository is asked before, with all settings.
        arguments = ("-c", "safe.directory=*", *arguments)
        return _output(folder, arguments, stdin, {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull})


class _NoIgnoreRevsFileError(_Unknown):
    """Git refuses to blame because the file of the setting blame.ignoreRevsFile is not there."""


def _output(folder: Path, arguments: Iterable[str], stdin: str, settings: Mapping[str, str]) -> bytes:
    asked = stdin.encode("utf-8", "surrogateescape")
    try:
        return git.run(folder, *_PLAIN, *arguments, seconds=_SECONDS_TO_WAIT, stdin=asked, environ=settings)
    except git.GitError as error:
        if error.missing:
            raise _Unknown(f"git cannot be started: {error}") from error
        if error.status is None:
            raise _Unknown(f"git did not answer within {_SECONDS_TO_WAIT:.0f} s") from error
        raise _why(error.said, folder) from error


def _why(said: str, folder: Path) -> _Unknown:
    if "not a git repository" in said:
        return _Unknown(f"{folder} is in no git repository")
    if "no such path" in said:
        return _Unknown("the baseline file is not in git: nobody has committed it")
    if "no such ref: HEAD" in said:
        return _Unknown("nothing is committed in this repository yet")
    kind = _NoIgnoreRevsFileError if "object name list" in said else _Unknown
    return kind(f"git says: {' '.join(said.split()) or 'nothing'}")
