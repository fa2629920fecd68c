"""Reports made by hand: what the judge would say is not the reporters' business."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pytest_pe_perf.model import (
    METRICS,
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
    Point,
    Row,
    Run,
    Sample,
    Skipped,
    Verdict,
)
from pytest_pe_perf.report.data import prepare
from pytest_pe_perf.report.html import render
from pytest_pe_perf.report.views import Meta

# Elements without an end.
VOID = {"meta", "link", "input", "br"}
ENVIRONMENT = Environment("cpython", "3.11", "linux-x86_64", "amd-family25-model1", 2)


def _compare(base: float, head: float, low: float, high: float, n: int, tier: str, threshold: float) -> Comparison:
    return Comparison(base, head, head / base, low, high, n, threshold, 0.13 if tier == "stored" else threshold, tier)


def make_judgement(
    test: str,
    verdict: Verdict,
    reason: str = "because",
    *,
    name: str = "",
    metric: str = "latency",
    base: float | None = None,
    head: float | None = 1e-3,
    n: int = 3,
    budget: Budget | None = None,
) -> Judgement:
    comparison = None
    if base is not None and head is not None:
        noisy = METRICS[metric].assume == "noisy"
        low, high = (head / base * 0.97, head / base * 1.03) if noisy else (head / base, head / base)
        comparison = _compare(base, head, low, high, n, "stored" if noisy else "counts", 0.1 if noisy else 0.01)
    return Judgement(Key(test, name, metric), verdict, reason, head, comparison, budget, 7)


def make_pairs(
    test: str,
    verdict: Verdict,
    reason: str = "because",
    *,
    metric: str = "latency",
    base: float = 1e-3,
    head: float = 1e-3,
    threshold: float = 0.05,
    detectable: float = 0.03,
    n: int = 4,
    budget: Budget | None = None,
) -> Judgement:
    """Return a judgement of pairs: the ratio is that of the values shown."""
    ratio = head / base
    comparison = Comparison(base, head, ratio, ratio * 0.99, ratio * 1.01, n, threshold, detectable, "paired")
    return Judgement(Key(test, "", metric), verdict, reason, head, comparison, budget, 7)


def make_run(report: GateReport, *, context: dict[str, str] | None = None) -> Run:
    def sample(judgement: Judgement) -> Sample:
        value = judgement.value or 0.0
        return Sample(value, 400, 100, tuple(value * q for q in (1, 1.01, 1.05, 1.1, 1.2, 1.9, 4)), 1e-3)

    rows = tuple(
        Row(j.key, (sample(j),), "source", 0.1, 0.01, j.budget, j.line)
        for j in report.judgements
        if j.value is not None
    )
    return Run(RUN_FORMAT, "2026-11-20T09:41:07+00:00", report.environment, context or {}, rows, report.skipped)


def make_report(*judgements: Judgement, skipped: tuple[Skipped, ...] = (), notes: tuple[str, ...] = ()) -> GateReport:
    return GateReport(ENVIRONMENT, judgements, skipped, notes)


def make_points(count: int, value: float = 1e-3, verdict: str = "unchanged") -> list[Point]:
    return [
        Point(f"2026-10-{1 + i % 28:02d}T10:00:00+00:00", f"{i:07x}abcdef", value * (1 + i % 7 / 100), 1e-3, verdict)
        for i in range(count)
    ]


@pytest.fixture(scope="session")
def judgement() -> Callable[..., Judgement]:
    return make_judgement


@pytest.fixture(scope="session")
def report_of() -> Callable[..., GateReport]:
    return make_report


@pytest.fixture(scope="session")
def run_of() -> Callable[..., Run]:
    return make_run


@pytest.fixture(scope="session")
def points() -> Callable[..., list[Point]]:
    return make_points


@pytest.fixture(scope="session")
def everything() -> GateReport:
    """One row of every verdict, and two that did not change."""
    api, engine = "tests/test_api.py::test_quote", "tests/perf/test_engine.py::test_flow[standard week]"
    changed = "recorded with memray 1.19.0, this run has memray 1.20.0"
    return make_report(
        make_judgement("tests/test_api.py::test_week", Verdict.IMPROVED, "-18.0 %", base=1.22e-4, head=1e-4),
        make_judgement(engine, Verdict.INCONCLUSIVE, "+3.8 % is more than +1.0 %", base=5.5e-4, head=5.71e-4, n=1),
        make_judgement(engine, Verdict.UNCHANGED, "equal", metric="allocations", base=1234.0, head=1234.0),
        make_judgement(api, Verdict.REGRESSED, "+12.0 %, beyond +10.0 %", base=7.5e-4, head=8.4e-4),
        make_judgement(api, Verdict.REGRESSED, "1.20 MiB more", metric="peak", base=2.2 * 2**20, head=3.4 * 2**20),
        make_judgement(
            "tests/perf/test_startup.py::test_import",
            Verdict.OVER_BUDGET,
            "12.4 ms, limit 10 ms",
            head=12.4e-3,
            budget=Budget(10e-3, "10 ms"),
        ),
        make_judgement("tests/test_parse.py::test_parse", Verdict.UNCHANGED, name="json", base=3.1e-5, head=3.1e-5),
        make_judgement("tests/test_parse.py::test_parse", Verdict.NEW, "no baseline row", name="yaml", head=1.3e-3),
        make_judgement("tests/test_parse.py::test_parse", Verdict.NEW, "no baseline row", name="toml", head=1.1e-3),
        make_judgement("tests/test_old.py::test_gone", Verdict.MISSING, "nothing measures it any more", head=None),
        make_judgement("tests/test_a.py::test_b", Verdict.NOT_COMPARABLE, changed, metric="peak", head=4096.0),
        make_judgement("tests/test_a.py::test_c", Verdict.ACCEPTED, "until June", base=1e-3, head=1.2e-3),
        skipped=(Skipped("tests/perf/test_dask.py::test_cluster", "needs a cluster of two workers"),),
        notes=("5 baseline rows belong to tests that were not part of this run",),
    )


@pytest.fixture(scope="session")
def pairs() -> Callable[..., Judgement]:
    return make_pairs


@pytest.fixture(scope="session")
def side_by_side() -> GateReport:
    """What a comparison of two commits says: every kind of row that it may find, and weak ones."""
    api, calm = "tests/test_api.py::test_quote", "tests/test_calm.py::test_calm"
    wide = {"threshold": 0.5, "detectable": 0.62}
    twice = "+12.0 % in two passes, the second of 6 pairs of processes"
    return make_report(
        make_pairs(api, Verdict.REGRESSED, twice, base=7.5e-4, head=8.4e-4, n=6),
        make_pairs(api, Verdict.UNCHANGED, "weak: +3.0 %", metric="first", base=2e-3, head=2.06e-3, **wide),
        make_judgement(api, Verdict.REGRESSED, "1.20 MiB more", metric="peak", base=2.2 * 2**20, head=3.4 * 2**20),
        make_pairs(calm, Verdict.UNCHANGED, "+0.4 %, within +1.0 %", head=1.004e-3),
        make_pairs(calm, Verdict.UNCHANGED, "weak: +1.0 %", metric="tail", base=1.1, head=1.111, **wide),
        make_pairs("tests/test_busy.py::test_a", Verdict.UNCHANGED, "weak: +0.6 %", head=1.006e-3, detectable=0.07),
        make_pairs("tests/test_busy.py::test_b", Verdict.UNCHANGED, "weak: -0.2 %", head=9.98e-4, detectable=0.19),
        make_pairs("tests/test_busy.py::test_c", Verdict.INCONCLUSIVE, "suspected +4.0 %; not confirmed", head=1.04e-3),
        make_pairs("tests/test_week.py::test_week", Verdict.IMPROVED, "-18.0 %", base=1.22e-4, head=1e-4, n=8),
        make_judgement("tests/test_new.py::test_new", Verdict.NEW, "base does not have it", head=None),
        make_judgement("tests/test_new.py::test_old", Verdict.NOT_COMPARABLE, "its own source differs", head=None),
        make_judgement("tests/test_old.py::test_gone", Verdict.MISSING, "base has it and head does not", head=None),
        notes=("canaries: a planted +5.0 % was seen as +5.3 %, no change as -0.3 %",),
    )


@pytest.fixture(scope="session")
def sides_run() -> Callable[[GateReport], Run]:
    """A run of such a report, with samples of both sides."""

    def make(report: GateReport) -> Run:
        run = make_run(report, context={"against": "main", "base": "1a2b3c4d5e6f7a8b", "commit": "9f8e7d6c5b4a"})

        def both(row: Row) -> Row:
            base = tuple(
                replace(s, value=s.value * 0.9 * turn, quantiles=tuple(q * 0.9 * turn for q in s.quantiles))
                for s in row.samples
                for turn in (1.0, 1.02, 0.99)
            )
            return replace(row, samples=row.samples * 3, base=base)

        return replace(run, rows=tuple(map(both, run.rows)))

    return make


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of expected outputs; PE_PERF_WRITE_GOLDEN=1 writes them anew, for a person to review."""
    return Path(__file__).parent / "golden"


