"""``pe-perf bisect``: find the commit that made a test slower."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_pe_perf.errors import BaseError

from .project import RUN_FILE, find_root
from .pytest_process import last_words, run

if TYPE_CHECKING:
    from pytest_pe_perf.measure.janitor import Workspace
    from pytest_pe_perf.measure.paired.bisect import Answer, Commit, Finding, Step

COULD_NOT_TELL = 3
# What pytest exits with where its command line names nothing (usage error, nothing collected).
_NAMES_NOTHING = (4, 5)
# Whose rows decide where a test has them: its time and its counts. The others scatter too much from commit to commit
# for a search that believes each answer.
_TIMES = ("latency", "import")
_COUNTS = ("peak", "allocations", "retained")
# Accepted means worse, and that a person said why: who asks where it got worse means that commit too.
_WORSE = ("regressed", "accepted")
_NOT_WORSE = ("unchanged", "improved")


@click.command(epilog="Example: pe-perf bisect v1.2..HEAD tests/perf/test_parser.py::test_parse")
@click.argument("revisions", metavar="GOOD..BAD")
@click.argument("nodeid", metavar="NODEID")
@click.option("--time", "duration", metavar="DURATION", help='Time of a latency measurement, for example "4 s".')
@click.option("--first-parent", is_flag=True, help="Follow the branch only, not what was merged into it.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else.")
def bisect(revisions: str, nodeid: str, duration: str | None, first_parent: bool, as_json: bool) -> None:
    """Find the first commit after GOOD, up to BAD, in which the test NODEID got worse.

    Each commit is measured beside GOOD, as a pair; BAD first, because if that is not worse there is nothing to find.
    NODEID is as pytest reports it, from the project's root. Your checkout is left alone.

    Exit status: 0 found, 2 unknown commits or test, 3 could not tell or nothing to find.
    """
    from pytest_pe_perf.measure.janitor import workspace
    from pytest_pe_perf.measure.paired.bisect import find_first_bad, resolve

    if os.name != "posix":
        raise BaseError("commits can be measured side by side on Linux and macOS only")
    root = find_root(Path.cwd(), RUN_FILE)
    _check(nodeid, duration)
    good, bad = resolve(root, revisions)
    options = () if duration is None else ("--pe-perf-time", duration)
    with workspace() as room:
        pairs = Pairs(root, good, nodeid, options, room)

        def tell(step: Step) -> None:
            if not as_json:
                click.echo(_line(step, pairs.seen[step.commit.hash], nodeid))

        found = find_first_bad(root, good, bad, pairs.measure, first_parent=first_parent, told=tell)
    if as_json:
        _print_json(found, pairs.seen, good)
    else:
        _say(found, pairs.seen, good)
    if found.first_bad is None:
        sys.exit(COULD_NOT_TELL)


def _check(nodeid: str, duration: str | None) -> None:
    if not nodeid or nodeid.startswith("-"):
        raise click.BadParameter(f"{nodeid!r} is not a node id of pytest", param_hint="NODEID")
    if duration is not None:
        from pytest_pe_perf.units import parse_seconds

        parse_seconds(duration)


@dataclass(frozen=True, slots=True)
class _Name:
    """Whose number it is, as in model.Key."""

    test: str
    name: str
    metric: str


@dataclass(frozen=True, slots=True)
class _Change:
    """Head over base, as in model.Comparison; a ratio against zero is null in a run file."""

    ratio: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a run file says of a row; only what is needed here, so that it may grow."""

    key: _Name
    verdict: str
    reason: str
    comparison: _Change | None = None


