"""`pe-perf merge`: the shards of a suite are one run with one verdict, or an error that says what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_pe_perf.baseline.store import save
from pytest_pe_perf.config import Settings
from pytest_pe_perf.judge.packed import pack
from pytest_pe_perf.model import (
    RUN_FORMAT,
    BaselineRow,
    Block,
    Environment,
    GateReport,
    Key,
    PairedRow,
    Pairs,
    Restart,
    Row,
    Run,
    Sample,
    Skipped,
    Turn,
)
from pytest_pe_perf.runfile import encode, read_run
from pytest_pe_perf.shard import Share, shard_of

from .conftest import Call, Said

HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
THERE = replace(HERE, cpu="x86_64-intel-6-85", cores=4)
MODULE = "tests/test_x.py"
FACTS = {"commit": "c" * 40, "dirty": "no", "python": "3.11.7", "load": "0.1 0.1 0.1"}
BESIDE = {"against": "main", "base": "b" * 40}
SETTINGS = Settings()


def own_tests(share: Share, count: int = 2) -> list[str]:
    """Return so many tests of one share."""
    names = (f"{MODULE}::test_{n}" for n in range(10_000))
    return [name for name in names if share.has(name)][:count]


ONE, TWO = Share(1, 2), Share(2, 2)
A, B = own_tests(ONE), own_tests(TWO)
SUITE = [*A, *B]


def counted(test: str, *values: float) -> Row:
    return Row(Key(test, "", "allocations"), tuple(Sample(value, 1, 1) for value in values), "s", 0.1, 0.05)


def accepted(test: str, value: float = 5.0) -> BaselineRow:
    return BaselineRow(Key(test, "", "allocations"), value, "s")


def shard(share: Share, rows: Sequence[Row] = (), suite: Sequence[str] = SUITE, **more: Any) -> Run:
    facts = FACTS | more.pop("context", {})
    settings, complete = more.pop("settings", SETTINGS), more.pop("complete", (MODULE,))
    environment = more.pop("environment", HERE)
    run = Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", environment, facts, tuple(rows), **more)
    return replace(run, shard=shard_of(share, suite, settings, complete))


def fine(share: Share, **more: Any) -> Run:
    """Return a shard in which every test of its share is as the baseline says."""
    return shard(share, [counted(test, 5, 5, 5) for test in SUITE if share.has(test)], **more)


Merge = Callable[..., Said]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[tool.pe_perf]\nthreshold = "10 %"\n')
    save(tmp_path / "baselines", HERE, {MODULE: [accepted(test) for test in SUITE]})
    return tmp_path


@pytest.fixture
def merge(project: Path, call: Call) -> Merge:
    def command(*files: Run | bytes | str, options: Sequence[str] = ()) -> Said:
        names = []
        for number, content in enumerate(files):
            path = project / f"run-{number}.json"
            if isinstance(content, Run):
                path.write_bytes(encode(content, GateReport(content.environment, ())))
            elif isinstance(content, bytes):
                path.write_bytes(content)
            names.append(content if isinstance(content, str) else path.name)
        return call(project, "merge", *names, *options)

    return command


# --- one verdict ------------------------------------------------------------------------------------------------------


def test_shards_without_a_change_pass_and_are_one_run(merge: Merge, project: Path) -> None:
    """Exit status 0, whatever their order; the file that is written is a whole run, which other verbs read."""
    done = merge(fine(TWO, context={"load": "9 9 9"}), fine(ONE), options=["--strict"])
    assert done.status == 0, done.out
    assert "4 unchanged" in done.out
    assert "2 shards of a suite of 4 performance tests" in done.out
    run = read_run(project / ".pe-perf/run.json")
    assert ([row.key.test for row in run.rows], run.complete, run.shard) == (sorted(SUITE), (MODULE,), None)
    assert (run.context["commit"], run.context["load"]) == ("c" * 40, "0.1 0.1 0.1 | 9 9 9")


def test_a_regression_in_one_shard_fails_the_suite(merge: Merge, project: Path) -> None:
    """Exit status 1, and the verdict is made anew: what stands in the shards' files is not believed."""
    slower = shard(TWO, [counted(B[0], 9, 9, 9), counted(B[1], 5)])
    done = merge(fine(ONE), slower, options=["--json", "--output", "all.json"])
    assert done.status == 1, done.err
    assert done.verdicts() == dict.fromkeys(SUITE, "unchanged") | {B[0]: "regressed"}
    content = json.loads(done.out)
    assert (content["status"], content["doubts"], content["written"]) == (1, [], ["all.json"])
    assert not (project / ".pe-perf").exists()


