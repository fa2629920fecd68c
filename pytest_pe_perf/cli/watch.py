"""The page of a run on this machine's own address, anew whenever the run file changes."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from pytest_pe_perf.errors import PePerfError

LOOPBACK = "127.0.0.1"

# The page stands in a frame: loaded again it keeps the part of its address in which it remembers what was looked at.
_SHELL = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>pe-perf</title><link rel="stylesheet" href="/watch.css">
<iframe src="/report.html" title="Performance report"></iframe><script src="/watch.js"></script></html>
"""
_STYLE = b"html, body, iframe { margin: 0; border: 0; width: 100%; height: 100%; display: block; }\n"
_SCRIPT = b"""const frame = document.querySelector("iframe");
let known = null;
async function look() {
  try {
    const stamp = await (await fetch("/stamp")).text();
    if (known !== null && stamp !== known) frame.contentWindow.location.reload();
    known = stamp;
  } catch { /* it is gone, or busy: the next look will tell */ }
  setTimeout(look, 1000);
}
look();
"""
_FILES = {"/": ("text/html", _SHELL), "/watch.css": ("text/css", _STYLE), "/watch.js": ("text/javascript", _SCRIPT)}


class PageServer(HTTPServer):
    """Serves what ``build`` makes of ``run_file``, to this machine only. Use as a context manager.

    ``port`` 0 takes one that is free; ``address`` says where it is.

    Raises:
        OSError: the port is taken.

    """

    # A second one must not share the port and answer for the first.
    allow_reuse_port = False

    def __init__(self, run_file: Path, build: Callable[[], str], port: int = 0) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.run_file = run_file
        self.build = build
        self._built: tuple[str, HTTPStatus, bytes] | None = None

    @property
    def address(self) -> str:
        """Where a browser finds the page."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def stamp(self) -> str:
        """Return a text that changes when the run file does."""
        try:
            seen = self.run_file.stat()
        except OSError:
            return "none"
        return f"{seen.st_mtime_ns}-{seen.st_size}-{seen.st_ino}"

    def page(self) -> tuple[HTTPStatus, bytes]:
        """Return the page, or the message that says why there is none; made once for each state of the file."""
        stamp = self.stamp()
        if self._built is None or self._built[0] != stamp:
            try:
                self._built = (stamp, HTTPStatus.OK, self.build().encode())
            except (PePerfError, OSError) as error:
                # The file may be made, or mended, while somebody watches.
                self._built = (stamp, HTTPStatus.SERVICE_UNAVAILABLE, f"pe-perf: {error}\n".encode(errors="replace"))
        return self._built[1:]


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:  # the name is http.server's
        hosts = {f"{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")}
        if self.headers.get("Host") not in hosts:
            # A page elsewhere whose name was made to lead here must not read this one.
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"unknown host\n")
        elif self.path == "/report.html":
            status, page = self.server.page()
            self._send(status, "text/html" if status is HTTPStatus.OK else "text/plain", page)
        elif self.path == "/stamp":
            self._send(HTTPStatus.OK, "text/plain", self.server.stamp().encode())
        elif self.path in _FILES:
            self._send(HTTPStatus.OK, *_FILES[self.path])
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.path != "/report.html":
            # That one has a stricter policy of its own.
            self.send_header("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing of requests."""
