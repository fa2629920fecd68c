"""A test that got another name goes on in the history: what names become, what every store makes of them, two clones."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pe_perf.errors import HistoryError, UsageError
from pytest_pe_perf.history.convert.files import renames_of
from pytest_pe_perf.history.interface import Later
from pytest_pe_perf.history.record import Record, Value, make_record, utc
from pytest_pe_perf.history.renames import (
    Renamed,
    current,
    families,
    merged,
    take_back,
    to_rename,
    with_renames,
)
from pytest_pe_perf.history.schema import prepare
from pytest_pe_perf.history.sqlite import SqliteHistory
from pytest_pe_perf.history.store import follow, open_history
from pytest_pe_perf.model import Key

OLD, NEW = (Key(f"tests/test_x.py::test_{name}", "", "latency") for name in ("old", "new"))
GIT = "git:perf-data"
TESTS = st.sampled_from("abcd")
UNTIL = st.integers(0, 8).map(lambda day: f"2026-01-{day:02}T00:00:00.000000+00:00")
NAMES = st.dictionaries(TESTS, st.builds(Later, TESTS, UNTIL))


def record(day: int, *keys: Key, where: str = "here") -> Record:
    values = [Value(key, float(day), day / 10 if key == OLD else None) for key in keys]
    return make_record(f"2026-01-{day:02}", where, {"commit": "5f1d"}, values)


def noted(old: Key, new: Key, day: int = 28):
    return lambda names: with_renames(names, {old.test: new.test}, utc(f"2026-01-{day:02}"))


def renamed(**names: str) -> dict[str, Later]:
    """Return names that hold for ever."""
    return {old: Later(new, "9999") for old, new in names.items()}


@pytest.fixture(params=["sqlite", "git", "postgresql"])
def where(request: pytest.FixtureRequest) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("database"))
    return GIT if request.param == "git" else "history.sqlite"


# --- what names become --------------------------------------------------------------------------------------------


def test_names_are_followed_to_the_last() -> None:
    """A test that was renamed twice has the last name, and all names of a test are one family."""
    names = with_renames({}, {"b": "c", "a": "b"}, "9999")
    assert [current(names, test) for test in "abcd"] == ["c", "c", "c", "d"]
    assert families(names) == {"c": ("c", "a", "b")}


def test_a_test_that_is_renamed_back() -> None:
    """What said the opposite is gone; names further back are kept."""
    assert with_renames(renamed(a="b"), {"b": "a"}, "9999") == renamed(b="a")
    assert with_renames(renamed(a="b", b="c"), {"c": "a"}, "9999") == renamed(b="c", c="a")
    assert with_renames(renamed(a="b"), {"a": "c"}, "9999") == renamed(a="c")


@given(st.lists(st.tuples(TESTS, TESTS).filter(lambda pair: pair[0] != pair[1]), max_size=6))
def test_no_renaming_ends_in_a_circle(pairs: list[tuple[str, str]]) -> None:
    """Whatever was renamed, the last of it holds, and everybody has one name that is not renamed itself."""
    names: dict[str, Later] = {}
    for old, new in pairs:
        names = with_renames(names, {old: new}, "9999")
        assert current(names, old) == current(names, new)
        assert all(current(names, test) not in names for test in "abcd")


@given(NAMES)
def test_every_name_is_in_one_family(names: dict[str, Later]) -> None:
    """Also where two clones renamed in a circle: all names of a family have the one that it is called by."""
    known = families(names)
    assert sorted(test for tests in known.values() for test in tests) == sorted(
        {*names, *(later.name for later in names.values())}
    )
    assert all(current(names, test) == today == tests[0] for today, tests in known.items() for test in tests)


def test_what_one_clone_changed_is_changed() -> None:
    """Both sides' news are taken, ours where they disagree, and what one took back is gone."""
    common = renamed(a="b", c="d")
    assert merged({**common, **renamed(e="f")}, renamed(a="b", g="h"), common) == renamed(a="b", e="f", g="h")
    assert merged(renamed(a="x"), renamed(a="y"), {}) == renamed(a="x")
    assert merged(renamed(c="d"), common, common) == renamed(c="d")


# --- what a history shows -----------------------------------------------------------------------------------------


