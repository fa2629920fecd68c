"""The only place where a verdict is made against a stored baseline; on pairs it is made in ``pairs_verdict.py``."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pytest_pe_perf.model import METRICS, BaselineRow, Comparison, Judgement, Row, Verdict
from pytest_pe_perf.units import format_change, format_quantity

from .estimate import SLOW, Z95, Z95_ONE_SIDED, lower_bound, minimum, ratio_of_minima

# A stored row is the minimum over this many processes at least; fewer are not written (see baseline.update).
BASELINE_PROCESSES = 3
# A suspicion needs this many processes in all before it counts: the first and two fresh ones.
DECIDING_PROCESSES = 3
# Before a time may fail a test: in a bad moment, where a third of all processes is slow, three slow ones in a row are
# nothing rare, and 1.6 % of the rows without a change would fail (docs/method/stored-tier.md).
FAILING_PROCESSES = 5


@dataclass(frozen=True, slots=True)
class ExactMargin:
    """A count or a size may grow by this much before it is a change: both must be exceeded."""

    relative: float
    absolute: float


# peak: a string that is a few bytes longer is not a regression. allocations: one more a call is, found every time.
# retained: a list that keeps its elements grows in steps, so that bytes per call scatter by a few.
EXACT_MARGINS = {
    "peak": ExactMargin(0.01, 64.0),
    "allocations": ExactMargin(0.0, 0.0),
    "retained": ExactMargin(0.05, 8.0),
}


def _usable(number: float, metric: str) -> bool:
    # A time of zero was never measured; a count of zero is a fine one.
    return math.isfinite(number) and (number >= 0 if METRICS[metric].assume == "exact" else number > 0)


def _problem(row: Row) -> str:
    """Return why the row's numbers may not be judged, or nothing."""
    for sample in row.samples:
        if sample.problem:
            return sample.problem
        numbers = [x for x in (sample.value, sample.reference, sample.machine) if x is not None]
        if not all(_usable(number, row.key.metric) for number in numbers):
            return f"{' and '.join(map(str, numbers))} cannot be measured values"
    return ""


def head_value(row: Row) -> float:
    """Return the row's value over all its processes: the smallest, for times and for counts alike."""
    return min(sample.value for sample in row.samples)


def _pairs(row: Row) -> list[tuple[float, float | None]]:
    return [(sample.value, sample.reference) for sample in row.samples]


def _speed(row: Row, base: BaselineRow) -> float:
    """Return the time that the reference workload takes now over the one that it took for the baseline."""
    reference = minimum(_pairs(row))[1]
    return 1.0 if reference is None or base.reference is None else reference / base.reference


def slow_reference(row: Row, base: BaselineRow) -> bool:
    """Whether the reference workload may have been slow in the process that measured the row, and nothing else.

    That would hide a change of the same size. More processes know better, or a ``machine`` that is as slow.
    """
    if len(row.samples) >= DECIDING_PROCESSES or _speed(row, base) <= SLOW:
        return False
    return any(
        sample.machine is None or sample.reference is None or sample.reference > SLOW * sample.machine
        for sample in row.samples
    )


def readings(row: Row) -> int:
    """Return how many readings stand behind each of the row's values at least."""
    return min(sample.count for sample in row.samples)


def compare_noisy(row: Row, base: BaselineRow) -> Comparison:
    """Compare minima over processes, normalised by the reference workload."""
    head = _pairs(row)
    estimate = ratio_of_minima((base.value, base.reference), base.spread, BASELINE_PROCESSES, head, readings(row))
    # What the rule asks for: a ratio beyond the threshold, in an interval that lies beyond the margin.
    needed = max(math.log1p(row.threshold), math.log1p(row.margin) + Z95 * estimate.error)
    return Comparison(
        base=base.value,
        head=minimum(head)[0],
        ratio=estimate.ratio,
        low=estimate.low,
        high=estimate.high,
        n=len(head),
        threshold=row.threshold,
        detectable=math.expm1(needed + Z95_ONE_SIDED * estimate.error),
        tier="stored",
    )


