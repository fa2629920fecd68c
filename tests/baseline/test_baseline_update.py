from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_pe_perf.baseline.store import load, path_of, save
from pytest_pe_perf.baseline.update import apply, plan, row_from
from pytest_pe_perf.errors import ReasonNeededError, UsageError, WriteError
from pytest_pe_perf.judge.gate import gate
from pytest_pe_perf.model import RUN_FORMAT, BaselineRow, Budget, Environment, Key, Plan, Row, Run, Sample, Skipped
from pytest_pe_perf.report.plan import lines as lines_of

HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
MODULE = "tests/perf/test_x.py"
TOOL = "memray 1.20.0"


def key(test: str = "test_a", metric: str = "latency", module: str = MODULE) -> Key:
    return Key(f"{module}::{test}", "", metric)


def measured(key: Key, *values: float, source: str = "abc", budget: Budget | None = None, problem: str = "") -> Row:
    noisy = key.metric == "latency"
    samples = tuple(
        Sample(value, 100, 1, (), 0.1 if noisy else None, "" if noisy else TOOL, problem) for value in values
    )
    return Row(key, samples, source, 0.10, 0.05, budget)


def beside(row: Row, *references: float) -> Row:
    """The same row, measured beside these references."""
    return replace(row, samples=tuple(replace(s, reference=r) for s, r in zip(row.samples, references, strict=True)))


def accepted(key: Key, value: float) -> BaselineRow:
    noisy = key.metric == "latency"
    return BaselineRow(key, value, "abc", 0.1 if noisy else None, 0.0, "" if noisy else TOOL, "as it was")


def planned(rows: Iterable[Row], base: Iterable[BaselineRow] = (), only: tuple[str, ...] = ()) -> Plan:
    found = tuple(rows)
    complete = tuple({row.key.test.partition("::")[0] for row in found})
    run = Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", HERE, {}, found, complete=complete)
    baseline = {row.key: row for row in base}
    return plan(run, gate(run, baseline), baseline, only)


def kinds(result: Plan) -> list[tuple[str, bool]]:
    return [(change.kind, change.worse) for change in result.changes]


LATENCY, PEAK = key(), key(metric="peak")


@pytest.mark.parametrize(
    ("row", "base", "expected"),
    [
        (measured(LATENCY, 1.0, 1.0, 1.0), None, [("create", False)]),
        (measured(LATENCY, 2.0, 2.0, 2.0, 2.0, 2.0), accepted(LATENCY, 1.0), [("fix", True)]),
        (measured(LATENCY, 0.5, 0.5, 0.5), accepted(LATENCY, 1.0), [("update", False)]),
        (measured(LATENCY, 1.02, 1.02, 1.02), accepted(LATENCY, 1.0), []),
        (measured(LATENCY, 1.02, 1.02, 1.02, source="new"), accepted(LATENCY, 1.0), [("update", False)]),
        (measured(LATENCY, 1.07, 1.07, 1.07, source="new"), accepted(LATENCY, 1.0), [("update", True)]),
        (measured(LATENCY, 9.0, 9.0, 9.0, source="new"), accepted(LATENCY, 1.0), [("update", True)]),
        (measured(LATENCY, 0.5, 0.5, 0.5, source="new"), accepted(LATENCY, 1.0), [("update", False)]),
        (measured(PEAK, 5000, 5000, 5000), accepted(PEAK, 1000), [("fix", True)]),
        (measured(PEAK, 5000, 5000, 5000), replace(accepted(PEAK, 1000), made_with="old"), [("update", True)]),
        (measured(PEAK, 500, 500, 500), replace(accepted(PEAK, 1000), made_with="old"), [("update", False)]),
        (measured(PEAK, 1000, 1000, 1000), replace(accepted(PEAK, 1000), made_with="old"), []),
        (measured(PEAK, 1010, 1010, 1010, source="new"), accepted(PEAK, 1000), [("update", False)]),
    ],
)
def test_verdict_to_change(row: Row, base: BaselineRow | None, expected: list[tuple[str, bool]]) -> None:
    """New is created, regressed fixed, improved and not comparable updated, unchanged untouched."""
    result = planned([row], [base] if base else [])
    assert kinds(result) == expected
    assert result.left == ()
    assert result.unchanged == (0 if expected else 1)


