"""How the gate decides, told to the reader of a report with the numbers that were in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_pe_perf.judge.compare import DECIDING_PROCESSES, FAILING_PROCESSES
from pytest_pe_perf.model import METRICS, Run
from pytest_pe_perf.units import format_change


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A term and what it means here."""

    term: str
    text: str


def method(run: Run) -> tuple[Paragraph, ...]:
    """Return the paragraphs of the method for what the run measured."""
    noisy = [row for row in run.rows if METRICS[row.key.metric].assume == "noisy"]
    thresholds = _range([row.threshold for row in noisy])
    margins = _range([row.margin for row in noisy])
    times = (
        "A time is the minimum over fresh processes, divided by the minimum of a reference workload that the same "
        "processes ran, so that a slower machine is not taken for slower code."
    )
    if noisy:
        times += (
            f" It has regressed only where the whole 95 % interval lies above the margin ({margins}) "
            f"and the change is above the threshold ({thresholds})."
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
            "An absolute limit in the test's marker. It holds whatever the baseline says, "
            "and is judged by the smallest value that the measurements allow.",
        ),
    )


def _range(shares: Sequence[float]) -> str:
    low, high = min(shares, default=0.0), max(shares, default=0.0)
    return format_change(1 + low) if low == high else f"{format_change(1 + low)} to {format_change(1 + high)}"
