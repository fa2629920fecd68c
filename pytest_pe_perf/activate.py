"""Switching the gate on: what ``--pe-perf`` does to a session of pytest before anything is collected."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_pe_perf.config import Settings, load_settings
from pytest_pe_perf.errors import PePerfError
from pytest_pe_perf.fixtures import MAKE_BENCH
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.measure import fresh
from pytest_pe_perf.measure.command import Command, Place
from pytest_pe_perf.measuring import Measuring, Shares
from pytest_pe_perf.report.screen import hang
from pytest_pe_perf.shard import Share

if TYPE_CHECKING:
    # A process that measures for another, of which a comparison starts twenty and more, has no session that judges.
    from pytest_pe_perf.hooks import Gate
    from pytest_pe_perf.report.progress import Meter
    from pytest_pe_perf.session import Session

# Option -> setting that it overrides.
SETTINGS = {
    "pe_perf_time": "time",
    "pe_perf_profile": "profile",
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
# Says that this process is one side of a pair, and which descriptor its pipe is: see measure.paired.wire.
PAIR = "PE_PERF_PAIR"
# By these pytest too knows that nobody watches the terminal.
UNWATCHED = ("CI", "BUILD_NUMBER")
FRESH_BLOCKED = ("lfplugin", "nfplugin", "stepwiseplugin", "memray_manager")


def activate(config: pytest.Config) -> None:
    """Register the hooks that measure, with the settings and the baseline of the project.

    Raises:
        pytest.UsageError: a setting, an option, the baseline or the base cannot be used.

    """
    shares = _shares(config)
    if shares:
        config.pluginmanager.register(shares, "pe_perf_shares")
    hooks = _hooks(config, shares)
    config.stash[MAKE_BENCH] = hooks.make_bench
    config.pluginmanager.register(hooks, "pe_perf_hooks")
    _take_benchmark_over(config)


def _shares(config: pytest.Config) -> Shares | None:
    text = config.getoption("pe_perf_shard")
    if text is None:
        return None
    try:
        return Shares(Share.parse(text))
    except PePerfError as error:
        raise pytest.UsageError(f"--pe-perf-shard: {error}") from error


def _hooks(config: pytest.Config, shares: Shares | None) -> Measuring:
    """Return the hooks of what this process is: one that judges, or one that measures for another."""
    options = {setting: config.getoption(option) for option, setting in SETTINGS.items()}
    # The sides of a pair too, whoever started them.
    paired = PAIR in os.environ or config.getoption("pe_perf_against") is not None
    with _usage_errors():
        settings = load_settings(config.rootpath, options, paired=paired)
    request = fresh.requested(os.environ)
    is_side = PAIR in os.environ
    if request is None and not is_side:
        with _usage_errors():
            beside = load_settings(config.rootpath, options, paired=True)
        return _gate(config, settings, beside, shares)
    from pytest_pe_perf import sides

    _obey(config)
    if request is None:
        from pytest_pe_perf.measure.paired.wire import MODULES, talk_from

        if modules := os.environ.pop(MODULES, ""):
            config.args = [str(config.rootpath / module) for module in modules.split("\n")]
        return sides.Side(settings, talk_from(os.environ))
    # Whole modules, of which the hooks keep the tests: of node ids a single one that is gone would end the process.
    config.args = list(dict.fromkeys(str(config.rootpath / module_of(test)) for test in request.tests))
    return sides.Fresh(settings, request, config.rootpath)


def _gate(config: pytest.Config, settings: Settings, beside: Settings, shares: Shares | None) -> Gate:
    from pytest_pe_perf.hooks import Gate

    notes = [note for note in (_set_xdist_aside(config),) if note]
    with _usage_errors():
        session = (
            _paired(config, settings) if config.getoption("pe_perf_against") else _stored(config, settings, beside)
        )
    return Gate(session, notes, shares)


def _stored(config: pytest.Config, settings: Settings, beside: Settings) -> Session:
    from pytest_pe_perf.stored import StoredSession

    update, reason = config.getoption("pe_perf_update"), (config.getoption("pe_perf_reason") or "").strip()
    if reason and not update:
        raise pytest.UsageError("--pe-perf-reason says why rows are accepted: give it together with --pe-perf-update")
    for option in ("head", "base_python"):
        if config.getoption(f"pe_perf_{option}"):
            name = option.replace("_", "-")
            raise pytest.UsageError(f"--pe-perf-{name} says what to compare: give it together with --pe-perf-against")
    session = StoredSession(settings, _place(config), _say(config), update=update, reason=reason, beside=beside)
    if not config.option.collectonly:
        # Before anything is measured: a baseline that cannot be trusted is an error, not a green run.
        session.load_baseline()
    return session


def _paired(config: pytest.Config, settings: Settings) -> Session:
    from pytest_pe_perf.against import PairedSession, entries_of_base
    from pytest_pe_perf.measure.paired.trees import Against

    if config.getoption("pe_perf_update"):
        raise pytest.UsageError("--pe-perf-update accepts a baseline, and --pe-perf-against compares without one")
    if os.name != "posix":
        raise pytest.UsageError("--pe-perf-against needs Linux or macOS; compare with a baseline instead")
    against = Against.find(config.rootpath, config.getoption("pe_perf_against"), config.getoption("pe_perf_head"))
    entries = entries_of_base(against, config.rootpath) if settings.accept else ()
    return PairedSession(
        settings,
        _place(config),
        _say(config),
        against=against,
        meter=lambda: _meter(config),
        accepted_on_base=entries,
    )


def _place(config: pytest.Config) -> Place:
    return Place(
        config.rootpath,
        _same_command(config),
        str(config.inipath or ""),
        tuple(config.rootpath / folder for folder in config.getini("pythonpath")),
        config.getoption("pe_perf_base_python") or "",
    )


@contextlib.contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except PePerfError as error:
        raise pytest.UsageError(str(error)) from error


def _take_benchmark_over(config: pytest.Config) -> None:
    if config.getoption("codspeed", default=False):
        raise pytest.UsageError("--codspeed and --pe-perf both measure the `benchmark` tests: give one of them")
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
    workers, how = config.getoption("numprocesses", default=None), config.getoption("dist")
    given = f"-n {workers}" if workers else f"--dist {how}" if how != "no" else "--tx"
    _in_one_process(config)
    return f"pe-perf: {given} set aside: everything is measured serially"


def _same_command(config: pytest.Config) -> Command:
    """Return the command that starts this session again."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    if not sys.argv[0].endswith("__main__.py") and "-P" not in flags:
        flags.append("-P")  # `pytest` does not put the current folder on the path, `python -m pytest` does
    extra = (
        ["--no-cov"] if config.pluginmanager.hasplugin("_cov") or config.pluginmanager.hasplugin("pytest_cov") else []
    )
    arguments = (*map(str, config.invocation_params.args), *extra)
    return Command(sys.executable, tuple(flags), arguments, config.invocation_params.dir)


