"""A monitored engine: what it tells is so, nothing is left untold, and no answer depends on it."""

import inspect
import pkgutil
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import datetime, time, timedelta
from importlib import import_module
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine_opt
from engine_opt import EngineError, InputError, data
from engine_opt.audit.jsonl import JsonLinesAudit
from engine_opt.audit.sqlite import SqliteAudit
from engine_opt.counting import Call, Part, Refusal, Turns
from engine_opt.engine import TIMED_EVERY, ProtocolEngine
from engine_opt.engine_metrics import TABLES, component_records
from engine_opt.model import (
    AutonomyMode,
    Book,
    DecisionKind,
    DecisionStatus,
    HumanAnswer,
    Position,
    TradeDecision,
    TrustOutcome,
    Verdict,
    WeekContext,
    WeekRequest,
)
from engine_opt.monitoring.alerting_system import AlertingSystem
from engine_opt.monitoring.dashboard_backend import create_app
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.metrics_collector import MetricsCollector
from engine_opt.monitoring.openmetrics import Form, page
from engine_opt.monitoring.performance_monitor import PerformanceMonitor
from engine_opt.optimization.cache_manager import Cache, CacheManager
from engine_opt.optimization.memory_manager import MemoryBudget, MemoryManager
from engine_opt.optimization.object_pool import ObjectPool
from engine_opt.optimization.performance_optimizer import PerformanceOptimizer
from engine_opt.optimization.resource_manager import ResourceManager
from engine_opt.optimizations import EngineOptimizations
from engine_opt.protocol.decision_providers import CallbackProvider
from engine_opt.protocol.hitl_trust import HITLTrustSystem
from engine_opt.protocol.trading_protocol_rules import TradingProtocolRulesEngine

BARS = data.load("AAPL")
BOOK = Book(1e6, 3e6, 0.05, 0.01, shares_held=1000)
WILD = TradeDecision("sell_put", "AAPL", "REV", 20_000, 60.0, 1.0, None, 0.01)
CLOSE = TradeDecision("close_position", "AAPL", "REV")
HOLD = TradeDecision("hold_position", "AAPL", "REV")
KNOWN = WeekContext(days_to_expiration=3, favourable=True)


@pytest.fixture(scope="module")
def saved():
    """The state of an engine that has seen 120 bars and is trusted with entries, as far as that goes."""
    engine = ProtocolEngine()
    for bar in BARS[:120]:
        engine.update("AAPL", bar, 20.0)
    for number in range(300):
        at = datetime.combine(BARS[100].time, time(0, 0)) + timedelta(minutes=number)
        engine.record(TrustOutcome(DecisionKind.TRADE_ENTRY, True, 0.99, at, 0.01))
    return engine.save()


def request(bar, position="long_stock", **given):
    return WeekRequest("AAPL", "REV", position, datetime.combine(bar.time, time(16)), BOOK, **given)


def shown(monitor, name):
    """Return the series of a timer: count by the values of its labels."""
    (record,) = (each for each in monitor.snapshot() if each.name == name)
    return {tuple(value for _, value in labels): histogram.count for labels, histogram in record.series}


# Answers

STEPS = st.one_of(
    st.tuples(st.just("update"), st.sampled_from([1, 1, 1, 0])),  # the next bar, or the last one again
    st.tuples(
        st.just("decide"),
        st.sampled_from(list(Position)),
        st.sampled_from([None, CLOSE, HOLD, WILD]),
        st.sampled_from([None, 0.3, 0.97]),
        st.sampled_from(["AAPL", "MSFT"]),
    ),
    st.tuples(st.just("settle"), st.sampled_from([None, True, False]), st.sampled_from([1, 30])),
    st.tuples(st.just("record"), st.booleans()),
)


def lived(saved, steps, **given):
    """Return everything that an engine answers to these steps, errors included, and what it remembers."""
    engine = ProtocolEngine.restore(saved, **given)
    at, last, heard = 119, None, []
    for what, *how in steps:
        try:
            if what == "update":
                at += how[0]
                heard.append(engine.update("AAPL", BARS[at], 21.0))
            elif what == "decide":
                position, proposal, confidence, symbol = how
                asked = request(BARS[at], position, proposal=proposal, confidence=confidence, context=KNOWN)
                heard.append(engine.decide(replace(asked, symbol=symbol) if proposal is None else asked))
                last = asked, heard[-1]
            elif what == "settle" and last is not None:
                asked, decision = last
                now = asked.now + timedelta(minutes=how[1])
                answer = None if how[0] is None else HumanAnswer(decision.decision_id, how[0], "Ada", asked.now)
                heard.append(engine.settle(asked, decision, now, answer))
            elif what == "record":
                engine.record(TrustOutcome("trade_entry", how[0], 0.9, datetime.combine(BARS[at].time, time(16)), 0.0))
        except EngineError as error:
            heard.append((type(error), error.args))
    return heard, engine.save(), engine.stats()


