"""What the verbs print: equal to what the library returns, readable in 80 columns."""

import json
from datetime import date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import (
    Book,
    MarketCondition,
    MarketConditionAnalyzer,
    MarketStream,
    ProtocolEngine,
    TradeContext,
    TradeDecision,
    TradingProtocolRulesEngine,
    WeekClassifier,
    WeekContext,
    WeekRequest,
    data,
    explain,
)
from engine_opt.audit import read_audit
from engine_opt.cli.options import week_of
from engine_opt.cli.show import table
from engine_opt.model import EngineDecision
from engine_opt.plain import dump, load

from .conftest import BOOK, COUNT, SYMBOLS, process, vix_at, write_prices


def series(symbol):
    return data.load(symbol)[:COUNT]


def week_ends(bars):
    """The places of the last bars of each ISO week."""
    weeks = [bar.time.isocalendar()[:2] for bar in bars]
    return [at for at in range(len(bars)) if at == len(bars) - 1 or weeks[at] != weeks[at + 1]]


def plain(value):
    return json.loads(json.dumps(dump(value)))


# The same as the library ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("position", "given"), [("short_put", {}), ("long_stock", {"cost_basis": 2.5})])
def test_a_week_is_classified_as_the_library_does(shared, call, position, given):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    done = call("classify", shared / "prices.csv", "--position", position, "--days", 4, *options, "--json")
    assert (done.status, done.err) == (0, "")
    found = json.loads(done.out)
    context = WeekContext(days_to_expiration=4.0, **given)
    expected, unclassified = [], {}
    for symbol in SYMBOLS:
        bars = series(symbol)
        start = None
        for at in week_ends(bars):
            if start is None or at + 1 < 35:
                unclassified[symbol] = unclassified.get(symbol, 0) + 1
            else:
                volatility = MarketConditionAnalyzer().analyze(bars[: at + 1]).metrics.volatility_20
                week = MarketCondition(symbol, bars[at].close, start, volatility, timestamp=bars[at].time)
                expected.append(plain(WeekClassifier().classify_week(week, position, context)))
            start = bars[at].close
    for seen, wanted in zip(found["weeks"], expected, strict=True):
        assert seen["classification"].pop("confidence") == pytest.approx(wanted.pop("confidence"), rel=1e-9)
        assert seen["classification"] == wanted
    assert found["unclassified"] == unclassified


def test_the_last_weeks_are_the_last_of_all(shared, call):
    arguments = ("classify", shared / "prices.csv", "--position", "short_put", "--symbol", "IBM", "--json")
    every, last = json.loads(call(*arguments).out), json.loads(call(*arguments, "--weeks", 3).out)
    assert last["weeks"] == every["weeks"][-3:]
    assert last["unclassified"] == every["unclassified"]


def test_what_is_known_of_the_position_is_heeded(shared, call):
    def weeks(*options):
        done = call("classify", shared / "prices.csv", "--json", *options)
        return [each["classification"] for each in json.loads(done.out)["weeks"]]

    assert not any(each["projected"] for each in weeks("--position", "cash"))
    assert all(each["projected"] for each in weeks("--position", "cash", "--favourable"))
    rolled = [each["week_type"] for each in weeks("--position", "short_put")]
    assert "P-RO" in rolled
    assigned = [each["week_type"] for each in weeks("--position", "short_put", "--no-roll")]
    assert assigned == ["P-AOL" if each == "P-RO" else each for each in rolled]
    strikes = weeks("--position", "short_put", "--strike", 40)
    assert {(each["reference"], each["reference_price"]) for each in strikes} == {("strike", 40.0)}


def test_a_week_goes_from_monday_to_sunday():
    days = [date(2019, 12, 1) + timedelta(days) for days in range(800)]
    seen = [week_of(day) for day in days]
    calendar = [day.isocalendar()[:2] for day in days]
    assert [a == b for a, b in pairwise(seen)] == [a == b for a, b in pairwise(calendar)]


