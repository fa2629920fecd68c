"""What a process takes of the machine: shares by difference, pauses while they are watched, and nothing left behind."""

import gc
import threading

import pytest

from engine_opt import InputError, StateError
from engine_opt.monitoring.process_metrics import ProcessMetrics


def shown(process):
    """Return the values by name and labels."""
    return {
        (record.name, *(value for _, value in series.labels)): series.value
        for record in process.records()
        for series in record.series
    }


def test_the_share_of_a_core_is_that_since_the_last_reading(clock):
    cpu = type(clock)()
    process = ProcessMetrics(clock=clock, cpu=cpu)
    clock.tick(10.0)
    cpu.tick(5.0)
    assert shown(process)["process_cpu_share",] == 0.5
    clock.tick(2.0)
    cpu.tick(4.0)
    assert shown(process)["process_cpu_share",] == 2.0
    clock.tick(1.0)
    found = shown(process)
    assert (found["process_cpu_share",], found["process_cpu_seconds",]) == (0.0, 1_009.0)


@pytest.mark.parametrize("step", [0.0, -5.0])
def test_a_clock_that_does_not_go_on_makes_no_share(clock, step):
    cpu = type(clock)()
    process = ProcessMetrics(clock=clock, cpu=cpu)
    clock.tick(step)
    cpu.tick(1.0)
    assert ("process_cpu_share",) not in shown(process)
    clock.tick(10.0 - step)
    cpu.tick(1.0)
    assert shown(process)["process_cpu_share",] == 0.2


def test_the_figures_are_those_of_this_process(tmp_path):
    process = ProcessMetrics()
    before = shown(process)
    assert before["process_resident_memory_bytes",] > 5e6
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    with (tmp_path / "file").open("w"):
        during = shown(process)
    ended.set()
    thread.join()
    assert during["process_threads",] == before["process_threads",] + 1
    assert during["process_open_files",] == before["process_open_files",] + 1
    assert during["process_cpu_seconds",] >= before["process_cpu_seconds",]


def test_pauses_are_watched_from_start_to_stop(clock):
    process = ProcessMetrics(clock=clock)
    callbacks = gc.callbacks.copy()
    gc.collect()
    with process:
        gc.collect()
        gc.collect(0)
        with pytest.raises(StateError, match="already"):
            process.start()
    gc.collect()
    process.stop()
    assert gc.callbacks == callbacks
    found = shown(process)
    assert found["process_gc_pause_seconds", "2"].count == 1
    assert found["process_gc_pause_seconds", "0"].count >= 1


def test_a_pause_is_as_long_as_the_clock_says_and_never_negative(clock):
    process = ProcessMetrics(clock=clock)
    steps = iter([0.25, -3.0])

    def tick(phase, info):
        if info["generation"] == 2:
            clock.tick(next(steps) if phase == "start" else 0.0)

    with process:
        gc.callbacks.append(tick)
        try:
            gc.collect()
            gc.collect()
        finally:
            gc.callbacks.remove(tick)
    held = shown(process)["process_gc_pause_seconds", "2"]
    assert (held.count, held.maximum) == (1, 0.25)


def test_watching_may_begin_while_garbage_is_being_collected():
    """Only the end of that pause is seen, and none is recorded."""
    process = ProcessMetrics()
    process._collected("stop", {"generation": 2})
    assert shown(process)["process_gc_pause_seconds", "2"].count == 0


@pytest.mark.parametrize("field", ["clock", "cpu"])
def test_what_is_no_clock_is_refused(field):
    with pytest.raises(InputError, match=field):
        ProcessMetrics(**{field: 3.0})
