from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_pe_perf import __version__
from pytest_pe_perf.baseline.store import load
from pytest_pe_perf.baseline.store import save as accept
from pytest_pe_perf.baseline.update import row_from
from pytest_pe_perf.history.store import open_history
from pytest_pe_perf.history.store import remember as append
from pytest_pe_perf.judge.gate import gate
from pytest_pe_perf.model import RUN_FORMAT, Environment, Key, Row, Run, Sample
from pytest_pe_perf.runfile import read_run, write_run

from .conftest import Call

HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
A, B, C = (f"tests/perf/test_{name}" for name in ("x.py::test_a[1]", "y.py::test_b", "x.py::test_c[1]"))
RUN, HISTORY = ".pe-perf/run.json", ".pe-perf/history.sqlite"

Done = subprocess.CompletedProcess[str]
Command = Callable[..., Done]


def latency(test: str, *values: float) -> Row:
    return Row(Key(test, "", "latency"), tuple(Sample(value, 9, 1, (), 0.1) for value in values), "abc", 0.10, 0.05)


def remember(project: Path, *rows: Row, complete: tuple[str, ...] = (), file: str = RUN) -> None:
    run = Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", HERE, {}, rows, (), complete)
    write_run(project / file, run, gate(run, {}))


def rows(project: Path, folder: str = "baselines") -> dict[str, tuple[float, str]]:
    return {key.test: (row.value, row.reason) for key, row in load(project / folder, HERE).items()}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    remember(tmp_path, latency(A, 1.0, 1.0, 1.0), latency(B, 1.0, 1.0, 1.0))
    return tmp_path


@pytest.fixture
def pe_perf(tmp_path: Path, call: Call) -> Command:
    """Return a function that runs the command line and checks its exit status.

    With an environment of its own it is a process of its own.
    """

    def command(*arguments: str, status: int = 0, cwd: Path = tmp_path, **environ: str) -> Done:
        if environ:
            code = "from pytest_pe_perf.cli import main; main()"
            done = subprocess.run(
                [sys.executable, "-c", code, *arguments],
                cwd=cwd,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environ},
                capture_output=True,
                encoding=environ.get("PYTHONIOENCODING", "utf-8"),
                check=False,
            )
        else:
            said = call(cwd, *arguments)
            done = Done(arguments, said.status, said.out, said.err)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return command


def test_accept_what_is_new(project: Path, pe_perf: Command) -> None:
    """New rows are shown, written, and the next command is named."""
    out = pe_perf("update").stdout
    assert out.split()[:6] == ["tests/perf/test_x.py", "create", "test_a[1]", "latency", "1.00", "s"]
    assert "2 create" in out
    assert f"wrote baselines/{HERE.slug}/tests__perf__test_x.json" in out
    assert out.endswith("next: git add baselines\n")
    assert rows(project) == {A: (1.0, ""), B: (1.0, "")}


def test_twice(project: Path, pe_perf: Command) -> None:
    """A second update has nothing to do, says so, and leaves every byte."""
    pe_perf("update")
    before = {path: path.read_bytes() for path in project.glob("baselines/*/*")}
    assert pe_perf("update").stdout == "2 unchanged\nNothing to do.\n"
    assert {path: path.read_bytes() for path in project.glob("baselines/*/*")} == before


def test_dry_run(project: Path, pe_perf: Command) -> None:
    """A dry run shows the plan and writes nothing, and needs no reason."""
    pe_perf("update")
    remember(project, latency(A, *[2.0] * 5))
    out = pe_perf("update", "--dry-run").stdout
    assert "1.00 s -> 2.00 s" in out
    assert "Nothing was written" in out
    assert rows(project)[A] == (1.0, "")


def test_a_pattern(project: Path, pe_perf: Command) -> None:
    """Only the tests that the pattern names are accepted."""
    pe_perf("update", "tests/perf/test_y.py")
    assert rows(project).keys() == {B}


def test_a_pattern_that_names_nothing(project: Path, pe_perf: Command) -> None:
    """A pattern that names no test is an error."""
    done = pe_perf("update", "tests/nowhere", status=2)
    assert "'tests/nowhere' names no test of this run" in done.stderr
    assert rows(project) == {}


