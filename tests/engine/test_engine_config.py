"""The configuration: TOML in, one immutable record out, every mistake told with its place."""

import json

import pytest

from engine_opt import ConfigError
from engine_opt.config import EngineConfig
from engine_opt.model import AccountType, Position, Reference
from engine_opt.protocol.atr_adjustment import ATRConfig
from engine_opt.protocol.market_scoring import MarketConfig
from engine_opt.protocol.rules_config import RulesConfig
from engine_opt.protocol.week_classifier import WeekRules

WHOLE = """
[week]
beyond = 12.0
[week.ladders."short_put/strike"]
bounds = [-20.0, -6.0, 0.0]
[week.priors.P-EW]
expected_return = [1.0, 2.0]

[market]
temperature = 0.5
cuts = [0.4, 1.0, 1.9]

[atr]
regime_by = "percentile"
base_days = 7

[accounts.GEN]
delta_low = 42
size = 0.7
days_high = 12
symbols = ["TSLA"]

[rules]
max_risk = 0.03
[rules.symbols.TSLA]
size_share = 0.5
[rules.priorities]
entry_weekday = "low"

[trust]
half_life_weeks = 13.0

[plan]
risk_in_atr = 2.0
"""


def test_what_is_not_given_has_its_default():
    assert EngineConfig.parse("") == EngineConfig()


def test_a_whole_configuration_is_read():
    config = EngineConfig.parse(WHOLE)
    assert config.week.beyond == 12.0
    assert config.week.ladders[Position.SHORT_PUT, Reference.STRIKE].bounds == (-20.0, -6.0, 0.0)
    assert (
        config.week.ladders[Position.SHORT_PUT, Reference.WEEK_START]
        == WeekRules.standard().ladders[Position.SHORT_PUT, Reference.WEEK_START]
    )
    assert (config.market.temperature, config.market.cuts) == (0.5, (0.4, 1.0, 1.9))
    assert (config.atr.regime_by, config.atr.base_days) == ("percentile", 7)
    assert config.rules.max_risk == 0.03
    assert config.rules.limits(AccountType.GEN, "TSLA").size_share == 0.5
    assert config.rules.limits(AccountType.GEN, "NVDA").size_share == 0.95
    assert config.trust.half_life_weeks == 13.0
    assert config.plan.risk_in_atr == 2.0


def test_an_account_is_told_to_both_who_keep_to_it():
    config = EngineConfig.parse(WHOLE)
    adjusted, allowed = config.atr.accounts[AccountType.GEN], config.rules.accounts[AccountType.GEN]
    assert (adjusted.delta_low, adjusted.delta_high, adjusted.size) == (42.0, 50.0, 0.7)
    assert (allowed.delta_low, allowed.days_high, allowed.symbols) == (42.0, 12, ("TSLA",))
    assert config.atr.accounts[AccountType.REV] == ATRConfig().accounts[AccountType.REV]


@pytest.mark.parametrize(
    ("section", "original"),
    [
        ("week", WeekRules.original()),
        ("market", MarketConfig.original()),
        ("rules", RulesConfig.original()),
    ],
)
def test_a_preset_starts_from_the_original(section, original):
    assert getattr(EngineConfig.parse(f'[{section}]\npreset = "original"'), section) == original


def test_a_preset_can_be_changed():
    config = EngineConfig.parse('[market]\npreset = "original"\ntrend_window = 12')
    assert (config.market.scoring, config.market.trend_window) == ("original", 12)


@pytest.mark.parametrize("text", ["", WHOLE, '[week]\npreset = "original"', '[rules]\npreset = "original"'])
def test_a_configuration_comes_back_from_its_plain_form(text):
    config = EngineConfig.parse(text)
    plain = json.loads(json.dumps(config.plain(), allow_nan=False))
    assert EngineConfig.from_plain(plain) == config
    assert EngineConfig.from_plain(plain).fingerprint() == config.fingerprint()


