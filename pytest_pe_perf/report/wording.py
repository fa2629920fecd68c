"""The words, signs and order in which every reporter shows a verdict."""

from __future__ import annotations

import math
import shlex
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_pe_perf.model import METRICS, Comparison, GateReport, Judgement, Verdict
from pytest_pe_perf.units import format_change, format_quantity

from .screen import printable

# Worst first: what fails, what could not be told, what somebody should look at, what is well.
ORDER = (
    Verdict.REGRESSED,
    Verdict.OVER_BUDGET,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_COMPARABLE,
    Verdict.MISSING,
    Verdict.NEW,
    Verdict.ACCEPTED,
    Verdict.IMPROVED,
    Verdict.UNCHANGED,
)
_RANK = {verdict: rank for rank, verdict in enumerate(ORDER)}
_METRIC_RANK = {metric: rank for rank, metric in enumerate(METRICS)}

# A sign beside every word, so that nothing rests on colour alone.
SIGN = {
    Verdict.REGRESSED: "▲",
    Verdict.OVER_BUDGET: "▲",
    Verdict.INCONCLUSIVE: "◇",
    Verdict.NOT_COMPARABLE: "≠",
    Verdict.MISSING: "∅",
    Verdict.NEW: "+",
    Verdict.ACCEPTED: "△",
    Verdict.IMPROVED: "▼",
    Verdict.UNCHANGED: "=",
}

# What each word says of a row.
MEANING = {
    Verdict.REGRESSED: "worse, confirmed in fresh processes",
    Verdict.OVER_BUDGET: "beyond a limit of its marker, confirmed",
    Verdict.INCONCLUSIVE: "the numbers do not settle it",
    Verdict.NOT_COMPARABLE: "the benchmark changed, or was recorded with another interpreter or tool",
    Verdict.MISSING: "the baseline, or the base, has it and nothing measures it any more",
    Verdict.NEW: "the baseline, or the base, does not have it",
    Verdict.ACCEPTED: "worse, and accepted with a reason",
    Verdict.IMPROVED: "better, confirmed",
    Verdict.UNCHANGED: "no change that would matter",
}

_COMPARED = {Verdict.REGRESSED, Verdict.IMPROVED, Verdict.UNCHANGED, Verdict.ACCEPTED}
_COMPARED_WITH_NUMBERS = {Verdict.INCONCLUSIVE, Verdict.OVER_BUDGET}
# What the option `margin` of a marker can widen.
_WITH_MARGIN = {"latency", "first", "tail", "collector"}
_GOOD = {Verdict.IMPROVED, Verdict.UNCHANGED, Verdict.ACCEPTED}

# What the gate could not tell, or has nothing to hold against.
_LEFT_OPEN = (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE, Verdict.MISSING, Verdict.NEW)

Level = Literal["bad", "unsure", "good"]
SIGN_OF_LEVEL: dict[Level, str] = {"bad": "▲", "unsure": "◇", "good": "✓"}
# So many digits of a commit tell it apart.
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Commits:
    """What was measured side by side. ``ref`` is the user's word for the base; without ``head`` it is the working tree.

    Where a report has none of these, the run was compared with a baseline in git.
    """

    ref: str
    base: str
    head: str = ""

    @property
    def sentence(self) -> str:
        """Head against base: ``"the working tree against 1a2b3c4d5e (main)"``."""
        head = self.head[:_DIGITS] if self.head else "the working tree"
        return f"{head} against {self.base[:_DIGITS]} ({self.ref})"

    @property
    def context(self) -> dict[str, str]:
        """The facts by which a run remembers them."""
        facts = {"against": self.ref, "base": self.base}
        return facts | {"head": self.head} if self.head else facts


def commits_of(context: Mapping[str, str]) -> Commits | None:
    """Return what a run of this context measured side by side."""
    if "against" not in context:
        return None
    return Commits(context["against"], context.get("base", ""), context.get("head", ""))