def test_a_reason_is_needed(project: Path, pe_perf: Command) -> None:
    """A row gets worse with a reason only, which is stored with it."""
    pe_perf("update")
    remember(project, latency(A, *[2.0] * 5), latency(B, 1.0, 1.0, 1.0))
    done = pe_perf("update", status=2)
    assert '--reason "why it may be slower"' in done.stderr
    assert "[pe-perf: reason-needed]" in done.stderr
    assert "1.00 s -> 2.00 s" in done.stdout
    assert rows(project)[A] == (1.0, "")
    pe_perf("update", "--reason", "it checks more")
    assert rows(project) == {A: (2.0, "it checks more"), B: (1.0, "")}


def test_a_test_that_is_gone(project: Path, pe_perf: Command) -> None:
    """The baseline of a module whose last test is gone is deleted; modules that did not run stay."""
    pe_perf("update")
    remember(project, complete=("tests/perf/test_x.py",))
    out = pe_perf("update").stdout
    assert "trim" in out
    assert f"deleted baselines/{HERE.slug}/tests__perf__test_x.json" in out
    assert rows(project).keys() == {B}


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--dry-run",)])
def test_nothing_can_be_accepted(project: Path, pe_perf: Command, arguments: tuple[str, ...]) -> None:
    """A run in which nothing can be told has an exit status of its own and says why."""
    remember(project, latency(A, 1.0))
    out = pe_perf("update", *arguments, status=3).stdout
    assert "measured in 1 process; 3 are needed" in out
    assert rows(project) == {}


def test_some_rows_are_left(project: Path, pe_perf: Command) -> None:
    """A run of which some rows are unchanged and some cannot be told writes nothing, and that is no failure."""
    pe_perf("update", A)
    remember(project, latency(A, 1.0, 1.0, 1.0), latency(B, 1.0))
    assert pe_perf("update").stdout.endswith("1 unchanged, 1 left alone\nNothing was written.\n")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1.08] * 5, "+8.0 % is more than +5.0 % and less than a stored baseline can prove"),
        ([2.0] * 3, "2x in 3 processes; 5 are needed"),
        ([0.5] * 2, "-50.0 % in 2 processes; 3 are needed"),
    ],
)
def test_what_is_open_or_only_suspected_is_left(project: Path, pe_perf: Command, values: list[float], why: str) -> None:
    """No reason makes a row that did not settle the baseline."""
    pe_perf("update")
    remember(project, latency(A, *values))
    done = pe_perf("update", "--reason", "I know", COLUMNS="120", status=3)
    assert f"left alone: {why}" in done.stdout
    assert rows(project)[A] == (1.0, "")


def test_what_improved_becomes_the_baseline_and_what_got_worse_does_not(project: Path, pe_perf: Command) -> None:
    """A confirmed improvement needs no reason and drops the old one; beside it a regression stops the update."""
    remember(project, latency(A, 1.0, 1.0, 1.0), latency(B, 1.0, 1.0, 1.0))
    pe_perf("update")
    remember(project, latency(A, *[2.0] * 5), latency(B, 1.0, 1.0, 1.0))
    pe_perf("update", "--reason", "it checks more")
    remember(project, latency(A, 1.0, 1.0, 1.0), latency(B, *[2.0] * 5))
    assert "2.00 s -> 1.00 s" in pe_perf("update", "--dry-run").stdout
    assert "[pe-perf: reason-needed]" in pe_perf("update", status=2).stderr
    assert rows(project) == {A: (2.0, "it checks more"), B: (1.0, "")}
    pe_perf("update", A)
    assert rows(project) == {A: (1.0, ""), B: (1.0, "")}


ENTRY = """
[[tool.pe_perf.accept]]
test = "tests/perf/test_x.py"
metric = "latency"
ceiling = 2.5
reason = "until the table is built once"
expires = {}
"""


def test_what_an_entry_accepts_for_a_while_waits_for_a_reason(project: Path, pe_perf: Command) -> None:
    """It keeps nothing else from being written, and becomes the baseline with a reason only."""
    pe_perf("update")
    (project / "pyproject.toml").write_text(ENTRY.format("2999-12-31"))
    remember(project, latency(A, *[2.0] * 5), latency(B, 0.5, 0.5, 0.5))
    out = pe_perf("update", COLUMNS="200").stdout
    assert "left alone: 2x, beyond +10.0 % in 5 processes; accepted up to 2.5x until 2999-12-31" in out
    assert "with a reason it becomes the baseline" in out
    assert rows(project) == {A: (1.0, ""), B: (0.5, "")}
    pe_perf("update", "--reason", "it checks more")
    assert rows(project)[A] == (2.0, "it checks more")


