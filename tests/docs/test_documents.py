"""What the documents say is so: commands are run, links lead somewhere, tables are complete."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from pytest_pe_perf import errors, plugin
from pytest_pe_perf.config import Settings
from pytest_pe_perf.runfile import schema

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?:<!-- (file|exit): (\S+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)


def blocks(path: Path):
    """Return (kind, argument, language, text) of the fenced blocks."""
    return [match.groups() for match in BLOCK.finditer(path.read_text(encoding="utf-8"))]


def commands(text: str):
    return [line[2:].split("  #")[0].strip() for line in text.splitlines() if line.startswith("$ ")]


def test_the_tutorial_works_word_by_word(tmp_path):
    """Every file of the tutorial is written and every command run, in order, with the exit status that it states."""
    # The tutorial needs no settings; with less time a test, what it says comes out the same and sooner.
    (tmp_path / "pyproject.toml").write_text('[tool.pe_perf]\ntime = "0.3 s"\n')
    folder = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {**os.environ, "PATH": folder, "PYTEST_ADDOPTS": ""}
    environ.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD", None)
    ran = 0
    for kind, argument, language, text in blocks(ROOT / "docs/tutorial.md"):
        if kind == "file":
            (tmp_path / argument).write_text(text)
        elif language == "console":
            for command in commands(text):
                done = subprocess.run(
                    command,
                    shell=True,
                    cwd=tmp_path,
                    env=environ,
                    capture_output=True,
                    text=True,
                    timeout=300,
                    check=False,
                )
                expected = int(argument) if kind == "exit" else 0
                assert done.returncode == expected, f"{command}\n{done.stdout}{done.stderr}"
                ran += 1
    assert ran >= 8
    assert (tmp_path / ".pe-perf/report.html").exists()


def test_continuous_integration_runs_the_commands_of_the_readme():
    """The commands of README's first block stand in .ci/run, word by word."""
    (first, *_) = [text for _, _, language, text in blocks(ROOT / "README.md") if language == "console"]
    script = (ROOT / ".ci/run").read_text().replace("--quiet ", "")
    parts = [part for command in commands(first) for part in command.split(" && ")]
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
