"""``pe-perf selftest``: the real gate on a throw-away project, and what the command makes of what it says."""

from __future__ import annotations

import ast
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_pe_perf.cli import cli, trial
from pytest_pe_perf.judge.trial import NOTHING, PLANTS, Change, Judged, Ran
from pytest_pe_perf.model import Key, Verdict

VERB = importlib.import_module("pytest_pe_perf.cli.selftest")
POSIX = pytest.mark.skipif(os.name == "nt", reason="pairs are measured on Linux and macOS")
CHANGE = Change(1.1, 1.09, 1.11, 12, 0.05, 0.03, "paired")


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", "from pytest_pe_perf.cli import main; main()", "selftest", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environ},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.slow
@POSIX
def test_on_this_machine(tmp_path: Path) -> None:
    """The real gate catches what is counted, whatever the machine does; the table adds up; nothing stays behind."""
    options = {"PYTEST_ADDOPTS": "--nonsense", "GIT_DIR": str(tmp_path / "nowhere"), "TMPDIR": str(tmp_path)}
    done = run("--trials", "1", "--time", "60 ms", "--json", **options)
    assert done.returncode in {0, 1}, done.stderr
    assert done.stderr == ""
    seen = json.loads(done.stdout)
    assert seen["works"] == (done.returncode == 0)
    assert (seen["conclusion"] == "the gate works here") == seen["works"]
    tallies = {tally["plant"]["title"]: tally for tally in seen["tallies"]}
    assert list(tallies) == [plant.title for plant in (*PLANTS, NOTHING)]
    for title, tally in tallies.items():
        hits = "caught" if title != NOTHING.title else "false alarm"
        decisions = [one for one in seen["decisions"] if one["plant"]["title"] == title]
        calls = [one["call"] for one in decisions]
        assert tally["hits"] == calls.count(hits)
        assert tally["trials"] + tally["unknown"] == len(calls)
        assert tally["low"] <= tally["hits"] / tally["trials"] <= tally["high"]
    assert [tallies[plant.title]["trials"] for plant in PLANTS] == [2, 3, 2, 1, 1]
    assert tallies["a leak"]["hits"] == tallies["1 allocation more"]["hits"] == 1
    assert list(tmp_path.iterdir()) == []


@POSIX
def test_without_git(tmp_path: Path) -> None:
    """Where the project cannot be made, the message says why, and nobody can tell."""
    done = run("--time", "60 ms", PATH=str(tmp_path), TMPDIR=str(tmp_path))
    assert done.returncode == 3
    assert done.stderr == "pe-perf: git cannot be started: No such file or directory\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [(("--trials", "0"), "--trials"), (("--time", "4"), "is not a duration"), (("more",), "unexpected extra argument")],
)
def test_usage(arguments: tuple[str, ...], seen: str) -> None:
    """What cannot be meant is refused before anything runs."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert seen in done.stderr


def test_help_has_an_example() -> None:
    """The help names the exit statuses and an example."""
    out = CliRunner().invoke(cli, ["selftest", "--help"]).output
    assert "Exit status: 0" in out
    assert "Example: pe-perf selftest" in out
    assert "selftest" in CliRunner().invoke(cli, ["--help"]).output


def said(*, worse: Verdict = Verdict.REGRESSED, clean: Verdict = Verdict.UNCHANGED):
    """Return what runs the gate: it says the same of all that is planted, and of all that is not."""

    def try_gate(benchmarks, _random, _options=()) -> Ran:
        rows = [
            Judged(
                Key(benchmark.test, "", benchmark.plant.metric or "latency"),
                worse if benchmark.plant.metric else clean,
                "so",
                CHANGE,
            )
            for benchmark in benchmarks
        ]
        return Ran(tuple(rows), (), ("canaries: fine",))

    return try_gate


def test_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run shows its decisions at once, and the table at the end counts them all."""
    monkeypatch.setattr(trial, "try_gate", said())
    done = CliRunner().invoke(cli, ["selftest", "--trials", "3"])
    out = done.output.splitlines()
    assert done.exit_code == 0
    assert out[0] == "run 1 of 3: 14 benchmarks, 9 made worse, about 90 s"
    assert sum(line.startswith("  caught") for line in out) == 27
    assert sum(line == "  canaries: fine" for line in out) == 3
    assert "+10 % time          9 of 9        66.4 % to 100.0 %" in out
    assert "nothing             0 of 15       0.0 % to 21.8 %" in out
    assert out[-1].startswith("the gate works here (")
    assert max(map(len, out)) <= 80


