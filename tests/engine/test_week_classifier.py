"""The table of week types: total, monotone, exact on its boundaries; and the original's, cell by cell."""

import itertools
from datetime import date
from math import inf, nan, nextafter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine_opt import (
    ConfigError,
    InputError,
    MarketCondition,
    MovementCategory,
    Position,
    Reference,
    RiskLevel,
    WeekClassifier,
    WeekContext,
    WeekRules,
    WeekType,
)
from engine_opt.protocol.week_classifier import (
    Ladder,
    WeekPrior,
    annual_return,
    evaluate,
    movement_between,
    movement_category,
)

STANDARD, ORIGINAL = WeekClassifier(), WeekClassifier(WeekRules.original())
W = WeekType

# Representatives of the original's movement categories, both ends of each.
MOVEMENTS = {
    "strong_up": (10.0, 35.0),
    "moderate_up": (5.0, 9.99),
    "slight_up": (1.0, 4.99),
    "flat": (-1.0, 0.0, 0.99),
    "slight_down": (-5.0, -1.01),
    "moderate_down": (-10.0, -5.01),
    "strong_down": (-15.0, -10.01),
    "extreme_down": (-15.01, -60.0),
}

PUT = [(-inf, W.P_DD), (-15.0, W.P_RO), (-5.0, W.P_AWL), (0.0, W.P_EW)]
PUT_FROM_START = [*PUT[:3], (-1.0, W.P_EW)]
STOCK = [(-inf, W.P_DD), (-15.0, W.C_REC), (-10.0, W.C_RO), (-5.0, W.C_PNO), (1.0, W.C_WAP), (5.0, W.C_WAP_PLUS)]
TABLES = [
    (Position.SHORT_PUT, "strike", PUT),
    (Position.SHORT_PUT, None, PUT_FROM_START),
    (Position.LONG_STOCK, "cost_basis", STOCK),
    (Position.LONG_STOCK, None, STOCK),
    (Position.SHORT_CALL, "cost_basis", STOCK),
    (Position.SHORT_CALL, None, STOCK),
]
BADNESS = {
    Position.SHORT_PUT: [W.P_DD, W.P_AOL, W.P_RO, W.P_AWL, W.P_EW],
    Position.LONG_STOCK: [each for _, each in STOCK],
    Position.SHORT_CALL: [each for _, each in STOCK],
    Position.CASH: [W.W_IDL],
}

prices = st.floats(min_value=0.01, max_value=1e6)
positions = st.sampled_from(Position)


def classify(position, price, *, classifier=STANDARD, start=100.0, volatility=0.2, **context):
    return classifier.classify_week(
        MarketCondition("X", price, start, volatility), position, WeekContext(**context) if context else None
    )


def at(position, reference, price, base=100.0):
    """The type at `price` when `base` is the strike, the cost basis or the week's start."""
    if reference is None:
        return classify(position, price, start=base).week_type
    return classify(position, price, start=price, **{reference: base}).week_type


@pytest.mark.parametrize("category", MOVEMENTS)
@pytest.mark.parametrize("position", Position)
def test_the_original_rules_answer_as_the_original_did(category, position, golden):
    """Every cell of the original's matrix, type and confidence, at both ends of its category."""
    code, confidence = golden("week_rules_original.json")["cells"][category][position.value]
    for movement in MOVEMENTS[category]:
        answer = classify(position, 100.0 + movement, classifier=ORIGINAL)
        assert (answer.week_type.value, answer.confidence) == (code, confidence)
        assert answer.movement_category.value == category


def test_the_original_rules_count_from_the_week_start_only():
    """The original knows neither strike nor cost basis, whatever the context says."""
    answer = classify("short_put", 94.0, classifier=ORIGINAL, strike=90.0, can_roll=False, days_to_expiration=5)
    assert (answer.reference, answer.week_type, answer.confidence) == (Reference.WEEK_START, W.P_RO, 0.6405)
    assert classify("cash", 100.0, classifier=ORIGINAL, favourable=True).week_type is W.W_IDL


def test_the_original_never_answers_assigned_over_limit():
    """P-AOL cannot be reached in the original: the defect is kept there and repaired in the standard rules."""
    answers = {
        at.week_type for p in Position for m in range(-99, 100) for at in [classify(p, 100.0 + m, classifier=ORIGINAL)]
    }
    assert answers == set(WeekType) - {W.P_AOL}


