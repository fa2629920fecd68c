"""The reference workload: what this machine does in a moment, whatever the code under test is.

A stored time is divided by it, so that a machine that is slower as a whole is not taken for slower code. It must never
change: baselines are written in its units. A different workload would be a new format of the baseline.
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_pe_perf.measure.call import Call, Clock, timed_loop


def workload() -> int:
    """Do a little of what Python programs do: integers, calls, strings, dicts, lists, attribute look-ups."""
    total = 0
    words: dict[str, int] = {}
    for i in range(60):
        word = f"key-{i % 23}"
        words[word] = words.get(word, 0) + i
        total += i * i & 0xFF
    ranked = sorted(words.items(), key=lambda pair: -pair[1])
    text = ",".join(word.upper() for word, _ in ranked)
    return total + len(text.split(","))


def reference_timer(clock: Clock) -> Callable[[], int]:
    """Return a function that runs the workload once and returns its nanoseconds by ``clock``."""
    timed = timed_loop(Call(workload))
    return lambda: timed(1, clock)
