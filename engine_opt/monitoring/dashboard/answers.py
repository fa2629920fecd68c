"""Answers that are made from the store: kept until there is new data, and made anew for those who will ask again.

A page asks for the same charts whenever it is told of a new collection, and so do all pages at once. So before it is told,
what was asked for since the last one is made anew: whoever asks then has to wait for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from cachetools import LRUCache

from engine_opt.monitoring.dashboard.openapi import Refused
from engine_opt.monitoring.dashboard.reader import Reader
from engine_opt.monitoring.dashboard.static import tag_of

__all__ = ["Answer", "Answers", "Key"]

MOST_KEPT = 16 * 1024 * 1024
"""Bytes of answers that are kept."""

MOST_RENEWED = 64
"""Answers that are made anew before new data is told."""

LONGEST_RENEWAL = 2.0
"""Seconds that new data may wait for that."""

Key = tuple[str, bytes]
"""Path and parameters, as they were asked for."""

Make = Callable[[float | None], bytes]
"""Makes an answer as of the newest collection, by its end; in a thread."""


class Answer(NamedTuple):
    """An answer that is kept.

    Attributes:
        body: as it is sent.
        tag: changes with the body.
        make: makes it anew.

    """

    body: bytes
    tag: str
    make: Make


class Answers:
    """Keeps what was made for the newest collection; belongs to one event loop."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._end: float | None = None
        self._kept = _room()
        self._asked: dict[Key, Make] = {}
        self._under_way: dict[tuple[Key, float | None], asyncio.Task[Answer]] = {}
        self._again = 0

    def held(self, key: Key, end: float | None) -> Answer | None:
        """Return an answer that is kept."""
        found = self._kept.get(key) if end == self._end else None
        if found is not None:
            self._again += 1
            self._note(key, found.make)
        return found

    async def made(self, key: Key, end: float | None, make: Make) -> Answer:
        """Return an answer that is made now, or is being made already. Raises Refused where that fails."""
        self._note(key, make)
        task = self._under_way.get((key, end))
        if task is None:
            task = asyncio.create_task(self._make(key, end, make))
            self._under_way[key, end] = task
            task.add_done_callback(lambda _: self._under_way.pop((key, end)))
        return await asyncio.shield(task)

    async def renew(self, end: float | None) -> None:
        """Keep answers as of a newer collection: those that were asked for since the last one are made anew."""
        asked, self._asked = self._asked, {}
        kept = _room()
        # What fails, or takes too long, is made for who asks for it: who is told then why it cannot be.
        with suppress(Refused, TimeoutError):
            async with asyncio.timeout(LONGEST_RENEWAL):
                for key, make in asked.items():
                    _keep(kept, key, await self._reader(_answer, make, end))
        self._kept, self._end = kept, end

    def stats(self) -> Mapping[str, float]:
        """Return how many answers are `kept`, the bytes of them, and how often one was given `again`."""
        return {
            "kept": float(len(self._kept)),
            "kept_bytes": float(self._kept.currsize),
            "again": float(self._again),
        }

    def _note(self, key: Key, make: Make) -> None:
        """Take note that it was asked for, last of all."""
        self._asked.pop(key, None)
        self._asked[key] = make
        if len(self._asked) > MOST_RENEWED:
            del self._asked[next(iter(self._asked))]

    async def _make(self, key: Key, end: float | None, make: Make) -> Answer:
        made = await self._reader(_answer, make, end)
        if end == self._end:
            _keep(self._kept, key, made)
        return made


def _answer(make: Make, end: float | None) -> Answer:
    body = make(end)
    return Answer(body, tag_of(body), make)


def _room() -> LRUCache[Key, Answer]:
    return LRUCache(MOST_KEPT, getsizeof=lambda kept: len(kept.body))


def _keep(room: LRUCache[Key, Answer], key: Key, answer: Answer) -> None:
    if len(answer.body) <= room.maxsize:
        room[key] = answer
