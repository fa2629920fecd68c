"""Memory: what is used and by what cause, the budget and who is asked to shed, the collector at rest."""

import gc
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from math import nan
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine_opt
from engine_opt import ConfigError, EngineError, InputError, StateError
from engine_opt.optimization import process_memory
from engine_opt.optimization.import_memory import imports_by_package, memory_of_steps
from engine_opt.optimization.memory_manager import (
    NOT_ATTRIBUTED,
    ConsumerError,
    MemoryBudget,
    MemoryLevel,
    MemoryManager,
    frozen_collector,
)

MIB = 2**20
NORMAL, HIGH, CRITICAL = MemoryLevel
# Shares that a float holds exactly: limits fall on whole bytes.
BUDGET = MemoryBudget(1024, high=0.75, critical=0.875, slack=0.125, shed_high=0.25, shed_critical=0.5)


class Holder:
    """Holds bytes of which it gives back what it is asked for, and writes down that it was."""

    def __init__(self, held=100, diary=None, name=""):
        self.held, self.diary, self.name = held, [] if diary is None else diary, name

    def size(self):
        return self.held

    def shed(self, fraction):
        self.diary.append((self.name, fraction))
        given = int(self.held * fraction)
        self.held -= given
        return given


class Sizes:
    """Resident bytes as told: each reading takes the next, the last stays."""

    def __init__(self, *sizes):
        self.sizes = list(sizes)

    def __call__(self):
        return self.sizes.pop(0) if len(self.sizes) > 1 else self.sizes[0]


def broken(*_):
    raise OSError("out of order")


# The budget


@pytest.mark.parametrize("total", [0, -1, True, 1.0, nan, None, "1"])
def test_a_budget_is_a_positive_number_of_bytes(total):
    """What is no such number is named."""
    with pytest.raises(InputError) as seen:
        MemoryBudget(total)
    assert seen.value.field == "total"


@pytest.mark.parametrize("name", ["high", "critical", "slack", "shed_high", "shed_critical"])
@pytest.mark.parametrize("value", [0, -0.1, 1.01, nan, True, None])
def test_a_share_lies_between_nothing_and_the_whole(name, value):
    """The field is named."""
    with pytest.raises(InputError) as seen:
        MemoryBudget(1, **{name: value})
    assert seen.value.field == name


@pytest.mark.parametrize(
    "contradiction",
    [{"high": 0.95}, {"slack": 0.8}, {"shed_high": 0.5, "shed_critical": 0.4}],
)
def test_a_budget_that_contradicts_itself_is_refused(contradiction):
    """When it is built, not when it is used."""
    with pytest.raises(ConfigError):
        MemoryBudget(1, **contradiction)


@given(st.lists(st.integers(0, 1100), min_size=1, max_size=30))
def test_levels_follow_their_definition(sizes):
    """Entered at their share, left below their share less the slack; one level by one, against a plain table."""
    level, plain = NORMAL, "normal"
    for size in sizes:
        level = BUDGET.level(size, level)
        if plain == "critical" and size < 768:
            plain = "high"
        if plain == "high" and size < 640:
            plain = "normal"
        if plain == "normal" and size >= 768:
            plain = "high"
        if plain == "high" and size >= 896:
            plain = "critical"
        assert level.value == plain


def test_a_level_does_not_flutter():
    """A size that goes up and down around a limit changes the level once."""
    memory = MemoryManager(BUDGET, resident=Sizes(770, 765, 770, 765, 770, 639, 765))
    assert [memory.check().level for _ in range(7)] == [HIGH] * 5 + [NORMAL] * 2


# Asking to shed


def test_nobody_is_asked_at_the_normal_level():
    """Whatever they hold."""
    holder = Holder()
    memory = MemoryManager(BUDGET, resident=Sizes(100))
    memory.register("results", holder.size, holder.shed)
    report = memory.check()
    assert (report.level, report.fraction, report.given, holder.held) == (NORMAL, 0.0, {}, 100)


