"""Histories in trouble, as people meet them: through the command line and ``pytest --pe-perf``, each in its own process."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pe_perf.cli import main
from pytest_pe_perf.history.record import Value, encode, make_record
from pytest_pe_perf.model import Key

A = Key("test_things.py::test_sum", "", "peak")
Command = Callable[..., str]
CLI = ("-c", "from pytest_pe_perf.cli import main; main()")
# The second test closes the database while the session runs, unless nobody tells it where that is.
TESTS = """
import os
import psycopg
def test_sum(pe_memory):
    assert len(pe_memory(bytes, 10_000)) == 10_000
def test_the_server_goes_away():
    if "DOOR" in os.environ:
        with psycopg.connect(os.environ["DOOR"], autocommit=True) as connection:
            connection.execute("ALTER DATABASE story ALLOW_CONNECTIONS false")
"""


def start(folder: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", **environ},
    )


def ended(process: subprocess.Popen[str], status: int = 0) -> str:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == status, out
    return out


@pytest.fixture
def pe_perf(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., str]:
    """Return a function that runs the command line in a folder and returns all that it printed."""

    def command(folder: Path, *arguments: str, status: int = 0) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.argv", ["pe-perf", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        out = b"".join(capsysbinary.readouterr()).decode()
        assert (caught.value.code or 0) == status, out
        return out

    return command


def settings(folder: Path, history: str) -> None:
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "ours"\n[tool.pe_perf]\nhistory = "{history}"\ntime = "5 ms"\nfresh = 2\n'
    )


def record(day: int, value: float = 1.0) -> bytes:
    return encode(make_record(f"2026-01-{day:02}", "here", {"commit": f"{day:040x}"}, [Value(A, value, verdict="new")]))


@pytest.mark.parametrize("history", ["history.sqlite", "git:perf-data"])
def test_two_imports_at_once(history: str, repository: Path, pe_perf: Command) -> None:
    """Two jobs that begin one history at the same moment both succeed, and every run is there once."""
    settings(repository, history)
    for job in "ab":
        (repository / job).mkdir()
        for day in range(1, 7):
            (repository / job / f"{day}.jsonl").write_bytes(record(day, 1.0 if day < 4 or job == "a" else 2.0))
    jobs = [start(repository, *CLI, "import", job) for job in "ab"]
    said = [ended(job) for job in jobs]
    # Three of the runs are the same in both.
    assert sum(int(text.split(" of 6 runs added")[0]) for text in said) == 9
    assert json.loads(pe_perf(repository, "history", "--json"))["all"] == 9


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 4096 * 2])


def newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 9")
    connection.close()


def foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE orders (id)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        (cut, "it is not a history or it is damaged: move it away and a new one is begun"),
        (newer, "format 9 is newer than the 2 that this version understands: upgrade pytest-pe-perf"),
        (foreign, "it is a database of another program: move it away, or set another `history` file"),
    ],
)
def test_a_history_that_is_none(damage: Callable[[Path], None], seen: str, tmp_path: Path, pe_perf: Command) -> None:
    """Half a file, one of a newer version and somebody else's: status 2, words, and the file as it was."""
    settings(tmp_path, "history.sqlite")
    path = tmp_path / "history.sqlite"
    (tmp_path / "1.jsonl").write_bytes(record(1))
    pe_perf(tmp_path, "import", "1.jsonl")
    damage(path)
    before = path.read_bytes()
    for arguments in (("history",), ("history", "--changes"), ("import", "1.jsonl"), ("history", "rename", "a", "b")):
        out = pe_perf(tmp_path, *arguments, status=2)
        assert seen in out
        assert f"{path}: " in out
        assert "Traceback" not in out
    assert path.read_bytes() == before


@pytest.mark.slow
def test_the_server_goes_away_in_the_middle_of_a_session(server: str, tmp_path: Path, pe_perf: Command) -> None:
    """The run is judged and kept, the exit status says that it was not sent, and the next run sends it.

    Nor does a history fail a build, whatever it holds: here it says that the test takes half as much memory again.
    """
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE story")
    settings(tmp_path, server.replace("/postgres?", "/story?"))
    (tmp_path / "test_things.py").write_text(TESTS)
    session = ("-m", "pytest", "-p", "pytest_pe_perf.plugin", "-p", "no:cacheprovider", "--pe-perf")
    out = ended(start(tmp_path, *session, DOOR=server), 4)
    assert "2 passed" in out
    assert "not currently accepting connections" in out
    assert "the run is kept in" in out
    (kept,) = (tmp_path / ".pe-perf/unsent").iterdir()
    assert "not currently accepting connections" in pe_perf(tmp_path, "history", status=2)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("ALTER DATABASE story ALLOW_CONNECTIONS true")
    about, *rows = map(json.loads, kept.read_text().splitlines())
    (value,) = (row["value"] for row in rows if row["metric"] == "peak")
    (tmp_path / "earlier").mkdir()
    for day in range(1, 13):
        early = make_record(f"2020-01-{day:02}", about["environment"], {}, [Value(A, value / (1.5 if day < 12 else 1))])
        (tmp_path / f"earlier/{day:02}.jsonl").write_bytes(encode(early))
    pe_perf(tmp_path, "import", "earlier")
    assert "not sent yet: 1 run" in pe_perf(tmp_path, "history")
    ended(start(tmp_path, *session))
    shown = json.loads(pe_perf(tmp_path, "history", "--json"))
    assert (shown["all"], shown["unsent"]) == (14, 0)
    assert kept.name.removesuffix(".jsonl") in {run["digest"] for run in shown["runs"]}
    assert re.search(r"2020-01-12  - +peak \+(49|50)\.\d %", pe_perf(tmp_path, "history", "--changes"))
