"""A million workflows: how much memory the engine keeps, and how large its process becomes.

    python docs/engine/soak.py [WORKFLOWS]

A workflow is a bar that comes in and a decision about it, five symbols in turn, accounts and positions in turn; the real
series begin again with later dates when they end. Memory is read after each tenth: what Python holds (tracemalloc, over
the first hundred thousand, for it costs time) and what the process holds (its resident set).
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count

import psutil

from engine_opt import AccountType, Bar, Book, Position, ProtocolEngine, WeekContext, WeekRequest, data

BOOK = Book(1e6, 3e6, 0.05, 0.01, shares_held=500)
ACCOUNTS, POSITIONS = tuple(AccountType), tuple(Position)
TRACED = 100_000
BLOCKS = 10


def bars_for_ever(symbol: str) -> Iterator[Bar]:
    """Yield the bars of a symbol day by day, and again from the first when they end."""
    series = data.load(symbol)
    for number in count():
        bar = series[number % len(series)]
        yield Bar(datetime(2000, 1, 3) + timedelta(hours=number), bar.open, bar.high, bar.low, bar.close, bar.volume)  # noqa: DTZ001


def run(engine: ProtocolEngine, feeds: dict[str, Iterator[Bar]], numbers: range) -> None:
    """Let the engine do one workflow for each number."""
    context = WeekContext(days_to_expiration=3, favourable=True)
    symbols = tuple(feeds)
    for number in numbers:
        symbol = symbols[number % len(symbols)]
        bar = next(feeds[symbol])
        engine.update(symbol, bar, 20.0)
        account, position = ACCOUNTS[number % 3], POSITIONS[number // 5 % 4]
        engine.decide(WeekRequest(symbol, account, position, bar.time, BOOK, context, week_start_price=bar.open))


def main(workflows: int) -> None:
    """Print what was kept."""
    feeds = {symbol: bars_for_ever(symbol) for symbol in data.symbols()}
    engine = ProtocolEngine()
    for symbol, feed in feeds.items():
        for _ in range(400):
            engine.update(symbol, next(feed), 20.0)
    run(engine, feeds, range(1000))
    gc.collect()
    tracemalloc.start()
    held = []
    for block in range(BLOCKS):
        run(engine, feeds, range(block * TRACED // BLOCKS, (block + 1) * TRACED // BLOCKS))
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    kept = (held[-1] - held[0]) / (TRACED * (BLOCKS - 1) / BLOCKS)
    print(f"kept by a workflow, over {TRACED:,}: {kept:.4f} bytes (after each tenth: {held})")
    process, sizes, start = psutil.Process(), [], time.perf_counter()
    for block in range(BLOCKS):
        run(engine, feeds, range(block * workflows // BLOCKS, (block + 1) * workflows // BLOCKS))
        sizes.append(process.memory_info().rss / 2**20)
    seconds = time.perf_counter() - start
    print(f"{workflows:,} workflows in {seconds:.0f} s, {seconds / workflows * 1e6:.1f} us each")
    print(f"resident set after each tenth, MiB: {', '.join(f'{size:.1f}' for size in sizes)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
