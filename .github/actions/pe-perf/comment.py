"""Write the report's comment on a pull request, or edit the one that is there. Standard library only.

    python comment.py comment.md --number 7
    python comment.py comment.md --head SHA --id engine

The text is sent as data and never looked at, but for its first line: the mark by which the next push finds the comment.
With ``--id`` the mark has that name, so that two jobs on one pull request keep a comment each. ``--head`` finds the one
open pull request that ends with this commit. From the environment: GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN.

Exits with 1 and a message if there is no such pull request, or if GitHub refuses.
"""

# ruff: noqa: INP001 - a script in a folder of GitHub's

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

MARKER = "<!-- pe-perf report -->"
_SECONDS_TO_WAIT = 30.0
_A_PAGE = 100


def main() -> None:
    """Comment; say where."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="what `pe-perf report --format markdown` wrote")
    parser.add_argument("--id", type=_name, default="", help="a name, where several jobs comment")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--number", type=int, help="the pull request")
    which.add_argument("--head", type=_commit, help="the commit that the pull request ends with")
    given = parser.parse_args()
    first, _, rest = given.file.read_text(encoding="utf-8").partition("\n")
    if first != MARKER:
        sys.exit(f"{given.file}: this is no comment of pe-perf: its first line is not {MARKER}")
    mark = MARKER.replace(" -->", f": {given.id} -->") if given.id else MARKER
    try:
        number = given.number or _pull_request(given.head)
        print(_put(number, mark, f"{mark}\n{rest}"))
    except URLError as error:
        sys.exit(f"GitHub does not take the comment: {error}")


def _put(number: int, mark: str, body: str) -> str:
    """Edit the comment that begins with ``mark``, or add one; return its address."""
    for comment in _all(f"issues/{number}/comments?"):
        # Anybody can write the mark; a person's comment is not ours to edit.
        if comment["user"]["type"] == "Bot" and comment["body"].splitlines()[:1] == [mark]:
            return str(_ask("PATCH", f"issues/comments/{comment['id']}", {"body": body})["html_url"])
    return str(_ask("POST", f"issues/{number}/comments", {"body": body})["html_url"])


def _pull_request(head: str) -> int:
    # Not /commits/SHA/pulls: it does not know the commits of forks.
    found = [pull["number"] for pull in _all("pulls?state=open&") if pull["head"]["sha"] == head]
    if len(found) != 1:
        sys.exit(f"{len(found)} open pull requests end with {head}: there must be one")
    return int(found[0])


def _all(path: str) -> Iterator[Any]:
    """Yield what a list holds, page after page."""
    page = 1
    while entries := _ask("GET", f"{path}per_page={_A_PAGE}&page={page}"):
        yield from entries
        if len(entries) < _A_PAGE:
            return
        page += 1


def _ask(method: str, path: str, content: object = None) -> Any:
    request = Request(  # noqa: S310 - the address is that of the runner
        f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}",
        method=method,
        data=None if content is None else json.dumps(content).encode(),
        headers={
            "Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
            "Accept": "application/vnd.github+json",
            "Content-Type": "application/json",
        },
    )
    with urlopen(request, timeout=_SECONDS_TO_WAIT) as answer:  # noqa: S310 - as above
        return json.load(answer)


def _name(text: str) -> str:
    if not re.fullmatch(r"[\w.-]*", text, re.ASCII) or "--" in text:
        raise argparse.ArgumentTypeError(f"{text!r}: only letters, digits and . _ -, and no two - in a row")
    return text


def _commit(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no full commit id")
    return text


if __name__ == "__main__":
    main()
