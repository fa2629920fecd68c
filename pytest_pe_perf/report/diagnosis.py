"""What a machine can prove, on a screen: the facts, the findings, and one sentence last."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pytest_pe_perf.judge.machine import (
    Cores,
    Finding,
    Fitness,
    Host,
    Level,
    Machine,
    Neighbours,
    PairSpread,
    Speed,
    Timer,
    Tools,
)
from pytest_pe_perf.units import format_seconds

from .screen import printable, width_of, wrap_parts

_COLOURS: dict[Level, str] = {"bad": "bold red", "note": "yellow", "good": "green"}
_FITNESS: dict[Fitness, tuple[str, str]] = {
    "fit": ("fit to gate", "bold green"),
    "not fit": ("not fit to gate", "bold red"),
    "unknown": ("could not tell whether this machine is fit to gate", "bold yellow"),
}
_UNKNOWN = "unknown"
_SPEEDS_SHOWN = 8


def lines(
    machine: Machine, found: Sequence[Finding], fitness: Fitness, spread: PairSpread | None = None, width: int = 80
) -> list[str]:
    """Return the diagnosis as plain lines of at most ``width`` columns."""
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None, legacy_windows=False)
    console.print(renderable(machine, found, fitness, spread))
    return [line.rstrip() for line in text.getvalue().splitlines()]


def renderable(
    machine: Machine, found: Sequence[Finding], fitness: Fitness, spread: PairSpread | None = None
) -> RenderableType:
    """Return the diagnosis as something that rich prints in any width."""
    blank = Text()
    return Group(_facts(machine), blank, _findings(found), blank, Text(*_FITNESS[fitness]), Text(promise(spread)))


def promise(spread: PairSpread | None) -> str:
    """Return the sentence that the whole is about: the smallest change that this machine can prove."""
    if spread is None:
        return "smallest change this machine can prove: unknown, no pairs were measured"
    if not math.isfinite(spread.detectable):
        return "smallest change this machine can prove: unknown, the pairs did not settle"
    return (
        f"smallest change this machine can prove in {spread.seconds:.3g} s a test: {spread.detectable * 100:.1f} % "
        f"({spread.pairs} pairs)"
    )


@dataclass(frozen=True, slots=True)
class _Sentence:
    """Parts of a sentence, broken between them in whatever width there is."""

    parts: tuple[str, ...]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield from map(Text, wrap_parts("", self.parts, options.max_width))

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        widest = max(map(width_of, "; ".join(self.parts).splitlines()), default=0)
        return Measurement(1, max(min(widest, options.max_width), 1))


def _facts(machine: Machine) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    rows = {
        "machine": _host(machine.host),
        "timer": _timer(machine.timer),
        "cores": _cores(machine.cores),
        "speed": _speeds(machine.speeds),
        "neighbours": _neighbours(machine.neighbours),
        "tools": _tools(machine.tools),
        "kernel": _kernel(machine.tools),
    }
    for name, parts in rows.items():
        table.add_row(Text(name, style="bold"), parts if isinstance(parts, Table) else _Sentence(tuple(parts)))
    return table


def _host(host: Host) -> Iterator[str]:
    yield host.environment
    if host.virtual is None:
        yield "virtual or not: unknown"
    else:
        yield "virtual machine" if host.virtual else "no hypervisor seen"
    yield f"in a container ({host.container})" if host.container else "no container seen"
    if host.on_battery is not None:
        yield "on battery" if host.on_battery else "on mains"
    if host.celsius is not None:
        yield f"{host.celsius:.0f} °C"


def _timer(timer: Timer) -> Iterator[str]:
    yield f"{timer.implementation}, source {timer.source or _UNKNOWN}"
    yield f"claims {format_seconds(timer.resolution)}, moves by {_seconds(timer.step)}, a look costs {_seconds(timer.look)}"
    yield f"went back {timer.backwards} times" if timer.backwards else "never went back"


def _seconds(value: float) -> str:
    return format_seconds(value) if math.isfinite(value) else "nothing"


def _cores(cores: Cores) -> Iterator[str]:
    usable = f"cores {_ranges(cores.usable)} usable of" if cores.usable is not None else "usable cores unknown, of"
    yield f"{usable} {cores.online} online"
    yield "no quota found" if cores.quota is None else f"quota {cores.quota:.3g}"
    yield f"pinning {_word(cores.pinnable, 'works', 'does not work')}"
    yield f"governor {', '.join(cores.governors) or _UNKNOWN}"
    yield f"turbo {_word(cores.turbo, 'on', 'off')}"
    if cores.siblings:
        yield "threads of one core: " + ", ".join(map(_ranges, cores.siblings[:_SPEEDS_SHOWN]))


def _ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as the kernel writes them: ``0-3,8``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


def _word(fact: bool | None, yes: str, no: str) -> str:
    return _UNKNOWN if fact is None else yes if fact else no


def _speeds(speeds: Sequence[Speed]) -> Table | tuple[str, ...]:
    if not speeds:
        return (_UNKNOWN,)
    table = Table.grid(padding=(0, 2, 0, 0))
    for name in ("core", "fastest", "typical", "slower speed"):
        table.add_column(name, justify="left" if name == "slower speed" else "right")
    table.add_row(*(Text(name, style="dim") for name in ("core", "fastest", "typical", "at a slower speed")))
    for speed in sorted(speeds, key=lambda speed: -speed.typical)[:_SPEEDS_SHOWN]:
        core = "any" if speed.core is None else str(speed.core)
        often = f"{speed.slow_share * 100:.1f} % of the time"
        slower = f"{often}, {speed.slow_ratio:.2f}x" if speed.slow_share else "never"
        table.add_row(core, format_seconds(speed.fastest), format_seconds(speed.typical), slower)
    if len(speeds) > _SPEEDS_SHOWN:
        table.add_row("", "", "", f"... and {len(speeds) - _SPEEDS_SHOWN} faster cores")
    return table


def _neighbours(neighbours: Neighbours) -> Iterator[str]:
    yield f"over {neighbours.seconds:.1f} s: steal {_share(neighbours.steal)}"
    yield "others running " + (_UNKNOWN if neighbours.running is None else f"{neighbours.running:.2f}")
    yield f"somebody waits {_share(neighbours.pressure)}"
    yield "interrupted " + (_UNKNOWN if neighbours.switches is None else f"{neighbours.switches:.1f} times a second")
    if neighbours.throttled is not None:
        yield f"throttled {neighbours.throttled} times"
    if neighbours.load is not None:
        yield "load " + " ".join(f"{average:.2f}" for average in neighbours.load)


def _share(share: float | None) -> str:
    return _UNKNOWN if share is None else f"{share * 100:.1f} %"


def _tools(tools: Tools) -> Iterator[str]:
    versions = {"memray": tools.memray, "git": tools.git, "valgrind": tools.valgrind, "perf": tools.perf}
    for name, version in versions.items():
        yield f"{name} {version}" if version else f"no {name}"


def _kernel(tools: Tools) -> Iterator[str]:
    yield f"instructions {_word(tools.instructions, 'are counted', 'cannot be counted')}"
    yield f"perf_event_paranoid {_UNKNOWN if tools.paranoid is None else tools.paranoid}"
    yield f"randomize_va_space {_UNKNOWN if tools.randomised is None else tools.randomised}"
    yield f"fixing addresses {_word(tools.still, 'permitted', 'refused')}"


def _findings(found: Sequence[Finding]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, width=max(map(len, _COLOURS)))
    table.add_column(overflow="fold")
    for finding in found:
        text = Text(printable(finding.seen))
        if finding.why:
            text.append(f"\n{printable(finding.why)}", style="dim")
        if finding.todo:
            text.append(f"\ndo: {printable(finding.todo)}")
        table.add_row(Text(finding.level, style=_COLOURS[finding.level]), text)
    return table
