"""What importing the engine costs and does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import engine_opt

_PROBE = """
import json, sys
before = set(sys.modules)
import engine_opt
bare = set(sys.modules) - before
for name in engine_opt.__all__:
    getattr(engine_opt, name)
import engine_opt.data
engine_opt.data.load("FB")
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps({
    "bare": sorted(bare),
    "third_party": sorted(new - set(sys.stdlib_module_names) - {"engine_opt"}),
    "logging": "logging" in sys.modules,
    "numpy": "numpy" in sys.modules,
}))
"""


@pytest.fixture(scope="module")
def fresh() -> dict:
    """What a fresh process sees after importing and using every public name."""
    home = Path(engine_opt.__file__).parents[1]  # first on the path of a `-c` process: tests what is imported here
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True, cwd=home)
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_no_third_party_module_is_imported(fresh):
    """Importing the engine and touching every public name imports the standard library only."""
    assert fresh["third_party"] == []
    assert not fresh["numpy"]


def test_the_bare_import_loads_no_component(fresh):
    """`import engine_opt` alone loads none of its own modules: names come when they are first used."""
    assert [name for name in fresh["bare"] if name.startswith("engine_opt")] == ["engine_opt"]


def test_logging_is_not_touched(fresh):
    """The engine does not even import logging."""
    assert not fresh["logging"]


@pytest.mark.parametrize("name", engine_opt.__all__)
def test_every_public_name_exists(name):
    """Every name in __all__ can be had and is documented."""
    assert getattr(engine_opt, name).__doc__


def test_all_is_sorted_and_listed():
    """dir() shows the lazy names too."""
    assert set(engine_opt.__all__) <= set(dir(engine_opt))
    assert len(set(engine_opt.__all__)) == len(engine_opt.__all__)


def test_an_unknown_name_is_an_attribute_error():
    """A name that does not exist is reported as Python does it."""
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        engine_opt.Nonsense


_SIZE = """
{0}
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say how large a process was")
@pytest.mark.parametrize(
    ("what", "most"),
    [
        ("import engine_opt", 20),
        ("from engine_opt import ProtocolEngine; ProtocolEngine()", 24),
        ("import engine_opt.batch.market", 40),
    ],
)
def test_the_process_stays_small(what, most):
    """Megabytes that a process has held at most, the interpreter's own (about 9) included."""
    home = Path(engine_opt.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", _SIZE.format(what)], capture_output=True, text=True, check=True, cwd=home
    )
    assert int(done.stdout) / 1024 < most
