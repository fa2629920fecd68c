"""What the documents say is so: commands are run, links lead somewhere, tables are complete."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from pytest_pe_perf import errors, plugin
from pytest_pe_perf.config import Settings
from pytest_pe_perf.runfile import schema

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def test_continuous_integration_runs_the_commands_of_the_readme():
    """The commands of README's first block stand in .ci/run, word by word."""
    first = re.search(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    script = (ROOT / ".ci/run").read_text().replace("--quiet ", "")
    parts = [part for line in first.splitlines() for part in line.removeprefix("$ ").split(" && ")]
    assert len(parts) == 4
    for part in parts:
        assert f"{part}\n" in script


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    """Every relative link of a document names a file that exists."""
    prose = re.sub(r"`[^`\n]*`", "", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def every_error():
    found, todo = [], [errors.PePerfError]
    while todo:
        kind = todo.pop()
        found.append(kind)
        todo += kind.__subclasses__()
    return found


def test_every_message_has_a_paragraph():
    """Each slug that a message can end with is a heading of the page of messages."""
    page = (ROOT / "docs/reference/messages.md").read_text()
    for kind in every_error():
        assert f"\n## {kind.slug}\n" in page


def test_every_setting_and_option_is_documented():
    """The reference names each setting, each option of pytest and each option of the markers."""
    page = (ROOT / "docs/reference/settings.md").read_text()
    for field in fields(Settings):
        assert re.search(rf"^{field.name} = ", page, re.MULTILINE), field.name
    for option in re.findall(r'"(--pe-perf[a-z-]*)"', Path(plugin.__file__).read_text()):
        assert f"`{option}" in page, option


def test_the_published_schema_is_the_one_of_the_code():
    """docs/reference/run.schema.json is what the code writes by."""
    assert json.loads((ROOT / "docs/reference/run.schema.json").read_text()) == schema()
