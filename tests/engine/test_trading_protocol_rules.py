"""The trading rules: each rule's table, the verdict, overrides, the user's own rules; closed to what is not known."""

from collections import Counter
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta

import pytest

from engine_opt.errors import InputError
from engine_opt.model import (
    AccountType,
    Action,
    Override,
    RuleOutcome,
    RulePriority,
    RuleResult,
    TradeContext,
    TradeDecision,
    Verdict,
    WeekColour,
    WeekType,
)
from engine_opt.plain import dump
from engine_opt.protocol.trading_protocol_rules import (
    CACHED,
    MONTHLY,
    STANDARD_RULES,
    ColourLimits,
    RulesConfig,
    SymbolLimits,
    TradingProtocolRulesEngine,
)

PASS, WARN, FAIL, SKIP, ERROR = (RuleOutcome[name] for name in ("PASS", "WARN", "FAIL", "SKIP", "ERROR"))
APPROVED, WARNING, REJECTED = Verdict.APPROVED, Verdict.WARNING, Verdict.REJECTED
MONDAY, THURSDAY = date(2024, 1, 8), date(2024, 1, 11)
ENTRIES = {Action.SELL_PUT, Action.SELL_CALL, Action.INCREASE_POSITION}
TRADES = ENTRIES | {Action.ROLL_POSITION, Action.ADJUST_DELTA}

STANDARD = TradingProtocolRulesEngine()
DECISIONS = {
    "GEN": TradeDecision("sell_put", "TSLA", "GEN", 3, 45.0, 240.0, THURSDAY + timedelta(8), 0.02, 1.8, 0.8),
    "REV": TradeDecision("sell_put", "MSFT", "REV", 2, 35.0, 380.0, MONDAY + timedelta(4), 0.02, 1.8, 0.8),
    "COM": TradeDecision("sell_call", "AAPL", "COM", 2, 25.0, 190.0, MONDAY + timedelta(4), 0.02, 1.8, 0.8),
}
CONTEXTS = {
    account: TradeContext(
        today, 500_000.0, 200_000.0, 0.05, 0.02, 300, "bullish", week, "green", vix=15.0, vix_mean=18.0
    )
    for account, today, week in (("GEN", THURSDAY, "P-EW"), ("REV", MONDAY, "P-EW"), ("COM", MONDAY, "C-PNO"))
}


def judged(good="GEN", /, *, engine=STANDARD, overrides=(), **changes):
    """The report on an account's good decision with some fields of it or of its context changed."""
    decision, context = DECISIONS[good], CONTEXTS[good]
    of_decision = {field.name for field in fields(TradeDecision)}
    decision = replace(decision, **{name: value for name, value in changes.items() if name in of_decision})
    context = replace(context, **{name: value for name, value in changes.items() if name not in of_decision})
    return engine.validate(decision, context, overrides)


def rule(name, *args, **changes):
    return next(each for each in judged(*args, **changes).results if each.rule == name)


@pytest.mark.parametrize("account", DECISIONS)
def test_a_decision_that_keeps_to_everything_is_approved(account):
    """Every rule passes or, where it does not apply, is skipped; a skip is no pass."""
    report = judged(account)
    assert (report.verdict, report.can_proceed, report.blocking, report.overrides) == (APPROVED, True, (), ())
    outcomes = {each.rule: each.outcome for each in report.results}
    skipped = {"GEN": {"covered"}, "REV": {"covered"}, "COM": {"position_size", "entry_weekday"}}[account]
    assert {name for name, outcome in outcomes.items() if outcome is SKIP} == skipped
    assert {name for name, outcome in outcomes.items() if outcome is PASS} == set(STANDARD_RULES) - skipped


