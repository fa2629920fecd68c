"""Runs of other programs in, ours out. ``data`` holds what pytest-benchmark 3.2.3, 4.0.0, 5.3.1 and asv 0.6.6 wrote."""

from __future__ import annotations

import csv
import io
import json
import math
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pytest_pe_perf.errors import HistoryError, RunFileError
from pytest_pe_perf.history.convert import asv, openmetrics, pytest_benchmark, run_file
from pytest_pe_perf.history.convert.files import read_all
from pytest_pe_perf.history.convert.tables import csv_lines, json_lines
from pytest_pe_perf.history.record import Record, Value, encode, make_record
from pytest_pe_perf.history.store import open_history
from pytest_pe_perf.judge.gate import gate
from pytest_pe_perf.model import RUN_FORMAT, BaselineRow, Environment, Key, Row, Run, Sample
from pytest_pe_perf.runfile import write_run

DATA = Path(__file__).parent / "data"
REAL = DATA / "pytest-benchmark-5.3.1.json"
HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
A = Key("tests/test_x.py::test_a[1]", "", "latency")


def read(path: Path) -> Record:
    (record,) = read_all([path])
    return record


# --- pytest-benchmark ---------------------------------------------------------------------------------------------


def test_a_file_of_pytest_benchmark() -> None:
    """Each benchmark's fastest round comes in under its node id, with commit, time and our name of the machine."""
    written = json.loads(REAL.read_bytes())
    record = read(REAL)
    assert {value.key.test: value.value for value in record.values} == {
        one["fullname"]: one["stats"]["min"] for one in written["benchmarks"]
    }
    assert {(value.key.name, value.key.metric, value.verdict) for value in record.values} == {
        ("", "latency", "imported")
    }
    assert record.about.environment == HERE.slug
    assert record.about.commit == written["commit_info"]["id"]
    assert record.about.started == written["datetime"]
    assert record.about.context["imported"] == "pytest-benchmark 5.3.1"


@pytest.mark.parametrize(
    ("version", "slug"),
    [
        # It knows the names of an older py-cpuinfo, and counts no cores.
        ("3.2.3", "cpython-3.11-linux-x86_64-unknown-0cpu"),
        ("4.0.0", HERE.slug),
    ],
)
def test_a_file_of_an_older_pytest_benchmark(version: str, slug: str) -> None:
    """What earlier versions saved under ``.benchmarks`` comes in too, with as much of the machine as they say."""
    path = DATA / f"pytest-benchmark-{version}.json"
    written = json.loads(path.read_bytes())
    record = read(path)
    assert {value.key.test: value.value for value in record.values} == {
        one["fullname"]: one["stats"]["min"] for one in written["benchmarks"]
    }
    assert (record.about.environment, record.about.commit) == (slug, written["commit_info"]["id"])
    assert record.about.started == f"{written['datetime']}+00:00"
    assert record.about.context["imported"] == f"pytest-benchmark {version}"


# The facts about a machine as each version wrote them, and what we make of them.
LINUX = {"machine": "x86_64", "python_implementation": "CPython", "python_version": "3.5.2", "system": "Linux"}
MACHINES = [
    # 3.0: nothing of the CPU
    (LINUX, "cpython-3.5-linux-x86_64-0cpu"),
    # 3.1: a summary of it
    (
        {
            **LINUX,
            "cpu": {"vendor_id": "GenuineIntel", "hardware": "unknown", "brand": "Intel(R) Core(TM) i5 CPU @ 3 GHz"},
        },
        "cpython-3.5-linux-x86_64-intel-core-i5-0cpu",
    ),
    # 3.4: all of py-cpuinfo, whose names were others before 6.0
    (
        {**LINUX, "cpu": {"vendor_id": "GenuineIntel", "brand": "Intel Xeon", "family": 6, "model": 85, "count": 8}},
        "cpython-3.5-linux-x86_64-intel-6-85-8cpu",
    ),
    # 4.0
    (
        {**LINUX, "system": "Darwin", "machine": "arm64", "cpu": {"brand_raw": "Apple M1 Pro", "count": 10}},
        "cpython-3.5-darwin-arm64-apple-m1-pro-10cpu",
    ),
    (
        {
            **LINUX,
            "system": "Windows",
            "machine": "AMD64",
            "processor": "Intel64 Family 6 Model 158 Stepping 10, GenuineIntel",
            "cpu": {"count": 4},
        },
        "cpython-3.5-windows-x86_64-intel-6-158-4cpu",
    ),
    # a hook of the user's may write anything
    ({}, "unknown-unknown-unknown-unknown-0cpu"),
    ({"cpu": "fast", "python_version": 3}, "unknown-unknown-unknown-unknown-0cpu"),
]


