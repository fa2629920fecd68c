"""Settings of the whole suite."""

from __future__ import annotations

from hypothesis import settings

# No test of this suite depends on how fast the machine is, property tests included.
settings.register_profile("here", deadline=None)
settings.load_profile("here")