@settings(max_examples=30)
@given(steps=st.lists(STEPS, max_size=25), every=st.sampled_from([1, 2, 3]), bounded=st.booleans())
def test_no_answer_depends_on_the_monitor(saved, steps, every, bounded):
    switches = EngineOptimizations(bounded_readings=bounded)
    heard, memory, stats = lived(saved, steps, optimizations=switches)
    for monitor in (PerformanceMonitor(), PerformanceMonitor(enabled=False)):
        with_it = lived(saved, steps, optimizations=switches, monitor=monitor, timed_every=every)
        assert with_it[:2] == (heard, memory)
        assert stats.items() <= with_it[2].items()
        assert (stats == with_it[2]) == (not monitor.enabled)


# Counts


def test_what_became_of_decisions_is_counted(saved):
    """Against a plain count of the answers themselves."""
    engine = ProtocolEngine.restore(saved, monitor=PerformanceMonitor())
    ways = product(Position, (None, CLOSE, HOLD, WILD), (None, 0.3, 0.97), (KNOWN, WeekContext(cost_basis=1e3)))
    heard = [
        engine.decide(request(BARS[119], position, proposal=proposal, confidence=confidence, context=context))
        for position, proposal, confidence, context in ways
    ]
    stats = engine.stats()

    def counted(what, members):
        return {member: stats[f"{what}.{member.value}"] for member in members if stats[f"{what}.{member.value}"]}

    assert counted("decisions", DecisionStatus) == Counter(each.status for each in heard)
    assert counted("rules.verdicts", Verdict) == Counter(each.report.verdict for each in heard if each.report)
    assert counted("modes", AutonomyMode) == Counter(each.assessment.mode for each in heard if each.assessment)
    assert len(counted("decisions", DecisionStatus)) == 4
    assert len(counted("rules.verdicts", Verdict)) >= 2
    assert len(counted("modes", AutonomyMode)) >= 2
    assert stats["decisions"] == len(heard)


def test_what_was_settled_is_counted(saved):
    engine = ProtocolEngine.restore(saved, monitor=PerformanceMonitor())
    asked = request(BARS[119], proposal=CLOSE)
    decision = engine.decide(asked)
    for minutes in (1, 2, 60):
        engine.settle(asked, decision, asked.now + timedelta(minutes=minutes))
    assert engine.stats()["settled.pending"] == 2
    assert engine.stats()["settled.expired"] == 1


def test_refused_calls_are_counted_by_why(saved):
    def fail(*_):
        raise OSError("the disk is full")

    engine = ProtocolEngine.restore(saved, monitor=PerformanceMonitor(), timed_every=1)
    pending = engine.decide(request(BARS[119], proposal=CLOSE))
    calls = (
        (Call.UPDATE, Refusal.INPUT, lambda: engine.update("AAPL", BARS[0])),
        (Call.DECIDE, Refusal.INPUT, lambda: engine.decide(None)),
        (Call.DECIDE, Refusal.STATE, lambda: engine.decide(replace(request(BARS[119]), symbol="MSFT"))),
        (Call.DECIDE, Refusal.TOO_EARLY, lambda: early.decide(request(BARS[0]))),
        (Call.SETTLE, Refusal.STATE, lambda: engine.settle(None, pending._replace(status=DecisionStatus.IDLE), None)),
        (Call.SETTLE, Refusal.OTHER, lambda: engine.settle(None, None, None)),
        (Call.RECORD, Refusal.INPUT, lambda: engine.record(None)),
        (Call.DECIDE, Refusal.OTHER, lambda: full.decide(request(BARS[119], proposal=CLOSE))),
    )
    early = ProtocolEngine(monitor=PerformanceMonitor())
    early.update("AAPL", BARS[0])
    full = ProtocolEngine.restore(saved, provider=CallbackProvider(fail), monitor=PerformanceMonitor(), timed_every=1)
    seen = Counter()
    for call, why, act in calls:
        with pytest.raises((EngineError, OSError, AttributeError)):
            act()
        seen[f"refused.{call}.{why}"] += 1
    total = Counter()
    for each in (engine, early, full):
        total.update({name: value for name, value in each.stats().items() if name.startswith("refused.") and value})
    assert total == seen
    assert sum(name.startswith("refused.") for name in engine.stats()) == len(Call) * len(Refusal)