@pytest.mark.parametrize(
    ("values", "base", "expected"),
    [
        ((2.0,) * 5, None, [("create", False)]),
        ((2.0,) * 5, 1.0, [("fix", True)]),
        ((2.0,) * 5, 2.0, []),
        ((2.0,) * 5, 4.0, [("update", False)]),
    ],
)
def test_over_budget(values: tuple[float, ...], base: float | None, expected: list[tuple[str, bool]]) -> None:
    """A row over its budget is treated as its comparison alone says; the budget stays what it is."""
    row = measured(LATENCY, *values, budget=Budget(0.5, "500 ms"))
    assert kinds(planned([row], [accepted(LATENCY, base)] if base else [])) == expected


@pytest.mark.parametrize(
    ("row", "base", "why"),
    [
        (measured(LATENCY, 1.0), None, "measured in 1 process; 3 are needed"),
        (measured(LATENCY, 1.0, 1.0), None, "measured in 2 processes; 3 are needed"),
        (measured(LATENCY, 9.0, source="new"), accepted(LATENCY, 1.0), "measured in 1 process; 3 are needed"),
        (measured(LATENCY, 1.08, 1.08, 1.08), accepted(LATENCY, 1.0), "+8.0 % is more than"),
        (measured(LATENCY, 2.0, 2.0, 2.0), accepted(LATENCY, 1.0), "2x in 3 processes; 5 are needed"),
        (measured(LATENCY, 1.0, 1.0, 1.0, problem="a debugger is on"), None, "a debugger is on"),
    ],
)
def test_left_alone(row: Row, base: BaselineRow | None, why: str) -> None:
    """What cannot be told, and what too few processes measured, is left alone with the reason."""
    result = planned([row], [base] if base else [])
    assert result.changes == ()
    ((left, reason),) = result.left
    assert left == LATENCY
    assert reason.startswith(why)


@pytest.mark.parametrize(
    ("row", "base"),
    [
        (measured(LATENCY, 1.0, 1.0, 1.0), None),
        (measured(LATENCY, 9.0, 9.0, 9.0, 9.0, 9.0), accepted(LATENCY, 1.0)),
        (measured(LATENCY, 0.5, 0.5, 0.5), accepted(LATENCY, 1.0)),
        (measured(LATENCY, 1.0, 1.0, 1.0, source="new"), accepted(LATENCY, 1.0)),
    ],
)
@pytest.mark.parametrize(
    ("slow", "refused"), [((0.143, 0.15, 0.143), True), ((0.15, 0.1, 0.15), False), ((0.12, 0.12, 0.15), False)]
)
def test_a_bad_moment_is_not_recorded(
    row: Row, base: BaselineRow | None, slow: tuple[float, ...], refused: bool
) -> None:
    """A time whose reference was slow in all processes, beside the fastest of the run, is left alone, whatever it says."""
    row = beside(row, *(slow * 2)[: len(row.samples)])
    other = measured(key("test_other"), 1.0, 1.0, 1.0)
    result = planned([row, other], [base] if base else [])
    assert kinds(result)[-1:] == [("create", False)]
    expected = {LATENCY: "recorded in a bad moment (reference workload +43.0 %): run again"} if refused else {}
    assert dict(result.left) == expected
    assert len(result.changes) == 2 - refused


