"""The services that pull requests are on, as far as a comment needs them: GitHub and GitLab, named by a job's environment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar
from urllib.error import URLError
from urllib.request import Request, urlopen

import msgspec

from pytest_pe_perf.errors import ServiceError, UsageError
from pytest_pe_perf.report.screen import shorten

_SECONDS_TO_WAIT = 30.0
_A_PAGE = 100
# GitHub refuses a longer one.
_LONGEST_DESCRIPTION = 140
T = TypeVar("T")
State = Literal["pending", "success", "failure", "error"]


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment that is there. ``ours``: a program like this one wrote it; a person's is not ours to edit."""

    number: int
    body: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Status:
    """What is said of a commit under a name, its ``context``: ``state`` is GitHub's word, ``page`` where to read on."""

    state: State
    context: str
    words: str
    page: str


class Service(Protocol):
    """What both can do. A ``pull`` is the number of a pull request; what is written has an address, which is returned."""

    def comments(self, pull: int) -> Iterator[Comment]:
        """Yield all comments."""

    def add(self, pull: int, body: str) -> str:
        """Write a comment."""

    def edit(self, pull: int, number: int, body: str) -> str:
        """Write a comment anew."""


def put(service: Service, pull: int, mark: str, body: str) -> str:
    """Edit the comment that begins with the line ``mark``, or add one; return its address.

    Raises:
        ServiceError: the service cannot be asked, or refuses.

    """
    for comment in service.comments(pull):
        if comment.ours and comment.body.splitlines()[:1] == [mark]:
            return service.edit(pull, comment.number, body)
    return service.add(pull, body)


def service_of(environ: Mapping[str, str]) -> GitHub | GitLab:
    """Return the service whose job this is.

    Raises:
        UsageError: it is none of theirs, or it has no token.

    """
    if "GITHUB_REPOSITORY" in environ:
        token = f"Bearer {_given(environ, 'GITHUB_TOKEN')}"
        headers = {"Authorization": token, "Accept": "application/vnd.github+json"}
        return GitHub(_Api("GitHub", _given(environ, "GITHUB_API_URL"), headers), environ["GITHUB_REPOSITORY"])
    if "CI_API_V4_URL" in environ:
        api = _Api("GitLab", environ["CI_API_V4_URL"], {"Private-Token": _given(environ, "GITLAB_TOKEN")})
        return GitLab(api, _given(environ, "CI_PROJECT_ID"), _given(environ, "CI_PROJECT_URL"))
    raise UsageError("this is no job of GitHub's or GitLab's: neither GITHUB_REPOSITORY nor CI_API_V4_URL is set")


def _given(environ: Mapping[str, str], name: str) -> str:
    if not environ.get(name):
        raise UsageError(f"the variable {name} is not set, or empty: pull requests cannot be reached without it")
    return environ[name]


@dataclass(frozen=True, slots=True)
class GitHub:
    """A repository on GitHub."""

    api: _Api
    repository: str

    def comments(self, pull: int) -> Iterator[Comment]:
        """Yield all comments of a pull request."""
        for one in self.api.all(self._path(f"issues/{pull}/comments?"), list[_GitHubComment]):
            yield Comment(one.id, one.body, one.user is not None and one.user.type == "Bot")

    def add(self, pull: int, body: str) -> str:
        """Write a comment."""
        return self.api.ask("POST", self._path(f"issues/{pull}/comments"), _Written, {"body": body}).html_url

    def edit(self, pull: int, number: int, body: str) -> str:  # noqa: ARG002 - GitLab asks for both
        """Write a comment anew."""
        return self.api.ask("PATCH", self._path(f"issues/comments/{number}"), _Written, {"body": body}).html_url

    def ending_with(self, commit: str) -> list[tuple[int, str]]:
        """Return the open pull requests whose last commit this is: number, and the branch that each goes to."""
        # Not /commits/SHA/pulls: it does not know the commits of forks.
        pulls = self.api.all(self._path("pulls?state=open&"), list[_Pull])
        return [(one.number, one.base.ref) for one in pulls if one.head.sha == commit]

    def mark(self, commit: str, status: Status) -> None:
        """Say of a commit how it is, in place of what was said under the same context."""
        content = {
            "state": status.state,
            "context": status.context,
            "description": shorten(status.words, _LONGEST_DESCRIPTION),
            "target_url": status.page,
        }
        self.api.ask("POST", self._path(f"statuses/{commit}"), _Marked, content)

    def _path(self, rest: str) -> str:
        return f"/repos/{self.repository}/{rest}"


@dataclass(frozen=True, slots=True)
class GitLab:
    """A project on GitLab, where comments are called notes and pull requests merge requests. ``page`` is its address."""

    api: _Api
    project: str
    page: str

    def comments(self, pull: int) -> Iterator[Comment]:
        """Yield all notes of a merge request."""
        me = self.api.ask("GET", "/user", _Author)
        for one in self.api.all(f"{self._path(pull)}?", list[_Note]):
            yield Comment(one.id, one.body, one.author == me)

    def add(self, pull: int, body: str) -> str:
        """Write a note."""
        return self._address(pull, self.api.ask("POST", self._path(pull), _New, {"body": body}))

    def edit(self, pull: int, number: int, body: str) -> str:
        """Write a note anew."""
        return self._address(pull, self.api.ask("PUT", f"{self._path(pull)}/{number}", _New, {"body": body}))

    def _path(self, pull: int) -> str:
        return f"/projects/{self.project}/merge_requests/{pull}/notes"

    def _address(self, pull: int, note: _New) -> str:
        return f"{self.page}/-/merge_requests/{pull}#note_{note.id}"


# --- what is asked and answered ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Api:
    """An interface that speaks JSON."""

    name: str
    address: str
    headers: Mapping[str, str]

    def all(self, path: str, kind: type[list[T]]) -> Iterator[T]:
        """Yield what a list holds, page after page."""
        page = 1
        while entries := self.ask("GET", f"{path}per_page={_A_PAGE}&page={page}", kind):
            yield from entries
            if len(entries) < _A_PAGE:
                return
            page += 1

    def ask(self, method: str, path: str, kind: type[T], content: object = None) -> T:
        """Return the answer.

        Raises:
            ServiceError: there is none, it is a refusal, or it is not what was asked for.

        """
        request = Request(  # noqa: S310 - the address is that of the job's own service
            f"{self.address}{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={**self.headers, "Content-Type": "application/json"},
        )
        try:
            with urlopen(request, timeout=_SECONDS_TO_WAIT) as answer:  # noqa: S310 - as above
                return msgspec.json.decode(answer.read(), type=kind)
        except (URLError, TimeoutError, msgspec.DecodeError) as error:
            raise ServiceError(f"{self.name} did not do {method} {self.address}{path}: {error}") from error


class _User(msgspec.Struct):
    type: str


class _GitHubComment(msgspec.Struct):
    id: int
    body: str
    user: _User | None


class _Written(msgspec.Struct):
    html_url: str


class _Marked(msgspec.Struct):
    context: str


class _Head(msgspec.Struct):
    sha: str


class _Base(msgspec.Struct):
    ref: str


class _Pull(msgspec.Struct):
    number: int
    head: _Head
    base: _Base


class _Author(msgspec.Struct):
    id: int


class _Note(msgspec.Struct):
    id: int
    body: str
    author: _Author


class _New(msgspec.Struct):
    id: int
