"""Run the benchmark suites of released projects twice, and compare what passes.

Each suite runs as it was released, with its own pytest configuration: once under pytest-benchmark alone, once under
``pytest --pe-perf``. The suite's package is the released wheel; only its tests come from its source distribution.
Nothing but the standard library is needed to start this; everything else goes into one virtualenv for each suite.

    python docs/compatibility/run_suites.py --work DIR

Exits with 1 if a test that passes under pytest-benchmark does not pass under --pe-perf.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PYTEST: Final = "pytest==9.2.0"
BENCHMARK: Final = "pytest-benchmark==5.3.1"
CODSPEED: Final = "pytest-codspeed==5.0.3"
COVERAGE: Final = "pytest-cov==7.1.0"
XDIST: Final = "pytest-xdist==3.8.0"

# Short measurements: what is asked here is whether a test passes, not how fast it is.
PLAIN_OPTIONS: Final = ("-p", "no:pe_perf", "--benchmark-max-time=0.05")
PE_PERF_OPTIONS: Final = ("--pe-perf", "--pe-perf-time", "50ms")

# These suites load pytest-cov by name in their configuration, and switch it off for their own benchmark runs.
NO_COVERAGE: Final = ("--no-cov",)

ABSENT: Final = "not measured"


@dataclass(frozen=True, slots=True)
class Suite:
    """One project's tests, and how they are run there.

    ``folders`` and ``files`` are what is taken out of the source distribution. ``requires`` is what the tests, or their
    configuration, import. ``options`` are those that the project's own benchmark run gives to pytest.
    ``from_snapshot``: the source distribution has no tests, so a copy of the repository has to be given by hand.
    """

    name: str
    version: str
    module: str
    folders: tuple[str, ...]
    files: tuple[str, ...]
    requires: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    from_snapshot: bool = False


SUITES: Final = (
    Suite(
        name="yarl",
        version="1.25.1",
        module="yarl",
        folders=("tests",),
        files=("pytest.ini",),
        requires=(CODSPEED, COVERAGE, XDIST),
        options=(*NO_COVERAGE, "--numprocesses=0"),  # its configuration says auto, where nothing can be measured
    ),
    Suite(
        name="multidict",
        version="7.2.1",
        module="multidict",
        folders=("tests",),
        files=("pytest.ini",),
        requires=(CODSPEED, COVERAGE),
        options=NO_COVERAGE,
    ),
    Suite(
        name="cattrs",
        version="26.2.1",
        module="cattrs",
        folders=("bench",),
        files=("pyproject.toml",),
        requires=("msgspec==0.22.0", "orjson==3.13.0"),
    ),
    Suite(
        name="bluetooth-data-tools",
        version="1.29.22",
        module="bluetooth_data_tools",
        folders=("bench", "tests"),
        files=("pyproject.toml",),
        requires=(CODSPEED,),
        from_snapshot=True,
    ),
    Suite(
        name="pluggy",
        version="1.7.0",
        module="pluggy",
        folders=("testing",),
        files=("tox.ini",),
    ),
    Suite(
        name="propcache",
        version="0.5.4",
        module="propcache",
        folders=("tests",),
        files=("pytest.ini",),
        requires=(CODSPEED, COVERAGE, XDIST),
        options=NO_COVERAGE,
    ),
)


class CheckError(Exception):
    """A suite could not be run at all. ``tail`` is the end of the log that says why."""

    def __init__(self, message: str, tail: str = "") -> None:
        super().__init__(message)
        self.tail = tail


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of pytest said of each test, by its name; ``tail`` is the end of what it printed."""

    status: dict[str, str]
    exit_code: int
    tail: str

    def names(self, status: str) -> set[str]:
        return {name for name, found in self.status.items() if found == status}

    def counts(self) -> str:
        return " / ".join(str(len(self.names(status))) for status in ("passed", "failed", "skipped"))


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    suite: Suite
    plain: str
    pe_perf: str
    measured: str
    good: bool
    versions: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line said."""

    work: Path
    plugin: Path
    snapshots: dict[str, Path]
    skip_pe_perf: bool
    timeout: float


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, help="folder kept between runs (default: a temporary one)")
    parser.add_argument("--plugin", type=Path, default=Path(__file__).parents[2], help="this project (%(default)s)")
    parser.add_argument("--only", action="append", choices=[s.name for s in SUITES], help="may be given repeatedly")
    parser.add_argument("--skip-pe-perf", action="store_true", help="run the pytest-benchmark half only")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds for each command (%(default)s)")
    parser.add_argument(
        "--snapshot",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="a copy of a project's repository to take the tests from instead of the source distribution",
    )
    given = parser.parse_args(arguments)
    snapshots = {}
    for text in given.snapshot:
        name, equals, folder = text.partition("=")
        if not equals or name not in {s.name for s in SUITES} or not Path(folder).is_dir():
            parser.error(f"--snapshot wants NAME=DIR with a suite's name and a folder, not {text!r}")
        snapshots[name] = Path(folder).resolve()
    for suite in SUITES:
        if suite.from_snapshot and suite.name in (given.only or ()) and suite.name not in snapshots:
            parser.error(f"{suite.name}'s source distribution has no tests: give --snapshot {suite.name}=DIR as well")
    with contextlib.ExitStack() as stack:
        work = given.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pe-perf-suites-")))
        work.mkdir(parents=True, exist_ok=True)
        choices = Choices(work.resolve(), given.plugin.resolve(), snapshots, given.skip_pe_perf, given.timeout)
        rows = [check(suite, choices) for suite in SUITES if not given.only or suite.name in given.only]
    print_table(rows)
    return 0 if all(row.good for row in rows) else 1


def check(suite: Suite, choices: Choices) -> Row:
    """Run one suite, both ways, and say how it went."""
    if suite.from_snapshot and suite.name not in choices.snapshots:
        report(f"{suite.name}: its source distribution has no tests; give --snapshot {suite.name}=DIR to run it")
        return Row(suite, ABSENT, ABSENT, ABSENT, good=True)
    folder = choices.work / suite.name
    versions, before = "", ABSENT
    try:
        report(f"{suite.name} {suite.version}: installing")
        python = install(suite, folder, choices)
        tree = take_tests(suite, folder, python, choices)
        files = benchmark_files(suite, tree)
        check_wheel_is_used(suite, tree, python, folder, choices)
        versions = installed_versions(python, folder, choices)
        report(f"{suite.name}: pytest-benchmark, {len(files)} files")
        plain = run_pytest(suite, tree, python, files, PLAIN_OPTIONS, folder / "pytest-benchmark", choices.timeout)
        before = plain.counts()
        if plain.exit_code or not plain.names("passed"):
            report(f"{suite.name}: pytest-benchmark's own run ended with {plain.exit_code}\n{plain.tail}")
        if choices.skip_pe_perf:
            return Row(suite, before, ABSENT, ABSENT, bool(plain.names("passed")), versions)
        report(f"{suite.name}: --pe-perf")
        shutil.rmtree(tree / ".pe-perf", ignore_errors=True)
        ours = run_pytest(suite, tree, python, files, PE_PERF_OPTIONS, folder / "pe-perf", choices.timeout)
    except CheckError as error:
        report(f"{suite.name}: {error}\n{error.tail}")
        return Row(suite, before, "could not run", ABSENT, good=False, versions=versions)
    lost = sorted(plain.names("passed") - ours.names("passed"))
    if lost or ours.exit_code != plain.exit_code:
        report(f"{suite.name}: --pe-perf ended with {ours.exit_code}, pytest-benchmark with {plain.exit_code}")
        for name in lost:
            report(f"  passes under pytest-benchmark, {ours.status.get(name, 'not run')} under --pe-perf: {name}")
        report(ours.tail)
    good = bool(plain.names("passed")) and not lost
    return Row(suite, before, ours.counts(), measured_rows(tree), good, versions)


def install(suite: Suite, folder: Path, choices: Choices) -> Path:
    """Make the suite's virtualenv, or bring it up to date, and return its Python."""
    environment = folder / "venv"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    folder.mkdir(parents=True, exist_ok=True)
    if not python.exists():
        command([sys.executable, "-m", "venv", str(environment)], folder / "venv.log", choices.timeout)
    wanted = [f"{suite.name}=={suite.version}", PYTEST, BENCHMARK, *suite.requires]
    if not choices.skip_pe_perf:
        wanted.append(str(choices.plugin))  # pip installs a folder anew each time, whatever is there already
    pip = [str(python), "-m", "pip", "install", "--quiet", "--only-binary", suite.name, *wanted]
    command(pip, folder / "install.log", choices.timeout)
    return python


