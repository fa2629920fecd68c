"""The story of sixty commits: what happened to a project, and what ``pe-perf history --changes`` says of it."""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_pe_perf.cli import main
from pytest_pe_perf.history.record import Value, encode, make_record
from pytest_pe_perf.model import Key
from pytest_pe_perf.report.screen import width_of

COMMITS = 60
FIRST = datetime(2026, 1, 1, 12, tzinfo=UTC)
# What each commit did, as its message says; all others are about something else.
SLOWER, RENAMED, SPIKE, FASTER, MORE, MACHINE, SORTED = 15, 24, 28, 33, 38, 45, 52
SUBJECTS = {
    SLOWER: "Check every field twice",
    RENAMED: "Rename test_join, and join in one more pass",
    FASTER: "Compile the pattern once",
    MORE: "Keep three more lists",
    SORTED: "Sort in place",
}
OLD_MACHINE, NEW_MACHINE = (f"cpython-3.11-linux-x86_64-amd-25-1-{cores}cpu" for cores in (2, 4))
WORDS = """\
cpython-3.11-linux-x86_64-amd-25-1-4cpu
2026-02-22  COMMIT  latency -20.4 % (-22.0 to -18.7)
  tests/perf/test_text.py::test_sort
cpython-3.11-linux-x86_64-amd-25-1-2cpu
2026-02-14  COMMIT  latency +8.5 %, crept since 2026-01-01
  tests/perf/test_text.py::test_load
2026-02-08  COMMIT  allocations +7.5 % (+7.5 to +7.5)
  tests/perf/test_text.py::test_parse
2026-02-03  COMMIT  latency -15.0 % (-15.8 to -14.2)
  tests/perf/test_text.py::test_parse
2026-01-25  COMMIT  latency +12.0 % (+11.1 to +13.0)
  tests/perf/test_text.py::test_concat
2026-01-16  COMMIT  latency +20.2 % (+19.2 to +21.3)
  tests/perf/test_text.py::test_parse
"""
Command = Callable[..., str]


def key(name: str, metric: str = "latency") -> Key:
    return Key(f"tests/perf/test_text.py::test_{name}", "", metric)


