"""The plain engine and the fast one give the same answers; and the plain one gives those worked out by hand."""

import ast
from dataclasses import is_dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import Enum
from importlib import import_module
from math import inf, nextafter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine_opt import (
    AccountType,
    ATRAdjustmentSystem,
    ATRConfig,
    Bar,
    Book,
    ConfigError,
    Direction,
    EngineConfig,
    EngineError,
    InputError,
    InsufficientData,
    MarketCondition,
    MarketConditionAnalyzer,
    MarketConditionKind,
    MarketConfig,
    MarketRegime,
    Position,
    RiskLevel,
    TradeContext,
    TrustRequest,
    WeekClassifier,
    WeekContext,
    WeekRequest,
    WeekRules,
    WeekType,
    reference,
)
from engine_opt.protocol.atr_adjustment import adjust, measure
from engine_opt.reference import indicators
from engine_opt.reference.week import category_of, cell_of

NAMES = ["AAPL", "FB", "GOOG", "IBM", "MSFT", "S&P 500", "NASDAQ"]
DAY = date(2020, 1, 1)
RULES = [
    WeekRules.standard(),
    WeekRules.original(),
    WeekRules.standard(
        put_from_strike=(-12.5, -4.0, 0.5),
        put_from_week_start=(-12.5, -4.0, -0.5),
        stock=(-20.0, -8.0, -2.0, 0.0, 7.5),
        beyond=12.0,
    ),
]
MARKETS = [
    MarketConfig(),
    MarketConfig.original(),
    MarketConfig(
        weights=(0.2, 0.5, 0.3), cuts=(0.1, 0.5, 0.9), temperature=0.2, trend_window=26, vix_window=30, vix_history=5
    ),
]
ATRS = [
    ATRConfig(),
    ATRConfig.original(),
    ATRConfig(smoothing="ema", regime_by="percentile", periods=(5, 21), history=40, history_needed=20),
]


def agree(plain, fast, where="", unit=1.0):
    """Words are the same, numbers differ by 1e-12 at most: of themselves, or of the unit of a difference near 0."""
    if isinstance(fast, tuple):
        names = getattr(fast, "_fields", range(len(fast)))
        for name, a, b in zip(names, plain, fast, strict=True):
            currency = fast.close if name in ("macd", "macd_signal") else 1.0
            agree(a, b, f"{where}.{name}", currency)
    elif type(fast) is float:
        assert type(plain) is float, where
        assert plain == pytest.approx(fast, rel=1e-12, abs=1e-12 * unit), where
    else:
        assert (type(plain), plain) == (type(fast), fast), where


def told(ask):
    """What is answered, or what is refused: the error, without its words, which each engine has of its own."""
    try:
        return ask()
    except InsufficientData as error:
        return type(error), error.needed, error.got, error.what
    except EngineError as error:
        return type(error), getattr(error, "field", None)


# --- weeks ---------------------------------------------------------------------------------------------------------------

positions = st.sampled_from(Position)
money = st.integers(1, 40_000).map(lambda ticks: ticks / 64)  # from 2 cents to 625
contexts = st.none() | st.builds(
    WeekContext,
    strike=st.sampled_from([None, 97.0, 100.0]) | money,
    cost_basis=st.sampled_from([None, 97.0, 100.0]) | money,
    days_to_expiration=st.none() | st.sampled_from([0.0, 1.0, 3.0, 7.0, 45.0]) | st.floats(0.0, 400.0),
    can_roll=st.booleans(),
    favourable=st.sampled_from([None, False, True]),
)
moves = st.floats(0.75, 1.2) | st.floats(0.01, 100.0)
conditions = st.builds(
    lambda start, move, **others: MarketCondition("X", start * move, start, **others),
    start=st.sampled_from([97.0, 100.0]) | money,
    move=moves,
    volatility=st.sampled_from([0.0, 0.3, nextafter(0.3, 1)]) | st.floats(0.0, 2.0),
    movement_percentage=st.sampled_from([None, None, None, 0.0]),
    timestamp=st.none() | st.just(DAY),
)


def same_week(condition, position, context, rules):
    plain = told(lambda: reference.classify_week(condition, position, context, rules))
    fast = told(lambda: WeekClassifier(rules).classify_week(condition, position, context))
    agree(plain, fast)


