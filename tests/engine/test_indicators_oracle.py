"""Indicators against independent oracles: TA-Lib and NumPy, on seven real series; and a golden table."""

from datetime import date
from math import inf, isnan, log, nan, sqrt

import numpy as np
import pytest
import talib
from scipy.stats import linregress

from engine_opt import ConfigError, InsufficientData
from engine_opt.protocol import indicators as ind
from engine_opt.protocol.week_classifier import movement_between, movement_category

NAMES = ["AAPL", "FB", "GOOG", "IBM", "MSFT", "S&P 500", "NASDAQ"]


@pytest.fixture(scope="module", params=NAMES)
def hlcv(request, series):
    """High, low, close, volume as arrays."""
    return tuple(
        np.array([getattr(b, name) for b in series[request.param]]) for name in ("high", "low", "close", "volume")
    )


def same(ours, theirs, rel, abs_=0.0):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert np.array_equal(np.isnan(ours), np.isnan(theirs)), "defined at different indices"
    known = ~np.isnan(ours)
    np.testing.assert_allclose(ours[known], theirs[known], rtol=rel, atol=abs_)


def rolling(values, n):
    return np.lib.stride_tricks.sliding_window_view(values, n)


def test_true_range_equals_talib(hlcv):
    """True range equals TA-Lib's, which leaves the first bar undefined where ours is high less low."""
    high, low, close, _ = hlcv
    ours = ind.true_range(high, low, close)
    assert ours[0] == high[0] - low[0]
    same([nan, *ours[1:]], talib.TRANGE(high, low, close), 1e-14)


@pytest.mark.parametrize("n", [1, 14, 21, 50])
def test_wilder_atr_equals_talib(hlcv, n):
    """Wilder's average true range equals TA-Lib's, undefined prefix included."""
    high, low, close, _ = hlcv
    theirs = talib.ATR(high, low, close, n) if n > 1 else talib.TRANGE(high, low, close)
    same(ind.wilder_atr(high, low, close, n), theirs, 1e-13)


def test_sma_atr_is_the_mean_of_true_ranges(hlcv):
    """The plain variant is TA-Lib's moving average of TA-Lib's true range."""
    high, low, close, _ = hlcv
    theirs = [nan, *talib.SMA(talib.TRANGE(high, low, close)[1:], 14)]
    same(ind.sma_atr(high, low, close, 14), theirs, 1e-11)


def test_ema_atr_is_the_ema_of_true_ranges(hlcv):
    """The exponential variant is TA-Lib's exponential average of TA-Lib's true range."""
    high, low, close, _ = hlcv
    theirs = [nan, *talib.EMA(talib.TRANGE(high, low, close)[1:], 14)]
    same(ind.ema_atr(high, low, close, 14), theirs, 1e-12)


def test_wilder_rsi_equals_talib(hlcv):
    """Wilder's relative strength index equals TA-Lib's."""
    same(ind.wilder_rsi(hlcv[2], 14), talib.RSI(hlcv[2], 14), 0.0, 1e-12)


def test_macd_equals_talib(hlcv):
    """MACD, signal and histogram equal TA-Lib's from the first value on: both averages are seeded alike."""
    close = hlcv[2]
    for ours, theirs in zip(ind.macd(close), talib.MACD(close, 12, 26, 9), strict=True):
        same(ours, theirs, 0.0, 1e-11 * close.max())


def test_bollinger_position_equals_talib(hlcv):
    """The position between the bands is the one between TA-Lib's bands; TA-Lib's own variance loses some digits."""
    close = hlcv[2]
    upper, _, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    same(ind.bollinger_position(close), (close - lower) / (upper - lower), 0.0, 1e-7)


def test_bollinger_position_equals_numpy(hlcv):
    """The position between the bands follows from NumPy's mean and population deviation, twelve digits deep."""
    close = hlcv[2]
    windows = rolling(close, 20)
    theirs = 0.5 + (close[19:] - windows.mean(1)) / (4 * windows.std(1))
    same(ind.bollinger_position(close), [nan] * 19 + list(theirs), 0.0, 1e-12)


@pytest.mark.parametrize("n", [5, 20])
def test_historic_volatility_equals_numpy(hlcv, n):
    """Historic volatility is the sample deviation of the last n log returns, annualised."""
    returns = np.diff(np.log(hlcv[2]))
    theirs = rolling(returns, n).std(1, ddof=1) * sqrt(252)
    same(ind.historic_volatility(hlcv[2], n), [nan] * n + list(theirs), 1e-11)


def test_parkinson_volatility_equals_numpy(hlcv):
    """Parkinson's volatility is the root of the mean squared log range over 4 ln 2, annualised."""
    theirs = np.sqrt((rolling(np.log(hlcv[0] / hlcv[1]), 20) ** 2).mean(1) / (4 * log(2)) * 252)
    same(ind.parkinson_volatility(hlcv[0], hlcv[1], 20), [nan] * 19 + list(theirs), 1e-12)


@pytest.mark.parametrize("n", [1, 5, 20])
def test_rate_of_change_equals_talib(hlcv, n):
    """The return over n sessions equals TA-Lib's ROCP."""
    same(ind.rate_of_change(hlcv[2], n), talib.ROCP(hlcv[2], n), 0.0, 1e-14)


def test_slope_equals_talib(hlcv):
    """The least squares slope equals TA-Lib's LINEARREG_SLOPE."""
    line = ind.Line(20)
    ours = [nan] * 19 + [line.slope(window) for window in rolling(hlcv[2], 20)]
    same(ours, talib.LINEARREG_SLOPE(hlcv[2], 20), 0.0, 1e-11 * hlcv[2].max())


