"""The plain engine, as a textbook would write it: what the fast one is checked against, and the "before" of its speed.

Every answer is worked out from the whole history, each formula and table is written where it is used, nothing is kept
between two calls. It shares with the fast engine the records and the configurations, as plain data, and no decision.
The two agree: words exactly, numbers to twelve digits. It checks little of what it is given, the records do that; and
nobody needs it to trade.

Each name stands for a part of the fast engine: `decide` for ProtocolEngine, `classify_week` for WeekClassifier,
`analyze` for MarketConditionAnalyzer, `measure` and `adjust` for ATRAdjustmentSystem, `validate` for
TradingProtocolRulesEngine, `PlainTrust` for HITLTrustSystem, `plan_trade` for the plan between them.
"""

from __future__ import annotations

from engine_opt.reference.atr import adjust, measure
from engine_opt.reference.engine import decide
from engine_opt.reference.market import analyze
from engine_opt.reference.plan import plan as plan_trade  # `plan` is the module, and stays so
from engine_opt.reference.rules import validate
from engine_opt.reference.trust import PlainTrust
from engine_opt.reference.week import classify_week

__all__ = ["PlainTrust", "adjust", "analyze", "classify_week", "decide", "measure", "plan_trade", "validate"]
