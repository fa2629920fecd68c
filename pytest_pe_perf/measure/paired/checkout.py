"""Two trees out of one git repository: the files of a commit, and the working tree as it is.

Nothing here writes to the user's repository: no work tree is registered, no index is touched, no hook is run.
File names are bytes to git and to the system; they travel as text with surrogates, like everywhere in Python, and are
always separated by NUL.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from pytest_pe_perf.errors import BaseError

from .janitor import PREFIX

_SECONDS_TO_WAIT = 600.0
_GITLINK = "160000"
# A git hook that runs us sets these for its own repository; ours is found from the folder.
_NOT_INHERITED = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DEFAULT_HASH",
    "GIT_DEFAULT_REF_FORMAT",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
# No lock that stands in the way of the user's own git, and no question that nobody answers.
_ENVIRON = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
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
# What decides whether git takes a file for modified.
_CONTENT_SETTINGS = r"^(core\.(autocrlf|eol|filemode|symlinks|ignorecase|precomposeunicode)|filter\..*)$"


@dataclass(frozen=True, slots=True)
class _Repository:
    """A repository as git sees it, and its work tree where it has one here."""

    git_dir: Path
    work_tree: Path | None


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of an index.

    The tag is "S" for a file that a sparse checkout leaves out, and lower-case for one that is to be taken for unchanged.
    """

    tag: str
    mode: str
    commit: str
    path: str


