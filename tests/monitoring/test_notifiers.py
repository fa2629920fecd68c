"""Notifiers, against servers that are there."""

import asyncio
import json
import logging
import pickle
import socket
import ssl
import sys
import threading
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP

from engine_opt import ConfigError, InputError
from engine_opt.monitoring.alerting_system import load_alerts
from engine_opt.monitoring.alerts.rules import Severity
from engine_opt.monitoring.alerts.states import Event
from engine_opt.monitoring.notify.notifiers import (
    AlertTold,
    AppriseNotifier,
    DeliveryError,
    FileNotifier,
    LogNotifier,
    Message,
    SmtpNotifier,
    WebhookNotifier,
    notifier_from,
)

MESSAGE = Message(
    "0123456789abcdef",
    1_700_000_000.5,
    "alerts",
    "slow",
    Severity.CRITICAL,
    Event.FIRING,
    (
        AlertTold("aa", (("account", "GEN"), ("zone", "ü")), 1_700_000_000.0, 0.0123, "p99 is 12 ms"),
        AlertTold("bb", (), 1_700_000_000.0, None, "no data"),
    ),
)
SECRET = "s3cr3t-t0ken"


def test_a_message_is_the_same_after_it_was_json():
    assert Message.from_json(MESSAGE.json()) == MESSAGE
    plain = json.loads(MESSAGE.json())
    assert plain["title"] == "[critical, firing] slow: 2 alerts"
    assert plain["alerts"][0]["labels"] == {"account": "GEN", "zone": "ü"}


# Log and file


@pytest.mark.parametrize(
    ("severity", "event", "level"),
    [
        (Severity.CRITICAL, Event.FIRING, logging.ERROR),
        (Severity.WARNING, Event.REPEATED, logging.WARNING),
        (Severity.INFO, Event.FIRING, logging.INFO),
        (Severity.CRITICAL, Event.RESOLVED, logging.INFO),
    ],
)
def test_a_log_has_messages_as_loud_as_they_are_bad(caplog, severity, event, level):
    caplog.set_level(logging.INFO, "engine_opt.alerts")
    message = Message("1", 0.0, "alerts", "slow", severity, event, MESSAGE.alerts)
    LogNotifier().send(message)
    (record,) = caplog.records
    assert record.levelno == level
    assert record.getMessage() == f"{message.title}\n{message.text}"


def test_a_file_has_each_message_once_on_a_line_of_its_own(tmp_path):
    file = tmp_path / "alerts.jsonl"
    notifier = FileNotifier(name="file", path=file)
    notifier.send(MESSAGE)
    with file.open("a") as torn:
        torn.write(MESSAGE.json()[:50])
    other = Message("2", *(getattr(MESSAGE, each) for each in MESSAGE.__slots__[1:]))
    for message in (MESSAGE, other, other):
        notifier.send(message)
    assert file.read_text().splitlines() == [MESSAGE.json(), MESSAGE.json()[:50], other.json()]


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(DeliveryError, match="Is a directory") as caught:
        FileNotifier(name="file", path=tmp_path).send(MESSAGE)
    assert not caught.value.permanent


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full on this system")
def test_a_full_disk_is_told(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(DeliveryError, match="No space left"):
        FileNotifier(name="file", path=tmp_path / "full").send(MESSAGE)


# Webhook


class Receiver(ThreadingHTTPServer):
    """Keeps what it is posted, and answers by the path: /429 with 429, /hang not before it may."""

    daemon_threads = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.go_on = [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), body))
        word = self.path.strip("/").partition("?")[0]
        if word == "hang":
            self.server.go_on.wait(30)
            return
        self.send_response(int(word or 200))
        self.send_header("Location", "file:///etc/passwd")
        self.end_headers()

    def do_GET(self):
        self.server.seen.append(("GET " + self.path, {}, b""))

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


def test_a_webhook_is_posted_the_message_and_its_headers(receiver):
    url = f"{receiver.url}/202?token={SECRET}"
    WebhookNotifier(name="hook", url=url, headers={"Authorization": "Bearer " + SECRET}).send(MESSAGE)
    path, headers, body = receiver.seen[-1]
    assert path == f"/202?token={SECRET}"
    assert body.decode() == MESSAGE.json()
    assert headers["Idempotency-Key"] == MESSAGE.uid
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        (302, True),
        (307, True),
        (400, True),
        (404, True),
        (410, True),
        (408, False),
        (429, False),
        (500, False),
        (503, False),
    ],
)
def test_what_a_webhook_answers_is_for_good_or_not(receiver, status, permanent):
    with pytest.raises(DeliveryError, match=str(status)) as caught:
        WebhookNotifier(name="hook", url=f"{receiver.url}/{status}").send(MESSAGE)
    assert caught.value.permanent == permanent
    assert receiver.seen[-1][0] == f"/{status}"  # and no redirect was followed


def test_a_webhook_that_does_not_answer_is_given_up_in_time(receiver):
    with pytest.raises(DeliveryError, match="timed out") as caught:
        WebhookNotifier(name="hook", url=f"{receiver.url}/hang", timeout=0.05).send(MESSAGE)
    assert not caught.value.permanent


