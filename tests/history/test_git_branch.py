from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.history.git_branch import MARK
from pytest_pe_perf.history.record import Record, Value, make_record
from pytest_pe_perf.history.store import open_history
from pytest_pe_perf.model import Key

WHERE = "git:perf-data"
REF = "refs/heads/perf-data"
A = Key("tests/test_x.py::test_a", "", "latency")
Git = Callable[..., str]


def record(day: int, value: float = 1.0) -> Record:
    return make_record(f"2026-01-{day:02}", "here", {"commit": "5f1d"}, [Value(A, value, verdict="new")])


def add(folder: Path, *days: int, project: str = "") -> None:
    with open_history(WHERE, folder, project) as history:
        history.add(map(record, days))


def days(folder: Path) -> list[int]:
    with open_history(WHERE, folder) as history:
        return [int(run.started[8:10]) for run in history.runs()]


def refused(folder: Path, where: str = WHERE) -> str:
    with pytest.raises(HistoryError) as caught, open_history(where, folder):
        pass
    assert where in str(caught.value)
    return str(caught.value)


@pytest.fixture
def clone(repository: Path, git: Git) -> Path:
    """Return a clone of a repository whose branch holds the runs of the first two days."""
    add(repository, 1, 2)
    git(repository, "clone", "-q", str(repository), "../clone")
    return repository.parent / "clone"


def test_nothing_of_the_user_is_touched(repository: Path, git: Git) -> None:
    """Checkout, index, branch and stash stay as they are; the new branch has no commit in common with the code."""
    (repository / "staged.py").write_text("three = 3\n")
    git(repository, "add", "staged.py")
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    before = [git(repository, *question) for question in (("status", "--porcelain"), ("rev-parse", "HEAD"))]
    index = (repository / ".git/index").read_bytes()
    add(repository, 1)
    assert [git(repository, *question) for question in (("status", "--porcelain"), ("rev-parse", "HEAD"))] == before
    assert (repository / ".git/index").read_bytes() == index
    assert git(repository, "rev-list", "--count", REF) == "1"
    assert git(repository, "symbolic-ref", "HEAD") == "refs/heads/main"


def test_a_run_is_a_file_of_json_lines(repository: Path, git: Git) -> None:
    """Plain git shows the branch: a mark, and a file for each run, a line about it and one for each value."""
    add(repository, 1, 2, project="ours")
    mark, *files = git(repository, "ls-tree", "-r", "--name-only", REF).splitlines()
    assert json.loads(git(repository, "show", f"{REF}:{mark}")) == {"format": 1, "project": "ours"}
    assert [name[:-26] for name in files] == [f"runs/2026/01/2026010{day}T000000.000000Z-" for day in (1, 2)]
    about, value = map(json.loads, git(repository, "show", f"{REF}:{files[0]}").splitlines())
    assert (about["environment"], about["context"]) == ("here", {"commit": "5f1d"})
    assert (value["test"], value["metric"], value["value"], value["reference"]) == (A.test, "latency", 1.0, None)


def test_who_only_looks_makes_no_branch(repository: Path, git: Git) -> None:
    """A history that was opened and read leaves no ref behind."""
    assert days(repository) == []
    assert git(repository, "for-each-ref", REF) == ""


def test_a_branch_below_the_name(repository: Path, git: Git) -> None:
    """A branch whose name only begins like that of the history is not taken for it."""
    git(repository, "update-ref", f"{REF}/work", "main")
    assert days(repository) == []


def test_what_was_fetched_is_there(clone: Path, repository: Path, git: Git) -> None:
    """A clone sees the runs of the remote's branch, and after a fetch those that were added meanwhile."""
    assert days(clone) == [1, 2]
    add(repository, 3)
    git(clone, "fetch", "-q")
    assert days(clone) == [1, 2, 3]
    assert git(clone, "rev-parse", REF) == git(repository, "rev-parse", REF)


def test_two_clones_never_conflict(clone: Path, repository: Path, git: Git) -> None:
    """Runs that were added on both sides are joined, runs that one side removed stay away, and the push is taken."""
    add(clone, 4)
    with open_history(WHERE, repository) as history:
        history.remove([record(1).about])
        history.add([record(3)])
    git(clone, "fetch", "-q")
    assert days(clone) == [2, 3, 4]
    git(clone, "push", "-q", "origin", "perf-data")
    assert days(repository) == [2, 3, 4]


