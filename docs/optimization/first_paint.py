"""How soon the dashboard's page is painted in Chromium, and its charts are drawn: a figure of the monitoring guide.

    python docs/optimization/first_paint.py [LOADS]

Serves an engine at work, and opens the page so often, each time in a browser context without a cache. Needs Playwright
and Chromium.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys

from playwright.sync_api import Browser, sync_playwright

BUDGET = 500.0
SERVE = [sys.executable, "-m", "engine_opt", "serve", "--port", "0"]
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
CHART = "() => document.querySelectorAll('#panels canvas').length && performance.now()"


def once(browser: Browser, url: str) -> tuple[float, float]:
    """Return after how many milliseconds something was painted, and the first chart was there."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(url)
    drawn = page.wait_for_function(CHART).json_value()
    painted = page.evaluate(PAINT)
    context.close()
    return painted, drawn


def main() -> int:
    """Print a table; return 0 if the budget is kept by each load."""
    loads = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with subprocess.Popen(SERVE, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
            )
            version = browser.version
            once(browser, url)  # the engine has begun, and the browser has been used
            taken = [once(browser, url) for _ in range(loads)]
            browser.close()
        finally:
            server.terminate()
    print("| | n | median, ms | worst, ms |\n|---|---|---|---|")
    for name, times in zip(("first paint", "first chart"), zip(*taken, strict=True), strict=True):
        print(f"| {name} | {loads} | {statistics.median(times):.0f} | {max(times):.0f} |")
    print(f"\nChromium {version}, {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    return 0 if max(painted for painted, _ in taken) <= BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
