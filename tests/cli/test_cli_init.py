from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pe_perf.cli import init as verb
from pytest_pe_perf.cli.scaffold import PINS, PYTHONS, Plan, Project, plan, recognise
from pytest_pe_perf.config import load_settings
from pytest_pe_perf.errors import PePerfError, UsageError, WriteError

ROOT = Path(__file__).parents[2]
NAMES = ("github", "judge", "gitlab")
TEMPLATES = {name: (ROOT / f"pytest_pe_perf/cli/templates/{name}.yml.j2").read_text() for name in NAMES}
GITHUB, JUDGE, GITLAB = ".github/workflows/pe-perf.yml", ".github/workflows/pe-perf-judge.yml", ".gitlab/pe-perf.yml"
GIT_FILES = (".gitignore", ".gitattributes")
INSTALLED = b'[project]\nname = "x"\n'

Init = Callable[..., Result]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _own_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git use settings of our own instead of those of whoever runs the tests."""
    (tmp_path / "gitconfig").write_text("[user]\nname = A Name\nemail = name@example.org\n")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return an empty repository whose origin is on GitHub."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "remote", "add", "origin", "git@github.com:somebody/something.git")
    return folder


@pytest.fixture
def init(project: Path, monkeypatch: pytest.MonkeyPatch) -> Init:
    """Return a function that runs the verb in the project, or in a folder of it."""

    def command(*arguments: str, cwd: str = ".", typed: str = "") -> Result:
        monkeypatch.chdir(project / cwd)
        return CliRunner().invoke(verb, arguments, input=typed)

    return command


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if ".git" not in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.is_file()}


# --- what is written -----------------------------------------------------------------------------------------------


def test_an_empty_repository_gets_all_files(project: Path, init: Init) -> None:
    """All files are shown as a diff and written, the next command is named, and the settings can be read."""
    done = init("--yes")
    assert done.exit_code == 0
    assert set(files(project)) == {"pyproject.toml", *GIT_FILES, GITHUB}
    assert "create .gitignore\n--- /dev/null\n+++ b/.gitignore\n@@ -0,0 +1 @@\n+.pe-perf/\n" in done.output
    assert done.output.endswith(f"next: git add pyproject.toml .gitignore .gitattributes {GITHUB}\n")
    assert load_settings(project).baselines == "baselines"
    assert tomllib.loads((project / "pyproject.toml").read_text()).keys() == {"tool"}
    (project / ".pe-perf").mkdir()
    (project / ".pe-perf/run.json").touch()
    assert git(project, "status", "--porcelain", "--untracked-files=all", ".pe-perf") == ""
    assert git(project, "check-attr", "eol", "baselines/x/y.json").endswith("eol: lf")


@pytest.mark.parametrize("system", ["github", "gitlab", "none"])
def test_a_second_run_has_nothing_to_do(project: Path, init: Init, system: str) -> None:
    """Run again, it says so, exits with 0 without anybody to ask, and leaves every byte."""
    assert init("--yes", "--ci", system).exit_code == 0
    before = files(project)
    done = init("--ci", system)
    assert (done.exit_code, done.output) == (0, "Nothing to do.\n")
    assert files(project) == before


def test_what_stands_in_a_file_stays_to_the_byte(project: Path, init: Init) -> None:
    """Lines are added at the end, with the line ends that the file has, and a last line without one gets one."""
    before = {
        "pyproject.toml": b"# mine\r\n[tool.black]\r\nline-length = 99 # why",
        ".gitignore": b"*.pyc",
        ".gitattributes": b"*.bat text eol=crlf\r\n\xff binary\r\n",
    }
    for name, data in before.items():
        (project / name).write_bytes(data)
    init("--yes", "--ci", "none")
    after = files(project)
    assert all(after[name].startswith(data) for name, data in before.items())
    assert after["pyproject.toml"].count(b"\r\n") == after["pyproject.toml"].count(b"\n")
    assert after[".gitignore"] == b"*.pyc\n.pe-perf/\n"
    assert after[".gitattributes"].endswith(b"\xff binary\r\nbaselines/** text eol=lf\r\n")
    assert tomllib.loads(after["pyproject.toml"].decode())["tool"]["black"] == {"line-length": 99}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", '[tool.pe_perf]\ntime = "1 s"\n'),
        ("pyproject.toml", '[tool]\npe_perf.time = "1 s"\n'),
        ("pyproject.toml", "[tool.pe_perf]\n"),
        (".gitignore", "/.pe-perf\n"),
        (".gitignore", "**/.pe-perf/\n"),
        (".gitignore", ".pe-perf/*\n"),
        (".gitignore", "!.pe-perf/\n"),
        (".gitattributes", "/baselines/** -text\n"),
        (".gitattributes", "baselines/*/*.json linguist-generated\n"),
    ],
)
def test_what_is_there_already_is_not_added(project: Path, init: Init, name: str, text: str) -> None:
    """A file that says something about it already is not touched, whatever it says."""
    (project / name).write_text(text)
    init("--yes", "--ci", "none")
    assert (project / name).read_text() == text
    assert len(files(project)) == 3


def test_the_baselines_may_be_elsewhere(project: Path, init: Init) -> None:
    """Attributes are given to the folder that the settings name, if git's patterns can name it."""
    (project / "pyproject.toml").write_text('[tool.pe_perf]\nbaselines = "perf/accepted"\n')
    init("--yes", "--ci", "none")
    assert (project / ".gitattributes").read_text() == "perf/accepted/** text eol=lf\n"
    (project / ".gitattributes").unlink()
    (project / "pyproject.toml").write_text('[tool.pe_perf]\nbaselines = "../shared here"\n')
    assert "no attributes for '../shared here'" in init("--yes", "--ci", "none").output
    assert not (project / ".gitattributes").exists()


