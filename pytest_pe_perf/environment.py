"""Who measures: the identity that makes two runs comparable, and the context that is only shown.

The identity holds stable facts alone. Whatever moves by itself on one machine (frequency, microcode, kernel build,
host name) would make its own baselines unusable, so it is context.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

from . import git
from .model import Environment

_SYSTEMS = {"linux": "linux", "darwin": "darwin", "win32": "windows"}
_MACHINES = {"amd64": "x86_64", "x64": "x86_64"}
_VENDORS = {"genuineintel": "intel", "authenticamd": "amd"}
_WINDOWS_PROCESSOR = re.compile(r"Family (\d+) Model (\d+)\b.*,\s*(\w+)")
# What a brand string says besides the model: marks, filler, and the nominal frequency.
_BRAND_NOISE = re.compile(r"\((?:r|tm)\)|@.*|\b(?:cpu|processor)\b", re.IGNORECASE)
_SECONDS_TO_WAIT = 10.0


def identify() -> Environment:
    """Return the identity of this interpreter on this machine."""
    return Environment(
        implementation=sys.implementation.name,
        python=_python(),
        os=_SYSTEMS.get(sys.platform, _slug(sys.platform)),
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
    )


def context(rootdir: Path) -> dict[str, str]:
    """Return what may differ between comparable runs; an unknown fact is an empty string, never an error.

    The commit is that of the work tree at ``rootdir``; ``dirty`` is "yes" where tracked files differ from it. ``load``
    is the average number of runnable processes over the last 1, 5 and 15 minutes.
    """
    return {
        "python": platform.python_version(),
        "cpu": _cpu_name(),
        "platform": platform.platform(),
        "pytest": _version("pytest"),
        "memray": _version("memray"),
        "pytest-benchmark": _version("pytest-benchmark"),
        **parse_git_status(_git_status(rootdir)),
        "load": _load(),
    }


def cpu_from_cpuinfo(machine: str, text: str) -> str:
    """Return the CPU family that a Linux ``/proc/cpuinfo`` describes, e.g. ``"x86_64-amd-25-1"``.

    Other architectures than x86 and ARM are named by themselves alone.
    """
    first = _first_values(text)
    if first.keys() >= {"vendor_id", "cpu family", "model"}:
        return "-".join([_machine(machine), _vendor(first["vendor_id"]), first["cpu family"], first["model"]])
    if first.keys() >= {"CPU implementer", "CPU part"}:
        # A machine with big and little cores has several parts; which one is listed first is not fixed.
        parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\w+)", text, re.MULTILINE)))
        return "-".join([_machine(machine), first["CPU implementer"], *parts])
    return _machine(machine)


def cpu_from_brand(machine: str, brand: str) -> str:
    """Return the CPU family that a brand string names, e.g. ``"arm64-apple-m1-pro"``."""
    name = _slug(_BRAND_NOISE.sub(" ", brand))
    return f"{_machine(machine)}-{name}" if name else _machine(machine)


def cpu_from_windows(machine: str, processor: str) -> str:
    """Return the CPU family that Windows' processor identifier names, in the same words as on Linux."""
    if found := _WINDOWS_PROCESSOR.search(processor):
        family, model, vendor = found.groups()
        return f"{_machine(machine)}-{_vendor(vendor)}-{family}-{model}"
    return cpu_from_brand(machine, processor)


def parse_git_status(text: str) -> dict[str, str]:
    """Return commit, dirty flag and branch from ``git status --porcelain=v2 --branch``; all empty for no text."""
    headers = dict(re.findall(r"^# branch\.(oid|head) (.*)$", text, re.MULTILINE))
    # "(initial)" stands for a repository without commits, "(detached)" for a checkout without a branch.
    known = {name: "" if value.startswith("(") else value for name, value in headers.items()}
    changed = any(line and not line.startswith("#") for line in text.splitlines())
    return {
        "commit": known.get("oid", ""),
        "dirty": "" if not headers else "yes" if changed else "no",
        "branch": known.get("head", ""),
    }


def _python() -> str:
    # A free-threaded build is another interpreter: its counts and times are its own.
    free_threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    return f"{sys.version_info.major}.{sys.version_info.minor}{free_threaded}"


def _cpu() -> str:
    machine = platform.machine()
    if sys.platform == "linux":
        return cpu_from_cpuinfo(machine, _cpuinfo())
    if sys.platform == "darwin":
        return cpu_from_brand(machine, _brand())
    return cpu_from_windows(machine, platform.processor())


def _cpu_name() -> str:
    if sys.platform == "linux":
        return _first_values(_cpuinfo()).get("model name", "")
    return _brand() if sys.platform == "darwin" else platform.processor()


def _cpuinfo() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    return ""


def _first_values(cpuinfo: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        values.setdefault(name.strip(), value.strip())
    return values


def _brand() -> str:
    return _output(["sysctl", "-n", "machdep.cpu.brand_string"]).strip()


def _git_status(rootdir: Path) -> str:
    # One call for all three facts. Untracked files are not looked for: in a large tree that takes seconds.
    question = ("status", "--porcelain=v2", "--branch", "--untracked-files=no")
    with contextlib.suppress(git.GitError):
        return git.run(rootdir, *question, seconds=_SECONDS_TO_WAIT).decode("utf-8", "replace")
    return ""


def _output(command: list[str]) -> str:
    """Return what the command printed; nothing where it is absent, fails or hangs."""
    environ = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, env=environ, timeout=_SECONDS_TO_WAIT, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _version(distribution: str) -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(distribution)
    return ""


def _load() -> str:
    if sys.platform == "win32":
        return ""
    with contextlib.suppress(OSError):
        return " ".join(f"{average:.2f}" for average in os.getloadavg())
    return ""


def _machine(machine: str) -> str:
    slug = _slug(machine)
    return _MACHINES.get(slug, slug)


def _vendor(vendor: str) -> str:
    slug = _slug(vendor)
    return _VENDORS.get(slug, slug)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-")
