"""What the dashboard does by itself: looks for new data, has the alerts evaluated, and tells who listens what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from engine_opt.monitoring.dashboard.alerts import AlertDesk
from engine_opt.monitoring.dashboard.answers import Answers
from engine_opt.monitoring.dashboard.events import EventHub
from engine_opt.monitoring.dashboard.health import SOUND, Finding, Health, Status, freshness
from engine_opt.monitoring.dashboard.openapi import Refused
from engine_opt.monitoring.dashboard.queries import Panel, show
from engine_opt.monitoring.dashboard.reader import Reader
from engine_opt.monitoring.dashboard.schema import (
    AlertsBody,
    CheckBody,
    CountsBody,
    HealthBody,
    HealthSummaryBody,
    OverviewBody,
    PanelBody,
    TargetBody,
    ValuesBody,
)
from engine_opt.monitoring.dashboard.totals import Totals
from engine_opt.monitoring.performance_monitor import MetricRecord
from engine_opt.monitoring.samples import MetricStore

__all__ = ["Watch"]

LONGEST_PAUSE = 1.0
"""Seconds between two looks at the store."""

SHORTEST_SILENCE = 10.0
"""Seconds without a look before a part is doubted, however short the interval is."""


T = TypeVar("T")


class Watch:
    """Knows the newest of store, alerts and health; belongs to one event loop.

    Every `interval` seconds there should be a new collection, and the alerts are evaluated. `limit` is how many seconds
    a look may take. `clock` gives seconds since the epoch, `steady` seconds that only go forward.
    """

    def __init__(
        self,
        store: MetricStore,
        alerts: AlertDesk | None,
        panels: Sequence[Panel],
        hub: EventHub,
        answers: Answers,
        *,
        interval: float,
        limit: float,
        clock: Callable[[], float],
        steady: Callable[[], float],
    ) -> None:
        self.store, self.interval, self.clock = store, interval, clock
        self._desk, self._panels, self._hub, self._answers = alerts, tuple(panels), hub, answers
        # One thread each: what hangs is not started again, and does not keep the other waiting.
        self._store_reader = Reader("the store", threads=1, waiting=1, limit=limit)
        self._desk_reader = Reader("the alerts", threads=1, waiting=8, limit=limit)
        silent = {"store": Status.DOWN, "collection": Status.DEGRADED}
        if alerts is not None:
            silent |= {"alerting": Status.DEGRADED, "notifiers": Status.DEGRADED}
        self._health = Health(silent, limit=max(3 * interval, SHORTEST_SILENCE), clock=steady)
        self._told: list[Status] = []
        self._end: float | None = None
        self._unreadable: Refused | None = None
        self._shown = [_panel(store, panel, None) for panel in self._panels]
        self._alerts: AlertsBody | None = None
        self._totals = Totals()

    async def look(self) -> None:
        """Look at everything once."""
        await self._look_at_store()
        await self._look_at_alerts()

    async def run(self) -> None:
        """Go on looking, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_every(min(self.interval / 5, LONGEST_PAUSE), self._look_at_store))
            tasks.create_task(_every(self.interval, self._look_at_alerts))

    def newest(self) -> float | None:
        """Return when the newest collection ended; None where there is none. Raises Refused if the last look failed."""
        if self._unreadable is not None:
            raise self._unreadable
        return self._end

    def alerts(self) -> AlertsBody:
        """Return alerts and silences as they were last seen. Raises Refused where there are none to see."""
        if self._desk is None:
            raise _no_alerts()
        if self._alerts is None:
            raise Refused(503, "the alerts cannot be read", None, "ask again later, and see /api/v1/health")
        return self._alerts

    async def change(self, how: Callable[[AlertDesk], T]) -> tuple[T, AlertsBody]:
        """Change something about the alerts, tell everybody, and return what came of it and the alerts.

        Raises Refused where it is not possible.
        """
        desk = self._desk
        if desk is None:
            raise _no_alerts()
        made, alerts = await self._desk_reader(lambda: (how(desk), desk.body()))
        self._saw(alerts)
        return made, alerts

    def totals(self) -> tuple[MetricRecord, ...]:
        """Return what was counted since the start."""
        return self._totals.records()

    def overview(self) -> OverviewBody:
        """Return what is shown at once. Raises Refused if the store could not be read."""
        health = self._health.report()
        return OverviewBody(
            self.clock(),
            self.newest(),
            self.interval,
            HealthSummaryBody(health.status.value, list(health.reasons)),
            None if self._alerts is None else _counts(self._alerts),
            self._shown,
        )

    def health(self) -> HealthBody:
        """Return how the monitoring is, as far as is known."""
        report = self._health.report()
        checks = [CheckBody(each.name, each.status.value, each.reason, each.age) for each in report.checks]
        return HealthBody(report.status.value, list(report.reasons), checks)

    def close(self) -> None:
        """Start no more looks."""
        self._store_reader.close()
        self._desk_reader.close()

    def _saw(self, alerts: AlertsBody) -> None:
        if alerts != self._alerts:
            self._alerts = alerts
            self._hub.publish("alerts", msgspec.json.encode(alerts))

    async def _look_at_store(self) -> None:
        try:
            newest = await self._store_reader(self._read_store)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the next look may do better
            self._unreadable = _refused("the store", error)
            self._health.found("store", Finding(Status.DOWN, self._unreadable.seen))
        else:
            self._unreadable = None
            self._health.found("store", SOUND)
            if newest is not None:
                await self._answers.renew(newest[0])
                self._end, self._shown = newest
                self._hub.publish("overview", msgspec.json.encode(self.overview()))
            self._health.found("collection", freshness(self._end, self.clock(), self.interval))
        self._tell_health()

    def _read_store(self) -> tuple[float, list[PanelBody]] | None:
        """Return when the newest collection ended, and what the panels show of it, if that is news; in a thread."""
        newest = self.store.last()
        if newest is None or newest.end == self._end:
            return None
        self._totals.follow(self.store, newest)
        return newest.end, [_panel(self.store, panel, newest.end) for panel in self._panels]

    async def _look_at_alerts(self) -> None:
        if self._desk is None:
            return
        try:
            alerts, notifiers = await self._desk_reader(_evaluate, self._desk)
        except Exception as error:  # noqa: BLE001 - as above
            self._health.found("alerting", Finding(Status.DEGRADED, _refused("the alerts", error).seen))
        else:
            self._health.found("alerting", SOUND)
            self._health.found("notifiers", notifiers)
            self._saw(alerts)
        self._tell_health()

    def _tell_health(self) -> None:
        report = self._health.report()
        now = [each.status for each in report.checks]
        if now != self._told:
            self._told = now
            self._hub.publish("health", msgspec.json.encode(self.health()))


