"""What a machine can prove: findings from facts that are written by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.judge.machine import (
    SLOW,
    Cores,
    Host,
    Machine,
    Neighbours,
    PairSpread,
    Speed,
    Timer,
    Tools,
    findings,
    fitness,
    speed,
)

QUIET = Machine(
    host=Host("cpython-3.11-linux-x86_64-amd-25-1-2cpu", "linux", virtual=False, on_battery=False),
    timer=Timer("clock_gettime(CLOCK_MONOTONIC)", True, 1e-9, 3e-8, 4e-8, 0, "tsc", ("tsc", "hpet")),
    cores=Cores(2, (0, 1), None, True, (), ("performance",), False),
    speeds=(Speed(0, 500, 2e-5, 2.1e-5, 0.01, 1.3), Speed(1, 500, 2e-5, 2.1e-5, 0.0, 1.0)),
    neighbours=Neighbours(3.0, 0.0, 0.1, (0.1, 0.1, 0.1), 0.01, 2.0, 0),
    tools=Tools("1.20.0", "2.39.5", "3.19.0", "6.1", True, 2, 2, True),
)
BLIND = Machine(
    host=Host("cpython-3.11-plan9-mips-1cpu", "plan9"),
    timer=QUIET.timer,
    cores=Cores(1),
    speeds=(),
    neighbours=Neighbours(3.0),
    tools=Tools("1.20.0", "2.39.5", "", ""),
)
PAIRS = PairSpread(pairs=30, spread=0.018, detectable=0.024, seconds=2.0, false_alarms=0, benchmarks=4)


def change(part: str, **facts) -> Machine:
    return replace(QUIET, **{part: replace(getattr(QUIET, part), **facts)})


def told(machine: Machine, spread: PairSpread | None = None) -> dict[str, str]:
    """Return the level of everything that is not good."""
    return {f.about: f.level for f in findings(machine, spread) if f.level != "good"}


def only(machine: Machine, spread: PairSpread | None = None):
    """Return the one finding that is not good."""
    (found,) = [f for f in findings(machine, spread) if f.level != "good"]
    return found


def test_a_quiet_machine_is_told_nothing_to_do():
    """Where everything is well, all findings are good, and none of them advises anything."""
    found = findings(QUIET, PAIRS)
    assert {f.level for f in found} == {"good"}
    assert not any(f.todo for f in found)
    assert fitness(QUIET, found, PAIRS) == "fit"


def test_unknown_facts_lead_to_no_finding():
    """A machine that shows nothing but its clock gets no advice, and nobody claims that it is fit."""
    found = findings(BLIND)
    assert {f.about for f in found} == {"timer", "memray"}
    assert fitness(BLIND, found) == "unknown"


@pytest.mark.parametrize(
    ("part", "facts", "about", "level"),
    [
        ("timer", {"backwards": 3}, "timer", "bad"),
        ("timer", {"monotonic": False}, "timer", "bad"),
        ("timer", {"step": 50e-6}, "timer", "bad"),
        ("timer", {"step": math.inf}, "timer", "bad"),
        ("timer", {"step": 1e-6}, "timer", "note"),
        ("timer", {"look": 1e-6}, "timer", "note"),
        ("cores", {"quota": 0.5}, "quota", "bad"),
        ("cores", {"quota": 1.5}, "quota", "note"),
        ("neighbours", {"throttled": 2}, "quota", "bad"),
        ("cores", {"pinnable": False}, "pinning", "note"),
        ("cores", {"governors": ("performance", "powersave")}, "governor", "note"),
        ("cores", {"turbo": True}, "turbo", "note"),
        ("cores", {"siblings": ((0, 1),)}, "siblings", "note"),
        ("neighbours", {"steal": 0.07}, "steal", "note"),
        ("neighbours", {"steal": 0.2}, "steal", "bad"),
        ("neighbours", {"running": 1.0}, "company", "note"),
        ("neighbours", {"pressure": 0.1}, "company", "note"),
        ("neighbours", {"switches": 100.0}, "company", "note"),
        ("neighbours", {"running": 8.0}, "company", "bad"),
        ("host", {"on_battery": True}, "power", "note"),
        ("host", {"hot": 1}, "heat", "note"),
        ("tools", {"memray": ""}, "memray", "note"),
        ("tools", {"git": ""}, "git", "note"),
        ("tools", {"instructions": False, "paranoid": 3}, "counters", "note"),
        ("tools", {"instructions": None, "valgrind": ""}, "valgrind", "note"),
        ("tools", {"randomised": 0}, "addresses", "note"),
        ("tools", {"still": False}, "addresses", "note"),
    ],
)
def test_each_fact_leads_to_its_finding(part, facts, about, level):
    """One fact that is not as it should be gives one finding, which says why it matters; a bad one means unfit."""
    machine = change(part, **facts)
    found = only(machine)
    assert (found.about, found.level) == (about, level)
    assert found.why
    assert fitness(machine, findings(machine)) == ("not fit" if level == "bad" else "fit")


@pytest.mark.parametrize(
    ("part", "facts"),
    [
        ("cores", {"quota": 2.0}),
        ("neighbours", {"steal": 0.019}),
        ("neighbours", {"running": 0.9, "pressure": 0.09, "switches": 99.0}),
        # Counters that work need no valgrind.
        ("tools", {"valgrind": ""}),
        # Where the processor hides its counters, no permission helps.
        ("tools", {"instructions": False, "paranoid": 2}),
        ("timer", {"step": 5e-7, "look": 5e-7}),
        ("host", {"virtual": True, "container": "docker"}),
    ],
)
def test_what_does_no_harm_is_no_note(part, facts):
    """Facts on the right side of each limit lead to no advice."""
    assert told(change(part, **facts)) == {}


def test_a_quicker_clock_is_advised_where_there_is_one():
    """The clock source to change to is one that the kernel offers and does not use already."""
    slow = {"look": 2e-6, "source": "hpet"}
    assert "echo tsc | sudo tee" in only(change("timer", **slow)).todo
    assert only(change("timer", **slow, sources=("hpet", "acpi_pm"))).todo == ""
    assert only(change("timer", look=2e-6)).todo == ""


def test_memray_is_not_advised_where_there_is_none():
    """memray has no Windows version: nobody is told to install it."""
    machine = replace(QUIET, host=replace(QUIET.host, system="windows"), tools=replace(QUIET.tools, memray=""))
    assert told(machine) == {}


def test_two_speeds_are_noted_with_how_much_and_how_often():
    """The core that is slow longest and most is named."""
    slow = replace(QUIET.speeds[1], slow_share=0.34, slow_ratio=1.8)
    found = only(replace(QUIET, speeds=(QUIET.speeds[0], slow)))
    assert found.seen == "core 1 has two speeds: 1.80 times as slow 34.0 % of the time"
    nowhere = replace(QUIET, speeds=(replace(slow, core=None),))
    assert only(nowhere).seen.startswith("the machine has two speeds")


def test_cores_of_different_speed_are_noted():
    """Cores that differ are no problem for pairs, and the finding says so."""
    found = only(replace(QUIET, speeds=(QUIET.speeds[0], replace(QUIET.speeds[1], typical=2.94e-5))))
    assert found.seen == "the cores differ in speed by 40.0 % just now"
    assert "pinned to one core, so that is fine" in found.why


def test_the_worst_comes_first():
    """Bad findings stand before notes, and notes before what is good."""
    machine = replace(change("neighbours", steal=0.3), cores=replace(QUIET.cores, quota=1.5))
    levels = [f.level for f in findings(machine)]
    assert levels[:2] == ["bad", "note"]
    assert levels == sorted(levels, key=["bad", "note", "good"].index)


@pytest.mark.parametrize(
    ("facts", "expected", "fit"),
    [
        ({}, {}, "fit"),
        ({"detectable": 0.05}, {}, "fit"),
        ({"detectable": 0.06}, {"pairs": "note"}, "fit"),
        ({"detectable": 0.21}, {"pairs": "bad"}, "not fit"),
        ({"false_alarms": 1}, {"alarms": "note"}, "fit"),
        ({"false_alarms": 2}, {"alarms": "bad"}, "not fit"),
        ({"benchmarks": 200, "false_alarms": 10}, {"alarms": "note"}, "fit"),
        ({"benchmarks": 200, "false_alarms": 11}, {"alarms": "bad"}, "not fit"),
        ({"undecided": 1}, {"undecided": "note"}, "fit"),
        ({"detectable": math.nan}, {}, "unknown"),
        ({"detectable": math.inf}, {}, "unknown"),
    ],
)
def test_pairs_of_the_same_code_decide_what_can_be_proven(facts, expected, fit):
    """A gate needs pairs that settle, hardly ever cry wolf, and show changes that matter."""
    spread = replace(PAIRS, **facts)
    assert told(QUIET, spread) == expected
    assert fitness(QUIET, findings(QUIET, spread), spread) == fit


def test_a_bad_finding_outweighs_what_is_unknown():
    """A machine that is known to be unfit is called so, whatever else could not be seen."""
    machine = replace(BLIND, timer=replace(QUIET.timer, backwards=1))
    assert fitness(machine, findings(machine)) == "not fit"


@given(
    fast=st.floats(1e-6, 1e-3),
    ratio=st.floats(SLOW * 1.01, 5),
    counts=st.tuples(st.integers(30, 200), st.integers(0, 200)),
    seed=st.randoms(use_true_random=False),
)
def test_two_speeds_are_told_apart(fast, ratio, counts, seed):
    """Windows of two speeds, in any order, give back the fast speed, and how often and how much the other is slower."""
    quick, slow = counts
    windows = [fast] * quick + [fast * ratio] * slow
    seed.shuffle(windows)
    found = speed(3, windows)
    assert (found.core, found.windows, found.fastest) == (3, quick + slow, fast)
    assert found.slow_share == slow / (quick + slow)
    assert found.slow_ratio == pytest.approx(ratio if slow else 1.0)


def test_jitter_is_no_second_speed():
    """What varies by less than a speed is one speed."""
    found = speed(0, [2e-5 * (1 + i / 1000) for i in range(120)])
    assert (found.slow_share, found.slow_ratio) == (0.0, 1.0)
    assert speed(0, [2e-5]).typical == 2e-5