def test_a_run_that_was_slow_throughout_is_recorded() -> None:
    """Where all references are slow alike, the machine is; where a row has none, or a wrong one, none is compared."""
    rows = [beside(measured(key(f"test_{n}"), 1.0, 1.0, 1.0), 0.2, 0.2, 0.2) for n in range(3)]
    assert len(planned(rows).changes) == 3
    for odd in (0.0, math.nan):
        strange = beside(measured(key("test_strange"), 1.0, 1.0, 1.0), 0.2, odd, 0.2)
        assert len(planned([*rows, strange]).changes) == 3
    bad = beside(measured(key("test_bad"), 1.0, 1.0, 1.0, problem="a debugger is on"), 0.01, 0.01, 0.01)
    assert len(planned([*rows, bad]).changes) == 3
    none = replace(rows[0], samples=tuple(replace(s, reference=None) for s in rows[0].samples))
    assert len(planned([none, *rows[1:]]).changes) == 3


@pytest.mark.parametrize(
    ("metric", "values", "why"),
    [
        ("allocations", (2, 9, 2), "does not repeat: 2, 9, 2"),
        ("allocations", (0, 1, 0), "does not repeat: 0, 1, 0"),
        ("allocations", (100, 110, 100), ""),
        ("allocations", (100, 111, 100), "does not repeat: 100, 111, 100"),
        ("peak", (100, 164, 100), ""),
        ("peak", (100, 165, 100), "does not repeat: 100 B, 165 B, 100 B"),
        ("retained", (0, 8, 0), ""),
        ("retained", (0, 9, 0), "does not repeat: 0 B, 9 B, 0 B"),
        ("retained", (100_000, 110_000, 100_000), ""),
    ],
)
def test_a_count_that_does_not_repeat_is_not_recorded(metric: str, values: tuple[float, ...], why: str) -> None:
    """A count that moves by more than 10 % and its metric's margin between processes would allow any value."""
    row = measured(key(metric=metric), *values)
    assert planned([row]).left == (((row.key, why),) if why else ())
    worse = planned([row], [accepted(row.key, -1)]) if why else planned([row])
    assert len(worse.changes) == (0 if why else 1)


def test_only_what_ran_is_touched(tmp_path: Path) -> None:
    """Rows of tests that did not run or were skipped stay; the row of a test that is gone from its module goes."""
    other = key(module="tests/perf/test_other.py")
    base = [accepted(k, 1.0) for k in (LATENCY, key("test_gone"), key("test_skipped"), other)]
    run = Run(
        RUN_FORMAT,
        "",
        HERE,
        {},
        (measured(LATENCY, 1.0, 1.0, 1.0),),
        (Skipped(key("test_skipped").test, "no data"),),
        (MODULE,),
    )
    baseline = {row.key: row for row in base}
    result = plan(run, gate(run, baseline), baseline)
    assert [(change.kind, change.key) for change in result.changes] == [("trim", key("test_gone"))]
    save(tmp_path, HERE, {MODULE: base[:3], "tests/perf/test_other.py": base[3:]})
    apply(result.changes, tmp_path, HERE)
    assert load(tmp_path, HERE).keys() == {LATENCY, key("test_skipped"), other}


TESTS = ("test_a", "test_a[1]", "test_ab", "TestC::test_a")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (MODULE, TESTS),
        (f"./{MODULE}", TESTS),
        ("tests", TESTS),
        ("tests/perf/", TESTS),
        (".", TESTS),
        ("tests/*", TESTS),
        (f"{MODULE}::test_a", ("test_a", "test_a[1]")),
        (f"{MODULE}::test_a[1]", ("test_a[1]",)),
        (f"{MODULE}::TestC", ("TestC::test_a",)),
        ("*[1]", ("test_a[1]",)),
        ("*::test_a?", ("test_ab",)),
    ],
)
def test_patterns(pattern: str, expected: tuple[str, ...]) -> None:
    """A pattern is a node id, the beginning of one up to a border, or a glob in which brackets are brackets."""
    result = planned([measured(key(test), 1.0, 1.0, 1.0) for test in TESTS], only=(pattern,))
    assert {change.key.test.partition("::")[2] for change in result.changes} == set(expected)