@pytest.mark.parametrize(
    ("name", "text"), [("pytest.ini", ""), ("tox.ini", "[pytest]\n"), ("setup.cfg", "[tool:pytest]\n")]
)
def test_pytest_may_be_configured_elsewhere(project: Path, init: Init, name: str, text: str) -> None:
    """The settings go into the pyproject.toml beside the file that configures pytest, from a folder below too."""
    (project / name).write_text(text)
    (project / "tests").mkdir()
    (project / "tests/pyproject.toml").touch()  # not where pytest's root directory is
    done = init("--yes", "--ci", "none", cwd="tests")
    assert f"note: pytest is configured by {name}" in done.output
    assert "wrote ../pyproject.toml" in done.output
    assert (project / "tests/pyproject.toml").read_text() == ""


def test_a_project_in_a_folder_of_the_repository(project: Path, init: Init) -> None:
    """Its files are in its folder; the workflow is at the top, has a name of its own, and goes to the folder."""
    folder = project / "packages/a.b"
    (folder / "tests/perf").mkdir(parents=True)
    (folder / "tests/perf/test_x.py").touch()
    (folder / "setup.py").touch()
    done = init("--yes", cwd="packages/a.b/tests")
    ours = {f"packages/a.b/{name}" for name in ("pyproject.toml", *GIT_FILES, "setup.py", "tests/perf/test_x.py")}
    assert set(files(project)) == {*ours, ".github/workflows/pe-perf-packages-a-b.yml"}, done.output
    job = yaml.safe_load((project / ".github/workflows/pe-perf-packages-a-b.yml").read_text())["jobs"]["gate"]
    assert job["defaults"] == {"run": {"working-directory": "packages/a.b"}}
    assert job["steps"][-1]["with"]["path"] == "packages/a.b/.pe-perf/"
    init("--yes", "--ci", "gitlab", cwd="packages/a.b")
    job = yaml.safe_load((project / ".gitlab/pe-perf-packages-a-b.yml").read_text())["pe-perf-packages-a-b"]
    assert job["script"][0] == "cd packages/a.b"
    assert job["after_script"][0] == "cd packages/a.b"
    kept = {"junit": "packages/a.b/.pe-perf/junit.xml", "codequality": "packages/a.b/.pe-perf/quality.json"}
    assert job["artifacts"]["reports"] == kept


# --- asking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_nobody_to_ask(project: Path, init: Init, arguments: tuple[str, ...]) -> None:
    """Without a terminal and without --yes nothing is written, and that is an error of usage."""
    done = init(*arguments, typed="y\n")
    assert isinstance(done.exception, UsageError)
    assert "--yes" in str(done.exception)
    assert files(project) == {}


def test_dry_run(project: Path, init: Init) -> None:
    """A dry run shows the diff, asks nothing and writes nothing."""
    done = init("--dry-run")
    assert done.exit_code == 0
    assert "+[tool.pe_perf]" in done.output
    assert done.output.endswith("Nothing was written: this was a dry run.\n")
    assert files(project) == {}


