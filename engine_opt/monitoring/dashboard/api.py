"""The dashboard's API: what is declared in `schema`, answered from a store and from what `Watch` knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine_opt.errors import InputError
from engine_opt.monitoring.dashboard import schema
from engine_opt.monitoring.dashboard.answers import Answers
from engine_opt.monitoring.dashboard.events import EventHub, EventStream
from engine_opt.monitoring.dashboard.openapi import Refused, document, read_body, read_query
from engine_opt.monitoring.dashboard.queries import Selection, columns, default_stat, groups, info
from engine_opt.monitoring.dashboard.schema import Endpoint
from engine_opt.monitoring.dashboard.security import Application
from engine_opt.monitoring.dashboard.static import PAGE, StaticFile, page_files, tag_of
from engine_opt.monitoring.dashboard.watch import Watch
from engine_opt.monitoring.openmetrics import Form, page

__all__ = ["Api"]

AN_HOUR = 3_600.0

B = TypeVar("B", bound=Struct)


class Api:
    """Answers requests; belongs to one event loop."""

    def __init__(
        self, watch: Watch, hub: EventHub, answers: Answers, *, title: str, version: str, alive: float
    ) -> None:
        self._watch, self._hub, self._answers, self._alive = watch, hub, answers, alive
        self._description = msgspec.json.encode(document(title, version))
        self._files: Mapping[str, StaticFile] = page_files()
        self._requests = 0

    def routes(self) -> list[Route]:
        """Return which function answers what."""
        answered: dict[Endpoint, Callable[[Request], Awaitable[Application]]] = {
            schema.OVERVIEW: self._overview,
            schema.QUERY: self._stored(schema.QUERY, schema.QueryParameters, self._query),
            schema.METRICS: self._stored(schema.METRICS, schema.NoParameters, self._metrics),
            schema.SERIES: self._stored(schema.SERIES, schema.SeriesParameters, self._series),
            schema.METRICS_TEXT: self._stored(
                schema.METRICS_TEXT, schema.NoParameters, self._metrics_text, Form.OPENMETRICS.content_type
            ),
            schema.ALERTS: self._alerts,
            schema.ACKNOWLEDGE: self._acknowledge,
            schema.SILENCE: self._silence,
            schema.UNSILENCE: self._unsilence,
            schema.EVENTS: self._events,
            schema.HEALTH: self._health,
            schema.LIVE: self._live,
            schema.READY: self._ready,
            schema.OPENAPI: self._openapi,
        }
        routes = [Route(each.path, self._checked(each, answered[each]), methods=[each.method]) for each in answered]
        files = [Route("/", self._page), Route("/static/{name:path}", self._page)]
        return [*routes, *files]

    def stats(self) -> Mapping[str, float]:
        """Return how many `requests` were answered, and counts of the answers that are kept."""
        return {"requests": float(self._requests), **self._answers.stats()}

    def _checked(
        self, endpoint: Endpoint, handler: Callable[[Request], Awaitable[Application]]
    ) -> Callable[[Request], Awaitable[Application]]:
        """Return a handler that refuses parameters it does not know. Those that take some check them themselves."""

        async def checked(request: Request) -> Application:
            self._requests += 1
            if endpoint.query is schema.NoParameters:
                read_query(schema.NoParameters, request.query_params.multi_items())
            return await handler(request)

        return checked

    def _stored(
        self,
        endpoint: Endpoint,
        kind: type[B],
        make: Callable[[B, float | None], Struct | bytes],
        media: str = "application/json",
    ) -> Callable[[Request], Awaitable[Application]]:
        """Return a handler whose answers are made from the store, in a thread, and kept."""

        async def handler(request: Request) -> Application:
            end = self._watch.newest()
            key = endpoint.path, request.scope["query_string"]
            kept = self._answers.held(key, end)
            if kept is None:
                parameters = read_query(kind, request.query_params.multi_items())

                def anew(end: float | None) -> bytes:
                    made = make(parameters, end)
                    return made if isinstance(made, bytes) else msgspec.json.encode(made)

                kept = await self._answers.made(key, end, anew)
            return _tagged(request, kept.body, media, kept.tag)

        return handler

    def _query(self, asked: schema.QueryParameters, newest: float | None) -> schema.QueryBody:
        metric = info(self._watch.store, asked.metric)
        if metric is None:
            raise Refused(404, "there is no such metric", asked.metric, "see /api/v1/metrics for those there are")
        end = asked.end if asked.end is not UNSET else newest or 0.0
        start = _start(asked, end)
        _check_size(asked, start, end)
        selection = Selection(
            asked.metric,
            tuple(sorted(asked.labels.items())),
            _by(asked.by),
            tuple(dict.fromkeys(asked.stat)) or (default_stat(metric.kind),),
            tuple(asked.of),
        )
        try:
            found = groups(self._watch.store, metric.kind, selection)
        except InputError as error:
            raise Refused(400, "a parameter was refused", f"{error.field}={error.value}", error.why) from None
        shown = []
        for group in found[asked.offset : asked.offset + asked.limit]:
            read = columns(self._watch.store, metric.kind, group, selection.stats, start, end, asked.points)
            shown.append(schema.ColumnsBody(dict(group.labels), read.time, read.seconds, dict(read.values)))
        return schema.QueryBody(
            metric.name,
            metric.kind.value,
            metric.help_text,
            start,
            end,
            list(selection.stats),
            shown,
            len(found),
            _next(asked.offset, asked.limit, len(found)),
        )

    def _metrics(self, _: schema.NoParameters, __: float | None) -> schema.MetricsBody:
        store = self._watch.store
        return schema.MetricsBody(
            [
                schema.MetricBody(each.name, each.kind.value, each.help_text, len(store.series(each.name)))
                for each in store.metrics()
            ]
        )

    def _series(self, asked: schema.SeriesParameters, _: float | None) -> schema.SeriesListBody:
        found = self._watch.store.series(None if asked.metric is UNSET else asked.metric)
        return schema.SeriesListBody(
            [schema.SeriesBody(key.name, dict(key.labels)) for key in found[asked.offset : asked.offset + asked.limit]],
            len(found),
            _next(asked.offset, asked.limit, len(found)),
        )

    def _metrics_text(self, _: schema.NoParameters, __: float | None) -> bytes:
        return page(self._watch.totals()).encode()

    async def _overview(self, _: Request) -> Application:
        return _now(self._watch.overview())

    async def _alerts(self, _: Request) -> Application:
        return _now(self._watch.alerts())

    async def _acknowledge(self, request: Request) -> Application:
        asked = await _body(request, schema.AcknowledgeBody)
        fingerprint = request.path_params["fingerprint"]
        _, alerts = await self._watch.change(lambda desk: desk.acknowledge(fingerprint, asked.who, asked.note))
        return _now(alerts)

    async def _silence(self, request: Request) -> Application:
        asked = await _body(request, schema.SilenceBody)
        until = self._watch.clock() + asked.seconds
        made, _ = await self._watch.change(lambda desk: desk.silence(asked.matcher, until, asked.who, asked.why))
        return _now(made, 201)

    async def _unsilence(self, request: Request) -> Application:
        silence = request.path_params["id"]
        _, alerts = await self._watch.change(lambda desk: desk.unsilence(silence))
        return _now(alerts)

    async def _events(self, request: Request) -> Application:
        return EventStream(self._hub, self._hub.join(request.headers.get("last-event-id")), alive=self._alive)

    async def _health(self, _: Request) -> Application:
        health = self._watch.health()
        return _now(health, 503 if health.status == "down" else 200)

    async def _ready(self, _: Request) -> Application:
        health = self._watch.health()
        down = [each for each in health.checks if each.status == "down"]
        body = schema.HealthSummaryBody("down" if down else "ok", [f"{each.name}: {each.reason}" for each in down])
        return _now(body, 503 if down else 200)

    async def _live(self, _: Request) -> Application:
        return _now(schema.LiveBody("ok"))

    async def _openapi(self, request: Request) -> Application:
        return _tagged(request, self._description, "application/json", tag_of(self._description))

    async def _page(self, request: Request) -> Application:
        self._requests += 1
        name = request.path_params.get("name", PAGE)
        found = self._files.get(name)
        if found is None:
            raise Refused(404, "there is no such file", name, "the page is /, the API begins with /api/v1/")
        return _tagged(request, *found)


async def refuse(_: Request, error: Exception) -> Response:
    """Answer with what was refused, and why."""
    assert isinstance(error, Refused)
    headers = {"cache-control": "no-store", **error.headers}
    return Response(error.body(), error.status, headers, "application/json")


async def no_such(request: Request, error: Exception) -> Response:
    """Answer what no route was found for."""
    assert isinstance(error, HTTPException)
    what = "no such method here" if error.status_code == 405 else error.detail
    todo = "see /api/v1/openapi.json for what there is"
    seen = f"{request.method} {request.url.path}"
    return await refuse(request, Refused(error.status_code, what, seen, todo, error.headers))


async def broken(request: Request, error: Exception) -> Response:
    """Answer where something of ours went wrong. The server's log has the trace: Starlette raises it again."""
    return await refuse(request, Refused(500, "an error of the server's", type(error).__name__, "see the server's log"))


