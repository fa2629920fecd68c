"""When a series will reach a limit, if it goes on as it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring.analytics._series import Point
from engine_opt.monitoring.analytics.trend import Line, Trend, TrendVerdict, trend


class Limit(StrEnum):
    """Which side of the limit is the bad one."""

    CEILING = "ceiling"  # above it
    FLOOR = "floor"  # below it


class ForecastVerdict(StrEnum):
    """What is to be expected."""

    REACHED = "reached"  # the line is at the limit, or beyond it, already
    EXPECTED = "expected"  # the line reaches it within the horizon
    NOT_WITHIN_HORIZON = "not within the horizon"
    NO_TREND = "no trend"  # and so no forecast


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the limit is reached, in seconds from now; None where that is not within the horizon.

    Attributes:
        verdict: what is to be expected.
        earliest, latest: by the steepest and the flattest line of the trend's interval.
        likely: by the Theil-Sen line itself.
        trend: what the forecast rests on.

    """

    verdict: ForecastVerdict
    earliest: float | None
    likely: float | None
    latest: float | None
    trend: Trend


def forecast(
    points: Iterable[Point],
    limit: float,
    horizon: float,
    *,
    kind: Limit = Limit.CEILING,
    now: float | None = None,
    period: float | None = None,
    confidence: float = 0.99,
) -> Forecast:
    """Return when a straight line through the points reaches `limit`, looking `horizon` seconds ahead.

    Without a significant trend there is no forecast. The interval is that of the trend's slope: it holds as long as the
    series goes on in a straight line. `now` is in the seconds of the points and not before the last of them, which it
    is where it is not given. Where the likely time is beyond the horizon the earliest may still be within it. With a `period` the line is
    that of the middle of the cycle, whose heights reach the limit before it.

    Raises InputError for what is no series of ascending times, a limit that is not a finite number, a horizon that is
    not positive, an unknown kind, a `now` before the last point, and as `trend` does, from which InsufficientData comes as well.
    """
    check.finite("limit", limit)
    check.positive("horizon", horizon)
    kind = check.member(Limit, "kind", kind)
    found = trend(points, period=period, confidence=confidence)
    passed = 0.0 if now is None else check.finite("now", now) - found.time
    if passed < 0.0:
        raise InputError("now", now, f"it must not be before the last point, which is at {found.time!r}")
    # Upside down, a floor is a ceiling.
    sign = 1.0 if kind is Limit.CEILING else -1.0

    def wait(line: Line) -> float | None:
        slope, gap = sign * line.slope, sign * (limit - line.level)
        if slope <= 0.0 or gap - slope * passed > slope * horizon:
            return None
        return max(gap / slope - passed, 0.0)

    level = found.line.level + (found.slope * passed if found.verdict is not TrendVerdict.NONE else 0.0)
    if sign * (limit - level) <= 0.0:
        return Forecast(ForecastVerdict.REACHED, 0.0, 0.0, 0.0, found)
    if found.verdict is TrendVerdict.NONE:
        return Forecast(ForecastVerdict.NO_TREND, None, None, None, found)
    steep, flat = (found.high, found.low) if kind is Limit.CEILING else (found.low, found.high)
    earliest, likely, latest = wait(steep), wait(found.line), wait(flat)
    verdict = ForecastVerdict.NOT_WITHIN_HORIZON if likely is None else ForecastVerdict.EXPECTED
    return Forecast(verdict, earliest, likely, latest, found)
