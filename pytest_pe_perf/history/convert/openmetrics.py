"""A run as OpenMetrics text, for a push gateway or a text-file collector.

Format: https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import datetime

from pytest_pe_perf.history.record import Record, Value
from pytest_pe_perf.model import METRICS, Metric, Verdict

_UNITS = {"s": "seconds", "B": "bytes", "1": ""}
_FAILING = {Verdict.REGRESSED.value, Verdict.OVER_BUDGET.value}


def render(record: Record) -> str:
    """Return the run as one exposition: a gauge for each metric, in base units, and one that says what fails."""
    return "".join(f"{line}\n" for line in _lines(record))


def _lines(record: Record) -> Iterator[str]:
    moment = f"{datetime.fromisoformat(record.about.started).timestamp():.6f}"
    for metric in METRICS.values():
        found = [value for value in record.values if value.key.metric == metric.name]
        if found:
            name = yield from _head(metric)
            for value in found:
                yield f"{name}{_labels(record, value)} {value.value!r} {moment}"
    yield "# TYPE pe_perf_failed gauge"
    yield "# HELP pe_perf_failed Whether the gate calls it regressed or over budget."
    for value in record.values:
        labels = _labels(record, value, metric=value.key.metric)
        yield f"pe_perf_failed{labels} {int(value.verdict in _FAILING)} {moment}"
    yield "# EOF"


def _head(metric: Metric) -> Generator[str, None, str]:
    unit = _UNITS[metric.unit]
    name = f"pe_perf_{metric.name}_{unit}" if unit else f"pe_perf_{metric.name}"
    yield f"# TYPE {name} gauge"
    if unit:
        yield f"# UNIT {name} {unit}"
    yield f"# HELP {name} {_escaped(metric.title)}"
    return name


def _labels(record: Record, value: Value, **more: str) -> str:
    labels = {"test": value.key.test, "name": value.key.name, **more, "environment": record.about.environment}
    labels |= {"commit": record.about.commit}
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items() if text) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