def test_an_error_inside_the_provider_is_in_no_other_count(saved):
    def fail(*_):
        raise OSError("nobody there")

    engine = ProtocolEngine.restore(saved, provider=CallbackProvider(fail), monitor=PerformanceMonitor())
    before = {name: value for name, value in engine.stats().items() if name.split(".")[0] in {"decisions", "modes"}}
    with pytest.raises(OSError, match="nobody"):
        engine.decide(request(BARS[119], proposal=CLOSE))
    assert before.items() <= engine.stats().items()
    assert min(engine.stats().values()) >= 0


def test_an_engine_without_a_monitor_counts_what_it_always_did(saved):
    names = set(ProtocolEngine().stats())
    assert names == set(ProtocolEngine(monitor=PerformanceMonitor(enabled=False)).stats())
    assert not {name for name in names if name.startswith(("decisions.", "refused."))}


# Times


def test_whole_decisions_and_their_parts_are_timed_in_turn(saved):
    monitor = PerformanceMonitor()
    engine = ProtocolEngine.restore(saved, monitor=monitor, timed_every=1)
    for _ in range(10):
        engine.decide(request(BARS[119], "cash", context=KNOWN))
    for bar in BARS[120:123]:
        engine.update("AAPL", bar)
    assert shown(monitor, "engine_decision_seconds") == {("ok",): 5, ("error",): 0}
    assert shown(monitor, "engine_bar_seconds") == {("ok",): 3, ("error",): 0}
    parts = shown(monitor, "engine_component_seconds")
    assert {part for part, _ in parts} == set(Part)
    always = {Part.WEEK, Part.ADJUSTMENT, Part.PLAN, Part.RULES, Part.TRUST}
    assert {part for part in Part if parts[part, "ok"] == 5} == always


def test_every_part_shows_up(saved):
    """What a bar says is worked out by the first who asks, which is a matter of turns."""
    monitor = PerformanceMonitor()
    engine = ProtocolEngine.restore(saved, monitor=monitor, timed_every=1)
    for bar in BARS[120:124]:
        engine.update("AAPL", bar)
        engine.decide(request(bar, "cash", context=KNOWN))
    parts = shown(monitor, "engine_component_seconds")
    assert {part: parts[part, "ok"] for part in Part} == dict.fromkeys(Part, 2)


def test_a_refused_call_is_an_error_in_its_turn(saved):
    monitor = PerformanceMonitor()
    engine = ProtocolEngine.restore(saved, monitor=monitor, timed_every=1)
    for call in (lambda: engine.decide(None), lambda: engine.update("AAPL", BARS[0])):
        with pytest.raises(InputError):
            call()
    assert shown(monitor, "engine_decision_seconds") == {("ok",): 0, ("error",): 1}
    assert shown(monitor, "engine_bar_seconds") == {("ok",): 0, ("error",): 1}


def test_one_call_in_so_many_is_timed():
    monitor = PerformanceMonitor()
    engine = ProtocolEngine(monitor=monitor)
    for bar in BARS[: 3 * TIMED_EVERY]:
        engine.update("AAPL", bar)
    assert shown(monitor, "engine_bar_seconds") == {("ok",): 3, ("error",): 0}


def test_engines_that_share_a_monitor_add_up(saved):
    monitor = PerformanceMonitor()
    for _ in range(3):
        engine = ProtocolEngine.restore(saved, monitor=monitor, timed_every=1)
        engine.decide(request(BARS[119]))
    assert shown(monitor, "engine_decision_seconds")["ok",] == 3


@pytest.mark.parametrize("given", [{"monitor": "yes"}, {"timed_every": 0}, {"timed_every": True}, {"timed_every": 1.5}])
def test_what_is_no_monitor_or_number_is_refused(given):
    with pytest.raises(InputError):
        ProtocolEngine(**{"monitor": PerformanceMonitor(), **given})


# Turns


