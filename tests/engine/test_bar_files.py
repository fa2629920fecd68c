"""Bars from files: what is good comes in exactly, and what is wrong is told by file, line and column."""

import gzip
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine_opt
from engine_opt import Bar, EngineError, InputError, data
from engine_opt.errors import FileError
from engine_opt.files import FindingKind, check_series, read_bars

HOME = Path(engine_opt.__file__).parents[1]
HEADER = "Date,Open,High,Low,Close,Volume"
GOOD = "2024-03-04,10.0,11.0,9.0,10.5,100"
LATER = "2024-03-05,10.0,11.0,9.0,10.5,100"
LAST = "2024-03-06,10.0,11.0,9.0,10.5,100"
BAR = Bar(date(2024, 3, 4), 10.0, 11.0, 9.0, 10.5, 100.0)


@pytest.fixture
def file(tmp_path):
    """Write a file of the given lines, or bytes, and return its path."""

    def write(*lines, name="bars.csv"):
        path = tmp_path / name
        content = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n"
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


@pytest.fixture
def parquet(tmp_path):
    """Write a Parquet file of the given columns and return its path."""
    arrow, writer = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

    def write(columns, name="bars.parquet", **options):
        writer.write_table(arrow.table(columns), tmp_path / name, **options)
        return tmp_path / name

    return write


def naive(text):
    """A time without a zone."""
    return datetime.fromisoformat(text)


def bars_of(path, symbol="X", **options):
    return [bar for _, bar, _ in read_bars(path, symbol, **options)]


# What is good --------------------------------------------------------------------------------------------------------


def installed(package, path):
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None, f"install the dev dependencies: {package} is missing"
    return Path(spec.origin).parent / path


@pytest.mark.parametrize("adjusted", [True, False])
def test_a_real_file_of_five_symbols_gives_the_shipped_series(adjusted):
    """The publisher's own file, five symbols in one, gives what engine_opt.data gives, adjusted or not."""
    found = {}
    for symbol, bar, vix in read_bars(installed("bokeh_sampledata", "_data/stocks.csv.gz"), adjusted=adjusted):
        found.setdefault(symbol, []).append(bar)
        assert vix is None
    assert {symbol: tuple(bars) for symbol, bars in found.items()} == {
        symbol: data.load(symbol, adjusted=adjusted) for symbol in data.symbols()
    }


def test_a_real_file_with_american_dates_gives_the_same_index(series):
    """The S&P 500 as arch ships it, its dates month first."""
    path = installed("arch", "data/sp500/sp500.csv.gz")
    found = bars_of(path, "S&P 500", date_format="MM/DD/YYYY", adjusted=False)
    assert tuple(found) == series["S&P 500"]


def test_one_symbol_of_many_is_chosen(file):
    """Rows of other symbols are passed over, whatever their numbers are."""
    path = file(f"Symbol,{HEADER}", f"A,{GOOD}", "B,bad,row,of,a,different,symbol", f" A ,{LATER}")
    assert [(symbol, bar.time.day) for symbol, bar, _ in read_bars(path, "A")] == [("A", 4), ("A", 5)]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("date,open,high,low,close,volume", "2024-03-04,10,11,9,10.5,100"),
        ("VOL,CLOSE,LOW,HIGH,OPEN,TIMESTAMP", "100,10.5,9,11,10,2024-03-04"),
        ("Note, Date , Open,High,Low,Close,Vol.,Dividends", "x, 2024-03-04 , 10,11,9,10.5,100,0"),
        ("Time,Open,High,Low,Close,Volume,Adj Close", "2024-03-04,20,22,18,21,100,10.5"),
        ("Time,Open,High,Low,Close,Volume,adj_close", "2024-03-04,20,22,18,21,100,10.5"),
        ('"Date","Open","High","Low","Close","Volume"', '"2024-03-04","10","11","9","10.5","100"'),
        ("Date,Open,High,Low,Close,Volume,Name", '2024-03-04,10,11,9,10.5,100,"Smith, ""Jo"""'),
    ],
)
def test_columns_are_found_by_name(file, header, row):
    """Case, order, blanks, usual other names, quotes and further columns make no difference."""
    assert bars_of(file(header, row)) == [BAR]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_ends_of_lines_a_byte_order_mark_and_blank_lines_make_no_difference(tmp_path, end):
    """What editors and systems add is no part of the data, and neither is what they leave out at the end."""
    path = tmp_path / "bars.csv"
    newline = end or b"\n"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + newline * 2 + GOOD.encode() + newline + LATER.encode() + end)
    assert [bar.time.day for bar in bars_of(path)] == [4, 5]


