"""Quantities to text and back."""

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_pe_perf.errors import UnitError
from pytest_pe_perf.units import (
    format_bytes,
    format_change,
    format_count,
    format_quantity,
    format_seconds,
    parse_bytes,
    parse_seconds,
    parse_share,
)

PARSERS = (parse_seconds, parse_bytes, parse_share)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5 ms", 5e-3),
        ("5ms", 5e-3),
        ("  5   ms  ", 5e-3),
        ("1.5 s", 1.5),
        (".5 s", 0.5),
        ("5. s", 5.0),
        ("+5 s", 5.0),
        ("1e-3 s", 1e-3),
        ("2E3 us", 2e-3),
        ("250 ns", 250e-9),
        ("2 min", 120.0),
        ("0 s", 0.0),
        ("7 us", 7e-6),
        ("7 \u00b5s", 7e-6),
        ("7 \u03bcs", 7e-6),
        ("7 US", 7e-6),
        ("7 \u00b5S", 7e-6),
        ("7 \u039cS", 7e-6),
        ("5 Ms", 5e-3),
        ("5 MIN", 300.0),
    ],
)
def test_durations_are_read(text, seconds):
    """A duration is a number and a unit of time, in any case, with micro in both of its Unicode forms."""
    assert parse_seconds(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10 B", 10),
        ("1 kB", 1000),
        ("1 KB", 1000),
        ("3 MB", 3e6),
        ("2 GB", 2e9),
        ("1 KiB", 1024),
        ("1.5 MiB", 1.5 * 2**20),
        ("2 gib", 2**31),
        ("10MiB", 10 * 2**20),
    ],
)
def test_sizes_are_read(text, size):
    """MB is a power of ten and MiB one of two, in any case."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize(("text", "share"), [("5 %", 0.05), ("5%", 0.05), ("0.5 %", 0.005), ("150 %", 1.5), ("0%", 0)])
def test_shares_are_read(text, share):
    """A share is a number and a percent sign."""
    assert parse_share(text) == pytest.approx(share)


NOT_QUANTITIES = [
    "",
    " ",
    "5",
    "ms",
    "5 lightyears",
    "-1 ms",
    "-1 B",
    "-1 %",
    "nan s",
    "inf s",
    "nan B",
    "inf %",
    "1e400 s",
    "1e400 B",
    "1e400 %",
    "5 ms 3",
    "5 m s",
    "1,5 s",
    "1.2.3 s",
    "5 s s",
    "0x10 B",
    "five ms",
    "5 ms\0",
    "1_000 B",
    None,
    5,
    5.0,
    True,
    b"5 ms",
    ["5 ms"],
]


@pytest.mark.parametrize("text", NOT_QUANTITIES, ids=repr)
@pytest.mark.parametrize("parse", PARSERS)
def test_what_is_no_quantity_is_refused(parse, text):
    """No number, no unit, a foreign unit, a negative or an endless number, or no text at all is an error of ours."""
    with pytest.raises(UnitError):
        parse(text)


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("others", [("5 ms", parse_seconds), ("5 MiB", parse_bytes), ("5 %", parse_share)])
def test_a_unit_belongs_to_one_kind(parse, others):
    """A duration is no size, a size no share."""
    text, own = others
    if parse is not own:
        with pytest.raises(UnitError):
            parse(text)


def test_the_error_shows_what_was_seen_and_what_to_write():
    """The message holds the text, the units and an example."""
    with pytest.raises(UnitError, match=re.escape("'5 lightyears' is not a duration")) as caught:
        parse_seconds("5 lightyears")
    assert "ns, us, ms, s, min" in str(caught.value)
    assert "'5 ms'" in str(caught.value)


@given(st.text())
@example("5e ms")
@example("٥ ms")
@example("1e308 min")
def test_any_text_is_read_or_refused(text):
    """Whatever the text, the answer is a finite number that is not negative, or our error."""
    for parse in PARSERS:
        try:
            value = parse(text)
        except UnitError:
            continue
        assert math.isfinite(value)
        assert value >= 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 ns"),
        (1e-9, "1.00 ns"),
        (29e-9, "29.0 ns"),
        (999.4e-9, "999 ns"),
        (999.6e-9, "1.00 µs"),
        (12.34e-6, "12.3 µs"),
        (0.9994e-3, "999 µs"),
        (0.9996e-3, "1.00 ms"),
        (1e-3, "1.00 ms"),
        (9.994e-3, "9.99 ms"),
        (9.996e-3, "10.0 ms"),
        (99.94e-3, "99.9 ms"),
        (99.96e-3, "100 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (1.0, "1.00 s"),
        (59.9, "59.9 s"),
        (60.0, "1.00 min"),
        (6000.0, "100 min"),
        (-2e-3, "-2.00 ms"),
    ],
)
def test_seconds_are_shown_with_three_digits(seconds, text):
    """Rounding never shows 1000 of a unit, nor a fourth digit."""
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (0.5, "0.5 B"),
        (999, "999 B"),
        (999.4, "999 B"),
        (999.6, "0.98 KiB"),
        (1000, "0.98 KiB"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (10235, "10.0 KiB"),
        (2**20 - 1, "1.00 MiB"),
        (2**20, "1.00 MiB"),
        (2**30, "1.00 GiB"),
        (5 * 2**40, "5120 GiB"),
        (-2048, "-2.00 KiB"),
    ],
)
def test_bytes_are_shown_with_three_digits(size, text):
    """Sizes are shown in powers of two and never in powers of ten's notation."""
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (1234, "1,234"),
        (1234.0, "1,234"),
        (1234.5, "1,234.50"),
        (-3.0, "-3"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_counts_are_shown_whole_where_they_are(value, text):
    """A count has no decimals unless it has some, and showing one never raises."""
    assert format_count(value) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1.0, "+0.0 %"),
        (1.123, "+12.3 %"),
        (0.877, "-12.3 %"),
        (1.0004, "+0.0 %"),
        (0.9996, "+0.0 %"),
        (0.0, "-100.0 %"),
        (1.999, "+99.9 %"),
        (2.0, "2x"),
        (2.14, "2.14x"),
        (99.96, "100x"),
        (999.4, "999x"),
        (999.6, "1000x"),
        (12345.6, "12346x"),
        (999_999.4, "999999x"),
        (1e6, "1.00e+6x"),
        (8.1818e19, "8.18e+19x"),
        (math.inf, "new"),
        (math.nan, "?"),
        (-math.inf, "?"),
    ],
)
def test_a_ratio_is_shown_as_a_change(ratio, text):
    """A change has a sign and a decimal, a doubling is a factor, nothing is minus nothing."""
    assert format_change(ratio) == text


