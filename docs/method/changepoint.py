"""How often the search for changes of level is wrong, and what it finds. A model, unless real histories are given.

    python docs/method/changepoint.py [--histories 1000] [--seed 20260101]
    python docs/method/changepoint.py --tcpd CHECKOUT --asv CHECKOUT [--peers]

The first form draws histories around a level of 1: normal noise of 1 %; heavy tails (Student's t with 3 degrees of
freedom); wandering (autocorrelation 0.4); spikes (one run in twenty 1.6 to 5 times as slow); two speeds (three runs in ten
1.8 times as slow). It prints how many histories without a change have one, for a history that is cut with a lower penalty
too, from which the formula of `p` was taken; how many planted steps are found, and how many intervals hold them.

The second form takes the Turing Change Point Dataset and a repository of asv results, as checked out from git, and with
--peers runs Apache Otava and ruptures, where they are installed, on the same values. See changepoints.md for definitions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pytest_pe_perf.judge.changepoint import PENALTY, change_points, creeps, level_changes, promised, search

Method = Callable[[Sequence[float]], Sequence[int]]

SD = 0.01
LENGTHS = (10, 30, 100, 300)
PENALTIES = (10.0, 12.0, 14.0, 16.0, PENALTY)
STEPS = (0.02, 0.03, 0.05, 0.10)
NEAR = 5  # a change this near to a true one is that one, here and in the Turing Change Point Benchmark


def _normal(rng: random.Random, n: int) -> list[float]:
    return [math.exp(rng.gauss(0, SD)) for _ in range(n)]


def _tails(rng: random.Random, n: int) -> list[float]:
    def root() -> float:
        return math.sqrt(sum(rng.gauss(0, 1) ** 2 for _ in range(3)) / 3)

    return [math.exp(rng.gauss(0, SD) / root()) for _ in range(n)]


def _wandering(rng: random.Random, n: int, r: float = 0.4) -> list[float]:
    value, values = rng.gauss(0, SD), []
    for _ in range(n):
        value = r * value + math.sqrt(1 - r * r) * rng.gauss(0, SD)
        values.append(math.exp(value))
    return values


def _spikes(rng: random.Random, n: int) -> list[float]:
    return [value * (rng.uniform(1.6, 5) if rng.random() < 0.05 else 1.0) for value in _normal(rng, n)]


def _two_speeds(rng: random.Random, n: int) -> list[float]:
    return [value * (1.8 if rng.random() < 0.3 else 1.0) for value in _normal(rng, n)]


NOISES = {
    "normal": _normal,
    "heavy tails": _tails,
    "wandering": _wandering,
    "spikes": _spikes,
    "two speeds": _two_speeds,
}


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share."""
    z, share = statistics.NormalDist().inv_cdf(0.975), hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def per_cent(hits: int, n: int) -> str:
    low, high = wilson(hits, n)
    return f"{100 * hits / n:.1f} ({100 * low:.1f}-{100 * high:.1f})"


# --- the model ----------------------------------------------------------------------------------------------------


def largest_gain(rng: random.Random, name: str, n: int) -> float:
    """Return the largest of PENALTIES with which a history without a change has one, 0 where none does."""
    logs = [math.log(value) for value in NOISES[name](rng, n)]
    return max((penalty for penalty in PENALTIES if search(logs, penalty=penalty)[0]), default=0.0)


