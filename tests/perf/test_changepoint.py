"""What it costs to search a history of 500 runs for changes of level: 20 ms at most."""

from __future__ import annotations

import math
import random

import pytest

from pytest_pe_perf.judge.changepoint import change_points, level_changes

RUNS = 500
STEPS = (120, 210, 380)


def history(*steps):
    """Return a history with heavy tails that takes 5 % more time from each step on, and a spike here and there."""
    rng = random.Random(0)
    values = []
    for run in range(RUNS):
        noise = rng.gauss(0, 0.01) / math.sqrt(sum(rng.gauss(0, 1) ** 2 for _ in range(3)) / 3)
        level = 1.05 ** sum(step <= run for step in steps)
        values.append(level * math.exp(noise) * (3.0 if rng.random() < 0.01 else 1.0))
    return values


@pytest.mark.pe_latency(max_latency="20 ms")
def test_search_a_quiet_history(pe_latency, pe_memory):
    """Which most are."""
    values = history()
    assert pe_latency(change_points, values) == ()
    pe_memory(change_points, values)


@pytest.mark.pe_latency(max_latency="20 ms")
def test_search_a_history_with_steps(pe_latency, pe_memory):
    """With the sizes of what is found."""
    values = history(*STEPS)
    assert [change.index for change in pe_latency(level_changes, values)] == list(STEPS)
    pe_memory(level_changes, values)


@pytest.mark.pe_latency(max_latency="20 ms")
def test_search_what_was_added(pe_latency):
    """The changes that are known already need no search."""
    values = history(*STEPS)
    assert pe_latency(change_points, values, known=STEPS) == STEPS
