"""How fast this machine is now: the reference workload in fresh processes that do nothing else.

Where the reference workload was slow beside a test, either the machine is slow or that one process was. Three processes
that only run the workload tell which for the price of a second; measuring the test again costs several.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from pytest_pe_perf.measure.call import Clock
from pytest_pe_perf.measure.fresh import inherited
from pytest_pe_perf.measure.quiet import quiet
from pytest_pe_perf.measure.reference import reference_timer

# In one process of twenty the fast speed of a virtual machine never comes; in all of three, in one of eight thousand.
_PROCESSES = 3
# A virtual machine changes its speed every 20 to 60 ms.
_READ_NS = 150_000_000
_SECONDS_TO_WAIT = 30.0
# What the machine was a while ago says nothing of now.
_SECONDS_KNOWN = 30.0


class MachineSpeed:
    """What the reference workload takes on this machine, asked anew when the last answer is too old."""

    def __init__(self) -> None:
        self._known: float | None = None
        self._until = 0.0

    def now(self) -> float | None:
        """Return the seconds of the reference workload at its fastest; None where the processes gave no answer."""
        if time.monotonic() >= self._until:
            taken = [_ask() for _ in range(_PROCESSES)]
            self._known = None if None in taken else min(seconds for seconds in taken if seconds is not None)
            self._until = time.monotonic() + _SECONDS_KNOWN
        return self._known


def read_reference(clock: Clock = time.perf_counter_ns) -> float:
    """Return the seconds of the reference workload in this process, the least of many."""
    timed = reference_timer(clock)
    with quiet():
        least, end = timed(), clock() + _READ_NS
        while clock() < end:
            least = min(least, timed())
    return least / 1e9


def _ask() -> float | None:
    command = [sys.executable, "-P", "-m", __name__]
    environ = inherited(os.environ)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS_TO_WAIT,
            env=environ,
            check=True,
        )
        return float(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None  # nothing is known then, and the test itself is measured again


if __name__ == "__main__":
    print(read_reference())
