"""What the engine proposes keeps to the limits that the rules will hold it to."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_opt import (
    ATRAdjustmentSystem,
    InputError,
    MarketCondition,
    MarketConditionAnalyzer,
    WeekClassifier,
    WeekContext,
    data,
)
from engine_opt.model import Action, WeekType
from engine_opt.protocol.planning import Plan, PlanConfig, PlanLimits, action_of, expiry, plan
from engine_opt.protocol.pricing import call_delta, put_delta

TODAY = date(2010, 3, 4)
LIMITS = PlanLimits(1, 10, 40.0, 50.0, 1e6, 0.05, 100)
CONFIG = PlanConfig()


@pytest.fixture(scope="module")
def day():
    """The adjustment for GEN and the metrics of AAPL on some day of 2010."""
    bars = data.load("AAPL")[:2516]
    system = ATRAdjustmentSystem()
    reading = system.measure("AAPL", bars)
    return system.adjust(reading, "GEN"), MarketConditionAnalyzer().analyze(bars).metrics


def week(position, movement=0.0, **context):
    condition = MarketCondition("AAPL", 100.0 + movement, 100.0, 0.3)
    return WeekClassifier().classify_week(condition, position, WeekContext(**context))


def planned(day, classified, *, portfolio=1e7, shares=0, limits=LIMITS):
    adjustment, metrics = day
    return plan(classified, adjustment, metrics, TODAY, portfolio, shares, limits, CONFIG)


PUT = week("cash", favourable=True)


@pytest.mark.parametrize(
    ("classified", "week_type", "action"),
    [
        (PUT, WeekType.P_EW, Action.SELL_PUT),
        (week("cash"), WeekType.W_IDL, Action.WAIT_SIGNAL),
        (week("short_put", 1.0), WeekType.P_EW, Action.SELL_PUT),
        (week("short_put", -3.0), WeekType.P_AWL, Action.SELL_CALL),
        (week("short_put", -7.0), WeekType.P_RO, Action.ROLL_POSITION),
        (week("short_put", -7.0, can_roll=False), WeekType.P_AOL, Action.HOLD_POSITION),
        (week("short_put", -20.0), WeekType.P_DD, Action.ENTER_PROTECTIVE),
        (week("long_stock", 7.0), WeekType.C_WAP_PLUS, Action.HOLD_POSITION),
        (week("long_stock", 3.0), WeekType.C_WAP, Action.HOLD_POSITION),
        (week("long_stock", 0.0), WeekType.C_PNO, Action.SELL_CALL),
        (week("long_stock", -7.0), WeekType.C_RO, Action.ROLL_POSITION),
        (week("long_stock", -12.0), WeekType.C_REC, Action.SELL_CALL),
    ],
    ids=lambda value: value.value if isinstance(value, WeekType) else "",
)
def test_every_week_type_asks_for_an_action(classified, week_type, action):
    assert classified.week_type is week_type
    assert action_of(classified) is action


def test_a_week_that_asks_for_no_trade_needs_no_contract(day):
    assert planned(day, week("cash")) == Plan(Action.WAIT_SIGNAL)
    assert planned(day, week("long_stock", 7.0)) == Plan(Action.HOLD_POSITION)


def test_a_put_has_the_delta_of_the_adjustment(day):
    adjustment, metrics = day
    made = planned(day, PUT)
    years = (made.expiration - TODAY).days / 365
    assert made.delta == adjustment.delta
    assert put_delta(adjustment.reading.close, made.strike, metrics.volatility_20, years) == pytest.approx(
        made.delta, abs=0.01
    )
    assert made.strike < adjustment.reading.close


def test_a_call_has_it_too_and_is_covered(day):
    adjustment, metrics = day
    made = planned(day, week("long_stock"), shares=350)
    years = (made.expiration - TODAY).days / 365
    assert made.quantity == 3
    assert call_delta(adjustment.reading.close, made.strike, metrics.volatility_20, years) == pytest.approx(
        made.delta, abs=0.01
    )


@given(st.floats(1e4, 1e8), st.floats(1e4, 1e9))
def test_size_and_risk_stay_inside_their_limits(day, money, portfolio):
    made = planned(day, PUT, portfolio=portfolio, limits=LIMITS._replace(money=money))
    if made.action is Action.SELL_PUT:
        assert made.quantity >= 1
        assert made.quantity * 100 * made.strike <= money
        assert made.max_risk <= 0.05
        one_more = (made.quantity + 1) / made.quantity
        too_large = one_more * made.quantity * 100 * made.strike > money * day[0].position_size
        assert too_large or one_more * made.max_risk > 0.05 * (1 - 1e-12)
    else:
        assert made.action is Action.WAIT_SIGNAL
        assert made.why_not


@pytest.mark.parametrize(
    ("classified", "sizes", "why"),
    [
        (PUT, {"limits": LIMITS._replace(money=100.0)}, "the account is too small for one contract"),
        (PUT, {"portfolio": 1000.0}, "one contract would risk more than is allowed"),
        (week("long_stock"), {"shares": 99}, "there are not shares enough to cover one contract"),
    ],
)
def test_where_no_contract_fits_the_plan_is_to_wait_and_says_why(day, classified, sizes, why):
    assert planned(day, classified, **sizes) == Plan(Action.WAIT_SIGNAL, why_not=why)


def test_limits_of_the_week_are_kept(day):
    usual = planned(day, PUT, portfolio=1e9)
    careful = planned(day, PUT, portfolio=1e9, limits=LIMITS._replace(delta_high=40.2, size=0.5))
    assert careful.delta == 40.2
    assert usual.quantity / 2 - 1 <= careful.quantity <= usual.quantity / 2 + 1
    assert planned(day, PUT, limits=LIMITS._replace(most_contracts=1)).quantity == 1
    nothing = planned(day, PUT, limits=LIMITS._replace(most_contracts=0))
    assert nothing == Plan(Action.WAIT_SIGNAL, why_not="VIX is too far above its mean for any contract")
    closed = LIMITS._replace(entries=False)
    assert planned(day, PUT, limits=closed).why_not == "the colour of the week allows no entry"
    assert planned(day, week("short_put", -7.0), limits=closed).action is Action.ROLL_POSITION


@given(st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.integers(0, 100), st.integers(1, 20), st.integers(0, 60))
def test_the_expiry_is_the_nearest_friday_that_is_allowed(today, days, low, more):
    high = low + more
    chosen = expiry(today, days, low, high)
    wanted = min(max(days, low), high)
    fridays = [n for n in range(low, high + 1) if (today + timedelta(n)).weekday() == 4]
    best = min(fridays, key=lambda n: abs(n - wanted)) if fridays else wanted
    assert chosen == today + timedelta(best)


@pytest.mark.parametrize("bad", [{"risk_in_atr": 0.0}, {"volatility_floor": 0.0}, {"volatility_floor": 11.0}])
def test_a_configuration_that_cannot_be_is_refused(bad):
    with pytest.raises(ValueError, match="was refused"):
        PlanConfig(**bad)


def test_a_stock_that_never_moved_has_no_size(day):
    adjustment, metrics = day
    still = adjustment._replace(reading=adjustment.reading._replace(atr=(0.0, 0.0, 0.0)))
    with pytest.raises(InputError, match="the prices never moved"):
        planned((still, metrics), PUT)


def test_an_expiry_after_the_end_of_the_calendar_is_refused(day):
    assert expiry(date(9999, 12, 30), 1, 1, 10) == date(9999, 12, 31)
    with pytest.raises(InputError, match="calendar"):
        expiry(date(9999, 12, 31), 1, 1, 10)
    with pytest.raises(InputError, match="calendar"):
        plan(PUT, *day, date(9999, 12, 31), 1e7, 0, LIMITS, CONFIG)
