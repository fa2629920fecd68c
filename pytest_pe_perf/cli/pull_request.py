"""``pe-perf pull-request``: from a job of GitHub's or GitLab's to the pull request that it is about."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from .service import GitHub, State

# What the exit statuses of a gate mean for a commit; with all others nobody can tell.
_STATES: dict[int, State] = {0: "success", 1: "failure"}
_COULD_NOT_TELL = "could not tell"
_NO_VERDICT = "nothing was measured, or it cannot be judged"


@click.group("pull-request", epilog="Example: pe-perf pull-request comment comment.md --number 7")
def pull_request() -> None:
    """Comment on the pull request, or merge request, that a job is about; find it; and say of its commit what came out.

    The job's environment says where that is. The token is in GITHUB_TOKEN, and must be that of a workflow or an app; or
    in GITLAB_TOKEN.
    """


@pull_request.command(epilog="Example: pe-perf pull-request comment comment.md --number 7")
@click.argument("file", metavar="COMMENT.md", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--number", type=click.IntRange(1), help="Which; on GitLab by default that of the pipeline.")
@click.option("--id", "name", default="", help="A name, where several jobs keep a comment each.")
def comment(file: Path, number: int | None, name: str) -> None:
    """Write what `--format markdown` wrote, or edit the comment that is there.

    The text is sent as data and never looked at, but for its first line: the mark by which the next push finds the
    comment. Where there is no such file, nothing was measured, or it could not be judged: the comment then says so, lest
    the one of an earlier push be taken for the answer.

    Exit status: 0 done, 2 usage, or the service refuses.
    """
    from .service import put, service_of

    service = service_of(os.environ)
    mark = _mark(name)
    body = _body(file, mark)
    pull = number or _of_the_pipeline()
    click.echo(put(service, pull, mark, body))


@pull_request.command(epilog='Example: pe-perf pull-request find "$HEAD" >> "$GITHUB_OUTPUT"')
@click.argument("commit")
def find(commit: str) -> None:
    """Print the number of the open pull request that ends with COMMIT, and the branch that it goes to.

    For a job that must not believe what another one says of itself. On GitHub.

    Exit status: 0 found, 2 usage, there is not one, or the service refuses.
    """
    from pytest_pe_perf.errors import ServiceError

    found = _github(commit, "a job of GitLab's is told which merge request it is about").ending_with(commit)
    if len(found) != 1:
        raise ServiceError(
            f"{len(found)} open pull requests end with {commit}, and there must be one; a newer push is judged by itself"
        )
    # Neither can hold a line's end: a branch's name has no control characters.
    ((number, base),) = found
    click.echo(f"number={number}\nbase={base}")


@pull_request.command(epilog='Example: pe-perf pull-request status "$HEAD" --ended 0 --badge badge.json')
@click.argument("commit")
@click.option(
    "--ended", type=click.IntRange(0, 255), help="With which exit status `pe-perf gate` ended; by default it has not."
)
@click.option(
    "--badge",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --ended, the file that its `--format badge` wrote: the verdict in a few words.",
)
@click.option("--id", "name", default="", help="A name, where several jobs judge one pull request.")
def status(commit: str, ended: int | None, badge: Path | None, name: str) -> None:
    """Give COMMIT a status, which the rules of a branch can require: `pe-perf`, or `pe-perf/NAME`.

    It is pending until the gate has ended; then a success where that passed, a failure where something got worse, and an
    error where nobody can tell, or where there is no such file. For a job that judges what one without rights has
    measured. On GitHub, where it needs the right `statuses: write`.

    Exit status: 0 done, 2 usage, or the service refuses.
    """
    from pytest_pe_perf.errors import UsageError

    from .service import Status

    if (ended is None) != (badge is None):
        raise UsageError("--ended and --badge belong together: how the gate ended, and what it said")
    _mark(name)
    state, words = _outcome(ended, badge)
    github = _github(commit, "GitLab takes a status only in the project that the branch is in, which is the fork")
    github.mark(commit, Status(state, f"pe-perf/{name}" if name else "pe-perf", words, _log()))
    click.echo(f"{state}: {words}")


def _github(commit: str, why: str) -> GitHub:
    """Return GitHub, to be asked about a commit; ``why`` GitLab is not."""
    from pytest_pe_perf.errors import UsageError

    from .service import GitHub, service_of

    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise UsageError(f"{commit!r} is no full commit id")
    service = service_of(os.environ)
    if not isinstance(service, GitHub):
        raise UsageError(f"only GitHub is asked for this: {why}")
    return service


def _outcome(ended: int | None, badge: Path | None) -> tuple[State, str]:
    """Return the state of a commit, and the verdict in a few words."""
    if ended is None or badge is None:
        return "pending", "being judged"
    said = _message(badge) if badge.exists() else ""
    if said and ended in _STATES:
        return _STATES[ended], said
    return "error", said if said == _COULD_NOT_TELL else f"{_COULD_NOT_TELL}: {said or _NO_VERDICT}"


def _message(badge: Path) -> str:
    from pytest_pe_perf.errors import UsageError

    try:
        return str(json.loads(badge.read_bytes())["message"])
    except (ValueError, LookupError, TypeError) as error:
        raise UsageError(f"{badge} is no badge of pe-perf: {error!r}") from error


def _mark(name: str) -> str:
    from pytest_pe_perf.errors import UsageError
    from pytest_pe_perf.report.formats.markdown import MARKER

    if not re.fullmatch(r"[\w.-]*", name, re.ASCII) or "--" in name:
        raise UsageError(f"--id {name!r}: only letters, digits and . _ -, and no two - in a row")
    return MARKER.replace(" -->", f": {name} -->") if name else MARKER


def _body(file: Path, mark: str) -> str:
    from pytest_pe_perf.errors import UsageError
    from pytest_pe_perf.report.formats.markdown import MARKER

    if not file.exists():
        return f"{mark}\n{_nothing()}\n"
    first, _, rest = file.read_text(encoding="utf-8").partition("\n")
    if first != MARKER:
        raise UsageError(f"{file} is no comment of pe-perf: its first line is not {MARKER}")
    return f"{mark}\n{rest}"


def _nothing() -> str:
    """Return what there is to say without a report, with the address of the log."""
    from pytest_pe_perf.report.wording import SIGN_OF_LEVEL

    log = _log()
    where = f"[the log]({log})" if log else "the log"
    return f"{SIGN_OF_LEVEL['unsure']} **pe-perf**: {_NO_VERDICT}; {where} says why"


def _log() -> str:
    """Return the address of the job's log, as far as its environment tells."""
    if "GITHUB_RUN_ID" not in os.environ:
        return os.environ.get("CI_JOB_URL", "")
    server, repository, run = (os.environ[f"GITHUB_{name}"] for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    return f"{server}/{repository}/actions/runs/{run}"


def _of_the_pipeline() -> int:
    from pytest_pe_perf.errors import UsageError

    number = os.environ.get("CI_MERGE_REQUEST_IID", "")
    if not number.isdecimal():
        raise UsageError("which pull request? give its --number")
    return int(number)