def values(commit: int, rng: random.Random) -> list[Value]:
    """Return what was measured of a commit: noise of 1 %, on a machine that takes 0.6 of the time from one on."""

    def time(level: float) -> float:
        return 1e-3 * level * math.exp(rng.gauss(0, 0.01)) * (0.6 if commit >= MACHINE else 1.0)

    parse = (1.2 if commit >= SLOWER else 1.0) * (0.85 if commit >= FASTER else 1.0)
    rows = {
        key("parse"): time(parse),
        key("load"): time(1.003**commit),
        key("save"): time(5.0 if commit == SPIKE else 1.0),
        key("sort"): time(0.8 if commit >= SORTED else 1.0),
        key("concat" if commit >= RENAMED else "join"): time(1.12 if commit >= RENAMED else 1.0),
        key("find"): time(1.0),
        key("parse", "allocations"): 43.0 if commit >= MORE else 40.0,
        key("parse", "peak"): 8192.0,
    }
    return [Value(row, value, verdict="unchanged") for row, value in rows.items()]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of sixty commits, with the runs of a nightly job in ``runs``."""
    folder = tmp_path_factory.mktemp("story")
    (folder / "pyproject.toml").write_text('[project]\nname = "text"\n')

    def git(*arguments: str, stdin: str = "") -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout

    git("init", "-q", "-b", "main")
    stream = []
    for commit in range(COMMITS):
        subject = SUBJECTS.get(commit, f"Work {commit}").encode()
        stream.append(f"commit refs/heads/main\ncommitter Ann <ann@example.org> {1767268800 + commit} +0000")
        stream.append(f"data {len(subject)}\n{subject.decode()}\nM 100644 inline a.txt\ndata 2\n{commit:02}\n")
    git("fast-import", "--quiet", stdin="\n".join(stream))
    hashes = git("log", "--reverse", "--format=%H", "main").split()
    rng = random.Random(60)
    (folder / "runs").mkdir()
    for commit, name in enumerate(hashes):
        where = NEW_MACHINE if commit >= MACHINE else OLD_MACHINE
        started = (FIRST + timedelta(days=commit)).isoformat()
        record = make_record(started, where, {"commit": name, "branch": "main"}, values(commit, rng))
        (folder / f"runs/{commit:02}.jsonl").write_bytes(encode(record))
    return folder


@pytest.fixture
def pe_perf(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Command:
    """Return a function that runs the command line on a history of the test's own, and returns what it printed."""
    monkeypatch.chdir(project)
    (project / "pyproject.toml").write_text(
        f'[project]\nname = "text"\n[tool.pe_perf]\nhistory = "{tmp_path / "history.sqlite"}"\n'
    )

    def command(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["pe-perf", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = (stream.decode() for stream in capsysbinary.readouterr())
        assert (ended.value.code or 0) == 0, err
        return out

    return command


def runs(first: int, last: int) -> list[str]:
    return [f"runs/{commit:02}.jsonl" for commit in range(first, last)]


def found(pe_perf: Command) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return what changed, by test, metric and the subject of the commit that is named."""

    def subject(name: str) -> str:
        command = ["git", "log", "-1", "--format=%s", name]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    return {
        (one["key"]["test"].rpartition("_")[2], one["key"]["metric"], subject(change["commit"])): change
        for one in json.loads(pe_perf("history", "--changes", "--json"))
        for change in one["changes"]
    }


def test_what_is_said_is_what_happened(pe_perf: Command, project: Path) -> None:
    """Each step with its commit, size and interval; the creep as a creep; the spike and the new machine not at all."""
    assert pe_perf("import", "runs").startswith("60 of 60 runs added")
    assert pe_perf("history", "rename", key("join").test, key("concat").test) == (
        f"{key('join').test} goes on as {key('concat').test}\n"
    )
    said = found(pe_perf)
    truth = {
        ("parse", "latency", SUBJECTS[SLOWER]): 1.2,
        ("parse", "latency", SUBJECTS[FASTER]): 0.85,
        ("parse", "allocations", SUBJECTS[MORE]): 43 / 40,
        ("sort", "latency", SUBJECTS[SORTED]): 0.8,
        ("concat", "latency", SUBJECTS[RENAMED]): 1.12,
    }
    assert said.keys() == truth.keys()
    for place, ratio in truth.items():
        change = said[place]
        # To rounding: a count's interval has no width.
        assert change["low"] * (1 - 1e-9) <= ratio <= change["high"] * (1 + 1e-9), place
        assert change["ratio"] == pytest.approx(ratio, rel=0.02)
        assert change["settled"]
        assert change["p"] < 0.01
    (crept,) = [one for one in json.loads(pe_perf("history", "--changes", "--json")) if one["creeps"]]
    assert (crept["key"]["test"], crept["environment"]) == (key("load").test, OLD_MACHINE)
    assert crept["creeps"][0]["start"] == 0
    assert crept["creeps"][0]["end"] == MACHINE


def test_the_same_in_words(pe_perf: Command) -> None:
    """Lines of 80 columns, by machine, the newest first: when, which commit, what, how much."""
    pe_perf("import", "runs")
    pe_perf("history", "rename", key("join").test, key("concat").test)
    text = pe_perf("history", "--changes")
    lines = text.splitlines()
    assert max(map(width_of, lines)) <= 80
    said = [re.sub(r"  [0-9a-f]{10}  ", "  COMMIT  ", line) for line in lines]
    assert said == WORDS.splitlines()
    shown = pe_perf("history", "show", key("join").test)
    assert shown.startswith(key("concat").test)
    assert f"  earlier: {key('join').test}" in shown.splitlines()


def test_it_is_known_as_soon_as_it_can_be_and_stays_known(pe_perf: Command) -> None:
    """Two runs are no change; three are one that may be outliers yet; later it is settled, and stays where it is."""
    slower = ("parse", "latency", SUBJECTS[SLOWER])
    pe_perf("import", *runs(0, SLOWER + 2))
    assert found(pe_perf) == {}
    pe_perf("import", *runs(SLOWER + 2, SLOWER + 3))
    assert found(pe_perf).keys() == {slower}
    assert "; may be outliers yet\n" in pe_perf("history", "--changes")
    pe_perf("import", *runs(SLOWER + 3, FASTER))
    assert found(pe_perf)[slower]["settled"]
    pe_perf("import", *runs(FASTER, COMMITS))
    assert slower in found(pe_perf)


def test_machines_that_take_turns_hide_nothing(pe_perf: Command, tmp_path: Path) -> None:
    """Every other run on another machine, as from a pool: each machine sees the change, and neither sees the other."""
    rng, folder = random.Random(1), tmp_path / "pool"
    folder.mkdir()
    for day in range(COMMITS):
        level = (1.1 if day >= 30 else 1.0) * (1.7 if day % 2 else 1.0)
        value = Value(key("pool"), level * math.exp(rng.gauss(0, 0.01)))
        started = (FIRST + timedelta(days=day)).isoformat()
        record = make_record(started, (OLD_MACHINE, NEW_MACHINE)[day % 2], {"commit": f"{day:040x}"}, [value])
        (folder / f"{day:02}.jsonl").write_bytes(encode(record))
    pe_perf("import", str(folder))
    said = json.loads(pe_perf("history", "--changes", "--json"))
    assert sorted((one["environment"], [change["commit"] for change in one["changes"]]) for one in said) == [
        (OLD_MACHINE, [f"{30:040x}"]),
        (NEW_MACHINE, [f"{31:040x}"]),
    ]
