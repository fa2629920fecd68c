from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pe_perf.judge.gate import gate
from pytest_pe_perf.model import RUN_FORMAT, Environment, Key, Row, Run, Sample
from pytest_pe_perf.runfile import write_run

DATA = Path(__file__).parents[1] / "history" / "data"
HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
A = "tests/test_x.py::test_a[1]"
Command = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    quantiles = (1e-3, 1.1e-3, 1.2e-3, 1.3e-3, 1.4e-3, 1.8e-3, 3e-3)
    rows = (
        Row(Key(A, "", "latency"), (Sample(1e-3, 30, 4, quantiles, 0.1),), "abc", 0.1, 0.05),
        Row(Key(A, "", "peak"), (Sample(100.0, 1, 1),), "abc", 0.1, 0.05),
    )
    run = Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", HERE, {"commit": "5f1d"}, rows)
    write_run(tmp_path / ".pe-perf/run.json", run, gate(run, {}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_import_twice(project: Path, pe_perf: Command) -> None:
    """Files of both programs come in once, and are shown as what they are."""
    folder = project / ".benchmarks/Linux-CPython-3.11-64bit"
    folder.mkdir(parents=True)
    shutil.copy(DATA / "pytest-benchmark-5.3.1.json", folder / "0001_run.json")
    assert pe_perf("import", ".benchmarks", str(DATA / "asv")) == "2 of 2 runs added, with 9 values read\n"
    again = pe_perf("import", ".benchmarks")
    assert again == "0 of 1 runs added, with 4 values read; there already: 1\n"
    assert "4 imported" in pe_perf("history")
    assert "test_b.py::test_many[two/x]" in pe_perf("history", "show", "test_b.py")


def test_nothing_is_imported_where_a_file_is_damaged(project: Path, pe_perf: Command) -> None:
    """One file that cannot be read is named, and nothing of the others is added."""
    shutil.copy(DATA / "pytest-benchmark-5.3.1.json", project / "a.json")
    (project / "b.json").write_text("{")
    message = pe_perf("import", "a.json", "b.json", status=2)
    assert "b.json is not a file of pytest-benchmark" in message
    assert message.count("bad-history") == 1
    pe_perf("history", status=3)
    assert "does not exist" in pe_perf("import", "nowhere.json", status=2)


def test_pytest_benchmark_compares_our_runs(project: Path, pe_perf: Command) -> None:
    """The program pytest-benchmark reads our export beside a file of its own, and shows the numbers of both."""
    assert pe_perf("export", "--format", "pytest-benchmark", "--output", "ours.json") == "wrote ours.json\n"
    shutil.copy(DATA / "pytest-benchmark-5.3.1.json", project / "theirs.json")
    command = [sys.executable, "-m", "pytest_benchmark", "compare", "ours.json", "theirs.json", "--csv=both.csv"]
    # Without the plugins that happen to be installed here: it would load them all.
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=project, env=environ)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO((project / "both.csv").read_text()))}
    assert float(rows[A]["min"]) == 1e-3
    assert float(rows[A]["median"]) == 1.3e-3
    assert "test_b.py::test_plain" in rows
    assert "test_a[1]" in done.stdout


def test_what_github_action_benchmark_reads(project: Path, pe_perf: Command) -> None:
    """Its `pytest` tool takes these fields and no others: see docs/howto/import-and-export.md."""
    for bench in json.loads(pe_perf("export", "--format", "pytest-benchmark"))["benchmarks"]:
        stats = bench["stats"]
        assert bench["fullname"] == A
        assert stats["ops"] == pytest.approx(1 / stats["mean"])
        assert stats["stddev"] > 0
        assert stats["rounds"] == 30


def test_other_formats(project: Path, pe_perf: Command) -> None:
    """CSV, JSON and OpenMetrics hold every row of the run."""
    rows = list(csv.DictReader(io.StringIO(pe_perf("export", "--format", "csv"))))
    assert [(row["metric"], float(row["value"]), row["unit"]) for row in rows] == [
        ("latency", 1e-3, "s"),
        ("peak", 100, "B"),
    ]
    assert [entry["verdict"] for entry in json.loads(pe_perf("export", "--format", "json"))] == ["new", "new"]
    assert pe_perf("export", "--format", "openmetrics").endswith("# EOF\n")


def test_no_run(project: Path, pe_perf: Command) -> None:
    """Without a run, or with a file that is none, the message says how to make one."""
    (project / "other.json").write_text("{}")
    assert "make one with: pytest --pe-perf" in pe_perf("export", "--format", "csv", "--run", "other.json", status=2)
    assert "cannot read" in pe_perf("export", "--format", "csv", "--run", "nowhere.json", status=2)
    assert "Missing option" in pe_perf("export", status=2)
