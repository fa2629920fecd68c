"""From an empty project to a comment: the tutorial is followed word by word, and the steps of the workflows are run.

What is replaced is what other people's actions do, and `pip`: what it would install is what runs these tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_pe_perf.report.formats.markdown import MARKER

from .conftest import Runner, Services, checkout, clean, download, git, upload

pytestmark = pytest.mark.skipif(os.name != "posix", reason="commits are measured side by side, which needs POSIX")

ROOT = Path(__file__).parents[2]
WORKFLOW, JUDGE = ".github/workflows/pe-perf.yml", ".github/workflows/pe-perf-judge.yml"
BLOCK = re.compile(r"(?:<!-- (file|job): (\S+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
# A slowdown of many times is seen in little time, on a machine that is busy too.
QUICK = 'time = "5 ms"\nthreshold = "400 %"\nmargin = "200 %"\n'
# A machine that is too busy to tell says so; then it is asked again, so many times at most.
TOO_BUSY, TRIES = "inconclusive", 3
MEASURED = "Compare with the branch that this goes to"


@dataclass(frozen=True)
class Story:
    """What a newcomer has after the tutorial, and what the jobs of the two pushes left: logs, comments, artifacts."""

    place: Path
    environ: Mapping[str, str]
    heads: dict[str, str]
    runners: dict[str, Runner]
    comments: dict[str, list[str]]
    answers: dict[str, str]

    def store(self, colour: str) -> Path:
        return self.place / f"store-{colour}"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, listening: Services) -> Story:
    """Follow the tutorial: each file is written, each command run, and each job where the text says that it runs."""
    place = tmp_path_factory.mktemp("tutorial")
    (place / "clone").mkdir()
    environ = surroundings(place, listening)
    story = Story(place, environ, {}, {}, {}, {})
    for kind, argument, language, text in BLOCK.findall((ROOT / "docs/tutorial.md").read_text(encoding="utf-8")):
        if kind == "file":
            (place / "clone" / argument).write_text(text)
        elif kind == "job":
            push(story, argument, listening)
        elif language == "console":
            for command in (line[2:] for line in text.splitlines()):
                answer = run(command, place / "clone", environ)
                for _ in range(TRIES - 1):
                    answer = run(command, place / "clone", environ) if TOO_BUSY in answer else answer
                story.answers[command] = answer
                if command.startswith("pe-perf init"):
                    with (place / "clone/pyproject.toml").open("a") as file:
                        file.write(QUICK)
    return story


def surroundings(place: Path, services: Services) -> dict[str, str]:
    """Return the environment of a job, in which pip installs nothing."""
    (place / "bin").mkdir()
    (place / "bin/pip").write_text('#!/bin/sh\necho "pip $*"\n')
    (place / "bin/pip").chmod(0o755)
    environ = clean()
    return {
        **environ,
        "PATH": os.pathsep.join([str(place / "bin"), environ["PATH"]]),
        # What else is installed here would only make the many processes slow to start.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "-p pytest_pe_perf.plugin -p pytest_benchmark.plugin",
        "GITHUB_API_URL": services.address,
        "GITHUB_SERVER_URL": "https://x.example",
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_RUN_ID": "99",
    }


def run(command: str, folder: Path, environ: Mapping[str, str]) -> str:
    done = subprocess.run(command, shell=True, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def push(story: Story, colour: str, services: Services) -> None:
    """Run the job that the workflow on the branch describes."""
    work = story.place / "clone"
    story.heads[colour] = git(work, "rev-parse", "HEAD")
    job = yaml.safe_load((work / WORKFLOW).read_text())["jobs"]["gate"]
    for attempt in range(TRIES):
        runner = story.runners[colour] = runner_of(story, f"{colour}-{attempt}", colour)
        if colour == "green":
            # It was measured by the command of the tutorial, in this very commit: once is enough.
            runner.instead = {MEASURED: f"cp -r {work}/.pe-perf ."}
        runner.job(job)
        if TOO_BUSY not in runner.log:
            break
    story.comments[colour] = services.bodies


def runner_of(story: Story, name: str, head: str, store: Path | None = None, **facts: Any) -> Runner:
    """Return a runner for a job on the pull request that ends with ``head``, or on the run that has measured it."""
    server, store = story.place / "server.git", store or story.store(head)
    return Runner(
        story.place / f"workspace-{name}",
        story.place / f"temp-{name}",
        story.environ,
        {
            "github.token": "secret",
            "github.repository": "a/b",
            "github.base_ref": "main",
            "github.event.number": 7,
            "github.event.pull_request.head.repo.full_name": "a/b",
            "github.event.pull_request.head.sha": story.heads[head],
            "github.event.workflow_run.head_sha": story.heads[head],
            "github.event.workflow_run.event": "pull_request",
            "github.event.workflow_run.conclusion": "failure",
            "github.event.workflow_run.id": 99,
            **facts,
        },
        {
            "actions/checkout": checkout(server),
            "actions/setup-python": lambda runner, given: None,
            "actions/upload-artifact": upload(store),
            "actions/download-artifact": download(store),
        },
    )


# --- the newcomer's path ----------------------------------------------------------------------------------------------


def test_a_planted_slowdown_turns_the_pull_request_red(story: Story) -> None:
    """The measuring step fails, and the comment names the test, the ratio, the cause and the command."""
    assert story.runners["red"].failed == MEASURED, story.runners["red"].log
    assert "pip install pytest-pe-perf" in story.runners["red"].log
    (comment,) = story.comments["red"]
    mark, first, *_ = comment.splitlines()
    assert mark == MARKER
    assert first.startswith("▲ **pe-perf**: ")
    assert f"{story.heads['red'][:10]} against " in first
    assert re.search(r"\| ▲\xa0regressed \| `test_words.py::test_count` \| latency \| [^|]* \d[\d.]*x ", comment), (
        comment
    )
    assert re.search(r"\n- `test_words\.py::test_count` allocations: .*\bcount .*words\.py", comment), comment
    assert "\npytest --pe-perf --pe-perf-against origin/main test_words.py::test_count\n" in comment


def test_the_job_reports_in_all_places(story: Story) -> None:
    """In the summary, at the line of the test, and in an artifact; nothing is left in the checkout."""
    runner = story.runners["red"]
    assert (runner.temp / "github_step_summary").read_text() == story.comments["red"][0]
    assert re.search(r"^::error file=test_words\.py,line=\d+,title=regressed", runner.log, re.MULTILINE)
    kept = {path.name for path in (story.store("red") / "pe-perf-report").iterdir()}
    assert kept >= {"report.html", "run.json", "junit.xml"}, runner.log
    # But for byte code, which is Python's.
    assert git(runner.workspace, "status", "--porcelain", "--", ".", ":!*__pycache__*") == ""


def test_the_mended_branch_is_green_and_its_comment_one_line(story: Story) -> None:
    """The comment of the red push is edited, not followed by another."""
    assert not story.runners["green"].failed, story.runners["green"].log
    ((mark, line),) = (comment.splitlines() for comment in story.comments["green"])
    assert (mark, line[:15]) == (MARKER, "✓ **pe-perf**: ")


def test_the_tutorial_shows_what_is_so(story: Story) -> None:
    """What init says, what is committed, and what the local run says at its end."""
    assert story.answers["pe-perf init --ci github --yes"].endswith(f".gitattributes {WORKFLOW}\n")
    assert git(story.place / "server.git", "show", "--name-only", "--format=", "main").split() == sorted(
        [".gitattributes", ".github/workflows/pe-perf.yml", ".gitignore", "pyproject.toml", "test_words.py", "words.py"]
    )
    last = story.answers["python -m pytest --pe-perf --pe-perf-against origin/main"]
    assert "5 unchanged" in last
    assert len(story.answers) >= 13


# --- forks ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judge_job(story: Story) -> dict[str, Any]:
    """Return the job with rights that init writes for a project with forks."""
    written = story.place / "forks"
    git(story.place, "clone", "--quiet", (story.place / "server.git").as_uri(), str(written))
    run("pe-perf init --ci github --forks --force --yes", written, story.environ)
    one, two = (yaml.safe_load((written / name).read_text())["jobs"] for name in (WORKFLOW, JUDGE))
    # The job without rights is the other one without its comment: what that one has measured is as good here.
    own = yaml.safe_load((story.place / "clone" / WORKFLOW).read_text())["jobs"]["gate"]
    own["steps"] = [step for step in own["steps"] if step.get("name") != "Comment"]
    assert one["gate"] == {**own, "permissions": {"contents": "read"}}
    return dict(two["judge"])


Judge = Callable[..., Runner]


@pytest.fixture
def judged(story: Story, judge_job: dict[str, Any], services: Services, tmp_path: Path) -> Judge:
    """Return a function that runs the job with rights on what a job without rights has left."""

    def judge(head: str, store: Path | None = None, job: dict[str, Any] = judge_job) -> Runner:
        services.open(7, story.heads[head])
        runner = runner_of(story, tmp_path.name, head, store)
        runner.job(job)
        return runner

    return judge


def said_of(services: Services, commit: str) -> list[tuple[str, str]]:
    """Return the states of a commit and their words; nothing else has one, and each leads to the run."""
    for status in services.statuses:
        assert (status["commit"], status["context"]) == (commit, "pe-perf")
        assert status["target_url"] == "https://x.example/a/b/actions/runs/99"
    return [(status["state"], status["description"]) for status in services.statuses]


VERDICT = "Judge by the branch that it goes to"


def test_the_job_with_rights_comments_on_a_fork(story: Story, judged: Judge, services: Services) -> None:
    """Green: one line, on the pull request that GitHub knows for the commit."""
    runner = judged("green")
    assert (runner.failed, runner.ran[-1]) == ("", "Comment"), runner.log
    ((mark, line),) = (comment.splitlines() for comment in services.bodies)
    assert (mark, line[:15]) == (MARKER, "✓ **pe-perf**: ")
    assert f"{story.heads['green'][:10]} against " in line
    assert said_of(services, story.heads["green"]) == [("pending", "being judged"), ("success", "nothing got worse")]
    # It has only the branch that the pull request goes to in its folder.
    assert (runner.workspace / "words.py").read_bytes() == git(
        story.place / "clone", "show", "main:words.py"
    ).encode() + b"\n"


def test_our_own_workflow_measures_by_the_action(story: Story, services: Services, tmp_path: Path) -> None:
    """Without a right, and so without a comment; its artifact is what the one that judges takes."""
    job = yaml.safe_load((ROOT / ".github/workflows/performance.yml").read_text())["jobs"]["gate"]
    runner = runner_of(story, tmp_path.name, "green", tmp_path, **{"github.event_name": "pull_request"})
    runner.instead = {MEASURED: f'test "$BASE $TESTS" = "origin/main tests/perf"; cp -r {story.place}/clone/.pe-perf .'}
    assert runner.job(job) == "", runner.log
    assert [step for step in runner.ran if step[0] != "a"] == ['pip install -e ".[dev]"', MEASURED, MEASURED, "Report"]
    assert (tmp_path / "pe-perf-report/run.json").exists()
    assert services.bodies == []


def test_our_own_workflow_judges_by_the_action(story: Story, judged: Judge, services: Services) -> None:
    """Red; and what is printed of other people's names is no command to the runner."""
    job = yaml.safe_load((ROOT / ".github/workflows/performance-judge.yml").read_text())["jobs"]["judge"]
    runner = judged("red", job=job)
    assert (runner.failed, runner.ran[-1]) == (VERDICT, "Comment"), runner.log
    (comment,) = services.bodies
    assert "| `test_words.py::test_count` | latency |" in comment
    pending, (state, words) = said_of(services, story.heads["red"])
    assert (pending[0], state) == ("pending", "failure")
    assert re.fullmatch(r"\d regressed", words)
    ((_, said),) = re.findall(r"^::stop-commands::(\w+)\n(.*?)^::\1::$", runner.log, re.MULTILINE | re.DOTALL)
    assert "REGRESSED" in said


