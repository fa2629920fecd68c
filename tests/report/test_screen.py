"""Any text fits on a screen and does it no harm."""

from __future__ import annotations

import unicodedata

import pytest
from _pytest._io.wcwidth import wcswidth
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_pe_perf.report.screen import hang, pad, printable, shorten, shorten_id, width_of, wrap, wrap_parts

ANY_TEXT = st.text(alphabet=st.characters(), max_size=80)


@given(ANY_TEXT)
@example("\x1b[2J\u202e\ud800\x00\u2028")
def test_printable_leaves_nothing_that_moves_a_cursor(text: str) -> None:
    """After ``printable`` no control, direction, half or line-separating character is left, and it can be encoded."""
    shown = printable(text)
    shown.encode()
    left = {unicodedata.category(c) for c in shown if c not in "\u200c\u200d"}
    assert not left & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_printable_keeps_what_people_read() -> None:
    """Letters of any script and joined emoji stay as they are; an escape is spelled out."""
    assert printable("naïve 日本 שלום 👩‍💻") == "naïve 日本 שלום 👩‍💻"
    assert printable("\x1b[31m") == r"\x1b[31m"


@given(ANY_TEXT)
def test_width_agrees_with_pytest(text: str) -> None:
    """Our width of a text is the one that pytest's own terminal counts, which normalises first."""
    shown = unicodedata.normalize("NFC", printable(text))
    assert width_of(shown) == wcswidth(shown)


@given(ANY_TEXT, st.integers(0, 60), st.integers(0, 60))
def test_shortened_text_fits(text: str, width: int, keep: int) -> None:
    """What is shortened is never wider than asked, whatever is to be kept."""
    assert width_of(shorten(printable(text), width, keep)) <= width
    assert width_of(shorten_id(text, width)) <= width


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (60, "tests/perf/test_startup.py::TestCold::test_import[engine]"),
        (45, "test_startup::TestCold::test_import[engine]"),
        (46, "test_startup.py::TestCold::test_import[engine]"),
        (30, "test_sta…::test_import[engine]"),
        (12, "test…engine]"),
        (1, "…"),
        (0, ""),
    ],
)
def test_id_loses_folders_first_and_its_function_last(width: int, expected: str) -> None:
    """A node id is shortened from the left: folders, suffix, module; the function stays while it fits."""
    assert shorten_id("tests/perf/test_startup.py::TestCold::test_import[engine]", width) == expected


@given(ANY_TEXT, st.integers(1, 60), st.sampled_from(["", "   "]))
def test_wrapped_lines_fit_and_keep_their_words(text: str, width: int, indent: str) -> None:
    """No wrapped line is too wide, and where every word fits none is lost."""
    lines = list(wrap(text, width, indent))
    assert all(width_of(line) <= width for line in lines)
    words = printable(text).split(" ")
    if all(width_of(word) <= width - len(indent) for word in words):
        assert [word for line in lines for word in line.split(" ") if word] == [word for word in words if word]


@given(ANY_TEXT, st.integers(1, 60))
def test_hanging_lines_fit_and_say_the_same(text: str, width: int) -> None:
    """All lines but the first are indented, none is too wide, and they say what lines without an indent say."""
    lines = list(hang(text, width))
    assert all(width_of(line) <= width for line in lines)
    if width_of(printable(text)) > width > 2:
        assert all(line.startswith("  ") for line in lines[1:])
        lines[1:] = [line[2:] for line in lines[1:]]
        assert lines == list(wrap(text, width - 2))


@given(st.lists(ANY_TEXT.filter(str.strip), min_size=1, max_size=5), st.integers(1, 60))
def test_wrapped_parts_fit(parts: list[str], width: int) -> None:
    """A sentence of parts is never wider than asked."""
    assert all(width_of(line) <= width for line in wrap_parts("pe-perf: ", parts, width))


def test_parts_break_between_parts() -> None:
    """A part that does not fit beside its neighbour begins a new line."""
    assert list(wrap_parts("x: ", ["one two", "three four"], 14)) == ["x: one two;", "three four"]


def test_pad_counts_columns() -> None:
    """Wide characters are padded by the columns that they occupy."""
    assert pad("日本", 6) == "日本  "
    assert pad("1", 3, right=True) == "  1"
