"""A million workflows with every optimisation on: how large the process becomes, and what a workflow keeps.

    python docs/optimization/soak.py [WORKFLOWS]

The workflows are those of docs/engine/soak.py: a bar that comes in, and a decision about it. Here every switch of the
engine is on, the collector is still for the whole run, and a memory manager with a budget of 40 MiB counts the engine and
is asked after each thousand. Its reports give the resident set after each tenth; then the leak detector looks at another
engine, which has been traced from its first bar on.
"""

from __future__ import annotations

import gc
import platform
import runpy
import sys
import time
import tracemalloc
from collections.abc import Callable
from itertools import count
from os import getloadavg
from pathlib import Path

from engine_opt import EngineOptimizations, ProtocolEngine, data
from engine_opt.optimization.leak_detector import find_leak
from engine_opt.optimization.memory_manager import MemoryBudget, MemoryManager

PLAIN = runpy.run_path(str(Path(__file__).parents[1] / "engine" / "soak.py"))
MIB = 2**20
BUDGET = MemoryBudget(40 * MIB)
CHECKED = 1_000
TENTHS = 10
SYMBOL_BARS = 400  # fed before anything is read: what a symbol remembers is full then


def fed() -> tuple[ProtocolEngine, Callable[[int], None]]:
    """Return an engine that knows all symbols, and a function that has it do so many workflows more."""
    engine = ProtocolEngine(optimizations=EngineOptimizations.all())
    feeds = {symbol: PLAIN["bars_for_ever"](symbol) for symbol in data.symbols()}
    for symbol, feed in feeds.items():
        for _ in range(SYMBOL_BARS):
            engine.update(symbol, next(feed), 20.0)
    numbers = count()

    def work(workflows: int) -> None:
        for _ in range(workflows):
            number = next(numbers)
            PLAIN["run"](engine, feeds, range(number, number + 1))

    work(CHECKED)
    return engine, work


def resident(workflows: int) -> None:
    """Print how large the process is at the start, and after each tenth."""
    engine, work = fed()
    with engine, engine.still(), MemoryManager(BUDGET) as memory:
        engine.register_with(memory)
        sizes, start = [memory.check().after], time.perf_counter()
        for _ in range(TENTHS):
            for at in range(0, workflows // TENTHS, CHECKED):
                work(min(CHECKED, workflows // TENTHS - at))
                memory.check()
            sizes.append(memory.check().after)
        seconds, stats = time.perf_counter() - start, memory.stats()
    print(f"CPython {platform.python_version()}, {platform.system()} {platform.machine()}, load {getloadavg()[1]:.1f}")
    print(f"{workflows:,} workflows in {seconds:.0f} s, {seconds / workflows * 1e6:.1f} us each")
    print(f"resident set at the start and after each tenth, MiB: {', '.join(f'{size / MIB:.1f}' for size in sizes)}")
    print(f"the most at a check: {stats['most'] / MIB:.1f} MiB; bytes that were asked back: {stats['given']:.0f}")


def kept() -> None:
    """Print what a workflow keeps.

    Objects that lie in the interpreter's free lists when tracing begins are not seen, and each collection replaces some
    of them by ones that are: seeming growth, which a hundred collections put an end to.
    """
    gc.collect()
    tracemalloc.start()
    engine, work = fed()
    with engine, engine.still():
        for _ in range(100):
            work(100)
            gc.collect()
        print(find_leak(lambda: work(1), blocks=20, iterations=1_000, warm_up=1_000))


def main(workflows: int) -> None:
    resident(workflows)
    kept()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