def test_vix_and_volume_may_be_empty(file):
    """What is not known is None; what is known is a number."""
    path = file("Ticker,Date,Open,High,Low,Close,Volume,VIX", "X,2024-03-04,1,1,1,1,,13.5", "X,2024-03-05,1,1,1,1,7,")
    assert [(bar.volume, vix) for _, bar, vix in read_bars(path)] == [(None, 13.5), (7.0, None)]


@pytest.mark.parametrize(
    ("text", "date_format", "time"),
    [
        ("2024-03-04", "YYYY-MM-DD", date(2024, 3, 4)),
        ("2024-03-04 16:00:00", "YYYY-MM-DD", naive("2024-03-04T16:00")),
        ("2024-03-04T21:00:00Z", "YYYY-MM-DD", datetime(2024, 3, 4, 21, tzinfo=UTC)),
        ("03/04/2024", "MM/DD/YYYY", date(2024, 3, 4)),
        ("3/4/2024", "MM/DD/YYYY", date(2024, 3, 4)),
        ("04/03/2024", "DD/MM/YYYY", date(2024, 3, 4)),
    ],
)
def test_times_are_read_as_declared(file, text, date_format, time):
    """ISO days and times, or the order of month and day that the caller declares."""
    path = file(HEADER, GOOD.replace("2024-03-04", text))
    assert [(bar.time, type(bar.time)) for bar in bars_of(path, date_format=date_format)] == [(time, type(time))]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*[st.floats(1e-9, 1e12)] * 4, st.floats(0, 1e18)), min_size=1, max_size=5))
def test_numbers_come_in_exactly(file, rows):
    """The float that was written by its repr is the float of the bar, to the last bit."""
    bars = [
        Bar(date(2024, 1, 1) + timedelta(i), opened, max(a, b, opened, close), min(a, b, opened, close), close, volume)
        for i, (a, b, opened, close, volume) in enumerate(rows)
    ]
    lines = [f"{b.time},{b.open!r},{b.high!r},{b.low!r},{b.close!r},{b.volume!r}" for b in bars]
    assert bars_of(file(HEADER, *lines)) == bars


# What is wrong -------------------------------------------------------------------------------------------------------

