"""The gate's report as lines of a terminal, at most as wide as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from pytest_pe_perf.model import METRICS, GateReport, Judgement, Key, Run, Verdict
from pytest_pe_perf.units import format_quantity, format_seconds

from .screen import ELLIPSIS, hang, pad, printable, shorten, shorten_id, width_of, wrap, wrap_parts
from .wording import (
    SIGN,
    Commits,
    accept_command,
    change,
    commits_of,
    could_have_seen,
    finding,
    how_to_let_pass,
    interval,
    measured_in,
    old_to_new,
    quantity,
    reproduce_command,
    result,
    sight,
    statement,
    threshold,
    weak,
    word,
    worst_first,
)

_HEAD = ("test", "metric", "now", "change", "95 % interval", "verdict")
_RIGHT = (False, True, True, True, False)
# With fewer columns than this for the test's name the other columns move together, and with still fewer it stands on a
# line of its own.
_COMFORTABLE_TEST = 32
_LEAST_TEST = 18
# A message of a failed test goes into logs and files too, which know no terminal.
_MESSAGE_WIDTH = 80

_MARKUP = {
    Verdict.REGRESSED: {"red": True, "bold": True},
    Verdict.OVER_BUDGET: {"red": True, "bold": True},
    Verdict.INCONCLUSIVE: {"yellow": True},
    Verdict.NOT_COMPARABLE: {"yellow": True},
    Verdict.MISSING: {"yellow": True},
    Verdict.NEW: {"yellow": True},
    Verdict.ACCEPTED: {},
    Verdict.IMPROVED: {"cyan": True},
    Verdict.UNCHANGED: {},
}
_WEAK = {"yellow": True}
_DIM = {"light": True}
_LEVEL = {
    "bad": {"red": True, "bold": True},
    "unsure": {"yellow": True, "bold": True},
    "good": {"green": True, "bold": True},
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, and how to show it: the keyword arguments of ``TerminalReporter.write_line``."""

    text: str
    markup: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Cells:
    """A row of the table as text; the first cell is shortened to what the others leave."""

    test: str
    others: tuple[str, ...]
    markup: dict[str, bool]


def header(mode: str, seconds: float) -> str:
    """Return the line for pytest's header: what is compared with what, and how long a test is measured."""
    return f"pe-perf: {printable(mode)}; {format_seconds(seconds)} per test"


def failure(judgement: Judgement, commits: Commits | None = None, causes: Mapping[Key, str] | None = None) -> str:
    """Return what is to be said of a failed row: what got worse, by how much, how sure, why, and what can be done."""
    figures = [", ".join(parts) for parts in (*_figures(judgement, commits), *_cause(judgement, causes))]
    ways = [f"{text}{command}" for text, command in _ways_on(judgement, commits)]
    return "\n".join([statement(judgement), *figures, *ways])


def message(
    judgements: Sequence[Judgement], commits: Commits | None = None, causes: Mapping[Key, str] | None = None
) -> str:
    """Return the same of all failed rows of a test, for pytest to print beneath the test's name.

    It has at most 80 columns, but for a command that has more: one that is broken cannot be copied.
    """
    rows = [
        [line for parts in ([finding(row)], *_figures(row, commits), *_cause(row, causes)) for line in _broken(parts)]
        for row in judgements
    ]
    # What can be done is mostly the same for all of them.
    ways = dict.fromkeys(way for row in judgements for way in _ways_on(row, commits))
    last = [line for text, command in ways for line in _way(text, command)]
    parts = [*rows, last] if len(rows) > 1 else [rows[0] + last]
    return "\n\n".join("\n".join(lines) for lines in parts)


def _broken(parts: Sequence[str]) -> Iterator[str]:
    """Yield a list in lines of a message, each part on a line of its own where they do not fit on one."""
    whole = ", ".join(parts)
    if len(parts) == 1 or width_of(whole) <= _MESSAGE_WIDTH:
        yield from hang(whole, _MESSAGE_WIDTH)
        return
    first, *others = parts
    yield f"{first},"
    yield from (f"  {part}" for part in others)


def _way(text: str, command: str) -> Iterator[str]:
    if not command:
        yield from hang(text, _MESSAGE_WIDTH)
    elif width_of(text + command) <= _MESSAGE_WIDTH:
        yield text + command
    else:
        yield text.rstrip()
        yield f"  {command}"


def stale(count: int) -> str:
    """Return the line that says why a strict run fails although no row does."""
    entries = "1 accept entry asks" if count == 1 else f"{count} accept entries ask"
    return f"pe-perf: {entries} to be mended or deleted, which fails under --pe-perf-strict: see the notes"


def _figures(judgement: Judgement, commits: Commits | None) -> Iterator[Sequence[str]]:
    """Yield the lines of figures, each as the parts between its commas."""
    comparison = judgement.comparison
    if comparison is None:
        by = "95 % lower bound" if METRICS[judgement.key.metric].assume == "noisy" else "smallest value"
        yield [f"{quantity(judgement, judgement.value)} now, and nothing to compare it with"]
        yield [f"judged by the {by} of its processes"]
    else:
        yield [old_to_new(judgement, comparison)]
        yield [
            f"{interval(comparison)}, threshold {threshold(comparison)}",
            f"{measured_in(comparison, commits)}, tier {comparison.tier}",
        ]


