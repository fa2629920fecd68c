"""The first commit that made a test worse, found by ``git bisect``; how a commit is measured is the caller's business.

Git bisects in a repository of its own that borrows the objects of the user's and has no work tree: nothing of the
user's checkout, index, refs or bisection is read into it or written by it, however this process ends.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pytest_pe_perf import git
from pytest_pe_perf.errors import BaseError
from pytest_pe_perf.measure.janitor import workspace

Answer: TypeAlias = Literal["good", "bad", "skip"]
Measure: TypeAlias = Callable[[str], Answer]

_SECONDS_TO_WAIT = 600.0
# What git bisect exits with where it cannot go on for that reason.
_ONLY_SKIPPED_LEFT = 2
# Hash, author, date and subject, with a character between them that no commit can hold.
_FACTS = "--format=%H%x00%an%x00%aI%x00%s"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, for people: ``date`` is the author's, in ISO 8601."""

    hash: str
    author: str
    date: str
    subject: str


@dataclass(frozen=True, slots=True)
class Step:
    """One measured commit. ``left`` is how many more steps there are, roughly; a skipped commit may add one."""

    commit: Commit
    answer: Answer
    left: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What a bisection found: the commits that may be the first bad one, oldest first.

    More than one are left where commits between them were skipped. None are where the last commit, which ``at_bad``
    says, is not bad: then there is nothing to find.
    """

    at_bad: Answer
    candidates: tuple[Commit, ...] = ()

    @property
    def first_bad(self) -> Commit | None:
        """The first bad commit, if it could be told."""
        return self.candidates[0] if len(self.candidates) == 1 else None


def resolve(rootdir: Path, revisions: str) -> tuple[str, str]:
    """Return the hashes that ``GOOD..BAD`` names in the repository of ``rootdir``; no BAD is ``HEAD``, as for git.

    Raises:
        BaseError: it is no such range, a revision is unknown, or GOOD is no ancestor of BAD.

    """
    good, dots, bad = revisions.partition("..")
    if not dots or not good or ".." in bad or bad.startswith("."):
        raise BaseError(f"{revisions!r} is not a range of commits: write GOOD..BAD, for example v1.2..HEAD")
    first, last = _commit(rootdir, good), _commit(rootdir, bad or "HEAD")
    if first == last:
        raise BaseError(f"{revisions}: both are the commit {first[:10]}; there is nothing between them")
    try:
        _ask(rootdir, "merge-base", "--is-ancestor", first, last)
    except _RefusedError as error:
        raise BaseError(
            f"{good} is not an ancestor of {bad or 'HEAD'}; name a commit that is, or get the whole history"
        ) from error
    return first, last


def find_first_bad(
    rootdir: Path,
    good: str,
    bad: str,
    measure: Measure,
    *,
    first_parent: bool = False,
    told: Callable[[Step], None] = lambda _: None,
) -> Finding:
    """Return the first commit between the hashes ``good`` and ``bad`` that ``measure`` calls bad.

    ``bad`` is measured first: if it is not bad, there is nothing to find. ``good`` is taken for good. ``told`` hears
    of each measured commit. With ``first_parent`` only the commits of the branch itself are looked at, not those that
    were merged into it.

    Raises:
        BaseError: git fails.

    """
    with _borrowed(rootdir, bad) as ask:
        answer = measure(bad)
        ask("bisect", "start", "--no-checkout", *(["--first-parent"] if first_parent else []), bad, good, "--")
        bisection = _Bisection(ask, first_parent=first_parent)
        told(Step(_facts(ask, [bad])[0], answer, bisection.steps_left() if answer == "bad" else 0))
        if answer != "bad":
            return Finding(answer)
        while commit := bisection.next():
            answer = measure(commit)
            bisection.mark(commit, answer)
            told(Step(_facts(ask, [commit])[0], answer, bisection.steps_left()))
        return Finding("bad", _facts(ask, bisection.candidates()))


_Ask: TypeAlias = Callable[..., str]


class _Bisection:
    """The state of ``git bisect``, read from its refs: what it prints is for people and changes with versions."""

    def __init__(self, ask: _Ask, *, first_parent: bool) -> None:
        self._ask = ask
        self._how = ["--first-parent"] if first_parent else []
        self._skipped: set[str] = set()

    def candidates(self) -> list[str]:
        """Return the commits that may be the first bad one, oldest first; the last is known to be bad."""
        bounds = ("refs/bisect/bad", "--not", "--glob=refs/bisect/good-*")
        return self._ask("rev-list", "--reverse", "--topo-order", *self._how, *bounds).split()

    def steps_left(self) -> int:
        return len(self._unknown()).bit_length()

    def next(self) -> str:
        """Return the commit to measure next; none where it is found or nothing but skipped commits are left."""
        return self._ask("rev-parse", "--verify", "BISECT_HEAD").strip() if self._unknown() else ""

    def mark(self, commit: str, answer: Answer) -> None:
        if answer == "skip":
            self._skipped.add(commit)
        try:
            self._ask("bisect", answer, commit)
        except _RefusedError as error:
            if error.status != _ONLY_SKIPPED_LEFT:
                raise

    def _unknown(self) -> list[str]:
        return [commit for commit in self.candidates()[:-1] if commit not in self._skipped]


@contextlib.contextmanager
def _borrowed(rootdir: Path, head: str) -> Iterator[_Ask]:
    """Yield git in a new bare repository that borrows the objects of the one at ``rootdir``; it is gone afterwards.

    Unlike a shared clone it copies no refs, knows commits that no ref leads to, and works for a shallow clone.
    """
    kind = _ask(rootdir, "rev-parse", "--show-object-format").strip()
    places = _ask(rootdir, "rev-parse", "--git-path", "objects", "--git-path", "shallow")
    objects, shallow = places.splitlines()
    with workspace() as room:
        folder = room.path / "git"
        _ask(room.path, "init", "--quiet", "--bare", "--template=", f"--object-format={kind}", str(folder))
        (folder / "objects/info").mkdir(parents=True, exist_ok=True)
        (folder / "objects/info/alternates").write_bytes(os.fsencode(f"{(rootdir / objects).resolve().as_posix()}\n"))
        if (rootdir / shallow).is_file():
            (folder / "shallow").write_bytes((rootdir / shallow).read_bytes())

        def ask(*arguments: str, stdin: str = "") -> str:
            return _ask(room.path, *arguments, stdin=stdin, git_dir=folder)

        # Git starts no bisection without a HEAD.
        ask("update-ref", "--no-deref", "HEAD", head)
        yield ask


def _facts(ask: _Ask, commits: Iterable[str]) -> tuple[Commit, ...]:
    how = ("--no-walk=unsorted", "--no-show-signature", "--encoding=UTF-8", _FACTS)
    said = ask("log", *how, "--stdin", stdin="\n".join(commits))
    # What is no text in a name or a subject is shown as such: reports are text.
    said = said.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return tuple(Commit(*line.split("\0")) for line in said.split("\n") if line)


def _commit(rootdir: Path, revision: str) -> str:
    _ask(rootdir, "rev-parse", "--git-dir")  # says so where there is no repository at all
    if not revision.startswith("-"):
        with contextlib.suppress(_RefusedError):
            return _ask(rootdir, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").strip()
    raise BaseError(
        f"{revision!r} names no commit of this repository; if it is one of another clone's, get it with: git fetch"
    )


class _RefusedError(BaseError):
    """Git ended with an error; its exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _ask(folder: Path, *arguments: str, stdin: str = "", git_dir: Path | None = None) -> str:
    """Run git in ``folder`` and return what it printed. ``git_dir`` is the repository, if it is not the folder's.

    Raises:
        BaseError: there is no git, or it hangs.
        _RefusedError: it ended with an error.

    """
    asked, environ = stdin.encode("utf-8", "surrogateescape"), {"GIT_DIR": str(git_dir)} if git_dir else {}
    try:
        said = git.run(folder, *arguments, seconds=_SECONDS_TO_WAIT, stdin=asked, environ=environ)
    except git.GitError as error:
        if error.missing:
            raise BaseError(f"git cannot be started: {error}") from error
        words = f"git {' '.join(arguments)} failed: {' '.join((error.said or error.printed).split()) or error}"
        raise (BaseError(words) if error.status is None else _RefusedError(error.status, words)) from error
    return said.decode("utf-8", "surrogateescape")