ROWS = {
    # name: the line, its column, the value, and what the reason says
    "cells missing": ("2024-03-05,10.0,11", "Low", "2024-03-05,10.0,11", "there are 3 cells where the header has 6"),
    "cells too many": (f"{LATER},7", None, f"{LATER},7", "there are 7 cells where the header has 6"),
    "no number": (LATER.replace("10.5", "ten"), "Close", "ten", "not a number"),
    "thousands": (LATER.replace(",100", ',"1,000"'), "Volume", "1,000", "not a number"),
    "underscores": (LATER.replace("100", "1_000"), "Volume", "1_000", "not a number"),
    "other digits": (LATER.replace("10.5", "١٠"), "Close", "١٠", "not a number"),
    "empty price": (LATER.replace("11.0", ""), "High", "", "it is empty"),
    "NaN": (LATER.replace("10.5", "NaN"), "Close", "NaN", "not finite"),
    "infinite": (LATER.replace("11.0", "inf"), "High", "inf", "not finite"),
    "overflow": (LATER.replace("11.0", "1e999"), "High", "1e999", "not finite"),
    "negative": (LATER.replace("9.0", "-9.0"), "Low", -9.0, "greater than 0"),
    "zero": (LATER.replace("9.0", "0"), "Low", 0.0, "greater than 0"),
    "negative volume": (LATER.replace("100", "-1"), "Volume", -1.0, "not be negative"),
    "NaN volume": (LATER.replace("100", "nan"), "Volume", "nan", "not finite"),
    "high below low": ("2024-03-05,10,8,9,8.5,100", "High", 8.0, "below low=9.0"),
    "close outside": (LATER.replace("10.5", "12"), "Close", 12.0, "outside of low=9.0 and high=11.0"),
    "open outside": (LATER.replace("10.0", "12"), "Open", 12.0, "outside of low=9.0 and high=11.0"),
    "unsorted": (LATER.replace("03-05", "03-01"), "Date", date(2024, 3, 1), "sort the series"),
    "twice": (GOOD, "Date", "2024-03-04", "X has a bar of this time already"),
    "other kind of time": (LATER.replace("05", "05T10:00"), "Date", naive("2024-03-05T10:00"), "cannot be compared"),
    "no day": (LATER.replace("05", "32"), "Date", "2024-03-32", "not a day as YYYY-MM-DD or an ISO time"),
    "other order": (LATER.replace("2024-03-05", "03/05/2024"), "Date", "03/05/2024", "see date_format="),
    "no hyphens": (LATER.replace("2024-03-05", "20240305"), "Date", "20240305", "not a day"),
    "one digit": (LATER.replace("05", "5"), "Date", "2024-03-5", "not a day"),
    "other separator": (LATER.replace("05", "05_10:00"), "Date", "2024-03-05_10:00", "not a day"),
    "week": (LATER.replace("2024-03-05", "2024-W10-2"), "Date", "2024-W10-2", "not a day"),
    "no date": (LATER.replace("2024-03-05", ""), "Date", "", "not a day"),
    "NUL": (LATER.replace("10.5", "10\0"), None, LATER.replace("10.5", "10\0"), "NUL byte"),
    "no UTF-8": (b"2024-03-05,10,11,9,\xff,100", None, b"\xff,100\n", "byte 20 of the line is not UTF-8"),
    "open quote": (LATER.replace("9.0", '"9.0'), None, LATER.replace("9.0", '"9.0'), "quotes do not match"),
    "text after quote": (LATER.replace("9.0", '"9.0"x'), None, LATER.replace("9.0", '"9.0"x'), "quotes do not match"),
    "return inside": (LATER.replace("10.5", "10\r"), None, LATER.replace("10.5", "10\r"), "carriage return"),
    "too long": ("2024-03-05," + "1" * 2**20, None, "2024-03-05," + "1" * 66 + "...", "more than 1 MB"),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_a_wrong_row_stops_the_reading_at_its_line_and_column(file, name, suffix):
    """The rows before it come out; then the error names file, line, column, what was seen and why it is wrong."""
    line, column, value, why = ROWS[name]
    path = file(HEADER, GOOD, line, LAST, name=f"bars.{suffix}")
    reading = read_bars(path, "X")
    assert next(reading) == ("X", BAR, None)
    with pytest.raises(FileError, match=why) as caught:
        next(reading)
    error = caught.value
    assert (error.path, error.line, error.column, error.value) == (str(path), 3, column, value)
    where = f"{path}, line 3" + (f", column {column}" if column else "")
    assert str(error).startswith(f"{where}: {value!r} was refused: ")


@pytest.mark.parametrize("name", ROWS)
def test_a_wrong_row_is_left_out_if_asked_for(file, name):
    """The rows after it come out too, and the list says what is missing."""
    line, column, value, _ = ROWS[name]
    errors = []
    path = file(HEADER, GOOD, line, LAST)
    assert [bar.time.day for bar in bars_of(path, on_error="skip", errors=errors)] == [4, 6]
    assert [(error.line, error.column, error.value) for error in errors] == [(3, column, value)]


@pytest.mark.parametrize(
    ("row", "column", "why"),
    [
        ("2024-03-05,10,11,9,10,x,20", "Adj Close", "not a number"),
        ("2024-03-05,10,11,9,10,0,20", "Adj Close", "greater than 0"),
        ("2024-03-05,10,11,9,10,,20", "Adj Close", "it is empty"),
        ("2024-03-05,10,11,9,10,1e-12,20", "Open", "between 1e-09 and"),
        ("2024-03-05,10,11,9,10,10,0", "VIX", "greater than 0"),
        ("2024-03-05,10,11,9,10,10,.", "VIX", "not a number"),
    ],
)
def test_adjusted_close_and_vix_are_checked_too(file, row, column, why):
    """A column that is used is checked like the others."""
    path = file("Date,Open,High,Low,Close,Adj Close,VIX", row)
    with pytest.raises(FileError, match=why) as caught:
        bars_of(path)
    assert (caught.value.line, caught.value.column) == (2, column)


def test_naive_and_aware_times_do_not_mix(file):
    """One series has one kind of time."""
    path = file(HEADER, GOOD.replace("03-04", "03-04T10:00"), LATER.replace("03-05", "03-05T10:00Z"))
    with pytest.raises(FileError, match=r"line 3, column Date: .* cannot be compared"):
        bars_of(path)


def test_each_symbol_has_its_own_order(file):
    """Two symbols may have the same days, in turn or one after the other; one symbol may not have a day twice."""
    path = file(f"Symbol,{HEADER}", f"A,{LATER}", f"B,{GOOD}", f"B,{LATER}", f"A,{LATER}")
    errors = []
    found = [(symbol, bar.time.day) for symbol, bar, _ in read_bars(path, on_error="skip", errors=errors)]
    assert found == [("A", 5), ("B", 4), ("B", 5)]
    assert [(error.line, error.column) for error in errors] == [(5, "Date")]


def test_a_row_without_a_symbol_is_wrong(file):
    """A blank symbol is no symbol."""
    with pytest.raises(FileError, match="line 2, column Symbol: ' ' was refused: it must be a name"):
        list(read_bars(file(f"Symbol,{HEADER}", f" ,{GOOD}")))


def test_a_last_line_that_was_cut_short_says_so(tmp_path):
    """A download that broke off leaves half a line: the error says what it probably is."""
    path = tmp_path / "bars.csv"
    path.write_text(f"{HEADER}\n{GOOD}\n{LATER[:20]}")
    with pytest.raises(FileError, match=r"line 3, column Low: .* the line has no end: was the file cut short\?"):
        bars_of(path)


@pytest.mark.parametrize(
    ("content", "line", "column", "why"),
    [
        (b"", None, None, "the file is empty"),
        (b"\n\n", None, None, "the file is empty"),
        (HEADER.encode(), 1, None, "there is a header and nothing else"),
        (HEADER.encode() + b"\n\n", 1, None, "there is a header and nothing else"),
        (b"Date,Open,High,Low\n1,2,3,4\n", 1, "close", "no column for close; the columns are Date, Open, High, Low"),
        (GOOD.encode(), 1, "time", "no column for time, open, high, low, close; the columns are 2024-03-04, 10.0"),
        (b"Date,Time,Open,High,Low,Close\n", 1, "Time", "'Date' and 'Time' both mean the time"),
        (b"\xff\xfeD\0a\0", 1, None, "byte 1 of the line is not UTF-8"),
        (b"PK\x03\x04\0\0", 1, None, "NUL byte"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_always_an_error(tmp_path, content, line, column, why):
    """There is nothing to carry on with, whatever was asked for."""
    path = tmp_path / "bars.csv"
    path.write_bytes(content)
    for options in ({}, {"on_error": "skip", "errors": []}):
        with pytest.raises(FileError, match=why) as caught:
            bars_of(path, **options)
        assert (caught.value.path, caught.value.line, caught.value.column) == (str(path), line, column)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["missing.csv", "missing.csv.gz", "missing.parquet"])
def test_a_missing_file_and_a_folder_are_named(tmp_path, name):
    """The error names the path, whatever kind of file it should have been."""
    pytest.importorskip("pyarrow")
    path = tmp_path / name
    with pytest.raises(FileError, match=r"missing\..*: there is no such file"):
        bars_of(path)
    path.mkdir()
    with pytest.raises(FileError, match=r"missing\..*: this is a folder"):
        bars_of(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(file):
    """The system's reason is passed on."""
    path = file(HEADER, GOOD)
    path.chmod(0)
    with pytest.raises(FileError, match=r"bars\.csv: it cannot be read: Permission denied"):
        bars_of(path)


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b[:40] + b"????" + b[44:], lambda _: b"Date,Open\n"])
def test_a_damaged_gz_file_is_an_error(file, damage):
    """A compressed file that is cut short, damaged, or not compressed at all gives no answer that looks complete."""
    lines = [GOOD.replace("2024-03-04", f"{date(2000, 1, 1) + timedelta(i)}") for i in range(200)]
    path = file(HEADER, *lines, name="bars.csv.gz")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileError, match=r"bars\.csv\.gz"):
        bars_of(path)


def test_a_file_without_symbols_needs_one(file):
    """Whose bars these are is not guessed from the file's name."""
    with pytest.raises(FileError, match=r"line 1, column symbol: there is no column for symbol; .* with symbol="):
        list(read_bars(file(HEADER, GOOD)))


def test_a_symbol_that_no_row_has_is_an_error(file):
    """A misspelt symbol is not an empty series."""
    with pytest.raises(FileError, match="column Ticker: 'AAPL' was refused: no row that can be used has this symbol"):
        list(read_bars(file(f"Ticker,{HEADER}", f"AAP,{GOOD}"), "AAPL"))


def test_errors_are_kept_up_to_a_bound_and_then_counted(file):
    """A file of garbage does not fill the memory with errors: after the first thousand there is one with a count."""
    errors = []
    path = file(HEADER, GOOD, *["x"] * 1234, LATER)
    assert len(bars_of(path, on_error="skip", errors=errors)) == 2
    assert len(errors) == 1001
    assert [error.line for error in errors[:1000]] == list(range(3, 1003))
    assert errors[-1].value == 234
    assert "only counted" in str(errors[-1])


def test_one_list_may_take_the_errors_of_several_files(file):
    """Each file has its own bound and its own count, also when they are read in turn."""
    errors = []
    path = file(HEADER, GOOD, *["x"] * 1100, LATER)
    both = [read_bars(path, symbol, "skip", errors) for symbol in ("A", "B")]
    assert len(list(zip(*both, strict=True))) == 2
    assert len(errors) == 2002
    assert sorted(error.value for error in errors if error.line is None) == [100, 100]


@pytest.mark.parametrize(
    "text", ["3-4-2024", "13/04/2024", "3/4/24", "3/4", "٣/4/2024", "/4/2024", "2024-03-04", "+3/4/2024"]
)
def test_a_day_that_is_not_as_declared_is_wrong(file, text):
    """A declared order is the only one."""
    with pytest.raises(FileError, match=r"line 2, column Date: .* not a day as MM/DD/YYYY; see date_format="):
        bars_of(file(HEADER, GOOD.replace("2024-03-04", text)), date_format="MM/DD/YYYY")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"on_error": "ignore"}, "on_error"),
        ({"on_error": "skip"}, "errors"),
        ({"date_format": "%m/%d/%Y"}, "date_format"),
        ({"symbol": ""}, "symbol"),
    ],
)
def test_a_wrong_argument_is_refused_at_once(options, field):
    """Before any file is looked for, and skipping needs a place for what is skipped."""
    with pytest.raises(InputError) as caught:
        read_bars("nowhere.csv", **options)
    assert caught.value.field == field


