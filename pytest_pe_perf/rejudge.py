"""A run judged again from its readings: the very functions that judged it when it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_pe_perf.errors import RunFileError
from pytest_pe_perf.judge.accept import Entries, with_entries
from pytest_pe_perf.judge.gate import gate
from pytest_pe_perf.judge.pairs_gate import gate_pairs
from pytest_pe_perf.judge.stale import YOUNG, Age
from pytest_pe_perf.model import BaselineRow, GateReport, Key, Run
from pytest_pe_perf.report.wording import commits_of


@dataclass(frozen=True, slots=True)
class Rejudged:
    """What the gate says of a run. ``stale`` are the notes on accept entries that ask for mending: strict fails them."""

    report: GateReport
    stale: tuple[str, ...] = ()


def rejudge(run: Run, baseline: Mapping[Key, BaselineRow], entries: Entries, age: Age = YOUNG) -> Rejudged:
    """Return what the gate says of ``run``, from its readings alone, with what ``entries`` cover accepted.

    A run that was measured beside another commit needs no ``baseline``, and no ``age`` of its rows. All its rows are
    one suite, on however many machines they were measured: the rate of false alarms is that of them all.

    Raises:
        RunFileError: the run was measured beside another commit by a version that did not keep the readings.

    """
    report = gate_of(run, baseline, age)
    unseen = {item.test for item in run.skipped}
    return Rejudged(*with_entries(report, entries, not_judged=unseen, complete=run.complete))


def gate_of(run: Run, baseline: Mapping[Key, BaselineRow], age: Age = YOUNG) -> GateReport:
    """Return what the gate says of ``run`` before any regression is accepted; see ``rejudge``."""
    if commits_of(run.context) is None:
        return gate(run, baseline, age)
    if not run.pairs:
        raise RunFileError(
            "this run was measured beside another commit and holds no readings of its pairs, as files of older versions "
            "do: it cannot be judged again; measure again with: pytest --pe-perf --pe-perf-against REF"
        )
    judged = gate_pairs(run.pairs, run.rows)
    return GateReport(run.environment, judged.judgements, run.skipped, judged.notes)
