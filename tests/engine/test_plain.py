"""Records as plain values and back: nothing is lost, and what does not fit is told with its place."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple

import pytest

from engine_opt import ATRConfig, MarketCondition, MarketConfig, WeekClassifier, WeekContext, WeekRules
from engine_opt.model import Bar, Position, Reference, WeekClassification, WeekType
from engine_opt.plain import dump, load


class Inner(NamedTuple):
    at: datetime
    days: tuple[date, ...] = ()
    limit: timedelta | None = None


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    mode: Literal["one", "two"] = "one"
    share: float | str | None = None
    count: int = 3
    on: bool = False


OUTER = Outer("a", Inner(datetime(2020, 1, 2, 3, tzinfo=UTC), (date(2020, 1, 2),), timedelta(minutes=5)), "two", 0.5)


def through_json(value):
    return json.loads(json.dumps(dump(value), allow_nan=False))


@pytest.mark.parametrize(
    "record",
    [
        OUTER,
        Outer("b", Inner(datetime(2020, 1, 2)), share="text"),  # noqa: DTZ001 - naive times are allowed
        Bar(date(2020, 1, 2), 1.0, 3.0, 0.5, 2.0),
        Bar(datetime(2020, 1, 2, 16, tzinfo=UTC), 1.0, 3.0, 0.5, 2.0, 100.0),
        MarketConfig(),
        MarketConfig.original(),
        ATRConfig(),
        ATRConfig.original(),
        WeekRules.standard(),
        WeekRules.original(),
    ],
    ids=lambda record: type(record).__name__,
)
def test_a_record_comes_back_from_json_as_it_was(record):
    assert load(type(record), through_json(record)) == (record, [])


def test_an_answer_comes_back_with_its_infinite_bounds():
    week = WeekClassifier().classify_week(MarketCondition("X", 70.0, 100.0, 0.3), "short_put", WeekContext(strike=99.0))
    assert week.lower == -float("inf")
    assert load(WeekClassification, through_json(week)) == (week, [])


def test_what_is_not_given_comes_from_the_base():
    base = WeekRules.standard()
    rules, problems = load(
        WeekRules, {"beyond": 12, "ladders": {"short_put/strike": {"bounds": [-20, -6, 0]}}}, base=base
    )
    assert problems == []
    assert rules.beyond == 12.0
    changed = rules.ladders[Position.SHORT_PUT, Reference.STRIKE]
    assert changed.bounds == (-20.0, -6.0, 0.0)
    assert changed.types == (WeekType.P_DD, WeekType.P_RO, WeekType.P_AWL, WeekType.P_EW)
    untouched = (Position.LONG_STOCK, Reference.WEEK_START)
    assert rules.ladders[untouched] == base.ladders[untouched]


@pytest.mark.parametrize(
    ("data", "where", "why"),
    [
        ({"inner": {"at": "2020-01-02T03:04"}}, "name", "it is missing"),
        ({"name": 3, "inner": {"at": "2020-01-02T03:04"}}, "name", "text is expected, not 3"),
        ({"name": "a", "inner": {}}, "inner.at", "it is missing"),
        ({"name": "a", "inner": 3}, "inner", "a table is expected, not 3"),
        ({"name": "a", "inner": {"at": "soon"}}, "inner.at", "an ISO datetime is expected, not 'soon'"),
        ({"name": "a", "inner": {"at": "2020-01-02T03:04", "days": ["x"]}}, "inner.days[0]", "an ISO date"),
        ({"name": "a", "inner": {"at": "2020-01-02T03:04", "days": 7}}, "inner.days", "a list is expected"),
        ({"name": "a", "inner": {"at": "2020-01-02T03:04", "limit": "x"}}, "inner.limit", "a number of seconds"),
        ({"name": "a", "inner": {"at": "2020-01-02T03:04"}, "mode": "three"}, "mode", "one of 'one', 'two'"),
        ({"name": "a", "inner": {"at": "2020-01-02T03:04"}, "count": True}, "count", "a whole number is expected"),
        ({"name": "a", "inner": {"at": "2020-01-02T03:04"}, "count": 1.0}, "count", "a whole number is expected"),
        ({"name": "a", "inner": {"at": "2020-01-02T03:04"}, "on": 1}, "on", "true or false is expected"),
        ({"name": "a", "inner": {"at": "2020-01-02T03:04"}, "share": True}, "share", "a number or text is expected"),
        (
            {"name": "a", "inner": {"at": "2020-01-02T03:04"}, "shade": 1},
            "shade",
            "this is not known: choose from name",
        ),
        ([], "", "a table is expected"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(data, where, why):
    value, problems = load(Outer, data)
    assert value is None
    assert len(problems) == 1
    assert problems[0].where == where
    assert why in problems[0].why


def test_every_mistake_is_told():
    _, problems = load(MarketConfig, {"cap": "x", "temperature": True, "weights": [1, 2], "colour": 1})
    assert [each.where for each in problems] == ["colour", "weights", "temperature", "cap"]


def test_a_record_that_contradicts_itself_says_so_with_its_place():
    _, problems = load(
        WeekRules, {"ladders": {"short_put/strike": {"bounds": [0, -5, -15]}}}, base=WeekRules.standard()
    )
    assert [each.where for each in problems] == ["ladders.short_put/strike"]
    assert "do not rise" in problems[0].why


def test_an_unknown_key_of_a_table_is_told():
    _, problems = load(WeekRules, {"ladders": {"short_put/moon": {}}}, base=WeekRules.standard())
    assert "this key is not known" in problems[0].why
    assert "'strike', 'cost_basis', 'week_start'" in problems[0].why


def test_what_is_no_record_has_no_plain_form():
    with pytest.raises(TypeError, match="has no plain form"):
        dump(object())
