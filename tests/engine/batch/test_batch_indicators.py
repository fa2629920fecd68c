"""Indicators as arrays: those of the scalar module, TA-Lib's, and the windows and recursions that they are made of."""

from math import fsum, inf, nan

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import ConfigError, InputError, data
from engine_opt.batch import indicators as ind
from engine_opt.batch.ranks import centres_and_spreads, counts_before
from engine_opt.batch.recursion import Average, exponential, smoothed, smoothed_together, wilder
from engine_opt.batch.windows import lines, sums, sums_and_squares
from engine_opt.protocol import indicators as plain
from engine_opt.protocol.indicators import Line, mean_and_deviation
from engine_opt.protocol.ranking import RankedWindow

NAMES = [*data.symbols(), "S&P 500", "NASDAQ"]


@pytest.fixture(scope="module", params=NAMES)
def hlcv(request, series):
    """High, low, close, volume as arrays."""
    bars = series[request.param][-1200:]
    return tuple(np.array([getattr(bar, name) for bar in bars]) for name in ("high", "low", "close", "volume"))


def same(ours, theirs, rel, abs_=0.0):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert np.array_equal(np.isnan(ours), np.isnan(theirs)), "defined at different indices"
    known = ~np.isnan(ours)
    np.testing.assert_allclose(ours[known], theirs[known], rtol=rel, atol=abs_)


@pytest.mark.parametrize("n", [1, 2, 14, 50])
def test_ranges_and_their_averages(hlcv, n):
    """True range and the three averages equal the scalar functions, and Wilder's equals TA-Lib's."""
    high, low, close, _ = hlcv
    assert ind.true_range(high, low, close).tolist() == plain.true_range(high, low, close)
    for ours, theirs in (
        (ind.wilder_atr, plain.wilder_atr),
        (ind.ema_atr, plain.ema_atr),
        (ind.sma_atr, plain.sma_atr),
    ):
        same(ours(high, low, close, n), theirs(high, low, close, n), 1e-12)
    same(
        ind.wilder_atr(high, low, close, n),
        talib.ATR(high, low, close, n) if n > 1 else talib.TRANGE(high, low, close),
        1e-12,
    )


def test_strength_and_convergence(hlcv):
    """RSI and MACD equal the scalar functions and TA-Lib, both averages seeded alike."""
    close = hlcv[2]
    for theirs in (plain.wilder_rsi(close), talib.RSI(close, 14)):
        same(ind.wilder_rsi(close), theirs, 0.0, 1e-12)
    for theirs in (plain.macd(close), talib.MACD(close, 12, 26, 9)):
        for mine, other in zip(ind.macd(close), theirs, strict=True):
            same(mine, other, 0.0, 1e-12 * close.max())
    for mine, other in zip(ind.macd(close, 3, 7, 1), plain.macd(close, 3, 7, 1), strict=True):
        same(mine, other, 0.0, 1e-13 * close.max())
    same(ind.wilder_rsi(close, 3), plain.wilder_rsi(close, 3), 0.0, 1e-12)


def test_bands(hlcv):
    """The position between the bands equals the scalar function; TA-Lib's own variance loses some digits."""
    close = hlcv[2]
    same(ind.bollinger_position(close), plain.bollinger_position(close), 0.0, 1e-12)
    upper, _, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    same(ind.bollinger_position(close), (close - lower) / (upper - lower), 0.0, 1e-7)
    same(ind.bollinger_position(close, 5, 1.0), plain.bollinger_position(close, 5, 1.0), 0.0, 1e-12)


@pytest.mark.parametrize("n", [5, 20])
def test_window_indicators(hlcv, n):
    """Volatilities, returns, slopes and volume ratios equal the scalar functions."""
    high, low, close, volume = hlcv
    same(ind.historic_volatility(close, n), plain.historic_volatility(close, n), 1e-12)
    same(ind.parkinson_volatility(high, low, n), plain.parkinson_volatility(high, low, n), 1e-12)
    same(ind.rate_of_change(close, n), plain.rate_of_change(close, n), 0.0)
    same(ind.rate_of_change(close, n), talib.ROCP(close, n), 0.0, 1e-14)
    same(ind.slope_t(close, n), plain.slope_t(close, n), 1e-12, 1e-12)
    same(ind.volume_ratio(volume, n), plain.volume_ratio(volume, n), 1e-12)


@pytest.mark.parametrize("length", [0, 1, 5, 13, 14, 15, 33, 34, 35])
def test_lengths(length):
    """Series too short, just long enough, and of none: the same prefix is undefined."""
    values = [10.0 + i % 7 for i in range(length)]
    pairs = [
        (ind.wilder_atr(values, values, values), plain.wilder_atr(values, values, values)),
        (ind.sma_atr(values, values, values), plain.sma_atr(values, values, values)),
        (ind.wilder_rsi(values), plain.wilder_rsi(values)),
        (ind.macd(values)[1], plain.macd(values)[1]),
        (ind.bollinger_position(values), plain.bollinger_position(values)),
        (ind.historic_volatility(values, 5), plain.historic_volatility(values, 5)),
        (ind.parkinson_volatility(values, values), plain.parkinson_volatility(values, values)),
        (ind.rate_of_change(values), plain.rate_of_change(values)),
        (ind.slope_t(values), plain.slope_t(values)),
        (ind.volume_ratio(values), plain.volume_ratio(values)),
    ]
    for ours, theirs in pairs:
        assert len(ours) == length
        same(ours, theirs, 1e-12, 1e-12)


