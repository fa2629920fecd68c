"""Columns at the door: the same values are refused as in the scalar records, and the index is named."""

import subprocess
import sys
from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

import engine_opt
from engine_opt import Bar, InputError, Position, WeekType, batch, data
from engine_opt.batch import UNKNOWN, Bars, codes, members

NAIVE = datetime(2020, 1, 4)  # noqa: DTZ001 - naive on purpose
DAYS = [date(2020, 1, 1) + timedelta(i) for i in range(5)]


def good():
    close = [10.0, 11.0, 12.0, 11.5, 11.0]
    return {
        "time": DAYS,
        "open": list(close),
        "high": [c + 1 for c in close],
        "low": [c - 1 for c in close],
        "close": close,
        "volume": [1.0, nan, 3.0, 0.0, None],
    }


def refused(field, value, index=3):
    columns = good()
    columns[field] = [*columns[field][:index], value, *columns[field][index + 1 :]]
    with pytest.raises(InputError) as caught:
        Bars.from_arrays(**columns)
    return caught.value


def test_codes_and_members_are_inverse():
    """A code is the place of a member in its enumeration; UNKNOWN stands for nothing."""
    everything = [*WeekType, None]
    assert codes(WeekType, everything).tolist() == [*range(11), UNKNOWN]
    assert members(WeekType, codes(WeekType, everything)) == everything
    assert codes(Position, ["cash", Position.SHORT_CALL]).tolist() == [0, 3]
    with pytest.raises(InputError, match=r"Position\[1\]='naked_call'"):
        codes(Position, ["cash", "naked_call"])


@pytest.mark.parametrize("symbol", data.symbols())
def test_columns_of_bars_hold_the_bars(symbol):
    """Bars go into columns and come out again."""
    bars = data.load(symbol)
    columns = Bars.of(bars)
    assert len(columns) == len(bars)
    assert columns.time.dtype == "datetime64[D]"
    assert [columns.row(i) for i in (0, 1, 50, -1)] == [bars[i] for i in (0, 1, 50, -1)]


def test_arrays_and_lists_are_taken_and_copied():
    """What makes an array makes bars, and the caller's array can change afterwards."""
    columns = good()
    close = np.array(columns["close"])
    bars = Bars.from_arrays(**{**columns, "close": close, "time": np.array(DAYS, "datetime64[ns]")})
    close[0] = 99.0
    assert bars.close[0] == 10.0
    assert np.isnan(bars.volume).tolist() == [False, True, False, False, True]
    assert bars.row(1) == Bar(datetime(2020, 1, 2), 11.0, 12.0, 10.0, 11.0)  # noqa: DTZ001 - naive on purpose
    with pytest.raises(ValueError, match="read-only"):
        bars.close[0] = 1.0
    with pytest.raises(FrozenInstanceError):
        bars.close = close
    del columns["volume"]
    assert np.isnan(Bars.from_arrays(**columns).volume).all()
    fractions = Bars.from_arrays(**{**columns, "close": np.array([Fraction(11)] * 5, object)})
    assert fractions.close.tolist() == [11.0] * 5


@pytest.mark.parametrize("field", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", [nan, inf, 0.0, -1.0, 1e13, None, True, "11"])
def test_a_bad_price_is_named_with_its_index(field, value):
    """Every price that a Bar refuses is refused, and the error says which."""
    error = refused(field, value)
    assert error.field == f"{field}[3]"
    assert error.value == pytest.approx(value, nan_ok=True) if type(value) is float else error.value is value


@pytest.mark.parametrize("value", [-1.0, inf, 1e19, True, "5"])
def test_a_bad_volume_is_named_with_its_index(value):
    """A volume may be missing, but not impossible."""
    assert refused("volume", value).field == "volume[3]"


@pytest.mark.parametrize(
    ("field", "value", "blamed"), [("high", 10.0, "high"), ("open", 14.0, "open"), ("close", 1.0, "close")]
)
def test_prices_must_fit_together(field, value, blamed):
    """A high below the low, an open or a close outside of them: the words are those of the scalar record."""
    error = refused(field, value)
    assert error.field == f"{blamed}[3]"
    columns = good()
    row = {name: columns[name][3] for name in columns} | {field: value}
    with pytest.raises(InputError) as caught:
        Bar(**row)
    assert (f"{caught.value.field}[3]", caught.value.why) == (error.field, error.why)


def test_a_close_outside_by_a_rounding_is_let_through():
    """Adjusting for splits multiplies, and multiplying rounds: both forms allow for it."""
    columns = good()
    columns["high"][2] = columns["close"][2] * (1.0 - 1e-12)
    assert Bars.from_arrays(**columns).row(2).high < 12.0


@pytest.mark.parametrize("value", [DAYS[2], DAYS[0], NAIVE, NAIVE.replace(tzinfo=UTC), "2020-01-04", 5])
def test_times_out_of_order_or_mixed_are_named(value):
    """Bars are sorted, and one series has one kind of time."""
    assert refused("time", value).field == "time[3]"


def test_missing_times_and_wrong_shapes_are_refused():
    """NaT is no time, a table is no column, and columns have one length."""
    columns = good()
    times = np.array(DAYS, "datetime64[D]")
    times[2] = "NaT"
    for change, field in (
        ({"time": times}, "time[2]"),
        ({"time": times.reshape(1, -1)}, "time"),
        ({"close": [[10.0]]}, "close[0]"),
        ({"close": np.ones((5, 1))}, "close"),
        ({"close": np.ones(4)}, "close"),
        ({"close": np.ones(5, bool)}, "close"),
        ({"close": np.array(["1"] * 5)}, "close"),
        ({"close": 10.0}, "close"),
    ):
        with pytest.raises(InputError) as caught:
            Bars.from_arrays(**{**columns, **change})
        assert caught.value.field == field
    with pytest.raises(InputError, match=r"bar\[1\]"):
        Bars.of([Bar(DAYS[0], 1.0, 1.0, 1.0, 1.0), "bar"])


def test_aware_times_come_back_as_the_same_moment():
    """Aware times are kept in UTC; naive ones stay naive."""
    for zone in (UTC, None):
        times = [datetime(2020, 1, 1, 21, tzinfo=zone) + timedelta(days=i) for i in range(5)]
        bars = Bars.of([Bar(time, 1.0, 1.0, 1.0, 1.0) for time in times])
        assert [bars.row(i).time for i in range(5)] == times
        assert bars.utc is (zone is UTC)
        assert bars.part(2).when(0) == times[2]


def test_there_may_be_no_bars():
    """An empty series is a series."""
    assert len(Bars.of([])) == 0


_PROBE = """
import sys
from pathlib import Path
import engine_opt.batch as batch
for name in batch.__all__:
    getattr(batch, name)
import engine_opt.batch.indicators
print(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20)
print(" ".join({name.partition(".")[0] for name in sys.modules} & {"pandas", "scipy", "statistics", "asyncio"}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the size of a process from /proc")
def test_the_columns_cost_little_memory():
    """All of it imported, a process stays below 40 MB, 29 of which are NumPy's, and nothing large is imported."""
    home = Path(engine_opt.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True, cwd=home)
    size, large = done.stdout.split("\n")[:2]
    assert int(size) < 40
    assert large == ""


@pytest.mark.parametrize("name", batch.__all__)
def test_public_names_exist(name):
    """Every public name can be had, and is listed."""
    assert getattr(batch, name) is not None
    assert name in dir(batch)


def test_an_unknown_name_is_an_attribute_error():
    """A name that does not exist is reported as Python does it."""
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        batch.Nonsense
