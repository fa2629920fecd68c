"""Running git: in the repository that a folder is in, without a lock in the user's way, and never for ever.

What git prints is bytes: file names are bytes to git and to the system, and travel as text with surrogates, like
everywhere in Python.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

# A git hook or an alias that runs us sets these for its own repository; ours is found from the folder.
_NOT_INHERITED = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_DEFAULT_HASH",
        "GIT_DEFAULT_REF_FORMAT",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_LITERAL_PATHSPECS",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
# No lock that stands in the way of the user's own git, no question that nobody answers, and words that we know.
_ENVIRON = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}


class GitError(Exception):
    """Git failed; the text is the last line that it said.

    ``status`` is its exit status. It is None where git did not end in time, and where it is ``missing``: where it could
    not be started. ``said`` is all that it said on stderr, and ``printed`` on stdout.
    """

    def __init__(self, status: int | None, said: str, *, printed: str = "", missing: bool = False) -> None:
        lines = said.strip().splitlines()
        super().__init__(lines[-1] if lines else f"exit status {status}, and no word")
        self.status = status
        self.said = said
        self.printed = printed
        self.missing = missing


def run(
    folder: Path, *arguments: str, seconds: float, stdin: bytes = b"", environ: Mapping[str, str] | None = None
) -> bytes:
    """Run git in ``folder`` and return what it printed.

    Raises:
        GitError: it cannot be started, takes longer than ``seconds``, or ends with an error.

    """
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            input=stdin,
            capture_output=True,
            env={**inherited, **_ENVIRON, **(environ or {})},
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GitError(None, f"no answer within {seconds:.0f} s") from error
    except OSError as error:
        raise GitError(None, error.strerror or str(error), missing=True) from error
    if done.returncode:
        said, printed = (output.decode("utf-8", "replace") for output in (done.stderr, done.stdout))
        raise GitError(done.returncode, said, printed=printed)
    return done.stdout


def line(output: bytes) -> str:
    """Return the one line that git printed."""
    # Not strip(): a folder's name may end with a blank.
    return os.fsdecode(output).removesuffix("\n")


def names(output: bytes) -> list[str]:
    """Return what git printed with a NUL after each."""
    # Bytes until here: text mode would change a carriage return in a file's name.
    return os.fsdecode(output).split("\0")[:-1]
