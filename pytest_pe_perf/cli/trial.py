"""The gate on trial: a throw-away project with known answers, and pytest in a process of its own on it or on another."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec

from pytest_pe_perf.judge.trial import ALLOCATION, LEAK, NOTHING, SLOWER, Judged, Measured, Plant, Ran
from pytest_pe_perf.measure.janitor import Workspace, workspace
from pytest_pe_perf.report.screen import printable

from .pytest_process import last_words, run

MODULE, TESTS = "work.py", "tests/test_work.py"
# Nothing of the user's takes part: no plugin of theirs, no option, no setting of git.
_PLUGINS = ("pytest_pe_perf.plugin", "pytest_benchmark.plugin")
_NOT_INHERITED = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")
_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "pe-perf",
    "GIT_AUTHOR_EMAIL": "pe-perf@localhost",
    "GIT_COMMITTER_NAME": "pe-perf",
    "GIT_COMMITTER_EMAIL": "pe-perf@localhost",
}
# Passed, and failed: what pytest exits with where it ran the tests.
_RAN = (0, 1)
_MOST_DEAD_CODE = 40


class TrialError(Exception):
    """A trial could not be made; the message says why. It is no verdict on the gate."""


# --- the throw-away project ---------------------------------------------------------------------------------------

# What is measured, in equal units of a few microseconds, of which one call takes so many: a multiple of 20, so that a
# twentieth more is possible.
UNITS = {"arithmetic": 1000, "strings": 400, "documents": 20, "sorting": 20}
# Nobody asks what made a planted change.
_SETTINGS = '[tool.pytest.ini_options]\n[tool.pe_perf]\nprofile = "never"\n'
_WORK = """\
import json

TABLE = {f"key {number}": [number, str(number), number / 7] for number in range(12)}
NUMBERS = [number * 7919 % 1009 for number in range(60)]
KEPT = []


def arithmetic(units):
    total = 0
    for number in range(units):
        total += number * number & 0xFF
    return total


def strings(units):
    seen = {}
    for number in range(units):
        word = f"word {number % 97}"
        seen[word] = seen.get(word, 0) + len(word)
    return len(seen)


def documents(units):
    for _ in range(units):
        found = json.loads(json.dumps(TABLE))
    return len(found)


def sorting(units):
    for _ in range(units):
        found = sorted(NUMBERS)
    return found[0]


def words(number):
    return [f"word {index}" for index in range(number)]
"""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One test of the project: the kind of work that it measures, and what is planted in it on head's side."""

    name: str
    kind: str
    plant: Plant = NOTHING

    @property
    def test(self) -> str:
        """Its node id."""
        return f"{TESTS}::test_{self.name}"


def clean_benchmarks() -> tuple[Benchmark, ...]:
    """Return one benchmark of each kind of work, with nothing planted."""
    return tuple(Benchmark(kind, kind) for kind in UNITS)


def planted_benchmarks(random: Random) -> tuple[Benchmark, ...]:
    """Return benchmarks with all that is planted, and some with nothing, on kinds of work that are drawn by chance.

    They are fewer than twelve latencies, from which on a suite that leans as a whole would be measured once more.
    """
    kinds = list(UNITS)
    found = []
    for plant, number in zip((NOTHING, *SLOWER), (4, 2, 3, 2), strict=True):
        random.shuffle(kinds)
        share = f"slower_{plant.more * 100:.0f}" if plant.metric else "clean"
        found += [Benchmark(f"{share}_{kind}", kind, plant) for kind in kinds[:number]]
    found += [
        Benchmark("clean_memory", "memory"),
        Benchmark("leak", "memory", LEAK),
        Benchmark("allocation", "memory", ALLOCATION),
    ]
    random.shuffle(found)
    return tuple(found)


def make_project(folder: Path, benchmarks: Sequence[Benchmark], random: Random) -> None:
    """Make a git repository with the benchmarks, whose working tree has what is planted and HEAD has not.

    In front of the module stands dead code, as in a commit that did something else: it moves all that follows.

    Raises:
        TrialError: git cannot.

    """
    (folder / TESTS).parent.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(_SETTINGS, encoding="utf-8")
    (folder / TESTS).write_text(_tests(benchmarks), encoding="utf-8")
    (folder / MODULE).write_text(_module(benchmarks, planted=False), encoding="utf-8")
    for arguments in (("init", "--quiet", "--template="), ("add", "."), ("commit", "--quiet", "-m", "base")):
        _git(folder, *arguments)
    (folder / MODULE).write_text(_dead_code(random) + _module(benchmarks, planted=True), encoding="utf-8")