@pytest.mark.parametrize(("unit", "text"), [("s", "1.50 s"), ("B", "1.5 B"), ("1", "1.50")])
def test_a_quantity_is_shown_in_its_unit(unit, text):
    """The metric's unit chooses the form."""
    assert format_quantity(1.5, unit) == text


@given(st.floats(1e-9, 1e5))
@example(0.9996e-3)
@example(9.996e-3)
def test_seconds_survive_the_round_trip(seconds):
    """What is shown reads back to the same value within its three digits, and has three of them."""
    text = format_seconds(seconds)
    assert parse_seconds(text) == pytest.approx(seconds, rel=0.0051)
    number, unit = text.split()
    assert len(number.replace(".", "")) == 3 or unit == "min"


@given(st.floats(1, 1e13))
@example(999.6)
@example(2**20 - 1)
def test_bytes_survive_the_round_trip(size):
    """What is shown reads back to the same size within its digits, and is never in scientific notation."""
    text = format_bytes(size)
    assert "e" not in text
    assert parse_bytes(text) == pytest.approx(size, rel=0.0065)


@given(st.floats(0, 1e12), st.floats(0, 1e12))
def test_a_larger_ratio_never_shows_a_smaller_change(one, other):
    """The shown change grows with the ratio."""

    def shown(ratio):
        text = format_change(ratio)
        return float(text[:-1]) if text.endswith("x") else 1 + float(text[:-2]) / 100

    low, high = sorted((one, other))
    assert shown(low) <= shown(high)