def _obey(config: pytest.Config) -> None:
    """Turn this process into one that measures for another and touches nothing else."""
    fresh.end_with_parent()
    for option, value in FRESH_OPTIONS.items():
        if hasattr(config.option, option):
            setattr(config.option, option, value)
    for name in FRESH_BLOCKED:
        config.pluginmanager.set_blocked(name)
    if hasattr(config.option, "dist"):
        _in_one_process(config)


def _in_one_process(config: pytest.Config) -> None:
    config.option.dist, config.option.tx, config.option.numprocesses = "no", [], 0


def _meter(config: pytest.Config) -> Meter:
    """Return what shows how far a measurement is: on a terminal that somebody watches a line that is written over."""
    from pytest_pe_perf.report.progress import LiveLine, PlainLines, Silent

    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.option.verbose < 0:
        return Silent()
    watched = not any(os.environ.get(name) for name in UNWATCHED) and os.environ.get("TERM") != "dumb"
    if not (watched and reporter.isatty()):
        return PlainLines(_say(config))
    screen = config.get_terminal_writer()

    def write(text: str) -> None:
        screen.write(text, flush=True, cyan=True)

    return LiveLine(write, _say(config), lambda: screen.fullwidth)


def _say(config: pytest.Config) -> Callable[[str], None]:
    def say(line: str) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and config.option.verbose >= 0:
            reporter.ensure_newline()
            for text in hang(line, config.get_terminal_writer().fullwidth):
                reporter.write_line(text, cyan=True)

    return say
