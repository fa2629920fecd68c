"""Where memory goes, by cause: the tables of analysis.md.

    python docs/optimization/memory.py [PROCESSES]

Each step is measured in fresh processes, which import engine_opt from where this interpreter finds it. What is not
installed is said to be so: to see what the plan's imports take, run it where pandas, matplotlib, scipy and seaborn are.
"""

from __future__ import annotations

import gc
import platform
import sys
import tracemalloc
from collections.abc import Mapping
from datetime import datetime, time
from importlib.metadata import version
from importlib.util import find_spec

from engine_opt import AccountType, Book, Position, ProtocolEngine, WeekContext, WeekRequest, data
from engine_opt.optimization.import_memory import StepMemory, memory_of_steps
from engine_opt.optimization.memory_manager import MemoryBudget, MemoryManager

PROCESSES = 5
MIB = 2**20
BARS = 400  # of each symbol, or as many as it has
BOOK = Book(1e6, 3e6, 0.05, 0.01)

ENGINE = {
    "`import engine_opt`": "import engine_opt",
    "`ProtocolEngine` imported": "from engine_opt import ProtocolEngine",
    "an engine made": "engine = ProtocolEngine()",
    "the shipped bars of five symbols read": (
        "from engine_opt import data; bars = {symbol: data.load(symbol) for symbol in data.symbols()}"
    ),
    f"up to {BARS} bars of each taken in": (
        f"for symbol, series in bars.items():\n for bar in series[:{BARS}]: engine.update(symbol, bar, 20.0)"
    ),
}
BATCH = {
    "`import numpy`": "import numpy",
    "the batch form imported": "import engine_opt.batch.decisions",
    "13 years of one symbol analysed and adjusted": (
        "from engine_opt.batch import Bars, analyze, adjust, measure\n"
        "columns = Bars.of(bars['AAPL']); market = analyze(columns)\n"
        "adjusted = adjust(measure(columns), 'GEN', market.condition)"
    ),
}
PLAN = ("numpy", "pandas", "matplotlib.pyplot", "scipy.stats", "seaborn")


def mib(size: float) -> str:
    """Return bytes in MiB."""
    return f"{size / MIB:.1f}"


def table(steps: Mapping[str, str], processes: int) -> tuple[StepMemory, ...]:
    """Print what each step adds, leaving out what is not installed, and return it."""
    missing = {name for name in steps if name in PLAN and find_spec(name.partition(".")[0]) is None}
    measured = memory_of_steps({name: steps[name] for name in steps if name not in missing}, repeats=processes)
    print("| step | added, MiB | least - most | RSS after | USS after | high-water mark |")
    print("| --- | --- | --- | --- | --- | --- |")
    for step in measured:
        sizes = " | ".join(mib(size) for size in (step.rss, step.uss, step.high_water))
        print(f"| {step.name} | {mib(step.added)} | {mib(step.least)} - {mib(step.most)} | {sizes} |")
    for name in steps:
        if name in missing:
            print(f"| {name} | not installed |  |  |  |  |")
    print()
    return measured


def fed() -> ProtocolEngine:
    """Return an engine that has taken in bars of five symbols, and decided about each."""
    engine, context = ProtocolEngine(), WeekContext(days_to_expiration=3, favourable=True)
    for symbol in data.symbols():
        series = data.load(symbol)[:BARS]
        for bar in series:
            engine.update(symbol, bar, 20.0)
        now = datetime.combine(series[-1].time, time(16))
        engine.decide(WeekRequest(symbol, AccountType.REV, Position.CASH, now, BOOK, context))
    return engine


def running(measured: Mapping[str, int]) -> None:
    """Print what this process holds once an engine in it has taken in bars and decided, by cause."""
    fed()  # what is imported and remembered at the first use is not the state of an engine
    tracemalloc.start()
    engine = fed()
    gc.collect()
    state = tracemalloc.get_traced_memory()[0]
    with MemoryManager(MemoryBudget(64 * MIB)) as memory:
        memory.register(f"engine: state of {len(engine.symbols)} symbols", lambda: state)
        found = memory.breakdown(measured)
    tracemalloc.stop()
    print("| cause | MiB |")
    print("| --- | --- |")
    for cause, size in found.causes.items():
        print(f"| {cause} | {size / MIB:.2f} |")
    print(f"| **resident (RSS)** | **{found.rss / MIB:.2f}** |")
    print(f"| of this not shared (USS) | {found.uss / MIB:.2f} |")
    print(f"| high-water mark | {found.high_water / MIB:.2f} |")


def main(processes: int) -> None:
    """Print the tables as Markdown."""
    names = [name for name in ("numpy", "pandas", "matplotlib", "scipy", "seaborn") if find_spec(name)]
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    print(
        f"CPython {platform.python_version()}, {platform.system()} {platform.machine()}; {packages or 'no packages'};"
    )
    print(f"medians of {processes} processes.\n\n## The engine\n")
    steps = table(ENGINE | BATCH if find_spec("numpy") else ENGINE, processes)
    print("## The imports of the original's performance test\n")
    table({name: f"import {name}" for name in PLAN}, processes)
    print("## A process that runs the engine\n")
    running({step.name: step.added for step in steps[:3]})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PROCESSES)
