"""Many symbols and many configurations at once, on any executor: threads, processes, or a cluster.

    with ProcessPoolExecutor() as executor:
        found = decide_all({"AAPL": (bars, vix, requests)}, configs, executor)

What comes out depends on what goes in and on nothing else: not on the executor, the number of its workers, or who is done
first. Nothing is shared between tasks, and nothing is kept.

Without an executor symbols with few rows are done together, up to some thousand rows at a time. Their columns are parts
of the same arrays, which stay as long as one of them is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple, TypeAlias

from numpy.typing import ArrayLike

from engine_opt.batch.columns import Bars
from engine_opt.batch.decisions import DecisionColumns, decide_from, decide_together, saved_trust, stock_of
from engine_opt.batch.requests import Requests
from engine_opt.config import EngineConfig
from engine_opt.errors import EngineError, InputError
from engine_opt.protocol.hitl_trust import HITLTrustSystem

Series: TypeAlias = tuple[Bars, ArrayLike | None, Requests]
"""The bars of a symbol, VIX at their closes if it is known, and what is asked about them."""

PER_TASK = 8  # configurations: enough to share the indicators, few enough to keep all workers busy
_TOGETHER = 16_384  # rows, or sessions: their columns stay in the cache


class _Task(NamedTuple):
    """One symbol, and some of the configurations."""

    symbol: str
    configs: tuple[EngineConfig, ...]
    series: Series
    trust: Mapping[str, Any]


def decide_all(
    series: Mapping[str, Series],
    configs: Iterable[EngineConfig],
    executor: Executor | None = None,
    trust: HITLTrustSystem | None = None,
    *,
    per_task: int = PER_TASK,
) -> dict[str, tuple[DecisionColumns, ...]]:
    """Return the decisions about each symbol by each configuration, in the order of both.

    A task is a symbol and at most `per_task` configurations; without an executor it is a symbol and all of them, and the
    tasks are done here. The first task that fails, in their order, has its error raised with the symbol as a note; the
    rest is cancelled. The executor stays open. On a cluster a task whose worker is lost is done again by another.
    """
    if type(per_task) is not int or per_task < 1:
        raise InputError("per_task", per_task, "it must be a whole number of at least 1")
    every, state = tuple(configs), saved_trust(trust)
    each = per_task if executor else max(len(every), 1)
    tasks = [
        _Task(symbol, every[start : start + each], _checked(symbol, given), state)
        for symbol, given in series.items()
        for start in range(0, len(every), each)
    ]
    found: dict[str, tuple[DecisionColumns, ...]] = dict.fromkeys(series, ())
    answers = _done_here(tasks) if executor is None else _done_by(executor, tasks)
    for task, columns in zip(tasks, answers, strict=True):
        found[task.symbol] += columns
    return found


def _checked(symbol: str, given: object) -> Series:
    if not isinstance(given, tuple) or len(given) != 3:
        raise InputError(f"series[{symbol!r}]", type(given).__name__, "it must be a tuple of bars, VIX and requests")
    bars, vix, requests = given
    return bars, vix, requests


def _done_here(tasks: list[_Task]) -> Iterator[tuple[DecisionColumns, ...]]:
    for group in _groups(tasks):
        try:
            stocks = [stock_of(*task.series, task.symbol) for task in group]
            found = decide_together(stocks, group[0].configs, group[0].trust)
        except EngineError:
            found = [_alone(task) for task in group]  # one of them raises it again, and knows its own rows
        yield from found


def _groups(tasks: list[_Task]) -> Iterator[list[_Task]]:
    """Yield the tasks that can be done together: moments of one kind, and not too many rows."""
    group: list[_Task] = []
    rows, kind = 0, None
    for task in tasks:
        bars, _, requests = task.series
        good = isinstance(bars, Bars) and isinstance(requests, Requests)
        own = bars.utc or requests.utc if good else None
        more = max(len(bars), len(requests)) if good else _TOGETHER
        if group and (own is None or own is not kind or rows + more > _TOGETHER):
            yield group
            group, rows = [], 0
        group.append(task)
        rows, kind = rows + more, own
    if group:
        yield group


def _alone(task: _Task) -> tuple[DecisionColumns, ...]:
    try:
        return _decide(task)
    except Exception as error:
        error.add_note(_place(task))
        raise


def _done_by(executor: Executor, tasks: list[_Task]) -> list[tuple[DecisionColumns, ...]]:
    futures: list[Future[tuple[DecisionColumns, ...]]] = []
    try:
        for task in tasks:
            futures.append(executor.submit(_decide, task))  # noqa: PERF401 - those before one that is refused are kept
        return [_result(task, future) for task, future in zip(tasks, futures, strict=True)]
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def _result(task: _Task, future: Future[tuple[DecisionColumns, ...]]) -> tuple[DecisionColumns, ...]:
    try:
        return future.result()
    except Exception as error:
        error.add_note(_place(task))
        raise


def _decide(task: _Task) -> tuple[DecisionColumns, ...]:
    """Do one task: a function of its argument alone, in whatever process."""
    return decide_from(*task.series, task.configs, task.trust, task.symbol)


def _place(task: _Task) -> str:
    return f"while deciding about symbol {task.symbol!r}"
