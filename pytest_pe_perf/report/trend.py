"""A history on a screen: its runs, the trend of a row as one line, and where a row changed its level."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_pe_perf.judge.changepoint import Creep, LevelChange
from pytest_pe_perf.model import METRICS, Key, Point
from pytest_pe_perf.units import format_change, format_quantity

from .screen import pad, printable, shorten, shorten_id

WIDTH = 80
# So many digits of a commit tell it apart.
_DIGITS = 10
_LEVELS, _PLAIN_LEVELS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
_LONGEST = 40
_INDENT = "  "


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one row: its points, the oldest first, and where they changed level or crept."""

    key: Key
    points: tuple[Point, ...]
    changes: tuple[LevelChange, ...] = ()
    creeps: tuple[Creep, ...] = ()


def run_line(started: str, context: Mapping[str, str], verdicts: Sequence[str]) -> str:
    """Return a run in one line: when, which commit, and what the gate said of how many rows."""
    counts = Counter(verdicts).most_common()
    said = ", ".join(f"{count} {printable(verdict) or 'no verdict'}" for verdict, count in counts) or "no rows"
    branch = shorten(printable(context.get("branch", "")), 14)
    return shorten(
        f"{_moment(started)}  {_commit(context.get('commit', ''))}  {pad(branch, 14)}  {said}", WIDTH
    ).rstrip()


def trend_lines(environment: str, found: Found, *, plain: bool = False) -> Iterator[str]:
    """Yield the trend of a row in an environment. ``plain``: with characters that every terminal has."""
    values = [point.value for point in found.points]
    first, last = (format_quantity(value, _unit(found.key)) for value in (values[0], values[-1]))
    change = f" ({format_change(values[-1] / values[0])})" if len(values) > 1 and values[0] > 0 else ""
    drawn = sparkline(values, plain=plain)
    yield shorten_id(found.key.label, WIDTH)
    yield f"{_INDENT}{shorten(printable(environment), WIDTH - len(_INDENT))}"
    yield f"{_INDENT}{pad(found.key.metric, 12)}{drawn}"
    yield shorten(f"{_INDENT}{pad('', 12)}{first} -> {last}{change}, {_span(found.points)}", WIDTH)


def sparkline(values: Sequence[float], width: int = _LONGEST, *, plain: bool = False) -> str:
    """Return the values as bars between the least and the largest; where there are too many, medians of neighbours."""
    levels = _PLAIN_LEVELS if plain else _LEVELS
    count = min(len(values), width)
    borders = [len(values) * place // count for place in range(count + 1)] if count else []
    shown = [statistics.median(values[start:end]) for start, end in pairwise(borders)]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    if low == high:
        return levels[len(levels) // 2] * len(shown)
    return "".join(levels[round((value - low) / (high - low) * (len(levels) - 1))] for value in shown)


def change_lines(found: Found) -> Iterator[str]:
    """Yield each change of level of a row, and each creep, in two lines: what, when and where, and of which row."""
    for change in found.changes:
        point = found.points[change.index]
        size = _size(found.key, change.before, change.after, change.ratio)
        interval = f" ({_bare(change.low)} to {_bare(change.high)})" if change.low and change.high else ""
        doubt = "" if change.settled else "; may be outliers yet"
        yield f"{point.started[:10]}  {_commit(point.commit)}  {found.key.metric} {size}{interval}{doubt}"
        yield f"{_INDENT}{shorten_id(found.key.label, WIDTH - len(_INDENT))}"
    for creep in found.creeps:
        last = found.points[creep.end - 1]
        size = _size(found.key, creep.before, creep.after, creep.ratio)
        yield (
            f"{last.started[:10]}  {_commit(last.commit)}  {found.key.metric} {size}, crept since "
            + (found.points[creep.start].started[:10])
        )
        yield f"{_INDENT}{shorten_id(found.key.label, WIDTH - len(_INDENT))}"


def _size(key: Key, before: float, after: float, ratio: float | None) -> str:
    if ratio is not None:
        return format_change(ratio)
    return f"{format_quantity(before, _unit(key))} -> {format_quantity(after, _unit(key))}"


def _bare(ratio: float) -> str:
    return format_change(ratio).removesuffix(" %")


def _unit(key: Key) -> str:
    metric = METRICS.get(key.metric)
    return metric.unit if metric else "1"


def _span(points: Sequence[Point]) -> str:
    runs = "1 run" if len(points) == 1 else f"{len(points):,} runs"
    return f"{runs}, {points[0].started[:10]} to {points[-1].started[:10]}"


def _moment(started: str) -> str:
    return started[:16].replace("T", " ")


def _commit(commit: str) -> str:
    return pad(printable(commit[:_DIGITS]) or "-", _DIGITS)
