"""What a hurried reader wants to know of a run, and what there is to do."""

from __future__ import annotations

from pytest_pe_perf.model import GateReport, Verdict

from .screen import printable
from .wording import Commits, Level, weak


def answer(report: GateReport, level: Level, commits: Commits | None) -> tuple[str, str]:
    """Return the headline, and the advice beneath it."""
    if level == "bad":
        return _failed(report), (
            "Make it good again; the cards below say how to measure it, and what else there is to do."
            if commits
            else "Make it good again, or accept it with a reason: the cards below hold the commands."
        )
    if level == "good":
        accepted = " beyond what was accepted" if report.count(Verdict.ACCEPTED) else ""
        return f"Nothing got worse{accepted}", _nothing_to_do(report, commits)
    if report.doubts:
        return "Nobody can tell whether anything got worse", f"Why: {printable('; '.join(report.doubts))}."
    if not report.judgements:
        return (
            "Nothing was measured",
            f"No performance test gave a number{'; below stands why' * bool(report.skipped)}.",
        )
    if report.count(Verdict.NEW) == len(report.judgements):
        return "Nothing to compare with yet", (
            "Base has none of these tests; they are compared once they are merged."
            if commits
            else "Accept these numbers as the baseline with: pe-perf update"
        )
    left = sum(report.count(verdict) for verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE, Verdict.MISSING))
    if left:
        rows = "row" if left == 1 else "rows"
        return f"No failure, and {left} {rows} left open", "The table below says of each row what is missing."
    if report.count(Verdict.NEW):
        return "Nothing got worse, and there are new rows", (
            "What is new is compared once it is merged."
            if commits
            else "Accept what is new as the baseline with: pe-perf update"
        )
    return "Nothing got worse where it was measured", "Some tests were not measured; below stands why."


def _nothing_to_do(report: GateReport, commits: Commits | None) -> str:
    if commits is None and report.count(Verdict.IMPROVED):
        return "Keep what improved as the baseline with: pe-perf update"
    blind = sum(weak(judgement) and judgement.key.metric == "latency" for judgement in report.judgements)
    if not blind:
        return "There is nothing to do."
    rows = "1 time is" if blind == 1 else f"{blind} times are"
    return (
        f"There is nothing to do, but {rows} weak: a longer --pe-perf-time or a quieter machine sees smaller changes."
    )


def _failed(report: GateReport) -> str:
    """Return how many tests failed, and at what."""
    count = len({judgement.key.test for judgement in report.judgements if judgement.fails})
    tests = "1 test" if count == 1 else f"{count} tests"
    if not report.count(Verdict.OVER_BUDGET):
        return f"{tests} got worse"
    if report.count(Verdict.REGRESSED):
        return f"{tests} failed"
    return f"{tests} {'is' if count == 1 else 'are'} over budget"
