"""What a scope with three resources costs, beside the ExitStack of the standard library, which counts nothing."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from engine_opt.optimization.resource_manager import ResourceManager


class Resource:
    """Something that is closed."""

    closed = False

    def close(self):
        """Be closed."""
        self.closed = True


@pytest.fixture
def manager():
    """Return a manager with a limit."""
    with ResourceManager(limits={"file": 8}) as manager:
        yield manager


def use_scope(manager):
    """Open a scope with three resources, and return whether the first is closed."""
    with manager.scope("work") as scope:
        first = scope.enter("file", Resource())
        scope.enter("file", Resource())
        scope.enter("socket", Resource())
    return first.closed


def use_stack():
    """Do the same with the standard library."""
    with ExitStack() as stack:
        first = Resource()
        for each in (first, Resource(), Resource()):
            stack.callback(each.close)
    return first.closed


def test_scope_with_three_resources(pe_latency, pe_memory, manager):
    """Limits, counts and ages included."""
    assert pe_latency(use_scope, manager)
    pe_memory(use_scope, manager)


def test_exit_stack_with_three_resources(pe_latency, pe_memory):
    """The yardstick."""
    assert pe_latency(use_stack)
    pe_memory(use_stack)


def test_keep_alive_and_sweep(pe_latency, pe_memory, manager):
    """A scope that is told again and again to stay: the schedule does not grow."""
    scope = manager.scope("kept")

    def keep():
        scope.close_after(60.0)
        return manager.sweep()

    assert pe_latency(keep) == 0
    pe_memory(keep)
