"""Earlier runs on a branch of their own in git: a file of JSON lines for each, so that two writers never conflict.

No checkout, index or hook of the user's is touched: files are read with ``cat-file`` and written with ``fast-import``,
which moves the branch only if nobody else has moved it meanwhile. What was fetched from a remote is joined whenever the
branch is opened; to push is the user's business. An SQLite file in git's own folder is the index of what the branch
holds: it is brought up to date from the names of the files, and may be deleted at any time.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from pytest_pe_perf import git
from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.model import Course, Key, Point

from .interface import HistoryStore, Names
from .record import FORMAT, About, Record, decode, encode
from .renames import merged, names_as_lists, names_from
from .sqlite import SqliteHistory, open_sqlite

# Says that a branch is a history: without it nothing is ever written to one.
MARK = "pe-perf.json"
_SECONDS_TO_WAIT = 60.0
# Another process that moves the branch takes milliseconds; so many in a row before this one is a process that hangs.
_SECONDS_TO_TRY = 30.0
_FILE = re.compile(r"runs/\d{4}/\d{2}/[0-9TZ.]+-([0-9a-f]{20})\.jsonl")


@dataclass(frozen=True, slots=True)
class _Tree:
    """What stands on a branch: the blob of each run's file by its path, and that of the mark."""

    files: Mapping[str, str] = field(default_factory=dict)
    mark: str = ""


@dataclass(frozen=True, slots=True)
class _Change:
    """What is to happen to the branch: a commit on its tip, or a step ``forward`` to one that is there already.

    ``files`` are those that the commit changes, by path: a blob that exists, new content, or None for one that goes.
    ``when`` is in seconds since 1970. ``merge`` is the commit's second parent, if it has one.
    """

    files: Mapping[str, str | bytes | None] = field(default_factory=dict)
    message: str = ""
    when: int = 0
    merge: str = ""
    forward: str = ""


