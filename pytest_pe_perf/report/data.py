"""Everything that the HTML report shows, as strings and coordinates; the template only puts them in place."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pytest_pe_perf.model import METRICS, GateReport, Judgement, Key, Point, Row, Run, Verdict
from pytest_pe_perf.units import format_quantity

from .chart import Chart, Spark, chart, number, spark, when
from .distribution import Distribution, distribution
from .method import Paragraph, method
from .screen import printable, shorten
from .wording import (
    ORDER,
    SIGN,
    Commits,
    Level,
    accept_command,
    bounds,
    change,
    commits_of,
    could_have_seen,
    how_to_let_pass,
    measured_in,
    old_to_new,
    quantity,
    reproduce_command,
    result,
    style,
    threshold,
    weak,
    word,
    worst_first,
)

# Marks with their words are most of the file's size: so many are shared by all charts.
_MARKS_IN_ALL = 4500
_FEWEST_MARKS, _MOST_MARKS = 12, 150
# The table shows this much of a node id; the test's own section shows all of it.
_LONGEST_ID = 160
# The bar beside a change spans this many thresholds to either side.
_BAR_THRESHOLDS = 3.0

_SIGN_OF_RESULT: dict[Level, str] = {"bad": "▲", "unsure": "◇", "good": "✓"}


@dataclass(frozen=True, slots=True)
class Meta:
    """What the report says of itself: its title and the version that wrote it."""

    title: str = "Performance report"
    version: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval drawn beside its change: where it begins, how long it is, where its estimate and the limits stand."""

    start: str
    length: str
    middle: str
    limit: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class RowView:
    """A judged row: of the table, of a card where it fails, and of its test's section."""

    anchor: str
    test: str
    short: str
    name: str
    metric: str
    title: str
    verdict: str
    word: str
    style: str
    sign: str
    fails: bool
    now: str
    change: str
    interval: str
    bar: Bar | None
    headline: str
    reason: str
    values: tuple[Fact, ...]
    proof: tuple[Fact, ...]
    readings: tuple[Fact, ...]
    distribution: Distribution | None
    accept: str
    pass_anyway: str
    reproduce: str
    spark: Spark | None
    chart: Chart | None
    rank: int
    sort_now: str
    sort_change: str


@dataclass(frozen=True, slots=True)
class TestView:
    """A test with all its rows, its worst first, and the numbers that nobody judges."""

    anchor: str
    test: str
    word: str
    style: str
    sign: str
    fails: bool
    rows: tuple[RowView, ...]
    unjudged: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Chip:
    """A verdict that some rows have, and how many: a filter of the table."""

    verdict: str
    style: str
    sign: str
    count: int


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report."""

    meta: Meta
    level: Level
    sign: str
    headline: str
    advice: str
    found: tuple[str, ...]
    started: str
    compared: str
    now: str
    cards: tuple[RowView, ...]
    chips: tuple[Chip, ...]
    rows: tuple[RowView, ...]
    tests: tuple[TestView, ...]
    skipped: tuple[Fact, ...]
    notes: tuple[str, ...]
    identity: tuple[Fact, ...]
    context: tuple[Fact, ...]
    method: tuple[Paragraph, ...]


def prepare(run: Run, report: GateReport, trends: Mapping[Key, Sequence[Point]], meta: Meta | None = None) -> Page:
    """Return the page of a run. ``trends`` holds the history of its rows, oldest point first."""
    judgements = worst_first(report)
    measured = {row.key: row for row in run.rows}
    marks = min(max(_MARKS_IN_ALL // max(len(judgements), 1), _FEWEST_MARKS), _MOST_MARKS)
    commits = commits_of(run.context)
    rows = tuple(
        _row(judgement, measured.get(judgement.key), _trend(judgement, trends, run), marks, commits)
        for judgement in judgements
    )
    outcome = result(report, commits)
    headline, advice = _answer(report, outcome.level, commits)
    return Page(
        meta=meta or Meta(),
        level=outcome.level,
        sign=_SIGN_OF_RESULT[outcome.level],
        headline=headline,
        advice=advice,
        # Where nothing failed the advice already says what the hint says.
        found=tuple(map(unbroken, outcome.parts if outcome.level == "bad" else outcome.found)),
        started=when(run.started),
        compared=f"{printable(commits.sentence)}, measured side by side" if commits else "",
        now="Head" if commits else "Now",
        cards=tuple(row for row in rows if row.fails),
        chips=_chips(report),
        rows=rows,
        tests=_tests(rows, run),
        skipped=tuple(Fact(printable(item.test), printable(item.why)) for item in report.skipped),
        notes=tuple(map(printable, report.notes)),
        identity=_identity(run, commits),
        context=tuple(Fact(printable(name), printable(value)) for name, value in sorted(run.context.items())),
        method=method(run),
    )


def anchor(test: str) -> str:
    """Return the fragment that links to a test: the same in every report."""
    return "t-" + hashlib.sha256(test.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def unbroken(text: str) -> str:
    """Return ``text`` with its per cent signs tied to their numbers, so that no line begins with one."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _failed(report: GateReport) -> str:
    """Return how many tests failed, and at what."""
    count = len({judgement.key.test for judgement in report.judgements if judgement.fails})
    tests = "1 test" if count == 1 else f"{count} tests"
    if not report.count(Verdict.OVER_BUDGET):
        return f"{tests} got worse"
    if report.count(Verdict.REGRESSED):
        return f"{tests} failed"
    return f"{tests} {'is' if count == 1 else 'are'} over budget"