def take_tests(suite: Suite, folder: Path, python: Path, choices: Choices) -> Path:
    """Lay out the suite's tests and its configuration of pytest, without the package's sources; return the folder."""
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    snapshot = choices.snapshots.get(suite.name)
    if snapshot is None:
        take_from_archive(suite, download(suite, folder, python, choices), tree)
    else:
        for name in suite.folders:
            if (snapshot / name).is_dir():
                shutil.copytree(snapshot / name, tree / name)
        for name in suite.files:
            if (snapshot / name).is_file():
                shutil.copy(snapshot / name, tree / name)
    if not any((tree / name).is_dir() for name in suite.folders):
        raise CheckError(f"no folder {' or '.join(suite.folders)} to take the tests from")
    return tree


def download(suite: Suite, folder: Path, python: Path, choices: Choices) -> Path:
    """Return the source distribution. pip asks it for its metadata, which compiles nothing."""
    target = folder / "sdist"
    pattern = f"*-{suite.version}.tar.gz"
    if not any(target.glob(pattern)):
        pip = [str(python), "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", suite.name]
        pip += ["--dest", str(target), f"{suite.name}=={suite.version}"]
        command(pip, folder / "download.log", choices.timeout)
    found = sorted(target.glob(pattern))
    if not found:
        raise CheckError(f"pip downloaded no {pattern}")
    return found[0]


