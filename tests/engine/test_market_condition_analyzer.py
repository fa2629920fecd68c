"""The market's condition: agreement of both forms, symmetry, what is recorded, and the original's formula."""

import itertools
import pickle
from dataclasses import replace
from datetime import date, timedelta
from math import exp, inf, isfinite, nan, nextafter, tanh

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import (
    Bar,
    ConfigError,
    Direction,
    InputError,
    InsufficientData,
    MarketConditionAnalyzer,
    MarketConditionKind,
    MarketConfig,
    MarketMetrics,
    MarketRegime,
    MarketRiskLevel,
    MarketStream,
    MomentumStrength,
    VolatilityRegime,
)
from engine_opt.protocol.market_scoring import assess, class_centres

K = MarketConditionKind
DAY = date(2020, 1, 1)
NEUTRAL = MarketMetrics(
    close=100.0,
    change_1=0.0,
    change_5=0.0,
    change_20=0.0,
    volatility_5=0.2,
    volatility_20=0.2,
    parkinson_20=0.2,
    rsi=50.0,
    macd=0.0,
    macd_signal=0.0,
    bollinger=0.5,
    trend_slope=0.0,
    trend_t=0.0,
    momentum=0.0,
    volume_ratio=1.0,
    vix=20.0,
    vix_deviation=0.0,
)


def judged(config=None, **changes):
    config = config or MarketConfig()
    return assess(DAY, NEUTRAL._replace(**changes), config, class_centres(config.cuts))


def original(**changes):
    return judged(MarketConfig.original(), **changes)


def closes_to_bars(closes, volume=1000.0):
    return [Bar(DAY + timedelta(i), c, c * 1.01, c * 0.99, c, volume) for i, c in enumerate(closes)]


def equal(a, b):
    """Exact where there is nothing to round, twelve digits elsewhere."""
    for name, x, y in zip(a._fields, a, b, strict=True):
        if isinstance(x, tuple):
            if hasattr(x, "_fields"):
                equal(x, y)
            else:
                assert x == pytest.approx(y, rel=1e-12, abs=1e-15), name
        elif type(x) is float:
            assert x == pytest.approx(y, rel=1e-12, abs=1e-12 * a.metrics.close if name == "score" else 1e-15), name
        else:
            assert x == y, name


@pytest.mark.parametrize("name", ["AAPL", "FB", "GOOG", "IBM", "MSFT", "S&P 500", "NASDAQ"])
@pytest.mark.parametrize("config", [MarketConfig(), MarketConfig.original()], ids=lambda c: c.scoring)
def test_the_stream_equals_the_whole_series(name, config, series, vix):
    """Bar by bar and all at once give the same analysis: enums exactly, floats to twelve digits."""
    bars = series[name][-700:]
    fears = [vix.get(bar.time, 20.0 + 10 * (i % 7)) for i, bar in enumerate(bars)]
    analyzer = MarketConditionAnalyzer(config)
    stream = analyzer.stream()
    for i, (bar, fear) in enumerate(zip(bars, fears, strict=True)):
        stream.update(bar, fear)
        assert stream.ready is (i >= 34)
        if i == 34 or (i % 53 == 0 and stream.ready):
            equal(stream.analysis(), analyzer.analyze(bars[: i + 1], fears[: i + 1]))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.5, 2.0), min_size=34, max_size=80),
    st.lists(st.none() | st.floats(5.0, 90.0), min_size=81, max_size=81),
    st.sampled_from([None, 0.0, 1000.0]),
)
def test_any_market_has_one_analysis_in_both_forms(steps, fears, volume):
    """Whatever the market does, the analysis is finite, consistent, and the same in both forms."""
    closes = [100.0]
    for step in steps:
        closes.append(min(max(closes[-1] * step, 1e-3), 1e6))
    bars = closes_to_bars(closes, volume)
    analyzer = MarketConditionAnalyzer(MarketConfig(vix_history=5, vix_window=20))
    stream = analyzer.stream()
    for bar, fear in zip(bars, fears, strict=False):
        stream.update(bar, fear)
    answer = stream.analysis()
    assert all(isfinite(x) for x in (*answer.metrics, *answer.distribution, answer.score) if x is not None)
    assert sum(answer.weights) == pytest.approx(1.0)
    assert sum(answer.distribution) == pytest.approx(1.0)
    whole = analyzer.analyze(bars, fears[: len(bars)])
    assert (answer.weights, answer.metrics.vix_deviation) == (whole.weights, whole.metrics.vix_deviation)
    assert answer.score == pytest.approx(whole.score, abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 20, 34])
