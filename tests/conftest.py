"""Settings of the whole suite."""

from __future__ import annotations

import os

from hypothesis import settings

# No test of this suite depends on how fast the machine is, property tests included. Every build draws other examples,
# so that a few in each are many in a week; `--hypothesis-profile thorough` draws many at once.
settings.register_profile("here", deadline=None, max_examples=30)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("here")

# pytest-benchmark switches itself off in a worker of pytest-xdist. The processes that our tests start are none.
for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
    os.environ.pop(name, None)