@pytest.mark.parametrize(("position", "reference", "table"), TABLES)
def test_each_boundary_belongs_to_the_cell_above(position, reference, table):
    """On a boundary the milder type holds, just below it the worse one."""
    for (_, worse), (bound, milder) in itertools.pairwise(table):
        assert at(position, reference, 100.0 + bound) is milder
        assert at(position, reference, 100.0 + bound - 1e-7) is worse


@pytest.mark.parametrize("ladder", [*WeekRules.standard().ladders.values(), *WeekRules.original().ladders.values()])
def test_boundaries_are_exact_to_one_ulp(ladder):
    """The table distinguishes neighbouring floats: on a boundary is the cell above, one float less the cell below."""
    for index, bound in enumerate(ladder.bounds):
        around = [ladder.cell(x) for x in (nextafter(bound, -inf), bound, nextafter(bound, inf))]
        assert around == [index, index + 1, index + 1]


@pytest.mark.parametrize("bound", [-15.0, -10.0, -5.0, -1.0, 1.0, 5.0, 10.0])
def test_movement_categories_are_exact_to_one_ulp(bound):
    """A category begins at its lower bound and not one float earlier."""
    order = list(MovementCategory)
    assert order.index(movement_category(bound)) == order.index(movement_category(nextafter(bound, -inf))) + 1
    assert movement_category(bound) is movement_category(nextafter(bound, inf))


@settings(deadline=None)
@given(
    cents=st.integers(min_value=5, max_value=500_000).map(lambda c: 20 * c),
    percent=st.sampled_from([-15, -10, -5, 5, 10]),
)
@example(cents=3310 * 20, percent=-5)
def test_a_decimal_price_on_a_boundary_is_on_it(cents, percent):
    """Prices in cents that differ by exactly 5 % differ by exactly 5 %, although floats cannot hold cents."""
    moved = cents * (100 + percent)
    assert movement_between(cents / 100, moved / 10_000) == percent


@settings(deadline=None)
@given(
    position=positions, price=prices, base=prices, roll=st.booleans(), favourable=st.sampled_from([None, False, True])
)
def test_every_position_at_every_price_has_one_type(position, price, base, roll, favourable):
    """The table is total: no movement falls between two cells, and the answer's cell contains the movement."""
    for context in ({"strike": base}, {"cost_basis": base}, {}):
        answer = classify(position, price, start=base, can_roll=roll, favourable=favourable, **context)
        assert answer.week_type in WeekType
        assert answer.lower <= answer.movement < answer.upper
        assert answer.beyond_table == (answer.movement >= 10.0)


@settings(deadline=None)
@given(position=positions, low=prices, high=prices, base=prices, roll=st.booleans())
def test_a_better_price_is_never_a_worse_week(position, low, high, base, roll):
    """Types are monotone in the movement, whatever it is counted from."""
    low, high = sorted((low, high))
    rank = BADNESS[position].index
    for name in ("strike", "cost_basis"):
        worse, better = (
            classify(position, price, start=base, can_roll=roll, **{name: base}).week_type for price in (low, high)
        )
        assert rank(worse) <= rank(better)


def test_exactly_the_eleven_types_are_reachable():
    """Each of the 11 types can be reached, and P-AOL is the put that cannot be rolled."""
    reached = {
        classify(position, 100.0 + move, can_roll=roll, favourable=hope).week_type
        for position in Position
        for move in range(-30, 30)
        for roll in (True, False)
        for hope in (True, False)
    }
    assert reached == set(WeekType)
    assert len(reached) == 11
    assert classify("short_put", 90.0, can_roll=False).week_type is W.P_AOL
    assert classify("short_put", 90.0).week_type is W.P_RO


@pytest.mark.parametrize(
    ("position", "context", "reference", "price"),
    [
        ("short_put", {"strike": 97.0}, Reference.STRIKE, 97.0),
        ("short_put", {"cost_basis": 97.0}, Reference.WEEK_START, 100.0),
        ("long_stock", {"cost_basis": 97.0}, Reference.COST_BASIS, 97.0),
        ("short_call", {"cost_basis": 97.0, "strike": 105.0}, Reference.COST_BASIS, 97.0),
        ("long_stock", {}, Reference.WEEK_START, 100.0),
        ("cash", {"strike": 97.0, "cost_basis": 97.0}, Reference.WEEK_START, 100.0),
    ],
)
def test_the_reference_is_the_positions_own_price_and_recorded(position, context, reference, price):
    """The movement is counted from strike or cost basis where known, else from the week's start; the answer says which."""
    answer = classify(position, 99.0, **context)
    assert (answer.reference, answer.reference_price) == (reference, price)
    assert answer.movement == movement_between(price, 99.0)
    assert answer.week_movement == -1.0


