"""Everything that the HTML report shows, as plain values; the page only puts them in place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_pe_perf.judge.accept import terms
from pytest_pe_perf.judge.changepoint import LevelChange
from pytest_pe_perf.model import METRICS, Course, GateReport, Judgement, Key, Past, PastRun, Row, Run, Verdict
from pytest_pe_perf.units import format_quantity

from .cause import Hint, Known, hints
from .course import changes_of, when, with_this_run
from .distribution import Distribution, distribution
from .method import Paragraph, Rate, method, rates
from .rounds import Pair, pairs_of
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
    shell_quote,
    style,
    threshold,
    weak,
    word,
    worst_first,
)

# The table shows this much of a node id; the test's own page shows all of it.
_LONGEST_ID = 160
# So many failing rows have a card of their own; the others stand in a list beneath.
_CARDS = 20
# What moves by itself from run to run, or names the run: no difference of environments.
_NO_DIFFERENCE = frozenset({"commit", "branch", "dirty", "load", "against", "base", "head"})
# What stands beside the change of a time, the first of them that there is.
_MEMORY = ("peak", "allocations", "retained")

_SIGN_OF_RESULT: dict[Level, str] = {"bad": "▲", "unsure": "◇", "good": "✓"}


@dataclass(frozen=True, slots=True)
class Meta:
    """What the report says of itself: its title, the version that wrote it, the command, and where commits are shown.

    ``commits`` is the beginning of an address that ends with a commit; empty where there is none.
    """

    title: str = "Performance report"
    version: str = ""
    command: str = ""
    commits: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Command:
    """Something to be copied to a terminal, and what it is for."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class RowView:
    """A judged row: of the table, of a card where it fails, and of its test's page.

    ``limit`` is the value at which it fails, ``budget`` the one that it must not exceed, ``memory`` the judgement that
    stands beside that of a time. ``changes`` is None where nobody has searched for them.
    """

    key: Key
    anchor: str
    test: str
    short: str
    name: str
    metric: str
    title: str
    unit: str
    verdict: str
    word: str
    style: str
    sign: str
    fails: bool
    now: str
    change: str
    interval: str
    headline: str
    reason: str
    facts: tuple[Fact, ...]
    distribution: Distribution | None
    commands: tuple[Command, ...]
    pass_anyway: str
    accepted: str
    hints: tuple[Hint, ...]
    judgement: Judgement
    memory: Judgement | None
    base_word: str
    limit: float | None
    changes: tuple[LevelChange, ...] | None
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class TestView:
    """A test with all its rows, its worst first, and the numbers that nobody judges."""

    anchor: str
    test: str
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
class Difference:
    """Something about the machine that was another one in the run before: when, at which commit, what, and how."""

    place: int
    started: str
    commit: str
    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report.

    ``now`` is this run's number among those of ``past``; ``since`` are its differences from the one before.
    """

    meta: Meta
    level: Level
    sign: str
    headline: str
    advice: str
    found: tuple[str, ...]
    started: str
    compared: str
    commits: tuple[Fact, ...]
    cards: tuple[RowView, ...]
    more: tuple[RowView, ...]
    chips: tuple[Chip, ...]
    rows: tuple[RowView, ...]
    tests: tuple[TestView, ...]
    skipped: tuple[Fact, ...]
    notes: tuple[str, ...]
    identity: tuple[Fact, ...]
    context: tuple[Fact, ...]
    differences: tuple[Difference, ...]
    since: tuple[Difference, ...]
    method: tuple[Paragraph, ...]
    rates: tuple[Rate, ...]
    past: Past
    now: int


def prepare(run: Run, report: GateReport, past: Past, meta: Meta) -> Page:
    """Return the page of a run. ``past`` is the history of its rows, with this run or without it."""
    judgements = worst_first(report)
    past, now = with_this_run(past, run, report)
    found = _Found(run, judgements, past, changes_of(past, [judgement.key for judgement in judgements]))
    rows = tuple(_row(judgement, found) for judgement in judgements)
    failing = [row for row in rows if row.fails]
    commits = commits_of(run.context)
    outcome = result(report, commits)
    headline, advice = _answer(report, outcome.level, commits)
    found_differences = tuple(differences(past.runs))
    return Page(
        meta=meta,
        level=outcome.level,
        sign=_SIGN_OF_RESULT[outcome.level],
        headline=headline,
        advice=advice,
        # Where nothing failed the advice already says what the hint says.
        found=tuple(map(unbroken, outcome.parts if outcome.level == "bad" else outcome.found)),
        started=printable(when(run.started)),
        compared=f"{printable(commits.sentence)}, measured side by side" if commits else "",
        commits=tuple(_commits(run, commits)),
        cards=tuple(failing[:_CARDS]),
        more=tuple(failing[_CARDS:]),
        chips=_chips(report),
        rows=rows,
        tests=_tests(rows, run),
        skipped=tuple(Fact(printable(item.test), printable(item.why)) for item in report.skipped),
        notes=tuple(map(printable, report.notes)),
        identity=_identity(run, commits),
        context=tuple(Fact(printable(name), printable(value)) for name, value in sorted(run.context.items())),
        differences=found_differences,
        since=tuple(one for one in found_differences if one.place == now),
        method=method(run),
        rates=rates(run, report),
        past=past,
        now=now,
    )


class _Found:
    """What all rows are made from: the run by its keys and tests, and its history."""

    def __init__(
        self, run: Run, judgements: Sequence[Judgement], past: Past, changes: Mapping[Key, tuple[LevelChange, ...]]
    ) -> None:
        self.commits = commits_of(run.context)
        self.commit = run.context.get("head") or run.context.get("commit", "")
        self.measured = {row.key: row for row in run.rows}
        self.past, self.changes, self.pairs = past, changes, pairs_of(run)
        self.of_test: dict[str, list[Judgement]] = {}
        for judgement in judgements:
            self.of_test.setdefault(judgement.key.test, []).append(judgement)

    def hints(self, judgement: Judgement) -> tuple[Hint, ...]:
        key = judgement.key
        course, changes = self.past.courses.get(key, Course()), self.changes.get(key, ())
        return hints(judgement, Known(self.of_test[key.test], self.past.runs, course, changes), self.commit)

    def memory(self, key: Key) -> Judgement | None:
        """Return what stands beside a time: what the same calls take of memory, if that was compared."""
        if key.metric in _MEMORY:
            return None
        beside = {other.key.metric: other for other in self.of_test[key.test] if other.key.name == key.name}
        return next((beside[metric] for metric in _MEMORY if metric in beside and beside[metric].comparison), None)


def anchor(test: str) -> str:
    """Return the fragment that links to a test: the same in every report."""
    return hashlib.sha256(test.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def unbroken(text: str) -> str:
    """Return ``text`` with its per cent signs tied to their numbers, so that no line begins with one."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def differences(runs: Sequence[PastRun]) -> Iterator[Difference]:
    """Yield what became another one from run to run: of what makes runs comparable, and of what may differ."""
    for place, (before, after) in enumerate(pairwise(runs), 1):
        # An imported run knows little of itself: what it does not say is no difference.
        found = [("environment", before.environment, after.environment)]
        names = sorted(before.context.keys() & after.context.keys() - _NO_DIFFERENCE)
        found += [(name, before.context[name], after.context[name]) for name in names]
        commit = printable(after.context.get("commit", ""))
        for name, old, new in found:
            if old != new and old and new:
                texts = map(printable, (name, old, new))
                yield Difference(place, printable(when(after.started)), commit, *texts)