@settings(max_examples=200, deadline=None)
@given(condition=conditions, position=positions, context=contexts, rules=st.sampled_from(RULES))
def test_any_week_is_the_same_week(condition, position, context, rules):
    """Whatever the prices, the position and what is known of it, both engines answer alike, by every rule set."""
    same_week(condition, position, context, rules)


@settings(max_examples=100, deadline=None)
@given(
    base=st.integers(1, 5_000).map(float),
    percent=st.sampled_from([-20, -15, -12.5, -10, -8, -5, -4, -2, -1, -0.5, 0, 0.5, 1, 5, 7.5, 10, 12]),
    ulps=st.sampled_from([-inf, 0, inf]),
    position=positions,
    rules=st.sampled_from(RULES),
)
@example(base=33.10, percent=-5, ulps=0, position=Position.SHORT_PUT, rules=RULES[0])
def test_on_a_boundary_and_beside_it_the_week_is_the_same(base, percent, ulps, position, rules):
    """On every boundary, and one float to either side of its price, both engines choose the same cell."""
    price = base * (100 + percent) / 100
    price = price if ulps == 0 else nextafter(price, ulps)
    for known in ({}, {"strike": base}, {"cost_basis": base}):
        context = WeekContext(days_to_expiration=5.0, **known)
        same_week(MarketCondition("X", price, base, 0.25), position, context, rules)


@pytest.mark.parametrize("rules", RULES[:2], ids=lambda rules: rules.name)
def test_the_tables_are_the_same_to_one_ulp(rules):
    """Given the movement itself, one float below a boundary is the cell below it, in both engines."""
    for (position, _), ladder in rules.ladders.items():
        for bound in ladder.bounds:
            for r in (nextafter(bound, -inf), bound, nextafter(bound, inf)):
                fast = ladder.cell(r)
                lower, upper = ladder.edges[fast], ladder.edges[fast + 1]
                if rules.name == "original":
                    assert category_of(r)[1:] == (lower, upper)
                else:
                    assert cell_of(position, r, ladder.bounds) == (ladder.types[fast], lower, upper)


@pytest.mark.parametrize("name", NAMES)
def test_real_weeks_are_the_same_weeks(name, series):
    """Every fifth session of the real series, in all positions, with and without what is known of them."""
    bars = series[name]
    for number, i in enumerate(range(5, len(bars), 20 if len(bars) > 1_000 else 5)):
        start, end = bars[i - 5].close, bars[i].close
        condition = MarketCondition(name, end, start, 0.35, timestamp=bars[i].time)
        known = WeekContext(start * 0.97, start * 1.02, number % 30, number % 3 > 0, number % 2 > 0)
        for position in Position:
            for rules in RULES:
                same_week(condition, position, known if number % 4 else None, rules)


@pytest.mark.parametrize(
    ("price", "position", "context", "week_type", "bounds"),
    [
        (95.06, "short_put", WeekContext(strike=97.0), WeekType.P_AWL, (-5.0, 0.0)),  # 2 % below the strike
        (97.0, "short_put", WeekContext(strike=97.0), WeekType.P_EW, (0.0, inf)),
        (97.0, "short_put", None, WeekType.P_AWL, (-5.0, -1.0)),  # -3 % from the week's start of 100
        (99.0, "short_put", None, WeekType.P_EW, (-1.0, inf)),
        (90.0, "short_put", None, WeekType.P_RO, (-15.0, -5.0)),
        (90.0, "short_put", WeekContext(can_roll=False), WeekType.P_AOL, (-15.0, -5.0)),
        (84.99, "short_put", None, WeekType.P_DD, (-inf, -15.0)),
        (105.0, "long_stock", None, WeekType.C_WAP_PLUS, (5.0, inf)),
        (105.0, "long_stock", WeekContext(cost_basis=104.0), WeekType.C_PNO, (-5.0, 1.0)),  # +0.96 %
        (101.0, "short_call", None, WeekType.C_WAP, (1.0, 5.0)),
        (91.0, "short_call", None, WeekType.C_RO, (-10.0, -5.0)),
        (85.0, "long_stock", None, WeekType.C_REC, (-15.0, -10.0)),
        (70.0, "long_stock", None, WeekType.P_DD, (-inf, -15.0)),
        (70.0, "cash", None, WeekType.W_IDL, (-inf, inf)),
        (70.0, "cash", WeekContext(favourable=True), WeekType.P_EW, (-inf, inf)),
    ],
)
def test_weeks_worked_out_by_hand(price, position, context, week_type, bounds):
    """The week began at 100: types and cells read off the table with a finger."""
    answer = reference.classify_week(MarketCondition("X", price, 100.0, 0.2), position, context)
    assert (answer.week_type, (answer.lower, answer.upper)) == (week_type, bounds)
    assert answer.projected is (position == "cash" and context is not None)


