"""What the sides and the controller say to each other: every message arrives as it was sent, and nothing else is heard."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import Pipe

import msgspec
import pytest

from pytest_pe_perf.measure.paired import wire
from pytest_pe_perf.model import Budget

FROM_SIDE = [
    wire.Collected("3.11.7", (wire.Test("t.py::test[\u00fc]", "ab"),), {"t.py": "it failed"}, {"t": "/t.py"}),
    wire.Arrived("t.py::test", "a name", "latency", "ab", 3, 0.5, 0.05, 0.01, True, {"latency": Budget(1e-3, "1 ms")}),
    wire.Arrived("t.py::test", "", "latency", "ab", 3, 0.5, 0.05, 0.01, False, {}, 12, 2),
    wire.Taken((1, 2**62), 7, 3, 2, 1),
    wire.Finished("t.py::test", "it failed"),
    wire.Ended({"t": "/t.py"}),
]
TO_SIDE = [wire.Go(("t.py::test",), 1.05), wire.Round(7, 3_000_000, collector=True), wire.Stop()]


@pytest.fixture
def pipe():
    ours, theirs = Pipe()
    yield ours, wire.Talk(theirs)
    ours.close()
    theirs.close()


@pytest.mark.parametrize("message", FROM_SIDE, ids=lambda message: type(message).__name__)
def test_what_a_side_says_is_heard_as_it_was_said(pipe, message):
    """Each kind of message, with all its fields, survives the way to the controller."""
    connection, talk = pipe
    talk.send(message)
    assert wire.decode(connection.recv_bytes()) == message


@pytest.mark.parametrize("message", TO_SIDE, ids=lambda message: type(message).__name__)
def test_what_the_controller_says_is_heard_as_it_was_said(pipe, message):
    """Each kind of order survives the way to the side, which gets it as the kind that it expects."""
    connection, talk = pipe
    connection.send_bytes(wire.encode(message))
    assert talk.expect(type(message)) == message


def test_another_kind_than_was_expected_is_an_error(pipe):
    """A side that waits for its tests and gets an order to measure says so instead of measuring."""
    connection, talk = pipe
    connection.send_bytes(wire.encode(wire.Stop()))
    with pytest.raises(TypeError, match=r"expected Go, got Stop\(\)"):
        talk.expect(wire.Go)


@pytest.mark.parametrize(
    "data", [b"", b"noise", b"\xff" * 40, wire.encode(wire.Stop()), msgspec.msgpack.encode({"type": "Taken"})]
)
def test_nonsense_is_no_message(data):
    """Bytes that are no message of a side's are an error, and not taken for one."""
    with pytest.raises(msgspec.DecodeError):
        wire.decode(data)


CHILD = """
import os, sys
from pytest_pe_perf.measure.paired import wire
talk = wire.talk_from(os.environ)
assert wire.VARIABLE not in os.environ
talk.send(wire.Finished("t", "ready"))
assert talk.expect(wire.Go).tests == ("t",)
talk.send(wire.Finished("t", "done"))
talk.receive()
print("still here")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="hands descriptors over")
def test_a_side_finds_its_pipe_in_its_environment_and_ends_with_it():
    """A process talks over the descriptor it was given, its children do not see it, and it ends when nobody listens."""
    ours, theirs = Pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env=wire.hand_over(os.environ, theirs.fileno(), ["a.py", "b.py"]),
        pass_fds=(theirs.fileno(),),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    theirs.close()
    assert wire.decode(ours.recv_bytes()) == wire.Finished("t", "ready")
    ours.send_bytes(wire.encode(wire.Go(("t",))))
    assert wire.decode(ours.recv_bytes()) == wire.Finished("t", "done")
    ours.close()
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
