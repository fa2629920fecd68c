"""``pe-perf history``: earlier runs, their trends, and where they changed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pytest_pe_perf.history.interface import HistoryStore
    from pytest_pe_perf.history.record import Record
    from pytest_pe_perf.model import Key
    from pytest_pe_perf.report.trend import Found

NOTHING_THERE = 3
_AGE = re.compile(r"(\d{1,5})\s*(d|days?|w|weeks?|h|hours?)")
_HOURS = {"h": 1, "d": 24, "w": 24 * 7}
_LAST = click.IntRange(1, 1_000_000)
# So many trends are in memory at a time.
_AT_ONCE = 100


@click.group(
    invoke_without_command=True,
    epilog="Example: pe-perf history --changes; pe-perf history show tests/perf/test_parser.py::test_parse",
)
@click.option("--changes", is_flag=True, help="Show where tests changed their level, instead of the runs.")
@click.option("--last", type=_LAST, help="So many runs of each environment; by default 20, and 500 with --changes.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON and nothing else.")
@click.pass_context
def history(context: click.Context, changes: bool, last: int | None, as_json: bool) -> None:
    """Show earlier runs, and what became of tests over time.

    Which history that is says the setting `history`: a file, a PostgreSQL database, or a branch of git. Changes of times
    are searched at one speed of the machine, where every run says how fast that was.

    Exit status: 0 shown, 2 usage or a history that cannot be read, 3 there is nothing to show. A change of level is a
    finding and fails nothing: the exit status is 0 with it and without.
    """
    if context.invoked_subcommand is not None:
        if changes or as_json or last:
            raise click.UsageError(f"options of {context.invoked_subcommand} stand after it")
        return
    if changes:
        _show_changes(last or 500, as_json)
    else:
        _show_runs(last or 20, as_json)


@history.command(epilog="Example: pe-perf history show tests/perf/test_parser.py --metric latency")
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("--metric", help="Only this metric.")
@click.option("--last", type=_LAST, default=500, show_default=True, help="So many runs.")
@click.option("--json", "as_json", is_flag=True, help="Print the points as JSON and nothing else.")
def show(patterns: Sequence[str], metric: str | None, last: int, as_json: bool) -> None:
    """Show the trend of tests, each as one line of bars.

    A PATTERN is a node id, the beginning of one (a folder, a file, a test) or a glob.
    """
    from pytest_pe_perf.history.renames import families
    from pytest_pe_perf.report.screen import shorten_id
    from pytest_pe_perf.report.trend import WIDTH, trend_lines

    with opened() as store:
        found = list(_trends(store, patterns, metric, last))
        names = families(store.renames())
    earlier = {today: list(before) for today, (_, *before) in names.items()}
    if as_json:
        _print_json([_as_json(environment, one, earlier.get(one.key.test, [])) for environment, one in found])
    else:
        plain = not _can_show("▁█")
        for environment, one in found:
            for line in trend_lines(environment, one, plain=plain):
                click.echo(line)
            for name in earlier.get(one.key.test, []):
                click.echo(f"  earlier: {shorten_id(name, WIDTH - 11)}")
    _leave_if_empty(found, as_json=as_json)


@history.command(epilog="Example: pe-perf history export --format csv --output history.csv")
@click.option("--format", "name", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; by default it is printed.")
def export(name: str, output: Path | None) -> None:
    """Write every value of every run, one a line, in base units: seconds, bytes, counts."""
    from pytest_pe_perf.history.convert.tables import csv_lines, json_lines

    with opened() as store:
        records = (store.record(run) for run in store.runs())
        write(json_lines(records) if name == "json" else csv_lines(records), output)


@history.command(epilog="Example: pe-perf history prune --keep 1000 --older-than 400d --dry-run")
@click.option("--keep", type=click.IntRange(1), help="Let go what is beyond so many runs of an environment.")
@click.option("--older-than", "older", metavar="AGE", help="Let go what is older, for example 90d, 52w or 12h.")
@click.option("--dry-run", is_flag=True, help="Say how many runs would go, and remove none.")
def prune(keep: int | None, older: str | None, dry_run: bool) -> None:
    """Remove old runs. With both options a run goes that either of them lets go."""
    from datetime import UTC, datetime

    from pytest_pe_perf.history.record import outdated

    if keep is None and older is None:
        raise click.UsageError("say what may go: --keep N, --older-than AGE, or both")
    age = _age(older) if older is not None else None
    with opened() as store:
        runs = store.runs()
        gone = outdated(runs, keep, age, datetime.now(UTC))
        if gone and not dry_run:
            store.remove(gone)
    would = "would be " if dry_run else ""
    click.echo(f"{len(gone)} of {_count(len(runs), 'run')} {would}removed")


@history.command(epilog="Example: pe-perf history rename tests/perf/test_old.py tests/perf/test_new.py")
@click.argument("old")
@click.argument("new")
@click.option("--undo", is_flag=True, help="Take back that OLD was renamed to NEW.")
def rename(old: str, new: str, undo: bool) -> None:
    """Go on with the history of a test under its new name. Runs stay as they were written.

    OLD and NEW are node ids, or beginnings of them: a folder, a file, a class, a test without its parameters. Then each
    test goes on whose name is the same from there. A new name must have been measured, and not in a run with the old one.
    """
    from pytest_pe_perf.history.renames import take_back, to_rename, with_renames

    with opened() as store:
        if undo:
            pairs = take_back(store.renames(), old, new)
            store.rename(lambda names: {test: later for test, later in names.items() if test not in pairs})
        else:
            pairs, until = to_rename(store, old, new), store.runs()[-1].started
            store.rename(lambda names: with_renames(names, pairs, until))
    for before, after in pairs.items():
        click.echo(f"{before} is another test than {after}" if undo else f"{before} goes on as {after}")


@history.command(epilog="Example: pe-perf history adopt")
def adopt() -> None:
    """Make the history this project's: after the project got a new name."""
    from pytest_pe_perf.history.store import project_of

    root = _root()
    project = project_of(root)
    if not project:
        raise click.UsageError("this project has no name: set [project] name in pyproject.toml")
    with opened(named=False) as store:
        before = store.project()
        store.claim(project, anew=True)
    click.echo(
        f"the history is that of {project!r}" + (f"; it was {before!r}'s" if before not in ("", project) else "")
    )


