"""Whether the gate guards each part of the optimisation layer: a change for the worse turns its own tests red, and no other.

    python docs/optimization/planted.py [--trials 1] [--only NAME ...] [--tests PATH ...]

For each plant the commit that is checked out is cloned into a temporary folder, one file of the clone is made worse, and
the clone's tests are run by the real gate, its working tree against its commit. A plant names the tests that have to turn
red, because what they measure calls what was changed often enough to notice; and tests that call it as well, among so
much else that they may notice or not. Whatever else turns red is a false alarm. Prints a Markdown table; the exit status
is 1 where a plant was missed or there was a false alarm. A run takes some four minutes, with `--tests tests/perf` twice
that: these are all tests.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = "tests/perf/test_"
PARTS = "cache_manager", "object_pool", "resource_manager", "memory_manager", "performance_optimizer"
RED = "regressed", "over budget"
LAYER = "engine_opt/optimization/"


@dataclass(frozen=True)
class Plant:
    """A change for the worse.

    Attributes:
        name: what `--only` is given.
        says: what is worse.
        file: the file that is changed.
        changes: lines that stand in the file once, each with one that is put in before it.
        red: patterns of the tests that must turn red.
        may: patterns of tests that call it, too, among much else.

    """

    name: str
    says: str
    file: str = ""
    changes: tuple[tuple[str, str], ...] = ()
    red: tuple[str, ...] = ()
    may: tuple[str, ...] = ()

    def apply(self, folder: Path) -> None:
        """Change the file below `folder`."""
        for line, more in self.changes:
            path = folder / self.file
            lines = path.read_text("utf-8").splitlines()
            found = [number for number, each in enumerate(lines) if each.strip() == line]
            if len(found) != 1:
                raise SystemExit(f"{self.name}: {self.file} has not once but {len(found)} times: {line}")
            indent = lines[found[0]].removesuffix(line)
            lines.insert(found[0], indent + more)
            path.write_text("\n".join(lines) + "\n", "utf-8")


KEPT = "_KEPT: list[object] = []"
KEEPS = "_KEPT.append(bytes(31))"  # an object of 64 bytes
ONE_DECISION = (
    "performance_optimizer.py::test_a_decision_asked_again*",
    "performance_optimizer.py::test_shedding_and_reading_again",
    "protocol_engine.py::test_decide",
    "protocol_engine.py::test_a_bar_and_its_decision",
    "protocol_engine.py::test_decide_with_a_record_of_it",
)
TWELVE = "performance_optimizer.py::test_a_bar_and_twelve_decisions"
A_YEAR = "protocol_engine.py::test_decide_a_year"  # its engine goes with each call

PLANTS = (
    Plant("nothing", "nothing"),
    Plant(
        "cache",
        "a hit works out what marks its key",
        LAYER + "cache.py",
        (("noted = self._noted", "mark(key)"),),
        ("cache_manager.py::test_hit*",),
        ("performance_optimizer.py::*[[]all]",),  # what a bar says is in the bounded cache
    ),
    Plant(
        "pool",
        "a lease keeps 64 bytes",
        LAYER + "object_pool.py",
        (('T = TypeVar("T")', KEPT), ("return Lease(self, slot)", KEEPS)),
        ("object_pool.py::test_lease", "object_pool.py::test_write_leased_megabytes*"),
        ("object_pool.py::test_lease_with_reset_and_idle_limit",),  # its time alone is measured
    ),
    Plant(
        "resources",
        "a scope that is opened works out all counts",
        LAYER + "resource_manager.py",
        (("parent._check_open()", "self.stats()"),),
        ("resource_manager.py::test_scope_with_three_resources",),
    ),
    Plant(
        "memory",
        "a check keeps its report",
        LAYER + "memory_manager.py",
        (("class MemoryLevel(Enum):", KEPT), ("self._counts = _Counts(", "_KEPT.append(report)")),
        ("memory_manager.py::test_check", "memory_manager.py::test_check_that_asks_eight_to_shed"),
    ),
    Plant(
        "leaks",
        "a reading collects twice",
        LAYER + "leak_detector.py",
        (("if not tracemalloc.is_tracing():", "gc.collect()"),),
        ("memory_manager.py::test_a_look_for_leaks",),
    ),
    Plant(
        "optimizer",
        "a choice makes the costs anew",
        LAYER + "performance_optimizer.py",
        (("path = self._costs.quicker(rows)", "Costs(self._costs.scalar_row, 0.0, self._costs.batch_row)"),),
        ("performance_optimizer.py::test_choosing_a_path",),
    ),
    Plant(
        "import",
        "the engine imports NumPy",
        "engine_opt/engine.py",
        (("from engine_opt import _validate as check", "import numpy"),),
        ("import.py::test_import_the_whole_engine",),
    ),
    Plant(
        "decision",
        "a decision keeps 64 bytes",
        "engine_opt/engine.py",
        (("SCHEMA = 1", KEPT), ("self._decisions += 1", KEEPS)),
        (*ONE_DECISION, TWELVE + "*"),
        (A_YEAR,),
    ),
    Plant(
        "switch",
        "an engine that is to keep its compiled rules does not",
        "engine_opt/engine.py",
        (("self._rules = make_rules(self._config.rules)", "make_rules = _ForgetfulRules"),),
        (*ONE_DECISION, *(f"{TWELVE}[[]{kept}]" for kept in ("all", "default", "readings-anew"))),
        (A_YEAR,),
    ),
)


def matching(tests: Iterable[str], patterns: Iterable[str]) -> set[str]:
    """Return the tests that a pattern says; each says one at least."""
    found = {pattern: {test for test in tests if fnmatchcase(test, pattern)} for pattern in patterns}
    for pattern, hits in found.items():
        if not hits:
            raise SystemExit(f"there is no test {pattern}")
    return set().union(*found.values())


def gate(folder: Path, paths: list[str]) -> tuple[set[str], set[str]]:
    """Run the gate on the working tree of `folder`; return all tests that it measured, and those that are red."""
    environ = {**os.environ, "PYTHONPATH": str(folder), "PYTEST_ADDOPTS": "", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pe-perf", "--pe-perf-against", "HEAD"]
    command += ["--junitxml", str(folder / "junit.xml"), *paths]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"the gate could not be run (exit status {done.returncode}):\n{done.stdout}{done.stderr}")
    tests, red = set(), set()
    for each in json.loads((folder / ".pe-perf" / "run.json").read_text("utf-8"))["judgements"]:
        test = each["key"]["test"].removeprefix(TESTS)
        tests.add(test)
        if each["verdict"] in RED:
            red.add(test)
    suite = next(ET.parse(folder / "junit.xml").iter("testsuite"))
    if int(suite.attrib["failures"]) + int(suite.attrib["errors"]) != len(red):
        raise SystemExit(f"tests failed for another reason than the gate's, red {sorted(red)}:\n{done.stdout}")
    return tests, red


def try_once(plant: Plant, paths: list[str]) -> tuple[set[str], set[str]]:
    """Plant it into a fresh clone and run the gate there."""
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name).resolve() / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        plant.apply(folder)
        return gate(folder, paths)


def row(plant: Plant, trials: int, paths: list[str]) -> tuple[str, bool]:
    """Return the plant's line of the table, and whether all was as it should be."""
    counts = Counter[str]()
    must: set[str] = set()
    may: set[str] = set()
    for trial in range(trials):
        tests, red = try_once(plant, paths)
        must, may = matching(tests, plant.red), matching(tests, plant.may)
        counts.update(red)
        print(f"{plant.name}, {trial + 1} of {trials}: red {sorted(red)}, missed {sorted(must - red)}", file=sys.stderr)
    own = sorted(must)
    caught = all(counts[test] == trials for test in own)
    others = sorted(counts.keys() - must - may)
    cells = [plant.says, str(trials)]
    cells += [listed(counts, tests, trials) for tests in (own, sorted(may & counts.keys()), others)]
    return f"| {' | '.join(cells)} |", caught and not others


def listed(counts: Counter[str], tests: list[str], trials: int) -> str:
    """Return the tests by file and name; with those that were not red in each run, in how many they were."""
    parts: dict[str, list[str]] = {}
    for test in tests:
        often = "" if counts[test] == trials else f" ({counts[test]} of {trials})"
        part, _, name = test.replace("_", " ").partition(".py::test ")
        parts.setdefault(part, []).append(name + often)
    return "; ".join(f"{part}: {', '.join(names)}" for part, names in parts.items()) or "none"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=[plant.name for plant in PLANTS])
    parser.add_argument(
        "--tests", nargs="+", default=[f"{TESTS}{part}.py" for part in (*PARTS, "protocol_engine", "import")]
    )
    options = parser.parse_args()
    if options.trials < 1:
        parser.error("--trials must be at least 1")
    print("| planted | runs | red, and had to be | red, and calls it too | any other red |\n|---|---|---|---|---|")
    good = True
    for plant in PLANTS:
        if options.only is None or plant.name in options.only:
            line, as_expected = row(plant, options.trials, options.tests)
            print(line, flush=True)
            good = good and as_expected
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
