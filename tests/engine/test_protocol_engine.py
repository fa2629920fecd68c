"""The whole engine through its door: bars in, decisions out, remembered, saved and settled."""

import json
from datetime import UTC, date, datetime, time, timedelta

import pytest

from engine_opt import InputError, InsufficientData, StateError, data
from engine_opt.config import EngineConfig
from engine_opt.engine import ProtocolEngine
from engine_opt.explanation import explain
from engine_opt.model import (
    Action,
    Bar,
    Book,
    DecisionKind,
    DecisionStatus,
    HumanAnswer,
    Override,
    RuleOutcome,
    TradeDecision,
    TrustLevel,
    TrustOutcome,
    Verdict,
    WeekContext,
    WeekRequest,
    WeekType,
)
from engine_opt.protocol.decision_providers import CallbackProvider, QueueProvider, ScriptedProvider

BARS = data.load("AAPL")
BOOK = Book(1e6, 3e6, 0.05, 0.01, shares_held=1000)
START = datetime(2002, 7, 1, 16)  # noqa: DTZ001 - the bars have no zone either


def engine_at(count=600, **given):
    engine = ProtocolEngine(**given)
    for bar in BARS[:count]:
        engine.update("AAPL", bar, 20.0)
    return engine


def request(count=600, position="long_stock", account="REV", **given):
    now = datetime.combine(BARS[count - 1].time, time(16))
    return WeekRequest("AAPL", account, position, now, given.pop("book", BOOK), **given)


def trusted(engine, kind=DecisionKind.TRADE_ENTRY, n=300):
    """Let the engine earn full trust."""
    for number in range(n):
        engine.record(TrustOutcome(kind, True, 0.99, START + timedelta(minutes=number), 0.01))
    return engine


@pytest.fixture
def engine():
    return engine_at()


def test_a_decision_comes_through_all_five_components(engine):
    decision = engine.decide(request())
    assert decision.decision_id == "AAPL/REV/2002-07-23T16:00:00"
    assert decision.week.week_type is WeekType.C_PNO
    assert decision.proposal.action is Action.SELL_CALL
    assert decision.proposal.quantity == 10
    assert decision.market.time == decision.adjustment.reading.time == decision.time == BARS[599].time
    assert decision.report.can_proceed
    assert decision.assessment.level is TrustLevel.NO
    assert (decision.status, decision.action) == (DecisionStatus.PENDING, Action.WAIT_SIGNAL)


def test_what_needs_no_trade_asks_nobody(engine):
    decision = engine.decide(request(position="cash", context=WeekContext(favourable=False)))
    assert (decision.status, decision.action) == (DecisionStatus.IDLE, Action.WAIT_SIGNAL)
    assert decision.report is decision.assessment is decision.resolution is None


def test_the_market_says_whether_a_put_is_welcome():
    seen = set()
    for count in range(100, 1500, 50):
        decision = engine_at(count).decide(request(count, "cash"))
        welcome = decision.market.condition.value not in ("bearish", "extremely_bearish")
        assert decision.week.projected == (welcome and decision.market.risk_level.value != "extreme")
        seen.add(decision.week.projected)
    assert seen == {True, False}


def test_the_caller_may_know_better(engine):
    assert engine.decide(request(position="cash", context=WeekContext(favourable=True))).week.projected


def test_the_week_starts_at_the_last_close_before_it():
    for count in range(120, 140):
        last = BARS[count - 1].time
        monday = last - timedelta(last.weekday())
        before = [bar.close for bar in BARS[:count] if bar.time < monday][-1]
        assert engine_at(count).decide(request(count)).week.reference_price == before


def test_a_given_start_of_the_week_is_used(engine):
    assert engine.decide(request(week_start_price=1.5)).week.reference_price == 1.5


