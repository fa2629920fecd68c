"""Who may ask the dashboard, and what; what it tells browsers; and what never comes out of it."""

import socket
from contextlib import closing

import pytest

from engine_opt.errors import InputError
from engine_opt.monitoring.dashboard_backend import run

SILENCE = {"matcher": {"rule": "x"}, "seconds": 60, "who": "ana", "why": "test"}
PATHS = ["/", "/api/v1/overview", "/api/v1/nothing", "/static/nothing", "/api/v1/query", "/metrics"]


@pytest.fixture(scope="module")
def ask(helpers, make):
    with helpers.serving(make()) as ask:
        yield ask


def raw(ask, request):
    """Send bytes, and return the first line of what is answered."""
    with closing(socket.create_connection(("127.0.0.1", ask.port), timeout=20)) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as answer:
            return answer.readline().decode().strip()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8765", "127.0.0.1:1", "[::1]", "[::1]:8765"])
def test_names_of_this_machine_are_served(ask, host):
    assert ask("GET", "/api/v1/health/live", Host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "localhost:x", "::1", "[::1"]
)
def test_other_hosts_are_refused_so_that_no_name_can_be_pointed_here(ask, host):
    status, _, body = ask("GET", "/api/v1/overview", Host=host)
    assert (status, body["error"]["what"]) == (421, "this host is not served")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /api/v1/health/live HTTP/1.0\r\n\r\n", "HTTP/1.1 421"),
        (b"GET /api/v1/health/live HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 400"),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 421"),
        (b"nonsense\r\n\r\n", "HTTP/1.1 400"),
    ],
)
def test_requests_without_one_host_are_refused(ask, request_line, status):
    assert raw(ask, request_line).startswith(status)


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "Basic {token}", "bearer {token}x", "\xe4"]
)
def test_a_change_needs_the_token(ask, helpers, method, authorization):
    headers = {} if authorization is None else {"Authorization": authorization.format(token=helpers.token)}
    status, headers, body = ask(method, "/api/v1/silences", SILENCE, **headers)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert helpers.token not in str(body)


def test_with_the_token_it_is_looked_at(ask, helpers):
    assert ask("POST", "/api/v1/silences", SILENCE, token=helpers.token)[0] == 404  # no alerts are watched here
    assert ask("PUT", "/api/v1/silences", SILENCE, token=helpers.token)[0] == 405


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:{port}", 404),
        ("http://evil.example", 403),
        ("http://127.0.0.1:1", 403),
        ("http://localhost:{port}", 403),
        ("null", 403),
    ],
)
def test_another_origin_may_not_change_anything_even_with_the_token(ask, helpers, origin, status):
    origin = origin.format(port=ask.port)
    assert ask("POST", "/api/v1/silences", SILENCE, token=helpers.token, Origin=origin)[0] == status


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_tells_browsers_to_keep_it_to_themselves(ask, path):
    for _, headers, _ in (ask("GET", path), ask("GET", path, Host="evil.example"), ask("POST", path)):
        assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert not [name for name in headers if name.lower().startswith("access-control-")]
        assert "server" not in {name.lower() for name in headers}


@pytest.mark.parametrize(
    "path",
    [
        "/static/../dashboard_backend.py",
        "/static/%2e%2e/dashboard_backend.py",
        "/static/..%2fdashboard_backend.py",
        "/static//etc/passwd",
        "/static/%00",
        "/static/",
        "/static/.",
        "/../../etc/passwd",
    ],
)
def test_no_path_leads_out_of_the_page(ask, path):
    status, _, body = ask("GET", path)
    assert (status, set(body)) == (404, {"error"})


def test_a_large_body_is_refused_before_it_is_read(ask, helpers):
    head = f"POST /api/v1/silences HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {helpers.token}\r\n"
    assert raw(ask, f"{head}Content-Length: 1000000\r\n\r\n".encode()).startswith("HTTP/1.1 413 ")


def test_a_body_that_does_not_tell_its_length_is_read_no_further_than_allowed(ask, helpers):
    head = (
        f"POST /api/v1/silences HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {helpers.token}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    assert raw(ask, head.encode() + 2 * chunk).startswith("HTTP/1.1 413 ")


@pytest.mark.parametrize("token", ["", "short", "with spaces in it, many", "\u00e4" * 20, "line\n" * 5])
def test_a_token_that_could_be_guessed_or_not_be_sent_is_refused_and_not_shown(make, token):
    with pytest.raises(InputError) as refused:
        make(token=token)
    assert refused.value.field == "token"
    assert not token or token not in str(refused.value)


def test_others_are_not_served_without_saying_as_what(store):
    for host in ("0.0.0.0", "::", "192.0.2.1", ""):
        with pytest.raises(InputError, match="can be reached by others"):
            run(store, host=host)
    with pytest.raises(InputError, match="at least one host"):
        run(store, host="0.0.0.0", port=0, hosts=[])
