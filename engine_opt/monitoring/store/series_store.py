"""A store of series over tables, whichever database holds them: what is written, thinned out, dropped and read.

The tables are described in `tables`, levels in `downsampling`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, groupby
from threading import Lock
from types import TracebackType
from typing import Any, NamedTuple, Self

from engine_opt import _validate as check
from engine_opt.errors import InputError, StateError, StoreError
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey, SeriesPoint
from engine_opt.monitoring.store.downsampling import (
    WIDTHS,
    Ages,
    Extent,
    Segment,
    checked,
    complete,
    fold_into,
    kept_from,
    plan,
    thinned,
)
from engine_opt.monitoring.store.rows import check_collection, collected, folded, points
from engine_opt.monitoring.store.tables import (
    NEWEST,
    OF_ALL,
    OF_ONE,
    SCHEMA,
    TABLES,
    TOO_OLD,
    Database,
    Row,
    Statements,
)


class _State(NamedTuple):
    """What is known before rows are looked at: the first and the newest collection, and what each level has."""

    first: float
    newest: float
    seconds: float
    extents: list[Extent]


class _Known(NamedTuple):
    """A series."""

    number: int
    kind: SampleKind


class SeriesStore:
    """A `MetricStore` over tables.

    `ages` says how long rows are kept; retention and down-sampling are done by `write`, a bit at a time, in the time of
    the data: no clock is read. So a collection from a clock that jumped ahead makes older rows old at once. Threads may
    share a store and take turns. Made by `metric_store.open_store`.
    """

    def __init__(self, database: Database, ages: Ages) -> None:
        """Check the tables, or make them. Raises InputError for ages that are none, StoreError."""
        self._ages = checked(ages)
        self._database = database
        self._turn = Lock()
        self._closed = False
        self._series: dict[SeriesKey, _Known] = {}
        self._metrics: dict[str, MetricInfo] = {}
        self._counts = {"writes": 0, "collections": 0, "samples": 0, "failed": 0, "reads": 0}
        with database.transaction() as run:
            if self._is_new(run):
                database.create(run)
                run.run("INSERT INTO metric_store VALUES (:schema, 0.0, 0.0, 0.0)", schema=SCHEMA)
                for level in range(len(WIDTHS)):
                    run.run("INSERT INTO metric_level VALUES (:level, 0.0, 0.0)", level=level)

    def write(self, collections: Sequence[Collection]) -> None:
        """Keep `collections`, all or none, and thin out what is old.

        Raises StoreError where that fails: the database does, a collection does not end after the one before, or a
        metric was of another kind; InputError for what is no collection; StateError for a store that is closed.
        """
        for index, each in enumerate(collections):
            check_collection(f"collections[{index}]", each)
        with self._turn:
            self._check_open()
            if self._database.read_only:
                raise StateError(f"metric store {self._database.name} was opened to read only: open it for writing")
            if not collections:
                return
            series, metrics = self._series.copy(), self._metrics.copy()
            try:
                with self._database.transaction() as run:
                    if not series:
                        self._refresh(run)
                    self._keep(run, collections)
                    self._thin_out(run, collections[-1].end)
            except BaseException:
                self._series, self._metrics = series, metrics
                self._counts["failed"] += 1
                raise
            self._counts["writes"] += 1
            self._counts["collections"] += len(collections)
            self._counts["samples"] += sum(len(each.samples) for each in collections)

    def metrics(self) -> tuple[MetricInfo, ...]:
        """Return what is kept, by name."""
        with self._reading() as run:
            self._refresh(run)
            return tuple(self._metrics[name] for name in sorted(self._metrics))

    def series(self, name: str | None = None) -> tuple[SeriesKey, ...]:
        """Return the series of a metric, or all, sorted."""
        with self._reading() as run:
            self._refresh(run)
            return tuple(sorted(key for key in self._series if name is None or key.name == name))

    def read(self, key: SeriesKey, start: float, end: float, *, most: int = 1_000) -> tuple[SeriesPoint, ...]:
        """Return a series from `start` (excluded) to `end` (included), oldest first, in `most` points at most.

        What is older comes in coarser points, and so does what would take more than ten rows for a point. Raises
        InputError for times that are none, or less than one point; StoreError.
        """
        return self.read_many([key], start, end, most=most)[0]

    def read_many(
        self, keys: Sequence[SeriesKey], start: float, end: float, *, most: int = 1_000
    ) -> list[tuple[SeriesPoint, ...]]:
        """Return what `read` returns of each of `keys`, all as of the same moment."""
        start, end = _time("start", start), _time("end", end)
        if type(most) is not int or most < 1:
            raise InputError("most", most, "it must be a whole number of points, at least 1")
        with self._reading() as run:
            if not self._series.keys() >= set(keys):
                self._refresh(run)
            state = self._state(run)
            start, end = max(start, 0.0), min(end, state.newest)
            span = max(end - max(start, state.first), 0.0)
            segments = plan(state.extents, span, state.seconds or 1.0, start, end, most)
            return [self._read(run, self._series.get(key), segments, start, end, most) for key in keys]

    def last(self) -> Collection | None:
        """Return the newest collection, samples and metrics sorted; None where there is none."""
        with self._reading() as run:
            self._refresh(run)
            state = self._state(run)
            if not state.newest:
                return None
            rows = {number: row for number, *row in run.run(NEWEST, ended=state.newest)}
            samples = []
            for key, known in sorted(self._series.items()):
                if known.number in rows:
                    (point,) = self._points(known.kind, [rows[known.number]])
                    samples.append(Sample(key, point.value if point.histogram is None else point.histogram))
            names = sorted({sample.key.name for sample in samples})
            metrics = tuple(self._metrics[name] for name in names)
            return Collection(state.newest, state.seconds, metrics, tuple(samples))

    def stats(self) -> Mapping[str, float]:
        """Return counts since the store was opened: of `writes`, and the `collections` and `samples` in them.

        `failed`: writes that failed; `reads`: series read; `metrics`, `series`: those known.
        """
        known = {"metrics": float(len(self._metrics)), "series": float(len(self._series))}
        return {name: float(count) for name, count in self._counts.items()} | known

    def close(self) -> None:
        """Let go of the database; may be called again."""
        with self._turn:
            self._closed = True
            self._database.close()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StateError(f"metric store {self._database.name} is closed: open it again")

    @contextmanager
    def _reading(self) -> Iterator[Statements]:
        with self._turn:
            self._check_open()
            with self._database.transaction() as run:
                yield run

    def _is_new(self, run: Statements) -> bool:
        """Return whether there are no tables yet; raises StoreError for those of somebody else, or of a newer version."""
        there = self._database.tables(run)
        ours = there & set(TABLES)
        if not ours:
            if self._database.read_only:
                raise StoreError(self._database.name, "there is no store yet: start what writes to it first")
            return True
        found = run.run("SELECT schema FROM metric_store") if "metric_store" in ours else []
        if len(found) == 1 and found[0][0] > SCHEMA:
            why = f"schema {found[0][0]} is newer than the {SCHEMA} that this version understands: upgrade"
            raise StoreError(self._database.name, f"{why} pytest-pe-perf")
        if ours != set(TABLES) or [tuple(row) for row in found] != [(SCHEMA,)]:
            raise StoreError(
                self._database.name, "its tables are not those of a store: restore it from a copy, or give another one"
            )
        return False

    def _state(self, run: Statements) -> _State:
        ((first, newest, seconds),) = run.run("SELECT first, newest, seconds FROM metric_store")
        levels = run.run("SELECT kept_from, folded_to FROM metric_level ORDER BY level")
        return _State(first, newest, seconds, [Extent(*each) for each in levels])

    def _refresh(self, run: Statements) -> None:
        """Learn of metrics and series that another process has added."""
        for name, kind, help_text in run.run("SELECT name, kind, help_text FROM metric_info"):
            self._metrics[name] = MetricInfo(name, SampleKind(kind), help_text)
        known = max((each.number for each in self._series.values()), default=0)
        for number, name, labels in run.run(
            "SELECT id, name, labels FROM metric_series WHERE id > :known", known=known
        ):
            key = SeriesKey(name, tuple((label, value) for label, value in json.loads(labels)))
            self._series[key] = _Known(number, self._metrics[name].kind)

    def _keep(self, run: Statements, collections: Sequence[Collection]) -> None:
        """Put the collections into the tables."""
        state = self._state(run)
        before = state.newest
        for each in collections:
            if each.end <= before:
                raise StoreError(
                    self._database.name,
                    f"a collection that ended at {each.end!r} was refused: it must be after {before!r}, the newest",
                )
            before = each.end
            for metric in each.metrics:
                if self._metrics.get(metric.name) != metric:
                    self._learn(run, metric)
        run.insert([row for each in collections for row in collected(each, self._numbers(run, each))])
        first, last = collections[0], collections[-1]
        run.run(
            "UPDATE metric_store SET first = :first, newest = :newest, seconds = :seconds",
            first=state.first or first.end - first.seconds,
            newest=last.end,
            seconds=last.seconds,
        )

    def _learn(self, run: Statements, metric: MetricInfo) -> None:
        held = self._metrics.get(metric.name)
        if held is not None and held.kind is not metric.kind:
            raise StoreError(
                self._database.name,
                f"metric {metric.name} was kept as a {held.kind} and is now a {metric.kind}: give it another name",
            )
        run.run(
            "INSERT INTO metric_info (name, kind, help_text) VALUES (:name, :kind, :help_text) "
            "ON CONFLICT (name) DO UPDATE SET help_text = excluded.help_text",
            name=metric.name,
            kind=metric.kind.value,
            help_text=metric.help_text,
        )
        self._metrics[metric.name] = metric

    def _numbers(self, run: Statements, collection: Collection) -> Iterator[int]:
        series = self._series
        return ((series.get(key) or self._enter(run, key)).number for key, _ in collection.samples)

    def _enter(self, run: Statements, key: SeriesKey) -> _Known:
        """Give a new series its number."""
        number = max((each.number for each in self._series.values()), default=0) + 1
        run.run(
            "INSERT INTO metric_series (id, name, labels) VALUES (:number, :name, :labels)",
            number=number,
            name=key.name,
            labels=json.dumps(key.labels),
        )
        self._series[key] = _Known(number, self._metrics[key.name].kind)
        return self._series[key]

    def _thin_out(self, run: Statements, newest: float) -> None:
        """Put what is complete together, finest level first, and drop what is too old."""
        before = self._state(run).extents
        extents = before.copy()
        for level in range(1, len(WIDTHS)):
            due = complete(newest, WIDTHS[level])
            if due > extents[level].folded_to:
                self._fold(run, level, extents[level].folded_to, due)
                extents[level] = extents[level]._replace(folded_to=due)
        for level, age in enumerate(self._ages):
            above = extents[level + 1].folded_to if level + 1 < len(WIDTHS) else newest
            until = kept_from(newest, age, level, above)
            if until > extents[level].kept_from:
                run.run(TOO_OLD, level=level, until=until)
                extents[level] = extents[level]._replace(kept_from=until)
        for level, extent in enumerate(extents):
            if extent == before[level]:
                continue
            run.run(
                "UPDATE metric_level SET kept_from = :kept_from, folded_to = :folded_to WHERE level = :level",
                level=level,
                kept_from=extent.kept_from,
                folded_to=extent.folded_to,
            )

    def _fold(self, run: Statements, level: int, start: float, end: float) -> None:
        """Make the rows of a level for complete intervals from those of the finer one."""
        rows = run.run(OF_ALL, level=level - 1, start=start, end=end)
        kinds = {known.number: known.kind for known in self._series.values()}
        made: list[Row] = []
        for number, each in groupby(rows, lambda row: int(row[0])):
            kind = kinds[number]
            finer = self._points(kind, (row[1:] for row in each))
            made += folded(level, number, kind, fold_into(kind, finer, WIDTHS[level]))
        run.insert(made)

    def _read(
        self,
        run: Statements,
        known: _Known | None,
        segments: Iterable[Segment],
        start: float,
        end: float,
        most: int,
    ) -> tuple[SeriesPoint, ...]:
        if known is None:
            return ()
        self._counts["reads"] += 1
        rows = chain.from_iterable(run.run(OF_ONE, series=known.number, **each._asdict()) for each in segments)
        return thinned(known.kind, self._points(known.kind, rows), start, end, most)

    def _points(self, kind: SampleKind, rows: Iterable[Sequence[Any]]) -> list[SeriesPoint]:
        try:
            return points(kind, rows)
        except ValueError as error:
            raise StoreError(self._database.name, f"{error}; restore the store from a copy") from error


def _time(field: str, value: float) -> float:
    """Return a time, which may be infinite: without a beginning, or without an end."""
    return value if value in (check.INF, -check.INF) else check.finite(field, value)
