"""Without ``--pe-perf`` the plugin is next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys

REPORT = """
import json
import sys

def pytest_unconfigure():
    with open("modules.json", "w") as file:
        json.dump(sorted(sys.modules), file)
"""
TEST = """
def test_it(pe_latency, pe_memory):
    assert pe_latency(sorted, [2, 1]) == pe_memory(sorted, [2, 1]) == [1, 2]
"""
HEAVY = {"pytest_benchmark", "memray", "pytest_memray", "psutil", "jinja2", "cachetools", "msgspec", "click", "rich"}


def modules(project, *arguments):
    done = project.command(sys.executable, "-m", "pytest", *arguments)
    return done, set(json.loads((project.folder / "modules.json").read_text()))


def test_nothing_is_imported_without_the_option(project):
    """Loaded alone the plugin imports itself; tests that use its fixtures import nothing heavy either."""
    project.write("conftest.py", REPORT)
    project.write("test_plain.py", "def test_plain():\n    pass\n")
    _, bare = modules(project)
    done, plain = modules(project, "-p", "pytest_pe_perf.plugin", "-W", "error", "--strict-markers", "--strict-config")
    assert done.status == 0, done.out
    assert "pe-perf" not in done.out
    ours = {name for name in plain if name.startswith("pytest_pe_perf")}
    assert ours == {"pytest_pe_perf", "pytest_pe_perf.plugin"}
    assert not {name.partition(".")[0] for name in plain} & HEAVY
    assert "asyncio" not in plain - bare

    project.write("test_plain.py", TEST)
    done, used = modules(project, "-p", "pytest_pe_perf.plugin", "-W", "error")
    assert done.status == 0, done.out
    assert not {name.partition(".")[0] for name in used} & HEAVY
    assert "asyncio" not in used - bare
    assert sorted(path.name for path in project.folder.iterdir() if path.name.startswith((".pe", "base"))) == []


def test_it_can_be_switched_off_by_name(project):
    """-p no:pe_perf takes options, fixtures and markers away, and nothing else."""
    project.write("test_plain.py", "def test_plain():\n    pass\n\ndef test_it(pe_latency):\n    pe_latency(len, '')\n")
    environ = project.environ()
    del environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]

    def run(*arguments):
        command = (sys.executable, "-m", "pytest", "-p", "no:pe_perf", *arguments)
        return subprocess.run(command, cwd=project.folder, env=environ, capture_output=True, text=True, check=False)

    done = run()
    assert done.returncode == 1
    assert "fixture 'pe_latency' not found" in done.stdout
    assert "1 passed, 1 error" in done.stdout
    refused = run("--pe-perf")
    assert refused.returncode == 4
    assert "unrecognized arguments: --pe-perf" in refused.stderr
