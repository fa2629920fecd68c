"""What is seen of a machine: from files as kernels write them, clocks moved by hand, and once from the real one."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest

from pytest_pe_perf.judge.machine import Neighbours
from pytest_pe_perf.measure import machine as probes
from pytest_pe_perf.measure.machine import Company, Counters, counters, neighbours, visit_cores

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads this kernel's files")

STAT = """\
cpu  1225257 99358 74157 1031258 10962 0 3184 3331 7 0
cpu0 528257 40464 32400 615276 3765 5 1682 1703 7 0
cpu1 697000 58894 41757 415982 7197 0 1502 1628 0 0
intr 90213 0 9
ctxt 6582595
procs_running 2
"""
PRESSURE = """\
some avg10=0.00 avg60=0.00 avg300=0.04 total=1996618421
full avg10=0.00 avg60=0.00 avg300=0.00 total=5
"""


def put(root: Path, **texts: str) -> Path:
    """Write files whose paths are given with two underscores for each slash."""
    for path, text in texts.items():
        write(root, path.replace("__", "/"), text)
    return root


def write(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return root


class Hand:
    """A clock that moves by the speed of the core it is on, at each look."""

    def __init__(self, **steps: int) -> None:
        self.steps = {int(core.removeprefix("core")): step for core, step in steps.items()}
        self.now = 0
        self.core = 0
        self.pins: list[set[int]] = []

    def clock(self) -> int:
        self.now += self.steps[self.core]
        return self.now

    def pin(self, cores: set[int]) -> None:
        self.pins.append(cores)
        self.core = min(cores)


# The clock.


def test_a_clock_is_known_by_its_looks(tmp_path):
    """Step and cost are those of the clock that was looked at, and the source is the kernel's."""
    folder = "sys/devices/system/clocksource/clocksource0"
    write(write(tmp_path, f"{folder}/current_clocksource", "hpet\n"), f"{folder}/available_clocksource", "tsc hpet \n")
    timer = probes.timer_facts(tmp_path, Hand(core0=250).clock)
    assert (timer.step, timer.backwards) == (250e-9, 0)
    assert timer.look == pytest.approx(250e-9, rel=0.01)
    assert (timer.source, timer.sources) == ("hpet", ("tsc", "hpet"))


def test_a_clock_that_goes_back_is_seen(tmp_path):
    """Each step back is counted."""
    looks = iter([10, 20, 15, 30, 30, 29])
    last = [30]

    def clock() -> int:
        last[0] += 1
        return next(looks, last[0])

    timer = probes.timer_facts(tmp_path, clock)
    assert timer.backwards == 2
    assert timer.source is None


def test_a_clock_that_stands_still_has_no_step(tmp_path):
    """No step was seen: it is infinite, which no reading can be shorter than."""
    assert probes.timer_facts(tmp_path, lambda: 7).step == math.inf


# The cores.


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            {
                "proc/self/cgroup": "0::/pod/app\n",
                "sys/fs/cgroup/pod/cpu.max": "50000 100000",
                "sys/fs/cgroup/pod/app/cpu.max": "200000 100000",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/12\n3:memory:/docker/12\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/unified/cgroup.procs": "",
            },
            None,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "what 0"}, None),
        ({"proc/self/cgroup": "rubbish\n\n::", "sys/fs/cgroup/cpu.max": "100 0"}, None),
    ],
)
def test_the_quota_is_the_smallest_of_all_groups(tmp_path, files, expected):
    """Both versions of control groups are read, from the own group up to the top one."""
    for path, text in files.items():
        write(tmp_path, path, text)
    assert probes.quota(tmp_path) == expected


@pytest.mark.parametrize(("text", "expected"), [("0-1,4", (0, 1, 4)), ("3", (3,)), ("", ()), ("?", ())])
def test_lists_of_cores(text, expected):
    """A kernel's list of cores is read as numbers."""
    assert probes.core_list(text) == expected


def test_siblings_are_usable_threads_of_one_core(tmp_path):
    """A thread whose sibling is not ours to use is no sibling."""
    for core, text in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        write(tmp_path, f"cpu{core}/topology/thread_siblings_list", text)
    assert probes.siblings(tmp_path, (0, 1, 2)) == ((0, 2),)
    assert probes.siblings(tmp_path / "nowhere", (0, 1)) == ()


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("intel_pstate/no_turbo", "0", True),
        ("intel_pstate/no_turbo", "1", False),
        ("cpufreq/boost", "1", True),
        ("cpufreq/boost", "0", False),
        ("cpufreq/boost", "", None),
    ],
)
def test_turbo(tmp_path, path, text, expected):
    """Both ways in which kernels tell of turbo are known."""
    assert probes.turbo(write(tmp_path, path, text)) is expected


def test_pinning_is_tried_and_undone():
    """Whether pinning works is known by doing it; afterwards the process may run where it could before."""
    hand = Hand(core0=1)
    assert probes.can_pin((0, 1), hand.pin) is True
    assert hand.pins == [{0}, {0, 1}]

    def refuse(cores: set[int]) -> None:
        raise PermissionError

    assert probes.can_pin((0, 1), refuse) is False
    assert probes.can_pin(None, hand.pin) is None
    assert probes.can_pin((0,), None) is None


