"""How often the analyses of monitored series are wrong, and what they find. A model, not a machine: no measurement.

    python docs/optimization/error_rates.py [--trials 1000] [--processes 2] [--seed 20240229]

Draws series without and with a planted effect, hands them to the functions of performance_analytics with their default
settings, and prints three Markdown tables, a line for each kind of noise and each length. Noise has standard deviation 1:

- white: independent and normal.
- autocorrelated: normal, each point keeps half of the one before it, AR(1) with 0.5; strongly: with 0.9.
- heavy tails: independent, Student's t with 3 degrees of freedom.
- daily cycle: a sine that goes round three times in the series, from a random phase on, with four times the variance of
  the white noise around it.

What is planted: a straight line that rises by 2 over the series, and reaches a limit as much later again; one point
that is 6 higher; a level that falls by 5 % where noise is 10 % of it, and for pairs by 2 % where each side has another
3 % of noise of its own kind. "Period given": a third of the series, whether there is a cycle in it or not.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from engine_opt.monitoring.performance_analytics import (
    ForecastVerdict,
    ImpactVerdict,
    TrendVerdict,
    anomalies,
    forecast,
    impact,
    paired_impact,
    trend,
)
from pytest_pe_perf.judge.bounds import share_bounds

Noise = Callable[[random.Random, int], list[float]]

LENGTHS = (24, 200, 2000)
RISE, SPIKE, FALL, PAIRED_FALL = 2.0, 6.0, 0.05, 0.02
SCATTER, OWN = 0.10, 0.03
CYCLES = 3
STEP = 10.0  # seconds between two points


def white(rng: random.Random, n: int) -> list[float]:
    return [rng.gauss(0, 1) for _ in range(n)]


def autocorrelated(rng: random.Random, n: int, keeps: float = 0.5) -> list[float]:
    values = [rng.gauss(0, 1)]
    while len(values) < n:
        values.append(keeps * values[-1] + math.sqrt(1 - keeps * keeps) * rng.gauss(0, 1))
    return values


def heavy_tails(rng: random.Random, n: int) -> list[float]:
    # t is a normal over the root of chi-square/3, and has variance 3; chi-square is twice a gamma variable.
    return [rng.gauss(0, 1) / math.sqrt(2 * rng.gammavariate(1.5, 1)) for _ in range(n)]


def daily_cycle(rng: random.Random, n: int) -> list[float]:
    phase = rng.uniform(0, 2 * math.pi)
    wave, rest = math.sqrt(2 * 0.8), math.sqrt(0.2)
    return [wave * math.sin(phase + 2 * math.pi * CYCLES * i / n) + rest * rng.gauss(0, 1) for i in range(n)]


NOISES: dict[str, Noise] = {
    "white": white,
    "autocorrelated": autocorrelated,
    "strongly autocorrelated": partial(autocorrelated, keeps=0.9),
    "heavy tails": heavy_tails,
    "daily cycle": daily_cycle,
}


def points(values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the values as a series that starts at some time."""
    return [(1e9 + i * STEP, value) for i, value in enumerate(values)]


def false_trend(rng: random.Random, noise: Noise, n: int, period: float | None) -> bool:
    """Whether a series without a trend is said to have one."""
    return trend(points(noise(rng, n)), period=period).verdict is not TrendVerdict.NONE


def found_trend(rng: random.Random, noise: Noise, n: int, period: float | None) -> tuple[bool, bool]:
    """Whether a planted line is found, and whether its forecast holds; without a forecast it does not."""
    risen = [value + RISE * i / n for i, value in enumerate(noise(rng, n))]
    told = forecast(points(risen), 2 * RISE, horizon=100 * n * STEP, period=period)
    if told.verdict is not ForecastVerdict.EXPECTED or told.earliest is None:
        return told.trend.verdict is TrendVerdict.RISING, False
    truth = (n + 1) * STEP  # after the last point, which is number n - 1
    return True, told.earliest <= truth <= (math.inf if told.latest is None else told.latest)


def sides(rng: random.Random, noise: Noise, n: int, fall: float) -> tuple[list[float], list[float]]:
    """Return a metric before and after it fell."""
    old, new = noise(rng, n), noise(rng, n)
    return [100 * math.exp(SCATTER * x) for x in old], [100 * (1 - fall) * math.exp(SCATTER * x) for x in new]


