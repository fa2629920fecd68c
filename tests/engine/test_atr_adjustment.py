"""Adjustment to the average true range: agreement of both forms, the factor tables, the bands, the ladder."""

import pickle
from dataclasses import replace
from datetime import date, timedelta
from math import inf, nan, nextafter

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import (
    AccountType,
    AdverseMoveLevel,
    ATRAdjustmentSystem,
    ATRConfig,
    ATRReading,
    ATRRegime,
    Bar,
    ConfigError,
    Direction,
    InputError,
    InsufficientData,
    MarketConditionKind,
    MarketConfig,
    Position,
    StateError,
    WeekRules,
    data,
)
from engine_opt.protocol.atr_adjustment import Account, adjust, adverse_move, measure

NAMES = ["AAPL", "FB", "GOOG", "IBM", "MSFT", "S&P 500", "NASDAQ"]
DAY = date(2020, 1, 1)
READING = ATRReading(
    symbol="X",
    time=DAY,
    close=100.0,
    atr=(1.5, 1.5, 1.5),
    atr_share=0.015,
    percentile=50.0,
    z_score=0.0,
    history=252,
    regime=ATRRegime.NORMAL,
    price_trend=Direction.STABLE,
    volatility_trend=Direction.STABLE,
)


def moving(spreads, close=100.0):
    """Bars of these ranges around an unmoving close: the true range is the spread."""
    return [Bar(DAY + timedelta(i), close, close + s / 2, close - s / 2, close) for i, s in enumerate(spreads)]


def fed(bars, config=None, symbol="X"):
    system = ATRAdjustmentSystem(config)
    for bar in bars:
        system.update(symbol, bar)
    return system


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "config",
    [ATRConfig(), ATRConfig.original(), ATRConfig(smoothing="ema", regime_by="percentile", history=100)],
    ids=["standard", "original", "ema"],
)
def test_the_stream_equals_the_whole_series(name, config, series):
    """Bar by bar and all at once give the same reading: enums exactly, floats to twelve digits."""
    bars = series[name][:900]
    system = ATRAdjustmentSystem(config)
    for i, bar in enumerate(bars, 1):
        system.update(name, bar)
        if i in (51, 52, 120) or (i % 97 == 0 and i > 114):
            if config.regime_by == "percentile" and i < 75:
                continue
            streamed, whole = system.reading(name), measure(name, bars[:i], config)
            assert streamed.atr == pytest.approx(whole.atr, rel=1e-12)
            assert streamed.atr_share == pytest.approx(whole.atr_share, rel=1e-12)
            assert streamed.percentile == whole.percentile
            assert (streamed.z_score is None) is (whole.z_score is None)
            if whole.z_score is not None:
                assert streamed.z_score == pytest.approx(whole.z_score, rel=1e-12)
            blank = {"atr": (), "atr_share": 0.0, "z_score": None}
            assert streamed._replace(**blank) == whole._replace(**blank)
            assert system.measure(name, bars[:i]) == whole


@pytest.mark.parametrize("name", NAMES)
def test_the_averages_are_wilders(name, series):
    """The three averages of the last session equal TA-Lib's over the whole series."""
    bars = series[name]
    high, low, close = (np.array([getattr(bar, field) for bar in bars]) for field in ("high", "low", "close"))
    theirs = [talib.ATR(high, low, close, n)[-1] for n in (14, 21, 50)]
    assert fed(bars, symbol=name).reading(name).atr == pytest.approx(theirs, rel=1e-13)


@pytest.mark.parametrize("day", ["2008-10-10", "2018-02-05", "2018-12-31"])
def test_golden_readings_of_the_index(day, series, golden):
    """Three dates of the S&P 500 have the published averages and share of the price."""
    expected = golden("sp500_indicators.json")["rows"][day]
    until = [bar for bar in series["S&P 500"] if bar.time <= date.fromisoformat(day)]
    reading = fed(until).reading("X")
    assert reading.atr == pytest.approx(expected["atr"], abs=5e-7)
    assert 100 * reading.atr_share == pytest.approx(expected["atr_percent"], abs=5e-5)


