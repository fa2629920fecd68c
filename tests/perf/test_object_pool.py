"""What a lease costs, beside making the same buffers anew: a megabyte each, written to as scratch arrays are.

A pool brings no time here as long as the C library keeps what was freed last at hand. What it brings is the peak, some
kilobytes in place of the buffers' own megabytes.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from operator import attrgetter

import numpy as np
import pytest

from engine_opt.optimization.object_pool import ObjectPool

NUMBERS = 2**17  # of 8 bytes: a megabyte

COUNT = 8

scratch = partial(np.empty, NUMBERS)


@pytest.fixture
def pool():
    """Return a pool whose buffers have been made, and written to."""
    with ObjectPool(scratch, size=COUNT, weigh=attrgetter("nbytes"), name="scratch") as pool:
        write_leased(pool, COUNT)
        yield pool


def lease_and_release(pool):
    """Have a buffer and give it back; return whether it was one."""
    with pool.lease() as lease:
        return lease.value is not None


def write_leased(pool, count):
    """Write to every number of some leased buffers, and return the last."""
    with ExitStack() as stack:
        buffers = [stack.enter_context(pool.lease()).value for _ in range(count)]
        for buffer in buffers:
            buffer.fill(1.0)
        return buffers[-1][-1]


def write_fresh(count):
    """Write to every number of some new buffers, and return the last."""
    buffers = [scratch() for _ in range(count)]
    for buffer in buffers:
        buffer.fill(1.0)
    return buffers[-1][-1]


@pytest.mark.pe_latency(max_latency="1 us")
def test_lease(pe_latency, pe_memory, pool):
    """A lease of what is idle, its object, and its end."""
    assert pe_latency(lease_and_release, pool)
    pe_memory(lease_and_release, pool)


def test_lease_with_reset_and_idle_limit(pe_latency):
    """The same where each return calls a function and looks at the clock."""
    with ObjectPool(bytearray, size=2, reset=bytearray.clear, idle_seconds=60.0) as pool:
        lease_and_release(pool)
        assert pe_latency(lease_and_release, pool)


@pytest.mark.parametrize("count", [1, COUNT])
def test_write_leased_megabytes(pe_latency, pe_memory, pool, count):
    """The pages are there already."""
    assert pe_latency(write_leased, pool, count) == 1.0
    pe_memory(write_leased, pool, count)


@pytest.mark.parametrize("count", [1, COUNT])
def test_write_new_megabytes(pe_memory, count):
    """What a pool is there to save. Their time is 30 times longer where the C library gives the pages back: it gates nothing."""
    assert pe_memory(write_fresh, count) == 1.0
