"""Metrics as a page of text that is scraped: OpenMetrics 1.0, or the older text format of Prometheus.

    page(monitor.snapshot())

The two differ in what `# TYPE` calls a counter, in what is escaped, and in the line that ends the page. Prometheus reads
both; `promtool check metrics` and files for its node exporter want the older one. Whatever the numbers are, there is a
page: what cannot be a sample is left out, and counted on it.

Sources: OpenMetrics 1.0.0 (prometheus.io/docs/specs/om/open_metrics_spec); Prometheus, Exposition formats, text 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import accumulate
from math import ceil, floor, isfinite, log2
from types import MappingProxyType

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.monitoring.histogram import PER_DOUBLING, Histogram, bounds
from engine_opt.monitoring.metrics import Kind
from engine_opt.monitoring.performance_monitor import MetricRecord, SeriesRecord

__all__ = ["LEFT_OUT", "REFUSED", "Form", "cumulative", "families", "number", "page", "unit"]

REFUSED = "monitor_series_refused"
"""A counter for each metric of which series were asked for that did not fit, where there is one."""

LEFT_OUT = "monitor_series_left_out"
"""A gauge for each metric of which series are not shown, since their numbers cannot be, where there is one."""

_UNITS = ("seconds", "bytes", "ratio")  # of those of OpenMetrics, what a name of ours may end in
_INTO = int(PER_DOUBLING)


class Form(StrEnum):
    """How a page is written."""

    OPENMETRICS = "openmetrics"
    PROMETHEUS = "prometheus"

    @property
    def content_type(self) -> str:
        """What an HTTP answer calls a page of this form."""
        return _CONTENT_TYPES[self]


_CONTENT_TYPES: Mapping[Form, str] = MappingProxyType(
    {
        Form.OPENMETRICS: "application/openmetrics-text; version=1.0.0; charset=utf-8",
        Form.PROMETHEUS: "text/plain; version=0.0.4; charset=utf-8",
    }
)
_TYPES = {
    Kind.COUNTER: "counter",
    Kind.GAUGE: "gauge",
    Kind.HISTOGRAM: "histogram",
    Kind.TIMER: "histogram",
}


def page(records: Iterable[MetricRecord], form: Form = Form.OPENMETRICS) -> str:
    """Return metrics as text, in the order in which they come; several records of one name become one metric.

    Histograms get one bucket for each doubling, as `cumulative` has them. Raises InputError for an unknown form, two
    records of one name that differ in more than their series, and a series that is there twice.
    """
    form = check.member(Form, "form", form)
    lines = [line for metric in families(records) for line in _written(metric, form)]
    if form is Form.OPENMETRICS:
        lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines)


def families(records: Iterable[MetricRecord]) -> tuple[MetricRecord, ...]:
    """Return metrics as exports show them: each name once, only numbers that can be shown, and what that left out.

    A counter can show what is finite and not negative; a gauge anything. Raises InputError as `page` does.
    """
    merged: dict[str, MetricRecord] = {}
    for record in records:
        before = merged.get(record.name, record._replace(series=(), refused=0))
        if (before.kind, before.help_text) != (record.kind, record.help_text):
            raise InputError("records", record.name, "two metrics of this name differ in kind or text")
        merged[record.name] = before._replace(
            series=(*before.series, *record.series), refused=before.refused + record.refused
        )
    shown = [_shown(metric) for metric in merged.values()]
    refused = {metric.name: metric.refused for metric in merged.values() if metric.refused}
    left_out = {
        old.name: len(old.series) - len(new.series)
        for old, new in zip(merged.values(), shown, strict=True)
        if len(old.series) > len(new.series)
    }
    for name, kind, text, counts in (
        (REFUSED, Kind.COUNTER, "Series that were asked for and did not fit.", refused),
        (LEFT_OUT, Kind.GAUGE, "Series that are not shown, since their numbers cannot be.", left_out),
    ):
        if counts and name in merged:
            raise InputError("records", name, "this name is that of an export's own metric: choose another one")
        if counts:
            series = tuple(SeriesRecord((("metric", each),), float(count)) for each, count in counts.items())
            shown.append(MetricRecord(name, kind, text, series, 0))
    return tuple(shown)


def cumulative(histogram: Histogram) -> tuple[tuple[float, int], ...]:
    """Return upper bounds, one for each doubling of the range, and exactly how many values do not exceed each.

    They are bounds of the histogram's own buckets, a hair (2 %) above the powers of two, so that whole numbers which
    are one are counted where `less or equal` says: 1.02, 2.04, 4.08. The bounds depend on the range alone, and do not
    change from page to page. All values together, which includes those above the range, are `histogram.count`.
    """
    first, last = (floor(log2(each) * PER_DOUBLING) for each in (histogram.lowest, histogram.highest))
    wanted = range(ceil(first / _INTO) * _INTO + 1, last + 1, _INTO)
    reached = tuple(accumulate(histogram.counts, initial=histogram.below))
    places, found, at = histogram.places, [], 0
    for bound in wanted:
        while at < len(places) and places[at] < bound:
            at += 1
        found.append((bounds(bound)[0], reached[at]))
    return tuple(found)


def number(value: float) -> str:
    """Return a number in the shortest way that reads back as the same."""
    if isfinite(value):
        return repr(float(value))
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"  # noqa: PLR0124 - only NaN differs from itself


def unit(name: str) -> str:
    """Return the unit that a metric's name ends in; nothing where it has none."""
    return next((each for each in _UNITS if name.endswith(f"_{each}")), "")


def _shown(metric: MetricRecord) -> MetricRecord:
    """Return a metric without the series that cannot be shown. Raises InputError where one is there twice."""
    seen = set()
    for series in metric.series:
        if (labels := frozenset(series.labels)) in seen:
            raise InputError("records", metric.name, f"its series {dict(series.labels)} is there twice")
        seen.add(labels)
    counts = metric.kind is Kind.COUNTER
    fits = (each for each in metric.series if not counts or _countable(each.value))
    return metric._replace(series=tuple(fits))


def _countable(value: float | Histogram) -> bool:
    return not isinstance(value, Histogram) and isfinite(value) and value >= 0.0


def _written(metric: MetricRecord, form: Form) -> Iterator[str]:
    """Yield the lines of a metric; the older format names a counter as its samples are named."""
    modern = form is Form.OPENMETRICS
    name = metric.name if modern or metric.kind is not Kind.COUNTER else f"{metric.name}_total"
    yield f"# TYPE {name} {_TYPES[metric.kind]}"
    if modern and (of := unit(name)):
        yield f"# UNIT {name} {of}"
    yield f"# HELP {name} {_escaped(metric.help_text, quotes=modern)}"
    for series in metric.series:
        own = [f'{each}="{_escaped(text, quotes=True)}"' for each, text in series.labels]
        for suffix, le, said in _samples(metric.kind, series.value):
            labels = ",".join(own if le is None else [*own, f'le="{le}"'])
            yield f"{metric.name}{suffix}{labels and f'{{{labels}}}'} {said}"


def _samples(kind: Kind, value: float | Histogram) -> Iterator[tuple[str, str | None, str]]:
    """Yield what each sample of a series adds to the metric's name, its upper bound if it has one, and its number."""
    if not isinstance(value, Histogram):
        yield "_total" if kind is Kind.COUNTER else "", None, number(value)
        return
    for bound, count in cumulative(value):
        yield "_bucket", number(bound), str(count)
    yield "_bucket", "+Inf", str(value.count)
    yield "_count", None, str(value.count)
    yield "_sum", None, number(value.total)


def _escaped(text: str, *, quotes: bool) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text
