"""False alarms and power of the stored tier's rule. A model, not a machine: these numbers are no measurement.

    python docs/method/simulate_stored.py [--tests 20000] [--power-tests 1500] [--few-tests 10000] [--seed 20240229]

Draws what fresh processes would measure from noise models, hands it to the very functions that make the verdicts and
the baseline rows, and prints two Markdown tables. The first has many readings behind every minimum:

- Layout: the logarithm of a process's minimum has a standard deviation of 1 to 2.5 %, drawn anew in each process, for
  the value and for the reference workload independently.
- Slow processes: in 5 % of processes the fast speed never comes, and the minimum is 40 to 60 % high. "Shared" is the
  part of those in which the same slowness hits value and reference alike; in the others it hits one of the two.
- Speed: head's machine is faster or slower than the one that recorded the baseline by a constant.
- A baseline is the minimum over three processes, drawn anew for each test, in a run of ten rows; if its reference is
  slow beside the others', it is refused and drawn again. "Bad moment" makes more processes slow.

The second has few readings, each the mean over its own duration of a machine that has two speeds, 58 and 105 us for
the same work, and stays at each for 20 to 60 ms; on top of that exponential noise of 5 %, a layout of 2.5 %, and 5 % of
processes that never see the fast speed. The reference workload runs three times after a reading, or every 10 ms.

The flow is the real one: one process; where its reference was slow, three processes say how slow the machine is; as long
as a row is suspected it gets two fresh ones, or with --failing one after the other, and is judged on all.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pytest_pe_perf.baseline.update import fastest_reference, row_from, unfit
from pytest_pe_perf.judge.compare import BASELINE_PROCESSES, cannot_fail, judge, slow_reference, suspected
from pytest_pe_perf.judge.estimate import Z95
from pytest_pe_perf.model import BaselineRow, Key, Row, Sample, Verdict

KEY = Key("tests/perf/test_model.py::test_drawn", "", "latency")
CHANGES = (0.10, 0.15, 0.20, 0.30, 0.50, 1.00)
FEW_CHANGES = (0.30, 0.50, 1.00, 2.00)
SECONDS, REFERENCE = 1e-3, 25e-6
THRESHOLD, MARGIN = 0.10, 0.05
FRESH = 2
ALONE = 3
ROWS = 10


@dataclass(frozen=True)
class Noise:
    """What happens to the minimum of a process."""

    value_sd: float = 0.025
    reference_sd: float = 0.01
    slow: float = 0.05
    shared: float = 0.5
    speed: float = 1.0

    def draw(self, rng: random.Random, change: float = 0.0) -> Sample:
        """Return what one fresh process measures of a test that got slower by ``change``."""
        both = rng.uniform(1.4, 1.6) if rng.random() < self.slow * self.shared else 1.0
        alone = self.slow * (1 - self.shared)
        value_slow = rng.uniform(1.4, 1.6) if rng.random() < alone else 1.0
        reference_slow = rng.uniform(1.4, 1.6) if rng.random() < alone else 1.0
        value = math.exp(rng.gauss(0, self.value_sd)) * max(both, value_slow)
        reference = math.exp(rng.gauss(0, self.reference_sd)) * max(both, reference_slow)
        return Sample(
            SECONDS * self.speed * (1 + change) * value, 100, 10, reference=REFERENCE * self.speed * reference
        )

    def machine(self, rng: random.Random) -> float:
        """Return the smallest reference of processes that run nothing else."""
        slow = [rng.uniform(1.4, 1.6) if rng.random() < self.slow else 1.0 for _ in range(ALONE)]
        return REFERENCE * self.speed * min(math.exp(rng.gauss(0, self.reference_sd)) * factor for factor in slow)

    def fastest_elsewhere(self, rng: random.Random) -> float:
        """Return the smallest reference of the other rows of a run."""
        return min(self.draw(rng).reference or 0.0 for _ in range((ROWS - 1) * BASELINE_PROCESSES))


@dataclass(slots=True)
class Machine:
    """A machine of two speeds, as one process finds it. In some processes the fast one never comes."""

    rng: random.Random
    never: bool
    speed: float
    left: float

    @classmethod
    def start(cls, rng: random.Random, never: float) -> Machine:
        """Return a machine somewhere between two changes of its speed."""
        slow_only = rng.random() < never
        return cls(rng, slow_only, 105 / 58 if slow_only or rng.random() < 0.5 else 1.0, rng.uniform(0, 0.06))

    def run(self, work: float) -> float:
        """Return how long ``work`` seconds at the fast speed take from here."""
        spent = 0.0
        while (need := work * self.speed) > self.left and not self.never:
            spent += self.left
            work -= self.left / self.speed
            self.speed = 105 / 58 if self.speed == 1.0 else 1.0
            self.left = self.rng.uniform(0.02, 0.06)
        self.left -= need
        return spent + need


@dataclass(frozen=True)
class Few:
    """A test that is read a few times, ``seconds`` long each. ``beside``: an ordinary row belongs to the same run."""

    count: int
    seconds: float
    beside: bool = True
    never: float = 0.05

    def draw(self, rng: random.Random, change: float = 0.0) -> Sample:
        """Return what one fresh process measures of a test that got slower by ``change``."""
        machine = Machine.start(rng, self.never)
        work = self.seconds * (1 + change) * math.exp(rng.gauss(0, 0.025))
        workload = REFERENCE * math.exp(rng.gauss(0, 0.01))
        values, references, since = [], [], math.inf
        for _ in range(self.count):
            spent = machine.run(work)
            values.append(spent * (1 + rng.expovariate(20)))
            since += spent
            if since >= 0.01:
                references += [machine.run(workload) * (1 + rng.expovariate(20)) for _ in range(3)]
                since = 0.0
        return Sample(min(values), self.count, 1, reference=min(references))

    def machine(self, rng: random.Random) -> float:
        """Return the smallest reference of processes that run nothing else, long enough to meet both speeds."""
        return REFERENCE * (105 / 58 if rng.random() < self.never**ALONE else 1.0)

    def fastest_elsewhere(self, rng: random.Random) -> float:
        """Return the smallest reference of an ordinary row of the same run, infinite where there is none."""
        if not self.beside:
            return math.inf
        seen = rng.random() >= self.never**BASELINE_PROCESSES
        return REFERENCE if seen else REFERENCE * 105 / 58


@dataclass(frozen=True)
class Case:
    """A line of a table: the noise when the baseline was recorded, and now."""

    name: str
    base: Noise | Few
    head: Noise | Few


@dataclass(frozen=True)
class Result:
    """The last verdict on one test, in how many processes, and how many baselines were refused before."""

    verdict: Verdict
    processes: int
    refused: int


def record(rng: random.Random, noise: Noise | Few) -> tuple[BaselineRow, int]:
    """Return a baseline row, and how often the run had to be repeated for it."""
    refused = 0
    while True:
        row = Row(KEY, tuple(noise.draw(rng) for _ in range(BASELINE_PROCESSES)), "source", THRESHOLD, MARGIN)
        if not unfit(row, min(fastest_reference([row]), noise.fastest_elsewhere(rng))):
            return row_from(row), refused
        refused += 1


def flow(rng: random.Random, case: Case, change: float, *, failing: bool = False) -> Result:
    """Return what becomes of one test that got slower by ``change``; ``failing``: as with ``confirm = "failing"``."""
    base, refused = record(rng, case.base)
    first = case.head.draw(rng, change)
    row = Row(KEY, (first,), "source", THRESHOLD, MARGIN)
    if slow_reference(row, base):
        row = replace(row, samples=(replace(first, machine=case.head.machine(rng)),))
    judgement = judge(row, base)
    while suspected(row, judgement) and not (failing and cannot_fail(row, base, judgement)):
        for _ in range(1 if failing else FRESH):
            row = replace(row, samples=(*row.samples, case.head.draw(rng, change)))
        judgement = judge(row, base)
    return Result(judgement.verdict, len(row.samples), refused)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    share, z2 = hits / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def percent(hits: int, n: int, digits: int = 2) -> str:
    """Return a share in per cent with its interval."""
    low, high = wilson(hits, n)
    return f"{hits / n * 100:.{digits}f} ({low * 100:.{digits}f}-{high * 100:.{digits}f})"


CASES = (
    Case("calm: layout 1 %, no slow process", Noise(0.01, 0.01, 0), Noise(0.01, 0.01, 0)),
    Case("layout 1 %, slow 5 %, half shared", Noise(0.01), Noise(0.01)),
    Case("layout 2.5 %, slow 5 %, half shared", Noise(), Noise()),
    Case("the same, all shared", Noise(shared=1), Noise(shared=1)),
    Case("the same, none shared", Noise(shared=0), Noise(shared=0)),
    Case("the same, reference's layout 2.5 % too", Noise(reference_sd=0.025), Noise(reference_sd=0.025)),
    Case("layout 5 %: a workload that depends on it more than others", Noise(0.05), Noise(0.05)),
    Case("half shared, machine 1.4 x slower now", Noise(), Noise(speed=1.4)),
    Case("half shared, machine 2 x slower now", Noise(), Noise(speed=2.0)),
    Case("half shared, machine 1.4 x faster now", Noise(), Noise(speed=1 / 1.4)),
    Case("baseline from a bad moment: slow 30 %", Noise(slow=0.3), Noise()),
    Case("run in a bad moment: slow 30 %", Noise(), Noise(slow=0.3)),
)

FEW_READINGS = tuple(
    Case(f"{count} x {label}{'' if beside else ', the only row of its run'}", few, few)
    for count, seconds, label, beside in (
        (1, 5e-5, "50 us", True),
        (1, 1e-3, "1 ms", True),
        (1, 0.03, "30 ms", True),
        (1, 0.1, "100 ms", True),
        (1, 1.0, "1 s", True),
        (1, 5e-5, "50 us", False),
        (1, 0.03, "30 ms", False),
        (1, 1.0, "1 s", False),
        (3, 0.1, "100 ms", True),
        (3, 0.1, "100 ms", False),
        (10, 1e-3, "1 ms", True),
        (10, 1e-3, "1 ms", False),
        (10, 0.1, "100 ms", True),
        (30, 0.03, "30 ms", True),
    )
    for few in [Few(count, seconds, beside)]
)


def table(
    cases: Sequence[Case],
    changes: Sequence[float],
    tests: int,
    power_tests: int,
    options: argparse.Namespace,
    say: Callable[[str], None],
) -> None:
    """Say a table, a line for each case."""
    heads = " | ".join(f"+{change * 100:.0f} %" for change in changes)
    say(f"A/A: n = {tests:,} a line; power: n = {power_tests:,} a cell. Per cent, with 95 % Wilson intervals.\n")
    say(f"| noise | A/A false alarms | inconclusive | improved | 3 processes | 5 processes | run again | {heads} |")
    say("|---|---|---|---|---|---|---|" + "---|" * len(changes))
    for case in cases:
        rng = random.Random(f"{options.seed} {case}")
        drawn = [flow(rng, case, 0.0, failing=options.failing) for _ in range(tests)]
        last = Counter(result.verdict for result in drawn)
        often = Counter(result.processes for result in drawn)
        refused = sum(result.refused for result in drawn)
        cells = [percent(last[Verdict.REGRESSED], tests, 3), percent(last[Verdict.INCONCLUSIVE], tests)]
        cells += [percent(last[Verdict.IMPROVED], tests, 3), percent(tests - often[1], tests, 1)]
        cells += [percent(often[4] + often[5], tests), percent(refused, tests + refused)]
        for change in changes:
            results = (flow(rng, case, change, failing=options.failing) for _ in range(power_tests))
            hits = sum(result.verdict is Verdict.REGRESSED for result in results)
            cells.append(percent(hits, power_tests, 1))
        say(f"| {case.name} | " + " | ".join(cells) + " |")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Simulate the stored tier's rule: a model, not a machine.")
    parser.add_argument("--tests", type=int, default=20_000, help="A/A tests per line")
    parser.add_argument("--power-tests", type=int, default=1_500, help="tests per change and line")
    parser.add_argument("--few-tests", type=int, default=10_000, help="A/A tests per line of the second table")
    parser.add_argument("--seed", type=int, default=20240229)
    parser.add_argument("--failing", action="store_true", help='with the setting confirm = "failing"')
    options = parser.parse_args(arguments)
    began = time.perf_counter()

    def say(line: str) -> None:
        print(line, flush=True)

    say(f"*A model, not a machine.* Seed {options.seed}; threshold {THRESHOLD:.0%}, margin {MARGIN:.0%}.\n")
    say("### Many readings\n")
    table(CASES, CHANGES, options.tests, options.power_tests, options, say)
    say("\n### Few readings\n")
    table(FEW_READINGS, FEW_CHANGES, options.few_tests, max(1, options.few_tests // 8), options, say)
    say(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
