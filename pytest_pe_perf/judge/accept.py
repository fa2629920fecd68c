"""Regressions that people accept for a while: what the entries cover, and what is to be said of each entry.

An entry lets nothing pass that it does not name, that may be worse than its ceiling, or that comes after its last day.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date

from pytest_pe_perf.model import Acceptance, Comparison, GateReport, Judgement, Verdict
from pytest_pe_perf.units import format_change

from .patterns import matches, may_be_in

# Measured in pairs alone: a run against a baseline that has none of these says nothing of an entry.
_ONLY_IN_PAIRS = frozenset({"first", "tail", "collector"})
_WELL = (Verdict.UNCHANGED, Verdict.IMPROVED)
_CLOSE, _ALIKE = 3, 0.8


@dataclass(frozen=True, slots=True)
class Entries:
    """A project's entries on one day.

    ``on_base`` are those of the commit that is compared with: there an entry of head counts only if it stands on the
    base too, equal. It is None where a run is compared with a baseline.
    """

    of_head: tuple[Acceptance, ...]
    today: date
    on_base: tuple[Acceptance, ...] | None = None


@dataclass(frozen=True, slots=True)
class Remarks:
    """What is to be said of the entries. ``stale`` are the notes that ask for an entry to be mended or deleted."""

    notes: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()


def accept_covered(judgements: Sequence[Judgement], entries: Entries) -> tuple[Judgement, ...]:
    """Return the judgements, those of them ``accepted`` that are regressions and that an entry covers.

    The upper end of the 95 % interval must not be beyond the ceiling: what may be worse was not accepted. A regression
    that an entry names and does not cover says why. A budget is no regression: it stands as it is.
    """
    return tuple(_judged(judgement, entries) for judgement in judgements)


def with_entries(
    report: GateReport, entries: Entries, *, not_judged: Collection[str], complete: Collection[str]
) -> tuple[GateReport, tuple[str, ...]]:
    """Return the report with what the entries cover accepted and a note on each of the others, and the stale notes.

    ``not_judged`` and ``complete``: see ``remark``.
    """
    judgements = accept_covered(report.judgements, entries)
    said = remark(judgements, entries, not_judged=not_judged, complete=complete)
    return replace(report, judgements=judgements, notes=(*report.notes, *said.notes)), said.stale


def remark(
    judgements: Sequence[Judgement], entries: Entries, *, not_judged: Collection[str], complete: Collection[str]
) -> Remarks:
    """Return what is to be said of every entry that accepted nothing; ``judgements`` are those that ``accept_covered`` returned.

    ``not_judged`` are the tests that were seen and have no verdict, ``complete`` the modules whose tests are all known:
    only there can an entry be said to name nothing.
    """
    seen = _Seen(judgements, frozenset(not_judged), frozenset(complete))
    notes, stale = [], []
    for entry in entries.of_head:
        if any(_covers(entry, entries, judgement) for judgement in judgements if judgement.accepted):
            continue  # its row says all of it
        text, is_stale = _state(entry, entries, seen)
        note = f"accept entry for the {entry.metric} of {entry.test}, {terms(entry)}: {text}"
        notes.append(note)
        if is_stale:
            stale.append(note)
    return Remarks(tuple(notes), tuple(stale))


def terms(entry: Acceptance) -> str:
    """Return what was accepted and why: ``"up to +20.0 % until 2027-01-31: exact rounding (#12)"``."""
    issue = f" ({entry.issue})" if entry.issue else ""
    return f"up to {format_change(entry.ceiling)} until {entry.expires.isoformat()}: {entry.reason}{issue}"


def _judged(judgement: Judgement, entries: Entries) -> Judgement:
    if judgement.verdict is not Verdict.REGRESSED:
        return judgement
    why_not = []
    for entry in entries.of_head:
        if not _names(entry, judgement):
            continue
        why = _standing(entry, entries) or _beyond(entry, judgement.comparison)
        if not why:
            reason = f"{judgement.reason}; accepted {terms(entry)}"
            return replace(judgement, verdict=Verdict.ACCEPTED, reason=reason, accepted=entry)
        why_not.append(f"the accept entry of {entry.test} {why}")
    return replace(judgement, reason="; ".join((judgement.reason, *why_not)))


def _names(entry: Acceptance, judgement: Judgement) -> bool:
    return entry.metric == judgement.key.metric and matches(entry.test, judgement.key.test)


def _covers(entry: Acceptance, entries: Entries, judgement: Judgement) -> bool:
    return _names(entry, judgement) and not (_standing(entry, entries) or _beyond(entry, judgement.comparison))


def _standing(entry: Acceptance, entries: Entries) -> str:
    """Return why an entry does not count, whatever was measured, or nothing."""
    if entry.expires < entries.today:
        return f"expired on {entry.expires.isoformat()}"
    if entries.on_base is not None and entry not in entries.on_base:
        return "counts once it is on the base"
    return ""


def _beyond(entry: Acceptance, comparison: Comparison | None) -> str:
    """Return why a ratio is not surely below the ceiling, or nothing."""
    if comparison is not None and comparison.high <= entry.ceiling:
        return ""
    if comparison is None or math.isinf(comparison.high):
        return "holds no growth from 0"
    return f"ends at {format_change(entry.ceiling)}, and this may be {format_change(comparison.high)}"


@dataclass(frozen=True, slots=True)
class _Seen:
    judgements: Sequence[Judgement]
    not_judged: frozenset[str]
    complete: frozenset[str]


def _state(entry: Acceptance, entries: Entries, seen: _Seen) -> tuple[str, bool]:
    """Return what is to be said of an entry that accepted nothing, and whether it must be mended or deleted."""
    why = _standing(entry, entries)
    if entry.expires < entries.today:
        return f"{why}; renew or delete it", True
    of_tests = [judgement for judgement in seen.judgements if matches(entry.test, judgement.key.test)]
    own = [judgement for judgement in of_tests if judgement.key.metric == entry.metric]
    open_ones = any(matches(entry.test, test) for test in seen.not_judged)
    if not of_tests and not open_ones:
        if any(may_be_in(entry.test, module) for module in seen.complete):
            return _names_nothing(entry, seen), True
        return "its tests were not part of this run", False
    if why:
        return why, False
    in_pairs = entries.on_base is not None
    if all(judgement.verdict in _WELL for judgement in of_tests) and not open_ones:
        if not own and (in_pairs or entry.metric not in _ONLY_IN_PAIRS):
            return f"its tests have no {entry.metric}", True
        if own and not in_pairs:
            return "nothing that it names is worse any more; delete it", True
    # Beside a commit an entry waits for the change that it is for, and what everybody else changes does not need it.
    return "not used in this run", False


def _names_nothing(entry: Acceptance, seen: _Seen) -> str:
    known = {judgement.key.test for judgement in seen.judgements} | seen.not_judged
    close = difflib.get_close_matches(entry.test, sorted(known), n=_CLOSE, cutoff=_ALIKE)
    return f"names no test; close to it: {', '.join(close)}" if close else "names no test, and none comes close"