class GitHistory(HistoryStore):
    """A history on a branch; see ``open_branch``."""

    def __init__(self, root: Path, branch: str, index: SqliteHistory) -> None:
        self._root, self._branch, self._index = root, branch, index
        self._ref = f"refs/heads/{branch}"
        # Written with the first run: who only looks makes no branch.
        self._owner = ""

    # Reading: the index, once it is up to date

    def runs(self) -> tuple[About, ...]:
        """Return what is known of each run, the oldest first."""
        return self._index.runs()

    def record(self, run: About) -> Record:
        """Return a run with its values; a run that is not there has none."""
        return self._index.record(run)

    def series(self) -> tuple[tuple[str, Key], ...]:
        """Return the environment and the key of each row that has a point, in order."""
        return self._index.series()

    def trends(self, environment_slug: str, keys: Iterable[Key], limit: int = 500) -> dict[Key, tuple[Point, ...]]:
        """Return the last ``limit`` points of each row, the oldest first; an unknown row has none."""
        return self._index.trends(environment_slug, keys, limit)

    def courses(self, runs: Sequence[About], keys: Iterable[Key]) -> dict[Key, Course]:
        """Return what became of each row in ``runs``, in their order; a row that has no point in any is left out."""
        return self._index.courses(runs, keys)

    def project(self) -> str:
        """Return whose history it is; empty where nobody has said."""
        return str(self._about(self._tip()).get("project", self._owner))

    def renames(self) -> Names:
        """Return what became of the names of renamed tests."""
        return self._index.renames()

    # Writing: a commit

    def add(self, records: Iterable[Record]) -> int:
        """Add runs, all or none; those that are there already are left out. Return how many are new."""
        wanted = {path_of(record.about): record for record in records}
        new: dict[str, Record] = {}

        def change(tip: str) -> _Change | None:
            there = self._tree(tip).files
            new.clear()
            new.update({path: record for path, record in wanted.items() if path not in there})
            if not new:
                return None
            last = max(record.about.started for record in new.values())
            what = "a run" if len(new) == 1 else f"{len(new)} runs"
            files = {path: encode(record) for path, record in new.items()}
            mark = {} if tip else {MARK: _mark(self._owner, {})}
            return _Change({**files, **mark}, f"Add {what}", _seconds(last))

        self._commit(change)
        self._refresh()
        return len(new)

    def remove(self, runs: Iterable[About]) -> None:
        """Take runs out, all or none."""
        gone = {path_of(run) for run in runs}

        def change(tip: str) -> _Change | None:
            files = dict.fromkeys(gone & self._tree(tip).files.keys())
            return _Change(files, f"Remove {len(files)} runs", self._when(tip)) if files else None

        self._commit(change)
        self._refresh()

    def give_to(self, project: str) -> None:
        """Make it the history of ``project``."""

        def change(tip: str) -> _Change | None:
            if not tip:
                return None
            mark = _mark(project, _names(self._about(tip)))
            return _Change({MARK: mark}, f"History of {project}", self._when(tip))

        self._owner = project

        self._commit(change)

    def rename(self, change: Callable[[Names], Names]) -> None:
        """Put what ``change`` makes of the names of renamed tests in their place; a branch without a run has none."""

        def marked(tip: str) -> _Change | None:
            if not tip:
                return None
            about = self._about(tip)
            mark = _mark(about.get("project", ""), change(_names(about)))
            return _Change({MARK: mark}, "Rename tests", self._when(tip))

        self._commit(marked)
        self._refresh()

    def join(self) -> None:
        """Bring the branch up to what was fetched of it, and the index up to the branch."""
        ours = self.project()
        for theirs in self._fetched():
            project = self._about(theirs).get("project", "")
            if ours and project not in ("", ours):
                raise HistoryError(f"what was fetched is the history of {project!r} and not of {ours!r}: delete one")
            self._commit(partial(self._joined, theirs=theirs))
        self._refresh()

    def _fetched(self) -> list[str]:
        lines = self._git("for-each-ref", "--format=%(objectname)", f"refs/remotes/*/{self._branch}")
        return list(dict.fromkeys(lines.decode("ascii").split()))

    def _joined(self, tip: str, *, theirs: str) -> _Change | None:
        """Return the change that adds their files, and takes away those that they took; None where they have no news."""
        base = self._base(tip, theirs)
        if base == theirs:
            return None
        if base == tip:
            return _Change(forward=theirs)
        ours, others, common = self._tree(tip).files, self._tree(theirs).files, self._tree(base).files
        files: dict[str, str | bytes | None] = {path: blob for path, blob in others.items() if path not in common}
        files |= dict.fromkeys(common.keys() & ours.keys() - others.keys())
        about = self._about(tip)
        names = merged(_names(about), _names(self._about(theirs)), _names(self._about(base)))
        if names != _names(about):
            files[MARK] = _mark(about.get("project", ""), names)
        return _Change(files, f"Join what was fetched of {self._branch}", self._when(tip), merge=theirs)

    def _base(self, tip: str, theirs: str) -> str:
        """Return the commit from which both went on; empty where they began apart, or the clone is too shallow."""
        return self._answer("merge-base", tip, theirs) if tip else ""

    def _commit(self, make: Callable[[str], _Change | None]) -> None:
        """Commit what ``make`` makes of the branch's tip, anew if another process was faster."""
        deadline = time.monotonic() + _SECONDS_TO_TRY
        while (change := make(tip := self._tip())) is not None:
            try:
                if change.forward:
                    # An empty tip says that there must be no branch yet.
                    self._git("update-ref", self._ref, change.forward, tip)
                else:
                    self._git("fast-import", "--quiet", stdin=b"".join(_stream(self._ref, tip, change)))
            except git.GitError as error:
                moved = self._tip() != tip or ".lock" in error.said
                if not moved or time.monotonic() > deadline:
                    raise
            else:
                return

    # What git knows

    def _git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return git.run(self._root, *arguments, seconds=_SECONDS_TO_WAIT, stdin=stdin)

    def _answer(self, *question: str) -> str:
        """Return the line that git printed; empty where it says with its exit status that there is none."""
        try:
            return git.line(self._git(*question))
        except git.GitError as error:
            if error.status != 1:
                raise
            return ""

    def _tip(self) -> str:
        """Return the commit that the branch is at; empty where there is no branch."""
        return self._answer("rev-parse", "--verify", "--quiet", f"{self._ref}^{{commit}}")

    def _tree(self, commit: str) -> _Tree:
        if not commit:
            return _Tree()
        listed = [entry.split("\t") for entry in git.names(self._git("ls-tree", "-r", "-z", commit))]
        blobs = {path: facts.split()[2] for facts, path in listed}
        return _Tree({path: blob for path, blob in blobs.items() if _FILE.fullmatch(path)}, blobs.get(MARK, ""))

    def _when(self, tip: str) -> int:
        return int(self._git("show", "--no-patch", "--format=%ct", tip)) if tip else 0

    def _about(self, commit: str) -> dict[str, Any]:
        """Return what the mark of a commit says.

        Raises:
            HistoryError: it has none, and is somebody's work; or it is newer or cannot be read.

        """
        return self._marked(self._tree(commit)) if commit else {}

    def _marked(self, tree: _Tree) -> dict[str, Any]:
        if not tree.mark:
            raise HistoryError(f"the branch is no history: it has no {MARK}; name one that does not exist yet")
        try:
            about = json.loads(self._git("cat-file", "blob", tree.mark))
            found = about["format"]
        except (ValueError, LookupError, TypeError) as error:
            raise HistoryError(f"{MARK} on the branch cannot be read: {error}") from error
        if not isinstance(found, int) or found > FORMAT:
            raise HistoryError(
                f"format {found} is newer than the {FORMAT} that this version understands: upgrade pytest-pe-perf"
            )
        return dict(about)

    def _refresh(self) -> None:
        """Make the index hold what the branch holds."""
        tip = self._tip()
        tree = self._tree(tip)
        blobs = {_digest(path): (path, blob) for path, blob in tree.files.items()}
        known = {run.digest: run for run in self._index.runs()}
        gone = [run for digest, run in known.items() if digest not in blobs]
        if gone:
            self._index.remove(gone)
        missing = {digest: place for digest, place in blobs.items() if digest not in known}
        if missing:
            self._index.add(self._read(missing))
        names = _names(self._marked(tree) if tip else {})
        if names != self._index.renames():
            self._index.rename(lambda _: names)

    def _read(self, places: Mapping[str, tuple[str, str]]) -> Iterator[Record]:
        asked = "".join(f"{blob}\n" for _, blob in places.values()).encode("ascii")
        output, start = self._git("cat-file", "--batch", stdin=asked), 0
        for digest, (path, _) in places.items():
            head, _, _ = output[start:].partition(b"\n")
            start += len(head) + 1
            size = int(head.rpartition(b" ")[2]) if b" blob " in head else 0
            try:
                yield decode(output[start : start + size], digest)
            except HistoryError as error:
                raise HistoryError(f"{path} on the branch: {error.args[0]}") from error
            start += size + 1


