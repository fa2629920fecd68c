"""`serve` as a process of its own, and a browser that looks at it."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

HERE = Path(__file__).parent
PATIENCE = 30_000.0  # milliseconds

RULES = """
[[alert]]
name = "slow decisions"
metric = "engine_decision_seconds"
labels = { outcome = "ok" }
quantile = 0.99
window = "1.5 s"
above = 0.015

[[alert]]
name = "<img src=x onerror=alert(1)>"
metric = "process_threads"
above = 0.0
severity = "info"
summary = "<b>always</b> $value"
"""


class Served:
    """A dashboard: its address, its token, and the file that makes the load slow."""

    def __init__(self, url, slow):
        self.url, self.slow = url, slow
        self.address, _, self.token = url.partition("/#token=")
        self.port = urlsplit(url).port


@contextmanager
def serve(folder, *arguments, port=0):
    """Start `serve` in a folder, and end it."""
    with subprocess.Popen(
        [sys.executable, "-m", "engine_opt", "serve", "--port", str(port), "--interval", "0.5s", *arguments],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Served(process.stdout.readline().strip(), folder / "slow")
        finally:
            process.terminate()
            assert process.wait(30) == 0


@pytest.fixture(scope="module")
def serving():
    """Return a function that serves in a folder."""
    return serve


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A dashboard with an engine at work."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "rules.toml").write_text(RULES)
    with serve(folder, "--rate", "200", "--slow-while", "slow", "--rules", "rules.toml") as served:
        yield served


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, driven by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="there is no playwright: pip install -e '.[dev]'")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


class Visit:
    """A page, and what it did: where it asked, and what the browser complained of."""

    def __init__(self, page):
        self.page, self.hosts, self.schemes, self.complaints = page, set(), set(), []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self._asked(urlsplit(request.url)))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _asked(self, url):
        self.hosts.add(url.hostname)
        self.schemes.add(url.scheme)


@pytest.fixture
def visit(browser):
    """Return a function that opens the page; at the end no request has left this machine, and nothing went wrong."""
    visits = []

    def open_page(url, *, expected=(), **options):
        page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}).new_page()
        visits.append((Visit(page), expected))
        page.goto(url)
        page.locator("#panels .card").first.wait_for()
        return page

    yield open_page
    for visited, expected in visits:
        assert visited.hosts == {"127.0.0.1"}
        assert [each for each in visited.complaints if not any(part in each for part in expected)] == []
        visited.page.context.close()


@pytest.fixture
def read(browser):
    """Return a function that opens a file; at the end nothing else was asked for, and nothing went wrong."""
    visits = []

    def open_file(path, fragment="", **options):
        page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}).new_page()
        visits.append(Visit(page))
        page.goto(path.as_uri() + fragment)
        if options.get("java_script_enabled", True):
            # Not by a function: the page's policy lets nobody evaluate a text, except at once.
            page.locator("html[data-ready]").wait_for(state="attached")
        return page

    yield open_file
    for visited in visits:
        assert visited.schemes <= {"file", "data"}
        assert visited.complaints == []
        visited.page.context.close()


@pytest.fixture(scope="session")
def axe():
    """Return a function that tells what axe-core finds serious in a page."""
    source = (HERE / "vendor" / "axe.min.js").read_text("utf-8")

    def serious(page):
        page.evaluate(source)
        found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        return [
            (each["id"], node["html"])
            for each in found
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"]
        ]

    return serious