def _cause(judgement: Judgement, causes: Mapping[Key, str] | None) -> Iterator[Sequence[str]]:
    """Yield the line that says where the time or the memory goes now, if somebody has looked."""
    if causes and judgement.key in causes:
        yield [causes[judgement.key]]


def _ways_on(judgement: Judgement, commits: Commits | None) -> Iterator[tuple[str, str]]:
    """Yield what can be done, each as a text and the command that ends it."""
    test, budget = judgement.key.test, judgement.budget
    if commits is not None:
        yield "reproduce with: ", reproduce_command(test, commits)
    if judgement.verdict is Verdict.OVER_BUDGET and budget is not None:
        yield f"limit {printable(budget.text)}: {how_to_let_pass(judgement, commits)}", ""
    elif commits is not None:
        yield how_to_let_pass(judgement, commits), ""
    else:
        yield "accept with: ", accept_command(test)


def summary(
    report: GateReport, run: Run, *, width: int = 80, verbosity: int = 0, hints: bool = True, page: str = ""
) -> list[Line]:
    """Return the report as lines of at most ``width`` columns, worst first, the result in one sentence last.

    Rows that did not change are a count unless ``verbosity`` is positive; a negative one leaves only what failed. A
    latency that could not have shown what its threshold promises is no mere count. ``hints``: the sentence ends with
    what comes next, where something does. ``page`` is where the same stands as a page, if it does.
    """
    # A terminal narrower than a word is no terminal; pytest itself falls back to 80.
    width = max(width, 1)
    lines = [*_table(_shown(report, verbosity), width)]
    if verbosity > 0:
        lines += _not_judged(run, width)
    if verbosity >= 0:
        lines += _remarks(report, width, verbosity)
        lines += [Line(text) for text in wrap(f"report: {page}", width, " ") if page]
    return [*lines, *_sentence(report, commits_of(run.context), width, hints=hints)]


def _shown(report: GateReport, verbosity: int) -> list[Judgement]:
    rows = worst_first(report)
    if verbosity < 0:
        return [judgement for judgement in rows if judgement.fails]
    return rows if verbosity else [judgement for judgement in rows if _tells(judgement)]


def _tells(judgement: Judgement) -> bool:
    """Whether the row is shown without being asked for."""
    return judgement.verdict is not Verdict.UNCHANGED or (weak(judgement) and judgement.key.metric == "latency")


def _sentence(report: GateReport, commits: Commits | None, width: int, *, hints: bool) -> list[Line]:
    """Return what the run could have seen, and as the last thing, loud, what it found and what comes next."""
    outcome = result(report, commits)
    seen = sight(report)
    parts = [part for part in (outcome.parts if hints else outcome.found) if part != seen]
    return [
        *(Line(text) for text in wrap(seen, width, " ") if seen),
        *(Line(text, _LEVEL[outcome.level]) for text in wrap_parts("pe-perf: ", parts, width)),
    ]


def _table(judgements: Sequence[Judgement], width: int) -> Iterator[Line]:
    if not judgements:
        return
    rows = [_cells(judgement) for judgement in judgements]
    frame = _frame(rows, width)
    module = _one_module(judgements)
    if module and not (frame and all(map(frame.tells, rows))):
        # What all names begin with is said once, where it would take the room of what tells them apart.
        yield Line(shorten_id(module, width), _DIM)
        rows = [replace(row, test=row.test.removeprefix(f"{module}::")) for row in rows]
        frame = _frame(rows, width)
    if frame:
        yield Line(frame.row(_HEAD[0], _HEAD[1:]), _DIM)
    # A reason that many rows share is said once, beneath the last of them.
    for _, group in groupby(zip(judgements, rows, strict=True), key=lambda pair: _alike(pair[0])):
        same = list(group)
        for _, row in same:
            yield from [Line(frame.row(row.test, row.others), row.markup)] if frame else _stacked(row, width)
        yield from _reason([judgement for judgement, _ in same], width)


def _one_module(judgements: Sequence[Judgement]) -> str:
    """Return the module of the tests, if all are of one."""
    (module, mark), *others = {judgement.key.test.partition("::")[:2] for judgement in judgements}
    return module if mark and not others else ""


def _alike(judgement: Judgement) -> tuple[str, str]:
    """Return what rows have in common that share a reason; weak ones of a metric do, whatever else was found."""
    return word(judgement), judgement.key.metric if weak(judgement) else judgement.reason


def _cells(judgement: Judgement) -> _Cells:
    comparison = judgement.comparison
    what = "weak" if weak(judgement) else judgement.verdict.upper() if judgement.fails else judgement.verdict
    said = f"{SIGN[judgement.verdict]} {what}"
    figures = (change(comparison.ratio), _brackets(comparison.low, comparison.high)) if comparison else ("", "")
    others = (judgement.key.metric, quantity(judgement, judgement.value), *figures, said)
    return _Cells(judgement.key.label, others, _WEAK if weak(judgement) else _MARKUP[judgement.verdict])


