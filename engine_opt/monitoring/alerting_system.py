"""Alerts: rules are evaluated over what is stored, states are kept on the disk, and messages go out.

rules, notifiers = load_alerts("alerts.toml")
with AlertingSystem(rules, store, "alerts.sqlite", notifiers=notifiers) as alerts:
    alerts.start()  # delivery; evaluation is the caller's, every few seconds
    alerts.evaluate()
    alerts.alerts()
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from threading import Lock, RLock
from types import TracebackType
from typing import Self

from engine_opt import _validate as check
from engine_opt.errors import ConfigError, InputError, StateError
from engine_opt.monitoring.alerts.conditions import Readings
from engine_opt.monitoring.alerts.evaluation import Found, advance, look, posts
from engine_opt.monitoring.alerts.file import AlertFile, Delivery, Key, Silence, Status, Tracked
from engine_opt.monitoring.alerts.messages import Message, Notifier
from engine_opt.monitoring.alerts.outbox import Outbox
from engine_opt.monitoring.alerts.rules import AlertRule, Condition, Severity, checked_rules, rule_from
from engine_opt.monitoring.alerts.shown import Alert, shown, shown_broken
from engine_opt.monitoring.alerts.states import Acknowledgement, Event, Phase
from engine_opt.monitoring.alerts.toml import built, similar, tables, text
from engine_opt.monitoring.notify.notifiers import checked_notifiers, notifier_from
from engine_opt.monitoring.samples import MetricStore

__all__ = [
    "Acknowledgement",
    "Alert",
    "AlertRule",
    "AlertingSystem",
    "Condition",
    "Delivery",
    "Event",
    "Message",
    "Phase",
    "Severity",
    "Silence",
    "Status",
    "load_alerts",
]


def load_alerts(path: str | PathLike[str]) -> tuple[tuple[AlertRule, ...], tuple[Notifier, ...]]:
    """Return the rules (`[[alert]]`) and notifiers (`[[notifier]]`) of a TOML file.

    Raises ConfigError, which names the file and the mistake of each table that has one, with its key.
    """
    file = Path(path)
    given = tables(file, ("alert", "notifier"))
    rules = built(file, "alert", given["alert"], rule_from)
    notifiers = built(file, "notifier", given["notifier"], notifier_from)
    try:
        checked = checked_rules(rules), checked_notifiers(notifiers)
        _check_notified(*checked)
    except InputError as error:
        raise ConfigError(f"{file}: {error}") from error
    return checked


class AlertingSystem:
    """Evaluates rules over a store, keeps the states of their alerts in a file, and tells notifiers.

    It only reads the store, and writes only its own file, which no other process may have open. `clock` gives seconds
    since the epoch. May be shared between threads: one evaluates at a time, and none of the others waits for the store
    or for a notifier.

    A clock that goes back makes waits longer, never shorter: whatever lies in the future then counts as now. One that
    jumps ahead makes them shorter, as if the time had passed. After a restart, or while nobody evaluates, what was so
    before and is so after counts as having been so.

    Raises InputError for rules and notifiers that do not fit, and as `AlertFile` does.
    """

    def __init__(
        self,
        rules: Iterable[AlertRule],
        store: MetricStore,
        states_path: str | PathLike[str],
        *,
        notifiers: Iterable[Notifier] = (),
        clock: Callable[[], float] = time.time,
        name: str = "alerts",
    ) -> None:
        self._name = text("name", name)
        if not callable(clock):
            raise InputError("clock", clock, "it must be a function")
        self._rules = {rule.name: rule for rule in checked_rules(rules)}
        self._notifiers = checked_notifiers(notifiers)
        _check_notified(self._rules.values(), self._notifiers)
        self._store, self._clock = store, clock
        self._evaluating = Lock()
        self._lock = RLock()
        self._file = AlertFile(states_path)
        try:
            self._file.recover((each.name for each in self._notifiers if each.deduplicates), self._now())
            self._tracked = self._file.alerts()
            self._silences = {each.id: each for each in self._file.silences()}
        except BaseException:
            self._file.close()
            raise
        self._problems: dict[Key, tuple[str, float]] = {}
        self._outbox = Outbox(self._file, self._notifiers, clock, self._lock)
        self._watched_since: float | None = None
        self._evaluations = self._failed = self._series = 0
        self._closed = False
        self._last_fates: Mapping[Status, int] = {}

    @property
    def name(self) -> str:
        """What errors and messages call the system."""
        return self._name

    def evaluate(self) -> tuple[Message, ...]:
        """Evaluate all rules at one moment, record what follows from it, and return the new messages.

        Raises StateError once closed, and whatever the store raises, or StoreError from the file: then nothing has
        changed, and the next evaluation makes up for it.
        """
        with self._evaluating:
            with self._lock:
                self._check_open()
            try:
                now = self._now()
                self._watched_since = min(now if self._watched_since is None else self._watched_since, now)
                readings = Readings(self._store, now)
                found = look(self._rules.values(), readings, now - self._watched_since)
                with self._lock:
                    self._check_open()
                    messages = self._record(now, self._watched_since, found)
            except BaseException:
                self._failed += 1
                raise
            self._evaluations += 1
            self._series = len(found.observations)
            return messages

    def alerts(self) -> tuple[Alert, ...]:
        """Return all alerts, broken rules included, by rule and labels; resolved ones are listed for a day."""
        with self._lock:
            self._check_open()
            now = self._now()
            listed = [
                shown(each, self._rules.get(each.rule), self._silenced_until(each.key, now))
                for each in self._tracked.values()
            ]
            listed += [
                shown_broken(self._rules[key[0]], key[1], why, since, self._silenced_until(key, now))
                for key, (why, since) in self._problems.items()
            ]
            return tuple(sorted(listed, key=lambda each: (each.rule, each.labels, each.state)))

    def acknowledge(self, fingerprint: str, who: str, note: str = "") -> None:
        """Take on a firing alert: it is not told again until it was resolved. The last who does so is remembered.

        Raises InputError for a fingerprint that no firing alert has.
        """
        text("who", who)
        if note != "":
            text("note", note)
        with self._lock:
            self._check_open()
            firing = {each.fingerprint: each for each in self._tracked.values() if each.state.phase is Phase.FIRING}
            if fingerprint not in firing:
                raise InputError("fingerprint", fingerprint, "no alert that is firing has it")
            tracked = firing[fingerprint]
            taken = Acknowledgement(who, self._now(), note)
            tracked = replace(tracked, state=replace(tracked.state, acknowledged=taken))
            self._file.save([tracked])
            self._tracked[tracked.key] = tracked

    def silence(self, matcher: Mapping[str, str], until: float, who: str, why: str) -> int:
        """Send no messages about some alerts until a time, and return the number of the silence.

        `matcher` gives values by label, all of which an alert must have; `rule` stands for the name of its rule.
        Raises InputError for one that is empty, and for a time that is not in the future.
        """
        if not isinstance(matcher, Mapping) or not matcher:
            raise InputError("matcher", matcher, "it must be a table that is not empty of values by label")
        for label, value in matcher.items():
            text("matcher", label)
            if type(value) is not str:
                raise InputError(f"matcher.{label}", value, "it must be text")
        check.finite("until", until)
        text("who", who)
        text("why", why)
        with self._lock:
            self._check_open()
            if until <= self._now():
                raise InputError("until", until, "it must be in the future, in seconds since the epoch")
            made = self._file.silence(matcher, float(until), who, why)
            self._silences[made.id] = made
            return made.id

    def unsilence(self, number: int) -> None:
        """End a silence. Raises InputError for a number that none has."""
        with self._lock:
            self._check_open()
            if type(number) is not int or number not in self._silences:
                raise InputError("number", number, "there is no such silence, or it is over")
            self._file.save((), over=[number])
            del self._silences[number]

    def silences(self) -> tuple[Silence, ...]:
        """Return the silences that last, oldest first."""
        with self._lock:
            self._check_open()
            now = self._now()
            return tuple(each for each in self._silences.values() if each.until > now)

    def deliveries(self) -> tuple[Delivery, ...]:
        """Return messages that have not arrived: on their way, and for a day those that failed or may be lost."""
        with self._lock:
            self._check_open()
            return self._file.deliveries()

    def deliver(self) -> int:
        """Try to deliver, in this thread, each message that is due, and return how many arrived."""
        with self._lock:
            self._check_open()
        return self._outbox.deliver()

    def start(self) -> None:
        """Deliver from now on, each notifier in a thread of its own."""
        with self._lock:
            self._check_open()
        self._outbox.start()

    def stats(self) -> Mapping[str, float]:
        """Return counts of rules and those broken; alerts by state, acknowledged and silenced; messages by fate.

        `evaluations` and `failed_evaluations` since the start, `series` judged in the last; `attempts` to deliver,
        messages `sent`; deliveries `waiting`, `failed` for good, and `uncertain`; `unwritten`: how often the file could
        not be written by a delivery. Works after closing, too.
        """
        with self._lock:
            fates = self._last_fates if self._closed else self._file.fates()
            phases = Counter(each.state.phase for each in self._tracked.values())
            now = self._now()
            return {
                "rules": float(len(self._rules)),
                "broken": float(len({rule for rule, _ in self._problems})),
                "pending": float(phases[Phase.PENDING]),
                "firing": float(phases[Phase.FIRING]),
                "resolved": float(phases[Phase.RESOLVED]),
                "acknowledged": float(sum(each.state.acknowledged is not None for each in self._tracked.values())),
                "silenced": float(
                    sum(self._silenced_until(each.key, now) is not None for each in self._tracked.values())
                ),
                "silences": float(sum(each.until > now for each in self._silences.values())),
                "evaluations": float(self._evaluations),
                "failed_evaluations": float(self._failed),
                "series": float(self._series),
                "attempts": float(self._outbox.attempts),
                "sent": float(self._outbox.sent),
                "waiting": float(fates.get(Status.WAITING, 0) + fates.get(Status.SENDING, 0)),
                "failed": float(fates.get(Status.FAILED, 0)),
                "uncertain": float(fates.get(Status.UNCERTAIN, 0)),
                "unwritten": float(self._outbox.unwritten),
            }

    def close(self) -> None:
        """Stop delivering and let go of the file; messages that wait are delivered when it is opened again."""
        self._outbox.stop()
        with self._lock:
            if self._closed:
                return
            self._last_fates = self._file.fates()
            self._closed = True
            self._file.close()

    def __enter__(self) -> Self:
        with self._lock:
            self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record(self, now: float, watched_since: float, found: Found) -> tuple[Message, ...]:
        """Take a step with every alert; first on the disk, then here."""
        after, changes = advance(
            self._tracked,
            self._rules,
            found.observations,
            now,
            watched_since,
            lambda key: self._silenced_until(key, now) is not None,
            tuple(each.name for each in self._notifiers),
        )
        made = posts(changes, self._rules, self._name, self._file.next_number(), now) if changes else []
        changed = [
            each for key, each in after.items() if key not in self._tracked or _differs(each, self._tracked[key])
        ]
        gone = self._tracked.keys() - after.keys()
        over = [each.id for each in self._silences.values() if each.until <= now]
        if changed or gone or made or over:
            self._file.save(changed, gone, made, over)
        self._tracked = after
        self._silences = {number: each for number, each in self._silences.items() if number not in over}
        self._problems = {key: (why, self._problem_since(key, now)) for key, why in found.problems.items()}
        if made:
            self._outbox.post()
        return tuple(each.message for each in made)

    def _problem_since(self, key: Key, now: float) -> float:
        return min(self._problems[key][1], now) if key in self._problems else now

    def _silenced_until(self, key: Key, now: float) -> float | None:
        """Return when the last silence on an alert ends."""
        return max(
            (each.until for each in self._silences.values() if each.until > now and each.matches(*key)), default=None
        )

    def _now(self) -> float:
        return check.finite("clock", self._clock())

    def _check_open(self) -> None:
        if self._closed:
            raise StateError(f"alerting system {self._name!r} is closed: make another one")


def _differs(after: Tracked, before: Tracked) -> bool:
    """Return whether there is anything to keep: not what the next evaluation finds out anyway."""
    return after.kept() != before.kept()


def _check_notified(rules: Iterable[AlertRule], notifiers: Iterable[Notifier]) -> None:
    """Refuse rules that name notifiers which are not there."""
    names = [each.name for each in notifiers]
    for rule in rules:
        for name in rule.notify or ():
            if name not in names:
                raise InputError(
                    "notify",
                    name,
                    f"rule {rule.name!r} names it, and there is no such notifier:{similar(name, names)}".rstrip(":"),
                )
