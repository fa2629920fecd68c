"""Everything that the HTML report shows, as plain values; the page only puts them in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from pytest_pe_perf.model import GateReport, Past, PastRun, Run

from .answer import answer
from .course import changes_of, when, with_this_run
from .method import method, rates
from .rows import row_views, test_views
from .screen import printable
from .views import Chip, Difference, Fact, Meta, Page
from .wording import ORDER, SIGN, SIGN_OF_LEVEL, Commits, commits_of, result, style, worst_first

# So many failing rows have a card of their own; the others stand in a list beneath.
_CARDS = 20
# What moves by itself from run to run, or names the run: no difference of environments.
_NO_DIFFERENCE = frozenset({"commit", "branch", "dirty", "load", "against", "base", "head"})


def prepare(run: Run, report: GateReport, past: Past, meta: Meta) -> Page:
    """Return the page of a run. ``past`` is the history of its rows, with this run or without it."""
    judgements = worst_first(report)
    past, now = with_this_run(past, run, report)
    changes = changes_of(past, [judgement.key for judgement in judgements])
    rows = row_views(run, judgements, past, changes)
    failing = [row for row in rows if row.fails]
    commits = commits_of(run.context)
    outcome = result(report, commits)
    headline, advice = answer(report, outcome.level, commits)
    found_differences = tuple(differences(past.runs))
    return Page(
        meta=meta,
        level=outcome.level,
        sign=SIGN_OF_LEVEL[outcome.level],
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
        tests=test_views(rows, run),
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
        searched=_searched(len(changes), len(judgements)),
    )


def _searched(count: int, of: int) -> str:
    if count == of:
        return ""
    return (
        f"Changes of level were searched in the histories of {count:,} rows, the worst first, and not in those of the "
        f"other {of - count:,}: pe-perf history --changes"
    )


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


def _chips(report: GateReport) -> tuple[Chip, ...]:
    counts = ((verdict, report.count(verdict)) for verdict in ORDER)
    return tuple(Chip(verdict, style(verdict), SIGN[verdict], count) for verdict, count in counts if count)


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
