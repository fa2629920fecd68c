"""What a machine can prove: from what was seen of it to findings, and to whether it is fit to gate.

Numbers in, findings out. A fact that is None could not be seen; an unknown fact leads to no finding.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "note", "bad"]
Fitness = Literal["fit", "not fit", "unknown"]

_WORST_FIRST: tuple[Level, ...] = ("bad", "note", "good")

# The shortest reading that the gate takes spans 50 µs: a clock that moves in such steps measures nothing, and one look
# at it should be small against a reading.
_READING = 50e-6
_COARSE_STEP = _READING / 100
_DEAR_LOOK = _READING / 100

# A window that is this much slower than the fast ones ran at another speed. Interrupts do not lift the median of a
# window, and what is left of jitter within one speed stays below 10 %.
SLOW = 1.15
_FAST_QUANTILE = 0.02
_SLOW_OFTEN = 0.05
_CORES_DIFFER = 1.05

# Of the time that the machine wanted to run.
_STEAL_SEEN = 0.02
_STEAL_TOO_MUCH = 0.2
# Of the time that passed.
_PRESSURE_SEEN = 0.1
_SWITCHES_SEEN = 100.0
# The method was tried on machines with up to some four programs for every core.
_TOO_MANY_RUNNING = 4.0

# The gate's default threshold, the widest margin of a stored time, and what a gate may cry wolf at the most.
_THRESHOLD = 0.05
_WIDEST = 0.2
_FALSE_ALARMS = 0.05


@dataclass(frozen=True, slots=True)
class Timer:
    """The clock that measures, in seconds: what it claims, what was seen of it, and where it comes from.

    ``step`` is the smallest difference between two looks that differ, ``look`` what a look costs, ``backwards`` how
    often it went back. ``source`` is the kernel's clock source, ``sources`` those that it could take.
    """

    implementation: str
    monotonic: bool
    resolution: float
    step: float
    look: float
    backwards: int
    source: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cores:
    """What this process may run on; ``quota`` is in cores and None where no limit was found.

    ``siblings`` are groups of usable cores that are threads of one core.
    """

    online: int
    usable: tuple[int, ...] | None = None
    quota: float | None = None
    pinnable: bool | None = None
    siblings: tuple[tuple[int, ...], ...] = ()
    governors: tuple[str, ...] = ()
    turbo: bool | None = None


@dataclass(frozen=True, slots=True)
class Speed:
    """The reference workload on one core, in seconds; ``core`` is None where nothing could be pinned.

    ``slow_share`` is how often the core ran at a slower speed, ``slow_ratio`` how much longer everything took then.
    """

    core: int | None
    windows: int
    fastest: float
    typical: float
    slow_share: float
    slow_ratio: float


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Who else wanted the machine while it was measured, for ``seconds``.

    ``steal`` is the share of the time that this machine wanted to run and its host gave to others, ``running`` how many
    other processes were runnable on average, ``pressure`` the share of time in which somebody waited for a core,
    ``switches`` how often a second the probe was interrupted, ``throttled`` how often a quota stopped it.
    """

    seconds: float
    steal: float | None = None
    running: float | None = None
    load: tuple[float, float, float] | None = None
    pressure: float | None = None
    switches: float | None = None
    throttled: int | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """What kind of machine it is; ``hot`` is how often heat slowed a core down while it was measured."""

    environment: str
    system: str
    virtual: bool | None = None
    container: str | None = None
    on_battery: bool | None = None
    celsius: float | None = None
    hot: int | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """Versions of what helps to measure, empty where it is absent; and what the kernel lets us do.

    ``instructions`` is whether hardware counters count, ``still`` whether a process may have its addresses left where
    they are.
    """

    memray: str
    git: str
    valgrind: str
    perf: str
    instructions: bool | None = None
    paranoid: int | None = None
    randomised: int | None = None
    still: bool | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """All that was seen of a machine."""

    host: Host
    timer: Timer
    cores: Cores
    speeds: tuple[Speed, ...]
    neighbours: Neighbours
    tools: Tools


