"""What the installed plugin adds to the start of pytest: interleaved starts, with it and without.

Prints the median of each and the median of the paired differences. Budget: 5 ms.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUDGET_MS = 5.0


def start(folder: Path, *args: str) -> float:
    """Return the milliseconds of one pytest process that runs one empty test."""
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args],
        cwd=folder,
        env=environ,
        check=True,
        capture_output=True,
    )
    return (time.perf_counter() - begin) * 1e3


def main() -> int:
    """Run the starts and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text("def test_nothing(): pass\n")
        plugin = ("-p", "pytest_pe_perf.plugin")
        for args in ((), plugin):
            start(folder, *args)
        without, having = [], []
        for number in range(pairs):
            for kind in (0, 1) if number % 2 else (1, 0):
                (having if kind else without).append(start(folder, *(plugin if kind else ())))
    difference = statistics.median(h - w for h, w in zip(having, without, strict=True))
    print(f"without {statistics.median(without):.1f} ms, with {statistics.median(having):.1f} ms (medians of {pairs})")
    print(
        f"difference, median of pairs: {difference:+.2f} ms; difference of minima: {min(having) - min(without):+.2f} ms"
    )
    print(f"budget {BUDGET_MS} ms: {'kept' if difference <= BUDGET_MS else 'EXCEEDED'}; load {os.getloadavg()[0]:.1f}")
    return 0 if difference <= BUDGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
