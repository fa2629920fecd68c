"""Tests that got another name, and how a history reads them as one.

Runs stay as they were written: a history notes beside them that a test has another name now (``HistoryStore.rename``),
and ``Renamed`` shows it with the points of all names that it had. What is measured under an old name after it was noted
is another test's, or an old branch's, and has a row of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from pytest_pe_perf.errors import HistoryError, UsageError
from pytest_pe_perf.model import Course, Key, Point

from .interface import HistoryStore, Later, Names, check_limit, course_of, points_of
from .record import About, Record

_T = TypeVar("_T")
# More points than a row has.
_ALL = 1_000_000_000


# --- names --------------------------------------------------------------------------------------------------------


def current(names: Names, test: str) -> str:
    """Return the name that a test has today."""
    path = _path(names, test)
    again = names[path[-1]].name if path[-1] in names else ""
    # A circle: two clones renamed the test to and fro, each its own way.
    return min(path[path.index(again) :]) if again in path else path[-1]


def _path(names: Names, test: str) -> list[str]:
    """Return a name and those after it, until there is no other or one comes again."""
    path = [test]
    while (later := names.get(path[-1])) is not None and later.name not in path:
        path.append(later.name)
    return path


def families(names: Names) -> dict[str, tuple[str, ...]]:
    """Return all names of each test that was renamed, by the one of today, which is the first of them."""
    found: dict[str, set[str]] = {}
    for test in {*names, *(later.name for later in names.values())}:
        found.setdefault(current(names, test), set()).add(test)
    return {today: (today, *sorted(tests - {today})) for today, tests in found.items()}


def with_renames(names: Names, pairs: Mapping[str, str], until: str) -> dict[str, Later]:
    """Return the names after each of ``pairs`` was renamed; to rename a test back takes away what says the opposite.

    ``until`` is the newest moment at which the old name meant that test.
    """
    found = dict(names)
    for old, new in pairs.items():
        if old in _path(found, new):
            found.pop(new, None)
        found[old] = Later(new, until)
    return found


def merged(ours: Names, theirs: Names, common: Names) -> dict[str, Later]:
    """Return what two clones made of the names that they had in common: what one of them changed is changed."""
    changed = {test: later for test, later in theirs.items() if common.get(test) != later}
    gone = common.keys() - theirs.keys()
    return {**changed, **{test: later for test, later in ours.items() if test not in gone}}


def read_names(text: str) -> dict[str, Later]:
    """Return the names that a history has noted.

    Raises:
        HistoryError: they are not what was written.

    """
    try:
        return names_from(json.loads(text) if text else {})
    except ValueError as error:
        raise HistoryError(f"the names of renamed tests cannot be read: {error}") from error


def names_from(found: Any) -> dict[str, Later]:
    """Return the names of which ``names_as_lists`` made this.

    Raises:
        HistoryError: it is something else.

    """
    try:
        names = {test: Later(*later) for test, later in found.items()}
        if not all(isinstance(text, str) for later in names.values() for text in later):
            raise TypeError("a name that is no text")  # noqa: TRY301 - the same as all else that it can be
    except (AttributeError, TypeError) as error:
        raise HistoryError(f"the names of renamed tests cannot be read: {error}") from error
    return names


def names_as_lists(names: Names) -> dict[str, list[str]]:
    """Return the names as JSON has them, sorted."""
    return {test: list(later) for test, later in sorted(names.items())}


def write_names(names: Names) -> str:
    """Return what ``read_names`` reads."""
    return json.dumps(names_as_lists(names))


# --- what may be renamed ------------------------------------------------------------------------------------------


def to_rename(history: HistoryStore, old: str, new: str) -> dict[str, str]:
    """Return the new name of each test of ``old``, which is a node id or the beginning of one, as ``new`` is.

    Raises:
        UsageError: there is no such test, it has not been measured under the new name, or in one run under both, or the
            new name is an old one of another test.

    """
    series = _series(history)
    named = {test: after for test in series if (after := _renamed(test, old, new)) is not None}
    if not named:
        raise UsageError(f"{old!r} names no test of the history")
    pairs = {test: after for test, after in named.items() if after != test and after in series}
    if not pairs:
        raise UsageError(f"no run has {next(iter(named.values()))} yet: measure it once with pytest --pe-perf")
    for test, after in pairs.items():
        if why := _why_not(history, series[test], test, after):
            raise UsageError(why)
    return pairs


def follow(history: HistoryStore, pairs: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Let tests go on under the new names that their baselines have now, all at once.

    Returns those of ``pairs``, each an old name and the new one, that were noted, and of the others why they were not.
    Of a test that the history does not know there is nothing to note.
    """
    series = _series(history)
    known = {old: new for old, new in pairs.items() if old in series}
    refused = {old: why for old, new in known.items() if (why := _why_not(history, series[old], old, new))}
    noted = {old: new for old, new in known.items() if old not in refused}
    if noted:
        until = history.runs()[-1].started
        history.rename(lambda names: with_renames(names, noted, until))
    return noted, refused


def take_back(names: Names, old: str, new: str) -> dict[str, str]:
    """Return which of the names say that ``old`` was renamed to ``new``.

    Raises:
        UsageError: none does.

    """
    pairs = {test: later.name for test, later in names.items() if _renamed(test, old, new) == later.name}
    if not pairs:
        raise UsageError(f"{old!r} was not renamed to {new!r}")
    return pairs


def _renamed(test: str, old: str, new: str) -> str | None:
    """Return the name of a test after ``old`` at its beginning became ``new``; None where it is no test of ``old``."""
    old, new = (name.removeprefix("./").removesuffix("/") for name in (old, new))
    rest = test.removeprefix(old)
    return new + rest if test.startswith(old) and rest[:1] in ("", "/", ":", "[") else None


