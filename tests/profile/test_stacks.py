"""Stacks and what changed between them: nothing is lost, nothing is invented, and a run file is believed nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pe_perf.model import Environment, Frame, GateReport, Key, Profile, Run, Stack
from pytest_pe_perf.profile.difference import cause, changes
from pytest_pe_perf.profile.stacks import DEEPEST, MOST_STACKS, REST, as_seen, joined, merged
from pytest_pe_perf.runcheck import Impossible, check_run
from pytest_pe_perf.runfile import encode, read_run

TIME, PEAK = Key("test_a.py::test_a", "", "latency"), Key("test_a.py::test_a", "", "peak")
NAMES = [Frame(name, f"{name[0]}.py", name < "c", line) for name, line in zip("abcde", (3, 0, 9, 1, 0), strict=True)]
STACKS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(tuple)
FOLDED = st.dictionaries(STACKS, st.integers(1, 500).map(float), min_size=1, max_size=8)
few = settings(max_examples=40, deadline=None)
close = lambda one, other: math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)  # noqa: E731


@few
@given(FOLDED, FOLDED, FOLDED)
def test_what_several_processes_saw_can_be_put_together_in_any_grouping(a, b, c):
    """Of three processes it is the same whether the first two or the last two are put together first."""
    one, two, three = (as_seen(TIME, each) for each in (a, b, c))
    left = merged([as_seen(TIME, merged([one, two])), three])
    assert left == merged([one, as_seen(TIME, merged([two, three]))]) == merged([three, one, two])
    assert sum(left.values()) == sum(map(sum, (a.values(), b.values(), c.values())))


@few
@given(FOLDED, FOLDED, st.floats(1e-9, 1e3), st.floats(1e-9, 1e3))
def test_the_changes_of_all_functions_sum_up_to_that_of_the_row(base, head, before, now):
    """Own times of either side are the whole of it, and a function's total is never less than its own in that stack."""
    found = changes(joined(TIME, base, head), before, now)
    assert close(sum(one.before for one in found), before)
    assert close(sum(one.now for one in found), now)
    assert abs(sum(one.grown for one in found) - (now - before)) <= 1e-9 * (now + before)
    assert [one.grown for one in found] == sorted((one.grown for one in found), reverse=True)


@few
@given(FOLDED, FOLDED)
def test_with_the_sides_exchanged_every_change_has_the_other_sign(base, head):
    """What grew by so much shrank by as much, and is as doubtful."""
    there = {one.frame: (one.grown, one.doubt) for one in changes(joined(TIME, base, head), 2.0, 3.0)}
    back = {one.frame: (-one.grown, one.doubt) for one in changes(joined(TIME, head, base), 3.0, 2.0)}
    assert there.keys() == back.keys()
    for frame, numbers in there.items():
        assert all(map(close, numbers, back[frame]))


@few
@given(FOLDED, FOLDED)
def test_what_is_counted_is_not_doubtful(base, head):
    """Bytes are as they are; of samples another run would see others."""
    assert not any(one.doubt for one in changes(joined(PEAK, base, head), 1.0, 1.0))
    assert all(one.doubt > 0 for one in changes(joined(TIME, base, head), 1.0, 1.0))


def test_what_is_small_on_both_sides_is_counted_beneath_its_caller():
    """Below half a per cent of both sides a function is not told apart; what matters on one side is, on both."""
    a, b, c = NAMES[:3]
    head = {(a,): 9_000.0, (a, b): 40.0, (a, c): 960.0}
    found = joined(TIME, {(a,): 9_990.0, (a, c): 10.0}, head)
    stacks = {tuple(found.frames[place] for place in stack.frames): (stack.base, stack.head) for stack in found.stacks}
    assert stacks == {(a,): (9_990.0, 9_000.0), (a, REST): (0.0, 40.0), (a, c): (10.0, 960.0)}


def test_a_profile_is_bounded_whatever_was_seen():
    """Recursion to the limit, and a thousand stacks that weigh the same: few frames, few stacks, and the sums hold."""
    many = {(NAMES[0], Frame(f"f{number % 150}", ""), Frame(f"g{number}", "")): 1.0 for number in range(1000)}
    deep = {(NAMES[1],) * 900: 1000.0}
    found = joined(TIME, None, {**many, **deep}, "of head alone")
    assert sum(stack.head for stack in found.stacks) == 2000.0
    assert len(found.stacks) <= MOST_STACKS + 1
    assert max(len(stack.frames) for stack in found.stacks) == DEEPEST + 1
    check_run(_run(found))