def test_a_confidence_worked_out_by_hand():
    """A put at its strike, volatility 36.5 %, 3.65 days to go: s = 0.365 sqrt(0.01) = 0.0365.

    P(r_T >= 0) = 1 - Phi(s/2) = 1 - Phi(0.01825) = 0.5 - 0.01825 x 0.3989423 (less a third of nothing) = 0.49272.
    """
    condition = MarketCondition("X", 100.0, 100.0, 0.365)
    answer = reference.classify_week(condition, "short_put", WeekContext(strike=100.0, days_to_expiration=3.65))
    assert answer.confidence == pytest.approx(0.49272, abs=5e-6)


def test_an_original_week_worked_out_by_hand():
    """The original's one scored cell: a put at -7 % is rolled with 0.6405, medium risk, from the week's start only."""
    condition = MarketCondition("X", 93.0, 100.0, 0.2)
    answer = reference.classify_week(condition, "short_put", WeekContext(strike=90.0), WeekRules.original())
    assert (answer.week_type, answer.confidence, answer.risk_level) == (WeekType.P_RO, 0.6405, RiskLevel.MEDIUM)
    assert (answer.movement, answer.lower, answer.upper) == (-7.0, -10.0, -5.0)


def test_the_reference_knows_two_rule_sets():
    """A rule set of another name has a table that is not written here: it is refused, not judged by another one."""
    with pytest.raises(ConfigError, match="mine"):
        reference.classify_week(
            MarketCondition("X", 1.0, 1.0, 0.2), "cash", rules=replace(WeekRules.standard(), name="mine")
        )


# --- markets -------------------------------------------------------------------------------------------------------------


