"""A run as a history remembers it, and the same as JSON lines."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.model import GateReport, Judgement, Key, Row, Run

# Format 1 (0.2): a line about the run, then a line for each value, sorted; a ratio against zero, which JSON has no word
# for, is null. If you change what is written: increment, and read the older ones too.
FORMAT = 1
# What the gate never said: the verdict of a value that another program measured.
IMPORTED = "imported"
# Of SHA-256, in hexadecimal digits: two of a million runs are the same by chance once in 10**12 histories.
_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Value:
    """One row of one run: a point of its trend.

    ``low`` and ``high`` are the 95 % interval of head over base; None where nothing was compared.
    """

    key: Key
    value: float
    reference: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """What a history knows of a run besides its values.

    ``started`` is in UTC, in ISO 8601 with microseconds, so that it sorts as text. ``environment`` is the slug.
    ``digest`` tells runs apart wherever they are kept; it is empty for a run that was added by version 0.1.
    """

    digest: str
    started: str
    environment: str
    context: Mapping[str, str]

    @property
    def commit(self) -> str:
        """The full hash of the commit that was measured; empty where that is not known."""
        return self.context.get("commit", "")


@dataclass(frozen=True, slots=True)
class Record:
    """A run with its values, sorted by their keys."""

    about: About
    values: tuple[Value, ...]


def record_of(run: Run, report: GateReport) -> Record:
    """Return what a history remembers of a run: every judged row that has a value.

    Raises:
        HistoryError: the run's start is no time, or a value is no number.

    """
    rows = {row.key: row for row in run.rows}
    values = [_value(judgement, rows.get(judgement.key)) for judgement in report.judgements]
    return make_record(run.started, run.environment.slug, run.context, [value for value in values if value])


def make_record(started: str, environment: str, context: Mapping[str, str], values: Iterable[Value]) -> Record:
    """Return the record of a run.

    Raises:
        HistoryError: ``started`` is no time, or a value is no number.

    """
    found = tuple(sorted(values, key=lambda value: value.key))
    for value in found:
        if not math.isfinite(value.value):
            raise HistoryError(f"the {value.key.metric} of {value.key.label} is {value.value}, which is no number")
    record = Record(About("", utc(started), environment, dict(context)), found)
    return replace(record, about=replace(record.about, digest=digest_of(encode(record))))


def utc(started: str) -> str:
    """Return the time in UTC, written so that times sort as text; one without a zone is taken as UTC.

    Raises:
        HistoryError: it is no time.

    """
    try:
        time = datetime.fromisoformat(started)
    except ValueError as error:
        raise HistoryError(f"the run says that it started at {started!r}, which is no time") from error
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return time.isoformat(timespec="microseconds")


def _value(judgement: Judgement, row: Row | None) -> Value | None:
    if judgement.value is None:
        return None
    comparison = judgement.comparison
    return Value(
        judgement.key,
        float(judgement.value),
        reference_of(row),
        comparison.low if comparison else None,
        comparison.high if comparison else None,
        judgement.verdict.value,
    )


def reference_of(row: Row | None) -> float | None:
    """Return the least that the reference workload took in any process of a row, None where it ran in none."""
    found = [sample.reference for sample in row.samples if sample.reference is not None] if row else []
    return min(found, default=None)


def digest_of(data: bytes) -> str:
    """Return what tells these bytes from all others."""
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def encode(record: Record) -> bytes:
    """Return the record as JSON lines: the same bytes on every machine and with every version of Python."""
    about = record.about
    head = {"format": FORMAT, "started": about.started, "environment": about.environment, "context": about.context}
    lines: list[object] = [head]
    for value in record.values:
        key = value.key
        line: dict[str, object] = {"test": key.test, "name": key.name, "metric": key.metric, "value": value.value}
        line |= {"reference": value.reference, "low": _finite(value.low), "high": _finite(value.high)}
        lines.append(line | {"verdict": value.verdict})
    return b"".join(_ENCODER.encode(line).encode("ascii") + b"\n" for line in lines)


# Not msgspec: a digest must not change with the way in which a library writes numbers.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def decode(data: bytes, digest: str = "") -> Record:
    """Return the record that ``encode`` made these bytes of. ``digest`` is what it was called, if it has a name.

    Raises:
        HistoryError: they are not what was written, from a newer version, or not ours.

    """
    try:
        first, *rest = [json.loads(line) for line in data.splitlines()]
        found = first["format"]
        if isinstance(found, int) and found > FORMAT:
            raise HistoryError(
                f"format {found} is newer than the {FORMAT} that this version understands: upgrade pytest-pe-perf"
            )
        about = About(digest_of(data), utc(first["started"]), first["environment"], first["context"])
        record = Record(about, tuple(_decoded(rest)))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise HistoryError(f"it is not a run of a history: {error}") from error
    if digest not in ("", about.digest):
        raise HistoryError("it is not what was written: half of it is missing, or it was edited")
    return record


def _decoded(lines: Iterable[dict[str, object]]) -> Iterator[Value]:
    for line in lines:
        key = Key(*(_text(line[name]) for name in ("test", "name", "metric")))
        value = _number(line["value"])
        if value is None:
            raise ValueError(f"{key.label} has no value")
        reference, low, high = (_number(line[name]) for name in ("reference", "low", "high"))
        yield Value(key, value, reference, low, high, _text(line["verdict"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def outdated(runs: Iterable[About], keep: int | None, older: timedelta | None, now: datetime) -> list[About]:
    """Return the runs that may go: beyond the newest ``keep`` of their environment, or longer ago than ``older``.

    ``runs`` come in order, the oldest first. A condition of None lets nothing go.
    """
    by_environment: dict[str, list[About]] = {}
    for run in runs:
        by_environment.setdefault(run.environment, []).append(run)
    border = "" if older is None else (now - older).isoformat(timespec="microseconds")
    gone = []
    for found in by_environment.values():
        extra = 0 if keep is None else max(len(found) - keep, 0)
        gone += [run for place, run in enumerate(found) if place < extra or run.started < border]
    return gone
