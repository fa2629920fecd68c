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
from importlib.metadata import entry_points
from pathlib import Path

WITHOUT = ("-p", "no:pe_perf")
BUDGET_MS = 5.0


def others() -> list[str]:
    """Return the arguments that switch off every other installed plugin: only ours is to differ."""
    names = {entry.name for entry in entry_points(group="pytest11")} - {"pe_perf"}
    return [word for name in sorted(names) for word in ("-p", f"no:{name}")]


def start(folder: Path, *args: str) -> float:
    """Return the milliseconds of one pytest process that runs one empty test."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
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
        having, without = others(), [*others(), *WITHOUT]
        times: dict[bool, list[float]] = {True: [], False: []}
        for number in range(-1, pairs):  # the first pair warms up
            for ours in (True, False) if number % 2 else (False, True):
                times[ours].append(start(folder, *(having if ours else without)))
    measured, bare = times[True][1:], times[False][1:]
    difference = statistics.median(h - w for h, w in zip(measured, bare, strict=True))
    print(f"without {statistics.median(bare):.1f} ms, with {statistics.median(measured):.1f} ms (medians of {pairs})")
    print(f"difference, median of pairs: {difference:+.2f} ms; of minima: {min(measured) - min(bare):+.2f} ms")
    print(f"budget {BUDGET_MS} ms: {'kept' if difference <= BUDGET_MS else 'EXCEEDED'}; load {os.getloadavg()[0]:.1f}")
    return 0 if difference <= BUDGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