def test_what_the_rules_reject_never_reaches_a_human(engine):
    asked = []
    engine = engine_at(provider=CallbackProvider(lambda request, assessment: asked.append(request)))
    wild = TradeDecision("sell_put", "AAPL", "REV", 1000, 60.0, 1.0, date(2002, 7, 26), 0.01)
    decision = engine.decide(request(proposal=wild))
    assert decision.report.verdict is Verdict.REJECTED
    assert (decision.status, decision.action) == (DecisionStatus.REJECTED, Action.WAIT_SIGNAL)
    assert asked == []


def test_a_proposal_of_the_caller_is_judged_as_it_is(engine):
    own = TradeDecision("close_position", "AAPL", "REV")
    decision = engine.decide(request(proposal=own, confidence=0.9))
    assert decision.proposal is own
    assert decision.assessment.kind is DecisionKind.TRADE_EXIT
    assert decision.confidence == 0.9


def test_holding_on_proposal_needs_no_leave(engine):
    decision = engine.decide(request(proposal=TradeDecision("hold_position", "AAPL", "REV")))
    assert (decision.status, decision.action) == (DecisionStatus.IDLE, Action.HOLD_POSITION)
    assert decision.assessment is None


def test_an_override_is_recorded(engine):
    big = TradeDecision("sell_put", "AAPL", "REV", 20000, 35.0, 1.0, date(2002, 7, 26), 0.01)
    assert engine.decide(request(proposal=big)).status is DecisionStatus.REJECTED
    signed = Override("position_size", "Ada", "hedged elsewhere")
    decision = engine.decide(request(proposal=big, overrides=(signed,)))
    assert decision.status is DecisionStatus.PENDING
    assert decision.report.overrides == (signed,)


def test_full_trust_and_confidence_act_at_once():
    engine = trusted(engine_at())
    decision = engine.decide(request(confidence=0.95))
    assert decision.assessment.level is TrustLevel.FULL
    assert (decision.status, decision.action) == (DecisionStatus.APPROVED, Action.SELL_CALL)


def test_a_crash_asks_for_protection_and_a_human():
    fallen = WeekContext(cost_basis=BARS[599].close * 2)
    decision = trusted(engine_at()).decide(request(context=fallen, confidence=1.0))
    assert decision.week.week_type is WeekType.P_DD
    assert decision.proposal.action is Action.ENTER_PROTECTIVE
    assert decision.assessment.kind is DecisionKind.EMERGENCY_ACTION
    assert decision.status is DecisionStatus.PENDING


def test_an_emergency_that_nobody_answers_takes_the_safe_action(engine):
    asked = request(context=WeekContext(cost_basis=BARS[599].close * 2))
    decision = engine.decide(asked)
    settled = engine.settle(asked, decision, asked.now + timedelta(minutes=3))
    assert (settled.status, settled.action) == (DecisionStatus.SAFE_ACTION, Action.ENTER_PROTECTIVE)


def test_silence_is_a_no(engine):
    asked = request()
    decision = engine.decide(asked)
    assert engine.settle(asked, decision, asked.now + timedelta(minutes=14)).status is DecisionStatus.PENDING
    settled = engine.settle(asked, decision, asked.now + timedelta(minutes=16))
    assert (settled.status, settled.action) == (DecisionStatus.EXPIRED, Action.WAIT_SIGNAL)


@pytest.mark.parametrize(
    ("approved", "status", "action"),
    [(True, DecisionStatus.APPROVED, Action.SELL_CALL), (False, DecisionStatus.DECLINED, Action.WAIT_SIGNAL)],
)
def test_a_human_has_the_last_word(approved, status, action):
    queue = QueueProvider()
    engine = engine_at(provider=queue)
    asked = request()
    decision = engine.decide(asked)
    queue.reply(HumanAnswer(decision.decision_id, approved, "Ada", asked.now + timedelta(minutes=5)))
    settled = engine.settle(asked, decision, asked.now + timedelta(minutes=6))
    assert (settled.status, settled.action, settled.resolution.by) == (status, action, "Ada")
    assert settled.answer.person == "Ada"


