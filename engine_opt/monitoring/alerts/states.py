"""What becomes of an alert: pending, firing, resolved. A pure function of what was, what is seen, and the time.

        breached                 breached for long enough                  clear, or forgotten
nothing ---------->  pending  ---------------------------->  firing  ------------------------->  resolved
           <--------                                                                               |
    anything else                                                                    breached      v
                                                        pending, as from nothing  <----------  nothing, in a day
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from engine_opt.monitoring.alerts.conditions import Observation, Verdict

KEPT = 86_400.0
"""For how many seconds a resolved alert is still listed."""


class Phase(StrEnum):
    """Where an alert stands."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    BROKEN = "broken"  # the rule can say nothing; shown, and never a state of its own


class Event(StrEnum):
    """What there is to tell."""

    FIRING = "firing"
    REPEATED = "still firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who has taken an alert on, when, and what was said to it."""

    who: str
    at: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class AlertState:
    """An alert; times in seconds since the epoch.

    Attributes:
        phase: where it stands.
        since: when that began.
        seen: when there was last a verdict on it.
        value: the last that was seen.
        notified: when it was last told that it is firing; None where it was not, since it last began to.
        acknowledged: by whom; None where by nobody. Lasts until it is resolved.
        reason: why it was resolved, where not because all is well.

    """

    phase: Phase
    since: float
    seen: float
    value: float | None = None
    notified: float | None = None
    acknowledged: Acknowledgement | None = None
    reason: str | None = None

    def not_after(self, now: float) -> AlertState:
        """Return the state with no time in the future: a clock that went back makes waits longer, never shorter."""
        if max(self.since, self.seen, self.notified or self.since) <= now:
            return self
        notified = None if self.notified is None else min(self.notified, now)
        return replace(self, since=min(self.since, now), seen=min(self.seen, now), notified=notified)


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a rule waits, in seconds: before it fires, is told again, and is resolved for want of data."""

    hold: float
    repeat: float
    forget: float


def step(
    state: AlertState | None,
    seen: Observation,
    waits: Waits,
    now: float,
    *,
    silenced: bool = False,
    watched_since: float | None = None,
) -> tuple[AlertState | None, Event | None]:
    """Return an alert's next state, and what is to be told.

    What is silenced goes its way untold. If it is still firing when the silence ends, it is told then. That it was
    resolved is told whenever its firing was: nobody is left with an alert that never ends.

    Without data a firing alert fires on, until nothing was seen for `forget` seconds since somebody looks
    (`watched_since`, by itself for ever); a pending one is dropped, for it is not known to be so all the while.
    """
    if state is not None:
        state = state.not_after(now)
    if state is None or state.phase is Phase.RESOLVED:
        if seen.verdict is not Verdict.BREACHED:
            return (state if state is not None and now - state.since < KEPT else None), None
        state = AlertState(Phase.PENDING, now, now, seen.value)
    if seen.verdict is not Verdict.NO_DATA:
        state = replace(state, seen=now, value=seen.value)
    if state.phase is Phase.PENDING:
        if seen.verdict is not Verdict.BREACHED:
            return None, None
        if now - state.since < waits.hold:
            return state, None
        state = replace(state, phase=Phase.FIRING, since=now)
    since = state.seen if watched_since is None else max(state.seen, watched_since)
    if seen.verdict is Verdict.CLEAR:
        return resolved(state, now)
    if seen.verdict is Verdict.NO_DATA and now - since >= waits.forget:
        return resolved(state, now, "there are no data any more")
    return _told(state, waits, now, silenced=silenced)


def resolved(state: AlertState, now: float, reason: str | None = None) -> tuple[AlertState, Event | None]:
    """Return a firing alert as resolved, and what is to be told."""
    event = None if state.notified is None else Event.RESOLVED
    return AlertState(Phase.RESOLVED, now, state.seen, state.value, reason=reason), event


def _told(state: AlertState, waits: Waits, now: float, *, silenced: bool) -> tuple[AlertState, Event | None]:
    if silenced or state.acknowledged is not None:
        return state, None
    if state.notified is None:
        return replace(state, notified=now), Event.FIRING
    if now - state.notified >= waits.repeat:
        return replace(state, notified=now), Event.REPEATED
    return state, None