def test_fewer_than_35_bars_are_not_enough(count, bars):
    """Too little history is an error that says how much is missing, never a flat market by default."""
    stream = MarketStream()
    for bar in bars[:count]:
        stream.update(bar)
    assert not stream.ready
    for ask in (stream.analysis, stream.metrics, lambda: MarketConditionAnalyzer().analyze(bars[:count])):
        with pytest.raises(InsufficientData) as caught:
            ask()
        assert (caught.value.needed, caught.value.got) == (35, count)


def test_without_vix_its_weight_goes_to_the_others(bars):
    """Without VIX the weights 0.4 and 0.3 are scaled to 1, and the answer shows it."""
    answer = MarketConditionAnalyzer().analyze(bars)
    assert answer.weights == pytest.approx((4 / 7, 3 / 7, 0.0))
    assert (answer.metrics.vix, answer.metrics.vix_deviation) == (None, None)


def test_vix_counts_once_it_has_a_history(bars):
    """VIX is used from the 61st value on: 60 earlier ones to compare with."""
    fears = [20.0 + i % 5 for i in range(len(bars))]
    analyzer = MarketConditionAnalyzer()
    assert analyzer.analyze(bars[:60], fears[:60]).weights[2] == 0.0
    answer = analyzer.analyze(bars[:61], fears[:61])
    assert answer.weights == pytest.approx((0.4, 0.3, 0.3))
    assert answer.metrics.vix_deviation == pytest.approx((20.0 - 22.0) / 1.4826)


def test_a_vix_that_never_moved_cannot_be_judged(bars):
    """A constant VIX has no spread to be measured in: it is left out, and that is recorded."""
    answer = MarketConditionAnalyzer().analyze(bars, [20.0] * len(bars))
    assert (answer.metrics.vix, answer.metrics.vix_deviation, answer.weights[2]) == (20.0, None, 0.0)


def test_a_high_vix_is_bearish():
    """More fear than usual lowers the score by its weight, in robust standard deviations."""
    assert judged(vix_deviation=2.0).score == pytest.approx(-0.6)
    assert judged(vix_deviation=-2.0).score == pytest.approx(0.6)


def test_a_flat_market_is_neutral():
    """Where nothing moves the score is 0, whatever VIX says at its usual level."""
    answer = MarketConditionAnalyzer().analyze(closes_to_bars([100.0] * 40))
    assert (answer.condition, answer.score, answer.trend) == (K.NEUTRAL, 0.0, Direction.STABLE)
    assert answer.metrics.rsi == 50.0
    assert answer.regime is MarketRegime.LOW_VOLATILITY


@pytest.mark.parametrize(("step", "kind"), [(1.01, K.EXTREMELY_BULLISH), (1 / 1.01, K.EXTREMELY_BEARISH)])
def test_the_condition_depends_on_the_price(step, kind):
    """A price that moves 1 % each day, the same way, is extreme without any VIX: the original never looked at it."""
    answer = MarketConditionAnalyzer().analyze(closes_to_bars([100.0 * step**i for i in range(40)]))
    assert answer.condition is kind


@settings(deadline=None)
@given(st.floats(-0.2, 0.2), st.floats(-0.4, 0.4), st.floats(-0.8, 0.8), st.floats(-6, 6), st.floats(-9, 9))
def test_bull_and_bear_are_treated_alike(day, week, month, momentum, fear):
    """Turning every sign turns the condition and its distribution round, and changes nothing else."""
    up = judged(change_1=day, change_5=week, change_20=month, momentum=momentum, vix_deviation=fear)
    down = judged(change_1=-day, change_5=-week, change_20=-month, momentum=-momentum, vix_deviation=-fear)
    kinds = list(K)
    assert kinds.index(up.condition) == 6 - kinds.index(down.condition)
    assert up.distribution == pytest.approx(down.distribution[::-1])
    assert up.score == -down.score


