"""Weeks over columns: the same cells, references, flags and confidences as week by week."""

from dataclasses import replace
from datetime import date
from itertools import pairwise
from math import inf, isnan, nan, nextafter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import (
    InputError,
    Ladder,
    MarketCondition,
    Position,
    Reference,
    WeekClassifier,
    WeekContext,
    WeekRules,
    WeekType,
)
from engine_opt.batch import UNKNOWN, classify_weeks, codes, members
from engine_opt.batch.week import movements, round_to_ten

POSITIONS = tuple(Position)


def _custom():
    """Fixed confidences in one ladder, none in another, and no ladder from the strike."""
    rules = WeekRules.standard(put_from_week_start=(-20.0, -4.0, 0.5), beyond=7.0)
    ladders = dict(rules.ladders)
    del ladders[Position.SHORT_PUT, Reference.STRIKE]
    ladders[Position.SHORT_CALL, Reference.COST_BASIS] = Ladder(
        (-3.0, 3.0), (WeekType.P_RO, WeekType.C_PNO, WeekType.C_WAP), (0.2, 0.3, 0.4)
    )
    ladders[Position.CASH, Reference.WEEK_START] = Ladder((-8.0,), (WeekType.P_RO, WeekType.W_IDL))
    return replace(rules, name="custom", ladders=ladders, medium_risk_volatility=0.5)


RULES = [WeekRules.standard(), WeekRules.original(), _custom()]


def no(value):
    return None if isnan(value) else value


def check(weeks, rules):
    """Compare the columns with the scalar form, row by row."""
    names = ("price", "start", "volatility", "position", "strike", "basis", "days", "roll", "favourable")
    columns = dict(zip(names, map(list, zip(*weeks, strict=True)), strict=True))
    answers = classify_weeks(
        columns["price"],
        columns["start"],
        columns["volatility"],
        columns["position"],
        strike=columns["strike"],
        cost_basis=columns["basis"],
        days_to_expiration=columns["days"],
        can_roll=columns["roll"],
        favourable=columns["favourable"],
        rules=rules,
    )
    classifier = WeekClassifier(rules)
    assert len(answers) == len(weeks)
    for i, (price, start, volatility, position, strike, basis, days, roll, favourable) in enumerate(weeks):
        expected = classifier.classify_week(
            MarketCondition("X", price, start, volatility, timestamp=date(2020, 1, 3)),
            position,
            WeekContext(no(strike), no(basis), no(days), roll, favourable),
        )
        got = answers.row(i, "X", date(2020, 1, 3))
        assert got._replace(confidence=None) == expected._replace(confidence=None)
        assert (got.confidence is None) is (expected.confidence is None)
        if expected.confidence is not None:
            assert got.confidence == pytest.approx(expected.confidence, rel=1e-12, abs=1e-15)
        assert tuple(answers.expected_return[i]) == expected.expected_return
        assert answers.weeks_per_year[i] == expected.weeks_per_year


optional = st.just(nan) | st.floats(1.0, 1000.0)
week = st.tuples(
    st.floats(1.0, 1000.0),
    st.floats(1.0, 1000.0),
    st.sampled_from([0.0, 1e-3, 0.2, 0.3, 0.35, 2.0, 10.0]),
    st.sampled_from(POSITIONS),
    optional,
    optional,
    st.just(nan) | st.floats(0.0, 3660.0),
    st.booleans(),
    st.sampled_from([None, True, False]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(week, min_size=1, max_size=20), st.sampled_from(RULES))
def test_any_weeks_are_classified_as_one_by_one(weeks, rules):
    """Whatever the prices, the position and what is known of it, each row is the scalar answer."""
    check(weeks, rules)


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: rules.name)
def test_boundaries_and_their_neighbours(rules):
    """On each boundary and one unit of the last place beside it the cells are the same."""
    bounds = sorted({bound for ladder in rules.ladders.values() for bound in ladder.bounds} | {10.0})
    weeks = []
    for bound in bounds:
        for reference in (100.0, 33.1, 0.07, 431.7):
            exact = reference * (1.0 + bound / 100.0)
            for price in (exact, nextafter(exact, 0.0), nextafter(exact, inf), round(exact, 2)):
                weeks += [(price, reference, 0.3, each, reference, reference, 3.0, True, True) for each in POSITIONS]
                weeks += [(price, 1.01 * reference, 0.3, each, reference, nan, nan, False, None) for each in POSITIONS]
    check(weeks, rules)


@pytest.mark.parametrize("symbol", ["AAPL", "IBM", "S&P 500"])
def test_real_weeks(symbol, series):
    """Weeks of real prices, all positions in turn."""
    closes = [bar.close for bar in series[symbol]][::5][:600]
    weeks = [
        (end, start, 0.35, POSITIONS[i % 4], 0.97 * start, 1.02 * start, float(i % 5), i % 3 > 0, i % 2 == 0)
        for i, (start, end) in enumerate(pairwise(closes))
    ]
    for rules in RULES:
        check(weeks, rules)


def _ties():
    """Values whose eleventh decimal is an exact 5, or the float next to it."""
    rng = np.random.default_rng(3)
    halves = (2 * rng.integers(-(10**6), 10**6, 3000) + 1) / 2.0**11
    near = (rng.integers(-(10**12), 10**12, 3000) + 0.5) / 1e10
    return np.concatenate((halves, near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf)))


