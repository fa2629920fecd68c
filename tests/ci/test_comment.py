"""The comment on a pull request, written to a server that keeps comments as GitHub does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pytest_pe_perf.report.formats.markdown import MARKER

SCRIPT = Path(__file__).parents[2] / ".github/actions/pe-perf/comment.py"
HEAD, TWICE = "a" * 40, "b" * 40
TEXT = 'all is well: $(exit 3) `exit 3` "é"\n'


class GitHub(ThreadingHTTPServer):
    """One repository. Pull request 7 is far down the list, and two others end with the same commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        heads = {**dict.fromkeys(range(1000, 1150), "c" * 40), 7: HEAD, 8: TWICE, 9: TWICE}
        self.pulls = [{"number": number, "head": {"sha": sha}} for number, sha in heads.items()]
        self.comments: list[dict[str, Any]] = []

    def add(self, body: str, kind: str) -> dict[str, Any]:
        new = {"id": len(self.comments), "body": body, "user": {"type": kind}, "html_url": "https://x.example/1"}
        self.comments.append(new)
        return new


class Handler(BaseHTTPRequestHandler):
    server: GitHub

    def answer(self) -> None:
        address = urlsplit(self.path)
        path = address.path.removeprefix("/repos/a/b/")
        content = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        if self.headers["Authorization"] != "Bearer secret":
            self.send_error(403)
            return
        said: Any
        match self.command, path.split("/"):
            case "GET", ["pulls"] | ["issues", "7", "comments"]:
                start = 100 * (int(parse_qs(address.query)["page"][0]) - 1)
                said = (self.server.pulls if path == "pulls" else self.server.comments)[start : start + 100]
            case "POST", ["issues", "7", "comments"]:
                said = self.server.add(content["body"], "Bot")
            case "PATCH", ["issues", "comments", number]:
                said = self.server.comments[int(number)]
                said.update(content)
            case _:
                self.send_error(404)
                return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_PATCH(self) -> None:
        self.answer()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def comment(
    github: GitHub, folder: Path, *arguments: str, body: str = f"{MARKER}\n{TEXT}", token: str = "secret"
) -> Any:
    (folder / "comment.md").write_text(body, encoding="utf-8")
    address = f"http://127.0.0.1:{github.server_port}"
    environ = {**os.environ, "GITHUB_API_URL": address, "GITHUB_REPOSITORY": "a/b", "GITHUB_TOKEN": token}
    command = [sys.executable, str(SCRIPT), "comment.md", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_the_second_push_edits_the_comment_of_the_first(github: GitHub, tmp_path: Path) -> None:
    """It is found by its first line on whatever page, and only if it is ours; the text arrives as it is."""
    for number in range(120):
        github.add(f"{MARKER}\nmine" if number == 3 else f"see {MARKER}", "User" if number == 3 else "Bot")
    before = [entry["body"] for entry in github.comments]
    for arguments, body in ((["--number", "7"], "first\n"), (["--head", HEAD], TEXT)):
        done = comment(github, tmp_path, *arguments, body=f"{MARKER}\n{body}")
        assert (done.returncode, done.stdout) == (0, "https://x.example/1\n"), done.stderr
    assert [entry["body"] for entry in github.comments] == [*before, f"{MARKER}\n{TEXT}"]


def test_two_jobs_keep_a_comment_each(github: GitHub, tmp_path: Path) -> None:
    """A name in the mark keeps them apart."""
    for name in ("", "engine", "", "engine"):
        assert comment(github, tmp_path, "--number", "7", "--id", name).returncode == 0
    bodies = [entry["body"] for entry in github.comments]
    assert bodies == [f"{MARKER}\n{TEXT}", f"<!-- pe-perf report: engine -->\n{TEXT}"]


@pytest.mark.parametrize(
    ("arguments", "changes", "seen"),
    [
        (["--head", TWICE], {}, "2 open pull requests end with"),
        (["--head", "d" * 40], {}, "0 open pull requests end with"),
        (["--head", "main"], {}, "no full commit id"),
        (["--number", "7", "--id", "x -->"], {}, "only letters"),
        (["--number", "7"], {"body": "hello\n"}, "no comment of pe-perf"),
        (["--number", "7"], {"token": "other"}, "does not take the comment: HTTP Error 403"),
    ],
)
def test_what_is_refused(
    github: GitHub, tmp_path: Path, arguments: list[str], changes: dict[str, str], seen: str
) -> None:
    """It says why, ends in red, and nothing is written."""
    done = comment(github, tmp_path, *arguments, **changes)
    assert done.returncode
    assert seen in done.stderr
    assert github.comments == []
