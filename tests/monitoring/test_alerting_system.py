"""The alerting system: alerts begin, are told, and end; and nothing of that is lost or told twice."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import nan

import pytest

from engine_opt import InputError, StateError
from engine_opt.errors import StoreError
from engine_opt.monitoring.alerting_system import AlertingSystem, AlertRule, Event, Phase, Status
from engine_opt.monitoring.alerts.outbox import GIVEN_UP, LONGEST_WAIT
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.notify.notifiers import DeliveryError, FileNotifier
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey, SeriesPoint

HOUR = 3_600.0
RSS = AlertRule(name="memory", metric="rss", above=100.0, resolve_below=90.0, hold=20.0)


class Told:
    """A notifier that keeps what it is told, or fails as somebody says."""

    def __init__(self, name="told", *, deduplicates=False):
        self.name, self.deduplicates = name, deduplicates
        self.messages, self.error = [], None
        self.attempts = 0

    def send(self, message):
        self.attempts += 1
        if self.error is not None:
            raise self.error
        self.messages.append(message)

    def events(self):
        return [(each.event, each.created) for each in self.messages]


class Steady:
    """A store in which a gauge shows 2, whatever time it is asked for."""

    def metrics(self):
        return (MetricInfo("rss", SampleKind.GAUGE, "Of a clock that goes back no real store takes anything."),)

    def series(self, name=None):
        return (SeriesKey("rss"),)

    def read(self, key, start, end, *, most=1_000):
        return (SeriesPoint(end, 1.0, 2.0, 2.0, 2.0),)


class World:
    """A store that is written to, a clock, and an alerting system that reads both."""

    def __init__(self, folder, clock):
        self.folder, self.clock = folder, clock
        self.store = open_store(folder / "metrics.db")
        self.ended = clock.now

    def system(self, *rules, notifiers=(), **more):
        path = self.folder / "alerts.db"
        return AlertingSystem(rules, self.store, path, notifiers=notifiers, clock=self.clock, **more)

    def show(self, seconds=10.0, **gauges):
        """Let time pass, and write what gauges show then; those of `rss__GEN` have a label."""
        self.clock.tick(seconds)
        keys = {name: name.partition("__") for name in gauges}
        metrics = tuple(MetricInfo(name, SampleKind.GAUGE, "") for name in sorted({key[0] for key in keys.values()}))
        samples = tuple(
            Sample(SeriesKey(metric, (("account", label),) if label else ()), gauges[name])
            for name, (metric, _, label) in keys.items()
        )
        self.store.write([Collection(self.clock.now, seconds, metrics, samples)])


@pytest.fixture
def world(tmp_path, clock):
    world = World(tmp_path, clock)
    with closing(world.store):
        yield world


def phases(system):
    return [(each.state, each.value) for each in system.alerts()]


# From pending to resolved


def test_an_alert_waits_fires_and_is_resolved(world):
    told = Told()
    with world.system(RSS, notifiers=[told]) as system:
        seen = []
        for value in (50, 120, 130, 120, 95, 101, 89):
            world.show(rss=float(value))
            made = system.evaluate()
            system.deliver()
            seen.append(
                (system.alerts()[0].state.value if system.alerts() else None, [each.event.value for each in made])
            )
        assert seen == [
            (None, []),
            ("pending", []),
            ("pending", []),
            ("firing", ["firing"]),
            ("firing", []),  # not yet below 90
            ("firing", []),
            ("resolved", ["resolved"]),
        ]
        assert told.events() == [(Event.FIRING, 1_040.0), (Event.RESOLVED, 1_070.0)]
        assert told.messages[0].title == "[warning, firing] memory: rss above 100: now 120"
        assert "- rss above 100: now 120, since 1970-01-01 00:17:20 UTC" in told.messages[0].text
        (alert,) = system.alerts()
        assert alert.fingerprint == told.messages[0].alerts[0].fingerprint == told.messages[1].alerts[0].fingerprint
        assert (alert.since, alert.value, alert.summary) == (1_070.0, 89.0, "rss above 100: now 89")


def test_what_goes_on_is_repeated_until_somebody_takes_it_on(world):
    told = Told()
    with world.system(AlertRule(name="r", metric="rss", above=1, repeat=HOUR), notifiers=[told]) as system:
        for _ in range(5):
            world.show(HOUR / 2, rss=2.0)
            system.evaluate()
        assert [each.event for each in _waiting(system)] == [Event.FIRING, Event.REPEATED, Event.REPEATED]
        (alert,) = system.alerts()
        system.acknowledge(alert.fingerprint, "Ann", "a known leak")
        for _ in range(4):
            world.show(HOUR / 2, rss=2.0)
            assert system.evaluate() == ()
        taken = system.alerts()[0].acknowledged
        assert (taken.who, taken.note, taken.at) == ("Ann", "a known leak", 1_000.0 + 2.5 * HOUR)
        assert system.stats()["acknowledged"] == 1
        world.show(rss=0.0)
        (over,) = system.evaluate()
        assert over.event is Event.RESOLVED
        assert system.alerts()[0].acknowledged is None
        with pytest.raises(InputError, match="no alert that is firing"):
            system.acknowledge(alert.fingerprint, "Ann")


def _waiting(system):
    return [each.message for each in system.deliveries()]


def test_a_silence_keeps_messages_back_until_it_ends(world):
    rule = AlertRule(name="r", metric="rss", above=1)
    with world.system(rule) as system:
        number = system.silence({"rule": "r", "account": "GEN"}, world.clock.now + 100, "Ann", "an upgrade")
        world.show(rss__GEN=2.0, rss__CASH=2.0)
        (message,) = system.evaluate()
        assert [each.labels for each in message.alerts] == [(("account", "CASH"),)]
        assert [each.silenced_until for each in system.alerts()] == [None, 1_100.0]
        assert system.stats()["silenced"] == 1
        assert [(each.who, each.why) for each in system.silences()] == [("Ann", "an upgrade")]
        world.show(90.0, rss__GEN=2.0, rss__CASH=2.0)
        (message,) = system.evaluate()
        assert (message.event, message.alerts[0].labels) == (Event.FIRING, (("account", "GEN"),))
        assert system.silences() == ()
        with pytest.raises(InputError, match="no such silence"):
            system.unsilence(number)
        other = system.silence({"rule": "r"}, world.clock.now + 100, "Ann", "noise")
        assert other > number
        system.unsilence(other)
        assert system.silences() == ()


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        (None, [["CASH"], ["GEN"]]),
        (["account"], [["CASH"], ["GEN"]]),
        (["zone"], [["CASH", "GEN"]]),
        ([], [["CASH", "GEN"]]),
    ],
)
def test_alerts_whose_labels_agree_share_a_message(world, group_by, groups):
    with world.system(AlertRule(name="r", metric="rss", above=1, group_by=group_by), notifiers=[Told()]) as system:
        world.show(rss__GEN=2.0, rss__CASH=2.0)
        made = system.evaluate()
        assert [[dict(each.labels)["account"] for each in message.alerts] for message in made] == groups


def test_a_message_goes_to_the_notifiers_that_its_rule_names(world):
    one, two = Told("one"), Told("two")
    rules = AlertRule(name="a", metric="rss", above=1), AlertRule(name="b", metric="rss", above=1, notify=["two"])
    with world.system(*rules, notifiers=[one, two]) as system:
        world.show(rss=2.0)
        system.evaluate()
        assert system.deliver() == 3
    assert [each.rule for each in one.messages] == ["a"]
    assert [each.rule for each in two.messages] == ["a", "b"]


def test_a_rule_that_is_gone_resolves_its_alert_for_those_who_heard_of_it(world):
    one, two = Told("one"), Told("two")
    with world.system(AlertRule(name="a", metric="rss", above=1, notify=["two"]), notifiers=[one, two]) as system:
        world.show(rss=2.0)
        system.evaluate()
        system.deliver()
    with world.system(notifiers=[one, two]) as system:
        (message,) = system.evaluate()
        system.deliver()
        assert message.alerts[0].summary == "rss (its rule is there no more)"
    assert one.messages == []
    assert [each.event for each in two.messages] == [Event.FIRING, Event.RESOLVED]


def test_data_that_stop_are_told_and_a_series_that_ended_is_forgotten(world):
    gone = AlertRule(name="gone", metric="rss", missing=60.0)
    high = AlertRule(name="high", metric="rss", above=1.0, forget=300.0)
    with world.system(gone, high) as system:
        world.show(rss=2.0)
        system.evaluate()
        found = []
        for _ in range(6):
            world.clock.tick(60.0)
            found += [(each.rule, each.event.value, world.clock.now - 1_010) for each in system.evaluate()]
        assert found == [("gone", "firing", 60.0), ("high", "resolved", 300.0)]
        assert system.alerts()[1].summary == "rss above 1: now 2 (there are no data any more)"


# What cannot be answered


def test_a_metric_that_is_not_there_yet_is_shown_and_watched_once_it_comes(world):
    with world.system(AlertRule(name="r", metric="rss", above=1.0)) as system:
        world.show(rsss=2.0)
        system.evaluate()
        world.clock.tick(10)
        system.evaluate()
        (alert,) = system.alerts()
        assert (alert.state, alert.since, alert.value) == (Phase.BROKEN, 1_010.0, None)
        assert "unknown metric 'rss'" in alert.reason
        assert "did you mean 'rsss'?" in alert.summary
        assert system.stats()["broken"] == 1
        world.show(rss=2.0)
        system.evaluate()
        assert phases(system) == [(Phase.FIRING, 2.0)]
        assert system.stats()["broken"] == 0


def test_an_evaluation_that_fails_changes_nothing_and_the_next_makes_up_for_it(world):
    told = Told()
    with world.system(AlertRule(name="r", metric="rss", above=1.0), notifiers=[told]) as system:
        world.show(rss=2.0)
        system._file._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match="readonly"):
            system.evaluate()
        assert system.alerts() == ()
        system._file._connection.execute("PRAGMA query_only = OFF")
        assert len(system.evaluate()) == 1
        world.store.close()
        with pytest.raises(StateError):
            system.evaluate()
        assert phases(system) == [(Phase.FIRING, 2.0)]
        assert [system.stats()[each] for each in ("evaluations", "failed_evaluations")] == [1, 2]


def test_a_clock_that_goes_back_makes_waits_longer_and_nothing_is_told_twice(tmp_path, clock):
    rule = AlertRule(name="r", metric="rss", above=1.0, hold=20.0, repeat=100.0)
    told = Told()
    with AlertingSystem([rule], Steady(), tmp_path / "alerts.db", notifiers=[told], clock=clock) as system:
        events = []
        # It pends, is set back, pends for 20 s from there, is set back, and is repeated 100 s from there.
        for seconds in (0, -500, 19, 1, -500, 99, 1, 99, 1):
            clock.tick(seconds)
            events.append([each.event for each in system.evaluate()])
            assert system.alerts()[0].since <= clock.now
        repeated = [Event.REPEATED]
        assert events == [[], [], [], [Event.FIRING], [], [], repeated, [], repeated]
        assert system.deliver() == 3


@pytest.mark.parametrize("now", [nan, None, "1", True])
def test_a_clock_that_gives_no_time_is_refused(world, now):
    with world.system(RSS) as system:
        world.clock.now = now
        with pytest.raises(InputError, match="clock"):
            system.evaluate()
        world.clock.now = 2_000.0
        system.evaluate()


# Delivery


def test_a_notifier_that_fails_is_tried_again_later_and_later_and_others_do_not_wait(world):
    dead, sound = Told("dead"), Told("sound")
    dead.error = DeliveryError("nobody answers")
    with world.system(AlertRule(name="r", metric="rss", above=1.0), notifiers=[dead, sound]) as system:
        world.show(rss=2.0)
        system.evaluate()
        start, tried = world.clock.now, []
        for _ in range(200):
            before = dead.attempts
            system.deliver()
            if dead.attempts > before:
                tried.append(world.clock.now - start)
            world.clock.tick(0.5)
        assert tried == [0, 1, 3, 7, 15, 31, 63]
        assert [each.event for each in sound.messages] == [Event.FIRING]
        world.show(rss=0.0)
        system.evaluate()
        head, behind, _ = system.deliveries()
        assert (head.status, head.attempts, head.error) == (Status.WAITING, 7, "nobody answers")
        dead.error = None
        world.clock.tick(64)
        assert system.deliver() == 3
        assert [each.event for each in dead.messages] == [Event.FIRING, Event.RESOLVED]  # in their order
        assert behind.message in dead.messages
        assert system.deliveries() == ()


def test_what_is_refused_for_good_or_for_a_day_is_given_up(world):
    told = Told()
    with world.system(AlertRule(name="r", metric="rss", above=1.0), notifiers=[told]) as system:
        for value, error in ((2.0, DeliveryError("no such address", permanent=True)), (0.0, ValueError("a secret"))):
            world.show(rss=value)
            system.evaluate()
            told.error = error
            assert system.deliver() == 0
        first, second = system.deliveries()
        assert (first.status, first.error) == (Status.FAILED, "no such address")
        assert (second.status, second.error) == (Status.WAITING, "the notifier failed with ValueError")
        world.clock.tick(GIVEN_UP + 1)
        system.deliver()
        assert system.deliveries()[1].error == "given up: the notifier failed with ValueError"
        assert (system.stats()["failed"], told.attempts) == (2, 2)
    with world.system(notifiers=[told]) as system:  # forgotten by now
        assert system.deliveries() == ()


def test_a_clock_that_goes_back_does_not_keep_a_message_waiting(world):
    told = Told()
    told.error = DeliveryError("nobody answers")
    with world.system(AlertRule(name="r", metric="rss", above=1.0), notifiers=[told]) as system:
        world.show(rss=2.0)
        system.evaluate()
        system.deliver()
        told.error = None
        world.clock.tick(-LONGEST_WAIT)
        assert system.deliver() == 1


def test_a_notifier_that_hangs_blocks_nobody_and_what_it_does_in_the_end_counts(world):
    hangs, sound, arrived, go_on = Told("hangs"), Told("sound"), threading.Event(), threading.Event()
    send, keep = hangs.send, sound.send

    def hang(message):
        assert go_on.wait(30)
        send(message)

    def tell(message):
        keep(message)
        arrived.set()

    hangs.send, sound.send = hang, tell
    with world.system(AlertRule(name="r", metric="rss", above=1.0), notifiers=[hangs, sound]) as system:
        system.start()
        system.start()
        world.show(rss=2.0)
        system.evaluate()
        assert arrived.wait(30)
        system.evaluate()
        assert phases(system) == [(Phase.FIRING, 2.0)]
        assert system.stats()["waiting"] >= 1
        go_on.set()
        with system._outbox._changed:
            assert system._outbox._changed.wait_for(lambda: system.stats()["sent"] == 2, 30)
        assert system.deliveries() == ()
    assert len(hangs.messages) == 1


def test_threads_may_look_and_change_while_it_evaluates(world, in_threads):
    told = Told()
    rules = [AlertRule(name=f"r{number}", metric="rss", above=1.0) for number in range(5)]
    with world.system(*rules, notifiers=[told]) as system:
        world.show(rss=2.0)
        system.evaluate()

        def change():
            for alert in system.alerts():
                system.acknowledge(alert.fingerprint, "Ann")
                system.unsilence(system.silence({"rule": alert.rule}, 1e6, "Ann", "why"))

        def look():
            for _ in range(10):
                assert system.stats()["firing"] == 5
                assert len(system.alerts()) == 5

        in_threads(change, change, look, system.deliver, system.deliver, *[system.evaluate] * 3)
        assert len(told.messages) == 5
        assert system.silences() == ()
        assert all(each.acknowledged for each in system.alerts())


# Restart


def test_everything_is_there_after_a_restart(world):
    told = Told()
    rule = AlertRule(name="r", metric="rss", above=1.0, repeat=HOUR)
    with world.system(rule, AlertRule(name="slow", metric="rss", above=1.0, hold=50.0), notifiers=[told]) as system:
        world.show(rss=2.0)
        system.evaluate()
        system.silence({"account": "CASH"}, 1e6, "Ann", "why")
        firing = system.alerts()[0]
        system.acknowledge(firing.fingerprint, "Ann", "mine")
        taken = system.alerts()[0]
    with world.system(rule, AlertRule(name="slow", metric="rss", above=1.0, hold=50.0), notifiers=[told]) as system:
        assert system.alerts()[0] == taken
        assert [each.state for each in system.alerts()] == [Phase.FIRING, Phase.PENDING]
        assert [each.why for each in system.silences()] == ["why"]
        assert system.evaluate() == ()
        assert system.deliver() == 1  # the message that was waiting
        world.clock.tick(40)
        world.show(rss=2.0)
        (message,) = system.evaluate()
        assert message.rule == "slow"  # it has waited since before the restart
        assert system.deliver() == 1
    assert len({each.uid for each in told.messages}) == 2


def test_what_nobody_was_told_is_there_after_a_restart_too(world):
    for value, since in ((2.0, 1_010.0), (2.0, 1_010.0), (0.0, None)):
        with world.system(AlertRule(name="slow", metric="rss", above=1.0, hold=50.0)) as system:
            world.show(rss=value)
            assert system.evaluate() == ()
        with world.system() as system:
            assert [each.since for each in system.alerts()] == ([] if since is None else [since])


KILLED = """
import sys
from engine_opt.monitoring.alerting_system import AlertingSystem, AlertRule
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.notify.notifiers import FileNotifier, WebhookNotifier

