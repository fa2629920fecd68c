from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_pe_perf.cli import cli, trial
from pytest_pe_perf.judge.machine import (
    Cores,
    Host,
    Machine,
    Neighbours,
    PairSpread,
    Speed,
    Timer,
    Tools,
    findings,
    fitness,
)
from pytest_pe_perf.judge.trial import Change, Judged, Measured, Ran
from pytest_pe_perf.measure import machine as probes
from pytest_pe_perf.model import Key, Verdict
from pytest_pe_perf.report import diagnosis

# The package has the command under the module's own name.
VERB = importlib.import_module("pytest_pe_perf.cli.doctor")

BUSY = Machine(
    host=Host("cpython-3.11-linux-x86_64-amd-25-1-2cpu", "linux", True, "docker", True, 63.5, 2),
    timer=Timer("clock_gettime(CLOCK_MONOTONIC)", True, 1e-9, 3e-8, 2e-6, 0, "hpet", ("tsc", "hpet")),
    cores=Cores(16, (0, 1, 2, 8), 1.5, True, ((0, 8),), ("powersave",), True),
    speeds=tuple(Speed(core, 500, 2e-5, 2e-5 + core * 1e-6, 0.34, 1.8) for core in range(12)),
    neighbours=Neighbours(3.0, 0.07, 3.1, (3.1, 2.0, 1.0), 0.6, 40.0, 0),
    tools=Tools("", "2.39.5", "", "6.1", False, 4, 2, False),
)
UNFIT = replace(BUSY, neighbours=replace(BUSY.neighbours, throttled=9))
BLIND = Machine(
    Host("cpython-3.11-plan9-mips-1cpu", "plan9"),
    Timer("mach", True, 1e-7, 1e-7, 1e-7, 0),
    Cores(1),
    (),
    Neighbours(3.0),
    Tools("", "", "", ""),
)
PAIRS = PairSpread(30, 0.018, 0.024, 2.0, 0, 4)


def run(
    *arguments: str,
    encoding: str = "utf-8",
    cwd: Path | None = None,
    seconds: float = VERB.PAIR_SECONDS,
    **environ: str,
) -> subprocess.CompletedProcess[str]:
    """Run the real command on this machine, in a process of its own, for so many seconds a benchmark."""
    # What else is installed beside pytest costs each of the processes that measure as much again.
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_pe_perf.plugin", "COLUMNS": "80"}
    code = (
        "import sys; from pytest_pe_perf.cli import main; "
        f"sys.modules['pytest_pe_perf.cli.doctor'].PAIR_SECONDS = {seconds}; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **alone, **environ},
        capture_output=True,
        encoding=encoding,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def told(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, *arguments: str, spread: PairSpread | None = None
) -> Result:
    """Run the command with what was seen of another machine, and of pairs on it."""
    monkeypatch.setattr(probes, "examine", lambda: machine)
    monkeypatch.setattr(VERB, "_pairs", lambda: spread)
    monkeypatch.setenv("COLUMNS", "80")
    return CliRunner().invoke(cli, ["doctor", *arguments])


def shown(machine: Machine, spread: PairSpread | None = None, width: int = 80) -> list[str]:
    found = findings(machine, spread)
    return diagnosis.lines(machine, found, fitness(machine, found, spread), spread, width)


def test_on_this_machine(tmp_path: Path) -> None:
    """The facts, the findings and the result are printed, in 80 columns and without colour.

    Without git no pairs can be measured: that is said, and nobody can tell whether the machine is fit.
    """
    done = run(PYTHONIOENCODING="utf-8", PATH=str(tmp_path))
    assert done.returncode == 3
    out = done.stdout.splitlines()
    heads = [line.split()[0] for line in out if line and not line.startswith(" ")]
    assert heads[:7] == ["machine", "timer", "cores", "speed", "neighbours", "tools", "kernel"]
    assert out[-2:] == [
        "could not tell whether this machine is fit to gate",
        "smallest change this machine can prove: unknown, no pairs were measured",
    ]
    assert max(map(len, out)) <= 80
    assert "\x1b" not in done.stdout
    assert done.stderr == "pe-perf: git cannot be started: No such file or directory\n"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="pairs are measured on Linux and macOS")