def held(rng: random.Random, name: str, n: int, step: float) -> bool | None:
    """Return whether the interval holds a step that was planted; None where it was not found."""
    values, at = NOISES[name](rng, n), rng.randrange(n // 5, n - n // 5)
    values[at:] = [value * (1 + step) for value in values[at:]]
    near = [change for change in level_changes(values) if abs(change.index - at) <= NEAR]
    return near[0].low <= 1 + step <= near[0].high if near else None


def model(histories: int, seed: int) -> None:
    print(f"### Histories without a change\n\n{histories} histories a line; per cent that have one.\n")
    print("| noise | points |" + "".join(f" penalty {penalty:.0f} |" for penalty in PENALTIES) + " creep |")
    print("|---|---|" + "---|" * (len(PENALTIES) + 1))
    for name, n in itertools.product(NOISES, LENGTHS):
        rng = random.Random(f"{seed} {name} {n}")
        gains = [largest_gain(rng, name, n) for _ in range(histories)]
        shares = (per_cent(sum(gain >= penalty for gain in gains), histories) for penalty in PENALTIES)
        creep = per_cent(sum(bool(creeps(NOISES[name](rng, n))) for _ in range(histories)), histories)
        print(f"| {name} | {n} | " + " | ".join(shares) + f" | {creep} |", flush=True)
    print("| *promised* | any | " + " | ".join(f"{100 * promised(gain):.1f}" for gain in PENALTIES) + " | 1.0 |")
    count = max(histories // 4, 1)
    print(f"\n### Planted steps\n\n{count} histories of 100 points a cell; per cent found, of these per cent held.\n")
    print("| noise |" + "".join(f" +{100 * step:.0f} % | held |" for step in STEPS))
    print("|---|" + "---|---|" * len(STEPS))
    for name in NOISES:
        cells = []
        for step in STEPS:
            rng = random.Random(f"{seed} {name} {step}")
            found = [each for each in (held(rng, name, 100, step) for _ in range(count)) if each is not None]
            cells += [f"{100 * len(found) / count:.0f}", f"{100 * sum(found) / len(found):.0f}" if found else "-"]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


# --- real histories -----------------------------------------------------------------------------------------------


def peers() -> dict[str, Method]:
    """Return other programs, at their defaults and with the penalty that ruptures' documentation uses."""
    import numpy as np
    import ruptures
    from otava.analysis import compute_change_points

    def otava(values: Sequence[float]) -> Sequence[int]:
        return [change.index for change in compute_change_points(list(values))[0]]

    def pelt(kernel: str, jump: int) -> Method:
        def found(values: Sequence[float]) -> Sequence[int]:
            series = np.asarray(values, dtype=float)
            series = (series - series.mean()) / (series.std() or 1.0)
            search = ruptures.Pelt(model=kernel, min_size=2, jump=jump).fit(series)
            return search.predict(pen=2 * math.log(len(values)))[:-1]

        return found

    return {"Apache Otava 0.8": otava, "ruptures PELT, l2": pelt("l2", 5), "ruptures PELT, rbf": pelt("rbf", 5)}


def _matched(true: Iterable[int], found: Iterable[int]) -> int:
    left, hits = set(found), 0
    for each in sorted(true):
        near = sorted((abs(each - other), other) for other in left if abs(each - other) <= NEAR)
        if near:
            left.discard(near[0][1])
            hits += 1
    return hits


def f1(annotators: Sequence[Sequence[int]], found: Sequence[int]) -> float:
    """Return F1 as van den Burg & Williams (2020) do: 0 counts as a change of all, recall is the annotators' mean."""
    marked, seen = [{0, *each} for each in annotators], {0, *found}
    precision = _matched(set().union(*marked), seen) / len(seen)
    recall = statistics.fmean(_matched(each, seen) / len(each) for each in marked)
    return 2 * precision * recall / (precision + recall)


def covering(annotators: Sequence[Sequence[int]], found: Sequence[int], n: int) -> float:
    """Return the covering of the annotators' levels by those found, after the same."""

    def parts(cuts: Iterable[int]) -> list[tuple[int, int]]:
        return list(itertools.pairwise(sorted({0, n, *cuts})))

    def overlap(one: tuple[int, int], other: tuple[int, int]) -> float:
        both = min(one[1], other[1]) - max(one[0], other[0])
        return max(both, 0) / (max(one[1], other[1]) - min(one[0], other[0]))

    seen = parts(found)
    return statistics.fmean(
        sum((part[1] - part[0]) * max(overlap(part, other) for other in seen) for part in parts(each)) / n
        for each in annotators
    )


def labelled(folder: Path, methods: dict[str, Method]) -> None:
    """Score methods on the series of the dataset that its repository holds, those of one dimension."""
    marks = json.loads((folder / "annotations.json").read_text("utf-8"))
    series = {}
    for path in sorted(folder.glob("datasets/*/*.json")):
        data = json.loads(path.read_text("utf-8"))
        if data["n_dim"] == 1 and data["name"] in marks:
            values: list[float] = []
            for value in data["series"][0]["raw"]:  # a missing value is the one before
                values.append(values[-1] if value is None or math.isnan(value) else float(value))
            series[data["name"]] = values
    print(f"### Labelled series\n\n{len(series)} series of the Turing Change Point Dataset.\n")
    print("| | F1 | covering |\n|---|---|---|")
    for name, method in {"no change at all": lambda _: (), **methods}.items():
        scores = []
        for each, values in series.items():
            annotators, found = list(marks[each].values()), method(values)
            scores.append((f1(annotators, found), covering(annotators, found, len(values))))
        print(f"| {name} | " + " | ".join(f"{statistics.fmean(each):.3f}" for each in zip(*scores, strict=True)) + " |")


def _histories(folder: Path) -> dict[tuple[str, ...], list[float]]:
    """Return a history of each parameter set of each timed benchmark on each machine, in the order of commits' dates."""
    points: dict[tuple[str, ...], dict[tuple[int, str], float]] = defaultdict(dict)
    for path in sorted(folder.glob("results/*/*.json")):
        if path.name == "machine.json":
            continue
        data = json.loads(path.read_text("utf-8"))
        for benchmark, result in data["results"].items():
            if not benchmark.rpartition(".")[2].startswith("time_") or not isinstance(result, list) or not result[0]:
                continue
            parameters, version = result[1] if len(result) > 1 else [], result[2] if len(result) > 2 else ""
            for chosen, value in zip(itertools.product(*parameters), result[0], strict=False):
                if isinstance(value, float) and 0 < value < math.inf:
                    key = (path.parent.name, benchmark, repr(chosen), str(version))
                    points[key][data["date"], data["commit_hash"]] = value
    return {key: [value for _, value in sorted(found.items())] for key, found in points.items()}


def quieted(values: Sequence[float], rng: random.Random) -> list[float]:
    """Return 400 neighbours without their changes: their ratios to the median of 31, in blocks of ten that are shuffled."""
    logs = [math.log(value) for value in values]
    rest = [value - statistics.median(logs[max(0, i - 15) : i + 16]) for i, value in enumerate(logs)]
    start = rng.randrange(len(rest) - 400 + 1)
    blocks = [rest[i : i + 10] for i in range(start, start + 400, 10)]
    rng.shuffle(blocks)
    return [math.exp(value) for block in blocks for value in block]


def real(folder: Path, methods: dict[str, Method], seed: int, most: int = 200) -> None:
    """Score methods on the noise of real histories, one of each benchmark and machine, with steps planted in it."""
    rng, families = random.Random(seed), defaultdict(list)
    histories = _histories(folder)
    for key, values in sorted(histories.items()):
        if len(values) >= 400:
            families[key[:2]].append(values)
    chosen = [rng.choice(each) for each in families.values()]
    chosen = rng.sample(chosen, min(most, len(chosen)))
    quiet = [quieted(values, rng) for values in chosen]
    print(f"\n### Noise of real histories\n\n{len(quiet)} benchmarks, 400 points each.\n")
    print("| | alarms in 1,000 quiet points |" + "".join(f" +{100 * step:.0f} % |" for step in STEPS[1:]) + " ms |")
    print("|---|---|" + "---|" * len(STEPS[1:]) + "---|")
    for name, method in methods.items():
        began = time.process_time()
        alarms = sum(len(method(values)) for values in quiet)
        spent = (time.process_time() - began) / len(quiet)
        cells = []
        for step in STEPS[1:]:
            hits = 0
            for place, values in enumerate(quiet):
                at = (60, 200, 330, 385)[place % 4]
                found = method([value * (1 + step) if i >= at else value for i, value in enumerate(values)])
                hits += any(abs(each - at) <= NEAR for each in found)
            cells.append(f"{hits / len(quiet):.2f}")
        print(
            f"| {name} | {1000 * alarms / 400 / len(quiet):.2f} | {' | '.join(cells)} | {1e3 * spent:.0f} |", flush=True
        )
    costs = []
    for values in chosen:
        began = time.process_time()
        change_points(values[-500:])
        costs.append((time.process_time() - began) * 500 / len(values[-500:]))
    share = statistics.quantiles(costs, n=20)
    print(f"\nAs they are, 500 points take {1e3 * share[9]:.0f} ms of CPU time (median), {1e3 * share[18]:.0f} (95 %).")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--tcpd", type=Path)
    parser.add_argument("--asv", type=Path)
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args(arguments)
    methods: dict[str, Method] = {"this one": change_points, **(peers() if options.peers else {})}
    if options.tcpd:
        labelled(options.tcpd, methods)
    if options.asv:
        real(options.asv, methods, options.seed)
    if not (options.tcpd or options.asv):
        model(options.histories, options.seed)


if __name__ == "__main__":
    main()