# --- what the verbs have in common --------------------------------------------------------------------------------


@contextmanager
def opened(*, named: bool = True) -> Iterator[HistoryStore]:
    """Open the project's history; ``named``: it has to be this project's."""
    from pytest_pe_perf.config import load_settings
    from pytest_pe_perf.history.store import open_history, project_of

    root = _root()
    with open_history(load_settings(root).history, root, project_of(root) if named else "") as store:
        yield store


def write(lines: Iterable[str], output: Path | None) -> None:
    """Print pieces of text, or write them to a file."""
    if output is None:
        for line in lines:
            # Bytes: what another program reads must not depend on the terminal.
            click.echo(line.encode(), nl=False)
        return
    from pytest_pe_perf.files import write_atomically

    write_atomically(output, "".join(lines).encode())
    click.echo(f"wrote {output}")


def _root() -> Path:
    from .project import RUN_FILE, find_root

    return find_root(Path.cwd(), RUN_FILE)


def _age(text: str) -> timedelta:
    if found := _AGE.fullmatch(text.strip()):
        return timedelta(hours=int(found[1]) * _HOURS[found[2][0]])
    raise click.UsageError(f"{text!r} is no age: write for example 90d, 52w or 12h")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _print_json(content: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=1))


def _leave_if_empty(found: Sequence[object], *, as_json: bool) -> None:
    if found:
        return
    if not as_json:
        click.echo("The history holds no run yet: make one with pytest --pe-perf.")
    sys.exit(NOTHING_THERE)


# --- runs ---------------------------------------------------------------------------------------------------------


def _show_runs(last: int, as_json: bool) -> None:
    from pytest_pe_perf.history.store import waiting
    from pytest_pe_perf.report.trend import run_line

    with opened() as store:
        runs = store.runs()
        environments = sorted({run.environment for run in runs})
        found: dict[str, list[Record]] = {}
        for environment in environments:
            newest = [run for run in runs if run.environment == environment][-last:]
            found[environment] = [store.record(run) for run in newest]
    unsent = len(waiting(_root()))
    if as_json:
        listed = [_run_as_json(record) for records in found.values() for record in records]
        _print_json({"runs": listed, "all": len(runs), "unsent": unsent})
    else:
        for environment, records in found.items():
            click.echo(environment)
            for record in records:
                verdicts = [value.verdict for value in record.values]
                click.echo("  " + run_line(record.about.started, record.about.context, verdicts))
        if unsent:
            click.echo(f"not sent yet: {_count(unsent, 'run')}; the next pytest --pe-perf sends all that wait")
    _leave_if_empty(runs, as_json=as_json)


