"""The command line, called in the process of the test."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_pe_perf.cli import main

Command = Callable[..., str]
_NAMES = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def narrow(self) -> bool:
        """Whether all that was printed fits into 80 columns."""
        return all(len(line) <= 80 for line in self.out.splitlines())

    @property
    def words(self) -> str:
        """What was printed, wherever its lines were broken."""
        return " ".join(self.out.split())

    def rows(self) -> dict[tuple[str, str], str]:
        """Return the verdicts that were printed as JSON, by test and metric."""
        return {(j["key"]["test"], j["key"]["metric"]): j["verdict"] for j in json.loads(self.out)["judgements"]}

    def verdicts(self) -> dict[str, str]:
        """Return the same by test, where each has one row."""
        return {test: verdict for (test, _), verdict in self.rows().items()}


Call = Callable[..., Said]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Call:
    """Return a function that runs the command line in a folder."""

    def command(folder: Path, *arguments: str) -> Said:
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.argv", ["pe-perf", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = (stream.decode() for stream in capsysbinary.readouterr())
        assert "Traceback" not in err
        return Said(int(ended.value.code or 0), out, err)

    return command


@pytest.fixture
def pe_perf(project: Path, call: Call) -> Command:
    """Return a function that runs the command line and returns what it printed; stderr where the status is not 0."""

    def command(*arguments: str, status: int = 0) -> str:
        said = call(Path.cwd(), *arguments)
        assert said.status == status, said.err
        return said.out or said.err

    return command


def git(folder: Path, *arguments: str) -> str:
    """Run git with settings of our own instead of those of whoever runs the tests; return what it printed."""
    environ = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | {
        f"GIT_{name}": "a@b.c" for name in _NAMES
    }
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
