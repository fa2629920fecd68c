"""How the monitoring itself is: every part is looked at in its turn, and whoever asks is told at once what was found.

    health = Health({"store": Status.DOWN, "collection": Status.DEGRADED}, limit=30.0)
    health.found("store", SOUND)
    health.found("collection", freshness(newest_end, now, interval))
    health.report().status

Nothing is looked at when somebody asks, so that a part that hangs cannot make the answer hang. A part of which nothing
was heard for `limit` seconds is not believed to be well any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError

__all__ = ["SOUND", "CheckResult", "Finding", "Health", "HealthReport", "Status", "freshness"]

STALE_AFTER = 3
"""Intervals without new data, after which something is wrong: one may be late, two may be chance."""


class Status(StrEnum):
    """How well, best first."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


_RANK = {status: rank for rank, status in enumerate(Status)}


class Finding(NamedTuple):
    """What a look at one part has shown.

    Attributes:
        status: how it is.
        reason: why, where it is not well.

    """

    status: Status
    reason: str | None = None


SOUND = Finding(Status.OK)
"""Nothing to complain of."""


class CheckResult(NamedTuple):
    """What is known of one part.

    Attributes:
        name: of the part.
        status, reason: as a finding has them.
        age: seconds since it was looked at; None where it never was.

    """

    name: str
    status: Status
    reason: str | None
    age: float | None


class HealthReport(NamedTuple):
    """What is known of all parts.

    Attributes:
        status: that of the part that is worst.
        reasons: of the parts that are not well, with their names, in the order of the checks.
        checks: all of them.

    """

    status: Status
    reasons: tuple[str, ...]
    checks: tuple[CheckResult, ...]


class Health:
    """Keeps the last finding of each part.

    `silent` says which parts there are, and how each is when nothing was heard of it for `limit` seconds. `clock` gives
    seconds; where it goes back, what was found counts as new, where it jumps forward, as old until the next look.
    May be shared between threads.
    """

    def __init__(
        self, silent: Mapping[str, Status], *, limit: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make one that has heard of nothing yet. Raises InputError where there is no part, or no limit."""
        if not silent:
            raise InputError("silent", silent, "it must name at least one part")
        self._silent = {name: check.member(Status, f"silent[{name!r}]", status) for name, status in silent.items()}
        self._limit = check.positive("limit", limit)
        self._clock = clock
        self._found: dict[str, tuple[float, Finding]] = {}

    def found(self, name: str, finding: Finding) -> None:
        """Take note of what a look has shown. Raises InputError for a part that is not known."""
        if name not in self._silent:
            raise InputError("name", name, f"the parts are {', '.join(self._silent)}")
        self._found[name] = self._clock(), finding

    def report(self) -> HealthReport:
        """Return what is known, without looking."""
        now = self._clock()
        checks = tuple(self._result(name, now) for name in self._silent)
        worst = max((each.status for each in checks), key=_RANK.__getitem__)
        reasons = tuple(f"{each.name}: {each.reason}" for each in checks if each.status is not Status.OK)
        return HealthReport(worst, reasons, checks)

    def _result(self, name: str, now: float) -> CheckResult:
        held = self._found.get(name)
        if held is None:
            return CheckResult(name, self._silent[name], "not looked at yet", None)
        when, finding = held
        age = max(now - when, 0.0)
        if age <= self._limit:
            return CheckResult(name, finding.status, finding.reason, age)
        worse = max(finding.status, self._silent[name], key=_RANK.__getitem__)
        known = f"; before that: {finding.reason}" if finding.reason else ""
        return CheckResult(name, worse, f"not looked at for {age:.0f} s{known}", age)


def freshness(end: float | None, now: float, interval: float) -> Finding:
    """Return whether data keeps coming, of which the newest ended at `end` and more is due every `interval` seconds.

    Both times are seconds since the epoch. Data from more than an interval ahead is suspicious, too: one of the two
    clocks is wrong, and what comes next may be taken for old.
    """
    if end is None:
        return Finding(Status.DEGRADED, "nothing was collected yet")
    late = now - end
    if late > STALE_AFTER * interval:
        return Finding(Status.DEGRADED, f"no new data for {late:.0f} s, expected every {interval:g} s")
    if late < -interval:
        return Finding(Status.DEGRADED, f"the newest data is {-late:.0f} s ahead of this clock")
    return SOUND
