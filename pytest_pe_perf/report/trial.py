"""Runs of the gate with known answers, on a screen: what it caught, and what it said where nothing was."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pytest_pe_perf.judge.bounds import share_bounds
from pytest_pe_perf.judge.trial import Advice, Change, Decision, Judged, Ran, Tally, alarms
from pytest_pe_perf.model import Verdict
from pytest_pe_perf.units import format_change

from .screen import pad, printable, shorten_id, wrap

_INDENT = "  "
_NUMBERS = 8
_NO_NUMBER = "-"


def decision_lines(found: Sequence[Decision], width: int = 80) -> Iterator[str]:
    """Yield a line for each decision on something planted, and what is not as it should be where nothing was."""
    quiet = []
    for one in sorted(found, key=lambda one: (not one.plant.metric, one.plant.title, one.benchmark)):
        if one.call == "quiet":
            quiet.append(one)
        else:
            yield from _decision(one, width)
    if quiet:
        undecided = sum(one.verdict is not Verdict.UNCHANGED for one in quiet)
        rest = f", {undecided} of them undecided" if undecided else ""
        yield f"{_INDENT}{pad('quiet', 13)}nothing: {len(quiet)} rows not called changed{rest}"


def _decision(one: Decision, width: int) -> Iterator[str]:
    what = one.plant.title if one.plant.metric or not one.metric else f"nothing ({one.metric})"
    name = printable(one.benchmark.rpartition("::")[2].removeprefix("test_"))
    yield f"{_INDENT}{pad(one.call, 13)}{pad(what, 20)}{pad(name, 21)} {_seen(one.change)}".rstrip()
    if one.call != "caught":
        why = one.reason if one.verdict is None else f"{one.verdict}: {one.reason}"
        yield from wrap(why, width, _INDENT + " " * 13)


def _seen(change: Change | None) -> str:
    if change is None:
        return ""
    if change.ratio is None:
        return "from 0"
    if change.low is None or change.high is None or change.low == change.high:
        return format_change(change.ratio)
    return f"{format_change(change.ratio)} ({_bare(change.low)} to {_bare(change.high)})"


def _bare(ratio: float) -> str:
    return format_change(ratio).removesuffix(" %")


def tally_lines(found: Sequence[Tally]) -> Iterator[str]:
    """Yield the table: what was planted, how much of it was caught, and within which bounds the true share lies."""
    yield f"{pad('planted', 20)}{pad('caught', 14)}true share (95 % bounds)"
    for tally in found:
        if not tally.plant.metric:
            yield ""
            yield f"{pad('', 20)}{pad('false alarms', 14)}true share (95 % bounds)"
        unknown = f"; {tally.unknown} not measured" if tally.unknown else ""
        bounds = f"{_percent(tally.low)} to {_percent(tally.high)}{unknown}"
        yield f"{pad(tally.plant.title, 20)}{pad(f'{tally.hits} of {tally.trials}', 14)}{bounds}"


def conclusion(found: Sequence[Tally]) -> str:
    """Return the sentence that all is about."""
    wrong = [tally for tally in found if not tally.good]
    if not wrong:
        return "the gate works here"
    return f"the gate does not work here: {', '.join(map(_wrong, wrong))}"


def _wrong(tally: Tally) -> str:
    if not tally.plant.metric and tally.hits:
        return f"{tally.hits} of {tally.trials} rows of the same code called changed"
    if tally.hits < tally.trials and tally.plant.must and tally.plant.metric:
        return f"{tally.plant.title} missed in {tally.trials - tally.hits} of {tally.trials}"
    return f"{tally.plant.title}: not measured"


def suite_lines(ran: Ran, found: Sequence[Advice], width: int = 80) -> Iterator[str]:
    """Yield a line for each latency of a suite that was compared with itself, and what was called changed."""
    room = max(width - 5 * _NUMBERS, 10)
    heads = ("detects", "spread", "margin", "time", "promise")
    yield (pad("test", room) + "".join(pad(head, _NUMBERS, right=True) for head in heads))[:width]
    for one in found:
        numbers = (
            _percent(one.detectable),
            _percent(one.spread),
            _percent(one.margin),
            _NO_NUMBER if one.time is None else f"{one.time:g} s",
            _percent(one.threshold),
        )
        name = pad(shorten_id(one.key.label, room - 1), room)
        yield name + "".join(pad(number, _NUMBERS, right=True) for number in numbers)
    yield ""
    for row in ran.judgements:
        if row.verdict is Verdict.INCONCLUSIVE:
            yield from _said("undecided", row, width)
    for row in alarms(ran):
        yield from _said("false alarm", row, width)
    for note in ran.notes:
        yield from wrap(note, width)
    yield from wrap(suite_conclusion(ran), width)


def _said(what: str, row: Judged, width: int) -> Iterator[str]:
    yield from wrap(f"{what}: {row.key.metric} of {row.key.label}: {row.reason}", width)


def suite_conclusion(ran: Ran) -> str:
    """Return how many rows were called changed, and what that says of all runs."""
    hits, trials = len(alarms(ran)), len(ran.judgements)
    low, high = share_bounds(hits, trials)
    share = f"the true share is {_percent(low)} to {_percent(high)} (95 % bounds)"
    return f"false alarms: {hits} of {trials} rows of the same code; {share}"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %" if math.isfinite(share) else "unknown"
