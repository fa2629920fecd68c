"""The quick constructors make the same records as the classes, and refuse the same."""

import pickle
from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, date, datetime
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_opt import EngineError
from engine_opt.model import (
    AccountType,
    Action,
    DecisionKind,
    MarketConditionKind,
    TradeContext,
    TradeDecision,
    TrustRequest,
    WeekColour,
    WeekType,
)
from engine_opt.model.quick import quick

TODAY, NOW = date(2024, 1, 8), datetime(2024, 1, 8, 16, tzinfo=UTC)
NEUTRAL = MarketConditionKind.NEUTRAL
GOOD = [
    TradeDecision(Action.SELL_PUT, "AAPL", AccountType.REV, 2, 35.0, 95.0, TODAY, 0.01, 1.8, 0.9),
    TradeContext(TODAY, 3e6, 1e6, 0.05, 0.01, 500, NEUTRAL, WeekType.P_EW, WeekColour.RED, 20.0, 18.0),
    TrustRequest("r1", DecisionKind.TRADE_ENTRY, 0.9, NOW, 100.0, False, True, "wait", "why"),
]
KINDS = [type(good) for good in GOOD]
ODD = [None, True, 0, 2, -1.0, 0.5, nan, inf, 1e30, "", "sell_put", "REV", "neutral", NOW, TODAY, object()]


def values(record):
    return [getattr(record, each.name) for each in fields(record)]


def made(make, *arguments, **named):
    """What comes of a constructor: a record, or the error."""
    try:
        return make(*arguments, **named)
    except (EngineError, TypeError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("good", GOOD, ids=lambda good: type(good).__name__)
def test_a_record_made_quickly_is_the_record(good):
    kind = type(good)
    record = quick(kind)(*values(good))
    assert type(record) is kind
    assert record == good
    assert hash(record) == hash(good)
    assert repr(record) == repr(good)
    assert pickle.loads(pickle.dumps(record)) == good
    assert replace(record) == good
    with pytest.raises(FrozenInstanceError):
        setattr(record, fields(kind)[0].name, None)
    with pytest.raises((AttributeError, TypeError)):
        record.more = 1


@pytest.mark.parametrize("good", GOOD, ids=lambda good: type(good).__name__)
def test_names_and_defaults_are_those_of_the_class(good):
    kind, fast = type(good), quick(type(good))
    required = {each.name: getattr(good, each.name) for each in fields(kind)[:4]}
    assert fast(**required) == kind(**required)
    with pytest.raises(TypeError):
        fast()


@given(st.sampled_from(GOOD), st.data())
def test_the_same_is_refused_and_the_same_is_converted(good, data):
    """Whatever stands in one of the fields, both constructors say the same."""
    arguments = values(good)
    place = data.draw(st.integers(0, len(arguments) - 1))
    arguments[place] = data.draw(st.sampled_from(ODD))
    kind = type(good)
    slow, fast = made(kind, *arguments), made(QUICK[kind], *arguments)
    assert type(fast) is type(slow)
    assert repr(fast) == repr(slow)


QUICK = {kind: quick(kind) for kind in KINDS}