# The speeds.


def test_each_core_is_measured_in_its_turn():
    """A core whose clock says 40 % more for the same work is 40 % slower, and no other is."""
    hand = Hand(core0=100_000, core1=140_000)
    speeds, company = visit_cores((0, 1), hand.clock, hand.pin, lambda: 2.0, 0.5)
    fast, slow = speeds
    assert (fast.core, slow.core) == (0, 1)
    assert fast.fastest == fast.typical == 100e-6
    assert slow.fastest == slow.typical == 140e-6
    assert (fast.slow_share, slow.slow_share) == (0.0, 0.0)
    assert hand.pins[:4] == [{0}, {1}, {0}, {1}]
    assert hand.pins[-1] == {0, 1}
    assert set(company.running) == {2.0}
    assert company.backwards == 0


def test_where_nothing_can_be_pinned_the_machine_is_one_core():
    """Without pinning the workload runs wherever it is put."""
    speeds, company = visit_cores((0, 1), Hand(core0=100_000).clock, None, seconds=0.1)
    assert [speed.core for speed in speeds] == [None]
    assert company.running == ()


def test_a_machine_of_many_cores_is_measured_by_some_of_them():
    """The time is kept: each core that is visited at all is visited a few times."""
    hand = Hand(**{f"core{core}": 100_000 for core in range(64)})
    speeds, _ = visit_cores(range(64), hand.clock, hand.pin, seconds=0.6)
    assert 5 <= len(speeds) <= 10
    assert hand.now < 1.2e9


def test_an_interruption_is_no_slow_speed():
    """A reading during which another program ran leaves no trace in the window's median."""
    hand = Hand(core0=50_000)
    calls = iter(range(1_000_000))

    def clock() -> int:
        if next(calls) % 100 == 50:
            hand.now += 4_000_000
        return hand.clock()

    windows = probes.visit(probes.reference_timer(clock), clock)
    assert set(windows) == {50e-6}


def test_the_cores_are_given_back_after_an_error():
    """Whatever goes wrong, the process may run where it could before."""
    hand = Hand(core0=100_000)

    def broken() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        visit_cores((0, 1), hand.clock, hand.pin, broken)
    assert hand.pins[-1] == {0, 1}


# The neighbours.


def test_counters_are_those_of_our_cores(tmp_path):
    """Ticks are summed over the usable cores, or taken from the whole where nobody knows which these are."""
    root = put(tmp_path, proc__stat=STAT, proc__pressure__cpu=PRESSURE, proc__self__cgroup="0::/")
    write(root, "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "4")
    seen = counters(root, (1,), 99)
    assert seen == Counters(99, 1628, 697000 + 58894 + 41757 + 0 + 1502, 1996.618421, None, 4)
    assert counters(root, None).stolen == 3331
    assert counters(root, (7,)).stolen is None


def test_throttling_is_counted(tmp_path):
    """The quota's own count of how often it struck is read."""
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    write(tmp_path, "sys/fs/cgroup/cpu.stat", "usage_usec 9\nnr_periods 5\nnr_throttled 3\nthrottled_usec 8\n")
    assert counters(tmp_path).throttled == 3


def test_neighbours_are_differences():
    """Every share is that of the time between two readings of the counters."""
    before = Counters(0, stolen=100, busy=1_000, waited=5.0, throttled=3)
    after = Counters(2_000_000_000, stolen=107, busy=1_093, waited=5.5, throttled=4)
    company = Company(1.5, (1.0, 2.0), interrupted=30)
    assert neighbours(before, after, company, (0.5, 1.0, 2.0)) == Neighbours(
        2.0, 0.07, 1.5, (0.5, 1.0, 2.0), 0.25, 20.0, 1
    )


def test_neighbours_that_nobody_shows_are_unknown():
    """Without counters there are no shares, and no division by nothing."""
    assert neighbours(Counters(0), Counters(0), Company(0.0)) == Neighbours(0.0)
    idle = Counters(0, stolen=5, busy=5)
    assert neighbours(idle, idle, Company(0.0)).steal is None


def test_runnable_processes_do_not_count_the_probe(tmp_path):
    """The process that asks is runnable itself."""
    assert probes.running(put(tmp_path, proc__loadavg="0.00 0.02 0.30 3/87 16272\n")) == 2.0
    assert probes.running(tmp_path / "nowhere") is None


# The machine around them.


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor lahf_lm\n", True),
        ("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu lahf_lm\n", False),
        ("proc/cpuinfo", "processor : 0\nFeatures : fp asimd\n", None),
        ("sys/hypervisor/type", "xen\n", True),
    ],
)
def test_a_hypervisor_shows_itself(tmp_path, path, text, expected):
    """x86 has a flag for it; elsewhere the kernel may name it."""
    assert probes.virtual(write(tmp_path, path, text)) is expected


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (".dockerenv", "", "docker"),
        ("run/.containerenv", "", "podman"),
        ("proc/self/cgroup", "0::/kubepods.slice/kubepods-pod1.slice\n", "kubepods"),
        ("proc/1/cgroup", "1:name=systemd:/lxc/web\n", "lxc"),
        ("proc/1/cgroup", "0::/init.scope\n", None),
    ],
)
def test_a_container_shows_itself(tmp_path, path, text, expected):
    """A container is known by the files that its engine leaves, or by the names of its groups."""
    assert probes.container(write(tmp_path, path, text)) == expected


