"""False alarms and power of the rule for base-against-head pairs. A model, not a machine: no measurement.

    python docs/method/simulate_paired.py [--builds 200] [--power-builds 200] [--confirm 0] [--processes 2] [--seed 20240229]

Draws what pairs of processes would measure, hands it to the very functions that make the verdicts, and prints a
Markdown table, a line for each model of the noise:

- Restart: the log ratio of head to base has this standard deviation between pairs of processes, half of its variance
  from each side. "Mixed" is 1 %, and 4 % for one row of ten, by chance.
- Bias: a row leans by this much in all its restarts, of both passes: what fresh processes cannot average away.
- Block: 3 % more on the log ratio of each ABBA block; in 5 % of blocks the machine changes its speed within the block,
  which is 15 %. The whole block is slow (105 to 58) or fast, by coin. A turn's minimum lies 10 % below its quartile and
  has noise of one sign, 2 % on average.

The flow is the real one: 4 restarts; suspects are measured again in as many fresh ones as the rule asks for, or in
``--confirm``; Holm over the suspects of the build. A/A builds have 50 rows. Builds for power have 20 rows, 5 of them
slower; "confirmed in" is the mean number of restarts that the suspects of A/A builds get; a "weak" row says that it could
not have seen a change of the threshold.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat

from pytest_pe_perf.judge.pairs_verdict import judge_pairs, suspects
from pytest_pe_perf.model import Block, Key, PairedRow, Restart, Turn, Verdict

CHANGES = (0.02, 0.03, 0.05, 0.10)
SECONDS = 1e-3
THRESHOLD, MARGIN = 0.05, 0.01
SCREEN = 4
BLOCKS = 30
BLOCK_SD, STRADDLE, STRADDLE_SD = 0.03, 0.05, 0.15
QUARTILE, LEAST_NOISE = 0.10, 0.02
SLOW = 105 / 58
ROWS, POWER_ROWS, CHANGED = 50, 20, 5
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the log ratio: between restarts, and of what stays the same in all restarts of a row."""

    restart: float
    bias: float = 0.0
    wild: float | None = None

    @property
    def name(self) -> str:
        """The line's name in the table."""
        wild = (
            f"mixed {self.restart * 100:.0f} and {self.wild * 100:.0f} %"
            if self.wild
            else f"{self.restart * 100:.0f} %"
        )
        return f"restart {wild}, bias {self.bias * 100:.1f} %"


def turn(rng: random.Random, level: float, noise: float) -> Turn:
    """Return one round of a process at this level: its quartile goes up and down, its minimum only up."""
    least = SECONDS * math.exp(level) * (1 + rng.expovariate(1 / LEAST_NOISE))
    return Turn(max(least, SECONDS * math.exp(level + QUARTILE + rng.gauss(0, noise))), least)


def restart(rng: random.Random, spread: float, change: float, blocks: int = BLOCKS) -> Restart:
    """Return what a pair of processes measures of a row whose log ratio is ``change``."""
    base, head = rng.gauss(0, spread / math.sqrt(2)), change + rng.gauss(0, spread / math.sqrt(2))
    drawn = []
    for _ in range(blocks):
        speed = math.log(SLOW) if rng.random() < 0.5 else 0.0
        # Two turns a side: the mean of each has half of the variance of a turn, the ratio the sum of both.
        noise = STRADDLE_SD if rng.random() < STRADDLE else BLOCK_SD
        a, b, c, d = (turn(rng, speed + level, noise) for level in (base, base, head, head))
        drawn.append(Block((a, b), (c, d)))
    return Restart(tuple(drawn))


