"""Starts pytest as one side of a pair: ``python -P -m pytest_pe_perf.measure.paired.start`` and pytest's arguments.

A first argument ``-P`` means that pytest is to be started with that option too; otherwise the working directory comes
first on the path, as with ``python -m pytest``.

The project must resolve to the side's own tree before anything of it is imported, so before pytest itself starts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from pytest_pe_perf.measure.fresh import end_with_parent
from pytest_pe_perf.measure.paired import imports

VARIABLE = "PE_PERF_TREES"


class Trees(msgspec.Struct, frozen=True):
    """The folder that the user's project stands in, and the one that stands for it on this side."""

    original: str
    tree: str


def _trees() -> Trees:
    return msgspec.json.decode(os.environ[VARIABLE], type=Trees)


def prelude() -> str:
    """Return Python source that leads the imports of a fresh interpreter to this side's tree."""
    trees = _trees()
    return imports.child_prelude(Path(trees.original), Path(trees.tree))


def _redirect(trees: Trees) -> None:
    """Lead this process to its tree, and those that the tests start."""
    known = set(sys.path)
    imports.redirect(Path(trees.original), Path(trees.tree))
    inherited = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    os.environ["PYTHONPATH"] = os.pathsep.join([*(path for path in sys.path if path not in known), *inherited])


def main() -> None:
    """Redirect the project's imports and hand over to pytest."""
    end_with_parent()
    if sys.argv[1:2] == ["-P"]:
        del sys.argv[1]
    else:
        sys.path.insert(0, str(Path.cwd()))
    _redirect(_trees())
    import pytest

    sys.exit(pytest.console_main())


if __name__ == "__main__":
    main()