def days_of(name, count):
    """Days to look at: where answers begin, and a few spread over the rest."""
    spread = [36, 60, 61, 95, *range(150, count, max(count // 9, 1)), count]
    return sorted({day for day in spread if 35 <= day <= count})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("config", MARKETS, ids=["standard", "original", "configured"])
def test_real_markets_are_analysed_alike(name, config, series, vix):
    """Plain, fast from the whole series, and fast bar by bar: three analyses of the same day are one."""
    bars = series[name][-1_500:]
    fears = [vix.get(bar.time, 20.0 + 10 * (i % 7)) for i, bar in enumerate(bars)]
    analyzer = MarketConditionAnalyzer(config)
    stream, days = analyzer.stream(), days_of(name, len(bars))
    for i, (bar, fear) in enumerate(zip(bars, fears, strict=True), 1):
        stream.update(bar, fear)
        if i in days:
            plain = reference.analyze(bars[:i], fears[:i], config)
            agree(plain, stream.analysis())
            agree(plain, analyzer.analyze(bars[:i], fears[:i]))


# Prices in 64ths: floats hold them, so sums do not depend on the order and equal ranges are equal in both engines.
ticks = st.integers(64, 64 * 90)
sessions = st.tuples(st.integers(-40, 40), st.integers(0, 60), st.integers(0, 60), st.none() | st.integers(0, 3_000))


@st.composite
def markets(draw, least, most):
    """Bars of a market that wanders, stands still or jumps; quoted in 64ths between 1 and 300."""
    close, bars = draw(ticks), []
    quiet = draw(st.booleans())
    count = draw(st.integers(least, most))
    for i, (step, above, below, volume) in enumerate(draw(st.lists(sessions, min_size=count, max_size=count))):
        opened = close
        close = min(max(close + (step if not quiet else step // 30) * (9 if above == 60 else 1), 64), 64 * 300)
        high, low = max(opened, close) + above, max(min(opened, close) - below, 32)
        shares = None if volume is None else float(volume)
        bars.append(Bar(DAY + timedelta(i), opened / 64, high / 64, low / 64, close / 64, shares))
    return bars


@settings(max_examples=60, deadline=None)
@given(
    bars=markets(33, 60),
    fears=st.lists(st.none() | st.sampled_from([22.5, 27.0, 30.0]) | st.floats(8.0, 80.0), min_size=60, max_size=60),
    config=st.sampled_from([*MARKETS, MarketConfig(vix_history=2), MarketConfig(cap=0.5, volatility_floor=0.4)]),
)
def test_any_market_is_analysed_alike(bars, fears, config):
    """However short, quiet or wild the market, and whatever is known of VIX, the analyses or refusals are the same."""
    fears = fears[: len(bars)]
    plain = told(lambda: reference.analyze(bars, fears, config))
    agree(plain, told(lambda: MarketConditionAnalyzer(config).analyze(bars, fears)))
    stream = MarketConditionAnalyzer(config).stream()
    for bar, fear in zip(bars, fears, strict=True):
        stream.update(bar, fear)
    agree(plain, told(stream.analysis))


def straight(closes, volumes=None):
    volumes = volumes or [1_000.0] * len(closes)
    days = enumerate(zip(closes, volumes, strict=True))
    return [Bar(DAY + timedelta(i), c, c, c, c, v) for i, (c, v) in days]


def test_a_line_worked_out_by_hand():
    """Closes 101, 102 ... 140: what every indicator is on a straight line can be written down.

    MACD of a line with slope 1 is the difference of the lags of its means, (26-1)/2 - (12-1)/2 = 7, and so is its mean.
    Bollinger: mean 130.5, population variance (20^2-1)/12 = 33.25; (140 - 130.5 + 2 sd)/(4 sd) = 0.5 + 9.5/(4 x 5.76628).
    RSI is 100, nothing was lost. The slope is 1/130.5 of the mean; the residual's floor is 1e-9 x 130.5, the sum of
    squared steps 20 (20^2-1)/12 = 665: t = sqrt(665)/1.305e-7.
    """
    answer = reference.analyze(straight([101.0 + i for i in range(40)], [1_000.0] * 39 + [2_500.0]))
    metrics = answer.metrics
    assert metrics.change_1 == pytest.approx(1 / 139)
    assert metrics.change_5 == pytest.approx(5 / 135)
    assert metrics.change_20 == pytest.approx(20 / 120)
    assert (metrics.macd, metrics.macd_signal) == (pytest.approx(7.0), pytest.approx(7.0))
    assert metrics.rsi == 100.0
    assert metrics.bollinger == pytest.approx(0.911878, abs=1e-6)
    assert metrics.trend_slope == pytest.approx(1 / 130.5)
    assert metrics.trend_t == pytest.approx(25.78759 / 1.305e-7, rel=1e-6)
    assert metrics.parkinson_20 == 0.0
    assert metrics.volume_ratio == 2.5
    assert (answer.regime, answer.trend) == (MarketRegime.LOW_VOLATILITY, Direction.RISING)
    # every move is beyond 4 standard deviations of a market that hardly varies: all is at the cap
    assert answer.score == pytest.approx(4.0)
    assert answer.condition is MarketConditionKind.EXTREMELY_BULLISH
    # strong momentum 2, strong trend 1, volume above double 1: 4 of the 7 points on offer without VIX, 57 %
    assert (answer.risk_points, answer.risk_level.value) == (4, "high")


def test_a_swing_worked_out_by_hand():
    """Closes 100, 110, 100, 110 ...: log returns of +-0.0953102 in turn.

    Ten up and ten down: sample deviation 0.0953102 sqrt(20/19) = 0.0977862, times sqrt(252) = 1.552307. Gains of 10 one day
    and losses of 10 the next: Wilder's means add up to 10, and after a rise the gain's is g = (13 (13 g/14) + 10)/14, so
    g = 140/27 = 5.185185 and RSI 51.85185.
    """
    answer = reference.analyze(straight([100.0, 110.0] * 150))
    metrics = answer.metrics
    assert metrics.volatility_20 == pytest.approx(1.552307, abs=1e-6)
    assert metrics.rsi == pytest.approx(51.85185, abs=1e-5)
    assert metrics.bollinger == pytest.approx(0.75)  # one deviation above the mean, of two
    assert (metrics.change_5, metrics.change_20) == (pytest.approx(0.1), 0.0)
    # 5-session move 0.1 in units of 1.552307 sqrt(5/252) = 0.2186566
    assert metrics.momentum == pytest.approx(0.457338, abs=1e-6)
    # day: 0.1/0.0977862 = 1.022639, week 0.457338, month 0: .4 x 1.022639 + .4 x .457338 = 0.591991;
    # without VIX 4/7 of it and 3/7 of the momentum
    assert answer.score == pytest.approx(4 / 7 * 0.591991 + 3 / 7 * 0.457338, abs=1e-6)
    assert answer.condition is MarketConditionKind.NEUTRAL_BULLISH  # 0.5343 is between 0.3 and 0.8
    assert answer.volatility_regime.value == "extreme"
    assert answer.momentum_strength.value == "negligible"


def test_an_original_swing_worked_out_by_hand():
    """The same swing and VIX 30, by the original's formula: 0.5 (0.4 x 0.1 + 0.4 x 0.1 + 0) + 0.3 tanh 1 = 0.268478.

    Confidence 0.5, and 0.2 for a momentum of tanh 1 = 0.761594; the month's change of 0 is not of the week's sign.
    Ten closes alternate about 105, slope 25/82.5: trend = tanh(10 x 0.30303/105) = 0.028852, no trend.
    """
    bars = straight([100.0, 110.0] * 150)
    answer = reference.analyze(bars, [30.0] * 300, MarketConfig.original())
    assert answer.score == pytest.approx(0.268478, abs=1e-6)
    assert (answer.condition, answer.confidence) == (MarketConditionKind.EXTREMELY_BULLISH, 0.7)
    assert answer.metrics.trend_slope == pytest.approx(0.00288600, abs=1e-8)
    assert (answer.trend, answer.momentum_strength.value) == (Direction.STABLE, "strong")
    shares = [0.10, 0.15, 0.2, 0.2, 0.2, 0.25, 0.20]  # momentum 0.1 on the two bullish ends, volatility 0.05 on both
    assert answer.distribution == pytest.approx([share / 1.3 for share in shares])
    agree(answer, MarketConditionAnalyzer(MarketConfig.original()).analyze(bars, [30.0] * 300))


def test_a_fear_worked_out_by_hand():
    """VIX 18, 20, 22, 20 ... then 25: median 20, absolute deviations 2, 0, 2, 0: median 1; (25 - 20)/1.4826 = 3.3725.

    In a flat market nothing else counts: score = -0.3 x 3.3725.
    """
    fears = [(18.0, 20.0, 22.0, 20.0)[i % 4] for i in range(80)]
    answer = reference.analyze(straight([50.0] * 81), [*fears, 25.0])
    assert answer.metrics.vix_deviation == pytest.approx(3.372454, abs=1e-6)
    assert answer.score == pytest.approx(-1.011736, abs=1e-6)
    assert answer.condition is MarketConditionKind.BEARISH
    assert answer.metrics.rsi == 50.0
    original = reference.analyze(straight([50.0] * 81), [*fears, 25.0], MarketConfig.original())
    assert original.score == pytest.approx(1 / 30)  # 0.2 x (30 - 25)/30
    assert (original.condition, original.confidence) == (MarketConditionKind.BULLISH, 0.5)


@pytest.mark.parametrize(("vix", "field"), [(None, "vix"), ([20.0] * 39, "vix"), ([20.0] * 39 + [None], "vix")])
def test_the_original_market_needs_vix(vix, field):
    """Without VIX at the last bar, or with too few values, the original scoring is refused."""
    with pytest.raises(InputError, match=field):
        reference.analyze(straight([50.0] * 40), vix, MarketConfig.original())


# --- ranges --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("config", ATRS, ids=["standard", "original", "configured"])
def test_real_ranges_are_measured_and_adjusted_alike(name, config, series):
    """Plain, fast from the whole series, and fast bar by bar: one reading, and one adjustment of every account."""
    bars = series[name][-1_500:]
    system, days = ATRAdjustmentSystem(config), days_of(name, len(bars))
    for i, bar in enumerate(bars, 1):
        system.update(name, bar)
        if i in days and i >= 60:
            plain, fast = reference.measure(name, bars[:i], config), system.reading(name)
            agree(plain, fast)
            agree(plain, measure(name, bars[:i], config))
            for account in AccountType:
                for condition in (None, *MarketConditionKind):
                    agree(reference.adjust(plain, account, condition, config), system.adjust(fast, account, condition))


@settings(max_examples=60, deadline=None)
@given(
    bars=markets(15, 80),
    config=st.sampled_from(
        [
            *ATRS,
            replace(ATRS[0], periods=(3, 6), history=12, history_needed=4),
            replace(ATRS[1], periods=(1, 2, 30), history=50, history_needed=2),
        ]
    ),
)
def test_any_ranges_are_measured_alike(bars, config):
    """However short, quiet or wild the market, the readings or refusals are the same."""
    plain = told(lambda: reference.measure("X", bars, config))
    agree(plain, told(lambda: measure("X", bars, config)))
    system = ATRAdjustmentSystem(config)
    for bar in bars:
        system.update("X", bar)
    agree(plain, told(lambda: system.reading("X")))


READING = reference.measure("X", straight([100.0] * 60))


@settings(max_examples=150, deadline=None)
@given(
    reading=st.builds(
        READING._replace,
        regime=st.sampled_from([type(READING.regime)(each) for each in type(READING.regime)]),
        volatility_trend=st.sampled_from(Direction),
        percentile=st.none() | st.sampled_from([10.0, 25.0, 75.0, 90.0]) | st.floats(0.0, 100.0),
        z_score=st.none() | st.sampled_from([-2.0, -1.0, 1.0, 2.0]) | st.floats(-5.0, 5.0),
    ),
    account=st.sampled_from(AccountType),
    condition=st.none() | st.sampled_from(MarketConditionKind),
    config=st.sampled_from([*ATRS, ATRConfig(base_days=45, days_to_expiration=(1.4,) * 5, base_delta=47.0)]),
)
def test_any_reading_is_adjusted_alike(reading, account, condition, config):
    """Every regime, account and condition, on the limits of percentile and deviation and beside them."""
    agree(reference.adjust(reading, account, condition, config), adjust(reading, account, condition, config))


@pytest.mark.parametrize("ulp", [-inf, 0, inf])
@pytest.mark.parametrize("config", ATRS[:2], ids=["wilder", "sma"])
def test_on_a_limit_and_beside_it_the_regime_is_the_same(config, ulp):
    """A share of the price on the limit of a regime, and one float to either side, is judged alike."""
    bars = straight([100.0] * 60)
    bars = [replace(bar, high=101.0, low=99.0) for bar in bars]
    limit = 0.02 if ulp == 0 else nextafter(0.02, ulp)
    judged = replace(config, limits=(0.01, limit, 0.03, 0.04))
    agree(reference.measure("X", bars, judged), measure("X", bars, judged))
    assert reference.measure("X", bars, judged).regime.value == ("low" if ulp != -inf else "normal")


def test_an_average_worked_out_by_hand():
    """Ranges 1 (left out), 1, 2, 3, then 5 and a gap of 4: Wilder's mean of three is 2, then (2 x 2 + 5)/3 = 3,
    then (2 x 3 + 4)/3 = 10/3; the exponential one 2, then 2 + (5 - 2)/2 = 3.5, then 3.75; the plain one 2, 10/3, 4.
    """
    spreads = [1.0, 1.0, 2.0, 3.0, 5.0]
    bars = [Bar(DAY + timedelta(i), 20.0, 20.0 + s / 2, 20.0 - s / 2, 20.0) for i, s in enumerate(spreads)]
    bars.append(Bar(DAY + timedelta(5), 24.0, 24.0, 23.0, 23.5))  # 4 above the close before, 1 from high to low
    assert indicators.true_ranges(bars) == [1.0, 1.0, 2.0, 3.0, 5.0, 4.0]
    assert indicators.average_true_ranges(bars, 3, "wilder") == pytest.approx([2.0, 3.0, 10 / 3])
    assert indicators.average_true_ranges(bars, 3, "ema") == pytest.approx([2.0, 3.5, 3.75])
    assert indicators.average_true_ranges(bars, 3, "sma") == pytest.approx([2.0, 10 / 3, 4.0])


def test_an_adjustment_worked_out_by_hand():
    """Range 2.5 around 100 is 2.5 %: high. Revenue, bearish: size 0.8 x 0.9, delta 35 x 0.9 x 0.95 = 29.925, kept at 30;
    days 35 x 1.1 = 38.5, cut to 38; risk 1.2, stop 0.8, target 1.2. Confidence 0.80 + 0.10 stable - 0.10 without a past.
    """
    bars = [replace(bar, high=101.25, low=98.75) for bar in straight([100.0] * 60)]
    reading = reference.measure("X", bars)
    assert (reading.atr, reading.atr_share, reading.regime.value) == ((2.5, 2.5, 2.5), 0.025, "high")
    answer = reference.adjust(reading, "REV", "bearish")
    assert answer.position_size == pytest.approx(0.72)
    assert (answer.delta, answer.delta_wanted) == (30.0, pytest.approx(29.925))
    assert answer.days_to_expiration == 38
    assert (answer.risk_multiplier, answer.stop_loss, answer.profit_target) == (1.2, 0.8, 1.2)
    assert answer.confidence == 0.8
    longer = replace(ATRConfig(), base_days=45, days_to_expiration=(1.4,) * 5)  # 63 days, a hair less in floats
    assert reference.adjust(reading, "GEN", config=longer).days_to_expiration == 63


def test_a_rank_worked_out_by_hand():
    """3 among 1, 2, 3, 3, 9: two below and two equal, (2 + 1)/5 = 60 %; mean 3.6, deviation sqrt(39.2/4) = 3.1305."""
    assert indicators.mid_rank(3.0, [1.0, 2.0, 3.0, 3.0, 9.0]) == 60.0
    assert indicators.z_score(3.0, [1.0, 2.0, 3.0, 3.0, 9.0]) == pytest.approx(-0.6 / 3.130495)
    assert indicators.z_score(3.0, [3.0, 3.0]) is None


# --- one door ------------------------------------------------------------------------------------------------------------


def test_every_part_of_the_engine_has_its_plain_form_here(bars):
    """The parts, called one after the other from the package, come to what the plain engine decides."""
    past = bars[:300]
    request = WeekRequest(
        "AAPL",
        "REV",
        "cash",
        datetime.combine(past[-1].time, time(16)),
        Book(1e6, 3e6, 0.05, 0.01, shares_held=500),
        WeekContext(favourable=True),
        confidence=0.96,
    )
    decision = reference.decide(request, past)
    config = EngineConfig()
    market, reading = reference.analyze(past), reference.measure("AAPL", past)
    adjustment = reference.adjust(reading, "REV", market.condition)
    assert (decision.market, decision.adjustment) == (market, adjustment)
    condition = MarketCondition("AAPL", past[-1].close, reference.engine.week_start(past), market.metrics.volatility_20)
    assert reference.classify_week(condition, "cash", request.context) == decision.week
    action, trade = reference.plan_trade(request, decision.week, adjustment, market, 0.96, config.rules, config.plan)
    assert (action.value, trade) == ("sell_put", decision.proposal)
    context = TradeContext(request.now.date(), 3e6, 1e6, 0.05, 0.01, 500, market.condition, decision.week.week_type)
    assert reference.validate(trade, context).verdict is decision.report.verdict
    asked = TrustRequest(decision.decision_id, "trade_entry", 0.96, request.now)
    assert reference.PlainTrust().assess(asked) == decision.assessment


# --- independence --------------------------------------------------------------------------------------------------------

FILES = sorted(Path(reference.__file__).parent.glob("*.py"))
MATHEMATICS = {"beta_quantile"}  # a textbook's function, held against SciPy by tests of its own


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_reference_shares_no_decision(path):
    """Of the engine it imports errors, records, words, configurations and mathematics, never a rule or a component."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert all(not each.name.startswith("engine_opt") for each in node.names)
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("engine_opt"):
            continue
        if node.module.startswith(("engine_opt.reference", "engine_opt.model", "engine_opt.errors")):
            continue
        for each in node.names:
            if each.name in MATHEMATICS:
                continue
            thing = getattr(import_module(node.module), each.name)
            plain = isinstance(thing, type) and (is_dataclass(thing) or issubclass(thing, Enum | tuple))
            assert plain, f"{path.name} imports {each.name} from {node.module}"
