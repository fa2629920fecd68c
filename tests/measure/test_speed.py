"""How fast the machine is, asked of real processes."""

from __future__ import annotations

import sys

import pytest

from pytest_pe_perf.measure.speed import MachineSpeed, read_reference


def test_it_is_the_least_that_the_workload_took() -> None:
    """By a clock that stands still but for the workload: 5, then 3, then 4 units, and the time is over."""
    looks = iter([0, 5, 10, 20, 20, 23, 30, 30, 34, 10**9, 10**9])
    assert read_reference(lambda: next(looks)) == pytest.approx(3e-9)


def test_processes_are_asked_once_in_a_while() -> None:
    speed = MachineSpeed()
    now = speed.now()
    assert now is not None
    assert 1e-7 < now < 1e-2
    assert speed.now() is now


def test_nothing_is_known_where_no_process_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert MachineSpeed().now() is None
