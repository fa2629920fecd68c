"""`ablation`: what each optimisation brings, on against off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .options import json_option

if TYPE_CHECKING:
    from engine_opt.optimization.performance_optimizer import Effect

_COLUMNS = ("comparison", "on/off", "95 %", "bytes on", "bytes off", "it", "default")
_VERDICTS = {True: "pays", False: "does not pay", None: "no evidence"}
_WORDS = {
    "share_readings": "a bar is read once for 12 decisions, or for each of them",
    "keep_rules": "compiled rules are kept, or compiled for each decision",
    "bounded_readings": "what bars say is in a bounded cache that counts, or with each symbol",
    "still_collector": "a year with the collector spared what is alive, or not",
    "all": "all of these, or none",
    "reference": "a bar and a decision by the engine with all on, or by the plain engine",
    "path_few": "2 weeks by the path that is chosen, or one by one",
    "path_many": "200 weeks by the path that is chosen, or one by one",
    "scratch_pool": "scratch arrays leased from a pool (nowhere in use), or new ones",
}


@click.command(
    short_help="What each optimisation brings, on against off.",
    epilog="\b\nExample:\n  python -m engine_opt ablation --seconds 0.02 --processes 2",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.0, 60.0, min_open=True),
    default=0.5,
    show_default=True,
    metavar="S",
    help="For each comparison in each process.",
)
@click.option(
    "--processes",
    type=click.IntRange(2, 100),
    default=6,
    show_default=True,
    metavar="N",
    help="Fresh processes, one after the other.",
)
@json_option
def ablation(seconds: float, processes: int, as_json: bool) -> None:
    """Measure each optimisation on against off, the others being as they are by default.

    The two take turns in rounds of milliseconds, in several fresh processes, and the gate of pytest-pe-perf says what the
    ratio of their times is and its 95 % interval. Below 1 it is quicker with the optimisation; where the interval includes
    1, nothing is said for it, and it should be off. Bytes are the most that one call allocates at one time.

    The figures are of this machine as it is now. Give it time, and let it do nothing else meanwhile.
    """
    from engine_opt.errors import EngineError

    try:
        from .ablating import judged, measured
    except ImportError as error:
        raise EngineError(f"ablation needs pytest-pe-perf, on a POSIX system ({error})") from None

    effects = judged(list(measured(seconds, processes)))
    rows = [_row(each) for each in effects]
    if as_json:
        from .show import print_json

        print_json({"seconds": seconds, "processes": processes, "effects": [row.plain() for row in rows]})
        return
    _print(rows, seconds, processes)


class _Row(NamedTuple):
    """An effect, and whether the optimisation is on by default; None for what is no switch of the engine."""

    effect: Effect
    default: bool | None

    def plain(self) -> dict[str, Any]:
        return {
            "name": self.effect.name,
            "what": _WORDS[self.effect.name],
            **self.effect.measured._asdict(),
            "pays": self.effect.pays,
            "default": self.default,
        }


def _row(effect: Effect) -> _Row:
    from engine_opt.optimizations import EngineOptimizations

    return _Row(effect, EngineOptimizations().plain().get(effect.name))


def _print(rows: list[_Row], seconds: float, processes: int) -> None:
    from .show import print_table, print_text

    cells = [
        (
            effect.name,
            f"{effect.measured.ratio:.3f}",
            f"{effect.measured.low:.3f}-{effect.measured.high:.3f}",
            effect.measured.bytes_on,
            effect.measured.bytes_off,
            _VERDICTS[effect.pays],
            None if default is None else "on" if default else "off",
        )
        for effect, default in rows
    ]
    print_table(_COLUMNS, cells, right=("on/off", "bytes on", "bytes off"))
    print_text()
    for effect, _ in rows:
        print_text(f"{effect.name}: {_WORDS[effect.name]}")
    print_text()
    print_text(f"{processes} processes, {seconds:g} s for each comparison in each; below 1 it is quicker with it on")
    if not any(row.effect.name == "scratch_pool" for row in rows):
        print_text("paths and scratch arrays need NumPy, which is not installed")
