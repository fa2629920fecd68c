"""The markers of tests that a run keeps: those by which people tell tests apart."""

from __future__ import annotations

from pytest_pe_perf.config import Settings
from pytest_pe_perf.model import RUN_FORMAT, Environment, Run, Skipped
from pytest_pe_perf.shard import Share, put_together, shard_of

TESTS = """
import pytest

pytestmark = pytest.mark.engine

@pytest.mark.slow
class TestParse:
    @pytest.mark.pe_latency(margin="300 %")
    @pytest.mark.skipif(False, reason="it never is")
    @pytest.mark.usefixtures("tmp_path")
    @pytest.mark.parametrize("size", [10])
    def test_parse(self, size):
        sorted(range(size))

    @pytest.mark.unit
    def test_plain(self):
        pass

def test_total(pe_latency):
    pe_latency(sum, range(10))
"""


def test_a_run_names_the_markers_of_its_performance_tests(shared):
    """Of the function, its class and its module, in order; not what tells pytest, or us, how to run a test."""
    shared.settings('[tool.pytest.ini_options]\nmarkers = ["engine", "slow", "unit"]\n')
    shared.write("test_it.py", TESTS)
    done = shared.gate("--pe-perf-time=5 ms", "--strict-markers")
    assert done.status == 0, done.out
    assert shared.run_file()["run"]["markers"] == {
        "test_it.py::TestParse::test_parse[10]": ["engine", "slow"],
        "test_it.py::test_total": ["engine"],
    }


def test_shards_bring_their_markers_along():
    """What is put together knows the markers of all its tests."""
    shares = (Share(1, 2), Share(2, 2))
    own = [next(f"t.py::test_{n}" for n in range(99) if share.has(f"t.py::test_{n}")) for share in shares]
    here = Environment("cpython", "3.11", "linux", "x", 2)
    runs = [
        Run(
            RUN_FORMAT,
            "2026-11-20T09:41:07+00:00",
            here,
            {},
            (),
            skipped=(Skipped(test, "it was not run"),),
            shard=shard_of(share, own, Settings(), ()),
            markers={test: (f"of-{share.index}",)},
        )
        for share, test in zip(shares, own, strict=True)
    ]
    ((whole,), _) = put_together([("one.json", runs[0]), ("two.json", runs[1])])
    assert whole.run.markers == {own[0]: ("of-1",), own[1]: ("of-2",)}
