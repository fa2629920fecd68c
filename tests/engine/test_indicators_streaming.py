"""Streaming indicators equal the functions of the whole series, value by value."""

from itertools import pairwise
from math import isnan, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt.protocol import indicators as ind
from engine_opt.protocol.ranking import RankedWindow

NAMES = ["AAPL", "FB", "GOOG", "IBM", "MSFT", "S&P 500", "NASDAQ"]
AVERAGES = [(ind.WilderATR, ind.wilder_atr), (ind.SimpleATR, ind.sma_atr), (ind.ExponentialATR, ind.ema_atr)]
OF_CLOSES = [
    (ind.WilderRSI, ind.wilder_rsi),
    (ind.BollingerPosition, ind.bollinger_position),
    (ind.HistoricVolatility, ind.historic_volatility),
    (ind.RateOfChange, ind.rate_of_change),
    (ind.SlopeT, ind.slope_t),
]

prices = st.floats(min_value=0.01, max_value=1e5)


def fed(stream, *columns):
    """The value after each update, NaN while the stream is not ready."""
    out = []
    for values in zip(*columns, strict=True):
        stream.update(*values)
        out.append(stream.value if stream.ready else nan)
    return out


def agree(streamed, whole):
    for index, (a, b) in enumerate(zip(streamed, whole, strict=True)):
        assert isnan(a) == isnan(b), f"ready at different times: index {index}"
        assert isnan(a) or abs(a - b) <= 1e-12 * abs(b), (index, a, b)


def columns(bars):
    return tuple([getattr(bar, name) for bar in bars] for name in ("high", "low", "close", "volume"))


@pytest.mark.parametrize("name", NAMES)
def test_streams_equal_series_on_real_prices(name, series):
    """Every stream gives the value of its function at every one of up to 5,031 sessions, to twelve digits."""
    high, low, close, volume = columns(series[name])
    ranges = ind.true_range(high, low, close)
    agree(fed(ind.TrueRange(), high, low, close), ranges)
    for stream, function in AVERAGES:
        for n in (14, 50):
            agree(fed(stream(n), ranges), function(high, low, close, n))
    for stream, function in OF_CLOSES:
        agree(fed(stream(), close), function(close))
    agree(fed(ind.ParkinsonVolatility(), high, low), ind.parkinson_volatility(high, low))
    agree(fed(ind.VolumeRatio(), volume), ind.volume_ratio(volume))


@pytest.mark.parametrize("name", NAMES)
def test_macd_stream_equals_series_on_real_prices(name, series):
    """MACD, signal and histogram agree at every session, to twelve digits of the price."""
    close = columns(series[name])[2]
    stream, whole = ind.MACD(), list(zip(*ind.macd(close), strict=True))
    for price, expected in zip(close, whole, strict=True):
        stream.update(price)
        assert stream.ready is not isnan(expected[0])
        if stream.ready:
            assert all(abs(a - b) <= 1e-12 * price for a, b in zip(stream.value, expected, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.lists(prices, max_size=60))
def test_streams_equal_series_on_any_prices(close):
    """However wild the prices, outliers a million times the rest included, stream and series agree."""
    for stream, function in OF_CLOSES:
        agree(fed(stream(), close), function(close))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(prices, prices, prices), max_size=40))
def test_average_true_ranges_agree_on_any_bars(rows):
    """However wild the bars, the three averages agree between stream and series."""
    bars = [sorted(row) for row in rows]
    low, close, high = ([bar[i] for bar in bars] for i in range(3))
    ranges = fed(ind.TrueRange(), high, low, close)
    agree(ranges, ind.true_range(high, low, close))
    for stream, function in AVERAGES:
        agree(fed(stream(7), ranges), function(high, low, close, 7))


def test_an_outlier_leaves_no_trace():
    """Once a huge value has left the window, the stream forgets it wholly: a running sum of squares would not."""
    calm = [100.0 + 0.001 * (i % 3) for i in range(40)]
    stream = ind.BollingerPosition()
    shocked = fed(stream, [*calm, 1e9, *calm])[-1]
    assert shocked == ind.bollinger_position(calm)[-1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ind.WilderATR(5),
        lambda: ind.SimpleATR(5),
        lambda: ind.ExponentialATR(5),
        lambda: ind.BollingerPosition(5),
    ],
)
def test_streams_hold_a_bounded_state(make):
    """After ten thousand values a stream holds as much as after ten."""

    def held(stream):
        slots = [name for kind in type(stream).__mro__ for name in getattr(kind, "__slots__", ())]
        return sum(len(value) for name in slots if hasattr(value := getattr(stream, name), "__len__"))

    stream = make()
    sizes = []
    for i in range(10_000):
        stream.update(100.0 + i % 7)
        if i in (9, 9_999):
            sizes.append(held(stream))
    assert sizes[0] == sizes[1]
    assert not hasattr(stream, "__dict__")


values = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=40)


@settings(deadline=None)
@given(values, st.integers(1, 12), st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0]))
def test_order_statistics_equal_their_definitions(numbers, n, value):
    """Rank, median and median deviation of a rolling window are those of sorting its last n values anew."""
    from statistics import median

    window = RankedWindow(n)
    for seen, number in enumerate(numbers, 1):
        window.push(number)
        kept = numbers[max(0, seen - n) : seen]
        assert len(window) == len(kept)
        assert window.median() == median(kept)
        assert window.median_deviation() == median(abs(x - window.median()) for x in kept)
        below, equal = sum(x < value for x in kept), sum(x == value for x in kept)
        assert window.percentile(value) == pytest.approx(100 * (below + equal / 2) / len(kept))


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20), st.floats(-1e3, 1e3))
def test_percentile_is_monotone(numbers, value):
    """A larger value has no smaller rank."""
    window = RankedWindow(20)
    for number in numbers:
        window.push(number)
    ranks = [window.percentile(x) for x in sorted([*numbers, value])]
    assert all(a <= b for a, b in pairwise(ranks))