def test_what_nobody_answered_in_time_leaves_the_queue():
    queue = QueueProvider()
    engine = engine_at(provider=queue)
    asked = request()
    decision = engine.decide(asked)
    assert [each.request.request_id for each in queue.pending()] == [decision.decision_id]
    engine.settle(asked, decision, asked.now + timedelta(minutes=1))
    assert len(queue.pending()) == 1
    engine.settle(asked, decision, asked.now + timedelta(minutes=16))
    assert queue.pending() == ()


def test_an_answer_that_is_there_already_counts():
    asked = request()
    answer = HumanAnswer("AAPL/REV/2002-07-23T16:00:00", True, "Ada", asked.now)
    decision = engine_at(provider=ScriptedProvider({answer.request_id: answer})).decide(asked)
    assert (decision.status, decision.answer) == (DecisionStatus.APPROVED, answer)


def test_only_a_pending_decision_is_settled(engine):
    asked = request(position="cash", context=WeekContext(favourable=False))
    with pytest.raises(StateError, match="is idle: only a pending one is settled"):
        engine.settle(asked, engine.decide(asked), asked.now)


def test_a_provider_that_fails_approves_nothing():
    def broken(request, assessment):
        raise RuntimeError("no line")

    with pytest.raises(RuntimeError, match="no line"):
        engine_at(provider=CallbackProvider(broken)).decide(request())


def test_nothing_is_decided_before_there_are_bars_enough():
    with pytest.raises(StateError, match="nothing is known of symbol 'AAPL'"):
        ProtocolEngine().decide(request())
    with pytest.raises(InsufficientData, match="51 bars are needed, 50 seen"):
        engine_at(50).decide(request(50))


def test_nothing_is_decided_by_what_was_not_known_yet(engine):
    with pytest.raises(InputError, match="what was not known yet cannot be decided by"):
        engine.decide(request(599))


def test_times_with_and_without_a_zone_do_not_mix():
    engine = ProtocolEngine()
    for bar in BARS[:60]:
        engine.update("AAPL", Bar(datetime.combine(bar.time, time(16), UTC), *(bar.open, bar.high, bar.low, bar.close)))
    with pytest.raises(InputError, match="both naive or aware"):
        engine.decide(request(60))


def test_a_bad_bar_changes_nothing(engine):
    before = engine.save()
    for bad, vix in ((BARS[598], 20.0), (BARS[600], -1.0), (BARS[600], float("nan"))):
        with pytest.raises(InputError):
            engine.update("AAPL", bad, vix)
    assert engine.save() == before


def test_too_many_symbols_are_refused_and_change_nothing():
    config = EngineConfig.parse("[atr]\nmax_symbols = 1")
    engine = engine_at(60, config=config)
    with pytest.raises(StateError, match="1 symbols are tracked"):
        engine.update("MSFT", BARS[0])
    assert engine.symbols == ("AAPL",)
    engine.forget("AAPL")
    engine.update("MSFT", BARS[0])
    assert engine.symbols == ("MSFT",)


def test_leaving_the_engine_forgets_the_symbols(engine):
    with engine:
        assert engine.symbols == ("AAPL",)
    assert engine.symbols == ()


def test_an_engine_restored_goes_on_as_if_nothing_had_happened():
    whole = trusted(engine_at(600))
    state = json.loads(json.dumps(whole.save(), allow_nan=False))
    again = ProtocolEngine.restore(state)
    for number in range(600, 630):
        for engine in (whole, again):
            engine.update("AAPL", BARS[number], 25.0)
        asked = request(number + 1, confidence=0.97)
        assert again.decide(asked) == whole.decide(asked)
    assert again.save() == whole.save()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda s: s.update(schema=99), "has schema 99, this engine reads 1"),
        (lambda s: s.update(config="0"), "saved with another configuration"),
        (lambda s: s.pop("atr"), "has no 'atr'"),
        (lambda s: s["tracks"].pop("AAPL"), "different symbols"),
        (lambda s: s["tracks"]["AAPL"].pop("market"), "damaged"),
        (lambda s: s["tracks"]["AAPL"].update(week=1.5), "week=1.5 was refused"),
        (lambda s: s["tracks"]["AAPL"].update(close=-1.0), "close=-1.0 was refused"),
        (lambda s: s.update(tracks=3), "damaged"),
    ],
)
def test_a_damaged_state_is_refused(damage, said):
    state = engine_at(60).save()
    damage(state)
    with pytest.raises((StateError, InputError), match=said):
        ProtocolEngine.restore(state)


