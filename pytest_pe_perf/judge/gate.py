"""The whole suite: a judgement for every row of the run and of the baseline."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_pe_perf.model import METRICS, BaselineRow, GateReport, Judgement, Key, Row, Run, Settled, Verdict

from .compare import judge


def module_of(test: str) -> str:
    """Return the module that a node id names."""
    return test.split("::", 1)[0]


def gate(run: Run, baseline: Mapping[Key, BaselineRow]) -> GateReport:
    """Judge every row of ``run``, and name the rows of ``baseline`` that the run should have measured and did not."""
    rows = [row for row in run.rows if METRICS[row.key.metric].assume != "nothing"]
    settled = {item.judgement.key: item for item in run.settled}
    judgements = [judged(row, baseline.get(row.key), settled.get(row.key)) for row in rows]
    gone, not_run = _absent(run, baseline)
    judgements += [
        Judgement(key, Verdict.MISSING, "it stands in the baseline and nothing measures it any more") for key in gone
    ]
    belong = "baseline row belongs" if not_run == 1 else "baseline rows belong"
    notes = (f"{not_run} {belong} to tests that were not part of this run",) if not_run else ()
    return GateReport(run.environment, tuple(judgements), run.skipped, notes)


def judged(row: Row, base: BaselineRow | None, settled: Settled | None) -> Judgement:
    """Return what a comparison of two commits has settled already, unless the baseline is another one by now."""
    return settled.judgement if settled is not None and settled.baseline == base else judge(row, base)


def _absent(run: Run, baseline: Mapping[Key, BaselineRow]) -> tuple[list[Key], int]:
    """Return the baseline rows that are gone, and how many belong to tests that simply did not run."""
    measured = {row.key for row in run.rows}
    ran = {key.test for key in measured}
    skipped = {item.test for item in run.skipped}
    gone = []
    not_run = 0
    for key in sorted(baseline):
        if key in measured or key.test in skipped or METRICS[key.metric].assume == "nothing":
            continue
        if key.test in ran or module_of(key.test) in run.complete:
            gone.append(key)
        else:
            not_run += 1
    return gone, not_run