@pytest.mark.parametrize("pattern", ["tests/per", "test_a", "", "/", "[", f"{MODULE}::test_a["])
def test_a_pattern_that_names_nothing(pattern: str) -> None:
    """A pattern that names no test is an error, even beside one that does."""
    with pytest.raises(UsageError, match="names no test of this run"):
        planned([measured(key(test), 1.0, 1.0, 1.0) for test in TESTS], only=(MODULE, pattern))


def test_row_of_a_time() -> None:
    """A time is accepted as the smallest value and reference over its processes, with the scatter of their quotient."""
    found = row_from(beside(measured(LATENCY, 1.1, 1.0, 1.2), 0.11, 0.10, 0.12))
    assert (found.value, found.reference, found.source) == (1.0, 0.10, "abc")
    assert found.spread == pytest.approx(0.015)


@pytest.mark.parametrize(("count", "spread"), [(100, 0.02), (10, 0.0474), (9, 0.263), (1, 0.263)])
def test_the_spread_of_few_readings(count: int, spread: float) -> None:
    """What is recorded is no less than the number of readings allows to claim, and a slow process counts where they are few."""
    row = measured(LATENCY, 1.0, math.exp(0.02 * math.sqrt(2)), 1.6)
    row = replace(row, samples=tuple(replace(sample, count=count) for sample in row.samples))
    assert row_from(row).spread == pytest.approx(spread, abs=1e-3)


@pytest.mark.parametrize(("values", "spread"), [((100, 105, 110), 0.1), ((7, 7, 7), 0.0), ((0, 0, 3), 0.0)])
def test_row_of_a_count(values: tuple[float, ...], spread: float) -> None:
    """A count is accepted as the smallest over its processes, with their relative range and the tool's name."""
    found = row_from(measured(PEAK, *values))
    assert found == BaselineRow(PEAK, min(values), "abc", None, spread, TOOL)


def test_accepting_twice_changes_nothing(tmp_path: Path) -> None:
    """After an update the same run has nothing left to change, and the files keep every byte."""
    rows = [measured(key(test, metric), 1237.1, 1239.9, 1238.3) for test in TESTS for metric in ("latency", "peak")]
    rows += [measured(key(metric="allocations"), 123456, 123456, 123457)]
    (path,) = apply(planned(rows).changes, tmp_path, HERE)
    before = path.read_bytes()
    again = planned(rows, load(tmp_path, HERE).values())
    assert again.changes == ()
    assert again.unchanged == len(rows)
    assert apply(again.changes, tmp_path, HERE) == ()
    assert path.read_bytes() == before


def test_other_rows_keep_every_byte(tmp_path: Path) -> None:
    """A changed row is a changed line; all other lines of the file stay as they were."""
    base = [accepted(key(test), 1.0) for test in TESTS]
    (path,) = save(tmp_path, HERE, {MODULE: base})
    before = path.read_text().splitlines()
    changes = planned([measured(LATENCY, 0.5, 0.5, 0.5)], base).changes
    apply([change for change in changes if change.kind == "update"], tmp_path, HERE)
    lines = zip(before, path.read_text().splitlines(), strict=True)
    assert [old for old, new in lines if old != new] == [line for line in before if '"test_a"' in line]


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_worse_needs_a_reason(tmp_path: Path, reason: str) -> None:
    """Without a reason nothing gets worse: the error names the rows and the option, and no file is touched."""
    base = [accepted(key(test), 1.0) for test in TESTS]
    (path,) = save(tmp_path, HERE, {MODULE: base})
    before = path.read_bytes()
    worse = planned([measured(key(test), *[2.0] * 5) for test in TESTS], base)
    with pytest.raises(ReasonNeededError) as caught:
        apply(worse.changes, tmp_path, HERE, reason)
    message = str(caught.value)
    assert "4 rows get worse" in message
    assert f"latency of {MODULE}::test_a" in message
    assert "and 1 more" in message
    assert '--reason "why it may be slower"' in message
    assert path.read_bytes() == before


