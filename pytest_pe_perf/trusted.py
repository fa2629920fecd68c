"""A run that somebody else measured, judged by what stands in a commit that they cannot change.

The readings are theirs, and they can write what they like there. The limits, the baselines, the accept entries and the
verdict are not: none of what the file says of those is believed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from pytest_pe_perf.committed import Committed
from pytest_pe_perf.config import Settings
from pytest_pe_perf.judge.accept import Entries
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.marked import Markers
from pytest_pe_perf.measure.paired.refs import merge_base, resolve
from pytest_pe_perf.measure.paired.repository import has_commit, repository_at
from pytest_pe_perf.model import BaselineRow, GateReport, Judgement, Key, PackedRow, Row, Run, Verdict
from pytest_pe_perf.rejudge import rejudge
from pytest_pe_perf.report.wording import Commits, commits_of
from pytest_pe_perf.units import format_change

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
R = TypeVar("R", Row, PackedRow)
_PASSES = (Verdict.UNCHANGED, Verdict.IMPROVED, Verdict.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Ruling:
    """The verdict, and every reason for which it cannot be told whether the run passes."""

    report: GateReport
    stale: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def rule(run: Run, base: Committed, settings: Settings, head: str, today: date) -> Ruling:
    """Judge ``run`` as ``base`` would: by its ``settings``, baselines and accept entries, as of ``today``.

    ``head`` names the commit that the run must have measured; empty where the file may say which.

    Raises:
        BaseError: git cannot read what is asked of it, or knows no ``head``.
        BaselineError: a baseline of ``base`` cannot be trusted.
        RunFileError: the run cannot be judged again.

    """
    commits = commits_of(run.context)
    baseline = {} if commits else base.baseline(settings.baselines, run.environment)
    entries = Entries(settings.accept, today, settings.accept if commits else None)
    # What pairs have settled is a verdict of whoever measured, and its readings are not in the file. Nor is it their
    # business which tests there should be: base has accepted rows of them.
    modules = tuple(sorted({module_of(key.test) for key in baseline}))
    known = replace(run, settled=(), complete=modules, unmeasured={})
    ruling = _within(known, baseline, entries, settings, base)
    measured = _commit_of(run, commits)
    doubts = [_not_whole(run), _not_that_head(run, base, measured, head), _not_that_base(base, commits, measured)]
    if not commits and not baseline:
        doubts.append(_no_baseline(run, base, settings))
    doubts += [_vacuous(run, base, commits, measured), _dull(run, base, settings)]
    report = ruling.report
    if run.settled:
        note = f"{_rows(len(run.settled))} settled beside a commit where they were measured: not believed here"
        report = replace(report, notes=(*report.notes, note))
    return replace(ruling, report=report, doubts=(*(doubt for doubt in doubts if doubt), *ruling.doubts))


# --- which commits ------------------------------------------------------------------------------------------------


def _commit_of(run: Run, commits: Commits | None) -> str:
    """Return the commit that the run says it measured; empty where it names none."""
    found = (commits.head if commits else "") or run.context.get("commit", "")
    return found if _HASH.fullmatch(found) else ""


def _not_whole(run: Run) -> str:
    if run.shard is None:
        return ""
    return f"it is shard {run.shard.index} of {run.shard.count}: put all of them together with `pe-perf merge`, and judge that"


def _not_that_head(run: Run, base: Committed, measured: str, head: str) -> str:
    if not head:
        return ""
    wanted = resolve(base.top, head)
    if measured != wanted:
        return f"it measured {measured[:10] or 'no commit that it names'}, and not {head} ({wanted[:10]})"
    if run.context.get("dirty") != "no":
        return f"it measured a working tree that is not what {head} holds"
    return ""


def _not_that_base(base: Committed, commits: Commits | None, measured: str) -> str:
    """Return why the run was not measured against the commit at which its head left ``base``, or nothing."""
    if commits is None:
        return ""
    against = commits.base[:10] if _HASH.fullmatch(commits.base) else "a commit that it does not name"
    if not measured or not has_commit(repository_at(base.top), measured):
        if commits.base == base.commit:
            return ""
        get = f"get it with `git fetch origin {measured}`" if measured else "measure in a git checkout"
        known = (
            f"the commit that it measured ({measured[:10]}) is not in this clone" if measured else "it names no commit"
        )
        return f"it was measured against {against}, which is not {base.name}, and {known}: {get}"
    left = merge_base(base.top, base.commit, measured)
    if commits.base != left:
        return f"it was measured against {against}, but {measured[:10]} left {base.name} at {left[:10]}: measure again"
    return ""


def _vacuous(run: Run, base: Committed, commits: Commits | None, measured: str) -> str:
    """Return why both sides are the same, or nothing."""
    if any(part.identical for part in run.pairs):
        return "base and head have the same code: nothing was compared"
    other = commits.base if commits else base.commit
    if measured and measured == other and run.context.get("dirty") == "no":
        return f"it measured {measured[:10]}, which is the base itself: nothing was compared"
    return ""


def _dull(run: Run, base: Committed, settings: Settings) -> str:
    """Return why what the run saw of its planted change says nothing of what it would have seen, or nothing."""
    planted = max((row.threshold for part in run.pairs for row in part.canaries), default=0.0)
    if planted <= settings.threshold:
        return ""
    asked = format_change(1 + settings.threshold)
    return f"it planted {format_change(1 + planted)} to see whether it sees a change, and {base.name} asks for {asked}"


def _no_baseline(run: Run, base: Committed, settings: Settings) -> str:
    others = base.environments(settings.baselines)
    there = f"there are baselines of: {', '.join(others)}" if others else "there are none at all"
    return f"{base.name} has no baseline of {run.environment.slug} in {settings.baselines}; {there}"


# --- within the limits of base --------------------------------------------------------------------------------------


def _within(
    run: Run, baseline: Mapping[Key, BaselineRow], entries: Entries, settings: Settings, base: Committed
) -> Ruling:
    """Judge the run, and every row whose limits are wider than base's by these, too.

    A row that fails by its own limits has failed. One that passes by its own alone was given them by the change, or on
    base in a way that nobody can see without running code.
    """
    own = rejudge(run, baseline, entries)
    modules = base.modules()
    # Names from the file are looked up in what git has listed, and given to git only if they are there.
    paired = commits_of(run.context) is not None
    markers = Markers(lambda name: base.content(name) if name in modules else None, settings, paired)
    narrowed, wide = _narrowed(run, markers)
    if not wide:
        return Ruling(own.report, own.stale)
    by_base = rejudge(narrowed, baseline, entries)
    narrow = {judgement.key: judgement for judgement in by_base.report.judgements}
    ruled = tuple(
        _ruled(judgement, narrow[judgement.key], wide[judgement.key]) if judgement.key in wide else (judgement, False)
        for judgement in own.report.judgements
    )
    doubtful = sum(is_doubtful for _, is_doubtful in ruled)
    doubt = f"{_rows(doubtful)} would not pass by the limits of {base.name}, only by wider ones of the run's own"
    report = replace(own.report, judgements=tuple(judgement for judgement, _ in ruled))
    return Ruling(report, own.stale, (doubt,) if doubtful else ())


def _narrowed(run: Run, markers: Markers) -> tuple[Run, dict[Key, str]]:
    """Return the run with no limits wider than base's, and which rows had wider ones: in words, their own."""
    wide: dict[Key, str] = {}

    def within(row: R) -> R:
        limits = markers.limits(row.key.test)
        budget = limits.budgets.get(row.key.metric)
        if budget is None or (row.budget is not None and row.budget.limit <= budget.limit):
            budget = row.budget
        margin, threshold = min(row.margin, limits.margin), min(row.threshold, limits.threshold)
        if (margin, threshold, budget) != (row.margin, row.threshold, row.budget):
            limit = f", limit {row.budget.text if row.budget else 'none'}" if budget is not None else ""
            own = f"margin {format_change(1 + row.margin)}, threshold {format_change(1 + row.threshold)}{limit}"
            wide.setdefault(row.key, own)
        return replace(row, margin=margin, threshold=threshold, budget=budget)

    pairs = tuple(
        replace(part, rows=tuple(map(within, part.rows)), canaries=tuple(map(within, part.canaries)))
        for part in run.pairs
    )
    return replace(run, rows=tuple(map(within, run.rows)), pairs=pairs), wide


def _ruled(own: Judgement, narrow: Judgement, limits: str) -> tuple[Judgement, bool]:
    if own.verdict not in _PASSES or narrow.verdict in _PASSES:
        return (narrow if own.verdict in _PASSES else own), False
    reason = f"{narrow.verdict} by the limits of base: {narrow.reason}; {own.verdict} by its own alone ({limits})"
    return replace(narrow, verdict=Verdict.INCONCLUSIVE, reason=reason), True


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
