"""What git knows of a work tree: its files, its submodules, and where it keeps its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from pytest_pe_perf.errors import BaseError
from pytest_pe_perf.git import GitError, line, names, run
from pytest_pe_perf.measure.janitor import PREFIX

_SECONDS_TO_WAIT = 600.0
GITLINK = "160000"
# What would start a process of the user's, write next to the user's index, or take a touched file for a modified one.
_SETTINGS = (
    "core.quotePath=false",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "diff.autoRefreshIndex=true",
)
_OPTIONS = tuple(option for setting in _SETTINGS for option in ("-c", setting))
# Workspaces of ours, where the system's temporary folder is within the repository.
_NO_WORKSPACES = f"--exclude={PREFIX}????????/"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as git sees it, and its work tree where it has one here."""

    git_dir: Path
    work_tree: Path | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an index.

    The tag is "S" for a file that a sparse checkout leaves out, and lower-case for one that is to be taken for unchanged.
    """

    tag: str
    mode: str
    commit: str
    path: str


def repository_at(top: Path) -> Repository:
    """Return the repository whose work tree is at ``top``.

    Raises:
        BaseError: there is none.

    """
    try:
        return Repository(Path(line(git(top, "rev-parse", "--absolute-git-dir"))), top)
    except GitError as error:
        fail(f"the repository of {top}", error)


def git(folder: Path, *arguments: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None) -> bytes:
    """Run git in ``folder`` and return what it printed.

    Raises:
        BaseError: there is no git, or it hangs.
        GitError: it ended with an error.

    """
    try:
        return run(folder, *_OPTIONS, *arguments, seconds=_SECONDS_TO_WAIT, stdin=stdin, environ=environ)
    except GitError as error:
        if error.missing:
            raise BaseError(
                f"git could not be started ({error}); a comparison with a commit needs it on PATH"
            ) from error
        if error.status is None:
            raise BaseError(
                f"`git {arguments[0]}` in {folder} did not finish within {_SECONDS_TO_WAIT:.0f} s; "
                "run it by hand to see why"
            ) from error
        raise


def fail(what: str, error: Exception) -> NoReturn:
    """Say in words that git has not given ``what``.

    Raises:
        BaseError: always.

    """
    raise BaseError(f"{what} cannot be had (git: {error}); see what `git status` and `git fsck` say") from error


def content_at(top: Path, commit: str, path: str) -> bytes | None:
    """Return what stands in a file of a commit, None where the commit has no such file; ``path`` is relative to ``top``.

    Raises:
        BaseError: git cannot read it.

    """
    try:
        if not names(git(top, "ls-tree", "-z", "--name-only", commit, "--", path)):
            return None
        return git(top, "cat-file", "blob", f"{commit}:{path}")
    except GitError as error:
        fail(f"{path} of {commit[:10]}", error)


def git_path(top: Path, name: str) -> Path:
    """Return where git keeps ``name``: a work tree of several shares most of it with the others."""
    return (top / line(git(top, "rev-parse", "--git-path", name))).absolute()


def index_of(folder: Path, environ: Mapping[str, str] | None = None) -> list[Entry]:
    """Return what the index holds, submodules included.

    Raises:
        BaseError: git cannot read it.

    """
    try:
        listed = names(git(folder, "ls-files", "-z", "--stage", "-v", environ=environ))
    except GitError as error:
        fail("the files that git knows", error)
    entries = {}
    for entry in listed:
        words, _, path = entry.partition("\t")
        tag, mode, commit, _ = words.split(" ")
        entries[path] = Entry(tag, mode, commit, path)  # in a merge conflict a path stands there three times
    return list(entries.values())


def untracked(top: Path) -> list[str]:
    """Return the files that git does not know and does not ignore; byte code is made anew on both sides.

    Raises:
        BaseError: git cannot list them.

    """
    try:
        found = names(git(top, "ls-files", "-z", "--others", "--exclude-standard", _NO_WORKSPACES))
    except GitError as error:
        fail("the files that git does not know", error)
    # A repository within this one is named as a folder.
    return [name for name in found if not name.endswith("/") and "__pycache__" not in name.split("/")]


def is_submodule(place: Path) -> bool:
    """Whether a repository is checked out at ``place``."""
    return not place.is_symlink() and os.path.lexists(place / ".git")


def is_gitlink(repository: Repository, path: str) -> bool:
    """Whether the index has a submodule at ``path``; the repository has a work tree."""
    assert repository.work_tree is not None
    return any(entry.path == path and entry.mode == GITLINK for entry in index_of(repository.work_tree))


def kept_submodule(repository: Repository, commit: str, path: str) -> Repository | None:
    """Return what git keeps of a submodule that is not checked out, because it was moved or removed since.

    One that is still there and was deinitialised by the user is not asked for.
    """
    if repository.work_tree and is_gitlink(repository, path):
        return None
    with contextlib.suppress(GitError):
        arguments = ("config", "-z", "--blob", f"{commit}:.gitmodules", "--get-regexp", r"^submodule\..*\.path$")
        for item in names(_ask(repository, *arguments)):
            key, _, value = item.partition("\n")
            name = key.removeprefix("submodule.").removesuffix(".path")
            git_dir = repository.git_dir / "modules" / name
            if value == path and ".." not in PurePosixPath(name).parts and (git_dir / "HEAD").is_file():
                return Repository(git_dir, None)
    return None


def has_commit(repository: Repository, commit: str) -> bool:
    """Whether the commit is in this clone."""
    try:
        _ask(repository, "cat-file", "-e", commit + "^{commit}")
    except GitError:
        return False
    return True


def _ask(repository: Repository, *arguments: str) -> bytes:
    """Run git for what it keeps alone; the work tree that its settings name may be gone."""
    git_dir = str(repository.git_dir)
    return git(repository.git_dir, *arguments, environ={"GIT_DIR": git_dir, "GIT_WORK_TREE": git_dir})
