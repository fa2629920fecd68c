"""Options-protocol engine: bars of a symbol in, a decision that explains itself out.

Importing this package imports the standard library only, and little of it: names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine_opt.config import EngineConfig
    from engine_opt.engine import ProtocolEngine
    from engine_opt.errors import ConfigError, EngineError, FileError, InputError, InsufficientData, StateError
    from engine_opt.explanation import Explanation, explain
    from engine_opt.model import (
        AccountType,
        Action,
        AdverseMove,
        AdverseMoveLevel,
        ATRAdjustment,
        ATRReading,
        ATRRegime,
        AutonomyMode,
        Bar,
        Book,
        DecisionKind,
        DecisionStatus,
        Direction,
        EngineDecision,
        HumanAnswer,
        MarketAnalysis,
        MarketCondition,
        MarketConditionKind,
        MarketMetrics,
        MarketRegime,
        MarketRiskLevel,
        MomentumStrength,
        MovementCategory,
        Override,
        Position,
        Reference,
        Resolution,
        RiskLevel,
        RuleOutcome,
        RulePriority,
        RuleResult,
        RulesReport,
        TradeContext,
        TradeDecision,
        TrustAssessment,
        TrustComponent,
        TrustLevel,
        TrustOutcome,
        TrustRequest,
        TrustResolution,
        Verdict,
        VolatilityRegime,
        WeekClassification,
        WeekColour,
        WeekContext,
        WeekRequest,
        WeekType,
    )
    from engine_opt.optimizations import EngineOptimizations
    from engine_opt.protocol.atr_adjustment import Account, ATRAdjustmentSystem, ATRConfig, adverse_move
    from engine_opt.protocol.decision_providers import (
        CallbackProvider,
        DecisionProvider,
        QueueProvider,
        ScriptedProvider,
    )
    from engine_opt.protocol.hitl_trust import HITLTrustSystem
    from engine_opt.protocol.market_condition_analyzer import MarketConditionAnalyzer, MarketStream
    from engine_opt.protocol.market_scoring import MarketConfig
    from engine_opt.protocol.planning import PlanConfig
    from engine_opt.protocol.rules_config import AccountLimits, ColourLimits, Rule, RulesConfig, SymbolLimits
    from engine_opt.protocol.trading_protocol_rules import TradingProtocolRulesEngine
    from engine_opt.protocol.trust_config import TrustConfig
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
    "AccountLimits",
    "AccountType",
    "Action",
    "AdverseMove",
    "AdverseMoveLevel",
    "AutonomyMode",
    "Bar",
    "Book",
    "CallbackProvider",
    "ColourLimits",
    "ConfigError",
    "DecisionKind",
    "DecisionProvider",
    "DecisionStatus",
    "Direction",
    "EngineConfig",
    "EngineDecision",
    "EngineError",
    "EngineOptimizations",
    "Evaluation",
    "Explanation",
    "FileError",
    "HITLTrustSystem",
    "HumanAnswer",
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
    "Override",
    "PlanConfig",
    "Position",
    "ProtocolEngine",
    "QueueProvider",
    "Reference",
    "Resolution",
    "RiskLevel",
    "Rule",
    "RuleOutcome",
    "RulePriority",
    "RuleResult",
    "RulesConfig",
    "RulesReport",
    "ScriptedProvider",
    "StateError",
    "SymbolLimits",
    "TradeContext",
    "TradeDecision",
    "TradingProtocolRulesEngine",
    "TrustAssessment",
    "TrustComponent",
    "TrustConfig",
    "TrustLevel",
    "TrustOutcome",
    "TrustRequest",
    "TrustResolution",
    "Verdict",
    "VolatilityRegime",
    "WeekClassification",
    "WeekClassifier",
    "WeekColour",
    "WeekContext",
    "WeekPrior",
    "WeekRequest",
    "WeekRules",
    "WeekType",
    "adverse_move",
    "evaluate",
    "explain",
]

_ELSEWHERE = {
    "ATRAdjustmentSystem": "engine_opt.protocol.atr_adjustment",
    "ATRConfig": "engine_opt.protocol.atr_adjustment",
    "Account": "engine_opt.protocol.atr_adjustment",
    "AccountLimits": "engine_opt.protocol.rules_config",
    "CallbackProvider": "engine_opt.protocol.decision_providers",
    "ColourLimits": "engine_opt.protocol.rules_config",
    "ConfigError": "engine_opt.errors",
    "DecisionProvider": "engine_opt.protocol.decision_providers",
    "EngineConfig": "engine_opt.config",
    "EngineError": "engine_opt.errors",
    "EngineOptimizations": "engine_opt.optimizations",
    "Evaluation": "engine_opt.protocol.week_classifier",
    "Explanation": "engine_opt.explanation",
    "FileError": "engine_opt.errors",
    "HITLTrustSystem": "engine_opt.protocol.hitl_trust",
    "InputError": "engine_opt.errors",
    "InsufficientData": "engine_opt.errors",
    "Ladder": "engine_opt.protocol.week_classifier",
    "MarketConditionAnalyzer": "engine_opt.protocol.market_condition_analyzer",
    "MarketConfig": "engine_opt.protocol.market_scoring",
    "MarketStream": "engine_opt.protocol.market_condition_analyzer",
    "PlanConfig": "engine_opt.protocol.planning",
    "ProtocolEngine": "engine_opt.engine",
    "QueueProvider": "engine_opt.protocol.decision_providers",
    "Rule": "engine_opt.protocol.rules_config",
    "RulesConfig": "engine_opt.protocol.rules_config",
    "ScriptedProvider": "engine_opt.protocol.decision_providers",
    "StateError": "engine_opt.errors",
    "SymbolLimits": "engine_opt.protocol.rules_config",
    "TradingProtocolRulesEngine": "engine_opt.protocol.trading_protocol_rules",
    "TrustConfig": "engine_opt.protocol.trust_config",
    "WeekClassifier": "engine_opt.protocol.week_classifier",
    "WeekPrior": "engine_opt.protocol.week_classifier",
    "WeekRules": "engine_opt.protocol.week_classifier",
    "adverse_move": "engine_opt.protocol.atr_adjustment",
    "evaluate": "engine_opt.protocol.week_classifier",
    "explain": "engine_opt.explanation",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "engine_opt.model")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
