"""When a monitored series changed its level, by the method that the gate's histories are judged with."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from engine_opt.errors import InputError
from engine_opt.monitoring.analytics._series import Point, checked
from pytest_pe_perf.judge.changepoint import level_changes


@dataclass(frozen=True, slots=True)
class Change:
    """A change of level.

    Attributes:
        time: of the first point on the new level, in seconds.
        index: of that point.
        before, after: the levels, in the unit of the values.
        ratio: after over before; None where not all values are positive, as are its bounds.
        low, high: 95 % interval of the ratio.
        p: chance, at most, that a series without any change shows one as clear anywhere.
        settled: so many points stand on the new level that it stays one even if the old one comes back at once.

    """

    time: float
    index: int
    before: float
    after: float
    ratio: float | None
    low: float | None
    high: float | None
    p: float
    settled: bool


def changes(points: Iterable[Point], *, segments: Sequence[Hashable] = ()) -> tuple[Change, ...]:
    """Return where the values changed their level, by time.

    Three values at the end, and five elsewhere, have to agree on a new level; fewer are outliers, and a slow rise is no
    change (see `trend`). `segments` has a label for each point, such as the machine that it was measured on; where it
    changes no change is returned, and no level is compared across. One series without a change in a hundred has one at
    most (docs/method/changepoints.md).

    Raises InputError for what is no series of ascending times and where there is not one label for each point;
    InsufficientData without any point.
    """
    times, values = checked(points, 1)
    if segments and len(segments) != len(values):
        raise InputError("segments", len(segments), f"each of the {len(values)} points needs a label")
    return tuple(
        Change(
            time=times[each.index],
            index=each.index,
            before=each.before,
            after=each.after,
            ratio=each.ratio,
            low=each.low,
            high=each.high,
            p=each.p,
            settled=each.settled,
        )
        for each in level_changes(values, segments=segments)
    )
