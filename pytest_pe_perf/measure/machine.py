"""What can be seen of this machine: its clock, its cores and their speeds, its neighbours, and the tools on it.

A file that is absent or unreadable is an unknown fact, never an error. ``root`` is where ``proc`` and ``sys`` are.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from pytest_pe_perf.environment import identify
from pytest_pe_perf.judge.machine import Cores, Host, Machine, Neighbours, Speed, Timer, Tools, speed
from pytest_pe_perf.measure.call import Clock
from pytest_pe_perf.measure.quiet import quiet
from pytest_pe_perf.measure.reference import reference_timer

Pin = Callable[[set[int]], None]
Number = TypeVar("Number", int, float)

ROOT = Path("/")
LEAST_SECONDS = 3.0
MOST_SECONDS = 10.0
_SECONDS_A_CORE = 0.5
# A virtual machine changes its speed every 20 to 60 ms: a visit to a core is as short as that, so that all cores meet
# the same weather, and a window so short that it hardly ever holds two speeds.
_VISIT_NS = 20_000_000
_WINDOW_NS = 2_000_000
# A window that was interrupted holds one long reading: among this many, the median does not see it.
_LEAST_READINGS = 15
_LEAST_VISITS = 3
_LOOKS = 20_000
_LOOKS_A_CHUNK = 1_000
_SECONDS_TO_WAIT = 10.0
_CONTAINERS = ("docker", "kubepods", "containerd", "lxc", "libpod")
_ADDR_NO_RANDOMIZE = 0x0040000
_ASK = 0xFFFFFFFF


def examine(root: Path = ROOT, clock: Clock = time.perf_counter_ns, seconds: float | None = None) -> Machine:
    """Return all that can be seen of this machine; ``seconds`` are for the cores, by default 3 to 10."""
    timer, cores, host = timer_facts(root, clock), core_facts(root), host_facts(root)
    pin = pinner() if cores.pinnable else None
    # Tools are looked for before: their processes would be the probe's neighbours.
    tools = tool_facts(root)
    # The load is read before, too: afterwards the probe is part of it.
    load, before = load_averages(), counters(root, cores.usable, clock())
    speeds, company = visit_cores(cores.usable, clock, pin, lambda: running(root), seconds)
    after = counters(root, cores.usable, clock())
    return Machine(
        host=replace(host, hot=_grown(before.hot, after.hot)),
        timer=replace(timer, backwards=timer.backwards + company.backwards),
        cores=cores,
        speeds=speeds,
        neighbours=neighbours(before, after, company, load),
        tools=tools,
    )


# The clock.


def timer_facts(root: Path = ROOT, clock: Clock = time.perf_counter_ns) -> Timer:
    """Return what the clock claims, and what many looks at it show."""
    claims = time.get_clock_info("perf_counter")
    looks = [clock() for _ in range(_LOOKS)]
    steps = [later - sooner for sooner, later in itertools.pairwise(looks)]
    source = root / "sys/devices/system/clocksource/clocksource0"
    return Timer(
        implementation=claims.implementation,
        monotonic=claims.monotonic,
        resolution=claims.resolution,
        # A clock that never moved in all that time moves in steps that nobody can measure with.
        step=min((step for step in steps if step > 0), default=math.inf) / 1e9,
        look=_look(clock) / 1e9,
        backwards=sum(step < 0 for step in steps),
        source=_text(source / "current_clocksource") or None,
        sources=tuple(_text(source / "available_clocksource").split()),
    )


def _look(clock: Clock) -> float:
    """Return the nanoseconds of a look, from the quickest of some chunks."""
    chunks = []
    for _ in range(_LOOKS // _LOOKS_A_CHUNK):
        start = clock()
        for _ in range(_LOOKS_A_CHUNK):
            clock()
        chunks.append(clock() - start)
    return min(chunks) / _LOOKS_A_CHUNK


# The cores.


def core_facts(root: Path = ROOT, pin: Pin | None = None) -> Cores:
    """Return which cores this process may use, and what drives their speed."""
    usable = usable_cores()
    cpus = root / "sys/devices/system/cpu"
    governors = {_text(cpus / f"cpu{core}/cpufreq/scaling_governor") for core in usable or ()}
    return Cores(
        online=os.cpu_count() or 1,
        usable=usable,
        quota=quota(root),
        pinnable=can_pin(usable, pin or pinner()),
        siblings=siblings(cpus, usable or ()),
        governors=tuple(sorted(governors - {""})),
        turbo=turbo(cpus),
    )


def usable_cores() -> tuple[int, ...] | None:
    """Return the cores that this process may run on, None where the system does not say."""
    if sys.platform != "linux":
        return None
    return tuple(sorted(os.sched_getaffinity(0)))


def pinner() -> Pin | None:
    """Return the function that pins this process to some cores, where there is one."""
    if sys.platform != "linux":
        return None
    return lambda cores: os.sched_setaffinity(0, cores)


def can_pin(usable: Sequence[int] | None, pin: Pin | None) -> bool | None:
    """Return whether pinning works, by doing and undoing it."""
    if pin is None or not usable:
        return None
    try:
        pin({usable[0]})
        pin(set(usable))
    except OSError:
        return False
    return True


def siblings(cpus: Path, usable: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return the groups of usable cores that are threads of one core."""
    groups = {core_list(_text(cpus / f"cpu{core}/topology/thread_siblings_list")) for core in usable}
    shared = {tuple(core for core in group if core in usable) for group in groups}
    return tuple(sorted(group for group in shared if len(group) > 1))


