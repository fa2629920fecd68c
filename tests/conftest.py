"""Settings of the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No test of this suite depends on how fast the machine is, property tests included. Every build draws other examples,
# so that a few in each are many in a week; `--hypothesis-profile thorough` draws many at once.
settings.register_profile("here", deadline=None, max_examples=30)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("here")

# pytest-benchmark switches itself off in a worker of pytest-xdist. The processes that our tests start are none.
for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
    os.environ.pop(name, None)

# Stories of real processes and a real browser, beside whatever else the machine does at that moment.
REAL = frozenset({"browser", "ci", "cli", "docs", "measure", "monitoring", "optimization", "plugin", "profile"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a story that failed be told once more: one bad moment of a busy machine is not a fault of the code.

    The last line counts them and the summary names them, so that one that needs it often is seen, and mended.
    """
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] in REAL:
            item.add_marker(pytest.mark.flaky(reruns=1))