def test_nothing_of_a_hostile_artifact_is_posted_or_run(
    story: Story, judged: Judge, services: Services, tmp_path: Path
) -> None:
    """It is refused with one message; the comment says so and replaces the one of an earlier push."""
    services.add(f"{MARKER}\n✓ all was well")
    artifact = tmp_path / "pe-perf-report"
    artifact.mkdir()
    (artifact / "run.json").write_text('{"run": "$(touch pwned) `touch pwned`"}')
    (artifact / "comment.md").write_text(f"{MARKER}\nbuy now")
    (artifact / "sitecustomize.py").write_text("raise SystemExit('run')")
    runner = judged("red", tmp_path)
    assert (runner.failed, runner.ran[-1]) == (VERDICT, "Comment"), runner.log
    assert "run.json is not a run file" in runner.log
    (comment,) = services.bodies
    assert comment.startswith(f"{MARKER}\n◇ **pe-perf**: nothing was measured, or it cannot be judged; [the log]")
    assert said_of(services, story.heads["red"])[-1] == (
        "error",
        "could not tell: nothing was measured, or it cannot be judged",
    )
    assert not [*tmp_path.rglob("pwned"), *runner.workspace.rglob("pwned"), *runner.temp.rglob("pwned")]


def test_a_run_that_nobody_waits_for_is_left_alone(story: Story, judge_job: dict[str, Any], services: Services) -> None:
    """A cancelled measurement, and what a push to a branch has started, is no business of the job with rights."""
    for name, value in (("conclusion", "cancelled"), ("event", "push")):
        runner = runner_of(story, f"idle-{name}", "red", **{f"github.event.workflow_run.{name}": value})
        assert runner.job(judge_job) == "skipped"
    assert services.statuses == []


