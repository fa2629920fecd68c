"""Counts that components keep themselves, as metrics: what `stats()` returns, with the meaning that it lacks.

    POOL = StatTable("pool", (Stat("created", Kind.COUNTER, "Objects made."), Stat("<kind>.open", Kind.GAUGE, "Open.")))
    POOL.records(pool.stats(), name="buffers")

Whoever counts pays for an addition, and nothing else until somebody asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine_opt.errors import InputError
from engine_opt.monitoring.metrics import Kind, MetricSpec, checked
from engine_opt.monitoring.performance_monitor import MetricRecord, SeriesRecord

_PLACE = re.compile(r"<(\w+)>")


class Stat(NamedTuple):
    """What a number of `stats()` means.

    Attributes:
        pattern: its name; `<word>` stands for any text, and makes a label `word` of it.
        kind: a counter where it only grows, or a gauge; None where it is shown by others already.
        help_text: what it means, for the people who read it.
        name: of the metric, after the table's prefix; where it is not given, what the pattern has besides places.

    """

    pattern: str
    kind: Kind | None
    help_text: str = ""
    name: str | None = None

    def inside(self, part: str) -> Stat:
        """Return the same of a component that is part of another one, whose `stats()` name it so."""
        return self._replace(
            pattern=f"{part}.{self.pattern}", name=None if self.name is None else f"{part}_{self.name}"
        )


class StatTable:
    """What all numbers of a component's `stats()` mean; of patterns that fit, the first counts.

    Raises InputError for what OpenMetrics does not allow (as `PerformanceMonitor.counter` does), and for a kind that a
    number cannot be.
    """

    def __init__(self, prefix: str, stats: Sequence[Stat]) -> None:
        self._stats = tuple((_expression(stat.pattern), _spec(prefix, stat)) for stat in stats)

    def records(self, stats: Mapping[str, float], **labels: str) -> tuple[MetricRecord, ...]:
        """Return a component's numbers as metrics, each series with these labels first.

        Raises InputError for a number that the table does not know.
        """
        found: dict[str, MetricRecord] = {}
        for name, value in stats.items():
            spec, places = self._meaning(name)
            if spec is not None:
                before = found.get(spec.name, MetricRecord(spec.name, spec.kind, spec.help_text, (), 0))
                named = tuple((label, _writable(text)) for label, text in (*labels.items(), *places.items()))
                found[spec.name] = before._replace(series=(*before.series, SeriesRecord(named, float(value))))
        return tuple(found.values())

    def _meaning(self, name: str) -> tuple[MetricSpec | None, Mapping[str, str]]:
        for expression, spec in self._stats:
            if fits := expression.fullmatch(name):
                return spec, fits.groupdict()
        raise InputError("stats", name, "nothing is known of what it means: describe it in the table of its component")


def _writable(text: str) -> str:
    """Return a text that can be written to a file: half a surrogate pair, which is no text, is spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _expression(pattern: str) -> re.Pattern[str]:
    texts = _PLACE.split(pattern)
    parts = (f"(?P<{text}>.+)" if number % 2 else re.escape(text) for number, text in enumerate(texts))
    return re.compile("".join(parts), re.DOTALL)


def _spec(prefix: str, stat: Stat) -> MetricSpec | None:
    if stat.kind is None:
        return None
    if stat.kind not in (Kind.COUNTER, Kind.GAUGE):
        raise InputError("kind", stat.kind, f"{stat.pattern} is one number: it is a counter or a gauge")
    name = stat.name or "_".join(re.findall(r"\w+", _PLACE.sub(" ", stat.pattern)))
    return checked(MetricSpec(f"{prefix}_{name}", stat.kind, stat.help_text, tuple(_PLACE.findall(stat.pattern))))
