"""What is to be watched: rules, from TOML or made in Python, checked when they are made.

[[alert]]
name = "slow decisions"
metric = "decision_seconds"
quantile = 0.99
window = "5 min"
above = 0.005
for = "30 s"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from json import dumps
from string import Template
from typing import Any

from engine_opt import _validate as check
from engine_opt._validate import INF
from engine_opt.errors import InputError
from engine_opt.monitoring.alerts.toml import check_keys, seconds, seconds_or_never, shown, similar, text

Labels = tuple[tuple[str, str], ...]
"""Name and value of each label, sorted by name."""

HOUR = 3_600.0
WORDS = ("rule", "metric", "labels", "value", "limit", "condition", "severity", "state")
"""What a summary may name, with a dollar sign before it."""


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Condition(StrEnum):
    """What a rule looks at."""

    VALUE = "value"  # of a gauge; of a counter its rate a second
    QUANTILE = "quantile"  # of a histogram
    MISSING = "missing"  # no data
    FORECAST = "forecast"  # the limit will be reached


_SUMMARIES = {
    Condition.VALUE: "$metric$labels $condition: now $value",
    Condition.QUANTILE: "$metric$labels $condition: now $value",
    Condition.MISSING: "$metric$labels $condition",
    Condition.FORECAST: "$metric$labels $condition: expected in $value s",
}
_WINDOWS = {Condition.VALUE: 60.0, Condition.QUANTILE: 300.0, Condition.MISSING: 60.0, Condition.FORECAST: HOUR}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One rule; times are in seconds, and infinity is never.

    Which of the conditions it is follows from what is given: `missing`; else `within`, a forecast; else `quantile`;
    else the value.

    Attributes:
        name: of the rule, one of a kind.
        metric: which is looked at.
        labels: values by name; a series belongs to the rule if it has each label with one of its values.
        above, below: the limit; one of the two, except for `missing`, which has none.
        quantile: a share, of a histogram.
        window: how far back is looked; by itself a minute, for a quantile five, for a forecast an hour.
        missing: for how long there must have been no data.
        within: how far a forecast looks ahead.
        hold: for how long it must have been so before the alert fires ("for" in TOML).
        resolve_below, resolve_above: a firing alert is resolved beyond this, not as soon as it is back at the limit.
        repeat: how long after a message about a firing alert the next one is due.
        forget: how long an alert fires on without data; by itself an hour, where data are missing for ever.
        severity: how bad it is.
        group_by: labels whose values must be equal for alerts to share a message; None gives each its own.
        summary: text in which the WORDS are replaced; by itself metric, labels, condition and value.
        notify: names of the notifiers; None means all.

    Raises InputError, which names the attribute.

    """

    name: str
    metric: str
    labels: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    above: float | None = None
    below: float | None = None
    quantile: float | None = None
    window: float = 0.0
    missing: float | None = None
    within: float | None = None
    hold: float = 0.0
    resolve_below: float | None = None
    resolve_above: float | None = None
    repeat: float = 4 * HOUR
    forget: float | None = None
    severity: Severity = Severity.WARNING
    group_by: Sequence[str] | None = None
    summary: str | None = None
    notify: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for each in ("name", "metric"):
            text(each, getattr(self, each))
        check.store(self, "labels", _matcher(self.labels))
        self._check_limits()
        self._check_waits()
        check.store(self, "severity", check.member(Severity, "severity", self.severity))
        for each in ("group_by", "notify"):
            if getattr(self, each) is not None:
                check.store(self, each, _names(each, getattr(self, each)))
        if self.summary is None:
            check.store(self, "summary", _SUMMARIES[self.condition])
        _check_summary(self.summary)

    def _check_limits(self) -> None:
        for each in ("above", "below", "resolve_below", "resolve_above"):
            if getattr(self, each) is not None:
                check.store(self, each, check.finite(each, getattr(self, each)))
        for each in ("missing", "within"):
            if getattr(self, each) is not None:
                check.store(self, each, check.positive(each, getattr(self, each)))
        if self.quantile is not None:
            check.between("quantile", self.quantile, 0.0, 1.0, "0.99 means 99 %")
        _check_condition(self)
        _check_hysteresis(self)

    def _check_waits(self) -> None:
        check.store(self, "window", check.non_negative("window", self.window) or _WINDOWS[self.condition])
        check.non_negative("hold", self.hold)
        _check_span("repeat", self.repeat)
        if self.forget is None:
            check.store(self, "forget", INF if self.condition is Condition.MISSING else HOUR)
        _check_span("forget", self.forget)

    @property
    def condition(self) -> Condition:
        """What the rule looks at."""
        if self.missing is not None:
            return Condition.MISSING
        if self.within is not None:
            return Condition.FORECAST
        return Condition.VALUE if self.quantile is None else Condition.QUANTILE

    @property
    def limit(self) -> float:
        """`above` or `below`, or the seconds without data."""
        return next(each for each in (self.missing, self.above, self.below) if each is not None)

    @property
    def forgotten_after(self) -> float:
        """`forget`, decided."""
        return INF if self.forget is None else self.forget

    @property
    def own_labels(self) -> Labels:
        """The labels that the rule itself gives one value: those of an alert about a series that was never seen."""
        return tuple(sorted((name, values[0]) for name, values in self.labels.items() if len(values) == 1))

    def matches(self, labels: Labels) -> bool:
        """Return whether a series of these labels belongs to the rule."""
        if not self.labels:
            return True
        held = dict(labels)
        return all(held.get(name) in values for name, values in self.labels.items())

    def described(self) -> str:
        """Return the condition in words."""
        if self.missing is not None:
            return f"no data for {shown(self.missing)}"
        what = "" if self.quantile is None else f"p{100 * self.quantile:g} over {shown(self.window)} "
        side = f"above {self.above:g}" if self.above is not None else f"below {self.below:g}"
        return f"{what}{side}" if self.within is None else f"{what}will be {side} within {shown(self.within)}"

    def summarised(self, labels: Labels, value: float | None, state: str) -> str:
        """Return the summary of one alert."""
        return Template(self.summary or "").substitute(
            rule=self.name,
            metric=self.metric,
            labels=braced(labels),
            value="unknown" if value is None else f"{value:.6g}",
            limit=f"{self.limit:g}",
            condition=self.described(),
            severity=self.severity.value,
            state=state,
        )