def core_list(text: str) -> tuple[int, ...]:
    """Return the numbers of a kernel's list, e.g. of ``"0-1,4"``."""
    found: list[int] = []
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def turbo(cpus: Path) -> bool | None:
    """Return whether cores may run above their nominal speed."""
    off, boost = _number(cpus / "intel_pstate/no_turbo"), _number(cpus / "cpufreq/boost")
    if off is not None:
        return off == 0
    return None if boost is None else boost == 1


def quota(root: Path = ROOT) -> float | None:
    """Return how many cores this process's control groups let it keep busy, None where they set no limit."""
    limits = []
    for folder in _groups(root):
        maximum, _, period = _text(folder / "cpu.max").partition(" ")
        limits.append(_ratio(maximum, period))
        limits.append(_ratio(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")))
    return min((limit for limit in limits if limit is not None), default=None)


def _ratio(maximum: str, period: str) -> float | None:
    # "max" and "-1" both stand for no limit.
    if not (maximum.isdecimal() and period.isdecimal() and int(period)):
        return None
    return int(maximum) / int(period)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's control group and of the groups around it, of version 1 and 2.

    In a container the path may be the host's, which is not to be seen from inside: then only the top one exists.
    """
    top = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        names = controllers.split(",")
        if names != [""] and "cpu" not in names:
            continue
        # Beside version 1, the groups of version 2 are mounted in a folder of their own.
        mounts = ("unified",) if names == [""] else (controllers, "cpu")
        mount = next((top / name for name in mounts if _is(top / name)), top)
        inner = Path(path.lstrip("/"))
        for group in (inner, *inner.parents):
            yield mount / group


# The speeds.


@dataclass(frozen=True, slots=True)
class Company:
    """What the probe met on its way: others that were runnable, interruptions of itself, a clock that went back."""

    seconds: float
    running: tuple[float, ...] = ()
    interrupted: int | None = None
    backwards: int = 0


def visit_cores(
    cores: Sequence[int] | None,
    clock: Clock,
    pin: Pin | None,
    others: Callable[[], float | None] = lambda: None,
    seconds: float | None = None,
) -> tuple[tuple[Speed, ...], Company]:
    """Run the reference workload on each core in turn, in many short visits, and return how fast each of them was."""
    route: list[int | None] = [*cores] if cores and pin else [None]
    seconds = seconds or min(max(_SECONDS_A_CORE * len(route), LEAST_SECONDS), MOST_SECONDS)
    # On a machine with very many cores, some of them stand for all.
    most = max(int(seconds * 1e9 / (_VISIT_NS * _LEAST_VISITS)), 1)
    route = route[:: math.ceil(len(route) / most)]
    windows: dict[int | None, list[float]] = {core: [] for core in route}
    met: list[float] = []
    spent, interrupted, backwards = 0, 0, 0
    timer = reference_timer(clock)
    try:
        with quiet() as between:
            start = clock()
            while clock() - start < seconds * 1e9:
                for core in route:
                    left = clock()
                    if core is not None and pin:
                        pin({core})
                    arrived, switches = clock(), interruptions()
                    windows[core] += visit(timer, clock)
                    interrupted += (interruptions() or 0) - (switches or 0)
                    spent += clock() - arrived
                    backwards += arrived < left
                    met += [count for count in (others(),) if count is not None]
                    between()
    finally:
        if cores and pin:
            pin(set(cores))
    counted = interrupted if interruptions() is not None else None
    company = Company(spent / 1e9, tuple(met), counted, backwards)
    return tuple(speed(core, found) for core, found in windows.items()), company


def visit(reference: Callable[[], int], clock: Clock) -> list[float]:
    """Return the median time of the reference workload, in seconds, in each window of a visit to a core.

    The first window finds the caches of the core filled by somebody else, and is left out.
    """
    found = []
    end = clock() + _VISIT_NS
    while (now := clock()) < end:
        window: list[int] = []
        while len(window) < _LEAST_READINGS or clock() - now < _WINDOW_NS:
            window.append(reference())
        found.append(statistics.median(window) / 1e9)
    return found[1:] or found


def interruptions() -> int | None:
    """Return how often this process had to make way for another."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


# The neighbours.


@dataclass(frozen=True, slots=True)
class Counters:
    """Numbers that only grow, at a moment of the clock; ``waited`` is in seconds."""

    now: int
    stolen: int | None = None
    busy: int | None = None
    waited: float | None = None
    throttled: int | None = None
    hot: int | None = None


def counters(root: Path = ROOT, usable: Sequence[int] | None = None, now: int = 0) -> Counters:
    """Return the kernel's counters of what these cores did."""
    stolen, busy = _ticks(_text(root / "proc/stat"), usable)
    return Counters(now, stolen, busy, _waited(root), _throttled(root), _hot(root, usable or ()))


def _ticks(text: str, usable: Sequence[int] | None) -> tuple[int | None, int | None]:
    """Return the ticks that the host kept to itself, and those in which the cores ran; guests are counted in user."""
    stolen, busy = [], []
    ours = {"cpu"} if usable is None else {f"cpu{core}" for core in usable}
    for name, *fields in filter(None, map(str.split, text.splitlines())):
        if name in ours and len(fields) >= 8 and all(map(str.isdecimal, fields)):
            user, nice, system, _idle, _io, irq, soft, steal = map(int, fields[:8])
            stolen.append(steal)
            busy.append(user + nice + system + irq + soft)
    return (sum(stolen), sum(busy)) if stolen else (None, None)


def _waited(root: Path) -> float | None:
    found = re.search(r"^some .*\btotal=(\d+)", _text(root / "proc/pressure/cpu"), re.MULTILINE)
    return int(found[1]) / 1e6 if found else None


def _throttled(root: Path) -> int | None:
    stats = [_text(folder / "cpu.stat") for folder in _groups(root)]
    found = [re.search(r"^nr_throttled (\d+)", text, re.MULTILINE) for text in stats]
    numbers = [int(match[1]) for match in found if match]
    return sum(numbers) if numbers else None


def _hot(root: Path, usable: Sequence[int]) -> int | None:
    folder = root / "sys/devices/system/cpu"
    numbers = [_number(folder / f"cpu{core}/thermal_throttle/core_throttle_count") for core in usable]
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def running(root: Path = ROOT) -> float | None:
    """Return how many processes besides this one are running or waiting for a core."""
    found = re.search(r" (\d+)/\d+ ", _text(root / "proc/loadavg"))
    return max(float(found[1]) - 1, 0) if found else None


def neighbours(before: Counters, after: Counters, company: Company, load: Sequence[float] | None = None) -> Neighbours:
    """Return who else wanted the machine between two readings of its counters."""
    seconds = (after.now - before.now) / 1e9
    stolen, busy = _grown(before.stolen, after.stolen), _grown(before.busy, after.busy)
    waited = _grown(before.waited, after.waited)
    return Neighbours(
        seconds=seconds,
        steal=stolen / (stolen + busy) if stolen is not None and busy is not None and stolen + busy else None,
        running=statistics.fmean(company.running) if company.running else None,
        load=(load[0], load[1], load[2]) if load else None,
        pressure=waited / seconds if waited is not None and seconds else None,
        switches=company.interrupted / company.seconds if company.interrupted is not None and company.seconds else None,
        throttled=_grown(before.throttled, after.throttled),
    )


def _grown(before: Number | None, after: Number | None) -> Number | None:
    return None if before is None or after is None else after - before


def load_averages() -> Sequence[float] | None:
    """Return how many processes wanted to run over the last 1, 5 and 15 minutes."""
    with contextlib.suppress(OSError, AttributeError):  # Windows has none
        return os.getloadavg()
    return None


# The machine around them.


def host_facts(root: Path = ROOT) -> Host:
    """Return what kind of machine this is."""
    return Host(
        environment=identify().slug,
        system=platform.system().lower(),
        virtual=virtual(root),
        container=container(root),
        on_battery=on_battery(root),
        celsius=celsius(root),
    )


def virtual(root: Path = ROOT) -> bool | None:
    """Return whether a hypervisor shows itself; other processors than x86 do not say."""
    flags = re.search(r"^flags\s*:(.*)$", _text(root / "proc/cpuinfo"), re.MULTILINE)
    if flags:
        return "hypervisor" in flags[1].split()
    return True if _text(root / "sys/hypervisor/type") else None


def container(root: Path = ROOT) -> str | None:
    """Return the kind of container around this process, as far as it shows itself."""
    if _is(root / ".dockerenv"):
        return "docker"
    if _is(root / "run/.containerenv"):
        return "podman"
    groups = _text(root / "proc/self/cgroup") + _text(root / "proc/1/cgroup")
    return next((name for name in _CONTAINERS if name in groups), None)


def on_battery(root: Path = ROOT) -> bool | None:
    """Return whether a battery is what the machine runs on."""
    states = [_text(supply / "status") for supply in _folders(root / "sys/class/power_supply", "*")]
    return "Discharging" in states if any(states) else None


def celsius(root: Path = ROOT) -> float | None:
    """Return the temperature of the hottest zone."""
    zones = _folders(root / "sys/class/thermal", "thermal_zone*")
    known = [number / 1000 for zone in zones if (number := _number(zone / "temp")) is not None]
    return max(known, default=None)


# The tools.


def tool_facts(root: Path = ROOT) -> Tools:
    """Return which tools are here, and what the kernel lets them do."""
    perf = version_in(_output(["perf", "--version"]))
    return Tools(
        memray=_installed("memray"),
        git=version_in(_output(["git", "--version"])),
        valgrind=version_in(_output(["valgrind", "--version"])),
        perf=perf,
        instructions=counts_instructions(_output(["perf", "stat", "-x,", "-e", "instructions:u", "true"]))
        if perf
        else None,
        paranoid=_number(root / "proc/sys/kernel/perf_event_paranoid"),
        randomised=_number(root / "proc/sys/kernel/randomize_va_space"),
        still=can_stand_still(_personality()),
    )


def version_in(text: str) -> str:
    """Return the version that a tool prints, empty where it printed none."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return found[0] if found else ""


def counts_instructions(text: str) -> bool:
    """Return whether ``perf stat -x,`` counted: it prints ``<not supported>`` or nothing where it could not."""
    return re.search(r"^[1-9]\d*,,instructions", text, re.MULTILINE) is not None


def can_stand_still(personality: Callable[[int], int] | None) -> bool | None:
    """Return whether a process may turn the randomising of its addresses off, by doing and undoing it."""
    if personality is None:
        return None
    before = personality(_ASK)
    if before < 0 or personality(before | _ADDR_NO_RANDOMIZE) < 0:
        return False
    held = personality(_ASK)
    personality(before)
    return bool(held & _ADDR_NO_RANDOMIZE)


def _personality() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    try:
        call = ctypes.CDLL(None).personality
    except (OSError, AttributeError):
        return None
    call.argtypes = [ctypes.c_ulong]
    return lambda persona: int(call(persona))


def _installed(distribution: str) -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(distribution)
    return ""


def _output(command: Sequence[str]) -> str:
    """Return what a command printed to either stream, empty where it is absent, fails or hangs."""
    environ = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, env=environ, timeout=_SECONDS_TO_WAIT, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (done.stdout + done.stderr).decode("utf-8", "replace")


# Files that may not be there.


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip()
    return ""


def _number(path: Path) -> int | None:
    with contextlib.suppress(ValueError):
        return int(_text(path))
    return None


def _is(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.exists()
    return False


def _folders(path: Path, pattern: str) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(path.glob(pattern))
    return []