def on_a_terminal(project: Path, answer: str, meanwhile: Callable[[], object] = lambda: None) -> tuple[int, str]:
    """Run the verb on a terminal and answer its question; return its exit status and all that the terminal showed."""
    import pty

    ours, theirs = pty.openpty()
    code = "from pytest_pe_perf.cli import main; main()"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TERM": "xterm"}
    environ.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code, "init"], cwd=project, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen, asked = b"", False
    with contextlib.suppress(OSError):  # on Linux a terminal that nobody holds any more is an error, not an end
        while data := os.read(ours, 65536):
            seen += data
            if not asked and b"[y/N]" in seen:
                asked = True
                meanwhile()
                os.write(ours, f"{answer}\n".encode())
    os.close(ours)
    return process.wait(60), seen.decode()


@pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal")
@pytest.mark.parametrize(("answer", "written"), [("y", 4), ("", 0)])
def test_a_terminal_is_asked(project: Path, answer: str, written: int) -> None:
    """On a terminal the diff has colours, a question follows, and no answer is a no."""
    status, seen = on_a_terminal(project, answer)
    assert status == 0
    assert "\x1b[32m+.pe-perf/" in seen
    assert "Write 4 files? [y/N]" in seen
    assert ("Nothing was written." in seen) == (not written)
    assert len(files(project)) == written


@pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal")
def test_the_files_changed_while_the_user_was_asked(project: Path) -> None:
    """What was shown is what is written, or nothing is."""
    status, seen = on_a_terminal(project, "y", lambda: (project / ".gitignore").write_text("*.o\n"))
    assert status == 2
    assert "have changed while you were asked" in seen
    assert files(project) == {".gitignore": b"*.o\n"}


def test_json(project: Path, init: Init) -> None:
    """The plan as JSON: nothing else is printed, and what was written is named."""
    planned = json.loads(init("--json", "--dry-run").output)
    done = json.loads(init("--json", "--yes").output)
    assert done == {**planned, "written": [str(project / step["path"]) for step in planned["steps"]]}
    assert [step["kind"] for step in done["steps"]] == ["create"] * 4
    assert "+.pe-perf/" in done["steps"][1]["diff"]
    assert done["systems"] == ["github"]


# --- what is not overwritten, and what is refused ------------------------------------------------------------------


def test_a_workflow_that_was_changed_is_left_alone(project: Path, init: Init) -> None:
    """A workflow that differs is shown as a difference and left alone; --force overwrites it."""
    init("--yes")
    written = (project / GITHUB).read_text()
    (project / GITHUB).write_text(written.replace("timeout-minutes: 30", "timeout-minutes: 9"))
    done = init("--yes")
    assert done.exit_code == 0
    assert f"left alone: {GITHUB} is not as it would be written now" in done.output
    assert "-    timeout-minutes: 9\n+    timeout-minutes: 30\n" in done.output
    assert done.output.endswith("Nothing to write.\n")
    assert "timeout-minutes: 9" in (project / GITHUB).read_text()
    assert init("--yes", "--force").output.endswith(f"wrote {GITHUB}\nnext: git add {GITHUB}\n")
    assert (project / GITHUB).read_text() == written


def test_a_checkout_may_have_other_line_ends(project: Path, init: Init) -> None:
    """A workflow with the line ends of another system is no other workflow."""
    init("--yes")
    (project / GITHUB).write_bytes((project / GITHUB).read_bytes().replace(b"\n", b"\r\n"))
    assert init().output == "Nothing to do.\n"


def test_a_gate_that_somebody_set_up_by_hand(project: Path, init: Init) -> None:
    """A workflow that runs the gate under another name makes ours needless."""
    (project / ".github/workflows").mkdir(parents=True)
    (project / ".github/workflows/slow.yml").write_text("run: pytest --pe-perf --pe-perf-against origin/main\n")
    done = init("--yes")
    assert "note: .github/workflows/slow.yml runs the gate already" in done.output
    assert not (project / GITHUB).exists()


