"""What the dashboard's API takes and gives, declared once: requests are checked by it, and OpenAPI is made from it."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType

from engine_opt.monitoring.dashboard.queries import STATS

MOST_POINTS = 10_000
MOST_SERIES = 100
MOST_VALUES = 200_000
"""Points times series of one answer."""
LONGEST_RANGE = 400 * 86_400.0
"""Seconds that a query may ask for."""
LATEST = 4_102_444_800.0
"""The year 2100: a time beyond it is milliseconds given by mistake."""

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(min_length=1, max_length=500)]
Time = Annotated[float, Meta(ge=0.0, le=LATEST)]
Offset = Annotated[int, Meta(ge=0, le=1_000_000, description="how many to skip")]
State = Literal["ok", "degraded", "down"]


class ErrorDetail(Struct, frozen=True):
    """What happened, what was seen, what to do."""

    what: str
    seen: str | None
    todo: str


class ErrorBody(Struct, frozen=True):
    """A request that was not answered."""

    error: ErrorDetail


class NoParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Takes none."""


class SeriesParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Which series to list."""

    metric: Annotated[Name, Meta(description="name of a metric; all if left out")] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=1_000, description="at most so many")] = 200
    offset: Offset = 0


class QueryParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Which series, from when to when, put together how."""

    metric: Annotated[Name, Meta(description="name of a metric")]
    labels: Annotated[dict[str, Annotated[str, Meta(max_length=200)]], Meta(max_length=20)] = {}
    stat: Annotated[
        list[Literal[STATS]],  # type: ignore[valid-type]  # the very names that can be asked for
        Meta(max_length=6, description="what to show; what fits depends on the kind of the metric"),
    ] = []
    start: Annotated[Time, Meta(description="excluded")] | UnsetType = UNSET
    end: Annotated[Time, Meta(description="included; that of the newest collection if left out")] | UnsetType = UNSET
    seconds: (
        Annotated[
            float,
            Meta(ge=1.0, le=LONGEST_RANGE, description="from so long before the end; an hour without this and a start"),
        ]
        | UnsetType
    ) = UNSET
    points: Annotated[int, Meta(ge=1, le=MOST_POINTS, description="at most so many of each series")] = 500
    by: (
        Annotated[
            list[Annotated[str, Meta(max_length=128)]],
            Meta(max_length=10, description="labels by which series are put together; an empty one: all together"),
        ]
        | UnsetType
    ) = UNSET
    of: Annotated[list[Name], Meta(max_length=10, description="counters that are the whole, for the stat share")] = []
    limit: Annotated[int, Meta(ge=1, le=MOST_SERIES, description="at most so many series")] = 20
    offset: Offset = 0


class AcknowledgeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Who looks after an alert."""

    who: Annotated[str, Meta(min_length=1, max_length=100)]
    note: Annotated[str, Meta(max_length=500)] = ""


class SilenceBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What not to tell of, how long, and why."""

    matcher: Annotated[dict[Name, Annotated[str, Meta(max_length=200)]], Meta(min_length=1, max_length=20)]
    seconds: Annotated[float, Meta(gt=0.0, le=30 * 86_400.0)]
    who: Annotated[str, Meta(min_length=1, max_length=100)]
    why: Text


