"""Rules: what TOML says becomes one, and every mistake is refused by file, rule and key."""

import re
from math import inf, nan
from pathlib import Path

import pytest

from engine_opt import ConfigError, InputError
from engine_opt.monitoring.alerting_system import load_alerts
from engine_opt.monitoring.alerts.rules import WORDS, AlertRule, Condition, Severity, fingerprint
from engine_opt.monitoring.notify.notifiers import KINDS


def load(tmp_path, text):
    path = tmp_path / "alerts.toml"
    path.write_text(text, "utf-8")
    return load_alerts(path)


def test_a_rule_with_everything(tmp_path):
    text = """
    [[alert]]
    name = "slow decisions"
    metric = "decision_seconds"
    labels = { account = "GEN", outcome = ["ok", "error"] }
    quantile = 0.99
    window = "5min"
    above = 0.005
    resolve_below = 0.004
    for = "30 s"
    repeat = "1.5 h"
    forget = "never"
    severity = "critical"
    group_by = ["account"]
    summary = "$metric$labels costs $$$value"
    notify = ["log"]
    [[notifier]]
    name = "log"
    kind = "log"
    """
    ((rule,), (notifier,)) = load(tmp_path, text)
    assert rule == AlertRule(
        name="slow decisions",
        metric="decision_seconds",
        labels={"account": ("GEN",), "outcome": ("ok", "error")},
        quantile=0.99,
        window=300.0,
        above=0.005,
        resolve_below=0.004,
        hold=30.0,
        repeat=5_400.0,
        forget=inf,
        severity=Severity.CRITICAL,
        group_by=("account",),
        summary="$metric$labels costs $$$value",
        notify=("log",),
    )
    assert rule.condition is Condition.QUANTILE
    assert rule.described() == "p99 over 5 min above 0.005"
    assert rule.summarised((("account", "GEN"),), 0.0061, "firing") == 'decision_seconds{account="GEN"} costs $0.0061'
    assert notifier.name == "log"


@pytest.mark.parametrize(
    ("given", "condition", "described", "window", "forgotten"),
    [
        ({"above": 1}, Condition.VALUE, "above 1", 60.0, 3_600.0),
        ({"below": -2.5}, Condition.VALUE, "below -2.5", 60.0, 3_600.0),
        ({"quantile": 0.999, "above": 1}, Condition.QUANTILE, "p99.9 over 5 min above 1", 300.0, 3_600.0),
        ({"missing": 90.0}, Condition.MISSING, "no data for 90 s", 60.0, inf),
        ({"below": 1, "within": 7_200.0}, Condition.FORECAST, "will be below 1 within 2 h", 3_600.0, 3_600.0),
    ],
)
def test_what_a_rule_looks_at_follows_from_what_is_given(given, condition, described, window, forgotten):
    rule = AlertRule(name="r", metric="m", **given)
    found = rule.condition, rule.described(), rule.window, rule.forgotten_after
    assert found == (condition, described, window, forgotten)


GOOD = 'name = "r"\nmetric = "m"\n'


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (GOOD, "above=None was refused"),
        (GOOD + "above = nan", "above=nan was refused: it is not finite"),
        (GOOD + "above = true", "above=True was refused: a bool"),
        (GOOD + 'above = "5"', "above='5' was refused"),
        (GOOD + "above = 1\nbelow = 2", "below=2.0 was refused"),
        (GOOD + "abov = 1", "abov=1 was refused: this key is not known: did you mean 'above'?"),
        (GOOD + "above = 1\nhold = 3", "hold=3 was refused: this key is not known"),
        (GOOD + "above = 1\nfor = 30", "for=30 was refused: it is not a duration"),
        (GOOD + 'above = 1\nfor = "30"', "for='30' was refused: it is not a duration"),
        (GOOD + 'above = 1\nfor = "-3 s"', "for='-3 s' was refused"),
        (GOOD + 'above = 1\nrepeat = "0 s"', "repeat='0 s' was refused"),
        (GOOD + 'above = 1\nwindow = "0 s"', "window='0 s' was refused"),
        (GOOD + "above = 1\nquantile = 99", "quantile=99 was refused"),
        (GOOD + 'missing = "60 s"\nabove = 1', "above=1.0 was refused"),
        (GOOD + "above = 1\nresolve_below = 2", "resolve_below=2.0 was refused: it lies on the bad side"),
        (GOOD + "above = 1\nresolve_above = 0", "resolve_above=0.0 was refused: it belongs to a rule with below"),
        (GOOD + 'above = 1\nwithin = "1 h"\nresolve_below = 0', "resolve_below=0.0 was refused"),
        (GOOD + 'above = 1\nseverity = "bad"', "severity='bad' was refused: it is not one of 'info', 'warning'"),
        (GOOD + 'above = 1\nsummary = "$valeu"', "$valeu is not known: did you mean 'value'?"),
        (GOOD + 'above = 1\nsummary = "5 $ more"', "summary='5 $ more' was refused"),
        (GOOD + "above = 1\nlabels = { a = 1 }", "labels.a=1 was refused"),
        (GOOD + "above = 1\nlabels = { a = [] }", "labels.a=[] was refused"),
        (GOOD + 'above = 1\ngroup_by = "a"', "group_by='a' was refused"),
        (GOOD + 'above = 1\nnotify = ["log"]', "notify='log' was refused: rule 'r' names it"),
        ('name = "r"\nabove = 1', "metric=None was refused: it is missing"),
        ('metric = "m"\nabove = 1', "alert number 1: name=None was refused"),
        ('name = "r\\nX"\nmetric = "m"\nabove = 1', "name='r\\nX' was refused"),
        ("= 1", "is not TOML"),
    ],
)
def test_a_mistake_is_named_by_file_rule_and_key(tmp_path, table, said):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"[[alert]]\n{table}\n")
    assert str(tmp_path / "alerts.toml") in str(caught.value)
    assert said in str(caught.value)
    assert "'r'" in str(caught.value) or table.startswith(("metric", 'name = "r\\', "= 1"))


