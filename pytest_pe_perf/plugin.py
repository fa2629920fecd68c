"""The pytest plugin's door: options, markers, fixtures. Without ``--pe-perf`` nothing else of us is imported.

PYTEST_DONT_REWRITE: there is no assertion here, and every start of pytest would pay for the rewriting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_pe_perf.fixtures import Measure

MARKERS = (
    "pe_import(module): time the import of a module in fresh processes",
    "pe_latency(max_latency, threshold, margin, time, gc): options of pe_latency, or time the whole body of the test",
    "pe_memory(limit, max_allocations, leak, time): options of pe_memory, or weigh the whole body of the test",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; all defaults are None, so that what was not given can be told from what was."""
    group = parser.getgroup("pe-perf", "performance tests (pytest-pe-perf)")
    group.addoption("--pe-perf", action="store_true", help="measure performance tests and fail those that got worse")
    group.addoption(
        "--pe-perf-against", metavar="REF", help="measure beside the merge base of REF and HEAD, instead of a baseline"
    )
    group.addoption("--pe-perf-head", metavar="REV", help="with --pe-perf-against: this commit, not the working tree")
    group.addoption("--pe-perf-base-python", metavar="FILE", help="with --pe-perf-against: the interpreter of the base")
    group.addoption("--pe-perf-update", action="store_true", help="accept what this run measured into the baselines")
    group.addoption("--pe-perf-reason", metavar="TEXT", help="why rows may get worse, kept in the baseline")
    group.addoption("--pe-perf-time", metavar="DURATION", help='time of a latency measurement, for example "2 s"')
    group.addoption("--pe-perf-shard", metavar="I/N", help="the I-th of N parts of the suite; then: pe-perf merge")
    group.addoption(
        "--pe-perf-profile", action="store_const", const="always", help="look where time and memory go, whatever fails"
    )
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
        from pytest_pe_perf.activate import activate

        activate(config)
    elif given := [
        name for name in ("update", "against", "shard") if config.getoption(f"pe_perf_{name}") not in (None, False)
    ]:
        raise pytest.UsageError(f"--pe-perf-{given[0]} says what is done with what is measured: add --pe-perf")


@pytest.fixture
def pe_latency(request: pytest.FixtureRequest) -> Measure:
    """Measure the time of a call: ``pe_latency(function, *args, **kwargs)`` returns what the function returned."""
    from pytest_pe_perf.fixtures import latency_of

    return latency_of(request.node)


@pytest.fixture
def pe_memory(request: pytest.FixtureRequest) -> Measure:
    """Measure the memory of a call: ``pe_memory(function, *args, **kwargs)`` returns what the function returned."""
    from pytest_pe_perf.fixtures import memory_of

    return memory_of(request.node)
