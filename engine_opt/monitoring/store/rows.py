"""What the rows of `metric_sample` say: collections and points become rows, and rows become points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import Any

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring.histogram import Histogram
from engine_opt.monitoring.samples import Collection, SampleKind, SeriesKey, SeriesPoint
from engine_opt.monitoring.store.downsampling import histogram_point
from engine_opt.monitoring.store.histogram_bytes import from_bytes, to_bytes
from engine_opt.monitoring.store.tables import Row


def check_collection(field: str, collection: Collection) -> None:
    """Raise InputError for a collection that cannot be kept."""
    check.positive(f"{field}.end", collection.end)
    check.positive(f"{field}.seconds", collection.seconds)
    kinds = {metric.name: metric.kind for metric in collection.metrics}
    seen: set[SeriesKey] = set()
    for key, value in collection.samples:
        kind = kinds.get(key.name)
        if kind is None or key in seen:
            why = "its metric must be one of the collection's" if kind is None else "a series may be there once"
            raise InputError(f"{field}.samples", key, why)
        seen.add(key)
        if kind is SampleKind.HISTOGRAM:
            fits = isinstance(value, Histogram)
        else:
            fits = type(value) is float and isfinite(value) and (value >= 0.0 or kind is SampleKind.GAUGE)
        if not fits:
            raise InputError(f"{field}.samples", (key, value), f"it is no value of a {kind}")


def collected(collection: Collection, numbers: Iterable[int]) -> Iterator[Row]:
    """Yield the rows of level 0 of a collection, given the numbers of its series."""
    end, seconds = collection.end, collection.seconds
    for number, (_, value) in zip(numbers, collection.samples, strict=True):
        if isinstance(value, Histogram):
            yield 0, number, end, seconds, float(value.count), None, None, to_bytes(value)
        else:
            yield 0, number, end, seconds, value, None, None, None


def folded(level: int, number: int, kind: SampleKind, points: Iterable[SeriesPoint]) -> Iterator[Row]:
    """Yield the rows of the points of a series."""
    for end, seconds, value, lowest, highest, histogram in points:
        if histogram is not None:
            yield level, number, end, seconds, value, None, None, to_bytes(histogram)
        elif kind is SampleKind.GAUGE and not lowest == value == highest:
            yield level, number, end, seconds, value, lowest, highest, None
        else:
            yield level, number, end, seconds, value, None, None, None


def points(kind: SampleKind, rows: Iterable[Sequence[Any]]) -> list[SeriesPoint]:
    """Return what rows of `OF_ONE` say. Raises ValueError for a histogram that is damaged."""
    if kind is not SampleKind.HISTOGRAM:
        return list(map(SeriesPoint._make, rows))
    found: list[SeriesPoint] = []
    before: tuple[bytes, Histogram] | None = None
    for end, seconds, count, _, _, held in rows:
        if before is None or held != before[0]:  # neighbours that are equal, such as those of no errors, are one
            before = held, _decoded(end, held)
        found.append(histogram_point(end, seconds, count, before[1]))
    return found


def _decoded(end: float, held: bytes) -> Histogram:
    try:
        return from_bytes(held)
    except ValueError as error:
        raise ValueError(f"a histogram that ended at {end!r}: {error}") from error
