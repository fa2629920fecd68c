"""A suite that is spread over machines: whose share a test is in, and the shards put together again."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pytest_pe_perf.config import Settings
from pytest_pe_perf.errors import ConfigError, ShardError
from pytest_pe_perf.model import Environment, Pairs, Run, Shard, Verdict
from pytest_pe_perf.report.wording import commits_of

_SHARE = re.compile(r"(\d{1,5})/(\d{1,5})", re.ASCII)
# The settings that a verdict rests on: by others nothing is measured or judged otherwise.
_DECIDING = (
    "time",
    "threshold",
    "margin",
    "fresh",
    "benchmark_memory",
    "gc",
    "confirm",
    "suite",
    "base_install",
)
# What each shard must say alike of what it measured, and how a run's context calls it.
_SAME_FACTS = {
    "what is compared": "against",
    "the base": "base",
    "the commit that is head": "head",
    "the commit": "commit",
    "whether tracked files were changed": "dirty",
}
_MOST_SHARDS = 99_999
_NAMED = 10
_AGAIN = "measure all shards by one command on one commit"


@dataclass(frozen=True, slots=True)
class Share:
    """The tests that one session of ``count`` runs: ``index`` counts from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """Return the share that ``"2/5"`` names: the second of five.

        Raises:
            ConfigError: it names none.

        """
        found = _SHARE.fullmatch(text.strip())
        if found and 1 <= int(found[1]) <= int(found[2]):
            return cls(int(found[1]), int(found[2]))
        raise ConfigError(f"{text!r} is no share of a suite: write I/N, for example 2/5 for the second of five")

    def has(self, test: str) -> bool:
        """Whether a test is in this share. That depends on its node id alone, on every machine, commit and day."""
        digest = hashlib.sha256(test.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1


def name_of(tests: Iterable[str]) -> str:
    """Return what names a suite of these tests, in whatever order they are."""
    text = "\0".join(sorted(set(tests)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def shard_of(share: Share, suite: Iterable[str], settings: Settings, complete: Iterable[str]) -> Shard:
    """Return what a run says of itself that measured ``share`` of ``suite``, all the selected performance tests.

    ``complete`` are the modules of which it was to run its whole share.
    """
    tests = set(suite)
    deciding = {name: str(getattr(settings, name)) for name in _DECIDING}
    return Shard(share.index, share.count, name_of(tests), len(tests), deciding, tuple(sorted(complete)))


@dataclass(frozen=True, slots=True)
class Whole:
    """Shards that are judged as one run: against a baseline those of one environment, beside a commit all of them."""

    run: Run
    shares: tuple[Share, ...]

    def owns(self, test: str) -> bool:
        """Whether a test is in the share of one of these."""
        return any(share.has(test) for share in self.shares)


@dataclass(frozen=True, slots=True)
class _Part:
    """A run file that holds a shard."""

    file: str
    run: Run
    shard: Shard

    @property
    def share(self) -> Share:
        return Share(self.shard.index, self.shard.count)


def put_together(files: Sequence[tuple[str, Run]]) -> tuple[tuple[Whole, ...], tuple[str, ...]]:
    """Return the runs that the shards of a suite make, and what is to be said of them; ``files`` are named runs.

    Beside a commit each pair stayed on one machine, whichever that was: that is one run. A baseline holds for one
    environment, so that shards of several make several runs.

    Raises:
        ShardError: a run is no shard, one is missing or there twice, or they are not parts of one suite.

    """
    parts = sorted(map(_part, files), key=lambda part: part.shard.index)
    _check_numbers(parts)
    _check_together(parts)
    _check_tests(parts)
    complete = frozenset.intersection(*(frozenset(part.shard.complete) for part in parts))
    if commits_of(parts[0].run.context) is not None:
        groups = [parts]
    else:
        groups = list(_by_environment(parts).values())
        for group in groups:
            # A baseline's times are told apart by the interpreter that recorded them.
            _check_same("Python", group, [part.run.context.get("python", "") for part in group])
    return tuple(_whole(group, complete) for group in groups), tuple(_notes(parts))


def _part(named: tuple[str, Run]) -> _Part:
    file, run = named
    shard = run.shard
    if shard is None:
        raise ShardError(f"{file} is no shard of a suite; make one with: pytest --pe-perf --pe-perf-shard I/N")
    if not 1 <= shard.index <= shard.count <= _MOST_SHARDS:
        raise ShardError(f"{file} says that it is shard {shard.index} of {shard.count}, which there cannot be")
    return _Part(file, run, shard)


def _check_numbers(parts: Sequence[_Part]) -> None:
    if not parts:
        raise ShardError("there is no shard to merge")
    _check_same("the number of shards", parts, [str(part.shard.count) for part in parts])
    by_index: dict[int, list[str]] = defaultdict(list)
    for part in parts:
        by_index[part.shard.index].append(part.file)
    for index, found in by_index.items():
        if len(found) > 1:
            raise ShardError(f"shard {index} is there {len(found)} times: {', '.join(found)}")
    count = parts[0].shard.count
    if len(by_index) < count:
        missing = [index for index in range(1, count + 1) if index not in by_index]
        raise ShardError(f"{_missing(missing)} of {count}: without all of them nothing can be said of the suite")


def _check_together(parts: Sequence[_Part]) -> None:
    """Raise an error unless the shards measured the same tests of the same commits in the same way."""
    for what, fact in _SAME_FACTS.items():
        _check_same(what, parts, [part.run.context.get(fact, "") for part in parts])
    _check_same("the number of tests, or which,", parts, [f"{p.shard.tests} ({p.shard.suite[:10]})" for p in parts])
    for name in _DECIDING:
        _check_same(f"the setting {name}", parts, [part.shard.settings.get(name, "") for part in parts])


def _check_same(what: str, parts: Sequence[_Part], values: Sequence[str]) -> None:
    files = {value: part.file for value, part in zip(reversed(values), reversed(parts), strict=True)}
    if len(files) > 1:
        said = ", ".join(f"{value or 'nothing'} in {file}" for value, file in reversed(files.items()))
        raise ShardError(f"the shards do not belong together: {what} differs: {said}; {_AGAIN}")


def _check_tests(parts: Sequence[_Part]) -> None:
    """Raise an error unless every test of the suite is accounted for, by the one shard that it belongs to."""
    everything = set()
    for part in parts:
        tests = _tests(part.run)
        for test in sorted(tests):
            if not part.share.has(test):
                raise ShardError(f"{part.file} is shard {part.share.index}, to which {test} does not belong")
        everything |= tests
    shard = parts[0].shard
    if name_of(everything) != shard.suite:
        raise ShardError(
            f"the shards say of {len(everything)} tests what became of them, and the suite has {shard.tests}; {_AGAIN}"
        )


def _tests(run: Run) -> set[str]:
    """Return the tests of which a run says what became of them. One that head does not have is none of the suite."""
    unread = {item.key.test for part in run.pairs for item in part.unread if item.verdict is not Verdict.MISSING}
    paired = {row.key.test for part in run.pairs for row in part.rows}
    return {row.key.test for row in run.rows} | paired | unread | {item.test for item in run.skipped}


def _by_environment(parts: Sequence[_Part]) -> dict[Environment, list[_Part]]:
    found: dict[Environment, list[_Part]] = defaultdict(list)
    for part in parts:
        found[part.run.environment].append(part)
    return found


def _whole(parts: Sequence[_Part], complete: frozenset[str]) -> Whole:
    runs = [part.run for part in parts]
    pairs = tuple(pairs for run in runs for pairs in run.pairs)
    run = replace(
        runs[0],
        started=min(run.started for run in runs),
        context=_context(runs),
        rows=tuple(sorted((row for run in runs for row in run.rows), key=lambda row: row.key)),
        skipped=tuple(item for run in runs for item in run.skipped),
        # Of a deleted module every session says that it is whole, whatever its share.
        complete=tuple(sorted(complete.union(*(run.complete for run in runs)))),
        unmeasured={test: body for run in runs for test, body in run.unmeasured.items()},
        settled=tuple(item for run in runs for item in run.settled),
        profiles=tuple(profile for run in runs for profile in run.profiles),
        markers={test: names for run in runs for test, names in run.markers.items()},
        # A session that had nothing to measure has no canaries: they say nothing of the others.
        pairs=tuple(one for one in pairs if one != Pairs()) or pairs[:1],
        shard=None,
    )
    return Whole(run, tuple(part.share for part in parts))


def _context(runs: Sequence[Run]) -> dict[str, str]:
    """Return what is shown of the machines: where they differ, what each said."""
    names = dict.fromkeys(name for run in runs for name in run.context)
    values = {name: dict.fromkeys(run.context.get(name, "") for run in runs) for name in names}
    return {name: " | ".join(filter(None, found)) for name, found in values.items()}


def _notes(parts: Sequence[_Part]) -> Iterable[str]:
    count, tests = parts[0].shard.count, parts[0].shard.tests
    yield f"{count} shards of a suite of {tests} performance tests"
    kinds = _by_environment(parts)
    if len(kinds) > 1:
        said = ", ".join(f"{environment.slug} ({_indexes(found)})" for environment, found in kinds.items())
        yield f"measured on {len(kinds)} kinds of machines: {said}"
    if parts[0].run.context.get("dirty") == "yes":
        yield "the shards measured work trees with changes: whether these were the same cannot be told"


def _indexes(parts: Sequence[_Part]) -> str:
    return ", ".join(str(part.share.index) for part in parts)


def _missing(indexes: Sequence[int]) -> str:
    said = ", ".join(map(str, indexes[:_NAMED])) + (" and more" if len(indexes) > _NAMED else "")
    return f"there is no shard {said}"