@pytest.mark.parametrize("favourable", [None, False])
def test_cash_waits_unless_conditions_are_favourable(favourable):
    """Cash is idle when conditions are unfavourable or unknown."""
    answer = classify("cash", 100.0, favourable=favourable)
    assert (answer.week_type, answer.projected, answer.recommended_actions) == (W.W_IDL, False, ("wait_signal",))


def test_cash_projects_a_put_when_conditions_are_favourable():
    """Favourable conditions turn an idle week into a projected put."""
    answer = classify("cash", 80.0, favourable=True)
    assert (answer.week_type, answer.projected, answer.recommended_actions) == (W.P_EW, True, ("sell_put",))


@pytest.mark.parametrize("given_movement", [2.2727, 2.28, 2.263])
def test_a_movement_that_agrees_with_the_prices_is_accepted(given_movement):
    """A given movement within 0.01 point of the derived one passes, and the derived one is used."""
    week = MarketCondition("SPY", 450.0, 440.0, 0.15, movement_percentage=given_movement)
    assert STANDARD.classify_week(week, "cash").week_movement == pytest.approx(2.2727272727)


@pytest.mark.parametrize("given_movement", [-0.22, 0.0, 2.30])
def test_a_movement_that_contradicts_the_prices_is_refused(given_movement):
    """A given movement is never trusted over the prices: a wrong sign is an error."""
    week = MarketCondition("SPY", 450.0, 440.0, 0.15, movement_percentage=given_movement)
    for classifier in (STANDARD, ORIGINAL):
        with pytest.raises(InputError, match=r"\+2\.2727 %"):
            classifier.classify_week(week, "cash")


def test_prices_too_far_apart_are_refused():
    """A movement that overflows is an error, not infinity."""
    with pytest.raises(InputError, match="overflows"):
        classify("cash", 1e300, start=1e-300)


def test_a_total_loss_is_still_a_loss():
    """A price of almost nothing has a movement just above -100 % and a type."""
    answer = classify("short_put", 1e-300, days_to_expiration=5)
    assert answer.week_type is W.P_DD
    assert -100.0 < answer.movement < -99.99


@pytest.mark.parametrize(
    ("position", "price", "volatility", "risk"),
    [
        ("short_put", 80.0, 0.1, RiskLevel.HIGH),
        ("short_put", 90.0, 0.1, RiskLevel.MEDIUM),
        ("long_stock", 88.0, 0.1, RiskLevel.MEDIUM),
        ("cash", 100.0, 0.9, RiskLevel.LOW),
        ("short_put", 100.0, 0.30, RiskLevel.LOW),
        ("short_put", 100.0, 0.31, RiskLevel.MEDIUM),
    ],
)
def test_risk_follows_the_type_and_then_the_volatility(position, price, volatility, risk):
    """Drawdown is high, rolling and recovery medium, idle low; other weeks are medium above a volatility of 0.3."""
    assert classify(position, price, volatility=volatility).risk_level is risk


def test_priors_are_the_protocols_and_can_be_edited():
    """Expected returns and actions come from the rules, and a user's priors replace them."""
    assert classify("long_stock", 107.0).expected_return == (5.0, 6.0)
    mine = {**WeekRules.standard().priors, W.C_WAP_PLUS: WeekPrior("mine", 3, (1.0, 2.0), ("hold_position",))}
    answer = classify("long_stock", 107.0, classifier=WeekClassifier(WeekRules.standard(priors=mine)))
    assert (answer.expected_return, answer.recommended_actions, answer.weeks_per_year) == (
        (1.0, 2.0),
        ("hold_position",),
        3,
    )


def test_the_priors_sum_to_sixty_weeks_unless_scaled():
    """The protocol's frequencies make a year of 60 weeks and 125.4-161.7 %; scaled to 52 it is 108.7-140.1 %."""
    priors = WeekRules.standard().priors
    assert sum(prior.weeks_per_year for prior in priors.values()) == 60
    assert annual_return(priors) == pytest.approx((125.4, 161.7))
    assert annual_return(priors, weeks=52) == pytest.approx((108.7, 140.1), abs=0.05)


def test_boundaries_can_be_configured():
    """Other boundaries are other rules, with the same types in the same order."""
    rules = WeekRules.standard(stock=(-20.0, -12.0, -6.0, 2.0, 8.0), put_from_strike=(-25.0, -8.0, 1.0), beyond=15.0)
    classifier = WeekClassifier(rules)
    assert classify("long_stock", 84.0, classifier=classifier).week_type is W.C_REC
    assert classify("short_put", 93.0, classifier=classifier, strike=100.0).week_type is W.P_AWL
    assert not classify("long_stock", 112.0, classifier=classifier).beyond_table


