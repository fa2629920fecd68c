"""A throw-away project with a real git-less folder, real files and a real pytest process for every run."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Short measurements on a machine that may be busy: the margins are so wide that noise cannot reach them, and the
# planted slow-downs of the tests are so large that nothing can hide them.
SETTINGS = """
[tool.pe_perf]
time = "20 ms"
threshold = "400 %"
margin = "300 %"
"""


PLUGINS = ("-p", "pytest_benchmark.plugin", "-p", "pytest_pe_perf.plugin")


@dataclass(frozen=True)
class Result:
    """What one command printed, and its exit status."""

    status: int
    out: str

    def verdicts(self, folder: Path) -> dict[tuple[str, str, str], str]:
        """Return the verdicts of the run file by (test, name, metric)."""
        content = json.loads((folder / ".pe-perf/run.json").read_text())
        return {(j["key"]["test"], j["key"]["name"], j["key"]["metric"]): j["verdict"] for j in content["judgements"]}


class Project:
    """Files, and commands run among them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("pyproject.toml", SETTINGS)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def settings(self, text: str) -> None:
        self.write("pyproject.toml", SETTINGS + text)

    def command(self, *args: str, timeout: float = 300) -> Result:
        done = subprocess.run(
            args,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            # Only what a test asks for is loaded: it starts four times faster, and nobody else interferes.
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        )
        return Result(done.returncode, done.stdout + done.stderr)

    def pytest(self, *args: str) -> Result:
        return self.command(sys.executable, "-m", "pytest", *PLUGINS, *args)

    def gate(self, *args: str) -> Result:
        return self.pytest("--pe-perf", *args)

    def pe_perf(self, *args: str) -> Result:
        return self.command(sys.executable, "-c", "from pytest_pe_perf.cli import main; main()", *args)

    def verdicts(self) -> dict[tuple[str, str, str], str]:
        content = self.run_file()
        return {
            (j["key"]["test"].split("::", 1)[1], j["key"]["name"], j["key"]["metric"]): j["verdict"]
            for j in content["judgements"]
        }

    def run_file(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / ".pe-perf/run.json").read_text())
        return content

    def baseline_files(self) -> dict[str, bytes]:
        folder = self.folder / "baselines"
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.json"))}

    def rows(self) -> dict[tuple[str, str], dict[str, Any]]:
        found = {}
        for data in self.baseline_files().values():
            for row in json.loads(data)["rows"]:
                found[row["test"], row["metric"]] = row
        return found

    def edit_row(self, test: str, metric: str, **values: Any) -> None:
        """Edit one row of the baseline as a person with an editor would."""
        for path in (self.folder / "baselines").rglob("*.json"):
            text = path.read_text()
            for line in text.splitlines():
                if f'"test": "{test}"' in line and f'"metric": "{metric}"' in line:
                    edited = line
                    for name, value in values.items():
                        edited, n = re.subn(rf'"{name}": [^,}}]+', f'"{name}": {json.dumps(value)}', edited)
                        assert n == 1
                    path.write_text(text.replace(line, edited))
                    return
        raise AssertionError(f"no row for {test} {metric}")

    def history_points(self) -> int:
        connection = sqlite3.connect(self.folder / ".pe-perf/history.sqlite")
        try:
            (count,) = connection.execute("select count(*) from runs").fetchone()
        finally:
            connection.close()
        return int(count)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