@pytest.mark.parametrize("others", [0, 2])
def test_a_commit_with_which_not_one_pull_request_ends_does_not_pass(
    story: Story, judge_job: dict[str, Any], services: Services, others: int
) -> None:
    """Two may go to different branches: what passed for one would be taken for the other. No artifact is taken."""
    for number in range(8, 8 + others):
        services.open(number, story.heads["red"])
    runner = runner_of(story, f"open-{others}", "red")
    assert runner.job(judge_job) == "Find the pull request"
    assert [state for state, _ in said_of(services, story.heads["red"])] == ["pending", "error"]
    assert services.comments == []


def test_an_artifact_that_is_not_there_leaves_no_status_pending(
    story: Story, judged: Judge, services: Services, tmp_path: Path
) -> None:
    """The first job ended before it measured: that is no pass."""
    runner = judged("red", tmp_path / "empty")
    assert runner.failed.startswith("actions/download-artifact"), runner.log
    assert [state for state, _ in said_of(services, story.heads["red"])] == ["pending", "error"]


# --- one set of steps -------------------------------------------------------------------------------------------------


def test_the_action_runs_the_steps_that_init_writes(story: Story, judge_job: dict[str, Any]) -> None:
    """But for what its inputs say: the path of the tests and the name of the comment."""
    gate = yaml.safe_load((story.place / "clone" / WORKFLOW).read_text())["jobs"]["gate"]
    written = [step for step in (*gate["steps"], *judge_job["steps"]) if "name" in step]
    action = yaml.safe_load((ROOT / ".github/actions/pe-perf/action.yml").read_text())["runs"]["steps"]
    own = [step for step in action if "name" in step]
    assert [step["name"] for step in own] == [step["name"] for step in written]
    for ours, theirs in zip(own, written, strict=True):
        assert ours["run"].replace(' "$TESTS"', "").replace(' --id "$ID"', "") == theirs["run"]
        assert set(ours.get("env", {})) - {"TESTS", "ID"} == set(theirs.get("env", {}))
    pins = [
        {step["uses"] for step in steps if "uses" in step} for steps in (action, (*gate["steps"], *judge_job["steps"]))
    ]
    assert pins[0] < pins[1]


def test_the_note_on_gitlab(story: Story, services: Services, tmp_path: Path) -> None:
    """The job's last commands write the Code Quality report, and a note where there is a token."""
    folder = tmp_path / "project"
    shutil.copytree(story.store("red") / "pe-perf-report", folder / ".pe-perf")
    git(folder, "init", "--quiet", "--initial-branch=main")
    run("pe-perf init --ci gitlab --yes", folder, story.environ)
    commands = yaml.safe_load((folder / ".gitlab/pe-perf.yml").read_text())["pe-perf"]["after_script"]
    job = {
        **{name: value for name, value in story.environ.items() if not name.startswith("GITHUB_")},
        "CI_API_V4_URL": services.address,
        "CI_PROJECT_ID": "3",
        "CI_PROJECT_URL": "https://x.example/p",
        "CI_MERGE_REQUEST_IID": "7",
    }
    for token, notes in (("", 0), ("secret", 1)):
        run("\n".join(commands), folder, job | {"GITLAB_TOKEN": token})
        assert len(services.bodies) == notes
    assert '"severity": "major"' in (folder / ".pe-perf/quality.json").read_text()
    assert "▲ **pe-perf**: " in services.bodies[0]