@settings(deadline=None)
@given(st.floats(-3.9, 3.9) | st.sampled_from([0.3, 0.8, 1.5, -0.3, -0.8, -1.5]), st.sampled_from([-1, 0, 1]))
def test_the_likeliest_class_is_the_condition(score, ulp):
    """The distribution sums to one and peaks at the condition, on the cut points and one float beside them too."""
    config = MarketConfig(weights=(0.0, 1.0, 0.0))
    moved = score if ulp == 0 else nextafter(score, ulp * inf)
    answer = judged(config, momentum=moved, vix_deviation=None)
    assert answer.score == moved
    assert sum(answer.distribution) == pytest.approx(1.0)
    assert answer.distribution[list(K).index(answer.condition)] == max(answer.distribution)
    assert answer.confidence == max(answer.distribution) == answer.probabilities[answer.condition]


@pytest.mark.parametrize(
    ("score", "kind"),
    [
        (0.0, K.NEUTRAL),
        (0.3, K.NEUTRAL),
        (nextafter(0.3, 1), K.NEUTRAL_BULLISH),
        (0.8, K.NEUTRAL_BULLISH),
        (nextafter(0.8, 1), K.BULLISH),
        (1.5, K.BULLISH),
        (nextafter(1.5, 2), K.EXTREMELY_BULLISH),
    ],
)
def test_cut_points_belong_to_the_milder_condition(score, kind):
    """A score on a cut point has the milder of the two conditions, on both sides of neutral."""
    config = MarketConfig(weights=(0.0, 1.0, 0.0))
    kinds = list(K)
    assert judged(config, momentum=score, vix_deviation=None).condition is kind
    mirrored = judged(config, momentum=-score, vix_deviation=None).condition
    assert kinds.index(mirrored) == 6 - kinds.index(kind)


def test_cut_points_lie_midway_between_class_centres():
    """Each class centre's nearest scores are exactly those between its two cut points."""
    centres = class_centres((0.3, 0.8, 1.5))
    midway = [(a + b) / 2 for a, b in itertools.pairwise(centres)]
    assert midway == pytest.approx([-1.5, -0.8, -0.3, 0.3, 0.8, 1.5])


def test_the_distribution_is_a_softmax_over_squared_distances():
    """Probabilities follow exp(-distance^2 / (2 temperature^2)), normalised."""
    answer = judged(momentum=1.0)
    weights = [exp(-((answer.score - c) ** 2) / (2 * 0.4**2)) for c in class_centres((0.3, 0.8, 1.5))]
    assert answer.distribution == pytest.approx([w / sum(weights) for w in weights])


def test_one_term_cannot_shout_the_others_down():
    """Each term counts for at most four of its standard deviations."""
    assert judged(momentum=1e9).score == pytest.approx(0.3 * 4)
    assert judged(vix_deviation=1e9).score == pytest.approx(-0.3 * 4)
    assert judged(change_1=10.0, change_5=10.0, change_20=10.0).score == pytest.approx(0.4 * 4)


@pytest.mark.parametrize(
    ("volatility", "trend", "month", "regime"),
    [
        (0.36, 0.0, 0.0, MarketRegime.HIGH_VOLATILITY),
        (0.14, 9.0, 0.0, MarketRegime.LOW_VOLATILITY),
        (0.20, -8.0, 0.0, MarketRegime.TRENDING),
        (0.20, 1.0, 0.2, MarketRegime.RANGE_BOUND),
        (0.20, 4.0, 0.08, MarketRegime.BULL),
        (0.20, -4.0, -0.08, MarketRegime.BEAR),
        (0.20, 4.0, 0.03, MarketRegime.SIDEWAYS),
    ],
)
def test_the_seven_regimes(volatility, trend, month, regime):
    """Volatility decides first, then the trend's t-statistic, then the month's change in standard deviations."""
    assert judged(volatility_20=volatility, trend_t=trend, change_20=month).regime is regime


