"""Tests that are gone and tests that are new: which of them are one test under two names.

What a test does is known by its source without its name. Where that is the same, a new test is taken for one that is
gone, if no other comes into question; where one does, nothing is guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_pe_perf.model import BaselineRow, Judgement, Key, Row, Verdict

_NAMED_IN_A_NOTE = 3
_MOST_NOTES = 5


@dataclass(frozen=True, slots=True)
class Unclear:
    """Tests that are gone and tests that are new, any of which could be any of the others."""

    gone: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renames:
    """``tests`` says which name each renamed test had."""

    tests: Mapping[str, str] = field(default_factory=dict)
    unclear: tuple[Unclear, ...] = ()

    def base(self, row: Row, baseline: Mapping[Key, BaselineRow]) -> BaselineRow | None:
        """Return what a row is held against: its own row of the baseline, or that of the name that its test had."""
        before = self.tests.get(row.key.test)
        if before is None:
            return baseline.get(row.key)
        base = baseline.get(replace(row.key, test=before))
        return base if base is not None and base.body == row.body else None


def find(bodies: Mapping[str, str], baseline: Mapping[Key, BaselineRow], gone: Iterable[Key]) -> Renames:
    """Return which tests of a suite are tests of ``baseline`` under another name.

    ``bodies`` holds the hash of the source of each test without its name; ``gone`` are keys of ``baseline`` that the
    suite may have no test for. A test that still has a row of its own, on either side, is not renamed. Of several tests
    that do the same, those are one that have the same name in another module; of the rest, those with the same
    parameters; of the rest, the last two.
    """
    known = {key.test for key in baseline}
    orphans = {key.test: baseline[key].body for key in sorted(gone) if baseline[key].body and key.test not in bodies}
    new = {test: body for test, body in bodies.items() if body and test not in known}
    return Renames(*_match(orphans, new))


def _match(gone: Mapping[str, str], new: Mapping[str, str]) -> tuple[dict[str, str], tuple[Unclear, ...]]:
    """Return the old name of each new test that has one, and what cannot be told, from the bodies of the tests."""
    gone, new, pairs = dict(gone), dict(new), {}
    ways: tuple[Callable[[str], Hashable], ...] = (local, parameters, lambda _: None)
    for way in ways:
        for olds, news in _groups(gone, new, way):
            if len(olds) == len(news) == 1:
                pairs[news[0]] = olds[0]
                del gone[olds[0]], new[news[0]]
    return pairs, tuple(Unclear(olds, news) for olds, news in _groups(gone, new, lambda _: None))


def _groups(
    gone: Mapping[str, str], new: Mapping[str, str], way: Callable[[str], Hashable]
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the tests that have the same body and are the same in this way, where there are some on both sides."""
    found: dict[Hashable, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for side, tests in enumerate((gone, new)):
        for test in sorted(tests):
            found[tests[test], way(test)][side].append(test)
    return [(tuple(olds), tuple(news)) for olds, news in found.values() if olds and news]


def local(test: str) -> str:
    """Return a node id without its module."""
    return test.partition("::")[2]


def parameters(test: str) -> str:
    """Return the parameters of a node id, with their brackets; empty where it has none."""
    return "".join(local(test).partition("[")[1:])


def taken_over(row: Row, base: BaselineRow) -> BaselineRow:
    """Return the baseline row under the name that its test has now."""
    if base.key == row.key:
        return base
    return replace(base, key=row.key, source=row.source, renamed_from=base.key.test)


def same_benchmark(row: Row, base: BaselineRow) -> bool:
    """Whether the row measures what ``base`` did, for all that can be told: with the same source and parameters."""
    known = taken_over(row, base).source == row.source
    return known and parameters(row.key.test) == parameters(base.key.test)


def renamed(judgement: Judgement, before: str) -> Judgement:
    """Return the judgement, which was made against the baseline of ``before``, saying so.

    With other parameters a test may well be another benchmark: that it costs the same is all that can be said of it.
    """
    name, judgement = short(before, judgement.key.test), replace(judgement, renamed_from=before)
    changed = judgement.verdict in (Verdict.REGRESSED, Verdict.IMPROVED)
    if changed and parameters(before) != parameters(judgement.key.test):
        reason = f"it looks like {name}, but with other parameters: {judgement.verdict}, {judgement.reason}"
        return replace(judgement, verdict=Verdict.NOT_COMPARABLE, reason=reason)
    return replace(judgement, reason=f"{judgement.reason}; renamed from {name}")


def short(test: str, beside: str) -> str:
    """Return a test's name as one says it beside another: without the module, where that is the same."""
    return local(test) if test.partition("::")[0] == beside.partition("::")[0] else test


def notes(tests: Mapping[str, str], unclear: Iterable[Unclear]) -> tuple[str, ...]:
    """Return what is to be said of tests that were renamed, by the names that they had, and of what cannot be told."""
    said = [_looks_like(*family, pairs) for family, pairs in families(tests).items()]
    said += [_cannot_tell(group) for group in unclear]
    more = len(said) - _MOST_NOTES
    return (*said[:_MOST_NOTES], f"and {more} more like these") if more > 0 else tuple(said)


def families(tests: Mapping[str, str]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return the pairs of new and old names by what they have in common: the beginnings that differ.

    These are two modules, two tests with the same parameters, or the names themselves.
    """
    found: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for new, old in sorted(tests.items()):
        found[_family(new, old)].append((new, old))
    return found


def _family(new: str, old: str) -> tuple[str, str]:
    """Return what two names are instances of: two modules, two tests with the same parameters, or themselves."""
    if local(new) == local(old):
        return new.partition("::")[0], old.partition("::")[0]
    if (ending := parameters(new)) == parameters(old):
        return new.removesuffix(ending), old.removesuffix(ending)
    return new, old


def _looks_like(new: str, old: str, pairs: Sequence[tuple[str, str]]) -> str:
    count = len(pairs)
    if count == 1:
        ((new, old),) = pairs
        return f"{new} looks like {short(old, new)} renamed; pe-perf update keeps its baseline"
    if "::" in new:
        return f"{new} looks like {short(old, new)} renamed ({count} parameters); pe-perf update keeps its baselines"
    return f"{count} tests of {new} look like tests of {old}; pe-perf update keeps their baselines"


def _cannot_tell(group: Unclear) -> str:
    first, *others = group.new
    new = _names([first, *(short(test, first) for test in others)], "and")
    old = _names([short(test, first) for test in group.gone], "and" if others else "or")
    which = "which is which" if others and len(group.gone) > 1 else "which"
    return f"{new} may be {old} renamed; {which} cannot be told, so {'they are' if others else 'it is'} new"


def _names(tests: Iterable[str], word: str) -> str:
    *first, last = tests
    if len(first) >= _NAMED_IN_A_NOTE:
        return f"{', '.join(first[:_NAMED_IN_A_NOTE])} {word} {len(first) + 1 - _NAMED_IN_A_NOTE} more"
    return f"{', '.join(first)} {word} {last}" if first else last