# rule, account, what is changed, outcome, measured, low, high, verdict: just inside, just outside
TABLE = [
    ("delta_range", "GEN", {"delta": 40.0}, PASS, 40.0, 40.0, 50.0, APPROVED),
    ("delta_range", "GEN", {"delta": 39.0}, FAIL, 39.0, 40.0, 50.0, REJECTED),
    ("delta_range", "GEN", {"delta": 0.45}, FAIL, 0.45, 40.0, 50.0, REJECTED),  # the wrong unit
    ("delta_range", "REV", {"delta": 40.0}, PASS, 40.0, 30.0, 40.0, APPROVED),
    ("delta_range", "REV", {"delta": 41.0}, FAIL, 41.0, 30.0, 40.0, REJECTED),
    ("delta_range", "COM", {"delta": 20.0}, PASS, 20.0, 20.0, 30.0, APPROVED),
    ("delta_range", "COM", {"delta": 31.0}, FAIL, 31.0, 20.0, 30.0, REJECTED),
    ("position_size", "GEN", {"quantity": 7, "strike": 270.0}, PASS, 189_000.0, None, 190_000.0, APPROVED),
    ("position_size", "GEN", {"quantity": 8, "strike": 240.0}, FAIL, 192_000.0, None, 190_000.0, REJECTED),
    ("covered", "COM", {"quantity": 3}, PASS, 300, 300, None, APPROVED),
    ("covered", "COM", {"quantity": 4}, FAIL, 300, 400, None, REJECTED),
    ("days_to_expiration", "GEN", {"expiration": THURSDAY + timedelta(1)}, PASS, 1, 1, 10, APPROVED),
    ("days_to_expiration", "GEN", {"expiration": THURSDAY + timedelta(10)}, PASS, 10, 1, 10, APPROVED),
    ("days_to_expiration", "GEN", {"expiration": THURSDAY}, FAIL, 0, 1, 10, REJECTED),
    ("days_to_expiration", "GEN", {"expiration": THURSDAY + timedelta(11)}, FAIL, 11, 1, 10, REJECTED),
    ("symbol", "GEN", {"symbol": "NVDA"}, PASS, "NVDA", None, None, APPROVED),
    ("symbol", "GEN", {"symbol": "AAPL"}, WARN, "AAPL", None, None, WARNING),
    ("symbol", "REV", {"symbol": "TSLA"}, WARN, "TSLA", None, None, WARNING),
    ("market_condition", "GEN", {"market_condition": "neutral_bearish"}, PASS, "neutral_bearish", None, None, APPROVED),
    ("market_condition", "GEN", {"market_condition": "bearish"}, FAIL, "bearish", None, None, WARNING),
    ("market_condition", "COM", {"market_condition": "neutral_bearish"}, FAIL, "neutral_bearish", None, None, WARNING),
    ("trade_risk", "GEN", {"max_risk": 0.05}, PASS, 0.05, None, 0.05, APPROVED),
    ("trade_risk", "GEN", {"max_risk": 0.06}, FAIL, 0.06, None, 0.05, REJECTED),
    ("portfolio_risk", "GEN", {"portfolio_risk": 0.15}, PASS, 0.15, None, 0.15, APPROVED),
    ("portfolio_risk", "GEN", {"portfolio_risk": 0.16}, FAIL, 0.16, None, 0.15, REJECTED),
    ("drawdown", "GEN", {"drawdown": 0.14}, PASS, 0.14, None, 0.15, APPROVED),
    ("drawdown", "GEN", {"drawdown": 0.15}, FAIL, 0.15, None, 0.15, REJECTED),
    ("drawdown", "REV", {"drawdown": 0.10}, FAIL, 0.10, None, 0.10, REJECTED),
    ("drawdown", "COM", {"drawdown": 0.07}, FAIL, 0.07, None, 0.07, REJECTED),
    ("week_colour", "GEN", {"week_colour": "red", "delta": 45.0}, PASS, 72_000.0, None, 152_000.0, APPROVED),
    ("week_colour", "GEN", {"week_colour": "red", "delta": 46.0}, FAIL, 46.0, None, 45.0, WARNING),
    ("week_colour", "GEN", {"week_colour": "red", "quantity": 7}, FAIL, 168_000.0, None, 152_000.0, WARNING),
    ("week_colour", "GEN", {"week_colour": "chop", "delta": 40.0}, PASS, 72_000.0, None, 114_000.0, APPROVED),
    ("week_colour", "GEN", {"week_colour": "chop", "delta": 41.0}, FAIL, 41.0, None, 40.0, WARNING),
    ("week_colour", "COM", {"week_colour": "red", "quantity": 2}, PASS, 200, None, 240.0, APPROVED),
    ("week_colour", "COM", {"week_colour": "red", "quantity": 3}, FAIL, 300, None, 240.0, WARNING),
    ("vix", "GEN", {"vix": 27.0}, PASS, 1.5, None, 1.5, APPROVED),
    ("vix", "GEN", {"vix": 36.0}, FAIL, 2.0, None, 1.5, WARNING),
    ("vix", "GEN", {"vix": 36.0, "quantity": 1}, WARN, 2.0, None, 1.5, WARNING),
]


