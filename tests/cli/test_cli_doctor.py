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

from pytest_pe_perf.cli import cli
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
from pytest_pe_perf.measure import machine as probes
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
PAIRS = PairSpread(30, 0.018, 0.024, 2.0, 0)


def run(*arguments: str, encoding: str = "utf-8", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the real command on this machine, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", "from pytest_pe_perf.cli import main; main()", "doctor", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "80", **environ},
        capture_output=True,
        encoding=encoding,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def told(monkeypatch: pytest.MonkeyPatch, machine: Machine, *arguments: str) -> Result:
    """Run the command with what was seen of another machine."""
    monkeypatch.setattr(probes, "examine", lambda: machine)
    monkeypatch.setenv("COLUMNS", "80")
    return CliRunner().invoke(cli, ["doctor", *arguments])


def shown(machine: Machine, spread: PairSpread | None = None, width: int = 80) -> list[str]:
    found = findings(machine, spread)
    return diagnosis.lines(machine, found, fitness(machine, found, spread), spread, width)


def test_on_this_machine() -> None:
    """The facts, the findings and the result are printed, in 80 columns and without colour."""
    done = run(PYTHONIOENCODING="utf-8")
    assert done.returncode in {0, 1}
    out = done.stdout.splitlines()
    heads = [line.split()[0] for line in out if line and not line.startswith(" ")]
    assert heads[:7] == ["machine", "timer", "cores", "speed", "neighbours", "tools", "kernel"]
    assert ("not fit to gate" in out) == (done.returncode == 1)
    assert out[-1].startswith("smallest change this machine can prove")
    assert max(map(len, out)) <= 80
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_json_on_this_machine(tmp_path: Path) -> None:
    """Everything that was seen is printed as JSON, and nothing else; the exit status says the same as the file."""
    done = run("--json", PYTHONIOENCODING="ascii", encoding="ascii")
    seen = json.loads(done.stdout)
    assert done.returncode == {"fit": 0, "not fit": 1, "unknown": 3}[seen["fitness"]]
    assert seen.keys() == {"fitness", "promise", "findings", "machine", "spread"}
    assert seen["machine"].keys() == {"host", "timer", "cores", "speeds", "neighbours", "tools"}
    assert seen["machine"]["timer"]["look"] > 0
    assert {finding["level"] for finding in seen["findings"]} <= {"good", "note", "bad"}


def test_help_has_an_example() -> None:
    """The help names the exit statuses and an example."""
    out = CliRunner().invoke(cli, ["doctor", "--help"]).output
    assert "Exit status: 0 fit to gate, 1 not fit, 3 could not tell." in out
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
    """Once pairs are measured, the last line says what this machine can prove, in text and as JSON."""
    monkeypatch.setattr(VERB, "_pairs", lambda *_: PAIRS)
    promise = "smallest change this machine can prove in 2 s a test: 2.4 % (30 pairs)"
    assert told(monkeypatch, BUSY).output.splitlines()[-1] == promise
    seen = json.loads(told(monkeypatch, BUSY, "--json").output)
    assert (seen["promise"], seen["spread"]["pairs"]) == (promise, 30)


def test_pairs_that_did_not_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spread that is no number is no promise, and no number in JSON either."""
    monkeypatch.setattr(VERB, "_pairs", lambda *_: replace(PAIRS, detectable=float("inf")))
    done = told(monkeypatch, BUSY, "--json")
    seen = json.loads(done.output)
    assert (done.exit_code, seen["fitness"], seen["spread"]["detectable"]) == (3, "unknown", None)
    assert seen["promise"].endswith("the pairs did not settle")


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