def _answer(report: GateReport, level: Level, commits: Commits | None) -> tuple[str, str]:
    """Return what a hurried reader wants to know, and what there is to do."""
    if level == "bad":
        return _failed(report), (
            "Make it good again; the cards below say how to measure it, and what else there is to do."
            if commits
            else "Make it good again, or accept it with a reason: the cards below hold the commands."
        )
    if level == "good":
        accepted = " beyond what was accepted" if report.count(Verdict.ACCEPTED) else ""
        return f"Nothing got worse{accepted}", _nothing_to_do(report, commits)
    if not report.judgements:
        return (
            "Nothing was measured",
            f"No performance test gave a number{'; below stands why' * bool(report.skipped)}.",
        )
    if report.count(Verdict.NEW) == len(report.judgements):
        return "Nothing to compare with yet", (
            "Base has none of these tests; they are compared once they are merged."
            if commits
            else "Accept these numbers as the baseline with: pe-perf update"
        )
    left = sum(report.count(verdict) for verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE, Verdict.MISSING))
    if left:
        rows = "row" if left == 1 else "rows"
        return f"No failure, and {left} {rows} left open", "The table below says of each row what is missing."
    if report.count(Verdict.NEW):
        return "Nothing got worse, and there are new rows", (
            "What is new is compared once it is merged."
            if commits
            else "Accept what is new as the baseline with: pe-perf update"
        )
    return "Nothing got worse where it was measured", "Some tests were not measured; below stands why."


def _nothing_to_do(report: GateReport, commits: Commits | None) -> str:
    if commits is None and report.count(Verdict.IMPROVED):
        return "Keep what improved as the baseline with: pe-perf update"
    blind = sum(weak(judgement) and judgement.key.metric == "latency" for judgement in report.judgements)
    if not blind:
        return "There is nothing to do."
    rows = "1 time is" if blind == 1 else f"{blind} times are"
    return (
        f"There is nothing to do, but {rows} weak: a longer --pe-perf-time or a quieter machine sees smaller changes."
    )


def _chips(report: GateReport) -> tuple[Chip, ...]:
    counts = ((verdict, report.count(verdict)) for verdict in ORDER)
    return tuple(Chip(verdict, style(verdict), SIGN[verdict], count) for verdict, count in counts if count)


