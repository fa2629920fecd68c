"""What the two measurements with known answers say of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_pe_perf.model import PairedRow
from pytest_pe_perf.units import format_change

from .paired import PairEstimate, estimate, leans, limits_of, problem

SAME, PLANTED = "same", "planted"


@dataclass(frozen=True, slots=True)
class Canaries:
    """Why no change of this run is to be believed, why no silence is, and what to tell the user; empty where all is well."""

    biased: str = ""
    blind: str = ""
    notes: tuple[str, ...] = ()


def canaries_say(rows: Sequence[PairedRow]) -> Canaries:
    """Return what the canaries of a run say; ``rows`` are theirs."""
    by_name = {row.key.name: row for row in rows if row.key.metric == "latency"}
    same, planted = by_name.get(SAME), by_name.get(PLANTED)
    if same is None or planted is None:
        return _mute("the canaries were not measured")
    if why := problem(same.screen, 1) or problem(planted.screen, 1) or (same.confirm and problem(same.confirm, 1)):
        return _mute(f"the canaries cannot be judged: {why}")
    biased = ""
    if same.confirm and (seen := _leaning(same, estimate(same.confirm))):
        biased = f"the same code on both sides differs by {seen} in this run: something favours one side"
    screen = estimate(planted.screen)
    size = format_change(1 + planted.threshold)
    blind = ""
    if leans(screen, limits_of(planted).margin) != "slower":
        blind = f"a planted {size} went unseen in this run ({format_change(screen.ratio)}): the machine was too busy"
    seen = f"a planted {size} was seen as {format_change(screen.ratio)}"
    none = f"no change as {format_change(estimate(same.screen).ratio)}"
    return Canaries(biased, blind, (f"canaries: {seen}, {none}",))


def _mute(why: str) -> Canaries:
    return Canaries(biased=why, blind=why)


def _leaning(row: PairedRow, pair: PairEstimate) -> str:
    return format_change(pair.ratio) if leans(pair, limits_of(row).margin) else ""
