"""The whole engine over columns: what the streaming engine answers, request by request."""

import pickle
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from math import isclose, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import (
    ATRAdjustmentSystem,
    Bar,
    EngineConfig,
    HITLTrustSystem,
    InputError,
    InsufficientData,
    ProtocolEngine,
    RulesConfig,
    TrustOutcome,
)
from engine_opt.batch import UNKNOWN, Bars, Requests, codes, decide, decide_many, members
from engine_opt.model import (
    AccountType,
    Action,
    AutonomyMode,
    DecisionKind,
    DecisionStatus,
    Position,
    RuleOutcome,
    RulePriority,
    RuleResult,
    TrustLevel,
    Verdict,
    WeekColour,
)
from engine_opt.protocol.week_classifier import WeekRules
from engine_opt.reference.engine import decide as plain_decide

BOOK = (1e6, 3e6, 0.05, 0.01)
COLOURS = (None, *WeekColour)
IN_THE_PLAIN_ONE_ALONE = frozenset({"source", "reason", "why_not"})
STANDARD = EngineConfig()
ORIGINAL = EngineConfig.parse(
    '[week]\npreset = "original"\n[market]\npreset = "original"\n[atr]\npreset = "original"\n'
    '[rules]\npreset = "original"\n[trust]\npreset = "original"\n'
    + "".join(f"[accounts.{each}]\ndelta_low = 20.0\ndelta_high = 50.0\n" for each in ("GEN", "REV", "COM"))
)
OTHER = EngineConfig.parse(
    """
    [week]
    beyond = 7.0
    [market]
    temperature = 0.5
    [atr]
    regime_by = "percentile"
    [plan]
    risk_in_atr = 3.0
    [rules]
    size_cap = 40000.0
    max_risk = 0.0003
    vix_quantity = 0
    vix_limit = 1.1
    high_blocks = false
    rules = ["weekly_return", "delta_range", "position_size", "covered", "days_to_expiration", "entry_weekday", "vix"]
    optional = []
    [rules.colours.red]
    entries = false
    [rules.symbols.X]
    days_low = 2
    days_high = 4
    [trust]
    learning_after = 10
    level_bounds = [0.2, 0.4, 0.6, 0.8]
    """
)
AUTUMN = datetime(1999, 9, 1)  # noqa: DTZ001 - moments of days are naive, and this is before all of them
CONFIGS = {"standard": STANDARD, "original": ORIGINAL, "other": OTHER}


def differences(ours, theirs, where="", unit=1.0, skipped=frozenset()):
    """Yield where two answers are not the same; what is near 0 is compared in its natural unit."""
    names = getattr(theirs, "_fields", None) or getattr(theirs, "__dataclass_fields__", None)
    if names and type(ours) is type(theirs):
        for name in [each for each in names if each not in skipped]:
            currency = theirs.close if name.startswith("macd") else unit
            yield from differences(getattr(ours, name), getattr(theirs, name), f"{where}.{name}", currency, skipped)
    elif type(ours) is tuple and type(theirs) is tuple and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(*pair, f"{where}[{number}]", unit, skipped)
    elif type(ours) is float and type(theirs) is float:
        if not isclose(ours, theirs, rel_tol=1e-12, abs_tol=1e-12 * unit):
            yield f"{where}: {ours!r} is not {theirs!r}"
    elif (isinstance(ours, Enum) and ours is not theirs) or ours != theirs:
        yield f"{where}: {ours!r} is not {theirs!r}"


def streamed(bars, vix, requests, config, outcomes=(), symbol="X"):
    """Yield the engine's answer to each request, None where it has too little history."""
    engine = ProtocolEngine(config)
    for outcome in outcomes:
        engine.record(outcome)
    now, utc = requests.moments(bars)
    done = 0
    for index, bar in enumerate(requests.bar.tolist()):
        for i in range(done, bar + 1):
            fear = vix[i].item()
            engine.update(symbol, bars.row(i), None if np.isnan(fear) else fear)
        done = bar + 1
        moment = now[index].item()
        try:
            yield engine.decide(requests.row(index, symbol, moment.replace(tzinfo=UTC) if utc else moment))
        except InsufficientData as lack:
            yield lack


