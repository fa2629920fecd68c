"""Who has the last word about many requests: `HITLTrustSystem.assess` over columns.

Trust is read from a saved state. How far a component is trusted depends on the moment, because old outcomes are forgotten:
bounds are worked out once for each moment that differs, by the cells of the scalar form, and not at all where nothing
has been recorded yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine_opt.batch.columns import Codes, Flags, Floats, Times, moment
from engine_opt.errors import InputError
from engine_opt.model import AutonomyMode, DecisionKind, TrustLevel, TrustPhase
from engine_opt.protocol.hitl_trust import GUARDED_PHASES, LOW_TRUST, HITLTrustSystem
from engine_opt.protocol.trust_cells import FIELDS, Cell, Judgement
from engine_opt.protocol.trust_config import TrustConfig

KINDS, LEVELS, MODES = tuple(DecisionKind), tuple(TrustLevel), tuple(AutonomyMode)
AUTOMATIC = np.uint8(MODES.index(AutonomyMode.AUTOMATIC))
_APPROVAL, _HUMAN = (np.uint8(MODES.index(each)) for each in (AutonomyMode.APPROVAL, AutonomyMode.HUMAN))
_EMERGENCY = KINDS.index(DecisionKind.EMERGENCY_ACTION)
_SECOND = 1e6  # in microseconds


class Asked(NamedTuple):
    """Requests, a row each: the fields of TrustRequest; `impact` is NaN where it is not known.

    `row` is what the caller calls each row, for errors.
    """

    row: NDArray[np.intp]
    kind: Codes
    confidence: Floats
    now: Times
    aware: bool
    impact: Floats
    recovery: Flags
    risk_breach: Flags


class TrustColumns(NamedTuple):
    """Assessments, a row each: level in force, mode, and a lower bound for each component of the kind, the rest NaN."""

    level: Codes
    mode: Codes
    lower_bounds: Floats


class _Standing(NamedTuple):
    """How far the components of a kind of decision are trusted, a column per moment."""

    level: Codes
    phase: Codes
    least: Floats
    bounds: Floats


class TrustCells:
    """The cells of a saved state, by kind of decision, under one configuration."""

    def __init__(self, config: TrustConfig, state: Mapping[str, Any]) -> None:
        """Take a state that `HITLTrustSystem.save` returned; raises StateError where it does not fit `config`."""
        self._config = config
        HITLTrustSystem.restore(config, state)  # everything is checked there
        self._aware: bool | None = state["aware"]
        judgement = Judgement(config)
        cells = {(kind, component): Cell(judgement) for kind in KINDS for component in config.components[kind]}
        for saved in state["cells"]:
            cell = cells[DecisionKind(saved["kind"]), saved["component"]]
            cell.restore({name: saved[name] for name in FIELDS})
        self._cells = [[cells[kind, component] for component in config.components[kind]] for kind in KINDS]
        self._width = max(map(len, self._cells))
        self._thresholds = np.array([config.thresholds[phase] for phase in TrustPhase]).T
        # A component without an outcome is trusted alike at any moment.
        self._moving = [any(cell.outcomes for cell in each) for each in self._cells]
        still = [self._standing(each, [max(cell.last for cell in each)]) for each in self._cells]
        joined: Any = [np.concatenate(column, axis=-1) for column in zip(*still, strict=True)]
        self._still = _Standing(*joined)

    def assess(self, asked: Asked) -> TrustColumns:
        """Return the assessment of each request. Raises InputError for a moment before an outcome that is known."""
        if len(asked.kind) and self._aware is not None and self._aware is not asked.aware:
            kind_of_time = "aware" if self._aware else "naive"
            raise _refusal(asked, 0, f"the outcomes so far have {kind_of_time} times: use that kind throughout")
        columns: list[Any] = [column.take(asked.kind, axis=-1) for column in self._still]
        for kind in np.flatnonzero(np.bincount(asked.kind, minlength=len(KINDS))).tolist():
            if self._moving[kind]:
                rows = np.flatnonzero(asked.kind == kind)
                moments, of_row = np.unique(asked.now[rows], return_inverse=True)
                seconds = moments.astype(np.int64) / _SECOND
                if seconds[0] < max(cell.last for cell in self._cells[kind] if cell.outcomes):
                    why = "an outcome after it is already known: trust is not asked about the past"
                    raise _refusal(asked, int(rows[np.argmin(of_row)]), why)
                standing = self._standing(self._cells[kind], seconds.tolist())
                for column, values in zip(columns, list[Any](standing), strict=True):
                    column[..., rows] = values[..., of_row]
        found = _Standing(*columns)
        return TrustColumns(found.level, self._modes(asked, found), found.bounds.T)

    def _standing(self, cells: list[Cell], moments: list[float]) -> _Standing:
        """Return how far the components are trusted at moments in seconds since 1970, none before an outcome."""
        config = self._config
        bounds = np.full((self._width, len(moments)), np.nan)
        rank = np.full(len(moments), len(LEVELS) - 1)
        for column, second in enumerate(moments):
            twin = None
            for row, cell in enumerate(cells):
                bounds[row, column] = cell.bound_at(second, twin)
                twin = cell
        own = bounds[: len(cells)]
        for cell, bound in zip(cells, own, strict=True):
            in_force = np.searchsorted(config.level_bounds, bound, side="right")
            rank = np.minimum(rank, np.minimum(in_force, cell.level))
        learnt = min(cell.right for cell in cells) >= config.learning_after
        phase = np.where((rank > LOW_TRUST) & learnt, rank - 1, 0)
        return _Standing(rank.astype(np.uint8), phase.astype(np.uint8), own.min(axis=0), bounds)

    def _modes(self, asked: Asked, found: _Standing) -> Codes:
        """Return who has the last word, by the limits of the configuration: the steps of the scalar gate."""
        config, confidence, phase = self._config, asked.confidence, found.phase
        forbidden = found.level <= LOW_TRUST
        if forbidden.all():
            return np.full(len(forbidden), _HUMAN)
        mode = np.zeros(len(forbidden), np.uint8)
        for limits in self._thresholds:
            mode += confidence < limits.take(phase)
        forbidden |= (asked.kind == _EMERGENCY) | (asked.risk_breach & (phase < GUARDED_PHASES))
        forbidden |= (confidence < config.human_confidence) | (found.least < config.human_bound)
        restrained = asked.recovery | (confidence < config.approval_confidence)
        restrained |= asked.impact > config.approval_impact  # not known is above nothing
        mode = np.maximum(mode, np.where(restrained, _APPROVAL, AUTOMATIC))
        return np.where(forbidden, _HUMAN, mode)


def _refusal(asked: Asked, index: int, why: str) -> InputError:
    now = moment(asked.now[index], utc=asked.aware)
    return InputError(f"now[{int(asked.row[index])}]", now, why)