def test_gitlabs_main_file_is_never_touched(project: Path, init: Init) -> None:
    """Where GitLab has a main file already, the line to add to it is told until it is there."""
    for main, told in (
        ("test:\n  script: pytest\n", f"add to .gitlab-ci.yml:   include: /{GITLAB}"),
        ("include:\n  - local: /x.yml\n", f"add to the list `include:` of .gitlab-ci.yml:   - local: /{GITLAB}"),
    ):
        (project / ".gitlab-ci.yml").write_text(main)
        for _ in range(2):
            assert told in init("--yes", "--ci", "gitlab", "--force").output
        assert (project / ".gitlab-ci.yml").read_text() == main
    with (project / ".gitlab-ci.yml").open("a") as file:
        file.write(f"  - local: /{GITLAB}\n")
    assert init("--ci", "gitlab").output == "Nothing to do.\n"


@pytest.mark.skipif(os.name != "posix", reason="links need no rights here")
def test_odd_places_are_refused_in_one_message(project: Path, init: Init) -> None:
    """A link, and a folder or a file where the other should be, are all named, and no file is written."""
    (project / "elsewhere").mkdir()
    (project / "pyproject.toml").symlink_to("nowhere")
    (project / ".gitignore").mkdir()
    (project / ".gitattributes").symlink_to("elsewhere")
    (project / ".github").symlink_to("elsewhere")
    done = init("--yes")
    assert isinstance(done.exception, WriteError)
    for why in ("pyproject.toml is a link", ".gitignore is no file", ".gitattributes is a link", ".github is a link"):
        assert why in str(done.exception)
    (project / ".github").unlink()
    (project / ".github").touch()
    assert ".github is no folder" in str(init("--yes").exception)
    assert files(project) == {".github": b""}


