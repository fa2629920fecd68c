from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_pe_perf.baseline.names import file_name
from pytest_pe_perf.baseline.render import rounded
from pytest_pe_perf.baseline.store import environments, load, load_module, path_of, render, save
from pytest_pe_perf.model import BaselineRow, Environment, Key

HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
MODULE = "tests/perf/test_x.py"
FORMATS = Path(__file__).with_name("formats")

NASTY = [
    '"',
    "\\",
    "'",
    "\n",
    "\r\x85",
    "\x00",
    "\u2028",
    "[",
    "]",
    "::",
    "/",
    "é",
    "日本",
    "\u202e",
    "😀",
    "\udc80",
    " ",
]
# Python decodes what it cannot decode to low surrogates alone, and JSON joins a high one with a low one.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.lists(st.sampled_from(NASTY)).map("".join)
magnitudes = st.floats(1, 10).flatmap(lambda digits: st.integers(-12, 12).map(lambda power: digits * 10.0**power))


@st.composite
def baseline_rows(draw: st.DrawFn) -> BaselineRow:
    metric = draw(st.sampled_from(["latency", "peak", "allocations", "retained"]))
    noisy = metric == "latency"
    return BaselineRow(
        key=Key(f"{MODULE}::{draw(texts)}", draw(texts), metric),
        value=draw(magnitudes if noisy else magnitudes | st.integers(0, 2**60).map(float)),
        source=draw(texts),
        reference=draw(magnitudes | st.none()) if noisy else None,
        spread=draw(st.floats(0, 10)),
        made_with=draw(texts),
        reason=draw(texts),
        body=draw(texts),
        anchor=draw(magnitudes | st.none()),
        renamed_from=draw(texts),
    )


def row(test: str, metric: str = "latency", value: float = 1.0) -> BaselineRow:
    return BaselineRow(Key(f"{MODULE}::{test}", "", metric), value, "abc")


def lists_of_rows() -> st.SearchStrategy[list[BaselineRow]]:
    return st.lists(baseline_rows(), unique_by=lambda row: row.key, min_size=1, max_size=8)


@given(lists_of_rows())
@example([row("x" * 5000)])
@example([row("\u202etest[\U000e0001]"), row("test['\"\\\n\r\x85\u2028]")])
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[BaselineRow]) -> None:
    """Whatever a test is called, its rows come back with 4 digits, and are written again to the same bytes."""
    folder = tmp_path_factory.mktemp("baselines")
    (path,) = save(folder, HERE, {MODULE: rows})
    loaded = load(folder, HERE)
    assert loaded == {item.key: rounded(item) for item in rows}
    assert render(MODULE, HERE, loaded.values()) == path.read_bytes() == render(MODULE, HERE, reversed(rows))


@given(magnitudes, magnitudes, st.floats(0, 1))
def test_rounding_is_small_and_settles(value: float, reference: float, spread: float) -> None:
    """A time moves by less than 0.05 %, a spread never shrinks and grows by less than 10 %, and once is enough."""
    once = rounded(replace(row("x", value=value), reference=reference, spread=spread))
    assert abs(once.value / value - 1) <= 0.0005
    assert spread <= once.spread <= spread * 1.1
    assert rounded(once) == once


@given(st.integers(0, 2**53))
def test_counts_are_kept_whole(count: int) -> None:
    """A count is stored to its last digit, because it is compared to its last digit."""
    assert rounded(row("x", "allocations", float(count))).value == count


@settings(max_examples=30)
@given(lists_of_rows())
def test_one_row_a_line(rows: list[BaselineRow]) -> None:
    """The file is UTF-8 JSON of which each row is one line, and nothing invisible is in it."""
    text = render(MODULE, HERE, rows).decode()
    lines = text.splitlines()
    assert json.loads(text)["format"] == 1
    assert len(lines) == len(rows) + 7
    assert all(line.isprintable() for line in lines)
    assert text.endswith("}\n")
    assert "\r" not in text


