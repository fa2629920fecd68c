from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from pytest_pe_perf.cli.judged import read_judged
from pytest_pe_perf.cli.watch import PageServer
from pytest_pe_perf.model import (
    RUN_FORMAT,
    Comparison,
    Environment,
    GateReport,
    Judgement,
    Key,
    Row,
    Run,
    Sample,
    Skipped,
    Verdict,
)
from pytest_pe_perf.runfile import write_run

HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
A, B = "tests/test_x.py::test_a[1]", "tests/test_x.py::test_<script>alert(1)</script>"
FILE = ".pe-perf/run.json"
Command = Callable[..., str]


def judged(test: str, verdict: Verdict, head: float) -> Judgement:
    comparison = Comparison(1e-3, head, head / 1e-3, head / 1.1e-3, head / 9e-4, 3, 0.1, 0.08, "stored")
    return Judgement(Key(test, "", "latency"), verdict, "because", head, comparison, None, 12)


def write(project: Path, *judgements: Judgement, name: str = FILE) -> None:
    quantiles = (1e-3, 1.1e-3, 1.2e-3, 1.3e-3, 1.4e-3, 1.8e-3, 3e-3)
    rows = tuple(
        Row(one.key, (Sample(one.value or 1e-3, 30, 4, quantiles, 0.1),), "abc", 0.1, 0.05) for one in judgements
    )
    skipped = (Skipped("tests/test_x.py::test_c", "no network"),)
    run = Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", HERE, {"commit": "5f1d"}, rows, skipped)
    write_run(project / name, run, GateReport(HERE, judgements, skipped, ("a note",)))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "ours"\n')
    write(tmp_path, judged(A, Verdict.REGRESSED, 2e-3), judged(B, Verdict.UNCHANGED, 1e-3))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_a_session_said_is_said_again(project: Path, pe_perf: Command) -> None:
    """Without a format it is the terminal's report, notes and tests that were not measured included."""
    said = pe_perf("report")
    assert "▲ REGRESSED" in said
    assert "2x" in said
    assert "note: a note" in said
    assert "no network" in said
    assert "pe-perf: 1 regressed, 1 unchanged;" in said
    assert "= unchanged" not in said
    assert "= unchanged" in pe_perf("report", "--verbose")


def test_a_report_is_not_a_gate(project: Path, pe_perf: Command) -> None:
    """The exit status is that of the writing: 0 although a test regressed."""
    assert pe_perf("report", "--format", "badge") == (
        '{"schemaVersion": 1, "label": "performance", "message": "1 regressed", "color": "red"}\n'
    )


@pytest.mark.parametrize("name", ["markdown", "annotations", "junit", "sarif", "gitlab", "terminal"])
def test_every_format_names_what_regressed(project: Path, pe_perf: Command, name: str) -> None:
    """Printed, or written to a file, with the same bytes."""
    printed = pe_perf("report", "--format", name)
    assert "test_a[1]" in printed
    assert pe_perf("report", FILE, "--format", name, "--output", "out/x") == f"wrote {Path('out/x')}\n"
    assert (project / "out/x").read_bytes() == printed.encode()


def test_several_formats_at_once(project: Path, pe_perf: Command) -> None:
    """Each has its file; too few or too many files are a usage error, and nothing is written."""
    both = ["report", "--format", "badge", "--format", "gitlab", "--output", "badge.json"]
    assert "give an --output for each --format" in pe_perf(*both, status=2)
    assert not (project / "badge.json").exists()
    pe_perf(*both, "--output", "quality.json")
    assert json.loads((project / "badge.json").read_text())["color"] == "red"
    assert json.loads((project / "quality.json").read_text())[0]["location"]["path"] == "tests/test_x.py"