@dataclass(frozen=True, slots=True)
class _Judgements:
    judgements: tuple[_Judged, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a pair said of a commit: the row that decided, and what is to be said of it, or why there is none."""

    answer: Answer
    row: _Judged | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Measures commits beside ``good``, each by a pytest of its own in ``room``, and remembers what was seen."""

    root: Path
    good: str
    nodeid: str
    options: tuple[str, ...]
    room: Workspace
    seen: dict[str, Measured] = field(default_factory=dict)

    def measure(self, commit: str) -> Answer:
        """Return whether the test is worse in ``commit`` than in the good one.

        Raises:
            BaseError: the node id names no test.

        """
        run_file, log = self.room.path / "run.json", self.room.path / "log.txt"
        run_file.unlink(missing_ok=True)
        status = run(self._command(commit, run_file), self.root, log, self.room)
        # In a later step a test that is not there is one that cannot be measured.
        if status in _NAMES_NOTHING and not self.seen and not run_file.exists():
            raise BaseError(f"pytest cannot run {self.nodeid!r}: {last_words(log)}")
        self.seen[commit] = measured = decide(run_file, self.nodeid) or Measured(
            "skip", why=f"pytest measured nothing (exit status {status}): {last_words(log)}"
        )
        return measured.answer

    def _command(self, commit: str, run_file: Path) -> list[str]:
        sides = ["--pe-perf-against", self.good, "--pe-perf-head", commit]
        # What pytest and we write of a session goes to the room; the user's own files are of the user's own sessions.
        files = ["--pe-perf-json", str(run_file), "--pe-perf-report", str(run_file.with_name("report.html"))]
        files += ["-o", f"cache_dir={run_file.with_name('cache')}"]
        return [sys.executable, "-m", "pytest", "--pe-perf", *sides, *files, *self.options, "-q", self.nodeid]


def decide(run_file: Path, nodeid: str) -> Measured | None:
    """Return what the run file says of the test, or nothing where it says nothing.

    One time or count that got worse makes the commit bad; else it is good if all times are as good as before. All
    counts must be where the test has no times, and all rows where it has neither.
    """
    import msgspec

    try:
        judged = msgspec.json.decode(run_file.read_bytes(), type=_Judgements).judgements
    except (OSError, msgspec.DecodeError):
        return None
    rows = [row for row in judged if _is_of(row.key.test, nodeid)]
    if not rows:
        return None
    times = [row for row in rows if row.key.metric in _TIMES]
    counts = [row for row in rows if row.key.metric in _COUNTS]
    decisive = [*times, *counts] or rows
    if worse := [row for row in decisive if row.verdict in _WORSE]:
        return Measured("bad", max(worse, key=_surely))
    needed = times or decisive
    if unsure := [row for row in needed if row.verdict not in _NOT_WORSE]:
        return Measured("skip", unsure[0], f"{unsure[0].verdict}: {unsure[0].reason}")
    passed_over = sorted({row.key.metric for row in rows if row.verdict in _WORSE})
    why = f"worse is only what cannot be searched for: {', '.join(passed_over)}" if passed_over else ""
    return Measured("good", max(needed, key=_surely), why)


def _is_of(test: str, nodeid: str) -> bool:
    """Whether the test is the one that is meant, one of its parameters, or in the module that is meant."""
    return test == nodeid or test.startswith((f"{nodeid}[", f"{nodeid}::"))


def _surely(row: _Judged) -> float:
    """Return by how much the row is worse at least: a large ratio alone may be noise."""
    change = row.comparison
    # Without a ratio it grew from zero, which is more than any other.
    return 0.0 if change is None else float("inf") if change.low is None else change.low


def _line(step: Step, measured: Measured, nodeid: str) -> str:
    left = f"; about {step.left} {'step' if step.left == 1 else 'steps'} left" if step.left else ""
    return f"{_name(step.commit)}: {measured.answer}, {_seen(measured, nodeid)}{left}"


def _name(commit: Commit) -> str:
    from pytest_pe_perf.report.screen import printable

    return f"{commit.hash[:10]} {printable(commit.subject)}"


def _seen(measured: Measured, nodeid: str = "") -> str:
    """Return the ratio and its interval in words, or why there is none; the test only where several are meant."""
    from pytest_pe_perf.report.screen import printable

    if measured.row is None or measured.row.comparison is None:
        return printable(measured.why or (measured.row.reason if measured.row else ""))
    key = measured.row.key
    of = [key.metric, *([f"[{key.name}]"] if key.name else []), *([f"of {key.test}"] if key.test != nodeid else [])]
    why = f" ({measured.why})" if measured.why else ""
    return printable(f"{' '.join(of)} {_change(measured.row.comparison)}{why}")


def _change(comparison: _Change) -> str:
    from pytest_pe_perf.units import format_change

    ratio, low, high = (
        "from 0" if number is None else format_change(number)
        for number in (comparison.ratio, comparison.low, comparison.high)
    )
    return ratio if low == high else f"{ratio}, 95 % interval {low} to {high}"


def _say(found: Finding, seen: dict[str, Measured], good: str) -> None:
    from pytest_pe_perf.report.screen import printable

    first = found.first_bad
    if found.at_bad == "good":
        click.echo(f"Nothing to find: the last commit is not worse than {good[:10]}.")
    elif found.at_bad == "skip":
        click.echo(f"Could not tell whether the last commit is worse than {good[:10]}; a longer --time may.")
    elif first is None:
        click.echo("Could not tell; the first bad commit is one of these:")
        for commit in found.candidates:
            known = seen.get(commit.hash)
            click.echo(f"  {_name(commit)}{f' ({known.answer})' if known else ''}")
    else:
        click.echo(f"\nThe first bad commit is {first.hash}")
        click.echo(f"  {printable(first.subject)}")
        click.echo(f"  {printable(first.author)}, {first.date}")
        click.echo(f"  {_seen(seen[first.hash])}; against {good[:10]}")
        click.echo(f"Look at it with: git show {first.hash[:10]}")


def _print_json(found: Finding, seen: dict[str, Measured], good: str) -> None:
    import msgspec

    content = {
        "good": good,
        "at_bad": found.at_bad,
        "first_bad": found.first_bad,
        "candidates": found.candidates,
        "measured": [
            {"commit": commit, "answer": measured.answer, "why": measured.why, "row": measured.row}
            for commit, measured in seen.items()
        ],
    }
    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=1))