def _ratio(head: float, base: float) -> float:
    if base:
        return head / base
    return math.inf if head else 1.0


def _exact_allowance(row: Row, base: BaselineRow, share: float) -> float:
    margin = EXACT_MARGINS[row.key.metric]
    return max(max(margin.relative, base.spread, share) * base.value, margin.absolute)


def compare_exact(row: Row, base: BaselineRow, share: float = 0.0) -> Comparison:
    """Compare numbers that repeat to the last digit; the interval is what the processes saw.

    What is at most the metric's margin, or ``share`` of the base, is no change.
    """
    values = [sample.value for sample in row.samples]
    # "More than this" is a change, and the next whole number above the allowance is the least that can be seen.
    allowance = _exact_allowance(row, base, share)
    least = math.floor(allowance) + 1.0
    return Comparison(
        base=base.value,
        head=min(values),
        ratio=_ratio(min(values), base.value),
        low=_ratio(min(values), base.value),
        high=_ratio(max(values), base.value),
        n=len(values),
        threshold=_ratio(base.value + allowance, base.value) - 1,
        detectable=_ratio(base.value + least, base.value) - 1,
        tier="counts",
    )


def _slower(row: Row, comparison: Comparison) -> bool:
    """Whether the interval excludes what may be ignored and the ratio exceeds what is promised."""
    return comparison.low > 1 + row.margin and comparison.ratio > 1 + row.threshold


def _verdict_noisy(row: Row, base: BaselineRow, comparison: Comparison) -> tuple[Verdict, str]:
    if (base.reference is None) != (minimum(_pairs(row))[1] is None):
        return Verdict.NOT_COMPARABLE, "only one side was measured against the reference workload"
    margin, threshold = 1 + row.margin, 1 + row.threshold
    change = format_change(comparison.ratio)
    if _slower(row, comparison):
        if comparison.n < FAILING_PROCESSES:
            return Verdict.INCONCLUSIVE, f"{change} in {_processes(comparison.n)}; {FAILING_PROCESSES} are needed"
        return Verdict.REGRESSED, f"{change}, beyond {format_change(threshold)} in {_processes(comparison.n)}"
    if comparison.high < 1 / margin and comparison.ratio < 1 / threshold:
        if comparison.n < DECIDING_PROCESSES:
            return Verdict.INCONCLUSIVE, f"{change} in {_processes(comparison.n)}; {DECIDING_PROCESSES} are needed"
        return Verdict.IMPROVED, f"{change} in {_processes(comparison.n)}"
    if slow_reference(row, base):
        slow = f"reference workload {format_change(_speed(row, base))} in {_processes(comparison.n)}"
        return Verdict.INCONCLUSIVE, f"{change}, but the {slow}; {DECIDING_PROCESSES} are needed"
    if 1 / margin <= comparison.ratio <= margin:
        return Verdict.UNCHANGED, f"{change}, within {format_change(margin)}"
    if comparison.ratio < 1:
        # Faster, but by less than a stored baseline can prove: nobody has to act on that.
        return Verdict.UNCHANGED, f"{change}: faster, by less than a stored baseline can prove"
    return (
        Verdict.INCONCLUSIVE,
        f"{change} is more than {format_change(margin)} and less than a stored baseline can prove",
    )


def _verdict_exact(row: Row, base: BaselineRow, comparison: Comparison, share: float) -> tuple[Verdict, str]:
    unit = METRICS[row.key.metric].unit
    allowance = _exact_allowance(row, base, share)
    values = [sample.value for sample in row.samples]
    least, most = min(values) - base.value, max(values) - base.value
    if -allowance <= least and most <= allowance:
        return Verdict.UNCHANGED, f"within {format_quantity(allowance, unit)}" if least or most else "equal"
    made_with = row.samples[0].made_with
    if base.made_with != made_with:
        return Verdict.NOT_COMPARABLE, f"recorded with {base.made_with or 'nothing named'}, this run has {made_with}"
    if comparison.n < DECIDING_PROCESSES:
        return Verdict.INCONCLUSIVE, f"differs in {_processes(comparison.n)}; {DECIDING_PROCESSES} are needed"
    if least > allowance:
        return Verdict.REGRESSED, f"{format_quantity(least, unit)} more in {_processes(comparison.n)}"
    if most < -allowance:
        return Verdict.IMPROVED, f"{format_quantity(-most, unit)} less in {_processes(comparison.n)}"
    return Verdict.INCONCLUSIVE, does_not_repeat(row)


