"""The dashboard on a socket: uvicorn, which stops cleanly, and lets go of clients that went away without a word."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn

from engine_opt.monitoring.dashboard.events import EventHub
from engine_opt.monitoring.dashboard.security import Application

__all__ = ["DashboardServer", "listening"]

LONGEST_WAIT = 30.0
"""Seconds after which a connection is cut whose other end takes nothing of what is sent."""

LONGEST_STOP = 5
"""Seconds in which requests may end when the server stops."""

MOST_CONNECTIONS = 500

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DashboardServer(uvicorn.Server):
    """Serves an application until it is told to stop, by a signal or by `should_exit`; calls `ready` when it does."""

    def __init__(self, application: Application, hub: EventHub, ready: Callable[[], None]) -> None:
        self._hub, self._ready = hub, ready
        super().__init__(
            uvicorn.Config(
                application,
                lifespan="on",
                loop="asyncio",  # these three whatever else is installed
                http="h11",
                ws="none",
                log_config=None,  # logging is set up by whoever runs the process
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=LONGEST_STOP,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop. Streams of events end only if they are told to, and would be waited for."""
        self._hub.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal. Unlike uvicorn, do not raise it again: whoever started the server has more to close."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in _SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises OSError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections inherit it
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(LONGEST_WAIT * 1000))
        made.bind((host, port))
        made.listen(128)
    except OSError:
        made.close()
        raise
    return made