@pytest.mark.parametrize(
    ("changes", "points", "level"),
    [
        ({}, 0, MarketRiskLevel.LOW),
        ({"volatility_20": 0.26}, 2, MarketRiskLevel.LOW),
        ({"volatility_20": 0.36}, 3, MarketRiskLevel.MODERATE),
        ({"volatility_20": 0.26, "vix": 26.0}, 4, MarketRiskLevel.MODERATE),
        ({"volatility_20": 0.36, "vix": 26.0}, 5, MarketRiskLevel.HIGH),
        ({"volatility_20": 0.26, "vix": 26.0, "momentum": -2.5}, 6, MarketRiskLevel.HIGH),
        ({"volatility_20": 0.36, "vix": 36.0}, 6, MarketRiskLevel.HIGH),
        ({"volatility_20": 0.36, "vix": 36.0, "volume_ratio": 2.5}, 7, MarketRiskLevel.EXTREME),
        (
            {"volatility_20": 0.36, "vix": 36.0, "momentum": 3, "trend_t": 11.0, "volume_ratio": 3},
            10,
            MarketRiskLevel.EXTREME,
        ),
        ({"volatility_20": 0.36, "momentum": 2.5, "vix": None, "volume_ratio": None}, 5, MarketRiskLevel.EXTREME),
        ({"volatility_20": 0.26, "vix": None, "volume_ratio": None}, 2, MarketRiskLevel.MODERATE),
    ],
)
def test_risk_is_counted_in_whole_points(changes, points, level):
    """Three twos and two threes are the same six points; what is not known is not on offer either."""
    answer = judged(**changes)
    assert (answer.risk_points, answer.risk_level) == (points, level)


@pytest.mark.parametrize(
    ("volatility", "regime"),
    [(0.25, "low"), (0.26, "normal"), (0.35, "normal"), (0.36, "high"), (0.50, "high"), (0.51, "extreme")],
)
def test_volatility_regimes(volatility, regime):
    """Above 0.25 normal, above 0.35 high, above 0.50 extreme."""
    assert judged(volatility_20=volatility).volatility_regime is VolatilityRegime(regime)


@pytest.mark.parametrize(
    ("momentum", "word"), [(0.5, "negligible"), (-0.6, "weak"), (1.1, "moderate"), (-2.1, "strong")]
)
def test_momentum_has_a_word(momentum, word):
    """The size of the momentum, whichever its sign, has a word."""
    assert judged(momentum=momentum).momentum_strength is MomentumStrength(word)


def test_the_original_score_is_the_originals_formula():
    """Score, condition, regime and distribution of the original, worked out by hand from correct metrics."""
    answer = original(change_1=0.01, change_5=0.02, change_20=0.05, trend_slope=0.002, vix=15.0)
    momentum = tanh(0.2)
    score = 0.5 * (0.4 * 0.01 + 0.4 * 0.02 + 0.2 * 0.05) + 0.3 * momentum + 0.2 * (30 - 15) / 30
    assert answer.score == pytest.approx(score)
    assert (answer.condition, answer.regime) == (K.EXTREMELY_BULLISH, MarketRegime.RANGE_BOUND)
    assert answer.confidence == pytest.approx(0.9)  # 0.5, same signs 0.3, VIX agrees 0.1
    assert answer.distribution == pytest.approx((0.05, 0.15, 0.2, 0.2, 0.2, 0.15, 0.05))


@pytest.mark.parametrize(
    ("vix", "kind"),
    [
        (12, K.EXTREMELY_BULLISH),
        (22, K.EXTREMELY_BULLISH),
        (25, K.BULLISH),
        (28, K.NEUTRAL_BULLISH),
        (29, K.NEUTRAL_BULLISH),
        (30, K.NEUTRAL),
        (31, K.NEUTRAL_BEARISH),
        (35, K.BEARISH),
        (45, K.EXTREMELY_BEARISH),
    ],
)
def test_in_the_original_vix_decides_alone(vix, kind):
    """On flat prices the original's condition is a function of VIX, as it was found to be; the standard one is not."""
    assert original(vix=float(vix)).condition is kind
    assert judged(vix=float(vix)).condition is K.NEUTRAL


@pytest.mark.parametrize(
    ("changes", "confidence"),
    [
        ({"vix": 30.0}, 0.5),
        ({"vix": 15.0}, 0.6),
        ({"vix": 40.0}, 0.6),
        ({"rsi": 71.0, "vix": 30.0}, 0.6),
        ({"rsi": 29.0, "volume_ratio": 1.3, "vix": 30.0}, 0.7),
        ({"change_5": 0.06, "vix": 30.0}, 0.7),
        ({"change_5": 0.06, "change_1": 0.01, "change_20": 0.1, "trend_slope": 0.06, "vix": 15.0}, 0.95),
    ],
)
def test_the_originals_confidence_adds_up(changes, confidence):
    """The original's confidence is 0.5 and a tenth or more for each sign that agrees, 0.95 at most."""
    assert original(**changes).confidence == pytest.approx(confidence)


