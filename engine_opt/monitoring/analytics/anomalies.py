"""Values that do not belong to the rest, by a robust z."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import pi, sqrt
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.monitoring.analytics._series import Point, checked, median

# The median and the median deviation of fewer points are themselves so uncertain that clean points are called anomalies.
LEAST_POINTS = 20
# Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers: the third quartile of the standard normal, and the limit.
QUARTILE = 0.6744897501960817
THRESHOLD = 3.5
# Standard deviation of a normal variable over its mean absolute deviation.
MEAN_DEVIATION = sqrt(pi / 2)


class Scale(StrEnum):
    """What the scatter was taken from."""

    MEDIAN_DEVIATION = "median absolute deviation"
    MEAN_DEVIATION = "mean absolute deviation"  # where more than half of the values are equal
    NONE = "no scatter"  # where all of them are


class Anomaly(NamedTuple):
    """A value that does not belong to the rest, `z` robust standard deviations from the median."""

    time: float
    value: float
    z: float


@dataclass(frozen=True, slots=True)
class Anomalies:
    """What was found.

    Attributes:
        found: the anomalies, by time.
        centre: median of all values.
        deviation: robust standard deviation, in the unit of the values; 0 where all are equal.
        scale: what it was taken from.
        points: how many values were looked at.

    """

    found: tuple[Anomaly, ...]
    centre: float
    deviation: float
    scale: Scale
    points: int


def anomalies(points: Iterable[Point], *, threshold: float = THRESHOLD, margin: float = 0.0) -> Anomalies:
    """Return the points whose |z| is above `threshold`.

    z = 0.6745 (x - median) / MAD, with MAD the median absolute deviation from the median (Iglewicz & Hoaglin 1993).
    Where more than half of the values are equal MAD is 0, and the mean absolute deviation takes its place: z is then
    (x - median) / (1.2533 * mean deviation), which makes whatever is rare an anomaly. `margin`, in the unit of the
    values, is a difference from the median that never is one: give it for a series that hardly ever changes.

    Raises InputError for what is no series of ascending times, a threshold that is not positive or a negative margin;
    InsufficientData for fewer than LEAST_POINTS.
    """
    times, values = checked(points, LEAST_POINTS)
    check.positive("threshold", threshold)
    check.non_negative("margin", margin)
    centre = median(values)
    deviation, scale = _scale([abs(value - centre) for value in values])
    found = tuple(
        Anomaly(time, value, (value - centre) / deviation)
        for time, value in zip(times, values, strict=True)
        if abs(value - centre) > max(threshold * deviation, margin)
    )
    return Anomalies(found, centre, deviation, scale, len(values))


def _scale(deviations: list[float]) -> tuple[float, Scale]:
    middle = median(deviations)
    if middle > 0.0:
        return middle / QUARTILE, Scale.MEDIAN_DEVIATION
    mean = sum(deviations) / len(deviations)
    return MEAN_DEVIATION * mean, Scale.MEAN_DEVIATION if mean > 0.0 else Scale.NONE