def pairs(rng: random.Random, noise: Noise, n: int, fall: float) -> list[tuple[float, float]]:
    """Return a metric before and after it fell, measured in turns: both share the noise of the moment."""
    shared, old, new = (noise(rng, n) for _ in range(3))
    return [
        (100 * math.exp(SCATTER * s + OWN * a), 100 * (1 - fall) * math.exp(SCATTER * s + OWN * b))
        for s, a, b in zip(shared, old, new, strict=True)
    ]


def unpaired_verdict(rng: random.Random, noise: Noise, n: int, fall: float) -> ImpactVerdict:
    return impact(*sides(rng, noise, n, fall), smaller_is_better=True).verdict


def paired_verdict(rng: random.Random, noise: Noise, n: int, fall: float) -> ImpactVerdict:
    return paired_impact(pairs(rng, noise, n, fall), smaller_is_better=True).verdict


def false_anomalies(rng: random.Random, noise: Noise, n: int) -> int:
    """Return how many points of a clean series are called anomalies."""
    return len(anomalies(points(noise(rng, n))).found)


def found_spike(rng: random.Random, noise: Noise, n: int) -> bool:
    """Whether a planted spike is among the anomalies."""
    values, at = noise(rng, n), rng.randrange(n)
    values[at] += SPIKE
    series = points(values)
    return series[at][0] in {each.time for each in anomalies(series).found}


def percent(hits: int, n: int) -> str:
    """Return a share in per cent with its exact 95 % bounds (Clopper & Pearson 1934)."""
    if not n:
        return "-"
    low, high = share_bounds(hits, n)
    return f"{100 * hits / n:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def trends(name: str, n: int, trials: int, seed: int) -> str:
    """Return a line of the first table."""
    noise = NOISES[name]
    cells = []
    for period in (None, n * STEP / CYCLES):
        rng = random.Random(f"{seed} {name} {n} trends {period}")
        false = sum(false_trend(rng, noise, n, period) for _ in range(trials))
        planted = [found_trend(rng, noise, n, period) for _ in range(trials)]
        found, held = (sum(column) for column in zip(*planted, strict=True))
        cells += [percent(false, trials), percent(found, trials), percent(held, found)]
    return f"| {name} | {n} | " + " | ".join(cells) + " |"


def impacts(name: str, n: int, trials: int, seed: int) -> str:
    """Return a line of the second table."""
    rng, noise = random.Random(f"{seed} {name} {n} impacts"), NOISES[name]
    cells = []
    for verdict, fall in ((unpaired_verdict, FALL), (paired_verdict, PAIRED_FALL)):
        alarms = sum(verdict(rng, noise, n, 0.0) is not ImpactVerdict.NO_EVIDENCE for _ in range(trials))
        better = sum(verdict(rng, noise, n, fall) is ImpactVerdict.BETTER for _ in range(trials))
        cells += [percent(alarms, trials), percent(better, trials)]
    return f"| {name} | {n} | " + " | ".join(cells) + " |"


def outliers(name: str, n: int, trials: int, seed: int) -> str:
    """Return a line of the third table."""
    rng, noise = random.Random(f"{seed} {name} {n} outliers"), NOISES[name]
    seen = [false_anomalies(rng, noise, n) for _ in range(trials)]
    found = sum(found_spike(rng, noise, n) for _ in range(trials))
    alarms = sum(map(bool, seen))
    return f"| {name} | {n} | {100 * sum(seen) / (n * trials):.2f} | {percent(alarms, trials)} | {percent(found, trials)} |"


TABLES = (
    (
        trends,
        (
            *("false trends", "a rise of 2 found", "its forecast holds"),
            *("false, period given", "a rise of 2 found, period given", "its forecast holds, period given"),
        ),
    ),
    (impacts, ("false impacts", "-5 % found", "false paired impacts", "-2 % found in pairs")),
    (outliers, ("points called anomalies", "series with any", "a spike of 6 found")),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Error rates of performance_analytics: a model, not a machine.")
    parser.add_argument("--trials", type=int, default=1000, help="series for each cell")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20240229)
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    print(f"*A model, not a machine.* Seed {options.seed}, n = {options.trials:,} series for each cell.")
    print("Per cent, with exact 95 % bounds.\n")
    names, lengths = zip(*((name, n) for name in NOISES for n in LENGTHS), strict=True)
    settings = [[value] * len(names) for value in (options.trials, options.seed)]
    with ProcessPoolExecutor(options.processes) as pool:
        for line, heads in TABLES:
            print("| noise | points | " + " | ".join(heads) + " |")
            print("|---|---|" + "---|" * len(heads), flush=True)
            for text in pool.map(line, names, lengths, *settings):
                print(text, flush=True)
            print()
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