@pytest.mark.parametrize(
    "values",
    [
        _ties(),
        np.random.default_rng(1).normal(0.0, 20.0, 20_000),
        np.random.default_rng(2).normal(0.0, 1.0, 20_000) * 10.0 ** np.random.default_rng(2).integers(-25, 300, 20_000),
        np.array([0.0, -0.0, 2.0**-11, 5e-11, 1.5e-10, 2.5e-10, -1e-11, 450359.9627370496, 1e300, inf]),
    ],
    ids=["ties", "usual", "any size", "edges"],
)
def test_rounding_is_that_of_python(values):
    """Rounding to ten decimals gives the very float that round() gives, sign of zero included."""
    expected = np.array([round(value, 10) for value in values.tolist()])
    assert np.array_equal(round_to_ten(values).view(np.int64), expected.view(np.int64))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_rounding_of_anything(values):
    """The same for what comes to hypothesis's mind."""
    assert round_to_ten(np.array(values)).tolist() == [round(value, 10) for value in values]


def test_a_fall_to_almost_nothing_stays_above_a_total_loss():
    """A price that is left of nearly nothing has not fallen by 100 %."""
    assert movements(np.array([1.0]), np.array([1e-300])).tolist() == [-100.0 + 1e-10]


def test_far_tails_and_stopped_clocks():
    """Confidence is right where it is 1e-300, and where nothing can move any more."""
    weeks = [
        (price, 100.0, volatility, Position.LONG_STOCK, nan, 100.0, days, True, None)
        for price in (50.0, 84.9, 85.0, 99.0, 101.0, 104.9999, 105.0, 180.0)
        for volatility in (0.0, 0.01, 0.02, 0.05, 0.3)
        for days in (0.0, 0.5, 1.0, 7.0)
    ]
    check(weeks, WeekRules.standard())


def test_single_values_stand_for_columns():
    """A price, a position or an answer for all rows need not be repeated; codes and members mean the same."""
    prices = [90.0, 100.0, 110.0]
    one = classify_weeks(prices, 100.0, 0.3, "short_put", can_roll=False, days_to_expiration=2)
    other = classify_weeks(
        np.array(prices), [100.0] * 3, [0.3] * 3, np.full(3, 1), can_roll=[False] * 3, days_to_expiration=[2] * 3
    )
    assert [one.row(i) for i in range(3)] == [other.row(i) for i in range(3)]
    assert members(WeekType, one.week_type) == [WeekType.P_AOL, WeekType.P_EW, WeekType.P_EW]
    idle = classify_weeks(prices, 100.0, 0.3, Position.CASH, favourable=[True, None, False])
    assert idle.projected.tolist() == [True, False, False]


def columns(**change):
    given = {
        "current_price": [100.0] * 4,
        "week_start_price": [100.0] * 4,
        "volatility": [0.3] * 4,
        "position": ["cash"] * 4,
    }
    given.update(change)
    return given


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        *(
            (field, value)
            for field in ("current_price", "week_start_price")
            for value in (nan, inf, 0.0, -1.0, True, None, "1")
        ),
        *(("volatility", value) for value in (nan, -0.1, 10.1, None)),
        *((field, value) for field in ("strike", "cost_basis") for value in (0.0, -1.0, inf, True)),
        *(("days_to_expiration", value) for value in (-1.0, 3661.0, inf)),
        *(("movement_percentage", value) for value in (inf, 0.02, -5.0)),
        *(("position", value) for value in ("naked", 7)),
        ("favourable", 2),
    ],
)
def test_a_bad_value_is_named_with_its_row(field, bad):
    """What the scalar records refuse is refused, and the error names the column and the row."""
    usual = {
        "position": "cash",
        "favourable": 1,
        "movement_percentage": 0.0,
        "days_to_expiration": 3.0,
        "volatility": 0.3,
    }
    column = [usual.get(field, 100.0)] * 4
    if field == "position" and bad == 7:
        column = [0] * 4
    column[2] = bad
    with pytest.raises(InputError) as caught:
        classify_weeks(**columns(**{field: column}))
    assert caught.value.field == f"{field}[2]"


def test_a_movement_without_end_is_refused():
    """Prices that cannot be of the same thing, against the week's start or against the strike."""
    for change in (
        {"week_start_price": [100.0, 1e-300, 1.0, 1.0]},
        {"strike": [nan, 1e-300, nan, nan], "position": "short_put"},
    ):
        with pytest.raises(InputError, match=r"current_price\[1\]"):
            classify_weeks(
                **columns(
                    current_price=[100.0, 1e300, 1.0, 1.0], **({"week_start_price": [100.0, 1e300, 1.0, 1.0]} | change)
                )
            )


@pytest.mark.parametrize(
    "change",
    [
        {"can_roll": 1},
        {"can_roll": [1, 0, 1, 1]},
        {"favourable": 1.0},
        {"favourable": [0.5] * 4},
        {"position": [0.5] * 4},
        {"volatility": [0.3] * 3},
        {"volatility": np.ones((4, 1))},
    ],
)
def test_columns_of_the_wrong_kind_are_refused(change):
    """Truth is not a number, a share is not an answer, and columns have one length."""
    with pytest.raises(InputError) as caught:
        classify_weeks(**columns(**change))
    assert caught.value.field.startswith(next(iter(change)))


def test_at_least_one_must_be_a_column():
    """Single values alone do not say how many weeks there are."""
    with pytest.raises(InputError, match="column"):
        classify_weeks(100.0, 100.0, 0.3, "cash")


def test_a_week_that_is_not_known_has_no_prior():
    weeks = classify_weeks(
        current_price=[101.0, 99.0],
        week_start_price=100.0,
        volatility=0.2,
        position=codes(Position, ["long_stock"] * 2),
    )
    weeks = replace(weeks, week_type=np.array([UNKNOWN, weeks.week_type[1]], weeks.week_type.dtype))
    assert np.isnan(weeks.weeks_per_year[0])
    assert np.isnan(weeks.expected_return[0]).all()
    assert weeks.weeks_per_year[1] == 8.0
    assert weeks.expected_return[1].tolist() == [1.8, 2.2]