@pytest.mark.parametrize(("machine", "slug"), MACHINES)
def test_the_machine_of_every_version(machine: dict[str, object], slug: str, tmp_path: Path) -> None:
    """The environment is named in our words as far as the file says what it is."""
    content = {"machine_info": machine, "datetime": "2016-11-23T10:00:00.5", "benchmarks": []}
    (tmp_path / "0001.json").write_text(json.dumps(content))
    about = read(tmp_path / "0001.json").about
    assert (about.environment, about.started) == (slug, "2016-11-23T10:00:00.500000+00:00")


def test_what_python_writes_and_json_does_not_have(tmp_path: Path) -> None:
    """A file with NaN in it is read all the same."""
    text = REAL.read_text().replace('"group": null', '"group": NaN')
    (tmp_path / "0001.json").write_text(text)
    assert len(read(tmp_path / "0001.json").values) == 4


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("{", "is not a file of pytest-benchmark"),
        ("[]", "is not a file of pytest-benchmark"),
        ('{"benchmarks": [{"fullname": "a", "stats": {}}], "datetime": "2026-01-01"}', "missing required field `min`"),
        ('{"benchmarks": [], "datetime": "yesterday"}', "'yesterday', which is no time"),
        ('{"benchmarks": [{"fullname": "a", "stats": {"min": NaN}}], "datetime": "2026-01-01"}', "which is no number"),
        ("\udcff", "is not a file of pytest-benchmark"),
    ],
)
def test_a_foreign_file(content: str, seen: str, tmp_path: Path) -> None:
    """A file that is none of pytest-benchmark's is an error that names it."""
    path = tmp_path / "0001.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(HistoryError, match=seen) as caught:
        read(path)
    assert str(path) in str(caught.value)


def run() -> Run:
    quantiles = (1.0, 1.1, 1.2, 1.3, 1.4, 1.8, 3.0)
    rows = (
        Row(
            A,
            (Sample(1.0, 30, 4, quantiles, 0.1), Sample(1.1, 10, 4, tuple(q + 0.1 for q in quantiles))),
            "abc",
            0.1,
            0.05,
        ),
        Row(Key(A.test, "", "peak"), (Sample(100.0, 1, 1),), "abc", 0.1, 0.05),
        Row(Key(A.test, "cold", "latency"), (Sample(2.0, 1, 1),), "abc", 0.1, 0.05),
    )
    return Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", HERE, {"commit": "5f1d", "python": "3.11.7"}, rows)


def test_out_and_in_again(tmp_path: Path) -> None:
    """What we write for pytest-benchmark is read back with the same values, place and time."""
    path = tmp_path / "benchmark.json"
    path.write_text(pytest_benchmark.render(run(), gate(run(), {}).judgements))
    record = read(path)
    assert {value.key.test: value.value for value in record.values} == {A.test: 1.0, f"{A.test} [cold]": 2.0}
    assert record.about.environment == HERE.slug
    assert (record.about.commit, record.about.started) == ("5f1d", "2026-01-01T00:00:00.000000+00:00")