folder, url = sys.argv[1:]
notifiers = [
    FileNotifier(name="a file", path=folder + "/alerts.jsonl"),
    WebhookNotifier(name="hangs", url=url, timeout=60),
    FileNotifier(name="later", path=folder + "/later.jsonl"),
]
rule = AlertRule(name="r", metric="rss", above=1.0)
system = AlertingSystem(
    [rule], open_store(folder + "/metrics.db", read_only=True), folder + "/alerts.db",
    notifiers=notifiers, clock=lambda: 1010.0,
)
system.evaluate()
system.deliver()
"""


def test_a_killed_process_is_succeeded_and_nothing_is_sent_twice(world):
    """It is killed while a receiver has a message and has not answered: whether it arrived nobody can know."""
    received, go_on = [], threading.Event()

    class Hangs(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            seen.set()
            go_on.wait(60)

        def log_message(self, *args):
            pass

    seen = threading.Event()
    world.show(rss=2.0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Hangs) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        child = subprocess.Popen([sys.executable, "-c", KILLED, str(world.folder), url])
        try:
            assert seen.wait(60)
            with pytest.raises(StoreError, match="in use"):
                world.system()
            child.send_signal(signal.SIGKILL)
            child.wait(60)
        finally:
            child.kill()
            child.wait()
            go_on.set()
            server.shutdown()
            thread.join()
    # A line that was on the disk before it was recorded that it is: the file is looked at, and not written again.
    file, later = world.folder / "alerts.jsonl", FileNotifier(name="later", path=world.folder / "later.jsonl")
    hangs = Told("hangs")
    rule = AlertRule(name="r", metric="rss", above=1.0)
    with world.system(rule, notifiers=[FileNotifier(name="a file", path=file), hangs, later]) as system:
        assert phases(system) == [(Phase.FIRING, 2.0)]
        assert system.evaluate() == ()
        system.deliver()
        assert system.stats()["uncertain"] == 1
        (lost,) = system.deliveries()
        assert (lost.status, lost.notifier, lost.message.uid) == (Status.UNCERTAIN, "hangs", received[0]["id"])
    assert (len(received), hangs.messages) == (1, [])
    lines = [file.read_text().splitlines(), (world.folder / "later.jsonl").read_text().splitlines()]
    assert [[json.loads(line)["id"] for line in each] for each in lines] == [[received[0]["id"]]] * 2


@pytest.mark.parametrize(("deduplicates", "again"), [(True, 1), (False, 0)])
def test_what_may_have_been_sent_is_sent_again_to_those_who_drop_what_they_have(world, deduplicates, again):
    told = Told(deduplicates=deduplicates)
    with world.system(AlertRule(name="r", metric="rss", above=1.0), notifiers=[told]) as system:
        world.show(rss=2.0)
        system.evaluate()
        (waits,) = system.deliveries()
        system._file.mark(waits._replace(status=Status.SENDING))  # as if the process ended now
    with world.system(notifiers=[told]) as system:
        assert system.deliver() == again
        assert [each.uid for each in told.messages] == [waits.message.uid] * again


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no database" * 100, "not a database"), (None, "belongs to something else"), ("newer", "understands 1")],
)
def test_a_file_that_is_none_of_ours_is_refused_and_left_alone(world, content, said):
    path = world.folder / "alerts.db"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE theirs (a)")
    else:
        world.system().close()
        with closing(sqlite3.connect(path)) as other:
            other.execute("UPDATE alert_schema SET version = 2")
            other.commit()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=said):
        world.system()
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_named(world):
    with pytest.raises(StoreError, match="No such file"):
        AlertingSystem([], world.store, world.folder / "none" / "alerts.db")


# The door


def test_what_makes_no_sense_is_refused(world):
    with world.system(RSS) as system:
        for field, call in (
            ("matcher", lambda: system.silence({}, 1e6, "Ann", "why")),
            ("matcher.rule", lambda: system.silence({"rule": 1}, 1e6, "Ann", "why")),
            ("until", lambda: system.silence({"rule": "r"}, 999.0, "Ann", "why")),
            ("until", lambda: system.silence({"rule": "r"}, nan, "Ann", "why")),
            ("who", lambda: system.silence({"rule": "r"}, 1e6, "", "why")),
            ("fingerprint", lambda: system.acknowledge("0", "Ann")),
            ("who", lambda: system.acknowledge("0", "A\nnn")),
            ("number", lambda: system.unsilence(True)),
        ):
            with pytest.raises(InputError) as caught:
                call()
            assert caught.value.field == field


def test_rules_and_notifiers_must_fit_together(world):
    with pytest.raises(InputError, match="another rule"):
        world.system(RSS, RSS)
    with pytest.raises(InputError, match="another notifier"):
        world.system(notifiers=[Told(), Told()])
    with pytest.raises(InputError, match="did you mean 'one'"):
        world.system(AlertRule(name="r", metric="m", above=1, notify=["on"]), notifiers=[Told("one")])
    for wrong in ({"name": ""}, {"clock": 1.0}):
        with pytest.raises(InputError):
            AlertingSystem([], world.store, world.folder / "alerts.db", **wrong)


def test_a_closed_system_says_so_and_still_counts(world):
    system = world.system(RSS, name="mine")
    world.show(rss=200.0)
    system.evaluate()
    system.close()
    system.close()
    for call in (system.evaluate, system.alerts, system.deliver, system.start, system.silences, system.deliveries):
        with pytest.raises(StateError, match="'mine' is closed"):
            call()
    assert system.stats()["pending"] == 1
