"""What the page's script reads: an overview of all rows, the runs, and the tests in chunks that are opened as needed."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from datetime import datetime

from pytest_pe_perf.judge.changepoint import LevelChange
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.model import METRICS, Course, PastRun, Verdict
from pytest_pe_perf.report.course import moment, spark, starts
from pytest_pe_perf.report.distribution import Distribution, Strip
from pytest_pe_perf.report.flame import Flame
from pytest_pe_perf.report.rounds import Pair
from pytest_pe_perf.report.screen import printable, shorten
from pytest_pe_perf.report.views import Page, RowView, TestView
from pytest_pe_perf.report.wording import ORDER, SIGN, change, style
from pytest_pe_perf.units import format_change

from .pack import fits, json_text, planes, repeated, stretches, text, widths

# A chunk holds so many tests: that of one page is opened in a few milliseconds.
TESTS = 50
# The table shows so much of a reason; the test's own page shows all of it.
_LONGEST_REASON = 120
# A level of a small drawing is a character from this one on; a blank is a gap.
_FIRST_LEVEL = 48

_VERDICTS = list(ORDER)
_METRICS = list(METRICS)
_SIGNS = {verdict.value: sign for verdict, sign in SIGN.items()}


@dataclass(frozen=True, slots=True)
class Chunk:
    """An element of the page: its id and its text."""

    name: str
    text: str


def chunks(page: Page) -> Iterator[Chunk]:
    """Yield everything that the script reads, what it needs first first."""
    yield Chunk("d-overview", json_text(_overview(page)))
    words = sorted({word for course in page.past.courses.values() for word in set(course.verdicts)})
    yield Chunk("d-runs", json_text(_runs(page, words)))
    codes = {word: code for code, word in enumerate(words)}
    began = starts(page.past.runs)
    for number, tests in enumerate(_batches(page.tests)):
        packed = _Packed()
        yield Chunk(f"d-tests-{number}", json_text([_test(test, page, codes, packed, began) for test in tests]))
        yield Chunk(f"d-numbers-{number}", text(packed.data))


def _batches(tests: Sequence[TestView]) -> Iterator[Sequence[TestView]]:
    for start in range(0, len(tests), TESTS):
        yield tests[start : start + TESTS]


class _Packed:
    """The numbers of a chunk: first all low bytes, then all high bytes, then all widths, for they are of a kind."""

    def __init__(self) -> None:
        self.low, self.high, self.widths = bytearray(), bytearray(), bytearray()

    def add(self, course: Course) -> None:
        low, high = planes(course.values)
        self.low += low
        self.high += high
        self.widths += widths(course.lows, course.highs)

    @property
    def data(self) -> bytes:
        return bytes(self.low + self.high + self.widths)


# --- the overview -------------------------------------------------------------------------------------------------


def _overview(page: Page) -> dict[str, object]:
    places = {test.anchor: place for place, test in enumerate(page.tests)}
    return {
        "tests": len(page.tests),
        "chunk": TESTS,
        "anchors": list(places),
        "markers": _markers(page.tests),
        "verdicts": [[verdict, style(verdict), SIGN[verdict]] for verdict in ORDER],
        "metrics": [[metric.name, metric.title, metric.unit] for metric in METRICS.values()],
        "rows": [_line(row, places[row.anchor], page) for row in page.rows],
    }


def _markers(tests: Sequence[TestView]) -> dict[str, list[int]]:
    """Return, by the names of markers, the places of the tests that have them."""
    found: dict[str, list[int]] = {}
    for place, test in enumerate(tests):
        for name in test.markers:
            found.setdefault(name, []).append(place)
    return {name: found[name] for name in sorted(found)}


def _line(row: RowView, place: int, page: Page) -> list[object]:
    comparison, course = row.judgement.comparison, page.past.courses.get(row.key)
    last = row.changes[-1] if row.changes else None
    memory = row.memory
    return [
        place,
        row.short,
        printable(shorten(row.name, 40)),
        _METRICS.index(row.metric),
        _VERDICTS.index(Verdict(row.verdict)),
        int("weak" in row.style),
        _number(row.judgement.value),
        row.now,
        *([_number(n) for n in (comparison.ratio, comparison.low, comparison.high)] if comparison else [None] * 3),
        _number(comparison.threshold) if comparison else None,
        row.change,
        change(memory.comparison.ratio) if memory and memory.comparison else "",
        _VERDICTS.index(memory.verdict) if memory else None,
        _number(memory.comparison.ratio) if memory and memory.comparison else None,
        _drawing(course),
        [last.index, _size(last)] if last else None,
        "" if row.verdict == Verdict.UNCHANGED else shorten(row.reason, _LONGEST_REASON),
    ]


def _drawing(course: Course | None) -> str:
    levels = spark(course.values) if course else ()
    return "".join(" " if level is None else chr(_FIRST_LEVEL + level) for level in levels)


def _size(found: LevelChange) -> str:
    return format_change(found.ratio) if found.ratio is not None else ""


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


# --- runs ---------------------------------------------------------------------------------------------------------


def _runs(page: Page, words: Sequence[str]) -> dict[str, object]:
    environments = list(dict.fromkeys(run.environment for run in page.past.runs))
    return {
        "now": page.now,
        "environments": list(map(printable, environments)),
        "verdicts": [[printable(word), style(word), _SIGNS.get(word, "")] for word in words],
        "runs": [_run(run, environments) for run in page.past.runs],
        "differences": [[one.place, one.name, one.old, one.new] for one in page.differences],
    }


def _run(run: PastRun, environments: Sequence[str]) -> list[object]:
    facts = (run.context.get(name, "") for name in ("commit", "branch"))
    dirty = int(run.context.get("dirty") == "yes")
    return [printable(run.started[:19]), *map(printable, facts), dirty, environments.index(run.environment)]


# --- tests --------------------------------------------------------------------------------------------------------


def _test(
    test: TestView, page: Page, codes: dict[str, int], packed: _Packed, began: Sequence[datetime]
) -> dict[str, object]:
    return {
        "test": test.test,
        "module": printable(module_of(test.test)),
        "rows": [_row(row, page, codes, packed, began) for row in test.rows],
        "unjudged": [[fact.name, fact.value] for fact in test.unjudged],
    }


def _row(
    row: RowView, page: Page, codes: dict[str, int], packed: _Packed, began: Sequence[datetime]
) -> dict[str, object]:
    judgement = row.judgement
    return {
        "name": row.name,
        "metric": row.metric,
        "title": row.title,
        "unit": row.unit,
        "word": row.word,
        "style": row.style,
        "sign": row.sign,
        "headline": row.headline,
        "reason": row.reason,
        "facts": [[fact.name, fact.value] for fact in row.facts],
        "sides": _sides(row.distribution) if row.distribution else None,
        "commands": [[command.label, command.text] for command in row.commands],
        "pass": row.pass_anyway if row.fails else "",
        "accepted": row.accepted,
        "hints": [[hint.text, hint.commit, hint.command] for hint in row.hints],
        "base": _number(judgement.comparison.base) if judgement.comparison else None,
        "word_of_base": row.base_word,
        "limit": _number(row.limit),
        "budget": judgement.budget.limit if judgement.budget else None,
        "changes": None if row.changes is None else [_change(one) for one in row.changes],
        "interval": [
            _number(judgement.comparison.low),
            _number(judgement.comparison.high),
            _number(judgement.comparison.threshold),
        ]
        if judgement.comparison and row.pairs
        else None,
        "pairs": [_pair(pair) for pair in row.pairs],
        "accepts": _accepts(row, page, began),
        "flame": _flame(row.flame) if row.flame else None,
        "course": _course(page.past.courses.get(row.key, Course()), row, codes, packed),
    }


def _flame(flame: Flame) -> dict[str, object]:
    nodes = [list(astuple(node)) for node in flame.nodes]
    return {
        **asdict(replace(flame, nodes=(), lines=())),
        "nodes": nodes,
        "lines": [list(astuple(line)) for line in flame.lines],
    }


def _sides(both: Distribution) -> dict[str, object]:
    # Member by member: ``asdict`` copies each in turn, which is a tenth of the time that a large page takes.
    strips = [{name: getattr(strip, name) for name in Strip.__slots__} for strip in both.strips]
    return {"strips": strips, "left": both.left, "right": both.right, "label": both.label}


def _accepts(row: RowView, page: Page, began: Sequence[datetime]) -> list[list[object]]:
    """Return what was accepted of a row that is held against it: from which run on, and what is known of it."""
    if row.base_word != "accepted":
        return []
    return [
        [
            bisect_left(began, moment(accept.when) or began[0]),
            _number(accept.value),
            accept.anchor and _number(accept.anchor),
            printable(accept.commit),
            printable(accept.when[:10]),
            printable(accept.who),
            printable(accept.reason),
        ]
        for accept in page.past.accepts.get(row.key, ())
    ]


def _pair(pair: Pair) -> list[object]:
    """Return a pair with its ratios as logarithms in hundredths of a per cent."""
    logs = [round(1e4 * math.log(ratio)) for ratio in pair.ratios]
    disturbed = [at for at, used in enumerate(pair.used) if not used]
    return [logs, disturbed, round(1e4 * math.log(pair.middle)), int(pair.again)]


def _change(found: LevelChange) -> list[object]:
    return [found.index, found.before, found.after, _size(found), int(found.settled)]


def _course(course: Course, row: RowView, codes: dict[str, int], packed: _Packed) -> dict[str, object]:
    content: dict[str, object] = {
        "at": stretches(course.places),
        "verdicts": repeated(map(codes.__getitem__, course.verdicts)),
    }
    if METRICS[row.metric].assume == "noisy" and fits(course.values):
        packed.add(course)
        return content | {"packed": len(course.values)}
    bases = [value / low if low else math.nan for value, low in zip(course.values, course.lows, strict=True)]
    # Of a count the change is exact, and so is what it was compared with: that of then, not that of now.
    accepted = {"accepted": repeated(bases)} if METRICS[row.metric].assume == "exact" else {}
    return content | {"values": repeated(course.values)} | accepted
