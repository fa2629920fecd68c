"""Git is run in the repository of a folder, and what goes wrong can be told apart."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pytest_pe_perf import git

NAME = "line\nend and ünïcode"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with one file; only its own settings count, and no other is around it."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "ends with a blank "
    folder.mkdir()
    for arguments in (["init", "--quiet"], ["add", "."]):
        (folder / NAME).touch()
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


def test_what_git_prints(repository: Path) -> None:
    """A line and names are as git has them, whatever characters are in them."""
    assert Path(git.line(git.run(repository, "rev-parse", "--show-toplevel", seconds=60))).samefile(repository)
    assert git.names(git.run(repository, "ls-files", "-z", seconds=60)) == [NAME]
    assert git.line(git.run(repository, "hash-object", "--stdin", stdin=b"", seconds=60)).startswith("e69de29")


def test_the_variables_of_a_hook(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they say that the repository is elsewhere, ours is found; one who asks for another gets it."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, str(repository.parent / "nowhere"))
    assert git.names(git.run(repository, "ls-files", "-z", seconds=60)) == [NAME]
    index = {"GIT_INDEX_FILE": str(repository.parent / "no index")}
    assert git.names(git.run(repository, "ls-files", "-z", seconds=60, environ=index)) == []


def test_git_says_no(repository: Path) -> None:
    """The status, all that it said, and the last line of that as the text."""
    with pytest.raises(git.GitError, match=r"^fatal: not a git repository") as caught:
        git.run(repository.parent, "status", seconds=60)
    assert (caught.value.status, caught.value.missing) == (128, False)
    assert caught.value.said.startswith("fatal: not a git repository")
    with pytest.raises(git.GitError, match=r"^exit status 1, and no word$"):
        git.run(repository, "rev-parse", "--verify", "--quiet", "HEAD", seconds=60)


@pytest.mark.skipif(os.name == "nt", reason="a script stands in for git")
def test_git_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for no longer than asked."""
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(git.GitError, match="no answer within 0 s") as caught:
        git.run(tmp_path, "status", seconds=0.1)
    assert (caught.value.status, caught.value.missing) == (None, False)


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without git is told from a git that fails."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(git.GitError) as caught:
        git.run(tmp_path, "status", seconds=60)
    assert (caught.value.status, caught.value.missing) == (None, True)