def does_not_repeat(row: Row) -> str:
    """Return the sentence that says so of a count, with what the processes saw."""
    unit = METRICS[row.key.metric].unit
    return "does not repeat: " + ", ".join(format_quantity(sample.value, unit) for sample in row.samples)


def _processes(n: int) -> str:
    return "1 process" if n == 1 else f"{n} processes"


def _over_budget(row: Row, base: BaselineRow | None) -> tuple[str, str]:
    """Return why the row is over its budget, and why it is not although it looks so; nothing where nothing is to be said.

    A time is judged by the lower bound of its interval, and where the reference workload takes longer than it did for the
    baseline, as if it did not: an hour in which the machine is slow fails no budget.
    """
    if row.budget is None:
        return "", ""
    metric = METRICS[row.key.metric]
    values = [sample.value for sample in row.samples]
    surely = lower_bound(values, readings(row)) if metric.assume == "noisy" else min(values)
    if surely <= row.budget.limit:
        return "", ""
    said = f"{format_quantity(min(values), metric.unit)}, limit {row.budget.text}"
    known = base is not None and base.reference is not None and _usable(base.reference, row.key.metric)
    speed = _speed(row, base) if base is not None and known else 1.0
    if speed > 1 and surely / speed <= row.budget.limit:
        return "", f"{said}, but everything took {speed:.2f} times as long as for the baseline"
    return said, ""


def _failing_processes(row: Row) -> int:
    return FAILING_PROCESSES if METRICS[row.key.metric].assume == "noisy" else DECIDING_PROCESSES


def anchor_of(base: BaselineRow) -> BaselineRow:
    """Return the row from which a creep is measured; mostly that is ``base`` itself."""
    return base if base.anchor is None else replace(base, value=base.anchor, anchor=None)


def anchored(new: BaselineRow, base: BaselineRow, row: Row) -> tuple[BaselineRow, bool]:
    """Return ``new``, which is about to replace ``base``, with the anchor that it gets, and whether it left the old one behind.

    The anchor stays where it is unless the new value is beyond ``row``'s threshold from it, or better by more than may
    be ignored: whoever takes small steps does not move it.
    """
    anchor = anchor_of(base)
    if anchor.reference and new.reference:
        # A time as long as the anchor's was, on a machine as fast as this one.
        anchor = replace(anchor, value=anchor.value * (new.reference / anchor.reference), reference=new.reference)
    elif anchor.reference or new.reference:
        return new, False
    if METRICS[new.key.metric].assume == "noisy":
        more, less = row.threshold * anchor.value, row.margin * anchor.value
    else:
        more, less = _exact_allowance(row, anchor, row.threshold), _exact_allowance(row, anchor, 0.0)
    if new.value > anchor.value + more:
        return new, True
    stays = new.value >= anchor.value - less and new.value != anchor.value
    return replace(new, anchor=anchor.value if stays else None), False


def _against(row: Row, base: BaselineRow, share: float = 0.0) -> tuple[Verdict, str, Comparison]:
    """Return the verdict on numbers that can be compared, why, and what it rests on."""
    if METRICS[row.key.metric].assume == "noisy":
        comparison = compare_noisy(row, base)
        return *_verdict_noisy(row, base, comparison), comparison
    comparison = compare_exact(row, base, share)
    return *_verdict_exact(row, base, comparison, share), comparison