def test_a_market_is_analysed_as_the_library_does(shared, call):
    found = json.loads(call("analyze", shared / "prices.csv", "--last", 5, "--json").out)
    expected = []
    for symbol in SYMBOLS:
        stream = MarketStream()
        seen = []
        for number, bar in enumerate(series(symbol)):
            stream.update(bar, vix_at(number))
            if stream.ready:
                seen.append({"symbol": symbol, "analysis": plain(stream.analysis())})
        expected += seen[-5:]
    assert found["sessions"] == expected
    assert found["unready"] == dict.fromkeys(SYMBOLS, 0)


def test_sessions_too_early_to_be_analysed_are_counted(tmp_path, call):
    write_prices(tmp_path / "short.csv", ("AAPL",), 37)
    found = json.loads(call("analyze", tmp_path / "short.csv", "--json").out)
    assert (len(found["sessions"]), found["unready"]) == (3, {"AAPL": 7})
    assert "7 sessions before these not analysed" in call("analyze", tmp_path / "short.csv").out


def test_trades_are_judged_as_the_library_does(shared, call):
    done = call("check", shared / "trades.csv", "--json")
    assert done.status == 1
    trades = json.loads(done.out)["trades"]
    today, expiry = date(2024, 3, 7), date(2024, 3, 15)
    decision = TradeDecision("sell_put", "TSLA", "GEN", 200, 45.0, 200.0, expiry, 0.2)
    context = TradeContext(today, 1e6, 4e5, 0.05, 0.01, 0, "bullish")
    report = TradingProtocolRulesEngine().validate(decision, context)
    assert trades[1] == {
        "line": 3,
        "decision": plain(decision),
        "context": plain(context),
        "report": plain(report),
    }
    assert [each["report"]["verdict"] for each in trades] == ["APPROVED", "REJECTED", "REJECTED", "APPROVED"]


def test_an_empty_cell_is_not_known(shared, call):
    trade = json.loads(call("check", shared / "trades.csv", "--json").out)["trades"][3]
    assert [name for name, value in trade["decision"].items() if value is not None] == ["action", "symbol", "account"]
    assert [name for name, value in trade["context"].items() if value is not None] == ["today", "portfolio_value"]


def by_hand(symbol, every="week"):
    """The decisions of a plain loop over the engine."""
    engine = ProtocolEngine()
    book = Book(3e5, 1e6, 0.0, 0.0)
    bars = series(symbol)
    ends = set(week_ends(bars)) if every == "week" else set(range(len(bars)))
    for at, bar in enumerate(bars):
        engine.update(symbol, bar, vix_at(at))
        if at in ends and at + 1 >= 51:
            yield engine.decide(WeekRequest(symbol, "REV", "cash", datetime.combine(bar.time, time(16)), book))


@pytest.mark.parametrize("every", ["week", "session"])
def test_a_run_decides_as_the_library_does(shared, call, every):
    done = call("run", shared / "prices.csv", *BOOK, "--every", every, "--json")
    found = json.loads(done.out)
    of_symbol = {symbol: [plain(each) for each in by_hand(symbol, every)] for symbol in SYMBOLS}
    for symbol in SYMBOLS:
        assert [each for each in found["decisions"] if each["week"]["symbol"] == symbol] == of_symbol[symbol]
    assert len(found["decisions"]) == sum(map(len, of_symbol.values()))
    early = 50 if every == "session" else sum(at < 50 for at in week_ends(series("IBM")))
    assert found["too_early"] == dict.fromkeys(SYMBOLS, early)


def test_a_configuration_is_obeyed(shared, call, tmp_path):
    (tmp_path / "engine.toml").write_text('[week]\npreset = "original"\n')
    arguments = ("classify", shared / "prices.csv", "--position", "cash", "--weeks", 2, "--symbol", "IBM", "--json")
    week = json.loads(call(*arguments, "--config", tmp_path / "engine.toml").out)["weeks"][0]["classification"]
    assert week["rules"] == "original"
    assert json.loads(call(*arguments, "--set", 'week.preset="original"').out)["weeks"][0]["classification"] == week
    standard = json.loads(call(*arguments).out)["weeks"][0]["classification"]
    assert standard["rules"] == "standard"