def test_the_reason_stands_with_what_got_worse(tmp_path: Path) -> None:
    """The reason is stored on the rows that get worse and on no other; a row that improves loses its old one."""
    better, same = key("test_better"), key("test_same")
    base = [accepted(k, 1.0) for k in (LATENCY, better, same)]
    save(tmp_path, HERE, {MODULE: base})
    rows = [measured(LATENCY, 2, 2, 2, 2, 2), measured(better, 0.5, 0.5, 0.5), measured(same, 1, 1, 1)]
    apply(planned(rows, base).changes, tmp_path, HERE, "  checks more ")
    reasons = {row.key: row.reason for row in load(tmp_path, HERE).values()}
    assert reasons == {LATENCY: "checks more", better: "", same: "as it was"}


def test_a_file_whose_last_row_goes_is_deleted(tmp_path: Path) -> None:
    """A module without rows has no file."""
    base = [accepted(LATENCY, 1.0)]
    save(tmp_path, HERE, {MODULE: base})
    run = Run(RUN_FORMAT, "", HERE, {}, (), complete=(MODULE,))
    baseline = {row.key: row for row in base}
    written = apply(plan(run, gate(run, baseline), baseline).changes, tmp_path, HERE)
    assert written == (path_of(tmp_path, HERE, MODULE),)
    assert not written[0].exists()


def test_all_modules_or_none(tmp_path: Path) -> None:
    """When the baselines cannot be written, the error says so and nothing is half done."""
    (tmp_path / "baselines").touch()
    changes = planned([measured(LATENCY, 1.0, 1.0, 1.0)]).changes
    with pytest.raises(WriteError, match="cannot write"):
        apply(changes, tmp_path / "baselines", HERE)
    assert [path.name for path in tmp_path.iterdir()] == ["baselines"]


@pytest.mark.parametrize("width", [64, 80, 200])
def test_plan_fits_the_screen(width: int) -> None:
    """A plan is shown in the width there is, each row with kind, test, metric, old and new value, and change."""
    long = key("test_" + "long_" * 30 + "[日本\n\x1b[2J\u202e]")
    base = [accepted(LATENCY, 1.0), accepted(PEAK, 0), accepted(key("test_gone"), 0.5)]
    rows = [measured(LATENCY, 2, 2, 2, 2, 2), measured(PEAK, 5000, 5000, 5000), measured(long, 1e-5, 1e-5, 1e-5)]
    rows += [measured(key(f"test_{n}"), 1.0) for n in range(12)]
    lines = lines_of(planned(rows, base), width)
    text = "\n".join(lines)
    assert max(len(line.encode("gb18030")) for line in lines) <= width * 1.1
    assert all(line.isprintable() for line in lines)
    for word in ("create", "fix", "trim", "1.00 s -> 2.00 s", "2x", "from 0", "gone", "new", "... and 2 more"):
        assert word in text
    assert lines[-1].startswith("1 create, 2 fix, 1 trim, 12 left")


def test_an_empty_plan() -> None:
    """A plan of nothing is one line."""
    assert lines_of(Plan()) == ["no rows"]


def test_a_renamed_row_moves_with_its_value_and_its_reason(tmp_path: Path) -> None:
    """It goes to the file of its new module, and names the test from which it came; nothing of the old one is left."""
    old = replace(accepted(PEAK, 1000), body="body")
    save(tmp_path, HERE, {MODULE: [old]})
    new = key("test_b", "peak", "tests/perf/test_y.py")
    row = replace(measured(new, 1001, 1001, 1001, source="of test_b"), body="body")
    run = Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", HERE, {}, (row,), complete=(MODULE,))
    baseline = load(tmp_path, HERE)
    result = plan(run, gate(run, baseline), baseline)
    assert [(change.kind, change.key, change.old) for change in result.changes] == [("rename", new, old)]
    assert ["rename", "test_b", "peak", "0.98", "KiB", "kept"] in [line.split() for line in lines_of(result)]
    assert f"was {PEAK.test}" in "\n".join(lines_of(result))
    apply(result.changes, tmp_path, HERE)
    moved = replace(old, key=new, source="of test_b", renamed_from=PEAK.test)
    assert load(tmp_path, HERE) == {new: moved}
    assert not path_of(tmp_path, HERE, MODULE).exists()
    again = plan(run, gate(run, {new: moved}), {new: moved})
    assert (again.changes, again.unchanged) == ((), 1)


