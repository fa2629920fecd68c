"""What it costs to watch over memory: a check, one that comes too early, one that asks; the figures; a look for leaks."""

from __future__ import annotations

import pytest

from engine_opt.optimization.leak_detector import find_leak
from engine_opt.optimization.memory_manager import MemoryBudget, MemoryLevel, MemoryManager, frozen_collector

CONSUMERS = 8
PLENTY = MemoryBudget(2**50)


@pytest.fixture
def managed():
    """Return a function that makes a manager of eight consumers."""

    def make(budget=PLENTY, **settings):
        memory = MemoryManager(budget, **settings)
        for number in range(CONSUMERS):
            memory.register(f"consumer {number}", lambda: 1000, lambda fraction: int(1000 * fraction))
        return memory

    return make


def test_check(pe_latency, pe_memory, managed):
    """The level is normal: what it costs is the system's answer how much is resident."""
    memory = managed()
    assert pe_latency(memory.check).level is MemoryLevel.NORMAL
    pe_memory(memory.check)


def test_check_too_early(pe_latency, pe_memory, managed):
    """Within the interval nothing is read: what an engine pays that checks with each bar."""
    memory = managed(interval=1e6)
    assert pe_latency(memory.check) is memory.check()
    pe_memory(memory.check)


def test_check_that_asks_eight_to_shed(pe_latency, pe_memory, managed):
    """The level is critical, and stays so; the size is told, so that the system has no part in it."""
    memory = managed(MemoryBudget(1), resident=lambda: 1)
    assert len(pe_latency(memory.check).given) == CONSUMERS
    pe_memory(memory.check)


def test_stats(pe_latency, pe_memory, managed):
    """What a monitor pays that pulls them."""
    memory = managed()
    memory.check()
    assert pe_latency(memory.stats)["checks"] == 1
    pe_memory(memory.stats)


def test_breakdown(pe_latency, managed):
    """The kernel adds up all mappings for it: for a report, not for each bar."""
    assert len(pe_latency(managed().breakdown).causes) == CONSUMERS + 1


def test_a_look_for_leaks(pe_latency):
    """Of work that does nothing, 12 blocks of 3 iterations: 36 full collections of what was made in the scope."""
    with frozen_collector():
        report = pe_latency(find_leak, lambda: None, blocks=12, iterations=3, warm_up=0)
    assert not report.leaking