def test_what_is_in_no_shard_is_missing(merge: Merge, project: Path) -> None:
    """Each shard says that its share of a module is whole; together they know that a baseline row has no test."""
    gone = f"{MODULE}::test_gone"
    save(project / "baselines", HERE, {MODULE: [accepted(test) for test in (*SUITE, gone)]})
    done = merge(fine(ONE), fine(TWO), options=["--json"])
    assert (done.status, done.verdicts()[gone]) == (0, "missing")
    part = merge(fine(ONE), fine(TWO, complete=()), options=["--json"])
    assert (part.status, gone in part.verdicts()) == (0, False)
    assert "1 baseline row belongs to tests that were not part of this run" in json.loads(part.out)["notes"]
    strict = merge(fine(ONE), fine(TWO), options=["--strict"])
    assert strict.status == 3
    assert "could not tell: 1 undecided under strict" in strict.out


def test_a_test_that_was_not_measured_is_said(merge: Merge) -> None:
    """It is listed with its reason, and under strict nobody can tell: exit status 3."""
    failed = shard(TWO, [counted(B[0], 5)], skipped=(Skipped(B[1], "it failed: ValueError"),))
    for options, status in (([], 0), (["--strict"], 3)):
        done = merge(fine(ONE), failed, options=options)
        assert done.status == status
        assert "it failed: ValueError" in done.out


def test_without_a_baseline_nobody_can_tell(merge: Merge, project: Path) -> None:
    """Exit status 3: rows without anything to hold them against do not pass."""
    (project / "pyproject.toml").write_text('[tool.pe_perf]\nbaselines = "nowhere"\n')
    done = merge(fine(ONE), fine(TWO))
    assert done.status == 3
    assert "could not tell: nothing was compared" in done.out


def test_shards_of_several_environments_are_held_against_their_own_baselines(merge: Merge, project: Path) -> None:
    """A faster machine's baseline is not for the others; each environment has a run file of its own."""
    save(project / "baselines", THERE, {MODULE: [accepted(test, 50.0) for test in SUITE]})
    there = shard(TWO, [counted(B[0], 50), counted(B[1], 70, 70, 70)], environment=THERE)
    done = merge(fine(ONE), there, options=["--json"])
    assert done.status == 1, done.err
    assert done.verdicts() == dict.fromkeys(SUITE, "unchanged") | {B[1]: "regressed"}
    said = json.loads(done.out)
    kinds = f"measured on 2 kinds of machines: {HERE.slug} (1), {THERE.slug} (2)"
    assert kinds in said["notes"]
    written = {path.name: read_run(path) for path in (project / ".pe-perf").iterdir()}
    assert set(written) == {f"run-{HERE.slug}.json", f"run-{THERE.slug}.json"}
    # Whoever accepts one of these must not take the other's rows for missing.
    assert {run.complete for run in written.values()} == {()}


def test_an_accept_entry_counts_for_the_suite(merge: Merge, project: Path) -> None:
    """What an entry covers passes, on the day on which it was measured; one that is not needed fails under strict."""
    entry = '[[tool.pe_perf.accept]]\ntest = "{}"\nmetric = "allocations"\nceiling = 2\nreason = "r"\nexpires = {}\n'
    slower = shard(TWO, [counted(B[0], 9, 9, 9), counted(B[1], 5)])
    for day, status in (("2026-01-01", 0), ("2025-12-31", 1)):
        (project / "pyproject.toml").write_text("[tool.pe_perf]\n" + entry.format(B[0], day))
        assert merge(fine(ONE), slower).status == status
    (project / "pyproject.toml").write_text("[tool.pe_perf]\n" + entry.format(A[0], "2026-01-01"))
    done = merge(fine(ONE), fine(TWO), options=["--strict"])
    assert done.status == 3
    assert "1 of the accept entries to be mended under strict" in done.out


# --- beside a commit --------------------------------------------------------------------------------------------------


def paired(test: str, first: float, second: float, name: str = "") -> PairedRow:
    def restarts(ratio: float, count: int) -> tuple[Restart, ...]:
        def side(level: float) -> tuple[Turn, ...]:
            return (Turn(level, 0.9 * level), Turn(1.01 * level, 0.9 * level))

        return (Restart((Block(side(1e-3), side(1e-3 * ratio)),) * 3),) * count

    confirm = restarts(second, 6) if abs(first - 1) > 0.01 else ()
    return PairedRow(Key(test, name, "latency"), "s", 0.05, 0.01, restarts(first, 4), confirm)


def in_pairs(share: Share, suite: Sequence[str], ratios: tuple[float, float], **more: Any) -> Run:
    canaries = tuple(pack(paired("(canary)", ratio, ratio, name)) for name, ratio in (("same", 1.0), ("planted", 1.05)))
    rows = tuple(pack(paired(test, *ratios)) for test in suite if share.has(test))
    pairs = Pairs(rows, canaries) if rows else Pairs()
    return shard(share, suite=suite, context=BESIDE, pairs=(pairs,), **more)