def _tests(benchmarks: Sequence[Benchmark]) -> str:
    lines = ["import work\n"]
    for benchmark in benchmarks:
        fixture = "pe_memory" if benchmark.kind == "memory" else "pe_latency"
        lines.append(f"\n\ndef test_{benchmark.name}({fixture}):\n    {fixture}(work.run_{benchmark.name})\n")
    return "".join(lines)


def _module(benchmarks: Sequence[Benchmark], *, planted: bool) -> str:
    parts = [_WORK]
    for benchmark in benchmarks:
        body = _body(benchmark.kind, benchmark.plant if planted else NOTHING)
        parts.append(f"\n\ndef run_{benchmark.name}():\n" + "".join(f"    {line}\n" for line in body))
    return "".join(parts)


def _body(kind: str, plant: Plant) -> tuple[str, ...]:
    if kind != "memory":
        return (f"return {kind}({round(UNITS[kind] * (1 + plant.more))})",)
    found = "found = words(100)"
    if plant is LEAK:
        return (found, "KEPT.append(found[0])", "return len(found)")
    if plant is ALLOCATION:
        return (found, "more = bytes(1000)", "return len(found) if more else 0")
    return (found, "return len(found)")


def _dead_code(random: Random) -> str:
    functions = []
    for number in range(random.randrange(1, _MOST_DEAD_CODE)):
        text = "x" * random.randrange(200)
        functions.append(
            f"def unused_{number}(a, b):\n    return a * {random.randrange(1 << 30)} + len({text!r}) + b\n\n\n"
        )
    return "".join(functions)


def _git(folder: Path, *arguments: str) -> None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=_environ(), capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise TrialError(f"git cannot be started: {error.strerror or error}") from error
    if done.returncode:
        said = printable(done.stderr.decode(errors="replace").strip())
        raise TrialError(f"git {arguments[0]} failed in a throw-away project: {said}")


def _environ() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name not in _NOT_INHERITED and not name.startswith("GIT_")
    }
    return {**kept, **_GIT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


# --- the gate -----------------------------------------------------------------------------------------------------


def try_gate(benchmarks: Sequence[Benchmark], random: Random, options: Sequence[str] = ()) -> Ran:
    """Run the real gate on a throw-away project with the benchmarks, in a process without other plugins.

    Raises:
        TrialError: the project cannot be made, or the gate not be run on it.

    """
    with _room() as room:
        project = room.path / "project"
        make_project(project, benchmarks, random)
        plugins = [word for plugin in _PLUGINS for word in ("-p", plugin)]
        arguments = ("-p", "no:cacheprovider", *plugins, *options)
        return _run_gate(room, project, ("--pe-perf-against", "HEAD"), arguments, _environ())


def try_suite(folder: Path, arguments: Sequence[str]) -> Ran:
    """Run the user's own tests with the gate, comparing HEAD with itself; ``arguments`` are pytest's.

    Raises:
        TrialError: the gate could not be run.

    """
    with _room() as room:
        sides = ("--pe-perf-against", "HEAD", "--pe-perf-head", "HEAD")
        return _run_gate(room, folder, sides, arguments, os.environ)


@contextlib.contextmanager
def _room() -> Iterator[Workspace]:
    if not _supported():
        raise TrialError("base and head are measured side by side on Linux and macOS only")
    with workspace() as room:
        yield room


def _supported() -> bool:
    return os.name == "posix"


def _run_gate(
    room: Workspace, folder: Path, sides: Sequence[str], arguments: Sequence[str], environ: Mapping[str, str]
) -> Ran:
    run_file, log = room.path / "run.json", room.path / "log.txt"
    files = ("--pe-perf-json", str(run_file), "--pe-perf-report", str(run_file.with_name("report.html")))
    command = [sys.executable, "-m", "pytest", "--pe-perf", *sides, *files, *arguments]
    status = run(command, folder, log, room, environ)
    if status not in _RAN or not run_file.exists():
        raise TrialError(f"the gate could not be run (pytest's exit status {status}): {last_words(log)}")
    return read(run_file)


@dataclass(frozen=True, slots=True)
class _Rows:
    rows: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class _RunFile:
    """A run file as far as it is needed here."""

    run: _Rows
    judgements: tuple[Judged, ...]
    notes: tuple[str, ...] = ()


def read(run_file: Path) -> Ran:
    """Return what the run file says.

    Raises:
        TrialError: it cannot be understood.

    """
    try:
        found = msgspec.json.decode(run_file.read_bytes(), type=_RunFile)
    except (OSError, msgspec.DecodeError) as error:
        raise TrialError(f"the run file of the gate cannot be read: {error}") from error
    return Ran(found.judgements, found.run.rows, found.notes)