def test_the_originals_distribution_ignores_its_condition():
    """Momentum shifts two classes and volatility the extremes: the original's likeliest class need not be its answer."""
    answer = original(change_5=0.06, volatility_20=0.4, vix=60.0)
    shares = [0.10, 0.15, 0.2, 0.2, 0.2, 0.25, 0.20]
    assert answer.distribution == pytest.approx([s / sum(shares) for s in shares])
    bearish = original(change_5=-0.06, volatility_20=0.2, vix=20.0).distribution
    shares = [0.15, 0.25, 0.2, 0.2, 0.2, 0.15, 0.05]
    assert bearish == pytest.approx([s / sum(shares) for s in shares])


def test_the_original_needs_vix(bars):
    """The original invented a VIX of 20 where none was given; here that is an error."""
    with pytest.raises(InputError, match="vix"):
        MarketConditionAnalyzer(MarketConfig.original()).analyze(bars)


@pytest.mark.parametrize(
    "changes",
    [
        {"scoring": "other"},
        {"weights": (0.0, 0.0, 1.0)},
        {"weights": (0.5, 0.5)},
        {"weights": (-0.1, 0.5, 0.6)},
        {"weights": (nan, 0.5, 0.5)},
        {"change_weights": (0.0, 0.0, 0.0)},
        {"cuts": (0.3, 0.5, 1.5)},
        {"cuts": (0.3, 0.8, 0.9)},
        {"cuts": (0.0, 0.8, 1.5)},
        {"trend_window": 2},
        {"trend_window": 27},
        {"vix_history": 300},
        {"vix_history": 1},
    ],
)
def test_contradictory_configurations_are_refused(changes):
    """A configuration that cannot work is refused when it is built."""
    with pytest.raises(ConfigError):
        MarketConfig(**changes)


@pytest.mark.parametrize("field", ["temperature", "cap", "volatility_floor"])
@pytest.mark.parametrize("value", [0.0, -1.0, nan, inf, True, None])
def test_scales_are_positive_numbers(field, value):
    """A scale of the score is a positive number."""
    with pytest.raises(InputError, match=field):
        replace(MarketConfig(), **{field: value})


def test_an_update_that_fails_changes_nothing(bars):
    """A refused bar or VIX leaves the stream as it was."""
    stream, clean = MarketStream(), MarketStream()
    for bar in bars:
        stream.update(bar, 20.0)
        clean.update(bar, 20.0)
        for bad in ((bar, 20.0), (bar, -1.0)):
            with pytest.raises(InputError):
                stream.update(*bad)
    assert stream.analysis() == clean.analysis()


def test_volume_that_is_not_known_has_no_ratio(bars):
    """A single unknown volume among the last 21 leaves the ratio out, in both forms."""
    gap = [replace(bar, volume=None) if i == 110 else bar for i, bar in enumerate(bars)]
    stream = MarketStream()
    for bar in gap:
        stream.update(bar)
    assert stream.metrics().volume_ratio is None
    assert MarketConditionAnalyzer().analyze(gap).metrics.volume_ratio is None


def test_an_analysis_explains_itself(bars):
    """The explanation names condition, score, weights, regime and risk."""
    answer = MarketConditionAnalyzer().analyze(bars)
    text = answer.explain()
    for part in (
        str(bars[-1].time),
        answer.condition.value,
        "0.57 change",
        answer.regime.value,
        answer.risk_level.value,
    ):
        assert part in text
    assert answer.metrics.macd_histogram == answer.metrics.macd - answer.metrics.macd_signal


def test_a_stream_holds_a_bounded_state(series, vix):
    """Five thousand bars take as much memory as five hundred, give or take the digits of a count; a stream pickles."""
    stream, sizes = MarketStream(), []
    for i, bar in enumerate(series["S&P 500"], 1):
        stream.update(bar, vix.get(bar.time, 20.0 + i % 9))
        if i in (500, 5_000):
            sizes.append(len(pickle.dumps(stream)))
    assert abs(sizes[1] - sizes[0]) < 64
    assert pickle.loads(pickle.dumps(stream)).analysis() == stream.analysis()
