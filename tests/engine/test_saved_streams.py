"""Streams that are saved and restored: they go on as if nothing had happened, or are refused by name."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import (
    ATRAdjustmentSystem,
    ATRConfig,
    Bar,
    EngineError,
    InputError,
    InsufficientData,
    MarketConfig,
    MarketStream,
    StateError,
    data,
)
from engine_opt.protocol.indicators import MACD, ExponentialATR, SimpleATR, WilderATR, WilderRSI
from engine_opt.protocol.ranking import RankedWindow

BARS = data.load("IBM")[:420]
MARKET = MarketConfig(vix_window=40, vix_history=10)
SMALL = ATRConfig(periods=(3, 5, 9), history=30, history_needed=10)


def through_json(state):
    """The state as another program would get it."""
    return json.loads(json.dumps(state, allow_nan=False))


def fear(i):
    """A VIX that is sometimes not known."""
    return None if i % 11 == 3 else 12.0 + (i * 7 % 23) / 3


def market_at(count, config=MARKET, bars=BARS):
    stream = MarketStream(config)
    for i, bar in enumerate(bars[:count]):
        stream.update(bar, fear(i))
    return stream


def system_at(count, config=SMALL, symbols=("IBM",)):
    system = ATRAdjustmentSystem(config)
    for bar in BARS[:count]:
        for symbol in symbols:
            system.update(symbol, bar)
    return system


def answer(ask):
    """What is answered, refusals included; the text shows every digit of a float."""
    try:
        return repr(ask())
    except InsufficientData as error:
        return str(error)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 90) | st.sampled_from([1, 25, 26, 27, 33, 34, 35]), more=st.integers(0, 60))
@pytest.mark.parametrize("config", [MARKET, MarketConfig(vix_history=10), MarketConfig.original()])
def test_a_restored_market_stream_goes_on_as_if_never_stopped(config, count, more):
    """Saved at any bar and restored from JSON, a stream gives every later answer to the last bit."""
    stream = market_at(count, config)
    again = MarketStream.restore(config, through_json(stream.save()))
    for i, bar in enumerate(BARS[count : count + more], count):
        stream.update(bar, 20.0 if config.scoring == "original" else fear(i))
        again.update(bar, 20.0 if config.scoring == "original" else fear(i))
        assert answer(again.analysis) == answer(stream.analysis)
    assert again.save() == stream.save()


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 70) | st.sampled_from([1, 4, 10, 20, 21, 33, 34, 35]), more=st.integers(0, 40))
@pytest.mark.parametrize("smoothing", ["wilder", "sma", "ema"])
def test_a_restored_system_goes_on_as_if_never_stopped(smoothing, count, more):
    """Saved at any bar and restored from JSON, every symbol gives every later reading to the last bit."""
    config = replace(SMALL, smoothing=smoothing)
    system = system_at(count, config, ("IBM", "Ünïcode/.x"))
    again = ATRAdjustmentSystem.restore(config, through_json(system.save()))
    assert again.symbols == system.symbols
    for bar in BARS[count : count + more]:
        for symbol in ("IBM", "NEW"):
            system.update(symbol, bar)
            again.update(symbol, bar)
            assert answer(lambda s=symbol: again.reading(s)) == answer(lambda s=symbol: system.reading(s))
    assert again.save() == system.save()


def test_a_year_later_nothing_differs():
    """With full windows and the default configurations, two hundred bars after the restoration too."""
    stream, system = market_at(200, MarketConfig()), system_at(200, ATRConfig())
    market = MarketStream.restore(None, through_json(stream.save()))
    atr = ATRAdjustmentSystem.restore(None, through_json(system.save()))
    for i, bar in enumerate(BARS[200:], 200):
        for each in (stream, market):
            each.update(bar, fear(i))
        for each in (system, atr):
            each.update("IBM", bar)
        assert market.analysis() == stream.analysis()
        assert atr.reading("IBM") == system.reading("IBM")


TIMES = [
    lambda i: date(2024, 2, 1) + timedelta(i),
    lambda i: datetime(2024, 2, 1, 16, 0, 0, 250) + timedelta(i),  # noqa: DTZ001 - naive on purpose
    lambda i: datetime(2024, 2, 1, tzinfo=UTC) + timedelta(i),
    lambda i: datetime(2024, 2, 1, 16, tzinfo=timezone(timedelta(hours=-5))) + timedelta(i),
]


@pytest.mark.parametrize("time", TIMES, ids=["date", "naive", "utc", "new york"])
def test_times_survive(time):
    """Dates stay dates, times stay naive or aware, with their offset; a bar that is not later is still refused."""
    bars = [replace(bar, time=time(i)) for i, bar in enumerate(BARS[:41])]
    stream, system = market_at(40, bars=bars), ATRAdjustmentSystem(SMALL)
    for bar in bars[:40]:
        system.update("X", bar)
    market = MarketStream.restore(MARKET, through_json(stream.save()))
    atr = ATRAdjustmentSystem.restore(SMALL, through_json(system.save()))
    for seen in (market.analysis().time, atr.reading("X").time):
        assert type(seen) is type(bars[39].time)
        assert (seen, seen.isoformat()) == (bars[39].time, bars[39].time.isoformat())
    for update in (market.update, lambda bar: atr.update("X", bar)):
        with pytest.raises(InputError, match="time"):
            update(bars[39])
        update(bars[40])


def test_a_saved_stream_is_as_large_as_its_windows():
    """Four hundred bars take no more room than three hundred, give or take the digits."""
    for save in (lambda n: market_at(n).save(), lambda n: system_at(n).save()):
        shorter, longer = (json.dumps(save(n)) for n in (300, 400))
        assert longer.count(",") == shorter.count(",")


def test_saving_leaves_no_door_open():
    """What is saved is a copy: changing it changes nothing, and the stream's next bar does not change it."""
    stream = market_at(50)
    state, before = stream.save(), repr(stream.analysis())
    kept = json.dumps(state)
    for values in (state["closes"], state["fears"], state["macd"]["seed"]):
        values.clear()
    assert repr(stream.analysis()) == before
    state = stream.save()
    stream.update(BARS[50], 20.0)
    assert json.dumps(state) == kept


