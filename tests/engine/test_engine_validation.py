"""Nothing impossible gets in: every door refuses it, and none answers with a default."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import inf, isfinite, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import (
    ATRAdjustmentSystem,
    Bar,
    InputError,
    MarketCondition,
    MarketConditionAnalyzer,
    WeekClassifier,
    WeekContext,
)
from engine_opt.protocol import indicators

DAY = date(2020, 1, 2)
NOT_NUMBERS = [None, nan, inf, -inf, True, False, "1", 1j, [1.0], 10**400]
NOT_PRICES = [*NOT_NUMBERS, 0, 0.0, -1, -0.5]

bar = {"time": DAY, "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 100.0}
condition = {"symbol": "AAPL", "current_price": 10.0, "week_start_price": 10.0, "volatility": 0.2}


@pytest.mark.parametrize("field", ["open", "high", "low", "close"])
@pytest.mark.parametrize("value", NOT_PRICES)
def test_a_bar_refuses_what_is_not_a_price(field, value):
    """A price is a positive finite number, and a bool is not a number."""
    with pytest.raises(InputError) as caught:
        Bar(**{**bar, field: value})
    assert caught.value.field == field
    assert caught.value.value is value


@pytest.mark.parametrize("value", [v for v in NOT_NUMBERS if v is not None] + [-1, -1e-300])
def test_a_bar_refuses_what_is_not_a_volume(value):
    """A volume is a finite number and not negative."""
    with pytest.raises(InputError, match="volume"):
        Bar(**{**bar, "volume": value})


@pytest.mark.parametrize(
    "changes",
    [{"low": 1e-10}, {"high": 1e13}, {"volume": 1e19}, {"low": 5e-324}, {"high": 1e308}, {"volume": 1e308}],
)
def test_a_bar_refuses_numbers_beyond_any_market(changes):
    """Prices and volumes whose squares or ratios would leave the range of a float are refused at the door."""
    with pytest.raises(InputError, match="between"):
        Bar(**{**bar, **changes})


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([1e-9, 1.0, 1e12]), min_size=60, max_size=60))
def test_the_wildest_bars_still_have_finite_answers(closes):
    """From the least price to the largest and back, every answer is finite."""
    analyzer, system = MarketConditionAnalyzer().stream(), ATRAdjustmentSystem()
    for i, close in enumerate(closes):
        wild = Bar(DAY + timedelta(i), close, 1e12, 1e-9, close, 1e18 * (i % 2))
        analyzer.update(wild)
        system.update("X", wild)
    answer, reading = analyzer.analysis(), system.reading("X")
    assert all(isfinite(x) for x in (*answer.metrics, *answer.distribution, answer.score) if x is not None)
    assert all(isfinite(x) for x in (*reading.atr, reading.atr_share))


@pytest.mark.parametrize("value", [None, "2020-01-02", 20200102])
def test_a_bar_refuses_what_is_not_a_time(value):
    """A bar's time is a date or a datetime."""
    with pytest.raises(InputError, match="time"):
        Bar(**{**bar, "time": value})


def test_a_bar_refuses_a_high_below_its_low():
    """High below low is an error in the data, not a range."""
    with pytest.raises(InputError, match="below low"):
        Bar(**{**bar, "high": 8.0})


@pytest.mark.parametrize("field", ["open", "close"])
@pytest.mark.parametrize("value", [8.99, 11.01])
def test_a_bar_refuses_prices_outside_its_range(field, value):
    """Open and close lie between low and high."""
    with pytest.raises(InputError, match="outside"):
        Bar(**{**bar, field: value})


def test_a_bar_allows_for_rounding_of_adjusted_prices():
    """A close that leaves the range by rounding only, as adjusting for splits can make it, is accepted."""
    assert Bar(**{**bar, "close": 11.0 * (1 + 1e-12)}).close > 11.0


