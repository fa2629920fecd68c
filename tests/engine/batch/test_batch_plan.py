"""Plans over columns: actions, expiries, quantiles, strikes and contracts of the scalar form."""

from datetime import date, timedelta
from math import nextafter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import RulesConfig, WeekRules
from engine_opt.batch import UNKNOWN, Bars, adjust, analyze, measure
from engine_opt.batch.plan import (
    ACTIONS,
    WHY_NOT,
    Limits,
    Terms,
    _fitting,
    _rounded,
    expiries,
    limits_of,
    normal_quantiles,
    plan,
    week_actions,
)
from engine_opt.batch.requests import Requests
from engine_opt.model import Action, MarketCondition, Position, WeekContext, WeekType
from engine_opt.protocol.normal import normal_quantile
from engine_opt.protocol.planning import PlanConfig, PlanLimits, action_of, expiry
from engine_opt.protocol.planning import _fitting as fitting_one
from engine_opt.protocol.planning import plan as plan_one
from engine_opt.protocol.week_classifier import WeekClassifier

EPOCH = date(1970, 1, 1)


@pytest.mark.parametrize("rules", [WeekRules.standard(), WeekRules.original()], ids=lambda rules: rules.name)
def test_each_type_asks_for_its_action(rules):
    """The table holds what `action_of` says of each type, and in its last row of a projected one."""
    table = week_actions(rules).tolist()
    for kind, code in zip(WeekType, table, strict=False):
        week = WeekClassifier(rules).classify_week(MarketCondition("X", 100.0, 100.0, 0.2), Position.CASH)
        assert ACTIONS[code] is action_of(week._replace(recommended_actions=rules.priors[kind].actions))
    assert (ACTIONS[table[-1]], len(table)) == (Action.SELL_PUT, len(WeekType) + 1)


def test_expiries_of_any_day_and_band():
    """The Friday nearest to the days wanted, for each weekday, before 1970 and after, and bands without a Friday."""
    rows = [
        (day, days, low, high)
        for day in (*range(-8, 8), 19_000)
        for low, high in ((1, 10), (20, 60), (0, 0), (2, 4), (5, 5), (0, 3))
        for days in (0, 1, 4, 7, 12, 35, 90)
    ]
    found = expiries(*(np.array(column) for column in zip(*rows, strict=True)))
    expected = [(expiry(EPOCH + timedelta(day), *rest) - EPOCH).days for day, *rest in rows]
    assert found.tolist() == expected


def test_quantiles_are_those_of_the_scalar_form():
    """To the last bit in the centre, to the last digits of a logarithm in the tails."""
    p = np.concatenate(
        (np.linspace(0.01, 0.99, 4001), [0.075, nextafter(0.075, 0), 0.925, 1e-12, 1e-300, 1 - 1e-15, 0.5])
    )
    found, expected = normal_quantiles(p), np.array([normal_quantile(each) for each in p.tolist()])
    centre = np.abs(p - 0.5) <= 0.425
    assert np.array_equal(found[centre], expected[centre])
    assert np.allclose(found, expected, rtol=1e-14, atol=0.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-9, 1e12), min_size=1, max_size=40), st.integers(0, 10**6))
def test_strikes_are_rounded_as_python_rounds(values, seed):
    """To the last bit, or named as too close to call: ties, and what is too large for a ten-thousandth."""
    rng = np.random.default_rng(seed)
    ties = (rng.integers(0, 10**7, 50) + 0.5) / 1e4
    prices = np.concatenate((values, ties, np.nextafter(ties, 0.0), rng.uniform(1.0, 500.0, 200)))
    found, close = _rounded(prices)
    for price, rounded, near in zip(prices.tolist(), found.tolist(), close.tolist(), strict=True):
        assert near or rounded == round(price, 4)
    assert close[len(values) : len(values) + 100].all()
    assert not close[-200:].all()


def test_as_many_as_fit():
    """Never one too many, whatever the division was rounded to; what stands on the edge is named."""
    each = np.array([0.1, 0.1, 3.0, 7.0, 1e-3, 0.0, 150.0])
    limit = np.array([0.3, 0.35, 10.0, 6.9, 1.0, 1.0, 450.0])
    number, close = _fitting(each, limit)
    assert number[[1, 2, 3]].tolist() == [3.0, 3.0, 0.0]
    assert (number[:5] * each[:5] <= limit[:5]).all()
    assert close.tolist() == [True, False, False, False, True, True, True]


