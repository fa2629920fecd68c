"""How large this process is; and, run as a script, how large it becomes with each statement that it is given.

    python -P process_memory.py "import numpy" "import pandas"

Imports nothing that an interpreter has not imported by itself (where the system has no /proc, psutil besides): what it
imported would be counted.
"""

import os
import sys

# `exact` reads it. The kernel adds up all mappings for it, which costs ten times what `resident` costs.
_ROLLUP = "/proc/self/smaps_rollup"


def resident() -> int:
    """Return the resident bytes of this process.

    On Linux this is the kernel's running count, which since 6.2 may be off by some dozen pages a processor.
    """
    if sys.platform == "linux":
        with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib would be counted
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import psutil

    return int(psutil.Process().memory_info().rss)


def exact() -> tuple[int, int, int]:
    """Return resident bytes, those of them that no other process shares (USS), and the most that were ever resident."""
    if sys.platform == "linux":
        rollup = _sizes(_ROLLUP)
        unique = rollup["Private_Clean"] + rollup["Private_Dirty"] + rollup["Private_Hugetlb"]
        # Not getrusage: what it says includes the process that this one was forked from. The mark lags behind, too.
        return rollup["Rss"], unique, max(rollup["Rss"], _sizes("/proc/self/status")["VmHWM"])
    import psutil

    process = psutil.Process()
    now = process.memory_full_info()
    if sys.platform == "win32":
        return int(now.rss), int(now.uss), int(now.peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(now.rss), int(now.uss), most if sys.platform == "darwin" else most * 1024


def _sizes(path: str) -> dict[str, int]:
    """Return the lines "name: number kB" of a file of /proc, in bytes."""
    found = {}
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - pathlib would be counted
        for line in file.read().decode().splitlines():
            name, _, rest = line.partition(":")
            if rest.endswith(" kB"):
                found[name] = int(rest[:-3]) * 1024
    return found


def _main(statements: list[str]) -> None:
    """Print the sizes before the first statement and after each; what the statements print goes to standard error."""
    out, sys.stdout = sys.stdout, sys.stderr
    names: dict[str, object] = {"__name__": "__main__"}
    lines = [exact()]  # the first reading imports what it needs itself
    lines[0] = exact()
    for statement in statements:
        exec(statement, names)  # noqa: S102 - the statements are the program
        lines.append(exact())
    for line in lines:
        print(*line, file=out)


if __name__ == "__main__":
    _main(sys.argv[1:])