def test_files_are_named_from_the_root_of_the_repository(project: Path, pe_perf: Command) -> None:
    """In a repository of several projects the paths of annotations begin at its root."""
    (project / ".git").mkdir()
    inner = project / "packages" / "one"
    write(inner, judged(A, Verdict.REGRESSED, 2e-3))
    (inner / "pyproject.toml").write_text("")
    assert "::error file=tests/test_x.py,line=12," in pe_perf("report", "--format", "annotations")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(inner)
        assert "file=packages/one/tests/test_x.py,line=12," in pe_perf("report", "--format", "annotations")


def test_the_page_is_written_anew(project: Path, pe_perf: Command) -> None:
    """By default in the page's own place; what stands in the run file is escaped."""
    assert pe_perf("report", "--format", "html") == f"wrote {project / '.pe-perf/report.html'}\n"
    page = (project / ".pe-perf/report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "<script>alert" not in page


def test_help_and_completion(project: Path, pe_perf: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The help lists every format and ends with an example; a shell completes the formats."""
    said = pe_perf("report", "--help")
    assert "Example: pe-perf report --format markdown --output summary.md" in said
    assert "a report is not a gate" in said
    assert "\n  sarif        SARIF 2.1.0 for code scanning\n" in said
    assert max(map(len, said.splitlines())) <= 80
    monkeypatch.setenv("_PE_PERF_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "pe-perf report --format ")
    monkeypatch.setenv("COMP_CWORD", "3")
    offered = pe_perf().split()
    assert offered == [
        f"plain,{name}" for name in ("terminal", "markdown", "annotations", "junit", "sarif", "badge", "gitlab", "html")
    ]


# --- files that are not what we wrote -----------------------------------------------------------------------------


def changed(project: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((project / FILE).read_text())
    change(content)
    (project / FILE).write_text(json.dumps(content))


_WRONG: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("no verdicts", lambda c: c.pop("judgements"), "holds a run without verdicts"),
    ("another type", lambda c: c.update(judgements="all well"), "is not a run file"),
    ("a word of none", lambda c: c["judgements"][0].update(verdict="splendid"), "is not a run file"),
    ("an unknown metric", lambda c: c["judgements"][0]["key"].update(metric="mood"), "unknown metric 'mood'"),
    ("a negative value", lambda c: c["judgements"][0].update(value=-1), "a number that cannot be"),
    ("a line before the first", lambda c: c["judgements"][0].update(line=-1), "a number that cannot be"),
    ("a negative ratio", lambda c: c["judgements"][0]["comparison"].update(low=-1), "a number that cannot be"),
    ("two verdicts on a row", lambda c: c["judgements"].append(c["judgements"][0]), "two verdicts on the latency"),
    ("no date", lambda c: c["run"].update(started="yesterday"), "is not a run file"),
    ("from the future", lambda c: c["run"].update(format=RUN_FORMAT + 1), "newer than"),
]


@pytest.mark.parametrize(("change", "message"), [(c, m) for _, c, m in _WRONG], ids=[name for name, _, _ in _WRONG])
def test_a_damaged_file_is_refused(
    project: Path, pe_perf: Command, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    """With exit status 2, the file's name and what is wrong with it; nothing is written."""
    changed(project, change)
    said = pe_perf("report", "--format", "markdown", "--output", "summary.md", status=2)
    assert message in said
    assert "run.json" in said
    assert "bad-run-file" in said
    assert not (project / "summary.md").exists()


def test_a_hostile_file_is_refused(project: Path, pe_perf: Command) -> None:
    """Nested deeper than any reader follows, no JSON, bytes that are no text, a folder, nothing there."""
    (project / FILE).write_bytes(b'{"run":' + b"[" * 100_000)
    assert "is not a run file" in pe_perf("report", status=2)
    whole = b'{"run": {"format": 1}, "judgements": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    (project / FILE).write_bytes(whole)
    assert "is not a run file" in pe_perf("report", status=2)
    (project / FILE).write_bytes(b"\xff\xfe{")
    assert "is not a run file" in pe_perf("report", status=2)
    assert "is a directory" in pe_perf("report", ".pe-perf", status=2)
    assert "cannot read" in pe_perf("report", "nowhere.json", status=2)
    (project / FILE).unlink()
    assert "make one with: pytest --pe-perf" in pe_perf("report", status=2)


def test_a_growth_from_nothing_is_read_back(project: Path, pe_perf: Command) -> None:
    """JSON has no word for the ratio against zero: it stands there as null and is shown in words."""
    endless = float("inf")
    comparison = Comparison(0.0, 10.0, endless, endless, endless, 3, endless, endless, "counts")
    write(project, Judgement(Key(A, "", "peak"), Verdict.REGRESSED, "from 0 B", 10.0, comparison))
    said = pe_perf("report", "--format", "markdown").replace("\N{NO-BREAK SPACE}", " ")
    assert "| 0 B → 10 B, from 0 | counted exactly | any growth from 0 |" in said


# --- the page while a run goes on ---------------------------------------------------------------------------------


@pytest.fixture
def watched(project: Path) -> Iterator[PageServer]:
    """Serve what the run file's notes say, in a thread."""

    def build() -> str:
        return f"<p>{len(read_judged(project / FILE)[1].judgements)} rows"

    with PageServer(project / FILE, build) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: PageServer, path: str, host: str = "") -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    said = answer.status, answer.read().decode()
    connection.close()
    return said


def test_the_page_follows_the_file(project: Path, watched: PageServer) -> None:
    """A new run has a new stamp and a new page; a damaged one a message, and the next one a page again."""
    assert "/report.html" in ask(watched, "/")[1]
    assert "/stamp" in ask(watched, "/watch.js")[1]
    first = ask(watched, "/stamp")
    assert ask(watched, "/report.html") == (200, "<p>2 rows")
    write(project, judged(A, Verdict.UNCHANGED, 1e-3))
    assert ask(watched, "/stamp") != first
    assert ask(watched, "/report.html") == (200, "<p>1 rows")
    (project / FILE).write_text("<script>alert(1)</script>")
    status, said = ask(watched, "/report.html")
    assert (status, "is not a run file" in said) == (503, True)
    (project / FILE).unlink()
    assert ask(watched, "/stamp") == (200, "none")


def test_only_this_machine_and_only_these_pages(watched: PageServer) -> None:
    """It listens on loopback; another host's name is refused, and no file is served."""
    assert watched.address.startswith("http://127.0.0.1:")
    assert watched.server_address[0] == "127.0.0.1"
    assert ask(watched, "/report.html", host="evil.example")[0] == 403
    assert ask(watched, "/.pe-perf/run.json")[0] == 404
    assert ask(watched, "/../pyproject.toml")[0] == 404


def test_watching_writes_nothing(project: Path, pe_perf: Command) -> None:
    """Options that do not go together are refused."""
    assert "writes nothing" in pe_perf("report", "--watch", "--output", "x", status=2)
    assert "writes nothing" in pe_perf("report", "--watch", "--format", "markdown", status=2)
    assert "--port is for --watch" in pe_perf("report", "--port", "80", status=2)


@pytest.mark.skipif(os.name != "posix", reason="there are no signals to send")
def test_the_command_serves_until_it_is_interrupted(project: Path) -> None:
    """It says where the page is, serves it, writes nothing, and ends quietly."""
    # Not inherited: a shell that runs the tests in the background has its children ignore the interruption.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from pytest_pe_perf.cli import main; main()"
    )
    running = subprocess.Popen(
        [sys.executable, "-u", "-c", code, "report", "--watch"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    address, _, told = running.stdout.readline().partition(" ")
    assert told == f"shows {project / FILE}; stop it with Ctrl-C\n"
    with urlopen(f"{address}report.html", timeout=30) as answer:
        assert b"Content-Security-Policy" in answer.read()
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err) == (0, "", "")
    assert not (project / ".pe-perf/report.html").exists()
