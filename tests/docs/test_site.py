"""The site: what is made for it from the code, and that nothing in it is loaded from elsewhere."""

from __future__ import annotations

import importlib.util
import re
import struct
from dataclasses import fields
from pathlib import Path

import click
import pytest

import engine_opt
from pytest_pe_perf.cli import cli
from pytest_pe_perf.config import Settings
from pytest_pe_perf.model import METRICS, Verdict

ROOT = Path(__file__).parents[2]


def load(name):
    """Return a module of the site, which is no package."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", ROOT / f"docs/site/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


loaded_from_elsewhere = load("offline").loaded_from_elsewhere


@pytest.fixture(scope="module")
def pages():
    """Return the pages that are made from the code."""
    return load("pages").pages()


def test_the_tables_are_complete(pages):
    """Every setting, metric, verdict and option is a row of its own."""
    page = pages["reference/at-a-glance.md"]
    for name in (*(field.name for field in fields(Settings)), *METRICS, *Verdict):
        assert f"| `{name}` |" in page, name
    assert len(re.findall(r"^\| `--pe-perf[ `-]", page, re.MULTILINE)) >= 12
    assert "| `time` | `1.0` | `2.0` | `--pe-perf-time` |" in page
    assert (
        len({line.count(" | ") for line in page.split("## Settings")[1].split("##")[0].splitlines() if "|" in line})
        == 1
    )


def test_every_command_is_there_with_its_help(pages):
    """Each verb, and each verb of a verb, has a heading and what its --help says."""
    page = pages["reference/command-line.md"]
    names = [*cli.commands, *(f"history {name}" for name in cli.commands["history"].commands)]
    for name in names:
        assert f"\n## pe-perf {name}\n\n```text\nUsage: pe-perf {name}" in page
    assert max(map(len, page.splitlines())) <= 100
    assert isinstance(cli.commands["history"], click.Group)


def test_every_public_name_of_the_engine_is_there(pages):
    """The page of names has what ``engine_opt`` promises, and nothing else."""
    page = pages["engine/names.md"]
    assert set(re.findall(r"^## (\w+)$", page, re.MULTILINE)) == set(engine_opt.__all__)
    assert "\n### ProtocolEngine.decide\n\n```python\ndecide(request: WeekRequest) -> EngineDecision\n```" in page
    assert not re.search(r"ForwardRef|<\w+ object|0x[0-9a-f]{6}", page)
    assert "Measure(fixture: str, bench: Bench | None, *, time: bool = False" in pages["reference/fixtures.md"]


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://unpkg.com/x.js"></script>',
        "<script async src=//cdn.example.org/x.js>",
        '<link rel="preconnect" href="https://fonts.gstatic.com" crossorigin>',
        '<img alt="" srcset="https://example.org/a.png 2x">',
        "@import url(https://example.org/a.css)",
        "background:url( 'http://example.org/a.png' )",
    ],
)
def test_what_is_loaded_from_elsewhere_is_seen(text):
    """Scripts, styles, fonts and pictures of other servers are found, however they are written."""
    assert len(loaded_from_elsewhere(text)) >= 1


def test_what_is_only_linked_is_not_loaded():
    """Links, canonical addresses, files of our own and data in the page are no requests."""
    page = '<a href="https://example.org">x</a><script src="../a.js"></script><img src="data:image/png;base64,//">'
    page += '<link rel="canonical" href="https://example.org/"><link rel="icon" href="data:,">url(data:font/woff2)'
    assert loaded_from_elsewhere(page) == []


def test_the_sample_report_is_small_and_stands_alone():
    """It is a file of this version's page, loads nothing, and names no folder of the machine that made it."""
    data = (ROOT / "docs/sample/sample-report.html").read_bytes()
    page = data.decode()
    assert len(data) < 300_000
    assert loaded_from_elsewhere(page) == []
    assert "regressed" in page
    assert not re.search(r"/(home|root|tmp|work|Users)/", page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pictures_are_small_and_as_wide_as_a_screen(theme):
    """README shows the report in both themes, each picture 1280 pixels wide and light enough for a page."""
    path = f"docs/images/report-{theme}.png"
    data = (ROOT / path).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", data[16:20]) == (1280,)
    assert len(data) < 120_000
    assert f'"{path}"' in (ROOT / "README.md").read_text()