def test_an_entry_that_has_expired_holds_nothing_back(project: Path, pe_perf: Command) -> None:
    """Its row asks for a reason like every other one."""
    pe_perf("update")
    (project / "pyproject.toml").write_text(ENTRY.format("2020-01-31"))
    remember(project, latency(A, *[2.0] * 5))
    assert "[pe-perf: reason-needed]" in pe_perf("update", status=2).stderr


@pytest.fixture
def renamed(project: Path) -> Path:
    """Return a project whose baseline and history have a test by the name that it had before the last run."""
    before, after = (replace(latency(test, 1.0, 1.0, 1.0), body="body") for test in (A, C))
    run = Run(RUN_FORMAT, "2025-12-31T00:00:00+00:00", HERE, {}, (before,))
    append(project, HISTORY, run, gate(run, {}))
    accept(project / "baselines", HERE, {"tests/perf/test_x.py": [row_from(before)]})
    remember(project, after, complete=("tests/perf/test_x.py",))
    return project


def test_a_renamed_test_goes_on_in_the_history(renamed: Path, pe_perf: Command) -> None:
    """The row moves, and so does the history; a dry run moves neither."""
    assert "history" not in pe_perf("update", "--dry-run").stderr
    done = pe_perf("update", "--json")
    assert done.stderr == f"the history of {A.removesuffix('[1]')} goes on as {C.removesuffix('[1]')}\n"
    assert [change["kind"] for change in json.loads(done.stdout)["changes"]] == ["rename"]
    assert rows(renamed).keys() == {C}
    with open_history(HISTORY, renamed) as history:
        assert history.series() == ((HERE.slug, Key(C, "", "latency")),)


def test_a_history_that_cannot_be_reached_stops_no_update(renamed: Path, pe_perf: Command) -> None:
    """The update stands, and the history is as it was; what is to be run later is said, and does what was not done."""
    good = (renamed / HISTORY).read_bytes()
    (renamed / HISTORY).write_bytes(b"half a file")
    said = pe_perf("update").stderr.splitlines()
    assert rows(renamed).keys() == {C}
    assert said[0].startswith("the history still has the old names: ")
    assert said[0].endswith("; tell it later with:")
    assert (renamed / HISTORY).read_bytes() == b"half a file"
    (renamed / HISTORY).write_bytes(good)
    run = read_run(renamed / RUN)
    append(renamed, HISTORY, run, gate(run, {}))
    name, *arguments = shlex.split(said[1])
    assert name == "pe-perf"
    assert pe_perf(*arguments).stdout == f"{A} goes on as {C}\n"


def test_json(project: Path, pe_perf: Command) -> None:
    """The plan as JSON says what would change, what is left, and what was written; nothing else is printed."""
    remember(project, latency(A, 1.0, 1.0, 1.0), latency(B, 1.0))
    planned = json.loads(pe_perf("update", "--json", "--dry-run").stdout)
    done = json.loads(pe_perf("update", "--json").stdout)
    ((change,), (left,)) = done["changes"], done["left"]
    assert (change["kind"], change["key"]["test"], change["old"], change["new"]["value"]) == ("create", A, None, 1.0)
    assert left == {"key": {"test": B, "name": "", "metric": "latency"}, "why": "measured in 1 process; 3 are needed"}
    assert planned == {**done, "written": []}
    assert [Path(path).is_file() for path in done["written"]] == [True]


def test_from_a_folder_below(project: Path, pe_perf: Command) -> None:
    """The project is found from any folder in it."""
    below = project / "tests" / "perf"
    below.mkdir(parents=True)
    assert "next: git add ../../baselines" in pe_perf("update", cwd=below).stdout
    assert rows(project).keys() == {A, B}


def test_no_run(tmp_path: Path, pe_perf: Command) -> None:
    """Without a run the message says how to make one."""
    assert "make one with: pytest --pe-perf" in pe_perf("update", status=2).stderr


