"""What a process does that is asked for profiles: it makes the calls of tests and looks where their time and memory go."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest_benchmark.fixture

from pytest_pe_perf.measure.call import LOOP, Call, run, run_async
from pytest_pe_perf.measure.loop import MIN_READINGS, Readings
from pytest_pe_perf.measure.quiet import quiet
from pytest_pe_perf.model import Frame, Key
from pytest_pe_perf.profile.places import Places
from pytest_pe_perf.profile.sampler import NoSamplerError, Sampler, calls_for
from pytest_pe_perf.profile.sites import NoSitesError, sites, sites_async
from pytest_pe_perf.profile.stacks import Folded, Seen, as_seen
from pytest_pe_perf.recorder import Bench, Recorder, Rehearsal, Subject

__tracebackhide__ = True  # see measure.call
T = TypeVar("T")
# The rows of which it can be said where they go.
TIME = "latency"
MEMORY = ("peak", "allocations", "retained")
# A test is looked at for as long as it is measured, within these seconds: in less there is little to be seen.
SHORTEST, LONGEST = 0.25, 1.0
# With fewer samples than this nothing stands out.
LEAST_SAMPLES = 10
# Stands for what is called in rounds that the test makes by itself.
_THE_CALL = Frame("(the call)", "")

_clock = time.perf_counter_ns


@dataclass(slots=True)
class ProfilingBench(Rehearsal):
    """Makes the calls of one test, and looks at those that are asked for."""

    recorder: ProfilingRecorder = field(kw_only=True)
    rounds: Sampler | None = None

    def measure(self, call: Call, name: str = "", *, time: bool, memory: bool) -> None:
        """Look at what is asked for of a plain callable; call it once where nothing is."""
        self.used = True
        wanted = self._wanted(name, time=time, memory=memory)
        places, called = self.recorder.places, _frame_of(call)
        for key in wanted:
            with self._looking(key) as (folder, between):
                if key.metric == TIME:
                    sampler = self._sampler()
                    run(calls_for(self._seconds, _clock, sampler, between), call, _clock)
                    self.recorder.keep(key, sampler.folded(places, called, waits=False))
                else:
                    self.recorder.keep(key, sites(key.metric, call, folder, places, called))
        if not wanted:
            call()

    async def measure_async(self, call: Call, name: str = "", *, time: bool, memory: bool) -> None:
        """Look at what is asked for of a coroutine function."""
        self.used = True
        wanted = self._wanted(name, time=time, memory=memory)
        places, called = self.recorder.places, _frame_of(call)
        for key in wanted:
            with self._looking(key) as (folder, between):
                if key.metric == TIME:
                    sampler = self._sampler()
                    await run_async(calls_for(self._seconds, _clock, sampler, between), call, _clock)
                    self.recorder.keep(key, sampler.folded(places, called, waits=True))
                else:
                    self.recorder.keep(key, await sites_async(key.metric, call, folder, places, called))
        if not wanted:
            await call()

    def time(
        self, call: Call, name: str = "", clock: Callable[[], int] | None = None, least: int = MIN_READINGS
    ) -> Readings:
        """Look at the time of a plain callable, and return what pytest-benchmark needs."""
        if self._wanted(name, time=True, memory=False):
            self.measure(call, name, time=True, memory=False)
        return Rehearsal.time(self, call, name, clock, least)

    async def time_async(self, call: Call, name: str = "") -> Readings:
        """Look at the time of a coroutine function, and return the same."""
        if self._wanted(name, time=True, memory=False):
            await self.measure_async(call, name, time=True, memory=False)
        return await Rehearsal.time_async(self, call, name)

    def weigh(self, call: Call, name: str = "") -> None:
        """Look at the memory of a plain callable."""
        self.measure(call, name, time=False, memory=True)

    async def weigh_async(self, call: Call, name: str = "") -> None:
        """Look at the memory of a coroutine function."""
        await self.measure_async(call, name, time=False, memory=True)

    def begin_rounds(self, rounds: int, warm_up: int) -> None:  # noqa: ARG002 - those count too: they do the same
        """Get ready to look at rounds that the test makes by itself."""
        if self._wanted("", time=True, memory=False):
            self.rounds = self._sampler(LOOP, pytest_benchmark.fixture.__file__)

    def turn(self, take: Callable[[], tuple[int, T]], calls: int) -> T:
        """Make one of those rounds."""
        if self.rounds is None:
            return Rehearsal.turn(self, take, calls)
        with self.rounds.at_work():
            return take()[1]

    def keep_readings(self, readings: Readings, name: str = "") -> None:  # noqa: ARG002 - they are of no use
        """Keep what was seen of such rounds."""
        self.used = True
        if self.rounds is not None:
            key = Key(self.subject.test, name, TIME)
            self.recorder.keep(key, self.rounds.folded(self.recorder.places, _THE_CALL, waits=False))
            self.rounds = None

    @property
    def _seconds(self) -> float:
        return min(max(self.subject.settings.time, SHORTEST), LONGEST)

    def _sampler(self, *within: str) -> Sampler:
        return Sampler(self.recorder.random, frozenset(within or (LOOP,)))

    def _wanted(self, name: str, *, time: bool, memory: bool) -> list[Key]:
        metrics = (*((TIME,) if time else ()), *(MEMORY if memory else ()))
        keys = [Key(self.subject.test, name, metric) for metric in metrics]
        return [key for key in keys if key in self.recorder.wanted]

    @contextmanager
    def _looking(self, key: Key) -> Iterator[tuple[Path, Callable[[], None]]]:
        """Put the interpreter's own business aside; yield a folder for files, and what is to be called now and then."""
        with (
            tempfile.TemporaryDirectory(prefix="pe-perf-", dir=self.recorder.room) as folder,
            quiet(collector=self.subject.settings.gc) as between,
        ):
            try:
                yield Path(folder), between
            except (NoSamplerError, NoSitesError) as error:
                self.recorder.seen[key] = Seen(key, problem=str(error))


def _frame_of(call: Call) -> Frame:
    """Return what stands for a callable that has no frame of its own, such as a built-in function."""
    return Frame(getattr(call.fn, "__qualname__", type(call.fn).__qualname__), "")


@dataclass(slots=True)
class ProfilingRecorder(Recorder):
    """Keeps what was seen of the rows that are ``wanted``; measures nothing."""

    wanted: frozenset[Key] = frozenset()
    places: Places = field(kw_only=True)
    random: Random = field(default_factory=Random)
    seen: dict[Key, Seen] = field(default_factory=dict)

    def begin(self, test: str) -> None:
        """Forget what an earlier attempt at ``test`` saw."""
        Recorder.begin(self, test)
        for key in [key for key in self.seen if key.test == test]:
            del self.seen[key]

    def bench(self, subject: Subject) -> Bench:
        """Return what looks at the calls of one test."""
        return ProfilingBench(subject, self.record, self.memory_probe(subject.settings.time), recorder=self)

    @property
    def seen_so_far(self) -> tuple[Seen, ...]:
        """What was seen of the rows that are asked for."""
        return tuple(self.seen.values())

    def keep(self, key: Key, folded: Folded) -> None:
        """Keep what was seen of a row."""
        count = sum(folded.values())
        few = key.metric == TIME and count < LEAST_SAMPLES
        self.seen[key] = (
            Seen(key, problem=f"only {count:.0f} samples: give it more time") if few else as_seen(key, folded)
        )