def test_what_only_judges_may_differ():
    """Weights and factors are not remembered: another configuration with the same memory judges as if it had seen it all."""
    other = replace(MARKET, weights=(0.1, 0.8, 0.1), temperature=0.2)
    assert MarketStream.restore(other, market_at(60).save()).analysis() == market_at(60, other).analysis()
    stricter = replace(SMALL, history_needed=20, limits=(0.001, 0.002, 0.003, 0.004))
    restored = ATRAdjustmentSystem.restore(stricter, system_at(60).save())
    assert restored.reading("IBM") == system_at(60, stricter).reading("IBM")


@pytest.mark.parametrize(
    ("restore", "state", "field"),
    [
        (lambda s: MarketStream.restore(MarketConfig(), s), market_at(40).save(), "memory.vix_window"),
        (lambda s: ATRAdjustmentSystem.restore(ATRConfig(), s), system_at(40).save(), "memory.periods"),
        (
            lambda s: ATRAdjustmentSystem.restore(replace(SMALL, smoothing="ema"), s),
            system_at(40).save(),
            "memory.smoothing",
        ),
        (
            lambda s: ATRAdjustmentSystem.restore(replace(SMALL, history=29), s),
            system_at(40).save(),
            "memory.history",
        ),
        (
            lambda s: ATRAdjustmentSystem.restore(replace(SMALL, max_symbols=1), s),
            system_at(3, SMALL, ("A", "B")).save(),
            "max_symbols",
        ),
        (lambda s: MarketStream.restore(MARKET, s), system_at(40).save(), "lacks count"),
        (lambda s: ATRAdjustmentSystem.restore(SMALL, s), market_at(40).save(), "lacks symbols"),
    ],
)
def test_a_state_of_another_configuration_is_refused(restore, state, field):
    """Windows of another length, another smoothing, another component: the error names what does not fit."""
    with pytest.raises(StateError, match=field):
        restore(through_json(state))


@pytest.mark.parametrize("schema", [0, 2, "1", 1.0, True, None])
@pytest.mark.parametrize("kind", ["market_stream", "atr_adjustment"])
def test_a_foreign_schema_is_refused(schema, kind):
    """A state of a later program is refused by its number, whatever else it holds."""
    with pytest.raises(StateError, match=rf"{kind}\.schema={schema!r}"):
        restore(kind, {"schema": schema, "something": "new"})


def restore(kind, state):
    if kind == "market_stream":
        return MarketStream.restore(MARKET, state)
    return ATRAdjustmentSystem.restore(SMALL, state)


def places(state, path=()):
    """Every place in a state, the state itself first."""
    yield path
    children = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def at(state, path):
    for key in path:
        state = state[key]
    return state


