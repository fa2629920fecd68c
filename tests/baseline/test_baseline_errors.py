from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_pe_perf.baseline import store
from pytest_pe_perf.errors import BaselineError, WriteError
from pytest_pe_perf.model import BaselineRow, Environment, Key

HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
MODULE = "tests/perf/test_x.py"
LATENCY = BaselineRow(Key(f"{MODULE}::test_a", "", "latency"), 0.5, "abc", reference=0.1)
PEAK = BaselineRow(Key(f"{MODULE}::test_a", "", "peak"), 100.0, "abc", made_with="memray 1.20.0")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (written,) = store.save(tmp_path, HERE, {MODULE: [LATENCY, PEAK]})
    return written


def refused(path: Path) -> str:
    """Return the message of the error that reading the file's folder raises; it must name the file."""
    with pytest.raises(BaselineError) as caught:
        store.load(path.parent.parent, HERE)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"", "is empty"),
        (b" \r\n", "is empty"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "holds no JSON object"),
        (b"{}", "the format is None"),
        (b'{"format": true}', "the format is True"),
        (b'{"format": 0}', "the format is 0"),
        (b'{"format": 1}', "missing or unknown fields at the top: environment, module, rows"),
        (b'{"format": 1, "format": 1}', "'format' stands twice"),
        (b"\xff\xfe{\x00}\x00", "is not UTF-8"),
    ],
)
def test_no_baseline_file(path: Path, data: bytes, seen: str) -> None:
    """A file that is no baseline is refused with what was seen and how to get the old one back."""
    path.write_bytes(data)
    message = refused(path)
    assert seen in message
    assert f"git checkout -- {path}" in message


def test_newer_format(path: Path) -> None:
    """A file of a newer version asks for an upgrade, whatever else it holds."""
    path.write_text('{"format": 7, "lines": []}')
    assert "format 7 is newer than the 1 that this version understands: upgrade pytest-pe-perf" in refused(path)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_merge_conflict(path: Path, line_end: str) -> None:
    """The markers of a merge conflict are called by their name, with the line."""
    ours = path.read_text().splitlines()
    conflict = [*ours[:5], "<<<<<<< HEAD", ours[5], "=======", ours[5], ">>>>>>> topic", *ours[6:]]
    path.write_bytes((line_end.join(conflict)).encode())
    message = refused(path)
    assert "markers of a git merge conflict (line 6)" in message
    assert "pe-perf update" in message


@pytest.mark.parametrize(
    ("field", "value", "seen"),
    [
        ("value", 0, "row 1: the value is 0.0; it must be more than 0"),
        ("value", -1.5, "row 1: the value is -1.5; it must be more than 0"),
        ("value", float("nan"), "row 1: the value is nan"),
        ("value", float("inf"), "row 1: the value is inf"),
        ("value", 10**400, "row 1: the value is inf"),
        ("value", "1", "row 1: the value is '1', not a number"),
        ("value", True, "row 1: the value is True, not a number"),
        ("value", None, "row 1: the value is None, not a number"),
        ("reference", 0, "row 1: the reference is 0.0; it must be more than 0"),
        ("spread", -0.1, "row 1: the spread is -0.1; it must be 0 or more"),
        ("spread", float("inf"), "row 1: the spread is inf; it must be 0 or more"),
        ("unit", "B", "row 1: the unit of latency is 's', not 'B'"),
        ("metric", "speed", "row 1: the metric 'speed' is none of latency, peak, allocations, retained"),
        ("metric", "cpu", "row 1: the metric 'cpu' is none of"),
        ("metric", [], "row 1: the metric is [], not a text"),
        ("test", 5, "row 1: the test is 5, not a text"),
        ("name", None, "row 1: the name is None, not a text"),
        ("when", "today", "row 1 has an unknown field: when"),
    ],
)
def test_a_field_edited_by_hand(path: Path, field: str, value: object, seen: str) -> None:
    """A number that nobody can have measured, or a field that does not belong, is refused by name."""
    edit(path, lambda content: content["rows"][0].update({field: value}))
    assert seen in refused(path)


@pytest.mark.parametrize("field", ["test", "metric", "value", "unit", "spread", "made_with", "source"])
def test_a_missing_field(path: Path, field: str) -> None:
    """A row without a required field is refused."""
    edit(path, lambda content: content["rows"][1].pop(field))
    assert f"row 2 has no {field}" in refused(path)


