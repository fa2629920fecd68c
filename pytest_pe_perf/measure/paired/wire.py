"""What the two sides of a pair and their controller say to each other, over a pipe of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping, Sequence
from multiprocessing.connection import Connection
from typing import TypeVar, Union

import msgspec

from pytest_pe_perf.model import Budget

VARIABLE = "PE_PERF_PAIR"
# The modules that a side is to collect, one a line; none for what its command says.
MODULES = "PE_PERF_MODULES"


class Test(msgspec.Struct, frozen=True):
    """A performance test that a side has: its node id and the hash of its source."""

    id: str
    source: str


# What a side says.


class Collected(msgspec.Struct, frozen=True, tag=True):
    """The selected performance tests, the modules that could not be collected and why, and what was imported."""

    python: str
    tests: tuple[Test, ...]
    broken: dict[str, str]
    files: dict[str, str]


class Arrived(msgspec.Struct, frozen=True, tag=True):
    """A test wants to measure a call.

    With ``rounds`` it makes exactly so many, of which the first ``warm_up`` do not count, and ends by itself.
    """

    test: str
    name: str
    metric: str
    source: str
    line: int
    seconds: float
    threshold: float
    margin: float
    collector: bool
    budgets: dict[str, Budget]
    rounds: int = 0
    warm_up: int = 0


class Taken(msgspec.Struct, frozen=True, tag=True):
    """A round: the nanoseconds of each reading of ``calls`` calls, of the whole, on the CPU, and in the collector.

    ``switches`` is how often the process lost its core to another one.
    """

    readings: tuple[int, ...]
    calls: int
    wall: int
    cpu: int
    collector: int = 0
    switches: int = 0


class Finished(msgspec.Struct, frozen=True, tag=True):
    """A test is over; ``why`` says why it gave no number."""

    test: str
    why: str


class Ended(msgspec.Struct, frozen=True, tag=True):
    """There are no more tests; ``files`` is what was imported in the end."""

    files: dict[str, str]


# What the controller says.


class Go(msgspec.Struct, frozen=True, tag=True):
    """Run these tests, after a canary that is slowed down by ``planted``."""

    tests: tuple[str, ...]
    planted: float = 1.0


class Round(msgspec.Struct, frozen=True, tag=True):
    """Read ``calls`` calls again and again for so many nanoseconds, once at least."""

    calls: int
    nanoseconds: int
    collector: bool = False


class Stop(msgspec.Struct, frozen=True, tag=True):
    """This measurement is over."""


FromSide = Union[Collected, Arrived, Taken, Finished, Ended]  # noqa: UP007 - msgspec decodes it
ToSide = Union[Go, Round, Stop]  # noqa: UP007
T = TypeVar("T")

_FROM_SIDE: msgspec.msgpack.Decoder[FromSide] = msgspec.msgpack.Decoder(FromSide)
_TO_SIDE: msgspec.msgpack.Decoder[ToSide] = msgspec.msgpack.Decoder(ToSide)


class Talk:
    """A side's end of the pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, message: FromSide) -> None:
        """Say something to the controller."""
        self._connection.send_bytes(msgspec.msgpack.encode(message))

    def receive(self) -> ToSide:
        """Wait for what the controller says. The side ends where there is no controller any more."""
        try:
            return _TO_SIDE.decode(self._connection.recv_bytes())
        except (EOFError, OSError):
            # Nobody is there to hear why.
            os._exit(1)

    def expect(self, kind: type[T]) -> T:
        """Wait for a message of this kind."""
        message = self.receive()
        if not isinstance(message, kind):
            raise TypeError(f"expected {kind.__name__}, got {message!r}")
        return message


def decode(data: bytes) -> FromSide:
    """Return what a side said.

    Raises:
        msgspec.DecodeError: it is no message of ours.

    """
    return _FROM_SIDE.decode(data)


def encode(message: ToSide) -> bytes:
    """Return a message for a side."""
    return msgspec.msgpack.encode(message)


def talk_from(environ: MutableMapping[str, str]) -> Talk:
    """Take the pipe that this process was started with out of its environment."""
    descriptor = int(environ.pop(VARIABLE))
    # What the tests start must not hold it open.
    os.set_inheritable(descriptor, False)
    return Talk(Connection(descriptor))


def hand_over(environ: Mapping[str, str], descriptor: int, modules: Sequence[str]) -> dict[str, str]:
    """Return the environment of a side that finds its pipe at ``descriptor`` and is to collect ``modules``."""
    return {**environ, VARIABLE: str(descriptor), MODULES: "\n".join(modules)}
