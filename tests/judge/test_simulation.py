"""The simulation that the method's page quotes runs, repeats, and holds what the page promises."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

from pytest_pe_perf.model import Verdict

SCRIPT = Path(__file__).parents[2] / "docs" / "method" / "simulate_stored.py"


@pytest.fixture(scope="module")
def simulation():
    spec = importlib.util.spec_from_file_location("simulate_stored", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def share(simulation, case, change, verdict, n):
    rng = random.Random(f"{case.name} {change}")
    return sum(simulation.flow(rng, case, change)[0] is verdict for _ in range(n)) / n


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_no_false_alarm_in_a_thousand(simulation, shared):
    """In the model of an ordinary machine, fewer than 5 of 1,000 rows without a change fail."""
    case = simulation.Case("a", simulation.Noise(shared=shared), simulation.Noise(shared=shared))
    assert share(simulation, case, 0.0, Verdict.REGRESSED, 1000) < 0.005


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("change", "power"), [(0.2, 0.93), (0.3, 0.98), (0.5, 0.99)])
def test_a_slow_process_hides_no_large_regression(simulation, shared, change, power):
    """A process in which the value, the reference or both were slow hides nothing from the two stages."""
    case = simulation.Case("b", simulation.Noise(shared=shared), simulation.Noise(shared=shared))
    assert share(simulation, case, change, Verdict.REGRESSED, 300) >= power


def test_the_same_seed_prints_the_same_table(simulation, capsys):
    """The table says that it is a model, and repeats."""

    def printed():
        simulation.main(["--tests", "30", "--power-tests", "5"])
        return capsys.readouterr().out.splitlines()[:-1]

    lines = printed()
    assert lines == printed()
    assert lines[0].startswith("*A model, not a machine.*")
    assert len(lines) == 5 + len(simulation.CASES) + 1


@pytest.mark.parametrize(("hits", "low", "high"), [(0, 0.0, 0.0370), (1, 0.0018, 0.0545), (50, 0.4038, 0.5962)])
def test_wilsons_interval(simulation, hits, low, high):
    """The interval of a share of 100 is Wilson's."""
    assert simulation.wilson(hits, 100) == pytest.approx((low, high), abs=1e-4)