@pytest.mark.parametrize(("size", "level", "fraction"), [(768, HIGH, 0.25), (896, CRITICAL, 0.5)])
def test_all_who_can_are_asked_for_the_fraction_of_the_level(size, level, fraction):
    """The report says what each gave, and what was resident before and after."""
    results, market = Holder(100), Holder(40)
    memory = MemoryManager(BUDGET, resident=Sizes(size, 500), clock=lambda: 7.0)
    memory.register("results", results.size, results.shed)
    memory.register("trust", lambda: 3)
    memory.register("market", market.size, market.shed)
    report = memory.check()
    assert report.given == {"results": 100 * fraction, "market": 40 * fraction}
    assert (report.at, report.level, report.fraction) == (7.0, level, fraction)
    assert (report.before, report.after, report.errors) == (size, 500, {})
    assert memory.level is level


@given(st.lists(st.integers(-3, 3), max_size=8))
def test_the_lowest_priority_is_asked_first(priorities):
    """Among equals it is who came first."""
    diary = []
    memory = MemoryManager(BUDGET, resident=Sizes(1000))
    for number, priority in enumerate(priorities):
        memory.register(f"{number}", lambda: 1, Holder(1, diary, number).shed, priority=priority)
    memory.check()
    order = sorted(range(len(priorities)), key=lambda number: (priorities[number], number))
    assert [number for number, _ in diary] == order
    assert memory.consumers == tuple(str(number) for number in order)


@pytest.mark.parametrize("bad", [broken, lambda _: -1, lambda _: 1.0, lambda _: True, lambda _: None])
def test_a_consumer_that_fails_keeps_no_other_from_being_asked(bad):
    """The error names manager and consumers, and has the report and each cause."""
    last = Holder()
    memory = MemoryManager(BUDGET, resident=Sizes(1000), name="engine")
    memory.register("first", lambda: 1, bad)
    memory.register("second", lambda: 1, bad)
    memory.register("last", last.size, last.shed)
    with pytest.raises(
        ConsumerError, match=r"memory manager 'engine' asked .* to shed, and 2 failed: first: .*second: "
    ) as seen:
        memory.check()
    assert last.held == 50
    assert seen.value.report.given == {"last": 50}
    assert list(seen.value.errors) == ["first", "second"]
    assert seen.value.__cause__.exceptions == tuple(seen.value.errors.values())
    assert isinstance(seen.value, StateError)
    stats = memory.stats()
    assert (stats["asked"], stats["failed"], stats["given"]) == (3, 2, 50)


def test_a_size_that_is_no_size_is_an_error():
    """Sizes of others are not shown beside a hole."""
    memory = MemoryManager(BUDGET)
    memory.register("good", lambda: 1)
    memory.register("bad", broken)
    with pytest.raises(ConsumerError, match="for their sizes, and 1 failed: bad: OSError: out of order"):
        memory.breakdown()


def test_what_interrupts_the_program_is_not_collected():
    """Ctrl-C while somebody sheds goes through, and the manager works afterwards."""
    memory = MemoryManager(BUDGET, resident=Sizes(1000))

    def interrupted(_):
        memory.unregister("x")
        raise KeyboardInterrupt

    memory.register("x", lambda: 1, interrupted)
    with pytest.raises(KeyboardInterrupt):
        memory.check()
    assert memory.check().given == {}


def test_a_consumer_that_is_asked_must_not_check():
    """It would ask itself."""
    memory = MemoryManager(BUDGET, resident=Sizes(1000), name="engine")
    memory.register("loop", lambda: 1, lambda _: memory.check().before)
    with pytest.raises(ConsumerError, match="memory manager 'engine' is asking its consumers"):
        memory.check()


def test_what_was_really_held_is_really_given_back():
    """32 MiB in one piece: the system has them back at once, and the level falls."""
    held = [bytearray(32 * MIB)]

    def shed(_):
        return len(held.pop())

    memory = MemoryManager(MemoryBudget(process_memory.resident() + MIB, high=0.5, critical=0.9))
    memory.register("buffer", lambda: sum(map(len, held)), shed)
    report = memory.check()
    assert report.level is CRITICAL
    assert report.given == {"buffer": 32 * MIB}
    assert report.before - report.after > 30 * MIB


# When it is read


