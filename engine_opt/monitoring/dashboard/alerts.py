"""The alerts as the dashboard's API shows and changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from engine_opt.errors import InputError
from engine_opt.monitoring.dashboard.health import SOUND, Finding, Status
from engine_opt.monitoring.dashboard.openapi import Refused
from engine_opt.monitoring.dashboard.schema import AcknowledgedBody, AlertBody, AlertsBody, SilencedBody

if TYPE_CHECKING:
    from engine_opt.monitoring.alerting_system import Alert, AlertingSystem, Silence

__all__ = ["AlertDesk", "delivery"]

REMEMBERED = 600.0
"""Seconds for which a message that was given up is a matter of health."""


class AlertDesk:
    """Shows the alerts of a system, and changes them; one thread at a time.

    `steady` gives seconds that only go forward.
    """

    def __init__(self, system: AlertingSystem, steady: Callable[[], float]) -> None:
        self._system, self._steady = system, steady
        self._waited = 0.0
        self._lost: float | None = None
        self._lost_at: float | None = None

    def evaluate(self) -> None:
        """Look at all rules."""
        self._system.evaluate()

    def body(self) -> AlertsBody:
        """Return alerts and silences."""
        return AlertsBody(
            [_alert(each) for each in self._system.alerts()], [_silence(each) for each in self._system.silences()]
        )

    def deliveries(self) -> Finding:
        """Return whether messages arrive, judged by what has changed since this was last asked."""
        stats = self._system.stats()
        lost, now = stats["failed"] + stats["uncertain"], self._steady()
        if self._lost is not None and lost > self._lost:
            self._lost_at = now
        recent = self._lost_at is not None and now - self._lost_at < REMEMBERED
        finding = delivery(min(stats["waiting"], self._waited), lost if recent else 0.0)
        self._lost, self._waited = lost, stats["waiting"]
        return finding

    def acknowledge(self, fingerprint: str, who: str, note: str) -> None:
        """Take note of who looks after an alert. Raises Refused where there is none, or it does not fire."""
        held = [each for each in self._system.alerts() if each.fingerprint == fingerprint]
        if not held:
            raise Refused(404, "there is no such alert", fingerprint, "see /api/v1/alerts for those there are")
        try:
            self._system.acknowledge(fingerprint, who, note)
        except InputError as error:
            if error.field == "fingerprint":
                raise Refused(409, "only an alert that fires can be taken on", held[0].state, "let it be") from None
            raise _refused(error) from None

    def silence(self, matcher: Mapping[str, str], until: float, who: str, why: str) -> SilencedBody:
        """Keep alerts quiet until then, and return how."""
        try:
            number = self._system.silence(matcher, until, who, why)
        except InputError as error:
            raise _refused(error) from None
        return SilencedBody(number, dict(matcher), until, who, why)

    def unsilence(self, silence: str) -> None:
        """End a silence. Raises Refused where there is none."""
        try:
            self._system.unsilence(
                int(silence) if silence.isascii() and silence.isdecimal() and len(silence) < 19 else -1
            )
        except InputError:
            todo = "see /api/v1/alerts for those there are"
            raise Refused(404, "there is no such silence", silence, todo) from None


def delivery(waiting: float, lost: float) -> Finding:
    """Return how the notifiers are, of which messages wait since the last look, or were lost lately."""
    reasons = [f"{waiting:.0f} messages wait"] * (waiting > 0) + [f"{lost:.0f} were given up lately"] * (lost > 0)
    return Finding(Status.DEGRADED, ", ".join(reasons)) if reasons else SOUND


def _refused(error: InputError) -> Refused:
    return Refused(400, "the alerts refused it", f"{error.field}={error.value!r}", error.why)


def _alert(alert: Alert) -> AlertBody:
    taken = alert.acknowledged
    return AlertBody(
        alert.fingerprint,
        alert.rule,
        alert.metric,
        alert.state.value,
        alert.severity.value,
        dict(alert.labels),
        alert.summary,
        alert.value,
        alert.since,
        None if taken is None else AcknowledgedBody(taken.who, taken.note, taken.at),
        alert.silenced_until,
        alert.reason,
    )


def _silence(silence: Silence) -> SilencedBody:
    return SilencedBody(silence.id, dict(silence.matcher), silence.until, silence.who, silence.why)