@pytest.mark.parametrize("value", [10, np.float32(10), np.int64(10), Fraction(10)])
def test_real_numbers_of_other_types_become_floats(value):
    """Whole numbers, fractions and NumPy's scalars are numbers; they are stored as floats."""
    stored = Bar(**{**bar, "open": value}).open
    assert stored == 10.0
    assert type(stored) is float


def test_a_bar_cannot_be_changed():
    """What was checked stays as it was checked."""
    with pytest.raises(AttributeError):
        Bar(**bar).close = -1.0


@pytest.mark.parametrize("field", ["current_price", "week_start_price"])
@pytest.mark.parametrize("value", NOT_PRICES)
def test_a_condition_refuses_what_is_not_a_price(field, value):
    """The week classifier's prices are checked as a bar's are."""
    with pytest.raises(InputError, match=field):
        MarketCondition(**{**condition, field: value})


@pytest.mark.parametrize("value", [*NOT_NUMBERS, -0.01, 18.0])
def test_a_condition_refuses_what_is_not_a_volatility(value):
    """A volatility is a fraction: 18, percent points by mistake, is refused."""
    with pytest.raises(InputError, match="volatility"):
        MarketCondition(**{**condition, "volatility": value})


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("symbol", [None, "", 7]),
        ("previous_close", NOT_PRICES[1:]),
        ("volume_ratio", [*NOT_NUMBERS[1:], -1]),
        ("movement_percentage", NOT_NUMBERS[1:]),
        ("timestamp", ["now", 0]),
    ],
)
def test_a_condition_refuses_bad_optional_fields(field, values):
    """An optional field may be left out, but not be wrong."""
    for value in values:
        with pytest.raises(InputError, match=field):
            MarketCondition(**{**condition, field: value})


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("strike", NOT_PRICES[1:]),
        ("cost_basis", NOT_PRICES[1:]),
        ("days_to_expiration", [*NOT_NUMBERS[1:], -1, 4000]),
        ("can_roll", [None, 0, 1, "yes"]),
        ("favourable", [0, 1, "yes"]),
    ],
)
def test_a_context_refuses_bad_fields(field, values):
    """What is known of the position is checked too; yes-or-no fields take bools only."""
    for value in values:
        with pytest.raises(InputError, match=field):
            WeekContext(**{field: value})


@pytest.mark.parametrize("position", [None, "", "short", "SHORT_PUT", 1, nan])
def test_the_classifier_refuses_an_unknown_position(position):
    """An unknown position is refused with the list of known ones."""
    with pytest.raises(InputError, match="'short_put'"):
        WeekClassifier().classify_week(MarketCondition(**condition), position)


@pytest.mark.parametrize("junk", [None, {}, condition, 1.0])
def test_components_refuse_records_of_the_wrong_kind(junk, bars):
    """A dict in place of a record is refused, not read as far as it goes."""
    with pytest.raises(InputError, match="condition"):
        WeekClassifier().classify_week(junk, "cash")
    with pytest.raises(InputError, match="bar"):
        MarketConditionAnalyzer().stream().update(junk)
    with pytest.raises(InputError, match="bar"):
        MarketConditionAnalyzer().analyze([*bars, junk])
    with pytest.raises(InputError, match="bar"):
        ATRAdjustmentSystem().update("AAPL", junk)
    with pytest.raises(InputError, match="reading"):
        ATRAdjustmentSystem().adjust(junk, "GEN")


@pytest.mark.parametrize("symbol", [None, "", 3])
def test_the_atr_system_refuses_a_symbol_that_is_none(symbol, bars):
    """A symbol is a non-empty string."""
    with pytest.raises(InputError, match="symbol"):
        ATRAdjustmentSystem().update(symbol, bars[0])