def test_the_mistakes_of_all_tables_are_listed(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path,
            f"[[alert]]\n{GOOD}\n[[alert]]\nname = 'two'\nmetric = 'm'\nabove = inf\n[[alert]]\n{GOOD}above = 1",
        )
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'alerts.toml'} has 2 mistakes:",
        "  alert 'r': above=None was refused: a rule needs a limit: say above, below, or for how long data are missing",
        "  alert 'two': above=inf was refused: it is not finite; give a finite number",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[[alerts]]\nname = 'r'",
            "'alerts' is not known, the file has [[alert]] and [[notifier]]: did you mean 'alert'?",
        ),
        ("[alert]\nname = 'r'", "'alert' must be a list of tables"),
        (f"[[alert]]\n{GOOD}above = 1\n[[alert]]\n{GOOD}above = 2", "another rule has that name"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path, text, said):
    with pytest.raises(ConfigError, match="alert") as caught:
        load(tmp_path, text)
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_alerts(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"hold": nan}, "hold"),
        ({"hold": -1}, "hold"),
        ({"hold": True}, "hold"),
        ({"repeat": 0}, "repeat"),
        ({"forget": nan}, "forget"),
        ({"window": -1.0}, "window"),
        ({"window": inf}, "window"),
        ({"labels": ["a"]}, "labels"),
        ({"labels": {1: "a"}}, "labels"),
        ({"name": ""}, "name"),
        ({"metric": None}, "metric"),
        ({"notify": [1]}, "notify"),
    ],
)
def test_a_rule_made_in_python_is_checked_as_well(given, field):
    with pytest.raises(InputError) as caught:
        AlertRule(**{"name": "r", "metric": "m", "above": 1.0} | given)
    assert caught.value.field == field


def test_a_fingerprint_is_that_of_rule_and_labels_and_never_changes():
    assert fingerprint("r", (("a", "1"),)) == "327453336d3d5516"
    assert len({fingerprint("r", ()), fingerprint("s", ()), fingerprint("r", (("a", ""),))}) == 3


DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_on_alerts_has_rules_that_load(tmp_path, monkeypatch):
    monkeypatch.setenv("ALERT_WEBHOOK", "https://example.org/hook")
    page = (DOCS / "howto" / "alert-on-a-metric.md").read_text("utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    rules, notifiers = load(tmp_path, text)
    assert [each.condition for each in rules] == [Condition.QUANTILE, Condition.MISSING, Condition.FORECAST]
    assert [each.name for each in notifiers] == ["log", "chat"]


def test_the_reference_has_every_key_and_word_and_no_other():
    page = (DOCS / "reference" / "alert-rules.md").read_text("utf-8")
    keys, words = (
        {word for row in re.findall(r"^\| (`.*?) \|", part, re.MULTILINE) for word in re.findall(r"`(\$?\w+)`", row)}
        for part in (
            page.partition("## `[[alert]]`")[2].partition("###")[0],
            page.partition("### `summary`")[2].partition("##")[0],
        )
    )
    assert keys == {"for" if each == "hold" else each for each in AlertRule.__dataclass_fields__}
    assert words == {f"${each}" for each in WORDS}
    for kind, (_, needed, optional) in KINDS.items():
        (row,) = re.findall(rf"^\| `{kind}` \|(.*?)\|", page, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", row)) == {*needed, *optional} - {"name"}