def test_power_and_heat(tmp_path):
    """The battery's state and the hottest zone are read."""
    write(tmp_path, "sys/class/power_supply/BAT0/status", "Discharging\n")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "41000\n")
    write(tmp_path, "sys/class/thermal/thermal_zone1/temp", "63500\n")
    assert probes.on_battery(tmp_path) is True
    assert probes.celsius(tmp_path) == 63.5
    write(tmp_path, "sys/class/power_supply/BAT0/status", "Full\n")
    assert probes.on_battery(tmp_path) is False


# The tools.


@pytest.mark.parametrize(
    ("text", "expected"),
    [("perf version 6.1.187\n", "6.1.187"), ("valgrind-3.19.0", "3.19.0"), ("git version 2.39.5", "2.39.5"), ("", "")],
)
def test_versions(text, expected):
    """A version is found in whatever a tool prints around it."""
    assert probes.version_in(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("110359,,instructions:u,489149,100.00,,\n", True),
        ("<not supported>,,instructions:u,0,100.00,,\n", False),
        ("<not counted>,,instructions:u,0,0.00,,\n", False),
        ("", False),
    ],
)
def test_whether_instructions_are_counted(text, expected):
    """perf prints a number where the processor counts, and says so where it does not."""
    assert probes.counts_instructions(text) is expected


class Persona:
    """A process's personality, which a kernel lets it change or does not."""

    def __init__(self, permitted: bool) -> None:
        self.value = 0
        self.permitted = permitted

    def __call__(self, asked: int) -> int:
        before = self.value
        if asked == 0xFFFFFFFF:
            return before
        if not self.permitted:
            return -1
        self.value = asked
        return before


@pytest.mark.parametrize("permitted", [True, False])
def test_whether_addresses_can_be_fixed(permitted):
    """It is known by doing it, and undone."""
    persona = Persona(permitted)
    assert probes.can_stand_still(persona) is permitted
    assert persona.value == 0
    assert probes.can_stand_still(None) is None


# All of it.


def test_a_machine_without_a_single_file(tmp_path):
    """Where neither proc nor sys is there, what they would have said is unknown, and nothing is raised."""
    seen = probes.examine(tmp_path, seconds=0.05)
    assert seen.timer.source is None
    assert (seen.cores.quota, seen.cores.turbo, seen.cores.governors) == (None, None, ())
    assert (seen.host.virtual, seen.host.container, seen.host.on_battery, seen.host.hot) == (None,) * 4
    shown = seen.neighbours
    assert (shown.steal, shown.running, shown.pressure, shown.throttled) == (None,) * 4
    assert (seen.tools.paranoid, seen.tools.randomised) == (None, None)
    assert seen.speeds


@pytest.mark.parametrize("text", ["", "rubbish", "\x00\xff 9 / 0,-\n\n:::", "cpu x y z a b c d e\ncpu0 1"])
def test_files_that_hold_anything(tmp_path, text):
    """What a file says that no kernel writes is unknown, never an error."""
    folder = "sys/devices/system"
    for path in (
        "proc/stat",
        "proc/loadavg",
        "proc/cpuinfo",
        "proc/pressure/cpu",
        "proc/self/cgroup",
        "proc/sys/kernel/perf_event_paranoid",
        "sys/fs/cgroup/cpu.max",
        "sys/fs/cgroup/cpu.stat",
        "sys/class/thermal/thermal_zone0/temp",
        f"{folder}/cpu/cpu0/topology/thread_siblings_list",
        f"{folder}/cpu/cpu0/cpufreq/scaling_governor",
        f"{folder}/cpu/intel_pstate/no_turbo",
    ):
        write(tmp_path, path, text)
    seen = probes.examine(tmp_path, seconds=0.02)
    assert (seen.cores.quota, seen.cores.turbo, seen.neighbours.steal, seen.tools.paranoid) == (None,) * 4


@LINUX
def test_this_machine(tmp_path):
    """The real machine shows its clock, its cores and their speeds, and is left as it was."""
    cores = os.sched_getaffinity(0)
    seen = probes.examine(seconds=0.2)
    assert os.sched_getaffinity(0) == cores
    assert 0 < seen.timer.step < 1e-3
    assert 0 < seen.timer.look < 1e-3
    assert seen.cores.usable == tuple(sorted(cores))
    assert seen.neighbours.running is not None
    assert all(0 < speed.fastest <= speed.typical for speed in seen.speeds)
    if seen.cores.pinnable and len(cores) < 4:
        assert {speed.core for speed in seen.speeds} == cores
