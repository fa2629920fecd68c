"""An audit log run again gives the same decisions; one that was changed does not."""

import json
from datetime import UTC, datetime, time, timedelta

import pytest

from engine_opt import EngineError, data
from engine_opt.audit import AuditRecord, open_audit, read_audit
from engine_opt.config import EngineConfig
from engine_opt.engine import ProtocolEngine
from engine_opt.model import AccountType, Bar, Book, DecisionKind, HumanAnswer, Position, TrustOutcome, WeekRequest
from engine_opt.protocol.decision_providers import CallbackProvider
from engine_opt.replay import replay

BOOK = Book(1e6, 3e6, 0.05, 0.01, shares_held=1000)
COUNT = 140


def say_yes(request, assessment):
    return HumanAnswer(request.request_id, len(request.request_id) % 2 == 0, "Ada", request.now, "seen")


def requests(bars):
    """Yield a request for every fifth bar from the 60th on, all positions and accounts in turn."""
    for number in range(60, len(bars), 5):
        last = bars[number].time
        now = last.replace(hour=16) if isinstance(last, datetime) else datetime.combine(last, time(16))
        yield number, WeekRequest("IBM", tuple(AccountType)[number % 3], tuple(Position)[number % 4], now, BOOK)


def record(log, *, bars=None, config=None, provider=None, restored_at=None):
    """Run an engine with a log; restart it from a saved state on the way if asked to."""
    bars = data.load("IBM")[:COUNT] if bars is None else bars
    engine = ProtocolEngine(config, provider=provider, sink=log.append)
    asked = dict(requests(bars))
    decisions = []
    for number, bar in enumerate(bars):
        engine.update("IBM", bar, 20.0 if number % 2 else None)
        if number == restored_at:
            state = json.loads(json.dumps(engine.save()))
            engine = ProtocolEngine.restore(state, config, provider=provider, sink=log.append)
        if number in asked:
            decision = engine.decide(asked[number])
            if decision.status.value == "pending":
                decision = engine.settle(asked[number], decision, asked[number].now + timedelta(hours=5))
            decisions.append(decision)
            engine.record(
                TrustOutcome(DecisionKind.TRADE_ENTRY, number % 3 > 0, 0.8, asked[number].now + timedelta(hours=6), 0.0)
            )
    return engine, decisions


@pytest.mark.parametrize("suffix", ["jsonl", "sqlite"])
@pytest.mark.parametrize("somebody", [False, True])
def test_a_log_gives_the_same_decisions_again(tmp_path, suffix, somebody):
    path = tmp_path / f"log.{suffix}"
    with open_audit(path) as log:
        engine, decisions = record(log, provider=CallbackProvider(say_yes) if somebody else None)
    assert any(decision.answer for decision in decisions) == somebody
    again = replay(read_audit(path))
    assert (again.bars, again.decisions, again.different) == (COUNT, len(decisions), 0)
    assert again.engine.save() == engine.save()


def test_a_restart_from_a_saved_state_is_replayed_too(tmp_path):
    with open_audit(tmp_path / "log.jsonl") as log:
        engine, _ = record(log, restored_at=100)
    again = replay(read_audit(tmp_path / "log.jsonl"))
    assert again.different == 0
    assert again.engine.save() == engine.save()


def test_the_configuration_is_in_the_log(tmp_path):
    config = EngineConfig.parse(
        '[market]\ntemperature = 0.7\n[week]\npreset = "original"\n[rules.symbols.IBM]\ndays_high = 5'
    )
    with open_audit(tmp_path / "log.jsonl") as log:
        record(log, config=config)
    again = replay(read_audit(tmp_path / "log.jsonl"))
    assert again.different == 0
    assert again.engine.config == config


def test_bars_with_times_and_zones_are_replayed(tmp_path):
    bars = [
        Bar(datetime.combine(bar.time, time(15), UTC), bar.open, bar.high, bar.low, bar.close)
        for bar in data.load("IBM")[:COUNT]
    ]
    with open_audit(tmp_path / "log.jsonl") as log:
        record(log, bars=bars)
    assert replay(read_audit(tmp_path / "log.jsonl")).different == 0


def kept(**given):
    """Return the records of a run, in memory."""
    records = []

    class Log:
        def append(self, kind, payload, time):
            records.append(AuditRecord(len(records), kind, time, json.loads(json.dumps(payload))))

    record(Log(), **given)
    return records


def decision_of(records):
    return next(each for each in records if each.kind == "decision")


def test_a_changed_decision_is_found_with_its_field():
    records = kept()
    at = next(n for n, each in enumerate(records) if each.kind == "decision")
    records[at].payload["decision"]["week"]["movement"] += 1e-9
    again = replay(records)
    assert again.different == 1
    assert again.differences[0].sequence == at
    assert again.differences[0].where == "decision.week.movement"
    assert str(again.differences[0]).startswith(f"record {at}: decision.week.movement was ")


def test_a_changed_bar_is_found_by_what_it_leads_to():
    records = kept()
    bar = next(each for each in records if each.kind == "bar" and each.sequence > 40)
    for field in ("high", "close"):
        bar.payload["bar"][field] *= 1.01
    assert replay(records).different > 0


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda records: records.clear(), "holds no configuration"),
        (lambda records: records.pop(0), "comes before any configuration"),
        (
            lambda records: records.insert(1, AuditRecord(1, "moon", None, {})),
            "'moon', which this engine does not know",
        ),
        (lambda records: records[5].payload.pop("bar"), r"record 5 \(bar\) has no 'bar': it is damaged"),
        (lambda records: records[5].payload["bar"].update(close="x"), "does not hold a Bar: close: a number"),
        (lambda records: records[5].payload["bar"].update(close=1e9), "does not hold a Bar: the whole: close="),
        (lambda records: records[0].payload["config"].update(week=3), "the configuration in record 0: week: a table"),
        (lambda records: records[5].payload.update(symbol=["IBM"]), r"record 5 \(bar\) is damaged"),
        (lambda records: decision_of(records).payload.update(decision=None), r"\(decision\) is damaged"),
        (lambda records: records[0].payload.pop("config"), r"record 0 \(config\) has no 'config'"),
    ],
)
def test_a_damaged_log_is_told(damage, said):
    records = kept()
    damage(records)
    with pytest.raises(EngineError, match=said):
        replay(records)
