"""Where in a repository a row's test stands, and by which name other programs know the row again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from pytest_pe_perf.model import Judgement, Verdict
from pytest_pe_perf.report.screen import printable
from pytest_pe_perf.report.wording import left_open


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, relative to the root of the repository. A ``line`` of 0 is unknown."""

    path: str
    line: int


def place_of(judgement: Judgement, folder: str = "") -> Place | None:
    """Return where the row's test stands. ``folder`` is the one in the repository that node ids are relative to.

    None where the id names no file inside the repository: a run file may say anything.
    """
    path = judgement.key.test.partition("::")[0]
    if not path or path != printable(path) or "\\" in path or path.startswith("/") or ".." in path.split("/"):
        return None
    return Place(PurePosixPath(folder, path).as_posix(), max(judgement.line, 0))


def tells(judgement: Judgement) -> bool:
    """Whether the row belongs into a list of findings: it fails, or should have had an answer and has none."""
    return judgement.fails or (left_open(judgement) and judgement.verdict is not Verdict.NEW)


def fingerprint(judgement: Judgement) -> str:
    """Return a name of the row that is the same in every run, wherever its test has moved in the file."""
    key = judgement.key
    text = f"{key.test}\0{key.name}\0{key.metric}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:32]
