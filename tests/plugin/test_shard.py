"""--pe-perf-shard: each test is in one shard, a shard says nothing of the others' rows, and together they are the suite."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.cli import main
from pytest_pe_perf.errors import ConfigError
from pytest_pe_perf.shard import Share, name_of

ONE, TWO = Share(1, 2), Share(2, 2)


@given(st.text(), st.integers(1, 50))
def test_a_test_is_in_one_share(test, count):
    """Of any number of shares, whatever the test is called."""
    assert [Share(index, count).has(test) for index in range(1, count + 1)].count(True) == 1


def test_shares_are_the_same_everywhere_and_for_ever():
    """Shards of two versions of this package, on two machines, agree on what is whose."""
    tests = [f"tests/perf/test_parse.py::test_parse[{n}]" for n in range(9)]
    assert [next(i for i in range(1, 4) if Share(i, 3).has(test)) for test in tests] == [2, 2, 1, 1, 1, 1, 1, 1, 2]
    sizes = [sum(Share(i, 4).has(f"tests/test_x.py::test_{n}") for n in range(1000)) for i in range(1, 5)]
    assert min(sizes) > 200


@pytest.mark.parametrize(
    "text", ["", "1", "0/2", "3/2", "-1/2", "1/0", "1/2/3", "a/b", "1.0/2", "1 / 2", "\u0661/\u0662", "1/100000"]
)
def test_what_names_no_share_is_refused(text):
    """The message has the value and an example of what would do."""
    with pytest.raises(ConfigError, match="write I/N, for example 2/5 for the second of five") as raised:
        Share.parse(text)
    assert repr(text) in str(raised.value)
    assert Share.parse("3/3") == Share(3, 3)


def test_the_name_of_a_suite_is_that_of_its_tests():
    """In any order, and no two tests are taken for one."""
    assert name_of(["a", "b"]) == name_of(["b", "a", "b"])
    assert name_of(["a", "b"]) != name_of(["ab"]) != name_of(["a"])


def some(share, count, kind="test"):
    """Return names of tests in test_it.py that are in a share."""
    names = (f"{kind}_{n}" for n in range(1000))
    return [name for name in names if share.has(f"test_it.py::{name}")][:count]


def suite_of(*names, gone=()):
    tests = [f"def {name}(pe_memory):\n    pe_memory(bytes, 600)\n" for name in names if name not in gone]
    return "\n".join(tests)


A, B = some(ONE, 2), some(TWO, 2)


OF_IT, OF_STOP = "test_it.py", "test_stop.py"
STOPS = [name for name in (f"test_{n}" for n in range(1000)) if ONE.has(f"{OF_STOP}::{name}")][:3]
SESSIONS = {
    "1": ["--pe-perf-shard=1/2", OF_IT],
    "2": ["--pe-perf-shard=2/2", OF_IT],
    "few": ["--pe-perf-shard=1/2", OF_IT, "-k", A[0]],
    "stopped": ["--pe-perf-shard=1/2", OF_STOP, "-x"],
    "empty": ["--pe-perf-shard=2/2", OF_STOP],
    "too large": ["--pe-perf-shard=3/2"],
}


@pytest.fixture(scope="module")
def spread(shared):
    """A suite of which one test of each share is gone, run in shards, with what each session said."""
    shared.write(OF_IT, suite_of(*A, *B))
    done = shared.accept("--pe-perf-time=5 ms")
    assert done.status == 0, done.out
    plain = "".join(f"def {name}():\n    pass\n" for name in (*some(ONE, 1, "test_plain"), *some(TWO, 1, "test_plain")))
    shared.write(OF_IT, suite_of(*A, *B, gone=(A[1], B[1])) + plain)
    shared.write(OF_STOP, suite_of(*STOPS).replace("pe_memory(bytes", "assert 0, pe_memory(bytes", 1))
    done = shared.in_turn(
        *([*options, "--pe-perf-time=5 ms", f"--pe-perf-json={name}.json"] for name, options in SESSIONS.items())
    )
    return shared, dict(zip(SESSIONS, done, strict=True))


@pytest.fixture
def merge(spread, monkeypatch, capsys):
    """Return a function that merges shards and returns exit status and what was said."""

    def command(*names):
        monkeypatch.chdir(spread[0].folder)
        monkeypatch.setattr(sys, "argv", ["pe-perf", "merge", *(f"{name}.json" for name in names)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, "".join(capsys.readouterr())

    return command


def in_file(project, name):
    content = json.loads((project.folder / f"{name}.json").read_text())
    return (
        content["run"],
        {j["key"]["test"].partition("::")[2] for j in content["judgements"]},
        " ".join(content["notes"]),
    )


def test_what_makes_no_sense_is_a_usage_error(spread):
    """Exit status 4, before anything is collected; also where nothing is measured."""
    project, sessions = spread
    off = project.pytest("--pe-perf-shard=1/2")
    for done, words in (
        (sessions["too large"], "--pe-perf-shard: '3/2' is no share of a suite"),
        (off, "--pe-perf-shard says what is done with what is measured: add --pe-perf"),
    ):
        assert done.status == 4
        assert words in done.out
        assert "collected" not in done.out


@pytest.mark.parametrize(("name", "own"), [("1", A), ("2", B)])
def test_each_shard_runs_its_share_and_speaks_of_it_alone(spread, name, own):
    """Header and report say which part it is; no row of another shard is missing, or there."""
    project, done = spread[0], spread[1][name]
    assert done.status == 0, done.out
    run, judged, notes = in_file(project, name)
    assert judged == set(own[:1])
    assert {item["key"]["test"] for item in run["rows"]} == {f"{OF_IT}::{test}" for test in own[:1]}
    assert f"pe-perf: shard {name} of 2: the tests of the others are left out" in done.out
    assert f"shard {name} of 2: 1 of 2 performance tests; the verdict on all of them: pe-perf merge" in notes
    assert "9 baseline rows belong to tests that were not part of this run" in notes
    assert "missing" not in done.out
    # The plain tests are shared out too.
    assert "2 deselected" in done.out
    assert (run["complete"], run["shard"]["complete"]) == ([], [OF_IT])


def test_together_they_are_the_suite(spread, merge):
    """Nothing is lost, and what neither measures is missing; a shard alone is exit status 2."""
    status, said = merge("1", "2")
    assert status == 0, said
    verdicts = spread[0].verdicts()
    assert {test for (test, _, _), verdict in verdicts.items() if verdict == "missing"} == {A[1], B[1]}
    assert set(verdicts.values()) == {"missing", "unchanged"}
    assert len(verdicts) == 3 * len({*A, *B})
    status, said = merge("2")
    assert status == 2
    assert "there is no shard 1 of 2" in said


def test_another_selection_is_another_suite(spread, merge):
    """-k in one of the shards is noticed when they are put together."""
    assert spread[1]["few"].status == 0
    status, said = merge("few", "2")
    assert status == 2
    assert "the number of tests, or which, differs: 1 (" in said


def test_a_shard_without_tests_and_one_that_stopped_leave_their_files(spread, merge):
    """All tests in other shards: exit status 0 and a file; after -x the file says which tests have not run."""
    project, done = spread
    assert done["empty"].status == 0, done["empty"].out
    assert "shard 2 of 2: 0 of 3 performance tests" in done["empty"].out
    assert done["stopped"].status == 1
    why = {item["test"].partition("::")[2]: item["why"] for item in in_file(project, "stopped")[0]["skipped"]}
    assert why[STOPS[0]].startswith("it failed: ")
    assert {why[name] for name in STOPS[1:]} == {"it was not run: the session ended before"}
    status, said = merge("stopped", "empty")
    assert status == 3
    assert "could not tell: nothing was compared" in said


@pytest.mark.skipif(sys.platform == "win32", reason="needs processes that Windows does not have")
def test_beside_a_commit_both_sides_have_the_same_share(repository):
    """What head has beyond base, and base beyond head, is said by the shard that it belongs to, and by no other."""
    repository.write(OF_IT, suite_of(A[0], *B))
    repository.commit()
    repository.write("newer.py", "work = sorted\n")
    repository.write(OF_IT, "import newer\n" + suite_of(A[1], B[0]))
    done = repository.against("main", "--pe-perf-shard=1/2")
    assert done.status == 0, done.out
    assert repository.worst() == {A[0]: "missing", A[1]: "new"}
    assert "nothing compared: 1 missing, 1 new rows" in done.out
    run = repository.run_file()["run"]
    assert (run["shard"]["tests"], run["context"]["against"]) == (2, "main")
    unread = {item["key"]["test"] for part in run["pairs"] for item in part["unread"]}
    assert unread == {f"{OF_IT}::{name}" for name in A}
