"""The interpreter's own business is put aside and put back."""

from __future__ import annotations

import cProfile
import gc
import sys

import pytest

from pytest_pe_perf.measure.quiet import monitored_by, quiet


def test_the_collector_is_off_inside_and_as_before_outside():
    """The garbage collector does not run within readings, and runs again afterwards."""
    frozen = gc.get_freeze_count()
    assert gc.isenabled()
    with quiet():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_the_collector_stays_on_where_asked():
    """A benchmark that wants the collector's cost gets it."""
    with quiet(collector=True):
        assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    """Somebody else's choice is not undone."""
    gc.disable()
    try:
        with quiet():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_everything_is_put_back_after_an_error():
    """An exception leaves the interpreter as it was."""
    tracer = sys.gettrace()
    with pytest.raises(ZeroDivisionError), quiet():
        1 / 0
    assert gc.isenabled()
    assert sys.gettrace() is tracer


def test_a_tracer_is_paused():
    """A trace function does not slow the readings, and traces again afterwards."""
    before = sys.gettrace()

    def tracer(*_args):
        return None

    sys.settrace(tracer)
    try:
        with quiet():
            assert sys.gettrace() is None
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


def test_a_profiler_is_paused_or_named():
    """cProfile is set aside within readings; where it instruments the code (Python 3.12), it is named instead."""
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        assert (monitored_by() == "cProfile") == (sys.version_info >= (3, 12))
        before = sys.getprofile()
        with quiet():
            assert sys.getprofile() is None
        assert sys.getprofile() is before
    finally:
        profiler.disable()


def test_garbage_is_swept_between_readings():
    """Cyclic garbage that piles up with the collector off is swept between the readings."""

    class Node:
        alive = 0

        def __init__(self) -> None:
            self.me = self
            Node.alive += 1

        def __del__(self) -> None:
            Node.alive -= 1

    with quiet() as between:
        for _ in range(60_000):
            Node()
        assert Node.alive == 60_000
        between()
        assert Node.alive == 0