@pytest.mark.parametrize(
    "build",
    [
        lambda: WeekRules.standard(stock=(-10.0, -15.0, -5.0, 1.0, 5.0)),
        lambda: WeekRules.standard(put_from_strike=(-5.0, -5.0, 0.0)),
        lambda: WeekRules.standard(put_from_strike=(-100.0, -5.0, 0.0)),
        lambda: WeekRules.standard(stock=(-15.0, -5.0, 1.0, 5.0)),
        lambda: Ladder((0.0,), (W.P_EW, W.P_RO), (0.5,)),
        lambda: WeekRules("holes", {}),
        lambda: WeekRules.standard(priors={W.P_EW: WeekPrior("only", 1, (0.0, 1.0), ())}),
        lambda: WeekPrior("upside down", 1, (2.0, 1.0), ()),
    ],
)
def test_contradictory_rules_are_refused_when_built(build):
    """A rule set with crossing boundaries, holes or missing priors cannot be built."""
    with pytest.raises(ConfigError):
        build()


def test_rules_cannot_be_changed_after_they_were_checked():
    """Neither the ladders nor the priors of a rule set can be altered in place."""
    rules = WeekRules.standard()
    with pytest.raises(TypeError):
        rules.priors[W.P_EW] = None
    with pytest.raises(TypeError):
        rules.ladders[Position.CASH, Reference.WEEK_START] = None
    with pytest.raises(AttributeError):
        rules.name = "other"


def test_the_callers_record_is_left_alone_and_its_time_passed_on():
    """Classifying changes nothing: not the caller's record, not the classifier; the timestamp is the caller's."""
    week = MarketCondition("X", 94.0, 100.0, 0.2, timestamp=date(2020, 1, 3))
    before = repr(week)
    assert STANDARD.classify_week(week, "short_put") == STANDARD.classify_week(week, "short_put")
    assert repr(week) == before
    assert STANDARD.classify_week(week, "short_put").timestamp == date(2020, 1, 3)


def test_an_answer_explains_itself():
    """The explanation names type, position, movement, reference, cell and rules."""
    text = classify("short_put", 94.0, strike=100.0, days_to_expiration=0).explain()
    for part in ("P-RO", "short_put", "-6.0000 %", "strike of 100", "from -15 to below -5 %", "'standard'", "1.000"):
        assert part in text
    assert "below -15 %" in classify("short_put", 50.0).explain()
    assert "at or above +5 %" in classify("long_stock", 150.0).explain()
    assert "any movement" in classify("cash", 100.0).explain()


def test_evaluation_counts_hits_confusions_and_the_brier_score():
    """Hit rate, confusion matrix and Brier score of three weeks, worked out by hand."""
    sure = classify("short_put", 101.0, strike=100.0, days_to_expiration=0)
    unknown = classify("short_put", 101.0, strike=100.0)
    result = evaluate([(sure, W.P_EW), (sure, "P-AWL"), (unknown, W.P_EW)])
    assert (result.weeks, result.scored, result.hit_rate) == (3, 2, pytest.approx(2 / 3))
    assert result.confusion == {(W.P_EW, W.P_EW): 2, (W.P_EW, W.P_AWL): 1}
    assert result.brier_score == 0.5
    assert evaluate([(unknown, W.P_EW)]).brier_score is None


def test_nothing_cannot_be_evaluated():
    """An evaluation of no weeks is an error, and so is an outcome that is no week type."""
    with pytest.raises(InputError, match="nothing"):
        evaluate([])
    with pytest.raises(InputError, match="outcome"):
        evaluate([(classify("cash", 100.0), "P-XX")])


def test_a_volatility_that_was_worked_out_is_looked_at():
    """Prices that were checked can still swing more than any market does."""
    known = WeekContext(days_to_expiration=3)
    made = STANDARD.classify_checked("X", 100.0, 99.0, 10.0, Position.SHORT_PUT, known, None)
    assert made == classify(Position.SHORT_PUT, 100.0, start=99.0, volatility=10.0, days_to_expiration=3)
    for bad in (nextafter(10.0, inf), inf, nan, -0.1):
        with pytest.raises(InputError, match="volatility"):
            STANDARD.classify_checked("X", 100.0, 99.0, bad, Position.SHORT_PUT, known, None)


def test_rules_without_a_ladder_of_the_position_count_from_the_weeks_start():
    assert classify(Position.SHORT_PUT, 95.0, classifier=ORIGINAL, strike=90.0).reference is Reference.WEEK_START