def test_a_file_error_is_an_engine_error_and_survives_pickling():
    """One except clause catches it, in another process too."""
    error = FileError("bars.csv", 3, "Close", "ten", "it is not a number")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(error, EngineError)
    assert (str(again), vars(again)) == (str(error), vars(error))
    assert str(error) == "bars.csv, line 3, column Close: 'ten' was refused: it is not a number"


# Memory --------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_fifty_megabytes_through_a_pipe_are_read_in_two(tmp_path):
    """Memory does not grow with the file: bars come out while it is still being written, a line held at a time."""
    pipe = tmp_path / "bars.csv"
    os.mkfifo(pipe)
    count, padding = 13_000, "x" * 4000

    def write():
        start = naive("2000-01-01")
        with pipe.open("w") as file:
            file.write(f"{HEADER},Note\n")
            for i in range(count):
                file.write(f"{start + timedelta(minutes=i)},10,11,9,10.5,100,{padding}\n")

    writer = threading.Thread(target=write, daemon=True)
    tracemalloc.start()
    try:
        writer.start()
        found = sum(1 for _ in read_bars(pipe, "X"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        writer.join()
    assert found == count
    assert peak < 1.5 * 2**20


def test_a_line_without_end_is_not_read_into_memory(tmp_path):
    """A line of 30 MB costs no more than the longest allowed one, and what follows it is read."""
    path = tmp_path / "bars.csv"
    with path.open("wb") as file:
        file.write(f"{HEADER}\n{GOOD}\n".encode())
        file.seek(30 * 2**20, os.SEEK_CUR)
        file.write(f"\n{LATER}\n".encode())
    errors = []
    tracemalloc.start()
    try:
        found = bars_of(path, on_error="skip", errors=errors)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [bar.time.day for bar in found] == [4, 5]
    assert [error.line for error in errors] == [3]
    assert peak < 8 * 2**20


def test_reading_csv_imports_only_what_it_needs(file):
    """No pyarrow, no logging, and nothing of a third party for a plain CSV file."""
    program = (
        "import sys; from engine_opt.files import read_bars; list(read_bars(sys.argv[1], 'X')); "
        "assert not {'pyarrow', 'numpy', 'logging', 'gzip'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, file(HEADER, GOOD)], check=True, cwd=HOME)


# Parquet -------------------------------------------------------------------------------------------------------------


def columns_of(bars, **more):
    names = ("open", "high", "low", "close", "volume")
    return {
        "Date": [bar.time for bar in bars],
        **{name.title(): [getattr(bar, name) for bar in bars] for name in names},
        **more,
    }


def test_parquet_gives_the_same_bars_as_csv(parquet):
    """A series comes back from Parquet to the last bit, through several row groups and columns nobody asked for."""
    bars = data.load("AAPL")
    path = parquet(columns_of(bars, Note=["x"] * len(bars)), row_group_size=1000)
    assert tuple(bars_of(path, "AAPL")) == bars


def test_parquet_of_several_symbols_with_vix_and_adjusted_closes(parquet):
    """Symbols as categories, whole numbers, adjusted closes and nulls mean what they mean in CSV."""
    arrow = pytest.importorskip("pyarrow")

    path = parquet(
        {
            "Symbol": arrow.array(["A", "B", "A"]).dictionary_encode(),
            "timestamp": arrow.array([naive(f"2024-03-0{day}") for day in (4, 4, 5)], arrow.timestamp("ns")),
            "Open": [20, 20, 20],
            "High": [22, 22, 22],
            "Low": [18, 18, 18],
            "Close": [21, 21, 21],
            "Adj. Close": [10.5, 21.0, 21.0],
            "Volume": [100, None, 300],
            "VIX": [13.5, None, 14.5],
        }
    )
    assert [(symbol, bar.time, bar.close, bar.volume, vix) for symbol, bar, vix in read_bars(path)] == [
        ("A", naive("2024-03-04"), 10.5, 100.0, 13.5),
        ("B", naive("2024-03-04"), 21.0, None, None),
        ("A", naive("2024-03-05"), 21.0, 300.0, 14.5),
    ]
    assert len(list(read_bars(path, "B"))) == 1


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("Close", None, "it is missing"),
        ("Close", float("nan"), "not finite"),
        ("Volume", float("nan"), "not finite"),
        ("Low", -1.0, "greater than 0"),
        ("High", 1.0, "it is below low="),
        ("Date", None, "it is missing"),
        ("Date", date(1999, 1, 1), "sort the series"),
    ],
)
def test_a_wrong_row_of_parquet_is_named_by_row_and_column(parquet, column, value, why):
    """The same checks as for CSV; rows are counted from 1."""
    columns = columns_of(data.load("AAPL")[:6])
    columns[column][3] = value
    path = parquet(columns)
    with pytest.raises(FileError, match=rf"bars\.parquet, row 4, column {column}: .*{why}") as caught:
        bars_of(path)
    assert (caught.value.line, caught.value.column) == (4, column)
    errors = []
    assert len(bars_of(path, on_error="skip", errors=errors)) == 5
    assert [error.line for error in errors] == [4]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Close": ["a"]}, "column Close: 'string' was refused: the close must be a column of numbers"),
        ({"Open": [True]}, "column Open: 'bool' was refused: the open must be a column of numbers"),
        ({"Date": [20240304]}, "column Date: 'int64' was refused: the time must be a column of days, times, or text"),
        ({"Symbol": [7]}, "column Symbol: 'int64' was refused: the symbol must be a column of text"),
        ({"close": [1.0]}, "'Close' and 'close' both mean the close"),
    ],
)
def test_a_parquet_column_of_the_wrong_type_is_named(parquet, changes, why):
    """A column's type is checked as a whole."""
    with pytest.raises(FileError, match=why):
        bars_of(parquet({**columns_of([BAR]), **changes}))


