"""Timers: a function that is timed is what it was, and what is recorded is its own time and end."""

import asyncio
import inspect
from functools import partial
from math import inf, nan

import pytest

from engine_opt import InputError, StateError


@pytest.fixture
def outcomes(monitor, shown):
    """Return a function that tells how many durations the timer has of each outcome, and their sum."""

    def read():
        return {labels[-1]: (each.count, each.total) for labels, each in shown(monitor, "work_seconds").items()}

    return read


def generate():
    yield 1


async def generate_slowly():
    yield 1


def test_a_block_is_timed_with_its_outcome(monitor, clock, outcomes):
    for seconds, error in ((1.0, None), (2.0, KeyError), (4.0, KeyboardInterrupt)):
        with pytest.raises(error) if error else monitor.timed("other_seconds"), monitor.timed("work_seconds"):
            clock.tick(seconds)
            if error:
                raise error
    assert outcomes() == {"ok": (1, 1.0), "error": (2, 6.0)}


def test_a_function_is_timed_and_stays_what_it_was(monitor, clock, outcomes):
    def add(one: int, two: int = 3, *, three: float) -> float:
        """Return a sum."""
        clock.tick(0.5)
        return one + two + three

    timed = monitor.timed("work_seconds", "Work.")(add)
    assert timed(1, three=2.5) == 6.5
    assert (timed.__name__, timed.__qualname__, timed.__doc__) == ("add", add.__qualname__, "Return a sum.")
    assert inspect.signature(timed) == inspect.signature(add)
    assert timed.__wrapped__ is add
    with pytest.raises(TypeError):
        timed()
    assert outcomes() == {"ok": (1, 0.5), "error": (1, 0.0)}


def test_a_method_is_timed(monitor, clock, outcomes):
    class Engine:
        @staticmethod
        @monitor.timed("work_seconds")
        def static(seconds):
            clock.tick(seconds)

        @monitor.timed("work_seconds")
        def work(self, seconds):
            clock.tick(seconds)
            return self

    engine = Engine()
    assert engine.work(1.0) is engine
    Engine.static(2.0)
    assert outcomes()["ok"] == (2, 3.0)


def test_a_recursive_function_is_timed_at_each_depth(monitor, clock, outcomes):
    @monitor.timed("work_seconds")
    def down(depth):
        clock.tick(1.0)
        if depth:
            down(depth - 1)

    down(2)
    assert outcomes()["ok"] == (3, 1.0 + 2.0 + 3.0)


def test_coroutines_are_timed_until_their_result_is_there_however_they_overlap(monitor, clock, outcomes):
    @monitor.timed("work_seconds")
    async def work(turns):
        """Wait."""
        for _ in range(turns):
            clock.tick(1.0)
            await asyncio.sleep(0)
        if turns == 2:
            raise KeyError(turns)
        return turns

    async def both():
        return await asyncio.gather(work(1), work(2), work(3), return_exceptions=True)

    one, two, three = asyncio.run(both())
    assert (one, type(two), three) == (1, KeyError, 3)
    assert inspect.iscoroutinefunction(work)
    assert (work.__name__, work.__doc__) == ("work", "Wait.")
    # Turns of all three: 1 2 3, 1 2 3, 2 3, 3. Ends: the first at 4, the second at 6, the third at 7; began at 0, 1, 2.
    assert outcomes() == {"ok": (2, 3.0 + 4.0), "error": (1, 4.0)}


def test_a_task_that_is_cancelled_ends_with_an_error(monitor, clock, outcomes):
    @monitor.timed("work_seconds")
    async def work():
        await asyncio.Event().wait()

    async def cancel():
        task = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        clock.tick(3.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert outcomes() == {"ok": (0, 0.0), "error": (1, 3.0)}


def test_objects_that_are_called_are_timed_by_what_their_call_does(monitor, clock, outcomes):
    class Waits:
        async def __call__(self):
            clock.tick(1.0)
            return 7

    class Works:
        def __call__(self):
            clock.tick(2.0)
            return 8

    assert asyncio.run(monitor.timed("work_seconds")(Waits())()) == 7
    assert monitor.timed("work_seconds")(Works())() == 8
    assert monitor.timed("work_seconds")(partial(Works(), *()))() == 8
    assert outcomes()["ok"] == (3, 5.0)


class Generates:
    def __call__(self):
        yield 1


@pytest.mark.parametrize(
    "function",
    [generate, generate_slowly, partial(generate), Generates(), int, staticmethod(len), classmethod(len), None, "f"],
)
def test_what_does_not_work_when_it_is_called_is_refused(monitor, function):
    with pytest.raises(InputError, match="function"):
        monitor.timed("work_seconds")(function)


def test_calls_of_one_function_in_many_threads_do_not_mix(monitor, clock, outcomes, in_threads):
    @monitor.timed("work_seconds")
    def work(fails):
        if fails:
            raise KeyError

    def often():
        for each in range(40):
            try:
                work(each % 4 == 0)
            except KeyError:
                continue

    in_threads(*[often] * 4, stumbling=True)
    assert outcomes() == {"ok": (120, 0.0), "error": (40, 0.0)}


def test_a_block_that_is_running_is_not_begun_again(monitor, clock, outcomes):
    timing = monitor.timer("work_seconds", "Work.").timed()
    with timing:
        with pytest.raises(StateError, match="timer 'work_seconds' is running"), timing:
            pass
        clock.tick(1.0)
    with timing:
        clock.tick(2.0)
    with pytest.raises(StateError, match="timer 'work_seconds' is not running"):
        timing.__exit__(None, None, None)
    assert outcomes()["ok"] == (2, 3.0)


def test_a_timer_is_asked_for_by_name_and_labels(monitor, clock, shown):
    for account, seconds in (("GEN", 1.0), ("REV", 2.0)):
        with monitor.timed("work_seconds", "Work.", {"account": account, "kind": "x"}):
            clock.tick(seconds)
    with monitor.timed("work_seconds", labels={"kind": "x", "account": "GEN"}):
        clock.tick(4.0)
    found = {labels: each.total for labels, each in shown(monitor, "work_seconds").items() if each.count}
    assert found == {("GEN", "x", "ok"): 5.0, ("REV", "x", "ok"): 2.0}
    for labels in (["account"], {}, {"account": 3, "kind": "x"}, {"account": "GEN"}):
        with pytest.raises(InputError):
            monitor.timed("work_seconds", labels=labels)


def test_a_clock_that_goes_back_or_fails_to_tell_stops_nothing(monitor, clock, outcomes):
    @monitor.timed("work_seconds")
    def work(then):
        clock.now = then
        return then

    for then in (-5.0, nan, 3.0, inf, inf):
        assert work(then) is then
    with monitor.timed("work_seconds"):
        clock.now = 1.0
    with pytest.raises(KeyError), monitor.timed("work_seconds"):
        clock.now = 0.5
        raise KeyError
    assert outcomes() == {"ok": (0, 0.0), "error": (0, 0.0)}
    assert monitor.stats()["backwards"] == 7


def test_durations_measured_elsewhere_are_recorded(monitor, outcomes):
    timer = monitor.timer("work_seconds", "Work.")
    timer.ok.record(0.25)
    timer.error.record(0.5)
    assert outcomes() == {"ok": (1, 0.25), "error": (1, 0.5)}
    with pytest.raises(InputError):
        timer.ok.record(-1.0)
