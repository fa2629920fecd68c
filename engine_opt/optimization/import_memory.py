"""What imports, and other first steps, add to a process: measured in fresh processes.

What an import has taken cannot be found out in the process that did it: its modules share pages with all else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.optimization import process_memory

INTERPRETER = "interpreter"


@dataclass(frozen=True, slots=True)
class StepMemory:
    """What a process holds after a step, and what the step added; bytes, medians over fresh processes.

    Attributes:
        name: the step.
        added: resident bytes more than before it.
        least: the least that it added in any of the processes; below 0 where something was given back.
        most: the most.
        rss: resident bytes after it.
        uss: resident bytes that no other process shares.
        high_water: the most that were ever resident.

    """

    name: str
    added: int
    least: int
    most: int
    rss: int
    uss: int
    high_water: int


def imports_by_package(modules: Sequence[str], *, repeats: int = 5, seconds: float = 60.0) -> tuple[StepMemory, ...]:
    """Return what the interpreter holds, and what importing each of these modules adds, one after the other.

    What two of them need is counted with the one that comes first. `repeats` and `seconds` as for `memory_of_steps`.
    """
    for number, module in enumerate(modules):
        if type(module) is not str or not all(part.isidentifier() for part in module.split(".")):
            raise InputError(f"modules[{number}]", module, "it must be the dotted name of a module")
    return memory_of_steps({module: f"import {module}" for module in modules}, repeats=repeats, seconds=seconds)


def memory_of_steps(steps: Mapping[str, str], *, repeats: int = 5, seconds: float = 60.0) -> tuple[StepMemory, ...]:
    """Return what a fresh interpreter holds, and after each of these statements, by name.

    The statements are run in order in each of `repeats` processes, which find modules where this one does and may take
    `seconds` each. Raises InputError where a statement fails or does not come to its end in time.
    """
    if INTERPRETER in steps:
        raise InputError("steps", INTERPRETER, "this is the name of what was there before the first step")
    if type(repeats) is not int or repeats < 1:
        raise InputError("repeats", repeats, "it must be a whole number of processes, at least 1")
    check.positive("seconds", seconds)
    runs = [_run(steps, seconds) for _ in range(repeats)]
    return tuple(_summary(name, number, runs) for number, name in enumerate((INTERPRETER, *steps)))


def _run(steps: Mapping[str, str], seconds: float) -> list[list[int]]:
    """Return RSS, USS and high-water mark of one process, before the first step and after each."""
    # -P: the folder of the program is no place to look for modules; it is that of this package.
    command = [sys.executable, "-P", process_memory.__file__, *steps.values()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds, check=False, encoding="utf-8"
        )
    except subprocess.TimeoutExpired:
        raise InputError("steps", list(steps), f"they did not come to their end within {seconds:g} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise InputError("steps", list(steps), f"a fresh process failed: {last}")
    return [[int(size) for size in line.split()] for line in done.stdout.splitlines()]


def _summary(name: str, number: int, runs: list[list[list[int]]]) -> StepMemory:
    rss, uss, high_water = (_median([run[number][kind] for run in runs]) for kind in range(3))
    added = [run[number][0] - (run[number - 1][0] if number else 0) for run in runs]
    return StepMemory(name, _median(added), min(added), max(added), rss, uss, high_water)


def _median(values: list[int]) -> int:
    """Return the middle value, the lower one of two."""
    return sorted(values)[(len(values) - 1) // 2]