@dataclass(frozen=True, slots=True)
class Result:
    """A whole report in a few words. ``level`` is its colour: ``good`` only where something was compared.

    ``found`` is what was found, the verdicts first; ``hint`` the command that comes next, if one does. ``doubts`` are
    those of the report, which a terminal shows apart.
    """

    level: Level
    found: tuple[str, ...]
    hint: str
    doubts: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """All of it but the doubts."""
        return (*self.found, self.hint) if self.hint else self.found

    @property
    def sentence(self) -> str:
        """All of it as one sentence."""
        return "; ".join((*self.parts, *(f"could not tell: {doubt}" for doubt in self.doubts)))


def style(verdict: str) -> str:
    """Return the name under which style sheets know a verdict; a history may hold words that we do not."""
    return f"v-{verdict.replace(' ', '-')}" if verdict in ORDER else "v-none"


def worst_first(report: GateReport) -> list[Judgement]:
    """Return the judgements, the most significant first."""
    return sorted(report.judgements, key=lambda j: (_RANK[j.verdict], _blindness(j), -_significance(j), j.key))


def _blindness(judgement: Judgement) -> int:
    """Return a number that puts weak rows before those that saw what they promise, metric by metric."""
    return _METRIC_RANK.get(judgement.key.metric, 0) if weak(judgement) else len(METRICS)


def weak(judgement: Judgement) -> bool:
    """Whether the row is called unchanged by pairs that would not have shown the change that its threshold promises."""
    comparison = judgement.comparison
    return (
        judgement.verdict is Verdict.UNCHANGED
        and comparison is not None
        and comparison.tier == "paired"
        and comparison.detectable > comparison.threshold
    )


def word(judgement: Judgement) -> str:
    """Return the verdict in words: ``"unchanged, weak"``."""
    return f"{judgement.verdict}, weak" if weak(judgement) else judgement.verdict


def left_open(judgement: Judgement) -> bool:
    """Whether the gate said neither that the row is well nor that it is not."""
    return judgement.verdict in _LEFT_OPEN


def statement(judgement: Judgement) -> str:
    """Return what became of a row, in one line: ``"test_a.py::test_b: time per call (latency) regressed: ..."``."""
    return f"{printable(judgement.key.label)}: {_found(judgement)}"


def finding(judgement: Judgement) -> str:
    """Return the same for where the test's name stands already: ``"[parse] time per call (latency) regressed: ..."``."""
    name = f"[{printable(judgement.key.name)}] " if judgement.key.name else ""
    return f"{name}{_found(judgement)}"


def _found(judgement: Judgement) -> str:
    metric = METRICS[judgement.key.metric]
    return f"{metric.title} ({metric.name}) {judgement.verdict}: {printable(judgement.reason)}"


def _significance(judgement: Judgement) -> float:
    """Return by how many thresholds the row is surely worse; a large change is not yet a sure one."""
    comparison = judgement.comparison
    if comparison is None or not comparison.threshold > 0 or math.isnan(comparison.low):
        return 0.0
    return 0.0 if math.isinf(comparison.threshold) else (comparison.low - 1) / comparison.threshold


def quantity(judgement: Judgement, value: float | None) -> str:
    """Return a value of the judgement's metric for people; nothing where there is no value."""
    return "" if value is None else format_quantity(value, METRICS[judgement.key.metric].unit)


def change(ratio: float) -> str:
    """Return a ratio as a signed change; a growth from zero has no percentage."""
    return "from 0" if ratio == math.inf else format_change(ratio)


def interval(comparison: Comparison) -> str:
    """Return the 95 % interval in words: ``"95 % interval +9.8 % to +14.6 %"``; a count has none."""
    exact = comparison.low == comparison.high
    return bounds(comparison) if exact else f"95 % interval {bounds(comparison)}"


def bounds(comparison: Comparison) -> str:
    """Return the ends of the 95 % interval: ``"+9.8 % to +14.6 %"``."""
    if comparison.low == comparison.high:
        return "counted exactly"
    return f"{change(comparison.low)} to {change(comparison.high)}"