def _brackets(low: float, high: float) -> str:
    """Return the interval as the table shows it: ``[+9.8 +14.6]``, per cent as the head of the column says."""
    if low == high:
        return "exact"
    return f"[{change(low).removesuffix(' %')} {change(high).removesuffix(' %')}]"


@dataclass(frozen=True, slots=True)
class _Frame:
    """How wide the columns are, and what stands between them."""

    room: int
    columns: tuple[int, ...]
    gap: str

    def tells(self, row: _Cells) -> bool:
        """Whether nothing is cut out of the middle of the test's name."""
        return ELLIPSIS not in shorten_id(row.test, self.room) or ELLIPSIS in row.test

    def row(self, test: str, others: Sequence[str]) -> str:
        cells = [pad(shorten_id(test, self.room), self.room)]
        cells += [pad(cell, wide, right=right) for cell, wide, right in zip(others, self.columns, _RIGHT, strict=True)]
        return f" {self.gap.join(cells)}".rstrip()


def _frame(rows: Sequence[_Cells], width: int) -> _Frame | None:
    """Return the columns of a table of at most ``width``, or None where the test's name would be unreadable."""
    others = [row.others for row in rows]
    columns = tuple(max(map(width_of, column)) for column in zip(_HEAD[1:], *others, strict=True))
    wanted = max(len(_HEAD[0]), *(width_of(printable(row.test)) for row in rows))
    for gap, least in ((2, _COMFORTABLE_TEST), (1, _LEAST_TEST)):
        room = width - 1 - sum(columns) - gap * len(columns)
        if room >= min(least, wanted):
            return _Frame(min(room, wanted), columns, " " * gap)
    return None


def _stacked(row: _Cells, width: int) -> Iterator[Line]:
    """Yield the row for a terminal that is too narrow for a table: the test, and its figures beneath."""
    metric, now, difference, bounds, verdict = row.others
    yield Line(shorten_id(row.test, width), row.markup)
    figures = " ".join(part for part in (metric, now, difference, bounds) if part)
    for text in (*wrap(verdict, width, "  "), *wrap(figures, width, "  ")):
        yield Line(text, row.markup)


def _reason(same: Sequence[Judgement], width: int) -> Iterator[Line]:
    first = same[0]
    reason = _sight(same) if weak(first) else "" if first.verdict is Verdict.UNCHANGED else first.reason
    if reason:
        rows = "" if len(same) == 1 else f"all {len(same)}: "
        yield from (Line(text, _DIM) for text in wrap(f"{rows}{reason}", width, "   "))


def _sight(same: Sequence[Judgement]) -> str:
    """Return the smallest change that weak rows of one metric could have seen, and what they should have."""
    comparisons = sorted((j.comparison for j in same if j.comparison), key=lambda c: c.detectable)
    least, most = could_have_seen(comparisons[0]), could_have_seen(comparisons[-1])
    seen = least if least == most else f"{least} to {most}"
    promised = " or ".join(dict.fromkeys(threshold(c) for c in sorted(comparisons, key=lambda c: c.threshold)))
    return f"nothing below {seen} is seen, and the threshold is {promised}"


def _not_judged(run: Run, width: int) -> Iterator[Line]:
    """Yield the rows that are measured and never judged."""
    for row in run.rows:
        metric = METRICS[row.key.metric]
        if metric.assume == "nothing":
            value = format_quantity(min(sample.value for sample in row.samples), metric.unit)
            figures = f"  {metric.name}  {value}  not judged"
            yield Line(
                shorten(f" {shorten_id(row.key.label, max(width - 1 - width_of(figures), 1))}{figures}", width), _DIM
            )


def _remarks(report: GateReport, width: int, verbosity: int) -> Iterator[Line]:
    if blind := _weak_ones(report, verbosity):
        yield from (Line(line) for line in wrap(f"{report.count(Verdict.UNCHANGED)} unchanged, {blind}", width, " "))
    for item in report.skipped:
        for text in wrap(f"not measured: {item.test}: {item.why}", width, " "):
            yield Line(text, {"yellow": True})
    for note in report.notes:
        for text in wrap(f"note: {note}", width, " "):
            yield Line(text)


def _weak_ones(report: GateReport, verbosity: int) -> str:
    """Return how many of the unchanged rows prove little: ``"3 of them weak: 1 latency, 2 tail (-v lists all)"``."""
    blind = [judgement for judgement in worst_first(report) if weak(judgement)]
    if not blind:
        return ""
    counts = Counter(judgement.key.metric for judgement in blind)
    listed = verbosity > 0 or all(map(_tells, blind))
    kinds = ", ".join(f"{count} {metric}" for metric, count in counts.items())
    return f"{len(blind)} of them weak: {kinds}{'' if listed else ' (-v lists all)'}"
