"""The engine against the plain one: the same decisions, words exactly, numbers to twelve digits."""

from datetime import datetime, time, timedelta
from enum import Enum
from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt.config import EngineConfig
from engine_opt.engine import ProtocolEngine
from engine_opt.model import (
    AccountType,
    Action,
    Book,
    DecisionKind,
    DecisionStatus,
    Position,
    TrustOutcome,
    WeekColour,
    WeekContext,
    WeekRequest,
)
from engine_opt.reference.engine import decide

STOCKS = ("AAPL", "GOOG", "IBM", "MSFT")
# Words in the answer of the fast engine alone: who set a limit, and why something was skipped.
NOT_COMPARED = frozenset({"source", "reason", "why_not"})


def differences(fast, plain, where="", unit=1.0):
    """Yield where two answers are not the same; what is near 0 is compared in its natural unit."""
    names = getattr(fast, "_fields", None) or getattr(fast, "__dataclass_fields__", None)
    if names:
        for name in [each for each in names if each not in NOT_COMPARED]:
            currency = fast.close if name.startswith("macd") else 1.0
            yield from differences(getattr(fast, name), getattr(plain, name), f"{where}.{name}", currency)
    elif type(fast) is tuple and len(fast) == len(plain):
        for number, pair in enumerate(zip(fast, plain, strict=True)):
            yield from differences(*pair, f"{where}[{number}]")
    elif not same(fast, plain, unit):
        yield f"{where}: {fast!r} is not {plain!r}"


def same(fast, plain, unit):
    if isinstance(fast, Enum):
        return fast is plain
    if isinstance(fast, float) and isinstance(plain, int | float):
        return isclose(fast, plain, rel_tol=1e-12, abs_tol=1e-12 * unit)
    return fast == plain


def outcomes(n, kind, until):
    """Return `n` outcomes, nine of ten good, the last one a day before `until`."""
    return [
        TrustOutcome(kind, number % 10 != 9, 0.9, until - timedelta(days=1 + n - number), 0.01) for number in range(n)
    ]


books = st.builds(
    Book,
    account_value=st.floats(1e3, 1e6),
    portfolio_value=st.floats(1e6, 1e7),
    portfolio_risk=st.sampled_from([0.0, 0.1, 0.15, 0.2]),
    drawdown=st.sampled_from([0.0, 0.05, 0.07, 0.2]),
    shares_held=st.sampled_from([0, 99, 100, 5000]),
    week_colour=st.sampled_from([None, *WeekColour]),
    vix_mean=st.sampled_from([None, 10.0, 20.0]),
)
contexts = st.builds(
    WeekContext,
    strike=st.just(None),
    cost_basis=st.just(None),
    days_to_expiration=st.sampled_from([None, 0.0, 3.0]),
    can_roll=st.booleans(),
    favourable=st.sampled_from([None, True, False]),
)


@settings(max_examples=60, deadline=None)
@given(
    symbol=st.sampled_from(STOCKS),
    count=st.integers(80, 420),
    account=st.sampled_from(AccountType),
    position=st.sampled_from(Position),
    book=books,
    context=contexts,
    shift=st.sampled_from([None, 0.75, 0.9, 0.96, 1.0, 1.04, 1.1]),
    confidence=st.sampled_from([None, 0.05, 0.75, 0.9, 0.99]),
    learned=st.sampled_from([0, 20, 60]),
    preset=st.sampled_from(["standard", "original"]),
)
def test_the_engine_decides_as_the_plain_one(
    series, symbol, count, account, position, book, context, shift, confidence, learned, preset
):
    bars = series[symbol][:count]
    config = EngineConfig.parse(f'[week]\npreset = "{preset}"\n[market]\npreset = "{preset}"')
    now = datetime.combine(bars[-1].time, time(16))
    known = [20.0 + index % 7 for index in range(count)]
    history = [each for kind in DecisionKind for each in outcomes(learned, kind, now)]
    start = None if shift is None else bars[-1].close / shift
    engine = ProtocolEngine(config)
    for bar, vix in zip(bars, known, strict=True):
        engine.update(symbol, bar, vix)
    for outcome in history:
        engine.record(outcome)
    request = WeekRequest(symbol, account, position, now, book, context, start, confidence=confidence)
    fast = engine.decide(request)
    plain = decide(request, bars, known, history, config)
    assert list(differences(fast, plain)) == []


@pytest.mark.parametrize("symbol", ["AAPL", "FB", "GOOG", "IBM", "MSFT", "S&P 500", "NASDAQ"])
def test_on_every_real_series(series, symbol):
    """A decision every 47 sessions, positions and accounts in turn."""
    bars, engine = series[symbol], ProtocolEngine()
    seen = set()
    for number, bar in enumerate(bars):
        engine.update(symbol, bar, 18.0)
        if number >= 60 and number % 47 == 13:
            account, position = tuple(AccountType)[number % 3], tuple(Position)[number % 4]
            now = datetime.combine(bar.time, time(16))
            request = WeekRequest(symbol, account, position, now, Book(1e6, 1e6, 0.0, 0.0, 500))
            recent = bars[: number + 1]
            fast, plain = engine.decide(request), decide(request, recent, [18.0] * len(recent))
            assert list(differences(fast, plain)) == []
            seen.add(fast.action if fast.proposal is None else fast.proposal.action)
    assert len(seen) >= (1 if symbol == "FB" else 3)


def test_the_comparison_can_fail(series):
    bars = series["IBM"][:200]
    request = WeekRequest("IBM", "REV", "cash", datetime.combine(bars[-1].time, time(16)), Book(1e6, 1e6, 0.0, 0.0))
    plain = decide(request, bars)
    assert list(differences(plain, plain)) == []
    assert list(differences(plain._replace(action=Action.SELL_PUT), plain)) or plain.action is Action.SELL_PUT
    moved = plain._replace(week=plain.week._replace(movement=plain.week.movement * (1 + 1e-11)))
    assert [line.split(":")[0] for line in differences(moved, plain)] == [".week.movement"]
    assert list(differences(plain._replace(status=DecisionStatus.APPROVED), plain))
