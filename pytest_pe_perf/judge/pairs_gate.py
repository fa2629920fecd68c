"""The whole suite, measured beside another commit: a judgement for every row, and what is to be said of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_pe_perf.model import METRICS, BaselineRow, Judgement, Pairs, Row, Verdict

from .canaries import Canaries, canaries_say
from .compare import judge
from .packed import unpack
from .pairs_verdict import Part, judge_parts

IDENTICAL = "base and head have the same code: this run compares it with itself"


@dataclass(frozen=True, slots=True)
class Judged:
    """What is to be said of what pairs measured."""

    judgements: tuple[Judgement, ...] = ()
    notes: tuple[str, ...] = ()


def gate_pairs(pairs: Sequence[Pairs], rows: Sequence[Row]) -> Judged:
    """Judge what each machine measured, as one suite; of ``rows``, a run's, those are judged that are counted exactly.

    Raises:
        ValueError: a restart in ``pairs`` is not whole, see ``packed.unpack``.

    """
    sung = [canaries_say(list(map(unpack, part.canaries))) for part in pairs]
    parts = [_part(part, canaries) for part, canaries in zip(pairs, sung, strict=True)]
    # What is missing on head every machine has seen to be missing.
    unread = dict.fromkeys(item for part in pairs for item in part.unread)
    judgements = (
        *judge_parts(parts),
        *(judge_counts(row) for row in rows if METRICS[row.key.metric].assume == "exact"),
        *(Judgement(item.key, item.verdict, item.reason) for item in unread),
    )
    identical = (IDENTICAL,) if any(part.identical for part in pairs) else ()
    notes = (note for canaries in sung for note in canaries.notes)
    return Judged(tuple(j for j in judgements if METRICS[j.key.metric].assume != "nothing"), (*identical, *notes))


def _part(pairs: Pairs, sung: Canaries) -> Part:
    return Part(list(map(unpack, pairs.rows)), pairs.biased or sung.biased, sung.blind)


def judge_counts(row: Row) -> Judgement:
    """Return the verdict on a row that is counted exactly, whose base was counted by processes of the other side."""
    if not row.base:
        judgement = judge(row, None)
        return replace(judgement, reason="base did not weigh it") if judgement.verdict is Verdict.NEW else judgement
    if why := next((sample.problem for sample in row.base if sample.problem), ""):
        return Judgement(row.key, Verdict.INCONCLUSIVE, f"on base: {why}", budget=row.budget, line=row.line)
    values = [sample.value for sample in row.base]
    least = min(values)
    scatter = (max(values) - least) / least if least else 0.0
    return judge(row, BaselineRow(row.key, least, row.source, spread=scatter, made_with=row.base[0].made_with))