def test_pairs_from_several_machines_are_one_suite(merge: Merge, project: Path) -> None:
    """The rate of false alarms is that of all rows: what is one among few machines' rows need not be among all."""
    shares = [Share(index, 8) for index in range(1, 9)]
    suite = [own_tests(share, 1)[0] for share in shares]
    small = [in_pairs(share, suite, (1.1, 1.015), environment=THERE) for share in shares]
    done = merge(*small, options=["--json"])
    assert (done.status, set(done.verdicts().values())) == (0, {"inconclusive"}), done.err
    alone = merge(in_pairs(Share(1, 1), suite[:1], (1.1, 1.015)), options=["--json"])
    assert (alone.status, alone.verdicts()) == (1, {suite[0]: "regressed"})
    large = [in_pairs(ONE, suite, (1.2, 1.2)), in_pairs(TWO, suite, (1.2, 1.2), environment=THERE)]
    done = merge(*large)
    assert done.status == 1
    assert "measured on 2 kinds of machines" in done.out.replace("\n ", " ")
    assert len(read_run(project / ".pe-perf/run.json").pairs) == 2


def test_a_shard_without_a_test_of_its_own_says_nothing_of_the_others(merge: Merge) -> None:
    """It measured no canaries, and the rows of the others are judged all the same."""
    done = merge(in_pairs(ONE, A, (1.0, 1.0)), in_pairs(TWO, A, (1.0, 1.0)), options=["--strict", "--json"])
    assert (done.status, set(done.verdicts().values())) == (0, {"unchanged"}), done.out


# --- what is no suite -------------------------------------------------------------------------------------------------

WHOLE = replace(fine(ONE), shard=None)
OTHER = "do not belong together: "


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ((), ["there is no shard 2 of 2"]),
        ((fine(ONE),), ["shard 1 is there 2 times: run-0.json, run-1.json"]),
        ((fine(TWO), fine(TWO)), ["shard 2 is there 2 times: run-1.json, run-2.json"]),
        (("run-0.json",), ["shard 1 is there 2 times: run-0.json, run-0.json"]),
        ((WHOLE,), ["run-1.json is no shard of a suite"]),
        ((fine(Share(2, 3)),), [OTHER, "number of shards differs: 2 in run-0.json, 3 in run-1.json"]),
        ((fine(TWO, context={"commit": "d" * 40}),), [OTHER, "the commit differs"]),
        ((fine(TWO, context={"dirty": "yes"}),), [OTHER, "tracked files were changed differs: no in", "yes in"]),
        ((fine(TWO, context=BESIDE),), [OTHER, "what is compared differs: nothing in run-0.json, main in run-1"]),
        ((fine(TWO, settings=replace(SETTINGS, time=2.0)),), [OTHER, "setting time differs: 1.0 in", "2.0 in"]),
        ((fine(TWO, suite=[*SUITE, "t.py::t"]),), [OTHER, "the number of tests, or which, differs: 4 (", "5 ("]),
        ((fine(TWO, context={"python": "3.11.9"}),), [OTHER, "Python differs: 3.11.7 in run-0.json, 3.11.9"]),
        ((shard(TWO, [counted(B[0], 5)]),), ["of 3 tests what became of them, and the suite has 4"]),
        ((shard(TWO, [counted(A[0], 5)]),), ["run-1.json is shard 2, to which", "does not belong"]),
        ((replace(fine(TWO), shard=replace(fine(TWO).shard, index=3)),), ["says that it is shard 3 of 2"]),
        ((replace(fine(TWO), format=RUN_FORMAT + 1),), ["has format 2, newer than the 1"]),
        ((encode(fine(TWO), GateReport(HERE, ()))[:-200],), ["run-1.json is not a run file"]),
        ((b"",), ["run-1.json is not a run file"]),
        (("nowhere.json",), ["cannot read nowhere.json"]),
    ],
)  # fmt: skip
def test_what_is_no_suite_is_an_error(merge: Merge, project: Path, second: tuple[Any, ...], words: list[str]) -> None:
    """Exit status 2 and one message that says which file and why; nothing is written, not even in strict JSON."""
    done = merge(fine(ONE), *second)
    assert (done.status, done.out) == (2, "")
    (message,) = done.err.splitlines()
    assert all(word in message for word in words), message
    assert not (project / ".pe-perf").exists()


def test_no_shard_is_written_over(merge: Merge, project: Path) -> None:
    """A shard is on one machine only: the merged run gets another name, or nothing is written."""
    before = encode(fine(ONE), GateReport(HERE, ()))
    done = merge(fine(ONE), fine(TWO), options=["--output", "run-0.json"])
    assert done.status == 2
    assert "name another file with --output" in done.err
    assert (project / "run-0.json").read_bytes() == before


def test_changes_that_nobody_committed_are_said(merge: Merge) -> None:
    """Whether work trees on several machines were the same cannot be told, and that is said."""
    changed = {"context": {"dirty": "yes"}}
    done = merge(fine(ONE, **changed), fine(TWO, **changed))
    assert done.status == 0
    assert "whether these were the same cannot be told" in done.out.replace("\n ", " ")
