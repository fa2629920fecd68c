"""A second virtual environment: what a build command installs from one tree, before everything of the current one."""

from __future__ import annotations

import importlib.util
import os
import shlex
import site
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_pe_perf.errors import SidesError
from pytest_pe_perf.measure import child
from pytest_pe_perf.measure.janitor import Watcher

_SECONDS_TO_MAKE = 300.0
_SECONDS_TO_BUILD = 3600.0
_LINES_TO_SHOW = 12
# Each of these would make the command install elsewhere, or the interpreter look elsewhere.
_NOT_INHERITED = ("PYTHONHOME", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON")
_MODULE = "_pe_perf_current_environment"
# Read last of all .pth files, so that what is installed here comes first on sys.path.
_LINK = "zzzz_pe_perf_current_environment.pth"
_LINK_LINE = f"import {_MODULE} as current; current.add()\n"
# Two subtleties of what runs there at every start:
# - The empty set makes site append the folders although they are there: pip, when it isolates a build, lets the .pth
#   files be read a second time to learn which folders it has to take away.
# - Finders of editable installs stand before sys.path (meson-python, scikit-build-core) and would hide what is
#   installed here; they are put behind it. The one of setuptools that replaces distutils has to stay in front.
_MODULE_TEXT = """\
import site
import sys

FOLDERS = {folders!r}


def add():
    before = sys.meta_path[:]
    for folder in FOLDERS:
        site.addsitedir(folder, set())
    sys.meta_path.sort(key=lambda finder: finder not in before and not is_of_setuptools(finder))


def is_of_setuptools(finder):
    return (getattr(finder, "__module__", None) or "").startswith("_distutils_hack")
"""
_PIP = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'


def second_environment(
    folder: Path, tree: Path, command: str, environ: Mapping[str, str], *, watcher: Watcher | None = None
) -> Path:
    """Make a virtual environment at ``folder``, run ``command`` for it in ``tree`` and return its interpreter.

    It sees the packages of the current environment behind its own: pytest, the plugins and all dependencies are the
    same on both sides, and only what the command installs differs. ``watcher`` is told of the processes that run.

    Raises:
        SidesError: the environment cannot be made, the command fails, or pytest does not work there afterwards.

    """
    environ = _environ(folder, environ)
    # The packages of the current environment are seen from here, so its pip is ours too, and need not be installed.
    pip = importlib.util.find_spec("pip") is not None
    make = [sys.executable, "-I", "-m", "venv", *(["--without-pip"] if pip else []), str(folder)]
    _run(make, "making a virtual environment", folder.parent, environ, _SECONDS_TO_MAKE, watcher)
    _link_current(folder)
    if pip:
        _write_pip(folder)
    _run(["/bin/sh", "-c", command], f"`{command}`", tree, environ, _SECONDS_TO_BUILD, watcher)
    python = folder / "bin" / "python"
    check = [str(python), "-P", "-c", "import pytest, pytest_pe_perf"]
    _run(check, f"importing pytest and pytest_pe_perf after `{command}`", folder, environ, _SECONDS_TO_MAKE, watcher)
    return python


def current_site_packages() -> tuple[str, ...]:
    """Return the folders that the packages of the current environment are in, first one first."""
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    # Of a virtual environment with system packages these are its own folder and the system's.
    known = [*user, sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    return tuple(folder for folder in dict.fromkeys(known) if Path(folder).is_dir())


def _environ(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if name not in _NOT_INHERITED}
    path = [str(folder / "bin"), kept.get("PATH", os.defpath)]
    # The last one: a pip that is not of a virtual environment refuses, instead of changing the user's own.
    return {
        **kept,
        "PATH": os.pathsep.join(path),
        "VIRTUAL_ENV": str(folder),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_REQUIRE_VIRTUALENV": "1",
    }


def _link_current(folder: Path) -> None:
    # Of a virtual environment, whatever a distribution has made of the default scheme.
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    text = _MODULE_TEXT.format(folders=current_site_packages())
    try:
        (packages / f"{_MODULE}.py").write_text(text, encoding="utf-8", errors="surrogateescape")
        (packages / _LINK).write_text(_LINK_LINE, encoding="utf-8")
    except OSError as error:
        raise SidesError(
            f"the virtual environment of the other side cannot be written: {error}; make room there"
        ) from error


def _write_pip(folder: Path) -> None:
    # Without it, `pip` would be that of the current environment, and change it.
    for name in ("pip", "pip3", f"pip{sys.version_info.major}.{sys.version_info.minor}"):
        script = folder / "bin" / name
        script.write_text(_PIP, encoding="utf-8")
        script.chmod(0o755)


def _run(
    command: Sequence[str], name: str, folder: Path, environ: Mapping[str, str], timeout: float, watcher: Watcher | None
) -> None:
    """Run a command to its end.

    Raises:
        SidesError: it could not be started, took too long or failed.

    """
    # Into a file: a server that a build leaves behind would hold a pipe open.
    with tempfile.TemporaryFile() as log:
        status = _wait(_start(command, name, folder, environ, log.fileno()), name, timeout, watcher)
        log.seek(0)
        output = log.read().decode("utf-8", "replace")
    if status:
        said = "\n".join(output.strip().splitlines()[-_LINES_TO_SHOW:]) or "nothing"
        raise SidesError(
            f"{name} failed with exit status {status} in {folder}; it said:\n{said}\n"
            "both sides must be built before they are compared; run the command by hand to see all of its output"
        )


def _start(
    command: Sequence[str], name: str, folder: Path, environ: Mapping[str, str], log: int
) -> subprocess.Popen[bytes]:
    try:
        return child.start(command, folder, environ, log)
    except OSError as error:
        raise SidesError(f"{name} could not be started: {error}; the command was {shlex.join(command)}") from error


def _wait(process: subprocess.Popen[bytes], name: str, timeout: float, watcher: Watcher | None) -> int:
    try:
        if watcher:
            watcher.watch(process.pid)
        return process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise SidesError(
            f"{name} did not finish within {timeout:.0f} s; run it by hand to see where it stays"
        ) from error
    finally:
        # Also on Ctrl-C: nothing of ours goes on running.
        child.end(process)
        if watcher:
            watcher.unwatch(process.pid)
