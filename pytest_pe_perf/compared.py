"""Two things that hold measured rows, held against each other by the rules that hold for a run and its baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import msgspec

from pytest_pe_perf.baseline.store import load_module
from pytest_pe_perf.baseline.update import row_from
from pytest_pe_perf.committed import Committed
from pytest_pe_perf.config import Settings
from pytest_pe_perf.errors import BaseError, UsageError
from pytest_pe_perf.judge.compare import BASELINE_PROCESSES
from pytest_pe_perf.judge.gate import gate, module_of
from pytest_pe_perf.judge.stale import interpreter_of
from pytest_pe_perf.model import (
    METRICS,
    RUN_FORMAT,
    BaselineRow,
    Environment,
    GateReport,
    Judgement,
    Key,
    Row,
    Run,
    Sample,
    Verdict,
)
from pytest_pe_perf.report.wording import commits_of

Kind = Literal["run", "baseline", "commit"]
# A baseline does not say how many readings stand behind it: enough, or it would not have been written.
_READINGS = 1000


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows that were measured, as a run and as baseline rows. ``name`` is the user's word for it, ``said`` what it is."""

    name: str
    kind: Kind
    said: str
    run: Run
    rows: Mapping[Key, BaselineRow]

    @property
    def environment(self) -> Environment:
        """Where they were measured."""
        return self.run.environment

    @property
    def beside(self) -> bool:
        """Whether they were measured beside another commit."""
        return commits_of(self.run.context) is not None


def of_run(name: str, run: Run) -> Measured:
    """Return what a run holds; only its own side, where it was measured beside another commit."""
    interpreter = interpreter_of(run.environment, run.context.get("python", ""))
    rows = {row.key: row_from(row, interpreter) for row in run.rows if _judged(row.key) and not _problem(row)}
    commit = run.context.get("commit", "")[:10]
    said = f"run of {run.started[:16].replace('T', ' ')}{f', commit {commit}' if commit else ''}"
    return Measured(name, "run", said, run, rows)


def of_folder(name: str, place: Path, settings: Settings) -> Measured:
    """Return the baselines of one environment.

    Raises:
        BaselineError: a file of them cannot be trusted.

    """
    paths = sorted(place.glob("*.json"))
    rows = {key: row for path in paths for key, row in load_module(path).items()}
    text = paths[0].read_bytes().decode("utf-8-sig")
    environment = msgspec.json.decode(text, type=_File).environment
    return _of_baseline(name, "baseline", f"baseline of {environment.slug}", environment, rows, settings)


def of_commit(committed: Committed, environment: Environment, settings: Settings) -> Measured:
    """Return the baselines of an environment as they stand in a commit.

    Raises:
        BaseError: git cannot read them.
        BaselineError: a file of them cannot be trusted.

    """
    rows = committed.baseline(settings.baselines, environment)
    said = f"baseline of {environment.slug} in {committed.commit[:10]}"
    if not rows:
        others = committed.environments(settings.baselines)
        said = f"no {said}; there are: {', '.join(others) or 'none at all'}"
    return _of_baseline(committed.ref, "commit", said, environment, rows, settings)


def _of_baseline(
    name: str, kind: Kind, said: str, environment: Environment, rows: Mapping[Key, BaselineRow], settings: Settings
) -> Measured:
    measured = tuple(_row(row, settings) for row in rows.values())
    return Measured(name, kind, said, Run(RUN_FORMAT, "", environment, {}, measured), rows)


def _row(row: BaselineRow, settings: Settings) -> Row:
    """Return a baseline row as the fewest processes that can have recorded it measured it, with the range that it had."""
    one = Sample(row.value, _READINGS, 1, reference=row.reference, made_with=row.made_with)
    most = replace(one, value=row.value * (1 + row.spread)) if METRICS[row.key.metric].assume == "exact" else one
    samples = (one,) * (BASELINE_PROCESSES - 1) + (most,)
    return Row(row.key, samples, row.source, settings.threshold, settings.margin, body=row.body)


class _File(msgspec.Struct):
    environment: Environment


