"""Where a module's baseline stands: ``<folder>/<environment>/<module>.json``."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_pe_perf.errors import BaselineError
from pytest_pe_perf.model import Environment

# A run file may come from anywhere: its environment names a folder below ours and nothing else.
_SLUG = re.compile(r"\w[\w.+-]*", re.ASCII)
# Underscores that would be taken for a "/", and what some file systems refuse.
_ESCAPED = re.compile(r"(?<=_)_|(?<![^/])_|_(?![^/])|[%<>:\"|?*\\\x00-\x1f]")


def folder_of(folder: Path, environment: Environment) -> Path:
    """Return the folder of an environment's baselines.

    Raises:
        BaselineError: the environment's slug is no name of a folder.

    """
    if not _SLUG.fullmatch(environment.slug):
        raise BaselineError(f"the environment {environment.slug!r} is no name of a folder; measure again")
    return folder / environment.slug


def path_of(folder: Path, environment: Environment, module: str) -> Path:
    """Return the file that holds the module's baseline.

    Raises:
        BaselineError: the environment's slug is no name of a folder.

    """
    return folder_of(folder, environment) / file_name(module)


def file_name(module: str) -> str:
    """Return the name of a module's file: ``tests/test_x.py`` -> ``tests__test_x.json``.

    No two modules share a name: an underscore beside another or at either end of a part is written ``%5F``, and a
    module that is not ``<one word>.py`` keeps its whole name and gets a ``%``.
    """
    stem = module.removesuffix(".py")
    if stem == module or "." in stem.rpartition("/")[2]:
        return f"{_flat(module)}%.json"
    return f"{_flat(stem)}.json"


def _flat(path: str) -> str:
    escaped = _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", path)
    return escaped.replace("/", "__")