def old_to_new(judgement: Judgement, comparison: Comparison) -> str:
    """Return ``"0.75 ms -> 0.84 ms, +12.0 %"``.

    The ratio is not always that of the two numbers shown: against a baseline it is one of times divided by the
    reference workload's, and in pairs it is the median of the pairs' ratios. Where it visibly differs the text says so,
    lest it seem to contradict itself.
    """
    values = f"{quantity(judgement, comparison.base)} -> {quantity(judgement, comparison.head)}"
    plain = comparison.head / comparison.base if comparison.base else comparison.ratio
    # The two are equal where both are infinite, and have no difference.
    if plain == comparison.ratio or abs(plain - comparison.ratio) <= 0.005:
        return f"{values}, {change(comparison.ratio)}"
    if comparison.tier == "paired":
        return f"{values} at the fastest, {change(comparison.ratio)} in the median"
    return f"{values}, {change(comparison.ratio)} at equal machine speed"


def threshold(comparison: Comparison) -> str:
    """Return the change that fails the row: ``"+10.0 %"``."""
    return "any growth from 0" if comparison.threshold == math.inf else change(1 + comparison.threshold)


def could_have_seen(comparison: Comparison) -> str:
    """Return the smallest change that the row would have shown."""
    return "any growth from 0" if comparison.detectable == math.inf else change(1 + comparison.detectable)


def measured_in(comparison: Comparison, commits: Commits | None = None) -> str:
    """Return what the numbers come from: ``"3 processes"``, ``"6 pairs of processes"``, ``"3 processes a side"``."""
    n = comparison.n
    if comparison.tier == "paired":
        return "1 pair of processes" if n == 1 else f"{n} pairs of processes"
    processes = "1 process" if n == 1 else f"{n} processes"
    return f"{processes} a side" if commits else processes


def accept_command(test: str) -> str:
    """Return the command that accepts the test's measured values as its baseline."""
    return f'pe-perf update {shell_quote(test)} --reason "..."'


def how_to_let_pass(judgement: Judgement, commits: Commits | None = None) -> str:
    """Return what can be done about a failing row besides making it good again, where no command does it."""
    if judgement.verdict is Verdict.OVER_BUDGET:
        lifted = "" if commits else "; no update lifts it"
        return f"meet the budget or change it in the marker{lifted}"
    merged = "nothing to update: the next comparison starts from the commit that this is merged into"
    if judgement.key.metric in _WITH_MARGIN:
        return f"{merged}; a wider `margin` in the test's marker, or an accept entry on the base, lets it pass this one"
    return f"{merged}; an accept entry on the base lets it pass this one"


def reproduce_command(test: str, commits: Commits | None = None) -> str:
    """Return the command that measures this one test again."""
    if commits is None:
        return f"pytest {shell_quote(test)} --pe-perf"
    head = f"--pe-perf-head {shell_quote(commits.head)} " if commits.head else ""
    return f"pytest --pe-perf --pe-perf-against {shell_quote(commits.ref)} {head}{shell_quote(test)}"


def profile_command(test: str, commits: Commits | None = None) -> str:
    """Return the command that shows where the time and the memory of this one test go."""
    if commits is None:
        return f"{reproduce_command(test)} --pe-perf-profile"
    return reproduce_command(test, commits).replace("pytest --pe-perf", "pytest --pe-perf --pe-perf-profile", 1)


def shell_quote(text: str) -> str:
    r"""Return ``text`` as one word of a shell, on one line; what cannot be printed is written ``$'\x1b'``."""
    if printable(text) == text:
        return shlex.quote(text)
    return "$'" + "".join(map(_shell_escape, text)) + "'"


def _shell_escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # A byte of a file name that is not UTF-8, as os.fsdecode hides it in a string.
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) == "Cs":
        return "?"
    if printable(character) != character:
        return "".join(f"\\x{byte:02x}" for byte in character.encode())
    return f"\\{character}" if character in "\\'" else character


