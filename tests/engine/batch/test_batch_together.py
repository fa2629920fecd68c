"""Several symbols in one pass: the answers of each alone, to the last bit."""

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import EngineConfig, InputError
from engine_opt.batch import Bars, Requests, analyze, analyze_many, decide_all, decide_many
from engine_opt.batch.decisions import decide_together, saved_trust, stock_of
from engine_opt.batch.market import analyze_together
from engine_opt.batch.ranks import SharedCentres, centres_and_spreads
from engine_opt.protocol.market_scoring import MarketConfig

BOOK = (1e6, 3e6, 0.05, 0.01)
CONFIGS = (
    EngineConfig(),
    EngineConfig.parse("", {"atr.history": "90", "market.vix_window": "70", "plan.risk_in_atr": "3.0"}),
    EngineConfig.parse('[rules.symbols.B]\ndelta_low = 25.0\ndelta_high = 27.0\n[accounts.GEN]\nsymbols = ["A", "C"]'),
)
LENGTHS = {"A": 260, "B": 34, "C": 300, "D": 1, "E": 36, "F": 210}


def parts(value):
    """Yield all that a result consists of: bytes of its columns, and the rest as it is."""
    if is_dataclass(value):
        for each in fields(value):
            yield from parts(getattr(value, each.name))
    elif isinstance(value, np.ndarray):
        yield value.dtype, value.shape, value.tobytes()
    else:
        yield value


def same(ours, theirs):
    return [list(parts(each)) for each in ours] == [list(parts(each)) for each in theirs]


@pytest.fixture(scope="module", params=[False, True], ids=["any prices", "tenths"])
def markets(request, walk, flat):
    """Return symbols of very different lengths, one of which stands still; VIX is one series that ends for all alike."""
    fear = np.round(20.0 + 5.0 * np.sin(np.arange(300) / 9.0) + np.arange(300) % 7 / 3.0, 1)
    found = {}
    for seed, (symbol, n) in enumerate(LENGTHS.items()):
        bars = Bars.of(flat(n) if symbol == "F" else walk(seed, n, cents=request.param))
        turn = np.arange(n)
        requests = Requests.daily(
            bars,
            "GEN" if symbol == "A" else turn // 4 % 3,
            turn % 4,
            *BOOK,
            shares_held=500,
            days_to_expiration=4.0,
            strike=None if symbol == "C" else bars.close * 0.97,
            week_colour="red" if symbol == "E" else None,
            confidence=0.97 if seed % 2 else None,
        )
        found[symbol] = bars, None if symbol == "C" else fear[-n:], requests
    return found


def test_one_pass_answers_as_a_pass_for_each(markets):
    """Too few bars, ties, limits of a symbol's own, requests with other columns, VIX known or not."""
    stocks = [stock_of(*asked, symbol) for symbol, asked in markets.items()]
    together = decide_together(stocks, CONFIGS, saved_trust(None))
    for (symbol, asked), ours in zip(markets.items(), together, strict=True):
        theirs = decide_many(*asked, CONFIGS, symbol=symbol)
        assert same(ours, theirs)
        assert [str(each.row(-1)) for each in ours if each.first < len(each)] == [
            str(each.row(-1)) for each in theirs if each.first < len(each)
        ]
    assert {columns[0].first for columns in together} >= {34, 1}


def test_markets_in_one_go_are_those_of_each(markets):
    """By both scorings, rows without an answer included."""
    known = [(bars, 20.0 + np.arange(len(bars)) % 3) for bars, _, _ in markets.values()]
    configs = [MarketConfig(), MarketConfig.original(), MarketConfig(trend_window=26, vix_window=80)]
    for ours, (bars, vix) in zip(analyze_together(known, configs), known, strict=True):
        assert same(ours, analyze_many(bars, vix, configs))
    assert analyze_together(known, []) == [()] * len(known)
    assert same(analyze_together(known[:1], configs[:1])[0], [analyze(*known[0])])


def test_symbols_that_cannot_be_joined_are_done_one_by_one(markets, walk):
    """Aware moments beside naive ones, and symbols with more rows than are done together."""
    bars = Bars.of(walk(3, 120))
    times = [datetime(2020, 1, 1, 16, tzinfo=UTC) + timedelta(day) for day in range(120)]
    aware = Bars.from_arrays(times, bars.open, bars.high, bars.low, bars.close)
    rows = np.repeat(np.arange(120), 150)
    series = {
        **markets,
        "G": (aware, None, Requests.daily(aware, "REV", "short_put", *BOOK, minute=None)),
        "H": (bars, None, Requests.of(rows, "COM", "cash", *BOOK)),
        "I": (bars, None, Requests.daily(bars, "COM", "cash", *BOOK)),
    }
    found = decide_all(series, CONFIGS)
    assert list(found) == list(series)
    for symbol, asked in series.items():
        assert same(found[symbol], decide_many(*asked, CONFIGS, symbol=symbol))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda bars, vix, requests: (bars, np.where(np.arange(len(bars)) == 40, -1.0, vix), requests), "vix[40]"),
        (lambda bars, vix, requests: (bars, vix, None), "requests"),
        (lambda bars, vix, _: (bars, vix, Requests.of([5, 300], "GEN", "cash", *BOOK)), "bar[1]"),
        (lambda bars, vix, _: (bars, vix / 100.0, Requests.of([80], "GEN", "cash", *BOOK, favourable=True)), "vix[0]"),
    ],
)
def test_an_error_counts_the_rows_of_its_own_symbol(markets, change, field):
    """Whoever is done together with it; and the symbol is named."""
    with pytest.raises(InputError) as caught:
        decide_all(markets | {"E": change(*markets["A"])}, CONFIGS[:1])
    assert caught.value.field == field
    assert caught.value.__notes__ == ["while deciding about symbol 'E'"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=70),
    st.integers(1, 20),
    st.integers(1, 9),
    st.lists(st.tuples(st.integers(0, 69), st.integers(1, 70)), max_size=6),
)
def test_what_is_known_of_a_series_serves_its_parts(values, n, first, cuts):
    """A part of the series, wherever it begins, and one that only looks like it."""
    series, centres = np.array(values, float), SharedCentres()
    pieces = [series, *(series[start : start + length] for start, length in cuts), series[::-1].copy()]
    for piece in pieces:
        if first < len(piece):
            found, expected = centres.of(piece, n, first), centres_and_spreads(piece, n, first)
            assert [each.tolist() for each in found] == [each.tolist() for each in expected]