@pytest.mark.parametrize(("name", "account", "changes", "outcome", "measured", "low", "high", "verdict"), TABLE)
def test_each_rule_keeps_to_its_table(name, account, changes, outcome, measured, low, high, verdict):
    """Each limit belongs to the inside, but the drawdown's; what the rule measured and held it against is on record."""
    report = judged(account, **changes)
    found = next(each for each in report.results if each.rule == name)
    assert (found.outcome, found.measured) == (outcome, measured)
    assert (found.low, found.high) == (low, pytest.approx(high) if high is not None else None)
    assert report.verdict is verdict
    others = [each.rule for each in report.results if each.outcome not in (PASS, SKIP) and each.rule != name]
    assert others == []


@pytest.mark.parametrize(("account", "days"), [("GEN", {3}), ("REV", {0, 1, 2}), ("COM", set(range(7)))])
def test_entries_are_on_the_weekdays_of_the_account(account, days):
    """Thursday; Monday to Wednesday; any day. Another day warns."""
    for day in range(7):
        today = MONDAY + timedelta(day)
        report = judged(account, today=today, expiration=today + timedelta(4))
        assert report.verdict is (APPROVED if day in days else WARNING)


def test_margin_is_the_signed_distance_to_the_nearest_limit():
    """Positive inside, 0 on the limit, negative outside."""
    assert [rule("delta_range", delta=delta).margin for delta in (42.0, 49.0, 50.0, 53.0, 35.0)] == [2, 1, 0, -3, -5]
    assert [rule("covered", "COM", quantity=n).margin for n in (1, 3, 4)] == [200, 0, -100]
    assert rule("position_size").margin == pytest.approx(190_000 - 72_000)


REPLACING_RULES = {
    "delta_range", "position_size", "days_to_expiration", "market_condition", "trade_risk", "portfolio_risk",
}  # fmt: skip
ONLY = {  # rules that hold for a decision about a put, by action
    **{action: set(STANDARD_RULES) - {"covered"} for action in ENTRIES},
    **dict.fromkeys(TRADES - ENTRIES, REPLACING_RULES),
    Action.EXIT_PROTECTIVE: {"portfolio_risk"},
    Action.REBALANCE_PORTFOLIO: {"portfolio_risk"},
}


@pytest.mark.parametrize("action", sorted(set(Action) - {Action.SELL_CALL}))
def test_rules_that_do_not_apply_to_an_action_are_skipped_with_the_reason(action):
    """Closing, holding, waiting and protecting are held to nothing; what opens or replaces an option to everything."""
    results = judged(action=action).results
    assert {each.rule for each in results if each.outcome is not SKIP} == ONLY.get(action, set())
    assert all(each.reason for each in results if each.outcome is SKIP)


@pytest.mark.parametrize("action", [Action.ROLL_POSITION, Action.ADJUST_DELTA, Action.INCREASE_POSITION])
def test_the_week_tells_whether_a_put_or_a_call_is_replaced(action):
    """In a call's week shares must cover it, in a put's cash must secure it; an idle or unknown week is an error."""
    for week in WeekType:
        size = rule("position_size", action=action, week_type=week).outcome
        cover = rule("covered", action=action, week_type=week).outcome
        expected = {"P": (PASS, SKIP), "C": (SKIP, PASS), "W": (ERROR, ERROR)}[week.value[0]]
        assert (size, cover) == expected
    assert not judged(action=action, week_type=None).can_proceed
    assert judged(action=action, week_type="C-RO", quantity=4).verdict is REJECTED


@pytest.mark.parametrize("action", ["close_position", "decrease_position", "enter_protective", "hold_position"])
def test_closing_and_protecting_are_always_possible(action):
    """However deep the drawdown, however little is known."""
    nothing = TradeDecision(action, "TSLA", "GEN", expiration=date(2020, 1, 1))
    report = STANDARD.validate(nothing, TradeContext(THURSDAY, 1000.0, drawdown=1.0, portfolio_risk=1.0))
    assert report.verdict is APPROVED
    assert {each.outcome for each in report.results} == {SKIP}


