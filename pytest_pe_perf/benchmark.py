"""The ``benchmark`` fixture of pytest-benchmark, measured by us: a plugin that is registered under ``--pe-perf`` only.

It is a subclass of the original, so that its surface, its JSON and its hooks stay the original's.
"""

from __future__ import annotations

import cProfile
import inspect
import time
from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pytest_pe_perf.fixtures import asked_for, bench_of, in_loop, readable_errors
from pytest_pe_perf.measure.call import Call, timed_loop
from pytest_pe_perf.measure.loop import CHUNK_NS, MIN_READINGS, Readings
from pytest_pe_perf.measure.quiet import quiet
from pytest_pe_perf.measure.reference import reference_timer
from pytest_pe_perf.recorder import Bench

__tracebackhide__ = True  # see measure.call


class GatedBenchmark(BenchmarkFixture):  # type: ignore[misc]  # pytest-benchmark has no types
    """The original fixture, with our loop in the places where it measures."""

    bench: Bench
    memory: bool

    @classmethod
    def take_over(cls, fixture: BenchmarkFixture, bench: Bench, *, memory: bool) -> GatedBenchmark:
        """Turn an instance of the original into one of ours.

        Its constructor takes other arguments in every version, and only pytest-benchmark knows which.
        """
        fixture.__class__ = cls
        fixture.bench, fixture.memory = bench, memory
        return fixture  # type: ignore[no-any-return]

    def _raw(self, function_to_benchmark: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self.enabled:
            return super()._raw(function_to_benchmark, *args, **kwargs)
        call = Call(function_to_benchmark, args, kwargs)
        if call.is_async:
            return in_loop(self._raw_async(call))
        with readable_errors():
            readings = self.bench.time(call, clock=self._clock(), least=max(self._min_rounds, MIN_READINGS))
            self._feed(readings)
            if self.memory:
                self.bench.weigh(call)
        return self._last_call(call, readings.calls)

    async def _raw_async(self, call: Call) -> Any:
        with readable_errors():
            self._feed(await self.bench.time_async(call))
            if self.memory:
                await self.bench.weigh_async(call)
        return await call()

    def _last_call(self, call: Call, calls: int) -> Any:
        if not self.cprofile:
            return call()
        profile = cProfile.Profile()
        result = None
        with quiet():  # there can be one profiler only
            for _ in range(self.cprofile_loops or calls):
                result = profile.runcall(call)
        self._save_cprofile(profile)
        return result

    def _clock(self) -> Callable[[], int] | None:
        """Return the user's own timer in nanoseconds, None where it is the usual one."""
        timer = self._timer
        return None if timer is time.perf_counter else lambda: round(timer() * 1e9)

    def _feed(self, readings: Readings) -> None:
        """Give the original the readings for its statistics, its JSON and its hooks."""
        stats = self._make_stats(readings.calls)
        for per_call in readings.times:
            stats.update(per_call * readings.calls / 1e9)

    def _raw_pedantic(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Let the original make its rounds, with its set-up and tear-down, and no call more than was asked for."""
        if not self.enabled:
            return super()._raw_pedantic(target, *args, **kwargs)
        self._reference = reference_timer(time.perf_counter_ns)
        self._references: list[int] = []
        self._next_reference = 0
        asked = inspect.signature(super()._raw_pedantic).bind(target, *args, **kwargs).arguments
        with readable_errors():
            self.bench.begin_rounds(asked.get("rounds", 1), asked.get("warmup_rounds", 0))
        with quiet(collector=self.bench.subject.settings.gc):
            result = super()._raw_pedantic(target, *args, **kwargs)
        per_call = tuple(seconds * 1e9 for seconds in self.stats.stats.data)
        with readable_errors():
            self.bench.keep_readings(Readings(per_call, self.stats.iterations, None, min(self._references)))
        return result

    def _make_runner(self, function_to_benchmark: Callable[..., Any], args: Any, kwargs: Any) -> Callable[..., Any]:
        original = super()._make_runner(function_to_benchmark, args, kwargs)
        clock = self._clock() or time.perf_counter_ns

        def once() -> tuple[int, Any]:
            seconds, result = original(None)
            return round(seconds * 1e9), (seconds, result)

        def runner(loops_range: range | None) -> Any:
            if not loops_range:
                result: Any = self.bench.turn(once, 1)
            else:
                calls = len(loops_range)
                timed = timed_loop(Call(function_to_benchmark, tuple(args), dict(kwargs)))

                def many() -> tuple[int, float]:
                    elapsed = timed(calls, clock)
                    return elapsed, elapsed / 1e9

                result = self.bench.turn(many, calls)
            self._let_reference_run()
            return result

        return runner

    def _let_reference_run(self) -> None:
        now = time.perf_counter_ns()
        if now >= self._next_reference:
            self._references += [self._reference() for _ in range(3)]
            self._next_reference = now + CHUNK_NS


@pytest.fixture
def benchmark(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> BenchmarkFixture:
    """Measure a call as pytest-benchmark does, and gate it."""
    bench = bench_of(request.node)
    if bench is None:
        return benchmark
    memory = bench.subject.settings.benchmark_memory or asked_for(request.node)[1]
    return GatedBenchmark.take_over(benchmark, bench, memory=memory)
