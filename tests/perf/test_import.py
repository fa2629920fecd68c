"""What it costs to import the engine, each time in a fresh process."""

from __future__ import annotations

import pytest


@pytest.mark.pe_import("engine_opt")
def test_import_the_package():
    """The bare package: names come when they are first used."""


@pytest.mark.pe_import("engine_opt.engine")
def test_import_the_whole_engine():
    """All five components; the standard library and nothing else."""


@pytest.mark.pe_import("engine_opt.batch.week")
def test_import_the_batch_engine():
    """NumPy comes along."""