STATES = {
    ("market_stream", 30): through_json(market_at(30).save()),  # the MACD still collects
    ("market_stream", 60): through_json(market_at(60).save()),
    ("atr_adjustment", 60): through_json(system_at(60).save()),
    ("atr_adjustment", 61): through_json(system_at(60, replace(SMALL, smoothing="sma")).save()),
}


def config_of(kind, count):
    if kind == "market_stream":
        return MarketStream.restore, MARKET
    return ATRAdjustmentSystem.restore, SMALL if count == 60 else replace(SMALL, smoothing="sma")


@pytest.mark.parametrize("which", STATES, ids=str)
def test_whatever_is_missing_is_noticed(which):
    """Each field and each item of each list, left out by itself, is missed, except a VIX from before the last, or a symbol."""
    make, config = config_of(*which)
    for path in places(STATES[which]):
        if not path or (path[0] in ("symbols", "fears") and len(path) == 2):
            continue
        state = json.loads(json.dumps(STATES[which]))
        del at(state, path[:-1])[path[-1]]
        with pytest.raises((StateError, InputError)) as caught:
            make(config, state)
        assert str(next(key for key in reversed(path) if isinstance(key, str))) in str(caught.value)


@pytest.mark.parametrize("bad", [nan, inf, -inf, -1e30, "1", True, [], {}, 10**400], ids=lambda x: str(x)[:5])
@pytest.mark.parametrize("which", STATES, ids=str)
def test_whatever_is_not_a_number_is_noticed(which, bad):
    """NaN, infinities, text, bools and impossible sizes in the place of any number are refused, and the place is named."""
    make, config = config_of(*which)
    for path in places(STATES[which]):
        value = at(STATES[which], path)
        signed = path[-2:-1] == ("seed",) or path[-1:] in (("line",), ("smooth",), ("quick",), ("gradual",))
        if not isinstance(value, int | float) or (bad == -1e30 and signed):
            continue
        if path == ("macd", "count") and bad == 10**400:  # a count, but not of these seeds: they are named
            continue
        state = json.loads(json.dumps(STATES[which]))
        at(state, path[:-1])[path[-1]] = bad
        with pytest.raises((StateError, InputError)) as caught:
            make(config, state)
        assert str(next(key for key in reversed(path) if isinstance(key, str))) in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(
    which=st.sampled_from(sorted(STATES)),
    place=st.integers(0, 10_000),
    junk=st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.floats()) | st.just({}),
)
def test_damage_is_an_engine_error_or_none(which, place, junk):
    """Whatever stands anywhere, the answer is a stream that can be asked, or an error of the engine's own."""
    make, config = config_of(*which)
    state = json.loads(json.dumps(STATES[which]))
    paths = list(places(state))
    path = paths[place % len(paths)]
    if path:
        at(state, path[:-1])[path[-1]] = junk
    else:
        state = junk
    try:
        restored = make(config, state)
        for _ in restored.save():
            answer(restored.analysis if which[0] == "market_stream" else lambda: restored.reading("IBM"))
    except EngineError:
        pass


@pytest.mark.parametrize(
    ("path", "value", "error", "text"),
    [
        (("count",), 59, StateError, "market_stream"),
        (("count",), 0, StateError, "time"),
        (("count",), 61, StateError, "rsi"),
        (("rsi", "count"), 40, StateError, "rsi"),
        (("rsi", "close"), 1.0, StateError, "rsi"),
        (("macd", "count"), 59, StateError, "macd"),
        (("macd", "count"), 12, StateError, "macd.seed"),
        (("time",), "yesterday", InputError, "time"),
        (("time",), None, InputError, "time"),
        (("time",), 20240101, InputError, "time"),
        (("fear",), 0.0, InputError, "fear"),
        (("fears",), [20.0] * 41, StateError, "fears"),
        (("fears",), None, InputError, "fears"),
        (("closes",), "none", InputError, "closes"),
        (("volumes", 3), -1.0, InputError, r"volumes\[3\]"),
        (("extra",), 1, StateError, "extra"),
    ],
)
def test_a_market_state_that_contradicts_itself_is_refused(path, value, error, text):
    """Counts, closes and parts must agree with each other; the error names the part that does not."""
    state = through_json(market_at(60).save())
    at(state, path[:-1])[path[-1]] = value
    with pytest.raises(error, match=text):
        MarketStream.restore(MARKET, state)