def test_fewer_than_51_bars_are_not_enough(bars):
    """The longest average needs 51 bars; before them there is an error, and a symbol never seen is another."""
    system = fed(bars[:50])
    for ask in (lambda: system.reading("X"), lambda: system.measure("X", bars[:50])):
        with pytest.raises(InsufficientData) as caught:
            ask()
        assert (caught.value.needed, caught.value.got) == (51, 50)
    with pytest.raises(StateError, match="'Y'"):
        system.reading("Y")


def test_a_short_history_has_no_percentile(bars):
    """Before 60 earlier readings percentile and z-score are None; with 60 they are there."""
    before, after = fed(bars[:74]).reading("X"), fed(bars[:75]).reading("X")
    assert (before.history, before.percentile, before.z_score) == (59, None, None)
    assert after.history == 60
    assert after.percentile is not None
    assert after.z_score is not None


def test_the_percentile_is_a_mid_rank_among_earlier_readings():
    """A volatility that never changes is in the middle of its own past, and has no z-score."""
    reading = fed(moving([1.0] * 100)).reading("X")
    assert (reading.percentile, reading.z_score) == (50.0, None)


def test_a_new_extreme_is_beyond_all_of_its_past():
    """A reading larger than all before has percentile 100: the present one is not part of its own past."""
    reading = fed(moving([1.0 + 0.01 * (i % 5) for i in range(100)] + [9.0])).reading("X")
    assert reading.percentile == 100.0
    assert reading.z_score > 2.0


def test_symbols_do_not_mix(series):
    """Each symbol has its own past: feeding another in between changes nothing."""
    alone, mixed = fed(series["IBM"][:200], symbol="IBM"), ATRAdjustmentSystem()
    for ibm, aapl in zip(series["IBM"][:200], series["AAPL"][:200], strict=True):
        mixed.update("AAPL", aapl)
        mixed.update("IBM", ibm)
    assert mixed.reading("IBM") == alone.reading("IBM")
    assert mixed.symbols == ("AAPL", "IBM")


def test_memory_is_bounded(series, bars):
    """A symbol keeps at most 252 readings, and at most so many symbols are kept; forgetting makes room."""
    assert fed(series["AAPL"]).reading("X").history == 252
    system = ATRAdjustmentSystem(ATRConfig(max_symbols=1))
    system.update("A", bars[0])
    with pytest.raises(StateError, match="max_symbols"):
        system.update("B", bars[0])
    system.forget("A")
    system.forget("A")
    system.update("B", bars[0])
    assert system.symbols == ("B",)


def test_a_refused_bar_leaves_no_trace(bars):
    """A bar out of order is refused without touching the symbol, and without creating it."""
    system = fed(bars)
    before = system.reading("X")
    for symbol in ("X", "NEW"):
        with pytest.raises(InputError):
            system.update(symbol, bars[0] if symbol == "X" else None)
    assert system.reading("X") == before
    assert system.symbols == ("X",)


@pytest.mark.parametrize(
    ("percent", "regime"),
    [
        (0.49, "very_low"),
        (0.51, "low"),
        (0.99, "low"),
        (1.01, "normal"),
        (1.99, "normal"),
        (2.01, "high"),
        (3.49, "high"),
        (3.51, "very_high"),
    ],
)
def test_absolute_regimes(percent, regime):
    """Half, one, two and three and a half percent of the price part the regimes."""
    assert fed(moving([percent] * 60)).reading("X").regime is ATRRegime(regime)


def test_an_upper_end_belongs_to_the_calmer_regime():
    """On a limit the calmer regime holds, one float above it the next."""
    bars = moving([1.0] * 60)
    share = fed(bars).reading("X").atr_share
    for limit, regime in ((share, ATRRegime.VERY_LOW), (nextafter(share, 0.0), ATRRegime.LOW)):
        assert measure("X", bars, ATRConfig(limits=(limit, 1.0, 2.0, 3.0))).regime is regime


