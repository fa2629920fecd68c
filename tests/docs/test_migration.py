"""The pages on migration: their suites are measured as they stand, by the commands that stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HOWTO = Path(__file__).parents[2] / "docs/howto"
PAGES = [(HOWTO / f"migrate-from-{name}.md").read_text("utf-8") for name in ("pytest-benchmark", "pytest-codspeed")]
FILE = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^\$ ([^#\n]*?)(?:  #.*)?$", re.MULTILINE)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The suites of both pages in one folder, in which their commands have run in turn."""
    folder = tmp_path_factory.mktemp("migration")
    # What the pages say comes out the same with less time, and sooner.
    (folder / "pyproject.toml").write_text('[tool.pe_perf]\ntime = "3 ms"\nbenchmark_memory = false\n')
    for name, content in FILE.findall("".join(PAGES)):
        (folder / name).write_text(content)
    plugins = "pytest_benchmark.plugin,pytest_codspeed.plugin,pytest_pe_perf.plugin"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    quick = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": plugins, "PYTEST_ADDOPTS": "", "PATH": path}
    said = {}
    for command in dict.fromkeys(COMMAND.findall("".join(PAGES))):
        done = subprocess.run(
            command, shell=True, cwd=folder, env=os.environ | quick, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        said[command] = done.stdout
    return folder, said


def test_the_commands_of_both_pages_run(project):
    """The old run, the import and the gate, which both pages begin with."""
    _, said = project
    assert list(said) == ["pytest --benchmark-autosave", "pe-perf import .benchmarks", "pytest --pe-perf"]
    assert said["pe-perf import .benchmarks"].startswith("1 of 1 runs added")


def test_every_test_of_both_suites_is_measured(project):
    """Fixtures, markers, pedantic calls and whole bodies: each has a time."""
    folder, _ = project
    found = json.loads((folder / ".pe-perf/run.json").read_text())
    timed = {row["key"]["test"] for row in found["run"]["rows"] if row["key"]["metric"] == "latency"}
    tests = {
        f"{name}::{test}"
        for name, content in FILE.findall("".join(PAGES))
        for test in re.findall(r"^def (test_\w+)", content, re.MULTILINE)
    }
    assert len(tests) == 5
    assert timed == tests
    assert found["run"]["skipped"] == []
