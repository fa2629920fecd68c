"""False alarms and power of the stored tier's rule. A model, not a machine: these numbers are no measurement.

    python docs/method/simulate_stored.py [--tests 20000] [--power-tests 1500] [--seed 20240229]

Draws what fresh processes would measure from a noise model, hands it to the very functions that make the verdicts, and
prints a Markdown table. The model is the one of docs/method.md:

- Layout: the logarithm of a process's minimum has a standard deviation of 1 to 2.5 %, drawn anew in each process, for
  the value and for the reference workload independently.
- Slow processes: in 5 % of processes the fast speed never comes, and the minimum is 40 to 60 % high. "Shared" is the
  part of those in which the same slowness hits value and reference alike; in the others it hits one of the two.
- Speed: head's machine is faster or slower than the one that recorded the baseline by a constant.
- A baseline is the minimum over three processes, drawn anew for each test; "bad moment" makes more of them slow.

The flow is the real one: one process; a suspected row gets two fresh ones and is judged again on all three.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_pe_perf.judge.compare import BASELINE_PROCESSES, DECIDING_PROCESSES, judge, suspected
from pytest_pe_perf.judge.estimate import Z95, minimum, normalised, spread
from pytest_pe_perf.model import BaselineRow, Key, Row, Sample, Verdict

KEY = Key("tests/perf/test_model.py::test_drawn", "", "latency")
CHANGES = (0.10, 0.15, 0.20, 0.30, 0.50, 1.00)
SECONDS = 1e-3
THRESHOLD, MARGIN = 0.10, 0.05


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
            SECONDS * self.speed * (1 + change) * value, 100, 10, reference=SECONDS * 0.1 * self.speed * reference
        )


@dataclass(frozen=True)
class Case:
    """A line of the table: the noise when the baseline was recorded, and now."""

    name: str
    base: Noise
    head: Noise


def record(samples: list[Sample]) -> BaselineRow:
    """Return the baseline row that these processes make."""
    value, reference = minimum([(s.value, s.reference) for s in samples])
    shares = [normalised(s.value, s.reference) for s in samples]
    return BaselineRow(KEY, value, "source", reference, spread(shares))


def flow(rng: random.Random, case: Case, change: float) -> tuple[Verdict, bool]:
    """Return the last verdict on one test, and whether it took fresh processes."""
    base = record([case.base.draw(rng) for _ in range(BASELINE_PROCESSES)])
    row = Row(KEY, (case.head.draw(rng, change),), "source", THRESHOLD, MARGIN)
    judgement = judge(row, base)
    again = suspected(row, judgement)
    if again:
        fresh = tuple(case.head.draw(rng, change) for _ in range(DECIDING_PROCESSES - 1))
        judgement = judge(replace(row, samples=row.samples + fresh), base)
    return judgement.verdict, again


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
    Case("half shared, machine 1.4 x faster now", Noise(), Noise(speed=1 / 1.4)),
    Case("baseline from a bad moment: slow 30 %", Noise(slow=0.3), Noise()),
    Case("run in a bad moment: slow 30 %", Noise(), Noise(slow=0.3)),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Simulate the stored tier's rule: a model, not a machine.")
    parser.add_argument("--tests", type=int, default=20_000, help="A/A tests per line")
    parser.add_argument("--power-tests", type=int, default=1_500, help="tests per change and line")
    parser.add_argument("--seed", type=int, default=20240229)
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    changes = " | ".join(f"+{change * 100:.0f} %" for change in CHANGES)
    print(f"*A model, not a machine.* A/A: n = {options.tests:,} a line; power: n = {options.power_tests:,} a cell;")
    print(
        f"seed {options.seed}; threshold {THRESHOLD:.0%}, margin {MARGIN:.0%}. Per cent, with 95 % Wilson intervals.\n"
    )
    print(f"| noise | A/A false alarms | A/A inconclusive | A/A improved | measured again | {changes} |")
    print("|---|---|---|---|---|" + "---|" * len(CHANGES))
    for case in CASES:
        rng = random.Random(f"{options.seed} {case}")
        n = options.tests
        drawn = [flow(rng, case, 0.0) for _ in range(n)]
        last = Counter(verdict for verdict, _ in drawn)
        again = sum(repeated for _, repeated in drawn)
        cells = [percent(last[Verdict.REGRESSED], n, 3), percent(last[Verdict.INCONCLUSIVE], n)]
        cells += [percent(last[Verdict.IMPROVED], n, 3), percent(again, n, 1)]
        for change in CHANGES:
            n = options.power_tests
            hits = sum(flow(rng, case, change)[0] is Verdict.REGRESSED for _ in range(n))
            cells.append(percent(hits, n, 1))
        print(f"| {case.name} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