def test_a_webhook_that_nobody_serves_or_that_speaks_something_else_is_told():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        thread = threading.Thread(target=_babble, args=(closed,))
        thread.start()
        with pytest.raises(DeliveryError, match=r"^http://127\.0\.0\.1:\d+: "):
            WebhookNotifier(name="hook", url=url).send(MESSAGE)
        thread.join()
    with pytest.raises(DeliveryError, match="refused"):
        WebhookNotifier(name="hook", url=url).send(MESSAGE)


def _babble(server):
    connection, _ = server.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"220 I am a mail server\r\n")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://a/b", "http://", "http:///x", "//a/b", "http://a:0/", "http://a:99999/",
     "http://u:p@a/", "http://a/ b", "http://a/\n", "http://ä/", "", None, 1, {"env": 1}, {"file": "x"}],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(InputError, match="url='\\*\\*\\*'"):
        WebhookNotifier(name="hook", url=url)


@pytest.mark.parametrize("headers", [{"a b": "c"}, {"a": "b\r\nc: d"}, {"a": 1}, {"ä": "b"}, ["a"], {"a": ""}])
def test_a_header_that_is_none_is_refused(headers):
    with pytest.raises(InputError, match="headers"):
        WebhookNotifier(name="hook", url="http://a/", headers=headers)


# Mail


class Mailbox:
    """What a mail server has taken; it refuses whoever is called `no`, for now whoever is called `later`."""

    def __init__(self):
        self.mails = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("no@"):
            return "550 nobody of that name"
        if address.startswith("later@"):
            return "451 try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.rcpt_tos, envelope.content))
        return "250 OK"


class MailServer:
    """A mail server in a thread."""

    def __init__(self):
        self.mailbox, self.port = Mailbox(), 0
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()))

    async def serve(self):
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        async with await self.loop.create_server(lambda: SMTP(self.mailbox), "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()
            await self.over.wait()

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(30)
        return self

    def __exit__(self, *error):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join()


@pytest.fixture(scope="module")
def mail():
    with MailServer() as server:
        yield server


def smtp(mail, **given):
    plain = {"name": "mail", "host": "127.0.0.1", "port": mail.port, "sender": "engine@example.org", "tls": "none"}
    return SmtpNotifier(**plain | {"to": ["ops@example.org"]} | given)


def test_a_mail_says_it_all(mail):
    smtp(mail, to=["ops@example.org", "ann@example.org"]).send(MESSAGE)
    to, content = mail.mailbox.mails[-1]
    found = message_from_bytes(content, policy=policy.default)
    assert to == ["ops@example.org", "ann@example.org"]
    assert found["Subject"] == MESSAGE.title
    assert found["Message-ID"] == f"<{MESSAGE.uid}@example.org>"
    assert found["From"] == "engine@example.org"
    assert parsedate_to_datetime(found["Date"]).timestamp() == 1_700_000_000
    assert found.get_content().strip().splitlines() == MESSAGE.text.splitlines()


def test_a_label_makes_no_header(mail):
    told = AlertTold("aa", (), 0.0, 1.0, "x\r\nBcc: eve@example.org")
    smtp(mail).send(Message("1", 0.0, "alerts", "r", Severity.INFO, Event.FIRING, (told,)))
    to, content = mail.mailbox.mails[-1]
    found = message_from_bytes(content, policy=policy.default)
    assert (to, found["Bcc"]) == (["ops@example.org"], None)


@pytest.mark.parametrize(
    ("to", "said", "permanent"),
    [
        (["no@example.org"], "answered 550 nobody of that name", True),
        (["later@example.org"], "answered 451 try again", False),
        (["ops@example.org", "no@example.org"], "took it for 1 of 2 addresses only", True),
    ],
)
def test_what_a_mail_server_refuses_is_told(mail, to, said, permanent):
    with pytest.raises(DeliveryError, match=said) as caught:
        smtp(mail, to=to).send(MESSAGE)
    assert caught.value.permanent == permanent


def test_no_password_is_sent_where_there_is_no_protection(mail):
    with pytest.raises(InputError, match="in the clear"):
        smtp(mail, user="u", password=SECRET)
    with pytest.raises(DeliveryError, match="STARTTLS") as caught:
        smtp(mail, user="u", password=SECRET, tls="starttls").send(MESSAGE)
    assert SECRET not in str(caught.value)
    with pytest.raises(DeliveryError) as caught:
        smtp(mail, user="u", password=SECRET, tls="implicit", timeout=5).send(MESSAGE)
    assert isinstance(caught.value.__context__, ssl.SSLError)


def test_a_mail_server_that_is_silent_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DeliveryError, match="timed out"):
            SmtpNotifier(
                name="m", host="127.0.0.1", port=port, sender="a@b.c", to=["a@b.c"], tls="none", timeout=0.05
            ).send(MESSAGE)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"to": []}, "to"),
        ({"to": "ops@example.org"}, "to"),
        ({"to": ["ops"]}, "to[0]"),
        ({"to": ["a@b.c\r\nBcc: d@e.f"]}, "to[0]"),
        ({"sender": "a@b, c@d"}, "sender"),
        ({"port": 0}, "port"),
        ({"port": True}, "port"),
        ({"tls": "ssl"}, "tls"),
        ({"user": "u"}, "user"),
        ({"timeout": 0}, "timeout"),
        ({"host": ""}, "host"),
    ],
)
def test_a_mail_that_could_not_be_sent_is_refused(given, field):
    plain = {"name": "m", "host": "h", "sender": "a@b.c", "to": ["a@b.c"]}
    with pytest.raises(InputError) as caught:
        SmtpNotifier(**plain | given)
    assert caught.value.field == field