def check(columns, answers):
    """Compare the columns, and the records made of them, with the engine's answers."""
    seen = set()
    for index, expected in enumerate(answers):
        assert (index < columns.first) is isinstance(expected, InsufficientData)
        if index < columns.first:
            with pytest.raises(InsufficientData) as lack:
                columns.row(index)
            assert str(lack.value) == str(expected)
            continue
        assert list(differences(columns.row(index), expected)) == []
        report, assessment = expected.report, expected.assessment
        outcome = [None] * len(columns.rules) if report is None else [each.outcome for each in report.results]
        assert members(RuleOutcome, columns.outcome[index]) == outcome
        assert members(Verdict, columns.verdict[[index]]) == [report and report.verdict]
        assert members(TrustLevel, columns.level[[index]]) == [assessment and assessment.level]
        assert members(AutonomyMode, columns.mode[[index]]) == [assessment and assessment.mode]
        bounds = columns.lower_bounds[index]
        assert tuple(bounds[~np.isnan(bounds)].tolist()) == (assessment.lower_bounds if assessment else ())
        seen.add((expected.status, expected.proposal and expected.proposal.action, expected.why_not))
    return seen


def random_requests(rng, bars, n, **change):
    """Return requests of every kind about random bars of a series."""
    bar = np.sort(rng.integers(30, len(bars), n))
    price = bars.close[bar]

    def some(values):
        return np.where(rng.random(n) < 0.3, nan, values)

    columns = {
        "account": rng.integers(0, 3, n),
        "position": rng.integers(0, 4, n),
        "account_value": 10.0 ** rng.uniform(3.0, 6.0, n),
        "portfolio_value": 10.0 ** rng.uniform(6.0, 7.0, n),
        "portfolio_risk": rng.choice([0.0, 0.1, 0.15, 0.2], n),
        "drawdown": rng.choice([0.0, 0.05, 0.07, 0.1, 0.2], n),
        "shares_held": rng.choice([0, 99, 100, 190, 5000], n),
        "week_colour": codes(WeekColour, [COLOURS[i] for i in rng.integers(0, 4, n)]),
        "vix_mean": some(rng.choice([10.0, 20.0], n)),
        "strike": some(price * rng.choice([0.8, 0.95, 1.0, 1.03, 1.1, 1.3], n)),
        "cost_basis": some(price * rng.choice([0.8, 0.95, 1.0, 1.03, 1.1, 1.3], n)),
        "days_to_expiration": some(rng.choice([0.0, 1.0, 3.0], n)),
        "can_roll": rng.random(n) < 0.8,
        "favourable": rng.integers(-1, 2, n),
        "week_start_price": some(price * rng.choice([0.9, 0.97, 1.0, 1.02], n)),
        "confidence": some(rng.choice([0.05, 0.65, 0.75, 0.86, 0.93, 0.99], n)),
        "minute": rng.integers(0, 1440, n),
    }
    return Requests.of(bar, **(columns | change))


def learnt(rng, until):
    """Return a record of decisions of every kind, good and bad."""
    found = []
    for kind in DecisionKind:
        share = rng.uniform(0.7, 1.0)
        for number in range(int(rng.integers(0, 90))):
            at = until - timedelta(days=100) + timedelta(days=number)
            found.append(TrustOutcome(kind, bool(rng.random() < share), rng.uniform(0.7, 1.0), at, 0.01))
    return found


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), preset=st.sampled_from([*CONFIGS]), history=st.booleans())
def test_any_requests_are_decided_as_one_by_one(walk, seed, preset, history):
    """Every position, account, colour and VIX mean, with trust and without, by each rule set."""
    rng, config = np.random.default_rng(seed), CONFIGS[preset]
    bars = Bars.of(walk(seed, 150, deviation=float(rng.choice([0.005, 0.02, 0.05]))))
    vix = np.where((rng.random(len(bars)) < 0.2) & (preset != "original"), nan, rng.uniform(12.0, 45.0, len(bars)))
    requests = random_requests(rng, bars, 40)
    outcomes = learnt(rng, bars.time[0].astype("datetime64[us]").item()) if history else []
    trust = HITLTrustSystem(config.trust)
    for outcome in sorted(outcomes, key=lambda each: each.at):
        trust.record(outcome)
    before = trust.save()
    columns = decide(bars, vix, requests, config, trust, "X")
    check(columns, streamed(bars, vix, requests, config, outcomes))
    assert trust.save() == before


