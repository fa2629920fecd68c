"""Which files differ between two commits, or between a commit and the working tree."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pytest_pe_perf.git import GitError, line, names
from pytest_pe_perf.measure.janitor import PREFIX

from .repository import GITLINK, fail, git, git_path, has_commit, index_of, is_submodule, repository_at, untracked

_DIFF = (
    "diff",
    "--raw",
    "-z",
    "--no-abbrev",
    "--no-renames",
    "--no-ext-diff",
    "--no-relative",
    "--ignore-submodules=none",
)


def changed_files(top: Path, base: str, head: str | None = None) -> tuple[str, ...]:
    """Return the paths that differ between two commits, or between a commit and the working tree.

    They are relative to ``top``. What is in a submodule counts by itself where the submodule is checked out.

    Raises:
        BaseError: git cannot compare them.

    """
    try:
        with _honest_index(top, head) as environ:
            raw = names(git(top, *_DIFF, base, *([head] if head else []), "--", environ=environ))
    except GitError as error:
        fail("the files that changed", error)
    changed = set() if head else set(untracked(top))
    # Pairs of ":old-mode new-mode old-hash new-hash status" and a path.
    for words, path in zip(raw[::2], raw[1::2], strict=True):
        old_mode, new_mode, old, new, _ = words[1:].split(" ")
        if GITLINK in (old_mode, new_mode):
            before, after = (old if old_mode == GITLINK else ""), (new if new_mode == GITLINK else "")
            changed |= _changed_in_submodule(top, path, before, after if head else None)
        else:
            changed.add(path)
    return tuple(sorted(changed))


def _changed_in_submodule(top: Path, path: str, old: str, new: str | None) -> set[str]:
    """Return what differs in a submodule: "" is a side without it, None the working tree as it is."""
    place = top / path
    if new == "" or not is_submodule(place):
        return {path}
    repository = repository_at(place)
    if not all(has_commit(repository, commit) for commit in (old, new) if commit):
        return {path}
    base = old or line(git(place, "hash-object", "-t", "tree", "--stdin"))
    return {f"{path}/{name}" for name in changed_files(place, base, new)}


@contextlib.contextmanager
def _honest_index(top: Path, head: str | None) -> Iterator[dict[str, str]]:
    """Yield an environment in which git looks at every file that is there.

    A user may have told git to take files for unchanged; their content is measured all the same.
    """
    flagged = [] if head else [entry for entry in index_of(top) if entry.tag in "Ss" or entry.tag.islower()]
    # What a sparse checkout left out stays flagged: it has not been deleted.
    paths = [entry.path for entry in flagged if os.path.lexists(top / entry.path)]
    if not paths:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        index = Path(folder, "index")
        shutil.copyfile(git_path(top, "index"), index)
        environ = {"GIT_INDEX_FILE": str(index)}
        for flag in ("--no-assume-unchanged", "--no-skip-worktree"):
            git(top, "update-index", flag, "-z", "--stdin", stdin=b"\0".join(map(os.fsencode, paths)), environ=environ)
        yield environ
