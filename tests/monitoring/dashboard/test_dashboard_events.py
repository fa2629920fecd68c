"""Events for many who listen, and for one who does not."""

import socket
from contextlib import ExitStack, closing

import pytest

from engine_opt.monitoring.dashboard.events import EventHub
from engine_opt.monitoring.dashboard.openapi import Refused
from engine_opt.monitoring.dashboard_backend import Panel


def numbers(client):
    """Return the numbers of the events that wait for a client."""
    found = []
    while not client.queue.empty():
        found.append(int(client.queue.get_nowait().split(b"\n")[0].rpartition(b"-")[2]))
    return found


@pytest.fixture
def hub():
    """Return a hub that has told two kinds of states, one of them twice."""
    hub = EventHub("era", most_clients=2, waiting=3)
    for kind in ("overview", "health", "overview"):
        hub.publish(kind, b"{}")
    return hub


@pytest.mark.parametrize(
    ("last_id", "told"),
    [
        (None, [2, 3]),
        ("era-1", [2, 3]),
        ("era-2", [3]),
        ("era-3", []),
        ("era-4", [2, 3]),  # of a run that had the same name, and went further
        ("before-3", [2, 3]),
        ("era-", [2, 3]),
        ("era-\u0663", [2, 3]),
        ("era-" + "9" * 5_000, [2, 3]),
        ("3", [2, 3]),
    ],
)
def test_who_comes_gets_the_newest_of_each_kind_that_it_has_not_seen(hub, last_id, told):
    assert numbers(hub.join(last_id)) == told


def test_who_does_not_read_is_let_go_and_the_others_are_told(hub):
    slow, quick = hub.join("era-3"), hub.join("era-3")
    for _ in range(3):
        hub.publish("overview", b"{}")
        numbers(quick)
    assert not slow.over.is_set()
    hub.publish("overview", b"{}")
    assert slow.over.is_set()
    assert slow.queue.qsize() == 3
    assert numbers(quick) == [7]
    assert hub.stats() == {"clients": 1.0, "published": 7.0, "dropped": 1.0, "refused": 0.0}


def test_only_so_many_may_listen(hub):
    first = hub.join(None)
    hub.join(None)
    with pytest.raises(Refused) as refused:
        hub.join(None)
    assert refused.value.status == 429
    hub.leave(first)
    assert hub.join(None)


def test_a_hub_that_is_closed_lets_everybody_go_and_nobody_in(hub):
    client = hub.join(None)
    hub.close()
    hub.close()
    assert client.over.is_set()
    with pytest.raises(Refused):
        hub.join(None)
    assert hub.stats()["clients"] == 0.0


@pytest.fixture(scope="module")
def dashboard(make):
    return make(most_clients=30, alive=0.05)


@pytest.fixture(scope="module")
def ask(helpers, dashboard):
    with helpers.serving(dashboard) as ask:
        yield ask


def test_everybody_who_listens_is_told_the_same(ask, dashboard, writer, helpers, now):
    with ExitStack() as stack:
        listeners = [stack.enter_context(closing(ask.listen())) for _ in range(30)]
        first = [listener.until("overview") for listener in listeners]
        assert {each["retry"] for each in first if "retry" in each} <= {"3000"}
        assert ask("GET", "/api/v1/events")[0] == 429
        now.now += 10.0
        writer.write([helpers.collection(31)])
        told = [listener.until("overview") for listener in listeners]
        assert {each["data"]["end"] for each in told} == {helpers.start + 310.0}
        (last_id,) = {each["id"] for each in told}
    with closing(ask.listen(last_id)) as again:
        now.now += 10.0
        writer.write([helpers.collection(32)])
        assert again.next()["data"]["end"] == helpers.start + 320.0


def test_the_health_is_told_when_it_changes(ask, now, writer, helpers):
    with closing(ask.listen()) as listener:
        assert listener.until("health")["data"]["status"] == "ok"
        now.now += 100.0
        told = listener.until("health")["data"]
        assert (told["status"], told["reasons"]) == (
            "degraded",
            ["collection: no new data for 100 s, expected every 0.5 s"],
        )
        writer.write([helpers.collection(42)])
        assert listener.until("health")["data"]["status"] == "ok"


def test_who_is_told_nothing_new_hears_that_the_server_is_alive(ask):
    with closing(ask.listen()) as listener:
        listener.until("health")
        lines = {listener.answer.readline() for _ in range(6)}
    assert b": alive\n" in lines


def test_a_client_that_never_reads_is_let_go_and_keeps_nobody_waiting(make, writer, helpers, now):
    """What the kernel buffers comes first, some megabytes: so the events are large."""
    large = Panel("large", "x" * 1_000_000, "rss_bytes", ("value",), "B")
    dashboard = make(panels=[large], interval=0.05)
    with helpers.serving(dashboard) as ask, socket.socket() as silent, closing(ask.listen()) as listener:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        silent.connect(("127.0.0.1", ask.port))
        silent.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        listener.until("overview")
        for number in range(50, 100):
            now.now = helpers.start + 10.0 * number
            writer.write([helpers.collection(number)])
            listener.until("overview")
            if dashboard.stats()["dropped"]:
                break
        assert dashboard.stats()["dropped"] == 1.0
        assert dashboard.stats()["clients"] == 1.0
        assert ask.get("/api/v1/health")["status"] == "ok"
