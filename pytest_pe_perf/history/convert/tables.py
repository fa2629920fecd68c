"""Runs of a history as CSV and as JSON: a line, or an object, for each value."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator

from pytest_pe_perf.history.record import Record, Value
from pytest_pe_perf.model import METRICS

COLUMNS = (
    "started",
    "environment",
    "commit",
    "test",
    "name",
    "metric",
    "unit",
    "value",
    "reference",
    "low",
    "high",
    "verdict",
)


def csv_lines(records: Iterable[Record]) -> Iterator[str]:
    """Yield a line of names and one for each value, in base units; what is not known is empty (RFC 4180)."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for record in records:
        yield _taken(text)
        for value in record.values:
            writer.writerow(_fields(record, value))
    yield _taken(text)


def _taken(text: io.StringIO) -> str:
    found = text.getvalue()
    text.seek(0)
    text.truncate()
    return found


def json_lines(records: Iterable[Record]) -> Iterator[str]:
    """Yield a JSON list of objects, one for each value; a ratio against zero, which JSON has no word for, is null."""
    separator = "[\n"
    for record in records:
        for value in record.values:
            fields = dict(zip(COLUMNS, map(_plain, _fields(record, value)), strict=True))
            yield separator + json.dumps(fields)
            separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def _fields(record: Record, value: Value) -> tuple[object, ...]:
    about, key = record.about, value.key
    metric = METRICS.get(key.metric)
    place = (about.started, about.environment, about.commit, key.test, key.name, key.metric)
    numbers = (value.value, value.reference, value.low, value.high)
    return (*place, metric.unit if metric else "", *numbers, value.verdict)


def _plain(value: object) -> object:
    return None if value == float("inf") else value
