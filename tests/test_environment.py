from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_pe_perf import environment

EPYC = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC 7763 64-Core Processor
stepping\t: 1
microcode\t: 0xa0011d1
cpu MHz\t\t: {mhz}
bogomips\t: {bogomips}
flags\t\t: fpu vme de pse tsc

processor\t: 1
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
"""
XEON = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Platinum 8272CL CPU @ 2.60GHz
"""
GRAVITON = """\
processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm aes
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1
"""
BIG_LITTLE = """\
processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd09

processor\t: 1
CPU implementer\t: 0x41
CPU part\t: 0xd03
"""
IBM = "vendor_id       : IBM/S390\n# processors    : 2\nbogomips per cpu: 3033.00\n"
STATUS = "# branch.oid 5f1d\n# branch.head main\n# branch.upstream origin/main\n# branch.ab +0 -0\n"


@pytest.mark.parametrize(
    ("machine", "text", "expected"),
    [
        ("x86_64", EPYC, "x86_64-amd-25-1"),
        ("x86_64", XEON, "x86_64-intel-6-85"),
        ("x86_64", XEON.replace("GenuineIntel", "HygonGenuine"), "x86_64-hygongenuine-6-85"),
        ("aarch64", GRAVITON, "aarch64-0x41-0xd0c"),
        ("aarch64", BIG_LITTLE, "aarch64-0x41-0xd03-0xd09"),
        ("s390x", IBM, "s390x"),
        ("x86_64", "", "x86_64"),
        ("riscv64", "processor\n\n:\n: :", "riscv64"),
    ],
)
def test_family_from_cpuinfo(machine: str, text: str, expected: str) -> None:
    """A Linux CPU is named by architecture, vendor, family and model, or by implementer and part."""
    assert environment.cpu_from_cpuinfo(machine, text) == expected


def test_frequency_is_no_identity() -> None:
    """The same CPU at another clock is the same CPU."""
    slow, fast = (EPYC.format(mhz=mhz, bogomips=2 * mhz) for mhz in (1497.123, 3241.9))
    assert environment.cpu_from_cpuinfo("x86_64", slow) == environment.cpu_from_cpuinfo("x86_64", fast)


@pytest.mark.parametrize(
    ("machine", "brand", "expected"),
    [
        ("arm64", "Apple M1 Pro", "arm64-apple-m1-pro"),
        ("x86_64", "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz", "x86_64-intel-core-i7-9750h"),
        ("x86_64", "VirtualApple @ 2.50GHz processor", "x86_64-virtualapple"),
        ("arm64", "", "arm64"),
    ],
)
def test_family_from_brand(machine: str, brand: str, expected: str) -> None:
    """A Mac's CPU is named by its brand without trade marks and frequency."""
    assert environment.cpu_from_brand(machine, brand) == expected


@pytest.mark.parametrize(
    ("machine", "processor", "expected"),
    [
        ("AMD64", "Intel64 Family 6 Model 85 Stepping 7, GenuineIntel", "x86_64-intel-6-85"),
        ("AMD64", "AMD64 Family 25 Model 1 Stepping 1, AuthenticAMD", "x86_64-amd-25-1"),
        ("ARM64", "ARMv8 (64-bit) Family 8 Model D4B Revision 0", "arm64-armv8-64-bit-family-8-model-d4b-revision-0"),
        ("AMD64", "", "x86_64"),
    ],
)
def test_family_from_windows(machine: str, processor: str, expected: str) -> None:
    """A CPU has the same words under Windows as under Linux."""
    assert environment.cpu_from_windows(machine, processor) == expected


def test_identity_is_stable_and_names_a_folder() -> None:
    """Two processes find the same identity, whose slug is a plain name."""
    code = "from pytest_pe_perf.environment import identify; print(identify().slug)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    here = environment.identify()
    assert here.slug == other
    assert re.fullmatch(r"[a-z0-9._-]+", other)
    assert here.python.rstrip("t") == ".".join(platform.python_version_tuple()[:2])
    assert here.cores == os.cpu_count()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STATUS, {"commit": "5f1d", "dirty": "no", "branch": "main"}),
        (STATUS + "1 .M N... 100644 100644 100644 a b x.py\n", {"commit": "5f1d", "dirty": "yes", "branch": "main"}),
        ("# branch.oid (initial)\n# branch.head main\n", {"commit": "", "dirty": "no", "branch": "main"}),
        ("# branch.oid 5f1d\n# branch.head (detached)\n", {"commit": "5f1d", "dirty": "no", "branch": ""}),
        ("", {"commit": "", "dirty": "", "branch": ""}),
    ],
)
def test_git_status(text: str, expected: dict[str, str]) -> None:
    """Commit, dirty flag and branch come from one call of git."""
    assert environment.parse_git_status(text) == expected


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_context_in_a_repository(tmp_path: Path) -> None:
    """The context names the commit, the branch, and whether tracked files differ from the commit."""
    git(tmp_path, "init", "-b", "topic")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "first")
    (tmp_path / "untracked").touch()
    clean = environment.context(tmp_path)
    (tmp_path / "a").write_text("22")
    dirty = environment.context(tmp_path)
    assert (clean["commit"], clean["branch"], clean["dirty"]) == (git(tmp_path, "rev-parse", "HEAD"), "topic", "no")
    assert dirty["dirty"] == "yes"
    assert clean["python"] == platform.python_version()
    assert clean["pytest"] == pytest.__version__


@pytest.mark.parametrize("path", ["", "/nonexistent"])
def test_context_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Outside of a repository, or without git, the facts of git are empty and nothing fails."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if path:
        monkeypatch.setenv("PATH", path)
    found = environment.context(tmp_path)
    assert (found["commit"], found["dirty"], found["branch"]) == ("", "", "")
