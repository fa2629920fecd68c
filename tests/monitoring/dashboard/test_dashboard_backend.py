"""The dashboard as a whole: when its store or alerts fail, when something hangs, and in a process of its own."""

import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from contextlib import closing

import pytest

from engine_opt.errors import ConfigError, InputError, StoreError
from engine_opt.monitoring.alerting_system import AlertingSystem, AlertRule
from engine_opt.monitoring.dashboard.static import page_files
from engine_opt.monitoring.dashboard_backend import Panel, create_app, run
from engine_opt.monitoring.metric_store import open_store


class Moody:
    """A store that does as the real one does, until it is told to fail or to hang."""

    def __init__(self, store):
        self._store = store
        self.error = None
        self.calls = Counter()
        self.go_on = threading.Event()
        self.go_on.set()

    def __getattr__(self, name):
        def call(*args, **options):
            self.calls[name] += 1
            assert self.go_on.wait(20)
            if self.error is not None:
                raise self.error
            return getattr(self._store, name)(*args, **options)

        return call


@pytest.fixture
def moody(store):
    return Moody(store)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreError("metrics.db", "it is gone"), "it is gone"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (RuntimeError("a mistake of ours"), "RuntimeError: a mistake of ours"),
    ],
)
def test_while_the_store_fails_the_reason_is_told_and_health_answers(make, helpers, moody, error, said):
    with helpers.serving(make(moody)) as ask, closing(ask.listen()) as events:
        ask.get("/api/v1/overview")
        assert events.until("health")["data"]["status"] == "ok"
        moody.error = error
        told = events.until("health")["data"]
        assert told["status"] == "down"
        assert said in told["checks"][0]["reason"]
        for path in ("/api/v1/overview", "/api/v1/query?metric=rss_bytes", "/api/v1/metrics", "/metrics"):
            status, _, body = ask("GET", path)
            assert (status, said in body["error"]["seen"]) == (503, True)
        assert ask("GET", "/api/v1/health")[0] == 503
        assert ask("GET", "/api/v1/health/ready")[0] == 503
        assert ask("GET", "/api/v1/health/live")[0] == 200
        moody.error = None
        assert events.until("health")["data"]["status"] == "ok"
        assert ask.get("/api/v1/health/ready") == {"status": "ok", "reasons": []}


def test_a_store_that_is_damaged_is_told_with_what_to_do(make, helpers, tmp_path):
    """Its newest collection can still be read, or not even that: the reason is told, and no number is made up."""
    path = tmp_path / "metrics.db"
    with open_store(path) as store:
        store.write([helpers.collection(number) for number in range(1, 301)])
    content = bytearray(path.read_bytes())
    content[4096 * 8 : -4096 * 2] = b"\x55" * (len(content) - 4096 * 10)
    path.write_bytes(content)
    with open_store(path, read_only=True) as reader, helpers.serving(make(reader)) as ask:
        status, _, body = ask("GET", "/api/v1/query?metric=rss_bytes&seconds=3000")
        assert status == 503
        assert "restore it from a copy" in body["error"]["seen"]
        status, _, health = ask("GET", "/api/v1/health")
        assert (status, health["status"]) == (503, "down")
        assert "restore it from a copy" in health["reasons"][0]


def test_what_hangs_is_given_up_and_health_answers_all_the_while(make, helpers, moody):
    with helpers.serving(make(moody, limit=0.1)) as ask, closing(ask.listen()) as events:
        events.until("health")
        moody.go_on.clear()
        status, _, body = ask("GET", "/api/v1/metrics")
        assert (status, body["error"]["seen"]) == (503, "no answer within 0.1 s")
        told = events.until("health")["data"]
        assert told["status"] == "down"
        assert told["checks"][0]["reason"] in {"no answer within 0.1 s", "1 readings have not ended yet"}
        moody.go_on.set()
        assert events.until("health")["data"]["status"] == "ok"


def test_alerts_that_cannot_be_evaluated_degrade_and_take_nothing_else_along(
    make, helpers, moody, store, now, tmp_path
):
    """The alerts read through a store that fails, the dashboard through one that does not."""
    rule = AlertRule(name="memory", metric="rss_bytes", above=1e12)
    with (
        AlertingSystem([rule], moody, tmp_path / "alerts.db", clock=now) as alerts,
        helpers.serving(make(store, alerts=alerts)) as ask,
        closing(ask.listen()) as events,
    ):
        assert events.until("health")["data"]["status"] == "ok"
        moody.error = StoreError("metrics.db", "it is gone")
        told = events.until("health")["data"]
        assert told["status"] == "degraded"
        assert [each["status"] for each in told["checks"]] == ["ok", "ok", "degraded", "ok"]
        assert "alerting: " in told["reasons"][0]
        assert ask("GET", "/api/v1/health")[0] == 200
        assert ask.get("/api/v1/health/ready")["status"] == "ok"
        assert ask.get("/api/v1/alerts") == {"alerts": [], "silences": []}
        ask.get("/api/v1/overview")