def test_json_on_this_machine() -> None:
    """Everything that was seen is printed as JSON, and nothing else; the exit status says the same as the file."""
    assert VERB.PAIR_SECONDS == 2.0
    done = run("--json", PYTHONIOENCODING="ascii", encoding="ascii", seconds=0.2)
    seen = json.loads(done.stdout)
    assert done.returncode == {"fit": 0, "not fit": 1, "unknown": 3}[seen["fitness"]], done.stderr
    assert seen.keys() == {"fitness", "promise", "findings", "machine", "spread"}
    assert seen["machine"].keys() == {"host", "timer", "cores", "speeds", "neighbours", "tools"}
    assert seen["machine"]["timer"]["look"] > 0
    assert {finding["level"] for finding in seen["findings"]} <= {"good", "note", "bad"}
    spread = seen["spread"]
    assert (spread["benchmarks"], spread["seconds"]) == (4, 0.2)
    decided = spread["benchmarks"] - spread["undecided"]
    assert spread["pairs"] >= 2 * decided
    assert (spread["detectable"] is None) == (decided == 0)
    assert 0 <= spread["false_alarms"] <= decided


def test_help_has_an_example() -> None:
    """The help names the exit statuses and an example."""
    out = CliRunner().invoke(cli, ["doctor", "--help"]).output
    assert "Exit status: 0 fit to gate, 1 not fit, 3 could not tell." in out
    assert "--suite" in out
    assert "Example: pe-perf doctor" in out
    assert "doctor" in CliRunner().invoke(cli, ["--help"]).output


@pytest.mark.parametrize("arguments", [(), ("--json",)])
@pytest.mark.parametrize(("machine", "status"), [(BUSY, 0), (UNFIT, 1), (BLIND, 3)])
def test_exit_status(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, status: int, arguments: tuple[str, ...]
) -> None:
    """A machine with notes is fit, one with a bad finding is not, and of one that shows nothing nobody can tell."""
    assert told(monkeypatch, machine, *arguments).exit_code == status


def test_findings_say_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen stands beside its level, why it matters and what to do beneath it, the worst first."""
    out = told(monkeypatch, UNFIT).output
    first = out.index("bad   a cgroup quota stopped this process's group 9 times in 3 s")
    assert first < out.index("note  steal 7.0 %: a neighbour on the host")
    assert "do: pip install memray" in out
    assert "do: echo performance | sudo tee" in out
    assert out.splitlines()[-2] == "not fit to gate"


def test_pairs_end_in_the_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line says what this machine can prove, in text and as JSON."""
    promise = "smallest change this machine can prove in 2 s a test: 2.4 % (30 pairs)"
    assert told(monkeypatch, BUSY, spread=PAIRS).output.splitlines()[-1] == promise
    seen = json.loads(told(monkeypatch, BUSY, "--json", spread=PAIRS).output)
    assert (seen["promise"], seen["spread"]["pairs"]) == (promise, 30)


def test_pairs_that_did_not_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spread that is no number is no promise, and no number in JSON either."""
    done = told(monkeypatch, BUSY, "--json", spread=replace(PAIRS, detectable=float("inf")))
    seen = json.loads(done.output)
    assert (done.exit_code, seen["fitness"], seen["spread"]["detectable"]) == (3, "unknown", None)
    assert seen["promise"].endswith("the pairs did not settle")


@pytest.mark.skipif(os.name == "nt", reason="pairs are measured on Linux and macOS")
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_gate_that_does_not_run(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """Where pytest fails in the throw-away project, its last words are repeated and nobody can tell."""
    monkeypatch.setattr(probes, "examine", lambda: UNFIT)
    monkeypatch.setattr(trial, "_PLUGINS", ("pytest_pe_perf.nowhere",))
    done = CliRunner().invoke(cli, ["doctor", *arguments])
    assert done.exit_code == 3
    assert "pe-perf: the gate could not be run (pytest's exit status 4): " in done.stderr
    assert "No module named 'pytest_pe_perf.nowhere'" in done.stderr
    if arguments:
        seen = json.loads(done.stdout)
        assert (seen["fitness"], seen["spread"]) == ("unknown", None)


@pytest.mark.skipif(os.name == "nt", reason="pairs are measured on Linux and macOS")
def test_a_gate_that_leaves_something_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the run says nothing of a benchmark, it proves nothing."""
    monkeypatch.setattr(probes, "examine", lambda: BUSY)
    monkeypatch.setattr(trial, "try_gate", lambda *_: Ran(()))
    done = CliRunner().invoke(cli, ["doctor"])
    assert done.exit_code == 3
    assert done.stderr == "pe-perf: the gate measured 0 of 4 benchmarks\n"


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("machine", [BUSY, BLIND])
def test_every_width(machine: Machine, width: int) -> None:
    """No line is longer than the terminal is wide, and nothing is lost but blanks."""
    lines = shown(machine, PAIRS, width)
    assert max(map(len, lines)) <= width
    wide, narrow = ("".join("".join(text).split()) for text in (shown(machine, PAIRS, 200), lines))
    assert ("fittogate" in narrow) == ("fittogate" in wide)


