"""What a validator of SARIF makes of ``pe-perf report --format sarif``: Microsoft's SARIF Multitool reads it.

    python docs/compatibility/read_by_ci.py

Measures a throw-away project whose working tree is slower than its last commit, writes the report, and has the Multitool
(from npm, installed into a temporary folder) validate it, with the rules of the standard and of GitHub. The test's name
holds what might trouble a reader. Exits with 1 if the Multitool finds an error, or not the regression.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = """
import pytest
from work import work
@pytest.mark.parametrize("n", [2000], ids=["a|b [c](1) {0} <i>"])
def test_work(pe_latency, n): pe_latency(work, n)
"""
WORK = "def work(n): return sum(i * i for i in range(n))\n"
SLOWER = "def work(n): return sum(i * i for i in range(n * 2))\n"
MULTITOOL = "@microsoft/sarif-multitool"
# What the standard asks for, and what GitHub's code scanning does.
KINDS = ("Sarif", "Ghas")
CLI = "from pytest_pe_perf.cli import main; main()"


def main() -> int:
    """Make the report and have it read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def run(*command: str, status: int = 0) -> str:
            environ = {**os.environ, "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}
            done = subprocess.run(command, cwd=folder, env=environ, check=False, capture_output=True, text=True)
            if done.returncode != status:
                sys.exit(f"{command}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}")
            return done.stdout

        (folder / "tests").mkdir()
        (folder / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
        (folder / "tests/test_work.py").write_text(TESTS)
        (folder / "work.py").write_text(WORK)
        author = ("-c", "user.name=x", "-c", "user.email=x@localhost")
        for arguments in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "base")):
            run("git", *arguments)
        (folder / "work.py").write_text(SLOWER)
        run(sys.executable, "-m", "pytest", "-q", "--pe-perf", "--pe-perf-against", "HEAD", status=1)
        run(sys.executable, "-c", CLI, "report", "--format", "sarif", "--output", "ours.sarif")
        run("npm", "install", "--silent", "--no-save", "--prefix", "tool", MULTITOOL)
        tool = str(folder / "tool/node_modules/.bin/sarif-multitool")
        found = []
        for kind in KINDS:
            run(
                tool,
                "validate",
                "ours.sarif",
                "--rule-kind",
                kind,
                "--output",
                "found.sarif",
                "--log",
                "ForceOverwrite",
            )
            found += json.loads((folder / "found.sarif").read_text())["runs"][0].get("results", [])
        results = json.loads((folder / "ours.sarif").read_text())["runs"][0]["results"]
    errors = [one for one in found if one.get("level", "warning") == "error"]
    for one in found:
        print(f"{one.get('level', 'warning')}: {one['ruleId']}: {one['message']['arguments']}")
    regressed = any(one["ruleId"] == "regressed/latency" for one in results)
    print(f"{len(results)} results, {'with' if regressed else 'WITHOUT'} the regression; {len(errors)} errors")
    return 0 if regressed and not errors else 1


if __name__ == "__main__":
    sys.exit(main())
