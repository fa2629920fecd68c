"""Where the points, lines and labels of a trend stand, in per cent of the drawing's width and height."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pytest_pe_perf.model import Point, Verdict
from pytest_pe_perf.units import format_quantity

from .screen import printable
from .wording import SIGN, style

# A chart spans at least this share of its level above and below: a trend that moves by 1 % looks calm, as it is.
_LEAST_SPAN = 0.08
_TICKS = 6
_PLAIN = {Verdict.UNCHANGED, Verdict.NEW}
SIGNS: Mapping[str, str] = {verdict.value: sign for verdict, sign in SIGN.items()}
# Half an em at the right end keeps the last mark and its ring inside the drawing.
_LEFT, _RIGHT = 1.5, 97.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a trend: where it stands, its sign where its verdict was a special one, what a pointer over it reads."""

    x: str
    y: str
    sign: str
    style: str
    title: str


@dataclass(frozen=True, slots=True)
class RunLabel:
    """A run beneath a trend, by date and commit."""

    x: str
    date: str
    commit: str


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line, or the edge of a band, with its words."""

    y: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A trend ready to be drawn. ``path`` is in a box of 100 by 100."""

    label: str
    path: str
    marks: tuple[Mark, ...]
    y_ticks: tuple[Level, ...]
    x_ticks: tuple[RunLabel, ...]
    baseline: Level | None
    threshold: Level | None
    band: tuple[str, str] | None
    budget: Level | None
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spark:
    """A small trend without words: a path and where it ends, in a box of 100 by 100."""

    path: str
    x: str
    y: str
    label: str


def number(value: float) -> str:
    """Return a coordinate with one decimal and nothing superfluous."""
    return f"{value:.1f}".removesuffix(".0")


def thin(points: Sequence[Point], limit: int) -> list[int]:
    """Return the indices of about ``limit`` points that keep the ends, the extremes and the gaps of a trend."""
    if len(points) <= limit:
        return list(range(len(points)))
    kept = {0, len(points) - 1}
    buckets = max(limit // 2 - 1, 1)
    for bucket in range(buckets):
        span = range(bucket * len(points) // buckets, (bucket + 1) * len(points) // buckets)
        there = [i for i in span if math.isfinite(points[i].value)]
        if there:
            kept |= {min(there, key=lambda i: points[i].value), max(there, key=lambda i: points[i].value)}
        if len(there) < len(span):
            kept.add(next(i for i in span if not math.isfinite(points[i].value)))
    return sorted(kept)


def _across(index: int, count: int) -> float:
    return 50.0 if count < 2 else _LEFT + (_RIGHT - _LEFT) * index / (count - 1)


def _path(places: Sequence[tuple[float, float | None]]) -> str:
    """Return an SVG path through the places; None lifts the pen."""
    steps = []
    drawing = False
    for x, y in places:
        if y is not None:
            steps.append(f"{'L' if drawing else 'M'}{number(x)} {number(y)}")
        drawing = y is not None
    # A point between two gaps would vanish: a line of no length with round ends is a dot.
    return " ".join(steps) + ("h0" if len(steps) == 1 else "")


def _scale(values: Sequence[float], least_span: float) -> tuple[Callable[[float], float], float, float]:
    """Return a function from value to per cent from the top, and the lowest and highest value shown."""
    low, high = min(values), max(values)
    middle = (low + high) / 2
    half = max((high - low) / 2 * 1.15, abs(middle) * least_span, 1e-12)
    bottom, top = (max(middle - half, 0.0) if low >= 0 else middle - half), middle + half
    return lambda value: (top - value) / (top - bottom) * 100, bottom, top


def nice_ticks(low: float, high: float, unit: str) -> list[float]:
    """Return a few round values between ``low`` and ``high``; bytes are round in powers of 1024."""
    scale = 1024.0 ** max(math.floor(math.log(max(abs(high), 1.0), 1024)), 0) if unit == "B" else 1.0
    rough = (high - low) / scale / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * nice for nice in (1, 2, 2.5, 5) if power * nice >= rough), power * 10) * scale
    if unit != "s":
        step = max(step, 1.0)
    first = math.ceil(low / step)
    last = math.floor(high / step)
    return [i * step for i in range(first, last + 1)]


