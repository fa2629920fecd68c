"""Work for a dashboard to show: real bars and decisions about them, in a process of its own, until its input ends.

    python -m engine_opt.cli.load STORE DECISIONS_A_SECOND INTERVAL [SLOW]

`serve` starts it, and holds the other end of its input: when that closes, however it does, so does this.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import msgspec

from engine_opt import data
from engine_opt.engine import ProtocolEngine
from engine_opt.engine_metrics import component_records
from engine_opt.model import (
    AccountType,
    Bar,
    Book,
    EngineDecision,
    HumanAnswer,
    Position,
    TrustAssessment,
    TrustRequest,
    WeekContext,
    WeekRequest,
)
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.metrics_collector import MetricsCollector
from engine_opt.monitoring.performance_monitor import MetricRecord, PerformanceMonitor
from engine_opt.monitoring.process_metrics import ProcessMetrics
from engine_opt.optimization.object_pool import Lease, ObjectPool
from engine_opt.optimizations import EngineOptimizations
from engine_opt.plain import dump
from engine_opt.protocol.decision_providers import CallbackProvider

SLOWNESS = 0.02
"""Seconds that the human desk takes for a question while the slowdown is planted."""

_BOOK, _KNOWN = Book(1e6, 3e6, 0.05, 0.01, shares_held=500), WeekContext(days_to_expiration=3, favourable=True)
_VIX = 20.0
_ACCOUNTS, _POSITIONS = tuple(AccountType), tuple(Position)
_FED_BEFORE = 60  # bars of a symbol before the first decision, which needs 51
_CATCH_UP = 0.2  # seconds
_ON_THE_WAY = 8  # messages that are sent together


class Load:
    """Feeds an engine a bar after the other, five symbols in turn, and asks it about each for three accounts.

    A human desk approves three questions of four. While the file `slow` is there, it takes its time; that is in the
    time of whole decisions, and not in that of their parts. Each call of the engine is timed.
    """

    def __init__(self, slow: Path | None) -> None:
        self._slow = slow
        self.monitor = PerformanceMonitor(name="load")
        self.engine = ProtocolEngine(
            monitor=self.monitor,
            timed_every=1,
            provider=CallbackProvider(self._answer),
            optimizations=EngineOptimizations(bounded_readings=True),
        )
        self._buffers = ObjectPool(bytearray, size=_ON_THE_WAY, reset=bytearray.clear, name="messages")
        self._messages: deque[Lease[bytearray]] = deque()
        self._encoder = msgspec.json.Encoder()
        self._feeds = {symbol: _bars(symbol) for symbol in data.symbols()}
        self._number = 0

    def begin(self) -> None:
        """Feed what the engine needs to see before it can decide."""
        for symbol, feed in self._feeds.items():
            for _ in range(_FED_BEFORE):
                self.engine.update(symbol, next(feed), _VIX)

    def step(self) -> int:
        """Take in a bar, decide about it, and return how many decisions that were."""
        turn, which = divmod(self._number, len(self._feeds))
        self._number += 1
        symbol = data.symbols()[which]
        bar, position = next(self._feeds[symbol]), _POSITIONS[turn % len(_POSITIONS)]
        self.engine.update(symbol, bar, _VIX)
        for account in _ACCOUNTS:
            now = bar.time
            assert isinstance(now, datetime)
            request = WeekRequest(symbol, account, position, now, _BOOK, _KNOWN, week_start_price=bar.open)
            self._send(self.engine.decide(request))
        return len(_ACCOUNTS)

    def records(self) -> tuple[MetricRecord, ...]:
        """Return what engine and pool count."""
        return (*component_records(self.engine), *component_records(self._buffers, name=self._buffers.name))

    def _answer(self, request: TrustRequest, _: TrustAssessment) -> HumanAnswer:
        if self._slow is not None and self._slow.exists():
            time.sleep(SLOWNESS)
        return HumanAnswer(request.request_id, self._number % 4 > 0, "the desk", request.now)

    def _send(self, decision: EngineDecision) -> None:
        """Write a message about a decision; messages go out when there are a few."""
        lease = self._buffers.lease()
        self._encoder.encode_into(dump(decision), lease.value)
        self._messages.append(lease)
        if len(self._messages) == _ON_THE_WAY:
            while self._messages:
                self._messages.popleft().release()


def work(load: Load, rate: float, over: Callable[[float], bool]) -> None:
    """Step after step, at most `rate` decisions a second, until `over` says so, which waits for so many seconds."""
    due = time.monotonic()
    while not over(max(due - time.monotonic(), 0.0)):
        # A little that was missed is made up for, and no more than that: a slowdown is to be seen, not what follows it.
        due = max(due, time.monotonic() - _CATCH_UP) + load.step() / rate


def _bars(symbol: str) -> Iterator[Bar]:
    """Yield the bars of a symbol, an hour after each other, and again from the first when they end."""
    series = data.load(symbol)
    for number in count():
        bar = series[number % len(series)]
        moment = datetime(2000, 1, 3) + timedelta(hours=number)  # noqa: DTZ001 - in the exchange's time, as all bars
        yield Bar(moment, bar.open, bar.high, bar.low, bar.close, bar.volume)


def _until_input_ends(ended: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    ended.set()


def main(store: str, rate: float, interval: float, slow: str | None = None) -> None:
    """Work, and have what is counted written to a store, until the input ends."""
    ended = threading.Event()
    threading.Thread(target=_until_input_ends, args=(ended,), daemon=True).start()
    load = Load(None if slow is None else Path(slow))
    with (
        closing(open_store(store)) as metrics,
        MetricsCollector(metrics, interval=interval, process=ProcessMetrics()) as collector,
    ):
        collector.register_monitor(load.monitor)
        collector.register_source("components", load.records)
        collector.register_source("monitoring", lambda: component_records(collector) + component_records(metrics))
        collector.start()
        load.begin()
        work(load, rate, ended.wait)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:])
