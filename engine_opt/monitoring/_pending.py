"""Collections on their way to a store that may fail: in order, each once, and not more than may be kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import islice
from threading import Lock

from engine_opt.monitoring.samples import Collection, MetricStore


class Pending:
    """What a store has not got yet. Who adds never waits for the store.

    A write that failed may have come through all the same, where the answer was lost. So the store is asked for its
    newest collection before the next write: a write keeps all or nothing, and nobody else writes.
    """

    def __init__(self, store: MetricStore, most: int) -> None:
        self._store, self._most = store, most
        self._turn = Lock()  # for what follows
        self._writing = Lock()  # for the store; taken first
        self._waiting: deque[Collection] = deque()
        self._end = 0.0  # of the newest collection added, or in the store
        self._attempted = 0.0  # end of the newest collection of the last write
        self._sure = False  # whether what the store has is known
        self._counts = {"written": 0, "dropped": 0, "failed_writes": 0, "backwards": 0}

    def add(self, collection: Collection) -> Collection:
        """Take a collection, and return it with an end that is after that of the one before."""
        with self._turn:
            collection = self._after(collection)
            self._waiting.append(collection)
            self._drop()
            return collection

    def write(self) -> None:
        """Write everything; raises as the store does, and keeps it."""
        with self._writing:
            try:
                if not self._sure:
                    self._compare(self._store.last())
                with self._turn:
                    batch, self._waiting = self._waiting, deque()
                try:
                    if batch:
                        self._attempted = batch[-1].end
                        self._store.write(tuple(batch))
                except BaseException:
                    with self._turn:
                        self._waiting.extendleft(reversed(batch))
                        self._drop()
                    raise
            except BaseException:
                self._counts["failed_writes"] += 1
                self._sure = False
                raise
            self._counts["written"] += len(batch)

    def stats(self) -> Mapping[str, float]:
        """Return counts of collections written, dropped and pending, of writes that failed, of ends put right."""
        return {name: float(count) for name, count in self._counts.items()} | {"pending": float(len(self._waiting))}

    def _compare(self, newest: Collection | None) -> None:
        """Take account of what the store has."""
        with self._turn:
            if newest is not None:
                if newest.end == self._attempted:
                    through = sum(each.end <= newest.end for each in self._waiting)
                    self._waiting = deque(islice(self._waiting, through, None))
                    self._counts["written"] += through
                if self._waiting and self._waiting[0].end <= newest.end:
                    # The clock is behind what was stored before this process began.
                    self._end = newest.end
                    self._waiting = deque(self._after(each) for each in self._waiting)
                self._end = max(self._end, newest.end)
            self._sure = True

    def _drop(self) -> None:
        while len(self._waiting) > self._most:
            self._waiting.popleft()
            self._counts["dropped"] += 1

    def _after(self, collection: Collection) -> Collection:
        if collection.end <= self._end:
            self._counts["backwards"] += 1
            collection = collection._replace(end=self._end + collection.seconds)
        self._end = collection.end
        return collection