class MetricBody(Struct, frozen=True):
    """A metric that is kept."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    series: int


class MetricsBody(Struct, frozen=True):
    """All metrics that are kept."""

    metrics: list[MetricBody]


class SeriesBody(Struct, frozen=True):
    """A series that is kept."""

    metric: str
    labels: dict[str, str]


class SeriesListBody(Struct, frozen=True):
    """A page of series."""

    series: list[SeriesBody]
    total: int
    next: int | None


class ColumnsBody(Struct, frozen=True):
    """A series, or several put together, over time."""

    labels: dict[str, str]
    time: list[float]
    seconds: list[float]
    values: dict[str, list[float | None]]


class QueryBody(Struct, frozen=True):
    """A page of series over time."""

    metric: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    start: float
    end: float
    stats: list[str]
    series: list[ColumnsBody]
    total: int
    next: int | None


class TargetBody(Struct, frozen=True):
    """A line to hold against."""

    value: float
    label: str


class ValuesBody(Struct, frozen=True):
    """The numbers of a group of series."""

    labels: dict[str, str]
    values: dict[str, float | None]


class PanelBody(Struct, frozen=True):
    """Numbers that are shown together."""

    id: str
    title: str
    group: str
    unit: str
    metric: str
    labels: dict[str, str]
    by: list[str] | None
    stats: list[str]
    of: list[str]
    seconds: float
    target: TargetBody | None
    missing: str | None
    values: list[ValuesBody]


class CountsBody(Struct, frozen=True):
    """How many alerts there are in each state."""

    firing: int
    pending: int
    acknowledged: int
    silenced: int


class HealthSummaryBody(Struct, frozen=True):
    """How the monitoring is, in short."""

    status: State
    reasons: list[str]


class OverviewBody(Struct, frozen=True):
    """What is shown at once."""

    time: float
    end: float | None
    interval: float
    health: HealthSummaryBody
    alerts: CountsBody | None
    panels: list[PanelBody]


class CheckBody(Struct, frozen=True):
    """How one part of the monitoring is."""

    name: str
    status: State
    reason: str | None
    age: float | None


class HealthBody(Struct, frozen=True):
    """How the monitoring is."""

    status: State
    reasons: list[str]
    checks: list[CheckBody]


class LiveBody(Struct, frozen=True):
    """The server answers."""

    status: Literal["ok"]


class AcknowledgedBody(Struct, frozen=True):
    """Who looks after an alert."""

    who: str
    note: str
    time: float


class AlertBody(Struct, frozen=True):
    """An alert."""

    fingerprint: str
    rule: str
    metric: str
    state: Literal["pending", "firing", "resolved", "broken"]
    severity: str
    labels: dict[str, str]
    summary: str
    value: float | None
    since: float
    acknowledged: AcknowledgedBody | None
    silenced_until: float | None
    reason: str | None


class SilencedBody(Struct, frozen=True):
    """A silence."""

    id: int
    matcher: dict[str, str]
    until: float
    who: str
    why: str


class AlertsBody(Struct, frozen=True):
    """All alerts and silences."""

    alerts: list[AlertBody]
    silences: list[SilencedBody]


class Endpoint(NamedTuple):
    """One method of one path.

    Attributes:
        method, path: of HTTP; a part of the path in braces is text.
        does: what people read.
        answer: the type of the answer; None where it is text.
        query: the type of its parameters.
        body: the type of what is sent; None where nothing is.
        status: of the answer.
        media: its media type.
        may: what else may be answered, by status; the rest is refused for reasons that all endpoints share.

    """

    method: str
    path: str
    does: str
    answer: type[Struct] | None
    query: type[Struct] = NoParameters
    body: type[Struct] | None = None
    status: int = 200
    media: str = "application/json"
    may: tuple[int, ...] = ()


V1 = "/api/v1"
EVENTS = Endpoint("GET", f"{V1}/events", "tell what is new, as it happens", None, media="text/event-stream", may=(429,))
METRICS_TEXT = Endpoint(
    "GET",
    "/metrics",
    "the newest values, for Prometheus",
    None,
    media="application/openmetrics-text",
    may=(404, 503),
)
LIVE = Endpoint("GET", f"{V1}/health/live", "whether the server answers", LiveBody)
READY = Endpoint(
    "GET", f"{V1}/health/ready", "whether there is something to answer from", HealthSummaryBody, may=(503,)
)
HEALTH = Endpoint("GET", f"{V1}/health", "how the monitoring is", HealthBody, may=(503,))
METRICS = Endpoint("GET", f"{V1}/metrics", "all metrics", MetricsBody, may=(503,))
SERIES = Endpoint("GET", f"{V1}/series", "all series", SeriesListBody, SeriesParameters, may=(503,))
QUERY = Endpoint("GET", f"{V1}/query", "series over time", QueryBody, QueryParameters, may=(404, 503))
OVERVIEW = Endpoint("GET", f"{V1}/overview", "what is shown at once", OverviewBody, may=(503,))
ALERTS = Endpoint("GET", f"{V1}/alerts", "alerts and silences", AlertsBody, may=(404, 503))
ACKNOWLEDGE = Endpoint(
    "POST",
    f"{V1}/alerts/{{fingerprint}}/acknowledge",
    "say who looks after an alert",
    AlertsBody,
    body=AcknowledgeBody,
    may=(404, 409, 503),
)
SILENCE = Endpoint(
    "POST", f"{V1}/silences", "do not tell for a while", SilencedBody, body=SilenceBody, status=201, may=(404, 503)
)
UNSILENCE = Endpoint("DELETE", f"{V1}/silences/{{id}}", "tell again", AlertsBody, may=(404, 503))
OPENAPI = Endpoint("GET", f"{V1}/openapi.json", "this description", None)

ENDPOINTS = (
    OVERVIEW,
    QUERY,
    METRICS,
    SERIES,
    ALERTS,
    ACKNOWLEDGE,
    SILENCE,
    UNSILENCE,
    EVENTS,
    HEALTH,
    LIVE,
    READY,
    METRICS_TEXT,
    OPENAPI,
)