def _series(history: HistoryStore) -> dict[str, list[tuple[str, Key]]]:
    """Return the environments and rows of each test."""
    series: dict[str, list[tuple[str, Key]]] = {}
    for environment, key in history.series():
        series.setdefault(key.test, []).append((environment, key))
    return series


def _why_not(history: HistoryStore, rows: Iterable[tuple[str, Key]], test: str, after: str) -> str:
    """Return why a test, which has these ``rows``, cannot go on as ``after``; empty where it can."""
    names = history.renames()
    if after in names:
        return f"{after} is an earlier name of {names[after].name}: take that back first, with --undo"
    for environment, key in rows:
        if moment := _both(history, environment, key, after):
            return f"{test} and {after} are two tests: the run of {moment} has both"
    return ""


def _both(history: HistoryStore, environment: str, key: Key, after: str) -> str:
    """Return when a run began that has a row under both names; empty where none does."""
    trends = history.trends(environment, [key, replace(key, test=after)], _ALL)
    one, other = ({point.started for point in trend} for trend in trends.values())
    return min(one & other, default="")


# --- a history under today's names --------------------------------------------------------------------------------


class Renamed(HistoryStore):
    """A history whose renamed tests go on under the name that they have today, with the points of all their names."""

    def __init__(self, inner: HistoryStore) -> None:
        self._inner = inner

    def series(self) -> tuple[tuple[str, Key], ...]:
        """Return the environment and today's key of each row that has a point, in order.

        A test of today is listed also where the points of its old name are all another test's.
        """
        found = self._inner.series()
        if not (names := self.renames()):
            return found
        rows = {(environment, replace(key, test=current(names, key.test))) for environment, key in found}
        old = sorted((environment, key) for environment, key in found if current(names, key.test) != key.test)
        for environment, keys in groupby(old, key=itemgetter(0)):
            newest = self._inner.trends(environment, [key for _, key in keys], 1)
            rows |= {(environment, key) for key, (point,) in newest.items() if point.started > names[key.test].until}
        return tuple(sorted(rows))

    def trends(self, environment_slug: str, keys: Iterable[Key], limit: int = 500) -> dict[Key, tuple[Point, ...]]:
        """Return the last ``limit`` points of each row, the oldest first; an unknown row has none."""
        check_limit(limit)

        def read(asked: list[Key]) -> dict[Key, list[tuple[str, Point]]]:
            trends = self._inner.trends(environment_slug, asked, limit)
            return {key: [(point.started, point) for point in trend] for key, trend in trends.items()}

        if not (names := self.renames()):
            return self._inner.trends(environment_slug, keys, limit)
        found = _joined(names, keys, read)
        return {key: tuple(point for _, point in points[-limit:]) for key, points in found.items()}

    def courses(self, runs: Sequence[About], keys: Iterable[Key]) -> dict[Key, Course]:
        """Return what became of each row in ``runs``, in their order; a row that has no point in any is left out."""

        def read(asked: list[Key]) -> dict[Key, list[tuple[str, tuple[Any, ...]]]]:
            courses = self._inner.courses(runs, asked)
            return {
                key: [(runs[point[0]].started, point) for point in points_of(course)] for key, course in courses.items()
            }

        if not (names := self.renames()):
            return self._inner.courses(runs, keys)
        found = _joined(names, keys, read)
        # A run has one point of a row: that of the name which is nearer to today's.
        places = {key: {row[0]: row for _, row in reversed(rows)} for key, rows in found.items() if rows}
        return {key: course_of(rows[place] for place in sorted(rows)) for key, rows in places.items()}

    # What names have nothing to do with

    def add(self, records: Iterable[Record]) -> int:
        """Add runs, all or none; those that are there already are left out. Return how many are new."""
        return self._inner.add(records)

    def runs(self) -> tuple[About, ...]:
        """Return what is known of each run, the oldest first."""
        return self._inner.runs()

    def record(self, run: About) -> Record:
        """Return a run with its values, under the names that tests had then; a run that is not there has none."""
        return self._inner.record(run)

    def remove(self, runs: Iterable[About]) -> None:
        """Take runs out, all or none."""
        self._inner.remove(runs)

    def renames(self) -> Names:
        """Return what became of the names of renamed tests."""
        return self._inner.renames()

    def rename(self, change: Callable[[Names], Names]) -> None:
        """Note that tests have other names now."""
        self._inner.rename(change)

    def project(self) -> str:
        """Return whose history it is; empty where nobody has said."""
        return self._inner.project()

    def give_to(self, project: str) -> None:
        """Make it the history of ``project``."""
        self._inner.give_to(project)


def _joined(
    names: Names, keys: Iterable[Key], read: Callable[[list[Key]], Mapping[Key, list[tuple[str, _T]]]]
) -> dict[Key, list[tuple[str, _T]]]:
    """Return what is of each row, with its moments: of today's names all that was read, of the others what came later."""
    known = families(names)
    wanted = {key: [replace(key, test=test) for test in known.get(key.test, (key.test,))] for key in keys}
    found = read(list(dict.fromkeys(each for family in wanted.values() for each in family)))
    joined: dict[Key, list[tuple[str, _T]]] = {}
    for key, family in wanted.items():
        is_old = current(names, key.test) != key.test
        points = [item for item in found.get(key, []) if not is_old or item[0] > names[key.test].until]
        for each in family[1:]:
            points += [item for item in found.get(each, []) if item[0] <= names[each.test].until]
        joined[key] = sorted(points, key=itemgetter(0))
    return joined
