"""Performance tests you can trust as much as unit tests."""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__"]
