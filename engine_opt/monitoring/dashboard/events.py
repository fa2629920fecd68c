"""What is new, told to whoever listens: server-sent events, each a whole state, with memory that does not grow.

A client that connects gets the newest event of each kind, and from there on what is published. Who does not read is let
go when so many events wait for it as its queue holds: it may come again, and gets the newest then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from engine_opt.monitoring.dashboard.openapi import Refused
from engine_opt.monitoring.dashboard.security import Message, Receive, Scope, Send

__all__ = ["EventHub", "EventStream"]

RETRY = 3_000
"""Milliseconds after which a browser connects again."""

LONGEST_FAREWELL = 1.0
"""Seconds that the end of a stream may take to be sent."""


class Event(NamedTuple):
    """One state that was told.

    Attributes:
        number: counted from 1.
        text: as it is sent.

    """

    number: int
    text: bytes


class Client:
    """Somebody who listens."""

    def __init__(self, waiting: int) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(waiting)
        self.over = asyncio.Event()


class EventHub:
    """Sends events to all that listen; belongs to one event loop.

    `era` tells one run of the server from another, in the ids. `most_clients` listen at once at most, and `waiting`
    events wait at most for each.
    """

    def __init__(self, era: str, *, most_clients: int = 200, waiting: int = 16) -> None:
        self._era, self._most, self._waiting = era, most_clients, waiting
        self._newest: dict[str, Event] = {}
        self._clients: set[Client] = set()
        self._number = self._dropped = self._refused = 0
        self._closed = False

    def publish(self, kind: str, data: bytes) -> None:
        """Tell everybody a state, JSON on one line; whoever has too much to read already is let go."""
        self._number += 1
        text = b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (self._era.encode(), self._number, kind.encode(), data)
        self._newest[kind] = Event(self._number, text)
        for client in tuple(self._clients):
            if client.queue.full():
                self._dropped += 1
                self._clients.discard(client)
                client.over.set()
            else:
                client.queue.put_nowait(text)

    def join(self, last_id: str | None) -> Client:
        """Return a new client, who has seen everything up to `last_id`. Raises Refused where there are too many."""
        if self._closed or len(self._clients) >= self._most:
            self._refused += 1
            todo = "close another page, or come again later"
            raise Refused(429, "too many clients listen", f"{len(self._clients)}", todo, {"retry-after": "10"})
        client = Client(self._waiting)
        seen = self._seen(last_id)
        for event in sorted(self._newest.values()):
            if event.number > seen:
                client.queue.put_nowait(event.text)
        self._clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """Forget a client."""
        self._clients.discard(client)

    def stats(self) -> Mapping[str, float]:
        """Return how many `clients` there are, and events `published`, clients `dropped` and `refused` up to now."""
        return {
            "clients": float(len(self._clients)),
            "published": float(self._number),
            "dropped": float(self._dropped),
            "refused": float(self._refused),
        }

    def close(self) -> None:
        """Let everybody go; nobody may join any more."""
        self._closed = True
        for client in self._clients:
            client.over.set()
        self._clients.clear()

    def _seen(self, last_id: str | None) -> int:
        """Return the number of the last event that a client has seen; 0 where it was another run of the server."""
        era, _, number = (last_id or "").rpartition("-")
        if era != self._era or not (number.isascii() and number.isdecimal()) or len(number) > 18:
            return 0
        return int(number) if int(number) <= self._number else 0


class EventStream:
    """The answer to a client, an ASGI application: what it is told, until it goes or is let go."""

    def __init__(self, hub: EventHub, client: Client, *, alive: float) -> None:
        """Say that the server is alive after `alive` seconds without an event."""
        self._hub, self._client, self._alive = hub, client, alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - of ASGI
        """Send events. What goes wrong in it is raised."""
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        tasks: list[asyncio.Task[Any]] = []
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            tasks += [
                asyncio.create_task(each) for each in (self._tell(send), self._client.over.wait(), _gone(receive))
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(self._client)
            for task in tasks:
                task.cancel()
        await asyncio.wait(tasks)
        if not tasks[0].cancelled():
            tasks[0].result()  # telling ends by an error alone
        if not self._client.queue.full():
            # The server stops. To one that does not read nothing more can be sent, and its connection is cut.
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_FAREWELL):
                    await send({"type": "http.response.body", "body": b""})

    async def _tell(self, send: Send) -> None:
        await send(_part(b"retry: %d\n\n" % RETRY))
        while True:
            try:
                # Not wait_for, which in Python 3.11 may lose that the task was cancelled.
                async with asyncio.timeout(self._alive):
                    text = await self._client.queue.get()
            except TimeoutError:
                text = b": alive\n\n"
            await send(_part(text))


def _part(text: bytes) -> Message:
    return {"type": "http.response.body", "body": text, "more_body": True}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