class Page(HTMLParser):
    """The page as a browser would read it: its tags, attributes, texts, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def past_of(keys, count=40, verdict="unchanged", commit="c0ffee", value=1e-3) -> Past:
    """A history of so many runs in which each row has a point."""
    runs = tuple(
        PastRun(
            f"2026-10-{1 + i // 24:02d}T{i % 24:02d}:00:00+00:00",
            "before" if i < count // 2 else "here",
            {"commit": f"{commit}{i}"},
        )
        for i in range(count)
    )
    values = tuple(value * (1 + i % 7 / 100) for i in range(count))
    course = Course(tuple(range(count)), values, (0.98,) * count, (1.03,) * count, (verdict,) * count)
    return Past(runs, dict.fromkeys(keys, course))


def chunk(html, name):
    """What the script reads, out of the page."""
    text = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', html)[1]
    data = zlib.decompress(base64.b64decode(text))
    if name == "d-uplot":
        return data.decode()
    return data if name.startswith("d-numbers") else json.loads(data)


def prepared(run, report, past=None):
    return prepare(run, report, past or Past(), Meta())


@pytest.fixture(scope="session")
def html(everything, run_of) -> str:
    past = past_of([judgement.key for judgement in everything.judgements])
    return render(run_of(everything, context={"commit": "483c483a1b2c", "load": "2.1"}), everything, past)
