"""Two measurements whose answers are known: one that is equal on both sides, one that is slower on head by design.

They tell whether this very run, on this machine, in these minutes, cries wolf or cannot bark.
"""

from __future__ import annotations

from dataclasses import replace

from pytest_pe_perf.config import Settings
from pytest_pe_perf.measure.call import Call
from pytest_pe_perf.recorder import Bench, Recorder, Subject

# The name in place of a test's node id; no test can have it.
CANARY = "(canary)"
SAME, PLANTED = "same", "planted"
UNITS = 400
SECONDS = 1.0


def work(units: int) -> int:
    """Do so many equal pieces of work."""
    total = 0
    for i in range(units):
        total += i * i & 0xFF
    return total


def sing(recorder: Recorder, settings: Settings, planted: float) -> None:
    """Measure both; ``planted`` is by how much this side's second one is slowed down."""
    subject = Subject(CANARY, "", 0, replace(settings, time=min(settings.time, SECONDS)), {})
    recorder.begin(CANARY)
    bench: Bench = recorder.bench(subject)
    bench.measure(Call(work, (UNITS,)), SAME, time=True, memory=False)
    bench.measure(Call(work, (round(UNITS * planted),)), PLANTED, time=True, memory=False)