def result(report: GateReport, commits: Commits | None = None) -> Result:
    """Return the sentence that a reader who reads only one sees."""
    found = (_counts(report), _not_measured(report), sight(report))
    hint = _hint(report) if commits is None else _hint_of_pairs(report)
    return Result(_level(report), tuple(part for part in found if part), hint, report.doubts)


def in_short(report: GateReport) -> str:
    """Return the gist of a report, for a place with room for a few words: ``"2 regressed, 1 over budget"``."""
    level = _level(report)
    if level == "bad":
        return tally(judgement for judgement in report.judgements if judgement.fails)
    if level == "unsure":
        open_ones = tally(judgement for judgement in report.judgements if left_open(judgement))
        return open_ones or _not_measured(report) or ("could not tell" if report.doubts else "nothing measured")
    return tally(j for j in report.judgements if j.verdict is Verdict.ACCEPTED) or "nothing got worse"


def tally(judgements: Iterable[Judgement]) -> str:
    """Return how many rows have which verdict, the worst first: ``"1 inconclusive, 2 new"``."""
    counts = Counter(judgement.verdict for judgement in judgements)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in ORDER if counts[verdict])


def compared(judgement: Judgement) -> bool:
    """Whether the row was held against an accepted value."""
    verdict = judgement.verdict
    return verdict in _COMPARED or (verdict in _COMPARED_WITH_NUMBERS and judgement.comparison is not None)


def _level(report: GateReport) -> Level:
    if any(judgement.fails for judgement in report.judgements):
        return "bad"
    everything_well = all(judgement.verdict in _GOOD for judgement in report.judgements)
    sure = report.judgements and not report.skipped and not report.doubts
    return "good" if sure and everything_well else "unsure"


def _counts(report: GateReport) -> str:
    if not report.judgements:
        return "nothing measured"
    seen = tally(report.judgements)
    if blind := sum(map(weak, report.judgements)):
        seen += f" ({blind} weak)"  # the unchanged ones are the last
    if any(map(compared, report.judgements)):
        return seen
    total = len(report.judgements)
    return f"nothing compared: {seen} {'row' if total == 1 else 'rows'}"


def _not_measured(report: GateReport) -> str:
    if not report.skipped:
        return ""
    return f"{len(report.skipped)} {'test' if len(report.skipped) == 1 else 'tests'} not measured"


def _hint(report: GateReport) -> str:
    if not any(map(compared, report.judgements)):
        acceptable = report.count(Verdict.NEW) + report.count(Verdict.NOT_COMPARABLE)
        return f"accept {'it' if acceptable == 1 else 'them'} with: pe-perf update" if acceptable else ""
    what = ["accept what is new"] if report.count(Verdict.NEW) else []
    if report.count(Verdict.IMPROVED) and not any(judgement.fails for judgement in report.judgements):
        what.append("keep what improved")
    return f"{' and '.join(what)} with: pe-perf update" if what else ""


def _hint_of_pairs(report: GateReport) -> str:
    waiting = report.count(Verdict.NEW) + report.count(Verdict.NOT_COMPARABLE)
    return (
        f"compared with base once merged: the {waiting} {'row' if waiting == 1 else 'rows'} that it does not have"
        if waiting
        else ""
    )


def sight(report: GateReport) -> str:
    """Return what the run could have seen: silence below that proves nothing.

    Other metrics than the latency have thresholds of their own, which are wider: they would blur the number.
    """
    noisy = [
        judgement
        for judgement in report.judgements
        if judgement.comparison is not None and compared(judgement) and METRICS[judgement.key.metric].assume == "noisy"
    ]
    timed = [judgement for judgement in noisy if judgement.key.metric == "latency"] or noisy
    seen = [judgement.comparison.detectable for judgement in timed if judgement.comparison is not None]
    if not seen:
        return ""
    middle, worst = change(1 + statistics.median(seen)), change(1 + max(seen))
    rows = "its one timed row" if len(seen) == 1 else f"median of {len(seen)} timed rows"
    return f"smallest change this run could have seen: {middle} ({rows}{'' if worst == middle else f', worst {worst}'})"
