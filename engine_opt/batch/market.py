"""What the market did, session by session: `MarketConditionAnalyzer` over columns, many configurations at a time.

    columns = analyze(Bars.of(bars), vix)
    members(MarketConditionKind, columns.condition), columns.score, columns.row(-1)

Row i equals what a MarketStream answers after bar i. The first 34 rows have no answer: `first` says where answers begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from engine_opt.batch.columns import (
    UNKNOWN,
    Bars,
    Codes,
    Floats,
    Times,
    float_column,
    joined_bars,
    moment,
    require_bars,
)
from engine_opt.batch.market_metrics import Memory, MetricsColumns, Part
from engine_opt.batch.market_scoring import (
    CONDITIONS,
    DIRECTIONS,
    REGIMES,
    RISKS,
    STRENGTHS,
    VOLATILITIES,
    assess,
)
from engine_opt.batch.ranks import Centres, SharedCentres
from engine_opt.batch.rows import part_of
from engine_opt.errors import InputError, InsufficientData
from engine_opt.model import MarketAnalysis
from engine_opt.protocol.market_condition_analyzer import CLOSES_NEEDED
from engine_opt.protocol.market_scoring import MarketConfig, class_centres
from engine_opt.protocol.market_scoring import assess as assess_one

_PART = 8192  # sessions at a time: their columns stay in the cache
_CODED: dict[str, tuple[Any, ...]] = {
    "condition": CONDITIONS,
    "regime": REGIMES,
    "risk_level": RISKS,
    "volatility_regime": VOLATILITIES,
    "trend": DIRECTIONS,
    "momentum_strength": STRENGTHS,
}


@dataclass(frozen=True, slots=True, eq=False)
class MarketColumns:
    """What the market analyzer answers, a row per session; the columns are named like the fields of MarketAnalysis.

    Rows before `first` have no answer: codes are UNKNOWN, numbers NaN, points 255. `seen` counts the sessions of earlier
    chunks. `weights` is n x 3, `distribution` n x 7.
    """

    time: Times
    condition: Codes
    regime: Codes
    confidence: Floats
    score: Floats
    weights: Floats
    distribution: Floats
    risk_level: Codes
    risk_points: Codes
    volatility_regime: Codes
    trend: Codes
    momentum_strength: Codes
    metrics: MetricsColumns
    scoring: str
    first: int
    seen: int
    utc: bool

    def __len__(self) -> int:
        return len(self.condition)

    def row(self, index: int) -> MarketAnalysis:
        """Return the scalar record of one session. Raises InsufficientData for one of the first 34."""
        index = range(len(self))[index]
        if index < self.first:
            raise InsufficientData(CLOSES_NEEDED, self.seen + index + 1, "bars")
        return MarketAnalysis(
            moment(self.time[index], utc=self.utc),
            CONDITIONS[self.condition[index]],
            REGIMES[self.regime[index]],
            float(self.confidence[index]),
            float(self.score[index]),
            tuple(self.weights[index].tolist()),
            tuple(self.distribution[index].tolist()),
            RISKS[self.risk_level[index]],
            int(self.risk_points[index]),
            VOLATILITIES[self.volatility_regime[index]],
            DIRECTIONS[self.trend[index]],
            STRENGTHS[self.momentum_strength[index]],
            self.metrics.row(index),
            self.scoring,
        )


def analyze(bars: Bars, vix: ArrayLike | None = None, config: MarketConfig | None = None) -> MarketColumns:
    """Return the analysis at the close of every bar of one symbol.

    `vix` holds the index at the close of each bar, NaN where it is not known. Raises InputError for values that cannot be,
    and where the original scoring lacks a VIX.
    """
    return analyze_many(bars, vix, [MarketConfig() if config is None else config])[0]


def analyze_many(bars: Bars, vix: ArrayLike | None, configs: Iterable[MarketConfig]) -> tuple[MarketColumns, ...]:
    """Return the analyses by each of the configurations; the indicators that they share are worked out once."""
    wanted = tuple(configs)
    return _analyzed(Memory(wanted, Centres()), bars, vix, wanted) if wanted else ()


def analyze_together(
    series: Sequence[tuple[Bars, ArrayLike | None]], configs: Sequence[MarketConfig]
) -> list[tuple[MarketColumns, ...]]:
    """Return the analyses of several symbols, not too long, as one series: `analyze_many` of each, to the last bit.

    Errors count the rows of all symbols. Where VIX is the same, its medians are worked out once.
    """
    if len(series) == 1 or not configs:
        return [analyze_many(bars, vix, configs) for bars, vix in series]
    memory = Memory(tuple(configs), SharedCentres())
    ends = np.cumsum([len(bars) for bars, _ in series]).tolist()
    spans = [slice(end - len(bars), end) for end, (bars, _) in zip(ends, series, strict=True)]
    fears = np.concatenate([_vix(vix, bars) for bars, vix in series])
    part = Part(joined_bars([bars for bars, _ in series]), fears, memory, spans)
    found = [_judged(part, config, 0) for config in configs]
    return [tuple(_of_one(each, bars, span) for each in found) for span, (bars, _) in zip(spans, series, strict=True)]


def _of_one(columns: MarketColumns, bars: Bars, span: slice) -> MarketColumns:
    """Return the rows of one of several symbols."""
    first = min(CLOSES_NEEDED - 1, len(bars))
    metrics = part_of(columns.metrics, span)
    return part_of(columns, span, time=bars.time, metrics=metrics, first=first, utc=bars.utc)


def analyze_chunks(
    chunks: Iterable[tuple[Bars, ArrayLike | None]], config: MarketConfig | None = None
) -> Iterator[MarketColumns]:
    """Yield the analysis of each chunk of one symbol's bars, given as (bars, vix), in order.

    Between chunks, 64 bars, a few averages and `vix_window` values of VIX are kept. Enumerations come out as from one
    call, numbers to twelve digits. Raises InputError also for a chunk that does not go on after the one before.
    """
    settings = (MarketConfig() if config is None else config,)
    memory = Memory(settings, Centres())
    for bars, vix in chunks:
        memory.require_next(require_bars(bars))
        yield _analyzed(memory, bars, vix, settings)[0]


def _analyzed(
    memory: Memory, bars: Bars, vix: ArrayLike | None, configs: tuple[MarketConfig, ...]
) -> tuple[MarketColumns, ...]:
    fears = _vix(vix, require_bars(bars))
    pieces = []
    for start in range(0, max(len(bars), 1), _PART):
        part = memory.take(bars.part(start, start + _PART), fears[start : start + _PART])
        pieces.append([_judged(part, config, start) for config in configs])
    return tuple(_joined([piece[i] for piece in pieces]) for i in range(len(configs)))


def _vix(vix: ArrayLike | None, bars: Bars) -> Floats:
    column = float_column("vix", vix, optional=True)
    if column.ndim and len(column) != len(bars):
        raise InputError("vix", len(column), f"there are {len(bars)} bars: give one value, or NaN, for each")
    column = np.broadcast_to(column, (len(bars),))
    bad = ~((column > 0.0) & (column < np.inf) | np.isnan(column))
    if bad.any():
        index = int(np.argmax(bad))
        raise InputError(f"vix[{index}]", float(column[index]), "it must be finite and greater than 0, or NaN")
    return column


def _judged(part: Part, config: MarketConfig, start: int) -> MarketColumns:
    """Return the analysis of one part, whose first row is row `start` of what the caller gave."""
    metrics = part.metrics(config)
    first = part.gaps[0].stop if len(part.spans) == 1 and part.gaps else 0
    columns: dict[str, Any] = assess(metrics, config, first, start, exact_volumes=part.whole_volumes)._asdict()
    close_calls = columns.pop("close_calls")
    for gap in part.gaps:
        for column in columns.values():
            column[gap] = UNKNOWN if column.dtype == np.uint8 else np.nan
    bars = part.bars
    context: dict[str, Any] = {"scoring": config.scoring, "first": first, "seen": part.seen, "utc": bars.utc}
    result = MarketColumns(bars.time, **columns, metrics=metrics, **context)
    for index in close_calls.tolist():
        _call(result, part, config, index)
    return result


def _call(columns: MarketColumns, part: Part, config: MarketConfig, index: int) -> None:
    """Replace one row by the answer of the scalar form: something in it is as good as on a limit."""
    exact = part.exact(index, config, columns.metrics)
    answer = assess_one(part.bars.when(index), exact, config, class_centres(config.cuts))
    for name, kind in _CODED.items():
        getattr(columns, name)[index] = kind.index(getattr(answer, name))
    for name in ("confidence", "score", "weights", "distribution", "risk_points"):
        getattr(columns, name)[index] = getattr(answer, name)
    for name in part.windowed:
        getattr(columns.metrics, name)[index] = _number(getattr(exact, name))


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _joined(pieces: list[MarketColumns]) -> MarketColumns:
    """Return the columns of all pieces after one another."""
    if len(pieces) == 1:
        return pieces[0]
    head = pieces[0]
    return replace(
        head,
        **_stacked(pieces),
        metrics=MetricsColumns(**_stacked([piece.metrics for piece in pieces])),
        first=sum(
            piece.first for piece in pieces
        ),  # a later piece has a row without an answer only if all before it had
    )


def _stacked(pieces: Sequence[MarketColumns] | Sequence[MetricsColumns]) -> dict[str, Any]:
    names = [field.name for field in fields(pieces[0]) if isinstance(getattr(pieces[0], field.name), np.ndarray)]
    return {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names}
