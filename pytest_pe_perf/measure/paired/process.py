"""The processes of a pair: equal in all but the code, on one core, and gone when the pair is."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

import msgspec

from pytest_pe_perf.measure.fresh import ending, inherited, last_words
from pytest_pe_perf.measure.janitor import Watcher
from pytest_pe_perf.measure.paired import start, wire
from pytest_pe_perf.measure.paired.wire import FromSide, ToSide

# See personality(2).
_ADDR_NO_RANDOMIZE = 0x0040000
# A pool of threads on one core measures the scheduler.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# The environment's size moves the stack; a page and a bit is what there is to move within.
_MOST_PADDING = 4096
# How often a side that says nothing is looked at.
_LOOK_EVERY = 0.25
_SECONDS_TO_END = 5.0


class SideError(Exception):
    """A side ended, hung, or said what makes no sense; the message says which side, and what is known of it."""

    def __init__(self, side: str, message: str) -> None:
        super().__init__(message)
        self.side = side


@dataclass(frozen=True, slots=True)
class Side:
    """Where one side lives: its name, the command that starts it, its folder, and what stands for what there.

    ``bytecode`` is a folder for byte code, where that must not lie beside its source. With ``modules`` (relative to pytest's
    root directory) it collects those alone, and not what its command says.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    original: Path
    tree: Path
    bytecode: Path | None = None
    modules: tuple[str, ...] = ()

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a process of this side: what names the original names the tree instead."""
        found = inherited(environ)
        for name in ("PYTHONPATH", "PYTEST_ADDOPTS", "PWD"):
            if name in found:
                found[name] = moved(found[name], self.original, self.tree)
        # Both sides keep the byte code of what they import: where the user wants none, in a place of ours.
        found.pop("PYTHONDONTWRITEBYTECODE", None)
        if self.bytecode is not None:
            found["PYTHONPYCACHEPREFIX"] = str(self.bytecode)
        trees = start.Trees(str(self.original), str(self.tree))
        found[start.VARIABLE] = msgspec.json.encode(trees).decode()
        return found


def moved(text: str, original: Path, tree: Path) -> str:
    """Return ``text`` with paths in ``original`` replaced by those in ``tree``."""
    old = str(original)
    if text == old:
        return str(tree)
    return text.replace(f"{old}{os.sep}", f"{tree}{os.sep}").replace(f"{old}{os.pathsep}", f"{tree}{os.pathsep}")


@dataclass(frozen=True, slots=True)
class Layout:
    """What moves memory about: the same on both sides of a pair, another one for the next pair."""

    hash_seed: int
    padding: int

    @classmethod
    def draw(cls, random: Random) -> Layout:
        """Return a layout by chance: one that is fixed would be the same accident in every suite."""
        return cls(random.randrange(1, 1 << 32), random.randrange(_MOST_PADDING))

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a process with this layout."""
        threads = {name: environ.get(name, "1") for name in _ONE_THREAD}
        return {**environ, **threads, "PYTHONHASHSEED": str(self.hash_seed), "PE_PERF_PADDING": "x" * self.padding}


def _same_addresses() -> Callable[[], object] | None:
    """Return what switches the randomisation of addresses off in a process that is about to start.

    The layout is drawn by us. Nothing is looked up between fork and exec, where another thread's lock may be held.
    """
    if sys.platform != "linux":
        return None
    return functools.partial(ctypes.CDLL(None).personality, _ADDR_NO_RANDOMIZE)


class SideProcess:
    """A live process of one side, and our end of its pipe."""

    def __init__(self, side: Side, layout: Layout, log: Path, watcher: Watcher) -> None:
        self.side = side
        self._watcher = watcher
        self._log = log
        ours, theirs = Pipe()
        self._connection: Connection = ours
        try:
            with log.open("wb") as stream:
                self._process = subprocess.Popen(
                    side.command,
                    cwd=side.folder,
                    env=wire.hand_over(layout.environ(side.environ(os.environ)), theirs.fileno(), side.modules),
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    preexec_fn=_same_addresses(),  # noqa: PLW1509 - it makes one system call
                )
        except OSError as error:
            ours.close()
            raise SideError(side.name, f"{side.name}'s process could not be started: {error}") from error
        finally:
            theirs.close()
        watcher.watch(self._process.pid)

    def send(self, message: ToSide) -> None:
        """Tell the side something.

        Raises:
            SideError: it is gone.

        """
        try:
            self._connection.send_bytes(wire.encode(message))
        except OSError as error:
            raise self._gone() from error

    def receive(self, timeout: float) -> FromSide:
        """Wait for what the side says.

        Raises:
            SideError: it is gone, or said nothing for ``timeout`` seconds.

        """
        deadline = time.monotonic() + timeout
        try:
            while not self._connection.poll(min(_LOOK_EVERY, timeout)):
                # A child of the side may hold the pipe open after the side is gone.
                if self._process.poll() is not None and not self._connection.poll(0):
                    raise self._gone()
                if time.monotonic() > deadline:
                    raise SideError(self.side.name, f"{self.side.name} said nothing for {timeout:.0f} s")
            return wire.decode(self._connection.recv_bytes())
        except (EOFError, OSError, msgspec.DecodeError) as error:
            raise self._gone() from error

    def pin(self, core: int) -> None:
        """Bind the process to one core, where the system can do that."""
        if hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(self._process.pid, {core})

    def close(self, *, patient: bool) -> None:
        """End the process and what it started; a patient end lets it tear its fixtures down first."""
        self._connection.close()
        if patient:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_SECONDS_TO_END)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._watcher.unwatch(self._process.pid)

    def _gone(self) -> SideError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_END)
        status = self._process.returncode
        how = "stopped talking" if status is None else ending(status)
        return SideError(self.side.name, f"{self.side.name}'s process {how}; it said: {last_words(self._log)}")


def cores() -> list[int]:
    """Return the cores that this process may use; empty where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@contextlib.contextmanager
def pair(
    base: Side, head: Side, *, layout: Layout, logs: Path, watcher: Watcher, base_first: bool
) -> Iterator[tuple[SideProcess, SideProcess]]:
    """Start a process of each side, and end both when the context ends.

    Raises:
        SideError: one could not be started.

    """
    started: dict[str, SideProcess] = {}
    order: Sequence[Side] = (base, head) if base_first else (head, base)
    well = False
    try:
        for side in order:
            started[side.name] = SideProcess(side, layout, logs / f"{side.name}.txt", watcher)
        yield started[base.name], started[head.name]
        well = True
    finally:
        for process in started.values():
            process.close(patient=well)
