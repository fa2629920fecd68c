"""What a run would change in the baseline: first a plan, which is only looked at, then the change itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_pe_perf.errors import ReasonNeededError, UsageError
from pytest_pe_perf.judge.compare import (
    BASELINE_PROCESSES,
    EXACT_MARGINS,
    anchored,
    does_not_repeat,
    head_value,
    judge,
    readings,
)
from pytest_pe_perf.judge.estimate import SLOW, minimum, normalised, spread
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.judge.patterns import matches
from pytest_pe_perf.judge.renames import parameters, taken_over
from pytest_pe_perf.judge.stale import interpreter_of
from pytest_pe_perf.model import (
    METRICS,
    BaselineRow,
    Change,
    Environment,
    GateReport,
    Judgement,
    Key,
    Plan,
    Row,
    Run,
    Verdict,
)
from pytest_pe_perf.units import format_change

from . import store

# A count that moves by more than this between processes, and by more than its metric's margin, does not repeat: as a
# baseline it would allow any value within that range.
REPEATS_WITHIN = 0.10
_NAMED_IN_A_MESSAGE = 3


def plan(run: Run, report: GateReport, baseline: Mapping[Key, BaselineRow], only: Sequence[str] = ()) -> Plan:
    """Return what accepting ``run`` would change. ``report`` is the gate's on ``run`` against ``baseline``.

    Where nobody gives a reason for what got worse, it is that report with the project's accept entries applied: their
    rows are then left alone, instead of asking for a reason.

    ``only`` limits it to the tests that one of the patterns names: a node id, the beginning of one (a folder, a file,
    a class, a test without its parameters), or either with ``*`` and ``?``.

    Raises:
        UsageError: a pattern names no test of the run.

    """
    rows = {row.key: row for row in run.rows}
    fastest = fastest_reference(run.rows)
    interpreter = interpreter_of(run.environment, run.context.get("python", ""))
    changes: list[Change] = []
    left: list[tuple[Key, str]] = []
    unchanged = 0
    for judgement in _selected(report.judgements, only):
        key = judgement.key
        base = baseline.get(replace(key, test=judgement.renamed_from or key.test))
        outcome = _outcome(judgement, rows.get(key), base, interpreter)
        if isinstance(outcome, Change) and outcome.new is not None:
            outcome = unfit(rows[key], fastest) or outcome
        if base is not None and judgement.renamed_from:
            outcome = _moved(outcome, rows[key], base)
        if base is not None and not isinstance(outcome, Change) and _can_complete(base, rows[key]):
            changes.append(Change("complete", key, base, replace(base, body=rows[key].body)))
        if outcome is None:
            unchanged += 1
        elif isinstance(outcome, Change):
            changes.append(outcome)
        else:
            left.append((key, outcome))
    return Plan(tuple(sorted(changes, key=lambda change: change.key)), tuple(sorted(left)), unchanged)


def fastest_reference(rows: Iterable[Row]) -> float:
    """Return the smallest time that the reference workload took in any process of a run, infinite if it never ran."""
    references = (_reference(row) for row in rows if METRICS[row.key.metric].assume == "noisy")
    return min((reference for reference in references if reference is not None), default=math.inf)


def unfit(row: Row, fastest: float) -> str:
    """Return why a row may not be recorded although its verdict allows it, or nothing.

    A time is only worth recording if the reference workload came near the fastest that the run has seen; a count, if
    its processes agree.
    """
    if METRICS[row.key.metric].assume == "noisy":
        reference = _reference(row)
        if reference is not None and reference > SLOW * fastest:
            slower = format_change(reference / fastest)
            return f"recorded in a bad moment (reference workload {slower}): run again"
        return ""
    values = [sample.value for sample in row.samples]
    margin = EXACT_MARGINS[row.key.metric]
    most = max(margin.absolute, max(margin.relative, REPEATS_WITHIN) * min(values))
    return does_not_repeat(row) if max(values) - min(values) > most else ""


def _reference(row: Row) -> float | None:
    """Return the smallest reference of a latency row's processes, None where one has none that can be a time."""
    found = [sample.reference for sample in row.samples if sample.reference is not None and not sample.problem]
    usable = [reference for reference in found if 0 < reference < math.inf]
    return min(usable) if len(usable) == len(row.samples) else None


def row_from(row: Row, interpreter: str = "") -> BaselineRow:
    """Return what is accepted of a measured row: the smallest value and reference over its processes.

    ``spread`` is the one of their normalised values (see ``judge.estimate``); for an exact metric their relative range,
    0 where the smallest is 0. A row that does not name a tool was made with the ``interpreter``.
    """
    value, reference, scatter = head_value(row), None, 0.0
    if METRICS[row.key.metric].assume == "noisy":
        _, reference = minimum([(sample.value, sample.reference) for sample in row.samples])
        scatter = spread([normalised(sample.value, sample.reference) for sample in row.samples], readings(row))
    elif value:
        scatter = (max(sample.value for sample in row.samples) - value) / value
    made_with = row.samples[0].made_with or interpreter
    return BaselineRow(row.key, value, row.source, reference, scatter, made_with, body=row.body)