def test_one_unit_of_the_last_place_too_little_is_one_contract_less():
    """Where the division is rounded up to a whole number, the scalar form is followed without being asked."""
    rng = np.random.default_rng(3)
    each = rng.uniform(0.01, 1e5, 2000)
    limit = np.nextafter(each * rng.integers(1, 300, 2000), 0.0)
    number, close = _fitting(each, limit)
    expected = [fitting_one(*pair) for pair in zip(each.tolist(), limit.tolist(), strict=True)]
    assert number.tolist() == expected
    assert (number < np.floor(limit / each)).any()
    assert close.all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_any_plans_are_made_as_one_by_one(walk, seed, share):
    """Puts, calls and rolls with any limits: the plan of the scalar form, or a close call."""
    rng = np.random.default_rng(seed)
    bars = Bars.of(walk(seed, 80, deviation=0.03))
    market, readings = analyze(bars), measure(bars)
    adjusted = adjust(readings, rng.integers(0, 3, 80), market.condition)
    rows = np.arange(50, 80)
    n, config = len(rows), PlanConfig(float(rng.choice([0.5, 1.5, 4.0])), float(rng.choice([0.05, 0.5])))
    wanted = rng.choice([ACTIONS.index(each) for each in (Action.SELL_PUT, Action.SELL_CALL, Action.ROLL_POSITION)], n)
    held = rng.integers(0, 4, n)
    puts = (wanted == 0) | ((wanted == ACTIONS.index(Action.ROLL_POSITION)) & (held == 1))
    limits = Limits(
        rng.integers(0, 5, n),
        rng.integers(4, 20, n),
        rng.choice([0.0, 20.0, 99.5], n),
        rng.choice([30.0, 99.7], n),
        10.0 ** rng.uniform(3, 5, n),
        rng.choice([0.6, 1.0], n),
        rng.random(n) >= share,
        np.where(rng.random(n) < share, rng.choice([0.0, 1.0, 2.0], n), np.inf),
        0.05,
        100,
    )
    value, shares = 10.0 ** rng.uniform(3, 6, n), rng.choice([0, 99, 100, 250, 1000], n)
    today = rng.integers(19_000, 19_100, n)
    taken = (adjusted.position_size, adjusted.delta, adjusted.days_to_expiration, adjusted.stop_loss)
    found = plan(
        Terms(
            wanted.astype(np.uint8),
            puts,
            today,
            bars.close[rows],
            market.metrics.volatility_20[rows],
            readings.atr[rows, 0],
            *(column[rows] for column in taken),
            value,
            shares,
        ),
        limits,
        config,
    )
    labels = {Action.SELL_PUT: "sell_put", Action.SELL_CALL: "sell_call", Action.ROLL_POSITION: "roll_position"}
    blank = WeekClassifier().classify_week(MarketCondition("X", 1.0, 1.0, 0.2), "cash", WeekContext())
    for i, row in enumerate(rows.tolist()):
        if i in found.close_calls:
            continue
        action, position = ACTIONS[wanted[i]], tuple(Position)[held[i]]
        expected = plan_one(
            blank._replace(recommended_actions=(labels[action],), position=position),
            adjusted.row(row),
            market.row(row).metrics,
            EPOCH + timedelta(int(today[i])),
            float(value[i]),
            int(shares[i]),
            limits.row(i),
            config,
        )
        reason = None if found.why_not[i] == UNKNOWN else WHY_NOT[found.why_not[i]]
        assert (reason, found.quantity[i]) == (expected.why_not, expected.quantity or 0)
        if expected.quantity:
            assert found.strike[i] == expected.strike
            assert found.delta[i] == expected.delta
            assert found.max_risk[i] == expected.max_risk
            assert found.expiration[i] == (expected.expiration - EPOCH).days
    assert len(found.close_calls) < n


def test_limits_that_are_the_same_for_all_rows_stay_single():
    """What the requests do not vary has no dimension, and its row is the same everywhere."""
    requests = Requests.of([1, 2, 3], "GEN", "cash", 1e5, 1e6, 0.0, 0.0)
    limits = limits_of(requests, requests.account, np.arange(3), np.full(3, 30.0), RulesConfig(), ("X",))
    assert all(np.ndim(column) == 0 for column in limits)
    assert limits.row(2) == limits.row(0) == PlanLimits(1, 10, 40.0, 50.0, 95_000.0, 0.05, 100)
    red = Requests.of([1, 2, 3], "GEN", "cash", 1e5, 1e6, 0.0, 0.0, week_colour=["red", None, "chop"], vix_mean=10.0)
    limits = limits_of(
        red, red.account, np.arange(3), np.array([30.0, 10.0, np.nan]), RulesConfig(size_cap=5e4), ("X",)
    )
    assert [limits.row(i).delta_high for i in range(3)] == [45.0, 50.0, 40.0]
    assert [limits.row(i).most_contracts for i in range(3)] == [1, None, None]
    assert limits.row(0).money == 5e4
