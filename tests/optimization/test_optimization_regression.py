"""No optimisation changes an answer; what is kept is forgotten when it is no longer so."""

import gc
import itertools
import re
from datetime import datetime, time
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import (
    AccountType,
    Book,
    EngineConfig,
    EngineOptimizations,
    InputError,
    InsufficientData,
    Position,
    ProtocolEngine,
    StateError,
    WeekRequest,
    data,
)
from engine_opt.optimization.memory_manager import MemoryBudget, MemoryManager
from engine_opt.optimizations import bytes_of
from engine_opt.plain import dump

SYMBOLS = data.symbols()
BOOK = Book(1e6, 3e6, 0.05, 0.01, shares_held=500)
NAMES = EngineOptimizations.names()
NONE, ALL = EngineOptimizations.none(), EngineOptimizations.all()
SHARED = EngineOptimizations(share_readings=True)
BOUNDED = EngineOptimizations(bounded_readings=True)
EVERY = [
    EngineOptimizations(**dict(zip(NAMES, values, strict=True)))
    for values in itertools.product((False, True), repeat=len(NAMES))
]
KEEPING = pytest.mark.parametrize("switches", [SHARED, BOUNDED, ALL], ids=["shared", "bounded", "all"])


def request(symbol, bar, account="REV", position="cash"):
    return WeekRequest(symbol, account, position, datetime.combine(bar.time, time(16)), BOOK)


def vix(number):
    return 20.0 + number % 7


def fed(switches, count=300, symbol="AAPL", config=None):
    engine = ProtocolEngine(config, optimizations=switches)
    for number, bar in enumerate(data.load(symbol)[:count]):
        engine.update(symbol, bar, vix(number))
    return engine


def answers(engine, steps):
    """What an engine says to a story of bars and questions, to the last bit, and what it has become in the end."""
    said, series, last = [], {symbol: iter(data.load(symbol)) for symbol in SYMBOLS}, {}
    for symbol, bars, asked in steps:
        for bar in islice(series[symbol], bars):
            engine.update(symbol, bar, vix(bar.time.day))
            last[symbol] = bar
        for account, position in asked:
            if symbol in last:
                try:
                    said.append(repr(engine.decide(request(symbol, last[symbol], account, position))))
                except InsufficientData as error:
                    said.append(repr(error))
        if bars == 0:
            engine.forget(symbol)
            last.pop(symbol, None)
    return said, repr(engine.save())


questions = st.lists(st.tuples(st.sampled_from(AccountType), st.sampled_from(Position)), max_size=4)
stories = st.lists(
    st.tuples(st.sampled_from(SYMBOLS[:2]), st.sampled_from([0, 1, 1, 5, 60, 90]), questions), max_size=10
)


@settings(max_examples=25, deadline=None)
@given(steps=stories, switches=st.sampled_from(EVERY))
def test_with_any_switches_the_answers_are_those_with_none(steps, switches):
    """Bars, questions and symbols forgotten in any order: the same decisions, errors and state, to the last bit."""
    assert answers(ProtocolEngine(optimizations=switches), steps) == answers(ProtocolEngine(optimizations=NONE), steps)


YEAR = [("IBM", 60, []), *[("IBM", 10, list(itertools.product(AccountType, Position)))] * 8]


@pytest.fixture(scope="module")
def plain_year():
    return answers(ProtocolEngine(optimizations=NONE), YEAR)


@pytest.mark.parametrize("switches", EVERY, ids=lambda each: "".join("01"[on] for on in each.plain().values()))
def test_all_accounts_and_positions_are_answered_alike(switches, plain_year):
    """Each combination of switches, over half a year of real prices."""
    assert answers(ProtocolEngine(optimizations=switches), YEAR) == plain_year
    assert len(plain_year[0]) == 8 * len(AccountType) * len(Position)


@KEEPING
def test_a_new_bar_invalidates_what_was_read(switches):
    """The decision after the bar goes by it."""
    engine, bars = fed(switches, 300), data.load("AAPL")
    before = engine.decide(request("AAPL", bars[299]))
    engine.update("AAPL", bars[300], vix(300))
    after = engine.decide(request("AAPL", bars[300]))
    assert (before.time, after.time) == (bars[299].time, bars[300].time)
    assert after == fed(NONE, 301).decide(request("AAPL", bars[300]))


@KEEPING
def test_a_bar_that_is_refused_invalidates_nothing_wrongly(switches):
    """What was true before it is true after it."""
    engine, bar = fed(switches), data.load("AAPL")[299]
    before = engine.decide(request("AAPL", bar))
    with pytest.raises(InputError):
        engine.update("AAPL", bar)
    assert engine.decide(request("AAPL", bar)) == before