def test_the_explanation_is_that_of_the_library(shared, call):
    recorded = [each for each in read_audit(shared / "decisions.jsonl") if each.kind == "decision"]
    for each, arguments in ((recorded[-1], ()), (recorded[3], (recorded[3].payload["decision"]["decision_id"],))):
        decision, problems = load(EngineDecision, each.payload["decision"])
        assert problems == []
        done = call("explain", shared / "decisions.jsonl", *arguments, "--json")
        assert json.loads(done.out) == json.loads(json.dumps(explain(decision).plain()))
        shown = call("explain", shared / "decisions.jsonl", *arguments).out
        assert " ".join(shown.split()) == " ".join(" ".join(explain(decision).lines()).split())


def test_the_decisions_of_a_log_are_listed(shared, call):
    recorded = [each for each in read_audit(shared / "decisions.jsonl") if each.kind == "decision"]
    listed = json.loads(call("explain", shared / "decisions.jsonl", "--list", "--json").out)
    assert [each["record"] for each in listed] == [each.sequence for each in recorded]
    shown = call("explain", shared / "decisions.jsonl", "--list").out
    for each in listed:
        assert each["decision"] in shown


# Files in and out ----------------------------------------------------------------------------------------------------


def test_the_table_that_is_written_holds_every_decision(shared, call, tmp_path):
    done = call("run", shared / "prices.csv", *BOOK, "--out", tmp_path / "out.jsonl", "--json")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    decisions = json.loads(done.out)["decisions"]
    assert [row["decision_id"] for row in rows] == [each["decision_id"] for each in decisions]
    for row, each in zip(rows, decisions, strict=True):
        proposal = each["proposal"] or {}
        assert (row["proposed"], row["strike"], row["expiration"]) == tuple(
            proposal.get(name) for name in ("action", "strike", "expiration")
        )


def parts_of(shared, folder, cuts):
    """Write the prices as several files, a new one beginning at each of these days, and return their paths."""
    head, *lines = (shared / "prices.csv").read_text().splitlines(keepends=True)
    paths = []
    for start, end in pairwise(["", *map(str, cuts), "9999"]):
        paths.append(folder / f"from{start}.csv")
        paths[-1].write_text(head + "".join(line for line in lines if start <= line[:10] < end))
    return paths


def run_on(call, paths, state, *options):
    """Run one file after the other from a saved state, and return the answers."""
    arguments = (*BOOK, "--state", state, *options, "--json")
    answers = [call("run", path, *arguments) for path in paths]
    assert [(each.status, each.err) for each in answers] == [(0, "")] * len(paths)
    return [json.loads(each.out) for each in answers]


def decisions_of(answers, symbol):
    """The decisions about a symbol in several answers, in their order."""
    return [each for answer in answers for each in answer["decisions"] if each["week"]["symbol"] == symbol]


MONDAY = date(2000, 7, 10)
CUTS = {
    **{f"{MONDAY + timedelta(days):%A}": [MONDAY + timedelta(days)] for days in range(5)},
    "day by day": [MONDAY + timedelta(days) for days in (-3, 0, 1, 2, 3, 4, 7, 8)],
    "among the first fifty bars": [date(2000, 4, 19), date(2000, 4, 24)],  # the second after a Good Friday
}


@pytest.mark.parametrize("every", ["week", "session"])
@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
def test_a_run_in_parts_decides_as_one(shared, call, tmp_path, cuts, every):
    """Wherever a series is cut each week is decided once, at its last session; so is the log of all parts."""
    paths = parts_of(shared, tmp_path, cuts)
    log = tmp_path / "log.jsonl"
    answers = run_on(call, paths, tmp_path / "state.json", "--audit", log, "--every", every)
    (whole,) = run_on(call, [shared / "prices.csv"], tmp_path / "whole.json", "--every", every)
    assert [each["restored"] for each in answers] == [False] + [True] * len(cuts)
    for symbol in SYMBOLS:
        assert decisions_of(answers, symbol) == decisions_of([whole], symbol)
        assert sum(each["too_early"].get(symbol, 0) for each in answers) == whole["too_early"][symbol]
    assert answers[-1]["open"] == whole["open"]
    written = {path.name for path in tmp_path.iterdir()} - {path.name for path in paths}
    assert written == {"log.jsonl", "state.json", "whole.json"}
    again = json.loads(call("replay", log, "--json").out)
    assert (again["decisions"], again["different"]) == (len(whole["decisions"]), 0)


