"""The whole suite: a judgement for every row of the run and of the baseline."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_pe_perf.model import METRICS, BaselineRow, GateReport, Judgement, Key, Row, Run, Settled, Verdict

from . import renames, stale
from .compare import DECIDING_PROCESSES, judge
from .stale import YOUNG, Age


def module_of(test: str) -> str:
    """Return the module that a node id names."""
    return test.split("::", 1)[0]


def gate(run: Run, baseline: Mapping[Key, BaselineRow], age: Age = YOUNG) -> GateReport:
    """Judge every row of ``run``, and name the rows of ``baseline`` that the run should have measured and did not.

    A test that looks like one that is gone is held against its baseline. ``age`` are the rows that are old.
    """
    rows = [row for row in run.rows if METRICS[row.key.metric].assume != "nothing"]
    settled = {item.judgement.key: item for item in run.settled}
    gone, not_run = _absent(run, baseline)
    others = renames.find({**run.unmeasured, **{row.key.test: row.body for row in rows}}, baseline, gone)
    bases = {row.key: others.base(row, baseline) for row in rows}
    interpreter = stale.interpreter_of(run.environment, run.context.get("python", ""))
    judgements = [judged(row, bases[row.key], settled.get(row.key), interpreter, age) for row in rows]
    before = {judgement.key.test: judgement.renamed_from for judgement in judgements if judgement.renamed_from}
    taken = {base.key for base in bases.values() if base is not None}
    # A test that was renamed, and then did not run.
    waiting = {others.tests[test] for test in run.unmeasured if test in others.tests}
    not_run += sum(key.test in waiting for key in gone)
    judgements += [
        Judgement(key, Verdict.MISSING, "it stands in the baseline and nothing measures it any more")
        for key in gone
        if key not in taken and key.test not in waiting
    ]
    belong = "baseline row belongs" if not_run == 1 else "baseline rows belong"
    left_out = (f"{not_run} {belong} to tests that were not part of this run",) if not_run else ()
    notes = (*left_out, *renames.notes(before, others.unclear), *stale.notes(judgements))
    return GateReport(run.environment, tuple(judgements), run.skipped, notes)


def judged(
    row: Row, base: BaselineRow | None, settled: Settled | None, interpreter: str = "", age: Age = YOUNG
) -> Judgement:
    """Return the verdict on one row against ``base``, which may be that of the name that its test had.

    What a comparison of two commits has settled is settled, unless the baseline is another one by now.
    """
    if settled is not None and settled.baseline == base:
        return settled.judgement
    if base is None:
        return judge(row, None)
    judgement = stale.aged(judge(row, renames.taken_over(row, base)), base, interpreter, age)
    return judgement if base.key == row.key else renames.renamed(judgement, base.key.test)


def settles(judgement: Judgement, margin: float) -> bool:
    """Whether what a pair says of a suspicion is an answer.

    One that cannot tell is one too, where it has counted as much on both sides, or timed no more than the ``margin``: then
    it does not bear out what the baseline suspects.
    """
    comparison = judgement.comparison
    if judgement.verdict is not Verdict.INCONCLUSIVE:
        return judgement.verdict in (Verdict.REGRESSED, Verdict.UNCHANGED, Verdict.IMPROVED)
    if comparison is None or comparison.n < DECIDING_PROCESSES:
        return False
    return METRICS[judgement.key.metric].assume == "exact" or comparison.ratio <= 1 + margin


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
        if key.test in ran or (module_of(key.test) in run.complete and key.test not in run.unmeasured):
            gone.append(key)
        else:
            not_run += 1
    return gone, not_run