def test_a_parquet_time_finer_than_a_datetime_is_refused(parquet):
    """It is not rounded."""
    arrow = pytest.importorskip("pyarrow")

    path = parquet({**columns_of([BAR]), "Date": arrow.array([1_000_000_001], arrow.timestamp("ns"))})
    with pytest.raises(FileError, match="would lose data"):
        bars_of(path)


def test_text_days_in_parquet_are_read_as_in_csv(parquet):
    """Text is text."""
    assert bars_of(parquet({**columns_of([BAR]), "Date": ["03/04/2024"]}), date_format="MM/DD/YYYY") == [BAR]


def test_parquet_files_that_are_wrong_as_a_whole(parquet, tmp_path):
    """Missing columns, no rows, and a file that is no Parquet are told as for CSV."""
    whole = columns_of([BAR])
    with pytest.raises(FileError, match="no column for close; the columns are Date, Open, High, Low, Volume"):
        bars_of(parquet({name: values for name, values in whole.items() if name != "Close"}))
    with pytest.raises(FileError, match="there is a header and nothing else"):
        bars_of(parquet({name: values[:0] for name, values in whole.items()}))
    good = parquet(whole).read_bytes()
    for content in (b"", b"Date,Open\n", good[:-10], b"????" + good[4:-4] + b"????"):
        path = tmp_path / "damaged.parquet"
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"damaged\.parquet: it cannot be read as Parquet"):
            bars_of(path)