def take_from_archive(suite: Suite, archive: Path, tree: Path) -> None:
    with tarfile.open(archive) as opened:
        for member in opened.getmembers():
            _, _, name = member.name.partition("/")  # everything is in one folder, named after the release
            if member.isfile() and (name in suite.files or name.partition("/")[0] in suite.folders):
                opened.extract(member.replace(name=name), tree, filter="data")


def benchmark_files(suite: Suite, tree: Path) -> list[str]:
    """Return the files with a function that takes the fixture, as pytest is to be given them."""
    found = [
        path.relative_to(tree).as_posix()
        for folder in suite.folders
        for path in sorted((tree / folder).rglob("*.py"))
        if takes_benchmark(path)
    ]
    if not found:
        raise CheckError("no test takes the benchmark fixture")
    return found


def takes_benchmark(path: Path) -> bool:
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(argument.arg == "benchmark" for argument in (*node.args.args, *node.args.kwonlyargs))
        for node in ast.walk(ast.parse(path.read_bytes()))
    )


def check_wheel_is_used(suite: Suite, tree: Path, python: Path, folder: Path, choices: Choices) -> None:
    """Fail if the tests would import something else than the released wheel."""
    code = f"import {suite.module} as m; print(m.__file__)"
    printed = command([str(python), "-c", code], folder / "import.log", choices.timeout, cwd=tree).strip()
    if not Path(printed).is_relative_to(folder / "venv"):
        raise CheckError(f"{suite.module} is imported from {printed}, not from the wheel")


