"""The load in a process of its own, which is started anew where it ends before it is told to."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import click

__all__ = ["KeptLoad"]

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
"""Seconds before a load is started anew that has ended soon, again and again; twice as many each time."""

SOON = 5.0
"""Seconds after which the end of a load says nothing about the next one: it is started at once."""

LONGEST_STOP = 5.0
"""Seconds in which a load may end by itself."""


class KeptLoad:
    """Keeps a load at work as long as its `with` block lasts; see `load.main` for what it is told.

    The load ends when its input does, so it does not outlive this process, however that ends.
    """

    def __init__(self, store: str, rate: float, interval: float, slow_while: Path | None) -> None:
        told = [store, repr(rate), repr(interval), *([] if slow_while is None else [str(slow_while)])]
        self._command: Sequence[str] = (sys.executable, "-m", "engine_opt.cli.load", *told)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with self._lock:
            process = self._process
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(LONGEST_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
        self._thread.join()

    def _keep(self) -> None:
        pause = 0.0
        while (process := self._start()) is not None:
            began = time.monotonic()
            status = process.wait()
            if self._over.is_set():
                return
            assert process.stdin is not None
            process.stdin.close()
            click.echo(f"the load has ended with status {status}: starting it anew", err=True)
            if time.monotonic() - began > SOON:
                pause = 0.0
            self._over.wait(pause)
            pause = min(max(2 * pause, SHORTEST_PAUSE), LONGEST_PAUSE)

    def _start(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._over.is_set():
                return None
            # A session of its own: a Ctrl-C in the terminal gets to it from us alone.
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
            )
            return self._process