def test_the_fingerprint_is_that_of_the_contents():
    assert EngineConfig.parse("[plan]\nrisk_in_atr = 1.5").fingerprint() == EngineConfig().fingerprint()
    assert EngineConfig.parse("[plan]\nrisk_in_atr = 1.6").fingerprint() != EngineConfig().fingerprint()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[weak]", "weak: this is not known: choose from week, market, atr, rules, trust, plan, accounts"),
        ("week = 3", "week: a table is expected, not 3"),
        ("accounts = 3", "accounts: a table is expected, not 3"),
        ("[accounts]\nGEN = 3", "accounts.GEN: a table is expected, not 3"),
        ("[market]\ntemprature = 1", "market.temprature: this is not known: choose from scoring, weights"),
        ("[market]\ntemperature = true", "market.temperature: a number is expected, not True"),
        ("[market]\ntemperature = 0", "market: temperature=0.0 was refused: it must be greater than 0"),
        ("[market]\ncuts = [1, 2]", "market.cuts: a list of 3 is expected, not one of 2"),
        ('[market]\npreset = "fast"', "market.preset: 'standard' or 'original' is expected, not 'fast'"),
        ('[plan]\npreset = "original"', "plan.preset: 'standard' is expected, not 'original'"),
        ("[atr]\nperiods = [21, 14]", "atr: periods=(21, 14) must rise"),
        ("[accounts.ABC]\nsize = 1", "accounts.ABC: this account is not known: choose from GEN, REV, COM"),
        ("[accounts.GEN]\ncolour = 1", "accounts.GEN.colour: this is not known"),
        ("[accounts.GEN]\ndelta_low = 60", "delta_high=50.0 was refused: it must lie between 60 and 100"),
        ("[rules]\nrules = ['delta']", "rules: rules ['delta'] are not known: choose from delta_range"),
        (
            "[rules.symbols.TSLA]\nsize_share = 2",
            "rules: symbols.TSLA.size_share=2.0 was refused: it must lie between 0 and 1",
        ),
        ("[week.ladders.'short_put/moon']\nbounds = []", "week.ladders.short_put/moon: this key is not known"),
        ("[week", "is not TOML: "),
    ],
)
def test_a_mistake_is_told_with_its_place(text, said):
    with pytest.raises(ConfigError) as error:
        EngineConfig.parse(text, name="engine.toml")
    assert str(error.value).startswith("engine.toml")
    assert said in str(error.value)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ConfigError) as error:
        EngineConfig.parse(
            "[market]\ncap = 'x'\n[atr]\nbase_days = 1.5\n[accounts.GEN]\nsize = -1\n[nonsense]", name="f"
        )
    lines = str(error.value).splitlines()
    assert lines[0] == "f has 4 mistakes:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "nonsense",
        "market.cap",
        "atr.base_days",
        "accounts.GEN",
    ]


def test_deltas_that_the_rules_would_reject_are_refused():
    with pytest.raises(
        ConfigError, match=r"account GEN: the adjustment keeps delta between 10 and 70.*\[accounts.GEN\]"
    ):
        EngineConfig.parse('[atr]\npreset = "original"')


def test_overrides_are_toml_too():
    overrides = {"market.temperature": "0.6", "accounts.GEN.size": "0.5", 'week.priors."P-EW".name': '"x"'}
    config = EngineConfig.parse(WHOLE, overrides)
    assert config.market.temperature == 0.6
    assert config.market.cuts == (0.4, 1.0, 1.9)
    assert config.atr.accounts[AccountType.GEN].size == 0.5
    assert config.atr.accounts[AccountType.GEN].delta_low == 42.0


def test_an_override_that_is_not_toml_is_told():
    with pytest.raises(ConfigError, match=r"the override market\.temperature=warm is not TOML"):
        EngineConfig.parse("", {"market.temperature": "warm"})


def test_a_file_is_read(tmp_path):
    path = tmp_path / "engine.toml"
    path.write_text(WHOLE, "utf-8")
    assert EngineConfig.load(path) == EngineConfig.parse(WHOLE)


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_bytes(b"\xff\xfe")])
def test_a_file_that_cannot_be_read_is_told(tmp_path, make):
    path = tmp_path / "engine.toml"
    make(path)
    with pytest.raises(ConfigError, match=r"engine.toml cannot be read"):
        EngineConfig.load(path)