def test_the_history_goes_on(where: str, repository: Path) -> None:
    """A renamed test has the points of both names, the newest of both if not all are asked for; runs stay as they were."""
    runs = [record(day, OLD if day < 3 else NEW) for day in range(1, 5)]
    with open_history(where, repository) as history:
        history.add(runs)
        history.rename(noted(OLD, NEW))
    with open_history(where, repository) as history:
        assert history.renames()[OLD.test].name == NEW.test
        assert history.series() == (("here", NEW),)
        assert [point.value for point in history.trends("here", [NEW])[NEW]] == [1.0, 2.0, 3.0, 4.0]
        assert [point.value for point in history.trends("here", [NEW, OLD], 3)[NEW]] == [2.0, 3.0, 4.0]
        course = history.courses(history.runs()[1:], [NEW])[NEW]
        assert (list(course.places), list(course.values)) == ([0, 1, 2], [2.0, 3.0, 4.0])
        assert list(course.references) == [0.2, None, None]
        assert [history.record(about) for about in history.runs()] == runs
        history.rename(lambda _: {})
        assert history.series() == (("here", NEW), ("here", OLD))


def test_a_name_that_is_taken_again(tmp_path: Path) -> None:
    """What is measured under the old name after it was given up is another test, with a row of its own."""
    with open_history(tmp_path / "history.sqlite") as history:
        history.add([record(1, OLD), record(2, NEW)])
        history.rename(noted(OLD, NEW, 2))
        history.add([record(3, OLD, NEW)])
        assert history.series() == (("here", NEW), ("here", OLD))
        trends = history.trends("here", [OLD, NEW])
        assert [point.value for point in trends[OLD]] == [3.0]
        assert [point.value for point in trends[NEW]] == [1.0, 2.0, 3.0]
        with pytest.raises(UsageError, match=r"test_old is an earlier name of tests/test_x\.py::test_new"):
            to_rename(history, NEW.test, OLD.test)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(TESTS, min_size=1, unique=True), max_size=8), NAMES, st.integers(1, 9))