def test_another_run_file(tmp_path: Path, pe_perf: Command) -> None:
    """A run from elsewhere is accepted into the project that one stands in, as its settings say."""
    (tmp_path / "pyproject.toml").write_text('[tool.pe_perf]\nbaselines = "accepted"\n')
    (tmp_path / "tests").mkdir()
    remember(tmp_path, latency(A, 1.0, 1.0, 1.0), file="downloads/other.json")
    pe_perf("update", "--run", "../downloads/other.json", cwd=tmp_path / "tests")
    assert rows(tmp_path, "accepted").keys() == {A}
    assert "cannot read" in pe_perf("update", "--run", "nowhere.json", status=2).stderr


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ('"latency"', '"speed"', "unknown metric 'speed'"),
        ('"value": 1.0', '"value": 0.0', "no value that anybody can have measured"),
        ('"value": 1.0', '"value": -1', "no value that anybody can have measured"),
        ('"reference": 0.1', '"reference": 0', "no value that anybody can have measured"),
        ('"format": 1', '"format": 9', "newer than the 1 that this version understands"),
        ('"linux"', '"../../linux"', "no name of a folder"),
        ("{", "", "is not a run file"),
    ],
)
def test_a_run_edited_by_hand(project: Path, pe_perf: Command, old: str, new: str, seen: str) -> None:
    """A run that nobody can have measured is an error in words."""
    text = (project / RUN).read_text()
    assert old in text
    (project / RUN).write_text(text.replace(old, new))
    assert seen in pe_perf("update", status=2).stderr
    assert not (project / "baselines").exists()


def test_a_bad_baseline(project: Path, pe_perf: Command) -> None:
    """A baseline that cannot be trusted is an error in words, and is not overwritten."""
    pe_perf("update")
    path = next(project.glob("baselines/*/*x.json"))
    path.write_text("<<<<<<< HEAD\n")
    assert "merge conflict" in pe_perf("update", status=2).stderr
    assert path.read_text() == "<<<<<<< HEAD\n"


def test_a_folder_that_cannot_be_written(project: Path, pe_perf: Command) -> None:
    """Baselines that cannot be written are an error in words."""
    (project / "baselines").touch()
    assert "cannot write" in pe_perf("update", status=2).stderr


def test_bad_settings(project: Path, pe_perf: Command) -> None:
    """A setting that cannot be read is an error in words."""
    (project / "pyproject.toml").write_text("[tool.pe_perf]\nbaselines = 5\n")
    assert "is not a path" in pe_perf("update", status=2).stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_fits_80_columns_in_any_encoding(project: Path, pe_perf: Command, encoding: str) -> None:
    """The table fits 80 columns, and a terminal that cannot show a name shows its code."""
    remember(project, latency(f"tests/perf/test_x.py::test_{'long_' * 40}[日本\x1b[31m]", 1e-5, 1e-5, 1e-5))
    out = pe_perf("update", "--dry-run", PYTHONIOENCODING=encoding, COLUMNS="80").stdout
    assert "\x1b" not in out
    assert encoding != "utf-8" or max(map(len, out.splitlines())) <= 80
    assert "1 create" in out


@pytest.mark.parametrize("arguments", [("nonsense",), ("update", "--nonsense"), ("update", "--run")])
def test_usage(pe_perf: Command, arguments: tuple[str, ...]) -> None:
    """A command that does not exist is a usage error."""
    assert "Error" in pe_perf(*arguments, status=2).stderr


def test_version(pe_perf: Command) -> None:
    """The version is that of the package."""
    assert pe_perf("--version").stdout == f"pe-perf, version {__version__}\n"


def test_every_verb_has_an_example() -> None:
    """Each verb's help ends with an example."""
    from pytest_pe_perf.cli import cli

    for name, verb in cli.commands.items():
        assert (verb.epilog or "").startswith(f"Example: pe-perf {name}")


def test_help_is_quick(tmp_path: Path) -> None:
    """Help is shown without importing what only the verbs need."""
    code = (
        "import sys\nfrom pytest_pe_perf.cli import main\n"
        "try: main()\nfinally: print(sorted({'rich', 'msgspec', 'psutil', 'pytest', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert "update" in done.stdout
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(pe_perf: Command, shell: str) -> None:
    """Each shell gets its completion from click."""
    assert "_PE_PERF_COMPLETE" in pe_perf(_PE_PERF_COMPLETE=f"{shell}_source").stdout
