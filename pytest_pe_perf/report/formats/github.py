"""Commands that GitHub makes annotations of, at the line of each test that got worse.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_pe_perf.model import GateReport, Judgement, Key, Run
from pytest_pe_perf.report.cause import causes_of
from pytest_pe_perf.report.screen import printable, shorten
from pytest_pe_perf.report.terminal import failure
from pytest_pe_perf.report.wording import Commits, commits_of, result, worst_first

from .place import place_of

# GitHub shows so many of a step, and drops what is beyond.
MOST = 10
_LONGEST_TITLE = 120
# Bytes of a message that people still read; GitHub cuts it at 64 kB.
_LONGEST_MESSAGE = 4000


def render(run: Run, report: GateReport, folder: str = "") -> str:
    """Return the commands, the worst test first. Where there are too many the last one says how many more failed.

    A report without a failure has none, or one if there is something that the gate could not tell.
    """
    return "".join(f"{line}\n" for line in _commands(run, report, folder))


def _commands(run: Run, report: GateReport, folder: str) -> Iterator[str]:
    commits = commits_of(run.context)
    tests: dict[str, list[Judgement]] = {}
    for judgement in worst_first(report):
        if judgement.fails:
            tests.setdefault(judgement.key.test, []).append(judgement)
    outcome = result(report, commits)
    if not tests:
        if outcome.level == "unsure":
            yield _command("warning", {"title": "pe-perf"}, outcome.sentence)
        return
    shown = list(tests.values())[: MOST if len(tests) <= MOST else MOST - 1]
    for rows in shown:
        yield _failed(rows, commits, causes_of(rows, run.profiles), folder)
    if more := len(tests) - len(shown):
        told = f"and {more} more tests that failed; {outcome.sentence}"
        yield _command("error", {"title": "pe-perf"}, told)


def _failed(rows: list[Judgement], commits: Commits | None, causes: Mapping[Key, str], folder: str) -> str:
    worst = rows[0]
    place = place_of(worst, folder)
    where = {} if place is None else {"file": place.path} | ({"line": str(place.line)} if place.line else {})
    title = f"{worst.verdict}: {shorten(printable(worst.key.test), _LONGEST_TITLE)}"
    message = "\n\n".join(failure(row, commits, causes) for row in rows)
    return _command("error", {**where, "title": title}, message)


def _command(name: str, properties: dict[str, str], message: str) -> str:
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}…"
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name} {given}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