def _trend(judgement: Judgement, trends: Mapping[Key, Sequence[Point]], run: Run) -> list[Point]:
    """Return the history of the row with this run at its end, whether or not the history holds it already."""
    points = list(trends.get(judgement.key, ()))
    if judgement.value is None or (points and _same_moment(points[-1].started, run.started)):
        return points
    return [*points, Point(run.started, run.context.get("commit", ""), judgement.value, None, judgement.verdict)]


def _same_moment(one: str, other: str) -> bool:
    # The history writes times in its own way, so that they sort as text.
    return datetime.fromisoformat(one) == datetime.fromisoformat(other)


def _row(judgement: Judgement, row: Row | None, points: list[Point], marks: int, commits: Commits | None) -> RowView:
    key, comparison = judgement.key, judgement.comparison
    metric = METRICS.get(key.metric)
    unit = metric.unit if metric else "1"
    # A suspicion against a baseline may be settled in pairs too: there base is a commit as well.
    pairs = commits is not None or (comparison is not None and comparison.tier == "paired")
    limit = comparison.base * (1 + comparison.threshold) if comparison and comparison.base and not pairs else None
    acceptable = commits is None and judgement.verdict is not Verdict.OVER_BUDGET
    return RowView(
        anchor=anchor(key.test),
        test=printable(key.test),
        short=shorten(printable(key.test), _LONGEST_ID),
        name=printable(key.name),
        metric=printable(key.metric),
        title=metric.title if metric else "",
        verdict=judgement.verdict,
        word=word(judgement),
        style=f"{style(judgement.verdict)} weak" if weak(judgement) else style(judgement.verdict),
        sign=SIGN[judgement.verdict],
        fails=judgement.fails,
        now=quantity(judgement, judgement.value),
        change=change(comparison.ratio) if comparison else "",
        interval=bounds(comparison) if comparison else "",
        bar=_bar(judgement),
        headline=_headline(judgement),
        reason=printable(judgement.reason),
        values=tuple(_values(judgement, ("base", "head") if pairs else ("accepted", "now"))),
        proof=tuple(_proof(judgement, commits)),
        readings=tuple(_readings(row)) if row else (),
        distribution=distribution(row) if row and metric and metric.assume == "noisy" else None,
        accept=accept_command(key.test) if acceptable else "",
        pass_anyway="" if acceptable else printable(_sentence(how_to_let_pass(judgement, commits))),
        reproduce=reproduce_command(key.test, commits),
        spark=spark(points, unit),
        chart=chart(
            points,
            unit,
            f"{metric.title if metric else key.metric} over {len(points)} runs",
            accepted=comparison.base if comparison else None,
            limit=limit,
            budget=judgement.budget.limit if judgement.budget else None,
            marks=marks,
            word="base" if pairs else "accepted",
        ),
        rank=ORDER.index(judgement.verdict),
        sort_now="" if judgement.value is None else repr(judgement.value),
        sort_change=repr(comparison.ratio) if comparison and math.isfinite(comparison.ratio) else "",
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _headline(judgement: Judgement) -> str:
    if judgement.comparison is not None:
        return old_to_new(judgement, judgement.comparison).replace("->", "→")
    return quantity(judgement, judgement.value)


def _bar(judgement: Judgement) -> Bar | None:
    """Return the drawing of a noisy row's interval; limits stand at the threshold to either side."""
    comparison = judgement.comparison
    if comparison is None or comparison.low == comparison.high:
        return None
    span = _BAR_THRESHOLDS * comparison.threshold
    if not (math.isfinite(span) and span > 0):
        return None

    def place(ratio: float) -> float:
        return min(max(50 + (ratio - 1) / span * 50, 0.0), 100.0)

    low, high = place(comparison.low), place(comparison.high)
    # A bar that lies wholly beyond the edge still shows its end.
    low = min(low, 97.0)
    limit = 50 / _BAR_THRESHOLDS
    return Bar(number(low), number(max(high - low, 3.0)), number(place(comparison.ratio)), number(50 + limit))


def _values(judgement: Judgement, names: tuple[str, str]) -> Iterator[Fact]:
    """Yield the values that were compared, under the names of the old one and the new one."""
    if judgement.value is not None:
        yield Fact(names[1], quantity(judgement, judgement.value))
    if judgement.comparison is not None:
        yield Fact(names[0], quantity(judgement, judgement.comparison.base))
        yield Fact("change", change(judgement.comparison.ratio))


def _proof(judgement: Judgement, commits: Commits | None) -> Iterator[Fact]:
    """Yield what the verdict rests on, name by name."""
    comparison = judgement.comparison
    if comparison is not None:
        yield Fact("95 % interval", bounds(comparison))
        if comparison.tier == "paired" and comparison.base > 0:
            yield Fact("in the fastest reading", change(comparison.head / comparison.base))
        yield Fact("threshold", threshold(comparison))
        yield Fact("could have seen", could_have_seen(comparison))
        yield Fact("measured in", measured_in(comparison, commits))
        yield Fact("tier", comparison.tier)
    if judgement.budget is not None:
        yield Fact("budget", printable(judgement.budget.text))


def _readings(row: Row) -> list[Fact]:
    """Return how the readings scattered, in the process that measured the smallest value."""
    best = min(row.samples, key=lambda sample: sample.value)
    if row.base:
        every = sum(sample.count for sample in row.samples)
        calls = "1 call" if best.calls == 1 else f"{best.calls:,} calls"
        made_with = [Fact("measured with", printable(best.made_with))] if best.made_with else []
        return [Fact("readings of head", f"{every:,}, of {calls} each"), *made_with]
    facts = [Fact("readings", f"{best.count:,}, of {best.calls:,} {'call' if best.calls == 1 else 'calls'} each")]
    if len(best.quantiles) == 7:
        unit = METRICS[row.key.metric].unit
        middle, late, worst = (format_quantity(best.quantiles[i], unit) for i in (3, 5, 6))
        facts.append(Fact("median · 95 % · most", f"{middle} · {late} · {worst}"))
    if best.made_with:
        facts.append(Fact("measured with", printable(best.made_with)))
    return facts


def _tests(rows: Sequence[RowView], run: Run) -> tuple[TestView, ...]:
    """Return the tests in the order of their worst rows."""
    by_test: dict[str, list[RowView]] = {}
    for row in rows:
        by_test.setdefault(row.anchor, []).append(row)
    unjudged = _unjudged(run)
    views = []
    for name, own in by_test.items():
        worst = own[0]
        views.append(
            TestView(
                name,
                worst.test,
                worst.word if worst.metric == "latency" else worst.verdict,
                worst.style if worst.metric == "latency" else style(worst.verdict),
                worst.sign,
                worst.fails,
                tuple(own),
                tuple(unjudged.get(name, ())),
            )
        )
    return tuple(views)


def _unjudged(run: Run) -> dict[str, list[Fact]]:
    """Return, by the anchor of its test, what was measured and is only shown."""
    facts: dict[str, list[Fact]] = {}
    for row in run.rows:
        metric = METRICS[row.key.metric]
        if metric.assume == "nothing":
            value = format_quantity(min(sample.value for sample in row.samples), metric.unit)
            name = f"{metric.title} [{row.key.name}]" if row.key.name else metric.title
            facts.setdefault(anchor(row.key.test), []).append(Fact(printable(name), value))
    return facts


def _identity(run: Run, commits: Commits | None) -> tuple[Fact, ...]:
    who = run.environment
    facts = (
        ("implementation", who.implementation),
        ("Python", who.python),
        ("system", who.os),
        ("CPU", who.cpu),
        ("cores", str(who.cores)),
        *(() if commits else (("baseline folder", who.slug),)),
    )
    return tuple(Fact(name, printable(value)) for name, value in facts)
