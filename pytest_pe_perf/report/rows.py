"""The rows of a report as its page shows them, each with its facts, its commands and where to look."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence

from pytest_pe_perf.judge.accept import terms
from pytest_pe_perf.judge.changepoint import LevelChange
from pytest_pe_perf.model import METRICS, Course, Judgement, Key, Past, Row, Run, Verdict
from pytest_pe_perf.units import format_quantity

from .cause import Hint, Known, causes_of, hints
from .distribution import distribution
from .flame import flame
from .rounds import pairs_of
from .screen import printable, shorten
from .views import Command, Fact, RowView, TestView
from .wording import (
    SIGN,
    Commits,
    accept_command,
    bounds,
    change,
    commits_of,
    could_have_seen,
    how_to_let_pass,
    measured_in,
    old_to_new,
    profile_command,
    quantity,
    reproduce_command,
    style,
    threshold,
    weak,
    word,
)

# The table shows this much of a node id; the test's own page shows all of it.
_LONGEST_ID = 160
_LONGEST_MARKER = 60
# What stands beside the change of a time, the first of them that there is.
_MEMORY = ("peak", "allocations", "retained")


def anchor(test: str) -> str:
    """Return the fragment that links to a test: the same in every report."""
    return hashlib.sha256(test.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def row_views(
    run: Run, judgements: Sequence[Judgement], past: Past, changes: Mapping[Key, tuple[LevelChange, ...]]
) -> tuple[RowView, ...]:
    """Return the rows in the order of their judgements."""
    found = _Found(run, judgements, past, changes)
    return tuple(_row(judgement, found) for judgement in judgements)


def test_views(rows: Sequence[RowView], run: Run) -> tuple[TestView, ...]:
    """Return the tests in the order of their worst rows."""
    by_test: dict[str, list[RowView]] = {}
    for row in rows:
        by_test.setdefault(row.anchor, []).append(row)
    unjudged, markers = _unjudged(run), _markers(run)
    return tuple(
        TestView(name, own[0].test, tuple(own), tuple(unjudged.get(name, ())), markers.get(name, ()))
        for name, own in by_test.items()
    )


def _markers(run: Run) -> dict[str, tuple[str, ...]]:
    """Return, by the anchor of its test, the names of its markers as they can be shown."""
    return {
        anchor(test): tuple(shorten(printable(name), _LONGEST_MARKER) for name in names)
        for test, names in run.markers.items()
    }


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


class _Found:
    """What all rows are made from: the run by its keys and tests, and its history."""

    def __init__(
        self, run: Run, judgements: Sequence[Judgement], past: Past, changes: Mapping[Key, tuple[LevelChange, ...]]
    ) -> None:
        self.commits = commits_of(run.context)
        self.commit = run.context.get("head") or run.context.get("commit", "")
        self.measured = {row.key: row for row in run.rows}
        self.past, self.changes, self.pairs = past, changes, pairs_of(run)
        self.profiles = {profile.key: profile for profile in run.profiles}
        self.causes = causes_of(judgements, run.profiles)
        self.of_test: dict[str, list[Judgement]] = {}
        for judgement in judgements:
            self.of_test.setdefault(judgement.key.test, []).append(judgement)

    def hints(self, judgement: Judgement) -> tuple[Hint, ...]:
        key = judgement.key
        course, changes = self.past.courses.get(key, Course()), self.changes.get(key, ())
        known = Known(self.of_test[key.test], self.past.runs, course, changes, self.causes.get(key, ""))
        return hints(judgement, known, self.commit)

    def memory(self, key: Key) -> Judgement | None:
        """Return what stands beside a time: what the same calls take of memory, if that was compared."""
        if key.metric in _MEMORY:
            return None
        beside = {other.key.metric: other for other in self.of_test[key.test] if other.key.name == key.name}
        return next((beside[metric] for metric in _MEMORY if metric in beside and beside[metric].comparison), None)


def _row(judgement: Judgement, found: _Found) -> RowView:
    key, comparison, commits = judgement.key, judgement.comparison, found.commits
    metric, row = METRICS[key.metric], found.measured.get(judgement.key)
    # A suspicion against a baseline may be settled in pairs too: there base is a commit as well.
    pairs = commits is not None or (comparison is not None and comparison.tier == "paired")
    limit = comparison.base * (1 + comparison.threshold) if comparison and comparison.base and not pairs else None
    if limit is not None and metric.unit == "1" and comparison and comparison.base.is_integer():
        limit = float(math.floor(limit))
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
        distribution=distribution(row, comparison.base if comparison and not pairs else None)
        if row and metric.assume == "noisy"
        else None,
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
        flame=flame(found.profiles[key], judgement) if key in found.profiles else None,
    )


def _commands(key: Key, commits: Commits | None, *, acceptable: bool) -> Iterator[Command]:
    yield Command("reproduce", reproduce_command(key.test, commits))
    if acceptable:
        yield Command("accept", accept_command(key.test))
    yield Command("profile", profile_command(key.test, commits))


def _sentence(text: str) -> str:
    # A terminal and Markdown mark names by backticks; here they would only be read.
    return f"{text[:1].upper()}{text[1:]}.".replace("`", "")


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