def test_the_project_answers_for_the_libraries_that_it_calls():
    """The cause is the innermost function of the project that is not the test's own; libraries alone speak for themselves."""
    test, parse = Frame("test_a", "test_a.py", own=True), Frame("parse", "src/text.py", own=True, line=4)
    dumps, loads = Frame("dumps", "json/__init__.py"), Frame("loads", "json/__init__.py")
    base = {(test, parse): 500.0, (test, loads): 500.0}
    found = changes(
        joined(TIME, base, {(test, parse, dumps): 900.0, (test, parse): 500.0, (test, loads): 500.0}), 1e-3, 1.9e-3
    )
    named = cause(found, 0.9e-3)
    assert (named.frame, named.frame.line) == (parse, 4)
    assert named.grown == pytest.approx(0.9e-3)
    assert {one.frame for one in found} == {parse, loads}


def test_no_function_is_named_where_none_stands_out():
    """Neither one that sampling alone would make so, nor one of many that grew a little, nor what is not told apart."""
    alike = {(Frame(f"f{number}", "a.py", own=True),): 400.0 for number in range(10)}
    assert cause(changes(joined(TIME, alike, alike), 1.0, 1.1), 0.1) is None
    few_samples = {(NAMES[0],): 8.0, (NAMES[1],): 2.0}
    assert cause(changes(joined(TIME, few_samples, {**few_samples, (NAMES[1],): 4.0}), 1.0, 1.2), 0.2) is None
    rest = changes(joined(PEAK, {(REST,): 10.0}, {(REST,): 99.0}), 10.0, 99.0)
    assert cause(rest, 89.0) is None


def _run(*profiles):
    environment = Environment("cpython", "3.11", "linux", "x", 2)
    return Run(1, "2026-11-20T09:41:07+00:00", environment, {}, (), profiles=profiles)


@few
@given(FOLDED, FOLDED)
def test_a_run_file_holds_profiles_as_they_are(tmp_path_factory, base, head):
    """Written and read again, with their lines, and a line of the file for each."""
    run = _run(joined(TIME, base, head), joined(PEAK, None, head, 'of head alone: "profiles": []'))
    data = encode(run, GateReport(run.environment, ()))
    path = tmp_path_factory.getbasetemp() / "run.json"
    path.write_bytes(data)
    found = read_run(path)
    assert found == run
    assert [frame.line for frame in found.profiles[0].frames] == [frame.line for frame in run.profiles[0].frames]
    assert data.count(b'\n{"key":{"test":"test_a.py::test_a"') == 2
    check_run(found)


GOOD = Profile(TIME, (NAMES[0],), (Stack((0,), 1.0, 2.0),), paired=True)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (replace(GOOD, key=replace(TIME, metric="cpu")), "is of a metric that has none"),
        (replace(GOOD, key=replace(TIME, metric="no")), "unknown metric 'no'"),
        (replace(GOOD, stacks=(Stack((1,), 1.0, 2.0),)), "functions that it does not name"),
        (replace(GOOD, stacks=(Stack((-1,), 1.0, 2.0),)), "functions that it does not name"),
        (replace(GOOD, stacks=(Stack((), 1.0, 2.0),)), "a stack of 0 calls"),
        (replace(GOOD, stacks=(Stack((0,) * 5000, 1.0, 2.0),)), "a stack of 5000 calls"),
        (replace(GOOD, stacks=(Stack((0,), -1.0, 2.0),)), "nobody can have measured"),
        (replace(GOOD, stacks=(Stack((0,), 1.0, math.nan),)), "nobody can have measured"),
        (replace(GOOD, stacks=GOOD.stacks * 5000), "has 5000 stacks"),
        (replace(GOOD, frames=(Frame("x" * 10**6, ""),)), "longer than any of ours"),
        (replace(GOOD, frames=(Frame("x", "", line=-5),)), "a line that no file has"),
        (replace(GOOD, note="x" * 10**5), "longer than any of ours"),
    ],
)
def test_a_profile_that_nobody_can_have_made_is_refused(bad, said):
    """The message names the row and what is wrong with it."""
    with pytest.raises(Impossible, match=said):
        check_run(_run(bad))


def test_a_row_has_one_profile():
    """And a run as many as several sessions make, not more."""
    with pytest.raises(Impossible, match="stands there twice"):
        check_run(_run(GOOD, GOOD))
    with pytest.raises(Impossible, match="2001 profiles"):
        check_run(_run(*[GOOD] * 2001))


def test_a_profile_of_wrong_types_is_no_run_file(tmp_path):
    """As with all else in the file."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"key":{"test":"a","name":"","metric":"peak"},"frames":[["a"]]}', type=Profile)