def apply(changes: Iterable[Change], folder: Path, environment: Environment, reason: str = "") -> tuple[Path, ...]:
    """Change the baseline files, all or none, and return their paths; those without rows are gone.

    ``reason`` is stored on the rows that get worse.

    Raises:
        ReasonNeededError: a row gets worse and there is no reason.
        BaselineError: a file on disk cannot be trusted.
        WriteError: a file cannot be written.

    """
    changes, reason = tuple(changes), reason.strip()
    worse = [change.key for change in changes if change.worse]
    if worse and not reason:
        raise ReasonNeededError(_reason_needed(worse))
    if not changes:
        return ()
    rows = store.load(folder, environment)
    for change in changes:
        if change.old is not None:
            rows.pop(change.old.key, None)
        if change.new is not None:
            kept = change.new.reason if change.kind in ("rename", "complete") else ""
            rows[change.key] = replace(change.new, reason=reason if change.worse else kept)
    keys = [key for change in changes for key in (change.key, change.old.key if change.old else change.key)]
    touched: dict[str, list[BaselineRow]] = {module_of(key.test): [] for key in keys}
    for row in rows.values():
        if (module := module_of(row.key.test)) in touched:
            touched[module].append(row)
    return store.save(folder, environment, touched)


def _outcome(judgement: Judgement, row: Row | None, base: BaselineRow | None, interpreter: str) -> Change | str | None:
    """Return the change that the verdict asks for, why the row is left alone, or nothing where all is well."""
    if row is None:
        return Change("trim", judgement.key, base, None)
    word, reason = judgement.verdict, judgement.reason
    enough = len(row.samples) >= BASELINE_PROCESSES
    refreshed = bool(judgement.stale) and enough
    if word is Verdict.OVER_BUDGET or (refreshed and word is Verdict.INCONCLUSIVE):
        # The limit stays, and a row that is stale is to go: the baseline follows what the comparison alone says.
        underlying = judge(replace(row, budget=None), base and taken_over(row, base))
        word, reason = underlying.verdict, underlying.reason
    if word is Verdict.UNCHANGED and not refreshed:
        return None
    if word is Verdict.ACCEPTED:
        return f"{reason}; with a reason it becomes the baseline"
    if word is Verdict.INCONCLUSIVE:
        return reason
    if not enough:
        processes = "1 process" if len(row.samples) == 1 else f"{len(row.samples)} processes"
        return f"measured in {processes}; {BASELINE_PROCESSES} are needed"
    if base is None:
        return Change("create", row.key, None, row_from(row, interpreter))
    new, left_behind = anchored(replace(row_from(row, interpreter), renamed_from=base.renamed_from), base, row)
    if word is Verdict.REGRESSED:
        return Change("fix", row.key, base, new, worse=True)
    # However small the step is that leaves the anchor behind: all of them together are not.
    worse = left_behind or (word is Verdict.NOT_COMPARABLE and _worse(row, base))
    return Change("update", row.key, base, new, worse=worse)


def _moved(outcome: Change | str | None, row: Row, base: BaselineRow) -> Change | str:
    """Return the change of a row whose test has another name now: whatever becomes of its numbers, it goes along.

    With other parameters it may be another benchmark, so it goes along only where nothing else is to be done.
    """
    if isinstance(outcome, Change):
        return replace(outcome, new=outcome.new and replace(outcome.new, renamed_from=base.key.test))
    if outcome and parameters(base.key.test) != parameters(row.key.test):
        return outcome
    return Change("rename", row.key, base, replace(taken_over(row, base), body=row.body))


def renamed_tests(changes: Iterable[Change]) -> dict[str, str]:
    """Return the new name of each test that has one by these changes, by its old name."""
    moved = ((change.old.key.test, change.key.test) for change in changes if change.old is not None)
    return {old: new for old, new in moved if old != new}


def _can_complete(base: BaselineRow, row: Row) -> bool:
    """Whether the hash of the source without the name can be added to the row: what it says is no question of time."""
    return not base.body and bool(row.body) and base.key == row.key and base.source == row.source


def _worse(row: Row, base: BaselineRow) -> bool:
    """Whether the row would be beyond the judge's margin if it could be compared."""
    comparable = replace(base, source=row.source, made_with=row.samples[0].made_with)
    judgement = judge(replace(row, budget=None), comparable)
    if judgement.verdict is Verdict.INCONCLUSIVE and judgement.comparison:
        return judgement.comparison.ratio > 1
    return judgement.verdict is Verdict.REGRESSED


def _selected(judgements: Sequence[Judgement], only: Sequence[str]) -> Sequence[Judgement]:
    if not only:
        return judgements
    for pattern in only:
        if not any(matches(pattern, judgement.key.test) for judgement in judgements):
            raise UsageError(f"{pattern!r} names no test of this run; patterns are node ids, beginnings, or globs")
    return [judgement for judgement in judgements if any(matches(pattern, judgement.key.test) for pattern in only)]


def _reason_needed(worse: Sequence[Key]) -> str:
    named = ", ".join(f"{key.metric} of {key.label}" for key in worse[:_NAMED_IN_A_MESSAGE])
    if len(worse) > _NAMED_IN_A_MESSAGE:
        named += f" and {len(worse) - _NAMED_IN_A_MESSAGE} more"
    rows = "1 row gets" if len(worse) == 1 else f"{len(worse)} rows get"
    return (
        f"nothing was written: {rows} worse ({named}); "
        'say why with --reason "why it may be slower" (with pytest: --pe-perf-reason)'
    )