def _now(body: Struct, status: int = 200) -> Response:
    """Return an answer that is of this moment alone."""
    return Response(msgspec.json.encode(body), status, {"cache-control": "no-store"}, "application/json")


def _tagged(request: Request, body: bytes, media: str, tag: str) -> Response:
    """Return an answer, or that it is the one that the client has already."""
    headers = {"etag": tag, "cache-control": "no-cache"}
    held = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if tag in held:
        return Response(None, 304, headers)
    return Response(body, 200, {**headers, "content-type": media})


async def _body(request: Request, kind: type[B]) -> B:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Refused(415, "the body is of the wrong kind", media or None, "send application/json")
    return read_body(kind, await request.body())


def _by(given: list[str] | UnsetType) -> tuple[str, ...] | None:
    """Return the labels that series are put together by: none at all where a single empty one is given."""
    if given is UNSET:
        return None
    if "" in given and len(given) > 1:
        raise Refused(400, "a parameter was refused", "by=", "an empty one stands alone: it puts all together")
    return tuple(name for name in dict.fromkeys(given) if name)


def _start(asked: schema.QueryParameters, end: float) -> float:
    if asked.start is UNSET:
        return max(end - (AN_HOUR if asked.seconds is UNSET else asked.seconds), 0.0)
    if asked.seconds is not UNSET:
        raise Refused(400, "a parameter was refused", f"seconds={asked.seconds:g}", "give it or the start, not both")
    return asked.start


def _check_size(asked: schema.QueryParameters, start: float, end: float) -> None:
    if not start < end:
        raise Refused(400, "a parameter was refused", f"start={start:g}", f"it must be before the end, {end:g}")
    if end - start > schema.LONGEST_RANGE:
        todo = f"ask for at most {schema.LONGEST_RANGE / 86_400:g} days"
        raise Refused(400, "the range is too long", f"{(end - start) / 86_400:g} days", todo)
    if asked.points * asked.limit > schema.MOST_VALUES:
        todo = f"ask for fewer points or series: together at most {schema.MOST_VALUES}"
        raise Refused(400, "too much at once", f"points={asked.points}, limit={asked.limit}", todo)


def _next(offset: int, limit: int, total: int) -> int | None:
    return offset + limit if offset + limit < total else None
