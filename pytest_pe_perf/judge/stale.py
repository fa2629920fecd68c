"""Times of the baseline that say little of today: they have stood for long, or another interpreter recorded them.

At first that is only said. Then such a row decides nothing any more. A count does not get stale: one that is equal has
just been confirmed, and one that is not is only compared with what the same tools counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pytest_pe_perf.model import METRICS, BaselineRow, Environment, Judgement, Key, Verdict

# An old row decides nothing from this many times the setting on.
EXPIRES_AFTER = 2
_DECIDED = (Verdict.REGRESSED, Verdict.IMPROVED, Verdict.UNCHANGED)
_UPDATE = "pytest --pe-perf --pe-perf-update"


@dataclass(frozen=True, slots=True)
class Age:
    """The rows that have stood as they are for so many ``commits`` (``old``), and for twice as many (``expired``)."""

    commits: int = 0
    old: frozenset[Key] = frozenset()
    expired: frozenset[Key] = frozenset()

    def without(self, keys: Iterable[Key]) -> Age:
        """Return the same after these rows were recorded anew."""
        young = frozenset(keys)
        return replace(self, old=self.old - young, expired=self.expired - young)


YOUNG = Age()


def interpreter_of(environment: Environment, version: str) -> str:
    """Return the interpreter of this full version: ``"cpython 3.11.7"``; empty where nobody knows the version."""
    return f"{environment.implementation} {version}" if version else ""


def aged(judgement: Judgement, base: BaselineRow, interpreter: str, age: Age) -> Judgement:
    """Return the judgement on a row against ``base``, saying what makes that stale, or undecided if it is too stale.

    A time that another interpreter recorded tells that all is as it was; whose fault a change is it does not tell.
    """
    decided = judgement.verdict in _DECIDED
    if METRICS[base.key.metric].assume != "noisy" or not (decided or judgement.verdict is Verdict.INCONCLUSIVE):
        return judgement
    last = EXPIRES_AFTER * age.commits
    if base.key in age.expired:
        why, decides = f"accepted {last} commits ago or earlier", False
    elif base.key in age.old:
        why, decides = f"accepted {age.commits} commits ago or earlier (no basis for a verdict from {last} on)", True
    elif base.made_with and interpreter and base.made_with != interpreter:
        why = f"recorded with {base.made_with}, and this run has {interpreter}"
        decides = judgement.verdict is Verdict.UNCHANGED
    else:
        return judgement
    if decides or not decided:
        return replace(judgement, stale=why)
    reason = f"{judgement.verdict}, {judgement.reason}; but its baseline was {why}; accept it anew with: {_UPDATE}"
    return replace(judgement, verdict=Verdict.INCONCLUSIVE, reason=reason, stale=why)


def notes(judgements: Iterable[Judgement]) -> tuple[str, ...]:
    """Return what is to be said of rows whose baseline still decides, though it is stale."""
    decided = Counter(judgement.stale for judgement in judgements if judgement.stale and judgement.verdict in _DECIDED)
    return tuple(f"{_rows(count)} {why}; accept them anew with: {_UPDATE}" for why, count in sorted(decided.items()))


def _rows(count: int) -> str:
    return "1 baseline row was" if count == 1 else f"{count} baseline rows were"