def test_statistics_from_quantiles() -> None:
    """Mean and deviation are those of readings spread evenly between the quantiles, and one that was the slowest."""
    found = json.loads(pytest_benchmark.render(run(), gate(run(), {}).judgements))["benchmarks"][0]
    borders = [(0.0, 1.0), (0.05, 1.1), (0.25, 1.2), (0.5, 1.3), (0.75, 1.4), (0.95, 1.8)]

    def readings(count: int, more: float) -> list[float]:
        values = []
        for (p0, a), (p1, b) in pairwise(borders):
            n = round((p1 - p0) * 12_000)
            values += [a + (b - a) * (place + 0.5) / n + more for place in range(n)]
        slowest = 12_000 * min(1 / count, 0.05)
        return values + [3.0 + more] * round(slowest) + [1.8 + more] * round(600 - slowest)

    pooled = readings(30, 0.0) * 3 + readings(10, 0.1)
    stats = found["stats"]
    assert stats["mean"] == pytest.approx(fmean(pooled), rel=1e-6)
    assert stats["stddev"] == pytest.approx(pstdev(pooled), rel=1e-4)
    assert (stats["min"], stats["max"], stats["rounds"], stats["iterations"]) == (1.0, 3.1, 40, 4)
    assert stats["ops"] == 1 / stats["mean"]
    assert found["extra_info"] == {"verdict": "new", "peak": 100.0}


# --- asv ----------------------------------------------------------------------------------------------------------


def test_results_of_asv() -> None:
    """Times and peaks come in, one for each set of parameters; what failed, skipped itself or is no metric does not."""
    (record,) = read_all([DATA / "asv"])
    assert {(value.key.test, value.key.name, value.key.metric) for value in record.values} == {
        ("text.Parse.time_split", "10, 'ascii'", "latency"),
        ("text.Parse.time_split", "10, 'latin'", "latency"),
        ("text.Parse.time_split", "100, 'ascii'", "latency"),
        ("text.time_plain", "", "latency"),
        ("text.peakmem_list", "", "peak"),
    }
    assert {value.value for value in record.values if value.key.metric == "peak"} == {24629248.0}
    assert record.about.environment == "asv-ci-box-existing-py_usr_bin_python3.11"
    assert record.about.commit == "583817f3ed756a116b0bfc67ba3f0efbe899ed82"
    assert record.about.started == "2026-11-23T01:01:06.000000+00:00"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "box").mkdir()
    (tmp_path / "benchmarks.json").write_text('{"version": 1, "m.time_a": {"version": "v2"}}')
    return tmp_path


def write_result(folder: Path, **fields: object) -> None:
    content = {"commit_hash": "5f1d", "date": 1e12, "params": {"machine": "box"}, "python": "2.7", "requirements": {}}
    (folder / "box/5f1d-py2.7.json").write_text(json.dumps({**content, **fields}))


def test_results_of_an_old_asv(results: Path) -> None:
    """Format 1 holds a number, null, or a table with parameters; kinds are told by the names."""
    table = {"params": [["1", "2"]], "result": [3.0, None]}
    write_result(results, results={"m.time_a": 1.5, "m.time_b": table, "m.time_c": None, "m.mem_d": 4}, version=1)
    (record,) = asv.read(results)
    assert {(v.key.test, v.key.name): v.value for v in record.values} == {("m.time_a", ""): 1.5, ("m.time_b", "1"): 3.0}
    assert record.about.environment == "asv-box-py2.7"


def test_a_benchmark_of_asv_that_changed(results: Path) -> None:
    """A result of an older version of a benchmark is another benchmark's, and is left out."""
    columns = ["result", "params", "version"]
    entry = {"m.time_a": [[1.5], [], "v1"], "m.time_b": [[2.5], [], "v1"]}
    write_result(results, results=entry, result_columns=columns, version=2)
    (record,) = asv.read(results)
    assert [value.key.test for value in record.values] == ["m.time_b"]