def test_a_week_is_decided_when_its_friday_has_closed_or_the_next_week_begins(shared, call, tmp_path):
    """Until then it is left open, and said to be; without a state the end of the file is the end of the week."""
    thursday, friday = MONDAY + timedelta(3), MONDAY + timedelta(4)
    paths = parts_of(shared, tmp_path, [friday, MONDAY + timedelta(7)])
    before, then, _ = run_on(call, paths, tmp_path / "state.json")
    assert before["open"] == dict.fromkeys(SYMBOLS, str(thursday))
    assert {each["time"] for each in before["decisions"]} & {str(thursday), str(friday)} == set()
    assert then["open"] == {}
    assert [each["time"] for each in then["decisions"]] == [str(friday)] * len(SYMBOLS)
    shown = call("run", paths[0], *BOOK, "--state", tmp_path / "other.json").out
    assert f"{len(SYMBOLS)} weeks not over: left to the run that sees what comes after them" in shown
    alone = json.loads(call("run", paths[0], *BOOK, "--json").out)
    assert alone["open"] == {}
    assert [each["time"] for each in alone["decisions"]].count(str(thursday)) == len(SYMBOLS)
    assert "not over" not in call("run", paths[0], *BOOK).out


def test_a_week_without_a_friday_is_decided_at_its_last_session_when_the_next_begins(shared, call, tmp_path):
    """As the weeks of Good Fridays are; a symbol that the next file does not have is left open."""
    thursday = MONDAY + timedelta(3)
    before, _, after = parts_of(shared, tmp_path, [MONDAY + timedelta(4), MONDAY + timedelta(7)])
    one, two = run_on(call, [before, after], tmp_path / "state.json", "--symbol", "IBM")
    assert one["open"] == {"IBM": str(thursday)}
    assert two["decisions"][0]["time"] == str(thursday)
    run_on(call, [before], tmp_path / "both.json")
    (then,) = run_on(call, [after], tmp_path / "both.json", "--symbol", "IBM")
    assert then["open"]["MSFT"] == str(thursday)
    assert decisions_of([then], "MSFT") == []


def timed(path, times):
    """Write bars of these times, each as the shipped ones are in turn."""
    lines = [
        f"{time.isoformat()},{bar.open!r},{bar.high!r},{bar.low!r},{bar.close!r}\n"
        for time, bar in zip(times, data.load("IBM"), strict=False)
    ]
    path.write_text("Time,Open,High,Low,Close\n" + "".join(lines))
    return path


def hours(first, days, *of_day):
    """Moments of these days and hours from a day on."""
    return [datetime.combine(first + timedelta(day), time(hour)) for day in range(days) for hour in of_day]


@pytest.mark.parametrize(("hour", "over"), [(15, False), (16, True), (20, True)])
def test_of_bars_with_a_time_of_day_a_friday_closes_at_four(tmp_path, call, hour, over):
    times = [*hours(MONDAY - timedelta(28), 32, 10, 15), *hours(MONDAY + timedelta(4), 1, 10, hour)]
    (answer,) = run_on(call, [timed(tmp_path / "hours.csv", times)], tmp_path / "state.json", "--symbol", "IBM")
    assert answer["open"] == ({} if over else {"IBM": times[-1].isoformat()})
    assert (answer["decisions"][-1]["time"] == times[-1].isoformat()) is over


