"""How the gate decides, told to the reader of a report with the numbers that were in force."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_pe_perf.judge.compare import DECIDING_PROCESSES, FAILING_PROCESSES
from pytest_pe_perf.judge.paired import (
    ALPHA,
    APART,
    CONFIRM_FEWEST,
    CONFIRM_MOST,
    LEANING_ROWS,
    PAIRED_MARGINS,
)
from pytest_pe_perf.model import METRICS, Comparison, GateReport, Run
from pytest_pe_perf.units import format_change

from .wording import Commits, commits_of

# What docs/method/stored-tier.md found in its worst table of a threshold of 10 %: 0.125 of 100 rows.
_STORED_ALARMS = "at most 0.13 % of rows, in simulations of eleven kinds of noise"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A term and what it means here."""

    term: str
    text: str


@dataclass(frozen=True, slots=True)
class Rate:
    """What this run promised of the rows of one metric, and what it could have seen."""

    metric: str
    rows: str
    threshold: str
    seen: str
    measured: str
    alarms: str


def rates(run: Run, report: GateReport) -> tuple[Rate, ...]:
    """Return, metric by metric, how often this run was wrong at most, and what it could have seen."""
    commits = commits_of(run.context)
    found: dict[str, list[Comparison]] = {}
    for judgement in report.judgements:
        if judgement.comparison is not None:
            found.setdefault(judgement.key.metric, []).append(judgement.comparison)
    return tuple(_rate(metric, found[metric], commits) for metric in METRICS if metric in found)


def _rate(metric: str, comparisons: Sequence[Comparison], commits: Commits | None) -> Rate:
    finite = [one for one in comparisons if math.isfinite(one.detectable) and math.isfinite(one.threshold)]
    fewest, most = min(one.n for one in comparisons), max(one.n for one in comparisons)
    unit = "pairs of processes" if any(one.tier == "paired" for one in comparisons) else "processes"
    if METRICS[metric].assume == "exact":
        alarms = "none: the number repeats, or the row says that it does not"
    elif commits:
        alarms = f"{_percent(ALPHA)} of builds, for all timed rows together, in each direction"
    else:
        alarms = _STORED_ALARMS
    return Rate(
        METRICS[metric].title,
        f"{len(comparisons):,}",
        _range([one.threshold for one in finite]) if finite else "any growth from 0",
        _seen([one.detectable for one in finite]),
        f"{fewest if fewest == most else f'{fewest} to {most}'} {unit}",
        alarms,
    )


def _seen(shares: Sequence[float]) -> str:
    if not shares:
        return ""
    middle, worst = (format_change(1 + share) for share in (statistics.median(shares), max(shares)))
    return middle if middle == worst else f"{middle}, worst {worst}"


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def method(run: Run) -> tuple[Paragraph, ...]:
    """Return the paragraphs of the method for what the run measured."""
    commits = commits_of(run.context)
    return (*(_pairs(run) if commits else _stored(run)), *_common("base" if commits else "the baseline"))


def _stored(run: Run) -> tuple[Paragraph, ...]:
    noisy = [row for row in run.rows if METRICS[row.key.metric].assume == "noisy"]
    times = (
        "A time is the minimum over fresh processes, divided by the minimum of a reference workload that the same "
        "processes ran, so that a slower machine is not taken for slower code."
    )
    if noisy:
        times += (
            f" It has regressed only where the whole 95 % interval lies above the margin "
            f"({_range([row.margin for row in noisy])}) and the change is above the threshold "
            f"({_range([row.threshold for row in noisy])})."
        )
    return (
        Paragraph("Times", times),
        Paragraph(
            "Counts and sizes",
            "Allocations and bytes repeat, so they are compared as they are, without an interval; "
            "every process must agree.",
        ),
        Paragraph(
            "Before anything fails",
            f"A suspicion is measured again: {DECIDING_PROCESSES} processes must support it, "
            f"and {FAILING_PROCESSES} where a time would fail the test, because slow processes are no evidence.",
        ),
    )


def _pairs(run: Run) -> tuple[Paragraph, ...]:
    timed = [row for row in run.rows if row.key.metric == "latency"]
    margins = f" ({_range([row.margin for row in timed])})" if timed else ""
    own = ", ".join(f"{name} {format_change(1 + limits.margin)}" for name, limits in PAIRED_MARGINS.items())
    return (
        Paragraph(
            "Pairs",
            "One process runs base's code and one head's, from trees that differ in nothing else. They take turns of a "
            "few milliseconds on the same core and never run at once, so that whatever the machine does happens to "
            "both. The next pair starts afresh, with another layout of memory and other hash seeds.",
        ),
        Paragraph(
            "Two witnesses",
            "The median of the ratios of turns that follow each other, and the ratio of the fastest turns. Both must "
            f"lie beyond the margin{margins}; where they differ by more than {format_change(1 + APART)} and more than "
            "their size explains, the row is inconclusive.",
        ),
        Paragraph(
            "Two passes",
            f"What the first pass suspects is measured again, for longer, in {CONFIRM_FEWEST} to {CONFIRM_MOST} fresh "
            "pairs. Both passes must show the change, and the numbers reported are those of the second, which no "
            "suspicion has selected.",
        ),
        Paragraph(
            "False alarms",
            f"The chance that a run without any change calls a row slower is held to {_percent(ALPHA)}, and as much for "
            "faster: the more rows are suspected, the surer each must be (Holm's method).",
        ),
        Paragraph(
            "Canaries",
            "Two small measurements with known answers run among the tests: one is the same on both sides, the other "
            "is slowed down in head. If the first shows a change, no change of a time is believed; if the second shows "
            "none, no row is called unchanged.",
        ),
        Paragraph(
            "The suite as a whole",
            f"Where a row is suspected and {LEANING_ROWS} or more times lean one way together, base is measured against a copy of itself. If "
            "that leans too, something favours one side and no time is called slower or faster.",
        ),
        Paragraph(
            "Weak",
            "An unchanged row that would not have shown the change that its threshold promises. Nothing was found, and "
            "little is proved. More time for the test or a quieter machine helps.",
        ),
        Paragraph(
            "First call, tail, collector, import",
            "They scatter more than the time of a typical call, so they have wider margins and thresholds of their "
            f"own: {own}.",
        ),
        Paragraph(
            "Counts and sizes",
            "Allocations and bytes repeat, so they are compared as they are, without an interval, in fresh processes of "
            "both sides; every process must agree.",
        ),
    )


def _common(against: str) -> tuple[Paragraph, ...]:
    return (
        Paragraph(
            "Inconclusive",
            "The change is more than may be ignored and less than this run could prove, or the numbers could not be "
            "trusted. It fails nothing and vouches for nothing; the row says why.",
        ),
        Paragraph(
            "Could have seen",
            "The smallest change that a row would have shown in 95 of 100 runs. Below it, unchanged proves nothing.",
        ),
        Paragraph(
            "Budget",
            f"An absolute limit in the test's marker. It holds whatever {against} says, "
            "and is judged by the smallest value that the measurements allow.",
        ),
    )


def _range(shares: Sequence[float]) -> str:
    low, high = min(shares, default=0.0), max(shares, default=0.0)
    return format_change(1 + low) if low == high else f"{format_change(1 + low)} to {format_change(1 + high)}"