def test_an_early_check_returns_the_last_report():
    """A reading costs a system call: `interval` bounds how often it is done."""
    now = [100.0]
    memory = MemoryManager(BUDGET, resident=Sizes(1, 2, 3, 4), interval=10.0, clock=lambda: now[0])
    first = memory.check()
    now[0] = 109.9
    assert memory.check() is first
    now[0] = 110.0
    assert memory.check().before == 2
    assert memory.check(119.0).before == 2
    assert memory.check(120.0).before == 3


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_a_clock_that_jumps_makes_the_next_check_read(jump):
    """It goes on from there."""
    memory = MemoryManager(BUDGET, resident=Sizes(1, 2, 3), interval=10.0)
    memory.check(0.0)
    assert memory.check(jump).before == 2
    assert memory.check(jump + 9.0).before == 2
    assert memory.check(jump + 10.0).before == 3


@pytest.mark.parametrize("now", [nan, True, "0"])
def test_a_time_that_is_none_is_refused(now):
    """Nothing is read then."""
    memory = MemoryManager(BUDGET)
    with pytest.raises(InputError):
        memory.check(now)
    assert memory.stats()["checks"] == 0


# The component's contract


def test_stats_tell_what_was_done():
    """After closing, too."""
    with MemoryManager(BUDGET, resident=Sizes(800, 700, 300)) as memory:
        memory.register("results", Holder().size, Holder().shed)
        memory.check()
        memory.check()
        assert memory.stats()["consumers"] == 1
    expected = {"level": 0, "checks": 2, "asked": 1, "given": 25, "failed": 0, "resident": 300, "most": 800}
    assert memory.stats() == expected | {"budget": 1024, "consumers": 0}
    assert {type(value) for value in memory.stats().values()} == {float}


@pytest.mark.parametrize(
    "use",
    [
        lambda memory: memory.check(),
        lambda memory: memory.breakdown(),
        lambda memory: memory.register("x", lambda: 1),
        lambda memory: memory.unregister("x"),
        lambda memory: memory.__enter__(),
    ],
)
def test_a_closed_manager_says_so(use):
    """By its name; closing twice is no matter."""
    memory = MemoryManager(BUDGET, name="engine")
    memory.close()
    memory.close()
    with pytest.raises(StateError, match="memory manager 'engine' is closed"):
        use(memory)


@pytest.mark.parametrize(
    ("field", "use"),
    [
        ("budget", lambda memory: MemoryManager(1024)),
        ("interval", lambda memory: MemoryManager(BUDGET, interval=-1.0)),
        ("interval", lambda memory: MemoryManager(BUDGET, interval=True)),
        ("name", lambda memory: memory.register("", lambda: 1)),
        ("name", lambda memory: memory.register(None, lambda: 1)),
        ("name", lambda memory: memory.register(NOT_ATTRIBUTED, lambda: 1)),
        ("name", lambda memory: memory.register("twice", lambda: 1)),
        ("size", lambda memory: memory.register("x", 100)),
        ("shed", lambda memory: memory.register("x", lambda: 1, 0.5)),
        ("priority", lambda memory: memory.register("x", lambda: 1, priority=1.5)),
        ("priority", lambda memory: memory.register("x", lambda: 1, priority=True)),
        ("name", lambda memory: memory.unregister("unknown")),
        ("measured", lambda memory: memory.breakdown({"twice": 1})),
        ("measured", lambda memory: memory.breakdown({NOT_ATTRIBUTED: 1})),
        ("measured['x']", lambda memory: memory.breakdown({"x": -1})),
        ("resident", lambda memory: MemoryManager(BUDGET, resident=lambda: 1.5).check()),
    ],
)
def test_bad_input_is_named(field, use):
    """And changes nothing."""
    memory = MemoryManager(BUDGET)
    memory.register("twice", lambda: 1)
    with pytest.raises(InputError) as seen:
        use(memory)
    assert seen.value.field == field
    assert memory.consumers == ("twice",)


def test_making_a_manager_changes_nothing_in_the_process():
    """No threshold of the collector, nothing frozen, no thread, no tracing."""

    def state():
        return (
            gc.get_threshold(),
            gc.get_freeze_count(),
            gc.isenabled(),
            threading.active_count(),
            tracemalloc.is_tracing(),
        )

    before = state()
    with MemoryManager(BUDGET) as memory:
        memory.check()
        assert state() == before