@pytest.mark.parametrize("value", [-1, float("nan")])
def test_a_count_below_nothing(path: Path, value: float) -> None:
    """A size may be zero and not less."""
    edit(path, lambda content: content["rows"][1].update(value=0))
    assert store.load_module(path)[PEAK.key].value == 0
    edit(path, lambda content: content["rows"][1].update(value=value))
    assert "it must be 0 or more" in refused(path)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda content: content["rows"].append(content["rows"][0]), "row 3 repeats the latency of"),
        (lambda content: content["rows"].append(5), "row 3 is not an object"),
        (lambda content: content.update(rows={}), "the rows are not a list"),
        (lambda content: content.update(when="today"), "missing or unknown fields at the top: when"),
        (lambda content: content.update(module=""), "the module is ''"),
        (lambda content: content.update(module="tests/test_y.py"), "whose file is tests__test_y.json"),
        (lambda content: content.update(environment=None), "the environment is not an object"),
        (lambda content: content["environment"].pop("cpu"), "the environment has no cpu"),
        (lambda content: content["environment"].update(host="a"), "the environment has an unknown field: host"),
        (lambda content: content["environment"].update(cores="2"), "the environment's cores is '2'"),
        (lambda content: content["environment"].update(cores=64), "which is not that of its folder"),
    ],
)
def test_a_file_edited_by_hand(path: Path, change: Callable[[dict[str, Any]], object], seen: str) -> None:
    """A file whose parts contradict each other or its place is refused."""
    edit(path, change)
    assert seen in refused(path)


def test_folder_in_place_of_a_file(path: Path) -> None:
    """A folder where a file should be is an error in words."""
    path.unlink()
    path.mkdir()
    assert "cannot read" in refused(path)


def test_file_in_place_of_the_folder(tmp_path: Path) -> None:
    """A file where the environment's folder should be is an error in words."""
    (tmp_path / HERE.slug).touch()
    with pytest.raises(BaselineError, match="is not a folder"):
        store.load(tmp_path, HERE)


@pytest.mark.parametrize("cpu", ["../../..", "a/b", "a\\b", "a b\n"])
def test_no_way_out_of_the_folder(tmp_path: Path, cpu: str) -> None:
    """An environment from a foreign run file cannot name a path outside of the baselines."""
    with pytest.raises(BaselineError, match="no name of a folder"):
        store.path_of(tmp_path, replace(HERE, cpu=cpu), MODULE)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1.7976931348623157e308])
def test_nothing_unreadable_is_written(path: Path, value: float) -> None:
    """Rows that could not be read back are not written, and the old file stays."""
    before = path.read_bytes()
    with pytest.raises(BaselineError, match="was not written"):
        store.save(path.parent.parent, HERE, {MODULE: [replace(LATENCY, value=value)]})
    assert path.read_bytes() == before


def test_rows_of_another_module_are_not_written(tmp_path: Path) -> None:
    """A row is not written to a file that is not its module's."""
    with pytest.raises(BaselineError, match="read as something else"):
        store.save(tmp_path, HERE, {"tests/test_y.py": [LATENCY]})


def test_all_files_or_none(path: Path) -> None:
    """When one of several files cannot be written, the others stay as they were."""
    before = path.read_bytes()
    blocked = replace(HERE, cores=64)
    (path.parent.parent / blocked.slug).touch()
    with pytest.raises(WriteError):
        store.save(path.parent.parent, blocked, {MODULE: [PEAK]})
    with pytest.raises(BaselineError):
        store.save(path.parent.parent, HERE, {MODULE: [PEAK], "tests/test_y.py": [LATENCY]})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_deleted(path: Path) -> None:
    """A file without rows that cannot be deleted is an error in words."""
    path.unlink()
    path.mkdir()
    with pytest.raises(WriteError, match="cannot delete"):
        store.save(path.parent.parent, HERE, {MODULE: []})


def test_upgrades_are_a_chain(tmp_path: Path) -> None:
    """A file of an old format is led to today's one format at a time."""
    steps: dict[int, store.Upgrade] = {
        1: lambda content: content | {"seen": [*content["seen"], 1]},
        2: lambda content: content | {"seen": [*content["seen"], 2]},
    }
    oldest = store._upgraded(tmp_path, {"format": 1, "seen": []}, 3, steps)
    newest = store._upgraded(tmp_path, {"format": 3, "seen": []}, 3, steps)
    assert oldest == {"format": 3, "seen": [1, 2]}
    assert newest == {"format": 3, "seen": []}
    with pytest.raises(BaselineError, match="the format is 0, which no version wrote"):
        store._upgraded(tmp_path, {"format": 0}, 3, steps)


def test_every_format_has_an_upgrade() -> None:
    """The chain is whole: each format from the first has an upgrade and an example."""
    assert sorted(store.UPGRADES) == list(range(1, store.FORMAT))
    examples = sorted(path.name for path in Path(__file__).with_name("formats").iterdir())
    assert examples == [f"format-{number}" for number in range(1, store.FORMAT + 1)]