# --- the comparison -------------------------------------------------------------------------------------------------


def compare(a: Measured, b: Measured) -> GateReport:
    """Judge what ``b`` measured against what ``a`` did: every row of both."""
    rows = {key: replace(row, spread=max(row.spread, _spread(b, key))) for key, row in a.rows.items()}
    modules = tuple(sorted({module_of(key.test) for key in rows}))
    everything = replace(b.run, settled=(), complete=modules, unmeasured={})
    report = gate(everything, rows)
    before = {row.key: row for row in a.run.rows}
    judgements = tuple(_said(judgement, a, b, before.get(judgement.key)) for judgement in report.judgements)
    return replace(report, judgements=judgements)


def differing(a: Environment, b: Environment) -> tuple[str, ...]:
    """Return the facts in which two environments differ: ``"cores: 2 and 4"``."""
    names = [field.name for field in fields(Environment)]
    return tuple(
        f"{name}: {getattr(a, name)} and {getattr(b, name)}" for name in names if getattr(a, name) != getattr(b, name)
    )


def _spread(b: Measured, key: Key) -> float:
    """Return the scatter of a row that is no run's, whose processes nobody can ask any more."""
    return b.rows[key].spread if b.kind != "run" and key in b.rows and METRICS[key.metric].assume == "noisy" else 0.0


def _said(judgement: Judgement, a: Measured, b: Measured, before: Row | None) -> Judgement:
    """Return the judgement in the words of a comparison; it says less where less can be known of ``a``."""
    if judgement.verdict is Verdict.NEW:
        if before is not None and (why := _problem(before)):
            return replace(judgement, verdict=Verdict.INCONCLUSIVE, reason=f"{a.name} could not measure it: {why}")
        return replace(judgement, reason=f"only {b.name} has it")
    if judgement.verdict is Verdict.MISSING:
        return replace(judgement, reason=f"only {a.name} has it")
    if judgement.comparison is None or judgement.verdict is Verdict.NOT_COMPARABLE:
        return judgement
    if a.environment != b.environment:
        return _not_comparable(judgement, "the environments differ")
    if (a.beside or b.beside) and METRICS[judgement.key.metric].assume == "noisy":
        return _not_comparable(judgement, "a time that was measured beside another commit holds beside that one alone")
    n = len(before.samples) if before is not None else BASELINE_PROCESSES
    if n < BASELINE_PROCESSES and judgement.verdict in (Verdict.REGRESSED, Verdict.IMPROVED):
        few = f"{a.name} has it from {'1 process' if n == 1 else f'{n} processes'}; {BASELINE_PROCESSES} are needed"
        return replace(judgement, verdict=Verdict.INCONCLUSIVE, reason=f"{judgement.reason}; {few}")
    return judgement


def _not_comparable(judgement: Judgement, why: str) -> Judgement:
    return replace(judgement, verdict=Verdict.NOT_COMPARABLE, reason=why)


def _judged(key: Key) -> bool:
    return METRICS[key.metric].assume != "nothing"


def _problem(row: Row) -> str:
    return next((sample.problem for sample in row.samples if sample.problem), "")


# --- what the user's words mean -------------------------------------------------------------------------------------


def folder_named(word: str, baselines: Path) -> Path | None:
    """Return the folder of an environment's baselines that a path or a slug names, if it names one."""
    candidates = (Path(word), baselines / word) if word else ()
    return next((place for place in candidates if place.is_dir() and any(place.glob("*.json"))), None)


def commit_named(word: str, root: Path, settings: Settings) -> Committed:
    """Return the commit that a word names which is neither a file nor an environment.

    Raises:
        UsageError: it names no commit either.

    """
    try:
        return Committed.at(root, word)
    except BaseError as error:
        raise UsageError(
            f"{word!r} is no run file, no environment with baselines in {settings.baselines}, and no commit: {error.args[0]}"
        ) from error


def environment_of(found: Iterable[Measured | None], here: Environment) -> Environment:
    """Return the environment of what has one of its own: a commit is asked for the same."""
    return next((item.environment for item in found if item is not None), here)