def braced(labels: Labels) -> str:
    """Return labels as OpenMetrics writes them; nothing where there are none."""
    return "{" + ", ".join(f"{name}={dumps(value)}" for name, value in labels) + "}" if labels else ""


def fingerprint(rule: str, labels: Labels) -> str:
    """Return what identifies the alert of a rule about a series, in 16 hexadecimal digits."""
    return sha256(dumps([rule, labels]).encode()).hexdigest()[:16]


def checked_rules(rules: Iterable[AlertRule]) -> tuple[AlertRule, ...]:
    """Return `rules`; raises InputError where one is none, or two have one name."""
    found = tuple(rules)
    seen: set[str] = set()
    for index, rule in enumerate(found):
        if not isinstance(rule, AlertRule):
            raise InputError(f"rules[{index}]", rule, "it must be an AlertRule")
        if rule.name in seen:
            raise InputError(f"rules[{index}].name", rule.name, "another rule has that name")
        seen.add(rule.name)
    return found


_DURATIONS = {
    "window": seconds,
    "missing": seconds,
    "within": seconds,
    "for": seconds,
    "repeat": seconds_or_never,
    "forget": seconds_or_never,
}
_KEYS = tuple("for" if each == "hold" else each for each in AlertRule.__dataclass_fields__)


def rule_from(table: Mapping[str, Any]) -> AlertRule:
    """Return the rule that a table of TOML describes; raises InputError, which names the key."""
    check_keys(table, ("name", "metric"), _KEYS)
    values: dict[str, Any] = {
        key: _DURATIONS[key](key, value) if key in _DURATIONS else value for key, value in table.items()
    }
    for key in ("window", "missing", "within", "repeat", "forget"):
        if values.get(key) == 0.0:
            raise InputError(key, table[key], "it must be longer than that")
    if "for" in values:
        values["hold"] = values.pop("for")
    return AlertRule(**values)


def _matcher(labels: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(labels, Mapping):
        raise InputError("labels", labels, "it must be a table of values by name")
    found: dict[str, tuple[str, ...]] = {}
    for name, values in labels.items():
        text("labels", name)
        found[name] = (values,) if type(values) is str else _names(f"labels.{name}", values)
        if not found[name]:
            raise InputError(f"labels.{name}", values, "without a value no series would match: name one")
    return found


def _names(where: str, values: object) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence) or not all(type(each) is str for each in values):
        raise InputError(where, values, "it must be a list of texts")
    return tuple(values)


def _check_condition(rule: AlertRule) -> None:
    """Refuse what contradicts itself, or says too little."""
    if rule.missing is not None:
        for each in ("above", "below", "quantile", "within", "window"):
            if getattr(rule, each):
                raise InputError(each, getattr(rule, each), "a rule about missing data has no such thing")
    elif rule.above is None and rule.below is None:
        raise InputError("above", None, "a rule needs a limit: say above, below, or for how long data are missing")
    elif rule.above is not None and rule.below is not None:
        raise InputError("below", rule.below, "a rule has one limit: make two rules of above and below")


def _check_hysteresis(rule: AlertRule) -> None:
    for key, limit, sign in (("resolve_below", rule.above, 1.0), ("resolve_above", rule.below, -1.0)):
        given = getattr(rule, key)
        if given is None:
            continue
        if limit is None or rule.within is not None:
            side = "above" if sign > 0 else "below"
            raise InputError(key, given, f"it belongs to a rule with {side}, which is no forecast")
        if sign * (limit - given) < 0:
            raise InputError(key, given, f"it lies on the bad side of the limit, which is {limit:g}")


def _check_span(where: str, value: object) -> None:
    if value != INF:
        check.positive(where, value)


def _check_summary(summary: object) -> None:
    template = Template(text("summary", summary))
    if not template.is_valid():
        raise InputError("summary", summary, "a dollar sign stands before a word, or twice for itself")
    for word in template.get_identifiers():
        if word not in WORDS:
            known = ", ".join(f"${each}" for each in WORDS)
            raise InputError("summary", summary, f"${word} is not known:{similar(word, WORDS)} There are {known}")