@pytest.mark.parametrize(
    ("fields", "seen"),
    [({"version": 3}, "newer than the 2"), ({"date": "now", "results": {}}, "is not a result of asv"), ({}, "results")],
)
def test_a_damaged_result_of_asv(results: Path, fields: dict[str, object], seen: str) -> None:
    """A result that is newer or not whole is an error that names it."""
    write_result(results, **fields)
    with pytest.raises(HistoryError, match=seen) as caught:
        list(asv.read(results))
    assert "5f1d-py2.7.json" in str(caught.value)


# --- whatever there is --------------------------------------------------------------------------------------------


def test_a_history_and_runs_of_a_branch(tmp_path: Path) -> None:
    """Our own files come in too: a history of another machine, and a file of JSON lines."""
    first, second = (make_record(f"2026-01-0{day}", "here", {}, [Value(A, float(day))]) for day in (1, 2))
    with open_history(tmp_path / "history.sqlite") as history:
        history.add([first])
    (tmp_path / "run.jsonl").write_bytes(encode(second))
    assert list(read_all([tmp_path / "history.sqlite", tmp_path / "run.jsonl"])) == [first, second]
    (tmp_path / "run.jsonl").write_bytes(encode(second)[:-20])
    with pytest.raises(HistoryError, match=r"run\.jsonl: it is not a run of a history"):
        list(read_all([tmp_path / "run.jsonl"]))


def test_a_folder_of_nothing(tmp_path: Path) -> None:
    """A folder in which there is nothing to import is an error."""
    with pytest.raises(HistoryError, match="neither files of pytest-benchmark nor"):
        list(read_all([tmp_path]))


# --- out ----------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.builds(
    Value,
    st.builds(Key, TEXT, TEXT, st.sampled_from(["latency", "peak", "other"])),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.floats(0, 1),
    st.none() | st.floats(0, 2),
    st.none() | st.just(math.inf),
    st.sampled_from(["new", "regressed", "over budget"]),
)


@settings(max_examples=25)
@given(st.lists(VALUES, max_size=4))
def test_every_format_is_read_by_its_reader(values: list[Value]) -> None:
    """CSV, JSON and OpenMetrics hold every value under its names, whatever characters are in them."""
    record = make_record("2026-01-01", "here", {"commit": "5f1d"}, {value.key: value for value in values}.values())
    expected = {(v.key.test, v.key.name, v.key.metric): (v.value, v.verdict) for v in record.values}
    rows = list(csv.DictReader(io.StringIO("".join(csv_lines([record])), newline=""), strict=True))
    assert {(r["test"], r["name"], r["metric"]): (float(r["value"]), r["verdict"]) for r in rows} == expected
    entries = json.loads("".join(json_lines([record])), parse_constant=pytest.fail)
    assert {(e["test"], e["name"], e["metric"]): (e["value"], e["verdict"]) for e in entries} == expected
    families = list(text_string_to_metric_families(openmetrics.render(record)))
    failed = {
        (s.labels.get("test", ""), s.labels.get("name", ""), s.labels["metric"]): s.value
        for family in families
        for s in family.samples
        if s.name == "pe_perf_failed"
    }
    assert failed == {key: float(verdict != "new") for key, (_, verdict) in expected.items()}
    seconds = [s.value for family in families for s in family.samples if s.name == "pe_perf_latency_seconds"]
    assert seconds == [v.value for v in record.values if v.key.metric == "latency"]


def test_a_run_file_with_its_verdicts(tmp_path: Path) -> None:
    """An export says what the gate said, also of a ratio that JSON has no word for; what is no run file is refused."""
    baseline = {key: BaselineRow(key, value, "abc", 0.1) for key, value in ((A, 1.0), (Key(A.test, "", "peak"), 0.0))}
    report = gate(run(), baseline)
    write_run(tmp_path / "run.json", run(), report)
    assert run_file.read(tmp_path / "run.json") == (run(), report)
    (tmp_path / "run.json").write_text(
        (tmp_path / "run.json").read_text().replace('"verdict": "new"', '"verdict": "?"')
    )
    with pytest.raises(RunFileError, match="is not a run file"):
        run_file.read(tmp_path / "run.json")