def test_every_end_is_reached(walk):
    """The comparison is not about idle weeks alone: what can become of a decision becomes of some of them."""
    rng, seen = np.random.default_rng(5), set()
    for seed, config in enumerate(CONFIGS.values()):
        bars = Bars.of(walk(seed + 40, 260, deviation=0.03))
        vix = rng.uniform(12.0, 45.0, len(bars))
        requests = random_requests(rng, bars, 400)
        outcomes = [
            TrustOutcome(kind, success=True, confidence=0.99, at=AUTUMN + timedelta(hours=i), impact=0.0)
            for kind in DecisionKind
            for i in range(400)
        ]
        trust = HITLTrustSystem(config.trust)
        for outcome in outcomes:
            trust.record(outcome)
        seen |= check(decide(bars, vix, requests, config, trust, "X"), streamed(bars, vix, requests, config, outcomes))
    statuses, actions, reasons = (set(column) for column in zip(*seen, strict=True))
    expected = {DecisionStatus.IDLE, DecisionStatus.REJECTED, DecisionStatus.PENDING, DecisionStatus.APPROVED}
    assert statuses == expected
    assert actions == {None, Action.SELL_PUT, Action.SELL_CALL, Action.ROLL_POSITION, Action.ENTER_PROTECTIVE}
    assert len(reasons) == 6  # all that can stand in the way, and nothing