def test_a_disk_that_refuses(project: Path, init: Init, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the last file cannot be written, the first is not either."""
    (project / ".github").mkdir()
    real = os.fsync
    left = iter(range(3))

    def fsync(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("os.fsync", fsync)
    assert "No space left on device" in str(init("--yes").exception)
    assert files(project) == {}


def test_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the settings are written, it says so, and a workflow that was asked for is refused."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/setup.py").touch()
    monkeypatch.chdir(tmp_path / "plain")
    refused = CliRunner().invoke(verb, ["--yes", "--ci", "github"])
    assert "make one with: git init" in str(refused.exception)
    done = CliRunner().invoke(verb, ["--yes"])
    assert "note: this is not in a git repository" in done.output
    assert done.output.endswith("wrote pyproject.toml\n")
    assert set(files(tmp_path / "plain")) == {"pyproject.toml", "setup.py"}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("[tool", "cannot read"),
        ("tool = {ruff = {preview = true}}\n", "cannot be added at the end of pyproject.toml"),
        ("[tool.pe_perf]\ntmie = 5\n", "did you mean 'time'?"),
        ('[project]\nrequires-python = "<3.11"\n', "allows no Python that pe-perf runs on"),
        ('[project]\nrequires-python = "three"\n', "cannot be read"),
        ("[project]\nrequires-python = 3.11\n", "cannot be read"),
    ],
)
def test_a_pyproject_that_cannot_be_added_to(project: Path, init: Init, text: str, seen: str) -> None:
    """A pyproject.toml that cannot be read or added to is an error in words, and nothing is written."""
    (project / "pyproject.toml").write_text(text)
    done = init("--yes")
    assert isinstance(done.exception, PePerfError)
    assert seen in str(done.exception)
    assert files(project) == {"pyproject.toml": text.encode()}


# --- the plan, as a function ---------------------------------------------------------------------------------------


def a_project(**changes: Any) -> Project:
    return replace(Project("", {}, {}, frozenset(), "", "", "baselines", git=True), **changes)


@pytest.mark.parametrize(
    ("origin", "folders", "pipelines", "found"),
    [
        ("https://github.com/a/b.git", [], [], ("github",)),
        ("git@gitlab.example.org:a/b", [".github"], [], ("gitlab",)),
        ("ssh://git@GitLab.com:22/github/b", [], [], ("gitlab",)),
        ("https://me:secret@github.example.org/gitlab/b", [], [], ("github",)),
        ("", [".github"], [], ("github",)),
        ("/srv/github.git", [], [".gitlab-ci.yml"], ("gitlab",)),
        ("https://example.org/github", [".github", ".gitlab"], [], ("github", "gitlab")),
        ("../github", [], [], ()),
    ],
)
def test_whose_workflow(origin: str, folders: list[str], pipelines: list[str], found: tuple[str, ...]) -> None:
    """The host of origin decides, or else what is in the repository; a path is no host."""
    assert (
        recognise(a_project(origin=origin, folders=frozenset(folders), pipelines=dict.fromkeys(pipelines, b"")))
        == found
    )


def test_no_system_is_recognised() -> None:
    """It says so, and the rest is written."""
    planned = plan(a_project(), None, TEMPLATES, force=False)
    assert planned.notes == ("no CI system was recognised: name one with --ci github or --ci gitlab",)
    assert [step.path for step in planned.steps] == ["pyproject.toml", *GIT_FILES]


def github(**changes: Any) -> Any:
    planned = plan(a_project(**changes), ("github",), TEMPLATES, force=False)
    return yaml.safe_load(next(step.new for step in planned.steps if step.path.startswith(".github/")))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "pytest-pe-perf"),
        ({"setup.py": b""}, "-e . pytest-pe-perf"),
        ({"pyproject.toml": b"[tool.x]\n", "requirements.txt": b""}, "-r requirements.txt pytest-pe-perf"),
        (
            {"pyproject.toml": INSTALLED + b"[project.optional-dependencies]\ntest=[]\ndev=[]\n"},
            '-e ".[dev]" pytest-pe-perf',
        ),
        ({"pyproject.toml": INSTALLED + b"[dependency-groups]\ntest=[]\n"}, "-e . --group test pytest-pe-perf"),
        ({"pyproject.toml": b"project = 5\ndependency-groups = []\n"}, "pytest-pe-perf"),
    ],
)
def test_how_the_project_is_installed(files: dict[str, bytes], words: str) -> None:
    """The workflow installs the project as its developers would, with what its tests need, and us."""
    (step,) = (step for step in github(files=files)["jobs"]["gate"]["steps"] if "pip" in step.get("run", ""))
    assert step["run"] == f"pip install {words}"


@pytest.mark.parametrize(
    ("text", "python"),
    [
        (b"", PYTHONS[0]),
        (b'[project]\nrequires-python = ">=3.9,<3.13"\n', "3.12"),
        (b'[project]\nclassifiers = ["Programming Language :: Python :: 3.12"]\n', "3.12"),
        (
            b'[project]\nrequires-python = ">=3.13"\nclassifiers = ["Programming Language :: Python :: 3.12"]\n',
            PYTHONS[0],
        ),
    ],
)
def test_which_python(text: bytes, python: str) -> None:
    """The newest one that the project names, or else allows, and that this package is tested with."""
    (step,) = (
        s for s in github(files={"pyproject.toml": text})["jobs"]["gate"]["steps"] if "python" in s.get("uses", "")
    )
    assert step["with"] == {"python-version": python}


def test_the_pythons_are_those_that_we_are_tested_with() -> None:
    """The list of Pythons is that of our own workflow."""
    matrix = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())["jobs"]["tests"]["strategy"]["matrix"]
    assert [*reversed(PYTHONS)] == matrix["python"]


def test_no_job_has_more_rights_than_it_uses() -> None:
    """To comment, where it does; to read another job's run file and give a status, where it judges; no credentials stay."""
    read, comment = {"contents": "read"}, {"pull-requests": "write"}
    planned = plan(a_project(), ("github",), TEMPLATES, force=False, forks=True)
    forks = {step.path: yaml.safe_load(step.new) for step in planned.steps if step.path in (GITHUB, JUDGE)}
    for workflow, job, rights in (
        (github(), "gate", read | comment),
        (forks[GITHUB], "gate", read),
        (forks[JUDGE], "judge", read | comment | {"actions": "read", "statuses": "write"}),
    ):
        assert (workflow["permissions"], workflow["jobs"][job]["permissions"]) == ({}, rights)
        (checkout,) = (step for step in workflow["jobs"][job]["steps"] if "checkout" in step.get("uses", ""))
        assert (checkout["with"]["persist-credentials"], checkout["with"]["fetch-depth"]) == (False, 0)
        assert workflow["concurrency"]["cancel-in-progress"] is True
        assert workflow["jobs"][job]["timeout-minutes"] <= 30


def test_the_pins_are_those_of_our_own_workflows() -> None:
    """Each action is pinned by a commit, which its comment names; this repository uses the same."""
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", pin) for pin in PINS.values())
    own = "".join(path.read_text() for path in sorted((ROOT / ".github").rglob("*.yml")))
    assert set(re.findall(r"uses: (actions/.*)", own)) == set(PINS.values())


def test_forks_are_asked_for_once(project: Path, init: Init) -> None:
    """A second workflow judges; from then on the files say so, and nothing is left to do."""
    assert "wrote" in init("--yes", "--forks").output
    assert {GITHUB, JUDGE} < set(files(project))
    assert init().output == "Nothing to do.\n"
    (project / JUDGE).unlink()
    assert f"left alone: {GITHUB} is not as it would be written now" in init("--yes").output
    refused = init("--yes", "--ci", "gitlab", "--forks")
    assert "--forks is for GitHub" in str(refused.exception)


@pytest.mark.skipif(os.name != "posix", reason="the jobs' shell")
@pytest.mark.parametrize(
    ("variables", "base"),
    [
        ({"CI_MERGE_REQUEST_DIFF_BASE_SHA": "aaa", "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": ""}, "aaa"),
        ({"CI_MERGE_REQUEST_DIFF_BASE_SHA": "aaa", "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": "bbb"}, "bbb"),
    ],
)
def test_gitlab_runs_the_command_that_github_runs(variables: dict[str, str], base: str) -> None:
    """But for the name of the base: of a merged result it is the target branch, or else where the branch began."""
    planned = plan(a_project(tests="tests/perf"), ("gitlab",), TEMPLATES, force=False)
    written = {step.path: yaml.safe_load(step.new) for step in planned.steps if step.path.startswith(".gitlab")}
    assert written[".gitlab-ci.yml"] == {"include": [{"local": f"/{GITLAB}"}]}
    script = ["pip() { echo pip $@; }", "python() { echo python $@; }", *written[GITLAB]["pe-perf"]["script"]]
    said = subprocess.run(
        ["bash", "-euc", "\n".join(script)], env=variables, capture_output=True, text=True, check=True
    )
    steps = [step["run"] for step in github(tests="tests/perf")["jobs"]["gate"]["steps"] if "run" in step]
    assert said.stdout.splitlines() == [steps[0], steps[1].replace('"$BASE"', base)]


@pytest.mark.parametrize("folder", ["a b", "${{ x }}", "a'b", "-x", "é"])
def test_a_folder_that_a_workflow_cannot_name(folder: str) -> None:
    """A folder whose name means something to a shell or to YAML is refused, not quoted in three languages."""
    with pytest.raises(UsageError, match="by hand"):
        plan(a_project(folder=folder), ("github",), TEMPLATES, force=False)
    assert plan(a_project(folder=folder), (), TEMPLATES, force=False).writes


def applied(project: Project, planned: Plan) -> Project:
    """Return the project after the plan."""
    new = {step.path: step.new for step in planned.writes}
    pipelines = {path: data for path, data in new.items() if path.startswith((".github", ".gitlab"))}
    return replace(
        project,
        files={**project.files, **{name: data for name, data in new.items() if name not in pipelines}},
        pipelines={**project.pipelines, **pipelines},
    )


lines = st.lists(
    st.sampled_from(["*.pyc", ".pe-perf", "!x", "", "# baselines/x", "é", "baselines/** -diff"]), max_size=4
)
data = st.builds(
    lambda some, end, last: end.join([*some, last]).encode(), lines, st.sampled_from(["\n", "\r\n"]), st.just("")
)
tomls = st.lists(
    st.sampled_from(["# c", "[tool.x]", "[tool.pe_perf]", "[[tool.y]]", "[project]"]), max_size=4, unique=True
)


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            ".gitignore": data,
            ".gitattributes": data,
            "pyproject.toml": tomls.map(lambda t: "\n".join(t).encode()),
        },
    ),
    st.sampled_from([(), ("github",), ("gitlab",), ("github", "gitlab")]),
    st.booleans(),
    st.booleans(),
)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(
    before: dict[str, bytes], systems: Any, force: bool, forks: bool
) -> None:
    """Whatever is there: what stood there stays at the start of its file, and a second plan is empty."""
    project = a_project(files=before)
    planned = plan(project, systems, TEMPLATES, force=force, forks=forks and "github" in systems)
    after = applied(project, planned)
    assert all(after.files[name].startswith(old) for name, old in before.items())
    assert plan(after, systems, TEMPLATES, force=force).steps == ()