def test_eight_threads_may_use_it_at_once():
    """Each request to shed is counted once, and no report is torn."""
    memory = MemoryManager(BUDGET, resident=Sizes(1000))
    sheds = []
    memory.register("constant", lambda: 1, lambda _: sheds.append(1) or 1)
    start = threading.Barrier(8)
    failures = []

    def hammer(number):
        start.wait()
        try:
            for _ in range(50):
                memory.register(f"{number}", lambda: 1)
                assert memory.check().given == {"constant": 1}
                stats = memory.stats()
                assert stats["given"] == stats["asked"] == stats["checks"]
                memory.unregister(f"{number}")
        except BaseException as error:  # noqa: BLE001 - shown by the main thread
            failures.append(error)

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(sheds) == memory.stats()["given"] == memory.stats()["checks"] == 400
    assert memory.consumers == ("constant",)


_FORK = """
import os, sys, threading
from engine_opt.optimization.memory_manager import MemoryBudget, MemoryManager

asked, go_on = threading.Event(), threading.Event()
parent = os.getpid()

def shed(fraction):
    if os.getpid() == parent:
        asked.set()
        go_on.wait()
    return 1

memory = MemoryManager(MemoryBudget(1), resident=lambda: 1)
memory.register("slow", lambda: 1, shed)
thread = threading.Thread(target=memory.check)
thread.start()
asked.wait()
child = os.fork()
if not child:
    memory.register("of the child", lambda: 1)
    given = memory.check().given
    os._exit(0 if given == {"slow": 1} and memory.stats()["checks"] == 1 else 1)
_, status = os.waitpid(child, 0)
go_on.set()
thread.join()
assert memory.consumers == ("slow",)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_fork_during_a_check_leaves_the_child_a_manager_that_works():
    """The thread that holds the lock stays behind in the parent; the child does not wait for it."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORK]
    subprocess.run(command, check=True, timeout=60, cwd=Path(engine_opt.__file__).parents[1])


# Breakdown


def test_causes_add_up_to_what_is_resident():
    """What is not known has a name, and is not spread over the others."""
    memory = MemoryManager(BUDGET)
    memory.register("cache", lambda: 1000)
    found = memory.breakdown({"interpreter": 2000})
    assert found.causes == {"interpreter": 2000, "cache": 1000, NOT_ATTRIBUTED: found.rss - 3000}
    assert sum(found.causes.values()) == found.rss
    assert found.uss <= found.rss <= found.high_water


def test_traced_bytes_are_shown_where_tracemalloc_is_on():
    """And None where it is off: it is not turned on for the sake of a report."""
    memory = MemoryManager(BUDGET)
    assert (memory.breakdown().traced, memory.breakdown().traced_peak) == (None, None)
    tracemalloc.start()
    try:
        kept = bytes(MIB)
        found = memory.breakdown()
    finally:
        tracemalloc.stop()
    assert len(kept) <= found.traced <= found.traced_peak


def test_sizes_agree_with_psutil():
    """To a hundredth: the process lives on between two readings."""
    rss, uss, high_water = process_memory.exact()
    other = psutil.Process().memory_full_info()
    assert rss == pytest.approx(other.rss, rel=0.01)
    assert uss == pytest.approx(other.uss, rel=0.01)
    assert process_memory.resident() == pytest.approx(other.rss, rel=0.01)
    assert high_water >= rss


def test_the_high_water_mark_stays_when_memory_is_given_back():
    """64 MiB that were there for a moment."""
    kept = bytearray(64 * MIB)
    assert process_memory.exact()[0] > len(kept)
    del kept
    rss, _, high_water = process_memory.exact()
    assert high_water - rss > 60 * MIB