def installed_versions(python: Path, folder: Path, choices: Choices) -> str:
    code = (
        "import importlib.metadata as m, platform\n"
        "names = ('pytest', 'pytest-benchmark', 'pytest-pe-perf')\n"
        "there = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print('Python', platform.python_version(), *(f', {n} {there[n]}' for n in names if n in there))"
    )
    return command([str(python), "-c", code], folder / "versions.log", choices.timeout).strip().replace(" ,", ",")


def run_pytest(
    suite: Suite,
    tree: Path,
    python: Path,
    files: list[str],
    options: tuple[str, ...],
    output: Path,
    timeout: float,
) -> Outcome:
    """Run pytest in the suite's folder and return what became of each test."""
    report_file = output.with_suffix(".xml")
    report_file.unlink(missing_ok=True)
    log = output.with_suffix(".log")
    pytest = [str(python), "-m", "pytest", *suite.options, *options, f"--junitxml={report_file}", *files]
    exit_code, printed = execute(pytest, log, timeout, cwd=tree)
    if not report_file.exists():
        raise CheckError(f"pytest ended with {exit_code} and no report", tail_of(printed))
    return Outcome(read_report(report_file), exit_code, tail_of(printed))


def read_report(path: Path) -> dict[str, str]:
    """Return each test's status: an error in a fixture counts as a failure, and an expected failure as skipped."""
    result: dict[str, str] = {}
    for case in test_cases(path):
        name = f"{case.get('classname')}::{case.get('name')}"
        tags = {child.tag for child in case}
        status = "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
        if result.get(name) != "failed":
            result[name] = status
    return result


def test_cases(path: Path) -> Iterator[ET.Element]:
    try:
        return ET.parse(path).iter("testcase")
    except ET.ParseError as error:
        raise CheckError(f"cannot read pytest's report: {error}") from error


def measured_rows(tree: Path) -> str:
    """Return how many rows the run file has, and of how many tests."""
    try:
        run = json.loads((tree / ".pe-perf" / "run.json").read_bytes())["run"]
        return f"{len(run['rows'])} of {len({row['key']['test'] for row in run['rows']})} tests"
    except (OSError, ValueError, KeyError, TypeError):
        return ABSENT


def command(arguments: list[str], log: Path, timeout: float, cwd: Path | None = None) -> str:
    """Run a command that has to succeed and return what it printed."""
    exit_code, printed = execute(arguments, log, timeout, cwd)
    if exit_code:
        raise CheckError(f"{' '.join(arguments)} ended with {exit_code}", tail_of(printed))
    return printed


def execute(arguments: list[str], log: Path, timeout: float, cwd: Path | None = None) -> tuple[int, str]:
    """Run a command, away from the settings of whoever started this, and keep what it prints."""
    ours = ("PYTHONPATH", "PYTHONHOME", "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    environment = {key: value for key, value in os.environ.items() if key not in ours}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            arguments, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd, env=environment
        )
        try:
            exit_code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            message = f"not done after {timeout:g} s: {' '.join(arguments[:4])} …"
            raise CheckError(message, tail_of(log.read_text("utf-8", "replace"))) from None
        finally:
            end(process)
    return exit_code, log.read_text("utf-8", "replace")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs: first as Ctrl-C does, so that it can end what it has started itself."""
    if process.poll() is not None:
        return
    with contextlib.suppress(OSError, ValueError, subprocess.TimeoutExpired):
        process.send_signal(signal.SIGINT)
        process.wait(30)
    if process.poll() is None:
        process.kill()
    process.wait()


def tail_of(text: str, lines: int = 40) -> str:
    return "\n".join(text.splitlines()[-lines:])


def report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def print_table(rows: list[Row]) -> None:
    print("| suite | version | pytest-benchmark: passed / failed / skipped | --pe-perf: the same | rows measured |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(f"| {row.suite.name} | {row.suite.version} | {row.plain} | {row.pe_perf} | {row.measured} |")
    for versions in sorted({row.versions for row in rows} - {""}):
        print(f"\n{versions}")


if __name__ == "__main__":
    sys.exit(main())
