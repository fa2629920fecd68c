"""Which values of a row were accepted, when, by whom and why: git keeps the history of the baselines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_pe_perf import git
from pytest_pe_perf.model import Accept, Environment, Key, Past, Run

from .names import file_name, folder_of

# What was merged is one acceptance. So many commits back at most, which is years of a project that accepts with care.
_MOST = 200
_SECONDS_TO_WAIT = 15.0
# A commit begins with a character that no file of ours holds, and its parts are divided by another.
_COMMIT, _PART = "\x1e", "\x1f"
_LOG = (
    "-c",
    "core.quotePath=true",
    "log",
    "--first-parent",
    "-m",
    "--no-renames",
    "--patch",
    "--unified=0",
    "--reverse",
)
_FORMAT = f"--format={_COMMIT}%H{_PART}%cI{_PART}%an"
# What may change in a row without anything being accepted.
_ASIDE = ("reason", "body", "spread", "source", "made_with")


def with_accepts(past: Past, folder: Path, run: Run) -> Past:
    """Return the history with what was accepted of the run's rows in the baselines in ``folder``.

    Nothing of a run that was compared with another commit: no baseline has a say in that.

    Raises:
        BaselineError: the run's environment is no name of a folder.

    """
    if "against" in run.context:
        return past
    return replace(past, accepts=accepts_of(folder, run.environment, [row.key for row in run.rows]))


def accepts_of(folder: Path, environment: Environment, keys: Iterable[Key]) -> dict[Key, tuple[Accept, ...]]:
    """Return what was accepted of each row in the baselines in ``folder``, the oldest first, as far as it is committed.

    Git is asked once for all. Where it cannot tell, nothing is known of any row.

    Raises:
        BaselineError: the environment's slug is no name of a folder.

    """
    place = folder_of(folder, environment)
    wanted = {(file_name(key.test.partition("::")[0]), *_name(key)): key for key in keys}
    if not (wanted and place.is_dir()):
        return {}
    try:
        said = git.run(place, *_LOG, f"--max-count={_MOST}", _FORMAT, "--", ".", seconds=_SECONDS_TO_WAIT)
    except git.GitError:
        return {}
    found: dict[Key, list[Accept]] = {}
    standing: dict[Key, dict[str, Any]] = {}
    for name, accept, row in _rows(said.decode("utf-8", "replace")):
        key = wanted.get(name)
        essence = {part: value for part, value in row.items() if part not in _ASIDE}
        if key is not None and standing.get(key) != essence:
            standing[key] = essence
            found.setdefault(key, []).append(accept)
    return {key: tuple(accepts) for key, accepts in found.items()}


def _name(key: Key) -> tuple[str, str, str]:
    return key.test.partition("::")[2], key.name, key.metric


def _rows(log: str) -> Iterator[tuple[tuple[str, str, str, str], Accept, dict[str, Any]]]:
    """Yield each row that a commit wrote: where it stands, what was accepted, and all of it."""
    for commit in log.split(_COMMIT)[1:]:
        head, *lines = commit.split("\n")
        number, when, who = head.split(_PART)
        file = ""
        for line in lines:
            if line.startswith("+++ "):
                file = line.rstrip('"').rpartition("/")[2]
            elif line.startswith("+") and (row := _row(line[1:])):
                name = (file, str(row["test"]), str(row.get("name", "")), str(row["metric"]))
                anchor = row.get("anchor")
                yield (
                    name,
                    Accept(
                        number, when, who, float(row["value"]), anchor and float(anchor), str(row.get("reason", ""))
                    ),
                    row,
                )


def _row(line: str) -> dict[str, Any] | None:
    """Return the row that stands on a line, if one does."""
    try:
        row = json.loads(line.strip().removesuffix(","))
    except (ValueError, RecursionError):
        return None
    numbers = isinstance(row, dict) and [row.get("value"), row.get("anchor", 0.0)]
    there = isinstance(row, dict) and row.keys() >= {"test", "metric", "value"}
    return row if numbers and there and all(isinstance(each, int | float) for each in numbers) else None