@pytest.mark.parametrize("symbol", ["AAPL", "FB", "GOOG", "IBM", "MSFT"])
def test_the_weeks_of_the_shipped_stocks(symbol, series):
    """Each week of up to thirteen years; positions and accounts in turn."""
    bars = Bars.of(series[symbol])
    weeks = len(Requests.weekly(bars, "GEN", "cash", *BOOK))
    turn = np.arange(weeks)
    requests = Requests.weekly(bars, turn % 3, turn // 3 % 4, *BOOK, shares_held=500, days_to_expiration=4.0)
    vix = 20.0 + 8.0 * np.sin(np.arange(len(bars)) / 50.0)
    columns = decide(bars, vix, requests, symbol=symbol)
    seen = check(columns, streamed(bars, vix, requests, STANDARD, symbol=symbol))
    assert len({action for _, action, _ in seen}) >= (2 if symbol == "FB" else 4)


def test_the_plain_engine_agrees(walk):
    """A sample against the definitions themselves: everything worked out anew from all bars."""
    rng = np.random.default_rng(11)
    for preset, config in CONFIGS.items():
        given = walk(len(preset), 160)
        bars, vix = Bars.of(given), rng.uniform(12.0, 45.0, 160)
        requests = random_requests(rng, bars, 40)
        columns = decide(bars, vix, requests, config, symbol="X")
        now, _ = requests.moments(bars)
        for index in range(columns.first, len(columns), 4):
            stop = int(requests.bar[index]) + 1
            expected = plain_decide(
                requests.row(index, "X", now[index].item()), given[:stop], vix[:stop].tolist(), (), config
            )
            assert list(differences(columns.row(index), expected, skipped=IN_THE_PLAIN_ONE_ALONE)) == []


def test_many_configurations_share_and_do_not_mix(walk):
    """One call for many configurations gives what a call for each gives, in their order, equal ones included."""
    rng = np.random.default_rng(2)
    bars = Bars.of(walk(8, 150))
    vix = rng.uniform(12.0, 45.0, 150)
    requests = random_requests(rng, bars, 60)
    parsed = [EngineConfig.parse("", {"plan.risk_in_atr": str(0.5 + i)}) for i in range(3)]
    parsed += [
        EngineConfig.parse("", {"atr.periods": "[10, 21, 40]"}),
        EngineConfig.parse("", {"rules.max_risk": "0.0004"}),
        EngineConfig.parse("", {"trust.quantile": "0.2"}),
        replace(STANDARD, week=WeekRules.original()),
        EngineConfig.parse("", {f"rules.actions.neutral{each}": "[]" for each in ("", "_bullish", "_bearish")}),
    ]
    configs = [STANDARD, OTHER, ORIGINAL, *parsed, STANDARD]
    together = decide_many(bars, vix, requests, configs, symbol="X")
    assert [each.config for each in together] == configs
    for columns, config in zip(together, configs, strict=True):
        alone = decide(bars, vix, requests, config, symbol="X")
        assert columns.first == alone.first
        assert same_columns(columns, alone)
    assert together[0].week is together[-1].week
    assert together[0].week is together[3].week
    assert decide_many(bars, vix, requests, []) == ()


def same_columns(ours, theirs):
    """Whether all columns are the same to the last bit."""
    return all(
        np.array_equal(getattr(ours, name).view(np.uint8), getattr(theirs, name).view(np.uint8))
        for name in ("status", "action", "proposed", "quantity", "why_not", "verdict", "level", "mode", "expiration")
    ) and all(
        np.array_equal(getattr(ours, name), getattr(theirs, name), equal_nan=True)
        for name in ("confidence", "delta", "strike", "max_risk", "adverse_in_atr", "outcome", "lower_bounds")
    )


def flat_bars(n, spread):
    """Return a market in round numbers, where averages and limits are as good as equal all the time."""
    return Bars.of(
        [Bar(date(2020, 1, 1) + timedelta(i), 100.0, 100.0 + spread, 100.0 - spread, 100.0) for i in range(n)]
    )


@pytest.mark.parametrize("spread", [0.05, 0.5, 1.0, 1.3])
def test_contracts_that_fit_to_the_last_bit(spread):
    """Where the risk of one contract divides what may be risked, the streams' own numbers decide."""
    bars, vix = flat_bars(120, spread), np.full(120, nan)
    for stop in (0.6, 0.8, 1.0, 1.3, 1.5):
        loss = 100 * 1.5 * stop * 2.0 * spread
        value = np.array([1, 2, 3, 7, 10, 30]) * loss / 0.05
        columns = {"strike": 100.0 + spread * np.array([0.5, 1.0, 2.0, 3.0, 4.0, 6.0]), "cost_basis": 100.0 + spread}
        for position in ("cash", "short_put", "long_stock"):
            requests = Requests.of(
                np.arange(114, 120),
                "COM",
                position,
                value,
                value,
                0.0,
                0.0,
                shares_held=10**6,
                favourable=True,
                **columns,
            )
            check(decide(bars, vix, requests, symbol="X"), streamed(bars, vix, requests, STANDARD))


def test_what_stands_on_an_edge_to_the_last_bit(walk):
    """Limits set to the very numbers of the streams: contracts and adverse moves come out as theirs, ulp or no ulp."""
    given = walk(21, 140)
    bars, vix, rows = Bars.of(given), np.full(140, nan), np.arange(60, 140)
    system, ranges = ATRAdjustmentSystem(), []
    for number, bar in enumerate(given):
        system.update("X", bar)
        if number >= 60:
            reading = system.adjust(system.reading("X"), "COM")
            ranges.append((reading.reading.atr[0], reading.stop_loss))
    atr, stop = (np.array(column) for column in zip(*ranges, strict=True))
    loss = 100 * 1.5 * stop * atr
    value = (rows % 40 + 1) * loss / 0.05
    for account_value in (value, np.nextafter(value, 0.0)):
        requests = Requests.of(rows, "COM", "long_stock", 1.0, account_value, 0.0, 0.0, shares_held=10**7)
        check(decide(bars, vix, requests, symbol="X"), streamed(bars, vix, requests, STANDARD))
    for share in (0.5, 1.0, 1.5):
        edge = bars.close[rows] + share * atr
        for strike in (edge, np.nextafter(edge, 0.0), np.nextafter(edge, np.inf)):
            requests = Requests.of(rows, "REV", "short_put", *BOOK, strike=strike)
            check(decide(bars, vix, requests, symbol="X"), streamed(bars, vix, requests, STANDARD))


def test_a_limit_of_risk_is_broken_beyond_it_and_not_on_it(walk):
    """Who has earned some trust is asked before a roll where drawdown or risk are above their limits."""
    bars, vix = Bars.of(walk(30, 120)), np.full(120, 20.0)
    outcomes = [
        TrustOutcome(kind, True, 0.99, AUTUMN + timedelta(day), 0.0) for day in range(70) for kind in DecisionKind
    ]
    trust, modes = HITLTrustSystem(OTHER.trust), set()
    for outcome in outcomes:
        trust.record(outcome)
    columns = {"drawdown": [0.0, 0.1, 0.1001, 0.0, 0.0], "portfolio_risk": [0.0, 0.0, 0.0, 0.15, 0.1501]}
    for bar in range(80, 120, 8):
        strike = float(bars.close[bar]) * 1.08
        requests = Requests.of(
            [bar] * 5, "REV", "short_put", 3e5, 3e6, **columns, strike=strike, confidence=0.99, shares_held=500
        )
        found = decide(bars, vix, requests, OTHER, trust, "X")
        check(found, streamed(bars, vix, requests, OTHER, outcomes))
        modes.add(tuple(members(AutonomyMode, found.mode)))
    automatic, human = AutonomyMode.AUTOMATIC, AutonomyMode.HUMAN
    assert (automatic, automatic, human, automatic, human) in modes


def test_moments_are_those_of_the_bars():
    """Days get the minute, times without one decide at their own; aware ones stay aware."""
    days = flat_bars(80, 1.0)
    times = [datetime(2020, 1, 1, 15, 30, tzinfo=UTC) + timedelta(i) for i in range(80)]
    aware = Bars.from_arrays(times, days.open, days.high, days.low, days.close)
    at_four = Requests.of([70, 79], "GEN", "cash", *BOOK)
    assert decide(days, None, at_four).row(1).decision_id == "unnamed/GEN/2020-03-20T16:00:00"
    assert decide(aware, None, at_four).row(0).decision_id == "unnamed/GEN/2020-03-11T16:00:00+00:00"
    own = Requests.of([70, 79], "GEN", "cash", *BOOK, minute=[nan, 960])
    assert [each.decision_id[-14:-9] for each in decide(aware, None, own).rows()] == ["15:30", "16:00"]
    utc = Requests.of([70], "GEN", "cash", *BOOK, utc=True)
    assert decide(days, None, utc).row(0).decision_id.endswith("T16:00:00+00:00")
    with pytest.raises(InputError, match=r"minute\[1\]"):
        decide(aware, None, Requests.of([70, 71], "GEN", "cash", *BOOK, minute=[960, 900]))


def test_outcomes_of_the_future_and_of_another_clock_are_refused(walk):
    """Trust is not asked about the past, and naive and aware times do not mix."""
    bars = Bars.of(walk(1, 120))
    requests = Requests.of([100, 110], "GEN", "cash", *BOOK, favourable=True)
    for at, why in (
        (datetime.combine(bars.when(105), time(9)), "already known"),
        (datetime(1999, 1, 1, tzinfo=UTC), "aware"),
    ):
        trust = HITLTrustSystem()
        trust.record(TrustOutcome(DecisionKind.TRADE_ENTRY, success=True, confidence=0.9, at=at, impact=0.0))
        with pytest.raises(InputError, match=why) as caught:
            decide(bars, None, requests, trust=trust)
        assert caught.value.field == "now[0]"


def test_too_little_history(walk):
    """The first rows are marked and counted; a series that is too short has no answer at all, and no error."""
    bars = Bars.of(walk(3, 60))
    requests = Requests.daily(bars, "REV", "short_put", *BOOK)
    columns = decide(bars, None, requests, symbol="X")
    assert (columns.first, len(columns)) == (50, 60)
    assert set(columns.status[:50].tolist()) == set(columns.week.week_type[:30].tolist()) == {UNKNOWN}
    assert np.isnan(columns.confidence[:50]).all()
    assert not np.isnan(columns.confidence[50:]).any()
    check(columns, streamed(bars, np.full(60, nan), requests, STANDARD))
    short = decide(bars.part(0, 20), None, Requests.daily(bars.part(0, 20), "REV", "short_put", *BOOK))
    assert (short.first, list(short.rows())) == (20, [])
    empty = decide(bars, None, Requests.of([], "REV", "cash", *BOOK))
    assert (len(empty), empty.first) == (0, 0)


def test_a_week_without_a_start(walk):
    """Bars of minutes: within the first week there is nothing to count from but what the caller gives."""
    given = walk(4, 80)
    start = datetime(2020, 1, 6, 10)  # noqa: DTZ001 - times may be naive
    bars = Bars.of([replace(bar, time=start + timedelta(minutes=i)) for i, bar in enumerate(given)])
    unknown = Requests.of([60, 70], "GEN", "long_stock", *BOOK)
    columns = decide(bars, None, unknown)
    assert columns.first == 2
    with pytest.raises(InsufficientData, match="closes before this week"):
        columns.row(1)
    told = Requests.of([60, 70], "GEN", "long_stock", *BOOK, week_start_price=50.0)
    check(decide(bars, None, told, symbol="X"), streamed(bars, np.full(80, nan), told, STANDARD))
    with pytest.raises(InputError, match=r"week_start_price\[1\]"):
        decide(bars, None, Requests.of([60, 70], "GEN", "cash", *BOOK, week_start_price=[50.0, nan]))


class Even:
    """A rule of the user's own: an even number of contracts."""

    name = "even"
    priority = RulePriority.HIGH

    def check(self, decision, _context):
        outcome = RuleOutcome.PASS if (decision.quantity or 0) % 2 == 0 else RuleOutcome.FAIL
        return RuleResult("even", outcome, self.priority)


def test_rules_of_the_users_own_are_asked(walk):
    """They judge records, one by one, and weigh in the verdict."""
    config = replace(STANDARD, rules=RulesConfig().with_rule(Even()))
    bars, rng = Bars.of(walk(6, 150)), np.random.default_rng(9)
    requests = random_requests(rng, bars, 60)
    vix = np.full(150, 20.0)
    columns = decide(bars, vix, requests, config, symbol="X")
    check(columns, streamed(bars, vix, requests, config))
    assert {*members(RuleOutcome, columns.outcome[:, -1])} == {None, RuleOutcome.PASS, RuleOutcome.FAIL}


def test_columns_survive_pickling(walk):
    """What another process answers is the same, records included."""
    bars = Bars.of(walk(7, 90))
    requests = Requests.daily(bars, "REV", "short_call", *BOOK, shares_held=300)
    columns = decide(bars, None, requests, OTHER, symbol="X")
    again = pickle.loads(pickle.dumps(columns))
    assert same_columns(again, columns)
    assert again.row(-1) == columns.row(-1)
    assert list(again.rows())[-1] == columns.row(-1)


def test_a_market_that_stands_still_is_refused_as_by_the_engine():
    """Where nothing moves there is no range to count a fall in; the error names the row."""
    bars = flat_bars(80, 0.0)
    with pytest.raises(InputError, match="atr") as caught:
        decide(bars, None, Requests.of([70, 71], ["GEN", "GEN"], ["cash", "long_stock"], *BOOK, favourable=False))
    assert caught.value.field == "atr[1]"
    with pytest.raises(InputError, match=r"atr\[0\]"):
        decide(bars, None, Requests.of([70], "GEN", "cash", *BOOK, favourable=True))


def test_a_vix_beyond_belief_is_refused_where_it_is_judged(walk):
    """The rules take VIX in index points; the row is named."""
    bars = Bars.of(walk(2, 90))
    requests = Requests.of([70, 80], "GEN", "cash", *BOOK, favourable=[0, 1])
    assert decide(bars, np.full(90, 0.2), Requests.of([70], "GEN", "cash", *BOOK, favourable=False)).first == 0
    with pytest.raises(InputError) as caught:
        decide(bars, np.full(90, 0.2), requests)
    assert caught.value.field == "vix[1]"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bar": [1, 0, 2]}, "bar[1]"),
        ({"bar": [-1, 0, 2]}, "bar[0]"),
        ({"bar": [0.0, 1.0, 2.0]}, "bar[0]"),
        ({"bar": 3}, "bar"),
        ({"account": "XYZ"}, "account"),
        ({"position": ["cash", "naked", "cash"]}, "position[1]"),
        ({"account_value": [1.0, 0.0, 1.0]}, "account_value[1]"),
        ({"account_value": [1.0, 2e9, 1.0]}, "account_value[1]"),
        ({"portfolio_value": [1e6, 1e6, nan]}, "portfolio_value[2]"),
        ({"portfolio_value": 2e18}, "portfolio_value[0]"),
        ({"portfolio_risk": [0.0, 1.5, 0.0]}, "portfolio_risk[1]"),
        ({"drawdown": -0.1}, "drawdown[0]"),
        ({"shares_held": [0, -1, 0]}, "shares_held[1]"),
        ({"shares_held": [0, True, 0]}, "shares_held[1]"),
        ({"shares_held": 1.5}, "shares_held"),
        ({"week_colour": ["red", "blue", None]}, "week_colour[1]"),
        ({"vix_mean": [20.0, 0.2, 20.0]}, "vix_mean[1]"),
        ({"strike": [nan, 0.0, 1.0]}, "strike[1]"),
        ({"cost_basis": [nan, -1.0, 1.0]}, "cost_basis[1]"),
        ({"days_to_expiration": [1.0, 4000.0, nan]}, "days_to_expiration[1]"),
        ({"can_roll": 1}, "can_roll"),
        ({"favourable": [0, 1, 2]}, "favourable[2]"),
        ({"week_start_price": [1.0, -1.0, 1.0]}, "week_start_price[1]"),
        ({"confidence": [0.5, 1.5, nan]}, "confidence[1]"),
        ({"minute": [0, 1440, 5]}, "minute[1]"),
        ({"minute": 0.5}, "minute[0]"),
        ({"strike": [1.0, 2.0]}, "strike"),
        ({"utc": 1}, "utc"),
    ],
)
def test_a_bad_request_is_named_with_its_row(change, field):
    """What the scalar records refuse is refused, and the error names the column and the row."""
    usual = {
        "bar": [0, 1, 2],
        "account": "GEN",
        "position": "cash",
        "account_value": 1e5,
        "portfolio_value": 1e6,
        "portfolio_risk": 0.0,
        "drawdown": 0.0,
    }
    with pytest.raises(InputError) as caught:
        Requests.of(**(usual | change))
    assert caught.value.field == field