def test_without_pyarrow_the_error_says_what_to_install(tmp_path, monkeypatch):
    """Parquet is an extra; CSV works without it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(EngineError, match=r'pip install "pytest-pe-perf\[parquet\]"'):
        list(read_bars(tmp_path / "bars.parquet"))


# A series as a whole -------------------------------------------------------------------------------------------------


def flat(*closes, start=date(2024, 1, 1)):
    return [Bar(start + timedelta(i), close, close, close, close) for i, close in enumerate(closes)]


def test_the_real_splits_are_found_and_nothing_is_after_adjusting():
    """Unadjusted, the splits of Apple and Microsoft are found; adjusted, only Apple's fall by half of September 2000."""
    splits = [
        (symbol, finding.time, finding.size)
        for symbol in data.symbols()
        for finding in check_series(data.load(symbol, adjusted=False))
        if finding.kind is FindingKind.SUSPECTED_SPLIT
    ]
    warning = ("AAPL", date(2000, 9, 29), 2.0)
    assert splits == [
        ("AAPL", date(2000, 6, 21), 2.0),
        warning,
        ("AAPL", date(2005, 2, 28), 2.0),
        ("MSFT", date(2003, 2, 18), 2.0),
    ]
    adjusted = [(s, f.time, f.size) for s in data.symbols() for f in check_series(data.load(s))]
    assert adjusted == [warning]


