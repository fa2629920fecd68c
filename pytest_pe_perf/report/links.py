"""Where people look at the commits of a repository."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_pe_perf import git

_SECONDS_TO_WAIT = 10.0
# https://user:secret@host:443/path.git, ssh://git@host:22/path.git and git@host:path.git
_URL = re.compile(r"(?:https?|ssh)://(?:[^/@]*@)?([\w.-]+)(?::\d+)?/(.+)")
_SCP = re.compile(r"(?:[\w.-]+@)?([\w.-]+\.[\w.-]+):(?!//)(.+)")
# Between the repository and the commit; most others do as GitHub does.
_BETWEEN = {"gitlab": "/-/commit/", "bitbucket": "/commits/"}


def commits_of_repository(root: Path) -> str:
    """Return the beginning of the address of each commit of the repository in ``root``; empty where that is not known."""
    try:
        remote = git.line(git.run(root, "remote", "get-url", "origin", seconds=_SECONDS_TO_WAIT))
    except git.GitError:
        return ""
    return commits_at(remote)


def commits_at(remote: str) -> str:
    """Return the beginning of the address of each commit of a remote, without what is secret of it.

    >>> commits_at("git@github.com:ann/project.git")
    'https://github.com/ann/project/commit/'
    """
    found = _URL.fullmatch(remote) or _SCP.fullmatch(remote)
    if found is None:
        return ""
    host, path = found[1], found[2].strip("/").removesuffix(".git")
    if not re.fullmatch(r"[\w./~+-]+", path):
        return ""
    between = next((between for name, between in _BETWEEN.items() if name in host), "/commit/")
    return f"https://{host}/{path}{between}"
