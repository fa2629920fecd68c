"""`pe-perf compare`: runs, commits and environments held against each other by the rules of the gate."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_pe_perf.baseline.store import save
from pytest_pe_perf.model import RUN_FORMAT, BaselineRow, Environment, Key, Row, Run, Sample
from pytest_pe_perf.rejudge import gate_of
from pytest_pe_perf.runfile import encode

from .conftest import Call, Said, git

HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
THERE = replace(HERE, cpu="x86_64-intel-6-85", cores=4)
A, B, C = (f"tests/test_x.py::test_{name}" for name in "abc")


def latency(test: str, *values: float) -> Row:
    samples = tuple(Sample(value, 99, 1, (), 0.1) for value in values)
    return Row(Key(test, "", "latency"), samples, "s", 0.10, 0.05)


def count(test: str, *values: float) -> Row:
    samples = tuple(Sample(value, 1, 1, made_with="memray 1.20.0, cpython 3.11.7") for value in values)
    return Row(Key(test, "", "allocations"), samples, "s", 0.10, 0.05)


def accepted(test: str, value: float) -> BaselineRow:
    return BaselineRow(Key(test, "", "latency"), value, "s", 0.1, 0.01)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose tag v1 has a baseline of 1 s; the working tree has 2 s, uncommitted, and one of another machine."""
    folder = tmp_path_factory.mktemp("project")
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "pyproject.toml").write_text("")
    for environment in (HERE, THERE):
        save(folder / "baselines", environment, {"tests/test_x.py": [accepted(A, 1.0), accepted(B, 1.0)]})
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "v1")
    git(folder, "tag", "v1")
    save(folder / "baselines", HERE, {"tests/test_x.py": [accepted(A, 2.0), accepted(B, 1.0)]})
    return folder


Compare = Callable[..., Said]


@pytest.fixture
def compare(project: Path, tmp_path: Path, call: Call) -> Compare:
    """Return a function that compares words, or runs that it writes into files first, in the project."""

    def command(a: Run | str, b: Run | str, *arguments: str) -> Said:
        words = []
        for name, side in (("a.json", a), ("b.json", b)):
            if isinstance(side, Run):
                (tmp_path / name).write_bytes(encode(side, gate_of(replace(side, context={}), {})))
            words.append(str(tmp_path / name) if isinstance(side, Run) else side)
        said = call(project, "compare", *words, *arguments)
        assert said.narrow or {"--json", "--format"} & set(arguments)
        return said

    return command


def run_of(*rows: Row, environment: Environment = HERE, **context: str) -> Run:
    return Run(RUN_FORMAT, "2026-01-01T10:20:00+00:00", environment, context, rows)


def test_two_runs(compare: Compare) -> None:
    """Every row of both is in the table: what got worse, what is as it was, and what only one of them has."""
    a = run_of(latency(A, 1.0, 1.0, 1.0), latency(B, 1.0, 1.0, 1.0), count(B, 5, 5, 5))
    b = run_of(latency(A, *[1.5] * 5), latency(C, 1.0), count(B, 6, 6, 6))
    done = compare(a, b)
    assert done.status == 1, done.out
    assert "REGRESSED" in done.out
    assert "+50.0 %" in done.out
    assert "run of 2026-01-01 10:20" in " ".join(done.out.split())
    assert compare(a, b, "--json").rows() == {
        (A, "latency"): "regressed",
        (B, "allocations"): "regressed",
        (B, "latency"): "missing",
        (C, "latency"): "new",
    }
    assert "a.json has it" in done.words
    assert "b.json has it" in done.words
    assert "pe-perf update" not in done.out


@pytest.mark.parametrize("name", ["markdown", "annotations", "junit", "sarif", "gitlab", "html"])
def test_every_format_of_a_report(compare: Compare, tmp_path: Path, name: str) -> None:
    """Into a file, beside the answer on the terminal; what is compared stands among the notes."""
    run = run_of(latency(A, *[2.0] * 5), latency(B, 1.0))
    done = compare("v1", run, "--format", name, "--output", str(tmp_path / "out"))
    assert (done.status, "REGRESSED" in done.out, done.err) == (1, True, f"wrote {tmp_path / 'out'}\n")
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert "test_a" in text
    if name == "markdown":
        assert f"- A v1: baseline of {HERE.slug} in " in text.replace("`", "")
    assert compare("v1", HERE.slug, "--format", name, "--output", str(tmp_path / "out")).status == 0