@KEEPING
def test_forgetting_a_symbol_forgets_what_was_read(switches):
    """Another series under the same name starts from nothing."""
    engine, other = fed(switches), data.load("IBM")
    engine.decide(request("AAPL", data.load("AAPL")[299]))
    engine.forget("AAPL")
    assert engine.stats()["readings.items"] == 0
    for number, bar in enumerate(other[:100]):
        engine.update("AAPL", bar, vix(number))
    plain = ProtocolEngine(optimizations=NONE)
    for number, bar in enumerate(other[:100]):
        plain.update("AAPL", bar, vix(number))
    assert engine.decide(request("AAPL", other[99])) == plain.decide(request("AAPL", other[99]))


@KEEPING
def test_closing_forgets_what_was_read_and_the_engine_goes_on(switches):
    """As without: a closed engine has no symbols, and takes bars again."""
    with fed(switches) as engine:
        engine.decide(request("AAPL", data.load("AAPL")[299]))
    assert engine.stats()["readings.items"] == 0
    for number, bar in enumerate(data.load("AAPL")[:60]):
        engine.update("AAPL", bar, vix(number))
    assert engine.decide(request("AAPL", data.load("AAPL")[59])).time == data.load("AAPL")[59].time


@KEEPING
def test_a_restored_engine_has_read_nothing_yet_and_says_the_same(switches):
    """Neither is what was kept saved, nor do the switches stand in the state: it goes on under any."""
    engine, asked = fed(switches), request("AAPL", data.load("AAPL")[299])
    said = engine.decide(asked)
    assert engine.save() == fed(NONE).save()
    for other in (NONE, switches):
        again = ProtocolEngine.restore(engine.save(), optimizations=other)
        assert again.optimizations == other
        assert again.stats()["readings.items"] == 0
        assert again.decide(asked) == said


@KEEPING
def test_engines_of_two_configurations_do_not_share(switches):
    """Each keeps its own, though the symbol and the bars are the same."""
    config = EngineConfig.parse("", {"plan.risk_in_atr": "2.5"})
    asked = request("AAPL", data.load("AAPL")[299])
    one, other = fed(switches), fed(switches, config=config)
    found = one.decide(asked), other.decide(asked)
    assert found == (fed(NONE).decide(asked), fed(NONE, config=config).decide(asked))


def test_readings_are_worked_out_as_often_as_the_switches_say():
    """Anew each time with all off; once with them on."""
    asked = [request("AAPL", data.load("AAPL")[299], account) for account in AccountType]
    for switches, once in ((NONE, False), (SHARED, True), (BOUNDED, True)):
        engine = fed(switches)
        markets = [engine.decide(each).market for each in asked]
        assert (markets[0] is markets[1] is markets[2]) is once
    bounded = fed(BOUNDED)
    for each in asked:
        bounded.decide(each)
    stats = bounded.stats()
    assert (stats["readings.misses"], stats["readings.hits"], stats["readings.items"]) == (1, 2, 1)


def test_compiled_rules_are_kept_or_not():
    """The counts of the rules are the same."""
    asked = [request("AAPL", data.load("AAPL")[299], "REV", position) for position in Position]
    kept, anew = fed(EngineOptimizations()), fed(EngineOptimizations(keep_rules=False))
    for each in asked:
        assert kept.decide(each) == anew.decide(each)
    ours, theirs = kept.stats(), anew.stats()
    assert ours["rules.compiled"] > theirs["rules.compiled"] == 0
    assert ours["rules.validations"] == theirs["rules.validations"] > 0


@pytest.mark.parametrize("switches", [SHARED, BOUNDED], ids=["shared", "bounded"])
def test_a_memory_manager_sheds_what_can_be_worked_out_again(switches):
    """Asked at a critical level, the engine lets go of readings, of nothing else, and says the same."""
    engine = ProtocolEngine(optimizations=switches)
    asked = []
    for symbol in SYMBOLS:
        bars = data.load(symbol)[:120]
        for number, bar in enumerate(bars):
            engine.update(symbol, bar, vix(number))
        asked.append(request(symbol, bars[-1]))
    said, state = [engine.decide(each) for each in asked], engine.save()
    with MemoryManager(MemoryBudget(1), resident=lambda: 1) as memory:
        engine.register_with(memory)
        held = memory.breakdown().causes
        assert held["engine"] > held["engine.readings"] > 1_000 * len(SYMBOLS)
        assert memory.check().given == {"engine.readings": pytest.approx(held["engine.readings"], rel=0.3)}
        assert engine.stats()["readings.items"] == 0
        assert memory.breakdown().causes["engine.readings"] == 0
    assert engine.save() == state
    assert [engine.decide(each) for each in asked] == said