def spark(points: Sequence[Point], unit: str) -> Spark | None:
    """Return the small trend of a table row, or None where there is nothing to draw."""
    points = [points[i] for i in thin(points, 40)]
    values = [point.value for point in points if math.isfinite(point.value)]
    if not values:
        return None
    place, _, _ = _scale(values, _LEAST_SPAN)
    places = _places(points, place)
    x, y = next((x, y) for x, y in reversed(places) if y is not None)
    words = (
        f"{_runs(len(values))} between {format_quantity(min(values), unit)} and {format_quantity(max(values), unit)}"
    )
    return Spark(_path(places), number(x), number(y), words)


def _places(points: Sequence[Point], place: Callable[[float], float]) -> list[tuple[float, float | None]]:
    return [
        (_across(i, len(points)), place(point.value) if math.isfinite(point.value) else None)
        for i, point in enumerate(points)
    ]


def chart(
    points: Sequence[Point],
    unit: str,
    label: str,
    *,
    accepted: float | None = None,
    limit: float | None = None,
    budget: float | None = None,
    marks: int = 120,
    word: str = "accepted",
) -> Chart | None:
    """Return the trend of a row, oldest point first, or None where there is nothing to draw.

    ``accepted`` is the baseline's value, ``limit`` the value at its threshold, ``budget`` the absolute limit; ``marks``
    is how many points may carry a mark and ``word`` says what the baseline's value is.
    """
    values = [point.value for point in points if math.isfinite(point.value)]
    if not values:
        return None
    levels = [level for level in (accepted, limit) if level is not None and math.isfinite(level)]
    near = budget is not None and budget <= 2 * max(values + levels)
    place, bottom, top = _scale([*values, *levels, *([budget] if near and budget is not None else [])], _LEAST_SPAN)
    places = _places(points, place)
    kept = thin(points, marks)

    def level(value: float | None, words: str) -> Level | None:
        if value is None or not math.isfinite(value):
            return None
        return Level(number(place(value)), f"{words} {format_quantity(value, unit)}")

    threshold = level(limit, "fails beyond")
    return Chart(
        label=label,
        path=_path([places[i] for i in thin(points, 2 * marks)]),
        marks=tuple(_mark(points[i], places[i], unit) for i in kept if places[i][1] is not None),
        y_ticks=tuple(
            Level(number(place(tick)), format_quantity(tick, unit)) for tick in nice_ticks(bottom, top, unit)
        ),
        x_ticks=_x_ticks(points, places),
        baseline=level(accepted, word),
        threshold=threshold,
        # Beyond the threshold is the forbidden ground: from the top of the drawing down to the line.
        band=("0", threshold.y) if threshold else None,
        budget=level(budget, "budget") if near else None,
        remarks=tuple(_remarks(len(points), len(values), len(kept), far=budget is not None and not near)),
    )


def _mark(point: Point, place: tuple[float, float | None], unit: str) -> Mark:
    words = (when(point.started), point.commit[:8], format_quantity(point.value, unit), point.verdict)
    title = printable(" · ".join(word for word in words if word))
    sign = "" if point.verdict in _PLAIN else SIGNS.get(point.verdict, "")
    return Mark(number(place[0]), number(place[1] or 0.0), sign, style(point.verdict), title)


def when(started: str) -> str:
    """Return an ISO time to the minute: ``"2026-11-20 09:41"``."""
    return printable(started[:16].replace("T", " "))


def _x_ticks(points: Sequence[Point], places: Sequence[tuple[float, float | None]]) -> tuple[RunLabel, ...]:
    """Return up to five runs, evenly spread, to be named beneath the trend: date and commit."""
    count = min(len(points), 5)
    chosen = sorted({i * (len(points) - 1) // max(count - 1, 1) for i in range(count)})
    return tuple(
        RunLabel(number(places[i][0]), when(points[i].started)[:10], printable(points[i].commit[:7])) for i in chosen
    )


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _remarks(points: int, values: int, marks: int, *, far: bool) -> list[str]:
    remarks = []
    if points == 1:
        remarks.append("one run so far: a trend needs more")
    if marks < points:
        remarks.append(f"{marks} of {points} runs are marked, extremes kept")
    if values < points:
        remarks.append(f"{_runs(points - values)} gave no number")
    if far:
        remarks.append("the budget lies far above this chart")
    return remarks
