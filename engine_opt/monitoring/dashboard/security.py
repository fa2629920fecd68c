"""Who may ask the dashboard, and what: checked before anything else looks at a request.

The server listens on the loopback interface, where every page that a browser of this machine shows can reach it. So the
`Host` must be one that it was told of (a name that points to 127.0.0.1 is no key), what changes a state needs a token
that no other page knows, and browsers are told not to put answers into pages of others.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from engine_opt.errors import InputError
from engine_opt.monitoring.dashboard.openapi import Refused

__all__ = ["Guard"]

LARGEST_BODY = 16 * 1024
"""Bytes of a request's body."""

SHORTEST_TOKEN = 16
"""Characters of a token."""

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""Sent with every answer."""

_READING = {"GET", "HEAD", "OPTIONS"}

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """An ASGI application that lets only those requests through to another which may be answered.

    `hosts` are names without a port, an IPv6 address in brackets. Raises InputError where there is none, and for a token
    that could be guessed or does not fit into a header.
    """

    def __init__(self, application: Application, *, hosts: Iterable[str], token: str) -> None:
        self._application = application
        self._hosts = frozenset(host.lower() for host in hosts)
        if not self._hosts or not all(self._hosts):
            raise InputError("hosts", sorted(self._hosts), "it must name at least one host, and no empty one")
        if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
            why = f"it must be at least {SHORTEST_TOKEN} printable ASCII characters, without spaces"
            raise InputError("token", "(not shown)", why)
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        try:
            self._check(scope)
        except Refused as refused:
            await answer(send_guarded, refused)
            return
        await self._application(scope, _limited(receive), send_guarded)

    def _check(self, scope: Scope) -> None:
        host = _only(scope, b"host")
        if host is None or _without_port(host) not in self._hosts:
            todo = f"ask for one of {', '.join(sorted(self._hosts))}, or start the server with this one"
            raise Refused(421, "this host is not served", host, todo)
        length = _only(scope, b"content-length") or "0"
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            raise Refused(413, "the body is too large", f"{length} bytes", f"send at most {LARGEST_BODY} bytes")
        if scope["method"] not in _READING:
            self._check_change(scope, host)

    def _check_change(self, scope: Scope, host: str) -> None:
        origin = _only(scope, b"origin")
        if origin is not None and origin.lower() not in {f"http://{host.lower()}", f"https://{host.lower()}"}:
            raise Refused(403, "a change was asked for by another origin", origin, "ask from the dashboard's own page")
        scheme, _, given = (_only(scope, b"authorization") or "").partition(" ")
        # Compared in a time that does not depend on where they differ.
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
            todo = "send Authorization: Bearer TOKEN, with the token that the server was started with"
            raise Refused(401, "a change needs the token", None, todo, {"www-authenticate": "Bearer"})


async def answer(send: Send, refused: Refused) -> None:
    """Send a refusal."""
    body = refused.body()
    headers = {"content-type": "application/json", "cache-control": "no-store", "content-length": str(len(body))}
    await send(
        {
            "type": "http.response.start",
            "status": refused.status,
            "headers": [(name.encode(), value.encode()) for name, value in {**headers, **refused.headers}.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _limited(receive: Receive) -> Receive:
    """Return what receives a body until it is too large: not every client tells its length."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > LARGEST_BODY:
            raise Refused(413, "the body is too large", None, f"send at most {LARGEST_BODY} bytes")
        return message

    return limited


def _only(scope: Scope, name: bytes) -> str | None:
    """Return a header, None where there is none; several of one name are one too many."""
    found = [value for key, value in scope["headers"] if key == name]
    if len(found) > 1:
        raise Refused(400, "a header was given twice", name.decode(), "give it once")
    return found[0].decode("latin-1") if found else None


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() else host.lower()
