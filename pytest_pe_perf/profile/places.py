"""The names by which a function is found again in another commit, on another machine: no line, and no folder of ours."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from pytest_pe_perf.model import Frame
from pytest_pe_perf.profile.stacks import LONGEST_NAME

_ENVIRONMENTS = ("site-packages", "dist-packages")
_PARTS = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"})


class Places:
    """Names the frames of one process, whose project stands in ``root`` and whose libraries in the folders of ``path``."""

    def __init__(self, root: Path, path: Sequence[str] | None = None) -> None:
        self._root = f"{root}{os.sep}"
        # The longest first: a folder of the path may lie within another one.
        found = {f"{Path(folder or '.').absolute()}{os.sep}" for folder in (sys.path if path is None else path)}
        self._path = sorted(found, key=lambda folder: (-len(folder), folder))
        self._library = f"{sysconfig.get_paths()['stdlib']}{os.sep}"
        self.named = lru_cache(maxsize=None)(self._named)

    def frame(self, function: str, file: str, line: int) -> Frame:
        """Return the frame of a function."""
        name, own = self.named(file)
        return Frame(function[:LONGEST_NAME], name, own, line)

    def frames(self, trace: Iterable[tuple[str, str, int]]) -> tuple[Frame, ...]:
        """Return the frames of functions with their files and lines, the outermost first.

        A comprehension is part of the function that it stands in, as from Python 3.12 on.
        """
        found: list[Frame] = []
        for function, file, line in trace:
            frame = self.frame(function, file, line)
            around, _, last = function.rpartition(".<locals>.")
            if last in _PARTS:
                above = found[-1] if found and found[-1].file == frame.file else None
                if around:
                    frame = replace(frame, function=around[:LONGEST_NAME])
                elif above:  # memray knows no qualified names
                    frame = replace(frame, function=above.function)
                if frame == above:
                    found.pop()
            found.append(frame)
        return tuple(found)

    def _named(self, file: str) -> tuple[str, bool]:
        """Return the name of a file, and whether it is the project's."""
        if file.startswith("<"):
            return file[:LONGEST_NAME], False
        parts = Path(file).parts
        library = file.startswith(self._library) or any(part in parts for part in _ENVIRONMENTS)
        if file.startswith(self._root) and not library:
            return _short(file.removeprefix(self._root)), True
        folder = next((folder for folder in self._path if file.startswith(folder)), None)
        # Whatever stands elsewhere: its folders are nobody's business.
        name = file.removeprefix(folder) if folder else "/".join(parts[-2:])
        return _short(name), not library


def _short(name: str) -> str:
    return name.replace(os.sep, "/")[-LONGEST_NAME:]