@pytest.mark.parametrize(
    ("last", "regime"), [(1.0, "very_low"), (1.05, "low"), (1.1, "normal"), (1.15, "high"), (9.0, "very_high")]
)
def test_percentile_regimes_go_by_the_symbols_own_past(last, regime):
    """By percentile a symbol is judged against itself: 20, 40, 60 and 80 part the regimes."""
    config = ATRConfig(regime_by="percentile", periods=(1,), history_needed=20)
    past = [1.0 + 0.002 * i for i in range(100)]
    assert measure("X", moving([*past, last]), config).regime is ATRRegime(regime)


def test_percentile_regimes_need_a_past(bars):
    """By percentile there is no regime without history: an error, not a guess."""
    config = ATRConfig(regime_by="percentile")
    for ask in (lambda: fed(bars[:60], config).reading("X"), lambda: measure("X", bars[:60], config)):
        with pytest.raises(InsufficientData, match="60 earlier readings"):
            ask()


@pytest.mark.parametrize(("step", "trend"), [(0.2, "rising"), (-0.2, "falling"), (0.05, "stable"), (-0.05, "stable")])
def test_price_trend_is_the_slope_of_ten_closes(step, trend):
    """More than 0.1 % of the price a session is a trend."""
    bars = [Bar(DAY + timedelta(i), 100 + step * i, 110 + step * i, 90 + step * i, 100 + step * i) for i in range(60)]
    assert fed(bars).reading("X").price_trend is Direction(trend)


@pytest.mark.parametrize(("last", "trend"), [(1.11, "rising"), (0.89, "falling"), (1.09, "stable"), (0.91, "stable")])
def test_volatility_trend_compares_ten_ranges_with_ten_before(last, trend):
    """More than 10 % between the last ten true ranges and the ten before is a trend."""
    assert fed(moving([1.0] * 50 + [last] * 10)).reading("X").volatility_trend is Direction(trend)


FACTORS = {
    "very_low": (1.2, 1.1, 0.9, 0.8, 1.5, 0.8),
    "low": (1.1, 1.05, 0.95, 0.9, 1.3, 0.9),
    "normal": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "high": (0.8, 0.9, 1.1, 1.2, 0.8, 1.2),
    "very_high": (0.6, 0.8, 1.2, 1.5, 0.6, 1.4),
}


@pytest.mark.parametrize("regime", ATRRegime)
def test_the_factor_tables(regime):
    """Each regime's factors are the protocol's; days are cut to whole ones."""
    size, delta, days, risk, stop, target = FACTORS[regime.value]
    answer = adjust(READING._replace(regime=regime), "REV", config=ATRConfig.original())
    assert answer.position_size == pytest.approx(size * 0.9)
    assert answer.delta == pytest.approx(30 * delta)
    assert answer.days_to_expiration == int(35 * days + 1e-9)
    assert (answer.risk_multiplier, answer.stop_loss, answer.profit_target) == (risk, stop, target)


@pytest.mark.parametrize(
    ("condition", "factor"),
    [
        ("extremely_bullish", 1.10),
        ("bullish", 1.05),
        ("neutral_bullish", 1.0),
        ("neutral", 1.0),
        ("neutral_bearish", 1.0),
        ("bearish", 0.95),
        ("extremely_bearish", 0.90),
        (None, 1.0),
    ],
)
def test_delta_follows_the_markets_condition(condition, factor):
    """The market's condition moves delta by up to a tenth; an unknown one leaves it, and the answer says so."""
    answer = adjust(READING, AccountType.GEN, condition)
    assert answer.delta_wanted == pytest.approx(45 * factor)
    assert answer.condition is (None if condition is None else MarketConditionKind(condition))


