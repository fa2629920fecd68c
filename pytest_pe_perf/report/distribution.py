"""Where the readings of both sides stand, in per cent of the drawing's width."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_pe_perf.judge.estimate import quantile
from pytest_pe_perf.model import METRICS, Row, Sample
from pytest_pe_perf.units import format_quantity

# The 5, 25, 50, 75 and 95 % quantiles among those of a sample.
_SHOWN = (1, 2, 3, 4, 5)
_ALL = 7
# Left and right of the drawing there is this much room for marks.
_ROOM = 2.0


_Place = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Strip:
    """One side: where 90 % of its readings stand, where half of them do, their median, and that of every process.

    Both spans are a beginning and a length; there are none where a process made too few readings.
    """

    side: str
    whisker: tuple[str, str] | None
    box: tuple[str, str] | None
    middle: str
    dots: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """Both sides, or this run alone, on one scale, with the values at its ends."""

    strips: tuple[Strip, ...]
    left: str
    right: str
    label: str


def number(value: float) -> str:
    """Return a coordinate with one decimal and nothing superfluous."""
    return f"{value:.1f}".removesuffix(".0")


@dataclass(frozen=True, slots=True)
class _Side:
    name: str
    quantiles: tuple[float, ...]
    middles: tuple[float, ...]

    @property
    def ends(self) -> tuple[float, ...]:
        return (*self.quantiles, *self.middles)


def distribution(row: Row, accepted: float | None = None) -> Distribution | None:
    """Return how the readings scatter, of both sides where there are two; None where there is no number.

    ``accepted`` is the value of the baseline, of whose readings nothing is kept: it stands alone.
    """
    sides = [_side("base", row.base), _side("head", row.samples)] if row.base else [_side("now", row.samples)]
    if accepted is not None and not row.base:
        sides.insert(0, _Side("accepted", (), (accepted,)))
    ends = [value for side in sides for value in side.ends if math.isfinite(value)]
    if not all(side.middles for side in sides) or not ends:
        return None
    low, high = min(ends), max(ends)
    span = max(high - low, abs(low) * 0.01, 1e-12)
    unit = METRICS[row.key.metric].unit

    def place(value: float) -> float:
        return _ROOM + (value - low) / span * (100 - 2 * _ROOM)

    strips = tuple(_strip(side, place, unit) for side in sides)
    left, right = format_quantity(low, unit), format_quantity(low + span, unit)
    return Distribution(strips, left, right, "; ".join(f"{strip.side}: {strip.words}" for strip in strips))


def _side(name: str, samples: Sequence[Sample]) -> _Side:
    """Return a side with the median of its processes' quantiles."""
    known = [sample.quantiles for sample in samples if sample.count > 1 and len(sample.quantiles) == _ALL]
    middles = tuple(
        sample.quantiles[_ALL // 2] if len(sample.quantiles) == _ALL else sample.value for sample in samples
    )
    columns = list(zip(*known, strict=True))
    return _Side(name, tuple(_median(columns[i]) for i in _SHOWN) if known else (), middles)


def _median(values: Sequence[float]) -> float:
    return quantile(sorted(values), 0.5)


def _strip(side: _Side, place: _Place, unit: str) -> Strip:
    middle = side.quantiles[2] if side.quantiles else _median(side.middles)
    words = f"{'median ' * (side.name != 'accepted')}{format_quantity(middle, unit)}"
    whisker, box = None, None
    if side.quantiles:
        least, early, _, late, most = map(place, side.quantiles)
        whisker, box = (number(least), number(most - least)), (number(early), number(late - early))
        words += f", 90 % from {format_quantity(side.quantiles[0], unit)} to {format_quantity(side.quantiles[4], unit)}"
    dots = tuple(number(place(value)) for value in side.middles)
    return Strip(side.name, whisker, box, number(place(middle)), dots, words)