def test_histories_that_began_apart(clone: Path, repository: Path, git: Git) -> None:
    """Two branches of one name without a commit in common are joined, if they are of one project."""
    git(repository, "update-ref", "-d", REF)
    add(repository, 5, project="ours")
    days(clone)
    git(clone, "fetch", "-q", "origin", "+perf-data:refs/remotes/origin/perf-data")
    assert days(clone) == [1, 2, 5]
    with open_history(WHERE, clone) as history:
        history.claim("theirs", anew=True)
    assert "what was fetched is the history of 'ours' and not of 'theirs'" in refused(clone)


def test_somebodys_work_is_never_written_to(repository: Path, git: Git) -> None:
    """A branch that is no history is refused, here or as it was fetched."""
    head = git(repository, "rev-parse", "main")
    assert f"the branch is no history: it has no {MARK}" in refused(repository, "git:main")
    git(repository, "update-ref", "refs/remotes/origin/perf-data", head)
    assert f"it has no {MARK}" in refused(repository)
    assert git(repository, "rev-parse", "main") == head


def commit_file(git: Git, folder: Path, name: str, content: str) -> None:
    """Commit a file to the branch as a person would, in a work tree of its own."""
    tree = folder.parent / f"tree-{time.monotonic_ns()}"
    git(folder, "worktree", "add", "-q", str(tree), "perf-data")
    (tree / name).write_text(content)
    git(tree, "add", name)
    git(tree, "commit", "-qm", "By hand")
    shutil.rmtree(tree)
    git(folder, "worktree", "prune")


def test_files_of_others_are_left_alone(repository: Path, git: Git) -> None:
    """A README on the branch stays where it is."""
    add(repository, 1)
    commit_file(git, repository, "README.md", "Our numbers\n")
    add(repository, 2)
    assert days(repository) == [1, 2]
    assert git(repository, "show", f"{REF}:README.md") == "Our numbers"


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda text: text[: len(text) // 2], "is not a run of a history"),
        (lambda text: text.replace('"value":1.0', '"value":2.0'), "it was edited"),
        (lambda text: text.replace('"format":1', '"format":9'), "format 9 is newer than the 1"),
        (lambda text: "<<<<<<< HEAD\n" + text, "is not a run of a history"),
    ],
)
def test_a_file_that_is_not_what_was_written(repository: Path, git: Git, change, seen: str) -> None:
    """A run that is damaged, edited or newer is named, whatever the index holds is left out of the matter."""
    add(repository, 1)
    (name,) = git(repository, "ls-tree", "-r", "--name-only", REF, "runs").splitlines()
    text = git(repository, "show", f"{REF}:{name}")
    commit_file(git, repository, name, change(f"{text}\n"))
    shutil.rmtree(repository / ".git/pe-perf")
    message = refused(repository)
    assert seen in message
    assert name in message


@pytest.mark.parametrize(
    ("mark", "seen"), [('{"format": 9}', "format 9 is newer"), ("{", "cannot be read"), ("[]", "cannot be read")]
)
def test_a_mark_that_is_newer_or_damaged(repository: Path, git: Git, mark: str, seen: str) -> None:
    """A branch of a newer version asks for an upgrade, and nothing is read from it or written to it."""
    add(repository, 1)
    commit_file(git, repository, MARK, mark)
    assert seen in refused(repository)


def test_the_index_may_be_deleted(repository: Path) -> None:
    """What the branch holds is found without the index, and with one that is behind."""
    add(repository, 1)
    index = repository / ".git/pe-perf/perf-data.sqlite"
    behind = index.read_bytes()
    add(repository, 2)
    for path in index.parent.iterdir():
        path.unlink()
    assert days(repository) == [1, 2]
    for path in index.parent.iterdir():
        path.unlink()
    index.write_bytes(behind)
    assert days(repository) == [1, 2]


@pytest.mark.parametrize("branch", ["", "a..b", "-x", "a b"])
def test_no_name_of_a_branch(repository: Path, branch: str) -> None:
    """A name that git would not take is refused in words."""
    assert "no name of a branch" in refused(repository, f"git:{branch}")


def test_no_repository(tmp_path: Path) -> None:
    """Outside a repository the message is git's."""
    assert "not a git repository" in refused(tmp_path)