def test_a_state_that_is_none_is_refused():
    with pytest.raises(StateError, match="has schema 'list'"):
        ProtocolEngine.restore([])


def test_the_same_input_gives_the_same_answer(engine):
    assert engine_at().decide(request()) == engine.decide(request())


def test_what_was_done_is_counted(engine):
    engine.decide(request())
    stats = engine.stats()
    assert (stats["bars"], stats["decisions"], stats["symbols"]) == (600.0, 1.0, 1.0)
    assert stats["rules.validations"] == 1.0


@pytest.mark.parametrize(
    "bad",
    [
        {"symbol": ""},
        {"account": "XYZ"},
        {"position": "short_stock"},
        {"now": date(2010, 1, 4)},
        {"book": None},
        {"context": {}},
        {"week_start_price": 0.0},
        {"confidence": 1.5},
        {"confidence": True},
        {"proposal": "sell"},
        {"proposal": TradeDecision("sell_put", "MSFT", "REV")},
        {"proposal": TradeDecision("sell_put", "AAPL", "GEN")},
        {"overrides": ("position_size",)},
    ],
    ids=str,
)
def test_a_request_that_cannot_be_is_refused(bad):
    good = {"symbol": "AAPL", "account": "REV", "position": "cash", "now": START, "book": BOOK}
    with pytest.raises(InputError, match=next(iter(bad))):
        WeekRequest(**{**good, **bad})


@pytest.mark.parametrize("field", ["account_value", "portfolio_value", "portfolio_risk", "drawdown"])
@pytest.mark.parametrize("bad", [None, True, float("nan"), float("inf"), -1.0, "1"])
def test_a_book_that_cannot_be_is_refused(field, bad):
    good = {"account_value": 1e6, "portfolio_value": 3e6, "portfolio_risk": 0.0, "drawdown": 0.0}
    with pytest.raises(InputError, match=field):
        Book(**{**good, field: bad})


def test_every_step_is_explained(engine):
    decision = engine.decide(request(context=WeekContext(cost_basis=0.95, days_to_expiration=4)))
    tree = explain(decision)
    lines = list(tree.lines())
    assert lines[0] == "AAPL/REV/2002-07-23T16:00:00: wait_signal, pending"
    assert [line.strip().split(":")[0] for line in lines if line.startswith("  ") and line[2] != " "] == [
        "market",
        "week",
        "volatility",
        "proposal",
        "rules",
        "trust",
    ]
    rules = {child.name: child for child in tree.children[4].children}
    assert set(rules) == {result.rule for result in decision.report.results}
    delta = rules["delta_range"]
    assert (delta.low, delta.high, delta.value) == (30.0, 40.0, decision.proposal.delta)
    assert delta.source == "account REV"
    assert json.loads(json.dumps(tree.plain(), allow_nan=False))["name"] == decision.decision_id


def test_margins_of_the_explanation_are_those_of_the_decision(engine):
    decision = engine.decide(request())
    movement = explain(decision).children[1].children[0]
    assert (movement.value, movement.low, movement.high) == (decision.week.movement, -5.0, 1.0)
    assert movement.margin == min(decision.week.movement + 5.0, 1.0 - decision.week.movement)


def test_an_unknown_fact_blocks_what_needs_it(engine):
    unknown = TradeDecision("sell_put", "AAPL", "REV", 1, None, 1.0, date(2002, 7, 26), 0.01)
    decision = engine.decide(request(proposal=unknown))
    assert decision.status is DecisionStatus.REJECTED
    assert [r.rule for r in decision.report.blocking if r.outcome is RuleOutcome.ERROR] == ["delta_range"]
