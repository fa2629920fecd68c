"""Whether a trade keeps to the protocol: every rule is asked, and what is not known blocks.

    outcome          critical    high                    medium, low
    PASS, SKIP       -           -                       -
    WARN             warning     warning                 warning
    FAIL             rejected    rejected, or overridden warning
    ERROR            rejected    rejected, or overridden rejected, or overridden

The verdict is the worst of them. An override names one rule, a person and a reason, and turns what it overrides into a
warning that is on record. The rule set named `original` reproduces the verdicts of the engine that this one replaces,
for complete decisions; it exists to be compared with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine_opt.errors import InputError
from engine_opt.model import (
    AccountType,
    Action,
    Override,
    RuleOutcome,
    RulePriority,
    RuleResult,
    RulesReport,
    TradeContext,
    TradeDecision,
    Verdict,
)
from engine_opt.protocol.rule_checks import Check, compile_checks
from engine_opt.protocol.rules_config import (
    MONTHLY,
    RULES,
    STANDARD_RULES,
    TRADES,
    WEEKLY,
    AccountLimits,
    ColourLimits,
    Rule,
    RulesConfig,
    SymbolLimits,
)

__all__ = [
    "MONTHLY",
    "RULES",
    "STANDARD_RULES",
    "WEEKLY",
    "AccountLimits",
    "ColourLimits",
    "Rule",
    "RulesConfig",
    "SymbolLimits",
    "TradingProtocolRulesEngine",
]

CACHED = 512  # compiled checks kept: one tuple per action, account and symbol

_PASS, _SKIP, _FAIL, _ERROR = RuleOutcome.PASS, RuleOutcome.SKIP, RuleOutcome.FAIL, RuleOutcome.ERROR
_APPROVED, _WARNING, _REJECTED = Verdict.APPROVED, Verdict.WARNING, Verdict.REJECTED
_CRITICAL, _HIGH = RulePriority.CRITICAL, RulePriority.HIGH
_NO_RESULTS: tuple[RuleResult, ...] = ()
_NO_OVERRIDES: tuple[Override, ...] = ()


class TradingProtocolRulesEngine:
    """Hold decisions against one rule set.

    Immutable but for its counters and a bounded cache of compiled checks; neither changes an answer. Not to be shared
    between threads without a lock, or counts may be lost.
    """

    __slots__ = ("_compiled", "_config", "_counts", "_own", "_rejected", "_validations", "_warned")

    def __init__(self, config: RulesConfig | None = None) -> None:
        self._config = RulesConfig() if config is None else config
        self._own = tuple(_guarded(rule, self._config.priority(rule.name)) for rule in self._config.extra)
        self._compiled: dict[tuple[Action, AccountType, str], tuple[Check, ...]] = {}
        self._counts: dict[str, dict[RuleOutcome, int]] = {
            rule: dict.fromkeys(RuleOutcome, 0) for rule in self._config.names
        }
        self._validations = self._warned = self._rejected = 0

    @property
    def config(self) -> RulesConfig:
        """The rule set in use."""
        return self._config

    def validate(
        self, decision: TradeDecision, context: TradeContext, overrides: Iterable[Override] = ()
    ) -> RulesReport:
        """Return what every rule says of `decision`, and the verdict.

        Raises InputError for an option that has expired, and for an override of a rule that is not there or does not
        block; a critical rule stays what it is, whoever overrides it.
        """
        if type(decision) is not TradeDecision:
            raise InputError("decision", decision, "it must be an engine_opt.TradeDecision")
        if type(context) is not TradeContext:
            raise InputError("context", context, "it must be an engine_opt.TradeContext")
        key = action, account, symbol = decision.action, decision.account, decision.symbol
        expiration = decision.expiration
        if expiration is not None and expiration < context.today and action in TRADES:
            raise InputError("expiration", expiration, f"it is before today, {context.today}: the option has expired")
        results = tuple([ask(decision, context) for ask in self._compiled.get(key) or self._compile(key)])
        self._validations += 1
        counts, breaches = self._counts, []
        for result in results:
            outcome = result[1]
            if outcome is not _PASS:
                counts[result[0]][outcome] += 1
                if outcome is not _SKIP:
                    breaches.append(result)
        verdict, blocking, used = _APPROVED, _NO_RESULTS, _NO_OVERRIDES
        if overrides:
            results, breaches, used = self._overridden(results, overrides)
        if breaches:
            blocking = tuple([result for result in breaches if self._blocks(result)])
            if blocking:
                verdict = _REJECTED
                self._rejected += 1
            else:
                verdict = _WARNING
                self._warned += 1
        return RulesReport(
            verdict,
            verdict is not _REJECTED,
            results,
            used,
            blocking,
            action,
            symbol,
            account,
            decision.quantity,
            self._config.name,
        )

    def stats(self) -> Mapping[str, float]:
        """Return how many decisions there were, in all and by verdict, and the sets of compiled checks that are held.

        Of each rule: runs (not skipped), failures and errors, warnings.
        """
        found: dict[str, float] = {
            "validations": self._validations,
            "compiled": len(self._compiled),
            f"verdicts.{_APPROVED}": self._validations - self._warned - self._rejected,
            f"verdicts.{_WARNING}": self._warned,
            f"verdicts.{_REJECTED}": self._rejected,
        }
        for rule, counts in self._counts.items():
            found[f"{rule}.runs"] = self._validations - counts[RuleOutcome.SKIP]
            found[f"{rule}.failures"] = counts[RuleOutcome.FAIL] + counts[RuleOutcome.ERROR]
            found[f"{rule}.warnings"] = counts[RuleOutcome.WARN]
        return found

    def _compile(self, key: tuple[Action, AccountType, str]) -> tuple[Check, ...]:
        compiled = self._compiled
        if len(compiled) >= CACHED:
            del compiled[next(iter(compiled))]  # the oldest
        checks = compiled[key] = compile_checks(self._config, *key) + self._own
        return checks

    def _overridden(
        self, results: tuple[RuleResult, ...], overrides: Iterable[Override]
    ) -> tuple[tuple[RuleResult, ...], list[RuleResult], tuple[Override, ...]]:
        """Return the results with their overrides, those of them that are breaches, and the overrides that were used."""
        asked = _by_rule(overrides, self._counts)
        judged, breaches, used = [], [], []
        for result in results:
            if self._blocks(result):
                override = asked.pop(result.rule, None)
                if override is not None and result.priority is not _CRITICAL:
                    result = result._replace(override=override)  # noqa: PLW2901 - the one with its override
                    used.append(override)
            if result.outcome is not _PASS and result.outcome is not _SKIP:
                breaches.append(result)
            judged.append(result)
        for unneeded in asked.values():
            raise InputError("overrides", unneeded.rule, "the rule does not block: there is nothing to override")
        return tuple(judged), breaches, tuple(used)

    def _blocks(self, result: RuleResult) -> bool:
        """Whether a result rejects the decision: it would by its outcome and priority, and nobody answers for it."""
        if result.override is not None:
            return False
        if result.outcome is _FAIL:
            return result.priority is _CRITICAL or (result.priority is _HIGH and self._config.high_blocks)
        return result.outcome is _ERROR


def _by_rule(overrides: Iterable[Override], known: Mapping[str, object]) -> dict[str, Override]:
    asked: dict[str, Override] = {}
    for override in overrides:
        if type(override) is not Override:
            raise InputError("overrides", override, "each must be an engine_opt.Override")
        if override.rule not in known:
            raise InputError("overrides", override.rule, f"it is none of the rules {', '.join(known)}")
        if override.rule in asked:
            raise InputError("overrides", override.rule, "the rule is overridden twice")
        asked[override.rule] = override
    return asked


def _guarded(rule: Rule, priority: RulePriority) -> Check:
    """Return a check that asks the user's rule, and answers ERROR where it raises or answers something else."""
    name, source = rule.name, f"rule {rule.name!r}"

    def error(reason: str) -> RuleResult:
        return RuleResult(name, RuleOutcome.ERROR, priority, source=source, reason=reason)

    def ask(decision: TradeDecision, context: TradeContext) -> RuleResult:
        try:
            result = rule.check(decision, context)
        except Exception as raised:  # noqa: BLE001 - whatever it is, it blocks, and is told
            return error(f"it raised {type(raised).__name__}: {raised}")
        if type(result) is not RuleResult or type(result.outcome) is not RuleOutcome:
            return error(f"it answered {result!r}, which is no RuleResult")
        return result._replace(rule=name, priority=priority, override=None)

    return ask