def test_a_flat_market_is_in_the_middle():
    """Where nothing moves, RSI is 50 and the price is midway; before volume there is no ratio."""
    flat = [0.1] * 60
    assert ind.wilder_rsi(flat)[14:].tolist() == [50.0] * 46
    assert ind.bollinger_position(flat)[19:].tolist() == [0.5] * 41
    assert ind.historic_volatility(flat)[20:].tolist() == [0.0] * 40
    assert np.isnan(ind.volume_ratio([0.0] * 20 + [5.0])[-1])


@pytest.mark.parametrize("bad", [nan, inf, 0.0, -1.0, None, True, "1"])
def test_bad_prices_are_named(bad):
    """What is no price is refused, with its index."""
    column = [10.0] * 30
    column[4] = bad
    for build, field in (
        (lambda: ind.wilder_rsi(column), "close[4]"),
        (lambda: ind.wilder_atr([10.0] * 30, column, [10.0] * 30), "low[4]"),
        (lambda: ind.macd(column), "close[4]"),
    ):
        with pytest.raises(InputError) as caught:
            build()
        assert caught.value.field == field


def test_other_bad_input_is_named():
    """Negative volumes, a high below the low, lengths that differ."""
    for build, field in (
        (lambda: ind.volume_ratio([1.0, -1.0]), "volume[1]"),
        (lambda: ind.slope_t([1.0, nan]), "value[1]"),
        (lambda: ind.true_range([1.0, 2.0], [1.0, 3.0], [1.0, 2.0]), "high[1]"),
        (lambda: ind.true_range([1.0], [1.0, 1.0], [1.0]), "high, low, close"),
    ):
        with pytest.raises(InputError) as caught:
            build()
        assert caught.value.field == field


@pytest.mark.parametrize("n", [0, -1, 2.0, True, None])
def test_periods_are_whole_and_positive(n):
    """A period that is no whole number of values is refused."""
    for build in (
        lambda: ind.wilder_rsi([1.0], n),
        lambda: ind.sma_atr([1.0], [1.0], [1.0], n),
        lambda: ind.macd([1.0], n),
    ):
        with pytest.raises(ConfigError, match="period"):
            build()
    with pytest.raises(ConfigError, match="shorter"):
        ind.macd([1.0], 26, 12)


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 6143, 6144, 6200, 20_000])
@pytest.mark.parametrize("period", [1, 14, 50, 400])
def test_recursion_in_blocks_is_the_recursion(n, period):
    """Blocks give what value by value gives, wherever they end."""
    values = np.random.default_rng(n).random(n)
    keep, take = (period - 1) / period, 1.0 / period
    before, expected = 0.7, []
    for value in values.tolist():
        before = keep * before + take * value
        expected.append(before)
    np.testing.assert_allclose(smoothed(values, Average(keep, take), 0.7), expected, rtol=1e-14)


@pytest.mark.parametrize("n", [0, 1, 40, 6150, 13_000])
def test_averages_together_are_those_of_each(n):
    """Of one series or of a row each, with room in front."""
    rows = np.random.default_rng(n).random((3, n))
    averages, before = (wilder(14), exponential(26), wilder(14)), (0.7, 0.2, 0.0)
    for values in (rows, rows[1]):
        together = smoothed_together(values, averages, before, lead=5)
        assert together.shape == (3, n + 5)
        for i, row in enumerate(np.broadcast_to(values, (3, n))):
            assert together[i, 5:].tolist() == smoothed(row, averages[i], before[i]).tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.5, 2.0), max_size=70), st.integers(2, 30), st.floats(-12, 6))
def test_windows_are_the_kernels(steps, n, exponent):
    """Sums, deviations and lines of every window are those of the kernels, however small the spread."""
    values = [1.0 + 10.0**exponent * step for step in steps]
    column = np.array(values)
    windows = [values[i : i + n] for i in range(len(values) - n + 1)]
    np.testing.assert_allclose(sums(column, n), [fsum(window) for window in windows], rtol=1e-14)
    total, squares = sums_and_squares(column, n)
    np.testing.assert_allclose(total, [fsum(window) for window in windows], rtol=1e-14)
    deviations = np.array([mean_and_deviation(window)[1] for window in windows])
    np.testing.assert_allclose(np.sqrt(squares / (n - 1)), deviations, rtol=1e-12, atol=1e-18)
    if n > 2:
        fits = [Line(n).fit(window) for window in windows]
        for ours, theirs in zip(lines(column, n), zip(*fits, strict=True), strict=False):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 12) | st.floats(0.0, 12.0), min_size=2, max_size=80), st.integers(1, 30), st.data())
def test_ranks_are_those_of_the_ranked_window(values, n, draw):
    """Counts, medians and median deviations are the very floats of the scalar window, ties included."""
    first = draw.draw(st.integers(1, len(values)))
    column = np.array(values, float)
    below, equal = counts_before(column, n, first)
    assert len(below) == len(equal) == len(values) - first
    centre, spread = centres_and_spreads(column, n, first) if first < len(values) else ((), ())
    window = RankedWindow(n)
    for i, value in enumerate(column.tolist()):
        if i >= first:
            k = i - first
            assert 50.0 * (2 * below[k] + equal[k]) / len(window) == window.percentile(value)
            assert (centre[k], spread[k]) == (window.median(), window.median_deviation())
        window.push(value)


def test_ranks_over_a_year(walk):
    """The same over 252 values, with windows that fill up first and with more rows than are worked on at a time."""
    for cents in (False, True):
        column = np.array([bar.close for bar in walk(3, 1500, cents=cents)])
        below, equal = counts_before(column, 252, 60)
        centre, spread = centres_and_spreads(column, 252, 60)
        window = RankedWindow(252)
        for i, value in enumerate(column.tolist()):
            if i >= 60:
                k = i - 60
                assert 50.0 * (2 * below[k] + equal[k]) / len(window) == window.percentile(value)
                assert (centre[k], spread[k]) == (window.median(), window.median_deviation())
            window.push(value)
