"""Settings of the whole suite."""

from __future__ import annotations

import os

from hypothesis import settings

# No test of this suite depends on how fast the machine is, property tests included.
settings.register_profile("here", deadline=None)
settings.load_profile("here")

# pytest-benchmark switches itself off in a worker of pytest-xdist. The processes that our tests start are none.
for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
    os.environ.pop(name, None)