def test_a_weekend_after_a_decided_friday_is_not_decided_again(tmp_path, call):
    """Of a market that never rests: the week was decided, and the next one is decided as ever."""
    times = [MONDAY - timedelta(70) + timedelta(day) for day in range(85)]
    saturday = MONDAY + timedelta(5)
    bars = timed(tmp_path / "all.csv", times).read_text().splitlines(keepends=True)
    cuts = [0, times.index(saturday), times.index(saturday) + 1, len(times)]
    paths = [tmp_path / f"{number}.csv" for number in range(3)]
    for path, (start, end) in zip(paths, pairwise(cuts), strict=True):
        path.write_text("".join([bars[0], *bars[1 + start : 1 + end]]))
    first, second, third = run_on(call, paths, tmp_path / "state.json", "--symbol", "IBM")
    assert first["decisions"][-1]["time"] == str(saturday - timedelta(1))
    assert (second["decisions"], second["open"]) == ([], {})
    assert [each["time"] for each in third["decisions"]] == [str(saturday + timedelta(8))]
    assert third["open"] == {"IBM": str(saturday + timedelta(9))}


def test_weeks_and_sessions_go_on_from_each_other(shared, call, tmp_path):
    """No bar is decided about twice, and a week is decided at its end although its sessions were."""
    wednesday, thursday, friday = (MONDAY + timedelta(days) for days in (2, 3, 4))
    paths = parts_of(shared, tmp_path, [thursday, friday, MONDAY + timedelta(7), MONDAY + timedelta(8)])
    seen = []
    for path, every in zip(paths, ["week", "session", "week", "session", "week"], strict=True):
        answers = run_on(call, [path], tmp_path / "state.json", "--every", every)
        seen.append([each["time"] for each in decisions_of(answers, "IBM")])
    assert str(wednesday) not in seen[0]
    assert seen[1] == [str(wednesday), str(thursday)]
    assert seen[2] == [str(friday)]
    assert seen[3] == [str(MONDAY + timedelta(7))]
    assert seen[4][0] == str(MONDAY + timedelta(11))


def test_a_state_saved_by_a_program_is_gone_on_from(shared, call, tmp_path):
    """It says nothing of weeks: what the engine has seen by then is taken as decided."""
    engine = ProtocolEngine()
    for number, bar in enumerate(series("IBM")):
        if bar.time < MONDAY:
            engine.update("IBM", bar, vix_at(number))
    (tmp_path / "state.json").write_text(json.dumps(engine.save()))
    (_, path) = parts_of(shared, tmp_path, [MONDAY])
    (answer,) = run_on(call, [path], tmp_path / "state.json", "--symbol", "IBM")
    assert answer["restored"]
    assert [each["time"] for each in answer["decisions"]][:2] == [str(MONDAY + timedelta(days)) for days in (4, 11)]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_bars_are_read_from_what_the_library_writes(tmp_path, call, suffix):
    from engine_opt.files import write_table

    names = ("time", "open", "high", "low", "close", "volume")
    rows = [dict(zip(names, [getattr(bar, name) for name in names], strict=True)) for bar in series("IBM")]
    write_table(tmp_path / f"ibm.{suffix}", rows)
    found = call(
        "classify", tmp_path / f"ibm.{suffix}", "--position", "cash", "--symbol", "IBM", "--weeks", 5, "--json"
    )
    assert len(json.loads(found.out)["weeks"]) == 5


def test_a_suspected_split_is_told_and_changes_nothing(tmp_path, call):
    lines = ["Date,Open,High,Low,Close"]
    for number, bar in enumerate(series("IBM")):
        share = 0.5 if number > 150 else 1.0
        lines.append(f"{bar.time},{bar.open * share},{bar.high * share},{bar.low * share},{bar.close * share}")
    (tmp_path / "split.csv").write_text("\n".join(lines))
    done = call("analyze", tmp_path / "split.csv", "--symbol", "IBM", "--json")
    assert done.status == 0
    assert done.err.startswith(f"warning: IBM, {series('IBM')[151].time}: it opened at ")
    assert len(json.loads(done.out)["suspicions"]) == 1


# What a person sees --------------------------------------------------------------------------------------------------