@pytest.mark.parametrize("action", ["exit_protective", "rebalance_portfolio"])
def test_what_may_raise_the_risk_of_the_portfolio_needs_to_know_it(action):
    """Protection does not come off while the risk is above its limit, or not known."""
    assert judged(action=action).verdict is APPROVED
    assert judged(action=action, portfolio_risk=0.2).verdict is REJECTED
    assert judged(action=action, portfolio_risk=None).verdict is REJECTED


def test_every_rule_is_asked_even_after_a_failure():
    """There is no short circuit: all failures stand in the report."""
    report = judged(delta=10.0, quantity=50, max_risk=0.5, portfolio_risk=0.5, drawdown=0.5, vix=90.0)
    assert len(report.results) == len(STANDARD_RULES)
    assert {each.rule for each in report.results if each.outcome is FAIL} == {
        "delta_range", "position_size", "trade_risk", "portfolio_risk", "drawdown", "vix",
    }  # fmt: skip
    assert {each.rule for each in report.blocking} == {
        "delta_range", "position_size", "trade_risk", "portfolio_risk", "drawdown",
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------------- overrides

ANNA = Override("position_size", "Anna", "the account is being moved")


def test_a_high_rule_blocks_unless_a_person_answers_for_it():
    """The override is on record, in the report and with the result, and the verdict is a warning."""
    assert judged(quantity=9).verdict is REJECTED
    report = judged(quantity=9, overrides=[ANNA])
    assert (report.verdict, report.can_proceed, report.overrides, report.blocking) == (WARNING, True, (ANNA,), ())
    size = next(each for each in report.results if each.rule == "position_size")
    assert (size.outcome, size.override) == (FAIL, ANNA)
    assert "overridden by Anna: the account is being moved" in report.explain()


def test_an_error_of_a_rule_that_is_not_critical_can_be_overridden():
    """A person may know what the engine does not."""
    person = Override("market_condition", "Anna", "the feed is down")
    assert judged(market_condition=None).verdict is REJECTED
    assert judged(market_condition=None, overrides=[person]).verdict is WARNING


@pytest.mark.parametrize("changes", [{"delta": 60.0}, {"delta": None}])
def test_a_critical_rule_is_never_overridden(changes):
    """Neither its failure nor its error."""
    report = judged(**changes, overrides=[Override("delta_range", "Anna", "I know better")])
    assert (report.verdict, report.overrides) == (REJECTED, ())
    assert [each.override for each in report.blocking] == [None]


def test_one_override_does_not_carry_another_failure():
    """An override answers for one rule only."""
    report = judged(quantity=9, expiration=THURSDAY, overrides=[ANNA])
    assert (report.verdict, [each.rule for each in report.blocking]) == (REJECTED, ["days_to_expiration"])
    both = judged(quantity=9, expiration=THURSDAY, overrides=[ANNA, Override("days_to_expiration", "Bo", "it is noon")])
    assert both.verdict is WARNING


@pytest.mark.parametrize(
    ("overrides", "changes"),
    [
        ([ANNA], {}),  # nothing blocks
        ([Override("market_condition", "Anna", "x")], {"market_condition": "bearish"}),  # it only warns
        ([Override("covered", "Anna", "x")], {}),  # it does not apply
        ([Override("nonsense", "Anna", "x")], {"quantity": 9}),
        ([ANNA, ANNA], {"quantity": 9}),
        (["position_size"], {"quantity": 9}),
    ],
)
def test_an_override_that_is_not_needed_or_not_known_is_refused(overrides, changes):
    """An override says what it is for, or it is a mistake."""
    with pytest.raises(InputError, match="overrides"):
        judged(**changes, overrides=overrides)


@pytest.mark.parametrize("field", ["rule", "person", "reason"])
@pytest.mark.parametrize("value", ["", "  ", None, 1])
def test_an_override_names_rule_person_and_reason(field, value):
    """None of the three may be left out."""
    with pytest.raises(InputError, match=field):
        replace(ANNA, **{field: value})


# ---------------------------------------------------------------------------------------------------- user's rules


@dataclass(frozen=True)
class Earnings:
    """A rule of the user's own: no trade over an earnings day."""

    day: date
    name: str = "earnings"
    priority: RulePriority = RulePriority.HIGH

    def check(self, decision, context):
        inside = context.today <= self.day <= decision.expiration
        return RuleResult("any name", FAIL if inside else PASS, RulePriority.LOW, str(self.day))


@dataclass(frozen=True)
class Answers:
    """A rule that answers what it is told to, or raises it."""

    answer: object
    name: str = "mine"
    priority: RulePriority = RulePriority.LOW

    def check(self, decision, context):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_rule_of_the_users_own_is_asked_and_counts():
    """It is asked last, under its own name and priority, and can be overridden like any other."""
    config = RulesConfig.standard().with_rule(Earnings(THURSDAY + timedelta(2)))
    engine = TradingProtocolRulesEngine(config)
    last = judged(engine=engine).results[-1]
    assert (last.rule, last.outcome, last.priority) == ("earnings", FAIL, RulePriority.HIGH)
    assert judged(engine=engine).verdict is REJECTED
    assert judged(engine=engine, overrides=[Override("earnings", "Anna", "priced in")]).verdict is WARNING
    assert judged(engine=engine, expiration=THURSDAY + timedelta(1)).verdict is APPROVED
    assert judged(engine=TradingProtocolRulesEngine(config.without_rule("earnings"))).verdict is APPROVED
    critical = TradingProtocolRulesEngine(config.without_rule("earnings").with_rule(config.extra[0], "critical"))
    assert judged(engine=critical).results[-1].priority is RulePriority.CRITICAL


@pytest.mark.parametrize(
    "answer", [ZeroDivisionError("no price"), None, True, "PASS", (PASS,), RuleResult("m", "PASS", "low")]
)
def test_a_rule_that_raises_or_answers_nonsense_blocks_and_is_told(answer):
    """Even the lowest rule: an error is never swallowed."""
    engine = TradingProtocolRulesEngine(RulesConfig().with_rule(Answers(answer)))
    report = judged(engine=engine)
    assert (report.verdict, report.blocking[0].outcome) == (REJECTED, ERROR)
    told = "ZeroDivisionError: no price" if isinstance(answer, Exception) else repr(answer)
    assert told in report.blocking[0].message
    assert judged(engine=engine, action="close_position").verdict is REJECTED


def test_a_rule_cannot_pretend_to_be_overridden():
    """An override comes from a person, not from the rule."""
    pretends = RuleResult("mine", FAIL, RulePriority.LOW, override=Override("mine", "nobody", "none"))
    config = RulesConfig().with_rule(Answers(pretends), RulePriority.HIGH)
    report = judged(engine=TradingProtocolRulesEngine(config))
    assert (report.verdict, report.results[-1].override) == (REJECTED, None)


# ---------------------------------------------------------------------------------------------------- configuration


def test_rules_can_be_removed_added_and_weighed():
    """Building a new configuration is the only way to change the rules."""
    config = RulesConfig.standard()
    lax = TradingProtocolRulesEngine(config.without_rule("delta_range"))
    assert judged(engine=lax, delta=1.0).verdict is APPROVED
    soft = TradingProtocolRulesEngine(replace(config, priorities={"delta_range": "medium"}))
    assert judged(engine=soft, delta=1.0).verdict is WARNING
    assert rule("delta_range", engine=soft).priority is RulePriority.MEDIUM
    hard = TradingProtocolRulesEngine(replace(config, priorities={"market_condition": RulePriority.CRITICAL}))
    assert judged(engine=hard, market_condition="bearish").verdict is REJECTED
    target = TradingProtocolRulesEngine(config.with_rule("weekly_return"))
    assert [judged(engine=target, expected_return=x).verdict for x in (1.5, 1.4)] == [APPROVED, WARNING]
    assert judged(engine=target, expected_return=None).verdict is REJECTED
    assert config == RulesConfig()


def test_a_symbol_has_limits_of_its_own_where_it_says_so():
    """Only the fields that are given take the place of the account's, and the source says whose they are."""
    config = RulesConfig(symbols={"TSLA": SymbolLimits(delta_low=30.0, days_high=20, size_share=0.30)})
    engine = TradingProtocolRulesEngine(config)
    delta = rule("delta_range", engine=engine, delta=35.0)
    assert (delta.outcome, delta.low, delta.high, delta.source) == (PASS, 30.0, 50.0, "symbol TSLA")
    size = rule("position_size", engine=engine)
    assert (size.outcome, size.high, size.source) == (FAIL, pytest.approx(60_000.0), "symbol TSLA")
    assert rule("days_to_expiration", engine=engine, expiration=THURSDAY + timedelta(20)).outcome is PASS
    assert rule("delta_range", engine=engine, symbol="NVDA", delta=35.0).source == "account GEN"
    assert config.limits(AccountType.GEN, "TSLA").size_share == 0.30
    assert config.limits(AccountType.GEN, "NVDA") is config.accounts[AccountType.GEN]


def test_sources_tell_where_a_limit_comes_from():
    """The account, the symbol, or the rule set."""
    sources = {each.rule: each.source for each in judged().results}
    assert sources["delta_range"] == sources["drawdown"] == sources["position_size"] == "account GEN"
    assert sources["trade_risk"] == sources["vix"] == "rules 'standard'"


def test_the_monthly_profile_trades_20_to_60_days():
    """Another band of days, and everything else the same."""
    engine = TradingProtocolRulesEngine(RulesConfig.standard(MONTHLY))
    verdicts = [judged(engine=engine, expiration=THURSDAY + timedelta(n)).verdict for n in (19, 20, 60, 61)]
    assert verdicts == [REJECTED, APPROVED, APPROVED, REJECTED]


def test_chop_can_mean_no_entry():
    """The protocol leaves the choice; closing is not an entry."""
    colours = {**RulesConfig().colours, WeekColour.CHOP: ColourLimits(-10.0, 0.6, entries=False)}
    engine = TradingProtocolRulesEngine(RulesConfig(colours=colours, priorities={"week_colour": "high"}, optional=()))
    assert judged(engine=engine, week_colour="chop", delta=40.0).verdict is REJECTED
    assert judged(engine=engine, week_colour="chop", action="close_position").verdict is APPROVED


# ---------------------------------------------------------------------------------------------------- the engine


def test_the_engine_counts_runs_failures_and_warnings():
    """A skip is no run; an error is a failure."""
    engine = TradingProtocolRulesEngine()
    judged(engine=engine)
    judged(engine=engine, delta=60.0)
    judged(engine=engine, delta=None, symbol="AAPL")
    judged(engine=engine, action="close_position")
    stats = engine.stats()
    assert (stats["validations"], stats["compiled"]) == (4, 3)
    assert (stats["delta_range.runs"], stats["delta_range.failures"], stats["delta_range.warnings"]) == (3, 2, 0)
    assert (stats["symbol.runs"], stats["symbol.failures"], stats["symbol.warnings"]) == (3, 0, 1)
    assert stats["covered.runs"] == 0
    stats["validations"] = 0  # a copy
    assert engine.stats()["validations"] == 4


def test_the_engine_counts_its_verdicts():
    engine = TradingProtocolRulesEngine()
    asked = ({}, {"symbol": "AAPL"}, {"delta": 60.0}, {"delta": 60.0})
    given = [judged(engine=engine, **each).verdict for each in asked]
    assert given == [APPROVED, WARNING, REJECTED, REJECTED]
    assert {verdict: engine.stats()[f"verdicts.{verdict}"] for verdict in Verdict} == Counter(given)


def test_compiled_checks_are_kept_in_bounds_and_change_no_answer():
    """However many symbols come by; one that was dropped is compiled again and answers the same."""
    engine = TradingProtocolRulesEngine()
    first = judged(engine=engine)
    for number in range(CACHED + 10):
        judged(engine=engine, symbol=f"S{number}")
        assert engine.stats()["compiled"] <= CACHED
    assert engine.stats()["compiled"] == CACHED
    assert judged(engine=engine) == first


def test_the_report_explains_itself():
    """A line for the verdict and one for each rule, those that block marked; plain values for JSON."""
    report = judged(delta=60.0, quantity=9, market_condition=None)
    head, *lines = report.explain().splitlines()
    assert head == "REJECTED: GEN sell_put TSLA x 9, rules 'standard'"
    assert lines[0] == "! FAIL  delta_range (critical): 60 against 40 to 50, margin -10 (account GEN)"
    assert lines[1] == ("! FAIL  position_size (high): 216000 against at most 190000, margin -2.6e+04 (account GEN)")
    assert lines[2] == "  SKIP  covered (critical): it does not apply to sell_put (rules 'standard')"
    assert lines[6] == "! ERROR market_condition (medium): market_condition is not known (rules 'standard')"
    assert judged("COM").results[2].message == "300 against at least 200, margin +100 (rules 'standard')"
    assert dump(report)["results"][0]["outcome"] == "FAIL"
    assert RuleResult("mine", PASS, RulePriority.LOW).explain() == "PASS"
    assert judged(quantity=None).explain().startswith("REJECTED: GEN sell_put TSLA, rules")