def test_requests_have_to_fit_the_bars(walk):
    """A bar that is not there, a clock that the bars do not have, and what is no Requests."""
    bars = Bars.of(walk(1, 60))
    with pytest.raises(InputError, match=r"bar\[1\]"):
        decide(bars, None, Requests.of([59, 60], "GEN", "cash", *BOOK))
    with pytest.raises(InputError, match="requests"):
        decide(bars, None, [0, 1])
    times = [AUTUMN + timedelta(i) for i in range(60)]
    naive = Bars.from_arrays(times, bars.open, bars.high, bars.low, bars.close)
    with pytest.raises(InputError, match="utc"):
        decide(naive, None, Requests.of([50], "GEN", "cash", *BOOK, utc=True))


def test_the_last_session_of_each_week(series):
    """One request for each ISO week that has a session, at its last."""
    given = series["IBM"][:200]
    bars = Bars.of(given)
    chosen = Requests.weekly(bars, AccountType.GEN, Position.CASH, *BOOK).bar.tolist()
    weeks = [bar.time.isocalendar()[:2] for bar in given]
    assert chosen == [i for i in range(200) if i == 199 or weeks[i] != weeks[i + 1]]


def test_week_rules_with_labels_of_their_own(walk):
    """Actions come from the priors, not from the names of the types."""
    priors = dict(WeekRules.standard().priors)
    for kind, prior in priors.items():
        priors[kind] = replace(prior, actions=("take_assignment",) if kind.value == "W-IDL" else ("sell_call",))
    config = replace(STANDARD, week=WeekRules.standard(priors=priors))
    rng, bars = np.random.default_rng(1), Bars.of(walk(12, 120))
    requests = random_requests(rng, bars, 50)
    vix = np.full(120, 20.0)
    check(decide(bars, vix, requests, config, symbol="X"), streamed(bars, vix, requests, config))