def test_layout(tmp_path: Path) -> None:
    """The format stands first, then module, environment and the sorted rows; empty fields are left out."""
    rows = [
        replace(row("test_b", value=1.23456e-5), reference=0.000201234, spread=0.01234, reason="a cache was dropped"),
        replace(row("test_a[1]", "peak", 1572864.0), made_with="memray 1.20.0"),
    ]
    assert render(MODULE, HERE, rows).decode() == (
        "{\n"
        '  "format": 1,\n'
        '  "module": "tests/perf/test_x.py",\n'
        '  "environment": {"implementation": "cpython", "python": "3.11", "os": "linux", '
        '"cpu": "x86_64-amd-25-1", "cores": 2},\n'
        '  "rows": [\n'
        '    {"test": "test_a[1]", "metric": "peak", "value": 1572864, "unit": "B", "spread": 0, '
        '"made_with": "memray 1.20.0", "source": "abc"},\n'
        '    {"test": "test_b", "metric": "latency", "value": 1.235e-05, "unit": "s", "reference": 0.0002012, '
        '"spread": 0.013, "made_with": "", "source": "abc", "reason": "a cache was dropped"}\n'
        "  ]\n"
        "}\n"
    )


def test_format_1_is_read_for_ever() -> None:
    """The example of format 1, which must never be edited, is read and written to the same bytes."""
    (path,) = FORMATS.glob("format-1/*/*.json")
    rows = load_module(path)
    assert len(rows) == 3
    key = Key("tests/perf/test_x.py::test_parse[héé]", "cold", "latency")
    assert rows[key] == BaselineRow(key, 1.235e-05, "5f1d9a", 0.0002012, 0.013, "", "the new parser checks more")
    assert render("tests/perf/test_x.py", HERE, rows.values()) == path.read_bytes()


def test_windows_editor(tmp_path: Path) -> None:
    """CRLF and a byte order mark, which editors add, are read as if they were not there."""
    (path,) = save(tmp_path, HERE, {MODULE: [row("test_a"), row("test_b")]})
    plain = load(tmp_path, HERE)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load(tmp_path, HERE) == plain


parts = st.text(st.sampled_from("ab_._%.-:*é"), min_size=1, max_size=6).filter(lambda part: "::" not in part)
modules = st.lists(parts, min_size=1, max_size=3).map("/".join).flatmap(lambda p: st.sampled_from([p, p + ".py"]))


@given(modules, modules)
@example("tests/test_a__b.py", "tests/test_a/b.py")
@example("a_/b.py", "a/_b.py")
@example("a.md", "a.md.py")
@example("Makefile", "Makefile.py")
@example("a%.py", "a")
def test_no_two_modules_share_a_file(one: str, other: str) -> None:
    """Different modules have different files, in one folder, with names that every file system takes."""
    assert (file_name(one) == file_name(other)) == (one == other)
    assert not set(file_name(one)) & set('/\\:*?"<>|')


def test_usual_names_are_plain() -> None:
    """A module of a usual name is found without thinking."""
    assert path_of(Path("baselines"), HERE, "tests/perf/test_x.py") == Path(
        "baselines", "cpython-3.11-linux-x86_64-amd-25-1-2cpu", "tests__perf__test_x.json"
    )


def test_environments_present(tmp_path: Path) -> None:
    """The environments that have baselines are named; empty folders and other files do not count."""
    there = replace(HERE, cores=64)
    save(tmp_path, HERE, {MODULE: [row("test_a")]})
    save(tmp_path, there, {MODULE: [row("test_a")], "tests/test_y.py": []})
    (tmp_path / "empty").mkdir()
    (tmp_path / "README.md").touch()
    assert environments(tmp_path) == (HERE.slug, there.slug)
    assert environments(tmp_path / "nowhere") == ()


def test_no_baseline_is_no_error(tmp_path: Path) -> None:
    """An environment without a folder has no rows."""
    assert load(tmp_path / "nowhere", HERE) == {}


def test_a_module_without_rows_has_no_file(tmp_path: Path) -> None:
    """Saving no rows deletes the module's file, and one that is not there is no error."""
    (path,) = save(tmp_path, HERE, {MODULE: [row("test_a")]})
    assert save(tmp_path, HERE, {MODULE: []}) == save(tmp_path, HERE, {MODULE: []}) == (path,)
    assert not path.exists()