def path_of(run: About) -> str:
    """Return the name of a run's file: by month, so that no folder grows without end."""
    moment = datetime.fromisoformat(run.started)
    return f"runs/{moment:%Y/%m/%Y%m%dT%H%M%S.%fZ}-{run.digest}.jsonl"


def _digest(path: str) -> str:
    return path.removesuffix(".jsonl").rpartition("-")[2]


def _mark(project: str, names: Names) -> bytes:
    about: dict[str, object] = {"format": FORMAT, "project": project}
    if names:
        about["renames"] = names_as_lists(names)
    return json.dumps(about, indent=1).encode("ascii") + b"\n"


def _names(about: Mapping[str, Any]) -> Names:
    return names_from(about.get("renames", {}))


def _seconds(started: str) -> int:
    # Git has no commits of before 1970.
    return max(int(datetime.fromisoformat(started).timestamp()), 0)


def _stream(ref: str, tip: str, change: _Change) -> Iterator[bytes]:
    """Yield what tells ``git fast-import`` to make a commit."""
    message = change.message.encode("utf-8")
    yield f"commit {ref}\ncommitter pe-perf <pe-perf@localhost> {change.when} +0000\n".encode()
    yield b"data %d\n%s\n" % (len(message), message)
    if tip:
        yield f"from {tip}\n".encode("ascii")
    if change.merge:
        yield f"merge {change.merge}\n".encode("ascii")
    for path, content in sorted(change.files.items()):
        if content is None:
            yield f"D {path}\n".encode("ascii")
        elif isinstance(content, str):
            yield f"M 100644 {content} {path}\n".encode("ascii")
        else:
            yield b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode("ascii"), len(content), content)
    yield b"\n"


@contextmanager
def open_branch(root: Path, branch: str) -> Iterator[GitHistory]:
    """Open the history on a branch of the repository that ``root`` is in; it is made by the first run.

    Raises:
        HistoryError: git cannot be run there, the name is no branch's, or the branch holds something else.

    """
    if branch.startswith("-"):
        raise HistoryError("it is no name of a branch")
    try:
        git.run(root, "check-ref-format", f"refs/heads/{branch}", seconds=_SECONDS_TO_WAIT)
        output = git.run(root, "rev-parse", "--git-common-dir", seconds=_SECONDS_TO_WAIT)
    except git.GitError as error:
        why = "it is no name of a branch" if error.status == 1 else f"git: {error}"
        raise HistoryError(why) from error
    # Relative to the folder, where it is that of the repository itself.
    folder = root / git.line(output)
    try:
        with open_sqlite(folder / "pe-perf" / f"{branch.replace('/', '%')}.sqlite") as index:
            history = GitHistory(root, branch, index)
            history.join()
            yield history
    except git.GitError as error:
        raise HistoryError(f"git: {error}; nothing was added") from error