def _refused(what: str, error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    return Refused(503, f"{what} cannot be read", f"{type(error).__name__}: {error}", "see /api/v1/health")


def _no_alerts() -> Refused:
    return Refused(404, "no alerts are watched here", None, "start the server with alert rules")


def _evaluate(desk: AlertDesk) -> tuple[AlertsBody, Finding]:
    desk.evaluate()
    return desk.body(), desk.deliveries()


async def _every(seconds: float, look: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await look()


def _counts(body: AlertsBody) -> CountsBody:
    states = [alert.state for alert in body.alerts]
    firing = [alert for alert in body.alerts if alert.state == "firing"]
    return CountsBody(
        len(firing),
        states.count("pending"),
        sum(alert.acknowledged is not None for alert in firing),
        sum(alert.silenced_until is not None for alert in firing),
    )


def _panel(store: MetricStore, panel: Panel, end: float | None) -> PanelBody:
    shown = None if end is None else show(store, panel, end)
    return PanelBody(
        panel.id,
        panel.title,
        panel.group,
        panel.unit,
        panel.metric,
        dict(panel.labels),
        None if panel.by is None else list(panel.by),
        list(panel.stats),
        list(panel.of),
        panel.seconds,
        None if panel.target is None else TargetBody(panel.target.value, panel.target.label),
        "nothing was collected yet" if shown is None else shown.missing,
        [] if shown is None else [ValuesBody(dict(labels), dict(values)) for labels, values in shown.values],
    )