SHOWN = {
    "demo": (),
    "classify": ("prices.csv", "--position", "short_put", "--days", "5"),
    "analyze": ("prices.csv", "--last", "100"),
    "check": ("trades.csv", "--explain"),
    "run": ("prices.csv", *BOOK, "--every", "session", "--shares", "300"),
    "replay": ("decisions.jsonl",),
    "explain": ("decisions.jsonl",),
}


@pytest.fixture(scope="module")
def shown(shared):
    return {verb: process(verb, *arguments, cwd=shared) for verb, arguments in SHOWN.items()}


@pytest.mark.parametrize("verb", SHOWN)
def test_output_fits_into_80_columns_without_colours_or_cuts(shown, verb):
    done = shown[verb]
    assert done.status == (1 if verb == "check" else 0)
    assert done.err == ""
    assert max(map(len, done.out.splitlines())) <= 80
    assert done.out.isascii()
    assert "\x1b" not in done.out
    assert "..." not in done.out


def test_the_table_of_a_run_shows_each_decision(shared):
    text = (shared / "run.txt").read_text()
    for symbol in SYMBOLS:
        for each in by_hand(symbol):
            shown = [line for line in text.splitlines() if line.startswith(str(each.time))]
            assert any(each.week.week_type.value in line and each.status.value in line for line in shown)
            if each.proposal is not None:
                assert any(str(each.proposal.expiration) in line and "human" in line for line in shown)
    assert f"{sum(len([*by_hand(each)]) for each in SYMBOLS)} decisions; " in text


def test_weeks_left_out_are_counted_on_screen(shown):
    assert shown["classify"].out.count("7 at the beginning not classified") == 2


def test_rules_that_block_are_named(shown):
    lines = shown["check"].out.splitlines()
    assert "TSLA x 200 REJECTED blocks: position_size, trade_risk" in lines[3]
    assert "4 trades, 2 rejected" in lines
    assert any(line.startswith("! FAIL  trade_risk (critical): 0.2 against at most 0.05") for line in lines)


def test_the_demo_is_the_same_each_time_and_leaves_nothing(shown, tmp_path):
    again = process("demo", cwd=tmp_path)
    assert again == shown["demo"]
    assert list(tmp_path.iterdir()) == []
    assert sum(line.startswith(("2012-", "2013-")) for line in again.out.splitlines()) == 60
    assert "Why AAPL/COM/2013-03-01T16:00:00:" in again.out


@pytest.mark.parametrize("symbol", data.symbols())
def test_the_demo_knows_every_shipped_series(call, symbol):
    found = json.loads(call("demo", "--symbol", symbol, "--weeks", 3, "--json").out)
    assert [each["week"]["symbol"] for each in found["decisions"]] == [symbol] * 3
    assert found["explanation"]["name"].startswith(f"{symbol}/COM/2013-")


words = st.lists(st.text("abcdef", min_size=1, max_size=9), min_size=1, max_size=4).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(words, words, words), min_size=1, max_size=5), st.integers(10, 60))
def test_no_word_of_a_table_is_lost_and_it_is_no_wider_than_it_must_be(rows, wide):
    columns = ("one", "two", "three")
    lines = list(table(columns, rows, ("two",), wide))
    seen = sorted(" ".join(lines[2:]).split())
    assert seen == sorted(word for row in rows for cell in row for word in cell.split())
    least = sum(
        max(len(word) for cell in column for word in cell.split()) for column in zip(columns, *rows, strict=True)
    )
    assert max(map(len, lines)) <= max(wide, least + 2)


def test_what_would_move_the_cursor_is_written_out(tmp_path, call):
    write_prices(tmp_path / "odd.csv", ("IBM",), 60)
    text = (tmp_path / "odd.csv").read_text().replace(",IBM,", ",IB\x1b[2JM,")
    (tmp_path / "odd.csv").write_text(text)
    done = call("analyze", tmp_path / "odd.csv")
    assert done.status == 0
    assert done.out.startswith("IB\\x1b[2JM\n")
