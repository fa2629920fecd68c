"""An alert, as people see it."""

from __future__ import annotations

from typing import NamedTuple

from engine_opt.monitoring.alerts.evaluation import summary
from engine_opt.monitoring.alerts.file import Tracked
from engine_opt.monitoring.alerts.rules import AlertRule, Labels, Severity, fingerprint
from engine_opt.monitoring.alerts.states import Acknowledgement, Phase


class Alert(NamedTuple):
    """An alert, as people see it.

    Attributes:
        fingerprint: the same whenever this rule fires about this series.
        rule, metric, labels, severity: which.
        state: where it stands; `broken` where the rule can say nothing.
        since: when that began, in seconds since the epoch.
        value: the last that was seen, after a restart when it was last told; None where there is none.
        summary: as the rule has it.
        acknowledged: by whom, when; None where by nobody.
        silenced_until: when the last silence on it ends; None where there is none.
        reason: why it is broken, or resolved though not all is well.

    """

    fingerprint: str
    rule: str
    metric: str
    labels: Labels
    severity: Severity
    state: Phase
    since: float
    value: float | None
    summary: str
    acknowledged: Acknowledgement | None
    silenced_until: float | None
    reason: str | None


def shown(tracked: Tracked, rule: AlertRule | None, silenced_until: float | None) -> Alert:
    """Return an alert that there is; its rule may be gone."""
    state = tracked.state
    return Alert(
        tracked.fingerprint,
        tracked.rule,
        tracked.metric,
        tracked.labels,
        tracked.severity,
        state.phase,
        state.since,
        state.value,
        summary(tracked, rule),
        state.acknowledged,
        silenced_until,
        state.reason,
    )


def shown_broken(rule: AlertRule, labels: Labels, why: str, since: float, silenced_until: float | None) -> Alert:
    """Return what stands in place of an alert where a rule can say nothing."""
    return Alert(
        fingerprint(rule.name, labels),
        rule.name,
        rule.metric,
        labels,
        rule.severity,
        Phase.BROKEN,
        since,
        None,
        f"{rule.name}: {why}",
        None,
        silenced_until,
        why,
    )
