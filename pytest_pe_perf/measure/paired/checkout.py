"""Two trees out of one git repository: the files of a commit, and the working tree as it is.

Nothing here writes to the user's repository: no work tree is registered, no index is touched, no hook is run.
File names are bytes to git and to the system; they travel as text with surrogates, like everywhere in Python, and are
always separated by NUL.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pytest_pe_perf.errors import BaseError
from pytest_pe_perf.git import GitError, names

from .repository import (
    GITLINK,
    Entry,
    Repository,
    fail,
    git,
    git_path,
    has_commit,
    index_of,
    is_gitlink,
    is_submodule,
    kept_submodule,
    repository_at,
    untracked,
)

# What decides whether git takes a file for modified.
_CONTENT_SETTINGS = r"^(core\.(autocrlf|eol|filemode|symlinks|ignorecase|precomposeunicode)|filter\..*)$"


def export_commit(top: Path, commit: str, dest: Path) -> None:
    """Write the files of ``commit`` to ``dest`` as git would check them out, submodules included.

    A submodule that is not initialised in the working tree is left empty: the other side has nothing there either.

    Raises:
        BaseError: git cannot, or a submodule is not to be had at the commit that it is needed at.

    """
    _export(repository_at(top), commit, dest)


def export_worktree(top: Path, dest: Path) -> None:
    """Copy the working tree to ``dest`` as it is: what git tracks or would add, submodules included.

    Byte code and repositories within that are no submodules stay behind.

    Raises:
        BaseError: a file cannot be read, or a sparse checkout has left it out.

    """
    dest.mkdir(parents=True, exist_ok=True)
    tracked = index_of(top)
    for entry in tracked:
        if entry.mode == GITLINK:
            _export_submodule_worktree(top / entry.path, dest / entry.path)
        elif entry.tag in "Ss" and not os.path.lexists(top / entry.path):
            raise BaseError(
                f"{entry.path} is left out of the working tree by a sparse checkout, so the working tree cannot be "
                "copied as a whole; run `git sparse-checkout disable`"
            )
    files = [entry.path for entry in tracked if entry.mode != GITLINK]
    overlay(top, dest, [*files, *untracked(top)])


def overlay(source: Path, dest: Path, paths: Iterable[str]) -> None:
    """Make each of the files ``paths`` in ``dest`` what it is in ``source``: copied, or removed where it has none.

    Raises:
        BaseError: a file cannot be copied.

    """
    known: set[Path] = {source}
    # In order, so that a folder that became a file is gone before a file is looked for in it.
    for path in sorted(set(paths)):
        try:
            if _is_behind_link(source, path, known) or not os.path.lexists(source / path):
                _remove(source, dest, path)
            else:
                _copy(source / path, dest, path)
        except OSError as error:
            raise BaseError(
                f"{path} of {source} cannot be copied: {error.strerror or error}; "
                "make it readable, or let git ignore it, and see that there is room for a copy"
            ) from error


def make_repository(top: Path, commit: str, tree: Path) -> None:
    """Make ``tree`` a git repository whose HEAD is ``commit``: build tools ask git for tags and versions.

    It borrows the objects of the user's repository and knows its branches and tags, but no remote.

    Raises:
        BaseError: git cannot.

    """
    try:
        objects = git_path(top, "objects")
        # Git before 2.29 does not know the option, and has no such hashes either.
        kind = ["--object-format=sha256"] if len(commit) == 64 else []
        git(tree, "init", "--quiet", "--template=", *kind)
        git_dir = tree / ".git"
        (git_dir / "info").mkdir(exist_ok=True)
        (git_dir / "objects" / "info" / "alternates").write_bytes(os.fsencode(objects) + b"\n")
        for name in ("shallow", "info/attributes", "info/exclude"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(git_path(top, name), git_dir / name)
        _copy_settings(top, tree)
        refs = git(top, "for-each-ref", "--format=create %(refname) %(objectname)", "refs/heads", "refs/tags")
        git(tree, "update-ref", "--stdin", stdin=refs)
        git(tree, "update-ref", "--no-deref", "HEAD", commit)
        git(tree, "read-tree", "HEAD")
    except (GitError, OSError) as error:
        fail(f"a repository at {commit[:12]} for the build", error)
    # It fails where files differ from the commit, and has done its work then too.
    with contextlib.suppress(GitError):
        git(tree, "update-index", "-q", "--refresh")


def _export(repository: Repository, commit: str, dest: Path) -> None:
    try:
        dest.mkdir(parents=True, exist_ok=True)
        # An index of its own, beside the tree: it goes with the workspace, whatever happens.
        index = dest.with_name(f".{dest.name}.pe-perf-index")
        # With the tree as work tree, not a prefix: attributes are those of the commit, not those of the user's working
        # tree, and a git that outlives us finds no place to write to.
        environ = {"GIT_DIR": str(repository.git_dir), "GIT_WORK_TREE": str(dest), "GIT_INDEX_FILE": str(index)}
        try:
            git(dest, "-c", "core.sparseCheckout=false", "read-tree", commit, environ=environ)
            git(dest, "-c", "core.sparseCheckout=false", "checkout-index", "--all", environ=environ)
            entries = index_of(dest, environ)
        finally:
            index.unlink(missing_ok=True)
    except (GitError, OSError) as error:
        fail(f"the files of {commit[:12]}", error)
    for entry in entries:
        if entry.mode == GITLINK:
            _export_submodule(repository, commit, entry, dest / entry.path)


def _export_submodule(repository: Repository, commit: str, entry: Entry, dest: Path) -> None:
    dest.mkdir(parents=True, exist_ok=True)
    place = repository.work_tree / entry.path if repository.work_tree else None
    if place and is_submodule(place):
        submodule = repository_at(place)
    elif kept := kept_submodule(repository, commit, entry.path):
        submodule = kept
    elif place is None or is_gitlink(repository, entry.path):
        return  # not initialised: empty on both sides
    else:
        raise BaseError(
            f"the submodule {entry.path} is needed at commit {commit[:12]} and is not in this clone, because the working "
            f"tree has no such submodule any more; get it once with `git checkout {commit[:12]} && "
            f"git submodule update --init -- {shlex.quote(entry.path)}`, and go back to your branch"
        )
    if not has_commit(submodule, entry.commit):
        quoted = shlex.quote(entry.path)
        raise BaseError(
            f"the submodule {entry.path} is needed at its commit {entry.commit[:12]}, which is not in this clone; "
            f"run `git submodule update --init -- {quoted}` and `git -C {quoted} fetch origin {entry.commit}`"
        )
    _export(submodule, entry.commit, dest)


def _export_submodule_worktree(place: Path, dest: Path) -> None:
    if is_submodule(place):
        export_worktree(place, dest)
    elif place.is_dir():
        dest.mkdir(parents=True, exist_ok=True)


def _is_behind_link(top: Path, path: str, known: set[Path]) -> bool:
    """Whether a folder on the way to ``path`` is not a folder of this tree, but a link to another place, or a file."""
    folder = (top / path).parent
    missing = []
    while folder not in known:
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        if not os.path.lexists(each) or not stat.S_ISDIR(each.lstat().st_mode):
            return True
        known.add(each)
    return False


def _copy(source: Path, dest: Path, path: str) -> None:
    mode = source.lstat().st_mode
    target = dest / path
    if stat.S_ISDIR(mode):
        # The files in it have paths of their own; only what is in their way is removed.
        if os.path.lexists(target) and not stat.S_ISDIR(target.lstat().st_mode):
            target.unlink()
        return
    _make_folders(dest, target.parent)
    before = target.lstat().st_mtime if os.path.lexists(target) else None
    _delete(target)
    if stat.S_ISLNK(mode):
        target.symlink_to(source.readlink())
    elif stat.S_ISREG(mode):
        # Sockets and pipes are nobody's source code.
        shutil.copyfile(source, target)
        shutil.copymode(source, target)
        if before is not None:
            # Byte code is taken for that of a file with as many bytes and the same second: of what stood here, too.
            later = max(target.stat().st_mtime, before + 1.0)
            os.utime(target, (later, later))


def _make_folders(dest: Path, folder: Path) -> None:
    """Make a folder in ``dest``; what stands in its place, such as a link to somewhere else, is removed."""
    if folder == dest:
        return
    _make_folders(dest, folder.parent)
    if not folder.is_dir() or folder.is_symlink():
        _delete(folder)
        folder.mkdir()


def _remove(source: Path, dest: Path, path: str) -> None:
    target = dest / path
    if _is_behind_link(dest, path, {dest}):
        return
    _delete(target)
    # An empty folder would be a package to Python; git keeps none either.
    for folder in PurePosixPath(path).parents:
        if not folder.parts or (source / folder).is_dir():
            return
        with contextlib.suppress(OSError):
            (dest / folder).rmdir()


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copy_settings(top: Path, tree: Path) -> None:
    """Let git in ``tree`` see the same differences as in the user's repository."""
    with contextlib.suppress(GitError):  # no such setting
        for item in names(git(top, "config", "-z", "--get-regexp", _CONTENT_SETTINGS)):
            key, is_set, value = item.partition("\n")
            git(tree, "config", key, value if is_set else "true")
