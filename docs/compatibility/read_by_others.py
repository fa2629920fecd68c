"""What other programs make of ``pe-perf export --format pytest-benchmark``: the programs themselves read it.

    git clone --depth 1 --branch v1 https://github.com/benchmark-action/github-action-benchmark DIR
    python docs/compatibility/read_by_others.py --action DIR

Measures three benchmarks in a throw-away project, exports the run, and shows it to ``pytest-benchmark compare`` and to
the extractor of github-action-benchmark's ``pytest`` tool (needs Node.js). Exits with 1 if one of them does not find
every benchmark with the numbers of the export.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = """
import pytest
@pytest.mark.parametrize("n", [100, 10_000], ids=["short", "a/long [one]"])
def test_sum(benchmark, n): benchmark(sum, range(n))
def test_named(pe_latency): pe_latency["sorted list"](sorted, list(range(100)))
"""
# The action asks GitHub for the commit once it has read the file; it is told one here.
EXTRACT = """
const { extractResult } = require(process.argv[1] + '/dist/src/extract.js');
const github = require(process.argv[1] + '/node_modules/@actions/github');
github.context.payload = { head_commit: { id: '5f1d', message: '', timestamp: '', url: '' } };
extractResult({ tool: 'pytest', outputFilePath: process.argv[2] })
  .then((found) => console.log(JSON.stringify(found.benches)));
"""


def main() -> int:
    """Export a run and show it to both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--action", type=Path, required=True, help="a checkout of github-action-benchmark")
    action = parser.parse_args().action.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_things.py").write_text(TESTS)

        def run(*command: str) -> str:
            environ = {**os.environ, "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}
            done = subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True, text=True)
            return done.stdout

        run(sys.executable, "-m", "pytest", "--pe-perf", "--pe-perf-time", "50 ms")
        cli = "from pytest_pe_perf.cli import main; main()"
        run(sys.executable, "-c", cli, "export", "--format", "pytest-benchmark", "--output", "ours.json")
        expected = {b["fullname"]: b["stats"] for b in json.loads((folder / "ours.json").read_text())["benchmarks"]}
        table = run(sys.executable, "-m", "pytest_benchmark", "compare", "ours.json", "--name=long")
        print(table)
        benches = json.loads(run("node", "-e", EXTRACT, str(action), "ours.json"))
    for bench in benches:
        print(f"{bench['name']}: {bench['value']:.6g} {bench['unit']}, {bench['range']}, {bench['extra']!r}")
    compared = len(expected) == 3 and all(name in table for name in expected)
    extracted = {bench["name"]: bench["value"] for bench in benches}
    drawn = extracted == {name: stats["ops"] for name, stats in expected.items()}
    print(f"pytest-benchmark compare: {'all there' if compared else 'NOT ALL THERE'}")
    print(f"github-action-benchmark: {'all there' if drawn else 'NOT ALL THERE'}")
    return 0 if compared and drawn else 1


if __name__ == "__main__":
    sys.exit(main())
