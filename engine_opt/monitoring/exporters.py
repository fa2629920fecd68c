"""Metrics for programs that export theirs with prometheus_client or OpenTelemetry already; extra `metrics`.

    REGISTRY.register(PrometheusCollector(monitor.snapshot))
    instruments = OpenTelemetryInstruments(meter, monitor.snapshot)

Both read when they are asked, in the thread that asks; whoever records pays nothing for them. Without one of these
libraries in use already, `openmetrics.page` needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any

from engine_opt.errors import EngineError, InputError
from engine_opt.monitoring.histogram import Histogram
from engine_opt.monitoring.metrics import Kind
from engine_opt.monitoring.openmetrics import cumulative, families, number, unit
from engine_opt.monitoring.performance_monitor import MetricRecord

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation
    from prometheus_client import Metric

Source = Callable[[], Iterable[MetricRecord]]
"""Where metrics come from: a monitor's `snapshot`, or a function that adds those of components to it."""

_UCUM = {"seconds": "s", "bytes": "By", "ratio": "1"}  # what OpenTelemetry calls units


class PrometheusCollector:
    """A custom collector for a `prometheus_client` registry; histograms have the buckets of `openmetrics.cumulative`.

    Raises EngineError where prometheus_client is not installed.
    """

    def __init__(self, source: Source) -> None:
        self._source = _callable(source)
        self._library = _library("prometheus_client.core", "prometheus_client")

    def describe(self) -> Iterable[Metric]:
        """Return nothing: which metrics there will be is not known when this is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics. Raises InputError as `openmetrics.page` does."""
        for metric in families(self._source()):
            yield self._family(metric)

    def _family(self, metric: MetricRecord) -> Metric:
        kind = {Kind.COUNTER: "counter", Kind.GAUGE: "gauge"}.get(metric.kind, "histogram")
        family: Metric = self._library.Metric(metric.name, metric.help_text, kind, unit(metric.name))
        for series in metric.series:
            labels = dict(series.labels)
            if not isinstance(series.value, Histogram):
                suffix = "_total" if metric.kind is Kind.COUNTER else ""
                family.add_sample(f"{metric.name}{suffix}", labels, series.value)
                continue
            for bound, count in (*cumulative(series.value), (float("inf"), series.value.count)):
                family.add_sample(f"{metric.name}_bucket", {**labels, "le": number(bound)}, count)
            family.add_sample(f"{metric.name}_count", labels, series.value.count)
            family.add_sample(f"{metric.name}_sum", labels, series.value.total)
        return family


class OpenTelemetryInstruments:
    """Observable instruments of an OpenTelemetry meter: one for each counter and gauge, three for each histogram.

    OpenTelemetry has no observable histogram, and to hand it each value would cost what is saved here. A histogram is
    shown as three counters: `.count`, `.sum`, and `.bucket` with the attribute `le`, by whose rates a backend works out
    quantiles as it does for Prometheus. Instruments have to be made before they are read: those of metrics that came
    later are made by `update`.

    All instruments of one reading show the same moment. Raises EngineError where opentelemetry-api is not installed,
    and otherwise what the meter does.
    """

    def __init__(self, meter: Meter, source: Source) -> None:
        self._meter, self._source = meter, _callable(source)
        self._observation: type[Observation] = _library("opentelemetry.metrics", "opentelemetry-api").Observation
        self._made: set[str] = set()
        self._turn = Lock()
        self._latest: dict[str, MetricRecord] = {}
        self._unread: set[tuple[str, str]] = set()
        self.update()

    def update(self) -> int:
        """Make the instruments of metrics that have come since, and return of how many. Raises InputError as `page`."""
        new = [metric for metric in families(self._source()) if metric.name not in self._made]
        for metric in new:
            self._make(metric)
            self._made.add(metric.name)
        return len(new)

    def _make(self, metric: MetricRecord) -> None:
        name, text, of = metric.name, metric.help_text, _UCUM.get(unit(metric.name), "")
        if metric.kind is Kind.GAUGE:
            self._meter.create_observable_gauge(name, [partial(self._observe, name, "")], of, text)
            return
        parts = {"": of} if metric.kind is Kind.COUNTER else {".count": "", ".sum": of, ".bucket": ""}
        for part, its_unit in parts.items():
            callback = partial(self._observe, name, part)
            self._meter.create_observable_counter(f"{name}{part}", [callback], its_unit, text)

    def _observe(self, name: str, part: str, _options: CallbackOptions) -> Iterable[Observation]:
        metric = self._read(name, part)
        for series in () if metric is None else metric.series:
            labels, value = dict(series.labels), series.value
            if not isinstance(value, Histogram):
                yield self._observation(value, labels)
            elif part == ".bucket":
                for bound, count in (*cumulative(value), (float("inf"), value.count)):
                    yield self._observation(count, {**labels, "le": number(bound)})
            else:
                yield self._observation(value.count if part == ".count" else value.total, labels)

    def _read(self, name: str, part: str) -> MetricRecord | None:
        """Return a metric: of the last moment, unless that was asked for already, which is when a new reading begins."""
        with self._turn:
            if (name, part) not in self._unread:
                self._latest = {metric.name: metric for metric in families(self._source())}
                self._unread = {(each, of) for each in self._made for of in ("", ".count", ".sum", ".bucket")}
            self._unread.discard((name, part))
            return self._latest.get(name)


def _callable(source: Any) -> Source:
    if not callable(source):
        raise InputError("source", source, "it must be a function that returns records, such as a monitor's snapshot")
    found: Source = source
    return found


def _library(module: str, distribution: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise EngineError(f"this needs {distribution}: pip install 'pytest-pe-perf[metrics]'") from None