def _commits(run: Run, commits: Commits | None) -> Iterator[Fact]:
    """Yield the commits that this run is about, by what they are to it."""
    facts = run.context
    if commits is not None:
        yield Fact(f"base ({printable(commits.ref)})", printable(commits.base))
    if commit := facts.get("head") or facts.get("commit", ""):
        changed = " with uncommitted changes" if facts.get("dirty") == "yes" else ""
        yield Fact(f"{'head' if commits else 'commit'}{changed}", printable(commit))


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


def _row(judgement: Judgement, found: _Found) -> RowView:
    key, comparison, commits = judgement.key, judgement.comparison, found.commits
    metric, row = METRICS[key.metric], found.measured.get(judgement.key)
    # A suspicion against a baseline may be settled in pairs too: there base is a commit as well.
    pairs = commits is not None or (comparison is not None and comparison.tier == "paired")
    limit = comparison.base * (1 + comparison.threshold) if comparison and comparison.base and not pairs else None
    acceptable = commits is None and judgement.verdict is not Verdict.OVER_BUDGET
    facts = (
        *_values(judgement, ("base", "head") if pairs else ("accepted", "now")),
        *_proof(judgement, commits),
        *(_readings(row) if row else ()),
    )
    return RowView(
        key=key,
        anchor=anchor(key.test),
        test=printable(key.test),
        short=shorten(printable(key.test), _LONGEST_ID),
        name=printable(key.name),
        metric=key.metric,
        title=metric.title,
        unit=metric.unit,
        verdict=judgement.verdict,
        word=word(judgement),
        style=f"{style(judgement.verdict)} weak" if weak(judgement) else style(judgement.verdict),
        sign=SIGN[judgement.verdict],
        fails=judgement.fails,
        now=quantity(judgement, judgement.value),
        change=change(comparison.ratio) if comparison else "",
        interval=bounds(comparison) if comparison else "",
        headline=_headline(judgement),
        reason=printable(judgement.reason),
        facts=facts,
        distribution=distribution(row) if row and metric.assume == "noisy" else None,
        commands=tuple(_commands(key, commits, acceptable=acceptable)),
        pass_anyway="" if acceptable else printable(_sentence(how_to_let_pass(judgement, commits))),
        accepted=printable(terms(judgement.accepted)) if judgement.accepted else "",
        hints=found.hints(judgement) if judgement.fails else (),
        judgement=judgement,
        memory=found.memory(key),
        base_word="base" if pairs else "accepted",
        limit=limit,
        changes=found.changes.get(key),
        pairs=found.pairs.get(key, ()),
    )


def _commands(key: Key, commits: Commits | None, *, acceptable: bool) -> Iterator[Command]:
    yield Command("reproduce", reproduce_command(key.test, commits))
    if acceptable:
        yield Command("accept", accept_command(key.test))
    program = "memray run -o profile.bin" if METRICS[key.metric].unit == "B" else "cProfile -s cumulative"
    yield Command("profile", f"python -m {program} -m pytest {shell_quote(key.test)}")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _headline(judgement: Judgement) -> str:
    if judgement.comparison is not None:
        return old_to_new(judgement, judgement.comparison).replace("->", "→")
    return quantity(judgement, judgement.value)


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
    return tuple(
        TestView(name, own[0].test, tuple(own), tuple(unjudged.get(name, ()))) for name, own in by_test.items()
    )


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
