"""How often pairs find what a typical call does not show, and how often they cry wolf about it: measured, not modelled.

    python docs/method/plant_hidden.py [--trials 20] [--seed 20261122]

Each trial runs the real gate twice on a throw-away repository with four tests. In the first run the head has nothing
but functions that nobody calls; in the second it has also

- tail: every tenth call takes twice as long;
- collector: the 200 objects that a call drops refer to themselves, so that only the collector can free them;
- first: the first call takes 20 ms more;
- import: a module takes a fifth more to import.

Prints a Markdown table: of so many runs, in how many the row of that name was red, with exact 95 % bounds, and in how
many the test had any red row. A trial takes some two minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from pytest_pe_perf.judge.bounds import share_bounds

KINDS = ("tail", "collector", "first", "import")

WORK = """\
import itertools

calls = itertools.count()
ready = []


def unit(number):
    return sum(each * each for each in range(number))


class Node:
    pass


def tail():
    return unit({more} if next(calls) % 10 == 3 else 1500)


def collected():
    nodes = [Node() for _ in range(200)]
    for node in nodes:
        node.next = {node}
    return nodes[0]


def first():
    if not ready:
        ready.append(unit({once}))
    return unit(1500)
"""
CLEAN = {"more": "1500", "node": "None", "once": "1500"}
PLANTED = {"more": "3000", "node": "node", "once": "400_000"}
IMPORTED = "found = [name * 2 for number in range({count}) if (name := str(number))]\n"
IMPORT_CLEAN, IMPORT_PLANTED = 200_000, 240_000

TESTS = """\
import pytest
import work


def test_tail(pe_latency):
    pe_latency(work.tail)


def test_collector(pe_latency):
    pe_latency(work.collected)


def test_first(pe_latency):
    pe_latency(work.first)


@pytest.mark.pe_import("slow_to_import")
def test_import():
    pass
"""


def git(folder: Path, *arguments: str) -> None:
    """Run git in the throw-away repository, whoever its user is."""
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def make(folder: Path) -> None:
    """Make the repository: its HEAD is the base."""
    (folder / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    (folder / "test_hidden.py").write_text(TESTS)
    write_code(folder, "", planted=False)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "base")


def write_code(folder: Path, dead: str, *, planted: bool) -> None:
    """Write what is measured, behind code that nobody calls."""
    (folder / "work.py").write_text(dead + WORK.format(**(PLANTED if planted else CLEAN)))
    count = IMPORT_PLANTED if planted else IMPORT_CLEAN
    (folder / "slow_to_import.py").write_text(IMPORTED.format(count=count))


def dead_code(chance: random.Random) -> str:
    """Return functions that nobody calls: they move what stands behind them, as real commits do."""
    count = chance.randrange(1, 40)
    return "".join(f"def unused_{each}(a):\n    return a * {chance.randrange(1 << 30)}\n\n\n" for each in range(count))


def red_rows(folder: Path) -> set[tuple[str, str]]:
    """Run the gate and return test and metric of the rows that are red."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pe-perf", "--pe-perf-against", "HEAD"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=dict(os.environ))
    if done.returncode not in (0, 1):
        raise SystemExit(f"the gate could not be run (exit status {done.returncode}):\n{done.stdout}{done.stderr}")
    judgements = json.loads((folder / ".pe-perf" / "run.json").read_text())["judgements"]
    red = {(each["key"]["test"], each["key"]["metric"]) for each in judgements if each["verdict"] == "regressed"}
    return {(test.rpartition("::test_")[2], metric) for test, metric in red}


def share(hits: int, trials: int) -> str:
    """Return a share with its exact bounds."""
    low, high = share_bounds(hits, trials)
    return f"{hits}/{trials} ({low * 100:.0f}-{high * 100:.0f} %)"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20261122)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    row, test, clean = Counter[str](), Counter[str](), Counter[str]()
    for trial in range(options.trials):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make(folder)
            dead = dead_code(chance)
            write_code(folder, dead, planted=False)
            clean.update({test for test, _ in red_rows(folder)})
            write_code(folder, dead, planted=True)
            red = red_rows(folder)
            row.update(kind for kind in KINDS if (kind, kind) in red)
            test.update({test for test, _ in red})
        print(f"{trial + 1} of {options.trials}: planted {sorted(red)}", file=sys.stderr, flush=True)
    print("| planted | its own row red | the test red | nothing planted: the test red |\n|---|---|---|---|")
    for kind in KINDS:
        seen = (share(each[kind], options.trials) for each in (row, test, clean))
        print(f"| {kind} | {' | '.join(seen)} |")


if __name__ == "__main__":
    main()