@settings(deadline=None)
@given(
    regime=st.sampled_from(ATRRegime),
    account=st.sampled_from(AccountType),
    condition=st.none() | st.sampled_from(MarketConditionKind),
)
def test_delta_stays_in_the_accounts_band(regime, account, condition):
    """Whatever the factors say, delta is one that the account allows, and what they said is kept."""
    low, high = {"GEN": (40, 50), "REV": (30, 40), "COM": (20, 30)}[account.value]
    answer = adjust(READING._replace(regime=regime), account, condition)
    assert low <= answer.delta <= high
    assert answer.delta == min(max(answer.delta_wanted, low), high)


def test_the_original_leaves_the_band():
    """The original's factors propose a delta of 60.5 to an account that allows 50; the standard ones clamp it."""
    calm = READING._replace(regime=ATRRegime.VERY_LOW)
    config = replace(ATRConfig.original(), base_delta=50.0)
    assert adjust(calm, "GEN", "extremely_bullish", config).delta == pytest.approx(60.5)
    answer = adjust(calm, "GEN", "extremely_bullish", replace(ATRConfig(), base_delta=50.0))
    assert (answer.delta, answer.delta_wanted) == (50.0, pytest.approx(60.5))


def test_the_more_careful_account_takes_the_smaller_size():
    """Compounding is the conservative account: smaller than Revenue, which is smaller than Generation."""
    sizes = [adjust(READING, account).position_size for account in ("GEN", "REV", "COM")]
    assert sizes == [1.0, 0.9, 0.8]
    assert adjust(READING, "COM", config=ATRConfig.original()).position_size == 1.1


@pytest.mark.parametrize(("base", "days"), [(35, 35), (5, 10), (100, 90)])
def test_days_stay_in_their_band(base, days):
    """Days to expiration are kept between 10 and 90."""
    assert adjust(READING, "GEN", config=ATRConfig(base_days=base)).days_to_expiration == days


def test_a_whole_number_of_days_is_not_lost_to_rounding():
    """45 days times 1.4 are 63, and 50 times 1.14 are 57, although the float products are a hair less."""
    assert (45 * 1.4, 50 * 1.14) < (63, 57)
    for base, factor, days in ((45, 1.4, 63), (50, 1.14, 57)):
        config = ATRConfig(base_days=base, days_to_expiration=(factor,) * 5)
        assert adjust(READING, "GEN", config=config).days_to_expiration == days


@pytest.mark.parametrize(
    ("trend", "percentile", "z_score", "confidence"),
    [
        ("stable", 50.0, 0.0, 0.95),
        ("stable", 80.0, 1.5, 0.90),
        ("rising", 50.0, 0.5, 0.85),
        ("rising", 95.0, 2.5, 0.55),
        ("falling", 5.0, -2.5, 0.55),
        ("stable", None, None, 0.80),
        ("rising", None, None, 0.65),
        ("stable", 25.0, 1.0, 0.95),
        ("stable", 10.0, 2.0, 0.90),
    ],
)
def test_confidence_adds_up(trend, percentile, z_score, confidence):
    """Stable volatility in the middle of its past is surest; an unknown past costs as much as its edge."""
    reading = READING._replace(volatility_trend=Direction(trend), percentile=percentile, z_score=z_score)
    assert adjust(reading, "GEN").confidence == confidence


@pytest.mark.parametrize(
    ("price", "level"),
    [
        (105.0, "none"),
        (100.0, "none"),
        (99.1, "none"),
        (99.0, "monitor"),
        (98.1, "monitor"),
        (98.0, "consider_adjusting"),
        (97.0, "consider_adjusting"),
        (96.9, "act"),
    ],
)
@pytest.mark.parametrize("position", [each for each in Position if each is not Position.CASH])
def test_the_ladder_of_adverse_moves(position, price, level):
    """From half an average range on: monitor; from one: consider adjusting; beyond one and a half: act."""
    answer = adverse_move(position, 100.0, price, 2.0)
    assert answer.level is AdverseMoveLevel(level)
    assert answer.move_in_atr == pytest.approx((100.0 - price) / 2.0)
    assert bool(answer.actions) is (level != "none")