def _run_as_json(record: Record) -> dict[str, object]:
    from collections import Counter

    about = record.about
    counts = Counter(value.verdict for value in record.values)
    facts = {"started": about.started, "environment": about.environment, "context": dict(about.context)}
    return {"digest": about.digest, **facts, "verdicts": dict(counts)}


# --- trends and changes -------------------------------------------------------------------------------------------


def _trends(store: HistoryStore, patterns: Sequence[str], metric: str | None, last: int) -> Iterator[tuple[str, Found]]:
    """Yield each environment and row that the patterns name, with its points."""
    from pytest_pe_perf.report.trend import Found

    for environment, keys in _series(store, patterns, metric).items():
        for first in range(0, len(keys), _AT_ONCE):
            for key, points in store.trends(environment, keys[first : first + _AT_ONCE], last).items():
                if points:
                    yield environment, Found(key, points)


def _series(store: HistoryStore, patterns: Sequence[str], metric: str | None) -> dict[str, list[Key]]:
    from pytest_pe_perf.errors import UsageError
    from pytest_pe_perf.history.renames import families
    from pytest_pe_perf.judge.patterns import matches

    found: dict[str, list[Key]] = {}
    used: set[str] = set()
    names = families(store.renames())
    for environment, key in store.series():
        called = names.get(key.test, (key.test,))
        naming = [pattern for pattern in patterns if any(matches(pattern, name) for name in called)]
        used.update(naming)
        if (naming or not patterns) and metric in (None, key.metric):
            found.setdefault(environment, []).append(key)
    for pattern in patterns:
        if pattern not in used:
            raise UsageError(f"{pattern!r} names no test of the history; patterns are node ids, beginnings, or globs")
    return found


def _as_json(environment: str, found: Found, earlier: Sequence[str]) -> dict[str, object]:
    return {"environment": environment, "key": found.key, "earlier_names": earlier, "points": found.points}


def _show_changes(last: int, as_json: bool) -> None:
    with opened() as store:
        runs = len(store.runs())
        found = [(environment, one) for environment, one in _changes(store, last) if one.changes or one.creeps]
    found.sort(key=lambda pair: (max(_places(pair[1])), pair[1].key), reverse=True)
    if as_json:
        _print_json([_changes_as_json(environment, one) for environment, one in found])
    else:
        environments = dict.fromkeys(environment for environment, _ in found)
        for environment in environments:
            if len(environments) > 1:
                click.echo(environment)
            dated = (said for where, one in found if where == environment for said in _in_words(one))
            for _, lines in sorted(dated, reverse=True):
                click.echo(lines)
    if not runs:
        _leave_if_empty((), as_json=as_json)
    if not found and not as_json:
        click.echo("No test changed its level.")


def _changes(store: HistoryStore, last: int) -> Iterator[tuple[str, Found]]:
    """Yield each row with where it changed, in each environment by itself, and apart from what other programs measured.

    So no change is where a row went on elsewhere, and machines that take turns do not hide one. Times are compared at one
    speed of the machine, where it is known of all runs.
    """
    from pytest_pe_perf.history.record import IMPORTED
    from pytest_pe_perf.judge.changepoint import told
    from pytest_pe_perf.report.course import steadied
    from pytest_pe_perf.report.trend import Found

    for environment, one in _trends(store, (), None, last):
        for imported in (True, False):
            points = tuple(point for point in one.points if (point.verdict == IMPORTED) is imported)
            values = steadied([point.value for point in points], [point.reference for point in points])
            yield environment, Found(one.key, points, *told(values))


def _in_words(found: Found) -> Iterator[tuple[str, str]]:
    """Yield when each change of a row was, and the two lines about it."""
    from pytest_pe_perf.report.trend import change_lines

    lines = list(change_lines(found))
    for when, what, where in zip(_places(found), lines[::2], lines[1::2], strict=True):
        yield when, f"{what}\n{where}"


def _places(found: Found) -> list[str]:
    """Return when each change of a row was."""
    changes = [found.points[change.index].started for change in found.changes]
    return changes + [found.points[creep.end - 1].started for creep in found.creeps]


def _changes_as_json(environment: str, found: Found) -> dict[str, object]:
    import msgspec

    def placed(index: int) -> dict[str, str]:
        point = found.points[index]
        return {"started": point.started, "commit": point.commit}

    changes = [{**placed(change.index), **msgspec.to_builtins(change)} for change in found.changes]
    crept = [{**placed(creep.end - 1), **msgspec.to_builtins(creep)} for creep in found.creeps]
    return {"environment": environment, "key": found.key, "changes": changes, "creeps": crept}
