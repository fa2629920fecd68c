"""The market over columns: row by row what a stream answers, whatever the market, the configuration and the chunks."""

from datetime import timedelta
from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import (
    Bar,
    InputError,
    InsufficientData,
    MarketConditionAnalyzer,
    MarketConditionKind,
    MarketConfig,
    MarketMetrics,
    data,
)
from engine_opt.batch import UNKNOWN, Bars, analyze, analyze_chunks, analyze_many, market, members
from engine_opt.batch.market_metrics import MetricsColumns
from engine_opt.batch.market_scoring import assess
from engine_opt.protocol.market_scoring import assess as assess_one
from engine_opt.protocol.market_scoring import class_centres

STANDARD, ORIGINAL = MarketConfig(), MarketConfig.original()
OTHER = MarketConfig(
    trend_window=7, vix_window=40, vix_history=5, cap=1.5, weights=(0.1, 0.2, 0.7), volatility_floor=0.3
)
CONFIGS = [STANDARD, ORIGINAL, OTHER]


def fears(n, seed=5, known=1.0):
    rng = np.random.default_rng(seed)
    values = (20.0 * np.exp(0.5 * np.sin(np.arange(n) / 40.0) + rng.normal(0.0, 0.1, n))).round(1)
    values[rng.random(n) >= known] = nan
    return values


def none(value):
    return None if isnan(value) else value


def check(columns, bars, vix, config, agree, stream=None, every=1):
    stream = stream or MarketConditionAnalyzer(config).stream()
    for i, (bar, fear) in enumerate(zip(bars, vix.tolist(), strict=True)):
        stream.update(bar, none(fear))
        if not stream.ready:
            assert i < columns.first
        elif i % every == 0:
            assert i >= columns.first
            agree(columns.row(i), stream.analysis())
    return stream


@pytest.mark.parametrize("symbol", [*data.symbols(), "S&P 500", "NASDAQ"])
@pytest.mark.parametrize("config", [STANDARD, ORIGINAL], ids=lambda config: config.scoring)
def test_real_series(symbol, config, series, vix, agree):
    """Seven real series, each row as the stream has it; VIX as published where it was, made up before."""
    bars = series[symbol][-500:]
    column = np.array([vix.get(bar.time, fear) for bar, fear in zip(bars, fears(len(bars)).tolist(), strict=True)])
    check(analyze(Bars.of(bars), column, config), bars, column, config, agree, every=5)


@pytest.mark.parametrize("config", [STANDARD, OTHER], ids=["standard", "other"])
def test_vix_on_some_days(config, walk, agree):
    """VIX and volume that are not known on some days, prices that repeat."""
    bars = walk(1, 500, cents=True)
    column = fears(len(bars), known=0.7)
    check(analyze(Bars.of(bars), column, config), bars, column, config, agree)
    nothing = np.full(len(bars), nan)
    check(analyze(Bars.of(bars), None, config), bars, nothing, config, agree, every=7)