# Imports, in fresh processes


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Two modules that hold 20 MiB; the second needs the first and holds 10 MiB besides."""
    tmp_path.joinpath("heavy.py").write_text(f"kept = bytearray({20 * MIB})\nprint('not a size')\n")
    tmp_path.joinpath("heavier.py").write_text(f"import heavy\nkept = bytearray({10 * MIB})\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("modules")
def test_an_import_is_measured_where_modules_are_found_here():
    """What two need is counted with the first; this process imports neither."""
    first, heavy, heavier = imports_by_package(("heavy", "heavier"), repeats=3)
    assert [first.name, heavy.name, heavier.name] == ["interpreter", "heavy", "heavier"]
    assert heavy.added == pytest.approx(20 * MIB, abs=MIB)
    assert heavier.added == pytest.approx(10 * MIB, abs=MIB)
    assert heavy.least <= heavy.added <= heavy.most
    assert first.added == first.rss
    assert first.rss < heavy.rss < heavier.rss <= heavier.high_water
    assert heavier.uss > 30 * MIB
    assert not {"heavy", "heavier"} & sys.modules.keys()
    alone = imports_by_package(("heavier",), repeats=1)[1]
    assert alone.added == pytest.approx(30 * MIB, abs=MIB)


@pytest.mark.skipif(sys.platform != "linux", reason="psutil is imported")
def test_the_measuring_itself_imports_nothing():
    """The interpreter's own is the interpreter's own; where the system has no /proc, psutil is with it."""
    program = "import json, sys; before = set(sys.modules); {}; print(json.dumps(sorted(set(sys.modules) - before)))"
    read = f"names = {{'__name__': 'read'}}; exec(open({process_memory.__file__!r}).read(), names); names['exact']()"
    command = [sys.executable, "-c", program.format(read)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    ("measure", "why"),
    [
        (lambda: imports_by_package(("no_such_module",), repeats=1), "No module named 'no_such_module'"),
        (lambda: imports_by_package(("os; print()",)), "dotted name"),
        (lambda: imports_by_package(("",)), "dotted name"),
        (lambda: imports_by_package((None,)), "dotted name"),
        (lambda: imports_by_package(("json",), repeats=0), "at least 1"),
        (lambda: imports_by_package(("json",), repeats=True), "at least 1"),
        (lambda: imports_by_package(("json",), seconds=0), "greater than 0"),
        (lambda: memory_of_steps({"interpreter": "pass"}), "before the first step"),
        (lambda: memory_of_steps({"a": "import threading; threading.Event().wait()"}, seconds=0.5), "within 0.5 s"),
        (lambda: memory_of_steps({"a": "import os; os._exit(3)"}, repeats=1), "exit status 3"),
    ],
)
def test_what_cannot_be_measured_is_an_error(measure, why):
    """Never a zero."""
    with pytest.raises(InputError, match=why):
        measure()


# The collector


def collector():
    return gc.get_threshold(), gc.get_freeze_count(), gc.isenabled()


def test_the_collector_is_as_before_afterwards():
    """What was alive is left out meanwhile; thresholds only where they are given."""
    before = collector()
    with frozen_collector() as frozen:
        assert 1000 < gc.get_freeze_count() <= frozen  # some of them die
        assert gc.get_threshold() == before[0]
    assert collector() == before
    with frozen_collector((50_000, 20, 20)):
        assert gc.get_threshold()[:2] == (50_000, 20)
    assert collector() == before


def test_the_collector_is_as_before_after_an_exception():
    """Thresholds that somebody changed meanwhile are put back, too."""
    before = collector()
    with pytest.raises(EngineError), frozen_collector((50_000, 20, 20)):
        gc.set_threshold(1, 1, 1)
        raise EngineError
    assert collector() == before


def test_cycles_that_arise_in_the_scope_are_collected():
    """Frozen is what was there before."""

    class Node:
        pass

    with frozen_collector():
        node = Node()
        node.itself = node
        del node
        assert gc.collect() >= 1


def test_a_scope_in_a_scope_is_refused():
    """The inner one could not tell what the outer one has frozen; the outer one stays as it is."""
    with frozen_collector() as frozen:
        with pytest.raises(StateError, match="frozen already"), frozen_collector():
            pass
        assert 0 < gc.get_freeze_count() <= frozen
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("thresholds", [(1, 2), [1, 2, 3], (1, 2, -3), (1, True, 3), (1.0, 2, 3), 700])
def test_thresholds_that_are_none_are_refused(thresholds):
    """Before anything is changed."""
    before = collector()
    with pytest.raises(InputError), frozen_collector(thresholds):
        pass
    assert collector() == before
