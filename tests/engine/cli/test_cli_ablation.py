"""`ablation`: each optimisation on against off, by the gate's rounds in fresh processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from engine_opt import EngineOptimizations, InputError
from engine_opt.cli import ablating, cli
from engine_opt.cli.ablating import Compared, judged
from pytest_pe_perf.model import Block, Restart, Turn

from .conftest import environment

SWITCHES = EngineOptimizations.names()
OTHERS = ("all", "reference", "path_few", "path_many", "scratch_pool")
# The help's example, which measures for a short time.
EXAMPLE = cli.commands["ablation"].epilog.partition("  ")[2]
SHORT = EXAMPLE.removeprefix("python -m engine_opt ").split()


def restart(*ratios):
    """Blocks in which the head takes so many times the base's time."""
    return Restart(tuple(Block((Turn(1.0, 1.0),) * 2, (Turn(ratio, ratio),) * 2) for ratio in ratios))


def process(*ratios, on=10, off=20):
    return {name: Compared(restart(*ratios), on, off) for name in (*SWITCHES, *OTHERS)}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """What the help's example says as JSON, from short real measurements."""
    done = subprocess.run(
        [sys.executable, "-m", "engine_opt", *SHORT, "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("ablation"),
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_every_switch_is_measured_and_all_together(document):
    assert (document["seconds"], document["processes"]) == (0.02, 2)
    assert [each["name"] for each in document["effects"]] == [*SWITCHES, *OTHERS]
    for each in document["effects"]:
        assert 0.0 < each["low"] <= each["ratio"] <= each["high"]
        assert each["bytes_on"] > 0 < each["bytes_off"]
        assert each["what"]


def test_the_example_of_the_help_is_run_as_it_stands_too():
    """By the test of the documents, which runs every command of this page."""
    page = Path(__file__).parents[3] / "docs" / "engine" / "commands.md"
    assert f"\n$ {EXAMPLE}\n" in page.read_text("utf-8")


def test_the_defaults_are_those_of_the_engine(document):
    given = EngineOptimizations().plain()
    assert {each["name"]: each["default"] for each in document["effects"]} == {**dict.fromkeys(OTHERS), **given}


def test_a_verdict_is_what_its_interval_says(document):
    for each in document["effects"]:
        assert each["pays"] is (True if each["high"] < 1.0 else False if each["low"] > 1.0 else None)


def test_the_memory_of_compiled_rules_and_of_the_plain_engine_shows(document):
    """Bytes are counted, so that this holds on any machine, however busy."""
    effects = {each["name"]: each for each in document["effects"]}
    assert effects["keep_rules"]["bytes_on"] < 0.5 * effects["keep_rules"]["bytes_off"]
    assert effects["all"]["bytes_on"] < 0.5 * effects["all"]["bytes_off"]
    assert effects["reference"]["bytes_on"] < 0.1 * effects["reference"]["bytes_off"]


def test_the_table_fits_and_says_in_words_what_the_numbers_say(call, monkeypatch):
    pays, costs, unclear = process(0.5, 0.51, 0.49), process(2.0, 2.1, 1.9), process(0.9, 1.0, 1.1)
    mixed = {**unclear, "share_readings": pays["all"], "bounded_readings": costs["all"]}
    monkeypatch.setattr(ablating, "measured", lambda *_: iter([mixed] * 4))
    done = call("ablation")
    assert (done.status, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 80
    rows = {line.split()[0]: line for line in done.out.splitlines() if line}
    assert " 0.500 " in rows["share_readings"]
    assert rows["share_readings"].endswith("pays         on")
    assert rows["bounded_readings"].endswith("does not pay off")
    assert rows["still_collector"].endswith("no evidence  off")
    assert rows["reference"].endswith("no evidence  -")
    for name in (*SWITCHES, *OTHERS):
        assert f"\n{name}: " in done.out


def test_without_numpy_the_rest_is_measured(call, monkeypatch):
    left = {name: each for name, each in process(0.5).items() if name in (*SWITCHES, "all", "reference")}
    monkeypatch.setattr(ablating, "measured", lambda *_: iter([left] * 2))
    done = call("ablation")
    assert "need NumPy" in done.out
    assert "path_many" not in done.out


def test_the_interval_is_the_gates_over_all_processes():
    """The median over the blocks; processes that disagree widen the interval."""
    agreeing = judged([process(0.8, 0.8, 0.8)] * 6)[0].measured
    apart = judged([process(0.7), process(0.9), process(0.8), process(0.75), process(0.85), process(0.8)])[0].measured
    assert agreeing.ratio == pytest.approx(0.8)
    assert apart.ratio == pytest.approx(0.8, rel=0.05)
    assert apart.high - apart.low > 2 * (agreeing.high - agreeing.low)
    assert (agreeing.bytes_on, agreeing.bytes_off) == (10, 20)


def test_a_measurement_that_is_none_is_refused():
    with pytest.raises((InputError, ValueError)):
        judged([process()] * 2)


@pytest.mark.parametrize("weeks", ablating.PATHS.values())
def test_both_paths_say_the_same(weeks):
    pytest.importorskip("numpy")
    found = ablating.statuses_one_by_one(weeks)
    assert found == ablating.statuses_over_columns(weeks)
    assert len(found) == weeks


def test_both_sides_of_a_comparison_give_the_same_answers(monkeypatch):
    """What is measured on and off is the same work; the plain engine's numbers are the same to twelve digits."""
    answers = []

    def compared(on, off, **_):
        answers.append((on.work(), off.work()))
        return Compared(restart(0.5), 1, 1)

    monkeypatch.setattr(ablating, "_compared", compared)
    named = dict(zip(ablating.compare_all(0.01, Random(1), lambda: None), answers, strict=True))
    assert list(named) == [*SWITCHES, *OTHERS]
    fast, plain = named.pop("reference")
    assert (fast.status, fast.action, fast.time) == (plain.status, plain.action, plain.time)
    leased, fresh = named.pop("scratch_pool")
    assert (leased == fresh).all()
    for on, off in named.values():
        assert repr(on) == repr(off)


def test_the_published_table_is_why_a_switch_is_on():
    """By default on is what pays, and nothing else."""
    page = Path(__file__).parents[3] / "docs" / "optimization" / "results.md"
    rows = {line.split()[0]: line for line in page.read_text("utf-8").splitlines() if line}
    for name, on in EngineOptimizations().plain().items():
        *_, verdict, default = rows[name].rsplit(maxsplit=2)
        assert default == ("on" if on else "off")
        assert (verdict == "pays") is on
    for name in OTHERS:
        assert rows[name].endswith("-")


@pytest.mark.parametrize(
    "wrong", [("--seconds", "0"), ("--seconds", "nan"), ("--seconds", "x"), ("--processes", "1"), ("extra",)]
)
def test_wrong_usage_is_refused(call, wrong):
    done = call("ablation", *wrong)
    assert done.status == 2
    assert done.out == ""
    assert done.err.startswith("error: ")


_FAILING = """
import os, sys
if "engine_opt.cli.ablating" in sys.orig_argv:
    os.write(2, b"Traceback\\n  and so on\\nplanted\\n")
    os._exit(3)
"""


def test_a_process_that_fails_is_told_in_one_line(tmp_path):
    """Its last words, not its traceback."""
    (tmp_path / "sitecustomize.py").write_text(_FAILING)
    done = subprocess.run(
        [sys.executable, "-m", "engine_opt", *SHORT],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{Path(ablating.__file__).parents[2]}"),
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: process 1 of 2 ended with 3: planted\n"


@pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="the system does not say who is whose child"
)
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_no_process_outlives_the_command(tmp_path, ending):
    """Whether it can still do something about it or not."""
    command = [sys.executable, "-m", "engine_opt", "ablation", "--seconds", "60", "--processes", "2"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(),
        preexec_fn=_listen_to_ctrl_c,  # noqa: PLW1509 - it sets one handler in the child
    ) as running:
        try:
            child = _until(lambda: _children(running.pid))[0]
            running.send_signal(ending)  # to the command alone, as a supervisor does
            out, err = running.communicate(timeout=60)
        finally:
            running.kill()  # which does nothing where it has ended
    assert (out, err) == (b"", b"")
    assert running.returncode == (130 if ending is signal.SIGINT else -ending)
    _until(lambda: _gone(child))


def _listen_to_ctrl_c():
    """Who started the tests may have told them to ignore it, and a child does as its parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _children(process):
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


def _gone(process):
    try:
        return ") Z " in Path(f"/proc/{process}/stat").read_text()  # ended, and nobody has asked how
    except FileNotFoundError:
        return True


def _until(happens):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if found := happens():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen within a minute")
