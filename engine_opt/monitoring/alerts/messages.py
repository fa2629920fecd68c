"""What is told to people: one message about alerts that share it, and who carries it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple, Protocol, Self

from engine_opt.errors import EngineError
from engine_opt.monitoring.alerts.rules import Labels, Severity
from engine_opt.monitoring.alerts.states import Event
from engine_opt.monitoring.alerts.toml import Secret

SCHEMA = 1
LONGEST_REASON = 300


class AlertTold(NamedTuple):
    """One alert in a message.

    Attributes:
        fingerprint: the same in all messages about it.
        labels: of the series.
        since: when it began to fire, or was resolved; seconds since the epoch.
        value: the last that was seen.
        summary: as the rule has it.

    """

    fingerprint: str
    labels: Labels
    since: float
    value: float | None
    summary: str


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be told, once to each notifier.

    Attributes:
        uid: its own, the same whenever it is sent: receivers know by it what they have already.
        created: when, in seconds since the epoch.
        source: the name of the alerting system.
        rule, severity, event: what happened.
        alerts: about which, in the order of their labels.

    """

    uid: str
    created: float
    source: str
    rule: str
    severity: Severity
    event: Event
    alerts: tuple[AlertTold, ...]

    @property
    def title(self) -> str:
        """One line."""
        about = self.alerts[0].summary if len(self.alerts) == 1 else f"{len(self.alerts)} alerts"
        return f"[{self.severity.value}, {self.event.value}] {self.rule}: {about}"

    @property
    def text(self) -> str:
        """A line for each alert, with the time in UTC since when it is so."""
        lines = [f"{self.rule} ({self.severity.value}): {self.event.value}", ""]
        lines += [f"- {each.summary}, since {_utc(each.since)}" for each in self.alerts]
        return "\n".join([*lines, "", f"{self.source}, {_utc(self.created)}, message {self.uid}"])

    def plain(self) -> dict[str, Any]:
        """Return it as numbers, lists, texts and None by name, for JSON."""
        return {
            "schema": SCHEMA,
            "id": self.uid,
            "created": self.created,
            "source": self.source,
            "rule": self.rule,
            "severity": self.severity.value,
            "event": self.event.value,
            "title": self.title,
            "alerts": [each._asdict() | {"labels": dict(each.labels)} for each in self.alerts],
        }

    def json(self) -> str:
        """Return the same as one line of JSON."""
        return json.dumps(self.plain(), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Return the message that `json` gave; raises ValueError, KeyError or TypeError where it is none."""
        plain = json.loads(line)
        alerts = tuple(
            AlertTold(**(each | {"labels": tuple(sorted(each["labels"].items()))})) for each in plain["alerts"]
        )
        return cls(
            plain["id"],
            plain["created"],
            plain["source"],
            plain["rule"],
            Severity(plain["severity"]),
            Event(plain["event"]),
            alerts,
        )


def message_uid(source: str, number: int, created: float, fingerprints: Iterable[str]) -> str:
    """Return what identifies a message: its number among those of one file, and what it is about."""
    about = [source, number, created, *fingerprints]
    return sha256(json.dumps(about).encode()).hexdigest()[:32]


class DeliveryError(EngineError):
    """A message was not delivered, as far as is known.

    Attributes:
        why: what happened, without secrets.
        permanent: whether it would be refused again.

    """

    def __init__(self, why: str, *, permanent: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.permanent = permanent


class Notifier(Protocol):
    """Carries messages somewhere. One thread at a time sends by it."""

    @property
    def name(self) -> str:
        """What rules call it."""

    @property
    def deduplicates(self) -> bool:
        """Whether the receiver drops a message whose uid it has: then what may have been sent is sent again."""

    def send(self, message: Message) -> None:
        """Deliver a message, within a time limit; raises DeliveryError."""


def cleaned(why: object, secrets: Iterable[Secret] = ()) -> str:
    """Return an error's text in one line that is not long, with no secret in it."""
    line = str(why)
    for each in secrets:
        line = line.replace(each.reveal(), "***")
    return "".join(each if each.isprintable() else " " for each in line)[:LONGEST_REASON]


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