def test_a_run_beside_itself_is_unchanged(compare: Compare) -> None:
    """Exit status 0, each row with its interval."""
    run = run_of(latency(A, 1.0, 1.01, 1.02), count(B, 5))
    done = compare(run, run, "--strict")
    assert done.status == 0, done.out
    assert "2 unchanged" in done.out
    assert "exact" in done.out


def test_few_processes_of_the_first_run_prove_nothing(compare: Compare) -> None:
    """One process in a bad moment is no evidence of a change, on whichever side it was."""
    once, often = run_of(latency(A, 1.0)), run_of(latency(A, *[2.0] * 5))
    assert (compare(once, often).status, compare(often, once).status) == (0, 0)
    done = compare(once, often, "--json")
    assert done.rows() == {(A, "latency"): "inconclusive"}
    assert "from 1 process; 3 are needed" in json.loads(done.out)["judgements"][0]["reason"]
    assert compare(once, often, "--strict").status == 3


def test_a_row_that_the_first_run_could_not_measure(compare: Compare) -> None:
    """It is not called new: the first has it, without a number."""
    row = count(A, 5)
    a = run_of(replace(row, samples=(replace(row.samples[0], problem="memray is in use"),)))
    content = json.loads(compare(a, run_of(row), "--json").out)
    ((verdict, reason),) = [(j["verdict"], j["reason"]) for j in content["judgements"]]
    assert (verdict, content["status"]) == ("inconclusive", 3)
    assert reason.endswith("could not measure it: memray is in use")


def test_a_commit_means_its_baseline_in_the_environment_of_the_other(compare: Compare) -> None:
    """The baseline of the tag is compared, not the one of the working tree."""
    same, slower = run_of(latency(A, *[1.0] * 5)), run_of(latency(A, *[2.0] * 5))
    assert compare("v1", same).status == 0
    done = compare("v1", slower)
    assert done.status == 1
    assert f"A v1: baseline of {HERE.slug} in " in done.words


def test_environments_of_the_working_tree(project: Path, compare: Compare) -> None:
    """A name or a folder means the baseline that stands there; one that is twice as slow is not proved by three processes."""
    for word in (HERE.slug, f"baselines/{HERE.slug}", str(project / "baselines" / HERE.slug)):
        done = compare("v1", word, "--json")
        assert done.status == 0, done.out
        assert done.rows() == {(A, "latency"): "inconclusive", (B, "latency"): "unchanged"}
        assert "5 are needed" in json.loads(done.out)["judgements"][0]["reason"]


def test_environments_that_differ_are_not_comparable(compare: Compare) -> None:
    """What differs is named, no row is called anything else, and nothing has passed."""
    done = compare(HERE.slug, THERE.slug)
    assert done.status == 3
    assert "cpu: x86_64-amd-25-1 and x86_64-intel-6-85; cores: 2 and 4" in done.words
    assert set(compare(HERE.slug, THERE.slug, "--json").rows().values()) == {"not comparable"}
    assert "could not tell: nothing was compared" in done.out


def test_times_beside_another_commit_hold_beside_that_one_alone(compare: Compare) -> None:
    """Of a run that measured two commits the counts are compared, the times are not."""
    a = run_of(latency(A, 1.0, 1.0, 1.0), count(B, 5, 5, 5))
    b = run_of(latency(A, *[2.0] * 5), count(B, 5, 5, 5), against="main", base="b" * 40)
    content = json.loads(compare(a, b, "--json").out)
    found = {j["key"]["metric"]: (j["verdict"], j["reason"]) for j in content["judgements"]}
    assert found["allocations"][0] == "unchanged"
    assert found["latency"][0] == "not comparable"
    assert "beside" in found["latency"][1]


def test_a_commit_without_such_a_baseline(compare: Compare) -> None:
    """Exit status 3, with the environments that it has."""
    run = run_of(latency(A, 1.0), environment=replace(HERE, cores=64))
    done = compare("v1", run)
    assert done.status == 3
    assert "no baseline of" in done.words
    assert THERE.slug in done.words


def test_what_is_nothing(compare: Compare) -> None:
    """A word that names no file, environment or commit is an error that says all three."""
    done = compare("nowhere", HERE.slug)
    assert done.status == 2
    assert "no run file, no environment with baselines in baselines, and no commit" in done.err


def test_a_file_that_cannot_be_read(project: Path, compare: Compare) -> None:
    """A file that is no run is an error, whatever the other one is."""
    done = compare(str(project / "pyproject.toml"), HERE.slug)
    assert (done.status, "is not a run file" in done.err) == (2, True)