class _GitError(Exception):
    """Git ended with an error; the text is the last line that it said."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


def toplevel(rootdir: Path) -> Path:
    """Return the top folder of the work tree that ``rootdir`` is in.

    Raises:
        BaseError: git is missing, this is no work tree of a git repository, or it has no commit yet.

    """
    try:
        top = Path(_line(_git(rootdir, "rev-parse", "--show-toplevel")))
    except _GitError as error:
        raise BaseError(
            f"{rootdir} is not in the work tree of a git repository (git: {error}); "
            "a comparison with a commit needs one, so run it in a git checkout"
        ) from error
    try:
        _git(top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except _GitError as error:
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
        return _line(_git(top, "rev-parse", "--verify", "--quiet", rev + "^{commit}"))
    except _GitError as error:
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
        return _line(_git(top, "merge-base", ours, theirs))
    except _GitError as error:
        if error.status != 1:
            _fail(f"the merge base of {ref} and {head}", error)
        if _is_shallow(top):
            raise BaseError(
                f"{ref} and {head} have no commit in common in this clone, because it is shallow; fetch the rest with "
                "`git fetch --unshallow`, or let CI clone it all (actions/checkout: `fetch-depth: 0`)"
            ) from error
        raise BaseError(
            f"{ref} ({ours[:12]}) and {head} ({theirs[:12]}) have no commit in common: their histories are unrelated; "
            "name the branch that the work began from"
        ) from error


def export_commit(top: Path, commit: str, dest: Path) -> None:
    """Write the files of ``commit`` to ``dest`` as git would check them out, submodules included.

    A submodule that is not initialised in the working tree is left empty: the other side has nothing there either.

    Raises:
        BaseError: git cannot, or a submodule is not to be had at the commit that it is needed at.

    """
    _export(_repository(top), commit, dest)


def export_worktree(top: Path, dest: Path) -> None:
    """Copy the working tree to ``dest`` as it is: what git tracks or would add, submodules included.

    Byte code and repositories within that are no submodules stay behind.

    Raises:
        BaseError: a file cannot be read, or a sparse checkout has left it out.

    """
    dest.mkdir(parents=True, exist_ok=True)
    tracked = _index(top)
    for entry in tracked:
        if entry.mode == _GITLINK:
            _export_submodule_worktree(top / entry.path, dest / entry.path)
        elif entry.tag in "Ss" and not os.path.lexists(top / entry.path):
            raise BaseError(
                f"{entry.path} is left out of the working tree by a sparse checkout, so the working tree cannot be "
                "copied as a whole; run `git sparse-checkout disable`"
            )
    files = [entry.path for entry in tracked if entry.mode != _GITLINK]
    overlay(top, dest, [*files, *_untracked(top)])


def changed_files(top: Path, base: str, head: str | None = None) -> tuple[str, ...]:
    """Return the paths that differ between two commits, or between a commit and the working tree.

    They are relative to ``top``. What is in a submodule counts by itself where the submodule is checked out.

    Raises:
        BaseError: git cannot compare them.

    """
    try:
        with _honest_index(top, head) as environ:
            raw = _names(_git(top, *_DIFF, base, *([head] if head else []), "--", environ=environ))
    except _GitError as error:
        _fail("the files that changed", error)
    changed = set() if head else set(_untracked(top))
    # Pairs of ":old-mode new-mode old-hash new-hash status" and a path.
    for words, path in zip(raw[::2], raw[1::2], strict=True):
        old_mode, new_mode, old, new, _ = words[1:].split(" ")
        if _GITLINK in (old_mode, new_mode):
            before, after = (old if old_mode == _GITLINK else ""), (new if new_mode == _GITLINK else "")
            changed |= _changed_in_submodule(top, path, before, after if head else None)
        else:
            changed.add(path)
    return tuple(sorted(changed))


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
        objects = _git_path(top, "objects")
        # Git before 2.29 does not know the option, and has no such hashes either.
        kind = ["--object-format=sha256"] if len(commit) == 64 else []
        _git(tree, "init", "--quiet", "--template=", *kind)
        git_dir = tree / ".git"
        (git_dir / "info").mkdir(exist_ok=True)
        (git_dir / "objects" / "info" / "alternates").write_bytes(os.fsencode(objects) + b"\n")
        for name in ("shallow", "info/attributes", "info/exclude"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(_git_path(top, name), git_dir / name)
        _copy_settings(top, tree)
        refs = _git(top, "for-each-ref", "--format=create %(refname) %(objectname)", "refs/heads", "refs/tags")
        _git(tree, "update-ref", "--stdin", stdin=refs)
        _git(tree, "update-ref", "--no-deref", "HEAD", commit)
        _git(tree, "read-tree", "HEAD")
    except (_GitError, OSError) as error:
        _fail(f"a repository at {commit[:12]} for the build", error)
    # It fails where files differ from the commit, and has done its work then too.
    with contextlib.suppress(_GitError):
        _git(tree, "update-index", "-q", "--refresh")


def _export(repository: _Repository, commit: str, dest: Path) -> None:
    try:
        dest.mkdir(parents=True, exist_ok=True)
        # An index of its own, beside the tree: it goes with the workspace, whatever happens.
        index = dest.with_name(f".{dest.name}.pe-perf-index")
        # With the tree as work tree, not a prefix: attributes are those of the commit, not those of the user's working
        # tree, and a git that outlives us finds no place to write to.
        environ = {"GIT_DIR": str(repository.git_dir), "GIT_WORK_TREE": str(dest), "GIT_INDEX_FILE": str(index)}
        try:
            _git(dest, "-c", "core.sparseCheckout=false", "read-tree", commit, environ=environ)
            _git(dest, "-c", "core.sparseCheckout=false", "checkout-index", "--all", environ=environ)
            entries = _index(dest, environ)
        finally:
            index.unlink(missing_ok=True)
    except (_GitError, OSError) as error:
        _fail(f"the files of {commit[:12]}", error)
    for entry in entries:
        if entry.mode == _GITLINK:
            _export_submodule(repository, commit, entry, dest / entry.path)


def _export_submodule(repository: _Repository, commit: str, entry: _Entry, dest: Path) -> None:
    dest.mkdir(parents=True, exist_ok=True)
    place = repository.work_tree / entry.path if repository.work_tree else None
    if place and _is_submodule(place):
        submodule = _repository(place)
    elif kept := _kept_submodule(repository, commit, entry.path):
        submodule = kept
    elif place is None or _is_gitlink(repository, entry.path):
        return  # not initialised: empty on both sides
    else:
        raise BaseError(
            f"the submodule {entry.path} is needed at commit {commit[:12]} and is not in this clone, because the working "
            f"tree has no such submodule any more; get it once with `git checkout {commit[:12]} && "
            f"git submodule update --init -- {shlex.quote(entry.path)}`, and go back to your branch"
        )
    if not _has_commit(submodule, entry.commit):
        quoted = shlex.quote(entry.path)
        raise BaseError(
            f"the submodule {entry.path} is needed at its commit {entry.commit[:12]}, which is not in this clone; "
            f"run `git submodule update --init -- {quoted}` and `git -C {quoted} fetch origin {entry.commit}`"
        )
    _export(submodule, entry.commit, dest)


def _export_submodule_worktree(place: Path, dest: Path) -> None:
    if _is_submodule(place):
        export_worktree(place, dest)
    elif place.is_dir():
        dest.mkdir(parents=True, exist_ok=True)


def _is_submodule(place: Path) -> bool:
    return not place.is_symlink() and os.path.lexists(place / ".git")


def _is_gitlink(repository: _Repository, path: str) -> bool:
    assert repository.work_tree is not None
    return any(entry.path == path and entry.mode == _GITLINK for entry in _index(repository.work_tree))


def _kept_submodule(repository: _Repository, commit: str, path: str) -> _Repository | None:
    """Return what git keeps of a submodule that is not checked out, because it was moved or removed since.

    One that is still there and was deinitialised by the user is not asked for.
    """
    if repository.work_tree and _is_gitlink(repository, path):
        return None
    with contextlib.suppress(_GitError):
        arguments = ("config", "-z", "--blob", f"{commit}:.gitmodules", "--get-regexp", r"^submodule\..*\.path$")
        for item in _names(_ask(repository, *arguments)):
            key, _, value = item.partition("\n")
            name = key.removeprefix("submodule.").removesuffix(".path")
            git_dir = repository.git_dir / "modules" / name
            if value == path and ".." not in PurePosixPath(name).parts and (git_dir / "HEAD").is_file():
                return _Repository(git_dir, None)
    return None


def _has_commit(repository: _Repository, commit: str) -> bool:
    try:
        _ask(repository, "cat-file", "-e", commit + "^{commit}")
    except _GitError:
        return False
    return True


def _changed_in_submodule(top: Path, path: str, old: str, new: str | None) -> set[str]:
    """Return what differs in a submodule: "" is a side without it, None the working tree as it is."""
    place = top / path
    if new == "" or not _is_submodule(place):
        return {path}
    repository = _repository(place)
    if not all(_has_commit(repository, commit) for commit in (old, new) if commit):
        return {path}
    base = old or _line(_git(place, "hash-object", "-t", "tree", "--stdin"))
    return {f"{path}/{name}" for name in changed_files(place, base, new)}


@contextlib.contextmanager
def _honest_index(top: Path, head: str | None) -> Iterator[dict[str, str]]:
    """Yield an environment in which git looks at every file that is there.

    A user may have told git to take files for unchanged; their content is measured all the same.
    """
    flagged = [] if head else [entry for entry in _index(top) if entry.tag in "Ss" or entry.tag.islower()]
    # What a sparse checkout left out stays flagged: it has not been deleted.
    paths = [entry.path for entry in flagged if os.path.lexists(top / entry.path)]
    if not paths:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        index = Path(folder, "index")
        shutil.copyfile(_git_path(top, "index"), index)
        environ = {"GIT_INDEX_FILE": str(index)}
        for flag in ("--no-assume-unchanged", "--no-skip-worktree"):
            _git(top, "update-index", flag, "-z", "--stdin", stdin=b"\0".join(map(os.fsencode, paths)), environ=environ)
        yield environ


def _index(folder: Path, environ: Mapping[str, str] | None = None) -> list[_Entry]:
    try:
        lines = _names(_git(folder, "ls-files", "-z", "--stage", "-v", environ=environ))
    except _GitError as error:
        _fail("the files that git knows", error)
    entries = {}
    for line in lines:
        words, _, path = line.partition("\t")
        tag, mode, commit, _ = words.split(" ")
        entries[path] = _Entry(tag, mode, commit, path)  # in a merge conflict a path stands there three times
    return list(entries.values())


def _untracked(top: Path) -> list[str]:
    """Return the files that git does not know and does not ignore; byte code is made anew on both sides."""
    try:
        names = _names(_git(top, "ls-files", "-z", "--others", "--exclude-standard", _NO_WORKSPACES))
    except _GitError as error:
        _fail("the files that git does not know", error)
    # A repository within this one is named as a folder.
    return [name for name in names if not name.endswith("/") and "__pycache__" not in name.split("/")]


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
    _delete(target)
    if stat.S_ISLNK(mode):
        target.symlink_to(source.readlink())
    elif stat.S_ISREG(mode):
        # Sockets and pipes are nobody's source code.
        shutil.copyfile(source, target)
        shutil.copymode(source, target)


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
    with contextlib.suppress(_GitError):  # no such setting
        for item in _names(_git(top, "config", "-z", "--get-regexp", _CONTENT_SETTINGS)):
            key, is_set, value = item.partition("\n")
            _git(tree, "config", key, value if is_set else "true")


def _close_names(top: Path, rev: str) -> list[str]:
    try:
        refs = _git(top, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags")
    except _GitError:
        return []
    names = os.fsdecode(refs).splitlines()
    same = [name for name in names if name.rpartition("/")[2] == rev.rpartition("/")[2]]
    return list(dict.fromkeys([*same, *difflib.get_close_matches(rev, names, n=3, cutoff=0.6)]))[:5]


def _how_to_fetch(top: Path, rev: str) -> str:
    try:
        remotes = os.fsdecode(_git(top, "remote")).split()
    except _GitError:
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
    with contextlib.suppress(_GitError):
        return _line(_git(top, "rev-parse", "--is-shallow-repository")) == "true"
    return False


def _repository(top: Path) -> _Repository:
    try:
        return _Repository(Path(_line(_git(top, "rev-parse", "--absolute-git-dir"))), top)
    except _GitError as error:
        _fail(f"the repository of {top}", error)


def _ask(repository: _Repository, *arguments: str) -> bytes:
    """Run git for what it keeps alone; the work tree that its settings name may be gone."""
    git_dir = str(repository.git_dir)
    return _git(repository.git_dir, *arguments, environ={"GIT_DIR": git_dir, "GIT_WORK_TREE": git_dir})


def _git_path(top: Path, name: str) -> Path:
    """Return where git keeps ``name``: a work tree of several shares most of it with the others."""
    return (top / _line(_git(top, "rev-parse", "--git-path", name))).absolute()


def _git(folder: Path, *arguments: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None) -> bytes:
    """Run git in ``folder`` and return what it printed.

    Raises:
        BaseError: there is no git, or it hangs.
        _GitError: it ended with an error.

    """
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *_OPTIONS, *arguments],
            input=stdin,
            capture_output=True,
            env={**inherited, **_ENVIRON, **(environ or {})},
            timeout=_SECONDS_TO_WAIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BaseError(
            f"`git {arguments[0]}` in {folder} did not finish within {_SECONDS_TO_WAIT:.0f} s; run it by hand to see why"
        ) from error
    except OSError as error:
        raise BaseError(
            f"git could not be started ({error.strerror or error}); a comparison with a commit needs it on PATH"
        ) from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _GitError(done.returncode, said[-1] if said else f"exit status {done.returncode}, and no word")
    return done.stdout


def _fail(what: str, error: Exception) -> NoReturn:
    raise BaseError(f"{what} cannot be had (git: {error}); see what `git status` and `git fsck` say") from error


def _line(output: bytes) -> str:
    # Not strip(): a folder's name may end with a blank.
    return os.fsdecode(output).removesuffix("\n")


def _names(output: bytes) -> list[str]:
    # Bytes until here: text mode would change a carriage return in a file's name.
    return os.fsdecode(output).split("\0")[:-1]