def build(rng: random.Random, noise: Noise, rows: int, changed: int, change: float, confirm: int) -> list[PairedRow]:
    """Return the rows of a build, ``changed`` of them slower by ``change``, suspects measured again."""
    drawn, truths = [], {}
    for i in range(rows):
        # Spread over the build, so that wild rows are among the changed ones as often as among the others.
        slower = math.log1p(change) if changed and i * changed // rows != (i + 1) * changed // rows else 0.0
        wild = noise.wild if noise.wild and rng.random() < 0.1 else noise.restart
        key = Key("tests/perf/test_model.py::test_drawn", f"{i}{'+' if slower else ''}", "latency")
        truths[key] = wild, slower + rng.gauss(0, noise.bias)
        screen = tuple(restart(rng, *truths[key]) for _ in range(SCREEN))
        drawn.append(PairedRow(key, "source", THRESHOLD, MARGIN, screen))
    again = suspects(drawn)
    return [
        replace(row, confirm=tuple(restart(rng, *truths[row.key]) for _ in range(confirm or again[row.key])))
        if row.key in again
        else row
        for row in drawn
    ]


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    share, z2 = hits / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def percent(hits: int, n: int, digits: int = 1) -> str:
    """Return a share in per cent with its interval."""
    low, high = wilson(hits, n)
    return f"{hits / n * 100:.{digits}f} ({low * 100:.{digits}f}-{high * 100:.{digits}f})"


def line(noise: Noise, builds: int, power_builds: int, confirm: int, seed: int) -> str:
    """Return a line of the table."""
    rng = random.Random(f"{seed} {noise}")
    red = false = undecided = weak = better = suspected = restarts = 0
    for _ in range(builds):
        rows = build(rng, noise, ROWS, 0, 0.0, confirm)
        judged = judge_pairs(rows)
        alarms = sum(judgement.fails for judgement in judged)
        false += alarms
        red += alarms > 0
        undecided += sum(judgement.verdict is Verdict.INCONCLUSIVE for judgement in judged)
        better += sum(judgement.verdict is Verdict.IMPROVED for judgement in judged)
        weak += sum(judgement.reason.startswith("weak") for judgement in judged)
        suspected += sum(bool(row.confirm) for row in rows)
        restarts += sum(len(row.confirm) for row in rows)
    n = builds * ROWS
    cells = [percent(false, n, 2), percent(red, builds), percent(better, n, 2), percent(undecided, n)]
    cells += [percent(weak, n), percent(suspected, n), f"{restarts / max(1, suspected):.1f}"]
    for change in CHANGES:
        found = 0
        for _ in range(power_builds):
            judged = judge_pairs(build(rng, noise, POWER_ROWS, CHANGED, change, confirm))
            found += sum(judgement.fails and judgement.key.name.endswith("+") for judgement in judged)
        cells.append(percent(found, power_builds * CHANGED))
    return f"| {noise.name} | " + " | ".join(cells) + " |"


CASES = (
    *(Noise(spread, bias) for bias in (0.0, 0.003) for spread in (0.01, 0.02, 0.03, 0.04)),
    Noise(0.01, 0.0, 0.04),
    Noise(0.01, 0.003, 0.04),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Simulate the rule for pairs: a model, not a machine.")
    parser.add_argument("--builds", type=int, default=200, help=f"A/A builds of {ROWS} rows per line")
    parser.add_argument("--power-builds", type=int, default=200, help=f"builds with {CHANGED} slower rows per cell")
    parser.add_argument("--confirm", type=int, default=0, help="restarts of the second pass; 0: as the rule asks")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20240229)
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    print(f"*A model, not a machine.* Seed {options.seed}; threshold {THRESHOLD:.0%}, margin {MARGIN:.0%};")
    print(f"{SCREEN} restarts, then {options.confirm or 'as many as the rule asks for'}; {BLOCKS} blocks a restart.")
    print(f"A/A: n = {options.builds * ROWS:,} rows; power: n = {options.power_builds * CHANGED:,} a cell.")
    print("Per cent, with 95 % Wilson intervals.\n")
    heads = " | ".join(f"+{change * 100:.0f} %" for change in CHANGES)
    print(
        f"| noise | false alarms a row | red builds | improved | inconclusive | weak | suspects | confirmed in | {heads} |"
    )
    print("|---|---|---|---|---|---|---|---|" + "---|" * len(CHANGES), flush=True)
    settings = (repeat(value) for value in (options.builds, options.power_builds, options.confirm, options.seed))
    with ProcessPoolExecutor(options.processes) as pool:
        for text in pool.map(line, CASES, *settings):
            print(text, flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
