"""The dashboard: a JSON API, events and a page on what a metric store holds, in a process of its own.

    panels = [Panel("latency", "Time of a component", "component_seconds", ("p50", "p99"), unit="s", by=("component",))]
    with open_store(path, read_only=True) as store:
        run(store, panels=panels, ready=lambda address, token: print(f"{address}/#token={token}"))

What it answers is in docs/reference/dashboard-api.md. It needs the extra `dashboard` (Starlette and uvicorn).
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from engine_opt import _validate as check
from engine_opt.errors import ConfigError, InputError
from engine_opt.monitoring.dashboard.alerts import AlertDesk
from engine_opt.monitoring.dashboard.answers import Answers
from engine_opt.monitoring.dashboard.events import EventHub
from engine_opt.monitoring.dashboard.openapi import Refused
from engine_opt.monitoring.dashboard.queries import Panel, Target
from engine_opt.monitoring.dashboard.reader import Reader
from engine_opt.monitoring.dashboard.security import Guard, Receive, Scope, Send
from engine_opt.monitoring.dashboard.watch import Watch
from engine_opt.monitoring.samples import MetricStore

if TYPE_CHECKING:
    from engine_opt.monitoring.alerting_system import AlertingSystem
    from engine_opt.monitoring.dashboard.api import Api

__all__ = ["LOOPBACK", "Dashboard", "Panel", "Target", "create_app", "run"]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine, for itself."""

_LOOPBACK_ADDRESSES = ("127.0.0.1", "localhost", "::1")

SWITCH = 0.0005
"""Seconds after which a thread that reads gives way to the event loop, which at the usual 5 ms would wait for it at each
system call: while a long series is worked out, an answer that takes 1 ms would take 15."""

VERSION = "1"
"""Of the API."""


class Dashboard:
    """An ASGI application; made by `create_app`.

    Looks at the store and evaluates the alerts while its lifespan lasts, and not before; it has one lifespan.
    """

    def __init__(self, application: Guard, hub: EventHub, api: Api) -> None:
        self._application, self._api = application, api
        self.hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._application(scope, receive, send)

    def stats(self) -> Mapping[str, float]:
        """Return counts of requests, of answers that are kept, and of clients that listen to events."""
        return {**self._api.stats(), **self.hub.stats()}


def create_app(
    store: MetricStore,
    *,
    token: str,
    alerts: AlertingSystem | None = None,
    panels: Iterable[Panel] = (),
    hosts: Sequence[str] = LOOPBACK,
    interval: float = 10.0,
    limit: float = 2.0,
    alive: float = 15.0,
    most_clients: int = 200,
    title: str = "engine_opt dashboard",
    clock: Callable[[], float] = time.time,
    steady: Callable[[], float] = time.monotonic,
) -> Dashboard:
    """Return the dashboard of a store, an ASGI application.

    `token` lets change what can be changed; `hosts` are the names under which it may be asked, without ports. Every
    `interval` seconds there should be a new collection, and the alerts are evaluated. Nothing is waited for longer than
    `limit` seconds. Clients that listen, `most_clients` of them, are told after `alive` seconds without news that the
    server is there. `clock` gives seconds since the epoch, `steady` seconds for ages.

    Raises InputError for what makes no sense, two panels of one id among it, and ConfigError without the extra
    `dashboard`. The store must let several threads read it. Neither it nor the alerts are closed, and delivering
    messages is not started.
    """
    interval, limit, alive = (
        check.positive(name, value) for name, value in (("interval", interval), ("limit", limit), ("alive", alive))
    )
    if type(most_clients) is not int or most_clients < 1:
        raise InputError("most_clients", most_clients, "it must be a whole number of clients, at least 1")
    shown = tuple(panels)
    if len({panel.id for panel in shown}) < len(shown):
        raise InputError("panels", [panel.id for panel in shown], "each panel needs an id of its own")
    _needs_extra()
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException

    from engine_opt.monitoring.dashboard.api import Api, broken, no_such, refuse

    hub = EventHub(f"{int(clock()):x}", most_clients=most_clients)
    desk = None if alerts is None else AlertDesk(alerts, steady)
    reader = Reader("the store", threads=2, waiting=64, limit=limit)
    answers = Answers(reader)
    watch = Watch(store, desk, shown, hub, answers, interval=interval, limit=limit, clock=clock, steady=steady)
    api = Api(watch, hub, answers, title=title, version=VERSION, alive=alive)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        await watch.look()
        looking = asyncio.create_task(watch.run())
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            hub.close()
            reader.close()
            watch.close()

    handlers = {Refused: refuse, HTTPException: no_such, Exception: broken}
    application = Starlette(routes=api.routes(), exception_handlers=handlers, lifespan=lifespan)
    return Dashboard(Guard(application, hosts=hosts, token=token), hub, api)


def run(
    store: MetricStore,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    hosts: Sequence[str] | None = None,
    ready: Callable[[str, str], None] = lambda address, token: None,  # noqa: ARG005 - nobody has to be told
    **options: Any,
) -> None:
    """Serve the dashboard of a store until SIGINT or SIGTERM; then return. It should have a process of its own.

    Port 0 takes any that is free. A token is made where none is given. `ready` is told the address, such as
    `http://127.0.0.1:8765`, and the token, once there is an answer to be had. `options` are those of `create_app`.

    Raises InputError as `create_app` does, and for another address than that of the loopback interface without `hosts`
    that say as what it is known there; OSError where the address cannot be had.
    """
    if hosts is None and host not in _LOOPBACK_ADDRESSES:
        raise InputError("hosts", None, f"{host} can be reached by others: name the hosts that it may be asked as")
    if type(port) is not int or not 0 <= port <= 65_535:
        raise InputError("port", port, "it must be a whole number from 0 to 65535")
    token = secrets.token_urlsafe(24) if token is None else token
    dashboard = create_app(store, token=token, hosts=LOOPBACK if hosts is None else hosts, **options)
    from engine_opt.monitoring.dashboard.server import DashboardServer, listening

    with listening(host, port) as made:
        address = f"http://{f'[{host}]' if ':' in host else host}:{made.getsockname()[1]}"
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH)
        try:
            DashboardServer(dashboard, dashboard.hub, lambda: ready(address, token)).run([made])
        finally:
            sys.setswitchinterval(before)


def _needs_extra() -> None:
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"the dashboard needs {' and '.join(missing)}: pip install 'pytest-pe-perf[dashboard]'")
