"""The time to import a module, in fresh processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from pytest_pe_perf.errors import UsageError
from pytest_pe_perf.judge.estimate import quantile
from pytest_pe_perf.measure.latency import SHARES
from pytest_pe_perf.measure.reference import reference_timer
from pytest_pe_perf.model import Sample

# What stands between the two looks at the clock must be the import and nothing else; `time` is built in.
_CODE = """\
import sys, time
{prelude}
sys.path[:] = {path!r}
cpu, start = time.process_time_ns(), time.perf_counter_ns()
import {module}
taken = time.perf_counter_ns() - start
print("pe-perf", taken, time.process_time_ns() - cpu)
"""
_SECONDS_TO_WAIT = 120.0
# A process is one reading: fewer say nothing of how they scatter.
_FEWEST = 5
# Runs of the reference workload after each process.
_REFERENCES = 20


def import_timer(module: str, prelude: str = "") -> Callable[[], tuple[int, int]]:
    """Return a function that imports ``module`` in a fresh process and returns its nanoseconds by wall clock and on the CPU.

    The process sees the same ``sys.path`` as this one. ``prelude`` is Python source that runs before the clock does.

    Raises:
        UsageError: ``module`` is not a module's name, or cannot be imported (when the function is called).

    """
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"the pe_import marker takes the name of a module, it got {module!r}")
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    code = _CODE.format(prelude=prelude, path=sys.path, module=module)
    command = [sys.executable, *flags, "-c", code]

    def once() -> tuple[int, int]:
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_SECONDS_TO_WAIT, check=False
        )
        last = done.stdout.strip().splitlines()[-1:]
        words = last[0].split() if last else []
        if done.returncode or words[:1] != ["pe-perf"]:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise UsageError(f"importing {module} in a fresh process failed (exit status {done.returncode}): {said}")
        return int(words[1]), int(words[2])

    return once


def import_time(module: str, seconds: float) -> Sample:
    """Import ``module`` in fresh processes for about ``seconds``, and return what that took, in seconds.

    Raises:
        UsageError: see ``import_timer``.

    """
    timer, reference = import_timer(module), reference_timer(time.perf_counter_ns)
    deadline = time.perf_counter_ns() + round(seconds * 1e9)
    taken: list[int] = []
    references: list[int] = []
    timer()  # writes byte code, and brings the files into memory
    while len(taken) < _FEWEST or time.perf_counter_ns() < deadline:
        taken.append(timer()[0])
        references += [reference() for _ in range(_REFERENCES)]
    ordered = [nanoseconds / 1e9 for nanoseconds in sorted(taken)]
    shares = tuple(quantile(ordered, share) for share in SHARES)
    return Sample(ordered[0], len(ordered), 1, shares, min(references) / 1e9)