@dataclass(frozen=True, slots=True)
class PairSpread:
    """Code measured beside itself: ``spread`` is the standard deviation of a pair's ratio, as a share.

    ``pairs`` of processes measured so many ``benchmarks``, of which the gate could not decide on ``undecided``.
    ``detectable`` is the smallest change that would be found with ``seconds`` a test, ``false_alarms`` how many of the
    benchmarks were taken for changed.
    """

    pairs: int
    spread: float
    detectable: float
    seconds: float
    false_alarms: int
    benchmarks: int
    undecided: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen, why it matters, and what to do about it, where anything can be done."""

    level: Level
    about: str
    seen: str
    why: str = ""
    todo: str = ""


def speed(core: int | None, windows: Sequence[float]) -> Speed:
    """Return how fast a core ran, from what the workload took in each of many short windows, in seconds.

    A core has two speeds where some windows are slower than the fast ones by more than jitter.
    """
    ordered = sorted(windows)
    # Not the fastest of all, which may be luck.
    fast = ordered[int(_FAST_QUANTILE * (len(ordered) - 1))]
    slow = [window for window in ordered if window > SLOW * fast]
    ratio = statistics.median(slow) / fast if slow else 1.0
    return Speed(core, len(ordered), ordered[0], statistics.median(ordered), len(slow) / len(ordered), ratio)


def findings(machine: Machine, spread: PairSpread | None = None) -> tuple[Finding, ...]:
    """Return what is to be said of the machine, worst first."""
    found = [
        *_timer(machine.timer),
        *_quota(machine.cores, machine.neighbours),
        *_pinning(machine.cores),
        *_speeds(machine.speeds),
        *_steal(machine.neighbours),
        *_company(machine.neighbours, machine.cores),
        *_governor(machine.cores),
        *_siblings(machine.cores),
        *_power(machine.host),
        *_memray(machine),
        *_git(machine.tools),
        *_counters(machine),
        *_addresses(machine.tools),
        *_pairs(spread),
    ]
    return tuple(sorted(found, key=lambda finding: _WORST_FIRST.index(finding.level)))


def fitness(machine: Machine, found: Sequence[Finding], spread: PairSpread | None = None) -> Fitness:
    """Return whether a gate on this machine means anything; a bad finding is one that makes it meaningless."""
    if any(finding.level == "bad" for finding in found):
        return "not fit"
    unsettled = spread is not None and not math.isfinite(spread.detectable)
    return "unknown" if unsettled or not machine.speeds else "fit"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _timer(timer: Timer) -> Iterator[Finding]:
    if timer.backwards or not timer.monotonic:
        seen = f"the clock went back {timer.backwards} times" if timer.backwards else "the clock is not monotonic"
        yield Finding(
            "bad", "timer", seen, "A time may come out shorter than it was, or negative.", _other_clock(timer)
        )
    elif timer.step >= _READING:
        yield Finding(
            "bad",
            "timer",
            f"the clock moves in steps of {timer.step * 1e6:.3g} µs",
            "A reading of 50 µs is less than a step.",
            _other_clock(timer),
        )
    elif timer.step > _COARSE_STEP or timer.look > _DEAR_LOOK:
        yield Finding(
            "note",
            "timer",
            f"the clock moves in steps of {timer.step * 1e6:.3g} µs, and a look at it costs {timer.look * 1e6:.3g} µs",
            "Readings of 50 µs are coarse by more than 1 %.",
            _other_clock(timer),
        )
    else:
        yield Finding("good", "timer", "the clock is fine, cheap and never goes back")


def _other_clock(timer: Timer) -> str:
    quick = [name for name in ("tsc", "arch_sys_counter", "kvm-clock") if name in timer.sources]
    if not quick or timer.source in quick:
        return ""
    return f"echo {quick[0]} | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource"


def _quota(cores: Cores, neighbours: Neighbours) -> Iterator[Finding]:
    raise_it = "Raise the limit of the container (docker run --cpus, a pod's resources.limits.cpu)."
    usable = len(cores.usable) if cores.usable is not None else cores.online
    if neighbours.throttled:
        yield Finding(
            "bad",
            "quota",
            f"a cgroup quota stopped this process's group {neighbours.throttled} times in {neighbours.seconds:.3g} s",
            "Each time everything stands still for some ten milliseconds, in the middle of a reading.",
            raise_it,
        )
    elif cores.quota is not None and cores.quota < 1:
        yield Finding(
            "bad",
            "quota",
            f"cgroup quota of {cores.quota:.3g} cores",
            "One busy process is more than that: throttling will hit, and readings will hold pauses.",
            raise_it,
        )
    elif cores.quota is not None and cores.quota < usable:
        yield Finding(
            "note",
            "quota",
            f"cgroup quota of {cores.quota:.3g} cores, of {usable} that are visible",
            "Code that keeps more cores busy will be throttled, which reads as slowness.",
            f"Measure alone (no pytest -n, one BLAS thread). {raise_it}",
        )


def _pinning(cores: Cores) -> Iterator[Finding]:
    if cores.pinnable:
        yield Finding("good", "pinning", "a process can be pinned to one core")
    elif cores.pinnable is False:
        yield Finding(
            "note",
            "pinning",
            "a process cannot be pinned to a core here",
            "The two sides of a pair may run on cores of different speed, so that pairs spread more.",
        )


def _speeds(speeds: Sequence[Speed]) -> Iterator[Finding]:
    slow = [speed for speed in speeds if speed.slow_share >= _SLOW_OFTEN]
    if slow:
        worst = max(slow, key=lambda speed: speed.slow_share * (speed.slow_ratio - 1))
        where = "the machine" if worst.core is None else f"core {worst.core}"
        seen = f"{where} has two speeds: {worst.slow_ratio:.2f} times as slow {_percent(worst.slow_share)} of the time"
        why = "A process that never meets the fast speed looks like slower code against a stored time."
        todo = "Believe small changes of a time only where base and head were measured side by side."
        yield Finding("note", "speed", seen, why, todo)
    elif speeds:
        yield Finding("good", "speed", "one speed: no core was slower for a noticeable share of the time")
    yield from _difference(speeds)


def _difference(speeds: Sequence[Speed]) -> Iterator[Finding]:
    typical = [speed.typical for speed in speeds]
    if len(typical) < 2 or max(typical) <= _CORES_DIFFER * min(typical):
        return
    by = _percent(max(typical) / min(typical) - 1)
    why = "Pairs are pinned to one core, so that is fine for them; a stored time depends on where the process ran."
    yield Finding("note", "cores", f"the cores differ in speed by {by} just now", why)


def _steal(neighbours: Neighbours) -> Iterator[Finding]:
    if neighbours.steal is None:
        return
    seen = f"steal {_percent(neighbours.steal)}"
    if neighbours.steal < _STEAL_SEEN:
        yield Finding("good", "steal", f"{seen}: the host leaves this machine its cores")
        return
    yield Finding(
        "bad" if neighbours.steal >= _STEAL_TOO_MUCH else "note",
        "steal",
        f"{seen}: a neighbour on the host",
        "The host runs somebody else in the middle of readings.",
        "Measure at another hour, or on a machine with cores of its own.",
    )


def _company(neighbours: Neighbours, cores: Cores) -> Iterator[Finding]:
    running, pressure, switches = neighbours.running, neighbours.pressure, neighbours.switches
    if running is pressure is switches is None:
        return
    parts = []
    if running is not None:
        parts.append(f"{running:.1f} others want to run")
    if pressure is not None:
        parts.append(f"somebody waits for a core {_percent(pressure)} of the time")
    if switches is not None:
        parts.append(f"the probe was interrupted {switches:.0f} times a second")
    seen = ", ".join(parts)
    if (running or 0) < 1 and (pressure or 0) < _PRESSURE_SEEN and (switches or 0) < _SWITCHES_SEEN:
        yield Finding("good", "company", f"hardly anything else runs: {seen}")
        return
    full = (running or 0) >= _TOO_MANY_RUNNING * cores.online
    why = "More than the gate was ever tried with." if full else "They take turns with what is measured."
    yield Finding("bad" if full else "note", "company", seen, why, "Stop other programs, or wait until they are done.")


def _governor(cores: Cores) -> Iterator[Finding]:
    others = [name for name in cores.governors if name != "performance"]
    if others:
        yield Finding(
            "note",
            "governor",
            f"frequency governor {', '.join(others)}",
            "The clock rate follows the load of the last moments, and so do the times.",
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        )
    elif cores.governors:
        yield Finding("good", "governor", "frequency governor performance")
    if cores.turbo:
        why = "Boosted speed depends on heat and on what the other cores do."
        todo = "On a machine that only measures, turn it off in the firmware or beneath /sys/devices/system/cpu."
        yield Finding("note", "turbo", "turbo is on", why, todo)


def _siblings(cores: Cores) -> Iterator[Finding]:
    if not cores.siblings:
        return
    first = " and ".join(map(str, cores.siblings[0]))
    more = f" (and {len(cores.siblings) - 1} more pairs)" if len(cores.siblings) > 1 else ""
    yield Finding(
        "note",
        "siblings",
        f"cores {first} are threads of one core{more}",
        "What runs on one slows the other by a third or so.",
        "Run nothing else meanwhile; on a machine that only measures: echo off | sudo tee "
        "/sys/devices/system/cpu/smt/control",
    )


def _power(host: Host) -> Iterator[Finding]:
    if host.on_battery:
        yield Finding("note", "power", "on battery", "The machine saves power by being slow at times.", "Plug it in.")
    if host.hot:
        seen = f"heat slowed a core down {host.hot} times"
        yield Finding("note", "heat", seen, "Times rise with temperature.", "Let it cool down; measure with pauses.")


def _memray(machine: Machine) -> Iterator[Finding]:
    if machine.tools.memray:
        yield Finding("good", "memray", f"memray {machine.tools.memray} counts memory")
    elif machine.host.system != "windows":  # where there is none to install
        why = "Without it only what Python itself allocates is seen, and allocations are not counted."
        yield Finding("note", "memray", "memray is missing", why, "pip install memray")


def _git(tools: Tools) -> Iterator[Finding]:
    if not tools.git:
        why = "The commit of a run is not known, and the base of a change cannot be checked out."
        yield Finding("note", "git", "git is missing", why, "Install git.")


def _counters(machine: Machine) -> Iterator[Finding]:
    tools = machine.tools
    if tools.instructions:
        yield Finding("good", "counters", "the processor's counters count instructions")
    elif tools.instructions is False and tools.paranoid is not None and tools.paranoid > 2:
        why = "Instructions repeat better than times (optional)."
        todo = "sudo sysctl kernel.perf_event_paranoid=2"
        yield Finding("note", "counters", "the kernel lets nobody count instructions", why, todo)
    if not tools.instructions and not tools.valgrind and machine.host.system == "linux":
        why = "It counts instructions where the processor's own counters are hidden (optional)."
        yield Finding("note", "valgrind", "valgrind is absent", why, "Install valgrind, if you want such counts.")


def _addresses(tools: Tools) -> Iterator[Finding]:
    if tools.randomised == 0:
        yield Finding(
            "note",
            "addresses",
            "addresses are not randomised (ASLR is off)",
            "All processes share one layout of memory, so that fresh ones cannot show how much of a time it makes.",
            "sudo sysctl kernel.randomize_va_space=2",
        )
    elif tools.still is False:
        yield Finding(
            "note",
            "addresses",
            "a process may not fix its addresses: personality() is refused",
            "The two sides of a pair cannot be given the same layout; that spreads pairs by 1 or 2 %.",
            "Where you may, let the container's seccomp profile permit it.",
        )


def _pairs(spread: PairSpread | None) -> Iterator[Finding]:
    if spread is None or not math.isfinite(spread.detectable):
        return
    benchmarks = f"of {spread.benchmarks} benchmarks of the same code"
    alarms = f"{spread.false_alarms} {benchmarks} were taken for changed"
    more_time = "Give each test more time (--pe-perf-time), or measure on a quieter machine."
    # One alarm among a few benchmarks proves nothing.
    if spread.false_alarms > max(1.0, _FALSE_ALARMS * spread.benchmarks):
        yield Finding("bad", "alarms", alarms, "The gate would fail changes that change nothing.", more_time)
    elif spread.false_alarms:
        yield Finding("note", "alarms", alarms, "One such alarm proves little.", "Run this again.")
    if spread.undecided:
        undecided = f"{spread.undecided} {benchmarks} ended without a decision"
        yield Finding("note", "undecided", undecided, "The gate passes what it cannot decide.", more_time)
    smallest = f"changes below {_percent(spread.detectable)} cannot be proven in {spread.seconds:.3g} s a test"
    if spread.detectable > _WIDEST:
        yield Finding("bad", "pairs", smallest, "A gate that sees only larger ones is no gate.", more_time)
    elif spread.detectable > _THRESHOLD:
        yield Finding("note", "pairs", smallest, "The default threshold is 5 %: smaller changes pass.", more_time)
    else:
        yield Finding("good", "pairs", f"pairs of the same code spread by {_percent(spread.spread)}")
