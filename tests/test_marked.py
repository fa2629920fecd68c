"""Limits that stand in a test's source, as pytest would merge them, found without running anything."""

from __future__ import annotations

import pytest

from pytest_pe_perf.config import merge
from pytest_pe_perf.marked import Limits, Markers

SOURCE = """
import pytest
from pytest import mark

raise SystemExit("nobody runs this")
pytestmark = [pytest.mark.slow, pytest.mark.pe_latency(margin="2 %")]
WIDE = "50 %"

def test_plain(pe_latency): ...

@pytest.mark.pe_latency(margin="20 %", threshold="30 %", max_latency="5 ms", time="1 s")
@pytest.mark.parametrize("n", [1, 2])
async def test_wide(pe_latency, n): ...

@mark.pe_latency(margin="3 %")
@mark.pe_latency(margin="4 %")
def test_twice(pe_latency): ...

@pytest.mark.pe_memory(limit="1 MiB", max_allocations=10)
class TestClass:
    pytestmark = pytest.mark.pe_latency(threshold="40 %")

    def test_inherits(self, pe_latency): ...

    @pytest.mark.pe_memory(limit="2 MiB")
    def test_own(self, pe_latency): ...

@pytest.mark.pe_latency(margin=WIDE, threshold="9 %")
def test_computed(pe_latency): ...

@pytest.mark.pe_latency(margin=5, threshold="9 %")
def test_unreadable(pe_latency): ...

def test_last(pe_latency): ...

@pytest.mark.pe_latency(margin="4 %")
def test_last(pe_latency): ...
"""
FILES = {"test_a.py": SOURCE.encode(), "test_broken.py": b"def (", "test_zero.py": b"\0"}


def limits(test: str, *, paired: bool = True) -> Limits:
    return Markers(FILES.get, merge(paired=paired), paired).limits(test)


@pytest.mark.parametrize(
    ("test", "margin", "threshold"),
    [
        ("test_a.py::test_plain", 0.02, 0.05),
        ("test_a.py::test_wide[1-a::b]", 0.20, 0.30),
        ("test_a.py::test_twice", 0.04, 0.05),
        ("test_a.py::TestClass::test_inherits", 0.02, 0.40),
        ("test_a.py::test_computed", 0.02, 0.09),
        ("test_a.py::test_last", 0.04, 0.05),
        ("test_a.py::test_nowhere", 0.02, 0.05),
    ],
)
def test_the_closest_marker_wins(test, margin, threshold):
    """Module, class, function: the later one wins, of two on a function the lower one, as with pytest."""
    found = limits(test)
    assert (found.margin, found.threshold) == pytest.approx((margin, threshold))


def test_budgets_are_found_by_metric():
    """A limit of the class holds for its tests, unless one has its own."""
    assert limits("test_a.py::test_wide").budgets["latency"].limit == 0.005
    inherited, own = (limits(f"test_a.py::TestClass::test_{name}").budgets for name in ("inherits", "own"))
    assert {metric: budget.limit for metric, budget in inherited.items()} == {"peak": 2**20, "allocations": 10}
    assert {metric: budget.limit for metric, budget in own.items()} == {"peak": 2**21, "allocations": 10}


@pytest.mark.parametrize(
    "test", ["test_b.py::test_a", "test_broken.py::test_a", "test_zero.py::test_a", "(canary)", ""]
)
def test_without_a_readable_marker_the_settings_hold(test):
    """A file that is not there, or is no Python, gives no test wider limits."""
    assert limits(test) == Limits(0.01, 0.05)
    assert limits(test, paired=False) == Limits(0.05, 0.10)


def test_a_marker_that_pytest_would_refuse_gives_nothing():
    """Of a marker that cannot be read nothing is taken, not even what could be."""
    assert limits("test_a.py::test_unreadable") == Limits(0.02, 0.05)


def test_a_default_gives_way_in_a_comparison_alone():
    """A margin wider than the default threshold widens that in a pair; against a baseline such a marker is refused."""
    wide = {"test_a.py": b"import pytest\n@pytest.mark.pe_latency(margin='20 %')\ndef test_a(): ..."}
    found = [Markers(wide.get, merge(paired=paired), paired).limits("test_a.py::test_a") for paired in (True, False)]
    assert found == [Limits(0.20, 0.20), Limits(0.05, 0.10)]