@pytest.mark.parametrize(
    ("path", "value", "error", "text"),
    [
        (("symbols",), [], InputError, "symbols"),
        (("symbols", ""), {}, InputError, "symbol"),
        (("symbols", "IBM"), 3, StateError, r"symbols\.IBM"),
        (("symbols", "IBM", "count"), 0, InputError, r"symbols\.IBM\.count"),
        (("symbols", "IBM", "count"), 61, StateError, r"averages\[0\]\.count"),
        (("symbols", "IBM", "averages", 1, "count"), 3, StateError, r"averages\[1\]\.count"),
        (("symbols", "IBM", "averages", 2, "value"), -1.0, InputError, r"averages\[2\]\.value"),
        (("symbols", "IBM", "averages", 0, "value"), 1e300, InputError, r"averages\[0\]\.value"),
        (("symbols", "IBM", "shares"), [0.01] * 29, StateError, "shares"),
        (("symbols", "IBM", "ranges", 4), None, InputError, r"ranges\[4\]"),
    ],
)
def test_an_atr_state_that_contradicts_itself_is_refused(path, value, error, text):
    """Every symbol's counts and windows must agree; the error names symbol and part."""
    state = through_json(system_at(60).save())
    at(state, path[:-1])[path[-1]] = value
    with pytest.raises(error, match=text):
        ATRAdjustmentSystem.restore(SMALL, state)


def test_an_empty_stream_can_be_saved():
    """Before the first bar there is nothing to remember, and that can be restored; nothing may be added to nothing."""
    state = through_json(MarketStream(MARKET).save())
    assert MarketStream.restore(MARKET, state).save() == MarketStream(MARKET).save()
    assert ATRAdjustmentSystem.restore(None, ATRAdjustmentSystem().save()).symbols == ()
    for field in ("time", "fear"):
        with pytest.raises((StateError, InputError), match=field):
            MarketStream.restore(MARKET, {**state, field: 20.0})


prices = st.lists(st.floats(0.5, 1e4), min_size=1, max_size=45)


@settings(max_examples=40, deadline=None)
@given(values=prices, cut=st.integers(0, 45))
@pytest.mark.parametrize("kind", [WilderATR, ExponentialATR, SimpleATR, WilderRSI])
def test_an_indicator_can_be_saved_by_itself(kind, values, cut):
    """Averages and the relative strength go on from their plain state to the same last bit."""
    stream = kind(5)
    for value in values[:cut]:
        stream.update(value)
    again = kind.from_state(through_json(stream.state()), 5)
    for value in values[cut:]:
        stream.update(value)
        again.update(value)
    assert again.state() == stream.state()
    assert answer(lambda: again.value) == answer(lambda: stream.value)


@settings(max_examples=40, deadline=None)
@given(values=prices, cut=st.integers(0, 45))
def test_macd_and_a_ranked_window_can_be_saved_by_themselves(values, cut):
    """So do the difference of averages, while it still collects too, and the order statistics of a window."""
    stream, window = MACD(3, 6, 4), RankedWindow(7)
    for value in values[:cut]:
        stream.update(value)
        window.push(value)
    macd = MACD.from_state(through_json(stream.state()), 3, 6, 4)
    ranked = RankedWindow.from_state(through_json(window.state()), 7)
    for value in values[cut:]:
        for each in (stream, macd):
            each.update(value)
        for each in (window, ranked):
            each.push(value)
    assert answer(lambda: macd.value) == answer(lambda: stream.value)
    ranks = [(w.state(), w.median(), w.median_deviation(), w.percentile(values[0])) for w in (window, ranked) if len(w)]
    assert ranks[:1] == ranks[1:]


def test_a_window_takes_no_more_than_it_holds():
    """A ranked window of two cannot be made of three values, nor of what is no number."""
    with pytest.raises(StateError, match="window"):
        RankedWindow.from_state([1.0, 2.0, 3.0], 2)
    with pytest.raises(InputError, match=r"window\[1\]"):
        RankedWindow.from_state([1.0, nan], 2)


def test_a_bar_with_an_unknown_volume_is_remembered():
    """A volume that was not known comes back as one that was not known."""
    bars = [replace(bar, volume=None) if i == 38 else bar for i, bar in enumerate(BARS[:45])]
    stream = market_at(45, bars=bars)
    assert stream.metrics().volume_ratio is None
    assert isinstance(bars[38], Bar)
    assert MarketStream.restore(MARKET, through_json(stream.save())).metrics() == stream.metrics()
