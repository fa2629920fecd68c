"""Reading that may take its time, in threads beside the event loop: with a limit on how long, and on how much at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from engine_opt.errors import EngineError
from engine_opt.monitoring.dashboard.openapi import Refused

__all__ = ["Reader"]

T = TypeVar("T")


class Reader:
    """Calls functions in threads, for an event loop that must not wait.

    `what` names what is read in errors. A reading that takes longer than `limit` seconds is given up, but goes on in
    its thread: it counts as one of the `waiting` that may be under way until it ends, so that what hangs cannot pile up.
    """

    def __init__(self, what: str, *, threads: int, waiting: int, limit: float) -> None:
        self._what, self._most, self._limit = what, waiting, limit
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=what.replace(" ", "-"))
        self._busy = 0

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """Return what the function does. Raises Refused, with 503, where it fails, or not in time."""
        if self._busy >= self._most:
            raise self._refused(f"{self._busy} readings have not ended yet")
        future = asyncio.get_running_loop().run_in_executor(self._pool, function, *args)
        self._busy += 1
        future.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(self._limit):
                return await asyncio.shield(future)
        except TimeoutError:
            raise self._refused(f"no answer within {self._limit:g} s") from None
        except (EngineError, OSError) as error:
            raise self._refused(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Start no more readings."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ended(self, future: asyncio.Future[Any]) -> None:
        self._busy -= 1
        if not future.cancelled():
            future.exception()  # of one that was given up, nobody asks any more

    def _refused(self, seen: str) -> Refused:
        return Refused(503, f"{self._what} cannot be read", seen, "ask again later, and see /api/v1/health")
