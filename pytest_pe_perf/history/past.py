"""What a report shows of a history: the runs that led to the one at hand, and what became of its rows in them."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from pytest_pe_perf.model import Key, Past, PastRun

from .interface import HistoryStore
from .record import About

# So many runs at most are shown.
RUNS = 500


def recall(history: HistoryStore, environment: str, keys: Iterable[Key], limit: int = RUNS) -> Past:
    """Return what a history holds of the rows, up to the newest run of ``environment``.

    Raises:
        HistoryError: the history cannot be read.

    """
    runs = leading(history.runs(), environment, limit)
    shown = tuple(PastRun(run.started, run.environment, run.context) for run in runs)
    with _uncollected():
        return Past(shown, history.courses(runs, keys))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the collector from looking through a million points that are being read, of which none is garbage."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def leading(runs: Sequence[About], environment: str, limit: int = RUNS) -> list[About]:
    """Return the newest ``limit`` runs of an environment, the oldest first, after what was measured before its first one.

    A history that goes on elsewhere, with a new Python or on a new machine, is one history; what other environments
    measure at the same time is another.
    """
    own = [run for run in runs if run.environment == environment]
    before = [run for run in runs if own and run.started < own[0].started]
    return [*before, *own][-limit:]
