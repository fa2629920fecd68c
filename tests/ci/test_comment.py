"""`pe-perf pull-request`: a comment on GitHub or GitLab and a status on GitHub, to a server that keeps them as they do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pe_perf.cli import main
from pytest_pe_perf.report.formats.markdown import MARKER

from .conftest import Services

HEAD, TWICE = "a" * 40, "b" * 40
TEXT = 'all is well: $(exit 3) `exit 3` "é"\n'
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Return a function that runs the command in a job of GitHub's or GitLab's; its status, and what it said."""
    jobs = {
        "GitHub": {"GITHUB_API_URL": services.address, "GITHUB_REPOSITORY": "a/b", "GITHUB_TOKEN": "secret"},
        "GitLab": {
            "CI_API_V4_URL": services.address,
            "CI_PROJECT_ID": "3",
            "CI_PROJECT_URL": "https://x.example/p",
            "CI_MERGE_REQUEST_IID": "7",
            "GITLAB_TOKEN": "secret",
        },
        "nobody": {},
    }

    monkeypatch.chdir(tmp_path)

    def run(
        *arguments: str, job: str = "GitHub", body: str | None = f"{MARKER}\n{TEXT}", **more: str
    ) -> tuple[int, str]:
        for name in {name for one in jobs.values() for name in one} | {"GITHUB_RUN_ID"}:
            monkeypatch.delenv(name, raising=False)
        for name, value in {**jobs[job], **more}.items():
            monkeypatch.setenv(name, value)
        Path("comment.md").unlink(missing_ok=True)
        if body is not None:
            Path("comment.md").write_text(body, encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["pe-perf", "pull-request", *arguments])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = capsys.readouterr()
        return status, said.err or said.out

    return run


@pytest.mark.parametrize(
    ("job", "address"),
    [("GitHub", "https://x.example/1\n"), ("GitLab", "https://x.example/p/-/merge_requests/7#note_120\n")],
)
def test_the_second_push_edits_the_comment_of_the_first(services: Services, call: Call, job: str, address: str) -> None:
    """It is found by its first line on whatever page, and only if it is ours; the text arrives as it is."""
    for number in range(120):
        services.add(f"{MARKER}\nmine" if number == 3 else f"see {MARKER}", bot=number != 3)
    before = services.bodies
    for body in ("first\n", TEXT):
        assert call("comment", "comment.md", "--number", "7", job=job, body=f"{MARKER}\n{body}") == (0, address)
    assert services.bodies == [*before, f"{MARKER}\n{TEXT}"]


def test_two_jobs_keep_a_comment_each(services: Services, call: Call) -> None:
    """A name in the mark keeps them apart; a job of GitLab's knows its merge request."""
    for name in ("", "engine", "", "engine"):
        assert call("comment", "comment.md", "--id", name, job="GitLab")[0] == 0
    assert services.bodies == [f"{MARKER}\n{TEXT}", f"<!-- pe-perf report: engine -->\n{TEXT}"]


def test_where_nothing_was_measured_the_old_answer_does_not_stay(services: Services, call: Call) -> None:
    """Without a file the comment says so, and where the log is."""
    services.add(f"{MARKER}\nall is well")
    place = {"GITHUB_RUN_ID": "99", "GITHUB_SERVER_URL": "https://x.example"}
    assert call("comment", "comment.md", "--number", "7", body=None, **place)[0] == 0
    (body,) = services.bodies
    assert body.startswith(f"{MARKER}\n◇ **pe-perf**: nothing was measured")
    assert "(https://x.example/a/b/actions/runs/99)" in body


def test_a_pull_request_is_found_by_its_last_commit(services: Services, call: Call) -> None:
    """However many others are open; with the branch that it goes to, as a job's outputs."""
    for number in range(1000, 1150):
        services.open(number, "c" * 40)
    services.open(7, HEAD, "release/1.x")
    assert call("find", HEAD) == (0, "number=7\nbase=release/1.x\n")


@pytest.mark.parametrize(
    ("arguments", "said", "state", "words"),
    [
        ([], None, "pending", "being judged"),
        (["--ended", "0"], "nothing got worse", "success", "nothing got worse"),
        (["--ended", "1"], "2 regressed", "failure", "2 regressed"),
        (["--ended", "3"], "2 new", "error", "could not tell: 2 new"),
        (["--ended", "3"], "could not tell", "error", "could not tell"),
        (["--ended", "2"], None, "error", "could not tell: nothing was measured, or it cannot be judged"),
        (["--ended", "0"], None, "error", "could not tell: nothing was measured, or it cannot be judged"),
        (["--ended", "1"], "1 regressed, " * 20, "failure", "1 regressed"),
    ],
)
def test_a_commit_is_given_a_status(
    services: Services, call: Call, arguments: list[str], said: str | None, state: str, words: str
) -> None:
    """By the exit status of the gate, in the badge's few words, with a link to the run; a success needs both."""
    place = {"GITHUB_RUN_ID": "99", "GITHUB_SERVER_URL": "https://x.example"}
    if said is not None:
        Path("badge.json").write_text(json.dumps({"message": said}))
    badge = ["--badge", "badge.json"] if arguments else []
    assert call("status", HEAD, *arguments, *badge, "--id", "engine", **place)[0] == 0
    (status,) = services.statuses
    assert status.pop("description").startswith(words)
    assert status == {
        "commit": HEAD,
        "state": state,
        "context": "pe-perf/engine",
        "target_url": "https://x.example/a/b/actions/runs/99",
    }


@pytest.mark.parametrize(
    ("arguments", "changes", "seen"),
    [
        (["status", HEAD, "--ended", "0"], {}, "belong together"),
        (["status", HEAD, "--ended", "0", "--badge", "comment.md"], {}, "no badge of pe-perf"),
        (["status", "main"], {}, "no full commit id"),
        (["status", HEAD, "--id", "a b"], {}, "only letters"),
        (["status", HEAD], {"job": "GitLab"}, "only in the project that the branch is in"),
        (["status", HEAD], {"GITHUB_TOKEN": "other"}, "HTTP Error 403"),
        (["find", TWICE], {}, "2 open pull requests end with"),
        (["find", "d" * 40], {}, "0 open pull requests end with"),
        (["find", "main"], {}, "no full commit id"),
        (["find", HEAD], {"job": "GitLab"}, "only GitHub is asked"),
        (["find", HEAD], {"job": "nobody"}, "neither GITHUB_REPOSITORY nor CI_API_V4_URL"),
        (["comment", "comment.md"], {}, "give its --number"),
        (["comment", "comment.md", "--number", "7", "--id", "x -->"], {}, "only letters"),
        (["comment", "comment.md", "--number", "7"], {"body": "hello\n"}, "no comment of pe-perf"),
        (["comment", "comment.md", "--number", "7"], {"GITHUB_TOKEN": ""}, "GITHUB_TOKEN is not set"),
        (["comment", "comment.md", "--number", "7"], {"GITHUB_TOKEN": "other"}, "HTTP Error 403"),
        (["comment", "comment.md", "--number", "8"], {"job": "GitLab"}, "HTTP Error 404"),
        (["comment", "comment.md"], {"job": "GitLab", "CI_API_V4_URL": "http://127.0.0.1:1"}, "Connection refused"),
    ],
)  # fmt: skip
def test_what_is_refused(
    services: Services, call: Call, arguments: list[str], changes: dict[str, str], seen: str
) -> None:
    """It says why, ends with 2, and nothing is written."""
    services.open(8, TWICE)
    services.open(9, TWICE)
    status, said = call(*arguments, **changes)
    assert status == 2
    assert seen in said
    assert services.comments == services.statuses == []