@pytest.mark.parametrize("every", [1, 7, 64, TIMED_EVERY])
def test_one_of_each_block_is_taken(every):
    turns = Turns(every)
    assert [turns.next() // every for _ in range(100)] == list(range(100))


@pytest.mark.parametrize("every", [64, 100, TIMED_EVERY])
def test_each_place_of_a_cycle_is_taken_as_often_as_any_other(every):
    """Whatever comes again: the positions of an account, the days of a week, the symbols, as many as blocks are long."""
    turns = Turns(every)
    taken = [turns.next() for _ in range(20_000)]
    for period in (2, 3, 5, 7, 12, 20, 60, 64, 100, every, 2 * every):
        counts = Counter(each % period for each in taken)
        assert all(0.9 < counts[place] * period / len(taken) < 1.1 for place in range(period)), period


# Nothing is left untold


def counting_classes():
    """Return all classes of the engine that count, by their full names."""
    found = {}
    for info in pkgutil.walk_packages(engine_opt.__path__, "engine_opt."):
        if info.name.endswith("__main__"):
            continue
        for name, each in inspect.getmembers(import_module(info.name), inspect.isclass):
            own = (
                each.__module__ == info.name
                and not name.startswith("_")
                and inspect.isfunction(vars(each).get("stats"))
            )
            if own and not getattr(each, "_is_protocol", False):
                found[f"{info.name}.{name}"] = each
    return found


HELPERS = {
    "engine_opt.counting.Tally",  # in the engine's
    "engine_opt.monitoring._pending.Pending",  # in the collector's
    "engine_opt.monitoring.dashboard.answers.Answers",  # these three in the dashboard's
    "engine_opt.monitoring.dashboard.api.Api",
    "engine_opt.monitoring.dashboard.events.EventHub",
}


def make_all(folder):
    """Return one of each component, after some work."""
    monitor = PerformanceMonitor()
    engine = ProtocolEngine(monitor=monitor, optimizations=EngineOptimizations.all(), timed_every=1)
    for bar in BARS[:60]:
        engine.update("AAPL", bar)
    engine.decide(request(BARS[59]))
    pool, resources, caches = ObjectPool(bytearray, size=2), ResourceManager(), CacheManager()
    with pool.lease(), resources.scope("work") as scope:
        scope.enter("file", object(), close=id)
    cache = Cache(max_items=4)
    caches.cache("a.b", max_items=4).get("key", object)
    optimizer = PerformanceOptimizer({"pool": True})
    optimizer.own("pool", ObjectPool(bytearray, size=1))
    store = open_store(folder / "metrics.db")
    collector = MetricsCollector(store)
    collector.register_monitor(monitor)
    collector.collect()
    collector.flush()
    alerts = AlertingSystem((), store, folder / "alerts.db")
    alerts.evaluate()
    return (
        engine,
        TradingProtocolRulesEngine(),
        HITLTrustSystem(),
        JsonLinesAudit(folder / "log.jsonl"),
        SqliteAudit(folder / "log.sqlite"),
        cache,
        caches,
        pool,
        resources,
        MemoryManager(MemoryBudget(2**40)),
        optimizer,
        monitor,
        collector,
        alerts,
        create_app(store, token="t" * 32),
        store,
    )


@pytest.fixture
def components(tmp_path):
    found = {f"{type(each).__module__}.{type(each).__qualname__}": each for each in make_all(tmp_path)}
    yield found
    for each in found.values():
        each.close() if hasattr(each, "close") else None


def test_no_component_is_without_metrics(components):
    without = set(counting_classes()) - set(TABLES) - HELPERS
    assert sorted(without) == []
    assert set(TABLES) == set(components)


def test_no_number_of_a_component_is_without_a_meaning(components):
    """A number that no table knows would be refused."""
    for name, component in components.items():
        records = component_records(component, name="one")
        assert records, name
        assert all(dict(series.labels)["name"] == "one" for record in records for series in record.series)


@pytest.mark.parametrize("form", list(Form))
def test_all_of_it_is_one_page(components, form):
    records = [record for name, each in components.items() for record in component_records(each, name=name)]
    text = page(
        [*components["engine_opt.monitoring.performance_monitor.PerformanceMonitor"].snapshot(), *records], form
    )
    name = "engine_opt.engine.ProtocolEngine"
    assert f'engine_decisions_total{{name="{name}",status="pending"}} 1.0' in text
    assert f'engine_rules_verdicts_total{{name="{name}",verdict="APPROVED"}} 1.0' in text
    assert ',cache="a.b"}' in text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_promtool_finds_nothing_to_say_of_the_names(components):
    monitor = components["engine_opt.monitoring.performance_monitor.PerformanceMonitor"]
    records = [record for name, each in components.items() for record in component_records(each, name=name)]
    text = page([*monitor.snapshot(), *records], Form.PROMETHEUS)
    done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_what_no_table_describes_is_refused():
    class Other:
        def stats(self):
            return {}

    with pytest.raises(InputError, match="TABLES"):
        component_records(Other())
