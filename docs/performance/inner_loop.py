"""What our loop adds to a call, against ``timeit``: the same empty function, in turn. Budget: 10 ns a call."""

from __future__ import annotations

import os
import sys
import time
import timeit

from pytest_pe_perf.measure.call import Call, timed_loop

CALLS = 100_000
ROUNDS = 60
BUDGET_NS = 10.0


def f() -> None:
    """Do nothing."""


def g(_a: int, *, _b: int) -> None:
    """Do nothing with two arguments."""


def compare(call: Call, statement: str) -> float:
    """Print the minimum of both loops in nanoseconds a call, and return the difference."""
    ours = timed_loop(call)
    timer = timeit.Timer(statement, globals=globals(), timer=time.perf_counter_ns)
    a, b = [], []
    for number in range(ROUNDS):
        if number % 2:
            a.append(ours(CALLS, time.perf_counter_ns) / CALLS)
            b.append(timer.timeit(CALLS) / CALLS)
        else:
            b.append(timer.timeit(CALLS) / CALLS)
            a.append(ours(CALLS, time.perf_counter_ns) / CALLS)
    print(f"{statement:>12}: ours {min(a):.1f} ns, timeit {min(b):.1f} ns, difference {min(a) - min(b):+.1f} ns a call")
    return min(a) - min(b)


def main() -> int:
    """Compare with and without arguments."""
    worst = max(compare(Call(f), "f()"), compare(Call(g, (1,), {"_b": 2}), "g(1, _b=2)"))
    verdict = "kept" if worst <= BUDGET_NS else "EXCEEDED"
    print(
        f"budget {BUDGET_NS} ns: {verdict}; minimum of {ROUNDS} rounds of {CALLS} calls; load {os.getloadavg()[0]:.1f}"
    )
    return 0 if worst <= BUDGET_NS else 1


if __name__ == "__main__":
    sys.exit(main())
