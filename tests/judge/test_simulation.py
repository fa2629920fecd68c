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
    return sum(simulation.flow(rng, case, change).verdict is verdict for _ in range(n)) / n


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_no_false_alarm_in_a_thousand(simulation, shared):
    """In the model of an ordinary machine, fewer than 5 of 1,000 rows without a change fail."""
    case = simulation.Case("a", simulation.Noise(shared=shared), simulation.Noise(shared=shared))
    assert share(simulation, case, 0.0, Verdict.REGRESSED, 1000) < 0.005


def test_no_false_alarm_in_a_bad_moment(simulation):
    """Where three processes of ten are slow, still fewer than 5 of 1,000 rows without a change fail."""
    case = simulation.Case("c", simulation.Noise(), simulation.Noise(slow=0.3))
    assert share(simulation, case, 0.0, Verdict.REGRESSED, 1000) < 0.005


@pytest.mark.parametrize("seconds", [5e-5, 1e-3, 0.03, 0.1, 1.0])
def test_a_single_reading_raises_no_false_alarm_and_finds_what_is_large(simulation, seconds):
    """A row of one round, beside an ordinary one, fails in fewer than 5 of 1,000 runs, and when it takes three times as long."""
    case = simulation.Case("d", simulation.Few(1, seconds), simulation.Few(1, seconds))
    assert share(simulation, case, 0.0, Verdict.REGRESSED, 600) < 0.005
    assert share(simulation, case, 2.0, Verdict.REGRESSED, 200) >= 0.85


def test_a_machine_of_two_speeds_takes_between_one_time_and_the_other(simulation):
    """Work takes its own time at the fast speed, 105/58 of it at the slow one, and the mean over a long reading."""
    rng = random.Random(5)
    times = [simulation.Machine.start(rng, 0.0).run(1e-4) / 1e-4 for _ in range(500)]
    assert min(times) == pytest.approx(1.0)
    assert max(times) == pytest.approx(105 / 58)
    long = simulation.Machine.start(rng, 0.0).run(100.0) / 100.0
    assert long == pytest.approx(2 / (1 + 58 / 105), rel=0.05)
    assert simulation.Machine.start(rng, 1.0).run(10.0) == pytest.approx(10 * 105 / 58)


def test_a_baseline_behind_a_slow_reference_is_drawn_again(simulation):
    """The simulated update refuses what the real one refuses: no recorded reference is slow beside the run's fastest."""
    rng = random.Random(3)
    drawn = [simulation.record(rng, simulation.Noise(slow=0.5, shared=0.0)) for _ in range(300)]
    assert sum(refused for _, refused in drawn) > 0
    assert all(base.reference < simulation.REFERENCE * 1.3 for base, _ in drawn)


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("change", "power"), [(0.2, 0.93), (0.3, 0.98), (0.5, 0.99)])
def test_a_slow_process_hides_no_large_regression(simulation, shared, change, power):
    """A process in which the value, the reference or both were slow hides nothing from the three stages."""
    case = simulation.Case("b", simulation.Noise(shared=shared), simulation.Noise(shared=shared))
    assert share(simulation, case, change, Verdict.REGRESSED, 300) >= power


def test_the_same_seed_prints_the_same_table(simulation, capsys):
    """The table says that it is a model, and repeats."""

    def printed():
        simulation.main(["--tests", "30", "--power-tests", "5", "--few-tests", "16"])
        return capsys.readouterr().out.splitlines()[:-1]

    lines = printed()
    assert lines == printed()
    assert lines[0].startswith("*A model, not a machine.*")
    assert len(lines) == 16 + len(simulation.CASES) + len(simulation.FEW_READINGS)


@pytest.mark.parametrize(("hits", "low", "high"), [(0, 0.0, 0.0370), (1, 0.0018, 0.0545), (50, 0.4038, 0.5962)])
def test_wilsons_interval(simulation, hits, low, high):
    """The interval of a share of 100 is Wilson's."""
    assert simulation.wilson(hits, 100) == pytest.approx((low, high), abs=1e-4)