def test_those_who_ask_for_the_same_at_once_share_one_reading(make, helpers, moody):
    """Twenty ask while the store hangs."""
    dashboard = make(moody)
    with helpers.serving(dashboard) as ask:
        moody.go_on.clear()
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(ask.get("/api/v1/query?metric=rss_bytes"))) for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        asked = threading.Event()
        while dashboard.stats()["requests"] < 20:
            assert not asked.wait(0.01)
        moody.go_on.set()
        for thread in threads:
            thread.join()
    assert len(found) == 20
    assert all(each == found[0] for each in found)
    assert moody.calls["read"] == 1


def test_what_was_asked_for_is_made_anew_before_new_data_is_told(make, helpers, moody, writer, now):
    path = "/api/v1/query?metric=rss_bytes&seconds=100"
    with helpers.serving(make(moody)) as ask, closing(ask.listen()) as events:
        before = ask.get(path)
        assert len(before["series"][0]["time"]) == 10
        events.until("overview")
        now.now += 10.0
        writer.write([helpers.collection(31)])
        end = events.until("overview")["data"]["end"]
        read = moody.calls["read"]
        after = ask.get(path)
        assert (after["end"], after["start"], moody.calls["read"]) == (end, end - 100.0, read)
        assert after["series"][0]["time"] == [*before["series"][0]["time"][1:], end]


def test_a_store_without_data_is_shown_as_such(make, helpers, tmp_path):
    panel = Panel("memory", "Memory", "rss_bytes", ("value",), "B")
    with closing(open_store(tmp_path / "empty.db")) as empty, helpers.serving(make(empty, panels=[panel])) as ask:
        shown = ask.get("/api/v1/overview")
        assert (shown["end"], shown["alerts"]) == (None, None)
        assert shown["panels"][0]["missing"] == "nothing was collected yet"
        assert shown["health"] == {"status": "degraded", "reasons": ["collection: nothing was collected yet"]}
        assert ask.get("/api/v1/metrics") == {"metrics": []}
        assert ask("GET", "/api/v1/query?metric=rss_bytes")[0] == 404
        assert ask.get("/metrics") == b"# EOF\n"


def test_of_the_page_only_what_browsers_ask_for_is_served(tmp_path):
    (tmp_path / "vendor").mkdir()
    for name in ("index.html", "page.js", "page.py", "LICENSE", ".html.swp", "vendor/chart.js", "vendor/chart.css"):
        (tmp_path / name).write_text(name)
    found = page_files(tmp_path)
    assert set(found) == {"index.html", "page.js", "vendor/chart.js", "vendor/chart.css"}
    assert found["page.js"][:2] == (b"page.js", "text/javascript; charset=utf-8")
    assert len({file.tag for file in found.values()}) == 4
    assert page_files(tmp_path / "nothing") == {}


def test_the_page_is_served_with_its_files_and_they_are_not_sent_twice(make, helpers):
    files = page_files()
    with helpers.serving(make()) as ask:
        for name, file in files.items():
            path = "/" if name == "index.html" else f"/static/{name}"
            status, headers, content = ask("GET", path)
            assert (status, content, headers["Content-Type"]) == (200, file.content, file.media)
            assert headers["Cache-Control"] == "no-cache"
            assert ask("GET", path, If_None_Match=headers["ETag"])[0] == 304
    assert {"index.html"} <= set(files)


PROGRAM = """
import sys
from contextlib import closing
from engine_opt.monitoring.dashboard_backend import run
from engine_opt.monitoring.metric_store import open_store

with closing(open_store(sys.argv[1], read_only=True)) as store:
    run(store, port=0, ready=lambda address, token: print(address, token, flush=True))
print("stopped", store.stats()["reads"], flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_process_of_its_own_stops_cleanly_even_while_somebody_listens(writer, helpers, how):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, writer._database.name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        address, token = process.stdout.readline().split()
        assert len(token) == 32
        ask = helpers.asker(int(address.rpartition(":")[2]))
        with closing(ask.listen()) as events:
            events.until("health")
            with urllib.request.urlopen(f"{address}/api/v1/health/live") as answer:
                assert answer.status == 200
            process.send_signal(how)
            assert events.answer.read() == b""
        said, complaints = process.communicate(timeout=helpers.patience)
    assert (said.split()[0], process.returncode, complaints) == ("stopped", 0, "")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_its_name_is_told(monkeypatch, store, helpers, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=f"needs {missing}: pip install 'pytest-pe-perf\\[dashboard\\]'"):
        create_app(store, token=helpers.token)


def test_nothing_is_read_and_no_thread_started_before_it_is_served(make, moody):
    moody.error = AssertionError("it was read")
    before = threading.active_count()
    make(moody)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"interval": 0.0}, "interval"),
        ({"limit": True}, "limit"),
        ({"alive": float("nan")}, "alive"),
        ({"most_clients": 0}, "most_clients"),
        ({"panels": [Panel("a", "A", "m", ("rate",), "1")] * 2}, "panels"),
        ({"hosts": [""]}, "hosts"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_made(make, options, field):
    with pytest.raises(InputError) as refused:
        make(**options)
    assert refused.value.field == field


@pytest.mark.parametrize("port", [-1, 65_536, True, "80"])
def test_a_port_that_is_none_is_refused(store, port):
    with pytest.raises(InputError, match="port"):
        run(store, port=port)
