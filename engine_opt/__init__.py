"""Options-protocol engine: what kind of week it is, what the market does, how far to adjust to its volatility.

Importing this package imports the standard library only, and little of it: names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine_opt.errors import ConfigError, EngineError, InputError, InsufficientData, StateError
    from engine_opt.model import (
        AccountType,
        AdverseMove,
        AdverseMoveLevel,
        ATRAdjustment,
        ATRReading,
        ATRRegime,
        Bar,
        Direction,
        MarketAnalysis,
        MarketCondition,
        MarketConditionKind,
        MarketMetrics,
        MarketRegime,
        MarketRiskLevel,
        MomentumStrength,
        MovementCategory,
        Position,
        Reference,
        RiskLevel,
        VolatilityRegime,
        WeekClassification,
        WeekContext,
        WeekType,
    )
    from engine_opt.protocol.atr_adjustment import Account, ATRAdjustmentSystem, ATRConfig, adverse_move
    from engine_opt.protocol.market_condition_analyzer import MarketConditionAnalyzer, MarketStream
    from engine_opt.protocol.market_scoring import MarketConfig
    from engine_opt.protocol.week_classifier import (
        Evaluation,
        Ladder,
        WeekClassifier,
        WeekPrior,
        WeekRules,
        evaluate,
    )

__all__ = [
    "ATRAdjustment",
    "ATRAdjustmentSystem",
    "ATRConfig",
    "ATRReading",
    "ATRRegime",
    "Account",
    "AccountType",
    "AdverseMove",
    "AdverseMoveLevel",
    "Bar",
    "ConfigError",
    "Direction",
    "EngineError",
    "Evaluation",
    "InputError",
    "InsufficientData",
    "Ladder",
    "MarketAnalysis",
    "MarketCondition",
    "MarketConditionAnalyzer",
    "MarketConditionKind",
    "MarketConfig",
    "MarketMetrics",
    "MarketRegime",
    "MarketRiskLevel",
    "MarketStream",
    "MomentumStrength",
    "MovementCategory",
    "Position",
    "Reference",
    "RiskLevel",
    "StateError",
    "VolatilityRegime",
    "WeekClassification",
    "WeekClassifier",
    "WeekContext",
    "WeekPrior",
    "WeekRules",
    "WeekType",
    "adverse_move",
    "evaluate",
]

_ELSEWHERE = {
    "ATRAdjustmentSystem": "engine_opt.protocol.atr_adjustment",
    "ATRConfig": "engine_opt.protocol.atr_adjustment",
    "Account": "engine_opt.protocol.atr_adjustment",
    "ConfigError": "engine_opt.errors",
    "EngineError": "engine_opt.errors",
    "Evaluation": "engine_opt.protocol.week_classifier",
    "InputError": "engine_opt.errors",
    "InsufficientData": "engine_opt.errors",
    "Ladder": "engine_opt.protocol.week_classifier",
    "MarketConditionAnalyzer": "engine_opt.protocol.market_condition_analyzer",
    "MarketConfig": "engine_opt.protocol.market_scoring",
    "MarketStream": "engine_opt.protocol.market_condition_analyzer",
    "StateError": "engine_opt.errors",
    "WeekClassifier": "engine_opt.protocol.week_classifier",
    "WeekPrior": "engine_opt.protocol.week_classifier",
    "WeekRules": "engine_opt.protocol.week_classifier",
    "adverse_move": "engine_opt.protocol.atr_adjustment",
    "evaluate": "engine_opt.protocol.week_classifier",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "engine_opt.model")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
