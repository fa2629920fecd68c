"""The engine's pages: their Python runs and prints what stands below it, their TOML is a configuration."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from engine_opt import EngineConfig

PAGES = Path(__file__).parents[2] / "docs" / "engine"


def blocks(language):
    return list(_blocks(language))


def _blocks(language):
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text("utf-8")
        for number, found in enumerate(re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)):
            below = re.match(r"\n*```text\n(.*?)^```$", text[found.end() :], re.MULTILINE | re.DOTALL)
            yield pytest.param(found[1], below[1] if below else None, id=f"{page.name}-{number}")


@pytest.mark.parametrize(("code", "below"), blocks("python"))
def test_python_runs_and_prints_what_stands_below(code, below, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "page", "exec"), {})
    if below is not None:
        assert said.getvalue() == below


def test_the_commands_run_one_after_the_other(tmp_path):
    text = PAGES.joinpath("commands.md").read_text("utf-8")
    commands = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
    assert len(commands) >= 7
    for command in commands:
        done = subprocess.run(
            [sys.executable, *shlex.split(command)[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        assert max(map(len, done.stdout.splitlines()), default=0) <= 80, command


@pytest.mark.parametrize(("text", "below"), blocks("toml"))
def test_toml_is_a_configuration(text, below):
    assert below is None
    EngineConfig.parse(text)


def test_the_whole_default_configuration_is_documented():
    """The page's values are the defaults, so that a reader can start from them."""
    text = PAGES.joinpath("configuration.md").read_text("utf-8")
    block = re.search(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    without = re.sub(r"^\[rules\.symbols\.TSLA\].*?(?=^\[)", "", block, flags=re.MULTILINE | re.DOTALL)
    without = re.sub(r"^\[rules\.priorities\]\n.*?\n\n", "\n", without, flags=re.MULTILINE | re.DOTALL)
    assert EngineConfig.parse(without) == EngineConfig()