@pytest.mark.parametrize("switches", [SHARED, BOUNDED], ids=["shared", "bounded"])
def test_a_fraction_is_shed(switches):
    """Rounded up to whole symbols; nothing of nothing."""
    engine = ProtocolEngine(optimizations=switches)
    assert engine.shed(1.0) == 0
    for symbol in SYMBOLS[:4]:
        bars = data.load(symbol)[:60]
        for bar in bars:
            engine.update(symbol, bar)
        engine.decide(request(symbol, bars[-1]))
    assert engine.shed(0.0) == 0
    assert engine.shed(0.5) > 0
    assert engine.stats()["readings.items"] == 2
    with pytest.raises(InputError, match="fraction"):
        engine.shed(1.5)


def test_what_the_bounded_cache_counts_for_a_reading_is_about_what_it_holds():
    """One figure for all, because weighing each costs more than working it out."""
    engine = fed(BOUNDED)
    decision = engine.decide(request("AAPL", data.load("AAPL")[299]))
    held = bytes_of((decision.market, decision.adjustment.reading), besides=(engine.config,))
    assert engine.stats()["readings.bytes"] == pytest.approx(held, rel=0.15)


def test_bytes_are_counted_once_and_without_code():
    """A thing that is referred to twice, itself, or by a class."""
    text = "x" * 1_000
    assert 1_000 < bytes_of([text, text]) < 1_300
    assert bytes_of([text], besides=(text,)) < 100
    loop = [text]
    loop.append(loop)
    assert bytes_of(loop) < 1_300
    assert bytes_of(MemoryManager, Position.CASH, itertools) == 0


def test_the_collector_is_still_only_where_that_is_switched_on():
    """And as before when the scope is left; the engine decides in it as ever."""
    frozen = gc.get_freeze_count()
    asked = request("AAPL", data.load("AAPL")[299])
    with (engine := fed(NONE)).still():
        assert gc.get_freeze_count() == frozen
        said = engine.decide(asked)
    with (engine := fed(EngineOptimizations(still_collector=True))).still():
        assert gc.get_freeze_count() > frozen
        assert engine.decide(asked) == said
        with pytest.raises(StateError, match="frozen already"), engine.still():
            pass
    assert gc.get_freeze_count() == frozen


@pytest.mark.parametrize("switches", [NONE, ALL], ids=["none", "all"])
def test_deciding_leaves_nothing_for_the_collector(switches):
    """No cycle, so that nothing waits for a collection; which is why sparing it brings so little."""
    engine = fed(switches)
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for number, bar in enumerate(data.load("AAPL")[300:330]):
            engine.update("AAPL", bar, vix(number))
            for account, position in itertools.product(AccountType, Position):
                engine.decide(request("AAPL", bar, account, position))
        assert gc.collect() == 0
    finally:
        if enabled:
            gc.enable()


def test_the_switches_are_no_part_of_the_configuration():
    """Nor of its fingerprint, the records of a sink, or the state."""
    told = {each: [] for each in (NONE, ALL)}
    for switches, events in told.items():
        engine = ProtocolEngine(
            optimizations=switches, sink=lambda *event, events=events: events.append(repr(dump(list(event))))
        )
        for bar in data.load("AAPL")[:60]:
            engine.update("AAPL", bar)
        engine.decide(request("AAPL", data.load("AAPL")[59]))
        assert engine.config.fingerprint() == EngineConfig().fingerprint()
    assert told[NONE] == told[ALL]


def test_the_page_on_strategy_is_so(capsys):
    """Its Python runs and prints what stands below it, and its table has every switch with its default."""
    pytest.importorskip("numpy")
    text = Path(__file__).parents[2].joinpath("docs", "optimization", "strategy.md").read_text("utf-8")
    for code in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(compile(code, "page", "exec"), {})
    assert capsys.readouterr().out == "".join(re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    defaults = dict(re.findall(r"^\| `(\w+)` \| .* \| (on|off) \|", text, re.MULTILINE))
    assert defaults == {name: "on" if on else "off" for name, on in EngineOptimizations().plain().items()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [1, 0, None, "on"])
def test_a_switch_is_true_or_false(name, value):
    with pytest.raises(InputError, match=name):
        EngineOptimizations(**{name: value})


def test_none_and_all_are_what_they_say():
    assert set(NONE.plain().values()) == {False}
    assert set(ALL.plain().values()) == {True}
    assert tuple(ALL.plain()) == NAMES
    assert hash(ALL) != hash(NONE)


@pytest.mark.parametrize("wrong", [True, {"share_readings": True}, EngineOptimizations])
def test_what_are_no_switches_is_refused(wrong):
    with pytest.raises(InputError, match="EngineOptimizations"):
        ProtocolEngine(optimizations=wrong)
