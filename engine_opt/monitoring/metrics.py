"""The metrics of a performance monitor: counters, gauges and histograms, each with its series by labels.

They are made by `PerformanceMonitor`. Keep the series that `labels` returns, where it is used often: recording to it
takes no lock and looks nothing up.
"""

# ruff: noqa: SLF001 - a histogram's series writes into its recorder

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from math import floor, log2
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring._threads import Sum, ThreadCells
from engine_opt.monitoring.histogram import LARGEST, PER_DOUBLING, Histogram, HistogramRecorder

OVERFLOW = "__overflow__"
"""The value of every label of the series that takes what does not fit."""

LONGEST_VALUE = 128
"""Characters of a label's value; a longer one does not fit."""

_WORD = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
# OpenMetrics 1.0 makes the names of samples from that of their metric by these: two metrics could get the same.
_SUFFIXES = ("_total", "_created", "_count", "_sum", "_bucket", "_gcount", "_gsum", "_info")
_LARGEST_INT = 10**150  # LARGEST, but quicker to compare whole numbers with
_RESERVED = {"le", "quantile", "outcome"}


class Kind(StrEnum):
    """What a metric does with the numbers it is given."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    TIMER = "timer"


class MetricSpec(NamedTuple):
    """What a metric is called and holds: two of one name must not differ in any of it.

    Attributes:
        name: valid in OpenMetrics.
        kind: what it does with numbers.
        help_text: what it means, for the people who read it.
        labels: the names of its labels.
        lowest, highest: the range of its histograms; None where it has none.

    """

    name: str
    kind: Kind
    help_text: str
    labels: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None


def checked(spec: MetricSpec) -> MetricSpec:
    """Return `spec` if every part of it can be exported. Raises InputError where one cannot."""
    name = spec.name
    if type(name) is not str or not _WORD.fullmatch(name):
        raise InputError("name", name, "it must be made of a-z, A-Z, 0-9 and _, and not start with a digit")
    if name.endswith(_SUFFIXES):
        raise InputError("name", name, f"it must not end in {', '.join(_SUFFIXES)}, which exports add")
    if spec.kind is Kind.TIMER and not name.endswith("_seconds"):
        raise InputError("name", name, "a timer counts seconds: it must end in _seconds")
    _encodable("help_text", spec.help_text)
    if not spec.help_text.strip():
        raise InputError("help_text", spec.help_text, "it must say what the metric means")
    for label in spec.labels:
        if type(label) is not str or not _WORD.fullmatch(label) or label.startswith("__"):
            raise InputError(
                "labels", label, "a label must be made of a-z, A-Z, 0-9 and _, and not start with 0-9 or __"
            )
        if label in _RESERVED:
            raise InputError("labels", label, f"{', '.join(sorted(_RESERVED))} have a meaning of their own")
    if len(set(spec.labels)) < len(spec.labels):
        raise InputError("labels", spec.labels, "each label may be named once")
    return spec


def label_names(labels: object) -> tuple[str, ...]:
    """Return `labels` as a tuple, its members unchecked; raises InputError where it is no sequence, or empty."""
    if isinstance(labels, str) or not isinstance(labels, Sequence) or not labels:
        raise InputError("labels", labels, "it must be a list of names; leave it out where there are none")
    return tuple(labels)


class Counter:
    """Counts what happened; never goes down."""

    __slots__ = ("_mine", "_number", "_threads")

    def __init__(self, threads: ThreadCells, number: int) -> None:
        self._threads, self._mine, self._number = threads, threads.mine, number

    def inc(self, amount: float = 1) -> None:
        """Add to it. Raises InputError for an amount that is negative, not finite, no number, or beyond 1e150."""
        if type(amount) is not int or not 0 <= amount <= _LARGEST_INT:
            amount = check.between("amount", amount, 0.0, LARGEST)
        try:
            cell = self._mine.cells[self._number]
        except (AttributeError, KeyError):
            cell = self._threads.add(self._number, Sum)
        cell.total += amount

    def value(self) -> float:
        """Return what all threads have counted up to now."""
        return float(self._threads.value(self._number) or 0)


class Gauge:
    """Shows a value that goes up and down: the last that was set, and what has been added since.

    Of several threads that set it at once, one is the last. Adding loses nothing, whichever threads do it; where the
    same gauge is set as well, its value has the precision of the largest sum that was added.
    """

    __slots__ = ("_added", "_level", "_mine", "_number", "_threads")

    def __init__(self, threads: ThreadCells, number: int) -> None:
        self._threads, self._mine, self._number = threads, threads.mine, number
        self._level: float | None = None
        self._added = False

    def set(self, value: float) -> None:
        """Show a value. Raises InputError where it is not finite, no number, or beyond 1e150."""
        if type(value) is not float or not -LARGEST <= value <= LARGEST:
            value = check.between("value", value, -LARGEST, LARGEST)
        # What other threads add from here on is added to this value.
        self._level = value - (self._threads.value(self._number) or 0) if self._added else value

    def add(self, amount: float) -> None:
        """Add to it; to take away, add what is negative. Raises InputError as `set` does."""
        if type(amount) is not int or not -_LARGEST_INT <= amount <= _LARGEST_INT:
            amount = check.between("amount", amount, -LARGEST, LARGEST)
        try:
            cell = self._mine.cells[self._number]
        except (AttributeError, KeyError):
            cell = self._threads.add(self._number, Sum)
            self._added = True
        cell.total += amount

    def value(self) -> float | None:
        """Return what it shows; None where nothing was ever set or added."""
        level = self._level
        added = self._threads.value(self._number) if self._added else None
        return level if added is None else float((level or 0) + added)


class HistogramSeries:
    """Records values, of which quantiles are asked later."""

    __slots__ = ("_make", "_mine", "_number", "_threads")

    def __init__(self, threads: ThreadCells, number: int, lowest: float, highest: float) -> None:
        self._threads, self._mine, self._number = threads, threads.mine, number
        self._make = partial(HistogramRecorder, lowest=lowest, highest=highest)

    def record(self, value: float) -> None:
        """Count a value. Raises InputError for NaN, an infinity, what is negative or beyond 1e150, and no number."""
        try:
            recorder = self._mine.cells[self._number]
        except (AttributeError, KeyError):
            recorder = self._threads.add(self._number, self._make)
        if type(value) is not float or not recorder._lowest <= value <= recorder._highest:
            recorder.record(value)
            return
        # What the recorder would do, written out: calls and checks would double what it costs.
        place = floor(log2(value) * PER_DOUBLING) - recorder._first
        if value < recorder._least:  # noqa: PLR1730 - here and below: calling min() costs more than comparing
            recorder._least = value
        if value > recorder._most:  # noqa: PLR1730
            recorder._most = value
        recorder._total += value
        try:
            recorder._counts[place] += 1
        except OverflowError:
            recorder._count(place)

    def value(self) -> Histogram:
        """Return what all threads have recorded up to now."""
        found: Histogram | None = self._threads.value(self._number)
        return self._make().value() if found is None else found


class SilentCounter(Counter):
    """A counter of a monitor that is off."""

    __slots__ = ()

    def inc(self, amount: float = 1) -> None:
        """Do nothing."""


class SilentGauge(Gauge):
    """A gauge of a monitor that is off."""

    __slots__ = ()

    def set(self, value: float) -> None:
        """Do nothing."""

    def add(self, amount: float) -> None:
        """Do nothing."""


class SilentHistogramSeries(HistogramSeries):
    """A histogram of a monitor that is off."""

    __slots__ = ()

    def record(self, value: float) -> None:
        """Do nothing."""


S = TypeVar("S")


class Labelled(Generic[S]):
    """A metric: one series for each combination of the values of its labels that was asked for, up to a limit.

    One without labels has one series.
    """

    def __init__(self, spec: MetricSpec, make: Callable[[], S], most: int, threads: ThreadCells) -> None:
        self.spec = spec
        self._make, self._most, self._threads = make, most, threads
        self._width = len(spec.labels)
        self._key: Callable[[dict[str, str]], object] = itemgetter(*spec.labels) if spec.labels else tuple
        self._series: dict[object, tuple[tuple[str, ...], S]] = {}  # by what `_key` makes of the values
        self._refused = 0

    @property
    def refused(self) -> int:
        """How often a series was asked for that did not fit, and the overflow was given instead."""
        return self._refused

    def labels(self, **values: str) -> S:
        """Return the series of these values, which must be given for every label; a new one where there is none.

        Where there are as many as the monitor allows, or a value is longer than 128 characters, it is the overflow:
        one series, whose labels all have the value `__overflow__`, takes everything that does not fit, and `refused`
        counts how often it was asked for. So what labels are made of may be anything: memory does not grow with it,
        and whoever counts goes on.

        Raises InputError for a label that is missing or not known, and a value that is not text.
        """
        try:
            found = self._series.get(self._key(values))
        except (KeyError, TypeError):  # one is missing, or has no hash
            found = None
        if found is None or len(values) != self._width:
            found = self._find(values)
        return found[1]

    def series(self) -> tuple[tuple[tuple[str, ...], S], ...]:
        """Return all series with the values of their labels, in the order of the names, oldest first."""
        return tuple(self._series.values())

    def _find(self, values: dict[str, str]) -> tuple[tuple[str, ...], S]:
        """Return what there is not yet, or the overflow."""
        names = self.spec.labels
        if set(values) != set(names):
            raise InputError("labels", values, f"{self.spec.name} has the labels {', '.join(names)}: give each of them")
        for name in names:
            _encodable(name, values[name])
        plain = {name: str.__str__(values[name]) for name in names}  # of a StrEnum, the text alone
        with self._threads.turn():
            fits = len(self._series) < self._most and all(len(each) <= LONGEST_VALUE for each in plain.values())
            if self._key(plain) not in self._series and not fits:
                self._refused += 1
                plain = dict.fromkeys(names, OVERFLOW)
            key = self._key(plain)
            return self._series.get(key) or self._series.setdefault(key, (tuple(plain.values()), self._make()))


class SilentLabelled(Labelled[S]):
    """A metric with labels, of a monitor that is off: has one series, whatever is asked for, and shows none."""

    def __init__(self, spec: MetricSpec, make: Callable[[], S], most: int, threads: ThreadCells) -> None:
        super().__init__(spec, make, most, threads)
        self._silent = make()

    def labels(self, **values: str) -> S:  # noqa: ARG002 - looked at by those that are on
        """Return the series that does nothing."""
        return self._silent


def _encodable(field: str, text: Any) -> None:
    """Raise InputError for what is no text, or cannot be written to a file."""
    if not isinstance(text, str):
        raise InputError(field, text, "it must be text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(field, text, "it has half a surrogate pair in it, which is no text") from None