def test_the_last_row_is_the_analysis_of_the_whole(walk, agree):
    """A row also equals the plain form, which works from the whole series."""
    bars, column = walk(2, 120), fears(120)
    columns = analyze(Bars.of(bars), column)
    for i in (34, 35, 60, 119):
        expected = MarketConditionAnalyzer().analyze(bars[: i + 1], column[: i + 1].tolist())
        agree(columns.row(i), expected)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(0.5, 2.0) | st.just(1.0), min_size=34, max_size=70),
    st.lists(st.just(nan) | st.floats(5.0, 90.0), min_size=71, max_size=71),
    st.sampled_from([None, 0.0, 1000.0]),
)
def test_any_market(steps, column, volume):
    """Whatever the market does, the enumerations are those of the stream and the numbers near."""
    close, bars = 100.0, []
    for i, step in enumerate([1.0, *steps]):
        close = min(max(close * step, 1e-3), 1e6)
        bars.append(Bar(data.load("FB")[0].time + timedelta(i), close, close * 1.01, close * 0.99, close, volume))
    vix = np.array(column[: len(bars)])
    config = MarketConfig(vix_history=5, vix_window=20)
    columns = analyze(Bars.of(bars), vix, config)
    stream = MarketConditionAnalyzer(config).stream()
    for bar, fear in zip(bars, vix.tolist(), strict=True):
        stream.update(bar, none(fear))
    ours, theirs = columns.row(len(bars) - 1), stream.analysis()
    for name in ("condition", "regime", "risk_level", "risk_points", "volatility_regime", "trend", "momentum_strength"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.weights == theirs.weights
    assert ours.score == pytest.approx(theirs.score, abs=1e-9)
    assert ours.metrics.vix_deviation == theirs.metrics.vix_deviation


def test_a_market_that_stands_still(flat, agree):
    """No change, no deviation, no trend: no warning and no difference."""
    for bars in (flat(80), flat(80, spread=0.0)):
        column = np.full(80, 20.0)
        check(analyze(Bars.of(bars), column), bars, column, STANDARD, agree)
        check(analyze(Bars.of(bars), column, ORIGINAL), bars, column, ORIGINAL, agree)


NEUTRAL = MarketMetrics(100.0, 0.0, 0.0, 0.0, 0.2, 0.2, 0.2, 50.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0, 20.0, 0.0)


@pytest.mark.parametrize("config", CONFIGS, ids=["standard", "original", "other"])
def test_on_the_limits_and_a_hair_beside(config):
    """A limit belongs to the same side in both forms, and rows that near are named as close calls."""
    limits = {
        "volatility_20": (0.15, 0.25, 0.35, 0.5),
        "trend_t": (1.4, 7.5, 10.0, -1.4, -7.5),
        "momentum": (0.5, 1.0, 2.0, -1.0),
        "volume_ratio": (1.2, 2.0),
        "vix": (20.0, 25.0, 30.0, 35.0),
        "rsi": (30.0, 70.0),
        "change_20": (0.1, -0.1),
    }
    rows = [
        NEUTRAL._replace(**{name: value})
        for name, values in limits.items()
        for limit in values
        for value in (limit, np.nextafter(limit, inf).item(), np.nextafter(limit, -inf).item())
    ]
    rows += [NEUTRAL._replace(volume_ratio=None, vix_deviation=None)]
    columns = MetricsColumns(
        *(np.array([nan if x is None else x for x in column]) for column in zip(*rows, strict=True))
    )
    scores = assess(columns, config)
    centres = class_centres(config.cuts)
    for i, row in enumerate(rows):
        expected = assess_one(None, row, config, centres)
        assert members(MarketConditionKind, scores.condition[i : i + 1]) == [expected.condition]
        for name, kind in market._CODED.items():
            assert kind[getattr(scores, name)[i]] == getattr(expected, name), (name, row)
        assert scores.risk_points[i] == expected.risk_points
        assert scores.confidence[i] == pytest.approx(expected.confidence, rel=1e-12)
    named = set(scores.close_calls.tolist())
    assert named >= {
        i for i, row in enumerate(rows) if row.volatility_20 != 0.2 or row.volume_ratio not in (1.0, 1.2, None)
    } - {i for i, row in enumerate(rows) if row.volume_ratio is not None and abs(row.volume_ratio - 1.2) < 0.1}


def test_close_calls_are_those_of_the_scalar_form(agree, monkeypatch):
    """Where a row stands on a limit the scalar form is asked: here the volume doubles, exactly, again and again."""
    volumes = [1000.1] * 20 + [2000.2] + [1000.1] * 20 + [2000.2] + [1000.1] * 30
    start = data.load("FB")[0].time
    bars = [Bar(start + timedelta(i), 100.0 + i % 3, 104.0, 98.0, 100.0 + i % 3, v) for i, v in enumerate(volumes)]
    column = fears(len(bars))
    asked = []
    monkeypatch.setattr(market, "_call", lambda *args, call=market._call: (asked.append(args[-1]), call(*args)))
    columns = analyze(Bars.of(bars), column, OTHER)
    check(columns, bars, column, OTHER, agree)
    assert 41 in asked


def test_rows_before_the_35th_have_no_answer(walk):
    """Their codes are UNKNOWN, their numbers NaN, and asking for the record says how many bars are missing."""
    columns = analyze(Bars.of(walk(3, 40)), fears(40))
    assert columns.first == 34
    for name in market._CODED:
        assert set(getattr(columns, name)[:34].tolist()) == {UNKNOWN}
        assert UNKNOWN not in getattr(columns, name)[34:]
    for values in (
        columns.score,
        columns.confidence,
        columns.weights,
        columns.distribution,
        columns.metrics.rsi,
        columns.metrics.close,
    ):
        assert np.isnan(values[:34]).all()
        assert not np.isnan(values[34:]).any()
    with pytest.raises(InsufficientData) as caught:
        columns.row(9)
    assert (caught.value.needed, caught.value.got) == (35, 10)
    assert columns.row(-1) == columns.row(39)
    with pytest.raises(IndexError):
        columns.row(40)


@pytest.mark.parametrize("n", [0, 1, 6, 34])
def test_short_series_have_no_answers(n, walk):
    """A series that is too short has as many rows as bars, none of them an answer."""
    for config in CONFIGS:
        columns = analyze(Bars.of(walk(4, n)), None, config)
        assert len(columns) == n == columns.first


def test_many_configurations_equal_each_alone(walk):
    """Sharing the indicators changes nothing, to the last bit."""
    bars, column = Bars.of(walk(5, 300)), fears(300)
    together = analyze_many(bars, column, CONFIGS)
    for config, columns in zip(CONFIGS, together, strict=True):
        alone = analyze(bars, column, config)
        assert [columns.row(i) for i in range(34, 300)] == [alone.row(i) for i in range(34, 300)]
    assert analyze_many(bars, column, []) == ()


@pytest.mark.parametrize(
    "sizes", [[1] * 40 + [260], [10, 300], [35, 0, 29, 1, 235], [300], [63, 64, 65, 108], [250, 50]]
)
@pytest.mark.parametrize("config", CONFIGS, ids=["standard", "original", "other"])
def test_chunks_equal_one_call(sizes, config, walk, agree):
    """However a series is cut, the rows are those of the whole."""
    bars = Bars.of(walk(6, 300))
    column = fears(300, known=1.0 if config is ORIGINAL else 0.8)
    whole = analyze(bars, column, config)
    ends = np.cumsum(sizes).tolist()
    chunks = [(bars.part(a, b), column[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    row = 0
    for (part, _), columns in zip(chunks, analyze_chunks(chunks, config), strict=True):
        assert len(columns) == len(part)
        for i in range(len(part)):
            if row >= 34:
                agree(columns.row(i), whole.row(row))
            else:
                with pytest.raises(InsufficientData) as caught:
                    columns.row(i)
                assert caught.value.got == row + 1
            row += 1
    assert row == 300


def test_long_series_are_worked_on_in_parts(walk, agree, monkeypatch):
    """Parts inside of one call change nothing either."""
    bars, column = Bars.of(walk(7, 400)), fears(400)
    whole = analyze(bars, column)
    monkeypatch.setattr(market, "_PART", 50)
    parts = analyze(bars, column)
    assert parts.first == whole.first == 34
    for i in range(34, 400):
        agree(parts.row(i), whole.row(i))


def test_chunks_must_go_on(walk):
    """A chunk that starts before the last one ended, or has another kind of time, is refused."""
    bars = Bars.of(walk(8, 60))
    with pytest.raises(InputError, match=r"time\[0\]"):
        list(analyze_chunks([(bars.part(0, 40), None), (bars.part(39), None)]))
    hours = Bars(
        bars.time.astype("datetime64[s]")[40:], bars.open[40:], bars.high[40:], bars.low[40:], bars.close[40:], nan
    )
    with pytest.raises(InputError, match=r"time\[0\]"):
        list(analyze_chunks([(bars.part(0, 40), None), (hours, None)]))


@pytest.mark.parametrize("bad", [0.0, -1.0, inf, True, "20"])
def test_a_bad_vix_is_named(bad, walk):
    """VIX is positive or not known."""
    column = [20.0] * 50
    column[40] = bad
    with pytest.raises(InputError, match=r"vix\[40\]"):
        analyze(Bars.of(walk(9, 50)), column)


def test_the_original_needs_vix_on_every_row_with_an_answer(walk, monkeypatch):
    """The first row without it is named, also in a later part; rows without an answer need none."""
    column = fears(100)
    column[:34] = nan
    bars = Bars.of(walk(10, 100))
    assert analyze(bars, column, ORIGINAL).first == 34
    column[70] = nan
    monkeypatch.setattr(market, "_PART", 30)
    with pytest.raises(InputError, match=r"vix\[70\]=None"):
        analyze(bars, column, ORIGINAL)


def test_what_is_no_bars_is_refused(walk):
    """Scalar bars are not columns; and there is a VIX for each bar."""
    bars = walk(11, 50)
    with pytest.raises(InputError, match=r"Bars\.of"):
        analyze(bars)
    with pytest.raises(InputError, match="50 bars"):
        analyze(Bars.of(bars), [20.0] * 49)
