"""Performance tests you can trust as much as unit tests.

PYTEST_DONT_REWRITE: one side of a pair imports us before pytest, which would comment on that.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__"]