def test_slope_t_equals_scipy(hlcv):
    """The t-statistic is SciPy's slope over SciPy's standard error."""
    close = hlcv[2][:300]
    fits = [linregress(range(20), window) for window in rolling(close, 20)]
    same(ind.slope_t(close, 20), [nan] * 19 + [fit.slope / fit.stderr for fit in fits], 1e-9, 1e-9)


def test_volume_ratio_equals_numpy(hlcv):
    """The volume ratio compares with the mean of the 20 volumes before, not with itself."""
    volume = hlcv[3]
    theirs = volume[20:] / rolling(volume, 20)[:-1].mean(1)
    same(ind.volume_ratio(volume, 20), [nan] * 20 + list(theirs), 1e-13)


@pytest.mark.parametrize("day", ["2008-10-10", "2018-02-05", "2018-12-31"])
def test_golden_values_of_the_index(day, series, golden):
    """Three dates of the S&P 500, crash, spike and year's end, have the published values."""
    expected = golden("sp500_indicators.json")["rows"][day]
    until = [bar for bar in series["S&P 500"] if bar.time <= date.fromisoformat(day)]
    high, low, close = ([getattr(b, name) for b in until] for name in ("high", "low", "close"))
    assert close[-1] == pytest.approx(expected["close"], abs=5e-5)
    atrs = [ind.wilder_atr(high, low, close, n)[-1] for n in (14, 21, 50)]
    assert atrs == pytest.approx(expected["atr"], abs=5e-7)
    assert 100 * atrs[0] / close[-1] == pytest.approx(expected["atr_percent"], abs=5e-5)
    assert ind.wilder_rsi(close)[-1] == pytest.approx(expected["rsi14"], abs=5e-7)
    line, signal, _ = ind.macd(close)
    assert (line[-1], signal[-1]) == pytest.approx((expected["macd"], expected["signal"]), abs=5e-7)
    assert ind.historic_volatility(close)[-1] == pytest.approx(expected["hv20"], abs=5e-7)
    move = movement_between(close[-6], close[-1])
    assert move == pytest.approx(expected["move5"], abs=5e-5)
    assert movement_category(move).value == expected["category"]
    if "sma_atr14" in expected:
        assert ind.sma_atr(high, low, close)[-1] == pytest.approx(expected["sma_atr14"], abs=5e-7)


def test_a_flat_market_is_in_the_middle():
    """Where nothing moves, RSI is 50 and the price is midway between the bands; TA-Lib says 0 for both."""
    flat = [0.1] * 60
    assert ind.wilder_rsi(flat)[-1] == 50.0
    assert ind.bollinger_position(flat)[-1] == 0.5
    assert ind.historic_volatility(flat)[-1] == 0.0
    assert ind.slope_t(flat)[-1] == pytest.approx(0.0, abs=1e-3)


def test_a_perfect_line_has_a_large_and_finite_t():
    """A line without residuals is limited by the resolution of prices, not infinite."""
    t = ind.slope_t([100.0 + i for i in range(20)])[-1]
    assert 1e6 < t < inf


def test_breakouts_leave_the_bands():
    """A close beyond the bands stands below 0 or above 1: it is not clamped."""
    calm = [100.0 + (i % 2) for i in range(19)]
    assert ind.bollinger_position([*calm, 110.0])[-1] > 1.0
    assert ind.bollinger_position([*calm, 90.0])[-1] < 0.0


def test_no_volume_before_has_no_ratio():
    """A ratio to nothing is not a number."""
    assert isnan(ind.volume_ratio([0.0] * 20 + [5.0])[-1])


@pytest.mark.parametrize("length", [0, 1, 5])
def test_short_series_are_all_undefined(length):
    """A series too short for an indicator gives as many NaN as it has values."""
    short = [float(i + 1) for i in range(length)]
    results = [
        ind.wilder_atr(short, short, short),
        ind.sma_atr(short, short, short),
        ind.wilder_rsi(short),
        *ind.macd(short),
        ind.bollinger_position(short),
        ind.historic_volatility(short),
        ind.parkinson_volatility(short, short),
        ind.rate_of_change(short, 5),
        ind.slope_t(short),
        ind.volume_ratio(short),
    ]
    assert [len(result) for result in results] == [length] * len(results)
    assert all(isnan(value) for result in results for value in result)


@pytest.mark.parametrize("n", [0, -1, 2.0, True, None])
def test_periods_are_whole_and_positive(n):
    """A period that is no whole number of values is refused, by functions and streams."""
    for build in (
        lambda: ind.wilder_rsi([1.0], n),
        lambda: ind.wilder_atr([1.0], [1.0], [1.0], n),
        lambda: ind.WilderATR(n),
        lambda: ind.SlopeT(n),
        lambda: ind.VolumeRatio(n),
    ):
        with pytest.raises(ConfigError, match="period"):
            build()


def test_macd_spans_must_differ():
    """The fast average is the shorter one."""
    with pytest.raises(ConfigError, match="shorter"):
        ind.MACD(26, 12)


def test_streams_say_what_they_lack():
    """A stream that is not ready raises with how much it needs and how much it got."""
    rsi = ind.WilderRSI()
    for price in (1.0, 2.0, 3.0):
        rsi.update(price)
    with pytest.raises(InsufficientData) as caught:
        rsi.value
    assert (caught.value.needed, caught.value.got) == (15, 3)