def test_a_trend_is_that_of_runs_written_under_todays_names(
    runs: list[list[str]], names: dict[str, Later], limit: int
) -> None:
    """The plain definition: in every run, give each test the name that it has since, unless it was given up before."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    prepare(connection)
    history = Renamed(SqliteHistory(connection))
    expected: dict[str, dict[int, list[float]]] = {}
    for day, tests in enumerate(runs, 1):
        values = {test: day + place / 10 for place, test in enumerate("abcd") if test in tests}
        run = make_record(
            f"2026-01-{day:02}", "here", {}, [Value(Key(test, "", "latency"), values[test]) for test in values]
        )
        history.add([run])
        for test, value in values.items():
            today = current(names, test)
            own = today == test or run.about.started > names[test].until
            found = expected.setdefault(test if own else today, {}).setdefault(day, [])
            found.insert(0 if own else len(found), value)
    history.rename(lambda _: names)
    keys = [Key(test, "", "latency") for test in sorted(expected)]
    trends = history.trends("here", keys, 100)
    listed = [key for _, key in history.series()]
    assert [key for key in listed if history.trends("here", [key])[key]] == keys
    courses = history.courses(history.runs(), keys)
    for key in keys:
        wanted = [found for _, found in sorted(expected[key.test].items())]
        assert [point.value for point in trends[key]] == [value for found in wanted for value in found]
        assert list(courses[key].values) == [found[0] for found in wanted]
    few = history.trends("here", keys, limit)
    assert all(few[key] == trends[key][-limit:] for key in keys if len(few[key]) == limit)
    connection.close()


def test_two_clones_rename(repository: Path, git: Callable[..., str]) -> None:
    """What each of two clones renamed is joined with the runs, and what one takes back is gone in the other."""
    with open_history(GIT, repository, "ours") as history:
        history.add([record(1, OLD, replace(OLD, test="a"))])
    git(repository, "clone", "-q", str(repository), "../clone")
    clone = repository.parent / "clone"
    with open_history(GIT, clone) as history:
        history.add([record(2, NEW)])
        history.rename(noted(OLD, NEW))
    with open_history(GIT, repository) as history:
        history.rename(lambda names: {**names, **renamed(a="b")})
    git(clone, "fetch", "-q")
    with open_history(GIT, clone) as history:
        assert {old: later.name for old, later in history.renames().items()} == {OLD.test: NEW.test, "a": "b"}
        assert history.project() == "ours"
    git(clone, "push", "-q", "origin", "perf-data")
    with open_history(GIT, repository) as history:
        assert [point.value for point in history.trends("here", [NEW])[NEW]] == [1.0, 2.0]
        history.claim("ours too", anew=True)
        assert history.renames().keys() == {OLD.test, "a"}
        history.claim("ours", anew=True)
        history.rename(lambda _: {})
    git(clone, "fetch", "-q")
    with open_history(GIT, clone) as history:
        assert history.renames() == {}


def test_names_that_are_damaged(tmp_path: Path) -> None:
    """Names that somebody edited are an error in words, and not a shorter history."""
    path = tmp_path / "history.sqlite"
    with open_history(path) as history:
        history.add([record(1, OLD)])
        history.rename(noted(OLD, NEW))
    for text in ("{", '["a"]', '{"a": 1}', '{"a": ["b", 1]}', '{"a": ["b"]}'):
        connection = sqlite3.connect(path)
        connection.execute("UPDATE about SET value = ? WHERE name = 'renames'", (text,))
        connection.commit()
        connection.close()
        with pytest.raises(HistoryError, match="names of renamed tests"), open_history(path) as history:
            history.series()


# --- what may be renamed ------------------------------------------------------------------------------------------


def test_a_file_that_moved(tmp_path: Path) -> None:
    """All tests of a file, with parameters and measurements of their own, go on where the new file has the same."""
    tests = ("test_a", "test_b[1]", "test_b[2]", "TestC::test_d")
    old, new = ([Key(f"tests/{module}.py::{test}", "cold", "peak") for test in tests] for module in ("one", "two"))
    near = Key("tests/one.pyx::test_a", "", "latency")
    with open_history(tmp_path / "history.sqlite") as history:
        history.add([record(1, *old, near), record(2, *new[:3])])
        pairs = to_rename(history, "./tests/one.py", "tests/two.py")
        assert pairs == {before.test: after.test for before, after in list(zip(old, new, strict=True))[:3]}
        assert to_rename(history, "tests/one.py::test_b", "tests/two.py::test_b").keys() == {old[1].test, old[2].test}


def test_what_is_no_rename(tmp_path: Path) -> None:
    """A test that nobody measured, one that has no new name yet, and two that are in one run are refused."""
    with open_history(tmp_path / "history.sqlite") as history:
        history.add([record(1, OLD), record(2, OLD, NEW), record(3, OLD, where="there")])
        with pytest.raises(UsageError, match="'tests/nowhere' names no test of the history"):
            to_rename(history, "tests/nowhere", "tests/test_x.py")
        with pytest.raises(UsageError, match=r"no run has tests/test_x\.py::test_other yet"):
            to_rename(history, OLD.test, "tests/test_x.py::test_other")
        with pytest.raises(UsageError, match="are two tests: the run of 2026-01-02"):
            to_rename(history, OLD.test, NEW.test)
        with pytest.raises(UsageError, match="was not renamed to"):
            take_back(noted(OLD, NEW)({}), OLD.test, "tests/test_x.py::test_other")
        assert take_back(noted(OLD, NEW)({}), OLD.test, NEW.test) == {OLD.test: NEW.test}


def test_baselines_take_their_tests_along(where: str, repository: Path) -> None:
    """All that can go on do so at once; of the others it is said why, and of what nobody knows there is nothing to say."""
    one, two, other, nobody = (f"tests/test_x.py::test_{name}" for name in ("one", "two", "other", "nobody"))
    with open_history(where, repository) as history:
        history.add([record(1, OLD, Key(one, "", "peak")), record(2, OLD, Key(one, "", "peak"), Key(two, "", "peak"))])
    noted, refused = follow(repository, where, {OLD.test: NEW.test, one: two, nobody: other})
    assert noted == {OLD.test: NEW.test}
    assert refused.keys() == {one}
    assert "are two tests: the run of 2026-01-02" in refused[one]
    with open_history(where, repository) as history:
        assert history.renames() == {OLD.test: Later(NEW.test, utc("2026-01-02"))}
        history.add([record(3, NEW)])
        assert [point.value for point in history.trends("here", [NEW])[NEW]] == [1.0, 2.0, 3.0]
    assert follow(repository, where, {OLD.test: NEW.test}) == ({}, {})


def test_names_come_along(tmp_path: Path) -> None:
    """The names in a history file are known to who takes over its runs."""
    with open_history(tmp_path / "history.sqlite") as history:
        history.add([record(1, OLD)])
        history.rename(noted(OLD, NEW))
    (tmp_path / "other.json").write_text("{}")
    assert renames_of([tmp_path, tmp_path / "other.json", tmp_path / "history.sqlite"]).keys() == {OLD.test}