@pytest.mark.parametrize("value", NOT_PRICES[1:])
def test_the_analyzer_refuses_what_is_not_a_vix(value, bars):
    """VIX may be missing, but not zero, negative or not a number."""
    stream = MarketConditionAnalyzer().stream()
    with pytest.raises(InputError, match="vix"):
        stream.update(bars[0], value)
    with pytest.raises(InputError, match="vix"):
        MarketConditionAnalyzer().analyze(bars, [value] * len(bars))


def test_a_vix_series_is_as_long_as_the_bars(bars):
    """One value of VIX, or None, belongs to each bar."""
    with pytest.raises(InputError, match="120 bars"):
        MarketConditionAnalyzer().analyze(bars, [20.0] * 119)


@pytest.mark.parametrize(
    "times",
    [
        (DAY, DAY),
        (DAY, DAY - timedelta(1)),
        (DAY, datetime(2020, 1, 3)),  # noqa: DTZ001 - a naive time is the point
        (datetime(2020, 1, 2), DAY + timedelta(1)),  # noqa: DTZ001 - a naive time is the point
        (datetime(2020, 1, 2), datetime(2020, 1, 3, tzinfo=UTC)),  # noqa: DTZ001 - a naive time is the point
        (datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 1, 3)),  # noqa: DTZ001 - a naive time is the point
    ],
)
def test_series_out_of_order_or_of_mixed_times_are_refused(times):
    """Bars follow each other, and dates, naive and aware times are not mixed; the state stays as it was."""
    first, second = (Bar(**{**bar, "time": time}) for time in times)
    market, atr = MarketConditionAnalyzer().stream(), ATRAdjustmentSystem()
    market.update(first)
    atr.update("AAPL", first)
    for attempt in (
        lambda: market.update(second),
        lambda: atr.update("AAPL", second),
        lambda: MarketConditionAnalyzer().analyze([first, second]),
        lambda: atr.measure("AAPL", [first, second]),
    ):
        with pytest.raises(InputError, match="time"):
            attempt()
    later = Bar(**{**bar, "time": times[0] + timedelta(7)})
    market.update(later)
    atr.update("AAPL", later)


@pytest.mark.parametrize("value", NOT_NUMBERS)
@pytest.mark.parametrize(
    "stream",
    [
        indicators.WilderRSI,
        indicators.MACD,
        indicators.BollingerPosition,
        indicators.HistoricVolatility,
        indicators.RateOfChange,
        indicators.SlopeT,
        indicators.VolumeRatio,
        indicators.WilderATR,
        indicators.SimpleATR,
        indicators.ExponentialATR,
    ],
)
def test_streams_refuse_what_is_not_a_number(stream, value):
    """Every streaming indicator checks what it is fed."""
    with pytest.raises(InputError):
        stream().update(value)


@pytest.mark.parametrize("stream", [indicators.TrueRange, indicators.ParkinsonVolatility])
def test_streams_of_ranges_refuse_high_below_low(stream):
    """Indicators of a range check that it is one."""
    close = (1.5,) if stream is indicators.TrueRange else ()
    with pytest.raises(InputError, match="below low"):
        stream().update(1.0, 2.0, *close)


@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_series_name_the_offending_index(value):
    """The error of a series function says which value was wrong."""
    for function in (indicators.wilder_rsi, indicators.macd, indicators.slope_t, indicators.volume_ratio):
        with pytest.raises(InputError) as caught:
            function([1.0, 2.0, value])
        assert caught.value.field.endswith("[2]")


def test_series_of_different_length_are_refused():
    """High, low and close belong together."""
    with pytest.raises(InputError, match="length"):
        indicators.true_range([2.0, 2.0], [1.0], [1.5, 1.5])


@settings(deadline=None)
@given(st.one_of(st.none(), st.booleans(), st.text(), st.floats(max_value=0.0), st.sampled_from([nan, inf])))
def test_no_price_slips_through(value):
    """Whatever is not a positive finite number is refused as a price."""
    with pytest.raises(InputError):
        MarketCondition("X", value, 1.0, 0.2)