def test_the_ladders_last_step_differs_by_position():
    """A put is rolled out, then down, else closed; a call is rolled, and sold at a lower delta."""
    assert adverse_move("short_put", 100.0, 90.0, 2.0).actions == ("roll_out", "roll_down", "close_position")
    assert adverse_move("short_call", 100.0, 90.0, 2.0).actions == ("roll_out", "roll_down", "lower_delta")


def test_cash_has_no_adverse_move():
    """Who holds nothing loses nothing."""
    assert adverse_move("cash", 100.0, 50.0, 1.0).level is AdverseMoveLevel.NONE


@pytest.mark.parametrize("bad", [0.0, -1.0, nan, inf, None, True])
def test_adverse_moves_need_prices(bad):
    """Reference, price and average range are positive numbers, the position a known one."""
    for arguments in ((bad, 1.0, 1.0), (1.0, bad, 1.0), (1.0, 1.0, bad)):
        with pytest.raises(InputError):
            adverse_move("short_put", *arguments)
    with pytest.raises(InputError, match="position"):
        adverse_move("short", 1.0, 1.0, 1.0)


@pytest.mark.parametrize(("account", "condition"), [("XXX", None), (None, None), ("GEN", "sunny"), (1, None)])
def test_unknown_accounts_and_conditions_are_refused(account, condition):
    """An unknown account or condition is refused, not treated as the average one."""
    with pytest.raises(InputError):
        adjust(READING, account, condition)


@pytest.mark.parametrize(
    "changes",
    [
        {"smoothing": "hull"},
        {"regime_by": "feeling"},
        {"periods": ()},
        {"periods": (21, 14)},
        {"history_needed": 1},
        {"history_needed": 300},
        {"max_symbols": 0},
        {"delta": (1.0, 1.0)},
        {"limits": (0.02, 0.01, 0.03, 0.04)},
        {"limits": (0.0, 0.01, 0.03, 0.04)},
        {"condition": {}},
        {"accounts": {AccountType.GEN: Account(40, 50, 1)}},
    ],
)
def test_contradictory_configurations_are_refused(changes):
    """A configuration that cannot work is refused when it is built."""
    with pytest.raises(ConfigError):
        ATRConfig(**changes)


@pytest.mark.parametrize("arguments", [(50, 40, 1.0), (-1, 40, 1.0), (40, 101, 1.0), (40, 50, 0.0), (nan, 50, 1.0)])
def test_accounts_are_checked(arguments):
    """A delta band lies within 0-100 points and is not upside down; a size is positive."""
    with pytest.raises(InputError):
        Account(*arguments)


def test_tables_cannot_be_changed_after_they_were_checked():
    """Neither accounts nor condition factors can be altered in place."""
    config = ATRConfig()
    with pytest.raises(TypeError):
        config.accounts[AccountType.GEN] = None
    with pytest.raises(TypeError):
        config.condition.update({MarketConditionKind.NEUTRAL: 2.0})


def test_the_system_adjusts_by_its_own_configuration(bars):
    """The component's adjust is the pure function with the component's configuration."""
    config = ATRConfig.original()
    system = fed(bars, config)
    reading = system.reading("X")
    assert system.adjust(reading, "COM", "bullish") == adjust(reading, "COM", "bullish", config)
    assert system.config is config


@pytest.mark.parametrize("config", [ATRConfig(), ATRConfig.original(), MarketConfig(), WeekRules.standard()])
def test_configurations_are_values(config):
    """A configuration equals its copy from another process, hashes alike, and can be a key."""
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert hash(again) == hash(config)
    assert {config: 1}[again] == 1


def test_a_tracked_symbol_can_be_sent_to_another_process(bars):
    """The memory of the system pickles, and is as large after a thousand bars as after four hundred."""
    system, sizes = ATRAdjustmentSystem(), []
    for i, bar in enumerate(data.load("IBM")[:1_000], 1):
        system.update("IBM", bar)
        if i in (400, 1_000):
            sizes.append(len(pickle.dumps(system)))
    assert abs(sizes[1] - sizes[0]) < 64
    assert pickle.loads(pickle.dumps(system)).reading("IBM") == system.reading("IBM")
