"""The words of the engine: enumerations and plain records. No behaviour to speak of, no clock, no disk.

Units, everywhere: movements, expected returns and frequencies are percent points (2.27 means 2.27 %);
volatilities and shares of a price are fractions (0.18 means 18 %), volatilities annualised; delta is in points, 0-100;
days to expiration are calendar days; VIX is in index points.

What comes in is a validated frozen dataclass. What goes out is a NamedTuple: it is immutable as well, and building one
costs a fifth of building a frozen dataclass, which shows when one is built on every bar.
"""

from __future__ import annotations

from engine_opt.model.account import AccountType
from engine_opt.model.atr import AdverseMove, AdverseMoveLevel, ATRAdjustment, ATRReading, ATRRegime
from engine_opt.model.decision import Book, DecisionStatus, EngineDecision, WeekRequest
from engine_opt.model.market import (
    Direction,
    MarketAnalysis,
    MarketConditionKind,
    MarketMetrics,
    MarketRegime,
    MarketRiskLevel,
    MomentumStrength,
    VolatilityRegime,
)
from engine_opt.model.prices import LARGEST_PRICE, LARGEST_VOLUME, LEAST_PRICE, Bar, check_bar, check_symbol
from engine_opt.model.trade import (
    Action,
    Override,
    RuleOutcome,
    RulePriority,
    RuleResult,
    RulesReport,
    TradeContext,
    TradeDecision,
    Verdict,
    WeekColour,
)
from engine_opt.model.trust import (
    AutonomyMode,
    DecisionKind,
    HumanAnswer,
    Resolution,
    TrustAssessment,
    TrustComponent,
    TrustLevel,
    TrustOutcome,
    TrustPhase,
    TrustRequest,
    TrustResolution,
)
from engine_opt.model.week import (
    MarketCondition,
    MovementCategory,
    Position,
    Reference,
    RiskLevel,
    WeekClassification,
    WeekContext,
    WeekType,
)

__all__ = [
    "LARGEST_PRICE",
    "LARGEST_VOLUME",
    "LEAST_PRICE",
    "ATRAdjustment",
    "ATRReading",
    "ATRRegime",
    "AccountType",
    "Action",
    "AdverseMove",
    "AdverseMoveLevel",
    "AutonomyMode",
    "Bar",
    "Book",
    "DecisionKind",
    "DecisionStatus",
    "Direction",
    "EngineDecision",
    "HumanAnswer",
    "MarketAnalysis",
    "MarketCondition",
    "MarketConditionKind",
    "MarketMetrics",
    "MarketRegime",
    "MarketRiskLevel",
    "MomentumStrength",
    "MovementCategory",
    "Override",
    "Position",
    "Reference",
    "Resolution",
    "RiskLevel",
    "RuleOutcome",
    "RulePriority",
    "RuleResult",
    "RulesReport",
    "TradeContext",
    "TradeDecision",
    "TrustAssessment",
    "TrustComponent",
    "TrustLevel",
    "TrustOutcome",
    "TrustPhase",
    "TrustRequest",
    "TrustResolution",
    "Verdict",
    "VolatilityRegime",
    "WeekClassification",
    "WeekColour",
    "WeekContext",
    "WeekRequest",
    "WeekType",
    "check_bar",
    "check_symbol",
]
