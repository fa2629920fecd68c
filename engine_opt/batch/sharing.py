"""What configurations have in common: equal parts get equal numbers, so that what depends on them is worked out once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from engine_opt.config import EngineConfig
from engine_opt.protocol.atr_adjustment import ATRConfig


class Numbers(NamedTuple):
    """What a configuration consists of, as numbers that are the same for equal values."""

    week: int
    market: int
    atr: int
    readings: int
    rules: int
    actions: int
    trust: int
    plan: int


def numbered(configs: Iterable[EngineConfig]) -> list[Numbers]:
    """Return the numbers of each configuration."""
    known: dict[str, list[object]] = {}

    def number(section: str, value: object) -> int:
        values = known.setdefault(section, [])
        for index, each in enumerate(values):
            if each is value or each == value:
                return index
        values.append(value)
        return len(values) - 1

    return [
        Numbers(
            number("week", each.week),
            number("market", each.market),
            number("atr", each.atr),
            number("readings", _measured_by(each.atr)),
            number("rules", each.rules),
            number("actions", each.rules.actions),
            number("trust", each.trust),
            number("plan", each.plan),
        )
        for each in configs
    ]


def _measured_by(config: ATRConfig) -> tuple[object, ...]:
    """Return what of a configuration readings depend on; all else only adjusts to them."""
    return (
        config.smoothing,
        config.periods,
        config.history,
        config.history_needed,
        config.regime_by,
        config.regime_limits,
    )
