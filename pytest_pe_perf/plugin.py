"""The pytest plugin's door: options, markers, fixtures. Without ``--pe-perf`` nothing else of us is imported.

PYTEST_DONT_REWRITE: there is no assertion here, and rewriting costs every start of pytest a millisecond.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from pytest_pe_perf.fixtures import MAKE_BENCH, pe_latency, pe_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_pe_perf.measure.fresh import Request

__all__ = ["pe_latency", "pe_memory"]

MARKERS = (
    "pe_latency(max_latency, threshold, margin, time, gc): options of pe_latency, or time the whole body of the test",
    "pe_memory(limit, max_allocations, leak, time): options of pe_memory, or weigh the whole body of the test",
)
# Option -> setting that it overrides.
SETTINGS = {
    "pe_perf_time": "time",
    "pe_perf_strict": "strict",
    "pe_perf_baselines": "baselines",
    "pe_perf_report": "report",
    "pe_perf_json": "json",
}
# What a fresh process must not do, by pytest's names of options: touch the files of the process that started it, stop
# early, select by what failed before, or measure in another way.
FRESH_OPTIONS: dict[str, object] = {
    "basetemp": None,  # pytest empties that folder when it starts
    "cacheclear": False,
    "continue_on_collection_errors": True,
    "log_file": os.devnull,
    "pastebin": None,
    "xmlpath": None,
    "htmlpath": None,
    "report_log": None,
    "json_report_file": None,
    "maxfail": 0,
    "usepdb": False,
    "memray": False,
    "reruns": 0,
    "benchmark_json": None,
    "benchmark_save": None,
    "benchmark_autosave": None,
    "benchmark_compare": None,
    "benchmark_compare_fail": [],
    "benchmark_histogram": None,
    "benchmark_cprofile": None,
}
FRESH_BLOCKED = ("lfplugin", "nfplugin", "stepwiseplugin", "memray_manager")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; all defaults are None, so that what was not given can be told from what was."""
    group = parser.getgroup("pe-perf", "performance tests (pytest-pe-perf)")
    group.addoption("--pe-perf", action="store_true", help="measure performance tests and fail those that got worse")
    group.addoption("--pe-perf-update", action="store_true", help="accept what this run measured into the baselines")
    group.addoption("--pe-perf-reason", metavar="TEXT", help="why rows may get worse, kept in the baseline")
    group.addoption("--pe-perf-time", metavar="DURATION", help='time of a latency measurement, for example "2 s"')
    group.addoption("--pe-perf-strict", action="store_true", default=None, help="also fail where the gate cannot tell")
    group.addoption("--pe-perf-baselines", metavar="DIR", help="folder of the baselines (default: baselines)")
    group.addoption("--pe-perf-report", metavar="FILE", help="HTML report (default: .pe-perf/report.html)")
    group.addoption("--pe-perf-json", metavar="FILE", help="run file (default: .pe-perf/run.json)")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; under ``--pe-perf`` also the hooks that measure."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if config.getoption("pe_perf"):
        _activate(config)
    elif config.getoption("pe_perf_update"):
        raise pytest.UsageError("--pe-perf-update accepts what a run measured: give it together with --pe-perf")


def _activate(config: pytest.Config) -> None:
    from pytest_pe_perf import hooks
    from pytest_pe_perf.config import load_settings
    from pytest_pe_perf.measure import fresh
    from pytest_pe_perf.session import Session

    options = {setting: config.getoption(option) for option, setting in SETTINGS.items()}
    with _usage_errors():
        settings = load_settings(config.rootpath, options)
    request = fresh.requested(os.environ)
    if request is not None:
        _obey(config, request)
    notes = [note for note in (_set_xdist_aside(config),) if note]
    update, reason = config.getoption("pe_perf_update"), (config.getoption("pe_perf_reason") or "").strip()
    if reason and not update:
        raise pytest.UsageError("--pe-perf-reason says why rows are accepted: give it together with --pe-perf-update")
    session = Session(
        settings,
        config.rootpath,
        _same_command(config),
        config.invocation_params.dir,
        _say(config),
        update=update,
        reason=reason,
        request=request,
    )
    if request is None and not config.option.collectonly:
        # Before anything is measured: a baseline that cannot be trusted is an error, not a green run.
        with _usage_errors():
            session.load_baseline()
    gate = hooks.Hooks(session, notes)
    config.stash[MAKE_BENCH] = gate.make_bench
    config.pluginmanager.register(gate, "pe_perf_hooks")
    _take_benchmark_over(config)


@contextlib.contextmanager
def _usage_errors() -> Iterator[None]:
    from pytest_pe_perf.errors import PePerfError

    try:
        yield
    except PePerfError as error:
        raise pytest.UsageError(str(error)) from error


def _take_benchmark_over(config: pytest.Config) -> None:
    if config.getoption("codspeed", default=False):
        raise pytest.UsageError("--codspeed and --pe-perf both measure the `benchmark` tests: give one of them")
    import sys

    original = sys.modules.get("pytest_benchmark.plugin")
    if original is None or not config.pluginmanager.is_registered(original):
        return  # switched off with -p no:benchmark: there is no such fixture
    from pytest_pe_perf import benchmark

    # Registered later than pytest-benchmark, so that its fixture comes before the original and after any conftest's.
    config.pluginmanager.register(benchmark, "pe_perf_benchmark")


def _set_xdist_aside(config: pytest.Config) -> str:
    """Run in this one process whatever ``-n`` says: workers side by side would time each other."""
    if hasattr(config, "workerinput"):
        raise pytest.UsageError("--pe-perf measures in one process, not in a worker of pytest-xdist")
    if config.getoption("dist", default="no") == "no" and not config.getoption("tx", default=None):
        return ""
    workers = config.getoption("numprocesses", default=None)
    config.option.dist, config.option.tx, config.option.numprocesses = "no", [], 0
    return f"pe-perf: -n {workers} set aside: everything is measured serially, in this one process"


def _same_command(config: pytest.Config) -> list[str]:
    """Return the command that starts this session again."""
    import subprocess
    import sys

    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    if not sys.argv[0].endswith("__main__.py") and "-P" not in flags:
        flags.append("-P")  # `pytest` does not put the current folder on the path, `python -m pytest` does
    extra = (
        ["--no-cov"] if config.pluginmanager.hasplugin("_cov") or config.pluginmanager.hasplugin("pytest_cov") else []
    )
    return [sys.executable, *flags, "-m", "pytest", *map(str, config.invocation_params.args), *extra]


def _obey(config: pytest.Config, request: Request) -> None:
    """Turn this process into one that measures the tests of ``request`` and touches nothing else."""
    from pytest_pe_perf.judge.gate import module_of
    from pytest_pe_perf.measure.fresh import end_with_parent

    end_with_parent()
    for option, value in FRESH_OPTIONS.items():
        if hasattr(config.option, option):
            setattr(config.option, option, value)
    for name in FRESH_BLOCKED:
        config.pluginmanager.set_blocked(name)
    # Whole modules, of which Hooks keeps the tests: of node ids a single one that is gone would end the process.
    config.args = list(dict.fromkeys(str(config.rootpath / module_of(test)) for test in request.tests))


def _say(config: pytest.Config) -> Callable[[str], None]:
    def say(line: str) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and config.option.verbose >= 0:
            reporter.ensure_newline()
            reporter.write_line(line, cyan=True)

    return say
