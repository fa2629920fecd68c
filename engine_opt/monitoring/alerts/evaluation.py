"""One evaluation: what is read, what becomes of each alert, and which messages that makes. Pure but for the reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from engine_opt.monitoring.alerts.conditions import Observation, Readings, Verdict, observed
from engine_opt.monitoring.alerts.file import Key, Tracked
from engine_opt.monitoring.alerts.messages import AlertTold, Message, message_uid
from engine_opt.monitoring.alerts.rules import AlertRule, braced
from engine_opt.monitoring.alerts.states import KEPT, AlertState, Event, Phase, Waits, resolved, step

_NO_DATA = Observation(Verdict.NO_DATA)


class Found(NamedTuple):
    """What was read: an observation of each series that a rule looks at, and why others can say nothing."""

    observations: dict[Key, Observation]
    problems: dict[Key, str]


class Change(NamedTuple):
    """What there is to tell of an alert, and to which notifiers."""

    tracked: Tracked
    event: Event
    to: tuple[str, ...]


class Post(NamedTuple):
    """A message with its number, and the notifiers it goes to."""

    number: int
    message: Message
    to: tuple[str, ...]


def look(rules: Iterable[AlertRule], readings: Readings, watched: float) -> Found:
    """Return what the rules say; `watched` is for how many seconds somebody has looked."""
    observations: dict[Key, Observation] = {}
    problems: dict[Key, str] = {}
    for rule in rules:
        found = observed(rule, readings, watched)
        if isinstance(found, str):
            problems[rule.name, rule.own_labels] = found
            continue
        for labels, observation in found.items():
            observations[rule.name, labels] = observation
            if observation.problem is not None:
                problems[rule.name, labels] = observation.problem
    return Found(observations, problems)


def advance(
    tracked: Mapping[Key, Tracked],
    rules: Mapping[str, AlertRule],
    observations: Mapping[Key, Observation],
    now: float,
    watched_since: float,
    silenced: Callable[[Key], bool],
    everybody: tuple[str, ...],
) -> tuple[dict[Key, Tracked], list[Change]]:
    """Return the alerts as they are now, and what there is to tell, by rule and labels."""
    after: dict[Key, Tracked] = {}
    changes: list[Change] = []
    begun = [key for key, each in observations.items() if each.verdict is Verdict.BREACHED and key not in tracked]
    for key in sorted([*tracked, *begun]):
        before, rule = tracked.get(key), rules.get(key[0])
        if rule is None:
            state, event = _gone(tracked[key].state, now)
            metric, severity, everyone = tracked[key].metric, tracked[key].severity, everybody
        else:
            state, event = step(
                None if before is None else before.state,
                observations.get(key, _NO_DATA),
                Waits(rule.hold, rule.repeat, rule.forgotten_after),
                now,
                silenced=silenced(key),
                watched_since=watched_since,
            )
            metric, severity = rule.metric, rule.severity
            everyone = everybody if rule.notify is None else tuple(rule.notify)
        if state is None:
            continue
        told = () if before is None else before.told
        # That it is over is told to those who know that it began.
        to = told if event is Event.RESOLVED else everyone
        after[key] = Tracked(*key, metric, severity, told if event is None else to, state)
        if event is not None:
            changes.append(Change(after[key], event, to))
    return after, changes


def posts(changes: Iterable[Change], rules: Mapping[str, AlertRule], source: str, first: int, now: float) -> list[Post]:
    """Return the messages that tell the changes, numbered from `first`."""
    groups: dict[tuple[object, ...], list[Change]] = {}
    for change in changes:
        rule = rules.get(change.tracked.rule)
        shared = None if rule is None else rule.group_by
        held = dict(change.tracked.labels)
        group = change.tracked.labels if shared is None else tuple(held.get(name) for name in shared)
        groups.setdefault((change.tracked.rule, change.event, change.to, group), []).append(change)
    return [_post(group, rules, source, number, now) for number, group in enumerate(groups.values(), first)]


def summary(tracked: Tracked, rule: AlertRule | None) -> str:
    """Return an alert in a line; that of a rule that is gone has little to say."""
    labels, state = tracked.labels, tracked.state
    line = (
        f"{tracked.metric}{braced(labels)}" if rule is None else rule.summarised(labels, state.value, state.phase.value)
    )
    return line if state.reason is None else f"{line} ({state.reason})"


def _post(group: list[Change], rules: Mapping[str, AlertRule], source: str, number: int, now: float) -> Post:
    tracked, event, to = group[0]
    rule = rules.get(tracked.rule)
    told = tuple(
        AlertTold(each.fingerprint, each.labels, each.state.since, each.state.value, summary(each, rule))
        for each, _, _ in group
    )
    uid = message_uid(source, number, now, (each.fingerprint for each in told))
    return Post(number, Message(uid, now, source, tracked.rule, tracked.severity, event, told), to)


def _gone(state: AlertState, now: float) -> tuple[AlertState | None, Event | None]:
    """Return what becomes of an alert whose rule is there no more."""
    state = state.not_after(now)
    if state.phase is Phase.FIRING:
        return resolved(state, now, "its rule is there no more")
    keep = state.phase is Phase.RESOLVED and now - state.since < KEPT
    return (state if keep else None), None
