"""Brings the files of others that the dashboard, the report and their tests carry, from npm, and notes which they are.

    python docs/optimization/refresh_vendored.py [uplot@1.6.32] [axe-core@4.14.1]

Both pages carry uPlot, for they have to work without a network; the browser tests carry axe-core. By default the newest
versions are taken. Needs npm. Look at what has changed, and run tests/browser, before you commit it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).parents[2]


class Package(NamedTuple):
    """What is taken from a package: file there, name here."""

    name: str
    folders: tuple[Path, ...]
    taken: dict[str, str]


PACKAGES = (
    Package(
        "uplot",
        (HOME / "engine_opt/monitoring/dashboard/page/vendor", HOME / "pytest_pe_perf/report/html/vendor"),
        {
            "dist/uPlot.iife.min.js": "uPlot.iife.min.js",
            "dist/uPlot.min.css": "uPlot.min.css",
            "LICENSE": "uPlot.LICENSE",
        },
    ),
    Package(
        "axe-core",
        (HOME / "tests/browser/vendor",),
        {
            "axe.min.js": "axe.min.js",
            "LICENSE": "axe.LICENSE",
            "LICENSE-3RD-PARTY.txt": "axe.LICENSE-3RD-PARTY.txt",
        },
    ),
)


def refresh(package: Package, wanted: str) -> None:
    """Take the files of a package, and write the note beside them."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["npm", "pack", "--silent", wanted], cwd=folder, check=True, capture_output=True, text=True
        )
        with tarfile.open(Path(folder, done.stdout.split()[-1])) as archive:

            def content(name: str) -> bytes:
                found = archive.extractfile(f"package/{name}")
                assert found is not None
                return found.read()

            described = json.loads(content("package.json"))
            taken = {here: content(there) for there, here in package.taken.items()}
    rows = [f"| `{here}` | `{sha256(data).hexdigest()}` |" for here, data in taken.items()]
    lines = [
        f"{described['name']} {described['version']} from npm, {described['license']}; unchanged. Refreshed by",
        "`docs/optimization/refresh_vendored.py`, which writes this note.",
        "",
        "| file | SHA-256 |",
        "|---|---|",
        *rows,
    ]
    for home in package.folders:
        home.mkdir(parents=True, exist_ok=True)
        for here, data in taken.items():
            (home / here).write_bytes(data)
        (home / "README.md").write_text("\n".join(lines) + "\n")
        print(f"{described['name']} {described['version']}: {home.relative_to(HOME)}")


def main() -> None:
    """Refresh what is named, or all."""
    asked = {each.partition("@")[0]: each for each in sys.argv[1:]}
    if unknown := asked.keys() - {package.name for package in PACKAGES}:
        sys.exit(f"not vendored: {', '.join(sorted(unknown))}")
    for package in PACKAGES:
        if not asked or package.name in asked:
            refresh(package, asked.get(package.name, package.name))


if __name__ == "__main__":
    main()
