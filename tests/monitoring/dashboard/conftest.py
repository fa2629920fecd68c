"""A store with data, a dashboard on a socket of the loopback interface, and somebody who asks it."""

import http.client
import json
import threading
from contextlib import closing, contextmanager

import pytest

from engine_opt.monitoring.dashboard.server import DashboardServer, listening
from engine_opt.monitoring.dashboard_backend import create_app
from engine_opt.monitoring.histogram import HistogramRecorder
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey

TOKEN = "a token of thirty-two characters".replace(" ", "-")
START = 1_790_000_000.0
SECONDS = 10.0
PATIENCE = 20.0

METRICS = (
    MetricInfo("cache_hits", SampleKind.COUNTER, "Found."),
    MetricInfo("cache_misses", SampleKind.COUNTER, "Not found."),
    MetricInfo("component_seconds", SampleKind.HISTOGRAM, "Time of a component."),
    MetricInfo("rss_bytes", SampleKind.GAUGE, "Memory."),
)


class Now:
    """Seconds since the epoch that pass when somebody says so."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


def histogram(values):
    recorder = HistogramRecorder(lowest=1e-7, highest=1e4)
    for value in values:
        recorder.record(value)
    return recorder.value()


def durations(number, component, outcome):
    """Return what a component took in one interval, in seconds."""
    scale = 1e-5 * (1 + len(component)) * (10 if outcome == "error" else 1)
    return [scale * (1 + (number * 7 + each) % 50) for each in range(20)]


def collection(number, rss=None):
    """Return what was seen in one interval of ten seconds."""
    samples = [
        Sample(SeriesKey("cache_hits", (("cache", "bars"),)), 30.0 + number % 3),
        Sample(SeriesKey("cache_hits", (("cache", "rules"),)), 5.0),
        Sample(SeriesKey("cache_misses", (("cache", "bars"),)), 10.0),
        Sample(SeriesKey("rss_bytes"), 5e7 + number if rss is None else rss),
    ]
    samples += [
        Sample(
            SeriesKey("component_seconds", (("component", component), ("outcome", outcome))),
            histogram(durations(number, component, outcome)),
        )
        for component in ("rules", "week")
        for outcome in ("error", "ok")
    ]
    return Collection(START + SECONDS * number, SECONDS, METRICS, tuple(samples))


class Asker:
    """Asks a dashboard."""

    def __init__(self, port):
        self.port = port

    def __call__(self, method, path, body=None, *, token=None, **headers):
        """Return status, headers and body, decoded if it is JSON."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        is_json = answer.getheader("Content-Type", "").startswith("application/json")
        return answer.status, answer.headers, json.loads(content) if is_json else content

    def get(self, path, **headers):
        """Return what is answered with 200."""
        status, _, content = self("GET", path, **headers)
        assert status == 200, content
        return content

    def listen(self, last_id=None):
        """Return an open answer of events."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", "/api/v1/events", headers={} if last_id is None else {"Last-Event-ID": last_id})
        return Listener(connection)


class Listener:
    """Reads events, until it is closed."""

    def __init__(self, connection):
        self.connection = connection
        self.answer = connection.getresponse()

    def next(self):
        """Return the fields of the next event, its data decoded; comments are passed over."""
        fields = {}
        while True:
            line = self.answer.readline().decode().rstrip("\n")
            if line.startswith("data: "):
                fields["data"] = json.loads(line.removeprefix("data: "))
            elif line and not line.startswith(":"):
                name, _, fields[name] = line.partition(": ")
            elif not line and fields.keys() - {"retry"}:
                return fields

    def until(self, kind):
        """Return the next event of a kind."""
        while True:
            event = self.next()
            if event["event"] == kind:
                return event

    def close(self):
        self.answer.close()
        self.connection.close()


@contextmanager
def serving(dashboard):
    """Serve a dashboard in a thread, and stop it."""
    ready = threading.Event()
    with listening("127.0.0.1", 0) as made:
        server = DashboardServer(dashboard, dashboard.hub, ready.set)
        thread = threading.Thread(target=server.run, args=([made],))
        thread.start()
        try:
            assert ready.wait(PATIENCE)
            yield Asker(made.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.fixture(scope="package")
def helpers():
    """Return what tests of the dashboard share."""

    class Helpers:
        token, start, seconds, patience = TOKEN, START, SECONDS, PATIENCE

    Helpers.collection = staticmethod(collection)
    Helpers.durations = staticmethod(durations)
    Helpers.histogram = staticmethod(histogram)
    Helpers.serving = staticmethod(serving)
    Helpers.clock = Now
    Helpers.asker = Asker
    return Helpers


@pytest.fixture(scope="module")
def now():
    return Now(START + SECONDS * 30 + 0.5)


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """Return a store with thirty collections, to be written to."""
    with closing(open_store(tmp_path_factory.mktemp("store") / "metrics.db")) as store:
        store.write([collection(number) for number in range(1, 31)])
        yield store


@pytest.fixture(scope="module")
def store(writer):
    """Return the same store, as another process has it."""
    with closing(open_store(writer._database.name, read_only=True)) as store:
        yield store


@pytest.fixture(scope="module")
def make(store, now):
    """Return a function that makes a dashboard of the store."""

    def create(of=store, **options):
        return create_app(of, **{"token": TOKEN, "interval": 0.5, "clock": now, **options})

    return create