def _crept(row: Row, base: BaselineRow, word: Verdict, reason: str) -> tuple[Verdict, str, Comparison] | None:
    """Return the verdict on a row that is, or may be, beyond its threshold from its baseline's anchor."""
    if base.anchor is None or word not in (Verdict.UNCHANGED, Verdict.INCONCLUSIVE, Verdict.REGRESSED):
        return None
    creep, _, comparison = _against(row, anchor_of(base), row.threshold)
    n = comparison.n
    # What fewer processes than decide have seen is only followed up if it is a growth.
    pending = creep is Verdict.INCONCLUSIVE and n < _failing_processes(row) and _slower(row, comparison)
    if creep is not Verdict.REGRESSED and not pending:
        return None
    since = format_quantity(comparison.base, METRICS[row.key.metric].unit)
    said = f"{_ratio_text(comparison.ratio)} since its anchor ({since}), beyond {_ratio_text(1 + comparison.threshold)}"
    if pending:
        return Verdict.INCONCLUSIVE, f"{said} in {_processes(n)}; {_failing_processes(row)} are needed", comparison
    return Verdict.REGRESSED, f"{said} in {_processes(n)}: a creep; against its baseline {word}, {reason}", comparison


def _ratio_text(ratio: float) -> str:
    return "more than 0" if math.isinf(ratio) else format_change(ratio)


def judge(row: Row, base: BaselineRow | None) -> Judgement:
    """Return the verdict on one row against its baseline row, and against that one's anchor.

    A change of any kind is only called one once ``DECIDING_PROCESSES`` have measured it, and a time only fails the test
    once ``FAILING_PROCESSES`` have; until then such a row is inconclusive, and ``suspected`` says that it must be
    measured again.
    """
    problem = _problem(row)
    value = head_value(row)

    def verdict(word: Verdict, reason: str, comparison: Comparison | None = None) -> Judgement:
        return Judgement(row.key, word, reason, value, comparison, row.budget, row.line)

    if problem:
        return verdict(Verdict.INCONCLUSIVE, problem)
    over, spared = _over_budget(row, base)
    if over and len(row.samples) < (needed := _failing_processes(row)):
        return verdict(Verdict.INCONCLUSIVE, f"{over}; {needed} processes are needed to fail")
    if base is None:
        return verdict(Verdict.OVER_BUDGET, over) if over else verdict(Verdict.NEW, "no baseline row")
    if base.source != row.source:
        comparison = None
        word, reason = Verdict.NOT_COMPARABLE, "the benchmark itself changed since its baseline was accepted"
    elif not all(_usable(x, row.key.metric) for x in (base.value, base.reference) if x is not None):
        comparison = None
        word, reason = Verdict.NOT_COMPARABLE, "the baseline's numbers cannot be measured values"
    else:
        word, reason, comparison = _against(row, base)
        word, reason, comparison = _crept(row, base, word, reason) or (word, reason, comparison)
    if spared:
        reason = f"{reason}; {spared}"
    if over:
        return verdict(Verdict.OVER_BUDGET, f"{over}; against its baseline: {word}, {reason}", comparison)
    return verdict(word, reason, comparison)


def cannot_fail(row: Row, base: BaselineRow | None, judgement: Judgement) -> bool:
    """Whether a time looks slower by so little that more processes, whose minimum is smaller, would not fail its test."""
    comparison = judgement.comparison
    return (
        comparison is not None
        and base is not None
        and METRICS[row.key.metric].assume == "noisy"
        and 1 + row.margin < comparison.ratio <= 1 + row.threshold
        and not slow_reference(row, base)
        and not _over_budget(row, base)[0]
    )


def suspected(row: Row, judgement: Judgement, base: BaselineRow | None = None) -> bool:
    """Whether more processes could turn this verdict into one that counts; ``base`` is what it was judged against.

    From ``DECIDING_PROCESSES`` on, only what would fail the test had ``FAILING_PROCESSES`` said the same is pending;
    "less than a stored baseline can prove" is final.
    """
    n = len(row.samples)
    if judgement.verdict is not Verdict.INCONCLUSIVE or _problem(row):
        return False
    if n < DECIDING_PROCESSES:
        return True
    slower = judgement.comparison is not None and _slower(row, judgement.comparison)
    return n < _failing_processes(row) and (slower or bool(_over_budget(row, base)[0]))
