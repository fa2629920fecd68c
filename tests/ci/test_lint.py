"""Our workflows and those that `pe-perf init` writes, read by the programs that people check theirs with."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_pe_perf.cli.scaffold import Project, plan

ROOT = Path(__file__).parents[2]
TEMPLATES = {
    name: (ROOT / f"pytest_pe_perf/cli/templates/{name}.yml.j2").read_text() for name in ("github", "judge", "gitlab")
}
PYPROJECT = b'[project]\nname = "x"\n[project.optional-dependencies]\ndev = []\n'


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what is written for a project at the top, for one in a folder, and for those with forks."""
    place = tmp_path_factory.mktemp("written")
    for folder in ("", "packages/one"):
        for forks in (False, True):
            project = Project(
                folder, {"pyproject.toml": PYPROJECT}, {}, frozenset(), "tests/perf", "", "baselines", git=True
            )
            systems = ("github",) if forks else ("github", "gitlab")
            for step in plan(project, systems, TEMPLATES, force=False, forks=forks).steps:
                file = place / f"{folder.replace('/', '-')}{forks}" / step.path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(step.new)
    return place


def workflows(whose: str, written: Path) -> list[Path]:
    places = [ROOT] if whose == "ours" else sorted(written.iterdir())
    found = [path for place in places for path in sorted(place.glob(".github/workflows/*.yml"))]
    assert len(found) >= 3
    return found


def check(program: str, *arguments: str | Path) -> None:
    """Run a program that is installed beside this interpreter, and show what it found."""
    found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("whose", ["ours", "written"])
def test_actionlint_finds_nothing(written: Path, whose: str) -> None:
    """Syntax, types of expressions, and what a script could be made to run."""
    check("actionlint", *workflows(whose, written))


@pytest.mark.parametrize("whose", ["ours", "written"])
def test_zizmor_finds_nothing(written: Path, whose: str) -> None:
    """Rights, pins, credentials, dangerous triggers, and what is put into commands; of the action too."""
    actions = sorted(ROOT.glob(".github/actions/*/action.yml")) if whose == "ours" else []
    check("zizmor", "--offline", "--no-progress", *workflows(whose, written), *actions)


@pytest.mark.parametrize(
    ("page", "forks", "name"),
    [
        ("gate-pull-requests.md", False, ".github/workflows/pe-perf.yml"),
        ("gate-a-fork.md", True, ".github/workflows/pe-perf-judge.yml"),
        ("gate-pull-requests.md", False, ".gitlab/pe-perf.yml"),
    ],
)
def test_the_documents_show_what_is_written(written: Path, page: str, forks: bool, name: str) -> None:
    """Line by line, for a project at the top of its repository."""
    shown = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/howto" / page).read_text(encoding="utf-8"), re.DOTALL)
    assert (written / str(forks) / name).read_text(encoding="utf-8") in shown


def test_the_pipeline_is_one_that_gitlab_reads(written: Path) -> None:
    """By GitLab's own schema."""
    files = [*sorted(written.rglob(".gitlab/*.yml")), *sorted(written.rglob(".gitlab-ci.yml"))]
    assert len(files) == 4
    check("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", *files)
