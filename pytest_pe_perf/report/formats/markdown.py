"""The comment on a pull request, in GitHub's Markdown; the step summary of a job and GitLab's notes take it too.

What stands in a run file is data: whatever is not a plain word is shown as code, in which nothing has a meaning, and
nobody is mentioned. So no test's name can make a link, an image, another cell or another row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from pytest_pe_perf.model import METRICS, Course, GateReport, Judgement, Run, Verdict
from pytest_pe_perf.report.cause import Known, causes_of, hints
from pytest_pe_perf.report.screen import ELLIPSIS, printable, shorten, shorten_id
from pytest_pe_perf.report.wording import (
    SIGN,
    SIGN_OF_LEVEL,
    Commits,
    accept_command,
    bounds,
    commits_of,
    how_to_let_pass,
    left_open,
    old_to_new,
    quantity,
    reproduce_command,
    result,
    tally,
    threshold,
    word,
    worst_first,
)

# Finds the comment again, so that it is edited and not written anew at every push. GitHub shows no comments of HTML.
MARKER = "<!-- pe-perf report -->"
# GitHub takes 65,536 characters. Bytes, shared out so that no part can crowd out another.
LARGEST = 60_000
_ROOM_FOR_FAILED, _ROOM_FOR_CAUSES, _ROOM_FOR_COMMANDS = 24e3, 4e3, 12e3
_ROOM_FOR_OPEN, _ROOM_FOR_BETTER, _ROOM_FOR_NOTES = 9e3, 5e3, 5e3
# Columns: a table of a comment is some 120 characters wide. Ids stand in full with their commands.
_WIDTH_OF_ID, _LONGEST_ID, _LONGEST_TEXT = 44, 200, 300
_LONGEST_COMMAND = 1000
_TESTS_WITH_COMMANDS, _ROWS_WITH_CAUSES = 10, 20

_HEAD = "| | test | metric | change | 95 % interval | threshold | why |\n|---|---|---|---|---|---|---|\n"

_PLAIN = re.compile(r"""(?:[^\W_]|[.,;:%+()/='"→…·-])+""")
# Plain letters that are more than text all the same: an address, an emoji's name, an issue.
_MORE = re.compile(r"www\.|gh-\d|:.", re.IGNORECASE)
# At the beginning of a line these would make a list of it.
_BULLET = re.compile(r"[+=-]+|\d+[.)]")


def render(run: Run, report: GateReport, folder: str = "") -> str:  # noqa: ARG001 - as all formats
    """Return the comment: one line where all is well, else what failed, worst first, with commands, and the rest folded.

    It is never larger than ``LARGEST`` bytes; what is left out is counted.
    """
    commits = commits_of(run.context)
    outcome = result(report, commits)
    beside = f" ({text(_named(commits, run).sentence)})" if commits else ""
    line = f"{SIGN_OF_LEVEL[outcome.level]} **pe-perf**: {text(outcome.sentence)}{beside}\n"
    if outcome.level == "good":
        return f"{MARKER}\n{line}"
    rows = worst_first(report)
    failed = [judgement for judgement in rows if judgement.fails]
    better = [judgement for judgement in rows if judgement.verdict in (Verdict.ACCEPTED, Verdict.IMPROVED)]
    parts = (
        _table(failed, _ROOM_FOR_FAILED),
        _causes(run, failed, rows, _ROOM_FOR_CAUSES),
        _commands(failed, commits, _ROOM_FOR_COMMANDS),
        _folded_table([judgement for judgement in rows if left_open(judgement)], _ROOM_FOR_OPEN),
        _folded_table(better, _ROOM_FOR_BETTER),
        _remarks(report, _ROOM_FOR_NOTES),
    )
    return "\n".join((f"{MARKER}\n{line}", *filter(None, parts)))


def _named(commits: Commits, run: Run) -> Commits:
    """Return the commits, with the name of the one that the working tree held, if that was all that it held."""
    held = run.context.get("commit", "") if run.context.get("dirty") == "no" else ""
    return replace(commits, head=commits.head or held)


# --- parts --------------------------------------------------------------------------------------------------------


def _table(judgements: Sequence[Judgement], room: float) -> str:
    return f"{_HEAD}{_fit(map(_row, judgements), len(judgements), room, _more_rows)}" if judgements else ""


def _folded_table(judgements: Sequence[Judgement], room: float) -> str:
    return _folded(tally(judgements), _table(judgements, room)) if judgements else ""


def _causes(run: Run, failed: Sequence[Judgement], rows: Sequence[Judgement], room: float) -> str:
    """Return where to look: the functions that profiles name, or beside a time what was counted and grew as well."""
    shown = failed[:_ROWS_WITH_CAUSES]
    named = causes_of(shown, (profile for profile in run.profiles if profile.stacks))
    tests = {key.test for key in named}
    found = []
    for judgement in shown:
        if judgement.key in named:
            words = [named[judgement.key]]
        elif judgement.key.test not in tests and METRICS[judgement.key.metric].assume == "noisy":
            others = [row for row in rows if row.key.test == judgement.key.test]
            words = [hint.text for hint in hints(judgement, Known(others, (), Course(), ()), "")]
        else:
            words = []
        row = f"{code(_short(judgement.key.label, _LONGEST_ID))} {judgement.key.metric}"
        found += [f"- {row}: {text(_short(word, _LONGEST_TEXT))}\n" for word in words]
    return f"Where to look:\n\n{_fit(found, len(found), room, _more_notes)}" if found else ""


def _worst_of_tests(judgements: Iterable[Judgement]) -> list[Judgement]:
    worst: dict[str, Judgement] = {}
    for judgement in judgements:
        worst.setdefault(judgement.key.test, judgement)
    return list(worst.values())


def _commands(failed: Sequence[Judgement], commits: Commits | None, room: float) -> str:
    """Return how to measure each failed test again, and how to accept what it measures."""
    worst = _worst_of_tests(failed)
    if not worst:
        return ""
    shown = (_what_to_do(judgement, commits) for judgement in worst[:_TESTS_WITH_COMMANDS])
    return _folded("measure again, or let it pass", _fit(shown, len(worst), room, _more_tests))


def _what_to_do(judgement: Judgement, commits: Commits | None) -> str:
    test = judgement.key.test
    again = f"{code(_short(test, _LONGEST_ID))}: measure it again\n\n{_block(reproduce_command(test, commits))}"
    if commits is None and judgement.verdict is not Verdict.OVER_BUDGET:
        return f"{again}\nor accept what it measures\n\n{_block(accept_command(test))}\n"
    return f"{again}\n{text(how_to_let_pass(judgement, commits))}\n\n"


def _remarks(report: GateReport, room: float) -> str:
    said = [
        f"not measured: {code(_short(item.test, _LONGEST_ID))}: {text(_short(item.why, _LONGEST_TEXT))}"
        for item in report.skipped
    ]
    said += [text(_short(note, 2 * _LONGEST_TEXT)) for note in report.notes]
    if not said:
        return ""
    lines = (f"- {remark}\n" for remark in said)
    title = "1 note" if len(said) == 1 else f"{len(said)} notes"
    return _folded(title, _fit(lines, len(said), room, _more_notes))


def _row(judgement: Judgement) -> str:
    comparison = judgement.comparison
    change = (
        old_to_new(judgement, comparison).replace("->", "→") if comparison else quantity(judgement, judgement.value)
    )
    cells = (
        f"{SIGN[judgement.verdict]}\N{NO-BREAK SPACE}{word(judgement)}",
        code(_short(shorten_id(judgement.key.label, _WIDTH_OF_ID), _WIDTH_OF_ID), in_table=True),
        judgement.key.metric,
        _unbroken(change),
        _unbroken(bounds(comparison)) if comparison else "",
        _unbroken(threshold(comparison)) if comparison else "",
        text(_short(judgement.reason, _LONGEST_TEXT), in_table=True),
    )
    return f"| {' | '.join(cells)} |\n"


def _fit(pieces: Iterable[str], count: int, room: float, more: Callable[[int], str]) -> str:
    """Return as many of ``count`` pieces as there is room for, in bytes, and how many are left out."""
    shown = []
    for piece in pieces:
        room -= len(piece.encode())
        if room < 0:
            break
        shown.append(piece)
    left = count - len(shown)
    return "".join([*shown, more(left)]) if left else "".join(shown)


def _more_rows(left: int) -> str:
    return f"\nand {left} more\n"


def _more_tests(left: int) -> str:
    return f"and {left} more {'test' if left == 1 else 'tests'}\n"


def _more_notes(left: int) -> str:
    return f"- and {left} more\n"


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n</details>\n"


# --- text that means nothing but itself ---------------------------------------------------------------------------


def text(words: str, *, in_table: bool = False) -> str:
    """Return running text on one line; what is not a plain word stands as code."""
    shown = []
    for number, plain, group in _runs(printable(words).split()):
        joined = " ".join(group)
        shown.append(
            joined if plain and not (number == 0 and _BULLET.fullmatch(group[0])) else code(joined, in_table=in_table)
        )
    return " ".join(shown)


def _runs(words: Sequence[str]) -> Iterator[tuple[int, bool, list[str]]]:
    """Yield the words, those side by side that are plain, or are not, together."""
    group: list[str] = []
    start, plain = 0, True
    for number, one in enumerate(words):
        kind = _is_plain(one)
        if group and kind is not plain:
            yield start, plain, group
            group, start = [], number
        group.append(one)
        plain = kind
    if group:
        yield start, plain, group


def _is_plain(one: str) -> bool:
    return bool(_PLAIN.fullmatch(one)) and not _MORE.search(one)


def code(words: str, *, in_table: bool = False) -> str:
    r"""Return ``words`` as code on one line; a backslash before a bar is spelled ``\x7c``, for renderers differ there."""
    words = printable(words)
    if in_table:
        words = words.replace("\\|", "\\\\x7c").replace("|", "\\|")
    fence = "`" * (_longest_run(words) + 1)
    # One blank at each end is taken off again.
    apart = " " if words[:1] in ("`", " ") or words[-1:] in ("`", " ") else ""
    return f"{fence}{apart}{words}{apart}{fence}" if words.strip() else ""


def _block(command: str) -> str:
    """Return a command to be copied, in a block of its own."""
    if len(command) > _LONGEST_COMMAND:
        return "(the command is too long to stand here; the report has it)\n"
    fence = "`" * max(_longest_run(command) + 1, 3)
    return f"{fence}sh\n{command}\n{fence}\n"


def _unbroken(numbers: str) -> str:
    """Return ``numbers`` with their units tied to them: a column is narrow."""
    return re.sub(r"(?<=\d) (?=\S)", "\N{NO-BREAK SPACE}", numbers)


def _longest_run(words: str) -> int:
    return max(map(len, re.findall("`+", words)), default=0)


def _short(words: str, width: int) -> str:
    """Return ``words`` in at most ``width`` columns; marks that take no column are not endless either."""
    shown = shorten(printable(words), width)
    return shown if len(shown) <= 2 * width else f"{shown[: 2 * width]}{ELLIPSIS}"