def test_the_longest_real_closure_is_no_gap(series):
    """Twenty years of index sessions, September 2001 among them, have no gap and no split."""
    assert check_series(series["S&P 500"]) == []


@pytest.mark.parametrize(("days", "found"), [(1, 0), (7, 0), (8, 1), (30, 1)])
def test_a_gap_is_more_than_seven_calendar_days(days, found):
    """One day more than the longest closure."""
    first, second = flat(10.0), flat(10.0, start=date(2024, 1, 1) + timedelta(days))
    findings = check_series(first + second)
    assert [(f.kind, f.before, f.time, f.size) for f in findings] == [
        (FindingKind.GAP, first[0].time, second[0].time, days)
    ] * found


@pytest.mark.parametrize(
    ("close", "opened", "size"),
    [
        (100.0, 50.0, 2.0),
        (100.0, 53.0, 2.0),
        (100.0, 33.0, 3.0),
        (100.0, 67.0, 1.5),
        (100.0, 200.0, 0.5),
        (100.0, 10.2, 10.0),
        (5.0, 100.0, 0.05),
        (700.0, 95.0, 7.0),
        (100.0, 72.0, None),  # 39 %
        (100.0, 60.0, None),  # 5:3 is no usual split
        (100.0, 41.0, None),
        (100.0, 1.0, None),
        (100.0, 100.0, None),
    ],
)
def test_a_split_is_suspected_near_a_usual_ratio(close, opened, size):
    """Beyond 40 % of the lower price, within 10 % of a usual ratio, either way."""
    findings = check_series(flat(close, opened))
    assert [(f.kind, f.size) for f in findings] == ([] if size is None else [(FindingKind.SUSPECTED_SPLIT, size)])
    assert all(f"{opened:g}" in f.why and f"{close:g}" in f.why for f in findings)


def test_findings_change_nothing_and_bars_must_be_in_order():
    """The function reads; a series out of order is an error, not a gap."""
    bars = flat(100.0, 50.0)
    before = list(bars)
    check_series(iter(bars))
    assert bars == before
    assert check_series([]) == []
    with pytest.raises(InputError, match="sort the series"):
        check_series(bars[::-1])


def test_a_reader_that_is_given_up_closes_its_file(file):
    """Reading some rows and no more leaves no file open: an open one would be an error of this test."""
    path = file(HEADER, GOOD, LATER)
    reading = read_bars(path, "X")
    assert len(list(islice(reading, 1))) == 1
    reading.close()
    path.unlink()