@pytest.mark.parametrize(
    ("worse", "clean", "seen"),
    [
        (Verdict.UNCHANGED, Verdict.UNCHANGED, "+10 % time missed in 6 of 6"),
        (Verdict.INCONCLUSIVE, Verdict.UNCHANGED, "+10 % time missed in 6 of 6"),
        (Verdict.REGRESSED, Verdict.IMPROVED, "10 of 10 rows of the same code called changed"),
    ],
)
def test_a_gate_that_does_not_work(monkeypatch: pytest.MonkeyPatch, worse: Verdict, clean: Verdict, seen: str) -> None:
    """A gate that misses, does not decide, or cries wolf is found out."""
    monkeypatch.setattr(trial, "try_gate", said(worse=worse, clean=clean))
    done = CliRunner().invoke(cli, ["selftest"])
    assert done.exit_code == 1
    assert seen in done.output.splitlines()[-1]
    as_json = CliRunner().invoke(cli, ["selftest", "--json"])
    assert as_json.exit_code == 1
    assert not json.loads(as_json.output)["works"]


def functions(path: Path) -> dict[str, str]:
    tree = ast.parse(path.read_text())
    return {node.name: ast.unparse(node) for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_project(tmp_path: Path) -> None:
    """Base and head differ in what is planted and in dead code, which is of another size each time; the tests do not."""
    rng = random.Random(1)
    benchmarks = trial.planted_benchmarks(rng)
    assert len({benchmark.test for benchmark in benchmarks}) == len(benchmarks) == 14
    sizes = set()
    for number in range(3):
        project = tmp_path / str(number)
        trial.make_project(project, benchmarks, rng)
        head = functions(project / trial.MODULE)
        status = subprocess.check_output(["git", "status", "--porcelain"], cwd=project, text=True)
        assert status == f" M {trial.MODULE}\n"
        subprocess.run(["git", "checkout", "--quiet", "."], cwd=project, check=True)
        base = functions(project / trial.MODULE)
        dead = {name for name in head if name.startswith("unused_")}
        assert dead
        assert head.keys() - dead == base.keys()
        changed = {name for name in base if base[name] != head[name]}
        assert changed == {f"run_{one.name}" for one in benchmarks if one.plant.metric}
        sizes.add(len(dead))
        for benchmark in benchmarks:
            if benchmark.plant.metric == "latency":
                units = trial.UNITS[benchmark.kind]
                more = round(units * benchmark.plant.more)
                assert more == pytest.approx(units * benchmark.plant.more)
                assert f"{benchmark.kind}({units})" in base[f"run_{benchmark.name}"]
                assert f"{benchmark.kind}({units + more})" in head[f"run_{benchmark.name}"]
        shutil.rmtree(project / ".git")
    assert len(sizes) > 1


def test_a_run_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A run file that is none says nothing, and that is said."""
    (tmp_path / "run.json").write_text('{"judgements": 3}')
    with pytest.raises(trial.TrialError, match="cannot be read"):
        trial.read(tmp_path / "run.json")


def test_where_sides_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a system without what pairs need, the message says so."""
    monkeypatch.setattr(trial, "_supported", lambda: False)
    done = CliRunner().invoke(cli, ["selftest"])
    assert done.exit_code == 3
    assert "on Linux and macOS only" in done.stderr
