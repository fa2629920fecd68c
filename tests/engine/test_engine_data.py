"""The shipped stock series."""

from datetime import date

import pytest

from engine_opt import InputError, MarketCondition, WeekClassifier, WeekType, data


def test_five_symbols_are_shipped():
    """The five stocks are there, with as many sessions as their provenance note says."""
    rows = {symbol: len(data.load(symbol)) for symbol in data.symbols()}
    assert rows == {"AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270}


@pytest.mark.parametrize("symbol", data.symbols())
def test_the_shipped_series_are_those_of_bokeh(symbol, installed_rows):
    """Each shipped series equals the one in bokeh-sampledata, unadjusted, value by value."""
    theirs = [
        (
            date.fromisoformat(row["Date"]),
            *(float(row[column]) for column in ("Open", "High", "Low", "Close", "Volume")),
        )
        for row in installed_rows("bokeh_sampledata", "_data/stocks.csv.gz")
        if row["Ticker"] == symbol
    ]
    ours = [(b.time, b.open, b.high, b.low, b.close, b.volume) for b in data.load(symbol, adjusted=False)]
    assert ours == theirs


@pytest.mark.parametrize("symbol", data.symbols())
def test_adjusted_closes_are_the_adjusted_close_column(symbol, installed_rows):
    """Adjusting gives the publisher's adjusted close but for rounding, and never turns a bar inside out."""
    theirs = [
        float(row["Adj Close"])
        for row in installed_rows("bokeh_sampledata", "_data/stocks.csv.gz")
        if row["Ticker"] == symbol
    ]
    bars = data.load(symbol)
    assert [bar.close for bar in bars] == pytest.approx(theirs, rel=1e-15)
    assert all(bar.low <= min(bar.open, bar.close) and max(bar.open, bar.close) <= bar.high for bar in bars)


@pytest.mark.parametrize("symbol", data.symbols())
def test_sessions_are_in_order(symbol):
    """Sessions follow each other without repetition."""
    days = [bar.time for bar in data.load(symbol)]
    assert days == sorted(set(days))


def test_an_unknown_symbol_is_refused():
    """A symbol that is not shipped is refused with the list of those that are."""
    with pytest.raises(InputError, match="AAPL, FB, GOOG, IBM, MSFT"):
        data.load("TSLA")


@pytest.mark.parametrize(("adjusted", "expected"), [(False, WeekType.P_DD), (True, WeekType.C_WAP)])
def test_a_split_is_a_drawdown_only_to_who_does_not_adjust(adjusted, expected):
    """MSFT's 2:1 split of 2003-02-18 reads as a deep drawdown in raw prices and as a gain of 3.4 % in adjusted ones."""
    closes = {bar.time: bar.close for bar in data.load("MSFT", adjusted=adjusted)}
    week = MarketCondition("MSFT", closes[date(2003, 2, 18)], closes[date(2003, 2, 14)], volatility=0.3)
    assert WeekClassifier().classify_week(week, "long_stock").week_type is expected
