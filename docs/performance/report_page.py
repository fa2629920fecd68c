"""How large the report of a large suite is, how long it takes to build, and how fast a browser shows it.

    python docs/performance/report_page.py [--tests 1000] [--runs 500] [--times 7]

The history is made up: times that scatter by 1 to 3 % around levels that change now and then, and peaks of memory that
mostly repeat. It is read from an SQLite file, as after a run. Budgets: 1.5 MB, 2 s to build, 0.3 s to the first paint,
100 ms for the page of any test, in Debian's Chromium.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pytest_pe_perf.history.past import recall
from pytest_pe_perf.history.record import Record, Value, make_record, record_of
from pytest_pe_perf.history.sqlite import open_sqlite
from pytest_pe_perf.model import (
    RUN_FORMAT,
    Budget,
    Comparison,
    Course,
    Environment,
    GateReport,
    Judgement,
    Key,
    Past,
    PastRun,
    Row,
    Run,
    Sample,
    Skipped,
    Verdict,
)
from pytest_pe_perf.report.html import render

HERE = Environment("cpython", "3.12", "linux", "x86_64-amd-25-1", 2)
BEFORE = "cpython-3.11-linux-x86_64-amd-25-1-2cpu"
BYTES, BUILD_S, PAINT_S, PAGE_MS = 1_500_000, 2.0, 0.3, 100.0
# Of these tests the last run has something to say; of the others it is that nothing changed.
SPECIAL = {
    3: (Verdict.REGRESSED, 1.31),
    17: (Verdict.REGRESSED, 1.12),
    29: (Verdict.OVER_BUDGET, 1.02),
    41: (Verdict.INCONCLUSIVE, 1.06),
    53: (Verdict.ACCEPTED, 1.18),
    67: (Verdict.IMPROVED, 0.71),
    71: (Verdict.IMPROVED, 0.88),
}
HOSTILE = {
    5: "tests/test_odd.py::test[</script><script>alert(1)</script>]",
    7: "tests/test_odd.py::test[\u202eexe.gnp\u2066 שלום 👩‍💻]",
    11: "tests/test_odd.py::test_" + "very_long_" * 500,
}


def test_id(number: int) -> str:
    """Return the node id of a test; a few are of the kind that breaks pages."""
    return HOSTILE.get(number, f"tests/perf/test_{number // 25:02}.py::test_something_{number:04}[{number % 7}-case]")


class Made:
    """A suite with a history: its runs, and what the gate says of the last of them."""

    def __init__(self, tests: int, runs: int, seed: int = 1) -> None:
        self.tests, self.runs, self.random = tests, runs, random.Random(seed)
        self.times = [self._times(number) for number in range(tests)]
        self.peaks = [self._peaks(number) for number in range(tests)]
        commit = self.random.getrandbits
        self.commits = [f"{commit(160):040x}" for _ in range(runs)]

    def _times(self, number: int) -> list[float]:
        """Return values with a gap here and there (NaN), levels that change, and the last run's own change."""
        level, noise = math.exp(self.random.uniform(-13, -4)), self.random.uniform(0.01, 0.03)
        values = []
        for run in range(self.runs):
            if self.random.random() < 1 / 400:
                level *= math.exp(self.random.gauss(0, 0.15))
            gap = number % 50 == 9 and 20 <= run % 100 < 30
            values.append(math.nan if gap else level * math.exp(abs(self.random.gauss(0, noise))))
        values[-1] = level * SPECIAL.get(number, (None, 1.0))[1]
        return values

    def _peaks(self, number: int) -> list[float]:
        level = self.random.randrange(1_000, 4_000_000)
        values = []
        for _ in range(self.runs):
            if self.random.random() < 1 / 150:
                level += self.random.randrange(-level // 50, level // 40)
            values.append(float(level))
        if number == 3:
            values[-1] = level * 1.5
        return values

    def started(self, run: int) -> str:
        """Return when a run began, six hours after the one before."""
        return (datetime(2026, 1, 1, 9, tzinfo=UTC) + timedelta(hours=6 * run)).isoformat()

    def context(self, run: int) -> dict[str, str]:
        """Return what is known of a run; the Python and the kernel are not always the same."""
        python = "3.11.9" if run < self.runs * 2 // 5 else "3.12.4" if run < self.runs * 3 // 4 else "3.12.5"
        return {"commit": self.commits[run], "branch": "main", "python": python, "platform": "Linux-6.8", "dirty": "no"}

    def records(self) -> Iterator[Record]:
        """Yield all runs."""
        yield record_of(*self.outcome())
        for run in range(self.runs - 1):
            yield make_record(self.started(run), self.environment(run), self.context(run), self._values(run))

    def _values(self, run: int) -> Iterator[Value]:
        for number in range(self.tests):
            value, peak = self.times[number][run], self.peaks[number][run]
            half = math.exp(abs(self.random.gauss(0.01, 0.004)))
            if not math.isnan(value):
                word = "unchanged" if self.random.random() < 0.98 else "inconclusive"
                yield Value(Key(test_id(number), "", "latency"), value, 2.5e-5, 1 / half, half, word)
            yield Value(Key(test_id(number), "", "peak"), peak, None, 1.0, 1.0, "unchanged")

    def past(self) -> Past:
        """Return all runs but the last, as a history would."""
        runs = range(self.runs - 1)
        about = [PastRun(self.started(run), self.environment(run), self.context(run)) for run in runs]
        courses = {}
        for number in range(self.tests):
            test = test_id(number)
            there = [run for run in runs if not math.isnan(self.times[number][run])]
            halves = [math.exp(abs(self.random.gauss(0.01, 0.004))) for _ in there]
            values = tuple(self.times[number][run] for run in there)
            lows, words = tuple(1 / half for half in halves), ("unchanged",) * len(there)
            courses[Key(test, "", "latency")] = Course(tuple(there), values, lows, tuple(halves), words)
            ones, words = (1.0,) * len(runs), ("unchanged",) * len(runs)
            courses[Key(test, "", "peak")] = Course(tuple(runs), tuple(self.peaks[number][:-1]), ones, ones, words)
        return Past(tuple(about), courses)

    def environment(self, run: int) -> str:
        """Return where a run was measured: the first two fifths are of another Python."""
        return BEFORE if run < self.runs * 2 // 5 else HERE.slug

    def outcome(self) -> tuple[Run, GateReport]:
        """Return the last run, and what the gate says of it."""
        judgements = [judgement for number in range(self.tests) for judgement in self._judged(number)]
        rows = tuple(_row(judgement) for judgement in judgements)
        skipped = (Skipped("tests/perf/test_99.py::test_cluster", "needs a cluster of two workers"),)
        run = Run(RUN_FORMAT, self.started(self.runs - 1), HERE, self.context(self.runs - 1), rows, skipped)
        return run, GateReport(HERE, tuple(judgements), skipped, ("5 baseline rows belong to tests that did not run",))

    def _judged(self, number: int) -> Iterator[Judgement]:
        verdict, ratio = SPECIAL.get(number, (Verdict.UNCHANGED, 1.0 + number % 9 / 1000))
        value, test = self.times[number][-1], test_id(number)
        comparison = Comparison(value / ratio, value, ratio, ratio * 0.98, ratio * 1.02, 5, 0.1, 0.12, "stored")
        budget = Budget(value / 1.02, "the budget of the marker") if verdict is Verdict.OVER_BUDGET else None
        yield Judgement(
            Key(test, "", "latency"), verdict, f"{ratio - 1:+.1%} in 5 processes", value, comparison, budget
        )
        peak = self.peaks[number][-1]
        grown, word = (1.5, Verdict.REGRESSED) if number == 3 else (1.0, Verdict.UNCHANGED)
        comparison = Comparison(peak / grown, peak, grown, grown, grown, 3, 0.01, 0.01, "counts")
        yield Judgement(Key(test, "", "peak"), word, "in 3 processes", peak, comparison)


def _row(judgement: Judgement) -> Row:
    value = judgement.value
    assert value is not None
    if judgement.key.metric == "peak":
        return Row(judgement.key, (Sample(value, 1, 1, made_with="memray 1.20.0"),) * 3, "source", 0.01, 0.0)
    quantiles = tuple(value * share for share in (1.0, 1.01, 1.03, 1.06, 1.1, 1.4, 2.2))
    samples = tuple(
        Sample(value * (1 + i / 100), 400, 10, tuple(q * (1 + i / 100) for q in quantiles)) for i in range(5)
    )
    return Row(judgement.key, samples, "source", 0.1, 0.05, judgement.budget)


def built(made: Made, path: Path) -> tuple[str, float, float]:
    """Return the page of the last run, and how long it took to read the history and to build it, in seconds."""
    run, report = made.outcome()
    keys = [judgement.key for judgement in report.judgements]
    with open_sqlite(path) as history:
        begin = time.perf_counter()
        past = recall(history, HERE.slug, keys, made.runs)
        read = time.perf_counter()
    page = render(run, report, past, command="pytest --pe-perf tests/perf", commits="https://github.com/a/b/commit/")
    return page, read - begin, time.perf_counter() - read


def shown(page: Path) -> tuple[float, float, list[float]]:
    """Return the seconds to the first paint, those to the table, and the milliseconds of the pages of some tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.goto(page.as_uri())
        opened.locator("html[data-ready]").wait_for(state="attached")
        ready = opened.evaluate("performance.now()") / 1e3
        paint = opened.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1e3
        opened.evaluate("document.getElementById('table').scrollIntoView({ behavior: 'instant' })")
        opened.locator("#rows td.id a").first.wait_for()
        anchors = opened.evaluate("[...document.querySelectorAll('#rows td.id a')].map((each) => each.hash)")
        pages = [opened.evaluate(_OPEN, anchor) for anchor in anchors[:10]]
        browser.close()
    return paint, ready, pages


# From the click to the chart in the page: the script puts it there before it lets go.
_OPEN = """async (hash) => {
  const begin = performance.now();
  location.hash = hash;
  const page = document.getElementById("page-test");
  await new Promise((done) => {
    const watch = new MutationObserver(() => { if (page.querySelector("canvas")) { watch.disconnect(); done(); } });
    watch.observe(page, { childList: true, subtree: true });
  });
  const taken = performance.now() - begin;
  location.hash = "";
  await new Promise((done) => setTimeout(done, 50));
  page.replaceChildren();
  return taken;
}"""


def main() -> None:
    """Measure, and print the median and the worst of each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tests", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--history", type=Path, metavar="FILE", help="where the made-up runs are, or are to be kept")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep the page")
    asked = parser.parse_args()
    made = Made(asked.tests, asked.runs)
    with tempfile.TemporaryDirectory(prefix="report-") as folder:
        history = asked.history or Path(folder, "history.sqlite")
        if not history.exists():
            with open_sqlite(history) as store:
                store.add(made.records())
        print(f"load {os.getloadavg()[0]:.1f}, {asked.tests:,} tests x {asked.runs:,} runs, {asked.times} times")
        series: dict[str, list[float]] = {"read": [], "build": [], "both": [], "paint": [], "ready": [], "page": []}
        for _ in range(asked.times):
            html, read, build = built(made, history)
            path = Path(folder, "report.html")
            path.write_text(html, "utf-8")
            paint, ready, opened = shown(path)
            taken = {"read": [read], "build": [build], "both": [read + build], "paint": [paint], "ready": [ready]}
            for name, values in (taken | {"page": opened}).items():
                series[name] += values
        if asked.keep:
            asked.keep.write_text(html, "utf-8")
    size = len(html.encode())
    print(f"size {size:,} bytes (budget {BYTES:,})")

    def line(what: str, name: str, unit: str, budget: float | None = None) -> bool:
        middle, worst, count = statistics.median(series[name]), max(series[name]), len(series[name])
        held = f" (budget {budget:g} {unit})" if budget is not None else ""
        print(f"{what}: median {middle:.3g} {unit}, worst {worst:.3g} {unit} of {count}{held}")
        return budget is None or middle <= budget

    within = [
        size <= BYTES,
        line("history read", "read", "s"),
        line("page built", "build", "s"),
        line("both", "both", "s", BUILD_S),
        line("first paint", "paint", "s", PAINT_S),
        line("table of all rows", "ready", "s"),
        line("page of a test", "page", "ms", PAGE_MS),
    ]
    sys.exit(0 if all(within) else 1)


if __name__ == "__main__":
    main()
