"""Which repository, and which commit: what the user's words for them mean to git, and what to do where it knows none."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from pathlib import Path

from pytest_pe_perf.errors import BaseError
from pytest_pe_perf.git import GitError, line

from .repository import fail, git


def toplevel(rootdir: Path) -> Path:
    """Return the top folder of the work tree that ``rootdir`` is in.

    Raises:
        BaseError: git is missing, this is no work tree of a git repository, or it has no commit yet.

    """
    try:
        top = Path(line(git(rootdir, "rev-parse", "--show-toplevel")))
    except GitError as error:
        raise BaseError(
            f"{rootdir} is not in the work tree of a git repository (git: {error}); "
            "a comparison with a commit needs one, so run it in a git checkout"
        ) from error
    try:
        git(top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except GitError as error:
        raise BaseError(
            f"the git repository {top} has no commit yet, so there is nothing to compare with; commit first"
        ) from error
    return top


def resolve(top: Path, rev: str) -> str:
    """Return the full hash of the commit that ``rev`` names.

    Raises:
        BaseError: this clone knows no such commit.

    """
    # Git takes what begins with "-" for an option; no branch or tag can be called so.
    if not rev.strip() or rev.startswith("-") or "\0" in rev:
        raise BaseError(f"{rev!r} is not the name of a commit; name a branch, a tag or a hash")
    try:
        return line(git(top, "rev-parse", "--verify", "--quiet", rev + "^{commit}"))
    except GitError as error:
        close = _close_names(top, rev)
        seen = (
            f"what it has and looks close: {', '.join(close)}" if close else "no branch or tag here looks close to it"
        )
        raise BaseError(f"{rev!r} is no commit that this clone knows; {seen}; {_how_to_fetch(top, rev)}") from error


def merge_base(top: Path, ref: str, head: str = "HEAD") -> str:
    """Return the full hash of the commit at which ``head`` left ``ref``.

    Raises:
        BaseError: one of them is unknown, or they have no commit in common in this clone.

    """
    ours, theirs = resolve(top, ref), resolve(top, head)
    try:
        return line(git(top, "merge-base", ours, theirs))
    except GitError as error:
        if error.status != 1:
            fail(f"the merge base of {ref} and {head}", error)
        if _is_shallow(top):
            raise BaseError(
                f"{ref} and {head} have no commit in common in this clone, because it is shallow; fetch the rest with "
                "`git fetch --unshallow`, or let CI clone it all (actions/checkout: `fetch-depth: 0`)"
            ) from error
        raise BaseError(
            f"{ref} ({ours[:12]}) and {head} ({theirs[:12]}) have no commit in common: their histories are unrelated; "
            "name the branch that the work began from"
        ) from error


def _close_names(top: Path, rev: str) -> list[str]:
    try:
        refs = git(top, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags")
    except GitError:
        return []
    names = os.fsdecode(refs).splitlines()
    same = [name for name in names if name.rpartition("/")[2] == rev.rpartition("/")[2]]
    return list(dict.fromkeys([*same, *difflib.get_close_matches(rev, names, n=3, cutoff=0.6)]))[:5]


def _how_to_fetch(top: Path, rev: str) -> str:
    try:
        remotes = os.fsdecode(git(top, "remote")).split()
    except GitError:
        remotes = []
    advice = "name one that it has"
    first, _, rest = rev.partition("/")
    if remotes and re.fullmatch(r"[\w./+-]+", rev):
        remote, name = (first, rest) if first in remotes and rest else (remotes[0], rev)
        remote = "origin" if remote != first and "origin" in remotes else remote
        # A plain `git fetch origin main` would leave no branch behind in a clone of one branch.
        advice += f", or get it with `git fetch {remote} {name}` and name it FETCH_HEAD"
    if _is_shallow(top):
        advice += (
            "; the clone is shallow: `git fetch --unshallow`, or in actions/checkout `fetch-depth: 0`, gets it all"
        )
    return advice


def _is_shallow(top: Path) -> bool:
    with contextlib.suppress(GitError):
        return line(git(top, "rev-parse", "--is-shallow-repository")) == "true"
    return False