def test_a_row_of_before_there_was_a_body_gets_one(tmp_path: Path) -> None:
    """Where its test has the source that it had, whatever its numbers do: nothing else of the row changes, and only once."""
    open_one, changed = key("test_open"), key("test_changed", "peak")
    old = [accepted(PEAK, 1000), accepted(open_one, 1.0), accepted(changed, 1000)]
    rows = [measured(PEAK, 1000), measured(open_one, 1.08, 1.08, 1.08), measured(changed, 1000, source="another")]
    result = planned([replace(row, body="body") for row in rows], old)
    assert [(change.kind, change.key) for change in result.changes] == [("complete", PEAK), ("complete", open_one)]
    assert "complete" not in "\n".join(lines_of(result)[:-1])
    assert lines_of(result)[-1] == "2 complete, 1 unchanged, 2 left alone"
    save(tmp_path, HERE, {MODULE: old})
    apply(result.changes, tmp_path, HERE)
    now = load(tmp_path, HERE)
    assert now == {row.key: replace(row, body="" if row.key == changed else "body") for row in old}
    assert planned([replace(row, body="body") for row in rows], now.values()).changes == ()


@pytest.mark.parametrize(
    ("values", "kind", "value", "worse"),
    [((2000,) * 3, "fix", 2000, True), ((500,) * 3, "update", 500, False), ((1200,), "rename", 1000, False)],
)
def test_what_changed_under_its_new_name(values: tuple[float, ...], kind: str, value: float, worse: bool) -> None:
    """A renamed row that got worse needs a reason, one that improved none, and what is open keeps its value."""
    row = replace(measured(key("test_b", "peak"), *values), body="body")
    (change,) = planned([row], [replace(accepted(PEAK, 1000), body="body")]).changes
    assert change.new is not None
    assert (change.kind, change.worse, change.new.value, change.new.renamed_from) == (kind, worse, value, PEAK.test)


@pytest.mark.parametrize(
    ("values", "expected", "value"),
    [
        ((1.03,) * 3, [("update", False)], 1.03),
        ((1.03,) * 2, [], 1.0),
        ((2.0,) * 5, [("fix", True)], 2.0),
        # What is open stays open, whoever recorded the baseline.
        ((1.08,) * 5, [], 1.0),
    ],
)
def test_a_stale_row_is_recorded_anew(
    values: tuple[float, ...], expected: list[tuple[str, bool]], value: float
) -> None:
    """Where enough processes measured it, with the interpreter of today and the anchor of then."""
    old = replace(accepted(LATENCY, 1.0), made_with="cpython 3.11.7")
    run = Run(RUN_FORMAT, "", HERE, {"python": "3.11.9"}, (measured(LATENCY, *values),))
    result = plan(run, gate(run, {LATENCY: old}), {LATENCY: old})
    assert kinds(result) == expected
    for change in result.changes:
        assert change.new is not None
        anchor = old.value if value < 1.1 else None
        assert (change.new.value, change.new.made_with, change.new.anchor) == (value, "cpython 3.11.9", anchor)


def test_a_small_step_that_leaves_the_anchor_behind_needs_a_reason() -> None:
    """A benchmark that is not comparable is accepted anew without one, until all its steps together are too many."""
    base = replace(accepted(PEAK, 10_900), anchor=10_000)
    for value, worse in ((10_950, False), (11_001, True)):
        (change,) = planned([measured(PEAK, value, value, value, source="new")], [base]).changes
        assert (change.kind, change.worse) == ("update", worse)
    assert "+10.0 % since its anchor, 9.77 KiB" in " ".join(" ".join(lines_of(Plan((change,)))).split())
