"""The story of sixty commits, measured: what happened to a small project, and what its history says of it.

    python docs/method/sixty_commits.py [--time "200 ms"]

Makes a repository in a temporary folder and commits sixty times. Each commit is measured with ``pytest --pe-perf``, as a
nightly job would do. Planted are steps of times and of a count, up and down; a creep of 0.5 % a commit; a commit that is
five times as slow and reverted by the next; a test that gets another name in the commit that makes it slower; and another
machine. That one is played: Python is told of another number of cores, and everything does 1.6 times the work.

Prints what ``pe-perf history --changes`` says of each commit beside what was planted there. Exits with 1 if something was
missed, wrong, or said of a commit that did nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

COMMITS = 60
SLOWER, RENAMED, SPIKE, FASTER, MORE, MACHINE, SORTED = 15, 24, 28, 33, 38, 45, 52
# What was planted: the test and metric, the first commit that has it, and the ratio.
STEPS: Mapping[tuple[str, str, int], float] = {
    ("test_parse", "latency", SLOWER): 1.20,
    ("test_concat", "latency", RENAMED): 1.12,
    ("test_parse", "latency", FASTER): 0.85,
    ("test_keep", "peak", MORE): 1.10,
    ("test_sort", "latency", SORTED): 0.80,
}
CREEPING, CREEP = "test_load", 1.005
# So much work a call, by the name of the test.
WORK: Mapping[str, Callable[[int], float]] = {
    "parse": lambda commit: (1.20 if commit >= SLOWER else 1.0) * (0.85 if commit >= FASTER else 1.0),
    "load": lambda commit: CREEP**commit,
    "save": lambda commit: 5.0 if commit == SPIKE else 1.0,
    "sort": lambda commit: 0.80 if commit >= SORTED else 1.0,
    "join": lambda commit: 1.12 if commit >= RENAMED else 1.0,
    "find": lambda _: 1.0,
}
LOOPS, KEPT = 4000, 200_000
CODE = """
def work(loops):
    total = 0
    for number in range(loops):
        total += number * number
    return total

def keep():
    return bytes({kept})
"""
OTHER_MACHINE = "import os\nos.cpu_count = lambda: 64\n"


class Project:
    """The repository, and commands run in it."""

    def __init__(self, folder: Path, time: str) -> None:
        self.folder, self._time = folder, time
        (folder / "machine").mkdir()
        (folder / "machine/sitecustomize.py").write_text(OTHER_MACHINE)
        (folder / "pyproject.toml").write_text('[project]\nname = "text"\nversion = "1"\n[tool.pe_perf]\nfresh = 2\n')
        (folder / ".gitignore").write_text(".pe-perf/\n__pycache__/\nmachine/\n")
        self.run("git", "init", "--quiet")

    def run(self, *command: str, path: str = "") -> str:
        people = {
            f"GIT_{who}_{what}": "ann@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        # Other plugins that happen to be installed take longer to start than all measurements together.
        alone = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environ = {**os.environ, **people, **alone, "PYTHONPATH": path}
        done = subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def commit(self, number: int) -> str:
        """Commit and measure; return the hash."""
        slow = 1.6 if number >= MACHINE else 1.0
        kept = KEPT * STEPS["test_keep", "peak", MORE] if number >= MORE else KEPT
        code = [CODE.format(kept=round(kept))]
        names = {name: "concat" if name == "join" and number >= RENAMED else name for name in WORK}
        tests = ["import text", "def test_keep(pe_memory): pe_memory(text.keep)"]
        for name, level in WORK.items():
            loops = round(LOOPS * level(number) * slow)
            code.append(f"def {names[name]}():\n    return work({loops})\n")
            tests.append(f"def test_{names[name]}(pe_latency): pe_latency(text.{names[name]})")
        (self.folder / "text.py").write_text("\n".join(code))
        (self.folder / "test_text.py").write_text("\n".join(tests) + "\n")
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", f"--message=Commit {number}")
        path = "machine" if number >= MACHINE else ""
        command = (
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "pytest_pe_perf.plugin",
            "--pe-perf",
        )
        self.run(*command, "--pe-perf-time", self._time, path=path)
        return self.run("git", "rev-parse", "HEAD").strip()

    def history(self, *arguments: str) -> str:
        return self.run(sys.executable, "-c", "from pytest_pe_perf.cli import main; main()", "history", *arguments)


def judged(found: list[dict[str, Any]], numbers: Mapping[str, int]) -> bool:
    """Print a table of what was planted and what was said; return whether they agree."""
    said = {
        (one["key"]["test"].rpartition("::")[2], one["key"]["metric"], numbers[change["commit"]]): change
        for one in found
        for change in one["changes"]
    }
    print("| test | commit | planted | said |\n|---|---|---|---|")
    for place, ratio in STEPS.items():
        test, metric, number = place
        change = said.get(place)
        words = (
            "nothing"
            if change is None
            else f"{_change(change['ratio'])} ({_change(change['low'])} to {_change(change['high'])})"
        )
        print(f"| {test}, {metric} | {number} | {_change(ratio)} | {words} |")
    crept = [(one, creep) for one in found for creep in one["creeps"]]
    for one, creep in crept:
        where = f"{one['key']['test'].rpartition('::')[2]}, {one['key']['metric']}"
        planted = CREEP ** ((creep["end"] - creep["start"]) * 2 / 3) if CREEPING in where else 1.0
        print(f"| {where} | 0 to {numbers[creep['commit']]} | {_change(planted)} | {_change(creep['ratio'])}, crept |")
    more = sorted(said.keys() - STEPS.keys())
    for test, metric, number in more:
        print(f"| {test}, {metric} | {number} | nothing | {_change(said[test, metric, number]['ratio'])} |")
    creeping = {one["key"]["test"].rpartition("::")[2] for one, _ in crept}
    return said.keys() == STEPS.keys() and creeping == {CREEPING}


def _change(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


def main() -> int:
    """Measure sixty commits and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", default="200 ms", help="of each test and commit")
    options = parser.parse_args()
    begin, loads = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="sixty-commits-") as name:
        project, numbers = Project(Path(name), options.time), {}
        for number in range(COMMITS):
            numbers[project.commit(number)] = number
            loads.append(os.getloadavg()[0])
        project.history("rename", "test_text.py::test_join", "test_text.py::test_concat")
        words, found = project.history("--changes"), json.loads(project.history("--changes", "--json"))
    loads.sort()
    print(words)
    right = judged(found, numbers)
    minutes = (time.monotonic() - begin) / 60
    print(f"\n{COMMITS} commits in {minutes:.1f} min; load {loads[0]:.1f} to {loads[-1]:.1f}", end="")
    print(f", median {loads[COMMITS // 2]:.1f}: {'as planted' if right else 'NOT AS PLANTED'}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
