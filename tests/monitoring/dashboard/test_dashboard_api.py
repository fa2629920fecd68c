"""The dashboard's API, asked over the loopback interface."""

from contextlib import closing

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from engine_opt.monitoring.alerting_system import AlertingSystem, AlertRule
from engine_opt.monitoring.dashboard_backend import Panel, Target
from engine_opt.monitoring.samples import SeriesKey

PANELS = (
    Panel(
        "latency",
        "Time of a component",
        "component_seconds",
        ("p50", "p99"),
        "s",
        by=("component",),
        group="Latency",
        target=Target(0.001, "1 ms"),
    ),
    Panel("memory", "Memory", "rss_bytes", ("value",), "B"),
    Panel("unknown", "Not yet", "no_such", ("rate",), "1/s"),
)


@pytest.fixture(scope="module")
def alerts(store, now, tmp_path_factory):
    """Return a system with one rule, whose alert is pending as soon as it is evaluated, and fires 30 s later."""
    rule = AlertRule(name="much memory", metric="rss_bytes", above=1e6, hold=30.0, notify=())
    path = tmp_path_factory.mktemp("alerts") / "alerts.db"
    with AlertingSystem([rule], store, path, clock=now) as alerts:
        yield alerts


@pytest.fixture(scope="module")
def dashboard(make, alerts):
    return make(alerts=alerts, panels=PANELS)


@pytest.fixture(scope="module")
def ask(helpers, dashboard):
    with helpers.serving(dashboard) as ask:
        yield ask


def test_the_overview_shows_panels_health_and_alerts(ask, helpers):
    shown = ask.get("/api/v1/overview")
    assert (shown["time"], shown["end"], shown["interval"]) == (helpers.start + 300.5, helpers.start + 300.0, 0.5)
    assert shown["health"] == {"status": "ok", "reasons": []}
    assert shown["alerts"] == {"firing": 0, "pending": 1, "acknowledged": 0, "silenced": 0}
    latency, memory, unknown = shown["panels"]
    assert [each["labels"] for each in latency["values"]] == [{"component": "rules"}, {"component": "week"}]
    assert latency["target"] == {"value": 0.001, "label": "1 ms"}
    assert memory["values"] == [{"labels": {}, "values": {"value": 5e7 + 30}}]
    assert unknown["missing"] == "there is no metric no_such yet"


def test_the_chart_of_a_panel_is_a_query_with_what_the_panel_says(ask):
    panel = ask.get("/api/v1/overview")["panels"][0]
    words = [
        ("metric", panel["metric"]),
        *(("by", each) for each in panel["by"]),
        *(("stat", s) for s in panel["stats"]),
    ]
    found = ask.get("/api/v1/query?" + "&".join(f"{name}={value}" for name, value in words) + "&points=1")
    assert [each["labels"] for each in found["series"]] == [each["labels"] for each in panel["values"]]
    assert found["stats"] == ["p50", "p99"]


def test_a_query_answers_in_columns_what_the_store_has(ask, store, helpers):
    found = ask.get(f"/api/v1/query?metric=rss_bytes&start={helpers.start + 100}&end={helpers.start + 150}&stat=max")
    points = store.read(SeriesKey("rss_bytes"), helpers.start + 100, helpers.start + 150)
    assert found == {
        "metric": "rss_bytes",
        "kind": "gauge",
        "help": "Memory.",
        "start": helpers.start + 100,
        "end": helpers.start + 150,
        "stats": ["max"],
        "series": [
            {
                "labels": {},
                "time": [point.end for point in points],
                "seconds": [point.seconds for point in points],
                "values": {"max": [point.highest for point in points]},
            }
        ],
        "total": 1,
        "next": None,
    }
    assert len(points) == 5


def test_a_query_ends_with_the_newest_data_and_goes_back_an_hour(ask, helpers):
    found = ask.get("/api/v1/query?metric=cache_hits&label.cache=bars")
    assert (found["start"], found["end"]) == (helpers.start + 300.0 - 3600.0, helpers.start + 300.0)
    assert found["stats"] == ["rate"]
    assert found["series"][0]["values"]["rate"] == [(30.0 + n % 3) / 10.0 for n in range(1, 31)]


def test_a_number_that_does_not_exist_is_null(ask):
    found = ask.get("/api/v1/query?metric=cache_misses&stat=share&of=no_such&points=2&by=")
    assert found["series"][0]["values"] == {"share": [None, None]}