# apprise


def test_apprise_sends_from_a_process_of_its_own(receiver):
    address = receiver.url.replace("http", "json") + f"/200?token={SECRET}"
    AppriseNotifier(name="a", urls=[address], timeout=60).send(MESSAGE)
    (body,) = [json.loads(body) for path, _, body in receiver.seen if b"attachments" in body]
    assert (body["title"], body["type"]) == (MESSAGE.title, "failure")
    assert body["message"].strip() == MESSAGE.text.strip()


def test_apprise_says_which_addresses_make_no_sense():
    with pytest.raises(DeliveryError, match="does not understand") as caught:
        AppriseNotifier(name="a", urls=["what://ever"], timeout=60).send(MESSAGE)
    assert caught.value.permanent


def test_apprise_is_ended_when_its_time_is_up(receiver):
    notifier = AppriseNotifier(name="a", urls=[receiver.url.replace("http", "json") + "/hang"], timeout=0.01)
    with pytest.raises(DeliveryError, match=r"after 0.01 s, and was ended"):
        notifier.send(MESSAGE)


def test_without_apprise_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(InputError, match=r"pip install 'pytest-pe-perf\[apprise\]'"):
        AppriseNotifier(name="a", urls=["json://localhost"])


# From TOML


TOML = """
[[notifier]]
name = "hook"
kind = "webhook"
url = { env = "ALERT_URL" }
headers = { Authorization = { env = "ALERT_TOKEN" } }
timeout = "2 s"
deduplicates = true
[[notifier]]
name = "mail"
kind = "smtp"
host = "mail.example.org"
sender = "engine@example.org"
to = ["ops@example.org"]
user = "engine"
password = { env = "ALERT_TOKEN" }
[[notifier]]
name = "file"
kind = "file"
path = "alerts.jsonl"
"""


def test_notifiers_from_toml_know_secrets_that_they_do_not_tell(tmp_path, monkeypatch):
    monkeypatch.setenv("ALERT_URL", f"https://example.org/{SECRET}")
    monkeypatch.setenv("ALERT_TOKEN", SECRET)
    path = tmp_path / "alerts.toml"
    path.write_text(TOML)
    _, (hook, mail, file) = load_alerts(path)
    assert (hook.timeout, hook.deduplicates, mail.port, file.path) == (2.0, True, 587, "alerts.jsonl")
    assert hook.url.reveal().endswith(SECRET)
    assert mail.password.reveal() == SECRET
    for each in (hook, mail):
        assert SECRET not in repr(each) + str(each)


def test_a_variable_that_is_not_set_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("ALERT_TOKEN", SECRET)
    monkeypatch.delenv("ALERT_URL", raising=False)
    path = tmp_path / "alerts.toml"
    path.write_text(TOML)
    with pytest.raises(
        ConfigError, match=r"notifier 'hook': url=.*the environment has no variable ALERT_URL"
    ) as caught:
        load_alerts(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"name": "a"}, "kind=None was refused: it must be one of log, file"),
        ({"name": "a", "kind": "webhok"}, "did you mean 'webhook'?"),
        ({"name": "a", "kind": "webhook"}, "url=None was refused: it is missing"),
        ({"name": "a", "kind": "webhook", "url": "http://a/", "tiemout": "1 s"}, "did you mean 'timeout'?"),
        ({"name": "a", "kind": "webhook", "uri": SECRET}, "uri='***' was refused"),
        ({"name": "a", "kind": "webhook", "url": SECRET}, "url='***' was refused"),
        ({"name": "a", "kind": "webhook", "url": "http://a/", "timeout": 3}, "timeout=3 was refused"),
        ({"name": "a", "kind": "apprise", "urls": SECRET}, "urls='***' was refused"),
        ({"name": "a", "kind": "file", "path": 1}, "path=1 was refused"),
        ({"name": 1, "kind": "log"}, "name=1 was refused"),
    ],
)
def test_a_table_with_a_mistake_is_refused_without_a_secret(table, said):
    with pytest.raises(InputError) as caught:
        notifier_from(table)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_address_never_stands_in_an_error(receiver):
    for word in ("500", "hang"):
        notifier = WebhookNotifier(name="h", url=f"{receiver.url}/{word}?{SECRET}", timeout=0.05)
        with pytest.raises(DeliveryError) as caught:
            notifier.send(MESSAGE)
        assert SECRET not in str(caught.value)
        assert SECRET.encode() not in pickle.dumps(str(caught.value.__context__))
