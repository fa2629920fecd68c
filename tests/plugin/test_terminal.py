"""What a session shows at the end, on a screen of 80 columns: as much as was asked for, and nothing over the edge."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys

import pytest
from _pytest.terminal import TerminalReporter

from pytest_pe_perf import activate
from pytest_pe_perf.report.progress import LiveLine, PlainLines, Silent

CONFTEST = """
import pytest
from pytest_pe_perf.report import progress

progress._LONG = 0.0  # whoever waits here has waited for long

def pytest_addoption(parser):
    parser.addoption("--more", action="store_true")

@pytest.fixture
def more(request):
    return request.config.getoption("more")
"""
NAME = "test_what_it_costs_to_read_a_table_of_many_rows"
# Allocations repeat: what is red and what is green is no matter of the machine.
TESTS = f"""
import pytest

def build(n):
    return [str(i) * 9 for i in range(n)]

@pytest.mark.parametrize("kind", ["of numbers with a name that nobody could call short"])
def {NAME}(pe_memory, more, kind):
    pe_memory["first reading"](build, 80 if more else 40)

def test_steady(pe_memory):
    pe_memory(build, 40)
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def shown(text):
    """Return the section of the gate, without colours."""
    return COLOUR.sub("", text).partition("= pe-perf =")[2].partition("\n=====")[0].split("\n", 1)[1]


@pytest.fixture(scope="module")
def screens(shared):
    """Return what sessions print where the screen has 80 columns."""
    shared.write("conftest.py", CONFTEST)
    shared.write("test_it.py", TESTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        patch.setenv("NO_COLOR", "1")
        asked = {
            "accepted": ["--pe-perf-update"],
            "green": [],
            "quiet": ["-q"],
            "verbose": ["-v", "--color=yes"],
            "red": ["--more"],
        }
        return dict(zip(asked, shared.in_turn(*asked.values()), strict=True))


def test_nothing_is_over_the_edge(screens):
    """No line of ours is wider than the screen: of header, progress, messages and tables; a command alone may be."""
    for result in screens.values():
        text = COLOUR.sub("", result.out)
        ours = [*shown(text).splitlines(), *re.findall(r"^pe-perf: .*", text, re.MULTILINE)]
        message = text.partition("= FAILURES =")[2].partition("= pe-perf =")[0].splitlines()[1:]
        assert len(ours) > 2
        for line in (*ours, *message):
            assert len(line) <= 80 or line.startswith(("  pe-perf update ", "_ test_")), line


def test_green_is_short_and_its_last_line_is_the_verdict(screens):
    """Nothing that is as it was is listed unless -v asks; with -q the verdict is all there is."""
    assert shown(screens["quiet"].out).splitlines()[:-1] == ["pe-perf: 6 unchanged"]  # pytest's own line is the last
    assert shown(screens["green"].out).splitlines() == [" report: .pe-perf/report.html", "pe-perf: 6 unchanged"]
    verbose = shown(screens["verbose"].out).splitlines()
    assert sum(line.endswith("= unchanged") for line in verbose) == 6
    assert verbose[-1] == "pe-perf: 6 unchanged"


def test_a_long_run_says_how_far_it_is(screens):
    """Between two tests a line has what is done and the time left, and with -q there is none."""
    line = re.compile(r"^pe-perf: 1 of 2 performance tests, about \d+ s left$", re.MULTILINE)
    assert len(line.findall(screens["green"].out)) == 1
    assert line.findall(screens["quiet"].out) == []


def test_what_was_accepted_is_said(screens):
    """A run that updates the baseline shows what it wrote, and its own rows as accepted."""
    text = shown(screens["accepted"].out)
    assert "pe-perf: 6 accepted" in text
    assert text.rstrip().endswith("6 create")


def test_red_names_test_and_change_and_ends_loud(screens):
    """The failed test's message, the table and the last line agree, and a slow verdict has said what it waits for."""
    out = screens["red"].out
    module, head, row, *_, last = shown(out).splitlines()
    assert "\n[first reading] allocations of a call (allocations) regressed: " in out
    assert out.count("accept with:") == 1
    assert (module, head.split()[0]) == ("test_it.py", "test")
    assert row.rstrip().endswith("REGRESSED")
    assert re.fullmatch(r"pe-perf: \d regressed, \d unchanged", last)
    assert "\npe-perf: measuring" in out


def test_colours_are_for_those_who_want_them(screens):
    """NO_COLOR is honoured, and --color=yes comes before it, as everywhere in pytest."""
    assert "\x1b" not in screens["red"].out
    assert "\x1b[32m\x1b[1mpe-perf: 6 unchanged\x1b[0m" in screens["verbose"].out


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of its own")
@pytest.mark.parametrize("no_color", ["", "1"])
def test_pe_perf_honours_it_too(screens, shared, no_color):
    """On a terminal `pe-perf report` shows the same table, in colours unless NO_COLOR forbids them."""
    reader, writer = os.openpty()
    command = [sys.executable, "-c", "from pytest_pe_perf.cli import main; main()", "report"]
    environ = {**shared.environ(), "NO_COLOR": no_color, "COLUMNS": "80", "TERM": "xterm"}
    subprocess.run(command, cwd=shared.folder, env=environ, stdout=writer, check=True)
    os.close(writer)
    text = b""
    with contextlib.suppress(OSError):  # the end of what a terminal was sent
        while part := os.read(reader, 65536):
            text += part
    os.close(reader)
    assert (b"\x1b[" in text) is not bool(no_color)
    assert COLOUR.sub("", text.decode()).splitlines()[-1] in screens["red"].out


@pytest.mark.parametrize(
    ("watched", "verbose", "environ", "kind"),
    [
        (True, 0, {}, LiveLine),
        (True, 1, {}, LiveLine),
        (True, -1, {}, Silent),
        (True, 0, {"TERM": "dumb"}, PlainLines),
        (True, 0, {"CI": "true"}, PlainLines),
        (False, 0, {}, PlainLines),
        (False, -1, {}, Silent),
    ],
)
def test_progress_is_written_over_only_where_somebody_watches(request, monkeypatch, watched, verbose, environ, kind):
    """A line in place on a terminal, plain lines for a log, a dumb terminal and continuous integration, none with -q."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm"} | environ).items():
        monkeypatch.setenv(name, value)
    reporter = TerminalReporter(request.config, io.StringIO())
    with monkeypatch.context() as patch:
        patch.setattr(reporter, "isatty", lambda: watched)
        patch.setattr(request.config.pluginmanager, "get_plugin", {"terminalreporter": reporter}.get)
        patch.setattr(request.config.option, "verbose", verbose)
        meter = activate._meter(request.config)
    assert type(meter) is kind