def test_pages_of_series_follow_each_other(ask):
    whole = ask.get("/api/v1/query?metric=component_seconds")["series"]
    paged, offset = [], 0
    while offset is not None:
        page = ask.get(f"/api/v1/query?metric=component_seconds&limit=3&offset={offset}")
        paged, offset = paged + page["series"], page["next"]
        assert page["total"] == 4
    assert paged == whole
    names = ask.get("/api/v1/series?limit=2&metric=component_seconds")
    assert (len(names["series"]), names["total"], names["next"]) == (2, 4, 2)
    assert ask.get("/api/v1/series?offset=100") == {"series": [], "total": 8, "next": None}


def test_metrics_are_listed_with_their_series(ask):
    found = ask.get("/api/v1/metrics")["metrics"]
    assert [(each["name"], each["kind"], each["series"]) for each in found] == [
        ("cache_hits", "counter", 2),
        ("cache_misses", "counter", 1),
        ("component_seconds", "histogram", 4),
        ("rss_bytes", "gauge", 1),
    ]


@pytest.mark.parametrize(
    ("query", "todo"),
    [
        ("", "missing required field `metric`"),
        ("metric=", "length >= 1"),
        ("metric=rss_bytes&metric=rss_bytes", "give it once"),
        ("metric=rss_bytes&frobnicate=1", "known are: by, end, limit"),
        ("metric=rss_bytes&labels=x", "known are: by, end, limit"),
        ("metric=rss_bytes&label.=x", "needs the name of a label"),
        ("metric=rss_bytes&label.a=x&label.a=y", "give it once"),
        ("metric=rss_bytes&stat=p42", "Invalid enum value"),
        ("metric=rss_bytes&stat=p99", "a gauge has value, min, max"),
        ("metric=rss_bytes&start=nan", "Expected `float`"),
        ("metric=rss_bytes&start=1790000000000", "Expected `float` <= "),
        ("metric=rss_bytes&start=1790000200&end=1790000100", "it must be before the end"),
        ("metric=rss_bytes&start=0", "at most 400 days"),
        ("metric=rss_bytes&start=1790000000&seconds=60", "give it or the start, not both"),
        ("metric=rss_bytes&points=0", "Expected `int` >= 1"),
        ("metric=rss_bytes&points=10000&limit=100", "fewer points or series"),
        ("metric=component_seconds&by=&by=component", "stands alone"),
        ("metric=cache_hits&stat=share", "name counters if a share is asked for"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_with_what_to_do(ask, query, todo):
    status, _, body = ask("GET", f"/api/v1/query?{query}")
    assert status == 400
    assert set(body["error"]) == {"what", "seen", "todo"}
    assert todo in body["error"]["todo"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/query?metric=no_such", 404),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/static/nothing.js", 404),
        ("POST", "/api/v1/alerts", 405),
        ("GET", "/api/v1/silences", 405),
        ("DELETE", "/api/v1/silences/1", 404),
        ("DELETE", "/api/v1/silences/first", 404),
        ("GET", "/api/v1/alerts?all=1", 400),
    ],
)
def test_what_is_not_there_is_said_in_json(ask, helpers, method, path, status):
    found, _, body = ask(method, path, token=helpers.token)
    assert found == status
    assert set(body["error"]) == {"what", "seen", "todo"}


def test_an_answer_is_not_sent_again_until_there_is_new_data(ask, writer, helpers, now, dashboard):
    path = "/api/v1/query?metric=rss_bytes"
    _, headers, before = ask("GET", path)
    kept = dashboard.stats()["again"]
    status, _, body = ask("GET", path, If_None_Match=f'"other", W/{headers["ETag"]}')
    assert (status, body) == (304, b"")
    assert dashboard.stats()["again"] == kept + 1
    with closing(ask.listen()) as events:
        assert events.until("overview")["data"]["end"] == helpers.start + 300.0
        now.now += 10.0
        writer.write([helpers.collection(31)])
        assert events.until("overview")["data"]["end"] == helpers.start + 310.0
    status, _, after = ask("GET", path, If_None_Match=headers["ETag"])
    assert status == 200
    assert after["series"][0]["values"]["value"] == [*before["series"][0]["values"]["value"], 5e7 + 31]


def test_the_text_for_prometheus_has_what_was_counted_since_the_start(ask):
    status, headers, text = ask("GET", "/metrics")
    assert status == 200
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {each.name: each for each in text_string_to_metric_families(text.decode())}
    hits = {each.labels["cache"]: each.value for each in families["cache_hits"].samples}
    assert hits == {"bars": 30.0 + 31.0, "rules": 10.0}  # of the two collections that were seen
    counts = [each.value for each in families["component_seconds"].samples if each.name.endswith("_count")]
    assert counts == [40.0] * 4
    assert families["rss_bytes"].samples[0].value == 5e7 + 31


def test_an_alert_is_taken_on_silenced_and_told_again(ask, alerts, helpers, now):
    (alert,) = ask.get("/api/v1/alerts")["alerts"]
    assert (alert["rule"], alert["state"], alert["acknowledged"]) == ("much memory", "pending", None)
    path = f"/api/v1/alerts/{alert['fingerprint']}/acknowledge"
    taken = {"who": "ana", "note": "looking"}
    assert ask("POST", path, taken, token=helpers.token)[0] == 409
    now.now += 30.0
    alerts.evaluate()
    status, _, body = ask("POST", path, taken, token=helpers.token)
    assert (status, body["alerts"][0]["state"]) == (200, "firing")
    assert body["alerts"][0]["acknowledged"] == {"who": "ana", "note": "looking", "time": now.now}
    assert ask("POST", "/api/v1/alerts/none/acknowledge", taken, token=helpers.token)[0] == 404

    silence = {"matcher": {"rule": "much memory"}, "seconds": 3600, "who": "ana", "why": "deployment"}
    with closing(ask.listen()) as events:
        events.until("alerts")
        status, _, made = ask("POST", "/api/v1/silences", silence, token=helpers.token)
        assert status == 201
        until = silence.pop("seconds") + now.now
        assert made == {**silence, "id": made["id"], "until": until}
        told = events.until("alerts")["data"]
    assert told["silences"] == [made]
    assert told["alerts"][0]["silenced_until"] == now.now + 3600.0
    assert ask.get("/api/v1/overview")["alerts"] == {"firing": 1, "pending": 0, "acknowledged": 1, "silenced": 1}
    status, _, body = ask("DELETE", f"/api/v1/silences/{made['id']}", token=helpers.token)
    assert (status, body["silences"], body["alerts"][0]["silenced_until"]) == (200, [], None)


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        ({"matcher": {}, "seconds": 60, "who": "a", "why": "b"}, "application/json", 400),
        ({"matcher": {"rule": "x"}, "seconds": -1, "who": "a", "why": "b"}, "application/json", 400),
        ({"matcher": {"rule": "x"}, "seconds": 60, "who": "a"}, "application/json", 400),
        ({"matcher": {"rule": "x"}, "seconds": 60, "who": "a", "why": "b", "more": 1}, "application/json", 400),
        ({"matcher": {"rule": 3}, "seconds": 60, "who": "a", "why": "b"}, "application/json", 400),
        ([], "application/json", 400),
        ({"matcher": {"rule": "x"}, "seconds": 60, "who": "a", "why": "b"}, "text/plain", 415),
    ],
)
def test_a_silence_that_cannot_be_is_refused(ask, helpers, body, media, status):
    found, _, answer = ask("POST", "/api/v1/silences", body, token=helpers.token, Content_Type=media)
    assert found == status
    assert answer["error"]["todo"]


def test_the_server_describes_itself(ask):
    described = ask.get("/api/v1/openapi.json")
    assert described["openapi"] == "3.1.0"
    assert set(described["paths"]["/api/v1/silences"]) == {"post"}
    assert described["paths"]["/api/v1/silences"]["post"]["security"] == [{"token": []}]


def test_whatever_is_sent_the_answer_is_one_that_was_described(ask, helpers):
    """Generated from the description: what fits it and what does not. Events are left out, which have no end."""
    described = schemathesis.openapi.from_url(f"http://127.0.0.1:{ask.port}/api/v1/openapi.json")
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
        negative_data_rejection,
    ]
    tried = set()
    operations = [found.ok() for found in described.exclude(path="/api/v1/events").get_all_operations()]
    for operation in operations:
        takes = bool(operation.query or operation.body)
        for mode in [GenerationMode.POSITIVE, GenerationMode.NEGATIVE][: 1 + takes]:

            @settings(
                max_examples=8 if takes else 2,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def try_one(case):
                answer = case.call(headers={"Authorization": f"Bearer {helpers.token}"})
                tried.add((case.operation.label, answer.status_code))
                case.validate_response(answer, checks=checks)

            try_one()
    assert {label for label, _ in tried} == {operation.label for operation in operations}
