"""The accounts."""

from __future__ import annotations

from enum import StrEnum


class AccountType(StrEnum):
    """Generation, Revenue and Compounding account."""

    GEN = "GEN"
    REV = "REV"
    COM = "COM"
