"""A throw-away project with a real git-less folder, real files and a real pytest process for every run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
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
profile = "never"
"""


PLUGINS = ("-p", "pytest_benchmark.plugin", "-p", "pytest_pe_perf.plugin")


@dataclass(frozen=True)
class Result:
    """What one command printed, and its exit status."""

    status: int
    out: str

    @property
    def words(self) -> str:
        """What was printed, wherever its lines were broken."""
        return " ".join(self.out.split())

    def verdicts(self, folder: Path) -> dict[tuple[str, str, str], str]:
        """Return the verdicts of the run file by (test, name, metric)."""
        content = json.loads((folder / ".pe-perf/run.json").read_text())
        return {(j["key"]["test"], j["key"]["name"], j["key"]["metric"]): j["verdict"] for j in content["judgements"]}


def _listen_to_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _in_a_good_moment(
    ask: Callable[[], Result], before_it_is_asked_again: Callable[[], object] = lambda: None
) -> Result:
    """Ask, and ask again where the machine was in a bad moment: what was measured then is not accepted, as is said."""
    for _ in range(2):
        done = ask()
        if "in a bad moment" not in done.out:
            return done
        before_it_is_asked_again()
    return ask()


# Stands before the exit status of a session.
_STATUS = "exit status of the session: "
_IN_TURN = f"""
import json, os, sys, pytest
sys.stderr = sys.stdout
for addopts, arguments in json.loads(sys.argv[1]):
    os.environ["PYTEST_ADDOPTS"] = addopts
    print("{_STATUS}%d" % pytest.main(arguments), flush=True)
"""


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

    def environ(self, **more: str) -> dict[str, str]:
        # Where a service builds, pytest says each message twice: what is asserted must not depend on who runs it.
        ours = {name: value for name, value in os.environ.items() if name not in {"CI", "BUILD_NUMBER"}}
        # Only what a test asks for is loaded: it starts four times faster, and nobody else interferes.
        return {**ours, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", **more}

    def command(self, *args: str, timeout: float = 300, **environ: str) -> Result:
        done = subprocess.run(
            args,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env=self.environ(**environ),
            check=False,
        )
        return Result(done.returncode, done.stdout + done.stderr)

    def start(self, *args: str, **environ: str) -> subprocess.Popen[str]:
        """Start the gate and return while it runs."""
        return subprocess.Popen(
            (sys.executable, "-m", "pytest", *PLUGINS, "--pe-perf", *args),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environ(**environ),
            # A shell that starts this suite in the background lets all its children ignore Ctrl-C.
            preexec_fn=_listen_to_ctrl_c if os.name == "posix" else None,  # noqa: PLW1509
        )

    def pytest(self, *args: str) -> Result:
        return self.command(sys.executable, "-m", "pytest", *PLUGINS, *args)

    def gate(self, *args: str) -> Result:
        return self.pytest("--pe-perf", *args)

    def in_turn(self, *sessions: Sequence[str], addopts: Mapping[int, str] | None = None) -> list[Result]:
        """Run the gate several times on the same files, in one process: most of a short session is its start.

        ``addopts`` is PYTEST_ADDOPTS for some of them, by their number.
        """
        given = [((addopts or {}).get(n, ""), [*PLUGINS, "--pe-perf", *args]) for n, args in enumerate(sessions)]
        done = self.command(sys.executable, "-c", _IN_TURN, json.dumps(given))
        first, *others = done.out.split(_STATUS)
        found = [part.partition("\n") for part in others]
        assert len(found) == len(sessions), done.out
        outs = [first, *(rest for _, _, rest in found)]
        return [Result(int(status), out) for (status, _, _), out in zip(found, outs, strict=False)]

    def pe_perf(self, *args: str) -> Result:
        return self.command(sys.executable, "-c", "from pytest_pe_perf.cli import main; main()", *args)

    def accept(self, *args: str) -> Result:
        """Accept what a run of the gate measures."""
        return _in_a_good_moment(lambda: self.gate("--pe-perf-update", *args))

    def update(self, *args: str) -> Result:
        """Accept what the last run measured."""
        return _in_a_good_moment(lambda: self.pe_perf("update", *args), self.gate)

    def copy(self, folder: Path) -> Project:
        """Return a project with the same files."""
        other = type(self)(folder)
        shutil.copytree(self.folder, other.folder, dirs_exist_ok=True)
        return other

    def verdicts(self) -> dict[tuple[str, str, str], str]:
        content = self.run_file()
        return {
            (j["key"]["test"].split("::", 1)[1], j["key"]["name"], j["key"]["metric"]): j["verdict"]
            for j in content["judgements"]
        }

    def outcomes(self, name: str = "junit.xml") -> dict[str, str]:
        """Return what became of each test by --junitxml: passed, skipped, or the whole message of what went wrong."""
        found = {}
        for case in ET.parse(self.folder / name).iter("testcase"):
            wrong = next((child for child in case if child.tag in {"failure", "error"}), None)
            skipped = any(child.tag == "skipped" for child in case)
            found[case.get("name", "")] = (
                (wrong.text or "") if wrong is not None else "skipped" if skipped else "passed"
            )
        return found

    def message(self, test: str, name: str = "junit.xml") -> str:
        """Return the message of what went wrong with a test, wherever its lines are broken."""
        return " ".join(self.outcomes(name)[test].split())

    def reasons(self) -> dict[str, str]:
        """Return why rows got their verdicts, by test and metric, and why tests were not measured, by test."""
        content = self.run_file()
        rows = {
            f"{j['key']['test'].split('::', 1)[1]} {j['key']['metric']}": j["reason"] for j in content["judgements"]
        }
        return rows | {item["test"].split("::", 1)[1]: item["why"] for item in content["run"]["skipped"]}

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


# Rounds so short that most are undisturbed on a machine that is busy, and a margin that the canary is well beyond.
PAIRED_SETTINGS = """
[tool.pe_perf]
time = "20 ms"
threshold = "400 %"
margin = "200 %"
profile = "never"
"""
# From bad to good: what is to be said of a test with several rows.
ORDER = ("regressed", "over budget", "inconclusive", "not comparable", "missing", "new", "improved", "unchanged")


class Repository(Project):
    """A project in a git repository, with a temporary folder of its own, in which everything that is left is seen."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.room = folder.parent / "room"
        self.room.mkdir()
        super().__init__(folder)
        self.settings("")
        self.write(".gitignore", ".pe-perf/\n__pycache__/\n.pytest_cache/\njunit.xml\n")
        self.git("init", "--quiet", "--initial-branch=main")

    def settings(self, text: str) -> None:
        self.write("pyproject.toml", PAIRED_SETTINGS + text)

    def environ(self, **more: str) -> dict[str, str]:
        known = {"TMPDIR": str(self.room), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        people = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return super().environ(**known, **people, **more)

    def git(self, *args: str) -> str:
        done = self.command("git", *args)
        assert done.status == 0, done.out
        return done.out.strip()

    def commit(self, message: str = "a change") -> str:
        """Commit everything and return the hash."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD")

    def against(self, ref: str, *args: str, python: str = sys.executable, **environ: str) -> Result:
        """Compare with ``ref`` and check that nothing is left of it."""
        command = (python, "-m", "pytest", *PLUGINS, "--pe-perf", f"--pe-perf-against={ref}")
        done = self.command(*command, *args, **environ)
        assert self.left() == [], done.out
        return done

    def decided(self, ref: str, *args: str, **environ: str) -> Result:
        """Do the same; where the machine was too busy to tell, ask again."""
        for _ in range(3):
            done = self.against(ref, *args, **environ)
            said = [j for j in self.run_file()["judgements"] if j["verdict"] == "inconclusive"]
            if all(j["reason"].startswith("on ") for j in said):
                break
        return done

    def left(self) -> list[str]:
        """Return what is left of us: folders for temporary files, and processes that know that place."""
        return [path.name for path in self.room.glob("pe-perf*")] + self.processes()

    def processes(self) -> list[str]:
        """Return the commands that run with this repository's temporary folder; none where the system does not say."""
        mark, found = f"TMPDIR={self.room}".encode(), []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (place / "environ").read_bytes().split(b"\0") and "\nState:\tZ" not in (
                    place / "status"
                ).read_text(errors="replace"):
                    found.append((place / "cmdline").read_text(errors="replace").replace("\0", " "))
            except OSError:
                continue
        return found

    def worst(self) -> dict[str, str]:
        """Return the worst verdict on each test."""
        found: dict[str, str] = {}
        for (test, _, _), verdict in self.verdicts().items():
            found[test] = min(found.get(test, verdict), verdict, key=ORDER.index)
        return found


@pytest.fixture(scope="session")
def make_repository() -> Callable[[Path], Repository]:
    return lambda folder: Repository(folder / "project")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "project")


@pytest.fixture(scope="module")
def shared_repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository for the tests of a module that look at one run from different sides."""
    return Repository(tmp_path_factory.mktemp("repository") / "project")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project for the tests of a module that look at one run from different sides."""
    return Project(tmp_path_factory.mktemp("shared"))