def test_unknown_facts_are_shown_as_unknown() -> None:
    """A fact that nobody could see is called unknown, never none or zero."""
    text = "\n".join(shown(BLIND))
    assert "None" not in text
    for words in ("source unknown", "steal unknown", "governor unknown", "pinning unknown", "speed       unknown"):
        assert words in text


def test_many_cores_are_cut_short() -> None:
    """Of many cores the slowest are shown, and how many are left out."""
    text = shown(BUSY)
    assert any("... and 4 faster cores" in line for line in text)
    assert any(line.split()[:3] == ["11", "20.0", "µs"] for line in text)
    assert any("cores 0-2,8 usable of 16 online" in line for line in text)


# --- a suite ------------------------------------------------------------------------------------------------------

SUITE = """
import pytest

@pytest.mark.parametrize("size", [60, 90])
def test_sort(pe_latency, pe_memory, size):
    assert pe_latency(sorted, list(range(size))[::-1])[0] == 0
    pe_memory(sorted, list(range(size))[::-1])
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project in git with a module of tests."""
    project = tmp_path / "project"
    (project / "tests").mkdir(parents=True)
    (project / "tests" / "test_x.py").write_text(SUITE)
    (project / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    for arguments in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "one"),
    ):
        subprocess.run(["git", *arguments], cwd=project, check=True)
    return project


@pytest.mark.skipif(os.name == "nt", reason="pairs are measured on Linux and macOS")
def test_suite(project: Path) -> None:
    """HEAD is compared with itself: a line for each test with what it could show, and how many rows cried wolf."""
    done = run("--suite", "tests", "-k", "60", "--pe-perf-time", "40 ms", cwd=project)
    out = done.stdout.splitlines()
    assert done.returncode in {0, 1}, done.stderr
    assert out[0].split() == ["test", "detects", "spread", "margin", "time", "promise"]
    assert out[1].startswith("tests/test_x.py::test_sort[60]")
    assert out[2] == ""
    text = " ".join(out)
    assert ("false alarms: 0 of" in text) == (done.returncode == 0)
    assert max(map(len, out)) <= 80
    # Neither run file nor report of the user's are touched.
    assert not (project / ".pe-perf" / "run.json").exists()
    assert not (project / ".pe-perf" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "seen"),
    [
        (("tests",), 2, "tests is for pytest: give it together with --suite"),
        (("-x",), 2, "-x is for pytest"),
        (("--suite", "--pe-perf-time", "4"), 2, "is not a duration"),
        (("--suite", "--pe-perf-time=4"), 2, "is not a duration"),
        (("--suite", "nowhere"), 3, "the gate could not be run (pytest's exit status 4): "),
        (("--suite", "--nonsense"), 3, "unrecognized arguments: --nonsense"),
    ],
)
def test_suite_that_cannot_be(project: Path, arguments: tuple[str, ...], status: int, seen: str) -> None:
    """What cannot be meant is refused, and where pytest does not run it is repeated what it said."""
    done = run(*arguments, cwd=project)
    assert (done.returncode, done.stdout) == (status, "")
    assert seen in done.stderr


def test_suite_without_git(tmp_path: Path) -> None:
    """Where there is no HEAD, nothing can be told."""
    (tmp_path / "test_x.py").write_text(SUITE)
    done = run("--suite", "--json", cwd=tmp_path, GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert (done.returncode, done.stdout) == (3, "")
    assert "not in the work tree of a git repository" in done.stderr


def test_suite_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON tells the same and nothing else is printed; a false alarm is an exit status of 1."""
    key = Key("test_x.py::test_a", "", "latency")
    change = Change(1.06, 1.04, 1.08, 6, 0.05, None, "paired")
    ran = Ran((Judged(key, Verdict.REGRESSED, "so", change),), (Measured(key, 0.01),), ("a note",))
    monkeypatch.setattr(trial, "try_suite", lambda *_: ran)
    done = CliRunner().invoke(cli, ["doctor", "--suite", "--json"])
    seen = json.loads(done.output)
    assert done.exit_code == 1
    assert (seen["rows"], len(seen["false_alarms"]), seen["notes"]) == (1, 1, ["a note"])
    assert seen["benchmarks"][0]["detectable"] is None
    assert seen["benchmarks"][0]["time"] is None


def test_suite_with_no_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was compared, nobody can tell."""
    monkeypatch.setattr(trial, "try_suite", lambda *_: Ran(()))
    assert CliRunner().invoke(cli, ["doctor", "--suite"]).exit_code == 3
